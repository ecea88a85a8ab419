//! `jail run shell` on a terminal: job control, Ctrl-C, the window size; and nothing typed into the
//! caller's terminal from inside.
//!
//! Must not know: how the terminal is relayed.

use crate::host::{PATIENCE, wait_until};
use crate::life::Home;
use crate::ring::Ring::{Root, Rootless};
use crate::ring::{Test, test};
use crate::run::{Room, jail, jail_as_stranger};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::termios::tcgetattr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::Instant;

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![
        test(Root, "terminal::a_command_beside_has_a_terminal_of_its_own", || {
            a_command_beside_has_a_terminal_of_its_own(false);
        }),
        test(Rootless, "terminal::a_command_beside_has_a_terminal_of_its_own_rootless", || {
            a_command_beside_has_a_terminal_of_its_own(true);
        }),
        test(Root, "terminal::a_shell_has_job_control", || a_shell_has_job_control(jail(["run", "shell"]))),
        test(Rootless, "terminal::a_shell_has_job_control_rootless", || {
            a_shell_has_job_control(jail_as_stranger(["run", "shell"]))
        }),
        test(
            Root,
            "terminal::control_c_interrupts_the_foreground_job",
            control_c_interrupts_the_foreground_job,
        ),
        test(Root, "terminal::the_window_size_is_passed_on", the_window_size_is_passed_on),
        test(
            Root,
            "terminal::nothing_is_typed_into_the_callers_terminal",
            nothing_is_typed_into_the_callers_terminal,
        ),
        test(
            Root,
            "terminal::without_a_terminal_of_its_own_it_has_none",
            without_a_terminal_of_its_own_it_has_none,
        ),
        test(
            Root,
            "terminal::a_terminal_that_is_not_read_does_not_keep_the_jail",
            a_terminal_that_is_not_read_does_not_keep_the_jail,
        ),
        test(
            Root,
            "terminal::keys_that_are_not_read_do_not_keep_the_jail",
            keys_that_are_not_read_do_not_keep_the_jail,
        ),
        test(
            Root,
            "terminal::after_a_stop_the_terminal_is_taken_again",
            after_a_stop_the_terminal_is_taken_again,
        ),
        test(Root, "terminal::the_callers_terminal_is_restored", the_callers_terminal_is_restored),
        test(Root, "terminal::a_job_is_stopped_and_continued", a_job_is_stopped_and_continued),
        test(Root, "terminal::the_end_of_input_ends_the_shell", the_end_of_input_ends_the_shell),
        test(Root, "terminal::the_last_output_is_not_lost", the_last_output_is_not_lost),
        test(
            Root,
            "terminal::the_callers_terminal_is_restored_after_a_kill",
            the_callers_terminal_is_restored_after_a_kill,
        ),
        test(Root, "terminal::a_flag_asks_for_a_terminal", a_flag_asks_for_a_terminal),
        test(Root, "terminal::redirected_output_is_no_terminals", redirected_output_is_no_terminals),
        test(Root, "terminal::a_hung_up_terminal_ends_the_shell", a_hung_up_terminal_ends_the_shell),
    ]
}

/// `jail exec` on a terminal: its own, with job control, in a jail that has none.
fn a_command_beside_has_a_terminal_of_its_own(stranger: bool) {
    let (room, home) = (Room::new(), Home::new(stranger));
    let live = home.start(&room.probe_spec(&["wait"], &[]));
    let mut session = Session::start(home.jail(["exec", "probe", "--", "/bin/sh"]));
    session.expect("$ ");
    session.typed("stty size; echo jo''b; sleep 1000\n");
    session.expect("33 111");
    session.expect("job");
    // Again and again: the first ones may come before the job is in the foreground.
    wait_until("the job is stopped, not the shell", || {
        session.typed("\x1a");
        session.read_quietly();
        session.seen.contains("Stopped")
    });
    session.typed("kill -9 %1; wait; echo go''ne; sleep 1000\n");
    session.expect("gone");
    session.seen.clear();
    wait_until("the job is interrupted, not the shell", || {
        session.typed("\x03");
        session.read_quietly();
        session.seen.contains("$ ")
    });
    session.typed("echo ali''ve\n");
    session.expect("alive");
    session.typed("exit 5\n");
    assert_eq!(session.end(), Some(5));
    home.run(&["stop", "probe"]).ended(0);
    live.finish();
}

/// A process on a pseudo-terminal that this test is the user of.
struct Session {
    child: Child,
    master: OwnedFd,
    slave: OwnedFd,
    seen: String,
}

