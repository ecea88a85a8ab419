//! Plans from any spec, by the table of keys, on any host that answers in any way.
//!
//! Must not know: which plans are right; see `right`.

use super::dice::Dice;
use super::right;
use jail::jail::ask::ask;
use jail::jail::facts::{
    Caller, End, Facts, FileKind, Group, Hop, Kernel, Listing, Manager, Mapped, PathFact, Program, Questions,
    Stop, User, UserNamespaces,
};
use jail::jail::limits::facts::{Asked, Cgroups, Hierarchy, Level, Weighting};
use jail::jail::path::AbsPath;
use jail::jail::resolve::{Feature, resolve};
use jail::plan::build::build;
use jail::problem::{Paint, Problems, Sources};
use jail::spec::Device;
use jail::spec::keys::{self, About, KEYS, Key, Kind};
use jail::spec::parse::parse;

/// How far it came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Came {
    /// The text was refused.
    Unparsed,
    /// The jail was refused.
    Unresolved,
    /// There was a plan, and it was right.
    Planned,
}

/// Plans what these bytes say. Panics if anything is as it must never be.
pub fn plan(bytes: &[u8]) -> Came {
    let mut dice = Dice::new(bytes);
    let text = spec_text(&mut dice);
    let _shown = Shown(&text);
    let mut sources = Sources::default();
    let source = sources.add("x.toml", text.clone());
    let mut problems = Problems::default();
    let spec = parse(&text, source, &mut problems);
    if let Err(problems) = problems.none_or(()) {
        right::problems(&problems, &sources);
        return Came::Unparsed;
    }
    let facts = answer(&mut dice, &ask(&spec, "x"));
    let without: Vec<Feature> = Feature::ALL.iter().filter(|_| dice.once_in(12)).copied().collect();
    match resolve("x", &spec, &facts, &without) {
        Err(problems) => {
            right::problems(&problems, &sources);
            Came::Unresolved
        }
        Ok(jail) => {
            let plan = build(&jail);
            assert_eq!(plan, build(&jail), "not the same twice");
            right::plan(&plan);
            right::printable(&jail::plan::print::text(&plan, &sources, Paint(false)));
            // JSON is for programs: each line is one, but a name in it stays as it is.
            let json = jail::plan::print::json(&plan, &sources);
            assert!(json.chars().all(|c| c == '\n' || c >= ' '), "{json}");
            Came::Planned
        }
    }
}

/// The spec that a panic was about.
struct Shown<'a>(&'a str);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the spec was\n{}", self.0);
        }
    }
}

/// A spec of some keys of the table. Most specs can be parsed, most of those resolved.
fn spec_text(dice: &mut Dice<'_>) -> String {
    let mut text = String::from("process.command = [\"/usr/bin/x\"]\n");
    for (table, keys) in KEYS {
        for about in keys.iter().map(|key| &key.about) {
            // These few refuse most of what else there is.
            let rare = ["exec", "bind", "connect", "listen", "user-namespace"].contains(&about.name)
                || (*table == "limits" && !dice.once_in(3));
            let chosen = dice.once_in(3) && (!rare || dice.once_in(3));
            if ["command", "include"].contains(&about.name) || !chosen {
                continue;
            }
            let value = value(dice, about);
            let dot = if table.is_empty() { "" } else { "." };
            text += &format!("{table}{dot}{} = {value}\n", about.name);
        }
    }
    text
}

