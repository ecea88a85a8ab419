//! Starts a jail with a pid namespace: the first process sets it up in memory shared with the outer
//! process, starts the program, and becomes pid 1 by executing `sys/init`.
//!
//! Must not know: what the steps do.

use super::ends::Ends;
use super::groups;
use super::notify::Notify;
use super::outer::{Outer, directories, undo};
use super::pid_file::PidFile;
use super::sockets::{self, Held};
use super::terminal;
use super::wire::HANDED_OVER;
use super::{Outcome, Registration, Stopped, failed};
use crate::apply::{self, Call, Failure, SocketFile, State};
use crate::jail::path::AbsPath;
use crate::plan::{Phase, Plan, Planned, Step};
use crate::sys::process::{self, Execution, spawn_sharing_memory};
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use std::ffi::CString;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

/// What the first process leaves in the shared memory.
#[derive(Default)]
struct Report {
    failure: Option<Failure>,
    /// The program was about to be executed: from here on a jail that is killed has run.
    executing: bool,
    /// Executing pid 1 failed.
    init: Option<Errno>,
}

/// What the first process takes over from the outer one.
struct Inheritance {
    /// Pid 1's end of the socket.
    socket: OwnedFd,
    /// The outer process's end: closed, so that its death can be seen on the other.
    outer_end: RawFd,
    /// Pid 1's program.
    image: OwnedFd,
    /// The program's side of a relayed terminal.
    terminal: Option<OwnedFd>,
    /// What pid 1 is called with, after the program's number.
    arguments: Vec<CString>,
}

/// Starts a plan whose program gets a pid namespace. `held` are the sockets that it gets.
pub fn supervised<'a>(
    plan: &Plan,
    held: Held,
    registration: Option<Registration<'a>>,
    mut pid_file: Option<PidFile>,
) -> Result<Running<'a>, Stopped> {
    let early = |call| move |errno| Stopped::Step(failed(0, call, errno));
    let Ends { signals, ours, theirs, relay, slave } = Ends::open(plan)?;
    let image = process::init_image().map_err(early(Call::MemfdCreate))?;
    let notify = Notify::open(plan).map_err(Stopped::Step)?;
    let inheritance = Inheritance {
        socket: theirs,
        outer_end: ours.as_raw_fd(),
        image,
        terminal: slave,
        arguments: init_arguments(plan),
    };
    let mut report = Report::default();
    let mut state = State::new().map_err(|fault| Stopped::Step(fault.in_step(0)))?;
    if let Err(failure) = groups::leave(plan, &mut state) {
        groups::made(plan, &state.created).end();
        return Err(Stopped::Step(failure));
    }
    if let Some(notify) = &notify {
        state.set_notify(notify.inside());
    }
    let cloned = spawn_sharing_memory(namespaces(plan), || {
        first_process(plan, &inheritance, &mut state, &mut report);
        crate::problem::Kind::SetUp.code().into()
    });
    let made = state.abandon();
    let groups = groups::made(plan, &made.directories);
    let child = match cloned {
        Ok(child) => child,
        Err(errno) => {
            groups.end();
            return Err(early(Call::Clone)(errno));
        }
    };
    drop((inheritance, held));
    let directories = directories(plan, &made.directories);
    let stopped = match (report.failure, report.init, report.executing) {
        (Some(failure), _, _) => Stopped::Step(failure),
        (None, Some(errno), _) => Stopped::Init(errno),
        (None, None, false) => Stopped::Vanished,
        // Also if it was killed between the program's exec and its own.
        (None, None, true) => {
            if let Some(Err(errno)) = pid_file.as_mut().map(PidFile::show) {
                eprintln!("jail: the pid file could not be put in its place: {}", errno.desc());
            }
            let outer = Outer::new(plan, child, ours, signals, relay, notify, made.copied);
            return Ok(Running { outer, registration, pid_file, directories, sockets: made.sockets, groups });
        }
    };
    if let Err(errno) = process::wait_for(child, true) {
        log::debug!("waitpid: {errno}");
    }
    undo(&directories);
    groups.end();
    sockets::remove(&made.sockets);
    Err(stopped)
}

/// A jail whose program was started. Nothing of its plan is needed any more.
pub struct Running<'a> {
    outer: Outer,
    registration: Option<Registration<'a>>,
    /// Removed at the end.
    pid_file: Option<PidFile>,
    directories: Vec<AbsPath>,
    sockets: Vec<SocketFile>,
    groups: groups::Made,
}

impl Running<'_> {
    /// Attends to the jail until it is gone.
    ///
    /// # Errors
    /// What could not be done for the running program, which was ended for it.
    pub fn attend(self) -> Result<Outcome, Stopped> {
        let ended = self.outer.attend(self.registration);
        if ended.is_err() {
            undo(&self.directories);
        }
        self.groups.end();
        sockets::remove(&self.sockets);
        drop(self.pid_file);
        ended
    }
}

/// A program that daemonises has a pid file, or none: an empty name.
fn init_arguments(plan: &Plan) -> Vec<CString> {
    let file = plan.main_pid_file.as_ref().map_or("", |file| file.as_str());
    // A path of a spec has no NUL byte.
    CString::new(file).ok().filter(|_| plan.supervision.forking).into_iter().collect()
}

