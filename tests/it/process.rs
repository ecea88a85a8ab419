//! The jail as a process: it ends as its program ends, passes streams on untouched, and leaves
//! nothing running.
//!
//! Must not know: how the outer process and pid 1 do it.

use crate::host::{processes_of, wait_until};
use crate::ring::Ring::{Root, Rootless};
use crate::ring::{Test, test};
use crate::run::{Live, Room, finish, jail, jail_as_stranger};
use std::fs::File;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Who starts the jail: the behaviour is the same.
type Start = fn(&[&str], &Path) -> Command;

/// A test of the behaviour.
type Body = fn(Start);

fn as_root(words: &[&str], spec: &Path) -> Command {
    let mut command = jail(words);
    command.arg(spec);
    command
}

fn as_stranger(words: &[&str], spec: &Path) -> Command {
    let mut command = jail_as_stranger(words);
    command.arg(spec);
    command
}

/// The tests of this file: most of them in both rings.
pub fn tests() -> Vec<Test> {
    let both: [(&str, Body); 10] = [
        ("exit_status_is_mirrored", exit_status_is_mirrored),
        ("death_by_signal_is_mirrored", death_by_signal_is_mirrored),
        ("limits_do_not_hinder_the_set_up", limits_do_not_hinder_the_set_up),
        ("orphans_are_reaped", orphans_are_reaped),
        ("a_daemon_is_ended_with_a_hint", a_daemon_is_ended_with_a_hint),
        ("closed_output_is_seen_by_its_reader", closed_output_is_seen_by_its_reader),
        ("input_arrives", input_arrives),
        ("the_jail_dies_with_the_outer_process", the_jail_dies_with_the_outer_process),
        ("closed_standard_streams_are_survived", closed_standard_streams_are_survived),
        ("in_place_there_is_no_helper", in_place_there_is_no_helper),
    ];
    let mut tests = Vec::new();
    for (name, body) in both {
        tests.push(test(Root, format!("process::root::{name}"), move || body(as_root)));
        tests.push(test(Rootless, format!("process::rootless::{name}"), move || body(as_stranger)));
    }
    tests.push(test(Rootless, "process::rootless::ids_and_capabilities", ids_and_capabilities));
    tests.push(test(Rootless, "process::rootless::what_needs_root_says_so", what_needs_root_says_so));
    tests.push(test(
        Root,
        "process::root::a_directory_as_a_stream_is_refused",
        a_directory_as_a_stream_is_refused,
    ));
    tests.push(test(
        Root,
        "process::root::a_job_of_a_shell_is_not_run_in_place",
        a_job_of_a_shell_is_not_run_in_place,
    ));
    tests.push(test(
        Root,
        "process::root::a_session_led_from_outside_the_pid_namespace",
        a_session_led_from_outside_the_pid_namespace,
    ));
    tests.push(test(
        Root,
        "process::root::the_outer_process_holds_nothing_but_the_right_to_signal",
        the_outer_process_holds_nothing_but_the_right_to_signal,
    ));
    tests.push(test(Root, "process::root::a_killed_pid_1_ends_the_jail", a_killed_pid_1_ends_the_jail));
    tests
}

fn exit_status_is_mirrored(start: Start) {
    let room = Room::new();
    for code in [0, 1, 2, 3, 42, 77, 124, 128, 137, 200, 254, 255] {
        let spec = room.probe_spec(&["exit", &code.to_string()], &[]);
        let run = finish(&mut start(&["run"], &spec)).ended(code);
        assert_eq!(run.stderr, "", "status {code}");
    }
    assert_eq!(processes_of(&room.unique()), [""; 0]);
}

/// Limits are the program's: jail's own set-up needs more.
fn limits_do_not_hinder_the_set_up(start: Start) {
    let room = Room::new();
    for limits in ["nofile = 4", "nproc = 1", "fsize = 0", "memlock = 0", "sigpending = 0", "stack = 1048576"]
    {
        let more = format!("rlimits = {{ {limits} }}");
        let spec = room.probe_spec(&["exit", "7"], &[("process", &more)]);
        finish(&mut start(&["run"], &spec)).ended(7);
    }
}

