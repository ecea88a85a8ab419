//! `exec`: which programs can be executed inside, tried by the probe from inside the shipped jails.
//!
//! Must not know: how it is enforced.

use crate::host::{isolated, mount_tmpfs};
use crate::promises::attempt;
use crate::ring::Ring::{Root, Rootless, Server};
use crate::ring::{Test, test};
use crate::run::{Room, finish, jail, jail_as_stranger};
use serde_json::Value;
use std::path::Path;

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    let mut tests: Vec<Test> =
        [("nginx", "nginx"), ("redis", "redis-server"), ("memcached", "memcached"), ("python", "python3")]
            .into_iter()
            .map(|(spec, program)| {
                test(Server(program), format!("programs::{spec}_has_no_shell"), move || has_no_shell(spec))
            })
            .collect();
    tests.push(test(Root, "programs::only_what_is_named_is_executed", only_what_is_named_is_executed));
    tests.push(test(
        Root,
        "programs::a_directory_stands_for_what_is_in_it",
        a_directory_stands_for_what_is_in_it,
    ));
    tests.push(test(Root, "programs::scripts_bring_their_interpreters", scripts_bring_their_interpreters));
    tests.push(test(
        Root,
        "programs::a_script_that_is_not_named_is_refused",
        a_script_that_is_not_named_is_refused,
    ));
    tests.push(test(Root, "programs::a_foreign_root_names_programs_too", a_foreign_root_names_programs_too));
    tests.push(test(Root, "programs::without_landlock_it_is_given_up", without_landlock_it_is_given_up));
    tests.push(test(Root, "programs::what_goes_around_it_is_given_up", what_goes_around_it_is_given_up));
    tests.push(test(Rootless, "programs::rootless_names_programs_too", rootless_names_programs_too));
    tests
}

const SHELLS: &str = "run=/bin/sh,/usr/bin/dash,/bin/bash,/usr/bin/env,/usr/bin/perl";

fn refused(report: &Value, names: &[&str]) {
    for name in names {
        assert_eq!(attempt(report, name), "EACCES", "{name}");
    }
}

/// The jail of a shipped spec, in which the probe is the command in place of the server.
fn has_no_shell(name: &str) {
    let room = Room::new();
    // A block may have the same name, and would be what is included.
    let shipped = jail::spec::builtin::SPECS.iter().find(|spec| spec.name == name).unwrap();
    room.file("shipped.toml", shipped.text);
    let text = format!(
        "include = [\"./shipped.toml\"]\n[process]\ncommand = [\"/probe/probe\", \"probe\", {SHELLS:?}]\nuser = \"auto\"\n\
         [files]\nread = [{}]\n",
        room.probe_entry()
    );
    let spec = room.file("inside.toml", &text);
    isolated(move || {
        let _srv = mount_tmpfs(Path::new("/srv"));
        std::fs::create_dir(room.path().join("kept")).and_then(|()| std::fs::create_dir("/srv/www")).unwrap();
        let report = finish(&mut jail(["run".as_ref(), spec.as_os_str()])).report();
        refused(
            &report,
            &["run /bin/sh", "run /usr/bin/dash", "run /bin/bash", "run /usr/bin/env", "run /usr/bin/perl"],
        );
    });
}

fn report(exec: &str, words: &[&str]) -> Value {
    let room = Room::new();
    let spec = room.probe_spec(words, &[("files", exec)]);
    finish(&mut jail(["run".as_ref(), spec.as_os_str()])).report()
}

fn only_what_is_named_is_executed() {
    let report = report("exec = [\"/bin/bash\"]", &[SHELLS]);
    refused(&report, &["run /bin/sh", "run /usr/bin/dash", "run /usr/bin/env", "run /usr/bin/perl"]);
    assert_eq!(attempt(&report, "run /bin/bash"), "ok", "through the link /bin");
    // The interpreter of the command must be executable for the kernel, and loads what can be read: this
    // is what `exec` cannot stop, as its documentation says. The loaded program has the same rights.
    assert_eq!(attempt(&report, "load /usr/bin/dash"), "ok");
}

fn a_directory_stands_for_what_is_in_it() {
    let report = report("exec = [\"/usr/bin\"]", &[SHELLS]);
    for name in ["run /bin/sh", "run /usr/bin/dash", "run /bin/bash"] {
        assert_eq!(attempt(&report, name), "ok", "{name}");
    }
}

