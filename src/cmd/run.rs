//! `jail run`: a plan carried out, and its end made ours.

use super::{Ended, make_plan, make_plan_and_request, output};
use crate::apply::{Failure, explain};
use crate::cli::Target;
use crate::host::{self, diagnose, ports};
use crate::jail::path::AbsPath;
use crate::jail::resolve::Feature;
use crate::plan::{Plan, Step};
use crate::problem::{Kind, Problem, Problems, Sources};
use crate::record::Record;
use crate::registry::{Claim, Registry, Wanted};
use crate::serve::{self, Outcome, PidFile, Registration, Stopped};
use nix::errno::Errno;

/// Runs the program and ends as it ended.
pub fn run(target: &Target, words: &[String], sources: &mut Sources) -> Result<Ended, Problems> {
    let (plan, request) = make_plan_and_request(target, words, sources)?;
    let held = match serve::hold(&plan) {
        Ok(held) => held,
        Err(stopped) => return ended(&plan, Err(stopped), sources),
    };
    let pid_file = target.flags.pid_file.as_deref().map(|path| pid_file(path, &plan)).transpose()?;
    let claim = claim(target, &plan)?;
    let registration = claim.as_ref().map(|claim| {
        let record = Record::of(&plan, &claim.name, request);
        Registration { claim, record }
    });
    let outcome = match serve::start(&plan, held, registration, pid_file) {
        Ok(running) => {
            // A jail may run for years: what starting it needed is given back.
            drop(plan);
            sources.0 = Vec::new();
            running.attend()
        }
        Err(stopped) => {
            release(claim);
            return ended(&plan, Err(stopped), sources);
        }
    };
    release(claim);
    if not_found(outcome)
        && let Ok(plan) = make_plan(target, words, sources)
    {
        hint(&plan, sources);
    }
    how(outcome)
}

/// 127 may be the dynamic loader's own exit status, when a library is not in the jail.
fn not_found(outcome: Result<Outcome, Stopped>) -> bool {
    outcome == Ok(Outcome::Exited(Kind::NotFound.code().into()))
}

fn release(claim: Option<Claim>) {
    if let Some(claim) = claim {
        claim.release();
    }
}

/// The name under which this jail is recorded. A service has its name for itself; a command that is
/// run in its place takes one like it, if the service runs at the same time.
fn claim(target: &Target, plan: &Plan) -> Result<Option<Claim>, Problems> {
    if target.flags.without.contains(&Feature::Record) {
        return Ok(None);
    }
    let Some(registry) = Registry::of_caller() else {
        log::debug!("not recorded: XDG_RUNTIME_DIR is not set");
        return Ok(None);
    };
    let named = target.flags.name.is_some() || target.command.is_empty();
    let wanted = if named { Wanted::Exactly } else { Wanted::Like };
    Ok(Some(registry.claim(&plan.name, wanted)?))
}

/// Where the pid file goes: whoever reads it, perhaps to send signals as root, believes it.
fn pid_file(path: &str, plan: &Plan) -> Result<PidFile, Problem> {
    if !plan.supervision.pid_namespace {
        let problem = Problem::usage("--pid-file needs a process that stays to remove it");
        return Err(
            problem.help("with a shared pid namespace the program takes jail's own place, and its number")
        );
    }
    let absolute = std::path::absolute(path).ok().and_then(|path| path.into_os_string().into_string().ok());
    let absolute = absolute.filter(|_| !path.ends_with('/')).and_then(|path| AbsPath::new(&path).ok());
    let Some(place) = absolute.filter(|place| *place != AbsPath::root()) else {
        return Err(Problem::usage(format!("{path:?} cannot be a pid file")).help("name a file, new or old"));
    };
    let directory = place.parent().unwrap_or_else(AbsPath::root);
    match host::open_to_others(&directory, nix::unistd::geteuid().as_raw()) {
        Ok(None) => PidFile::prepare(&place).map_err(|errno| unwritten(&place, errno)),
        Ok(Some(open)) => Err(Problem::set_up(format!(
            "the pid file {place} could not be trusted: others may write to {open}"
        ))
        .help("name a file in a directory that nobody else may write to, such as /run")),
        Err(stop) => Err(unwritten(&place, Errno::from_raw(stop.errno))),
    }
}

