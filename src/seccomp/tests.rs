//! Invariants over the tables, lists, and texts. The programs are tested in `oracle`.
#![forbid(unsafe_code)]

mod oracle;

use std::collections::BTreeMap;

use super::calls::{CallSet, Named, all_names, find, name};
use super::conditions::{MOST_VALUES, PRCTL_OPTIONS, Test};
use super::groups::{CORE, SERVICE, SINCE, since};
use super::*;
use crate::problem::{At, Paint, Problems, Sources, Span};

/// A list as a spec would hold it; entry `i` spans bytes `i..i+1`.
fn list(entries: &[&str]) -> Result<Policy, Problems> {
    let at = |i: usize| Span { source: 0, start: i as u32, end: i as u32 + 1 };
    let list: Vec<_> = entries.iter().enumerate().map(|(i, e)| At::new((*e).to_owned(), at(i))).collect();
    resolve(&list)
}

fn messages(entries: &[&str]) -> String {
    list(entries).unwrap_err().render(&Sources::default(), Paint(false))
}

/// The verdict on a call by name.
fn verdict(policy: &Policy, name: &str) -> Verdict {
    match find(name) {
        Some(Named::Number(number)) => policy.allows(number),
        other => panic!("{name}: {other:?}"),
    }
}

fn allowed(policy: &Policy, name: &str) -> bool {
    matches!(verdict(policy, name), Verdict::Allow | Verdict::Conditional(_))
}

/// Whether this machine has the call: the tables of names in tests are x86_64's.
fn exists_here(name: &str) -> bool {
    matches!(find(name).unwrap_or_else(|| panic!("{name} is no call")), Named::Number(_))
}

#[test]
fn every_call_stands_in_exactly_one_table() {
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for group in groups().iter().filter(|g| g.name != "@service") {
        for call in group.own() {
            places.entry(call.name).or_default().push(group.name);
        }
    }
    for (call, groups) in &places {
        assert_eq!(groups.len(), 1, "{call} stands in {groups:?}");
    }
    let missing: Vec<_> = CallSet::KNOWN.names().into_iter().filter(|n| !places.contains_key(n)).collect();
    assert!(missing.is_empty(), "in no table: {missing:?}");
}

#[test]
fn names_in_tables_are_the_kernels() {
    for group in groups() {
        for call in group.own() {
            assert_eq!(name(call.number), Some(call.name));
            assert_eq!(find(call.name), Some(Named::Number(call.number)));
            assert!(CallSet::KNOWN.contains(call.number));
        }
    }
}

#[test]
fn groups_are_named_and_documented_once() {
    let mut names: Vec<_> = groups().iter().map(|g| g.name).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
    for g in groups() {
        assert!(g.name.starts_with('@') && g.name.is_ascii() && !g.doc.is_empty());
        assert!(g.name.len() + g.doc.len() + 2 <= 100, "{}: the doc is one line", g.name);
        assert_eq!(group(g.name).unwrap().name, g.name);
        assert_eq!(group(&g.name[1..]).unwrap().name, g.name);
        for included in g.includes {
            assert!(groups().iter().any(|g| g.name == included.name), "{} is listed", included.name);
            assert!(included.set().minus(g.set()).is_empty());
        }
        let cfg_empty = cfg!(target_arch = "aarch64") && g.name == "@raw-io";
        assert!(cfg_empty || !g.calls().is_empty(), "{} is empty", g.name);
    }
}

#[test]
fn conditions_are_well_formed() {
    for (i, condition) in CONDITIONS.iter().enumerate() {
        let values = match condition.test {
            Test::Only(values) | Test::Not(values) => values,
            Test::Family => &[],
        };
        assert!(condition.argument < 4 && values.len() <= MOST_VALUES);
        assert!(!condition.doc.is_empty());
        for value in values {
            assert_eq!(value & !condition.mask, 0, "{}: {value:#x} can never match", condition.name);
        }
        let others = CONDITIONS.iter().skip(i + 1);
        assert!(others.clone().all(|c| c.call != condition.call), "one condition a call");
    }
}

