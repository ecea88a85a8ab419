//! Programs that daemonise: kept when the spec says so, signalled where they are, ended with their main
//! process; and orphans, many of them.
//!
//! Must not know: how pid 1 finds out.

use crate::host::{isolated, processes_of, wait_until};
use crate::ring::Ring::{Pure, Root, Rootless, Server};
use crate::ring::{Test, test};
use crate::run::{Live, Room, finish, jail, jail_as_stranger};
use crate::servers::{Service, http, nginx_host, replace};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Who starts the jail: the behaviour is the same.
type Start = fn(&Path) -> Command;

fn as_root(spec: &Path) -> Command {
    jail(["run".as_ref(), spec.as_os_str()])
}

fn as_stranger(spec: &Path) -> Command {
    jail_as_stranger(["run".as_ref(), spec.as_os_str()])
}

/// A test of the behaviour.
type Body = fn(Start);

/// The tests of this file: most of them in both rings.
pub fn tests() -> Vec<Test> {
    let both: [(&str, Body); 10] = [
        ("a_daemon_is_kept_and_signalled", a_daemon_is_kept_and_signalled),
        ("a_first_process_that_fails_ends_the_jail", a_first_process_that_fails_ends_the_jail),
        ("signals_go_to_every_tree_without_a_main_process", signals_go_to_every_tree),
        ("the_pid_file_names_who_gets_signals", the_pid_file_names_who_gets_signals),
        ("the_rest_is_ended_after_the_main_process", the_rest_is_ended_after_the_main_process),
        ("a_late_pid_file_is_found", a_late_pid_file_is_found),
        ("a_pid_file_is_not_believed", a_pid_file_is_not_believed),
        ("a_stop_is_not_lost_while_it_daemonises", a_stop_is_not_lost_while_it_daemonises),
        ("the_jail_dies_with_the_outer_process", the_jail_dies_with_the_outer_process),
        ("a_storm_of_orphans_hinders_nobody", a_storm_of_orphans_hinders_nobody),
    ];
    let mut tests = Vec::new();
    for (name, body) in both {
        tests.push(test(Root, format!("daemons::root::{name}"), move || body(as_root)));
        tests.push(test(Rootless, format!("daemons::rootless::{name}"), move || body(as_stranger)));
    }
    let own = |program, name: &str, body: fn()| {
        test(Server(program), format!("daemons::{name}"), move || isolated(body))
    };
    tests.extend([
        test(Root, "daemons::ten_thousand_orphans_are_reaped", ten_thousand_orphans_are_reaped),
        test(Pure, "daemons::what_cannot_be_kept_is_refused", what_cannot_be_kept_is_refused),
        own("nginx", "nginx_with_daemon_on", nginx_with_daemon_on),
        own("redis-server", "redis_with_daemonize_yes", redis_with_daemonize_yes),
        own("python3", "python_forks_twice", python_forks_twice),
    ]);
    tests
}

const RUN: (&str, &str) = ("files", "tmpfs = [\"/run\"]");
const FORKING: (&str, &str) = ("process", "forking = true");
const FILE: (&str, &str) = ("process", "main-pid-file = \"/run/x.pid\"");

/// Marks the jail's mount table with the room's name, by which its processes are found.
fn start(start: Start, room: &Room, words: &[&str], more: &[(&str, &str)]) -> Live {
    room.open_directory("mark");
    let mark = format!("write = [{{ path = \"{}/mark\", at = \"/mark\" }}]", room.path().display());
    let words = [&["daemon"], words].concat();
    let more = [more, &[RUN, ("files", &mark)]].concat();
    Live::ready(&mut start(&room.probe_spec(&words, &more)))
}

/// Waits until pid 1 has reaped the first process, and waits again.
fn has_detached(live: &Live) {
    let read = |path: String| std::fs::read_to_string(path).unwrap_or_default();
    let children = |pid: &str| read(format!("/proc/{pid}/task/{pid}/children"));
    let first = |pid: &str| read(format!("/proc/{pid}/status")).contains("\t2\nNSpgid");
    wait_until("the first process has ended", || {
        let pid_1 = children(&live.pid().to_string()).trim().to_owned();
        let left = children(&pid_1);
        let detached = !left.is_empty() && !left.split_whitespace().any(first);
        detached && read(format!("/proc/{pid_1}/stat")).contains(") S ")
    });
}

#[track_caller]
fn says(live: &mut Live, lines: &[&str]) {
    let mut came: Vec<String> = lines.iter().map(|line| live.line_after(line).unwrap_or_default()).collect();
    came.sort();
    assert_eq!(came, lines);
}

