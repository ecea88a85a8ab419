//! Values of keys: from TOML to typed values with their place, one problem noted per mistake.
//!
//! Must not know: which keys there are (that is `keys`), or what a value means on a host.
#![forbid(unsafe_code)]

mod entries;
pub mod limits;
mod network;
mod scalar;
#[cfg(test)]
mod tests;

use super::keys::{About, Word, place, words};
use super::{NetworkMode, OnChange, Owner, Proc, SystemCallAction};
use crate::problem::{At, Problem, Problems, Span, did_you_mean};
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// Scheduling priorities that setpriority(2) takes.
pub const NICE: RangeInclusive<i64> = -20..=19;
/// What /proc/PID/oom_score_adj takes.
pub const OOM_SCORE_ADJUST: RangeInclusive<i64> = -1000..=1000;
/// What listen(2) takes; the kernel cuts it down to net.core.somaxconn.
pub const BACKLOG: RangeInclusive<i64> = 1..=4096;
/// What cpu.weight and io.weight take.
pub const WEIGHT: RangeInclusive<i64> = 1..=10_000;
/// Process ids that a kernel can have (PID_MAX_LIMIT of linux/threads.h).
pub const TASKS: RangeInclusive<i64> = 1..=4_194_304;
/// Inodes of a tmpfs: 0 would mean unlimited to the kernel.
pub const INODES: RangeInclusive<i64> = 1..=i64::MAX;

impl Word for NetworkMode {
    const WORDS: &'static [(&'static str, Self)] =
        &[("host", NetworkMode::Host), ("none", NetworkMode::None)];
}

impl Word for Proc {
    const WORDS: &'static [(&'static str, Self)] =
        &[("pid", Proc::Pid), ("full", Proc::Full), ("none", Proc::None)];
}

impl Word for SystemCallAction {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("errno", SystemCallAction::Errno),
        ("kill", SystemCallAction::Kill),
        ("log", SystemCallAction::Log),
    ];
}

impl Word for OnChange {
    const WORDS: &'static [(&'static str, Self)] =
        &[("nothing", OnChange::Nothing), ("reload", OnChange::Reload)];
}

impl Word for Owner {
    const WORDS: &'static [(&'static str, Self)] = &[("root", Owner::Root), ("process", Owner::Process)];
}

/// One value of the document, and how messages call it.
pub struct Item<'a> {
    /// The key that it belongs to.
    pub about: &'static About,
    /// Which part of that key's value it is.
    pub part: Part<'a>,
    /// What was written.
    pub value: &'a DeValue<'a>,
    /// Where.
    pub at: Span,
}

/// Which part of a key's value an [`Item`] is.
#[derive(Clone, Copy)]
pub enum Part<'a> {
    /// All of it.
    Whole,
    /// An element of the list.
    Element,
    /// What the table has under this name.
    Member(&'a str),
}

impl<'a> Item<'a> {
    /// The subject of a message: "`user` in [process]".
    pub fn name(&self) -> String {
        let (key, place) = (self.about.name, place(self.about.table));
        let within = if self.about.table.is_empty() { "at" } else { "in" };
        match self.part {
            Part::Whole => format!("`{key}` {within} {place}"),
            Part::Element => format!("an element of `{key}` {within} {place}"),
            Part::Member(name) => format!("`{name}` of `{key}` {within} {place}"),
        }
    }

    /// A line that shows how the key is written.
    pub fn example(&self) -> String {
        format!("for example: {} = {}", self.about.name, self.about.example)
    }

    fn part(&self, part: Part<'a>, value: &'a DeValue<'a>, at: Span) -> Item<'a> {
        Item { about: self.about, part, value, at }
    }
}

/// Turns values into typed ones; notes what is wrong with them.
pub struct Reader<'p> {
    source: u16,
    problems: &'p mut Problems,
}

