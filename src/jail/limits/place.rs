//! Where on this host a group may be made: the layouts of control groups, and what each forbids.
//!
//! Must not know: which limit is how much.
#![forbid(unsafe_code)]

use super::facts::{Cgroups, Hierarchy, Level, Version};
use crate::problem::Problem;

/// What systemd calls the groups that it manages.
const UNITS: &[&str] = &[".service", ".scope", ".slice", ".socket", ".mount", ".swap"];

/// The directory between the base and the groups, so that ours are told from all others.
pub const OURS: &str = "jail";

/// Where the outer process goes when it may not stay in the base.
pub const LEAF: &str = "supervisor";

/// A kind of thing that is limited.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Controller {
    /// CPU time.
    Cpu,
    /// Which CPUs.
    Cpuset,
    /// Disks.
    Io,
    /// Memory and swap.
    Memory,
    /// Processes and threads.
    Pids,
}

impl Controller {
    /// What the kernel calls it.
    pub fn name(self, version: Version) -> &'static str {
        match (self, version) {
            (Controller::Cpu, _) => "cpu",
            (Controller::Cpuset, _) => "cpuset",
            (Controller::Io, Version::One) => "blkio",
            (Controller::Io, Version::Two) => "io",
            (Controller::Memory, _) => "memory",
            (Controller::Pids, _) => "pids",
        }
    }
}

/// The group below which one may be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Base<'a> {
    /// Its hierarchy.
    pub hierarchy: &'a Hierarchy,
    /// Itself.
    pub level: &'a Level,
    /// Who makes the group must leave the base: version 2 gives controllers only to groups below one
    /// without processes.
    pub leave: bool,
}

/// Why there is no base.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Nothing can be limited here.
    All(Problem),
    /// This cannot.
    One(Problem),
}

/// Where the group for a controller goes. Version 1 first: what it has, version 2 has not.
///
/// # Errors
/// This host does not have the controller, or not for us.
pub fn base(cgroups: &Cgroups, controller: Controller) -> Result<Base<'_>, Refusal> {
    if cgroups.hierarchies.is_empty() {
        let problem = nothing("no control groups are mounted on this host");
        return Err(Refusal::All(problem.help("mount them: mount -t cgroup2 none /sys/fs/cgroup")));
    }
    let unit = unit(cgroups);
    let one = cgroups.hierarchies.iter().find(|hierarchy| {
        hierarchy.version == Version::One
            && hierarchy.controllers.iter().any(|c| c == controller.name(Version::One))
    });
    let two = cgroups.hierarchies.iter().find(|hierarchy| hierarchy.version == Version::Two);
    match (one, two) {
        (Some(hierarchy), _) => {
            visible(hierarchy)?;
            version_1(hierarchy, &unit, controller)
        }
        (None, Some(hierarchy)) => {
            visible(hierarchy)?;
            version_2(hierarchy, &unit, controller)
        }
        (None, None) => Err(lacks(controller, Version::One)),
    }
}

/// Whose the caller's group is.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Unit<'a> {
    /// Nobody's but the caller's.
    None,
    /// systemd has delegated it: the name of the unit.
    Delegated(&'a str),
    /// systemd manages it: the name, or that of all.
    Managed(&'a str),
}

/// systemd keeps its units in version 2 where it is, and in a hierarchy of its own. It marks what it
/// delegates in one of the two.
fn unit(cgroups: &Cgroups) -> Unit<'_> {
    let own = |hierarchy: &&Hierarchy| {
        hierarchy.version == Version::Two || hierarchy.controllers.iter().any(|c| c == "name=systemd")
    };
    let levels = cgroups.hierarchies.iter().filter(own).flat_map(|hierarchy| &hierarchy.levels);
    let units = levels.filter(|level| UNITS.iter().any(|suffix| level.path.name().ends_with(suffix)));
    let units: Vec<(&str, bool)> = units.map(|level| (level.path.name(), level.delegated)).collect();
    match units.last() {
        Some((name, _)) if units.contains(&(name, true)) => Unit::Delegated(name),
        Some((name, _)) => Unit::Managed(name),
        None if cgroups.systemd => Unit::Managed("the root of all groups"),
        None => Unit::None,
    }
}

fn nothing(why: impl std::fmt::Display) -> Problem {
    Problem::set_up(format!("cannot limit anything: {why}"))
}

fn visible(hierarchy: &Hierarchy) -> Result<(), Refusal> {
    if !hierarchy.levels.is_empty() {
        return Ok(());
    }
    let problem = nothing("the group that jail is in cannot be seen from here");
    Err(Refusal::All(
        problem.help("control groups are mounted for another cgroup namespace: mount them again in this one"),
    ))
}

fn not_delegated(unit: &str) -> Refusal {
    Refusal::All(
        nothing(format!("systemd manages {unit}, and has not delegated it"))
            .help("start it as a scope: systemd-run --scope -p Delegate=yes jail ... (without root: systemd-run --user --scope ...)")
            .help("in a unit file: Delegate=yes; or its own MemoryMax=, CPUQuota= and TasksMax= in place of [limits]"),
    )
}

