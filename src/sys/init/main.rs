//! Pid 1 of a jail: a program of its own of about one page, without any library.
//!
//! It is compiled by `build.rs` and carried inside `jail`, which executes it from memory once the
//! program runs. It reaps, and ends with the program or with the outer process. Must not know: anything else. It has the jailed user's ids, no capability, one open
//! descriptor, and nothing of its caller's memory, arguments or environment.
//!
//! Called as `jail-init PID`, with every signal blocked and the socket as descriptor 3. What it sends
//! is described in `serve::wire`.
#![no_std]
#![no_main]

use core::arch::{asm, naked_asm};

const SOCKET: usize = 3;
const MESSAGE: usize = 20;
const ENDED: u32 = 5;
const FAILED: i32 = 125;

#[cfg(target_arch = "x86_64")]
mod nr {
    pub const READ: usize = 0;
    pub const POLL_IS_PPOLL: usize = 271;
    pub const SENDTO: usize = 44;
    pub const RECVFROM: usize = 45;
    pub const WAIT4: usize = 61;
    pub const PRCTL: usize = 157;
    pub const EXIT_GROUP: usize = 231;
    pub const SIGNALFD4: usize = 289;
    pub const AUDIT_ARCH: u32 = 0xc000_003e;
}

#[cfg(target_arch = "aarch64")]
mod nr {
    pub const READ: usize = 63;
    pub const POLL_IS_PPOLL: usize = 73;
    pub const SENDTO: usize = 206;
    pub const RECVFROM: usize = 207;
    pub const WAIT4: usize = 260;
    pub const PRCTL: usize = 167;
    pub const EXIT_GROUP: usize = 94;
    pub const SIGNALFD4: usize = 74;
    pub const AUDIT_ARCH: u32 = 0xc000_00b7;
}

/// The kernel enters here with argc and argv on the stack.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    #[cfg(target_arch = "x86_64")]
    naked_asm!("mov rdi, rsp", "and rsp, -16", "call {main}", "ud2", main = sym main);
    #[cfg(target_arch = "aarch64")]
    naked_asm!("mov x0, sp", "bl {main}", "brk #1", main = sym main);
}

/// # Safety
/// `stack` is what the kernel passed to `_start`.
unsafe extern "C" fn main(stack: *const usize) -> ! {
    // SAFETY: the kernel puts argc, then argc pointers to C strings, at the start of the stack.
    let program = unsafe { if *stack == 2 { parse(*stack.add(2) as *const u8) } else { 0 } };
    if program == 0 {
        exit(FAILED);
    }
    harden();
    let signals = signal_descriptor();
    seal();
    loop {
        reap(program);
        wait_for_event(signals);
        stay_with_outer();
    }
}

/// A decimal number.
///
/// # Safety
/// `text` is a C string.
unsafe fn parse(mut text: *const u8) -> usize {
    let mut number = 0usize;
    // SAFETY: stops at the terminating NUL or at the first byte that is no digit.
    unsafe {
        while (*text).is_ascii_digit() {
            number = number.wrapping_mul(10).wrapping_add((*text - b'0') as usize);
            text = text.add(1);
        }
    }
    number
}

