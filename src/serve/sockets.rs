//! The numbers of sockets that are passed in, from before the first step to the program's exec; and
//! the removal of socket files at the end.
//!
//! Must not know: what the sockets are.

use crate::apply::{self, SocketFile};
use crate::plan::build::FIRST_PASSED;
use crate::plan::{Plan, Step};
use crate::sys::descriptors;
use nix::errno::Errno;
use std::os::fd::OwnedFd;

/// What this process holds of the sockets: those that it was given, and place-holders for those
/// that are to be opened. The program has its own; dropped here once it was started, so that a
/// port is free when the program closes it.
#[derive(Default)]
pub struct Held {
    _descriptors: Vec<OwnedFd>,
}

/// Takes hold of the numbers.
///
/// # Errors
/// The step that passes the sockets, and the errno, if the limit of open files is too low.
pub fn hold(plan: &Plan) -> Result<Held, (usize, Errno)> {
    let found = plan.steps.iter().enumerate().rev().find_map(|(index, p)| match &p.step {
        Step::PassSockets { inherited, names } => Some((index, *inherited, names.len())),
        _ => None,
    });
    let Some((step, inherited, all)) = found else { return Ok(Held::default()) };
    let number = |offset: usize| {
        let first = usize::try_from(FIRST_PASSED).unwrap_or(3);
        i32::try_from(first + offset).map_err(|_| (step, Errno::EMFILE))
    };
    let (first, own, end) = (number(0)?, number(inherited)?, number(all)?);
    let mut held: Vec<OwnedFd> = (first..own).map(descriptors::take_inherited).collect();
    held.extend(descriptors::reserve(own, end - own).map_err(|errno| (step, errno))?);
    Ok(Held { _descriptors: held })
}

/// Removes the files of sockets, when nobody is left who could listen on them.
pub fn remove(files: &[SocketFile]) {
    for file in files {
        if let Err(errno) = apply::remove_socket(file) {
            eprintln!("jail: the socket {} could not be removed: {}", file.path(), errno.desc());
        }
    }
}
