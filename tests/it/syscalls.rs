//! Every single system call of a start fails once, with each of the errnos that a kernel under stress,
//! an older one, or a filter around it would answer: the program must then either not run, or run as
//! confined as ever.
//!
//! All of them are thousands of starts: `JAIL_TESTS_INJECT=all`. Else it is a sample, the same each
//! time, with every kind of call in it. Must not know: which call is for what.

use crate::host::{processes_of, wait_until};
use crate::ring::Ring::Root;
use crate::ring::{Test, test};
use crate::run::{Room, STRANGER, finish, jail, jail_binary, keep_confinement, state_directory};
use crate::tracer::{self, Fail, Place, Role, Trace};
use nix::unistd::{Gid, Uid, chown};
use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What a call is answered.
const ERRNOS: &[(&str, i32)] = &[
    ("eperm", libc::EPERM),
    ("enosys", libc::ENOSYS),
    ("enomem", libc::ENOMEM),
    ("eintr", libc::EINTR),
    ("eagain", libc::EAGAIN),
];

/// How a jail is started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Shape {
    caller: Caller,
    in_place: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Caller {
    Root,
    /// Root, for a program in a user namespace with a range of ids.
    RootForRange,
    User,
}

/// They run side by side.
pub fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    // In place nothing changes with a user namespace but what is the same with pid 1.
    let shapes = [
        ("root_with_pid_1", Shape { caller: Caller::Root, in_place: false }),
        ("root_in_place", Shape { caller: Caller::Root, in_place: true }),
        ("root_for_a_user_namespace", Shape { caller: Caller::RootForRange, in_place: false }),
        ("a_user_with_pid_1", Shape { caller: Caller::User, in_place: false }),
        ("a_user_in_place", Shape { caller: Caller::User, in_place: true }),
    ];
    for (how, shape) in shapes {
        for (index, (errno, _)) in ERRNOS.iter().enumerate() {
            let name = format!("syscalls::each_call_of_{how}_fails_with_{errno}");
            tests.push(test(Root, name, move || each_call_fails_once(shape, index)));
        }
    }
    tests.push(test(Root, "syscalls::strace_agrees", strace_agrees));
    tests
}

/// The kernel never refuses these, and no library knows what to do if it did. (brk(2) answers with
/// the end of the heap, whatever it was asked for.)
const INFALLIBLE: &[&str] =
    &["brk", "getuid", "geteuid", "getgid", "getegid", "getpid", "getppid", "gettid", "umask", "exit_group"];

/// One start, judged by what the probe wrote.
struct Case<'a> {
    room: &'a Room,
    spec: &'a Path,
    caller: Caller,
}

impl Case<'_> {
    fn report_file(&self) -> PathBuf {
        self.room.path().join("out/report")
    }

    /// What the spec wants made on the host.
    fn made(&self) -> PathBuf {
        self.room.path().join("own/made")
    }

    /// A directory that was made for the start is still there. (Not if the program has left a file in
    /// it, before it was ended because pid 1 could not be: that is not for jail to remove.)
    fn left(&self) -> bool {
        std::fs::read_dir(self.made()).is_ok_and(|mut entries| entries.next().is_none())
    }

    fn run(&self, fail: Option<Fail>) -> (Trace, Option<Value>, String) {
        let file = self.report_file();
        std::fs::remove_file(&file).unwrap_or(());
        std::fs::remove_dir_all(self.made()).unwrap_or(());
        let errors = self.room.path().join("errors");
        let mut command = Command::new(jail_binary());
        command.arg("run").arg(self.spec).env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
        command.env("JAIL_STATE", state_directory());
        command.stdout(Stdio::null()).stderr(std::fs::File::create(&errors).unwrap());
        if self.caller == Caller::User {
            command.uid(STRANGER).gid(STRANGER);
        }
        let trace = tracer::run(&mut command, fail, Duration::from_secs(20));
        let report = std::fs::read_to_string(&file)
            .ok()
            .map(|text| serde_json::from_str(&text).expect("a whole report"));
        (trace, report, std::fs::read_to_string(&errors).unwrap())
    }
}

