//! Running jails from outside: their names, `ps`, `stop`, `reload`, `signal`, and what they leave.
//!
//! Must not know: how a record is kept, but for where.

use crate::host::{self, wait_until};
use crate::ring::Ring::{Root, Rootless};
use crate::ring::{Test, test};
use crate::run::{Live, Room, Run, finish, jail, jail_as_stranger, state_directory};
use nix::mount::{MsFlags, mount};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Somebody's jails: a state directory that several commands share.
pub struct Home {
    state: PathBuf,
    stranger: bool,
}

impl Home {
    /// Root's, or the stranger's.
    pub fn new(stranger: bool) -> Self {
        Home { state: state_directory(), stranger }
    }

    /// Its directory, which exists while there is something in it.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// `jail` with these words, of this home.
    pub fn jail<S: AsRef<std::ffi::OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Command {
        let mut command = if self.stranger { jail_as_stranger(words) } else { jail(words) };
        command.env("JAIL_STATE", &self.state);
        command
    }

    /// Runs a spec until it says `ready`.
    #[track_caller]
    pub fn start(&self, spec: &Path) -> Live {
        let live = Live::ready(&mut self.jail(["run".as_ref(), spec.as_os_str()]));
        let record = self.state.join(spec.with_extension("json").file_name().unwrap());
        // The program may be faster than the record of it.
        wait_until("the jail is recorded", || record.exists());
        live
    }

    /// Runs a command to its end.
    #[track_caller]
    pub fn run(&self, words: &[&str]) -> Run {
        finish(&mut self.jail(words))
    }

    /// What `ps --json` says.
    #[track_caller]
    pub fn ps(&self) -> Vec<Value> {
        let run = self.run(&["ps", "--json"]).ended(0);
        serde_json::from_str(&run.stdout).unwrap()
    }
}

type Body = fn(bool);

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    let both: [(&str, Body); 9] = [
        ("a_daemon_is_reached_too", a_daemon_is_reached_too),
        ("a_name_is_taken_once", a_name_is_taken_once),
        ("of_two_starts_at_once_one_wins", of_two_starts_at_once_one_wins),
        ("ps_shows_what_runs", ps_shows_what_runs),
        ("stop_waits_for_the_end", stop_waits_for_the_end),
        ("stop_kills_what_does_not_stop", stop_kills_what_does_not_stop),
        ("reload_and_signal_reach_the_program", reload_and_signal_reach_the_program),
        (
            "leftovers_of_a_killed_jail_are_seen_and_replaced",
            leftovers_of_a_killed_jail_are_seen_and_replaced,
        ),
        ("in_place_it_is_the_same", in_place_it_is_the_same),
    ];
    let mut tests = Vec::new();
    for (name, body) in both {
        tests.push(test(Root, format!("life::root::{name}"), move || body(false)));
        tests.push(test(Rootless, format!("life::rootless::{name}"), move || body(true)));
    }
    for (name, stranger) in [("root", false), ("rootless", true)] {
        tests.push(test(Root, format!("life::{name}::refresh_replaces_copies_in_place"), move || {
            refresh_replaces_copies(stranger, true);
        }));
        tests.push(test(Root, format!("life::{name}::refresh_replaces_copies"), move || {
            refresh_replaces_copies(stranger, false);
        }));
    }
    tests.push(test(Root, "life::what_is_stale_is_told", || host::isolated(what_is_stale_is_told)));
    tests.push(test(Root, "life::an_upgraded_package_is_stale", || {
        host::isolated(an_upgraded_package_is_stale)
    }));
    tests.push(test(Root, "life::a_full_state_directory", || host::isolated(a_full_state_directory)));
    tests.push(test(Root, "life::a_state_directory_of_somebody_else", a_state_directory_of_somebody_else));
    tests.push(test(Rootless, "life::without_a_runtime_directory", without_a_runtime_directory));
    tests.push(test(Rootless, "life::in_the_runtime_directory", in_the_runtime_directory));
    tests.push(test(Root, "life::wrong_names_are_refused", wrong_names_are_refused));
    tests
}

