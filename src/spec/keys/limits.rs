//! Keys of `[limits]`, and of its entries.
#![forbid(unsafe_code)]

use super::entries::key;
use super::{Key, Kind};
use crate::spec::value::{TASKS, WEIGHT};
use crate::spec::{IoEntry, OnMemory};

const TABLE: &str = "limits";
const WEIGHTS: Kind = Kind::Integer(*WEIGHT.start(), *WEIGHT.end());

/// `[limits]`, in the order of the reference.
pub static LIMITS: &[Key] = &[
    key(
        TABLE,
        ("memory", Kind::Size, "unlimited", r#""256M""#),
        "how much memory it may use, files that it reads and writes included",
        "At least 1M. Above it the kernel first takes back memory of files, then kills the largest process of the \
         jail. Swap is not counted: see `swap`.",
        |spec, reader, item| spec.limits.memory = reader.memory(item),
    ),
    key(
        TABLE,
        ("memory-high", Kind::Size, "unlimited", r#""200M""#),
        "above this its memory is taken back and it is slowed down, but nothing is killed",
        "Needs cgroup v2: the soft limit of v1 does nothing until the whole host lacks memory.",
        |spec, reader, item| spec.limits.memory_high = reader.memory(item),
    ),
    key(
        TABLE,
        ("swap", Kind::Size, "unlimited", r#""0""#),
        "how much swap it may use; \"0\": none",
        "On cgroup v1 it needs `memory`, too.",
        |spec, reader, item| spec.limits.swap = reader.swap(item),
    ),
    key(
        TABLE,
        ("cpu", Kind::Cpu, "unlimited", r#""150%""#),
        "how much CPU time it may use: \"30%\" of one CPU, or \"2.5 cores\"",
        "From 1% up. Counted in periods of 100 ms: who has used up its share waits for the next one.",
        |spec, reader, item| spec.limits.cpu = reader.cpu(item),
    ),
    key(
        TABLE,
        ("cpu-weight", WEIGHTS, "100", "50"),
        "its share of CPU time where others want it, too",
        "",
        |spec, reader, item| spec.limits.cpu_weight = reader.integer(item, &WEIGHT),
    ),
    key(
        TABLE,
        ("cpus", Kind::CpuSet, "all", r#""0-3,6""#),
        "the only CPUs that it may run on",
        "",
        |spec, reader, item| spec.limits.cpus = reader.cpus(item),
    ),
    key(
        TABLE,
        ("tasks", Kind::Integer(*TASKS.start(), *TASKS.end()), "unlimited", "64"),
        "how many processes and threads there may be in the jail, its pid 1 among them",
        "More of them cannot be made: fork(2) fails with EAGAIN.",
        |spec, reader, item| spec.limits.tasks = reader.integer(item, &TASKS),
    ),
    key(
        TABLE,
        ("io-read", Kind::Rate, "unlimited", r#""10M""#),
        "how fast it may read from each disk: bytes a second, operations a second, or both",
        "\"10M\", \"500 iops\", \"10M, 500 iops\". Every disk of which the host has mounted something; `io` is for \
         single ones. What is in the page cache is not read from a disk.",
        |spec, reader, item| spec.limits.io_read = reader.rate(item),
    ),
    key(
        TABLE,
        ("io-write", Kind::Rate, "unlimited", r#""10M""#),
        "how fast it may write to each disk, as `io-read`",
        "On cgroup v1 the kernel limits direct and synchronous writing alone: other writes reach the disk later, \
         in the kernel's own name.",
        |spec, reader, item| spec.limits.io_write = reader.rate(item),
    ),
    key(
        TABLE,
        (
            "io",
            Kind::IoEntries,
            "none",
            r#"[{ path = "/var/lib/x", read = "10M", write = "10M, 100 iops" }]"#,
        ),
        "how fast it may use the disk that a path is on, or a device",
        "An entry goes before `io-read` and `io-write`. Partitions share the limit of their disk.",
        |spec, reader, item| reader.io_entries(item, &mut spec.limits.io),
    ),
    key(
        TABLE,
        ("io-weight", WEIGHTS, "100", "50"),
        "its share of a disk where others want it, too",
        "Needs a disk with the scheduler bfq, or on cgroup v2 io.cost.qos.",
        |spec, reader, item| spec.limits.io_weight = reader.integer(item, &WEIGHT),
    ),
    key(
        TABLE,
        ("on-oom", Kind::Strings, "none", r#"["/usr/bin/logger", "web is out of memory"]"#),
        "run outside when the kernel has killed a process of it because of `memory`",
        "As who runs jail, not confined, with JAIL_NAME and JAIL_CAUSE set; at most once in ten seconds. The \
         program is named by its whole path. A jail that is executed in place has nobody to run it.",
        |spec, reader, item| spec.limits.on_oom = reader.command(item),
    ),
    key(
        TABLE,
        (
            "on-memory",
            Kind::OnMemory,
            "none",
            r#"{ above = "200M", run = ["/usr/bin/logger", "web grows"] }"#,
        ),
        "run outside when it uses more memory than this",
        "Looked at once a second; as `on-oom`, and again only after the use was below.",
        |spec, reader, item| spec.limits.on_memory = reader.on_memory(item),
    ),
];

const IO: &str = "io entry";

/// An entry of `io`.
pub static IO_ENTRY: &[Key<IoEntry>] = &[
    key(
        IO,
        ("path", Kind::String, "", r#""/var/lib/x""#),
        "host path: of the disk that it is on",
        "Found through partitions, device mapper, overlay and btrfs.",
        |entry, reader, item| entry.path = reader.string(item).map(|s| s.value),
    ),
    key(
        IO,
        ("device", Kind::Device, "that of `path`", r#""8:0""#),
        "in place of `path`: the numbers of a disk, as in /sys/block/NAME/dev",
        "",
        |entry, reader, item| entry.device = reader.device(item),
    ),
    key(
        IO,
        ("read", Kind::Rate, "`io-read`", r#""10M""#),
        "how fast it may be read",
        "",
        |entry, reader, item| entry.read = reader.rate(item).map(|r| r.value),
    ),
    key(
        IO,
        ("write", Kind::Rate, "`io-write`", r#""500 iops""#),
        "how fast it may be written",
        "",
        |entry, reader, item| entry.write = reader.rate(item).map(|r| r.value),
    ),
];

/// `on-memory`.
pub static ON_MEMORY: &[Key<OnMemory>] = &[
    key(
        "on-memory table",
        ("above", Kind::Size, "", r#""200M""#),
        "more than this",
        "",
        |entry, reader, item| {
            if let Some(size) = reader.memory(item) {
                entry.above = size.value;
            }
        },
    ),
    key(
        "on-memory table",
        ("run", Kind::Strings, "", r#"["/usr/bin/logger", "web grows"]"#),
        "program, named by its whole path, and arguments",
        "",
        |entry, reader, item| {
            if let Some(command) = reader.command(item) {
                entry.run = command.value;
            }
        },
    ),
];
