//! Finds and reads spec files, follows their includes, and lays them over each other.
//!
//! The only part of the language that touches the system, and it only reads. Must not know: what a
//! spec means.
#![forbid(unsafe_code)]

mod file;
mod find;
mod list;
#[cfg(test)]
mod tests;

pub use list::{Listing, blocks, blocks_in, list, list_in};

use super::Spec;
use super::merge::{adjust, merge};
use super::parse::parse;
use crate::problem::{At, Problem, Problems, Sources};
use file::Id;
use find::{Found, Kind};
use std::path::{Path, PathBuf};

/// Includes nested deeper than this are a mistake.
const DEEPEST: usize = 16;

/// Whose files may decide what happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trust {
    /// Only root's: `jail` runs as root.
    Root,
    /// Root's, and those of this user: `jail` runs as that user.
    User(u32),
}

/// Where specs are looked up by name, before the built-in ones.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Roots {
    /// Comes first: `./jails.d`.
    pub working: PathBuf,
    /// Comes second: `/etc/jails.d`.
    pub system: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Roots { working: "./jails.d".into(), system: "/etc/jails.d".into() }
    }
}

/// A spec with everything it includes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loaded {
    /// The jail's name: the file's name without `.toml`.
    pub name: String,
    /// Includes and local file merged.
    pub spec: Spec,
    /// Where it was found, as messages call it: a path, or `built-in nginx`.
    pub place: String,
    /// The texts that it was made of, lowest first.
    pub layers: Vec<Layer>,
}

/// One text of a spec, so that the same spec can be made again when its files have changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layer {
    /// As messages call it.
    pub place: String,
    /// All of it.
    pub text: String,
    /// Of the file that adjusts the spec, not of the spec itself.
    pub local: bool,
}

/// Loads the spec that a command line asks for: a path if it has a `/` or ends in `.toml`, else a
/// name that is looked up in `./jails.d`, `/etc/jails.d` and the built-in specs.
///
/// # Errors
/// All problems of all files that belong to it, at once. Every text read is added to `sources`,
/// also then.
pub fn load(wanted: &str, trust: Trust, sources: &mut Sources) -> Result<Loaded, Problems> {
    load_from(&Roots::default(), wanted, trust, sources)
}

/// [`load`] with other places to look in.
///
/// # Errors
/// As [`load`].
pub fn load_from(
    roots: &Roots,
    wanted: &str,
    trust: Trust,
    sources: &mut Sources,
) -> Result<Loaded, Problems> {
    let name = name_of(wanted)?;
    let found = find::spec(roots, wanted, trust)?;
    let place = found.place();
    let local = find::local(roots, &name, &found, trust);
    let mut loader =
        Loader { roots, trust, sources, problems: Problems::default(), chain: Vec::new(), seen: Vec::new() };
    let mut specs = Vec::new();
    loader.gather(found, &name, &mut specs);
    let mut additions = Vec::new();
    match local {
        Ok(Some(local)) => loader.gather(local, &format!("{name}.local"), &mut additions),
        Ok(None) => {}
        Err(problem) => loader.problems.push(problem),
    }
    let problems = loader.problems;
    let layer = |(source, _): &(u16, Spec), local| {
        let source = sources.0.get(usize::from(*source))?;
        Some(Layer { place: source.name.clone(), text: source.text.clone(), local })
    };
    let own = specs.iter().filter_map(|s| layer(s, false));
    let layers = own.chain(additions.iter().filter_map(|s| layer(s, true))).collect();
    let plain = |specs: Vec<(u16, Spec)>| specs.into_iter().map(|(_, spec)| spec).collect();
    let spec = overlaid(plain(specs), plain(additions));
    problems.none_or(Loaded { name, spec, place, layers })
}

/// The spec that these texts once made, whatever the files say now.
///
/// # Errors
/// Another version of the language may not take them.
pub fn replay(layers: &[Layer], sources: &mut Sources) -> Result<Spec, Problems> {
    let mut problems = Problems::default();
    let (mut specs, mut additions) = (Vec::new(), Vec::new());
    for Layer { place, text, local } in layers {
        let source = sources.add(place.clone(), text.clone());
        let spec = parse(text, source, &mut problems);
        if *local { additions.push(spec) } else { specs.push(spec) }
    }
    problems.none_or(overlaid(specs, additions))
}

