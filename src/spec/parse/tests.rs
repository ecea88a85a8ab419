//! Golden messages: one for each kind of mistake, verbatim, with its place.

mod values;

use super::parse;
use crate::problem::{Paint, Problems, Sources};
use crate::spec::{NetworkMode, Owner, Proc, Rlimit, Root, Spec};

fn read(text: &str) -> (Spec, Problems, Sources) {
    let mut sources = Sources::default();
    let source = sources.add("t.toml", text);
    let mut problems = Problems::default();
    let spec = parse(text, source, &mut problems);
    (spec, problems, sources)
}

fn good(text: &str) -> Spec {
    let (spec, problems, sources) = read(text);
    assert_eq!(problems.render(&sources, Paint(false)), "", "{text}");
    spec
}

#[track_caller]
fn bad(text: &str, expected: &str) {
    let (_, problems, sources) = read(text);
    assert_eq!(problems.render(&sources, Paint(false)), expected.trim_start_matches('\n'), "{text}");
}

#[test]
fn unknown_keys_say_what_was_meant() {
    bad(
        "[files]\nreed = [\"/usr\"]\n",
        r#"
jail: unknown key `reed` in [files]
  --> t.toml:2:1    reed = ["/usr"]
  help: did you mean `read`?
"#,
    );
    bad(
        "[network]\nxyzzy = 1\n",
        r"
jail: unknown key `xyzzy` in [network]
  --> t.toml:2:1    xyzzy = 1
  help: the keys in [network] are `mode`, `bind`, `connect`, `listen`
",
    );
    bad(
        "[files]\ntmpfs = [{ path = \"/run\", siez = \"1M\" }]\n",
        r#"
jail: unknown key `siez` in a tmpfs entry
  --> t.toml:2:27    tmpfs = [{ path = "/run", siez = "1M" }]
  help: did you mean `size`?
"#,
    );
}

#[test]
fn misplaced_keys_say_where_they_belong() {
    bad(
        "user = \"redis\"\n",
        r#"
jail: unknown key `user` at the top level
  --> t.toml:1:1    user = "redis"
  help: `user` belongs in [process]
"#,
    );
    bad(
        "[files]\nread = [{ path = \"/usr\", size = \"1M\" }]\n",
        r#"
jail: unknown key `size` in a path entry
  --> t.toml:2:26    read = [{ path = "/usr", size = "1M" }]
  help: `size` belongs in a tmpfs entry
"#,
    );
    bad(
        "[files]\nread = [{ path = \"/srv\", create = \"0750\" }]\n",
        r#"
jail: `create` cannot be used in `read` in [files]
  --> t.toml:2:9    read = [{ path = "/srv", create = "0750" }]
  help: move the entry to `write`, or make the directory on the host
"#,
    );
}

#[test]
fn unknown_tables_and_things_of_later_versions() {
    bad(
        "[proces]\nuser = \"a\"\n",
        r"
jail: unknown table [proces]
  --> t.toml:1:2    [proces]
  help: did you mean [process]?
",
    );
    bad(
        "[zoo]\n",
        r"
jail: unknown table [zoo]
  --> t.toml:1:2    [zoo]
  help: the tables are [process], [files], [network], [privileges], [limits]
",
    );
    bad(
        "[limits]\ndevices = []\n[files]\nhide = [\"/etc\"]\n",
        r#"
jail: unknown key `devices` in [limits]
  --> t.toml:2:1    devices = []
  help: there is no `devices`: device nodes work only where [files] `dev` shows them, and none can be made
jail: unknown key `hide` in [files]
  --> t.toml:4:1    hide = ["/etc"]
  help: there is no `hide`: a mask is undone by the host's next rename; name fewer paths in `read` instead
"#,
    );
    bad(
        "process = 3\n[[files]]\n",
        r"
jail: `process` must be a table, not an integer
  --> t.toml:1:11    process = 3
  help: write the heading [process], and its keys below it
jail: `files` must be a table, not a list
  --> t.toml:2:1    [[files]]
  help: write the heading with single brackets [files], and its keys below it
",
    );
}

#[test]
fn wrong_types_show_an_example() {
    bad(
        "[process]\nuser = 33\n",
        r#"
jail: `user` in [process] must be a string, not an integer
  --> t.toml:2:8    user = 33
  help: for example: user = "www-data"
"#,
    );
    bad(
        "include = \"tls\"\n",
        r#"
jail: `include` at the top level must be a list of strings, not a string
  --> t.toml:1:11    include = "tls"
  help: for example: include = ["tls", "dns", "./common.toml"]
"#,
    );
    bad(
        "[privileges]\ncapabilities = [\"CHOWN\", 7]\nmemory-deny-write-execute = \"no\"\n",
        r#"
jail: an element of `capabilities` in [privileges] must be a string, not an integer
  --> t.toml:2:26    capabilities = ["CHOWN", 7]
  help: for example: capabilities = ["NET_BIND_SERVICE"]
jail: `memory-deny-write-execute` in [privileges] must be a boolean, not a string
  --> t.toml:3:29    memory-deny-write-execute = "no"
  help: for example: memory-deny-write-execute = false
"#,
    );
    bad(
        "[process]\nstop-timeout = 30\nenv = { PORT = 8080 }\n",
        r#"
jail: `stop-timeout` in [process] must be a duration with its unit, as a string, not an integer
  --> t.toml:2:16    stop-timeout = 30
  help: for example: stop-timeout = "30s"
jail: `PORT` of `env` in [process] must be a string, not an integer
  --> t.toml:3:16    env = { PORT = 8080 }
  help: write PORT = "8080"
"#,
    );
}

