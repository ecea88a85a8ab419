//! What pid 1 asks of the kernel, and the filter that leaves it nothing else.
//!
//! Must not know: what it is asked for.

use super::call::system_call;

/// The socket to the outer process.
pub const SOCKET: usize = 3;

/// Words of a message, see `serve::wire`.
pub type Words = [u32; 5];

const FAILED: i32 = 125;
const AT_FDCWD: usize = -100isize as usize;

/// Nothing is waited for, followed, kept over exec or made a terminal of: the file is the program's.
const OPEN_FLAGS: usize = 0o2_004_400 | nr::O_NOFOLLOW;

#[cfg(target_arch = "x86_64")]
mod nr {
    pub const READ: usize = 0;
    pub const CLOSE: usize = 3;
    pub const RECVFROM: usize = 45;
    pub const SENDMSG: usize = 46;
    pub const WAIT4: usize = 61;
    pub const PRCTL: usize = 157;
    pub const EXIT_GROUP: usize = 231;
    pub const OPENAT: usize = 257;
    pub const PPOLL: usize = 271;
    pub const SIGNALFD4: usize = 289;
    pub const PIDFD_OPEN: usize = 434;
    pub const O_NOFOLLOW: usize = 0o400_000;
    pub const AUDIT_ARCH: u32 = 0xc000_003e;
}

#[cfg(target_arch = "aarch64")]
mod nr {
    pub const READ: usize = 63;
    pub const CLOSE: usize = 57;
    pub const RECVFROM: usize = 207;
    pub const SENDMSG: usize = 211;
    pub const WAIT4: usize = 260;
    pub const PRCTL: usize = 167;
    pub const EXIT_GROUP: usize = 94;
    pub const OPENAT: usize = 56;
    pub const PPOLL: usize = 73;
    pub const SIGNALFD4: usize = 74;
    pub const PIDFD_OPEN: usize = 434;
    pub const O_NOFOLLOW: usize = 0o100_000;
    pub const AUDIT_ARCH: u32 = 0xc000_00b7;
}

/// No tracing, no core dump; and a name for ps.
pub fn harden() {
    const PR_SET_DUMPABLE: usize = 4;
    const PR_SET_NAME: usize = 15;
    let name = b"jail-init\0";
    // SAFETY: numbers, and a NUL-terminated name of at most 16 bytes.
    unsafe {
        if call(nr::PRCTL, [PR_SET_DUMPABLE, 0, 0, 0, 0, 0]) != 0 {
            exit(FAILED);
        }
        // A name is a comfort: without it nothing is lost.
        call(nr::PRCTL, [PR_SET_NAME, name.as_ptr() as usize, 0, 0, 0, 0]);
    }
}

/// Only the calls below are left: whoever took over pid 1 could do no more than it does itself, which
/// is less than the program may.
pub fn seal() {
    const PR_SET_SECCOMP: usize = 22;
    const SECCOMP_MODE_FILTER: usize = 2;
    const ALLOW: u32 = 0x7fff_0000;
    const KILL: u32 = 0x8000_0000;
    #[repr(C)]
    struct Instruction {
        code: u16,
        jt: u8,
        jf: u8,
        k: u32,
    }
    #[repr(C)]
    struct Program {
        length: u16,
        instructions: *const Instruction,
    }
    let load = |k| Instruction { code: 0x20, jt: 0, jf: 0, k };
    // Over so many instructions, or go on.
    let jump = |k: usize, away: u8| Instruction { code: 0x15, jt: away, jf: 0, k: k as u32 };
    let answer = |k| Instruction { code: 0x06, jt: 0, jf: 0, k };
    let instructions = [
        load(4),
        jump(nr::AUDIT_ARCH as usize, 1),
        answer(KILL),
        load(0),
        jump(nr::PPOLL, 12),
        jump(nr::WAIT4, 11),
        jump(nr::READ, 10),
        jump(nr::RECVFROM, 9),
        jump(nr::SENDMSG, 8),
        jump(nr::CLOSE, 7),
        jump(nr::PIDFD_OPEN, 6),
        jump(nr::EXIT_GROUP, 5),
        jump(nr::OPENAT, 1),
        answer(KILL),
        // Its third argument: to read, and not to write.
        load(32),
        jump(OPEN_FLAGS, 1),
        answer(KILL),
        answer(ALLOW),
    ];
    let program = Program { length: instructions.len() as u16, instructions: instructions.as_ptr() };
    // SAFETY: the kernel reads one sock_fprog and the instructions it points to.
    let done =
        unsafe { call(nr::PRCTL, [PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &raw const program as usize, 0, 0, 0]) };
    if done != 0 {
        exit(FAILED);
    }
}

