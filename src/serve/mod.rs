//! The long-lived parents of a program: the outer process and pid 1.
//!
//! `machine` decides (pure), `wire` is what the two say to each other (pure), `launch` starts the
//! jail, `outer` attends to it, `live` keeps copies like the host's files, `enter` starts a command in a
//! running one, `ends` is what both open first, `terminal` relays a pseudo-terminal, `notify` passes messages on to the service manager,
//! `members` knows the jail's processes, `pid_file` says which process the outer one is, `janitor` undoes
//! what a failed start in place has made. Must not know: the spec, or what any step does.
//!
//! ```text
//!  outer ---clone(new namespaces)---> first process: sets up, drops privileges
//!    | (suspended, memory shared)        |---clone---> program: seals itself, executes
//!    |                                   v
//!    | <------- socket -------------> executes sys/init (pid 1)
//! ```

mod ends;
pub mod enter;
mod groups;
mod janitor;
pub mod keeper;
mod launch;
pub mod live;
pub mod machine;
mod members;
mod notify;
mod outer;
mod pid_file;
pub mod prober;
pub mod refresh;
mod sockets;
pub mod terminal;
mod watch;
pub mod wire;

pub use launch::Running;
pub use pid_file::PidFile;
pub use sockets::Held;

use crate::apply::{self, Call, Failure, State};
use crate::plan::{Plan, Step};
use crate::record::{Processes, Record};
use crate::registry::{Claim, processes};
use nix::errno::Errno;

/// How a jail ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The program's exit status.
    Exited(i32),
    /// The program was killed by this signal.
    Signaled(i32),
}

/// Why it did not run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stopped {
    /// A step failed; the program was never executed.
    Step(Failure),
    /// The first process vanished without a word (killed from outside while setting up).
    Vanished,
    /// Pid 1 could not be executed; the program was ended at once.
    Init(Errno),
    /// The outer process could not give up its own capabilities; the program was ended at once.
    Outer(Errno),
    /// The running jail could not be recorded; the program was ended at once.
    Unrecorded(Errno),
}

/// What is to be kept of the jail once it runs, and the name to keep it by.
#[derive(Debug)]
pub struct Registration<'a> {
    /// The name.
    pub claim: &'a Claim,
    /// All but its processes.
    pub record: Record,
}

impl Registration<'_> {
    fn write(mut self, processes: Processes) -> Result<(), Stopped> {
        self.record.processes = processes;
        self.claim.write(&self.record).map_err(Stopped::Unrecorded)
    }
}

/// Takes hold of the numbers of the sockets that a plan passes in. Called before anything else is
/// opened, so that what is opened later gets others.
///
/// # Errors
/// The step that passes them.
pub fn hold(plan: &Plan) -> Result<Held, Stopped> {
    sockets::hold(plan).map_err(|(step, errno)| Stopped::Step(failed(step, Call::Dup, errno)))
}

/// Starts the program of a plan. In place it returns only on failure. With a pid file there must be an
/// outer process.
///
/// # Errors
/// The step that failed. The host is as before.
pub fn start<'a>(
    plan: &Plan,
    held: Held,
    registration: Option<Registration<'a>>,
    pid_file: Option<PidFile>,
) -> Result<Running<'a>, Stopped> {
    // An ignored SIGCHLD survives execve, and makes the kernel reap without a word: no status here,
    // and none in pid 1.
    let reset = crate::sys::signal::notice_children();
    reset.map_err(|errno| Stopped::Step(failed(0, Call::Sigaction, errno)))?;
    groups::sweep(plan);
    if plan.supervision.pid_namespace {
        launch::supervised(plan, held, registration, pid_file)
    } else {
        let own = std::process::id().cast_signed();
        // Afterwards nobody is left who could.
        let written = registration.map(|r| r.write(processes::of(None, own, own)));
        written.transpose()?;
        let stopped = in_place(plan);
        drop(held);
        Err(stopped)
    }
}

fn failed(step: usize, call: Call, errno: Errno) -> Failure {
    Failure { step, call, errno: errno as i32, detail: 0 }
}

fn in_place(plan: &Plan) -> Stopped {
    let mut state = match State::new() {
        Ok(state) => state,
        Err(fault) => return Stopped::Step(fault.in_step(0)),
    };
    // The janitor, too, must be out of a group that others are to be made below.
    if let Err(failure) = groups::leave(plan, &mut state) {
        groups::made(plan, &state.created).end();
        return Stopped::Step(failure);
    }
    let makes =
        plan.steps.iter().position(|p| matches!(p.step, Step::CreateDirectory { .. } | Step::Group(_)));
    let janitor = match makes.map(|step| (step, janitor::Janitor::start(plan))) {
        None => None,
        Some((_, Ok(janitor))) => Some(janitor),
        Some((step, Err(errno))) => return Stopped::Step(failed(step, Call::Clone, errno)),
    };
    match apply::run(&plan.steps, 0, &mut state) {
        // Execute never returns success.
        Ok(()) => Stopped::Vanished,
        Err(failure) => {
            if let Some(janitor) = janitor {
                janitor.undo(&state.created);
            }
            Stopped::Step(failure)
        }
    }
}
