//! Starts the prober, in a jail or outside, and talks to it.
//!
//! Must not know: what is asked, or what an answer means.

use super::{Outcome, Stopped, failed};
use crate::apply::Call;
use crate::plan::Plan;
use crate::sys::{self, process};
use crate::verify::batch::{Batch, Reply, SIZE};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::{dup2_stdin, dup2_stdout, read, write};
use std::os::fd::{AsFd, OwnedFd};

/// A prober that is being talked to. It ends when this is dropped.
pub struct Prober {
    socket: OwnedFd,
    /// The process that was started: the prober itself, or the outer process of its jail.
    pub child: i32,
    /// The filter lets it make children and wait for them.
    pub children: bool,
    /// Our side of the terminal that is its standard output, so that there is one to type into.
    _terminal: OwnedFd,
}

/// There is no answer: the prober is gone, or hangs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Silent(pub Errno);

/// Which of the two processes this is now.
pub enum Side {
    /// The one that talks.
    Observer(Prober),
    /// The one that was to run the jail, with what came of it: it has nothing left to do but to end.
    Jail(Result<Outcome, Stopped>),
}

/// Runs a plan whose last step executes the prober, in a process of its own.
///
/// # Errors
/// Those of socketpair(2) and fork(2). What fails in the jail is told by its process, as by any run.
pub fn start(plan: &Plan) -> nix::Result<Side> {
    let (ours, theirs) = pair()?;
    let terminal = sys::terminal::open_pair(std::io::stdin())?;
    match sys::prober::fork()? {
        0 => {
            drop((ours, terminal.master));
            let placed = dup2_stdin(&theirs).and_then(|()| dup2_stdout(&terminal.slave));
            drop((theirs, terminal.slave));
            let placed = placed.map_err(|errno| Stopped::Step(failed(0, Call::Dup, errno)));
            let held = placed.and_then(|()| super::hold(plan));
            let running = held.and_then(|held| super::start(plan, held, None, None));
            Ok(Side::Jail(running.and_then(super::Running::attend)))
        }
        child => {
            let _terminal = terminal.master;
            Ok(Side::Observer(Prober { socket: ours, child, children: true, _terminal }))
        }
    }
}

/// Starts a prober in no jail, to compare with.
///
/// # Errors
/// Those of memfd_create(2), socketpair(2) and fork(2).
pub fn outside() -> nix::Result<Prober> {
    let (ours, theirs) = pair()?;
    let terminal = sys::terminal::open_pair(std::io::stdin())?;
    let image = sys::prober::image()?;
    let execution = process::Execution::new(vec![c"jail-prober".into()], Vec::new());
    match sys::prober::fork()? {
        0 => {
            if dup2_stdin(&theirs).and_then(|()| dup2_stdout(&terminal.slave)).is_ok() {
                let errno = execution.run_image(image.as_fd());
                log::warn!("cannot execute the prober: {}", errno.desc());
            }
            std::process::exit(crate::problem::Kind::SetUp.code().into())
        }
        child => Ok(Prober { socket: ours, child, children: true, _terminal: terminal.master }),
    }
}

/// A socket that keeps message borders, closed by exec but for the end that becomes descriptor 0.
fn pair() -> nix::Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
}

impl Prober {
    /// Has a batch done, in the prober itself if it cannot be done in a child. Nothing that is asked
    /// takes longer than a moment.
    ///
    /// # Errors
    /// No answer, or none to this.
    pub fn ask(&self, batch: &Batch) -> Result<Reply, Silent> {
        let message = batch.encode(self.children).ok_or(Silent(Errno::EMSGSIZE))?;
        write(&self.socket, &message).map_err(Silent)?;
        let mut waiting = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        loop {
            match poll(&mut waiting, PollTimeout::from(20_000u16)) {
                Ok(0) => return Err(Silent(Errno::ETIMEDOUT)),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Silent(errno)),
                Ok(_) => break,
            }
        }
        let mut answer = vec![0; SIZE];
        let length = read(&self.socket, &mut answer).map_err(Silent)?;
        let answer = answer.get(..length).unwrap_or(&[]);
        batch.decode(answer).ok_or(Silent(Errno::EPIPE))
    }

    /// Kills the process that was started, and waits for its end.
    ///
    /// # Errors
    /// Those of kill(2) and waitpid(2).
    pub fn kill(&self) -> nix::Result<()> {
        process::send_signal(self.child, libc::SIGKILL)?;
        process::wait_for(self.child, true).map(|_| ())
    }

    /// Lets go of it and waits for its exit status; `None` if a signal ended it.
    ///
    /// # Errors
    /// Those of waitpid(2).
    pub fn finish(self) -> nix::Result<Option<i32>> {
        let Prober { socket, child, .. } = self;
        drop(socket);
        let status = process::wait_for(child, true)?.unwrap_or(0);
        Ok(libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)))
    }
}
