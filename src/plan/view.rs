//! What the program will see at a path: the plan read as a file tree.
//!
//! Must not know: what is really on the host below a shown directory.
#![forbid(unsafe_code)]

use super::{Plan, Step};
use crate::jail::path::AbsPath;

/// What a plan puts at a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Sight {
    /// Nothing.
    Absent,
    /// A directory of the skeleton, or a memory file system.
    Directory,
    /// A symbolic link made by the plan.
    Link(String),
    /// A file made by the plan out of text.
    Memory,
    /// Whatever the host has at this path (or a copy of it).
    Host {
        /// The path on the host.
        path: AbsPath,
        /// Programs may be executed from it.
        exec: bool,
    },
}

/// What the program sees at `path`. Links on the way are not followed: they are `Sight::Link` when
/// asked for themselves.
pub fn look(plan: &Plan, path: &AbsPath) -> Sight {
    let mut best: Option<(usize, Sight)> = None;
    let mut offer = |depth: usize, sight: Sight| {
        if best.as_ref().is_none_or(|(known, _)| depth >= *known) {
            best = Some((depth, sight));
        }
    };
    for planned in &plan.steps {
        match &planned.step {
            Step::Attach { slot, path: place, .. } => {
                if let Some((source, exec)) = tree(plan, *slot)
                    && let Some(path) = path.rebase(place, source)
                {
                    offer(place.depth(), Sight::Host { path, exec });
                }
            }
            Step::AttachRoot { slot } => {
                if let Some((source, exec)) = tree(plan, *slot)
                    && let Some(path) = path.rebase(&AbsPath::root(), source)
                {
                    offer(0, Sight::Host { path, exec });
                }
            }
            Step::Copy { slot, path: place, .. } if place == path => {
                if let Some(source) = file(plan, *slot) {
                    offer(place.depth(), Sight::Host { path: source.clone(), exec: false });
                }
            }
            Step::Directory { path: place, .. } if place == path => offer(place.depth(), Sight::Directory),
            Step::Link { path: place, target } if place == path => {
                offer(place.depth(), Sight::Link(target.clone()))
            }
            Step::Text { path: place, .. } if place == path => offer(place.depth(), Sight::Memory),
            Step::Tmpfs { path: place, .. }
            | Step::Proc { path: place, .. }
            | Step::Devpts { path: place, .. } => {
                if path == place {
                    offer(place.depth(), Sight::Directory);
                } else if path.is_within(place) {
                    offer(place.depth(), Sight::Absent);
                }
            }
            Step::NewRoot(_) if *path == AbsPath::root() => offer(0, Sight::Directory),
            _ => {}
        }
    }
    best.map_or(Sight::Absent, |(_, sight)| sight)
}

fn tree(plan: &Plan, wanted: usize) -> Option<(&AbsPath, bool)> {
    plan.steps.iter().find_map(|p| match &p.step {
        Step::OpenTree { slot, source, attributes, .. } if *slot == wanted => {
            Some((source, !attributes.no_exec))
        }
        _ => None,
    })
}

fn file(plan: &Plan, wanted: usize) -> Option<&AbsPath> {
    plan.steps.iter().find_map(|p| match &p.step {
        Step::OpenFile { slot, source } if *slot == wanted => Some(source),
        _ => None,
    })
}
