//! What /proc tells of processes: those of a jail, seen from outside.
//!
//! Must not know: what any of it should be.

use crate::verify::outside::{NAMESPACES, Process, TEXTS};
use std::collections::BTreeMap;

/// The processes that a process has started, in the order of their numbers.
pub fn children(parent: i32) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    let mut found: Vec<i32> = numbers.filter(|pid| parent_of(*pid) == Some(parent)).collect();
    found.sort_unstable();
    found
}

fn parent_of(pid: i32) -> Option<i32> {
    let stat = text(pid, "stat")?;
    // The name before the last parenthesis may hold blanks; then: state, ppid.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// These and all that they have started, each once.
pub fn with_descendants(pids: &[i32]) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    let parents: Vec<(i32, i32)> = numbers.filter_map(|pid| Some((pid, parent_of(pid)?))).collect();
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

/// Whether it is the kernel's own (PF_KTHREAD of linux/sched.h, in field 9 of proc_pid_stat(5)).
pub fn is_kernel_thread(pid: i32) -> bool {
    let flags = text(pid, "stat")
        .and_then(|stat| stat.rsplit_once(')')?.1.split_whitespace().nth(6)?.parse::<u64>().ok());
    flags.is_some_and(|flags| flags & 0x0020_0000 != 0)
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

/// Whether there is such a process. A zombie holds nothing and only waits for its parent.
pub fn lives(pid: i32) -> bool {
    let stat = text(pid, "stat").unwrap_or_default();
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().next());
    !matches!(state, None | Some("Z" | "X"))
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
