//! mount_setattr(2) and the loopback interface: calls without a wrapper in nix or rustix.

use super::{Result, check};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Sets attributes (`MOUNT_ATTR_*`) on the mount that `tree` is the root of, and with `recursive`
/// on every mount below it: all or none. Linux 5.12.
///
/// # Errors
/// EPERM for an attribute locked by another user namespace, EINVAL if `tree` is not a mount's root.
pub fn set_attributes(tree: BorrowedFd<'_>, set: u64, clear: u64, recursive: bool) -> Result<()> {
    let attributes = libc::mount_attr { attr_set: set, attr_clr: clear, propagation: 0, userns_fd: 0 };
    mount_setattr(tree, &attributes, recursive)
}

/// Makes the detached mount `tree` and all below it id-mapped: an owner on disk is taken for an id
/// inside the user namespace `map`, and seen as the id that this is outside it. Linux 5.12.
///
/// # Errors
/// EINVAL if a file system cannot, or the mount is attached; EPERM if it is id-mapped already.
pub fn map_owners(tree: BorrowedFd<'_>, map: BorrowedFd<'_>) -> Result<()> {
    let userns_fd = u64::try_from(map.as_raw_fd()).map_err(|_| nix::errno::Errno::EBADF)?;
    let set = libc::MOUNT_ATTR_IDMAP;
    let attributes = libc::mount_attr { attr_set: set, attr_clr: 0, propagation: 0, userns_fd };
    mount_setattr(tree, &attributes, true)
}

fn mount_setattr(tree: BorrowedFd<'_>, attributes: &libc::mount_attr, recursive: bool) -> Result<()> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a NUL-terminated literal, and the kernel reads exactly the size given
    // of `attributes`, which lives until the call returns.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const *attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    check(done).map(|_| ())
}

/// Brings interface `lo` of the current network namespace up (netdevice(7)).
///
/// # Errors
/// EPERM without CAP_NET_ADMIN over the namespace.
pub fn loopback_up() -> Result<()> {
    // SAFETY: no pointers; the returned number is checked before it is owned.
    let raw = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    check(raw.into())?;
    // SAFETY: `raw` was just returned by the kernel and belongs to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(raw) };
    // SAFETY: all-zero bytes are a valid ifreq: an empty name and no flags.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one ifreq, whose name is NUL-terminated because it was zeroed.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    check(done.into()).map(|_| ())
}
