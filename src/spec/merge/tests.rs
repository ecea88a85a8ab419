//! Laws of merging.

use super::{adjust, merge};
use crate::problem::Problems;
use crate::spec::parse::parse;
use crate::spec::{Spec, builtin};
use proptest::prelude::*;

fn spec(text: &str) -> Spec {
    let mut problems = Problems::default();
    let spec = parse(text, 0, &mut problems);
    assert_eq!(problems, Problems::default(), "{text}");
    spec
}

/// Specs that use lists, tables and single values, with names that collide.
fn any_spec() -> impl Strategy<Value = Spec> {
    let word = || prop::sample::select(vec!["a", "b", "c"]);
    let some = || prop::collection::vec(word(), 0..3);
    (some(), prop::collection::btree_map(word(), 0..9_u32, 0..3), prop::option::of(word()), some(), 0..9_u32).prop_map(
        |(paths, env, user, limits, amount)| {
            let list = |words: &[&str]| words.iter().map(|w| format!("\"/{w}\"")).collect::<Vec<_>>().join(", ");
            let env: Vec<_> = env.iter().map(|(name, value)| format!("{name} = \"{value}\"")).collect();
            let user = user.map_or_else(String::new, |user| format!("user = \"{user}\"\ncommand = [\"/{user}\"]\n"));
            let core = if limits.is_empty() { String::new() } else { format!("core = {amount}") };
            spec(&format!(
                "include = [{0}]\n[process]\n{user}env = {{ {1} }}\nrlimits = {{ {core} }}\n[files]\nread = [{0}]\n",
                list(&paths),
                env.join(", "),
            ))
        },
    )
}

proptest! {
    #[test]
    fn grouping_does_not_matter(a in any_spec(), b in any_spec(), c in any_spec()) {
        let left = merge(merge(a.clone(), b.clone()), c.clone());
        let right = merge(a, merge(b, c));
        prop_assert_eq!(left, right);
    }

    #[test]
    fn an_empty_spec_changes_nothing(a in any_spec()) {
        prop_assert_eq!(merge(Spec::default(), a.clone()), a.clone());
        prop_assert_eq!(merge(a.clone(), Spec::default()), a);
    }

    #[test]
    fn over_wins_and_lists_append(a in any_spec(), b in any_spec()) {
        let both = merge(a.clone(), b.clone());
        let winner = b.process.user.clone().or(a.process.user.clone());
        prop_assert_eq!(&both.process.user, &winner);
        prop_assert_eq!(both.files.read.len(), a.files.read.len() + b.files.read.len());
        for set in &b.process.env {
            prop_assert!(both.process.env.contains(set));
        }
        let mut names: Vec<_> = both.process.env.iter().map(|(name, _)| &name.value).collect();
        names.sort();
        names.dedup();
        prop_assert_eq!(names.len(), both.process.env.len(), "each name once");
    }
}

#[test]
fn a_command_is_replaced_whole() {
    let both = merge(spec("process.command = [\"/a\", \"-x\"]"), spec("process.command = [\"/b\"]"));
    assert_eq!(both.process.command.unwrap().value, ["/b"]);
}

#[test]
fn descriptions_are_not_inherited() {
    assert_eq!(merge(spec("description = \"block\""), Spec::default()).description, None);
}

#[test]
fn an_overridden_variable_keeps_its_position() {
    let base = spec("process.env = { A = \"1\", B = \"2\" }");
    let both = merge(base, spec("process.env = { C = \"3\", A = \"9\" }"));
    let env: Vec<_> = both.process.env.iter().map(|(n, v)| (n.value.as_str(), v.value.as_str())).collect();
    assert_eq!(env, [("A", "9"), ("B", "2"), ("C", "3")]);
}

/// Every field of a spec survives: those of `base` under an empty one, those of `over` over one.
#[test]
fn nothing_is_lost() {
    for shipped in builtin::SPECS.iter().chain(builtin::BLOCKS) {
        let mut one = spec(shipped.text);
        assert_eq!(merge(Spec::default(), one.clone()), one);
        one.description = None;
        assert_eq!(merge(one.clone(), Spec::default()), one);
    }
}

#[test]
fn an_addition_adds_to_the_default_system_calls() {
    let calls = |text: &str| spec(&format!("[privileges]\nsystem-calls = [{text}]"));
    let list = |spec: Spec| spec.privileges.system_calls.into_iter().map(|c| c.value).collect::<Vec<_>>();
    let over = || calls("\"@io-uring\"");
    assert_eq!(list(adjust(Spec::default(), over())), ["@service", "@io-uring"]);
    assert_eq!(
        list(adjust(calls("\"@core\""), over())),
        ["@core", "@io-uring"],
        "the spec's own list stands"
    );
    assert_eq!(list(adjust(Spec::default(), calls("\"-mknod\""))), ["@service", "-mknod"]);
    assert_eq!(list(adjust(Spec::default(), Spec::default())), [""; 0]);
    assert_eq!(
        list(merge(Spec::default(), over())),
        ["@io-uring"],
        "a spec that includes a block is whole itself"
    );
}