fn waiting(room: &Room, process: &str) -> PathBuf {
    room.probe_spec(&["wait"], &[("process", process)])
}

fn a_name_is_taken_once(stranger: bool) {
    let (room, home) = (Room::new(), Home::new(stranger));
    let spec = waiting(&room, "");
    let first = home.start(&spec);
    let path = spec.to_str().unwrap();
    let second = home.run(&["run", path]).ended(125);
    let who = format!("jail: jail probe is running already: process {}, for ", first.pid());
    assert!(second.stderr.starts_with(&who), "{}", second.stderr);
    assert!(second.stderr.contains("help: `jail stop probe` ends it"), "{}", second.stderr);
    // With a name of its own, or as a command beside the service.
    let other = Live::ready(&mut home.jail(["run", path, "--name", "other"]));
    wait_until("the jail is recorded", || home.state().join("other.json").exists());
    home.run(&["run", path, "--", "/probe/probe", "probe", "exit", "7"]).ended(7);
    let names: Vec<Value> = home.ps().iter().map(|row| row["name"].clone()).collect();
    assert_eq!(names, ["other", "probe"]);
    assert_eq!(std::fs::metadata(home.state()).unwrap().permissions().mode() & 0o7777, 0o700);
    home.run(&["stop", "other", "probe"]).ended(0);
    first.finish().died_of(libc::SIGTERM);
    other.finish().died_of(libc::SIGTERM);
    assert!(!home.state().exists(), "nothing is left");
    let again = home.start(&spec);
    again.signal(libc::SIGTERM);
    again.finish().died_of(libc::SIGTERM);
}

fn of_two_starts_at_once_one_wins(stranger: bool) {
    let (room, home) = (Room::new(), Home::new(stranger));
    let spec = waiting(&room, "");
    for _ in 0..10 {
        let begin = || {
            let mut command = home.jail(["run".as_ref(), spec.as_os_str()]);
            Live::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()))
        };
        let mut both = [begin(), begin()];
        let ready: Vec<bool> = both.iter_mut().map(|live| live.line() == Some("ready".into())).collect();
        assert_eq!(ready.iter().filter(|ready| **ready).count(), 1, "{ready:?}");
        for (live, ready) in both.into_iter().zip(ready) {
            if ready {
                live.signal(libc::SIGTERM);
                live.finish().died_of(libc::SIGTERM);
            } else {
                let stderr = live.finish().ended(125).stderr;
                assert!(stderr.contains("jail probe is "), "{stderr}");
            }
        }
    }
}

fn ps_shows_what_runs(stranger: bool) {
    let (room, home) = (Room::new(), Home::new(stranger));
    assert_eq!(home.run(&["ps"]).ended(0).stdout, "no jail is running\n");
    let spec = waiting(&room, "");
    let path = spec.to_str().unwrap();
    let live = Live::ready(&mut home.jail(["run", path, "--without", "keyring"]));
    wait_until("the jail is recorded", || home.state().join("probe.json").exists());
    let rows = home.ps();
    let row = &rows[0];
    assert_eq!((rows.len(), &row["name"], &row["state"]), (1, &"probe".into(), &"running".into()));
    assert_eq!(row["outer"], live.pid());
    let given_up = row["given-up"].as_array().unwrap();
    assert!(given_up.iter().any(|g| g["what"] == "keyring" && g["by"] == "--without keyring"), "{row}");
    assert_eq!(row["stale"], Value::Array(vec![]), "{row}");
    let program = row["pid"].as_i64().unwrap();
    assert_eq!(row["processes"], serde_json::json!([program]));
    let status = std::fs::read_to_string(format!("/proc/{program}/status")).unwrap();
    let uid = status.lines().find_map(|l| l.strip_prefix("Uid:")).unwrap().split_whitespace().next().unwrap();
    // Without root the id inside is mapped.
    assert!(stranger || row["uid"].as_u64() == uid.parse().ok(), "{row} {uid}");
    let command = std::fs::read(format!("/proc/{program}/cmdline")).unwrap();
    assert!(command.starts_with(b"/probe/probe\0probe\0wait\0"), "{command:?}");
    let table = home.run(&["ps"]).ended(0).stdout;
    let words: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(words[..2], ["probe", "running"], "{table}");
    assert!(table.contains("keyring") && words.last() == Some(&"no"), "{table}");
    home.run(&["ps", "--stale"]).ended(0);
    // Stopped by a signal, it says so.
    jail::sys::process::send_signal(i32::try_from(program).unwrap(), libc::SIGSTOP).unwrap();
    wait_until("it is stopped", || home.ps()[0]["state"] == "stopped");
    live.signal(libc::SIGKILL);
    live.finish().died_of(libc::SIGKILL);
}

