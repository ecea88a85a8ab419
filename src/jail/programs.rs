//! `exec`: which programs may be executed, and where they lie inside.
//!
//! Must not know: how a file is looked into, or how Landlock is told.
#![forbid(unsafe_code)]

use super::ask::checked;
use super::facts::{End, FileKind, PathFact, Program};
use super::feature::Feature;
use super::path::AbsPath;
use super::resolve::Context;
use super::tree::errno_text;
use super::{GivenUp, Place, Privileges, Process, Root, What};
use crate::problem::{At, Problem};
use crate::seccomp::{Action, Policy};
use crate::spec::Spec;

/// What the jail shows, for finding a host file in it.
pub(super) struct Shown<'a> {
    pub(super) root: &'a Root,
    pub(super) places: &'a [Place],
}

impl Context<'_> {
    /// The files and directories that may be executed; `None`: whatever is shown.
    pub(super) fn programs(
        &mut self,
        spec: &Spec,
        process: &Process,
        privileges: &Privileges,
        shown: &Shown<'_>,
    ) -> Option<Vec<AbsPath>> {
        let list = spec.files.exec.as_ref()?;
        let at = list.first().map(|entry| entry.at);
        if privileges.landlock.is_none() {
            // Without being asked for, a kernel that lacks it is a problem already.
            let by = format!("--without {}", Feature::Landlock.name());
            self.given_up.push(GivenUp { what: "exec".into(), by, at });
            return None;
        }
        if let Some(by) = way_around(privileges.system_calls.as_ref()) {
            self.given_up.push(GivenUp { what: "exec".into(), by: by.into(), at });
        }
        let mut allowed = Vec::new();
        let command = process.candidates().into_iter().filter_map(|path| self.facts.programs.get(&path));
        // Whatever is wrong with the command is said where it is executed.
        if let Some(files) = { command }.find_map(|program| shown.all(program)) {
            allowed.extend(files);
        }
        for entry in list {
            let Some(path) = checked(&entry.value, entry.at, &mut self.problems) else { continue };
            if let Some(directory) = shown.empty_directory(&path) {
                match directory {
                    Ok(()) => allowed.push(path),
                    Err(problem) => self.problems.push(problem.at(entry.at)),
                }
                continue;
            }
            let Some(program) = self.facts.programs.get(&path) else { continue };
            match entry_files(&path, program, shown) {
                Ok(files) => allowed.extend(files),
                Err(problem) => self.problems.push(problem.at(entry.at)),
            }
        }
        allowed.sort();
        allowed.dedup();
        Some(allowed)
    }
}

/// What lets a program execute what no list names, if anything does: memory is in no file tree.
fn way_around(policy: Option<&Policy>) -> Option<&'static str> {
    match policy {
        None => Some("--without seccomp, because memfd_create makes programs"),
        Some(policy) if policy.is(Action::Log) => Some("system-call-action = \"log\""),
        Some(policy) if policy.allows_named("memfd_create") => Some("system-calls, which allow memfd_create"),
        Some(_) => None,
    }
}

/// An entry of the list with its interpreters, as paths inside without links.
fn entry_files(path: &AbsPath, program: &Program, shown: &Shown<'_>) -> Result<Vec<AbsPath>, Problem> {
    let Some((_, fact)) = program.files.first() else { return Ok(Vec::new()) };
    let end = fact.end.as_ref().map_err(|stop| {
        let why = errno_text(stop.errno);
        let problem = Problem::set_up(format!("cannot allow {path} to be executed: {why}"));
        match &program.near {
            Some(near) => problem.help(format!("did you mean {near}?")),
            None => problem.help("install it, or remove it from `exec`"),
        }
    })?;
    // Whoever can change the link to an interpreter has changed every program that needs it already.
    let mut hops = fact.hops.iter();
    if let Some((hop, directory)) = hops.find_map(|hop| Some((hop, hop.untrusted.as_ref()?))) {
        let what = format!(
            "the link {} -> {} is not trusted: others than root can write to {directory}",
            hop.link, hop.target
        );
        return Err(Problem::set_up(what).help("name the program itself in `exec`, not a link to it"));
    }
    match shown.find(end) {
        Some((_, true)) => Ok(shown.all(program).unwrap_or_default()),
        Some((inside, false)) => {
            let what = format!("{path} can never be executed: {inside} lies on a mount without execution");
            Err(Problem::set_up(what)
                .help("show its directory by read, or write exec = true at the entry that shows it"))
        }
        None if end.kind == FileKind::File && shown.is_copied(end) => {
            let what = format!("{path} can never be executed: it is a copy in memory that is not executable");
            Err(Problem::set_up(what).help("show its directory instead of the file"))
        }
        None => {
            // A file alone would be copied, and a copy is not executable.
            let directory = end.path.parent().unwrap_or_else(AbsPath::root);
            let help = format!("add \"{directory}\" to [files] read, or remove it from `exec`");
            Err(Problem::set_up(format!("{path}, which `exec` names, is not in the jail")).help(help))
        }
    }
}

