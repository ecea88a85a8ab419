//! Notifications of the program to the service manager, whose part the test plays: what arrives, from
//! whom, with which descriptors; and what never does.
//!
//! Must not know: how it gets out of the jail.

use crate::host::{isolated, processes_of, wait_until};
use crate::network::{MEANT_FOR_IT, high, with_sockets};
use crate::ring::Ring::{Root, Rootless};
use crate::ring::{Test, test};
use crate::run::{Live, Room, finish, jail, jail_as_stranger};
use nix::cmsg_space;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, RecvMsg, UnixCredentials, recvmsg, setsockopt, sockopt,
};
use std::io::IoSliceMut;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Who starts the jail: the behaviour is the same.
type Start = fn(&Path) -> Command;

/// A test of the behaviour.
type Body = fn(Start);

fn as_root(spec: &Path) -> Command {
    jail(["run".as_ref(), spec.as_os_str()])
}

fn as_stranger(spec: &Path) -> Command {
    jail_as_stranger(["run".as_ref(), spec.as_os_str()])
}

/// The tests of this file: most of them in both rings.
pub fn tests() -> Vec<Test> {
    let both: [(&str, Body); 11] = [
        ("what_is_said_arrives_from_the_outer_process", what_is_said_arrives),
        ("what_is_not_known_does_not", what_is_not_known_does_not),
        ("descriptors_are_stored", descriptors_are_stored),
        ("a_barrier_is_passed_in_its_turn", a_barrier_is_passed_in_its_turn),
        ("the_main_process_is_the_jails_to_know", the_main_process_is_the_jails_to_know),
        ("a_main_process_that_others_reap_ends_the_jail", a_main_process_that_others_reap_ends_the_jail),
        ("last_words_are_passed_on", last_words_are_passed_on),
        ("a_manager_that_is_busy_loses_nothing", a_manager_that_is_busy_loses_nothing),
        ("a_manager_that_is_restarted_is_found_again", a_manager_that_is_restarted_is_found_again),
        ("without_a_manager_there_is_nothing", without_a_manager_there_is_nothing),
        ("a_manager_that_cannot_be_reached_is_an_error", a_manager_that_cannot_be_reached_is_an_error),
    ];
    let mut tests = Vec::new();
    for (name, body) in both {
        tests.push(test(Root, format!("notify::root::{name}"), move || body(as_root)));
        tests.push(test(Rootless, format!("notify::rootless::{name}"), move || body(as_stranger)));
    }
    tests.extend([
        test(Root, "notify::an_abstract_manager_is_reached", an_abstract_manager_is_reached),
        test(Root, "notify::a_stranger_is_not_believed", a_stranger_is_not_believed),
        test(Root, "notify::every_shape_of_jail_has_its_socket", || isolated(every_shape_has_its_socket)),
        test(Root, "notify::passed_sockets_go_together_with_it", || {
            isolated(passed_sockets_go_together_with_it)
        }),
        test(Root, "notify::in_place_the_managers_own_socket_must_be_shown", in_place_it_must_be_shown),
        test(Root, "notify::what_is_in_its_way_is_an_error", what_is_in_its_way_is_an_error),
    ]);
    tests
}

/// The service manager.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

/// What the manager gets.
#[derive(Debug)]
struct Heard {
    text: String,
    pid: i32,
    descriptors: Vec<OwnedFd>,
}

