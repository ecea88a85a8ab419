//! What /proc tells of processes: those of a jail, seen from outside.
//!
//! Must not know: what any of it should be.

use crate::verify::outside::{NAMESPACES, Process, TEXTS};
use std::collections::BTreeMap;

/// Deepest tree of processes that is climbed.
const DEEPEST: usize = 4096;

/// Some fields of proc_pid_stat(5).
pub struct Stat {
    /// The letter of its state; `T` is stopped.
    pub state: char,
    /// Who has started it, or has taken it over since.
    pub parent: i32,
    /// PF_* of linux/sched.h.
    pub flags: u64,
    /// Clock ticks from boot to its start.
    pub started: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name before the last parenthesis may hold blanks and parentheses; then field 3 and on.
        let mut fields = text.rsplit_once(')')?.1.split_whitespace();
        Some(Stat {
            state: fields.next()?.chars().next()?,
            parent: fields.next()?.parse().ok()?,
            flags: fields.nth(4)?.parse().ok()?,
            started: fields.nth(12)?.parse().ok()?,
        })
    }

    /// Whether it still does something. A zombie holds nothing and only waits for its parent.
    pub fn lives(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }
}

/// What the kernel says of a process.
pub fn stat(pid: i32) -> Option<Stat> {
    Stat::parse(&text(pid, "stat")?)
}

/// The numbers of all processes.
pub fn all() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The processes that a process has started, in the order of their numbers.
pub fn children(parent: i32) -> Vec<i32> {
    let mut found: Vec<i32> = all().filter(|pid| parent_of(*pid) == Some(parent)).collect();
    found.sort_unstable();
    found
}

fn parent_of(pid: i32) -> Option<i32> {
    stat(pid).map(|stat| stat.parent)
}

/// Whether a process is another one, or was started by it, or by one that was.
pub fn is_below(pid: i32, top: i32) -> bool {
    descends(pid, top, parent_of)
}

fn descends(mut pid: i32, top: i32, parent: impl Fn(i32) -> Option<i32>) -> bool {
    for _ in 0..DEEPEST {
        if pid == top {
            return true;
        }
        match parent(pid) {
            Some(above) if above > 1 => pid = above,
            _ => return false,
        }
    }
    false
}

/// These and all that they have started, each once.
pub fn with_descendants(pids: &[i32]) -> Vec<i32> {
    let parents: Vec<(i32, i32)> = all().filter_map(|pid| Some((pid, parent_of(pid)?))).collect();
    let mut found = pids.to_vec();
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        let children = parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid);
        let new: Vec<i32> = children.filter(|pid| !found.contains(pid)).collect();
        found.extend(new);
        next += 1;
    }
    found
}

/// Whether it is the kernel's own (PF_KTHREAD of linux/sched.h).
pub fn is_kernel_thread(pid: i32) -> bool {
    stat(pid).is_some_and(|stat| stat.flags & 0x0020_0000 != 0)
}

/// Its real user id.
pub fn owner(pid: i32) -> Option<u32> {
    status(&text(pid, "status")?, "Uid:")?.split_whitespace().next()?.parse().ok()
}

/// The file mode creation mask of this process (Linux 4.7); without /proc, the usual one.
pub fn own_umask() -> u32 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status(&text, "Umask:").and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok()).unwrap_or(0o022)
}

fn status<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name))
}

/// Whether there is such a process, and it still does something.
pub fn lives(pid: i32) -> bool {
    stat(pid).is_some_and(|stat| stat.lives())
}

/// One text of /proc/PID.
pub fn text(pid: i32, name: &str) -> Option<String> {
    Some(String::from_utf8_lossy(&bytes(pid, name)?).into_owned())
}

/// One file of /proc/PID.
pub fn bytes(pid: i32, name: &str) -> Option<Vec<u8>> {
    std::fs::read(format!("/proc/{pid}/{name}")).ok()
}

/// Everything that is looked at of a process.
pub fn look(pid: i32, program: bool) -> Process {
    Process {
        pid,
        program,
        texts: TEXTS.iter().filter_map(|name| Some((*name, text(pid, name)?))).collect(),
        descriptors: descriptors(pid),
        namespaces: namespaces(&pid.to_string()),
    }
}

fn descriptors(pid: i32) -> Option<Vec<u32>> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    Some(entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect())
}

/// The namespaces of a process, by kind.
pub fn namespaces(pid: &str) -> BTreeMap<&'static str, String> {
    let link = |kind: &str| std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok();
    let found = NAMESPACES.iter().filter_map(|kind| Some((*kind, link(kind)?.to_str()?.to_owned())));
    found.collect()
}

/// Whether a path inside the root of a process is a directory.
pub fn is_directory(pid: i32, path: &str) -> bool {
    std::fs::symlink_metadata(format!("/proc/{pid}/root{path}")).is_ok_and(|m| m.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_climbed_up_to_pid_1() {
        let tree = |pid| {
            [(9, 8), (8, 7), (7, 3), (3, 1), (20, 1)].iter().find(|(p, _)| *p == pid).map(|(_, up)| *up)
        };
        assert!(descends(9, 7, tree) && descends(7, 7, tree));
        assert!(
            !descends(3, 7, tree)
                && !descends(20, 7, tree)
                && !descends(99, 7, tree)
                && !descends(1, 7, tree)
        );
        assert!(!descends(5, 7, |_| Some(5)), "a circle ends");
        let parent_in = |stat: &str| Stat::parse(stat).map(|stat| stat.parent);
        let rest = "0 -1 4194560 203 0 0 0 0 0 0 0 20 0 1 0 1797062 6086656 940";
        assert_eq!(parent_in(&format!("12 (a) (b) S 7 12 12 {rest}")), Some(7));
        assert_eq!(parent_in("12"), None);
        assert_eq!(
            parent_of(std::process::id().cast_signed()),
            Some(std::os::unix::process::parent_id().cast_signed())
        );
    }

    #[test]
    fn descent_is_followed_to_its_top() {
        let own = std::process::id().cast_signed();
        let parent = parent_of(own).unwrap();
        assert!(is_below(own, own) && is_below(own, parent));
        assert!(!is_below(parent, own) && !is_below(i32::MAX, own));
    }

    #[test]
    fn each_field_is_found_behind_any_name() {
        let text = "12 (a) b) T 7 12 12 0 -1 2097216 203 0 0 0 0 0 0 0 20 0 1 0 1797062 6086656 940";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.state, stat.parent, stat.flags, stat.started), ('T', 7, 0x0020_0040, 1_797_062));
    }
}
