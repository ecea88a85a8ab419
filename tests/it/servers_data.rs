//! Servers that keep data, answer names, measure and log, from the shipped specs and with real clients: each does
//! its work, takes a changed configuration, lets its logs be rotated, ends gently, finds its data
//! again, and leaves the host as it was.
//!
//! Must not know: how a jail works.

use crate::host::wait_until;
use crate::ring::Ring::Server;
use crate::ring::{Test, test};
use crate::trial::{Trial, append, as_user, client, rotate};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    let trial = |program, name: &'static str, body: fn(&Trial)| {
        test(Server(program), format!("servers_data::{name}"), move || Trial::run(name, body))
    };
    vec![
        trial("mariadbd", "mariadb", mariadb),
        trial("pg_ctlcluster", "postgresql", postgresql),
        trial("prometheus", "prometheus", prometheus),
        trial("unbound", "unbound", unbound),
        trial("named", "bind9", bind9),
        trial("nsd", "nsd", nsd),
        trial("dnsmasq", "dnsmasq", dnsmasq),
        trial("chronyd", "chrony", chrony),
        trial("rsyslogd", "rsyslog", rsyslog),
    ]
}

fn postgresql(trial: &Trial) {
    let etc = trial.copy("/etc/postgresql");
    trial.copy("/var/lib/postgresql");
    let sql = |text: &str| as_user("postgres", &["psql", "-XAtq", "-h", "/run/postgresql", "-c", text]);
    let server = trial.start(|| sql("select 1").is_ok());
    sql("create table kept as select 42 as n").unwrap();
    sql("create role app login password 'secret'; grant select on kept to app").unwrap();
    let encrypted = "host=127.0.0.1 dbname=postgres user=app password=secret sslmode=require";
    let with_password = |text: &str| client(&["psql", "-XAtq", encrypted, "-c", text]);
    assert_eq!(with_password("select n from kept").unwrap(), "42");
    // Expensive enough to be compiled, and to be shared among workers, if that were on.
    let heavy = "set parallel_setup_cost = 0; select sum(a * b) from generate_series(1, 300) a, generate_series(1, 300) b";
    assert_eq!(sql(heavy).unwrap(), "2038522500");
    assert_eq!(sql("show jit").unwrap(), "off");
    // Nothing else may be executed, not even by a superuser.
    assert!(sql("copy kept from program 'echo 1'").unwrap_err().contains("could not execute command"));
    append(&etc.join("15/main/postgresql.conf"), "work_mem = '7MB'\n");
    server.signal(libc::SIGHUP);
    wait_until("the new setting holds", || sql("show work_mem").is_ok_and(|a| a == "7MB"));
    trial.stop(server);
    let server = trial.start(|| sql("select 1").is_ok());
    assert_eq!(sql("select n from kept").unwrap(), "42", "kept over a restart");
    // A client that stays does not hold it up: TERM to jail is INT to the server.
    let mut idle = trial.spawn(&["psql", "-XAtq", encrypted, "-c", "select 1", "-c", "select pg_sleep(600)"]);
    assert_eq!(idle.line().as_deref(), Some("1"));
    trial.stop(server);
    assert_ne!(idle.finish().status.code(), Some(0));
}