impl Manager {
    fn new(room: &Room) -> Self {
        let path = room.path().join("manager");
        let socket = UnixDatagram::bind(&path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
        Manager::of(socket, path)
    }

    fn of(socket: UnixDatagram, path: PathBuf) -> Self {
        setsockopt(&socket, sockopt::PassCred, &true).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Manager { socket, path }
    }

    /// Starts a jail that is to notify it. (A service manager tells each process of its own watchdog.)
    fn start(&self, mut command: Command) -> Live {
        Live::ready(command.env("NOTIFY_SOCKET", &self.path).env("WATCHDOG_USEC", "3000000"))
    }

    #[track_caller]
    fn hear(&self) -> Heard {
        let mut buffer = [0; 8192];
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let mut space = cmsg_space!(UnixCredentials, [RawFd; 16]);
        let received =
            recvmsg::<()>(self.socket.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC);
        let received: RecvMsg<'_, '_, ()> = received.expect("a message");
        let (length, mut pid, mut descriptors) = (received.bytes, 0, Vec::new());
        for message in received.cmsgs().unwrap() {
            match message {
                ControlMessageOwned::ScmCredentials(credentials) => pid = credentials.pid(),
                ControlMessageOwned::ScmRights(raw) => {
                    // SAFETY: the kernel has just made them.
                    descriptors.extend(raw.into_iter().map(|raw| unsafe { OwnedFd::from_raw_fd(raw) }));
                }
                other => panic!("{other:?}"),
            }
        }
        Heard { text: String::from_utf8(buffer[..length].to_vec()).unwrap(), pid, descriptors }
    }

    /// Nothing but this comes next.
    #[track_caller]
    fn hears(&self, text: &str, pid: i32) {
        let heard = self.hear();
        assert_eq!((heard.text.as_str(), heard.pid), (text, pid));
        assert!(heard.descriptors.is_empty());
    }
}

#[track_caller]
fn tell(live: &mut Live, order: &str, answer: &str) {
    live.say(order);
    assert_eq!(live.line_after(order).as_deref(), Some(answer));
}

fn end(live: Live) {
    live.signal(libc::SIGKILL);
    live.finish().died_of(libc::SIGKILL);
}

fn what_is_said_arrives(start: Start) {
    let room = Room::new();
    let manager = Manager::new(&room);
    // Landlock's scope is on, and the network is its own: an abstract socket would not be reached.
    let mut live = manager.start(start(&room.probe_spec(&["notify"], &[("network", "mode = \"none\"")])));
    tell(&mut live, "variables", "/dev/notify 3000000 2 - -");
    for text in [
        "READY=1",
        "STATUS=3 requests: \u{fc}bung",
        "RELOADING=1|MONOTONIC_USEC=123456789",
        "READY=1|STATUS=reloaded",
        "WATCHDOG=1",
        "EXTEND_TIMEOUT_USEC=5000000",
        "STOPPING=1|ERRNO=5",
        "X_OWN=any thing",
    ] {
        tell(&mut live, &format!("send {text}"), "sent");
        manager.hears(&text.replace('|', "\n"), live.pid());
    }
    end(live);
}

fn what_is_not_known_does_not(start: Start) {
    let room = Room::new();
    let manager = Manager::new(&room);
    let mut live = manager.start(start(&room.probe_spec(&["notify"], &[])));
    for text in ["NOTIFYACCESS=all", "MAINPID=1", "READY=2", "UNKNOWN=1", "", "FDSTORE=1", "BARRIER=1"] {
        tell(&mut live, &format!("send {text}"), "sent");
    }
    tell(&mut live, "long 5000", "sent");
    tell(&mut live, "send NOTIFYACCESS=all|WATCHDOG=1|MAINPID=1|STATUS=a\rb", "sent");
    manager.hears("WATCHDOG=1\nSTATUS=a b", live.pid());
    end(live);
}

fn descriptors_are_stored(start: Start) {
    let room = Room::new();
    let manager = Manager::new(&room);
    let mut live = manager.start(start(&room.probe_spec(&["notify"], &[])));
    tell(&mut live, "file FDSTORE=1|FDNAME=null", "sent");
    tell(&mut live, "store READY=1", "sent");
    manager.hears("READY=1", live.pid());
    tell(&mut live, "store FDSTORE=1|FDNAME=pair", "sent");
    let mut heard = manager.hear();
    assert_eq!((heard.text.as_str(), heard.pid), ("FDSTORE=1\nFDNAME=pair", live.pid()));
    let stored = UnixDatagram::from(heard.descriptors.pop().unwrap());
    assert!(heard.descriptors.is_empty());
    stored.send(b"hello").unwrap();
    tell(&mut live, "hear", "hello");
    // The outer process keeps none of them.
    let descriptors = format!("/proc/{}/fd", live.pid());
    let open = || std::fs::read_dir(&descriptors).unwrap().count();
    let before = open();
    for _ in 0..20 {
        live.say("store FDSTORE=1");
        assert_eq!(live.line().as_deref(), Some("sent"));
        drop(manager.hear());
    }
    wait_until("all are closed", || open() <= before);
    end(live);
}

fn a_barrier_is_passed_in_its_turn(start: Start) {
    let room = Room::new();
    let manager = Manager::new(&room);
    let mut live = manager.start(start(&room.probe_spec(&["notify"], &[])));
    tell(&mut live, "send READY=1", "sent");
    live.say("barrier");
    manager.hears("READY=1", live.pid());
    let heard = manager.hear();
    assert_eq!((heard.text.as_str(), heard.descriptors.len()), ("BARRIER=1", 1));
    drop(heard);
    assert_eq!(live.line().as_deref(), Some("sent, passed"));
    end(live);
}

/// Pid 1 is asked who it is: from some moment on the child gets the signals.
#[track_caller]
fn child_is_main(live: &mut Live) {
    let (outer, told) = (live.pid(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !told.load(Ordering::Relaxed) {
                jail::sys::process::send_signal(outer, libc::SIGWINCH).unwrap();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        assert_eq!(live.line_after("SIGWINCH").as_deref(), Some("child got 28"));
        told.store(true, Ordering::Relaxed);
    });
}

/// The manager goes on supervising the outer process.
fn the_main_process_is_the_jails_to_know(start: Start) {
    let room = Room::new();
    let manager = Manager::new(&room);
    let mut live = manager.start(start(&room.probe_spec(&["notify"], &[])));
    live.say("fork");
    let mut lines = [live.line().unwrap(), live.line().unwrap()];
    lines.sort();
    let [child, name] = lines;
    assert_eq!(name, format!("child {child}"));
    // Numbers that are nobody's, and its own, change nothing.
    for main in ["4194000", "1", "0", "2"] {
        tell(&mut live, &format!("send MAINPID={main}|WATCHDOG=1"), "sent");
        manager.hears("WATCHDOG=1", live.pid());
    }
    tell(&mut live, &format!("send MAINPID={child}|READY=1"), "sent");
    manager.hears("READY=1", live.pid());
    child_is_main(&mut live);
    live.say("exit 3");
    live.signal(libc::SIGHUP);
    while live.line_after("SIGHUP").as_deref() != Some("child got 1") {}
    live.signal(libc::SIGTERM);
    live.finish().ended(9);
    assert_eq!(processes_of(&room.unique()), [""; 0]);
}

/// Pid 1 is not its parent, so only Linux 6.15 and later say how it ended.
fn a_main_process_that_others_reap_ends_the_jail(start: Start) {
    let room = Room::new();
    let manager = Manager::new(&room);
    let mut live =
        manager.start(start(&room.probe_spec(&["notify"], &[("process", "stop-timeout = \"20s\"")])));
    live.say("fork");
    let mut lines = [live.line().unwrap(), live.line().unwrap()];
    lines.sort();
    let [child, _] = lines;
    tell(&mut live, &format!("send MAINPID={child}|READY=1"), "sent");
    manager.hears("READY=1", live.pid());
    live.say(&format!("reap {child}"));
    child_is_main(&mut live);
    live.signal(libc::SIGTERM);
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u32>().unwrap_or(0));
    let knows = (numbers.next(), numbers.next()) >= (Some(6), Some(15));
    let run = live.finish().ended(if knows { 9 } else { 0 });
    assert_eq!(run.stderr, "");
    assert_eq!(processes_of(&room.unique()), [""; 0]);
}

/// Also when the program has ended before anybody has looked who said them.
fn last_words_are_passed_on(start: Start) {
    let room = Room::new();
    let manager = Manager::new(&room);
    let spec = room.probe_spec(&["notify"], &[]);
    for _ in 0..20 {
        let mut live = manager.start(start(&spec));
        let outer = live.pid();
        live.say("last STATUS=cannot go on|ERRNO=5");
        let run = live.finish().ended(4);
        assert_eq!(run.stderr, "");
        manager.hears("STATUS=cannot go on\nERRNO=5", outer);
    }
}

fn a_manager_that_is_busy_loses_nothing(start: Start) {
    let room = Room::new();
    let manager = Manager::new(&room);
    let mut live = manager.start(start(&room.probe_spec(&["notify"], &[])));
    let count = 3000;
    live.say(&format!("many {count}"));
    // The program waits for the outer process, and that for the manager; signals are not waiting.
    std::thread::sleep(Duration::from_millis(200));
    for n in 0..count {
        manager.hears(&format!("X_N={n}"), live.pid());
    }
    assert_eq!(live.line().as_deref(), Some("sent"));
    live.say(&format!("many {count}"));
    std::thread::sleep(Duration::from_millis(200));
    live.signal(libc::SIGTERM);
    live.finish().died_of(libc::SIGTERM);
}

fn a_manager_that_is_restarted_is_found_again(start: Start) {
    let room = Room::new();
    let mut manager = Manager::new(&room);
    let mut live = manager.start(start(&room.probe_spec(&["notify"], &[])));
    for _ in 0..3 {
        tell(&mut live, "send READY=1", "sent");
        let mut heard = manager.hear();
        // It may have been on its way for so long that it is not lost.
        if heard.text == "STATUS=meanwhile" {
            heard = manager.hear();
        }
        assert_eq!((heard.text.as_str(), heard.pid), ("READY=1", live.pid()));
        std::fs::remove_file(&manager.path).unwrap();
        drop(manager);
        tell(&mut live, "send STATUS=meanwhile", "sent");
        manager = Manager::new(&room);
    }
    end(live);
}

fn without_a_manager_there_is_nothing(start: Start) {
    let room = Room::new();
    let spec = room.probe_spec(&["notify"], &[]);
    for empty in [false, true] {
        let mut command = start(&spec);
        if empty {
            command.env("NOTIFY_SOCKET", "").env("WATCHDOG_USEC", "1");
        }
        let mut live = Live::ready(&mut command);
        tell(&mut live, "variables", "- - - - -");
        let pid_1 = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", live.pid())).unwrap();
        assert!(!Path::new(&format!("/proc/{}/root/dev/notify", pid_1.trim())).exists());
        end(live);
    }
}

fn a_manager_that_cannot_be_reached_is_an_error(start: Start) {
    let room = Room::new();
    let spec = room.probe_spec(&["notify"], &[]);
    let run = |address: &str| finish(start(&spec).env("NOTIFY_SOCKET", address)).ended(125).stderr;
    let file = room.file("plain", "");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o666)).unwrap();
    let file = file.display().to_string();
    let missing = run("/nonexistent/notify");
    assert!(missing.contains("connect(\"/nonexistent/notify\") = ENOENT"), "{missing}");
    assert!(missing.contains("start jail without it"), "{missing}");
    assert!(run(&file).contains("= ECONNREFUSED"));
    assert!(run("@jail-tests-nobody").contains("= ECONNREFUSED"));
    let vsock = run("vsock:2:1234");
    assert!(vsock.contains("it is the socket of a virtual machine's host"), "{vsock}");
    assert!(run("relative").contains("it is no unix socket"));
}