fn namespaces(plan: &Plan) -> i32 {
    let user = plan.steps.iter().any(|p| matches!(p.step, Step::Isolate { user: Some(_), .. }));
    libc::CLONE_NEWNS | libc::CLONE_NEWPID | if user { libc::CLONE_NEWUSER } else { 0 }
}

/// Sets the jail up and starts the program. Returns only on failure: else it has become pid 1.
///
/// Descriptors of this process are not those of the outer one, though their owners live in the same
/// memory: nothing that was opened here may be dropped there, hence the `forget`.
fn first_process(plan: &Plan, inheritance: &Inheritance, state: &mut State, report: &mut Report) {
    let split = plan.steps.iter().position(|p| p.step.phase() == Phase::Seal).unwrap_or(plan.steps.len());
    let (ours, sealed) = plan.steps.split_at(split);
    let program = set_up(ours, inheritance, state).and_then(|()| {
        let program = start(sealed, split, state, &mut report.executing)?;
        hand_over(inheritance, state, program).map(|()| program)
    });
    match program {
        Ok(program) => {
            report.init = Some(become_init(inheritance, program));
        }
        Err(failure) => report.failure = Some(failure),
    }
}

fn set_up(steps: &[Planned], inheritance: &Inheritance, state: &mut State) -> Result<(), Failure> {
    let early = |call| move |errno| failed(0, call, errno);
    nix::unistd::close(inheritance.outer_end).map_err(early(Call::Dup))?;
    // A session of its own, so that the terminal's signals come once, through the outer process.
    nix::unistd::setsid().map_err(early(Call::Setsid))?;
    if let Some(terminal) = &inheritance.terminal {
        terminal::take_streams(terminal).map_err(early(Call::Dup))?;
    }
    let outer = inheritance.socket.try_clone().map_err(|_| failed(0, Call::Dup, Errno::EMFILE))?;
    state.set_outer(outer);
    apply::run(steps, 0, state)
}

/// The program runs the last phase by itself and executes; its process id, as pid 1 sees it.
fn start(sealed: &[Planned], split: usize, state: &mut State, executing: &mut bool) -> Result<i32, Failure> {
    // Stays if the program is killed before it can tell: then it is pid 1 that tells, as of any end.
    let mut outcome = Ok(());
    // Before anything runs inside: until pid 1 is executed this process has the program's ids, and
    // its memory is the outer process's. Not dumpable, neither can be traced or looked into by /proc.
    process::not_dumpable().map_err(|errno| failed(split, Call::Prctl, errno))?;
    let (last, before) = sealed.split_last().ok_or(failed(split, Call::Execve, Errno::ENOEXEC))?;
    let spawned = spawn_sharing_memory(0, || {
        outcome = apply::run(before, split, state).and_then(|()| {
            *executing = true;
            let step = split + before.len();
            apply::run(std::slice::from_ref(last), step, state).inspect_err(|_| *executing = false)
        });
        crate::problem::Kind::SetUp.code().into()
    });
    // It is the program that cannot be started; none of its own steps has begun.
    let program = spawned.map_err(|errno| failed(split + before.len(), Call::Clone, errno))?;
    outcome.map(|()| program)
}

/// Sends the outer process a descriptor of the program, whose number means nothing outside, and the
/// writable view of the root tmpfs if there is one. If that fails the program ends with this process.
fn hand_over(inheritance: &Inheritance, state: &State, program: i32) -> Result<(), Failure> {
    let program = process::descriptor(program).map_err(|errno| failed(0, Call::PidfdOpen, errno))?;
    let descriptors: Vec<RawFd> =
        std::iter::once(&program).chain(&state.live).map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&descriptors)];
    let (socket, flags) = (inheritance.socket.as_raw_fd(), MsgFlags::MSG_NOSIGNAL);
    let sent = sendmsg::<()>(socket, &[IoSlice::new(HANDED_OVER)], &rights, flags, None);
    sent.map(|_| ()).map_err(|errno| failed(0, Call::Sendmsg, errno))
}

/// Gives up what is left and executes pid 1's program, with the socket as descriptor 3 and no other.
/// (0-2 too: a reader of the program's output must see its end when the program closes it.)
fn become_init(inheritance: &Inheritance, program: i32) -> Errno {
    match prepare_init(inheritance, program) {
        Ok(execution) => execution.run_image(inheritance.image.as_fd()),
        Err(errno) => errno,
    }
}

fn prepare_init(inheritance: &Inheritance, program: i32) -> nix::Result<Execution> {
    apply::drop_all_capabilities().map_err(|_| Errno::EPERM)?;
    process::place_descriptor(&inheritance.socket, 3)?;
    // The image's own number may be 3 or below only if the caller had closed 0-2, which main opens.
    process::close_on_exec_from(4)?;
    process::close_on_exec_below(3)?;
    let program = CString::new(program.to_string()).map_err(|_| Errno::EINVAL)?;
    let arguments = [c"jail-init".into(), program].into_iter().chain(inheritance.arguments.iter().cloned());
    Ok(Execution::new(arguments.collect(), Vec::new()))
}
