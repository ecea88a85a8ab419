//! Servers of other protocols than HTTP from the shipped specs, each through its life; see
//! `servers_web`.
//!
//! Must not know: how a jail works.

use crate::host::{Mounted, wait_until};
use crate::ring::Test;
use crate::run::{Live, Room};
use crate::servers::Service;
use crate::servers_web::{Place, client, life, rotates, start};
use nix::mount::{MsFlags, mount};
use nix::unistd::{Gid, Uid, chown};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![
        life("mosquitto", "mosquitto", MOSQUITTO, mosquitto),
        life("vsftpd", "vsftpd", &[("/home", false, ""), ("/var/log", false, "")], vsftpd),
    ]
}

const MOSQUITTO: &[Place] = &[
    ("/etc/mosquitto", true, ""),
    ("/var/lib/mosquitto", false, "mosquitto"),
    ("/var/log/mosquitto", false, "mosquitto"),
];

fn mosquitto(room: &Room) {
    let publish = |topic: &str, text: &str| {
        client(&["mosquitto_pub", "-r", "-q", "1", "-t", topic, "-m", text]).is_ok()
    };
    let kept = || client(&["mosquitto_sub", "-C", "1", "-W", "10", "-t", "kept"]);
    let configure = |anonymous: bool| {
        let text = format!("listener 1883 127.0.0.1\nallow_anonymous {anonymous}\n");
        room.file("etc-mosquitto/conf.d/new.conf", &text)
    };
    configure(true);
    let service = start(room, "mosquitto", || publish("kept", "over a restart"));
    let mut subscriber = Command::new("stdbuf");
    subscriber
        .args(["-oL", "mosquitto_sub", "-d", "-C", "1", "-t", "news"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut subscriber = Live::start(&mut subscriber);
    while !subscriber.line().expect("it subscribes").contains("Subscribed") {}
    assert!(publish("news", "heard"));
    let heard = subscriber.finish().ended(0).stdout;
    assert!(heard.contains("heard"), "{heard}");
    let log = room.path().join("var-log-mosquitto/mosquitto.log");
    // One signal does both: the logs are opened anew, and the configuration is read.
    rotates(&service, &log, libc::SIGHUP, || assert!(publish("more", "log")));
    configure(false);
    service.signal(libc::SIGHUP);
    wait_until("the new configuration is in force", || !publish("news", "refused"));
    configure(true);
    service.stops_on(libc::SIGTERM);
    let service = start(room, "mosquitto", || publish("news", "again"));
    assert_eq!(kept().unwrap(), "over a restart\n");
    service.stops_on(libc::SIGTERM);
}

/// A copy of a file of the host, with this added, in place of it in this test's mount table.
fn with_line(room: &Room, file: &str, line: &str) -> (PathBuf, Mounted) {
    let mode = std::fs::metadata(file).unwrap().permissions();
    let text = std::fs::read_to_string(file).unwrap();
    let own = room.file(&file.replace('/', "-"), &format!("{text}{line}\n"));
    std::fs::set_permissions(&own, mode).unwrap();
    mount(Some(&own), file, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
    (own, Mounted(file.into()))
}

/// TERM ends it at once.
fn dies_of_it(mut service: Service) {
    service.signal(libc::SIGTERM);
    service.live.take().unwrap().finish().died_of(libc::SIGTERM);
}

/// It opens its log for each line, and ends without care for transfers; as root it becomes the user.
fn vsftpd(room: &Room) {
    let (id, home) = (54_321, room.path().join("home/guest"));
    let _passwd = with_line(room, "/etc/passwd", &format!("guest:x:{id}:{id}::/home/guest:/bin/sh"));
    let hash = client(&["openssl", "passwd", "-6", "-salt", "salt", "secret"]).unwrap();
    let _shadow = with_line(room, "/etc/shadow", &format!("guest:{}:20000:0:99999:7:::", hash.trim()));
    let (config, _mounted) = with_line(room, "/etc/vsftpd.conf", "");
    room.file("home/guest/file", "downloaded\n");
    std::fs::set_permissions(&home, PermissionsExt::from_mode(0o700)).unwrap();
    chown(&home, Some(Uid::from_raw(id)), Some(Gid::from_raw(id))).unwrap();
    let url = |password: &str, file: &str| format!("ftp://guest:{password}@127.0.0.1/{file}");
    let get = |password: &str, file: &str| client(&["curl", "-sS", &url(password, file)]);
    let service = start(room, "vsftpd", || get("secret", "file").is_ok_and(|text| text == "downloaded\n"));
    let denied = get("wrong", "file").unwrap_err();
    assert!(denied.contains("Access denied: 530"), "{denied}");
    assert!(get("secret", "%2Fetc/shadow").is_err(), "the user may not read what root may");
    let sent = room.file("sent", "uploaded\n");
    let put = || client(&["curl", "-sS", "-T", sent.to_str().unwrap(), &url("secret", "new")]);
    assert!(put().is_err(), "Debian's configuration allows no writing");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}write_enable=YES\n")).unwrap();
    // The file in the jail follows in its own time.
    wait_until("the new configuration is in force", || {
        service.signal(libc::SIGHUP);
        put().is_ok()
    });
    assert_eq!(std::fs::read_to_string(home.join("new")).unwrap(), "uploaded\n");
    let log = room.path().join("var-log/vsftpd/vsftpd.log");
    assert!(std::fs::read_to_string(log).unwrap().contains("OK UPLOAD: Client"));
    dies_of_it(service);
    let service = start(room, "vsftpd", || get("secret", "new").is_ok_and(|text| text == "uploaded\n"));
    dies_of_it(service);
}
