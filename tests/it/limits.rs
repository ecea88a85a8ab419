//! Limits as the kernel enforces them here, and that nothing is left of their groups.
//!
//! Must not know: how a group is made. Every test works in groups of its own, below the ones that the
//! tests run in; the host's are not touched.

use crate::host::{PATIENCE, wait_until};
use crate::ring::Ring::{Groups, Rootless};
use crate::ring::{Test, test};
use crate::run::{Live, Room, finish, jail, jail_as_stranger, jail_binary, state_directory};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use nix::sys::termios::tcgetattr;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    let of = |name: &str, body: fn(&Place)| {
        test(Groups, format!("limits::{name}"), move || {
            let place = Place::new();
            body(&place);
            place.is_empty_soon();
        })
    };
    vec![
        of("are_in_the_files_of_the_jails_groups", are_in_the_files_of_the_jails_groups),
        of("a_failed_start_leaves_no_group", a_failed_start_leaves_no_group),
        of("what_killed_jails_leave_is_swept_by_a_later_start", what_killed_jails_leave_is_swept),
        of("memory_is_never_above_and_the_cause_is_told", memory_is_never_above),
        of("tasks_are_exact_and_the_cause_is_told", tasks_are_exact),
        of("cpu_time_is_bounded", cpu_time_is_bounded),
        of("a_hook_runs_when_memory_is_above", a_hook_runs_when_memory_is_above),
        of("exec_is_limited_too", exec_is_limited_too),
        of("a_running_jail_gets_other_limits", a_running_jail_gets_other_limits),
        of("a_command_is_executed_in_place", a_command_is_executed_in_place),
        of("a_killed_command_leaves_no_group", a_killed_command_leaves_no_group),
        of("running_processes_are_moved", running_processes_are_moved),
        of("top_refreshes_a_terminal_and_leaves_it_as_it_was", top_refreshes_a_terminal),
        of("bad_input_changes_nothing", bad_input_changes_nothing),
        test(Rootless, "limits::without_root_it_is_refused_not_forgotten", without_root_it_is_refused),
    ]
}

/// A group of a test's own in each hierarchy of version 1. Removed when dropped.
struct Place {
    groups: Vec<PathBuf>,
    room: Room,
    state: PathBuf,
}

impl Place {
    fn new() -> Self {
        let room = Room::new();
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let mut groups = Vec::new();
        for line in own.lines() {
            let mut fields = line.splitn(3, ':').skip(1);
            let (names, path) = (fields.next().unwrap(), fields.next().unwrap());
            if !["cpu", "cpuset", "memory", "blkio", "pids"].iter().any(|c| names.split(',').any(|n| n == *c))
            {
                continue;
            }
            let above = Path::new("/sys/fs/cgroup").join(names).join(path.trim_start_matches('/'));
            let group = above.join(format!("jail-test-{}", room.unique()));
            std::fs::create_dir(&group).unwrap();
            for file in ["cpuset.cpus", "cpuset.mems"].iter().filter(|file| group.join(file).exists()) {
                std::fs::write(group.join(file), std::fs::read(above.join(file)).unwrap()).unwrap();
            }
            groups.push(group);
        }
        assert!(groups.len() >= 3, "{groups:?}");
        Place { groups, room, state: state_directory() }
    }

    /// `jail`, in these groups, with a state directory that all of the test's jails share.
    fn jail<I: AsRef<std::ffi::OsStr>>(&self, words: impl IntoIterator<Item = I>) -> Command {
        let words: Vec<OsString> = words.into_iter().map(|word| word.as_ref().to_owned()).collect();
        let mut command = self.shell("exec \"$@\"");
        command.arg(jail_binary()).args(words);
        command
    }

