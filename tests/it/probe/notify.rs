//! A program that notifies its service manager of what it is told to by its standard input.
//!
//! Must not know: who listens.

use super::programs::{block_all, fork, say};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, sendmsg, socket,
};
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixDatagram;

/// Follows one line after the other and answers each; `|` in a message is the end of a line.
pub fn main() {
    say("ready");
    let mut kept = Vec::new();
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let (order, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let text = rest.replace('|', "\n");
        let answer = match order {
            "send" => send(text.as_bytes(), &[]),
            "long" => send(&vec![b'x'; rest.parse().unwrap()], &[]),
            "many" => {
                let all = (0..rest.parse().unwrap()).map(|n| send(format!("X_N={n}").as_bytes(), &[]));
                all.fold("none".into(), |_, sent| sent)
            }
            "store" => {
                let (one, other) = UnixDatagram::pair().unwrap();
                kept.push(one);
                send(text.as_bytes(), &[other.as_fd()])
            }
            "hear" => {
                let mut buffer = [0; 64];
                let length = kept.last().unwrap().recv(&mut buffer).unwrap();
                String::from_utf8_lossy(&buffer[..length]).into_owned()
            }
            "file" => send(text.as_bytes(), &[std::fs::File::open("/dev/null").unwrap().as_fd()]),
            "barrier" => barrier(),
            "pid" => std::process::id().to_string(),
            "variables" => variables(),
            "fork" => child(),
            "reap" => {
                // Its end is nobody's else to know.
                nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(rest.parse().unwrap()), None).unwrap();
                "reaped".into()
            }
            "last" => {
                send(text.as_bytes(), &[]);
                std::process::exit(4);
            }
            "exit" => std::process::exit(rest.parse().unwrap()),
            other => panic!("{other}?"),
        };
        say(&answer);
    }
}

/// As sd_notify(3) does it.
fn send(text: &[u8], descriptors: &[BorrowedFd<'_>]) -> String {
    let path = std::env::var("NOTIFY_SOCKET").unwrap();
    let address = match path.strip_prefix('@') {
        Some(name) => UnixAddr::new_abstract(name.as_bytes()).unwrap(),
        None => UnixAddr::new(path.as_str()).unwrap(),
    };
    let from = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).unwrap();
    let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let rights = if raw.is_empty() { &[][..] } else { &rights[..] };
    let slices = [IoSlice::new(text)];
    match sendmsg(from.as_raw_fd(), &slices, rights, MsgFlags::empty(), Some(&address)) {
        Ok(_) => "sent".into(),
        Err(errno) => format!("{errno:?}"),
    }
}

/// As sd_notify_barrier(3) does it.
fn barrier() -> String {
    let (read, write) = nix::unistd::pipe().unwrap();
    let sent = send(b"BARRIER=1", &[write.as_fd()]);
    drop(write);
    let mut waiting = [PollFd::new(read.as_fd(), PollFlags::empty())];
    let come = poll(&mut waiting, PollTimeout::from(20_000u16)).unwrap();
    format!("{sent}, {}", if come == 1 { "passed" } else { "not passed" })
}

fn variables() -> String {
    let names = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDNAMES"];
    let value = |name: &&str| std::env::var(name).unwrap_or_else(|_| "-".into());
    names.iter().map(value).collect::<Vec<_>>().join(" ")
}

/// A child that prints the signals that it gets, and ends with status 9 on SIGTERM.
fn child() -> String {
    match fork() {
        0 => {
            let all = block_all();
            say(&format!("child {}", std::process::id()));
            loop {
                let number =
                    super::calls::call(libc::SYS_rt_sigtimedwait, [&raw const all as u64, 0, 0, 8, 0, 0]);
                say(&format!("child got {}", number.unwrap()));
                if number == Ok(libc::SIGTERM.into()) {
                    std::process::exit(9);
                }
            }
        }
        pid => pid.to_string(),
    }
}
