//! Real servers from the shipped specs, with real clients: request, reload, stop, restart, twenty
//! at once. Each on a network and over directories of its own (private mounts of the test), so that
//! the specs run as they are shipped.
//!
//! Must not know: how a jail works.

use crate::host::{self, isolated, processes_of, wait_until};
use crate::ring::Ring::{Pure, Root, Rootless, Server};
use crate::ring::{Test, test};
use crate::run::{Live, Room, finish, jail, jail_as_stranger};
use nix::mount::{MsFlags, mount};
use nix::unistd::{Gid, Uid, User, chown};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    let isolated_test = |program, name: &str, body: fn()| {
        test(Server(program), format!("servers::{name}"), move || isolated(body))
    };
    vec![
        isolated_test("nginx", "nginx_serves_its_default_page", nginx_serves_its_default_page),
        isolated_test("nginx", "nginx_reloads_on_hup", nginx_reloads_on_hup),
        isolated_test("nginx", "nginx_stops_and_starts_again", nginx_stops_and_starts_again),
        isolated_test("nginx", "nginx_twenty_at_once", nginx_twenty_at_once),
        isolated_test(
            "nginx",
            "nginx_finishes_requests_before_it_ends",
            nginx_finishes_requests_before_it_ends,
        ),
        isolated_test(
            "nginx",
            "nginx_is_www_data_with_one_capability",
            nginx_is_www_data_with_one_capability,
        ),
        isolated_test("redis-server", "redis_keeps_its_data", redis_keeps_its_data),
        isolated_test("redis-server", "redis_twenty_at_once", redis_twenty_at_once),
        isolated_test("memcached", "memcached_answers", memcached_answers),
        isolated_test(
            "memcached",
            "a_local_file_adjusts_a_shipped_spec",
            a_local_file_adjusts_a_shipped_spec,
        ),
        isolated_test("python3", "python_serves_files", python_serves_files),
        test(Root, "servers::hello_is_refused_everything", || hello(jail(["run", "hello"]))),
        test(Rootless, "servers::hello_is_refused_everything_rootless", || {
            hello(jail_as_stranger(["run", "hello"]))
        }),
        test(Pure, "servers::every_shipped_spec_has_a_description", every_shipped_spec_has_a_description),
    ]
}

/// Puts a copy of a host directory (or an empty one) over it, in this test's own mount table, owned
/// by `user`. The jail then shows the copy.
pub fn replace(room: &Room, directory: &str, copy: bool, user: &str) -> PathBuf {
    let name = directory.trim_start_matches('/').replace('/', "-");
    let own = room.path().join(name);
    if copy {
        let done = Command::new("cp").args(["-a", directory]).arg(&own).status().unwrap();
        assert!(done.success());
    } else {
        std::fs::create_dir(&own).unwrap();
    }
    if !user.is_empty() {
        let user = User::from_name(user).unwrap().expect("the server's user");
        chown(&own, Some(user.uid), Some(user.gid)).unwrap();
    }
    mount(Some(&own), directory, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
    own
}

/// A request as a client makes it; the whole answer, or why there is none.
pub fn http(port: u16, path: &str) -> Result<String, String> {
    let url = format!("http://127.0.0.1:{port}{path}");
    let run = Command::new("curl").args(["-sS", "-i", "--max-time", "10", &url]).output().unwrap();
    if run.status.success() {
        Ok(String::from_utf8_lossy(&run.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&run.stderr).into_owned())
    }
}

/// Sends `request` on a plain connection and reads until `end` was seen.
fn talk(port: u16, request: &str, end: &str) -> Result<String, String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(|e| e.to_string())?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(request.as_bytes()).map_err(|e| e.to_string())?;
    let mut answer = String::new();
    let mut buffer = [0; 4096];
    while !answer.contains(end) {
        match stream.read(&mut buffer).map_err(|e| e.to_string())? {
            0 => return Err(format!("closed after {answer:?}")),
            n => answer += &String::from_utf8_lossy(&buffer[..n]),
        }
    }
    Ok(answer)
}

/// A server with its output kept, for when something goes wrong.
pub struct Service {
    pub live: Option<Live>,
    room_name: String,
}

impl Service {
    pub fn start(room: &Room, command: &mut Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Service { live: Some(Live::start(command)), room_name: room.unique() }
    }

