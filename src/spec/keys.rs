//! The one table of keys: name, type, default, documentation and how a value is stored.
//!
//! Parsing, `jail help`, the reference in the README and "did you mean" are all driven by it, so
//! that none of them can disagree. Must not know: what a value means on a host.
#![forbid(unsafe_code)]

mod entries;
mod files;
mod help;
mod limits;
mod network;
mod process;
mod rest;
#[cfg(test)]
mod tests;

use super::Spec;
use super::value::{Item, Reader};
use std::fmt;

pub use entries::{LINK_ENTRY, PATH_ENTRY, RLIMIT, RLIMITS, ROOT, TEXT_ENTRY, TMPFS_ENTRY};

pub use help::{help_all, help_key, names, reference_markdown};
pub use limits::{IO_ENTRY, ON_MEMORY};
pub use network::LISTEN_ENTRY;

/// One key: what it is, and how its value gets into `T` (a [`Spec`], or one entry of a list).
pub struct Key<T: 'static = Spec> {
    /// Everything that can be said about it.
    pub about: About,
    /// Reads a value of it; on a mistake notes a problem and leaves the target alone.
    pub set: Set<T>,
}

/// Reads the value of a key into its target.
pub type Set<T> = fn(&mut T, &mut Reader<'_>, &Item<'_>);

/// What is known about a key without its setter.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Which [`TABLES`] entry it belongs to, by name; empty: the top level.
    pub table: &'static str,
    /// As written in a spec.
    pub name: &'static str,
    /// What may be written.
    pub kind: Kind,
    /// What holds when it is not written; empty: it must be written.
    pub default: &'static str,
    /// A right-hand side that parses.
    pub example: &'static str,
    /// One line, without a full stop.
    pub doc: &'static str,
    /// Longer text: consequences and pitfalls; may be empty.
    pub more: &'static str,
    /// The first version that has it.
    pub since: &'static str,
}

impl About {
    /// `process.user`, or just `include` at the top level.
    pub fn full_name(&self) -> String {
        if self.table.is_empty() { self.name.to_owned() } else { format!("{}.{}", self.table, self.name) }
    }
}

/// What may be written as a value.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A string.
    String,
    /// A list of strings.
    Strings,
    /// `true` or `false`.
    Boolean,
    /// A file mode as a string.
    Octal,
    /// Bytes: an integer, or a string with K, M, G or T.
    Size,
    /// A string such as `30s`.
    Duration,
    /// An integer between two bounds, both included.
    Integer(i64, i64),
    /// One of a few words.
    Words(fn() -> Vec<&'static str>),
    /// `read`, `write`.
    PathEntries,
    /// `tmpfs`.
    TmpfsEntries,
    /// `text`.
    TextEntries,
    /// `link`.
    LinkEntries,
    /// `bind`, `connect`.
    Ports,
    /// `listen`.
    ListenEntries,
    /// One address to listen on.
    Address,
    /// `env`.
    Environment,
    /// `rlimits`.
    Rlimits,
    /// One side of a resource limit.
    Amount,
    /// `root`.
    Root,
    /// `cpu`.
    Cpu,
    /// `cpus`.
    CpuSet,
    /// `io-read`, `io-write`.
    Rate,
    /// `io`.
    IoEntries,
    /// A block device.
    Device,
    /// `on-memory`.
    OnMemory,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::String => f.write_str("string"),
            Kind::Strings => f.write_str("list of strings"),
            Kind::Boolean => f.write_str("boolean"),
            Kind::Octal => f.write_str("octal string"),
            Kind::Size => f.write_str("size"),
            Kind::Duration => f.write_str("duration"),
            Kind::Integer(min, i64::MAX) => write!(f, "integer from {min}"),
            Kind::Integer(min, max) => write!(f, "integer from {min} to {max}"),
            Kind::Words(words) => write!(f, "one of {}", words().join(", ")),
            Kind::PathEntries => f.write_str("list of path entries"),
            Kind::TmpfsEntries => f.write_str("list of tmpfs entries"),
            Kind::TextEntries => f.write_str("list of text entries"),
            Kind::LinkEntries => f.write_str("list of link entries"),
            Kind::Ports => f.write_str("list of port numbers"),
            Kind::ListenEntries => f.write_str("list of listen entries"),
            Kind::Address => f.write_str("address"),
            Kind::Environment => f.write_str("table of strings"),
            Kind::Rlimits => f.write_str("table of resource limits"),
            Kind::Amount => f.write_str("integer, size or `unlimited`"),
            Kind::Root => f.write_str("`skeleton`, directory or root table"),
            Kind::Cpu => f.write_str("share of CPUs"),
            Kind::CpuSet => f.write_str("set of CPUs"),
            Kind::Rate => f.write_str("rate"),
            Kind::IoEntries => f.write_str("list of io entries"),
            Kind::Device => f.write_str("device number"),
            Kind::OnMemory => f.write_str("on-memory table"),
        }
    }
}

