//! Makes the plan: each part of the jail becomes its steps, in the order of the phases.
//!
//! Must not know: how a step is done. A new kind of place is one arm in [`place_steps`].
#![forbid(unsafe_code)]

use super::live::{live, mounts};
use super::{
    Access, Attributes, ExpectedMount, ExpectedProcess, Phase, Plan, Planned, Step, Supervision, TmpfsLimits,
    TreeKind, Unshared, UserMap,
};
use crate::jail::network::Network;
use crate::jail::path::AbsPath;
use crate::jail::range::{Owners, Range};
use crate::jail::resolve::Feature;
use crate::jail::{Jail, Place, Root, What};
use crate::problem::Span;
use std::collections::{BTreeMap, BTreeSet};

/// Most bytes of a file that is copied into the jail's memory.
pub const COPY_LIMIT: usize = crate::jail::tree::COPY_LIMIT as usize;

/// SD_LISTEN_FDS_START.
pub const FIRST_PASSED: u32 = 3;

/// The skeleton's own tmpfs: directories, links, and copies of small files.
const ROOT_LIMITS: TmpfsLimits = TmpfsLimits { size: 32 << 20, inodes: 8192, mode: 0o755 };

const READ_ONLY: Attributes = Attributes { read_only: true, no_exec: true, no_dev: true };
const WRITABLE: Attributes = Attributes { read_only: false, no_exec: true, no_dev: true };

/// The plan of a jail. Pure: the same jail gives the same plan.
pub fn build(jail: &Jail) -> Plan {
    let users = jail.namespaces.range.map(|range| (range, jail.owners.clone()));
    let mut steps = Steps { users, exec_by_name: jail.exec.is_some(), ..Steps::default() };
    steps.private(jail);
    steps.sockets(jail);
    steps.limits(jail);
    steps.namespaces(jail);
    steps.root(jail);
    steps.identity(jail);
    steps.drop_privileges(jail);
    steps.seal(jail);
    // Stable: inside a phase the order of writing above holds.
    steps.list.sort_by_key(|p| p.step.phase());
    // Kept as long as the program runs.
    steps.list.shrink_to_fit();
    Plan {
        name: jail.name.clone(),
        steps: steps.list,
        supervision: Supervision {
            pid_namespace: jail.namespaces.pid,
            stop_signal: jail.process.stop_signal,
            reload_signal: jail.process.reload_signal,
            stop_timeout: jail.process.stop_timeout,
            terminal: jail.process.terminal,
            forking: jail.process.forking,
        },
        main_pid_file: jail.process.main_pid_file.clone(),
        live: live(jail),
        given_up: jail.given_up.clone(),
        hooks: jail.limits.hooks.clone(),
    }
}

/// The program's supplementary groups; `None`: the caller's, which were given up to it.
fn groups(jail: &Jail) -> Option<Vec<u32>> {
    let given_up = jail.given_up.iter().any(|g| g.what == Feature::Groups.name());
    (!given_up).then(|| jail.process.identity.groups.clone())
}

#[derive(Default)]
struct Steps {
    list: Vec<Planned>,
    slots: usize,
    /// With a user namespace, what is writable has its owners mapped.
    users: Option<(Range, Owners)>,
    expected: Vec<ExpectedMount>,
    rules: Vec<(AbsPath, Access)>,
    ruled: BTreeSet<(AbsPath, Access)>,
    /// Programs are named one by one: places as a whole do not execute.
    exec_by_name: bool,
}

impl Steps {
    fn add(&mut self, step: Step, at: Option<Span>) {
        self.list.push(Planned { step, at });
    }

    fn slot(&mut self) -> usize {
        self.slots += 1;
        self.slots - 1
    }

    fn private(&mut self, jail: &Jail) {
        let identity = &jail.process.identity;
        let user =
            identity.mapped.map(|(uid, gid)| UserMap { uid: (identity.uid, uid), gid: (identity.gid, gid) });
        self.add(Step::Isolate { pid: jail.namespaces.pid, user }, None);
        self.add(Step::MakePrivate, None);
        if let Some(range) = jail.namespaces.range {
            self.add(Step::UserNamespace { range, owners: jail.owners.clone() }, None);
        }
    }

    /// Before all else: no other step needs as little, and none so often fails.
    fn sockets(&mut self, jail: &Jail) {
        let first = FIRST_PASSED + u32::try_from(jail.network.inherited.len()).unwrap_or(u32::MAX / 2);
        for (descriptor, socket) in (first..).zip(&jail.network.listen) {
            self.add(Step::Listen { descriptor, socket: socket.clone() }, Some(socket.at));
        }
    }

