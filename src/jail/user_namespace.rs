//! User namespaces resolved: the range of ids of `user-namespace = true`, and whether a caller who is
//! not root may make a namespace at all.
//!
//! Must not know: how a namespace is made.
#![forbid(unsafe_code)]

use super::facts::{End, UserNamespaces};
use super::path::AbsPath;
use super::range::{LAST, NOBODY, Owners, Range};
use super::resolve::Context;
use super::{Identity, Ids, Namespaces};
use crate::problem::{At, Problem, Span};
use crate::spec::{Root, Spec};

/// Capabilities that mean something in a user namespace that owns nothing but processes and files:
/// every other one the kernel asks for over what belongs to the host (capabilities(7)).
const EFFECTIVE: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_ADMIN",
    "SETFCAP",
];

/// And these, where it owns the other namespaces too: without root.
const EFFECTIVE_WITHOUT_ROOT: &[&str] = &[
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_OWNER",
    "SYS_BOOT",
    "CHECKPOINT_RESTORE",
];

impl Context<'_> {
    /// The jail's range of ids, if it is to have one.
    pub(super) fn range(&mut self, spec: &Spec) -> Option<Range> {
        let At { at, .. } = spec.privileges.user_namespace.as_ref().filter(|u| u.value)?;
        if self.facts.caller.uid != 0 {
            self.problems.push(
                Problem::set_up("only root can give a jail a range of ids of its own")
                    .at(*at)
                    .help("run jail as root, or remove the key: without root every jail has a user namespace of a single id"),
            );
            return None;
        }
        let range = self.facts.range.and_then(Range::new);
        if range.is_none() {
            let problem = Problem::set_up("all ranges of ids kept for jails have users of this host in them");
            self.problems.push(problem.at(*at).help("name a user instead: [process] user = \"www-data\""));
        }
        range
    }

    /// Every id of the program must be there inside, or it could not be taken.
    pub(super) fn within_range(&mut self, spec: &Spec, identity: &Identity) {
        let mut ids = vec![("user", identity.uid, identity.at), ("group", identity.gid, identity.at)];
        if let Some(group) = &spec.process.group {
            ids[1].2 = Some(group.at);
        }
        let first = spec.process.groups.first().map(|g| g.at);
        ids.extend(identity.groups.iter().map(|gid| ("group", *gid, first)));
        for (what, id, at) in ids.into_iter().filter(|(_, id, _)| !Range::has(*id)) {
            self.problems.push(
                Problem::set_up(format!("there is no {what} {id} in the jail's user namespace")).at(at).help(
                    format!("the ids 0 to {LAST} and {NOBODY} are: name one of them, or remove `{what}`"),
                ),
            );
        }
    }

    /// Users and groups of the host that are somebody in `write` directories: the program's own, and
    /// those whom the directories belong to.
    pub(super) fn owners(&mut self, spec: &Spec, identity: &Identity) -> Owners {
        let mut owners = Owners::default();
        for gid in identity.groups.iter().chain([&identity.gid]) {
            owners.add(Ids { uid: identity.uid, gid: *gid });
        }
        let root = spec.files.root.iter().filter_map(|root| match &root.value {
            Root::Directory { path, write: true } => Some((path, root.at)),
            _ => None,
        });
        let written = spec.files.write.iter().map(|entry| (&entry.value.path, entry.at)).chain(root);
        let mut last = None;
        for (path, at) in written {
            let fact = AbsPath::new(path).ok().and_then(|path| self.facts.paths.get(&path));
            if let Some(Ok(end)) = fact.map(|fact| &fact.end) {
                owners.add(Ids { uid: end.uid, gid: end.gid });
                last = Some(at);
            }
        }
        if owners.uids.len().max(owners.gids.len()) > Owners::MOST {
            let most = Owners::MOST;
            let problem =
                Problem::set_up(format!("more than {most} different owners of `write` directories"));
            self.problems.push(problem.at(last).help("name a directory above them that has one owner"));
        }
        owners
    }

    /// What is known to forbid a namespace is said before anything is tried.
    pub(super) fn rootless(&mut self) {
        const SYS_ADMIN: u64 = 1 << 21;
        let caller = &self.facts.caller;
        let able = caller.capabilities & SYS_ADMIN != 0;
        let why = self.facts.kernel.user_namespaces;
        if caller.uid == 0 || able && why != UserNamespaces::NoneAtAll {
            return;
        }
        let (cause, help): (_, &[&str]) = match why {
            UserNamespaces::Allowed => return,
            UserNamespaces::NoneAtAll => {
                ("user.max_user_namespaces is 0", &["as root: sysctl user.max_user_namespaces=10000"])
            }
            UserNamespaces::RootOnly => (
                "kernel.unprivileged_userns_clone is 0",
                &["as root: sysctl kernel.unprivileged_userns_clone=1"],
            ),
            UserNamespaces::AppArmor => (
                "AppArmor takes all capabilities away in it (kernel.apparmor_restrict_unprivileged_userns is 1)",
                &[
                    "as root, allow it to jail alone: write into /etc/apparmor.d/jail, with the path where jail is,",
                    "    abi <abi/4.0>,",
                    "    profile jail /usr/local/bin/jail flags=(unconfined) { userns, }",
                    "and load that: apparmor_parser -r /etc/apparmor.d/jail",
                ],
            ),
        };
        let mut problem = Problem::set_up(format!(
            "without root a jail needs a user namespace, and this host forbids it: {cause}"
        ));
        for line in help {
            problem = problem.help(*line);
        }
        self.problems.push(problem.help("or run jail as root: the program still runs as a user of its own"));
    }

    /// Whether a capability would be an empty word in this jail, and what to do instead.
    pub(super) fn without_effect(name: &str, namespaces: &Namespaces) -> Option<Problem> {
        if EFFECTIVE.contains(&name) {
            return None;
        }
        if namespaces.user && !EFFECTIVE_WITHOUT_ROOT.contains(&name) {
            let problem = Problem::set_up(format!("only root can give a program CAP_{name}"));
            return Some(
                problem.help("run jail as root, or remove the capability: here it would have no effect"),
            );
        }
        namespaces.range?;
        let problem = Problem::set_up(format!(
            "CAP_{name} has no effect with user-namespace = true: what it is about belongs to the host"
        ));
        Some(match name {
            "NET_BIND_SERVICE" => problem
                .help("let the service manager pass the socket, or use a port from 1024 up")
                .help("or allow lower ports to everybody: sysctl net.ipv4.ip_unprivileged_port_start=80")
                .help("or remove user-namespace, and name a `user`: most servers need no root then"),
            "SYS_NICE" => problem.help("remove it; [process] nice is set before, by jail"),
            "SYS_RESOURCE" => problem.help("remove it; [process] rlimits are set before, by jail"),
            _ => problem.help("remove the capability, or user-namespace"),
        })
    }
}

/// A `write` directory whose owner or group is nobody inside: the kernel refuses every write to it.
pub fn unwritable(end: &End, range: Range, at: Span) -> Option<Problem> {
    if range.can_show(end.uid) && range.can_show(end.gid) {
        return None;
    }
    let (path, root) = (&end.path, range.root());
    Some(
        Problem::set_up(format!(
            "nothing could be written to {path}: its owner {}:{} is nobody in the jail's user namespace",
            end.uid, end.gid
        ))
        .at(at)
        .help(format!("give it to the jail's own root: chown {root}:{root} {path}"))
        .help(format!("or to the user and group who write to it (any ids from 1 to {LAST})"))
        .help("or name only those directories below it in `write` that belong to them"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jail::resolve::CAPABILITIES;

    #[test]
    fn effective_capabilities_exist() {
        let mut all = EFFECTIVE.iter().chain(EFFECTIVE_WITHOUT_ROOT);
        assert!(all.all(|name| CAPABILITIES.contains(name)));
    }
}
