//! A resolved policy, and what it answers to a call.
//!
//! Must not know: the list it was resolved from (but its text), or BPF.
#![forbid(unsafe_code)]

use std::borrow::Cow;

use super::calls::{CallSet, Named, find, native};
use super::conditions::{Applies, CONDITIONED, CONDITIONS, Condition, EAFNOSUPPORT, ENOSYS, EPERM, Test};
use super::families::Families;
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
    /// The whole process is killed.
    Kill,
    /// Allowed, and logged.
    Log,
}

/// What becomes of a call with given arguments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The kernel does it, or refuses it for its own reasons.
    Kernel,
    /// The filter answers this errno.
    Errno(i32),
    /// The process is killed.
    Kill,
}

/// What is done about a call that is refused. It takes the place of EPERM; answers that tell a program
/// to do without (ENOSYS of a call newer than the list, EAFNOSUPPORT of a family) stay as they are,
/// because libc asks for what there is in this way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// It fails with EPERM.
    Errno,
    /// It kills the process with SIGSYS, and so does a call through another entry.
    Kill,
    /// It is done, and logged: the list is no wall any more. Other entries stay closed.
    Log,
}

impl Policy {
    pub(super) const fn new(written: Cow<'static, str>, allowed: CallSet) -> Policy {
        Policy { written, rules: Rules { allowed, ..Rules::SERVICE } }
    }

    /// The socket families that may be made; [`Families::DEFAULT`] unless said.
    #[must_use]
    pub fn socket_families(mut self, families: Families) -> Policy {
        self.rules.families = families;
        self
    }

    /// What is done about a refused call; [`Action::Errno`] unless said.
    #[must_use]
    pub fn action(mut self, action: Action) -> Policy {
        self.rules.action = action;
        self
    }

    /// Whether memory that was made writable can be made executable: the fallback for kernels
    /// before 6.3, which have no PR_SET_MDWE. Off unless asked for.
    #[must_use]
    pub fn deny_write_execute(mut self, deny: bool) -> Policy {
        self.rules.deny_write_execute = deny;
        self
    }

    /// Whether this is what is done about a refused call.
    pub fn is(&self, action: Action) -> bool {
        self.rules.action == action
    }

    /// What a native call of this number is answered.
    pub fn allows(&self, number: u32) -> Verdict {
        match self.rules.decide(number) {
            Decision::Allow => Verdict::Allow,
            Decision::Refuse(EPERM) if self.rules.action == Action::Kill => Verdict::Kill,
            Decision::Refuse(EPERM) if self.rules.action == Action::Log => Verdict::Log,
            Decision::Refuse(errno) => Verdict::Errno(errno.into()),
            Decision::Test(i) => match CONDITIONS.get(usize::from(i)) {
                Some(condition) => Verdict::Conditional(condition.name),
                None => Verdict::Errno(EPERM.into()),
            },
        }
    }

    /// What a native call with these arguments is answered.
    pub fn answer(&self, number: u32, arguments: [u64; 6]) -> Answer {
        let refused = match self.rules.decide(number) {
            Decision::Allow => None,
            Decision::Refuse(errno) => Some(errno),
            Decision::Test(i) => match CONDITIONS.get(usize::from(i)) {
                Some(condition) => condition.answer(arguments, self.rules.families),
                None => Some(EPERM),
            },
        };
        match (refused, self.rules.action) {
            (None, _) | (Some(EPERM), Action::Log) => Answer::Kernel,
            (Some(EPERM), Action::Kill) => Answer::Kill,
            (Some(errno), _) => Answer::Errno(errno.into()),
        }
    }

    /// For a call that is allowed on a condition: which argument it tests, and values that it tells
    /// apart.
    pub fn samples(&self, number: u32) -> Option<(usize, Vec<u32>)> {
        match self.rules.decide(number) {
            Decision::Test(i) => CONDITIONS.get(usize::from(i)).map(Condition::samples),
            _ => None,
        }
    }

    /// Whether the call of this name is on the list, be it on a condition.
    pub fn allows_named(&self, name: &str) -> bool {
        matches!(find(name), Some(Named::Number(number)) if self.lists(number))
    }

    fn lists(&self, number: u32) -> bool {
        matches!(self.allows(number), Verdict::Allow | Verdict::Conditional(_))
    }

    /// How many calls are on the list, on a condition or without.
    pub fn count_allowed(&self) -> usize {
        CallSet::KNOWN.numbers().filter(|n| self.lists(*n)).count()
    }

    /// One line: `@service: 262 calls allowed, EPERM else; conditions: clone ioctl`, and the families
    /// of sockets if any can be made.
    pub fn summary(&self) -> String {
        let mut conditions: Vec<_> = CONDITIONS
            .iter()
            .filter(|c| self.allows(c.call) == Verdict::Conditional(c.name))
            .map(|c| c.name)
            .collect();
        conditions.dedup();
        let otherwise = match self.rules.action {
            Action::Errno => "EPERM else",
            Action::Kill => "killed else",
            Action::Log => "all others logged and done",
        };
        let mut line = format!("{}: {} calls allowed, {otherwise}", self.written, self.count_allowed());
        if !conditions.is_empty() {
            line += &format!("; conditions: {}", conditions.join(" "));
        }
        if conditions.contains(&"socket") {
            line += &format!("; sockets: {}", self.rules.families.names().join(" "));
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
    /// Families of the sockets that can be made.
    pub families: Families,
    /// What takes the place of EPERM.
    pub action: Action,
}

/// What is done with a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Allow, whatever the arguments.
    Allow,
    /// Answer this errno; the policy's action, if it is EPERM.
    Refuse(u16),
    /// Look at an argument: the index in [`CONDITIONS`].
    Test(u8),
}

impl Rules {
    /// The default list's.
    pub const SERVICE: Rules = Rules {
        allowed: SERVICE.set(),
        deny_write_execute: false,
        families: Families::DEFAULT,
        action: Action::Errno,
    };

    /// What is done with a native number.
    pub const fn decide(&self, number: u32) -> Decision {
        let namespaces = self.allowed.contains(native::unshare as u32);
        // Not EPERM, also when it is not allowed: libc falls back to clone on ENOSYS only.
        if number == native::clone3 as u32 && !(namespaces && self.allowed.contains(number)) {
            return Decision::Refuse(ENOSYS);
        }
        if self.kills() && is_x32(number) {
            return Decision::Refuse(EPERM);
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
                return match condition.test {
                    Test::Family if self.families.is_empty() => Decision::Refuse(EAFNOSUPPORT),
                    _ => Decision::Test(i as u8),
                };
            }
            i += 1;
        }
        Decision::Allow
    }

    /// Whether what is refused is killed.
    pub const fn kills(&self) -> bool {
        matches!(self.action, Action::Kill)
    }
}

/// Where the numbers of x32 begin, which x86_64 has as a second entry (`__X32_SYSCALL_BIT`).
pub(super) const X32: u32 = 0x4000_0000;

/// Whether a number can only be meant for x32.
pub(super) const fn is_x32(number: u32) -> bool {
    cfg!(target_arch = "x86_64") && number >= X32
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
