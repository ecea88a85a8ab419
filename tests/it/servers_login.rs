//! Servers that people log in to and that keep their mail, from the shipped specs and with real
//! clients. The user who logs in is the test's own.
//!
//! Must not know: how a jail works.

use crate::host::{processes_of, wait_until};
use crate::ring::Ring::Server;
use crate::ring::{Test, test};
use crate::trial::{Trial, append, client};
use nix::mount::{MsFlags, mount};
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    let trial = |program, name: &'static str, body: fn(&Trial)| {
        test(Server(program), format!("servers_login::{name}"), move || Trial::run(name, body))
    };
    vec![
        trial("dovecot", "dovecot", dovecot),
        trial("sshd", "openssh-server", openssh_server),
        trial("postfix", "postfix", postfix),
        trial("sshd", "sftp", sftp),
    ]
}

/// Who logs in: `visitor`, password `secret`, with a home of its own.
const VISITOR: &str = "visitor";

fn visitor(trial: &Trial) {
    let home = trial.empty("/home", "").join(VISITOR);
    let hash = client(&["openssl", "passwd", "-6", "secret"]).unwrap();
    for (file, line) in [
        ("/etc/passwd", format!("{VISITOR}:x:54321:54321::/home/{VISITOR}:/bin/sh\n")),
        ("/etc/group", format!("{VISITOR}:x:54321:\n")),
        ("/etc/shadow", format!("{VISITOR}:{hash}:19000:0:99999:7:::\n")),
    ] {
        let own = trial.room.path().join(file.trim_start_matches('/').replace('/', "-"));
        client(&["cp", "-a", file, own.to_str().unwrap()]).unwrap();
        append(&own, &line);
        mount(Some(&own), file, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
    }
    client(&["install", "-d", "-o", VISITOR, "-g", VISITOR, home.to_str().unwrap()]).unwrap();
}

/// The visitor's key pair; the path of the public one.
fn key(trial: &Trial) -> String {
    let key = trial.room.path().join("key").display().to_string();
    client(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", &key]).unwrap();
    key + ".pub"
}

fn with_key<'a>(words: &[&'a str], public: &'a str) -> Vec<&'a str> {
    let mut all = vec![words[0], "-F", "none", "-i", public.trim_end_matches(".pub"), "-o", "BatchMode=yes"];
    all.extend([
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "LogLevel=ERROR",
    ]);
    all.extend(&words[1..]);
    all
}

fn openssh_server(trial: &Trial) {
    let etc = trial.copy("/etc/ssh");
    visitor(trial);
    let public = key(trial);
    let on = |port: &str, words: &[&str]| {
        let words = [&["ssh", "-p", port], words].concat();
        client(&with_key(&words, &public))
    };
    let host = format!("{VISITOR}@127.0.0.1");
    for (mode, file) in [("700", ".ssh"), ("600", ".ssh/authorized_keys")] {
        let place = format!("/home/{VISITOR}/{file}");
        let words = ["install", "-o", VISITOR, "-g", VISITOR, "-m", mode];
        let last: &[&str] = if mode == "700" { &["-d", &place] } else { &[&public, &place] };
        client(&[&words, last].concat()).unwrap();
    }
    let server = trial.start(|| on("22", &[&host, "true"]).is_ok());
    assert_eq!(
        on("22", &[&host, "id -un; id -G; grep CapPrm /proc/self/status"]).unwrap(),
        "visitor\n54321\nCapPrm:\t0000000000000000"
    );
    assert_eq!(on("22", &["-tt", &host, "tty"]).unwrap(), "/dev/pts/0");
    on("22", &[&host, "echo kept >file"]).unwrap();
    let refused =
        on("22", &[&host, "cat /etc/shadow /etc/ssh/ssh_host_ed25519_key; ls /root; exit 0"]).unwrap();
    assert_eq!(refused, "");
    append(&etc.join("sshd_config.d/test.conf"), "Port 2200\n");
    server.signal(libc::SIGHUP);
    wait_until("it listens where the new configuration says", || on("2200", &[&host, "true"]).is_ok());
    trial.stop(server);
    let server = trial.start(|| on("2200", &[&host, "true"]).is_ok());
    let sftp = with_key(&["sftp", "-P", "2200"], &public);
    let got = trial.room.path().join("got").display().to_string();
    client(&[&sftp[..], &[&format!("{host}:file"), &got]].concat()).unwrap();
    assert_eq!(std::fs::read_to_string(got).unwrap(), "kept\n");
    trial.stop(server);
}

fn sftp(trial: &Trial) {
    let etc = trial.copy("/etc/ssh");
    let srv = trial.empty("/srv", "");
    let public = key(trial);
    std::fs::copy(&public, etc.join("sftp_keys")).unwrap();
    let batch = |text: &str| {
        let file = trial.room.file("batch", text).display().to_string();
        client(&with_key(&["sftp", "-P", "2222", "-b", &file, "jail@127.0.0.1"], &public))
    };
    let server = trial.start(|| batch("pwd\n").is_ok());
    assert_eq!(batch("pwd\n").unwrap().lines().last(), Some("Remote working directory: /srv/sftp"));
    let sent = trial.room.file("sent", "kept\n").display().to_string();
    batch(&format!("put {sent} file\n")).unwrap();
    assert!(batch(&format!("put {sent} /etc/file\n")).is_err());
    let shell = client(&with_key(&["ssh", "-p", "2222", "jail@127.0.0.1", "id"], &public));
    assert!(shell.unwrap_err().contains("sftp connections only"));
    for process in processes_of(&trial.room.unique()) {
        let pid = process.split(':').next().unwrap();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        if process.ends_with("sshd") {
            assert!(
                !status.contains("Uid:\t0\t") && status.contains("CapBnd:\t0000000000000000"),
                "{status}"
            );
        }
    }
    // The host's file of keys is followed: no reload is needed to take a key away.
    std::fs::write(etc.join("sftp_keys"), "").unwrap();
    wait_until("the key is not taken any more", || batch("pwd\n").is_err());
    std::fs::copy(&public, etc.join("sftp_keys")).unwrap();
    wait_until("the key is taken again", || batch("pwd\n").is_ok());
    server.signal(libc::SIGHUP);
    wait_until("it serves after a reload", || batch("pwd\n").is_ok());
    trial.stop(server);
    let server = trial.start(|| batch("pwd\n").is_ok());
    assert!(batch("ls\n").unwrap().contains("file"), "kept over a restart");
    trial.stop(server);
    assert_eq!(std::fs::read_to_string(srv.join("sftp/file")).unwrap(), "kept\n");
}

/// A message in the visitor's mailbox, as a mail server leaves it there.
fn mailbox(text: &str) {
    let place = format!("/var/mail/{VISITOR}");
    append(Path::new(&place), &format!("From a@b Thu Jan  1 00:00:00 2026\nSubject: {text}\n\n{text}\n\n"));
    client(&["chown", &format!("{VISITOR}:mail"), &place]).unwrap();
    client(&["chmod", "660", &place]).unwrap();
}

/// The line by which a server greets on this port; empty: none.
fn greeting(port: u16) -> String {
    let mut line = String::new();
    if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        BufReader::new(stream).read_line(&mut line).unwrap_or(0);
    }
    line
}

