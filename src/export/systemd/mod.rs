//! Units of systemd: a service that runs a jail, the template for all of them, and the socket unit
//! of a jail that listens (systemd.service(5), systemd.exec(5), systemd.socket(5); systemd 247).
//!
//! What a spec says is not said again in its unit. The unit is about the outer process, and holds
//! as little of the spec as it can, so that a change there seldom needs a new unit. Must not know:
//! where a unit is written to.
#![forbid(unsafe_code)]

mod hardening;
mod socket;
#[cfg(test)]
mod tests;

pub use socket::socket;

use crate::jail::path::AbsPath;
use crate::plan::{Plan, Step};
use core::fmt::Write as _;

/// The first line of every unit that is made here: what has it may be replaced.
pub const MARK: &str = "# Made by `jail systemd`.";

/// When a service counts as started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Type {
    /// Once jail is executed.
    #[default]
    Exec,
    /// At once.
    Simple,
    /// When the program says so (sd_notify(3)).
    Notify,
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Type::Exec => "exec",
            Type::Simple => "simple",
            Type::Notify => "notify",
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Type::Exec => {
                "Started once jail is executed. A program that speaks sd_notify(3) can do better:\n\
                 `--type notify`."
            }
            Type::Simple => "Started at once, before it is known whether jail can be executed.",
            Type::Notify => {
                "The program says when it is ready; jail passes it on, so that it comes from there."
            }
        }
    }
}

/// What a unit is made of besides the plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// The jail binary, absolute.
    pub binary: String,
    /// `jail run` is given this: a name or an absolute path.
    pub spec: String,
    /// Further words, such as `--without landlock`.
    pub flags: Vec<String>,
    /// The spec's own description.
    pub description: Option<String>,
    /// When it counts as started.
    pub kind: Type,
}

/// A unit's text: sections, and lines each with the reason why it is there.
#[derive(Default)]
struct Unit(String);

impl Unit {
    /// The mark, and what the reader should know.
    fn new(head: &str) -> Self {
        let mut unit = Unit(format!("{MARK}\n"));
        unit.comment(head);
        unit
    }

    fn section(&mut self, name: &str) {
        self.push(format_args!("\n[{name}]\n"));
    }

    fn comment(&mut self, text: &str) {
        for line in text.lines() {
            self.push(format_args!("# {line}\n"));
        }
    }

    /// Settings with the one reason for all of them.
    fn set(&mut self, reason: &str, lines: &[(&str, &str)]) {
        self.comment(reason);
        for (key, value) in lines {
            self.push(format_args!("{key}={value}\n"));
        }
    }

    fn push(&mut self, text: core::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        self.0.write_fmt(text).unwrap_or_default();
    }
}

/// The name of a jail's unit, without its ending.
pub fn unit_name(jail: &str) -> String {
    format!("jail-{jail}")
}

/// The service unit of one jail.
pub fn service(plan: &Plan, wanted: &Wanted) -> String {
    let mut unit = Unit::new(
        "To be made again when the spec changes in: stop-signal, stop-timeout, mode, listen, capabilities,\n\
         system-calls, socket-families, dev, or paths below /etc, /usr, /home, /root, /tmp. All else is read\n\
         at each start. User, limits and the rest of [process] belong into the spec: here they would be\n\
         jail's own.",
    );
    unit.section("Unit");
    let description = wanted.description.clone().unwrap_or_else(|| format!("{} in a jail", plan.name));
    let documentation = "man:jail(1)";
    unit.set("", &[("Description", &plain(&description)), ("Documentation", documentation)]);
    if on_network(plan) {
        unit.set(NETWORK, &[("Wants", "network-online.target"), ("After", ONLINE)]);
    }
    let mounts = sources(plan);
    if !mounts.is_empty() {
        let reason = "What it shows must be mounted before.";
        unit.set(reason, &[("RequiresMountsFor", &words(mounts.iter().map(|p| p.as_str())))]);
    }
    unit.section("Service");
    let command =
        [&wanted.binary, "run", &wanted.spec].into_iter().chain(wanted.flags.iter().map(String::as_str));
    unit.set(wanted.kind.reason(), &[("Type", wanted.kind.name())]);
    unit.set("", &[("ExecStart", &words(command))]);
    ending(&mut unit, plan);
    unit.set("In the journal under the jail's name.", &[("SyslogIdentifier", &plain(&plan.name))]);
    if socket::non_blocking(plan) {
        unit.set("`non-blocking` of `listen`: for the sockets of a socket unit.", &[("NonBlocking", "yes")]);
    }
    hardening::harden(&mut unit, Some(plan), &wanted.binary);
    install(&mut unit);
    unit.0
}

