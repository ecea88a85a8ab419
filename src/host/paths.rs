//! Walks a host path component by component, and says what is at the end and which links led there.
//!
//! Must not know: what is done with it. Nothing is followed by the kernel: every link is read, so
//! that it can be judged and mirrored.

use crate::jail::facts::{End, FileKind, Hop, PathFact, Stop};
use crate::jail::path::AbsPath;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::os::fd::{AsRawFd, OwnedFd};

/// As many links as the kernel follows (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// Looks at a path. `caller` is trusted as root is: rootless, it is the jail's owner.
pub fn walk(path: &AbsPath, caller: u32) -> PathFact {
    // Mostly it is a directory, and there is no link: one call.
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    if let Ok(fd) = rustix::fs::openat2(CWD, path.as_str(), flags, Mode::empty(), resolve)
        && let Ok(stat) = rustix::fs::fstat(&fd)
        && let Some(kind) = kind(&stat)
        // Of a file it matters who may read it, and who could have put it there.
        && kind != FileKind::File
    {
        return PathFact { hops: Vec::new(), end: Ok(end(path.clone(), kind, &stat)) };
    }
    let mut hops = Vec::new();
    let end = Directory::top("/", caller).and_then(|top| slowly(top, path, caller, &mut hops));
    PathFact { hops, end }
}

/// Looks at a path in the directory `root`, which has no link in it, as if that were `/`: neither an
/// absolute link nor `..` leads out of it.
pub fn walk_in(root: &AbsPath, path: &AbsPath, caller: u32) -> PathFact {
    let mut hops = Vec::new();
    let end = Directory::top(root.as_str(), caller).and_then(|top| slowly(top, path, caller, &mut hops));
    // Who made its links does not matter: they choose among the directory's own files.
    hops.iter_mut().for_each(|hop| hop.untrusted = None);
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
    let (mode, uid, gid) = (stat.st_mode & 0o7777, stat.st_uid, stat.st_gid);
    End { path, kind, size, mode, uid, gid, untrusted: None, guarded: false }
}

/// A file that not everybody may read: it matters who could have put it there.
fn is_secret(kind: FileKind, stat: &Stat) -> bool {
    kind == FileKind::File && stat.st_mode & 0o004 == 0
}

fn slowly(top: Directory, path: &AbsPath, caller: u32, hops: &mut Vec<Hop>) -> Result<End, Stop> {
    let mut rest: Vec<String> = path.components().rev().map(str::to_owned).collect();
    let mut here = AbsPath::root();
    // The directories from `/` to `here`, so that `..` in a link goes where it really leads.
    let mut above: Vec<Directory> = vec![top];
    let mut guarded = false;
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
            let own = stat.st_uid == 0 || stat.st_uid == caller;
            let untrusted = if !own { Some(next.clone()) } else { parent.untrusted.clone() };
            if target.starts_with('/') {
                above.truncate(1);
                here = AbsPath::root();
            }
            rest.extend(target.split('/').rev().map(str::to_owned));
            hops.push(Hop { link: next, target, untrusted });
            continue;
        }
        // What a link's text leaves behind ("file/", "file/.") asks for a directory.
        if rest.is_empty() {
            let kind = kind(&stat).ok_or_else(|| stop(Errno::INVAL))?;
            // Also a hard link to a file of root's: the sticky bit does not help.
            let untrusted = parent.planted.clone().or_else(|| parent.open.then(|| here.clone()));
            let untrusted = untrusted.filter(|_| is_secret(kind, &stat));
            let guarded = guarded || !may_read(&fd, &stat, caller);
            return Ok(End { untrusted, guarded, ..end(next, kind, &stat) });
        }
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Err(stop(Errno::NOTDIR));
        }
        guarded |= !may_read(&fd, &stat, caller);
        let directory = parent.enter(fd, &stat, &next, caller);
        above.push(directory);
        here = next;
    }
    let last = above.pop().ok_or(Stop { errno: Errno::NOTDIR.raw_os_error(), path: here.clone() })?;
    let stat =
        rustix::fs::fstat(&last.fd).map_err(|e| Stop { errno: e.raw_os_error(), path: here.clone() })?;
    Ok(End { guarded, ..end(here, FileKind::Directory, &stat) })
}

