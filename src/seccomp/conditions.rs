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
use super::families::{Families, NETLINK};

// Numbers of asm-generic, which both architectures share: this file names no system crate.

/// The answers that are not "allowed".
pub const EPERM: u16 = 1;
/// As if the kernel did not have the call: libc falls back to an older one.
pub const ENOSYS: u16 = 38;
/// What the kernel itself answers with PR_SET_MDWE.
const EACCES: u16 = 13;
/// What a kernel without that option answers.
const EINVAL: u16 = 22;
/// What a kernel without that family answers.
pub const EAFNOSUPPORT: u16 = 97;
/// What a kernel without that protocol answers.
pub const EPROTONOSUPPORT: u16 = 93;

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

/// What is demanded of the argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Test {
    /// One of these values.
    Only(&'static [u32]),
    /// None of these values.
    Not(&'static [u32]),
    /// A socket family of the policy; with netlink, the next argument but one is NETLINK_ROUTE.
    Family,
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
    /// What they must be.
    pub(super) test: Test,
    /// The answer when refused. Where it is EPERM, the policy's action takes its place; the others are
    /// answers of a kernel that lacks what was asked for, which programs know how to do without.
    pub(super) errno: u16,
    /// When it is enforced.
    pub(super) applies: Applies,
}

impl Condition {
    /// With which errno a call with these arguments is refused, if it is.
    pub(super) fn answer(&self, arguments: [u64; 6], families: Families) -> Option<u16> {
        let low = |index: usize| arguments.get(index).map_or(0, |a| (a & 0xffff_ffff) as u32);
        let value = low(self.argument.into()) & self.mask;
        let right = match self.test {
            Test::Only(values) => values.contains(&value),
            Test::Not(values) => !values.contains(&value),
            Test::Family if value == NETLINK && families.netlink_is_narrow() => {
                return (low(usize::from(self.argument) + 2) != 0).then_some(EPROTONOSUPPORT);
            }
            Test::Family => families.contains(value),
        };
        (!right).then_some(self.errno)
    }

    /// Whether another condition demands the same of its argument, and answers the same.
    pub(super) const fn demands_the_same(&self, other: &Condition) -> bool {
        let same = match (self.test, other.test) {
            (Test::Only(a), Test::Only(b)) | (Test::Not(a), Test::Not(b)) => equal(a, b),
            (Test::Family, Test::Family) => true,
            _ => false,
        };
        same && self.mask == other.mask && self.errno == other.errno
    }

    /// Which argument is tested, and low halves of it that matter: those that are listed, their
    /// neighbourhood, each bit that is looked at.
    pub(super) fn samples(&self) -> (usize, Vec<u32>) {
        let mut samples = match self.test {
            Test::Only(values) | Test::Not(values) => values.to_vec(),
            Test::Family => Vec::new(),
        };
        if self.mask == !0 {
            samples.extend(0..64);
        } else {
            samples.extend((0..32).map(|bit| 1 << bit).filter(|bit| self.mask & bit != 0));
            samples.push(self.mask);
        }
        samples.sort_unstable();
        samples.dedup();
        (usize::from(self.argument), samples)
    }
}

/// Equality of slices, usable at compile time.
const fn equal(a: &[u32], b: &[u32]) -> bool {
    let (mut i, mut same) = (0, a.len() == b.len());
    while same && i < a.len() {
        same = a[i] == b[i];
        i += 1;
    }
    same
}

/// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET (linux/sched.h).
const NEW_NAMESPACES: u32 = 0x7e02_0000;
const PROT_EXEC: u32 = 4;
const PROT_WRITE_EXEC: u32 = 2 | PROT_EXEC;
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
    test: Test::Only(&[0]),
    errno: EPERM,
    applies: Applies::WithoutUnshare,
};

const IOCTL: Condition = Condition {
    name: "ioctl",
    doc: "not TIOCSTI and TIOCLINUX (EPERM), which type into the operator's terminal",
    call: native::ioctl as u32,
    argument: 1,
    mask: !0,
    test: Test::Not(&[TIOCSTI, TIOCLINUX]),
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
    test: Test::Only(&[0, !0]),
    errno: EPERM,
    applies: Applies::Always,
};

/// prctl is a drawer into which new powers are put without a new number that a list could refuse.
const PRCTL: Condition = Condition {
    name: "prctl",
    doc: "only options that a server has a use for (EINVAL, as an older kernel answers): not PR_SET_MM, \
          which rewrites what /proc tells of the process; PR_SET_PTRACER, which lets a neighbour trace \
          it; PR_SET_MEMORY_MERGE, which shares pages with other jails; PR_SET_SPECULATION_CTRL, \
          PR_SET_SYSCALL_USER_DISPATCH, PR_SCHED_CORE, and what newer kernels add",
    call: native::prctl as u32,
    argument: 0,
    mask: !0,
    test: Test::Only(PRCTL_OPTIONS),
    errno: EINVAL,
    applies: Applies::Always,
};

