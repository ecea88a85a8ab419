//! Programs that daemonise, as the old books say: fork, new session, fork again.
//!
//! Must not know: who keeps them.

use super::programs::{block_all, fork, say, wait};
use std::process::ExitCode;

/// Words: `file=PATH` for the pid file and `text=TEXT` for another content, `first=STATUS` of the first
/// process, `helper=obeys|ignores` for another process that is left, `late=MS` before the pid file is
/// written, `hangs=yes` for a first process that takes no signal and ends when its input does.
pub fn main(words: &[String]) -> ExitCode {
    let word = |key: &str| words.iter().find_map(|w| w.strip_prefix(key)?.strip_prefix('='));
    let status = word("first").map_or(0, |status| status.parse().unwrap());
    if word("hangs").is_some() {
        block_all();
        say("ready");
        std::io::stdin().read_line(&mut String::new()).unwrap();
    }
    let (read, write) = nix::unistd::pipe().unwrap();
    if fork() != 0 {
        // Ends when the others are ready.
        drop(write);
        nix::unistd::read(&read, &mut [0; 1]).unwrap();
        return ExitCode::from(status);
    }
    drop(read);
    nix::unistd::setsid().unwrap();
    if let Some(helper) = word("helper")
        && fork() == 0
    {
        drop(write);
        signals("helper", helper == "obeys", 0);
    }
    if fork() != 0 {
        std::process::exit(0);
    }
    block_all();
    if word("late").is_some() {
        // The first process may end now, the file comes later.
        nix::unistd::close(std::os::fd::IntoRawFd::into_raw_fd(write)).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(word("late").unwrap().parse().unwrap()));
        write_file(word("file"), word("text"));
        say("ready");
    } else {
        write_file(word("file"), word("text"));
        say("ready");
        drop(write);
    }
    signals("daemon", true, 7);
}

fn write_file(file: Option<&str>, text: Option<&str>) {
    if let Some(file) = file {
        let own = format!("{}\n", std::process::id());
        std::fs::write(file, text.unwrap_or(&own)).unwrap();
    }
}

/// Says each signal; SIGTERM ends it with this status, if it obeys.
fn signals(name: &str, obeys: bool, status: i32) -> ! {
    let all = block_all();
    loop {
        let number = super::calls::call(libc::SYS_rt_sigtimedwait, [&raw const all as u64, 0, 0, 8, 0, 0]);
        if let Ok(number) = number {
            say(&format!("{name} {number}"));
            if number == i64::from(libc::SIGTERM) && obeys {
                std::process::exit(status);
            }
        }
    }
}

/// Makes orphans that end at once, for ever.
pub fn storm() {
    say("ready");
    // SAFETY: ignoring a signal; the children of this process are not its business.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    for _ in 0..3 {
        if fork() == 0 {
            loop {
                // SAFETY: this program has one thread.
                if unsafe { libc::fork() } == 0 {
                    // SAFETY: as above. The child ends at once, and its child is an orphan.
                    let _orphan = unsafe { libc::fork() };
                    std::process::exit(0);
                }
            }
        }
    }
    wait();
}
