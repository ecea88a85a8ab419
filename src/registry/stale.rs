//! What of a running jail is not any more as the host has it: upgraded libraries, replaced binds,
//! copies that differ.
//!
//! Must not know: specs. Nothing in the jail is trusted: its paths are resolved beneath its own root.

use crate::record::{Record, Shown};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::fd::OwnedFd;

/// One thing that is stale.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Finding {
    /// Processes run code of a file that is deleted or replaced on the host.
    Code {
        /// The file, as it was called inside.
        file: String,
        /// Who runs it.
        processes: Vec<i32>,
    },
    /// What is mounted inside is not what the host has there now.
    Bind(Shown),
    /// The host has nothing there any more.
    SourceGone(Shown),
    /// The copy inside differs from the host's file.
    Copy(Shown),
    /// A text of the spec has changed, appeared or disappeared.
    Spec(String),
    /// It could not be looked at.
    Unknown(String),
}

impl Finding {
    /// For people: one line.
    pub fn text(&self) -> String {
        match self {
            Finding::Code { file, processes } => {
                let list: Vec<String> = processes.iter().map(i32::to_string).collect();
                let who = if list.len() == 1 { "process" } else { "processes" };
                format!("{who} {} still run the old {file}: restart the jail", list.join(", "))
            }
            Finding::Bind(shown) => {
                format!(
                    "{} shows what {} was, which has been replaced: restart the jail",
                    shown.at, shown.source
                )
            }
            Finding::SourceGone(shown) => {
                format!("{} is gone on the host; the jail still has it at {}", shown.source, shown.at)
            }
            Finding::Copy(shown) => {
                format!("{} differs from the host's {}: `jail refresh`, or restart", shown.at, shown.source)
            }
            Finding::Spec(place) => format!("spec {place} has changed since the start"),
            Finding::Unknown(what) => what.clone(),
        }
    }

    /// The kind, for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Finding::Code { .. } => "code",
            Finding::Bind(_) => "bind",
            Finding::SourceGone(_) => "source-gone",
            Finding::Copy(_) => "copy",
            Finding::Spec(_) => "spec",
            Finding::Unknown(_) => "unknown",
        }
    }
}

/// Host files that were read for comparison, so that a thousand jails read each once.
#[derive(Default)]
pub struct Host {
    files: BTreeMap<String, Option<Vec<u8>>>,
    places: BTreeMap<String, Option<(u64, u64)>>,
}

impl Host {
    fn file(&mut self, path: &str) -> Option<&[u8]> {
        let read = || std::fs::read(path).ok();
        self.files.entry(path.to_owned()).or_insert_with(read).as_deref()
    }

    fn place(&mut self, path: &str) -> Option<(u64, u64)> {
        let ask = || rustix::fs::stat(path).ok().map(|stat| (stat.st_dev, stat.st_ino));
        *self.places.entry(path.to_owned()).or_insert_with(ask)
    }
}

/// Everything stale about a jail whose processes, without its pid 1, are `processes`.
pub fn findings(record: &Record, processes: &[i32], host: &mut Host) -> Vec<Finding> {
    let mut found = code(processes);
    let Some(root) = processes.iter().find_map(|pid| root_of(*pid)) else {
        found.push(Finding::Unknown("its processes may not be looked at: run this as root".into()));
        return found;
    };
    for shown in &record.binds {
        let Ok(inside) = beneath(&root, &shown.at, OFlags::PATH).and_then(rustix::fs::fstat) else {
            continue;
        };
        match host.place(&shown.source) {
            None => found.push(Finding::SourceGone(shown.clone())),
            Some(outside) if outside != (inside.st_dev, inside.st_ino) => {
                found.push(Finding::Bind(shown.clone()))
            }
            Some(_) => {}
        }
    }
    for shown in &record.copies {
        let inside = read_beneath(&root, &shown.at);
        match (host.file(&shown.source), inside) {
            (None, _) => found.push(Finding::SourceGone(shown.clone())),
            (Some(outside), Ok(inside)) if outside != inside => found.push(Finding::Copy(shown.clone())),
            _ => {}
        }
    }
    found
}

fn root_of(pid: i32) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, format!("/proc/{pid}/root"), flags, Mode::empty()).ok()
}

/// Opens a path of the jail, whatever links its program may have made on the way.
fn beneath(root: &OwnedFd, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
}

/// Content of a regular file of the jail. (A fifo there must not stop us.)
fn read_beneath(root: &OwnedFd, path: &str) -> rustix::io::Result<Vec<u8>> {
    let file = beneath(root, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
    let stat = rustix::fs::fstat(&file)?;
    if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    let mut content = Vec::new();
    let mut file = std::fs::File::from(file).take(64 << 20);
    file.read_to_end(&mut content).map_err(|_| Errno::IO)?;
    Ok(content)
}

/// Mapped code whose file has been deleted.
fn code(processes: &[i32]) -> Vec<Finding> {
    let mut files: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    for pid in processes {
        let Ok(maps) = std::fs::read(format!("/proc/{pid}/maps")) else { continue };
        for file in deleted(&String::from_utf8_lossy(&maps)) {
            files.entry(file).or_default().insert(*pid);
        }
    }
    let finding = |(file, processes): (String, BTreeSet<i32>)| Finding::Code {
        file,
        processes: processes.into_iter().collect(),
    };
    files.into_iter().map(finding).collect()
}

/// Executable mappings of files of /proc/PID/maps (proc_pid_maps(5)) that are deleted. Memory that
/// never had a name on a disk is called `(deleted)` too.
fn deleted(maps: &str) -> BTreeSet<String> {
    const NEVER_NAMED: &[&str] = &["/memfd:", "/dev/zero", "/SYSV", "/[aio]", "/dev/shm/"];
    let file = |line: &str| {
        let path = line.strip_suffix(" (deleted)")?;
        let permissions = line.split(' ').nth(1)?;
        let path = path.get(path.find('/')?..)?;
        let code = permissions.contains('x') && !NEVER_NAMED.iter().any(|name| path.starts_with(name));
        code.then(|| path.to_owned())
    };
    maps.lines().filter_map(file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_deleted_code_of_files_counts() {
        let maps = "\
            7f00-7f01 r--p 00000000 08:01 12 /usr/lib/libssl.so.3 (deleted)\n\
            7f01-7f02 r-xp 00001000 08:01 12 /usr/lib/libssl.so.3 (deleted)\n\
            7f02-7f03 r-xp 00000000 08:01 13 /usr/lib/libc.so.6\n\
            7f03-7f04 rw-s 00000000 00:01 14 /dev/zero (deleted)\n\
            7f04-7f05 r-xp 00000000 00:01 15 /memfd:jail-init (deleted)\n\
            7f05-7f06 rw-p 00000000 08:01 16 /var/lib/data (deleted)\n\
            7f06-7f07 r-xp 00000000 08:01 17 /opt/a (deleted) b (deleted)\n\
            7fff-ffff r-xp 00000000 00:00 0 [vdso]\n";
        let found: Vec<String> = deleted(maps).into_iter().collect();
        assert_eq!(found, ["/opt/a (deleted) b", "/usr/lib/libssl.so.3"]);
    }
}