    fn limits(&mut self, jail: &Jail) {
        for group in &jail.limits.groups {
            if let Some(leaf) = &group.leaf {
                self.add(Step::LeaveGroup { base: group.base.clone(), leaf: leaf.clone() }, None);
            }
        }
        for group in &jail.limits.groups {
            let at = group.limits.iter().find_map(|write| write.at);
            self.add(Step::Group(group.clone()), at);
        }
        for (resource, limit, at) in &jail.process.rlimits {
            // Nothing is below 0.
            if limit.hard != Some(0) {
                self.add(Step::RaiseLimit { resource: *resource, hard: limit.hard }, *at);
            }
        }
        if let Some(score) = &jail.process.oom_score_adjust {
            self.add(Step::OomScoreAdjust(score.value), Some(score.at));
        }
        self.add(Step::Nice(jail.process.nice), None);
    }

    fn namespaces(&mut self, jail: &Jail) {
        let n = jail.namespaces;
        let unshared = Unshared { net: n.net, ipc: n.ipc, uts: n.uts, cgroup: n.cgroup };
        if unshared != (Unshared { net: false, ipc: false, uts: false, cgroup: false }) {
            self.add(Step::Unshare(unshared), None);
        }
        if n.net {
            self.add(Step::LoopbackUp, None);
        }
        if jail.privileges.keyring {
            self.add(Step::Keyring, None);
        }
    }

    fn root(&mut self, jail: &Jail) {
        let ours = match &jail.root {
            Root::Skeleton => {
                self.add(Step::NewRoot(ROOT_LIMITS), None);
                self.expect(&AbsPath::root(), READ_ONLY, Some("tmpfs"));
                // A link on the host may come to lead to a directory that is not there yet.
                let access = if jail.live.is_empty() { Access::List } else { Access::Read };
                self.rules.push((AbsPath::root(), access));
                true
            }
            Root::Directory { source, write, at } => {
                let slot = self.slot();
                let attributes = Attributes { read_only: !write, no_exec: false, no_dev: true };
                self.open_tree(slot, source, TreeKind::Directory, attributes, Some(*at));
                self.add(Step::AttachRoot { slot }, Some(*at));
                self.expect(&AbsPath::root(), attributes, None);
                let access = if *write { Access::WriteExecute } else { Access::Execute };
                self.allow(AbsPath::root(), access);
                false
            }
        };
        let places: BTreeMap<&str, &What> = jail.places.iter().map(|p| (p.path.as_str(), &p.what)).collect();
        for place in &jail.places {
            let make = ours_at(&places, &place.path).unwrap_or(ours);
            place_steps(self, place, make, jail.namespaces.user);
        }
        if let (Some(notify), true) = (&jail.notify, jail.namespaces.pid) {
            self.add(Step::NotifySocket(notify.clone()), None);
        }
        let mounts = mounts(jail);
        if !mounts.is_empty() && jail.namespaces.pid {
            self.add(Step::KeepLive { mounts }, None);
        }
        self.add(Step::PivotRoot, None);
        if ours {
            self.add(Step::SealRoot, None);
        }
        let expected = std::mem::take(&mut self.expected);
        self.add(Step::CheckMounts(expected), None);
        if let Some(abi) = jail.privileges.landlock {
            let mut rules = std::mem::take(&mut self.rules);
            let programs = jail.exec.iter().flatten();
            rules.extend(programs.map(|program| (program.clone(), Access::Execute)));
            let ports = jail.network.ports.clone();
            self.add(Step::LandlockRules { abi, rules, ports }, None);
        }
    }

    fn expect(&mut self, path: &AbsPath, attributes: Attributes, kind: Option<&'static str>) {
        let id_mapped = self.users.is_some() && kind.is_none() && !attributes.read_only;
        self.expected.push(ExpectedMount { path: path.clone(), attributes, kind, id_mapped });
    }

    /// Opens a tree of the host. Without a map, what root inside writes would belong to an id that
    /// nobody outside knows.
    fn open_tree(
        &mut self,
        slot: usize,
        source: &AbsPath,
        kind: TreeKind,
        attributes: Attributes,
        at: Option<Span>,
    ) {
        self.add(Step::OpenTree { slot, source: source.clone(), kind, attributes }, at);
        if self.users.is_some() && !attributes.read_only {
            self.add(Step::MapOwners { slot, source: source.clone() }, at);
        }
    }

