//! Raw system calls of the probe: the calls that a hostile program would make, without any library
//! in between that could refuse them first.
//!
//! Must not know: what a result means.

use nix::errno::Errno;
use serde_json::Value;
use std::ffi::CString;
use std::os::fd::RawFd;

/// `EPERM`, or the number when it has no name.
pub fn name(errno: i32) -> String {
    match Errno::from_raw(errno) {
        Errno::UnknownErrno => errno.to_string(),
        known => format!("{known:?}"),
    }
}

/// A system call by number; every argument is a number or a pointer made into one.
pub fn call(number: i64, arguments: [u64; 6]) -> Result<i64, i32> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the callers pass pointers to live objects of the sizes that the call reads or writes;
    // whatever else happens, happens to a forked child that exits.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result < 0 { Err(Errno::last_raw()) } else { Ok(result) }
}

/// Just the arguments that matter.
pub fn call1(number: i64, a: u64) -> Result<i64, i32> {
    call(number, [a, 0, 0, 0, 0, 0])
}

/// Two arguments.
pub fn call2(number: i64, a: u64, b: u64) -> Result<i64, i32> {
    call(number, [a, b, 0, 0, 0, 0])
}

/// Three arguments.
pub fn call3(number: i64, a: u64, b: u64, c: u64) -> Result<i64, i32> {
    call(number, [a, b, c, 0, 0, 0])
}

/// A C string that lives as long as the process.
pub fn text(s: &str) -> u64 {
    CString::new(s).unwrap().into_raw() as u64
}

/// What an attempt came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Came {
    /// It was done.
    Done,
    /// It was refused with this errno.
    Refused(i32),
    /// It killed the process.
    Killed(i32),
}

impl Came {
    /// As in the report.
    pub fn word(&self) -> String {
        match self {
            Came::Done => "ok".into(),
            Came::Refused(errno) => name(*errno),
            Came::Killed(signal) => format!("signal {signal}"),
        }
    }
}

/// Makes an attempt in a child of its own, so that neither its success nor its death changes the
/// probe. A child that executes something and is well counts as done.
pub fn attempt(body: impl FnOnce() -> Result<(), i32>) -> Came {
    let (read, write) = nix::unistd::pipe().unwrap();
    nix::fcntl::fcntl(&write, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC)).unwrap();
    // SAFETY: the probe has one thread, so nothing is held by another one.
    let child = unsafe { libc::fork() };
    if child < 0 {
        return Came::Refused(Errno::last_raw());
    }
    if child == 0 {
        // SAFETY: a number.
        unsafe { libc::alarm(5) };
        let errno = body().err().unwrap_or(0);
        nix::unistd::write(&write, &errno.to_ne_bytes()).unwrap_or(0);
        // SAFETY: ends the child without running what belongs to its parent.
        unsafe { libc::_exit(0) }
    }
    drop(write);
    let mut errno = [0u8; 4];
    let told = loop {
        match nix::unistd::read(&read, &mut errno) {
            Err(Errno::EINTR) => {}
            other => break other,
        }
    };
    let mut status = 0;
    // SAFETY: one int is written.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    if libc::WIFSIGNALED(status) {
        return Came::Killed(libc::WTERMSIG(status));
    }
    match (told, i32::from_ne_bytes(errno)) {
        (Ok(4), 0) => Came::Done,
        (Ok(4), errno) => Came::Refused(errno),
        _ if libc::WEXITSTATUS(status) == 0 => Came::Done,
        _ => Came::Refused(0),
    }
}

/// prctl(PR_GET_SECUREBITS).
pub fn securebits() -> i64 {
    call1(libc::SYS_prctl, libc::PR_GET_SECUREBITS as u64).unwrap_or(-1)
}

/// The umask.
pub fn umask() -> u32 {
    nix::sys::stat::umask(nix::sys::stat::Mode::empty()).bits()
}

/// The nice value; the raw call gives 20 minus it.
pub fn nice() -> i64 {
    call2(libc::SYS_getpriority, 0, 0).map_or(i64::MAX, |n| 20 - n)
}

