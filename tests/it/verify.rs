//! `jail verify`: every shape of jail holds what it promises, what is given up is named, and a jail
//! with one wall missing is found out.
//!
//! Must not know: how a promise is tried.

use crate::careless;
use crate::host::{self, isolated, mount_tmpfs, own_run, processes_of, wait_until};
use crate::network::{MEANT_FOR_IT, high, with_sockets};
use crate::ring::Ring::{Root, Rootless, Server};
use crate::ring::{Test, test};
use crate::run::{Room, Run, finish, jail, jail_as_stranger};
use jail::jail::network::TcpPorts;
use jail::jail::path::AbsPath;
use jail::plan::Step;
use jail::verify::expect::{self, World};
use nix::unistd::{Gid, Uid, chown};
use serde_json::Value;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    let mut tests = vec![
        test(Server("nginx"), "verify::nginx", || shipped("nginx")),
        test(Server("nginx"), "verify::nginx_no_network", || isolated(|| shipped("nginx-no-network"))),
        test(Server("redis-server"), "verify::redis", || shipped("redis")),
        test(Server("memcached"), "verify::memcached", || shipped("memcached")),
        test(Root, "verify::python", || isolated(python)),
        test(Root, "verify::hello", || shipped("hello")),
        test(Root, "verify::shell", || shipped("shell")),
        test(Root, "verify::hand_made_shapes", hand_made_shapes),
        test(Root, "verify::foreign_roots", foreign_roots),
        test(Root, "verify::what_is_given_up_is_named", what_is_given_up_is_named),
        test(Root, "verify::capabilities_and_calls_are_named", capabilities_and_calls_are_named),
        test(Root, "verify::submounts", || isolated(submounts)),
        test(Root, "verify::ports", || isolated(ports)),
        test(Root, "verify::passed_sockets", || isolated(passed_sockets)),
        test(Root, "verify::user_namespace", user_namespace),
        test(Root, "verify::nothing_is_left", nothing_is_left),
        test(Root, "verify::json_and_strict", json_and_strict),
        test(Root, "verify::what_is_wrong_is_said_as_by_run", what_is_wrong_is_said_as_by_run),
        test(Rootless, "verify::rootless", rootless),
        test(Root, "verify::each_number_is_tried", each_number_is_tried),
    ];
    tests.push(test(Root, "verify::attempts_work_where_nothing_stands_in_their_way", || {
        let room = Room::new();
        let (path, name) = (room.open_directory("written"), room.unique());
        isolated(move || attempts_work_where_nothing_stands_in_their_way(&path, &name));
    }));
    for part in 0..PARTS {
        let name = format!("verify::a_missing_wall_is_found_{part}");
        tests.push(test(Server("nginx"), name, move || isolated(move || a_missing_wall_is_found(part, ""))));
    }
    tests.push(test(Root, "verify::a_missing_wall_is_found_in_place", || {
        isolated(|| a_missing_wall_is_found(0, "share-namespaces = [\"pid\"]"));
    }));
    tests
}

/// A report, whatever it says.
#[track_caller]
pub fn report(command: &mut Command) -> (i32, Value) {
    let run = finish(command);
    let value = serde_json::from_str(&run.stdout)
        .unwrap_or_else(|e| panic!("no report: {e}\n{}\n{}", run.stdout, run.stderr));
    (run.status.code().expect("an exit status"), value)
}

/// Names of promises with this verdict.
pub fn with<'a>(report: &'a Value, verdict: &str) -> Vec<&'a str> {
    let promises = report["promises"].as_array().expect("promises").iter();
    promises.filter(|p| p["verdict"] == verdict).map(|p| p["name"].as_str().unwrap()).collect()
}

fn by<'a>(report: &'a Value, name: &str) -> &'a str {
    let promises = report["promises"].as_array().expect("promises");
    promises.iter().find(|p| p["name"] == name).and_then(|p| p["by"].as_str()).unwrap_or("nobody")
}

