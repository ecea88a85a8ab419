//! How copies follow the host: what is to be looked at, where a file may be put inside, and what the
//! outer process needs for it.
//!
//! Must not know: how changes are noticed, or how a copy is replaced.
#![forbid(unsafe_code)]

use super::{Plan, Step};
use crate::jail::facts::{FileKind, PathFact};
use crate::jail::live::LiveSource;
use crate::jail::path::AbsPath;
use crate::jail::range::Range;
use crate::jail::resolve::CAPABILITIES;
use crate::jail::{Ids, Jail, Place, Root, What};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that the outer process needs to know of live files.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Live {
    /// What is followed.
    pub sources: Vec<LiveSource>,
    /// The memory file systems that files can be put into, by place; a descriptor of each is kept.
    pub mounts: Vec<AbsPath>,
    /// What the outer process keeps of its capabilities, beside CAP_KILL.
    pub capabilities: u64,
    /// There is but one id in the jail: whatever is made has it.
    pub single: bool,
    /// Ids inside have other numbers outside.
    pub range: Option<Range>,
}

/// Most descriptors of memory file systems: they go over in one message (SCM_MAX_FD is 253).
pub const MOST_MOUNTS: usize = 64;

/// What a jail's copies need. Nothing is kept when there are none.
pub fn live(jail: &Jail) -> Live {
    if jail.live.is_empty() {
        return Live::default();
    }
    let single = jail.process.identity.mapped.is_some();
    // Without privilege none would help.
    let capabilities = if single || !jail.namespaces.pid { 0 } else { capabilities(jail) };
    let (sources, mounts) = (jail.live.clone(), mounts(jail));
    Live { sources, mounts, capabilities, single, range: jail.namespaces.range }
}

/// The memory file systems that live files can be put into.
pub fn mounts(jail: &Jail) -> Vec<AbsPath> {
    if jail.live.is_empty() {
        return Vec::new();
    }
    let root = (jail.root == Root::Skeleton).then(AbsPath::root);
    let memory = jail.places.iter().filter(|p| may_hold(jail, p)).map(|p| p.path.clone());
    root.into_iter().chain(memory).take(MOST_MOUNTS).collect()
}

/// A memory file system that has a copy in it; and /run, where hosts keep what is written by programs,
/// such as the resolv.conf that a link may come to lead to.
fn may_hold(jail: &Jail, top: &Place) -> bool {
    let copies = |p: &&Place| matches!(p.what, What::Copy { .. });
    let holds = || jail.places.iter().filter(copies).any(|p| p.path.is_within(&top.path));
    matches!(top.what, What::Tmpfs { .. }) && (top.path.as_str() == "/run" || holds())
}

/// As a set of one.
fn capability(name: &str) -> u64 {
    CAPABILITIES.iter().position(|known| *known == name).map_or(0, |number| 1 << number)
}

/// The files of root need none: the outer process has uid 0.
fn capabilities(jail: &Jail) -> u64 {
    let mut set = 0;
    let root = Ids { uid: 0, gid: 0 };
    if jail.live.iter().any(|s| !s.directory && s.owner.unwrap_or(s.ids) != root)
        || jail.namespaces.range.is_some()
    {
        set |= capability("CHOWN");
    }
    if jail.namespaces.range.is_some() || jail.places.iter().any(|p| in_others_directory(jail, p)) {
        // It includes the next one.
        set |= capability("DAC_OVERRIDE");
    } else if jail.live.iter().any(|s| s.guarded) {
        set |= capability("DAC_READ_SEARCH");
    }
    set
}

/// A copy directly in a memory file system that belongs to the program, or in one of its
/// `directories`.
fn in_others_directory(jail: &Jail, place: &Place) -> bool {
    let Some(parent) = place.path.parent().filter(|_| matches!(place.what, What::Copy { .. })) else {
        return false;
    };
    jail.places.iter().any(|p| match &p.what {
        What::Tmpfs { owner, directories, mode, .. } => {
            let top = parent == p.path && mode & 0o002 == 0;
            let below = directories.iter().any(|name| parent == p.path.join(name));
            owner.uid != 0 && (top || below)
        }
        _ => false,
    })
}

/// One thing that a source puts into the jail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// Which of [`Live::mounts`].
    pub mount: usize,
    /// Where in it.
    pub path: AbsPath,
    /// What.
    pub what: Put,
}

/// What is put somewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Put {
    /// A copy of this file, whose path has no links.
    Copy(AbsPath),
    /// A link with this text.
    Link(String),
}

/// What is inside beside the live files, by place: it stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Inside(BTreeMap<AbsPath, Fixed>);

#[derive(Clone, Debug)]
enum Fixed {
    Link(String),
    /// The host's own of this path.
    Bound(Option<AbsPath>),
    File,
    Memory(Option<usize>),
}

impl Fixed {
    /// Things can be below it.
    fn holds(&self) -> bool {
        matches!(self, Fixed::Bound(_) | Fixed::Memory(_))
    }
}

