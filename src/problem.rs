//! What went wrong, where in the spec, which call, what to do; and how that is printed.
//!
//! Must not know: any other module. Everything that can fail ends in a [`Problem`]; it is printed
//! once, by `main`, and its [`Kind`] is the exit code.
#![forbid(unsafe_code)]

use std::fmt::Write as _;

/// A stretch of one source text: which of the [`Sources`], and byte offsets into it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Span {
    /// Index into [`Sources`].
    pub source: u16,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// A value and where it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct At<T> {
    /// What was written.
    pub value: T,
    /// Where.
    pub at: Span,
}

impl<T> At<T> {
    /// Joins a value with its place.
    pub fn new(value: T, at: Span) -> Self {
        At { value, at }
    }
}

/// One text that settings came from: a spec file, a built-in spec, or the command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// As shown in messages: a path, `built-in nginx`, or `command line`.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// All texts that were read for one jail, in the order of reading.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sources(pub Vec<Source>);

impl Sources {
    /// Adds a text and returns the index that [`Span::source`] uses.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> u16 {
        self.0.push(Source { name: name.into(), text: text.into() });
        u16::try_from(self.0.len() - 1).unwrap_or(u16::MAX)
    }

    /// `name:line:column` and the line itself, for a span that lies in a known source.
    pub fn locate(&self, span: Span) -> Option<(String, &str)> {
        let source = self.0.get(usize::from(span.source))?;
        let start = (span.start as usize).min(source.text.len());
        let before = source.text.get(..start)?;
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let line = source.text[line_start..].lines().next().unwrap_or("");
        let number = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        Some((format!("{}:{number}:{column}", printable(&source.name)), line.trim()))
    }

    /// The text that a span covers.
    pub fn text(&self, span: Span) -> Option<&str> {
        let source = self.0.get(usize::from(span.source))?;
        source.text.get(span.start as usize..span.end as usize)
    }
}

/// What sort of failure it is; decides the exit code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The command line or the spec is wrong: 2.
    Usage,
    /// The jail could not be set up: 125.
    SetUp,
    /// The program was found but could not be executed: 126.
    NotExecutable,
    /// The program is not in the jail: 127.
    NotFound,
}

impl Kind {
    /// The exit code, as chroot(1), env(1) and POSIX shells use them.
    pub fn code(self) -> u8 {
        match self {
            Kind::Usage => 2,
            Kind::SetUp => 125,
            Kind::NotExecutable => 126,
            Kind::NotFound => 127,
        }
    }
}

/// One failure: intent and object, place in the spec, system call, remedies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Decides the exit code.
    pub kind: Kind,
    /// One sentence without a full stop: intent, object, cause.
    pub what: String,
    /// The spec line that asked for it.
    pub at: Option<Span>,
    /// A second place that matters ("also named here").
    pub also: Option<(String, Span)>,
    /// `step 9 of 31 (open): openat2("/srv/www") = ENOENT`, when a step of the plan failed.
    pub step: Option<String>,
    /// What to do, one remedy a line.
    pub help: Vec<String>,
}

impl Problem {
    /// A mistake in the spec or on the command line.
    pub fn usage(what: impl Into<String>) -> Self {
        Problem::new(Kind::Usage, what)
    }

    /// A failure to set the jail up.
    pub fn set_up(what: impl Into<String>) -> Self {
        Problem::new(Kind::SetUp, what)
    }

    /// A failure of the given kind.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Problem { kind, what: what.into(), at: None, also: None, step: None, help: Vec::new() }
    }

    /// Names the place in the spec.
    #[must_use]
    pub fn at(mut self, span: impl Into<Option<Span>>) -> Self {
        self.at = span.into();
        self
    }

    /// Names a second place, with what it is.
    #[must_use]
    pub fn also(mut self, label: impl Into<String>, span: impl Into<Option<Span>>) -> Self {
        self.also = span.into().map(|span| (label.into(), span));
        self
    }

    /// Adds a remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// The whole message as it is printed, ending in a newline.
    pub fn render(&self, sources: &Sources, paint: Paint) -> String {
        let mut out = String::new();
        let mut line = |text: String| {
            out.push_str(&text);
            out.push('\n');
        };
        line(format!("{} {}", paint.red("jail:"), printable(&self.what)));
        if let Some((place, text)) = self.at.and_then(|at| sources.locate(at)) {
            line(format!("  {} {place}    {}", paint.blue("-->"), printable(text)));
        }
        if let Some((label, span)) = &self.also
            && let Some((place, text)) = sources.locate(*span)
        {
            line(format!("  {} {place}    {}    ({label})", paint.blue("-->"), printable(text)));
        }
        if let Some(step) = &self.step {
            line(format!("  {}", printable(step)));
        }
        for help in &self.help {
            line(format!("  {} {}", paint.green("help:"), printable(help)));
        }
        out
    }
}

/// Several problems of one phase, all reported at once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Notes one more.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// `Ok(value)` if nothing was noted.
    pub fn none_or<T>(self, value: T) -> Result<T, Problems> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }

    /// The exit code: the first problem's.
    pub fn code(&self) -> u8 {
        self.0.first().map_or(0, |p| p.kind.code())
    }

    /// All messages, one after the other.
    pub fn render(&self, sources: &Sources, paint: Paint) -> String {
        self.0.iter().map(|p| p.render(sources, paint)).collect()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Problems(vec![problem])
    }
}

/// Whether messages are coloured: decided once, by who prints.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Paint(pub bool);

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Errors.
    pub fn red(self, text: &str) -> String {
        self.with("1;31", text)
    }

    /// Places and headings.
    pub fn blue(self, text: &str) -> String {
        self.with("1;34", text)
    }

    /// Remedies and what holds.
    pub fn green(self, text: &str) -> String {
        self.with("1;32", text)
    }

    /// Side remarks.
    pub fn dim(self, text: &str) -> String {
        self.with("2", text)
    }
}

/// Control characters made visible: a path or a spec line must neither drive the operator's terminal,
/// nor forge a line of a log, nor reorder the one it is in.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if (c.is_control() && c != '\t') || reorders(c) {
            write!(out, "{}", c.escape_default()).unwrap_or_default();
        } else {
            out.push(c);
        }
    }
    out
}

/// Line and paragraph separators, and the marks of bidirectional text (Unicode UAX #9), which show a
/// name as another one.
fn reorders(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The closest of `known` to a mistyped `word`, if one is close enough to be what was meant: alike as a
/// whole, or with one letter wrong, missing, too many, or two letters exchanged.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let score = |known: &str| {
        let near = word.len() > 2 && strsim::osa_distance(word, known) == 1;
        strsim::jaro_winkler(word, known).max(if near { 0.81 } else { 0.0 })
    };
    known
        .into_iter()
        .map(|k| (score(k), k))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_forge_a_line() {
        let mut sources = Sources::default();
        let source = sources.add("/srv/a\njail: all is well", "x = 1\n");
        let problem = Problem::set_up("cannot show /srv/\r\x1b[2Kfine\u{9b}K\u{202e}txt\u{2028}x")
            .at(Span { source, start: 0, end: 1 })
            .help("a\nhelp: b");
        let text = problem.render(&sources, Paint(false));
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(!text.contains(|c: char| c != '\n' && (c.is_control() || reorders(c))), "{text:?}");
        assert_eq!(printable("/srv/wéb\tdata"), "/srv/wéb\tdata");
    }
}
