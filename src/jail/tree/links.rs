//! Links that the jail itself has: what is placed below one goes where it leads.
//!
//! Must not know: links of a root that was given (`image`), or which links the host has.
#![forbid(unsafe_code)]

use super::Tree;
use crate::jail::path::AbsPath;
use crate::jail::{Place, What};
use crate::problem::{Problem, Span};

impl Tree<'_> {
    /// Moves what was placed before a link above it was: the order of lines never matters.
    pub(super) fn settle(&mut self) {
        // As many links as the kernel follows.
        for _ in 0..40 {
            let links: Vec<&AbsPath> = self.places.values().filter(|p| is_link(p)).map(|p| &p.path).collect();
            let below = |path: &AbsPath| links.iter().any(|link| path != *link && path.is_within(link));
            let moved: Vec<AbsPath> = self.places.keys().filter(|path| below(path)).cloned().collect();
            let moved: Vec<Place> = moved.iter().filter_map(|path| self.places.remove(path)).collect();
            if moved.is_empty() {
                return;
            }
            for place in moved {
                self.place(place.path, place.at, place.what);
            }
        }
    }

    /// Where a place really is when components above it are links of the jail.
    pub(super) fn through_links(&mut self, path: &AbsPath, at: Option<Span>) -> Option<AbsPath> {
        let mut path = path.clone();
        // As many links as the kernel follows.
        for _ in 0..40 {
            let mut next = None;
            for up in path.ancestors() {
                if let Some(Place { path: up, what: What::Link { target }, .. }) = self.places.get(up) {
                    next = up.resolve_link(target).and_then(|end| path.rebase(up, &end));
                }
            }
            match next {
                Some(next) => path = next,
                None => return Some(path),
            }
        }
        let problem = Problem::usage(format!("the links above {path} lead in a circle")).at(at);
        self.problems.push(problem.help("remove one of the [files] link entries"));
        None
    }
}

fn is_link(place: &Place) -> bool {
    matches!(place.what, What::Link { .. })
}
