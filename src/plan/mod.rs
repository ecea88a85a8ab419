//! The plan: ordered steps as plain data. It can be compared, printed, stored; it holds no descriptor.
//!
//! `build` makes it of a [`crate::jail::Jail`], `print` shows it, `view` says what the program will
//! see. Must not know: how a step is done (that is `apply`), or any call to the system.
#![forbid(unsafe_code)]

pub mod build;
pub mod enter;
pub mod live;
mod payload;
mod phase;
pub mod print;
pub mod view;

pub use live::Live;
pub use payload::{ExpectedMount, ExpectedProcess, Joined, TreeKind, UserMap};
pub use phase::{PHASES, Phase};

use crate::jail::limits::{Group, Hooks};
use crate::jail::network::{Listen, TcpPorts};
use crate::jail::notify::Notify;
use crate::jail::path::AbsPath;
use crate::jail::range::{Owners, Range};
use crate::jail::{GivenUp, Ids, Resource};
use crate::problem::Span;
use crate::seccomp::Policy;

/// Everything that `apply` and `serve` need to run one jail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The jail's name.
    pub name: String,
    /// In order of execution; the number in messages is the index plus one.
    pub steps: Vec<Planned>,
    /// How the outer process and pid 1 behave.
    pub supervision: Supervision,
    /// Where pid 1 reads who the main process is, once the first one has ended.
    pub main_pid_file: Option<AbsPath>,
    /// Which copies follow the host's files.
    pub live: Live,
    /// Promises that do not hold, on purpose.
    pub given_up: Vec<GivenUp>,
    /// What is run outside when limits are hit.
    pub hooks: Hooks,
}

/// A step and the spec line that asked for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Planned {
    /// What is done.
    pub step: Step,
    /// Who asked; `None`: every jail does it.
    pub at: Option<Span>,
}

/// What stays around the program while it runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Supervision {
    /// An outer process and a pid 1; if false the program is executed in place.
    pub pid_namespace: bool,
    /// What SIGTERM to the outer process becomes.
    pub stop_signal: i32,
    /// What SIGHUP to the outer process becomes.
    pub reload_signal: i32,
    /// Milliseconds from the stop signal to SIGKILL; 0: never.
    pub stop_timeout: u64,
    /// The program gets a pseudo-terminal of its own, relayed by the outer process.
    pub terminal: bool,
    /// The jail may outlive its first process.
    pub forking: bool,
}

/// Attributes of a mount (mount_setattr(2)), always set recursively.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attributes {
    /// Nothing can be written.
    pub read_only: bool,
    /// Programs cannot be executed from it.
    pub no_exec: bool,
    /// Device nodes do not work.
    pub no_dev: bool,
}

/// How a memory file system is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TmpfsLimits {
    /// Bytes.
    pub size: u64,
    /// Files and directories.
    pub inodes: u64,
    /// Permission bits of its root.
    pub mode: u32,
}

/// Which Landlock rights a place gets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Access {
    /// List directories: the skeleton itself.
    List,
    /// Read files and list directories.
    Read,
    /// Read and execute.
    Execute,
    /// Read, write, make, remove.
    Write,
    /// Write and execute.
    WriteExecute,
    /// Use device nodes: read, write, ioctl.
    Device,
}

/// Namespaces made after the first ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unshared {
    /// Network.
    pub net: bool,
    /// IPC.
    pub ipc: bool,
    /// Host name.
    pub uts: bool,
    /// cgroup root.
    pub cgroup: bool,
}

