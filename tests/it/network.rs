//! `[network]` from inside and outside: ports limited by Landlock, and sockets passed in.
//!
//! Must not know: how either is done.

use crate::careless;
use crate::host::{isolated, own_run, processes_of, wait_until};
use crate::promises::attempt;
use crate::ring::Ring::{Root, Rootless};
use crate::ring::{Ring, Test, test};
use crate::run::{
    Live, Room, Run, STRANGER, finish, jail, jail_as_stranger, probe_directory, state_directory,
};
use nix::unistd::{Gid, Uid, chown};
use serde_json::Value;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The tests of this file. Each is on a network and over a /run of its own.
pub fn tests() -> Vec<Test> {
    let own =
        |ring: Ring, name: &str, body: fn()| test(ring, format!("network::{name}"), move || isolated(body));
    vec![
        own(Root, "tcp_ports_are_the_specs", tcp_ports_are_the_specs),
        own(Root, "without_the_keys_every_port_is_free", without_the_keys_every_port_is_free),
        own(Root, "zero_is_a_port_that_the_kernel_picks", zero_is_a_port_that_the_kernel_picks),
        own(Root, "port_limits_hold_in_place_too", port_limits_hold_in_place_too),
        own(Rootless, "port_limits_hold_rootless_too", port_limits_hold_rootless_too),
        own(Root, "signals_are_scoped", signals_are_scoped),
        own(Root, "port_limits_are_given_up_by_name", port_limits_are_given_up_by_name),
        own(Root, "passed_sockets_are_the_only_descriptors", passed_sockets_are_the_only_descriptors),
        own(Root, "a_low_limit_of_open_files_is_explained", a_low_limit_of_open_files_is_explained),
        own(Root, "sockets_are_passed_in_place", sockets_are_passed_in_place),
        own(Root, "sockets_of_a_service_manager_come_first", sockets_of_a_service_manager_come_first),
        own(
            Root,
            "a_passed_socket_takes_the_place_of_its_entry",
            a_passed_socket_takes_the_place_of_its_entry,
        ),
        own(Root, "what_is_meant_for_others_is_not_passed", what_is_meant_for_others_is_not_passed),
        own(Root, "an_address_in_use_names_the_process", an_address_in_use_names_the_process),
        own(Root, "the_port_is_free_again_at_once", the_port_is_free_again_at_once),
        own(Root, "unix_sockets_come_and_go", unix_sockets_come_and_go),
        own(Root, "left_over_sockets_are_replaced_live_ones_are_not", left_over_sockets_are_replaced),
        own(Root, "a_failed_start_leaves_no_socket", a_failed_start_leaves_no_socket),
        // As root the test becomes another user, for whom a place is made where only they may write.
        own(Root, "rootless_listens_too", rootless_listens_too),
    ]
}

const ALLOWED: u16 = 2001;
const OTHER: u16 = 2002;

struct Servers {
    _tcp: [TcpListener; 2],
    _udp: [UdpSocket; 2],
}

/// Somebody listens on both ports, so that a connection refused is not one that finds nobody. On an
/// address of its own, so that the ports of the loopback address are free to be bound.
fn servers(address: Ipv4Addr) -> Servers {
    Servers {
        _tcp: [ALLOWED, OTHER].map(|port| TcpListener::bind((address, port)).unwrap()),
        _udp: [ALLOWED, OTHER].map(|port| UdpSocket::bind((address, port)).unwrap()),
    }
}

fn report(command: &mut Command) -> Value {
    finish(command).report()
}

fn ports_spec(room: &Room, network: &str, more: &[(&str, &str)]) -> PathBuf {
    let words = format!("ports={ALLOWED},{OTHER},0");
    let more: Vec<(&str, &str)> = [("network", network)].iter().chain(more).copied().collect();
    room.probe_spec(&[&words], &more)
}

