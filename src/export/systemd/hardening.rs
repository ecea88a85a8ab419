//! What the outer process is denied. The program in the jail has walls of its own; these are for the
//! moments before, when jail is root and sets them up.
//!
//! Which of systemd's settings jail works under was measured, each alone and all together
//! (tests/systemd). Must not know: anything else of the unit.
#![forbid(unsafe_code)]

use super::{Unit, shown};
use crate::jail::network::Endpoint;
use crate::jail::path::AbsPath;
use crate::jail::resolve::CAPABILITIES;
use crate::plan::{Plan, Step, TreeKind};
use crate::seccomp::{Answer, Policy};

/// What building a jail takes: namespaces and mounts (SYS_ADMIN), becoming the user and giving all up
/// (SETUID, SETGID, SETPCAP), files made for it (CHOWN, FOWNER), files that root alone may see or that
/// are another user's (DAC_OVERRIDE), and signalling it (KILL).
pub(super) const NEEDED: &[&str] =
    &["SYS_ADMIN", "SETUID", "SETGID", "SETPCAP", "CHOWN", "FOWNER", "DAC_OVERRIDE", "KILL"];

/// What some specs take: a loopback of its own, ports below 1024, limits above the caller's, priority.
const SOMETIMES: &[&str] = &["NET_ADMIN", "NET_BIND_SERVICE", "SYS_RESOURCE", "SYS_NICE"];

/// Groups of calls that no jail needs, each with calls that stand for it: a spec that lists one of them
/// means its program to have it.
const REFUSED: &[(&str, &[&str])] = &[
    ("@clock", &["adjtimex", "clock_adjtime", "clock_settime", "settimeofday"]),
    ("@cpu-emulation", &["modify_ldt"]),
    ("@debug", &["ptrace", "perf_event_open"]),
    ("@module", &["init_module", "finit_module", "delete_module"]),
    ("@obsolete", &[]),
    ("@raw-io", &["iopl", "ioperm"]),
    ("@reboot", &["reboot", "kexec_load"]),
    ("@swap", &["swapon", "swapoff"]),
];

/// AF_UNIX, AF_INET, AF_INET6, AF_NETLINK (linux/socket.h).
const FAMILIES: &[u64] = &[1, 2, 10, 16];

/// Devices that `DevicePolicy=closed` and `PrivateDevices=` leave.
const PLAIN_DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty", "shm"];

/// Adds all that this plan works under; without a plan, all that every plan works under.
pub fn harden(unit: &mut Unit, plan: Option<&Plan>, binary: &str) {
    unit.push(format_args!("\n"));
    unit.comment(
        "Hardening of the outer process. jail is root while it builds the jail, and keeps CAP_KILL alone once\n\
         the program runs.",
    );
    capabilities(unit, plan);
    unit.set("Neither jail nor a helper gains anything by executing a file.", &[("NoNewPrivileges", "yes")]);
    unit.set("jail sets every mode by itself; the program's mask is the spec's.", &[("UMask", "0077")]);
    kernel(unit, plan);
    calls(unit, plan);
    files(unit, plan, binary);
    left_out(unit);
}

/// Capabilities that the program keeps (none of the host's if it has a user namespace).
fn kept(plan: &Plan) -> u64 {
    let steps = || plan.steps.iter().map(|planned| &planned.step);
    if steps().any(|step| matches!(step, Step::UserNamespace { .. })) {
        return 0;
    }
    steps().find_map(|step| if let Step::Capabilities(set) = step { Some(*set) } else { None }).unwrap_or(0)
}

fn keeps(plan: &Plan, name: &str) -> bool {
    CAPABILITIES.iter().zip(0..64).any(|(known, bit)| *known == name && kept(plan) >> bit & 1 == 1)
}

fn capabilities(unit: &mut Unit, plan: Option<&Plan>) {
    let wants = |name: &&&str| match plan {
        None => NEEDED.contains(name) || SOMETIMES.contains(name),
        Some(plan) => NEEDED.contains(name) || keeps(plan, name) || takes(plan, name),
    };
    let names: Vec<String> = CAPABILITIES.iter().filter(wants).map(|name| format!("CAP_{name}")).collect();
    let reason = match plan {
        Some(_) => "To build it, and what the spec lets the program keep.",
        None => {
            "To build it. A spec that lets its program keep others needs them here, too:\n\
             systemctl edit jail@NAME, CapabilityBoundingSet=CAP_..."
        }
    };
    unit.set(reason, &[("CapabilityBoundingSet", &names.join(" "))]);
}

