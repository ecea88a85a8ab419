//! Diagnoses on a view made by hand, over real programs and over files in a temporary directory.

use super::super::elf;
use super::super::inside::RunsAs;
use super::finding::top;
use super::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

/// Places as a plan would have them; a host directory covers all below it.
struct Fake(Vec<(AbsPath, Sight)>);

impl View for Fake {
    fn look(&self, path: &AbsPath) -> Sight {
        if *path == AbsPath::root() {
            return Sight::Directory;
        }
        let covering = self.0.iter().filter(|(place, _)| path.is_within(place));
        match covering.max_by_key(|(place, _)| place.depth()) {
            Some((place, Sight::Host { path: source, exec })) => {
                Sight::Host { path: path.rebase(place, source).unwrap(), exec: *exec }
            }
            Some((place, sight)) if place == path => sight.clone(),
            _ if self.0.iter().any(|(place, _)| place.is_within(path)) => Sight::Directory,
            _ => Sight::Absent,
        }
    }
}

fn path(text: &str) -> AbsPath {
    AbsPath::new(text).unwrap()
}

fn shown(place: &str, source: &str, exec: bool) -> (AbsPath, Sight) {
    (path(place), Sight::Host { path: path(source), exec })
}

fn link(place: &str, target: &str) -> (AbsPath, Sight) {
    (path(place), Sight::Link(target.into()))
}

/// /usr of the host, and the links to it that the host has.
fn usr() -> Vec<(AbsPath, Sight)> {
    let links = ["bin", "lib", "lib64"].into_iter().filter_map(|name| {
        let target = fs::read_link(format!("/{name}")).ok()?;
        Some(link(&format!("/{name}"), target.to_str().unwrap()))
    });
    links.chain([shown("/usr", "/usr", true)]).collect()
}

const PATH: &str = "/usr/local/bin:/usr/bin";

fn run(view: &Fake, program: &str, environment: &[(&str, &str)]) -> Vec<Finding> {
    let environment: Vec<_> = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let candidates: Vec<AbsPath> = if program.contains('/') {
        vec![path(program)]
    } else {
        PATH.split(':').map(|d| path(d).join(program)).collect()
    };
    diagnose(view, program, &candidates, &environment)
}

/// A temporary directory of the host that is /prog inside, beside /usr.
struct Prog(tempfile::TempDir);

impl Prog {
    fn new() -> Self {
        Prog(tempfile::tempdir().unwrap())
    }

