//! The compiler from a policy to classic BPF, for seccomp(2).
//!
//! Must not know: names, groups, or how a program is installed.
//!
//! ```text
//! arch != ours            -> ENOSYS (killed if the policy kills, and so is x32)
//! search for the number (see `search`)
//!   allowed, refused      -> return; no argument is loaded, so the kernel's table of constant
//!                            answers (since 5.11) makes these calls nearly free
//!   conditional           -> load the low half of one argument, compare, return (for netlink
//!                            sockets of a second one)
//! ```
//!
//! x32's numbers have bit 30 set: they are in the last range, the one of unknown numbers (ENOSYS), or
//! one of their own if they are killed.
//!
//! Everything is `const`: the program for the default list is computed by the Rust compiler, by the
//! same code that compiles other lists at start.
#![forbid(unsafe_code)]

mod arguments;

use std::borrow::Cow;

use super::conditions::{CONDITIONS, ENOSYS, EPERM, MOST_VALUES};
use super::families::Families;
use super::policy::{Action, Decision, Policy, Rules};
use super::search::{Bucket, Buckets, MAX_RANGES, MOST_ODD, Ranges};

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

/// The program that enforces a policy. A few microseconds; for the default list, none.
pub fn compile(policy: &Policy) -> Cow<'static, [Instruction]> {
    if policy.rules == Rules::SERVICE {
        return Cow::Borrowed(SERVICE_PROGRAM);
    }
    Cow::Owned(compile_with_reach(&policy.rules, REACH))
}

/// As [`compile`], with comparisons that skip at most `reach` and a few instructions. Never inlined:
/// the builder would be in the frame of a caller that mostly does not need it, and each page of a new
/// process's stack costs a fault. The buffer that holds every program is five such pages more than
/// the one that holds usual ones.
#[inline(never)]
pub(super) fn compile_with_reach(rules: &Rules, reach: usize) -> Vec<Instruction> {
    let builder = Builder::<USUAL>::build(rules, reach);
    match builder.program() {
        Some(program) => program.to_vec(),
        None => compile_long(rules, reach),
    }
}

#[cold]
#[inline(never)]
fn compile_long(rules: &Rules, reach: usize) -> Vec<Instruction> {
    // An empty program, were it possible, is refused by the kernel.
    Builder::<CAPACITY>::build(rules, reach).program().unwrap_or_default().to_vec()
}

