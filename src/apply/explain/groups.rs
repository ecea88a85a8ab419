//! What failed about a control group: which file, and what to do.
//!
//! Must not know: how a file is written.

use crate::apply::cgroup::NO_FILE;
use crate::jail::limits::{Group, Write};
use crate::plan::Step;
use crate::problem::Span;
use nix::errno::Errno;

/// The write that a number means; none: the group's directory, or the one by which it is joined.
fn write(group: &Group, detail: u32) -> Option<(&crate::jail::path::AbsPath, &Write)> {
    let above = group.above.iter().map(|write| (&group.base, write));
    above.chain(group.limits.iter().map(|write| (&group.path, write))).nth(detail as usize)
}

/// Who asked for what failed.
pub fn at(group: &Group, detail: u32) -> Option<Span> {
    write(group, detail).and_then(|(_, write)| write.at)
}

/// The file, or the directory.
pub fn file(group: &Group, detail: u32) -> String {
    match write(group, detail) {
        Some((directory, write)) => format!("{directory}/{}", write.file),
        None if detail == NO_FILE => group.path.to_string(),
        None => format!("{}/cgroup.procs", group.path),
    }
}

/// Completes "cannot ".
pub fn intent(group: &Group, detail: u32, processes: Option<&[i32]>) -> String {
    let writes = group.above.len() + group.limits.len();
    let moved = processes.and_then(|pids| pids.get((detail as usize).checked_sub(writes)?));
    match write(group, detail) {
        None if moved.is_some() => {
            format!("move process {} into the group {}", moved.unwrap_or(&0), group.path)
        }
        Some((_, write)) => format!("write {:?} to {}", write.text, file(group, detail)),
        None if detail == NO_FILE => format!("make the group {}", group.path),
        None => format!("join the group {}", group.path),
    }
}

/// What to do.
pub fn remedy(step: &Step, errno: Errno, detail: u32) -> Option<String> {
    let file = match step {
        Step::Group(group) | Step::GroupOf { group, .. } => {
            write(group, detail).map_or("", |(_, write)| write.file.as_str())
        }
        _ => "",
    };
    Some(match (file, errno) {
        (_, Errno::EROFS) => "control groups are mounted read-only (a container?): mount /sys/fs/cgroup writable".into(),
        ("", Errno::ESRCH) => "it has ended meanwhile".into(),
        ("", Errno::EINVAL) if matches!(step, Step::GroupOf { .. }) => "the kernel keeps some of its own threads where they are".into(),
        (_, Errno::EACCES | Errno::EPERM) => "run it as root, or in a group that is delegated to you: systemd-run --user --scope -p Delegate=yes jail ...".into(),
        ("memory.memsw.limit_in_bytes" | "memory.swap.max", Errno::ENOENT) => "this kernel does not count swap: boot it with swapaccount=1, or remove `swap`".into(),
        ("cpu.max" | "cpu.cfs_quota_us", Errno::ENOENT) => "this kernel was built without CPU quotas (CONFIG_CFS_BANDWIDTH)".into(),
        ("cpu.cfs_quota_us", Errno::EINVAL) => "a group above allows less: ask for no more than that".into(),
        (file, Errno::ENOENT) if file.contains("bfq") => "the scheduler bfq cannot do that on this kernel (CONFIG_BFQ_GROUP_IOSCHED)".into(),
        (file, Errno::ENOENT) if !file.is_empty() => format!("this kernel has no {file}: remove the key that needs it"),
        (file, Errno::EBUSY) if file.ends_with("subtree_control") => "cgroup v2 limits only groups below one without processes, and another has just come: start jail by itself in a group (systemd-run --scope -p Delegate=yes jail ...)".into(),
        (_, Errno::EAGAIN | Errno::ENOSPC) if detail == NO_FILE => "a limit of groups is reached: see cgroup.max.descendants and cgroup.max.depth above".into(),
        ("" , Errno::EEXIST) => "another start has just taken the name: try again".into(),
        (_, Errno::ENODEV | Errno::ENXIO) => "that disk has just gone, or is a partition: name a whole disk".into(),
        _ => return None,
    })
}