impl Session {
    fn start(mut command: Command) -> Self {
        let size = Winsize { ws_row: 33, ws_col: 111, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(Some(&size), None).unwrap();
        // What is started must not hold the user's side.
        nix::fcntl::fcntl(&master, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC)).unwrap();
        let stream = || std::process::Stdio::from(slave.try_clone().unwrap());
        command.env("TERM", "dumb").stdin(stream()).stdout(stream()).stderr(stream());
        // SAFETY: system calls on numbers only, between fork and exec.
        unsafe {
            command.pre_exec(|| {
                if libc::setsid() < 0 || libc::ioctl(0, libc::TIOCSCTTY, 0) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
                Ok(())
            });
        }
        Session { child: command.spawn().unwrap(), master, slave, seen: String::new() }
    }

    fn typed(&self, text: &str) {
        nix::unistd::write(&self.master, text.as_bytes()).unwrap();
    }

    /// Reads until `text` was printed after what was expected before.
    #[track_caller]
    fn expect(&mut self, text: &str) -> String {
        let begin = Instant::now();
        loop {
            if let Some(at) = self.seen.find(text) {
                let rest = self.seen.split_off(at + text.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            assert!(begin.elapsed() < PATIENCE, "no {text:?} in {:?}", self.seen);
            self.read_some();
        }
    }

    fn read_some(&mut self) -> bool {
        let mut waiting = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
        if poll(&mut waiting, PollTimeout::from(100u8)).unwrap() == 0 {
            return false;
        }
        let mut buffer = [0; 4096];
        let n = nix::unistd::read(&self.master, &mut buffer).unwrap_or(0);
        self.seen += &String::from_utf8_lossy(&buffer[..n]);
        n > 0
    }

    /// Reads until nothing comes any more.
    fn read_quietly(&mut self) {
        while self.read_some() {}
    }

    #[track_caller]
    fn end(&mut self) -> Option<i32> {
        let mut status = None;
        wait_until("the session ends", || {
            self.read_some();
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            crate::run::end(&mut self.child);
        }
    }
}

fn a_shell_has_job_control(command: Command) {
    let mut session = Session::start(command);
    let greeting = session.expect("jail$ ");
    assert!(!greeting.contains("job control"), "{greeting}");
    session.typed("test -t 0 && test -t 1 && test -t 2 && echo all termi''nals; set -o | grep monitor\n");
    session.expect("all terminals");
    let listed = session.expect("jail$ ");
    assert!(listed.contains("on"), "{listed}");
    session.typed("sleep 1000 &\n");
    session.expect("jail$ ");
    session.typed("jobs\n");
    session.expect("Running");
    session.typed("kill %1; exit 7\n");
    assert_eq!(session.end(), Some(7));
}

fn control_c_interrupts_the_foreground_job() {
    let mut session = Session::start(jail(["run", "shell"]));
    session.expect("jail$ ");
    session.typed("echo be''gin; sleep 1000\n");
    session.expect("begin");
    // Again and again: the first ones may come before the job is in the foreground.
    wait_until("the prompt is back", || {
        session.typed("\x03");
        session.read_quietly();
        session.seen.contains("jail$ ")
    });
    session.typed("echo ali''ve\n");
    session.expect("alive");
    session.typed("exit 0\n");
    assert_eq!(session.end(), Some(0));
}

fn the_window_size_is_passed_on() {
    let mut session = Session::start(jail(["run", "shell"]));
    session.expect("jail$ ");
    session.typed("stty size\n");
    session.expect("33 111");
    let size = Winsize { ws_row: 44, ws_col: 99, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the kernel reads one winsize.
    assert_eq!(unsafe { libc::ioctl(session.master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) }, 0);
    let begin = Instant::now();
    while !session.seen.contains("44 99") {
        assert!(begin.elapsed() < PATIENCE, "{:?}", session.seen);
        session.typed("stty size\n");
        session.read_some();
    }
    session.typed("exit 0\n");
    assert_eq!(session.end(), Some(0));
}

/// Bytes that wait to be read from the caller's terminal, as its shell would.
fn pending(session: &Session) -> i32 {
    let mut waiting = 0;
    // SAFETY: the kernel writes one int.
    assert_eq!(unsafe { libc::ioctl(session.slave.as_raw_fd(), libc::FIONREAD, &raw mut waiting) }, 0);
    waiting
}

fn nothing_is_typed_into_the_callers_terminal() {
    for terminal in [false, true] {
        let room = Room::new();
        let process = format!("terminal = {terminal}");
        let spec = room.probe_spec(&[], &[("process", &process)]);
        let mut session = Session::start(jail(["run".as_ref(), spec.as_os_str()]));
        assert_eq!(session.end(), Some(0), "{}", session.seen);
        session.read_quietly();
        let report = session.seen.lines().find(|l| l.starts_with('{')).expect("a report");
        let report: serde_json::Value = serde_json::from_str(report).unwrap();
        for name in ["TIOCSTI", "TIOCSTI in disguise", "TIOCLINUX"] {
            assert_ne!(report["attempts"][name], "ok", "{name}");
        }
        assert_eq!(pending(&session), 0);
    }
}

/// The caller's terminal is passed on as 0-2, but it is not the program's controlling terminal.
fn without_a_terminal_of_its_own_it_has_none() {
    let room = Room::new();
    let spec = room.probe_spec(&[], &[]);
    let mut session = Session::start(jail(["run".as_ref(), spec.as_os_str()]));
    assert_eq!(session.end(), Some(0), "{}", session.seen);
    session.read_quietly();
    let report = session.seen.lines().find(|l| l.starts_with('{')).expect("a report");
    let report: serde_json::Value = serde_json::from_str(report).unwrap();
    assert_eq!(report["attempts"]["open /dev/tty"], "ENXIO");
    assert_eq!(report["sid"], report["pid"]);
}

/// Waits without reading what is printed.
#[track_caller]
fn ends_unread(mut session: Session) {
    let pid = session.child.id();
    let status = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    wait_until("the outer process sleeps with its terminal full", || status().contains(") S "));
    jail::sys::process::send_signal(pid.cast_signed(), libc::SIGTERM).unwrap();
    let mut ended = None;
    wait_until("the jail ends", || {
        ended = session.child.try_wait().unwrap();
        ended.is_some()
    });
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended.unwrap()), Some(libc::SIGTERM));
}

fn a_terminal_that_is_not_read_does_not_keep_the_jail() {
    ends_unread(Session::start(jail(["run", "shell", "--", "/usr/bin/yes"])));
}

/// More than the program's terminal takes for a program that reads nothing.
fn keys_that_are_not_read_do_not_keep_the_jail() {
    let mut session =
        Session::start(jail(["run", "shell", "--", "/bin/sh", "-c", "echo go; exec sleep 1000"]));
    session.expect("go");
    let raw = |attributes: &nix::sys::termios::Termios| {
        !attributes.local_flags.contains(nix::sys::termios::LocalFlags::ICANON)
    };
    wait_until("the terminal is relayed", || raw(&tcgetattr(&session.slave).unwrap()));
    nix::fcntl::fcntl(&session.master, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK)).unwrap();
    let line = [b"x".repeat(100), b"\n".to_vec()].concat();
    let mut typed = 0;
    while typed < 1000 && nix::unistd::write(&session.master, &line).is_ok() {
        typed += 1;
    }
    assert!(typed > 10, "{typed} lines");
    ends_unread(session);
}

/// SIGTSTP from outside: the caller's shell gets its terminal as it was, and the relay takes it again.
fn after_a_stop_the_terminal_is_taken_again() {
    let mut session = Session::start(jail(["run", "shell", "--", "/usr/bin/cat"]));
    let cooked = |session: &Session| {
        let flags = tcgetattr(&session.slave).unwrap().local_flags;
        flags.contains(nix::sys::termios::LocalFlags::ICANON)
    };
    let pid = session.child.id().cast_signed();
    wait_until("the terminal is relayed", || !cooked(&session));
    jail::sys::process::send_signal(pid, libc::SIGTSTP).unwrap();
    wait_until("the caller's terminal is given back", || cooked(&session));
    jail::sys::process::send_signal(pid, libc::SIGCONT).unwrap();
    wait_until("the terminal is relayed again", || !cooked(&session));
    session.typed("hello\n");
    session.expect("hello");
    jail::sys::process::send_signal(pid, libc::SIGKILL).unwrap();
    session.end();
}

fn the_callers_terminal_is_restored() {
    let mut session = Session::start(jail(["run", "shell"]));
    let before = tcgetattr(&session.slave).unwrap();
    session.expect("jail$ ");
    assert_ne!(tcgetattr(&session.slave).unwrap(), before, "raw while the shell runs");
    session.typed("exit 3\n");
    assert_eq!(session.end(), Some(3));
    assert_eq!(tcgetattr(&session.slave).unwrap(), before);
}

fn a_hung_up_terminal_ends_the_shell() {
    let mut session = Session::start(jail(["run", "shell"]));
    session.expect("jail$ ");
    let Session { master, slave, .. } = &session;
    let (master, slave) = (master.as_raw_fd(), slave.as_raw_fd());
    let null = std::fs::File::open("/dev/null").unwrap();
    // SAFETY: both descriptors are owned by `session`, which goes on owning what replaces them.
    unsafe {
        libc::dup2(null.as_raw_fd(), slave);
        libc::dup2(null.as_raw_fd(), master);
    }
    let mut ended = false;
    wait_until("the shell ends when its terminal is gone", || {
        ended = session.child.try_wait().unwrap().is_some();
        ended
    });
}

/// Ctrl-Z stops the job in the inner shell's foreground, not the jail.
fn a_job_is_stopped_and_continued() {
    let mut session = Session::start(jail(["run", "shell"]));
    session.expect("jail$ ");
    session.typed("sh -c 'echo be''gin; read line; echo \"got $line\"'\n");
    session.expect("begin");
    wait_until("the prompt is back", || {
        session.typed("\x1a");
        session.read_quietly();
        session.seen.contains("jail$ ")
    });
    session.expect("jail$ ");
    session.typed("jobs\n");
    session.expect("Stopped");
    session.expect("jail$ ");
    session.typed("fg\n");
    session.expect("sh -c");
    session.typed("more\n");
    session.expect("got more");
    session.typed("exit 4\n");
    assert_eq!(session.end(), Some(4));
}

fn the_end_of_input_ends_the_shell() {
    let mut session = Session::start(jail(["run", "shell"]));
    session.expect("jail$ ");
    session.typed("(exit 6)\n");
    session.expect("jail$ ");
    session.typed("\x04");
    assert_eq!(session.end(), Some(6), "{}", session.seen);
}

/// More than the terminal holds, by a program that ends at once.
fn the_last_output_is_not_lost() {
    let words = ["run", "--pty", "--read", "/usr", "--", "/bin/sh", "-c", "seq 20000; echo the end; exit 5"];
    let mut session = Session::start(jail(words));
    assert_eq!(session.end(), Some(5));
    session.read_quietly();
    let lines: Vec<&str> = session.seen.lines().collect();
    assert_eq!(lines.len(), 20001);
    assert_eq!(lines[19999..], ["20000", "the end"]);
}

/// Killed is the program; who kills the outer process leaves the terminal to the caller's shell.
fn the_callers_terminal_is_restored_after_a_kill() {
    for sent in [libc::SIGKILL, libc::SIGTERM] {
        let mut session = Session::start(jail(["run", "shell", "--", "/bin/sh", "-c", "echo $$; exec cat"]));
        let before = tcgetattr(&session.slave).unwrap();
        session.expect("\n");
        wait_until("the terminal is relayed", || tcgetattr(&session.slave).unwrap() != before);
        if sent == libc::SIGTERM {
            jail::sys::process::send_signal(session.child.id().cast_signed(), sent).unwrap();
        } else {
            kill_the_program(session.child.id());
        }
        let mut ended = None;
        wait_until("the session ends", || {
            session.read_some();
            ended = session.child.try_wait().unwrap();
            ended.is_some()
        });
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended.unwrap()), Some(sent));
        assert_eq!(tcgetattr(&session.slave).unwrap(), before);
    }
}