fn stop_waits_for_the_end(stranger: bool) {
    let (room, home) = (Room::new(), Home::new(stranger));
    let spec = waiting(&room, "stop-signal = \"USR1\"");
    let live = home.start(&spec);
    let program = home.ps()[0]["pid"].as_i64().unwrap();
    home.run(&["stop", "probe"]).ended(0);
    assert!(!Path::new(&format!("/proc/{program}")).exists(), "it has ended when `stop` has");
    live.finish().died_of(libc::SIGUSR1);
    assert!(!home.state().exists());
    let again = home.run(&["stop", "probe"]).ended(2);
    assert!(again.stderr.starts_with("jail: no jail probe is running\n"), "{}", again.stderr);
}

fn stop_kills_what_does_not_stop(stranger: bool) {
    let (room, home) = (Room::new(), Home::new(stranger));
    // Its own timeout: the outer process kills it.
    let spec = room.probe_spec(&["ignore-stop"], &[("process", "stop-timeout = \"300ms\"")]);
    let live = home.start(&spec);
    home.run(&["stop", "probe"]).ended(0);
    live.finish().died_of(libc::SIGKILL);
    // For ever by its spec, but not by the operator's word.
    let spec = room.probe_spec(&["ignore-stop"], &[("process", "stop-timeout = \"0s\"")]);
    let live = home.start(&spec);
    let run = home.run(&["stop", "--timeout", "0", "probe"]).ended(0);
    assert!(run.stderr.contains("did not stop in time; it is killed"), "{}", run.stderr);
    live.finish().died_of(libc::SIGKILL);
    wait_until("nothing is left", || host::processes_of(&room.unique()).is_empty());
    assert!(!home.state().exists(), "what the killed one left is removed");
}

fn reload_and_signal_reach_the_program(stranger: bool) {
    let (room, home) = (Room::new(), Home::new(stranger));
    let spec = room.probe_spec(&["signals"], &[("process", "reload-signal = \"USR2\"")]);
    let mut live = home.start(&spec);
    home.run(&["reload", "probe"]).ended(0);
    assert_eq!(live.line(), Some(libc::SIGUSR2.to_string()));
    for (name, number) in
        [("USR1", libc::SIGUSR1), ("SIGTERM", libc::SIGTERM), ("1", libc::SIGHUP), ("RTMIN+3", 37)]
    {
        home.run(&["signal", "probe", name]).ended(0);
        assert_eq!(live.line(), Some(number.to_string()), "{name}: untranslated");
    }
    let wrong = home.run(&["signal", "probe", "NONE"]).ended(2);
    assert!(wrong.stderr.contains("there is no signal NONE"), "{}", wrong.stderr);
    home.run(&["signal", "probe", "KILL"]).ended(0);
    live.finish().died_of(libc::SIGKILL);
}

