//! A limit as what is written to which file of a group.
//!
//! Must not know: where the group is.
#![forbid(unsafe_code)]

use super::facts::{Version, Weighting};
use super::place::Controller;
use crate::problem::{At, Span};
use crate::spec::{Device, Limits, Rate};

/// Microseconds; the kernel's default.
const PERIOD: u64 = 100_000;

/// What is written to one file of a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Write {
    /// Which, by its path below the group that it is said of.
    pub file: String,
    /// What.
    pub text: String,
    /// Who asked for it.
    pub at: Option<Span>,
}

impl Write {
    pub(super) fn new(file: impl Into<String>, text: impl Into<String>, at: impl Into<Option<Span>>) -> Self {
        Write { file: file.into(), text: text.into(), at: at.into() }
    }
}

/// Limits of one disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DiskLimit {
    /// Which.
    pub device: Device,
    /// From it.
    pub read: Option<Rate>,
    /// To it.
    pub write: Option<Rate>,
    /// Who asked for it.
    pub at: Span,
}

/// The limits of one controller, in an order that the kernel takes.
pub fn of(
    controller: Controller,
    version: Version,
    limits: &Limits,
    disks: &[DiskLimit],
    weighting: Weighting,
) -> Vec<Write> {
    match (controller, version) {
        (Controller::Memory, Version::One) => memory_1(limits),
        (Controller::Memory, Version::Two) => memory_2(limits),
        (Controller::Cpu, version) => cpu(version, limits),
        (Controller::Cpuset, _) => {
            let list = |cpus: &At<Vec<u32>>| {
                let numbers: Vec<String> = cpus.value.iter().map(u32::to_string).collect();
                Write::new("cpuset.cpus", numbers.join(","), cpus.at)
            };
            limits.cpus.iter().map(list).collect()
        }
        (Controller::Pids, _) => number("pids.max", limits.tasks.as_ref()).into_iter().collect(),
        (Controller::Io, version) => io(version, limits, disks, weighting),
    }
}

fn number<T: ToString>(file: &str, value: Option<&At<T>>) -> Option<Write> {
    value.map(|value| Write::new(file, value.value.to_string(), value.at))
}

/// There the limit of swap is one of both together, and never below that of memory alone.
fn memory_1(limits: &Limits) -> Vec<Write> {
    let both = limits.memory.as_ref().zip(limits.swap.as_ref());
    let both = both.map(|(memory, swap)| At::new(memory.value.saturating_add(swap.value), swap.at));
    [
        number("memory.limit_in_bytes", limits.memory.as_ref()),
        number("memory.memsw.limit_in_bytes", both.as_ref()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn memory_2(limits: &Limits) -> Vec<Write> {
    [
        number("memory.high", limits.memory_high.as_ref()),
        number("memory.max", limits.memory.as_ref()),
        number("memory.swap.max", limits.swap.as_ref()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn cpu(version: Version, limits: &Limits) -> Vec<Write> {
    let quota = |share: &At<u32>| {
        let quota = u64::from(share.value) * PERIOD / 1000;
        match version {
            Version::One => Write::new("cpu.cfs_quota_us", quota.to_string(), share.at),
            Version::Two => Write::new("cpu.max", format!("{quota} {PERIOD}"), share.at),
        }
    };
    let weight = |weight: &At<i64>| match version {
        // 1024 shares are what a weight of 100 is.
        Version::One => Write::new("cpu.shares", (weight.value * 1024 / 100).max(2).to_string(), weight.at),
        Version::Two => Write::new("cpu.weight", weight.value.to_string(), weight.at),
    };
    limits.cpu.iter().map(quota).chain(limits.cpu_weight.iter().map(weight)).collect()
}

fn io(version: Version, limits: &Limits, disks: &[DiskLimit], weighting: Weighting) -> Vec<Write> {
    let mut writes = Vec::new();
    for disk in disks {
        let (read, write) = (disk.read.unwrap_or_default(), disk.write.unwrap_or_default());
        let each = [
            ("read_bps", "rbps", read.bytes),
            ("write_bps", "wbps", write.bytes),
            ("read_iops", "riops", read.operations),
            ("write_iops", "wiops", write.operations),
        ];
        let each = each.iter().filter_map(|(one, two, value)| Some((one, two, (*value)?)));
        match version {
            Version::One => writes.extend(each.map(|(one, _, value)| {
                Write::new(
                    format!("blkio.throttle.{one}_device"),
                    format!("{} {value}", disk.device),
                    disk.at,
                )
            })),
            Version::Two => {
                let all: Vec<String> = each.map(|(_, two, value)| format!("{two}={value}")).collect();
                writes.push(Write::new("io.max", format!("{} {}", disk.device, all.join(" ")), disk.at));
            }
        }
    }
    if let Some(weight) = &limits.io_weight {
        // bfq knows weights up to 1000 only.
        let bfq = weight.value.min(1000).to_string();
        writes.push(match (version, weighting) {
            (Version::One, _) => Write::new("blkio.bfq.weight", bfq, weight.at),
            (Version::Two, Weighting::Bfq) => Write::new("io.bfq.weight", bfq, weight.at),
            (Version::Two, _) => Write::new("io.weight", weight.value.to_string(), weight.at),
        });
    }
    writes
}
