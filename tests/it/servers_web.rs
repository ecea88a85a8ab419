//! Web servers, proxies and the like from the shipped specs, each through its life: a request, a
//! changed configuration, rotated logs, a stop with a request in flight, another start, and what
//! `jail verify` says.
//!
//! Must not know: how a jail works.

use crate::host::{self, PATIENCE, isolated, processes_of, wait_until};
use crate::ring::Ring::Server;
use crate::ring::{Test, test};
use crate::run::{Room, jail};
use crate::servers::{Service, http, replace, site};
use crate::verify::{report, with};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// A directory of the host to be replaced for a test: its path, whether what is in it is copied, and its
/// owner ("" is root).
pub type Place = (&'static str, bool, &'static str);

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![
        life("apache2", "apache2", APACHE2, apache2),
        life("haproxy", "haproxy", HAPROXY, haproxy),
        life("lighttpd", "lighttpd", LIGHTTPD, lighttpd),
        life("php-fpm8.2", "php-fpm", PHP, php_fpm),
        life("gunicorn", "gunicorn", &[("/srv", false, "")], gunicorn),
        life("node", "node", &[("/srv", false, "")], node),
        life("javac", "java", &[("/srv", false, "")], java),
        life("varnishd", "varnish", &[("/etc/varnish", true, "")], varnish),
        life("squid", "squid", SQUID, squid),
        life("stunnel4", "stunnel4", STUNNEL, stunnel),
    ]
}

/// A test of the spec `name`, for which `program` must be installed.
pub fn life(program: &'static str, name: &'static str, places: &'static [Place], body: fn(&Room)) -> Test {
    test(Server(program), format!("lives::{}", name.replace('-', "_")), move || {
        isolated(move || through_its_life(name, places, body));
    })
}

/// What every server must stand beside its own test: the host is as before, and no promise is open.
fn through_its_life(name: &str, places: &[Place], body: fn(&Room)) {
    let room = Room::new();
    for (directory, copy, user) in places {
        let own = replace(&room, directory, *copy, user);
        if !copy {
            std::fs::set_permissions(own, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
    }
    let before = host::snapshot();
    body(&room);
    assert_eq!(processes_of(&room.unique()), [""; 0]);
    let (code, report) = report(jail(["verify", "--json", name]).current_dir(room.path()));
    assert_eq!((with(&report, "open"), code), (vec![], 0), "{report:#}");
    assert_eq!(host::snapshot(), before);
}

/// Starts it where `NAME.local.toml` of the room is found.
pub fn start(room: &Room, name: &str, answers: impl Fn() -> bool) -> Service {
    Service::start(room, jail(["run", name]).current_dir(room.path())).ready(answers)
}

fn says(port: u16, path: &str, text: &str) -> bool {
    http(port, path).is_ok_and(|answer| answer.contains(text))
}

/// The log is renamed as logrotate does, and the server told to open it anew.
#[track_caller]
pub fn rotates(service: &Service, log: &Path, signal: i32, mut ask: impl FnMut()) {
    wait_until("something is logged", || log.metadata().is_ok_and(|meta| meta.len() > 0));
    std::fs::rename(log, log.with_extension("1")).unwrap();
    service.signal(signal);
    wait_until("the new log is written", || {
        ask();
        log.metadata().is_ok_and(|meta| meta.len() > 0)
    });
}

/// More than sockets hold, so that an answer of this size is in flight until it is read.
const LARGE: usize = 32 << 20;

/// The stop signal comes amid a large answer: no new connection is taken, and the answer is whole.
#[track_caller]
fn stops_with_a_request_in_flight(service: Service, port: u16, path: &str) {
    stops_amid(service, port, path, || TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[track_caller]
fn stops_amid(mut service: Service, port: u16, path: &str, stopping: impl Fn() -> bool) {
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).unwrap();
    let mut answer = vec![0; 4096];
    let begun = client.read(&mut answer).unwrap();
    answer.truncate(begun);
    service.signal(libc::SIGTERM);
    wait_until("no new connection is taken", stopping);
    client.read_to_end(&mut answer).unwrap();
    let run = service.live.take().unwrap().finish().ended(0);
    assert!(answer.len() > LARGE, "only {} bytes\n{}", answer.len(), run.stderr);
}

fn large_file(path: &Path) {
    std::fs::File::create(path).unwrap().set_len(LARGE as u64).unwrap();
}

/// What stands behind a proxy: `/large` is a large answer, all others tell the name and may be cached.
struct Upstream {
    port: u16,
    asked: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Upstream {
    fn start(port: u16, name: &'static str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let (asked, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, end) = (asked.clone(), ended.clone());
        // Without a date, squid caches nothing.
        let date = client(&["date", "-u", "+%a, %d %b %Y %H:%M:%S GMT"]).unwrap();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if end.load(Ordering::SeqCst) {
                    break;
                }
                let (count, date) = (count.clone(), date.clone());
                std::thread::spawn(move || answer(stream, name, date.trim(), &count));
            }
        });
        Upstream { port, asked, ended, thread: Some(thread) }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: TcpStream, name: &str, date: &str, asked: &AtomicUsize) {
    let mut request = [0; 4096];
    let length = stream.read(&mut request).unwrap_or(0);
    let large = request[..length].starts_with(b"GET /large");
    let body = if large { vec![b'.'; LARGE] } else { name.as_bytes().to_vec() };
    if length > 0 {
        asked.fetch_add(1, Ordering::SeqCst);
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\nDate: {date}\r\nCache-Control: max-age=600\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // A client that goes away early is its own affair.
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).unwrap_or(());
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap_or(());
        }
    }
}

