//! The probe: this binary, re-executed inside a jail. It prints what it sees as JSON, or plays the
//! part of a program that a test needs.
//!
//! Must not know: what would be right. It only reports.

mod attempts;
mod calls;
mod daemons;
mod notify;
mod ports;
mod programs;
mod report;

use std::collections::BTreeMap;
use std::process::ExitCode;

/// `KEY=VALUE` words of the command line.
pub struct Arguments(BTreeMap<String, String>);

impl Arguments {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
}

/// Runs one part: `report` (the default), or one of `programs`.
pub fn main(words: &[String]) -> ExitCode {
    let part = words.iter().find(|w| !w.contains('=')).map_or("report", String::as_str);
    let pairs = words.iter().filter_map(|w| w.split_once('='));
    let arguments = Arguments(pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect());
    if part != "report" {
        return programs::main(part, words.get(1..).unwrap_or(&[]));
    }
    if let Some(marker) = arguments.get("marker") {
        std::fs::write(marker, "the target ran\n").expect("the marker is in a write directory");
    }
    if arguments.get("await").is_some() {
        println!("ready");
        std::io::stdin().read_line(&mut String::new()).expect("standard input can be read");
    }
    let mut report = report::report();
    if arguments.get("attempts") != Some("no") {
        report["attempts"] = attempts::all(&arguments).into();
    }
    match arguments.get("out") {
        Some(file) => std::fs::write(file, report.to_string()).expect("the file is in a write directory"),
        None => println!("{report}"),
    }
    ExitCode::SUCCESS
}