    #[track_caller]
    pub fn ready(mut self, what: impl Fn() -> bool) -> Self {
        let pid = self.live.as_ref().unwrap().pid();
        let mut gone = false;
        wait_until("the server answers", || {
            gone = state(pid) == 'Z';
            gone || what()
        });
        if gone {
            panic!("{:?}", self.live.take().unwrap().finish());
        }
        self
    }

    pub fn signal(&self, number: i32) {
        self.live.as_ref().unwrap().signal(number);
    }

    #[track_caller]
    pub fn stops_on(mut self, number: i32) {
        self.signal(number);
        self.live.take().unwrap().finish().ended(0);
        assert_eq!(processes_of(&self.room_name), [""; 0]);
    }
}

fn state(pid: i32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().and_then(|s| s.chars().next()).unwrap_or('?')
}

/// The host's nginx, as Debian installs it, with its files out of the way.
pub fn nginx_host(room: &Room) -> PathBuf {
    replace(room, "/var/log/nginx", false, "www-data");
    // Another web server's package may have put its own page there.
    let pages = replace(room, "/var/www/html", false, "");
    std::fs::copy("/usr/share/nginx/html/index.html", pages.join("index.html")).unwrap();
    replace(room, "/etc/nginx", true, "")
}

pub fn site(etc: &Path, text: &str) {
    let config = format!(
        "worker_processes 2;\npid /run/nginx.pid;\nerror_log /var/log/nginx/error.log;\nevents {{}}\n\
         http {{ access_log /var/log/nginx/access.log; server {{ listen 80; {text} }} }}\n"
    );
    std::fs::write(etc.join("nginx.conf"), config).unwrap();
}

fn nginx(room: &Room) -> Service {
    Service::start(room, &mut jail(["run", "nginx"])).ready(|| http(80, "/").is_ok())
}

fn nginx_serves_its_default_page() {
    let room = Room::new();
    nginx_host(&room);
    let before = host::snapshot();
    let service = nginx(&room);
    let answer = http(80, "/").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("Welcome to nginx"), "{answer}");
    service.stops_on(libc::SIGTERM);
    assert_eq!(host::snapshot(), before);
    let log = std::fs::read_to_string(room.path().join("var-log-nginx/access.log")).unwrap();
    assert!(log.contains("GET / HTTP/1.1\" 200"), "{log}");
}

fn nginx_reloads_on_hup() {
    let room = Room::new();
    let etc = nginx_host(&room);
    site(&etc, "return 200 \"first\\n\";");
    let service = nginx(&room);
    assert!(http(80, "/").unwrap().ends_with("first\n"));
    site(&etc, "return 200 \"second\\n\";");
    service.signal(libc::SIGHUP);
    wait_until("the new configuration is served", || http(80, "/").is_ok_and(|a| a.ends_with("second\n")));
    // A broken one is refused, and the old one stays.
    std::fs::write(etc.join("nginx.conf"), "nonsense;").unwrap();
    service.signal(libc::SIGHUP);
    let log = room.path().join("var-log-nginx/error.log");
    wait_until("the error is logged", || std::fs::read_to_string(&log).is_ok_and(|t| t.contains("nonsense")));
    assert!(http(80, "/").unwrap().ends_with("second\n"));
    service.stops_on(libc::SIGQUIT);
}

fn nginx_stops_and_starts_again() {
    let room = Room::new();
    nginx_host(&room);
    for signal in [libc::SIGTERM, libc::SIGQUIT, libc::SIGINT, libc::SIGTERM] {
        nginx(&room).stops_on(signal);
        assert!(http(80, "/").is_err(), "nobody answers any more");
    }
}

