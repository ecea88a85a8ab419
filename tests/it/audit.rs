//! `jail audit`: golden reports on a host that is described as data, and the command itself.
//! `UPDATE_GOLDEN=1` writes the reports anew, `UPDATE_DOCS=1` the tables of docs/audit.md.
//!
//! Must not know: what any rule weighs, but by the golden files.

use crate::plans::{compare, golden, host};
use crate::ring::Ring::{Pure, Rootless};
use crate::run::{Room, Run, finish, jail, jail_as_stranger};
use jail::audit::{self, Report, Subject};
use jail::jail::ask::ask;
use jail::jail::facts::{FileKind, User};
use jail::jail::resolve::resolve;
use jail::plan::build;
use jail::problem::{Paint, Problems, Sources};
use serde_json::Value;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

crate::tests! {
    Pure => [
        hello_is_tight, wide_open_is_open, debians_nginx_is_open_and_so_is_root_in_disguise, other_shipped_specs_are_below_three, the_weights_are_documented,
        one_spec_is_a_report_and_several_a_table, a_threshold_decides_the_exit_code, json_has_its_shape,
        a_bad_spec_is_reported_beside_the_good_ones, a_server_that_is_not_here_is_assumed,
        a_promise_can_be_judged_as_given_up, the_page_is_written, a_page_is_not_written_through_a_link,
        the_command_line_is_checked,
    ],
    Rootless => [the_verdict_does_not_depend_on_who_asks],
}

/// The verdict on a text, on that host.
fn judged(name: &str, text: &str) -> (Report, Sources) {
    let (mut sources, mut problems) = (Sources::default(), Problems::default());
    let source = sources.add(format!("{name}.toml"), text);
    let spec = jail::spec::parse::parse(text, source, &mut problems);
    assert_eq!(problems.0, []);
    let mut facts = host(&ask(&spec, name));
    let root = User { name: "root".into(), group: "root".into(), ..User::default() };
    facts.users.entry("root".into()).and_modify(|user| *user = Some(root));
    for (_, fact) in facts.paths.iter_mut().filter(|(path, _)| path.as_str().starts_with("/dev/")) {
        fact.end.as_mut().unwrap().kind = FileKind::Device;
    }
    let assumed = audit::assume(&mut facts, &spec);
    let plan = resolve(name, &spec, &facts, &[]).map(|jail| build::build(&jail));
    let plan = plan.unwrap_or_else(|p| panic!("{}", p.render(&sources, Paint(false))));
    (audit::audit(Subject { plan: &plan, spec: &spec }, assumed), sources)
}

fn golden_report(name: &str, text: &str) -> Report {
    let (report, sources) = judged(name, text);
    compare(&golden(&format!("audit/{name}.txt")), &audit::text(&report, &sources, Paint(false)));
    report
}

fn hello_is_tight() {
    let spec = jail::spec::builtin::SPECS.iter().find(|spec| spec.name == "hello").unwrap();
    assert_eq!(golden_report("hello", spec.text).score().word(), "tight");
}

fn wide_open_is_open() {
    let text = std::fs::read_to_string(golden("audit/wide-open.toml")).unwrap();
    assert_eq!(golden_report("wide-open", &text).score().to_string(), "10.0");
}

/// The figures of the README.
fn debians_nginx_is_open_and_so_is_root_in_disguise() {
    for (name, score) in [("debian-nginx", "10.0"), ("root-in-disguise", "9.5")] {
        let text = std::fs::read_to_string(golden(&format!("audit/{name}.toml"))).unwrap();
        assert_eq!(judged(name, &text).0.score().to_string(), score, "{name}");
    }
}

/// They become each of their users, and who may become anybody is as good as root; sftp shows the keys of
/// its users.
const ABOVE: &[&str] = &["sftp", "dovecot", "openssh-server", "postfix", "vsftpd"];

fn other_shipped_specs_are_below_three() {
    let names = jail::spec::builtin::SPECS.iter().map(|spec| spec.name);
    let names: Vec<&str> = names.filter(|name| !ABOVE.contains(name)).collect();
    let room = Room::new();
    let words = ["audit", "--threshold", "3"].iter().chain(&names);
    let run = finish(jail(words).current_dir(room.path())).ended(0);
    assert_eq!(run.stderr, "");
    assert_eq!(run.stdout.lines().count(), names.len() + 1, "{}", run.stdout);
    for name in ABOVE {
        finish(jail(["audit", "--threshold", "3", *name]).current_dir(room.path())).ended(1);
    }
}

fn the_weights_are_documented() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/audit.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, rest) =
        text.split_once("<!-- rules -->\n").expect("docs/audit.md marks where the tables begin");
    let (tables, tail) = rest.split_once("<!-- /rules -->").expect("and where they end");
    let made = format!("\n{}\n", audit::reference_markdown());
    if std::env::var("UPDATE_DOCS").is_ok() {
        return std::fs::write(&path, format!("{head}<!-- rules -->\n{made}<!-- /rules -->{tail}")).unwrap();
    }
    assert!(tables == made, "docs/audit.md is out of date: UPDATE_DOCS=1 writes it");
}