/// Nothing is open, and only these are given up.
#[track_caller]
fn holds(command: &mut Command, given_up: &[&str]) -> Value {
    let (code, report) = report(command);
    assert_eq!(with(&report, "open"), [""; 0], "{report:#}");
    assert_eq!(code, 0);
    assert_eq!(with(&report, "given-up"), given_up, "{report:#}");
    for promise in report["promises"].as_array().unwrap() {
        assert!(promise["tried"].as_u64().unwrap() > 0, "nothing was tried: {promise}");
    }
    assert_eq!(report["promises"].as_array().unwrap().len(), 33);
    report
}

fn words<'a>(spec: &'a Path, more: &[&'a str]) -> Vec<&'a std::ffi::OsStr> {
    let mut words = vec!["verify".as_ref(), "--json".as_ref(), spec.as_os_str()];
    words.extend(more.iter().map(|word| std::ffi::OsStr::new(*word)));
    words
}

fn shipped(name: &str) {
    let given_up: &[&str] = match name {
        "nginx" => &["host", "ports"],
        "nginx-no-network" => &[],
        _ => &["host"],
    };
    holds(&mut jail(["verify", "--json", name]), given_up);
}

fn python() {
    let _srv = mount_tmpfs(Path::new("/srv"));
    std::fs::create_dir("/srv/www").unwrap();
    shipped("python");
}

/// A spec of these tables, whose program does not exist.
fn spec(room: &Room, name: &str, more: &str) -> PathBuf {
    room.file(
        &format!("{name}.toml"),
        &format!("[process]\ncommand = [\"/bin/none\", \"a b\", \"\"]\n{more}"),
    )
}

fn hand_made_shapes() {
    let room = Room::new();
    let data = room.open_directory("data");
    let data = data.display();
    let files = format!(
        "user = \"www-data\"\ngroups = [\"adm\"]\nenv = {{ A = \"1\" }}\nnice = 5\numask = \"0077\"\ncwd = \"/tmp\"\n\
         rlimits = {{ nofile = 100, cpu = 1000, fsize = \"1M\" }}\n\
         [files]\nread = [\"/usr\", \"/etc/hosts\"]\nwrite = [{{ path = \"{data}\", at = \"/data\" }}]\n\
         tmpfs = [\"/tmp\", {{ path = \"/run\", size = \"1M\", inodes = 64 }}]\n"
    );
    let shapes: &[(&str, String, &[&str])] = &[
        ("empty", String::new(), &["host"]),
        ("usual", files.clone(), &["host"]),
        ("in-place", format!("{files}[privileges]\nshare-namespaces = [\"pid\"]\n"), &["see", "namespaces", "host"]),
        (
            "shared",
            format!("{files}[privileges]\nshare-namespaces = [\"pid\", \"ipc\", \"uts\", \"cgroup\"]\n"),
            &["see", "ipc", "namespaces", "host"],
        ),
        (
            "bare",
            "[files]\ndev = [\"none\"]\nproc = \"none\"\n[network]\nmode = \"none\"\n[privileges]\nsystem-calls = [\"@core\"]\n"
                .into(),
            &[],
        ),
        (
            "fork-only",
            "[network]\nmode = \"none\"\n[privileges]\nsystem-calls = [\"@core\", \"clone\"]\n".into(),
            &[],
        ),
        (
            "root",
            "user = \"root\"\n[files]\nread = [\"/usr\"]\nproc = \"full\"\ndev = [\"pts\"]\ntmpfs = [\"/tmp\"]\n".into(),
            &["host"],
        ),
        ("terminal", "terminal = true\n".into(), &["host"]),
        (
            "kill",
            "[files]\nread = [\"/usr\"]\nexec = [\"/usr/bin/id\"]\ntmpfs = [\"/tmp\"]\n\
             [privileges]\nsystem-call-action = \"kill\"\nsocket-families = [\"unix\"]\n"
                .into(),
            &[],
        ),
        (
            "log",
            "[files]\ntmpfs = [\"/tmp\"]\n[privileges]\nsystem-call-action = \"log\"\nsocket-families = [\"unix\"]\n"
                .into(),
            &["execute", "system-calls", "memory", "interfaces", "new-namespaces"],
        ),
    ];
    for (name, more, given_up) in shapes {
        println!("{name}");
        holds(&mut jail(words(&spec(&room, name, more), &[])), given_up);
    }
    assert_eq!(std::fs::read_dir(room.path().join("data")).unwrap().count(), 0, "nothing stays in data");
}

fn foreign_roots() {
    let room = Room::new();
    for name in ["usr", "proc", "dev", "tmp", "etc"] {
        std::fs::create_dir_all(room.path().join("tree").join(name)).unwrap();
    }
    let tree = room.path().join("tree");
    let before = host::listing(&tree);
    for (name, root) in [
        ("read-only", format!("root = \"{}\"", tree.display())),
        ("writable", format!("root = {{ path = \"{}\", write = true }}", tree.display())),
    ] {
        let more = format!("[files]\n{root}\ntmpfs = [\"/tmp\"]\n");
        holds(&mut jail(words(&spec(&room, name, &more), &[])), &["host"]);
    }
    assert_eq!(host::listing(&tree), before, "nothing stays in the tree");
}

fn what_is_given_up_is_named() {
    let room = Room::new();
    let usual = spec(&room, "usual", "[files]\nread = [\"/usr\"]\ntmpfs = [\"/tmp\"]\n");
    let seccomp: &[&str] =
        &["execute", "system-calls", "entries", "memory", "interfaces", "new-namespaces", "families", "host"];
    let cases: &[(&str, &[&str])] = &[
        ("landlock", &["landlock", "host", "abstract-sockets"]),
        ("seccomp", seccomp),
        ("keyring", &["host", "keyring"]),
        ("memory-deny-write-execute", &["memory", "host"]),
    ];
    for (feature, given_up) in cases {
        let report = holds(&mut jail(words(&usual, &["--without", feature])), given_up);
        let wanted = format!("--without {feature}");
        let others = given_up.iter().filter(|name| **name != "host");
        for name in others {
            // The 32-bit entry may be closed on this kernel; what is blamed is the feature.
            assert_eq!(by(&report, name), wanted, "{name}");
        }
        assert_eq!(by(&report, "host"), "network mode = \"host\"");
    }
    let in_place = spec(&room, "in-place", "[privileges]\nshare-namespaces = [\"pid\"]\n");
    let mut command = jail(words(&in_place, &["--without", "session"]));
    // No session of its own is asked for, but it leads none: it is the caller's.
    let (code, report) = report(&mut command);
    assert_eq!((code, by(&report, "session")), (0, "--without session"), "{report:#}");
    let all = ["session", "landlock"].map(|f| ["--without", f]).concat();
    let (_, report) = self::report(&mut jail(words(&in_place, &all)));
    assert_eq!(with(&report, "open"), [""; 0], "{report:#}");
}

fn capabilities_and_calls_are_named() {
    let room = Room::new();
    let more = "[files]\nread = [\"/usr\"]\ntmpfs = [{ path = \"/tmp\", exec = true }]\n\
        [privileges]\ncapabilities = [\"SETUID\", \"SETGID\", \"SYS_CHROOT\", \"NET_RAW\", \"NET_BIND_SERVICE\"]\n\
        system-calls = [\"@service\", \"@setuid\", \"@chroot\", \"@namespace\", \"@memfd\", \"@io-uring\"]\n\
        memory-deny-write-execute = false\n";
    let given_up = [
        "mount",
        "execute",
        "ids",
        "groups",
        "memory",
        "interfaces",
        "new-namespaces",
        "families",
        "host",
        "ports",
    ];
    let report = holds(&mut jail(words(&spec(&room, "open", more), &[])), &given_up);
    assert_eq!(by(&report, "mount"), "capabilities SYS_CHROOT");
    assert_eq!(by(&report, "execute"), "exec = true, system-calls");
    assert_eq!(by(&report, "ids"), "capabilities SETGID, capabilities SETUID");
    assert_eq!(by(&report, "groups"), "capabilities SETGID");
    assert_eq!(by(&report, "memory"), "memory-deny-write-execute");
    assert_eq!(by(&report, "interfaces"), "system-calls");
    assert_eq!(by(&report, "new-namespaces"), "system-calls");
    assert_eq!(by(&report, "families"), "capabilities NET_RAW");
    assert_eq!(by(&report, "ports"), "capabilities NET_BIND_SERVICE");
}

fn submounts() {
    let room = Room::new();
    let below = room.open_directory("shown/below");
    let _below = mount_tmpfs(&below);
    let more = format!(
        "[files]\nread = [{{ path = \"{}\", at = \"/shown\" }}]\n",
        room.path().join("shown").display()
    );
    let spec = spec(&room, "submounts", &more);
    holds(&mut jail(words(&spec, &[])), &["host"]);
    // And if its attributes were not set on what is mounted below, it would be seen.
    let step =
        steps(&spec).iter().position(|s| s["text"].as_str().unwrap().contains("/shown, ")).unwrap() + 1;
    let (code, report) = report(jail(words(&spec, &[])).env("JAIL_WEAKEN_STEP", step.to_string()));
    assert_eq!(code, 1);
    let write = report["promises"].as_array().unwrap().iter().find(|p| p["name"] == "write").unwrap();
    // Not EROFS: Landlock and the file's mode still refuse it, the mount does not.
    assert!(write.to_string().contains("change /shown/below: EPERM"), "{write:#}");
    assert_eq!(std::fs::read_dir(below).unwrap().count(), 0);
}

/// Runs with the step of this kind missing; the names of the promises that are open.
#[track_caller]
fn open_without(spec: &Path, kind: &str) -> Vec<String> {
    let index = steps(spec).iter().position(|s| s["step"] == kind).unwrap_or_else(|| panic!("no {kind}"));
    let (code, report) = report(jail(words(spec, &[])).env("JAIL_WEAKEN_STEP", (index + 1).to_string()));
    assert_eq!(code, 1, "{kind}: {report:#}");
    with(&report, "open").into_iter().map(str::to_owned).collect()
}

/// What got through against a promise.
#[track_caller]
fn findings<'a>(report: &'a Value, name: &str) -> &'a Value {
    let promises = report["promises"].as_array().unwrap();
    &promises.iter().find(|p| p["name"] == name).unwrap_or_else(|| panic!("no {name}"))["findings"]
}

