//! What it may ask of the kernel: the filter (its sweep is in `sweep`), Landlock, memory, and the
//! interfaces that are nobody's business in a jail.
#![forbid(unsafe_code)]

use super::{Context, EACCES, ENOSYS, EPERM, O_RDWR, files, one, open};
use crate::jail::path::AbsPath;
use crate::plan::Step;
use crate::verify::batch::{Arg, Batch, Entry};
use crate::verify::{Judge, Promise, sweep};

const GROUP: &str = "kernel";
const READ_WRITE: i64 = 1 | 2;
const READ_EXECUTE: i64 = 1 | 4;
const ALL: i64 = 1 | 2 | 4;
const PRIVATE_ANONYMOUS: i64 = 0x22;

pub fn promises(context: &Context<'_>) -> Vec<Promise> {
    vec![
        Promise::new(GROUP, sweep::CALLS, "only the listed system calls can be made"),
        Promise::new(GROUP, sweep::ENTRIES, "there is no other entry to the kernel (32-bit, x32)"),
        landlock(context),
        memory(context),
        interfaces(context),
    ]
}

fn landlock(context: &Context<'_>) -> Promise {
    let mut promise = Promise::new(GROUP, "landlock", "Landlock is enforced, as a second wall");
    // The kernel stacks at most 16 rulesets: one fewer fits where one is in force.
    let outside = context.world.layers.unwrap_or(16);
    let judge = Judge::Succeed(3, outside.saturating_sub(1));
    let given = context.given("landlock");
    promise.question("one ruleset less than outside can be added", landlock_layers(), judge, given);
    promise
}

pub fn landlock_layers() -> Batch {
    const PR_SET_NO_NEW_PRIVS: i64 = 38;
    const EXECUTE: u64 = 1;
    let mut batch = Batch::default();
    batch.call("prctl", &[PR_SET_NO_NEW_PRIVS.into(), 1.into(), 0.into(), 0.into(), 0.into()]);
    let attributes = batch.words(&[Arg::Number(EXECUTE)]);
    let ruleset = batch.call("landlock_create_ruleset", &[attributes, 8.into(), 0.into()]);
    for _ in 0..17 {
        batch.call("landlock_restrict_self", &[ruleset, 0.into()]);
    }
    batch
}

fn memory(context: &Context<'_>) -> Promise {
    const PR_GET_MDWE: i64 = 66;
    let mut promise = Promise::new(GROUP, "memory", "memory that was written is not executed (W^X)");
    let given = || {
        context.given("memory-deny-write-execute").or_else(|| match context.policy {
            None if !context.has(|s| matches!(s, Step::DenyWriteExecute)) => context.given("seccomp"),
            _ => None,
        })
    };
    if context.has(|s| matches!(s, Step::DenyWriteExecute)) {
        let batch = one("prctl", &[PR_GET_MDWE.into(), 0.into(), 0.into(), 0.into(), 0.into()]);
        promise.question("the kernel denies it (PR_GET_MDWE)", batch, Judge::Returns(0, 1), None);
    }
    let page = |batch: &mut Batch, protection: i64| {
        let arguments = [0, 4096, protection, PRIVATE_ANONYMOUS, -1, 0].map(Arg::from);
        batch.call("mmap", &arguments)
    };
    let mut batch = Batch::default();
    page(&mut batch, ALL);
    promise.attempt("map memory writable and executable", batch, Judge::Refused, given());
    let mut batch = Batch::default();
    let at = page(&mut batch, READ_WRITE);
    batch.call("mprotect", &[at, 4096.into(), READ_EXECUTE.into()]);
    promise.attempt("make written memory executable", batch, Judge::Refused, given());
    // The kernel copies the instruction to return into the page.
    let mut batch = Batch::default();
    let at = page(&mut batch, READ_WRITE);
    let code = batch.bytes(RETURN);
    let (from, to) = (batch.words(&[code, 16.into()]), batch.words(&[at, 16.into()]));
    let own = batch.call("getpid", &[]);
    batch.call("process_vm_readv", &[own, to, 1.into(), from, 1.into(), 0.into()]);
    batch.call("mprotect", &[at, 4096.into(), READ_EXECUTE.into()]);
    batch.operation(Entry::Run, 0, &[at]);
    promise.question(
        "execute written memory",
        batch,
        Judge::Refused,
        context.given("memory-deny-write-execute").or_else(|| {
            // Before Linux 6.3 it is the filter that refuses, which is not there yet.
            (!context.has(|s| matches!(s, Step::DenyWriteExecute)))
                .then(|| context.given("seccomp").unwrap_or_else(|| "the kernel, before Linux 6.3".into()))
        }),
    );
    // The kernel writes to any page through it, whatever the page's protection.
    promise.attempt("open its own memory for writing", open("/proc/self/mem", O_RDWR), Judge::Refused, None);
    let mut batch = Batch::default();
    const PRIVATE: i64 = 0;
    const SHM_EXEC: i64 = 0o100_000;
    let id = batch.call("shmget", &[PRIVATE.into(), 4096.into(), 0o700.into()]);
    batch.call("shmat", &[id, 0.into(), SHM_EXEC.into()]);
    let attached = batch.len() - 1;
    batch.call("shmctl", &[id, 0.into(), 0.into()]);
    let filter = context.policy.is_none().then(|| context.given("seccomp")).flatten();
    let refused = Judge::RefusedWith(attached, &[EPERM, 13, 22]);
    promise.attempt("attach shared memory executable", batch, refused, filter.clone());
    const READ_IMPLIES_EXEC: i64 = 0x040_0000;
    const ADDR_NO_RANDOMIZE: i64 = 0x004_0000;
    for (what, flag) in [
        ("make readable memory executable", READ_IMPLIES_EXEC),
        ("turn randomisation off", ADDR_NO_RANDOMIZE),
    ] {
        promise.attempt(what, one("personality", &[flag.into()]), Judge::Refused, filter.clone());
    }
    promise
}