/// A descriptor that is readable when a child has ended.
pub fn signal_descriptor() -> i32 {
    const SFD_NONBLOCK: usize = 0o4000;
    let all = u64::MAX;
    // SAFETY: the kernel reads one 8-byte mask.
    let fd = unsafe { call(nr::SIGNALFD4, [usize::MAX, &raw const all as usize, 8, SFD_NONBLOCK, 0, 0]) };
    if fd < 0 {
        exit(FAILED);
    }
    fd as i32
}

/// Reaps a child, if one has ended: its number and status. Any child for -1; 0 if none has ended yet,
/// negative if there is none.
pub fn reap(child: isize) -> (isize, u32) {
    const WNOHANG: usize = 1;
    let mut status = 0u32;
    // SAFETY: the kernel writes one int.
    let pid = unsafe { call(nr::WAIT4, [child as usize, &raw mut status as usize, WNOHANG, 0, 0, 0]) };
    (pid, status)
}

/// Waits until one of three descriptors is readable, of which a negative one is none; for ever, or so
/// many nanoseconds, less than a second. Says which are; none: the time has passed.
pub fn wait(descriptors: [i32; 3], nanoseconds: Option<u64>) -> [bool; 3] {
    #[repr(C)]
    struct Poll {
        fd: i32,
        events: i16,
        revents: i16,
    }
    const POLLIN: i16 = 1;
    let entry = |fd| Poll { fd, events: POLLIN, revents: 0 };
    let [a, b, c] = descriptors;
    let mut waiting = [entry(a), entry(b), entry(c)];
    let time = [0, nanoseconds.unwrap_or(0)];
    let time = if nanoseconds.is_some() { time.as_ptr() } else { core::ptr::null() };
    // SAFETY: the kernel reads and writes three pollfd, and one timespec if there is one.
    unsafe { call(nr::PPOLL, [waiting.as_mut_ptr() as usize, 3, time as usize, 0, 0, 0]) };
    let [a, b, c] = &waiting;
    [a.revents != 0, b.revents != 0, c.revents != 0]
}

/// Takes one signal. Which one does not matter: the kernel lets none from inside harm a pid 1, and
/// ended children are looked for anyway. One at a time: the program may send them faster than they
/// are read.
pub fn take_signal(descriptor: i32) {
    let mut information = [0u64; 16];
    // SAFETY: the kernel writes one 128-byte signalfd_siginfo.
    unsafe { call(nr::READ, [descriptor as usize, &raw mut information as usize, 128, 0, 0, 0]) };
}

/// A message of the outer process, if there is one; `Err` if that is gone.
pub fn receive() -> Result<Option<[u32; 2]>, ()> {
    const MSG_DONTWAIT: usize = 0x40;
    const EAGAIN: isize = -11;
    const EINTR: isize = -4;
    let mut words = [0u32; 2];
    // SAFETY: the kernel writes at most 8 bytes.
    match unsafe { call(nr::RECVFROM, [SOCKET, &raw mut words as usize, 8, MSG_DONTWAIT, 0, 0]) } {
        8 => Ok(Some(words)),
        EAGAIN | EINTR => Ok(None),
        _ => Err(()),
    }
}

