//! Signal dispositions and masks of the whole process.
//!
//! The kernel is asked directly, with all 64 bits: libc's sets leave out the two signals that it
//! uses for threads, which then would kill the outer process instead of being forwarded.

use super::{Result, check};
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// The highest signal number of Linux.
pub const LAST: i32 = 64;

/// One bit for each signal, as the kernel has it.
type Set = u64;

/// Blocks every signal; what arrives is read from [`descriptor`].
///
/// # Errors
/// None known.
pub fn block_all() -> Result<()> {
    set_mask(Set::MAX)
}

fn set_mask(mask: Set) -> Result<()> {
    // SAFETY: the kernel reads one set of the size that it is told.
    let done = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const mask,
            std::ptr::null::<Set>(),
            size_of::<Set>(),
        )
    };
    check(done).map(|_| ())
}

/// Every disposition back to its default and nothing blocked: what a program expects to find.
/// (This program ignores SIGPIPE, and callers leave others ignored; that survives execve.)
///
/// # Errors
/// None known.
pub fn reset_all() -> Result<()> {
    let changeable = (1..=LAST).filter(|number| ![libc::SIGKILL, libc::SIGSTOP].contains(number));
    changeable.into_iter().try_for_each(|number| dispose(number, libc::SIG_DFL).map(|_| ()))?;
    set_mask(0)
}

/// SIGCHLD back to its default. If a caller left it ignored the kernel would reap our children: no
/// signal, no status.
///
/// # Errors
/// None known.
pub fn notice_children() -> Result<()> {
    dispose(libc::SIGCHLD, libc::SIG_DFL).map(|_| ())
}

/// Sets a disposition that is no function: SIG_DFL or SIG_IGN. What it was before.
fn dispose(number: i32, handler: libc::sighandler_t) -> Result<libc::sighandler_t> {
    #[repr(C)]
    struct KernelAction {
        handler: usize,
        flags: libc::c_ulong,
        restorer: usize,
        mask: Set,
    }
    let action = KernelAction { handler, flags: 0, restorer: 0, mask: 0 };
    let mut before = KernelAction { handler: libc::SIG_DFL, flags: 0, restorer: 0, mask: 0 };
    // SAFETY: rt_sigaction reads one kernel sigaction, writes another, and takes an 8-byte mask size;
    // called directly because libc refuses the two numbers that it uses for threads, which survive exec
    // too.
    let done = unsafe {
        libc::syscall(libc::SYS_rt_sigaction, number, &raw const action, &raw mut before, size_of::<Set>())
    };
    check(done).map(|_| before.handler)
}

/// SIGPIPE was ignored by whoever started this process.
static PIPES_IGNORED: AtomicBool = AtomicBool::new(false);

/// Writing to a pipe without a reader gives EPIPE instead of a signal.
///
/// # Errors
/// None known.
pub fn ignore_broken_pipes() -> Result<()> {
    let before = dispose(libc::SIGPIPE, libc::SIG_IGN)?;
    PIPES_IGNORED.store(before == libc::SIG_IGN, Ordering::Relaxed);
    Ok(())
}

/// Undoes [`ignore_broken_pipes`], for a command that is executed with all that the caller has.
///
/// # Errors
/// None known.
pub fn restore_broken_pipes() -> Result<()> {
    if PIPES_IGNORED.load(Ordering::Relaxed) {
        Ok(())
    } else {
        dispose(libc::SIGPIPE, libc::SIG_DFL).map(|_| ())
    }
}

/// A signalfd(2) for every signal.
///
/// # Errors
/// EMFILE, ENOMEM.
pub fn descriptor() -> Result<OwnedFd> {
    let all = Set::MAX;
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: the kernel reads one set of the size that it is told.
    let raw =
        check(unsafe { libc::syscall(libc::SYS_signalfd4, -1, &raw const all, size_of::<Set>(), flags) })?;
    let raw = i32::try_from(raw).map_err(|_| nix::errno::Errno::EBADF)?;
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
        // To the process: raise(3) refuses libc's own two. All dispositions are defaults now.
        let sent = super::process::send_signal(std::process::id().cast_signed(), signal);
        log::debug!("dying by signal {signal}: {sent:?}");
    }
    std::process::exit(128 + signal)
}
