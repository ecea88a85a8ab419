//! The plan as text for people and as JSON for programs.
//!
//! Must not know: how a step is done.
#![forbid(unsafe_code)]

mod groups;

use super::build::{FIRST_PASSED, in_phase};
use super::{Access, Attributes, Live, PHASES, Plan, Planned, Step, TreeKind, Unshared};
use crate::jail::Ids;
use crate::jail::network::{Endpoint, Listen, TcpPorts};
use crate::jail::notify::Notify;
use crate::jail::path::AbsPath;
use crate::jail::range::{Owners, Range};
use crate::jail::resolve::CAPABILITIES;
use crate::jail::signals;
use crate::problem::{Paint, Sources, printable};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Every step, by phase, each with the spec line that asked for it.
pub fn text(plan: &Plan, sources: &Sources, paint: Paint) -> String {
    let mut out = format!("jail {}: {} steps\n", plan.name, plan.steps.len());
    for (phase, name, reason) in PHASES {
        let mut steps = in_phase(plan, *phase).peekable();
        if steps.peek().is_none() {
            continue;
        }
        out += &format!("\n{}\n", paint.blue(name));
        for line in wrap(reason, 90) {
            out += &format!("      {}\n", paint.dim(&line));
        }
        for (index, planned) in steps {
            let words = printable(&describe(&planned.step));
            let from =
                origin(planned, sources).map_or(String::new(), |place| format!("   {}", paint.dim(&place)));
            out += &format!("{:4}  {words}{from}\n", index + 1);
        }
    }
    out += &format!("\n{}\n", paint.blue("while it runs"));
    for line in supervision(plan) {
        out += &format!("      {line}\n");
    }
    if !plan.given_up.is_empty() {
        out += &format!("\n{}\n", paint.red("given up"));
        for given in &plan.given_up {
            let place =
                given.at.and_then(|at| sources.locate(at)).map_or(String::new(), |(p, _)| format!("   {p}"));
            out += &format!("      {} (by {}){place}\n", given.what, given.by);
        }
    }
    out
}

/// Breaks a sentence at blanks.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn origin(planned: &Planned, sources: &Sources) -> Option<String> {
    sources.locate(planned.at?).map(|(place, _)| place)
}

fn supervision(plan: &Plan) -> Vec<String> {
    let rules = &plan.supervision;
    if !plan.steps.iter().any(|p| matches!(p.step, Step::Isolate { .. })) {
        return vec!["a small process waits outside the group, and removes it once it is empty".into()];
    }
    if !rules.pid_namespace {
        return vec!["the program is executed in place: no other process stays".into()];
    }
    let timeout = match rules.stop_timeout {
        0 => "never killed".into(),
        ms => format!("killed after {} s", ms as f64 / 1000.0),
    };
    let mut lines = vec![
        "the outer process waits, forwards signals, and ends as the program ends".into(),
        format!("SIGTERM becomes {}, {timeout}", signals::name(rules.stop_signal)),
        format!("SIGHUP becomes {}", signals::name(rules.reload_signal)),
    ];
    if rules.forking {
        let file = plan.main_pid_file.as_ref();
        let file = file.map_or(String::new(), |file| format!(", or the one that {file} names"));
        lines.push(format!("the program may daemonise: the jail ends with the last process{file}"));
    }
    if rules.terminal {
        lines.push("the program has a terminal of its own, relayed to the caller's".into());
    }
    lines.extend(live(&plan.live));
    lines
}

/// What follows the host, and what the outer process keeps for it.
fn live(live: &Live) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (reload, then) in [(false, ""), (true, ", then the program gets its reload signal")] {
        let followed = live.sources.iter().filter(|source| source.reload == reload && !source.directory);
        let names: Vec<String> = followed.map(|source| printable(source.path.as_str())).collect();
        if !names.is_empty() {
            lines.push(format!("copies follow the host's files{then}: {}", names.join(" ")));
        }
    }
    if live.capabilities != 0 {
        let words = capability_words(live.capabilities);
        lines.push(format!("for that the outer process keeps {words}, beside KILL"));
    }
    lines
}

