//! What /proc says of the processes of jails.
//!
//! Must not know: records beyond their processes.

use crate::host::processes::{Stat, all, stat};
use crate::record::Processes;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

/// Processes that are recorded for the process `first` (pid 1 of a jail, or a program in place).
pub fn of(outer: Option<i32>, first: i32, program: i32) -> Processes {
    let started = stat(outer.unwrap_or(first)).map_or(0, |stat| stat.started);
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
    let same = |stat: Stat| stat.lives() && stat.started == processes.started;
    stat(processes.leader()).is_some_and(same) && processes.boot == boot()
}

/// All processes, by their mount namespace: every jail has one of its own, also in place.
pub fn by_mount_namespace() -> BTreeMap<String, Vec<i32>> {
    let mut found: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for pid in all() {
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
    let begin = Duration::from_secs_f64(stat(pid)?.started as f64 / ticks as f64);
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
    fn durations_have_one_unit() {
        let texts = [0, 59, 60, 3599, 3600, 172_799, 172_800].map(|s| duration(Duration::from_secs(s)));
        assert_eq!(texts, ["0 s", "59 s", "1 min", "59 min", "1 h", "47 h", "2 d"]);
    }
}
