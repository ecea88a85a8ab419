//! Pseudo-terminals: opening a pair, window size, raw mode.

use super::{Result, check};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::{isatty, ttyname};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

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
    // At once: waiting for the output to be read could last for ever.
    tcsetattr(&terminal, SetArg::TCSANOW, &raw)?;
    Ok(before)
}

/// Undoes [`make_raw`].
///
/// # Errors
/// ENOTTY.
pub fn restore(terminal: impl AsFd, before: &Termios) -> Result<()> {
    tcsetattr(&terminal, SetArg::TCSANOW, before)
}

/// Whether a read or write would return at once (data, room, end, or error).
pub fn ready(fd: BorrowedFd<'_>, events: PollFlags) -> bool {
    let mut waiting = [PollFd::new(fd, events)];
    matches!(poll(&mut waiting, PollTimeout::ZERO), Ok(n) if n > 0)
}

/// Makes reads and writes return at once. For a descriptor that nobody else shares: the flag belongs
/// to the open file.
///
/// # Errors
/// None known.
pub fn do_not_block(fd: impl AsFd) -> Result<()> {
    fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map(|_| ())
}

/// The caller's terminal, to write to: what standard output leads to, else what standard error or input
/// does (standard output may be redirected, and is then not the terminal's business). Opened anew: the
/// caller's shell shares the open file, which so cannot be made non-blocking. Where it cannot be opened
/// (it belongs to another user), and without a terminal: a duplicate.
///
/// # Errors
/// EMFILE.
pub fn open_again() -> Result<OwnedFd> {
    let (stdout, stderr, stdin) = (std::io::stdout(), std::io::stderr(), std::io::stdin());
    let streams = [stdout.as_fd(), stderr.as_fd(), stdin.as_fd()];
    let terminal = streams.into_iter().find(|stream| isatty(stream).unwrap_or(false));
    let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    match terminal.map(|stream| ttyname(stream).and_then(|name| open(&name, flags, Mode::empty()))) {
        Some(Ok(terminal)) => Ok(terminal),
        _ => terminal.unwrap_or(stdout.as_fd()).try_clone_to_owned().map_err(|_| Errno::EMFILE),
    }
}

/// Descriptor 0, for as long as the process lives.
pub fn standard_input() -> BorrowedFd<'static> {
    // SAFETY: only called while the outer process relays a terminal on descriptor 0, which it then
    // never closes.
    unsafe { BorrowedFd::borrow_raw(0) }
}
