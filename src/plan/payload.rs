//! What some steps carry: kinds, maps, and what must be found when the kernel is asked.
//!
//! Must not know: which step carries it.
#![forbid(unsafe_code)]

use super::{Attributes, Unshared};
use crate::jail::BindKind;
use crate::jail::path::AbsPath;

/// Namespaces of a running jail that a command joins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Joined {
    /// The one that a jail without root has, first of all: it gives the right to the others.
    pub user: bool,
    /// Process ids: for the children of who joins.
    pub pid: bool,
    /// Those made after the first ones; the mount namespace always.
    pub others: Option<Unshared>,
}

/// What kind of thing a tree's root must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TreeKind {
    /// Directory.
    Directory,
    /// Regular file.
    File,
    /// Socket or fifo.
    Special,
    /// Character device.
    Device,
}

impl From<BindKind> for TreeKind {
    fn from(kind: BindKind) -> Self {
        match kind {
            BindKind::Directory => TreeKind::Directory,
            BindKind::File => TreeKind::File,
            BindKind::Special => TreeKind::Special,
        }
    }
}

/// A single-id user namespace map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UserMap {
    /// Inside, outside.
    pub uid: (u32, u32),
    /// Inside, outside.
    pub gid: (u32, u32),
}

/// A mount that must be there, with at least these attributes on it and on every mount below it
/// that is not expected itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExpectedMount {
    /// Where, inside.
    pub path: AbsPath,
    /// At least these; nosuid always.
    pub attributes: Attributes,
    /// File system type, when it is one we made.
    pub kind: Option<&'static str>,
    /// Owners are mapped, on it and on every mount below it.
    pub id_mapped: bool,
}

/// What /proc/self/status must say just before exec.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExpectedProcess {
    /// All four user ids.
    pub uid: u32,
    /// All four group ids.
    pub gid: u32,
    /// Supplementary groups, sorted; `None`: given up.
    pub groups: Option<Vec<u32>>,
    /// All five sets.
    pub capabilities: u64,
    /// How many filters the plan installs.
    pub filters: u32,
}