fn version_1<'a>(
    hierarchy: &'a Hierarchy,
    unit: &Unit<'_>,
    controller: Controller,
) -> Result<Base<'a>, Refusal> {
    let own = hierarchy.levels.last();
    let level = match unit {
        Unit::None => own,
        Unit::Managed(unit) => return Err(not_delegated(unit)),
        Unit::Delegated(unit) if hierarchy.levels.iter().any(|level| level.path.name() == *unit) => own,
        Unit::Delegated(unit) => {
            let name = controller.name(Version::One);
            let problem = Problem::set_up(format!(
                "cannot limit {}: systemd has not delegated the controller {name} to {unit}",
                what(controller)
            ));
            return Err(Refusal::One(
                problem
                    .help("Delegate=yes gives all that systemd itself has; in a container it may have none"),
            ));
        }
    };
    let level = level.ok_or_else(|| lacks(controller, Version::One))?;
    writable(level)?;
    Ok(Base { hierarchy, level, leave: false })
}

fn version_2<'a>(
    hierarchy: &'a Hierarchy,
    unit: &Unit<'_>,
    controller: Controller,
) -> Result<Base<'a>, Refusal> {
    let Some(own) = hierarchy.levels.last() else { return Err(lacks(controller, Version::Two)) };
    let level = match unit {
        Unit::None => own,
        Unit::Managed(unit) => return Err(not_delegated(unit)),
        Unit::Delegated(unit) => below_unit(hierarchy, unit).unwrap_or(own),
    };
    available(hierarchy, level, controller)?;
    writable(level)?;
    let root = hierarchy.whole && hierarchy.levels.len() == 1;
    let leave = level == own && !root;
    if leave && hierarchy.others > 0 {
        let are = if hierarchy.others == 1 { "process is" } else { "processes are" };
        let why = format!(
            "{} other {are} in {}, and cgroup v2 limits only groups below one without processes",
            hierarchy.others, level.path
        );
        return Err(Refusal::All(nothing(why)
            .help("start jail by itself in a group (systemd-run --scope -p Delegate=yes jail ...), or move the others to a group below it")
            .help("in a unit, DelegateSubgroup=supervisor (systemd 254) starts it below its group")));
    }
    Ok(Base { hierarchy, level, leave })
}

/// The group of the unit, which its processes may have left for one below it. Not out of a group of
/// ours, whose limits would be left, too.
fn below_unit<'a>(hierarchy: &'a Hierarchy, unit: &str) -> Option<&'a Level> {
    let at = hierarchy.levels.iter().rposition(|level| level.path.name() == unit)?;
    let limited = hierarchy.levels.get(at + 1).is_some_and(|below| below.path.name() == OURS);
    if limited { None } else { hierarchy.levels.get(at) }
}

/// Every group above must pass the controller on.
fn available(hierarchy: &Hierarchy, base: &Level, controller: Controller) -> Result<(), Refusal> {
    let name = controller.name(Version::Two);
    let has = |list: &[String]| list.iter().any(|c| c == name);
    if has(&base.controllers) {
        return Ok(());
    }
    let top = hierarchy.levels.first();
    if top.is_none_or(|top| !has(&top.controllers)) {
        if hierarchy.whole {
            return Err(lacks(controller, Version::Two));
        }
        let problem = Problem::set_up(format!(
            "cannot limit {}: this container was not given the controller {name}",
            what(controller)
        ));
        return Err(Refusal::One(
            problem
                .help("it is enabled outside, in cgroup.subtree_control of the group above the container's"),
        ));
    }
    let stops = hierarchy.levels.iter().find(|level| has(&level.controllers) && !has(&level.enabled));
    let file = stops.unwrap_or(base).path.join("cgroup.subtree_control");
    let problem = Problem::set_up(format!(
        "cannot limit {}: the controller {name} is not enabled in {file}",
        what(controller)
    ));
    let help =
        format!("where systemd manages it: Delegate={name} (or yes) in the unit, for users in user@.service");
    Err(Refusal::One(problem.help(format!("as root: echo +{name} > {file}")).help(help)))
}

fn writable(level: &Level) -> Result<(), Refusal> {
    if level.writable {
        return Ok(());
    }
    Err(Refusal::All(
        nothing(format!("jail may not make groups in {}", level.path))
            .help("run it as root; without root: systemd-run --user --scope -p Delegate=yes jail ...")
            .help("in a container, /sys/fs/cgroup must be mounted writable"),
    ))
}

fn lacks(controller: Controller, version: Version) -> Refusal {
    let name = controller.name(version);
    let problem =
        Problem::set_up(format!("cannot limit {}: this host has no controller {name}", what(controller)));
    Refusal::One(match controller {
        Controller::Memory => problem.help("some kernels need cgroup_enable=memory on their command line"),
        _ => problem.help(format!("is it in /proc/cgroups? In version 1 it must be mounted: mount -t cgroup -o {name} none /sys/fs/cgroup/{name}")),
    })
}

/// As an object of "cannot limit".
fn what(controller: Controller) -> &'static str {
    match controller {
        Controller::Cpu => "CPU time",
        Controller::Cpuset => "which CPUs are used",
        Controller::Io => "the use of disks",
        Controller::Memory => "memory",
        Controller::Pids => "the number of tasks",
    }
}
