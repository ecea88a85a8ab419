//! The prober: what `jail verify` starts in a jail in place of the program. It makes the system calls
//! that it is told, natively, and answers what came of them. A program of its own without any
//! library, so that nothing has to be in the jail for it.
//!
//! It is compiled by `build.rs` and carried inside `jail`, which executes it from memory. Must not
//! know: what is tried, or what should come of it; that is `verify`, whose `batch` writes what is
//! read here.
//!
//! Descriptor 0 is the socket, which keeps message borders. It is used by read and write alone: every
//! filter allows these. A message is answered by itself, with its results and its data as they are
//! after the calls:
//!
//! ```text
//! word 0            in a child of its own (1) or not (0)   -> how that went, see below
//! word 1            how many operations
//! 14 words each     entry, number, 6 x (kind, value)       -> entry = DONE, number = the result
//! then              data, which arguments can point to
//! ```
#![no_std]
#![no_main]

#[path = "../call.rs"]
mod call;

use call::system_call as call;
#[cfg(target_arch = "x86_64")]
use core::arch::asm;
use core::arch::naked_asm;

/// Most bytes of a message.
const SIZE: usize = 32 * 1024;
const WORDS: usize = 14;
const CHILD: u64 = 1;
/// Word 0 of the answer: in this process; no child could be made, so in this process, too; in a child,
/// whose status from wait(2) is in the low half.
const HERE: u64 = 0;
const NO_CHILD: u64 = 1;
const IN_CHILD: u64 = 2 << 32;

const DONE: u64 = 0xd0e;
const EFAULT: isize = -14;
const EINTR: isize = -4;
const EINVAL: isize = -22;
#[cfg(not(target_arch = "x86_64"))]
const ENOSYS: isize = -38;
const SIGCHLD: usize = 17;
const FAILED: usize = 125;

#[cfg(target_arch = "x86_64")]
mod nr {
    pub const READ: usize = 0;
    pub const WRITE: usize = 1;
    pub const MMAP: usize = 9;
    pub const CLONE: usize = 56;
    pub const WAIT4: usize = 61;
    pub const EXIT_GROUP: usize = 231;
}

#[cfg(target_arch = "aarch64")]
mod nr {
    pub const READ: usize = 63;
    pub const WRITE: usize = 64;
    pub const MMAP: usize = 222;
    pub const CLONE: usize = 220;
    pub const WAIT4: usize = 260;
    pub const EXIT_GROUP: usize = 94;
}

/// The kernel enters here.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    #[cfg(target_arch = "x86_64")]
    naked_asm!("and rsp, -16", "call {main}", "ud2", main = sym main);
    #[cfg(target_arch = "aarch64")]
    naked_asm!("bl {main}", "brk #1", main = sym main);
}

extern "C" fn main() -> ! {
    let Some(message) = shared_memory() else { exit(FAILED) };
    loop {
        // SAFETY: the kernel writes at most SIZE bytes, as many as are mapped there.
        let n = unsafe { call(nr::READ, [0, message as usize, SIZE, 0, 0, 0]) };
        if n == EINTR {
            continue;
        }
        if n <= 0 {
            exit(0);
        }
        let length = n as usize;
        // SAFETY: `message` holds SIZE bytes, aligned to a page, which only this process and its
        // waited-for child use.
        unsafe {
            let operations = *message.add(1) as usize;
            if length < 16 || operations > (length - 16) / (8 * WORDS) {
                exit(FAILED);
            }
            let asked = *message;
            *message = if asked == CHILD { in_child(message, operations) } else { HERE };
            if asked != CHILD || *message == NO_CHILD {
                operate(message, operations);
            }
            while call(nr::WRITE, [0, message as usize, length, 0, 0, 0]) == EINTR {}
        }
    }
}

