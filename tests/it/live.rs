//! Live files: what changes on the host is seen in the jail, whichever way it was changed, and
//! nothing else is.
//!
//! Must not know: how changes are noticed. No test waits for a fixed time: each waits for what it
//! expects.

use crate::host::{isolated, mount_tmpfs, own_run, wait_until};
use crate::ring::Ring::{Root, Rootless, Server};
use crate::ring::{Test, test};
use crate::run::{Live, Room, STRANGER, jail, jail_as_stranger};
use crate::servers::{Service, nginx_host, site};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    let own = |ring, name: &str, body: fn()| test(ring, format!("live::{name}"), move || isolated(body));
    vec![
        test(Root, "live::every_kind_of_change_is_seen", || every_kind_of_change(As::Root)),
        test(Rootless, "live::every_kind_of_change_is_seen_rootless", || every_kind_of_change(As::Stranger)),
        own(Root, "a_renewed_certificate_is_followed", || renewal(As::Root)),
        test(Rootless, "live::a_renewed_certificate_is_followed_rootless", || renewal(As::Stranger)),
        own(Root, "a_link_may_come_to_lead_anywhere", a_link_may_come_to_lead_anywhere),
        own(Root, "copies_in_a_memory_file_system_are_followed", copies_in_a_tmpfs),
        test(Root, "live::a_source_that_vanishes_is_told_once", a_source_that_vanishes),
        own(Root, "what_is_no_longer_right_is_refused", what_is_no_longer_right),
        test(Rootless, "live::without_watches_it_is_looked_again", without_watches),
        test(Root, "live::lost_events_are_made_up_for", lost_events),
        test(Root, "live::a_copy_is_never_torn", never_torn),
        test(Root, "live::the_program_cannot_redirect_a_copy", no_redirection),
        test(Root, "live::the_reload_signal_follows_a_change", reload),
        test(Root, "live::a_capability_is_kept_only_where_it_is_needed", capabilities),
        test(Root, "live::ids_of_a_range_own_their_copies", ids_of_a_range),
        test(Root, "live::on_change_needs_a_copy_and_somebody_outside", on_change_is_checked),
        test(Root, "live::refresh_looks_once", refresh),
        test(Server("nginx"), "live::nginx_serves_a_renewed_certificate", || isolated(nginx)),
    ]
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum As {
    Root,
    Stranger,
}

/// A jail whose program says what it sees, and what jail has to say.
struct Seen {
    live: Live,
    log: PathBuf,
}

impl Seen {
    #[track_caller]
    fn start(room: &Room, who: As, spec: &Path) -> Self {
        let words = ["run".as_ref(), spec.as_os_str()];
        Seen::command(room, &mut if who == As::Root { jail(words) } else { jail_as_stranger(words) })
    }

    #[track_caller]
    fn command(room: &Room, command: &mut Command) -> Self {
        let log = room.path().join("stderr");
        let mut live = Live::start(
            command
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .stderr(fs::File::create(&log).unwrap()),
        );
        let first = live.line();
        assert_eq!(first.as_deref(), Some("ready"), "{}", fs::read_to_string(&log).unwrap());
        Seen { live, log }
    }

    #[track_caller]
    fn ask(&mut self, path: &str) -> String {
        self.live.say(path);
        self.live.line_after(path).unwrap_or_else(|| panic!("ended: {}", self.told()))
    }

    /// Waits until a path inside has this content (or is this link, or error).
    #[track_caller]
    fn becomes(&mut self, path: &str, wanted: &str) {
        let begin = std::time::Instant::now();
        let mut last = self.ask(path);
        while last != wanted {
            assert!(
                begin.elapsed() < crate::host::PATIENCE,
                "{path} is {last:?}, not {wanted:?}; told: {}",
                self.told()
            );
            std::thread::sleep(std::time::Duration::from_millis(2));
            last = self.ask(path);
        }
    }

