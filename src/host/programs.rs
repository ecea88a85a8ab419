//! Programs that may be executed: each with the interpreters that the kernel opens for it, and with
//! what `env` in a `#!` line would look for.
//!
//! Must not know: what becomes of the answers. Files are opened only if nobody but root (or the caller)
//! can write them.

use super::diagnose::behind_env;
use super::elf::{self, Form};
use super::{inside, paths};
use crate::jail::facts::{FileKind, PathFact, Program, Questions};
use crate::jail::path::AbsPath;
use crate::problem::did_you_mean;

/// More than the kernel follows: five scripts, each perhaps through `env`, and an ELF interpreter.
const MOST: usize = 16;
/// As many links as the kernel follows (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// The interpreter of nearly every dynamic program: for files that are not looked into.
#[cfg(target_arch = "x86_64")]
const USUAL: &str = "/lib64/ld-linux-x86-64.so.2";
#[cfg(target_arch = "aarch64")]
const USUAL: &str = "/lib/ld-linux-aarch64.so.1";

/// What is executed when the program at `path`, as it is named inside, is.
pub fn program(path: &AbsPath, questions: &Questions, caller: u32) -> Program {
    let mut found: Vec<(AbsPath, PathFact)> = Vec::new();
    let mut waiting = vec![path.clone()];
    while let Some(path) = waiting.pop() {
        if found.len() < MOST && found.iter().all(|(known, _)| *known != path) {
            let fact = look(&path, questions, caller);
            waiting.extend(needs(&fact, questions, caller));
            found.push((path, fact));
        }
    }
    let near = match found.first() {
        Some((_, PathFact { end: Err(_), .. })) => neighbour(path, questions),
        _ => None,
    };
    Program { files: found, near }
}

/// What is executed along with a file, as it is named inside.
fn needs(fact: &PathFact, questions: &Questions, caller: u32) -> Vec<AbsPath> {
    let absolute = |text: &str| {
        let named = text.starts_with('/').then(|| AbsPath::root().join("x").resolve_link(text));
        named.flatten().into_iter().collect()
    };
    let Ok(end) = &fact.end else { return Vec::new() };
    if end.kind != FileKind::File {
        return absolute(USUAL);
    }
    let form = inside::open_trusted(&end.path).map(|file| elf::read(&file));
    match form {
        None => absolute(USUAL),
        Some(Ok(Form::Elf(needs))) => needs.interpreter.map_or(Vec::new(), |i| absolute(&i)),
        Some(Ok(Form::Script(line))) => {
            let mut all: Vec<AbsPath> = absolute(&line.interpreter);
            if let Some(name) = behind_env(&line).filter(|name| !name.contains('/')) {
                let places = questions.search.iter().map(|directory| directory.join(name));
                all.extend({ places }.find(|p| look(p, questions, caller).end.is_ok()));
            }
            all
        }
        Some(Ok(Form::Foreign | Form::Truncated | Form::Other) | Err(_)) => Vec::new(),
    }
}

/// What is at a path inside. One link at a time: what it leads to may lie elsewhere on the host.
fn look(path: &AbsPath, questions: &Questions, caller: u32) -> PathFact {
    let mut inside = path.clone();
    let mut hops = Vec::new();
    loop {
        let (top, host_top) = mapped(&inside, questions);
        let host = inside.rebase(&top, &host_top).unwrap_or_else(|| inside.clone());
        let fact = paths::walk(&host, caller);
        let next = fact.hops.first().filter(|_| hops.len() < MOST_LINKS).and_then(|hop| {
            let link = hop.link.rebase(&host_top, &top)?;
            inside.rebase(&link, &link.resolve_link(&hop.target)?)
        });
        let Some(next) = next else { return PathFact { hops, end: fact.end } };
        inside = next;
        hops.extend(fact.hops.into_iter().next());
    }
}

/// The directory inside that a path lies in, and the host's directory that is shown there.
fn mapped(path: &AbsPath, questions: &Questions) -> (AbsPath, AbsPath) {
    let moved = questions.moved.iter().filter(|(inside, _)| path.is_within(inside));
    let deepest = moved.max_by_key(|(inside, _)| inside.depth()).cloned();
    deepest.unwrap_or_else(|| (AbsPath::root(), AbsPath::root()))
}

/// A name like the missing one in the same directory.
fn neighbour(path: &AbsPath, questions: &Questions) -> Option<String> {
    let (top, host_top) = mapped(path, questions);
    let directory = path.rebase(&top, &host_top)?.parent()?;
    let entries = std::fs::read_dir(directory.as_str()).ok()?.filter_map(Result::ok);
    let names: Vec<String> = entries.filter_map(|e| e.file_name().into_string().ok()).collect();
    let near = did_you_mean(path.name(), names.iter().map(String::as_str))?;
    path.parent().map(|parent| parent.join(near).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn path(text: &str) -> AbsPath {
        AbsPath::new(text).unwrap()
    }

    fn names(program: &Program) -> Vec<&str> {
        program.files.iter().map(|(path, _)| path.as_str()).collect()
    }

    #[test]
    fn a_script_brings_its_interpreter_and_what_env_finds() {
        let room = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(room.path().join(name), text).unwrap();
        write("plain", "#!/bin/sh\n");
        write("env", "#!/usr/bin/env sh\n");
        write("relative", "#!bin/sh\n");
        write("data", "nothing");
        let questions = Questions {
            moved: vec![(path("/app"), path(room.path().to_str().unwrap()))],
            search: vec![path("/nonexistent"), path("/bin")],
            ..Questions::default()
        };
        let ask = |name: &str| program(&path("/app").join(name), &questions, 0);
        assert_eq!(names(&ask("plain")), ["/app/plain", "/bin/sh", USUAL]);
        assert!(
            names(&ask("env")).ends_with(&["/usr/bin/env", USUAL]) || names(&ask("env")).contains(&"/bin/sh")
        );
        assert!(names(&ask("env")).contains(&"/usr/bin/env") && names(&ask("env")).contains(&"/bin/sh"));
        assert_eq!(names(&ask("relative")), ["/app/relative"]);
        assert_eq!(names(&ask("data")), ["/app/data"]);
        assert_eq!(names(&program(&path("/app"), &questions, 0)), ["/app", USUAL], "a directory");
        assert_eq!(ask("plian").near.as_deref(), Some("/app/plain"));
        assert_eq!(ask("plain").near, None);
    }

    #[test]
    fn circles_end() {
        let room = tempfile::tempdir().unwrap();
        let (a, b) = (room.path().join("a"), room.path().join("b"));
        fs::write(&a, format!("#!{}\n", b.display())).unwrap();
        fs::write(&b, format!("#!{}\n", a.display())).unwrap();
        let found = program(&path(a.to_str().unwrap()), &Questions::default(), 0);
        assert_eq!(found.files.len(), 2);
    }
}