/// Whether one of the steps needs this capability of those that only some need.
fn takes(plan: &Plan, name: &str) -> bool {
    let low = |endpoint: &Endpoint| match endpoint {
        Endpoint::Tcp(address) | Endpoint::Udp(address) => (1..1024).contains(&address.port()),
        Endpoint::Unix { .. } => false,
    };
    plan.steps.iter().any(|planned| match &planned.step {
        Step::LoopbackUp => name == "NET_ADMIN",
        Step::Listen { socket, .. } => name == "NET_BIND_SERVICE" && low(&socket.endpoint),
        Step::RaiseLimit { .. } => name == "SYS_RESOURCE",
        Step::OomScoreAdjust(score) => name == "SYS_RESOURCE" && *score < 0,
        Step::Nice(value) => name == "SYS_NICE" && *value < 0,
        _ => false,
    })
}

/// What of the kernel itself can be closed. Each is left out if the spec gives the program its
/// capability.
fn kernel(unit: &mut Unit, plan: Option<&Plan>) {
    let lines = [
        ("ProtectClock", "SYS_TIME"),
        ("ProtectKernelLogs", "SYSLOG"),
        ("ProtectKernelModules", "SYS_MODULE"),
        ("ProtectKernelTunables", ""),
        ("RestrictRealtime", "SYS_NICE"),
    ];
    let closed = lines.iter().filter(|(_, capability)| !plan.is_some_and(|plan| keeps(plan, capability)));
    let closed: Vec<(&str, &str)> = closed.map(|(key, _)| (*key, "yes")).collect();
    unit.set("No part of building a jail.", &closed);
    unit.set(
        "What is mounted here stays here. (The settings above make a mount namespace in any case.)",
        &[("PrivateMounts", "yes")],
    );
    let limited = plan.is_none_or(|plan| plan.steps.iter().any(|p| matches!(p.step, Step::Group(_))));
    if limited {
        unit.set("For [limits], jail makes a group of its own in that of the unit.", &[("Delegate", "yes")]);
    } else {
        unit.set("jail makes no cgroup, for the spec has no [limits].", &[("ProtectControlGroups", "yes")]);
    }
}

fn calls(unit: &mut Unit, plan: Option<&Plan>) {
    let policy = plan.map(|plan| {
        plan.steps.iter().find_map(|planned| match &planned.step {
            Step::Seccomp(policy) => Some(policy),
            _ => None,
        })
    });
    unit.set(
        "Filters of systemd's own stay with the program, before those of the jail. Calls that every filter\n\
         allows whatever their arguments cost nothing more (since Linux 5.11); only socket and the like do.\n\
         Through the 32-bit or x32 entry a program is killed, where the jail alone answers ENOSYS.",
        &[("SystemCallArchitectures", "native")],
    );
    // Given up in the spec: the program may make any.
    if matches!(policy, Some(None)) {
        return unit.comment("No SystemCallFilter=, no RestrictAddressFamilies=: this jail has no filter.");
    }
    let policy = policy.flatten();
    let lists = |calls: &[&str]| policy.is_some_and(|policy| calls.iter().any(|c| policy.allows_named(c)));
    let refused: Vec<&str> = REFUSED.iter().filter(|(_, calls)| !lists(calls)).map(|(g, _)| *g).collect();
    unit.set(
        "EPERM, as the jail's own list answers.",
        &[("SystemCallFilter", &format!("~{}", refused.join(" "))), ("SystemCallErrorNumber", "EPERM")],
    );
    if policy.is_none_or(only_plain_families) {
        unit.set(
            "jail and libc need no others; the spec narrows them for the program.",
            &[("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6 AF_NETLINK")],
        );
    } else {
        unit.comment("No RestrictAddressFamilies=: the spec's socket-families has others than usual.");
    }
}

