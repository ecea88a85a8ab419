//! Mistakes in the TOML itself: which of the parser's errors are worth reporting, in our words.
//!
//! The parser goes on after an error, which finds several mistakes at once but also reports the
//! consequences of the first. Must not know: keys, or what a spec is.
#![forbid(unsafe_code)]

use crate::problem::{Problem, Span};
use std::collections::BTreeSet;
use std::ops::Range;
use toml::de::Error;

/// One problem for each mistake: the first error of each line, and nothing that only follows from
/// a list, table or string that was never closed.
pub fn problems(text: &str, errors: &[Error], span: impl Fn(Range<usize>) -> Span) -> Vec<Problem> {
    let mut errors: Vec<(Range<usize>, &str)> =
        errors.iter().map(|e| (e.span().unwrap_or(0..0), e.message())).collect();
    errors.sort_by_key(|(range, _)| range.start);
    let swallowed = swallowed_from(&errors);
    let lines = Lines::new(text);
    let mut reported = BTreeSet::new();
    let mut problems = Vec::new();
    for (range, message) in errors {
        if !reported.insert(lines.of(range.start)) {
            continue;
        }
        let first_swallowed = swallowed == Some(range.start);
        problems.push(problem(text, &range, message, first_swallowed).at(span(range)));
        if first_swallowed {
            break;
        }
    }
    problems
}

/// Takes away problems that may only be the consequence of a syntax error: those on the same line,
/// and, if that error swallowed the rest of the text, those after it.
pub fn drop_consequences(text: &str, errors: &[Error], found: &mut Vec<Problem>) {
    let mut starts: Vec<(Range<usize>, &str)> =
        errors.iter().map(|e| (e.span().unwrap_or(0..0), e.message())).collect();
    starts.sort_by_key(|(range, _)| range.start);
    let lines = Lines::new(text);
    let swallowed = swallowed_from(&starts).map(|start| lines.of(start));
    let broken: BTreeSet<usize> = starts.iter().map(|(range, _)| lines.of(range.start)).collect();
    found.retain(|problem| {
        let Some(at) = problem.at else { return true };
        let line = lines.of(at.start as usize);
        !broken.contains(&line) && swallowed.is_none_or(|from| line < from)
    });
}

/// Where the error is from which everything to the end was read as part of one open list: the
/// first after which no line stands alone any more.
fn swallowed_from(errors: &[(Range<usize>, &str)]) -> Option<usize> {
    let open =
        |message: &str| message.starts_with("unclosed array") || message.starts_with("unclosed inline");
    errors.iter().any(|(_, message)| open(message)).then_some(())?;
    let inside = |message: &str| {
        open(message) || message.contains("array") || message.contains("string") || message.contains("float")
    };
    errors.iter().find(|(_, message)| inside(message)).map(|(range, _)| range.start)
}

/// Where lines end.
struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Self {
        Lines(text.match_indices('\n').map(|(at, _)| at).collect())
    }

    /// The line that an offset is in, from 0.
    fn of(&self, offset: usize) -> usize {
        self.0.partition_point(|end| *end < offset)
    }
}

fn problem(text: &str, range: &Range<usize>, message: &str, swallowed: bool) -> Problem {
    let token = token(text, range.start);
    if message.starts_with("invalid basic string") || message.starts_with("invalid literal string") {
        return Problem::usage("a string is not closed")
            .help("close it with the quote that opened it, on the same line");
    }
    if swallowed {
        return Problem::usage("a list or table is still open here")
            .help("close it with `]` or `}` on an earlier line, or put the missing comma");
    }
    if message.starts_with("string values must be quoted") {
        return match text.get(range.clone()).unwrap_or("") {
            "" => Problem::usage("a value is missing").help("write one, or remove the line"),
            token => Problem::usage(format!("`{token}` is not a value"))
                .help(format!("strings need quotes: \"{token}\"")),
        };
    }
    if message.starts_with("unexpected leading zero") {
        return Problem::usage(format!("`{token}` has a leading zero"))
            .help(format!("write file modes as strings: \"{token}\""));
    }
    if message.starts_with("duplicate key") {
        return Problem::usage(format!("`{token}` is written twice"))
            .help("a key or a table may be written once in a file; join the two");
    }
    Problem::usage(format!("not valid TOML: {message}"))
}

/// The word at an offset, as far as an operator would see one.
fn token(text: &str, start: usize) -> &str {
    let rest = text.get(start..).unwrap_or("");
    let end = rest.find(|c: char| !(c.is_alphanumeric() || "_-./@:+".contains(c))).unwrap_or(rest.len());
    rest.get(..end).unwrap_or("")
}