#[test]
fn the_default_list_has_nothing_dangerous() {
    const DANGEROUS: &str = "mount umount2 move_mount open_tree open_tree_attr fsopen fsconfig fsmount \
        fspick mount_setattr pivot_root chroot statmount listmount ptrace process_vm_readv \
        process_vm_writev kcmp pidfd_getfd perf_event_open bpf keyctl add_key request_key unshare \
        setns userfaultfd name_to_handle_at open_by_handle_at io_uring_setup io_uring_enter \
        io_uring_register kexec_load kexec_file_load init_module finit_module delete_module \
        create_module quotactl quotactl_fd swapon swapoff reboot acct settimeofday clock_settime \
        clock_adjtime adjtimex syslog vhangup lookup_dcookie move_pages migrate_pages setuid setgid \
        setreuid setregid setresuid setresgid setfsuid setfsgid setgroups iopl ioperm modify_ldt \
        memfd_create memfd_secret process_madvise fanotify_init sethostname setdomainname uselib \
        nfsservctl remap_file_pages _sysctl clone3";
    let policy = list(&[]).unwrap();
    for call in DANGEROUS.split_whitespace().filter(|c| exists_here(c)) {
        assert!(!allowed(&policy, call), "{call}");
    }
    for call in ["clone", "ioctl", "personality", "prctl", "socket", "socketpair", "mknodat"] {
        assert!(matches!(verdict(&policy, call), Verdict::Conditional(_)), "{call}");
    }
    assert_eq!(verdict(&policy, "clone3"), Verdict::Errno(libc::ENOSYS));
    assert_eq!(verdict(&policy, "mount"), Verdict::Errno(libc::EPERM));
}

/// What unprivileged servers of Debian 12 called while they served, reloaded, rotated and stopped:
/// the union over apache2, bind9, dnsmasq, gunicorn, haproxy, lighttpd, mariadb, memcached, nginx,
/// node, sshd (one user), php-fpm, postgresql, prometheus, redis, unbound, and what chrony, nsd,
/// rsyslog, squid, stunnel and varnish needed besides.
const SEEN: &str = "access arch_prctl bind brk close execve exit_group fcntl getpid getrandom listen \
    mmap mprotect newfstatat openat pread64 prlimit64 read rseq rt_sigaction set_robust_list \
    set_tid_address setsockopt socket write accept accept4 alarm capget capset chdir chmod chown \
    clock_gettime clock_nanosleep clone close_range connect creat dup dup2 dup3 epoll_create \
    epoll_create1 epoll_ctl epoll_pwait epoll_wait eventfd2 exit faccessat2 fallocate fchmod fchown \
    fdatasync flock fstat fsync ftruncate futex get_mempolicy getcwd getdents64 getegid geteuid \
    getgid getpeername getpgrp getppid getrlimit getrusage getsockname getsockopt gettid getuid \
    inotify_add_watch inotify_init1 ioctl kill link lseek madvise mkdir mkdirat mremap munmap \
    nanosleep open pipe2 pkey_alloc poll ppoll prctl pselect6 pwrite64 pwritev readlink readlinkat \
    readv recvfrom recvmmsg recvmsg rename rt_sigprocmask rt_sigreturn rt_sigsuspend \
    rt_sigtimedwait sched_getaffinity sched_setscheduler sched_yield sendfile sendmmsg sendmsg \
    sendto set_mempolicy setitimer setsid shmat shmctl shmdt shmget shutdown sigaltstack signalfd4 \
    socketpair statfs statx sync_file_range sysinfo tgkill timer_create timer_delete timer_settime \
    times umask uname unlink vfork wait4 writev getgroups getpriority setpriority mknodat symlink \
    fadvise64 epoll_create";

/// Seen, too, and refused on purpose. clone3: libc falls back to clone. io_uring: mariadb falls back
/// to libaio. setuid, setgroups: gunicorn's spec has to ask for them, sshd does without.
const SEEN_AND_REFUSED: &str = "clone3 io_uring_setup io_uring_enter setuid setgroups";

#[test]
fn the_default_list_has_what_unprivileged_servers_call() {
    let policy = list(&[]).unwrap();
    for call in SEEN.split_whitespace().filter(|c| exists_here(c)) {
        assert!(allowed(&policy, call), "{call}");
    }
    for call in SEEN_AND_REFUSED.split_whitespace() {
        assert!(!allowed(&policy, call), "{call}: move it to the list above");
    }
}

