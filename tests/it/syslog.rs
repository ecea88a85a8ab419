//! The host's log daemon is restarted, and what runs in a jail goes on logging to it.
//!
//! Must not know: how its directory is shown.

use crate::host::{isolated, own_run, wait_until};
use crate::ring::Ring::Server;
use crate::ring::{Test, test};
use crate::run::{Live, Room, jail};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The tests of this file. Each has a /run of its own, where the host's daemon is.
pub fn tests() -> Vec<Test> {
    let own =
        |name: &str, body: fn()| test(Server("rsyslogd"), format!("syslog::{name}"), move || isolated(body));
    vec![
        own("a_restarted_rsyslog_hears_the_jail_again", || restarted("rsyslog", "/run/rsyslog/dev-log")),
        own("so_it_does_where_the_journal_would_be", || restarted("syslog", "/run/systemd/journal/dev-log")),
    ]
}

/// An rsyslogd with a socket and files of its own. Ended when dropped.
struct Daemon {
    child: Child,
}

impl Daemon {
    fn start(room: &Room, config: &Path, socket: &str) -> Self {
        let pid_file = room.path().join("rsyslogd.pid");
        let mut command = Command::new("/usr/sbin/rsyslogd");
        command.arg("-n").arg("-f").arg(config).arg("-i").arg(&pid_file);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let daemon = Daemon { child };
        wait_until("rsyslogd has its socket", || {
            let asked = std::os::unix::net::UnixDatagram::unbound().unwrap().connect(socket);
            pid_file.exists() && asked.is_ok()
        });
        daemon
    }

    fn stop(mut self) {
        jail::sys::process::send_signal(self.child.id().cast_signed(), libc::SIGTERM).unwrap();
        wait_until("rsyslogd has ended", || self.child.try_wait().unwrap().is_some());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            crate::run::end(&mut self.child);
        }
    }
}

fn config(room: &Room, socket: &str) -> (PathBuf, PathBuf) {
    let log = room.path().join("messages");
    let text = format!(
        "global(workDirectory=\"{}\")\nmodule(load=\"imuxsock\" SysSock.Use=\"off\")\n\
         input(type=\"imuxsock\" Socket=\"{socket}\" CreatePath=\"on\")\n*.* action(type=\"omfile\" file=\"{}\")\n",
        room.path().display(),
        log.display()
    );
    (room.file("rsyslog.conf", &text), log)
}

/// libc's syslog(3), which keeps its socket, and logger(1), which opens it anew.
const PROGRAM: &str = r#"
import subprocess, sys, syslog
syslog.openlog("jailed")
print("ready", flush=True)
for line in sys.stdin:
    syslog.syslog("libc " + line.strip())
    subprocess.run(["/usr/bin/logger", "--socket-errors=on", "logger " + line.strip()], check=True)
    print("said", flush=True)
"#;

fn restarted(block: &str, socket: &str) {
    let _run = own_run();
    let room = Room::new();
    let (config, log) = config(&room, socket);
    let mut daemon = Daemon::start(&room, &config, socket);
    let spec = format!(
        "include = [\"{block}\"]\n[process]\ncommand = [\"/usr/bin/python3\", \"-c\", '''{PROGRAM}''']\n\
         [files]\nread = [\"/usr\"]\n[network]\nmode = \"none\"\n"
    );
    let spec = room.file("logs.toml", &spec);
    let mut live = Live::ready(&mut jail(["run".as_ref(), spec.as_os_str()]));
    for round in 0..3 {
        let word = format!("round-{round}");
        live.say(&word);
        assert_eq!(live.line_after(&word).as_deref(), Some("said"));
        wait_until("both lines are in the log", || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            ["libc", "logger"].iter().all(|by| text.contains(&format!("{by} {word}\n")))
        });
        daemon.stop();
        daemon = Daemon::start(&room, &config, socket);
    }
    live.signal(libc::SIGKILL);
    live.finish().died_of(libc::SIGKILL);
    daemon.stop();
}
