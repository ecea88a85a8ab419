//! What /proc says of the processes of jails.
//!
//! Must not know: records beyond their processes.

use crate::record::Processes;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

/// Processes that are recorded for the process `first` (pid 1 of a jail, or a program in place).
pub fn of(outer: Option<i32>, first: i32, program: i32) -> Processes {
    let started = started(outer.unwrap_or(first)).unwrap_or_default();
    Processes { outer, first, program, started, boot: boot().to_owned() }
}

/// The kernel's id of this boot: numbers and births of another one mean nothing.
fn boot() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        id.map(|id| id.trim().to_owned()).unwrap_or_default()
    })
}

/// Whether the leader is still the process that was recorded, and not a zombie.
pub fn is_same(processes: &Processes) -> bool {
    let stat = stat(processes.leader());
    let alive = stat.as_ref().is_some_and(|stat| !matches!(stat.state, 'Z' | 'X'));
    alive && stat.map(|stat| stat.started) == Some(processes.started) && processes.boot == boot()
}

/// Whether a process is another one, or was started by it, or by one that was.
pub fn is_below(pid: i32, top: i32) -> bool {
    let mut next = pid;
    // Parents that change meanwhile could make a circle.
    for _ in 0..1000 {
        if next == top {
            return true;
        }
        match stat(next) {
            Some(stat) if stat.parent > 1 => next = stat.parent,
            _ => return false,
        }
    }
    false
}

/// Some fields of proc_pid_stat(5).
struct Stat {
    state: char,
    parent: i32,
    started: u64,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    // The name before the last parenthesis may hold blanks and parentheses; then field 3 and on.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some(Stat {
        state: fields.next()?.chars().next()?,
        parent: fields.next()?.parse().ok()?,
        started: fields.nth(17)?.parse().ok()?,
    })
}

/// Field 22 of proc_pid_stat(5): clock ticks from boot to its start.
fn started(pid: i32) -> Option<u64> {
    stat(pid).map(|stat| stat.started)
}

/// The letter of its state; `T` is stopped.
pub fn state(pid: i32) -> Option<char> {
    stat(pid).map(|stat| stat.state)
}

/// All processes, by their mount namespace: every jail has one of its own, also in place.
pub fn by_mount_namespace() -> BTreeMap<String, Vec<i32>> {
    let mut found: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()) {
        if let Some(namespace) = mount_namespace(pid) {
            found.entry(namespace).or_default().push(pid);
        }
    }
    found
}

/// The mount namespace that a process is in.
pub fn mount_namespace(pid: i32) -> Option<String> {
    let link = std::fs::read_link(format!("/proc/{pid}/ns/mnt")).ok()?;
    link.into_os_string().into_string().ok()
}

/// How long it has run, by a clock that nobody sets.
pub fn age(pid: i32) -> Option<Duration> {
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    let ticks = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok()??;
    let begin = Duration::from_secs_f64(started(pid)? as f64 / ticks as f64);
    Some(Duration::from_secs_f64(uptime).saturating_sub(begin))
}

/// In one unit, rounded down: `42 s`, `17 min`, `5 h`, `12 d`.
pub fn duration(age: Duration) -> String {
    match age.as_secs() {
        s @ ..60 => format!("{s} s"),
        s @ 60..3600 => format!("{} min", s / 60),
        s @ 3600..172_800 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_itself() {
        let own = of(None, std::process::id().cast_signed(), 0);
        assert!(own.started > 0 && !own.boot.is_empty());
        assert!(is_same(&own));
        assert!(!is_same(&Processes { started: own.started + 1, ..own.clone() }), "a number used again");
        assert!(!is_same(&Processes { boot: "other".into(), ..own.clone() }), "another boot");
        assert!(!is_same(&Processes { first: i32::MAX, ..own }));
        assert!(age(std::process::id().cast_signed()).unwrap() < Duration::from_secs(86400));
    }

    #[test]
    fn descent_is_followed_to_its_top() {
        let own = std::process::id().cast_signed();
        let parent = stat(own).unwrap().parent;
        assert!(is_below(own, own) && is_below(own, parent));
        assert!(!is_below(parent, own) && !is_below(i32::MAX, own));
    }

    #[test]
    fn durations_have_one_unit() {
        let texts = [0, 59, 60, 3599, 3600, 172_799, 172_800].map(|s| duration(Duration::from_secs(s)));
        assert_eq!(texts, ["0 s", "59 s", "1 min", "59 min", "1 h", "47 h", "2 d"]);
    }
}
