//! Documents are executed: every `console` block of the README, every spec in it, and the reference
//! of keys, which is written from the table (`UPDATE_DOCS=1`).
//!
//! In a `console` block a line `$ COMMAND` is run, `? N` says its exit status (else 0), `...` stands
//! for any lines, and numbers are not compared: they differ from host to host.

use crate::ring::Ring::{Pure, Root};
use crate::run::{Room, jail_binary, state_directory};
use std::path::{Path, PathBuf};
use std::process::Command;

crate::tests! {
    Pure => [the_reference_of_keys_is_the_table, every_spec_in_the_readme_parses],
    Root => [every_console_block_shows_the_truth],
}

fn readme_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")
}

fn readme() -> String {
    std::fs::read_to_string(readme_path()).unwrap()
}

fn the_reference_of_keys_is_the_table() {
    let (start, end) = ("<!-- keys -->\n", "<!-- /keys -->");
    let text = readme();
    let from = text.find(start).unwrap() + start.len();
    let to = text.find(end).unwrap();
    let wanted = format!("\n{}\n", jail::spec::keys::reference_markdown());
    if std::env::var("UPDATE_DOCS").is_ok() {
        std::fs::write(readme_path(), format!("{}{wanted}{}", &text[..from], &text[to..])).unwrap();
    } else {
        assert_eq!(&text[from..to], wanted, "UPDATE_DOCS=1 writes it");
    }
}

/// Blocks of the README with this language.
fn blocks(language: &str) -> Vec<String> {
    let text = readme();
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines() {
        match &mut open {
            None if line == format!("```{language}") => open = Some(String::new()),
            None => {}
            Some(_) if line == "```" => blocks.extend(open.take()),
            Some(block) => {
                block.push_str(line);
                block.push('\n');
            }
        }
    }
    assert!(!blocks.is_empty(), "no {language} block");
    blocks
}

fn every_spec_in_the_readme_parses() {
    for block in blocks("toml") {
        let mut problems = jail::problem::Problems::default();
        jail::spec::parse::parse(&block, 0, &mut problems);
        assert_eq!(problems.0, []);
    }
}

struct Example {
    command: String,
    status: i32,
    output: Vec<String>,
}

fn examples(block: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), examples.last_mut()) {
            (Some(command), _) => {
                examples.push(Example { command: command.into(), status: 0, output: Vec::new() });
            }
            (None, Some(example)) => match line.strip_prefix("? ") {
                Some(status) => example.status = status.parse().unwrap(),
                None => example.output.push(line.into()),
            },
            (None, None) => panic!("a console block begins with a command: {line}"),
        }
    }
    examples
}

fn every_console_block_shows_the_truth() {
    let path = format!("{}:{}", jail_binary().parent().unwrap().display(), std::env::var("PATH").unwrap());
    for block in blocks("console") {
        let (room, state) = (Room::new(), state_directory());
        for example in examples(&block) {
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", &format!("{{ {}\n}} 2>&1", example.command)]).current_dir(room.path());
            let output = shell.env("PATH", &path).env("JAIL_STATE", &state).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            let shown: Vec<String> = example.output.iter().map(|l| without_numbers(l)).collect();
            let real: Vec<String> = text.lines().map(without_numbers).collect();
            assert_eq!(output.status.code(), Some(example.status), "{}\n{text}", example.command);
            assert!(
                alike(&shown, &real),
                "`{}` printed\n{text}\nbut the README shows\n{}",
                example.command,
                example.output.join("\n")
            );
        }
    }
}

fn without_numbers(line: &str) -> String {
    let mut out = String::new();
    for c in line.trim_end().chars() {
        if !c.is_ascii_digit() {
            out.push(c);
        } else if !out.ends_with('#') {
            out.push('#');
        }
    }
    // Columns are as wide as their numbers.
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether `real` is what is `shown`, where `...` stands for any lines.
fn alike(shown: &[String], real: &[String]) -> bool {
    match shown.split_first() {
        None => real.is_empty(),
        Some((dots, rest)) if dots == "..." => (0..=real.len()).any(|skip| alike(rest, &real[skip..])),
        Some((line, rest)) => real.first() == Some(line) && alike(rest, &real[1..]),
    }
}
