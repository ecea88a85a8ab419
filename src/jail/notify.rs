//! The service manager's socket for notifications (sd_notify(3)), and what the program gets for it.
//!
//! Must not know: how a message is read or passed on.
#![forbid(unsafe_code)]

use super::path::AbsPath;
use super::resolve::Context;
use super::tree::Tree;
use super::{Namespaces, Place, What};
use crate::problem::Problem;

/// Where the program's own socket is. In `/dev`, because there the jail always has a file system of its
/// own, also in a root that was given.
const SOCKET: &str = "/dev/notify";

/// How the program notifies the service manager.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notify {
    /// The program's NOTIFY_SOCKET: a socket of its own, which the outer process reads; in place, the
    /// manager's.
    pub inside: AbsPath,
    /// The manager's socket, as in jail's own NOTIFY_SOCKET: a path, or an abstract name after `@`.
    pub manager: String,
    /// WATCHDOG_USEC: how often, in microseconds, the manager expects a sign of life.
    pub watchdog: Option<u64>,
}

impl Tree<'_> {
    /// The program's own socket, if there is a manager and an outer process that can pass messages on.
    pub(super) fn notify_socket(&mut self, namespaces: &Namespaces) {
        if self.facts.caller.manager.is_some() && namespaces.pid {
            self.place_ours(SOCKET, What::NotifySocket);
        }
    }
}

impl Context<'_> {
    /// What the program gets; a problem if its messages would never arrive.
    pub(super) fn notify(&mut self, namespaces: &Namespaces, places: &[Place]) -> Option<Notify> {
        let manager = self.facts.caller.manager.as_ref()?;
        let inside = if namespaces.pid { own(places) } else { shown(&manager.socket, places) };
        if let Some(inside) = inside {
            let (manager, watchdog) = (manager.socket.clone(), manager.watchdog);
            return Some(Notify { inside, manager, watchdog });
        }
        let problem = Problem::set_up(format!(
            "the program could not notify the service manager, whose socket is {} (NOTIFY_SOCKET)",
            manager.socket
        ));
        let problem = if namespaces.pid {
            problem.help(format!("its own socket would be {SOCKET}: place nothing at /dev or there"))
        } else if manager.socket.starts_with('/') {
            let entry = format!("{{ path = \"{}\", bind = true }}", manager.socket);
            problem.help(format!(
                "with a shared pid namespace nobody passes messages on, so the socket itself must be there: add {entry} to [files] read"
            ))
        } else {
            problem.help("with a shared pid namespace nobody passes messages on, and an abstract socket cannot be shown: do not share it")
        };
        let without = "or start jail without NOTIFY_SOCKET (a unit of Type=exec and NotifyAccess=none)";
        self.problems.push(problem.help(without));
        None
    }
}

fn own(places: &[Place]) -> Option<AbsPath> {
    places.iter().find(|place| place.what == What::NotifySocket).map(|place| place.path.clone())
}

/// The host's socket of this path, if it is to be seen inside at the same path.
fn shown(socket: &str, places: &[Place]) -> Option<AbsPath> {
    let socket = AbsPath::new(socket).ok()?;
    // Parents come first: the last is what is really there.
    let nearest = places.iter().rfind(|place| {
        let through = matches!(place.what, What::Bind { .. } | What::Tmpfs { .. });
        through && socket.is_within(&place.path)
    })?;
    let What::Bind { source, .. } = &nearest.what else { return None };
    (socket.rebase(&nearest.path, source).as_ref() == Some(&socket)).then_some(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jail::{BindKind, Ids};

    fn path(text: &str) -> AbsPath {
        AbsPath::new(text).unwrap()
    }

    fn bind(at: &str, source: &str, kind: BindKind) -> Place {
        let what = What::Bind { source: path(source), kind, write: false, exec: false, create: None };
        Place { path: path(at), what, at: None }
    }

    #[test]
    fn a_shown_socket_is_the_managers_own() {
        let socket = "/run/systemd/notify";
        let directory = |at, source| vec![bind(at, source, BindKind::Directory)];
        assert_eq!(shown(socket, &directory("/run/systemd", "/run/systemd")), Some(path(socket)));
        assert_eq!(shown(socket, &[bind(socket, socket, BindKind::Special)]), Some(path(socket)));
        assert_eq!(shown(socket, &directory("/run/systemd", "/srv/run")), None);
        assert_eq!(shown(socket, &directory("/run/other", "/run/other")), None);
        assert_eq!(shown("@name", &directory("/", "/")), None);
        let mut hidden = directory("/run", "/run");
        let (owner, directories) = (Ids { uid: 0, gid: 0 }, Vec::new());
        let what = What::Tmpfs { size: 1, inodes: 1, mode: 0o755, owner, exec: false, directories };
        hidden.push(Place { path: path("/run/systemd"), what, at: None });
        assert_eq!(shown(socket, &hidden), None);
    }
}
