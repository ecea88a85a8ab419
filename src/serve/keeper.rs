//! Limits alone: a command that is executed in place, or processes that run already, in groups that a
//! small process outside removes once the last of them has ended.
//!
//! Must not know: what is limited. The keeper holds nothing of the caller's: a pipe must close when the
//! command closes it.

use super::{Stopped, failed, groups};
use crate::apply::{self, Call, State};
use crate::plan::Plan;
use crate::sys::process;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::stat::Mode;
use nix::unistd::{chdir, dup2_stderr, dup2_stdin, dup2_stdout, read, setsid};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Carries out a plan whose last step executes the command; returns only on failure.
pub fn run(plan: &Plan) -> Stopped {
    match carry_out(plan) {
        // Execute never returns success.
        Ok(()) => Stopped::Vanished,
        Err(stopped) => stopped,
    }
}

/// Carries out a plan of limits.
///
/// # Errors
/// The step that failed. The groups are removed a moment after.
pub fn carry_out(plan: &Plan) -> Result<(), Stopped> {
    let mut state = State::new().map_err(|fault| Stopped::Step(fault.in_step(0)))?;
    groups::sweep(plan);
    if let Err(failure) = groups::leave(plan, &mut state) {
        groups::made(plan, &state.created).end();
        return Err(Stopped::Step(failure));
    }
    // Closed by exec, or by the end of this process.
    let _socket = start(plan).map_err(|errno| Stopped::Step(failed(0, Call::Clone, errno)))?;
    crate::sys::signal::restore_broken_pipes()
        .map_err(|errno| Stopped::Step(failed(0, Call::Sigaction, errno)))?;
    apply::run(&plan.steps, 0, &mut state).map_err(Stopped::Step)
}

/// The process that waits, as nobody's child that the command would find.
fn start(plan: &Plan) -> nix::Result<OwnedFd> {
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    let mut ours = Some(ours);
    process::run_detached(|| {
        // Else its end would never be seen.
        drop(ours.take());
        if let Err(errno) = let_go(&theirs) {
            log::warn!("the groups will be removed by a later start: {errno}");
            return;
        }
        process::trim_memory();
        // Nothing comes but the end: the groups are made and joined by then, or never will be.
        if read(&theirs, &mut [0; 1]).is_ok() {
            groups::made(plan, &(0..plan.steps.len()).collect::<Vec<_>>()).keep();
        }
    })?;
    ours.ok_or(Errno::EBADF)
}

/// Lets go of everything of the caller's: terminal, directory, descriptors.
fn let_go(socket: &OwnedFd) -> nix::Result<()> {
    setsid()?;
    chdir("/")?;
    let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    let open: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")
        .map_err(|_| Errno::EBADF)?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for descriptor in open.into_iter().filter(|number| *number > 2 && *number != socket.as_raw_fd()) {
        // That of the listing itself is closed already.
        match nix::unistd::close(descriptor) {
            Ok(()) | Err(Errno::EBADF) => {}
            Err(errno) => return Err(errno),
        }
    }
    // Its owner must not close a number that is somebody else's by then.
    std::mem::forget(null);
    Ok(())
}