fn ports() {
    let room = Room::new();
    let both = "bind = [2001, 80]\nconnect = [2001]";
    let shapes: &[(&str, &str, &str, &[&str])] = &[
        ("both", both, "", &["host"]),
        ("bind", "bind = [2001]", "", &["host"]),
        ("connect", "connect = [2001]", "", &["host"]),
        ("nothing", "bind = []\nconnect = []", "", &["host"]),
        ("any-free", "bind = [0]", "", &["host"]),
        ("no-network", "mode = \"none\"\nbind = [2002]\nconnect = [5432]", "", &[]),
        ("in-place", both, "share-namespaces = [\"pid\"]", &["see", "namespaces", "host"]),
        ("privileged", both, "capabilities = [\"NET_BIND_SERVICE\"]", &["host"]),
        ("few-families", both, "socket-families = [\"unix\"]", &["host"]),
    ];
    let spec = |name: &str, network: &str, privileges: &str| {
        let more = format!("[files]\nread = [\"/usr\"]\n[network]\n{network}\n[privileges]\n{privileges}\n");
        spec(&room, name, &more)
    };
    for (name, network, privileges, given_up) in shapes {
        println!("{name}");
        holds(&mut jail(words(&spec(name, network, privileges), &[])), given_up);
    }
    let both = spec("both", both, "");
    for limits in [both.clone(), spec("no-network", "mode = \"none\"\nbind = [2002]\nconnect = [5432]", "")] {
        for kind in ["landlock-rules", "port-filter"] {
            let open = open_without(&limits, kind);
            assert!(open.contains(&"ports".to_owned()), "{kind}: {open:?}");
            let host = limits == both;
            assert_eq!(open.contains(&"host".to_owned()), host, "{kind}: {open:?}");
        }
    }
    // Given up by name, each way.
    let report = holds(&mut jail(words(&both, &["--without", "network-ports"])), &["host", "ports"]);
    assert_eq!(by(&report, "ports"), "--without network-ports");
    let (code, report) = self::report(&mut jail(words(&both, &["--without", "seccomp"])));
    assert_eq!((code, with(&report, "open").len()), (0, 0), "{report:#}");
    assert_eq!(by(&report, "ports"), "--without seccomp");
    let found = findings(&report, "ports").to_string();
    assert!(!found.contains("TCP port"), "Landlock holds without the filter: {found}");
    assert!(found.contains("by MPTCP") && found.contains("by Fast Open"), "{found}");
}

