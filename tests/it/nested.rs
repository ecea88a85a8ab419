//! Where jail starts with less than the host's root has: in user namespaces, without a capability,
//! without /proc.
//!
//! Must not know: how jail finds that out.

use crate::host::{isolated, mount_tmpfs};
use crate::promises::{SETS, has, mount_at};
use crate::ring::Ring::{Root, Rootless};
use crate::run::{Live, Room, Run, STRANGER, finish, jail, jail_as_stranger, jail_binary, state_directory};
use crate::tests;
use std::path::Path;
use std::process::{Command, Stdio};

tests! {
    Rootless => [
        the_promises_hold_without_root, root_of_a_single_id_is_like_any_user, terminals_of_its_own_without_root,
    ],
    Root => [
        an_id_that_does_not_exist_is_named, a_capability_that_is_missing_is_named, without_proc_it_says_so,
    ],
}

/// `jail` as the stranger who has made himself root of a user namespace.
fn jail_as_own_root(words: &[&str]) -> Run {
    let mut command = Command::new("/usr/bin/setpriv");
    let id = STRANGER.to_string();
    if nix::unistd::geteuid().is_root() {
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"]);
    }
    command.args(["/usr/bin/unshare", "-Ur"]).arg(jail_binary()).args(words);
    finish(
        command
            .env_clear()
            .env("JAIL_STATE", state_directory())
            .env("PATH", "/usr/bin:/bin")
            .current_dir("/")
            .stdin(Stdio::null()),
    )
}

fn root_of_a_single_id_is_like_any_user() {
    let hello = jail_as_own_root(&["run", "hello"]).ended(0);
    assert!(
        !hello.stdout.contains("NOT REFUSED") && hello.stdout.contains("refused  mount"),
        "{}",
        hello.stdout
    );
    let id = ["--read", "/usr", "--", "/usr/bin/id", "-u"];
    assert_eq!(jail_as_own_root(&[&["run", "--user", "0"], &id[..]].concat()).ended(0).stdout, "0\n");
    let refused = jail_as_own_root(&[&["run", "--user", "daemon"], &id[..]].concat()).ended(125);
    assert!(
        refused.stderr.contains("has a single id") && refused.stderr.contains("help: "),
        "{}",
        refused.stderr
    );
}

fn terminals_of_its_own_without_root() {
    let room = Room::new();
    let text =
        "[process]\ncommand = [\"/bin/ls\", \"/dev/pts\"]\n[files]\nread = [\"/usr\"]\ndev = [\"pts\"]\n";
    let spec = room.file("pts.toml", text);
    if nix::unistd::geteuid().is_root() {
        nix::unistd::chown(&spec, Some(STRANGER.into()), None).unwrap();
    }
    let run = finish(&mut jail_as_stranger(["run".as_ref(), spec.as_os_str()]));
    assert_eq!(run.ended(0).stdout, "ptmx\n");
}

/// As in a container with few ids: its map is written from outside.
fn an_id_that_does_not_exist_is_named() {
    let run = |user: &str| {
        let mut command = Command::new("/usr/bin/unshare");
        command.args(["-U", "/bin/sh", "-c", "echo ready; read go; exec \"$0\" \"$@\""]).arg(jail_binary());
        command.args(["run", "--user", user, "--read", "/usr", "--", "/usr/bin/id", "-u"]);
        let mut live = Live::ready(
            command
                .env_clear()
                .env("JAIL_STATE", state_directory())
                .env("PATH", "/usr/bin:/bin")
                .current_dir("/"),
        );
        for map in ["uid_map", "gid_map"] {
            std::fs::write(format!("/proc/{}/{map}", live.pid()), "0 0 1000").unwrap();
        }
        live.say("go");
        live.finish()
    };
    let refused = run("5000").ended(125);
    let what = "the user id 5000 does not exist in the user namespace";
    assert!(
        refused.stderr.contains(what) && refused.stderr.contains("exist there: 0-999"),
        "{}",
        refused.stderr
    );
    assert_eq!(run("33").ended(0).stdout, "33\n");
}

fn a_capability_that_is_missing_is_named() {
    for (capability, user) in [("setpcap", "auto"), ("setgid", "33"), ("setuid", "33")] {
        let mut command = Command::new("/usr/bin/setpriv");
        command.args([&format!("--bounding-set=-{capability}"), "--"]).arg(jail_binary());
        command.args(["run", "--user", user, "--read", "/usr", "--", "/usr/bin/true"]);
        let run = finish(
            command
                .env_clear()
                .env("JAIL_STATE", state_directory())
                .env("PATH", "/usr/bin:/bin")
                .stdin(Stdio::null()),
        )
        .ended(125);
        let named = format!("help: jail needs CAP_{} ", capability.to_uppercase());
        assert!(run.stderr.contains(&named), "{}", run.stderr);
    }
}

fn without_proc_it_says_so() {
    let words = ["run", "--read", "/usr", "--", "/usr/bin/true"];
    finish(&mut jail(words)).ended(0);
    isolated(move || {
        let _nothing = mount_tmpfs(Path::new("/proc"));
        let run = finish(&mut jail(words)).ended(125);
        assert!(run.stderr.starts_with("jail: cannot find the host's /proc: "), "{}", run.stderr);
        assert!(run.stderr.contains("help: mount it"), "{}", run.stderr);
    });
}

/// What a program may do in a jail without root, of all that the probe tries.
const ALLOWED: &[&str] = &[
    "prctl PR_SET_DUMPABLE",
    "prctl PR_SET_NAME",
    "prctl PR_SET_THP_DISABLE",
    "socket inet",
    "socket inet6",
    "socket netlink",
    "socket unix",
    "write /data",
    "write /dev/full",
    "write /dev/null",
    "write /dev/random",
    "write /dev/shm",
    "write /dev/urandom",
    "write /dev/zero",
    "write /tmp",
];

/// Everything that the probe tries is refused, but for a few things.
fn the_promises_hold_without_root() {
    let room = Room::new();
    room.file("secret/file", "secret\n");
    room.open_directory("data");
    let path = room.path().display();
    let files = format!(
        "read = [\"/usr\", {}]\nwrite = [{{ path = \"{path}/data\", at = \"/data\" }}]\ntmpfs = [\"/tmp\"]",
        room.probe_entry()
    );
    let outside = format!("outside={path}/secret/file,/root,/home,/var/lib");
    let words = ["exec=/tmp,/data,/dev/shm", &outside, &format!("pid={}", std::process::id())];
    let spec = room.probe_spec(&words, &[("files", &files)]);
    if nix::unistd::geteuid().is_root() {
        nix::unistd::chown(&spec, Some(STRANGER.into()), None).unwrap();
    }
    let report = finish(&mut jail_as_stranger(["run".as_ref(), spec.as_os_str()])).report();
    let attempts = report["attempts"].as_object().unwrap();
    let done: Vec<&String> =
        attempts.iter().filter(|(_, came)| *came == "ok").map(|(name, _)| name).collect();
    assert_eq!(done, ALLOWED);
    assert!(attempts.len() > 120, "{} attempts", attempts.len());
    for set in SETS {
        assert_eq!(report["status"][set], "0000000000000000", "{set}");
    }
    assert_eq!((&report["status"]["NoNewPrivs"], &report["status"]["Seccomp"]), (&"1".into(), &"2".into()));
    for mount in report["mounts"].as_array().unwrap() {
        assert!(has(mount, "nosuid") && mount["optional"] == serde_json::json!([]), "{mount}");
    }
    for path in ["/", "/usr", "/probe"] {
        assert!(has(mount_at(&report, path)[0], "ro"), "{path}");
    }
}
