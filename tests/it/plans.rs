//! Golden plans: what each shipped spec becomes on a host that is described here, as data. Run with
//! `UPDATE_GOLDEN=1` to write them anew after a change that was meant.
//!
//! Must not know: anything of the host that runs the tests.

use crate::ring::Ring::Pure;
use crate::ring::{Test, test};
use jail::apply::{Call, Failure, explain};
use jail::jail::ask::ask;
use jail::jail::facts::{
    Caller, End, Facts, FileKind, Group, Hop, Kernel, Mapped, PathFact, Program, Questions, Stop, User,
    UserNamespaces,
};
use jail::jail::path::AbsPath;
use jail::jail::resolve::{Feature, resolve};
use jail::plan::{Plan, Step};
use jail::plan::{build, print};
use jail::problem::{Paint, Problems, Sources};
use jail::spec::load::{Roots, Trust, load_from};
use std::path::{Path, PathBuf};

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    let mut tests: Vec<Test> = jail::spec::builtin::SPECS
        .iter()
        .map(|spec| test(Pure, format!("plans::golden_{}", spec.name), || golden_plan(spec.name)))
        .collect();
    tests.push(test(Pure, "plans::the_same_facts_give_the_same_plan", the_same_facts_give_the_same_plan));
    tests.push(test(
        Pure,
        "plans::rootless_gives_up_nothing_in_silence",
        rootless_gives_up_nothing_in_silence,
    ));
    tests.push(test(Pure, "plans::an_old_kernel_is_one_clear_error", an_old_kernel_is_one_clear_error));
    tests.push(test(Pure, "plans::golden_user_namespace", golden_user_namespace));
    tests.push(test(Pure, "plans::forbidden_user_namespaces_are_said_plainly", forbidden_user_namespaces));
    tests.push(test(Pure, "plans::refused_namespaces_are_explained", refused_namespaces_are_explained));
    tests.push(test(Pure, "plans::what_the_kernel_lacks_is_an_error", what_the_kernel_lacks_is_an_error));
    tests.push(test(Pure, "plans::an_older_landlock_knows_no_ports", an_older_landlock_knows_no_ports));
    tests.push(test(Pure, "plans::an_id_that_is_not_mapped_is_named", an_id_that_is_not_mapped_is_named));
    tests.push(test(
        Pure,
        "plans::every_shipped_spec_gets_the_whole_kernel_wall",
        every_shipped_spec_gets_the_whole_wall,
    ));
    tests
}

/// Where golden files are.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// Compares a text with a golden file, or writes the file when that is what was asked for.
#[track_caller]
pub fn compare(file: &Path, text: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        return std::fs::write(file, text).unwrap();
    }
    let expected = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    if let Some((number, (is, should))) =
        text.lines().zip(expected.lines()).enumerate().find(|(_, (is, should))| is != should)
    {
        panic!(
            "{}:{}\n  is:     {is}\n  should: {should}\n(UPDATE_GOLDEN=1 accepts it)",
            file.display(),
            number + 1
        );
    }
    assert_eq!(text, expected, "{} (UPDATE_GOLDEN=1 accepts it)", file.display());
}

/// A usr-merged Debian host of the usual kind, seen by root.
pub fn host(questions: &Questions) -> Facts {
    let everything = (1 << 41) - 1;
    Facts {
        caller: Caller { capabilities: everything, can_start_session: true, ..Caller::default() },
        kernel: Kernel {
            version: (6, 12),
            landlock: 6,
            last_capability: 40,
            seccomp: true,
            deny_write_execute: true,
            keyrings: true,
            user_namespaces: UserNamespaces::Allowed,
        },
        users: questions.users.iter().map(|name| (name.clone(), user(name))).collect(),
        groups: questions.groups.iter().map(|name| (name.clone(), group(name))).collect(),
        paths: questions.paths.iter().map(|path| (path.clone(), fact(path))).collect(),
        listings: Default::default(),
        inside: questions.inside.iter().map(|path| (path.clone(), fact(path))).collect(),
        links: questions.links.iter().filter_map(|link| Some((link.clone(), common_link(link)?))).collect(),
        socket_directories: questions.socket_directories.iter().map(|d| (d.clone(), Ok(None))).collect(),
        auto: questions.auto.as_ref().map(|_| (2_000_123, 2_000_123)),
        range: questions.range.as_ref().map(|_| 1_900_003_328),
        env: Default::default(),
        cgroups: None,
        programs: questions.programs.iter().map(|path| (path.clone(), program(path))).collect(),
    }
}

