//! Which of the places follow the host while the jail runs, and directories of links.
//!
//! Must not know: how changes are noticed.
#![forbid(unsafe_code)]

use super::Tree;
use crate::jail::facts::{End, FileKind};
use crate::jail::live::LiveSource;
use crate::jail::path::AbsPath;
use crate::jail::{Ids, What};
use crate::problem::{At, Problem, Span};
use crate::spec::{OnChange, Owner, PathEntry};
use std::collections::BTreeSet;

impl Tree<'_> {
    /// Notes what an entry has placed: a copy follows the host, anything else keeps its links.
    pub(super) fn note(&mut self, path: &AbsPath, end: &End, entry: &At<PathEntry>, copied: bool) {
        if !copied {
            let hops = self.fact(path).map(|f| f.hops.clone()).unwrap_or_default();
            self.kept_links.extend(hops.into_iter().map(|hop| hop.link));
            if entry.value.on_change.is_some() {
                self.refuse_on_change(entry.at, format!("{path} is no file that is copied"));
            }
            return;
        }
        let at = entry.value.at.as_ref().and_then(|at| AbsPath::new(at).ok());
        let at = at.or_else(|| self.foreign.as_ref().map(|_| path.clone()));
        self.add_source(path, end, entry, at, None);
    }

    fn refuse_on_change(&mut self, at: Span, why: String) {
        let problem = Problem::usage(format!("`on-change` cannot be used here: {why}")).at(at);
        self.problems.push(
            problem
                .help("what is bound is the host's own: have whoever changes it send the reload signal (`kill -HUP` to jail)"),
        );
    }

    fn add_source(
        &mut self,
        path: &AbsPath,
        end: &End,
        entry: &At<PathEntry>,
        at: Option<AbsPath>,
        within: Option<&AbsPath>,
    ) {
        let e = &entry.value;
        let hops = self.fact(path).filter(|_| at.is_none()).map(|f| f.hops.as_slice()).unwrap_or_default();
        let source = LiveSource {
            path: path.clone(),
            at,
            directory: end.kind == FileKind::Directory,
            within: within.cloned(),
            follow: e.follow,
            mode: e.mode,
            owner: match e.owner {
                Some(owner) => Some(self.ids(owner)),
                None => self.identity.mapped.map(|_| self.ids(Owner::Process)),
            },
            given: e.owner.is_some() || e.mode.is_some(),
            reload: e.on_change == Some(OnChange::Reload),
            links: hops.iter().map(|hop| hop.link.clone()).collect(),
            guarded: end.guarded,
            ids: Ids { uid: end.uid, gid: end.gid },
        };
        if source.reload && !self.watched {
            let why = "no process of jail stays outside that could send the signal".into();
            self.refuse_on_change(entry.at, why);
        }
        self.live.push(source);
    }

    /// Whether an entry is a directory whose links lead out of it to files, such as certbot's
    /// `live/NAME`: bound, its links would lead nowhere.
    pub(super) fn is_link_directory(&self, path: &AbsPath, end: &End, e: &PathEntry) -> bool {
        let Some(listing) = self.facts.listings.get(path).filter(|listing| !listing.directories) else {
            return false;
        };
        let leads_out = |name: &String| {
            let fact = self.fact(&end.path.join(name));
            fact.filter(|fact| !fact.hops.is_empty())
                .and_then(|fact| fact.end.as_ref().ok())
                .is_some_and(|to| to.kind == FileKind::File && !to.path.is_within(&end.path))
        };
        let listed = e.follow && !e.bind && self.foreign.is_none() && end.kind == FileKind::Directory;
        listed && listing.names.iter().any(leads_out)
    }

    /// Places the files of such a directory, and those that its links lead to, and nothing else.
    pub(super) fn show_links(&mut self, path: &AbsPath, end: &End, entry: &At<PathEntry>, inside: AbsPath) {
        let names = self.facts.listings.get(path).map(|listing| listing.names.clone()).unwrap_or_default();
        let at = entry.value.at.as_ref().map(|_| inside.clone());
        self.place(inside, Some(entry.at), What::Directory { mode: 0o755 });
        self.add_source(path, end, entry, at.clone(), None);
        for name in names {
            let child = end.path.join(&name);
            let Some(Ok(found)) = self.fact(&child).map(|fact| fact.end.clone()) else { continue };
            if found.kind != FileKind::File {
                continue;
            }
            let place = match &at {
                Some(at) => at.join(&name),
                None => self.same_place(&child, found.path.clone(), entry.at),
            };
            let Some(what) = self.shown(&found, entry, false) else { continue };
            self.place(place.clone(), Some(entry.at), what);
            self.add_source(&child, &found, entry, at.as_ref().map(|_| place), Some(path));
        }
    }

    /// The sources to be followed: not what a shown directory shows anyway, and of the links on the
    /// way only those that lead to copies alone.
    pub(super) fn live(&mut self) -> Vec<LiveSource> {
        let copied: BTreeSet<&AbsPath> = self
            .places
            .values()
            .filter_map(|place| match &place.what {
                What::Copy { source, .. } => Some(source),
                _ => None,
            })
            .collect();
        let mut sources = std::mem::take(&mut self.live);
        for source in &mut sources {
            source.links.retain(|link| !self.kept_links.contains(link));
        }
        let mut known = BTreeSet::new();
        sources.retain(|source| {
            let end = self.facts.paths.get(&source.path).and_then(|fact| fact.end.as_ref().ok());
            let has_copy = end.is_some_and(|end| copied.contains(&end.path));
            let followed = source.directory || has_copy || !source.links.is_empty();
            followed && known.insert((source.path.clone(), source.at.clone()))
        });
        sources
    }
}
