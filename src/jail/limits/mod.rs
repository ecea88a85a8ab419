//! `[limits]` resolved: which groups are made where, and what is written to their files.
//!
//! `facts` is what is known of the host, `place` says where a group may be made, `writes` what a
//! limit is in files. Must not know: how a file is written.
#![forbid(unsafe_code)]

pub mod facts;
pub mod place;
mod writes;

pub use facts::{Asked, Cgroups, Version};
pub use writes::{DiskLimit, Write, of as writes};

use super::ask::checked;
use super::path::AbsPath;
use super::resolve::Context;
use crate::problem::{At, Problem, Problems, Span};
use crate::spec::{self, Device, IoEntry, Rate, Spec};
use facts::{NoDisk, Weighting};
use place::{Base, Controller, LEAF, OURS, Refusal};
use std::collections::BTreeMap;

/// The groups of a jail, and what is done while it runs in them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// One for each hierarchy that is needed.
    pub groups: Vec<Group>,
    /// Commands that are run outside.
    pub hooks: Hooks,
}

/// Commands that are run outside, each with its program first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hooks {
    /// When the kernel has killed for memory.
    pub oom: Vec<String>,
    /// When more memory is used than this many bytes.
    pub memory: Option<(u64, Vec<String>)>,
}

/// A group of one hierarchy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// Its interface.
    pub version: Version,
    /// What it limits, as the kernel calls it.
    pub controllers: Vec<&'static str>,
    /// The directory of the group that it is made below.
    pub base: AbsPath,
    /// Its own directory: in `jail` below the base.
    pub path: AbsPath,
    /// Where who starts it goes, out of the base, before controllers are enabled in there.
    pub leaf: Option<AbsPath>,
    /// Said of the base, before anything is said of the group.
    pub above: Vec<Write>,
    /// Said of the group.
    pub limits: Vec<Write>,
}

/// What must be asked of the host.
pub fn ask(spec: &Spec) -> Option<Asked> {
    let limits = &spec.limits;
    if *limits == spec::Limits::default() {
        return None;
    }
    let paths = limits.io.iter().filter_map(|entry| AbsPath::new(entry.value.path.as_ref()?).ok());
    let devices = limits.io.iter().filter_map(|entry| entry.value.device);
    Some(Asked { paths: paths.collect(), devices: devices.collect() })
}

impl Context<'_> {
    /// Everything of `[limits]`. `supervised`: a process stays that can run hooks.
    pub(super) fn limits(&mut self, name: &str, spec: &Spec, supervised: bool) -> Limits {
        let hooks = hooks(&spec.limits, supervised, &mut self.problems);
        let none = Cgroups::default();
        let cgroups = self.facts.cgroups.as_ref().unwrap_or(&none);
        match groups(name, &spec.limits, cgroups) {
            Ok(groups) => Limits { groups, hooks },
            Err(mut problems) => {
                self.problems.0.append(&mut problems.0);
                Limits::default()
            }
        }
    }
}

/// The groups for these limits, on a host like this.
///
/// # Errors
/// All limits that this host cannot enforce.
pub fn groups(name: &str, limits: &spec::Limits, cgroups: &Cgroups) -> Result<Vec<Group>, Problems> {
    let mut problems = Problems::default();
    let disks = disks(limits, cgroups, &mut problems);
    let mut groups: Vec<Group> = Vec::new();
    for (controller, at) in wanted(limits) {
        let base = match place::base(cgroups, controller) {
            Ok(base) => base,
            // Of the rest the same would be said.
            Err(Refusal::All(problem)) => {
                problems.push(problem.at(at));
                return Err(problems);
            }
            Err(Refusal::One(problem)) => {
                problems.push(problem.at(at));
                continue;
            }
        };
        unfit(controller, base, limits, cgroups, &mut problems);
        let version = base.hierarchy.version;
        let writes = writes(controller, version, limits, &disks, cgroups.weighting);
        let path = base.level.path.join(OURS).join(&format!("{name}-{}", cgroups.unique));
        let index = groups.iter().position(|group| group.path == path).unwrap_or(groups.len());
        if index == groups.len() {
            groups.push(Group {
                version,
                controllers: Vec::new(),
                leaf: base.leave.then(|| base.level.path.join(LEAF)),
                base: base.level.path.clone(),
                path,
                above: Vec::new(),
                limits: Vec::new(),
            });
        }
        groups[index].add(controller, base, writes);
    }
    problems.none_or(groups)
}