    fn told(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    #[track_caller]
    fn tells(&self, words: &str, times: usize) {
        wait_until(words, || self.told().matches(words).count() >= times);
        assert_eq!(self.told().matches(words).count(), times, "{}", self.told());
    }

    #[track_caller]
    fn stop(self) -> String {
        // Its program ends with its input.
        self.live.finish().ended(0);
        fs::read_to_string(&self.log).unwrap()
    }
}

/// A spec whose program is `look`, with these entries of `read`.
fn spec(room: &Room, entries: &str, more: &[(&str, &str)]) -> PathBuf {
    let read = format!("read = [\"/usr\", {}, {entries}]", room.probe_entry());
    let mut tables = vec![("files", read.as_str())];
    tables.extend_from_slice(more);
    room.probe_spec(&["look"], &tables)
}

fn rename_over(path: &Path, content: &str) {
    let new = path.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::set_permissions(&new, PermissionsExt::from_mode(0o644)).unwrap();
    fs::rename(new, path).unwrap();
}

fn retarget(link: &Path, target: &str) {
    let new = link.with_extension("link");
    symlink(target, &new).unwrap();
    fs::rename(new, link).unwrap();
}

fn every_kind_of_change(who: As) {
    let room = Room::new();
    let file = room.file("conf/file", "at the start");
    let path = file.display().to_string();
    let entries = format!("{path:?}, {{ path = {path:?}, at = \"/at/other\", mode = \"0444\" }}");
    let mut seen = Seen::start(&room, who, &spec(&room, &entries, &[]));
    let mut both = |content: &str| {
        seen.becomes(&path, content);
        seen.becomes("/at/other", content);
    };
    both("at the start");
    fs::write(&file, "written in place").unwrap();
    both("written in place");
    rename_over(&file, "renamed over");
    both("renamed over");
    fs::remove_file(&file).unwrap();
    room.file("conf/file", "unlinked and made anew");
    both("unlinked and made anew");
    let mut open = fs::OpenOptions::new().append(true).open(&file).unwrap();
    open.write_all(b", kept open").unwrap();
    both("unlinked and made anew, kept open");
    drop(open);
    let (here, away) = (room.path().join("conf"), room.path().join("away"));
    fs::rename(&here, &away).unwrap();
    fs::write(away.join("file"), "while away").unwrap();
    fs::rename(&away, &here).unwrap();
    both("while away");
    fs::write(&file, "after that").unwrap();
    both("after that");
    // Another directory in its place.
    fs::rename(&here, &away).unwrap();
    room.file("conf/file", "of another directory");
    both("of another directory");
    fs::write(&file, "and its change").unwrap();
    both("and its change");
    fs::hard_link(away.join("file"), room.path().join("conf/hard")).unwrap();
    fs::rename(room.path().join("conf/hard"), &file).unwrap();
    both("after that");
    fs::write(away.join("file"), "by another name").unwrap();
    both("by another name");
    assert_eq!(seen.stop(), "", "nothing to tell");
}

/// As certbot has it: live/NAME holds links to archive/NAME, which a renewal makes anew one by one.
fn renewal(who: As) {
    let room = Room::new();
    let run = (who == As::Root).then(own_run);
    let top = if run.is_some() { PathBuf::from("/run/letsencrypt") } else { room.path().join("letsencrypt") };
    for name in ["example.com", "neighbour.org"] {
        for directory in ["live", "archive"] {
            fs::create_dir_all(top.join(directory).join(name)).unwrap();
        }
        for pem in ["cert", "privkey"] {
            fs::write(top.join(format!("archive/{name}/{pem}1.pem")), format!("{pem} 1 of {name}")).unwrap();
            let target = format!("../../archive/{name}/{pem}1.pem");
            symlink(target, top.join(format!("live/{name}/{pem}.pem"))).unwrap();
        }
    }
    fs::write(top.join("live/example.com/README"), "a regular file").unwrap();
    fs::create_dir(top.join("accounts")).unwrap();
    fs::write(top.join("accounts/key.json"), "the account's key").unwrap();
    let live = top.join("live/example.com");
    if who == As::Root {
        fs::set_permissions(top.join("archive/example.com/privkey1.pem"), PermissionsExt::from_mode(0o600))
            .unwrap();
    }
    let entry = format!("{{ path = {:?}, follow = true, owner = \"process\" }}", live.display().to_string());
    let mut seen = Seen::start(&room, who, &spec(&room, &entry, &[]));
    let at = |below: &str| top.join(below).display().to_string();
    assert_eq!(seen.ask(&at("")), "archive live");
    assert_eq!(seen.ask(&at("live")), "example.com");
    assert_eq!(seen.ask(&at("archive")), "example.com");
    assert_eq!(seen.ask(&at("live/example.com")), "README cert.pem privkey.pem");
    assert_eq!(seen.ask(&at("live/example.com/cert.pem")), "-> ../../archive/example.com/cert1.pem");
    assert_eq!(seen.ask(&at("archive/example.com/privkey1.pem")), "privkey 1 of example.com");
    for number in 2..5 {
        for pem in ["cert", "privkey"] {
            let file = top.join(format!("archive/example.com/{pem}{number}.pem"));
            fs::write(&file, format!("{pem} {number}")).unwrap();
            if who == As::Root {
                fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
            }
            // Not in one step, as certbot does it.
            let link = live.join(format!("{pem}.pem"));
            fs::remove_file(&link).unwrap();
            symlink(format!("../../archive/example.com/{pem}{number}.pem"), &link).unwrap();
        }
        for pem in ["cert", "privkey"] {
            let archived = format!("archive/example.com/{pem}{number}.pem");
            seen.becomes(&at(&format!("live/example.com/{pem}.pem")), &format!("-> ../../{archived}"));
            assert_eq!(seen.ask(&at(&archived)), format!("{pem} {number}"));
        }
        seen.becomes(&at("archive/example.com"), &format!("cert{number}.pem privkey{number}.pem"));
    }
    // A name that is new.
    fs::write(top.join("archive/example.com/chain1.pem"), "chain").unwrap();
    symlink("../../archive/example.com/chain1.pem", live.join("chain.pem")).unwrap();
    seen.becomes(&at("archive/example.com/chain1.pem"), "chain");
    fs::write(live.join("README"), "changed").unwrap();
    seen.becomes(&at("live/example.com/README"), "changed");
    assert_eq!(seen.ask(&at("live/neighbour.org")), "ENOENT");
    assert_eq!(seen.ask(&at("accounts")), "ENOENT");
    assert_eq!(seen.stop(), "");
}

/// A link of root's to a directory that was not there, and files where links were.
fn a_link_may_come_to_lead_anywhere() {
    let room = Room::new();
    let _run = own_run();
    fs::create_dir_all("/run/a/deep").unwrap();
    fs::create_dir_all("/run/b/deeper/still").unwrap();
    fs::write("/run/a/deep/file", "a").unwrap();
    fs::write("/run/b/deeper/still/file", "b").unwrap();
    fs::create_dir("/run/etc").unwrap();
    symlink("../a/deep/file", "/run/etc/link").unwrap();
    let mut seen = Seen::start(&room, As::Root, &spec(&room, "\"/run/etc/link\"", &[]));
    assert_eq!(seen.ask("/run/etc/link"), "-> ../a/deep/file");
    assert_eq!(seen.ask("/run/a/deep/file"), "a");
    let mut to = |target: &str, end: &str, content: &str| {
        retarget(Path::new("/run/etc/link"), target);
        seen.becomes("/run/etc/link", &format!("-> {target}"));
        assert_eq!(seen.ask(end), content, "{target}");
    };
    to("/run/b/deeper/still/file", "/run/b/deeper/still/file", "b");
    // By a link in the middle of the way.
    symlink("b/deeper", "/run/middle").unwrap();
    to("../middle/still/file", "/run/b/deeper/still/file", "b");
    fs::create_dir_all("/run/c/still").unwrap();
    fs::write("/run/c/still/file", "c").unwrap();
    retarget(Path::new("/run/middle"), "c");
    seen.becomes("/run/c/still/file", "c");
    seen.becomes("/run/middle", "-> c");
    // A real directory in the place of that link, and a file in the place of the other.
    fs::remove_file("/run/middle").unwrap();
    fs::create_dir_all("/run/middle/still").unwrap();
    fs::write("/run/middle/still/file", "middle").unwrap();
    seen.becomes("/run/middle/still/file", "middle");
    rename_over(Path::new("/run/etc/link"), "a file now");
    seen.becomes("/run/etc/link", "a file now");
    seen.becomes("/run/a/deep", "");
    seen.stop();
}

/// Also where the program's own memory file system is: a copy in a directory of root's, and in one
/// that belongs to the program.
fn copies_in_a_tmpfs() {
    let room = Room::new();
    let _run = own_run();
    fs::create_dir_all("/run/resolve").unwrap();
    fs::write("/run/resolve/conf", "1").unwrap();
    fs::write("/run/top", "1").unwrap();
    let files = ("files", "tmpfs = [\"/run\"]");
    let mut seen =
        Seen::start(&room, As::Root, &spec(&room, "\"/run/resolve/conf\", \"/run/top\"", &[files]));
    for path in ["/run/resolve/conf", "/run/top"] {
        assert_eq!(seen.ask(path), "1");
        rename_over(Path::new(path), "2");
        seen.becomes(path, "2");
    }
    assert_eq!(seen.stop(), "");
}

fn a_source_that_vanishes() {
    let room = Room::new();
    let file = room.file("conf/file", "1");
    let path = file.display().to_string();
    let mut seen = Seen::start(&room, As::Root, &spec(&room, &format!("{path:?}"), &[]));
    assert_eq!(seen.ask(&path), "1");
    for round in 1..3 {
        fs::remove_dir_all(room.path().join("conf")).unwrap();
        seen.tells("is not followed", round);
        assert!(
            seen.told().contains("No such file or directory; the jail keeps its last copy"),
            "{}",
            seen.told()
        );
        assert_eq!(seen.ask(&path), round.to_string(), "the last copy");
        room.file("conf/file", &(round + 1).to_string());
        seen.becomes(&path, &(round + 1).to_string());
        seen.tells("is followed again", round);
    }
    seen.stop();
}

fn what_is_no_longer_right() {
    let room = Room::new();
    let _run = own_run();
    for directory in ["conf", "open", "secret"] {
        fs::create_dir(format!("/run/{directory}")).unwrap();
    }
    fs::write("/run/conf/file", "right").unwrap();
    let entry = "{ path = \"/run/conf/file\", owner = \"process\" }";
    let mut seen = Seen::start(&room, As::Root, &spec(&room, entry, &[]));
    let path = Path::new("/run/conf/file");
    assert_eq!(seen.ask("/run/conf/file"), "right");
    let mut wrong = |words: &str, times: usize| {
        seen.tells(words, times);
        assert_eq!(seen.ask("/run/conf/file"), "right");
        match fs::symlink_metadata(path).unwrap().is_dir() {
            true => fs::remove_dir(path).unwrap(),
            false => fs::remove_file(path).unwrap(),
        }
        fs::write(path, "right").unwrap();
        wait_until("it is followed again", || {
            let told = seen.told();
            told.matches("is followed again").count() == told.matches("is not followed").count()
        });
    };
    fs::remove_file(path).unwrap();
    fs::create_dir(path).unwrap();
    wrong("it is now a directory", 1);
    fs::write(path, vec![b'x'; (1 << 20) + 1]).unwrap();
    wrong("it is now larger than 1 MiB", 1);
    fs::remove_file(path).unwrap();
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRUSR).unwrap();
    wrong("it is now a fifo", 1);
    // A link that others than root could have made.
    fs::set_permissions("/run/open", PermissionsExt::from_mode(0o777)).unwrap();
    fs::write("/run/secret/key", "secret").unwrap();
    fs::set_permissions("/run/secret/key", PermissionsExt::from_mode(0o600)).unwrap();
    symlink("../secret/key", "/run/open/link").unwrap();
    retarget(path, "../open/link");
    wrong("is not trusted, because others than root can write to /run/open", 1);
    // A secret that others could have put there.
    fs::hard_link("/run/secret/key", "/run/open/key").unwrap();
    retarget(path, "../open/key");
    wrong("could have put any file there", 1);
    seen.stop();
}

