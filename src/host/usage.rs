//! What groups use, against their limits, and how often a limit was hit: read from their files.
//!
//! Must not know: who is in them.

use super::cgroups::{Mount, mounts};
use crate::jail::limits::Version;
use crate::plan::print::bytes;
use crate::record::Group;

/// Limits of version 1 that are as good as none: they are rounded down to pages.
const UNLIMITED: u64 = 1 << 62;

/// Use and limits; `None`: not limited, or not counted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Bytes.
    pub memory: Option<Gauge>,
    /// Processes and threads.
    pub tasks: Option<Gauge>,
    /// CPU time so far, in microseconds.
    pub cpu_time: Option<u64>,
    /// Thousandths of a CPU that it may use.
    pub cpu: Option<u64>,
    /// Each disk with what it is limited to, in words.
    pub io: Vec<(String, String)>,
    /// The only CPUs.
    pub cpus: Option<String>,
    /// Processes that the kernel has killed for memory.
    pub killed: u64,
    /// How often there could be no more tasks.
    pub refused: u64,
}

/// How much of how much.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gauge {
    /// Now.
    pub used: u64,
    /// At most.
    pub limit: Option<u64>,
}

/// Of the groups of one jail.
pub fn of(groups: &[Group]) -> Usage {
    let mut usage = Usage::default();
    for group in groups {
        let has = |name: &str| group.controllers.iter().any(|c| c == name);
        let read = |file: &str| std::fs::read_to_string(format!("{}/{file}", group.path)).ok();
        match group.version {
            Version::One => version_1(&mut usage, &has, &read),
            Version::Two => version_2(&mut usage, &read),
        }
    }
    usage
}

/// Of the groups that a process is in, if it lives.
pub fn of_process(pid: i32) -> Option<Usage> {
    let own = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let table = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mounts = mounts(&table);
    let groups: Vec<Group> = own.lines().filter_map(|line| group(line, &mounts)).collect();
    Some(of(&groups))
}

/// `4:memory:/path`, below where that is mounted.
fn group(line: &str, mounts: &[Mount]) -> Option<Group> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (list, path) = (fields.next()?, fields.next()?);
    let controllers: Vec<String> = list.split(',').filter(|c| !c.is_empty()).map(str::to_owned).collect();
    let (kind, version) =
        if controllers.is_empty() { ("cgroup2", Version::Two) } else { ("cgroup", Version::One) };
    let mount = mounts.iter().find(|mount| {
        let options: Vec<&str> = mount.options.split(',').collect();
        mount.kind == kind && controllers.iter().all(|c| options.contains(&c.as_str()))
    })?;
    let below = path.strip_prefix(mount.root.trim_end_matches('/'))?;
    Some(Group { version, controllers, path: format!("{}{below}", mount.point) })
}

fn version_1(usage: &mut Usage, has: &dyn Fn(&str) -> bool, read: &dyn Fn(&str) -> Option<String>) {
    let number = |file: &str| number(read(file)?.trim());
    if has("memory") {
        let limit = number("memory.limit_in_bytes").filter(|limit| *limit < UNLIMITED);
        usage.memory = number("memory.usage_in_bytes").map(|used| Gauge { used, limit });
        usage.killed = field(read("memory.oom_control"), "oom_kill").unwrap_or(0);
    }
    if has("pids") {
        let limit = number("pids.max");
        usage.tasks = number("pids.current").map(|used| Gauge { used, limit });
        usage.refused = field(read("pids.events"), "max").unwrap_or(0);
    }
    if has("cpu") {
        let quota = read("cpu.cfs_quota_us").and_then(|text| number_signed(text.trim()));
        usage.cpu =
            quota.zip(number("cpu.cfs_period_us")).map(|(quota, period)| quota * 1000 / period.max(1));
    }
    if has("cpuset") {
        usage.cpus = read("cpuset.cpus").map(|text| text.trim().to_owned());
    }
    if has("blkio") {
        for (file, words) in [
            ("read_bps", "bytes/s read"),
            ("write_bps", "bytes/s written"),
            ("read_iops", "reads/s"),
            ("write_iops", "writes/s"),
        ] {
            let text = read(&format!("blkio.throttle.{file}_device")).unwrap_or_default();
            let lines = text.lines().filter_map(|line| line.split_once(' '));
            usage.io.extend(lines.map(|(disk, value)| (disk.to_owned(), format!("{value} {words}"))));
        }
    }
}

