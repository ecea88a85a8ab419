//! The phases of a start, each with its reason, and which step belongs to which.
//!
//! Must not know: what a step holds.
#![forbid(unsafe_code)]

use super::Step;

/// Which part of the start a step belongs to. The order of the variants is the order of execution.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Phase {
    /// Leave the host's mount table.
    Private,
    /// Take hold of every source.
    Open,
    /// Bound what the program may use.
    Limits,
    /// The remaining namespaces.
    Namespaces,
    /// Build and enter the new root.
    Root,
    /// Name and surroundings.
    Identity,
    /// Give up privileges.
    Drop,
    /// Close the last doors and execute.
    Seal,
}

/// Each phase with its reason. DESIGN's table, printed by `jail plan` and `jail help phases`.
pub const PHASES: &[(Phase, &str, &str)] = &[
    (
        Phase::Private,
        "private",
        "a descriptor opened before the mount namespace is private cannot be cloned after it; private, not slave, or a later host mount would appear inside without our flags",
    ),
    (
        Phase::Open,
        "open",
        "the host is still visible and nothing has changed yet: most failures happen here, harmlessly",
    ),
    (Phase::Limits, "limits", "before the host's /proc and /sys are gone"),
    (Phase::Namespaces, "namespaces", "before /proc is made, which shows the namespaces it was made in"),
    (Phase::Root, "root", "everything placed is already read-only; the root is sealed last"),
    (Phase::Identity, "identity", "inside, and still able to"),
    (Phase::Drop, "drop", "each step needs what a later one removes"),
    (Phase::Seal, "seal", "the filter comes last, so that it need not allow what comes before it"),
];

impl Phase {
    /// As in messages.
    pub fn name(self) -> &'static str {
        PHASES.iter().find(|p| p.0 == self).map_or("", |p| p.1)
    }
}

impl Step {
    /// The phase it belongs to: `build` sorts by it.
    pub fn phase(&self) -> Phase {
        use Step::*;
        match self {
            JoinGroups(_) | Isolate { .. } | Join(_) | MakePrivate | UserNamespace { .. } => Phase::Private,
            Listen { .. }
            | CreateDirectory { .. }
            | OpenTree { .. }
            | MapOwners { .. }
            | OpenFile { .. }
            | OpenProber { .. } => Phase::Open,
            LeaveGroup { .. }
            | Group(_)
            | GroupOf { .. }
            | RaiseLimit { .. }
            | OomScoreAdjust(_)
            | Nice(_) => Phase::Limits,
            Unshare(_) | LoopbackUp | Keyring => Phase::Namespaces,
            NewRoot(_)
            | AttachRoot { .. }
            | Directory { .. }
            | Link { .. }
            | Text { .. }
            | Copy { .. }
            | Attach { .. }
            | Tmpfs { .. }
            | Devpts { .. }
            | Proc { .. }
            | NotifySocket(_)
            | KeepLive { .. }
            | PivotRoot
            | SealRoot
            | CheckMounts(_)
            | LandlockRules { .. } => Phase::Root,
            Hostname(_) | Umask(_) | WorkingDirectory(_) => Phase::Identity,
            EnterUserNamespace
            | JoinUserNamespace
            | BoundingSet { .. }
            | Groups(_)
            | Gid(_)
            | Uid(_)
            | Capabilities(_)
            | NoNewPrivileges
            | DieWithParent => Phase::Drop,
            ResetProcess
            | Session { .. }
            | DenyWriteExecute
            | LandlockRestrict
            | CloseDescriptors
            | PassSockets { .. }
            | AnnounceManager(_)
            | PortFilter
            | Seccomp(_)
            | CheckProcess(_)
            | Rlimit { .. }
            | ExecuteProber { .. }
            | Execute { .. } => Phase::Seal,
        }
    }
}
