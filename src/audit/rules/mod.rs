//! The table of rules: what is looked for, what it weighs, why it matters, what closes it and what
//! that costs. Another rule is one more entry of [`RULES`] and its function.
//!
//! Must not know: how findings are printed.
#![forbid(unsafe_code)]

mod files;
mod kernel;
mod process;
mod table;

pub use table::RULES;

use super::weights::Item;
use super::{Finding, Subject};
use crate::problem::Span;

/// One rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// In kebab case, for programs.
    pub name: &'static str,
    /// Where reports list it.
    pub area: Area,
    /// The line of `systemd-analyze security` that judges the same; empty: it has none.
    pub category: &'static str,
    /// What a finding adds to the score.
    pub weight: Weight,
    /// The key of the spec that decides; empty: none does.
    pub key: &'static str,
    /// What an attacker has of it, as a clause; rows of a table have their own.
    pub why: &'static str,
    /// What to write, or to do, to close it.
    pub close: &'static str,
    /// What closing it costs.
    pub cost: &'static str,
    /// Looks for it.
    find: fn(Subject<'_>) -> Vec<Hit>,
}

/// A rule is its name: two of one name would be a mistake in the table, which a test finds.
impl PartialEq for Rule {
    fn eq(&self, other: &Rule) -> bool {
        self.name == other.name
    }
}

impl Eq for Rule {}

impl Rule {
    /// What it finds in a jail.
    pub fn judge(&'static self, subject: Subject<'_>) -> Vec<Finding> {
        let finding = |hit: Hit| {
            let key = hit.key.unwrap_or(self.key);
            Finding { rule: self, item: hit.item, what: hit.what, key, at: hit.at }
        };
        (self.find)(subject).into_iter().map(finding).collect()
    }
}

/// What a finding weighs, in tenths of the score.
#[derive(Clone, Copy, Debug)]
pub enum Weight {
    /// Each finding the same.
    Once(u32),
    /// By what was found: the rows of a table.
    Each(&'static [Item]),
}

/// Parts of a report, in its order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Area {
    /// As whom it runs, and with which capabilities.
    Identity,
    /// What it sees and may change.
    Files,
    /// Whom it can talk to.
    Network,
    /// System calls and the other walls of the kernel.
    Kernel,
    /// What it can use up, and what surrounds it.
    Resources,
}

impl Area {
    /// As a heading.
    pub fn name(self) -> &'static str {
        match self {
            Area::Identity => "identity and capabilities",
            Area::Files => "files",
            Area::Network => "network",
            Area::Kernel => "kernel",
            Area::Resources => "resources and surroundings",
        }
    }
}

/// What a rule's function found.
struct Hit {
    what: String,
    item: Option<&'static Item>,
    /// `None`: the rule's.
    key: Option<&'static str>,
    at: Option<Span>,
}

impl Hit {
    fn new(what: impl Into<String>, at: Option<Span>) -> Hit {
        Hit { what: what.into(), item: None, key: None, at }
    }

    /// Of a row of a rule's table.
    fn of(item: &'static Item, what: impl Into<String>, at: Option<Span>) -> Hit {
        Hit { what: what.into(), item: Some(item), key: None, at }
    }

    /// Decided by another key than most findings of its rule.
    fn by(self, key: &'static str) -> Hit {
        Hit { key: Some(key), ..self }
    }

    /// One finding, or none.
    fn when(open: bool, what: impl Into<String>, at: Option<Span>) -> Vec<Hit> {
        if open { vec![Hit::new(what, at)] } else { Vec::new() }
    }
}

/// The row of a name, or the row `other`, with which each open-ended table ends.
fn row(table: &'static [Item], name: &str) -> Option<&'static Item> {
    let find = |wanted: &str| table.iter().find(|item| item.name == wanted);
    find(name).or_else(|| find("other"))
}