/// One step. A closed set: a new kind of thing is a variant here and its arm in `apply`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// New mount namespace, new pid namespace unless shared, new user namespace when rootless.
    Isolate {
        /// Also a pid namespace: a child continues as its pid 1.
        pid: bool,
        /// Also a user namespace with one id each: (inside, outside).
        user: Option<UserMap>,
    },
    /// setns(2) into the namespaces of a running jail.
    Join(Joined),
    /// setns(2) into the user namespace of a running jail, as [`Step::EnterUserNamespace`].
    JoinUserNamespace,
    /// No mount event crosses the border any more, in either direction.
    MakePrivate,
    /// Make the user namespace that the program will enter, and the one that says how its mounts map
    /// owners. Owners of what is made in the jail are ids inside.
    UserNamespace {
        /// Which ids.
        range: Range,
        /// Who is the same on disk.
        owners: Owners,
    },
    /// Create a missing host directory for a `write` entry.
    CreateDirectory {
        /// Where, on the host.
        path: AbsPath,
        /// Permission bits.
        mode: u32,
        /// Owner, as the host sees it.
        owner: Ids,
    },
    /// Open a source, check its kind on the descriptor, clone its mounts, set attributes.
    OpenTree {
        /// Which descriptor later steps mean.
        slot: usize,
        /// Host path without symbolic links.
        source: AbsPath,
        /// What it must be.
        kind: TreeKind,
        /// Set on it and on all below it.
        attributes: Attributes,
    },
    /// Map the owners of files in an opened tree (mount_setattr(2), MOUNT_ATTR_IDMAP).
    MapOwners {
        /// Its descriptor.
        slot: usize,
        /// Its host path, for messages.
        source: AbsPath,
    },
    /// Open a regular file whose content is copied later.
    OpenFile {
        /// Which descriptor later steps mean.
        slot: usize,
        /// Host path without symbolic links.
        source: AbsPath,
    },
    /// Open a socket in the host's network, to be passed in.
    Listen {
        /// Its number in the program.
        descriptor: u32,
        /// Where and how.
        socket: Listen,
    },
    /// Leave the group below which others are made, for a leaf of it; version 2 of cgroups enables
    /// controllers for them only then. Done by the outer process before all else.
    LeaveGroup {
        /// Left.
        base: AbsPath,
        /// Made, and joined.
        leaf: AbsPath,
    },
    /// Make a group, write its limits, and join it.
    Group(Group),
    /// Make a group, write its limits, and move running processes into it.
    GroupOf {
        /// The group.
        group: Group,
        /// By number.
        processes: Vec<i32>,
        /// Also what they start meanwhile.
        tree: bool,
    },
    /// Join the groups of a running jail.
    JoinGroups(Vec<AbsPath>),
    /// setrlimit(2) of a hard limit above the caller's, while there is a right to.
    RaiseLimit {
        /// Which.
        resource: Resource,
        /// `None`: unlimited.
        hard: Option<u64>,
    },
    /// setrlimit(2), last of all: the limits are the program's, and jail's own set-up needs memory,
    /// descriptors and processes.
    Rlimit {
        /// Which.
        resource: Resource,
        /// `None`: unlimited.
        soft: Option<u64>,
        /// `None`: unlimited.
        hard: Option<u64>,
    },
    /// oom_score_adj.
    OomScoreAdjust(i32),
    /// setpriority(2).
    Nice(i32),
    /// The remaining namespaces, in one unshare(2).
    Unshare(Unshared),
    /// Bring up loopback in the new network namespace.
    LoopbackUp,
    /// A session keyring of its own.
    Keyring,
    /// The new root is a fresh tmpfs, attached.
    NewRoot(TmpfsLimits),
    /// The new root is a cloned host directory, attached.
    AttachRoot {
        /// Its descriptor.
        slot: usize,
    },
    /// A directory of the skeleton.
    Directory {
        /// Where.
        path: AbsPath,
        /// Permission bits.
        mode: u32,
    },
    /// A symbolic link.
    Link {
        /// Where.
        path: AbsPath,
        /// Its text.
        target: String,
    },
    /// A file with given content.
    Text {
        /// Where.
        path: AbsPath,
        /// Whole content.
        content: String,
        /// Permission bits.
        mode: u32,
        /// Owner.
        owner: Ids,
    },
    /// Copy an opened regular file.
    Copy {
        /// Its descriptor.
        slot: usize,
        /// Where.
        path: AbsPath,
        /// `None`: the file's own, without set-id bits.
        mode: Option<u32>,
        /// `None`: the file's own.
        owner: Option<Ids>,
    },
    /// Attach an opened tree.
    Attach {
        /// Its descriptor.
        slot: usize,
        /// Where.
        path: AbsPath,
        /// Make an empty directory or file to mount on; false on somebody else's tree.
        make: Option<TreeKind>,
    },
    /// A memory file system of its own.
    Tmpfs {
        /// Where.
        path: AbsPath,
        /// Size, inodes, mode.
        limits: TmpfsLimits,
        /// Of its root and directories.
        owner: Ids,
        /// Attributes.
        attributes: Attributes,
        /// Made in it, relative.
        directories: Vec<String>,
        /// Make the directory to mount on; false on somebody else's tree.
        make: bool,
    },
    /// A pseudo-terminal file system of its own.
    Devpts {
        /// Where.
        path: AbsPath,
        /// Terminals belong to the group `tty` (5), which a single-id user namespace does not have.
        group: bool,
    },
    /// The jail's own /proc.
    Proc {
        /// Where.
        path: AbsPath,
        /// Process directories only.
        subset: bool,
        /// Make the directory to mount on; false on somebody else's tree.
        make: bool,
    },
    /// Bind the socket on which the outer process hears the program, see [`Notify`].
    NotifySocket(Notify),
    /// Keep a writable descriptor of each memory file system that copies can be in, for the outer process.
    KeepLive {
        /// Where they are, inside.
        mounts: Vec<AbsPath>,
    },
    /// The new root becomes `/`; the old one is detached.
    PivotRoot,
    /// `/` becomes read-only.
    SealRoot,
    /// Read the mount table back and compare it with the plan.
    CheckMounts(Vec<ExpectedMount>),
    /// sethostname(2).
    Hostname(String),
    /// umask(2).
    Umask(u32),
    /// chdir(2).
    WorkingDirectory(AbsPath),
    /// setns(2) into the user namespace made before: as its root for a moment, without any power over
    /// what was made outside it, which is all but the processes to come.
    EnterUserNamespace,
    /// Drop every capability not in the set from the bounding set.
    BoundingSet {
        /// Kept.
        keep: u64,
        /// Highest number the kernel knows.
        last: u8,
    },
    /// setgroups(2); `None`: not possible without privilege, and given up.
    Groups(Option<Vec<u32>>),
    /// setresgid(2).
    Gid(u32),
    /// setresuid(2), with PR_SET_KEEPCAPS around it.
    Uid(u32),
    /// Permitted, effective, inheritable, ambient; then securebits are locked.
    Capabilities(u64),
    /// prctl(PR_SET_NO_NEW_PRIVS).
    NoNewPrivileges,
    /// Signals, personality and the like back to their defaults.
    ResetProcess,
    /// A session of its own, without a terminal.
    Session {
        /// Its controlling terminal is standard input, made by the outer process.
        terminal: bool,
    },
    /// The program dies with its jail.
    DieWithParent,
    /// prctl(PR_SET_MDWE).
    DenyWriteExecute,
    /// Make the Landlock ruleset, while every place can still be opened.
    LandlockRules {
        /// Of the kernel, as far as we know it.
        abi: u32,
        /// Rights by place.
        rules: Vec<(AbsPath, Access)>,
        /// The only TCP ports.
        ports: TcpPorts,
    },
    /// Enforce the ruleset.
    LandlockRestrict,
    /// Every descriptor but 0-2 closes at exec.
    CloseDescriptors,
    /// Descriptors 3 and up stay open at exec, and the program is told of them (sd_listen_fds(3)).
    PassSockets {
        /// How many of them a service manager has passed to jail; they come first.
        inherited: usize,
        /// Of all.
        names: Vec<String>,
    },
    /// Tell the program of the service manager's socket and watchdog.
    AnnounceManager(Notify),
    /// The filter for what Landlock's port rules do not see.
    PortFilter,
    /// The system-call filter.
    Seccomp(Policy),
    /// Read ids, groups, capability sets, no_new_privs and seccomp state back and compare.
    CheckProcess(ExpectedProcess),
    /// The built-in prober's program, in place of what [`Step::Execute`] would execute.
    OpenProber {
        /// Which descriptor [`Step::ExecuteProber`] means.
        slot: usize,
    },
    /// execveat(2) of the prober. It installs the filter itself, as the first that it is told:
    /// not every filter allows execveat, and no path in the jail leads to it.
    ExecuteProber {
        /// Its descriptor.
        slot: usize,
        /// The program's argv.
        arguments: Vec<String>,
        /// envp.
        environment: Vec<(String, String)>,
    },
    /// execve(2).
    Execute {
        /// Tried in order; one, unless the command is a bare name.
        candidates: Vec<AbsPath>,
        /// argv.
        arguments: Vec<String>,
        /// envp.
        environment: Vec<(String, String)>,
    },
}