impl Inside {
    /// As a plan makes it.
    pub fn new(plan: &Plan) -> Self {
        let live = &plan.live;
        let moving: BTreeSet<&AbsPath> = live.sources.iter().flat_map(|source| &source.links).collect();
        let mut trees = BTreeMap::new();
        let mut fixed = BTreeMap::new();
        for planned in &plan.steps {
            let (path, what) = match &planned.step {
                Step::OpenTree { slot, source, .. } => {
                    trees.insert(*slot, source.clone());
                    continue;
                }
                Step::Link { path, target } if !moving.contains(path) => (path, Fixed::Link(target.clone())),
                Step::Attach { slot, path, .. } => (path, Fixed::Bound(trees.get(slot).cloned())),
                Step::Text { path, .. } => (path, Fixed::File),
                Step::Tmpfs { path, .. } => (path, Fixed::Memory(live.mounts.iter().position(|m| m == path))),
                Step::Devpts { path, .. } | Step::Proc { path, .. } => (path, Fixed::Bound(None)),
                _ => continue,
            };
            fixed.insert(path.clone(), what);
        }
        if let Some(root) = live.mounts.iter().position(|m| *m == AbsPath::root()) {
            fixed.insert(AbsPath::root(), Fixed::Memory(Some(root)));
        }
        Inside(fixed)
    }

    /// Nothing but the root tmpfs, for tests.
    #[cfg(test)]
    pub fn empty() -> Self {
        Inside(BTreeMap::from([(AbsPath::root(), Fixed::Memory(Some(0)))]))
    }

    /// What a source has to have inside now, as the host is: the links on the way, then the copy.
    ///
    /// # Errors
    /// Why it cannot be there, completing "PATH is not followed: ".
    pub fn items(&self, live: &Live, source: &LiveSource, fact: &PathFact) -> Result<Vec<Item>, String> {
        let mut items = Vec::new();
        if source.at.is_none() {
            for hop in &fact.hops {
                let put = Put::Link(hop.target.clone());
                items.extend(self.place(live, &hop.link, &hop.link, put)?);
            }
        }
        if let Ok(end) = fact.end.as_ref()
            && !source.directory
        {
            let wanted = source.at.as_ref().unwrap_or(&end.path);
            items.extend(self.place(live, wanted, &end.path, Put::Copy(end.path.clone()))?);
        }
        Ok(items)
    }

    /// In which mount a place of the plan is, and where in it.
    pub fn locate(&self, live: &Live, path: &AbsPath) -> Option<(usize, AbsPath)> {
        let above = std::iter::once(path.as_str()).chain(path.ancestors());
        match above.filter_map(|up| self.0.get_key_value(up)).find(|(_, what)| what.holds())? {
            (top, Fixed::Memory(Some(mount))) => {
                let base = live.mounts.get(*mount).unwrap_or(top);
                Some((*mount, path.rebase(base, &AbsPath::root())?))
            }
            _ => None,
        }
    }

    /// Where something goes; `None` if the jail shows the host's own there.
    fn place(
        &self,
        live: &Live,
        wanted: &AbsPath,
        host: &AbsPath,
        what: Put,
    ) -> Result<Option<Item>, String> {
        let path = self.through_links(wanted)?;
        match (self.0.get(&path), &what) {
            (Some(Fixed::Link(text)), Put::Link(target)) if text == target => return Ok(None),
            (Some(Fixed::Link(_) | Fixed::File | Fixed::Memory(_)), _) => {
                return Err(format!(
                    "{path} is something else in the jail, and stays so until the next start"
                ));
            }
            _ => {}
        }
        if let Some((mount, path)) = self.locate(live, &path) {
            return Ok(Some(Item { mount, path, what }));
        }
        let above = std::iter::once(path.as_str()).chain(path.ancestors());
        let found = above.filter_map(|up| self.0.get_key_value(up)).find(|(_, what)| what.holds());
        match found {
            Some((top, Fixed::Bound(Some(source)))) if path.rebase(top, source).as_ref() == Some(host) => {
                Ok(None)
            }
            _ => Err(format!(
                "it is now {host} on the host, which has no place in the jail until the next start"
            )),
        }
    }

    fn through_links(&self, path: &AbsPath) -> Result<AbsPath, String> {
        let mut path = path.clone();
        // As many links as the kernel follows.
        for _ in 0..40 {
            let next = path.ancestors().find_map(|up| match self.0.get_key_value(up) {
                Some((up, Fixed::Link(target))) => path.rebase(up, &up.resolve_link(target)?),
                _ => None,
            });
            match next {
                Some(next) => path = next,
                None => return Ok(path),
            }
        }
        Err(format!("the jail's links above {path} lead in a circle"))
    }
}

/// Why what was found at a source's path is not believed or cannot be copied, completing "PATH is not
/// followed: "; by the same rules as at the start.
pub fn refused(source: &LiveSource, fact: &PathFact, limit: u64) -> Option<String> {
    let bad = fact.hops.iter().find_map(|hop| Some((hop, hop.untrusted.as_ref()?)));
    if let Some((hop, directory)) = bad.filter(|_| !source.follow) {
        let (link, target) = (&hop.link, &hop.target);
        return Some(format!(
            "the link {link} -> {target} is not trusted, because others than root can write to {directory}"
        ));
    }
    let end = fact.end.as_ref().ok()?;
    let wanted = if source.directory { FileKind::Directory } else { FileKind::File };
    if end.kind != wanted {
        return Some(format!("it is now {}", kind(end.kind)));
    }
    if let Some(directory) = end.untrusted.as_ref().filter(|_| source.given && !source.follow) {
        return Some(format!(
            "not everybody may read it, and others than root can write to {directory} and could have put any file there"
        ));
    }
    (end.size > limit && !source.directory).then(|| "it is now larger than 1 MiB".into())
}

fn kind(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Directory => "a directory",
        FileKind::File => "a regular file",
        FileKind::Device | FileKind::BlockDevice => "a device",
        FileKind::Socket => "a socket",
        FileKind::Fifo => "a fifo",
    }
}