/// The session keyring's serial number, and whether a key of the caller's is found in it.
pub fn keyring() -> Value {
    const GET_KEYRING_ID: u64 = 0;
    const SEARCH: u64 = 10;
    let session = libc::KEY_SPEC_SESSION_KEYRING as i64 as u64;
    let id = call3(libc::SYS_keyctl, GET_KEYRING_ID, session, 0);
    let (kind, key) = (text("user"), text("jail-test-secret"));
    let found = call(libc::SYS_keyctl, [SEARCH, session, kind, key, 0, 0]);
    let word = |r: Result<i64, i32>| r.map_or_else(|e| Value::from(name(e)), Value::from);
    serde_json::json!({ "id": word(id), "secret": word(found) })
}

/// Names and flags of network interfaces.
pub fn interfaces() -> Vec<String> {
    let Ok(socket) = socket(libc::AF_INET, libc::SOCK_DGRAM, 0) else { return Vec::new() };
    let mut found = Vec::new();
    for index in 1..64 {
        // SAFETY: all zeroes is a valid ifreq.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        request.ifr_ifru.ifru_ifindex = index;
        let pointer = &raw mut request as u64;
        if call3(libc::SYS_ioctl, socket as u64, libc::SIOCGIFNAME, pointer).is_err() {
            continue;
        }
        // SAFETY: the kernel has written a terminated name.
        let name =
            unsafe { std::ffi::CStr::from_ptr(request.ifr_name.as_ptr()) }.to_string_lossy().into_owned();
        let flags = match call3(libc::SYS_ioctl, socket as u64, libc::SIOCGIFFLAGS, pointer) {
            // SAFETY: SIOCGIFFLAGS has filled this member.
            Ok(_) => unsafe { request.ifr_ifru.ifru_flags },
            Err(_) => 0,
        };
        let state = if i32::from(flags) & libc::IFF_UP != 0 { "up" } else { "down" };
        found.push(format!("{name} {state}"));
    }
    found
}

/// socket(2).
pub fn socket(domain: i32, kind: i32, protocol: i32) -> Result<RawFd, i32> {
    call3(libc::SYS_socket, domain as u64, kind as u64, protocol as u64).map(|fd| fd as RawFd)
}

/// connect(2) to an abstract unix socket.
pub fn connect_abstract(name: &str) -> Result<(), i32> {
    let fd = socket(libc::AF_UNIX, libc::SOCK_STREAM, 0)?;
    // SAFETY: all zeroes is a valid address.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    for (to, from) in address.sun_path[1..].iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    let length = size_of::<libc::sa_family_t>() + 1 + name.len();
    call3(libc::SYS_connect, fd as u64, &raw const address as u64, length as u64).map(drop)
}

/// getpid by the 32-bit entry: `int 0x80` reaches another table of calls than `syscall`.
#[cfg(target_arch = "x86_64")]
pub fn getpid_32() -> Result<(), i32> {
    let mut result: i32 = 20;
    // SAFETY: getpid of the 32-bit table takes no arguments and writes no memory; the registers
    // that the entry does not restore are declared.
    unsafe {
        std::arch::asm!("int 0x80", inout("eax") result, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    if result < 0 { Err(-result) } else { Ok(()) }
}

/// mmap(2) of one anonymous page.
pub fn page(protection: i32) -> Result<u64, i32> {
    let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64;
    call(libc::SYS_mmap, [0, 4096, protection as u64, flags, u64::MAX, 0]).map(|p| p as u64)
}

/// Writes to a page and then asks for it to be executable.
pub fn make_executable() -> Result<(), i32> {
    let page = page(libc::PROT_READ | libc::PROT_WRITE)?;
    // SAFETY: the page was mapped writable just now.
    unsafe { (page as *mut u8).write(0xc3) };
    call3(libc::SYS_mprotect, page, 4096, (libc::PROT_READ | libc::PROT_EXEC) as u64).map(drop)
}

/// clone(2) with flags, as fork: the child ends at once.
pub fn clone(flags: i32) -> Result<(), i32> {
    let pid = call(libc::SYS_clone, [(flags | libc::SIGCHLD) as u32 as u64, 0, 0, 0, 0, 0])?;
    if pid == 0 {
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) }
    }
    Ok(())
}

/// clone3(2) with flags.
pub fn clone3(flags: i32) -> Result<(), i32> {
    let mut arguments = [0u64; 11];
    arguments[0] = flags as u32 as u64;
    arguments[4] = libc::SIGCHLD as u64;
    let pid = call2(libc::SYS_clone3, arguments.as_ptr() as u64, size_of_val(&arguments) as u64)?;
    if pid == 0 {
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) }
    }
    Ok(())
}
