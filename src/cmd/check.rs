//! `jail check`: everything up to the plan, for many specs; all that is wrong is reported.

use super::{Ended, make_plan, output};
use crate::cli::Target;
use crate::host::diagnose;
use crate::plan::Plan;
use crate::problem::{Kind, Problem, Problems, Sources};

/// Says `ok` of each good spec, and returns the problems of all others.
pub fn check(specs: &[String], sources: &mut Sources) -> Result<Ended, Problems> {
    let mut all = Problems::default();
    for name in specs {
        let target = Target { spec: Some(name.clone()), ..Target::default() };
        let done = make_plan(&target, &[], sources)
            .and_then(|plan| startable(&plan))
            .and_then(|()| output::print(&format!("{name}: ok\n")));
        if let Err(problems) = done {
            all.0.extend(problems.0);
        }
    }
    for problem in &mut all.0 {
        // What would stop a run is here the answer to the question that was asked.
        problem.kind = Kind::Usage;
    }
    all.none_or(Ended::SUCCESS)
}

/// Whether the program and all that it needs to be loaded will be in the jail.
fn startable(plan: &Plan) -> Result<(), Problems> {
    let mut help = diagnose::why(plan);
    if help.is_empty() {
        return Ok(());
    }
    let first = help.remove(0);
    let at = plan.steps.last().and_then(|p| p.at);
    let mut problem = Problem::usage(format!("the program would not start: {first}")).at(at);
    problem.help = help;
    Err(problem.into())
}