    /// A script in these groups.
    fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        let enter =
            "for g in $GROUPS_OF_TEST; do echo $$ > $g/cgroup.procs || exit 99; done; unset GROUPS_OF_TEST";
        command.args(["-c", &format!("{enter}; {script}"), "sh"]).env_clear().stdin(Stdio::null());
        let groups: Vec<_> = self.groups.iter().map(|group| group.to_str().unwrap()).collect();
        command.env("GROUPS_OF_TEST", groups.join(" ")).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("JAIL_STATE", &self.state);
        command
    }

    fn spec(&self, command: &str, more: &str) -> PathBuf {
        let text = format!(
            "[process]\ncommand = [\"/usr/bin/python3\", \"-c\", '''{command}''']\n[files]\nread = [\"/usr\"]\n{more}"
        );
        self.room.file("limited.toml", &text)
    }

    /// The groups that are there below ours, as `memory/jail/limited-01234567`.
    fn made(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for group in &self.groups {
            let below = walkdir::WalkDir::new(group).min_depth(1).into_iter().flatten();
            found.extend(below.filter(|e| e.file_type().is_dir()).map(walkdir::DirEntry::into_path));
        }
        found
    }

    /// A file of the one group that has it.
    fn file(&self, name: &str) -> String {
        let files =
            self.made().into_iter().filter(|group| !group.ends_with("jail")).map(|group| group.join(name));
        let texts: Vec<String> = files.filter_map(|file| std::fs::read_to_string(file).ok()).collect();
        assert_eq!(texts.len(), 1, "{name}: {texts:?}");
        texts[0].trim().to_owned()
    }

    fn is_empty_soon(&self) {
        wait_until("no group is left", || self.made().is_empty());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for group in &self.groups {
            // A test that failed may have left processes, which are its own.
            for directory in walkdir::WalkDir::new(group).into_iter().flatten() {
                let list = std::fs::read_to_string(directory.path().join("cgroup.procs")).unwrap_or_default();
                for pid in list.lines().filter_map(|pid| pid.parse().ok()).filter(|pid| *pid > 1) {
                    jail::sys::process::send_signal(pid, libc_kill()).unwrap_or(());
                }
            }
            let below = walkdir::WalkDir::new(group).contents_first(true).into_iter().flatten();
            for entry in below.filter(|entry| entry.file_type().is_dir()) {
                for _ in 0..200 {
                    match std::fs::remove_dir(entry.path()) {
                        Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                            std::thread::sleep(std::time::Duration::from_millis(10));
                        }
                        _ => break,
                    }
                }
            }
        }
    }
}

const READY: &str = "print(\"ready\", flush=True); import sys; sys.stdin.read()";
const ALL: &str = "[limits]\nmemory = \"64M\"\ncpu = \"30%\"\ncpu-weight = 50\ncpus = \"0\"\ntasks = 16\n";

fn are_in_the_files_of_the_jails_groups(place: &Place) {
    let spec = place.spec(READY, ALL);
    let live = Live::ready(&mut place.jail(["run".as_ref(), spec.as_os_str()]));
    for (file, text) in [
        ("memory.limit_in_bytes", "67108864"),
        ("cpu.cfs_quota_us", "30000"),
        ("cpu.shares", "512"),
        ("cpuset.cpus", "0"),
        ("pids.max", "16"),
    ] {
        assert_eq!(place.file(file), text, "{file}");
    }
    // The program and pid 1.
    assert_eq!(place.file("pids.current"), "2");
    let ps = finish(&mut place.jail(["ps", "--json"])).ended(0);
    let ps: serde_json::Value = serde_json::from_str(&ps.stdout).unwrap();
    assert_eq!(ps[0]["limits"]["tasks"]["limit"], 16);
    assert_eq!(ps[0]["limits"]["memory"]["limit"], 64 << 20);
    let shown = finish(&mut place.jail(["limit", "--show", "limited"])).ended(0);
    assert!(shown.stdout.contains("64 MiB") && shown.stdout.contains("30%"), "{}", shown.stdout);
    let top = finish(&mut place.jail(["top"])).ended(0);
    assert!(top.stdout.contains("of 64.0 MiB") && top.stdout.contains("2 of 16"), "{}", top.stdout);
    live.finish().ended(0);
    assert_eq!(place.made(), Vec::<PathBuf>::new(), "removed before jail ends");
}

fn a_failed_start_leaves_no_group(place: &Place) {
    for privileges in ["", "[privileges]\nshare-namespaces = [\"pid\"]\n"] {
        let spec = place.spec("print(1)", &format!("{ALL}{privileges}"));
        let plan = finish(
            jail(["plan".as_ref(), "--json".as_ref(), spec.as_os_str()]).env("JAIL_STATE", &place.state),
        )
        .ended(0);
        let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
        let steps = plan["steps"].as_array().unwrap();
        let groups: Vec<usize> = (1..=steps.len()).filter(|n| steps[n - 1]["step"] == "group").collect();
        assert_eq!(groups.len(), 4, "memory, cpu, cpuset, pids");
        let last = groups[groups.len() - 1];
        for step in groups.into_iter().chain([last + 1, steps.len() - 1, steps.len()]) {
            let mut run = place.jail(["run".as_ref(), spec.as_os_str()]);
            let run = finish(run.env("JAIL_FAIL_AT_STEP", step.to_string())).ended(125);
            assert!(run.stderr.contains(&format!("step {step} of ")), "{}", run.stderr);
            place.is_empty_soon();
        }
    }
}