    fn host(&self) -> String {
        fs::canonicalize(self.0.path()).unwrap().to_str().unwrap().to_owned()
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn view(&self) -> Fake {
        let mut all = usr();
        all.push(shown("/prog", &self.host(), true));
        Fake(all)
    }

    fn run(&self, program: &str) -> Vec<Finding> {
        run(&self.view(), &format!("/prog/{program}"), &[("PATH", PATH)])
    }
}

fn missing_paths(findings: &[Finding]) -> Vec<String> {
    findings
        .iter()
        .map(|f| match f {
            Finding::ProgramMissing(m)
            | Finding::InterpreterMissing { missing: m, .. }
            | Finding::LoaderMissing { missing: m, .. } => m.path.clone(),
            Finding::LibraryMissing { library, .. } => library.clone(),
            other => panic!("{other}"),
        })
        .collect()
}

#[test]
fn real_programs_that_lack_nothing() {
    for program in ["/bin/true", "/usr/bin/perl", "/usr/bin/ldd", "true"] {
        if program.contains('/') && fs::metadata(program).is_err() {
            continue;
        }
        assert_eq!(run(&Fake(usr()), program, &[("PATH", PATH)]), [], "{program}");
    }
}

#[test]
fn a_program_that_is_not_shown() {
    let findings = run(&Fake(vec![shown("/usr/share", "/usr/share", true)]), "/usr/bin/true", &[]);
    assert_eq!(
        findings[0].to_string(),
        "the program, /usr/bin/true, is not in the jail (there is no /usr/bin in it): add \"/usr\" to [files] read"
    );
    assert_eq!(findings[0].entry().unwrap(), "add \"/usr\" to [files] read");
    let findings = run(&Fake(usr()), "/usr/bin/nonesuch", &[]);
    assert_eq!(
        findings[0].to_string(),
        "the program, /usr/bin/nonesuch, is not in the jail: it is not on this host either"
    );
}

#[test]
fn a_bare_name() {
    let none = Finding::NotInPath { name: "nonesuch".into() };
    assert_eq!(run(&Fake(usr()), "nonesuch", &[]), [none]);
    let findings = run(&Fake(Vec::new()), "true", &[]);
    assert_eq!(missing_paths(&findings), ["/usr/bin/true"], "where the host has it");
    // As execvp(3): a directory of that name is passed over.
    let mut all = usr();
    all.push((path("/usr/local/bin/true"), Sight::Directory));
    assert_eq!(run(&Fake(all), "true", &[]), []);
}

#[test]
fn a_dangling_link_names_the_link_and_what_it_leads_to() {
    let view = Fake(vec![link("/bin", "usr/bin"), link("/loop", "loop")]);
    let findings = run(&view, "/bin/true", &[]);
    let text = findings[0].to_string();
    assert!(text.contains("(its link /bin leads to /usr)"), "{text}");
    let [Finding::ProgramMissing(missing)] = &run(&view, "/loop", &[])[..] else { panic!() };
    assert_eq!(missing.obstacle, path("/loop"));
}

#[test]
fn what_is_shown_already_is_not_asked_for() {
    let p = Prog::new();
    p.file("links/dir/x", "");
    p.file("real/program", "#!/bin/sh\n");
    let host = p.host();
    symlink(format!("{host}/real/program"), p.0.path().join("links/dir/program")).unwrap();
    // The link's end is there, the link is not.
    let real = format!("{host}/real");
    let view = Fake(vec![shown(&real, &real, true)]);
    let findings = run(&view, &format!("{host}/links/dir/program"), &[]);
    assert_eq!(findings[0].entry().unwrap(), format!("add \"{host}/links/dir\" to [files] read"));
    // The link is there, its end is not.
    let links = format!("{host}/links");
    let view = Fake(vec![shown(&links, &links, true)]);
    let findings = run(&view, &format!("{host}/links/dir/program"), &[]);
    assert_eq!(findings[0].entry().unwrap(), format!("add \"{real}\" to [files] read"));
}

#[test]
fn permission_and_mount() {
    let p = Prog::new();
    p.file("script", "#!/bin/sh\n");
    fs::set_permissions(p.0.path().join("script"), fs::Permissions::from_mode(0o644)).unwrap();
    let host = path(&format!("{}/script", p.host()));
    assert_eq!(p.run("script"), [Finding::NotExecutable { path: path("/prog/script"), host }]);
    let mut all = usr();
    all.push(shown("/prog", "/usr/bin", false));
    all.push((path("/etc/text"), Sight::Memory));
    let view = Fake(all);
    assert_eq!(run(&view, "/prog/true", &[]), [Finding::NoExecMount { path: path("/prog/true") }]);
    assert_eq!(run(&view, "/etc/text", &[]), [Finding::InMemory { path: path("/etc/text") }]);
}

#[test]
fn scripts() {
    let p = Prog::new();
    p.file("good", "#!/bin/sh\n");
    p.file("crlf", "#!/bin/sh\r\necho\r\n");
    p.file("env-crlf", "#!/usr/bin/env sh\r\n");
    p.file("relative", "#!bin/sh\n");
    p.file("missing", "#!/opt/none/perl -w\n");
    p.file("chain", "#!/prog/missing\n");
    p.file("up", "#!/usr/../bin/sh\n");
    p.file("env", "#!/usr/bin/env sh\n");
    p.file("env-missing", "#!/usr/bin/env nonesuch --flag\n");
    p.file("env-split", "#!/usr/bin/env -S sh -e\n");
    p.file("env-option", "#!/usr/bin/env -i nonesuch\n");
    for good in ["good", "up", "env", "env-split", "env-option"] {
        assert_eq!(p.run(good), [], "{good}");
    }
    for crlf in ["crlf", "env-crlf"] {
        assert_eq!(p.run(crlf), [Finding::CarriageReturn { script: path("/prog").join(crlf) }]);
    }
    assert_eq!(p.run("relative"), [Finding::RelativeInterpreter { script: path("/prog/relative") }]);
    assert_eq!(p.run("env-missing"), [Finding::NotInPath { name: "nonesuch".into() }]);
    for script in ["missing", "chain"] {
        let findings = p.run(script);
        assert_eq!(missing_paths(&findings), ["/opt/none/perl"]);
        assert!(findings[0].what().starts_with("the interpreter of the script /prog/missing, "));
    }
}

#[test]
fn a_missing_loader() {
    let p = Prog::new();
    p.file("true", fs::read("/bin/true").unwrap());
    let view = Fake(vec![shown("/prog", &p.host(), true)]);
    let findings = run(&view, "/prog/true", &[]);
    let [Finding::LoaderMissing { binary, missing }] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!(*binary, path("/prog/true"));
    assert!(missing.path.contains("/ld-linux"));
    assert_eq!(findings[0].entry().unwrap(), "add \"/usr\" to [files] read");
}

const NEEDED: u64 = 1;
const RPATH: u64 = 15;
const RUNPATH: u64 = 29;

fn loader() -> String {
    let Form::Elf(needs) = elf::read(&fs::File::open("/bin/true").unwrap()).unwrap() else { panic!() };
    needs.interpreter.unwrap()
}

#[test]
fn libraries_near_the_program() {
    let (p, ld) = (Prog::new(), loader());
    p.file("lib/liba.so", elf::tests::elf("", &[(NEEDED, "libb.so")]));
    p.file("lib/libb.so", elf::tests::elf("", &[]));
    p.file("bin/rpath", elf::tests::elf(&ld, &[(NEEDED, "liba.so"), (RPATH, "$ORIGIN/../lib")]));
    p.file("bin/runpath", elf::tests::elf(&ld, &[(NEEDED, "liba.so"), (RUNPATH, "$ORIGIN/../lib")]));
    p.file("bin/none", elf::tests::elf(&ld, &[(NEEDED, "liba.so")]));
    p.file("bin/direct", elf::tests::elf(&ld, &[(NEEDED, "/prog/lib/libb.so")]));
    assert_eq!(p.run("bin/rpath"), []);
    assert_eq!(p.run("bin/direct"), []);
    // A RUNPATH is not for the libraries of the library.
    let findings = p.run("bin/runpath");
    assert_eq!(missing_paths(&findings), ["libb.so"]);
    assert_eq!(
        findings[0].to_string(),
        "the library libb.so that /prog/lib/liba.so needs is not on this host: install its package"
    );
    assert_eq!(missing_paths(&p.run("bin/none")), ["liba.so"]);
    assert_eq!(run(&p.view(), "/prog/bin/none", &[("LD_LIBRARY_PATH", "/none:/prog/lib")]), []);
}

#[test]
fn a_library_that_the_host_has() {
    let (p, ld) = (Prog::new(), loader());
    p.file("bin/x", elf::tests::elf(&ld, &[(NEEDED, "libc.so.6"), (NEEDED, ld.rsplit('/').next().unwrap())]));
    let real = fs::canonicalize(&ld).unwrap();
    let view = Fake(vec![shown("/prog", &p.host(), true), shown(&ld, real.to_str().unwrap(), true)]);
    let findings = run(&view, "/prog/bin/x", &[]);
    assert_eq!(missing_paths(&findings), ["libc.so.6"]);
    assert_eq!(
        findings[0].to_string(),
        "the library libc.so.6 that /prog/bin/x needs is not in the jail: add \"/usr\" to [files] read"
    );
}

#[test]
fn a_library_that_cannot_be_mapped_or_is_foreign() {
    let (p, ld) = (Prog::new(), loader());
    p.file("bin/x", elf::tests::elf(&ld, &[(NEEDED, "liba.so"), (RUNPATH, "/wrong:/data")]));
    p.file("data/liba.so", elf::tests::elf("", &[]));
    p.file("wrong/liba.so", b"\x7fELF\x01\x01\x01");
    let mut view = p.view();
    view.0.push(shown("/wrong", &format!("{}/wrong", p.host()), true));
    view.0.push(shown("/data", &format!("{}/data", p.host()), false));
    assert_eq!(run(&view, "/prog/bin/x", &[]), [Finding::NoExecMount { path: path("/data/liba.so") }]);
}

#[test]
fn other_loaders_and_static_programs_need_nothing_that_is_known() {
    let p = Prog::new();
    p.file("lib/ld-musl-x86_64.so.1", elf::tests::elf("", &[]));
    p.file("musl", elf::tests::elf("/prog/lib/ld-musl-x86_64.so.1", &[(NEEDED, "libc.so")]));
    p.file("static", elf::tests::elf("", &[]));
    assert_eq!(p.run("musl"), []);
    assert_eq!(p.run("static"), []);
}

#[test]
fn forms_that_cannot_be_executed() {
    let p = Prog::new();
    p.file("empty", "");
    p.file("arm", b"\x7fELF\x01\x01\x01");
    assert_eq!(run(&p.view(), "/usr/bin", &[]), [Finding::Directory { path: path("/usr/bin") }]);
    assert_eq!(p.run("empty"), [Finding::NotAProgram { path: path("/prog/empty") }]);
    assert_eq!(p.run("arm"), [Finding::WrongArchitecture { path: path("/prog/arm") }]);
}

#[test]
fn files_of_others_are_not_parsed() {
    let p = Prog::new();
    p.file("open", "not a program");
    fs::set_permissions(p.0.path().join("open"), fs::Permissions::from_mode(0o757)).unwrap();
    assert_eq!(p.run("open"), []);
    // Nor is what a link leads to that was put in its place after the walk.
    p.file("target", "#!/opt/none\n");
    symlink("target", p.0.path().join("link")).unwrap();
    assert!(open_trusted(&path(&format!("{}/target", p.host()))).is_some());
    assert!(open_trusted(&path(&format!("{}/link", p.host()))).is_none());
    nix::unistd::mkfifo(&p.0.path().join("fifo"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert!(open_trusted(&path(&format!("{}/fifo", p.host()))).is_none());
    assert!(open_trusted(&path("/dev/null")).is_none());
}

#[test]
fn what_is_suggested_is_not_the_hosts_secrets() {
    let table = [
        ("/usr/lib/x86_64-linux-gnu/libfoo.so.1", "/usr"),
        ("/opt/x/bin/y", "/opt/x"),
        ("/srv/app/bin/y", "/srv/app/bin"),
        ("/etc/script", "/etc/script"),
        ("/etc/alternatives/vi", "/etc/alternatives"),
        ("/program", "/program"),
    ];
    for (given, wanted) in table {
        assert_eq!(top(&path(given)), wanted);
    }
}

#[test]
fn interpreters_that_lead_back() {
    let p = Prog::new();
    p.file("itself", "#!/prog/itself\n");
    p.file("a", "#!/prog/b\n");
    p.file("b", "#!/prog/a\n");
    assert_eq!(p.run("itself"), [Finding::ScriptLoop { script: path("/prog/itself") }]);
    assert!(matches!(p.run("a")[..], [Finding::ScriptLoop { .. }]), "{:?}", p.run("a"));
}

#[test]
fn a_program_that_is_cut_short() {
    let p = Prog::new();
    let whole = fs::read("/usr/bin/true").unwrap();
    p.file("true", &whole[..whole.len() / 2]);
    assert_eq!(p.run("true"), [Finding::Truncated { path: path("/prog/true") }]);
}

/// A view with a user.
struct As<'a>(&'a Fake, RunsAs);

impl View for As<'_> {
    fn look(&self, path: &AbsPath) -> Sight {
        self.0.look(path)
    }

    fn runs_as(&self) -> Option<RunsAs> {
        Some(self.1.clone())
    }
}

#[test]
fn what_its_user_may_not_execute() {
    let p = Prog::new();
    p.file("bin/program", "#!/bin/sh\n");
    let view = p.view();
    let host = |below: &str| path(&format!("{}/{below}", p.host()));
    let mode =
        |below: &str, mode| fs::set_permissions(host(below).as_str(), fs::Permissions::from_mode(mode));
    let (own, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let found = |uid, groups: &[u32]| {
        let view = As(&view, RunsAs { uid, groups: groups.to_vec() });
        let program = path("/prog/bin/program");
        let findings = diagnose(&view, program.as_str(), std::slice::from_ref(&program), &[]);
        findings
            .into_iter()
            .find_map(|f| if let Finding::Forbidden { host, .. } = f { Some(host) } else { None })
    };
    mode(".", 0o755).unwrap();
    assert_eq!(found(12345, &[]), None);
    mode("bin/program", 0o710).unwrap();
    assert_eq!(found(12345, &[12345]), Some(host("bin/program")));
    assert_eq!(found(12345, &[gid]), None, "its group");
    assert_eq!(found(own, &[]), None, "its owner");
    mode("bin/program", 0o755).unwrap();
    mode("bin", 0o700).unwrap();
    assert_eq!(found(12345, &[]), Some(host("bin")), "a directory above it");
}