/// The program for the default list, compiled ahead.
pub static SERVICE_PROGRAM: &[Instruction] = &{
    const BUILDER: Builder<USUAL> = Builder::build(&Rules::SERVICE, REACH);
    let mut program = [EMPTY; BUILDER.length];
    let mut i = 0;
    while i < BUILDER.length {
        program[i] = BUILDER.code[USUAL - BUILDER.length + i];
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
pub(super) const JUMP_IF_SET: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
pub(super) const RETURN: u16 = 0x06; // BPF_RET | BPF_K
pub(super) const LOAD_CONSTANT: u16 = 0x00; // BPF_LD | BPF_IMM
pub(super) const COPY_TO_X: u16 = 0x07; // BPF_MISC | BPF_TAX
pub(super) const SHIFT_RIGHT_BY_X: u16 = 0x7c; // BPF_ALU | BPF_RSH | BPF_X

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

/// Instructions that a buffer holds: more than any policy can need, see the assertion.
const CAPACITY: usize = 3072;
/// More than lists of people need.
const USUAL: usize = 512;
/// A condition: two loads, mask, bits, comparisons, returns.
const MAX_CONDITION: usize = MOST_VALUES + 16;
/// The start: load, compare, return, jump, load.
const START: usize = 5;
// A range takes at most a return, a comparison and two long jumps.
const _: () = assert!(START + MAX_RANGES * 4 + CONDITIONS.len() * MAX_CONDITION <= CAPACITY);
const _: () = assert!(CAPACITY <= 4096, "BPF_MAXINSNS");

/// How many instructions a comparison may skip when a few more can still come between; the limit
/// itself is 255.
const REACH: usize = 240;
/// Those few: what a bucket writes besides tests.
const NEAR: usize = 2 * MOST_ODD + 1;
/// The values that a program can return: allow, kill, log, and the errnos of the conditions.
const MAX_RETURNS: usize = 10;

/// A program that is written from its end, so that the distance of every jump is known when the
/// jump is written. Places are counted from the end: the last instruction is 1.
///
/// It goes on when the buffer is full, but then there is no program.
struct Builder<const SIZE: usize> {
    code: [Instruction; SIZE],
    length: usize,
    /// The latest place of each value that is returned; 0: none yet.
    returns: [(u32, usize); MAX_RETURNS],
    /// The latest place of the comparisons of each condition, and of the load before them.
    conditions: [Option<Written>; CONDITIONS.len()],
    /// See [`REACH`].
    reach: usize,
    families: Families,
    action: Action,
}

/// A condition in the program.
#[derive(Clone, Copy)]
struct Written {
    load: usize,
    comparisons: usize,
}

impl<const SIZE: usize> Builder<SIZE> {
    const fn build(rules: &Rules, reach: usize) -> Self {
        let (families, action) = (rules.families, rules.action);
        let (code, returns, conditions) = ([EMPTY; SIZE], [(0, 0); MAX_RETURNS], [None; CONDITIONS.len()]);
        let mut builder = Builder { code, length: 0, returns, conditions, reach, families, action };
        let ranges = Ranges::of(rules);
        let buckets = Buckets::of(&ranges);
        let search = builder.search(&ranges, &buckets, 0, buckets.length);
        let foreign = builder.answer(if rules.kills() { KILL } else { ERRNO | ENOSYS as u32 }, 2);
        if search != builder.length {
            builder.jump(search);
        }
        builder.push(LOAD, 0, 0, NUMBER);
        let foreign = builder.distance(foreign);
        builder.push(JUMP_IF_EQUAL, 0, foreign, NATIVE_ARCH);
        builder.push(LOAD, 0, 0, ARCH);
        builder
    }

    /// Writes the search among the buckets `low..high`, of which there is at least one.
    const fn search(&mut self, ranges: &Ranges, buckets: &Buckets, low: usize, high: usize) -> usize {
        if high - low == 1 {
            return self.bucket(ranges, buckets.get(low));
        }
        let middle = buckets.middle(ranges, low, high);
        let right = self.search(ranges, buckets, middle, high);
        let left = self.search(ranges, buckets, low, middle);
        let left = self.within_reach(left);
        let right = self.within_reach(right);
        let (jt, jf) = (self.distance(right), self.distance(left));
        self.push(JUMP_IF_NOT_LESS, jt, jf, ranges.start(buckets.get(middle).low()))
    }

    /// Writes what tells the odd numbers of a bucket from the others.
    const fn bucket(&mut self, ranges: &Ranges, bucket: Bucket) -> usize {
        let most = ranges.decision(bucket.most());
        let (mut odd, mut length) = ([(0, 0); MOST_ODD], 0);
        let mut range = bucket.low();
        while range < bucket.high() {
            let mut number = ranges.start(range);
            while !ranges.decision(range).same(most) && number < ranges.end(range) {
                odd[length] = (number, self.decision(ranges.decision(range)));
                (length, number) = (length + 1, number + 1);
            }
            range += 1;
        }
        let most = self.decision(most);
        let mut i = 0;
        while i < length {
            odd[i].1 = self.within_reach(odd[i].1);
            i += 1;
        }
        let mut next = if length == 0 { most } else { self.within_reach(most) };
        // The last one written is the first compared; its place falls through to a test written just
        // before, if there is one.
        while i > 0 {
            i -= 1;
            let (jt, jf) = (self.distance(odd[i].1), self.distance(next));
            next = self.push(JUMP_IF_EQUAL, jt, jf, odd[i].0);
        }
        next
    }

    const fn decision(&mut self, decision: Decision) -> usize {
        match decision {
            Decision::Allow => self.answer(ALLOW, NEAR),
            Decision::Refuse(errno) => self.answer(self.refusal(errno), NEAR),
            Decision::Test(i) => self.test(i as usize),
        }
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
        let mut i = 0;
        while self.returns[i].1 != 0 && self.returns[i].0 != value {
            i += 1;
        }
        if self.returns[i].1 == 0 || self.length - self.returns[i].1 + more >= self.reach {
            self.returns[i] = (value, self.push(RETURN, 0, 0, value));
        }
        self.returns[i].1
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
        if self.length <= SIZE {
            self.code[SIZE - self.length] = Instruction { code, jt, jf, k };
        }
        self.length
    }

    /// What was written, if the buffer held it.
    fn program(&self) -> Option<&[Instruction]> {
        self.code.get(SIZE.checked_sub(self.length)?..)
    }
}