/// Sends a message, with a descriptor unless that is negative. If nobody listens, the end is near; if
/// there is no room, many have been sent that say the same.
pub fn send(words: Words, descriptor: isize) {
    const MSG_NOSIGNAL: usize = 0x4000;
    const MSG_DONTWAIT: usize = 0x40;
    const SOL_SOCKET: i32 = 1;
    const SCM_RIGHTS: i32 = 1;
    #[repr(C)]
    struct Control {
        length: usize,
        level: i32,
        kind: i32,
        descriptor: i32,
        padding: i32,
    }
    #[repr(C)]
    struct Header {
        name: usize,
        name_length: usize,
        slices: usize,
        count: usize,
        control: usize,
        control_length: usize,
        flags: usize,
    }
    let slice = [words.as_ptr() as usize, size_of::<Words>()];
    let control =
        Control { length: 20, level: SOL_SOCKET, kind: SCM_RIGHTS, descriptor: descriptor as i32, padding: 0 };
    let with = descriptor >= 0;
    let header = Header {
        name: 0,
        name_length: 0,
        slices: slice.as_ptr() as usize,
        count: 1,
        control: if with { &raw const control as usize } else { 0 },
        control_length: if with { size_of::<Control>() } else { 0 },
        flags: 0,
    };
    // SAFETY: the kernel reads one msghdr, the slice with its words, and one cmsghdr with a descriptor.
    unsafe { call(nr::SENDMSG, [SOCKET, &raw const header as usize, MSG_NOSIGNAL | MSG_DONTWAIT, 0, 0, 0]) };
}

/// A descriptor of the process with this number; negative if there is none.
pub fn descriptor_of(pid: usize) -> isize {
    // SAFETY: numbers.
    unsafe { call(nr::PIDFD_OPEN, [pid, 0, 0, 0, 0, 0]) }
}

pub fn close(descriptor: isize) {
    // SAFETY: a number; nothing else uses it.
    unsafe { call(nr::CLOSE, [descriptor as usize, 0, 0, 0, 0, 0]) };
}

/// The number in a pid file: digits, and then blanks or nothing. 0 for anything else.
///
/// # Safety
/// `path` is a C string.
pub unsafe fn number_in(path: *const u8) -> usize {
    let mut text = [0u8; 16];
    // SAFETY: the kernel reads the C string, and writes at most 15 bytes: a NUL stays at the end.
    unsafe {
        let file = call(nr::OPENAT, [AT_FDCWD, path as usize, OPEN_FLAGS, 0, 0, 0]);
        if file < 0 {
            return 0;
        }
        let length = call(nr::READ, [file as usize, text.as_mut_ptr() as usize, 15, 0, 0, 0]);
        close(file);
        if length <= 0 { 0 } else { parse(text.as_ptr()) }
    }
}

/// A decimal number, and then blanks or nothing; 0 for anything else.
///
/// # Safety
/// `text` is a C string.
pub unsafe fn parse(mut text: *const u8) -> usize {
    let mut number = 0usize;
    // SAFETY: stops at the terminating NUL at the latest.
    unsafe {
        while (*text).is_ascii_digit() {
            number = number.wrapping_mul(10).wrapping_add((*text - b'0') as usize);
            text = text.add(1);
        }
        while matches!(*text, b'\n' | b' ' | b'\r') {
            text = text.add(1);
        }
        if *text == 0 { number } else { 0 }
    }
}

pub fn exit(code: i32) -> ! {
    loop {
        // SAFETY: a number only.
        unsafe { call(nr::EXIT_GROUP, [code as usize, 0, 0, 0, 0, 0]) };
    }
}

/// For the compiler to inline or not: this program is to fit into a page.
///
/// # Safety
/// As of [`system_call`].
unsafe fn call(number: usize, a: [usize; 6]) -> isize {
    // SAFETY: as the caller says.
    unsafe { system_call(number, a) }
}
