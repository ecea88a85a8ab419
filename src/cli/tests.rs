//! The two parsers agree; flags mean what keys mean, and point at where they were written.

use super::flags::{name, spec};
use super::*;
use crate::problem::{At, Sources};
use crate::spec::{NetworkMode, PathEntry, Root, Spec};

fn split(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn flags_of(line: &str) -> (Flags, Vec<String>, Vec<String>) {
    let words = split(line);
    match parse(&words).unwrap().action {
        Some(Action::Run(target)) => (target.flags, target.command, words),
        other => panic!("{line}: {other:?}"),
    }
}

fn spec_of(line: &str) -> (Spec, Sources) {
    let (flags, command, words) = flags_of(line);
    let mut sources = Sources::default();
    let spec = spec(&flags, &command, &words, &mut sources).unwrap();
    (spec, sources)
}

fn values<T: Clone>(list: &[At<T>]) -> Vec<T> {
    list.iter().map(|entry| entry.value.clone()).collect()
}

#[test]
fn clap_finds_no_fault_in_the_definition() {
    command().debug_assert();
}

#[test]
fn the_fast_path_takes_what_clap_takes_and_as_clap_does() {
    let fast_ones = [
        "--spec nginx",
        "--spec ./a.toml --",
        "--spec a -- b",
        "--spec a -- b -c --spec d -- e -v",
        "--spec run -- x",
        "run nginx",
        "run run",
        "run help",
        "run a --",
        "run a -- b --help",
        "run a -- -- --",
        "run a -- run b",
    ];
    for line in fast_ones {
        let words = split(line);
        assert_eq!(Ok(fast(&words).expect(line)), thorough(&words), "{line}");
    }
    let empty = ["--spec", "a", "--", "", " "].map(str::to_owned);
    assert_eq!(Ok(fast(&empty).unwrap()), thorough(&empty));
}

#[test]
fn everything_else_is_left_to_clap() {
    let others = [
        "",
        "run",
        "--spec",
        "run --help",
        "--spec --help",
        "run -",
        "run -- a",
        "run a b",
        "run a --env X=1",
        "run a -v -- b",
        "-v run a",
        "--spec=a",
        "plan a",
        "check a",
        "help run",
        "specs",
    ];
    for line in others {
        assert_eq!(fast(&split(line)), None, "{line}");
    }
    assert_eq!(fast(&["run".to_owned(), String::new()]), None);
}

#[test]
fn verbosity_is_counted_before_and_after_the_action() {
    for (line, count) in
        [("-v run a", 1), ("run a -vv", 2), ("-vv --spec a", 2), ("specs -v", 1), ("specs", 0)]
    {
        assert_eq!(parse(&split(line)).unwrap().verbose, count, "{line}");
    }
}

#[test]
fn spec_is_short_for_run_with_the_same_flags() {
    let short = parse(&split("--spec a --env X=1 --without landlock -- b")).unwrap();
    assert_eq!(short, parse(&split("run a --env X=1 --without landlock -- b")).unwrap());
    let (flags, _, _) = flags_of("run a --without landlock --without keyring");
    assert_eq!(flags.without, [Feature::Landlock, Feature::Keyring]);
}

#[test]
fn mistakes_are_usage_problems_with_a_remedy() {
    let cases = [
        ("chekc a", "there is no action \"chekc\"", "did you mean `jail check`?"),
        ("nginx.toml", "there is no action \"nginx.toml\"", "to run a spec: jail run nginx.toml"),
        ("run a b", "unexpected argument \"b\"", "the program and its arguments stand after `--`"),
        ("run --nett host", "unexpected argument '--nett' found", "a similar argument exists: '--net'"),
        (
            "run --net hots",
            "invalid value 'hots' for '--net <MODE>' [possible values: host, none]",
            "a similar value exists: 'host'",
        ),
        (
            "--user x run a",
            "flags of a jail stand before the action, where they have no meaning",
            "write them after it: jail run NAME --env K=V",
        ),
    ];
    for (line, what, help) in cases {
        let Err(Stop::Wrong(problems)) = parse(&split(line)) else { panic!("{line}") };
        assert_eq!(problems.code(), 2, "{line}");
        let problem = &problems.0[0];
        assert_eq!(problem.what, what);
        assert!(problem.help.iter().any(|h| h == help), "{line}: {:?}", problem.help);
    }
}

#[test]
fn help_and_version_are_text_to_print() {
    assert_eq!(parse(&split("--version")), Err(Stop::Print(format!("jail {}\n", env!("CARGO_PKG_VERSION")))));
    for line in ["--help", "-h", "run --help", "plan -h"] {
        assert!(
            matches!(parse(&split(line)), Err(Stop::Print(text)) if text.contains("Usage: jail")),
            "{line}"
        );
    }
    let Err(Stop::Print(help)) = parse(&split("run --help")) else { panic!() };
    for feature in Feature::ALL {
        assert!(help.contains(feature.name()), "{}", feature.name());
    }
}

#[test]
fn words_must_be_utf8() {
    use std::os::unix::ffi::OsStringExt;
    let arguments = vec!["jail".into(), "run".into(), OsString::from_vec(b"a\xff".to_vec())];
    let problems = words(arguments).unwrap_err();
    assert_eq!(problems.code(), 2);
    assert_eq!(problems.0[0].what, "the argument \"a\\xFF\" is not UTF-8");
    assert_eq!(words(["jail".into(), "é".into()]).unwrap(), ["é"]);
}

#[test]
fn flags_become_the_keys_they_are_named_after() {
    let (spec, _) = spec_of(
        "run --user u -g 5 --read /usr --read /etc/x --write /var/x --tmpfs /tmp --root=/srv/r --net none \
         --cap NET_RAW --env A=b=c --env HOME --env E= --cwd /var --system-calls @service --system-calls -ptrace \
         --share pid --share uts -- /bin/a -b",
    );
    assert_eq!(spec.process.user.unwrap().value, "u");
    assert_eq!(spec.process.group.unwrap().value, "5");
    assert_eq!(spec.process.cwd.unwrap().value, "/var");
    assert_eq!(spec.process.command.unwrap().value, ["/bin/a", "-b"]);
    let env: Vec<_> = spec.process.env.iter().map(|(k, v)| (k.value.as_str(), v.value.as_str())).collect();
    assert_eq!(env, [("A", "b=c"), ("E", "")]);
    assert_eq!(values(&spec.process.keep_env), ["HOME"]);
    let entry = |path: &str| PathEntry { path: path.into(), ..PathEntry::default() };
    assert_eq!(values(&spec.files.read), [entry("/usr"), entry("/etc/x")]);
    assert_eq!(values(&spec.files.write), [entry("/var/x")]);
    assert_eq!(values(&spec.files.tmpfs)[0].path, "/tmp");
    assert_eq!(spec.files.root.unwrap().value, Root::Directory { path: "/srv/r".into(), write: false });
    assert_eq!(spec.network.mode.unwrap().value, NetworkMode::None);
    assert_eq!(values(&spec.privileges.capabilities), ["NET_RAW"]);
    assert_eq!(values(&spec.privileges.system_calls), ["@service", "-ptrace"]);
    assert_eq!(values(&spec.privileges.share_namespaces), ["pid", "uts"]);
}

#[test]
fn no_flags_are_the_empty_spec() {
    let mut sources = Sources::default();
    assert_eq!(spec(&Flags::default(), &[], &[], &mut sources), Ok(Spec::default()));
}

#[test]
fn binds_are_split_at_the_colon() {
    let entry = |path: &str, at: Option<&str>| PathEntry {
        path: path.into(),
        at: at.map(Into::into),
        ..PathEntry::default()
    };
    // A relative source passes here: that is for the resolver to refuse, as in a spec.
    let (spec, _) = spec_of("run --bind /a --bind rel:/b -b /c:/d --robind /e:/f --write /w");
    let write = [entry("/w", None), entry("/a", None), entry("rel", Some("/b")), entry("/c", Some("/d"))];
    assert_eq!(values(&spec.files.write), write);
    assert_eq!(values(&spec.files.read), [entry("/e", Some("/f"))]);
}

#[test]
fn jailing_and_droot_carry_over() {
    let (jailing, _) = spec_of("--root=/r --bind /a --robind /b:/c -- /bin/x");
    let (droot, _) = spec_of("run -r /r -u www-data -g www-data -b /a --robind /b:/c -e K=V -- /bin/x");
    assert_eq!(values(&jailing.files.write), values(&droot.files.write));
    assert_eq!(values(&jailing.files.read), values(&droot.files.read));
    assert_eq!(jailing.files.root.unwrap().value, droot.files.root.unwrap().value);
    assert_eq!(droot.process.user.unwrap().value, "www-data");
    assert_eq!(jailing.process.command.unwrap().value, ["/bin/x"]);
}

#[test]
fn values_that_cannot_be_split_are_all_reported_at_their_place() {
    let (flags, command, words) = flags_of("run --bind /a:/b:ro --robind=:/x -b /y: --env =1 --cwd= --read=");
    let mut sources = Sources::default();
    let problems = spec(&flags, &command, &words, &mut sources).unwrap_err();
    let texts: Vec<_> = problems.0.iter().map(|p| sources.text(p.at.unwrap()).unwrap()).collect();
    assert_eq!(texts, ["", "=1", "", ":/x", "/a:/b:ro", "/y:"]);
    assert_eq!(problems.code(), 2);
}

#[test]
fn places_point_at_values_in_the_command_line() {
    let (spec, sources) =
        spec_of("run -e A=1 --env=B=2 -eC=3 -ve D=4 -e=E=5 --cwd=/x --user u -- /bin/a --env X");
    let text = |at| sources.text(at).unwrap();
    let env: Vec<_> = spec.process.env.iter().map(|(k, _)| text(k.at)).collect();
    assert_eq!(env, ["A=1", "B=2", "C=3", "D=4", "E=5"]);
    assert_eq!(text(spec.process.cwd.unwrap().at), "/x");
    assert_eq!(text(spec.process.user.unwrap().at), "u");
    assert_eq!(text(spec.process.command.unwrap().at), "/bin/a --env X");
    assert_eq!(sources.0[0].name, "command line");
}

#[test]
fn words_are_quoted_as_a_shell_would_need_them() {
    let words = ["run", "--env=A=it's b", "--cwd", "/a b", "--", ""].map(str::to_owned);
    let Some(Action::Run(Target { flags, command, .. })) = parse(&words).unwrap().action else { panic!() };
    let mut sources = Sources::default();
    let spec = spec(&flags, &command, &words, &mut sources).unwrap();
    assert_eq!(sources.0[0].text, r"jail run '--env=A=it'\''s b' --cwd '/a b' -- ''");
    assert_eq!(sources.text(spec.process.env[0].0.at), Some(r"'--env=A=it'\''s b'"));
    assert_eq!(sources.text(spec.process.cwd.unwrap().at), Some("'/a b'"));
}

#[test]
fn the_name_is_the_flag_or_the_spec_or_the_program() {
    let with = |name: &str| Flags { name: Some(name.into()), ..Flags::default() };
    let command = ["/usr/bin/id".to_owned()];
    assert_eq!(name(&with("web.1"), Some("nginx"), &command).unwrap(), "web.1");
    assert_eq!(name(&Flags::default(), Some("nginx"), &command).unwrap(), "nginx");
    assert_eq!(name(&Flags::default(), None, &command).unwrap(), "id");
    assert_eq!(name(&Flags::default(), None, &["/bin/[".to_owned()]).unwrap(), "jail");
    assert_eq!(name(&Flags::default(), None, &[]).unwrap(), "jail");
    for bad in ["", "..", "a/b", "-a", "a b", "é", "a\n", &"x".repeat(65)] {
        assert_eq!(name(&with(bad), Some("nginx"), &command).unwrap_err().code(), 2, "{bad:?}");
    }
}

#[test]
fn relative_host_paths_are_those_of_the_working_directory() {
    for (path, wanted) in [
        ("usr", "/work/here/usr"),
        ("./a/b", "/work/here/a/b"),
        (".", "/work/here/"),
        ("..", "/work/"),
        ("../R", "/work/R"),
        ("../../../R", "/R"),
        (".//./../R/", "/work/R/"),
        // Where `a` may be a link it is refused later.
        ("a/../b", "/work/here/a/../b"),
        ("/usr/../etc", "/usr/../etc"),
    ] {
        let words = ["--root", path, "--read", path, "--bind", &format!("{path}:at"), "--tmpfs", "tmp"];
        let words: Vec<String> = ["run"].iter().chain(&words).map(|w| (*w).to_owned()).collect();
        let Ok(Cli { action: Some(Action::Run(target)), .. }) = parse(&words) else { panic!("{path}") };
        let mut sources = Sources::default();
        let mut spec = flags::spec(&target.flags, &target.command, &words, &mut sources).unwrap();
        flags::from_directory(&mut spec, "/work/here");
        let files = &spec.files;
        assert!(
            matches!(&files.root, Some(At { value: Root::Directory { path, .. }, .. }) if path == wanted)
        );
        assert_eq!((files.read[0].value.path.as_str(), files.write[0].value.path.as_str()), (wanted, wanted));
        assert_eq!(files.write[0].value.at.as_deref(), Some("at"));
        assert_eq!(files.tmpfs[0].value.path, "tmp");
    }
}