/// One step in words.
pub fn describe(step: &Step) -> String {
    match step {
        Step::Isolate { pid, user } => isolate(*pid, user.is_some()),
        Step::MakePrivate => "make every mount private".into(),
        Step::UserNamespace { range, owners } => user_namespace(*range, owners),
        Step::CreateDirectory { path, mode, owner } => {
            format!("create {path} on the host, mode {mode:04o}, {}", ids(*owner))
        }
        Step::OpenTree { source, kind, attributes, .. } => {
            format!("open {} {source}, {}", tree_kind(*kind), attribute_words(*attributes))
        }
        Step::MapOwners { source, .. } => format!("map owners in {source}: root on disk is nobody"),
        Step::OpenFile { source, .. } => format!("open file {source}"),
        Step::LeaveGroup { .. } | Step::Group(_) | Step::GroupOf { .. } | Step::JoinGroups(_) => {
            groups::describe(step)
        }
        Step::RaiseLimit { resource, hard } => {
            format!("let {} be limited to {}", resource.name, limit(*hard))
        }
        Step::Listen { descriptor, socket } => listen(*descriptor, socket),
        Step::Rlimit { resource, soft, hard } => {
            format!("limit {} to {} (hard {})", resource.name, limit(*soft), limit(*hard))
        }
        Step::OomScoreAdjust(value) => format!("oom_score_adj {value}"),
        Step::Nice(value) => format!("nice {value}"),
        Step::Unshare(namespaces) => format!("new namespaces: {}", unshared(*namespaces)),
        Step::LoopbackUp => "bring up lo".into(),
        Step::Keyring => "new session keyring".into(),
        Step::NewRoot(limits) => {
            format!("new root: tmpfs of {} with {} inodes", bytes(limits.size), limits.inodes)
        }
        Step::AttachRoot { .. } => "new root: that directory".into(),
        Step::Directory { path, mode } => format!("directory {path}, mode {mode:04o}"),
        Step::Link { path, target } => format!("link {path} -> {target}"),
        Step::Text { path, content, mode, owner } => {
            format!("file {path}, {} bytes, mode {mode:04o}, {}", content.len(), ids(*owner))
        }
        Step::Copy { path, mode, owner, .. } => {
            let mode = mode.map_or(String::new(), |m| format!(", mode {m:04o}"));
            format!("copy to {path}{mode}{}", owner.map_or(String::new(), |o| format!(", {}", ids(o))))
        }
        Step::Attach { path, .. } => format!("attach at {path}"),
        Step::Tmpfs { path, limits, owner, attributes, directories, .. } => {
            let below = if directories.is_empty() {
                String::new()
            } else {
                format!(", with {}", directories.join(" "))
            };
            format!(
                "tmpfs {path}, {} with {} inodes, mode {:04o}, {}, {}{below}",
                bytes(limits.size),
                limits.inodes,
                limits.mode,
                ids(*owner),
                attribute_words(*attributes)
            )
        }
        Step::Devpts { path, .. } => format!("devpts {path}"),
        Step::Proc { path, subset, .. } => {
            let subset = if *subset { "process directories only" } else { "all of it, read-only" };
            format!("proc {path}, {subset}, others hidden")
        }
        Step::NotifySocket(n) => format!("socket {}, passed on to {}", n.inside, n.manager),
        Step::KeepLive { mounts } => {
            let mounts: Vec<&str> = mounts.iter().map(AbsPath::as_str).collect();
            format!("keep a writable view of the copies outside: {}", mounts.join(" "))
        }
        Step::PivotRoot => "pivot into the new root, detach the old one".into(),
        Step::SealRoot => "make / read-only".into(),
        Step::CheckMounts(expected) => {
            format!("check: these {} mounts and no other, as planned", expected.len())
        }
        Step::LandlockRules { abi, rules, ports } => {
            let rules: Vec<String> = rules.iter().map(|(p, a)| format!("{p} {}", access(*a))).collect();
            format!("Landlock rules (ABI {abi}): {}{}", rules.join(", "), tcp_ports(ports))
        }
        Step::Hostname(name) => format!("host name {name}"),
        Step::Umask(mask) => format!("umask {mask:04o}"),
        Step::WorkingDirectory(path) => format!("working directory {path}"),
        Step::EnterUserNamespace | Step::JoinUserNamespace => "enter the user namespace".into(),
        Step::Join(_) => "join the namespaces of the running jail".into(),
        Step::BoundingSet { keep, .. } => format!("bounding set: {}", capability_words(*keep)),
        Step::Groups(None) => "groups: the caller's stay (given up)".into(),
        Step::Groups(Some(groups)) if groups.is_empty() => "groups: none".into(),
        Step::Groups(Some(groups)) => {
            format!("groups: {}", groups.iter().map(u32::to_string).collect::<Vec<_>>().join(" "))
        }
        Step::Gid(gid) => format!("gid {gid}"),
        Step::Uid(uid) => format!("uid {uid}"),
        Step::Capabilities(set) => format!("capabilities: {}; securebits locked", capability_words(*set)),
        Step::NoNewPrivileges => "no new privileges".into(),
        Step::DieWithParent => "die with the outer process".into(),
        Step::ResetProcess => "signals, mask and personality to their defaults".into(),
        Step::Session { terminal: false } => "new session, no terminal".into(),
        Step::Session { terminal: true } => "new session on a terminal of its own".into(),
        Step::DenyWriteExecute => "no memory both writable and executable".into(),
        Step::LandlockRestrict => "enforce Landlock".into(),
        Step::CloseDescriptors => "close every descriptor but 0-2".into(),
        Step::PassSockets { names, .. } => {
            let each = (FIRST_PASSED..).zip(names).map(|(n, name)| format!("{n} {name}"));
            format!("pass on as LISTEN_FDS: {}", each.collect::<Vec<_>>().join(", "))
        }
        Step::AnnounceManager(n) => announced(n),
        Step::PortFilter => {
            "system calls: no MPTCP, SCTP and SMC sockets, no TCP Fast Open, whose ports Landlock does not see".into()
        }
        Step::Seccomp(policy) => format!("system calls: {}", policy.summary()),
        Step::CheckProcess(e) => format!(
            "check: uid {}, gid {}, groups, {}, no_new_privs, seccomp",
            e.uid,
            e.gid,
            if e.capabilities == 0 {
                "all capability sets empty".into()
            } else {
                capability_words(e.capabilities)
            }
        ),
        Step::OpenProber { .. } => "open the built-in prober".into(),
        Step::ExecuteProber { .. } => "execute the built-in prober".into(),
        Step::Execute { candidates, arguments, environment } => {
            let program = match candidates.as_slice() {
                [one] => one.to_string(),
                _ => arguments.first().cloned().unwrap_or_default(),
            };
            let rest: Vec<String> = arguments.iter().skip(1).map(|a| quoted(a)).collect();
            let names: Vec<&str> = environment.iter().map(|(k, _)| k.as_str()).collect();
            format!(
                "execute {}   (environment: {})",
                [vec![program], rest].concat().join(" "),
                names.join(" ")
            )
        }
    }
}

