//! Invariants over the tables, and the forms of a score.
#![forbid(unsafe_code)]

use super::super::reference::COVERED;
use super::super::rules::RULES;
use super::super::weights::{self, Item};
use super::super::{Score, Weight};
use crate::jail::resolve;
use crate::seccomp;
use crate::spec::keys;
use std::collections::BTreeSet;

/// Every category that a rule or one of its rows names.
fn categories() -> BTreeSet<&'static str> {
    let rows = RULES.iter().flat_map(|rule| match rule.weight {
        Weight::Each(items) => items,
        Weight::Once(_) => &[],
    });
    let all = RULES.iter().map(|rule| rule.category).chain(rows.map(|item| item.category));
    all.filter(|category| !category.is_empty()).collect()
}

#[test]
fn rules_are_named_once_and_say_everything() {
    let names: BTreeSet<&str> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(names.len(), RULES.len());
    for rule in RULES {
        assert!(!rule.close.is_empty() && !rule.cost.is_empty(), "{}", rule.name);
        match rule.weight {
            Weight::Once(points) => assert!(points > 0 && !rule.why.is_empty(), "{}", rule.name),
            Weight::Each(items) => {
                assert!(rule.why.is_empty(), "{}: its rows say why", rule.name);
                check(rule.name, items);
            }
        }
    }
}

fn check(name: &str, items: &[Item]) {
    let names: BTreeSet<&str> = items.iter().map(|item| item.name).collect();
    assert_eq!(names.len(), items.len(), "{name}");
    for item in items {
        // Findings show tenths: each must be seen to add up.
        assert!((1..=30).contains(&item.points) && !item.why.is_empty(), "{name}: {}", item.name);
    }
}

#[test]
fn keys_are_keys_of_a_spec() {
    for rule in RULES.iter().filter(|rule| !rule.key.is_empty()) {
        assert!(keys::help_key(rule.key).is_some(), "{}: {}", rule.name, rule.key);
    }
    for key in ["process.group", "files.root", "files.write", "files.read", "files.tmpfs"] {
        assert!(keys::help_key(key).is_some(), "{key}");
    }
}

#[test]
fn every_capability_and_every_group_of_calls_is_weighed() {
    let names: Vec<&str> = weights::CAPABILITIES.iter().map(|item| item.name).collect();
    assert_eq!(names, resolve::CAPABILITIES);
    let service = seccomp::group("@service").unwrap();
    let included: Vec<&str> = service.includes.iter().map(|group| group.name).collect();
    let beyond = seccomp::groups().iter().map(|group| group.name);
    let beyond: Vec<&str> = beyond.filter(|name| *name != "@service" && !included.contains(name)).collect();
    let weighed: Vec<&str> = weights::GROUPS.iter().map(|item| item.name).collect();
    assert_eq!(weighed, beyond);
}

#[test]
fn tables_without_an_end_have_a_row_for_all_else() {
    use weights::{DEVICES, MEMBERSHIPS, SOCKETS, USERS, VARIABLES, WRITABLE};
    for table in [DEVICES, MEMBERSHIPS, SOCKETS, USERS, VARIABLES, WRITABLE] {
        assert_eq!(table.last().unwrap().name, "other");
    }
}

#[test]
fn what_systemd_judges_is_judged_or_always_closed() {
    let covers = |line: &str, category: &str| match line.strip_suffix('*') {
        Some(start) => category.starts_with(start),
        None => line == category,
    };
    for category in categories() {
        assert!(COVERED.iter().any(|(line, _)| covers(line, category)), "systemd has no {category}");
    }
    for (line, answer) in COVERED {
        for name in answer.split('`').skip(1).step_by(2) {
            let rule = RULES.iter().any(|rule| rule.name == name);
            assert!(
                rule || seccomp::group(name).is_some() || keys::help_key(name).is_some(),
                "{line}: {name}"
            );
        }
    }
}

#[test]
fn a_score_is_a_number_from_0_to_10_with_one_decimal() {
    for (text, tenths) in
        [("0", 0), ("0.0", 0), ("2.5", 25), ("10", 100), ("10.0", 100), ("05", 50), ("9.9", 99)]
    {
        assert_eq!(text.parse(), Ok(Score(tenths)), "{text}");
    }
    for text in
        ["", ".", ".5", "5.", "10.1", "11", "-1", "+1", "2.55", "2,5", "1e0", "NaN", "100", " 1", "٣", "1.٣"]
    {
        assert!(text.parse::<Score>().is_err(), "{text}");
    }
    assert_eq!(Score(7).to_string(), "0.7");
    assert_eq!(format!("{:>5}", Score(100)), " 10.0");
    let words = [0, 19, 20, 39, 40, 69, 70, 100].map(|tenths| Score(tenths).word());
    assert_eq!(words, ["tight", "tight", "moderate", "moderate", "loose", "loose", "open", "open"]);
}