impl<'p> Reader<'p> {
    /// A reader of the text that has this index among the sources.
    pub fn new(source: u16, problems: &'p mut Problems) -> Self {
        Reader { source, problems }
    }

    /// The span of a byte range of the text.
    pub fn span(&self, range: Range<usize>) -> Span {
        let offset = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Span { source: self.source, start: offset(range.start), end: offset(range.end) }
    }

    /// Notes a problem.
    pub fn note(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Notes that a value has the wrong type.
    pub fn wrong_type(&mut self, item: &Item<'_>, expected: impl Display) {
        let what = format!("{} must be {expected}, not {}", item.name(), type_name(item.value));
        self.note(Problem::usage(what).at(item.at).help(item.example()));
    }

    /// Notes that a value has the right type but cannot be; `clause` completes "`user` in [process] ".
    pub fn unfit(&mut self, item: &Item<'_>, clause: impl Display) {
        self.note(Problem::usage(format!("{} {clause}", item.name())).at(item.at).help(item.example()));
    }

    /// A string, perhaps empty, without NUL (which no path, argument or variable can hold).
    pub fn text(&mut self, item: &Item<'_>) -> Option<At<String>> {
        let Some(text) = item.value.as_str() else {
            self.wrong_type(item, "a string");
            return None;
        };
        if text.contains('\0') {
            self.unfit(item, "contains a NUL byte");
            return None;
        }
        Some(At::new(text.to_owned(), item.at))
    }

    /// A string that is not empty.
    pub fn string(&mut self, item: &Item<'_>) -> Option<At<String>> {
        let text = self.text(item)?;
        if text.value.is_empty() {
            self.unfit(item, "is empty");
            return None;
        }
        Some(text)
    }

    /// A string that is one line: it is printed in tables, and must not drive a terminal.
    pub fn line(&mut self, item: &Item<'_>) -> Option<At<String>> {
        let text = self.string(item)?;
        if text.value.chars().any(char::is_control) {
            self.unfit(item, "must be one line without control characters");
            return None;
        }
        Some(text)
    }

    /// [`Reader::string`] into a field; left alone on a mistake.
    pub fn string_into(&mut self, item: &Item<'_>, target: &mut String) {
        if let Some(text) = self.string(item) {
            *target = text.value;
        }
    }

    /// [`Reader::text`] into a field; left alone on a mistake.
    pub fn text_into(&mut self, item: &Item<'_>, target: &mut String) {
        if let Some(text) = self.text(item) {
            *target = text.value;
        }
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, item: &Item<'_>) -> Option<At<bool>> {
        let value = item.value.as_bool();
        if value.is_none() {
            self.wrong_type(item, "a boolean");
        }
        value.map(|value| At::new(value, item.at))
    }

    /// [`Reader::boolean`] into a field; left alone on a mistake.
    pub fn boolean_into(&mut self, item: &Item<'_>, target: &mut bool) {
        if let Some(value) = self.boolean(item) {
            *target = value.value;
        }
    }

    /// An integer within bounds.
    pub fn integer(&mut self, item: &Item<'_>, range: &RangeInclusive<i64>) -> Option<At<i64>> {
        let Some(integer) = item.value.as_integer() else {
            self.wrong_type(item, item.about.kind.with_article());
            return None;
        };
        let value = i64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let value = value.filter(|value| range.contains(value));
        if value.is_none() {
            self.unfit(item, format_args!("must be {}, not {integer}", item.about.kind.with_article()));
        }
        value.map(|value| At::new(value, item.at))
    }

    /// A file mode, written as a string of octal digits.
    pub fn octal(&mut self, item: &Item<'_>, max: u32) -> Option<At<u32>> {
        let Some(text) = item.value.as_str() else {
            let what = format!("{} must be an octal string, not {}", item.name(), type_name(item.value));
            let help = format!("TOML would read it as decimal; write a string, {}", item.example());
            self.note(Problem::usage(what).at(item.at).help(help));
            return None;
        };
        self.parsed(item, scalar::octal(text, max))
    }

    /// Bytes, more than none: an integer or a string such as `512M`.
    pub fn size(&mut self, item: &Item<'_>) -> Option<At<u64>> {
        let size = self.bytes(item, "a size")?;
        if size.value == 0 {
            // The kernel takes size=0 for "no limit".
            self.unfit(item, "must be more than 0");
            return None;
        }
        Some(size)
    }

    /// A string such as `30s`, in milliseconds.
    pub fn duration(&mut self, item: &Item<'_>) -> Option<At<u64>> {
        let Some(text) = item.value.as_str() else {
            self.wrong_type(item, "a duration with its unit, as a string");
            return None;
        };
        self.parsed(item, scalar::duration(text))
    }

    /// One of the words of `T`.
    pub fn word<T: Word>(&mut self, item: &Item<'_>) -> Option<At<T>> {
        let Some(text) = item.value.as_str() else {
            self.wrong_type(item, item.about.kind.with_article());
            return None;
        };
        let found = T::WORDS.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let what = format!("{} must be {}, not `{text}`", item.name(), item.about.kind.with_article());
            let meant = did_you_mean(text, words::<T>());
            let help = meant.map_or_else(|| item.example(), |word| format!("did you mean \"{word}\"?"));
            self.note(Problem::usage(what).at(item.at).help(help));
        }
        found.map(|(_, value)| At::new(*value, item.at))
    }

