//! Reports of specs on a host that has next to nothing: the sum, the order, what is assumed.
//! `cases` has each rule, `tables` the invariants, `page` the page.
#![forbid(unsafe_code)]

mod cases;
mod page;
mod tables;

use super::{Report, Score, Subject, assume, audit};
use crate::jail::ask::ask;
use crate::jail::facts::{Caller, End, Facts, FileKind, Hop, PathFact, Stop, User};
use crate::jail::path::AbsPath;
use crate::jail::resolve::{Feature, resolve};
use crate::plan::build::build;
use crate::problem::{Paint, Problems, Sources};
use crate::spec::parse::parse;

/// Files of the host that these specs run on; it has nothing else.
const FILES: &[&str] = &["/etc/shadow", "/etc/passwd"];

/// A host with root and two files, seen by a stranger, on a kernel that has nothing.
fn bare_host(spec: &crate::spec::Spec) -> Facts {
    let questions = ask(spec, "web");
    let path = |path: &AbsPath| {
        let there = FILES.contains(&path.as_str());
        let end = End {
            path: path.clone(),
            kind: FileKind::File,
            size: 1,
            mode: 0o600,
            uid: 0,
            gid: 0,
            untrusted: None,
            guarded: false,
        };
        let end = if there { Ok(end) } else { Err(Stop { errno: 2, path: path.clone() }) };
        (path.clone(), PathFact { hops: Vec::new(), end })
    };
    let root = User { name: "root".into(), group: "root".into(), ..User::default() };
    Facts {
        caller: Caller { uid: 1000, gid: 1000, groups: vec![27], ..Caller::default() },
        users: questions.users.iter().map(|n| (n.clone(), (n == "root").then(|| root.clone()))).collect(),
        groups: questions.groups.iter().map(|name| (name.clone(), None)).collect(),
        paths: questions.paths.iter().map(path).collect(),
        auto: Some((2_000_123, 2_000_123)),
        ..Facts::default()
    }
}

/// The verdict on a spec that need not name a command; its text is source 0.
#[track_caller]
fn judged(text: &str, without: &[Feature]) -> (Report, Sources) {
    let mut sources = Sources::default();
    let source = sources.add("web.toml", text);
    let mut problems = Problems::default();
    let mut spec = parse(text, source, &mut problems);
    assert_eq!(problems.0, [], "{text}");
    let command = "[process]\ncommand = [\"/usr/bin/server\"]\n";
    if spec.process.command.is_none() {
        spec.process.command = parse(command, sources.add("command", command), &mut problems).process.command;
    }
    let mut facts = bare_host(&spec);
    let assumed = assume(&mut facts, &spec);
    let jail = resolve("web", &spec, &facts, without);
    let jail = jail.unwrap_or_else(|p| panic!("{text}\n{}", p.render(&sources, Paint(false))));
    (audit(Subject { plan: &build(&jail), spec: &spec }, assumed), sources)
}

/// Only a jail that was not started by root has a user namespace, and can fail to drop groups.
#[test]
fn a_jail_started_without_root_is_judged_by_its_user_namespace() {
    let text = "[process]\ncommand = [\"/bin/true\"]";
    let spec = parse(text, 0, &mut Problems::default());
    let mut facts = bare_host(&spec);
    assume(&mut facts, &spec);
    facts.caller.uid = 1000;
    facts.caller.gid = 1000;
    facts.caller.groups = vec![27];
    let rules = |without: &[Feature]| -> Vec<&str> {
        let plan = build(&resolve("web", &spec, &facts, without).unwrap());
        let report = audit(Subject { plan: &plan, spec: &spec }, Vec::new());
        report.findings.iter().map(|f| f.rule.name).collect()
    };
    let rootless = rules(&[Feature::Groups]);
    assert!(rootless.contains(&"callers-groups") && !rootless.contains(&"ids-of-the-host"), "{rootless:?}");
    facts.caller.groups.clear();
    let rules = |facts: &Facts| -> Vec<&str> {
        let plan = build(&resolve("web", &spec, facts, &[]).unwrap());
        audit(Subject { plan: &plan, spec: &spec }, Vec::new()).findings.iter().map(|f| f.rule.name).collect()
    };
    assert!(!rules(&facts).contains(&"callers-groups"));
    facts.caller.uid = 0;
    assert!(rules(&facts).contains(&"ids-of-the-host"));
}

#[test]
fn root_in_a_user_namespace_is_not_root() {
    let keys = |more: &str| {
        format!(
            "privileges.capabilities = [\"SETUID\", \"SYS_ADMIN\"]\n{more}\nfiles.write = [\"/srv/data\"]\n\
             privileges.system-calls = [\"@service\", \"@setuid\"]"
        )
    };
    let rules = |more: &str| -> Vec<String> {
        let (report, _) = judged(&keys(more), &[]);
        report.findings.iter().map(|f| f.item.map_or(f.rule.name, |item| item.name).to_owned()).collect()
    };
    let outside = rules("process.user = \"root\"");
    let inside = rules("privileges.user-namespace = true");
    for name in ["root", "ids-of-the-host", "SETUID"] {
        assert!(outside.iter().any(|n| n == name), "{name}: {outside:?}");
        assert!(!inside.iter().any(|n| n == name), "{name}: {inside:?}");
    }
    assert!(inside.iter().any(|n| n == "SYS_ADMIN"), "it opens more of the kernel: {inside:?}");
}

