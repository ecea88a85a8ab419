//! The filter's other shapes: killing and logging, and the families of sockets.
//!
//! Must not know: how a filter is written.

use crate::ring::Ring::{Root, Rootless};
use crate::run::{Room, Run, finish, jail, jail_as_stranger};
use crate::tests;

tests! {
    Root => [
        a_refused_call_kills_if_it_shall, a_killing_filter_passes_what_libc_asks_for, a_killing_filter_in_place, every_call_of_a_narrow_killing_filter_is_on_the_list,
        a_logging_filter_is_shown_as_given_up, families_are_those_named, an_empty_list_of_families_is_no_socket, netlink_can_be_widened,
        without_seccomp_the_families_are_given_up,
    ],
    Rootless => [rootless_filters_kill_too],
}

/// Runs calls of the probe, one after the other, under these keys of `[privileges]`.
fn calls(names: &[&str], privileges: &str, flags: &[&str]) -> Run {
    let room = Room::new();
    let words: Vec<&str> = ["calls"].iter().chain(names).copied().collect();
    let spec = room.probe_spec(&words, &[("privileges", privileges)]);
    let words = ["run", spec.to_str().unwrap()].into_iter().chain(flags.iter().copied());
    finish(&mut jail(words))
}

#[track_caller]
fn killed(run: &Run, before: &str) {
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(run.status.signal(), Some(libc::SIGSYS), "{run:?}");
    assert_eq!(run.stdout, before);
}

fn a_refused_call_kills_if_it_shall() {
    let kill = "system-call-action = \"kill\"";
    let refused = ["mount", "memfd_create", "user namespace", "int 0x80", "x32"];
    for name in refused {
        killed(&calls(&["inet", name, "inet"], kill, &[]), "inet: ok\n");
        let fails = calls(&["inet", name, "inet"], "", &[]).ended(0);
        let errno = if ["int 0x80", "x32"].contains(&name) { "ENOSYS" } else { "EPERM" };
        assert_eq!(fails.stdout, format!("inet: ok\n{name}: {errno}\ninet: ok\n"));
    }
}

fn a_killing_filter_passes_what_libc_asks_for() {
    let run =
        calls(&["clone3", "a newer call", "vsock", "netlink diag"], "system-call-action = \"kill\"", &[]);
    let lines = "clone3: ENOSYS\na newer call: ENOSYS\nvsock: EAFNOSUPPORT\nnetlink diag: EPROTONOSUPPORT\n";
    assert_eq!(run.ended(0).stdout, lines);
}

fn a_killing_filter_in_place() {
    let keys = "system-call-action = \"kill\"\nshare-namespaces = [\"pid\"]";
    assert_eq!(calls(&["inet"], keys, &[]).ended(0).stdout, "inet: ok\n");
    killed(&calls(&["inet", "mount"], keys, &[]), "inet: ok\n");
    // What fails after the filter is installed can still be said.
    let room = Room::new();
    let text = format!(
        "[process]\ncommand = [\"/usr/bin/nonesuch\"]\n[files]\nread = [\"/usr\"]\n[privileges]\n{keys}\n"
    );
    let spec = room.file("missing.toml", &text);
    let run = finish(&mut jail(["run".as_ref(), spec.as_os_str()])).ended(127);
    assert!(run.stderr.contains("cannot execute /usr/bin/nonesuch"), "{}", run.stderr);
}

/// jail itself makes a few calls between the filter and execve: none that the narrowest list lacks.
fn every_call_of_a_narrow_killing_filter_is_on_the_list() {
    for shared in ["", "share-namespaces = [\"pid\"]"] {
        let keys = format!("system-calls = [\"@core\"]\nsystem-call-action = \"kill\"\n{shared}");
        let room = Room::new();
        let text = format!(
            "[process]\ncommand = [\"/bin/true\"]\n[files]\nread = [\"/usr\"]\n[privileges]\n{keys}\n"
        );
        let spec = room.file("narrow.toml", &text);
        for verbose in ["", "-vv"] {
            let words = ["run", verbose, spec.to_str().unwrap()];
            finish(&mut jail(words.into_iter().filter(|w| !w.is_empty()))).ended(0);
        }
    }
}

fn a_logging_filter_is_shown_as_given_up() {
    let keys = "system-call-action = \"log\"";
    let run = calls(&["memfd_create", "int 0x80", "a newer call"], keys, &[]).ended(0);
    assert_eq!(run.stdout, "memfd_create: ok\nint 0x80: ENOSYS\na newer call: ENOSYS\n");
    let room = Room::new();
    let spec = room.probe_spec(&[], &[("privileges", keys)]);
    let plan = finish(&mut jail(["plan".as_ref(), spec.as_os_str()])).ended(0).stdout;
    assert!(plan.contains("given up\n      seccomp (by system-call-action = \"log\")"), "{plan}");
    assert!(plan.contains("all others logged and done"), "{plan}");
}

fn families_are_those_named() {
    let run = calls(&["inet", "inet6", "netlink", "packet"], "socket-families = [\"inet\"]", &[]).ended(0);
    assert_eq!(run.stdout, "inet: ok\ninet6: EAFNOSUPPORT\nnetlink: EAFNOSUPPORT\npacket: EAFNOSUPPORT\n");
    let keys = "socket-families = [\"AF_PACKET\", \"vsock\"]";
    let run = calls(&["inet", "packet", "vsock"], keys, &[]).ended(0);
    let lines: Vec<&str> = run.stdout.lines().collect();
    // The kernel's own answer now, which depends on capabilities and modules.
    assert_eq!(lines[..2], ["inet: EAFNOSUPPORT", "packet: EPERM"]);
}

fn an_empty_list_of_families_is_no_socket() {
    let run = calls(&["inet", "netlink"], "socket-families = []", &[]).ended(0);
    assert_eq!(run.stdout, "inet: EAFNOSUPPORT\nnetlink: EAFNOSUPPORT\n");
}

fn netlink_can_be_widened() {
    let run = calls(&["netlink", "netlink diag"], "socket-families = [\"netlink-all\"]", &[]).ended(0);
    assert_eq!(run.stdout, "netlink: ok\nnetlink diag: ok\n");
}

fn without_seccomp_the_families_are_given_up() {
    let room = Room::new();
    let spec = room.probe_spec(&[], &[("privileges", "socket-families = [\"unix\"]")]);
    let words = ["plan", spec.to_str().unwrap(), "--without", "seccomp"];
    let plan = finish(&mut jail(words)).ended(0).stdout;
    assert!(plan.contains("      seccomp (by --without seccomp)\n"), "{plan}");
    assert!(plan.contains("      socket-families (by --without seccomp)   "), "{plan}");
}

fn rootless_filters_kill_too() {
    let room = Room::new();
    let spec =
        room.probe_spec(&["calls", "inet", "mount"], &[("privileges", "system-call-action = \"kill\"")]);
    killed(&finish(&mut jail_as_stranger(["run".as_ref(), spec.as_os_str()])), "inet: ok\n");
}
