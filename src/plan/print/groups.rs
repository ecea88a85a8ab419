//! Steps about control groups in words.
#![forbid(unsafe_code)]

use crate::jail::limits::{Group, Write};
use crate::jail::path::AbsPath;
use crate::plan::Step;

/// One of these steps; nothing for another.
pub fn describe(step: &Step) -> String {
    match step {
        Step::LeaveGroup { base, leaf } => format!("leave the group {base} for {leaf}"),
        Step::Group(group) => format!("make and join the group {}", written(group)),
        Step::GroupOf { group, processes, .. } => {
            let pids: Vec<String> = processes.iter().map(i32::to_string).collect();
            format!("move {} into the new group {}", pids.join(", "), written(group))
        }
        Step::JoinGroups(paths) => {
            let paths: Vec<&str> = paths.iter().map(AbsPath::as_str).collect();
            format!("join the groups {}", paths.join(", "))
        }
        _ => String::new(),
    }
}

/// A group with all that is written.
fn written(group: &Group) -> String {
    let write = |write: &Write| format!("{} = {}", write.file, write.text);
    let above: String = group.above.iter().map(|w| format!(", above {}", write(w))).collect();
    let limits: String = group.limits.iter().map(|w| format!(", {}", write(w))).collect();
    format!("{}{above}{limits}", group.path)
}