impl Kind {
    /// The same with its article, as in "must be an octal string".
    pub fn with_article(&self) -> String {
        match self {
            Kind::Octal | Kind::Integer(..) | Kind::Amount | Kind::Address | Kind::OnMemory => {
                format!("an {self}")
            }
            Kind::Words(_) | Kind::Root => self.to_string(),
            _ => format!("a {self}"),
        }
    }
}

/// Values that are written as one of a few words.
pub trait Word: Copy + 'static {
    /// All of them, as written.
    const WORDS: &'static [(&'static str, Self)];
}

/// The words of a type, for [`Kind::Words`].
pub fn words<T: Word>() -> Vec<&'static str> {
    T::WORDS.iter().map(|(word, _)| *word).collect()
}

/// A group of keys: a table of the file, or the table form of an entry.
pub struct Table {
    /// As in [`About::table`].
    pub name: &'static str,
    /// How messages and headings call it.
    pub place: &'static str,
    /// One line.
    pub doc: &'static str,
}

/// All groups, in the order of the reference. Those of the file itself come first.
pub static TABLES: &[Table] = &[
    Table { name: "", place: "the top level", doc: "what the spec is, and what it builds on" },
    Table { name: "process", place: "[process]", doc: "what runs, as whom, with which surroundings" },
    Table { name: "files", place: "[files]", doc: "what the program sees; what is not named is not there" },
    Table { name: "network", place: "[network]", doc: "which network it is in, and which ports it may use" },
    Table { name: "privileges", place: "[privileges]", doc: "what it may ask of the kernel" },
    Table {
        name: "limits",
        place: "[limits]",
        doc: "how much of the machine it may use, all its processes together",
    },
    Table {
        name: "path entry",
        place: "a path entry",
        doc: "an entry of `read` or `write` as a table; a plain string is its `path`",
    },
    Table {
        name: "tmpfs entry",
        place: "a tmpfs entry",
        doc: "an entry of `tmpfs` as a table; a plain string is its `path`",
    },
    Table { name: "text entry", place: "a text entry", doc: "an entry of `text`" },
    Table { name: "link entry", place: "a link entry", doc: "an entry of `link`" },
    Table {
        name: "listen entry",
        place: "a listen entry",
        doc: "an entry of `listen` as a table; a plain string is its `address`",
    },
    Table { name: "io entry", place: "an io entry", doc: "an entry of `io`" },
    Table { name: "on-memory table", place: "an on-memory table", doc: "`on-memory`" },
    Table { name: "root table", place: "a root table", doc: "`root` as a table" },
    Table { name: "rlimit", place: "a resource limit", doc: "an entry of `rlimits` as a table" },
];

/// The tables of a file with their keys; the first is the top level.
pub static KEYS: &[(&str, &[Key])] = &[
    ("", rest::TOP),
    ("process", process::PROCESS),
    ("files", files::FILES),
    ("network", network::NETWORK),
    ("privileges", rest::PRIVILEGES),
    ("limits", limits::LIMITS),
];

/// The keys of one table of a file; `None`: there is no such table.
pub fn table(name: &str) -> Option<&'static [Key]> {
    KEYS.iter().find(|(table, _)| *table == name).map(|(_, keys)| *keys)
}

/// How messages call a group of keys.
pub fn place(table: &str) -> &'static str {
    TABLES.iter().find(|t| t.name == table).map_or("the spec", |t| t.place)
}

/// Every key, in the order of the reference.
pub fn all() -> impl Iterator<Item = &'static About> {
    fn abouts<T>(keys: &'static [Key<T>]) -> impl Iterator<Item = &'static About> {
        keys.iter().map(|key| &key.about)
    }
    KEYS.iter()
        .flat_map(|(_, keys)| abouts(keys))
        .chain(abouts(PATH_ENTRY))
        .chain(abouts(TMPFS_ENTRY))
        .chain(abouts(TEXT_ENTRY))
        .chain(abouts(LINK_ENTRY))
        .chain(abouts(LISTEN_ENTRY))
        .chain(abouts(IO_ENTRY))
        .chain(abouts(ON_MEMORY))
        .chain(abouts(ROOT))
        .chain(abouts(RLIMIT))
}

/// Names that a spec may not use yet, or never: table, name, and what to do instead.
pub static LATER: &[(&str, &str, &str)] = &[
    (
        "limits",
        "devices",
        "there is no `devices`: device nodes work only where [files] `dev` shows them, and none can be made",
    ),
    (
        "files",
        "hide",
        "there is no `hide`: a mask is undone by the host's next rename; name fewer paths in `read` instead",
    ),
];
