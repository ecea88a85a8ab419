//! A host in memory: a few directories, files and links, and an inotify that tells of what is watched
//! and of nothing else, sometimes with its queue full; and the shell that `LiveFiles` is, on that host.
//!
//! Must not know: the kernel. What this host does is what inotify(7) says.

use crate::apply::live::Copied;
use crate::jail::Ids;
use crate::jail::facts::{End, FileKind, Hop, PathFact, Stop};
use crate::jail::live::LiveSource;
use crate::jail::path::AbsPath;
use crate::plan::Live;
use crate::plan::live::{Inside, Put};
use crate::serve::live::watcher::{Action, Event, Key, Known, Watcher, mask};
use std::collections::BTreeMap;

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Node {
    Directory,
    File(u64),
    Link(String),
}

/// The host's tree by path, each entry with its inode, and what a kernel would tell of it.
#[derive(Default)]
pub struct Host {
    pub tree: BTreeMap<AbsPath, (u64, Node)>,
    pub next: u64,
    /// Watches by inode.
    pub watches: BTreeMap<u64, (i32, u8)>,
    pub next_watch: i32,
    /// No more watches than these.
    pub most: usize,
    pub queue: Vec<(i32, String, Told)>,
    pub overflowed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    Made,
    Moved,
    Closed,
    Written,
    ClosedItself,
    Itself,
    Ended,
}

pub fn path(text: &str) -> AbsPath {
    AbsPath::new(text).unwrap()
}

impl Host {
    pub fn new() -> Self {
        let mut host = Host { most: usize::MAX, ..Host::default() };
        host.tree.insert(AbsPath::root(), (0, Node::Directory));
        host
    }

    pub fn tell(&mut self, inode: u64, wanted: u8, name: &str, told: Told) {
        if let Some((watch, _)) = self.watches.get(&inode).filter(|(_, mask)| mask & wanted != 0) {
            match self.queue.len() {
                0..40 => self.queue.push((*watch, name.to_owned(), told)),
                _ => self.overflowed = true,
            }
        }
    }

    pub fn tell_parent(&mut self, at: &AbsPath, told: Told) {
        let parent = at.parent().and_then(|up| self.tree.get(&up)).map(|(inode, _)| *inode);
        if let Some(inode) = parent {
            self.tell(inode, mask::ENTRIES, at.name(), told);
        }
    }

    /// Makes something in a directory that is there, in the place of anything but a directory.
    pub fn make(&mut self, at: &str, node: Node) {
        let at = path(at);
        let parent = at.parent().and_then(|up| self.tree.get(&up));
        if !matches!(parent, Some((_, Node::Directory)))
            || matches!(self.tree.get(&at), Some((_, Node::Directory)))
        {
            return;
        }
        self.remove(at.as_str());
        self.next += 1;
        let file = matches!(node, Node::File(_));
        self.tree.insert(at.clone(), (self.next, node));
        self.tell_parent(&at, Told::Made);
        if file {
            self.tell_parent(&at, Told::Closed);
        }
    }

    pub fn write(&mut self, at: &str, content: u64, close: bool) {
        let at = path(at);
        let Some((inode, Node::File(now))) = self.tree.get_mut(&at) else { return };
        *now = content;
        let inode = *inode;
        self.tell(inode, mask::CONTENT, "", Told::Written);
        if close {
            self.tell(inode, mask::CONTENT, "", Told::ClosedItself);
            self.tell_parent(&at, Told::Closed);
        }
    }

    pub fn remove(&mut self, at: &str) {
        let at = path(at);
        let below: Vec<AbsPath> = self.tree.keys().rev().filter(|p| p.is_within(&at)).cloned().collect();
        for gone in below.iter().filter(|gone| **gone != AbsPath::root()) {
            if let Some((inode, _)) = self.tree.remove(gone) {
                self.tell(inode, mask::ITSELF, "", Told::Itself);
                self.tell_parent(gone, Told::Moved);
                self.tell(inode, 0xff, "", Told::Ended);
                self.watches.remove(&inode);
            }
        }
    }

