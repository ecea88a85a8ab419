//! Ports and passed sockets, as a program inside finds them.
//!
//! Must not know: which ports should work.

use super::Arguments;
use super::calls::{call, call1, call2, call3, socket};
use nix::sys::socket::{SockaddrStorage, getsockname};
use serde_json::{Value, json};
use std::os::fd::RawFd;

type Attempt = Box<dyn FnOnce() -> Result<(), i32>>;

const IPPROTO_MPTCP: i32 = 262;
const MSG_FASTOPEN: u64 = 0x2000_0000;

/// `ports=PORT,PORT` are tried in every way that there is, on the loopback address.
pub fn attempts(arguments: &Arguments) -> Vec<(String, Attempt)> {
    let words = arguments.get("ports").unwrap_or("").split(',').filter(|w| !w.is_empty());
    let mut list: Vec<(String, Attempt)> = Vec::new();
    for port in words.map(|w| w.parse::<u16>().unwrap()) {
        let mut add = |name: &str, body: fn(u16) -> Result<(), i32>| {
            list.push((format!("{name} {port}"), Box::new(move || body(port))));
        };
        add("bind tcp", |port| with(libc::SYS_bind, tcp(0)?, port));
        add("bind tcp6", bind6);
        add("bind udp", |port| with(libc::SYS_bind, socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?, port));
        add("bind mptcp", |port| with(libc::SYS_bind, tcp(IPPROTO_MPTCP)?, port));
        add("connect tcp", |port| with(libc::SYS_connect, tcp(0)?, port));
        add("connect udp", |port| with(libc::SYS_connect, socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?, port));
        add("connect mptcp", |port| with(libc::SYS_connect, tcp(IPPROTO_MPTCP)?, port));
        add("fast open", fast_open);
    }
    if !list.is_empty() {
        list.push((
            "listen unbound".into(),
            Box::new(|| call2(libc::SYS_listen, tcp(0)? as u64, 1).map(drop)),
        ));
    }
    list
}

fn tcp(protocol: i32) -> Result<RawFd, i32> {
    socket(libc::AF_INET, libc::SOCK_STREAM, protocol)
}

fn loopback(port: u16) -> libc::sockaddr_in {
    // SAFETY: all zeroes is a valid address.
    let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    address.sin_family = libc::AF_INET as libc::sa_family_t;
    address.sin_port = port.to_be();
    address.sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);
    address
}

/// bind(2) or connect(2).
fn with(number: i64, fd: RawFd, port: u16) -> Result<(), i32> {
    let address = loopback(port);
    call3(number, fd as u64, &raw const address as u64, size_of_val(&address) as u64).map(drop)
}

fn bind6(port: u16) -> Result<(), i32> {
    let fd = socket(libc::AF_INET6, libc::SOCK_STREAM, 0)?;
    // SAFETY: all zeroes is a valid address.
    let mut address: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
    address.sin6_family = libc::AF_INET6 as libc::sa_family_t;
    address.sin6_port = port.to_be();
    call3(libc::SYS_bind, fd as u64, &raw const address as u64, size_of_val(&address) as u64).map(drop)
}

/// Connects by sending: no connect(2) is made.
fn fast_open(port: u16) -> Result<(), i32> {
    let (fd, address) = (tcp(0)?, loopback(port));
    let pointer = &raw const address as u64;
    let data = b"x".as_ptr() as u64;
    call(libc::SYS_sendto, [fd as u64, data, 1, MSG_FASTOPEN, pointer, size_of_val(&address) as u64])
        .map(drop)
}

/// What LISTEN_FDS speaks of, each as the kernel describes it.
pub fn passed() -> Vec<Value> {
    let count = std::env::var("LISTEN_FDS").ok().and_then(|n| n.parse::<i32>().ok()).unwrap_or(0);
    (3..3 + count)
        .map(|fd| {
            let address = getsockname::<SockaddrStorage>(fd).map(|a| a.to_string()).unwrap_or_default();
            let flags = call2(libc::SYS_fcntl, fd as u64, libc::F_GETFL as u64).unwrap_or(0);
            let accepting = option(fd, libc::SO_ACCEPTCONN);
            let non_blocking = flags as i32 & libc::O_NONBLOCK != 0;
            json!({ "address": address, "non-blocking": non_blocking, "accepting": accepting == 1 })
        })
        .collect()
}

fn option(fd: RawFd, name: i32) -> i32 {
    let (mut value, mut length) = (0i32, 4u32);
    let (to, size) = (&raw mut value as u64, &raw mut length as u64);
    call(libc::SYS_getsockopt, [fd as u64, libc::SOL_SOCKET as u64, name as u64, to, size, 0])
        .map_or(-1, |_| value)
}

/// Sockets on `tcp:ADDRESS`, `udp:ADDRESS` and `unix:PATH`.
pub fn hold(addresses: &[String]) -> Vec<std::os::fd::OwnedFd> {
    let open = |address: &String| match address.split_once(':').unwrap() {
        ("tcp", address) => std::net::TcpListener::bind(address).unwrap().into(),
        ("udp", address) => std::net::UdpSocket::bind(address).unwrap().into(),
        (_, path) => std::os::unix::net::UnixListener::bind(path).unwrap().into(),
    };
    addresses.iter().map(open).collect()
}

/// Answers every connection on the first passed socket with who it is.
pub fn serve() {
    loop {
        let client = call3(libc::SYS_accept, 3, 0, 0).unwrap() as u64;
        let text = format!("served by {}\n", std::process::id());
        call3(libc::SYS_write, client, text.as_ptr() as u64, text.len() as u64).unwrap();
        call1(libc::SYS_close, client).unwrap();
    }
}
