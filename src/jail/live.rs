//! Files of the host that the jail has copies of, as they are looked at again while it runs.
//!
//! Must not know: how changes are noticed, or how a copy is replaced.
#![forbid(unsafe_code)]

use super::Ids;
use super::path::AbsPath;

/// A file of the host that is copied, or a directory of links to such files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LiveSource {
    /// Host path, as written. Links on the way are those of the host at the time of each look.
    pub path: AbsPath,
    /// Where the copy is inside; `None`: where the path leads, and its links are mirrored.
    pub at: Option<AbsPath>,
    /// A directory of links (`follow = true`): what is in it is followed, too.
    pub directory: bool,
    /// The directory of links that it was found in, as written.
    pub within: Option<AbsPath>,
    /// Links and secrets that others than root could have put there are believed.
    pub follow: bool,
    /// Permission bits of the copy; `None`: the host file's, without set-id bits.
    pub mode: Option<u32>,
    /// Owner of the copy, inside; `None`: the host file's own.
    pub owner: Option<Ids>,
    /// The spec says whose the copy is, or with which mode: it may be read by who may not read the file.
    pub given: bool,
    /// A change is followed by the reload signal.
    pub reload: bool,
    /// Links on the way that nothing else in the jail uses: they change with the host's.
    pub links: Vec<AbsPath>,
    /// By owner and mode alone who runs jail may not read it, or a directory on the way.
    pub guarded: bool,
    /// Owner and group of the host's file, when it was looked at first.
    pub ids: Ids,
}
