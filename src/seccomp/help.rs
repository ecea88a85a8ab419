//! Texts about groups, for `jail help @service`.
//!
//! Must not know: policies or BPF.
#![forbid(unsafe_code)]

use super::conditions::CONDITIONS;
use super::groups::{Group, REVIEWED, since};

/// Columns that a line may take.
const WIDTH: usize = 100;

/// What a group is for, what it includes, its calls, and the conditions on them.
pub fn describe(group: &Group) -> String {
    let calls = group.calls();
    let mut text = format!("{}: {}\n", group.name, group.doc);
    if !group.includes.is_empty() {
        let names: Vec<_> = group.includes.iter().map(|g| g.name).collect();
        let own: Vec<_> = group.own().iter().filter_map(|c| super::calls::name(c.number)).collect();
        text += "\nincludes:\n";
        text += &wrap("  ", "  ", names.into_iter().chain(own));
    }
    text += &format!("\n{} calls (reviewed for Linux {REVIEWED}):\n", calls.len());
    let newer: Vec<_> = calls.iter().filter_map(|call| Some(format!("{call} {}", since(call)?))).collect();
    text += &wrap("  ", "  ", calls.into_iter());
    if !newer.is_empty() {
        let newer = newer.join(", ");
        text += "\nnot in every kernel that a jail runs on, but since:\n";
        text += &wrap("  ", "  ", newer.split_inclusive(", ").map(str::trim_end));
    }
    let mut conditions: Vec<_> =
        CONDITIONS.iter().filter(|c| group.set().contains(c.call)).map(|c| (c.name, c.doc)).collect();
    conditions.dedup();
    if !conditions.is_empty() {
        text += "\nconditions, wherever these calls are allowed:\n";
    }
    for (name, doc) in conditions {
        text += &wrap(&format!("  {name:<13} "), &" ".repeat(16), doc.split(' '));
    }
    text
}

/// Words filled into lines of at most [`WIDTH`] columns.
fn wrap<'a>(first: &str, rest: &str, words: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::new();
    let mut line = String::from(first);
    let mut fresh = true;
    for word in words {
        if !fresh && line.len() + 1 + word.len() > WIDTH {
            text += &line;
            text.push('\n');
            line = String::from(rest);
            fresh = true;
        }
        if !fresh {
            line.push(' ');
        }
        line += word;
        fresh = false;
    }
    text + &line + "\n"
}