fn each_call_fails_once(shape: Shape, index: usize) {
    let (errno_name, errno) = ERRNOS[index];
    let room = Room::new();
    let spec = spec(&room, shape);
    let case = Case { room: &room, spec: &spec, caller: shape.caller };
    let (trace, report, errors) = case.run(None);
    let baseline = stable(&report.unwrap_or_else(|| panic!("the start without a failure: {errors}")));
    assert_eq!(baseline["attempts"]["mount tmpfs"], "EPERM", "the baseline is confined");
    let calls = trace.calls.iter().filter(|(_, number)| !INFALLIBLE.contains(&name(**number).as_str()));
    let places: Vec<(Place, i64)> = calls.map(|(place, number)| (*place, *number)).collect();
    assert!(places.len() > 100, "{} calls", places.len());
    let all = places.len();
    let (mut ran, mut refused, mut wrong) = (0, 0, Vec::new());
    for (place, number) in sample(places, shape, index) {
        let (trace, report, errors) = case.run(Some(Fail { place, errno }));
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
        wrong.extend(verdict.err().map(|why| format!("{} of {place:?}: {why}", name(number))));
    }
    println!(
        "{shape:?} {errno_name}: of {all} calls {ran} failed and the program ran as confined as ever, {refused} and it did not run, {} otherwise",
        wrong.len()
    );
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    wait_until("nothing is left of all these starts", || processes_of(&room.unique()).is_empty());
}

/// All, or every kind of call of every process once with some errno, and of its repetitions some.
fn sample(places: Vec<(Place, i64)>, shape: Shape, errno: usize) -> Vec<(Place, i64)> {
    if std::env::var("JAIL_TESTS_INJECT").is_ok_and(|which| which == "all") {
        return places;
    }
    let mut seen: BTreeMap<(Role, i64), usize> = BTreeMap::new();
    let mut kinds = 0;
    let mut chosen = Vec::new();
    // The outer process does the same for every namespace.
    let told = |place: &Place| shape.caller != Caller::RootForRange || place.role != Role::Outer;
    for (place, number) in places.into_iter().filter(|(place, _)| told(place)) {
        let count = seen.entry((place.role, number)).or_insert_with(|| {
            kinds += 1;
            0
        });
        *count += 1;
        let turn = kinds + *count;
        if (*count == 1 && turn % ERRNOS.len() == errno)
            || (*count > 1 && turn % (STRIDE * ERRNOS.len()) == errno)
        {
            chosen.push((place, number));
        }
    }
    chosen
}

/// One in so many repetitions of a call is in the sample, over all errnos.
const STRIDE: usize = 40;

fn spec(room: &Room, shape: Shape) -> PathBuf {
    // In a user namespace the host's root would be nobody, and has no ports.
    let (capability, range) = match shape.caller {
        Caller::RootForRange => ("CHOWN", "user-namespace = true\n"),
        Caller::Root | Caller::User => ("NET_BIND_SERVICE", ""),
    };
    chown(&room.open_directory("out"), Some(Uid::from_raw(33)), Some(Gid::from_raw(33))).unwrap();
    let own = room.open_directory("own");
    let rootless = shape.caller == Caller::User;
    chown(&own, Some(Uid::from_raw(if rootless { STRANGER } else { 0 })), None).unwrap();
    std::fs::set_permissions(&own, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    // mount_namespaces(7): a user gets no /proc for a pid namespace that is not theirs.
    let proc = if rootless && shape.in_place { "proc = \"none\"" } else { "" };
    let files = format!(
        "write = [{{ path = \"{0}/out\", at = \"/out\" }}, {{ path = \"{0}/own/made\", at = \"/made\", create = \"0700\" }}]\ntmpfs = [\"/tmp\"]\ntext = [{{ path = \"/etc/text\", content = \"x\" }}]\n{proc}",
        room.path().display()
    );
    let process = if rootless { "" } else { "user = \"www-data\"\ngroups = [\"tty\"]\n" };
    let process = format!("{process}rlimits = {{ nofile = 512 }}");
    let share = if shape.in_place { "share-namespaces = [\"pid\"]" } else { "" };
    let privileges = format!("capabilities = [{capability:?}]\n{range}{share}");
    let more = [
        ("files", files.as_str()),
        ("process", process.as_str()),
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
    keep_confinement(&mut fields["status"]);
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
    let spec = spec(&room, Shape { caller: Caller::Root, in_place: false });
    let case = Case { room: &room, spec: &spec, caller: Caller::Root };
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
        command.env("JAIL_STATE", state_directory());
        let run = finish(&mut command);
        assert!(!case.report_file().exists(), "{call} failed and the program ran");
        assert_eq!(run.status.code(), Some(125), "{call}: {:?} {}", run.status, run.stderr);
        assert!(run.stderr.contains("jail: "), "{call}: {}", run.stderr);
    }
    finish(&mut jail(["run".as_ref(), spec.as_os_str()])).ended(0);
}
