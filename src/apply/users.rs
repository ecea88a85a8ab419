//! The user namespace of a jail with a range of ids: made, used for id-mapped mounts, entered.
//!
//! Must not know: which ids are in it, or why. Every other namespace and every mount is made outside
//! it and belongs to the host's: no capability inside is one over them.

use super::{Call, Fault, Named, State};
use crate::jail::range::{Extent, Owners, Range};
use nix::errno::Errno;
use nix::sched::CloneFlags;
use rustix::fs::{Mode, OFlags};
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What [`make`] leaves for later steps.
pub struct Users {
    /// Its ids.
    pub range: Range,
    /// What the program enters.
    processes: OwnedFd,
    /// Nobody ever enters this one: it is a map of ids on disk for mounts.
    files: OwnedFd,
}

pub fn make(state: &mut State, range: Range, owners: &Owners) -> Result<(), Fault> {
    let proc = state.proc.as_ref().ok_or(Fault::new(Call::Open, Errno::EBADF))?.as_fd();
    let processes = namespace(proc, &range.processes(), &range.processes())?;
    let files = namespace(proc, &range.files(&owners.uids), &range.files(&owners.gids))?;
    state.users = Some(Users { range, processes, files });
    Ok(())
}

/// A new user namespace with these maps. They are written from here, because a map of more than one
/// id takes privilege over the namespace outside, which who is inside does not have
/// (user_namespaces(7)). A process makes the namespace and ends at once: until it is reaped, its
/// directory in /proc is there.
fn namespace(proc: BorrowedFd<'_>, uids: &[Extent], gids: &[Extent]) -> Result<OwnedFd, Fault> {
    let mut number: rustix::io::Result<CString> = Err(rustix::io::Errno::SRCH);
    let child = crate::sys::process::spawn_sharing_memory(libc::CLONE_NEWUSER, || {
        // Its number as that /proc has it, which may be of another pid namespace than this process.
        number = rustix::fs::readlinkat(proc, "self", Vec::new());
        0
    })
    .call(Call::Clone)?;
    let made = number.call(Call::Open).and_then(|number| {
        let open = |name: &str, flags: OFlags, call: Call| {
            let path = format!("{}/{name}", number.to_string_lossy());
            rustix::fs::openat(proc, path, flags | OFlags::CLOEXEC, Mode::empty()).call(call)
        };
        for (name, map) in [("uid_map", uids), ("gid_map", gids)] {
            let text: String =
                map.iter().map(|e| format!("{} {} {}\n", e.inside, e.outside, e.count)).collect();
            let file = open(name, OFlags::WRONLY, Call::WriteMap)?;
            rustix::io::write(file, text.as_bytes()).call(Call::WriteMap)?;
        }
        open("ns/user", OFlags::RDONLY, Call::Open)
    });
    crate::sys::process::wait_for(child, true).call(Call::Clone)?;
    made
}

fn users(state: &State) -> Result<&Users, Fault> {
    state.users.as_ref().ok_or(Fault::new(Call::Setns, Errno::EBADF))
}

/// Before the tree is attached: the kernel allows it only where nobody has seen the mount.
pub fn map_owners(state: &State, slot: usize) -> Result<(), Fault> {
    let (tree, map) = (state.slot(slot)?, users(state)?.files.as_fd());
    crate::sys::mount::map_owners(tree, map).call(Call::MapOwners)
}

/// Leaves this process with every capability inside and none outside; ids are still to be changed.
pub fn enter(state: &State) -> Result<(), Fault> {
    nix::sched::setns(&users(state)?.processes, CloneFlags::CLONE_NEWUSER).call(Call::Setns)
}
