//! Which of the recorded jails live: told by a lock that only the living hold, or for a program in
//! place by its number and birth. Never by a number alone.
//!
//! Must not know: what is done with them.

use super::{Registry, Wanted, is_held, processes};
use crate::problem::{Problem, did_you_mean};
use crate::record::Record;
use crate::sys::process;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How long a start may take before a command that means it says so.
const PATIENCE: Duration = Duration::from_secs(2);

/// A name in the state directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// Whether it lives.
    pub state: Life,
    /// What is known of it.
    pub record: Option<Record>,
}

/// Whether a jail lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// The name is taken, the program does not run yet.
    Starting,
    /// It runs.
    Running,
    /// It was killed together with its outer process, and has left its files.
    LeftOver,
}

/// A running jail that something is done to.
#[derive(Debug)]
pub struct Running {
    /// What is known of it.
    pub record: Record,
    /// The outer process, or the program in place.
    pub leader: OwnedFd,
}

impl Registry {
    /// Every name, in order.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn list(&self) -> Result<Vec<Entry>, Problem> {
        let entries = match std::fs::read_dir(self.path()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                let what = format!("cannot read {}: {error}", self.path().display());
                return Err(Problem::set_up(what).help("it belongs to root: run this as root, or with sudo"));
            }
            Ok(entries) => entries,
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> =
            names.filter_map(|n| n.strip_suffix(".lock").map(str::to_owned)).collect();
        names.sort();
        Ok(names.iter().filter_map(|name| self.entry(name)).collect())
    }

    /// What is known of a name; `None` if it is not there (any more).
    pub fn entry(&self, name: &str) -> Option<Entry> {
        let lock = open(
            &self.path().join(super::lock_name(name)),
            OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW,
            Mode::empty(),
        );
        let held = is_held(&lock.ok()?);
        let record = self.read(name);
        let state = match &record {
            Some(record)
                if record.processes.outer.is_some() == held && processes::is_same(&record.processes) =>
            {
                Life::Running
            }
            _ if held => Life::Starting,
            _ => Life::LeftOver,
        };
        Some(Entry { name: name.to_owned(), state, record })
    }

    /// The running jail of this name, with a descriptor of its leader that no other process can take
    /// the number of.
    ///
    /// # Errors
    /// There is none, or it is only starting; or its process may not be looked at.
    pub fn running(&self, name: &str) -> Result<Running, Problem> {
        let Some(entry) = self.settled(name) else { return Err(self.unknown(name)) };
        let Some(record) = entry.record.filter(|_| entry.state == Life::Running) else {
            return Err(match entry.state {
                Life::Starting => {
                    Problem::set_up(format!("jail {name} is only starting")).help("try again in a moment")
                }
                _ => Problem::set_up(format!("jail {name} is not running any more: it was killed")),
            });
        };
        let number = record.processes.leader();
        let leader = process::descriptor(number).map_err(|errno| match errno {
            Errno::ESRCH => self.unknown(name),
            _ => Problem::set_up(format!("cannot open process {number} of jail {name}: {}", errno.desc())),
        })?;
        // Opened first, looked at again now: it lived all the time between, so the number was its own.
        match self.entry(name) {
            Some(Entry { state: Life::Running, record: Some(now), .. }) if now == record => {
                Ok(Running { record, leader })
            }
            _ => Err(self.unknown(name)),
        }
    }

    /// What is known of a name once it does not only start: its program may be faster than its record.
    fn settled(&self, name: &str) -> Option<Entry> {
        let begin = Instant::now();
        loop {
            let entry = self.entry(name)?;
            if entry.state != Life::Starting || begin.elapsed() > PATIENCE {
                return Some(entry);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn unknown(&self, name: &str) -> Problem {
        let known: Vec<String> =
            self.list().unwrap_or_default().into_iter().map(|entry| entry.name).collect();
        let problem = Problem::usage(format!("no jail {name} is running"));
        let problem = match did_you_mean(name, known.iter().map(String::as_str)) {
            Some(meant) => problem.help(format!("did you mean {meant}?")),
            None => problem,
        };
        problem.help("`jail ps` lists those that are")
    }

    /// Removes what killed jails have left; how many.
    pub fn sweep(&self) -> usize {
        let entries = self.list().unwrap_or_default();
        let left = entries.iter().filter(|entry| entry.state == Life::LeftOver);
        // Taking the name shows that nobody else has it.
        let claims = left.filter_map(|entry| self.claim(&entry.name, Wanted::Exactly).ok());
        claims.map(super::Claim::release).count()
    }
}
