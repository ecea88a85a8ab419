//! Jails of other shapes than the usual one: what is special about each, and that the promises hold
//! there, too.
//!
//! Must not know: how any promise is kept.

use crate::host::{self, isolated, make_shared, mount_tmpfs};
use crate::promises::{SETS, attempt, baseline, has, mount_at, probe};
use crate::ring::Ring::Root;
use crate::run::{Live, Room, finish, jail};
use crate::tests;
use serde_json::Value;

tests! {
    Root => [
        network_none_has_loopback_only, submounts_of_a_read_only_directory_are_read_only, later_host_mounts_do_not_appear, the_hosts_mount_table_is_unchanged, tmpfs_limits_hold, copies_are_files_of_their_own, owner_process_opens_a_key_that_only_root_may_read, in_place_keeps_the_same_promises, foreign_root_is_confined_too,
        without_landlock_the_other_walls_stand,
        without_seccomp_the_other_walls_stand, own_keyring, capabilities_are_only_the_named
    ],
}

fn network_none_has_loopback_only() {
    let report = probe(&[("network", "mode = \"none\"")]).report();
    assert_eq!(report["interfaces"], serde_json::json!(["lo up"]));
    let ours = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    assert_ne!(report["namespaces"]["net"], ours.to_str().unwrap());
}

fn submounts_of_a_read_only_directory_are_read_only() {
    isolated(|| {
        let room = Room::new();
        let below = room.open_directory("shown/below");
        let _below = mount_tmpfs(&below);
        room.file("shown/below/file", "there\n");
        let spec = room.probe_spec(&[], &[("files", &shown_at(&room))]);
        let report = finish(&mut jail(["run".as_ref(), spec.as_os_str()])).report();
        let mounts = mount_at(&report, "/shown/below");
        assert_eq!(mounts.len(), 1, "the mount below is shown: {}", report["mounts"]);
        for option in ["ro", "nosuid", "nodev"] {
            assert!(has(mounts[0], option), "{option}: {}", mounts[0]);
        }
        assert_eq!(attempt(&report, "write /shown/below"), "EROFS");
    });
}

fn shown_at(room: &Room) -> String {
    format!(
        "read = [\"/usr\", {}, {{ path = \"{}/shown\", at = \"/shown\" }}]",
        room.probe_entry(),
        room.path().display()
    )
}

fn later_host_mounts_do_not_appear() {
    isolated(|| {
        let room = Room::new();
        let shown = room.open_directory("shown");
        let _shown = mount_tmpfs(&shown);
        make_shared(&shown);
        let late = room.open_directory("shown/late");
        let spec = room.probe_spec(&["await=line", "attempts=no"], &[("files", &shown_at(&room))]);
        let mut live = Live::ready(&mut jail(["run".as_ref(), spec.as_os_str()]));
        let _late = mount_tmpfs(&late);
        room.file("shown/late/file", "late\n");
        live.say("go on");
        let report = live.finish().report();
        assert_eq!(mount_at(&report, "/shown").len(), 1);
        assert_eq!(mount_at(&report, "/shown/late").len(), 0, "{}", report["mounts"]);
    });
}

fn the_hosts_mount_table_is_unchanged() {
    let room = Room::new();
    let before = host::snapshot();
    let spec = room.probe_spec(&["await=line", "attempts=no"], &[]);
    let live = Live::ready(&mut jail(["run".as_ref(), spec.as_os_str()]));
    assert_eq!(host::mount_table(), before.mounts, "while it runs");
    live.finish().ended(0);
    assert_eq!(host::snapshot(), before, "afterwards");
    assert_eq!(host::processes_of(&room.unique()), [""; 0]);
}

fn tmpfs_limits_hold() {
    let room = Room::new();
    let files = "tmpfs = [{ path = \"/tmp\", size = \"1M\", inodes = 64 }]";
    let spec = room.probe_spec(&["fill", "/tmp"], &[("files", files)]);
    let run = finish(&mut jail(["run".as_ref(), spec.as_os_str()])).ended(0);
    let words: Vec<&str> = run.stdout.split_whitespace().collect();
    assert_eq!((words[1], words[3]), ("ENOSPC", "ENOSPC"), "{}", run.stdout);
    let (bytes, files): (u64, u64) = (words[0].parse().unwrap(), words[2].parse().unwrap());
    assert!(bytes <= 1 << 20 && bytes > 1 << 19, "{bytes}");
    assert!((32..64).contains(&files), "{files}");
}

