//! Sockets: which families, which addresses, which ports.
#![forbid(unsafe_code)]

mod ports;

use super::{Context, one};
use crate::seccomp::{self, Answer};
use crate::verify::batch::{Arg, Batch};
use crate::verify::{Judge, Promise};

const GROUP: &str = "network";
const AF_UNIX: i64 = 1;
const AF_INET: i64 = 2;
const AF_INET6: i64 = 10;
const AF_NETLINK: i64 = 16;
const STREAM: i64 = 1;
const RAW: i64 = 3;

pub fn promises(context: &Context<'_>) -> Vec<Promise> {
    vec![families(context), host(context), abstract_sockets(context), ports::promise(context)]
}

/// Families that no server needs: rarely used code, or a way past every network namespace.
const FAMILIES: &[(&str, i64, i64, i64)] = &[
    ("packet", 17, RAW, 0),
    ("vsock", 40, STREAM, 0),
    ("alg", 38, 5, 0),
    ("key", 15, RAW, 2),
    ("xdp", 44, RAW, 0),
    ("bluetooth", 31, RAW, 1),
    ("can", 29, RAW, 1),
    ("tipc", 30, STREAM, 0),
    ("rds", 21, 5, 0),
    ("nfc", 39, RAW, 0),
    ("smc", 43, STREAM, 0),
    ("kcm", 41, 2, 0),
    ("rxrpc", 33, 2, 0),
    ("mctp", 45, 2, 0),
];

fn families(context: &Context<'_>) -> Promise {
    let mut promise =
        Promise::new(GROUP, "families", "no socket of a family beyond unix, inet, inet6, netlink for routes");
    let number = seccomp::number("socket").unwrap_or(0);
    let given = |family: i64, protocol: i64| match context.policy {
        None => context.given("seccomp"),
        Some(policy) => {
            let arguments = [family, 0, protocol, 0, 0, 0].map(i64::cast_unsigned);
            (policy.answer(number, arguments) == Answer::Kernel).then(|| "socket-families".to_owned())
        }
    };
    for (name, family, kind, protocol) in FAMILIES {
        let batch = one("socket", &[(*family).into(), (*kind).into(), (*protocol).into()]);
        promise.attempt(format!("a socket of {name}"), batch, Judge::Refused, given(*family, *protocol));
    }
    // Protocols of netlink: connections of the host, audit, netfilter, events of devices.
    for (name, protocol) in [("sock_diag", 4), ("audit", 9), ("netfilter", 12), ("uevent", 15)] {
        let batch = one("socket", &[AF_NETLINK.into(), RAW.into(), protocol.into()]);
        promise.attempt(format!("netlink {name}"), batch, Judge::Refused, given(16, protocol));
    }
    for (name, family) in [("inet", AF_INET), ("inet6", AF_INET6)] {
        let batch = one("socket", &[family.into(), RAW.into(), 1.into()]);
        let given = context.by_capability("NET_RAW", &["socket"]);
        promise.attempt(format!("a raw socket of {name}"), batch, Judge::Refused, given);
    }
    promise
}

/// struct sockaddr_in.
pub fn inet(address: [u8; 4], port: u16) -> Vec<u8> {
    let family = (AF_INET as u16).to_ne_bytes();
    [&family[..], &port.to_be_bytes(), &address, &[0; 8]].concat()
}

/// struct sockaddr_in6.
pub fn inet6(address: [u8; 16], port: u16) -> Vec<u8> {
    let family = (AF_INET6 as u16).to_ne_bytes();
    [&family[..], &port.to_be_bytes(), &[0; 4], &address, &[0; 4]].concat()
}

fn loopback(port: u16) -> Vec<u8> {
    inet([127, 0, 0, 1], port)
}

fn with_socket(call: &str, family: i64, address: &[u8]) -> Batch {
    with_protocol(call, family, 0, address)
}

fn with_protocol(call: &str, family: i64, protocol: i64, address: &[u8]) -> Batch {
    let mut batch = Batch::default();
    let fd = batch.call("socket", &[family.into(), STREAM.into(), protocol.into()]);
    let at = batch.bytes(address);
    batch.call(call, &[fd, at, Arg::Number(address.len() as u64)]);
    batch
}

/// Connects by sending: no connect(2) is made.
fn fast_open(address: &[u8]) -> Batch {
    const MSG_FASTOPEN: i64 = 0x2000_0000;
    let mut batch = Batch::default();
    let fd = batch.call("socket", &[AF_INET.into(), STREAM.into(), 0.into()]);
    let (data, to) = (batch.bytes(b"x"), batch.bytes(address));
    batch.call("sendto", &[fd, data, 1.into(), MSG_FASTOPEN.into(), to, Arg::Number(address.len() as u64)]);
    batch
}

fn host(context: &Context<'_>) -> Promise {
    let mut promise = Promise::new(GROUP, "host", "the host's network cannot be reached");
    let given = (!context.unshared.net).then(|| "network mode = \"host\"".to_owned());
    let port = context.world.port;
    let to = loopback(port);
    let connect = context.ports.and_then(|p| p.connect.as_ref());
    let limited = connect.is_some_and(|allowed| !allowed.contains(&port));
    let batch = with_socket("connect", AF_INET, &to);
    let by_port = given.clone().filter(|_| !limited);
    promise.attempt(format!("connect to 127.0.0.1:{port} of the host"), batch, Judge::Refused, by_port);
    if limited {
        let around = || ports::ways_around(context);
        let batch = with_protocol("connect", AF_INET, ports::MPTCP, &to);
        promise.attempt(
            format!("connect to port {port} of the host by MPTCP"),
            batch,
            Judge::Refused,
            around(),
        );
        promise.attempt(
            format!("connect to port {port} of the host by Fast Open"),
            fast_open(&to),
            Judge::Refused,
            around(),
        );
        // Nothing to try: what is limited is refused, and the rest is the host's.
        if given.is_some() {
            promise.find("UDP and the ports in `connect` are the host's", false, given);
        }
    }
    promise
}

fn abstract_sockets(context: &Context<'_>) -> Promise {
    let mut promise =
        Promise::new(GROUP, "abstract-sockets", "no abstract unix socket outside can be reached");
    let name = context.world.socket.as_bytes();
    let address = [&(AF_UNIX as u16).to_ne_bytes()[..], &[0], name].concat();
    let batch = with_socket("connect", AF_UNIX, &address);
    let given = if context.unshared.net {
        None
    } else {
        match context.landlock {
            None => context.given("landlock"),
            Some(abi) if abi < 6 => Some("the kernel, before Linux 6.12".into()),
            Some(_) => None,
        }
    };
    promise.attempt("connect to one", batch, Judge::Refused, given);
    promise
}
