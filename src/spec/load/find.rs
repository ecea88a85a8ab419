//! Where a name leads: the order of places in which specs, blocks and local files are looked up.
#![forbid(unsafe_code)]

use super::file::{Id, Opened, Sought, looked_up, named};
use super::{Roots, Trust, blocks_in, is_name, is_path, list_in};
use crate::problem::{Problem, Sources, did_you_mean};
use crate::spec::builtin::{self, Builtin};
use std::path::{Path, PathBuf};

/// A spec and a block differ in where they are looked up, nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// May be asked for on the command line.
    Spec,
    /// Only meant to be included.
    Block,
}

/// A text that was found but not yet read.
#[derive(Debug)]
pub enum Found {
    /// An open file; the level counts the places that came before, none if it was named by path.
    File(Opened, Option<usize>),
    /// A text of the binary.
    Builtin(Kind, &'static Builtin),
}

impl Found {
    /// Which text it is.
    pub fn id(&self) -> Id {
        match self {
            Found::File(opened, _) => opened.id.clone(),
            Found::Builtin(Kind::Spec, builtin) => Id::Spec(builtin.name),
            Found::Builtin(Kind::Block, builtin) => Id::Block(builtin.name),
        }
    }

    /// As messages call it.
    pub fn place(&self) -> String {
        match self {
            Found::File(opened, _) => opened.path.display().to_string(),
            Found::Builtin(Kind::Spec, builtin) => format!("built-in {}", builtin.name),
            Found::Builtin(Kind::Block, builtin) => format!("built-in block {}", builtin.name),
        }
    }

    /// A spec or a block, as far as the place tells.
    pub fn kind(&self) -> Kind {
        match self {
            Found::Builtin(kind, _) => *kind,
            Found::File(opened, _) if opened.path.parent().is_some_and(|p| p.ends_with("blocks")) => {
                Kind::Block
            }
            Found::File(..) => Kind::Spec,
        }
    }

    /// What its relative includes are relative to; a built-in text has no such place.
    pub fn directory(&self) -> Option<PathBuf> {
        match self {
            Found::File(opened, _) => Some(directory_of(&opened.path)),
            Found::Builtin(..) => None,
        }
    }

