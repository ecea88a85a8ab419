//! What is asked of the host, and its answers, as plain data: everything after is a function of it.
//!
//! Must not know: how the answers are found (that is `host`).
#![forbid(unsafe_code)]

use super::limits::{Asked, Cgroups};
use super::path::AbsPath;
use std::collections::BTreeMap;

/// What must be known of the host before a spec can be resolved. No question is asked twice.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Questions {
    /// User names and numbers as written (not `auto`).
    pub users: Vec<String>,
    /// Group names and numbers as written.
    pub groups: Vec<String>,
    /// Users whose supplementary groups matter are asked through `users`.
    pub paths: Vec<AbsPath>,
    /// Directories whose files may be shown one by one.
    pub listings: Vec<AbsPath>,
    /// Links at the top that are mirrored when their target is shown (`/bin`, `/lib`, `/var/run`).
    pub links: Vec<AbsPath>,
    /// Directories in which a socket is to be made.
    pub socket_directories: Vec<AbsPath>,
    /// The host directory that is to be `/`.
    pub root: Option<AbsPath>,
    /// Paths in that directory where something is to be mounted, and all above them.
    pub inside: Vec<AbsPath>,
    /// The jail's name, when the user is `auto`.
    pub auto: Option<String>,
    /// The jail's name, when it gets a range of ids of its own.
    pub range: Option<String>,
    /// Environment variables to take over.
    pub env: Vec<String>,
    /// Programs that may be executed, as they are named inside; none unless there is a list of them.
    pub programs: Vec<AbsPath>,
    /// Inside and host, where what is shown at a path is not the host's of the same path.
    pub moved: Vec<(AbsPath, AbsPath)>,
    /// The directories of `PATH`, inside.
    pub search: Vec<AbsPath>,
    /// Control groups and disks; none unless something is limited.
    pub limits: Option<Asked>,
}

/// The answers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// Who runs `jail`.
    pub caller: Caller,
    /// What the kernel can do.
    pub kernel: Kernel,
    /// By the text asked for; `None`: there is no such user.
    pub users: BTreeMap<String, Option<User>>,
    /// By the text asked for; `None`: there is no such group.
    pub groups: BTreeMap<String, Option<Group>>,
    /// By the path asked for.
    pub paths: BTreeMap<AbsPath, PathFact>,
    /// By the directory asked for, if it is one; what is in it is in `paths`, by its path without links.
    pub listings: BTreeMap<AbsPath, Listing>,
    /// By the path asked for in `inside`: every link is taken relative to the root directory.
    pub inside: BTreeMap<AbsPath, PathFact>,
    /// Targets of those `links` that exist.
    pub links: BTreeMap<AbsPath, String>,
    /// By the directory asked for: the topmost directory on the way in which others than root and
    /// the caller can make or exchange something, if there is one.
    pub socket_directories: BTreeMap<AbsPath, Result<Option<AbsPath>, Stop>>,
    /// A uid and gid of its own for `auto`.
    pub auto: Option<(u32, u32)>,
    /// The first of the ids of its own.
    pub range: Option<u32>,
    /// Those variables that were set.
    pub env: BTreeMap<String, String>,
    /// By the path inside that was asked for.
    pub programs: BTreeMap<AbsPath, Program>,
    /// If they were asked for.
    pub cgroups: Option<Cgroups>,
}

/// A program and what the kernel opens along with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    /// The program first, then its interpreters: each as it is named inside, and what is there on the
    /// host.
    pub files: Vec<(AbsPath, PathFact)>,
    /// If it is missing: a path with a similar name.
    pub near: Option<String>,
}

/// Who runs `jail`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Caller {
    /// Effective user id; 0 means no user namespace is needed.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Supplementary groups other than `gid`.
    pub groups: Vec<u32>,
    /// Whether jail itself is in a user namespace, and which ids are there: first id and count of each
    /// range of users and of groups. `None`: all ids.
    pub mapped: Option<Mapped>,
    /// The permitted capability set.
    pub capabilities: u64,
    /// Standard input is a terminal.
    pub terminal: bool,
    /// Already leader of its session or at least not of its process group: setsid(2) will work,
    /// or is not needed.
    pub can_start_session: bool,
    /// Names of the sockets that a service manager passed in, as descriptors 3 and up
    /// (sd_listen_fds(3)).
    pub sockets: Vec<String>,
    /// Where each of them is bound, as a `listen` entry names it; empty if that has no such name.
    pub addresses: Vec<String>,
    /// The service manager that wants to be notified (sd_notify(3)).
    pub manager: Option<Manager>,
}