    /// A rule for a file that lies in the skeleton itself: one for its directory serves all.
    fn allow_reading(&mut self, path: &AbsPath) {
        let directory = path.parent().filter(|p| *p != AbsPath::root()).unwrap_or_else(|| path.clone());
        self.allow_once(directory, Access::Read);
    }

    fn allow(&mut self, path: AbsPath, access: Access) {
        self.rules.push((path, self.by_name(access)));
    }

    /// The rights of a whole place, where programs may be named one by one.
    fn by_name(&self, access: Access) -> Access {
        match access {
            Access::Execute if self.exec_by_name => Access::Read,
            Access::WriteExecute if self.exec_by_name => Access::Write,
            other => other,
        }
    }

    /// Rules of one path add up.
    fn allow_once(&mut self, path: AbsPath, access: Access) {
        let access = self.by_name(access);
        if self.ruled.insert((path.clone(), access)) {
            self.rules.push((path, access));
        }
    }

    fn identity(&mut self, jail: &Jail) {
        if jail.namespaces.uts {
            // HOST_NAME_MAX is 64; a jail's name is ASCII.
            self.add(Step::Hostname(jail.name.chars().take(64).collect()), None);
        }
        self.add(Step::Umask(jail.process.umask), None);
        self.add(Step::WorkingDirectory(jail.process.cwd.clone()), jail.process.cwd_at);
    }

    fn drop_privileges(&mut self, jail: &Jail) {
        let identity = &jail.process.identity;
        let privileges = &jail.privileges;
        if jail.namespaces.range.is_some() {
            self.add(Step::EnterUserNamespace, None);
        }
        self.add(Step::BoundingSet { keep: privileges.capabilities, last: privileges.last_capability }, None);
        match groups(jail) {
            // Without root there is no right to set them, and no need: the caller has none.
            Some(_) if identity.mapped.is_some() => {}
            groups => self.add(Step::Groups(groups), identity.at),
        }
        self.add(Step::Gid(identity.gid), identity.at);
        self.add(Step::Uid(identity.uid), identity.at);
        self.add(Step::Capabilities(privileges.capabilities), None);
        self.add(Step::NoNewPrivileges, None);
        if jail.namespaces.pid {
            self.add(Step::DieWithParent, None);
        }
    }

    fn seal(&mut self, jail: &Jail) {
        let privileges = &jail.privileges;
        let identity = &jail.process.identity;
        self.add(Step::ResetProcess, None);
        if privileges.session {
            self.add(Step::Session { terminal: jail.process.terminal }, None);
        }
        if privileges.deny_write_execute {
            self.add(Step::DenyWriteExecute, None);
        }
        self.add(Step::CloseDescriptors, None);
        let Network { inherited, listen, ports } = &jail.network;
        if !inherited.is_empty() || !listen.is_empty() {
            let names = inherited.iter().chain(listen.iter().map(|l| &l.name)).cloned().collect();
            self.add(Step::PassSockets { inherited: inherited.len(), names }, None);
        }
        if let Some(notify) = &jail.notify {
            self.add(Step::AnnounceManager(notify.clone()), None);
        }
        if privileges.landlock.is_some() {
            self.add(Step::LandlockRestrict, None);
        }
        if let Some(policy) = &privileges.system_calls {
            if ports.limited() {
                self.add(Step::PortFilter, None);
            }
            self.add(Step::Seccomp(policy.clone()), None);
        }
        let expected = ExpectedProcess {
            uid: identity.uid,
            gid: identity.gid,
            groups: groups(jail),
            capabilities: privileges.capabilities,
            filters: privileges.system_calls.as_ref().map_or(0, |_| 1 + u32::from(ports.limited())),
        };
        self.add(Step::CheckProcess(expected), None);
        for (resource, limit, at) in &jail.process.rlimits {
            let step = Step::Rlimit { resource: *resource, soft: limit.soft, hard: limit.hard };
            self.add(step, *at);
        }
        let command = &jail.process.command;
        let step = Step::Execute {
            candidates: jail.process.candidates(),
            arguments: command.value.clone(),
            environment: jail.process.env.clone(),
        };
        self.add(step, Some(command.at));
    }
}

