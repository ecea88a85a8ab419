//! Why a program cannot be executed in a jail, or ends with 127 at once, read off what the jail
//! shows and the host's files.
//!
//! Must not know: how the jail was made. It only guesses: nothing is decided by it but a message.

mod finding;

pub use super::inside::View;
pub use finding::{Finding, Missing};

use super::elf::{self, Form, Needs, Script};
use super::inside::{Found, find, forbidden, open_trusted};
use super::{libraries, paths};
use crate::jail::path::AbsPath;
use crate::plan::view::Sight;
use crate::plan::{Plan, Step};
use std::fs;
use std::os::unix::fs::MetadataExt;

/// Scripts that name scripts as their interpreters: the kernel's limit.
const MOST_SCRIPTS: usize = 5;

/// What keeps the plan's program from starting, one sentence each with its remedy; empty if nothing
/// is found.
pub fn why(plan: &Plan) -> Vec<String> {
    let Some(Step::Execute { candidates, arguments, environment }) = plan.steps.last().map(|p| &p.step)
    else {
        return Vec::new();
    };
    let name = arguments.first().map_or("", String::as_str);
    diagnose(plan, name, candidates, environment).iter().map(Finding::to_string).collect()
}

/// What keeps the program `name` from starting, which is executed as the first of `candidates` that
/// can be. Empty: nothing is known to be wrong.
pub fn diagnose(
    view: &dyn View,
    name: &str,
    candidates: &[AbsPath],
    environment: &[(String, String)],
) -> Vec<Finding> {
    let mut first = None;
    for candidate in candidates {
        let Ok(program) = find(view, candidate.as_str()) else { continue };
        if program.directory && candidates.len() > 1 {
            continue;
        }
        let mut findings = Vec::new();
        examine(view, &program, environment, 0, &mut findings);
        if findings.is_empty() {
            return findings;
        }
        first.get_or_insert(findings);
    }
    if let Some(findings) = first {
        return findings;
    }
    let missing = candidates.iter().filter_map(|c| missing(view, c.as_str()));
    let shown = |m: &Missing| candidates.len() == 1 || m.host_path.is_some();
    match missing.into_iter().find(shown) {
        Some(missing) => vec![Finding::ProgramMissing(missing)],
        None => vec![Finding::NotInPath { name: name.to_owned() }],
    }
}

fn examine(
    view: &dyn View,
    program: &Found,
    environment: &[(String, String)],
    depth: usize,
    findings: &mut Vec<Finding>,
) {
    let path = program.inside.clone();
    if program.directory {
        findings.push(Finding::Directory { path });
        return;
    }
    let Some(host) = &program.host else {
        findings.push(Finding::InMemory { path });
        return;
    };
    if !program.exec {
        findings.push(Finding::NoExecMount { path: path.clone() });
    }
    if let Some((host, user)) = forbidden(view, program)
        && fs::metadata(program.host.as_ref().unwrap_or(&host).as_str()).is_ok_and(|m| m.mode() & 0o111 != 0)
    {
        findings.push(Finding::Forbidden { path: path.clone(), host, uid: user.uid });
    }
    let Some(file) = open_trusted(host) else { return };
    if file.metadata().is_ok_and(|m| m.mode() & 0o111 == 0) {
        findings.push(Finding::NotExecutable { path: path.clone(), host: host.clone() });
    }
    match elf::read(&file) {
        Ok(Form::Script(line)) => script(view, &path, &line, environment, depth, findings),
        Ok(Form::Elf(needs)) => binary(view, &path, needs, environment, findings),
        Ok(Form::Foreign) => findings.push(Finding::WrongArchitecture { path }),
        Ok(Form::Truncated) => findings.push(Finding::Truncated { path }),
        Ok(Form::Other) => findings.push(Finding::NotAProgram { path }),
        Err(error) => findings.push(Finding::Unreadable { path, errno: error.to_string() }),
    }
}

