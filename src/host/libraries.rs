//! Finds what glibc's dynamic loader would find (ld.so(8)), without running anything.
//!
//! Must not know: how files are laid out inside (that is `inside`). What it leaves out: the
//! subdirectories for processor levels (there is always a plain library beside them) and the
//! content of the loader's cache, of which only the configured directories are taken.

use super::diagnose::{Finding, host_path};
use super::elf::{self, Form, Needs};
use super::inside::{self, Found, View, find};
use crate::jail::path::AbsPath;
use std::collections::BTreeSet;

/// Where the loader looks without a cache, which a jail has only if it is shown: Debian's
/// directories, then the others'.
const STANDARD: &[&str] = &[
    #[cfg(target_arch = "x86_64")]
    "/lib/x86_64-linux-gnu",
    #[cfg(target_arch = "x86_64")]
    "/usr/lib/x86_64-linux-gnu",
    #[cfg(target_arch = "aarch64")]
    "/lib/aarch64-linux-gnu",
    #[cfg(target_arch = "aarch64")]
    "/usr/lib/aarch64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
];

/// `$LIB` differs between distributions.
#[cfg(target_arch = "x86_64")]
const LIB: &[&str] = &["lib/x86_64-linux-gnu", "lib64", "lib"];
#[cfg(target_arch = "aarch64")]
const LIB: &[&str] = &["lib/aarch64-linux-gnu", "lib64", "lib"];

/// No program has as many; more means that something is wrong with the files.
const MOST_LIBRARIES: usize = 2000;

/// A program or library whose own libraries are still to be found.
struct Object {
    path: AbsPath,
    needs: Needs,
    /// DT_RPATH of those that need it.
    inherited: Vec<String>,
}

/// What is missing of all that `program` needs, directly or not.
pub fn missing(
    view: &dyn View,
    program: &AbsPath,
    needs: Needs,
    environment: &[(String, String)],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    // The loader is in memory already when somebody needs it by name.
    let loader = needs.interpreter.as_deref().and_then(|l| l.rsplit('/').next()).unwrap_or("").to_owned();
    // Others (musl's) look elsewhere and bring libc with them.
    if !loader.starts_with("ld-linux") {
        return findings;
    }
    let mut seen = BTreeSet::from([loader]);
    let variable = environment.iter().find(|(key, _)| key == "LD_LIBRARY_PATH").map_or("", |(_, v)| v);
    let environment: Vec<String> = variable.split([':', ';']).map(str::to_owned).collect();
    let configured = configured_directories();
    let cached = find(view, "/etc/ld.so.cache").is_ok();
    let mut waiting = vec![Object { path: program.clone(), needs, inherited: Vec::new() }];
    while let Some(object) = waiting.pop() {
        let (rpath, mut own) = directories(&object, &environment);
        own.extend(STANDARD.iter().map(|d| (*d).to_owned()));
        let mut all = own.clone();
        all.extend(configured.iter().cloned());
        for library in &object.needs.libraries {
            if seen.len() >= MOST_LIBRARIES || !seen.insert(library.clone()) {
                continue;
            }
            match search(view, library, if cached { &all } else { &own }) {
                Some((found, path, needs)) => {
                    if !found.exec && found.host.is_some() {
                        findings.push(Finding::NoExecMount { path: found.inside });
                    }
                    waiting.extend(needs.map(|needs| Object { path, needs, inherited: rpath.clone() }));
                }
                None => findings.push(Finding::LibraryMissing {
                    binary: object.path.clone(),
                    library: library.clone(),
                    host_path: candidates(library, &all).iter().find_map(|path| host_path(path)),
                }),
            }
        }
    }
    findings
}

/// The DT_RPATH that counts for an object and those below it, and all that is searched before the
/// standard directories. A DT_RUNPATH makes the loader forget every DT_RPATH.
fn directories(object: &Object, environment: &[String]) -> (Vec<String>, Vec<String>) {
    let origin = object.path.parent().unwrap_or_else(AbsPath::root);
    let expand = |list: &[String]| list.iter().flat_map(|d| expand(d, &origin)).collect::<Vec<_>>();
    let newer = !object.needs.runpath.is_empty();
    let mut below = if newer { Vec::new() } else { expand(&object.needs.rpath) };
    below.extend(object.inherited.iter().cloned());
    let mut searched = if newer { Vec::new() } else { below.clone() };
    searched.extend(expand(environment));
    searched.extend(expand(&object.needs.runpath));
    (below, searched)
}

