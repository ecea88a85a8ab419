//! Every single system call of a start fails once: the program must then either not run, or run as
//! confined as ever.
//!
//! Must not know: which call is for what.

use crate::host::{processes_of, wait_until};
use crate::ring::Ring::Root;
use crate::ring::{Test, test};
use crate::run::{Room, finish, jail, jail_binary};
use crate::tracer::{self, Place, Role, Trace};
use nix::unistd::{Gid, Uid, chown};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The two parts run side by side.
pub fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for (name, which) in [("set_up", Which::SetUp), ("outer", Which::Outer)] {
        // In place there is no other process than the outer one, and for that nothing changes with a
        // user namespace.
        let special = match which {
            Which::SetUp => ("_user_namespace", "user-namespace = true"),
            Which::Outer => ("_in_place", "share-namespaces = [\"pid\"]"),
        };
        for (shape, privileges) in [("", ""), special] {
            let name = format!("syscalls::each_call_of_the_{name}_fails_once{shape}");
            tests.push(test(Root, name, move || each_call_fails_once(which, privileges)));
        }
    }
    tests.push(test(Root, "syscalls::strace_agrees", strace_agrees));
    tests
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Which {
    SetUp,
    Outer,
}

/// The kernel never refuses these, and no library knows what to do if it did. (brk(2) answers with
/// the end of the heap, whatever it was asked for.)
const INFALLIBLE: &[&str] =
    &["brk", "getuid", "geteuid", "getgid", "getegid", "getpid", "getppid", "gettid", "umask", "exit_group"];

/// One start, judged by what the probe wrote.
struct Case<'a> {
    room: &'a Room,
    spec: &'a Path,
}

impl Case<'_> {
    fn report_file(&self) -> PathBuf {
        self.room.path().join("out/report")
    }

    /// What the spec wants made on the host.
    fn made(&self) -> PathBuf {
        self.room.path().join("made")
    }

    /// A directory that was made for the start is still there. (Not if the program has left a file in
    /// it, before it was ended because pid 1 could not be: that is not for jail to remove.)
    fn left(&self) -> bool {
        std::fs::read_dir(self.made()).is_ok_and(|mut entries| entries.next().is_none())
    }

    fn run(&self, fail: Option<Place>) -> (Trace, Option<Value>, String) {
        let file = self.report_file();
        std::fs::remove_file(&file).unwrap_or(());
        std::fs::remove_dir_all(self.made()).unwrap_or(());
        let errors = self.room.path().join("errors");
        let mut command = Command::new(jail_binary());
        command.arg("run").arg(self.spec).env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(std::fs::File::create(&errors).unwrap());
        let trace = tracer::run(&mut command, fail, Duration::from_secs(20));
        let report = std::fs::read_to_string(&file)
            .ok()
            .map(|text| serde_json::from_str(&text).expect("a whole report"));
        (trace, report, std::fs::read_to_string(&errors).unwrap())
    }
}

