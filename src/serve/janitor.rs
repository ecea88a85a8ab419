//! Undoes what a failed start in place has made on the host. The process itself cannot: by then it
//! may have left the host's file tree and given up its rights.
//!
//! Must not know: why the start failed. It is there only for plans that make something, and gone
//! once the program is executed.

use super::groups;
use super::outer::{directories, undo};
use crate::plan::Plan;
use crate::sys::process;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::{read, write};
use std::os::fd::OwnedFd;

/// A process that waits for the outcome of a start. The socket closes by execve.
pub struct Janitor(OwnedFd);

/// Most directories of one plan that can be undone; each is two bytes in one message.
const MOST: usize = 1024;

impl Janitor {
    /// Starts the process, as nobody's child that the program would find.
    ///
    /// # Errors
    /// Those of socketpair(2) and fork(2).
    pub fn start(plan: &Plan) -> nix::Result<Self> {
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        let mut ours = Some(ours);
        process::run_detached(|| {
            // Else its end would never be seen.
            drop(ours.take());
            attend(plan, &theirs);
        })?;
        ours.map(Janitor).ok_or(Errno::EBADF)
    }

    /// Has these steps undone, and waits until they are.
    pub fn undo(self, created: &[usize]) {
        let steps = created.iter().take(MOST).filter_map(|step| u16::try_from(*step).ok());
        let message: Vec<u8> = steps.flat_map(u16::to_ne_bytes).collect();
        // Plain read and write: no filter refuses them, if one is installed already.
        let done = write(&self.0, &message).and_then(|_| read(&self.0, &mut [0; 1]));
        if let Err(errno) = done {
            log::warn!("what this start made on the host may not have been removed: {errno}");
        }
    }
}

/// Nothing comes but the end of the socket if the program was executed.
fn attend(plan: &Plan, socket: &OwnedFd) {
    let mut message = [0; 2 * MOST];
    let length = read(socket, &mut message).unwrap_or(0);
    let words = message.get(..length).unwrap_or(&[]).chunks_exact(2);
    let steps: Vec<usize> =
        words.filter_map(|s| s.try_into().ok()).map(|s| usize::from(u16::from_ne_bytes(s))).collect();
    undo(&directories(plan, &steps));
    // It waits for an answer, and only then ends, which is what its groups wait for.
    let answered = write(socket, &[0]);
    log::trace!("answered: {answered:?}");
    groups::made(plan, &steps).end();
}
