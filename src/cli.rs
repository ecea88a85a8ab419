//! The command line: what may be typed, as types. clap is the parser; the two shortest forms, which
//! start services, are taken apart here without it and must come out the same.
//!
//! Must not know: what any command does, or anything of the host.
#![forbid(unsafe_code)]

#[cfg(test)]
mod docs;
pub mod flags;
pub mod limit;
pub mod systemd;
#[cfg(test)]
mod tests;
mod texts;

pub use texts::SHORT_HELP;
use texts::{AUDIT_HELP, EXAMPLES, EXEC_HELP, EXIT_STATUS, LIMIT_HELP, PS_HELP, VERIFY_HELP};

use crate::audit::Score;
use crate::jail::resolve::Feature;
use crate::problem::{Problem, Problems, did_you_mean};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};
use std::ffi::OsString;

/// A parsed command line.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cli {
    /// How often `-v` was given.
    pub verbose: u8,
    /// What to do; `None`: nothing was asked for.
    pub action: Option<Action>,
}

/// What to do.
#[derive(Clone, PartialEq, Eq, Debug, Subcommand)]
pub enum Action {
    /// Run a program in a jail
    #[command(after_help = format!("{EXAMPLES}\n\n{EXIT_STATUS}"))]
    Run(Target),
    /// Show every step of a jail, in order; nothing is done
    Plan {
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Which jail.
        #[command(flatten)]
        target: Target,
    },
    /// Start a jail with a built-in prober in place of the program, and try to break every promise
    #[command(after_help = VERIFY_HELP)]
    Verify {
        /// As JSON
        #[arg(long)]
        json: bool,
        /// A promise that was given up counts as open
        #[arg(long)]
        strict: bool,
        /// Which jail.
        #[command(flatten)]
        target: Target,
    },
    /// Check specs against this host and report all that is wrong; nothing is done
    Check {
        /// Spec files, or names as `jail specs` lists them
        #[arg(required = true, value_name = "FILE|NAME", value_hint = ValueHint::AnyPath)]
        specs: Vec<String>,
    },
    /// Say how open jails are, from 0 (tight) to 10 (open), and why; nothing is done
    #[command(after_help = AUDIT_HELP)]
    Audit {
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Exit with status 1 if a score is above this, a number from 0 to 10
        #[arg(long, value_name = "N")]
        threshold: Option<Score>,
        /// Also write it all, with a picture of each jail, to one HTML page
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        html: Option<String>,
        /// Judge them with a promise given up
        #[arg(long, value_name = "FEATURE", value_parser = features())]
        without: Vec<Feature>,
        /// Spec files, or names as `jail specs` lists them; of several, a table
        #[arg(required = true, value_name = "FILE|NAME", value_hint = ValueHint::AnyPath)]
        specs: Vec<String>,
    },
    /// List the running jails, and what of them is not any more as the host has it
    #[command(after_help = PS_HELP)]
    Ps {
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Only what is stale, a line each; exit with status 1 if there is any
        #[arg(long)]
        stale: bool,
    },
    /// Run a command in a running jail, confined as its program is
    #[command(after_help = EXEC_HELP)]
    Exec {
        /// As root and without confinement, for the operator; the jail's files are what it sees
        #[arg(long)]
        root: bool,
        /// The same, with the host's programs, for a jail that has no shell; the host's root is at /.host
        #[arg(long)]
        host_tools: bool,
        /// As `jail ps` lists it
        name: String,
        /// The command and its arguments
        #[arg(required = true, last = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
        command: Vec<String>,
    },
    /// Limit what a command, running processes or a running jail may use of the machine, and no more
    #[command(after_help = LIMIT_HELP)]
    Limit(limit::Limit),
    /// Show what the running jails use, again and again
    Top {
        /// Seconds between two looks
        #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=3600))]
        every: u32,
    },
    /// Stop running jails: their stop signals, their time to stop, then the end of all their processes
    Stop {
        /// Seconds until they are killed, in place of their specs' stop-timeout
        #[arg(long, value_name = "SECONDS")]
        timeout: Option<u32>,
        /// As `jail ps` lists them
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Make running jails reload their configuration: their reload signals
    Reload {
        /// As `jail ps` lists them
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Look at all files that running jails have copies of, and replace those that differ
    Refresh {
        /// As `jail ps` lists them
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Send a signal to the program of a running jail
    Signal {
        /// As `jail ps` lists it
        name: String,
        /// A name or a number
        signal: String,
    },
    /// Print a systemd unit that runs a jail; without a spec, the template jail@.service
    #[command(after_help = systemd::HELP)]
    Systemd(systemd::Systemd),
    /// List the specs that can be run by name
    Specs {
        /// Also the building blocks that specs include
        #[arg(long)]
        blocks: bool,
    },
    /// Explain a topic: spec, a KEY, @group, phases, capabilities, or a command
    Help {
        /// What to explain
        topic: Option<String>,
    },
    /// Print the completions for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual page (roff)
    Man,
}

/// Which jail: a spec, flags, or both.
#[derive(Clone, PartialEq, Eq, Debug, Default, Args)]
pub struct Target {
    /// A spec file, or a name as `jail specs` lists them; without one the flags say it all
    #[arg(value_name = "FILE|NAME", value_hint = ValueHint::AnyPath)]
    pub spec: Option<String>,
    /// Merged over the spec.
    #[command(flatten)]
    pub flags: Flags,
    /// The program and its arguments, in place of the spec's command
    #[arg(last = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<String>,
}

/// A spec, or a part of one, as flags.
#[derive(Clone, PartialEq, Eq, Debug, Default, Args)]
pub struct Flags {
    /// User to run as: a name, a number, or `auto`
    #[arg(short, long, value_name = "USER", value_hint = ValueHint::Username)]
    pub user: Option<String>,
    /// Group to run as: a name or a number
    #[arg(short, long, value_name = "GROUP")]
    pub group: Option<String>,
    /// Show a host path read-only
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub read: Vec<String>,
    /// Show a host path writable
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub write: Vec<String>,
    /// An empty, bounded memory file system
    #[arg(long, value_name = "PATH")]
    pub tmpfs: Vec<String>,
    /// Show a host path writable, there or elsewhere
    #[arg(short, long, value_name = "SRC[:DST]", value_hint = ValueHint::AnyPath)]
    pub bind: Vec<String>,
    /// Show a host path read-only, there or elsewhere
    #[arg(long, value_name = "SRC[:DST]", value_hint = ValueHint::AnyPath)]
    pub robind: Vec<String>,
    /// Make / of this host directory, read-only, rather than of nothing
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub root: Option<String>,
    /// The host's network, or none but loopback
    #[arg(long, value_name = "MODE")]
    pub net: Option<Net>,
    /// Keep a capability (`jail help capabilities`)
    #[arg(long, value_name = "NAME")]
    pub cap: Vec<String>,
    /// Set a variable, or keep the caller's
    #[arg(short, long, value_name = "K[=V]")]
    pub env: Vec<String>,
    /// Working directory inside
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<String>,
    /// `run`: keep the number of the outer process in this file while the program runs
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub pid_file: Option<String>,
    /// Give it a terminal of its own if this is run on one (the key `terminal`)
    #[arg(long)]
    pub pty: bool,
    /// Name of the jail (default: the spec's, or the program's)
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Allow more system calls: @group, a call, or -call to refuse one
    #[arg(long, value_name = "CALLS", allow_hyphen_values = true)]
    pub system_calls: Vec<String>,
    /// Do not make this namespace
    #[arg(long, value_name = "NS")]
    pub share: Vec<Share>,
    /// Give up a promise by name
    #[arg(long, value_name = "FEATURE", value_parser = features())]
    pub without: Vec<Feature>,
}

/// `--net`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Net {
    /// The host's network
    Host,
    /// Nothing but loopback
    None,
}

/// `--share`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Share {
    /// Process ids: the program is executed in place, no helper stays
    Pid,
    /// System V IPC and POSIX message queues
    Ipc,
    /// Host name
    Uts,
    /// cgroup root
    Cgroup,
}

impl Share {
    /// As in `share-namespaces`.
    pub fn name(self) -> &'static str {
        match self {
            Share::Pid => "pid",
            Share::Ipc => "ipc",
            Share::Uts => "uts",
            Share::Cgroup => "cgroup",
        }
    }
}

