//! What the kernel can do: one cheap question each.
//!
//! Must not know: what depends on it.

use crate::jail::facts::Kernel;
use crate::sys::probe;

/// Asks the running kernel.
pub fn kernel() -> Kernel {
    Kernel {
        version: nix::sys::utsname::uname()
            .ok()
            .and_then(|u| version(u.release().to_str()?))
            .unwrap_or_default(),
        landlock: probe::landlock_abi(),
        last_capability: last_capability(),
        seccomp: probe::seccomp(),
        deny_write_execute: probe::deny_write_execute(),
        keyrings: probe::keyrings(),
    }
}

/// `6.18.44-fc` is (6, 18).
fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// From /proc; without it, from which numbers prctl(2) knows.
fn last_capability() -> u8 {
    let read =
        std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").ok().and_then(|t| t.trim().parse().ok());
    read.unwrap_or_else(|| (0..63).rev().find(|n| probe::knows_capability(*n)).unwrap_or(63))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_of_distributions() {
        assert_eq!(version("6.18.44-fc-v657"), Some((6, 18)));
        assert_eq!(version("5.14.0-427.el9.x86_64"), Some((5, 14)));
        assert_eq!(version("6.1-rc1"), Some((6, 1)));
        assert_eq!(version("weird"), None);
    }
}
