//! Directories in which a service has planted what it could: links, hard links, fifos, device nodes,
//! odd names. Nothing outside is written, changed, shown or mounted over, and the message names the
//! entry. What changes while the jail starts is in `races`.
//!
//! Must not know: how a path is resolved.

use crate::careless::SECRET;
use crate::host::{self, mount_tmpfs};
use crate::isolated_tests;
use crate::promises::{attempt, has};
use crate::ring::Ring::Root;
use crate::run::{Room, Run, STRANGER, finish, jail};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::{Gid, Uid, chown, mkfifo};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

isolated_tests! {
    Root => [
        a_planted_source_is_refused, a_planted_mount_point_is_refused, a_planted_root_is_refused,
        what_is_planted_in_a_root_leads_nowhere_else, a_planted_directory_to_be_made_is_refused,
        a_planted_file_to_be_copied_is_refused, a_hard_link_gives_nothing_away,
        a_device_node_in_a_shown_directory_does_not_work, mounts_with_odd_names_are_confined,
        paths_with_odd_names_are_shown, a_name_cannot_forge_a_line,
    ],
}

/// A service's directory that it may write to, and something outside that is none of its business.
pub struct Scene {
    /// Both are in it.
    pub room: Room,
    /// The service's.
    pub app: PathBuf,
    /// Not the service's; all may write to it, so that nothing but the jail keeps a program out.
    pub victim: PathBuf,
    before: BTreeSet<String>,
}

impl Scene {
    /// With an empty directory of the service.
    pub fn new() -> Self {
        let room = Room::new();
        let app = room.open_directory("app");
        chown(&app, Some(Uid::from_raw(STRANGER)), Some(Gid::from_raw(STRANGER))).unwrap();
        let victim = room.open_directory("victim");
        std::fs::create_dir(victim.join("inner")).unwrap();
        for (name, mode) in [("victim/secret", 0o600), ("victim/public", 0o666)] {
            std::fs::set_permissions(room.file(name, SECRET), PermissionsExt::from_mode(mode)).unwrap();
        }
        let before = host::state(&victim);
        Scene { room, app, victim, before }
    }

    /// Runs a command in a jail of `/usr` and these keys of `[files]`, as a user of its own.
    pub fn run(&self, command: &[&str], files: &str) -> Run {
        let read = if files.contains("read =") { "" } else { "read = [\"/usr\"]\n" };
        let text = format!("[process]\ncommand = {command:?}\n[files]\n{read}{}\n", self.filled(files));
        let spec = self.room.file("hostile.toml", &text);
        finish(&mut jail(["run".as_ref(), spec.as_os_str()]))
    }

    /// `{app}`, `{victim}` and `{room}` replaced by where they are.
    pub fn filled(&self, text: &str) -> String {
        let shown = |path: &Path| path.display().to_string();
        let text = text.replace("{app}", &shown(&self.app)).replace("{victim}", &shown(&self.victim));
        text.replace("{room}", &shown(self.room.path()))
    }

    /// Nothing outside has changed.
    #[track_caller]
    pub fn unharmed(&self, when: &str) {
        assert_eq!(host::state(&self.victim), self.before, "{when}");
    }

    /// The start fails, and the message names the entry.
    #[track_caller]
    fn refused(&self, what: &str, files: &str, entry: &str) {
        let mounts = host::mount_table();
        let run = self.run(&["/usr/bin/id"], files);
        let entry = self.filled(entry);
        assert_eq!(run.status.code(), Some(125), "{what}: {run:?}");
        assert_eq!(run.stdout, "", "{what}: the program ran");
        assert!(run.stderr.contains(&entry), "{what}: {entry} is not named: {}", run.stderr);
        assert_eq!(
            run.stderr.lines().filter(|l| l.starts_with("jail: ")).count(),
            1,
            "{what}: {}",
            run.stderr
        );
        assert_eq!(host::mount_table(), mounts, "{what}");
        self.unharmed(what);
    }

