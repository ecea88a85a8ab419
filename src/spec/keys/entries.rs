//! Keys of the tables that stand for one entry: of `read` and `write`, `tmpfs`, `text`, `link`,
//! `root` and `rlimits`.
#![forbid(unsafe_code)]

use super::{About, Key, Kind, Set, words};
use crate::spec::value::INODES;
use crate::spec::{LinkEntry, OnChange, Owner, PathEntry, TextEntry, TmpfsEntry};

/// Names of resource limits; the index is the kernel's number (asm-generic/resource.h).
pub const RLIMITS: &[&str] = &[
    "cpu",
    "fsize",
    "data",
    "stack",
    "core",
    "rss",
    "nproc",
    "nofile",
    "memlock",
    "as",
    "locks",
    "sigpending",
    "msgqueue",
    "nice",
    "rtprio",
    "rttime",
];

/// One key of an entry: these need less text than the keys of a file.
pub(super) const fn key<T>(
    table: &'static str,
    (name, kind, default, example): (&'static str, Kind, &'static str, &'static str),
    doc: &'static str,
    more: &'static str,
    set: Set<T>,
) -> Key<T> {
    Key { about: About { table, name, kind, default, example, doc, more, since: "0.1" }, set }
}

const OWNER: Kind = Kind::Words(words::<Owner>);
const PATH: &str = "path entry";
const TMPFS: &str = "tmpfs entry";
const TEXT: &str = "text entry";
const LINK: &str = "link entry";

/// An entry of `read` or `write`.
pub static PATH_ENTRY: &[Key<PathEntry>] = &[
    key(PATH, ("path", Kind::String, "", r#""/etc/ssl/certs""#), "host path", "", |entry, reader, item| {
        reader.string_into(item, &mut entry.path);
    }),
    key(
        PATH,
        ("at", Kind::String, "the same path", r#""/certs""#),
        "where it appears inside",
        "",
        |entry, reader, item| entry.at = reader.string(item).map(|s| s.value),
    ),
    key(
        PATH,
        ("optional", Kind::Boolean, "false", "true"),
        "a path that the host lacks is left out",
        "",
        |entry, reader, item| reader.boolean_into(item, &mut entry.optional),
    ),
    key(
        PATH,
        ("bind", Kind::Boolean, "false", "true"),
        "bind a regular file or socket instead of copying it",
        "A bound file goes stale when the host replaces it by rename, as editors and package managers do. In a \
         `root` that is a directory both are always bound, on a file that is there.",
        |entry, reader, item| reader.boolean_into(item, &mut entry.bind),
    ),
    key(
        PATH,
        ("follow", Kind::Boolean, "false", "true"),
        "follow symbolic links that others than root could have made",
        "Without it a link that the service itself could have planted is refused, and so is a secret file that it could have put there and that `owner` or `mode` would let it read. In `read` it also opens a directory of links, such as certbot's /etc/letsencrypt/live/NAME: a directory that has links to files elsewhere and no directory in it is not bound; its files and those that its links lead to are copied, and nothing beside them.",
        |entry, reader, item| reader.boolean_into(item, &mut entry.follow),
    ),
    key(
        PATH,
        ("on-change", Kind::Words(words::<OnChange>), "nothing", r#""reload""#),
        "what is done when a copied file was replaced because the host's has changed",
        "`reload`: the program gets its reload signal (`reload-signal` in [process]), half a second after the last of several changes, and 3 s after the first at the latest.",
        |entry, reader, item| entry.on_change = reader.word(item).map(|w| w.value),
    ),
    key(
        PATH,
        ("owner", OWNER, "the host file's", r#""process""#),
        "who owns the copy, or the directory that `create` makes",
        "`process` lets a server that never was root read a key that only root may read on the host.",
        |entry, reader, item| entry.owner = reader.word(item).map(|w| w.value),
    ),
    key(
        PATH,
        ("mode", Kind::Octal, "the host file's", r#""0440""#),
        "permission bits of the copy",
        "",
        |entry, reader, item| entry.mode = reader.octal(item, 0o7777).map(|m| m.value),
    ),
    key(
        PATH,
        ("create", Kind::Octal, "missing is an error", r#""0750""#),
        "make the host directory with these permission bits if it is missing (`write` only)",
        "",
        |entry, reader, item| entry.create = reader.octal(item, 0o7777).map(|m| m.value),
    ),
    key(
        PATH,
        ("exec", Kind::Boolean, "true in `read`, false in `write`", "true"),
        "programs may be executed from it",
        "",
        |entry, reader, item| entry.exec = reader.boolean(item).map(|b| b.value),
    ),
];

/// An entry of `tmpfs`.
pub static TMPFS_ENTRY: &[Key<TmpfsEntry>] = &[
    key(TMPFS, ("path", Kind::String, "", r#""/run""#), "where, inside", "", |entry, reader, item| {
        reader.string_into(item, &mut entry.path);
    }),
    key(
        TMPFS,
        ("size", Kind::Size, "16M", r#""64M""#),
        "how much it may hold",
        "Bytes as an integer, or \"64K\", \"512M\", \"1.5G\" (powers of 1024). Not 0, which would be unlimited.",
        |entry, reader, item| entry.size = reader.size(item).map(|s| s.value),
    ),
    key(
        TMPFS,
        ("inodes", Kind::Integer(*INODES.start(), *INODES.end()), "4096", "1000"),
        "how many files and directories it may hold",
        "",
        |entry, reader, item| {
            entry.inodes = reader.integer(item, &INODES).and_then(|n| u64::try_from(n.value).ok());
        },
    ),
    key(
        TMPFS,
        ("mode", Kind::Octal, "1777 for /tmp and /var/tmp, else 0755", r#""0700""#),
        "its permission bits",
        "",
        |entry, reader, item| entry.mode = reader.octal(item, 0o7777).map(|m| m.value),
    ),
    key(
        TMPFS,
        ("owner", OWNER, "process", r#""root""#),
        "who owns it and its `directories`",
        "",
        |entry, reader, item| entry.owner = reader.word(item).map(|w| w.value),
    ),
    key(
        TMPFS,
        ("exec", Kind::Boolean, "false", "true"),
        "programs may be executed from it",
        "",
        |entry, reader, item| reader.boolean_into(item, &mut entry.exec),
    ),
    key(
        TMPFS,
        ("directories", Kind::Strings, "none", r#"["nginx"]"#),
        "directories made in it at start, with the same owner",
        "Plain names, directly below `path`: many daemons expect /run/NAME.",
        |entry, reader, item| entry.directories.extend(reader.plain_names(item)),
    ),
];

/// An entry of `text`.
pub static TEXT_ENTRY: &[Key<TextEntry>] = &[
    key(TEXT, ("path", Kind::String, "", r#""/etc/motd""#), "where, inside", "", |entry, reader, item| {
        reader.string_into(item, &mut entry.path);
    }),
    key(
        TEXT,
        ("content", Kind::String, "", r#""hello\n""#),
        "the whole content",
        "",
        |entry, reader, item| {
            reader.text_into(item, &mut entry.content);
        },
    ),
    key(
        TEXT,
        ("mode", Kind::Octal, "0644", r#""0755""#),
        "its permission bits",
        "",
        |entry, reader, item| entry.mode = reader.octal(item, 0o7777).map(|m| m.value),
    ),
    key(TEXT, ("owner", OWNER, "root", r#""process""#), "who owns it", "", |entry, reader, item| {
        entry.owner = reader.word(item).map(|w| w.value);
    }),
];

/// An entry of `link`.
pub static LINK_ENTRY: &[Key<LinkEntry>] = &[
    key(LINK, ("path", Kind::String, "", r#""/var/run""#), "where, inside", "", |entry, reader, item| {
        reader.string_into(item, &mut entry.path);
    }),
    key(LINK, ("to", Kind::String, "", r#""/run""#), "what it points to", "", |entry, reader, item| {
        reader.string_into(item, &mut entry.to);
    }),
];

/// `root` as a table: path and write.
pub static ROOT: &[Key<(String, bool)>] = &[
    key(
        "root table",
        ("path", Kind::String, "", r#""/srv/images/app""#),
        "the host directory that becomes `/`",
        "",
        |root, reader, item| reader.string_into(item, &mut root.0),
    ),
    key(
        "root table",
        ("write", Kind::Boolean, "false", "true"),
        "the program may write to it, as far as file modes allow",
        "",
        |root, reader, item| reader.boolean_into(item, &mut root.1),
    ),
];

/// A resource limit as a table: soft and hard; `None` is unlimited.
pub static RLIMIT: &[Key<(Option<u64>, Option<u64>)>] = &[
    key(
        "rlimit",
        ("soft", Kind::Amount, "", "1024"),
        "what the program starts with",
        "",
        |limit, reader, item| reader.amount_into(item, &mut limit.0),
    ),
    key(
        "rlimit",
        ("hard", Kind::Amount, "", r#""unlimited""#),
        "what it may raise it to",
        "",
        |limit, reader, item| reader.amount_into(item, &mut limit.1),
    ),
];