fn copies_are_files_of_their_own() {
    let room = Room::new();
    let file = room.file("file", "content of the copy\n");
    let files =
        format!("read = [\"/usr\", {}, {{ path = {file:?}, at = \"/etc/copied\" }}]", room.probe_entry());
    let text = format!(
        "[process]\ncommand = [\"/bin/sh\", \"-c\", \"cat /etc/copied; stat -c '%a %U' /etc/copied; echo x >/etc/copied\"]\n[files]\n{files}\n"
    );
    let spec = room.file("copy.toml", &text);
    let run = finish(&mut jail(["run".as_ref(), spec.as_os_str()]));
    assert_eq!(run.stdout, "content of the copy\n644 root\n");
    assert!(
        run.stderr.contains("Read-only file system") || run.stderr.contains("Permission denied"),
        "{}",
        run.stderr
    );
    let table = probe(&[]).report();
    assert!(mount_at(&table, "/etc/copied").is_empty());
}

fn owner_process_opens_a_key_that_only_root_may_read() {
    use std::os::unix::fs::PermissionsExt;
    let room = Room::new();
    let key = room.file("key", "PRIVATE\n");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    for (owner, code) in [("", 1), (", owner = \"process\"", 0)] {
        let text = format!(
            "[process]\ncommand = [\"/bin/cat\", \"/key\"]\nuser = \"www-data\"\n\
             [files]\nread = [\"/usr\", {{ path = {key:?}, at = \"/key\"{owner} }}]\n"
        );
        let spec = room.file("key.toml", &text);
        let run = finish(&mut jail(["run".as_ref(), spec.as_os_str()])).ended(code);
        assert_eq!(run.stdout, if code == 0 { "PRIVATE\n" } else { "" });
    }
}

fn in_place_keeps_the_same_promises() {
    let report = probe(&[("privileges", "share-namespaces = [\"pid\"]")]).report();
    for (name, came) in baseline()["attempts"].as_object().unwrap() {
        // The host's processes have other numbers; pid 1 is the host's.
        if !name.contains("pid 1")
            && !name.contains("/proc/1")
            && !name.ends_with(" outside")
            && !name.starts_with("outside ")
        {
            assert_eq!(&report["attempts"][name], came, "{name}");
        }
    }
    for name in [
        "ptrace pid 1",
        "kill pid 1",
        "open /proc/1/environ",
        "open /proc/1/mem",
        "list /proc/1/root",
        "ptrace outside",
        "signal outside",
    ] {
        assert_ne!(attempt(&report, name), "ok", "{name}");
    }
    for key in ["uids", "gids", "groups", "securebits", "environment", "umask", "nice", "core", "root", "dev"]
    {
        assert_eq!(report[key], baseline()[key], "{key}");
    }
    let outside =
        report["attempts"].as_object().unwrap().iter().filter(|(name, _)| name.starts_with("outside "));
    assert!(outside.into_iter().all(|(_, came)| came == "ENOENT"));
    for set in SETS {
        assert_eq!(report["status"][set], "0000000000000000", "{set}");
    }
    let numbers = report["proc"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|n| n.as_str().is_some_and(|n| n.parse::<u32>().is_ok()));
    assert_eq!(numbers.count(), 1, "only itself is shown: {}", report["proc"]);
}

fn foreign_root_is_confined_too() {
    let room = Room::new();
    for name in ["usr", "proc", "dev", "tmp", "etc", "probe"] {
        std::fs::create_dir_all(room.path().join("tree").join(name)).unwrap();
    }
    for (link, target) in [("bin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")] {
        std::os::unix::fs::symlink(target, room.path().join("tree").join(link)).unwrap();
    }
    // A link that leads out of the tree, were it followed on the host.
    std::os::unix::fs::symlink("/etc", room.path().join("tree/out")).unwrap();
    let files = format!("root = \"{}/tree\"\ntmpfs = [\"/tmp\"]", room.path().display());
    let spec = room.probe_spec(&["exec=/tmp"], &[("files", files.as_str())]);
    let before = host::listing(&room.path().join("tree"));
    let report = finish(&mut jail(["run".as_ref(), spec.as_os_str()])).report();
    assert_eq!(host::listing(&room.path().join("tree")), before, "nothing is made in it");
    for name in [
        "write /",
        "write /usr",
        "mkdir /new",
        "exec in /tmp",
        "mount tmpfs",
        "chroot",
        "setuid 0",
        "open /etc/shadow",
    ] {
        assert_ne!(attempt(&report, name), "ok", "{name}");
    }
    assert!(has(mount_at(&report, "/")[0], "ro"));
}