/// A user namespace has its own limits of watches and instances.
fn without_watches() {
    for limit in ["max_inotify_watches", "max_inotify_instances"] {
        let room = Room::new();
        let file = room.file("conf/file", "1");
        let path = file.display().to_string();
        let spec = spec(&room, &format!("{path:?}"), &[]);
        // In that namespace the stranger is root, and root is nobody.
        if nix::unistd::geteuid().is_root() {
            nix::unistd::chown(&spec, Some(STRANGER.into()), Some(STRANGER.into())).unwrap();
        }
        let inner = jail(["run".as_ref(), spec.as_os_str()]);
        let mut command = jail_as_stranger([""; 0]);
        // The same caller, with another program.
        let mut words: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let setpriv = command.get_program().to_owned();
        words.pop_if(|_| setpriv == "/usr/bin/setpriv");
        let mut limited = Command::new("/usr/bin/unshare");
        if setpriv == "/usr/bin/setpriv" {
            limited = Command::new(&setpriv);
            limited.args(words).arg("/usr/bin/unshare");
        }
        limited.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        for (key, value) in command.env("JAIL_TESTS", "").get_envs() {
            limited.env(key, value.unwrap_or_default());
        }
        let script = format!("echo 0 >/proc/sys/user/{limit} && exec \"$@\"");
        limited.args(["--user", "--map-root-user", "--", "/bin/sh", "-c", &script, "sh"]);
        limited.arg(inner.get_program()).args(inner.get_args());
        let mut seen = Seen::command(&room, &mut limited);
        assert_eq!(seen.ask(&path), "1");
        seen.tells("cannot be watched", 1);
        for content in ["2", "3"] {
            rename_over(&file, content);
            seen.becomes(&path, content);
        }
        assert_eq!(seen.stop().lines().count(), 1, "{limit}");
    }
}

