//! The rules of the source tree itself: heads, lengths, layers, `unsafe`, and texts that are made
//! from tables.
//!
//! Must not know: what the code does.

use crate::ring::Ring::Pure;
use crate::tests;
use std::path::{Path, PathBuf};

tests! {
    Pure => [
        every_file_says_what_it_is, files_are_short, unsafe_is_in_sys_alone, pure_files_forbid_unsafe,
        pure_files_name_no_system_crate, a_module_imports_only_what_is_below_it, the_readme_has_the_reference,
        every_shipped_file_is_built_in, every_promise_has_its_tests, the_shipped_unit_is_the_generated_one,
    ],
}

/// Longest source file, in lines.
const LONGEST: usize = 450;

/// Modules that are a function of their input: no crate that reaches the system.
const PURE: &[&str] = &["spec", "jail", "plan", "audit", "seccomp", "problem", "record", "verify", "export"];

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(below: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = walkdir::WalkDir::new(below)
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    found.sort();
    found
}

/// Source files as (path below src, text).
fn sources() -> Vec<(String, String)> {
    let src = package().join("src");
    let name = |path: &PathBuf| path.strip_prefix(&src).unwrap().display().to_string();
    let found: Vec<(String, String)> =
        files(&src, "rs").iter().map(|p| (name(p), std::fs::read_to_string(p).unwrap())).collect();
    assert!(found.len() > 30, "{} files", found.len());
    found
}

/// `spec` of `spec/keys/files.rs` and of `spec.rs`.
fn module(file: &str) -> &str {
    let first = file.split('/').next().unwrap();
    first.strip_suffix(".rs").unwrap_or(first)
}

fn is_pure(file: &str) -> bool {
    PURE.contains(&module(file)) && !file.starts_with("spec/load")
}

fn is_test(file: &str) -> bool {
    file.ends_with("/tests.rs") || file.contains("/tests/")
}

/// Lines of code: no comments, no test module at the end, strings emptied.
fn code(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.starts_with("#[cfg(test)]")
            && text.lines().nth(index + 1).is_some_and(|next| next.ends_with('{'))
        {
            break;
        }
        let mut code = String::new();
        let mut in_string = false;
        let mut before = ' ';
        for c in line.split("//").next().unwrap_or("").chars() {
            if c == '"' && before != '\\' && before != '\'' {
                in_string = !in_string;
            } else if !in_string {
                code.push(c);
            }
            before = c;
        }
        lines.push((index + 1, code));
    }
    lines
}

#[track_caller]
fn none(bad: Vec<String>) {
    assert!(bad.is_empty(), "\n{}", bad.join("\n"));
}

fn every_file_says_what_it_is() {
    let tests = files(&package().join("tests/it"), "rs");
    let tests = tests.iter().map(|p| (p.display().to_string(), std::fs::read_to_string(p).unwrap()));
    none(
        sources()
            .into_iter()
            .chain(tests)
            .filter(|(_, text)| !text.starts_with("//! "))
            .map(|(file, _)| file)
            .collect(),
    );
}

fn files_are_short() {
    let length = |text: &str| text.lines().count();
    let long = sources().into_iter().filter(|(_, text)| length(text) > LONGEST);
    none(long.map(|(file, text)| format!("{file}: {} lines", length(&text))).collect());
}

/// As a word: `unsafe_code` is another one.
fn has_word(code: &str, word: &str) -> bool {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == word)
}

fn unsafe_is_in_sys_alone() {
    let mut bad = Vec::new();
    for (file, text) in sources().iter().filter(|(file, _)| module(file) != "sys") {
        for (line, code) in code(text) {
            if has_word(&code, "unsafe") {
                bad.push(format!("src/{file}:{line}: {code}"));
            }
        }
    }
    none(bad);
}

fn pure_files_forbid_unsafe() {
    let pure = sources().into_iter().filter(|(file, _)| is_pure(file) && !is_test(file));
    none(
        pure.filter(|(_, text)| !text.contains("\n#![forbid(unsafe_code)]\n"))
            .map(|(file, _)| format!("src/{file}"))
            .collect(),
    );
}

fn pure_files_name_no_system_crate() {
    let words = [
        "std::fs",
        "std::process",
        "std::env",
        "std::net",
        "std::os",
        "nix::",
        "rustix::",
        "libc::",
        "landlock::",
    ];
    let mut bad = Vec::new();
    for (file, text) in sources().iter().filter(|(file, _)| is_pure(file) && !is_test(file)) {
        for (line, code) in code(text) {
            // A module of one's own may be called libc_errno.
            for word in words.iter().filter(|w| code.match_indices(**w).any(|(at, _)| starts_word(&code, at)))
            {
                bad.push(format!("src/{file}:{line}: {word} in {}", code.trim()));
            }
        }
    }
    none(bad);
}

fn starts_word(code: &str, at: usize) -> bool {
    !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
}

