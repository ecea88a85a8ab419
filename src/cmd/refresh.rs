//! `jail refresh`: the copies of host files in running jails, made like the host's now.

use super::ps::registry;
use super::{Ended, exec, output};
use crate::problem::{Problem, Problems, Sources};
use crate::serve::refresh;

/// Says what was replaced; what could not be is a problem.
pub fn refresh(names: &[String], sources: &mut Sources) -> Result<Ended, Problems> {
    let registry = registry()?;
    let (mut problems, mut text) = (Problems::default(), String::new());
    for name in names {
        let jail = registry.running(name)?;
        let plan = exec::started_by(&jail.record, sources)?;
        let target = exec::member(&jail)?;
        let looked = refresh::of_running(&plan, &target).map_err(|errno| {
            Problem::set_up(format!("cannot reach the files of jail {name}: {}", errno.desc()))
        })?;
        for file in looked {
            match file.outcome {
                Ok(true) => text += &format!("{name}: replaced {}\n", file.path),
                Ok(false) => {}
                Err(why) => {
                    problems.push(Problem::set_up(format!("{name}: {} is not followed: {why}", file.path)))
                }
            }
        }
    }
    if !text.is_empty() {
        output::print(&text)?;
    }
    problems.none_or(Ended::SUCCESS)
}