#[track_caller]
fn came(report: &Value, expected: &[(&str, &str)]) {
    let wrong: Vec<String> = expected
        .iter()
        .filter(|(name, errno)| attempt(report, name) != *errno)
        .map(|(name, errno)| format!("{name}: {} instead of {errno}", attempt(report, name)))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

const BOUND: &str = "bind = [2001]";
const CONNECTED: &str = "connect = [2001]";

#[track_caller]
fn bind_is_limited(report: &Value) {
    came(
        report,
        &[
            ("bind tcp 2001", "ok"),
            ("bind tcp6 2001", "ok"),
            ("bind tcp 2002", "EACCES"),
            ("bind tcp6 2002", "EACCES"),
            ("bind tcp 0", "EACCES"),
            ("bind mptcp 2001", "EPROTONOSUPPORT"),
            ("bind mptcp 2002", "EPROTONOSUPPORT"),
            ("fast open 2002", "EOPNOTSUPP"),
            // The gaps that the key's documentation names.
            ("bind udp 2002", "ok"),
            ("connect udp 2002", "ok"),
            ("listen unbound", "ok"),
        ],
    );
}

#[track_caller]
fn connect_is_limited(report: &Value) {
    came(
        report,
        &[
            ("connect tcp 2001", "ok"),
            ("connect tcp 2002", "EACCES"),
            ("connect mptcp 2001", "EPROTONOSUPPORT"),
            ("connect mptcp 2002", "EPROTONOSUPPORT"),
            ("fast open 2001", "EOPNOTSUPP"),
            ("fast open 2002", "EOPNOTSUPP"),
            ("connect udp 2002", "ok"),
        ],
    );
}

fn tcp_ports_are_the_specs() {
    let room = Room::new();
    let run =
        |network: &str| report(&mut jail(["run".as_ref(), ports_spec(&room, network, &[]).as_os_str()]));
    bind_is_limited(&run(BOUND));
    let servers = servers(Ipv4Addr::LOCALHOST);
    connect_is_limited(&run(CONNECTED));
    drop(servers);
    came(&run("bind = []"), &[("bind tcp 2001", "EACCES"), ("bind tcp 0", "EACCES")]);
    came(&run("connect = []"), &[("connect tcp 2001", "EACCES"), ("bind tcp 2001", "ok")]);
    came(&run("mode = \"none\"\nbind = [2002]"), &[("bind tcp 2001", "EACCES"), ("bind tcp 2002", "ok")]);
    // Lists of includes add up.
    let base = room.file("base.toml", "[network]\nbind = [2002]\n");
    let include = format!("include = [{:?}]\n", base.display().to_string());
    let spec = std::fs::read_to_string(ports_spec(&room, BOUND, &[])).unwrap();
    let both = room.file("both.toml", &(include + &spec));
    let both = report(&mut jail(["run".as_ref(), both.as_os_str()]));
    came(&both, &[("bind tcp 2001", "ok"), ("bind tcp 2002", "ok"), ("bind tcp 0", "EACCES")]);
}

fn without_the_keys_every_port_is_free() {
    let room = Room::new();
    let report = report(&mut jail(["run".as_ref(), ports_spec(&room, "", &[]).as_os_str()]));
    let free = [
        ("bind tcp 2001", "ok"),
        ("bind tcp 0", "ok"),
        ("connect tcp 2002", "ECONNREFUSED"),
        ("bind mptcp 2001", "ok"),
        ("connect mptcp 2002", "ECONNREFUSED"),
    ];
    // A kernel without MPTCP has one way less.
    let mptcp = Path::new("/proc/sys/net/mptcp/enabled").exists();
    came(&report, if mptcp { &free } else { &free[..3] });
}

fn zero_is_a_port_that_the_kernel_picks() {
    let room = Room::new();
    let report = report(&mut jail(["run".as_ref(), ports_spec(&room, "bind = [0]", &[]).as_os_str()]));
    came(&report, &[("bind tcp 0", "ok"), ("bind tcp 2001", "EACCES")]);
}

fn port_limits_hold_in_place_too() {
    let room = Room::new();
    let spec = ports_spec(&room, BOUND, &[("privileges", "share-namespaces = [\"pid\"]")]);
    bind_is_limited(&report(&mut jail(["run".as_ref(), spec.as_os_str()])));
}

fn port_limits_hold_rootless_too() {
    let room = Room::new();
    let spec = ports_spec(&room, BOUND, &[]);
    bind_is_limited(&report(&mut jail_as_stranger(["run".as_ref(), spec.as_os_str()])));
}

fn port_limits_are_given_up_by_name() {
    let room = Room::new();
    let spec = ports_spec(&room, BOUND, &[]);
    for feature in ["network-ports", "landlock"] {
        let words = ["run".as_ref(), "--without".as_ref(), feature.as_ref(), spec.as_os_str()];
        let report = report(&mut jail(words));
        came(&report, &[("bind tcp 2002", "ok"), ("bind tcp 0", "ok")]);
        let words = ["plan".as_ref(), "--without".as_ref(), feature.as_ref(), spec.as_os_str()];
        let plan = finish(&mut jail(words)).ended(0).stdout;
        assert!(plan.contains(&format!("network-ports (by --without {feature})")), "{plan}");
        assert!(!plan.contains("TCP bind"), "{plan}");
    }
    // The ports are kept, but for the ways around that only the filter closes.
    let words = ["run".as_ref(), "--without".as_ref(), "seccomp".as_ref(), spec.as_os_str()];
    came(&report(&mut jail(words)), &[("bind tcp 2001", "ok"), ("bind tcp 2002", "EACCES")]);
    let words = ["plan".as_ref(), "--without".as_ref(), "seccomp".as_ref(), spec.as_os_str()];
    let plan = finish(&mut jail(words)).ended(0).stdout;
    assert!(plan.contains("network-ports over MPTCP and TCP Fast Open (by --without seccomp)"), "{plan}");
}

/// In place, a process of the same user outside is in sight; Landlock alone keeps it from signals.
fn signals_are_scoped() {
    let room = Room::new();
    let mut outside = Command::new("/bin/sleep").arg("600").uid(33).gid(33).spawn().unwrap();
    let place = ("privileges", "share-namespaces = [\"pid\"]");
    let spec =
        room.probe_spec(&[&format!("pid={}", outside.id())], &[place, ("process", "user = \"www-data\"")]);
    let scoped = finish(&mut jail(["run".as_ref(), spec.as_os_str()]));
    let words = ["run".as_ref(), "--without".as_ref(), "landlock".as_ref(), spec.as_os_str()];
    let free = finish(&mut jail(words));
    crate::run::end(&mut outside);
    came(&scoped.report(), &[("signal outside", "EPERM")]);
    came(&free.report(), &[("signal outside", "ok")]);
}

const FIVE: &str = "mode = \"none\"\nlisten = [\"127.0.0.1:80\", { address = \"[::]:80\", name = \"six\", non-blocking = true }, \
                    \"udp:127.0.0.1:53\", { address = \"unix:/run/x.sock\", name = \"file\" }, \"0.0.0.0:443\"]";

/// Descriptors, variables and what each socket is.
#[track_caller]
fn five_are_passed(report: &Value, unix: bool) {
    let (addresses, names) = if unix {
        (
            vec!["127.0.0.1:80", "[::]:80", "127.0.0.1:53", "/run/x.sock", "0.0.0.0:443"],
            "probe:six:probe:file:probe",
        )
    } else {
        (vec!["127.0.0.1:80", "[::]:80", "127.0.0.1:53", "0.0.0.0:443"], "probe:six:probe:probe")
    };
    let passed = report["passed"].as_array().unwrap();
    assert_eq!(passed.iter().map(|s| s["address"].as_str().unwrap()).collect::<Vec<_>>(), addresses);
    for socket in passed {
        assert_eq!(socket["non-blocking"], socket["address"] == "[::]:80", "{socket}");
        assert_eq!(socket["accepting"], socket["address"] != "127.0.0.1:53", "{socket}");
    }
    let descriptors: Vec<&String> = report["fds"].as_object().unwrap().keys().collect();
    let expected: Vec<String> = (0..3 + addresses.len()).map(|n| n.to_string()).collect();
    assert_eq!(descriptors, expected.iter().collect::<Vec<_>>(), "{}", report["fds"]);
    let environment = &report["environment"];
    assert_eq!(environment["LISTEN_FDS"], addresses.len().to_string());
    assert_eq!(environment["LISTEN_FDNAMES"], names);
    assert_eq!(environment["LISTEN_PID"], report["pid"].to_string());
}

fn passed_sockets_are_the_only_descriptors() {
    let _run = own_run();
    let room = Room::new();
    let spec = room.probe_spec(&["ports=80"], &[("network", FIVE)]);
    let mut command = jail(["run".as_ref(), spec.as_os_str()]);
    // It leaks a directory at a number that one of the sockets gets.
    assert!((3..8).contains(&careless::LEAKED));
    careless::make(&mut command, room.path());
    let report = report(&mut command);
    five_are_passed(&report, true);
    assert_eq!(report["status"]["CapEff"], "0000000000000000", "port 80 needs none");
    assert_eq!(report["interfaces"], serde_json::json!(["lo up"]));
    came(&report, &[("connect tcp 80", "ECONNREFUSED"), ("bind tcp 80", "EACCES")]);
    assert_eq!(std::fs::read_dir("/run").unwrap().count(), 0, "nothing is left");
}

fn a_low_limit_of_open_files_is_explained() {
    let room = Room::new();
    let listen: Vec<String> = (1..30).map(|port| format!("\"127.0.0.1:{port}\"")).collect();
    let network = format!("mode = \"none\"\nlisten = [{}]", listen.join(", "));
    let spec = room.probe_spec(&["attempts=no"], &[("network", &network)]);
    let limited = |limit: &str| {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &format!("ulimit -n {limit}; exec \"$@\""), "sh"]).arg(crate::run::jail_binary());
        finish(shell.arg("run").arg(&spec).env_clear().env("JAIL_STATE", state_directory()))
    };
    let run = limited("20").ended(125);
    assert!(run.stderr.starts_with("jail: cannot pass on the socket probe: "), "{}", run.stderr);
    assert!(run.stderr.contains("raise it (ulimit -n)"), "{}", run.stderr);
    assert_eq!(limited("100").report()["passed"].as_array().unwrap().len(), 29);
}

