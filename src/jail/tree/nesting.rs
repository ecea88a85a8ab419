//! What stands above what: covered places are dropped, impossible ones refused, parents added.
#![forbid(unsafe_code)]

use super::Tree;
use crate::jail::path::AbsPath;
use crate::jail::{BindKind, Place, What};
use crate::problem::Problem;
use std::collections::BTreeSet;

/// What stands above a place.
enum Above<'a> {
    /// Our own directories: anything can be made here.
    Ours,
    /// A bound host directory (or a foreign root): nothing is made in it.
    Bound(&'a Place),
    /// A file or a link: nothing can be below it.
    File(&'a Place),
    Foreign,
}

/// A directory that is not the jail's own.
fn is_bound(what: &What) -> bool {
    matches!(what, What::Bind { kind: BindKind::Directory, .. } | What::Devpts | What::Proc { .. })
}

impl Tree<'_> {
    fn above(&self, path: &AbsPath) -> Above<'_> {
        for up in path.ancestors() {
            match self.places.get(up) {
                Some(place) if is_bound(&place.what) => return Above::Bound(place),
                Some(place) if matches!(place.what, What::Tmpfs { .. }) => return Above::Ours,
                Some(place) if !matches!(place.what, What::Directory { .. }) => return Above::File(place),
                _ => {}
            }
        }
        if self.foreign.is_some() { Above::Foreign } else { Above::Ours }
    }

    /// What a shown directory shows anyway needs no place of its own.
    pub(super) fn drop_covered(&mut self) {
        let covered: Vec<AbsPath> = self
            .places
            .values()
            .filter(|place| match self.above(&place.path) {
                Above::Bound(Place {
                    path: top,
                    what: What::Bind { source: top_source, write: top_write, exec: top_exec, .. },
                    ..
                }) => {
                    let same =
                        |source: &AbsPath| source.rebase(top_source, top).as_ref() == Some(&place.path);
                    match &place.what {
                        What::Bind { source, write, exec, create: None, .. } => {
                            same(source) && write == top_write && exec == top_exec
                        }
                        What::Copy { source, mode: None, owner } => {
                            same(source) && (owner.is_none() || self.identity.mapped.is_some())
                        }
                        // Mirrored links are in the directory itself, and so are our own defaults.
                        What::Link { .. } => self.same_on_host(place, top, top_source),
                        _ => place.at.is_none(),
                    }
                }
                _ => false,
            })
            .map(|p| p.path.clone())
            .collect();
        for path in covered {
            self.places.remove(&path);
        }
    }

    fn same_on_host(&self, place: &Place, top: &AbsPath, top_source: &AbsPath) -> bool {
        let on_host = place.path.rebase(top, top_source);
        place.at.is_none()
            || self.facts.paths.values().flat_map(|f| &f.hops).any(|hop| Some(&hop.link) == on_host.as_ref())
    }

    /// Nothing is made in a host directory, and nothing of it is hidden: a mount on a host entry is
    /// undone by the host's next rename.
    pub(super) fn check_nesting(&mut self) {
        let mut found = Vec::new();
        let mut told = BTreeSet::new();
        for place in self.places.values() {
            let owner = match self.above(&place.path) {
                Above::Ours => continue,
                Above::Foreign => {
                    if let Some(problem) = self.not_mountable(place) {
                        told.insert(&place.path);
                        found.push(problem);
                    }
                    continue;
                }
                // Of what every jail has, one word is enough.
                Above::File(top) if place.at.is_none() && !told.insert(&top.path) => continue,
                Above::File(top) => {
                    let problem = Problem::usage(format!(
                        "{} cannot be placed below {}, which is no directory",
                        place.path, top.path
                    ));
                    found.push(problem.at(place.at.or(top.at)).help("place one of the two elsewhere"));
                    continue;
                }
                Above::Bound(top) => match place.what {
                    What::Bind { .. } if matches!(top.what, What::Bind { .. }) => continue,
                    _ if !matches!(top.what, What::Bind { .. }) => Problem::usage(format!(
                        "{} cannot be placed inside {}, which the kernel fills",
                        place.path, top.path
                    ))
                    .help("place it elsewhere"),
                    _ => Problem::usage(format!(
                        "{} cannot be placed inside {}, which is the host's own directory",
                        place.path, top.path
                    ))
                    .also("shown here", top.at)
                    .help(format!("show only what is needed of {} instead of all of it", top.path)),
                },
            };
            found.push(owner.at(place.at));
        }
        self.problems.0.extend(found);
    }

    /// Directories of the skeleton on the way to each place.
    pub(super) fn add_parents(&mut self) {
        let paths: Vec<AbsPath> = self.places.keys().cloned().collect();
        for path in paths {
            if !matches!(self.above(&path), Above::Ours) {
                continue;
            }
            for up in path.ancestors() {
                if up == "/" || self.places.contains_key(up) {
                    break;
                }
                let Ok(up) = AbsPath::new(up) else { break };
                let place = Place { path: up.clone(), what: What::Directory { mode: 0o755 }, at: None };
                self.places.insert(up, place);
            }
        }
    }
}