fn listen(descriptor: u32, socket: &Listen) -> String {
    let mut line = format!("listen on {}, descriptor {descriptor}", socket.endpoint);
    match &socket.endpoint {
        Endpoint::Udp(_) => {}
        Endpoint::Tcp(_) => line += &format!(", backlog {}", socket.backlog),
        Endpoint::Unix { mode, uid, gid, .. } => {
            line += &format!(", backlog {}, mode {mode:04o}", socket.backlog);
            let id = |id: &Option<u32>| id.map_or("the caller".into(), |id| id.to_string());
            if uid.is_some() || gid.is_some() {
                line += &format!(", owner {}:{}", id(uid), id(gid));
            }
        }
    }
    if socket.non_blocking {
        line += ", non-blocking";
    }
    line
}

fn announced(notify: &Notify) -> String {
    let watchdog =
        notify.watchdog.map_or(String::new(), |usec| format!(" WATCHDOG_USEC={usec} WATCHDOG_PID"));
    format!("pass on NOTIFY_SOCKET={}{watchdog}", notify.inside)
}

fn tcp_ports(ports: &TcpPorts) -> String {
    let words = |verb: &str, ports: &Option<Vec<u16>>| match ports.as_deref() {
        None => String::new(),
        Some([]) => format!("; TCP {verb} none"),
        Some(ports) => {
            format!("; TCP {verb} {}", ports.iter().map(u16::to_string).collect::<Vec<_>>().join(" "))
        }
    };
    words("bind", &ports.bind) + &words("connect", &ports.connect)
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

fn isolate(pid: bool, user: bool) -> String {
    let mut names = vec!["mount"];
    if pid {
        names.push("pid");
    }
    if user {
        names.push("user");
    }
    format!("new namespaces: {}", names.join(" "))
}

fn limit(value: Option<u64>) -> String {
    value.map_or("unlimited".into(), |value| value.to_string())
}

fn user_namespace(range: Range, owners: &Owners) -> String {
    let map = range.processes().into_iter().map(|e| match e.count {
        1 => format!("{} is {} outside", e.inside, e.outside),
        n => format!("{}-{} are {}-{}", e.inside, e.inside + n - 1, e.outside, e.outside + n - 1),
    });
    let mut out = format!("new user namespace: {}", map.collect::<Vec<_>>().join(", "));
    let list = |what: &str, kept: &BTreeSet<u32>| {
        let kept: Vec<String> = kept.iter().map(u32::to_string).collect();
        (!kept.is_empty()).then(|| format!("{what} {}", kept.join(" ")))
    };
    let kept: Vec<String> =
        list("users", &owners.uids).into_iter().chain(list("groups", &owners.gids)).collect();
    if !kept.is_empty() {
        out += &format!("; themselves on disk: {}", kept.join(", "));
    }
    out
}

fn unshared(n: Unshared) -> String {
    let all = [(n.net, "net"), (n.ipc, "ipc"), (n.uts, "uts"), (n.cgroup, "cgroup")];
    all.iter().filter(|x| x.0).map(|x| x.1).collect::<Vec<_>>().join(" ")
}

fn ids(owner: Ids) -> String {
    format!("owner {}:{}", owner.uid, owner.gid)
}

/// A size in the largest unit that divides it.
pub fn bytes(n: u64) -> String {
    match n {
        n if n >= 1 << 30 && n % (1 << 30) == 0 => format!("{} GiB", n >> 30),
        n if n >= 1 << 20 && n % (1 << 20) == 0 => format!("{} MiB", n >> 20),
        n if n >= 1 << 10 && n % (1 << 10) == 0 => format!("{} KiB", n >> 10),
        n => format!("{n} bytes"),
    }
}

fn tree_kind(kind: TreeKind) -> &'static str {
    match kind {
        TreeKind::Directory => "directory",
        TreeKind::File => "file",
        TreeKind::Special => "socket",
        TreeKind::Device => "device",
    }
}

