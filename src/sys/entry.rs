//! The C entry point of a Rust program, without what Rust's own runtime does before `main`.
//!
//! Must not know: what the program does. The runtime reads /proc/self/maps and makes a signal stack,
//! to tell a stack overflow from another fault: that costs each start 0.1 ms. What else it does for
//! a program is done here: the words of the command line, SIGPIPE, and descriptors 0-2.

use super::Result;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;
use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::os::fd::{BorrowedFd, IntoRawFd};
use std::os::unix::ffi::OsStrExt;

/// Makes `fn(Vec<OsString>) -> i32`, which gets the words of the command line and gives the exit
/// status, the entry point of a program that is `#![no_main]`.
#[macro_export]
macro_rules! entry {
    ($run:path) => {
        /// Called by the C library's start-up code.
        #[unsafe(no_mangle)]
        extern "C" fn main(count: std::ffi::c_int, words: *const *const std::ffi::c_char) -> std::ffi::c_int {
            // SAFETY: the C library passes the argument count and vector as the kernel laid them out.
            let words = unsafe { $crate::sys::entry::words(count, words) };
            $run(words)
        }
    };
}

/// The words of the command line.
///
/// # Safety
/// `words` points to `count` pointers to C strings, as for C's `main`.
pub unsafe fn words(count: c_int, words: *const *const c_char) -> Vec<OsString> {
    let word = |index: usize| {
        // SAFETY: `index` is below the count, by the caller's promise a pointer to a C string.
        let text = unsafe { CStr::from_ptr(*words.add(index)) };
        OsStr::from_bytes(text.to_bytes()).to_owned()
    };
    (0..usize::try_from(count).unwrap_or(0)).map(word).collect()
}

/// Ignores SIGPIPE, so that a reader that went away is an error of the write, and opens /dev/null
/// for those of 0-2 that are closed: the next file opened would take their place.
///
/// # Errors
/// /dev/null cannot be opened.
pub fn prepare() -> Result<()> {
    super::signal::ignore_broken_pipes()?;
    for number in 0..3 {
        // SAFETY: only asked whether it is open; it is not closed or kept.
        let stream = unsafe { BorrowedFd::borrow_raw(number) };
        if fcntl(stream, FcntlArg::F_GETFD) == Err(Errno::EBADF) {
            // The lowest free number is this one: those below are open.
            let opened = open("/dev/null", OFlag::O_RDWR, Mode::empty())?.into_raw_fd();
            if opened != number {
                return Err(Errno::EBADF);
            }
        }
    }
    Ok(())
}