fn version_2(usage: &mut Usage, read: &dyn Fn(&str) -> Option<String>) {
    let number = |file: &str| number(read(file)?.trim());
    // Beside version 1 it may have nothing of what that has.
    if let Some(used) = number("memory.current") {
        usage.memory = Some(Gauge { used, limit: number("memory.max") });
        usage.killed = field(read("memory.events"), "oom_kill").unwrap_or(0);
    }
    if let Some(used) = number("pids.current") {
        usage.tasks = Some(Gauge { used, limit: number("pids.max") });
        usage.refused = field(read("pids.events"), "max").unwrap_or(0);
    }
    usage.cpu_time = field(read("cpu.stat"), "usage_usec");
    let quota = read("cpu.max").and_then(|text| {
        let (quota, period) = text.trim().split_once(' ')?;
        Some(quota.parse::<u64>().ok()? * 1000 / period.parse::<u64>().ok()?.max(1))
    });
    usage.cpu = quota.or(usage.cpu);
    let cpus = read("cpuset.cpus").map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    usage.cpus = cpus.or(usage.cpus.take());
    for line in read("io.max").unwrap_or_default().lines() {
        if let Some((disk, rest)) = line.split_once(' ') {
            let set: Vec<&str> = rest.split(' ').filter(|word| !word.ends_with("=max")).collect();
            usage.io.push((disk.to_owned(), set.join(" ")));
        }
    }
}

/// A number; `max` is none.
fn number(text: &str) -> Option<u64> {
    text.parse().ok()
}

fn number_signed(text: &str) -> Option<u64> {
    text.parse::<i64>().ok().and_then(|n| u64::try_from(n).ok())
}

