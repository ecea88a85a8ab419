//! DESIGN section 4, promise by promise, seen from inside a jail that a careless caller started.
//!
//! Must not know: how any promise is kept.

use crate::ring::Ring::Root;
use crate::run::{Room, Run, finish, jail};
use crate::{careless, tests};
use serde_json::Value;
use std::os::unix::net::UnixListener;
use std::sync::OnceLock;

tests! {
    Root => [
        nothing_outside_the_named_paths_can_be_read, nothing_but_write_and_tmpfs_can_be_written,
        writable_places_do_not_execute, no_device_nodes_no_set_user_id, ids_and_groups_are_the_specs,
        all_capability_sets_are_the_specs, no_new_privileges_and_the_filter, no_mount_call_works,
        no_new_namespaces, other_processes_cannot_be_seen_or_signalled, memory_is_never_writable_and_executable,
        socket_families_are_few, options_of_prctl_are_few, other_entries_are_closed, kernel_interfaces_are_refused, no_leaked_descriptors,
        the_environment_is_the_specs, callers_habits_do_not_leak, own_session_and_no_terminal, identity_files_are_synthetic, devices_are_the_basic_set, every_namespace_is_new, ],
}

/// One run of the probe, looked at by most of the tests.
pub fn baseline() -> &'static Value {
    static REPORT: OnceLock<Value> = OnceLock::new();
    REPORT.get_or_init(|| probe(&[]).report())
}

/// Runs the probe in a jail of the usual shape, from a careless caller.
pub fn probe(more: &[(&str, &str)]) -> Run {
    let room = Room::new();
    room.open_directory("data");
    room.file("shown/file", "shown\n");
    room.file("secret/file", careless::SECRET);
    let socket = format!("jail-test-{}", room.unique());
    let address =
        <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(&socket);
    let outside = UnixListener::bind_addr(&address.unwrap()).unwrap();
    let (path, pid) = (room.path().display(), std::process::id());
    let files = format!(
        "read = [\"/usr\", {}, {{ path = \"{path}/shown\", at = \"/shown\" }}]\n\
         write = [{{ path = \"{path}/data\", at = \"/data\" }}]\n\
         tmpfs = [{{ path = \"/tmp\", size = \"1M\", inodes = 64 }}, \"/run\"]",
        room.probe_entry()
    );
    let words = [
        "exec=/tmp,/data,/run,/dev/shm".to_owned(),
        format!("outside={path}/secret/file,{path}/shown/file,/root,/home,/var/lib"),
        format!("pid={pid}"),
        format!("abstract={socket}"),
        format!("fd={}", careless::LEAKED),
        "file=file".to_owned(),
    ];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let process =
        [("process", "user = \"www-data\"\nenv = { GREETING = \"hello\" }"), ("files", files.as_str())];
    let more: Vec<(&str, &str)> = process.iter().chain(more).copied().collect();
    let spec = room.probe_spec(&words, &more);
    let mut command = jail(["run".as_ref(), spec.as_os_str()]);
    careless::make(&mut command, &room.path().join("secret"));
    let run = finish(&mut command);
    drop(outside);
    run
}

/// What an attempt of the baseline came to.
#[track_caller]
pub fn attempt<'a>(report: &'a Value, name: &str) -> &'a str {
    report["attempts"][name].as_str().unwrap_or_else(|| panic!("there is no attempt {name:?}"))
}

#[track_caller]
fn refused(names: &[&str]) {
    let failed: Vec<&&str> = names.iter().filter(|n| attempt(baseline(), n) == "ok").collect();
    assert!(failed.is_empty(), "not refused: {failed:?}");
}

#[track_caller]
fn refused_with(errno: &str, names: &[&str]) {
    for name in names {
        assert_eq!(attempt(baseline(), name), errno, "{name}");
    }
}

/// The mounts at a place.
pub fn mount_at<'a>(report: &'a Value, path: &str) -> Vec<&'a Value> {
    report["mounts"].as_array().unwrap().iter().filter(|m| m["path"] == path).collect()
}

/// Whether a mount has an option.
pub fn has(mount: &Value, option: &str) -> bool {
    mount["options"].as_str().unwrap().split(',').any(|o| o == option)
}