/// `outer`, its pid 1, and below that the program: killed, so that all end by themselves.
pub fn kill_the_program(outer: u32) {
    let child_of = |pid: u32| {
        let path = format!("/proc/{pid}/task/{pid}/children");
        let children = std::fs::read_to_string(path).unwrap();
        children.split_whitespace().next().and_then(|pid| pid.parse::<u32>().ok()).expect("a child")
    };
    let program = child_of(child_of(outer));
    jail::sys::process::send_signal(program.cast_signed(), libc::SIGKILL).unwrap();
}

fn a_flag_asks_for_a_terminal() {
    let look = "if test -t 0 && (true </dev/tty) 2>/dev/null; then echo its o''wn; else echo no''ne; fi";
    for (flag, expected) in [("--pty", "its own"), ("--cwd=/", "none")] {
        let mut session = Session::start(jail(["run", flag, "--read", "/usr", "--", "/bin/sh", "-c", look]));
        assert_eq!(session.end(), Some(0), "{}", session.seen);
        session.read_quietly();
        assert!(session.seen.contains(expected), "{flag}: {}", session.seen);
    }
    // Without one of the caller's there is nothing to relay.
    let run = crate::run::finish(&mut jail(["run", "--pty", "--read", "/usr", "--", "/bin/sh", "-c", look]));
    assert!(run.ended(0).stdout.contains("none"));
}

/// The program's standard output is the file; its terminal, errors included, is the caller's.
fn redirected_output_is_no_terminals() {
    let room = Room::new();
    let file = room.path().join("out");
    let inner = "echo to the file; echo to the terminal >&2; test -t 1 || test -t 2 && exit 8";
    let jail = crate::run::jail_binary().display().to_string();
    let line = format!("exec {jail} run --pty --read /usr -- /bin/sh -c '{inner}' >{}", file.display());
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &line]).env_clear().env("PATH", "/usr/bin:/bin");
    command.env("JAIL_STATE", crate::run::state_directory());
    let mut session = Session::start(command);
    assert_eq!(session.end(), Some(8), "{}", session.seen);
    session.read_quietly();
    assert_eq!(std::fs::read_to_string(file).unwrap(), "to the file\n");
    assert!(session.seen.contains("to the terminal"), "{}", session.seen);
}