/// Runs a script that is shown at /app, in a jail that may execute what `exec` says.
fn script(text: &str, exec: &str) -> crate::run::Run {
    use std::os::unix::fs::PermissionsExt;
    let room = Room::new();
    let file = room.file("app/script", text);
    std::fs::set_permissions(file, PermissionsExt::from_mode(0o755)).unwrap();
    let spec = format!(
        "[process]\ncommand = [\"/usr/bin/dash\", \"-c\", \"/app/script; /usr/bin/id\"]\n[files]\n\
         read = [\"/usr\", {{ path = \"{}/app\", at = \"/app\" }}]\n{exec}\n",
        room.path().display()
    );
    let spec = room.file("script.toml", &spec);
    finish(&mut jail(["run".as_ref(), spec.as_os_str()]))
}

fn scripts_bring_their_interpreters() {
    for line in ["#!/bin/bash", "#!/usr/bin/env bash"] {
        let run = script(&format!("{line}\necho \"$BASH\" ran\n"), "exec = [\"/app/script\"]");
        assert!(run.stdout.ends_with("bash ran\n"), "{line}: {run:?}");
        assert!(run.stderr.contains("/usr/bin/id: Permission denied"), "{}", run.stderr);
    }
}

fn a_script_that_is_not_named_is_refused() {
    let run = script("#!/bin/dash\necho ran\n", "exec = []");
    assert_eq!(run.stdout, "", "{run:?}");
    assert!(run.stderr.contains("/app/script: Permission denied"), "{}", run.stderr);
}

fn a_foreign_root_names_programs_too() {
    let room = Room::new();
    for name in ["usr", "proc", "dev", "app", "own"] {
        room.open_directory(&format!("tree/{name}"));
    }
    for (link, target) in [("bin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")] {
        std::os::unix::fs::symlink(target, room.path().join("tree").join(link)).unwrap();
    }
    std::fs::copy("/usr/bin/id", room.path().join("tree/own/id")).unwrap();
    let text = format!(
        "[process]\ncommand = [\"/bin/dash\", \"-c\", \"/own/id -u >&2; /usr/bin/whoami\"]\n[files]\nroot = \"{}/tree\"\n\
         read = [\"/usr\"]\nexec = [\"/own/id\"]\n",
        room.path().display()
    );
    let spec = room.file("root.toml", &text);
    let run = finish(&mut jail(["run".as_ref(), spec.as_os_str()])).ended(126);
    assert!(run.stderr.starts_with(|c: char| c.is_ascii_digit()), "{}", run.stderr);
    assert!(run.stderr.contains("/usr/bin/whoami: Permission denied"), "{}", run.stderr);
}

fn plan(files: &str, privileges: &str, flags: &[&str]) -> String {
    let room = Room::new();
    let spec = room.probe_spec(&[], &[("files", files), ("privileges", privileges)]);
    let words = ["plan", spec.to_str().unwrap()].into_iter().chain(flags.iter().copied());
    finish(&mut jail(words)).ended(0).stdout
}

fn without_landlock_it_is_given_up() {
    let text = plan("exec = []", "", &["--without", "landlock"]);
    assert!(text.contains("      exec (by --without landlock)"), "{text}");
    assert!(!plan("", "", &["--without", "landlock"]).contains(" exec ("), "it was not asked for");
}

fn what_goes_around_it_is_given_up() {
    assert!(!plan("exec = []", "", &[]).contains("given up"));
    for (privileges, flags, by) in [
        ("system-calls = [\"@service\", \"@memfd\"]", &[][..], "system-calls, which allow memfd_create"),
        ("system-call-action = \"log\"", &[], "system-call-action = \"log\""),
        ("", &["--without", "seccomp"], "--without seccomp, because memfd_create makes programs"),
    ] {
        let text = plan("exec = []", privileges, flags);
        assert!(text.contains(&format!("      exec (by {by})")), "{text}");
    }
}

fn rootless_names_programs_too() {
    let room = Room::new();
    let spec = room.probe_spec(&[SHELLS], &[("files", "exec = [\"/bin/bash\"]")]);
    let report = finish(&mut jail_as_stranger(["run".as_ref(), spec.as_os_str()])).report();
    refused(&report, &["run /bin/sh", "run /usr/bin/env"]);
    assert_eq!(attempt(&report, "run /bin/bash"), "ok");
}