fn mariadb(trial: &Trial) {
    let etc = trial.copy("/etc/mysql");
    trial.copy("/var/lib/mysql");
    let logs = trial.empty("/var/log", "").join("mysql");
    client(&["install", "-d", "-o", "mysql", "/var/log/mysql"]).unwrap();
    append(
        &etc.join("mariadb.conf.d/99-test.cnf"),
        "[mysqld]\nlog_error = /var/log/mysql/error.log\nmax_connections = 17\n",
    );
    let sql = |text: &str| client(&["mariadb", "-NB", "-e", text]);
    let server = trial.start(|| sql("select 1").is_ok());
    sql("create database shop; create table shop.kept (n int); insert into shop.kept values (42)").unwrap();
    sql("create user app@localhost identified by 'secret'; grant all on shop.* to app@localhost").unwrap();
    let with_password =
        |text: &str| client(&["mariadb", "-NB", "-h127.0.0.1", "-uapp", "-psecret", "-e", text]);
    assert_eq!(with_password("select n from shop.kept").unwrap(), "42");
    assert_eq!(sql("select @@max_connections").unwrap(), "17", "/etc/mysql is read");
    sql("set global max_connections = 23").unwrap();
    assert_eq!(sql("select @@max_connections").unwrap(), "23");
    rotate(&logs.join("error.log"), || server.signal(libc::SIGHUP));
    trial.stop(server);
    let ended = std::fs::read_to_string(logs.join("error.log")).unwrap();
    assert!(ended.contains("Shutdown complete"), "{ended}");
    let server = trial.start(|| sql("select 1").is_ok());
    assert_eq!(sql("select n from shop.kept").unwrap(), "42", "kept over a restart");
    trial.stop(server);
}

fn prometheus(trial: &Trial) {
    let etc = trial.copy("/etc/prometheus");
    let data = trial.copy("/var/lib/prometheus");
    let get = |path: &str| client(&["curl", "-fsS", &format!("http://127.0.0.1:9090{path}")]);
    let config = |job: &str| {
        let text = format!(
            "global: {{ scrape_interval: 200ms }}\nscrape_configs:\n- job_name: {job}\n  static_configs:\n  - targets: [\"localhost:9090\"]\n"
        );
        std::fs::write(etc.join("prometheus.yml"), text).unwrap();
    };
    let scraped = |job: &str| {
        let answer = get(&format!("/api/v1/query?query=up%7Bjob%3D%22{job}%22%7D")).unwrap();
        answer.contains("\"value\":[") && answer.contains(",\"1\"]")
    };
    config("first");
    let server = trial.start(|| get("/-/ready").is_ok());
    wait_until("it has scraped itself", || scraped("first"));
    config("second");
    server.signal(libc::SIGHUP);
    wait_until("it scrapes under the new name", || scraped("second"));
    trial.stop(server);
    assert!(data.join("metrics2/wal").is_dir());
    let server = trial.start(|| get("/-/ready").is_ok());
    assert!(scraped("first"), "kept over a restart");
    trial.stop(server);
}

/// What a name stands for, by the server on this port; empty: it is not known.
fn dig(name: &str, port: u16) -> Result<String, String> {
    let port = port.to_string();
    client(&["dig", "@127.0.0.1", "-p", &port, "+short", "+tries=1", "+time=2", name])
}

fn resolves(name: &str, to: &str) -> bool {
    dig(name, 53).is_ok_and(|answer| answer == to)
}

fn zone(file: &Path, serial: u32, address: &str) {
    let text = format!(
        "$TTL 60\n@ IN SOA ns.zone.test. root.zone.test. {serial} 60 60 60 60\n  IN NS ns\nns IN A 127.0.0.1\nwww IN A {address}\n"
    );
    std::fs::write(file, text).unwrap();
    std::fs::set_permissions(file, PermissionsExt::from_mode(0o644)).unwrap();
}