/// More events than the queue holds, while jail stands still.
fn lost_events() {
    let room = Room::new();
    let file = room.file("conf/file", "1");
    let path = file.display().to_string();
    let mut seen = Seen::start(&room, As::Root, &spec(&room, &format!("{path:?}"), &[]));
    rename_over(&file, "2");
    seen.becomes(&path, "2");
    let most: usize =
        fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    seen.live.signal(libc::SIGSTOP);
    let other = room.path().join("conf/other");
    for _ in 0..most / 2 {
        fs::File::create(&other).unwrap();
        fs::remove_file(&other).unwrap();
    }
    rename_over(&file, "3");
    seen.live.signal(libc::SIGCONT);
    seen.becomes(&path, "3");
    rename_over(&file, "4");
    seen.becomes(&path, "4");
    assert_eq!(seen.stop(), "");
}

fn never_torn() {
    let room = Room::new();
    let letters = |letter: u8| String::from_utf8(vec![letter; 20_000]).unwrap();
    let file = room.file("conf/file", &letters(b'a'));
    let path = file.display().to_string();
    let read = format!("read = [\"/usr\", {}, {path:?}]", room.probe_entry());
    let spec = room.probe_spec(&["watch-whole", &path], &[("files", &read)]);
    let mut live = Live::ready(&mut jail(["run".as_ref(), spec.as_os_str()]));
    for round in 0..200 {
        rename_over(&file, &letters(b'b' + round % 20));
        std::thread::sleep(std::time::Duration::from_millis(3));
    }
    rename_over(&file, &letters(b'z'));
    assert_eq!(live.line().as_deref(), Some("whole: true true"));
    live.finish().ended(0);
}