fn an_abstract_manager_is_reached() {
    let room = Room::new();
    let name = format!("jail-tests-{}", room.unique());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let manager = Manager::of(UnixDatagram::bind_addr(&address).unwrap(), format!("@{name}").into());
    let mut live = manager.start(as_root(&room.probe_spec(&["notify"], &[("network", "mode = \"none\"")])));
    tell(&mut live, "send READY=1", "sent");
    manager.hears("READY=1", live.pid());
    end(live);
}

/// Somebody outside who has got hold of the program's socket.
fn a_stranger_is_not_believed() {
    let room = Room::new();
    let manager = Manager::new(&room);
    let mut live = manager.start(as_root(&room.probe_spec(&["notify"], &[])));
    let pid_1 = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", live.pid())).unwrap();
    let socket = format!("/proc/{}/root/dev/notify", pid_1.trim());
    let stranger = UnixDatagram::unbound().unwrap();
    stranger.send_to(b"STOPPING=1", &socket).unwrap();
    tell(&mut live, "send READY=1", "sent");
    manager.hears("READY=1", live.pid());
    end(live);
}

fn every_shape_has_its_socket() {
    let room = Room::new();
    let manager = Manager::new(&room);
    let image = room.path().join("image");
    for name in ["usr", "proc", "dev", "probe"] {
        std::fs::create_dir_all(image.join(name)).unwrap();
    }
    std::os::unix::fs::symlink("usr/lib64", image.join("lib64")).unwrap();
    std::os::unix::fs::symlink("usr/lib", image.join("lib")).unwrap();
    let root = format!("root = {:?}", image.display().to_string());
    let run = ("files", "tmpfs = [\"/run\"]");
    let shapes: [&[(&str, &str)]; 5] = [
        &[("files", &root)],
        &[("privileges", "user-namespace = true")],
        &[("process", "user = \"www-data\""), run],
        &[("files", "dev = [\"none\"]")],
        &[("files", "dev = [\"pts\"]"), ("process", "umask = \"0777\"")],
    ];
    for shape in shapes {
        let mut live = manager.start(as_root(&room.probe_spec(&["notify"], shape)));
        tell(&mut live, "send READY=1", "sent");
        manager.hears("READY=1", live.pid());
        end(live);
    }
    assert_eq!(std::fs::read_dir(image.join("dev")).unwrap().count(), 0, "nothing is made in it");
}

