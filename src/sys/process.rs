//! Processes: clone with namespaces, a vfork-like spawn, credentials' odd corners, seccomp, exec.

use super::{Result, check};
use crate::seccomp::Instruction;
use nix::errno::Errno;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Runs `child` in a new process, in new namespaces (`CLONE_NEW*` in `namespaces`), that shares this
/// one's memory, while this one is suspended, until the child calls execve or exits with what
/// `child` returns (clone(2) with CLONE_VM|CLONE_VFORK).
///
/// Shared memory is what makes it cheap (no page table is copied, no page faults again), and lets
/// the child leave a report for the parent. Descriptors are not shared: what the child opens or
/// closes is so in the child alone, whatever owners in the shared memory believe.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN; ENOSPC or EUSERS when a limit of `/proc/sys/user` is reached;
/// EAGAIN or ENOMEM.
pub fn spawn_sharing_memory<F: FnMut() -> i32>(namespaces: c_int, mut child: F) -> Result<i32> {
    extern "C" fn enter<F: FnMut() -> i32>(argument: *mut c_void) -> c_int {
        // SAFETY: `argument` is the `&mut child` below, which outlives the child's use of this
        // memory because CLONE_VFORK suspends the parent until exec or exit.
        let child = unsafe { &mut *argument.cast::<F>() };
        let code = child();
        // SAFETY: _exit runs no handler, so it changes nothing in the shared memory.
        unsafe { libc::_exit(code) }
    }
    const STACK: usize = 256 * 1024;
    let mut stack: Vec<u128> = Vec::with_capacity(STACK / size_of::<u128>());
    // SAFETY: the capacity is STACK bytes, so this is one past its end and 16-byte aligned, as the
    // ABI wants of a stack that grows down; only the child writes to it.
    let top = unsafe { stack.as_mut_ptr().add(STACK / size_of::<u128>()) };
    let flags = namespaces | libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: `enter` gets a pointer that stays valid (see there), and a stack of its own.
    let pid = unsafe { libc::clone(enter::<F>, top.cast(), flags, (&raw mut child).cast()) };
    let pid = check(pid.into())?;
    i32::try_from(pid).map_err(|_| Errno::EOVERFLOW)
}

/// Joins a new, empty, anonymous session keyring (keyctl(2), KEYCTL_JOIN_SESSION_KEYRING).
///
/// # Errors
/// ENOSYS without CONFIG_KEYS; EDQUOT.
pub fn new_session_keyring() -> Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: c_int = 1;
    // SAFETY: a null name asks for an anonymous keyring; no memory is read.
    let done =
        unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<c_char>()) };
    check(done).map(|_| ())
}

/// prctl(2) with plain numbers.
///
/// # Errors
/// As the option says; EINVAL if the kernel does not know it.
fn prctl(option: c_int, a: u64, b: u64) -> Result<c_int> {
    // SAFETY: only options whose arguments are numbers are passed by the functions below.
    check(unsafe { libc::prctl(option, a, b, 0u64, 0u64) }.into()).map(|v| v as c_int)
}

/// PR_SET_MDWE: no mapping of this process and its children is ever writable and executable.
/// Linux 6.3.
///
/// # Errors
/// EINVAL before 6.3.
pub fn deny_write_execute() -> Result<()> {
    prctl(libc::PR_SET_MDWE, libc::PR_MDWE_REFUSE_EXEC_GAIN.into(), 0).map(|_| ())
}

/// Whether this process is under a system-call filter (PR_GET_SECCOMP).
///
/// # Errors
/// EINVAL without CONFIG_SECCOMP.
pub fn is_filtered() -> Result<bool> {
    prctl(libc::PR_GET_SECCOMP, 0, 0).map(|mode| mode != 0)
}

/// PR_SET_PDEATHSIG with SIGKILL. Cleared by a later change of credentials.
///
/// # Errors
/// None known.
pub fn die_with_parent() -> Result<()> {
    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64, 0).map(|_| ())
}

/// PR_SET_DUMPABLE off: no core dump, no ptrace, and /proc/PID belongs to root.
///
/// # Errors
/// None known.
pub fn not_dumpable() -> Result<()> {
    prctl(libc::PR_SET_DUMPABLE, 0, 0).map(|_| ())
}

/// PR_CAPBSET_DROP of one capability number.
///
/// # Errors
/// EPERM without CAP_SETPCAP; EINVAL if the kernel has no such capability.
pub fn drop_bounding(capability: u8) -> Result<()> {
    prctl(libc::PR_CAPBSET_DROP, capability.into(), 0).map(|_| ())
}

