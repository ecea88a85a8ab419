//! What must be known of the host before a spec can be resolved.
//!
//! Must not know: any answer.
#![forbid(unsafe_code)]

use super::facts::Questions;
use super::path::AbsPath;
use crate::problem::{At, Problem, Problems, Span};
use crate::spec::{ListenAddress, Root, Spec};

/// Links that every usr-merged distribution has: mirrored when what they lead to is shown.
const COMMON_LINKS: &[&str] =
    &["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/var/run", "/var/lock"];

/// Device nodes that every jail has.
pub const BASIC_DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];

/// All questions about the host that a spec raises. Each path is checked here: absolute, without
/// `..`.
///
/// # Errors
/// Every path that cannot be one, at its place.
pub fn ask(spec: &Spec, name: &str) -> Result<Questions, Problems> {
    let mut problems = Problems::default();
    let mut questions = Questions {
        links: COMMON_LINKS.iter().filter_map(|p| AbsPath::new(p).ok()).collect(),
        env: spec.process.keep_env.iter().map(|e| e.value.clone()).collect(),
        moved: super::programs::moved(spec),
        search: search(spec),
        ..Questions::default()
    };
    match spec.process.user.as_ref().map(|u| u.value.as_str()) {
        None | Some("auto") => questions.auto = Some(name.to_owned()),
        Some(user) => questions.users.push(user.to_owned()),
    }
    let groups = spec.process.group.iter().chain(&spec.process.groups);
    questions.groups = groups.map(|g| g.value.clone()).collect();
    let mut add = |path: Option<AbsPath>| {
        if let Some(path) = path
            && !questions.paths.contains(&path)
        {
            questions.paths.push(path);
        }
    };
    if let Some(At { value: Root::Directory { path, .. }, at }) = &spec.files.root {
        let root = checked(path, *at, &mut problems);
        for below in ["dev", "proc"] {
            add(root.as_ref().map(|r| r.join(below)));
        }
        add(root);
    }
    for entry in spec.files.read.iter().chain(&spec.files.write) {
        let path = checked(&entry.value.path, entry.at, &mut problems);
        if entry.value.create.is_some() {
            add(path.as_ref().and_then(AbsPath::parent));
        }
        add(path);
    }
    for device in &spec.files.dev {
        if let Some(path) = device_path(&device.value) {
            add(checked(&path, device.at, &mut problems));
        }
    }
    questions.programs = super::programs::questions(spec, &questions.search);
    for entry in &spec.network.listen {
        if let ListenAddress::Unix(path) = &entry.value.address {
            let directory = checked(path, entry.at, &mut problems).and_then(|path| path.parent());
            questions.socket_directories.extend(directory);
        }
        questions.groups.extend(entry.value.group.as_ref().map(|group| group.value.clone()));
    }
    problems.none_or(questions)
}

/// The directories of the jail's PATH, as far as the spec says it.
fn search(spec: &Spec) -> Vec<AbsPath> {
    let written = spec.process.env.iter().rev().find(|(key, _)| key.value == "PATH");
    super::programs::search(written.map_or(super::resolve::DEFAULT_PATH, |(_, value)| value.value.as_str()))
}

/// The host path of a `dev` entry that is a node; `None` for the words with a meaning of their own.
pub fn device_path(entry: &str) -> Option<String> {
    match entry {
        "none" | "pts" | "shm" => None,
        _ if entry.starts_with("/dev/") => Some(entry.to_owned()),
        _ => Some(format!("/dev/{entry}")),
    }
}

/// A path as written, or a problem at its place.
pub fn checked(text: &str, at: Span, problems: &mut Problems) -> Option<AbsPath> {
    match AbsPath::new(text) {
        Ok(path) => Some(path),
        Err(wrong) => {
            let help = match wrong {
                "is not absolute" => format!("write it from the top: \"/{}\"", text.trim_start_matches("./")),
                "contains `..`" => "write the path that is meant, without `..`".to_owned(),
                _ => "write an absolute path such as \"/usr\"".to_owned(),
            };
            problems.push(Problem::usage(format!("the path {text:?} {wrong}")).at(at).help(help));
            None
        }
    }
}
