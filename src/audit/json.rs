//! Reports as JSON for programs. Scores and points are numbers with one decimal.
//!
//! Must not know: rules.
#![forbid(unsafe_code)]

use super::{Finding, Report, Score};
use crate::problem::Sources;
use serde_json::{Value, json};

/// All reports: stable keys, one object per jail.
pub fn json(reports: &[Report], sources: &Sources) -> String {
    let jails: Vec<Value> = reports.iter().map(|report| jail(report, sources)).collect();
    format!("{:#}\n", json!({ "jails": jails }))
}

fn jail(report: &Report, sources: &Sources) -> Value {
    json!({
        "name": report.name,
        "score": number(report.score()),
        "verdict": report.score().word(),
        "points": number(Score(report.points())),
        "assumed": report.assumed,
        "findings": report.findings.iter().map(|f| finding(f, sources)).collect::<Vec<_>>(),
    })
}

fn finding(finding: &Finding, sources: &Sources) -> Value {
    let written = finding.at.and_then(|at| sources.locate(at));
    let category = Some(finding.category()).filter(|category| !category.is_empty());
    let key = Some(finding.key).filter(|key| !key.is_empty());
    json!({
        "rule": finding.rule.name,
        "item": finding.item.map(|item| item.name),
        "area": finding.rule.area.name(),
        "systemd": category,
        "points": number(Score(finding.points())),
        "what": finding.what,
        "why": finding.why(),
        "key": key,
        "from": written.as_ref().map(|(place, _)| place),
        "line": written.as_ref().map(|(_, line)| line),
        "close": finding.rule.close,
        "cost": finding.rule.cost,
    })
}

/// A decimal number, exact to the tenth.
fn number(score: Score) -> f64 {
    f64::from(score.0) / 10.0
}