const PASSED: &str = "mode = \"none\"\nlisten = [\"127.0.0.1:80\", { address = \"[::]:80\", name = \"six\" }, \
                      \"udp:127.0.0.1:53\", { address = \"unix:/run/x.sock\", name = \"file\" }, \"0.0.0.0:443\"]";

fn passed_sockets() {
    let _run = own_run();
    let room = Room::new();
    let spec = |name: &str, network: &str, more: &str| {
        spec(&room, name, &format!("env = {{ LISTEN_FDS = \"9\" }}\n[network]\n{network}\n{more}"))
    };
    let five = spec("five", PASSED, "");
    // A careless caller has leaked a directory at a number that one of the sockets gets.
    let mut command = jail(words(&five, &[]));
    careless::make(&mut command, room.path());
    let report = holds(&mut command, &["end"]);
    assert_eq!(by(&report, "end"), "listen = \"unix:/run/x.sock\"");
    assert_eq!(std::fs::read_dir("/run").unwrap().count(), 0, "what the killed jail left is removed");
    let four = PASSED.replace("{ address = \"unix:/run/x.sock\", name = \"file\" }, ", "");
    let place = "[privileges]\nshare-namespaces = [\"pid\"]";
    holds(&mut jail(words(&spec("four", &four, place), &[])), &["see", "namespaces"]);
    // And after those that a service manager passed.
    let managed = ["127.0.0.1:81", "127.0.0.1:82"].map(|a| std::net::TcpListener::bind(a).unwrap());
    let managed = managed.each_ref().map(high);
    let numbers = managed.each_ref().map(AsRawFd::as_raw_fd);
    for place in ["", place] {
        let own = spec("own", "mode = \"none\"\nlisten = [\"127.0.0.1:83\"]", place);
        let given_up: &[&str] = if place.is_empty() { &[] } else { &["see", "namespaces"] };
        let report = holds(&mut with_sockets(&jail(words(&own, &[])), &numbers, MEANT_FOR_IT), given_up);
        let promises = report["promises"].as_array().unwrap();
        assert!(promises.iter().any(|p| p["promise"].as_str().unwrap().ends_with("passed on purpose")));
    }
    // It listens as the program would, so an address in use is told as by run.
    let _taken = std::net::TcpListener::bind("127.0.0.1:80").unwrap();
    let run = finish(&mut jail(words(&five, &[]))).ended(125);
    assert!(run.stderr.contains("127.0.0.1:80") && run.stdout.is_empty(), "{run:?}");
}