/// Memory that a child's results are seen in.
fn shared_memory() -> Option<*mut u64> {
    const READ_WRITE: usize = 3;
    const SHARED_ANONYMOUS: usize = 0x21;
    // SAFETY: a new mapping at an address of the kernel's choice.
    let at = unsafe { call(nr::MMAP, [0, SIZE, READ_WRITE, SHARED_ANONYMOUS, usize::MAX, 0]) };
    (!(-4095..0).contains(&at)).then_some(at as *mut u64)
}

/// Operates in a copy of this process, so that neither success nor death changes this one.
///
/// # Safety
/// As for [`operate`].
unsafe fn in_child(message: *mut u64, operations: usize) -> u64 {
    // SAFETY: as fork(2): no flags but the signal, and the same stack in memory of its own.
    let pid = unsafe { call(nr::CLONE, [SIGCHLD, 0, 0, 0, 0, 0]) };
    if pid < 0 {
        return NO_CHILD;
    }
    if pid == 0 {
        // SAFETY: the caller's promise.
        unsafe { operate(message, operations) };
        exit(0);
    }
    let mut status = 0u32;
    // SAFETY: the kernel writes one int.
    while unsafe { call(nr::WAIT4, [pid as usize, &raw mut status as usize, 0, 0, 0, 0]) } == EINTR {}
    IN_CHILD | u64::from(status)
}

/// Does one operation after the other.
///
/// # Safety
/// `message` holds so many operations and the data that they point to; what the calls do to this
/// process is for the one who asked for them to know.
unsafe fn operate(message: *mut u64, operations: usize) {
    // SAFETY: `operations` was compared with the length of the message.
    unsafe {
        let data = message.add(2 + operations * WORDS) as usize;
        for index in 0..operations {
            let operation = message.add(2 + index * WORDS);
            let mut arguments = [0usize; 6];
            for (i, argument) in arguments.iter_mut().enumerate() {
                let value = *operation.add(3 + 2 * i) as usize;
                *argument = match *operation.add(2 + 2 * i) {
                    0 => value,
                    1 => data + value,
                    _ => *message.add(3 + value * WORDS) as usize,
                };
            }
            let number = *operation.add(1) as usize;
            let result = match *operation {
                0 => call(number, arguments),
                1 => compatible(number, arguments),
                2 => {
                    *((data + arguments[0]) as *mut u64) = arguments[1] as u64;
                    0
                }
                3 => run(arguments[0]),
                4 => {
                    let made = call(number, arguments);
                    if made == 0 {
                        exit(0);
                    }
                    made
                }
                _ => EINVAL,
            };
            *operation.add(1) = result as u64;
            *operation = DONE;
        }
    }
}

/// Executes what is at an address and returns.
unsafe fn run(address: usize) -> isize {
    if address < 4096 || (-4095..0).contains(&(address as isize)) {
        return EFAULT;
    }
    // SAFETY: a function without arguments and results, or death by SIGSEGV, which is an answer.
    unsafe { core::mem::transmute::<usize, extern "C" fn()>(address)() };
    0
}

/// A call by the entry of 32-bit programs, which has a table of calls of its own.
#[cfg(target_arch = "x86_64")]
unsafe fn compatible(number: usize, a: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the kernel keeps every register but the result and those named as clobbered. rbx is
    // the compiler's own, so it is swapped in and out; the sixth argument (ebp) stays as it is.
    unsafe {
        asm!("xchg rbx, {first}", "int 0x80", "xchg rbx, {first}", first = inout(reg) a[0] => _,
            inlateout("rax") number => result, in("rcx") a[1], in("rdx") a[2], in("rsi") a[3], in("rdi") a[4],
            out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    // A 32-bit result, not extended by every kernel.
    result as i32 as isize
}

#[cfg(not(target_arch = "x86_64"))]
unsafe fn compatible(_: usize, _: [usize; 6]) -> isize {
    ENOSYS
}

fn exit(code: usize) -> ! {
    loop {
        // SAFETY: a number only.
        unsafe { call(nr::EXIT_GROUP, [code, 0, 0, 0, 0, 0]) };
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(FAILED)
}
