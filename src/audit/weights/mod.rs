//! Points of single things: capabilities, groups of system calls, paths, devices, variables.
//!
//! Points are tenths of the score. The yardstick: 20 and more, the machine is lost once the program
//! is; 10, one more mistake of somebody loses it; 5, other services or their data are within reach;
//! 1 to 3, a wall is thinner than it could be. Must not know: plans.
#![forbid(unsafe_code)]

mod files;

pub use files::{DEVICES, ROOTS, SHOWN, SOCKETS, WRITABLE};

/// A row of a rule's table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Item {
    /// What it is: a capability, a group, a path.
    pub name: &'static str,
    /// What it adds to the score, in tenths.
    pub points: u32,
    /// What `systemd-analyze security` calls it; empty: what it calls the rule.
    pub category: &'static str,
    /// What an attacker has of it, as a clause.
    pub why: &'static str,
}

const fn item(name: &'static str, points: u32, category: &'static str, why: &'static str) -> Item {
    Item { name, points, category, why }
}

/// By the kernel's number, as `jail::resolve::CAPABILITIES`.
pub const CAPABILITIES: &[Item] = &[
    item(
        "CHOWN",
        8,
        "CapabilityBoundingSet=~CAP_(CHOWN|FSETID|SETFCAP)",
        "any shown writable file can be made its own",
    ),
    item(
        "DAC_OVERRIDE",
        15,
        "CapabilityBoundingSet=~CAP_(DAC_*|FOWNER|IPC_OWNER)",
        "file modes no longer hold: all that is shown can be read, all that is writable changed",
    ),
    item(
        "DAC_READ_SEARCH",
        12,
        "CapabilityBoundingSet=~CAP_(DAC_*|FOWNER|IPC_OWNER)",
        "file modes no longer hold for reading, and files can be opened by number past every view",
    ),
    item(
        "FOWNER",
        8,
        "CapabilityBoundingSet=~CAP_(DAC_*|FOWNER|IPC_OWNER)",
        "it can change modes of files that are not its own",
    ),
    item(
        "FSETID",
        3,
        "CapabilityBoundingSet=~CAP_(CHOWN|FSETID|SETFCAP)",
        "set-id bits survive its changes to a file",
    ),
    item("KILL", 3, "CapabilityBoundingSet=~CAP_KILL", "it can end every process it sees"),
    item(
        "SETGID",
        8,
        "CapabilityBoundingSet=~CAP_SET(UID|GID|PCAP)",
        "it can become a member of any group: disk, shadow, docker",
    ),
    item(
        "SETUID",
        15,
        "CapabilityBoundingSet=~CAP_SET(UID|GID|PCAP)",
        "it can become root, and own the host's files that are shown",
    ),
    item("SETPCAP", 4, "CapabilityBoundingSet=~CAP_SET(UID|GID|PCAP)", "it can loosen its own securebits"),
    item(
        "LINUX_IMMUTABLE",
        2,
        "CapabilityBoundingSet=~CAP_LINUX_IMMUTABLE",
        "append-only logs can be made changeable",
    ),
    item(
        "NET_BIND_SERVICE",
        1,
        "CapabilityBoundingSet=~CAP_NET_(BIND_SERVICE|BROADCAST|RAW)",
        "it can take any port below 1024 that is free, such as 53 or 25",
    ),
    item(
        "NET_BROADCAST",
        1,
        "CapabilityBoundingSet=~CAP_NET_(BIND_SERVICE|BROADCAST|RAW)",
        "the kernel does not use it today",
    ),
    item(
        "NET_ADMIN",
        10,
        "CapabilityBoundingSet=~CAP_NET_ADMIN",
        "firewall, routes and interfaces of its network are at its mercy, and so is much little-tested kernel code",
    ),
    item(
        "NET_RAW",
        6,
        "CapabilityBoundingSet=~CAP_NET_(BIND_SERVICE|BROADCAST|RAW)",
        "it can read and forge packets of others on its network",
    ),
    item("IPC_LOCK", 1, "CapabilityBoundingSet=~CAP_IPC_LOCK", "it can lock memory that others then lack"),
    item(
        "IPC_OWNER",
        3,
        "CapabilityBoundingSet=~CAP_(DAC_*|FOWNER|IPC_OWNER)",
        "modes of System V IPC objects no longer hold",
    ),
    item("SYS_MODULE", 30, "CapabilityBoundingSet=~CAP_SYS_MODULE", "it can load code into the kernel"),
    item(
        "SYS_RAWIO",
        30,
        "CapabilityBoundingSet=~CAP_SYS_RAWIO",
        "it can reach hardware and physical memory past the kernel",
    ),
    item(
        "SYS_CHROOT",
        4,
        "CapabilityBoundingSet=~CAP_SYS_CHROOT",
        "the classic way out of a root directory, and into other mount namespaces",
    ),
    item("SYS_PTRACE", 15, "CapabilityBoundingSet=~CAP_SYS_PTRACE", "it can take over every process it sees"),
    item("SYS_PACCT", 2, "CapabilityBoundingSet=~CAP_SYS_PACCT", "it can turn process accounting off"),
    item(
        "SYS_ADMIN",
        30,
        "CapabilityBoundingSet=~CAP_SYS_ADMIN",
        "nearly all that root can: mounts, namespaces, devices, and the most attacked kernel code",
    ),
    item("SYS_BOOT", 10, "CapabilityBoundingSet=~CAP_SYS_BOOT", "it can reboot, or start another kernel"),
    item(
        "SYS_NICE",
        2,
        "CapabilityBoundingSet=~CAP_SYS_(NICE|RESOURCE)",
        "it can starve all others of processor time",
    ),
    item(
        "SYS_RESOURCE",
        4,
        "CapabilityBoundingSet=~CAP_SYS_(NICE|RESOURCE)",
        "resource limits and quotas no longer hold",
    ),
    item(
        "SYS_TIME",
        5,
        "CapabilityBoundingSet=~CAP_SYS_TIME",
        "a wrong clock breaks certificates, logs and caches of the whole host",
    ),
    item(
        "SYS_TTY_CONFIG",
        3,
        "CapabilityBoundingSet=~CAP_SYS_TTY_CONFIG",
        "it can hang up and configure terminals of others",
    ),
    item(
        "MKNOD",
        8,
        "CapabilityBoundingSet=~CAP_MKNOD",
        "device nodes on the host's file systems open disks to whoever finds them",
    ),
    item("LEASE", 1, "CapabilityBoundingSet=~CAP_LEASE", "it can delay others that open a file"),
    item("AUDIT_WRITE", 2, "CapabilityBoundingSet=~CAP_AUDIT_*", "it can forge records of the audit log"),
    item("AUDIT_CONTROL", 5, "CapabilityBoundingSet=~CAP_AUDIT_*", "it can turn the audit log off"),
    item(
        "SETFCAP",
        8,
        "CapabilityBoundingSet=~CAP_(CHOWN|FSETID|SETFCAP)",
        "it can give capabilities to programs that others run",
    ),
    item("MAC_OVERRIDE", 6, "CapabilityBoundingSet=~CAP_MAC_*", "Smack's rules no longer hold"),
    item("MAC_ADMIN", 6, "CapabilityBoundingSet=~CAP_MAC_*", "it can change Smack's rules"),
    item(
        "SYSLOG",
        4,
        "CapabilityBoundingSet=~CAP_SYSLOG",
        "kernel addresses, which kernel exploits need first",
    ),
    item("WAKE_ALARM", 1, "CapabilityBoundingSet=~CAP_WAKE_ALARM", "it can wake the machine"),
    item("BLOCK_SUSPEND", 1, "CapabilityBoundingSet=~CAP_BLOCK_SUSPEND", "it can keep the machine awake"),
    item("AUDIT_READ", 3, "CapabilityBoundingSet=~CAP_AUDIT_*", "the audit log tells what everybody does"),
    item("PERFMON", 8, "", "it can observe the kernel and other processes closely enough to steal keys"),
    item(
        "BPF",
        15,
        "CapabilityBoundingSet=~CAP_BPF",
        "programs in the kernel, whose verifier has had many holes",
    ),
    item("CHECKPOINT_RESTORE", 6, "", "it can read memory maps of others and choose process ids"),
];

