//! What is watched, what is looked at when, and what a look leads to: a pure state machine.
//!
//! ```text
//!  event --> source is due --(at once, or when its writer is done)--> look --> put, remove
//!    ^                                                                  |
//!    +---------------------- watches of all that the look depended on <-+
//! ```
//!
//! Must not know: clocks, descriptors, how anything is read or written.
#![forbid(unsafe_code)]

use super::tracked::Tracked;
pub use super::tracked::mask;
use crate::apply::live::Copied;
use crate::jail::facts::PathFact;
use crate::jail::live::LiveSource;
use crate::jail::path::AbsPath;
use crate::plan::Live;
use crate::plan::build::COPY_LIMIT;
use crate::plan::live::{Inside, Item, refused};
use nix::errno::Errno;
use std::collections::{BTreeMap, BTreeSet};

/// From an event to the look, in milliseconds: most changes are several events.
const SETTLE: u64 = 2;
/// A file that is being written is not copied before its writer closes it, but then after this time.
const WRITING: u64 = 600;
/// From a look that the host did not hold still for to the next one.
const AGAIN: u64 = 50;
/// Trouble that has gone by then is not told: a file may be removed and made anew.
const GRACE: u64 = 1000;
/// Between two looks at what cannot be watched.
const POLL: u64 = 2000;
/// The reload signal comes when nothing has changed for this time,
const QUIET: u64 = 500;
/// but not later than this after the first change.
const RELOAD_LATEST: u64 = 3000;

/// What has happened to something that is watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// A name was made in a directory: a file has nothing in it yet.
    Made(&'a str),
    /// A name was moved here or away, or removed.
    Moved(&'a str),
    /// A file in a directory was closed by one who wrote.
    Closed(&'a str),
    /// The file itself is being written.
    Written,
    /// The file itself was closed by one who wrote.
    ClosedItself,
    /// The file's mode or owner, or the directory's place has changed.
    Itself,
    /// The kernel has ended this watch.
    Ended,
}

/// What is to be done in the jail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Make this so, unless it is.
    Put(Item),
    /// Take away what was put there.
    Remove(Key),
}

/// Which mount, and where in it.
pub type Key = (usize, AbsPath);

/// What is known to be at a place inside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Known {
    /// A copy.
    Copy(Copied),
    /// A link with this text.
    Link(String),
}

/// The state of all live files.
#[derive(Debug)]
pub struct Watcher {
    live: Live,
    inside: Inside,
    sources: Vec<Tracked>,
    watches: BTreeMap<AbsPath, i32>,
    known: BTreeMap<Key, Known>,
    /// Files that are being written, and when they are copied at the latest.
    writing: BTreeMap<AbsPath, u64>,
    poll_at: Option<u64>,
    /// Times of the first and the last change that ask for a reload.
    reload: Option<(u64, u64)>,
}

impl Watcher {
    /// Everything is due at `now` (milliseconds of any steady clock). `known` is what the start has
    /// made.
    pub fn new(mut live: Live, inside: Inside, known: BTreeMap<Key, Known>, now: u64) -> Self {
        let sources = std::mem::take(&mut live.sources);
        let mut watcher = Watcher {
            live,
            inside,
            sources: Vec::with_capacity(sources.len()),
            watches: BTreeMap::new(),
            known,
            writing: BTreeMap::new(),
            poll_at: None,
            reload: None,
        };
        for source in sources {
            let holds = |t: &Tracked| t.source.directory && Some(&t.source.path) == source.within.as_ref();
            let parent = watcher.sources.iter().position(holds);
            watcher.add(source, parent, now);
        }
        watcher
    }

    fn add(&mut self, source: LiveSource, parent: Option<usize>, now: u64) {
        self.sources.push(Tracked::new(source, parent, now));
    }

    /// A source by its number.
    pub fn source(&self, index: usize) -> Option<&LiveSource> {
        self.sources.get(index).map(|tracked| &tracked.source)
    }

    /// What is known to be at a place.
    pub fn known(&self, key: &Key) -> Option<&Known> {
        self.known.get(key)
    }

    /// Something has happened to what has this watch.
    pub fn event(&mut self, watch: i32, event: Event<'_>, now: u64) {
        let paths: Vec<AbsPath> =
            self.watches.iter().filter(|(_, known)| **known == watch).map(|(path, _)| path.clone()).collect();
        for path in paths {
            self.event_at(&path, event, now);
        }
        if event == Event::Ended {
            self.watches.retain(|_, known| *known != watch);
        }
    }