#[cfg(target_arch = "x86_64")]
const RETURN: &[u8] = &[0xc3; 16];
#[cfg(target_arch = "aarch64")]
const RETURN: &[u8] =
    &[0xc0, 0x03, 0x5f, 0xd6, 0xc0, 0x03, 0x5f, 0xd6, 0xc0, 0x03, 0x5f, 0xd6, 0xc0, 0x03, 0x5f, 0xd6];

fn interfaces(context: &Context<'_>) -> Promise {
    let mut promise = Promise::new(GROUP, "interfaces", "the kernel's dangerous interfaces are closed");
    let full = context.has(|s| matches!(s, Step::Proc { subset: false, .. }));
    let hidden = |path: &str| match AbsPath::new(path) {
        Ok(path) if path.as_str().starts_with("/sys") => files::is_hidden(context.plan, &path),
        _ => !full || !path.starts_with("/proc/sys/"),
    };
    for path in [
        "/proc/sysrq-trigger",
        "/proc/kcore",
        "/proc/kmsg",
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/vm/panic_on_oom",
        "/proc/irq/default_smp_affinity",
        "/proc/fs/nfsd/exports",
        "/sys/kernel/uevent_helper",
        "/sys/fs/cgroup/release_agent",
    ] {
        promise.attempt(format!("write to {path}"), open(path, O_RDWR), Judge::Refused, None);
    }
    for path in ["/proc/kcore", "/proc/kmsg", "/proc/sys/kernel/hostname", "/sys/kernel", "/proc/1/mem"] {
        if hidden(path) {
            promise.attempt(format!("read {path}"), open(path, 0), Judge::Refused, None);
        }
    }
    calls(context, &mut promise);
    promise
}

/// A call that would be a way out, the capability that it needs, and arguments with which it does
/// nothing even if it is allowed.
fn calls(context: &Context<'_>, promise: &mut Promise) {
    let plain: &[(&str, &str, &[i64])] = &[
        ("init_module", "SYS_MODULE", &[0, 0, 0]),
        ("finit_module", "SYS_MODULE", &[-1, 0, 0]),
        ("kexec_load", "SYS_BOOT", &[0, -1, 0, 0]),
        ("reboot", "SYS_BOOT", &[0, 0, 0, 0]),
        ("swapoff", "SYS_ADMIN", &[-1]),
        ("acct", "SYS_PACCT", &[-1]),
        ("syslog", "SYSLOG", &[10]),
        ("settimeofday", "SYS_TIME", &[0, 0]),
        ("sethostname", "SYS_ADMIN", &[-1, 1]),
        ("vhangup", "SYS_TTY_CONFIG", &[]),
        ("bpf", "BPF", &[-1, -1, 0]),
        ("perf_event_open", "PERFMON", &[-1, 0, -1, -1, 0]),
        ("userfaultfd", "SYS_PTRACE", &[0]),
        ("io_uring_setup", "", &[1, -1]),
        ("keyctl", "", &[-1]),
        ("add_key", "", &[-1, -1, -1, 1, -2]),
        ("fanotify_init", "SYS_ADMIN", &[0, 0]),
        ("quotactl", "SYS_ADMIN", &[-1, -1, 0, -1]),
        ("iopl", "SYS_RAWIO", &[3]),
        ("ioperm", "SYS_RAWIO", &[0x80, 1, 1]),
    ];
    for (name, capability, arguments) in plain {
        let arguments: Vec<Arg> = arguments.iter().map(|n| Arg::from(*n)).collect();
        let given = context.by_capability(capability, &[name]).or_else(|| context.by_calls(&[name]));
        // Refused for what it is, not for its arguments.
        let judge = Judge::RefusedWith(0, &[EPERM, EACCES, ENOSYS]);
        promise.attempt(*name, one(name, &arguments), judge, given);
    }
}
