//! Runs the real `jail`: in a room (a temporary directory) of its own, with deadlines, and never
//! leaving a process behind.
//!
//! Must not know: what any test expects.

use crate::host::PATIENCE;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Instant;
use tempfile::TempDir;

/// A user id that nobody has.
pub const STRANGER: u32 = 12345;

/// World-readable copies of the two binaries: another user may not read the build directory.
struct Binaries {
    directory: PathBuf,
    keep: Mutex<Option<TempDir>>,
}

fn binaries() -> &'static Binaries {
    static BINARIES: OnceLock<Binaries> = OnceLock::new();
    BINARIES.get_or_init(|| {
        let directory = open_directory("jail-tests-");
        std::fs::copy(env!("CARGO_BIN_EXE_jail"), directory.path().join("jail")).unwrap();
        std::fs::copy("/proc/self/exe", directory.path().join("probe")).unwrap();
        Binaries { directory: directory.path().to_owned(), keep: Mutex::new(Some(directory)) }
    })
}

/// Removes what the whole run shared.
pub fn clean_up() {
    drop(binaries().keep.lock().unwrap().take());
}

fn open_directory(prefix: &str) -> TempDir {
    let directory = tempfile::Builder::new().prefix(prefix).tempdir().unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    directory
}

/// The binary under test.
pub fn jail_binary() -> PathBuf {
    binaries().directory.join("jail")
}

/// The directory that holds the probe, to be shown in the jail at `/probe`.
pub fn probe_directory() -> &'static Path {
    &binaries().directory
}

/// A temporary directory of one test, readable by all.
pub struct Room {
    directory: TempDir,
}

impl Room {
    /// A new, empty one.
    pub fn new() -> Self {
        Room { directory: open_directory("jail-room-") }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A name that only this room has.
    pub fn unique(&self) -> String {
        self.path().file_name().unwrap().to_string_lossy().into_owned()
    }

    /// Writes a file in it.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        path
    }

    /// Makes a directory in it that everybody may write to.
    pub fn open_directory(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
        path
    }

    /// Writes a spec that runs the probe with these words. `more` are further tables or keys by
    /// table: `("process", "nice = 3")`.
    pub fn probe_spec(&self, words: &[&str], more: &[(&str, &str)]) -> PathBuf {
        let keys = |table: &str| -> String {
            let lines = more.iter().filter(|(t, _)| *t == table).map(|(_, line)| format!("{line}\n"));
            lines.collect()
        };
        let read = if more.iter().any(|(t, l)| *t == "files" && l.starts_with("read")) {
            String::new()
        } else {
            format!("read = [\"/usr\", {}]\n", self.probe_entry())
        };
        let words: Vec<String> =
            ["/probe/probe", "probe"].iter().chain(words).map(|w| format!("{w:?}")).collect();
        let text = format!(
            "[process]\ncommand = [{}]\n{}\n[files]\n{read}{}\n[network]\n{}\n[privileges]\n{}",
            words.join(", "),
            keys("process"),
            keys("files"),
            keys("network"),
            keys("privileges"),
        );
        self.file("probe.toml", &text)
    }

    /// The entry of `read` that shows the probe.
    pub fn probe_entry(&self) -> String {
        format!("{{ path = {:?}, at = \"/probe\" }}", probe_directory().display().to_string())
    }
}

/// `jail` with arguments and an environment of nothing but PATH.
pub fn jail<I: AsRef<std::ffi::OsStr>>(words: impl IntoIterator<Item = I>) -> Command {
    let mut command = Command::new(jail_binary());
    command.args(words).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
    command.env("JAIL_STATE", state_directory());
    command
}

/// The same with this state directory, which others may have been given, too.
pub fn jail_in<I: AsRef<std::ffi::OsStr>>(state: &Path, words: impl IntoIterator<Item = I>) -> Command {
    let mut command = jail(words);
    command.env("JAIL_STATE", state);
    command
}

/// A state directory that no other jail of any test has: names are taken once in each.
pub fn state_directory() -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    states().join(format!("jail-{}", NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// Where state directories are made, by root and strangers alike.
fn states() -> PathBuf {
    let states = binaries().directory.join("states");
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        std::fs::create_dir(&states).unwrap();
        std::fs::set_permissions(&states, PermissionsExt::from_mode(0o1777)).unwrap();
    });
    states
}

/// The same as a user without any privilege.
pub fn jail_as_stranger<I: AsRef<std::ffi::OsStr>>(words: impl IntoIterator<Item = I>) -> Command {
    if !nix::unistd::geteuid().is_root() {
        return jail(words);
    }
    let id = STRANGER.to_string();
    let mut command = Command::new("/usr/bin/setpriv");
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"]).arg(jail_binary()).args(words);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
    command.env("JAIL_STATE", state_directory());
    command
}

