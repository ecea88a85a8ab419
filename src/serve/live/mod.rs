//! Live files: the copies in a running jail follow the host's files.
//!
//! `watcher` decides (pure), `notify` asks the kernel for events, this file looks at the host and has
//! `apply::live` replace copies. Must not know: what the files are for. What the program could have made is never
//! followed, and no mount is made.

mod notify;
#[cfg(test)]
mod tests;
mod tracked;
pub mod watcher;

use crate::apply::live::{self, Copied};
use crate::host;
use crate::jail::Ids;
use crate::jail::facts::PathFact;
use crate::jail::live::LiveSource;
use crate::jail::path::AbsPath;
use crate::jail::range::Range;
use crate::plan::live::{Inside, Item, Put};
use crate::plan::{Plan, Step};
use crate::problem::printable;
use crate::sys::process;
use nix::errno::Errno;
use nix::poll::PollFd;
use notify::Notify;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use watcher::{Action, Key, Known, Watcher};

/// From the start of the program to the first look, in milliseconds. A jail that has ended by then
/// has no inotify instance, which the kernel takes milliseconds to close.
const FIRST_LOOK: u64 = 200;

/// How often a source is looked at for the host to hold still.
const ROUNDS: usize = 5;

/// Everything that the outer process holds for live files.
pub struct LiveFiles {
    /// Of the memory file systems in the jail, in the order of the plan.
    mounts: Vec<OwnedFd>,
    /// There is but one id in the jail.
    single: bool,
    /// Ids inside have other numbers outside.
    range: Option<Range>,
    /// `None` only while it is asked.
    watcher: Option<Watcher>,
    /// It was looked at the host.
    looked: bool,
    notify: Notify,
    /// It was told that something cannot be watched.
    told: bool,
    /// Nothing is watched: there is one look at everything.
    once: bool,
    /// What was replaced, when that is asked for.
    changed: Vec<AbsPath>,
}

/// What a look could not do.
enum Obstacle {
    /// The host changed meanwhile.
    Moved,
    /// In words that complete "PATH is not followed: ".
    Trouble(String),
}

/// One file that [`refresh`] has looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refreshed {
    /// Host path, as written or found in a directory of links.
    pub path: AbsPath,
    /// Whether something of it was replaced in the jail; or why not, completing "PATH is not followed: ".
    pub outcome: Result<bool, String>,
}

/// Looks once at all files that a jail has copies of, and replaces those that differ. For jails
/// without an outer process. `mounts` are writable descriptors of the memory file systems of
/// [`crate::plan::Live::mounts`], in that order.
pub fn refresh(plan: &Plan, mounts: Vec<OwnedFd>) -> Vec<Refreshed> {
    let mut files = LiveFiles { once: true, ..LiveFiles::new(plan, mounts, Vec::new()) };
    let known = files.read_back(plan);
    let mut watcher = Watcher::new(plan.live.clone(), Inside::new(plan), known, 0);
    files.round(&mut watcher, 0);
    // Names that were found in directories, and what did not hold still.
    for now in [1, 1000] {
        files.round(&mut watcher, now);
    }
    let outcome = |path: &AbsPath, why: Option<&str>| match why {
        Some(why) => Err(why.to_owned()),
        None => Ok(files.changed.contains(path)),
    };
    watcher
        .states()
        .map(|(path, why)| Refreshed { path: path.clone(), outcome: outcome(path, why) })
        .collect()
}

impl LiveFiles {
    /// For a jail that was just started, with what it has handed over. Of the plan only what is
    /// followed is kept.
    pub fn new(plan: &Plan, mounts: Vec<OwnedFd>, copied: Vec<(AbsPath, Copied)>) -> Self {
        let mut files = LiveFiles {
            mounts,
            single: plan.live.single,
            range: plan.live.range,
            watcher: None,
            looked: false,
            notify: Notify::default(),
            told: false,
            once: false,
            changed: Vec::new(),
        };
        let known = files.known_at_start(plan, copied);
        files.watcher = Some(Watcher::new(plan.live.clone(), Inside::new(plan), known, 0));
        files
    }

