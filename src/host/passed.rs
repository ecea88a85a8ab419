//! What a service manager has told this process in its environment: sockets passed to it
//! (sd_listen_fds(3)), and where it wants to be notified (sd_notify(3)).
//!
//! Must not know: what becomes of them.

use crate::jail::facts::Manager;
use crate::jail::network::Endpoint;
use crate::problem::{Problem, Problems};
use crate::sys::descriptors::look_at_inherited;
use nix::sys::socket::sockopt::SockType;
use nix::sys::socket::{SockType as Type, SockaddrStorage, getsockname, getsockopt};
use rustix::fs::FileType;
use std::net::SocketAddr;

/// Names of the sockets at descriptors 3 and up; none if the variables speak of another process.
pub fn sockets(problems: &mut Problems) -> Vec<String> {
    let variable = |name: &str| std::env::var(name).ok();
    let own = std::process::id().to_string();
    if variable("LISTEN_PID").is_none_or(|pid| pid != own) {
        return Vec::new();
    }
    let (count, names) = (variable("LISTEN_FDS"), variable("LISTEN_FDNAMES"));
    match names_of(count.as_deref().unwrap_or_default(), names.as_deref(), is_socket) {
        Ok(names) => names,
        Err(what) => {
            let help = "see sd_listen_fds(3); only sockets can be passed on";
            problems.push(Problem::set_up(what).help(help));
            Vec::new()
        }
    }
}

/// Where each of so many sockets from descriptor 3 up is bound, as a `listen` entry names it; empty for
/// what no entry could be.
pub fn addresses(count: usize) -> Vec<String> {
    let numbers = (3..).take(count);
    numbers.map(|number| address(number).unwrap_or_default()).collect()
}

fn address(number: i32) -> Option<String> {
    let socket = look_at_inherited(number);
    let bound: SockaddrStorage = getsockname(number).ok()?;
    let datagram = match getsockopt(&socket, SockType).ok()? {
        Type::Stream => false,
        Type::Datagram => true,
        _ => return None,
    };
    let inet = bound.as_sockaddr_in().map(|a| SocketAddr::V4((*a).into()));
    let inet = inet.or_else(|| bound.as_sockaddr_in6().map(|a| SocketAddr::V6((*a).into())));
    match inet {
        Some(address) if datagram => Some(Endpoint::Udp(address).to_string()),
        Some(address) => Some(Endpoint::Tcp(address).to_string()),
        None => {
            let path = bound.as_unix_addr().filter(|_| !datagram)?.path()?;
            Some(format!("unix:{}", path.to_str()?))
        }
    }
}

/// Fails closed: the manager meant this process, and its program would miss its socket.
fn names_of(
    count: &str,
    names: Option<&str>,
    is_socket: impl Fn(usize) -> bool,
) -> Result<Vec<String>, String> {
    // No process has more descriptors than this (NR_OPEN).
    let count = count.parse::<usize>().ok().filter(|n| *n <= 1 << 20);
    let count = count.ok_or("LISTEN_FDS, which is meant for this process, is not a number")?;
    if let Some(other) = (3..3 + count).find(|fd| !is_socket(*fd)) {
        return Err(format!("descriptor {other}, which LISTEN_FDS passes to this process, is not a socket"));
    }
    let names: Vec<String> = match names {
        None => vec!["unknown".to_owned(); count],
        Some(names) => names.split(':').map(str::to_owned).collect(),
    };
    if names.len() != count && count > 0 {
        return Err(format!("LISTEN_FDNAMES has {} names for {count} descriptors", names.len()));
    }
    Ok(names.into_iter().take(count).collect())
}

/// The manager that is to be notified; none if NOTIFY_SOCKET is not set, or empty.
pub fn manager(problems: &mut Problems) -> Option<Manager> {
    let socket = std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty())?;
    let socket = socket.to_string_lossy().into_owned();
    if let Err(why) = reachable(&socket) {
        let problem = Problem::set_up(format!("NOTIFY_SOCKET={socket:?} cannot be served: {why}"));
        problems.push(problem.help("start jail without it, or with a path, or an abstract name after `@`"));
        return None;
    }
    let variable = |name: &str| std::env::var(name).ok();
    let watchdog = watchdog(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"), std::process::id());
    Some(Manager { socket, watchdog })
}

/// Whether an address is one of sd_notify(3) that can be reached from here.
fn reachable(socket: &str) -> Result<(), &'static str> {
    // sun_path has 108 bytes, the last of which is NUL after a path.
    const LONGEST: usize = 107;
    match socket.as_bytes() {
        // Only the manager of a virtual machine gets one, never a service.
        _ if socket.starts_with("vsock") => Err("it is the socket of a virtual machine's host"),
        [b'/' | b'@', _, ..] if socket.len() > LONGEST => Err("it is too long for a unix socket"),
        [b'/' | b'@', _, ..] => Ok(()),
        _ => Err("it is no unix socket"),
    }
}

/// As sd_watchdog_enabled(3) has it.
fn watchdog(usec: Option<String>, pid: Option<String>, own: u32) -> Option<u64> {
    let meant = pid.is_none_or(|pid| pid == own.to_string());
    usec.filter(|_| meant)?.parse().ok().filter(|usec| *usec > 0)
}

fn is_socket(fd: usize) -> bool {
    let stat = rustix::fs::stat(format!("/proc/self/fd/{fd}"));
    stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Socket)
}

#[cfg(test)]
mod tests {
    use super::{names_of, reachable, watchdog};

    #[test]
    fn where_a_manager_listens() {
        for good in ["/run/systemd/notify", "@/org/freedesktop/systemd1/notify", "@x"] {
            assert_eq!(reachable(good), Ok(()), "{good}");
        }
        for bad in ["vsock:2:1234", "vsock-stream:2:1", "run/notify", "/", "@", &format!("/{:0107}", 0)] {
            assert!(reachable(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_watchdog_is_for_the_process_that_it_names() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(watchdog(some("3000000"), some("7"), 7), Some(3_000_000));
        assert_eq!(watchdog(some("3000000"), None, 7), Some(3_000_000));
        for (usec, pid) in
            [(some("1"), some("8")), (some("0"), None), (some("soon"), None), (None, some("7"))]
        {
            assert_eq!(watchdog(usec, pid, 7), None);
        }
    }

    #[test]
    fn what_sd_listen_fds_says() {
        let all = |_| true;
        assert_eq!(names_of("2", Some("a:b"), all).unwrap(), ["a", "b"]);
        assert_eq!(names_of("2", None, all).unwrap(), ["unknown", "unknown"]);
        assert_eq!(names_of("0", Some(""), all).unwrap(), [""; 0]);
        for (count, names) in [("", None), ("-1", None), ("two", None), ("99999999999", None)] {
            assert!(names_of(count, names, all).unwrap_err().contains("not a number"), "{count}");
        }
        assert!(names_of("2", Some("a"), all).unwrap_err().contains("1 names for 2"));
        assert!(names_of("2", None, |fd| fd == 3).unwrap_err().starts_with("descriptor 4,"));
    }
}