    pub fn rename(&mut self, from: &str, to: &str) {
        let (from, to) = (path(from), path(to));
        let parent = to.parent().and_then(|up| self.tree.get(&up));
        let there = matches!(parent, Some((_, Node::Directory)));
        if !there || to.is_within(&from) || from.is_within(&to) || !self.tree.contains_key(&from) {
            return;
        }
        self.remove(to.as_str());
        let moved: Vec<AbsPath> = self.tree.keys().filter(|p| p.is_within(&from)).cloned().collect();
        for old in moved {
            let (Some(node), Some(new)) = (self.tree.remove(&old), old.rebase(&from, &to)) else { continue };
            self.tree.insert(new, node);
        }
        self.tell_parent(&from, Told::Moved);
        self.tell_parent(&to, Told::Moved);
        let inode = self.tree[&to].0;
        self.tell(inode, mask::ITSELF, "", Told::Itself);
    }

    pub fn watch(&mut self, at: &AbsPath, wanted: u8) -> Result<i32, ()> {
        let Some((inode, _)) = self.tree.get(at) else { return Err(()) };
        let full = self.watches.len() >= self.most && !self.watches.contains_key(inode);
        if full {
            return Ok(-1);
        }
        let next = &mut self.next_watch;
        let entry = self.watches.entry(*inode).or_insert_with(|| {
            *next += 1;
            (*next, 0)
        });
        entry.1 |= wanted;
        Ok(entry.0)
    }

    pub fn look(&self, at: &AbsPath) -> PathFact {
        let mut hops = Vec::new();
        let mut rest: Vec<String> = at.components().rev().map(str::to_owned).collect();
        let mut here = AbsPath::root();
        let stop = |hops: Vec<Hop>, errno, path: &AbsPath| PathFact {
            hops,
            end: Err(Stop { errno, path: path.clone() }),
        };
        while let Some(name) = rest.pop() {
            if name == ".." {
                here = here.parent().unwrap_or_else(AbsPath::root);
                continue;
            }
            let next = here.join(&name);
            match self.tree.get(&next) {
                None => return stop(hops, 2, &next),
                Some((_, Node::Link(target))) => {
                    if hops.len() > 8 {
                        return stop(hops, 40, &next);
                    }
                    if target.starts_with('/') {
                        here = AbsPath::root();
                    }
                    rest.extend(target.split('/').filter(|c| !c.is_empty()).rev().map(str::to_owned));
                    hops.push(Hop { link: next, target: target.clone(), untrusted: None });
                }
                Some((_, Node::File(_))) if !rest.is_empty() => return stop(hops, 20, &next),
                Some(_) => here = next,
            }
        }
        let kind = match self.tree.get(&here) {
            Some((_, Node::File(_))) => FileKind::File,
            _ => FileKind::Directory,
        };
        let end =
            End { path: here, kind, size: 1, mode: 0o644, uid: 0, gid: 0, untrusted: None, guarded: false };
        PathFact { hops, end: Ok(end) }
    }
}

/// What `LiveFiles` does, on that host: the jail is what is known of it.
pub struct Shell {
    pub watcher: Watcher,
    pub jail: BTreeMap<Key, Known>,
    pub told: Vec<String>,
    pub reloads: usize,
    pub looks: usize,
    pub now: u64,
}

pub fn source(at: &str, directory: bool, reload: bool) -> LiveSource {
    LiveSource {
        path: path(at),
        at: None,
        directory,
        within: None,
        follow: false,
        mode: None,
        owner: None,
        given: false,
        reload,
        links: Vec::new(),
        guarded: false,
        ids: Ids { uid: 0, gid: 0 },
    }
}

impl Shell {
    pub fn new(sources: Vec<LiveSource>) -> Self {
        let live = Live { sources, mounts: vec![AbsPath::root()], ..Live::default() };
        let inside = Inside::empty();
        let watcher = Watcher::new(live, inside, BTreeMap::new(), 0);
        Shell { watcher, jail: BTreeMap::new(), told: Vec::new(), reloads: 0, looks: 0, now: 0 }
    }

