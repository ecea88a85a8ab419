//! What a hostile program would try, each attempt by name with its errno, or `ok`.
//!
//! Must not know: what should be refused.

use super::calls::{self, attempt, call, call1, call2, call3, text};
use super::{Arguments, report};
use libc::{AT_FDCWD, O_CLOEXEC, O_CREAT, O_EXCL, O_RDONLY, O_WRONLY};
use serde_json::{Map, Value};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The interpreter of dynamic programs.
const LOADER: &str =
    if cfg!(target_arch = "aarch64") { "/lib/ld-linux-aarch64.so.1" } else { "/lib64/ld-linux-x86-64.so.2" };
const HERE: u64 = AT_FDCWD as i64 as u64;

/// All attempts. `arguments` name what only the test knows: `exec=DIR,DIR` (where to execute a copy
/// from), `pid=` (a process outside), `abstract=` (a socket outside), `fd=` (a leaked directory)
/// with `file=` in it.
pub fn all(arguments: &Arguments) -> Map<String, Value> {
    let mut list = List(Map::new());
    files(&mut list, arguments);
    mounts(&mut list);
    privileges(&mut list);
    namespaces(&mut list);
    processes(&mut list, arguments);
    memory(&mut list);
    sockets(&mut list, arguments);
    entries(&mut list);
    options(&mut list);
    kernel(&mut list);
    terminal(&mut list);
    list.0
}

struct List(Map<String, Value>);

impl List {
    fn add(&mut self, name: impl Into<String>, body: impl FnOnce() -> Result<(), i32>) {
        self.0.insert(name.into(), attempt(body).word().into());
    }
}

fn open(path: &str, flags: i32) -> Result<i64, i32> {
    call(libc::SYS_openat, [HERE, text(path), (flags | O_CLOEXEC) as u64, 0o600, 0, 0])
}

fn files(list: &mut List, arguments: &Arguments) {
    for mount in report::mounts() {
        let path = mount["path"].as_str().unwrap_or("/").to_owned();
        if Path::new(&path).is_dir() {
            let file = format!("{}/.probe", path.trim_end_matches('/'));
            list.add(format!("write {path}"), || {
                open(&file, O_CREAT | O_EXCL | O_WRONLY)?;
                call2(libc::SYS_unlink, text(&file), 0).map(drop)
            });
        } else {
            list.add(format!("write {path}"), || open(&path, O_WRONLY).map(drop));
        }
    }
    list.add("mkdir /new", || call2(libc::SYS_mkdir, text("/new"), 0o755).map(drop));
    list.add("symlink /new", || call2(libc::SYS_symlink, text("/etc"), text("/new")).map(drop));
    list.add("rename /etc/passwd", || call2(libc::SYS_rename, text("/etc/passwd"), text("/etc/p")).map(drop));
    list.add("chmod /", || call2(libc::SYS_chmod, text("/"), 0o777).map(drop));
    for path in [
        "/etc/shadow",
        "/proc/1/environ",
        "/proc/1/mem",
        "/proc/kcore",
        "/proc/sys/kernel/hostname",
        "/proc/sysrq-trigger",
        "/proc/keys",
        "/proc/kallsyms",
        "/proc/1/fd",
        "/sys/kernel",
        "/dev/mem",
        "/dev/tty",
    ] {
        list.add(format!("open {path}"), || open(path, O_RDONLY).map(drop));
    }
    list.add("list /proc/1/root", || std::fs::read_dir("/proc/1/root").map(drop).map_err(errno));
    for path in arguments.get("outside").unwrap_or("").split(',').filter(|p| !p.is_empty()) {
        list.add(format!("outside {path}"), || open(path, O_RDONLY).map(drop));
    }
    for directory in arguments.get("exec").unwrap_or("").split(',').filter(|p| !p.is_empty()) {
        list.add(format!("exec in {directory}"), || execute_copy(directory));
    }
    for program in arguments.get("run").unwrap_or("").split(',').filter(|p| !p.is_empty()) {
        list.add(format!("run {program}"), || run(&[program, "-c", "exit 0"]));
        list.add(format!("load {program}"), || run(&[LOADER, program, "-c", "exit 0"]));
    }
    if let (Some(fd), Some(file)) = (arguments.get("fd"), arguments.get("file")) {
        let fd: u64 = fd.parse().unwrap();
        list.add("leaked directory", || call3(libc::SYS_openat, fd, text(file), O_RDONLY as u64).map(drop));
    }
    list.add("stdin's directory", || call3(libc::SYS_openat, 0, text("."), O_RDONLY as u64).map(drop));
}

