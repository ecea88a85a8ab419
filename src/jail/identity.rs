//! /etc/passwd, /etc/group and /etc/nsswitch.conf of a jail: only who is needed, looked up before
//! entering, because inside there is no name service to ask.
#![forbid(unsafe_code)]

use super::Identity;
use super::facts::{Facts, User};

/// Paths and contents.
pub fn files(identity: &Identity, facts: &Facts) -> Vec<(&'static str, String)> {
    vec![
        ("/etc/passwd", passwd(identity, facts)),
        ("/etc/group", group(identity, facts)),
        ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nservices: files\nprotocols: files\n".into()),
    ]
}

/// root and nobody, because programs look them up without need, and the program's own user.
fn passwd(identity: &Identity, facts: &Facts) -> String {
    let known = facts.users.values().flatten().find(|u: &&User| u.uid == identity.uid);
    let home = known.map(|u| u.home.as_str()).filter(|h| !h.is_empty()).unwrap_or("/");
    let mut out = String::new();
    if identity.uid != 0 {
        out += "root:x:0:0:root:/:/usr/sbin/nologin\n";
    }
    out += &format!(
        "{}:x:{}:{}::{}:/usr/sbin/nologin\n",
        field(&identity.user),
        identity.uid,
        identity.gid,
        field(home)
    );
    if identity.uid != 65534 && identity.user != "nobody" {
        out += "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n";
    }
    out
}

fn group(identity: &Identity, facts: &Facts) -> String {
    let mut lines = vec![(0, "root".to_owned(), false), (identity.gid, identity.group.clone(), false)];
    for gid in &identity.groups {
        let name = facts.groups.values().flatten().find(|g| g.gid == *gid).map(|g| g.name.clone());
        lines.push((*gid, name.unwrap_or_else(|| gid.to_string()), true));
    }
    // Of two lines with one name, look-ups by name would see only the first.
    if !lines.iter().any(|(_, name, _)| name == "nogroup") {
        lines.push((65534, "nogroup".into(), false));
    }
    let mut out = String::new();
    let mut seen = Vec::new();
    for (gid, name, member) in lines {
        if !seen.contains(&gid) {
            seen.push(gid);
            let members = if member { field(&identity.user) } else { String::new() };
            out += &format!("{}:x:{gid}:{members}\n", field(&name));
        }
    }
    out
}

/// A value that cannot reach into the next field or line.
fn field(text: &str) -> String {
    text.replace([':', '\n', '\r', '\0'], "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jail::facts::Group;

    fn identity() -> Identity {
        Identity {
            user: "www-data".into(),
            group: "www-data".into(),
            uid: 33,
            gid: 33,
            groups: vec![4, 99],
            mapped: None,
            at: None,
        }
    }

    #[test]
    fn only_who_is_needed() {
        let mut facts = Facts::default();
        let user =
            User { name: "www-data".into(), uid: 33, gid: 33, home: "/var/www".into(), ..User::default() };
        facts.users.insert("www-data".into(), Some(user));
        facts.groups.insert("adm".into(), Some(Group { name: "adm".into(), gid: 4 }));
        let files = files(&identity(), &facts);
        assert_eq!(
            files[0].1,
            "root:x:0:0:root:/:/usr/sbin/nologin\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
        );
        assert_eq!(
            files[1].1,
            "root:x:0:\nwww-data:x:33:\nadm:x:4:www-data\n99:x:99:www-data\nnogroup:x:65534:\n"
        );
    }

    #[test]
    fn a_name_stands_once() {
        let unusual = Identity { group: "nogroup".into(), gid: 99, groups: Vec::new(), ..identity() };
        assert_eq!(group(&unusual, &Facts::default()), "root:x:0:\nnogroup:x:99:\n");
        let nobody = Identity { user: "nobody".into(), uid: 65534, ..identity() };
        assert_eq!(passwd(&nobody, &Facts::default()).matches("nobody").count(), 1);
        let root = Identity { user: "root".into(), uid: 0, group: "root".into(), gid: 0, ..identity() };
        assert_eq!(passwd(&root, &Facts::default()).lines().filter(|l| l.contains(":0:0:")).count(), 1);
    }

    #[test]
    fn no_name_can_add_a_line() {
        let hostile = Identity { user: "a:b\nroot2:x:0:0::/:/bin/sh".into(), ..identity() };
        let text = passwd(&hostile, &Facts::default());
        assert_eq!(text.lines().count(), 3);
        assert!(text.lines().all(|l| l.matches(':').count() == 6));
    }
}
