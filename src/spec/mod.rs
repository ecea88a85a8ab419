//! The TOML language: what may be written, as typed values that remember where they were written.
//!
//! `keys` is the one table of keys; `parse` turns one text into a [`Spec`] by it; `merge` joins an
//! included spec under the including one; `load` finds and reads files (the only part that touches
//! the system); `builtin` holds the shipped specs. Must not know: what any value means on a host.
#![forbid(unsafe_code)]

pub mod builtin;
pub mod keys;
mod limits;
pub mod load;
pub mod merge;
pub mod parse;
pub mod value;

pub use limits::{Device, IoEntry, Limits, OnMemory, Rate};

use crate::problem::At;
use core::net::SocketAddr;

/// A spec as written (includes already merged): nothing is resolved or defaulted yet.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Spec {
    /// One line for `jail specs`.
    pub description: Option<At<String>>,
    /// Building blocks or specs, by name or path.
    pub include: Vec<At<String>>,
    /// `[process]`
    pub process: Process,
    /// `[files]`
    pub files: Files,
    /// `[network]`
    pub network: Network,
    /// `[privileges]`
    pub privileges: Privileges,
    /// `[limits]`
    pub limits: Limits,
}

/// `[process]`: what runs, as whom, with which surroundings.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Process {
    /// Program and arguments: one value, never appended to.
    pub command: Option<At<Vec<String>>>,
    /// A name, a number, or `auto`.
    pub user: Option<At<String>>,
    /// A name or a number; default: the user's own group.
    pub group: Option<At<String>>,
    /// Supplementary groups.
    pub groups: Vec<At<String>>,
    /// File mode creation mask, an octal string.
    pub umask: Option<At<u32>>,
    /// Working directory inside.
    pub cwd: Option<At<String>>,
    /// Environment, in order of writing.
    pub env: Vec<(At<String>, At<String>)>,
    /// Names of variables taken over from the caller.
    pub keep_env: Vec<At<String>>,
    /// What SIGTERM to the outer process becomes.
    pub stop_signal: Option<At<String>>,
    /// What SIGHUP to the outer process becomes.
    pub reload_signal: Option<At<String>>,
    /// Milliseconds between the stop signal and SIGKILL.
    pub stop_timeout: Option<At<u64>>,
    /// -20..=19
    pub nice: Option<At<i64>>,
    /// -1000..=1000
    pub oom_score_adjust: Option<At<i64>>,
    /// Resource limits by name (`nofile`, `core`, ...).
    pub rlimits: Vec<(At<String>, At<Rlimit>)>,
    /// Give the program a terminal of its own when the caller has one.
    pub terminal: Option<At<bool>>,
    /// The program daemonises.
    pub forking: Option<At<bool>>,
    /// Where it writes the number of its main process, inside.
    pub main_pid_file: Option<At<String>>,
}

/// A resource limit, soft and hard; `None` is unlimited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rlimit {
    /// What the program starts with.
    pub soft: Option<u64>,
    /// What it may raise it to.
    pub hard: Option<u64>,
}

/// `[files]`: what the program sees.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Files {
    /// `skeleton` (default) or a directory that becomes `/`.
    pub root: Option<At<Root>>,
    /// Shown read-only.
    pub read: Vec<At<PathEntry>>,
    /// Shown writable.
    pub write: Vec<At<PathEntry>>,
    /// Fresh memory file systems.
    pub tmpfs: Vec<At<TmpfsEntry>>,
    /// Files made of text in the spec.
    pub text: Vec<At<TextEntry>>,
    /// Symbolic links.
    pub link: Vec<At<LinkEntry>>,
    /// Device nodes beyond the basic set; `none` takes the basic set away.
    pub dev: Vec<At<String>>,
    /// How much of /proc.
    pub proc: Option<At<Proc>>,
    /// The only programs, or directories of programs, that may be executed, beside the command;
    /// `None`: whatever is shown.
    pub exec: Option<Vec<At<String>>>,
}

/// `root`: what `/` is made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Root {
    /// An empty memory file system, filled by the other entries.
    Skeleton,
    /// A host directory (an unpacked image).
    Directory {
        /// Absolute host path.
        path: String,
        /// Whether the program may write to it (as far as file modes allow).
        write: bool,
    },
}

/// `proc`: how much of /proc is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proc {
    /// Process directories only (`subset=pid`).
    Pid,
    /// All of it, read-only.
    Full,
    /// No /proc.
    None,
}

/// Who owns a thing that is made in the jail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// uid 0, gid 0.
    Root,
    /// The jailed user and its group.
    Process,
}

/// `on-change`: what is done when a copied file has changed on the host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnChange {
    /// The copy is replaced.
    Nothing,
    /// The copy is replaced, and the program gets its reload signal.
    Reload,
}

