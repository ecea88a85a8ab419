//! Spec and facts become a [`Jail`]: every name a number, every default a value.
//!
//! `tree` does `[files]`; this file does the rest. Must not know: how anything is enforced.
#![forbid(unsafe_code)]

use super::facts::{Facts, Mapped, User};
pub use super::feature::Feature;
pub use super::privileges::CAPABILITIES;

use super::path::AbsPath;
use super::range::Owners;
use super::{GivenUp, Identity, Jail, Namespaces, Process, Resource, signals, tree};
use crate::problem::{At, Problem, Problems, Span, did_you_mean};
use crate::spec::keys::RLIMITS;
use crate::spec::{NetworkMode, Rlimit, Spec};

/// The oldest kernel that has every call of the set-up (`mount_setattr` 5.12, and the 5.14 fixes).
pub const OLDEST_KERNEL: (u32, u32) = (5, 14);

/// Resolves a spec, or says everything that is wrong with it on this host.
///
/// # Errors
/// All semantic problems at once.
pub fn resolve(name: &str, spec: &Spec, facts: &Facts, without: &[Feature]) -> Result<Jail, Problems> {
    let (major, minor) = facts.kernel.version;
    if (major, minor) < OLDEST_KERNEL {
        let needed = format!("{}.{}", OLDEST_KERNEL.0, OLDEST_KERNEL.1);
        return Err(Problem::set_up(format!(
            "this kernel is Linux {major}.{minor}; jail needs {needed} or later"
        ))
        .help("run a newer kernel: without its mount calls a jail could not be sealed")
        .into());
    }
    let mut context = Context { facts, without, given_up: Vec::new(), problems: Problems::default() };
    context.rootless();
    let namespaces = context.namespaces(spec);
    let identity = context.identity(spec, &namespaces);
    let privileges = context.privileges(spec, &namespaces);
    let network = context.network(name, spec, &namespaces, identity.as_ref(), privileges.as_ref());
    // Files are looked at also without a user or a command: all that is wrong is said at once.
    let owner = identity.clone().unwrap_or_else(unknown);
    let process = context.process(spec, identity, &namespaces);
    let (root, places, live) = tree::build(spec, facts, &owner, &namespaces, &mut context.problems);
    let notify = context.notify(&namespaces, &places);
    let exec = match (&process, &privileges) {
        (Some(process), Some(privileges)) => {
            let shown = super::programs::Shown { root: &root, places: &places };
            context.programs(spec, process, privileges, &shown)
        }
        _ => None,
    };
    let owners = match &process {
        Some(process) if namespaces.range.is_some() => context.owners(spec, &process.identity),
        _ => Owners::default(),
    };
    let limits = match &spec.limits {
        // Most have none, and nothing was asked.
        none if *none == Default::default() => Default::default(),
        _ => context.limits(name, spec, namespaces.pid),
    };
    let given_up = context.given_up;
    match (process, privileges, context.problems.0.is_empty()) {
        (Some(process), Some(privileges), true) => Ok(Jail {
            name: name.to_owned(),
            process,
            root,
            places,
            live,
            namespaces,
            network,
            notify,
            exec,
            owners,
            privileges,
            limits,
            given_up,
        }),
        _ => Err(context.problems),
    }
}

/// In place of a user that there is not, so that the rest of the spec can be looked at.
fn unknown() -> Identity {
    let (user, group) = ("nobody".to_owned(), "nogroup".to_owned());
    Identity { user, group, uid: 65534, gid: 65534, groups: Vec::new(), mapped: None, at: None }
}

/// What is known so far.
pub(super) struct Context<'a> {
    pub(super) facts: &'a Facts,
    pub(super) without: &'a [Feature],
    pub(super) given_up: Vec<GivenUp>,
    pub(super) problems: Problems,
}

