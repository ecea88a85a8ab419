//! `jail limit --pid`: running processes into a group of their own.
//!
//! Must not know: how a group is made.

use super::{Ended, group_steps, groups_here, named, plan, shown};
use crate::apply::explain;
use crate::cli::limit::Limit;
use crate::host::processes;
use crate::jail::limits::Asked;
use crate::plan::Step;
use crate::problem::{Problem, Problems, Sources};
use crate::serve::{Stopped, keeper};
use crate::spec;

/// Limits these processes, all together.
pub fn limit(
    pids: &[i32],
    flags: &Limit,
    limits: &spec::Limits,
    asked: &Asked,
    sources: &Sources,
) -> Result<Ended, Problems> {
    let mut problems = Problems::default();
    pids.iter().filter_map(|pid| unfit(*pid)).for_each(|problem| problems.push(problem));
    problems.none_or(())?;
    let all = if flags.tree { processes::with_descendants(pids) } else { pids.to_vec() };
    let name = pids.first().and_then(|pid| processes::text(*pid, "comm")).unwrap_or_default();
    let name = named(Some(name.trim()));
    let mut steps = group_steps(groups_here(name, limits, asked)?);
    for step in &mut steps {
        if let Step::Group(group) = step {
            *step = Step::GroupOf { group: group.clone(), processes: all.clone(), tree: flags.tree };
        }
    }
    let plan = plan(name, steps);
    if flags.dry_run {
        return shown(&plan, sources);
    }
    match keeper::carry_out(&plan) {
        Ok(()) => Ok(Ended::SUCCESS),
        Err(Stopped::Step(failure)) => Err(explain::problem(&plan, failure).into()),
        Err(_) => Err(Problem::set_up("the processes were not moved").into()),
    }
}

/// Why a process cannot be limited.
fn unfit(pid: i32) -> Option<Problem> {
    let gone = || Problem::usage(format!("there is no process {pid}")).help("it may have ended by now");
    if pid <= 0 || !processes::lives(pid) {
        return Some(gone());
    }
    if processes::is_kernel_thread(pid) {
        let problem =
            Problem::usage(format!("process {pid} is a thread of the kernel, which no group limits"));
        return Some(problem);
    }
    let own = nix::unistd::geteuid();
    match processes::owner(pid) {
        None => Some(gone()),
        Some(uid) if uid != own.as_raw() && !own.is_root() => {
            let problem = Problem::usage(format!("process {pid} is another user's (uid {uid})"));
            Some(problem.help("run this as root"))
        }
        Some(_) => None,
    }
}
