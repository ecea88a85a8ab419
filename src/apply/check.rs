//! The jail checks itself: what the kernel says of mounts and process is compared with the plan.
//!
//! Must not know: how it was set up. A difference is a failure of its own step, with the index of
//! what differs.

use super::{Call, Fault, Named, State};
use crate::jail::path::AbsPath;
use crate::plan::{Attributes, ExpectedMount, ExpectedProcess};
use nix::errno::Errno;
use rustix::fs::{CWD, Mode, OFlags};
use std::collections::BTreeMap;
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
    // The name before the last parenthesis may hold blanks; then: state, ppid, pgrp, session, tty_nr.
    let tty = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(4));
    Ok(tty != Some("0"))
}

fn read_all(file: &OwnedFd) -> Result<String, Fault> {
    let mut content = Vec::with_capacity(4096);
    let mut buffer = [0u8; 4096];
    loop {
        let n = rustix::io::read(file.as_fd(), &mut buffer).call(Call::Read)?;
        if n == 0 {
            break;
        }
        content.extend_from_slice(buffer.get(..n).unwrap_or(&[]));
    }
    Ok(String::from_utf8_lossy(&content).into_owned())
}

pub fn mounts(state: &State, expected: &[ExpectedMount]) -> Result<(), Fault> {
    let table = read_all(&open_own(state, "self/mountinfo")?)?;
    compare_mounts(&table, expected).map_err(Fault::difference)
}

pub fn process(state: &State, expected: &ExpectedProcess) -> Result<(), Fault> {
    let status = state.status.as_ref().ok_or(Fault::new(Call::Read, Errno::EBADF))?;
    compare_process(&read_all(status)?, expected, state.filters).map_err(Fault::difference)
}

/// How many filters this process is under already: a container's, or a service manager's.
pub fn filters(state: &State) -> Result<u32, Fault> {
    // Mostly there is none, and reading the file costs more than asking. EINVAL: no filters at all.
    if !crate::sys::process::is_filtered().unwrap_or(false) {
        return Ok(0);
    }
    let status = read_all(&open_status(state)?)?;
    status_field(&status, "Seccomp_filters").parse().map_err(|_| Fault::new(Call::Read, Errno::ENODATA))
}

/// One line of mountinfo (proc_pid_mountinfo(5)).
struct Mount {
    path: String,
    attributes: Attributes,
    nosuid: bool,
    kind: String,
    propagates: bool,
}

fn parse_mount(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut fields = left.split(' ').skip(4);
    let path = unescape(fields.next()?);
    let options = fields.next()?;
    let has = |wanted: &str| options.split(',').any(|o| o == wanted);
    Some(Mount {
        path,
        attributes: Attributes { read_only: has("ro"), no_exec: has("noexec"), no_dev: has("nodev") },
        nosuid: has("nosuid"),
        kind: right.split(' ').next()?.to_owned(),
        propagates: fields.next().is_some(),
    })
}

