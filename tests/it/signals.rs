//! Signals: every one that can be forwarded is, the stop and reload signals are translated, and a
//! program that does not stop is killed.
//!
//! Must not know: which process sends them.

use crate::host::wait_until;
use crate::ring::Ring::Root;
use crate::run::{Live, Room, jail};
use crate::tests;
use std::path::PathBuf;
use std::time::Instant;

tests! {
    Root => [
        every_signal_is_forwarded, stop_and_reload_are_translated, a_stop_that_is_ignored_ends_in_a_kill,
        a_second_stop_does_not_wait_longer, stop_timeout_zero_never_kills, suspend_and_continue,
        signals_sent_at_once_are_not_lost, the_default_stop_is_term, a_program_that_changed_its_user_is_reached,
    ],
}

fn start(room: &Room, part: &str, process: &str) -> Live {
    let spec: PathBuf = room.probe_spec(&[part], &[("process", process)]);
    Live::ready(&mut jail(["run".as_ref(), spec.as_os_str()]))
}

fn every_signal_is_forwarded() {
    let room = Room::new();
    let mut live = start(&room, "signals", "");
    // KILL and STOP can be caught by nobody; CHLD is the outer process's own; TSTP, TTIN and TTOU
    // stop both, see below.
    for number in (1..=64).filter(|n| ![9, 17, 19, 20, 21, 22].contains(n)) {
        live.signal(number);
        assert_eq!(live.line_after(&format!("signal {number}")), Some(number.to_string()));
    }
    live.signal(libc::SIGKILL);
    live.finish().died_of(libc::SIGKILL);
}

fn stop_and_reload_are_translated() {
    let room = Room::new();
    let mut live =
        start(&room, "signals", "stop-signal = \"QUIT\"\nreload-signal = \"USR2\"\nstop-timeout = \"0s\"");
    for (sent, comes) in [
        (libc::SIGTERM, libc::SIGQUIT),
        (libc::SIGHUP, libc::SIGUSR2),
        (libc::SIGINT, libc::SIGINT),
        (libc::SIGUSR1, libc::SIGUSR1),
    ] {
        live.signal(sent);
        assert_eq!(live.line(), Some(comes.to_string()));
    }
    live.signal(libc::SIGKILL);
    live.finish().died_of(libc::SIGKILL);
}

/// A server that starts as root and drops by itself: pid 1 may not signal it any more.
fn a_program_that_changed_its_user_is_reached() {
    let room = Room::new();
    let privileges = "capabilities = [\"SETUID\", \"SETGID\"]\nsystem-calls = [\"@service\", \"@setuid\"]";
    let spec = room.probe_spec(
        &["become", "33"],
        &[("process", "user = \"root\"\nstop-timeout = \"0\""), ("privileges", privileges)],
    );
    let mut live = Live::ready(&mut jail(["run".as_ref(), spec.as_os_str()]));
    live.signal(libc::SIGHUP);
    assert_eq!(live.line(), Some(libc::SIGHUP.to_string()));
    live.signal(libc::SIGTERM);
    assert_eq!(live.line(), Some(libc::SIGTERM.to_string()));
    live.signal(libc::SIGKILL);
    live.finish().died_of(libc::SIGKILL);
}

fn the_default_stop_is_term() {
    let room = Room::new();
    let live = start(&room, "wait", "");
    live.signal(libc::SIGTERM);
    live.finish().died_of(libc::SIGTERM);
}

fn a_stop_that_is_ignored_ends_in_a_kill() {
    let room = Room::new();
    let live = start(&room, "ignore-stop", "stop-timeout = \"1s\"");
    let begin = Instant::now();
    live.signal(libc::SIGTERM);
    let run = live.finish().died_of(libc::SIGKILL);
    assert!(begin.elapsed().as_millis() >= 1000, "not before its time: {:?}", begin.elapsed());
    assert!(run.stderr.contains("did not stop in time"), "{}", run.stderr);
}

fn a_second_stop_does_not_wait_longer() {
    let room = Room::new();
    let live = start(&room, "ignore-stop", "stop-timeout = \"1s\"");
    live.signal(libc::SIGTERM);
    live.signal(libc::SIGTERM);
    live.finish().died_of(libc::SIGKILL);
}

fn stop_timeout_zero_never_kills() {
    let room = Room::new();
    let mut live = start(&room, "signals", "stop-timeout = \"0s\"");
    live.signal(libc::SIGTERM);
    assert_eq!(live.line(), Some("15".into()));
    // Still there to take another one.
    live.signal(libc::SIGUSR1);
    assert_eq!(live.line(), Some("10".into()));
    live.signal(libc::SIGKILL);
    live.finish().died_of(libc::SIGKILL);
}

/// The state of a process: `R`, `S`, `T`, ...
fn state(pid: i32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().and_then(|s| s.chars().next()).unwrap_or('?')
}

fn children(pid: i32) -> Vec<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().map(|p| p.parse().unwrap()).collect()
}

/// Ctrl-Z in a shell stops outer process and program; `fg` continues both.
fn suspend_and_continue() {
    let room = Room::new();
    let mut live = start(&room, "signals", "");
    let outer = live.pid();
    let program = children(children(outer)[0])[0];
    live.signal(libc::SIGTSTP);
    wait_until("both are stopped", || state(outer) == 'T' && state(program) == 'T');
    live.signal(libc::SIGCONT);
    wait_until("both go on", || state(outer) != 'T' && state(program) != 'T');
    live.signal(libc::SIGUSR1);
    loop {
        match live.line().as_deref() {
            Some("18") => {}
            Some("10") => break,
            other => panic!("{other:?}"),
        }
    }
    live.signal(libc::SIGKILL);
    live.finish().died_of(libc::SIGKILL);
}

/// A service manager may stop a service while it is being set up.
fn signals_sent_at_once_are_not_lost() {
    let room = Room::new();
    let spec = room.probe_spec(&["wait"], &[("process", "stop-signal = \"USR1\"\nstop-timeout = \"20s\"")]);
    for delay in 0..10 {
        let mut command = jail(["run".as_ref(), spec.as_os_str()]);
        let live = Live::start(&mut command);
        std::thread::sleep(std::time::Duration::from_micros(delay * 700));
        live.signal(libc::SIGTERM);
        let run = live.finish();
        let signal = std::os::unix::process::ExitStatusExt::signal(&run.status);
        // Before jail has taken over its signals it dies of the signal itself, as any program does.
        assert!([Some(libc::SIGTERM), Some(libc::SIGUSR1)].contains(&signal), "{:?}", run.status);
    }
    wait_until("nothing is left", || crate::host::processes_of(&room.unique()).is_empty());
}