impl Context<'_> {
    pub(super) fn lacks(&mut self, feature: Feature) -> bool {
        let lacks = self.without.contains(&feature);
        if lacks {
            let by = format!("--without {}", feature.name());
            self.given_up.push(GivenUp { what: feature.name().to_owned(), by, at: None });
        }
        lacks
    }

    /// Whether a feature is to be used: it is there, or it was given up, or it is a problem.
    pub(super) fn wants(&mut self, feature: Feature, there: bool, why: &str) -> bool {
        if self.lacks(feature) {
            return false;
        }
        if !there {
            self.problems.push(
                Problem::set_up(format!("this jail cannot have its {}: {why}", feature.promise()))
                    .help(format!("give it up knowingly with `--without {}`", feature.name())),
            );
        }
        there
    }

    fn namespaces(&mut self, spec: &Spec) -> Namespaces {
        let network = spec.network.mode.as_ref().map_or(NetworkMode::Host, |m| m.value);
        let mut namespaces = Namespaces {
            // Root of a namespace with a single id can do no more for a program than any user.
            user: self.facts.caller.uid != 0
                || self.facts.caller.mapped.as_ref().is_some_and(Mapped::is_single),
            range: self.range(spec),
            pid: true,
            ipc: true,
            uts: true,
            cgroup: true,
            net: network == NetworkMode::None,
        };
        for shared in &spec.privileges.share_namespaces {
            let flag = match shared.value.as_str() {
                "pid" => &mut namespaces.pid,
                "ipc" => &mut namespaces.ipc,
                "uts" => &mut namespaces.uts,
                "cgroup" => &mut namespaces.cgroup,
                other => {
                    let known = ["pid", "ipc", "uts", "cgroup"];
                    let mut problem =
                        Problem::usage(format!("there is no namespace `{other}` to share")).at(shared.at);
                    problem = match (other, did_you_mean(other, known)) {
                        ("net" | "network", _) => {
                            problem.help("the network is shared by [network] mode = \"host\"")
                        }
                        ("mount" | "mnt" | "user", _) => problem.help("this one is never shared"),
                        (_, Some(near)) => problem.help(format!("did you mean `{near}`?")),
                        (_, None) => problem.help("one of: pid, ipc, uts, cgroup"),
                    };
                    self.problems.push(problem);
                    continue;
                }
            };
            *flag = false;
            let what = format!("{} namespace", shared.value);
            self.given_up.push(GivenUp { what, by: "share-namespaces".into(), at: Some(shared.at) });
        }
        if !namespaces.pid {
            self.wants(
                Feature::Session,
                self.facts.caller.can_start_session,
                "with a shared pid namespace the program is executed in place, and this process is a job of a shell",
            );
        }
        namespaces
    }

    fn identity(&mut self, spec: &Spec, namespaces: &Namespaces) -> Option<Identity> {
        let at = spec.process.user.as_ref().map(|u| u.at);
        let wanted = spec.process.user.as_ref().map_or("auto", |u| u.value.as_str());
        let main = spec.process.group.as_ref().map(|group| self.group(group));
        let groups: Vec<_> = spec.process.groups.iter().map(|group| self.group(group)).collect();
        let user = if wanted == "auto" && namespaces.range.is_some() {
            User { name: "root".into(), group: "root".into(), ..User::default() }
        } else if wanted == "auto" {
            let Some((uid, gid)) = self.facts.auto else {
                // What keeps it from a range of ids was said where that was looked for.
                if !spec.privileges.user_namespace.as_ref().is_some_and(|u| u.value) {
                    let problem = Problem::set_up("no id of this host is free for user = \"auto\"");
                    self.problems.push(problem.at(at).help("name a user of this host"));
                }
                return None;
            };
            User { name: "jail".into(), uid, gid, group: "jail".into(), ..User::default() }
        } else {
            match self.facts.users.get(wanted) {
                Some(Some(user)) => user.clone(),
                _ => {
                    let problem = Problem::set_up(format!("there is no user {wanted:?} on this host"));
                    let help = "install the package that makes it, name another, or write user = \"auto\"";
                    self.problems.push(problem.at(at).help(help));
                    return None;
                }
            }
        };
        let gid = main.unwrap_or_else(|| Some((user.gid, user.group.clone())))?;
        let mut groups: Vec<u32> = groups.into_iter().flatten().map(|(gid, _)| gid).collect();
        groups.sort_unstable();
        groups.dedup();
        let mapped = if namespaces.user {
            self.map(spec, wanted, &user, gid.0)?
        } else {
            if namespaces.range.is_none() {
                self.exist(at, user.uid, &groups.iter().chain([&gid.0]).copied().collect::<Vec<_>>());
            }
            None
        };
        let identity =
            Identity { user: user.name, group: gid.1, uid: user.uid, gid: gid.0, groups, mapped, at };
        if namespaces.range.is_some() {
            self.within_range(spec, &identity);
        }
        Some(identity)
    }

    /// In a container not every id exists: the kernel would refuse it without a word.
    fn exist(&mut self, at: Option<Span>, uid: u32, gids: &[u32]) {
        let Some(mapped) = &self.facts.caller.mapped else { return };
        let has = |ranges: &[(u32, u32)], id: u32| {
            ranges.iter().any(|(first, count)| id.checked_sub(*first).is_some_and(|offset| offset < *count))
        };
        let words = |ranges: &[(u32, u32)]| -> String {
            let range = |(first, count): &(u32, u32)| format!("{first}-{}", first.saturating_add(count - 1));
            ranges.iter().filter(|r| r.1 > 0).map(range).collect::<Vec<_>>().join(", ")
        };
        let users = (!has(&mapped.users, uid)).then(|| ("user", uid, words(&mapped.users)));
        let groups = gids.iter().filter(|gid| !has(&mapped.groups, **gid));
        for (what, id, there) in users.into_iter().chain(groups.map(|g| ("group", *g, words(&mapped.groups))))
        {
            let problem = Problem::set_up(format!(
                "the {what} id {id} does not exist in the user namespace that jail runs in (a container?)"
            ));
            let problem = problem.help(format!("name a user with ids that exist there: {there}"));
            self.problems
                .push(problem.help("or give the container more ids (/etc/subuid, /etc/subgid)").at(at));
        }
    }

    pub(super) fn group(&mut self, wanted: &At<String>) -> Option<(u32, String)> {
        match self.facts.groups.get(&wanted.value) {
            Some(Some(group)) => Some((group.gid, group.name.clone())),
            _ => {
                let problem = Problem::set_up(format!("there is no group {:?} on this host", wanted.value));
                self.problems.push(problem.at(wanted.at).help("name an existing group, or remove it"));
                None
            }
        }
    }

    /// Without root only one id exists inside: it may be called anything that is nobody else's.
    #[allow(clippy::type_complexity, reason = "outer None: a problem; inner: the ids outside")]
    fn map(&mut self, spec: &Spec, wanted: &str, user: &User, gid: u32) -> Option<Option<(u32, u32)>> {
        let caller = &self.facts.caller;
        if wanted != "auto" && (user.uid != caller.uid || gid != caller.gid) {
            let at = spec.process.user.as_ref().map(|u| u.at);
            self.problems.push(
                Problem::set_up(match caller.uid {
                    0 => format!("this user namespace has a single id, so nothing can run in it as {wanted}"),
                    _ => format!("only root can run a program as {wanted}"),
                })
                .at(at)
                .help("run jail as root, or write user = \"auto\""),
            );
            return None;
        }
        if let Some(group) = spec.process.groups.first() {
            let problem = Problem::set_up("only root can give a program supplementary groups");
            self.problems.push(problem.at(group.at).help("run jail as root, or remove `groups`"));
            return None;
        }
        if !caller.groups.is_empty() || self.without.contains(&Feature::Groups) {
            self.wants(
                Feature::Groups,
                false,
                "only root can drop supplementary groups, and the caller has some",
            );
        }
        Some(Some((caller.uid, caller.gid)))
    }

    fn process(
        &mut self,
        spec: &Spec,
        identity: Option<Identity>,
        namespaces: &Namespaces,
    ) -> Option<Process> {
        let process = &spec.process;
        let command = process.command.clone().filter(|c| c.value.first().is_some_and(|p| !p.is_empty()));
        if command.is_none() {
            let at = process.command.as_ref().map(|c| c.at);
            self.problems.push(
                Problem::usage("there is no command to run")
                    .at(at)
                    .help("write [process] command = [\"/usr/bin/program\", \"argument\"], or add `-- PROGRAM ARGUMENT...`"),
            );
        }
        if let Some(At { value, at }) = &command
            && let Some(program) = value.first().filter(|p| p.contains('/'))
        {
            match AbsPath::new(program) {
                Err("is not absolute") => self.problems.push(
                    Problem::usage(format!("the program {program:?} is not named by an absolute path"))
                        .at(*at)
                        .help("name it as it is called inside, such as \"/usr/bin/id\"; a name without `/` is looked up in the jail's PATH"),
                ),
                _ => {
                    super::ask::checked(program, *at, &mut self.problems);
                }
            }
        }
        let signal = |problems: &mut Problems, key: Option<&At<String>>, default: i32| match key {
            None => default,
            Some(name) => super::signals::number(&name.value).unwrap_or_else(|| {
                problems.push(super::signals::unknown(name));
                default
            }),
        };
        let cwd_at = process.cwd.as_ref().map(|c| c.at);
        let cwd = match &process.cwd {
            None => Some(AbsPath::root()),
            Some(path) => super::ask::checked(&path.value, path.at, &mut self.problems),
        };
        let stop_signal = signal(&mut self.problems, process.stop_signal.as_ref(), signals::TERM);
        let reload_signal = signal(&mut self.problems, process.reload_signal.as_ref(), signals::HUP);
        let rlimits = self.rlimits(spec);
        let (forking, main_pid_file) = self.forking(process, namespaces);
        Some(Process {
            command: command?,
            identity: identity?,
            umask: process.umask.as_ref().map_or(0o022, |u| u.value),
            cwd: cwd?,
            cwd_at,
            env: self.environment(spec),
            stop_signal,
            reload_signal,
            stop_timeout: process.stop_timeout.as_ref().map_or(DEFAULT_STOP_TIMEOUT, |t| t.value),
            nice: process.nice.as_ref().map_or(0, |n| i32::try_from(n.value).unwrap_or(0)),
            oom_score_adjust: process
                .oom_score_adjust
                .as_ref()
                .map(|o| At::new(i32::try_from(o.value).unwrap_or(0), o.at)),
            rlimits,
            terminal: process.terminal.as_ref().is_some_and(|t| t.value) && self.facts.caller.terminal,
            forking,
            main_pid_file,
        })
    }

    /// The spec's alone: nothing of the caller's but what `keep-env` names.
    fn environment(&self, spec: &Spec) -> Vec<(String, String)> {
        let mut env: Vec<(String, String)> = vec![("PATH".into(), DEFAULT_PATH.into())];
        let kept = spec.process.keep_env.iter();
        let kept = kept.filter_map(|k| Some((k.value.clone(), self.facts.env.get(&k.value)?.clone())));
        let written = spec.process.env.iter().map(|(k, v)| (k.value.clone(), v.value.clone()));
        for (key, value) in kept.chain(written) {
            match env.iter_mut().find(|(k, _)| *k == key) {
                Some(known) => known.1 = value,
                None => env.push((key, value)),
            }
        }
        env
    }

    fn rlimits(&mut self, spec: &Spec) -> Vec<(Resource, Rlimit, Option<Span>)> {
        let mut limits = Vec::new();
        // A core dump of a server is its memory with all keys, in a file.
        if !spec.process.rlimits.iter().any(|(name, _)| name.value == "core") {
            limits.push((
                Resource { number: 4, name: "core" },
                Rlimit { soft: Some(0), hard: Some(0) },
                None,
            ));
        }
        for (name, limit) in &spec.process.rlimits {
            match RLIMITS.iter().position(|known| *known == name.value) {
                Some(number) => {
                    let resource =
                        Resource { number: u32::try_from(number).unwrap_or(0), name: RLIMITS[number] };
                    limits.push((resource, limit.value, Some(name.at)));
                }
                None => {
                    let problem =
                        Problem::usage(format!("there is no resource limit `{}`", name.value)).at(name.at);
                    self.problems.push(match did_you_mean(&name.value, RLIMITS.iter().copied()) {
                        Some(near) => problem.help(format!("did you mean `{near}`?")),
                        None => problem.help(format!("one of: {}", RLIMITS.join(", "))),
                    });
                }
            }
        }
        limits.sort_by_key(|l| l.0);
        limits
    }
}

/// Milliseconds between stop signal and SIGKILL unless the spec says otherwise.
pub const DEFAULT_STOP_TIMEOUT: u64 = 30_000;

/// `PATH` unless the spec says otherwise.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