fn sockets_are_passed_in_place() {
    let room = Room::new();
    let four = FIVE.replace("{ address = \"unix:/run/x.sock\", name = \"file\" }, ", "");
    let place = ("privileges", "share-namespaces = [\"pid\"]");
    let spec = room.probe_spec(&["attempts=no"], &[("network", &four), place]);
    let mut command = jail(["run".as_ref(), spec.as_os_str()]);
    careless::make(&mut command, room.path());
    five_are_passed(&report(&mut command), false);
}

/// Starts `jail` as systemd does: sockets from descriptor 3 on, and LISTEN_PID that of `jail`.
pub fn with_sockets(command: &Command, sockets: &[std::os::fd::RawFd], variables: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("{variables}; exec \"$@\""), "sh"]).arg(command.get_program());
    shell.args(command.get_args()).env_clear().env("PATH", "/usr/bin:/bin");
    shell.env("JAIL_STATE", state_directory());
    let sockets = sockets.to_vec();
    // SAFETY: dup2 alone is called between fork and exec. (A duplicate stays open at exec.)
    unsafe {
        shell.pre_exec(move || {
            for (number, socket) in (3..).zip(&sockets) {
                if libc::dup2(*socket, number) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
            }
            Ok(())
        })
    };
    shell
}

/// Numbers far from where they will go.
pub fn high(socket: &impl std::os::fd::AsFd) -> std::os::fd::OwnedFd {
    use std::os::fd::FromRawFd;
    let raw = nix::fcntl::fcntl(socket, nix::fcntl::FcntlArg::F_DUPFD_CLOEXEC(500)).unwrap();
    // SAFETY: it was made just now.
    unsafe { std::os::fd::OwnedFd::from_raw_fd(raw) }
}

