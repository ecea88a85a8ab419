//! Relays a pseudo-terminal: the program has a terminal of its own, and what it could push into its
//! input (TIOCSTI) ends there, not in the caller's shell.
//!
//! Must not know: who is at either end. Nothing here waits: a side that takes no more must not keep
//! the outer process from its signals.

use crate::sys::terminal;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::Termios;
use std::io::{IsTerminal, stdin};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How long the last output may take once the program has ended, in milliseconds: a terminal that
/// nobody reads must not keep the jail's end from its caller.
const LAST_OUTPUT: u16 = 2000;

/// The outer process's side of the program's terminal.
pub struct Relay {
    /// Does not block.
    master: OwnedFd,
    /// The caller's terminal, to write to. Does not block, if it could be opened anew.
    screen: OwnedFd,
    before: Option<Termios>,
    input: Flow,
    output: Flow,
}

/// One direction.
#[derive(Default)]
struct Flow {
    /// Was read and is not yet written; only when it is empty more is read.
    pending: Vec<u8>,
    /// The source has ended, or the sink is gone.
    closed: bool,
}

impl Relay {
    /// A new terminal for a program, and the program's side of it; `None` if standard input is no
    /// terminal. Of the size of the caller's.
    ///
    /// # Errors
    /// Those of [`terminal::open_pair`] and of [`Relay::new`].
    pub fn open() -> nix::Result<Option<(Self, OwnedFd)>> {
        if !stdin().is_terminal() {
            return Ok(None);
        }
        let pair = terminal::open_pair(stdin())?;
        Ok(Some((Relay::new(pair.master)?, pair.slave)))
    }

    /// Changes nothing of the caller's terminal yet.
    ///
    /// # Errors
    /// Those of fcntl(2): EMFILE.
    pub fn new(master: OwnedFd) -> nix::Result<Self> {
        terminal::do_not_block(&master)?;
        let screen = terminal::open_again()?;
        Ok(Relay { master, screen, before: None, input: Flow::default(), output: Flow::default() })
    }

    /// Puts the caller's terminal in raw mode, so that keys like Ctrl-C go to the program's terminal:
    /// once the program runs, and whenever the caller's shell continues this process.
    pub fn take(&mut self) {
        match terminal::make_raw(stdin()) {
            Ok(before) => self.before = Some(before),
            Err(errno) => log::warn!("raw mode: {errno}"),
        }
        self.resize();
    }

    /// The caller's terminal as it was.
    pub fn give_back(&mut self) {
        if let Some(before) = self.before.take()
            && let Err(errno) = terminal::restore(stdin(), &before)
        {
            log::warn!("cannot restore the terminal: {errno}");
        }
    }

    /// What to wait for.
    pub fn waiting(&self) -> impl Iterator<Item = PollFd<'_>> {
        let keys = terminal::standard_input();
        let input = self.input.wants(keys, self.master.as_fd());
        let output = self.output.wants(self.master.as_fd(), self.screen.as_fd());
        input.into_iter().chain(output)
    }

    /// Moves what can be moved now, in both directions.
    pub fn copy(&mut self) {
        self.input.advance(terminal::standard_input(), self.master.as_fd());
        self.output.advance(self.master.as_fd(), self.screen.as_fd());
    }

    /// Follows a change of the caller's window.
    pub fn resize(&self) {
        let changed = terminal::size(&stdin()).and_then(|size| terminal::set_size(&self.master, size));
        if let Err(errno) = changed {
            log::debug!("window size: {errno}");
        }
    }

    /// The last output, then the caller's terminal as it was.
    pub fn finish(&mut self) {
        let timeout = PollTimeout::from(LAST_OUTPUT);
        loop {
            let moved = self.output.advance(self.master.as_fd(), self.screen.as_fd());
            let stuck = !self.output.pending.is_empty() && {
                let mut screen = [PollFd::new(self.screen.as_fd(), PollFlags::POLLOUT)];
                !matches!(poll(&mut screen, timeout), Ok(n) if n > 0)
            };
            if stuck || (!moved && self.output.pending.is_empty()) {
                break;
            }
        }
        self.give_back();
    }
}