fn death_by_signal_is_mirrored(start: Start) {
    let room = Room::new();
    for signal in [
        libc::SIGHUP,
        libc::SIGINT,
        libc::SIGQUIT,
        libc::SIGABRT,
        libc::SIGKILL,
        libc::SIGSEGV,
        libc::SIGPIPE,
        libc::SIGTERM,
        libc::SIGUSR1,
        libc::SIGSYS,
        32,
        33,
        34,
        64,
    ] {
        let spec = room.probe_spec(&["die", &signal.to_string()], &[]);
        finish(&mut start(&["run"], &spec)).died_of(signal);
    }
    assert_eq!(processes_of(&room.unique()), [""; 0]);
}

fn orphans_are_reaped(start: Start) {
    let room = Room::new();
    let spec = room.probe_spec(&["orphans"], &[]);
    assert_eq!(finish(&mut start(&["run"], &spec)).ended(0).stdout, "all reaped\n");
}

fn a_daemon_is_ended_with_a_hint(start: Start) {
    let room = Room::new();
    let spec = room.probe_spec(&["daemonise"], &[]);
    let run = finish(&mut start(&["run"], &spec)).ended(0);
    assert!(run.stderr.contains("stay in the foreground"), "{}", run.stderr);
    assert_eq!(processes_of(&room.unique()), [""; 0], "what it left behind has ended");
}

/// Nobody but the program holds the pipe.
fn closed_output_is_seen_by_its_reader(start: Start) {
    let room = Room::new();
    let spec = room.probe_spec(&["close-output"], &[]);
    let mut live = Live::start(start(&["run"], &spec).stdout(Stdio::piped()));
    assert_eq!(live.line().as_deref(), Some("last words"));
    assert_eq!(live.line(), None, "the end is seen while the program runs");
    live.signal(libc::SIGTERM);
    live.finish().died_of(libc::SIGTERM);
}

fn input_arrives(start: Start) {
    let room = Room::new();
    let spec = room.probe_spec(&["stdin"], &[]);
    let mut live = Live::start(start(&["run"], &spec).stdin(Stdio::piped()).stdout(Stdio::piped()));
    live.say("hello");
    assert_eq!(live.finish().ended(0).stdout, "6 bytes: hello\n\n");
    let file = File::open(room.file("input", "from a file")).unwrap();
    assert_eq!(finish(start(&["run"], &spec).stdin(file)).ended(0).stdout, "11 bytes: from a file\n");
}

fn the_jail_dies_with_the_outer_process(start: Start) {
    let room = Room::new();
    let spec = room.probe_spec(&["ignore-stop"], &[("files", &shows(&room))]);
    let live = Live::ready(&mut start(&["run"], &spec));
    let inside = processes_of(&room.unique());
    assert!(inside.len() >= 3, "outer, pid 1 and the program: {inside:?}");
    live.signal(libc::SIGKILL);
    live.finish().died_of(libc::SIGKILL);
    wait_until("no process of the jail is left", || processes_of(&room.unique()).is_empty());
}

/// Makes the room part of the jail's mount table, by which its processes are found.
fn shows(room: &Room) -> String {
    room.open_directory("mark");
    format!("write = [{{ path = \"{}/mark\", at = \"/mark\" }}]", room.path().display())
}

