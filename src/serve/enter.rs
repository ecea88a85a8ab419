//! Starts a command in a running jail, as a child of this process.
//!
//! Must not know: how the command is confined. Only children are in a pid namespace that was joined:
//! a first process joins, makes the command, and is gone.
//!
//! ```text
//!  this process ---clone---> first process: joins the namespaces
//!    | (suspended)             |---clone(CLONE_PARENT)---> command: confines itself, executes
//!    |                         exits                         ^
//!    +---------- waits for, forwards signals to -------------+
//! ```

use super::ends::Ends;
use super::outer::Outer;
use super::terminal::take_streams;
use super::{Outcome, Stopped, failed};
use crate::apply::{self, Call, Failure, State};
use crate::plan::{Plan, Step};
use crate::sys::process::{self, spawn_sharing_memory};
use std::os::fd::{AsRawFd, OwnedFd};

/// Carries out a plan of [`crate::plan::enter`] in the jail of `target` (a pidfd), and waits for the
/// command's end.
///
/// # Errors
/// The step that failed. The jail is as before.
pub fn enter(plan: &Plan, target: OwnedFd) -> Result<Outcome, Stopped> {
    let early = |call| move |errno| Stopped::Step(failed(0, call, errno));
    crate::sys::signal::notice_children().map_err(early(Call::Sigaction))?;
    let Ends { signals, ours, theirs, relay, slave } = Ends::open(plan)?;
    let mut state = State::new().map_err(|fault| Stopped::Step(fault.in_step(0)))?;
    let mut command = Err(failed(0, Call::Clone, nix::errno::Errno::ECHILD));
    let outer_end = ours.as_raw_fd();
    let mut inherited = Some((theirs, target));
    let first = spawn_sharing_memory(0, || {
        command = first_process(plan, &mut inherited, outer_end, slave.as_ref(), &mut state);
        0
    });
    let first = first.map_err(early(Call::Clone))?;
    process::wait_for(first, true).map_err(early(Call::Clone))?;
    // Their owners were in the state, which meant descriptors of the first process: see `abandon`.
    state.abandon();
    drop(slave);
    let child = command.map_err(Stopped::Step)?;
    Outer::beside(plan, child, ours, signals, relay).attend(None)
}

/// Joins, and makes the command's process; its number, as the parent of both sees it.
fn first_process(
    plan: &Plan,
    inherited: &mut Option<(OwnedFd, OwnedFd)>,
    outer_end: i32,
    terminal: Option<&OwnedFd>,
    state: &mut State,
) -> Result<i32, Failure> {
    nix::unistd::close(outer_end).map_err(|errno| failed(0, Call::Dup, errno))?;
    if let Some(terminal) = terminal {
        take_streams(terminal).map_err(|errno| failed(0, Call::Dup, errno))?;
    }
    if let Some((socket, target)) = inherited.take() {
        state.set_outer(socket);
        state.set_target(target);
    }
    let joins = plan.steps.iter().position(|p| matches!(p.step, Step::Join(_)));
    let split = joins.map_or(0, |index| index + 1);
    let (before, after) = plan.steps.split_at(split);
    apply::run(before, 0, state)?;
    // Its memory is that of the process outside: nobody in the jail may look into it.
    process::not_dumpable().map_err(|errno| failed(split, Call::Prctl, errno))?;
    let mut outcome = Ok(());
    let spawned = spawn_sharing_memory(libc::CLONE_PARENT, || {
        outcome = apply::run(after, split, state);
        crate::problem::Kind::SetUp.code().into()
    });
    let child = spawned.map_err(|errno| failed(split, Call::Clone, errno))?;
    outcome.map(|()| child)
}