/// In the process that becomes the program: its terminal replaces the caller's on those of 0-2 that are
/// a terminal.
///
/// # Errors
/// Those of dup2(2).
pub fn take_streams(terminal: &OwnedFd) -> nix::Result<()> {
    if stdin().is_terminal() {
        nix::unistd::dup2_stdin(terminal)?;
    }
    if std::io::stdout().is_terminal() {
        nix::unistd::dup2_stdout(terminal)?;
    }
    if std::io::stderr().is_terminal() {
        nix::unistd::dup2_stderr(terminal)?;
    }
    Ok(())
}

impl Flow {
    /// More from the source, or room in the sink.
    fn wants<'a>(&self, from: BorrowedFd<'a>, to: BorrowedFd<'a>) -> Option<PollFd<'a>> {
        match (self.closed, self.pending.is_empty()) {
            (true, _) => None,
            (false, true) => Some(PollFd::new(from, PollFlags::POLLIN)),
            (false, false) => Some(PollFd::new(to, PollFlags::POLLOUT)),
        }
    }

    /// One read if nothing is pending, one write if something is; whether anything moved. (EIO of a
    /// read: the program's side is closed.)
    fn advance(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> bool {
        let mut moved = false;
        if self.pending.is_empty() && !self.closed && terminal::ready(from, PollFlags::POLLIN) {
            let mut buffer = [0u8; 4096];
            match nix::unistd::read(from, &mut buffer) {
                Ok(n @ 1..) => {
                    self.pending.extend_from_slice(buffer.get(..n).unwrap_or(&[]));
                    moved = true;
                }
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Ok(_) | Err(_) => self.closed = true,
            }
        }
        if !self.pending.is_empty() && terminal::ready(to, PollFlags::POLLOUT) {
            match nix::unistd::write(to, &self.pending) {
                Ok(n) => {
                    self.pending.drain(..n);
                    moved = true;
                }
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(_) => {
                    self.pending.clear();
                    self.closed = true;
                }
            }
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::OFlag;
    use nix::unistd::{pipe2, read, write};

    #[test]
    fn a_full_sink_is_waited_for_not_written_to() {
        let (source, keys) = pipe2(OFlag::O_NONBLOCK).unwrap();
        let (screen, sink) = pipe2(OFlag::O_NONBLOCK).unwrap();
        while write(&sink, &[b'x'; 4096]).is_ok() {}
        let mut flow = Flow::default();
        write(&keys, b"typed").unwrap();
        assert!(flow.advance(source.as_fd(), sink.as_fd()), "read");
        assert!(!flow.advance(source.as_fd(), sink.as_fd()), "stuck");
        let wants = flow.wants(source.as_fd(), sink.as_fd()).unwrap();
        assert_eq!(wants.events(), PollFlags::POLLOUT);
        let mut buffer = [0; 1 << 20];
        while read(&screen, &mut buffer).is_ok() {}
        assert!(flow.advance(source.as_fd(), sink.as_fd()), "written");
        assert_eq!(read(&screen, &mut buffer), Ok(5));
        assert_eq!(flow.wants(source.as_fd(), sink.as_fd()).unwrap().events(), PollFlags::POLLIN);
    }

    #[test]
    fn either_end_closes_a_flow() {
        let (source, keys) = pipe2(OFlag::O_NONBLOCK).unwrap();
        let (screen, sink) = pipe2(OFlag::O_NONBLOCK).unwrap();
        let mut flow = Flow::default();
        drop(keys);
        assert!(!flow.advance(source.as_fd(), sink.as_fd()));
        assert!(flow.closed && flow.wants(source.as_fd(), sink.as_fd()).is_none());
        let (source, keys) = pipe2(OFlag::O_NONBLOCK).unwrap();
        let mut flow = Flow::default();
        drop(screen);
        write(&keys, b"typed").unwrap();
        flow.advance(source.as_fd(), sink.as_fd());
        assert!(flow.closed && flow.pending.is_empty());
    }
}