/// In its own memory file system the program moves the directory of a copy away and puts a link to a
/// directory of the host in its place. (What is in the root it cannot touch at all.)
fn no_redirection() {
    let room = Room::new();
    let file = room.file("conf/file", "1");
    let victim = room.open_directory("victim");
    room.file("victim/file", "not to be touched");
    let (path, shown) = (file.display(), victim.display().to_string());
    let entries = format!(
        "{{ path = \"{path}\", at = \"/mem/dir/file\" }}, {{ path = \"{path}\", at = \"/fixed/file\" }}"
    );
    let files = format!("tmpfs = [\"/mem\"]\nwrite = [{{ path = {shown:?}, at = \"/victim\" }}]");
    let mut seen = Seen::start(&room, As::Root, &spec(&room, &entries, &[("files", &files)]));
    rename_over(&file, "2");
    seen.becomes("/mem/dir/file", "2");
    assert_eq!(seen.ask("/fixed/file -> /victim/file"), "EROFS");
    assert_eq!(seen.ask("/mem/dir -> /victim"), "planted");
    rename_over(&file, "3");
    seen.becomes("/fixed/file", "3");
    seen.tells("cannot be replaced in the jail", 1);
    assert_eq!(seen.ask("/mem/dir.old/file"), "2");
    assert_eq!(fs::read_to_string(victim.join("file")).unwrap(), "not to be touched");
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 1);
    // The same for every change to come.
    rename_over(&file, "4");
    seen.becomes("/fixed/file", "4");
    assert_eq!(fs::read_to_string(victim.join("file")).unwrap(), "not to be touched");
    seen.stop();
}

