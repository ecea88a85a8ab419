//! Rules about the file tree: what is shown, what can be written, what can be executed.
#![forbid(unsafe_code)]

use super::super::weights::{DEVICES, Item, ROOTS, SHOWN, SOCKETS, WRITABLE};
use super::{Hit, Subject, row};
use crate::jail::path::AbsPath;
use crate::plan::view::{Sight, look};
use crate::plan::{Attributes, Plan, Step, TreeKind};
use crate::problem::Span;

/// A part of the host that is shown.
struct Shown<'a> {
    source: &'a AbsPath,
    /// `None`: a copy.
    tree: Option<(TreeKind, Attributes)>,
    /// It is `/` in the jail.
    is_root: bool,
    at: Option<Span>,
}

impl Shown<'_> {
    fn writable(&self) -> bool {
        self.tree.is_some_and(|(kind, attributes)| kind != TreeKind::Device && !attributes.read_only)
    }

    /// The key that it was asked for by.
    fn key(&self) -> &'static str {
        match (self.is_root, self.writable()) {
            (true, _) => "files.root",
            (false, true) => "files.write",
            (false, false) => "files.read",
        }
    }

    /// As it is called in findings.
    fn kind(&self) -> &'static str {
        if self.tree.is_some() { "shows" } else { "shows a copy of" }
    }
}

/// All of them but device nodes; also the root, if that is a host directory.
fn shown(plan: &Plan) -> impl Iterator<Item = Shown<'_>> {
    let root = root_slot(plan);
    plan.steps.iter().filter_map(move |p| match &p.step {
        Step::OpenTree { slot, source, kind, attributes } if *kind != TreeKind::Device => {
            Some(Shown { source, tree: Some((*kind, *attributes)), is_root: Some(*slot) == root, at: p.at })
        }
        Step::OpenFile { source, .. } => Some(Shown { source, tree: None, is_root: false, at: p.at }),
        _ => None,
    })
}

/// The descriptor of the host directory that becomes `/`.
fn root_slot(plan: &Plan) -> Option<usize> {
    plan.steps.iter().find_map(|p| match &p.step {
        Step::AttachRoot { slot } => Some(*slot),
        _ => None,
    })
}

/// Whether a path is of a pattern: `*` is any one name, `**` at the end the path and all below it.
fn matches(pattern: &str, path: &AbsPath) -> bool {
    let (stem, below) = match pattern.strip_suffix("/**") {
        Some(stem) => (stem, true),
        None => (pattern, false),
    };
    let mut names = path.components();
    let fits = stem.split('/').filter(|part| !part.is_empty()).all(|part| {
        let name = names.next();
        name.is_some_and(|name| part == "*" || part == name)
    });
    fits && (below || names.next().is_none())
}

/// The most exact pattern that a path is of.
fn closest(table: &'static [Item], path: &AbsPath) -> Option<&'static Item> {
    let depth = |item: &&Item| item.name.split('/').filter(|part| !part.is_empty() && *part != "**").count();
    table.iter().filter(|item| matches(item.name, path)).max_by_key(depth)
}

pub fn root_directory(subject: Subject<'_>) -> Vec<Hit> {
    let Some(root) = shown(subject.plan).find(|shown| shown.is_root) else { return Vec::new() };
    let kind = if root.writable() { "writable" } else { "read-only" };
    let what = format!("its root is the host directory {}, {kind}", root.source);
    row(ROOTS, kind).map(|item| Hit::of(item, what, root.at)).into_iter().collect()
}

pub fn shown_trees(subject: Subject<'_>) -> Vec<Hit> {
    let hit = |shown: Shown<'_>| {
        let item = closest(SHOWN, shown.source)?;
        Some(Hit::of(item, format!("{} {}", shown.kind(), shown.source), shown.at).by(shown.key()))
    };
    shown(subject.plan).filter_map(hit).collect()
}

pub fn sockets(subject: Subject<'_>) -> Vec<Hit> {
    shown(subject.plan).filter_map(|shown| reachable(&shown)).collect()
}

/// The gravest socket that can be connected to in a shown tree, with the names of the others.
fn reachable(shown: &Shown<'_>) -> Option<Hit> {
    let (kind, _) = shown.tree?;
    let within = |item: &&Item| AbsPath::new(item.name).is_ok_and(|socket| socket.is_within(shown.source));
    let known: Vec<&'static Item> = SOCKETS.iter().filter(within).collect();
    let gravest = known.iter().copied().rev().max_by_key(|item| item.points);
    if kind == TreeKind::Special {
        let item = gravest.or_else(|| row(SOCKETS, "other"))?;
        return Some(Hit::of(item, format!("can connect to {}", shown.source), shown.at).by(shown.key()));
    }
    let others = match known.len() {
        0 | 1 => String::new(),
        several => format!(" and {} more", several - 1),
    };
    gravest.map(|item| {
        Hit::of(item, format!("can connect to {}{others}, if the host has it", item.name), shown.at)
            .by(shown.key())
    })
}

pub fn writable(subject: Subject<'_>) -> Vec<Hit> {
    let hit = |shown: Shown<'_>| {
        let item = closest(WRITABLE, shown.source).or_else(|| row(WRITABLE, "other"))?;
        Some(Hit::of(item, format!("may write to the host's {}", shown.source), shown.at).by(shown.key()))
    };
    shown(subject.plan).filter(Shown::writable).filter_map(hit).collect()
}

