//! `user-namespace = true`: root inside is nobody outside, files on the host keep sane owners, and
//! what root inside could do, were it the host's, it cannot. And rootless jails where user namespaces
//! are forbidden.
//!
//! Must not know: how a namespace is made.

use crate::host::{Mounted, isolated, processes_of, wait_until};
use crate::ring::Ring::{Root, Server};
use crate::ring::{Test, test};
use crate::run::{Live, Room, Run, finish, jail, jail_binary, state_directory};
use nix::mount::{MsFlags, mount};
use nix::unistd::{Gid, Uid, chown};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    let mut tests: Vec<Test> = vec![
        test(Server("nginx"), "user_namespace::nginx_starts_as_root_and_drops", || {
            isolated(nginx_starts_as_root_and_drops);
        }),
        test(Root, "user_namespace::a_file_system_that_cannot_is_named", || {
            isolated(a_file_system_that_cannot_is_named);
        }),
    ];
    let bodies: &[(&str, fn())] = &[
        ("root_inside_is_nobody_outside", root_inside_is_nobody_outside),
        ("another_user_is_in_the_range_too", another_user_is_in_the_range_too),
        ("every_jail_has_its_range_always", every_jail_has_its_range_always),
        ("files_keep_sane_owners", files_keep_sane_owners),
        ("what_jail_makes_belongs_to_root_inside", what_jail_makes_belongs_to_root_inside),
        ("the_hosts_root_is_nobody_inside", the_hosts_root_is_nobody_inside),
        ("no_capability_reaches_the_host", no_capability_reaches_the_host),
        ("a_program_that_became_another_user_is_signalled", a_program_that_became_another_user_is_signalled),
        ("in_place_it_is_the_same", in_place_it_is_the_same),
        ("a_host_without_user_namespaces_is_told", a_host_without_user_namespaces_is_told),
    ];
    tests.extend(bodies.iter().map(|(name, body)| test(Root, format!("user_namespace::{name}"), *body)));
    tests
}

/// Everything that a server which drops by itself needs, and a little more.
const CAPABILITIES: &str =
    "\"CHOWN\", \"DAC_OVERRIDE\", \"FOWNER\", \"FSETID\", \"SETUID\", \"SETGID\", \"KILL\"";

/// A spec that runs a shell script, with an empty `own` directory of root inside shown at /own.
struct Jail {
    room: Room,
    spec: PathBuf,
    first: u32,
}

impl Jail {
    fn new(script: &str, files: &str, more: &str) -> Self {
        let room = Room::new();
        let own = room.open_directory("own");
        std::fs::set_permissions(&own, PermissionsExt::from_mode(0o755)).unwrap();
        let script = room.file("script/script", script);
        let text = format!(
            "[process]\ncommand = [\"/bin/sh\", \"/script/script\"]\n{more}\n\
             [files]\nread = [\"/usr\", {{ path = {:?}, at = \"/script\" }}]\n\
             write = [{{ path = {own:?}, at = \"/own\" }}]\ntmpfs = [\"/tmp\"]\n{}\n\
             [privileges]\nuser-namespace = true\ncapabilities = [{CAPABILITIES}]\n\
             system-calls = [\"@service\", \"@setuid\"]\n",
            script.parent().unwrap(),
            files.replace("{room}", &room.path().display().to_string()),
        );
        let spec = room.file(&format!("{}.toml", room.unique()), &text);
        // Not yet anybody's who is inside: the message says whose it has to be.
        let run = finish(&mut jail(["plan".as_ref(), spec.as_os_str()])).ended(125);
        let (_, first) = run.stderr.split_once("chown ").expect("the remedy");
        let first = first.split(':').next().unwrap().parse().unwrap();
        give(&own, first);
        Jail { room, spec, first }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.room.path().join(name)
    }

    fn command(&self) -> Command {
        jail(["run".as_ref(), self.spec.as_os_str()])
    }

    #[track_caller]
    fn run(&self) -> Run {
        finish(&mut self.command())
    }

    #[track_caller]
    fn owner(&self, name: &str) -> (u32, u32) {
        let meta = self.path(name).symlink_metadata().unwrap_or_else(|e| panic!("{name}: {e}"));
        (meta.uid(), meta.gid())
    }
}

fn give(path: &Path, id: u32) {
    chown(path, Some(Uid::from_raw(id)), Some(Gid::from_raw(id))).unwrap();
}

/// The ids of each process of a jail, pid 1 among them, as the host sees them.
fn ids_of(jail: &Jail) -> Vec<(String, String)> {
    let pids = processes_of(&jail.room.unique());
    let mut found = Vec::new();
    for line in pids {
        let (pid, name) = line.split_once(": ").unwrap();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        if let Some(ids) = status.lines().find_map(|l| l.strip_prefix("Uid:\t")) {
            found.push((name.to_owned(), ids.to_owned()));
        }
    }
    found
}