    /// Reads it.
    pub fn text(self, sources: &mut Sources) -> Result<String, Problem> {
        match self {
            Found::File(opened, _) => opened.text(sources),
            Found::Builtin(_, builtin) => Ok(builtin.text.to_owned()),
        }
    }
}

/// The spec that the command line asks for.
pub fn spec(roots: &Roots, wanted: &str, trust: Trust) -> Result<Found, Problem> {
    if is_path(wanted) {
        let opened = named(Path::new(wanted), Some(trust))?;
        return opened.map(|opened| Found::File(opened, None)).ok_or_else(|| {
            Problem::usage(format!("there is no file {wanted}"))
                .help("give the path of a spec, or a name; `jail specs` lists the names")
        });
    }
    let directories = [roots.working.clone(), roots.system.clone()];
    let file = format!("{wanted}.toml");
    if let Some(found) = first(&directories, &file, trust, Sought::Spec)? {
        return Ok(found);
    }
    built_in(Kind::Spec, wanted).ok_or_else(|| {
        let known = list_in(roots);
        let problem = Problem::usage(format!("there is no spec `{wanted}`"));
        missing(problem, wanted, known.iter().map(|l| l.name.as_str()), &directories, &file)
            .help("`jail specs` lists all")
    })
}

/// The file that adjusts a spec: beside it, or in a place that is looked at before it.
pub fn local(roots: &Roots, name: &str, found: &Found, trust: Trust) -> Result<Option<Found>, Problem> {
    let file = format!("{name}.local.toml");
    let directories = match found {
        Found::File(opened, None) => vec![directory_of(&opened.path)],
        Found::File(_, Some(0)) => vec![roots.working.clone()],
        Found::File(_, Some(_)) | Found::Builtin(..) => {
            vec![roots.working.clone(), roots.system.clone()]
        }
    };
    first(&directories, &file, trust, Sought::Local)
}

/// What an `include` means, in a file of this directory.
pub fn included(
    roots: &Roots,
    wanted: &str,
    directory: Option<&Path>,
    trust: Trust,
) -> Result<Found, Problem> {
    if wanted.contains('/') {
        return included_path(wanted, directory, trust);
    }
    if !is_name(wanted) {
        return Err(Problem::usage(format!("`{wanted}` cannot be the name of a building block"))
            .help("a name has letters, digits, `.`, `_` or `-`; for a file write ./FILE"));
    }
    let file = format!("{wanted}.toml");
    let specs: Vec<PathBuf> = directory
        .into_iter()
        .chain([roots.working.as_path(), roots.system.as_path()])
        .map(Path::to_owned)
        .collect();
    let blocks: Vec<PathBuf> = specs.iter().map(|place| place.join("blocks")).collect();
    if let Some(found) = first(&blocks, &file, trust, Sought::Included)? {
        return Ok(found);
    }
    if let Some(found) = built_in(Kind::Block, wanted) {
        return Ok(found);
    }
    if let Some(found) = first(&specs, &file, trust, Sought::Included)? {
        return Ok(found);
    }
    built_in(Kind::Spec, wanted).ok_or_else(|| {
        let known = [blocks_in(roots), list_in(roots)].concat();
        let problem = Problem::usage(format!("there is no building block or spec `{wanted}` to include"));
        let places: Vec<PathBuf> = blocks.into_iter().chain(specs).collect();
        missing(problem, wanted, known.iter().map(|l| l.name.as_str()), &places, &file).help(
            if wanted.ends_with(".toml") {
                format!("for a file write ./{wanted}")
            } else {
                "`jail specs` lists all".to_owned()
            },
        )
    })
}

fn included_path(wanted: &str, directory: Option<&Path>, trust: Trust) -> Result<Found, Problem> {
    let path = match directory {
        // Joining an absolute path leaves that path.
        Some(directory) => directory.join(wanted.strip_prefix("./").unwrap_or(wanted)),
        None => PathBuf::from(wanted),
    };
    let opened = named(&path, Some(trust))?;
    opened.map(|opened| Found::File(opened, None)).ok_or_else(|| {
        Problem::usage(format!("there is no file {} to include", path.display()))
            .help("a path is relative to the including file; a name without `/` is looked up")
    })
}

/// The first of the directories that has the file.
fn first(
    directories: &[PathBuf],
    file: &str,
    trust: Trust,
    sought: Sought,
) -> Result<Option<Found>, Problem> {
    for (level, directory) in directories.iter().enumerate() {
        log::trace!("look for {}", directory.join(file).display());
        if let Some(opened) = looked_up(directory, file, Some(trust), sought)? {
            return Ok(Some(Found::File(opened, Some(level))));
        }
    }
    Ok(None)
}

fn built_in(kind: Kind, name: &str) -> Option<Found> {
    let texts = match kind {
        Kind::Spec => builtin::SPECS,
        Kind::Block => builtin::BLOCKS,
    };
    texts.iter().find(|builtin| builtin.name == name).map(|builtin| Found::Builtin(kind, builtin))
}

fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn missing<'a>(
    problem: Problem,
    wanted: &str,
    known: impl Iterator<Item = &'a str>,
    places: &[PathBuf],
    file: &str,
) -> Problem {
    let mut looked: Vec<String> = Vec::new();
    for place in places {
        let path = place.join(file).display().to_string();
        if !looked.contains(&path) {
            looked.push(path);
        }
    }
    let problem = problem.help(format!("looked for {}, and among the built-in ones", looked.join(", ")));
    match did_you_mean(wanted, known) {
        Some(meant) => problem.help(format!("did you mean `{meant}`?")),
        None => problem,
    }
}