/// A service manager, as it has introduced itself in the environment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manager {
    /// NOTIFY_SOCKET: a path, or an abstract name after `@`.
    pub socket: String,
    /// WATCHDOG_USEC, if it is meant for this process.
    pub watchdog: Option<u64>,
}

/// The ids that exist in a user namespace (user_namespaces(7)).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Mapped {
    /// Ranges of user ids: first, count.
    pub users: Vec<(u32, u32)>,
    /// Ranges of group ids.
    pub groups: Vec<(u32, u32)>,
    /// setgroups(2) is denied for good in it.
    pub fixed_groups: bool,
}

impl Mapped {
    /// Whether nobody can be but one: no other id exists, or groups cannot be set.
    pub fn is_single(&self) -> bool {
        let single =
            |ranges: &[(u32, u32)]| ranges.iter().map(|(_, count)| u64::from(*count)).sum::<u64>() <= 1;
        self.fixed_groups || single(&self.users) || single(&self.groups)
    }
}

/// What the kernel can do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Kernel {
    /// Major and minor of uname(2).
    pub version: (u32, u32),
    /// `landlock_create_ruleset(VERSION)`; 0: none.
    pub landlock: u32,
    /// `/proc/sys/kernel/cap_last_cap`.
    pub last_capability: u8,
    /// seccomp(2) filters are there.
    pub seccomp: bool,
    /// prctl(PR_SET_MDWE), Linux 6.3.
    pub deny_write_execute: bool,
    /// keyctl(2) is there (it may be configured out, or filtered in a container).
    pub keyrings: bool,
    /// What keeps a caller who is not root from a user namespace of its own.
    pub user_namespaces: UserNamespaces,
}

/// Whether a caller who is not root may make a user namespace, and have its capabilities.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum UserNamespaces {
    /// Nothing is known that forbids it.
    #[default]
    Allowed,
    /// The sysctl user.max_user_namespaces is 0.
    NoneAtAll,
    /// The sysctl kernel.unprivileged_userns_clone of Debian's kernels is 0.
    RootOnly,
    /// The sysctl kernel.apparmor_restrict_unprivileged_userns of Ubuntu 23.10 and later is 1, and no
    /// AppArmor profile is attached to this process: the namespace would be made, with no capability
    /// in it.
    AppArmor,
}

/// A user of the host, from NSS.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct User {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Main group.
    pub gid: u32,
    /// Name of the main group (its number as text, if it has none).
    pub group: String,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
}

/// A group of the host, from NSS.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Group {
    /// Name.
    pub name: String,
    /// Group id.
    pub gid: u32,
}

/// What is in a directory.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Listing {
    /// Regular files and links, in order.
    pub names: Vec<String>,
    /// It has directories, too.
    pub directories: bool,
}

/// A host path and every symbolic link on the way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathFact {
    /// Links in the order they were met.
    pub hops: Vec<Hop>,
    /// What is at the end, or what stopped the walk.
    pub end: Result<End, Stop>,
}

/// One symbolic link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hop {
    /// Where the link is; no component of it is a link.
    pub link: AbsPath,
    /// Its text.
    pub target: String,
    /// The directory or link that others than root (rootless: than root and the caller) could have
    /// written, if any.
    pub untrusted: Option<AbsPath>,
}

/// The end of a walk: a path without links, and what is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct End {
    /// No component is a symbolic link.
    pub path: AbsPath,
    /// What it is.
    pub kind: FileKind,
    /// Bytes, for a regular file.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// For a regular file that not everybody may read: a directory on the way in which others than
    /// root (rootless: than root and the caller) could have put any file in its place, if any.
    pub untrusted: Option<AbsPath>,
    /// The file, or a directory on the way, may not be read by who asks, going by owner and mode alone.
    pub guarded: bool,
}

/// What a path is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    /// Directory.
    Directory,
    /// Regular file.
    File,
    /// Character device.
    Device,
    /// Block device.
    BlockDevice,
    /// Unix socket.
    Socket,
    /// Named pipe.
    Fifo,
}

/// Why a walk did not end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stop {
    /// `ENOENT`, `EACCES`, `ELOOP`, ...
    pub errno: i32,
    /// The component that could not be entered; for ELOOP the link.
    pub path: AbsPath,
}
