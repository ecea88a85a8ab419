//! One live file, as the watcher keeps it: what it depends on, what it has put into the jail, and what
//! keeps it from being followed.
//!
//! Must not know: the others.
#![forbid(unsafe_code)]

use super::watcher::Key;
use crate::jail::live::LiveSource;
use crate::jail::path::AbsPath;
use std::collections::BTreeMap;

/// What a watch is for; these add up.
pub mod mask {
    /// Names that come and go in a directory, and files in it that were written.
    pub const ENTRIES: u8 = 1;
    /// A directory that is moved or removed.
    pub const ITSELF: u8 = 2;
    /// What is done to a file.
    pub const CONTENT: u8 = 4;
}

/// A file that is followed, or a directory of links.
#[derive(Debug)]
pub struct Tracked {
    pub source: LiveSource,
    /// The directory of links that it was found in.
    pub parent: Option<usize>,
    /// Host paths that the last look depended on: links on the way, then the end.
    pub points: Vec<AbsPath>,
    /// The last of them is a regular file.
    pub file: bool,
    /// What it has put into the jail; `None`: it was never looked at with success.
    pub items: Option<Vec<Key>>,
    pub due: Option<u64>,
    pub trouble: Option<Trouble>,
    /// Some trouble was told, and not yet that it has gone.
    pub reported: bool,
    /// Something that it depends on cannot be watched.
    pub polled: bool,
    /// It is no longer part of the directory of links.
    pub dropped: bool,
}

/// Why it is not followed.
#[derive(Debug)]
pub struct Trouble {
    pub why: String,
    pub since: u64,
    pub told: bool,
}

impl Tracked {
    /// One that is due at once. `parent` is the directory of links that it was found in.
    pub fn new(source: LiveSource, parent: Option<usize>, now: u64) -> Self {
        Tracked {
            source,
            parent,
            points: Vec::new(),
            file: false,
            items: None,
            due: Some(now),
            trouble: None,
            reported: false,
            polled: false,
            dropped: false,
        }
    }

    /// Every directory on the way, and in which of them names matter; the file itself.
    pub fn watches(&self) -> BTreeMap<AbsPath, u8> {
        let mut watches = BTreeMap::new();
        let mut add = |path: AbsPath, mask: u8| *watches.entry(path).or_insert(0) |= mask;
        for point in &self.points {
            for up in point.ancestors().filter(|up| *up != "/") {
                if let Ok(up) = AbsPath::new(up) {
                    add(up, mask::ITSELF);
                }
            }
            if let Some(parent) = point.parent() {
                add(parent, mask::ENTRIES);
            }
        }
        if let Some(end) = self.points.last().filter(|_| self.file) {
            add(end.clone(), mask::CONTENT);
        }
        if let Some(end) = self.points.last().filter(|_| self.source.directory) {
            add(end.clone(), mask::ENTRIES | mask::ITSELF);
        }
        watches
    }

    pub fn in_trouble(&mut self, why: String, now: u64) {
        match &mut self.trouble {
            Some(trouble) if trouble.why == why => {}
            trouble => *trouble = Some(Trouble { why, since: now, told: false }),
        }
    }

    /// Of what is in a directory of links, only what was shown matters.
    pub fn is_told(&self) -> bool {
        self.parent.is_none() || self.items.as_ref().is_some_and(|items| !items.is_empty())
    }
}
