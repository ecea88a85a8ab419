//! Real servers without a network: on the sockets passed in, or on a unix socket in a shared
//! directory; and with their ports limited.
//!
//! Must not know: how a socket is passed.

use crate::host::{self, processes_of, wait_until};
use crate::ring::Ring::Server;
use crate::ring::{Test, test};
use crate::run::{Room, jail};
use crate::servers::{Service, http, nginx_host, replace, site};
use std::path::Path;
use std::process::Command;

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    let own = |program, name: &str, body: fn()| {
        test(Server(program), format!("passed::{name}"), move || host::isolated(body))
    };
    vec![
        own("nginx", "nginx_serves_without_a_network", nginx_serves_without_a_network),
        own("nginx", "nginx_keeps_passed_sockets_over_reloads", nginx_keeps_passed_sockets_over_reloads),
        own("nginx", "nginx_serves_with_its_ports_limited", nginx_serves_with_its_ports_limited),
        own("python3", "python_serves_on_a_passed_socket", python_serves_on_a_passed_socket),
        own("redis-server", "redis_serves_without_a_network", redis_serves_without_a_network),
    ]
}

/// The processes of a jail with this name: pid and status file.
fn processes(room: &Room, wanted: &str) -> Vec<(String, String)> {
    let all = processes_of(&room.unique());
    let named = all.iter().filter_map(|p| p.split_once(": ")).filter(|(_, name)| *name == wanted);
    named
        .map(|(pid, _)| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            (pid.to_owned(), status)
        })
        .collect()
}

/// No interface but loopback, no route, no socket of its own, no capability.
#[track_caller]
fn nothing_but_the_socket(room: &Room, name: &str) {
    let processes = processes(room, name);
    assert!(!processes.is_empty());
    for (pid, status) in processes {
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert!(status.contains(&format!("{set}:\t0000000000000000\n")), "{status}");
        }
        let net = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/net/{file}")).unwrap();
        let interfaces: Vec<String> =
            net("dev").lines().skip(2).map(|l| l.split(':').next().unwrap().trim().to_owned()).collect();
        assert_eq!(interfaces, ["lo"]);
        assert_eq!(net("route").lines().count(), 1, "no route: {}", net("route"));
        for table in ["tcp", "tcp6", "udp", "udp6"] {
            assert_eq!(net(table).lines().count(), 1, "no socket in its own network: {}", net(table));
        }
    }
}

fn nginx_serves_without_a_network() {
    let room = Room::new();
    nginx_host(&room);
    let before = host::snapshot();
    for _ in 0..2 {
        let start = || Service::start(&room, &mut jail(["run", "nginx-no-network"]));
        let service = start().ready(|| http(80, "/").is_ok());
        let answer = http(80, "/").unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("Welcome to nginx"), "{answer}");
        let six = Command::new("curl").args(["-sS", "--max-time", "10", "http://[::1]/"]).output().unwrap();
        assert!(String::from_utf8_lossy(&six.stdout).contains("Welcome to nginx"), "{six:?}");
        nothing_but_the_socket(&room, "nginx");
        // Many at once: no worker hangs in accept while another one took the connection.
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..5).for_each(|_| assert!(http(80, "/").is_ok())));
            }
        });
        service.stops_on(libc::SIGTERM);
        assert!(http(80, "/").is_err(), "nobody listens any more");
    }
    assert_eq!(host::snapshot(), before);
}

fn nginx_keeps_passed_sockets_over_reloads() {
    let room = Room::new();
    let etc = nginx_host(&room);
    site(&etc, "return 200 \"first\\n\";");
    let service =
        Service::start(&room, &mut jail(["run", "nginx-no-network"])).ready(|| http(80, "/").is_ok());
    assert!(http(80, "/").unwrap().ends_with("first\n"));
    for text in ["second", "third"] {
        site(&etc, &format!("return 200 \"{text}\\n\";"));
        service.signal(libc::SIGHUP);
        let expected = format!("{text}\n");
        wait_until("the new configuration is served", || {
            http(80, "/").is_ok_and(|answer| answer.ends_with(&expected))
        });
    }
    // Nothing is reached from inside: not even the server of the host beside it.
    let _upstream = std::net::TcpListener::bind("127.0.0.1:81").unwrap();
    site(&etc, "location / { proxy_pass http://127.0.0.1:81; }");
    service.signal(libc::SIGHUP);
    wait_until("the proxy finds nobody", || http(80, "/").is_ok_and(|answer| answer.contains(" 502 ")));
    service.stops_on(libc::SIGTERM);
}

