//! Answers [`Questions`]: users, paths, the kernel, the caller. Reads only.
//!
//! Must not know: what the answers are for.

pub mod cgroups;
pub mod diagnose;
mod disks;
mod elf;
mod inside;
mod kernel;
mod libraries;
mod list;
mod passed;
mod paths;
pub mod ports;
pub mod processes;
mod programs;
pub mod usage;
mod users;

pub use paths::open_to_others;

use crate::jail::facts::{Caller, Facts, Listing, Mapped, PathFact, Questions};
use crate::jail::path::AbsPath;
use crate::problem::{Problem, Problems};
use log::trace;
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::os::unix::fs::MetadataExt;

/// Answers every question once.
///
/// # Errors
/// An environment variable to be kept that is not UTF-8, groups of the caller that cannot be read,
/// or no free id for `auto`.
pub fn answer(questions: &Questions) -> Result<Facts, Problems> {
    let mut problems = Problems::default();
    let mut facts = Facts {
        caller: caller(&mut problems),
        kernel: kernel::kernel(rustix::process::geteuid().is_root()),
        ..Facts::default()
    };
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
    if let Some(name) = &questions.range {
        // `None` is a problem only where the range is used.
        facts.range = users.free_range(name);
    }
    for path in &questions.paths {
        facts.paths.insert(path.clone(), paths::walk(path, facts.caller.uid));
    }
    for path in &questions.listings {
        let end = facts.paths.get(path).and_then(|fact| fact.end.as_ref().ok()).map(|end| end.path.clone());
        let Some((end, listing)) = end.and_then(|end| list::list(&end).map(|listing| (end, listing))) else {
            continue;
        };
        for child in listing.names.iter().map(|name| end.join(name)) {
            facts.paths.entry(child.clone()).or_insert_with(|| paths::walk(&child, facts.caller.uid));
        }
        facts.listings.insert(path.clone(), listing);
    }
    for path in &questions.programs {
        facts.programs.insert(path.clone(), programs::program(path, questions, facts.caller.uid));
    }
    for directory in &questions.socket_directories {
        let answer = paths::open_to_others(directory, facts.caller.uid);
        facts.socket_directories.insert(directory.clone(), answer);
    }
    if let Some(Ok(root)) = questions.root.as_ref().and_then(|r| facts.paths.get(r)).map(|f| &f.end) {
        let walk = |path: &AbsPath| (path.clone(), paths::walk_in(&root.path, path, facts.caller.uid));
        facts.inside = questions.inside.iter().map(walk).collect();
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
    facts.cgroups = questions.limits.as_ref().map(cgroups::cgroups);
    for (path, fact) in facts.paths.iter().chain(&facts.inside) {
        match &fact.end {
            Ok(end) => trace!("{path}: {:?} {} mode {:04o} uid {}", end.kind, end.path, end.mode, end.uid),
            Err(stop) => trace!("{path}: stopped at {}: {}", stop.path, Errno::from_raw(stop.errno).desc()),
        }
    }
    trace!("caller: {:?}", facts.caller);
    trace!("kernel: {:?}", facts.kernel);
    trace!("users: {:?}, groups: {:?}, auto: {:?}", facts.users, facts.groups, facts.auto);
    problems.none_or(facts)
}

/// Names of this host's users, for lists.
pub fn user_names() -> BTreeMap<u32, String> {
    users::Databases::read().names()
}

/// Looks at one path again, as [`answer`] does. `caller` is trusted as root is.
pub fn look(path: &AbsPath, caller: u32) -> PathFact {
    paths::walk(path, caller)
}

/// What is in a directory; `None` if it cannot be listed. Its path has no links.
pub fn list(directory: &AbsPath) -> Option<Listing> {
    list::list(directory)
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
    let sockets = passed::sockets(problems);
    Caller {
        uid: geteuid().as_raw(),
        gid,
        groups,
        mapped: mapped(),
        capabilities: rustix::thread::capabilities(None).map_or(0, |c| c.permitted.bits()),
        terminal: std::io::stdin().is_terminal(),
        can_start_session: !leads_group || leads_session,
        addresses: passed::addresses(sockets.len()),
        sockets,
        manager: passed::manager(problems),
    }
}

/// The ids of the user namespace that this process is in. Without /proc nothing is known, and the start
/// then says that it is missing.
fn mapped() -> Option<Mapped> {
    // The inode of the first namespace (PROC_USER_INIT_INO): mostly one call says it all.
    const FIRST: u64 = 0xefff_fffd;
    if std::fs::metadata("/proc/self/ns/user").is_ok_and(|namespace| namespace.ino() == FIRST) {
        return None;
    }
    let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    let (users, groups) = (ranges(&read("uid_map")), ranges(&read("gid_map")));
    let everybody = |ranges: &[(u32, u32)]| ranges.is_empty() || ranges == [(0, u32::MAX)];
    let all = everybody(&users) && everybody(&groups);
    (!all).then(|| Mapped { users, groups, fixed_groups: read("setgroups").trim() == "deny" })
}

/// First id and count of each line of uid_map or gid_map.
fn ranges(map: &str) -> Vec<(u32, u32)> {
    let range = |line: &str| {
        let mut numbers = line.split_whitespace().map(str::parse);
        Some((numbers.next()?.ok()?, numbers.nth(1)?.ok()?))
    };
    map.lines().filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_of_user_namespaces() {
        assert_eq!(ranges("         0          0 4294967295\n"), [(0, u32::MAX)]);
        assert_eq!(ranges("0 1000 1\n1 100000 65536\n"), [(0, 1), (1, 65536)]);
        assert_eq!(ranges(""), []);
        let mapped = |users: &str, fixed_groups| Mapped {
            users: ranges(users),
            groups: ranges("0 0 9"),
            fixed_groups,
        };
        assert!(mapped("0 1000 1", false).is_single() && mapped("0 0 9", true).is_single());
        assert!(!mapped("0 1000 1\n1 100000 65536\n", false).is_single());
    }

    #[test]
    fn every_question_gets_its_answer() {
        let path = |text| AbsPath::new(text).unwrap();
        let set = std::env::vars().next().map(|(name, _)| name).unwrap();
        let questions = Questions {
            users: vec!["root".into(), "no such user".into()],
            groups: vec!["0".into()],
            paths: vec![path("/"), path("/nonexistent/x")],
            root: Some(path("/")),
            inside: vec![path("/proc")],
            links: vec![path("/proc/self"), path("/"), path("/nonexistent")],
            socket_directories: vec![path("/"), path("/nonexistent")],
            auto: Some("test".into()),
            range: Some("test".into()),
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
        assert_eq!(facts.inside[&path("/proc")].end.as_ref().unwrap().path, path("/proc"));
        assert!(facts.auto.is_some() && facts.range.is_some());
        assert!(facts.programs[&path("/bin/sh")].files.len() >= 2, "the shell and its interpreter");
        assert_eq!(facts.env.keys().collect::<Vec<_>>(), [&set]);
        assert_eq!(facts.caller.uid, rustix::process::geteuid().as_raw());
        assert!(facts.kernel.version >= (3, 0) && facts.kernel.last_capability >= 37);
    }
}
