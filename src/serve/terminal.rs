//! Relays a pseudo-terminal: the program has a terminal of its own, and what it could push into its
//! input (TIOCSTI) ends there, not in the caller's shell.
//!
//! Must not know: who is at either end.

use crate::sys::terminal;
use nix::poll::{PollFd, PollFlags};
use nix::sys::termios::Termios;
use std::io::{stdin, stdout};
use std::os::fd::{AsFd, OwnedFd};

/// The outer process's side of the program's terminal.
pub struct Relay {
    master: OwnedFd,
    before: Option<Termios>,
    input_open: bool,
    output_open: bool,
}

impl Relay {
    /// Puts the caller's terminal in raw mode: keys like Ctrl-C go to the program's terminal.
    pub fn new(master: OwnedFd) -> Self {
        let before = terminal::make_raw(stdin()).map_err(|e| log::warn!("raw mode: {e}")).ok();
        Relay { master, before, input_open: true, output_open: true }
    }

    /// What to wait for.
    pub fn waiting(&self) -> Vec<PollFd<'_>> {
        let mut waiting = Vec::new();
        if self.output_open {
            waiting.push(PollFd::new(self.master.as_fd(), PollFlags::POLLIN));
        }
        if self.input_open {
            // Descriptor 0 stays open as long as this process lives.
            waiting.push(PollFd::new(crate::sys::terminal::standard_input(), PollFlags::POLLIN));
        }
        waiting
    }

    /// Moves what is there, in both directions, without waiting for more.
    pub fn copy(&mut self) {
        if self.output_open && terminal::readable(self.master.as_fd()) {
            self.output_open = move_some(&self.master, stdout());
        }
        if self.input_open && terminal::readable(stdin().as_fd()) {
            self.input_open = move_some(stdin(), &self.master);
        }
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
        while self.output_open && terminal::readable(self.master.as_fd()) {
            self.output_open = move_some(&self.master, stdout());
        }
        if let Some(before) = self.before.take()
            && let Err(errno) = terminal::restore(stdin(), &before)
        {
            log::warn!("cannot restore the terminal: {errno}");
        }
    }
}

/// One read, written out whole; false at the end (EIO: the program's side is closed).
fn move_some(from: impl AsFd, to: impl AsFd) -> bool {
    let mut buffer = [0u8; 4096];
    let Ok(n) = nix::unistd::read(from.as_fd(), &mut buffer) else { return false };
    let mut rest = buffer.get(..n).unwrap_or(&[]);
    while !rest.is_empty() {
        match nix::unistd::write(to.as_fd(), rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or(&[]),
            Err(_) => return false,
        }
    }
    n > 0
}