fn what_killed_jails_leave_is_swept(place: &Place) {
    let spec = place.spec(READY, ALL);
    let live = Live::ready(&mut place.jail(["run".as_ref(), spec.as_os_str()]));
    live.signal(libc_kill());
    live.finish().died_of(libc_kill());
    assert_eq!(place.made().len(), 8, "`jail` and one in it, in four hierarchies");
    // Somebody else's is no business of ours.
    let other = place.groups[0].join("jail/other");
    std::fs::create_dir(&other).unwrap();
    wait_until("the groups are empty", || {
        place
            .made()
            .iter()
            .all(|group| std::fs::read_to_string(group.join("cgroup.procs")).unwrap().is_empty())
    });
    finish(&mut place.jail(["run".as_ref(), place.spec("print(1)", ALL).as_os_str()])).ended(0);
    assert_eq!(place.made(), [place.groups[0].join("jail"), other.clone()]);
    std::fs::remove_dir(&other).unwrap();
    std::fs::remove_dir(place.groups[0].join("jail")).unwrap();
}

fn libc_kill() -> i32 {
    nix::sys::signal::Signal::SIGKILL as i32
}

fn memory_is_never_above(place: &Place) {
    let mark = place.room.path().join("mark");
    let hook = format!("echo \"$JAIL_NAME: $JAIL_CAUSE\" > {}", mark.display());
    let spec = place.spec(
        "print(\"ready\", flush=True); x = bytearray(200 << 20); print(\"above\")",
        &format!("[limits]\nmemory = \"48M\"\non-oom = [\"/bin/sh\", \"-c\", '''{hook}''']\n"),
    );
    let run = finish(&mut place.jail(["run".as_ref(), spec.as_os_str()]));
    assert_eq!(run.stdout, "ready\n", "{}", run.stderr);
    let run = run.died_of(libc_kill());
    let cause = "1 killed by the kernel: memory limit 48 MiB";
    assert!(run.stderr.contains(cause), "{}", run.stderr);
    wait_until("the hook has run", || {
        std::fs::read_to_string(&mark).is_ok_and(|text| text == format!("limited: {cause}\n"))
    });
}

fn tasks_are_exact(place: &Place) {
    let forks = "import os, time
n = 0
while True:
    try:
        if os.fork() == 0:
            time.sleep(1000)
    except OSError as error:
        print(n, error.errno, flush=True)
        break
    n += 1
import sys; sys.stdin.read()";
    let spec = place.spec(forks, "[limits]\ntasks = 10\n");
    let mut command = place.jail(["run".as_ref(), spec.as_os_str()]);
    let mut live = Live::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    // Beside the program and pid 1. EAGAIN.
    assert_eq!(live.line().as_deref(), Some("8 11"));
    assert_eq!(place.file("pids.current"), "10");
    let ps = finish(&mut place.jail(["ps"])).ended(0);
    assert!(ps.stdout.contains("no more than the tasks limit 10"), "{}", ps.stdout);
    let run = live.finish();
    assert!(run.stderr.contains("no more processes or threads: tasks limit 10"), "{}", run.stderr);
}

/// Never more than the quota of the periods that it ran in, however slow the machine is.
fn cpu_time_is_bounded(place: &Place) {
    let burn = "import time, os
begin = time.monotonic()
while time.monotonic() - begin < 1.5:
    pass
elapsed = time.monotonic() - begin
used = time.process_time()
print(used / elapsed)";
    let spec = place.spec(burn, "[limits]\ncpu = \"20%\"\n");
    let run = finish(&mut place.jail(["run".as_ref(), spec.as_os_str()])).ended(0);
    let share: f64 = run.stdout.trim().parse().unwrap();
    assert!(share < 0.45, "{share}");
}

fn a_hook_runs_when_memory_is_above(place: &Place) {
    let mark = place.room.path().join("mark");
    let hook = format!("echo $(id -u) $JAIL_CAUSE > {}", mark.display());
    let spec = place.spec(
        &format!("x = bytearray(30 << 20); {READY}"),
        &format!("[limits]\nmemory = \"100M\"\non-memory = {{ above = \"20M\", run = [\"/bin/sh\", \"-c\", '''{hook}'''] }}\n"),
    );
    let live = Live::ready(&mut place.jail(["run".as_ref(), spec.as_os_str()]));
    wait_until("the hook has run", || {
        std::fs::read_to_string(&mark)
            .is_ok_and(|text| text.starts_with("0 memory ") && text.ends_with("is above 20 MiB\n"))
    });
    live.finish().ended(0);
}

