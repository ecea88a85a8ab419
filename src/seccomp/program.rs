//! The compiler from a policy to classic BPF, for seccomp(2).
//!
//! Must not know: names, groups, or how a program is installed.
//!
//! ```text
//! arch != ours            -> ENOSYS (killed if the policy kills, and so is x32)
//! binary search of the number among ranges of equal decision
//!   allowed, refused      -> return; no argument is loaded, so the kernel's table of constant
//!                            answers (since 5.11) makes these calls nearly free
//!   conditional           -> load the low half of one argument, compare, return (for netlink
//!                            sockets of a second one)
//! ```
//!
//! x32's numbers have bit 30 set: they are in the last range, the one of unknown numbers (ENOSYS).
//!
//! Everything is `const`: the program for the default list is computed by the Rust compiler, by the
//! same code that compiles other lists at start.
#![forbid(unsafe_code)]

use super::calls::NUMBERS;
use super::conditions::{CONDITIONS, Condition, ENOSYS, EPERM, EPROTONOSUPPORT, MOST_VALUES, Test};
use super::families::{Families, NETLINK};
use super::policy::{Action, Decision, Policy, Rules, X32};

/// One instruction, in the layout of the kernel's `sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// How many instructions to skip if the comparison is true.
    pub jt: u8,
    /// How many to skip if it is false.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// The program that enforces a policy. A few microseconds; for the default list, a copy.
pub fn compile(policy: &Policy) -> Vec<Instruction> {
    if policy.rules == Rules::SERVICE {
        return SERVICE_PROGRAM.to_vec();
    }
    compile_with_reach(&policy.rules, REACH)
}

/// As [`compile`], with comparisons that skip at most `reach` and a few instructions. Never inlined:
/// the builder's tens of kilobytes would be in the frame of a caller that mostly does not need them,
/// and each page of a new process's stack costs a fault.
#[cold]
#[inline(never)]
pub(super) fn compile_with_reach(rules: &Rules, reach: usize) -> Vec<Instruction> {
    let builder = Builder::build(rules, reach);
    // An empty program, were it possible, is refused by the kernel.
    builder.code.get(CAPACITY - builder.length..).unwrap_or_default().to_vec()
}

/// The program for the default list, compiled ahead.
pub static SERVICE_PROGRAM: &[Instruction] = &{
    const BUILDER: Builder = Builder::build(&Rules::SERVICE, REACH);
    let mut program = [EMPTY; BUILDER.length];
    let mut i = 0;
    while i < BUILDER.length {
        program[i] = BUILDER.code[CAPACITY - BUILDER.length + i];
        i += 1;
    }
    program
};

// Operations: linux/bpf_common.h.
pub(super) const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
pub(super) const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
pub(super) const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
pub(super) const JUMP_IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
pub(super) const JUMP_IF_NOT_LESS: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
pub(super) const RETURN: u16 = 0x06; // BPF_RET | BPF_K

/// SECCOMP_RET_ALLOW.
pub(super) const ALLOW: u32 = 0x7fff_0000;
/// SECCOMP_RET_ERRNO, to be joined with the errno.
pub(super) const ERRNO: u32 = 0x0005_0000;
/// SECCOMP_RET_KILL_PROCESS.
pub(super) const KILL: u32 = 0x8000_0000;
/// SECCOMP_RET_LOG: done, and logged.
pub(super) const LOG: u32 = 0x7ffc_0000;

// Offsets in `struct seccomp_data`; both architectures are little-endian.
pub(super) const NUMBER: u32 = 0;
pub(super) const ARCH: u32 = 4;
pub(super) const ARGUMENTS: u32 = 16;

/// AUDIT_ARCH_X86_64.
#[cfg(target_arch = "x86_64")]
pub(super) const NATIVE_ARCH: u32 = 0xc000_003e;
/// AUDIT_ARCH_AARCH64.
#[cfg(target_arch = "aarch64")]
pub(super) const NATIVE_ARCH: u32 = 0xc000_00b7;

const EMPTY: Instruction = Instruction { code: 0, jt: 0, jf: 0, k: 0 };

