//! Calls that are allowed with some arguments only.
//!
//! Must not know: policies or BPF.
//!
//! A filter sees six 64-bit arguments. Every argument tested here is used by the kernel as 32 bits
//! or fewer (`int`, `unsigned int`, `umode_t`, `lower_32_bits(clone_flags)`), or has its meaning in
//! the low bits (`prot`). So exactly the low half is looked at: the kernel ignores the other one, and
//! a test of all 64 bits could be dodged by rubbish in it.
#![forbid(unsafe_code)]

use super::calls::{CallSet, native};

// Numbers of asm-generic, which both architectures share: this file names no system crate.

/// The answers that are not "allowed".
pub const EPERM: u16 = 1;
/// As if the kernel did not have the call: libc falls back to an older one.
pub const ENOSYS: u16 = 38;
const EAFNOSUPPORT: u16 = 97;

/// When a condition holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Applies {
    /// Always.
    Always,
    /// Unless `unshare` is allowed: it can do the same.
    WithoutUnshare,
    /// If asked for, on kernels that cannot deny it themselves.
    DenyWriteExecute,
}

/// A test of one argument of one call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Condition {
    /// Short, for summaries; the calls of one purpose share it.
    pub name: &'static str,
    /// What is refused and why.
    pub doc: &'static str,
    /// The call's number.
    pub(super) call: u32,
    /// Which argument, 0 to 5.
    pub(super) argument: u8,
    /// The bits of its low half that matter.
    pub(super) mask: u32,
    /// What these bits are compared with.
    pub(super) values: &'static [u32],
    /// Whether these values are the only ones allowed, or the only ones refused.
    pub(super) only: bool,
    /// The answer when refused.
    pub(super) errno: u16,
    /// When it is enforced.
    pub(super) applies: Applies,
}

/// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET (linux/sched.h).
const NEW_NAMESPACES: u32 = 0x7e02_0000;
const PROT_EXEC: u32 = 4;
const PROT_WRITE_EXEC: u32 = 2 | PROT_EXEC;
const AF_UNIX: u32 = 1;
const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;
const AF_NETLINK: u32 = 16;
const S_IFMT: u32 = 0o170_000;
const S_IFIFO: u32 = 0o010_000;
const S_IFREG: u32 = 0o100_000;
const S_IFSOCK: u32 = 0o140_000;
const SHM_EXEC: u32 = 0o100000;
const TIOCSTI: u32 = 0x5412;
const TIOCLINUX: u32 = 0x541c;

const CLONE: Condition = Condition {
    name: "clone",
    doc: "no new namespaces (EPERM): a user namespace is the way to most kernel holes; clone3 is \
          always ENOSYS, because its flags are behind a pointer that a filter cannot follow, and \
          libc falls back to clone; both are free once unshare is allowed",
    call: native::clone as u32,
    argument: 0,
    mask: NEW_NAMESPACES,
    values: &[0],
    only: true,
    errno: EPERM,
    applies: Applies::WithoutUnshare,
};

const IOCTL: Condition = Condition {
    name: "ioctl",
    doc: "not TIOCSTI and TIOCLINUX (EPERM), which type into the operator's terminal",
    call: native::ioctl as u32,
    argument: 1,
    mask: !0,
    values: &[TIOCSTI, TIOCLINUX],
    only: false,
    errno: EPERM,
    applies: Applies::Always,
};

const PERSONALITY: Condition = Condition {
    name: "personality",
    doc: "only to ask, or the default one (EPERM): others turn off address randomisation or make \
          readable memory executable",
    call: native::personality as u32,
    argument: 0,
    mask: !0,
    values: &[0, !0],
    only: true,
    errno: EPERM,
    applies: Applies::Always,
};

const SOCKET: Condition = Condition {
    name: "socket",
    doc: "socket and socketpair: families unix, inet, inet6 and netlink only (EAFNOSUPPORT); others \
          load rarely tried kernel modules, and vsock leads out of every network namespace",
    call: native::socket as u32,
    argument: 0,
    mask: !0,
    values: &[AF_UNIX, AF_INET, AF_INET6, AF_NETLINK],
    only: true,
    errno: EAFNOSUPPORT,
    applies: Applies::Always,
};

const MKNODAT: Condition = Condition {
    name: "mknod",
    doc: "mknod and mknodat: files, fifos and sockets only, no devices (EPERM)",
    call: native::mknodat as u32,
    argument: 2,
    mask: S_IFMT,
    // No type at all means a regular file.
    values: &[0, S_IFREG, S_IFIFO, S_IFSOCK],
    only: true,
    errno: EPERM,
    applies: Applies::Always,
};

const MPROTECT: Condition = Condition {
    name: "write-execute",
    doc: "with memory-deny-write-execute before Linux 6.3: no mmap writable and executable at once, \
          no mprotect or pkey_mprotect to executable (EPERM)",
    call: native::mprotect as u32,
    argument: 2,
    mask: PROT_EXEC,
    values: &[0],
    only: true,
    errno: EPERM,
    applies: Applies::DenyWriteExecute,
};

/// PR_SET_MDWE does not see that a segment is also attached writable, so this holds on every kernel.
const SHMAT: Condition = Condition {
    name: "shmat",
    doc: "no executable attachment of shared memory (EPERM), which could be written through another one",
    call: native::shmat as u32,
    mask: SHM_EXEC,
    applies: Applies::Always,
    ..MPROTECT
};

/// All conditions, one for each call concerned.
pub const CONDITIONS: &[Condition] = &[
    CLONE,
    IOCTL,
    PERSONALITY,
    SOCKET,
    Condition { call: native::socketpair as u32, ..SOCKET },
    MKNODAT,
    #[cfg(target_arch = "x86_64")]
    Condition { call: native::mknod as u32, argument: 1, ..MKNODAT },
    MPROTECT,
    Condition { call: native::pkey_mprotect as u32, ..MPROTECT },
    Condition {
        call: native::mmap as u32,
        mask: PROT_WRITE_EXEC,
        values: &[PROT_WRITE_EXEC],
        only: false,
        ..MPROTECT
    },
    SHMAT,
];

/// The calls that have a condition.
pub const CONDITIONED: CallSet = {
    let mut set = CallSet::EMPTY;
    let mut i = 0;
    while i < CONDITIONS.len() {
        set = set.with(CONDITIONS[i].call);
        i += 1;
    }
    set
};
