//! Pseudo-terminals: opening a pair, window size, raw mode.

use super::{Result, check};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// A pseudo-terminal: what the outer process relays, and what the program gets.
pub struct Pair {
    /// The outer process's side.
    pub master: OwnedFd,
    /// The program's side.
    pub slave: OwnedFd,
}

/// Opens a new pseudo-terminal in the host's /dev/pts, with the size of `like`.
///
/// # Errors
/// ENOENT without /dev/ptmx; ENOSPC when /proc/sys/kernel/pty/max is reached.
pub fn open_pair(like: impl AsFd) -> Result<Pair> {
    let size = size(&like).ok();
    let pair = nix::pty::openpty(size.as_ref(), None)?;
    Ok(Pair { master: pair.master, slave: pair.slave })
}

/// The window size of a terminal.
///
/// # Errors
/// ENOTTY.
pub fn size(terminal: &impl AsFd) -> Result<libc::winsize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one winsize.
    check(unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) }.into())?;
    Ok(size)
}

/// Sets the window size; the kernel sends SIGWINCH to the program if it changed.
///
/// # Errors
/// ENOTTY.
pub fn set_size(terminal: &impl AsFd, size: libc::winsize) -> Result<()> {
    // SAFETY: TIOCSWINSZ reads one winsize.
    check(unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSWINSZ, &raw const size) }.into())
        .map(|_| ())
}

/// Puts the caller's terminal in raw mode: every key goes to the program. Returns what to restore.
///
/// # Errors
/// ENOTTY.
pub fn make_raw(terminal: impl AsFd) -> Result<Termios> {
    let before = tcgetattr(&terminal)?;
    let mut raw = before.clone();
    cfmakeraw(&mut raw);
    tcsetattr(&terminal, SetArg::TCSADRAIN, &raw)?;
    Ok(before)
}

/// Undoes [`make_raw`].
///
/// # Errors
/// ENOTTY.
pub fn restore(terminal: impl AsFd, before: &Termios) -> Result<()> {
    tcsetattr(&terminal, SetArg::TCSADRAIN, before)
}

/// Whether a read would return at once (data, end, or error).
pub fn readable(fd: std::os::fd::BorrowedFd<'_>) -> bool {
    let mut waiting = [nix::poll::PollFd::new(fd, nix::poll::PollFlags::POLLIN)];
    matches!(nix::poll::poll(&mut waiting, nix::poll::PollTimeout::ZERO), Ok(n) if n > 0)
}

/// Descriptor 0, for as long as the process lives.
pub fn standard_input() -> std::os::fd::BorrowedFd<'static> {
    // SAFETY: only called while the outer process relays a terminal on descriptor 0, which it then
    // never closes.
    unsafe { std::os::fd::BorrowedFd::borrow_raw(0) }
}