fn reload() {
    let room = Room::new();
    let (first, second) = (room.file("conf/1", "1"), room.file("conf/2", "1"));
    let quiet = room.file("conf/quiet", "1");
    let read = format!(
        "read = [\"/usr\", {}, {quiet:?}, {{ path = {first:?}, on-change = \"reload\" }}, {{ path = {second:?}, on-change = \"reload\" }}]",
        room.probe_entry()
    );
    let spec = room.probe_spec(&["signals"], &[("files", &read), ("process", "reload-signal = \"USR2\"")]);
    let mut live = Live::ready(&mut jail(["run".as_ref(), spec.as_os_str()]));
    for round in 0..3 {
        // What has not really changed asks for nothing.
        rename_over(&quiet, &round.to_string());
        rename_over(&first, &round.to_string());
        rename_over(&second, &round.to_string());
        assert_eq!(live.line_after("the change"), Some(libc::SIGUSR2.to_string()));
    }
    live.signal(libc::SIGKILL);
    live.finish().died_of(libc::SIGKILL);
}

/// What an outer process may still do.
fn kept(pid: i32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let set = status.lines().find_map(|l| l.strip_prefix("CapEff:\t")).unwrap();
    let set = u64::from_str_radix(set, 16).unwrap();
    jail::plan::print::capability_words(set)
}

fn capabilities() {
    let room = Room::new();
    let file = room.file("conf/file", "1");
    fs::create_dir(room.path().join("shut")).unwrap();
    let shut = room.file("shut/file", "1");
    nix::unistd::chown(&room.path().join("shut"), Some(1.into()), Some(1.into())).unwrap();
    fs::set_permissions(room.path().join("shut"), PermissionsExt::from_mode(0o700)).unwrap();
    let own = format!("{{ path = {file:?}, at = \"/own\", owner = \"process\", mode = \"0400\" }}");
    for (entry, at, expected) in [
        (format!("{{ path = {file:?}, at = \"/plain\" }}"), "/plain", "KILL"),
        (own, "/own", "CHOWN KILL"),
        (format!("{{ path = {shut:?}, at = \"/shut\" }}"), "/shut", "DAC_READ_SEARCH KILL"),
    ] {
        let (_, path) = entry.split_once('"').unwrap();
        let (path, _) = path.split_once('"').unwrap();
        let path = Path::new(path);
        rename_over(path, "1");
        let spec = spec(&room, &entry, &[]);
        let plan = jail(["plan".as_ref(), spec.as_os_str()]).output().unwrap();
        let plan = String::from_utf8(plan.stdout).unwrap();
        let words = expected.trim_end_matches("KILL").trim();
        assert_eq!(words.is_empty(), !plan.contains("outer process keeps"), "{plan}");
        assert!(words.is_empty() || plan.contains(&format!("keeps {words}, beside KILL")), "{plan}");
        let mut seen = Seen::start(&room, As::Root, &spec);
        wait_until("the outer process has given up the rest", || kept(seen.live.pid()) == expected);
        for content in ["2", "3"] {
            rename_over(path, content);
            seen.becomes(at, content);
        }
        assert_eq!(seen.stop(), "", "{at}");
    }
}

fn ids_of_a_range() {
    let room = Room::new();
    let file = room.file("conf/file", "1");
    let entry = format!("{{ path = {file:?}, at = \"/live/file\", mode = \"0400\" }}");
    let spec = spec(&room, &entry, &[("privileges", "user-namespace = true")]);
    let mut seen = Seen::start(&room, As::Root, &spec);
    for content in ["2", "3"] {
        rename_over(&file, content);
        seen.becomes("/live/file", content);
    }
    assert_eq!(seen.stop(), "");
}

fn on_change_is_checked() {
    let room = Room::new();
    let file = room.file("conf/file", "1");
    let entry = |more: &str| format!("{{ path = {file:?}, on-change = \"reload\"{more} }}");
    for (entry, more, wanted) in [
        (entry(", bind = true"), "", "is no file that is copied"),
        ("{ path = \"/usr/bin\", on-change = \"reload\" }".into(), "", "/usr/bin is no file that is copied"),
        (entry(""), "share-namespaces = [\"pid\"]", "no process of jail stays outside"),
    ] {
        let spec = spec(&room, &entry, &[("privileges", more)]);
        let run = jail(["plan".as_ref(), spec.as_os_str()]).output().unwrap();
        assert_eq!(run.status.code(), Some(2));
        let said = String::from_utf8(run.stderr).unwrap();
        assert!(said.contains("`on-change` cannot be used here") && said.contains(wanted), "{said}");
    }
}