fn leftovers_of_a_killed_jail_are_seen_and_replaced(stranger: bool) {
    let (room, home) = (Room::new(), Home::new(stranger));
    let spec = waiting(&room, "");
    let kill = |live: Live| {
        live.signal(libc::SIGKILL);
        live.finish().died_of(libc::SIGKILL);
        wait_until("the jail is gone", || host::processes_of(&room.unique()).is_empty());
    };
    kill(home.start(&spec));
    assert!(home.state().join("probe.json").exists(), "nobody could remove it");
    assert_eq!(home.ps()[0]["state"], "left over");
    let gone = home.run(&["stop", "probe"]).ended(125);
    assert!(gone.stderr.contains("is not running any more"), "{}", gone.stderr);
    let live = home.start(&spec);
    assert_eq!(
        (home.ps()[0]["state"].clone(), home.ps()[0]["outer"].clone()),
        ("running".into(), live.pid().into())
    );
    kill(live);
    // A record that is no record does not keep the name either.
    std::fs::write(home.state().join("probe.json"), "{\"format\":1,").unwrap();
    assert_eq!(home.ps()[0]["state"], "left over");
    let live = home.start(&spec);
    home.run(&["stop", "probe"]).ended(0);
    live.finish();
    assert!(!home.state().exists());
}

fn in_place_it_is_the_same(stranger: bool) {
    let (room, home) = (Room::new(), Home::new(stranger));
    let proc = if stranger { "proc = \"none\"" } else { "" };
    let spec = |part: &str| {
        room.probe_spec(
            &[part],
            &[
                ("process", "stop-signal = \"USR1\"\nreload-signal = \"USR2\"\nstop-timeout = \"500ms\""),
                ("files", proc),
                ("privileges", "share-namespaces = [\"pid\"]"),
            ],
        )
    };
    let signals = spec("signals");
    let mut live = home.start(&signals);
    let rows = home.ps();
    assert_eq!((&rows[0]["outer"], &rows[0]["pid"]), (&Value::Null, &live.pid().into()), "{rows:?}");
    let second = home.run(&["run", signals.to_str().unwrap()]).ended(125);
    assert!(second.stderr.contains(&format!("process {}, for ", live.pid())), "{}", second.stderr);
    home.run(&["reload", "probe"]).ended(0);
    assert_eq!(live.line(), Some(libc::SIGUSR2.to_string()));
    // It catches its stop signal, and is killed when its time is over.
    let run = home.run(&["stop", "probe"]).ended(0);
    assert!(run.stderr.contains("did not stop in time"), "{}", run.stderr);
    assert_eq!(live.line(), Some(libc::SIGUSR1.to_string()));
    live.finish().died_of(libc::SIGKILL);
    assert!(!home.state().exists(), "`stop` has cleaned up after it");
    // One that ends by itself leaves its record, which is nobody's number any more.
    let live = home.start(&spec("wait"));
    live.signal(libc::SIGKILL);
    live.finish();
    assert_eq!(home.ps()[0]["state"], "left over");
    let live = home.start(&spec("wait"));
    home.run(&["stop", "probe"]).ended(0);
    live.finish().died_of(libc::SIGUSR1);
}

/// The program has ended and left a daemon, which its pid file names, or nobody.
fn a_daemon_is_reached_too(stranger: bool) {
    let (room, home) = (Room::new(), Home::new(stranger));
    let parent = |pid: i64| -> i64 {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        parent.and_then(|parent| parent.trim().parse().ok()).unwrap_or_default()
    };
    // The first process is number 2 inside.
    let is_first = |pid: i64| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.contains("\t2\nNSpgid")
    };
    for (key, words) in [
        ("main-pid-file = \"/run/x.pid\"", &["daemon", "file=/run/x.pid"][..]),
        ("forking = true", &["daemon"]),
    ] {
        let spec = room.probe_spec(words, &[("process", key), ("files", "tmpfs = [\"/run\"]")]);
        let mut live = home.start(&spec);
        wait_until("only the daemon is left", || {
            let row = &home.ps()[0];
            let processes = row["processes"].as_array().unwrap();
            let known = row["pid"].as_i64().unwrap();
            // Its parent, who ends as well, leaves it to pid 1.
            let left = parent(parent(known)) == i64::from(live.pid());
            processes.len() == 1 && processes[0] == known && !is_first(known) && left
        });
        // More than once: while it daemonises a signal may find nobody.
        let said = |live: &mut Live, words: &[&str], number: i32| {
            for _ in 0..10 {
                home.run(words).ended(0);
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            let wanted = format!("daemon {number}");
            while live.line_after(&format!("{words:?}, {key}")).expect("it runs") != wanted {}
        };
        said(&mut live, &["signal", "probe", "USR1"], libc::SIGUSR1);
        said(&mut live, &["reload", "probe"], libc::SIGHUP);
        home.run(&["exec", "probe", "--", "/usr/bin/true"]).ended(0);
        home.run(&["stop", "probe"]).ended(0);
        live.finish();
    }
}

