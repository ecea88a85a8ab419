//! Every number of a system call, by every entry, with arguments that do nothing: what the filter
//! answers is compared with what the policy says.
//!
//! Must not know: how the calls get into a jail. The same calls are made once before the filter is
//! installed: a call that the kernel itself refuses proves nothing of the filter, and one that only
//! the filter can have refused, or let pass, does.
#![forbid(unsafe_code)]

use super::batch::{Arg, Batch, Entry, Reply};
use super::{Finding, Promise};
use crate::seccomp::{Action, Answer, NUMBERS, Policy, name};

/// The promise that native calls are judged for.
pub const CALLS: &str = "system-calls";
/// The promise that calls by other entries are judged for.
pub const ENTRIES: &str = "entries";

/// Calls in one message.
const TOGETHER: usize = 32;
const X32: u32 = 0x4000_0000;
const SIGCHLD: u64 = 17;
const SIGSYS: u32 = 31;
const EPERM: i64 = -1;
const ENOSYS: i32 = 38;
const EAFNOSUPPORT: i64 = -97;
const EPROTONOSUPPORT: i64 = -93;

/// What no argument makes harmless: they end or stop the process, or (sync) take a busy host minutes.
/// The two probes only serve code that the kernel has put there, and raise a signal else.
const LEFT_OUT: &[&str] = &["exit", "exit_group", "rt_sigreturn", "pause", "sync", "uprobe", "uretprobe"];
/// The same in the table of 32-bit x86, with fork, vfork, sigsuspend, sigreturn.
const LEFT_OUT_32: &[u32] = &[1, 2, 11, 29, 36, 72, 112, 119, 173, 190, 252];

/// One call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Case {
    entry: Entry,
    number: u32,
    arguments: [u64; 6],
}

impl Case {
    /// What the policy says that it is answered.
    pub fn answer(&self, policy: &Policy) -> Answer {
        policy.answer(self.number, self.arguments)
    }
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Came {
    /// It returned this.
    Returned(i64),
    /// The process was killed by this signal.
    Killed(u32),
}

/// Numbers that are not tried.
pub fn left_out() -> Vec<&'static str> {
    LEFT_OUT.iter().copied().filter(|n| crate::seccomp::number(n).is_some()).collect()
}

/// Every native number; those with a condition on arguments, with each value that matters.
pub fn native(policy: Option<&Policy>) -> Vec<Case> {
    let mut cases = Vec::new();
    for number in (0..NUMBERS).chain([600, 1000, 9999, 0x3fff_ffff, 0x7fff_ffff, 0x8000_0000, u32::MAX]) {
        if name(number).is_some_and(|n| LEFT_OUT.contains(&n)) {
            continue;
        }
        let (entry, plain) = harmless(number);
        cases.push(Case { entry, number, arguments: plain });
        let Some((position, values)) = policy.and_then(|p| p.samples(number)) else { continue };
        for value in values {
            // The kernel does not look at the upper half, so a filter must not either.
            for half in [0, 1u64 << 32, 0xffff_ffff << 32] {
                let mut arguments = plain;
                let signal = if entry == Entry::Fork { SIGCHLD } else { 0 };
                if let Some(argument) = arguments.get_mut(position) {
                    *argument = u64::from(value) | half | signal;
                }
                cases.push(Case { entry, number, arguments });
            }
        }
    }
    cases
}

/// Arguments that are refused by whoever looks at them: no descriptor, no address, no flag is like
/// this.
fn harmless(number: u32) -> (Entry, [u64; 6]) {
    match name(number) {
        Some("clone") => (Entry::Fork, [SIGCHLD, 0, 0, 0, 0, 0]),
        Some("clone3" | "fork" | "vfork") => (Entry::Fork, [u64::MAX; 6]),
        // All flags would make a queue.
        Some("msgget" | "semget" | "shmget") => (Entry::Native, [u64::MAX, 0, 0, 0, 0, 0]),
        _ => (Entry::Native, [u64::MAX; 6]),
    }
}

/// Calls by the entries of other architectures. `all` only where a filter is to refuse them.
pub fn foreign(all: bool) -> Vec<Case> {
    if !cfg!(target_arch = "x86_64") {
        return Vec::new();
    }
    let arguments = [u64::MAX; 6];
    let x32 = |number: u32| Case { entry: Entry::Native, number: number | X32, arguments };
    let compatible = |number: u32| Case { entry: Entry::Compatible, number, arguments };
    if !all {
        // getpid and getuid.
        return [x32(39), x32(102), compatible(20), compatible(24)].into();
    }
    let skip = |number: &u32| !name(*number).is_some_and(|n| LEFT_OUT.contains(&n) || n.ends_with("fork"));
    let first = (0..600).filter(skip).map(x32);
    first.chain((0..480).filter(|n| !LEFT_OUT_32.contains(n)).map(compatible)).collect()
}

