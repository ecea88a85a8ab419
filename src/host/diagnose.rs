//! Why a program cannot be executed in a jail, read off the plan and the host's files.
//!
//! Must not know: how the jail was made. Only files that nobody but root (or the caller) can write
//! are parsed: a jailed service must not be able to feed a file to its operator's tool.

use super::elf::{self, Form, Needs};
use crate::jail::path::AbsPath;
use crate::plan::view::{Sight, look};
use crate::plan::{Plan, Step};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

/// A file as the program would find it.
struct Found {
    /// Its path inside, after every link.
    inside: AbsPath,
    /// Its path on the host; `None` for a file made by the plan.
    host: Option<AbsPath>,
    /// Its mount allows execution.
    exec: bool,
}

/// What keeps the plan's program from starting, one sentence each with its remedy; empty if nothing
/// is found.
pub fn why(plan: &Plan) -> Vec<String> {
    let Some(Step::Execute { candidates, arguments, .. }) = plan.steps.last().map(|p| &p.step) else {
        return Vec::new();
    };
    let name = arguments.first().map_or("", String::as_str);
    let mut findings = Vec::new();
    match candidates.iter().find_map(|c| find(plan, c).ok()) {
        Some(program) => examine(plan, &program, &mut findings),
        None if candidates.len() == 1 => findings.push(missing(plan, &candidates[0], "the program")),
        None => {
            findings.push(format!("{name} is in no directory of the jail's PATH; name it by its full path"))
        }
    }
    findings
}

fn examine(plan: &Plan, program: &Found, findings: &mut Vec<String>) {
    let path = &program.inside;
    let Some(host) = &program.host else {
        findings.push(format!(
            "{path} lies in memory that is not executable; run it by its interpreter, as in [\"/bin/sh\", \"{path}\"]"
        ));
        return;
    };
    if !program.exec {
        findings.push(format!(
            "{path} lies on a mount without execution; show its directory by read, or write exec = true"
        ));
    }
    if fs::metadata(host.as_str()).is_ok_and(|m| m.is_dir()) {
        findings.push(format!("{path} is a directory: name the program in it"));
        return;
    }
    let Some(file) = open_trusted(host) else { return };
    if file.metadata().is_ok_and(|m| m.mode() & 0o111 == 0) {
        findings.push(format!("{path} is not executable: chmod +x {host} on the host"));
    }
    match elf::read(&file) {
        Ok(Form::Script(word)) => script(plan, path, &word, findings),
        Ok(Form::Elf(needs)) => binary(plan, path, needs, findings),
        Ok(Form::Foreign) => findings.push(format!("{path} is a program for another kind of machine")),
        Ok(Form::Other) => {
            findings.push(format!("{path} is neither an ELF program nor a script with a #! line"));
        }
        Err(error) => findings.push(format!("{path} cannot be read: {error}")),
    }
}

fn script(plan: &Plan, script: &AbsPath, word: &str, findings: &mut Vec<String>) {
    if word.ends_with('\r') {
        findings
            .push(format!("the #! line of {script} ends in a carriage return: save it with Unix line ends"));
        return;
    }
    let Ok(interpreter) = AbsPath::new(word) else {
        findings.push(format!("the #! line of {script} does not name an absolute path"));
        return;
    };
    match find(plan, &interpreter) {
        // The kernel allows a few scripts in a row; one is what is met.
        Ok(found) => {
            if let Some(file) = found.host.as_ref().and_then(open_trusted)
                && let Ok(Form::Elf(needs)) = elf::read(&file)
            {
                binary(plan, &found.inside, needs, findings);
            }
        }
        Err(_) => {
            findings.push(missing(plan, &interpreter, &format!("the interpreter of the script {script}")))
        }
    }
}

fn binary(plan: &Plan, path: &AbsPath, needs: Needs, findings: &mut Vec<String>) {
    if let Some(loader) = needs.interpreter.as_deref().and_then(|l| AbsPath::new(l).ok())
        && find(plan, &loader).is_err()
    {
        findings.push(missing(plan, &loader, &format!("the ELF interpreter of {path}")));
        return;
    }
    let mut seen = BTreeSet::new();
    let mut waiting = vec![(path.clone(), needs)];
    while let Some((user, needs)) = waiting.pop() {
        for library in &needs.libraries {
            if !seen.insert(library.clone()) || seen.len() > 1000 {
                continue;
            }
            match find_library(plan, &user, library, &needs.search) {
                Some(found) => {
                    if let Some(file) = found.host.as_ref().and_then(open_trusted)
                        && let Ok(Form::Elf(needs)) = elf::read(&file)
                    {
                        waiting.push((found.inside, needs));
                    }
                }
                None => findings.push(missing_library(&user, library)),
            }
        }
    }
}

/// Where the loader looks without a cache, which a jail has only if it is shown.
const LIBRARY_DIRECTORIES: &[&str] = &[
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
];