fn nothing_outside_the_named_paths_can_be_read() {
    let outside =
        baseline()["attempts"].as_object().unwrap().iter().filter(|(name, _)| name.starts_with("outside "));
    let mut count = 0;
    for (name, came) in outside {
        assert_eq!(came, "ENOENT", "{name}");
        count += 1;
    }
    assert_eq!(count, 5);
    refused(&[
        "open /etc/shadow",
        "open /proc/kcore",
        "open /proc/keys",
        "open /proc/sys/kernel/hostname",
        "open /proc/sysrq-trigger",
        "open /proc/kallsyms",
        "open /sys/kernel",
        "open /dev/mem",
        "open_by_handle_at",
    ]);
    let root: Vec<&str> =
        baseline()["root"].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
    let expected = [
        "bin", "data", "dev", "etc", "lib", "lib32", "lib64", "libx32", "probe", "proc", "run", "sbin",
        "shown", "tmp", "usr", "var",
    ];
    assert!(root.iter().all(|n| expected.contains(n)), "{root:?}");
    let kinds = ["tmpfs", "proc", "devtmpfs", "ext4", "xfs", "btrfs", "overlay", "ext3", "erofs"];
    let expected = [
        "/",
        "/usr",
        "/probe",
        "/shown",
        "/data",
        "/tmp",
        "/run",
        "/proc",
        "/dev/null",
        "/dev/zero",
        "/dev/full",
        "/dev/random",
        "/dev/urandom",
        "/dev/tty",
        "/dev/shm",
    ];
    for mount in baseline()["mounts"].as_array().unwrap() {
        let path = mount["path"].as_str().unwrap();
        assert!(expected.contains(&path) || path.starts_with("/usr/"), "nobody asked for {mount}");
        assert!(kinds.contains(&mount["kind"].as_str().unwrap()), "{mount}");
        assert_eq!(mount["optional"], serde_json::json!([]), "propagates: {mount}");
    }
    for path in expected {
        assert_eq!(mount_at(baseline(), path).len(), 1, "{path} is mounted once");
    }
}

fn nothing_but_write_and_tmpfs_can_be_written() {
    let writable = [
        "/data",
        "/tmp",
        "/run",
        "/dev/shm",
        "/dev/null",
        "/dev/zero",
        "/dev/full",
        "/dev/random",
        "/dev/urandom",
    ];
    let mut refused_count = 0;
    for (name, came) in baseline()["attempts"].as_object().unwrap() {
        let Some(path) = name.strip_prefix("write ") else { continue };
        if writable.contains(&path) {
            assert_eq!(came, "ok", "{name}");
        } else {
            assert_ne!(came, "ok", "{name}");
            refused_count += 1;
        }
    }
    assert!(refused_count >= 6, "{refused_count}");
    refused(&["mkdir /new", "symlink /new", "rename /etc/passwd", "chmod /"]);
    for path in ["/", "/usr", "/probe", "/shown"] {
        assert!(has(mount_at(baseline(), path)[0], "ro"), "{path}");
    }
}

fn writable_places_do_not_execute() {
    refused_with("EACCES", &["exec in /tmp", "exec in /data", "exec in /run", "exec in /dev/shm"]);
    for path in ["/tmp", "/data", "/run", "/dev/shm", "/proc", "/"] {
        assert!(has(mount_at(baseline(), path)[0], "noexec"), "{path}");
    }
}

fn no_device_nodes_no_set_user_id() {
    refused(&["mknod char", "mknod block"]);
    for mount in baseline()["mounts"].as_array().unwrap() {
        assert!(has(mount, "nosuid"), "{mount}");
        let device = mount["path"].as_str().unwrap().starts_with("/dev/") && mount["path"] != "/dev/shm";
        assert!(device || has(mount, "nodev"), "{mount}");
    }
}