/// TERM to the outer process is QUIT to nginx: what was begun is finished.
fn nginx_finishes_requests_before_it_ends() {
    let room = Room::new();
    let etc = nginx_host(&room);
    site(&etc, "location / { return 200 hello; } location /upload { proxy_pass http://127.0.0.1:81; } ");
    let upstream = std::net::TcpListener::bind("127.0.0.1:81").unwrap();
    let mut service = nginx(&room);
    let mut client = TcpStream::connect("127.0.0.1:80").unwrap();
    client.set_read_timeout(Some(host::PATIENCE)).unwrap();
    client.write_all(b"GET /upload HTTP/1.0\r\n\r\n").unwrap();
    let (mut backend, _) = upstream.accept().unwrap();
    let request = backend.read(&mut [0; 4096]).unwrap();
    assert!(request > 0);
    service.signal(libc::SIGTERM);
    wait_until("no new connection is taken", || TcpStream::connect("127.0.0.1:80").is_err());
    backend.write_all(b"HTTP/1.0 200 OK\r\n\r\nlate but whole").unwrap();
    drop(backend);
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("late but whole"), "{answer}");
    service.live.take().unwrap().finish().ended(0);
}

fn nginx_is_www_data_with_one_capability() {
    let room = Room::new();
    nginx_host(&room);
    let service = nginx(&room);
    let mut seen = 0;
    for process in processes_of(&room.unique()) {
        let (pid, name) = process.split_once(": ").unwrap();
        if name != "nginx" {
            continue;
        }
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let field = |key: &str| status.lines().find_map(|l| l.strip_prefix(key)).unwrap().trim().to_owned();
        assert_eq!(field("Uid:"), "33\t33\t33\t33");
        assert_eq!(field("Groups:"), "");
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
            assert_eq!(field(set), "0000000000000400", "{set} of {pid}");
        }
        seen += 1;
    }
    assert!(seen >= 2, "master and workers");
    service.stops_on(libc::SIGTERM);
}

fn nginx_twenty_at_once() {
    let room = Room::new();
    nginx_host(&room);
    let before = host::snapshot();
    let start = |index: u16| {
        let port = 8000 + index;
        let config = format!(
            "worker_processes 1;\npid /run/nginx.pid;\nevents {{}}\n\
             http {{ access_log off; server {{ listen {port}; return 200 \"jail {index}\\n\"; }} }}\n"
        );
        room.file(&format!("conf/{index}.conf"), &config);
        let conf = format!("{}/conf:/conf", room.path().display());
        let file = format!("/conf/{index}.conf");
        let mut words = vec!["run", "nginx", "--robind", &conf, "--", "/usr/sbin/nginx", "-c", &file];
        words.extend(["-e", "stderr", "-g", "daemon off;"]);
        Service::start(&room, &mut jail(words))
    };
    let services: Vec<Service> = (0..20).map(start).collect();
    let services: Vec<Service> =
        services.into_iter().zip(0..).map(|(s, index)| s.ready(|| http(8000 + index, "/").is_ok())).collect();
    for index in 0..20u16 {
        assert!(http(8000 + index, "/").unwrap().ends_with(&format!("jail {index}\n")));
    }
    services.iter().for_each(|service| service.signal(libc::SIGTERM));
    for mut service in services {
        service.live.take().unwrap().finish().ended(0);
    }
    assert_eq!(host::snapshot(), before);
    assert_eq!(processes_of(&room.unique()), [""; 0]);
}

fn redis_cli(port: u16, words: &[&str]) -> Option<String> {
    let run = Command::new("redis-cli").args(["-p", &port.to_string()]).args(words).output().ok()?;
    run.status.success().then(|| String::from_utf8_lossy(&run.stdout).trim().to_owned())
}

fn redis_host(room: &Room) {
    replace(room, "/var/lib/redis", false, "redis");
    replace(room, "/var/log/redis", false, "redis");
}

fn redis(room: &Room, port: u16) -> Service {
    let port_word = port.to_string();
    let mut words = vec!["run", "redis"];
    if port != 6379 {
        words.extend(["--", "/usr/bin/redis-server", "/etc/redis/redis.conf", "--daemonize", "no"]);
        words.extend(["--save", "", "--port", &port_word]);
    }
    Service::start(room, &mut jail(words)).ready(|| redis_cli(port, &["ping"]).is_some_and(|a| a == "PONG"))
}

