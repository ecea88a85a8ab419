//! The promises of a plan, each with the attempts against it.
//!
//! Must not know: the outcome of any attempt.
#![forbid(unsafe_code)]

mod files;
mod identity;
mod kernel;
mod network;
mod processes;
mod surroundings;

use super::Promise;
use super::batch::{Arg, Batch};
use crate::jail::network::TcpPorts;
use crate::jail::path::AbsPath;
use crate::jail::resolve::CAPABILITIES;
use crate::plan::{ExpectedMount, ExpectedProcess, Plan, Step, Unshared};
use crate::seccomp::{Action, Policy};

/// What is known of the host and of the jail's mounts when the attempts are chosen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct World {
    /// Every mount of the jail, as the kernel lists them, and whether it is on a directory.
    pub mounts: Vec<(AbsPath, bool)>,
    /// Paths of the host that the plan does not show, as a program inside would name them.
    pub hidden: Vec<AbsPath>,
    /// A process outside, as numbered on the host.
    pub outside: i32,
    /// The name of an abstract socket outside that listens.
    pub socket: String,
    /// A TCP port of 127.0.0.1 on the host that listens.
    pub port: u16,
    /// The first port that needs no capability.
    pub first_port: u16,
    /// The serial number of the caller's session keyring.
    pub keyring: Option<i64>,
    /// A process outside has made these: see [`make_ipc`].
    pub ipc: Ipc,
    /// Bytes of a page.
    pub page: u64,
    /// How many Landlock rulesets a process outside can stack.
    pub layers: Option<usize>,
}

/// Objects of System V and POSIX IPC that were made outside, for anybody to use.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ipc {
    /// The key of shared memory, of a message queue, and of semaphores.
    pub key: i64,
    /// Their identifiers.
    pub ids: [Option<i64>; 3],
    /// The name of a POSIX message queue.
    pub queue: String,
}

/// All promises, in the order of the table.
pub fn promises(plan: &Plan, world: &World) -> Vec<Promise> {
    let Some(context) = Context::of(plan, world) else { return Vec::new() };
    let mut promises = files::promises(&context);
    promises.extend(identity::promises(&context));
    promises.extend(kernel::promises(&context));
    promises.extend(processes::promises(&context));
    promises.extend(network::promises(&context));
    promises.extend(surroundings::promises(&context));
    promises
}

pub use files::is_hidden;

/// How many rulesets can be stacked: one more than there are room for is tried.
pub fn landlock_layers() -> Batch {
    kernel::landlock_layers()
}

pub use processes::{make_ipc, remove_ipc};

/// The session keyring's serial number.
pub fn session_keyring() -> Batch {
    let mut batch = Batch::default();
    const GET_KEYRING_ID: i64 = 0;
    const SESSION: i64 = -3;
    batch.call("keyctl", &[GET_KEYRING_ID.into(), SESSION.into(), 0.into()]);
    batch
}

/// The plan, taken apart.
struct Context<'a> {
    plan: &'a Plan,
    world: &'a World,
    policy: Option<&'a Policy>,
    process: &'a ExpectedProcess,
    mounts: &'a [ExpectedMount],
    /// Landlock's ABI, if it is used.
    landlock: Option<u32>,
    /// The limits on TCP ports, if there are any.
    ports: Option<&'a TcpPorts>,
    unshared: Unshared,
}

