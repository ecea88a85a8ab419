//! Users and groups, from the files first and from `getent` for those that live elsewhere (LDAP,
//! systemd): a static build cannot load NSS modules, and no build should, as root.
//!
//! Must not know: who will run as whom.

use crate::jail::facts::{Group, User};
use crate::jail::range;
use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read};
use std::process::{Command, Stdio};

/// /etc/passwd and /etc/group as they were when asked.
pub struct Databases {
    passwd: Database,
    group: Database,
    /// Blocks of ids that belong to users for containers (subuid(5), subgid(5)).
    subordinate: fn() -> Vec<(u32, u32)>,
    /// Asked for who is in neither file.
    elsewhere: Elsewhere,
}

/// One file.
struct Database {
    /// As getent(1) and nsswitch.conf(5) call it.
    name: &'static str,
    /// `None`: it cannot be read, and says nothing about who is not there.
    text: Option<String>,
}

/// The name service behind the files.
struct Elsewhere {
    /// One line of `getent DATABASE KEY`.
    ask: fn(&str, &str) -> Option<String>,
    /// /etc/nsswitch.conf, if it can be read; read only if it matters, and once.
    switch: LazyCell<Option<String>>,
}

/// Ids for `auto`: 2046820352 to 2051014655. Below 2^31, because some programs take ids for signed,
/// and above every range of systemd's UIDS-GIDS document (the last one, for containers, ends at
/// 1879048191), so that no tool hands them out.
const FIRST: u32 = 0x7a00_0000;
const COUNT: u32 = 0x0040_0000;

/// Blocks of ids for user namespaces: 1879048192 to 2046820351, between systemd's last range and
/// the ids for `auto`.
const FIRST_RANGE: u32 = 0x7000_0000;
const RANGES: u32 = (FIRST - FIRST_RANGE) / range::COUNT;

/// Of a block, every so manieth id is looked up in a directory service: to ask for all would take
/// seconds. Such services give ids out in long runs.
const SAMPLE: usize = 256;

/// Sources of nsswitch.conf that know no id in the range of `auto`, or are the files themselves.
const LOCAL_SOURCES: &[&str] = &["files", "compat", "systemd"];

/// More than any line of getent.
const LONGEST_ANSWER: u64 = 64 << 10;

impl Databases {
    /// Reads both files; instead of one that cannot be read, `getent` is asked.
    pub fn read() -> Self {
        let database = |name, path| Database { name, text: read(path) };
        Databases {
            passwd: database("passwd", "/etc/passwd"),
            group: database("group", "/etc/group"),
            subordinate,
            elsewhere: Elsewhere { ask: getent, switch: LazyCell::new(|| read("/etc/nsswitch.conf")) },
        }
    }

    /// Names of the users in the file, by number.
    pub fn names(&self) -> BTreeMap<u32, String> {
        let lines = self.passwd.text.iter().flat_map(|text| text.lines());
        lines.filter_map(passwd_line).map(|user| (user.uid, user.name)).collect()
    }

    /// A user by name or number (digits are never a name). A number that nobody has is a user of
    /// its own, with the same gid; `None` for what can be neither, such as 2^32 - 1.
    pub fn user(&self, wanted: &str) -> Option<User> {
        let mut user = match id(wanted) {
            Some(number) => {
                let known = self.by_number(&self.passwd, number, passwd_line, |u| u.uid);
                known.unwrap_or_else(|| User {
                    name: number.to_string(),
                    uid: number,
                    gid: number,
                    home: "/".into(),
                    ..User::default()
                })
            }
            None => self.by_name(&self.passwd, wanted, passwd_line, |u| &u.name)?,
        };
        user.group = self.group_of(user.gid).name;
        Some(user)
    }

    /// A group by name or number. A number that no group has is one of its own.
    pub fn group(&self, wanted: &str) -> Option<Group> {
        match id(wanted) {
            Some(gid) => Some(self.group_of(gid)),
            None => self.by_name(&self.group, wanted, group_line, |g| &g.name),
        }
    }