/// Instructions that the buffer holds: more than any policy can need, see the assertion.
const CAPACITY: usize = 3072;
/// Ranges of equal decision: each number may be one, and one for all above.
const MAX_RANGES: usize = NUMBERS as usize + 1;
/// A condition: two loads, mask, comparisons, returns.
const MAX_CONDITION: usize = MOST_VALUES + 8;
/// The start: load, compare, return, load, compare, return, jump.
const START: usize = 7;
// A range takes at most a return, a comparison and two long jumps.
const _: () = assert!(START + MAX_RANGES * 4 + CONDITIONS.len() * MAX_CONDITION <= CAPACITY);
const _: () = assert!(CAPACITY <= 4096, "BPF_MAXINSNS");

/// How many instructions a comparison may skip when a few more can still come between; the limit
/// itself is 255.
const REACH: usize = 240;

/// Ranges of numbers with the same decision, ascending; a range ends where the next one starts.
struct Ranges {
    start: [u32; MAX_RANGES],
    decision: [Decision; MAX_RANGES],
    length: usize,
}

impl Ranges {
    const fn of(rules: &Rules) -> Ranges {
        let mut ranges =
            Ranges { start: [0; MAX_RANGES], decision: [rules.decide(0); MAX_RANGES], length: 1 };
        let mut number = 1;
        // Up to and including the first that cannot be known: it stands for all above.
        while number <= NUMBERS {
            let decision = rules.decide(number);
            if !decision.same(ranges.decision[ranges.length - 1]) {
                ranges.start[ranges.length] = number;
                ranges.decision[ranges.length] = decision;
                ranges.length += 1;
            }
            number += 1;
        }
        ranges
    }
}

/// A program that is written from its end, so that the distance of every jump is known when the
/// jump is written. Places are counted from the end: the last instruction is 1.
struct Builder {
    code: [Instruction; CAPACITY],
    length: usize,
    /// The latest place of each return that is shared: allow, EPERM, ENOSYS; 0: none yet.
    returns: [usize; 3],
    /// See [`REACH`].
    reach: usize,
    families: Families,
    action: Action,
}

impl Builder {
    const fn build(rules: &Rules, reach: usize) -> Builder {
        let (families, action) = (rules.families, rules.action);
        let code = [EMPTY; CAPACITY];
        let mut builder = Builder { code, length: 0, returns: [0; 3], reach, families, action };
        let ranges = Ranges::of(rules);
        let search = builder.search(&ranges, 0, ranges.length);
        if search != builder.length {
            builder.jump(search);
        }
        if rules.kills() && cfg!(target_arch = "x86_64") {
            builder.push(RETURN, 0, 0, KILL);
            builder.push(JUMP_IF_NOT_LESS, 0, 1, X32);
        }
        builder.push(LOAD, 0, 0, NUMBER);
        builder.push(RETURN, 0, 0, if rules.kills() { KILL } else { ERRNO | ENOSYS as u32 });
        // Over the return, or into it.
        builder.push(JUMP_IF_EQUAL, 1, 0, NATIVE_ARCH);
        builder.push(LOAD, 0, 0, ARCH);
        builder
    }

    /// Writes the search among the ranges `low..high`, of which there is at least one.
    const fn search(&mut self, ranges: &Ranges, low: usize, high: usize) -> usize {
        if high - low == 1 {
            return match ranges.decision[low] {
                Decision::Allow => self.answer(ALLOW, 0),
                Decision::Refuse(errno) => self.answer(self.refusal(errno), 0),
                Decision::Test(i) => self.test(&CONDITIONS[i]),
            };
        }
        let middle = low + (high - low) / 2;
        let right = self.search(ranges, middle, high);
        let left = self.search(ranges, low, middle);
        let left = self.within_reach(left);
        let right = self.within_reach(right);
        let (jt, jf) = (self.distance(right), self.distance(left));
        self.push(JUMP_IF_NOT_LESS, jt, jf, ranges.start[middle])
    }

