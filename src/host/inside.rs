//! Looks a path up as the program would find it: through the links of the plan and of the host.
//!
//! Must not know: what the path is for. Files are opened only if nobody but root (or the caller)
//! can write them: a jailed service must not be able to feed a file to its operator's tool.

use crate::jail::path::AbsPath;
use crate::plan::view::{self, Sight};
use crate::plan::{Plan, Step};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

/// As many links as the kernel follows (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// Larger files are not looked into.
const LARGEST: u64 = 256 << 20;

/// What there is in the jail. A trait, so that a diagnosis needs no plan to be tested.
pub trait View {
    /// What is at `path`; links on the way to it are not followed.
    fn look(&self, path: &AbsPath) -> Sight;

    /// As whom the program runs, in the host's ids; `None`: as one who may execute anything.
    fn runs_as(&self) -> Option<RunsAs> {
        None
    }
}

/// Whose permissions count.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunsAs {
    /// User.
    pub uid: u32,
    /// Main and supplementary groups.
    pub groups: Vec<u32>,
}

impl View for Plan {
    fn look(&self, path: &AbsPath) -> Sight {
        view::look(self, path)
    }

    fn runs_as(&self) -> Option<RunsAs> {
        // CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH (linux/capability.h).
        const ANY: u64 = 1 << 1 | 1 << 2;
        let steps = || self.steps.iter().map(|planned| &planned.step);
        let (mut uid, mut groups) = steps().find_map(|step| match step {
            Step::CheckProcess(p) if p.capabilities & ANY == 0 => {
                Some((p.uid, [p.groups.clone().unwrap_or_default(), vec![p.gid]].concat()))
            }
            _ => None,
        })?;
        let map = steps().find_map(|step| if let Step::Isolate { user, .. } = step { *user } else { None });
        if let Some(map) = map {
            (uid, groups) = (map.uid.1, vec![map.gid.1]);
        }
        Some(RunsAs { uid, groups })
    }
}

impl RunsAs {
    /// Whether this user may execute a file, or search a directory, as far as its mode says.
    fn may(&self, host: &AbsPath) -> bool {
        let Ok(file) =
            File::options().read(true).custom_flags(libc::O_PATH | libc::O_NOFOLLOW).open(host.as_str())
        else {
            return true;
        };
        let Ok(metadata) = file.metadata() else { return true };
        let bits = if metadata.uid() == self.uid {
            metadata.mode() >> 6
        } else if self.groups.contains(&metadata.gid()) {
            metadata.mode() >> 3
        } else {
            metadata.mode()
        };
        // An access list may allow what the mode does not.
        bits & 1 == 1 || super::paths::has_acl(&file)
    }
}

/// The first of the host's directories on the way to a program, or the program, that its user may not
/// enter or execute; `None` if there is none.
pub fn forbidden(view: &dyn View, program: &Found) -> Option<(AbsPath, RunsAs)> {
    let user = view.runs_as()?;
    let above = program.inside.ancestors().filter_map(|up| find(view, up).ok()?.host);
    let mut way: Vec<AbsPath> = program.host.iter().cloned().chain(above).collect();
    way.reverse();
    way.into_iter().find(|host| !user.may(host)).map(|host| (host, user))
}

/// What a path leads to inside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// Its path inside, after every link.
    pub inside: AbsPath,
    /// Its path on the host, without links; `None` for what is made by the plan.
    pub host: Option<AbsPath>,
    /// Its mount allows execution.
    pub exec: bool,
    /// It is a directory.
    pub directory: bool,
}

/// Why a path leads nowhere inside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Obstacle {
    /// The first component that is not there; in a circle of links, one of them.
    pub path: AbsPath,
    /// The last link that was followed, if one was.
    pub link: Option<AbsPath>,
}

/// Follows an absolute path through the jail as the kernel would. Unlike an [`AbsPath`], it may
/// have `..` in it, as `#!` lines and library paths do.
pub fn find(view: &dyn View, path: &str) -> Result<Found, Obstacle> {
    let mut rest: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
    let mut link: Option<AbsPath> = None;
    let mut links = 0;
    // From the top to where the walk is.
    let mut way = vec![Found { inside: AbsPath::root(), host: None, exec: false, directory: true }];
    while let Some(name) = rest.pop() {
        let here = way.last().map_or_else(AbsPath::root, |f| f.inside.clone());
        let plain = !matches!(name.as_str(), "" | "." | "..");
        let next = if plain { here.join(&name) } else { here };
        if way.last().is_some_and(|f| !f.directory) {
            return Err(Obstacle { path: next, link });
        }
        if !plain {
            if name == ".." && way.len() > 1 {
                way.pop();
            }
            continue;
        }
        match step(view, &next) {
            Next::Nothing => return Err(Obstacle { path: next, link }),
            Next::Thing(found) => way.push(found),
            Next::Link(target) => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(Obstacle { path: next, link });
                }
                if target.starts_with('/') {
                    way.truncate(1);
                }
                rest.extend(target.split('/').rev().map(str::to_owned));
                link = Some(next);
            }
        }
    }
    way.pop().ok_or(Obstacle { path: AbsPath::root(), link })
}

enum Next {
    Nothing,
    Link(String),
    Thing(Found),
}

fn step(view: &dyn View, path: &AbsPath) -> Next {
    let inside = path.clone();
    match view.look(path) {
        Sight::Absent => Next::Nothing,
        Sight::Directory => Next::Thing(Found { inside, host: None, exec: false, directory: true }),
        Sight::Memory => Next::Thing(Found { inside, host: None, exec: false, directory: false }),
        Sight::Link(target) => Next::Link(target),
        Sight::Host { path, exec } => match fs::symlink_metadata(path.as_str()) {
            Err(_) => Next::Nothing,
            Ok(metadata) if metadata.is_symlink() => match fs::read_link(path.as_str()) {
                Ok(target) => Next::Link(target.to_string_lossy().into_owned()),
                Err(_) => Next::Nothing,
            },
            Ok(metadata) => {
                Next::Thing(Found { inside, host: Some(path), exec, directory: metadata.is_dir() })
            }
        },
    }
}

/// Opens a regular file of the host to be parsed; `None` if it is none, or not to be trusted.
pub fn open_trusted(path: &AbsPath) -> Option<File> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let fd = rustix::fs::openat2(CWD, path.as_str(), flags, Mode::empty(), resolve).ok()?;
    let stat = rustix::fs::fstat(&fd).ok()?;
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    let owner = stat.st_uid == 0 || stat.st_uid == rustix::process::geteuid().as_raw();
    let small = u64::try_from(stat.st_size).is_ok_and(|size| size <= LARGEST);
    if !(regular && owner && small && stat.st_mode & 0o022 == 0) {
        return None;
    }
    // Opened for reading only now that it is known to be a plain file: to open some devices is to
    // start them.
    File::open(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok()
}

/// The beginning of a text file of the host, if it is to be trusted.
pub fn read_trusted(path: &AbsPath) -> Option<String> {
    const MOST: u64 = 64 << 10;
    let mut text = Vec::new();
    open_trusted(path)?.take(MOST).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}