fn refresh_replaces_copies(stranger: bool, in_place: bool) {
    let (room, home) = (Room::new(), Home::new(stranger));
    let (one, two) = (room.file("one", "before"), room.file("two", "stays"));
    let (share, proc) = match (in_place, stranger) {
        (true, true) => ("share-namespaces = [\"pid\"]", "proc = \"none\""),
        (true, false) => ("share-namespaces = [\"pid\"]", ""),
        (false, _) => ("", ""),
    };
    let read = format!(
        "read = [\"/usr\", {}, {{ path = \"{}\", at = \"/etc/one\" }}, {{ path = \"{}\", at = \"/etc/two\" }}]\n{proc}",
        room.probe_entry(),
        one.display(),
        two.display()
    );
    let spec = room.probe_spec(&["wait"], &[("files", &read), ("privileges", share)]);
    let live = home.start(&spec);
    let program = home.ps()[0]["pid"].as_i64().unwrap();
    let inside = |name: &str| std::fs::read_to_string(format!("/proc/{program}/root/etc/{name}"));
    if nix::unistd::geteuid().is_root() {
        assert_eq!(inside("one").unwrap(), "before");
    }
    assert_eq!(home.run(&["refresh", "probe"]).ended(0).stdout, "", "nothing to do");
    room.file("one", "after, and longer");
    if in_place {
        let told = home.run(&["ps", "--stale"]).ended(1).stdout;
        assert!(told.starts_with("probe: /etc/one differs from the host's "), "{told}");
        let done = home.run(&["refresh", "probe"]).ended(0).stdout;
        assert_eq!(done, format!("probe: replaced {}\n", one.display()));
    }
    wait_until("the copy is like the host's", || inside("one").is_ok_and(|text| text == "after, and longer"));
    assert_eq!(inside("two").unwrap(), "stays");
    home.run(&["ps", "--stale"]).ended(0);
    std::fs::remove_file(&one).unwrap();
    let gone = home.run(&["refresh", "probe"]).ended(125);
    assert!(gone.stderr.starts_with("jail: ") && gone.stderr.contains("one"), "{}", gone.stderr);
    assert_eq!(inside("one").unwrap(), "after, and longer", "the last copy stays");
    home.run(&["stop", "probe"]).ended(0);
    live.finish();
}