    /// What to wait for.
    pub fn waiting(&self) -> Option<PollFd<'_>> {
        self.notify.waiting()
    }

    /// How long to wait at most: milliseconds, `None` for ever.
    pub fn wait(&self, now: u64) -> Option<u64> {
        match &self.watcher {
            Some(watcher) if self.looked => watcher.wait(now),
            _ => Some(FIRST_LOOK.saturating_sub(now)),
        }
    }

    /// Does what is due at `now` (milliseconds since the start), without waiting. Says whether the
    /// program is to get its reload signal.
    pub fn attend(&mut self, now: u64) -> bool {
        if !self.looked && now < FIRST_LOOK {
            return false;
        }
        self.looked = true;
        let Some(mut watcher) = self.watcher.take() else { return false };
        self.notify.read(|event| match event {
            None => watcher.overflow(now),
            Some((watch, event)) => watcher.event(watch, event, now),
        });
        let looked = self.round(&mut watcher, now);
        for line in watcher.tell(now) {
            tell(&line);
        }
        let reload = watcher.reload(now);
        self.watcher = Some(watcher);
        if looked {
            process::trim_memory();
        }
        reload
    }

    /// Looks at all that is due.
    fn round(&mut self, watcher: &mut Watcher, now: u64) -> bool {
        let mut looked = false;
        // A look at a directory of links may find new names.
        for _ in 0..2 {
            for index in watcher.due(now) {
                self.look(watcher, index, now);
                looked = true;
            }
        }
        if looked {
            let (keys, watches) = watcher.sweep();
            for key in keys {
                if let Err(errno) = self.remove(&key) {
                    log::debug!("{}: {errno}", key.1);
                }
                watcher.done(usize::MAX, key, None, false, now);
            }
            watches.into_iter().for_each(|watch| self.notify.unwatch(watch));
        }
        looked
    }

    /// Watches what the source depends on, and sees it again, until nothing has changed in between:
    /// from then on a change is an event.
    fn look(&mut self, watcher: &mut Watcher, index: usize, now: u64) {
        let Some(source) = watcher.source(index).cloned() else { return };
        let caller = rustix::process::geteuid().as_raw();
        let mut fact = host::look(&source.path, caller);
        let mut still = false;
        for _ in 0..ROUNDS {
            for (path, mask) in watcher.depends(index, &fact, now) {
                match self.watch(&path, mask) {
                    // The next look sees that it has gone.
                    Err(Errno::ENOENT | Errno::ENOTDIR) => {}
                    watch => {
                        if let Some(old) = watcher.watching(index, path, watch.ok(), now) {
                            self.notify.unwatch(old);
                        }
                    }
                }
            }
            let again = host::look(&source.path, caller);
            still = same(&fact, &again);
            fact = again;
            if still {
                break;
            }
        }
        if !still {
            return watcher.again(index, now);
        }
        let Some(actions) = watcher.settle(index, &fact, now) else { return };
        match self.act(watcher, index, &source, &fact, actions, now) {
            Ok(items) => {
                if let Some(line) = watcher.finished(index, &items) {
                    tell(&line);
                }
            }
            Err(Obstacle::Moved) => watcher.again(index, now),
            Err(Obstacle::Trouble(why)) => watcher.trouble(index, why, now),
        }
    }

    fn act(
        &mut self,
        watcher: &mut Watcher,
        index: usize,
        source: &LiveSource,
        fact: &PathFact,
        actions: Vec<Action>,
        now: u64,
    ) -> Result<Vec<Key>, Obstacle> {
        let mut items = Vec::new();
        for action in actions {
            let item = match action {
                Action::Remove(key) => {
                    self.remove(&key).map_err(|errno| cannot_write(&key.1, errno))?;
                    watcher.done(index, key, None, true, now);
                    continue;
                }
                Action::Put(item) => item,
            };
            let key = (item.mount, item.path.clone());
            let (known, changed) = self.put(watcher.known(&key), source, fact, &item)?;
            if changed {
                log::debug!("{}: replaced {}", source.path, item.path);
                if self.once {
                    self.changed.push(source.path.clone());
                }
            }
            watcher.done(index, key.clone(), Some(known), changed, now);
            items.push(key);
        }
        if let (true, Ok(end)) = (source.directory, &fact.end) {
            let unlisted = || Obstacle::Trouble("it cannot be listed".into());
            let listing = host::list(&end.path).ok_or_else(unlisted)?;
            watcher.listed(index, &end.path, &listing.names, now);
        }
        Ok(items)
    }

    /// Makes one thing so, unless it is: what is there then, and whether it was changed.
    fn put(
        &self,
        known: Option<&Known>,
        source: &LiveSource,
        fact: &PathFact,
        item: &Item,
    ) -> Result<(Known, bool), Obstacle> {
        let root = self.mounts.get(item.mount).ok_or_else(|| cannot_write(&item.path, Errno::EBADF))?.as_fd();
        match &item.what {
            Put::Link(target) => {
                let wanted = Known::Link(target.clone());
                if known == Some(&wanted) {
                    return Ok((wanted, false));
                }
                let owner = self.owner(Ids { uid: 0, gid: 0 });
                let done = live::replace_link(root, &item.path, target, owner);
                done.map(|()| (wanted, true)).map_err(|errno| cannot_write(&item.path, errno))
            }
            Put::Copy(path) => {
                let file = live::open(path).map_err(cannot_read)?;
                // Judged was the file that was seen: it may have been exchanged since then.
                let seen = fact.end.as_ref().ok().map(|end| (end.mode & 0o777, end.uid, end.gid));
                if seen != Some((file.mode, file.owner.uid, file.owner.gid)) {
                    return Err(Obstacle::Moved);
                }
                let wanted = Copied {
                    hash: file.hash().map_err(cannot_read)?,
                    mode: source.mode.unwrap_or(file.mode),
                    owner: self.owner(source.owner.unwrap_or(file.owner)),
                };
                if known == Some(&Known::Copy(wanted)) {
                    return Ok((Known::Copy(wanted), false));
                }
                match live::replace(root, &item.path, &file, wanted) {
                    Ok(true) => Ok((Known::Copy(wanted), true)),
                    Ok(false) => Err(Obstacle::Moved),
                    Err(errno) => Err(cannot_write(&item.path, errno)),
                }
            }
        }
    }

    fn remove(&self, (mount, path): &Key) -> Result<(), Errno> {
        self.mounts.get(*mount).map_or(Ok(()), |root| live::remove(root.as_fd(), path))
    }

    /// Ids inside as this process, which is outside, has to name them.
    fn owner(&self, inside: Ids) -> Ids {
        if self.single {
            return Ids {
                uid: rustix::process::geteuid().as_raw(),
                gid: rustix::process::getegid().as_raw(),
            };
        }
        self.range.map_or(inside, |range| range.outside(inside))
    }

    /// What the start has put where.
    fn known_at_start(&self, plan: &Plan, copied: Vec<(AbsPath, Copied)>) -> BTreeMap<Key, Known> {
        let inside = Inside::new(plan);
        let mut known = BTreeMap::new();
        for (path, copied) in copied {
            let owner = if self.single { self.owner(copied.owner) } else { copied.owner };
            let copied = Copied { owner, ..copied };
            known.extend(inside.locate(&plan.live, &path).map(|key| (key, Known::Copy(copied))));
        }
        for (path, target) in links(plan) {
            let link = Known::Link(target.clone());
            known.extend(inside.locate(&plan.live, path).map(|key| (key, link)));
        }
        known
    }

    /// What is now where the start has put something.
    fn read_back(&self, plan: &Plan) -> BTreeMap<Key, Known> {
        let inside = Inside::new(plan);
        let copies = plan.steps.iter().filter_map(|p| match &p.step {
            Step::Copy { path, .. } => Some(path),
            _ => None,
        });
        let places = copies.chain(links(plan).map(|(path, _)| path));
        let mut known = BTreeMap::new();
        for key in places.filter_map(|path| inside.locate(&plan.live, path)) {
            let Some(root) = self.mounts.get(key.0).map(AsFd::as_fd) else { continue };
            let copy = live::copied(root, &key.1).ok().flatten().map(Known::Copy);
            let found = copy.or_else(|| live::link(root, &key.1).map(Known::Link));
            known.extend(found.map(|found| (key, found)));
        }
        known
    }

    fn watch(&mut self, path: &AbsPath, wanted: u8) -> Result<i32, Errno> {
        if self.once {
            return Ok(0);
        }
        let watched = self.notify.watch(path, wanted);
        if let Err(errno) = watched
            && ![Errno::ENOENT, Errno::ENOTDIR].contains(&errno)
            && !std::mem::replace(&mut self.told, true)
        {
            let more = match errno {
                Errno::ENOSPC => " (the sysctl fs.inotify.max_user_watches)",
                Errno::EMFILE => " (the sysctl fs.inotify.max_user_instances)",
                _ => "",
            };
            let why = errno.desc();
            tell(&format!(
                "{path} cannot be watched: {why}{more}; what depends on it is looked at every 2 s"
            ));
        }
        watched
    }
}