/// Options of prctl(2) by number (linux/prctl.h). What needs a capability or a lock that the jail
/// holds is refused by the kernel itself. Not PR_SET_KEEPCAPS, which is locked: BIND tries it, and
/// goes on after this filter's EINVAL only, not after the lock's EPERM.
pub(super) const PRCTL_OPTIONS: &[u32] = &[
    15,          // PR_SET_NAME
    16,          // PR_GET_NAME
    1,           // PR_SET_PDEATHSIG
    2,           // PR_GET_PDEATHSIG
    3,           // PR_GET_DUMPABLE
    4,           // PR_SET_DUMPABLE: nginx, for core dumps of its workers
    7,           // PR_GET_KEEPCAPS
    21,          // PR_GET_SECCOMP
    22,          // PR_SET_SECCOMP: a filter more can only refuse more
    23,          // PR_CAPBSET_READ
    24,          // PR_CAPBSET_DROP
    25,          // PR_GET_TSC
    27,          // PR_GET_SECUREBITS
    28,          // PR_SET_SECUREBITS: locked
    29,          // PR_SET_TIMERSLACK
    30,          // PR_GET_TIMERSLACK
    36,          // PR_SET_CHILD_SUBREAPER
    37,          // PR_GET_CHILD_SUBREAPER
    38,          // PR_SET_NO_NEW_PRIVS
    39,          // PR_GET_NO_NEW_PRIVS
    40,          // PR_GET_TID_ADDRESS
    41,          // PR_SET_THP_DISABLE: redis
    42,          // PR_GET_THP_DISABLE
    47,          // PR_CAP_AMBIENT: raising is locked
    52,          // PR_GET_SPECULATION_CTRL
    65,          // PR_SET_MDWE
    66,          // PR_GET_MDWE
    0x4155_5856, // PR_GET_AUXV
    0x5356_4d41, // PR_SET_VMA: names for memory, by glibc and jemalloc
    #[cfg(target_arch = "aarch64")]
    50, // PR_SVE_SET_VL
    #[cfg(target_arch = "aarch64")]
    51, // PR_SVE_GET_VL
    #[cfg(target_arch = "aarch64")]
    54, // PR_PAC_RESET_KEYS
    #[cfg(target_arch = "aarch64")]
    55, // PR_SET_TAGGED_ADDR_CTRL: glibc's memory tagging
    #[cfg(target_arch = "aarch64")]
    56, // PR_GET_TAGGED_ADDR_CTRL
    #[cfg(target_arch = "aarch64")]
    60, // PR_PAC_SET_ENABLED_KEYS
    #[cfg(target_arch = "aarch64")]
    61, // PR_PAC_GET_ENABLED_KEYS
    #[cfg(target_arch = "aarch64")]
    63, // PR_SME_SET_VL
    #[cfg(target_arch = "aarch64")]
    64, // PR_SME_GET_VL
    #[cfg(target_arch = "aarch64")]
    74, // PR_GET_SHADOW_STACK_STATUS
    #[cfg(target_arch = "aarch64")]
    75, // PR_SET_SHADOW_STACK_STATUS: glibc
    #[cfg(target_arch = "aarch64")]
    76, // PR_LOCK_SHADOW_STACK_STATUS
];

const SOCKET: Condition = Condition {
    name: "socket",
    doc: "socket and socketpair: families of `socket-families` only (EAFNOSUPPORT), else unix, inet, \
          inet6 and netlink; others load rarely tried kernel modules, and vsock leads out of every \
          network namespace; netlink speaks its route protocol only (EPROTONOSUPPORT), which is what \
          libc asks for interfaces",
    call: native::socket as u32,
    argument: 0,
    mask: !0,
    test: Test::Family,
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
    test: Test::Only(&[0, S_IFREG, S_IFIFO, S_IFSOCK]),
    errno: EPERM,
    applies: Applies::Always,
};

const MPROTECT: Condition = Condition {
    name: "write-execute",
    doc: "with memory-deny-write-execute before Linux 6.3: no mmap writable and executable at once, \
          no mprotect or pkey_mprotect to executable (EACCES)",
    call: native::mprotect as u32,
    argument: 2,
    mask: PROT_EXEC,
    test: Test::Only(&[0]),
    errno: EACCES,
    applies: Applies::DenyWriteExecute,
};

/// PR_SET_MDWE does not see that a segment is also attached writable, so this holds on every kernel.
const SHMAT: Condition = Condition {
    name: "shmat",
    doc: "no executable attachment of shared memory (EACCES), which could be written through another one",
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
    PRCTL,
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
        test: Test::Not(&[PROT_WRITE_EXEC]),
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

/// The most comparisons of any condition: each family, or each option.
pub(super) const MOST_VALUES: usize = {
    let mut most = 48;
    let mut i = 0;
    while i < CONDITIONS.len() {
        if let Test::Only(values) | Test::Not(values) = CONDITIONS[i].test
            && values.len() > most
        {
            most = values.len();
        }
        i += 1;
    }
    most
};
