//! The commands: glue between the stages, one short file each.
//!
//! Must not know: how anything is done, only in which order it is asked for.

mod audit;
mod capabilities;
mod check;
mod docs;
mod help;
pub mod output;
mod page;
mod run;
mod specs;
mod verify;

use crate::cli::{self, Action, Cli, Target};
use crate::plan::Plan;
use crate::plan::print;
use crate::problem::{Problem, Problems, Sources};
use crate::spec::load::Trust;
use crate::spec::{Spec, load, merge};
use crate::{host, jail, plan};
use log::debug;

/// How `jail` ends when nothing went wrong on its own side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// With this exit status.
    Code(u8),
    /// By this signal, as its program.
    Signal(i32),
}

impl Ended {
    /// All is well.
    pub const SUCCESS: Ended = Ended::Code(0);
}

/// Does what the command line, parsed from `words`, says. Every text that was read is in `sources`
/// afterwards.
///
/// # Errors
/// All problems of the first stage that had any.
pub fn dispatch(cli: &Cli, words: &[String], sources: &mut Sources) -> Result<Ended, Problems> {
    match &cli.action {
        Some(Action::Run(target)) => run::run(target, words, sources),
        _ => tell(cli, words, sources),
    }
}

/// What ends soon. Not inlined: its frame would be part of every running jail's stack.
#[inline(never)]
fn tell(cli: &Cli, words: &[String], sources: &mut Sources) -> Result<Ended, Problems> {
    let text = match &cli.action {
        None => {
            output::complain(cli::SHORT_HELP);
            return Ok(Ended::Code(2));
        }
        Some(Action::Run(target)) => return run::run(target, words, sources),
        Some(Action::Verify { json, strict, target }) => {
            return verify::verify(target, *json, *strict, words, sources);
        }
        Some(Action::Check { specs }) => return check::check(specs, sources),
        Some(Action::Audit { json, threshold, html, without, specs }) => {
            let wanted = audit::Wanted { json: *json, threshold: *threshold, html: html.as_deref(), without };
            return audit::audit(specs, &wanted, sources);
        }
        Some(Action::Plan { json, target }) => {
            let plan = make_plan(target, words, sources)?;
            if *json {
                print::json(&plan, sources)
            } else {
                print::text(&plan, sources, output::paint(&std::io::stdout()))
            }
        }
        Some(Action::Specs { blocks }) => specs::table(*blocks),
        Some(Action::Help { topic }) => help::help(topic.as_deref())?,
        Some(Action::Completions { shell }) => docs::completions(*shell).to_owned(),
        Some(Action::Man) => docs::MAN.to_owned(),
    };
    output::print(&text)?;
    Ok(Ended::SUCCESS)
}

/// From a spec, flags, or both, to the plan. Reads, and changes nothing.
fn make_plan(target: &Target, words: &[String], sources: &mut Sources) -> Result<Plan, Problems> {
    let (name, spec) = read_target(target, words, sources)?;
    let questions = jail::ask::ask(&spec, &name);
    let facts = host::answer(&questions)?;
    let jail = jail::resolve::resolve(&name, &spec, &facts, &target.flags.without)?;
    let plan = plan::build::build(&jail);
    debug!("{name}: {} steps, Linux {}.{}", plan.steps.len(), facts.kernel.version.0, facts.kernel.version.1);
    Ok(plan)
}

/// The spec with the flags and the command over it, and the jail's name.
fn read_target(target: &Target, words: &[String], sources: &mut Sources) -> Result<(String, Spec), Problems> {
    let Target { spec: wanted, flags, command } = target;
    if *target == Target::default() {
        let problem = Problem::usage("nothing to run: neither a spec nor a command is named");
        return Err(problem
            .help("jail run NAME (`jail specs` lists them), or jail run FLAGS -- COMMAND")
            .into());
    }
    let loaded = match wanted {
        Some(wanted) => Some(load::load(wanted, trust(), sources)?),
        None => None,
    };
    let name = cli::flags::name(flags, loaded.as_ref().map(|l| l.name.as_str()), command)?;
    let base = match loaded {
        Some(loaded) => {
            debug!("{name}: spec {}", loaded.place);
            loaded.spec
        }
        None => Spec::default(),
    };
    let only_spec = command.is_empty() && *flags == cli::Flags::default();
    if only_spec {
        return Ok((name, base));
    }
    let mut over = cli::flags::spec(flags, command, words, sources)?;
    if let Some(directory) = std::env::current_dir().ok().and_then(|d| d.into_os_string().into_string().ok())
    {
        cli::flags::from_directory(&mut over, &directory);
    }
    Ok((name, merge::adjust(base, over)))
}

/// Whose spec files are believed: what root runs must not be writable by others.
fn trust() -> Trust {
    match nix::unistd::geteuid() {
        root if root.is_root() => Trust::Root,
        user => Trust::User(user.as_raw()),
    }
}
