//! The named groups of system calls, as data: our own selection, by what a call is for.
//!
//! Must not know: lists, policies or filters. Every call of the kernel stands in exactly one table;
//! `@service` and `@privileged` are made of other groups. To review for a newer kernel: add the new
//! calls to a table each (the tests name those that are missing) and raise [`REVIEWED`].
#![forbid(unsafe_code)]

use super::calls::{Call, CallSet, calls};

/// The kernel that the tables were last reviewed against.
pub const REVIEWED: &str = "6.18";

/// A named group of system calls.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// With the `@`.
    pub name: &'static str,
    /// What the calls are for, in one line.
    pub doc: &'static str,
    /// Groups that it contains.
    pub includes: &'static [Group],
    /// Calls of its own.
    own: &'static [Call],
    /// All of them.
    set: CallSet,
}

impl Group {
    const fn new(name: &'static str, doc: &'static str, own: &'static [Call]) -> Group {
        Group { name, doc, includes: &[], own, set: CallSet::of(own) }
    }

    /// As `new`, with other groups included.
    const fn of(
        name: &'static str,
        doc: &'static str,
        includes: &'static [Group],
        own: &'static [Call],
    ) -> Group {
        let mut set = CallSet::of(own);
        let mut i = 0;
        while i < includes.len() {
            set = set.union(includes[i].set);
            i += 1;
        }
        Group { name, doc, includes, own, set }
    }

    /// The names of all calls in it that this architecture has, sorted.
    pub fn calls(&self) -> Vec<&'static str> {
        self.set.names()
    }

    /// The calls that stand in its own table, not in an included group.
    pub(super) fn own(&self) -> &'static [Call] {
        self.own
    }

    /// The numbers of all calls in it.
    pub(super) const fn set(&self) -> CallSet {
        self.set
    }
}

/// All groups, in the order of the help.
pub fn groups() -> &'static [Group] {
    const ALL: &[Group] = &[
        SERVICE, CORE, FILE, NETWORK, PROCESS, SIGNAL, TIME, MEMORY, IPC, EVENT, AIO, RESOURCES, SANDBOX,
        CHOWN, SETUID, CHROOT, IO_URING, MEMFD, NAMESPACE, KEYRING, DEBUG, PAGING, LSM, PRIVILEGED, BPF,
        CLOCK, HANDLE, MODULE, MOUNT, RAW_IO, REBOOT, SWAP, OBSOLETE,
    ];
    ALL
}

/// The group of a name, with or without its `@`. Calls are written with `_`, so it may stand for `-`.
pub fn group(name: &str) -> Option<&'static Group> {
    let name = name.strip_prefix('@').unwrap_or(name).replace('_', "-");
    groups().iter().find(|g| g.name.strip_prefix('@') == Some(name.as_str()))
}

/// The first kernel with a call, where that is not every one that a jail can run on (5.14): the
/// release in whose tables (arch/x86/entry/syscalls, include/uapi/asm-generic/unistd.h) it appeared.
pub fn since(name: &str) -> Option<&'static str> {
    SINCE.iter().find(|(_, calls)| calls.contains(&name)).map(|(version, _)| *version)
}

/// See [`since`].
pub(super) const SINCE: &[(&str, &[&str])] = &[
    ("5.15", &["process_mrelease"]),
    ("5.16", &["futex_waitv"]),
    ("5.17", &["set_mempolicy_home_node"]),
    ("6.5", &["cachestat"]),
    ("6.6", &["fchmodat2", "map_shadow_stack"]),
    ("6.7", &["futex_requeue", "futex_wait", "futex_wake"]),
    ("6.8", &["listmount", "lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr", "statmount"]),
    ("6.10", &["mseal"]),
    ("6.11", &["uretprobe"]),
    ("6.13", &["getxattrat", "listxattrat", "removexattrat", "setxattrat"]),
    ("6.15", &["open_tree_attr"]),
    ("6.17", &["file_getattr", "file_setattr"]),
    ("6.18", &["uprobe"]),
];

/// Implied in every list. poll is here because Rust's start-up aborts if it is refused, readv and
/// writev because musl's stdio has nothing else.
pub(super) const CORE: Group = Group::new(
    "@core",
    "what any program needs to be executed, linked, and to end; part of every list",
    calls![
        brk clock_getres clock_gettime close execve exit exit_group faccessat faccessat2 fcntl
        fstat futex getcpu getpid getrandom gettid gettimeofday lseek madvise mmap mprotect mremap
        munmap newfstatat openat ppoll pread64 prlimit64 read readlinkat readv restart_syscall rseq
        rt_sigaction rt_sigprocmask rt_sigreturn sched_getaffinity sched_yield set_robust_list
        set_tid_address sigaltstack tgkill uname write writev
        ; x86_64: access arch_prctl open poll readlink time
    ],
);

