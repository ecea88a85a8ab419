//! A resolved policy, and what it answers to a call.
//!
//! Must not know: the list it was resolved from (but its text), or BPF.
#![forbid(unsafe_code)]

use std::borrow::Cow;

use super::calls::{CallSet, Named, find, native};
use super::conditions::{Applies, CONDITIONED, CONDITIONS, ENOSYS, EPERM};
use super::groups::SERVICE;

/// Which calls a program may make.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// The list, for people.
    written: Cow<'static, str>,
    /// What decides.
    pub(super) rules: Rules,
}

/// What the filter answers to a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Allowed.
    Allow,
    /// Allowed with some arguments: the name in [`super::CONDITIONS`].
    Conditional(&'static str),
    /// Refused with this errno.
    Errno(i32),
}

impl Policy {
    pub(super) const fn new(written: Cow<'static, str>, allowed: CallSet) -> Policy {
        Policy { written, rules: Rules { allowed, deny_write_execute: false } }
    }

    /// Whether memory that was made writable can be made executable: the fallback for kernels
    /// before 6.3, which have no PR_SET_MDWE. Off unless asked for.
    #[must_use]
    pub fn deny_write_execute(mut self, deny: bool) -> Policy {
        self.rules.deny_write_execute = deny;
        self
    }

    /// What a native call of this number is answered.
    pub fn allows(&self, number: u32) -> Verdict {
        match self.rules.decide(number) {
            Decision::Allow => Verdict::Allow,
            Decision::Refuse(errno) => Verdict::Errno(errno.into()),
            Decision::Test(i) => match CONDITIONS.get(i) {
                Some(condition) => Verdict::Conditional(condition.name),
                None => Verdict::Errno(EPERM.into()),
            },
        }
    }

    /// Whether the call of this name may be made, be it on a condition.
    pub fn allows_named(&self, name: &str) -> bool {
        match find(name) {
            Some(Named::Number(number)) => !matches!(self.allows(number), Verdict::Errno(_)),
            _ => false,
        }
    }

    /// How many calls are allowed, on a condition or without.
    pub fn count_allowed(&self) -> usize {
        CallSet::KNOWN.numbers().filter(|n| !matches!(self.allows(*n), Verdict::Errno(_))).count()
    }

    /// One line: `@service: 262 calls allowed, EPERM else; conditions: clone ioctl`.
    pub fn summary(&self) -> String {
        let mut conditions: Vec<_> = CONDITIONS
            .iter()
            .filter(|c| self.allows(c.call) == Verdict::Conditional(c.name))
            .map(|c| c.name)
            .collect();
        conditions.dedup();
        let mut line = format!("{}: {} calls allowed, EPERM else", self.written, self.count_allowed());
        if !conditions.is_empty() {
            line += &format!("; conditions: {}", conditions.join(" "));
        }
        line
    }
}

/// The part of a policy that decides; usable at compile time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// Calls that are allowed, subject to their conditions.
    pub allowed: CallSet,
    /// Whether those conditions are enforced, too.
    pub deny_write_execute: bool,
}

/// What is done with a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Allow, whatever the arguments.
    Allow,
    /// Answer this errno.
    Refuse(u16),
    /// Look at an argument: the index in [`CONDITIONS`].
    Test(usize),
}

impl Rules {
    /// The default list's.
    pub const SERVICE: Rules = Rules { allowed: SERVICE.set(), deny_write_execute: false };

    /// What is done with a native number.
    pub const fn decide(&self, number: u32) -> Decision {
        let namespaces = self.allowed.contains(native::unshare as u32);
        // Not EPERM, also when it is not allowed: libc falls back to clone on ENOSYS only.
        if number == native::clone3 as u32 && !(namespaces && self.allowed.contains(number)) {
            return Decision::Refuse(ENOSYS);
        }
        if !CallSet::KNOWN.contains(number) {
            return Decision::Refuse(ENOSYS);
        }
        if !self.allowed.contains(number) {
            return Decision::Refuse(EPERM);
        }
        let mut i = 0;
        while CONDITIONED.contains(number) && i < CONDITIONS.len() {
            let condition = &CONDITIONS[i];
            let applies = match condition.applies {
                Applies::Always => true,
                Applies::WithoutUnshare => !namespaces,
                Applies::DenyWriteExecute => self.deny_write_execute,
            };
            if condition.call == number && applies {
                return Decision::Test(i);
            }
            i += 1;
        }
        Decision::Allow
    }
}

impl Decision {
    /// Equality, usable at compile time.
    pub const fn same(self, other: Decision) -> bool {
        match (self, other) {
            (Decision::Allow, Decision::Allow) => true,
            (Decision::Refuse(a), Decision::Refuse(b)) => a == b,
            (Decision::Test(a), Decision::Test(b)) => a == b,
            _ => false,
        }
    }
}