/// A dynamic program, as all of the shipped servers are.
fn program(path: &AbsPath) -> Program {
    let file = |path: &str| PathFact {
        hops: Vec::new(),
        end: Ok(End {
            path: abs(path),
            kind: FileKind::File,
            size: 4096,
            mode: 0o755,
            uid: 0,
            gid: 0,
            untrusted: None,
            guarded: false,
        }),
    };
    let loader = file("/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2");
    let files = vec![(path.clone(), file(path.as_str())), (abs("/lib64/ld-linux-x86-64.so.2"), loader)];
    Program { files, near: None }
}

fn user(name: &str) -> Option<User> {
    let known = [
        ("_chrony", 107),
        ("bind", 110),
        ("dnsmasq", 112),
        ("haproxy", 107),
        ("memcache", 106),
        ("mosquitto", 108),
        ("mysql", 104),
        ("nsd", 108),
        ("postgres", 101),
        ("prometheus", 111),
        ("proxy", 13),
        ("redis", 105),
        ("root", 0),
        ("stunnel4", 109),
        ("unbound", 109),
        ("vcache", 110),
        ("www-data", 33),
    ];
    let (name, id) = known.into_iter().find(|(known, _)| *known == name)?;
    let (home, shell) = ("/nonexistent".into(), "/usr/sbin/nologin".into());
    Some(User { name: name.into(), uid: id, gid: id, group: name.into(), home, shell })
}

fn group(name: &str) -> Option<Group> {
    if name == "adm" {
        return Some(Group { name: "adm".into(), gid: 4 });
    }
    user(name).map(|u| Group { name: u.group, gid: u.gid })
}

fn common_link(link: &AbsPath) -> Option<String> {
    let known = [
        ("/bin", "usr/bin"),
        ("/sbin", "usr/sbin"),
        ("/lib", "usr/lib"),
        ("/lib64", "usr/lib64"),
        ("/var/run", "/run"),
        ("/var/lock", "/run/lock"),
    ];
    known.into_iter().find(|(known, _)| *known == link.as_str()).map(|(_, target)| target.to_owned())
}

const FILES: &[(&str, u64)] = &[
    ("/etc/aliases", 51),
    ("/etc/aliases.db", 12288),
    ("/etc/dnsmasq.conf", 27504),
    ("/etc/environment", 13),
    ("/etc/hosts", 187),
    ("/etc/host.conf", 9),
    ("/etc/gai.conf", 2584),
    ("/etc/services", 12813),
    ("/etc/timezone", 8),
    ("/etc/mime.types", 72029),
    ("/etc/ssl/openssl.cnf", 12411),
    ("/etc/locale.alias", 2996),
    ("/etc/passwd", 1600),
    ("/etc/default/locale", 13),
    ("/etc/ssl/private/ssl-cert-snakeoil.key", 1704),
    ("/etc/ssl/certs/ssl-cert-snakeoil.pem", 1070),
    ("/etc/ssh/ssh_host_ed25519_key", 399),
    ("/etc/ssh/sftp_keys", 80),
    ("/etc/shells", 128),
    ("/etc/shadow", 900),
    ("/etc/profile", 769),
    ("/etc/pam.d/dovecot", 91),
    ("/etc/pam.d/common-session", 1156),
    ("/etc/pam.d/common-password", 1440),
    ("/etc/pam.d/common-auth", 1221),
    ("/etc/pam.d/common-account", 1208),
    ("/etc/mailname", 9),
    ("/etc/motd", 286),
    ("/etc/login.defs", 12569),
    ("/etc/group", 800),
    ("/usr/share/zoneinfo/Etc/UTC", 114),
    ("/run/systemd/resolve/stub-resolv.conf", 920),
];