/// Whatever descriptors the outer process needs, those that are passed keep their numbers.
fn passed_sockets_go_together_with_it() {
    let room = Room::new();
    let manager = Manager::new(&room);
    let listeners = [81, 82].map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap());
    let sockets = listeners.each_ref().map(high);
    let told =
        format!("{MEANT_FOR_IT} NOTIFY_SOCKET={} WATCHDOG_USEC=7 WATCHDOG_PID=$$", manager.path.display());
    let network = "listen = [{ address = \"127.0.0.1:83\", name = \"own\" }]";
    let entry =
        format!("read = [\"/usr\", {}, {{ path = {:?}, bind = true }}]", room.probe_entry(), manager.path);
    for place in ["", "share-namespaces = [\"pid\"]"] {
        let more = [("network", network), ("privileges", place), ("files", entry.as_str())];
        let command = as_root(&room.probe_spec(&["notify"], &more));
        let mut live =
            Live::ready(&mut with_sockets(&command, &sockets.each_ref().map(AsRawFd::as_raw_fd), &told));
        let (socket, pid) = match place {
            "" => ("/dev/notify".into(), 2),
            _ => (manager.path.display().to_string(), live.pid()),
        };
        tell(&mut live, "variables", &format!("{socket} 7 {pid} {pid} web:admin:own"));
        tell(&mut live, "send READY=1", "sent");
        manager.hears("READY=1", live.pid());
        end(live);
    }
}