/// Groups of system calls that `@service` does not have.
pub const GROUPS: &[Item] = &[
    item(
        "@setuid",
        2,
        "SystemCallFilter=~@privileged",
        "only of use with a capability, which then has one wall less",
    ),
    item(
        "@chroot",
        3,
        "SystemCallFilter=~@privileged",
        "a root of its own choosing, for a set-id program or a way out of one",
    ),
    item(
        "@io-uring",
        6,
        "",
        "what goes through the ring passes no filter, and its kernel code has had many holes",
    ),
    item("@memfd", 4, "", "files in memory can be executed: what it downloads, it can run"),
    item(
        "@namespace",
        10,
        "RestrictNamespaces=~user",
        "a user namespace opens kernel code that otherwise only root reaches",
    ),
    item("@keyring", 4, "", "kernel code with a history of holes; keys of the same user elsewhere"),
    item(
        "@debug",
        6,
        "SystemCallFilter=~@debug",
        "it can take over other processes of its user that it sees, and perf has had many holes",
    ),
    item("@paging", 4, "", "page faults that it can hold up make races in the kernel easy to win"),
    item("@lsm", 1, "", "it can try to change its label"),
    item(
        "@privileged",
        4,
        "SystemCallFilter=~@privileged",
        "calls of administrators' tools: one wall less before a kernel hole",
    ),
    item("@bpf", 8, "", "programs in the kernel, whose verifier has had many holes"),
    item(
        "@clock",
        3,
        "SystemCallFilter=~@clock",
        "a wrong clock breaks certificates, logs and caches of the whole host",
    ),
    item("@handle", 6, "", "files are opened by number, which no view of the file tree restricts"),
    item("@module", 10, "SystemCallFilter=~@module", "with the capability, code in the kernel"),
    item(
        "@mount",
        10,
        "SystemCallFilter=~@mount",
        "with a capability or a user namespace, the view of the file tree is its own to change",
    ),
    item("@raw-io", 6, "SystemCallFilter=~@raw-io", "with the capability, hardware past the kernel"),
    item("@reboot", 4, "SystemCallFilter=~@reboot", "with the capability, the machine goes down"),
    item("@swap", 2, "SystemCallFilter=~@swap", "with the capability, memory of others lands on a disk"),
    item("@obsolete", 3, "SystemCallFilter=~@obsolete", "old calls that nobody tests, such as modify_ldt"),
];

