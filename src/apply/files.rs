//! Files, directories and links of the skeleton, and host directories that a spec wants made.
//!
//! Must not know: what they are for. Everything inside is made beneath the new root's descriptor.

use super::live::Copied;
use super::mounts::parent;
use super::{Call, Fault, Named, State};
use crate::jail::Ids;
use crate::jail::path::AbsPath;
use crate::plan::build::COPY_LIMIT;
use nix::errno::Errno;
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Uid};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Makes a directory; one that is there already (the root itself, a parent made before) is kept.
pub fn directory(state: &mut State, path: &AbsPath, mode: u32) -> Result<(), Fault> {
    if path.name().is_empty() {
        return Ok(());
    }
    let owner = state.outside(Ids { uid: 0, gid: 0 });
    let mapped = state.users.is_some();
    let parent = parent(state, path)?;
    match rustix::fs::mkdirat(parent, path.name(), Mode::from_raw_mode(mode)) {
        Err(rustix::io::Errno::EXIST) => return Ok(()),
        other => other.call(Call::Mkdir)?,
    }
    if mapped { own(parent, path.name(), owner) } else { Ok(()) }
}

pub fn link(state: &mut State, path: &AbsPath, target: &str) -> Result<(), Fault> {
    let owner = state.users.is_some().then(|| state.outside(Ids { uid: 0, gid: 0 }));
    let parent = parent(state, path)?;
    rustix::fs::symlinkat(target, parent, path.name()).call(Call::Symlink)?;
    owner.map_or(Ok(()), |owner| own(parent, path.name(), owner))
}

/// An empty file to mount on.
pub fn empty_file(state: &mut State, path: &AbsPath) -> Result<(), Fault> {
    let parent = parent(state, path)?;
    rustix::fs::mknodat(parent, path.name(), FileType::RegularFile, Mode::from_raw_mode(0o444), 0)
        .call(Call::Mknod)
}

/// Changes the owner unless it is already the one that makes everything.
pub fn own(directory: BorrowedFd<'_>, name: &str, owner: Ids) -> Result<(), Fault> {
    if owner.uid == rustix::process::geteuid().as_raw() && owner.gid == rustix::process::getegid().as_raw() {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
    rustix::fs::chownat(directory, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).call(Call::Chown)
}

pub fn text(state: &mut State, path: &AbsPath, content: &str, mode: u32, owner: Ids) -> Result<(), Fault> {
    write_file(state, path, content.as_bytes(), mode, owner)
}

fn write_file(state: &mut State, path: &AbsPath, content: &[u8], mode: u32, owner: Ids) -> Result<(), Fault> {
    let owner = state.outside(owner);
    let parent = parent(state, path)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(parent, path.name(), flags, Mode::from_raw_mode(mode)).call(Call::Open)?;
    let mut rest = content;
    while !rest.is_empty() {
        let written = rustix::io::write(&file, rest).call(Call::Write)?;
        rest = rest.get(written..).unwrap_or(&[]);
    }
    own(parent, path.name(), owner)
}

/// Opens a regular file whose content will be copied. O_NONBLOCK: a fifo put in its place must not
/// make the start hang; the type is checked on the descriptor.
pub fn open_source(source: &AbsPath) -> Result<OwnedFd, Fault> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let file =
        rustix::fs::openat2(CWD, source.as_str(), flags, Mode::empty(), resolve).call(Call::Openat2)?;
    if super::mounts::file_type(file.as_fd())? != FileType::RegularFile {
        return Err(Fault::difference(0));
    }
    Ok(file)
}

pub fn copy(
    state: &mut State,
    slot: usize,
    path: &AbsPath,
    mode: Option<u32>,
    owner: Option<Ids>,
) -> Result<(), Fault> {
    let source = state.slot(slot)?;
    let stat = rustix::fs::fstat(source).call(Call::Fstat)?;
    let mut content = Vec::with_capacity(usize::try_from(stat.st_size).unwrap_or(0).min(COPY_LIMIT) + 1);
    let mut buffer = [0u8; 4096];
    loop {
        let n = rustix::io::read(source, &mut buffer).call(Call::Read)?;
        if n == 0 {
            break;
        }
        content.extend_from_slice(buffer.get(..n).unwrap_or(&[]));
        // It may have grown since it was measured.
        if content.len() > COPY_LIMIT {
            return Err(Fault::new(Call::Read, Errno::EFBIG));
        }
    }
    // Set-id bits mean nothing on a copy, and must not on a nosuid mount either.
    let mode = mode.unwrap_or(stat.st_mode & 0o777);
    let owner = owner.unwrap_or(Ids { uid: stat.st_uid, gid: stat.st_gid });
    write_file(state, path, &content, mode, owner)?;
    let copied = Copied { hash: super::live::hash(&content), mode, owner: state.outside(owner) };
    state.copied.push((path.clone(), copied));
    state.slots[slot] = None;
    Ok(())
}

