//! What must be known of the host before a spec can be resolved.
//!
//! Must not know: any answer.
#![forbid(unsafe_code)]

use super::facts::Questions;
use super::path::AbsPath;
use crate::problem::{At, Problem, Problems, Span};
use crate::spec::{Files, ListenAddress, Root, Spec};
use std::collections::BTreeSet;

/// Links that every usr-merged distribution has: mirrored when what they lead to is shown.
const COMMON_LINKS: &[&str] =
    &["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/var/run", "/var/lock"];

/// Device nodes that every jail has.
pub const BASIC_DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];

/// All questions about the host that a spec raises. What cannot be a path raises none: `resolve` says
/// so, with all else that is wrong.
pub fn ask(spec: &Spec, name: &str) -> Questions {
    let mut questions = Questions {
        links: COMMON_LINKS.iter().filter_map(|p| AbsPath::new(p).ok()).collect(),
        env: spec.process.keep_env.iter().map(|e| e.value.clone()).collect(),
        moved: super::programs::moved(spec),
        search: search(spec),
        limits: super::limits::ask(spec),
        ..Questions::default()
    };
    let ranged = spec.privileges.user_namespace.as_ref().is_some_and(|u| u.value);
    questions.range = ranged.then(|| name.to_owned());
    match spec.process.user.as_ref().map(|u| u.value.as_str()) {
        None | Some("auto") if ranged => {}
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
    let mut listings = Vec::new();
    for entry in spec.files.read.iter().chain(&spec.files.write) {
        let path = AbsPath::new(&entry.value.path).ok();
        if entry.value.create.is_some() {
            add(path.as_ref().and_then(AbsPath::parent));
        }
        if entry.value.follow && !entry.value.bind {
            listings.extend(path.clone());
        }
        add(path);
    }
    questions.listings = listings;
    for device in &spec.files.dev {
        add(device_path(&device.value).and_then(|path| AbsPath::new(&path).ok()));
    }
    if let Some(At { value: Root::Directory { path, .. }, .. }) = &spec.files.root {
        let root = AbsPath::new(path).ok();
        add(root.clone());
        questions.root = root;
        questions.inside = inside(&spec.files);
    }
    questions.programs = super::programs::questions(spec, &questions.search);
    for entry in &spec.network.listen {
        if let ListenAddress::Unix(path) = &entry.value.address {
            questions.socket_directories.extend(AbsPath::new(path).ok().and_then(|path| path.parent()));
        }
        questions.groups.extend(entry.value.group.as_ref().map(|group| group.value.clone()));
    }
    questions
}

/// Every place in a root that was given where something may be mounted, with all above it.
fn inside(files: &Files) -> Vec<AbsPath> {
    let shown = files.read.iter().chain(&files.write).map(|e| e.value.at.as_ref().unwrap_or(&e.value.path));
    let made = files.tmpfs.iter().map(|e| &e.value.path);
    let made = made.chain(files.text.iter().map(|e| &e.value.path));
    let made = made.chain(files.link.iter().map(|e| &e.value.path));
    let places = shown.chain(made).map(String::as_str).chain(["/dev", "/proc"]);
    let mut inside = BTreeSet::new();
    for place in places.filter_map(|place| AbsPath::new(place).ok()) {
        inside.extend(place.ancestors().filter_map(|up| AbsPath::new(up).ok()));
        inside.insert(place);
    }
    inside.into_iter().collect()
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
                "is not absolute" if text.starts_with('.') => {
                    "write the whole path, from `/` on: it must not depend on where jail is started"
                        .to_owned()
                }
                "is not absolute" => format!("write it from the top: \"/{text}\""),
                "contains `..`" => "write the path that is meant, without `..`".to_owned(),
                _ => "write an absolute path such as \"/usr\"".to_owned(),
            };
            problems.push(Problem::usage(format!("the path {text:?} {wrong}")).at(at).help(help));
            None
        }
    }
}