/// No tracing, no core dump; and a name for ps.
fn harden() {
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

/// Only the calls below are left: whoever took over pid 1 could do no more than it does itself.
fn seal() {
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
    // Jump to the last instruction, which allows, or go on.
    let allow = |nr: usize, away: u8| Instruction { code: 0x15, jt: away, jf: 0, k: nr as u32 };
    let answer = |k| Instruction { code: 0x06, jt: 0, jf: 0, k };
    let instructions = [
        load(4),
        Instruction { code: 0x15, jt: 1, jf: 0, k: nr::AUDIT_ARCH },
        answer(KILL),
        load(0),
        allow(nr::POLL_IS_PPOLL, 6),
        allow(nr::WAIT4, 5),
        allow(nr::READ, 4),
        allow(nr::RECVFROM, 3),
        allow(nr::SENDTO, 2),
        allow(nr::EXIT_GROUP, 1),
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

fn signal_descriptor() -> usize {
    const SFD_NONBLOCK: usize = 0o4000;
    let all = u64::MAX;
    // SAFETY: the kernel reads one 8-byte mask.
    let fd = unsafe { call(nr::SIGNALFD4, [usize::MAX, &raw const all as usize, 8, SFD_NONBLOCK, 0, 0]) };
    if fd < 0 {
        exit(FAILED);
    }
    fd as usize
}

/// Reaps whoever has ended; ends with the program. A plain exit is mirrored by this process's own
/// status; anything else needs a message.
fn reap(program: usize) {
    const WNOHANG: usize = 1;
    let mut status = 0u32;
    let mut ended = None;
    let left = loop {
        // SAFETY: the kernel writes one int.
        let pid = unsafe { call(nr::WAIT4, [usize::MAX, &raw mut status as usize, WNOHANG, 0, 0, 0]) };
        match pid {
            0 => break true,
            pid if pid < 0 => break false,
            pid if pid as usize == program => ended = Some(status),
            _ => {}
        }
    };
    let Some(status) = ended else { return };
    if status & 0x7f == 0 && !left {
        exit((status >> 8 & 0xff) as i32);
    }
    let message = [ENDED, status, left as u32, 0, 0];
    const MSG_NOSIGNAL: usize = 0x4000;
    // SAFETY: the kernel reads MESSAGE bytes of `message`. If nobody listens, the end is the same.
    unsafe { call(nr::SENDTO, [SOCKET, &raw const message as usize, MESSAGE, MSG_NOSIGNAL, 0, 0]) };
    exit(0);
}

/// Until a child or the outer process ends.
fn wait_for_event(signals: usize) {
    #[repr(C)]
    struct Poll {
        fd: i32,
        events: i16,
        revents: i16,
    }
    const POLLIN: i16 = 1;
    let entry = |fd: usize| Poll { fd: fd as i32, events: POLLIN, revents: 0 };
    let mut waiting = [entry(signals), entry(SOCKET)];
    let mut information = [0u64; 16];
    // SAFETY: the kernel reads and writes two pollfd, and writes one 128-byte signalfd_siginfo.
    unsafe {
        call(nr::POLL_IS_PPOLL, [&raw mut waiting as usize, 2, 0, 0, 0, 0]);
        // Which signal does not matter: the kernel lets none from inside harm a pid 1, and `reap`
        // looks for ended children anyway.
        // One at a time: the program may send them faster than they are read.
        call(nr::READ, [signals, &raw mut information as usize, 128, 0, 0, 0]);
    }
}

/// Nothing comes on the socket but its end, with the outer process; then the jail ends.
fn stay_with_outer() {
    const MSG_DONTWAIT: usize = 0x40;
    const EAGAIN: isize = -11;
    const EINTR: isize = -4;
    let mut byte = 0u8;
    // SAFETY: the kernel writes at most one byte.
    let n = unsafe { call(nr::RECVFROM, [SOCKET, &raw mut byte as usize, 1, MSG_DONTWAIT, 0, 0]) };
    if n != EAGAIN && n != EINTR {
        exit(FAILED);
    }
}

fn exit(code: i32) -> ! {
    loop {
        // SAFETY: a number only.
        unsafe { call(nr::EXIT_GROUP, [code as usize, 0, 0, 0, 0, 0]) };
    }
}

/// One system call; a negative result is the errno.
///
/// # Safety
/// The arguments are what the call wants: pointers must be valid for what the kernel reads or writes.
unsafe fn call(number: usize, a: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the kernel keeps every register but the result and those named as clobbered.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!("syscall", inlateout("rax") number => result, in("rdi") a[0], in("rsi") a[1], in("rdx") a[2],
            in("r10") a[3], in("r8") a[4], in("r9") a[5], lateout("rcx") _, lateout("r11") _, options(nostack));
        #[cfg(target_arch = "aarch64")]
        asm!("svc 0", in("x8") number, inlateout("x0") a[0] => result, in("x1") a[1], in("x2") a[2],
            in("x3") a[3], in("x4") a[4], in("x5") a[5], options(nostack));
    }
    result
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(FAILED)
}