fn errno(error: std::io::Error) -> i32 {
    error.raw_os_error().unwrap_or(0)
}

fn run(words: &[&str]) -> Result<(), i32> {
    let arguments: Vec<u64> = words.iter().map(|w| text(w)).chain([0]).collect();
    call3(libc::SYS_execve, arguments[0], arguments.as_ptr() as u64, 0).map(drop)
}

fn execute_copy(directory: &str) -> Result<(), i32> {
    let copy = format!("{directory}/true-copy");
    std::fs::copy("/usr/bin/true", &copy).map_err(errno)?;
    std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o755)).map_err(errno)?;
    let argv = [text(&copy), 0];
    call3(libc::SYS_execve, text(&copy), argv.as_ptr() as u64, argv.as_ptr().wrapping_add(1) as u64).map(drop)
}

fn mounts(list: &mut List) {
    let (none, root) = (text("none"), text("/"));
    let remount = libc::MS_REMOUNT | libc::MS_BIND;
    list.add("remount /", || call(libc::SYS_mount, [none, root, 0, remount, 0, 0]).map(drop));
    list.add("mount tmpfs", || call(libc::SYS_mount, [none, text("/tmp"), text("tmpfs"), 0, 0, 0]).map(drop));
    list.add("bind", || call(libc::SYS_mount, [root, text("/tmp"), 0, libc::MS_BIND, 0, 0]).map(drop));
    list.add("umount", || call2(libc::SYS_umount2, text("/proc"), libc::MNT_DETACH as u64).map(drop));
    list.add("open_tree", || call3(libc::SYS_open_tree, HERE, root, 1).map(drop));
    list.add("fsopen", || call2(libc::SYS_fsopen, text("tmpfs"), 0).map(drop));
    list.add("move_mount", || call(libc::SYS_move_mount, [HERE, root, HERE, text("/tmp"), 0, 0]).map(drop));
    list.add("mount_setattr", || {
        let attributes = [0u64, 1, 0, 0];
        call(libc::SYS_mount_setattr, [HERE, root, 0, attributes.as_ptr() as u64, 32, 0]).map(drop)
    });
    list.add("pivot_root", || call2(libc::SYS_pivot_root, text("."), text(".")).map(drop));
    list.add("chroot", || call1(libc::SYS_chroot, text("/tmp")).map(drop));
    let device = libc::makedev(1, 1);
    let node = |kind: u32| call3(libc::SYS_mknod, text("/tmp/node"), u64::from(kind | 0o666), device);
    list.add("mknod char", || node(libc::S_IFCHR).map(drop));
    list.add("mknod block", || node(libc::S_IFBLK).map(drop));
}

