//! Walks a host path component by component, and says what is at the end and which links led there.
//!
//! Must not know: what is done with it. Nothing is followed by the kernel: every link is read, so
//! that it can be judged and mirrored.

use crate::jail::facts::{End, FileKind, Hop, PathFact, Stop};
use crate::jail::path::AbsPath;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// As many links as the kernel follows (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// Looks at a path. `caller` is trusted as root is: rootless, it is the jail's owner.
pub fn walk(path: &AbsPath, caller: u32) -> PathFact {
    // Mostly there is no link: one call.
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    if let Ok(fd) = rustix::fs::openat2(CWD, path.as_str(), flags, Mode::empty(), resolve)
        && let Ok(stat) = rustix::fs::fstat(&fd)
        && let Some(kind) = kind(&stat)
    {
        return PathFact { hops: Vec::new(), end: Ok(end(path.clone(), kind, &stat)) };
    }
    let mut hops = Vec::new();
    let end = slowly(path, caller, &mut hops);
    PathFact { hops, end }
}

fn kind(stat: &Stat) -> Option<FileKind> {
    Some(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => FileKind::Directory,
        FileType::RegularFile => FileKind::File,
        FileType::CharacterDevice => FileKind::Device,
        FileType::BlockDevice => FileKind::BlockDevice,
        FileType::Socket => FileKind::Socket,
        FileType::Fifo => FileKind::Fifo,
        _ => return None,
    })
}

fn end(path: AbsPath, kind: FileKind, stat: &Stat) -> End {
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    End { path, kind, size, mode: stat.st_mode & 0o7777, uid: stat.st_uid, gid: stat.st_gid }
}

fn slowly(path: &AbsPath, caller: u32, hops: &mut Vec<Hop>) -> Result<End, Stop> {
    let mut rest: Vec<String> = path.components().rev().map(str::to_owned).collect();
    let mut here = AbsPath::root();
    // The directories from `/` to `here`, so that `..` in a link goes where it really leads.
    let mut above: Vec<Directory> = vec![Directory::open(&here, None, "/", caller)?];
    while let Some(name) = rest.pop() {
        match name.as_str() {
            "" | "." => continue,
            ".." => {
                if above.len() > 1 {
                    above.pop();
                    here = here.parent().unwrap_or_else(AbsPath::root);
                }
                continue;
            }
            _ => {}
        }
        let next = here.join(&name);
        let stop = |errno: Errno| Stop { errno: errno.raw_os_error(), path: next.clone() };
        let parent = above.last().ok_or_else(|| stop(Errno::NOTDIR))?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&parent.fd, name.as_str(), flags, Mode::empty()).map_err(stop)?;
        let stat = rustix::fs::fstat(&fd).map_err(stop)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            if hops.len() >= MOST_LINKS {
                return Err(stop(Errno::LOOP));
            }
            let target = rustix::fs::readlinkat(&fd, "", Vec::new()).map_err(stop)?;
            let target = target.into_string().map_err(|_| stop(Errno::ILSEQ))?;
            let own = !trusted(&stat, caller, false);
            let untrusted = if own { Some(next.clone()) } else { parent.untrusted.clone() };
            if target.starts_with('/') {
                above.truncate(1);
                here = AbsPath::root();
            }
            rest.extend(target.split('/').rev().map(str::to_owned));
            hops.push(Hop { link: next, target, untrusted });
            continue;
        }
        if rest.iter().all(|r| r.is_empty() || r == ".") {
            let kind = kind(&stat).ok_or_else(|| stop(Errno::INVAL))?;
            return Ok(end(next, kind, &stat));
        }
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Err(stop(Errno::NOTDIR));
        }
        let untrusted = parent.untrusted.clone();
        let untrusted = untrusted.or_else(|| (!trusted(&stat, caller, true)).then(|| next.clone()));
        above.push(Directory { fd, untrusted });
        here = next;
    }
    let last = above.pop().ok_or(Stop { errno: Errno::NOTDIR.raw_os_error(), path: here.clone() })?;
    let stat =
        rustix::fs::fstat(&last.fd).map_err(|e| Stop { errno: e.raw_os_error(), path: here.clone() })?;
    Ok(end(here, FileKind::Directory, &stat))
}

