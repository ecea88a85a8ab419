//! A careless caller: it leaks everything that a process can leak into what it starts.
//!
//! Must not know: what becomes of it.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// In the caller's environment, keyring, and secret file: must never be seen inside.
pub const SECRET: &str = "correct-horse-battery";

/// The descriptor that leaks a directory of the host.
pub const LEAKED: i32 = 7;

/// Has `command` start from a process that leaks: a directory descriptor, an environment, ignored
/// and blocked signals, umask, nice value, personality, core limit, supplementary groups, keys.
pub fn make(command: &mut Command, directory: &Path) {
    command.env("JAIL_TEST_SECRET", SECRET).env("LD_LIBRARY_PATH", "/nowhere");
    let directory = CString::new(directory.as_os_str().as_bytes()).unwrap();
    // SAFETY: only system calls are made between fork and exec, on memory that was allocated before.
    unsafe { command.pre_exec(move || leak(&directory)) };
}

fn leak(directory: &CString) -> std::io::Result<()> {
    let check = |result: i64| if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(result) };
    // SAFETY: the strings and structures live until each call returns; the closure runs in the
    // single thread of a forked child.
    unsafe {
        let fd = check(libc::open(directory.as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY).into())?;
        check(libc::dup2(fd as i32, LEAKED).into())?;
        libc::signal(libc::SIGINT, libc::SIG_IGN);
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        libc::signal(libc::SIGHUP, libc::SIG_IGN);
        let blocked = 1u64 << (libc::SIGUSR1 - 1) | 1 << (libc::SIGTERM - 1);
        check(libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, &raw const blocked, 0, 8))?;
        libc::umask(0);
        check(libc::setpriority(libc::PRIO_PROCESS, 0, 5).into())?;
        check(libc::personality(libc::ADDR_NO_RANDOMIZE as u64).into())?;
        let unlimited = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
        check(libc::setrlimit(libc::RLIMIT_CORE, &raw const unlimited).into())?;
        let groups: [libc::gid_t; 3] = [0, 4, 24];
        check(libc::setgroups(groups.len(), groups.as_ptr()).into())?;
        check(libc::syscall(libc::SYS_keyctl, 1, std::ptr::null::<libc::c_char>()))?;
        let (kind, name) = (c"user".as_ptr(), c"jail-test-secret".as_ptr());
        let session = libc::KEY_SPEC_SESSION_KEYRING;
        let id = check(libc::syscall(libc::SYS_add_key, kind, name, SECRET.as_ptr(), SECRET.len(), session))?;
        // Anybody who has the keyring may read it: what is tested is whether they have it.
        check(libc::syscall(libc::SYS_keyctl, 5, id, 0x3f3f_3f3fu64))?;
    }
    Ok(())
}
