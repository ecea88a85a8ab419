//! What is known of this host's control groups and disks, as plain data.
//!
//! Must not know: how it was found, or which limits are wanted.
#![forbid(unsafe_code)]

use crate::jail::path::AbsPath;
use crate::spec::Device;
use std::collections::BTreeMap;

/// What must be known of the host for limits.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Asked {
    /// Paths whose disks are limited.
    pub paths: Vec<AbsPath>,
    /// Devices that are limited.
    pub devices: Vec<Device>,
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cgroups {
    /// Those that are mounted.
    pub hierarchies: Vec<Hierarchy>,
    /// systemd runs this host (sd_booted(3)).
    pub systemd: bool,
    /// A word that no other group has in its name.
    pub unique: String,
    /// CPUs that the caller may run on.
    pub cpus: Vec<u32>,
    /// Every disk of which something is mounted.
    pub disks: Vec<Device>,
    /// By the path asked for.
    pub paths: BTreeMap<AbsPath, Result<Vec<Device>, NoDisk>>,
    /// By the device asked for: itself, or the disk that it is a partition of.
    pub devices: BTreeMap<Device, Result<Device, NoDisk>>,
    /// What shares a disk by weight here.
    pub weighting: Weighting,
}

impl Cgroups {
    /// Of a host that is not looked at: version 2 without a manager, and a disk for whatever is asked.
    pub fn assumed(asked: &Asked) -> Self {
        let path = AbsPath::root().join("sys").join("fs").join("cgroup");
        let controllers = ["cpuset", "cpu", "io", "memory", "pids"].map(str::to_owned).to_vec();
        let level = Level { path, controllers, enabled: Vec::new(), delegated: false, writable: true };
        let disk = Device { major: 8, minor: 0 };
        Cgroups {
            hierarchies: vec![Hierarchy { levels: vec![level], whole: true, ..Hierarchy::default() }],
            unique: "00000000".into(),
            cpus: (0..8192).collect(),
            disks: vec![disk],
            paths: asked.paths.iter().map(|path| (path.clone(), Ok(vec![disk]))).collect(),
            devices: asked.devices.iter().map(|device| (*device, Ok(*device))).collect(),
            weighting: Weighting::Cost,
            systemd: false,
        }
    }
}

/// Which cgroup interface a hierarchy has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Version {
    /// Some controllers each (Documentation/admin-guide/cgroup-v1).
    One,
    /// All in one (Documentation/admin-guide/cgroup-v2.rst).
    #[default]
    Two,
}

/// A mounted tree of groups.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hierarchy {
    /// Its interface.
    pub version: Version,
    /// Of version 1: what it was mounted with, `name=systemd` too.
    pub controllers: Vec<String>,
    /// From the top of the mount to the group that the caller is in; empty: that one lies outside.
    pub levels: Vec<Level>,
    /// The top of the mount is the kernel's root group, not that of a container.
    pub whole: bool,
    /// Other processes in the caller's group.
    pub others: usize,
    /// Of the controller cpuset, version 1: the CPUs and memory nodes of the caller's group.
    pub cpuset: Option<(String, String)>,
}

/// A group on the way to the caller's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Level {
    /// Its directory on this host.
    pub path: AbsPath,
    /// cgroup.controllers.
    pub controllers: Vec<String>,
    /// cgroup.subtree_control.
    pub enabled: Vec<String>,
    /// systemd has given it away (Delegate=yes; the extended attribute trusted.delegate or
    /// user.delegate).
    pub delegated: bool,
    /// The caller may make groups in it.
    pub writable: bool,
}

/// Why a path or device has no disk that could be limited.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NoDisk {
    /// It is not there: errno.
    Missing(i32),
    /// It is on a file system of this kind, which no block device is under.
    FileSystem(String),
}

/// How disks are shared by weight.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Weighting {
    /// Not at all.
    #[default]
    Nothing,
    /// By the scheduler bfq of some disk.
    Bfq,
    /// By the cost model of version 2 (io.cost.qos).
    Cost,
}
