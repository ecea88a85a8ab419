//! Small programs that tests of process handling need: they end, wait, count signals, leave
//! children behind.
//!
//! Must not know: who runs them.

use super::calls::{call, call1, call2, call3};
use std::io::{Read, Write};
use std::process::ExitCode;

/// Plays one part; its name and numbers come from the command line.
pub fn main(part: &str, words: &[String]) -> ExitCode {
    let number = |index: usize| words.get(index).and_then(|w| w.parse::<i32>().ok()).unwrap_or(0);
    match part {
        "exit" => return ExitCode::from(u8::try_from(number(0)).unwrap()),
        "die" => die(number(0)),
        "signals" => signals(),
        "become" => {
            let id = u64::try_from(number(0)).unwrap();
            call3(libc::SYS_setresgid, id, id, id).unwrap();
            call3(libc::SYS_setresuid, id, id, id).unwrap();
            signals();
        }
        "wait" => {
            say("ready");
            wait();
        }
        "ignore-stop" => {
            block_all();
            say("ready");
            wait();
        }
        "orphans" => orphans(number(0).max(20)),
        "notify" => super::notify::main(),
        "daemon" => return super::daemons::main(words),
        "storm" => super::daemons::storm(),
        "daemonise" => daemonise(),
        "close-output" => {
            say("last words");
            close(1);
            wait();
        }
        "stdin" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).unwrap();
            println!("{} bytes: {text}", text.len());
        }
        "hold" => {
            let _held = super::ports::hold(words);
            say("ready");
            wait();
        }
        "serve" => {
            say("ready");
            super::ports::serve();
        }
        "look" => look(),
        "watch-whole" => watch_whole(&words[0]),
        "fill" => fill(&words[0]),
        "calls" => words.iter().for_each(|w| say(&one_call(w))),
        "swap" => swap(&words[0], &words[1]),
        other => panic!("the probe has no part {other}"),
    }
    ExitCode::SUCCESS
}

/// A call that a filter may refuse, by name, and what came of it.
fn one_call(name: &str) -> String {
    let came = match name {
        "mount" => call(libc::SYS_mount, [0; 6]),
        "memfd_create" => call2(libc::SYS_memfd_create, super::calls::text("x"), 0),
        "clone3" => super::calls::clone3(0).map(|()| 0),
        "user namespace" => super::calls::clone(libc::CLONE_NEWUSER).map(|()| 0),
        "vsock" => super::calls::socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0).map(i64::from),
        "packet" => super::calls::socket(libc::AF_PACKET, libc::SOCK_RAW, 0).map(i64::from),
        "inet" => super::calls::socket(libc::AF_INET, libc::SOCK_STREAM, 0).map(i64::from),
        "inet6" => super::calls::socket(libc::AF_INET6, libc::SOCK_STREAM, 0).map(i64::from),
        "netlink" => super::calls::socket(libc::AF_NETLINK, libc::SOCK_RAW, 0).map(i64::from),
        "netlink diag" => super::calls::socket(libc::AF_NETLINK, libc::SOCK_RAW, 4).map(i64::from),
        "a newer call" => call1(500, 0),
        #[cfg(target_arch = "x86_64")]
        "int 0x80" => super::calls::getpid_32().map(|()| 0),
        #[cfg(target_arch = "x86_64")]
        "x32" => call1(0x4000_0000 | libc::SYS_getpid, 0),
        other => panic!("the probe makes no call {other}"),
    };
    format!("{name}: {}", came.map_or_else(super::calls::name, |_| "ok".into()))
}

pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
}

pub fn wait() {
    loop {
        // SAFETY: no arguments.
        unsafe { libc::pause() };
    }
}

/// Answers each line of its input, a path, with what is there: the text of a link, the names in a
/// directory, the content of a file.
fn look() {
    say("ready");
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let done = match line.split_once(" -> ") {
            Some((link, target)) => {
                let moved = std::fs::rename(link, format!("{link}.old"));
                moved.and_then(|()| std::os::unix::fs::symlink(target, link)).map(|()| "planted".into())
            }
            None => seen(&line),
        };
        match done {
            Ok(seen) => say(&seen),
            Err(error) => say(&super::calls::name(error.raw_os_error().unwrap_or(0))),
        }
    }
}

fn seen(path: &str) -> std::io::Result<String> {
    let meta = std::fs::symlink_metadata(path)?;
    if meta.is_symlink() {
        return Ok(format!("-> {}", std::fs::read_link(path)?.display()));
    }
    if meta.is_dir() {
        let names =
            std::fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let mut names = names.collect::<std::io::Result<Vec<String>>>()?;
        names.sort();
        return Ok(names.join(" "));
    }
    Ok(std::fs::read_to_string(path)?.trim_end().to_owned())
}

