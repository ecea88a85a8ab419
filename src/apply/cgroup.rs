//! Control groups: made, limited, joined, removed.
//!
//! Must not know: why a file is written. Every group of ours lies in a directory `jail` and is named
//! after its jail and a word of its own, so that what a killed jail has left can be told from others'.

use super::{Call, Fault, Named, State};
use crate::jail::limits::place::OURS;
use crate::jail::limits::{Group, Write};
use crate::jail::path::AbsPath;
use nix::errno::Errno;
use rustix::fs::{CWD, Dir, FileType, FlockOperation, Mode, OFlags, SeekFrom};
use rustix::io::Errno as Raw;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// How long the kernel is waited for, which takes the dead out of a group a moment after their end.
const PATIENCE: (u32, Duration) = (200, Duration::from_millis(5));

/// Most groups that one start looks at for what others have left: the time of a start must not depend
/// on how many jails run.
const MOST_SWEPT: usize = 16;

/// In place of the number of a write: it was the directory.
pub const NO_FILE: u32 = u32::MAX;

/// Out of the base, for a leaf of it.
pub fn leave(state: &mut State, index: usize, leaf: &AbsPath) -> Result<(), Fault> {
    match rustix::fs::mkdirat(CWD, leaf.as_str(), directory_mode()) {
        // One that is there is ours, too: a start in place has left it.
        Err(Raw::EXIST) => {}
        other => other.call(Call::Mkdir)?,
    }
    if !state.created.contains(&index) {
        state.created.push(index);
    }
    enter(leaf)
}

/// A group with its limits, and this process in it. Where processes of the base must be gone before
/// there can be limits, it is joined first: there is only this process, which is ours.
pub fn make(state: &mut State, index: usize, group: &Group) -> Result<(), Fault> {
    // Held until it is joined: nobody takes an empty group for one that was left.
    let _lock = make_directory(group).map_err(|fault| Fault { detail: NO_FILE, ..fault })?;
    state.created.push(index);
    if group.leaf.is_some() {
        enter_group(group)?;
    }
    limit(group)?;
    if group.leaf.is_none() { enter_group(group) } else { Ok(()) }
}

/// The same, with others in it than this process.
pub fn make_of(
    state: &mut State,
    index: usize,
    group: &Group,
    processes: &[i32],
    tree: bool,
) -> Result<(), Fault> {
    let _lock = make_directory(group).map_err(|fault| Fault { detail: NO_FILE, ..fault })?;
    state.created.push(index);
    limit(group)?;
    let first = group.above.len() + group.limits.len();
    for (detail, pid) in processes.iter().enumerate() {
        let moved = put_text(group.path.as_str(), "cgroup.procs", &pid.to_string());
        moved.map_err(|fault| Fault { detail: number(first + detail), ..fault })?;
    }
    if !tree {
        return Ok(());
    }
    // Who was started before its parent was moved is still outside. What they start from now on is not.
    for pid in crate::host::processes::with_descendants(processes) {
        match put_text(group.path.as_str(), "cgroup.procs", &pid.to_string()) {
            Err(fault) if fault.errno != Errno::ESRCH as i32 => return Err(fault),
            _ => {}
        }
    }
    Ok(())
}

fn limit(group: &Group) -> Result<(), Fault> {
    let above = group.above.iter().map(|write| (&group.base, write));
    let files = above.chain(group.limits.iter().map(|write| (&group.path, write)));
    for (detail, (directory, write)) in files.enumerate() {
        put(directory, write).map_err(|fault| Fault { detail: number(detail), ..fault })?;
    }
    Ok(())
}

/// What is written when a group is joined, as the number of a write.
fn enter_group(group: &Group) -> Result<(), Fault> {
    let last = group.above.len() + group.limits.len();
    enter(&group.path).map_err(|fault| Fault { detail: number(last), ..fault })
}

fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// The group's directory, and a lock on the one above.
fn make_directory(group: &Group) -> Result<OwnedFd, Fault> {
    let ours = group.base.join(OURS);
    loop {
        match rustix::fs::mkdirat(CWD, ours.as_str(), directory_mode()) {
            Err(Raw::EXIST) => {}
            other => other.call(Call::Mkdir)?,
        }
        // Whoever ended last may remove the directory at any time until there is a group in it.
        let lock = match open_directory(&ours) {
            Err(Raw::NOENT) => continue,
            other => other.call(Call::Open)?,
        };
        rustix::fs::flock(&lock, FlockOperation::LockShared).call(Call::Flock)?;
        match rustix::fs::mkdirat(CWD, group.path.as_str(), directory_mode()) {
            Err(Raw::NOENT) => continue,
            other => other.call(Call::Mkdir)?,
        }
        return Ok(lock);
    }
}

fn directory_mode() -> Mode {
    Mode::from_raw_mode(0o755)
}

fn open_directory(path: &AbsPath) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path.as_str(), flags, Mode::empty())
}