const FILE: Group = Group::new(
    "@file",
    "files and directories: all but their owners",
    calls![
        cachestat chdir close_range copy_file_range dup dup3 fadvise64 fallocate fchdir fchmod
        fchmodat fchmodat2 fdatasync fgetxattr file_getattr file_setattr flistxattr flock
        fremovexattr fsetxattr fstatfs fsync ftruncate getcwd getdents64 getxattr getxattrat ioctl
        lgetxattr linkat listxattr listxattrat llistxattr lremovexattr lsetxattr mkdirat mknodat
        openat2 pipe2 preadv preadv2 pwrite64 pwritev pwritev2 readahead removexattr
        removexattrat renameat renameat2 sendfile setxattr setxattrat splice statfs statx symlinkat
        sync sync_file_range syncfs tee truncate umask unlinkat utimensat vmsplice
        ; x86_64: chmod creat dup2 futimesat getdents link lstat mkdir mknod pipe rename rmdir stat
        symlink unlink utime utimes
    ],
);

const NETWORK: Group = Group::new(
    "@network",
    "sockets",
    calls![
        accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg
        recvmsg sendmmsg sendmsg sendto setsockopt shutdown socket socketpair
    ],
);

// An operator's uprobe on a program makes the program itself call uprobe and uretprobe; before
// Linux 6.14 a filter that refuses them crashes it. Called in any other way they only raise SIGILL.
const PROCESS: Group = Group::new(
    "@process",
    "processes and threads: make them, wait for them, ask who they are",
    calls![
        capget clone clone3 execveat get_robust_list getegid geteuid getgid getgroups getpgid
        getppid getresgid getresuid getrusage getsid getuid membarrier personality pidfd_open prctl
        setpgid setsid sysinfo times wait4 waitid
        ; x86_64: fork getpgrp uprobe uretprobe vfork
    ],
);

const SIGNAL: Group = Group::new(
    "@signal",
    "send signals and wait for them",
    calls![
        kill pidfd_send_signal rt_sigpending rt_sigqueueinfo rt_sigsuspend rt_sigtimedwait
        rt_tgsigqueueinfo signalfd4 tkill
        ; x86_64: pause signalfd
    ],
);

const TIME: Group = Group::new(
    "@time",
    "sleep and timers; not setting the clock",
    calls![
        clock_nanosleep getitimer nanosleep setitimer timer_create timer_delete timer_getoverrun
        timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime
        ; x86_64: alarm
    ],
);

const MEMORY: Group = Group::new(
    "@memory",
    "the program's own memory: lock, seal, protection keys",
    calls![
        map_shadow_stack mincore mlock mlock2 mlockall mseal msync munlock munlockall pkey_alloc
        pkey_free pkey_mprotect
    ],
);

const IPC: Group = Group::new(
    "@ipc",
    "System V and POSIX queues, semaphores, shared memory; the newer futex calls",
    calls![
        futex_requeue futex_wait futex_waitv futex_wake mq_getsetattr mq_notify mq_open
        mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop
        semtimedop shmat shmctl shmdt shmget
    ],
);

const EVENT: Group = Group::new(
    "@event",
    "wait for descriptors: epoll, select, eventfd, inotify",
    calls![
        epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 eventfd2 inotify_add_watch inotify_init1
        inotify_rm_watch pselect6
        ; x86_64: epoll_create epoll_wait eventfd inotify_init select
    ],
);

const AIO: Group = Group::new(
    "@aio",
    "the older asynchronous reads and writes (libaio)",
    calls![io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit],
);

const RESOURCES: Group = Group::new(
    "@resources",
    "scheduling, priorities, limits, NUMA policy; only lowering works without CAP_SYS_NICE",
    calls![
        get_mempolicy getpriority getrlimit ioprio_get ioprio_set mbind sched_get_priority_max
        sched_get_priority_min sched_getattr sched_getparam sched_getscheduler
        sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler
        set_mempolicy set_mempolicy_home_node setpriority setrlimit
    ],
);

const SANDBOX: Group = Group::new(
    "@sandbox",
    "by which a program restricts itself further: seccomp, Landlock",
    calls![landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp],
);

