//! The plan of a command that joins a running jail, made of the plan that the jail was started by.
//!
//! Must not know: whether the jail lives, or which processes are in it.
#![forbid(unsafe_code)]

use super::{Attributes, Joined, Plan, Planned, Step, Supervision, TmpfsLimits, TreeKind};
use crate::jail::limits::Hooks;
use crate::jail::path::AbsPath;
use crate::jail::programs;
use crate::jail::resolve::DEFAULT_PATH;

/// As what the command runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum As {
    /// Confined exactly as the jail's program.
    Program,
    /// As root, without any confinement but what it sees: for the operator.
    Root,
    /// The same, and with the host's programs under [`TOOLS`]. These are the entries of the jail's
    /// root directory.
    RootWithTools(Vec<Entry>),
}

/// Something in the jail's root directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
}

/// What an [`Entry`] is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link with this text.
    Link(String),
}

/// Where the host's root is seen by a command that brings its tools. No jail has it: it is made in a
/// mount namespace of the command's own.
pub const TOOLS: &str = "/.host";

/// Where programs are looked up in there: as on any host.
fn tool_path() -> String {
    DEFAULT_PATH.split(':').map(|directory| format!("{TOOLS}{directory}")).collect::<Vec<_>>().join(":")
}

/// The plan of `command` in the jail of `plan`, which is in these groups. `None`: a path that this needs
/// cannot be one.
pub fn plan(plan: &Plan, who: &As, groups: &[AbsPath], command: &[String], terminal: bool) -> Option<Plan> {
    let mut steps = Vec::new();
    let mut add = |step| steps.push(Planned { step, at: None });
    // The operator comes to help: not to be killed for the memory, or to be kept out by the tasks.
    if *who == As::Program && !groups.is_empty() {
        add(Step::JoinGroups(groups.to_vec()));
    }
    if let As::RootWithTools(_) = who {
        let attributes = Attributes { read_only: true, no_exec: false, no_dev: true };
        add(Step::OpenTree { slot: 0, source: AbsPath::root(), kind: TreeKind::Directory, attributes });
    }
    add(Step::Join(joined(plan)));
    match who {
        As::Program => {
            steps.extend(plan.steps.iter().filter_map(|planned| confinement(planned, command, terminal)))
        }
        As::Root => steps.extend(as_root(candidates(plan, command), command, terminal)),
        As::RootWithTools(entries) => {
            steps.extend(root_with_tools(entries)?);
            steps.extend(as_root(found_in(command, &tool_path()), command, terminal));
        }
    }
    Some(Plan {
        name: plan.name.clone(),
        steps,
        supervision: Supervision {
            stop_signal: crate::jail::signals::TERM,
            reload_signal: crate::jail::signals::HUP,
            stop_timeout: 0,
            terminal,
            forking: false,
            ..plan.supervision
        },
        main_pid_file: None,
        live: super::Live::default(),
        given_up: plan.given_up.clone(),
        hooks: Hooks::default(),
    })
}

/// The namespaces that a plan's jail has for itself.
pub fn joined(plan: &Plan) -> Joined {
    let mut joined = Joined { user: false, pid: plan.supervision.pid_namespace, others: None };
    for planned in &plan.steps {
        match &planned.step {
            Step::Isolate { user, .. } => joined.user = user.is_some(),
            Step::Unshare(others) => joined.others = Some(*others),
            _ => {}
        }
    }
    joined
}

