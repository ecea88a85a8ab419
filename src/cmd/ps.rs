//! `jail ps`: the running jails, and what of them is stale.

use super::output::{self, columns};
use super::{Ended, target_of, trust};
use crate::host;
use crate::host::processes::stat;
use crate::host::usage::{self, Gauge, Usage};
use crate::problem::{Problem, Problems, Sources};
use crate::record::{Record, Request};
use crate::registry::living::{Entry, Life};
use crate::registry::stale::{self, Finding, Host};
use crate::registry::{Registry, processes};
use crate::spec::load::{self, Layer, Roots};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::Path;

/// One row.
struct Row {
    entry: Entry,
    state: &'static str,
    uptime: Option<std::time::Duration>,
    program: Option<i32>,
    /// Of the jail, without its pid 1.
    processes: Vec<i32>,
    findings: Vec<Finding>,
    /// Of its limits; none without.
    usage: Option<Usage>,
}

/// Lists the caller's jails.
pub fn ps(json: bool, only_stale: bool) -> Result<Ended, Problems> {
    let registry = registry()?;
    let rows = rows(registry.list()?);
    if only_stale {
        let lines = rows.iter().flat_map(|row| {
            row.findings.iter().map(|finding| format!("{}: {}\n", row.entry.name, finding.text()))
        });
        let text: String = lines.collect();
        if text.is_empty() {
            return Ok(Ended::SUCCESS);
        }
        let text = if json { as_json(&rows) } else { text };
        return output::print(&text).map(|()| Ended::Code(1));
    }
    output::print(&if json { as_json(&rows) } else { table(&rows) })?;
    Ok(Ended::SUCCESS)
}

/// The caller's state directory.
pub fn registry() -> Result<Registry, Problems> {
    Registry::of_caller().ok_or_else(|| {
        Problem::set_up("XDG_RUNTIME_DIR is not set: jails of this user are not recorded")
            .help("those of root are seen by root: sudo jail ps")
            .into()
    })
}

/// A thousand jails are a thousand times some files of /proc: both cores read them.
fn rows(entries: Vec<Entry>) -> Vec<Row> {
    let namespaces = processes::by_mount_namespace();
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get).min(8);
    let share = entries.len().div_ceil(workers).max(1);
    std::thread::scope(|scope| {
        let chunks = entries.chunks(share);
        let threads: Vec<_> = chunks.map(|chunk| scope.spawn(|| some_rows(chunk, &namespaces))).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect()
    })
}

fn some_rows(entries: &[Entry], namespaces: &BTreeMap<String, Vec<i32>>) -> Vec<Row> {
    let (mut host, mut specs) = (Host::default(), Specs::default());
    entries.iter().map(|entry| row(entry.clone(), namespaces, &mut host, &mut specs)).collect()
}

fn row(entry: Entry, namespaces: &BTreeMap<String, Vec<i32>>, host: &mut Host, specs: &mut Specs) -> Row {
    let mut row = Row {
        entry,
        state: "left over",
        uptime: None,
        program: None,
        processes: Vec::new(),
        findings: Vec::new(),
        usage: None,
    };
    row.state = match (row.entry.state, &row.entry.record) {
        (Life::Running, Some(record)) => {
            let Record { processes: recorded, request, .. } = record;
            let namespace = recorded.inside().into_iter().find_map(processes::mount_namespace);
            let all = namespace.and_then(|namespace| namespaces.get(&namespace)).cloned().unwrap_or_default();
            // Pid 1 of ours is not the program's, and may not be looked into.
            row.processes =
                all.into_iter().filter(|pid| recorded.outer.is_none() || *pid != recorded.first).collect();
            row.uptime = processes::age(recorded.leader());
            row.findings = stale::findings(record, &row.processes, host);
            row.findings.extend(specs.changed(request));
            row.usage = (!record.groups.is_empty()).then(|| usage::of(&record.groups));
            // A program that has left a daemon is not what runs now.
            let program = recorded.program;
            let now = if row.processes.contains(&program) { Some(&program) } else { row.processes.first() };
            row.program = now.copied();
            let stat = stat(row.program.unwrap_or(program));
            if stat.is_some_and(|stat| stat.state == 'T') { "stopped" } else { "running" }
        }
        (Life::Starting, _) => "starting",
        _ => "left over",
    };
    row
}

/// Specs as they are now, each read once.
#[derive(Default)]
struct Specs(BTreeMap<(String, String), Vec<Layer>>);

