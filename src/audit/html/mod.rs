//! Reports as one page for a browser: the score, a picture of the jail, the findings. It needs no
//! script and loads nothing; its policy forbids both.
//!
//! Must not know: rules. Everything that comes from a spec passes [`escape`].
#![forbid(unsafe_code)]

mod picture;

use super::{Finding, Report, Score};
use crate::problem::Sources;

const STYLE: &str = include_str!("style.css");

/// What a browser may do for this page: show its own style.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// A page of its own with all reports.
pub fn page(reports: &[Report], sources: &Sources) -> String {
    let names: Vec<&str> = reports.iter().map(|report| report.name.as_str()).collect();
    let articles: String =
        reports.iter().enumerate().map(|(number, report)| article(number, report, sources)).collect();
    let overview = if reports.len() > 1 { overview(reports) } else { String::new() };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>jail audit: {title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         {overview}{articles}</main>\n{FOOTER}</body>\n</html>\n",
        title = escape(&names.join(", ")),
    )
}

const FOOTER: &str = "<footer><p>Made by <code>jail audit</code> from the plan of each jail, as root would \
    start it. Nothing was run. Points are tenths of the score; they add up, and the scale ends at 10. The same \
    words as in <code>systemd-analyze security</code> mean that it judges the same, not that it weighs the \
    same.</p></footer>\n";

/// Text made harmless between tags and in quotes. What would reorder or hide text is shown by number.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            '\n' | '\t' => out.push(' '),
            '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}' => {
                out.extend(c.escape_unicode());
            }
            c if c.is_control() => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// A sentence of ours: what stands in backticks is code.
fn prose(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts
        .map(|(n, part)| if n % 2 == 1 { format!("<code>{}</code>", escape(part)) } else { escape(part) })
        .collect()
}

/// The table of several reports.
fn overview(reports: &[Report]) -> String {
    let row = |(number, report): (usize, &Report)| {
        let worst =
            report.worst().map_or(String::new(), |f| format!("{} {}", Score(f.points()), escape(&f.what)));
        format!(
            "<tr><td><a href=\"#jail-{number}\">{}</a></td><td class=\"number\"><span class=\"{word}\">{}</span></td>\
             <td>{word}</td><td>{worst}</td></tr>\n",
            escape(&report.name),
            report.score(),
            word = report.score().word(),
        )
    };
    let rows: String = reports.iter().enumerate().map(row).collect();
    format!(
        "<section class=\"overview\">\n<h1>jail audit</h1>\n<table>\n<thead><tr><th>jail</th><th>score</th>\
         <th>verdict</th><th>worst finding</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</section>\n"
    )
}

fn article(number: usize, report: &Report, sources: &Sources) -> String {
    format!(
        "<article id=\"jail-{number}\">\n{}{}{}{}</article>\n",
        head(report),
        picture::wall(report),
        picture::tree(report),
        findings(report, sources),
    )
}

/// Name, score and scale.
fn head(report: &Report) -> String {
    let score = report.score();
    let sum = match report.points() {
        points if points > score.0 => format!(", {} points in all", Score(points)),
        _ => String::new(),
    };
    let count = match report.findings.len() {
        1 => "1 finding".to_owned(),
        n => format!("{n} findings"),
    };
    let assumed: String = report.assumed.iter().map(|what| format!("<li>{}</li>\n", escape(what))).collect();
    let assumed = if assumed.is_empty() {
        String::new()
    } else {
        format!(
            "<div class=\"assumed\"><p>Assumed, because this host does not tell:</p><ul>\n{assumed}</ul></div>\n"
        )
    };
    format!(
        "<header>\n<div class=\"score {word}\"><strong>{score}</strong><span>of 10</span></div>\n\
         <div class=\"title\"><h2><small>jail</small> {name}</h2>\n<p>{description}</p>\n\
         <div class=\"scale\"><i style=\"left: {left}%\"></i></div>\n\
         <p class=\"ends\"><span>0 tight</span><span>{word}, {count}{sum}</span><span>open 10</span></p>\n</div>\n\
         </header>\n{assumed}",
        word = score.word(),
        name = escape(&report.name),
        description = escape(&report.description),
        left = score.0,
    )
}

fn findings(report: &Report, sources: &Sources) -> String {
    let mut out = String::from("<section class=\"findings\">\n<h3>Findings</h3>\n");
    if report.findings.is_empty() {
        out += "<p>None.</p>\n";
    }
    for area in report.findings.chunk_by(|a, b| a.rule.area == b.rule.area) {
        let points = Score(area.iter().map(Finding::points).sum());
        out += &format!("<h4>{} <span>{points}</span></h4>\n", area[0].rule.area.name());
        for of_one_rule in area.chunk_by(|a, b| a.rule == b.rule) {
            out += "<div class=\"rule\">\n";
            out.extend(of_one_rule.iter().map(|f| finding(f, sources)));
            out += &format!(
                "<dl class=\"remedy\">\n<dt>close</dt><dd>{}</dd>\n<dt>cost</dt><dd>{}</dd>\n</dl>\n</div>\n",
                prose(of_one_rule[0].rule.close),
                prose(of_one_rule[0].rule.cost)
            );
        }
    }
    out + "</section>\n"
}

fn finding(finding: &Finding, sources: &Sources) -> String {
    let written = finding.at.and_then(|at| sources.locate(at));
    let key = match (finding.key.split_once('.'), &written) {
        (None, None) => String::new(),
        (None, Some((place, line))) => format!("<code>{}</code> {}", escape(line), escape(place)),
        (Some((table, key)), None) => format!("<code>{key}</code> of [{table}], by default"),
        (Some((table, key)), Some((place, line))) => {
            format!("<code>{key}</code> of [{table}], {}: <code>{}</code>", escape(place), escape(line))
        }
    };
    let key = if key.is_empty() { key } else { format!("<dt>key</dt><dd>{key}</dd>\n") };
    let category = match finding.category() {
        "" => String::new(),
        category => format!("<span class=\"tag\">{}</span>", escape(category)),
    };
    let grave = match finding.points() {
        0..5 => "light",
        5..10 => "middling",
        _ => "grave",
    };
    format!(
        "<div class=\"finding {grave}\">\n<b>{points}</b>\n<div>\n<h5>{what} {category}</h5>\n<dl>\n\
         <dt>why</dt><dd>{why}</dd>\n{key}</dl>\n</div>\n</div>\n",
        points = Score(finding.points()),
        what = escape(&finding.what),
        why = prose(finding.why()),
    )
}
