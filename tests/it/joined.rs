//! `jail exec`: a command in a running jail is confined as its program, and ends with it.
//!
//! Must not know: how it joins.

use crate::host::{self, wait_until};
use crate::life::Home;
use crate::ring::Ring::{Root, Rootless};
use crate::ring::{Test, test};
use crate::run::{Live, Room, keep_confinement};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Stdio;

type Body = fn(bool);

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    let both: [(&str, Body); 4] = [
        ("a_command_is_confined_as_the_program", a_command_is_confined_as_the_program),
        ("the_spec_of_the_start_counts", the_spec_of_the_start_counts),
        ("a_command_ends_with_its_jail_and_its_caller", a_command_ends_with_its_jail_and_its_caller),
        ("statuses_and_signals_pass", statuses_and_signals_pass),
    ];
    let mut tests = Vec::new();
    for (name, body) in both {
        tests.push(test(Root, format!("joined::root::{name}"), move || body(false)));
        tests.push(test(Rootless, format!("joined::rootless::{name}"), move || body(true)));
    }
    tests.push(test(Root, "joined::a_user_namespace_is_joined_too", a_user_namespace_is_joined_too));
    tests.push(test(Root, "joined::a_jail_in_place_is_joined_too", a_jail_in_place_is_joined_too));
    tests.push(test(Root, "joined::what_may_not_be_executed_is_named", what_may_not_be_executed_is_named));
    tests.push(test(Root, "joined::root_sees_what_the_jail_sees", root_sees_what_the_jail_sees));
    tests.push(test(
        Root,
        "joined::tools_of_the_host_in_a_jail_without_a_shell",
        tools_of_the_host_in_a_jail_without_a_shell,
    ));
    tests.push(test(Rootless, "joined::what_is_unconfined_needs_root", what_is_unconfined_needs_root));
    tests
}

/// What a report holds of the process alone.
fn confinement(mut report: Value) -> Value {
    let fields = report.as_object_mut().unwrap();
    let descriptors: Vec<String> = fields["fds"].as_object().unwrap().keys().cloned().collect();
    fields.insert("fds".into(), descriptors.into());
    for name in ["pid", "ppid", "sid", "pgid", "keyring", "proc", "arguments"] {
        fields.remove(name);
    }
    keep_confinement(&mut fields["status"]);
    report
}

const REPORT: &[&str] = &["/probe/probe", "probe", "exec=/tmp", "outside=/etc/shadow,/root"];

/// A probe's report as the program of a jail, and beside it.
fn compare(home: &Home, room: &Room, more: &[(&str, &str)]) {
    let own = room.probe_spec(&REPORT[2..], more);
    let mut run = home.run(&["run", own.to_str().unwrap()]).ended(0);
    let alone = confinement(serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap());
    let spec = room.probe_spec(&["wait"], more);
    let live = home.start(&spec);
    run = home.run(&[&["exec", "probe", "--"], REPORT].concat()).ended(0);
    let mut beside = confinement(serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap());
    // Namespaces are other ones in each jail, but those of the jail here.
    let pid = home.ps()[0]["pid"].as_i64().unwrap();
    let mut namespaces = 0;
    for (kind, id) in beside["namespaces"].as_object().unwrap() {
        let link = std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
        assert_eq!(link.to_str(), id.as_str(), "{kind}");
        namespaces += 1;
    }
    assert!(namespaces >= 6);
    beside["namespaces"] = alone["namespaces"].clone();
    for (name, value) in alone.as_object().unwrap() {
        assert_eq!(&beside[name], value, "{name}");
    }
    home.run(&["stop", "probe"]).ended(0);
    live.finish();
}

