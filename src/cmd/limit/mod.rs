//! `jail limit`: limits alone, on a command, on running processes, or on a running jail.
//!
//! Must not know: how a group is made.

mod jail;
mod processes;
mod show;

use super::{Ended, output};
use crate::apply::explain;
use crate::cli::limit::{self as typed, Limit};
use crate::host::{self, cgroups};
use crate::jail::facts::Questions;
use crate::jail::limits::{Asked, Cgroups, Group, Hooks, groups};
use crate::jail::path::AbsPath;
use crate::jail::programs;
use crate::plan::{Plan, Planned, Step, Supervision, print};
use crate::problem::{Problem, Problems, Sources};
use crate::serve::{self, Stopped};
use crate::spec::{self, Spec, load};

/// Does what the flags say.
pub fn limit(flags: &Limit, words: &[String], sources: &mut Sources) -> Result<Ended, Problems> {
    if flags.show {
        return show::show(flags);
    }
    let limits = typed::limits(flags, words, sources)?;
    let (asked, limits) = asked(limits)?;
    match (&flags.name, flags.pid.as_slice(), flags.command.as_slice()) {
        (Some(name), ..) => jail::change(name, &limits, &asked, flags.dry_run),
        (None, [], []) => {
            Err(Problem::usage("nothing to limit: neither a command, nor a process, nor a jail is named")
                .help("jail limit --memory 512M -- COMMAND; --pid N; or the NAME of a running jail")
                .into())
        }
        (None, [], command) => {
            let name = command.first().and_then(|program| program.rsplit('/').next());
            let groups = groups(named(name), &limits, &cgroups::cgroups(&asked))?;
            let plan = command_plan(flags, command, groups)?;
            if flags.dry_run { shown(&plan, sources) } else { executed(&plan) }
        }
        (None, pids, _) => processes::limit(pids, flags, &limits, &asked, sources),
    }
}

/// What is to be asked of the host. Relative paths are meant from the working directory.
fn asked(mut limits: spec::Limits) -> Result<(Asked, spec::Limits), Problems> {
    let directory = std::env::current_dir().ok().and_then(|d| d.into_os_string().into_string().ok());
    for entry in &mut limits.io {
        if let (Some(path), Some(directory)) = (&mut entry.value.path, &directory)
            && !path.starts_with('/')
        {
            *path = format!("{directory}/{path}");
        }
    }
    let spec = Spec { limits, ..Spec::default() };
    let asked = crate::jail::limits::ask(&spec).unwrap_or_default();
    Ok((asked, spec.limits))
}

/// What a group is called after.
fn named(name: Option<&str>) -> &str {
    name.filter(|name| load::is_name(name)).unwrap_or("command")
}

fn shown(plan: &Plan, sources: &Sources) -> Result<Ended, Problems> {
    output::print(&print::text(plan, sources, output::paint(&std::io::stdout())))?;
    Ok(Ended::SUCCESS)
}

/// Becomes the command; returns only if that failed.
fn executed(plan: &Plan) -> Result<Ended, Problems> {
    let Stopped::Step(failure) = serve::keeper::run(plan) else {
        return Err(Problem::set_up("the command was not executed").into());
    };
    Err(explain::problem(plan, failure).into())
}

/// Only limits, ids, and the command with all that the caller has.
fn command_plan(flags: &Limit, command: &[String], groups: Vec<Group>) -> Result<Plan, Problems> {
    let mut steps = group_steps(groups);
    if let Some(user) = &flags.user {
        steps.extend(user_steps(user)?);
    }
    steps.push(Step::Umask(host::processes::own_umask()));
    steps.push(Step::Execute {
        candidates: candidates(command.first().map_or("", String::as_str))?,
        arguments: command.to_vec(),
        environment: environment()?,
    });
    let name = command.first().and_then(|program| program.rsplit('/').next());
    Ok(plan(named(name), steps))
}

/// First out of the way of the groups, if that must be, then into them.
fn group_steps(groups: Vec<Group>) -> Vec<Step> {
    let leave = groups.iter().find_map(|group| {
        let leaf = group.leaf.clone()?;
        Some(Step::LeaveGroup { base: group.base.clone(), leaf })
    });
    leave.into_iter().chain(groups.into_iter().map(Step::Group)).collect()
}

fn plan(name: &str, steps: Vec<Step>) -> Plan {
    Plan {
        name: name.to_owned(),
        steps: steps.into_iter().map(|step| Planned { step, at: None }).collect(),
        supervision: Supervision {
            pid_namespace: false,
            stop_signal: crate::jail::signals::TERM,
            reload_signal: crate::jail::signals::HUP,
            stop_timeout: 0,
            terminal: false,
            forking: false,
        },
        given_up: Vec::new(),
        hooks: Hooks::default(),
        main_pid_file: None,
        live: Default::default(),
    }
}

/// To no other group than the user's own.
fn user_steps(user: &str) -> Result<Vec<Step>, Problems> {
    if !nix::unistd::geteuid().is_root() {
        let problem = Problem::set_up(format!("only root can run a command as {user}"));
        return Err(problem.help("run jail as root, or leave --user out").into());
    }
    let questions = Questions { users: vec![user.to_owned()], ..Questions::default() };
    let facts = host::answer(&questions)?;
    let Some(Some(user)) = facts.users.get(user) else {
        return Err(Problem::usage(format!("there is no user {user:?} on this host")).into());
    };
    Ok(vec![Step::Groups(Some(Vec::new())), Step::Gid(user.gid), Step::Uid(user.uid)])
}

/// A path from here, or a name that is looked up in the caller's PATH.
fn candidates(program: &str) -> Result<Vec<AbsPath>, Problems> {
    let wrong = |why: &str| Problem::usage(format!("the program {program:?} {why}"));
    if program.contains('/') {
        let here = std::env::current_dir().ok().and_then(|d| d.into_os_string().into_string().ok());
        let whole = if program.starts_with('/') {
            program.to_owned()
        } else {
            format!("{}/{program}", here.unwrap_or_default())
        };
        // `..` is for the kernel to follow: where links are on the way, it may lead elsewhere than it seems.
        let whole = match std::fs::canonicalize(&whole)
            .ok()
            .and_then(|path| path.into_os_string().into_string().ok())
        {
            Some(found) if whole.contains("..") => found,
            _ => whole,
        };
        return Ok(vec![AbsPath::new(&whole).map_err(wrong)?]);
    }
    let path = std::env::var("PATH").unwrap_or_else(|_| crate::jail::resolve::DEFAULT_PATH.to_owned());
    let found = programs::candidates(program, &programs::search(&path));
    if found.is_empty() { Err(wrong("is looked up in PATH, which is empty").into()) } else { Ok(found) }
}

fn environment() -> Result<Vec<(String, String)>, Problems> {
    let text = |(key, value): (std::ffi::OsString, std::ffi::OsString)| {
        let name = key.to_string_lossy().into_owned();
        match (key.into_string(), value.into_string()) {
            (Ok(key), Ok(value)) => Ok((key, value)),
            _ => {
                let problem = Problem::set_up(format!("the environment variable {name} is not UTF-8"));
                Err(problem.help("unset it, or start the command through env(1)").into())
            }
        }
    };
    std::env::vars_os().map(text).collect()
}

/// Facts and groups, for the other parts.
fn groups_here(name: &str, limits: &spec::Limits, asked: &Asked) -> Result<Vec<Group>, Problems> {
    let cgroups: Cgroups = cgroups::cgroups(asked);
    groups(name, limits, &cgroups)
}