    /// A uid and gid for the jail of this name: always the same, unless somebody has it. `None`: all
    /// are taken.
    pub fn free_ids(&self, name: &str) -> Option<(u32, u32)> {
        let taken = self.taken();
        let remote = self.known_elsewhere();
        let is_free = |id: &u32| {
            let known = |database: &&Database| (self.elsewhere.ask)(database.name, &id.to_string()).is_some();
            !taken.contains(id) && !remote.iter().any(known)
        };
        let start = u32::try_from(fnv1a(name.as_bytes()) % u64::from(COUNT)).ok()?;
        let id = (0..COUNT).map(|n| FIRST + (start + n) % COUNT).find(is_free)?;
        Some((id, id))
    }

    /// The first of a block of ids for the jail of this name: always the same, unless somebody has
    /// one of them. `None`: all blocks are taken.
    pub fn free_range(&self, name: &str) -> Option<u32> {
        let taken = self.taken();
        let (remote, subordinate) = (self.known_elsewhere(), (self.subordinate)());
        let is_free = |first: &u32| {
            let end = first + range::COUNT;
            let known = |id: u32| {
                remote.iter().any(|database| (self.elsewhere.ask)(database.name, &id.to_string()).is_some())
            };
            taken.range(first..&end).next().is_none()
                && !subordinate.iter().any(|(start, after)| *start < end && first < after)
                && !(*first..end).step_by(SAMPLE).any(known)
        };
        let start = u32::try_from(fnv1a(name.as_bytes()) % u64::from(RANGES)).ok()?;
        (0..RANGES).map(|n| FIRST_RANGE + (start + n) % RANGES * range::COUNT).find(is_free)
    }

    /// Every id in the files.
    fn taken(&self) -> BTreeSet<u32> {
        let users = self.passwd.lines().filter_map(passwd_line).flat_map(|u| [u.uid, u.gid]);
        let groups = self.group.lines().filter_map(group_line).map(|g| g.gid);
        users.chain(groups).collect()
    }

    /// Databases of which a directory service may know more.
    fn known_elsewhere(&self) -> Vec<&Database> {
        let mut remote = vec![&self.passwd, &self.group];
        remote.retain(|database| self.is_known_elsewhere(database));
        remote
    }

    fn group_of(&self, gid: u32) -> Group {
        let known = self.by_number(&self.group, gid, group_line, |g| g.gid);
        known.unwrap_or_else(|| Group { name: gid.to_string(), gid })
    }

    fn by_name<T>(
        &self,
        database: &Database,
        wanted: &str,
        parse: fn(&str) -> Option<T>,
        name: fn(&T) -> &str,
    ) -> Option<T> {
        if !plain(wanted) {
            return None;
        }
        let known = database.lines().filter_map(parse).find(|t| name(t) == wanted);
        known.or_else(|| {
            let line = (self.elsewhere.ask)(database.name, wanted)?;
            parse(&line).filter(|t| name(t) == wanted)
        })
    }

    fn by_number<T>(
        &self,
        database: &Database,
        wanted: u32,
        parse: fn(&str) -> Option<T>,
        number: fn(&T) -> u32,
    ) -> Option<T> {
        let known = database.lines().filter_map(parse).find(|t| number(t) == wanted);
        if known.is_some() || !self.is_known_elsewhere(database) {
            return known;
        }
        let line = (self.elsewhere.ask)(database.name, &wanted.to_string())?;
        parse(&line).filter(|t| number(t) == wanted)
    }

    /// Whether numbers may be known elsewhere. A number needs no owner, so mostly the files are the
    /// last word; each question to `getent` costs more than the rest of the start.
    fn is_known_elsewhere(&self, database: &Database) -> bool {
        database.text.is_none()
            || self.elsewhere.switch.as_ref().is_none_or(|switch| {
                sources(switch, database.name).iter().any(|s| !LOCAL_SOURCES.contains(&s.as_str()))
            })
    }
}

