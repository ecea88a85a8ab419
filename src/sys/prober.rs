//! What `verify` needs of the system besides: the prober's image, and a process to start a jail from.
//!
//! `prober/main.rs` is a program of its own, not a module of this one.

use super::{Result, check, process};
use std::ffi::c_int;
use std::os::fd::OwnedFd;

/// The prober's program, in memory. Readable, so that the kernel treats the process as it treats
/// that of any ordinary program: dumpable, hence traceable by those who may.
///
/// # Errors
/// EACCES if the sysctl vm.memfd_noexec is 2.
pub fn image() -> Result<OwnedFd> {
    process::image(c"jail-prober", include_bytes!(env!("JAIL_PROBER")), 0o555)
}

/// fork(2): 0 in the child.
///
/// # Errors
/// EAGAIN, ENOMEM.
pub fn fork() -> Result<i32> {
    // SAFETY: this process has a single thread, so no lock is held by one that is not copied.
    let pid = check(unsafe { libc::fork() }.into())?;
    i32::try_from(pid).map_err(|_| nix::errno::Errno::EOVERFLOW)
}

/// The serial number of this process's session keyring, or of the user's that stands in for it.
///
/// # Errors
/// ENOSYS without CONFIG_KEYS; EPERM in a container that filters it.
pub fn session_keyring() -> Result<i32> {
    const KEYCTL_GET_KEYRING_ID: c_int = 0;
    const SESSION: c_int = -3;
    // SAFETY: no pointers; 0: do not create one.
    let id = check(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_GET_KEYRING_ID, SESSION, 0) })?;
    i32::try_from(id).map_err(|_| nix::errno::Errno::EOVERFLOW)
}