/// Runs a client; what it printed, or why it failed.
pub fn client(words: &[&str]) -> Result<String, String> {
    let run =
        Command::new(words[0]).args(&words[1..]).env("LC_ALL", "C").stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    if run.status.success() { Ok(text) } else { Err(text + &String::from_utf8_lossy(&run.stderr)) }
}

/// A key and its certificate in one file, for root alone.
fn certificate(room: &Room) -> String {
    let (key, certificate) = (room.path().join("key"), room.path().join("certificate"));
    let (key, certificate) = (key.to_str().unwrap(), certificate.to_str().unwrap());
    let words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    client(&[&words[..], &["-subj", "/CN=localhost", "-keyout", key, "-out", certificate]].concat()).unwrap();
    [key, certificate].map(|file| std::fs::read_to_string(file).unwrap()).concat()
}

const APACHE2: &[Place] = &[("/etc/apache2", true, ""), ("/var/log", false, ""), ("/var/www", true, "")];

fn apache2(room: &Room) {
    let begin = || start(room, "apache2", || http(80, "/").is_ok());
    let service = begin();
    assert!(says(80, "/", "Apache2 Debian Default Page"));
    assert!(says(80, "/new", "404 Not Found"));
    room.file("etc-apache2/conf-enabled/new.conf", "Redirect /new /old\n");
    service.signal(libc::SIGHUP);
    wait_until("the new configuration is served", || says(80, "/new", "302 Found"));
    let log = room.path().join("var-log/apache2-jail/access.log");
    rotates(&service, &log, libc::SIGHUP, || drop(http(80, "/")));
    large_file(&room.path().join("var-www/html/large"));
    stops_with_a_request_in_flight(service, 80, "/large");
    begin().stops_on(libc::SIGTERM);
}

const HAPROXY: &[Place] = &[("/etc/haproxy", true, "")];

/// It logs to syslog alone: there are no logs to rotate.
fn haproxy(room: &Room) {
    let (one, two) = (Upstream::start(8001, "one"), Upstream::start(8002, "two"));
    let debians = std::fs::read_to_string(room.path().join("etc-haproxy/haproxy.cfg")).unwrap();
    room.file("etc-haproxy/site.pem", &certificate(room));
    let configure = |port: u16| {
        let frontend =
            "frontend web\n bind :80\n bind :443 ssl crt /etc/haproxy/site.pem\n default_backend app\n";
        let backend = format!("backend app\n server app 127.0.0.1:{port}\n");
        room.file("etc-haproxy/haproxy.cfg", &format!("{debians}\n{frontend}{backend}"));
    };
    configure(one.port);
    let service = start(room, "haproxy", || says(80, "/", "one") && is_master(room));
    assert!(client(&["curl", "-sSk", "https://127.0.0.1/"]).unwrap().contains("one"));
    configure(two.port);
    service.signal(libc::SIGHUP);
    wait_until("the new configuration is served", || says(80, "/", "two") && is_master(room));
    stops_with_a_request_in_flight(service, 80, "/large");
    start(room, "haproxy", || says(80, "/", "two") && is_master(room)).stops_on(libc::SIGTERM);
}

