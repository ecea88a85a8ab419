//! Signal dispositions and masks of the whole process.

use super::{Result, check};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use std::os::fd::{FromRawFd, OwnedFd};

/// The highest signal number of Linux.
pub const LAST: i32 = 64;

/// Blocks every signal; what arrives is read from [`descriptor`].
///
/// # Errors
/// None known.
pub fn block_all() -> Result<()> {
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)
}

/// Every disposition back to its default and nothing blocked: what a program expects to find.
/// (Rust's runtime leaves SIGPIPE ignored, and callers leave others; both survive execve.)
///
/// # Errors
/// None known: numbers that libc keeps for itself are passed over.
pub fn reset_all() -> Result<()> {
    #[repr(C)]
    struct KernelAction {
        handler: usize,
        flags: libc::c_ulong,
        restorer: usize,
        mask: u64,
    }
    let default = KernelAction { handler: libc::SIG_DFL, flags: 0, restorer: 0, mask: 0 };
    for number in 1..=LAST {
        if number == libc::SIGKILL || number == libc::SIGSTOP {
            continue;
        }
        // SAFETY: rt_sigaction reads one kernel sigaction and an 8-byte mask size; called directly
        // because libc refuses the two numbers that it uses for threads, which survive exec too.
        let done = unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                number,
                &raw const default,
                std::ptr::null::<KernelAction>(),
                8usize,
            )
        };
        check(done)?;
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}

/// A signalfd(2) for every signal.
///
/// # Errors
/// EMFILE, ENOMEM.
pub fn descriptor() -> Result<OwnedFd> {
    let all = SigSet::all();
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: the set lives during the call; the returned number is checked before it is owned.
    let raw = unsafe { libc::signalfd(-1, std::ptr::from_ref(all.as_ref()), flags) };
    check(raw.into())?;
    // SAFETY: `raw` was just returned by the kernel and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Takes the next pending signal's number from a [`descriptor`]; `None` if there is none.
///
/// # Errors
/// Those of read(2).
pub fn next(descriptor: &OwnedFd) -> Result<Option<i32>> {
    let mut buffer = [0u8; size_of::<libc::signalfd_siginfo>()];
    match nix::unistd::read(descriptor, &mut buffer) {
        Ok(n) if n == buffer.len() => {
            let number = u32::from_ne_bytes([buffer[0], buffer[1], buffer[2], buffer[3]]);
            Ok(i32::try_from(number).ok())
        }
        Ok(_) | Err(nix::errno::Errno::EAGAIN) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Ends this process by `signal`, as its program ended; exits with 128 + `signal` if that fails.
pub fn die_by(signal: i32) -> ! {
    // A core of the launcher would say nothing and could overwrite the program's.
    if super::process::not_dumpable().is_ok() && reset_all().is_ok() {
        // SAFETY: no pointers; all dispositions are defaults now.
        unsafe { libc::raise(signal) };
    }
    std::process::exit(128 + signal)
}