fn unwritten(path: &AbsPath, errno: Errno) -> Problem {
    let problem = Problem::set_up(format!("cannot write the pid file {path}: {}", errno.desc()));
    match errno {
        Errno::ELOOP => problem.help("a symbolic link is there, which is not followed: remove it"),
        _ => problem.help("name a file in a directory that is there and that you may write to"),
    }
}

/// How `jail` ends for a program that has ended so, or was never started.
pub fn ended(
    plan: &Plan,
    outcome: Result<Outcome, Stopped>,
    sources: &mut Sources,
) -> Result<Ended, Problems> {
    ended_in(plan, plan, outcome, sources)
}

/// The same for a command that has joined the jail of another plan, which says what is in it.
pub fn ended_in(
    plan: &Plan,
    jail: &Plan,
    outcome: Result<Outcome, Stopped>,
    sources: &mut Sources,
) -> Result<Ended, Problems> {
    if not_found(outcome) {
        hint(jail, sources);
    }
    match outcome {
        Err(Stopped::Step(failure)) => Err(explained(plan, jail, failure).into()),
        other => how(other),
    }
}

/// The same without its plan, once the program was started.
fn how(outcome: Result<Outcome, Stopped>) -> Result<Ended, Problems> {
    match outcome {
        // The kernel passes on the low byte alone, so nothing is lost.
        Ok(Outcome::Exited(code)) => Ok(Ended::Code(code.to_le_bytes()[0])),
        Ok(Outcome::Signaled(number)) => Ok(Ended::Signal(number)),
        Err(Stopped::Step(failure)) => {
            Err(Problem::set_up(format!("step {} of the start failed", failure.step + 1)).into())
        }
        Err(Stopped::Vanished) => {
            Err(Problem::set_up("the jail's first process was killed before the program started").into())
        }
        Err(Stopped::Outer(errno)) => Err(Problem::set_up(format!(
            "jail cannot give up its own capabilities: {}; the program was ended at once",
            errno.desc()
        ))
        .into()),
        Err(Stopped::Unrecorded(errno)) => Err(Problem::set_up(format!(
            "cannot record the running jail: {}; the program was ended at once",
            errno.desc()
        ))
        .help("--without record runs it unrecorded: `jail ps`, `stop` and `exec` will not find it")
        .into()),
        Err(Stopped::Init(errno)) => {
            Err(Problem::set_up(format!("cannot execute the jail's pid 1: {}", errno.desc()))
                .help("the program was ended at once; is the sysctl vm.memfd_noexec set to 2?")
                .into())
        }
    }
}

/// The message for a failed step; for the last one, with what the program lacks, and for an address
/// in use, with who has it.
fn explained(plan: &Plan, jail: &Plan, failure: Failure) -> Problem {
    let mut problem = explain::problem(plan, failure);
    match plan.steps.get(failure.step).map(|p| &p.step) {
        Some(Step::Execute { .. }) => problem.help.extend(diagnose::why(jail)),
        Some(Step::Listen { socket, .. }) if failure.errno == Errno::EADDRINUSE as i32 => {
            problem.help.push(match ports::holder(&socket.endpoint) {
                Some(process) => format!("{process} has it: stop that, or listen elsewhere"),
                None => {
                    "another process has it (as root, `ss -lntupx` shows which): stop that, or listen elsewhere"
                        .into()
                }
            });
        }
        _ => {}
    }
    problem
}

/// Says what the program lacks, if anything.
#[cold]
fn hint(plan: &Plan, sources: &Sources) {
    let help = diagnose::why(plan);
    if !help.is_empty() {
        let mut problem = Problem::new(Kind::NotFound, "the program ended with status 127");
        problem.help = help;
        output::report(&problem.into(), sources);
    }
}
