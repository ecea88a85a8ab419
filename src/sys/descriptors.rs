//! Descriptors at numbers that matter: kept free, filled, and left open at exec.

use super::process::take_received;
use super::{Result, check};
use nix::errno::Errno;
use std::ffi::c_int;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// Takes `count` numbers from `first` up, whatever was there, so that nothing else gets them.
/// Closed at exec.
///
/// # Errors
/// EBADF or EMFILE if they are above the limit of open files.
pub fn reserve(first: c_int, count: c_int) -> Result<Vec<OwnedFd>> {
    let null = nix::fcntl::open("/dev/null", nix::fcntl::OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty())?;
    // Above them, in case it was opened at one of them.
    // SAFETY: no pointers; a new descriptor is made.
    let above = check(unsafe { libc::fcntl(null.as_raw_fd(), libc::F_DUPFD_CLOEXEC, first + count) }.into())?;
    drop(null);
    let above = take_received(c_int::try_from(above).map_err(|_| Errno::EBADF)?);
    (first..first + count)
        .map(|number| {
            place(&above, number)?;
            Ok(take_received(number))
        })
        .collect()
}

/// Makes `number` a duplicate of `from`, closed at exec (dup3(2)).
///
/// # Errors
/// EBADF if the number is above the limit of open files; EINVAL if it is `from` itself.
pub fn place(from: &OwnedFd, number: c_int) -> Result<()> {
    // SAFETY: no pointers. What had this number was kept for this, or leaked in from the caller.
    check(unsafe { libc::dup3(from.as_raw_fd(), number, libc::O_CLOEXEC) }.into()).map(|_| ())
}

/// Takes over a descriptor that this process has from its caller.
pub fn take_inherited(number: c_int) -> OwnedFd {
    take_received(number)
}

/// A descriptor that this process has from its caller, for as long as it is looked at.
pub fn look_at_inherited(number: c_int) -> BorrowedFd<'static> {
    // SAFETY: it is only asked about; if it was closed, the kernel answers EBADF.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// Leaves a socket open at exec.
///
/// # Errors
/// EBADF or ENOTSOCK if it is none.
pub fn keep_socket(number: c_int) -> Result<()> {
    let mut kind: c_int = 0;
    let mut length = size_of::<c_int>() as libc::socklen_t;
    let (to, size) = ((&raw mut kind).cast(), &raw mut length);
    // SAFETY: the kernel writes at most `length` bytes to `kind`, and the new length.
    check(unsafe { libc::getsockopt(number, libc::SOL_SOCKET, libc::SO_TYPE, to, size) }.into())?;
    // SAFETY: no pointers; clears close-on-exec.
    check(unsafe { libc::fcntl(number, libc::F_SETFD, 0) }.into()).map(|_| ())
}
