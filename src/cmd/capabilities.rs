//! What each capability allows, for `jail help capabilities` (capabilities(7)).
#![forbid(unsafe_code)]

/// Name without `CAP_`, and what it allows, by the kernel's number.
pub const CAPABILITIES: &[(&str, &str)] = &[
    ("CHOWN", "change the owner of any file"),
    ("DAC_OVERRIDE", "read, write and execute files whatever their mode"),
    ("DAC_READ_SEARCH", "read files and list directories whatever their mode"),
    ("FOWNER", "act as the owner of any file (chmod, utime, sticky directories)"),
    ("FSETID", "keep set-id bits when a file is changed"),
    ("KILL", "signal any process it can see"),
    ("SETGID", "change to any group"),
    ("SETUID", "change to any user"),
    ("SETPCAP", "change the bounding set and securebits"),
    ("LINUX_IMMUTABLE", "set the append-only and immutable flags"),
    ("NET_BIND_SERVICE", "bind ports below 1024"),
    ("NET_BROADCAST", "unused by the kernel"),
    ("NET_ADMIN", "configure interfaces, routes, firewall"),
    ("NET_RAW", "raw and packet sockets, transparent proxies"),
    ("IPC_LOCK", "lock memory, use huge pages"),
    ("IPC_OWNER", "use any System V IPC object"),
    ("SYS_MODULE", "load kernel modules"),
    ("SYS_RAWIO", "raw access to ports, memory and disks"),
    ("SYS_CHROOT", "chroot, and enter mount namespaces"),
    ("SYS_PTRACE", "trace any process it can see"),
    ("SYS_PACCT", "switch process accounting"),
    ("SYS_ADMIN", "mount, and nearly everything else of root"),
    ("SYS_BOOT", "reboot, load another kernel"),
    ("SYS_NICE", "raise priorities, real-time scheduling, CPU affinity of others"),
    ("SYS_RESOURCE", "raise resource limits, go beyond quotas"),
    ("SYS_TIME", "set the clock"),
    ("SYS_TTY_CONFIG", "configure terminals, vhangup"),
    ("MKNOD", "make device nodes"),
    ("LEASE", "leases on any file"),
    ("AUDIT_WRITE", "write to the kernel's audit log"),
    ("AUDIT_CONTROL", "configure auditing"),
    ("SETFCAP", "give capabilities to files"),
    ("MAC_OVERRIDE", "override Smack's access rules"),
    ("MAC_ADMIN", "configure Smack"),
    ("SYSLOG", "read the kernel's log and its addresses"),
    ("WAKE_ALARM", "timers that wake the system"),
    ("BLOCK_SUSPEND", "keep the system from suspending"),
    ("AUDIT_READ", "read the audit log"),
    ("PERFMON", "performance monitoring"),
    ("BPF", "load BPF programs and make maps"),
    ("CHECKPOINT_RESTORE", "checkpoint and restore processes, choose process ids"),
];

#[cfg(test)]
mod tests {
    use super::CAPABILITIES;
    use crate::jail::resolve;

    #[test]
    fn it_names_what_the_resolver_knows_in_its_order() {
        let names: Vec<&str> = CAPABILITIES.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, resolve::CAPABILITIES);
    }
}
