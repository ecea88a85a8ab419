//! The outer process: waits outside the jail, forwards signals, mirrors the program's end.
//!
//! Must not know: how the jail is set up. It keeps the caller's place in the process tree, so that
//! a service manager sees one process that behaves like the program. Once the program runs it holds
//! CAP_KILL, which the kernel also asks for when pid 1 is to die with this process, and beside it only
//! what live files need.

use super::live::LiveFiles;
use super::machine::{Action, Machine};
use super::members::Members;
use super::notify::Notify;
use super::terminal::Relay;
use super::watch::Watch;
use super::wire::{self, Ended, Message};
use super::{Outcome, Registration, Stopped};
use crate::apply;
use crate::apply::live::Copied;
use crate::jail::path::AbsPath;
use crate::plan::live::MOST_MOUNTS;
use crate::plan::{Plan, Step};
use crate::problem::printable;
use crate::registry::{Claim, processes};
use crate::sys::{self, process};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, send};
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::time::Instant;

/// Everything the outer process holds while the jail lives.
pub struct Outer {
    /// Pid 1, by its number outside.
    child: i32,
    /// The main process. `None`: everything has ended before it could be handed over, or the first one
    /// has ended and it is not known who takes its place.
    program: Option<OwnedFd>,
    /// Asked for only where there may be more than one main process.
    members: Option<Members>,
    notify: Option<Notify>,
    /// Pid 1 says more than how it ends, and has not ended.
    listening: bool,
    /// How the program ended, if pid 1 has said so.
    report: Option<Ended>,
    /// Who got the last signal in place of the program, by their numbers outside.
    told: Vec<i32>,
    /// The number of a main process that is to be recorded.
    renamed: Option<i32>,
    /// A main process that has ended, and pid 1 has not heard how: its parent has.
    stranger: Option<OwnedFd>,
    socket: OwnedFd,
    signals: OwnedFd,
    relay: Option<Relay>,
    machine: Machine,
    /// Copies that follow the host's files.
    live: Option<LiveFiles>,
    /// Capabilities kept beside CAP_KILL.
    kept: u64,
    /// What the limits do.
    watch: Option<Watch>,
    begin: Instant,
}

impl Outer {
    /// For a jail whose program was just executed and whose pid 1 is `child`.
    pub fn new(
        plan: &Plan,
        child: i32,
        socket: OwnedFd,
        signals: OwnedFd,
        relay: Option<Relay>,
        notify: Option<Notify>,
        copied: Vec<(AbsPath, Copied)>,
    ) -> Self {
        // Nothing if it was killed before it could hand over.
        let received = receive_with_descriptors(&socket, &mut [0; wire::SIZE]);
        let mut received = received.map_or(Vec::new(), |(_, descriptors)| descriptors).into_iter();
        let program = received.next();
        let mounts: Vec<OwnedFd> = received.collect();
        // As many as there must be, or all has ended before it could be handed over.
        let live = !mounts.is_empty() && mounts.len() == plan.live.mounts.len();
        let live = live.then(|| LiveFiles::new(plan, mounts, copied));
        let kept = plan.live.capabilities;
        let listening = notify.is_some() || plan.supervision.forking;
        let watch = Watch::new(plan);
        let members = listening.then(|| Members::of(child));
        let outer = Outer::of(plan, child, socket, signals, relay);
        Outer { program, members, notify, listening, live, kept, watch, ..outer }
    }

    /// For a command that has joined a running jail, as `child` of this process.
    pub fn beside(plan: &Plan, child: i32, socket: OwnedFd, signals: OwnedFd, relay: Option<Relay>) -> Self {
        let program = process::descriptor(child).inspect_err(|errno| log::warn!("pidfd_open: {errno}")).ok();
        Outer { program, ..Outer::of(plan, child, socket, signals, relay) }
    }

