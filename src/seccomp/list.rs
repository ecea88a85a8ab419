//! The list of a spec, `["@service", "@setuid", "-@aio"]`, resolved to a policy.
//!
//! Must not know: BPF.
//!
//! - `@group` and `name` allow, `-@group` and `-name` take away; a leading `+` may be written.
//! - A name without `@` is a call; if there is none of that name, and a group of it, the group is meant
//!   (`io_uring`).
//! - They are applied in the order of writing, to `@core`; a list that only takes away, or is empty,
//!   starts from `@service`. What is not in the list can be taken away all the same: `-@debug` holds
//!   whatever an included list adds before it.
//! - A spec is portable: calls of x86_64 that newer architectures never had (`open` on aarch64) can
//!   be named everywhere and mean nothing where they do not exist.
#![forbid(unsafe_code)]

use std::borrow::Cow;

use super::calls::{self, CallSet, Named};
use super::groups::{CORE, REVIEWED, SERVICE, group, groups};
use super::policy::Policy;
use crate::problem::{At, Problem, Problems, did_you_mean};

/// Resolves a list.
///
/// # Errors
/// All of: unknown groups and calls, removals from `@core`, removals that stand before everything
/// they could take from.
pub fn resolve(list: &[At<String>]) -> Result<Policy, Problems> {
    let mut problems = Problems::default();
    let entries: Vec<_> = list.iter().map(|written| (written, Entry::parse(&written.value))).collect();
    let from_service = !entries.iter().any(|(_, e)| e.allow);
    let mut allowed = if from_service { SERVICE.set() } else { CORE.set() };
    let mut text = String::from(if from_service { SERVICE.name } else { "" });
    let mut nothing_yet = !from_service;
    for (written, entry) in &entries {
        match entry.check(nothing_yet) {
            Ok(set) if entry.allow => allowed = allowed.union(set),
            Ok(set) => allowed = allowed.minus(set),
            Err(problem) => problems.push(problem.at(written.at)),
        }
        nothing_yet &= !entry.allow;
        if !text.is_empty() {
            text.push(' ');
        }
        if !entry.allow {
            text.push('-');
        }
        text += entry.written();
    }
    problems.none_or(Policy::new(Cow::Owned(text), allowed))
}

/// One entry of a list.
struct Entry<'a> {
    allow: bool,
    name: &'a str,
}

impl<'a> Entry<'a> {
    fn parse(text: &'a str) -> Entry<'a> {
        match text.strip_prefix('-') {
            Some(name) => Entry { allow: false, name },
            None => Entry { allow: true, name: text.strip_prefix('+').unwrap_or(text) },
        }
    }

    /// The calls meant, if the entry may stand where it does.
    fn check(&self, nothing_yet: bool) -> Result<CallSet, Box<Problem>> {
        let set = self.calls()?;
        let name = self.name;
        let core = set.common(CORE.set());
        if !self.allow && !core.is_empty() {
            let what = if name.starts_with('@') { "calls" } else { "a call" };
            let what =
                format!("-{name} would take away {what} that the jail itself needs to execute the program");
            let help = "leave it out: @core is part of every list; jail help @core shows its calls";
            return Err(Problem::usage(what).help(help).into());
        }
        if !self.allow && nothing_yet {
            let what = format!("-{name} stands before every entry that it could take from");
            let help = "entries are applied in the order of writing: move it to the end";
            return Err(Problem::usage(what).help(help).into());
        }
        Ok(set)
    }

    fn calls(&self) -> Result<CallSet, Box<Problem>> {
        if self.name.starts_with('@') {
            return group(self.name).map(|g| g.set()).ok_or_else(|| self.unknown_group().into());
        }
        match calls::find(self.name) {
            Some(Named::Number(number)) => Ok(CallSet::EMPTY.with(number)),
            Some(Named::Elsewhere) => Ok(CallSet::EMPTY),
            None => group(self.name).map(|g| g.set()).ok_or_else(|| self.unknown_call().into()),
        }
    }

    /// As the summary calls it.
    fn written(&self) -> &'a str {
        match group(self.name) {
            Some(group) if self.name.starts_with('@') || calls::find(self.name).is_none() => group.name,
            _ => self.name,
        }
    }

    fn unknown_group(&self) -> Problem {
        let problem = Problem::usage(format!("there is no group of system calls named {}", self.name));
        let names = groups().iter().map(|g| g.name);
        let bare = self.name.trim_start_matches('@');
        if calls::find(bare).is_some() {
            return problem.help(format!("{bare} is a single call: write it without the @"));
        }
        match did_you_mean(self.name, names.clone()) {
            Some(near) => problem.help(format!("did you mean {near}?")),
            None => problem.help(format!("the groups are {}", names.collect::<Vec<_>>().join(" "))),
        }
    }

    fn unknown_call(&self) -> Problem {
        let name = self.name;
        if name.is_empty() {
            return Problem::usage("an entry of the list of system calls names nothing")
                .help("write a group (@service) or a call (chroot), after a - to take it away");
        }
        let what = format!("Linux {REVIEWED} has no system call named {name}");
        let problem = Problem::usage(what);
        match did_you_mean(name, calls::all_names()) {
            Some(near) => problem.help(format!("did you mean {near}?")),
            None => problem.help("write it as the kernel and strace do: openat, not open_at"),
        }
    }
}
