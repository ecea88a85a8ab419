//! The resolved jail: every question answered, every default filled in, no `Option` without meaning.
//!
//! `ask` says what must be known of the host, `resolve` makes a [`Jail`] of a spec and the
//! [`facts::Facts`], `identity` writes passwd and group. Must not know: how anything is done, or
//! any call to the system.
#![forbid(unsafe_code)]

pub mod ask;
pub mod facts;
mod feature;
mod forking;
pub mod identity;
pub mod limits;
pub mod live;
pub mod network;
pub mod notify;
pub mod path;
mod privileges;
pub mod programs;
pub mod range;
pub mod resolve;
pub mod signals;
pub mod tree;
mod user_namespace;

use crate::problem::{At, Span};
use crate::seccomp::Policy;
use crate::spec::{Rlimit, TmpfsEntry};
use limits::Limits;
use live::LiveSource;
use network::Network;
use notify::Notify;
use path::AbsPath;
use range::{Owners, Range};

/// Everything about one jail, ready to be planned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Jail {
    /// The spec's name: the file's stem.
    pub name: String,
    /// What runs in it.
    pub process: Process,
    /// What `/` is.
    pub root: Root,
    /// What is placed where, parents before children, one place each.
    pub places: Vec<Place>,
    /// Which of them follow the host while the jail runs.
    pub live: Vec<LiveSource>,
    /// Which namespaces are new.
    pub namespaces: Namespaces,
    /// The only files and directories from which programs are executed, without links; `None`: all
    /// that mounts allow.
    pub exec: Option<Vec<AbsPath>>,
    /// Ports that it may use, and sockets passed in.
    pub network: Network,
    /// The service manager's socket, if there is one.
    pub notify: Option<Notify>,
    /// Whose files in `write` directories stay theirs, when there is a range of ids.
    pub owners: Owners,
    /// The last word on privileges.
    pub privileges: Privileges,
    /// How much of the machine it may use.
    pub limits: Limits,
    /// Promises given up by name, with who gave them up.
    pub given_up: Vec<GivenUp>,
}

/// What runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Process {
    /// Program and arguments; the program is absolute, or looked up in `PATH` inside.
    pub command: At<Vec<String>>,
    /// As whom.
    pub identity: Identity,
    /// File mode creation mask.
    pub umask: u32,
    /// Working directory inside.
    pub cwd: AbsPath,
    /// Where `cwd` was written.
    pub cwd_at: Option<Span>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// What SIGTERM becomes (signal number).
    pub stop_signal: i32,
    /// What SIGHUP becomes (signal number).
    pub reload_signal: i32,
    /// Milliseconds between stop signal and SIGKILL; 0: never kill.
    pub stop_timeout: u64,
    /// Scheduling priority, always set.
    pub nice: i32,
    /// Written to oom_score_adj if the spec says so.
    pub oom_score_adjust: Option<At<i32>>,
    /// Limits in the order of the kernel's numbers.
    pub rlimits: Vec<(Resource, Rlimit, Option<Span>)>,
    /// A terminal of its own.
    pub terminal: bool,
    /// The jail outlives its first process, if that ends well and leaves others.
    pub forking: bool,
    /// Where such a program writes the number of its main process.
    pub main_pid_file: Option<AbsPath>,
}

/// A resource of setrlimit(2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Resource {
    /// The kernel's number (asm-generic/resource.h).
    pub number: u32,
    /// As in the spec.
    pub name: &'static str,
}

/// User and groups.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Name for passwd and messages.
    pub user: String,
    /// Name of the main group.
    pub group: String,
    /// User id inside; outside too, unless `mapped` or in a range.
    pub uid: u32,
    /// Group id inside.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Rootless: the single ids outside that uid and gid are mapped to.
    pub mapped: Option<(u32, u32)>,
    /// Where the user was written.
    pub at: Option<Span>,
}

/// What `/` is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Root {
    /// A memory file system.
    Skeleton,
    /// A host directory.
    Directory {
        /// Resolved: no symbolic link in it.
        source: AbsPath,
        /// Whether it stays writable.
        write: bool,
        /// Where it was written.
        at: Span,
    },
}

/// One thing in the jail's tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// Where, inside.
    pub path: AbsPath,
    /// What is there.
    pub what: What,
    /// The spec line that asked for it; `None` for what every jail has.
    pub at: Option<Span>,
}

