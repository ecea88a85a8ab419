//! `jail help TOPIC`: the tables that the program itself works by, as text.

use super::capabilities::CAPABILITIES;
use super::output::columns;
use crate::plan::PHASES;
use crate::problem::{Problem, Problems, did_you_mean};
use crate::spec::keys;
use crate::{cli, seccomp};

/// Topics that are not names of something else.
const TOPICS: &[&str] = &["spec", "phases", "capabilities"];

/// The text for a topic; without one, the overview.
///
/// # Errors
/// There is no such topic.
pub fn help(topic: Option<&str>) -> Result<String, Problems> {
    let Some(topic) = topic else {
        return Ok(cli::command().render_help().to_string());
    };
    let text = match topic {
        "spec" => Some(keys::help_all()),
        "phases" => Some(phases()),
        "capabilities" => Some(capabilities()),
        _ if topic.starts_with('@') => group(topic),
        _ => command(topic).or_else(|| keys::help_key(topic)),
    };
    text.ok_or_else(|| unknown(topic).into())
}

fn phases() -> String {
    let rows: Vec<Vec<String>> =
        PHASES.iter().map(|(_, name, reason)| vec![(*name).into(), (*reason).into()]).collect();
    format!("The start of a jail, in order, and why there:\n\n{}", columns(&rows))
}

fn capabilities() -> String {
    let rows: Vec<Vec<String>> =
        CAPABILITIES.iter().map(|(name, doc)| vec![(*name).into(), (*doc).into()]).collect();
    format!(
        "Capabilities, for `capabilities` of [privileges] and --cap; a jail has none by default:\n\n{}",
        columns(&rows)
    )
}

fn group(name: &str) -> Option<String> {
    seccomp::groups().iter().find(|group| group.name == name).map(seccomp::describe)
}

/// A subcommand's help, by clap.
fn command(name: &str) -> Option<String> {
    let mut command = cli::command();
    command.build();
    command.find_subcommand_mut(name).map(|found| found.render_help().to_string())
}

fn unknown(topic: &str) -> Problem {
    let command = cli::command();
    let commands = command.get_subcommands().map(|c| c.get_name());
    let groups = seccomp::groups().iter().map(|group| group.name);
    let known = TOPICS.iter().copied().chain(commands).chain(groups).chain(keys::names());
    let problem = Problem::usage(format!("there is no help on {topic:?}"));
    let problem = match did_you_mean(topic, known) {
        Some(near) => problem.help(format!("did you mean `jail help {near}`?")),
        None => problem,
    };
    if topic.starts_with('@') {
        let groups: Vec<&str> = seccomp::groups().iter().map(|group| group.name).collect();
        return problem.help(format!("the groups are {}", groups.join(" ")));
    }
    problem.help("topics: spec, a key of a spec, @GROUP, phases, capabilities, or an action such as run")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_topic_has_its_text() {
        let overview = help(None).unwrap();
        assert!(overview.contains("Usage: jail"), "{overview}");
        assert_eq!(help(Some("spec")).unwrap(), keys::help_all());
        assert_eq!(Some(help(Some("user")).unwrap()), keys::help_key("user"));
        let phases = help(Some("phases")).unwrap();
        for (_, name, reason) in PHASES {
            assert!(phases.contains(name) && phases.contains(reason), "{name}");
        }
        assert!(help(Some("capabilities")).unwrap().contains("NET_BIND_SERVICE  "));
        for group in seccomp::groups() {
            assert_eq!(help(Some(group.name)).unwrap(), seccomp::describe(group));
        }
        let run = help(Some("run")).unwrap();
        assert!(run.contains("Usage: jail run") && run.contains("--robind"), "{run}");
    }

    #[test]
    fn every_action_has_help() {
        for action in cli::command().get_subcommands() {
            assert!(help(Some(action.get_name())).is_ok(), "{}", action.get_name());
        }
    }

    #[test]
    fn an_unknown_topic_is_a_usage_problem_with_the_nearest_one() {
        let problems = help(Some("fases")).unwrap_err();
        assert_eq!(problems.code(), 2);
        assert_eq!(problems.0[0].help.first().unwrap(), "did you mean `jail help phases`?");
        assert!(help(Some("@nothing-like-it")).is_err());
        assert!(help(Some("")).is_err());
    }
}
