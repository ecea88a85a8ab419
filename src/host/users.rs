//! Users and groups, from the files first and from `getent` for those that live elsewhere (LDAP,
//! systemd): a static build cannot load NSS modules, and no build should, as root.
//!
//! Must not know: who will run as whom.

use crate::jail::facts::{Group, User};
use std::collections::BTreeSet;
use std::process::{Command, Stdio};

/// /etc/passwd and /etc/group as they were when asked.
pub struct Databases {
    passwd: String,
    group: String,
}

/// Ids for `auto`: below 2^31 and above every range of systemd's UIDS-GIDS document (containers end
/// at 1879048191), so that no tool hands them out.
const FIRST: u32 = 0x7a00_0000;
const COUNT: u32 = 0x0040_0000;

impl Databases {
    /// Reads both files; one that cannot be read is empty, and `getent` is asked.
    pub fn read() -> Self {
        let read =
            |path| std::fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
        Databases { passwd: read("/etc/passwd"), group: read("/etc/group") }
    }

    /// A user by name or number. A number that nobody has is a user of its own, with the same gid.
    pub fn user(&self, wanted: &str) -> Option<User> {
        let number = id(wanted);
        if number.is_none() && !plain(wanted) {
            return None;
        }
        let matches = |u: &User| u.name == wanted || Some(u.uid) == number;
        let mut user = self
            .passwd
            .lines()
            .filter_map(passwd_line)
            .find(|u| matches(u))
            .or_else(|| getent("passwd", wanted).and_then(|l| passwd_line(&l)).filter(matches))
            .or_else(|| {
                number.map(|n| User {
                    name: wanted.into(),
                    uid: n,
                    gid: n,
                    home: "/".into(),
                    ..User::default()
                })
            })?;
        user.group = self.group(&user.gid.to_string()).map_or_else(|| user.gid.to_string(), |g| g.name);
        Some(user)
    }

    /// A group by name or number. A number that no group has is one of its own.
    pub fn group(&self, wanted: &str) -> Option<Group> {
        let number = id(wanted);
        if number.is_none() && !plain(wanted) {
            return None;
        }
        let matches = |g: &Group| g.name == wanted || Some(g.gid) == number;
        self.group
            .lines()
            .filter_map(group_line)
            .find(|g| matches(g))
            .or_else(|| getent("group", wanted).and_then(|l| group_line(&l)).filter(matches))
            .or_else(|| number.map(|n| Group { name: wanted.into(), gid: n }))
    }

    /// A uid and gid for the jail of this name: always the same, unless somebody has it.
    pub fn free_ids(&self, name: &str) -> (u32, u32) {
        let uids = self.passwd.lines().filter_map(passwd_line).map(|u| u.uid);
        let gids = self.group.lines().filter_map(group_line).map(|g| g.gid);
        let taken: BTreeSet<u32> = uids.chain(gids).collect();
        let start = u32::try_from(fnv1a(name.as_bytes()) % u64::from(COUNT)).unwrap_or(0);
        let free = (0..COUNT).map(|n| FIRST + (start + n) % COUNT).find(|id| !taken.contains(id));
        let id = free.unwrap_or(FIRST);
        (id, id)
    }
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
        && !name.starts_with('-')
        && !name.contains([':', '\n', '\0', '/'])
        && !name.bytes().all(|b| b.is_ascii_digit())
}

fn passwd_line(line: &str) -> Option<User> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, _, home, shell] = fields.as_slice() else { return None };
    Some(User {
        name: (*name).to_owned(),
        uid: id(uid)?,
        gid: id(gid)?,
        group: String::new(),
        home: (*home).to_owned(),
        shell: (*shell).to_owned(),
    })
}

fn group_line(line: &str) -> Option<Group> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, gid, _] = fields.as_slice() else { return None };
    Some(Group { name: (*name).to_owned(), gid: id(gid)? })
}

/// One line of `getent DATABASE KEY`, run with nothing of the caller's environment.
fn getent(database: &str, key: &str) -> Option<String> {
    let mut command = Command::new("/usr/bin/getent");
    command.args([database, key]).env_clear().stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().ok().filter(|o| o.status.success())?;
    String::from_utf8(output.stdout).ok()?.lines().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn databases() -> Databases {
        Databases {
            passwd: "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33:www:/var/www:/usr/sbin/nologin\nbroken:x\nmax:x:4294967295:1::/:\n".into(),
            group: "root:x:0:\nwww-data:x:33:\nadm:x:4:syslog,joe\n".into(),
        }
    }

    #[test]
    fn names_and_numbers_are_found() {
        let user = databases().user("www-data").unwrap();
        assert_eq!((user.uid, user.gid, user.group.as_str()), (33, 33, "www-data"));
        assert_eq!(databases().user("33").unwrap().name, "www-data");
        assert_eq!(databases().group("adm").unwrap().gid, 4);
        assert_eq!(databases().group("4").unwrap().name, "adm");
    }

    #[test]
    fn dangerous_ids_and_names_are_nobody() {
        for text in ["4294967295", "4294967296", "-1", "", "a:b", "a\nb", "-x", "max", "broken", "+0", "0x0"]
        {
            assert_eq!(databases().user(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_number_that_nobody_has_is_a_user_of_its_own() {
        let user = databases().user("2000111222").unwrap();
        assert_eq!((user.uid, user.gid), (2_000_111_222, 2_000_111_222));
    }

    #[test]
    fn auto_ids_are_stable_distinct_and_free() {
        let (uid, gid) = databases().free_ids("nginx");
        assert_eq!((uid, gid), databases().free_ids("nginx"));
        assert_eq!(uid, gid);
        assert!((FIRST..FIRST + COUNT).contains(&uid));
        assert_ne!(uid, databases().free_ids("redis").0);
        let mut taken = databases();
        taken.passwd += &format!("x:x:{uid}:1::/:\n");
        taken.group += &format!("y:x:{}:\n", uid + 1);
        assert_eq!(taken.free_ids("nginx").0, uid + 2);
    }
}
