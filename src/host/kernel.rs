//! What the kernel can do: one cheap question each.
//!
//! Must not know: what depends on it.

use crate::jail::facts::{Kernel, UserNamespaces};
use crate::sys::probe;

/// Asks the running kernel. Of what root does not need, only if somebody else asks.
pub fn kernel(root: bool) -> Kernel {
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
        user_namespaces: if root { UserNamespaces::Allowed } else { user_namespaces(&read) },
    }
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim_end().to_owned())
}

/// What the sysctls say of user namespaces; a file that is not there forbids nothing.
fn user_namespaces(read: &dyn Fn(&str) -> Option<String>) -> UserNamespaces {
    let says = |path, value: &str| read(path).is_some_and(|text| text == value);
    if says("/proc/sys/user/max_user_namespaces", "0") {
        return UserNamespaces::NoneAtAll;
    }
    if says("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        return UserNamespaces::RootOnly;
    }
    // A process with a profile has what that profile says; only who has none is restricted.
    let unconfined = || {
        let label = read("/proc/self/attr/apparmor/current").or_else(|| read("/proc/self/attr/current"));
        label.is_none_or(|label| label == "unconfined")
    };
    if says("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") && unconfined() {
        return UserNamespaces::AppArmor;
    }
    UserNamespaces::Allowed
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
    use super::{UserNamespaces, user_namespaces, version};

    #[test]
    fn sysctls_that_forbid_user_namespaces_are_known() {
        let ask = |files: &[(&str, &str)]| {
            let read = |path: &str| {
                files.iter().find(|(end, _)| path.ends_with(end)).map(|(_, text)| (*text).to_owned())
            };
            user_namespaces(&read)
        };
        let apparmor = ("kernel/apparmor_restrict_unprivileged_userns", "1");
        assert_eq!(ask(&[]), UserNamespaces::Allowed);
        assert_eq!(ask(&[("user/max_user_namespaces", "0")]), UserNamespaces::NoneAtAll);
        assert_eq!(ask(&[("user/max_user_namespaces", "10")]), UserNamespaces::Allowed);
        assert_eq!(ask(&[("unprivileged_userns_clone", "0")]), UserNamespaces::RootOnly);
        assert_eq!(ask(&[("unprivileged_userns_clone", "1")]), UserNamespaces::Allowed);
        assert_eq!(ask(&[apparmor, ("attr/apparmor/current", "unconfined")]), UserNamespaces::AppArmor);
        assert_eq!(ask(&[apparmor, ("attr/apparmor/current", "jail (unconfined)")]), UserNamespaces::Allowed);
        assert_eq!(ask(&[apparmor]), UserNamespaces::AppArmor);
        let off = ("kernel/apparmor_restrict_unprivileged_userns", "0");
        assert_eq!(ask(&[off, ("attr/current", "unconfined")]), UserNamespaces::Allowed);
    }

    #[test]
    fn versions_of_distributions() {
        assert_eq!(version("6.18.44-fc-v657"), Some((6, 18)));
        assert_eq!(version("5.14.0-427.el9.x86_64"), Some((5, 14)));
        assert_eq!(version("6.1-rc1"), Some((6, 1)));
        assert_eq!(version("weird"), None);
    }
}
