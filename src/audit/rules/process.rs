//! Rules about the process: as whom it runs, what it may use up, what surrounds it.
#![forbid(unsafe_code)]

use super::super::weights::{CAPABILITIES, MEMBERSHIPS, USERS, VARIABLES};
use super::{Hit, Subject, row};
use crate::jail::resolve::CAPABILITIES as NAMES;
use crate::plan::Step;
use crate::problem::At;

pub fn root(subject: Subject<'_>) -> Vec<Hit> {
    match subject.host_uid() {
        Some((0, at)) => vec![Hit::new("runs as root", at)],
        _ => Vec::new(),
    }
}

pub fn user_of_the_host(subject: Subject<'_>) -> Vec<Hit> {
    let Some(user) = subject.spec.process.user.as_ref().filter(|user| user.value != "auto") else {
        return Vec::new();
    };
    let own = |(uid, _): &(u32, _)| *uid != 0 && subject.range().is_none();
    let hit = |item| Hit::of(item, format!("runs as {}, a user of the host", user.value), Some(user.at));
    subject.host_uid().filter(own).and_then(|_| row(USERS, &user.value)).map(hit).into_iter().collect()
}

pub fn groups(subject: Subject<'_>) -> Vec<Hit> {
    let process = &subject.spec.process;
    // A main group of its own is what a user usually has.
    let known = |group: &&At<String>| group.value == "0" || MEMBERSHIPS.iter().any(|m| m.name == group.value);
    let main = process.group.iter().filter(known).map(|group| (group, "process.group"));
    let more = process.groups.iter().map(|group| (group, "process.groups"));
    let hit = |name: &str, at| {
        let known = if name == "0" { "root" } else { name };
        row(MEMBERSHIPS, known)
            .map(|item| Hit::of(item, format!("is a member of the group {name}"), Some(at)))
    };
    main.chain(more).filter_map(|(group, key)| Some(hit(&group.value, group.at)?.by(key))).collect()
}

pub fn ids_of_the_host(subject: Subject<'_>) -> Vec<Hit> {
    let mapped =
        |step: &Step| matches!(step, Step::Isolate { user: Some(_), .. } | Step::UserNamespace { .. });
    let open = !subject.plan.steps.iter().any(|p| mapped(&p.step));
    Hit::when(open, "its ids are the host's", None)
}

pub fn capabilities(subject: Subject<'_>) -> Vec<Hit> {
    let held = subject.capabilities();
    let written = |name: &str| {
        let plain = |text: &str| text.to_ascii_uppercase().trim_start_matches("CAP_").to_owned();
        let mut entries = subject.spec.privileges.capabilities.iter();
        entries.find(|entry| plain(&entry.value) == name).map(|entry| entry.at)
    };
    // In a user namespace of its own most are over the jail's own files and processes; these also
    // open more of the kernel.
    let counts = |name: &str| subject.range().is_none() || ["SYS_ADMIN", "SYS_PTRACE"].contains(&name);
    let has = |(number, name): &(usize, &&str)| held >> number & 1 == 1 && counts(name);
    let named = NAMES.iter().enumerate().filter(has).map(|(_, name)| *name);
    named
        .filter_map(|name| Some(Hit::of(row(CAPABILITIES, name)?, format!("has CAP_{name}"), written(name))))
        .collect()
}

/// Whether one of these limits of setrlimit(2) is set to a number.
fn limited(subject: Subject<'_>, names: &[&str]) -> bool {
    subject.plan.steps.iter().any(|p| match &p.step {
        Step::Rlimit { resource, hard, .. } => names.contains(&resource.name) && hard.is_some(),
        _ => false,
    })
}

pub fn memory(subject: Subject<'_>) -> Vec<Hit> {
    Hit::when(!limited(subject, &["as", "data"]), "no limit on memory", None)
}

pub fn tasks(subject: Subject<'_>) -> Vec<Hit> {
    Hit::when(!limited(subject, &["nproc"]), "no limit on processes", None)
}

pub fn core_dumps(subject: Subject<'_>) -> Vec<Hit> {
    let core = subject.plan.steps.iter().find_map(|p| match &p.step {
        Step::Rlimit { resource, hard, .. } if resource.name == "core" => Some((*hard, p.at)),
        _ => None,
    });
    let (hard, at) = core.unwrap_or((None, None));
    Hit::when(hard != Some(0), "may dump core", at)
}

pub fn callers_environment(subject: Subject<'_>) -> Vec<Hit> {
    let kind = |name: &str| {
        let name = name.to_ascii_uppercase();
        let secret =
            ["SECRET", "TOKEN", "PASSWORD", "PASSWD", "CREDENTIAL", "API_KEY", "PRIVATE_KEY", "ACCESS_KEY"];
        match name.as_str() {
            _ if name.starts_with("LD_") => "loader",
            "PYTHONPATH" | "PERL5LIB" | "RUBYLIB" | "NODE_OPTIONS" | "BASH_ENV" | "ENV" => "loader",
            _ if secret.iter().any(|word| name.contains(word)) => "secret",
            _ => "other",
        }
    };
    let hit = |name: &str, at| {
        row(VARIABLES, kind(name))
            .map(|item| Hit::of(item, format!("keeps {name} of the caller's environment"), Some(at)))
    };
    subject.spec.process.keep_env.iter().filter_map(|entry| hit(&entry.value, entry.at)).collect()
}

pub fn out_of_memory(subject: Subject<'_>) -> Vec<Hit> {
    let hit = subject.plan.steps.iter().find_map(|p| match p.step {
        Step::OomScoreAdjust(value) if value < 0 => Some(Hit::new("is spared when memory runs out", p.at)),
        _ => None,
    });
    hit.into_iter().collect()
}