/// Has all cases tried, in few messages. After a death it goes on with the next.
///
/// # Errors
/// Those of `ask`.
pub fn run<E>(cases: &[Case], mut ask: impl FnMut(&Batch) -> Result<Reply, E>) -> Result<Vec<Came>, E> {
    let mut came = Vec::new();
    while let Some(rest) = cases.get(came.len()..).filter(|r| !r.is_empty()) {
        let mut batch = Batch::default();
        for case in rest.iter().take(TOGETHER) {
            batch.operation(case.entry, case.number.into(), &case.arguments.map(Arg::Number));
        }
        let reply = ask(&batch)?;
        for index in 0..batch.len() {
            match reply.result(index) {
                Some(n) => came.push(Came::Returned(n)),
                None => {
                    came.push(Came::Killed(reply.signal().unwrap_or(0)));
                    break;
                }
            }
        }
    }
    Ok(came)
}

/// Judges the native calls.
pub fn judge_native(
    promise: &mut Promise,
    policy: Option<&Policy>,
    given: Option<String>,
    cases: &[Case],
    bare: &[Came],
    sealed: &[Came],
) {
    let Some(policy) = policy else {
        promise.find("there is no filter", false, given);
        return;
    };
    if policy.is(Action::Log) {
        promise.find("calls that are not listed are done, and logged", false, given);
    }
    let (mut passed, mut refused, mut proven) = (0, 0, 0);
    for ((case, before), after) in cases.iter().zip(bare).zip(sealed) {
        let wanted = case.answer(policy);
        let holds = match wanted {
            Answer::Kernel => {
                passed += 1;
                before == after || !looks_refused(*after)
            }
            other => {
                refused += 1;
                proven += usize::from(before != after);
                *after == as_answered(other)
            }
        };
        let what = if holds { String::new() } else { said(case, *after, wanted) };
        promise.findings.push(Finding { what, holds, given: None });
    }
    let known = (0..NUMBERS).filter(|n| name(*n).is_some()).count();
    promise.note = format!(
        "{passed} passed, {refused} refused ({proven} by the filter alone); {} of {known} calls allowed; not tried: {}",
        policy.count_allowed(),
        left_out().join(" ")
    );
}

/// What a refused call comes to.
fn as_answered(answer: Answer) -> Came {
    match answer {
        Answer::Errno(errno) => Came::Returned(-i64::from(errno)),
        Answer::Kill | Answer::Kernel => Came::Killed(SIGSYS),
    }
}

fn looks_refused(came: Came) -> bool {
    [EPERM, -i64::from(ENOSYS), EAFNOSUPPORT, EPROTONOSUPPORT].iter().any(|e| came == Came::Returned(*e))
        || came == Came::Killed(SIGSYS)
}

/// Judges the calls by other entries, all of which are answered ENOSYS.
pub fn judge_foreign(promise: &mut Promise, given: Option<&String>, cases: &[Case], sealed: &[Came]) {
    for (case, came) in cases.iter().zip(sealed) {
        let closed = *came == Came::Returned(-i64::from(ENOSYS)) || matches!(came, Came::Killed(_));
        let what = if closed { String::new() } else { said(case, *came, Answer::Errno(ENOSYS)) };
        promise.findings.push(Finding { what, holds: closed, given: given.cloned() });
    }
    promise.note = format!("{} numbers", cases.len());
    if cases.is_empty() {
        promise.find("this architecture has no other entry", true, None);
    }
}

fn said(case: &Case, came: Came, wanted: Answer) -> String {
    let number = if case.number & X32 == 0 { case.number } else { case.number & !X32 };
    let entry = match case.entry {
        Entry::Compatible => "int 0x80 ",
        _ if case.number >> 30 == 1 => "x32 ",
        _ => "",
    };
    let call = match name(number) {
        Some(name) if case.entry != Entry::Compatible => name.to_owned(),
        _ => format!("call {number}"),
    };
    let came = match came {
        Came::Returned(n) => super::came(n),
        Came::Killed(signal) => format!("killed by signal {signal}"),
    };
    let wanted = match wanted {
        Answer::Kernel => "the kernel's answer".to_owned(),
        Answer::Errno(errno) => super::errno_name(errno.into()),
        Answer::Kill => "killed".to_owned(),
    };
    let odd = case.arguments.iter().find(|a| **a != u64::MAX);
    let argument = odd.map_or(String::new(), |a| format!("({a:#x})"));
    format!("{entry}{call}{argument}: {came}, not {wanted}")
}
