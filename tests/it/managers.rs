//! Without systemd: a pid file, a runit service, and a shell script in place of a manager. (Under
//! systemd: tests/systemd.)
//!
//! Must not know: how a jail is supervised inside.

use crate::host::{self, processes_of, wait_until};
use crate::ring::Ring::{Root, Server};
use crate::ring::{Test, test};
use crate::run::{Live, Room, finish, jail, jail_as_stranger, jail_binary, state_directory};
use crate::servers::{http, nginx_host, site};
use crate::terminal::kill_the_program;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    let own = |program, name: &str, body: fn()| {
        test(Server(program), format!("managers::{name}"), move || host::isolated(body))
    };
    let alone =
        |name: &str, body: fn()| test(Root, format!("managers::{name}"), move || host::isolated(body));
    vec![
        alone("the_pid_file_is_there_while_it_runs", || the_pid_file(false)),
        alone("the_pid_file_is_there_while_it_runs_rootless", || the_pid_file(true)),
        alone("a_pid_file_that_others_could_write_is_refused", refused_places),
        alone("a_failed_start_leaves_no_pid_file", a_failed_start_leaves_no_pid_file),
        own("runsv", "runit_supervises_nginx", runit_supervises_nginx),
        own("nginx", "a_shell_script_manages_nginx", a_shell_script_manages_nginx),
    ]
}

fn number(path: &Path) -> Option<i32> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn the_pid_file(rootless: bool) {
    let room = Room::new();
    let _run = host::own_run();
    let file = Path::new("/run/own/x.pid");
    let directory = file.parent().unwrap();
    std::fs::create_dir(directory).unwrap();
    if rootless {
        let stranger = nix::unistd::Uid::from_raw(crate::run::STRANGER);
        nix::unistd::chown(directory, Some(stranger), None).unwrap();
    }
    let spec = room.probe_spec(&["signals"], &[]).display().to_string();
    let words = ["run", &spec, "--pid-file", "/run/own/x.pid"];
    let mut command = if rootless { jail_as_stranger(words) } else { jail(words) };
    // The second start finds what the first one, killed, has left.
    for outer_is_killed in [true, false] {
        let live = Live::ready(&mut command);
        // The program may be faster than the outer process.
        wait_until("the pid file is there", || number(file) == Some(live.pid()));
        assert_eq!(file.metadata().unwrap().mode() & 0o7777, 0o644);
        if outer_is_killed {
            live.signal(libc::SIGKILL);
        } else {
            kill_the_program(live.pid().cast_unsigned());
        }
        live.finish().died_of(libc::SIGKILL);
        assert_eq!(file.exists(), outer_is_killed, "nobody else is left to remove it");
    }
    assert_eq!(std::fs::read_dir(directory).unwrap().count(), 0);
}

fn refused_places() {
    let room = Room::new();
    let _run = host::own_run();
    let open = room.open_directory("open");
    let link = PathBuf::from("/run/link");
    std::os::unix::fs::symlink("/dev/null", &link).unwrap();
    std::fs::create_dir("/run/directory").unwrap();
    let run = |words: &[&str]| {
        let all = ["run", "--read", "/usr"].iter().chain(words).chain(&["--", "/usr/bin/true"]);
        finish(&mut jail(all))
    };
    for (path, status, message) in [
        (open.join("x.pid"), 125, "others may write to"),
        (PathBuf::from("/tmp/x.pid"), 125, "others may write to /tmp"),
        (link, 125, "symbolic link"),
        (PathBuf::from("/run/directory"), 125, "Is a directory"),
        (PathBuf::from("/run/none/x.pid"), 125, "No such file or directory"),
        (PathBuf::from("/"), 2, "cannot be a pid file"),
    ] {
        let run = run(&["--pid-file", &path.display().to_string()]).ended(status);
        assert!(run.stderr.contains(message), "{}: {}", path.display(), run.stderr);
    }
    let place = "/run/x.pid";
    let in_place = run(&["--share", "pid", "--pid-file", place]).ended(2);
    assert!(in_place.stderr.contains("a process that stays"), "{}", in_place.stderr);
    for action in ["plan", "verify"] {
        let run = finish(&mut jail([action, "hello", "--pid-file", place])).ended(2);
        assert!(run.stderr.contains("`jail run` alone"), "{}", run.stderr);
    }
    assert!(!Path::new(place).exists());
}