fn ids_and_groups_are_the_specs() {
    let report = baseline();
    assert_eq!(report["uids"], serde_json::json!([33, 33, 33]));
    assert_eq!(report["gids"], serde_json::json!([33, 33, 33]));
    assert_eq!(report["groups"], serde_json::json!([]));
    assert_eq!(report["status"]["Uid"], "33\t33\t33\t33");
    assert_eq!(report["status"]["Gid"], "33\t33\t33\t33");
    refused(&["setuid 0", "setgid 0", "setresuid 0", "setgroups"]);
}

/// All five capability sets.
pub const SETS: [&str; 5] = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];

fn all_capability_sets_are_the_specs() {
    for set in SETS {
        assert_eq!(baseline()["status"][set], "0000000000000000", "{set}");
    }
    // NOROOT, NOROOT_LOCKED, NO_SETUID_FIXUP_LOCKED, KEEP_CAPS_LOCKED, NO_CAP_AMBIENT_RAISE and _LOCKED.
    assert_eq!(baseline()["securebits"], 0b1110_1011);
    refused(&["capset all", "ambient raise", "keep capabilities", "securebits", "sethostname"]);
}

fn no_new_privileges_and_the_filter() {
    assert_eq!(baseline()["status"]["NoNewPrivs"], "1");
    assert_eq!(baseline()["status"]["Seccomp"], "2");
    refused(&["clear no_new_privs"]);
}

fn no_mount_call_works() {
    refused(&[
        "remount /",
        "mount tmpfs",
        "bind",
        "umount",
        "open_tree",
        "fsopen",
        "move_mount",
        "mount_setattr",
        "pivot_root",
        "chroot",
    ]);
}

fn no_new_namespaces() {
    let names = baseline()["attempts"].as_object().unwrap().keys();
    let names: Vec<&str> = names
        .map(String::as_str)
        .filter(|n| ["unshare ", "clone ", "clone3 "].iter().any(|p| n.starts_with(p)))
        .collect();
    assert_eq!(names.len(), 23);
    refused(&names);
    refused(&["setns", "setns pidfd"]);
}

fn other_processes_cannot_be_seen_or_signalled() {
    let report = baseline();
    let numbers = report["proc"].as_array().unwrap().iter().filter_map(|n| n.as_str()?.parse::<u64>().ok());
    let own = report["pid"].as_u64().unwrap();
    assert_eq!(
        numbers.collect::<std::collections::BTreeSet<u64>>(),
        [own].into(),
        "only the probe: pid 1 cannot be traced, and so is hidden"
    );
    refused(&[
        "ptrace pid 1",
        "process_vm_readv pid 1",
        "ptrace outside",
        "list outside",
        "open /proc/1/environ",
        "open /proc/1/mem",
        "list /proc/1/root",
        "kcmp pid 1",
        "pidfd_getfd pid 1",
        "open /proc/1/fd",
    ]);
    refused_with("ESRCH", &["signal outside"]);
    // Taken and ignored, or refused: this report would not be here otherwise.
    assert!(["ok", "EPERM"].contains(&attempt(report, "kill pid 1")));
    refused_with("EPERM", &["abstract socket outside"]);
    let text = report["pid 1"].to_string();
    assert!(!text.contains(careless::SECRET) && !text.contains("jail-room-"), "{text}");
}

fn memory_is_never_writable_and_executable() {
    refused(&[
        "mmap write+exec",
        "mprotect written to exec",
        "mprotect write+exec",
        "userfaultfd",
        "personality no ASLR",
    ]);
    refused_with("EROFS", &["open /proc/self/mem to write", "open /proc/self/comm to write"]);
}

fn socket_families_are_few() {
    refused(&[
        "socket packet",
        "socket vsock",
        "socket alg",
        "socket raw",
        "socket key",
        "socket xdp",
        "socket bluetooth",
        "socket can",
        "socket tipc",
    ]);
    refused_with("ok", &["socket inet", "socket inet6", "socket unix", "socket netlink"]);
    // libc asks for interfaces by the route protocol; the others lead deep into the kernel.
    refused_with(
        "EPROTONOSUPPORT",
        &["socket netlink audit", "socket netlink generic", "socket netlink uevent", "socket netlink diag"],
    );
}

