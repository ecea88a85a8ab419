//! What every test of a real server does: a jail from the shipped spec over copies of the server's
//! own files, a client, and at the end the proof of what the jail promises.
//!
//! Must not know: any server.

use crate::host::{self, isolated, own_run, processes_of, wait_until};
use crate::run::{Live, Room, finish, jail_in, state_directory};
use crate::servers::{Service, replace};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A server's files out of the host's way, on a network, a mount table and a /run of its own.
pub struct Trial {
    /// Where the copies are.
    pub room: Room,
    name: &'static str,
    state: PathBuf,
}

impl Trial {
    /// Runs a test of this spec. Afterwards the host must be as it was, and the jail hold everything
    /// that it promises.
    pub fn run(name: &'static str, body: fn(&Trial)) {
        isolated(move || {
            let _run = own_run();
            let trial = Trial { room: Room::new(), name, state: state_directory() };
            body(&trial);
            trial.holds();
        });
    }

    /// Shows a copy of a directory in its place.
    pub fn copy(&self, directory: &str) -> PathBuf {
        replace(&self.room, directory, true, "")
    }

    /// Shows an empty directory of this user's in its place, which is made if the package has none.
    pub fn empty(&self, directory: &str, user: &str) -> PathBuf {
        replace(&self.room, directory, false, user)
    }

    /// Starts the server and waits until it is.
    #[track_caller]
    pub fn start(&self, ready: impl Fn() -> bool) -> Service {
        self.start_with(&[], ready)
    }

    /// The same with options of `jail run`.
    #[track_caller]
    pub fn start_with(&self, options: &[&str], ready: impl Fn() -> bool) -> Service {
        let before = host::snapshot().mounts;
        let words = [&["run", self.name], options].concat();
        let service = Service::start(&self.room, &mut jail_in(&self.state, words)).ready(ready);
        assert_eq!(host::snapshot().mounts, before);
        service
    }

    /// Asks it to end, as a service manager does; it must end well, and leave nothing.
    #[track_caller]
    pub fn stop(&self, service: Service) {
        service.stops_on(libc::SIGTERM);
    }

    /// The same for a server that mirrors the signal.
    #[track_caller]
    pub fn kill(&self, mut service: Service) {
        service.signal(libc::SIGTERM);
        service.live.take().unwrap().finish().died_of(libc::SIGTERM);
        assert_eq!(processes_of(&self.room.unique()), [""; 0]);
    }

    /// Output of a command in the running jail.
    #[track_caller]
    pub fn inside(&self, words: &[&str]) -> String {
        let words = [&["exec", self.name, "--"], words].concat();
        finish(&mut jail_in(&self.state, words)).ended(0).stdout.trim().to_owned()
    }

    /// A client that stays.
    pub fn spawn(&self, words: &[&str]) -> Live {
        Live::start(&mut command(words))
    }

    #[track_caller]
    fn holds(&self) {
        let run = finish(&mut jail_in(&self.state, ["verify", self.name]));
        assert!(run.stdout.ends_with(" 0 open\n"), "{}{}", run.stdout, run.stderr);
        run.ended(0);
    }
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env_clear().env("PATH", "/usr/sbin:/usr/bin").env("HOME", "/nonexistent");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a client prints if it ends well, else what it complains of.
pub fn client(words: &[&str]) -> Result<String, String> {
    let run = finish(&mut command(words));
    if run.status.success() { Ok(run.stdout.trim().to_owned()) } else { Err(run.stderr + &run.stdout) }
}

/// The same as another user.
pub fn as_user(user: &str, words: &[&str]) -> Result<String, String> {
    client(&[&["setpriv", "--reuid", user, "--regid", user, "--init-groups", "--"], words].concat())
}

/// Adds to a file.
#[track_caller]
pub fn append(file: &Path, text: &str) {
    let before = std::fs::read_to_string(file).unwrap_or_default();
    std::fs::write(file, before + text).unwrap();
}

/// Rotates a log as logrotate does: renamed, then the server is asked to open it again.
#[track_caller]
pub fn rotate(log: &Path, reopen: impl Fn()) {
    let old = log.with_extension("log.1");
    assert!(log.metadata().unwrap().len() > 0, "nothing was logged");
    std::fs::rename(log, old).unwrap();
    reopen();
    wait_until("the log is opened again", || log.exists());
}
