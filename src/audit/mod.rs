//! How open a jail is: rules over the plan give findings, their points add up to a score from 0
//! (tight) to 10 (open).
//!
//! `rules` is the one table of rules, `weights` the points of single capabilities, groups of calls
//! and paths; `assume` makes the answer the same on every host; `sight` and `walls` are the two
//! halves of the picture; `text`, `json`, `html` and `reference` print. All pure. Must not know:
//! how a plan is carried out, or what is really on the host.
//!
//! ```text
//! Plan, Spec -rules-> [Finding] -> Report -text, json, html-> String
//! ```
#![forbid(unsafe_code)]

mod assume;
mod html;
mod json;
mod reference;
mod rules;
mod sight;
#[cfg(test)]
mod tests;
mod text;
mod walls;
mod weights;

pub use assume::assume;
pub use html::page;
pub use json::json;
pub use reference::reference_markdown;
pub use rules::{Area, RULES, Rule, Weight};
pub use text::text;
pub use weights::Item;

use crate::jail::Ids;
use crate::jail::range::Range;
use crate::plan::{Plan, Step};
use crate::problem::Span;
use crate::seccomp::Policy;
use crate::spec::Spec;
use sight::Node;
use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;
use walls::Crossing;

/// What is judged: the plan says what will be, the spec who asked for it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// What is judged.
    pub plan: &'a Plan,
    /// For the places of keys, and for what a plan does not tell: which variables come from the caller.
    pub spec: &'a Spec,
}

impl<'a> Subject<'a> {
    /// The user id as the host knows it, and where it was written.
    fn host_uid(self) -> Option<(u32, Option<Span>)> {
        let range = self.range();
        let map = self.plan.steps.iter().find_map(|p| match p.step {
            Step::Isolate { user, .. } => user,
            _ => None,
        });
        let (uid, at) = self.plan.steps.iter().find_map(|p| match p.step {
            Step::Uid(uid) => Some((uid, p.at)),
            _ => None,
        })?;
        let uid = range.map_or(uid, |range| range.outside(Ids { uid, gid: 0 }).uid);
        Some((map.filter(|map| map.uid.0 == uid).map_or(uid, |map| map.uid.1), at))
    }

    /// The ids of its own user namespace, if it has one of more than one id.
    fn range(self) -> Option<Range> {
        self.plan.steps.iter().find_map(|p| match &p.step {
            Step::UserNamespace { range, .. } => Some(*range),
            _ => None,
        })
    }

    /// The capabilities it keeps.
    fn capabilities(self) -> u64 {
        let kept = self.plan.steps.iter().find_map(|p| match p.step {
            Step::Capabilities(set) => Some(set),
            _ => None,
        });
        kept.unwrap_or(0)
    }

    /// Whether it has a network of its own.
    fn own_network(self) -> bool {
        self.plan.steps.iter().any(|p| matches!(p.step, Step::Unshare(made) if made.net))
    }

    /// The system-call policy; `None`: there is no filter.
    fn policy(self) -> Option<&'a Policy> {
        self.plan.steps.iter().find_map(|p| match &p.step {
            Step::Seccomp(policy) => Some(policy),
            _ => None,
        })
    }
}

/// Something that is more open than it could be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The rule that found it.
    pub rule: &'static Rule,
    /// The row of the rule's table, if it has one.
    pub item: Option<&'static Item>,
    /// What is open, as a clause.
    pub what: String,
    /// The key of the spec that decides; empty: none does.
    pub key: &'static str,
    /// Where it was written; `None`: it is a default, or came from the command line.
    pub at: Option<Span>,
}

impl Finding {
    /// What it adds to the score, in tenths.
    pub fn points(&self) -> u32 {
        match (self.rule.weight, self.item) {
            (_, Some(item)) => item.points,
            (Weight::Once(points), None) => points,
            (Weight::Each(_), None) => 0,
        }
    }

    /// What an attacker has of it.
    pub fn why(&self) -> &'static str {
        self.item.map_or(self.rule.why, |item| item.why)
    }

    /// What `systemd-analyze security` calls it; empty: it has no word for it.
    pub fn category(&self) -> &'static str {
        self.item.map(|item| item.category).filter(|c| !c.is_empty()).unwrap_or(self.rule.category)
    }
}

/// The verdict on one jail, and the picture of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// The jail's name.
    pub name: String,
    /// The spec's own line about itself.
    pub description: String,
    /// By area, the gravest rule first; what one rule found stands together.
    pub findings: Vec<Finding>,
    /// What could not be known on this host.
    pub assumed: Vec<String>,
    sight: Node,
    crossings: Vec<Crossing>,
}

impl Report {
    /// All points, in tenths; more than the scale has, perhaps.
    pub fn points(&self) -> u32 {
        self.findings.iter().map(Finding::points).sum()
    }

    /// The points, where the scale ends at 10.
    pub fn score(&self) -> Score {
        Score(self.points().min(Score::MOST.0))
    }

    /// The finding with the most points.
    pub fn worst(&self) -> Option<&Finding> {
        // The first of equals: `max_by_key` would take the last.
        self.findings.iter().rev().max_by_key(|f| f.points())
    }
}

/// Judges a jail. `assumed` is what [`assume`] had to make up.
pub fn audit(subject: Subject<'_>, assumed: Vec<String>) -> Report {
    let mut groups: Vec<Vec<Finding>> = RULES.iter().map(|rule| rule.judge(subject)).collect();
    // Stable sorts: equals stay in the order of the table, and of the spec.
    for group in &mut groups {
        group.sort_by_key(|f| Reverse(f.points()));
    }
    groups.retain(|group| !group.is_empty());
    groups.sort_by_key(|group| (group[0].rule.area, Reverse(group[0].points())));
    let findings = groups.into_iter().flatten().collect();
    Report {
        name: subject.plan.name.clone(),
        description: subject.spec.description.as_ref().map_or(String::new(), |d| d.value.clone()),
        findings,
        assumed,
        sight: sight::tree(subject.plan),
        crossings: walls::crossings(subject),
    }
}

/// Tenths of a point, from 0.0 (tight) to 10.0 (open).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Score(pub u32);

impl Score {
    /// The end of the scale.
    pub const MOST: Score = Score(100);

    /// One word for it.
    pub fn word(self) -> &'static str {
        match self.0 {
            0..20 => "tight",
            20..40 => "moderate",
            40..70 => "loose",
            _ => "open",
        }
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Padded as a whole, in tables.
        f.pad(&format!("{}.{}", self.0 / 10, self.0 % 10))
    }
}

impl FromStr for Score {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (whole, tenth) = text.split_once('.').unwrap_or((text, "0"));
        let digits =
            |part: &str, most| (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        let score = match (digits(whole, 2) && digits(tenth, 1), whole.parse::<u32>(), tenth.parse::<u32>()) {
            (true, Ok(whole), Ok(tenth)) => Some(Score(whole * 10 + tenth)),
            _ => None,
        };
        score
            .filter(|score| *score <= Score::MOST)
            .ok_or_else(|| "a score is a number from 0 to 10 with at most one decimal".to_owned())
    }
}