/// What a service manager says of two sockets.
pub const MEANT_FOR_IT: &str = "export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:admin";

fn sockets_of_a_service_manager_come_first() {
    use std::os::fd::AsRawFd;
    let room = Room::new();
    let (web, admin) =
        (TcpListener::bind("127.0.0.1:81").unwrap(), TcpListener::bind("127.0.0.1:82").unwrap());
    let sockets = [high(&web), high(&admin)];
    let sockets = sockets.each_ref().map(AsRawFd::as_raw_fd);
    for place in ["", "share-namespaces = [\"pid\"]"] {
        let network = "mode = \"none\"\nlisten = [{ address = \"127.0.0.1:83\", name = \"own\" }]";
        let spec = room.probe_spec(&["attempts=no"], &[("network", network), ("privileges", place)]);
        let command = jail(["run".as_ref(), spec.as_os_str()]);
        let report = report(&mut with_sockets(&command, &sockets, MEANT_FOR_IT));
        let addresses: Vec<&str> =
            report["passed"].as_array().unwrap().iter().map(|s| s["address"].as_str().unwrap()).collect();
        assert_eq!(addresses, ["127.0.0.1:81", "127.0.0.1:82", "127.0.0.1:83"]);
        assert_eq!(report["environment"]["LISTEN_FDNAMES"], "web:admin:own");
        assert_eq!(report["environment"]["LISTEN_PID"], report["pid"].to_string());
        assert_eq!(report["fds"].as_object().unwrap().len(), 6, "{}", report["fds"]);
        // And without any of its own.
        let spec = room.probe_spec(&["attempts=no"], &[("privileges", place)]);
        let command = jail(["run".as_ref(), spec.as_os_str()]);
        let report = self::report(&mut with_sockets(&command, &sockets, MEANT_FOR_IT));
        assert_eq!(report["environment"]["LISTEN_FDS"], "2");
        assert_eq!(report["fds"].as_object().unwrap().len(), 5, "{}", report["fds"]);
    }
}

