//! `[network]` resolved: the ports that may be used, and the sockets that are passed in.
//!
//! Must not know: how a port is limited or a socket opened.
#![forbid(unsafe_code)]

use super::feature::Feature;
use super::path::AbsPath;
use super::resolve::Context;
use super::tree::libc_errno;
use super::{GivenUp, Identity, Namespaces, Privileges};
use crate::problem::{At, Problem, Span};
use crate::spec::{ListenAddress, ListenEntry, Owner, Spec};
use core::net::SocketAddr;

/// Ports, and sockets passed in.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Network {
    /// Which TCP ports may be used.
    pub ports: TcpPorts,
    /// Names of the sockets that a service manager passed to jail: descriptors 3 and up. One that is
    /// bound where a `listen` entry says is that entry's.
    pub inherited: Vec<String>,
    /// Sockets that jail opens; they follow the inherited ones.
    pub listen: Vec<Listen>,
}

/// The only TCP ports that may be used; `None`: any. Sorted, each once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TcpPorts {
    /// By bind(2); 0 is a port that the kernel picks.
    pub bind: Option<Vec<u16>>,
    /// By connect(2).
    pub connect: Option<Vec<u16>>,
}

impl TcpPorts {
    /// Whether any of the two is limited.
    pub fn limited(&self) -> bool {
        self.bind.is_some() || self.connect.is_some()
    }
}

/// A socket that is opened outside and passed in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listen {
    /// Where.
    pub endpoint: Endpoint,
    /// In LISTEN_FDNAMES.
    pub name: String,
    /// Connections that wait to be accepted.
    pub backlog: i32,
    /// O_NONBLOCK.
    pub non_blocking: bool,
    /// Where it was written.
    pub at: Span,
}

/// What a socket listens on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Endpoint {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A UDP port.
    Udp(SocketAddr),
    /// A unix stream socket.
    Unix {
        /// On the host.
        path: AbsPath,
        /// Permission bits.
        mode: u32,
        /// User id inside; `None`: who runs `jail`.
        uid: Option<u32>,
        /// Group id inside; `None`: that of who runs `jail`.
        gid: Option<u32>,
    },
}

impl core::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Endpoint::Tcp(address) => write!(f, "{address}"),
            Endpoint::Udp(address) => write!(f, "udp:{address}"),
            Endpoint::Unix { path, .. } => write!(f, "unix:{path}"),
        }
    }
}

impl Endpoint {
    /// Whether both cannot be had at once.
    fn overlaps(&self, other: &Endpoint) -> bool {
        match (self, other) {
            (Endpoint::Tcp(a), Endpoint::Tcp(b)) | (Endpoint::Udp(a), Endpoint::Udp(b)) => {
                let all = a.ip().is_unspecified() || b.ip().is_unspecified();
                a.port() == b.port() && a.is_ipv4() == b.is_ipv4() && (all || a == b)
            }
            (Endpoint::Unix { path: a, .. }, Endpoint::Unix { path: b, .. }) => a == b,
            _ => false,
        }
    }
}

/// The kernel's default of net.core.somaxconn (Linux 5.4).
const DEFAULT_BACKLOG: i32 = 4096;
const DEFAULT_MODE: u32 = 0o666;
/// Linux 6.7.
const ABI_OF_PORTS: u32 = 4;