impl Specs {
    /// Which texts of a request's spec are not any more what they were.
    fn changed(&mut self, request: &Request) -> Vec<Finding> {
        let Some(wanted) = target_of(&request.words).and_then(|target| target.spec) else {
            return Vec::new();
        };
        let key = (wanted, request.directory.clone());
        let now = self.0.entry(key.clone()).or_insert_with(|| current(&key.0, &key.1));
        let then: Vec<Layer> =
            request.layers.iter().map(|layer| located(layer, &request.directory)).collect();
        let gone = then.iter().filter(|layer| !now.contains(layer));
        let new = now.iter().filter(|layer| !then.contains(layer));
        let mut places: Vec<String> = gone.chain(new).map(|layer| layer.place.clone()).collect();
        places.sort();
        places.dedup();
        places.into_iter().map(Finding::Spec).collect()
    }
}

/// A text by the whole path of its file: it may have been named from where the caller was.
fn located(layer: &Layer, directory: &str) -> Layer {
    let place = match layer.place.strip_prefix("./").unwrap_or(&layer.place) {
        built_in if built_in.starts_with("built-in ") => built_in.to_owned(),
        path => Path::new(directory).join(path).to_string_lossy().into_owned(),
    };
    Layer { place, ..layer.clone() }
}

/// The texts of a spec as it would be read now in that directory; none if it cannot be.
fn current(wanted: &str, directory: &str) -> Vec<Layer> {
    let from = Path::new(directory);
    let roots = Roots { working: from.join("jails.d"), ..Roots::default() };
    let wanted = if load::is_path(wanted) {
        from.join(wanted.strip_prefix("./").unwrap_or(wanted)).to_string_lossy().into_owned()
    } else {
        wanted.to_owned()
    };
    let loaded = load::load_from(&roots, &wanted, trust(), &mut Sources::default());
    let layers = loaded.map(|loaded| loaded.layers).unwrap_or_default();
    layers.iter().map(|layer| located(layer, directory)).collect()
}

fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "no jail is running\n".into();
    }
    let header = ["NAME", "STATE", "UP", "PID", "USER", "PROCESSES", "LIMITS", "GIVEN UP", "STALE"];
    let mut cells = vec![header.map(str::to_owned).to_vec()];
    let users = host::user_names();
    for row in rows {
        let record = row.entry.record.as_ref().filter(|_| row.entry.state == Life::Running);
        let of = |text: fn(&Record) -> String| record.map_or("-".into(), text);
        let user = record.map(|record| record.user.0);
        cells.push(vec![
            row.entry.name.clone(),
            row.state.to_owned(),
            row.uptime.map_or("-".into(), processes::duration),
            row.program.map_or("-".into(), |program| program.to_string()),
            user.map_or("-".into(), |user| users.get(&user).cloned().unwrap_or_else(|| user.to_string())),
            record.map_or("-".into(), |_| row.processes.len().to_string()),
            row.usage.as_ref().map_or("-".into(), Usage::summary),
            of(|record| match record.given_up.len() {
                0 => "nothing".into(),
                _ => record.given_up.iter().map(|(what, _)| what.as_str()).collect::<Vec<_>>().join(", "),
            }),
            record.map_or("-".into(), |_| match row.findings.len() {
                0 => "no".into(),
                n => format!("{n}: jail ps --stale"),
            }),
        ]);
    }
    columns(&cells)
}

fn limits(usage: &Usage) -> Value {
    let gauge = |gauge: Option<Gauge>| gauge.map(|g| json!({ "used": g.used, "limit": g.limit }));
    json!({
        "memory": gauge(usage.memory),
        "tasks": gauge(usage.tasks),
        "cpu-percent": usage.cpu.map(|thousandths| thousandths as f64 / 10.0),
        "killed-for-memory": usage.killed,
        "tasks-refused": usage.refused,
        "cause": usage.cause(),
    })
}

fn as_json(rows: &[Row]) -> String {
    let value: Vec<Value> = rows
        .iter()
        .map(|row| {
            let record = row.entry.record.as_ref().filter(|_| row.entry.state == Life::Running);
            json!({
                "name": row.entry.name,
                "state": row.state,
                "uptime-s": row.uptime.map(|uptime| uptime.as_secs()),
                "outer": record.and_then(|r| r.processes.outer),
                "pid": row.program,
                "uid": record.map(|r| r.user.0),
                "gid": record.map(|r| r.user.1),
                "processes": row.processes,
                "limits": row.usage.as_ref().map(limits),
                "given-up": record.map(|r| r.given_up.iter().map(|(what, by)| json!({ "what": what, "by": by })).collect::<Vec<_>>()),
                "stale": row.findings.iter().map(|f| json!({ "kind": f.kind(), "text": f.text() })).collect::<Vec<_>>(),
            })
        })
        .collect();
    format!("{:#}\n", Value::from(value))
}
