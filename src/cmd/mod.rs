//! The commands: glue between the stages, one short file each.
//!
//! Must not know: how anything is done, only in which order it is asked for.

mod audit;
mod capabilities;
mod check;
mod docs;
mod exec;
mod help;
mod limit;
pub mod output;
mod page;
mod ps;
mod refresh;
mod run;
mod specs;
mod stop;
mod systemd;
mod top;
mod verify;

use crate::cli::{self, Action, Cli, Target};
use crate::plan::Plan;
use crate::plan::print;
use crate::problem::{Problem, Problems, Sources};
use crate::record::Request;
use crate::spec::load::{Loaded, Trust};
use crate::spec::{Spec, load, merge};
use crate::{host, jail, plan};
use log::debug;
use std::time::Duration;

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
    if let Some(Action::Plan { target, .. } | Action::Verify { target, .. }) = &cli.action
        && target.flags.pid_file.is_some()
    {
        let problem = Problem::usage("--pid-file has a meaning for `jail run` alone");
        return Err(problem.help("leave it out: nothing stays to be found by it").into());
    }
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
        Some(Action::Systemd(wanted)) => return systemd::systemd(wanted, sources),
        Some(Action::Plan { json, target }) => {
            let plan = make_plan(target, words, sources)?;
            if *json {
                print::json(&plan, sources)
            } else {
                print::text(&plan, sources, output::paint(&std::io::stdout()))
            }
        }
        Some(Action::Ps { json, stale }) => return ps::ps(*json, *stale),
        Some(Action::Stop { timeout, names }) => {
            return stop::stop(names, timeout.map(|s| Duration::from_secs(s.into())));
        }
        Some(Action::Exec { root, host_tools, name, command }) => {
            let wanted = exec::Wanted { root: *root, host_tools: *host_tools, command };
            return exec::exec(name, &wanted, sources);
        }
        Some(Action::Limit(limit)) => return limit::limit(limit, words, sources),
        Some(Action::Top { every }) => return top::top(Duration::from_secs((*every).into())),
        Some(Action::Reload { names }) => return stop::reload(names),
        Some(Action::Refresh { names }) => return refresh::refresh(names, sources),
        Some(Action::Signal { name, signal }) => return stop::signal(name, signal),
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
    make_plan_and_request(target, words, sources).map(|(plan, _)| plan)
}

/// The same, with what would make it again.
fn make_plan_and_request(
    target: &Target,
    words: &[String],
    sources: &mut Sources,
) -> Result<(Plan, Request), Problems> {
    let (base, layers) = match load_target(target, sources)? {
        Some(loaded) => (Some((loaded.name, loaded.spec)), loaded.layers),
        None => (None, Vec::new()),
    };
    let directory = std::env::current_dir().ok().and_then(|d| d.into_os_string().into_string().ok());
    let request = Request { words: words.to_owned(), directory: directory.unwrap_or_default(), layers };
    plan_of(target, base, &request, sources).map(|plan| (plan, request))
}

/// Which jail the words of a record asked for.
fn target_of(words: &[String]) -> Option<Target> {
    match cli::parse(words).ok()?.action? {
        Action::Run(target) => Some(target),
        _ => None,
    }
}

/// The plan of a spec, by name, with what the request's flags and command lay over it.
fn plan_of(
    target: &Target,
    base: Option<(String, Spec)>,
    request: &Request,
    sources: &mut Sources,
) -> Result<Plan, Problems> {
    let (name, spec) = adjusted(target, base, request, sources)?;
    let questions = jail::ask::ask(&spec, &name);
    let facts = host::answer(&questions)?;
    let jail = jail::resolve::resolve(&name, &spec, &facts, &target.flags.without)?;
    let plan = plan::build::build(&jail);
    debug!("{name}: {} steps, Linux {}.{}", plan.steps.len(), facts.kernel.version.0, facts.kernel.version.1);
    Ok(plan)
}

/// The spec that the command line names, if it does.
fn load_target(target: &Target, sources: &mut Sources) -> Result<Option<Loaded>, Problems> {
    if *target == Target::default() {
        let problem = Problem::usage("nothing to run: neither a spec nor a command is named");
        return Err(problem
            .help("jail run NAME (`jail specs` lists them), or jail run FLAGS -- COMMAND")
            .into());
    }
    let Some(wanted) = &target.spec else { return Ok(None) };
    let loaded = load::load(wanted, trust(), sources)?;
    debug!("{}: spec {}", loaded.name, loaded.place);
    Ok(Some(loaded))
}

/// The spec with the flags and the command over it, and the jail's name.
fn adjusted(
    target: &Target,
    base: Option<(String, Spec)>,
    request: &Request,
    sources: &mut Sources,
) -> Result<(String, Spec), Problems> {
    let Target { flags, command, .. } = target;
    let name = cli::flags::name(flags, base.as_ref().map(|(name, _)| name.as_str()), command)?;
    let base = base.map(|(_, spec)| spec).unwrap_or_default();
    let only_spec = command.is_empty() && *flags == cli::Flags::default();
    if only_spec {
        return Ok((name, base));
    }
    let mut over = cli::flags::spec(flags, command, &request.words, sources)?;
    if !request.directory.is_empty() {
        cli::flags::from_directory(&mut over, &request.directory);
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
