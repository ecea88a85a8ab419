//! `jail limit --show`: limits and use.
//!
//! Must not know: where the numbers come from.

use crate::cli::limit::Limit;
use crate::cmd::output::columns;
use crate::cmd::ps::registry;
use crate::cmd::{Ended, output};
use crate::host::usage::{self, Usage, of_process};
use crate::problem::{Problem, Problems};
use crate::registry::living::Life;

/// Of a jail, of processes, or of all running jails.
pub fn show(flags: &Limit) -> Result<Ended, Problems> {
    let mut found: Vec<(String, Usage)> = Vec::new();
    if let Some(name) = &flags.name {
        let jail = registry()?.running(name)?;
        found.push((name.clone(), usage::of(&jail.record.groups)));
    } else if flags.pid.is_empty() {
        for entry in registry()?.list()?.into_iter().filter(|entry| entry.state == Life::Running) {
            found.extend(entry.record.map(|record| (entry.name, usage::of(&record.groups))));
        }
    } else {
        for pid in &flags.pid {
            let usage =
                of_process(*pid).ok_or_else(|| Problem::usage(format!("there is no process {pid}")))?;
            found.push((pid.to_string(), usage));
        }
    }
    let mut rows = vec![["NAME", "LIMIT", "USE", "OF"].map(str::to_owned).to_vec()];
    for (name, usage) in &found {
        let lines = usage.lines();
        if lines.is_empty() {
            rows.push([name, "none", "", ""].map(str::to_owned).to_vec());
        }
        rows.extend(lines.into_iter().map(|[limit, used, most]| vec![name.clone(), limit, used, most]));
    }
    output::print(&if found.is_empty() { "no jail is running\n".into() } else { columns(&rows) })?;
    Ok(Ended::SUCCESS)
}
