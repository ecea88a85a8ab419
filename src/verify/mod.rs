//! What a jail promises, as attempts to break it, and what their outcomes mean. All pure.
//!
//! ```text
//! Plan -prober::plan-> the same plan with the prober in the program's place
//! Plan, Seen -expect-> [Promise] -(cmd, serve: the attempts are made)-> [Finding]
//!      -judge-> Verdict of each promise -render-> table, JSON
//! ```
//!
//! Every expectation is taken from the plan: what it does not give must be refused, what it gives
//! beyond the usual is named with who gave it. Must not know: how an attempt gets into a jail.
#![forbid(unsafe_code)]

pub mod batch;
pub mod expect;
pub mod outside;
pub mod prober;
pub mod render;
#[cfg(debug_assertions)]
pub mod sabotage;
pub mod sweep;

use batch::{Arg, Batch, Reply};
use std::collections::BTreeSet;

/// One promise: a line of the table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Promise {
    /// What sort of promise.
    pub group: &'static str,
    /// Stable, in kebab case.
    pub name: &'static str,
    /// As a sentence.
    pub text: &'static str,
    /// What is tried against it.
    pub attempts: Vec<Attempt>,
    /// What was found about it.
    pub findings: Vec<Finding>,
    /// What it amounts to, in numbers.
    pub note: String,
}

impl Promise {
    /// Nothing tried yet.
    pub fn new(group: &'static str, name: &'static str, text: &'static str) -> Self {
        let note = String::new();
        Promise { group, name, text, attempts: Vec::new(), findings: Vec::new(), note }
    }

    /// Adds an attempt.
    pub fn attempt(&mut self, what: impl Into<String>, batch: Batch, judge: Judge, given: Option<String>) {
        self.attempts.push(Attempt { what: what.into(), batch, bare: false, judge, given });
    }

    /// Adds a question about the process's state, which is asked before the filter is installed: it
    /// could refuse to answer.
    pub fn question(&mut self, what: impl Into<String>, batch: Batch, judge: Judge, given: Option<String>) {
        self.attempts.push(Attempt { what: what.into(), batch, bare: true, judge, given });
    }

    /// Adds what was seen from outside.
    pub fn find(&mut self, what: impl Into<String>, holds: bool, given: Option<String>) {
        self.findings.push(Finding { what: what.into(), holds, given });
    }

    /// What all findings come to.
    pub fn verdict(&self) -> Verdict {
        let broken = || self.findings.iter().filter(|f| !f.holds);
        if broken().any(|f| f.given.is_none()) || self.findings.is_empty() {
            return Verdict::Open;
        }
        let by: BTreeSet<&str> = broken().filter_map(|f| f.given.as_deref()).collect();
        if by.is_empty() {
            return Verdict::Held;
        }
        Verdict::GivenUp(by.into_iter().collect::<Vec<_>>().join(", "))
    }
}

/// Whether a promise holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Everything that was tried against it failed.
    Held,
    /// Something did not, and nobody gave it up; or nothing could be tried.
    Open,
    /// Something did not, and this is who gave it up.
    GivenUp(String),
}

/// Something that is tried from inside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// In words.
    pub what: String,
    /// How.
    pub batch: Batch,
    /// Made before the filter is installed.
    pub bare: bool,
    /// What should come of it.
    pub judge: Judge,
    /// Who gave it up, if it may succeed.
    pub given: Option<String>,
}

/// What should come of an attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Judge {
    /// One of the calls fails, be it by the death of the process.
    Refused,
    /// This call fails with one of these errnos.
    RefusedWith(usize, &'static [i32]),
    /// This call fails, if it does, with none of these errnos.
    NotRefusedWith(usize, &'static [i32]),
    /// This call returns this.
    Returns(usize, i64),
    /// This call returns something else than this.
    ReturnsOther(usize, i64),
    /// These bytes are at this place afterwards.
    Bytes(Arg, Vec<u8>),
    /// This call of getdents64(2) lists, in this data, only these names (and numbers, if `true`).
    Lists(usize, Arg, BTreeSet<String>, bool),
    /// Of the calls from this one on, at most so many succeed.
    Succeed(usize, usize),
}

/// What came of an attempt, or was seen from outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// In words, with what came of it if it does not hold.
    pub what: String,
    /// It is as promised.
    pub holds: bool,
    /// Who gave it up, if it may be otherwise.
    pub given: Option<String>,
}

/// What the answer to an attempt means.
pub fn judge(attempt: &Attempt, reply: &Reply) -> Finding {
    let wrong = wrong(&attempt.judge, reply);
    let what = match &wrong {
        None => attempt.what.clone(),
        Some(wrong) => format!("{}: {wrong}", attempt.what),
    };
    Finding { what, holds: wrong.is_none(), given: attempt.given.clone() }
}

