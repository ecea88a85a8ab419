//! What is in a directory whose files may be shown one by one.
//!
//! Must not know: where the links in it lead.

use crate::jail::facts::Listing;
use crate::jail::path::AbsPath;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};

/// Most names of a directory whose files are copied: it is no place for a large tree.
const MOST_NAMES: usize = 1024;

/// Regular files and links of a directory whose path has no link; `None` if it cannot be listed, has
/// too many of them, or a name that is not UTF-8.
pub fn list(directory: &AbsPath) -> Option<Listing> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let fd = rustix::fs::openat2(CWD, directory.as_str(), flags, Mode::empty(), resolve).ok()?;
    let mut listing = Listing::default();
    for entry in rustix::fs::Dir::read_from(&fd).ok()? {
        let entry = entry.ok()?;
        let name = entry.file_name();
        if [c".", c".."].contains(&name) {
            continue;
        }
        let kind = match entry.file_type() {
            // Some file systems do not say it in the listing.
            FileType::Unknown => {
                let stat = rustix::fs::statat(&fd, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
                FileType::from_raw_mode(stat.st_mode)
            }
            kind => kind,
        };
        match kind {
            FileType::RegularFile | FileType::Symlink if listing.names.len() < MOST_NAMES => {
                listing.names.push(name.to_str().ok()?.to_owned());
            }
            FileType::RegularFile | FileType::Symlink => return None,
            FileType::Directory => listing.directories = true,
            _ => {}
        }
    }
    listing.names.sort();
    Some(listing)
}