/// Links of the plan that change with the host's.
fn links(plan: &Plan) -> impl Iterator<Item = (&AbsPath, &String)> {
    let moving = |path: &AbsPath| plan.live.sources.iter().any(|source| source.links.contains(path));
    plan.steps.iter().filter_map(move |p| match &p.step {
        Step::Link { path, target } if moving(path) => Some((path, target)),
        _ => None,
    })
}

/// Whether two looks have seen the same file on the same way.
fn same(one: &PathFact, other: &PathFact) -> bool {
    let end = |fact: &PathFact| fact.end.clone().map(|end| crate::jail::facts::End { size: 0, ..end });
    one.hops == other.hops && end(one) == end(other)
}

fn cannot_read(errno: Errno) -> Obstacle {
    match errno {
        // Of open: exchanged for a link, a directory, nothing.
        Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::UnknownErrno => Obstacle::Moved,
        Errno::EFBIG => Obstacle::Trouble("it is now larger than 1 MiB".into()),
        errno => Obstacle::Trouble(format!("it cannot be read: {}", errno.desc())),
    }
}

fn cannot_write(place: &AbsPath, errno: Errno) -> Obstacle {
    Obstacle::Trouble(format!("{place} cannot be replaced in the jail: {}", errno.desc()))
}

fn tell(line: &str) {
    eprintln!("jail: {}", printable(line));
}
