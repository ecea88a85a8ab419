//! What `--without` can give up.
#![forbid(unsafe_code)]

/// A promise that `--without` can give up, because a kernel or a caller may not allow it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Feature {
    /// The second wall over the file tree.
    Landlock,
    /// Limits on TCP ports.
    NetworkPorts,
    /// The system-call filter.
    Seccomp,
    /// A session of its own.
    Session,
    /// No supplementary groups of the caller.
    Groups,
    /// A session keyring of its own.
    Keyring,
    /// No memory that is writable and executable.
    MemoryDenyWriteExecute,
    /// A record of the running jail, and its name for it alone.
    Record,
}

impl Feature {
    /// All of them, as listed in help.
    pub const ALL: &[Feature] = &[
        Feature::Landlock,
        Feature::NetworkPorts,
        Feature::Seccomp,
        Feature::Session,
        Feature::Groups,
        Feature::Keyring,
        Feature::MemoryDenyWriteExecute,
        Feature::Record,
    ];

    /// As given to `--without`.
    pub fn name(self) -> &'static str {
        match self {
            Feature::Landlock => "landlock",
            Feature::NetworkPorts => "network-ports",
            Feature::Seccomp => "seccomp",
            Feature::Session => "session",
            Feature::Groups => "groups",
            Feature::Keyring => "keyring",
            Feature::MemoryDenyWriteExecute => "memory-deny-write-execute",
            Feature::Record => "record",
        }
    }

    /// What is promised, as a noun.
    pub fn promise(self) -> &'static str {
        match self {
            Feature::Landlock => "second wall, Landlock",
            Feature::NetworkPorts => "limits on TCP ports",
            Feature::Seccomp => "system-call filter",
            Feature::Session => "own session",
            Feature::Groups => "own set of groups",
            Feature::Keyring => "own session keyring",
            Feature::MemoryDenyWriteExecute => "ban on memory that is writable and executable",
            Feature::Record => "record of the running jail",
        }
    }

    /// One line for help.
    pub fn doc(self) -> &'static str {
        match self {
            Feature::Landlock => "the second wall over the file tree (Linux 5.13, may be off at boot)",
            Feature::NetworkPorts => "`bind` and `connect` of [network] (Linux 6.7, and Landlock)",
            Feature::Seccomp => "the system-call filter",
            Feature::Session => {
                "a session of its own (in place it needs a caller that is not a job of a shell)"
            }
            Feature::Groups => "dropping the caller's supplementary groups (only root can)",
            Feature::Keyring => "a session keyring of its own (CONFIG_KEYS)",
            Feature::MemoryDenyWriteExecute => "refusing memory that is writable and executable",
            Feature::Record => "the record that `ps`, `stop` and `exec` find the running jail by",
        }
    }
}