/// The topmost directory on the way to `path` (links included, and itself) in which others than root
/// and `caller` can make or exchange something; `None`: there is none.
///
/// # Errors
/// What stopped the walk; ENOTDIR for what is no directory.
pub fn open_to_others(path: &AbsPath, caller: u32) -> Result<Option<AbsPath>, Stop> {
    let mut hops = Vec::new();
    let end = slowly(Directory::top("/", caller)?, path, caller, &mut hops)?;
    if end.kind != FileKind::Directory {
        return Err(Stop { errno: Errno::NOTDIR.raw_os_error(), path: end.path });
    }
    if let Some(open) = hops.into_iter().find_map(|hop| hop.untrusted) {
        return Ok(Some(open));
    }
    let mut here = Directory::top("/", caller)?;
    let mut walked = AbsPath::root();
    for name in end.path.components() {
        walked = walked.join(name);
        let stop = |errno: Errno| Stop { errno: errno.raw_os_error(), path: walked.clone() };
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&here.fd, name, flags, Mode::empty()).map_err(stop)?;
        let stat = rustix::fs::fstat(&fd).map_err(stop)?;
        here = here.enter(fd, &stat, &walked, caller);
    }
    Ok(here.untrusted)
}

/// Whether `caller` may read a file, or list and search a directory, without any capability. (An
/// access list can only be asked whether it is there; it is then taken to forbid.)
fn may_read(fd: &OwnedFd, stat: &Stat, caller: u32) -> bool {
    let wanted = if FileType::from_raw_mode(stat.st_mode) == FileType::Directory { 0o5 } else { 0o4 };
    if stat.st_uid == caller {
        return stat.st_mode >> 6 & wanted == wanted;
    }
    let others = stat.st_mode & wanted == wanted;
    let group = stat.st_mode >> 3 & wanted == wanted;
    match (others, group) {
        (true, true) => true,
        (false, false) => false,
        _ if has_acl(fd) => false,
        _ if stat.st_gid == rustix::process::getegid().as_raw() => group,
        _ => others,
    }
}

struct Directory {
    fd: OwnedFd,
    /// The topmost directory up to here that others may write to.
    untrusted: Option<AbsPath>,
    /// Others may write to it.
    open: bool,
    /// Its entries can be moved only by their owners.
    sticky: bool,
    /// A directory in which others could have put another one in the place of this, or of one above.
    planted: Option<AbsPath>,
}

impl Directory {
    fn top(path: &str, caller: u32) -> Result<Directory, Stop> {
        let stop = |errno: Errno| Stop { errno: errno.raw_os_error(), path: AbsPath::root() };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let opened = match path {
            // Where openat2(2) is missing or filtered, the start says so by its name.
            "/" => rustix::fs::openat(CWD, path, flags, Mode::empty()),
            _ => rustix::fs::openat2(CWD, path, flags, Mode::empty(), resolve),
        };
        let fd = opened.map_err(stop)?;
        let stat = rustix::fs::fstat(&fd).map_err(stop)?;
        let open = !trusted(&fd, &stat, caller);
        let untrusted = open.then(AbsPath::root);
        Ok(Directory { fd, untrusted, open, sticky: stat.st_mode & 0o1000 != 0, planted: None })
    }

    /// The directory `path` in it, which is open on `fd`.
    fn enter(&self, fd: OwnedFd, stat: &Stat, path: &AbsPath, caller: u32) -> Directory {
        let open = !trusted(&fd, stat, caller);
        let untrusted = self.untrusted.clone().or_else(|| open.then(|| path.clone()));
        let kept = self.sticky && (stat.st_uid == 0 || stat.st_uid == caller);
        let planted = self.planted.clone().or_else(|| path.parent().filter(|_| self.open && !kept));
        Directory { fd, untrusted, open, sticky: stat.st_mode & 0o1000 != 0, planted }
    }
}

/// A directory owned by root or the caller and writable by nobody else. The sticky bit does not
/// help: it forbids to remove, not to make.
fn trusted(fd: &OwnedFd, stat: &Stat, caller: u32) -> bool {
    let owner = stat.st_uid == 0 || stat.st_uid == caller;
    let group = stat.st_mode & 0o020 == 0 || (stat.st_gid == 0 && !has_acl(fd));
    owner && group && stat.st_mode & 0o002 == 0
}