/// A socket unit made by `jail systemd --socket` has opened what the spec names in `listen`.
fn a_passed_socket_takes_the_place_of_its_entry() {
    use std::os::fd::AsRawFd;
    let _run = own_run();
    let room = Room::new();
    let web = TcpListener::bind("127.0.0.1:81").unwrap();
    let names = UdpSocket::bind("127.0.0.1:81").unwrap();
    let local = UnixListener::bind("/run/x.sock").unwrap();
    let sockets = [high(&web), high(&names), high(&local)];
    let sockets = sockets.each_ref().map(AsRawFd::as_raw_fd);
    let listen = "mode = \"none\"\nlisten = [\"127.0.0.1:82\", { address = \"unix:/run/x.sock\", name = \"local\" }, \
                  { address = \"udp:127.0.0.1:81\", name = \"names\" }]";
    let spec = room.probe_spec(&["attempts=no"], &[("network", listen)]);
    let command = jail(["run".as_ref(), spec.as_os_str()]);
    let variables = "export LISTEN_PID=$$ LISTEN_FDS=3 LISTEN_FDNAMES=web:web:web";
    let report = report(&mut with_sockets(&command, &sockets, variables));
    assert_eq!(report["environment"]["LISTEN_FDS"], "4", "only the first entry is opened");
    assert_eq!(report["environment"]["LISTEN_FDNAMES"], "web:names:local:probe");
    assert!(Path::new("/run/x.sock").exists(), "the manager's file is not removed");
}

fn what_is_meant_for_others_is_not_passed() {
    use std::os::fd::AsRawFd;
    let room = Room::new();
    let listener = TcpListener::bind("127.0.0.1:81").unwrap();
    let sockets = [high(&listener)];
    let sockets = sockets.each_ref().map(AsRawFd::as_raw_fd);
    let spec = room.probe_spec(&["attempts=no"], &[]);
    let command = jail(["run".as_ref(), spec.as_os_str()]);
    for variables in ["export LISTEN_PID=1 LISTEN_FDS=1", "export LISTEN_FDS=1", "true"] {
        let report = report(&mut with_sockets(&command, &sockets, variables));
        assert_eq!(report["fds"].as_object().unwrap().len(), 3, "{variables}: {}", report["fds"]);
        assert_eq!(report["environment"].as_object().unwrap().len(), 1, "{}", report["environment"]);
    }
    let file = std::fs::File::open("/usr").unwrap();
    let files = [high(&file)];
    let files = files.each_ref().map(AsRawFd::as_raw_fd);
    let run = finish(&mut with_sockets(&command, &files, "export LISTEN_PID=$$ LISTEN_FDS=1")).ended(125);
    assert!(run.stderr.contains("descriptor 3, which LISTEN_FDS passes"), "{}", run.stderr);
}

