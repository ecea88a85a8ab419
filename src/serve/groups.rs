//! The control groups of a jail, as the process outside sees them: what it does before they are made,
//! and once the last process has left them.
//!
//! Must not know: what is limited, or how a group is made.

use crate::apply::{self, Failure, State, cgroup};
use crate::jail::limits::Write;
use crate::jail::path::AbsPath;
use crate::plan::{Plan, Step};
use crate::sys::process;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;
use std::time::Duration;

/// Removes what killed jails have left where this one's groups will be.
pub fn sweep(plan: &Plan) {
    for planned in &plan.steps {
        if let Step::Group(group) | Step::GroupOf { group, .. } = &planned.step {
            cgroup::sweep(&group.base);
        }
    }
}

/// Carries out the one step of the limits that is the outer process's own.
pub fn leave(plan: &Plan, state: &mut State) -> Result<(), Failure> {
    let step = plan.steps.iter().position(|p| matches!(p.step, Step::LeaveGroup { .. }));
    let Some(step) = step else { return Ok(()) };
    apply::run(plan.steps.get(step..=step).unwrap_or(&[]), step, state)
}

/// What was made, without the plan, which a running jail does not keep.
#[derive(Default)]
pub struct Made(Vec<One>);

enum One {
    Group { base: AbsPath, path: AbsPath },
    Leaf { base: AbsPath, leaf: AbsPath, enabled: Vec<Write> },
}

/// Those of these steps of a plan.
pub fn made(plan: &Plan, steps: &[usize]) -> Made {
    let one = |step: &usize| match &plan.steps.get(*step)?.step {
        Step::Group(group) | Step::GroupOf { group, .. } => {
            Some(One::Group { base: group.base.clone(), path: group.path.clone() })
        }
        Step::LeaveGroup { base, leaf } => {
            let enabled = plan.steps.iter().filter_map(|p| match &p.step {
                Step::Group(group) | Step::GroupOf { group, .. } if group.base == *base => Some(&group.above),
                _ => None,
            });
            let enabled = enabled.flatten().cloned().collect();
            Some(One::Leaf { base: base.clone(), leaf: leaf.clone(), enabled })
        }
        _ => None,
    };
    Made(steps.iter().filter_map(one).collect())
}

impl Made {
    /// Removes them, last first.
    pub fn end(&self) {
        for one in self.0.iter().rev() {
            match one {
                One::Group { base, path } => {
                    if let Err(errno) = cgroup::remove(base, path) {
                        log::warn!(
                            "the group {path} could not be removed: {}; a later start tries again",
                            errno.desc()
                        );
                    }
                }
                One::Leaf { base, leaf, enabled } => cgroup::come_back(base, leaf, enabled),
            }
        }
    }

    /// Waits until they are empty, and removes them. For a process outside them.
    pub fn keep(&self) {
        for one in &self.0 {
            if let One::Group { path, .. } = one {
                wait_until_empty(path);
            }
        }
        self.end();
    }
}

/// One process after the other is waited for, until there is none: version 1 has no other news of an
/// empty group.
fn wait_until_empty(group: &AbsPath) {
    const PAUSE: Duration = Duration::from_millis(20);
    let first = || -> Option<i32> {
        let list = std::fs::read_to_string(group.join("cgroup.procs").as_str()).ok()?;
        list.lines().next()?.parse().ok()
    };
    while let Some(pid) = first() {
        // The number may be another process's by now, if it is not the first there any more.
        match process::descriptor(pid) {
            Ok(member) if first() == Some(pid) => {
                let mut waiting = [PollFd::new(member.as_fd(), PollFlags::POLLIN)];
                if !matches!(poll(&mut waiting, PollTimeout::NONE), Ok(_) | Err(Errno::EINTR)) {
                    std::thread::sleep(PAUSE);
                }
                // It has ended: its place in the group is free a moment after.
                if first() == Some(pid) {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            // One of an outer pid namespace has the number 0 here.
            _ => std::thread::sleep(PAUSE),
        }
    }
}