fn a_daemon_is_kept_and_signalled(as_whom: Start) {
    let room = Room::new();
    for more in [&[FORKING][..], &[FILE]] {
        let mut live = start(as_whom, &room, &["file=/run/x.pid"], more);
        // Not before pid 1 has told that the first process has ended: it gets no signal.
        has_detached(&live);
        for (sent, comes) in
            [(libc::SIGHUP, "daemon 1"), (libc::SIGUSR1, "daemon 10"), (libc::SIGTERM, "daemon 15")]
        {
            live.signal(sent);
            says(&mut live, &[comes]);
        }
        let run = live.finish().ended(7);
        assert_eq!(run.stderr, "");
        assert_eq!(processes_of(&room.unique()), [""; 0]);
    }
}

fn a_first_process_that_fails_ends_the_jail(as_whom: Start) {
    let room = Room::new();
    for more in [&[FORKING][..], &[FILE]] {
        start(as_whom, &room, &["first=3", "file=/run/x.pid"], more).finish().ended(3);
        assert_eq!(processes_of(&room.unique()), [""; 0]);
    }
}

fn signals_go_to_every_tree(as_whom: Start) {
    let room = Room::new();
    let mut live = start(as_whom, &room, &["helper=obeys"], &[FORKING]);
    has_detached(&live);
    live.signal(libc::SIGHUP);
    says(&mut live, &["daemon 1", "helper 1"]);
    live.signal(libc::SIGTERM);
    says(&mut live, &["daemon 15", "helper 15"]);
    let status = live.finish().status.code();
    assert!([Some(0), Some(7)].contains(&status), "that of the last one to end: {status:?}");
}

fn the_pid_file_names_who_gets_signals(as_whom: Start) {
    let room = Room::new();
    let mut live = start(as_whom, &room, &["file=/run/x.pid", "helper=obeys"], &[FILE]);
    has_detached(&live);
    live.signal(libc::SIGHUP);
    says(&mut live, &["daemon 1"]);
    live.signal(libc::SIGTERM);
    // The helper after it: the jail is over.
    says(&mut live, &["daemon 15", "helper 15"]);
    live.finish().ended(7);
}

fn the_rest_is_ended_after_the_main_process(as_whom: Start) {
    let room = Room::new();
    let process = "main-pid-file = \"/run/x.pid\"\nstop-timeout = \"500ms\"";
    let words = ["file=/run/x.pid", "helper=ignores"];
    let mut live = start(as_whom, &room, &words, &[("process", process)]);
    has_detached(&live);
    let begin = Instant::now();
    live.signal(libc::SIGTERM);
    says(&mut live, &["daemon 15", "helper 15"]);
    let run = live.finish();
    assert!(begin.elapsed().as_millis() >= 500, "{:?}", begin.elapsed());
    run.ended(7);
    assert_eq!(processes_of(&room.unique()), [""; 0]);
}

fn a_late_pid_file_is_found(as_whom: Start) {
    let room = Room::new();
    let words = ["file=/run/x.pid", "helper=obeys", "late=400"];
    let mut live = start(as_whom, &room, &words, &[FILE]);
    // It says `ready` when the file is there: at the next look only one gets the signal.
    std::thread::sleep(std::time::Duration::from_millis(500));
    live.signal(libc::SIGHUP);
    says(&mut live, &["daemon 1"]);
    live.signal(libc::SIGTERM);
    says(&mut live, &["daemon 15", "helper 15"]);
    live.finish().ended(7);
}

/// What the program writes there is not more than a wish.
fn a_pid_file_is_not_believed(as_whom: Start) {
    let room = Room::new();
    let texts =
        ["text=1", "text=0", "text=-1", "text=4194303", "text=99999999999999999999999", "text=x", "text=2 3"];
    std::thread::scope(|scope| {
        for text in texts {
            scope.spawn(move || {
                let own = Room::new();
                let mut live = start(as_whom, &own, &["file=/run/x.pid", text], &[FILE]);
                std::thread::sleep(std::time::Duration::from_millis(300));
                live.signal(libc::SIGHUP);
                says(&mut live, &["daemon 1"]);
                live.signal(libc::SIGTERM);
                says(&mut live, &["daemon 15"]);
                live.finish().ended(7);
            });
        }
    });
    // Neither a pipe that nobody writes to, nor a link out of nowhere keeps pid 1.
    let spec = room.probe_spec(&["daemon"], &[("process", "main-pid-file = \"/dev/zero\""), RUN]);
    let mut live = Live::ready(&mut as_whom(&spec));
    std::thread::sleep(std::time::Duration::from_secs(16));
    live.signal(libc::SIGTERM);
    says(&mut live, &["daemon 15"]);
    let run = live.finish().ended(7);
    assert!(run.stderr.contains("names no process of the jail"), "{}", run.stderr);
}

/// The first process takes no signal: the daemon must get the one that it has not heard.
fn a_stop_is_not_lost_while_it_daemonises(as_whom: Start) {
    let room = Room::new();
    let mut live = start(as_whom, &room, &["hangs=yes"], &[FORKING]);
    live.signal(libc::SIGTERM);
    live.say("go on");
    says(&mut live, &["ready"]);
    says(&mut live, &["daemon 15"]);
    live.finish().ended(7);
}