/// Writes one file of a group.
///
/// # Errors
/// Those of open(2) and write(2); EBUSY and EINVAL say what the kernel thinks of the limit.
pub fn write(directory: &AbsPath, write: &Write) -> Result<(), Errno> {
    put(directory, write).map_err(|fault| Errno::from_raw(fault.errno))
}

fn put(directory: &AbsPath, write: &Write) -> Result<(), Fault> {
    put_text(directory.as_str(), &write.file, &write.text)
}

fn put_text(directory: &str, file: &str, text: &str) -> Result<(), Fault> {
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened =
        rustix::fs::openat(CWD, format!("{directory}/{file}"), flags, Mode::empty()).call(Call::Open)?;
    rustix::io::write(&opened, text.as_bytes()).call(Call::Write).map(|_| ())
}

/// Moves this process with all its threads. 0 is whoever writes it, in every pid namespace.
fn enter(group: &AbsPath) -> Result<(), Fault> {
    put_text(group.as_str(), "cgroup.procs", "0")
}

/// Into the groups of a running jail.
pub fn join(groups: &[AbsPath]) -> Result<(), Fault> {
    for (index, group) in groups.iter().enumerate() {
        enter(group).map_err(|fault| Fault { detail: number(index), ..fault })?;
    }
    Ok(())
}

/// Removes a group whose last process has ended, and the directory of ours if it was the last.
///
/// # Errors
/// EBUSY: somebody is still in it.
pub fn remove(base: &AbsPath, path: &AbsPath) -> Result<(), Errno> {
    let (tries, pause) = PATIENCE;
    for _ in 0..tries {
        match remove_directory(path) {
            Err(Errno::EBUSY) => std::thread::sleep(pause),
            Ok(()) => {
                remove_empty(&base.join(OURS));
                return Ok(());
            }
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::EBUSY)
}

/// Undoes [`leave`]: no group of ours is left, so nobody needs the controllers that were enabled.
pub fn come_back(base: &AbsPath, leaf: &AbsPath, enabled: &[Write]) {
    if rustix::fs::accessat(
        CWD,
        base.join(OURS).as_str(),
        rustix::fs::Access::EXISTS,
        rustix::fs::AtFlags::empty(),
    )
    .is_ok()
    {
        return;
    }
    let mut disable = enabled.iter().filter(|write| write.file == "cgroup.subtree_control");
    let done = disable
        .try_for_each(|write| put_text(base.as_str(), &write.file, &write.text.replace('+', "-")))
        .and_then(|()| enter(base));
    match done {
        Ok(()) => remove_empty(leaf),
        // It stays until its unit ends, or is used by the next start.
        Err(fault) => log::debug!("{leaf} stays: errno {}", fault.errno),
    }
}

/// A group that is not there any more is what was wanted.
fn remove_directory(path: &AbsPath) -> Result<(), Errno> {
    match std::fs::remove_dir(path.as_str())
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
    {
        Err(Errno::ENOENT) => Ok(()),
        other => other,
    }
}

fn remove_empty(path: &AbsPath) {
    if let Err(errno) = remove_directory(path) {
        log::trace!("{path} stays: {errno}");
    }
}

/// Removes what killed jails have left below a base: empty groups of ours. A few are looked at, from
/// anywhere on: the positions of this file system are hashes of names.
pub fn sweep(base: &AbsPath) {
    let ours = base.join(OURS);
    let Ok(directory) = open_directory(&ours) else { return };
    // Whoever holds it is about to join a group that is still empty.
    if rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive).is_err() {
        return;
    }
    let anywhere = u64::from(std::process::id()).wrapping_mul(0x9e37_79b9) & 0x7fff_ffff;
    let mut left = MOST_SWEPT;
    for start in [anywhere, 0] {
        let Ok(again) = open_directory(&ours) else { return };
        if rustix::fs::seek(&again, SeekFrom::Start(start)).is_err() {
            continue;
        }
        let Ok(entries) = Dir::new(again) else { return };
        for entry in entries.flatten().filter(|entry| entry.file_type() == FileType::Directory) {
            let Some(name) = entry.file_name().to_str().ok().filter(|name| is_ours(name)) else { continue };
            if left == 0 {
                return;
            }
            left -= 1;
            // A group that is used cannot be removed.
            remove_empty(&ours.join(name));
        }
    }
    remove_empty(&ours);
}

/// `NAME-01234567`.
fn is_ours(name: &str) -> bool {
    let word = name.rsplit_once('-').map_or("", |(_, word)| word);
    word.len() == 8 && word.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::is_ours;

    #[test]
    fn only_names_of_ours_are_swept() {
        assert!(is_ours("web-1a2b3c4d") && is_ours("a-b-00000000"));
        assert!(!is_ours("web") && !is_ours("web-1a2b3c4") && !is_ours("web-1a2b3c4g") && !is_ours("."));
    }
}