/// The workers serve before the first process has executed itself anew to be their master; until then it
/// forgets signals.
fn is_master(room: &Room) -> bool {
    let processes = processes_of(&room.unique());
    let pids = processes.iter().filter_map(|process| process.strip_suffix(": haproxy"));
    let file =
        |pid: &str, name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    pids.clone().all(|pid| file(pid, "wchan").contains("poll"))
        && pids.clone().any(|pid| file(pid, "environ").contains("HAPROXY_MWORKER_WAIT_ONLY=1"))
}

const LIGHTTPD: &[Place] = &[
    ("/etc/lighttpd", true, ""),
    ("/var/log/lighttpd", false, "www-data"),
    ("/var/cache/lighttpd", false, "www-data"),
    ("/var/www", false, ""),
];

fn lighttpd(room: &Room) {
    room.file("var-www/html/page.html", "a page\n");
    let begin = || start(room, "lighttpd", || says(80, "/page.html", "a page"));
    let service = begin();
    assert!(says(80, "/page.html", "Content-Type: text/html"), "by a script that makes configuration");
    let more = "server.modules += (\"mod_accesslog\")\naccesslog.filename = \"/var/log/lighttpd/access.log\"\n\
                url.redirect = (\"^/new\" => \"/old\")\n";
    room.file("etc-lighttpd/conf-enabled/99-new.conf", more);
    service.signal(libc::SIGHUP);
    wait_until("the new configuration is served", || says(80, "/new", "301 Moved"));
    let log = room.path().join("var-log-lighttpd/error.log");
    rotates(&service, &log, libc::SIGHUP, || drop(http(80, "/")));
    large_file(&room.path().join("var-www/html/large"));
    stops_with_a_request_in_flight(service, 80, "/large");
    begin().stops_on(libc::SIGTERM);
}

const PHP: &[Place] = &[
    ("/etc/php", true, ""),
    ("/etc/nginx", true, ""),
    ("/run", false, ""),
    ("/var/log", false, ""),
    ("/var/lib/php", false, ""),
    ("/var/www", false, ""),
];

/// Behind nginx in a jail of its own: they share the directory of the socket, and the pages.
fn php_fpm(room: &Room) {
    std::fs::create_dir("/var/log/nginx").unwrap();
    replace(room, "/var/log/nginx", false, "www-data");
    let _unmount = host::Mounted("/var/log/nginx".into());
    let pass = "root /var/www; location / { include fastcgi_params; fastcgi_param SCRIPT_FILENAME \
                $document_root$fastcgi_script_name; fastcgi_pass unix:/run/php/php8.2-fpm.sock; }";
    site(&room.path().join("etc-nginx"), pass);
    room.file("jails.d/nginx.local.toml", "files.read = [\"/run/php\"]\n");
    room.file("var-www/sum.php", "<?php echo array_sum(range(1, 100)), ini_get('default_mimetype');");
    let socket = room.path().join("run/php/php8.2-fpm.sock");
    let service = start(room, "php-fpm", || socket.exists());
    let nginx = start(room, "nginx", || says(80, "/sum.php", "5050text/html"));
    room.file("etc-php/8.2/fpm/conf.d/99-new.ini", "default_mimetype = text/new\n");
    service.signal(libc::SIGHUP);
    wait_until("the new configuration is served", || says(80, "/sum.php", "5050text/new"));
    let log = room.path().join("var-log/php/php8.2-fpm.log");
    rotates(&service, &log, libc::SIGUSR1, || drop(http(80, "/sum.php")));
    answers_a_page_begun(room, service, &log);
    let again = start(room, "php-fpm", || says(80, "/sum.php", "5050"));
    for mut service in [again, nginx] {
        service.signal(libc::SIGTERM);
        service.live.take().unwrap().finish().ended(0);
    }
}