/// How a filter kills.
const SIGSYS: u32 = 31;

/// What is not as it should be.
fn wrong(judge: &Judge, reply: &Reply) -> Option<String> {
    let result = |index: usize| reply.result(index);
    match judge {
        Judge::Refused => {
            let all = !reply.results.is_empty() && reply.results.iter().all(|r| r.is_some_and(|n| n >= 0));
            all.then(|| "it worked".to_owned())
        }
        Judge::RefusedWith(index, errnos) => match result(*index) {
            Some(n) if errnos.iter().any(|e| n == -i64::from(*e)) => None,
            Some(n) => Some(came(n)),
            // A filter that kills.
            None if reply.signal() == Some(SIGSYS) => None,
            None => Some("it could not be tried".into()),
        },
        Judge::NotRefusedWith(index, errnos) => match result(*index) {
            Some(n) if errnos.iter().any(|e| n == -i64::from(*e)) => Some(came(n)),
            Some(_) => None,
            None => Some("it could not be tried".into()),
        },
        Judge::Returns(index, wanted) => match result(*index) {
            Some(n) if n == *wanted => None,
            Some(n) => Some(format!("{}, not {}", came(n), came(*wanted))),
            None => Some("it could not be asked".into()),
        },
        Judge::ReturnsOther(index, refused) => match result(*index) {
            Some(n) if n >= 0 && n != *refused => None,
            Some(n) => Some(came(n)),
            None => Some("it could not be asked".into()),
        },
        Judge::Bytes(at, wanted) => {
            let is = reply.bytes(*at, wanted.len());
            let worked = reply.results.iter().all(|r| r.is_some_and(|n| n >= 0));
            (is != wanted || !worked).then(|| "it is otherwise".to_owned())
        }
        Judge::Lists(index, at, allowed, numbers) => match result(*index) {
            Some(length) if length >= 0 => {
                let length = usize::try_from(length).unwrap_or(0);
                let names = names(reply.bytes(*at, length));
                let number = |name: &str| *numbers && name.bytes().all(|b| b.is_ascii_digit());
                let others: Vec<String> =
                    names.into_iter().filter(|n| !allowed.contains(n) && !number(n)).collect();
                (!others.is_empty()).then(|| format!("there is {}", others.join(" ")))
            }
            // Not listed is not seen.
            _ => None,
        },
        Judge::Succeed(from, most) => {
            let tried = reply.results.iter().skip(*from);
            if tried.clone().any(Option::is_none) {
                return Some("it could not be asked".into());
            }
            let count = tried.filter(|r| r.is_some_and(|n| n >= 0)).count();
            (count > *most).then(|| format!("{count} times, not at most {most}"))
        }
    }
}

/// A result in words.
fn came(result: i64) -> String {
    if (-4095..0).contains(&result) { errno_name(-result) } else { result.to_string() }
}

/// The errnos that attempts mostly end with (asm-generic/errno.h).
fn errno_name(errno: i64) -> String {
    let name = match errno {
        1 => "EPERM",
        2 => "ENOENT",
        3 => "ESRCH",
        5 => "EIO",
        7 => "E2BIG",
        8 => "ENOEXEC",
        9 => "EBADF",
        11 => "EAGAIN",
        13 => "EACCES",
        14 => "EFAULT",
        16 => "EBUSY",
        17 => "EEXIST",
        18 => "EXDEV",
        20 => "ENOTDIR",
        21 => "EISDIR",
        22 => "EINVAL",
        25 => "ENOTTY",
        30 => "EROFS",
        38 => "ENOSYS",
        93 => "EPROTONOSUPPORT",
        61 => "ENODATA",
        95 => "EOPNOTSUPP",
        97 => "EAFNOSUPPORT",
        98 => "EADDRINUSE",
        101 => "ENETUNREACH",
        111 => "ECONNREFUSED",
        _ => return format!("errno {errno}"),
    };
    name.to_owned()
}

/// Names in the records of getdents64(2), without `.` and `..`.
fn names(mut records: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    while let Some(length) = records.get(16..18).and_then(|b| b.try_into().ok()).map(u16::from_ne_bytes) {
        let Some(record) = records.get(..usize::from(length)).filter(|r| r.len() > 19) else { break };
        let name = record[19..].split(|b| *b == 0).next().unwrap_or(&[]);
        if name != b"." && name != b".." {
            names.push(String::from_utf8_lossy(name).into_owned());
        }
        records = &records[usize::from(length)..];
    }
    names
}

#[cfg(test)]
mod tests;