/// The number after a word, a line each.
pub fn field(text: Option<String>, name: &str) -> Option<u64> {
    text?.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

impl Usage {
    /// Limit, use, and how much at most, in words.
    pub fn lines(&self) -> Vec<[String; 3]> {
        let mut lines = Vec::new();
        let mut add = |limit: &str, used: String, most: String| lines.push([limit.to_owned(), used, most]);
        let none = || "unlimited".to_owned();
        if let Some(memory) = self.memory {
            add("memory", rounded(memory.used), memory.limit.map_or_else(none, bytes));
        }
        if let Some(tasks) = self.tasks {
            add("tasks", tasks.used.to_string(), tasks.limit.map_or_else(none, |n| n.to_string()));
        }
        if self.cpu.is_some() || self.cpu_time.is_some() {
            let used = self.cpu_time.map_or("-".into(), |t| format!("{:.1} s so far", t as f64 / 1e6));
            add("cpu", used, self.cpu.map_or_else(none, share));
        }
        if let Some(cpus) = &self.cpus {
            add("cpus", "-".into(), cpus.clone());
        }
        for (disk, limit) in &self.io {
            add(&format!("io {disk}"), "-".into(), limit.clone());
        }
        lines
    }

    /// In one cell of a table.
    pub fn summary(&self) -> String {
        let mut parts = Vec::new();
        if let Some(Gauge { used, limit: Some(limit) }) = self.memory {
            parts.push(format!("memory {} of {}", rounded(used), bytes(limit)));
        }
        if let Some(Gauge { used, limit: Some(limit) }) = self.tasks {
            parts.push(format!("tasks {used} of {limit}"));
        }
        parts.extend(self.cpu.map(|cpu| format!("cpu {}", share(cpu))));
        parts.extend(self.cause());
        if parts.is_empty() { "none".into() } else { parts.join(", ") }
    }

    /// What limits have done to it.
    pub fn cause(&self) -> Option<String> {
        let memory =
            self.memory.and_then(|memory| memory.limit).map_or(String::new(), |n| format!(" {}", bytes(n)));
        let tasks = self.tasks.and_then(|tasks| tasks.limit).map_or(String::new(), |n| format!(" {n}"));
        match (self.killed, self.refused) {
            (0, 0) => None,
            (0, n) => Some(format!("{n} times no more than the tasks limit{tasks}")),
            (n, _) => Some(format!("{n} killed by the kernel: memory limit{memory}")),
        }
    }
}

/// A part of CPUs as it is written in a spec.
pub fn share(thousandths: u64) -> String {
    let (whole, tenth) = (thousandths / 10, thousandths % 10);
    if tenth == 0 { format!("{whole}%") } else { format!("{whole}.{tenth}%") }
}

/// A size with one digit behind the point.
pub fn rounded(n: u64) -> String {
    let unit = |shift: u32, name: &str| format!("{:.1} {name}", n as f64 / (1u64 << shift) as f64);
    match n {
        n if n >= 1 << 30 => unit(30, "GiB"),
        n if n >= 1 << 20 => unit(20, "MiB"),
        n if n >= 1 << 10 => unit(10, "KiB"),
        n => format!("{n} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        |wanted| files.iter().find(|(name, _)| *name == wanted).map(|(_, text)| (*text).to_owned())
    }

    #[test]
    fn both_versions_say_the_same() {
        let mut one = Usage::default();
        let files = read(&[
            ("memory.limit_in_bytes", "268435456\n"),
            ("memory.usage_in_bytes", "1048576\n"),
            ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
            ("pids.max", "64\n"),
            ("pids.current", "3\n"),
            ("pids.events", "max 0\n"),
            ("cpu.cfs_quota_us", "30000\n"),
            ("cpu.cfs_period_us", "100000\n"),
            ("blkio.throttle.read_bps_device", "8:0 1048576\n"),
        ]);
        version_1(&mut one, &|_| true, &files);
        let mut two = Usage::default();
        let files = read(&[
            ("memory.max", "268435456\n"),
            ("memory.current", "1048576\n"),
            ("memory.events", "low 0\nhigh 0\nmax 7\noom 2\noom_kill 2\noom_group_kill 0\n"),
            ("pids.max", "64\n"),
            ("pids.current", "3\n"),
            ("cpu.max", "30000 100000\n"),
            ("io.max", "8:0 rbps=1048576 wbps=max riops=max wiops=max\n"),
        ]);
        version_2(&mut two, &files);
        let said =
            "memory 1.0 MiB of 256 MiB, tasks 3 of 64, cpu 30%, 2 killed by the kernel: memory limit 256 MiB";
        assert_eq!((one.summary(), two.summary()), (said.into(), said.into()));
        assert_eq!(one.io, [("8:0".into(), "1048576 bytes/s read".into())]);
        assert_eq!(two.io, [("8:0".into(), "rbps=1048576".into())]);
    }

    #[test]
    fn what_is_unlimited_is_said() {
        let mut one = Usage::default();
        let files = read(&[
            ("memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory.usage_in_bytes", "5\n"),
            ("pids.max", "max\n"),
            ("pids.current", "3\n"),
            ("pids.events", "max 4\n"),
            ("cpu.cfs_quota_us", "-1\n"),
            ("cpu.cfs_period_us", "100000\n"),
        ]);
        version_1(&mut one, &|_| true, &files);
        assert_eq!((one.memory, one.cpu), (Some(Gauge { used: 5, limit: None }), None));
        assert_eq!(one.summary(), "4 times no more than the tasks limit");
        assert_eq!(Usage::default().summary(), "none");
        assert_eq!(share(125), "12.5%");
    }
}