#[test]
fn points_add_up_and_the_scale_ends_at_ten() {
    let (tight, _) = judged("network.mode = \"none\"", &[]);
    assert_eq!(tight.points(), tight.findings.iter().map(super::Finding::points).sum::<u32>());
    assert_eq!((tight.score().to_string().as_str(), tight.score().word()), ("0.6", "tight"));
    let open = "process.user = \"root\"\nfiles.root = { path = \"/\", write = true }";
    let (open, _) = judged(open, &[Feature::Seccomp]);
    assert!(open.points() > 100, "{}", open.points());
    assert_eq!((open.score(), open.score().word()), (Score(100), "open"));
    assert_eq!(
        open.worst().unwrap().points(),
        open.findings.iter().map(super::Finding::points).max().unwrap()
    );
}

#[test]
fn findings_stand_by_area_and_rule_the_gravest_first() {
    let text = "process.user = \"www-data\"\nprivileges.capabilities = [\"CHOWN\", \"SYS_ADMIN\"]\nfiles.read = [\"/usr\", \"/etc\"]";
    let (report, _) = judged(text, &[]);
    let names: Vec<&str> = report.findings.iter().map(|f| f.rule.name).collect();
    assert_eq!(names[..4], ["capabilities", "capabilities", "user-of-the-host", "ids-of-the-host"]);
    assert_eq!(names[4..6], ["shown", "interpreters"]);
    assert!(report.findings.is_sorted_by_key(|f| f.rule.area));
    assert_eq!(report.worst().unwrap().what, "has CAP_SYS_ADMIN");
}

#[test]
fn the_same_spec_gets_the_same_verdict_everywhere() {
    let text = "process.user = \"web\"\nfiles.read = [\"/usr\", \"/srv/www\"]";
    let spec = parse(&format!("{text}\nprocess.command = [\"/usr/bin/x\"]"), 0, &mut Problems::default());
    let mut facts = bare_host(&spec);
    let assumed = assume(&mut facts, &spec);
    assert_eq!(
        assumed,
        ["the user web exists and is an ordinary one", "/usr is a directory", "/srv/www is a directory"]
    );
    let again = facts.clone();
    assert_eq!(assume(&mut facts, &spec), Vec::<String>::new(), "all is there now");
    assert_eq!(facts, again);
}

#[test]
fn what_may_be_missing_is_not_assumed() {
    let text = "[process]\ncommand = [\"/usr/bin/x\"]\n[files]\nread = [{ path = \"/a\", optional = true }]\n\
                write = [{ path = \"/b/c\", create = \"0750\" }]";
    let spec = parse(text, 0, &mut Problems::default());
    let mut facts = bare_host(&spec);
    // Behind a directory that the caller may not enter: it may well be there.
    let guarded = AbsPath::new("/a").unwrap();
    assert_eq!(assume(&mut facts, &spec), ["/b is a directory"]);
    let stop = Stop { errno: 13, path: guarded.clone() };
    facts.paths.get_mut(&guarded).unwrap().end = Err(stop);
    assert_eq!(assume(&mut facts, &spec), ["/a is a directory"]);
    assert!(resolve("x", &spec, &facts, &[]).is_ok());
}

/// /var/run is a link to /run on most hosts: the socket behind it is the same.
#[test]
fn links_before_a_missing_name_are_followed() {
    let text = "[process]\ncommand = [\"/usr/bin/x\"]\n[files]\nread = [{ path = \"/var/run/docker.sock\", bind = true }]";
    let spec = parse(text, 0, &mut Problems::default());
    let mut facts = bare_host(&spec);
    let path = |text| AbsPath::new(text).unwrap();
    let fact = facts.paths.get_mut(&path("/var/run/docker.sock")).unwrap();
    fact.hops = vec![Hop { link: path("/var/run"), target: "/run".into(), untrusted: None }];
    fact.end = Err(Stop { errno: 2, path: path("/run/docker.sock") });
    assume(&mut facts, &spec);
    let plan = build(&resolve("x", &spec, &facts, &[]).unwrap());
    let report = audit(Subject { plan: &plan, spec: &spec }, Vec::new());
    assert_eq!(report.worst().unwrap().what, "can connect to /run/docker.sock");
}

#[test]
fn colour_changes_nothing_but_colour() {
    let (report, sources) = judged("process.user = \"root\"\nfiles.read = [\"/usr\"]", &[]);
    let (plain, painted) =
        (super::text(&report, &sources, Paint(false)), super::text(&report, &sources, Paint(true)));
    let mut stripped = String::new();
    for (n, part) in painted.split('\x1b').enumerate() {
        stripped += if n == 0 { part } else { part.split_once('m').unwrap().1 };
    }
    assert_eq!(stripped, plain);
    assert!(painted.contains("\x1b[1;31m 2.5\x1b[0m  runs as root"), "{painted}");
    assert!(plain.lines().all(|line| line.chars().count() <= 101), "{plain}");
}
