//! The mount table as the kernel tells it, compared with the plan. Pure.
//!
//! Must not know: where the table was read, or how anything was mounted.
#![forbid(unsafe_code)]

use crate::jail::path::AbsPath;
use crate::plan::{Attributes, ExpectedMount};
use std::collections::BTreeMap;

/// One line of mountinfo (proc_pid_mountinfo(5)). Paths are bytes: whoever may mount on the host can
/// choose a name that is no text.
struct Mount<'a> {
    id: u64,
    parent: u64,
    path: Vec<u8>,
    attributes: Attributes,
    nosuid: bool,
    kind: &'a [u8],
    propagates: bool,
    id_mapped: bool,
}

fn parse(line: &[u8]) -> Option<Mount<'_>> {
    // The kernel escapes blanks in every field: a lone `-` is the separator.
    let mut fields = line.split(|b| *b == b' ');
    let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse().ok();
    let (id, parent) = (number()?, number()?);
    let mut fields = fields.skip(2);
    let path = unescape(fields.next()?);
    let options = fields.next()?;
    let has = |wanted: &str| options.split(|b| *b == b',').any(|o| o == wanted.as_bytes());
    let attributes = Attributes { read_only: has("ro"), no_exec: has("noexec"), no_dev: has("nodev") };
    let (nosuid, id_mapped) = (has("nosuid"), has("idmapped"));
    let propagates = fields.next()? != b"-";
    if propagates {
        fields.by_ref().find(|field| *field == b"-")?;
    }
    Some(Mount { id, parent, path, attributes, nosuid, kind: fields.next()?, propagates, id_mapped })
}

/// Undoes the kernel's octal escapes of space, tab, newline and backslash.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.get(..3).filter(|d| d.iter().all(|b| (b'0'..=b'7').contains(b)));
        let code = digits.map(|d| d.iter().fold(0u32, |n, b| n * 8 + u32::from(b - b'0')));
        match (first, code.and_then(|code| u8::try_from(code).ok())) {
            (b'\\', Some(code)) => {
                out.push(code);
                rest = tail.get(3..).unwrap_or(&[]);
            }
            _ => {
                out.push(first);
                rest = tail;
            }
        }
    }
    out
}

/// A path and all above it, up to `/`; of a path that is not absolute not that.
fn upwards(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(Some(path), |path| match path.iter().rposition(|b| *b == b'/')? {
        0 if path.len() == 1 => None,
        0 => Some(b"/"),
        cut => path.get(..cut),
    })
}

/// The mounts of a table by their ids, and by what they are mounted on.
struct Table<'a> {
    mounts: BTreeMap<u64, Mount<'a>>,
    on: BTreeMap<(u64, Vec<u8>), u64>,
}

/// What a mount is to the plan.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The planned mount of this index.
    Planned(usize),
    /// It came along with the planned mount of this index, as the host has it.
    Below(usize),
}

impl<'a> Table<'a> {
    fn parse(text: &'a [u8]) -> Option<Table<'a>> {
        let mut table = Table { mounts: BTreeMap::new(), on: BTreeMap::new() };
        for line in text.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            let mount = parse(line)?;
            // Two on one place of one mount: the kernel stacks them instead.
            let twice = table.on.insert((mount.parent, mount.path.clone()), mount.id).is_some();
            if twice || table.mounts.insert(mount.id, mount).is_some() {
                return None;
            }
        }
        Some(table)
    }

    /// Whether a path reaches this mount from the one it is mounted in: another one on the same mount
    /// may lie over the place, or over the whole mount.
    fn is_reached(&self, mount: &Mount<'_>) -> bool {
        let Some(parent) = self.mounts.get(&mount.parent).filter(|p| p.id != mount.id) else { return true };
        let over = |path: &&[u8]| self.on.contains_key(&(parent.id, path.to_vec()));
        if mount.path == parent.path {
            return true;
        }
        let between = upwards(&mount.path).skip(1).take_while(|path| path.len() > parent.path.len());
        !between.chain([parent.path.as_slice()]).any(|path| over(&path))
    }

