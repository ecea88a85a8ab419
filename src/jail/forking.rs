//! Programs that daemonise: whether the jail outlives its first process.
//!
//! Must not know: who keeps it.
#![forbid(unsafe_code)]

use super::path::AbsPath;
use super::resolve::Context;
use super::{Namespaces, ask};
use crate::problem::Problem;
use crate::spec::Process;

impl Context<'_> {
    /// `forking`, and the file that names the main process.
    pub(super) fn forking(&mut self, process: &Process, namespaces: &Namespaces) -> (bool, Option<AbsPath>) {
        let file = process.main_pid_file.as_ref();
        let asked = process.forking.as_ref();
        let forking = asked.map_or(file.is_some(), |asked| asked.value);
        let key = match (file, asked) {
            (Some(file), _) => ("main-pid-file", file.at),
            (None, Some(asked)) if forking => ("forking", asked.at),
            _ => return (false, None),
        };
        if !namespaces.pid {
            let problem = Problem::usage(format!("`{}` needs a pid namespace of the jail's own", key.0));
            let problem = problem.at(key.1).help("with a shared one no process of jail stays that could see to it: do not share it, or leave it to the service manager (Type=forking)");
            self.problems.push(problem);
        }
        if let (Some(file), Some(asked), false) = (file, asked, forking) {
            let problem = Problem::usage("`main-pid-file` is never read with forking = false");
            self.problems
                .push(problem.at(file.at).also("written here", asked.at).help("remove one of the two"));
        }
        let path = file.and_then(|file| ask::checked(&file.value, file.at, &mut self.problems));
        (forking, path)
    }
}