/// redis has no reload: it ignores HUP, and takes changes by CONFIG SET.
fn redis_keeps_its_data() {
    let room = Room::new();
    redis_host(&room);
    let before = host::snapshot();
    let service = redis(&room, 6379);
    assert_eq!(redis_cli(6379, &["set", "key", "value"]).unwrap(), "OK");
    service.signal(libc::SIGHUP);
    assert_eq!(redis_cli(6379, &["config", "set", "maxmemory", "64mb"]).unwrap(), "OK");
    assert!(redis_cli(6379, &["config", "get", "maxmemory"]).unwrap().ends_with("67108864"));
    assert_eq!(redis_cli(6379, &["bgsave"]).unwrap(), "Background saving started");
    wait_until("it saves by a forked child", || {
        redis_cli(6379, &["info", "persistence"]).is_some_and(|i| i.contains("rdb_bgsave_in_progress:0"))
    });
    assert!(redis_cli(6379, &["info", "persistence"]).unwrap().contains("rdb_last_bgsave_status:ok"));
    service.stops_on(libc::SIGTERM);
    let service = redis(&room, 6379);
    assert_eq!(redis_cli(6379, &["get", "key"]).unwrap(), "value", "kept over a restart");
    service.stops_on(libc::SIGTERM);
    assert_eq!(host::snapshot(), before);
}

fn redis_twenty_at_once() {
    let room = Room::new();
    redis_host(&room);
    let services: Vec<Service> = (7000..7020).map(|port| redis(&room, port)).collect();
    for port in 7000..7020u16 {
        assert_eq!(redis_cli(port, &["set", "port", &port.to_string()]).unwrap(), "OK");
    }
    for port in 7000..7020u16 {
        assert_eq!(redis_cli(port, &["get", "port"]).unwrap(), port.to_string());
    }
    services.iter().for_each(|service| service.signal(libc::SIGTERM));
    for mut service in services {
        service.live.take().unwrap().finish().ended(0);
    }
    assert_eq!(processes_of(&room.unique()), [""; 0]);
}

fn memcached_answers() {
    let room = Room::new();
    let service = Service::start(&room, &mut jail(["run", "memcached"]))
        .ready(|| talk(11211, "version\r\n", "\r\n").is_ok());
    assert_eq!(talk(11211, "set key 0 0 5\r\nvalue\r\n", "\r\n").unwrap(), "STORED\r\n");
    assert_eq!(talk(11211, "get key\r\n", "END\r\n").unwrap(), "VALUE key 0 5\r\nvalue\r\nEND\r\n");
    service.stops_on(libc::SIGTERM);
}

/// The shipped spec is not touched: `./jails.d/NAME.local.toml` lies over it.
fn a_local_file_adjusts_a_shipped_spec() {
    let room = Room::new();
    let text = "[process]\ncommand = [\"/usr/bin/memcached\", \"-p\", \"12345\"]\n";
    room.file("jails.d/memcached.local.toml", text);
    let mut command = jail(["run", "memcached"]);
    let service = Service::start(&room, command.current_dir(room.path()))
        .ready(|| talk(12345, "version\r\n", "\r\n").is_ok());
    assert!(talk(11211, "version\r\n", "\r\n").is_err());
    service.stops_on(libc::SIGTERM);
}

fn python_serves_files() {
    let room = Room::new();
    let srv = replace(&room, "/srv", false, "");
    std::fs::set_permissions(&srv, PermissionsExt::from_mode(0o755)).unwrap();
    chown(&srv, Some(Uid::from_raw(0)), Some(Gid::from_raw(0))).unwrap();
    room.file("srv/www/page.html", "served\n");
    let service =
        Service::start(&room, &mut jail(["run", "python"])).ready(|| http(8000, "/page.html").is_ok());
    assert!(http(8000, "/page.html").unwrap().ends_with("served\n"));
    assert!(http(8000, "/../../etc/passwd").unwrap().contains("404"));
    service.stops_on(libc::SIGTERM);
}

fn hello(mut command: Command) {
    let run = finish(&mut command).ended(0);
    assert!(run.stdout.contains("Hello from inside a jail"), "{}", run.stdout);
    assert!(!run.stdout.contains("NOT REFUSED"), "{}", run.stdout);
    assert!(run.stdout.matches("    refused  ").count() >= 9, "{}", run.stdout);
    assert_eq!(run.stderr, "");
}

fn every_shipped_spec_has_a_description() {
    for shipped in jail::spec::builtin::SPECS.iter().chain(jail::spec::builtin::BLOCKS) {
        let first = shipped.text.lines().next().unwrap();
        assert!(first.starts_with("description = \""), "{}: {first}", shipped.name);
    }
}