fn exec_is_limited_too(place: &Place) {
    let spec = place.spec(READY, "[limits]\ntasks = 4\n");
    let live = Live::ready(&mut place.jail(["run".as_ref(), spec.as_os_str()]));
    // It fits, and one that it starts, but no more.
    let script = "sleep 1000 >/dev/null 2>&1 & (true); echo no";
    let run = finish(&mut place.jail(["exec", "limited", "--", "/bin/sh", "-c", script]));
    assert!(run.stderr.contains("fork"), "{run:?}");
    live.finish().ended(0);
}

fn a_running_jail_gets_other_limits(place: &Place) {
    let spec = place.spec(READY, "[limits]\nmemory = \"64M\"\ntasks = 5\n");
    let live = Live::ready(&mut place.jail(["run".as_ref(), spec.as_os_str()]));
    let change = ["limit", "limited", "--memory", "80M", "--tasks", "7"];
    let shown = finish(place.jail(change).arg("--dry-run")).ended(0);
    assert!(shown.stdout.contains("memory.limit_in_bytes = 83886080"), "{}", shown.stdout);
    assert_eq!(place.file("pids.max"), "5");
    finish(&mut place.jail(change)).ended(0);
    assert_eq!(
        (place.file("pids.max"), place.file("memory.limit_in_bytes")),
        ("7".into(), "83886080".into())
    );
    let refused = finish(&mut place.jail(["limit", "limited", "--cpu", "30%"])).ended(125);
    assert!(refused.stderr.contains("was started without a limit of that kind"), "{}", refused.stderr);
    live.finish().ended(0);
}

fn a_command_is_executed_in_place(place: &Place) {
    let run = |words: &[&str]| {
        finish(&mut place.jail([&["limit", "--tasks", "20", "--memory", "64M", "--"][..], words].concat()))
    };
    assert_eq!(run(&["/bin/sh", "-c", "exit 7"]).status.code(), Some(7));
    run(&["/bin/sh", "-c", "kill -USR1 $$"]).died_of(nix::sys::signal::Signal::SIGUSR1 as i32);
    run(&["/bin/sh", "-c", "kill -PIPE $$"]).died_of(nix::sys::signal::Signal::SIGPIPE as i32);
    run(&["no-such-program"]).ended(127);
    // The same process, with all that the caller has.
    let script = "umask 027; echo $$; ls /proc/self/fd | wc -l; exec \"$@\" limit --tasks 20 -- /bin/sh -c \
                  'echo $$; ls /proc/self/fd | wc -l; umask; grep -c pids:.*/jail/sh- /proc/self/cgroup'";
    let own = finish(place.shell(script).arg(jail_binary())).ended(0);
    let lines: Vec<&str> = own.stdout.lines().collect();
    assert_eq!((lines[0], lines[1]), (lines[2], lines[3]), "{}", own.stdout);
    assert_eq!(lines[4..], ["0027", "1"], "{}", own.stdout);
    let as_user =
        finish(&mut place.jail(["limit", "--tasks", "20", "--user", "nobody", "--", "/usr/bin/id"])).ended(0);
    assert!(as_user.stdout.starts_with("uid=65534(nobody)"), "{}", as_user.stdout);
    let shown = finish(&mut place.jail(["limit", "--cpu", "30%", "--dry-run", "--", "/bin/true"])).ended(0);
    assert!(shown.stdout.contains("cpu.cfs_quota_us = 30000"), "{}", shown.stdout);
}

fn a_killed_command_leaves_no_group(place: &Place) {
    let words = ["limit", "--tasks", "20", "--", "/bin/sh", "-c", "echo ready; read x"];
    let live = Live::ready(&mut place.jail(words));
    assert_eq!(place.file("pids.current"), "1");
    live.signal(libc_kill());
    live.finish().died_of(libc_kill());
    place.is_empty_soon();
}