pub fn writable_and_executable(subject: Subject<'_>) -> Vec<Hit> {
    let executable =
        |shown: &Shown<'_>| shown.writable() && shown.tree.is_some_and(|(_, attributes)| !attributes.no_exec);
    let host = shown(subject.plan).filter(executable);
    let host = host.map(|s| {
        Hit::new(format!("may execute what it writes to the host's {}", s.source), s.at).by(s.key())
    });
    let memory = subject.plan.steps.iter().filter_map(|p| match &p.step {
        Step::Tmpfs { path, attributes, .. } if !attributes.no_exec => {
            Some(Hit::new(format!("may execute what it writes to {path}"), p.at).by("files.tmpfs"))
        }
        _ => None,
    });
    host.chain(memory).collect()
}

/// The first host directory that it may write to.
fn first_writable(subject: Subject<'_>) -> Option<Shown<'_>> {
    shown(subject.plan).find(Shown::writable)
}

pub fn set_id_files(subject: Subject<'_>) -> Vec<Hit> {
    let hit = |shown: Shown<'_>| {
        Hit::new("may leave set-id files of its user on the host", shown.at).by(shown.key())
    };
    first_writable(subject).map(hit).into_iter().collect()
}

pub fn umask(subject: Subject<'_>) -> Vec<Hit> {
    let umask = subject.plan.steps.iter().find_map(|p| match p.step {
        Step::Umask(mask) => Some(mask),
        _ => None,
    });
    let open = umask.is_none_or(|mask| mask & 0o004 == 0) && first_writable(subject).is_some();
    let at = subject.spec.process.umask.as_ref().map(|umask| umask.at);
    Hit::when(open, "files it makes on the host are readable by all", at)
}

/// Where the usual shells and interpreters are.
const INTERPRETERS: &[&str] =
    &["/bin/sh", "/usr/bin/sh", "/usr/bin/bash", "/usr/bin/perl", "/usr/bin/python3"];

pub fn interpreters(subject: Subject<'_>) -> Vec<Hit> {
    let directory = INTERPRETERS.iter().find_map(|program| {
        let path = AbsPath::new(program).ok()?;
        let Sight::Host { exec: true, path: source } = look(subject.plan, &path) else { return None };
        let tree = shown(subject.plan).filter(|shown| source.is_within(shown.source));
        let tree = tree.max_by_key(|shown| shown.source.depth())?;
        Some((path.parent()?, tree))
    });
    let hit = |(directory, tree): (AbsPath, Shown<'_>)| {
        Hit::new(format!("can execute the shells and interpreters of {directory}"), tree.at).by(tree.key())
    };
    directory.map(hit).into_iter().collect()
}

pub fn follow(subject: Subject<'_>) -> Vec<Hit> {
    let files = &subject.spec.files;
    let entries = files.read.iter().chain(&files.write).filter(|entry| entry.value.follow);
    entries
        .map(|e| Hit::new(format!("follows links to {} that others can make", e.value.path), Some(e.at)))
        .collect()
}

pub fn devices(subject: Subject<'_>) -> Vec<Hit> {
    let asked = subject.plan.steps.iter().filter_map(|p| match &p.step {
        // The basic ones come without a place in the spec.
        Step::OpenTree { source, kind: TreeKind::Device, .. } => {
            Some((source.as_str().strip_prefix("/dev/")?, p.at?))
        }
        _ => None,
    });
    let asked: Vec<(&str, Span)> = asked.collect();
    let terminals = subject.plan.steps.iter().any(|p| matches!(p.step, Step::Devpts { .. }));
    let pts = subject.spec.files.dev.iter().find(|d| d.value == "pts").map(|d| d.at);
    let pts = if terminals {
        row(DEVICES, "pts").map(|i| Hit::of(i, "has terminals of its own", pts))
    } else {
        None
    };
    let hit = |(name, at): (&str, Span)| {
        let known =
            DEVICES.iter().filter(|item| name.starts_with(item.name)).max_by_key(|item| item.name.len());
        let item = known.or_else(|| row(DEVICES, "other"))?;
        Some(Hit::of(item, format!("may use the device /dev/{name}"), Some(at)))
    };
    asked.into_iter().filter_map(hit).chain(pts).collect()
}

pub fn proc(subject: Subject<'_>) -> Vec<Hit> {
    let full = subject.plan.steps.iter().any(|p| matches!(p.step, Step::Proc { subset: false, .. }));
    let at = subject.spec.files.proc.as_ref().map(|proc| proc.at);
    Hit::when(full, "sees all of /proc", at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        let fits = |pattern: &str, path: &str| matches(pattern, &AbsPath::new(path).unwrap());
        for (pattern, path) in [
            ("/", "/"),
            ("/etc", "/etc"),
            ("/a/**", "/a"),
            ("/a/**", "/a/b/c"),
            ("/h/*", "/h/x"),
            ("/h/*/*/**", "/h/x/y/z"),
        ] {
            assert!(fits(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("/", "/a"),
            ("/etc", "/etcetera"),
            ("/etc", "/etc/x"),
            ("/a/**", "/ab"),
            ("/h/*", "/h"),
            ("/h/*/*/**", "/h/x"),
        ] {
            assert!(!fits(pattern, path), "{pattern} {path}");
        }
        let row = |path: &str| closest(SHOWN, &AbsPath::new(path).unwrap()).map(|item| item.name);
        assert_eq!(row("/home/u/x/y"), Some("/home/*/*/**"));
        assert_eq!(row("/var/lib/docker"), Some("/var/lib/docker/**"));
        assert_eq!(row("/usr/share"), None);
    }
}