fn find_library(plan: &Plan, user: &AbsPath, name: &str, search: &[String]) -> Option<Found> {
    if name.contains('/') {
        return AbsPath::new(name).ok().and_then(|p| find(plan, &p).ok());
    }
    let origin = user.parent().unwrap_or_else(AbsPath::root);
    let own =
        search.iter().map(|d| d.replace("${ORIGIN}", origin.as_str()).replace("$ORIGIN", origin.as_str()));
    let standard = LIBRARY_DIRECTORIES.iter().map(|d| (*d).to_owned());
    let cached = AbsPath::new("/etc/ld.so.cache").is_ok_and(|c| find(plan, &c).is_ok());
    let configured = if cached { configured_directories() } else { Vec::new() };
    own.chain(standard).chain(configured).find_map(|directory| {
        // `..` behind $ORIGIN is common; lexically is good enough for a hint.
        let directory = AbsPath::root().join("x").resolve_link(&directory)?;
        find(plan, &directory.join(name)).ok()
    })
}

/// Directories of /etc/ld.so.conf.d.
fn configured_directories() -> Vec<String> {
    let files = walkdir::WalkDir::new("/etc/ld.so.conf.d").max_depth(1).into_iter().filter_map(Result::ok);
    let texts = files.filter_map(|f| fs::read_to_string(f.path()).ok());
    texts
        .flat_map(|t| t.lines().filter(|l| l.starts_with('/')).map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

fn missing_library(user: &AbsPath, library: &str) -> String {
    let places = LIBRARY_DIRECTORIES.iter().map(|d| (*d).to_owned()).chain(configured_directories());
    let on_host = places.filter_map(|d| AbsPath::new(&d).ok()).map(|d| d.join(library)).find(exists);
    match on_host {
        Some(path) => format!("the library {library} that {user} needs is not in the jail: {}", entry(&path)),
        None => format!("the library {library} that {user} needs is not on this host: install its package"),
    }
}

fn missing(plan: &Plan, path: &AbsPath, role: &str) -> String {
    let obstacle = match find(plan, path) {
        Err(obstacle) if obstacle != *path => format!(" (there is no {obstacle} in it)"),
        _ => String::new(),
    };
    let remedy = if exists(path) { entry(path) } else { "it is not on this host either".to_owned() };
    format!("{role}, {path}, is not in the jail{obstacle}: {remedy}")
}

fn exists(path: &AbsPath) -> bool {
    fs::metadata(path.as_str()).is_ok()
}

/// The entry that would show a host path: its package's directory rather than the single file.
fn entry(path: &AbsPath) -> String {
    let real = fs::canonicalize(path.as_str()).ok().and_then(|p| AbsPath::new(p.to_str()?).ok());
    let real = real.unwrap_or_else(|| path.clone());
    let mut parts = real.components();
    let show = match (parts.next(), parts.next()) {
        (Some("usr"), _) => "/usr".to_owned(),
        (Some("opt"), Some(name)) => format!("/opt/{name}"),
        _ => real.parent().filter(|p| *p != AbsPath::root()).map_or(real.to_string(), |p| p.to_string()),
    };
    format!("add \"{show}\" to [files] read")
}

fn open_trusted(path: &AbsPath) -> Option<File> {
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path.as_str()).ok()?;
    let metadata = file.metadata().ok()?;
    let owner = metadata.uid() == 0 || metadata.uid() == rustix::process::geteuid().as_raw();
    (metadata.is_file() && owner && metadata.mode() & 0o022 == 0).then_some(file)
}

/// Follows a path through the jail as the kernel would; `Err` is the first component that is not
/// there.
fn find(plan: &Plan, path: &AbsPath) -> Result<Found, AbsPath> {
    let mut rest: Vec<String> = path.components().rev().map(str::to_owned).collect();
    let mut here = AbsPath::root();
    let mut links = 0;
    let mut last = Found { inside: AbsPath::root(), host: None, exec: false };
    while let Some(name) = rest.pop() {
        match name.as_str() {
            "" | "." => continue,
            ".." => {
                here = here.parent().unwrap_or_else(AbsPath::root);
                continue;
            }
            _ => {}
        }
        let next = here.join(&name);
        let (target, host, exec) = match look(plan, &next) {
            Sight::Absent => return Err(next),
            Sight::Directory | Sight::Memory => (None, None, false),
            Sight::Link(target) => (Some(target), None, false),
            Sight::Host { path, exec } => {
                let metadata = fs::symlink_metadata(path.as_str()).map_err(|_| next.clone())?;
                let link = metadata.is_symlink().then(|| fs::read_link(path.as_str()).ok()).flatten();
                (link.and_then(|t| t.to_str().map(str::to_owned)), Some(path), exec)
            }
        };
        let Some(target) = target else {
            last = Found { inside: next.clone(), host, exec };
            here = next;
            continue;
        };
        links += 1;
        if links > 40 {
            return Err(next);
        }
        if target.starts_with('/') {
            here = AbsPath::root();
        }
        rest.extend(target.split('/').rev().map(str::to_owned));
    }
    Ok(last)
}
