//! `jail limit` as it is typed, and its limits as those of a spec.
//!
//! Must not know: what a limit means.
#![forbid(unsafe_code)]

use super::flags::Line;
use crate::problem::{At, Problem, Problems, Sources};
use crate::spec::value::limits::{cpu, cpus, device, integer, memory, rate, swap};
use crate::spec::value::{TASKS, WEIGHT};
use crate::spec::{IoEntry, Limits};
use clap::{Args, ValueHint};

/// What is limited, and to how much.
#[derive(Clone, PartialEq, Eq, Debug, Default, Args)]
pub struct Limit {
    /// How much memory: 512M
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<String>,
    /// Above this it is slowed down (cgroup v2)
    #[arg(long, value_name = "SIZE")]
    pub memory_high: Option<String>,
    /// How much swap; 0: none
    #[arg(long, value_name = "SIZE")]
    pub swap: Option<String>,
    /// How much CPU time: 30%, or "2.5 cores"
    #[arg(long, value_name = "SHARE")]
    pub cpu: Option<String>,
    /// Share of CPU time where others want it, too: 1 to 10000, 100 is usual
    #[arg(long, value_name = "N")]
    pub cpu_weight: Option<String>,
    /// The only CPUs: 0-3,6
    #[arg(long, value_name = "SET")]
    pub cpus: Option<String>,
    /// How many processes and threads
    #[arg(long, value_name = "N")]
    pub tasks: Option<String>,
    /// How fast each disk is read: 10M, "500 iops", or both with a comma
    #[arg(long, value_name = "RATE")]
    pub io_read: Option<String>,
    /// How fast each disk is written
    #[arg(long, value_name = "RATE")]
    pub io_write: Option<String>,
    /// Only the disk that this path is on, or of these numbers, in place of each
    #[arg(long, value_name = "PATH|MAJOR:MINOR", value_hint = ValueHint::AnyPath)]
    pub disk: Vec<String>,
    /// Share of disks where others want them, too: 1 to 10000, 100 is usual
    #[arg(long, value_name = "N")]
    pub io_weight: Option<String>,
    /// Run the command as this user
    #[arg(short, long, value_name = "USER", value_hint = ValueHint::Username)]
    pub user: Option<String>,
    /// Move a running process, with all its threads
    #[arg(long, value_name = "N")]
    pub pid: Vec<i32>,
    /// With all that they have started
    #[arg(long, requires = "pid")]
    pub tree: bool,
    /// Show limits and use of a jail, of processes, or of all running jails
    #[arg(long)]
    pub show: bool,
    /// Show what would be done; nothing is done
    #[arg(long)]
    pub dry_run: bool,
    /// A running jail, as `jail ps` lists it
    #[arg(conflicts_with_all = ["pid", "command", "user"])]
    pub name: Option<String>,
    /// The command and its arguments
    #[arg(last = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments, conflicts_with = "pid")]
    pub command: Vec<String>,
}

/// The limits as a spec would have them; the words become a source.
///
/// # Errors
/// All values that cannot be, or none at all.
pub fn limits(flags: &Limit, words: &[String], sources: &mut Sources) -> Result<Limits, Problems> {
    let mut line = Line::new(words, sources);
    let weight = |text: &str| integer(text, &WEIGHT);
    let mut limits = Limits {
        memory: parsed(&mut line, &flags.memory, "memory", "512M", memory),
        memory_high: parsed(&mut line, &flags.memory_high, "memory-high", "512M", memory),
        swap: parsed(&mut line, &flags.swap, "swap", "0", swap),
        cpu: parsed(&mut line, &flags.cpu, "cpu", "30%", cpu),
        cpu_weight: parsed(&mut line, &flags.cpu_weight, "cpu-weight", "50", weight),
        cpus: parsed(&mut line, &flags.cpus, "cpus", "0-3,6", cpus),
        tasks: parsed(&mut line, &flags.tasks, "tasks", "64", |text| integer(text, &TASKS)),
        io_read: parsed(&mut line, &flags.io_read, "io-read", "10M", rate),
        io_write: parsed(&mut line, &flags.io_write, "io-write", "10M", rate),
        io_weight: parsed(&mut line, &flags.io_weight, "io-weight", "50", weight),
        ..Limits::default()
    };
    for disk in line.all(&flags.disk, "disk") {
        let numbers = device(&disk.value).ok();
        let entry = IoEntry {
            path: numbers.is_none().then_some(disk.value),
            device: numbers,
            read: limits.io_read.as_ref().map(|rate| rate.value),
            write: limits.io_write.as_ref().map(|rate| rate.value),
        };
        if entry.read.or(entry.write).is_none() {
            let problem = Problem::usage("--disk says which disk, but not how fast").at(disk.at);
            line.problems.push(problem.help("add --io-read 10M, --io-write 10M, or both"));
        }
        limits.io.push(At::new(entry, disk.at));
    }
    if !limits.io.is_empty() {
        (limits.io_read, limits.io_write) = (None, None);
    }
    if line.problems.0.is_empty() && limits == Limits::default() {
        let problem = Problem::usage("no limit is given");
        line.problems.push(problem.help("for example: jail limit --memory 512M --cpu 30% -- COMMAND"));
    }
    line.problems.none_or(limits)
}

fn parsed<T>(
    line: &mut Line<'_>,
    value: &Option<String>,
    flag: &str,
    example: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Option<At<T>> {
    let text = line.one(value.as_ref(), flag)?;
    match read(&text.value) {
        Ok(value) => Some(At::new(value, text.at)),
        Err(clause) => {
            let problem = Problem::usage(format!("--{flag} {clause}")).at(text.at);
            line.problems.push(problem.help(format!("for example: --{flag} {example}")));
            None
        }
    }
}