impl Shown<'_> {
    /// All files of a program; `None` if the first is not shown.
    fn all(&self, program: &Program) -> Option<Vec<AbsPath>> {
        let find = |(_, fact): &(AbsPath, PathFact)| self.find(fact.end.as_ref().ok()?).map(|f| f.0);
        find(program.files.first()?)?;
        Some(program.files.iter().filter_map(find).collect())
    }

    /// Where a host file is seen inside, and whether its mount allows execution.
    fn find(&self, end: &End) -> Option<(AbsPath, bool)> {
        let root = match self.root {
            Root::Directory { source, .. } => Some((AbsPath::root(), source, true)),
            Root::Skeleton => None,
        };
        let binds = self.places.iter().filter_map(|place| match &place.what {
            What::Bind { source, exec, .. } => Some((place.path.clone(), source, *exec)),
            _ => None,
        });
        root.into_iter().chain(binds).find_map(|(at, source, exec)| {
            let inside = end.path.rebase(source, &at)?;
            // Something else may be placed over it.
            let top = self.deepest(&inside).map_or_else(AbsPath::root, |place| place.path.clone());
            (top == at).then_some((inside, exec))
        })
    }

    fn deepest(&self, path: &AbsPath) -> Option<&Place> {
        let above = self.places.iter().filter(|place| path.is_within(&place.path));
        above.max_by_key(|place| place.path.depth())
    }

    fn is_copied(&self, end: &End) -> bool {
        self.places.iter().any(|p| matches!(&p.what, What::Copy { source, .. } if *source == end.path))
    }

    /// What is to be said of a path in a file system that is empty when the jail starts; `None`: it lies
    /// in no such one.
    fn empty_directory(&self, path: &AbsPath) -> Option<Result<(), Problem>> {
        let Some(Place { path: top, what: What::Tmpfs { exec, .. }, .. }) = self.deepest(path) else {
            return None;
        };
        let what = |why: &str| Problem::set_up(format!("cannot allow {path} to be executed: {why}"));
        Some(match (exec, path == top) {
            (false, _) => {
                Err(what("its tmpfs is without execution").help("write exec = true at the tmpfs entry"))
            }
            (true, true) => Ok(()),
            (true, false) => {
                Err(what("its tmpfs is empty when the jail starts").help(format!("name the whole of {top}")))
            }
        })
    }
}

/// The paths that `exec` asks the host about: those of the list, and the command.
pub(super) fn questions(spec: &Spec, search: &[AbsPath]) -> Vec<AbsPath> {
    let Some(list) = &spec.files.exec else { return Vec::new() };
    let command = spec.process.command.iter().flat_map(|c| c.value.first());
    let command = command.flat_map(|program| candidates(program, search));
    let named = list.iter().filter_map(|entry: &At<String>| AbsPath::new(&entry.value).ok());
    named.chain(command).collect()
}

/// Where the inside does not lie at the same path on the host: by entries with `at`, and by the root.
pub(super) fn moved(spec: &Spec) -> Vec<(AbsPath, AbsPath)> {
    let path = |text: &str| AbsPath::new(text).ok();
    let entries = spec.files.read.iter().chain(&spec.files.write);
    let entries = entries.filter_map(|e| Some((path(e.value.at.as_ref()?)?, path(&e.value.path)?)));
    let shown = spec.files.read.iter().chain(&spec.files.write).filter(|e| e.value.at.is_none());
    match spec.files.root.as_ref().map(|r: &At<crate::spec::Root>| &r.value) {
        Some(crate::spec::Root::Directory { path: root, .. }) => {
            let root = path(root).map(|host| (AbsPath::root(), host));
            // What is shown over the root is the host's own.
            let same = shown.filter_map(|e| path(&e.value.path)).map(|p| (p.clone(), p));
            entries.chain(root).chain(same).collect()
        }
        _ => entries.collect(),
    }
}

/// Where a command may be: itself if it has a slash, else in each directory of the jail's PATH.
pub fn candidates(program: &str, search: &[AbsPath]) -> Vec<AbsPath> {
    if program.contains('/') {
        return AbsPath::new(program).into_iter().collect();
    }
    search.iter().map(|directory| directory.join(program)).collect()
}

/// The directories of a PATH.
pub fn search(path: &str) -> Vec<AbsPath> {
    path.split(':').filter_map(|directory| AbsPath::new(directory).ok()).collect()
}

impl Process {
    /// What the program is looked up as, in order.
    pub fn candidates(&self) -> Vec<AbsPath> {
        let path = self.env.iter().find(|(key, _)| key == "PATH").map_or("", |(_, value)| value.as_str());
        candidates(self.command.value.first().map_or("", String::as_str), &search(path))
    }
}