fn each_call_fails_once(which: Which, privileges: &str) {
    let room = Room::new();
    let spec = spec(&room, privileges);
    let case = Case { room: &room, spec: &spec };
    let (trace, report, errors) = case.run(None);
    let baseline = stable(&report.unwrap_or_else(|| panic!("the start without a failure: {errors}")));
    assert_eq!(baseline["attempts"]["mount tmpfs"], "EPERM", "the baseline is confined");
    let wanted = |place: &Place, number: i64| {
        (place.role == Role::Outer) == (which == Which::Outer) && !INFALLIBLE.contains(&name(number).as_str())
    };
    let places: Vec<(Place, i64)> =
        trace.calls.iter().filter(|(p, n)| wanted(p, **n)).map(|(p, n)| (*p, *n)).collect();
    assert!(places.len() > 50, "{} calls", places.len());
    let (mut ran, mut refused, mut wrong) = (0, 0, Vec::new());
    for (place, number) in places {
        let (trace, report, errors) = case.run(Some(place));
        let what = format!("{} of {place:?} failed", name(number));
        let verdict = match report {
            Some(report) => {
                ran += 1;
                as_confined(&stable(&report), &baseline)
            }
            None => {
                refused += 1;
                says_so(place.role, trace.status, &errors).and_then(|()| match case.left() {
                    true => Err(format!("what was made for the start is left: {errors}")),
                    false => Ok(()),
                })
            }
        };
        wrong.extend(verdict.err().map(|why| format!("{what}: {why}")));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    wait_until("nothing is left of all these starts", || processes_of(&room.unique()).is_empty());
    println!("{which:?} {privileges}: {ran} ran as confined as ever, {refused} did not run");
}

fn spec(room: &Room, privileges: &str) -> PathBuf {
    // In a user namespace the host's root would be nobody, and has no ports.
    chown(&room.open_directory("out"), Some(Uid::from_raw(33)), Some(Gid::from_raw(33))).unwrap();
    let capability = if privileges.contains("user-namespace") { "CHOWN" } else { "NET_BIND_SERVICE" };
    let files = format!(
        "write = [{{ path = \"{0}/out\", at = \"/out\" }}, {{ path = \"{0}/made\", at = \"/made\", create = \"0700\" }}]\ntmpfs = [\"/tmp\"]\ntext = [{{ path = \"/etc/text\", content = \"x\" }}]",
        room.path().display()
    );
    let process = "user = \"www-data\"\ngroups = [\"tty\"]\nrlimits = { nofile = 512 }";
    let privileges = format!("capabilities = [{capability:?}]\n{privileges}");
    let more = [
        ("files", files.as_str()),
        ("process", process),
        ("privileges", privileges.as_str()),
        ("network", "mode = \"none\""),
    ];
    room.probe_spec(&["out=/out/report", "exec=/tmp,/out", "outside=/etc/shadow,/root"], &more)
}

/// The report without what differs from run to run anyway.
fn stable(report: &Value) -> Value {
    let mut report = report.clone();
    let fields = report.as_object_mut().unwrap();
    for name in ["pid", "ppid", "sid", "pgid", "namespaces", "keyring", "pid 1", "proc", "limits"] {
        fields.remove(name);
    }
    let status = fields["status"].as_object_mut().unwrap();
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
    status.retain(|name, _| kept.contains(&name.as_str()));
    report
}

/// Whether a start was at least as confined as the baseline, or how it was not.
fn as_confined(report: &Value, baseline: &Value) -> Result<(), String> {
    let names = |list: &Value| list.as_array().map_or(Vec::new(), |l| l.clone());
    for (name, value) in baseline.as_object().unwrap() {
        let now = &report[name];
        let right = match name.as_str() {
            "attempts" => true,
            // A convenience may be missing: a link such as /bin that could not be read.
            "root" | "dev" => names(now).iter().all(|n| names(value).contains(n)),
            _ => now == value,
        };
        if !right {
            return Err(format!("{name} is {now}, not {value}"));
        }
    }
    // Which of two walls answers may change (a filter in place of PR_SET_MDWE), not that one does.
    for (name, came) in baseline["attempts"].as_object().unwrap() {
        if came != "ok" && report["attempts"][name] == "ok" {
            return Err(format!("{name} is no longer refused"));
        }
    }
    Ok(())
}

/// The program did not run: the status must say so, and so must a message.
fn says_so(role: Role, status: i32, errors: &str) -> Result<(), String> {
    let right = if role == Role::Outer {
        // Also the dynamic loader and the language's runtime may fail, in their own words.
        status != 0 && (!errors.is_empty() || libc::WIFSIGNALED(status))
    } else {
        libc::WIFEXITED(status)
            && [125, 126, 127].contains(&libc::WEXITSTATUS(status))
            && errors.lines().any(|l| l.starts_with("jail: "))
    };
    if right { Ok(()) } else { Err(format!("it did not run: wait status {status:#x}, {errors:?}")) }
}

fn name(number: i64) -> String {
    let known = usize::try_from(number).ok().and_then(syscalls::Sysno::new);
    known.map_or(number.to_string(), |n| n.name().to_owned())
}

/// strace fails the security calls with its own counting: the program never runs.
fn strace_agrees() {
    let room = Room::new();
    let spec = spec(&room, "");
    let case = Case { room: &room, spec: &spec };
    let calls = [
        "pivot_root",
        "mount_setattr",
        "move_mount",
        "open_tree",
        "fsopen",
        "fsconfig",
        "fsmount",
        "umount2",
        "mount",
        "unshare",
        "setresuid",
        "setresgid",
        "setgroups",
        "capset",
        "seccomp",
        "landlock_create_ruleset",
        "landlock_add_rule",
        "landlock_restrict_self",
        "close_range",
        "setsid",
        "sethostname",
        "memfd_create",
        "socketpair",
        "keyctl",
        "personality",
    ];
    for call in calls {
        std::fs::remove_file(case.report_file()).unwrap_or(());
        let mut command = Command::new("/usr/bin/strace");
        let inject = format!("inject={call}:error=EPERM:when=1+");
        command
            .args(["-f", "-qqq", "-b", "execve", "-o", "/dev/null", "-e", &inject, "--"])
            .arg(jail_binary())
            .arg("run")
            .arg(&spec);
        command.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
        let run = finish(&mut command);
        assert!(!case.report_file().exists(), "{call} failed and the program ran");
        assert_eq!(run.status.code(), Some(125), "{call}: {:?} {}", run.status, run.stderr);
        assert!(run.stderr.contains("jail: "), "{call}: {}", run.stderr);
    }
    finish(&mut jail(["run".as_ref(), spec.as_os_str()])).ended(0);
}
