//! The table of keys as text: for `jail help` and for the README.
#![forbid(unsafe_code)]

use super::{About, TABLES, Table, all};
use std::fmt::Write as _;

/// Where explanations start when a line has room for them.
const WIDTH: usize = 100;

/// All keys by table, aligned: name, type, default, one line of documentation.
pub fn help_all() -> String {
    TABLES.iter().map(section).collect::<Vec<_>>().join("\n")
}

/// Everything about one key (`user` or `process.user`), or a table (`process`); all that match.
pub fn help_key(name: &str) -> Option<String> {
    let name = name.trim_matches(['[', ']']);
    let found: Vec<String> =
        all().filter(|about| about.name == name || about.full_name() == name).map(details).collect();
    if found.is_empty() {
        return TABLES.iter().find(|t| !name.is_empty() && t.name == name).map(section);
    }
    Some(found.join("\n"))
}

/// The reference of the README: one Markdown table for each group of keys.
pub fn reference_markdown() -> String {
    let mut out = String::new();
    for table in TABLES {
        let heading = heading(table);
        out.push_str(&format!("### {heading}\n\n{}.\n\n", capital(table.doc)));
        out.push_str("| key | type | default | meaning |\n|---|---|---|---|\n");
        for about in all().filter(|about| about.table == table.name) {
            let default = if about.default.is_empty() { "(required)" } else { about.default };
            let meaning = sentences(about);
            let cells = [&about.kind.to_string(), default, &meaning].map(|cell| cell.replace('|', "\\|"));
            out.push_str(&format!("| `{}` | {} |\n", about.name, cells.join(" | ")));
        }
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// All names of keys, each once, for "did you mean".
pub fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = all().map(|about| about.name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn section(table: &Table) -> String {
    let rows: Vec<[String; 4]> = all()
        .filter(|about| about.table == table.name)
        .map(|about| {
            let default = if about.default.is_empty() { "required" } else { about.default };
            [about.name.to_owned(), about.kind.to_string(), default.to_owned(), about.doc.to_owned()]
        })
        .collect();
    let mut widths = [0_usize; 3];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let [name, kind, default] = widths;
    let mut out = format!("{}: {}\n", heading(table), table.doc);
    for [a, b, c, d] in &rows {
        writeln!(out, "  {a:name$}  {b:kind$}  {c:default$}  {d}").unwrap_or_default();
    }
    out
}

fn details(about: &About) -> String {
    let default =
        if about.default.is_empty() { "required".into() } else { format!("default: {}", about.default) };
    let mut out = format!("{} ({}), {default}, since {}\n", about.full_name(), about.kind, about.since);
    for line in wrapped(&sentences(about), WIDTH - 4) {
        writeln!(out, "    {line}").unwrap_or_default();
    }
    writeln!(out, "    example: {} = {}", about.name, about.example).unwrap_or_default();
    out
}

fn heading(table: &Table) -> String {
    let place = table.place;
    let place = place.strip_prefix("a ").or_else(|| place.strip_prefix("the ")).unwrap_or(place);
    capital(place)
}

fn sentences(about: &About) -> String {
    let doc = format!("{}.", capital(about.doc));
    if about.more.is_empty() { doc } else { format!("{doc} {}", about.more) }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