/// `jail@.service`: for every spec that is found by name. `binary` is jail itself, absolute.
pub fn template(binary: &str) -> String {
    let mut unit = Unit::new(
        "jail@NAME.service runs the spec NAME: systemctl enable --now jail@nginx\n\
         `jail systemd NAME` makes a unit that is tighter, and fits the spec: stop-signal, stop-timeout,\n\
         capabilities. For one jail: systemctl edit jail@NAME",
    );
    unit.section("Unit");
    unit.set("", &[("Description", "%i in a jail"), ("Documentation", "man:jail(1)")]);
    unit.set(NETWORK, &[("Wants", "network-online.target"), ("After", ONLINE)]);
    unit.section("Service");
    unit.set(
        "Started once jail is executed. For a program that speaks sd_notify(3): Type=notify",
        &[("Type", Type::Exec.name())],
    );
    unit.set("", &[("ExecStart", &format!("{} run %i", word(binary)))]);
    outer_process(&mut unit);
    unit.set(
        "jail kills the program after its own stop-timeout, 30 s unless the spec says so. A longer one\n\
         needs more here.",
        &[("TimeoutStopSec", "40")],
    );
    restart(&mut unit);
    unit.set("In the journal under the jail's name.", &[("SyslogIdentifier", "%i")]);
    hardening::harden(&mut unit, None, binary);
    install(&mut unit);
    unit.0
}

const NETWORK: &str = "Names are resolved, and addresses are there to be bound.";
const ONLINE: &str = "network-online.target nss-lookup.target";

fn install(unit: &mut Unit) {
    unit.section("Install");
    unit.set("", &[("WantedBy", "multi-user.target")]);
}

/// How it is reloaded and stopped, and when it is started again.
fn ending(unit: &mut Unit, plan: &Plan) {
    let rules = plan.supervision;
    if rules.pid_namespace {
        outer_process(unit);
    } else {
        let (reload, stop) =
            (format!("kill -{} $MAINPID", rules.reload_signal), rules.stop_signal.to_string());
        unit.set(
            "The program is executed in place of jail (share-namespaces): signals go to it directly.",
            &[("ExecReload", &reload), ("KillMode", "mixed"), ("KillSignal", &stop)],
        );
    }
    let seconds = rules.stop_timeout.div_ceil(1000);
    let timeout = match seconds {
        0 => "infinity".to_owned(),
        seconds if rules.pid_namespace => (seconds + 5).to_string(),
        seconds => seconds.to_string(),
    };
    unit.set(
        "Longer than stop-timeout, after which jail itself ends the program.",
        &[("TimeoutStopSec", &timeout)],
    );
    // What systemd itself takes for a clean end (systemd.service(5), SuccessExitStatus=).
    let clean = ["HUP", "INT", "PIPE", "TERM"].iter().filter_map(|n| crate::jail::signals::number(n));
    if !clean.into_iter().any(|number| number == rules.stop_signal) {
        let signal = match crate::jail::signals::name(rules.stop_signal) {
            named if named.starts_with("SIG") => named,
            _ => rules.stop_signal.to_string(),
        };
        unit.set("To end by its stop-signal is no failure.", &[("SuccessExitStatus", &signal)]);
    }
    restart(unit);
}

fn outer_process(unit: &mut Unit) {
    unit.set(
        "HUP and TERM to the outer process become reload-signal and stop-signal. To it alone (mixed): the\n\
         program gets them once. Whatever is left in the end is killed.",
        &[("ExecReload", "kill -HUP $MAINPID"), ("KillMode", "mixed"), ("KillSignal", "SIGTERM")],
    );
}

fn restart(unit: &mut Unit) {
    unit.set(
        "Exit status and death by signal are the program's. A mistake in the spec stays one: after five\n\
         starts in ten seconds systemd gives up.",
        &[("Restart", "on-failure"), ("RestartSec", "1")],
    );
}

/// Whether anything in it is reached by the host's network, or reaches out.
fn on_network(plan: &Plan) -> bool {
    let own = |step: &Step| matches!(step, Step::LoopbackUp);
    let listens = |step: &Step| matches!(step, Step::Listen { .. });
    let steps = || plan.steps.iter().map(|planned| &planned.step);
    !steps().any(own) || steps().any(listens)
}

/// What it shows of the host, without what is there before any service starts.
fn sources(plan: &Plan) -> Vec<AbsPath> {
    let early = |path: &AbsPath| {
        ["usr", "etc", "dev", "run", "tmp"].iter().any(|top| path.components().next() == Some(*top))
    };
    let mut found: Vec<AbsPath> = shown(plan).filter(|path| !early(path)).cloned().collect();
    found.sort();
    found.dedup();
    found
}

/// Every path of the host that the plan opens or makes.
fn shown(plan: &Plan) -> impl Iterator<Item = &AbsPath> {
    plan.steps.iter().filter_map(|planned| match &planned.step {
        Step::OpenTree { source, .. } | Step::OpenFile { source, .. } => Some(source),
        Step::CreateDirectory { path, .. } => Some(path),
        _ => None,
    })
}

/// Words of a command line or list (systemd.service(5), "Command lines").
fn words<'a>(list: impl IntoIterator<Item = &'a str>) -> String {
    list.into_iter().map(word).collect::<Vec<_>>().join(" ")
}

/// One word: quoted where it has to be; `%` is no specifier and `$` no variable.
fn word(text: &str) -> String {
    let text = text.replace('%', "%%").replace('$', "$$");
    let safe = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-$".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        return text;
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => quoted.extend(format!("\\x{:02x}", u32::from(c)).chars()),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// Text of a single line, with no specifier in it.
fn plain(text: &str) -> String {
    let one_line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    one_line.trim_end_matches('\\').replace('%', "%%")
}