impl Context<'_> {
    /// Everything of `[network]` but its mode.
    pub(super) fn network(
        &mut self,
        name: &str,
        spec: &Spec,
        namespaces: &Namespaces,
        identity: Option<&Identity>,
        privileges: Option<&Privileges>,
    ) -> Network {
        let ports = self.ports(spec, privileges);
        let mut listen: Vec<Listen> = Vec::new();
        let mut inherited = self.facts.caller.sockets.clone();
        for At { value: entry, at } in &spec.network.listen {
            let Some(endpoint) = self.endpoint(entry, *at, namespaces, identity) else { continue };
            if let Some(other) = listen.iter().find(|other| endpoint.overlaps(&other.endpoint)) {
                let problem = Problem::usage(format!("{endpoint} overlaps {}", other.endpoint));
                let problem = problem.at(*at).also("the other one", other.at);
                self.problems.push(problem.help("remove one of them"));
                continue;
            }
            let name = entry.name.clone().unwrap_or_else(|| name.to_owned());
            // The service manager has opened it already (jail systemd --socket).
            let addresses = self.facts.caller.addresses.iter();
            let passed = addresses.zip(&mut inherited).find(|(address, _)| **address == endpoint.to_string());
            if let Some((_, known)) = passed {
                *known = name;
                continue;
            }
            listen.push(Listen {
                endpoint,
                name,
                backlog: entry.backlog.and_then(|n| i32::try_from(n).ok()).unwrap_or(DEFAULT_BACKLOG),
                non_blocking: entry.non_blocking,
                at: *at,
            });
        }
        Network { ports, inherited, listen }
    }

    /// The limits on ports, if they can be kept.
    fn ports(&mut self, spec: &Spec, privileges: Option<&Privileges>) -> TcpPorts {
        let network = &spec.network;
        let keys = [("bind", &network.bind), ("connect", &network.connect)];
        let Some((key, at)) = keys.iter().find_map(|(key, ports)| Some((*key, ports.as_ref()?.at))) else {
            return TcpPorts::default();
        };
        if self.lacks(Feature::NetworkPorts) {
            return TcpPorts::default();
        }
        if self.without.contains(&Feature::Landlock) {
            let what = Feature::NetworkPorts.name().to_owned();
            self.given_up.push(GivenUp { what, by: "--without landlock".into(), at: Some(at) });
            return TcpPorts::default();
        }
        let abi = self.facts.kernel.landlock;
        // Without any, that is a problem already.
        if (1..ABI_OF_PORTS).contains(&abi) {
            let problem = Problem::set_up(format!(
                "`{key}` in [network] cannot be kept: this kernel's Landlock (ABI {abi}) does not know ports"
            ));
            let help =
                "run Linux 6.7 or later, or write mode = \"none\" and pass the sockets in with `listen`";
            let give_up = "or give it up knowingly with `--without network-ports`";
            self.problems.push(problem.at(at).help(help).help(give_up));
        }
        self.check_ways_around(key, at, privileges);
        let sorted = |ports: &Option<At<Vec<u16>>>| {
            ports.as_ref().map(|ports| {
                let mut ports = ports.value.clone();
                ports.sort_unstable();
                ports.dedup();
                ports
            })
        };
        TcpPorts { bind: sorted(&network.bind), connect: sorted(&network.connect) }
    }

    /// A filter closes the ways past Landlock's port rules; io_uring would open them again.
    fn check_ways_around(&mut self, key: &str, at: Span, privileges: Option<&Privileges>) {
        match privileges.map(|p| &p.system_calls) {
            Some(None) => {
                let what = "network-ports over MPTCP and TCP Fast Open".to_owned();
                self.given_up.push(GivenUp { what, by: "--without seccomp".into(), at: Some(at) });
            }
            Some(Some(policy)) if policy.allows_named("io_uring_setup") => {
                let problem = Problem::usage(format!(
                    "`{key}` in [network] cannot be kept while `system-calls` allows io_uring"
                ));
                let why =
                    "io_uring makes MPTCP sockets past the filter, and Landlock does not see their ports";
                self.problems.push(problem.at(at).help(format!(
                    "{why}: take io_uring away, or give the ports up with `--without network-ports`"
                )));
            }
            _ => {}
        }
    }

    fn endpoint(
        &mut self,
        entry: &ListenEntry,
        at: Span,
        namespaces: &Namespaces,
        identity: Option<&Identity>,
    ) -> Option<Endpoint> {
        let path = match &entry.address {
            ListenAddress::Tcp(address) => return Some(Endpoint::Tcp(*address)),
            ListenAddress::Udp(address) => return Some(Endpoint::Udp(*address)),
            ListenAddress::Unix(path) => super::ask::checked(path, at, &mut self.problems)?,
        };
        if !namespaces.pid {
            let problem = Problem::usage("nobody would remove the unix socket when the program ends");
            let help =
                "with a shared pid namespace no process of jail stays: do not share it, or listen on a port";
            self.problems.push(problem.at(at).help(help));
            return None;
        }
        self.check_directory(&path, at)?;
        let gid = match &entry.group {
            Some(group) if namespaces.user => {
                let problem = Problem::set_up("only root can give a socket another group");
                self.problems.push(problem.at(group.at).help("run jail as root, or remove `group`"));
                return None;
            }
            Some(group) => Some(self.group(group)?.0),
            None => None,
        };
        // The owner's ids need a user, whose absence is a problem already.
        let owner = match entry.owner {
            Some(Owner::Process) => Some((identity?.uid, identity?.gid)),
            Some(Owner::Root) if !namespaces.user => Some((0, 0)),
            _ => None,
        };
        let mode = entry.mode.unwrap_or(DEFAULT_MODE);
        Some(Endpoint::Unix { path, mode, uid: owner.map(|o| o.0), gid: gid.or(owner.map(|o| o.1)) })
    }

    /// Whoever else may write there could put a link or another socket in its place, at any time.
    fn check_directory(&mut self, path: &AbsPath, at: Span) -> Option<()> {
        let directory = path.parent().unwrap_or_else(AbsPath::root);
        let problem = match self.facts.socket_directories.get(&directory)? {
            Ok(None) => return Some(()),
            Ok(Some(open)) => {
                let whose = if self.facts.caller.uid == 0 { "root" } else { "root and you" };
                Problem::set_up(format!("cannot make a socket at {path}: others than {whose} may write to {open}"))
                    .help("use a directory that nobody else may write to, such as /run (without root: $XDG_RUNTIME_DIR)")
            }
            Err(stop) => {
                let why = libc_errno::text(stop.errno);
                Problem::set_up(format!("cannot make a socket at {path}: {why}: {}", stop.path))
                    .help("create that directory, for root alone to write to, or name another")
            }
        };
        self.problems.push(problem.at(at));
        None
    }
}
