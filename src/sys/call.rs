//! One system call without any library, for the programs that `build.rs` compiles alone (pid 1 and the
//! prober), which both include this file.
//!
//! Must not know: which call.

use core::arch::asm;

/// One system call; a negative result is the errno. Inlined: after vfork(2), parent and child share
/// the stack, and the child must not return from a frame that the parent still needs.
///
/// # Safety
/// The arguments are what the call wants, pointers valid for what the kernel reads or writes; or nonsense
/// that the kernel refuses.
#[inline(always)]
pub unsafe fn system_call(number: usize, a: [usize; 6]) -> isize {
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
