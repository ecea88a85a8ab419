//! Why a program cannot be executed in a jail, or ends with 127 at once, read off what the jail
//! shows and the host's files.
//!
//! Must not know: how the jail was made. It only guesses: nothing is decided by it but a message.

pub use super::inside::View;

use super::elf::{self, Form, Needs, Script};
use super::inside::{Found, find, open_trusted};
use super::{libraries, paths};
use crate::jail::path::AbsPath;
use crate::plan::view::Sight;
use crate::plan::{Plan, Step};
use std::fmt;
use std::os::unix::fs::MetadataExt;

/// Scripts that name scripts as their interpreters: the kernel's limit.
const MOST_SCRIPTS: usize = 5;

/// One thing that keeps a program from starting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finding {
    /// The program is not inside.
    ProgramMissing(Missing),
    /// A bare name that no directory of PATH has.
    NotInPath {
        /// As written.
        name: String,
    },
    /// It is a directory.
    Directory {
        /// Inside.
        path: AbsPath,
    },
    /// It has no permission to be executed.
    NotExecutable {
        /// Inside.
        path: AbsPath,
        /// On the host.
        host: AbsPath,
    },
    /// Its mount has noexec.
    NoExecMount {
        /// Inside.
        path: AbsPath,
    },
    /// It was written by jail itself into memory with noexec.
    InMemory {
        /// Inside.
        path: AbsPath,
    },
    /// What its `#!` line names is not inside.
    InterpreterMissing {
        /// The script.
        script: AbsPath,
        /// What is missing.
        missing: Missing,
    },
    /// Its `#!` line ends with CR LF.
    CarriageReturn {
        /// The script.
        script: AbsPath,
    },
    /// Its `#!` line names a path that depends on the working directory.
    RelativeInterpreter {
        /// The script.
        script: AbsPath,
    },
    /// The dynamic loader is not inside.
    LoaderMissing {
        /// What needs it.
        binary: AbsPath,
        /// What is missing.
        missing: Missing,
    },
    /// A library is not inside.
    LibraryMissing {
        /// What needs it.
        binary: AbsPath,
        /// As it is named there.
        library: String,
        /// What to show, if the host has it.
        host_path: Option<AbsPath>,
    },
    /// An ELF file that this processor, or this word size, cannot run.
    WrongArchitecture {
        /// Inside.
        path: AbsPath,
    },
    /// execve(2) would say ENOEXEC.
    NotAProgram {
        /// Inside.
        path: AbsPath,
    },
    /// Reading it failed.
    Unreadable {
        /// Inside.
        path: AbsPath,
        /// The cause.
        errno: String,
    },
}

/// A path that is not inside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Missing {
    /// As asked for.
    pub path: String,
    /// The first component that is not there.
    pub obstacle: AbsPath,
    /// The link that led there.
    pub link: Option<AbsPath>,
    /// What to show, if the host has it.
    pub host_path: Option<AbsPath>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Missing { path, obstacle, link, host_path } = self;
        write!(f, "{path}, is not in the jail")?;
        match link {
            Some(link) => write!(f, " (its link {link} leads to {obstacle})")?,
            None if obstacle.as_str() != path => write!(f, " (there is no {obstacle} in it)")?,
            None => {}
        }
        if host_path.is_none() { f.write_str(": it is not on this host either") } else { Ok(()) }
    }
}

impl Finding {
    /// One sentence, without a full stop.
    pub fn what(&self) -> String {
        match self {
            Finding::ProgramMissing(missing) => format!("the program, {missing}"),
            Finding::NotInPath { name } => {
                format!("{name} is in no directory of the jail's PATH; name it by its full path")
            }
            Finding::Directory { path } => format!("{path} is a directory: name the program in it"),
            Finding::NotExecutable { path, host } => {
                format!("{path} is not executable: chmod +x {host} on the host")
            }
            Finding::NoExecMount { path } => format!(
                "{path} lies on a mount without execution; show its directory by read, or write exec = true"
            ),
            Finding::InMemory { path } => format!(
                "{path} lies in memory that is not executable; run it by its interpreter, as in [\"/bin/sh\", \"{path}\"]"
            ),
            Finding::InterpreterMissing { script, missing } => {
                format!("the interpreter of the script {script}, {missing}")
            }
            Finding::CarriageReturn { script } => {
                format!("the #! line of {script} ends in a carriage return: save it with Unix line ends")
            }
            Finding::RelativeInterpreter { script } => {
                format!("the #! line of {script} does not name an absolute path")
            }
            Finding::LoaderMissing { binary, missing } => {
                format!("the ELF interpreter of {binary}, {missing}")
            }
            Finding::LibraryMissing { binary, library, host_path: Some(_) } => {
                format!("the library {library} that {binary} needs is not in the jail")
            }
            Finding::LibraryMissing { binary, library, host_path: None } => {
                format!("the library {library} that {binary} needs is not on this host: install its package")
            }
            Finding::WrongArchitecture { path } => format!("{path} is a program for another kind of machine"),
            Finding::NotAProgram { path } => {
                format!("{path} is neither an ELF program nor a script with a #! line")
            }
            Finding::Unreadable { path, errno } => format!("{path} cannot be read: {errno}"),
        }
    }

    /// The entry that would show what is missing.
    pub fn entry(&self) -> Option<String> {
        let path = match self {
            Finding::ProgramMissing(missing)
            | Finding::InterpreterMissing { missing, .. }
            | Finding::LoaderMissing { missing, .. } => missing.host_path.as_ref(),
            Finding::LibraryMissing { host_path, .. } => host_path.as_ref(),
            _ => None,
        };
        path.map(|path| format!("add \"{}\" to [files] read", top(path)))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry() {
            Some(entry) => write!(f, "{}: {entry}", self.what()),
            None => f.write_str(&self.what()),
        }
    }
}

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
    let Some(file) = open_trusted(host) else { return };
    if file.metadata().is_ok_and(|m| m.mode() & 0o111 == 0) {
        findings.push(Finding::NotExecutable { path: path.clone(), host: host.clone() });
    }
    match elf::read(&file) {
        Ok(Form::Script(line)) => script(view, &path, &line, environment, depth, findings),
        Ok(Form::Elf(needs)) => binary(view, &path, needs, environment, findings),
        Ok(Form::Foreign) => findings.push(Finding::WrongArchitecture { path }),
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
    if depth < MOST_SCRIPTS {
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

/// What to show so that a path is seen: a package's whole directory rather than a single file, but
/// never what holds the host's secrets.
fn top(path: &AbsPath) -> String {
    let mut parts = path.components();
    match (parts.next(), parts.next()) {
        (Some("usr"), _) => "/usr".to_owned(),
        (Some("opt"), Some(name)) => format!("/opt/{name}"),
        _ => match path.parent() {
            Some(parent) if !matches!(parent.as_str(), "/" | "/etc" | "/root") => parent.to_string(),
            _ => path.to_string(),
        },
    }
}

#[cfg(test)]
mod tests;