    fn of(plan: &Plan, child: i32, socket: OwnedFd, signals: OwnedFd, relay: Option<Relay>) -> Self {
        Outer {
            child,
            program: None,
            members: None,
            notify: None,
            listening: false,
            report: None,
            told: Vec::new(),
            renamed: None,
            stranger: None,
            socket,
            signals,
            relay,
            machine: Machine::new(plan.supervision),
            live: None,
            kept: 0,
            watch: None,
            begin: Instant::now(),
        }
    }

    /// Attends to the jail until it is gone.
    pub fn attend(mut self, registration: Option<Registration<'_>>) -> Result<Outcome, Stopped> {
        let claim = registration.as_ref().map(|registration| registration.claim);
        let recorded = self.register(registration);
        if let Err(stopped) = recorded.and_then(|()| self.release().map_err(Stopped::Outer)) {
            // Nothing runs with more than was promised, or out of sight.
            self.kill();
            process::wait_for(self.child, true).map_err(|_| Stopped::Vanished)?;
            return Err(stopped);
        }
        if let Some(relay) = &mut self.relay {
            relay.take();
        }
        let outcome = loop {
            self.wait_for_event();
            // First, for it says whom a signal is for.
            if self.listening {
                self.hear_pid_1();
                self.record_again(claim);
            }
            while let Ok(Some(number)) = sys::signal::next(&self.signals) {
                let action = self.machine.signal(number, self.now());
                self.act(action);
            }
            let action = self.machine.tick(self.now());
            self.act(action);
            if let Some(relay) = &mut self.relay {
                relay.copy();
            }
            self.pass_notifications_on();
            let now = self.now();
            if self.live.as_mut().is_some_and(|live| live.attend(now)) {
                self.act(self.machine.reload());
            }
            if let Some(watch) = &mut self.watch {
                watch.attend(now);
            }
            match process::wait_for(self.child, false) {
                Ok(None) => {}
                Ok(Some(status)) => break self.ended(status),
                Err(_) => return Err(Stopped::Vanished),
            }
        };
        let now = self.now();
        if let Some(watch) = &mut self.watch {
            watch.look(now);
        }
        if let Some(relay) = &mut self.relay {
            relay.finish();
        }
        log::debug!("ended: {outcome:?}");
        Ok(outcome)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The program runs: from now on it can be found.
    fn register(&self, registration: Option<Registration<'_>>) -> Result<(), Stopped> {
        let Some(registration) = registration else { return Ok(()) };
        let outer = std::process::id().cast_signed();
        let program = self.program.as_ref().and_then(process::number).unwrap_or(self.child);
        registration.write(processes::of(Some(outer), self.child, program))
    }

    /// Another process is the program now: it is what `jail signal` means.
    fn record_again(&mut self, claim: Option<&Claim>) {
        if let (Some(number), Some(claim)) = (self.renamed.take(), claim)
            && let Err(errno) = claim.set_program(number)
        {
            log::warn!("the record still names the first process: {errno}");
        }
    }

    /// The program runs: keep nothing that waiting does not need.
    fn release(&self) -> Result<(), Errno> {
        apply::keep_only_kill_and(self.kept)?;
        process::trim_memory();
        if self.relay.is_none()
            && let Err(error) = release_standard_streams()
        {
            log::debug!("standard streams stay open: {error}");
        }
        Ok(())
    }

    /// The socket is mostly not waited for: what comes on it is followed by pid 1's end.
    fn wait_for_event(&self) {
        let now = self.now();
        let live = self.live.as_ref().and_then(|live| live.wait(now));
        let look = self.watch.as_ref().and_then(|watch| watch.wait(now));
        let timeout = match self.machine.wait(now).into_iter().chain(live).chain(look).min() {
            None => PollTimeout::NONE,
            Some(ms) => PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX),
        };
        let mut waiting = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        waiting.extend(self.relay.iter().flat_map(Relay::waiting));
        waiting.extend(self.notify.iter().map(Notify::waiting));
        waiting.extend(self.listening.then(|| PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)));
        waiting.extend(self.live.as_ref().and_then(LiveFiles::waiting));
        waiting.extend(self.watch.iter().flat_map(Watch::waiting));
        // Whatever ended the wait, every source is asked without blocking afterwards.
        if let Err(errno) = poll(&mut waiting, timeout)
            && errno != Errno::EINTR
        {
            log::warn!("poll: {errno}");
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Nothing => {}
            Action::Forward(number) => self.forward(number),
            Action::Kill => {
                log::warn!("the program did not stop in time; it is killed");
                self.kill();
            }
            Action::Resize => {
                if let Some(relay) = &self.relay {
                    relay.resize();
                }
            }
            Action::Suspend => {
                self.forward(libc::SIGSTOP);
                if let Some(relay) = &mut self.relay {
                    relay.give_back();
                }
                if let Err(errno) = process::send_signal(std::process::id().cast_signed(), libc::SIGSTOP) {
                    log::warn!("cannot stop: {errno}");
                }
                if let Some(relay) = &mut self.relay {
                    relay.take();
                }
                self.forward(libc::SIGCONT);
            }
        }
    }

    /// To the program itself, whoever it has become by now: CAP_KILL is kept for that. If it has left
    /// others behind, to the oldest of each tree of processes.
    fn forward(&mut self, number: i32) {
        // Of a first process that has left a daemon pid 1 may not have told yet.
        let gone = |program: &OwnedFd| self.members.is_some() && process::has_ended(program);
        let program = self.program.as_ref().filter(|program| !gone(program));
        let sent = program.map(|program| process::send_signal_by(program, number));
        match sent {
            None | Some(Err(Errno::ESRCH)) => {
                self.told.clear();
                self.forward_to_rest(number);
            }
            Some(Err(errno)) => log::debug!("signal {number} not forwarded: {errno}"),
            Some(Ok(())) => {}
        }
    }

    /// To those that have not got it yet: a process that daemonises may have been behind another one.
    fn forward_to_rest(&mut self, number: i32) {
        for (pid, root) in self.members.iter().flat_map(Members::roots) {
            if !self.told.contains(&pid) {
                self.told.push(pid);
                if let Err(errno) = process::send_signal_by(&root, number) {
                    log::debug!("signal {number} not forwarded to {pid}: {errno}");
                }
            }
        }
    }

    fn pass_notifications_on(&mut self) {
        let (Some(notify), Some(members)) = (&mut self.notify, &mut self.members) else { return };
        if let Some(main) = notify.pass_on(members)
            && let Err(errno) = send(self.socket.as_raw_fd(), &wire::watch(main), QUIETLY)
        {
            log::debug!("pid 1 was not told of the main process {main}: {errno}");
        }
    }

    /// What pid 1 has said by now.
    fn hear_pid_1(&mut self) {
        while let Some((message, descriptors)) = receive(&self.socket) {
            let Some(message) = message else {
                self.listening = false;
                break;
            };
            match message {
                Message::Ended(ended) => self.report = Some(ended),
                Message::Detached => {
                    self.program = None;
                    if let Action::Forward(number) = self.machine.detached() {
                        self.forward_to_rest(number);
                    }
                }
                Message::Main => self.main_is(descriptors),
                Message::Nobody => eprintln!(
                    "jail: the pid file names no process of the jail: signals go to each that has no parent there\n  \
                     help: [process] main-pid-file is a path inside, which the user of the program must be able to read"
                ),
                Message::MainEnded(status) => {
                    self.report = status.map(|status| Ended { status, left: false });
                    self.stranger = self.program.take().filter(|_| status.is_none());
                    let action = self.machine.main_ended(self.now());
                    self.act(action);
                }
            }
        }
    }

    /// The right to signal any process is not lent to pid 1: what it names must be in the jail.
    fn main_is(&mut self, descriptors: Vec<OwnedFd>) {
        let main = descriptors.into_iter().next();
        let number = main.as_ref().and_then(process::number);
        match (main, number, &mut self.members) {
            (Some(main), Some(number), Some(members)) if members.has(number) => {
                members.note(number);
                self.program = Some(main);
                self.renamed = Some(number);
            }
            _ => log::debug!("the main process has ended already"),
        }
    }

    /// Pid 1, with which the kernel ends everything in its namespace.
    fn kill(&self) {
        if let Err(errno) = process::send_signal(self.child, libc::SIGKILL) {
            log::warn!("cannot kill the jail: {errno}");
        }
    }

    /// Pid 1 has ended: its report, or else its own status, is the program's.
    fn ended(&mut self, status: i32) -> Outcome {
        // Its last words.
        self.pass_notifications_on();
        self.hear_pid_1();
        // By now nobody is left who could have kept it from being reaped.
        if let Some(Ok(status)) = self.stranger.as_ref().map(process::status_of) {
            return outcome(status);
        }
        let Some(report) = self.report else { return outcome(status) };
        let outcome = outcome(report.status);
        if report.left && outcome == Outcome::Exited(0) {
            eprintln!(
                "jail: the program ended while processes that it had started still ran; they were ended with it\n  \
                 help: if it is a daemon, tell it to stay in the foreground (nginx: -g 'daemon off;'), or write [process] forking = true"
            );
        }
        outcome
    }
}

