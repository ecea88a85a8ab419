//! Other processes, and namespaces.
#![forbid(unsafe_code)]

use super::{
    CLONE_NEWNS, CLONE_NEWUSER, Context, ENOSYS, EPERM, ESRCH, Ipc, O_CREAT, O_EXCL, O_RDWR, SIGCHLD, files,
    one, open, open_in,
};
use crate::plan::Step;
use crate::verify::batch::{Arg, Batch};
use crate::verify::{Judge, Promise};
use std::collections::BTreeSet;

const GROUP: &str = "processes";

pub fn promises(context: &Context<'_>) -> Vec<Promise> {
    vec![
        seen(context),
        signalled(context),
        looked_into(context),
        ipc(context),
        no_new_namespaces(context),
        Promise::new(GROUP, "namespaces", "its namespaces are its own"),
        Promise::new(
            GROUP,
            "every-process",
            "every process in the jail has only the spec's ids and privileges",
        ),
    ]
}

/// What /proc holds besides processes where only these are shown.
const PROC_FILES: &[&str] = &["self", "thread-self"];

fn seen(context: &Context<'_>) -> Promise {
    let mut promise = Promise::new(GROUP, "see", "no other process can be seen");
    let given = context.given("pid namespace");
    let outside = context.outside();
    let attempt = open(&format!("/proc/{outside}/status"), 0);
    promise.attempt(format!("see process {outside} outside"), attempt, Judge::Refused, given.clone());
    if context.has(|s| matches!(s, Step::Proc { subset: true, .. })) {
        // In a pid namespace every number is that of a process in the jail.
        let allowed: BTreeSet<String> = PROC_FILES.iter().map(|f| (*f).to_owned()).collect();
        let (batch, judge) = files::list("/proc", allowed, given.is_none());
        promise.question("what is in /proc", batch, judge, given);
    }
    for path in ["/proc/1/environ", "/proc/1/maps", "/proc/1/fd", "/proc/1/cmdline"] {
        let given = context.given("pid namespace").filter(|_| path == "/proc/1/cmdline");
        promise.attempt(format!("read {path}"), open(path, 0), Judge::Refused, given);
    }
    promise
}

fn signalled(context: &Context<'_>) -> Promise {
    let mut promise = Promise::new(GROUP, "signal", "no process outside can be signalled");
    let scoped = context.landlock.is_some_and(|abi| abi >= 6);
    let given = if scoped { None } else { context.given("pid namespace") };
    let outside = context.outside();
    let refused = Judge::RefusedWith(0, &[EPERM, ESRCH]);
    promise.attempt(
        format!("kill {outside}"),
        one("kill", &[outside.into(), 0.into()]),
        refused.clone(),
        given.clone(),
    );
    if context.plan.supervision.pid_namespace {
        // Not by a child, which would find the prober; and before there are processes that end by
        // themselves. (Where there are others, the kernel answers 0 also if it refused each.)
        let mut batch = Batch::lasting();
        batch.call("kill", &[(-1).into(), 0.into()]);
        promise.question("kill everything", batch, Judge::RefusedWith(0, &[ESRCH]), None);
    }
    let own_group = one("kill", &[(-outside).into(), 0.into()]);
    promise.attempt("kill a process group outside", own_group, refused, given.clone());
    let mut batch = Batch::default();
    let fd = batch.call("pidfd_open", &[outside.into(), 0.into()]);
    batch.call("pidfd_send_signal", &[fd, 0.into(), 0.into(), 0.into()]);
    promise.attempt("signal by pidfd", batch, Judge::Refused, given);
    promise
}

fn looked_into(context: &Context<'_>) -> Promise {
    const SEIZE: i64 = 0x4206;
    let mut promise = Promise::new(GROUP, "trace", "no other process can be traced, read, or written");
    let trace =
        |calls: &[&str]| context.by_capability("SYS_PTRACE", calls).filter(|_| context.landlock.is_none());
    for pid in [1, context.outside()] {
        let batch = one("ptrace", &[SEIZE.into(), pid.into(), 0.into(), 0.into()]);
        promise.attempt(format!("ptrace {pid}"), batch, Judge::Refused, trace(&["ptrace"]));
        for call in ["process_vm_readv", "process_vm_writev"] {
            let mut batch = Batch::default();
            let space = batch.space(8);
            let vector = batch.words(&[space, 8.into()]);
            batch.call(call, &[pid.into(), vector, 1.into(), vector, 1.into(), 0.into()]);
            // The address means nothing there: EFAULT says that it was looked for.
            let judge = Judge::RefusedWith(batch.len() - 1, &[EPERM, ESRCH, ENOSYS]);
            promise.attempt(format!("{call} {pid}"), batch, judge, trace(&[call]));
        }
        let mut batch = Batch::default();
        let fd = batch.call("pidfd_open", &[pid.into(), 0.into()]);
        batch.call("pidfd_getfd", &[fd, 0.into(), 0.into()]);
        promise.attempt(
            format!("take a descriptor of {pid}"),
            batch,
            Judge::Refused,
            trace(&["pidfd_getfd"]),
        );
        let batch = one("kcmp", &[pid.into(), pid.into(), 0.into(), 0.into(), 0.into()]);
        promise.attempt(format!("kcmp {pid}"), batch, Judge::Refused, trace(&["kcmp"]));
        let memory = open(&format!("/proc/{pid}/mem"), O_RDWR);
        promise.attempt(format!("open the memory of {pid}"), memory, Judge::Refused, trace(&["openat"]));
    }
    promise
}