const CHOWN: Group = Group::new(
    "@chown",
    "change owners of files; of little use without CAP_CHOWN",
    calls![fchown fchownat ; x86_64: chown lchown],
);

const SETUID: Group = Group::new(
    "@setuid",
    "change user, groups and capabilities: for a server that starts as root and drops by itself",
    calls![
        capset setfsgid setfsuid setgid setgroups setregid setresgid setresuid setreuid setuid
    ],
);

const CHROOT: Group =
    Group::new("@chroot", "change the root directory: sshd, postfix, dovecot, vsftpd", calls![chroot]);

const IO_URING: Group = Group::new(
    "@io-uring",
    "submit calls through shared memory: what goes there passes no filter",
    calls![io_uring_enter io_uring_register io_uring_setup],
);

const MEMFD: Group = Group::new(
    "@memfd",
    "files in memory: they can be executed, although no writable place in the jail can",
    calls![memfd_create memfd_secret],
);

const NAMESPACE: Group = Group::new(
    "@namespace",
    "make and enter namespaces; with it clone and clone3 may make them, too",
    calls![setns unshare],
);

const KEYRING: Group = Group::new("@keyring", "the kernel's keyrings", calls![add_key keyctl request_key]);

const DEBUG: Group = Group::new(
    "@debug",
    "look into other processes and measure them",
    calls![kcmp perf_event_open pidfd_getfd process_vm_readv process_vm_writev ptrace],
);

const PAGING: Group = Group::new(
    "@paging",
    "page faults handled by the program, pages of other processes",
    calls![migrate_pages move_pages process_madvise process_mrelease userfaultfd],
);

const LSM: Group = Group::new(
    "@lsm",
    "labels of security modules (AppArmor, SELinux, Smack)",
    calls![lsm_get_self_attr lsm_list_modules lsm_set_self_attr],
);

const BPF: Group = Group::new("@bpf", "programs in the kernel", calls![bpf]);

const CLOCK: Group = Group::new(
    "@clock",
    "set and steer the clock: time servers",
    calls![adjtimex clock_adjtime clock_settime settimeofday],
);

const HANDLE: Group = Group::new(
    "@handle",
    "open files by number instead of path, which no view restricts: file servers",
    calls![name_to_handle_at open_by_handle_at],
);

const MODULE: Group = Group::new("@module", "kernel modules", calls![delete_module finit_module init_module]);

// statmount and listmount only read, but they tell which host directories the view is made of.
const MOUNT: Group = Group::new(
    "@mount",
    "mount, unmount, and ask about mounts",
    calls![
        fsconfig fsmount fsopen fspick listmount mount mount_setattr move_mount open_tree
        open_tree_attr pivot_root statmount umount2
    ],
);

const RAW_IO: Group = Group::new("@raw-io", "I/O ports", calls![; x86_64: ioperm iopl]);

const REBOOT: Group =
    Group::new("@reboot", "reboot, or start another kernel", calls![kexec_file_load kexec_load reboot]);

const SWAP: Group = Group::new("@swap", "swap space", calls![swapoff swapon]);

const PRIVILEGED: Group = Group::of(
    "@privileged",
    "what only an administrator's tools need: all that changes the machine for everybody",
    &[BPF, CHROOT, CLOCK, HANDLE, MODULE, MOUNT, RAW_IO, REBOOT, SWAP],
    calls![
        acct fanotify_init fanotify_mark quotactl quotactl_fd setdomainname sethostname syslog
        vhangup
    ],
);

const OBSOLETE: Group = Group::new(
    "@obsolete",
    "removed from the kernel, never implemented, or replaced long ago",
    calls![
        lookup_dcookie nfsservctl remap_file_pages
        ; x86_64: _sysctl afs_syscall create_module epoll_ctl_old epoll_wait_old get_kernel_syms
        get_thread_area getpmsg modify_ldt putpmsg query_module security set_thread_area sysfs
        tuxcall uselib ustat vserver
    ],
);

// capset can only give up what was given; named and squid call it when they start unprivileged.
// The chown calls do nothing without a capability, but gunicorn, nsd and dnsmasq insist on them.
pub(super) const SERVICE: Group = Group::of(
    "@service",
    "the default: a server that starts without root",
    &[CORE, FILE, NETWORK, PROCESS, SIGNAL, TIME, MEMORY, IPC, EVENT, AIO, RESOURCES, SANDBOX, CHOWN],
    calls![capset],
);