fn a_command_is_confined_as_the_program(stranger: bool) {
    let (room, home) = (Room::new(), Home::new(stranger));
    let process = if stranger { "" } else { "user = \"www-data\"\ngroups = [\"tty\"]\n" };
    let process = format!(
        "{process}umask = \"0027\"\ncwd = \"/tmp\"\nenv = {{ A = \"b\" }}\nrlimits = {{ nofile = 512 }}"
    );
    let more = [
        ("process", process.as_str()),
        ("files", "tmpfs = [\"/tmp\"]"),
        ("privileges", "capabilities = [\"NET_BIND_SERVICE\"]"),
        ("network", "mode = \"none\""),
    ];
    compare(&home, &room, &more);
}

fn a_user_namespace_is_joined_too() {
    let (room, home) = (Room::new(), Home::new(false));
    compare(
        &home,
        &room,
        &[
            ("files", "tmpfs = [\"/tmp\"]"),
            ("privileges", "user-namespace = true\ncapabilities = [\"CHOWN\"]"),
        ],
    );
}

fn a_jail_in_place_is_joined_too() {
    let (room, home) = (Room::new(), Home::new(false));
    compare(&home, &room, &[("files", "tmpfs = [\"/tmp\"]"), ("privileges", "share-namespaces = [\"pid\"]")]);
}

fn the_spec_of_the_start_counts(stranger: bool) {
    let (room, home) = (Room::new(), Home::new(stranger));
    let spec = room.probe_spec(&["wait"], &[("process", "env = { WHEN = \"before\" }")]);
    let live = home.start(&spec);
    std::fs::write(&spec, "not a spec any more").unwrap();
    let run = home.run(&["exec", "probe", "--", "/usr/bin/env"]).ended(0);
    assert!(run.stdout.contains("WHEN=before\n"), "{}", run.stdout);
    std::fs::remove_file(&spec).unwrap();
    home.run(&["exec", "probe", "--", "/usr/bin/true"]).ended(0);
    home.run(&["stop", "probe"]).ended(0);
    live.finish();
}

fn waiting(room: &Room, home: &Home) -> (PathBuf, Live) {
    let spec = room.probe_spec(&["wait"], &[]);
    let live = home.start(&spec);
    (spec, live)
}

fn a_command_ends_with_its_jail_and_its_caller(stranger: bool) {
    let (room, home) = (Room::new(), Home::new(stranger));
    let (_, live) = waiting(&room, &home);
    let begin = || Live::ready(&mut home.jail(["exec", "probe", "--", "/probe/probe", "probe", "wait"]));
    let both = || home.ps()[0]["processes"].as_array().unwrap().len();
    let command = begin();
    wait_until("two processes", || both() == 2);
    command.signal(libc::SIGKILL);
    command.finish().died_of(libc::SIGKILL);
    wait_until("the command is gone, the jail is not", || both() == 1);
    let command = begin();
    home.run(&["stop", "probe"]).ended(0);
    live.finish();
    command.finish().died_of(libc::SIGKILL);
    wait_until("nothing is left", || host::processes_of(&room.unique()).is_empty());
}

fn statuses_and_signals_pass(stranger: bool) {
    let (room, home) = (Room::new(), Home::new(stranger));
    let (_, live) = waiting(&room, &home);
    home.run(&["exec", "probe", "--", "/probe/probe", "probe", "exit", "7"]).ended(7);
    home.run(&["exec", "probe", "--", "/probe/probe", "probe", "die", "6"]).died_of(6);
    let missing = home.run(&["exec", "probe", "--", "/nonexistent"]).ended(127);
    assert!(missing.stderr.starts_with("jail: cannot execute /nonexistent"), "{}", missing.stderr);
    assert!(!missing.stderr.contains("-->"), "no line of the spec asked for it: {}", missing.stderr);
    let mut command =
        Live::ready(&mut home.jail(["exec", "probe", "--", "/probe/probe", "probe", "signals"]));
    for number in [libc::SIGHUP, libc::SIGTERM, libc::SIGUSR1, libc::SIGINT] {
        command.signal(number);
        assert_eq!(command.line(), Some(number.to_string()));
    }
    drop(command);
    home.run(&["stop", "probe"]).ended(0);
    live.finish();
}