fn an_address_in_use_names_the_process() {
    let run_directory = own_run();
    let room = Room::new();
    let mut holder = Command::new(probe_directory().join("probe"));
    holder.args([
        "probe",
        "hold",
        "tcp:127.0.0.1:80",
        "tcp:[::1]:80",
        "udp:127.0.0.1:53",
        "unix:/run/taken.sock",
    ]);
    let holder = Live::ready(&mut holder);
    let told = format!("help: probe (process {}) has it: stop that", holder.pid());
    for address in
        ["127.0.0.1:80", "0.0.0.0:80", "[::1]:80", "[::]:80", "udp:0.0.0.0:53", "unix:/run/taken.sock"]
    {
        let spec = room.probe_spec(&[], &[("network", &format!("listen = [\"{address}\"]"))]);
        let run = finish(&mut jail(["run".as_ref(), spec.as_os_str()])).ended(125);
        let first = format!("jail: cannot listen on {address}: Address already in use\n");
        assert!(run.stderr.starts_with(&first), "{}", run.stderr);
        assert!(
            run.stderr.contains(&format!("probe.toml:8:11    listen = [\"{address}\"]")),
            "{}",
            run.stderr
        );
        assert!(run.stderr.contains(&told), "{}", run.stderr);
    }
    let address = "192.0.2.1:80";
    let spec = room.probe_spec(&[], &[("network", &format!("listen = [\"{address}\"]"))]);
    let run = finish(&mut jail(["run".as_ref(), spec.as_os_str()])).ended(125);
    assert!(run.stderr.contains("no interface of this host has that address"), "{}", run.stderr);
    drop((holder, run_directory));
}

fn answer(stream: &mut impl Read) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// No capability, no network, and the outer process holds no copy that would keep the port.
fn the_port_is_free_again_at_once() {
    let room = Room::new();
    let spec = room.probe_spec(&["serve"], &[("network", "mode = \"none\"\nlisten = [\"127.0.0.1:80\"]")]);
    for _ in 0..3 {
        let live = Live::ready(&mut jail(["run".as_ref(), spec.as_os_str()]));
        for _ in 0..3 {
            assert_eq!(answer(&mut TcpStream::connect("127.0.0.1:80").unwrap()), "served by 2\n");
        }
        wait_until("the outer process has no socket but that to pid 1", || {
            let outer = std::fs::read_dir(format!("/proc/{}/fd", live.pid())).unwrap().flatten();
            let links = outer.filter_map(|fd| std::fs::read_link(fd.path()).ok());
            links.filter(|l| l.to_string_lossy().starts_with("socket:")).count() == 1
        });
        live.signal(libc::SIGTERM);
        live.finish().died_of(libc::SIGTERM);
        assert!(TcpStream::connect("127.0.0.1:80").is_err());
    }
    assert_eq!(processes_of(&room.unique()), [""; 0]);
}

const SOCKET: &str = "/run/x.sock";

fn serve_spec(room: &Room, entry: &str) -> PathBuf {
    let network = format!("mode = \"none\"\nlisten = [{{ address = \"unix:{SOCKET}\"{entry} }}]");
    room.probe_spec(&["serve"], &[("network", &network), ("process", "user = \"www-data\"")])
}

fn unix_sockets_come_and_go() {
    let _run = own_run();
    let room = Room::new();
    for (entry, mode, owner, group) in [
        ("", 0o666, 0, 0),
        (", mode = \"0600\"", 0o600, 0, 0),
        (", mode = \"0660\", owner = \"process\"", 0o660, 33, 33),
        (", mode = \"0660\", group = \"www-data\"", 0o660, 0, 33),
        (", owner = \"process\", group = \"root\"", 0o666, 33, 0),
    ] {
        let spec = serve_spec(&room, entry);
        let live = Live::ready(&mut jail(["run".as_ref(), spec.as_os_str()]));
        let meta = std::fs::symlink_metadata(SOCKET).unwrap();
        assert!(meta.file_type().is_socket());
        assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid()), (mode, owner, group), "{entry}");
        assert_eq!(answer(&mut UnixStream::connect(SOCKET).unwrap()), "served by 2\n");
        live.signal(libc::SIGTERM);
        live.finish().died_of(libc::SIGTERM);
        assert!(std::fs::symlink_metadata(SOCKET).is_err(), "removed at the end: {entry}");
    }
}