/// The page waits until the stop signal has arrived.
fn answers_a_page_begun(room: &Room, mut service: Service, log: &Path) {
    let slow = "<?php touch('/var/log/php/begun'); \
                do { usleep(5000); clearstatcache(); } while (!file_exists('/var/www/go')); echo 'late';";
    room.file("var-www/slow.php", slow);
    let page = std::thread::spawn(|| http(80, "/slow.php"));
    wait_until("the page has begun", || log.with_file_name("begun").exists());
    service.signal(libc::SIGTERM);
    wait_until("it finishes", || std::fs::read_to_string(log).is_ok_and(|t| t.contains("Finishing")));
    room.file("var-www/go", "");
    let answer = page.join().unwrap().unwrap();
    assert!(answer.ends_with("late"), "{answer}");
    service.live.take().unwrap().finish().ended(0);
}

fn gunicorn(room: &Room) {
    let app = |text: &str| {
        let large = format!("b'.' * {LARGE} if e['PATH_INFO'] == '/large' else b'{text}'");
        room.file("srv/app/app.py", &format!("def app(e, s):\n  s('200 OK', [])\n  return [{large}]\n"));
    };
    app("first");
    let begin = |text: &'static str| start(room, "gunicorn", move || says(8000, "/", text));
    let service = begin("first");
    app("second");
    service.signal(libc::SIGHUP);
    wait_until("the new program answers", || says(8000, "/", "second"));
    // Its worker keeps the socket open until it ends, so that connections wait there in vain.
    stops_amid(service, 8000, "/large", || true);
    begin("second").stops_on(libc::SIGTERM);
}

fn node(room: &Room) {
    let program = r#"
const fs = require("fs"), os = require("os");
let text = fs.readFileSync("/srv/app/text");
process.on("SIGHUP", () => text = fs.readFileSync("/srv/app/text"));
const server = require("http").createServer((request, response) => {
    if (request.url == "/large") fs.createReadStream("/srv/app/large").pipe(response);
    else response.end(text + " " + os.cpus().length);
});
server.listen(8000);
process.on("SIGTERM", () => server.close());
"#;
    room.file("srv/app/server.js", program);
    large_file(&room.path().join("srv/app/large"));
    room.file("srv/app/text", "first");
    let begin = || start(room, "node", || http(8000, "/").is_ok());
    let service = begin();
    assert!(says(8000, "/", "first") && !says(8000, "/", "first 0"), "{:?}", http(8000, "/"));
    room.file("srv/app/text", "second");
    service.signal(libc::SIGHUP);
    wait_until("the new text is served", || says(8000, "/", "second"));
    stops_with_a_request_in_flight(service, 8000, "/large");
    begin().stops_on(libc::SIGTERM);
}

/// Java's own server has no reload.
fn java(room: &Room) {
    let program = r#"
import com.sun.net.httpserver.*;
public class Server {
    public static void main(String[] words) throws Exception {
        HttpServer server = HttpServer.create(new java.net.InetSocketAddress("127.0.0.1", 8000), 0);
        server.createContext("/", exchange -> {
            byte[] text = new byte[exchange.getRequestURI().getPath().equals("/large") ? 32 << 20 : 5];
            java.util.Arrays.fill(text, (byte) 'j');
            exchange.sendResponseHeaders(200, text.length);
            exchange.getResponseBody().write(text);
            exchange.close();
        });
        // The hook ends when answers are out, and the machine's status after it is the hook's to set.
        Runtime.getRuntime().addShutdownHook(new Thread(() -> { server.stop(20); Runtime.getRuntime().halt(0); }));
        server.start();
    }
}
"#;
    let source = room.file("Server.java", program);
    let classes = room.path().join("classes");
    client(&["javac", "-d", classes.to_str().unwrap(), source.to_str().unwrap()]).unwrap();
    let jar = room.path().join("srv/app/app.jar");
    std::fs::create_dir(room.path().join("srv/app")).unwrap();
    let words = ["jar", "--create", "--file", jar.to_str().unwrap(), "--main-class", "Server", "-C"];
    client(&[&words[..], &[classes.to_str().unwrap(), "."]].concat()).unwrap();
    let service = start(room, "java", || says(8000, "/", "jjjjj"));
    service.stops_on(libc::SIGTERM);
}