const QUIETLY: MsgFlags = MsgFlags::MSG_DONTWAIT.union(MsgFlags::MSG_NOSIGNAL);

/// The next message of pid 1 and what came with it; no message: it has ended, or says what it never
/// does. `None` if nothing has come.
fn receive(socket: &OwnedFd) -> Option<(Option<Message>, Vec<OwnedFd>)> {
    let mut buffer = [0u8; wire::SIZE + 1];
    let (length, descriptors) = receive_with_descriptors(socket, &mut buffer).ok()?;
    Some((wire::message(buffer.get(..length).unwrap_or(&[])), descriptors))
}

fn receive_with_descriptors(socket: &OwnedFd, buffer: &mut [u8]) -> nix::Result<(usize, Vec<OwnedFd>)> {
    let mut slices = [IoSliceMut::new(buffer)];
    let mut space = cmsg_space!([RawFd; 1 + MOST_MOUNTS]);
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let received = recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut space), flags)?;
    let raw = received.cmsgs()?.flat_map(|message| match message {
        ControlMessageOwned::ScmRights(raw) => raw,
        _ => Vec::new(),
    });
    Ok((received.bytes, raw.map(process::take_received).collect()))
}

fn outcome(status: i32) -> Outcome {
    if libc::WIFSIGNALED(status) {
        Outcome::Signaled(libc::WTERMSIG(status))
    } else {
        Outcome::Exited(libc::WEXITSTATUS(status))
    }
}

/// Stdin and stdout belong to the program: a pipe must close when the program closes it. Stderr
/// stays for this process's own messages. The working directory is not held either: it could keep
/// a file system from being unmounted.
fn release_standard_streams() -> nix::Result<()> {
    let null = nix::fcntl::open("/dev/null", nix::fcntl::OFlag::O_RDWR, nix::sys::stat::Mode::empty())?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&null)?;
    nix::unistd::chdir("/")
}

/// Removes the host directories that a failed start has made, last first. Only empty ones: what
/// somebody put there meanwhile is theirs.
pub fn undo(created: &[AbsPath]) {
    for path in created.iter().rev() {
        if let Err(error) = apply::remove_directory(path) {
            let path = printable(path.as_str());
            eprintln!("jail: {path} was made for this start and could not be removed again: {error}");
        }
    }
}

/// The host directories that some steps of a plan make.
pub fn directories(plan: &Plan, created: &[usize]) -> Vec<AbsPath> {
    let path = |step: &usize| match &plan.steps.get(*step)?.step {
        Step::CreateDirectory { path, .. } => Some(path.clone()),
        _ => None,
    };
    created.iter().filter_map(path).collect()
}
