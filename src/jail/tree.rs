//! `[files]`: what is placed where. Host links are mirrored, what is covered is dropped, and two
//! different things at one place are a problem.
//!
//! Must not know: how anything is mounted. The order of lines in a spec never matters: places are
//! sorted by path, parents first.
#![forbid(unsafe_code)]

mod image;
mod links;
mod live;
mod nesting;
mod system;

use super::ask::checked;
use super::facts::{End, Facts, FileKind, Hop, PathFact};
use super::live::LiveSource;
use super::path::AbsPath;
use super::range::Range;
use super::user_namespace::unwritable;
use super::{BindKind, Identity, Ids, Namespaces, Place, Root, What, tmpfs_defaults};
use crate::problem::{At, Problem, Problems, Span};
use crate::spec::{self, Owner, PathEntry, Spec};
use std::collections::{BTreeMap, BTreeSet};

/// Regular files up to this size are copied; larger ones must be bound, and say so.
pub const COPY_LIMIT: u64 = 1 << 20;

/// Places of a spec, parents before children, and which of them follow the host.
pub fn build(
    spec: &Spec,
    facts: &Facts,
    identity: &Identity,
    namespaces: &Namespaces,
    problems: &mut Problems,
) -> (Root, Vec<Place>, Vec<LiveSource>) {
    let (places, mount_points) = (BTreeMap::new(), BTreeMap::new());
    let range = namespaces.range;
    let (live, kept_links) = (Vec::new(), BTreeSet::new());
    let mut tree = Tree {
        facts,
        identity,
        range,
        places,
        foreign: None,
        mount_points,
        live,
        kept_links,
        watched: namespaces.pid,
        problems,
    };
    let root = tree.root(spec);
    for entry in &spec.files.link {
        let target = entry.value.to.clone();
        tree.place_written(&entry.value.path, entry.at, What::Link { target });
    }
    for entry in &spec.files.read {
        tree.show(entry, false);
    }
    for entry in &spec.files.write {
        tree.show(entry, true);
    }
    tree.tmpfs_and_text(spec);
    tree.common_links();
    tree.devices(spec);
    tree.notify_socket(namespaces);
    tree.proc(spec, namespaces);
    if tree.foreign.is_none() {
        tree.identity_files();
    }
    // Our own links, as the spec has them; then those of a given root, which may move one of ours.
    tree.settle();
    tree.follow_image();
    tree.settle();
    tree.drop_covered();
    tree.check_nesting();
    tree.add_parents();
    let live = tree.live();
    let mut places: Vec<Place> = tree.places.into_values().collect();
    places.sort_by(|a, b| (a.path.depth(), &a.path).cmp(&(b.path.depth(), &b.path)));
    (root, places, live)
}

pub(super) struct Tree<'a> {
    pub(super) facts: &'a Facts,
    identity: &'a Identity,
    range: Option<Range>,
    places: BTreeMap<AbsPath, Place>,
    /// The host directory that is `/`, if it is not our own skeleton.
    foreign: Option<(AbsPath, Span)>,
    /// Places that this directory has itself, without links, to be mounted on.
    mount_points: BTreeMap<AbsPath, FileKind>,
    /// Sources of copies.
    live: Vec<LiveSource>,
    /// Links that lead to something else than copies: as it does not follow the host, neither do they.
    kept_links: BTreeSet<AbsPath>,
    /// A process of jail stays outside.
    watched: bool,
    problems: &'a mut Problems,
}