#[test]
fn lists_start_from_the_service_group_unless_they_allow_something() {
    assert_eq!(list(&[]).unwrap(), list(&["@service"]).unwrap());
    assert_eq!(list(&["-@aio"]).unwrap(), list(&["@service", "-@aio"]).unwrap());
    assert_eq!(list(&["+@service", "+chroot"]).unwrap(), list(&["@service", "chroot"]).unwrap());
    let small = list(&["@network"]).unwrap();
    assert!(allowed(&small, "listen") && allowed(&small, "execve") && allowed(&small, "exit_group"));
    assert!(!allowed(&small, "fchown") && !allowed(&small, "kill"));
    assert_eq!(small.rules.allowed, CORE.set().union(group("@network").unwrap().set()));
}

#[test]
fn entries_apply_in_the_order_of_writing() {
    let policy = list(&["@service", "-@network", "socket"]).unwrap();
    assert!(allowed(&policy, "socket") && !allowed(&policy, "bind"));
    let policy = list(&["@service", "@setuid", "-setuid"]).unwrap();
    assert!(!allowed(&policy, "setuid") && allowed(&policy, "setgid"));
    let policy = list(&["-sendfile", "-@ipc"]).unwrap();
    assert!(!allowed(&policy, "sendfile") && !allowed(&policy, "shmget") && allowed(&policy, "splice"));
    assert_eq!(policy.rules.allowed.minus(SERVICE.set()), CallSet::EMPTY);
}

#[test]
fn namespaces_free_clone_and_clone3() {
    let policy = list(&["@service", "@namespace"]).unwrap();
    assert_eq!(verdict(&policy, "clone"), Verdict::Allow);
    assert_eq!(verdict(&policy, "clone3"), Verdict::Allow);
    assert_eq!(verdict(&policy, "unshare"), Verdict::Allow);
    for entries in [&["@service", "setns", "clone3"][..], &["@service", "@namespace", "-unshare"]] {
        let policy = list(entries).unwrap();
        assert_eq!(verdict(&policy, "clone"), Verdict::Conditional("clone"), "{entries:?}");
        assert_eq!(verdict(&policy, "clone3"), Verdict::Errno(libc::ENOSYS), "{entries:?}");
    }
    let policy = list(&["@core", "unshare"]).unwrap();
    assert_eq!(verdict(&policy, "clone"), Verdict::Errno(libc::EPERM));
    assert_eq!(verdict(&policy, "clone3"), Verdict::Errno(libc::ENOSYS), "it was not asked for");
}

#[test]
fn unknown_numbers_are_answered_as_an_older_kernel_does() {
    let policy = list(&[]).unwrap();
    for number in [470, 500, 511, 512, 547, 0x4000_0000, 0x4000_0027, u32::MAX] {
        assert_eq!(policy.allows(number), Verdict::Errno(libc::ENOSYS), "{number}");
    }
    assert_eq!(policy.allows(403), Verdict::Errno(libc::ENOSYS), "a call of 32-bit machines");
    assert_eq!(verdict(&policy, "file_setattr"), Verdict::Allow, "the newest one known");
}

