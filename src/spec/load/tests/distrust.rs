//! Files that are refused: whose they are, what they are, what is in them.

use super::*;
use nix::sys::stat::Mode;
use std::time::Duration;

#[test]
fn files_that_others_may_write_are_refused() {
    let world = World::new();
    world.write("w/a.toml", "");
    let uid = nix::unistd::getuid();
    for mode in [0o664, 0o646, 0o666] {
        world.mode("w/a.toml", mode);
        assert_eq!(
            world.load("a").unwrap_err(),
            format!(
                "jail: will not use w/a.toml: it can be written by others (mode {mode:04o})\n  help: read what is in it; if it is as you want it: chown {uid} w/a.toml; chmod go-w w/a.toml\n"
            )
        );
    }
    world.mode("w/a.toml", 0o400);
    assert!(world.load("a").is_ok());
    // A local file and an include are held to the same.
    world.write("w/a.local.toml", "");
    world.mode("w/a.local.toml", 0o664);
    assert!(world.load("a").unwrap_err().starts_with("jail: will not use w/a.local.toml: "));
    world.write("x/b.toml", "include = [\"../w/a.local.toml\"]\n");
    let error = world.load_path("x/b.toml").unwrap_err();
    assert!(error.starts_with("jail: will not use x/../w/a.local.toml: "), "{error}");
    assert!(error.contains("--> x/b.toml:1:12"), "{error}");
}

#[test]
fn found_files_must_lie_in_trusted_directories() {
    let world = World::new();
    world.write("w/a.toml", "");
    world.mode("w", 0o777);
    let error = world.load("a").unwrap_err();
    assert!(
        error.starts_with("jail: will not use w/a.toml: the directory w can be written by others"),
        "{error}"
    );
    let help = "help: start jail in a directory that nobody else can write to\n  help: or, if you know what is in it, name it by its path: --spec w/a.toml\n";
    assert!(error.ends_with(help), "{error}");
    // The directory is judged first: whose the file is says nothing there.
    world.mode("w/a.toml", 0o666);
    assert!(world.load("a").unwrap_err().contains("the directory w can be written by others"));
    world.mode("w/a.toml", 0o644);
    assert!(world.load_path("w/a.toml").is_ok(), "one that is named is the operator's choice");
    // But nothing is picked up silently beside it.
    world.write("w/a.local.toml", says_user("planted"));
    let error = world.load_path("w/a.toml").unwrap_err();
    assert!(error.starts_with("jail: will not use w/a.local.toml: the directory"), "{error}");
    assert!(error.contains("take w/a.local.toml away") && !error.contains("--spec"), "{error}");
}

#[test]
fn only_the_owners_that_are_trusted() {
    let world = World::new();
    world.write("x/a.toml", "");
    let mine = nix::unistd::getuid().as_raw();
    let path = world.path("x/a.toml").display().to_string();
    let by = |trust| load_from(&world.roots, &path, trust, &mut Sources::default());
    assert!(by(Trust::User(mine)).is_ok());
    // Root's files are good for everybody; those of a user only for that user.
    assert_eq!(by(Trust::User(mine.wrapping_add(1))).is_ok(), mine == 0);
    assert_eq!(by(Trust::Root).is_ok(), mine == 0);
}

#[test]
fn only_regular_files_are_read_and_nothing_hangs() {
    let world = World::new();
    nix::unistd::mkfifo(&world.path("w/fifo.toml"), Mode::from_bits_truncate(0o600)).unwrap();
    fs::create_dir(world.path("w/directory.toml")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(world.path("w/socket.toml")).unwrap();
    let (send, receive) = std::sync::mpsc::channel();
    let worker = std::thread::spawn(move || {
        for name in ["fifo", "directory", "socket"] {
            send.send((name, world.load(name).unwrap_err())).unwrap();
        }
    });
    for _ in 0..3 {
        let (name, error) = receive.recv_timeout(Duration::from_secs(60)).expect("opening a fifo hangs");
        assert!(error.starts_with(&format!("jail: w/{name}.toml is not a regular file\n")), "{error}");
    }
    worker.join().unwrap();
}

#[test]
fn texts_must_be_utf8_and_small() {
    let world = World::new();
    world.write("w/a.toml", b"description = \"x\"\n# caf\xe9 ...\n");
    assert_eq!(
        world.load("a").unwrap_err(),
        "jail: w/a.toml is not UTF-8\n  --> w/a.toml:2:6    # caf\u{fffd} ...\n  help: save it as UTF-8; TOML knows no other encoding\n"
    );
    world.write("w/b.toml", vec![b'\n'; (1 << 20) + 1]);
    assert!(world.load("b").unwrap_err().starts_with("jail: w/b.toml is larger than 1 MiB\n"));
    world.write("w/c.toml", vec![b'\n'; 1 << 20]);
    assert!(world.load("c").is_ok());
}