fn attribute_words(a: Attributes) -> String {
    let mut words = vec![if a.read_only { "ro" } else { "rw" }, "nosuid"];
    if a.no_dev {
        words.push("nodev");
    }
    if a.no_exec {
        words.push("noexec");
    }
    words.join(",")
}

fn access(access: Access) -> &'static str {
    match access {
        Access::List => "list",
        Access::Read => "read",
        Access::Execute => "read+execute",
        Access::Write => "write",
        Access::WriteExecute => "write+execute",
        Access::Device => "device",
    }
}

/// Names of a capability set.
pub fn capability_words(set: u64) -> String {
    if set == 0 {
        return "none".into();
    }
    let names = CAPABILITIES.iter().enumerate().filter(|(n, _)| set >> n & 1 == 1).map(|(_, name)| *name);
    names.collect::<Vec<_>>().join(" ")
}

/// The plan as JSON: stable keys, one object per step.
pub fn json(plan: &Plan, sources: &Sources) -> String {
    let steps: Vec<Value> = plan
        .steps
        .iter()
        .enumerate()
        .map(|(index, planned)| {
            json!({
                "number": index + 1,
                "phase": planned.step.phase().name(),
                "step": step_name(&planned.step),
                "text": describe(&planned.step),
                "from": origin(planned, sources),
            })
        })
        .collect();
    let rules = &plan.supervision;
    let value = json!({
        "name": plan.name,
        "steps": steps,
        "supervision": {
            "pid-namespace": rules.pid_namespace,
            "stop-signal": signals::name(rules.stop_signal),
            "reload-signal": signals::name(rules.reload_signal),
            "stop-timeout-ms": rules.stop_timeout,
            "terminal": rules.terminal,
            "forking": rules.forking,
            "main-pid-file": plan.main_pid_file.as_ref().map(|file| file.as_str()),
        },
        "live": {
            "files": plan.live.sources.iter().filter(|s| !s.directory).map(|s| s.path.as_str()).collect::<Vec<_>>(),
            "capabilities": capability_words(plan.live.capabilities),
        },
        "given-up": plan.given_up.iter().map(|g| json!({ "what": g.what, "by": g.by })).collect::<Vec<_>>(),
    });
    format!("{value:#}\n")
}

/// The variant's name in kebab case.
fn step_name(step: &Step) -> String {
    let debug = format!("{step:?}");
    let end = debug.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(debug.len());
    let mut out = String::new();
    for (i, c) in debug[..end].char_indices() {
        if c.is_ascii_uppercase() && i > 0 {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}