    fn event_at(&mut self, path: &AbsPath, event: Event<'_>, now: u64) {
        let full = match event {
            Event::Made(name) | Event::Moved(name) | Event::Closed(name) => path.join(name),
            _ => path.clone(),
        };
        let is_end = |tracked: &Tracked| tracked.points.last() == Some(&full);
        let mut due = now + SETTLE;
        match event {
            Event::Made(_) if self.sources.iter().any(is_end) => {
                self.writing.insert(full.clone(), now + WRITING);
            }
            Event::Written => due = *self.writing.entry(full.clone()).or_insert(now + WRITING),
            Event::Closed(_) if !self.sources.iter().any(|t| t.file && is_end(t)) => return,
            Event::Closed(_) | Event::ClosedItself | Event::Moved(_) => {
                self.writing.remove(&full);
            }
            _ => {}
        }
        let entry = matches!(event, Event::Made(_) | Event::Moved(_)).then_some(path);
        for tracked in self.sources.iter_mut().filter(|tracked| !tracked.dropped) {
            let listed = tracked.source.directory && entry.is_some() && tracked.points.last() == entry;
            if listed || tracked.points.iter().any(|point| point.is_within(&full)) {
                tracked.due = Some(tracked.due.map_or(due, |known| known.min(due)));
            }
        }
    }

    /// Events were lost: all is looked at again.
    pub fn overflow(&mut self, now: u64) {
        for tracked in self.sources.iter_mut().filter(|tracked| !tracked.dropped) {
            tracked.due = Some(now);
        }
    }

    /// The sources to be looked at now.
    pub fn due(&mut self, now: u64) -> Vec<usize> {
        if self.poll_at.is_some_and(|at| now >= at) {
            self.poll_at = None;
            for tracked in self.sources.iter_mut().filter(|tracked| tracked.polled && !tracked.dropped) {
                tracked.due = Some(now);
            }
        }
        let mut due = Vec::new();
        for (index, tracked) in self.sources.iter_mut().enumerate() {
            if tracked.due.is_some_and(|at| now >= at) {
                tracked.due = None;
                due.push(index);
            }
        }
        due
    }

    /// How long to wait for the next event: milliseconds, `None` for ever.
    pub fn wait(&self, now: u64) -> Option<u64> {
        let due = self.sources.iter().filter_map(|tracked| tracked.due);
        let untold = self.sources.iter().filter_map(|tracked| {
            let trouble = tracked.trouble.as_ref().filter(|trouble| !trouble.told && tracked.is_told())?;
            Some(trouble.since + GRACE)
        });
        let next = due.chain(untold).chain(self.poll_at).chain(self.reload.map(reload_at)).min();
        next.map(|at| at.saturating_sub(now))
    }

    /// What a source depends on, as it was just seen; to be watched before it is seen again.
    pub fn depends(&mut self, index: usize, fact: &PathFact, now: u64) -> Vec<(AbsPath, u8)> {
        let Some(tracked) = self.sources.get_mut(index) else { return Vec::new() };
        let end = match &fact.end {
            Ok(end) => &end.path,
            Err(stop) => &stop.path,
        };
        tracked.points = fact.hops.iter().map(|hop| hop.link.clone()).chain([end.clone()]).collect();
        tracked.file = fact.end.is_ok() && !tracked.source.directory;
        // Of a directory that may be searched again nothing tells.
        tracked.polled = matches!(&fact.end, Err(stop) if stop.errno == Errno::EACCES as i32);
        if tracked.polled {
            self.poll_at = Some(self.poll_at.unwrap_or(now + POLL));
        }
        tracked.watches().into_iter().collect()
    }

    /// Something is watched, or cannot be. Returns a watch that has nothing to do any more.
    pub fn watching(&mut self, index: usize, path: AbsPath, watch: Option<i32>, now: u64) -> Option<i32> {
        let Some(watch) = watch else {
            if let Some(tracked) = self.sources.get_mut(index) {
                tracked.polled = true;
            }
            self.poll_at = Some(self.poll_at.unwrap_or(now + POLL));
            return None;
        };
        let before = self.watches.insert(path, watch).filter(|before| *before != watch)?;
        (!self.watches.values().any(|known| *known == before)).then_some(before)
    }

    /// The host did not hold still.
    pub fn again(&mut self, index: usize, now: u64) {
        if let Some(tracked) = self.sources.get_mut(index) {
            tracked.due = Some(now + AGAIN);
        }
    }

    /// What a source that was seen so needs in the jail: the copy before the links that lead to it.
    /// `None`: nothing is to be done now.
    pub fn settle(&mut self, index: usize, fact: &PathFact, now: u64) -> Option<Vec<Action>> {
        let tracked = self.sources.get_mut(index).filter(|tracked| !tracked.dropped)?;
        let why = match &fact.end {
            Err(stop) => Some(format!("{}: {}", stop.path, Errno::from_raw(stop.errno).desc())),
            Ok(_) => refused(&tracked.source, fact, COPY_LIMIT as u64),
        };
        if let Some(why) = why {
            tracked.in_trouble(why, now);
            return None;
        }
        if let Ok(end) = &fact.end {
            match self.writing.get(&end.path) {
                Some(at) if *at > now => {
                    tracked.due = Some(*at);
                    return None;
                }
                _ => self.writing.remove(&end.path),
            };
        }
        match self.inside.items(&self.live, &tracked.source, fact) {
            Ok(items) => Some(self.changes(index, items)),
            Err(why) => {
                tracked.in_trouble(why, now);
                None
            }
        }
    }

