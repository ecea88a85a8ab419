//! The state directory: who has which name, and the record of every running jail.
//!
//! `NAME.lock` is locked by the outer process for as long as it lives, so that a name is taken exactly
//! as long; `NAME.json` is the record, written beside and renamed. Must not know: what a record says,
//! but for the processes that prove a jail in place alive.

pub mod living;
pub mod processes;
pub mod stale;

use crate::problem::Problem;
use crate::record::Record;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open, openat, renameat};
use nix::sys::stat::{Mode, fstat, mkdirat, stat};
use nix::unistd::{Uid, UnlinkatFlags, unlinkat, write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Names another directory than the usual one.
pub const VARIABLE: &str = "JAIL_STATE";

/// Where running jails are recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registry {
    path: PathBuf,
}

/// A name that this process has, until it is released or the process ends.
#[derive(Debug)]
pub struct Claim {
    /// The name itself, which may not be the one that was asked for.
    pub name: String,
    registry: Registry,
    directory: OwnedFd,
    /// Holds the lock.
    _lock: OwnedFd,
}

/// How much a name matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// This one or none: a service of that name runs once.
    Exactly,
    /// If it is taken, one like it: a command run beside the service.
    Like,
}

impl Registry {
    /// The caller's: `/run/jail` of root, `$XDG_RUNTIME_DIR/jail` of others, or what `JAIL_STATE` says.
    /// `None`: a user without a runtime directory, whose jails are not recorded. (Root of a user
    /// namespace is such a user: /run is not theirs.)
    pub fn of_caller() -> Option<Self> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let path = match variable(VARIABLE) {
            Some(path) => path,
            None if Uid::effective().is_root() && stat("/run").is_ok_and(|run| run.st_uid == 0) => {
                "/run/jail".into()
            }
            None => variable("XDG_RUNTIME_DIR").filter(|path| path.is_absolute())?.join("jail"),
        };
        Some(Registry { path })
    }

    /// In this directory.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Registry { path: path.into() }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes a name for this process.
    ///
    /// # Errors
    /// Somebody has it; or the directory cannot be used.
    pub fn claim(&self, name: &str, wanted: Wanted) -> Result<Claim, Problem> {
        if let Some(claim) = self.take(name)? {
            return Ok(claim);
        }
        if wanted == Wanted::Exactly {
            return Err(self.taken(name));
        }
        let like = format!("{name}-{}", std::process::id());
        self.take(&like)?.ok_or_else(|| self.taken(&like))
    }

    fn taken(&self, name: &str) -> Problem {
        let who = match self.read(name).map(|record| record.processes) {
            Some(processes) => {
                let process = processes.leader();
                let since = processes::age(process)
                    .map_or(String::new(), |age| format!(", for {}", processes::duration(age)));
                format!("is running already: process {process}{since}")
            }
            None => "is being started already".to_owned(),
        };
        Problem::set_up(format!("jail {name} {who}"))
            .help(format!("`jail stop {name}` ends it; a second one needs a name of its own: --name OTHER"))
    }

    /// The lock, if nobody has it and no program in place does either.
    fn take(&self, name: &str) -> Result<Option<Claim>, Problem> {
        loop {
            let directory = self.open_or_make().map_err(|errno| self.unusable(errno))?;
            let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let lock =
                match openat(&directory, lock_name(name).as_str(), flags, Mode::from_bits_truncate(0o600)) {
                    // Whoever ended last has removed the directory meanwhile.
                    Err(Errno::ENOENT) => continue,
                    other => other.map_err(|errno| self.unusable(errno))?,
                };
            match fcntl(&lock, FcntlArg::F_OFD_SETLK(&whole(libc::F_WRLCK))) {
                Err(Errno::EAGAIN | Errno::EACCES) => return Ok(None),
                other => other.map_err(|errno| self.unusable(errno))?,
            };
            // Whoever had it before may have removed the file after it was opened here.
            if fstat(&lock).map_err(|errno| self.unusable(errno))?.st_nlink == 0 {
                continue;
            }
            let claim = Claim { name: name.to_owned(), registry: self.clone(), directory, _lock: lock };
            // A program in place cannot hold the lock. Any other record is of a jail that was killed.
            let in_place = self.read(name).filter(|record| record.processes.outer.is_none());
            if in_place.is_some_and(|record| processes::is_same(&record.processes)) {
                return Ok(None);
            }
            return match unlinkat(&claim.directory, record_name(name).as_str(), UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(Errno::ENOENT) => Ok(Some(claim)),
                Err(errno) => Err(self.unusable(errno)),
            };
        }
    }

    fn open_or_make(&self) -> nix::Result<OwnedFd> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let opened = match open(&self.path, flags, Mode::empty()) {
            Err(Errno::ENOENT) => {
                let made = mkdirat(nix::fcntl::AT_FDCWD, &self.path, Mode::from_bits_truncate(0o700));
                made.or_else(|errno| if errno == Errno::EEXIST { Ok(()) } else { Err(errno) })?;
                open(&self.path, flags, Mode::empty())?
            }
            other => other?,
        };
        // What others could write would be believed.
        let stat = fstat(&opened)?;
        let ours = stat.st_uid == Uid::effective().as_raw() && stat.st_mode & 0o022 == 0;
        if ours { Ok(opened) } else { Err(Errno::EPERM) }
    }

    fn unusable(&self, errno: Errno) -> Problem {
        let path = self.path.display();
        let problem = Problem::set_up(format!("cannot record the jail in {path}: {}", errno.desc()));
        let problem = match errno {
            Errno::EPERM => problem.help("the directory must be yours, and writable by nobody else"),
            Errno::ENOSPC | Errno::EDQUOT => problem.help("its file system is full"),
            _ => problem,
        };
        problem.help("--without record runs it unrecorded: `jail ps`, `stop` and `exec` will not find it")
    }

    /// The record of a name, if there is a whole one.
    pub fn read(&self, name: &str) -> Option<Record> {
        Record::parse(&std::fs::read_to_string(self.path.join(record_name(name))).ok()?)
    }
}