fn a_failed_start_leaves_no_pid_file() {
    let _run = host::own_run();
    let words = ["run", "--read", "/usr", "--pid-file", "/run/x.pid", "--", "/usr/bin/no-such"];
    finish(&mut jail(words)).ended(127);
    assert_eq!(std::fs::read_dir("/run").unwrap().count(), 0);
}

/// A program on a path of its own: what a script calls `jail` is the one under test.
fn script(path: &str) -> Command {
    let mut command = Command::new(path);
    let directory = jail_binary().parent().unwrap().display().to_string();
    command
        .env_clear()
        .env("PATH", format!("{directory}:/usr/sbin:/usr/bin:/sbin:/bin"))
        .env("JAIL_STATE", state_directory())
        .stdin(Stdio::null());
    command
}

/// Ends runsv, which ends what it supervises.
struct Runsv(Child);

impl Drop for Runsv {
    fn drop(&mut self) {
        jail::sys::process::send_signal(self.0.id().cast_signed(), libc::SIGTERM).unwrap_or(());
        if let Err(error) = self.0.wait() {
            eprintln!("runsv: {error}");
        }
    }
}

fn runit_supervises_nginx() {
    let room = Room::new();
    let etc = nginx_host(&room);
    site(&etc, "return 200 \"first\\n\";");
    let service = room.path().join("nginx");
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/examples/runit/nginx/run");
    std::fs::create_dir(&service).unwrap();
    std::fs::copy(example, service.join("run")).unwrap();
    std::fs::set_permissions(service.join("run"), PermissionsExt::from_mode(0o755)).unwrap();
    let log = std::fs::File::create(room.path().join("log")).unwrap();
    let runsv = Runsv(script("/usr/bin/runsv").arg(&service).stdout(log).spawn().unwrap());
    let sv = |action: &str| {
        let done = script("/usr/bin/sv").arg(action).arg(&service).output().unwrap();
        assert!(done.status.success(), "sv {action}: {done:?}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    let says = |text: &str| http(80, "/").is_ok_and(|answer| answer.ends_with(text));
    wait_until("nginx answers", || says("first\n"));
    site(&etc, "return 200 \"second\\n\";");
    sv("hup");
    wait_until("the new configuration is served", || says("second\n"));
    // Killed, it comes back, and nothing of the first one stays.
    let pid = number(&service.join("supervise/pid")).unwrap();
    jail::sys::process::send_signal(pid, libc::SIGKILL).unwrap();
    wait_until("runsv starts another one", || {
        number(&service.join("supervise/pid")).is_some_and(|new| new != pid) && says("second\n")
    });
    sv("down");
    wait_until("it is down", || sv("status").starts_with("down"));
    assert!(http(80, "/").is_err());
    drop(runsv);
    wait_until("nothing is left", || processes_of(&room.unique()).is_empty());
}

fn a_shell_script_manages_nginx() {
    let room = Room::new();
    let _run = host::own_run();
    let etc = nginx_host(&room);
    site(&etc, "return 200 \"first\\n\";");
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/examples/service.sh");
    let service = |action: &str| {
        let mut command = script(example);
        command.args([action, "nginx"]);
        // Not piped: the jail would hold the pipe open.
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().code().unwrap()
    };
    assert_eq!(service("status"), 3);
    assert_eq!(service("start"), 0);
    wait_until("nginx answers", || http(80, "/").is_ok());
    assert_eq!((service("status"), service("start")), (0, 1));
    site(&etc, "return 200 \"second\\n\";");
    assert_eq!(service("reload"), 0);
    wait_until("the new configuration", || http(80, "/").is_ok_and(|a| a.ends_with("second\n")));
    assert_eq!((service("stop"), service("status")), (0, 3));
    assert!(http(80, "/").is_err());
    assert!(!Path::new("/run/jail-nginx.pid").exists());
    assert_eq!(service("start"), 0);
    assert_eq!(service("stop"), 0);
    wait_until("nothing is left", || processes_of(&room.unique()).is_empty());
}
