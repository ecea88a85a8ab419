//! Which processes are the jail's, by their numbers outside.
//!
//! Must not know: why it is asked. Pid 1 and the program are not asked either: it is the kernel's word.

use crate::host::processes::is_below;
use crate::sys::process;
use nix::errno::Errno;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

/// The pid namespace of a jail.
pub struct Members {
    /// Pid 1, by its number outside.
    first: i32,
    /// One that is a member for certain, even when it has ended.
    known: Option<i32>,
    /// The namespace itself.
    namespace: Option<OwnedFd>,
    /// The children of pid 1. Opened once: where /proc hides other users' processes, that takes a right
    /// that the outer process is about to give up.
    children: Option<File>,
}

impl Members {
    /// The namespace whose pid 1 is a child of this process.
    pub fn of(first: i32) -> Self {
        let proc = format!("/proc/{first}");
        let open = |name: &str| {
            let file = File::open(format!("{proc}/{name}"));
            file.inspect_err(|error| log::debug!("{proc}/{name}: {error}")).ok()
        };
        let children = open(&format!("task/{first}/children"));
        Members { first, known: None, namespace: open("ns/pid").map(OwnedFd::from), children }
    }

    /// Remembers one member beyond its end: the last one noted.
    pub fn note(&mut self, pid: i32) {
        self.known = Some(pid);
    }

    /// Whether this process is in it. (One that the operator has put there from outside is not found
    /// by a kernel before 6.11, where the parents are climbed.)
    pub fn has(&self, pid: i32) -> bool {
        if self.known == Some(pid) {
            return true;
        }
        let asked = self.namespace.as_ref().map(|namespace| process::number_in(namespace, pid));
        match asked {
            Some(Ok(_)) => true,
            Some(Err(Errno::ESRCH)) => false,
            _ => is_below(pid, self.first),
        }
    }

    /// The oldest process of each tree, each with a descriptor: those whose parent has ended before them,
    /// and the program that pid 1 has started. One that has ended meanwhile may have left its number to a
    /// process outside, which is none of ours.
    pub fn roots(&self) -> Vec<(i32, OwnedFd)> {
        let mut buffer = vec![0; 1 << 16];
        let length = self.children.as_ref().and_then(|file| file.read_at(&mut buffer, 0).ok()).unwrap_or(0);
        let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or(&[]));
        let open = |pid| process::descriptor(pid).ok().filter(|_| self.has(pid)).map(|root| (pid, root));
        text.split_whitespace().filter_map(|pid| open(pid.parse().ok()?)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_child_of_the_namespace_is_a_member() {
        let own = std::process::id().cast_signed();
        let mut members = Members::of(own);
        assert!(members.has(own));
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id().cast_signed();
        assert!(members.has(pid));
        let by_parents = Members { namespace: None, ..Members::of(own) };
        assert!(by_parents.has(pid) && !by_parents.has(std::os::unix::process::parent_id().cast_signed()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!members.has(pid) && !by_parents.has(pid));
        members.note(pid);
        assert!(members.has(pid));
    }
}