fn in_place_it_must_be_shown() {
    let room = Room::new();
    let manager = Manager::new(&room);
    let place = ("privileges", "share-namespaces = [\"pid\"]");
    let run = |more: &[(&str, &str)]| {
        let mut command = as_root(&room.probe_spec(&["notify"], more));
        command.env("NOTIFY_SOCKET", &manager.path).env("WATCHDOG_USEC", "3000000");
        command
    };
    let refused = finish(&mut run(&[place])).ended(125).stderr;
    let entry = format!("add {{ path = \"{}\", bind = true }} to [files] read", manager.path.display());
    assert!(refused.contains(&entry), "{refused}");
    let read =
        format!("read = [\"/usr\", {}, {{ path = {:?}, bind = true }}]", room.probe_entry(), manager.path);
    let mut live = Live::ready(&mut run(&[place, ("files", &read)]));
    let pid = live.pid();
    tell(&mut live, "variables", &format!("{} 3000000 {pid} - -", manager.path.display()));
    tell(&mut live, "send READY=1|MAINPID=1", "sent");
    manager.hears("READY=1\nMAINPID=1", pid);
    end(live);
    let spec = room.probe_spec(&["notify"], &[place]);
    let refused = finish(as_root(&spec).env("NOTIFY_SOCKET", "@name")).ended(125).stderr;
    assert!(refused.contains("an abstract socket cannot be shown"), "{refused}");
}

fn what_is_in_its_way_is_an_error() {
    let room = Room::new();
    let manager = Manager::new(&room);
    for files in [
        format!("read = [\"/usr\", {}, \"/dev\"]\ndev = [\"none\"]", room.probe_entry()),
        "text = [{ path = \"/dev/notify\", content = \"\" }]".to_owned(),
    ] {
        let mut command = as_root(&room.probe_spec(&["notify"], &[("files", &files)]));
        let run = finish(command.env("NOTIFY_SOCKET", &manager.path)).ended(125);
        assert!(run.stderr.contains("place nothing at /dev or there"), "{}", run.stderr);
    }
}