fn left_over_sockets_are_replaced() {
    let _run = own_run();
    let room = Room::new();
    let spec = serve_spec(&room, "");
    let start = || Live::ready(&mut jail(["run".as_ref(), spec.as_os_str()]));
    let refused = |because: &str| {
        let run: Run = finish(&mut jail(["run".as_ref(), spec.as_os_str()])).ended(125);
        assert!(run.stderr.contains("Address already in use"), "{because}: {}", run.stderr);
    };
    // Whoever kills the outer process leaves the file.
    let live = start();
    live.signal(libc::SIGKILL);
    live.finish().died_of(libc::SIGKILL);
    wait_until("nobody listens", || UnixStream::connect(SOCKET).is_err());
    assert!(std::fs::symlink_metadata(SOCKET).is_ok());
    let live = start();
    refused("it is served");
    assert_eq!(answer(&mut UnixStream::connect(SOCKET).unwrap()), "served by 2\n", "and still is");
    // What is not the jail's own any more is not removed.
    std::fs::remove_file(SOCKET).unwrap();
    std::fs::write(SOCKET, "a file").unwrap();
    live.signal(libc::SIGTERM);
    live.finish().died_of(libc::SIGTERM);
    assert_eq!(std::fs::read_to_string(SOCKET).unwrap(), "a file");
    refused("a file is there");
    std::fs::remove_file(SOCKET).unwrap();
    std::os::unix::fs::symlink("/run/elsewhere", SOCKET).unwrap();
    refused("a link is there, even one that leads nowhere");
    assert!(std::fs::symlink_metadata("/run/elsewhere").is_err());
}

fn a_failed_start_leaves_no_socket() {
    let _run = own_run();
    let room = Room::new();
    let network = format!("listen = [\"unix:{SOCKET}\"]");
    let spec = room.probe_spec(&[], &[("network", &network), ("process", "cwd = \"/nowhere\"")]);
    finish(&mut jail(["run".as_ref(), spec.as_os_str()])).ended(125);
    assert!(std::fs::symlink_metadata(SOCKET).is_err());
    let text = format!("[process]\ncommand = [\"/nowhere\"]\n[network]\n{network}\n");
    let spec = room.file("none.toml", &text);
    finish(&mut jail(["run".as_ref(), spec.as_os_str()])).ended(127);
    assert!(std::fs::symlink_metadata(SOCKET).is_err());
}

fn rootless_listens_too() {
    let _run = own_run();
    let room = Room::new();
    std::fs::create_dir_all("/run/user/1").unwrap();
    std::fs::set_permissions("/run/user/1", PermissionsExt::from_mode(0o700)).unwrap();
    chown("/run/user/1", Some(Uid::from_raw(STRANGER)), Some(Gid::from_raw(STRANGER))).unwrap();
    let listen =
        |list: &str| room.probe_spec(&["attempts=no"], &[("network", &format!("listen = [{list}]"))]);
    let run = |spec: PathBuf| finish(&mut jail_as_stranger(["run".as_ref(), spec.as_os_str()]));
    let report = run(listen("\"127.0.0.1:8000\", \"unix:/run/user/1/x.sock\"")).report();
    assert_eq!(report["environment"]["LISTEN_PID"], report["pid"].to_string());
    let passed = report["passed"].as_array().unwrap();
    assert_eq!(
        (&passed[0]["address"], &passed[1]["address"]),
        (&"127.0.0.1:8000".into(), &"/run/user/1/x.sock".into())
    );
    assert_eq!(report["fds"].as_object().unwrap().len(), 5, "{}", report["fds"]);
    assert_eq!(std::fs::read_dir("/run/user/1").unwrap().count(), 0);
    let refused = run(listen("\"0.0.0.0:80\"")).ended(125).stderr;
    assert!(refused.contains("cannot listen on 0.0.0.0:80: Permission denied"), "{refused}");
    assert!(refused.contains("ports below 1024 are root's"), "{refused}");
    let refused = run(listen("\"unix:/run/x.sock\"")).ended(125).stderr;
    assert!(refused.contains("must be allowed to write to that directory"), "{refused}");
}
