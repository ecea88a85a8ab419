//! What is kept of a running jail, so that it can be listed, told, entered and judged: plain data, and
//! its text form.
//!
//! Must not know: where it is kept, or whether the jail still lives.
#![forbid(unsafe_code)]

use crate::jail::limits::{self, Version};
use crate::plan::{Plan, Step, TreeKind};
use crate::spec::load::Layer;
use serde_json::{Value, json};

/// One running jail, as it was when it was started.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Record {
    /// What it is called: the file's name in the state directory.
    pub name: String,
    /// What its spec is called: ids of user = "auto" belong to this name.
    pub jail: String,
    /// Who runs in it.
    pub processes: Processes,
    /// Ids of the program inside, user and group.
    pub user: (u32, u32),
    /// What was asked for.
    pub request: Request,
    /// Promises that do not hold, and who gave each up.
    pub given_up: Vec<(String, String)>,
    /// What stops it, and makes it reload (signal numbers).
    pub signals: (i32, i32),
    /// Milliseconds between stop signal and SIGKILL; 0: never.
    pub stop_timeout: u64,
    /// Regular files that were copied into it.
    pub copies: Vec<Shown>,
    /// Host directories and files that are mounted in it.
    pub binds: Vec<Shown>,
    /// Control groups that limit it.
    pub groups: Vec<Group>,
}

/// A control group, as far as it must be found again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// Which interface its hierarchy has.
    pub version: Version,
    /// What it limits, as the kernel calls it.
    pub controllers: Vec<String>,
    /// Its directory.
    pub path: String,
}

/// Its processes, by their numbers in the pid namespace of who started it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Processes {
    /// The outer process; `None` if the program was executed in place.
    pub outer: Option<i32>,
    /// Pid 1 of the jail, or the program in place.
    pub first: i32,
    /// The program.
    pub program: i32,
    /// When the leader was started, in clock ticks since boot (field 22 of proc_pid_stat(5)): no other
    /// process of that number has the same.
    pub started: u64,
    /// The kernel's id of the boot that these numbers belong to.
    pub boot: String,
}

impl Processes {
    /// Who stands for the jail: the outer process, or the program in place.
    pub fn leader(&self) -> i32 {
        self.outer.unwrap_or(self.first)
    }

    /// Those that are in the jail: the program, and if that has ended its pid 1.
    pub fn inside(&self) -> [i32; 2] {
        [self.program, self.first]
    }
}

/// A command line with everything that its meaning depended on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Request {
    /// The words after `jail`.
    pub words: Vec<String>,
    /// Where they were typed.
    pub directory: String,
    /// The spec's texts, as they were.
    pub layers: Vec<Layer>,
}

/// Something of the host in the jail.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Shown {
    /// Host path without links.
    pub source: String,
    /// Where it is inside.
    pub at: String,
}

/// Grows with the format; a record of another number is of another version of jail.
const FORMAT: u64 = 2;

impl Record {
    /// Of a plan that is about to be carried out.
    pub fn of(plan: &Plan, name: &str, request: Request) -> Self {
        let (copies, binds) = shown(plan);
        let rules = plan.supervision;
        Record {
            name: name.to_owned(),
            jail: plan.name.clone(),
            processes: Processes::default(),
            user: ids(plan),
            request,
            given_up: plan.given_up.iter().map(|g| (g.what.clone(), g.by.clone())).collect(),
            signals: (rules.stop_signal, rules.reload_signal),
            stop_timeout: rules.stop_timeout,
            copies,
            binds,
            groups: groups(plan),
        }
    }

    /// As it is kept.
    pub fn text(&self) -> String {
        let list = |shown: &[Shown]| shown.iter().map(|s| json!([s.source, s.at])).collect::<Vec<_>>();
        let layers = self.request.layers.iter().map(|l| json!([l.place, l.text, l.local]));
        let value = json!({
            "format": FORMAT,
            "name": self.name,
            "jail": self.jail,
            "outer": self.processes.outer,
            "first": self.processes.first,
            "program": self.processes.program,
            "started": self.processes.started,
            "boot": self.processes.boot,
            "user": self.user.0,
            "group": self.user.1,
            "words": self.request.words,
            "directory": self.request.directory,
            "layers": layers.collect::<Vec<_>>(),
            "given-up": self.given_up.iter().map(|(what, by)| json!([what, by])).collect::<Vec<_>>(),
            "stop-signal": self.signals.0,
            "reload-signal": self.signals.1,
            "stop-timeout": self.stop_timeout,
            "copies": list(&self.copies),
            "binds": list(&self.binds),
            "groups": self.groups.iter().map(|g| json!([number_of(g.version), g.path, g.controllers])).collect::<Vec<_>>(),
        });
        format!("{value}\n")
    }

    /// From a text that [`Record::text`] has made; `None` for any other.
    pub fn parse(text: &str) -> Option<Record> {
        let value: Value = serde_json::from_str(text).ok()?;
        if number::<u64>(&value, "format")? != FORMAT {
            return None;
        }
        let shown = |key| {
            let pairs = list(&value, key, |item| Some((string(item.get(0)?)?, string(item.get(1)?)?)))?;
            Some(pairs.into_iter().map(|(source, at)| Shown { source, at }).collect())
        };
        Some(Record {
            name: string(value.get("name")?)?,
            jail: string(value.get("jail")?)?,
            processes: Processes {
                outer: match value.get("outer")? {
                    Value::Null => None,
                    _ => Some(number(&value, "outer")?),
                },
                first: number(&value, "first")?,
                program: number(&value, "program")?,
                started: number(&value, "started")?,
                boot: string(value.get("boot")?)?,
            },
            user: (number(&value, "user")?, number(&value, "group")?),
            request: Request {
                words: list(&value, "words", string)?,
                directory: string(value.get("directory")?)?,
                layers: list(&value, "layers", layer)?,
            },
            given_up: list(&value, "given-up", |item| Some((string(item.get(0)?)?, string(item.get(1)?)?)))?,
            signals: (number(&value, "stop-signal")?, number(&value, "reload-signal")?),
            stop_timeout: number(&value, "stop-timeout")?,
            copies: shown("copies")?,
            binds: shown("binds")?,
            groups: list(&value, "groups", group)?,
        })
    }
}