fn the_jail_dies_with_the_outer_process(as_whom: Start) {
    let room = Room::new();
    let live = start(as_whom, &room, &["file=/run/x.pid", "helper=ignores"], &[FILE]);
    live.signal(libc::SIGKILL);
    live.finish().died_of(libc::SIGKILL);
    wait_until("no process of the jail is left", || processes_of(&room.unique()).is_empty());
}

fn a_storm_of_orphans_hinders_nobody(as_whom: Start) {
    let room = Room::new();
    let spec = room.probe_spec(&["storm"], &[]);
    let live = Live::ready(&mut as_whom(&spec));
    std::thread::sleep(std::time::Duration::from_millis(300));
    let begin = Instant::now();
    live.signal(libc::SIGTERM);
    live.finish().died_of(libc::SIGTERM);
    assert!(begin.elapsed().as_secs() < 10, "{:?}", begin.elapsed());
    // And pid 1 sees the end of the outer process.
    let live = Live::ready(&mut as_whom(&spec));
    live.signal(libc::SIGKILL);
    live.finish().died_of(libc::SIGKILL);
    wait_until("no process of the jail is left", || processes_of(&room.unique()).is_empty());
}

fn ten_thousand_orphans_are_reaped() {
    let room = Room::new();
    let spec = room.probe_spec(&["orphans", "10000"], &[]);
    assert_eq!(finish(&mut as_root(&spec)).ended(0).stdout, "all reaped\n");
}

fn what_cannot_be_kept_is_refused() {
    let room = Room::new();
    let place = ("privileges", "share-namespaces = [\"pid\"]");
    for key in [FORKING, FILE] {
        let run = finish(&mut as_root(&room.probe_spec(&["daemon"], &[key, place]))).ended(2);
        assert!(run.stderr.contains("needs a pid namespace of the jail's own"), "{}", run.stderr);
    }
    let both = ("process", "main-pid-file = \"/run/x.pid\"\nforking = false");
    let run = finish(&mut as_root(&room.probe_spec(&["daemon"], &[both]))).ended(2);
    assert!(run.stderr.contains("never read with forking = false"), "{}", run.stderr);
}

/// As a distribution starts it: nginx's default is to daemonise.
fn nginx_with_daemon_on() {
    let room = Room::new();
    nginx_host(&room);
    let spec = "include = [\"nginx\"]\n[process]\ncommand = [\"/usr/sbin/nginx\"]\nmain-pid-file = \"/run/nginx.pid\"\n";
    let spec = room.file("nginx-daemon.toml", spec);
    let service = Service::start(&room, &mut as_root(&spec)).ready(|| http(80, "/").is_ok());
    let workers = || {
        let all = processes_of(&room.unique());
        all.iter().filter(|process| process.ends_with(": nginx")).cloned().collect::<Vec<_>>()
    };
    let before = workers();
    assert!(before.len() >= 2, "{before:?}");
    service.signal(libc::SIGHUP);
    wait_until("the workers are others", || {
        let now = workers();
        now.len() >= 2 && before.iter().filter(|old| now.contains(old)).count() == 1
    });
    assert!(http(80, "/").unwrap().starts_with("HTTP/1.1 200 OK"));
    service.stops_on(libc::SIGTERM);
    assert!(http(80, "/").is_err());
}

fn redis_with_daemonize_yes() {
    let room = Room::new();
    replace(&room, "/var/lib/redis", false, "redis");
    replace(&room, "/var/log/redis", false, "redis");
    let spec = "include = [\"redis\"]\n[process]\ncommand = [\"/usr/bin/redis-server\", \"/etc/redis/redis.conf\", \
                \"--daemonize\", \"yes\", \"--pidfile\", \"/var/lib/redis/redis.pid\"]\nmain-pid-file = \"/var/lib/redis/redis.pid\"\n";
    let spec = room.file("redis-daemon.toml", spec);
    let ping = || {
        let run = Command::new("redis-cli").arg("ping").output().unwrap();
        String::from_utf8_lossy(&run.stdout).trim() == "PONG"
    };
    let service = Service::start(&room, &mut as_root(&spec)).ready(ping);
    service.stops_on(libc::SIGTERM);
    assert!(!ping());
}

const PYTHON: &str = r#"
import os, signal, sys
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
print("ready", flush=True)
while True: signal.pause()
"#;

fn python_forks_twice() {
    let room = Room::new();
    let spec = format!(
        "[process]\ncommand = [\"/usr/bin/python3\", \"-c\", '''{PYTHON}''']\nforking = true\n[files]\nread = [\"/usr\"]\n"
    );
    let spec = room.file("python.toml", &spec);
    let live = Live::ready(as_root(&spec).stderr(Stdio::piped()));
    live.signal(libc::SIGTERM);
    live.finish().ended(5);
}