impl Group {
    fn add(&mut self, controller: Controller, base: Base<'_>, writes: Vec<Write>) {
        let name = controller.name(self.version);
        self.controllers.push(name);
        match (self.version, &base.hierarchy.cpuset) {
            (Version::Two, _) => {
                if self.above.is_empty() {
                    let enable = |file: String| Write::new(file, String::new(), None);
                    self.above.push(enable("cgroup.subtree_control".into()));
                    self.above.push(enable(format!("{OURS}/cgroup.subtree_control")));
                }
                for enabled in &mut self.above {
                    let blank = if enabled.text.is_empty() { "" } else { " " };
                    enabled.text += &format!("{blank}+{name}");
                }
            }
            // A group of version 1 has no CPU and no memory until it is given some.
            (Version::One, Some((cpus, mems))) if controller == Controller::Cpuset => {
                self.above.push(Write::new(format!("{OURS}/cpuset.cpus"), cpus, None));
                self.above.push(Write::new(format!("{OURS}/cpuset.mems"), mems, None));
                self.limits.push(Write::new("cpuset.mems", mems, None));
            }
            (Version::One, _) => {}
        }
        self.limits.extend(writes);
    }
}

/// The disks of limits that take the place of others.
///
/// # Errors
/// What is on no disk.
pub fn changed_disks(limits: &spec::Limits, cgroups: &Cgroups) -> Result<Vec<DiskLimit>, Problems> {
    let mut problems = Problems::default();
    let disks = disks(limits, cgroups, &mut problems);
    problems.none_or(disks)
}

/// The controllers that are needed, each with a place that asks for it.
pub fn wanted(limits: &spec::Limits) -> Vec<(Controller, Span)> {
    fn at<T>(value: &Option<At<T>>) -> Option<Span> {
        value.as_ref().map(|value| value.at)
    }
    let memory = [
        at(&limits.memory),
        at(&limits.memory_high),
        at(&limits.swap),
        at(&limits.on_oom),
        at(&limits.on_memory),
    ];
    let io =
        [at(&limits.io_read), at(&limits.io_write), limits.io.first().map(|e| e.at), at(&limits.io_weight)];
    let first = |places: &[Option<Span>]| places.iter().copied().flatten().next();
    [
        (Controller::Memory, first(&memory)),
        (Controller::Cpu, first(&[at(&limits.cpu), at(&limits.cpu_weight)])),
        (Controller::Cpuset, at(&limits.cpus)),
        (Controller::Pids, at(&limits.tasks)),
        (Controller::Io, first(&io)),
    ]
    .into_iter()
    .filter_map(|(controller, at)| Some((controller, at?)))
    .collect()
}

/// What a controller that is there still cannot do here.
fn unfit(
    controller: Controller,
    base: Base<'_>,
    limits: &spec::Limits,
    cgroups: &Cgroups,
    problems: &mut Problems,
) {
    let one = base.hierarchy.version == Version::One;
    if let (Controller::Memory, true, Some(high)) = (controller, one, &limits.memory_high) {
        let problem = Problem::set_up(
            "`memory-high` cannot be enforced: this host has the controller memory in cgroup v1",
        );
        problems.push(
            problem
                .at(high.at)
                .help("use `memory`; or boot the host with cgroup v2 (systemd.unified_cgroup_hierarchy=1)"),
        );
    }
    if let (Controller::Memory, true, Some(swap), None) = (controller, one, &limits.swap, &limits.memory) {
        let problem =
            Problem::set_up("`swap` cannot be enforced alone: cgroup v1 limits memory and swap together");
        problems.push(problem.at(swap.at).help("limit `memory`, too"));
    }
    if let (Controller::Cpuset, Some(cpus)) = (controller, &limits.cpus) {
        let missing: Vec<String> =
            cpus.value.iter().filter(|cpu| !cgroups.cpus.contains(cpu)).map(u32::to_string).collect();
        if !missing.is_empty() {
            let there: Vec<String> = cgroups.cpus.iter().map(u32::to_string).collect();
            let problem = Problem::set_up(format!("there is no CPU {} for jail here", missing.join(", ")));
            problems.push(problem.at(cpus.at).help(format!("those that it may run on: {}", there.join(","))));
        }
    }
    if let (Controller::Io, Weighting::Nothing, Some(weight)) =
        (controller, cgroups.weighting, &limits.io_weight)
    {
        let problem =
            Problem::set_up("`io-weight` cannot be enforced: no disk of this host is shared by weight");
        problems.push(
            problem
                .at(weight.at)
                .help("as root: echo bfq > /sys/block/DISK/queue/scheduler; or use `io-read` and `io-write`"),
        );
    }
}