/// Sets the supplementary groups of this thread (setgroups(2)).
///
/// # Errors
/// EPERM without CAP_SETGID or after `deny` in /proc/self/setgroups.
pub fn set_groups(groups: &[u32]) -> Result<()> {
    // SAFETY: the pointer and the length describe one slice; the kernel only reads it.
    let done = unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) };
    check(done).map(|_| ())
}

/// Back to the plain Linux execution domain: no ADDR_NO_RANDOMIZE, no READ_IMPLIES_EXEC.
///
/// # Errors
/// EINVAL.
pub fn reset_personality() -> Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::personality(0) }.into()).map(|_| ())
}

/// Marks every descriptor from `first` up close-on-exec. Linux 5.11.
///
/// # Errors
/// EINVAL before 5.11.
pub fn close_on_exec_from(first: u32) -> Result<()> {
    close_range(first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC)
}

/// Marks the descriptors below `end` close-on-exec.
///
/// # Errors
/// EINVAL for 0.
pub fn close_on_exec_below(end: u32) -> Result<()> {
    close_range(0, end.checked_sub(1).ok_or(Errno::EINVAL)?, libc::CLOSE_RANGE_CLOEXEC)
}

/// Makes `number` a duplicate of `from` that stays open over exec. For a process about to execute.
///
/// # Errors
/// EBADF; EINVAL.
pub fn place_descriptor(from: &OwnedFd, number: c_int) -> Result<()> {
    if from.as_raw_fd() == number {
        // SAFETY: no pointers; clears close-on-exec.
        return check(unsafe { libc::fcntl(number, libc::F_SETFD, 0) }.into()).map(|_| ());
    }
    // SAFETY: no pointers. Whatever had this number is closed: nothing uses it before the exec.
    check(unsafe { libc::dup2(from.as_raw_fd(), number) }.into()).map(|_| ())
}

fn close_range(first: u32, last: u32, flags: u32) -> Result<()> {
    // SAFETY: no pointers, and nothing is closed before an exec.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) }).map(|_| ())
}

/// A descriptor of a process, which no other process can take the number of (pidfd_open(2), Linux
/// 5.3).
///
/// # Errors
/// ESRCH; EMFILE; ENOMEM.
pub fn descriptor(pid: i32) -> Result<OwnedFd> {
    // SAFETY: no pointers; the descriptor is close-on-exec.
    let raw = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    Ok(take_received(i32::try_from(raw).map_err(|_| Errno::EBADF)?))
}

/// The number of a process in this one's pid namespace (the line Pid of /proc/self/fdinfo), if it
/// lives and has one there.
pub fn number(process: &OwnedFd) -> Option<i32> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", process.as_raw_fd())).ok()?;
    let number: i32 = text.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()?;
    (number > 0).then_some(number)
}

/// The number in a pid namespace of a process that has this number here (ioctl_ns(2),
/// NS_GET_TGID_IN_PIDNS, Linux 6.11).
///
/// # Errors
/// ESRCH if it is not in it; ENOTTY before 6.11.
pub fn number_in(namespace: &OwnedFd, pid: i32) -> Result<i32> {
    const NS_GET_TGID_IN_PIDNS: libc::Ioctl = 0x8004_b709u32 as libc::Ioctl;
    // SAFETY: the argument is a number; no memory is read or written.
    let number = unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_TGID_IN_PIDNS, pid) };
    check(number.into()).map(|_| number)
}

/// How a process has ended that others have reaped, as from wait(2) (ioctl PIDFD_GET_INFO with
/// PIDFD_INFO_EXIT, Linux 6.15).
///
/// # Errors
/// ENOTTY or EINVAL before 6.15; ESRCH if it was not reaped yet.
pub fn status_of(process: &OwnedFd) -> Result<i32> {
    /// The first version of struct pidfd_info.
    #[repr(C)]
    #[derive(Default)]
    struct Information {
        mask: u64,
        cgroup: u64,
        ids: [u32; 11],
        status: i32,
    }
    const EXIT: u64 = 1 << 3;
    const PIDFD_GET_INFO: libc::Ioctl = 0xc040_ff0bu32 as libc::Ioctl;
    let mut information = Information { mask: EXIT, ..Information::default() };
    // SAFETY: the kernel reads and writes one struct of the size that is in the number of the call.
    check(unsafe { libc::ioctl(process.as_raw_fd(), PIDFD_GET_INFO, &raw mut information) }.into())?;
    if information.mask & EXIT == 0 { Err(Errno::ESRCH) } else { Ok(information.status) }
}