fn privileges(list: &mut List) {
    list.add("setuid 0", || call1(libc::SYS_setuid, 0).map(drop));
    list.add("setgid 0", || call1(libc::SYS_setgid, 0).map(drop));
    list.add("setresuid 0", || call3(libc::SYS_setresuid, 0, 0, 0).map(drop));
    list.add("setgroups", || call2(libc::SYS_setgroups, 1, [0u32].as_ptr() as u64).map(drop));
    list.add("capset all", || {
        let header = [0x2008_0522u32, 0];
        call2(libc::SYS_capset, header.as_ptr() as u64, [u32::MAX; 6].as_ptr() as u64).map(drop)
    });
    let raise = |c: u64| {
        call(libc::SYS_prctl, [libc::PR_CAP_AMBIENT as u64, libc::PR_CAP_AMBIENT_RAISE as u64, c, 0, 0, 0])
    };
    list.add("ambient raise", || raise(21).map(drop));
    list.add("clear no_new_privs", || call2(libc::SYS_prctl, libc::PR_SET_NO_NEW_PRIVS as u64, 0).map(drop));
    list.add("keep capabilities", || call2(libc::SYS_prctl, libc::PR_SET_KEEPCAPS as u64, 1).map(drop));
    list.add("securebits", || call2(libc::SYS_prctl, libc::PR_SET_SECUREBITS as u64, 0).map(drop));
    list.add("raise core limit", || {
        let limits = [u64::MAX, u64::MAX];
        call(libc::SYS_prlimit64, [0, libc::RLIMIT_CORE.into(), limits.as_ptr() as u64, 0, 0, 0]).map(drop)
    });
    list.add("nice -5", || call3(libc::SYS_setpriority, 0, 0, -5i64 as u64).map(drop));
    list.add("sethostname", || call2(libc::SYS_sethostname, text("x"), 1).map(drop));
}

fn namespaces(list: &mut List) {
    let kinds = [
        ("user", libc::CLONE_NEWUSER),
        ("mount", libc::CLONE_NEWNS),
        ("pid", libc::CLONE_NEWPID),
        ("net", libc::CLONE_NEWNET),
        ("ipc", libc::CLONE_NEWIPC),
        ("uts", libc::CLONE_NEWUTS),
        ("cgroup", libc::CLONE_NEWCGROUP),
        ("time", 0x80),
    ];
    for (name, flag) in kinds {
        list.add(format!("unshare {name}"), || call1(libc::SYS_unshare, flag as u32 as u64).map(drop));
        if name != "time" {
            list.add(format!("clone {name}"), || calls::clone(flag));
        }
        list.add(format!("clone3 {name}"), || calls::clone3(flag));
    }
    list.add("setns", || {
        let fd = open("/proc/self/ns/mnt", O_RDONLY)?;
        call2(libc::SYS_setns, fd as u64, 0).map(drop)
    });
    list.add("setns pidfd", || {
        let fd = call2(libc::SYS_pidfd_open, 1, 0)?;
        call2(libc::SYS_setns, fd as u64, libc::CLONE_NEWNS as u64).map(drop)
    });
}

fn processes(list: &mut List, arguments: &Arguments) {
    list.add("ptrace pid 1", || call2(libc::SYS_ptrace, libc::PTRACE_SEIZE as u64, 1).map(drop));
    list.add("process_vm_readv pid 1", || {
        let mut buffer = [0u8; 8];
        let vector = [buffer.as_mut_ptr() as u64, 8];
        let pointer = vector.as_ptr() as u64;
        call(libc::SYS_process_vm_readv, [1, pointer, 1, pointer, 1, 0]).map(drop)
    });
    list.add("kill pid 1", || call2(libc::SYS_kill, 1, libc::SIGKILL as u64).map(drop));
    if let Some(pid) = arguments.get("pid") {
        let pid: u64 = pid.parse().unwrap();
        list.add("signal outside", || call2(libc::SYS_kill, pid, 0).map(drop));
        list.add("ptrace outside", || call2(libc::SYS_ptrace, libc::PTRACE_SEIZE as u64, pid).map(drop));
        list.add("list outside", || open(&format!("/proc/{pid}"), O_RDONLY).map(drop));
    }
    list.add("kcmp pid 1", || call3(libc::SYS_kcmp, 1, 1, 0).map(drop));
    list.add("pidfd_getfd pid 1", || {
        let fd = call2(libc::SYS_pidfd_open, 1, 0)?;
        call3(libc::SYS_pidfd_getfd, fd as u64, 0, 0).map(drop)
    });
}

