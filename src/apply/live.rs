//! Copies that are replaced while the program runs, beneath a descriptor of a memory file system.
//!
//! Must not know: when, or why. The program may own parts of the file system (a `tmpfs` of its own,
//! never the root): no link is followed, no mount crossed, nothing waited for, and what goes wrong
//! is only told.

use super::files::{open_source, own};
use super::mounts::{file_type, join_flags};
use super::{Call, Fault, Named};
use crate::jail::Ids;
use crate::jail::path::AbsPath;
use crate::plan::Joined;
use crate::plan::build::COPY_LIMIT;
use nix::errno::Errno;
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::mount::OpenTreeFlags;
use std::hash::{DefaultHasher, Hasher};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What a copy is known to be: enough to tell whether another would be the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Copied {
    /// Of its content.
    pub hash: u64,
    /// Permission bits.
    pub mode: u32,
    /// Owner, as the host sees it.
    pub owner: Ids,
}

/// Made beside what it will replace, in the same directory.
const TEMPORARY: &str = ".jail-live";

/// Bytes read at a time.
const PIECE: usize = 4096;

/// A file of the host, open for reading.
pub struct Source {
    file: OwnedFd,
    /// Permission bits, without set-id bits.
    pub mode: u32,
    /// Owner.
    pub owner: Ids,
}

/// Opens a regular file, through no link.
///
/// # Errors
/// Those of openat2(2); 0 if it is no regular file.
pub fn open(path: &AbsPath) -> Result<Source, Errno> {
    let read = || {
        let file = open_source(path)?;
        let stat = rustix::fs::fstat(&file).call(Call::Fstat)?;
        let owner = Ids { uid: stat.st_uid, gid: stat.st_gid };
        Ok(Source { file, mode: stat.st_mode & 0o777, owner })
    };
    read().map_err(errno)
}

fn errno(fault: Fault) -> Errno {
    Errno::from_raw(fault.errno)
}

/// The hash of what copies are compared by.
pub fn hash(content: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    // In the pieces that a file is read in: how it is cut may matter.
    content.chunks(PIECE).for_each(|piece| hasher.write(piece));
    hasher.finish()
}

impl Source {
    /// Reads it from its beginning, piece by piece; the hash of all.
    ///
    /// # Errors
    /// Those of pread(2) and of `each`; EFBIG above the limit of a copy.
    fn read(&self, mut each: impl FnMut(&[u8]) -> Result<(), Fault>) -> Result<u64, Fault> {
        let mut hasher = DefaultHasher::new();
        let mut buffer = [0u8; PIECE];
        let mut offset = 0;
        loop {
            let n = rustix::io::pread(&self.file, &mut buffer, offset).call(Call::Read)?;
            let piece = buffer.get(..n).unwrap_or(&[]);
            if piece.is_empty() {
                return Ok(hasher.finish());
            }
            offset += n as u64;
            if offset > COPY_LIMIT as u64 {
                return Err(Fault::new(Call::Read, Errno::EFBIG));
            }
            hasher.write(piece);
            each(piece)?;
        }
    }

    /// The hash of its content.
    ///
    /// # Errors
    /// Those of pread(2); EFBIG above the limit of a copy.
    pub fn hash(&self) -> Result<u64, Errno> {
        self.read(|_| Ok(())).map_err(errno)
    }
}

/// Puts a copy at a place, in one step for whoever reads it. False: the file changed meanwhile, and
/// nothing was done.
///
/// # Errors
/// Those of the calls: ENOSPC when the file system is full, EACCES where the program has taken the
/// directory for itself.
pub fn replace(
    root: BorrowedFd<'_>,
    place: &AbsPath,
    source: &Source,
    wanted: Copied,
) -> Result<bool, Errno> {
    let put = || {
        let parent = parents(root, place)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        unlink(&parent, TEMPORARY)?;
        let file = rustix::fs::openat(&parent, TEMPORARY, flags, Mode::RUSR | Mode::WUSR).call(Call::Open)?;
        let filled = fill(&file, source).and_then(|hash| {
            if hash != wanted.hash {
                return Ok(false);
            }
            // The mode first: who has given a file away may not change it.
            rustix::fs::fchmod(&file, Mode::from_raw_mode(wanted.mode)).call(Call::Chmod)?;
            give(&file, wanted.owner)?;
            exchange(&parent, place.name()).map(|()| true)
        });
        if !matches!(filled, Ok(true)) {
            unlink(&parent, TEMPORARY)?;
        }
        filled
    };
    put().map_err(errno)
}

/// By the descriptor: the name may be another file's by now.
fn give(file: &OwnedFd, owner: Ids) -> Result<(), Fault> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    if (owner.uid, owner.gid) == (uid, gid) {
        return Ok(());
    }
    rustix::fs::fchown(file, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid))).call(Call::Chown)
}

fn fill(file: &OwnedFd, source: &Source) -> Result<u64, Fault> {
    source.read(|mut piece| {
        while !piece.is_empty() {
            let written = rustix::io::write(file, piece).call(Call::Write)?;
            piece = piece.get(written..).unwrap_or(&[]);
        }
        Ok(())
    })
}