struct Directory {
    fd: OwnedFd,
    /// The topmost directory up to here that others may write to.
    untrusted: Option<AbsPath>,
}

impl Directory {
    fn open(path: &AbsPath, above: Option<AbsPath>, name: &str, caller: u32) -> Result<Directory, Stop> {
        let stop = |errno: Errno| Stop { errno: errno.raw_os_error(), path: path.clone() };
        let fd =
            rustix::fs::openat(CWD, name, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                .map_err(stop)?;
        let stat = rustix::fs::fstat(&fd).map_err(stop)?;
        let untrusted = above.or_else(|| (!trusted(&stat, caller, true)).then(|| path.clone()));
        Ok(Directory { fd, untrusted })
    }
}

/// Owned by root or the caller, and (a directory; links have no mode) writable by nobody else. The
/// sticky bit does not help: it forbids to remove, not to make.
fn trusted(stat: &Stat, caller: u32, directory: bool) -> bool {
    let owner = stat.st_uid == 0 || stat.st_uid == caller;
    let group = stat.st_mode & 0o020 == 0 || stat.st_gid == 0;
    owner && (!directory || (group && stat.st_mode & 0o002 == 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let place = Place(tempfile::tempdir().unwrap());
            fs::set_permissions(place.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
            place
        }

        fn path(&self, below: &str) -> AbsPath {
            let top = fs::canonicalize(self.0.path()).unwrap();
            AbsPath::new(&format!("{}/{below}", top.display())).unwrap()
        }

        fn walk(&self, below: &str) -> PathFact {
            walk(&self.path(below), rustix::process::geteuid().as_raw())
        }
    }

    #[test]
    fn a_chain_of_links_is_recorded_hop_by_hop() {
        let p = Place::new();
        fs::create_dir_all(p.path("a/b").as_str()).unwrap();
        fs::write(p.path("a/b/file").as_str(), "12345").unwrap();
        symlink("a/b", p.path("first").as_str()).unwrap();
        symlink("../b/../b/file", p.path("a/b/second").as_str()).unwrap();
        let fact = p.walk("first/second");
        let links: Vec<_> = fact.hops.iter().map(|h| (h.link.clone(), h.target.as_str())).collect();
        assert_eq!(links, [(p.path("first"), "a/b"), (p.path("a/b/second"), "../b/../b/file")]);
        let end = fact.end.unwrap();
        assert_eq!((end.path, end.kind, end.size), (p.path("a/b/file"), FileKind::File, 5));
    }

    #[test]
    fn the_obstacle_is_named() {
        let p = Place::new();
        symlink("gone/deeper", p.path("dangling").as_str()).unwrap();
        symlink("loop", p.path("loop").as_str()).unwrap();
        fs::write(p.path("file").as_str(), "").unwrap();
        let stop = |below| p.walk(below).end.unwrap_err();
        assert_eq!(stop("none/x"), Stop { errno: libc::ENOENT, path: p.path("none") });
        assert_eq!(stop("dangling"), Stop { errno: libc::ENOENT, path: p.path("gone") });
        assert_eq!(stop("loop"), Stop { errno: libc::ELOOP, path: p.path("loop") });
        assert_eq!(stop("file/x"), Stop { errno: libc::ENOTDIR, path: p.path("file") });
    }

    #[test]
    fn links_in_directories_of_others_are_not_trusted() {
        let p = Place::new();
        fs::create_dir(p.path("open").as_str()).unwrap();
        symlink("/etc", p.path("open/link").as_str()).unwrap();
        let trusted_above = p.walk("open/link").hops[0].untrusted.clone();
        fs::set_permissions(p.path("open").as_str(), fs::Permissions::from_mode(0o1777)).unwrap();
        let untrusted = p.walk("open/link").hops[0].untrusted.clone();
        assert!(untrusted.is_some());
        // The temporary directory itself may be below a world-writable /tmp, which comes first.
        assert!(trusted_above.is_none() || trusted_above == untrusted);
    }

    #[test]
    fn directories_and_the_root_itself() {
        assert_eq!(walk(&AbsPath::root(), 0).end.unwrap().kind, FileKind::Directory);
        let p = Place::new();
        symlink("/", p.path("top").as_str()).unwrap();
        assert_eq!(p.walk("top").end.unwrap().path, AbsPath::root());
    }
}
