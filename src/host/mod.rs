//! Answers [`Questions`]: users, paths, the kernel, the caller. Reads only.
//!
//! Must not know: what the answers are for.

pub mod diagnose;
mod elf;
mod inside;
mod kernel;
mod libraries;
mod passed;
mod paths;
pub mod ports;
mod programs;
mod users;

use crate::jail::facts::{Caller, Facts, Questions};
use crate::problem::{Problem, Problems};
use std::io::IsTerminal;

/// Answers every question once.
///
/// # Errors
/// An environment variable to be kept that is not UTF-8, groups of the caller that cannot be read,
/// or no free id for `auto`.
pub fn answer(questions: &Questions) -> Result<Facts, Problems> {
    let mut problems = Problems::default();
    let mut facts = Facts { caller: caller(&mut problems), kernel: kernel::kernel(), ..Facts::default() };
    let users = users::Databases::read();
    for name in &questions.users {
        facts.users.insert(name.clone(), users.user(name));
    }
    for name in &questions.groups {
        facts.groups.insert(name.clone(), users.group(name));
    }
    if let Some(name) = &questions.auto {
        facts.auto = users.free_ids(name);
        if facts.auto.is_none() {
            let problem = Problem::set_up("all ids kept for user = \"auto\" belong to users of this host");
            problems.push(problem.help("name a user of this host"));
        }
    }
    for path in &questions.paths {
        facts.paths.insert(path.clone(), paths::walk(path, facts.caller.uid));
    }
    for path in &questions.programs {
        facts.programs.insert(path.clone(), programs::program(path, questions, facts.caller.uid));
    }
    for directory in &questions.socket_directories {
        let answer = paths::open_to_others(directory, facts.caller.uid);
        facts.socket_directories.insert(directory.clone(), answer);
    }
    for link in &questions.links {
        if let Ok(Some(target)) = std::fs::read_link(link.as_str()).map(|t| t.to_str().map(str::to_owned)) {
            facts.links.insert(link.clone(), target);
        }
    }
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

fn caller(problems: &mut Problems) -> Caller {
    use nix::unistd::{getpgrp, getpid, getsid};
    use rustix::process::{getegid, geteuid, getgroups};
    let gid = getegid().as_raw();
    // Taken for none, they would stay with a program that was promised to have none.
    let groups = getgroups().unwrap_or_else(|errno| {
        let problem = Problem::set_up(format!("cannot read the caller's groups: {errno}"));
        problems.push(problem.help("is getgroups(2) forbidden where jail was started?"));
        Vec::new()
    });
    let groups = groups.into_iter().map(rustix::process::Gid::as_raw).filter(|g| *g != gid).collect();
    // Both are 0 where their leaders live in an outer pid namespace, which rustix does not allow for.
    let leads_group = getpgrp() == getpid();
    let leads_session = getsid(None) == Ok(getpid());
    Caller {
        uid: geteuid().as_raw(),
        gid,
        groups,
        capabilities: rustix::thread::capabilities(None).map_or(0, |c| c.permitted.bits()),
        terminal: std::io::stdin().is_terminal(),
        can_start_session: !leads_group || leads_session,
        sockets: passed::sockets(problems),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jail::path::AbsPath;

    #[test]
    fn every_question_gets_its_answer() {
        let path = |text| AbsPath::new(text).unwrap();
        let set = std::env::vars().next().map(|(name, _)| name).unwrap();
        let questions = Questions {
            users: vec!["root".into(), "no such user".into()],
            groups: vec!["0".into()],
            paths: vec![path("/"), path("/nonexistent/x")],
            links: vec![path("/proc/self"), path("/"), path("/nonexistent")],
            socket_directories: vec![path("/"), path("/nonexistent")],
            auto: Some("test".into()),
            env: vec![set.clone(), "JAIL_NO_SUCH_VARIABLE".into()],
            programs: vec![path("/bin/sh")],
            ..Questions::default()
        };
        let facts = answer(&questions).unwrap();
        assert_eq!(facts.users["root"].as_ref().unwrap().uid, 0);
        assert_eq!(facts.users["no such user"], None);
        assert_eq!(facts.groups["0"].as_ref().unwrap().gid, 0);
        assert!(facts.paths[&path("/")].end.is_ok());
        assert_eq!(facts.paths[&path("/nonexistent/x")].end.as_ref().unwrap_err().path, path("/nonexistent"));
        assert_eq!(facts.links.keys().collect::<Vec<_>>(), [&path("/proc/self")]);
        assert_eq!(facts.links[&path("/proc/self")], std::process::id().to_string());
        assert_eq!(facts.socket_directories[&path("/")], Ok(None));
        assert!(facts.socket_directories[&path("/nonexistent")].is_err());
        assert_eq!(facts.caller.sockets, [""; 0]);
        assert!(facts.auto.is_some());
        assert!(facts.programs[&path("/bin/sh")].files.len() >= 2, "the shell and its interpreter");
        assert_eq!(facts.env.keys().collect::<Vec<_>>(), [&set]);
        assert_eq!(facts.caller.uid, rustix::process::geteuid().as_raw());
        assert!(facts.kernel.version >= (3, 0) && facts.kernel.last_capability >= 37);
    }
}