fn memory(list: &mut List) {
    let all = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    list.add("mmap write+exec", || calls::page(all).map(drop));
    list.add("mprotect written to exec", calls::make_executable);
    list.add("mprotect write+exec", || {
        let page = calls::page(libc::PROT_READ | libc::PROT_WRITE)?;
        call3(libc::SYS_mprotect, page, 4096, all as u64).map(drop)
    });
    // Writes to read-only and executable memory, too, as a debugger does.
    list.add("open /proc/self/mem to write", || open("/proc/self/mem", O_WRONLY).map(drop));
    list.add("open /proc/self/comm to write", || open("/proc/self/comm", O_WRONLY).map(drop));
    list.add("personality no ASLR", || {
        call1(libc::SYS_personality, libc::ADDR_NO_RANDOMIZE as u64).map(drop)
    });
    list.add("userfaultfd", || call1(libc::SYS_userfaultfd, 0).map(drop));
}

fn sockets(list: &mut List, arguments: &Arguments) {
    let raw = libc::SOCK_RAW;
    let kinds = [
        ("packet", libc::AF_PACKET, raw),
        ("vsock", libc::AF_VSOCK, libc::SOCK_STREAM),
        ("alg", libc::AF_ALG, libc::SOCK_SEQPACKET),
        ("raw", libc::AF_INET, raw),
        ("key", libc::AF_KEY, raw),
        ("xdp", libc::AF_XDP, raw),
        ("bluetooth", libc::AF_BLUETOOTH, raw),
        ("can", libc::AF_CAN, raw),
        ("tipc", libc::AF_TIPC, raw),
        ("inet", libc::AF_INET, libc::SOCK_STREAM),
        ("inet6", libc::AF_INET6, libc::SOCK_STREAM),
        ("unix", libc::AF_UNIX, libc::SOCK_STREAM),
    ];
    for (name, domain, kind) in kinds {
        list.add(format!("socket {name}"), || calls::socket(domain, kind, 0).map(drop));
    }
    let protocols = [
        ("netlink", libc::NETLINK_ROUTE),
        ("netlink audit", libc::NETLINK_AUDIT),
        ("netlink generic", libc::NETLINK_GENERIC),
        ("netlink uevent", libc::NETLINK_KOBJECT_UEVENT),
        ("netlink diag", libc::NETLINK_SOCK_DIAG),
    ];
    for (name, protocol) in protocols {
        list.add(format!("socket {name}"), || calls::socket(libc::AF_NETLINK, raw, protocol).map(drop));
    }
    for (name, attempt) in super::ports::attempts(arguments) {
        list.add(name, attempt);
    }
    if let Some(name) = arguments.get("abstract") {
        list.add("abstract socket outside", || calls::connect_abstract(name));
    }
}

fn entries(list: &mut List) {
    #[cfg(target_arch = "x86_64")]
    {
        list.add("int 0x80 getpid", calls::getpid_32);
        list.add("x32 getpid", || call1(0x4000_0000 | libc::SYS_getpid, 0).map(drop));
    }
    list.add("unknown call", || call1(9999, 0).map(drop));
    list.add("last unknown call", || call1(0x3fff_ffff, 0).map(drop));
}

