//! The jail checks itself: what the kernel says of mounts and process is compared with the plan.
//!
//! Must not know: how it was set up. A difference is a failure of its own step, with the index of
//! what differs.

use super::{Call, Fault, Named, State, table};
use crate::plan::{ExpectedMount, ExpectedProcess};
use nix::errno::Errno;
use rustix::fs::{CWD, Mode, OFlags};
use std::os::fd::{AsFd, OwnedFd};

/// The host's /proc, held over the pivot. A real procfs: its magic is checked, not its name.
pub fn open_proc() -> Result<OwnedFd, Fault> {
    const PROC_SUPER_MAGIC: u64 = 0x9fa0;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = rustix::fs::openat(CWD, "/proc", flags, Mode::empty()).call(Call::Open)?;
    let kind = rustix::fs::fstatfs(&proc).call(Call::Open)?.f_type;
    if u64::try_from(kind) == Ok(PROC_SUPER_MAGIC) {
        Ok(proc)
    } else {
        Err(Fault::new(Call::Open, Errno::ENODEV))
    }
}

fn open_own(state: &State, name: &str) -> Result<OwnedFd, Fault> {
    let proc = state.proc.as_ref().ok_or(Fault::new(Call::Open, Errno::EBADF))?;
    rustix::fs::openat(proc, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).call(Call::Open)
}

/// This process's status, whose content is made when it is read.
pub fn open_status(state: &State) -> Result<OwnedFd, Fault> {
    open_own(state, "self/status")
}

/// Whether this process has a controlling terminal (tty_nr of proc_pid_stat(5)). Not asked of
/// /dev/tty, which a jail may be without.
pub fn has_terminal(state: &State) -> Result<bool, Fault> {
    let stat = read_all(&open_own(state, "self/stat")?)?;
    let stat = String::from_utf8_lossy(&stat);
    // The name before the last parenthesis may hold blanks; then: state, ppid, pgrp, session, tty_nr.
    let tty = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(4));
    Ok(tty != Some("0"))
}

fn read_all(file: &OwnedFd) -> Result<Vec<u8>, Fault> {
    let mut content = Vec::with_capacity(4096);
    let mut buffer = [0u8; 4096];
    loop {
        let n = rustix::io::read(file.as_fd(), &mut buffer).call(Call::Read)?;
        if n == 0 {
            break;
        }
        content.extend_from_slice(buffer.get(..n).unwrap_or(&[]));
    }
    Ok(content)
}

fn read_text(file: &OwnedFd) -> Result<String, Fault> {
    String::from_utf8(read_all(file)?).map_err(|_| Fault::new(Call::Read, Errno::EILSEQ))
}

pub fn mounts(state: &State, expected: &[ExpectedMount]) -> Result<(), Fault> {
    let table = read_all(&open_own(state, "self/mountinfo")?)?;
    table::compare(&table, expected).map_err(Fault::difference)
}

pub fn process(state: &State, expected: &ExpectedProcess) -> Result<(), Fault> {
    let status = state.status.as_ref().ok_or(Fault::new(Call::Read, Errno::EBADF))?;
    compare_process(&read_text(status)?, expected, state.filters).map_err(Fault::difference)
}

/// How many filters this process is under already: a container's, or a service manager's.
pub fn filters(state: &State) -> Result<u32, Fault> {
    // Mostly there is none, and reading the file costs more than asking. EINVAL: no filters at all.
    if !crate::sys::process::is_filtered().unwrap_or(false) {
        return Ok(0);
    }
    let status = read_text(&open_status(state)?)?;
    status_field(&status, "Seccomp_filters").parse().map_err(|_| Fault::new(Call::Read, Errno::ENODATA))
}

/// What [`compare_process`] looks at, in the order of its indices.
pub const PROCESS_FIELDS: &[&str] = &[
    "Uid",
    "Gid",
    "Groups",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
    "Seccomp_filters",
];

/// The value of a line of /proc/PID/status.
fn status_field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or("?").trim()
}

/// `Err` is the index into [`PROCESS_FIELDS`] of the first field that is not as planned. `filters`:
/// how many there were before; the mode alone would be the same with none added (Linux 5.9).
pub fn compare_process(status: &str, expected: &ExpectedProcess, filters: u32) -> Result<(), usize> {
    let field = |name: &str| status_field(status, name);
    let ids = |name: &str| -> Option<Vec<u32>> {
        let mut ids = field(name).split_whitespace().map(|n| n.parse().ok()).collect::<Option<Vec<u32>>>()?;
        ids.sort_unstable();
        Some(ids)
    };
    for (index, name) in PROCESS_FIELDS.iter().enumerate() {
        let right = match *name {
            "Uid" => ids(name) == Some(vec![expected.uid; 4]),
            "Gid" => ids(name) == Some(vec![expected.gid; 4]),
            // The kernel may list the main group as well.
            "Groups" => expected.groups.as_ref().is_none_or(|groups| {
                let others =
                    |list: &[u32]| list.iter().copied().filter(|g| *g != expected.gid).collect::<Vec<u32>>();
                ids(name).is_some_and(|found| others(&found) == others(groups))
            }),
            "NoNewPrivs" => field(name) == "1",
            "Seccomp" => expected.filters == 0 || field(name) == "2",
            "Seccomp_filters" => field(name).parse().ok() == Some(filters + expected.filters),
            _ => u64::from_str_radix(field(name), 16) == Ok(expected.capabilities),
        };
        if !right {
            return Err(index);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(change: (&str, &str)) -> String {
        let fields = [
            ("Uid", "33\t33\t33\t33"),
            ("Gid", "33\t33\t33\t33"),
            ("Groups", "4 104 "),
            ("CapInh", "0000000000000400"),
            ("CapPrm", "0000000000000400"),
            ("CapEff", "0000000000000400"),
            ("CapBnd", "0000000000000400"),
            ("CapAmb", "0000000000000400"),
            ("NoNewPrivs", "1"),
            ("Seccomp", "2"),
            ("Seccomp_filters", "3"),
        ];
        let value = |name, value| if name == change.0 { change.1 } else { value };
        fields.iter().map(|(n, v)| format!("{n}:\t{}\n", value(*n, *v))).collect()
    }

    #[test]
    fn each_field_of_the_process_is_compared() {
        let plan =
            ExpectedProcess { uid: 33, gid: 33, groups: Some(vec![4, 104]), capabilities: 0x400, filters: 1 };
        assert_eq!(compare_process(&status(("", "")), &plan, 2), Ok(()));
        let wrong = [
            "33 0 33 33",
            "33 33 33 0",
            "4 104 27",
            "0",
            "0000000000000401",
            "0",
            "1ffffffffff",
            "0",
            "0",
            "0",
            "2",
        ];
        for (index, (name, value)) in PROCESS_FIELDS.iter().zip(wrong).enumerate() {
            assert_eq!(compare_process(&status((name, value)), &plan, 2), Err(index), "{name}");
        }
        assert_eq!(compare_process("", &plan, 2), Err(0), "an unreadable status is no proof");
    }
}