/// What a jail without an outer process needs: one look, through a descriptor of its memory.
fn refresh() {
    use jail::problem::{Problems, Sources};
    let room = Room::new();
    let (file, gone) = (room.file("conf/file", "1"), room.file("conf/gone", "1"));
    let spec = spec(&room, &format!("{file:?}, {gone:?}"), &[("privileges", "share-namespaces = [\"pid\"]")]);
    let mut sources = Sources::default();
    let trust = jail::spec::load::Trust::Root;
    let loaded = jail::spec::load::load(&spec.display().to_string(), trust, &mut sources).unwrap();
    let facts = jail::host::answer(&jail::jail::ask::ask(&loaded.spec, "x")).unwrap();
    let resolved: Result<_, Problems> = jail::jail::resolve::resolve("x", &loaded.spec, &facts, &[]);
    let plan = jail::plan::build::build(&resolved.unwrap());
    assert!(!plan.steps.iter().any(|p| matches!(p.step, jail::plan::Step::KeepLive { .. })));
    let inside = room.path().join("inside");
    fs::create_dir(&inside).unwrap();
    let look = || -> Vec<_> {
        let root = std::os::fd::OwnedFd::from(fs::File::open(&inside).unwrap());
        let found = jail::serve::live::refresh(&plan, vec![root]);
        found.into_iter().map(|r| r.outcome.map_err(|why| why.contains("No such file"))).collect()
    };
    let at = |path: &Path| inside.join(path.strip_prefix("/").unwrap());
    assert_eq!(look(), [Ok(true), Ok(true)]);
    assert_eq!(fs::read_to_string(at(&file)).unwrap(), "1");
    assert_eq!(look(), [Ok(false), Ok(false)]);
    fs::write(&file, "2").unwrap();
    fs::remove_file(&gone).unwrap();
    assert_eq!(look(), [Ok(true), Err(true)]);
    assert_eq!(fs::read_to_string(at(&file)).unwrap(), "2");
    assert_eq!(fs::read_to_string(at(&gone)).unwrap(), "1");
}

/// Renews a certificate as certbot does.
fn certify(top: &Path, number: u32) {
    for directory in ["live/example.com", "archive/example.com"] {
        fs::create_dir_all(top.join(directory)).unwrap();
    }
    let at = |name: &str| top.join(format!("archive/example.com/{name}{number}.pem"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    openssl.arg("-keyout").arg(at("privkey")).arg("-out").arg(at("fullchain"));
    let made = openssl.args(["-subj", &format!("/CN=renewal {number}")]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    fs::set_permissions(at("privkey"), PermissionsExt::from_mode(0o600)).unwrap();
    for name in ["privkey", "fullchain"] {
        let link = top.join(format!("live/example.com/{name}.pem"));
        if number > 1 {
            fs::remove_file(&link).unwrap();
        }
        symlink(format!("../../archive/example.com/{name}{number}.pem"), link).unwrap();
    }
}

/// What a client is shown.
fn certificate() -> String {
    let mut client = Command::new("openssl");
    client.args(["s_client", "-connect", "127.0.0.1:443"]).stdin(std::process::Stdio::null());
    String::from_utf8_lossy(&client.output().unwrap().stdout).into_owned()
}

/// The shipped spec, not root for a moment, with a key that only root may read on the host.
fn nginx() {
    let room = Room::new();
    let etc = nginx_host(&room);
    let top = Path::new("/opt");
    let _opt = mount_tmpfs(top);
    fs::set_permissions(top, PermissionsExt::from_mode(0o755)).unwrap();
    fs::create_dir_all("/opt/accounts").unwrap();
    certify(top, 1);
    let live = "/opt/live/example.com";
    site(
        &etc,
        &format!(
            "listen 443 ssl; ssl_certificate {live}/fullchain.pem; ssl_certificate_key {live}/privkey.pem;"
        ),
    );
    let entry =
        format!("{{ path = \"{live}\", follow = true, owner = \"process\", on-change = \"reload\" }}");
    room.file("jails.d/nginx.local.toml", &format!("[files]\nread = [{entry}]\n"));
    let mut command = jail(["run", "nginx"]);
    let shows = |number: u32| certificate().contains(&format!("CN = renewal {number}"));
    let service = Service::start(&room, command.current_dir(room.path())).ready(|| shows(1));
    for number in 2..4 {
        certify(top, number);
        wait_until("the renewed certificate is served", || shows(number));
    }
    service.stops_on(libc::SIGTERM);
}