/// Undoes the kernel's octal escapes of space, tab, newline and backslash.
fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let code = tail
            .get(..3)
            .and_then(|d| std::str::from_utf8(d).ok())
            .and_then(|d| u8::from_str_radix(d, 8).ok());
        match (first, code) {
            (b'\\', Some(code)) => {
                out.push(code);
                rest = tail.get(3..).unwrap_or(&[]);
            }
            _ => {
                out.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The planned mount at the path, or the closest one above it.
fn nearest(places: &BTreeMap<&str, usize>, path: &AbsPath) -> Option<usize> {
    let mut upwards = std::iter::once(path.as_str()).chain(path.ancestors());
    upwards.find_map(|here| places.get(here).copied())
}

/// `Err` is the index of the expected mount that is missing, doubled, of another kind, or weaker
/// than planned (also by a mount below it); the length of the list for a mount nobody planned.
pub fn compare_mounts(table: &str, expected: &[ExpectedMount]) -> Result<(), usize> {
    let mut seen = vec![0u32; expected.len()];
    let places: BTreeMap<&str, usize> =
        expected.iter().enumerate().map(|(i, e)| (e.path.as_str(), i)).collect();
    for line in table.lines() {
        let mount = parse_mount(line).ok_or(expected.len())?;
        let path = AbsPath::new(&mount.path).map_err(|_| expected.len())?;
        let index = nearest(&places, &path).ok_or(expected.len())?;
        let plan = expected.get(index).ok_or(expected.len())?;
        let lacks = |wanted: bool, has: bool| wanted && !has;
        let (want, has) = (plan.attributes, mount.attributes);
        if mount.propagates
            || !mount.nosuid
            || lacks(want.read_only, has.read_only)
            || lacks(want.no_exec, has.no_exec)
            || lacks(want.no_dev, has.no_dev)
        {
            return Err(index);
        }
        if path == plan.path {
            seen[index] += 1;
            if plan.kind.is_some_and(|kind| kind != mount.kind) {
                return Err(index);
            }
        } else if plan.kind.is_some() && path != plan.path {
            // Nothing can be mounted below a file system of our own making unless it was planned.
            return Err(expected.len());
        }
    }
    seen.iter().position(|n| *n != 1).map_or(Ok(()), Err)
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

    const READ: Attributes = Attributes { read_only: true, no_exec: false, no_dev: true };

    fn expect(path: &str, kind: Option<&'static str>) -> ExpectedMount {
        ExpectedMount { path: AbsPath::new(path).unwrap(), attributes: READ, kind }
    }

    fn line(path: &str, options: &str, tags: &str, kind: &str) -> String {
        format!("30 20 0:5 / {path} {options}{tags} - {kind} none rw\n")
    }

    #[test]
    fn mounts_as_planned_are_accepted() {
        let table = line("/", "ro,nosuid,nodev", "", "tmpfs")
            + &line("/usr", "ro,nosuid,nodev,relatime", "", "ext4")
            + &line("/usr/my\\040disk", "ro,nosuid,nodev,noexec", "", "xfs");
        assert_eq!(compare_mounts(&table, &[expect("/", Some("tmpfs")), expect("/usr", None)]), Ok(()));
    }

    #[test]
    fn each_weakness_of_a_mount_is_found() {
        let plan = [expect("/", Some("tmpfs")), expect("/usr", None)];
        let root = line("/", "ro,nosuid,nodev", "", "tmpfs");
        let usr = |options, tags| format!("{root}{}", line("/usr", options, tags, "ext4"));
        assert_eq!(compare_mounts(&usr("rw,nosuid,nodev", ""), &plan), Err(1));
        assert_eq!(compare_mounts(&usr("ro,nodev", ""), &plan), Err(1));
        assert_eq!(compare_mounts(&usr("ro,nosuid", ""), &plan), Err(1));
        assert_eq!(compare_mounts(&usr("ro,nosuid,nodev", " master:3"), &plan), Err(1));
        assert_eq!(compare_mounts(&root, &plan), Err(1), "missing");
        let below = usr("ro,nosuid,nodev", "") + &line("/usr/x", "rw,nosuid,nodev", "", "ext4");
        assert_eq!(compare_mounts(&below, &plan), Err(1), "a writable mount below a read-only one");
        let twice = usr("ro,nosuid,nodev", "") + &line("/usr", "ro,nosuid,nodev", "", "ext4");
        assert_eq!(compare_mounts(&twice, &plan), Err(1), "stacked");
        let alien = usr("ro,nosuid,nodev", "") + &line("/opt", "ro,nosuid,nodev", "", "ext4");
        assert_eq!(compare_mounts(&alien, &plan), Err(2), "unplanned");
        let kind = line("/", "ro,nosuid,nodev", "", "ext4") + &line("/usr", "ro,nosuid,nodev", "", "ext4");
        assert_eq!(compare_mounts(&kind, &plan), Err(0), "another file system");
    }

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