/// It has no reload signal (commands come from the host), no logs of its own, and no gentle end.
fn varnish(room: &Room) {
    let upstream = Upstream::start(8080, "cached");
    let begin = || start(room, "varnish", || says(6081, "/", "cached"));
    let service = begin();
    let asked = upstream.asked();
    assert!(says(6081, "/", "cached"));
    assert_eq!(upstream.asked(), asked, "answered from the cache");
    let path = room.path().join("etc-varnish/default.vcl");
    let vcl = std::fs::read_to_string(&path).unwrap();
    let changed = vcl.replace("sub vcl_deliver {", "sub vcl_deliver {\n set resp.http.X-New = \"1\";");
    assert_ne!(vcl, changed);
    std::fs::write(&path, changed).unwrap();
    let admin = ["varnishadm", "-T", "localhost:6082", "-S", "/etc/varnish/secret"];
    client(&[&admin[..], &["vcl.load", "new", "/etc/varnish/default.vcl"]].concat()).unwrap();
    client(&[&admin[..], &["vcl.use", "new"]].concat()).unwrap();
    wait_until("the new configuration is served", || says(6081, "/", "X-New: 1"));
    service.stops_on(libc::SIGTERM);
    begin().stops_on(libc::SIGTERM);
}

const SQUID: &[Place] =
    &[("/etc/squid", true, ""), ("/var/log/squid", false, "proxy"), ("/var/spool/squid", false, "proxy")];

/// Clients have `shutdown_lifetime` to end, which it waits whether there are any or not.
fn squid(room: &Room) {
    let upstream = Upstream::start(8001, "cached");
    room.file("etc-squid/conf.d/test.conf", "shutdown_lifetime 0 seconds\nvisible_hostname localhost\n");
    let ask = |url: &str| client(&["curl", "-sSi", "-x", "http://127.0.0.1:3128", url]);
    let begin = || start(room, "squid", || ask("http://127.0.0.1:8001/").is_ok_and(|a| a.contains("cached")));
    let service = begin();
    let hit = || ask("http://127.0.0.1:8001/").is_ok_and(|a| a.contains("X-Cache: HIT from localhost"));
    wait_until("it is in the cache", hit);
    let asked = upstream.asked();
    assert!(hit());
    assert_eq!(upstream.asked(), asked, "answered from the cache");
    let deny = "acl new urlpath_regex ^/new\nhttp_access deny new\n";
    room.file("etc-squid/conf.d/a.conf", deny);
    service.signal(libc::SIGHUP);
    let new = "http://127.0.0.1:8001/new";
    wait_until("the new configuration is served", || ask(new).is_ok_and(|a| a.contains("403 Forbidden")));
    let log = room.path().join("var-log-squid/access.log");
    rotates(&service, &log, libc::SIGUSR1, || drop(ask(new)));
    service.stops_on(libc::SIGTERM);
    begin().stops_on(libc::SIGTERM);
}

const STUNNEL: &[Place] =
    &[("/etc/stunnel", false, ""), ("/var/log/stunnel4", false, "stunnel4"), ("/etc/ssl/private", false, "")];

/// TERM cuts connections: it has no gentler signal.
fn stunnel(room: &Room) {
    let (one, two) = (Upstream::start(8001, "one"), Upstream::start(8002, "two"));
    let key = room.file("etc-ssl-private/site.pem", &certificate(room));
    std::fs::set_permissions(key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let read =
        "files.read = [{ path = \"/etc/ssl/private/site.pem\", owner = \"process\", mode = \"0400\" }]\n";
    room.file("jails.d/stunnel4.local.toml", read);
    let configure = |port: u16| {
        let text =
            "foreground = yes\npid = /run/stunnel4/stunnel.pid\noutput = /var/log/stunnel4/stunnel.log\n";
        let site = format!("[web]\naccept = 443\nconnect = {port}\ncert = /etc/ssl/private/site.pem\n");
        room.file("etc-stunnel/stunnel.conf", &format!("{text}{site}"));
    };
    let ask = || client(&["curl", "-sSk", "--max-time", "10", "https://127.0.0.1/"]);
    configure(one.port);
    let service = start(room, "stunnel4", || ask().is_ok_and(|a| a == "one"));
    configure(two.port);
    service.signal(libc::SIGHUP);
    wait_until("the new configuration is served", || ask().is_ok_and(|a| a == "two"));
    let log = room.path().join("var-log-stunnel4/stunnel.log");
    rotates(&service, &log, libc::SIGUSR1, || drop(ask()));
    service.stops_on(libc::SIGTERM);
    start(room, "stunnel4", || ask().is_ok_and(|a| a == "two")).stops_on(libc::SIGTERM);
}