    /// The start fails, or all that is mounted is what the spec names, as confined as elsewhere. True if it
    /// started.
    #[track_caller]
    fn moved_or_refused(&self, what: &str, files: &str, no_proc: bool) -> bool {
        let mounts = host::mount_table();
        let run = self.run(&["/usr/bin/cat", "/proc/self/mountinfo"], files);
        assert_eq!(host::mount_table(), mounts, "{what}");
        self.unharmed(what);
        match run.status.code() {
            Some(0) => {}
            Some(1) if no_proc => return true,
            Some(2 | 125) => {
                assert_eq!(run.stdout, "", "{what}: the program ran");
                assert!(run.stderr.starts_with("jail: "), "{what}: {}", run.stderr);
                return false;
            }
            _ => panic!("{what}: {run:?}"),
        }
        let (root, victim) = (self.app.join("root"), &self.victim);
        for line in run.stdout.lines() {
            let (left, kind) = line.split_once(" - ").unwrap();
            let fields: Vec<&str> = left.split(' ').collect();
            let (source, options) = (Path::new(fields[3]), fields[5]);
            let free = |option: &str| !options.split(',').any(|o| o == option);
            let ours = ["tmpfs ", "proc ", "devtmpfs "].iter().any(|ours| kind.starts_with(ours));
            assert!(ours || source == root || source == victim || source.ends_with("usr"), "{what}: {line}");
            assert!(!free("nosuid") && (!free("nodev") || kind.starts_with("devtmpfs ")), "{what}: {line}");
            assert!(source != victim || !free("noexec"), "{what}: {line}");
        }
        true
    }
}

/// Links that lead out of the service's directory: absolute, relative, and by way of others.
fn links(scene: &Scene) -> Vec<(&'static str, String)> {
    symlink("second", scene.app.join("first")).unwrap();
    symlink("../app/third", scene.app.join("second")).unwrap();
    symlink(&scene.victim, scene.app.join("third")).unwrap();
    vec![
        ("absolute", scene.victim.display().to_string()),
        ("relative", "../victim".into()),
        ("of dots", "./.././app/../victim/./".into()),
        ("in a chain", "first".into()),
        ("to the host's root", "/".into()),
        ("to the host's files", "/etc".into()),
        ("through the process", "/proc/self/cwd".into()),
        ("to nothing", "../victim/inner/nothing".into()),
    ]
}

/// Puts something at a name, in place of what was there.
fn plant(at: &Path, what: impl FnOnce(&Path)) {
    std::fs::remove_file(at).or_else(|_| std::fs::remove_dir(at)).unwrap_or(());
    what(at);
}

type Planted = (&'static str, Box<dyn Fn(&Path)>);

/// What is no directory and no link.
fn things(scene: &Scene) -> Vec<Planted> {
    let victim = scene.victim.join("public");
    let device =
        |at: &Path| mknod(at, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, 3)).unwrap();
    // A disk that does not exist.
    let disk =
        |at: &Path| mknod(at, SFlag::S_IFBLK, Mode::from_bits_truncate(0o666), makedev(240, 9)).unwrap();
    let socket = |at: &Path| drop(std::os::unix::net::UnixListener::bind(at).unwrap());
    vec![
        ("a file", Box::new(|at| std::fs::write(at, "x").unwrap())),
        ("a copy of a hard link", Box::new(move |at| std::fs::copy(&victim, at).map(drop).unwrap())),
        ("a fifo", Box::new(|at| mkfifo(at, Mode::from_bits_truncate(0o666)).unwrap())),
        ("a device", Box::new(device)),
        ("a disk", Box::new(disk)),
        ("a socket", Box::new(socket)),
    ]
}

fn a_planted_source_is_refused() {
    let scene = Scene::new();
    let data = scene.app.join("data");
    for (kind, target) in links(&scene) {
        plant(&data, |at| symlink(&target, at).unwrap());
        scene.refused(kind, "write = [\"{app}/data\"]", "{app}/data");
        scene.refused(kind, "read = [\"/usr\", { path = \"{app}/data\", at = \"/data\" }]", "{app}/data");
        // The same one directory up.
        scene.refused(kind, "write = [{ path = \"{app}/data/inner\", at = \"/data\" }]", "{app}/data");
    }
    for (kind, make) in things(&scene) {
        plant(&data, |at| make(at));
        scene.refused(kind, "write = [{ path = \"{app}/data\", at = \"/data\" }]", "{app}/data");
    }
}