fn user_namespace() {
    let room = Room::new();
    let own = room.open_directory("own");
    std::fs::set_permissions(&own, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let more = format!(
        "[files]\nread = [\"/usr\"]\nwrite = [{{ path = {own:?}, at = \"/own\" }}]\ntmpfs = [\"/tmp\"]\n\
         [privileges]\nuser-namespace = true\ncapabilities = [\"CHOWN\", \"DAC_OVERRIDE\", \"SETUID\", \"SETGID\"]\n\
         system-calls = [\"@service\", \"@setuid\"]\n"
    );
    let spec = spec(&room, "root-inside", &more);
    // Not yet anybody's who is inside: the message says whose it has to be.
    let run = finish(&mut jail(["plan".as_ref(), spec.as_os_str()])).ended(125);
    let (_, first) = run.stderr.split_once("chown ").expect("the remedy");
    let first = first.split(':').next().unwrap().parse().unwrap();
    chown(&own, Some(Uid::from_raw(first)), Some(Gid::from_raw(first))).unwrap();
    holds(&mut jail(words(&spec, &[])), &["ids", "groups", "host"]);
    assert_eq!(open_without(&spec, "map-owners"), ["mounts"]);
    let open = open_without(&spec, "enter-user-namespace");
    for name in ["ids", "namespaces", "every-process"] {
        assert!(open.contains(&name.to_owned()), "{name}: {open:?}");
    }
    assert_eq!(std::fs::read_dir(own).unwrap().count(), 0);
}

fn nothing_is_left() {
    let room = Room::new();
    let data = room.open_directory("data");
    let more = format!("user = \"www-data\"\n[files]\nwrite = [\"{}\"]\n", data.display());
    let spec = spec(&room, "left", &more);
    let before = host::snapshot();
    finish(&mut jail(words(&spec, &[]))).ended(0);
    assert_eq!(host::snapshot(), before);
    wait_until("no process is left", || processes_of(&room.unique()).is_empty());
    assert_eq!(std::fs::read_dir(data).unwrap().count(), 0);
}

fn json_and_strict() {
    let room = Room::new();
    let none = spec(&room, "none", "[network]\nmode = \"none\"\n");
    finish(&mut jail(["verify".as_ref(), "--strict".as_ref(), none.as_os_str()])).ended(0);
    let run =
        finish(&mut jail(["verify".as_ref(), "--strict".as_ref(), none.as_os_str(), "--net=host".as_ref()]));
    let run = run.ended(1);
    assert!(run.stdout.contains("given up  the host's network cannot be reached"), "{}", run.stdout);
    assert!(run.stdout.ends_with("32 held, 1 given up, 0 open\n"), "{}", run.stdout);
    let (_, report) = report(&mut jail(words(&none, &[])));
    assert_eq!((&report["name"], &report["held"], &report["open"]), (&"none".into(), &33.into(), &0.into()));
}

fn what_is_wrong_is_said_as_by_run() {
    let room = Room::new();
    let bad = room.file("bad.toml", "[process]\ncomand = [\"/bin/true\"]\n");
    let run: Run = finish(&mut jail(["verify".as_ref(), bad.as_os_str()])).ended(2);
    assert!(run.stderr.contains("did you mean `command`?") && run.stdout.is_empty(), "{run:?}");
    let good = spec(&room, "good", "[files]\nread = [\"/usr\"]\n");
    let mut command = jail(["verify".as_ref(), good.as_os_str()]);
    let run = finish(command.env("JAIL_FAIL_AT_STEP", "10")).ended(125);
    assert!(run.stderr.starts_with("jail: cannot ") && run.stderr.contains("step 10 of "), "{run:?}");
    assert_eq!(run.stderr.lines().filter(|l| l.starts_with("jail: ")).count(), 1, "{run:?}");
    assert!(run.stdout.is_empty(), "{run:?}");
}

fn rootless() {
    let room = Room::new();
    holds(&mut jail_as_stranger(["verify", "--json", "hello"]), &["host"]);
    let none = spec(&room, "none", "[network]\nmode = \"none\"\n");
    holds(&mut jail_as_stranger(words(&none, &[])), &[]);
    let in_place =
        spec(&room, "in-place", "[files]\nproc = \"none\"\n[privileges]\nshare-namespaces = [\"pid\"]\n");
    let (code, report) = report(&mut jail_as_stranger(words(&in_place, &[])));
    assert_eq!((code, with(&report, "open").len()), (0, 0), "{report:#}");
}

fn each_number_is_tried() {
    let (_, report) = report(&mut jail(["verify", "--json", "hello"]));
    let promises = report["promises"].as_array().unwrap();
    let calls = promises.iter().find(|p| p["name"] == "system-calls").unwrap();
    assert!(calls["tried"].as_u64().unwrap() > 1000, "{calls:#}");
    let note = calls["note"].as_str().unwrap();
    assert!(note.ends_with("not tried: exit exit_group rt_sigreturn pause sync uprobe uretprobe"), "{note}");
    // The kernel itself refuses few of them: most of the proof is the filter's alone.
    let numbers: Vec<u32> =
        note.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    assert!(numbers[2] * 3 > numbers[1] * 2, "{note}");
}

/// The table of missing walls is tried in parts, side by side.
const PARTS: usize = 3;

/// Which promise is open when a step of this kind is left out or weakened. Empty: another wall holds
/// alone. `None`: then the jail is not started at all.
fn opened(step: &Value) -> Option<&'static [&'static str]> {
    let text = step["text"].as_str().unwrap();
    Some(match step["step"].as_str().unwrap() {
        "open-tree" if text.contains(", ro,") && text.contains("open directory") => &["mounts", "write"],
        "open-tree" => &["mounts"],
        "tmpfs" => &["mounts", "execute"],
        "proc" => &["see", "interfaces"],
        "unshare" => &["namespaces", "ipc"],
        "keyring" => &["keyring"],
        "pivot-root" => &["read", "mounts"],
        "seal-root" => &["mounts", "write"],
        "hostname" | "umask" | "nice" | "reset-process" => &["habits"],
        "rlimit" => &["limits"],
        "bounding-set" => &["capabilities", "every-process"],
        "capabilities" => &["capabilities"],
        "groups" => &["groups"],
        "gid" | "uid" => &["ids", "every-process"],
        // Pid 1 sees the end of its socket, too.
        "die-with-parent" => &[],
        "session" => &["session"],
        "deny-write-execute" => &["memory"],
        "close-descriptors" => &["descriptors"],
        "landlock-restrict" => &["landlock"],
        "seccomp" => &["system-calls", "entries"],
        "no-new-privileges" => return None,
        other => panic!("{other} is not in the table"),
    })
}

