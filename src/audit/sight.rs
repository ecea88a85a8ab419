//! The file tree that the program sees, out of the plan, each place with what may be done there.
//!
//! Must not know: what is really below a shown directory, or how a tree is drawn.
#![forbid(unsafe_code)]

use crate::jail::path::AbsPath;
use crate::plan::print::bytes;
use crate::plan::{Attributes, Plan, Step, TreeKind};
use std::collections::BTreeMap;

/// What may be done at a place, from the least to the most.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Access {
    /// A directory, link or file of the jail's own, read-only.
    Skeleton,
    /// A device node.
    Device,
    /// A read-only view or a copy of something of the host.
    Read,
    /// The same, and programs in it may be executed.
    Execute,
    /// The jail's own memory, writable.
    Memory,
    /// The jail's own memory, writable and executable.
    MemoryExecute,
    /// The host's, writable.
    Write,
    /// The host's, writable and executable.
    WriteExecute,
}

impl Access {
    /// All, as legends list them.
    pub const ALL: &[Access] = &[
        Access::Skeleton,
        Access::Device,
        Access::Read,
        Access::Execute,
        Access::Memory,
        Access::MemoryExecute,
        Access::Write,
        Access::WriteExecute,
    ];

    /// As in legends.
    pub fn name(self) -> &'static str {
        match self {
            Access::Skeleton => "made for the jail",
            Access::Device => "device",
            Access::Read => "host, read",
            Access::Execute => "host, read and execute",
            Access::Memory => "memory, write",
            Access::MemoryExecute => "memory, write and execute",
            Access::Write => "host, write",
            Access::WriteExecute => "host, write and execute",
        }
    }
}

/// A place and what is below it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// The last component; `/` at the top.
    pub name: String,
    /// What may be done there.
    pub access: Access,
    /// More about it: where it comes from, where a link points; may be empty.
    pub note: String,
    /// By name.
    pub below: BTreeMap<String, Node>,
}

impl Node {
    fn new(name: &str, access: Access) -> Node {
        Node { name: name.to_owned(), access, note: String::new(), below: BTreeMap::new() }
    }

    fn put(&mut self, path: &AbsPath, access: Access, note: String) {
        let mut node = self;
        for name in path.components() {
            // On the way to a place: part of what is above it.
            let above = node.access;
            node = node.below.entry(name.to_owned()).or_insert_with(|| Node::new(name, above));
        }
        (node.access, node.note) = (access, note);
    }
}

/// The tree of a plan.
pub fn tree(plan: &Plan) -> Node {
    let mut root = Node::new("/", Access::Skeleton);
    let mut trees: BTreeMap<usize, (&AbsPath, TreeKind, Attributes)> = BTreeMap::new();
    let mut files: BTreeMap<usize, &AbsPath> = BTreeMap::new();
    for planned in &plan.steps {
        match &planned.step {
            Step::OpenTree { slot, source, kind, attributes } => {
                trees.insert(*slot, (source, *kind, *attributes));
            }
            Step::OpenFile { slot, source } => {
                files.insert(*slot, source);
            }
            Step::AttachRoot { slot } => {
                if let Some((source, _, attributes)) = trees.get(slot) {
                    (root.access, root.note) = (host(*attributes), format!("the host's {source}"));
                }
            }
            Step::Attach { slot, path, .. } => {
                if let Some((source, kind, attributes)) = trees.get(slot) {
                    let access = if *kind == TreeKind::Device { Access::Device } else { host(*attributes) };
                    root.put(path, access, from(source, path));
                }
            }
            Step::Copy { slot, path, .. } => {
                if let Some(source) = files.get(slot) {
                    let from = from(source, path);
                    let note = if from.is_empty() { "copy".to_owned() } else { format!("copy, {from}") };
                    root.put(path, Access::Read, note);
                }
            }
            Step::Directory { path, .. } => root.put(path, Access::Skeleton, String::new()),
            Step::Link { path, target } => root.put(path, Access::Skeleton, format!("→ {target}")),
            Step::Text { path, .. } => root.put(path, Access::Skeleton, "written for the jail".into()),
            Step::Tmpfs { path, limits, attributes, directories, .. } => {
                let access = if attributes.no_exec { Access::Memory } else { Access::MemoryExecute };
                root.put(path, access, format!("{}, gone at the end", bytes(limits.size)));
                for name in directories {
                    root.put(&path.join(name), access, String::new());
                }
            }
            Step::Devpts { path, .. } => root.put(path, Access::Device, "terminals of its own".into()),
            Step::Proc { path, subset, .. } => {
                let note = if *subset { "its own processes" } else { "all of /proc, processes its own" };
                root.put(path, if *subset { Access::Skeleton } else { Access::Read }, note.into());
            }
            _ => {}
        }
    }
    root
}

fn host(attributes: Attributes) -> Access {
    match (attributes.read_only, attributes.no_exec) {
        (true, true) => Access::Read,
        (true, false) => Access::Execute,
        (false, true) => Access::Write,
        (false, false) => Access::WriteExecute,
    }
}

/// Where a thing is on the host, if that is elsewhere.
fn from(source: &AbsPath, path: &AbsPath) -> String {
    if source == path { String::new() } else { format!("the host's {source}") }
}
