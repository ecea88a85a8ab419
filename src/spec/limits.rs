//! `[limits]`, as written.
//!
//! Must not know: which controller enforces what.
#![forbid(unsafe_code)]

use crate::problem::At;

/// `[limits]`: how much of the machine the program may use, all its processes together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// Bytes.
    pub memory: Option<At<u64>>,
    /// Bytes above which it is slowed down.
    pub memory_high: Option<At<u64>>,
    /// Bytes of swap; 0: none.
    pub swap: Option<At<u64>>,
    /// Thousandths of one CPU.
    pub cpu: Option<At<u32>>,
    /// 1..=10000
    pub cpu_weight: Option<At<i64>>,
    /// Numbers of CPUs, in order, each once.
    pub cpus: Option<At<Vec<u32>>>,
    /// Processes and threads.
    pub tasks: Option<At<i64>>,
    /// From each disk.
    pub io_read: Option<At<Rate>>,
    /// To each disk.
    pub io_write: Option<At<Rate>>,
    /// Of single disks.
    pub io: Vec<At<IoEntry>>,
    /// 1..=10000
    pub io_weight: Option<At<i64>>,
    /// Run when the kernel has killed something of it for its memory.
    pub on_oom: Option<At<Vec<String>>>,
    /// Run when it uses much memory.
    pub on_memory: Option<At<OnMemory>>,
}

/// How fast a disk may be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rate {
    /// Bytes a second.
    pub bytes: Option<u64>,
    /// Operations a second.
    pub operations: Option<u64>,
}

/// A block device by its numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Device {
    /// Which driver.
    pub major: u32,
    /// Which of its devices.
    pub minor: u32,
}

impl core::fmt::Display for Device {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// An entry of `io`: the disk of a path, or a device.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct IoEntry {
    /// Host path that is on it.
    pub path: Option<String>,
    /// Itself.
    pub device: Option<Device>,
    /// From it.
    pub read: Option<Rate>,
    /// To it.
    pub write: Option<Rate>,
}

/// `on-memory`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OnMemory {
    /// Bytes.
    pub above: u64,
    /// Program and arguments.
    pub run: Vec<String>,
}
