//! TCP ports: those that the plan allows, those next to them, and the ways around a limit.
//!
//! Must not know: how a port is limited.
#![forbid(unsafe_code)]

use super::{AF_INET, AF_INET6, GROUP, fast_open, inet, inet6, loopback, with_protocol, with_socket};
use crate::plan::Step;
use crate::verify::expect::{Context, EACCES, EBADF, EPERM};
use crate::verify::{Judge, Promise};
use std::collections::BTreeSet;

/// IPPROTO_MPTCP.
pub const MPTCP: i64 = 262;
const EOPNOTSUPP: i32 = 95;

/// What a limit answers; EBADF where there is not even a socket.
const REFUSED: &[i32] = &[EACCES, EPERM, EBADF];
/// TCP does not connect to it, so nothing is ever sent. Whether it may is asked before.
const NOWHERE: [u8; 4] = [255; 4];
const SELF6: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
/// Most listed ports that are tried.
const MOST: usize = 16;

/// Who gave up what a filter closes beside the limit.
pub fn ways_around(context: &Context<'_>) -> Option<String> {
    context.given("network-ports over MPTCP and TCP Fast Open")
}

pub fn promise(context: &Context<'_>) -> Promise {
    let (bind, connect) = context.ports.map_or((None, None), |p| (p.bind.as_deref(), p.connect.as_deref()));
    let given = context.given("network-ports");
    let text = match (bind, connect) {
        (None, None) if given.is_some() => "no TCP port can be used but those in `bind` and `connect`",
        (None, None) => "no port below 1024 can be taken",
        (Some(_), None) => "no TCP port can be taken but those in `bind`",
        (None, Some(_)) => {
            "no port below 1024 can be taken, and no TCP port connected to but those in `connect`"
        }
        (Some(_), Some(_)) => {
            "no TCP port can be taken but those in `bind`, or connected to but those in `connect`"
        }
    };
    let mut promise = Promise::new(GROUP, "ports", text);
    if let Some(by) = given {
        promise.find("the TCP ports in `bind` and `connect` are not the only ones", false, Some(by));
    }
    match bind {
        Some(allowed) => bind_is_limited(context, &mut promise, allowed),
        None => low_ports(context, &mut promise),
    }
    if let Some(allowed) = connect {
        connect_is_limited(context, &mut promise, allowed);
    }
    if context.ports.is_some() {
        promise.note =
            "not limited: UDP, and the port of a socket that listens without having been bound".into();
    }
    promise
}

/// The first port that needs no capability. A network namespace begins with a setting of its own.
fn first(context: &Context<'_>) -> u16 {
    if context.unshared.net { 1024 } else { context.world.first_port }
}

fn low_ports(context: &Context<'_>, promise: &mut Promise) {
    for port in [1u16, 1023] {
        let given = if port >= first(context) {
            Some("sysctl net.ipv4.ip_unprivileged_port_start".to_owned())
        } else {
            context.by_capability("NET_BIND_SERVICE", &["bind"])
        };
        let batch = with_socket("bind", AF_INET, &loopback(port));
        promise.attempt(format!("bind 127.0.0.1:{port}"), batch, Judge::RefusedWith(1, REFUSED), given);
    }
}

/// Ports that are not listed: the neighbours of those that are, and the ends of the range.
fn outside(allowed: &[u16]) -> BTreeSet<u16> {
    let near = allowed.iter().take(MOST).flat_map(|p| [p.saturating_sub(1), p.saturating_add(1)]);
    near.chain([0, 1, 1023, 1024, u16::MAX]).filter(|port| !allowed.contains(port)).collect()
}

fn bind_is_limited(context: &Context<'_>, promise: &mut Promise, allowed: &[u16]) {
    let refused = || Judge::RefusedWith(1, REFUSED);
    for port in outside(allowed) {
        let (four, six) = (loopback(port), inet6(SELF6, port));
        promise.attempt(
            format!("bind TCP port {port}"),
            with_socket("bind", AF_INET, &four),
            refused(),
            None,
        );
        promise.attempt(
            format!("bind TCP port {port} by IPv6"),
            with_socket("bind", AF_INET6, &six),
            refused(),
            None,
        );
        let batch = with_protocol("bind", AF_INET, MPTCP, &four);
        promise.attempt(format!("bind port {port} by MPTCP"), batch, refused(), ways_around(context));
    }
    // In a user namespace a capability is none over the host's network.
    let rootless =
        context.has(|s| matches!(s, Step::Isolate { user: Some(_), .. } | Step::UserNamespace { .. }));
    let privileged = context.holds("NET_BIND_SERVICE") && (context.unshared.net || !rootless);
    let free = |port: u16| port == 0 || privileged || port >= first(context);
    for port in allowed.iter().copied().filter(|port| free(*port)).take(MOST) {
        let batch = with_socket("bind", AF_INET, &loopback(port));
        promise.attempt(
            format!("bind the listed port {port}"),
            batch,
            Judge::NotRefusedWith(1, &[EACCES]),
            None,
        );
    }
}

fn connect_is_limited(context: &Context<'_>, promise: &mut Promise, allowed: &[u16]) {
    // Port 0 is none to connect to.
    for port in outside(allowed).into_iter().filter(|port| *port != 0) {
        let to = inet(NOWHERE, port);
        let refused = || Judge::RefusedWith(1, REFUSED);
        let batch = with_socket("connect", AF_INET, &to);
        promise.attempt(format!("connect to TCP port {port}"), batch, refused(), None);
        let batch = with_protocol("connect", AF_INET, MPTCP, &to);
        promise.attempt(format!("connect to port {port} by MPTCP"), batch, refused(), ways_around(context));
        let judge = Judge::RefusedWith(1, &[EOPNOTSUPP, EACCES, EPERM, EBADF]);
        promise.attempt(
            format!("connect to port {port} by Fast Open"),
            fast_open(&to),
            judge,
            ways_around(context),
        );
    }
    for port in allowed.iter().copied().take(MOST) {
        let batch = with_socket("connect", AF_INET, &inet(NOWHERE, port));
        let judge = Judge::NotRefusedWith(1, &[EACCES]);
        promise.attempt(format!("connect to the listed port {port}"), batch, judge, None);
    }
}