/// Steps that cannot be spared: without them there is no jail to look into.
const NEEDED: &[&str] = &[
    "isolate",
    "make-private",
    "create-directory",
    "open-file",
    "raise-limit",
    "new-root",
    "directory",
    "link",
    "text",
    "copy",
    "attach",
    "loopback-up",
    "keep-live",
    "check-mounts",
    "landlock-rules",
    "working-directory",
    "check-process",
    "execute",
];

fn steps(spec: &Path) -> Vec<Value> {
    let plan = finish(&mut jail(["plan".as_ref(), "--json".as_ref(), spec.as_os_str()])).ended(0);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    plan["steps"].as_array().unwrap().clone()
}

/// The shipped nginx, started by a careless caller, with each step missing in turn.
fn a_missing_wall_is_found(part: usize, privileges: &str) {
    let room = Room::new();
    room.file("secret/file", careless::SECRET);
    let spec = room.file("weak.toml", &format!("include = [\"nginx\"]\n[privileges]\n{privileges}\n"));
    let in_place = !privileges.is_empty();
    let mut tried = 0;
    for (index, step) in steps(&spec).iter().enumerate() {
        let kind = step["step"].as_str().unwrap();
        // In place only what is done otherwise there.
        let chosen = if in_place {
            ["session", "close-descriptors", "reset-process", "seccomp", "uid"].contains(&kind)
        } else {
            index % PARTS == part
        };
        if NEEDED.contains(&kind) || !chosen {
            continue;
        }
        tried += 1;
        let mut command = jail(words(&spec, &[]));
        careless::make(&mut command, &room.path().join("secret"));
        command.env("JAIL_WEAKEN_STEP", (index + 1).to_string());
        let run = finish(&mut command);
        let Some(wanted) = opened(step) else {
            assert_eq!(run.status.code(), Some(125), "without {kind} nothing starts: {run:?}");
            continue;
        };
        let report: Value =
            serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{kind}: {e}\n{run:?}"));
        let open = with(&report, "open");
        for name in wanted {
            assert!(open.contains(name), "without `{}`, {name} is not open: {report:#}", step["text"]);
        }
        assert_eq!(run.status.code(), Some(i32::from(!wanted.is_empty())), "{kind}: {report:#}");
    }
    assert!(tried >= 4, "{tried} steps");
    if part == 0 {
        // And with nothing missing, the same careless caller changes nothing.
        let mut command = jail(words(&spec, &[]));
        careless::make(&mut command, &room.path().join("secret"));
        let (code, report) = report(&mut command);
        assert_eq!((code, with(&report, "open").len()), (0, 0), "{report:#}");
    }
}