const LINKS: &[(&str, &str, &str)] = &[
    ("/etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf", "/run/systemd/resolve/stub-resolv.conf"),
    ("/etc/localtime", "/usr/share/zoneinfo/Etc/UTC", "/usr/share/zoneinfo/Etc/UTC"),
];

const MISSING: &[&str] = &["/etc/pki/ca-trust", "/etc/crypto-policies", "/usr/local/share/ca-certificates"];

fn fact(path: &AbsPath) -> PathFact {
    if MISSING.contains(&path.as_str()) {
        return PathFact { hops: Vec::new(), end: Err(Stop { errno: 2, path: path.clone() }) };
    }
    let link = LINKS.iter().find(|(link, ..)| *link == path.as_str());
    let hops =
        link.map(|(link, target, _)| Hop { link: abs(link), target: (*target).to_owned(), untrusted: None });
    let end = link.map_or(path.clone(), |(_, _, end)| abs(end));
    let file = FILES.iter().find(|(file, _)| *file == end.as_str());
    let (kind, size, mode) =
        file.map_or((FileKind::Directory, 0, 0o755), |(_, size)| (FileKind::File, *size, 0o644));
    PathFact {
        hops: hops.into_iter().collect(),
        end: Ok(End { path: end, kind, size, mode, uid: 0, gid: 0, untrusted: None, guarded: false }),
    }
}

fn abs(path: &str) -> AbsPath {
    AbsPath::new(path).unwrap()
}

/// The plan of a shipped spec on that host, with `change` made to the facts.
pub fn plan(
    name: &str,
    without: &[Feature],
    change: impl Fn(&mut Facts),
) -> (Result<Plan, Problems>, Sources) {
    let nowhere = Roots { working: "/nonexistent".into(), system: "/nonexistent".into() };
    let mut sources = Sources::default();
    let loaded = load_from(&nowhere, name, Trust::Root, &mut sources).unwrap();
    let questions = ask(&loaded.spec, name);
    let mut facts = host(&questions);
    change(&mut facts);
    (resolve(name, &loaded.spec, &facts, without).map(|jail| build::build(&jail)), sources)
}

/// The plan of a shipped spec on that host.
#[track_caller]
pub fn planned(name: &str) -> (Plan, Sources) {
    let (plan, sources) = plan(name, &[], |_| {});
    (plan.unwrap_or_else(|problems| panic!("{}", problems.render(&sources, Paint(false)))), sources)
}

fn golden_plan(name: &str) {
    let (plan, sources) = planned(name);
    compare(&golden(&format!("plans/{name}.txt")), &print::text(&plan, &sources, Paint(false)));
}

fn the_same_facts_give_the_same_plan() {
    for spec in jail::spec::builtin::SPECS {
        let (first, sources) = planned(spec.name);
        assert_eq!(first, planned(spec.name).0, "{}", spec.name);
        let json = print::json(&first, &sources);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["steps"].as_array().unwrap().len(), first.steps.len());
    }
}

/// A stranger with supplementary groups: only root can drop them.
fn rootless_gives_up_nothing_in_silence() {
    let stranger = |facts: &mut Facts| {
        facts.caller =
            Caller { uid: 1000, gid: 1000, groups: vec![27], can_start_session: true, ..Caller::default() };
        facts.auto = Some((1000, 1000));
    };
    let (refused, sources) = plan("hello", &[], stranger);
    let text = refused.unwrap_err().render(&sources, Paint(false));
    assert!(text.contains("--without groups"), "{text}");
    let (given_up, _) = plan("hello", &[Feature::Groups], stranger);
    let given_up = given_up.unwrap().given_up;
    assert_eq!(given_up.iter().map(|g| g.what.as_str()).collect::<Vec<_>>(), ["groups"]);
}

