//! Thin typed wrappers for kernel calls that no crate wraps, or wraps without `unsafe`.
//!
//! The only place with `unsafe`. Must not know: anything of jails. Every function is one call (or
//! one inseparable pair), takes owned or borrowed descriptors, and returns the errno.

pub mod descriptors;
pub mod entry;
pub mod mount;
pub mod probe;
pub mod prober;
pub mod process;
pub mod signal;
pub mod terminal;

/// Result of one kernel call.
pub type Result<T> = std::result::Result<T, nix::errno::Errno>;

/// `-1` means errno, as for every call that goes through libc.
fn check(value: libc::c_long) -> Result<libc::c_long> {
    if value == -1 { Err(nix::errno::Errno::last()) } else { Ok(value) }
}