/// An entry of `read` or `write`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PathEntry {
    /// Host path, as written.
    pub path: String,
    /// Where it appears inside; default: the same path.
    pub at: Option<String>,
    /// Missing on the host is not an error.
    pub optional: bool,
    /// Bind a regular file instead of copying it (it then goes stale on rename).
    pub bind: bool,
    /// Follow symbolic links that others than root could have made.
    pub follow: bool,
    /// What is done when the copy was replaced; `None`: nothing.
    pub on_change: Option<OnChange>,
    /// Owner of the copy, or of the directory that `create` makes.
    pub owner: Option<Owner>,
    /// Mode of the copy.
    pub mode: Option<u32>,
    /// Make the host directory with this mode if it is missing (`write` only).
    pub create: Option<u32>,
    /// Programs may be executed from it; `None`: yes for `read`, no for `write`.
    pub exec: Option<bool>,
}

/// An entry of `tmpfs`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TmpfsEntry {
    /// Where, inside.
    pub path: String,
    /// Bytes; default 16 MiB.
    pub size: Option<u64>,
    /// Files and directories; default 4096.
    pub inodes: Option<u64>,
    /// Default 1777 for /tmp and /var/tmp, else 0755.
    pub mode: Option<u32>,
    /// Default: the process user.
    pub owner: Option<Owner>,
    /// Programs may be executed from it; default no.
    pub exec: bool,
    /// Sub-directories made at start, with the same owner (`/run/NAME`).
    pub directories: Vec<String>,
}

/// An entry of `text`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TextEntry {
    /// Where, inside.
    pub path: String,
    /// The whole contents.
    pub content: String,
    /// Default 0644.
    pub mode: Option<u32>,
    /// Default: root.
    pub owner: Option<Owner>,
}

/// An entry of `link`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LinkEntry {
    /// Where, inside.
    pub path: String,
    /// What it points to.
    pub to: String,
}

/// `[network]`
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Network {
    /// Default: host.
    pub mode: Option<At<NetworkMode>>,
    /// The only TCP ports that may be bound; `None`: any.
    pub bind: Option<At<Vec<u16>>>,
    /// The only TCP ports that may be connected to; `None`: any.
    pub connect: Option<At<Vec<u16>>>,
    /// Sockets opened outside and passed in.
    pub listen: Vec<At<ListenEntry>>,
}

/// An entry of `listen`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListenEntry {
    /// Where.
    pub address: ListenAddress,
    /// In LISTEN_FDNAMES; default: the jail's name.
    pub name: Option<String>,
    /// Connections that wait to be accepted; default: as many as the kernel lets.
    pub backlog: Option<i64>,
    /// Set O_NONBLOCK on it.
    pub non_blocking: bool,
    /// Permission bits of a unix socket; default 0666.
    pub mode: Option<u32>,
    /// Owner of a unix socket; default: who runs `jail`.
    pub owner: Option<Owner>,
    /// Group of a unix socket; default: the owner's.
    pub group: Option<At<String>>,
}

/// Where a socket listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ListenAddress {
    /// A TCP port of one address, or of all.
    Tcp(SocketAddr),
    /// A UDP port of one address, or of all.
    Udp(SocketAddr),
    /// A unix stream socket at this path of the host, as written.
    Unix(String),
}

impl Default for ListenAddress {
    fn default() -> Self {
        ListenAddress::Unix(String::new())
    }
}

/// `mode` of `[network]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NetworkMode {
    /// The host's network.
    Host,
    /// A network namespace with nothing but loopback, which is up.
    None,
}

/// `[privileges]`
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Privileges {
    /// Capability names without `CAP_`.
    pub capabilities: Vec<At<String>>,
    /// Groups (`@service`), calls, and removals (`-@debug`, `-ptrace`).
    pub system_calls: Vec<At<String>>,
    /// Namespaces not made: `pid`, `ipc`, `uts`, `cgroup`.
    pub share_namespaces: Vec<At<String>>,
    /// What is done about a refused call; default: errno.
    pub system_call_action: Option<At<SystemCallAction>>,
    /// The only families of sockets; `None`: unix, inet, inet6, netlink.
    pub socket_families: Option<Vec<At<String>>>,
    /// Default false: a user namespace with a range of ids of the jail's own.
    pub user_namespace: Option<At<bool>>,
    /// Default true: memory is never writable and executable.
    pub memory_deny_write_execute: Option<At<bool>>,
}

/// `system-call-action`: what is done about a call that is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SystemCallAction {
    /// It fails with EPERM.
    Errno,
    /// It kills the program.
    Kill,
    /// It is done, and logged.
    Log,
}
