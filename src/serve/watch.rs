//! What limits do to a jail while it runs: the outer process hears of it, says it, and runs hooks.
//!
//! Must not know: how a limit is set. The kernel tells of version 2, and of tasks in version 1, by a
//! change of a file (inotify(7)); of memory in version 1 by an eventfd(2).

use crate::host::usage::{self, Usage};
use crate::jail::limits::{Hooks, Version};
use crate::plan::{Plan, Step};
use crate::record::{self, Group};
use nix::poll::{PollFd, PollFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::{CWD, Mode, OFlags};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};

/// Milliseconds between two looks at the use of memory.
const LOOK: u64 = 1000;

/// Milliseconds within which the same is not said, and no hook run, a second time.
const REST: u64 = 10_000;

/// The limits of one running jail.
pub struct Watch {
    name: String,
    groups: Vec<Group>,
    hooks: Hooks,
    descriptors: Vec<OwnedFd>,
    killed: u64,
    refused: u64,
    oom: Limiter,
    tasks: Limiter,
    memory: Limiter,
    above: bool,
    looked: u64,
    children: Vec<Child>,
}

/// Lets something happen once in a while.
#[derive(Default)]
struct Limiter(Option<u64>);

impl Limiter {
    fn may(&mut self, now: u64) -> bool {
        let may = self.0.is_none_or(|last| now >= last + REST);
        if may {
            self.0 = Some(now);
        }
        may
    }
}

impl Watch {
    /// Of the jail of a plan, whose groups are made; `None`: it has none.
    pub fn new(plan: &Plan) -> Option<Self> {
        if !plan.steps.iter().any(|p| matches!(p.step, Step::Group(_))) {
            return None;
        }
        let groups = record::groups(plan);
        let descriptors = match subscribe(&groups) {
            Ok(descriptors) => descriptors,
            Err(errno) => {
                // The limits hold all the same.
                log::warn!("what the limits of {} do will be noticed at its end only: {errno}", plan.name);
                Vec::new()
            }
        };
        let before = usage::of(&groups);
        Some(Watch {
            name: plan.name.clone(),
            groups,
            hooks: plan.hooks.clone(),
            descriptors,
            killed: before.killed,
            refused: before.refused,
            oom: Limiter::default(),
            tasks: Limiter::default(),
            memory: Limiter::default(),
            above: false,
            looked: 0,
            children: Vec::new(),
        })
    }

    /// What it waits for.
    pub fn waiting(&self) -> impl Iterator<Item = PollFd<'_>> {
        self.descriptors.iter().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN))
    }

    /// When it wants to look by itself: milliseconds.
    pub fn wait(&self, now: u64) -> Option<u64> {
        self.hooks.memory.as_ref().map(|_| (self.looked + LOOK).saturating_sub(now))
    }

    /// Looks, if there is something to look at. Never blocks.
    pub fn attend(&mut self, now: u64) {
        self.children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        let mut told = false;
        for descriptor in &self.descriptors {
            let mut buffer = [0u8; 4096];
            while nix::unistd::read(descriptor, &mut buffer).is_ok_and(|n| n > 0) {
                told = true;
            }
        }
        let due = self.wait(now) == Some(0);
        if told || due {
            self.looked = now;
            self.look(now);
        }
    }

    /// What has happened since the last look.
    pub fn look(&mut self, now: u64) {
        let usage = usage::of(&self.groups);
        if usage.killed > self.killed {
            self.killed = usage.killed;
            let cause = usage.cause().unwrap_or_default();
            if self.oom.may(now) {
                log::warn!("{}: {cause}", self.name);
                self.run(self.hooks.oom.clone(), &cause);
            }
        }
        if usage.refused > self.refused {
            self.refused = usage.refused;
            if self.tasks.may(now) {
                let limit = usage.tasks.and_then(|tasks| tasks.limit).unwrap_or_default();
                log::warn!("{}: no more processes or threads: tasks limit {limit}", self.name);
            }
        }
        self.look_at_memory(&usage, now);
    }

    fn look_at_memory(&mut self, usage: &Usage, now: u64) {
        let Some((above, command)) = self.hooks.memory.clone() else { return };
        let used = usage.memory.map_or(0, |memory| memory.used);
        let is_above = used > above;
        if is_above && !self.above && self.memory.may(now) {
            let cause =
                format!("memory {} is above {}", usage::rounded(used), crate::plan::print::bytes(above));
            log::warn!("{}: {cause}", self.name);
            self.run(command, &cause);
        }
        self.above = is_above;
    }

    /// Runs a hook outside, as who runs jail. It has what this process has not: root's capabilities come
    /// back by the exec.
    fn run(&mut self, command: Vec<String>, cause: &str) {
        let Some((program, arguments)) = command.split_first() else { return };
        let mut hook = Command::new(program);
        hook.args(arguments).env("JAIL_NAME", &self.name).env("JAIL_CAUSE", cause);
        match hook.stdin(Stdio::null()).spawn() {
            Ok(child) => self.children.push(child),
            Err(error) => log::warn!("cannot run the hook {program}: {error}"),
        }
    }
}

/// A descriptor for each kind of news.
fn subscribe(groups: &[Group]) -> rustix::io::Result<Vec<OwnedFd>> {
    let mut descriptors = Vec::new();
    let changes = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    for group in groups {
        let has = |name: &str| group.controllers.iter().any(|c| c == name);
        if has("pids") {
            watch(&changes, &format!("{}/pids.events", group.path))?;
        }
        match group.version {
            Version::Two if has("memory") => watch(&changes, &format!("{}/memory.events", group.path))?,
            Version::One if has("memory") => descriptors.push(out_of_memory(&group.path)?),
            _ => {}
        }
    }
    descriptors.push(changes);
    Ok(descriptors)
}

/// A kernel without the file counts nothing there.
fn watch(changes: &OwnedFd, file: &str) -> rustix::io::Result<()> {
    match inotify::add_watch(changes, file, WatchFlags::MODIFY) {
        Ok(_) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Documentation/admin-guide/cgroup-v1/memory.rst, section 10.
fn out_of_memory(group: &str) -> rustix::io::Result<OwnedFd> {
    let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let open = |file: &str, flags| {
        rustix::fs::openat(CWD, format!("{group}/{file}"), flags | OFlags::CLOEXEC, Mode::empty())
    };
    let of = open("memory.oom_control", OFlags::RDONLY)?;
    let control = open("cgroup.event_control", OFlags::WRONLY)?;
    rustix::io::write(&control, format!("{} {}", event.as_raw_fd(), of.as_raw_fd()).as_bytes())?;
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::{Limiter, REST};

    #[test]
    fn the_same_happens_once_in_a_while() {
        let mut limiter = Limiter::default();
        let happened: Vec<bool> = [0, 1, REST - 1, REST, REST + 1].map(|now| limiter.may(now)).into();
        assert_eq!(happened, [true, false, false, true, false]);
    }
}