/// What each disk is limited to: by an entry of its own, or else as all are.
fn disks(limits: &spec::Limits, cgroups: &Cgroups, problems: &mut Problems) -> Vec<DiskLimit> {
    let mut found: BTreeMap<Device, DiskLimit> = BTreeMap::new();
    let (read, write) = (limits.io_read.as_ref(), limits.io_write.as_ref());
    if let Some(at) = read.or(write).map(|rate| rate.at) {
        let value = |rate: Option<&At<Rate>>| rate.map(|rate| rate.value);
        for device in &cgroups.disks {
            found.insert(*device, DiskLimit { device: *device, read: value(read), write: value(write), at });
        }
        // There may be no group that could say so.
        if cgroups.disks.is_empty() && !cgroups.hierarchies.is_empty() {
            let problem = Problem::set_up("nothing of a disk is mounted here, whose use could be limited");
            problems.push(problem.at(at).help("name the disk: io = [{ device = \"8:0\", read = \"10M\" }]"));
        }
    }
    for At { value: entry, at } in &limits.io {
        for device in devices(entry, *at, cgroups, problems) {
            let limit = found.entry(device).or_insert(DiskLimit { device, read: None, write: None, at: *at });
            limit.at = *at;
            limit.read = entry.read.or(limit.read);
            limit.write = entry.write.or(limit.write);
        }
    }
    found.into_values().collect()
}

fn devices(entry: &IoEntry, at: Span, cgroups: &Cgroups, problems: &mut Problems) -> Vec<Device> {
    let (answer, name) = match (&entry.path, entry.device) {
        (Some(path), _) => {
            let Some(path) = checked(path, at, problems) else { return Vec::new() };
            (cgroups.paths.get(&path).cloned(), path.to_string())
        }
        (None, Some(device)) => (
            cgroups.devices.get(&device).cloned().map(|disk| disk.map(|disk| vec![disk])),
            device.to_string(),
        ),
        (None, None) => return Vec::new(),
    };
    let problem = match answer.unwrap_or(Err(NoDisk::Missing(2))) {
        Ok(devices) => return devices,
        Err(NoDisk::Missing(_)) if entry.path.is_none() => {
            Problem::set_up(format!("there is no block device {name} on this host"))
                .help("lsblk shows the numbers of those that there are")
        }
        Err(NoDisk::Missing(errno)) => {
            let why = super::tree::libc_errno::text(errno);
            Problem::set_up(format!("cannot find the disk of {name}: {why}"))
                .help("create it, or name its disk by `device`")
        }
        Err(NoDisk::FileSystem(kind)) => {
            Problem::set_up(format!("{name} is on {kind}, which is on no disk of this host"))
                .help("the kernel limits block devices only: name a path on one, or `device`")
        }
    };
    problems.push(problem.at(at));
    Vec::new()
}

fn hooks(limits: &spec::Limits, supervised: bool, problems: &mut Problems) -> Hooks {
    let oom = limits.on_oom.as_ref().map(|command| (command.at, &command.value));
    let memory = limits.on_memory.as_ref().map(|hook| (hook.at, &hook.value.run));
    for (at, command) in oom.iter().chain(&memory) {
        if !supervised {
            let problem =
                Problem::usage("nobody is there to run a hook where the program is executed in place");
            problems.push(problem.at(*at).help("remove it, or \"pid\" from share-namespaces"));
        }
        if let Some(program) = command.first().filter(|program| !program.starts_with('/')) {
            let problem = Problem::usage(format!("the hook {program:?} is not named by an absolute path"));
            problems.push(problem.at(*at).help("it is run outside, and nothing is looked up there"));
        }
    }
    if let (Some((at, _)), None) = (&oom, &limits.memory) {
        let problem = Problem::usage("`on-oom` without `memory`: the kernel kills at that limit");
        problems.push(problem.at(*at).help("write memory = \"256M\", too"));
    }
    Hooks {
        oom: oom.map(|(_, command)| command.clone()).unwrap_or_default(),
        memory: limits.on_memory.as_ref().map(|hook| (hook.value.above, hook.value.run.clone())),
    }
}