fn dovecot(trial: &Trial) {
    let etc = trial.copy("/etc/dovecot");
    trial.copy("/var/lib/dovecot");
    trial.copy("/var/mail");
    visitor(trial);
    mailbox("first");
    let imap = |place: &str, password: &str| {
        let (user, url) = (format!("{VISITOR}:{password}"), format!("imap://127.0.0.1{place}"));
        client(&["curl", "-sS", "-k", "--ssl-reqd", "--max-time", "20", "-u", &user, &url])
    };
    let server = trial.start(|| greeting(143).contains("Dovecot (Debian) ready"));
    assert!(imap("/INBOX;MAILINDEX=1", "secret").unwrap().contains("Subject: first"));
    assert!(imap("/INBOX;MAILINDEX=1", "wrong").is_err());
    append(&etc.join("conf.d/99-test.conf"), "login_greeting = changed\n");
    server.signal(libc::SIGHUP);
    wait_until("it greets as the new configuration says", || greeting(143).contains("changed"));
    trial.stop(server);
    mailbox("second");
    let server = trial.start(|| greeting(143).contains("changed"));
    assert!(imap("/INBOX;MAILINDEX=2", "secret").unwrap().contains("Subject: second"));
    trial.stop(server);
}

/// It ends by the signal that ended it.
fn postfix(trial: &Trial) {
    trial.copy("/etc/postfix");
    trial.copy("/var/spool/postfix");
    trial.copy("/var/lib/postfix");
    let mail = trial.copy("/var/mail").join(VISITOR);
    let logs = trial.empty("/var/log", "").join("postfix");
    visitor(trial);
    std::fs::create_dir(&logs).unwrap();
    let set = |settings: &[&str]| client(&[&["postconf", "-e"], settings].concat()).unwrap();
    set(&["maillog_file=/var/log/postfix/mail.log", "maillog_file_prefixes=/var/log"]);
    set(&["mydestination=localhost", "inet_interfaces=loopback-only", "myhostname=first.test"]);
    client(&["postconf", "-M", "postlog/unix-dgram=postlog unix-dgram n - n - 1 postlogd"]).unwrap();
    client(&["/usr/lib/postfix/configure-instance.sh", "-"]).unwrap();
    let send = |text: &str, to: &str| {
        let file = trial.room.file("message", &format!("Subject: {text}\n\n{text}\n")).display().to_string();
        let words = ["curl", "-sS", "smtp://127.0.0.1", "--mail-from", "a@localhost", "--mail-rcpt", to];
        client(&[&words[..], &["-T", &file]].concat())
    };
    let delivers = |text: &str| {
        send(text, &format!("{VISITOR}@localhost")).unwrap();
        wait_until("the mail is delivered", || {
            std::fs::read_to_string(&mail).is_ok_and(|m| m.contains(&format!("\n\n{text}\n")))
        });
    };
    let server = trial.start(|| greeting(25).starts_with("220 first.test"));
    delivers("first");
    assert!(send("nobody", "nobody-of-that-name@localhost").is_err());
    set(&["myhostname=second.test"]);
    server.signal(libc::SIGHUP);
    wait_until("it greets with its new name", || greeting(25).starts_with("220 second.test"));
    let log = logs.join("mail.log");
    std::fs::rename(&log, logs.join("mail.log.1")).unwrap();
    server.signal(libc::SIGHUP);
    // It opens it for the next line.
    wait_until("the log is opened again", || greeting(25).starts_with("220") && log.exists());
    trial.kill(server);
    let server = trial.start(|| greeting(25).starts_with("220 second.test"));
    delivers("second");
    trial.kill(server);
}