#[test]
fn syntax_errors_are_said_plainly() {
    bad(
        "[process]\nuser = www-data\nuser = \"b\"\numask = \n[files\n",
        r#"
jail: `www-data` is not a value
  --> t.toml:2:8    user = www-data
  help: strings need quotes: "www-data"
jail: `user` is written twice
  --> t.toml:3:1    user = "b"
  help: a key or a table may be written once in a file; join the two
jail: a value is missing
  --> t.toml:4:9    umask =
  help: write one, or remove the line
jail: not valid TOML: unclosed table, expected `]`
  --> t.toml:5:7    [files
"#,
    );
    bad(
        "[files]\nread = [\"/usr\",\n[network]\nmode = \"none\"\n",
        r"
jail: a list or table is still open here
  --> t.toml:3:2    [network]
  help: close it with `]` or `}` on an earlier line, or put the missing comma
",
    );
    bad(
        "[files]\nread = [\"/usr\", \"/etc]\n\n[network]\nmod = 1\n",
        r#"
jail: a string is not closed
  --> t.toml:2:23    read = ["/usr", "/etc]
  help: close it with the quote that opened it, on the same line
"#,
    );
}

#[test]
fn syntax_and_other_problems_come_together_in_order() {
    let (spec, problems, _) = read("[process]\nusr = 1\ncwd = /srv\nnice = 99\ngroup = \"g\"\n");
    let lines: Vec<_> = problems.0.iter().map(|p| p.what.as_str()).collect();
    assert_eq!(
        lines,
        [
            "unknown key `usr` in [process]",
            "`/srv` is not a value",
            "`nice` in [process] must be an integer from -20 to 19, not 99",
        ]
    );
    assert_eq!(spec.process.group.unwrap().value, "g");
}

#[test]
fn everything_that_can_be_written_is_read() {
    let spec = good(
        r#"
        description = "d"
        include = ["tls"]
        [process]
        umask = "027"
        env = { Z = "1", A = "" }
        stop-timeout = "2m"
        rlimits = { nofile = 10, memlock = "64K", core = "unlimited", cpu = { soft = 1, hard = "unlimited" } }
        [files]
        root = { path = "/srv/r", write = true }
        read = ["/usr", { path = "/k", at = "/l", optional = true, owner = "process", mode = "0400", bind = true, follow = true, exec = false }]
        write = [{ path = "/w", create = "0750" }]
        proc = "full"
        [[files.tmpfs]]
        path = "/run"
        size = "1.5K"
        directories = ["a"]
        [network]
        mode = "none"
        "#,
    );
    let names: Vec<_> = spec.process.env.iter().map(|(name, _)| name.value.as_str()).collect();
    assert_eq!(names, ["Z", "A"], "order of writing, not of the alphabet");
    assert_eq!(spec.process.umask.unwrap().value, 0o27);
    assert_eq!(spec.process.stop_timeout.unwrap().value, 120_000);
    let limits: Vec<_> = spec.process.rlimits.iter().map(|(_, limit)| limit.value).collect();
    let same = |n| Rlimit { soft: n, hard: n };
    assert_eq!(limits, [same(Some(10)), same(Some(65536)), same(None), Rlimit { soft: Some(1), hard: None }]);
    let root = Root::Directory { path: "/srv/r".into(), write: true };
    assert_eq!(spec.files.root.unwrap().value, root);
    let key = &spec.files.read[1].value;
    assert_eq!((key.owner, key.mode, key.at.as_deref()), (Some(Owner::Process), Some(0o400), Some("/l")));
    assert!(key.optional && key.bind && key.follow && key.exec == Some(false));
    assert_eq!(spec.files.write[0].value.create, Some(0o750));
    assert_eq!(spec.files.tmpfs[0].value.size, Some(1536));
    assert_eq!(spec.files.tmpfs[0].value.directories, ["a"]);
    assert_eq!(spec.files.proc.unwrap().value, Proc::Full);
    assert_eq!(spec.network.mode.unwrap().value, NetworkMode::None);
}

#[test]
fn spans_cover_the_value() {
    let text = "[files]\nread = [\"/usr\", { path = \"/é\" }]\n";
    let (spec, _, sources) = read(text);
    assert_eq!(sources.text(spec.files.read[0].at), Some("\"/usr\""));
    assert_eq!(sources.text(spec.files.read[1].at), Some("{ path = \"/é\" }"));
}

proptest::proptest! {
    /// Whatever is in the file: no panic, and every problem has a place in it.
    #[test]
    fn any_text_is_survived(text in "([a-z\\[\\]{}=\",.'# \\n0-9é\\\\-]|process|files|read|\\[\\[|\"\"\"){0,60}") {
        let (_, problems, sources) = read(&text);
        for problem in &problems.0 {
            let at = problem.at.expect("a place");
            proptest::prop_assert!(sources.locate(at).is_some());
        }
    }
}