const IPC_CREATE: i64 = 0o1000 | 0o2000;

/// Makes one object of each kind, to be looked for from inside. The results are the identifiers.
pub fn make_ipc(ipc: &Ipc) -> Batch {
    let mut batch = Batch::lasting();
    let anybody = IPC_CREATE | 0o666;
    batch.call("shmget", &[ipc.key.into(), 4096.into(), anybody.into()]);
    batch.call("msgget", &[ipc.key.into(), anybody.into()]);
    batch.call("semget", &[ipc.key.into(), 1.into(), anybody.into()]);
    let name = batch.text(&ipc.queue);
    batch.call("mq_open", &[name, (O_CREAT | O_EXCL | O_RDWR).into(), 0o666.into(), 0.into()]);
    batch
}

/// Removes them.
pub fn remove_ipc(ipc: &Ipc) -> Batch {
    const IPC_RMID: i64 = 0;
    let mut batch = Batch::lasting();
    for (call, id) in ["shmctl", "msgctl"].iter().zip(ipc.ids) {
        batch.call(call, &[id.unwrap_or(-1).into(), IPC_RMID.into(), 0.into()]);
    }
    batch.call("semctl", &[ipc.ids[2].unwrap_or(-1).into(), 0.into(), IPC_RMID.into(), 0.into()]);
    let name = batch.text(&ipc.queue);
    batch.call("mq_unlink", &[name]);
    batch
}

fn ipc(context: &Context<'_>) -> Promise {
    let mut promise = Promise::new(GROUP, "ipc", "no System V or POSIX IPC object outside can be reached");
    let given = context.given("ipc namespace");
    let Ipc { key, queue, .. } = &context.world.ipc;
    let find = Arg::from(*key);
    for (what, call, arguments) in [
        ("shared memory", "shmget", [find, 0.into(), 0.into()]),
        ("a message queue", "msgget", [find, 0.into(), 0.into()]),
        ("semaphores", "semget", [find, 0.into(), 0.into()]),
    ] {
        promise.attempt(format!("find {what} outside"), one(call, &arguments), Judge::Refused, given.clone());
    }
    if let Some(id) = context.world.ipc.ids[0] {
        let attach = one("shmat", &[id.into(), 0.into(), 0.into()]);
        promise.attempt("attach shared memory by number", attach, Judge::Refused, given.clone());
    }
    let mut batch = Batch::default();
    let name = batch.text(queue);
    batch.call("mq_open", &[name, 0.into(), 0.into(), 0.into()]);
    promise.attempt("open a POSIX queue outside", batch, Judge::Refused, given);
    promise
}

/// Name, CLONE_NEW* flag; the last has no meaning for clone, whose bits are a signal there.
const KINDS: &[(&str, i64)] = &[
    ("user", CLONE_NEWUSER),
    ("mount", CLONE_NEWNS),
    ("pid", 0x2000_0000),
    ("net", 0x4000_0000),
    ("ipc", 0x0800_0000),
    ("uts", 0x0400_0000),
    ("cgroup", 0x0200_0000),
    ("time", 0x80),
];

fn no_new_namespaces(context: &Context<'_>) -> Promise {
    let mut promise = Promise::new(GROUP, "new-namespaces", "no namespace can be made or entered");
    let by_filter = |call: &str| {
        let calls: &[&str] =
            if call == "clone" { &["clone", "unshare"] } else { std::slice::from_ref(&"unshare") };
        context.by_calls(calls).or_else(|| context.by_capability("SYS_ADMIN", calls))
    };
    for (name, flag) in KINDS {
        let unshare = one("unshare", &[(*flag).into()]);
        promise.attempt(format!("unshare {name}"), unshare, Judge::Refused, by_filter("unshare"));
        // With a user namespace any other can be had, too.
        if *flag != CLONE_NEWUSER {
            let both = one("unshare", &[(*flag | CLONE_NEWUSER).into()]);
            promise.attempt(format!("unshare user and {name}"), both, Judge::Refused, by_filter("unshare"));
        }
        if *name != "time" {
            let clone = one("clone", &[(*flag | CLONE_NEWUSER | SIGCHLD).into()]);
            promise.attempt(format!("clone {name}"), clone, Judge::Refused, by_filter("clone"));
        }
        let mut batch = Batch::default();
        let mut words = [Arg::Number(0); 11];
        words[0] = (*flag | CLONE_NEWUSER).into();
        words[4] = SIGCHLD.into();
        let arguments = batch.words(&words);
        batch.call("clone3", &[arguments, 88.into()]);
        promise.attempt(format!("clone3 {name}"), batch, Judge::Refused, by_filter("clone"));
    }
    let enter = || context.by_capability("SYS_ADMIN", &["setns"]);
    for (name, flag) in [("mnt", CLONE_NEWNS), ("user", CLONE_NEWUSER)] {
        let mut batch = Batch::default();
        let fd = open_in(&mut batch, &format!("/proc/1/ns/{name}"), 0, 0);
        batch.call("setns", &[fd, 0.into()]);
        promise.attempt(format!("enter pid 1's {name} namespace"), batch, Judge::Refused, enter());
        let mut batch = Batch::default();
        let fd = batch.call("pidfd_open", &[context.outside().into(), 0.into()]);
        batch.call("setns", &[fd, flag.into()]);
        promise.attempt(format!("enter the {name} namespace outside"), batch, Judge::Refused, enter());
    }
    promise
}