/// Whether a process has ended, reaped or not (a pidfd is readable then): it takes signals to the last,
/// but does nothing about them.
pub fn has_ended(process: &OwnedFd) -> bool {
    let mut waiting = [nix::poll::PollFd::new(process.as_fd(), nix::poll::PollFlags::POLLIN)];
    nix::poll::poll(&mut waiting, nix::poll::PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// pidfd_send_signal(2) with any signal number.
///
/// # Errors
/// EPERM, ESRCH, EINVAL.
pub fn send_signal_by(process: &OwnedFd, number: i32) -> Result<()> {
    let information = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null pointer asks for what kill(2) would send; no memory is read.
    let done =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), number, information, 0) };
    check(done).map(|_| ())
}

/// kill(2) with any signal number: nix's type has no real-time signals.
///
/// # Errors
/// EPERM, ESRCH, EINVAL.
pub fn send_signal(pid: i32, number: i32) -> Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::kill(pid, number) }.into()).map(|_| ())
}

/// Installs a filter on this thread and what it will execute (seccomp(2)); no_new_privs is set
/// already.
///
/// # Errors
/// EINVAL for a program that the kernel's checker refuses; EACCES without no_new_privs.
pub fn install_filter(program: &[Instruction]) -> Result<()> {
    let length = u16::try_from(program.len()).map_err(|_| Errno::EINVAL)?;
    // `Instruction` has the layout of `sock_filter` (asserted below); the kernel copies it.
    let filter = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: `filter` describes `program`, which lives until the call returns and is only read.
    let done =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const filter) };
    check(done).map(|_| ())
}

const _: () = assert!(size_of::<Instruction>() == size_of::<libc::sock_filter>());
const _: () = assert!(align_of::<Instruction>() == align_of::<libc::sock_filter>());

/// execve(2) with arrays built beforehand, so that nothing is allocated between the filter and it.
pub struct Execution {
    strings: Vec<CString>,
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
}

impl Execution {
    /// Prepares argv and envp.
    pub fn new(arguments: Vec<CString>, environment: Vec<CString>) -> Self {
        let pointers = |list: &[CString]| -> Vec<*const c_char> {
            list.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
        };
        let (a, e) = (pointers(&arguments), pointers(&environment));
        // A CString's buffer does not move when the CString does.
        let strings = arguments.into_iter().chain(environment).collect();
        Execution { strings, arguments: a, environment: e }
    }

    /// Executes; returns only on failure.
    pub fn run(&self, program: &CStr) -> Errno {
        debug_assert!(self.strings.len() + 2 == self.arguments.len() + self.environment.len());
        // SAFETY: both arrays end in null and point into `strings`, which `self` keeps alive.
        unsafe { libc::execve(program.as_ptr(), self.arguments.as_ptr(), self.environment.as_ptr()) };
        Errno::last()
    }

    /// Executes what is open on `image` (execveat(2) with AT_EMPTY_PATH); returns only on failure.
    pub fn run_image(&self, image: BorrowedFd<'_>) -> Errno {
        let (arguments, environment) = (self.arguments.as_ptr(), self.environment.as_ptr());
        let path = c"".as_ptr();
        // SAFETY: as in `run`; the path is an empty literal.
        unsafe {
            libc::syscall(
                libc::SYS_execveat,
                image.as_raw_fd(),
                path,
                arguments,
                environment,
                libc::AT_EMPTY_PATH,
            )
        };
        Errno::last()
    }
}

/// Makes `terminal` the controlling terminal of this session (ioctl TIOCSCTTY).
///
/// # Errors
/// EPERM if this process leads no session or has a terminal.
pub fn take_terminal(terminal: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: the argument is the number 0: do not steal.
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) }.into()).map(|_| ())
}

/// Pid 1's program, in memory. Nobody may read it, so that the kernel makes who executes it not
/// dumpable from its first instruction.
///
/// # Errors
/// EACCES if the sysctl vm.memfd_noexec is 2.
pub fn init_image() -> Result<OwnedFd> {
    image(c"jail-init", include_bytes!(env!("JAIL_INIT")), 0o111)
}