fn value(dice: &mut Dice<'_>, about: &About) -> String {
    match (about.name, about.kind) {
        // What may be wrong about limits is said by tests of their own.
        (_, Kind::Integer(1, _)) if about.table == "limits" => about.example.to_owned(),
        ("path" | "at" | "cwd", _) => quoted(&path(dice)),
        ("to", _) => quoted(&target(dice)),
        ("user", _) => quoted(dice.one(&["auto", "www-data", "root", "nobody", "4294967295", "ghost"])),
        ("group", _) => quoted(group(dice)),
        ("groups", _) => list(dice, 3, |dice| quoted(group(dice))),
        ("umask", _) => quoted(dice.one(&["0022", "0077", "0777", "0000"])),
        ("capabilities", _) => {
            list(dice, 3, |d| quoted(d.one(&["NET_BIND_SERVICE", "cap_chown", "SYS_PTRACE", "SETUID", "X"])))
        }
        ("system-calls", _) => list(dice, 4, |dice| {
            quoted(dice.one(&[
                "@service",
                "-@debug",
                "@setuid",
                "io_uring_setup",
                "-execve",
                "@all",
                "-@nothing",
            ]))
        }),
        ("share-namespaces", _) => list(dice, 2, |dice| quoted(dice.one(&["pid", "ipc", "uts", "cgroup"]))),
        ("exec", Kind::Strings) => list(dice, 2, |dice| quoted(&path(dice))),
        ("socket-families", _) => {
            list(dice, 3, |dice| quoted(dice.one(&["unix", "inet", "inet6", "netlink", "packet"])))
        }
        ("dev", _) => {
            list(dice, 3, |dice| quoted(dice.one(&["none", "pts", "shm", "fuse", "/dev/net/tun", "null"])))
        }
        ("directories", _) => list(dice, 2, |dice| quoted(dice.one(&["x", "a b", "..", "x/y", "\\n"]))),
        (_, Kind::Boolean) => dice.one(&["false", "true"]).to_owned(),
        (_, Kind::Octal) => quoted(dice.one(&["0750", "0000", "0777", "4755"])),
        (_, Kind::Words(words)) => quoted(dice.one(&words())),
        ("read", Kind::PathEntries) => list(dice, 5, |dice| entry(dice, keys::PATH_ENTRY, &["create"])),
        (_, Kind::PathEntries) => list(dice, 5, |dice| entry(dice, keys::PATH_ENTRY, &[])),
        (_, Kind::TmpfsEntries) => list(dice, 4, |dice| entry(dice, keys::TMPFS_ENTRY, &[])),
        (_, Kind::TextEntries) => list(dice, 3, |dice| entry(dice, keys::TEXT_ENTRY, &[])),
        (_, Kind::LinkEntries) => list(dice, 4, |dice| entry(dice, keys::LINK_ENTRY, &[])),
        (_, Kind::ListenEntries) => list(dice, 3, listen),
        (_, Kind::Ports) => list(dice, 3, |dice| dice.one(&["80", "443", "65535", "1", "0"]).to_owned()),
        (_, Kind::Root) if dice.once_in(2) => entry(dice, keys::ROOT, &[]),
        (_, Kind::Integer(least, most)) => dice.one(&[0, least, most, 7].each_ref()).to_string(),
        _ => about.example.to_owned(),
    }
}

fn list(dice: &mut Dice<'_>, most: usize, mut one: impl FnMut(&mut Dice<'_>) -> String) -> String {
    let count = dice.below(most + 1);
    let items: Vec<String> = (0..count).map(|_| one(dice)).collect();
    format!("[{}]", items.join(", "))
}

/// An entry as a table, with its required keys and few others.
fn entry<T>(dice: &mut Dice<'_>, keys: &[Key<T>], hardly: &[&str]) -> String {
    let mut chosen = Vec::new();
    for about in keys.iter().map(|key| &key.about) {
        let needed = about.default.is_empty() || ["path", "to", "content"].contains(&about.name);
        if needed || dice.once_in(if hardly.contains(&about.name) { 50 } else { 6 }) {
            chosen.push(format!("{} = {}", about.name, value(dice, about)));
        }
    }
    format!("{{ {} }}", chosen.join(", "))
}

fn listen(dice: &mut Dice<'_>) -> String {
    let unix = dice.once_in(3);
    let address = match unix {
        true => quoted(&format!("unix:{}/s", path(dice))),
        false => quoted(dice.one(&["127.0.0.1:80", "[::1]:443", "udp:0.0.0.0:53", "0.0.0.0:80"])),
    };
    let mut text = format!("address = {address}");
    for about in keys::LISTEN_ENTRY.iter().map(|key| &key.about).filter(|about| about.name != "address") {
        let only_unix = ["owner", "group", "mode"].contains(&about.name);
        if dice.once_in(if only_unix && !unix { 50 } else { 6 }) {
            text += &format!(", {} = {}", about.name, value(dice, about));
        }
    }
    format!("{{ {text} }}")
}

fn group<'a>(dice: &mut Dice<'_>) -> &'a str {
    if dice.once_in(20) { "ghost" } else { dice.one(&["www-data", "root", "tty", "adm"]) }
}

/// A TOML string; the escapes that it holds already stay.
fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

const NAMES: &[&str] = &[
    "usr", "etc", "var", "srv", "data", "tmp", "run", "dev", "proc", "lib", "bin", "null", "shm", "passwd",
    "a b", "x\\ny", "é", "\\\\", "\\u202e", ".", "..",
];