    /// A list of strings that are not empty.
    pub fn strings(&mut self, item: &Item<'_>) -> Vec<At<String>> {
        self.elements(item).iter().filter_map(|element| self.string(element)).collect()
    }

    /// The elements of a list; none, and a problem, if it is not a list.
    pub fn elements<'a>(&mut self, item: &Item<'a>) -> Vec<Item<'a>> {
        let Some(array) = item.value.as_array() else {
            self.wrong_type(item, item.about.kind.with_article());
            return Vec::new();
        };
        array.iter().map(|e| item.part(Part::Element, e.get_ref(), self.span(e.span()))).collect()
    }

    /// The members of a table in order of writing, with the place of each name.
    pub fn members<'a>(&mut self, item: &Item<'a>) -> Vec<(At<&'a str>, Item<'a>)> {
        let Some(table) = item.value.as_table() else {
            self.wrong_type(item, item.about.kind.with_article());
            return Vec::new();
        };
        in_order(table)
            .map(|(key, value)| {
                let name: &str = key.get_ref();
                let member = item.part(Part::Member(name), value.get_ref(), self.span(value.span()));
                (At::new(name, self.span(key.span())), member)
            })
            .collect()
    }

    /// Bytes: an integer or a string such as `512M`.
    fn bytes(&mut self, item: &Item<'_>, expected: &str) -> Option<At<u64>> {
        let parsed = match item.value {
            DeValue::String(text) => scalar::size(text),
            DeValue::Integer(n) => {
                // The kernel's "no limit" is the highest number; only a word may say that.
                let n = i64::from_str_radix(n.as_str(), n.radix()).ok();
                n.and_then(|n| u64::try_from(n).ok())
                    .ok_or("must not be negative, nor 8 EiB or more".to_owned())
            }
            _ => {
                self.wrong_type(item, expected);
                return None;
            }
        };
        self.parsed(item, parsed)
    }

    fn parsed<T>(&mut self, item: &Item<'_>, parsed: Result<T, String>) -> Option<At<T>> {
        match parsed {
            Ok(value) => Some(At::new(value, item.at)),
            Err(clause) => {
                self.unfit(item, clause);
                None
            }
        }
    }
}

/// The entries of a table in order of writing; `toml` keeps them sorted by name.
pub fn in_order<'a>(
    table: &'a DeTable<'a>,
) -> impl Iterator<Item = (&'a Spanned<DeString<'a>>, &'a Spanned<DeValue<'a>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries.into_iter()
}

/// What a value is, with its article.
pub fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
