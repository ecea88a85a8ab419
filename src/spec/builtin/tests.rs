//! The shipped files: all built in, all without mistakes, none asking for more than it says.

use super::{BLOCKS, Builtin, SPECS};
use crate::problem::{Paint, Problems, Sources};
use crate::spec::Spec;
use crate::spec::load::{Roots, Trust, load_from};
use crate::spec::parse::parse;
use std::path::{Path, PathBuf};

fn folder(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

/// Nothing but the built-in texts can be found.
fn nowhere() -> Roots {
    Roots { working: "/nonexistent/a".into(), system: "/nonexistent/b".into() }
}

fn loaded(name: &str) -> Spec {
    let mut sources = Sources::default();
    match load_from(&nowhere(), name, Trust::Root, &mut sources) {
        Ok(loaded) => loaded.spec,
        Err(problems) => panic!("{}", problems.render(&sources, Paint(false))),
    }
}

#[test]
fn every_shipped_file_is_built_in() {
    for (texts, below) in [(SPECS, "jails.d"), (BLOCKS, "jails.d/blocks")] {
        let mut files: Vec<String> = std::fs::read_dir(folder(below))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter_map(|file| Some(file.strip_suffix(".toml")?.to_owned()))
            .collect();
        files.sort();
        let names: Vec<_> = texts.iter().map(|builtin| builtin.name).collect();
        assert_eq!(names, files, "{below}");
    }
}

#[test]
fn shipped_files_have_no_mistakes() {
    for Builtin { name, text } in SPECS.iter().chain(BLOCKS) {
        let mut sources = Sources::default();
        let source = sources.add(*name, *text);
        let mut problems = Problems::default();
        let spec = parse(text, source, &mut problems);
        assert_eq!(problems.render(&sources, Paint(false)), "");
        assert!(spec.description.is_some(), "{name} has no description");
    }
}

/// Servers that become each of their users, and so need root's right to do it, with all that they have.
const STARTED_AS_ROOT: &[(&str, &[&str])] = &[
    ("dovecot", &["NET_BIND_SERVICE", "SETUID", "SETGID", "SYS_CHROOT", "CHOWN"]),
    ("openssh-server", &["NET_BIND_SERVICE", "SETUID", "SETGID", "SYS_CHROOT", "CHOWN"]),
    ("postfix", &["NET_BIND_SERVICE", "SETUID", "SETGID", "SYS_CHROOT", "DAC_OVERRIDE"]),
    ("vsftpd", &["NET_BIND_SERVICE", "SETGID", "SETUID", "SYS_CHROOT"]),
];

#[test]
fn shipped_specs_load_with_their_blocks() {
    for Builtin { name, .. } in SPECS {
        let spec = loaded(name);
        assert!(spec.process.command.is_some(), "{name} runs nothing");
        let user = spec.process.user.unwrap_or_else(|| panic!("{name} names no user")).value;
        let given: Vec<_> = spec.privileges.capabilities.iter().map(|c| c.value.as_str()).collect();
        match STARTED_AS_ROOT.iter().find(|(started, _)| started == name) {
            Some((_, capabilities)) => {
                assert_eq!((user.as_str(), &given[..]), ("root", *capabilities), "{name}")
            }
            None => {
                let allowed: &[&str] = match *name {
                    "haproxy" => &["NET_BIND_SERVICE", "SYS_CHROOT"],
                    _ => &["NET_BIND_SERVICE"],
                };
                assert!(user != "root" && user != "0", "{name}");
                assert!(given.iter().all(|capability| allowed.contains(capability)), "{name}: {given:?}");
            }
        }
        assert!(spec.privileges.share_namespaces.is_empty(), "{name}");
    }
    let nginx = loaded("nginx");
    let reads: Vec<_> = nginx.files.read.iter().map(|entry| entry.value.path.as_str()).collect();
    for path in ["/etc/ssl/certs", "/etc/resolv.conf", "/etc/localtime", "/etc/nginx"] {
        assert!(reads.contains(&path), "{path} is not in {reads:?}");
    }
}

/// Blocks are for everybody: no shipped text may show secrets, or name one path twice.
#[test]
fn blocks_show_no_secrets_and_fit_together() {
    let mut paths = Vec::new();
    for Builtin { name, text } in BLOCKS {
        let spec = parse(text, 0, &mut Problems::default());
        assert!(spec.files.write.is_empty() && spec.privileges == Spec::default().privileges, "{name}");
        for entry in spec.files.read {
            let path = entry.value.path;
            assert!(!path.contains("private") && !path.contains("shadow"), "{name}: {path}");
            assert!(!["/etc", "/etc/ssl", "/etc/pki", "/run"].contains(&path.as_str()), "{name}: {path}");
            assert!(!paths.contains(&path), "{name}: {path} is in another block");
            paths.push(path);
        }
    }
}

#[test]
fn hello_needs_no_capability_and_nothing_installed() {
    let hello = loaded("hello");
    assert_eq!(hello.process.command.unwrap().value, ["/bin/sh", "/hello.sh"]);
    assert_eq!(hello.process.user.unwrap().value, "auto");
    assert!(hello.privileges.capabilities.is_empty());
    assert_eq!(hello.files.text[0].value.path, "/hello.sh");
}