fn path(dice: &mut Dice<'_>) -> String {
    let depth = if dice.once_in(30) { 0 } else { 1 + dice.below(4) };
    let names: Vec<&str> = (0..depth).map(|_| dice.one(NAMES)).collect();
    // Mostly one that can be.
    let names = names.into_iter().filter(|name| *name != ".." || dice.once_in(20));
    format!("/{}", names.collect::<Vec<_>>().join("/"))
}

fn target(dice: &mut Dice<'_>) -> String {
    let up = "../".repeat(dice.below(4));
    let path = path(dice);
    if dice.once_in(2) { path } else { format!("{up}{}", &path[1..]) }
}

/// Version 2 alone, mostly with all that is needed.
fn cgroups(dice: &mut Dice<'_>, asked: &Asked) -> Cgroups {
    let names = ["cpu", "cpuset", "io", "memory", "pids"];
    let path = AbsPath::new("/sys/fs/cgroup").unwrap();
    let level = |path: AbsPath, few: bool| Level {
        path,
        controllers: names.iter().skip(usize::from(few)).map(|&name| name.to_owned()).collect(),
        enabled: names.map(str::to_owned).to_vec(),
        delegated: !few,
        writable: true,
    };
    let own = level(path.join("web.service"), dice.once_in(8));
    let levels = if dice.once_in(2) { vec![level(path, false)] } else { vec![level(path, false), own] };
    let disk = Device { major: 8, minor: 0 };
    let hierarchy = Hierarchy {
        levels,
        whole: !dice.once_in(4),
        others: usize::from(dice.once_in(8)),
        ..Hierarchy::default()
    };
    Cgroups {
        hierarchies: if dice.once_in(8) { Vec::new() } else { vec![hierarchy] },
        unique: "01234567".into(),
        cpus: (0..8).collect(),
        disks: vec![disk],
        paths: asked.paths.iter().map(|path| (path.clone(), Ok(vec![disk]))).collect(),
        weighting: Weighting::Bfq,
        ..Cgroups::default()
    }
}