/// Puts a symbolic link at a place, in one step.
///
/// # Errors
/// As of [`replace`].
pub fn replace_link(root: BorrowedFd<'_>, place: &AbsPath, target: &str, owner: Ids) -> Result<(), Errno> {
    let put = || {
        let parent = parents(root, place)?;
        unlink(&parent, TEMPORARY)?;
        rustix::fs::symlinkat(target, &parent, TEMPORARY).call(Call::Symlink)?;
        let moved = own(parent.as_fd(), TEMPORARY, owner).and_then(|()| exchange(&parent, place.name()));
        if moved.is_err() {
            unlink(&parent, TEMPORARY)?;
        }
        moved
    };
    put().map_err(errno)
}

/// Takes a copy or link away; it is none if it is not there.
///
/// # Errors
/// As of [`replace`].
pub fn remove(root: BorrowedFd<'_>, place: &AbsPath) -> Result<(), Errno> {
    match directory(root, &above(place)) {
        Err(fault) if [Errno::ENOENT as i32, Errno::ENOTDIR as i32].contains(&fault.errno) => Ok(()),
        opened => opened.and_then(|parent| unlink(&parent, place.name())).map_err(errno),
    }
}

/// Writable descriptors of memory file systems of a running jail, by a process of it. The caller is in
/// its mount namespace afterwards.
///
/// # Errors
/// Those of setns(2), open_tree(2) and mount_setattr(2).
pub fn reach(target: &OwnedFd, namespaces: Joined, mounts: &[AbsPath]) -> Result<Vec<OwnedFd>, Errno> {
    // Only what is needed: the right to mounts, and them.
    let needed = Joined { pid: false, others: None, ..namespaces };
    nix::sched::setns(target, join_flags(needed))?;
    mounts.iter().map(|place| writable(place).map_err(errno)).collect()
}

/// A second mount of a jail's memory file system that can be written to, attached nowhere.
fn writable(place: &AbsPath) -> Result<OwnedFd, Fault> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let opened =
        rustix::fs::openat2(CWD, place.as_str(), flags, Mode::empty(), resolve).call(Call::Openat2)?;
    let clone =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = rustix::mount::open_tree(&opened, "", clone).call(Call::OpenTree)?;
    crate::sys::mount::set_attributes(tree.as_fd(), 0, libc::MOUNT_ATTR_RDONLY, false)
        .call(Call::MountSetattr)?;
    Ok(tree)
}

/// What is at a place now: a copy, or nothing that is one.
///
/// # Errors
/// Those of openat2(2) and read(2).
pub fn copied(root: BorrowedFd<'_>, place: &AbsPath) -> Result<Option<Copied>, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match rustix::fs::openat2(root, place.relative(), flags, Mode::empty(), BENEATH) {
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => {
            return Ok(None);
        }
        opened => opened.call(Call::Openat2).map_err(errno)?,
    };
    let read = || {
        if file_type(file.as_fd())? != FileType::RegularFile {
            return Ok(None);
        }
        let stat = rustix::fs::fstat(&file).call(Call::Fstat)?;
        let owner = Ids { uid: stat.st_uid, gid: stat.st_gid };
        let (mode, source) = (stat.st_mode & 0o7777, Source { file, mode: 0, owner });
        Ok(Some(Copied { hash: source.read(|_| Ok(()))?, mode, owner }))
    };
    read().map_err(errno)
}

/// The text of the link at a place, if it is one.
pub fn link(root: BorrowedFd<'_>, place: &AbsPath) -> Option<String> {
    let parent = directory(root, &above(place)).ok()?;
    rustix::fs::readlinkat(&parent, place.name(), Vec::new()).ok()?.into_string().ok()
}

const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

fn above(place: &AbsPath) -> AbsPath {
    place.parent().unwrap_or_else(AbsPath::root)
}

fn directory(root: BorrowedFd<'_>, path: &AbsPath) -> Result<OwnedFd, Fault> {
    let relative = if *path == AbsPath::root() { "." } else { path.relative() };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat2(root, relative, flags, Mode::empty(), BENEATH).call(Call::Openat2)
}

/// The directory that a place is in, made if it is missing, with the owner of the one above it.
fn parents(root: BorrowedFd<'_>, place: &AbsPath) -> Result<OwnedFd, Fault> {
    let path = above(place);
    match directory(root, &path) {
        Err(fault) if fault.errno == Errno::ENOENT as i32 => {}
        opened => return opened,
    }
    let up = parents(root, &path)?;
    rustix::fs::mkdirat(&up, path.name(), Mode::from_raw_mode(0o755)).call(Call::Mkdir)?;
    let stat = rustix::fs::fstat(&up).call(Call::Fstat)?;
    own(up.as_fd(), path.name(), Ids { uid: stat.st_uid, gid: stat.st_gid })?;
    directory(root, &path)
}

/// Renames the temporary file over a name. An empty directory, of which all has gone, makes way.
fn exchange(parent: &OwnedFd, name: &str) -> Result<(), Fault> {
    let rename = || rustix::fs::renameat(parent, TEMPORARY, parent, name);
    match rename() {
        Err(rustix::io::Errno::ISDIR) => {
            rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR).call(Call::Unlink)?;
            rename().call(Call::Unlink)
        }
        done => done.call(Call::Unlink),
    }
}

fn unlink(parent: &OwnedFd, name: &str) -> Result<(), Fault> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Err(rustix::io::Errno::NOENT) => Ok(()),
        done => done.call(Call::Unlink),
    }
}