/// The shipped spec with the ports that it needs, and no connection out.
fn nginx_serves_with_its_ports_limited() {
    let room = Room::new();
    let etc = nginx_host(&room);
    room.file("jails.d/nginx.local.toml", "[network]\nbind = [80]\nconnect = []\n");
    let start = || {
        let mut command = jail(["run", "nginx"]);
        Service::start(&room, command.current_dir(room.path()))
    };
    let service = start().ready(|| http(80, "/").is_ok());
    service.stops_on(libc::SIGTERM);
    let _upstream = std::net::TcpListener::bind("127.0.0.1:81").unwrap();
    site(&etc, "location / { proxy_pass http://127.0.0.1:81; }");
    let service = start().ready(|| http(80, "/").is_ok());
    assert!(http(80, "/").unwrap().contains(" 502 "));
    let log = std::fs::read_to_string(room.path().join("var-log-nginx/error.log")).unwrap();
    assert!(log.contains("connect() to 127.0.0.1:81 failed (13: Permission denied)"), "{log}");
    service.stops_on(libc::SIGTERM);
}

const PYTHON: &str = r#"
import http.server, os, socket
assert os.environ["LISTEN_PID"] == str(os.getpid())
names = os.environ["LISTEN_FDNAMES"].split(":")
class Server(http.server.HTTPServer):
    def __init__(self, socket, handler):
        super().__init__(socket.getsockname(), handler, bind_and_activate=False)
        self.socket = socket
Server(socket.socket(fileno=3 + names.index("web")), http.server.SimpleHTTPRequestHandler).serve_forever()
"#;

fn python_serves_on_a_passed_socket() {
    let room = Room::new();
    room.file("www/page.html", "served\n");
    let spec = format!(
        "[process]\ncommand = [\"/usr/bin/python3\", \"-c\", '''{PYTHON}''']\ncwd = \"/www\"\nstop-signal = \"KILL\"\n\
         [files]\nread = [\"/usr\", {{ path = \"{}/www\", at = \"/www\" }}]\n\
         [network]\nmode = \"none\"\nlisten = [\"127.0.0.1:81\", {{ address = \"0.0.0.0:80\", name = \"web\" }}]\n",
        room.path().display()
    );
    let spec = room.file("python.toml", &spec);
    let mut service = Service::start(&room, &mut jail(["run".as_ref(), spec.as_os_str()]))
        .ready(|| http(80, "/page.html").is_ok());
    assert!(http(80, "/page.html").unwrap().ends_with("served\n"));
    nothing_but_the_socket(&room, "python3");
    service.signal(libc::SIGTERM);
    service.live.take().unwrap().finish().died_of(libc::SIGKILL);
    assert!(http(80, "/page.html").is_err());
}

/// redis takes no socket over (7.0): without a network it serves on a unix socket in a directory that
/// it may write to.
fn redis_serves_without_a_network() {
    let room = Room::new();
    let data = replace(&room, "/var/lib/redis", false, "redis");
    replace(&room, "/var/log/redis", false, "redis");
    let spec = "include = [\"redis\"]\n[process]\ncommand = [\"/usr/bin/redis-server\", \"/etc/redis/redis.conf\", \
                \"--daemonize\", \"no\", \"--port\", \"0\", \"--unixsocket\", \"/var/lib/redis/redis.sock\"]\n\
                [network]\nmode = \"none\"\n";
    let spec = room.file("redis-no-network.toml", spec);
    let socket = data.join("redis.sock");
    let ping = |socket: &Path| {
        let run = Command::new("redis-cli").arg("-s").arg(socket).arg("ping").output().unwrap();
        String::from_utf8_lossy(&run.stdout).trim() == "PONG"
    };
    let service =
        Service::start(&room, &mut jail(["run".as_ref(), spec.as_os_str()])).ready(|| ping(&socket));
    nothing_but_the_socket(&room, "redis-server");
    service.stops_on(libc::SIGTERM);
    assert!(!ping(&socket));
}