/// Shells that completions are made for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Shell {
    /// GNU bash
    Bash,
    /// fish
    Fish,
    /// Z shell
    Zsh,
}

/// Why there is nothing to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stop {
    /// Help or the version was asked for: standard output, success.
    Print(String),
    /// The command line is wrong.
    Wrong(Problems),
}

/// The top level as clap sees it: the subcommands, and `--spec` as the short form of `run`.
#[derive(Clone, PartialEq, Eq, Debug, Parser)]
#[command(
    name = "jail",
    version,
    about = "Runs a server in its own small world made of the host's own files",
    override_usage = "jail [OPTIONS] --spec FILE|NAME [-- COMMAND...]\n       jail [OPTIONS] ACTION ...",
    subcommand_value_name = "ACTION",
    subcommand_help_heading = "Actions",
    disable_help_subcommand = true,
    after_help = format!("{EXAMPLES}\n\n{EXIT_STATUS}")
)]
struct Top {
    /// Say more on standard error: -v what is done, -vv every detail (or JAIL_LOG=FILTER)
    #[arg(short, long, action = clap::ArgAction::Count, global = true, display_order = 100)]
    verbose: u8,
    /// Run this spec: the same as `jail run FILE|NAME`
    #[arg(long, value_name = "FILE|NAME", value_hint = ValueHint::AnyPath)]
    spec: Option<String>,
    #[command(flatten)]
    flags: Flags,
    /// The program and its arguments, in place of the spec's command
    #[arg(last = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    command: Vec<String>,
    #[command(subcommand)]
    action: Option<Action>,
}