/// prctl(2) is a drawer of powers: those that no server has a use for.
fn options(list: &mut List) {
    let options = [
        ("PR_SET_MM", libc::PR_SET_MM, u64::from(libc::PR_SET_MM_BRK as u32)),
        ("PR_SET_PTRACER", libc::PR_SET_PTRACER, u64::MAX),
        ("PR_SET_MEMORY_MERGE", 67, 1),
        ("PR_SET_SPECULATION_CTRL", libc::PR_SET_SPECULATION_CTRL, 0),
        ("PR_SCHED_CORE", libc::PR_SCHED_CORE, 1),
        ("PR_SET_SYSCALL_USER_DISPATCH", 59, 0),
        ("unknown to anybody", 4711, 0),
    ];
    for (name, option, argument) in options {
        list.add(format!("prctl {name}"), || call3(libc::SYS_prctl, option as u64, argument, 0).map(drop));
    }
    list.add("prctl PR_SET_NAME", || {
        call2(libc::SYS_prctl, libc::PR_SET_NAME as u64, text("probe")).map(drop)
    });
    list.add("prctl PR_SET_DUMPABLE", || call2(libc::SYS_prctl, libc::PR_SET_DUMPABLE as u64, 1).map(drop));
    list.add("prctl PR_SET_THP_DISABLE", || {
        call2(libc::SYS_prctl, libc::PR_SET_THP_DISABLE as u64, 1).map(drop)
    });
}

fn kernel(list: &mut List) {
    list.add("bpf", || call3(libc::SYS_bpf, 0, [0u64; 16].as_ptr() as u64, 128).map(drop));
    list.add("perf_event_open", || {
        let attributes = [1u32, 120].into_iter().chain([0; 30]).collect::<Vec<u32>>();
        call(libc::SYS_perf_event_open, [attributes.as_ptr() as u64, 0, u64::MAX, u64::MAX, 0, 0]).map(drop)
    });
    list.add("keyctl", || {
        call3(libc::SYS_keyctl, 0, libc::KEY_SPEC_SESSION_KEYRING as i64 as u64, 0).map(drop)
    });
    list.add("add_key", || {
        let session = libc::KEY_SPEC_SESSION_KEYRING as i64 as u64;
        call(libc::SYS_add_key, [text("user"), text("k"), text("v"), 1, session, 0]).map(drop)
    });
    list.add("io_uring_setup", || call2(libc::SYS_io_uring_setup, 1, [0u64; 15].as_ptr() as u64).map(drop));
    list.add("open_by_handle_at", || {
        let handle = [8u32, 1, 0, 0];
        call3(libc::SYS_open_by_handle_at, HERE, handle.as_ptr() as u64, 0).map(drop)
    });
    list.add("name_to_handle_at", || {
        let (handle, mut id) = ([128u32; 34], 0i32);
        call(libc::SYS_name_to_handle_at, [HERE, text("/"), handle.as_ptr() as u64, &raw mut id as u64, 0, 0])
            .map(drop)
    });
    list.add("init_module", || call3(libc::SYS_init_module, 0, 0, text("")).map(drop));
    list.add("kexec_load", || call1(libc::SYS_kexec_load, 0).map(drop));
    list.add("reboot", || call3(libc::SYS_reboot, 0, 0, 0).map(drop));
    list.add("settimeofday", || call2(libc::SYS_settimeofday, [-1i64, -1].as_ptr() as u64, 0).map(drop));
    list.add("syslog", || call3(libc::SYS_syslog, 10, 0, 0).map(drop));
    list.add("swapon", || call2(libc::SYS_swapon, text("/none"), 0).map(drop));
    list.add("iopl", || iopl().map(drop));
}

#[cfg(target_arch = "x86_64")]
fn iopl() -> Result<i64, i32> {
    call1(libc::SYS_iopl, 3)
}

#[cfg(not(target_arch = "x86_64"))]
fn iopl() -> Result<i64, i32> {
    Err(libc::ENOSYS)
}

fn terminal(list: &mut List) {
    let (letter, mut code) = ("x", 2u8);
    let input = letter.as_ptr() as u64;
    list.add("TIOCSTI", || call3(libc::SYS_ioctl, 0, libc::TIOCSTI, input).map(drop));
    // Only the low 32 bits of a request count: a filter that compares all 64 lets this one pass.
    list.add("TIOCSTI in disguise", || call3(libc::SYS_ioctl, 0, 1 << 32 | libc::TIOCSTI, input).map(drop));
    list.add("TIOCLINUX", || call3(libc::SYS_ioctl, 0, libc::TIOCLINUX, &raw mut code as u64).map(drop));
}