fn unbound(trial: &Trial) {
    let etc = trial.copy("/etc/unbound");
    let data = trial.copy("/var/lib/unbound");
    as_user("unbound", &["install", "-m", "644", "/usr/share/dns/root.key", "/var/lib/unbound/root.key"])
        .unwrap();
    let log = data.join("unbound.log");
    let config = |address: &str| {
        let text = format!(
            "server:\n logfile: /var/lib/unbound/unbound.log\n log-queries: yes\n local-zone: zone.test. static\n local-data: \"www.zone.test. A {address}\"\n"
        );
        std::fs::write(etc.join("unbound.conf.d/test.conf"), text).unwrap();
    };
    config("192.0.2.1");
    let server = trial.start(|| resolves("www.zone.test", "192.0.2.1"));
    config("192.0.2.2");
    server.signal(libc::SIGHUP);
    wait_until("the new data is served", || resolves("www.zone.test", "192.0.2.2"));
    let control = |word: &str| trial.inside(&["/usr/sbin/unbound-control", word]);
    assert!(control("status").contains("is running"));
    rotate(&log, || assert_eq!(control("log_reopen"), "ok"));
    trial.stop(server);
    assert!(std::fs::read_to_string(&log).unwrap().contains("service stopped"));
    assert!(data.join("root.key").metadata().unwrap().len() > 0);
    trial.stop(trial.start(|| resolves("www.zone.test", "192.0.2.2")));
}

fn bind9(trial: &Trial) {
    let etc = trial.copy("/etc/bind");
    let data = trial.copy("/var/cache/bind");
    let local = etc.join("named.conf.local");
    append(
        &local,
        "zone \"zone.test\" { type primary; file \"/etc/bind/db.zone\"; };\n\
         key \"update\" { algorithm hmac-sha256; secret \"c2VjcmV0\"; };\n\
         zone \"dynamic.test\" { type primary; file \"dynamic.db\"; allow-update { key update; }; };\n\
         logging { channel file { file \"/var/cache/bind/named.log\"; severity info; }; category default { file; }; };\n",
    );
    zone(&etc.join("db.zone"), 1, "192.0.2.1");
    zone(&data.join("dynamic.db"), 1, "192.0.2.1");
    client(&["chown", "bind:bind", "/var/cache/bind/dynamic.db"]).unwrap();
    let server = trial.start(|| resolves("www.zone.test", "192.0.2.1"));
    zone(&etc.join("db.zone"), 2, "192.0.2.2");
    server.signal(libc::SIGHUP);
    wait_until("the new zone is served", || resolves("www.zone.test", "192.0.2.2"));
    let update = "server 127.0.0.1\nzone dynamic.test\nupdate add new.dynamic.test 60 A 192.0.2.3\nsend\n";
    let update = trial.room.file("update", update);
    client(&["nsupdate", "-y", "hmac-sha256:update:c2VjcmV0", update.to_str().unwrap()]).unwrap();
    assert!(resolves("new.dynamic.test", "192.0.2.3"));
    assert!(client(&["rndc", "status"]).unwrap().contains("server is up and running"));
    rotate(&data.join("named.log"), || {
        client(&["rndc", "reconfig"]).unwrap();
    });
    trial.stop(server);
    let server = trial.start(|| resolves("www.zone.test", "192.0.2.2"));
    assert!(resolves("new.dynamic.test", "192.0.2.3"), "kept over a restart");
    trial.stop(server);
}

fn nsd(trial: &Trial) {
    let etc = trial.copy("/etc/nsd");
    let data = trial.copy("/var/lib/nsd");
    append(
        &etc.join("nsd.conf.d/test.conf"),
        "server:\n log-only-syslog: no\n logfile: /var/lib/nsd/nsd.log\n ip-address: 127.0.0.1\nzone:\n name: zone.test\n zonefile: /etc/nsd/zone.test\n",
    );
    zone(&etc.join("zone.test"), 1, "192.0.2.1");
    let server = trial.start(|| resolves("www.zone.test", "192.0.2.1"));
    zone(&etc.join("zone.test"), 2, "192.0.2.2");
    server.signal(libc::SIGHUP);
    wait_until("the new zone is served", || resolves("www.zone.test", "192.0.2.2"));
    rotate(&data.join("nsd.log"), || server.signal(libc::SIGHUP));
    trial.stop(server);
    trial.stop(trial.start(|| resolves("www.zone.test", "192.0.2.2")));
}