fn answer(dice: &mut Dice<'_>, questions: &Questions) -> Facts {
    let rootless = dice.once_in(4);
    let mut facts = Facts { auto: (!dice.once_in(20)).then_some((2_000_000, 2_000_000)), ..Facts::default() };
    facts.caller = Caller {
        uid: if rootless { 1000 } else { 0 },
        gid: if rootless { 1000 } else { 0 },
        mapped: dice.once_in(8).then(|| mapped(dice)),
        groups: if dice.once_in(4) { vec![27, 4] } else { Vec::new() },
        capabilities: if dice.once_in(8) { dice.number().into() } else { u64::MAX },
        terminal: dice.once_in(2),
        can_start_session: !dice.once_in(4),
        sockets: if dice.once_in(8) { vec!["http".into(), "x".into()] } else { Vec::new() },
        manager: dice.once_in(8).then(|| Manager { socket: "/run/systemd/notify".into(), watchdog: Some(1) }),
        // The first of them, if there are any, is where a `listen` entry may be.
        addresses: vec!["0.0.0.0:80".into(), String::new()],
    };
    facts.kernel = Kernel {
        version: if dice.once_in(20) { (5, 10) } else { (6, 12) },
        landlock: if dice.once_in(8) { 0 } else { 1 + dice.number() % 9 },
        last_capability: 40,
        seccomp: !dice.once_in(16),
        deny_write_execute: !dice.once_in(4),
        keyrings: !dice.once_in(16),
        user_namespaces: match dice.below(16) {
            0 => UserNamespaces::NoneAtAll,
            1 => UserNamespaces::RootOnly,
            2 => UserNamespaces::AppArmor,
            _ => UserNamespaces::Allowed,
        },
    };
    for name in &questions.users {
        let id = dice.one(&[33, 0, 1000, u32::MAX].each_ref()).to_owned();
        let user = User { name: name.clone(), uid: id, gid: id, ..User::default() };
        facts.users.insert(name.clone(), (name != "ghost").then_some(user));
    }
    for name in &questions.groups {
        let group = Group { name: name.clone(), gid: dice.one(&[33, 0, 5].each_ref()).to_owned() };
        facts.groups.insert(name.clone(), (name != "ghost").then_some(group));
    }
    for path in &questions.paths {
        facts.paths.insert(path.clone(), fact(dice, path));
    }
    for path in &questions.listings {
        let end = facts.paths.get(path).and_then(|fact| fact.end.as_ref().ok()).cloned();
        let Some(end) = end.filter(|_| !dice.once_in(8)) else { continue };
        let names: Vec<String> =
            ["a.pem", "b.pem"].iter().take(dice.below(3)).map(|n| (*n).to_owned()).collect();
        for child in names.iter().map(|name| end.path.join(name)) {
            let mut child_fact = fact(dice, &child);
            if let (Ok(end), false) = (&mut child_fact.end, dice.once_in(4)) {
                end.kind = FileKind::File;
            }
            facts.paths.entry(child).or_insert(child_fact);
        }
        facts.listings.insert(path.clone(), Listing { names, directories: dice.once_in(6) });
    }
    for path in &questions.inside {
        facts.inside.insert(path.clone(), fact(dice, path));
    }
    if let Some(Ok(root)) = questions.root.as_ref().and_then(|r| facts.paths.get_mut(r)).map(|f| &mut f.end)
        && !dice.once_in(8)
    {
        root.kind = FileKind::Directory;
    }
    for link in &questions.links {
        if dice.once_in(2) {
            facts.links.insert(link.clone(), target(dice));
        }
    }
    for directory in &questions.socket_directories {
        let open = dice.once_in(4).then(|| directory.clone());
        let stop = Stop { errno: 2, path: directory.clone() };
        let answer = if dice.once_in(8) { Err(stop) } else { Ok(open) };
        facts.socket_directories.insert(directory.clone(), answer);
    }
    facts.cgroups = questions.limits.as_ref().map(|asked| cgroups(dice, asked));
    facts.range = (!dice.once_in(20)).then_some(1_879_048_192);
    for name in questions.env.iter().filter(|_| dice.once_in(2)) {
        facts.env.insert(name.clone(), "x".into());
    }
    for path in &questions.programs {
        let loader = AbsPath::root().join("lib").join("ld.so");
        let files = [path.clone(), loader].map(|file| (file.clone(), fact(dice, &file)));
        let files = files.into_iter().take(1 + dice.below(2)).collect();
        let near = dice.once_in(4).then(|| "/usr/bin/near".into());
        facts.programs.insert(path.clone(), Program { files, near });
    }
    facts
}

/// The ids of a container that jail is run in.
fn mapped(dice: &mut Dice<'_>) -> Mapped {
    let ranges = |dice: &mut Dice<'_>| vec![(0, *dice.one(&[1, 1000, 65536].each_ref()))];
    Mapped { users: ranges(dice), groups: ranges(dice), fixed_groups: dice.once_in(4) }
}

fn fact(dice: &mut Dice<'_>, path: &AbsPath) -> PathFact {
    let mut hops = Vec::new();
    while hops.len() < 3 && dice.once_in(6) {
        let up = dice.below(3);
        let link = (0..up).fold(path.clone(), |path, _| path.parent().unwrap_or_else(AbsPath::root));
        if link != AbsPath::root() {
            let untrusted = dice.once_in(6).then(|| link.clone());
            hops.push(Hop { link, target: target(dice), untrusted });
        }
    }
    if dice.once_in(12) {
        let errno = *dice.one(&[2, 13, 20, 40, 84, 5].each_ref());
        return PathFact { hops, end: Err(Stop { errno, path: path.clone() }) };
    }
    let elsewhere = if hops.is_empty() { None } else { AbsPath::new(&self::path(dice)).ok() };
    let device = path.is_within(&AbsPath::root().join("dev"));
    let kind = match dice.below(12) {
        0..11 if device => FileKind::Device,
        0..7 => FileKind::Directory,
        7..9 => FileKind::File,
        9 => FileKind::Device,
        10 => FileKind::Socket,
        _ => *dice.one(&[FileKind::BlockDevice, FileKind::Fifo].each_ref()),
    };
    let size = if dice.once_in(8) { 1 << 30 } else { 100 };
    let end = End {
        path: elsewhere.unwrap_or_else(|| path.clone()),
        kind,
        size,
        mode: 0o4755,
        uid: 0,
        gid: 0,
        untrusted: dice.once_in(8).then(|| path.clone()),
        guarded: dice.once_in(8),
    };
    PathFact { hops, end: Ok(end) }
}
