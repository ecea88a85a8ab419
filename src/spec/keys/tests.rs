//! Invariants over the table of keys.

use super::*;
use crate::problem::{Paint, Problems, Sources};
use crate::spec::parse::parse;
use std::collections::BTreeSet;

#[test]
fn no_key_is_there_twice() {
    let mut seen = BTreeSet::new();
    for about in all() {
        assert!(seen.insert((about.table, about.name)), "{} is there twice", about.full_name());
    }
}

#[test]
fn every_key_is_documented_and_at_home() {
    for about in all() {
        let name = about.full_name();
        assert!(TABLES.iter().any(|t| t.name == about.table), "{name}: no such table");
        assert!(about.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{name}");
        assert!(!about.doc.is_empty() && !about.doc.ends_with('.'), "{name}: {}", about.doc);
        assert!(about.doc.len() <= 90, "{name}: one line, please");
        assert!(about.more.is_empty() || about.more.ends_with('.'), "{name}: sentences end");
        assert!(!about.since.is_empty(), "{name}");
        for text in [about.doc, about.more] {
            assert!(!text.contains("  ") && !text.contains('\n'), "{name}: {text}");
        }
    }
    for table in TABLES {
        assert!(all().any(|about| about.table == table.name), "[{}] has no keys", table.name);
    }
}

#[test]
fn later_keys_are_not_keys_yet() {
    for (table, name, help) in LATER {
        assert!(!all().any(|about| about.table == *table && about.name == *name), "{table}.{name}");
        assert!(!help.is_empty());
    }
}

/// The text of a spec that uses the example of a key.
fn with_example(about: &About) -> String {
    let pair = format!("{} = {}", about.name, about.example);
    let rest = |required: &str| {
        if required.starts_with(about.name) { String::new() } else { format!(", {required}") }
    };
    match about.table {
        "" => pair,
        "path entry" => format!("files.write = [{{ {pair}{} }}]", rest("path = \"/x\"")),
        "tmpfs entry" => format!("files.tmpfs = [{{ {pair}{} }}]", rest("path = \"/x\"")),
        "text entry" => {
            format!("files.text = [{{ {pair}{}{} }}]", rest("path = \"/x\""), rest("content = \"\""))
        }
        "link entry" => {
            format!("files.link = [{{ {pair}{}{} }}]", rest("path = \"/x\""), rest("to = \"/y\""))
        }
        "listen entry" => {
            let unix = matches!(about.name, "mode" | "owner" | "group");
            let address = if unix { "address = \"unix:/x\"" } else { "address = \"[::]:1\"" };
            format!("network.listen = [{{ {pair}{} }}]", rest(address))
        }
        "io entry" => {
            let disk = if matches!(about.name, "path" | "device") { "read = 1" } else { "device = \"8:0\"" };
            format!("limits.io = [{{ {pair}, {disk} }}]")
        }
        "on-memory table" => {
            format!("limits.on-memory = {{ {pair}{}{} }}", rest("above = \"1M\""), rest("run = [\"/x\"]"))
        }
        "root table" => format!("files.root = {{ {pair}{} }}", rest("path = \"/x\"")),
        "rlimit" => {
            format!("process.rlimits.nofile = {{ {pair}{}{} }}", rest("soft = 1"), rest("hard = 2048"))
        }
        table => format!("[{table}]\n{pair}"),
    }
}

#[test]
fn every_example_parses_and_sets_something() {
    for about in all() {
        let text = with_example(about);
        let mut sources = Sources::default();
        let source = sources.add("example", text.clone());
        let mut problems = Problems::default();
        let spec = parse(&text, source, &mut problems);
        assert_eq!(problems.render(&sources, Paint(false)), "", "{text}");
        assert_ne!(spec, Spec::default(), "{text} sets nothing");
    }
}

/// The setter of a key reads what its kind says: a value of a type that no key takes is refused.
#[test]
fn every_key_refuses_a_date() {
    for about in all() {
        let text = with_example(&About { example: "1979-05-27", ..*about });
        let mut problems = Problems::default();
        parse(&text, 0, &mut problems);
        let kind = about.kind.to_string();
        let first = problems.0.first().unwrap_or_else(|| panic!("{text} was taken for {kind}"));
        assert!(first.what.ends_with("not a date or time"), "{text}: {}", first.what);
    }
}

#[test]
fn help_has_every_key() {
    let (all_of_it, reference) = (help_all(), reference_markdown());
    for about in all() {
        assert!(all_of_it.contains(&format!("  {} ", about.name)), "{}", about.name);
        assert!(reference.contains(&format!("| `{}` | ", about.name)), "{}", about.name);
        assert!(help_key(&about.full_name()).is_some_and(|text| text.contains(about.example)));
        assert!(names().contains(&about.name));
    }
}

#[test]
fn reference_rows_have_four_cells() {
    let reference = reference_markdown();
    for row in reference.lines().filter(|line| line.starts_with("| ")) {
        assert_eq!(row.replace("\\|", "").matches('|').count(), 5, "{row}");
    }
}

#[test]
fn help_of_one_key() {
    assert_eq!(
        help_key("cwd").unwrap(),
        "process.cwd (string), default: /, since 0.1\n    Working directory, inside the jail.\n    example: cwd = \"/srv/app\"\n"
    );
    assert_eq!(help_key("process.cwd"), help_key("cwd"));
    let ambiguous = help_key("mode").unwrap();
    for name in
        ["network.mode", "path entry.mode", "tmpfs entry.mode", "text entry.mode", "listen entry.mode"]
    {
        assert!(ambiguous.contains(&format!("{name} (")), "{ambiguous}");
    }
    assert!(
        help_key("[network]")
            .unwrap()
            .starts_with("[network]: which network it is in, and which ports it may use\n  mode ")
    );
    assert_eq!(help_key("no-such-key"), None);
    assert_eq!(help_key(""), None);
}
