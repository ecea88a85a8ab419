//! The socket unit of a jail that listens: systemd opens the sockets of `listen` in place of jail.
//!
//! jail recognises them by their addresses, so that it opens none a second time. Must not know: how
//! sockets are passed.
#![forbid(unsafe_code)]

use super::{Unit, plain};
use crate::jail::network::{Endpoint, Listen};
use crate::plan::{Plan, Step};
use crate::problem::{Problem, Problems};

fn listened(plan: &Plan) -> impl Iterator<Item = &Listen> {
    plan.steps.iter().filter_map(|planned| match &planned.step {
        Step::Listen { socket, .. } => Some(socket),
        _ => None,
    })
}

/// Whether a socket of `listen` is to be non-blocking. A service can say so of all or none.
pub fn non_blocking(plan: &Plan) -> bool {
    listened(plan).any(|socket| socket.non_blocking)
}

/// The socket unit for `jail-NAME.service`.
///
/// # Errors
/// The spec has no `listen`, or entries that one unit cannot hold.
pub fn socket(plan: &Plan) -> Result<String, Problems> {
    let sockets: Vec<&Listen> = listened(plan).collect();
    let Some(first) = sockets.first() else {
        let what =
            format!("the spec of {} has no `listen` in [network], so there is no socket unit", plan.name);
        return Err(Problem::usage(what)
            .help("a program that takes sockets over (sd_listen_fds(3)) can have them by `listen`: jail help listen")
            .into());
    };
    let unix = |socket: &Listen| match &socket.endpoint {
        Endpoint::Unix { mode, uid, gid, .. } => Some((*mode, *uid, *gid)),
        _ => None,
    };
    let files: Vec<_> = sockets.iter().filter_map(|s| Some((unix(s)?, s.at))).collect();
    if let Some((_, at)) = files.iter().find(|(file, _)| Some(file) != files.first().map(|(f, _)| f)) {
        let what = "a socket unit has one mode and owner for all its unix sockets";
        return Err(Problem::usage(what).at(*at).help("give all of them the same").into());
    }
    let mut unit = Unit::new(
        "systemd opens the sockets and starts the service with the first connection. jail knows them by\n\
         their addresses; without this unit it opens them itself.",
    );
    unit.section("Unit");
    unit.set("", &[("Description", &format!("sockets of {}", plain(&plan.name)))]);
    unit.section("Socket");
    for socket in &sockets {
        let (key, value) = match &socket.endpoint {
            Endpoint::Tcp(address) => ("ListenStream", address.to_string()),
            Endpoint::Udp(address) => ("ListenDatagram", address.to_string()),
            Endpoint::Unix { path, .. } => ("ListenStream", plain(path.as_str())),
        };
        unit.set("", &[(key, &value)]);
    }
    unit.set("`[::]` is not 0.0.0.0 as well: that is an entry of its own.", &[("BindIPv6Only", "ipv6-only")]);
    unit.set(
        "The most that an entry asks for.",
        &[("Backlog", &sockets.iter().map(|s| s.backlog).max().unwrap_or(first.backlog).to_string())],
    );
    if let Some(((mode, uid, gid), _)) = files.first() {
        let mut lines = vec![("SocketMode", format!("{mode:04o}"))];
        lines.extend(uid.map(|uid| ("SocketUser", uid.to_string())));
        lines.extend(gid.map(|gid| ("SocketGroup", gid.to_string())));
        let lines: Vec<(&str, &str)> = lines.iter().map(|(key, value)| (*key, value.as_str())).collect();
        unit.set("Of the unix sockets.", &lines);
        unit.set("The file goes with the socket.", &[("RemoveOnStop", "yes")]);
    }
    unit.section("Install");
    unit.set("", &[("WantedBy", "sockets.target")]);
    Ok(unit.0)
}