/// Whether the group bits are the mask of an access list (acl(5)): then they speak of any user it
/// names, and a group of 0 says nothing. What cannot be told counts as a list.
pub fn has_acl(fd: &impl AsRawFd) -> bool {
    // An O_PATH descriptor refuses fgetxattr(2), but can be named.
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let size = rustix::fs::getxattr(path, "system.posix_acl_access", &mut [0_u8; 0]);
    !matches!(size, Err(Errno::NODATA | Errno::OPNOTSUPP))
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
    fn a_directory_is_judged_with_all_above_it() {
        let p = Place::new();
        let own = rustix::process::geteuid().as_raw();
        fs::create_dir_all(p.path("open/below").as_str()).unwrap();
        fs::write(p.path("file").as_str(), "").unwrap();
        let judged = |below: &str| open_to_others(&p.path(below), own);
        let above = judged("open").unwrap();
        fs::set_permissions(p.path("open").as_str(), fs::Permissions::from_mode(0o1777)).unwrap();
        // The temporary directory itself may be below a world-writable /tmp, which comes first.
        let expected = above.or(Some(p.path("open")));
        assert_eq!(judged("open/below").unwrap(), expected);
        symlink("open/below", p.path("link").as_str()).unwrap();
        assert_eq!(judged("link").unwrap(), expected);
        assert_eq!(judged("file").unwrap_err().errno, libc::ENOTDIR);
        assert_eq!(judged("none").unwrap_err(), Stop { errno: libc::ENOENT, path: p.path("none") });
        assert_eq!(open_to_others(&AbsPath::new("/proc").unwrap(), 0), Ok(None));
    }

    #[test]
    fn a_secret_file_that_others_could_have_put_there_is_found_out() {
        let p = Place::new();
        for below in ["safe/dir", "open", "sticky/own"] {
            fs::create_dir_all(p.path(below).as_str()).unwrap();
        }
        for (below, mode) in [("open", 0o777), ("sticky", 0o1777)] {
            fs::set_permissions(p.path(below).as_str(), fs::Permissions::from_mode(mode)).unwrap();
        }
        let untrusted = |below: &str, mode| {
            let path = p.path(below);
            fs::write(path.as_str(), "x").unwrap();
            fs::set_permissions(path.as_str(), fs::Permissions::from_mode(mode)).unwrap();
            p.walk(below).end.unwrap().untrusted
        };
        assert_eq!(untrusted("safe/dir/key", 0o600), None);
        assert_eq!(untrusted("sticky/own/key", 0o600), None, "root's directory stays where it is");
        assert_eq!(untrusted("sticky/key", 0o600), Some(p.path("sticky")), "it may be a hard link");
        assert_eq!(untrusted("open/key", 0o640), Some(p.path("open")));
        assert_eq!(untrusted("open/public", 0o644), None, "everybody may read it anyway");
        fs::create_dir(p.path("open/moved").as_str()).unwrap();
        assert_eq!(untrusted("open/moved/key", 0o600), Some(p.path("open")));
    }

    #[test]
    fn as_many_links_as_the_kernel_follows() {
        let p = Place::new();
        fs::write(p.path("0").as_str(), "").unwrap();
        for n in 0..41 {
            symlink(n.to_string(), p.path(&(n + 1).to_string()).as_str()).unwrap();
        }
        assert!(p.walk("40").end.is_ok() && fs::metadata(p.path("40").as_str()).is_ok());
        assert_eq!(p.walk("41").end.unwrap_err().errno, libc::ELOOP);
        assert!(fs::metadata(p.path("41").as_str()).is_err());
    }

    #[test]
    fn a_link_that_asks_for_a_directory_gets_no_file() {
        let p = Place::new();
        fs::write(p.path("file").as_str(), "").unwrap();
        fs::create_dir(p.path("dir").as_str()).unwrap();
        for (link, target) in [("slash", "file/"), ("dot", "file/."), ("up", "file/../dir")] {
            symlink(target, p.path(link).as_str()).unwrap();
            let stop = Stop { errno: libc::ENOTDIR, path: p.path("file") };
            assert_eq!(p.walk(link).end, Err(stop), "{target}");
        }
        symlink("dir/", p.path("good").as_str()).unwrap();
        assert_eq!(p.walk("good").end.unwrap().path, p.path("dir"));
    }

    #[test]
    fn a_link_whose_text_is_not_utf8_stops_the_walk() {
        use std::os::unix::ffi::OsStrExt;
        let p = Place::new();
        symlink(std::ffi::OsStr::from_bytes(b"\xff"), p.path("bytes").as_str()).unwrap();
        assert_eq!(p.walk("bytes").end, Err(Stop { errno: libc::EILSEQ, path: p.path("bytes") }));
    }

    #[test]
    fn kinds() {
        let p = Place::new();
        let _listener = std::os::unix::net::UnixListener::bind(p.path("socket").as_str()).unwrap();
        nix::unistd::mkfifo(p.path("fifo").as_str(), nix::sys::stat::Mode::S_IRUSR).unwrap();
        let kind = |fact: PathFact| fact.end.unwrap().kind;
        assert_eq!(kind(p.walk("socket")), FileKind::Socket);
        assert_eq!(kind(p.walk("fifo")), FileKind::Fifo);
        assert_eq!(kind(walk(&AbsPath::new("/dev/null").unwrap(), 0)), FileKind::Device);
    }

    #[test]
    fn an_access_list_undoes_the_trust_in_group_root() {
        let p = Place::new();
        let path = p.path("shared");
        fs::create_dir(path.as_str()).unwrap();
        fs::set_permissions(path.as_str(), fs::Permissions::from_mode(0o775)).unwrap();
        let judged = || {
            let fd =
                rustix::fs::open(path.as_str(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
            let stat = rustix::fs::fstat(&fd).unwrap();
            (trusted(&fd, &stat, stat.st_uid), stat.st_gid)
        };
        let (before, gid) = judged();
        assert_eq!(before, gid == 0);
        // Version 2, then (tag, permissions, id): owner, user 12345 rwx, group, mask, others.
        let entries: [(u16, u16, u32); 5] =
            [(1, 7, u32::MAX), (2, 7, 12345), (4, 5, u32::MAX), (16, 7, u32::MAX), (32, 5, u32::MAX)];
        let mut list = 2_u32.to_le_bytes().to_vec();
        for (tag, permissions, id) in entries {
            list.extend(
                tag.to_le_bytes().into_iter().chain(permissions.to_le_bytes()).chain(id.to_le_bytes()),
            );
        }
        let name = "system.posix_acl_access";
        rustix::fs::setxattr(path.as_str(), name, &list, rustix::fs::XattrFlags::empty()).unwrap();
        assert!(!judged().0);
    }

    #[test]
    fn no_link_leads_out_of_a_root() {
        let p = Place::new();
        for below in ["image/run/app", "image/etc", "outside"] {
            fs::create_dir_all(p.path(below).as_str()).unwrap();
        }
        for (link, target) in [
            ("image/absolute", "/run"),
            ("image/etc/up", "../../../run/app"),
            ("image/out", "/outside"),
            ("image/escape", "../outside"),
        ] {
            symlink(target, p.path(link).as_str()).unwrap();
        }
        let root = p.path("image");
        let end = |path: &str| walk_in(&root, &AbsPath::new(path).unwrap(), 0).end;
        for (path, wanted) in
            [("/absolute/app", "/run/app"), ("/etc/up", "/run/app"), ("/absolute", "/run"), ("/", "/")]
        {
            assert_eq!(end(path).unwrap().path.as_str(), wanted, "{path}");
        }
        for path in ["/out", "/escape"] {
            assert_eq!(end(path).unwrap_err().path.as_str(), "/outside", "{path}");
        }
    }

    #[test]
    fn directories_and_the_root_itself() {
        assert_eq!(walk(&AbsPath::root(), 0).end.unwrap().kind, FileKind::Directory);
        let p = Place::new();
        symlink("/", p.path("top").as_str()).unwrap();
        assert_eq!(p.walk("top").end.unwrap().path, AbsPath::root());
    }
}