/// Makes a directory on the host for a `write` entry with `create`. Says whether it was made now.
pub fn create_on_host(path: &AbsPath, mode: u32, owner: Ids) -> Result<bool, Fault> {
    let parent = host_parent(path)?;
    // Made closed, opened to its owner after: never writable to anybody else in between.
    match rustix::fs::mkdirat(&parent, path.name(), Mode::RWXU) {
        Err(rustix::io::Errno::EXIST) => return Ok(false),
        other => other.call(Call::Mkdir)?,
    }
    let opened = hand_over(&parent, path.name(), mode, owner);
    if opened.is_err() {
        // Not told to anybody yet: it is undone here.
        rustix::fs::unlinkat(&parent, path.name(), AtFlags::REMOVEDIR).call(Call::Mkdir)?;
    }
    opened.map(|()| true)
}

/// On a descriptor: whoever may write to the parent may have put a link to any file of the host
/// in the new directory's place by now, or another directory of root's that has something in it.
fn hand_over(parent: &OwnedFd, name: &str, mode: u32, owner: Ids) -> Result<(), Fault> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = rustix::fs::openat(parent, name, flags, Mode::empty()).call(Call::Open)?;
    let stat = rustix::fs::fstat(&made).call(Call::Fstat)?;
    let ours = stat.st_uid == rustix::process::geteuid().as_raw() && stat.st_mode & 0o077 == 0;
    if !ours || !is_empty(&made)? {
        return Err(Fault::difference(0));
    }
    rustix::fs::fchown(&made, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))
        .call(Call::Chown)?;
    rustix::fs::fchmod(&made, Mode::from_raw_mode(mode)).call(Call::Chmod)
}

fn is_empty(directory: &OwnedFd) -> Result<bool, Fault> {
    for entry in rustix::fs::Dir::read_from(directory).call(Call::Read)? {
        if ![c".", c".."].contains(&entry.call(Call::Read)?.file_name()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes what [`create_on_host`] made, if it is empty; through no link that was put on the way.
pub fn remove_on_host(path: &AbsPath) -> Result<(), Fault> {
    rustix::fs::unlinkat(host_parent(path)?, path.name(), AtFlags::REMOVEDIR).call(Call::Mkdir)
}

fn host_parent(path: &AbsPath) -> Result<OwnedFd, Fault> {
    let parent = path.parent().unwrap_or_else(AbsPath::root);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(CWD, parent.as_str(), flags, Mode::empty(), resolve).call(Call::Openat2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    /// What the owner of the parent could exchange for a directory that was just made.
    #[test]
    fn only_an_empty_closed_directory_of_ones_own_is_handed_over() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        for (name, mode) in [("made", 0o700), ("open", 0o755), ("full", 0o700), ("target", 0o700)] {
            std::fs::create_dir(at(name)).unwrap();
            std::fs::set_permissions(at(name), PermissionsExt::from_mode(mode)).unwrap();
        }
        std::fs::write(at("full/key"), "").unwrap();
        std::fs::write(at("file"), "").unwrap();
        symlink("target", at("link")).unwrap();
        let parent = OwnedFd::from(std::fs::File::open(place.path()).unwrap());
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let mode = |name: &str| at(name).symlink_metadata().unwrap().mode() & 0o7777;
        for name in ["open", "full", "link", "file", "missing"] {
            assert!(hand_over(&parent, name, 0o711, Ids { uid, gid }).is_err(), "{name}");
        }
        assert_eq!((mode("open"), mode("full"), mode("target")), (0o755, 0o700, 0o700));
        assert_eq!(hand_over(&parent, "made", 0o711, Ids { uid, gid }), Ok(()));
        assert_eq!(mode("made"), 0o711);
    }
}