/// What cannot work here, and why.
const IN_VAIN: &[(&str, &str)] = &[
    ("clear no_new_privs", "no kernel lets it"),
    ("/proc/1/", "the host's pid 1 may be of another container"),
    (" 1", "the same"),
    ("of 1", "the same"),
    ("pid 1's", "the same"),
    ("kill a process group", "the tests lead none"),
    ("the user namespace outside", "it is this one"),
    ("/dev/", "a container has few devices"),
    ("on 0", "a socket"),
    ("TIOCLINUX", "only a console has it"),
    ("on 2", "as the tests were started"),
    ("the listed port", "it is to work everywhere"),
];

/// What a kernel or a host may lack: ENOENT, ENOSYS, EAFNOSUPPORT, and EPROTONOSUPPORT.
const LACKING: &[i64] = &[-2, -38, -97, -93];

/// The control: an attempt that fails for root in no jail proves nothing about any jail.
fn attempts_work_where_nothing_stands_in_their_way(written: &Path, name: &str) {
    let shown = Path::new("/usr/src");
    // They end with this thread's mount table: the attempts move them.
    std::mem::forget((mount_tmpfs(written), mount_tmpfs(shown)));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = format!("jail-test-{name}");
    let address =
        <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(&socket);
    let _socket = std::os::unix::net::UnixListener::bind_addr(&address.unwrap()).unwrap();
    let path = |path: &Path| AbsPath::new(path.to_str().unwrap()).unwrap();
    let prober = jail::serve::prober::outside().unwrap();
    let key = i64::from(std::process::id());
    let ipc = expect::Ipc { key, ids: [None; 3], queue: name.to_owned() };
    let made = prober.ask(&expect::make_ipc(&ipc)).unwrap();
    let ipc = expect::Ipc { ids: [0, 1, 2].map(|n| made.result(n).filter(|id| *id >= 0)), ..ipc };
    let world = World {
        mounts: vec![(path(written), true), (path(shown), true)],
        hidden: ["/etc/shadow", "/root", "/dev/null"].map(|p| path(Path::new(p))).into(),
        outside: std::process::id().cast_signed(),
        socket,
        port: listener.local_addr().unwrap().port(),
        first_port: 1024,
        ipc,
        ..World::default()
    };
    let (mut plan, _) = crate::plans::planned("hello");
    plan.supervision.pid_namespace = false;
    for planned in &mut plan.steps {
        if let Step::LandlockRules { ports, .. } = &mut planned.step {
            *ports = TcpPorts { bind: Some(vec![2001]), connect: Some(vec![2001]) };
        }
    }
    let mut promises = expect::promises(&plan, &world);
    // What changes the mounts comes last.
    promises.sort_by_key(|p| p.name == "mount");
    let (mut vain, mut worked) = (Vec::new(), 0);
    for promise in &promises {
        // pivot_root would change the root of this thread, too.
        for attempt in promise.attempts.iter().filter(|a| !a.bare && a.what != "pivot_root") {
            let reply = prober.ask(&attempt.batch).unwrap();
            let lacking = reply.results.iter().flatten().any(|n| LACKING.contains(n));
            let known = IN_VAIN.iter().any(|(what, _)| attempt.what.contains(what));
            match jail::verify::judge(attempt, &reply).holds {
                false => worked += 1,
                true if lacking || known => {}
                true => vain.push(format!("{}: {} {:?}", promise.name, attempt.what, reply.results)),
            }
        }
    }
    prober.ask(&expect::remove_ipc(&world.ipc)).unwrap();
    assert_eq!(vain, [""; 0], "in vain although nothing stands in the way: {vain:#?}");
    assert!(worked > 100, "{worked}");
}
