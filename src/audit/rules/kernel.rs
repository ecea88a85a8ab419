//! Rules about the walls of the kernel: network, system calls, namespaces, and what was given up.
#![forbid(unsafe_code)]

use super::super::weights::{FAMILIES, GROUPS, Item, NAMESPACES};
use super::{Hit, Subject, row};
use crate::problem::{At, Span};
use crate::seccomp::{self, Policy};

/// A promise that the plan does not keep, on purpose.
pub fn given_up(subject: Subject<'_>, name: &str, what: &str) -> Vec<Hit> {
    let given = subject.plan.given_up.iter().find(|given| given.what == name);
    given.map(|given| Hit::new(what, given.at)).into_iter().collect()
}

fn mode_at(subject: Subject<'_>) -> Option<Span> {
    subject.spec.network.mode.as_ref().map(|mode| mode.at)
}

pub fn host_network(subject: Subject<'_>) -> Vec<Hit> {
    Hit::when(!subject.own_network(), "is in the host's network", mode_at(subject))
}

pub fn addresses(subject: Subject<'_>) -> Vec<Hit> {
    Hit::when(!subject.own_network(), "may connect to any address", mode_at(subject))
}

pub fn families(subject: Subject<'_>) -> Vec<Hit> {
    let (kind, what) = match subject.policy() {
        None => ("all", "sockets of every family"),
        Some(policy) if policy.allows_named("socket") => ("netlink", "netlink sockets, beside unix and IP"),
        Some(_) => return Vec::new(),
    };
    row(FAMILIES, kind).map(|item| Hit::of(item, what, None)).into_iter().collect()
}

pub fn system_calls(subject: Subject<'_>) -> Vec<Hit> {
    let Some(policy) = subject.policy() else { return Vec::new() };
    GROUPS.iter().filter_map(|item| allowed_of(item, policy, &subject.spec.privileges.system_calls)).collect()
}

/// What of a group is allowed.
fn allowed_of(item: &'static Item, policy: &Policy, list: &[At<String>]) -> Option<Hit> {
    let group = seccomp::group(item.name)?;
    // What an included group has is a finding of that group, and what every service has is none.
    let service = seccomp::group("@service")?;
    let elsewhere: Vec<&str> =
        group.includes.iter().chain([service]).flat_map(seccomp::Group::calls).collect();
    let own: Vec<&str> = group.calls().into_iter().filter(|call| !elsewhere.contains(call)).collect();
    let allowed: Vec<&str> = own.iter().copied().filter(|call| policy.allows_named(call)).collect();
    let first = *allowed.first()?;
    let allows_first = |entry: &&At<String>| {
        let name = entry.value.trim_start_matches('+');
        let group = name.starts_with('@').then(|| seccomp::group(name)).flatten();
        name == first || group.is_some_and(|group| group.calls().contains(&first))
    };
    let what = match allowed.len() {
        all if all == own.len() => format!("may make the calls of {}", item.name),
        1..=4 => format!("may make {} of {}", allowed.join(", "), item.name),
        some => format!("may make {some} calls of {}", item.name),
    };
    Some(Hit::of(item, what, list.iter().find(allows_first).map(|entry| entry.at)))
}

pub fn namespaces(subject: Subject<'_>) -> Vec<Hit> {
    let shared = subject.plan.given_up.iter().filter_map(|given| {
        let name = given.what.strip_suffix(" namespace")?;
        let item = row(NAMESPACES, name)?;
        Some(Hit::of(item, format!("shares the host's {name} namespace"), given.at))
    });
    shared.collect()
}