fn own_keyring() {
    assert_eq!(baseline()["keyring"]["id"], "EPERM", "keyctl is not in @service");
    let report = probe(&[("privileges", "system-calls = [\"@service\", \"keyctl\"]")]).report();
    assert!(report["keyring"]["id"].is_i64() || report["keyring"]["id"].is_u64(), "{}", report["keyring"]);
    assert_eq!(report["keyring"]["secret"], "ENOKEY", "the caller's key is not there");
}

fn capabilities_are_only_the_named() {
    let report = probe(&[("privileges", "capabilities = [\"NET_BIND_SERVICE\"]")]).report();
    for set in SETS {
        assert_eq!(report["status"][set], "0000000000000400", "{set}");
    }
    assert_eq!(report["uids"], serde_json::json!([33, 33, 33]));
}

/// A jail that gives one wall up knowingly, with a socket of the host to try.
fn given_up(feature: &str) -> Value {
    let room = Room::new();
    let socket = format!("jail-test-{}", room.unique());
    let address =
        <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(&socket);
    let _outside = std::os::unix::net::UnixListener::bind_addr(&address.unwrap()).unwrap();
    let words = [format!("abstract={socket}"), "exec=/tmp".into(), "outside=/etc/shadow,/root,/home".into()];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let spec =
        room.probe_spec(&words, &[("process", "user = \"www-data\""), ("files", "tmpfs = [\"/tmp\"]")]);
    let plan = finish(&mut jail(["plan".as_ref(), spec.as_os_str(), "--without".as_ref(), feature.as_ref()]));
    assert!(plan.ended(0).stdout.contains(&format!("given up\n      {feature} ")));
    finish(&mut jail(["run".as_ref(), spec.as_os_str(), "--without".as_ref(), feature.as_ref()])).report()
}

/// What is refused without regard to the filter and to Landlock: by mounts and missing rights alone.
const TWICE_REFUSED: &[&str] = &[
    "write /",
    "write /usr",
    "write /probe",
    "mkdir /new",
    "chmod /",
    "outside /etc/shadow",
    "outside /root",
    "outside /home",
    "exec in /tmp",
    "remount /",
    "mount tmpfs",
    "umount",
    "open_tree",
    "move_mount",
    "pivot_root",
    "chroot",
    "mknod char",
    "mknod block",
    "setuid 0",
    "setgid 0",
    "setgroups",
    "capset all",
    "ambient raise",
    "clear no_new_privs",
    "securebits",
    "raise core limit",
    "sethostname",
    "unshare mount",
    "unshare pid",
    "setns",
    "ptrace pid 1",
    "process_vm_readv pid 1",
    "open /proc/1/environ",
    "open /proc/1/mem",
    "open /proc/1/fd",
    "mmap write+exec",
    "mprotect written to exec",
    "socket packet",
    "socket raw",
    "bpf",
    "init_module",
    "kexec_load",
    "reboot",
    "settimeofday",
    "open_by_handle_at",
    "open /dev/tty",
    "TIOCSTI",
];

fn without_landlock_the_other_walls_stand() {
    let report = given_up("landlock");
    assert_eq!(attempt(&report, "abstract socket outside"), "ok", "only Landlock closes this one");
    assert_eq!(report["status"]["Seccomp"], "2");
    let open: Vec<&&str> = TWICE_REFUSED.iter().filter(|name| attempt(&report, name) == "ok").collect();
    assert!(open.is_empty(), "{open:?}");
}

fn without_seccomp_the_other_walls_stand() {
    let report = given_up("seccomp");
    assert_eq!(report["status"]["Seccomp"], "0");
    assert_eq!(attempt(&report, "abstract socket outside"), "EPERM");
    let open: Vec<&&str> = TWICE_REFUSED.iter().filter(|name| attempt(&report, name) == "ok").collect();
    assert!(open.is_empty(), "{open:?}");
}
