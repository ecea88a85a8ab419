//! `jail stop`, `jail reload`, `jail signal`: what is said to a running jail, through its outer process.
//!
//! Must not know: how the outer process does it.

use super::Ended;
use super::ps::registry;
use crate::host::processes::is_below;
use crate::jail::signals;
use crate::problem::{Problem, Problems};
use crate::registry::living::Running;

use crate::sys::process;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// What the outer process may need beyond the jail's own time to stop.
const GRACE: Duration = Duration::from_secs(5);

/// Stops jails, one after the other has been told. `timeout` takes the place of each spec's own.
pub fn stop(names: &[String], timeout: Option<Duration>) -> Result<Ended, Problems> {
    let jails = running(names)?;
    let mut problems = Problems::default();
    for jail in &jails {
        // In place there is nobody to translate.
        let number =
            if jail.record.processes.outer.is_some() { signals::TERM } else { jail.record.signals.0 };
        told(&jail.leader, number, &jail.record.name).unwrap_or_else(|problem| problems.push(problem));
    }
    let begin = Instant::now();
    for jail in &jails {
        end(jail, begin, timeout).unwrap_or_else(|problem| problems.push(problem));
    }
    // A jail in place has nobody who would clean up after it.
    registry()?.sweep();
    problems.none_or(Ended::SUCCESS)
}

/// Waits for the end of a jail that was told to stop, and kills it if it takes too long.
fn end(jail: &Running, begin: Instant, timeout: Option<Duration>) -> Result<(), Problem> {
    let own = Duration::from_millis(jail.record.stop_timeout);
    let limit = match timeout {
        Some(limit) => Some(limit),
        None if own.is_zero() => None,
        None if jail.record.processes.outer.is_none() => Some(own),
        None => Some(own + GRACE),
    };
    let left = limit.map(|limit| limit.saturating_sub(begin.elapsed()));
    if ended(&jail.leader, left)? {
        return Ok(());
    }
    log::warn!("jail {} did not stop in time; it is killed", jail.record.name);
    // With the outer process everything in the jail's pid namespace ends.
    told(&jail.leader, libc::SIGKILL, &jail.record.name)?;
    if ended(&jail.leader, Some(GRACE))? {
        return Ok(());
    }
    Err(Problem::set_up(format!("jail {} was killed, but has not ended", jail.record.name))
        .help("a process that waits for a disk or a network file system ends when that answers"))
}

/// Whether a process ends in this time; `None`: waits for ever.
fn ended(process: &OwnedFd, limit: Option<Duration>) -> Result<bool, Problem> {
    let deadline = limit.map(|limit| Instant::now() + limit);
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        // Rounded up: woken too early it would be killed too early.
        let wait = left.map_or(PollTimeout::NONE, |left| {
            PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut [PollFd::new(process.as_fd(), PollFlags::POLLIN)], wait) {
            Ok(0) if left.is_some_and(|left| left.is_zero()) => return Ok(false),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(errno) => return Err(Problem::set_up(format!("cannot wait for the jail: {}", errno.desc()))),
        }
    }
}

/// Makes jails reload their configuration.
pub fn reload(names: &[String]) -> Result<Ended, Problems> {
    let mut problems = Problems::default();
    for jail in &running(names)? {
        let number = if jail.record.processes.outer.is_some() { signals::HUP } else { jail.record.signals.1 };
        told(&jail.leader, number, &jail.record.name).unwrap_or_else(|problem| problems.push(problem));
    }
    problems.none_or(Ended::SUCCESS)
}

/// Sends any signal to the program itself.
pub fn signal(name: &str, signal: &str) -> Result<Ended, Problems> {
    let number = signals::number(signal).ok_or_else(|| {
        Problem::usage(format!("there is no signal {signal}"))
            .help("a name as in `kill -l` (HUP, USR1, RTMIN+1), or a number from 1 to 64")
    })?;
    let jail = registry()?.running(name)?;
    match program(&jail)? {
        Some(program) => told(&program, number, name)?,
        // The outer process knows those that the first one has left behind.
        None => told(&jail.leader, number, name)?,
    }
    Ok(Ended::SUCCESS)
}

/// A descriptor of the program; `None` if it has ended and left a daemon. The number may by then be
/// another process's, which is not in the jail.
fn program(jail: &Running) -> Result<Option<OwnedFd>, Problem> {
    let (processes, name) = (&jail.record.processes, &jail.record.name);
    let below =
        |program: &OwnedFd| !process::has_ended(program) && is_below(processes.program, processes.first);
    let program = process::descriptor(processes.program).ok().filter(below);
    if process::has_ended(&jail.leader) {
        return Err(Problem::set_up(format!("the program of jail {name} has just ended")));
    }
    Ok(program)
}

fn running(names: &[String]) -> Result<Vec<Running>, Problems> {
    let registry = registry()?;
    let mut problems = Problems::default();
    let jails =
        names.iter().filter_map(|name| registry.running(name).map_err(|p| problems.push(p)).ok()).collect();
    problems.none_or(jails)
}

fn told(process: &OwnedFd, number: i32, name: &str) -> Result<(), Problem> {
    match process::send_signal_by(process, number) {
        // It has ended meanwhile: what was wanted, or nothing that could still be told.
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => {
            let problem = Problem::set_up(format!("cannot signal jail {name}: {}", errno.desc()));
            Err(if errno == Errno::EPERM {
                problem.help("it is another user's: run this as root")
            } else {
                problem
            })
        }
    }
}