impl Database {
    fn lines(&self) -> std::str::Lines<'_> {
        self.text.as_deref().unwrap_or("").lines()
    }
}

/// A whole file; one that does not exist is empty.
fn read(path: &str) -> Option<String> {
    match std::fs::read(path) {
        Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => Some(String::new()),
        Err(_) => None,
    }
}

/// The sources of a database in nsswitch.conf(5), without `[STATUS=ACTION]`; none if it is not there
/// (then glibc takes the files).
fn sources(switch: &str, database: &str) -> Vec<String> {
    let lines = switch.lines().filter_map(|l| l.split('#').next()?.split_once(':'));
    let Some((_, value)) = lines.into_iter().find(|(name, _)| name.trim() == database) else {
        return Vec::new();
    };
    // What stands before each `[` and after each `]`.
    let outside = value.split('[').enumerate().filter_map(|(index, part)| {
        if index == 0 { Some(part) } else { part.split_once(']').map(|(_, after)| after) }
    });
    outside.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

/// FNV-1a, 64 bits: stable over versions and machines, unlike the hashers of std.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

/// An id; 2^32 - 1 means "no change" to the kernel and is none.
fn id(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|n| digits && *n != u32::MAX)
}

/// A name that cannot be taken for an option or reach into another field.
fn plain(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(['-', '+'])
        && !name.contains([':', '\n', '\0', '/'])
        && !name.bytes().all(|b| b.is_ascii_digit())
}

fn passwd_line(line: &str) -> Option<User> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, _, home, shell] = fields.as_slice() else { return None };
    Some(User {
        name: owned(name)?,
        uid: id(uid)?,
        gid: id(gid)?,
        group: String::new(),
        home: (*home).to_owned(),
        shell: (*shell).to_owned(),
    })
}

fn subordinate() -> Vec<(u32, u32)> {
    let texts = ["/etc/subuid", "/etc/subgid"].map(|path| read(path).unwrap_or_default());
    texts.iter().flat_map(|text| text.lines().filter_map(subordinate_line)).collect()
}

/// `name:first:count` of subuid(5), as the first id and the one after the last.
fn subordinate_line(line: &str) -> Option<(u32, u32)> {
    let mut fields = line.split(':').skip(1);
    let (first, count) = (id(fields.next()?)?, id(fields.next()?)?);
    Some((first, first.saturating_add(count)))
}

fn group_line(line: &str) -> Option<Group> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, gid, _] = fields.as_slice() else { return None };
    Some(Group { name: owned(name)?, gid: id(gid)? })
}

/// A name; `+` and `-` begin the lines by which NIS is mixed in, which name nobody themselves.
fn owned(name: &str) -> Option<String> {
    (!name.is_empty() && !name.starts_with(['-', '+'])).then(|| name.to_owned())
}

/// One line of `getent DATABASE KEY`, run with nothing of the caller's environment. The line is
/// believed, not the exit status: a caller that ignores SIGCHLD makes the kernel throw that away.
fn getent(database: &str, key: &str) -> Option<String> {
    let mut command = Command::new("/usr/bin/getent");
    command.args([database, key]).env_clear().stdin(Stdio::null()).stderr(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).spawn().ok()?;
    let mut answer = Vec::new();
    let output = child.stdout.take().map(|out| out.take(LONGEST_ANSWER).read_to_end(&mut answer));
    if let Err(error) = child.wait() {
        log::debug!("getent {database} {key}: {error}");
    }
    output?.ok()?;
    let answer = String::from_utf8_lossy(&answer);
    let (line, rest) = answer.split_once('\n')?;
    rest.is_empty().then(|| line.to_owned())
}

#[cfg(test)]
mod tests;