/// A spec that is tight but for what `more` says.
fn spec(room: &Room, name: &str, more: &str) -> PathBuf {
    let text = format!(
        "process.command = [\"/usr/bin/true\"]\nfiles.read = [\"/usr\"]\nnetwork.mode = \"none\"\n{more}"
    );
    room.file(&format!("{name}.toml"), &text)
}

fn run(room: &Room, words: &[&str]) -> Run {
    finish(jail(["audit"].iter().chain(words)).current_dir(room.path()))
}

fn one_spec_is_a_report_and_several_a_table() {
    let room = Room::new();
    spec(&room, "tight", "");
    spec(&room, "open", "process.user = \"root\"\nprivileges.capabilities = [\"SYS_ADMIN\"]");
    let one = run(&room, &["./tight.toml"]).ended(0);
    assert!(one.stdout.starts_with("jail tight: "), "{}", one.stdout);
    assert!(!one.stdout.contains("\nkernel"), "{}", one.stdout);
    for part in
        [" of 10, tight\n", "\nfiles   ", "      why    ", "./tight.toml:2:15    files.read = [\"/usr\"]"]
    {
        assert!(one.stdout.contains(part), "{part}: {}", one.stdout);
    }
    assert!(!one.stdout.contains('\x1b'), "colour is for terminals");
    let two = run(&room, &["./tight.toml", "./open.toml"]).ended(0);
    let lines: Vec<&str> = two.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", two.stdout);
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>(),
        ["NAME", "SCORE", "VERDICT", "WORST", "FINDING"]
    );
    assert!(lines[1].starts_with("tight    ") && lines[1].contains(" tight "), "{}", lines[1]);
    assert!(lines[2].contains(" 3.0 has CAP_SYS_ADMIN"), "{}", lines[2]);
}

/// The score in a report.
fn score(room: &Room, spec: &str) -> String {
    let json: Value = serde_json::from_str(&run(room, &["--json", spec]).ended(0).stdout).unwrap();
    json["jails"][0]["score"].to_string()
}

fn a_threshold_decides_the_exit_code() {
    let room = Room::new();
    spec(&room, "tight", "");
    spec(&room, "open", "process.user = \"root\"");
    let at = score(&room, "./open.toml");
    assert_eq!(run(&room, &["./open.toml", "--threshold", &at]).ended(0).stderr, "", "at it is not above it");
    let above = run(&room, &["./tight.toml", "./open.toml", "--threshold", "2"]).ended(1);
    assert_eq!(above.stderr, format!("jail: open: the score {at} is above the threshold 2.0\n"));
    assert!(above.stdout.contains("open"), "the table comes all the same");
    let both = run(&room, &["./tight.toml", "./open.toml", "--json", "--threshold", "0"]).ended(1);
    assert_eq!(both.stderr.lines().count(), 2, "{}", both.stderr);
    serde_json::from_str::<Value>(&both.stdout).unwrap();
    run(&room, &["./tight.toml", "./open.toml", "--threshold", "10"]).ended(0);
}

fn json_has_its_shape() {
    let room = Room::new();
    spec(&room, "web", "process.user = \"root\"");
    let json: Value = serde_json::from_str(&run(&room, &["--json", "./web.toml"]).ended(0).stdout).unwrap();
    let jail = &json["jails"][0];
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(jail), ["assumed", "findings", "name", "points", "score", "verdict"]);
    assert_eq!((&jail["name"], &jail["score"]), (&"web".into(), &jail["points"]));
    let findings = jail["findings"].as_array().unwrap();
    let sum: f64 = findings.iter().map(|f| f["points"].as_f64().unwrap()).sum();
    assert!((sum - jail["score"].as_f64().unwrap()).abs() < 0.01, "{sum}");
    let root = findings.iter().find(|f| f["rule"] == "root").unwrap();
    let fields = "area close cost from item key line points rule systemd what why";
    assert_eq!(keys(root).join(" "), fields);
    let expected = serde_json::json!({
        "from": "./web.toml:4:16", "line": "process.user = \"root\"", "key": "process.user", "item": null,
        "points": 2.5, "what": "runs as root", "systemd": "User=/DynamicUser=",
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(root[key], *value, "{key}");
    }
    assert!(
        findings.iter().any(|f| f["from"].is_null() && f["systemd"].is_null()),
        "a default that systemd does not judge"
    );
}

fn a_bad_spec_is_reported_beside_the_good_ones() {
    let room = Room::new();
    spec(&room, "good", "");
    spec(&room, "bad", "process.usr = \"x\"");
    let both = run(&room, &["./good.toml", "./bad.toml", "no-such-spec", "--threshold", "0"]).ended(2);
    assert!(both.stdout.contains("\ngood "), "{}", both.stdout);
    assert!(
        both.stderr.contains("unknown key `usr`") && both.stderr.contains("no-such-spec"),
        "{}",
        both.stderr
    );
    let none = run(&room, &["./bad.toml"]).ended(2);
    assert_eq!(none.stdout, "");
}