/// A spec of no shipped server: root inside, in a directory of www-data's.
const USER_NAMESPACE: &str = r#"
[process]
command = ["/usr/sbin/server"]
groups = ["redis"]
[files]
read = ["/usr", "/etc/hosts"]
write = ["/var/lib/server", { path = "/var/log/server", create = "0750" }]
tmpfs = ["/run"]
[privileges]
user-namespace = true
capabilities = ["SETUID", "SETGID", "KILL"]
system-calls = ["@service", "@setuid"]
"#;

fn in_user_namespace(change: impl Fn(&mut Facts)) -> (Result<Plan, Problems>, Sources) {
    let (mut sources, mut problems) = (Sources::default(), Problems::default());
    let source = sources.add("server.toml", USER_NAMESPACE);
    let spec = jail::spec::parse::parse(USER_NAMESPACE, source, &mut problems);
    assert_eq!(problems, Problems::default());
    let mut facts = host(&ask(&spec, "server"));
    if let Some(PathFact { end: Ok(end), .. }) = facts.paths.get_mut(&abs("/var/lib/server")) {
        (end.uid, end.gid) = (33, 4);
    }
    let missing = PathFact { hops: Vec::new(), end: Err(Stop { errno: 2, path: abs("/var/log/server") }) };
    facts.paths.insert(abs("/var/log/server"), missing);
    change(&mut facts);
    (resolve("server", &spec, &facts, &[]).map(|jail| build::build(&jail)), sources)
}

fn golden_user_namespace() {
    let (plan, sources) = in_user_namespace(|_| {});
    let plan = plan.unwrap_or_else(|problems| panic!("{}", problems.render(&sources, Paint(false))));
    compare(&golden("plans/user-namespace.txt"), &print::text(&plan, &sources, Paint(false)));
    let (refused, sources) = in_user_namespace(|facts| facts.range = None);
    let text = refused.unwrap_err().render(&sources, Paint(false));
    compare(&golden("messages/user-namespace-no-range.stderr"), &format!("exit 125\n{text}"));
}

fn forbidden_user_namespaces() {
    let stranger = Caller { uid: 1000, gid: 1000, can_start_session: true, ..Caller::default() };
    for (why, name) in [
        (UserNamespaces::NoneAtAll, "no-user-namespaces"),
        (UserNamespaces::RootOnly, "no-user-namespaces-debian"),
        (UserNamespaces::AppArmor, "no-user-namespaces-apparmor"),
    ] {
        let facts = |facts: &mut Facts| {
            facts.caller = stranger.clone();
            facts.kernel.user_namespaces = why;
        };
        let (refused, sources) = plan("hello", &[], facts);
        let problems = refused.unwrap_err();
        assert_eq!((problems.0.len(), problems.code()), (1, 125), "{problems:?}");
        let text = problems.render(&sources, Paint(false));
        compare(&golden(&format!("messages/{name}.stderr")), &format!("exit 125\n{text}"));
        // Root, and whoever has the capability for it, are not forbidden by the last two.
        let (root, _) = plan("hello", &[], |facts| facts.kernel.user_namespaces = why);
        assert!(root.is_ok());
        let able = |facts: &mut Facts| {
            facts.kernel.user_namespaces = why;
            facts.caller = Caller { capabilities: 1 << 21, ..stranger.clone() };
        };
        assert_eq!(plan("hello", &[], able).0.is_ok(), why != UserNamespaces::NoneAtAll);
    }
}