impl Tree<'_> {
    fn root(&mut self, spec: &Spec) -> Root {
        let Some(At { value: spec::Root::Directory { path, write }, at }) = &spec.files.root else {
            return Root::Skeleton;
        };
        let Some(path) = checked(path, *at, self.problems) else { return Root::Skeleton };
        let Some(end) = self.end(&path, *at, false, None) else { return Root::Skeleton };
        if end.kind != FileKind::Directory {
            self.problems.push(Problem::set_up(format!("the root {path} is not a directory")).at(*at));
            return Root::Skeleton;
        }
        self.foreign = Some((end.path.clone(), *at));
        if *write {
            self.check_owner(&end, *at);
        }
        Root::Directory { source: end.path, write: *write, at: *at }
    }

    /// What is at the end of a host path; `None` if that was a problem, or it is optional and missing.
    /// `optional`: what the entry says of it; `None` where the language has no such key.
    fn end(&mut self, path: &AbsPath, at: Span, follow: bool, optional: Option<bool>) -> Option<End> {
        let fact = self.facts.paths.get(path)?;
        match &fact.end {
            Ok(end) => self.trusted(&fact.hops, at, follow).then(|| end.clone()),
            Err(stop) if optional == Some(true) && stop.errno == libc_errno::ENOENT => None,
            Err(stop) => {
                let why = libc_errno::text(stop.errno);
                let mut problem = Problem::set_up(format!("cannot show {path} in the jail: {why}")).at(at);
                if stop.path != *path {
                    problem = problem.help(format!("it is {} that is the obstacle", stop.path));
                }
                self.problems.push(match stop.errno {
                    libc_errno::ENOENT if optional.is_none() => problem.help("create it, or name another"),
                    libc_errno::ENOENT => {
                        problem.help(format!("create it, or write {{ path = \"{path}\", optional = true }}"))
                    }
                    libc_errno::ELOOP => {
                        problem.help("its symbolic links lead in a circle: repair them on the host")
                    }
                    libc_errno::EACCES => problem.help("run jail as a user who may search that directory"),
                    _ => problem.help("name a path that exists on this host"),
                });
                None
            }
        }
    }

    /// A service that may write to a directory could put a link there and have any file shown at
    /// the next start.
    fn trusted(&mut self, hops: &[Hop], at: Span, follow: bool) -> bool {
        let bad = hops.iter().find_map(|hop| Some((hop, hop.untrusted.as_ref()?)));
        let Some((hop, directory)) = bad.filter(|_| !follow) else { return true };
        let problem = Problem::set_up(format!(
            "the link {} -> {} is not trusted: others than root can write to {directory}",
            hop.link, hop.target
        ));
        let help = "name the target itself, or write follow = true if everybody who can write there may choose what is shown";
        self.problems.push(problem.at(at).help(help));
        false
    }

    /// What is behind a link into /proc is of the process that looks: of jail itself, here.
    fn leads_into_proc(&mut self, path: &AbsPath, end: &End, at: Span) -> bool {
        let proc = AbsPath::root().join("proc");
        let mut hops = self.fact(path).map(|f| f.hops.clone()).unwrap_or_default().into_iter();
        let into =
            hops.find(|hop| hop.link.resolve_link(&hop.target).is_some_and(|end| end.is_within(&proc)));
        let Some(hop) = into.filter(|hop| end.path.is_within(&proc) && !hop.link.is_within(&proc)) else {
            return false;
        };
        let target = &hop.target;
        let problem = Problem::usage(format!(
            "{path} leads into /proc by the link {} -> {target}: it would show jail's own process",
            hop.link
        ));
        let entry = format!("{{ path = \"{}\", to = \"{target}\" }}", hop.link);
        self.problems.push(
            problem.at(at).help(format!(
                "put the link into the jail, whose /proc is its own: [files] link = [{entry}]"
            )),
        );
        true
    }

    /// In a user namespace, whether a writable directory has an owner who is somebody inside.
    fn check_owner(&mut self, end: &End, at: Span) {
        self.problems.0.extend(self.range.and_then(|range| unwritable(end, range, at)));
    }

    /// A copy whose owner or mode the spec chooses gives a file to the program that it may not read on
    /// the host. Whoever may write to the directory could choose the file: by a hard link, or by
    /// moving it there.
    fn may_hand_over(&mut self, end: &End, entry: &At<PathEntry>) -> bool {
        let e = &entry.value;
        let given = end.kind == FileKind::File && !e.bind && (e.owner.is_some() || e.mode.is_some());
        let Some(directory) = end.untrusted.as_ref().filter(|_| given && !e.follow) else { return true };
        let problem = Problem::set_up(format!(
            "{} may not be read by everybody and would be handed over, but others than root can write to {directory} and could have put any file there",
            end.path
        ));
        let help = "keep it in a directory that only root can write to, or write follow = true if everybody who can write there may choose what is shown";
        self.problems.push(problem.at(entry.at).help(help));
        false
    }

    fn fact(&self, path: &AbsPath) -> Option<&PathFact> {
        self.facts.paths.get(path)
    }

    fn show(&mut self, entry: &At<PathEntry>, write: bool) {
        let e = &entry.value;
        let Some(path) = checked(&e.path, entry.at, self.problems) else { return };
        if write && e.create.is_some() && self.create(&path, entry) {
            return;
        }
        let Some(end) = self.end(&path, entry.at, e.follow, Some(e.optional)) else { return };
        if self.leads_into_proc(&path, &end, entry.at) {
            return;
        }
        if write && (e.bind || end.kind == FileKind::Directory) {
            self.check_owner(&end, entry.at);
        }
        let inside = match &e.at {
            Some(at) => match checked(at, entry.at, self.problems) {
                Some(at) => at,
                None => return,
            },
            None => self.same_place(&path, end.path.clone(), entry.at),
        };
        if !self.may_hand_over(&end, entry) {
            return;
        }
        if !write && self.is_link_directory(&path, &end, e) {
            return self.show_links(&path, &end, entry, inside);
        }
        if let Some(what) = self.shown(&end, entry, write) {
            self.note(&path, &end, entry, matches!(what, What::Copy { .. }));
            self.place(inside, Some(entry.at), what);
        }
    }

    /// A missing directory that is to be made. False if it is there already.
    fn create(&mut self, path: &AbsPath, entry: &At<PathEntry>) -> bool {
        let missing =
            self.fact(path).is_some_and(|f| f.end.as_ref().is_err_and(|s| s.errno == libc_errno::ENOENT));
        if !missing {
            return false;
        }
        let parent = path.parent().unwrap_or_else(AbsPath::root);
        let Some(end) = self.end(&parent, entry.at, entry.value.follow, None) else { return true };
        let source = end.path.join(path.name());
        let owner = self.ids(entry.value.owner.unwrap_or(Owner::Process));
        let what = What::Bind {
            source: source.clone(),
            kind: BindKind::Directory,
            write: true,
            exec: entry.value.exec.unwrap_or(false),
            create: Some((entry.value.create.unwrap_or(0o755), owner)),
        };
        let inside = match &entry.value.at {
            Some(at) => checked(at, entry.at, self.problems),
            None if self.foreign.is_some() => Some(path.clone()),
            None => Some(self.same_place(&parent, source, entry.at)),
        };
        if let Some(inside) = inside {
            self.place(inside, Some(entry.at), what);
        }
        true
    }

    /// Where a host path appears if nothing else is said: at its end, with the links that lead there.
    /// A root that was given has links of its own.
    fn same_place(&mut self, path: &AbsPath, end: AbsPath, at: Span) -> AbsPath {
        if self.foreign.is_some() {
            return path.clone();
        }
        self.mirror(path, at);
        end
    }

    /// Links met on the way appear inside as they are on the host.
    fn mirror(&mut self, path: &AbsPath, at: Span) {
        let hops = self.fact(path).map(|f| f.hops.clone()).unwrap_or_default();
        for hop in hops {
            self.place(hop.link, Some(at), What::Link { target: hop.target });
        }
    }

    fn shown(&mut self, end: &End, entry: &At<PathEntry>, write: bool) -> Option<What> {
        let e = &entry.value;
        let bind = |kind, exec| What::Bind { source: end.path.clone(), kind, write, exec, create: None };
        let exec = e.exec.unwrap_or(!write);
        // Nothing is made in a root that was given: there a file is mounted on one.
        let mounted = self.foreign.is_some() && e.owner.is_none() && e.mode.is_none();
        let refused = match end.kind {
            FileKind::Directory => return Some(bind(BindKind::Directory, exec)),
            FileKind::File if e.bind || mounted => return Some(bind(BindKind::File, exec)),
            FileKind::Socket if e.bind || mounted => return Some(bind(BindKind::Special, exec)),
            FileKind::File if write => Problem::set_up(format!("{} is a single file: bound writable it breaks when it is replaced", e.path))
                .help("show its directory instead (logs and sockets are renamed and made anew)")
                .help("or write bind = true: a rename on either side then goes unseen by the other"),
            FileKind::File if end.size > COPY_LIMIT => Problem::set_up(format!(
                "{} is {} MiB large: only files up to 1 MiB are copied into the jail's memory",
                e.path,
                end.size.div_ceil(1 << 20)
            ))
            .help("show its directory instead")
            .help("or write bind = true: the file is then mounted itself, and when the host replaces it by rename the jail keeps the old one"),
            FileKind::File => {
                let owner = match e.owner {
                    Some(owner) => Some(self.ids(owner)),
                    None => self.identity.mapped.map(|_| self.ids(Owner::Process)),
                };
                return Some(What::Copy { source: end.path.clone(), mode: e.mode, owner });
            }
            FileKind::Socket => Problem::set_up(format!("{} is a socket: when its server restarts, a bind of it is dead", e.path))
                .help("show its directory instead, or write bind = true"),
            FileKind::Fifo => Problem::set_up(format!("{} is a fifo and cannot be shown", e.path))
                .help("show its directory instead"),
            FileKind::Device | FileKind::BlockDevice => {
                Problem::set_up(format!("{} is a device and cannot be shown as a file", e.path))
                    .help("character devices below /dev go into [files] dev")
            }
        };
        self.problems.push(refused.at(entry.at));
        None
    }

    fn ids(&self, owner: Owner) -> Ids {
        let process = Ids { uid: self.identity.uid, gid: self.identity.gid };
        // Rootless, root does not exist inside: everything belongs to the one id there is.
        if owner == Owner::Process || self.identity.mapped.is_some() {
            process
        } else {
            Ids { uid: 0, gid: 0 }
        }
    }

    fn tmpfs_and_text(&mut self, spec: &Spec) {
        for entry in &spec.files.tmpfs {
            let (size, inodes, mode) = tmpfs_defaults(&entry.value);
            let owner = self.ids(entry.value.owner.unwrap_or(Owner::Process));
            let directories = entry.value.directories.clone();
            if let Some(bad) =
                directories.iter().find(|d| d.is_empty() || d.contains('/') || *d == "." || *d == "..")
            {
                let problem =
                    Problem::usage(format!("{bad:?} in `directories` is not a plain name")).at(entry.at);
                self.problems.push(problem.help("name directories directly below the tmpfs, without `/`"));
                continue;
            }
            let what = What::Tmpfs { size, inodes, mode, owner, exec: entry.value.exec, directories };
            self.place_written(&entry.value.path, entry.at, what);
        }
        for entry in &spec.files.text {
            let owner = self.ids(entry.value.owner.unwrap_or(Owner::Root));
            let mode = entry.value.mode.unwrap_or(0o644);
            let what = What::Text { content: entry.value.content.clone(), mode, owner };
            self.place_written(&entry.value.path, entry.at, what);
        }
    }

    fn common_links(&mut self) {
        for (link, target) in &self.facts.links {
            let Some(end) = link.resolve_link(target) else { continue };
            let shown = self.places.values().any(|p| p.path.is_within(&end) || end.is_within(&p.path));
            if shown && self.foreign.is_none() && !self.places.contains_key(link) {
                self.place(link.clone(), None, What::Link { target: target.clone() });
            }
        }
    }

    /// Something every jail has: what the spec says of the same place wins.
    pub(super) fn place_ours(&mut self, path: &str, what: What) {
        if let Ok(path) = AbsPath::new(path) {
            self.place(path, None, what);
        }
    }

    fn place_written(&mut self, path: &str, at: Span, what: What) {
        if let Some(path) = checked(path, at, self.problems) {
            self.place(path, Some(at), what);
        }
    }

    fn place(&mut self, path: AbsPath, at: Option<Span>, what: What) {
        let Some(path) = self.through_links(&path, at) else { return };
        if path == AbsPath::root() {
            let problem = Problem::usage("nothing can be placed at /, which is the jail's own root").at(at);
            self.problems.push(
                problem
                    .help("show the directories that are needed, such as read = [\"/usr\"]")
                    .help("or make a host directory the root: root = \"/srv/image\""),
            );
            return;
        }
        let Some(known) = self.places.get(&path) else {
            self.places.insert(path.clone(), Place { path, what, at });
            return;
        };
        if known.what == what || at.is_none() {
            return;
        }
        if known.at.is_none() {
            self.places.insert(path.clone(), Place { path, what, at });
            return;
        }
        let problem = Problem::usage(format!("two different things are asked for at {path}")).at(at);
        self.problems.push(problem.also("the other", known.at).help("keep one of the two"));
    }
}

/// The words for the errno of a walk.
pub(super) fn errno_text(errno: i32) -> String {
    libc_errno::text(errno)
}

fn dev() -> AbsPath {
    AbsPath::root().join("dev")
}

/// The few errno values that a walk ends with (asm-generic/errno.h), and their usual words.
pub(super) mod libc_errno {
    pub const ENOENT: i32 = 2;
    pub const EACCES: i32 = 13;
    pub const ELOOP: i32 = 40;

    pub fn text(errno: i32) -> String {
        match errno {
            ENOENT => "No such file or directory".into(),
            EACCES => "Permission denied".into(),
            20 => "Not a directory".into(),
            ELOOP => "Too many levels of symbolic links".into(),
            84 => "a symbolic link on the way is not UTF-8".into(),
            other => format!("error {other}"),
        }
    }
}
