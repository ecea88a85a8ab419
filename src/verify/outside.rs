//! The jail seen from outside: what the kernel says in /proc of each process in it.
//!
//! Must not know: how /proc is read. What could not be read does not hold.
#![forbid(unsafe_code)]

use super::Promise;
use crate::jail::Ids;
use crate::plan::build::FIRST_PASSED;
use crate::plan::{ExpectedProcess, Plan, Step};
use std::collections::{BTreeMap, BTreeSet};

/// One process of the jail.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Process {
    /// As numbered on the host.
    pub pid: i32,
    /// It is the program, not pid 1.
    pub program: bool,
    /// Texts of /proc/PID, by name: those that could be read.
    pub texts: BTreeMap<&'static str, String>,
    /// Open descriptors.
    pub descriptors: Option<Vec<u32>>,
    /// Which namespace of each kind it is in.
    pub namespaces: BTreeMap<&'static str, String>,
}

/// Texts that are looked at.
pub const TEXTS: &[&str] = &["status", "stat", "environ", "cmdline", "oom_score_adj", "uid_map", "gid_map"];
/// Kinds of namespaces that are looked at.
pub const NAMESPACES: &[&str] = &["mnt", "pid", "ipc", "uts", "cgroup", "net", "user"];

/// Everything that was seen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Observation {
    /// The program and pid 1.
    pub processes: Vec<Process>,
    /// The observer's own namespaces.
    pub own: BTreeMap<&'static str, String>,
    /// Filters that the observer itself is under: a container's, or a service manager's.
    pub filters: u32,
    /// How the mount table differs from the plan, if it does.
    pub mounts: Option<String>,
    /// What was left when the jail was ended, if anything was.
    pub left: Option<String>,
    /// Files of unix sockets that were left, as `listen` names them: the outer process removes them,
    /// unless it is killed.
    pub sockets: Vec<String>,
}

/// Adds what was seen to the promises that it is about.
pub fn judge(plan: &Plan, seen: &Observation, promises: &mut [Promise]) {
    let expected = plan.steps.iter().find_map(|p| match &p.step {
        Step::CheckProcess(expected) => Some(expected.clone()),
        _ => None,
    });
    let Some(expected) = expected else { return };
    let expected = as_seen(plan, expected);
    for promise in promises {
        match promise.name {
            "mounts" => find_difference(promise, "the mount table is as planned", seen.mounts.as_ref()),
            "end" => {
                find_difference(promise, "killing the outer process ends the jail", seen.left.as_ref());
                for socket in &seen.sockets {
                    let by = format!("listen = \"{socket}\"");
                    promise.find(format!("the file of {socket} stays"), false, Some(by));
                }
            }
            "namespaces" => namespaces(plan, seen, promise),
            "every-process" => {
                for process in &seen.processes {
                    every_process(&expected, process, promise);
                }
            }
            _ => {}
        }
        match seen.processes.iter().find(|p| p.program) {
            Some(process) => {
                program(plan, &expected, process, promise);
                if promise.name == "system-calls" && expected.filters > 0 {
                    // The mode would be the same with none added.
                    let wanted = (seen.filters + expected.filters).to_string();
                    same(promise, process, "Seccomp_filters", &wanted, None);
                }
            }
            None => promise.find("the program could not be found in /proc", false, None),
        }
    }
}

/// Ids as seen from the user namespace that the jail was started from.
fn as_seen(plan: &Plan, expected: ExpectedProcess) -> ExpectedProcess {
    let mut seen = expected.clone();
    for planned in &plan.steps {
        match &planned.step {
            Step::Isolate { user: Some(map), .. } => (seen.uid, seen.gid) = (map.uid.1, map.gid.1),
            Step::UserNamespace { range, .. } => {
                let outside = range.outside(Ids { uid: expected.uid, gid: expected.gid });
                (seen.uid, seen.gid) = (outside.uid, outside.gid);
                let group = |gid: &u32| range.outside(Ids { uid: expected.uid, gid: *gid }).gid;
                seen.groups = expected.groups.as_ref().map(|groups| groups.iter().map(group).collect());
            }
            _ => {}
        }
    }
    seen
}

/// Which ids are others outside, as /proc/PID/uid_map and gid_map say it: first inside, first
/// outside, how many.
fn maps(plan: &Plan) -> Vec<(&'static str, Vec<u32>)> {
    let mut maps = Vec::new();
    for planned in &plan.steps {
        match &planned.step {
            Step::Isolate { user: Some(map), .. } => {
                maps.push(("uid_map", vec![map.uid.0, map.uid.1, 1]));
                maps.push(("gid_map", vec![map.gid.0, map.gid.1, 1]));
            }
            Step::UserNamespace { range, .. } => {
                let extents = range.processes().into_iter();
                let map: Vec<u32> = extents.flat_map(|e| [e.inside, e.outside, e.count]).collect();
                maps.extend([("uid_map", map.clone()), ("gid_map", map)]);
            }
            _ => {}
        }
    }
    maps
}