    /// Writes a condition: one load, one optional mask, the comparisons.
    const fn test(&mut self, condition: &Condition) -> usize {
        let (values, only) = match condition.test {
            Test::Only(values) => (values, true),
            Test::Not(values) => (values, false),
            Test::Family => return self.family(condition),
        };
        let refuse = self.answer(self.refusal(condition.errno), values.len());
        let allow = self.answer(ALLOW, values.len());
        let (hit, miss) = if only { (allow, refuse) } else { (refuse, allow) };
        let last = self.length;
        let mut i = values.len();
        while i > 0 {
            i -= 1;
            // The last comparison decides; the others go on to the next one.
            let next = if self.length == last { self.distance(miss) } else { 0 };
            let jt = self.distance(hit);
            self.push(JUMP_IF_EQUAL, jt, next, values[i]);
        }
        if condition.mask != !0 {
            self.push(AND, 0, 0, condition.mask);
        }
        self.load(condition.argument)
    }

    /// Writes the condition on a socket's family, of which at least one is allowed, and on the
    /// protocol (the argument after the type) of a netlink socket.
    const fn family(&mut self, condition: &Condition) -> usize {
        let protocol = if self.families.netlink_is_narrow() {
            let refuse = self.answer(self.refusal(EPROTONOSUPPORT), 1);
            let allow = self.answer(ALLOW, 1);
            let (jt, jf) = (self.distance(allow), self.distance(refuse));
            // NETLINK_ROUTE is 0.
            self.push(JUMP_IF_EQUAL, jt, jf, 0);
            self.load(condition.argument + 2)
        } else {
            self.answer(ALLOW, MOST_VALUES)
        };
        let refuse = self.answer(self.refusal(condition.errno), MOST_VALUES);
        let allow = self.answer(ALLOW, MOST_VALUES);
        let last = self.length;
        let mut family = 64;
        while family > 0 {
            family -= 1;
            // The last bits are no families.
            if family >= MOST_VALUES as u32 || !self.families.contains(family) {
                continue;
            }
            let hit = if family == NETLINK { protocol } else { allow };
            let next = if self.length == last { self.distance(refuse) } else { 0 };
            let jt = self.distance(hit);
            self.push(JUMP_IF_EQUAL, jt, next, family);
        }
        self.load(condition.argument)
    }

    const fn load(&mut self, argument: u8) -> usize {
        self.push(LOAD, 0, 0, ARGUMENTS + 8 * argument as u32)
    }

    /// What a refusal returns.
    const fn refusal(&self, errno: u16) -> u32 {
        match (errno, self.action) {
            (EPERM, Action::Kill) => KILL,
            (EPERM, Action::Log) => LOG,
            _ => ERRNO | errno as u32,
        }
    }

    /// A place that returns this value: one that is there and will be near enough when `more`
    /// instructions have been written, or a new one.
    const fn answer(&mut self, value: u32, more: usize) -> usize {
        let shared = [ALLOW, self.refusal(EPERM), self.refusal(ENOSYS)];
        let mut i = 0;
        while i < shared.len() && shared[i] != value {
            i += 1;
        }
        let known = i < shared.len() && self.returns[i] != 0;
        if known && self.length - self.returns[i] + more < self.reach {
            return self.returns[i];
        }
        let place = self.push(RETURN, 0, 0, value);
        if i < shared.len() {
            self.returns[i] = place;
        }
        place
    }

    /// The place itself if a comparison can jump to it, else a long jump to it.
    const fn within_reach(&mut self, place: usize) -> usize {
        if self.length - place < self.reach { place } else { self.jump(place) }
    }

    const fn jump(&mut self, place: usize) -> usize {
        let far = self.length - place;
        self.push(JUMP, 0, 0, far as u32)
    }

    /// Instructions to skip from the one that is written next.
    const fn distance(&self, place: usize) -> u8 {
        let far = self.length - place;
        assert!(far <= 255, "every place passed in is within reach");
        far as u8
    }

    /// Writes an instruction before all others, and returns its place.
    const fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> usize {
        self.length += 1;
        self.code[CAPACITY - self.length] = Instruction { code, jt, jf, k };
        self.length
    }
}