    /// Whether nothing is mounted over all of it.
    fn is_top(&self, mount: &Mount<'_>) -> bool {
        self.on.get(&(mount.id, mount.path.clone())).is_none_or(|over| *over == mount.id)
    }
}

/// Says of each mount whether it can be reached, and what it is to the plan; a parent's answer is
/// found first.
struct Roles<'a, 'b> {
    table: &'b Table<'a>,
    places: BTreeMap<&'b [u8], usize>,
    known: BTreeMap<u64, (bool, Option<Role>)>,
}

impl Roles<'_, '_> {
    fn of(&mut self, id: u64) -> (bool, Option<Role>) {
        // From the mount up to one whose answer is known.
        let mut chain: Vec<u64> = Vec::new();
        let mut next = Some(id);
        while let Some(here) = next.filter(|here| !self.known.contains_key(here) && !chain.contains(here)) {
            chain.push(here);
            next =
                self.table.mounts.get(&here).map(|m| m.parent).filter(|p| self.table.mounts.contains_key(p));
        }
        let mut above = next.and_then(|known| self.known.get(&known)).copied().unwrap_or((true, None));
        for here in chain.into_iter().rev() {
            let Some(mount) = self.table.mounts.get(&here) else { continue };
            let seen = above.0 && self.table.is_reached(mount);
            let planned = self.places.get(mount.path.as_slice()).filter(|_| seen && self.table.is_top(mount));
            let inherited = above.1.map(|(Role::Planned(index) | Role::Below(index))| Role::Below(index));
            above = (seen, planned.map(|index| Role::Planned(*index)).or(inherited));
            self.known.insert(here, above);
        }
        above
    }
}

/// Where the mounts of a table are; without those whose paths are no text.
pub fn places(text: &[u8]) -> Vec<AbsPath> {
    let mounts = text.split(|b| *b == b'\n').filter_map(parse);
    mounts.filter_map(|mount| AbsPath::new(std::str::from_utf8(&mount.path).ok()?).ok()).collect()
}

/// `Err` is the index of the expected mount that is missing, doubled, of another kind, or weaker
/// than planned (also by a mount below it); the length of the list for a mount nobody planned.
///
/// A host directory comes with what is mounted in it. Those mounts have its attributes, and planned
/// ones may lie over them; in a file system of our own making nothing may be that was not planned.
pub fn compare(text: &[u8], expected: &[ExpectedMount]) -> Result<(), usize> {
    let unplanned = expected.len();
    let table = Table::parse(text).ok_or(unplanned)?;
    let places = expected.iter().enumerate().map(|(i, e)| (e.path.as_str().as_bytes(), i)).collect();
    let mut roles = Roles { table: &table, places, known: BTreeMap::new() };
    let mut seen = vec![0u32; expected.len()];
    let mut wrong = Ok(());
    for (id, mount) in &table.mounts {
        let (index, in_place) = match roles.of(*id).1 {
            Some(Role::Planned(index)) => (index, true),
            Some(Role::Below(index)) => (index, false),
            None => {
                wrong = wrong.and(Err(unplanned));
                continue;
            }
        };
        let plan = expected.get(index).ok_or(unplanned)?;
        let lacks = |wanted: bool, has: bool| wanted && !has;
        let (want, has) = (plan.attributes, mount.attributes);
        let weak = mount.propagates
            || !mount.nosuid
            || lacks(plan.id_mapped, mount.id_mapped)
            || lacks(want.read_only, has.read_only)
            || lacks(want.no_exec, has.no_exec)
            || lacks(want.no_dev, has.no_dev);
        if in_place {
            seen[index] += 1;
        }
        if !in_place && plan.kind.is_some() {
            wrong = wrong.and(Err(unplanned));
        } else if weak || (in_place && plan.kind.is_some_and(|kind| kind.as_bytes() != mount.kind)) {
            wrong = wrong.and(Err(index));
        }
    }
    // A mount that is not in its place is the cause of what is wrong where it is instead.
    seen.iter().position(|n| *n != 1).map_or(wrong, Err)
}

#[cfg(test)]
mod tests;