fn script(
    view: &dyn View,
    script: &AbsPath,
    line: &Script,
    environment: &[(String, String)],
    depth: usize,
    findings: &mut Vec<Finding>,
) {
    let script = script.clone();
    if line.interpreter.ends_with('\r') {
        return findings.push(Finding::CarriageReturn { script });
    }
    if !line.interpreter.starts_with('/') {
        return findings.push(Finding::RelativeInterpreter { script });
    }
    let Ok(found) = find(view, &line.interpreter) else {
        let missing = missing(view, &line.interpreter);
        return findings.extend(missing.map(|missing| Finding::InterpreterMissing { script, missing }));
    };
    if found.inside == script || depth >= MOST_SCRIPTS {
        return findings.push(Finding::ScriptLoop { script });
    } else {
        examine(view, &found, environment, depth + 1, findings);
    }
    if let Some(command) = behind_env(line) {
        if command.ends_with('\r') {
            return findings.push(Finding::CarriageReturn { script });
        }
        let path = environment.iter().find(|(key, _)| key == "PATH").map_or("", |(_, value)| value);
        let paths: Vec<String> = path.split(':').map(|d| format!("{d}/{command}")).collect();
        if !command.contains('/') && paths.iter().all(|p| find(view, p).is_err()) {
            let missing = paths.iter().filter_map(|p| missing(view, p)).find(|m| m.host_path.is_some());
            findings.push(match missing {
                Some(missing) => Finding::InterpreterMissing { script, missing },
                None => Finding::NotInPath { name: command.to_owned() },
            });
        }
    }
}

/// The program that `#!/usr/bin/env` looks for in PATH; it ends with 127 itself if there is none.
pub(super) fn behind_env(line: &Script) -> Option<&str> {
    let argument = line.argument.strip_prefix("-S").unwrap_or(&line.argument);
    let word = argument.split([' ', '\t']).find(|w| !w.is_empty())?;
    // Options and variables of env(1) are not followed.
    (line.interpreter.ends_with("/env") && !word.starts_with('-') && !word.contains('=')).then_some(word)
}

fn binary(
    view: &dyn View,
    path: &AbsPath,
    needs: Needs,
    environment: &[(String, String)],
    findings: &mut Vec<Finding>,
) {
    let Some(loader) = needs.interpreter.clone().filter(|l| l.starts_with('/')) else { return };
    match find(view, &loader) {
        Ok(found) => {
            if !found.exec && found.host.is_some() {
                findings.push(Finding::NoExecMount { path: found.inside });
            }
            findings.extend(libraries::missing(view, path, needs, environment));
        }
        Err(_) => {
            let missing = missing(view, &loader);
            findings.extend(missing.map(|missing| Finding::LoaderMissing { binary: path.clone(), missing }));
        }
    }
}

/// What is missing at a path; `None` if nothing is.
fn missing(view: &dyn View, path: &str) -> Option<Missing> {
    let obstacle = find(view, path).err()?;
    Some(Missing {
        path: path.to_owned(),
        obstacle: obstacle.path,
        link: obstacle.link,
        host_path: to_show(view, path),
    })
}

/// The end of a path on the host, if there is one.
pub(super) fn host_path(path: &str) -> Option<AbsPath> {
    let path = AbsPath::root().join("x").resolve_link(path)?;
    paths::walk(&path, 0).end.ok().map(|end| end.path)
}

/// What of a host path is not inside: a link on the way, its end, or a link at the top (last,
/// because those that every host has, such as /bin, are mirrored by themselves).
fn to_show(view: &dyn View, path: &str) -> Option<AbsPath> {
    let fact = paths::walk(&AbsPath::root().join("x").resolve_link(path)?, 0);
    let end = fact.end.ok()?.path;
    let (at_the_top, mut places): (Vec<AbsPath>, Vec<AbsPath>) =
        fact.hops.into_iter().map(|hop| hop.link).partition(|link| link.depth() == 1);
    places.push(end.clone());
    places.extend(at_the_top);
    Some(places.into_iter().find(|place| !is_there(view, place)).unwrap_or(end))
}

/// Whether something, be it a link to nowhere, is at a path inside.
fn is_there(view: &dyn View, path: &AbsPath) -> bool {
    let Some(parent) = path.parent() else { return true };
    find(view, parent.as_str()).is_ok_and(|p| view.look(&p.inside.join(path.name())) != Sight::Absent)
}

#[cfg(test)]
mod tests;
