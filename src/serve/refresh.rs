//! Looks once at the files that a running jail has copies of, from a process outside: for jails in place,
//! which have no outer process that follows the host.
//!
//! Must not know: what the files are for. Only the memory file systems of the jail are reached, by a
//! process that joins its mount namespace and shares nothing with it.

use super::live::{Refreshed, refresh};
use crate::apply;
use crate::plan::Plan;
use crate::plan::enter::joined;
use crate::sys::process::{self, spawn_sharing_memory};
use nix::errno::Errno;
use std::os::fd::OwnedFd;

/// Replaces what differs in the jail of `target` (a pidfd), which `plan` was made for.
///
/// # Errors
/// Those of setns(2) and open_tree(2).
pub fn of_running(plan: &Plan, target: &OwnedFd) -> Result<Vec<Refreshed>, Errno> {
    let namespaces = joined(plan);
    let mut reached = Err(Errno::ECHILD);
    // With the same descriptors: what it opens is there for this process, whose namespace stays its own.
    let child = spawn_sharing_memory(libc::CLONE_FILES, || {
        reached = apply::live::reach(target, namespaces, &plan.live.mounts);
        0
    })?;
    process::wait_for(child, true)?;
    Ok(refresh(plan, reached?))
}