/// The tokens of ld.so(8) replaced; nothing for a path that depends on the working directory.
fn expand(directory: &str, origin: &AbsPath) -> Vec<String> {
    let replace = |text: &str, name: &str, value: &str| {
        text.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value)
    };
    let directory = replace(directory, "ORIGIN", origin.as_str());
    let directory = replace(&directory, "PLATFORM", std::env::consts::ARCH);
    let mut all = vec![directory.clone()];
    if directory.contains("$LIB") || directory.contains("${LIB}") {
        all = LIB.iter().map(|lib| replace(&directory, "LIB", lib)).collect();
    }
    all.retain(|d| d.starts_with('/'));
    all
}

/// The paths at which a library may be.
fn candidates(library: &str, directories: &[String]) -> Vec<String> {
    if library.contains('/') {
        return vec![library.to_owned()];
    }
    directories.iter().map(|d| format!("{d}/{library}")).collect()
}

/// The first candidate that the loader would take, the path by which it takes it (its `$ORIGIN`),
/// and what it needs itself, if it may be looked into.
fn search(view: &dyn View, library: &str, directories: &[String]) -> Option<(Found, AbsPath, Option<Needs>)> {
    candidates(library, directories).into_iter().find_map(|candidate| {
        let found = find(view, &candidate).ok().filter(|f| !f.directory)?;
        let path = AbsPath::new(&candidate).unwrap_or_else(|_| found.inside.clone());
        let form = found.host.as_ref().and_then(inside::open_trusted).and_then(|f| elf::read(&f).ok());
        match form {
            // The loader passes over libraries of another word size.
            Some(Form::Foreign) => None,
            Some(Form::Elf(needs)) => Some((found, path, Some(needs))),
            _ => Some((found, path, None)),
        }
    })
}

/// Directories of /etc/ld.so.conf and /etc/ld.so.conf.d, from which ldconfig(8) makes the cache.
fn configured_directories() -> Vec<String> {
    let entries = std::fs::read_dir("/etc/ld.so.conf.d").into_iter().flatten().filter_map(Result::ok);
    let mut files: Vec<String> = entries.filter_map(|e| e.path().to_str().map(str::to_owned)).collect();
    files.retain(|f| f.ends_with(".conf"));
    files.push("/etc/ld.so.conf".into());
    files.sort();
    let texts = files.iter().filter_map(|f| AbsPath::new(f).ok()).filter_map(|f| inside::read_trusted(&f));
    texts.flat_map(|text| directories_of(&text)).collect()
}

/// The lines of ld.so.conf that are directories.
fn directories_of(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|l| l.split('#').next()).map(str::trim);
    lines.filter(|l| l.starts_with('/')).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(rpath: &[&str], runpath: &[&str]) -> Object {
        let text = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
        let needs = Needs { rpath: text(rpath), runpath: text(runpath), ..Needs::default() };
        Object { path: AbsPath::new("/opt/a/bin/x").unwrap(), needs, inherited: vec!["/above".into()] }
    }

    #[test]
    fn the_order_of_ld_so() {
        let env = ["/env".to_owned(), String::new()];
        assert_eq!(
            directories(&object(&["$ORIGIN/../lib", "rel"], &[]), &env),
            (
                vec!["/opt/a/bin/../lib".into(), "/above".into()],
                vec!["/opt/a/bin/../lib".into(), "/above".into(), "/env".into()]
            )
        );
        assert_eq!(
            directories(&object(&["/old"], &["${ORIGIN}"]), &env),
            (vec!["/above".into()], vec!["/env".into(), "/opt/a/bin".into()])
        );
    }

    #[test]
    fn tokens() {
        let origin = AbsPath::new("/o").unwrap();
        assert_eq!(expand("/x/${LIB}", &origin), LIB.iter().map(|l| format!("/x/{l}")).collect::<Vec<_>>());
        assert_eq!(expand("$ORIGIN/$PLATFORM", &origin), [format!("/o/{}", std::env::consts::ARCH)]);
        assert_eq!(expand("", &origin), [""; 0]);
    }

    #[test]
    fn lines_of_ld_so_conf() {
        let text = "include /etc/ld.so.conf.d/*.conf\n# /no\n /usr/local/lib # yes\n\nlib\n/opt/lib\n";
        assert_eq!(directories_of(text), ["/usr/local/lib", "/opt/lib"]);
    }
}
