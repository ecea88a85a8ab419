//! inotify(7): watches, and what they tell.
//!
//! Must not know: what is watched for whom.

use super::watcher::{Event, mask};
use crate::jail::path::AbsPath;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

/// An inotify instance, made when the first watch is wanted.
#[derive(Default)]
pub struct Notify(Option<OwnedFd>);

impl Notify {
    /// What to wait for.
    pub fn waiting(&self) -> Option<PollFd<'_>> {
        self.0.as_ref().map(|notify| PollFd::new(notify.as_fd(), PollFlags::POLLIN))
    }

    /// Watches a path, not through a link in its last component, for this and all it was watched for
    /// before.
    ///
    /// # Errors
    /// ENOSPC and EMFILE when the user has too many watches or instances; those of a path; EACCES if it
    /// may not be read.
    pub fn watch(&mut self, path: &AbsPath, wanted: u8) -> Result<i32, Errno> {
        let errno = |errno: rustix::io::Errno| Errno::from_raw(errno.raw_os_error());
        if self.0.is_none() {
            self.0 = Some(inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).map_err(errno)?);
        }
        let notify = self.0.as_ref().ok_or(Errno::EBADF)?;
        inotify::add_watch(notify, path.as_str(), flags(wanted)).map_err(errno)
    }

    /// Ends a watch, which may have ended by itself.
    pub fn unwatch(&self, watch: i32) {
        let ended = self.0.as_ref().map(|notify| inotify::remove_watch(notify, watch));
        if let Some(Err(errno)) = ended {
            log::trace!("watch {watch}: {errno}");
        }
    }

    /// Every event that has come, with its watch; `None` if some were lost.
    pub fn read(&self, mut each: impl FnMut(Option<(i32, Event<'_>)>)) {
        let Some(notify) = &self.0 else { return };
        let mut buffer = [MaybeUninit::uninit(); 2048];
        let mut reader = inotify::Reader::new(notify, &mut buffer);
        while let Ok(event) = reader.next() {
            let flags = event.events();
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                log::debug!("the queue of events has overflowed");
                each(None);
                continue;
            }
            let name = event.file_name().map(|name| name.to_string_lossy());
            let kind = match name.as_deref() {
                _ if flags.contains(ReadFlags::IGNORED) => Event::Ended,
                Some(name) if flags.contains(ReadFlags::CREATE) => Event::Made(name),
                Some(name) if flags.contains(ReadFlags::CLOSE_WRITE) => Event::Closed(name),
                Some(name) => Event::Moved(name),
                None if flags.contains(ReadFlags::MODIFY) => Event::Written,
                None if flags.contains(ReadFlags::CLOSE_WRITE) => Event::ClosedItself,
                None => Event::Itself,
            };
            each(Some((event.wd(), kind)));
        }
    }
}

fn flags(wanted: u8) -> WatchFlags {
    const NAMES: WatchFlags = WatchFlags::CREATE
        .union(WatchFlags::DELETE)
        .union(WatchFlags::MOVED_FROM)
        .union(WatchFlags::MOVED_TO)
        .union(WatchFlags::CLOSE_WRITE);
    const FILE: WatchFlags = WatchFlags::MODIFY.union(WatchFlags::CLOSE_WRITE).union(WatchFlags::ATTRIB);
    let kinds = [
        (mask::ENTRIES, NAMES),
        (mask::ITSELF, WatchFlags::MOVE_SELF.union(WatchFlags::DELETE_SELF)),
        (mask::CONTENT, FILE),
    ];
    let mut flags = WatchFlags::DONT_FOLLOW | WatchFlags::MASK_ADD;
    kinds.into_iter().filter(|(bit, _)| wanted & bit != 0).for_each(|(_, more)| flags |= more);
    flags
}