/// How a run ended and what it printed.
#[derive(Debug)]
pub struct Run {
    /// Wait status of the process that was started.
    pub status: ExitStatus,
    /// All of it.
    pub stdout: String,
    /// All of it.
    pub stderr: String,
}

impl Run {
    /// Panics with everything there is unless it ended with this exit status.
    #[track_caller]
    pub fn ended(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{:?}\n{}\n{}", self.status, self.stdout, self.stderr);
        self
    }

    /// Panics unless it was killed by this signal.
    #[track_caller]
    pub fn died_of(self, signal: i32) -> Self {
        assert_eq!(self.status.signal(), Some(signal), "{:?}\n{}\n{}", self.status, self.stdout, self.stderr);
        self
    }

    /// The probe's report; panics if there is none.
    #[track_caller]
    pub fn report(self) -> Value {
        let run = self.ended(0);
        serde_json::from_str(run.stdout.lines().last().unwrap_or_default())
            .unwrap_or_else(|e| panic!("no report: {e}\n{}\n{}", run.stdout, run.stderr))
    }
}

/// Of /proc/PID/status in a probe's report only what says how confined it is: the rest is of one process.
pub fn keep_confinement(status: &mut Value) {
    let kept = [
        "Uid",
        "Gid",
        "Groups",
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
        "NoNewPrivs",
        "Seccomp",
        "SigBlk",
        "SigIgn",
        "Umask",
        "Seccomp_filters",
    ];
    status.as_object_mut().unwrap().retain(|name, _| kept.contains(&name.as_str()));
}

/// Runs to the end.
#[track_caller]
pub fn finish(command: &mut Command) -> Run {
    Live::start(command.stdout(Stdio::piped()).stderr(Stdio::piped())).finish()
}

/// A running process, with its output by lines. Killed when dropped.
pub struct Live {
    child: Child,
    lines: Option<Receiver<String>>,
    stdout: String,
    stderr: Option<JoinHandle<String>>,
}

impl Live {
    /// Starts it. What is not piped is not read.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let stdout = child.stdout.take().map(|out| {
            let (send, receive) = channel();
            std::thread::spawn(move || {
                let lines = BufReader::new(out).lines().map_while(Result::ok);
                for line in lines {
                    if send.send(line).is_err() {
                        break;
                    }
                }
            });
            receive
        });
        let stderr = child.stderr.take().map(|mut err| {
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                err.read_to_end(&mut bytes).unwrap_or(0);
                String::from_utf8_lossy(&bytes).into_owned()
            })
        });
        Live { child, lines: stdout, stdout: String::new(), stderr }
    }

    /// Starts it with all three streams piped and waits for the line `ready`.
    #[track_caller]
    pub fn ready(command: &mut Command) -> Self {
        let mut live =
            Live::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
        let first = live.line();
        if first.as_deref() != Some("ready") {
            let run = live.finish();
            panic!("instead of `ready`: {first:?}\n{:?}\n{}", run.status, run.stderr);
        }
        live
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// The next line of output; `None` at the end.
    #[track_caller]
    pub fn line(&mut self) -> Option<String> {
        self.line_after("its start")
    }

    /// The same, with what should make the line come.
    #[track_caller]
    pub fn line_after(&mut self, cause: &str) -> Option<String> {
        let lines = self.lines.as_ref()?;
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => None,
            Err(error) => panic!("no line of output after {cause}: {error}"),
        }
    }

    /// Sends a signal to the process that was started.
    #[track_caller]
    pub fn signal(&self, number: i32) {
        jail::sys::process::send_signal(self.pid(), number).unwrap();
    }

    /// Writes to its standard input.
    #[track_caller]
    pub fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().expect("stdin is piped"), "{line}").unwrap();
    }

    /// Waits for its end.
    #[track_caller]
    pub fn finish(mut self) -> Run {
        drop(self.child.stdin.take());
        let status = self.wait();
        while let Some(line) = self.line() {
            self.stdout += &line;
            self.stdout.push('\n');
        }
        let stderr = self.stderr.take().map(|thread| thread.join().unwrap()).unwrap_or_default();
        Run { status, stdout: std::mem::take(&mut self.stdout), stderr }
    }

    #[track_caller]
    fn wait(&mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begin.elapsed() < PATIENCE * 2, "process {} did not end", self.pid());
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            end(&mut self.child);
        }
    }
}

/// Kills a child and takes its status.
pub fn end(child: &mut Child) {
    // It may have ended by itself meanwhile.
    child.kill().unwrap_or(());
    if let Err(error) = child.wait() {
        eprintln!("process {}: {error}", child.id());
    }
}