/// A program in memory, with these permission bits.
///
/// # Errors
/// EACCES if the sysctl vm.memfd_noexec is 2.
pub fn image(name: &CStr, content: &[u8], mode: u32) -> Result<OwnedFd> {
    let create = |flags: libc::c_uint| {
        // SAFETY: `name` is NUL-terminated and only read.
        check(unsafe { libc::memfd_create(name.as_ptr(), flags) }.into())
    };
    // MFD_EXEC is needed where vm.memfd_noexec is 1, and unknown before Linux 6.3.
    let raw = match create(libc::MFD_CLOEXEC | libc::MFD_EXEC) {
        Err(Errno::EINVAL) => create(libc::MFD_CLOEXEC)?,
        other => other?,
    };
    let image = take_received(i32::try_from(raw).map_err(|_| Errno::EBADF)?);
    if nix::unistd::write(&image, content)? != content.len() {
        return Err(Errno::EIO);
    }
    nix::sys::stat::fchmod(&image, nix::sys::stat::Mode::from_bits_truncate(mode))?;
    Ok(image)
}

/// setrlimit(2) by the kernel's resource number, for this process.
///
/// # Errors
/// EPERM when raising a hard limit without CAP_SYS_RESOURCE; EINVAL for soft above hard.
pub fn set_limit(resource: u32, limits: libc::rlimit64) -> Result<()> {
    limit(resource, &raw const limits, std::ptr::null_mut())
}

/// getrlimit(2) by the kernel's resource number, for this process.
///
/// # Errors
/// EINVAL for an unknown resource.
pub fn current_limit(resource: u32) -> Result<libc::rlimit64> {
    let mut limits = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    limit(resource, std::ptr::null(), &raw mut limits)?;
    Ok(limits)
}

fn limit(resource: u32, new: *const libc::rlimit64, old: *mut libc::rlimit64) -> Result<()> {
    // SAFETY: each pointer is null, which means not wanted, or to one rlimit64 of the callers above.
    check(unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, new, old) }).map(|_| ())
}

/// Owns a descriptor that the kernel has just made for this process.
pub fn take_received(raw: std::os::fd::RawFd) -> OwnedFd {
    use std::os::fd::FromRawFd;
    // SAFETY: the kernel has just installed it, and the caller passes each number once.
    unsafe { OwnedFd::from_raw_fd(raw) }
}

/// Runs `child` in a process that is no child of this one: init reaps it. It has a copy of
/// everything.
///
/// # Errors
/// Those of fork(2).
pub fn run_detached(child: impl FnOnce()) -> Result<()> {
    // SAFETY: this process has a single thread, so no lock is held by one that is not copied.
    let between = check(unsafe { libc::fork() }.into())?;
    if between != 0 {
        let pid = i32::try_from(between).map_err(|_| Errno::EOVERFLOW)?;
        let status = wait_for(pid, true)?;
        return if status == Some(0) { Ok(()) } else { Err(Errno::EAGAIN) };
    }
    // SAFETY: as above.
    let code = match unsafe { libc::fork() } {
        0 => {
            child();
            0
        }
        pid => i32::from(pid < 0),
    };
    // SAFETY: ends a copy of this process without running what belongs to the original.
    unsafe { libc::_exit(code) }
}

/// Waits for one child, or only asks with `block` false; `None` if it has not ended.
///
/// # Errors
/// ECHILD if it is no child of this process.
pub fn wait_for(pid: i32, block: bool) -> Result<Option<i32>> {
    let mut status = 0;
    let flags = if block { 0 } else { libc::WNOHANG };
    // Asked again at once: whoever waits has already taken the signal that says that it ended.
    loop {
        // SAFETY: the kernel writes one int.
        match check(unsafe { libc::waitpid(pid, &raw mut status, flags) }.into()) {
            Err(Errno::EINTR) => {}
            done => return Ok((done? != 0).then_some(status)),
        }
    }
}

/// Gives free pages of heap and stack back to the kernel: what reading the spec needed, waiting does
/// not. For the main thread.
pub fn trim_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: no pointers; it moves nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
    const DEEPEST: usize = 256 * 1024;
    // Not from /proc/self/auxv, which is closed to who is not dumpable any more (Linux before 6.4).
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    let page = page.and_then(|page| usize::try_from(page).ok()).unwrap_or(4096);
    let here = (&raw const page).addr();
    // The page of this frame stays, and one below it for the call itself.
    let end = (here & !(page - 1)).saturating_sub(page);
    let start = std::ptr::without_provenance_mut(end.saturating_sub(DEEPEST));
    // SAFETY: a stack grows down, so nothing below this frame's is in use. The kernel keeps a larger gap
    // free of other mappings below the main thread's stack; of what is not mapped it only says so.
    let done = unsafe { libc::madvise(start, end - start.addr(), libc::MADV_DONTNEED) };
    log::trace!("stack trimmed: {done}");
}