/// Merges what a spec includes and itself, lowest first, and what adjusts it.
fn overlaid(specs: Vec<Spec>, additions: Vec<Spec>) -> Spec {
    let own = specs.last().and_then(|spec| spec.description.clone());
    let mut spec = specs.into_iter().reduce(merge).unwrap_or_default();
    if let Some(addition) = additions.into_iter().reduce(merge) {
        spec = adjust(spec, addition);
    }
    spec.description = spec.description.or(own);
    spec
}

/// One spec being loaded.
struct Loader<'a> {
    roots: &'a Roots,
    trust: Trust,
    sources: &'a mut Sources,
    problems: Problems,
    /// The files that are being read, each included by the one before it.
    chain: Vec<(Id, String)>,
    /// All files read so far.
    seen: Vec<Id>,
}

impl Loader<'_> {
    /// Reads a file and what it includes; adds them to `specs`, lowest first. A file that was read
    /// before is left out: its first place counts.
    fn gather(&mut self, found: Found, name: &str, specs: &mut Vec<(u16, Spec)>) {
        let (id, directory, place) = (found.id(), found.directory(), found.place());
        if self.seen.contains(&id) {
            return;
        }
        self.seen.push(id.clone());
        let text = match found.text(self.sources) {
            Ok(text) => text,
            Err(problem) => return self.problems.push(problem),
        };
        let source = self.sources.add(place, text.clone());
        let spec = parse(&text, source, &mut self.problems);
        self.chain.push((id, name.to_owned()));
        for include in &spec.include {
            self.include(include, directory.as_deref(), specs);
        }
        self.chain.pop();
        specs.push((source, spec));
    }

    fn include(&mut self, include: &At<String>, directory: Option<&Path>, specs: &mut Vec<(u16, Spec)>) {
        let found = match find::included(self.roots, &include.value, directory, self.trust) {
            Ok(found) => found,
            Err(problem) => return self.problems.push(problem.at(include.at)),
        };
        let chain = |from: usize| {
            let names = self.chain.iter().skip(from).map(|(_, name)| name.as_str());
            names.chain([include.value.as_str()]).collect::<Vec<_>>().join(" -> ")
        };
        let id = found.id();
        if let Some(start) = self.chain.iter().position(|(known, _)| *known == id) {
            let mut problem = Problem::usage(format!("include loop: {}", chain(start))).at(include.at);
            problem = match found.kind() {
                // The usual reason: a spec of one's own that means to build on the shipped one.
                Kind::Spec => problem.help(
                    "remove the include; to adjust a shipped spec write NAME.local.toml, which needs no include",
                ),
                Kind::Block => problem.help("remove the include"),
            };
            self.problems.push(problem);
        } else if self.chain.len() >= DEEPEST {
            let what = format!("includes are nested deeper than {DEEPEST}: {}", chain(0));
            self.problems
                .push(Problem::usage(what).at(include.at).help("include the lowest blocks directly"));
        } else {
            self.gather(found, &include.value, specs);
        }
    }
}

/// Whether the command line means a path rather than a name.
pub fn is_path(wanted: &str) -> bool {
    wanted.contains('/') || wanted.ends_with(".toml")
}

/// The jail's name that a path or name stands for.
fn name_of(wanted: &str) -> Result<String, Problem> {
    let last = if is_path(wanted) { wanted.rsplit('/').next().unwrap_or("") } else { wanted };
    let name = last.strip_suffix(".toml").unwrap_or(last);
    if is_name(name) {
        return Ok(name.to_owned());
    }
    Err(Problem::usage(format!("`{name}` cannot be the name of a jail"))
        .help("a name has 1 to 64 letters, digits, `.`, `_` or `-`, and starts with a letter or digit"))
}

/// Whether a text can be a name: it becomes a host name and a directory below /run/jail.
pub fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    text.len() <= 64
        && text.bytes().all(plain)
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
}