fn a_planted_mount_point_is_refused() {
    let scene = Scene::new();
    let inner = scene.room.open_directory("inner");
    let point = scene.app.join("point");
    let files = format!(
        "write = [{{ path = \"{{app}}\", at = \"/app\" }}, {{ path = {inner:?}, at = \"/app/point\" }},
                  {{ path = \"{{victim}}\", at = \"/victim\" }}]"
    );
    for (kind, target) in links(&scene).into_iter().chain([
        ("into the jail", "/usr/bin".into()),
        ("to another place of the jail", "/victim".into()),
        ("up", "..".into()),
    ]) {
        plant(&point, |at| symlink(&target, at).unwrap());
        scene.refused(kind, &files, "/app/point");
        let below = files.replace("/app/point", "/app/point/inner");
        scene.refused(kind, &below, "/app/point");
    }
    for (kind, make) in things(&scene) {
        plant(&point, |at| make(at));
        scene.refused(kind, &files, "/app/point");
    }
    plant(&point, |_| {});
    scene.refused("nothing", &files, "/app/point");
    assert!(!point.exists(), "nothing was made in the service's directory");
    plant(&point, |at| std::fs::create_dir(at).unwrap());
    scene.run(&["/usr/bin/id"], &files).ended(0);
    scene.unharmed("a directory");
}

/// A root of the kind that `shapes` runs, owned by the service.
fn root_of(scene: &Scene) -> PathBuf {
    let root = scene.app.join("root");
    for name in ["usr", "proc", "dev", "tmp", "data", "victim"] {
        std::fs::create_dir_all(root.join(name)).unwrap();
    }
    for (link, target) in [("bin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")] {
        symlink(target, root.join(link)).unwrap();
    }
    for entry in walkdir::WalkDir::new(&root) {
        let stranger = (Some(Uid::from_raw(STRANGER)), Some(Gid::from_raw(STRANGER)));
        nix::unistd::fchownat(
            nix::fcntl::AT_FDCWD,
            entry.unwrap().path(),
            stranger.0,
            stranger.1,
            nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW,
        )
        .unwrap();
    }
    root
}

/// The keys that make a jail of [`root_of`].
const ROOT_FILES: &str = "root = { path = \"{app}/root\", write = true }
    read = [\"/usr\"]
    write = [{ path = \"{victim}\", at = \"/victim\" }]
    tmpfs = [\"/tmp\", \"/data\"]";

/// As [`Scene::run`] with such a root.
pub fn foreign(scene: &Scene) -> (PathBuf, &'static str) {
    (root_of(scene), ROOT_FILES)
}

fn a_planted_root_is_refused() {
    let scene = Scene::new();
    for (kind, target) in links(&scene) {
        plant(&scene.app.join("root"), |at| symlink(&target, at).unwrap());
        scene.refused(kind, "root = { path = \"{app}/root\", write = true }", "{app}/root");
        scene.refused(kind, "root = \"{app}/root\"", "{app}/root");
    }
}

/// A link is followed as the program would see it: it can move a place within the root, no more.
fn what_is_planted_in_a_root_leads_nowhere_else() {
    let scene = Scene::new();
    let (root, files) = foreign(&scene);
    scene.run(&["/usr/bin/id"], files).ended(0);
    let links = links(&scene);
    let (mut moved, mut refused) = (0, 0);
    for name in ["dev", "proc", "tmp", "data", "usr", "victim"] {
        let inside = [("to a place of the jail", "/victim".to_owned()), ("up", "../victim".to_owned())];
        for (kind, target) in links.iter().cloned().chain(inside) {
            let what = format!("/{name}: {kind}");
            plant(&root.join(name), |at| symlink(&target, at).unwrap());
            let confined = scene.moved_or_refused(&what, files, name == "proc");
            *if confined { &mut moved } else { &mut refused } += 1;
        }
        for (kind, make) in things(&scene) {
            plant(&root.join(name), |at| make(at));
            scene.refused(&format!("/{name}: {kind}"), files, &format!("/{name}"));
        }
        plant(&root.join(name), |at| std::fs::create_dir(at).unwrap());
    }
    assert!(moved > 5 && refused > 40, "{moved} moved, {refused} refused");
    let left: Vec<_> = std::fs::read_dir(root.join("dev")).unwrap().collect();
    assert!(left.is_empty(), "made in the root that was given: {left:?}");
    scene.run(&["/usr/bin/id"], files).ended(0);
    scene.unharmed("at the end");
}

fn a_planted_directory_to_be_made_is_refused() {
    let scene = Scene::new();
    let made = scene.app.join("made");
    let files = "write = [{ path = \"{app}/made\", at = \"/made\", create = \"0750\" }]";
    for (kind, target) in links(&scene) {
        plant(&made, |at| symlink(&target, at).unwrap());
        scene.refused(kind, files, "{app}/made");
    }
    for (kind, make) in things(&scene) {
        plant(&made, |at| make(at));
        scene.refused(kind, files, "{app}/made");
    }
    plant(&made, |_| {});
    scene.run(&["/usr/bin/id"], files).ended(0);
    assert_eq!(std::fs::symlink_metadata(&made).unwrap().permissions().mode() & 0o7777, 0o750);
}

fn a_planted_file_to_be_copied_is_refused() {
    let scene = Scene::new();
    let conf = scene.app.join("conf");
    let files = "read = [\"/usr\", { path = \"{app}/conf\", at = \"/conf\" }]";
    for (kind, target) in links(&scene).into_iter().chain([("to a file", "../victim/secret".into())]) {
        plant(&conf, |at| symlink(&target, at).unwrap());
        scene.refused(kind, files, "{app}/conf");
    }
    for (kind, make) in
        things(&scene).into_iter().filter(|(kind, _)| !kind.contains("file") && !kind.contains("copy"))
    {
        plant(&conf, |at| make(at));
        scene.refused(kind, files, "{app}/conf");
    }
}

/// Where the sysctl fs.protected_hardlinks is 0, a service can link any file of its file system.
fn a_hard_link_gives_nothing_away() {
    let scene = Scene::new();
    // The link itself counts as a change of the victim: it is made before the victim is looked at.
    std::fs::hard_link(scene.victim.join("secret"), scene.app.join("conf")).unwrap();
    let scene = Scene { before: host::state(&scene.victim), ..scene };
    for more in ["owner = \"process\"", "mode = \"0444\"", "owner = \"process\", mode = \"0400\""] {
        let files = format!("read = [\"/usr\", {{ path = \"{{app}}/conf\", at = \"/conf\", {more} }}]");
        scene.refused(more, &files, "{app}/conf");
    }
    for more in ["", ", bind = true"] {
        let files = format!("read = [\"/usr\", {{ path = \"{{app}}/conf\", at = \"/conf\"{more} }}]");
        let run = scene.run(&["/usr/bin/cat", "/conf"], &files).ended(1);
        assert!(run.stderr.contains("Permission denied"), "{more}: {}", run.stderr);
        assert_eq!(run.stdout, "");
        scene.unharmed(more);
    }
}

fn a_device_node_in_a_shown_directory_does_not_work() {
    let scene = Scene::new();
    mknod(&scene.app.join("null"), SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, 3)).unwrap();
    std::fs::set_permissions(scene.app.join("null"), PermissionsExt::from_mode(0o666)).unwrap();
    for key in [
        "read = [\"/usr\", { path = \"{app}\", at = \"/app\" }]",
        "write = [{ path = \"{app}\", at = \"/app\" }]",
    ] {
        let run = scene.run(&["/usr/bin/dd", "if=/app/null", "count=1"], key).ended(1);
        assert!(run.stderr.contains("Permission denied"), "{key}: {}", run.stderr);
    }
}

/// Names that break a careless reader of mountinfo, or are no text.
const ODD: &[&[u8]] = &[
    b"a b",
    b"new\nline",
    b"back\\slash",
    b"octal\\040",
    b"tab\tx",
    b"\xff\xfe",
    b"-",
    b" - ",
    b" - tmpfs x rw",
    b"deleted//x",
    b"#",
    b"\x1b[2J",
    b"\xe2\x80\xae",
    b"cr\r",
];

/// The host's mounts below a shown directory are shown, confined, whatever their names are.
fn mounts_with_odd_names_are_confined() {
    let room = Room::new();
    let shown = room.open_directory("shown");
    let long = [0xff_u8; 255];
    let mut mounted = Vec::new();
    for name in ODD.iter().copied().chain([&long[..]]) {
        let point = shown.join(OsStr::from_bytes(name));
        std::fs::create_dir_all(&point).unwrap();
        mounted.push(mount_tmpfs(&point));
    }
    for (key, option) in [("read", "ro"), ("write", "noexec")] {
        let entry = format!("{{ path = {:?}, at = \"/shown\" }}", shown.display().to_string());
        let files = match key {
            "read" => format!("read = [\"/usr\", {}, {entry}]", room.probe_entry()),
            _ => format!("write = [{entry}]"),
        };
        let spec = room.probe_spec(&[], &[("files", &files)]);
        let report = finish(&mut jail(["run".as_ref(), spec.as_os_str()])).report();
        let mounts = report["mounts"].as_array().unwrap().iter();
        let below: Vec<_> = mounts.filter(|m| m["path"].as_str().unwrap().starts_with("/shown/")).collect();
        assert_eq!(below.len(), mounted.len(), "{key}: {}", report["mounts"]);
        for mount in below {
            for option in [option, "nosuid", "nodev"] {
                assert!(has(mount, option), "{key}, {option}: {mount}");
            }
        }
        assert_ne!(attempt(&report, "mount tmpfs"), "ok");
    }
}

/// Those that are text can be asked for by name.
fn paths_with_odd_names_are_shown() {
    let scene = Scene::new();
    let named = scene.room.open_directory("named");
    for name in ODD.iter().filter_map(|name| std::str::from_utf8(name).ok()) {
        let path = named.join(name);
        std::fs::create_dir_all(&path).unwrap();
        let toml =
            |path: &Path| format!("\"{}\"", path.to_str().unwrap().escape_default()).replace("\\u{", "\\U{");
        // TOML writes eight digits where Rust writes as many as there are.
        let toml = |path: &Path| {
            let text = toml(path);
            let mut parts = text.split("\\U{");
            let first = parts.next().unwrap().to_owned();
            parts.fold(first, |out, part| {
                let (digits, rest) = part.split_once('}').unwrap();
                format!("{out}\\U{digits:0>8}{rest}")
            })
        };
        let files = format!("read = [\"/usr\"]\nwrite = [{{ path = {}, create = \"0755\" }}]", toml(&path));
        scene.run(&["/usr/bin/id"], &files).ended(0);
        let below = toml(&path.join("missing"));
        let run = scene.run(&["/usr/bin/id"], &format!("read = [\"/usr\", {below}]")).ended(125);
        assert_eq!(run.stderr.lines().count(), 3, "{name:?}: {}", run.stderr);
        assert!(!run.stderr.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{:?}", run.stderr);
    }
}

/// A link's text is the service's choice, and it is in the message.
fn a_name_cannot_forge_a_line() {
    let scene = Scene::new();
    symlink("/etc\njail: all is well\r\x1b[2K\u{202e}", scene.app.join("data")).unwrap();
    let run = scene.run(&["/usr/bin/id"], "write = [\"{app}/data\"]").ended(125);
    assert_eq!(run.stderr.lines().filter(|l| l.starts_with("jail: ")).count(), 1, "{}", run.stderr);
    let raw = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!run.stderr.contains(raw), "{:?}", run.stderr);
    plant(&scene.app.join("data"), |at| symlink(OsStr::from_bytes(b"/etc\xff"), at).unwrap());
    scene.refused("a target that is no text", "write = [\"{app}/data\"]", "{app}/data");
}