fn find_difference(promise: &mut Promise, what: &str, difference: Option<&String>) {
    match difference {
        None => promise.find(what, true, None),
        Some(difference) => promise.find(difference.clone(), false, None),
    }
}

fn field<'a>(process: &'a Process, name: &str) -> Option<&'a str> {
    status_field(process.texts.get("status")?, name)
}

/// A field of a status file.
pub fn status_field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// Whether a field is what it should be.
fn same(promise: &mut Promise, process: &Process, name: &str, wanted: &str, given: Option<String>) {
    let is = field(process, name).map(|v| v.split_whitespace().collect::<Vec<_>>().join(" "));
    let holds = is.as_deref() == Some(wanted);
    let is = is.unwrap_or_else(|| "unreadable".into());
    let what =
        if holds { format!("{name} {is}") } else { format!("{name} of {}: {is}, not {wanted}", process.pid) };
    promise.find(what, holds, given);
}

const SETS: &[&str] = &["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];

fn by(plan: &Plan, what: &str) -> Option<String> {
    plan.given_up.iter().find(|g| g.what == what).map(|g| g.by.clone())
}

fn four(id: u32) -> String {
    vec![id.to_string(); 4].join(" ")
}

/// What is asked of the program alone.
fn program(plan: &Plan, expected: &ExpectedProcess, process: &Process, promise: &mut Promise) {
    match promise.name {
        "ids" => {
            same(promise, process, "Uid", &four(expected.uid), None);
            same(promise, process, "Gid", &four(expected.gid), None);
            for (name, wanted) in maps(plan) {
                let numbers = |text: &String| text.split_whitespace().map(|n| n.parse().ok()).collect();
                let is: Option<Vec<u32>> = process.texts.get(name).and_then(numbers);
                promise.find(format!("{name} {is:?}"), is.as_ref() == Some(&wanted), None);
            }
        }
        "groups" => {
            // The kernel may list the main group as well.
            let others = |list: Vec<u32>| -> BTreeSet<u32> {
                list.into_iter().filter(|gid| *gid != expected.gid).collect()
            };
            let listed = field(process, "Groups").map(|f| f.split_whitespace().map(str::parse).collect());
            let found = listed.and_then(|l: Result<Vec<u32>, _>| l.ok()).map(others);
            let wanted = others(expected.groups.clone().unwrap_or_default());
            let what = format!("groups {found:?}");
            promise.find(what, found == Some(wanted), by(plan, "groups"));
        }
        "capabilities" => {
            for set in SETS {
                same(promise, process, set, &format!("{:016x}", expected.capabilities), None);
            }
        }
        "no-new-privileges" => same(promise, process, "NoNewPrivs", "1", None),
        "system-calls" => same(promise, process, "Seccomp", "2", by(plan, "seccomp")),
        "descriptors" => {
            let passed: BTreeSet<u32> = (FIRST_PASSED..).zip(passed(plan)).map(|(fd, _)| fd).collect();
            let others = process.descriptors.as_ref().map(|all| all.iter().copied().filter(|n| *n > 2));
            let others: Option<BTreeSet<u32>> = others.map(Iterator::collect);
            let holds = others.as_ref() == Some(&passed);
            let are = others.map_or_else(|| "unreadable".into(), |others| format!("{others:?}"));
            promise.find(format!("open besides 0-2: {are}, passed on: {passed:?}"), holds, None);
        }
        "environment" => environment(plan, process, promise),
        "session" => session(plan, process, promise),
        "habits" => {
            for name in ["SigBlk", "SigIgn"] {
                same(promise, process, name, "0000000000000000", None);
            }
        }
        "limits" => {
            let wanted = plan.steps.iter().find_map(|p| match p.step {
                Step::OomScoreAdjust(score) => Some(score.to_string()),
                _ => None,
            });
            let is = process.texts.get("oom_score_adj").map(|t| t.trim());
            if let Some(wanted) = wanted {
                promise.find(format!("oom_score_adj {wanted}"), is == Some(&wanted), None);
            }
        }
        _ => {}
    }
}

/// Names of the sockets that the program gets.
fn passed(plan: &Plan) -> &[String] {
    let names = plan.steps.iter().find_map(|p| match &p.step {
        Step::PassSockets { names, .. } => Some(names.as_slice()),
        _ => None,
    });
    names.unwrap_or(&[])
}

/// The variables that tell the program of them (sd_listen_fds(3)) and of the service manager
/// (sd_notify(3)), with its number in its own pid namespace: the last of NSpid.
fn announced(plan: &Plan, process: &Process) -> Vec<(&'static str, String)> {
    let own = field(process, "NSpid").and_then(|numbers| numbers.split_whitespace().last());
    let own = own.unwrap_or("unreadable").to_owned();
    let mut told = Vec::new();
    for planned in &plan.steps {
        match &planned.step {
            Step::PassSockets { names, .. } => told.extend([
                ("LISTEN_PID", own.clone()),
                ("LISTEN_FDS", names.len().to_string()),
                ("LISTEN_FDNAMES", names.join(":")),
            ]),
            Step::AnnounceManager(notify) => {
                told.push(("NOTIFY_SOCKET", notify.inside.to_string()));
                let watchdog = notify.watchdog.map(|usec| usec.to_string());
                told.extend(
                    watchdog
                        .into_iter()
                        .flat_map(|usec| [("WATCHDOG_USEC", usec), ("WATCHDOG_PID", own.clone())]),
                );
            }
            _ => {}
        }
    }
    told
}

fn environment(plan: &Plan, process: &Process, promise: &mut Promise) {
    for planned in &plan.steps {
        if let Step::Execute { arguments, environment, .. } = &planned.step {
            let announced = announced(plan, process);
            let told = |key: &str| announced.iter().any(|(k, _)| *k == key);
            let own = environment.iter().map(|(k, v)| (k.as_str(), v.clone())).filter(|(k, _)| !told(k));
            let variables: String =
                own.chain(announced.iter().cloned()).map(|(k, v)| format!("{k}={v}\0")).collect();
            let arguments: String = arguments.iter().map(|a| format!("{a}\0")).collect();
            for (what, name, wanted) in
                [("environment", "environ", variables), ("arguments", "cmdline", arguments)]
            {
                let holds = process.texts.get(name) == Some(&wanted);
                let what = format!("{what}{}", if holds { "" } else { " differ from the spec" });
                promise.find(what, holds, None);
            }
        }
    }
}

fn session(plan: &Plan, process: &Process, promise: &mut Promise) {
    // The name before the last parenthesis may hold blanks; then: state, ppid, pgrp, session, tty_nr.
    let rest = process.texts.get("stat").and_then(|s| s.rsplit_once(')')).map(|(_, rest)| rest);
    let numbers: Vec<&str> = rest.unwrap_or("").split_whitespace().collect();
    let given = by(plan, "session");
    let own = process.pid.to_string();
    promise.find("it leads its session", numbers.get(3) == Some(&own.as_str()), given.clone());
    promise.find("it has no terminal", numbers.get(4) == Some(&"0"), given);
}

/// What holds for pid 1, too.
fn every_process(expected: &ExpectedProcess, process: &Process, promise: &mut Promise) {
    same(promise, process, "Uid", &four(expected.uid), None);
    same(promise, process, "Gid", &four(expected.gid), None);
    same(promise, process, "NoNewPrivs", "1", None);
    for set in SETS {
        let held = field(process, set).and_then(|v| u64::from_str_radix(v, 16).ok());
        let holds = held.is_some_and(|held| held & !expected.capabilities == 0);
        promise.find(format!("{set} of {}", process.pid), holds, None);
    }
    if !process.program {
        same(promise, process, "Seccomp", "2", None);
    }
}

fn namespaces(plan: &Plan, seen: &Observation, promise: &mut Promise) {
    let unshared = plan.steps.iter().find_map(|p| match p.step {
        Step::Unshare(unshared) => Some(unshared),
        _ => None,
    });
    let user = plan
        .steps
        .iter()
        .any(|p| matches!(p.step, Step::Isolate { user: Some(_), .. } | Step::UserNamespace { .. }));
    let Some(program) = seen.processes.iter().find(|p| p.program) else { return };
    for kind in NAMESPACES {
        let wanted = match *kind {
            "user" => user,
            "net" => unshared.is_some_and(|u| u.net),
            _ => true,
        };
        if !wanted {
            continue;
        }
        let (inside, outside) = (program.namespaces.get(kind), seen.own.get(kind));
        let own = inside.is_some() && outside.is_some() && inside != outside;
        let what = format!("{kind} namespace{}", if own { "" } else { ": not its own" });
        promise.find(what, own, by(plan, &format!("{kind} namespace")));
    }
}