    pub fn events(&mut self, host: &mut Host) {
        if std::mem::take(&mut host.overflowed) {
            self.watcher.overflow(self.now);
        }
        for (watch, name, told) in std::mem::take(&mut host.queue) {
            let event = match told {
                Told::Made => Event::Made(&name),
                Told::Moved => Event::Moved(&name),
                Told::Closed => Event::Closed(&name),
                Told::Written => Event::Written,
                Told::ClosedItself => Event::ClosedItself,
                Told::Itself => Event::Itself,
                Told::Ended => Event::Ended,
            };
            self.watcher.event(watch, event, self.now);
        }
    }

    /// One wake-up.
    pub fn attend(&mut self, host: &mut Host) {
        self.events(host);
        for _ in 0..2 {
            for index in self.watcher.due(self.now) {
                self.look(host, index);
            }
        }
        let (keys, watches) = self.watcher.sweep();
        for key in keys {
            self.jail.remove(&key);
            self.watcher.done(usize::MAX, key, None, false, self.now);
        }
        host.watches.retain(|_, (watch, _)| !watches.contains(watch));
        self.told.extend(self.watcher.tell(self.now));
        self.reloads += usize::from(self.watcher.reload(self.now));
    }

    pub fn look(&mut self, host: &mut Host, index: usize) {
        self.looks += 1;
        let source = self.watcher.source(index).unwrap().clone();
        let fact = host.look(&source.path);
        for (at, wanted) in self.watcher.depends(index, &fact, self.now) {
            if let Ok(watch) = host.watch(&at, wanted) {
                let watch = (watch >= 0).then_some(watch);
                if let Some(old) = self.watcher.watching(index, at, watch, self.now) {
                    host.watches.retain(|_, (known, _)| *known != old);
                }
            }
        }
        let Some(actions) = self.watcher.settle(index, &fact, self.now) else { return };
        let mut items = Vec::new();
        for action in actions {
            match action {
                Action::Remove(key) => {
                    self.jail.remove(&key);
                    self.watcher.done(index, key, None, true, self.now);
                }
                Action::Put(item) => {
                    let key = (item.mount, item.path.clone());
                    let known = match item.what {
                        Put::Link(target) => Known::Link(target),
                        Put::Copy(from) => {
                            let Some((_, Node::File(hash))) = host.tree.get(&from) else {
                                panic!("{from} is no file")
                            };
                            Known::Copy(Copied { hash: *hash, mode: 0o644, owner: Ids { uid: 0, gid: 0 } })
                        }
                    };
                    let changed = self.watcher.known(&key) != Some(&known);
                    self.jail.insert(key.clone(), known.clone());
                    self.watcher.done(index, key.clone(), Some(known), changed, self.now);
                    items.push(key);
                }
            }
        }
        if let (true, Ok(end)) = (source.directory, &fact.end) {
            let in_it = |p: &&AbsPath| p.parent().as_ref() == Some(&end.path);
            let names: Vec<String> = host.tree.keys().filter(in_it).map(|p| p.name().to_owned()).collect();
            self.watcher.listed(index, &end.path, &names, self.now);
        }
        self.told.extend(self.watcher.finished(index, &items));
    }

    /// Until nothing is due any more; how much time that took.
    pub fn quiesce(&mut self, host: &mut Host) -> u64 {
        let begin = self.now;
        self.attend(host);
        for _ in 0..1000 {
            let Some(wait) = self.watcher.wait(self.now) else { return self.now - begin };
            self.now += wait;
            self.attend(host);
        }
        panic!("it never comes to rest: {:?}", self.watcher);
    }

    /// The content that a path inside leads to.
    pub fn reads(&self, at: &str) -> Option<u64> {
        let mut at = path(at);
        for _ in 0..20 {
            let link =
                at.ancestors().chain([at.as_str()]).find_map(|up| match self.jail.get(&(0, path(up))) {
                    Some(Known::Link(target)) => Some((path(up), target.clone())),
                    _ => None,
                });
            match link {
                Some((up, target)) => at = at.rebase(&up, &up.resolve_link(&target)?)?,
                None => break,
            }
        }
        match self.jail.get(&(0, at)) {
            Some(Known::Copy(copied)) => Some(copied.hash),
            _ => None,
        }
    }
}