fn root_inside_is_nobody_outside() {
    let script = "id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map\necho ready\nread x";
    let jail = Jail::new(script, "", "");
    let mut command = jail.command();
    let mut live = Live::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let first = jail.first;
    assert_eq!(first % 4096, 0);
    assert!((0x7000_0000..0x7a00_0000).contains(&first), "{first}");
    let mut lines: Vec<String> = Vec::new();
    while let Some(line) = live.line().filter(|line| line != "ready") {
        lines.push(line.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    let map = [format!("0 {first} 4095"), format!("65534 {} 1", first + 4095)];
    assert_eq!(lines, ["0", "0", &map[0], &map[1], &map[0], &map[1]].map(str::to_owned));
    let ids = ids_of(&jail);
    let all = format!("{first}\t{first}\t{first}\t{first}");
    for name in ["sh", "jail-init"] {
        assert!(ids.contains(&(name.into(), all.clone())), "{name}: {ids:?}");
    }
    live.say("go on");
    live.finish().ended(0);
    wait_until("nothing is left", || processes_of(&jail.room.unique()).is_empty());
}

fn another_user_is_in_the_range_too() {
    let jail = Jail::new("id; touch /own/x || echo refused", "", "user = \"www-data\"\ngroups = [\"adm\"]");
    let text = std::fs::read_to_string(&jail.spec).unwrap();
    std::fs::write(&jail.spec, text.replace(CAPABILITIES, "")).unwrap();
    let run = jail.run().ended(0);
    assert_eq!(run.stdout, "uid=33(www-data) gid=33(www-data) groups=33(www-data),4(adm)\nrefused\n");
}

fn every_jail_has_its_range_always() {
    let (one, two) = (Jail::new("true", "", ""), Jail::new("true", "", ""));
    assert_ne!(one.first, two.first);
    let wanted = format!("0-4094 are {}-{}", one.first, one.first + 4094);
    for _ in 0..2 {
        let plan = finish(&mut jail(["plan".as_ref(), one.spec.as_os_str()])).ended(0);
        assert!(plan.stdout.contains(&wanted), "{}", plan.stdout);
    }
}

/// perl's core can change ids; no shell can.
const AS_WWW_DATA: &str =
    "perl -e '$) = \"33 33\"; $( = 33; $< = $> = 33; die $! if $< != 33; exec @ARGV' --";

fn files_keep_sane_owners() {
    let script = format!(
        "set -e; touch /own/root; {AS_WWW_DATA} touch /web/new; chown 50:51 /own/root.d 2>/dev/null || mkdir /own/root.d\n\
         touch /own/www /own/games; chown 33:33 /own/www; chown 5:60 /own/games; mkdir /own/d; stat -c %u:%g /web /web/old /own/www /own/games /own/d"
    );
    let files = "write = [{ path = \"{room}/web\", at = \"/web\" }, { path = \"{room}/made\", at = \"/made\", create = \"0750\" }]";
    // One table cannot have the key twice.
    let script_files = files.trim_start_matches("write = [").trim_end_matches(']').to_owned();
    let jail = with_more_writes(&script, &script_files, |room| {
        let web = room.open_directory("web");
        std::fs::write(web.join("old"), "").unwrap();
        give(&web.join("old"), 33);
        give(&web, 33);
    });
    let run = jail.run().ended(0);
    assert_eq!(run.stdout, "33:33\n33:33\n33:33\n5:60\n0:0\n", "inside");
    let first = jail.first;
    let outside = [
        ("own/root", (first, first)),
        ("own/d", (first, first)),
        ("web/old", (33, 33)),
        ("web/new", (33, 33)),
        ("own/www", (33, 33)),
        // No `write` directory is theirs: not the host's games (and not its group `disk`).
        ("own/games", (first + 5, first + 60)),
        ("made", (first, first)),
    ];
    for (name, owner) in outside {
        assert_eq!(jail.owner(name), owner, "{name}");
    }
}

/// As [`Jail::new`], with more entries of `write`, whose directories `furnish` makes.
fn with_more_writes(script: &str, entries: &str, furnish: impl Fn(&Room)) -> Jail {
    let mut jail = Jail::new(script, "", "");
    furnish(&jail.room);
    let text = std::fs::read_to_string(&jail.spec).unwrap();
    let entries = entries.replace("{room}", &jail.room.path().display().to_string());
    let text = text.replace("write = [", &format!("write = [{entries}, "));
    jail.spec = jail.room.file(&format!("{}.toml", jail.room.unique()), &text);
    jail
}

fn what_jail_makes_belongs_to_root_inside() {
    let script = "stat -c '%u:%g %n' / /etc /etc/passwd /tmp /text /key /dev /dev/shm; cat /key; perl -e '
        open(my $t, q(+<), q(/dev/ptmx)) or die $!; my $n = pack(q(i), 0); ioctl($t, 0x80045430, $n) or die $!;
        print join(q(:), (stat(q(/dev/pts/) . unpack(q(i), $n)))[4, 5])'";
    let files = "dev = [\"pts\"]\ntext = [{ path = \"/text\", content = \"x\" }]";
    let mut jail = Jail::new(script, files, "");
    // What only root may read on the host is named in the spec: root inside reads the copy.
    let key = jail.room.file("key", "PRIVATE\n");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    let text = std::fs::read_to_string(&jail.spec).unwrap();
    let text = text.replace("read = [", &format!("read = [{{ path = {key:?}, at = \"/key\" }}, "));
    jail.spec = jail.room.file(&format!("{}.toml", jail.room.unique()), &text);
    let run = jail.run().ended(0);
    let places = ["/", "/etc", "/etc/passwd", "/tmp", "/text", "/key", "/dev", "/dev/shm"];
    let wanted: String = places.iter().map(|p| format!("0:0 {p}\n")).collect();
    assert_eq!(run.stdout, wanted + "PRIVATE\n0:5\n", "{}", run.stderr);
}

fn the_hosts_root_is_nobody_inside() {
    let tries = [
        "cat /own/secret",
        "echo x >>/own/secret",
        "echo x >>/own/open",
        "chown 0 /own/secret",
        "chmod 644 /own/secret",
        "rm -f /own/secret",
        "mv /own/secret /own/other",
        "touch -d yesterday /own/open",
        "touch /own/directory/x",
    ];
    let script: String = tries
        .iter()
        .map(|t| format!("({t}) >/dev/null 2>&1 && echo 'done: {t}'\n"))
        .chain([
            "stat -c %u:%g /own/secret; cat /own/open; cp /bin/true /own/suid; chmod 6755 /own/suid\n".into()
        ])
        .collect();
    let jail = Jail::new(&script, "", "");
    let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    mode(&jail.room.file("own/secret", "SECRET\n"), 0o600);
    mode(&jail.room.file("own/open", "open\n"), 0o666);
    jail.room.open_directory("own/directory");
    let run = jail.run().ended(0);
    assert_eq!(run.stdout, "65534:65534\nopen\n", "{}", run.stderr);
    assert_eq!(jail.owner("own/secret"), (0, 0));
    let suid = jail.path("own/suid").metadata().unwrap();
    assert_eq!((suid.uid(), suid.gid()), (jail.first, jail.first), "set-id, but not of anybody else");
}

/// The calls are let through by giving up the filter and Landlock: what refuses them is that the
/// namespaces belong to the host.
fn no_capability_reaches_the_host() {
    let script = r#"
perl -e '
    my %calls = (
        mount => [165, "none", "/tmp", "tmpfs", 0, 0],
        umount => [166, "/tmp", 2],
        sethostname => [170, "x", 1],
        reboot => [169, 0, 0, 0, 0],
        swapoff => [168, "/nonexistent"],
        adjtimex => [227, 0, pack("q2", 0, 0)],
        setrlimit_up => [302, 0, 4, pack("Q2", 1, 1), 0],
        lower_nice => [141, 0, 0, -5],
    );
    for my $name (sort keys %calls) {
        my $done = syscall($calls{$name}[0], @{$calls{$name}}[1 .. $#{$calls{$name}}]);
        print "$name ", $done == -1 ? $! + 0 : "done", "\n";
    }
    opendir(my $proc, "/proc/1/ns") or print "namespaces of pid 1: hidden\n";
'
"#;
    let confined = Jail::new(script, "", "");
    let text = std::fs::read_to_string(&confined.spec).unwrap();
    let more = "capabilities = [\"SYS_ADMIN\", \"SYS_PTRACE\", \"SYS_CHROOT\", \"SETPCAP\", \"SETFCAP\", ";
    std::fs::write(&confined.spec, text.replace("capabilities = [", more)).unwrap();
    let mut command = jail(["run", "--without", "seccomp", "--without", "landlock"]);
    let run = finish(command.arg(&confined.spec)).ended(0);
    let wanted = "adjtimex 1\nlower_nice 13\nmount 1\nreboot 1\nsethostname 1\nsetrlimit_up 1\nswapoff 1\numount 1\n\
                  namespaces of pid 1: hidden\n";
    assert_eq!(run.stdout, wanted, "{}", run.stderr);
}

fn a_program_that_became_another_user_is_signalled() {
    let script = format!(
        "exec {AS_WWW_DATA} sh -c 'trap \"echo stopped; exit 7\" TERM; echo ready; while :; do sleep 0.1; done'"
    );
    let jail = Jail::new(&script, "", "");
    let mut live = Live::ready(&mut jail.command());
    live.signal(libc::SIGTERM);
    assert_eq!(live.line().as_deref(), Some("stopped"));
    live.finish().ended(7);
}

fn in_place_it_is_the_same() {
    let jail = Jail::new("id -u; touch /own/x; cat /proc/self/uid_map", "", "");
    let text = std::fs::read_to_string(&jail.spec).unwrap();
    let text = text.replace("user-namespace = true", "user-namespace = true\nshare-namespaces = [\"pid\"]");
    std::fs::write(&jail.spec, text).unwrap();
    let run = finish(
        Command::new("/usr/bin/setsid")
            .arg("--wait")
            .arg(jail_binary())
            .arg("run")
            .arg(&jail.spec)
            .env("JAIL_STATE", state_directory()),
    )
    .ended(0);
    assert!(run.stdout.starts_with("0\n") && run.stdout.contains(&jail.first.to_string()), "{}", run.stdout);
    assert_eq!(jail.owner("own/x"), (jail.first, jail.first));
}

fn a_file_system_that_cannot_is_named() {
    let jail = Jail::new("true", "", "");
    let own = jail.path("own");
    mount(Some("none"), &own, Some("ramfs"), MsFlags::empty(), None::<&str>).unwrap();
    let mounted = Mounted(own.clone());
    give(&own, jail.first);
    let run = jail.run().ended(125);
    drop(mounted);
    assert!(
        run.stderr.starts_with(&format!("jail: cannot map the owners of files in {}: ", own.display())),
        "{}",
        run.stderr
    );
    for words in [
        "its file system, or one mounted below it, cannot map owners",
        "mount_setattr(MOUNT_ATTR_IDMAP) = EINVAL",
        "--> ",
    ] {
        assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
    }
}

/// The sysctl counts for everybody in the user namespace where it is set, so one is made for it.
fn a_host_without_user_namespaces_is_told() {
    let script = "echo 0 >/proc/sys/user/max_user_namespaces && \
        exec setpriv --inh-caps=-all --ambient-caps=-all \"$0\" run hello";
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["--user", "--map-user=1", "--map-group=1", "--keep-caps", "/bin/sh", "-c", script]);
    let run = finish(command.arg(jail_binary()).stdin(Stdio::null())).ended(125);

    assert!(run.stderr.contains("without root a jail needs a user namespace, and this host forbids it: user.max_user_namespaces is 0"), "{}", run.stderr);
    assert!(run.stderr.contains("help: as root: sysctl user.max_user_namespaces="), "{}", run.stderr);
}

/// Debian's configuration as it is: a master that is root, workers that it makes www-data.
fn nginx_starts_as_root_and_drops() {
    let script = "exec nginx -c /script/nginx.conf -g 'daemon off;'";
    let jail = with_more_writes(script, "{ path = \"{room}/log\", at = \"/var/log/nginx\" }", |room| {
        let log = room.open_directory("log");
        give(&log, 33);
        room.file(
            "script/nginx.conf",
            "user www-data;\nworker_processes 2;\npid /tmp/nginx.pid;\nevents {}\n\
             http { access_log /var/log/nginx/access.log; error_log /var/log/nginx/error.log; \
             client_body_temp_path /tmp/body; proxy_temp_path /tmp/p; fastcgi_temp_path /tmp/f; uwsgi_temp_path /tmp/u; \
             scgi_temp_path /tmp/s; server { listen 127.0.0.1:8080; root /usr/share; location / { return 200 \"served\"; } } }\n",
        );
    });
    let text = std::fs::read_to_string(&jail.spec).unwrap();
    std::fs::write(&jail.spec, format!("include = [\"users\"]\n{text}")).unwrap();
    let live = Live::start(jail.command().stdout(Stdio::piped()).stderr(Stdio::piped()));
    let get =
        || Command::new("curl").args(["-sS", "--max-time", "5", "http://127.0.0.1:8080/"]).output().unwrap();
    wait_until("nginx answers", || get().stdout == b"served");
    let four = |id: u32| format!("{id}\t{id}\t{id}\t{id}");
    let (root, www) = (four(jail.first), four(jail.first + 33));
    // One worker may answer before the other one has dropped.
    wait_until("a master of root's and two workers of www-data's", || {
        let ids: Vec<String> =
            ids_of(&jail).into_iter().filter(|(n, _)| n == "nginx").map(|(_, ids)| ids).collect();
        let count = |wanted: &String| ids.iter().filter(|ids| *ids == wanted).count();
        (count(&root), count(&www), ids.len()) == (1, 2, 3)
    });
    live.signal(libc::SIGTERM);
    live.finish().ended(0);
    // The master, who is root inside, made it in www-data's directory.
    assert_eq!(jail.owner("log/access.log"), (jail.first, jail.first));
    assert_eq!(jail.owner("log"), (33, 33));
}
