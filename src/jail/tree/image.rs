//! A root that was given has links of its own, and nothing is made in it: places are moved to where
//! its links lead, and must be there already.
//!
//! Must not know: what is placed, beyond what it can be mounted on.
#![forbid(unsafe_code)]

use super::{Tree, libc_errno};
use crate::jail::facts::{FileKind, PathFact};
use crate::jail::path::AbsPath;
use crate::jail::{BindKind, Place, What};
use crate::problem::Problem;

impl Tree<'_> {
    /// Moves every place to where it really is, those above first: what is mounted there hides the
    /// links below it.
    pub(super) fn follow_image(&mut self) {
        if self.foreign.is_none() {
            return;
        }
        let mut places: Vec<Place> = std::mem::take(&mut self.places).into_values().collect();
        places.sort_by_key(|place| place.path.depth());
        for place in places {
            if !self.is_in_image(&place) {
                let path = match (&place.what, place.path.parent()) {
                    // What is made stands where it is named, whatever is there.
                    (What::Link { .. }, Some(parent)) => self.in_image(&parent).join(place.path.name()),
                    _ => self.in_image(&place.path),
                };
                self.place(path, place.at, place.what);
            }
        }
    }

    fn in_image(&mut self, path: &AbsPath) -> AbsPath {
        let mut real = path.clone();
        let mut upwards: Vec<&str> = path.ancestors().collect();
        upwards.reverse();
        for here in upwards.into_iter().chain([path.as_str()]) {
            let Some(fact) = self.facts.inside.get(here) else { break };
            let leads_to = match &fact.end {
                Ok(end) => Some(end.path.clone()),
                Err(_) => missing_end(fact),
            };
            let Some(leads_to) = leads_to else { break };
            let moved = AbsPath::new(here).ok().and_then(|here| path.rebase(&here, &leads_to));
            real = moved.unwrap_or(real);
            match &fact.end {
                Ok(end) if here == path.as_str() => {
                    self.mount_points.insert(leads_to, end.kind);
                }
                Ok(_) if !self.is_mounted(&leads_to) => {}
                _ => break,
            }
        }
        real
    }

    /// Whether something is mounted at a place of the jail, or above it.
    fn is_mounted(&self, path: &AbsPath) -> bool {
        let mounted = |here: &str| {
            let what = self.places.get(here).map(|place| &place.what);
            what.is_some_and(|what| mount_point(what) == Some(FileKind::Directory))
        };
        mounted(path.as_str()) || path.ancestors().any(mounted)
    }

    /// A link that the root has just so: there is nothing to do.
    fn is_in_image(&self, place: &Place) -> bool {
        let What::Link { target } = &place.what else { return false };
        let hops = self.facts.inside.get(&place.path).map(|fact| fact.hops.as_slice()).unwrap_or_default();
        hops.iter().any(|hop| hop.link == place.path && hop.target == *target)
    }

    /// Why something cannot be mounted in the root that was given; `None` if it can.
    pub(super) fn not_mountable(&self, place: &Place) -> Option<Problem> {
        let (root, at) = self.foreign.as_ref()?;
        let path = &place.path;
        let at = place.at.unwrap_or(*at);
        let Some(wanted) = mount_point(&place.what) else {
            let problem = Problem::usage(format!("{path} cannot be made: the root directory is the host's"));
            let instead = match &place.what {
                What::Link { target } => format!("make the link {} -> {target} yourself", below(root, path)),
                What::Copy { .. } => {
                    "remove `owner` and `mode`: the host's file is then mounted on one that the root has"
                        .into()
                }
                What::NotifySocket => "leave /dev to the jail (without `none` in [files] dev), or start jail without NOTIFY_SOCKET".into(),
                _ => format!("put {} there yourself", below(root, path)),
            };
            let problem = problem.help(format!("jail never writes into a root that it was given: {instead}"));
            return Some(problem.help("or place it in a directory that is a tmpfs").at(at));
        };
        let word = if wanted == FileKind::Directory { "directory" } else { "file" };
        let instead = match path.as_str() {
            "/dev" if place.at.is_none() => ", or write [files] dev = [\"none\"]",
            "/proc" if place.at.is_none() => ", or write [files] proc = \"none\"",
            _ => "",
        };
        let problem = match self.mount_points.get(path) {
            Some(kind) if (*kind == FileKind::Directory) == (wanted == FileKind::Directory) => return None,
            Some(_) => Problem::set_up(format!("{path} of the root {root} is no {word} to mount on"))
                .help("a directory can be mounted only on a directory, and a file only on a file"),
            None => self.missing_in_image(path, root, word, instead),
        };
        Some(problem.at(at))
    }

    fn missing_in_image(&self, path: &AbsPath, root: &AbsPath, word: &str, instead: &str) -> Problem {
        let problem = Problem::set_up(format!("the root {root} has no {word} {path} to mount on"));
        // Asked for by this path, or by a link that leads to it.
        let asked = self.facts.inside.iter().filter(|(_, fact)| fact.end.is_err());
        let asked = asked.filter(|(asked, fact)| *asked == path || missing_end(fact).as_ref() == Some(path));
        let (hops, stop) = match asked.map(|(_, fact)| (&fact.hops, &fact.end)).next() {
            Some((hops, Err(stop))) => (hops.as_slice(), Some(stop)),
            _ => (&[][..], None),
        };
        if let Some(stop) = stop.filter(|stop| stop.errno != libc_errno::ENOENT) {
            let why = libc_errno::text(stop.errno);
            let problem = Problem::set_up(format!("cannot find {path} in the root {root}: {why}"));
            return problem.help(format!("look at {}", below(root, &stop.path)));
        }
        let problem = match hops.last() {
            Some(hop) => problem.help(format!("its link {} leads there", hop.link)),
            None => problem,
        };
        problem.help(format!("create {}{instead}", below(root, path)))
    }
}

/// Where a link to nothing leads: something may be mounted above that.
fn missing_end(fact: &PathFact) -> Option<AbsPath> {
    let stop = fact.end.as_ref().err().filter(|stop| stop.errno == libc_errno::ENOENT)?;
    let hop = fact.hops.last()?;
    hop.link.resolve_link(&hop.target).filter(|end| end.is_within(&stop.path))
}

/// As the host calls a path of the root.
fn below(root: &AbsPath, path: &AbsPath) -> AbsPath {
    path.rebase(&AbsPath::root(), root).unwrap_or_else(|| path.clone())
}

/// What a place is mounted on; `None` for what is made instead.
fn mount_point(what: &What) -> Option<FileKind> {
    match what {
        What::Bind { kind: BindKind::Directory, .. } | What::Tmpfs { .. } | What::Proc { .. } => {
            Some(FileKind::Directory)
        }
        What::Bind { .. } => Some(FileKind::File),
        What::Devpts
        | What::NotifySocket
        | What::Device { .. }
        | What::Directory { .. }
        | What::Link { .. }
        | What::Text { .. }
        | What::Copy { .. } => None,
    }
}