fn closed_standard_streams_are_survived(start: Start) {
    for closed in [&[0][..], &[1], &[2], &[0, 1, 2]] {
        let room = Room::new();
        let files = shows(&room);
        let spec = room.probe_spec(&["out=/mark/report", "attempts=no"], &[("files", &files)]);
        let mut command = start(&["run"], &spec);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let streams = closed.to_vec();
        // SAFETY: only close(2) is called between fork and exec.
        unsafe {
            command.pre_exec(move || {
                streams.iter().for_each(|fd| {
                    libc::close(*fd);
                });
                Ok(())
            });
        }
        let run = Live::start(&mut command).finish();
        let report = std::fs::read_to_string(room.path().join("mark/report"));
        let report = report.unwrap_or_else(|e| panic!("closed {closed:?}: {e} {:?}", run.status));
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        let fds = report["fds"].as_object().unwrap();
        assert!(fds.keys().all(|fd| ["0", "1", "2"].contains(&fd.as_str())), "closed {closed:?}: {fds:?}");
        for fd in closed {
            let leads = fds.get(&fd.to_string()).map_or("nothing", |l| l.as_str().unwrap());
            assert!(["/dev/null", "nothing"].contains(&leads), "closed {closed:?}: {fds:?}");
        }
    }
}

fn in_place_there_is_no_helper(start: Start) {
    let room = Room::new();
    // Without root, a new /proc belongs to a new pid namespace only.
    let proc = ("files", "proc = \"none\"".to_owned());
    let more = [("privileges", "share-namespaces = [\"pid\"]".to_owned()), ("files", shows(&room)), proc];
    let more: Vec<(&str, &str)> = more.iter().map(|(t, l)| (*t, l.as_str())).collect();
    let spec = room.probe_spec(&["await=line", "attempts=no"], &more);
    let mut live = Live::ready(&mut start(&["run"], &spec));
    let alive = processes_of(&room.unique());
    assert_eq!(alive.len(), 1, "{alive:?}");
    let pid = live.pid();
    live.say("go on");
    let report = live.finish().report();
    assert_eq!(report["pid"], pid, "the same process as was started");
    assert_eq!(report["sid"], pid);
}

fn ids_and_capabilities() {
    let room = Room::new();
    let spec = room.probe_spec(&["exec=/tmp"], &[("files", "tmpfs = [\"/tmp\"]")]);
    let report = finish(&mut as_stranger(&["run"], &spec)).report();
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(report["status"][set], "0000000000000000", "{set}");
    }
    assert_eq!((&report["status"]["NoNewPrivs"], &report["status"]["Seccomp"]), (&"1".into(), &"2".into()));
    let uid = &report["uids"][0];
    assert_ne!(uid, 0, "auto is never root");
    assert_eq!(report["uids"], serde_json::json!([uid, uid, uid]));
    for (name, came) in report["attempts"].as_object().unwrap() {
        let harmless = [
            "socket inet",
            "socket inet6",
            "socket unix",
            "socket netlink",
            "write /dev/",
            "write /tmp",
            "kill pid 1",
            "prctl PR_SET_NAME",
            "prctl PR_SET_DUMPABLE",
            "prctl PR_SET_THP_DISABLE",
        ];
        if came == "ok" {
            assert!(
                harmless.iter().any(|h| name.starts_with(h)) || name == "name_to_handle_at",
                "not refused: {name}"
            );
        }
    }
    assert_eq!(report["attempts"]["exec in /tmp"], "EACCES");
}

fn what_needs_root_says_so() {
    let room = Room::new();
    for (keys, message) in [
        (("process", "user = \"www-data\""), "only root can run a program as www-data"),
        (
            ("privileges", "capabilities = [\"NET_BIND_SERVICE\"]"),
            "only root can give a program CAP_NET_BIND_SERVICE",
        ),
        (("process", "groups = [\"tty\"]"), "only root can give a program supplementary groups"),
    ] {
        let spec = room.probe_spec(&[], &[keys]);
        let run = finish(&mut as_stranger(&["run"], &spec)).ended(125);
        assert!(run.stderr.contains(message) && run.stderr.contains("help:"), "{}", run.stderr);
    }
}