    fn changes(&mut self, index: usize, items: Vec<Item>) -> Vec<Action> {
        let below = |(mount, place): &Key| {
            items.iter().any(|item| item.mount == *mount && item.path != *place && item.path.is_within(place))
        };
        let in_the_way = self.known.keys().filter(|key| below(key)).cloned().map(Action::Remove);
        let actions: Vec<Action> = in_the_way.chain(items.iter().rev().cloned().map(Action::Put)).collect();
        if let Some(tracked) = self.sources.get_mut(index) {
            let mut keys: Vec<Key> = items.into_iter().map(|item| (item.mount, item.path)).collect();
            // What is shown now stays until all that is new is there.
            keys.extend(tracked.items.take().unwrap_or_default());
            keys.sort();
            keys.dedup();
            tracked.items = Some(keys);
        }
        actions
    }

    /// An action was done. `changed`: it was not so before.
    pub fn done(&mut self, index: usize, key: Key, known: Option<Known>, changed: bool, now: u64) {
        match known {
            Some(known) => self.known.insert(key, known),
            None => self.known.remove(&key),
        };
        let reload = self.sources.get(index).is_some_and(|tracked| tracked.source.reload);
        if changed && reload {
            self.reload = Some((self.reload.map_or(now, |(first, _)| first), now));
        }
    }

    /// All actions of a look were done: what it put before is its no longer. Says what has become of
    /// trouble that was told.
    pub fn finished(&mut self, index: usize, items: &[Key]) -> Option<String> {
        let tracked = self.sources.get_mut(index)?;
        tracked.items = Some(items.to_vec());
        tracked.trouble = None;
        let told = std::mem::take(&mut tracked.reported);
        told.then(|| format!("{} is followed again", tracked.source.path))
    }

    /// A look ended in trouble.
    pub fn trouble(&mut self, index: usize, why: String, now: u64) {
        if let Some(tracked) = self.sources.get_mut(index) {
            tracked.in_trouble(why, now);
        }
    }

    /// What is in a directory of links now: names that are new are followed from now on.
    pub fn listed(&mut self, index: usize, directory: &AbsPath, names: &[String], now: u64) {
        let Some(source) = self.source(index).cloned() else { return };
        for tracked in self.sources.iter_mut().filter(|tracked| tracked.parent == Some(index)) {
            if tracked.source.path.parent().as_ref() != Some(directory) {
                (tracked.dropped, tracked.due, tracked.trouble) = (true, None, None);
                (tracked.points, tracked.items) = (Vec::new(), Some(Vec::new()));
            }
        }
        for name in names {
            let path = directory.join(name);
            let known =
                self.sources.iter().any(|t| !t.dropped && t.parent == Some(index) && t.source.path == path);
            if !known {
                let at = source.at.as_ref().map(|at| at.join(name));
                let within = Some(source.path.clone());
                let child =
                    LiveSource { path, at, within, directory: false, links: Vec::new(), ..source.clone() };
                self.add(child, Some(index), now);
            }
        }
    }

    /// What no source needs in the jail any more, and watches that none depends on.
    pub fn sweep(&mut self) -> (Vec<Key>, Vec<i32>) {
        let needed: BTreeSet<AbsPath> =
            self.sources.iter().flat_map(|tracked| tracked.watches().into_keys()).collect();
        let (kept, ended): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.watches).into_iter().partition(|(path, _)| needed.contains(path));
        self.watches = kept;
        let used: BTreeSet<i32> = self.watches.values().copied().collect();
        let ended: BTreeSet<i32> = ended.into_values().filter(|watch| !used.contains(watch)).collect();
        let mut keys = Vec::new();
        // Before all were seen once, what the start has made is theirs.
        if self.sources.iter().all(|tracked| tracked.items.is_some()) {
            let held: BTreeSet<&Key> = self.sources.iter().flat_map(|t| t.items.iter().flatten()).collect();
            keys = self.known.keys().filter(|key| !held.contains(key)).cloned().collect();
        }
        (keys, ended.into_iter().collect())
    }

    /// Trouble that has lasted, each told once.
    pub fn tell(&mut self, now: u64) -> Vec<String> {
        let mut lines = Vec::new();
        for tracked in &mut self.sources {
            let shown = tracked.is_told();
            if let Some(trouble) =
                tracked.trouble.as_mut().filter(|t| shown && !t.told && now >= t.since + GRACE)
            {
                (trouble.told, tracked.reported) = (true, true);
                lines.push(format!(
                    "{} is not followed: {}; the jail keeps its last copy",
                    tracked.source.path, trouble.why
                ));
            }
        }
        lines
    }

    /// Every file that is followed, with why it is not if that is so.
    pub fn states(&self) -> impl Iterator<Item = (&AbsPath, Option<&str>)> {
        let files = self.sources.iter().filter(|tracked| !tracked.source.directory && !tracked.dropped);
        files.map(|tracked| (&tracked.source.path, tracked.trouble.as_ref().map(|t| t.why.as_str())))
    }

    /// Whether the reload signal is to be sent now.
    pub fn reload(&mut self, now: u64) -> bool {
        let due = self.reload.map(reload_at).is_some_and(|at| now >= at);
        if due {
            self.reload = None;
        }
        due
    }
}

fn reload_at((first, last): (u64, u64)) -> u64 {
    (last + QUIET).min(first + RELOAD_LATEST)
}
