//! What the outer process does about each event: a pure state machine.
//!
//! ```text
//!            stop signal                 timeout
//!  Running ---------------> Stopping ---------------> Killed
//!     |                        |                        |
//!     +------- program ended --+------------------------+----> (outer exits)
//! ```
//!
//! The program ends with its main process; if that was not the first one, the rest is stopped as well.
//!
//! Must not know: clocks, descriptors, processes.
#![forbid(unsafe_code)]

use crate::plan::Supervision;

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Have pid 1 send this signal to the program.
    Forward(i32),
    /// Stop the program, then this process, as the caller's shell asked (Ctrl-Z).
    Suspend,
    /// Adjust the program's terminal to the size of ours.
    Resize,
    /// End everything in the jail at once.
    Kill,
}

/// The outer process's state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Machine {
    rules: Supervision,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Running,
    Stopping { kill_at: Option<u64> },
    Killed,
}

impl Machine {
    /// A program that was just started.
    pub fn new(rules: Supervision) -> Self {
        Machine { rules, state: State::Running }
    }

    /// A signal came to the outer process at `now` (milliseconds of any steady clock).
    pub fn signal(&mut self, number: i32, now: u64) -> Action {
        match number {
            // Ours: pid 1 changed state. The relayed terminal's own.
            libc::SIGCHLD => Action::Nothing,
            libc::SIGWINCH if self.rules.terminal => Action::Resize,
            // The program is in a session of its own, so the terminal's stop does not reach it.
            libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => Action::Suspend,
            libc::SIGTERM => {
                self.stop(now);
                Action::Forward(self.rules.stop_signal)
            }
            libc::SIGHUP => Action::Forward(self.rules.reload_signal),
            number => {
                // QUIT or INT typed or sent on purpose may be the stop signal itself.
                if number == self.rules.stop_signal {
                    self.stop(now);
                }
                Action::Forward(number)
            }
        }
    }

    /// The first process, or one in its place, has ended and left others, for whom a stop is that it may
    /// not have got.
    pub fn detached(&self) -> Action {
        match self.state {
            State::Stopping { .. } => Action::Forward(self.rules.stop_signal),
            _ => Action::Nothing,
        }
    }

    /// The main process has ended: the rest is to follow.
    pub fn main_ended(&mut self, now: u64) -> Action {
        self.stop(now);
        Action::Forward(self.rules.stop_signal)
    }

    /// The program's surroundings have changed: it gets its reload signal, unless it is to stop.
    pub fn reload(&self) -> Action {
        match self.state {
            State::Running => Action::Forward(self.rules.reload_signal),
            State::Stopping { .. } | State::Killed => Action::Nothing,
        }
    }

    /// Asked again and again, the first deadline holds.
    fn stop(&mut self, now: u64) {
        if self.state == State::Running {
            let timeout = self.rules.stop_timeout;
            let kill_at = (timeout > 0).then(|| now.saturating_add(timeout));
            self.state = State::Stopping { kill_at };
        }
    }

    /// How long to wait for the next event: milliseconds, `None` for ever.
    pub fn wait(&self, now: u64) -> Option<u64> {
        match self.state {
            State::Stopping { kill_at: Some(at) } => Some(at.saturating_sub(now)),
            _ => None,
        }
    }

    /// Time passed.
    pub fn tick(&mut self, now: u64) -> Action {
        match self.state {
            State::Stopping { kill_at: Some(at) } if now >= at => {
                self.state = State::Killed;
                Action::Kill
            }
            _ => Action::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(timeout: u64, terminal: bool) -> Machine {
        Machine::new(Supervision {
            pid_namespace: true,
            stop_signal: libc::SIGQUIT,
            reload_signal: libc::SIGUSR2,
            stop_timeout: timeout,
            terminal,
            forking: false,
        })
    }

    #[test]
    fn term_and_hup_are_translated_the_rest_is_forwarded() {
        let mut m = machine(0, false);
        assert_eq!(m.signal(libc::SIGHUP, 0), Action::Forward(libc::SIGUSR2));
        assert_eq!(m.signal(libc::SIGTERM, 0), Action::Forward(libc::SIGQUIT));
        for number in (1..=64).filter(|n| ![1, 15, 17, 20, 21, 22].contains(n)) {
            assert_eq!(m.signal(number, 0), Action::Forward(number));
        }
        assert_eq!(m.signal(libc::SIGCHLD, 0), Action::Nothing);
        assert_eq!(m.signal(libc::SIGTSTP, 0), Action::Suspend);
    }

    #[test]
    fn window_changes_belong_to_the_relayed_terminal() {
        assert_eq!(machine(0, true).signal(libc::SIGWINCH, 0), Action::Resize);
        assert_eq!(machine(0, false).signal(libc::SIGWINCH, 0), Action::Forward(libc::SIGWINCH));
    }

    #[test]
    fn a_stop_kills_once_its_first_deadline_has_passed() {
        let mut m = machine(5000, false);
        assert_eq!(m.wait(0), None);
        m.signal(libc::SIGTERM, 1000);
        m.signal(libc::SIGTERM, 4000);
        assert_eq!(m.wait(2000), Some(4000));
        assert_eq!(m.tick(5999), Action::Nothing);
        assert_eq!(m.tick(6000), Action::Kill);
        assert_eq!(m.tick(7000), Action::Nothing, "once");
        assert_eq!(m.wait(7000), None);
    }

    #[test]
    fn the_stop_signal_itself_starts_the_clock_too() {
        let mut m = machine(10, false);
        m.signal(libc::SIGQUIT, 0);
        assert_eq!(m.tick(10), Action::Kill);
    }

    #[test]
    fn the_rest_is_stopped_after_the_main_process() {
        let mut m = machine(10, false);
        assert_eq!(m.detached(), Action::Nothing);
        assert_eq!(m.main_ended(5), Action::Forward(libc::SIGQUIT));
        assert_eq!((m.tick(14), m.tick(15)), (Action::Nothing, Action::Kill));
        let mut m = machine(10, false);
        m.signal(libc::SIGTERM, 0);
        assert_eq!(m.detached(), Action::Forward(libc::SIGQUIT), "which the first one had no time for");
        m.main_ended(5);
        assert_eq!(m.tick(10), Action::Kill, "the first deadline holds");
    }

    #[test]
    fn no_timeout_means_never_killed() {
        let mut m = machine(0, false);
        m.signal(libc::SIGTERM, 0);
        assert_eq!(m.wait(0), None);
        assert_eq!(m.tick(u64::MAX), Action::Nothing);
    }
}
