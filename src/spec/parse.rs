//! One TOML text into a [`Spec`]: walks the document by the table of keys.
//!
//! Not by serde, because all mistakes of a text are reported at once, each at its exact place.
//! Must not know: files, includes, or what a value means on a host.
#![forbid(unsafe_code)]

mod syntax;
#[cfg(test)]
mod tests;

use super::Spec;
use super::keys::{self, About, KEYS, Key, LATER, TABLES};
use super::value::{Item, Part, Reader, in_order, type_name};
use crate::problem::{Problem, Problems, Span, did_you_mean};
use toml::de::{DeTable, DeValue};

/// Reads `text`, which has the index `source` among the sources. Mistakes are added to `problems`
/// in the order of the text; what has none is in the spec all the same.
pub fn parse(text: &str, source: u16, problems: &mut Problems) -> Spec {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut found = Problems::default();
    let mut reader = Reader::new(source, &mut found);
    let mut spec = Spec::default();
    top(&mut spec, document.get_ref(), &mut reader);
    let mut broken = syntax::problems(text, &errors, |range| reader.span(range));
    syntax::drop_consequences(text, &errors, &mut found.0);
    broken.append(&mut found.0);
    broken.sort_by_key(|problem| problem.at.map(|at| at.start));
    problems.0.append(&mut broken);
    spec
}

/// Reads the keys of one table into `target`.
pub(super) fn walk<T>(target: &mut T, keys: &'static [Key<T>], table: &DeTable<'_>, reader: &mut Reader<'_>) {
    for (name, value) in in_order(table) {
        let at = reader.span(value.span());
        match keys.iter().find(|key| key.about.name == name.get_ref()) {
            Some(Key { about, set }) => {
                set(target, reader, &Item { about, part: Part::Whole, value: value.get_ref(), at });
            }
            None => {
                let abouts: Vec<&About> = keys.iter().map(|key| &key.about).collect();
                let at = reader.span(name.span());
                reader.note(unknown_key(name.get_ref(), &abouts, at));
            }
        }
    }
}

/// The top level: keys of its own, and the tables.
fn top(spec: &mut Spec, document: &DeTable<'_>, reader: &mut Reader<'_>) {
    let own = keys::table("").unwrap_or_default();
    for (name, value) in in_order(document) {
        let (word, name_at, at) =
            (name.get_ref().as_ref(), reader.span(name.span()), reader.span(value.span()));
        if let Some(Key { about, set }) = own.iter().find(|key| key.about.name == word) {
            set(spec, reader, &Item { about, part: Part::Whole, value: value.get_ref(), at });
        } else if let Some(keys) = keys::table(word).filter(|_| !word.is_empty()) {
            match value.get_ref() {
                DeValue::Table(table) => walk(spec, keys, table, reader),
                other => reader.note(not_a_table(word, other, at)),
            }
        } else if value.get_ref().is_table() && keys::all().all(|about| about.name != word) {
            reader.note(unknown_table(word, name_at));
        } else {
            let abouts: Vec<&About> = own.iter().map(|key| &key.about).collect();
            reader.note(unknown_key(word, &abouts, name_at));
        }
    }
}

fn not_a_table(name: &str, value: &DeValue<'_>, at: Span) -> Problem {
    let help = if matches!(value, DeValue::Array(_)) {
        "write the heading with single brackets"
    } else {
        "write the heading"
    };
    Problem::usage(format!("`{name}` must be a table, not {}", type_name(value)))
        .at(at)
        .help(format!("{help} [{name}], and its keys below it"))
}

fn unknown_table(name: &str, at: Span) -> Problem {
    let problem = Problem::usage(format!("unknown table [{name}]")).at(at);
    if let Some((_, _, help)) = LATER.iter().find(|(table, later, _)| table.is_empty() && *later == name) {
        return problem.help(*help);
    }
    let known = KEYS.iter().map(|(table, _)| *table).filter(|table| !table.is_empty());
    match did_you_mean(name, known.clone()) {
        Some(meant) => problem.help(format!("did you mean [{meant}]?")),
        None => {
            let all: Vec<String> = known.map(|table| format!("[{table}]")).collect();
            problem.help(format!("the tables are {}", all.join(", ")))
        }
    }
}

/// Says where a key belongs, what was meant, or at least what there is.
fn unknown_key(name: &str, siblings: &[&About], at: Span) -> Problem {
    let table = siblings.first().map_or("", |about| about.table);
    let within = if table.is_empty() { "at" } else { "in" };
    let problem = Problem::usage(format!("unknown key `{name}` {within} {}", keys::place(table))).at(at);
    if let Some((_, _, help)) = LATER.iter().find(|(t, later, _)| *t == table && *later == name) {
        return problem.help(*help);
    }
    let homes: Vec<&str> = TABLES
        .iter()
        .filter(|t| keys::all().any(|about| about.table == t.name && about.name == name))
        .map(|t| t.place)
        .collect();
    if !homes.is_empty() {
        return problem.help(format!("`{name}` belongs in {}", homes.join(" or ")));
    }
    if let Some(meant) = did_you_mean(name, siblings.iter().map(|about| about.name)) {
        return problem.help(format!("did you mean `{meant}`?"));
    }
    let all: Vec<String> = siblings.iter().map(|about| format!("`{}`", about.name)).collect();
    problem.help(format!("the keys {within} {} are {}", keys::place(table), all.join(", ")))
}
