//! Questions to the kernel that change nothing.

use super::check;
use nix::errno::Errno;

/// prctl(2) reads whole registers, and some calls refuse unused ones that are not 0; an `int` in C's
/// variable arguments fills only half.
const UNUSED: libc::c_ulong = 0;

/// The Landlock ABI (landlock_create_ruleset(2) with VERSION); 0 if there is none.
pub fn landlock_abi() -> u32 {
    const VERSION: u32 = 1;
    // SAFETY: a null attribute of size 0 is what the flag asks for; no memory is read.
    let abi =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, VERSION) };
    u32::try_from(abi).unwrap_or(0)
}

/// Whether seccomp(2) filters can answer with an errno.
pub fn seccomp() -> bool {
    let action = libc::SECCOMP_RET_ERRNO;
    // SAFETY: the kernel reads one u32.
    check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) })
        .is_ok()
}

/// Whether prctl(PR_SET_MDWE) is there (Linux 6.3).
pub fn deny_write_execute() -> bool {
    // SAFETY: no pointers.
    check(unsafe { libc::prctl(libc::PR_GET_MDWE, UNUSED, UNUSED, UNUSED, UNUSED) }.into()).is_ok()
}

/// Whether keyctl(2) is there and allowed.
pub fn keyrings() -> bool {
    const KEYCTL_GET_KEYRING_ID: libc::c_int = 0;
    const SESSION: libc::c_int = -3;
    // SAFETY: no pointers; 0: do not create one.
    let id = check(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_GET_KEYRING_ID, SESSION, 0) });
    !matches!(id, Err(Errno::ENOSYS | Errno::EPERM))
}

/// Whether the kernel has a capability of this number.
pub fn knows_capability(number: u8) -> bool {
    // SAFETY: no pointers.
    check(
        unsafe { libc::prctl(libc::PR_CAPBSET_READ, libc::c_ulong::from(number), UNUSED, UNUSED, UNUSED) }
            .into(),
    )
    .is_ok()
}