/// What only shows when it is tried.
fn refused_namespaces_are_explained() {
    let rootless = |facts: &mut Facts| {
        facts.caller = Caller { uid: 1000, gid: 1000, can_start_session: true, ..Caller::default() };
    };
    let (hello, hello_sources) = plan("hello", &[], rootless);
    let (hello, hello_sources) = (hello.unwrap(), hello_sources);
    let (server, server_sources) = in_user_namespace(|_| {});
    let server = server.unwrap();
    let step =
        |plan: &Plan, wanted: fn(&Step) -> bool| plan.steps.iter().position(|p| wanted(&p.step)).unwrap();
    let made = step(&server, |s| matches!(s, Step::UserNamespace { .. }));
    let mapped = step(&server, |s| matches!(s, Step::MapOwners { .. }));
    let hello = (&hello, &hello_sources);
    let server = (&server, &server_sources);
    for (name, (plan, sources), step, call, errno) in [
        ("namespace-refused-to-a-user", hello, 0, Call::Clone, libc::EPERM),
        ("namespace-without-capabilities", hello, 1, Call::Mount, libc::EACCES),
        ("user-namespace-refused", server, made, Call::Clone, libc::EPERM),
        ("user-namespace-limit", server, made, Call::Clone, libc::ENOSPC),
        ("user-namespace-map-refused", server, made, Call::WriteMap, libc::EPERM),
        ("user-namespace-file-system", server, mapped, Call::MapOwners, libc::EINVAL),
        ("user-namespace-mapped-already", server, mapped, Call::MapOwners, libc::EPERM),
    ] {
        let failure = Failure { step, call, errno, detail: 0 };
        let text = explain::problem(plan, failure).render(sources, Paint(false));
        // Not the subject here, and different with every new step.
        let numbers = format!("step {} of {} ", step + 1, plan.steps.len());
        assert!(text.contains(&numbers), "{text}");
        let text = text.replace(&numbers, "step N ");
        compare(&golden(&format!("messages/{name}.stderr")), &format!("exit 125\n{text}"));
    }
}

fn an_old_kernel_is_one_clear_error() {
    let (refused, sources) = plan("nginx", &[], |facts| facts.kernel.version = (5, 13));
    let problems = refused.unwrap_err();
    assert_eq!((problems.0.len(), problems.code()), (1, 125));
    compare(
        &golden("messages/kernel-too-old.stderr"),
        &format!("exit 125\n{}", problems.render(&sources, Paint(false))),
    );
}

fn what_the_kernel_lacks_is_an_error() {
    type Lack = fn(&mut Facts);
    let lacks: [(Feature, Lack); 3] = [
        (Feature::Landlock, |f| f.kernel.landlock = 0),
        (Feature::Seccomp, |f| f.kernel.seccomp = false),
        (Feature::Keyring, |f| f.kernel.keyrings = false),
    ];
    for (feature, lack) in lacks {
        let (refused, sources) = plan("nginx", &[], lack);
        let problems = refused.unwrap_err();
        let text = problems.render(&sources, Paint(false));
        assert_eq!(problems.code(), 125);
        compare(
            &golden(&format!("messages/kernel-without-{}.stderr", feature.name())),
            &format!("exit 125\n{text}"),
        );
        let (given_up, _) = plan("nginx", &[feature], lack);
        let given_up: Vec<String> = given_up.unwrap().given_up.into_iter().map(|g| g.what).collect();
        // Landlock enforces nginx's `exec`, and a filter keeps memory from being executed past it.
        let also = if feature == Feature::Keyring { &[][..] } else { &["exec"] };
        assert_eq!(given_up, [&[feature.name()], also].concat());
    }
}