impl<'a> Context<'a> {
    /// `None` for a plan without the checks that every plan has.
    fn of(plan: &'a Plan, world: &'a World) -> Option<Self> {
        let steps = || plan.steps.iter().map(|p| &p.step);
        let process = steps().find_map(|s| match s {
            Step::CheckProcess(expected) => Some(expected),
            _ => None,
        })?;
        let mounts = steps().find_map(|s| match s {
            Step::CheckMounts(expected) => Some(expected.as_slice()),
            _ => None,
        })?;
        let landlock = steps().find_map(|s| match s {
            Step::LandlockRules { abi, .. } => Some(*abi),
            _ => None,
        });
        let ports = steps().find_map(|s| match s {
            Step::LandlockRules { ports, .. } if ports.limited() => Some(ports),
            _ => None,
        });
        let unshared = steps().find_map(|s| match s {
            Step::Unshare(unshared) => Some(*unshared),
            _ => None,
        });
        let unshared = unshared.unwrap_or(Unshared { net: false, ipc: false, uts: false, cgroup: false });
        // One that only logs is no wall, and was given up as if there were none.
        let policy = super::prober::policy(plan).filter(|p| !p.is(Action::Log));
        Some(Context { plan, world, policy, process, mounts, landlock, ports, unshared })
    }

    /// Whether the plan has such a step.
    fn has(&self, wanted: impl Fn(&Step) -> bool) -> bool {
        self.plan.steps.iter().any(|p| wanted(&p.step))
    }

    /// Who gave up a promise of this name.
    fn given(&self, what: &str) -> Option<String> {
        self.plan.given_up.iter().find(|g| g.what == what).map(|g| g.by.clone())
    }

    /// Whether the filter lets a call through, be it on a condition.
    fn passes(&self, call: &str) -> bool {
        self.policy.is_none_or(|p| p.allows_named(call))
    }

    /// Who lets these calls through, where the default list does not.
    fn by_calls(&self, calls: &[&str]) -> Option<String> {
        if !calls.iter().all(|c| self.passes(c)) {
            return None;
        }
        match self.policy {
            None => self.given("seccomp"),
            Some(_) => Some("system-calls".into()),
        }
    }

    /// A process outside, as a program inside would number it. In a pid namespace the numbers of the
    /// host mean nothing: one that no process of the jail will have by chance.
    fn outside(&self) -> i64 {
        const UNUSED: i64 = 4_000_000;
        if self.plan.supervision.pid_namespace && self.world.outside < 100_000 {
            UNUSED
        } else {
            self.world.outside.into()
        }
    }

    fn holds(&self, capability: &str) -> bool {
        let number = CAPABILITIES.iter().position(|c| *c == capability);
        number.is_some_and(|n| self.process.capabilities >> n & 1 == 1)
    }

    /// Who gives a capability with which the calls would work.
    fn by_capability(&self, capability: &str, calls: &[&str]) -> Option<String> {
        let works = self.holds(capability) && calls.iter().all(|c| self.passes(c));
        works.then(|| format!("capabilities {capability}"))
    }
}

// Numbers that every architecture of Linux shares: this module names no system crate.

const HERE: i64 = -100;
const O_WRONLY: i64 = 1;
const O_RDWR: i64 = 2;
const O_CREAT: i64 = 0o100;
const O_EXCL: i64 = 0o200;
const O_PATH: i64 = 0o10_000_000;
const O_CLOEXEC: i64 = 0o2_000_000;
const EPERM: i32 = 1;
const ENOENT: i32 = 2;
const ESRCH: i32 = 3;
const EBADF: i32 = 9;
const EACCES: i32 = 13;
const EROFS: i32 = 30;
const ENOSYS: i32 = 38;
const SIGCHLD: i64 = 17;
const CLONE_NEWNS: i64 = 0x2_0000;
const CLONE_NEWUSER: i64 = 0x1000_0000;

/// A batch of one call.
fn one(name: &str, arguments: &[Arg]) -> Batch {
    let mut batch = Batch::default();
    batch.call(name, arguments);
    batch
}

/// A batch that opens a path.
fn open(path: &str, flags: i64) -> Batch {
    let mut batch = Batch::default();
    open_in(&mut batch, path, flags, 0);
    batch
}

fn open_in(batch: &mut Batch, path: &str, flags: i64, mode: i64) -> Arg {
    let path = batch.text(path);
    batch.call("openat", &[HERE.into(), path, (flags | O_CLOEXEC).into(), mode.into()])
}