/// The layers, highest first. (The order of lib.rs is rustfmt's.)
const LAYERS: &[&str] = &[
    "main", "cmd", "cli", "serve", "apply", "registry", "host", "sys", "verify", "audit", "export", "record",
    "plan", "jail", "seccomp", "spec", "problem",
];

fn a_module_imports_only_what_is_below_it() {
    let place = |module: &str| LAYERS.iter().position(|l| *l == module);
    let text = std::fs::read_to_string(package().join("src/lib.rs")).unwrap();
    for module in text.lines().filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';')) {
        assert!(place(module).is_some(), "{module} has no layer");
    }
    let mut bad = Vec::new();
    for (file, text) in sources().iter().filter(|(file, _)| !is_test(file)) {
        let Some(own) = place(module(file)) else { continue };
        for (line, code) in code(text) {
            for (at, _) in code.match_indices("crate::") {
                let rest = &code[at + "crate::".len()..];
                for used in used_modules(rest) {
                    if place(&used).is_some_and(|other| other < own) {
                        bad.push(format!(
                            "src/{file}:{line}: {} uses {used}, which is above it",
                            module(file)
                        ));
                    }
                }
            }
        }
    }
    none(bad);
}

/// `host` of `host::answer`; `host` and `plan` of `{host, plan::Plan}` (one line).
fn used_modules(rest: &str) -> Vec<String> {
    let name =
        |text: &str| text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    match rest.strip_prefix('{') {
        Some(list) => list.split([',', '}']).map(name).filter(|n| !n.is_empty()).collect(),
        None => vec![name(rest)],
    }
}

fn the_readme_has_the_reference() {
    let readme = std::fs::read_to_string(package().join("README.md")).unwrap();
    let (_, rest) =
        readme.split_once("<!-- keys -->\n").expect("the README marks where the reference begins");
    let (reference, _) = rest.split_once("<!-- /keys -->").expect("and where it ends");
    let made = jail::spec::keys::reference_markdown();
    if std::env::var_os("UPDATE_GOLDEN").is_some() && reference.trim() != made.trim() {
        let new = readme.replace(reference, &format!("{}\n", made.trim_end()));
        return std::fs::write(package().join("README.md"), new).unwrap();
    }
    assert_eq!(reference.trim(), made.trim(), "the README's reference (UPDATE_GOLDEN=1 writes it)");
}

fn every_shipped_file_is_built_in() {
    use jail::spec::builtin::{BLOCKS, SPECS};
    let names = |directory: &str| -> Vec<String> {
        let entries = std::fs::read_dir(package().join(directory)).unwrap();
        let paths = entries.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "toml"));
        let mut names: Vec<String> =
            paths.map(|p| p.file_stem().unwrap().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(SPECS.iter().map(|s| s.name.to_owned()).collect::<Vec<_>>(), names("jails.d"));
    assert_eq!(BLOCKS.iter().map(|s| s.name.to_owned()).collect::<Vec<_>>(), names("jails.d/blocks"));
}

/// SECURITY.md names a test that exists for every promise, and every test that is about promises.
fn every_promise_has_its_tests() {
    let text = std::fs::read_to_string(package().join("SECURITY.md")).unwrap();
    let all: Vec<String> = crate::all_tests().iter().map(|test| test.name().to_owned()).collect();
    let (_, rest) = text.split_once("## What is promised").expect("the promises");
    let (promises, _) = rest.split_once("\n## ").expect("their end");
    let rows: Vec<&str> = promises.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 20, "{} promises", rows.len());
    let mut bad = Vec::new();
    let mut named = Vec::new();
    for row in rows {
        let tests: Vec<&str> = row.split('`').skip(1).step_by(2).filter(|word| word.contains("::")).collect();
        if tests.is_empty() {
            bad.push(format!("no test: {row}"));
        }
        // Those of the tracer are for one architecture.
        let there = |name: &str| {
            all.iter().any(|known| known == name)
                || (name.starts_with("syscalls::") && !cfg!(target_arch = "x86_64"))
        };
        bad.extend(tests.iter().filter(|name| !there(name)).map(|name| format!("there is no test {name}")));
        named.extend(tests);
    }
    let about = ["promises::", "hostile::", "races::", "kills::"];
    let about = all.iter().filter(|name| about.iter().any(|file| name.starts_with(file)));
    bad.extend(
        about.filter(|name| !named.contains(&name.as_str())).map(|name| format!("{name} is not named")),
    );
    none(bad);
}

fn the_shipped_unit_is_the_generated_one() {
    let path = package().join("docs/systemd/jail@.service");
    let made = jail::export::systemd::template("/usr/bin/jail");
    if std::env::var("UPDATE_DOCS").is_ok() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &made).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == made,
        "docs/systemd/jail@.service is not what `jail systemd` prints: UPDATE_DOCS=1 writes it"
    );
}