/// Findings of the only jail, as (kind, text).
fn stale(home: &Home) -> Vec<(String, String)> {
    let rows = home.ps();
    let list = rows[0]["stale"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    list.iter().map(|f| (text(&f["kind"]), text(&f["text"]))).collect()
}

fn what_is_stale_is_told() {
    let (room, home) = (Room::new(), Home::new(false));
    let directory = room.open_directory("shown");
    let program = room.path().join("shown/program");
    std::fs::copy("/usr/bin/sleep", &program).unwrap();
    let text = format!(
        "[process]\ncommand = [\"/shown/program\", \"300\"]\n\
         [files]\nread = [\"/usr\", {{ path = \"{0}\", at = \"/shown\" }}]\nexec = []\n",
        directory.display()
    );
    let spec = room.file("stale.toml", &text);
    let live = Live::start(home.jail(["run".as_ref(), spec.as_os_str()]).stderr(Stdio::piped()));
    wait_until("it runs", || home.state().join("stale.json").exists());
    assert_eq!(stale(&home), []);
    home.run(&["ps", "--stale"]).ended(0);

    std::fs::write(&spec, format!("{text}\n# edited\n")).unwrap();
    assert_eq!(stale(&home)[0].0, "spec");
    // As a package manager does it.
    std::fs::copy(&program, room.path().join("shown/new")).unwrap();
    std::fs::rename(room.path().join("shown/new"), &program).unwrap();
    let kinds = |home: &Home| stale(home).into_iter().map(|(kind, _)| kind).collect::<Vec<_>>();
    assert_eq!(kinds(&home), ["code", "spec"]);
    assert!(stale(&home)[0].1.contains("still run the old /shown/program"), "{:?}", stale(&home));
    std::fs::rename(&directory, room.path().join("moved")).unwrap();
    assert_eq!(kinds(&home), ["code", "source-gone", "spec"]);
    std::fs::create_dir(&directory).unwrap();
    assert_eq!(kinds(&home), ["code", "bind", "spec"]);
    // The same place again, under another mount.
    std::fs::remove_dir(&directory).unwrap();
    std::fs::rename(room.path().join("moved"), &directory).unwrap();
    assert_eq!(kinds(&home), ["code", "spec"]);
    let mounted = host::mount_tmpfs(&directory);
    assert_eq!(kinds(&home), ["code", "bind", "spec"]);
    drop(mounted);
    let run = home.run(&["ps", "--stale"]).ended(1);
    assert_eq!(run.stdout.lines().count(), 2, "{}", run.stdout);
    assert!(run.stdout.lines().all(|line| line.starts_with("stale: ")), "{}", run.stdout);
    home.run(&["stop", "stale"]).ended(0);
    live.finish();
}

/// dpkg, on the test's own view of /usr and /var.
fn an_upgraded_package_is_stale() {
    let (room, home) = (Room::new(), Home::new(false));
    for directory in ["/usr", "/var"] {
        let layer = |name: &str| room.open_directory(&format!("{}{directory}", name));
        let data = format!(
            "lowerdir={directory},upperdir={},workdir={}",
            layer("upper").display(),
            layer("work").display()
        );
        mount(Some("overlay"), directory, Some("overlay"), MsFlags::empty(), Some(data.as_str())).unwrap();
    }
    let spec = room
        .file("old.toml", "[process]\ncommand = [\"/usr/bin/sleep\", \"300\"]\n[files]\nread = [\"/usr\"]\n");
    let live = Live::start(home.jail(["run".as_ref(), spec.as_os_str()]).stderr(Stdio::piped()));
    wait_until("it runs", || home.state().join("old.json").exists());
    assert_eq!(stale(&home), []);
    // The installed program packed up again, and installed over itself.
    let install = "set -e; cd \"$1\"; mkdir -p p/DEBIAN p/usr/bin; cp /usr/bin/sleep p/usr/bin/; \
        printf 'Package: coreutils\\nVersion: 99\\nArchitecture: %s\\nMaintainer: x <x@x>\\nEssential: yes\\nDescription: x\\n' \
        \"$(dpkg --print-architecture)\" >p/DEBIAN/control; dpkg-deb -b p new.deb; mkdir -p admin/updates admin/info; touch admin/status; \
        dpkg --admindir=\"$1/admin\" -i --force-all new.deb";
    let done = Command::new("sh").args(["-c", install, "sh"]).arg(room.path()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let found = stale(&home);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].0 == "code" && found[0].1.contains("the old /usr/bin/sleep"), "{found:?}");
    home.run(&["stop", "old"]).ended(0);
    live.finish();
}

fn a_full_state_directory() {
    let (room, home) = (Room::new(), Home::new(false));
    let spec = waiting(&room, "");
    std::fs::create_dir(home.state()).unwrap();
    std::fs::set_permissions(home.state(), PermissionsExt::from_mode(0o700)).unwrap();
    let full = |options: &str| {
        mount(Some("none"), home.state(), Some("tmpfs"), MsFlags::empty(), Some(options)).unwrap();
        let run = home.run(&["run", spec.to_str().unwrap()]).ended(125);
        wait_until("nothing runs", || host::processes_of(&room.unique()).is_empty());
        nix::mount::umount(home.state()).unwrap();
        run.stderr
    };
    // Not even a name fits; a name fits, but no record.
    let stderr = full("mode=700,nr_inodes=1");
    assert!(stderr.starts_with("jail: cannot record the jail in ") && stderr.contains("is full"), "{stderr}");
    let stderr = full("mode=700,nr_inodes=2");
    assert!(stderr.starts_with("jail: cannot record the running jail: No space left"), "{stderr}");
    assert!(stderr.contains("--without record"), "{stderr}");
    mount(Some("none"), home.state(), Some("tmpfs"), MsFlags::empty(), Some("mode=700,nr_inodes=1")).unwrap();
    let live = Live::ready(&mut home.jail(["run", spec.to_str().unwrap(), "--without", "record"]));
    assert_eq!(home.ps(), [Value::Null; 0]);
    live.signal(libc::SIGTERM);
    live.finish().died_of(libc::SIGTERM);
}

