//! The promises as a table for people and as JSON for programs.
//!
//! Must not know: how anything was found out.
#![forbid(unsafe_code)]

use super::{Promise, Verdict};
use crate::problem::{Paint, printable};
use serde_json::{Value, json};

/// Openings of one promise that are printed; the rest is counted.
const SHOWN: usize = 8;

/// How many promises came to what.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Count {
    /// Held.
    pub held: usize,
    /// Given up.
    pub given_up: usize,
    /// Open.
    pub open: usize,
}

/// Counts.
pub fn count(promises: &[Promise]) -> Count {
    let mut count = Count::default();
    for promise in promises {
        match promise.verdict() {
            Verdict::Held => count.held += 1,
            Verdict::GivenUp(_) => count.given_up += 1,
            Verdict::Open => count.open += 1,
        }
    }
    count
}

/// One line for each promise, by group.
pub fn text(name: &str, promises: &[Promise], paint: Paint) -> String {
    let tried: usize = promises.iter().map(|p| p.findings.len()).sum();
    let mut out = format!("jail {name}: {} promises, {tried} attempts and looks\n", promises.len());
    let mut group = "";
    for promise in promises {
        if promise.group != group {
            group = promise.group;
            out += &format!("\n{}\n", paint.blue(group));
        }
        out += &line(promise, paint);
    }
    let Count { held, given_up, open } = count(promises);
    out += &format!("\n{held} held, {given_up} given up, {open} open\n");
    out
}

fn line(promise: &Promise, paint: Paint) -> String {
    let (word, by) = match promise.verdict() {
        Verdict::Held => (paint.green("held    "), String::new()),
        Verdict::GivenUp(by) => (paint.blue("given up"), format!(" (by {by})")),
        Verdict::Open => (paint.red("OPEN    "), String::new()),
    };
    let mut out = format!("  {word}  {}{}\n", promise.text, printable(&by));
    if !promise.note.is_empty() {
        out += &format!("            {}\n", paint.dim(&printable(&promise.note)));
    }
    let open: Vec<_> = promise.findings.iter().filter(|f| !f.holds && f.given.is_none()).collect();
    for finding in open.iter().take(SHOWN) {
        out += &format!("            {} {}\n", paint.red("-"), printable(&finding.what));
    }
    if open.len() > SHOWN {
        out += &format!("            {} and {} more\n", paint.red("-"), open.len() - SHOWN);
    }
    if promise.findings.is_empty() {
        out += &format!("            {} nothing could be tried\n", paint.red("-"));
    }
    out
}

/// Stable keys, one object for each promise.
pub fn json(name: &str, promises: &[Promise]) -> String {
    let list: Vec<Value> = promises
        .iter()
        .map(|promise| {
            let (verdict, by) = match promise.verdict() {
                Verdict::Held => ("held", None),
                Verdict::GivenUp(by) => ("given-up", Some(by)),
                Verdict::Open => ("open", None),
            };
            let broken = promise.findings.iter().filter(|f| !f.holds);
            let findings: Vec<Value> =
                broken.map(|f| json!({ "what": f.what, "given-up-by": f.given })).collect();
            json!({
                "group": promise.group,
                "name": promise.name,
                "promise": promise.text,
                "verdict": verdict,
                "by": by,
                "tried": promise.findings.len(),
                "note": promise.note,
                "findings": findings,
            })
        })
        .collect();
    let Count { held, given_up, open } = count(promises);
    let value = json!({ "name": name, "promises": list, "held": held, "given-up": given_up, "open": open });
    format!("{value:#}\n")
}
