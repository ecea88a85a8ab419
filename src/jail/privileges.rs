//! `[privileges]` resolved: capabilities, the system-call policy, and the walls around them.
//!
//! Must not know: how any of it is enforced.
#![forbid(unsafe_code)]

use super::feature::Feature;
use super::resolve::Context;
use super::{GivenUp, Namespaces, Privileges};
use crate::problem::{Kind, Problem, did_you_mean};
use crate::seccomp::{Action, Families, Policy};
use crate::spec::{Spec, SystemCallAction};

impl Context<'_> {
    /// Everything of `[privileges]`; `None` if there is no policy to go on with.
    pub(super) fn privileges(&mut self, spec: &Spec, namespaces: &Namespaces) -> Option<Privileges> {
        let capabilities = self.capabilities(spec, namespaces);
        let kernel = self.facts.kernel.clone();
        let landlock = kernel.landlock > 0;
        let landlock = self
            .wants(Feature::Landlock, landlock, "this kernel has no Landlock, or it is not in its lsm= list")
            .then(|| kernel.landlock.min(6));
        let seccomp = self.wants(Feature::Seccomp, kernel.seccomp, "this kernel was built without it");
        let keyring = self.wants(Feature::Keyring, kernel.keyrings, "this kernel has no keyrings");
        let mut deny = spec.privileges.memory_deny_write_execute.as_ref().is_none_or(|m| m.value);
        if !deny {
            let at = spec.privileges.memory_deny_write_execute.as_ref().map(|m| m.at);
            let what = Feature::MemoryDenyWriteExecute.name();
            self.given_up.push(GivenUp { what: what.into(), by: what.into(), at });
        } else {
            // Before Linux 6.3 the filter refuses such mappings instead.
            let why = "this kernel is older than Linux 6.3 and there is no filter that could do it";
            deny = self.wants(Feature::MemoryDenyWriteExecute, kernel.deny_write_execute || seccomp, why);
        }
        self.check_trace(spec, capabilities, landlock, namespaces);
        let session = namespaces.pid || !self.without.contains(&Feature::Session);
        let policy = self.policy(spec, seccomp)?;
        self.check_own_drop(spec, capabilities, &policy);
        let policy = policy.deny_write_execute(deny && !kernel.deny_write_execute);
        Some(Privileges {
            capabilities,
            last_capability: kernel.last_capability,
            system_calls: seccomp.then_some(policy),
            landlock,
            deny_write_execute: deny && kernel.deny_write_execute,
            session,
            keyring,
        })
    }

    /// The system-call list with the families of sockets and the action; what of them is given up.
    fn policy(&mut self, spec: &Spec, seccomp: bool) -> Option<Policy> {
        let privileges = &spec.privileges;
        let families = match &privileges.socket_families {
            None => Ok(Families::DEFAULT),
            Some(list) => crate::seccomp::families(list),
        };
        let (policy, families) = match (crate::seccomp::resolve(&privileges.system_calls), families) {
            (Ok(policy), Ok(families)) => (policy, families),
            (policy, families) => {
                let problems = [policy.err(), families.err()].into_iter().flatten();
                self.problems.0.extend(problems.flat_map(|p| p.0));
                return None;
            }
        };
        if let Some(list) = privileges.socket_families.as_ref().filter(|_| !seccomp) {
            let (what, by) = ("socket-families".into(), "--without seccomp".into());
            self.given_up.push(GivenUp { what, by, at: list.first().map(|f| f.at) });
        }
        let action = match privileges.system_call_action.as_ref().map(|a| (a.value, a.at)) {
            None | Some((SystemCallAction::Errno, _)) => Action::Errno,
            Some((SystemCallAction::Kill, _)) => Action::Kill,
            Some((SystemCallAction::Log, at)) => {
                if seccomp {
                    let (what, by) = (Feature::Seccomp.name().into(), "system-call-action = \"log\"".into());
                    self.given_up.push(GivenUp { what, by, at: Some(at) });
                }
                Action::Log
            }
        };
        Some(policy.socket_families(families).action(action))
    }

    /// A server that starts as root and drops by itself must be able to: some go on as root when
    /// the drop is refused, and serve as if nothing had happened (apache2, measured).
    fn check_own_drop(&mut self, spec: &Spec, capabilities: u64, policy: &Policy) {
        let refused = |capability: &str, call: &str| {
            let number = CAPABILITIES.iter().position(|known| *known == capability);
            number.is_some_and(|n| capabilities >> n & 1 == 1) && !policy.allows_named(call)
        };
        if refused("SETUID", "setuid") || refused("SETGID", "setgid") {
            let at = spec.privileges.capabilities.first().map(|c| c.at);
            self.problems.push(
                Problem::usage("the capability to change ids is given, but the system calls for it are not")
                    .at(at)
                    .help("write system-calls = [\"@service\", \"@setuid\"], or remove SETUID and SETGID"),
            );
        }
    }

    /// Until pid 1 is executed it shares the outer process's memory. CAP_SYS_PTRACE looks into what
    /// is not dumpable; Landlock alone then keeps the program from it. (In a user namespace it does
    /// not reach that memory, which belongs to the one outside.)
    fn check_trace(&mut self, spec: &Spec, capabilities: u64, landlock: Option<u32>, n: &Namespaces) {
        let number = CAPABILITIES.iter().position(|known| *known == "SYS_PTRACE");
        let held = number.is_some_and(|bit| capabilities >> bit & 1 == 1);
        if held && landlock.is_none() && n.pid && !n.user && n.range.is_none() {
            let at = spec.privileges.capabilities.first().map(|c| c.at);
            let problem = Problem::set_up(
                "with CAP_SYS_PTRACE and without Landlock the program could trace jail itself",
            );
            self.problems.push(
                problem.at(at).help("remove the capability: a program may trace its own children without it"),
            );
        }
    }

    fn capabilities(&mut self, spec: &Spec, namespaces: &Namespaces) -> u64 {
        let mut set = 0;
        for wanted in &spec.privileges.capabilities {
            let name = wanted.value.to_ascii_uppercase();
            let name = name.strip_prefix("CAP_").unwrap_or(&name);
            let Some(number) = CAPABILITIES.iter().position(|known| *known == name) else {
                let problem =
                    Problem::usage(format!("there is no capability `{}`", wanted.value)).at(wanted.at);
                self.problems.push(match did_you_mean(name, CAPABILITIES.iter().copied()) {
                    Some(near) => problem.help(format!("did you mean `{near}`?")),
                    None => problem.help("`jail help capabilities` lists them"),
                });
                continue;
            };
            set |= 1 << number;
            let problem = if let Some(problem) = Self::without_effect(name, namespaces) {
                problem
            } else if namespaces.user && !namespaces.net && name.starts_with("NET_") {
                Problem::set_up(format!("only root can give a program CAP_{name} over the host's network"))
                    .help("run jail as root, remove the capability, or write [network] mode = \"none\"")
            } else if !namespaces.user
                && namespaces.range.is_none()
                && self.facts.caller.capabilities >> number & 1 == 0
            {
                Problem::new(
                    Kind::SetUp,
                    format!("jail itself does not have CAP_{name}, so it cannot give it"),
                )
                .help("start jail with that capability (CapabilityBoundingSet= of its unit?), or remove it")
            } else {
                continue;
            };
            self.problems.push(problem.at(wanted.at));
        }
        set
    }
}

/// Capabilities by the kernel's number (linux/capability.h, Linux 6.18).
pub const CAPABILITIES: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];