/// Owner ids of something made in the jail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ids {
    /// User id inside.
    pub uid: u32,
    /// Group id inside.
    pub gid: u32,
}

/// What is at a place. A new kind of mount is one variant here and one arm in `plan::build`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// A directory of the skeleton.
    Directory {
        /// Permission bits.
        mode: u32,
    },
    /// A symbolic link, mirrored from the host or asked for.
    Link {
        /// Where it points.
        target: String,
    },
    /// A file with this content.
    Text {
        /// The whole content.
        content: String,
        /// Permission bits.
        mode: u32,
        /// Its owner.
        owner: Ids,
    },
    /// A regular file of the host, copied into the jail's own tmpfs.
    Copy {
        /// Resolved: no symbolic link in it.
        source: AbsPath,
        /// Permission bits; `None`: the host file's, without set-id bits.
        mode: Option<u32>,
        /// Owner; `None`: the host file's own (root when it is not mapped).
        owner: Option<Ids>,
    },
    /// A host directory, socket directory, or (asked for) file, bound.
    Bind {
        /// Resolved: no symbolic link in it.
        source: AbsPath,
        /// What it must still be when it is opened.
        kind: BindKind,
        /// Writable.
        write: bool,
        /// Programs may be executed from it.
        exec: bool,
        /// Make it on the host first if missing.
        create: Option<(u32, Ids)>,
    },
    /// A fresh memory file system.
    Tmpfs {
        /// Bytes.
        size: u64,
        /// Files and directories.
        inodes: u64,
        /// Permission bits of its root.
        mode: u32,
        /// Owner of its root and of `directories`.
        owner: Ids,
        /// Programs may be executed from it.
        exec: bool,
        /// Made in it at once, relative to its root.
        directories: Vec<String>,
    },
    /// A device node of the host, bound (nosuid, noexec).
    Device {
        /// Host path below /dev.
        source: AbsPath,
    },
    /// A datagram socket that the outer process reads.
    NotifySocket,
    /// A pseudo-terminal file system of its own (gid 5, mode 620).
    Devpts,
    /// The jail's own /proc.
    Proc {
        /// Process directories only.
        subset: bool,
    },
}

/// What a bind source must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BindKind {
    /// A directory.
    Directory,
    /// A regular file (`bind = true`).
    File,
    /// A unix socket or fifo (`bind = true`).
    Special,
}

/// Which namespaces are made. Mount is always new.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Namespaces {
    /// Single-id user namespace (rootless).
    pub user: bool,
    /// User namespace with a range of ids (`user-namespace = true`).
    pub range: Option<Range>,
    /// Process ids; if false the program is executed in place.
    pub pid: bool,
    /// System V IPC and POSIX message queues.
    pub ipc: bool,
    /// Host name.
    pub uts: bool,
    /// cgroup root.
    pub cgroup: bool,
    /// Network.
    pub net: bool,
}

/// Capabilities, system calls and the walls around them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Privileges {
    /// Bit set by kernel number; held in all five sets.
    pub capabilities: u64,
    /// The kernel's highest capability number (`cap_last_cap`).
    pub last_capability: u8,
    /// Which calls are allowed; `None`: given up.
    pub system_calls: Option<Policy>,
    /// Landlock ABI to use; `None`: given up.
    pub landlock: Option<u32>,
    /// Refuse memory that is writable and executable by prctl(PR_SET_MDWE).
    pub deny_write_execute: bool,
    /// A session of its own.
    pub session: bool,
    /// A session keyring of its own.
    pub keyring: bool,
}

/// A promise that does not hold in this jail, on purpose.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GivenUp {
    /// Name as in `--without NAME`, or the key that did it.
    pub what: String,
    /// `--without`, or the spec key.
    pub by: String,
    /// Where it was written, if in a spec.
    pub at: Option<Span>,
}

/// Defaults of a tmpfs entry that are not in its type.
pub fn tmpfs_defaults(entry: &TmpfsEntry) -> (u64, u64, u32) {
    let sticky = matches!(entry.path.as_str(), "/tmp" | "/var/tmp" | "/dev/shm");
    let mode = entry.mode.unwrap_or(if sticky { 0o1777 } else { 0o755 });
    (entry.size.unwrap_or(16 << 20), entry.inodes.unwrap_or(4096), mode)
}
