//! What crosses the wall of a jail: one lane for each way between the host and the program.
//!
//! Must not know: points, or how a lane is drawn.
#![forbid(unsafe_code)]

use super::Subject;
use crate::jail::signals;
use crate::plan::print::capability_words;
use crate::plan::{Step, TreeKind, Unshared};

/// How much of a lane is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// Nothing passes.
    Closed,
    /// Something passes, as far as was asked for.
    Narrow,
    /// All passes.
    Open,
}

/// One way between the host and the program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Crossing {
    /// What of the host is at the other end.
    pub host: &'static str,
    /// How much passes.
    pub lane: Lane,
    /// What the program has of it.
    pub inside: String,
}

fn lane(host: &'static str, lane: Lane, inside: impl Into<String>) -> Crossing {
    Crossing { host, lane, inside: inside.into() }
}

/// All lanes, the widest subjects first.
pub fn crossings(subject: Subject<'_>) -> Vec<Crossing> {
    let given_up = |name: &str| subject.plan.given_up.iter().any(|given| given.what == name);
    let made = subject.plan.steps.iter().find_map(|p| match p.step {
        Step::Unshare(made) => Some(made),
        _ => None,
    });
    let made = made.unwrap_or(Unshared { net: false, ipc: false, uts: false, cgroup: false });
    let own = |host, own: bool, closed: &str, open: &str| {
        if own { lane(host, Lane::Closed, closed) } else { lane(host, Lane::Open, open) }
    };
    vec![
        files(subject),
        own(
            "network",
            subject.own_network(),
            "nothing but a loopback of its own",
            "the host's interfaces and ports",
        ),
        capabilities(subject),
        system_calls(subject),
        own("processes", subject.plan.supervision.pid_namespace, "sees only its own", "sees all of the host"),
        own(
            "users and groups",
            subject.host_uid().is_none_or(|(uid, _)| uid != 0),
            match subject.range() {
                None => "one user, never root",
                Some(_) => "a range of its own, never the host's root",
            },
            "root, as on the host",
        ),
        own("groups of the caller", !given_up("groups"), "none", "all of them"),
        own(
            "memory as code",
            !given_up("memory-deny-write-execute"),
            "never writable and executable",
            "may be writable and executable",
        ),
        own("System V IPC, message queues", made.ipc, "its own", "the host's"),
        own("host name", made.uts, "its own", "the host's"),
        own("keyring of the caller", !given_up("keyring"), "its own, empty", "the caller's"),
        own("terminal of the caller", !given_up("session"), "none, or one of its own", "the caller's"),
        environment(subject),
        signals(subject),
    ]
}

fn files(subject: Subject<'_>) -> Crossing {
    let steps = || subject.plan.steps.iter().map(|p| &p.step);
    let trees = steps().filter_map(|step| match step {
        Step::OpenTree { kind, attributes, .. } if *kind != TreeKind::Device => Some(attributes.read_only),
        _ => None,
    });
    let (read_only, writable): (Vec<bool>, Vec<bool>) = trees.partition(|read_only| *read_only);
    let (read_only, writable) = (read_only.len(), writable.len());
    let copies = steps().filter(|step| matches!(step, Step::OpenFile { .. })).count();
    let text = format!("{read_only} read-only, {writable} writable, {copies} copied");
    let root = steps().any(|step| matches!(step, Step::AttachRoot { .. }));
    let width = match (read_only + writable + copies, root) {
        (0, false) => Lane::Closed,
        (_, false) => Lane::Narrow,
        (_, true) => Lane::Open,
    };
    lane("files", width, text)
}

fn capabilities(subject: Subject<'_>) -> Crossing {
    match subject.capabilities() {
        0 => lane("capabilities", Lane::Closed, "none"),
        set if set.count_ones() > 20 => lane("capabilities", Lane::Open, capability_words(set)),
        set => lane("capabilities", Lane::Narrow, capability_words(set)),
    }
}

fn system_calls(subject: Subject<'_>) -> Crossing {
    match subject.policy() {
        Some(policy) => lane("system calls", Lane::Narrow, policy.summary()),
        None => lane("system calls", Lane::Open, "all of them"),
    }
}

fn environment(subject: Subject<'_>) -> Crossing {
    let kept: Vec<&str> = subject.spec.process.keep_env.iter().map(|name| name.value.as_str()).collect();
    match kept.is_empty() {
        true => lane("environment of the caller", Lane::Closed, "nothing of it"),
        false => lane("environment of the caller", Lane::Narrow, kept.join(" ")),
    }
}

fn signals(subject: Subject<'_>) -> Crossing {
    let rules = subject.plan.supervision;
    let text = format!(
        "inwards: SIGTERM as {}, SIGHUP as {}, others as they are",
        signals::name(rules.stop_signal),
        signals::name(rules.reload_signal)
    );
    lane("signals", Lane::Narrow, text)
}