/// The step of the jail's own plan that confines the command too, if it does.
fn confinement(planned: &Planned, command: &[String], terminal: bool) -> Option<Planned> {
    let step = match &planned.step {
        Step::EnterUserNamespace => Step::JoinUserNamespace,
        Step::Session { .. } => Step::Session { terminal },
        Step::Execute { environment, .. } => Step::Execute {
            candidates: lookup(command, environment),
            arguments: command.to_vec(),
            environment: environment.clone(),
        },
        // What is made once for a jail, or was made before it started.
        Step::Isolate { .. }
        | Step::MakePrivate
        | Step::UserNamespace { .. }
        | Step::CreateDirectory { .. }
        | Step::OpenTree { .. }
        | Step::MapOwners { .. }
        | Step::OpenFile { .. }
        | Step::Listen { .. }
        | Step::Unshare(_)
        | Step::LoopbackUp
        | Step::NewRoot(_)
        | Step::AttachRoot { .. }
        | Step::Directory { .. }
        | Step::Link { .. }
        | Step::Text { .. }
        | Step::Copy { .. }
        | Step::Attach { .. }
        | Step::Tmpfs { .. }
        | Step::Devpts { .. }
        | Step::Proc { .. }
        | Step::KeepLive { .. }
        | Step::PivotRoot
        | Step::SealRoot
        | Step::CheckMounts(_)
        | Step::Hostname(_)
        | Step::NotifySocket(_)
        | Step::PassSockets { .. }
        | Step::AnnounceManager(_)
        | Step::OpenProber { .. }
        | Step::ExecuteProber { .. }
        | Step::Join(_)
        | Step::LeaveGroup { .. }
        | Step::Group(_)
        | Step::GroupOf { .. }
        | Step::JoinGroups(_)
        | Step::JoinUserNamespace => return None,
        other => other.clone(),
    };
    // The command is not the spec's.
    let at = planned.at.filter(|_| !matches!(planned.step, Step::Execute { .. }));
    Some(Planned { step, at })
}

/// Where a command is in a jail, like its own.
fn candidates(plan: &Plan, command: &[String]) -> Vec<AbsPath> {
    let environment = plan.steps.iter().find_map(|p| match &p.step {
        Step::Execute { environment, .. } => Some(environment.as_slice()),
        _ => None,
    });
    lookup(command, environment.unwrap_or_default())
}

/// A path, or a name that is looked up in the environment's PATH.
fn lookup(command: &[String], environment: &[(String, String)]) -> Vec<AbsPath> {
    let path = environment.iter().find(|(key, _)| key == "PATH").map_or("", |(_, value)| value);
    found_in(command, path)
}

fn found_in(command: &[String], path: &str) -> Vec<AbsPath> {
    command.first().map_or(Vec::new(), |program| programs::candidates(program, &programs::search(path)))
}

fn as_root(candidates: Vec<AbsPath>, command: &[String], terminal: bool) -> Vec<Planned> {
    let path = format!("{}:{DEFAULT_PATH}", tool_path());
    let environment = [("PATH", path), ("HOME", "/".to_owned()), ("TERM", "xterm".to_owned())];
    let steps = [
        Step::Umask(0o022),
        Step::WorkingDirectory(AbsPath::root()),
        Step::ResetProcess,
        Step::Session { terminal },
        Step::DieWithParent,
        Step::CloseDescriptors,
        Step::Execute {
            candidates,
            arguments: command.to_vec(),
            environment: environment.map(|(key, value)| (key.to_owned(), value)).to_vec(),
        },
    ];
    steps.into_iter().map(|step| Planned { step, at: None }).collect()
}

/// A root directory of the command's own: everything that the jail's has, and the host's beside it.
/// Where the jail has no loader and no libraries, the host's take their places.
fn root_with_tools(entries: &[Entry]) -> Option<Vec<Planned>> {
    let path = |name: &str| AbsPath::new(&format!("/{name}")).ok();
    let as_it_is = Attributes { read_only: false, no_exec: false, no_dev: false };
    let mut steps = vec![Step::Isolate { pid: false, user: None }, Step::MakePrivate];
    let mut placed = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let (slot, path) = (index + 1, path(&entry.name)?);
        let kind = match &entry.kind {
            EntryKind::Directory => TreeKind::Directory,
            EntryKind::File => TreeKind::File,
            EntryKind::Link(target) => {
                placed.push(Step::Link { path, target: target.clone() });
                continue;
            }
        };
        steps.push(Step::OpenTree { slot, source: path.clone(), kind, attributes: as_it_is });
        placed.push(Step::Attach { slot, path, make: Some(kind) });
    }
    for name in ["usr", "lib", "lib64", "bin", "sbin"] {
        if !entries.iter().any(|entry| entry.name == name) {
            placed.push(Step::Link {
                path: path(name)?,
                target: format!("{}/{name}", TOOLS.trim_start_matches('/')),
            });
        }
    }
    placed.push(Step::Attach { slot: 0, path: AbsPath::new(TOOLS).ok()?, make: Some(TreeKind::Directory) });
    steps.push(Step::NewRoot(TmpfsLimits { size: 1 << 20, inodes: 1024, mode: 0o755 }));
    steps.extend(placed);
    steps.push(Step::PivotRoot);
    Some(steps.into_iter().map(|step| Planned { step, at: None }).collect())
}