impl Claim {
    /// Keeps the record under the name.
    ///
    /// # Errors
    /// ENOSPC, EROFS and the like.
    pub fn write(&self, record: &Record) -> nix::Result<()> {
        let (path, new) = (record_name(&self.name), format!("{}.new", self.name));
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(&self.directory, new.as_str(), flags, Mode::from_bits_truncate(0o600))?;
        let text = record.text();
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let n = write(&file, rest)?;
            rest = rest.get(n..).unwrap_or(&[]);
        }
        renameat(&self.directory, new.as_str(), &self.directory, path.as_str())
    }

    /// Notes that another process is the program now.
    ///
    /// # Errors
    /// As of [`Claim::write`].
    pub fn set_program(&self, program: i32) -> nix::Result<()> {
        let Some(mut record) = self.registry.read(&self.name) else { return Ok(()) };
        record.processes.program = program;
        self.write(&record)
    }

    /// Takes the record away, and gives the name up.
    pub fn release(self) {
        // The lock last: who gets it next finds nothing of ours.
        for name in [record_name(&self.name), format!("{}.new", self.name), lock_name(&self.name)] {
            match unlinkat(&self.directory, name.as_str(), UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => {
                    log::debug!("cannot remove {}: {errno}", self.registry.path.join(name).display())
                }
            }
        }
        // Nothing of ours stays if nobody else has a record.
        if let Err(error) = std::fs::remove_dir(&self.registry.path) {
            log::trace!("{} stays: {error}", self.registry.path.display());
        }
    }
}

fn lock_name(name: &str) -> String {
    format!("{name}.lock")
}

fn record_name(name: &str) -> String {
    format!("{name}.json")
}

/// A lock on a whole file.
fn whole(kind: i32) -> libc::flock {
    libc::flock {
        l_type: i16::try_from(kind).unwrap_or(i16::MAX),
        l_whence: i16::try_from(libc::SEEK_SET).unwrap_or_default(),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// Whether somebody holds the lock of this file. It is asked, not taken for a moment: that could make
/// a start fail.
fn is_held(lock: &OwnedFd) -> bool {
    let mut asked = whole(libc::F_WRLCK);
    let free = i16::try_from(libc::F_UNLCK).unwrap_or(i16::MAX);
    fcntl(lock, FcntlArg::F_OFD_GETLK(&mut asked)).is_ok() && asked.l_type != free
}