fn what_may_not_be_executed_is_named() {
    let (room, home) = (Room::new(), Home::new(false));
    let spec = room.probe_spec(&["wait"], &[("files", "exec = []")]);
    let live = home.start(&spec);
    let run = home.run(&["exec", "probe", "--", "/usr/bin/id"]).ended(126);
    assert!(run.stderr.contains("exec") && !run.stderr.contains("is not in the jail"), "{}", run.stderr);
    home.run(&["stop", "probe"]).ended(0);
    live.finish();
}

fn root_sees_what_the_jail_sees() {
    let (room, home) = (Room::new(), Home::new(false));
    let (_, live) = waiting(&room, &home);
    let run = home.run(&["exec", "--root", "probe", "--", "sh", "-c", "id -u; echo /*; exit 3"]).ended(3);
    assert_eq!(run.stdout.lines().next(), Some("0"));
    assert!(run.stdout.contains(" /probe") && !run.stdout.contains("/home"), "{}", run.stdout);
    home.run(&["stop", "probe"]).ended(0);
    live.finish();
}

fn tools_of_the_host_in_a_jail_without_a_shell() {
    let (room, home) = (Room::new(), Home::new(false));
    let hidden = room.open_directory("data");
    std::fs::write(hidden.join("file"), "of the jail").unwrap();
    // No /usr, no loader, no libraries: the program brings all it has.
    let shown = room.open_directory("static");
    let source = room.file(
        "static.c",
        "int main(void) { for (;;) __asm__(\"syscall\" :: \"a\"(34) : \"rcx\", \"r11\"); }\n",
    );
    let built = std::process::Command::new("gcc")
        .args(["-static", "-nostdlib", "-nostartfiles", "-Wl,-emain", "-o"])
        .args([shown.join("pause"), source])
        .status();
    assert!(built.unwrap().success());
    let text = format!(
        "[process]\ncommand = [\"/static/pause\"]\nstop-signal = \"KILL\"\n[files]\nread = [{{ path = \"{}\", at = \"/static\" }}]\n\
         write = [{{ path = \"{}\", at = \"/data\" }}]\n",
        shown.display(),
        hidden.display()
    );
    let spec = room.file("bare.toml", &text);
    let live = Live::start(home.jail(["run".as_ref(), spec.as_os_str()]).stderr(Stdio::piped()));
    wait_until("it runs", || home.state().join("bare.json").exists());
    home.run(&["exec", "bare", "--", "sh"]).ended(127);
    home.run(&["exec", "--root", "bare", "--", "/bin/sh"]).ended(127);
    let script = "echo /*; cat /data/file; echo; ls /.host/usr/bin | grep -x sh; cat /proc/1/comm; echo x >/data/made; echo x 2>/dev/null >/.host/x || echo ro";
    let run = home.run(&["exec", "--host-tools", "bare", "--", "sh", "-c", script]).ended(0);
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert!(
        lines[0].contains("/data") && lines[0].contains("/static") && !lines[0].contains("/home"),
        "{lines:?}"
    );
    assert_eq!(lines[1..], ["of the jail", "sh", "jail-init", "ro"], "{}", run.stderr);
    assert_eq!(std::fs::read_to_string(hidden.join("made")).unwrap(), "x\n");
    // The jail itself sees nothing of it.
    let pid = home.ps()[0]["pid"].as_i64().unwrap();
    let root: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/root/"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(!root.contains(&".host".to_owned()), "{root:?}");
    live.signal(libc::SIGKILL);
    live.finish();
}

fn what_is_unconfined_needs_root() {
    let (room, home) = (Room::new(), Home::new(true));
    let (_, live) = waiting(&room, &home);
    for flag in ["--root", "--host-tools"] {
        let run = home.run(&["exec", flag, "probe", "--", "sh"]).ended(125);
        assert!(run.stderr.contains("nothing unconfined can safely join it"), "{}", run.stderr);
    }
    home.run(&["stop", "probe"]).ended(0);
    live.finish();
}
