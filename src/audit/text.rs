//! A report as text for people.
//!
//! Must not know: rules.
#![forbid(unsafe_code)]

use super::{Finding, Report, Score};
use crate::problem::{Paint, Sources, printable};

/// Columns that a sentence may take behind its label.
const TEXT_WIDTH: usize = 87;

/// The score, then all findings by area, the gravest first.
pub fn text(report: &Report, sources: &Sources, paint: Paint) -> String {
    let score = report.score();
    let graded = format!("{score} of 10, {}", score.word());
    let mut out = format!("jail {}: {}", printable(&report.name), coloured(score, &graded, paint));
    if report.points() > score.0 {
        out += &format!("   (the points add up to {})", Score(report.points()));
    }
    out.push('\n');
    for assumed in &report.assumed {
        out += &format!("      {}\n", paint.dim(&printable(&format!("assumed: {assumed}"))));
    }
    for area in report.findings.chunk_by(|a, b| a.rule.area == b.rule.area) {
        let points = Score(area.iter().map(Finding::points).sum());
        out += &format!("\n{}   {points}\n", paint.blue(area[0].rule.area.name()));
        for of_one_rule in area.chunk_by(|a, b| a.rule == b.rule) {
            out.extend(of_one_rule.iter().map(|finding| one(finding, sources, paint)));
            out += &line("close", of_one_rule[0].rule.close, paint);
            out += &line("cost", of_one_rule[0].rule.cost, paint);
        }
    }
    out
}

/// A text in the colour of a score.
fn coloured(score: Score, text: &str, paint: Paint) -> String {
    match score.word() {
        "tight" => paint.green(text),
        "moderate" => paint.blue(text),
        _ => paint.red(text),
    }
}

fn one(finding: &Finding, sources: &Sources, paint: Paint) -> String {
    let points = format!("{:>4}", Score(finding.points()));
    let points = if finding.points() >= 10 { paint.red(&points) } else { points };
    let category = match finding.category() {
        "" => String::new(),
        category => format!("   {}", paint.dim(category)),
    };
    let mut out = format!("{points}  {}{category}\n", printable(&finding.what));
    out += &line("why", finding.why(), paint);
    if let Some(place) = place(finding, sources) {
        out += &line("key", &place, paint);
    }
    out
}

/// A labelled sentence, on as many lines as it takes.
fn line(label: &str, text: &str, paint: Paint) -> String {
    let parts = wrap(&printable(text), TEXT_WIDTH).into_iter().enumerate();
    let label = |n| if n == 0 { label } else { "" };
    parts.map(|(n, part)| format!("      {}  {part}\n", paint.dim(&format!("{:<5}", label(n))))).collect()
}

/// The key, where it was written, and the line itself if there is room; `None`: no key decides.
fn place(finding: &Finding, sources: &Sources) -> Option<String> {
    let written = finding.at.and_then(|at| sources.locate(at));
    let Some((table, key)) = finding.key.split_once('.') else {
        return written.map(|(place, _)| place);
    };
    let key = format!("{key} of [{table}]");
    let Some((place, line)) = written else { return Some(format!("{key}, by default")) };
    let (short, long) = (format!("{key}, {place}"), format!("{key}, {place}    {line}"));
    Some(if long.chars().count() <= TEXT_WIDTH { long } else { short })
}

/// Breaks a sentence at blanks.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