/// Reads a file of one letter, repeated, again and again until it is `z`: it must never be of two, or
/// of another length.
fn watch_whole(path: &str) {
    say("ready");
    let (mut reads, mut versions, mut last) = (0_u64, 0_u64, 0);
    loop {
        let content = std::fs::read(path).unwrap();
        reads += 1;
        let first = content.first().copied().unwrap_or(0);
        if content.len() != 20_000 || content.iter().any(|byte| *byte != first) {
            return say(&format!("torn: {} bytes of {first}", content.len()));
        }
        versions += u64::from(first != last);
        last = first;
        if first == b'z' {
            return say(&format!("whole: {} {}", reads > versions, versions > 1));
        }
    }
}

/// Exchanges two names as fast as it can, until it is killed. One of them may not be there for a
/// while.
fn swap(one: &str, other: &str) {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    say("ready");
    loop {
        match renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE) {
            Ok(()) | Err(nix::errno::Errno::ENOENT) => {}
            Err(errno) => panic!("renameat2: {errno}"),
        }
    }
}

fn close(fd: u64) {
    call1(libc::SYS_close, fd).unwrap();
}

/// All 64, by the raw call: glibc keeps two real-time signals to itself.
pub fn block_all() -> u64 {
    let all = u64::MAX;
    call(libc::SYS_rt_sigprocmask, [libc::SIG_SETMASK as u64, &raw const all as u64, 0, 8, 0, 0]).unwrap();
    all
}

fn die(number: i32) {
    let none = 0u64;
    call(libc::SYS_rt_sigprocmask, [libc::SIG_SETMASK as u64, &raw const none as u64, 0, 8, 0, 0]).unwrap();
    // The default action: 32 bytes of kernel sigaction, all zero.
    let default = [0u64; 4];
    if ![libc::SIGKILL, libc::SIGSTOP].contains(&number) {
        call(libc::SYS_rt_sigaction, [number as u64, default.as_ptr() as u64, 0, 8, 0, 0]).unwrap();
    }
    call2(libc::SYS_kill, std::process::id().into(), number as u64).unwrap();
    wait();
}

/// Prints the number of each signal that comes.
fn signals() {
    let all = block_all();
    say("ready");
    loop {
        match call(libc::SYS_rt_sigtimedwait, [&raw const all as u64, 0, 0, 8, 0, 0]) {
            Ok(number) => say(&number.to_string()),
            Err(libc::EINTR) => {}
            Err(errno) => panic!("rt_sigtimedwait: {errno}"),
        }
    }
}

pub fn fork() -> i32 {
    // SAFETY: this program has one thread.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    pid
}

/// Makes as many children that end as orphans of pid 1, and waits until no process but these two is
/// left.
fn orphans(count: i32) {
    for _ in 0..count {
        let child = fork();
        if child == 0 {
            if fork() == 0 {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            std::process::exit(0);
        }
        let mut status = 0;
        // SAFETY: one int is written.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
    }
    let begin = std::time::Instant::now();
    loop {
        let others: Vec<String> = others();
        if others.is_empty() {
            return say("all reaped");
        }
        assert!(begin.elapsed().as_secs() < 15, "not reaped: {others:?}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn others() -> Vec<String> {
    let own = std::process::id().to_string();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let names = entries.map(|e| e.file_name().to_string_lossy().into_owned());
    names.filter(|n| n.parse::<u32>().is_ok() && *n != own && n != "1").collect()
}

/// Ends while a child of its own goes on.
fn daemonise() {
    if fork() == 0 {
        wait();
    }
}

/// Writes a file until there is no more room, then makes files until there are no more inodes;
/// prints how far it got and why it ended.
fn fill(directory: &str) {
    let path = format!("{directory}/big");
    let mut file = std::fs::File::create(&path).unwrap();
    let mut bytes = 0;
    let why = loop {
        match file.write(&[0; 4096]) {
            Ok(n) => bytes += n,
            Err(error) => break error.raw_os_error().unwrap_or(0),
        }
        if bytes > 1 << 30 {
            break 0;
        }
    };
    drop(file);
    std::fs::remove_file(&path).unwrap();
    let mut files = 0;
    let then = loop {
        match std::fs::File::create(format!("{directory}/{files}")) {
            Ok(_) => files += 1,
            Err(error) => break error.raw_os_error().unwrap_or(0),
        }
        if files > 1 << 20 {
            break 0;
        }
    };
    println!("{bytes} {} {files} {}", super::calls::name(why), super::calls::name(then));
}