/// Whether something can be made at a place: not in a bound host directory. `None`: it lies in the
/// root itself.
fn ours_at(places: &BTreeMap<&str, &What>, path: &AbsPath) -> Option<bool> {
    path.ancestors().find_map(|up| match places.get(up) {
        Some(What::Bind { .. }) => Some(false),
        Some(What::Tmpfs { .. }) => Some(true),
        _ => None,
    })
}

/// The one place where a kind of place becomes steps.
fn place_steps(steps: &mut Steps, place: &Place, ours: bool, rootless: bool) {
    let (path, at) = (place.path.clone(), place.at);
    match &place.what {
        What::Directory { mode } => steps.add(Step::Directory { path, mode: *mode }, at),
        What::Link { target } => steps.add(Step::Link { path, target: target.clone() }, at),
        What::Text { content, mode, owner } => {
            steps.allow_reading(&path);
            steps.add(Step::Text { path, content: content.clone(), mode: *mode, owner: *owner }, at);
        }
        What::Copy { source, mode, owner } => {
            let slot = steps.slot();
            steps.add(Step::OpenFile { slot, source: source.clone() }, at);
            steps.allow_reading(&path);
            steps.add(Step::Copy { slot, path, mode: *mode, owner: *owner }, at);
        }
        What::Bind { source, kind, write, exec, create } => {
            let attributes = Attributes { read_only: !write, no_exec: !exec, no_dev: true };
            let access = match (write, exec) {
                (false, false) => Access::Read,
                (false, true) => Access::Execute,
                (true, false) => Access::Write,
                (true, true) => Access::WriteExecute,
            };
            if let Some((mode, owner)) = create {
                let owner =
                    steps.users.as_ref().map_or(*owner, |(range, owners)| range.on_disk(*owner, owners));
                steps.add(Step::CreateDirectory { path: source.clone(), mode: *mode, owner }, at);
            }
            bind(steps, path, source, TreeKind::from(*kind), attributes, access, ours, at);
        }
        What::Device { source } => {
            // Read-only: what is written goes to the device all the same, but a program with its owner's
            // uid cannot change the host's node.
            let attributes = Attributes { read_only: true, no_exec: true, no_dev: false };
            bind(steps, path, source, TreeKind::Device, attributes, Access::Device, ours, at);
        }
        What::Tmpfs { size, inodes, mode, owner, exec, directories } => {
            let attributes = Attributes { no_exec: !exec, ..WRITABLE };
            steps.expect(&path, attributes, Some("tmpfs"));
            steps.allow(path.clone(), if *exec { Access::WriteExecute } else { Access::Write });
            let limits = TmpfsLimits { size: *size, inodes: *inodes, mode: *mode };
            let directories = directories.clone();
            steps.add(Step::Tmpfs { path, limits, owner: *owner, attributes, directories, make: ours }, at);
        }
        // With whom it talks, the jail knows: the step is added beside those of the places.
        What::NotifySocket => {}
        What::Devpts => {
            steps.expect(&path, Attributes { no_dev: false, ..WRITABLE }, Some("devpts"));
            steps.rules.push((path.clone(), Access::Device));
            steps.add(Step::Devpts { path, group: !rootless }, at);
        }
        What::Proc { subset } => {
            steps.expect(&path, READ_ONLY, Some("proc"));
            steps.rules.push((path.clone(), Access::Read));
            steps.add(Step::Proc { path, subset: *subset, make: ours }, at);
        }
    }
}

#[allow(
    clippy::too_many_arguments,
    reason = "one call site per kind of bind; a struct would only rename them"
)]
fn bind(
    steps: &mut Steps,
    path: AbsPath,
    source: &AbsPath,
    kind: TreeKind,
    attributes: Attributes,
    access: Access,
    ours: bool,
    at: Option<Span>,
) {
    let slot = steps.slot();
    steps.expect(&path, attributes, None);
    // One rule for all device nodes: their directory is ours.
    let place =
        if kind == TreeKind::Device { path.parent().unwrap_or_else(AbsPath::root) } else { path.clone() };
    steps.allow_once(place, access);
    steps.open_tree(slot, source, kind, attributes, at);
    steps.add(Step::Attach { slot, path, make: ours.then_some(kind) }, at);
}

/// Steps of one phase, with their indices in the plan.
pub fn in_phase(plan: &Plan, phase: Phase) -> impl Iterator<Item = (usize, &Planned)> {
    plan.steps.iter().enumerate().filter(move |(_, p)| p.step.phase() == phase)
}
