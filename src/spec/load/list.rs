//! Which specs and blocks there are, for `jail specs` and for "did you mean".
#![forbid(unsafe_code)]

use super::file::{Sought, looked_up};
use super::{Roots, is_name};
use crate::problem::{Problems, Sources};
use crate::spec::builtin::{self, Builtin};
use crate::spec::parse::parse;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A spec or block that can be asked for by name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listing {
    /// As it is asked for.
    pub name: String,
    /// Where it is: a path, or `built-in`.
    pub place: String,
    /// Its own description; or in parentheses, why it has none to show.
    pub description: String,
    /// A NAME.local.toml adjusts it.
    pub local: bool,
}

/// All specs, sorted by name; each as it would be found.
pub fn list() -> Vec<Listing> {
    list_in(&Roots::default())
}

/// [`list`] with other places to look in.
pub fn list_in(roots: &Roots) -> Vec<Listing> {
    listing([roots.working.clone(), roots.system.clone()], builtin::SPECS)
}

/// All building blocks, sorted by name; each as it would be found.
pub fn blocks() -> Vec<Listing> {
    blocks_in(&Roots::default())
}

/// [`blocks`] with other places to look in.
pub fn blocks_in(roots: &Roots) -> Vec<Listing> {
    let mut blocks = listing([roots.working.join("blocks"), roots.system.join("blocks")], builtin::BLOCKS);
    // A local file adjusts only the spec that was asked for, never what it includes.
    blocks.iter_mut().for_each(|block| block.local = false);
    blocks
}

fn listing(directories: [PathBuf; 2], shipped: &[Builtin]) -> Vec<Listing> {
    let mut known: BTreeMap<String, Listing> = BTreeMap::new();
    let mut locals: BTreeSet<String> = BTreeSet::new();
    for directory in &directories {
        let names = match names(directory) {
            Ok(names) => names,
            Err(why) => {
                // Not a name that can be asked for: it only says that something may be missing here.
                let place = directory.display().to_string();
                let gap = Listing { name: "?".into(), place: place.clone(), description: why, local: false };
                known.insert(format!("?{place}"), gap);
                continue;
            }
        };
        locals.extend(names.iter().filter_map(|name| Some(name.strip_suffix(".local")?.to_owned())));
        for name in names.into_iter().filter(|name| !name.ends_with(".local")) {
            let local = locals.contains(&name);
            known.entry(name).or_insert_with_key(|name| Listing {
                name: name.clone(),
                place: directory.join(format!("{name}.toml")).display().to_string(),
                description: description_of(directory, name),
                local,
            });
        }
    }
    for Builtin { name, text } in shipped {
        known.entry((*name).to_owned()).or_insert_with(|| Listing {
            name: (*name).to_owned(),
            place: "built-in".to_owned(),
            description: described(text),
            local: locals.contains(*name),
        });
    }
    known.into_values().collect()
}

/// The names of the TOML files in a directory; none if there is no such directory.
fn names(directory: &Path) -> Result<Vec<String>, String> {
    let why = |error: std::io::Error| format!("(cannot be listed: {error})");
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(why(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let file = entry.map_err(why)?.file_name();
        if let Some(name) = file.to_str().and_then(|name| name.strip_suffix(".toml"))
            && is_name(name)
        {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Trusts nobody and needs to: the description is only shown.
fn description_of(directory: &Path, name: &str) -> String {
    let text = match looked_up(directory, &format!("{name}.toml"), None, Sought::Spec) {
        Ok(Some(opened)) => opened.text(&mut Sources::default()),
        Ok(None) => return "(gone)".to_owned(),
        Err(problem) => Err(problem),
    };
    text.map_or_else(|problem| format!("({})", problem.what), |text| described(&text))
}

fn described(text: &str) -> String {
    let mut problems = Problems::default();
    let spec = parse(text, 0, &mut problems);
    match spec.description {
        Some(description) => description.value,
        None if problems.0.is_empty() => String::new(),
        None => "(has mistakes: see `jail check`)".to_owned(),
    }
}
