//! Answers [`Questions`]: users, paths, the kernel, the caller. Reads only.
//!
//! Must not know: what the answers are for.

pub mod diagnose;
mod elf;
mod kernel;
mod paths;
mod users;

use crate::jail::facts::{Caller, Facts, Questions};
use crate::problem::{Problem, Problems};
use std::io::IsTerminal;

/// Answers every question once.
///
/// # Errors
/// An environment variable to be kept that is not UTF-8.
pub fn answer(questions: &Questions) -> Result<Facts, Problems> {
    let mut facts = Facts { caller: caller(), kernel: kernel::kernel(), ..Facts::default() };
    let users = users::Databases::read();
    for name in &questions.users {
        facts.users.insert(name.clone(), users.user(name));
    }
    for name in &questions.groups {
        facts.groups.insert(name.clone(), users.group(name));
    }
    facts.auto = questions.auto.as_deref().map(|name| users.free_ids(name));
    for path in &questions.paths {
        facts.paths.insert(path.clone(), paths::walk(path, facts.caller.uid));
    }
    for link in &questions.links {
        if let Ok(Some(target)) = std::fs::read_link(link.as_str()).map(|t| t.to_str().map(str::to_owned)) {
            facts.links.insert(link.clone(), target);
        }
    }
    let mut problems = Problems::default();
    for name in &questions.env {
        match std::env::var(name) {
            Ok(value) => {
                facts.env.insert(name.clone(), value);
            }
            Err(std::env::VarError::NotPresent) => {}
            Err(std::env::VarError::NotUnicode(_)) => {
                problems.push(
                    Problem::set_up(format!("the environment variable {name} is not UTF-8"))
                        .help("unset it, or do not keep it"),
                );
            }
        }
    }
    problems.none_or(facts)
}

fn caller() -> Caller {
    use rustix::process::{getegid, geteuid, getgroups, getpgrp, getpid, getsid};
    let gid = getegid().as_raw();
    let groups = getgroups()
        .unwrap_or_default()
        .into_iter()
        .map(rustix::process::Gid::as_raw)
        .filter(|g| *g != gid)
        .collect();
    let leads_group = getpgrp() == getpid();
    let leads_session = getsid(None) == Ok(getpid());
    Caller {
        uid: geteuid().as_raw(),
        gid,
        groups,
        capabilities: rustix::thread::capabilities(None).map_or(0, |c| c.permitted.bits()),
        terminal: std::io::stdin().is_terminal(),
        can_start_session: !leads_group || leads_session,
    }
}