/// On HUP it reads the hosts files again; a changed configuration needs a restart.
fn dnsmasq(trial: &Trial) {
    let etc = trial.copy("/etc/dnsmasq.d");
    let hosts = etc.join("hosts.dpkg-old");
    std::fs::write(&hosts, "192.0.2.1 www.zone.test\n").unwrap();
    append(&etc.join("test"), "addn-hosts=/etc/dnsmasq.d/hosts.dpkg-old\naddress=/kept.test/192.0.2.9\n");
    let server = trial.start(|| resolves("www.zone.test", "192.0.2.1"));
    std::fs::write(&hosts, "192.0.2.2 www.zone.test\n").unwrap();
    server.signal(libc::SIGHUP);
    wait_until("the new hosts are served", || resolves("www.zone.test", "192.0.2.2"));
    trial.stop(server);
    append(&etc.join("test"), "address=/more.test/192.0.2.8\n");
    let server = trial.start(|| resolves("more.test", "192.0.2.8"));
    assert!(resolves("kept.test", "192.0.2.9"));
    trial.stop(server);
}

fn chrony(trial: &Trial) {
    let etc = trial.copy("/etc/chrony");
    trial.copy("/var/lib/chrony");
    trial.empty("/var/log", "");
    let config = |more: &str| {
        std::fs::write(
            etc.join("conf.d/test.conf"),
            format!("local stratum 5\nallow\nlog measurements\n{more}"),
        )
        .unwrap();
    };
    config("");
    // Another chronyd, which only asks once and never sets a clock.
    let asked = || client(&["chronyd", "-Q", "-t", "5", "-x", "server 127.0.0.1 iburst"]);
    let control = |words: &[&str]| trial.inside(&[&["/usr/bin/chronyc", "-n"], words].concat());
    let server = trial.start(|| ntp_stratum() == Some(5));
    asked().unwrap();
    assert!(control(&["tracking"]).contains("Stratum         : 5"));
    trial.stop(server);
    config("local stratum 6\n");
    trial.stop(trial.start(|| ntp_stratum() == Some(6)));
}

/// It has no reload: a changed configuration needs a restart. On HUP it closes its files, and opens
/// each again when there is a line for it.
fn rsyslog(trial: &Trial) {
    let rules = trial.room.open_directory("rules");
    let shown = format!("{}:/etc/rsyslog-jails.d", rules.display());
    let logs = trial.empty("/var/log", "").join("jails");
    let log = |word: &str| client(&["logger", "--socket-errors=on", "-u", "/run/rsyslog/dev-log", word]);
    let logged = |file: &str, word: &str| {
        std::fs::read_to_string(logs.join(file)).is_ok_and(|text| text.lines().any(|l| l.ends_with(word)))
    };
    let start = || trial.start_with(&["--robind", &shown], || log("first").is_ok());
    let server = start();
    wait_until("the line is written", || logged("syslog", "first"));
    std::fs::rename(logs.join("syslog"), logs.join("syslog.1")).unwrap();
    server.signal(libc::SIGHUP);
    wait_until("lines are in the new file", || log("second").is_ok() && logged("syslog", "second"));
    trial.stop(server);
    assert!(logged("syslog.1", "first") && !logged("syslog", "first"));
    std::fs::write(rules.join("test.conf"), "*.* action(type=\"omfile\" file=\"/var/log/jails/more\")\n")
        .unwrap();
    let server = start();
    log("third").unwrap();
    wait_until("the new rule holds", || logged("more", "third"));
    trial.stop(server);
    assert!(logged("syslog", "second") && logged("syslog", "third"), "kept over a restart");
}

/// The stratum that the NTP server on this host answers with.
fn ntp_stratum() -> Option<u8> {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    let mut packet = [0; 48];
    packet[0] = 0b00_100_011;
    socket.send_to(&packet, "127.0.0.1:123").ok()?;
    socket.recv(&mut packet).ok().filter(|n| *n == 48).map(|_| packet[1])
}