/// Ports came with Landlock's fourth version: the key is named, and what gives it up.
fn an_older_landlock_knows_no_ports() {
    let old = |facts: &mut Facts| facts.kernel.landlock = 3;
    let text = "[process]\ncommand = [\"/bin/true\"]\n[network]\nconnect = [443]\n";
    let resolved = |without: &[Feature], change: fn(&mut Facts)| {
        let mut problems = Problems::default();
        let mut sources = Sources::default();
        let source = sources.add("web.toml", text);
        let spec = jail::spec::parse::parse(text, source, &mut problems);
        assert_eq!(problems.0, []);
        let mut facts = host(&ask(&spec, "web"));
        change(&mut facts);
        resolve("web", &spec, &facts, without)
            .map_err(|problems| (problems.render(&sources, Paint(false)), problems))
    };
    let (text, problems) = resolved(&[], old).unwrap_err();
    assert_eq!((problems.0.len(), problems.code()), (1, 125));
    compare(&golden("messages/kernel-without-network-ports.stderr"), &format!("exit 125\n{text}"));
    let given_up = resolved(&[Feature::NetworkPorts], old).unwrap();
    assert_eq!(
        given_up.given_up.iter().map(|g| g.by.as_str()).collect::<Vec<_>>(),
        ["--without network-ports"]
    );
    assert!(!given_up.network.ports.limited());
    let kept = resolved(&[], |facts| facts.kernel.landlock = 4).unwrap();
    let plan = print::text(&build::build(&kept), &Sources::default(), Paint(false));
    assert!(plan.contains("Landlock rules (ABI 4): ") && plan.contains("; TCP connect 443\n"), "{plan}");
    assert!(plan.contains("no MPTCP") && !plan.contains("TCP bind"), "{plan}");
}

/// In a container the kernel has only some ids.
fn an_id_that_is_not_mapped_is_named() {
    let (refused, sources) = plan("nginx", &[], |facts| {
        let ids = vec![(0, 1), (1, 20)];
        facts.caller.mapped = Some(Mapped { users: ids.clone(), groups: ids, fixed_groups: false });
    });
    let problems = refused.unwrap_err();
    let text = format!("exit {}\n{}", problems.code(), problems.render(&sources, Paint(false)));
    compare(&golden("messages/id-not-mapped.stderr"), &text);
    // Root of a single id is like any user: one more user namespace, with one id.
    let (plan, _) = plan("hello", &[], |facts| {
        let ids = vec![(0, 1)];
        facts.caller.mapped = Some(Mapped { users: ids.clone(), groups: ids, fixed_groups: true });
    });
    let first = plan.unwrap().steps.swap_remove(0).step;
    assert!(matches!(first, Step::Isolate { user: Some(map), .. } if map.uid == (2_000_123, 0)), "{first:?}");
}

/// No shipped spec gives anything up, but for what its program cannot do without.
fn every_shipped_spec_gets_the_whole_wall() {
    for spec in jail::spec::builtin::SPECS {
        let (plan, _) = planned(spec.name);
        // These make code as they run.
        let makes_code = ["java", "node"].contains(&spec.name);
        let given_up = if makes_code { &["memory-deny-write-execute"][..] } else { &[] };
        assert_eq!(
            plan.given_up.iter().map(|g| g.what.as_str()).collect::<Vec<_>>(),
            given_up,
            "{}",
            spec.name
        );
        let has = |wanted: fn(&Step) -> bool| plan.steps.iter().any(|p| wanted(&p.step));
        assert!(has(|s| matches!(s, Step::Seccomp(_))), "{}", spec.name);
        assert!(has(|s| matches!(s, Step::LandlockRestrict)), "{}", spec.name);
        assert!(has(|s| matches!(s, Step::CheckProcess(_))), "{}", spec.name);
        assert_eq!(has(|s| matches!(s, Step::DenyWriteExecute)), !makes_code, "{}", spec.name);
        assert!(has(|s| matches!(s, Step::Keyring)), "{}", spec.name);
        assert!(matches!(plan.steps.last().map(|p| &p.step), Some(Step::Execute { .. })), "{}", spec.name);
    }
}