fn running_processes_are_moved(place: &Place) {
    let mut sleeper = place.shell("sleep 1000 & echo ready; read x; kill $!");
    let live = Live::ready(&mut sleeper);
    let pid = live.pid().to_string();
    let shown =
        finish(&mut place.jail(["limit", "--pid", &pid, "--tree", "--tasks", "9", "--dry-run"])).ended(0);
    assert!(shown.stdout.contains(&format!("move {pid}, ")), "{}", shown.stdout);
    finish(&mut place.jail(["limit", "--pid", &pid, "--tree", "--tasks", "9"])).ended(0);
    assert_eq!((place.file("pids.max"), place.file("pids.current")), ("9".into(), "2".into()));
    let shown = finish(&mut place.jail(["limit", "--show", "--pid", &pid])).ended(0);
    assert!(shown.stdout.contains("tasks") && shown.stdout.contains('9'), "{}", shown.stdout);
    live.finish().ended(0);
    place.is_empty_soon();
}

fn top_refreshes_a_terminal(place: &Place) {
    let spec = place.spec(READY, "[limits]\nmemory = \"64M\"\ntasks = 16\n");
    let live = Live::ready(&mut place.jail(["run".as_ref(), spec.as_os_str()]));
    let size = Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(Some(&size), None).unwrap();
    let before = tcgetattr(&pty.slave).unwrap();
    let stream = || Stdio::from(pty.slave.try_clone().unwrap());
    let mut command = place.jail(["top"]);
    let mut top = command.stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap();
    // Two looks, then a key.
    let seen = read_until(&pty.master, |seen| seen.matches("2 of 16").count() >= 2);
    assert!(seen.contains("\x1b[?1049h") && seen.contains("of 64.0 MiB"), "{seen:?}");
    nix::unistd::write(&pty.master, b"q").unwrap();
    let seen = read_until(&pty.master, |seen| seen.contains("\x1b[?1049l"));
    assert!(seen.contains("\x1b[?25h"), "{seen:?}");
    assert!(top.wait().unwrap().success());
    assert_eq!(tcgetattr(&pty.slave).unwrap().local_flags, before.local_flags);
    live.finish().ended(0);
}

fn read_until(terminal: &OwnedFd, is_enough: impl Fn(&str) -> bool) -> String {
    let mut seen = Vec::new();
    loop {
        let mut waiting = [PollFd::new(terminal.as_fd(), PollFlags::POLLIN)];
        let wait = PollTimeout::try_from(PATIENCE).unwrap();
        assert_eq!(poll(&mut waiting, wait), Ok(1), "{:?}", String::from_utf8_lossy(&seen));
        let mut buffer = [0; 4096];
        let n = nix::unistd::read(terminal, &mut buffer).unwrap();
        seen.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&seen).into_owned();
        if is_enough(&text) {
            return text;
        }
    }
}

fn bad_input_changes_nothing(place: &Place) {
    for (words, code, part) in [
        (
            &["--cpu", "30", "--", "true"][..],
            2,
            "\"30%\" is a part of one CPU, \"30 cores\" are that many CPUs",
        ),
        (&["--memory", "0", "--", "true"], 2, "must be at least 1M"),
        (&["--memory", "2000T", "--", "true"], 2, "no machine has as much"),
        (&["--tasks", "0", "--", "true"], 2, "from 1 to 4194304"),
        (&["--cpus", "4000", "--", "true"], 125, "there is no CPU 4000"),
        (&["--io-read", "1M", "--disk", "/proc", "--", "true"], 125, "/proc is on proc, which is on no disk"),
        (&["--io-read", "1M", "--disk", "/nonexistent", "--", "true"], 125, "No such file or directory"),
        (&["--disk", "/", "--", "true"], 2, "but not how fast"),
        (&["--memory-high", "8M", "--", "true"], 125, "in cgroup v1"),
        (&["--tasks", "5", "--pid", "4194304"], 2, "there is no process 4194304"),
        (&["--tasks", "5", "--pid", "2"], 2, "thread of the kernel"),
        (&["--tasks", "5"], 2, "nothing to limit"),
        (&["--", "true"], 2, "no limit is given"),
        (&["--tasks", "5", "nobody-here"], 2, "no jail nobody-here is running"),
    ] {
        let run = finish(&mut place.jail([&["limit"][..], words].concat())).ended(code);
        assert!(run.stderr.contains(part) && run.stdout.is_empty(), "{words:?}: {}", run.stderr);
        assert_eq!(place.made(), Vec::<PathBuf>::new(), "{words:?}");
    }
}

/// A stranger may make no groups here: an error that says where, never a program without limits.
fn without_root_it_is_refused() {
    let run =
        finish(&mut jail_as_stranger(["limit", "--memory", "64M", "--", "/bin/echo", "ran"])).ended(125);
    assert!(run.stdout.is_empty() && run.stderr.starts_with("jail: cannot limit "), "{}", run.stderr);
    assert!(run.stderr.contains("help: "), "{}", run.stderr);
}