/// Users that several services of one host often share; any other named user is `other`.
pub const USERS: &[Item] = &[
    item("www-data", 3, "", "web servers, PHP and cron jobs share this user: files of one are open to all"),
    item("apache", 3, "", "web servers, PHP and cron jobs share this user: files of one are open to all"),
    item("http", 3, "", "web servers, PHP and cron jobs share this user: files of one are open to all"),
    item("nobody", 4, "", "everything that has no user of its own runs as this one, and NFS gives it files"),
    item("daemon", 3, "", "several services share this user"),
    item("bin", 3, "", "on some hosts it owns programs"),
    item("sys", 3, "", "several services share this user"),
    item(
        "other",
        1,
        "",
        "the host has files of this user, and perhaps processes: an id of the jail's own has none",
    ),
];

/// Supplementary and main groups; any other is `other`.
pub const MEMBERSHIPS: &[Item] = &[
    item("root", 8, "", "many files of the host are writable or readable for this group"),
    item("disk", 20, "", "disks can be read and written past the file system"),
    item("docker", 20, "", "whoever may talk to dockerd is root"),
    item("lxd", 20, "", "whoever may talk to lxd is root"),
    item("libvirt", 10, "", "whoever may talk to libvirtd can attach the host's disks to a machine"),
    item("kmem", 10, "", "kernel memory"),
    item("shadow", 10, "", "password hashes of all users"),
    item("sudo", 10, "", "what its members may do by sudo"),
    item("wheel", 10, "", "what its members may do by sudo"),
    item("adm", 4, "", "logs of the whole host"),
    item("systemd-journal", 4, "", "logs of the whole host"),
    item("kvm", 3, "", "virtual machines, and the kernel code behind them"),
    item("video", 2, "", "frame buffers and graphics drivers"),
    item("input", 5, "", "every key that is pressed"),
    item("other", 1, "", "files of one more group are open to it"),
];

/// Variables kept from the caller.
pub const VARIABLES: &[Item] = &[
    item("loader", 5, "", "whoever starts the jail chooses code that is loaded into the program"),
    item("secret", 3, "", "by its name it holds a secret, which a takeover of the program reads"),
    item("other", 1, "", "what it holds depends on who starts the jail"),
];

/// Namespaces of the host.
pub const NAMESPACES: &[Item] = &[
    item(
        "pid",
        8,
        "ProtectProc=",
        "every process of the host is seen, and those of the same user can be signalled",
    ),
    item("ipc", 3, "RemoveIPC=", "shared memory, semaphores and queues of others of the same user are open"),
    item("uts", 1, "ProtectHostname=", "it sees the host's name, which tells whom it has broken into"),
    item("cgroup", 1, "ProtectControlGroups=", "it sees where it stands among the host's services"),
];

/// Socket families that can be made.
pub const FAMILIES: &[Item] = &[
    item(
        "all",
        5,
        "RestrictAddressFamilies=~…",
        "packet, vsock, alg and rarely tried families: kernel modules are loaded for whoever asks",
    ),
    item(
        "netlink",
        1,
        "RestrictAddressFamilies=~AF_NETLINK",
        "a way into much kernel code; libc asks it for addresses of interfaces",
    ),
];
