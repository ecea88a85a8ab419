//! `jail limit NAME`: other limits for a running jail.
//!
//! Must not know: how the jail was started.

use crate::apply::cgroup;
use crate::cmd::ps::registry;
use crate::cmd::{Ended, output};
use crate::host::cgroups;
use crate::jail::limits::place::Controller;
use crate::jail::limits::{Asked, Version, Write, changed_disks, wanted, writes};
use crate::jail::path::AbsPath;
use crate::problem::{Problem, Problems};
use crate::record::Group;
use crate::spec;
use nix::errno::Errno;

/// Writes new limits to the groups of a running jail.
pub fn change(name: &str, limits: &spec::Limits, asked: &Asked, dry_run: bool) -> Result<Ended, Problems> {
    let jail = registry()?.running(name)?;
    let cgroups = cgroups::cgroups(asked);
    let disks = changed_disks(limits, &cgroups)?;
    let mut problems = Problems::default();
    let mut all: Vec<(AbsPath, Write)> = Vec::new();
    for (controller, at) in wanted(limits) {
        let Some((group, path)) = find(&jail.record.groups, controller) else {
            let problem = Problem::set_up(format!(
                "jail {name} was started without a limit of that kind, and is in no group for it"
            ));
            problems.push(problem.at(at).help("write it in [limits] of its spec, and restart it"));
            continue;
        };
        if group.version == Version::Two {
            all.extend(enabled(group, &path, controller));
        }
        let new = writes(controller, group.version, limits, &disks, cgroups.weighting);
        match in_order(controller, group, &path, new) {
            Ok(new) => all.extend(new.into_iter().map(|write| (path.clone(), write))),
            Err(problem) => problems.push(problem.at(at)),
        }
    }
    problems.none_or(())?;
    if dry_run {
        let lines = all.iter().map(|(path, write)| format!("{path}/{} = {}\n", write.file, write.text));
        output::print(&lines.collect::<String>())?;
        return Ok(Ended::SUCCESS);
    }
    for (path, write) in &all {
        cgroup::write(path, write).map_err(|errno| refused(path, write, errno))?;
    }
    Ok(Ended::SUCCESS)
}

/// The group that limits it so. One of version 2 can do all that its parents pass on.
fn find(groups: &[Group], controller: Controller) -> Option<(&Group, AbsPath)> {
    let group = groups.iter().find(|group| {
        group.version == Version::Two || group.controllers.iter().any(|c| c == controller.name(Version::One))
    })?;
    Some((group, AbsPath::new(&group.path).ok()?))
}

/// What a controller needs that was not wanted at the start.
fn enabled(group: &Group, path: &AbsPath, controller: Controller) -> Vec<(AbsPath, Write)> {
    let name = controller.name(Version::Two);
    let (Some(ours), false) = (path.parent(), group.controllers.iter().any(|c| c == name)) else {
        return Vec::new();
    };
    let above = ours.parent().into_iter().chain([ours]);
    let enable = |path| {
        let write = Write { file: "cgroup.subtree_control".into(), text: format!("+{name}"), at: None };
        (path, write)
    };
    above.map(enable).collect()
}

/// Version 1 keeps the limit of memory and swap together above that of memory: it is lifted first.
fn in_order(
    controller: Controller,
    group: &Group,
    path: &AbsPath,
    mut new: Vec<Write>,
) -> Result<Vec<Write>, Problem> {
    const BOTH: &str = "memory.memsw.limit_in_bytes";
    if controller != Controller::Memory || group.version == Version::Two {
        return Ok(new);
    }
    let now = std::fs::read_to_string(path.join(BOTH).as_str()).ok();
    let limited = now.and_then(|text| text.trim().parse::<u64>().ok()).is_some_and(|now| now < 1 << 50);
    if limited && !new.iter().any(|write| write.file == BOTH) {
        let problem =
            Problem::usage("cgroup v1 limits memory and swap together, and this jail's swap is limited");
        return Err(problem.help("give both: --memory and --swap"));
    }
    if limited {
        new.insert(0, Write { file: BOTH.into(), text: "-1".into(), at: None });
    }
    Ok(new)
}

fn refused(path: &AbsPath, write: &Write, errno: Errno) -> Problem {
    let what = format!("cannot write {:?} to {path}/{}: {}", write.text, write.file, errno.desc());
    let problem = Problem::set_up(what);
    match errno {
        Errno::EBUSY if write.file.starts_with("memory.") => {
            problem.help("it uses more than that, and the kernel could not take it back")
        }
        Errno::EACCES | Errno::EPERM => problem.help("run this as root"),
        Errno::ENOENT if write.file.starts_with("cgroup.") => problem.help("has the jail just ended?"),
        Errno::ENOENT => {
            problem.help("a group above does not pass this controller on, or this kernel lacks it")
        }
        _ => problem,
    }
}