fn a_directory_as_a_stream_is_refused() {
    let room = Room::new();
    let spec = room.probe_spec(&[], &[]);
    let run = finish(as_root(&["run"], &spec).stdin(File::open(room.path()).unwrap())).ended(125);
    assert!(run.stderr.contains("standard input is a directory"), "{}", run.stderr);
    assert_eq!(run.stdout, "");
    let mut command = as_root(&["run"], &spec);
    let live = Live::start(command.stdout(File::open(room.path()).unwrap()).stderr(Stdio::piped()));
    let run = live.finish().ended(125);
    assert!(run.stderr.contains("standard output is a directory"), "{}", run.stderr);
}

/// A group leader cannot start a session, and must not be left in its caller's.
fn a_job_of_a_shell_is_not_run_in_place() {
    let room = Room::new();
    let spec = room.probe_spec(&[], &[("privileges", "share-namespaces = [\"pid\"]")]);
    let run = finish(as_root(&["run"], &spec).process_group(0)).ended(125);
    assert!(run.stderr.contains("--without session"), "{}", run.stderr);
    assert_eq!(run.stdout, "");
    let given_up = finish(as_root(&["run", "--without", "session"], &spec).process_group(0)).report();
    assert_eq!(given_up["status"]["NoNewPrivs"], "1");
}

/// As in a container: the kernel then says 0 for the session and the process group.
fn a_session_led_from_outside_the_pid_namespace() {
    let room = Room::new();
    for privileges in ["", "share-namespaces = [\"pid\"]"] {
        let spec = room.probe_spec(&["attempts=no"], &[("privileges", privileges)]);
        let mut command = std::process::Command::new("unshare");
        command.args(["--pid", "--fork", "--mount-proc"]).arg(crate::run::jail_binary()).arg("run").arg(spec);
        command.env("JAIL_STATE", crate::run::state_directory());
        let report = finish(&mut command).report();
        assert_eq!(report["sid"], report["pid"], "{privileges}");
    }
}

/// While it waits it has no capability, none of the program's pipes and no host directory.
fn the_outer_process_holds_nothing_but_the_right_to_signal() {
    let room = Room::new();
    let spec = room.probe_spec(&["wait"], &[]);
    let mut command = as_root(&["run"], &spec);
    command.current_dir(room.path());
    let live = Live::ready(&mut command);
    let proc = Path::new("/proc").join(live.pid().to_string());
    // The program may say `ready` before the outer process has put everything down.
    wait_until("the outer process has CAP_KILL alone, and gives it to nobody", || {
        let status = std::fs::read_to_string(proc.join("status")).unwrap();
        [("CapInh", 0), ("CapPrm", 1 << 5), ("CapEff", 1 << 5), ("CapAmb", 0)]
            .iter()
            .all(|(set, wanted)| status.contains(&format!("{set}:\t{wanted:016x}\n")))
    });
    wait_until("the outer process holds none of the program's pipes", || {
        let link = |fd: &str| std::fs::read_link(proc.join("fd").join(fd)).unwrap();
        link("0") == Path::new("/dev/null") && link("1") == Path::new("/dev/null")
    });
    wait_until("the outer process holds no directory", || {
        std::fs::read_link(proc.join("cwd")).unwrap() == Path::new("/")
    });
    live.signal(libc::SIGTERM);
    live.finish().died_of(libc::SIGTERM);
}

fn a_killed_pid_1_ends_the_jail() {
    let room = Room::new();
    let spec = room.probe_spec(&["ignore-stop"], &[("files", &shows(&room))]);
    let live = Live::ready(&mut as_root(&["run"], &spec));
    let children = format!("/proc/{0}/task/{0}/children", live.pid());
    let mut text = String::new();
    File::open(children).unwrap().read_to_string(&mut text).unwrap();
    let pid_1: i32 = text.split_whitespace().next().expect("pid 1 is a child").parse().unwrap();
    jail::sys::process::send_signal(pid_1, libc::SIGKILL).unwrap();
    live.finish().died_of(libc::SIGKILL);
    wait_until("no process of the jail is left", || processes_of(&room.unique()).is_empty());
}
