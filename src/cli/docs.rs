//! Makes docs/ of the parser's description, and fails where they differ.
//!
//! `UPDATE_DOCS=1 cargo test docs` writes the files anew.

use super::{EXAMPLES, EXIT_STATUS, command};
use clap_complete::aot::{Bash, Fish, Generator, Zsh};
use std::path::Path;

const ENVIRONMENT: &str = r#".SH ENVIRONMENT
.TP
\fBJAIL_LOG\fR
Which log lines go to standard error, in the form of env_logger: \fBdebug\fR, \fBjail::apply=trace\fR. Default: warnings. \fB\-v\fR wins over it.
.TP
\fBNO_COLOR\fR
If set and not empty, nothing is coloured.
.TP
\fBJOURNAL_STREAM\fR
Set by systemd; if standard error is the journal, each line begins with its level.
"#;

const FILES: &str = r#".SH FILES
.TP
\fI./jails.d\fR, \fI/etc/jails.d\fR
Specs that are found by name, before those built into the program. \fINAME.local.toml\fR beside a spec, or in a place that is searched earlier, adjusts it.
.SH SEE ALSO
\fBjail help spec\fR lists every key of a spec. \fBcapabilities\fR(7), \fBnamespaces\fR(7), \fBlandlock\fR(7), \fBseccomp\fR(2)
"#;

#[test]
fn the_manual_page_is_up_to_date() {
    let mut text = Vec::new();
    let page = clap_mangen::Man::new(command().bin_name("jail"));
    page.render_title(&mut text).unwrap();
    page.render_name_section(&mut text).unwrap();
    // The second form of the usage line must not stand on the same line as the first.
    text.extend(b".SH SYNOPSIS\n");
    for (n, (form, rest)) in SYNOPSIS.iter().enumerate() {
        let gap = if n == 0 { "" } else { ".br\n" };
        text.extend(format!("{gap}\\fBjail {form}\\fR {rest}\n").bytes());
    }
    page.render_description_section(&mut text).unwrap();
    page.render_options_section(&mut text).unwrap();
    text.extend(actions().bytes());
    text.extend(prose("EXAMPLES", EXAMPLES, "Examples:\n").bytes());
    text.extend(prose("EXIT STATUS", EXIT_STATUS, "Exit status:\n").bytes());
    text.extend(ENVIRONMENT.bytes().chain(FILES.bytes()));
    compare("jail.1", &text);
}

const SYNOPSIS: &[(&str, &str)] = &[
    ("\\-\\-spec", "\\fIFILE|NAME\\fR [\\fIOPTIONS\\fR] [\\-\\- \\fICOMMAND\\fR...]"),
    ("run", "[\\fIFILE|NAME\\fR] [\\fIOPTIONS\\fR] [\\-\\- \\fICOMMAND\\fR...]"),
    ("plan", "[\\fIFILE|NAME\\fR] [\\fB\\-\\-json\\fR] [\\fIOPTIONS\\fR] [\\-\\- \\fICOMMAND\\fR...]"),
    ("verify", "[\\fIFILE|NAME\\fR] [\\fB\\-\\-json\\fR] [\\fB\\-\\-strict\\fR] [\\fIOPTIONS\\fR]"),
    ("check", "\\fIFILE|NAME\\fR..."),
    (
        "audit",
        "\\fIFILE|NAME\\fR... [\\fB\\-\\-json\\fR] [\\fB\\-\\-threshold\\fR \\fIN\\fR] [\\fB\\-\\-html\\fR \\fIFILE\\fR]",
    ),
    ("ps", "[\\fB\\-\\-json\\fR] [\\fB\\-\\-stale\\fR]"),
    ("exec", "[\\fB\\-\\-root\\fR|\\fB\\-\\-host\\-tools\\fR] \\fINAME\\fR \\-\\- \\fICOMMAND\\fR..."),
    (
        "limit",
        "[\\fINAME\\fR|\\fB\\-\\-pid\\fR \\fIN\\fR...] [\\fB\\-\\-show\\fR|\\fB\\-\\-dry\\-run\\fR] [\\fILIMITS\\fR] [\\-\\- \\fICOMMAND\\fR...]",
    ),
    ("top", "[\\fB\\-\\-every\\fR \\fISECONDS\\fR]"),
    ("stop", "\\fINAME\\fR... [\\fB\\-\\-timeout\\fR \\fISECONDS\\fR]"),
    ("reload", "\\fINAME\\fR..."),
    ("refresh", "\\fINAME\\fR..."),
    ("signal", "\\fINAME\\fR \\fISIGNAL\\fR"),
    (
        "systemd",
        "[\\fIFILE|NAME\\fR] [\\fB\\-\\-type\\fR \\fITYPE\\fR] [\\fB\\-\\-socket\\fR] [\\fB\\-\\-install\\fR]",
    ),
    ("specs", "[\\fB\\-\\-blocks\\fR]"),
    ("help", "[\\fITOPIC\\fR]"),
    ("completions", "\\fISHELL\\fR"),
    ("man", ""),
];

/// What each action is, and the flags that only it has: those of a jail stand under OPTIONS.
fn actions() -> String {
    let top = command();
    let common: Vec<&str> = top.get_opts().filter_map(clap::Arg::get_long).collect();
    let mut out = String::from(".SH ACTIONS\n");
    for action in top.get_subcommands() {
        let name = action.get_name();
        out += &format!(".TP\n\\fB{name}\\fR\n{}\n", action.get_about().unwrap());
        for option in action.get_opts() {
            let long = option.get_long().unwrap();
            if !common.contains(&long) {
                let help = option.get_help().unwrap();
                out += &format!(".TP\n\\fB{name} \\-\\-{long}\\fR\n{help}\n");
            }
        }
    }
    out
}

/// A text of the help as a section, line by line, without the heading it has there.
fn prose(section: &str, text: &str, heading: &str) -> String {
    let text = text.strip_prefix(heading).unwrap().replace('-', "\\-");
    format!(".SH \"{section}\"\n.nf\n{text}\n.fi\n")
}

#[test]
fn the_synopsis_names_every_action() {
    let named: Vec<&str> = SYNOPSIS.iter().skip(1).map(|(form, _)| *form).collect();
    let top = command();
    let actions: Vec<&str> = top.get_subcommands().map(clap::Command::get_name).collect();
    assert_eq!(named, actions);
}

#[test]
fn the_completions_are_up_to_date() {
    complete(Bash, "completions/jail.bash");
    complete(Fish, "completions/jail.fish");
    complete(Zsh, "completions/_jail");
}

fn complete(shell: impl Generator, file: &str) {
    let mut text = Vec::new();
    clap_complete::aot::generate(shell, &mut command(), "jail", &mut text);
    compare(file, &text);
}

fn compare(file: &str, made: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(file);
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, made).unwrap();
    }
    let there = std::fs::read(&path).unwrap_or_default();
    assert!(there == made, "docs/{file} is out of date: run UPDATE_DOCS=1 cargo test docs");
}