/// Whether the program can make no socket beyond [`FAMILIES`].
fn only_plain_families(policy: &Policy) -> bool {
    let Some(socket) = crate::seccomp::number("socket") else { return false };
    let made = |family: &u64| policy.answer(socket, [*family, 1, 0, 0, 0, 0]) == Answer::Kernel;
    !(0..64).filter(made).any(|family| !FAMILIES.contains(&family))
}

/// Mounts of systemd's own around jail. The program sees none of it, but what is hidden here cannot be
/// shown there: each only if the spec names nothing below it, and so none in the template.
fn files(unit: &mut Unit, plan: Option<&Plan>, binary: &str) {
    let Some(plan) = plan else {
        return unit.comment(
            "No DevicePolicy=, PrivateDevices=, ProtectSystem=, ProtectHome=, PrivateTmp=: a spec may show\n\
             what they hide. `jail systemd NAME` sets those that do not matter to its spec.",
        );
    };
    let below = |path: &AbsPath, tops: &[&str]| {
        tops.iter().any(|top| AbsPath::new(top).is_ok_and(|top| path.is_within(&top) || top.is_within(path)))
    };
    let binary = AbsPath::new(binary).ok();
    let all = || shown(plan).chain(&binary);
    let mut lines: Vec<(&str, &str)> = Vec::new();
    // A device has a step of its own, which is not one of the directories that are shown.
    if devices(plan).all(|name| PLAIN_DEVICES.contains(&name))
        && !trees(plan).any(|path| below(path, &["/dev"]))
    {
        lines.extend([("PrivateDevices", "yes"), ("DevicePolicy", "closed")]);
    }
    if !written(plan).any(|path| below(path, &["/usr", "/boot", "/efi", "/etc"])) {
        lines.push(("ProtectSystem", "full"));
    }
    if !all().any(|path| below(path, &["/home", "/root", "/run/user"])) {
        lines.push(("ProtectHome", "yes"));
    }
    if !all().any(|path| below(path, &["/tmp", "/var/tmp"])) {
        lines.push(("PrivateTmp", "yes"));
    }
    if !lines.is_empty() {
        unit.set("The spec shows or writes nothing there.", &lines);
    }
}

/// The directories and files of the host that it shows, without devices.
fn trees(plan: &Plan) -> impl Iterator<Item = &AbsPath> {
    plan.steps.iter().filter_map(|planned| match &planned.step {
        Step::OpenTree { source, kind, .. } if *kind != TreeKind::Device => Some(source),
        _ => None,
    })
}

/// Names of the devices that it shows, relative to /dev.
fn devices(plan: &Plan) -> impl Iterator<Item = &str> {
    plan.steps.iter().filter_map(|planned| match &planned.step {
        Step::OpenTree { source, kind: TreeKind::Device, .. } => source.as_str().strip_prefix("/dev/"),
        _ => None,
    })
}

/// What it writes to on the host.
fn written(plan: &Plan) -> impl Iterator<Item = &AbsPath> {
    plan.steps.iter().filter_map(|planned| match &planned.step {
        Step::OpenTree { source, attributes, .. } if !attributes.read_only => Some(source),
        Step::CreateDirectory { path, .. } => Some(path),
        Step::Listen { socket, .. } => match &socket.endpoint {
            Endpoint::Unix { path, .. } => Some(path),
            _ => None,
        },
        _ => None,
    })
}

fn left_out(unit: &mut Unit) {
    unit.comment(
        "Left out, because jail would not start: ProtectHostname= (it names its own host), RestrictSUIDSGID=\n\
         (refuses openat2), RestrictNamespaces= (it makes them), User= and PrivateUsers= (it builds as root),\n\
         ~@mount, ~@privileged and ~@resources of SystemCallFilter=.\n\
         Left out, because the spec decides for the program: IPAddressDeny=, PrivateNetwork=,\n\
         MemoryDenyWriteExecute=, LockPersonality= (refuses to tell it). ProtectSystem=strict: what the spec lets it write would silently be\n\
         read-only. ProtectProc= and ProcSubset=: jail looks at its own processes.",
    );
}