fn options_of_prctl_are_few() {
    refused_with(
        "EINVAL",
        &[
            "prctl PR_SET_MM",
            "prctl PR_SET_PTRACER",
            "prctl PR_SET_MEMORY_MERGE",
            "prctl PR_SET_SPECULATION_CTRL",
            "prctl PR_SCHED_CORE",
            "prctl PR_SET_SYSCALL_USER_DISPATCH",
            "prctl unknown to anybody",
        ],
    );
    refused_with("ok", &["prctl PR_SET_NAME", "prctl PR_SET_DUMPABLE", "prctl PR_SET_THP_DISABLE"]);
}

fn other_entries_are_closed() {
    refused_with("ENOSYS", &["unknown call"]);
    refused(&["last unknown call"]);
    #[cfg(target_arch = "x86_64")]
    refused(&["int 0x80 getpid", "x32 getpid"]);
}

fn kernel_interfaces_are_refused() {
    refused(&[
        "bpf",
        "perf_event_open",
        "keyctl",
        "add_key",
        "io_uring_setup",
        "open_by_handle_at",
        "init_module",
        "kexec_load",
        "reboot",
        "settimeofday",
        "syslog",
        "swapon",
        "iopl",
        "nice -5",
        "raise core limit",
    ]);
}

fn no_leaked_descriptors() {
    let fds: Vec<&String> = baseline()["fds"].as_object().unwrap().keys().collect();
    assert_eq!(fds, ["0", "1", "2"], "{}", baseline()["fds"]);
    refused_with("EBADF", &["leaked directory"]);
    refused(&["stdin's directory"]);
}

fn the_environment_is_the_specs() {
    let environment = baseline()["environment"].as_object().unwrap();
    let keys: Vec<&String> = environment.keys().collect();
    assert_eq!(keys, ["GREETING", "PATH"]);
    assert_eq!(environment["GREETING"], "hello");
    assert!(!baseline().to_string().contains(careless::SECRET));
}

fn callers_habits_do_not_leak() {
    let report = baseline();
    let status = |name: &str| u64::from_str_radix(report["status"][name].as_str().unwrap(), 16).unwrap();
    assert_eq!(status("SigBlk"), 0);
    // The probe is a Rust program, whose runtime ignores SIGPIPE by itself.
    assert_eq!(status("SigIgn") & !(1 << (libc::SIGPIPE - 1)), 0);
    assert_eq!(report["umask"], 0o022);
    assert_eq!(report["nice"], 0);
    assert_eq!(report["personality"].as_str().unwrap().trim(), "00000000");
    assert_eq!(report["core"], serde_json::json!([0, 0]));
    assert_eq!(report["cwd"], "/");
    assert_eq!(report["hostname"], "probe");
}

fn own_session_and_no_terminal() {
    let report = baseline();
    assert_eq!(report["sid"], report["pid"], "leads its session");
    assert_eq!(report["pgid"], report["pid"]);
    refused(&["open /dev/tty", "TIOCSTI", "TIOCSTI in disguise", "TIOCLINUX"]);
}

fn identity_files_are_synthetic() {
    let names = |file: &str| -> Vec<String> {
        let text = baseline()[file].as_str().unwrap();
        text.lines().map(|l| l.split(':').next().unwrap().to_owned()).collect()
    };
    let users = names("passwd");
    assert!(users.contains(&"www-data".to_owned()), "{users:?}");
    assert!(users.iter().all(|u| ["root", "www-data", "nobody"].contains(&u.as_str())), "{users:?}");
    assert!(names("group").contains(&"www-data".to_owned()));
}

fn devices_are_the_basic_set() {
    let expected = serde_json::json!([
        "fd", "full", "null", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"
    ]);
    assert_eq!(baseline()["dev"], expected);
}

fn every_namespace_is_new() {
    for kind in ["cgroup", "ipc", "mnt", "pid", "uts"] {
        let ours = std::fs::read_link(format!("/proc/thread-self/ns/{kind}")).unwrap();
        assert_ne!(baseline()["namespaces"][kind], ours.to_str().unwrap(), "{kind}");
    }
    let ours = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    assert_eq!(
        baseline()["namespaces"]["net"],
        ours.to_str().unwrap(),
        "the network is the host's by default"
    );
}