fn string(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn number<T: TryFrom<u64>>(value: &Value, key: &str) -> Option<T> {
    T::try_from(value.get(key)?.as_u64()?).ok()
}

fn list<T>(value: &Value, key: &str, item: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    value.get(key)?.as_array()?.iter().map(item).collect()
}

fn layer(value: &Value) -> Option<Layer> {
    let (place, text) = (string(value.get(0)?)?, string(value.get(1)?)?);
    Some(Layer { place, text, local: value.get(2)?.as_bool()? })
}

fn number_of(version: Version) -> u64 {
    match version {
        Version::One => 1,
        Version::Two => 2,
    }
}

fn group(value: &Value) -> Option<Group> {
    let version = match value.get(0)?.as_u64()? {
        1 => Version::One,
        2 => Version::Two,
        _ => return None,
    };
    let controllers = value.get(2)?.as_array()?.iter().map(string).collect::<Option<_>>()?;
    Some(Group { version, path: string(value.get(1)?)?, controllers })
}

/// The groups that a plan makes.
pub fn groups(plan: &Plan) -> Vec<Group> {
    let groups =
        plan.steps.iter().filter_map(|p| if let Step::Group(group) = &p.step { Some(group) } else { None });
    let kept = |group: &limits::Group| Group {
        version: group.version,
        controllers: group.controllers.iter().map(|&name| name.to_owned()).collect(),
        path: group.path.as_str().to_owned(),
    };
    groups.map(kept).collect()
}

fn ids(plan: &Plan) -> (u32, u32) {
    let uid = plan.steps.iter().find_map(|p| if let Step::Uid(uid) = p.step { Some(uid) } else { None });
    let gid = plan.steps.iter().find_map(|p| if let Step::Gid(gid) = p.step { Some(gid) } else { None });
    (uid.unwrap_or_default(), gid.unwrap_or_default())
}

/// Copies and binds.
fn shown(plan: &Plan) -> (Vec<Shown>, Vec<Shown>) {
    let mut sources = Vec::new();
    let (mut copies, mut binds) = (Vec::new(), Vec::new());
    for planned in &plan.steps {
        let (slot, at) = match &planned.step {
            // A device node is the same device wherever it came from.
            Step::OpenTree { kind: TreeKind::Device, .. } => continue,
            Step::OpenTree { slot, source, .. } | Step::OpenFile { slot, source } => {
                sources.push((*slot, source));
                continue;
            }
            Step::AttachRoot { slot } => (*slot, "/"),
            Step::Attach { slot, path, .. } | Step::Copy { slot, path, .. } => (*slot, path.as_str()),
            _ => continue,
        };
        let Some((_, source)) = sources.iter().find(|(known, _)| *known == slot) else { continue };
        let shown = Shown { source: source.as_str().to_owned(), at: at.to_owned() };
        if matches!(planned.step, Step::Copy { .. }) {
            copies.push(shown);
        } else {
            binds.push(shown);
        }
    }
    (copies, binds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let shown = |source: &str, at: &str| vec![Shown { source: source.into(), at: at.into() }];
        let layer =
            |local| Layer { place: "/etc/x \"y\".toml".into(), text: "[process]\nnice = 1\n".into(), local };
        Record {
            name: "web-2".into(),
            jail: "web".into(),
            processes: Processes { outer: Some(10), first: 11, program: 12, started: 99, boot: "b-1".into() },
            user: (33, 34),
            request: Request {
                words: vec!["run".into(), "web\n".into()],
                directory: "/srv".into(),
                layers: vec![layer(false), layer(true)],
            },
            given_up: vec![("landlock".into(), "--without landlock".into())],
            signals: (3, 1),
            stop_timeout: 5000,
            copies: shown("/etc/hosts", "/etc/hosts"),
            binds: shown("/usr", "/usr"),
            groups: vec![Group {
                version: Version::One,
                controllers: vec!["cpu".into(), "memory".into()],
                path: "/sys/fs/cgroup/x".into(),
            }],
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let whole = record();
        assert_eq!(Record::parse(&whole.text()), Some(whole.clone()));
        assert_eq!(whole.text().lines().count(), 1, "one line, whatever is in it");
        let in_place = Record { processes: Processes { outer: None, ..whole.processes.clone() }, ..whole };
        assert_eq!(Record::parse(&in_place.text()), Some(in_place));
    }

    #[test]
    fn a_record_that_is_cut_short_or_of_another_kind_is_none() {
        let text = record().text();
        for end in 0..text.len() - 1 {
            assert_eq!(Record::parse(&text[..end]), None, "{end}");
        }
        assert_eq!(Record::parse(&text.replace("\"format\":2", "\"format\":1")), None);
        assert_eq!(Record::parse(&text.replace("\"first\":11", "\"first\":-1")), None);
        assert_eq!(Record::parse(&text.replace("\"first\":11", "\"first\":99999999999")), None);
    }
}