/// The command line as UTF-8 words, without the program's own name.
///
/// # Errors
/// A word that is not UTF-8: neither a spec nor a message could hold it faithfully.
pub fn words(arguments: impl IntoIterator<Item = OsString>) -> Result<Vec<String>, Problems> {
    let word = |argument: OsString| argument.into_string().map_err(not_utf8);
    arguments.into_iter().skip(1).map(word).collect()
}

/// Parses the words after the program's name.
///
/// # Errors
/// Help or version as text, or what is wrong.
pub fn parse(words: &[String]) -> Result<Cli, Stop> {
    fast(words).map_or_else(|| thorough(words), Ok)
}

/// The parser's own description of itself, for help and for the generated files.
pub fn command() -> clap::Command {
    Top::command()
}

fn not_utf8(word: OsString) -> Problems {
    Problem::usage(format!("the argument {word:?} is not UTF-8"))
        .help("paths and words that are not UTF-8 cannot be used; rename the file, or link to it")
        .into()
}

/// `--spec X` and `run X`, alone or followed by `--`: exactly as [`thorough`] takes them, without
/// the tenth of a millisecond that clap costs.
fn fast(words: &[String]) -> Option<Cli> {
    let [first, spec, rest @ ..] = words else {
        return None;
    };
    if !matches!(first.as_str(), "--spec" | "run") || spec.is_empty() || spec.starts_with('-') {
        return None;
    }
    let command = match rest {
        [] => &[],
        [dashes, command @ ..] if dashes == "--" => command,
        _ => return None,
    };
    let target = Target { spec: Some(spec.clone()), flags: Flags::default(), command: command.to_vec() };
    Some(Cli { verbose: 0, action: Some(Action::Run(target)) })
}

/// Everything, by clap.
fn thorough(words: &[String]) -> Result<Cli, Stop> {
    let named = std::iter::once("jail").chain(words.iter().map(String::as_str));
    let Top { verbose, spec, flags, command, action } =
        Top::try_parse_from(named).map_err(|error| stop(&error, words))?;
    let target = Target { spec, flags, command };
    let action = match action {
        None if target == Target::default() => None,
        None => Some(Action::Run(target)),
        Some(action) if target == Target::default() => Some(action),
        Some(_) => {
            let problem =
                Problem::usage("flags of a jail stand before the action, where they have no meaning");
            let problem = problem.help("write them after it: jail run NAME --env K=V");
            return Err(Stop::Wrong(problem.into()));
        }
    };
    Ok(Cli { verbose, action })
}

/// clap's error as ours: its first paragraph, its tips, its usage line.
fn stop(error: &clap::Error, words: &[String]) -> Stop {
    let text = error.to_string();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return Stop::Print(text);
    }
    if let (ErrorKind::UnknownArgument, Some(ContextValue::String(word))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
        && !word.starts_with('-')
    {
        return Stop::Wrong(stray(word, words).into());
    }
    let mut paragraphs = text.split("\n\n");
    let first = paragraphs.next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let what = first.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let mut problem = Problem::usage(what);
    for line in paragraphs.flat_map(str::lines).map(str::trim) {
        if let Some(tip) = line.strip_prefix("tip: ") {
            problem = problem.help(tip);
        } else if let Some(usage) = line.strip_prefix("Usage: ") {
            problem = problem.help(format!("usage: {usage}"));
        }
    }
    if problem.help.is_empty() {
        problem = problem.help("`jail --help` and `jail help run` show how it is written");
    }
    Stop::Wrong(problem.into())
}

/// A bare word where none may stand: a mistyped action, a spec without `run`, a command without `--`.
fn stray(word: &str, words: &[String]) -> Problem {
    let command = command();
    let actions: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
    let after_action = words.iter().take_while(|w| *w != word).any(|w| actions.contains(&w.as_str()));
    if after_action {
        return Problem::usage(format!("unexpected argument {word:?}"))
            .help("the program and its arguments stand after `--`");
    }
    let problem = Problem::usage(format!("there is no action {word:?}"));
    let problem = match did_you_mean(word, actions) {
        Some(near) => problem.help(format!("did you mean `jail {near}`?")),
        None => problem,
    };
    problem.help(format!("to run a spec: jail run {word}"))
}

fn features() -> impl TypedValueParser<Value = Feature> {
    let value = |feature: &Feature| PossibleValue::new(feature.name()).help(feature.doc());
    PossibleValuesParser::new(Feature::ALL.iter().map(value)).try_map(|name| {
        let found = Feature::ALL.iter().find(|feature| feature.name() == name);
        found.copied().ok_or("there is no such promise")
    })
}
