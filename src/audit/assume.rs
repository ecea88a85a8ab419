//! Facts about a host on which the jail is not going to run: a spec is judged the same by root, by
//! its author without root, and by a CI machine that has neither the server nor its user.
//!
//! Must not know: what is judged. Nothing that was assumed is ever planned for a run.
#![forbid(unsafe_code)]

use crate::jail::ask::device_path;
use crate::jail::facts::{Caller, End, Facts, FileKind, Group, PathFact, User};
use crate::jail::limits;
use crate::jail::path::AbsPath;
use crate::spec::{Root, Spec};

/// errno of a path that is not there (asm-generic/errno-base.h).
const ENOENT: i32 = 2;

/// An id that stands for a user or group that this host does not have: an ordinary one.
const SOMEBODY: u32 = 4_000;

/// Fills in what this host, caller and kernel lack: root starts the jail, on a kernel that has all
/// that the plan can use, and what the spec needs is there. Returns what was made up of paths and
/// users, a clause each.
pub fn assume(facts: &mut Facts, spec: &Spec) -> Vec<String> {
    let last = 40.max(facts.kernel.last_capability);
    facts.caller = Caller {
        capabilities: u64::MAX >> (63 - last.min(63)),
        terminal: true,
        can_start_session: true,
        ..Caller::default()
    };
    let kernel = &mut facts.kernel;
    kernel.version = kernel.version.max((6, 12));
    kernel.landlock = kernel.landlock.max(6);
    kernel.last_capability = last;
    (kernel.seccomp, kernel.deny_write_execute, kernel.keyrings) = (true, true, true);
    facts.range = facts.range.or(Some(0x7000_0000));
    facts.cgroups = limits::ask(spec).map(|asked| limits::Cgroups::assumed(&asked));
    let mut assumed = Vec::new();
    identities(facts, &mut assumed);
    for (path, kind, optional) in named_paths(spec) {
        let in_range = spec.privileges.user_namespace.as_ref().is_some_and(|u| u.value);
        there(facts, &path, kind, (optional, in_range), &mut assumed);
    }
    if let Some(Root::Directory { .. }) = spec.files.root.as_ref().map(|root| &root.value) {
        places_in_root(facts, spec, &mut assumed);
    }
    assumed
}

/// A root that was given has what is mounted on, of the kind of what is mounted.
fn places_in_root(facts: &mut Facts, spec: &Spec, assumed: &mut Vec<String>) {
    let made = ["/dev", "/proc"].into_iter().chain(spec.files.tmpfs.iter().map(|e| e.value.path.as_str()));
    let mut places: Vec<(&str, FileKind)> = made.map(|path| (path, FileKind::Directory)).collect();
    for entry in spec.files.read.iter().chain(&spec.files.write).map(|entry| &entry.value) {
        let end = facts.paths.get(entry.path.as_str()).and_then(|fact| fact.end.as_ref().ok());
        let kind = end.map_or(FileKind::Directory, |end| end.kind);
        places.push((entry.at.as_ref().unwrap_or(&entry.path), kind));
    }
    for (place, kind) in places {
        let Ok(place) = AbsPath::new(place) else { continue };
        let above =
            place.ancestors().filter_map(|up| AbsPath::new(up).ok()).map(|up| (up, FileKind::Directory));
        for (path, kind) in above.chain([(place.clone(), kind)]) {
            let known = facts.inside.get(&path).is_some_and(|fact| fact.end.is_ok());
            if known {
                continue;
            }
            if path == place {
                assumed.push(format!("the root has {path}"));
            }
            let end = End {
                path: path.clone(),
                kind,
                size: 0,
                mode: 0o755,
                uid: 0,
                gid: 0,
                untrusted: None,
                guarded: false,
            };
            facts.inside.insert(path, PathFact { hops: Vec::new(), end: Ok(end) });
        }
    }
}

fn identities(facts: &mut Facts, assumed: &mut Vec<String>) {
    for (name, user) in facts.users.iter_mut().filter(|(_, user)| user.is_none()) {
        *user = Some(User {
            name: name.clone(),
            uid: SOMEBODY,
            gid: SOMEBODY,
            group: name.clone(),
            home: "/nonexistent".into(),
            shell: "/usr/sbin/nologin".into(),
        });
        assumed.push(format!("the user {name} exists and is an ordinary one"));
    }
    for (name, group) in facts.groups.iter_mut().filter(|(_, group)| group.is_none()) {
        *group = Some(Group { name: name.clone(), gid: SOMEBODY });
        assumed.push(format!("the group {name} exists"));
    }
}

/// Each host path of a spec: what it is taken for if it is not there, and whether it may be missing.
fn named_paths(spec: &Spec) -> Vec<(AbsPath, FileKind, bool)> {
    let files = &spec.files;
    let mut paths = Vec::new();
    let mut add = |text: &str, kind, optional| {
        // A path that cannot be one is a problem of its own.
        paths.extend(AbsPath::new(text).ok().map(|path| (path, kind, optional)));
    };
    if let Some(Root::Directory { path, .. }) = files.root.as_ref().map(|root| &root.value) {
        add(path, FileKind::Directory, false);
    }
    for entry in files.read.iter().chain(&files.write).map(|entry| &entry.value) {
        let socket = entry.bind && entry.path.contains("sock");
        let kind = if socket { FileKind::Socket } else { FileKind::Directory };
        add(&entry.path, kind, entry.optional || entry.create.is_some());
        if let Some(parent) = AbsPath::new(&entry.path).ok().and_then(|path| path.parent()) {
            add(parent.as_str(), FileKind::Directory, entry.create.is_none());
        }
    }
    for device in files.dev.iter().filter_map(|device| device_path(&device.value)) {
        add(&device, FileKind::Device, false);
    }
    paths
}

/// A path that is missing, or behind a directory that the caller may not enter.
fn there(
    facts: &mut Facts,
    path: &AbsPath,
    kind: FileKind,
    (optional, in_range): (bool, bool),
    assumed: &mut Vec<String>,
) {
    let Some(fact) = facts.paths.get_mut(path) else { return };
    let Err(stop) = &fact.end else { return };
    if optional && stop.errno == ENOENT {
        return;
    }
    let what = match kind {
        FileKind::Device => "a device",
        FileKind::Socket => "a socket",
        _ => "a directory",
    };
    assumed.push(format!("{path} is {what}"));
    // Missing is perhaps the last name alone: the links before it have been followed.
    let followed = stop.errno == ENOENT && stop.path.name() == path.name();
    // What the host's root owns could not be written to in a user namespace.
    let owner = if in_range { SOMEBODY } else { 0 };
    let hops = if followed { std::mem::take(&mut fact.hops) } else { Vec::new() };
    let path = if followed { stop.path.clone() } else { path.clone() };
    let end =
        End { path, kind, size: 0, mode: 0o755, uid: owner, gid: owner, untrusted: None, guarded: false };
    *fact = PathFact { hops, end: Ok(end) };
}