#[test]
fn names_of_x86_64_can_be_written_everywhere() {
    let every: Vec<_> = all_names().collect();
    assert!(every.contains(&"open") && every.contains(&"newfstatat") && every.len() > 370);
    let policy = list(&every).unwrap();
    assert_eq!(policy.rules.allowed, CallSet::KNOWN);
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_places() {
    let wrong = ["@service", "@netwrok", "opeant", "-read", "@chroot", "-@service", "", "io_urng", "@bind"];
    let problems = list(&wrong).unwrap_err();
    let places: Vec<_> = problems.0.iter().map(|p| p.at.unwrap().start).collect();
    assert_eq!(places, [1, 2, 3, 5, 6, 7, 8]);
    assert_eq!(problems.code(), 2);
    assert!(problems.0.iter().all(|p| !p.help.is_empty()));
}

#[test]
fn messages_name_the_object_and_the_remedy() {
    assert_eq!(
        messages(&["@netwrok"]),
        "jail: there is no group of system calls named @netwrok\n  help: did you mean @network?\n"
    );
    assert_eq!(
        messages(&["opeant"]),
        "jail: Linux 6.18 has no system call named opeant\n  help: did you mean openat?\n"
    );
    assert!(messages(&["@q7"]).contains("help: the groups are @service @core"));
    assert!(messages(&["~@mount"]).contains("no system call named ~@mount"));
    assert!(messages(&["@bind"]).contains("bind is a single call: write it without the @"));
    assert!(messages(&["-mmap"]).contains("-mmap would take away a call that the jail itself needs"));
    assert!(messages(&["-@core"]).contains("would take away calls that the jail itself needs"));
    assert!(messages(&["-@aio", "@service"]).contains("-@aio stands before every entry"));
    assert!(messages(&["--x"]).contains("named -x"));
}

#[test]
fn the_list_of_the_documentation_works() {
    let policy = list(&["@service", "-@debug", "+io_uring"]).unwrap();
    assert!(allowed(&policy, "io_uring_setup") && allowed(&policy, "io_uring_enter"));
    assert_eq!(policy, list(&["@service", "-@debug", "@io-uring"]).unwrap(), "also as it is printed");
    assert!(policy.summary().starts_with("@service -@debug @io-uring: "), "{}", policy.summary());
    // Nothing of @debug is in @service; after an include that adds it, it is taken away.
    let debug = list(&["@service", "@debug", "ptrace", "-@debug"]).unwrap();
    assert_eq!(debug.rules.allowed, SERVICE.set());
    for (written, group) in [("debug", "@debug"), ("+io-uring", "@io-uring"), ("raw_io", "@raw-io")] {
        let policy = list(&["@service", written]).unwrap();
        assert_eq!(policy, list(&["@service", group]).unwrap(), "{written}");
    }
    // Where a call has the name, the call is meant and no more.
    assert_eq!(list(&["@service", "mount"]).unwrap().count_allowed(), list(&[]).unwrap().count_allowed() + 1);
}

#[test]
fn families_by_their_usual_names() {
    let at =
        |(i, name): (usize, &&str)| At::new((*name).to_owned(), Span { source: 0, start: i as u32, end: 9 });
    let set = |names: &[&str]| families(&names.iter().enumerate().map(at).collect::<Vec<_>>());
    assert_eq!(set(&["unix", "inet", "AF_INET6", "Netlink"]).unwrap(), Families::DEFAULT);
    assert_eq!(set(&[]).unwrap(), Families::NONE);
    assert_eq!(Families::DEFAULT.names(), ["unix", "inet", "inet6", "netlink"]);
    let wide = set(&["netlink-all"]).unwrap();
    assert!(wide.contains(libc::AF_NETLINK as u32) && !wide.netlink_is_narrow() && !wide.contains(2));
    let said = |name: &str| set(&["unix", name]).unwrap_err().render(&Sources::default(), Paint(false));
    assert_eq!(
        said("inet7"),
        "jail: there is no family of sockets named `inet7`\n  help: did you mean `inet`?\n"
    );
    assert!(said("local").contains("`unix`") && said("ipv6").contains("`inet6`"));
    assert!(said("quic").contains("one of: unix, inet, inet6, netlink, netlink-all, packet"));
    let known = [
        ("packet", libc::AF_PACKET),
        ("alg", libc::AF_ALG),
        ("vsock", libc::AF_VSOCK),
        ("xdp", libc::AF_XDP),
    ];
    for (name, number) in known {
        assert!(set(&[name]).unwrap().contains(number as u32), "{name}");
    }
}

#[test]
fn the_action_takes_the_place_of_eperm_alone() {
    let policy = list(&[]).unwrap();
    let (kill, log) = (policy.clone().action(Action::Kill), policy.clone().action(Action::Log));
    assert_eq!((verdict(&kill, "mount"), verdict(&log, "mount")), (Verdict::Kill, Verdict::Log));
    for policy in [&policy, &kill, &log] {
        assert_eq!(verdict(policy, "clone3"), Verdict::Errno(libc::ENOSYS), "libc falls back");
        assert_eq!(policy.allows(511), Verdict::Errno(libc::ENOSYS), "a newer call");
        assert_eq!(verdict(policy, "read"), Verdict::Allow);
        assert_eq!(policy.count_allowed(), list(&[]).unwrap().count_allowed());
        assert!(!policy.allows_named("setuid"), "what is logged is not on the list");
    }
    assert!(kill.summary().contains(" calls allowed, killed else; "), "{}", kill.summary());
    assert!(log.summary().contains(" calls allowed, all others logged and done; "), "{}", log.summary());
}

#[test]
fn no_family_is_no_socket() {
    let policy = list(&[]).unwrap().socket_families(Families::NONE);
    assert_eq!(verdict(&policy, "socket"), Verdict::Errno(libc::EAFNOSUPPORT));
    assert!(!policy.summary().contains("socket"), "{}", policy.summary());
}

/// The numbers are written out, because the table names no system crate.
#[test]
fn options_of_prctl_are_those_meant() {
    let named = [
        libc::PR_SET_NAME,
        libc::PR_GET_NAME,
        libc::PR_SET_PDEATHSIG,
        libc::PR_GET_PDEATHSIG,
        libc::PR_GET_DUMPABLE,
        libc::PR_SET_DUMPABLE,
        libc::PR_GET_KEEPCAPS,
        libc::PR_GET_SECCOMP,
        libc::PR_SET_SECCOMP,
        libc::PR_CAPBSET_READ,
        libc::PR_CAPBSET_DROP,
        libc::PR_GET_TSC,
        libc::PR_GET_SECUREBITS,
        libc::PR_SET_SECUREBITS,
        libc::PR_SET_TIMERSLACK,
        libc::PR_GET_TIMERSLACK,
        libc::PR_SET_CHILD_SUBREAPER,
        libc::PR_GET_CHILD_SUBREAPER,
        libc::PR_SET_NO_NEW_PRIVS,
        libc::PR_GET_NO_NEW_PRIVS,
        libc::PR_GET_TID_ADDRESS,
        libc::PR_SET_THP_DISABLE,
        libc::PR_GET_THP_DISABLE,
        libc::PR_CAP_AMBIENT,
        libc::PR_GET_SPECULATION_CTRL,
        libc::PR_SET_MDWE,
        libc::PR_GET_MDWE,
        0x4155_5856,
        libc::PR_SET_VMA,
    ];
    let named: Vec<u32> = named.iter().map(|n| *n as u32).collect();
    assert_eq!(&PRCTL_OPTIONS[..named.len()], named);
    for refused in [
        libc::PR_SET_MM,
        libc::PR_SET_PTRACER,
        67,
        libc::PR_SET_SPECULATION_CTRL,
        libc::PR_SCHED_CORE,
        59,
        35,
    ] {
        assert!(!PRCTL_OPTIONS.contains(&(refused as u32)), "{refused}");
    }
}

#[test]
fn calls_newer_than_the_oldest_kernel_are_marked() {
    let names: Vec<_> = SINCE.iter().flat_map(|(_, calls)| *calls).collect();
    assert!(names.iter().all(|n| find(n).is_some()), "{names:?}");
    // Numbers grow with time: 447 is memfd_secret, the last of 5.14.
    let newer = CallSet::KNOWN.numbers().filter(|n| *n > 447).filter_map(name);
    for call in newer {
        assert!(since(call).is_some(), "since when is there {call}?");
    }
    assert!(since("memfd_secret").is_none() && since("read").is_none());
    assert!(describe(group("@memory").unwrap()).contains("but since:\n  map_shadow_stack 6.6, mseal 6.10\n"));
}

#[test]
fn help_tells_calls_and_conditions_within_the_width() {
    for group in groups() {
        let text = describe(group);
        assert!(text.starts_with(&format!("{}: {}\n", group.name, group.doc)));
        assert!(text.lines().all(|l| l.len() <= 100 && l.trim_end() == l), "{text}");
        let words: Vec<_> = text.split_whitespace().collect();
        for call in group.calls() {
            assert!(words.contains(&call), "{call} is missing from the help of {}", group.name);
        }
    }
    let service = describe(group("service").unwrap());
    for word in ["@core", "@chown", "capset", "TIOCSTI", "netlink", "address randomisation"] {
        assert!(service.contains(word), "{word}");
    }
    assert!(!describe(group("@chown").unwrap()).contains("conditions"));
}

#[test]
fn the_summary_is_one_line() {
    let policy = list(&[]).unwrap();
    let count = policy.count_allowed();
    assert_eq!(
        policy.summary(),
        format!(
            "@service: {count} calls allowed, EPERM else; conditions: clone ioctl personality prctl socket mknod shmat; sockets: unix inet inet6 netlink"
        )
    );
    let allowed_here = CallSet::KNOWN.names().iter().filter(|n| allowed(&policy, n)).count();
    assert_eq!(count, allowed_here);
    let wx = policy.clone().deny_write_execute(true);
    assert!(wx.summary().contains("socket mknod write-execute shmat; sockets: "));
    assert_eq!(wx.count_allowed(), count);
    assert_ne!(wx, policy);
    assert_eq!(wx.deny_write_execute(false), policy);
    let none = list(&["@core", "+@chroot", "-@chroot"]).unwrap();
    assert_eq!(none.summary().split(':').next(), Some("@core @chroot -@chroot"));
    assert!(!none.summary().contains("conditions"));
}