fn a_state_directory_of_somebody_else() {
    let (room, home) = (Room::new(), Home::new(false));
    let spec = waiting(&room, "");
    let refused = |what: &str| {
        let run = home.run(&["run", spec.to_str().unwrap()]).ended(125);
        assert!(run.stderr.contains("must be yours, and writable by nobody else"), "{what}: {}", run.stderr);
    };
    std::fs::create_dir(home.state()).unwrap();
    std::fs::set_permissions(home.state(), PermissionsExt::from_mode(0o770)).unwrap();
    refused("writable by others");
    std::fs::set_permissions(home.state(), PermissionsExt::from_mode(0o700)).unwrap();
    nix::unistd::chown(home.state(), Some(33.into()), None).unwrap();
    refused("of another user");
    std::fs::remove_dir(home.state()).unwrap();
    std::os::unix::fs::symlink(room.path(), home.state()).unwrap();
    let run = home.run(&["run", spec.to_str().unwrap()]).ended(125);
    assert!(run.stderr.starts_with("jail: cannot record the jail in "), "a link: {}", run.stderr);
    std::fs::remove_file(home.state()).unwrap();
}

fn without_a_runtime_directory() {
    let (room, home) = (Room::new(), Home::new(true));
    let spec = waiting(&room, "");
    let without = |words: &[&str]| {
        let mut command = home.jail(words);
        command.env_remove("JAIL_STATE");
        command
    };
    if nix::unistd::geteuid().is_root() {
        let path = spec.to_str().unwrap();
        let (one, two) =
            (Live::ready(&mut without(&["run", path])), Live::ready(&mut without(&["run", path])));
        for live in [one, two] {
            live.signal(libc::SIGTERM);
            live.finish().died_of(libc::SIGTERM);
        }
        let run = finish(&mut without(&["ps"])).ended(125);
        assert!(run.stderr.contains("XDG_RUNTIME_DIR is not set"), "{}", run.stderr);
    }
}

fn in_the_runtime_directory() {
    let (room, home) = (Room::new(), Home::new(true));
    let spec = waiting(&room, "");
    let runtime = room.open_directory("runtime");
    let with = |words: &[&str]| {
        let mut command = home.jail(words);
        command.env_remove("JAIL_STATE").env("XDG_RUNTIME_DIR", &runtime);
        command
    };
    let live = Live::ready(&mut with(&["run", spec.to_str().unwrap()]));
    wait_until("the jail is recorded", || runtime.join("jail/probe.json").exists());
    finish(&mut with(&["stop", "probe"])).ended(0);
    live.finish().died_of(libc::SIGTERM);
    assert!(!runtime.join("jail").exists());
}

fn wrong_names_are_refused() {
    let home = Home::new(false);
    for name in ["../x", "a/b", "", ".", "..", "nosuch", "a b", "\u{1b}[31m"] {
        for words in [
            vec!["stop", name],
            vec!["refresh", name],
            vec!["reload", name],
            vec!["signal", name, "HUP"],
            vec!["exec", name, "--", "id"],
        ] {
            let run = home.run(&words).ended(2);
            assert!(run.stderr.starts_with("jail: no jail "), "{words:?}: {}", run.stderr);
            assert!(!run.stderr.contains('\u{1b}'), "{words:?}");
        }
    }
    assert!(!home.state().exists(), "nothing is made by asking");
}
