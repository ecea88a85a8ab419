//! `jail exec`: a command joins a running jail, under the plan that the jail was started by.

use super::ps::registry;
use super::{Ended, plan_of, run, target_of};
use crate::jail::path::AbsPath;
use crate::plan::enter::{self, As, Entry, EntryKind};
use crate::plan::{Plan, Step};
use crate::problem::{Problem, Problems, Sources};
use crate::record::{Record, Request};
use crate::registry::living::Running;
use crate::serve;
use crate::spec::load;
use crate::sys::process;
use std::io::IsTerminal;
use std::os::fd::OwnedFd;

/// What was asked for.
pub struct Wanted<'a> {
    /// As root.
    pub root: bool,
    /// With the host's programs.
    pub host_tools: bool,
    /// The command.
    pub command: &'a [String],
}

/// Runs a command in a running jail and ends as it ended.
pub fn exec(name: &str, wanted: &Wanted<'_>, sources: &mut Sources) -> Result<Ended, Problems> {
    let jail = registry()?.running(name)?;
    let own = started_by(&jail.record, sources)?;
    let target = member(&jail)?;
    if wanted.root || wanted.host_tools {
        needs_root(&own)?;
    }
    let who = match (wanted.root, wanted.host_tools) {
        (_, true) => As::RootWithTools(entries(&jail.record)?),
        (true, false) => As::Root,
        (false, false) => As::Program,
    };
    let terminal = std::io::stdin().is_terminal();
    let groups: Vec<AbsPath> =
        jail.record.groups.iter().filter_map(|group| AbsPath::new(&group.path).ok()).collect();
    let plan = enter::plan(&own, &who, &groups, wanted.command, terminal)
        .ok_or_else(|| Problem::set_up("a name in the jail's root directory cannot be part of a path"))?;
    let outcome = serve::enter::enter(&plan, target);
    run::ended_in(&plan, &with_command(own, &plan), outcome, sources)
}

/// The jail's own plan, as if it had been started for the command.
fn with_command(mut own: Plan, command: &Plan) -> Plan {
    if let (Some(last), Some(step)) = (own.steps.last_mut(), command.steps.last()) {
        *last = step.clone();
    }
    own
}

/// The plan that the jail was started by, made anew of the same texts: what its files say by now does
/// not matter.
pub fn started_by(record: &Record, sources: &mut Sources) -> Result<Plan, Problems> {
    let Request { words, directory, layers } = &record.request;
    let Some(target) = target_of(words) else {
        let problem = Problem::set_up(format!("jail {} was started by another version of jail", record.name));
        return Err(problem.help("restart it with this one").into());
    };
    let mut spec = load::replay(layers, sources)?;
    // Its groups are there already; who asks may not even be allowed to make such.
    spec.limits = Default::default();
    let request = Request { words: words.clone(), directory: directory.clone(), layers: Vec::new() };
    plan_of(&target, Some((record.jail.clone(), spec)), &request, sources)
}

/// A process of the jail that may be looked at: its program, or if that has ended its pid 1.
pub fn member(jail: &Running) -> Result<OwnedFd, Problem> {
    let processes = &jail.record.processes;
    let opened = processes.inside().into_iter().find_map(|pid| process::descriptor(pid).ok());
    // If the leader lives now it lived before, and the numbers were its jail's.
    let opened = opened.filter(|_| !process::has_ended(&jail.leader));
    opened.ok_or_else(|| Problem::set_up(format!("jail {} has just ended", jail.record.name)))
}

/// A jail that was started without root has the caller's single id: a command without its confinement
/// would be a process that the jail's program may trace, and so become.
fn needs_root(plan: &Plan) -> Result<(), Problem> {
    if !plan.steps.iter().any(|p| matches!(p.step, Step::Isolate { user: Some(_), .. })) {
        return Ok(());
    }
    let problem =
        Problem::set_up("this jail was started without root: nothing unconfined can safely join it");
    Err(problem.help("confined as its program: jail exec NAME -- COMMAND"))
}

/// What is in the jail's root directory, for a root that shows the same.
fn entries(record: &Record) -> Result<Vec<Entry>, Problems> {
    let processes = &record.processes;
    let root = processes.inside().map(|pid| format!("/proc/{pid}/root/"));
    let found = root.iter().find_map(|root| std::fs::read_dir(root).ok());
    let found = found.ok_or_else(|| Problem::set_up(format!("cannot look into jail {}", record.name)))?;
    let mut entries: Vec<Entry> = found
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let kind = entry.file_type().ok()?;
            let kind = if kind.is_dir() {
                EntryKind::Directory
            } else if kind.is_symlink() {
                EntryKind::Link(std::fs::read_link(entry.path()).ok()?.into_os_string().into_string().ok()?)
            } else if kind.is_file() {
                EntryKind::File
            } else {
                return None;
            };
            Some(Entry { name, kind })
        })
        .collect();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}