fn a_server_that_is_not_here_is_assumed() {
    let room = Room::new();
    spec(&room, "elsewhere", "process.user = \"no-such-user\"\nfiles.write = [\"/nonexistent/data\"]");
    let run = run(&room, &["./elsewhere.toml"]).ended(0);
    for line in [
        "assumed: the user no-such-user exists and is an ordinary one",
        "assumed: /nonexistent/data is a directory",
    ] {
        assert!(run.stdout.contains(line), "{}", run.stdout);
    }
    assert!(run.stdout.contains("may write to the host's /nonexistent/data"), "{}", run.stdout);
}

fn a_promise_can_be_judged_as_given_up() {
    let room = Room::new();
    spec(&room, "web", "");
    let run = run(&room, &["./web.toml", "--without", "landlock", "--without", "seccomp"]).ended(0);
    assert!(
        run.stdout.contains("no second wall") && run.stdout.contains("no system-call filter"),
        "{}",
        run.stdout
    );
}

/// Every tag is closed in its order; returns their names.
fn tags(page: &str) -> Vec<&str> {
    let (mut open, mut all) = (Vec::new(), Vec::new());
    for tag in page.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("a tag ends");
        let name = tag.split_whitespace().next().unwrap();
        match name.strip_prefix('/') {
            Some(closed) => assert_eq!(open.pop(), Some(closed)),
            None if name == "meta" || name.starts_with('!') => {}
            None => open.push(name),
        }
        all.push(name);
    }
    assert_eq!(open, Vec::<&str>::new());
    all
}

fn the_page_is_written() {
    let room = Room::new();
    let hostile = "description = \"<script>alert('&')</script>\"\n\
        files.link = [{ path = \"/<img src=x onerror=alert(1)>\", to = \"https://evil.example/\" }]";
    // A key of the top level stands before the tables.
    let text = format!("process.command = [\"/usr/bin/true\"]\nfiles.read = [\"/usr\"]\n{hostile}");
    room.file("hostile.toml", &text);
    spec(&room, "web", "");
    room.file("page.html", "an older page");
    let run = run(&room, &["./hostile.toml", "./web.toml", "--html", "page.html"]).ended(0);
    assert!(run.stdout.starts_with("NAME"), "{}", run.stdout);
    let page = std::fs::read_to_string(room.path().join("page.html")).unwrap();
    let tags = tags(&page);
    for wrong in ["script", "img", "link", "iframe", "object"] {
        assert!(!tags.contains(&wrong), "{wrong}");
    }
    assert!(page.contains("&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;"));
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;"));
    // What a spec says may be read, but nothing is loaded.
    for loads in ["src=\"", "url(", "@import", "href=\"h", "href=\"/"] {
        assert!(!page.contains(loads), "{loads}");
    }
    assert_eq!(tags.iter().filter(|tag| **tag == "article").count(), 2);
    let left: Vec<_> = std::fs::read_dir(room.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

fn a_page_is_not_written_through_a_link() {
    let room = Room::new();
    spec(&room, "web", "");
    let kept = room.file("kept", "kept");
    symlink(&kept, room.path().join("link.html")).unwrap();
    let refused = run(&room, &["./web.toml", "--html", "link.html"]).ended(125);
    assert_eq!(refused.stdout, "", "nothing is said before all is done");
    assert!(
        refused.stderr.contains("link.html: it is a symbolic link, which is not followed"),
        "{}",
        refused.stderr
    );
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "kept");
    let nowhere = run(&room, &["./web.toml", "--html", "no/such/page.html"]).ended(125);
    assert!(nowhere.stderr.contains("No such file or directory"), "{}", nowhere.stderr);
    run(&room, &["./web.toml", "--html", "."]).ended(125);
}

fn the_command_line_is_checked() {
    let room = Room::new();
    spec(&room, "web", "");
    for words in [
        &[][..],
        &["./web.toml", "--threshold", "11"],
        &["./web.toml", "--threshold", "2.55"],
        &["./web.toml", "--html"],
    ] {
        let run = run(&room, words).ended(2);
        assert!(run.stdout.is_empty() && run.stderr.contains("help: "), "{}", run.stderr);
    }
}

fn the_verdict_does_not_depend_on_who_asks() {
    let room = Room::new();
    for name in ["nginx", "hello", "redis"] {
        let root = finish(jail(["audit", "--json", name]).current_dir(room.path())).ended(0);
        let stranger = finish(jail_as_stranger(["audit", "--json", name]).current_dir(room.path())).ended(0);
        let verdict = |run: &Run| -> Value {
            let mut json: Value = serde_json::from_str(&run.stdout).unwrap();
            // What a stranger may not look at is assumed.
            json["jails"][0].as_object_mut().unwrap().remove("assumed");
            json
        };
        assert_eq!(verdict(&root), verdict(&stranger), "{name}");
    }
}
