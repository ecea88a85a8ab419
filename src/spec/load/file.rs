//! Opens and reads one file, once, and only if nobody but those trusted can have written it.
//!
//! Every check is made on the descriptor that is then read, so that nothing can be exchanged
//! between check and use. Must not know: TOML.
#![forbid(unsafe_code)]

use super::Trust;
use crate::problem::{Problem, Sources, Span};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Specs are a few kilobytes; more is the wrong file.
const LARGEST: u64 = 1 << 20;

/// Which text it is, however it was reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Id {
    /// Device and inode.
    File(u64, u64),
    /// Name of a built-in spec.
    Spec(&'static str),
    /// Name of a built-in block.
    Block(&'static str),
}

/// A file that is open and may be read.
#[derive(Debug)]
pub struct Opened {
    /// As it was named.
    pub path: PathBuf,
    /// Device and inode.
    pub id: Id,
    file: File,
}

/// Opens a file that somebody named; `Ok(None)`: there is none.
pub fn named(path: &Path, trust: Option<Trust>) -> Result<Option<Opened>, Problem> {
    opened(path, trust, open(path, flags(), Mode::empty()))
}

/// What a name was looked up for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sought {
    /// A spec, to be run.
    Spec,
    /// A spec or block, to be included.
    Included,
    /// The file that adjusts a spec.
    Local,
}

/// Opens a file that was found by looking for its name in `directory`; `Ok(None)`: there is none.
///
/// Nobody named this file, so the directory must be trusted as well, and first: in one that others
/// may write to, a link could choose among root's files, and whose the file is says nothing.
pub fn looked_up(
    directory: &Path,
    name: &str,
    trust: Option<Trust>,
    sought: Sought,
) -> Result<Option<Opened>, Problem> {
    let path = directory.join(name);
    let at = match open(directory, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()) {
        Ok(at) => at,
        Err(Errno::ENOENT) => return Ok(None),
        Err(errno) => return Err(cannot("look into", directory, errno)),
    };
    let opening = openat(&at, name, flags(), Mode::empty());
    if let (Some(trust), false) = (trust, matches!(opening, Err(Errno::ENOENT))) {
        check_directory(&at, directory, &path, trust, sought)?;
        // Whoever may write to the directory above can exchange this one.
        for above in above(directory) {
            match open(&above, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()) {
                Ok(fd) => check_directory(&fd, &above, &path, trust, sought)?,
                Err(errno) => return Err(cannot("look into", &above, errno)),
            }
        }
    }
    opened(&path, trust, opening)
}

/// The directories whose owner decides what `directory` is: for a relative path all up to the
/// working directory, which an attacker may have made; for an absolute one the next.
fn above(directory: &Path) -> Vec<PathBuf> {
    if directory.is_absolute() {
        return Vec::new();
    }
    let parents = directory.ancestors().skip(1);
    parents.map(|p| if p.as_os_str().is_empty() { PathBuf::from(".") } else { p.to_owned() }).collect()
}

impl Opened {
    /// Reads it. A text that is not UTF-8 is added to `sources` so that its place can be shown.
    pub fn text(self, sources: &mut Sources) -> Result<String, Problem> {
        let mut bytes = Vec::new();
        let read = self.file.take(LARGEST + 1).read_to_end(&mut bytes);
        if let Err(error) = read {
            let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
            return Err(cannot("read", &self.path, errno));
        }
        if bytes.len() as u64 > LARGEST {
            return Err(too_large(&self.path));
        }
        String::from_utf8(bytes).map_err(|error| {
            let start = u32::try_from(error.utf8_error().valid_up_to()).unwrap_or(u32::MAX);
            let lossy = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let source = sources.add(self.path.display().to_string(), lossy);
            Problem::usage(format!("{} is not UTF-8", self.path.display()))
                .at(Span { source, start, end: start })
                .help("save it as UTF-8; TOML knows no other encoding")
        })
    }
}

fn flags() -> OFlag {
    // A fifo must not block, a terminal must not become ours.
    OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOCTTY | OFlag::O_NONBLOCK
}

fn opened(path: &Path, trust: Option<Trust>, fd: Result<OwnedFd, Errno>) -> Result<Option<Opened>, Problem> {
    let fd = match fd {
        Ok(fd) => fd,
        Err(Errno::ENOENT) => return Ok(None),
        // What open(2) answers for a socket.
        Err(Errno::ENXIO) => return Err(not_a_file(path)),
        Err(errno) => return Err(cannot("open", path, errno)),
    };
    let stat = fstat(&fd).map_err(|errno| cannot("inspect", path, errno))?;
    if kind(&stat) != SFlag::S_IFREG {
        return Err(not_a_file(path));
    }
    if let Some(trust) = trust {
        check_owner(&stat, path, trust)?;
    }
    if u64::try_from(stat.st_size).unwrap_or(u64::MAX) > LARGEST {
        return Err(too_large(path));
    }
    let id = Id::File(stat.st_dev, stat.st_ino);
    Ok(Some(Opened { path: path.to_owned(), id, file: File::from(fd) }))
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

fn check_owner(stat: &FileStat, path: &Path, trust: Trust) -> Result<(), Problem> {
    let Some(reason) = mistrust(stat, trust) else {
        return Ok(());
    };
    let path = path.display();
    let remedy = match trust {
        Trust::Root => format!("chown root:root {path}; chmod go-w {path}"),
        Trust::User(uid) => format!("chown {uid} {path}; chmod go-w {path}"),
    };
    let problem = Problem::usage(format!("will not use {path}: it {reason}"));
    Err(problem.help(format!("read what is in it; if it is as you want it: {remedy}")))
}

fn check_directory(
    fd: &impl AsFd,
    directory: &Path,
    file: &Path,
    trust: Trust,
    sought: Sought,
) -> Result<(), Problem> {
    let stat = fstat(fd).map_err(|errno| cannot("inspect", directory, errno))?;
    let Some(reason) = mistrust(&stat, trust) else {
        return Ok(());
    };
    let file = file.display();
    let what = format!("will not use {file}: the directory {} {reason}", directory.display());
    let problem = Problem::usage(what).help("start jail in a directory that nobody else can write to");
    Err(match sought {
        Sought::Spec => {
            problem.help(format!("or, if you know what is in it, name it by its path: --spec {file}"))
        }
        Sought::Included => {
            problem.help(format!("or, if you know what is in it, include it by its path: {file}"))
        }
        Sought::Local => problem.help(format!("or take {file} away: whoever put it there changes the spec")),
    })
}

/// Why a file or directory cannot be trusted, if it cannot.
fn mistrust(stat: &FileStat, trust: Trust) -> Option<String> {
    let trusted = match trust {
        Trust::Root => stat.st_uid == 0,
        Trust::User(uid) => stat.st_uid == 0 || stat.st_uid == uid,
    };
    if !trusted {
        return Some(format!("belongs to uid {}", stat.st_uid));
    }
    let mode = stat.st_mode & 0o7777;
    (mode & 0o022 != 0).then(|| format!("can be written by others (mode {mode:04o})"))
}

fn not_a_file(path: &Path) -> Problem {
    Problem::usage(format!("{} is not a regular file", path.display())).help("a spec is a TOML file")
}

fn too_large(path: &Path) -> Problem {
    Problem::usage(format!("{} is larger than 1 MiB", path.display()))
        .help("a spec is a few kilobytes; is it the right file?")
}

fn cannot(verb: &str, path: &Path, errno: Errno) -> Problem {
    let what = format!("cannot {verb} {}: {}", path.display(), errno.desc());
    Problem::usage(what).help("`jail specs` lists the specs that there are")
}
