//! Nothing outside is read, nothing read-only is written, nothing written is executed.
#![forbid(unsafe_code)]

use super::{
    Context, EACCES, EROFS, HERE, O_CLOEXEC, O_CREAT, O_EXCL, O_PATH, O_RDWR, O_WRONLY, open, open_in,
};
use crate::jail::path::AbsPath;
use crate::plan::view::{self, Sight};
use crate::plan::{Access, Attributes, ExpectedMount, Plan, Step};
use crate::verify::batch::{Arg, Batch};
use crate::verify::{Judge, Promise};
use std::collections::BTreeSet;

const GROUP: &str = "files";
/// In every directory that is written to, and removed at once if that worked.
const NAME: &str = ".jail-verify";

pub fn promises(context: &Context<'_>) -> Vec<Promise> {
    vec![
        reads(context),
        Promise::new(GROUP, "mounts", "the mounts are the planned ones, with their attributes"),
        writes(context),
        mount_calls(context),
        execution(context),
        devices(context),
    ]
}

/// Whether the plan shows nothing at a path; not said of what lies behind a link.
pub fn is_hidden(plan: &Plan, path: &AbsPath) -> bool {
    !through_link(plan, path) && view::look(plan, path) == Sight::Absent
}

/// Whether a path is or leads through a link, which may be one of a host's directory.
pub fn through_link(plan: &Plan, path: &AbsPath) -> bool {
    let mut above = Some(path.clone());
    while let Some(here) = above {
        if matches!(view::look(plan, &here), Sight::Link(_)) {
            return true;
        }
        above = here.parent();
    }
    // What is below a host's directory is not known here.
    path.depth() > 1 && plan.steps.iter().any(|p| matches!(p.step, Step::AttachRoot { .. }))
}

fn reads(context: &Context<'_>) -> Promise {
    let mut promise =
        Promise::new(GROUP, "read", "nothing outside the named paths can be read, or seen to be there");
    for path in &context.world.hidden {
        promise.attempt(format!("open {path}"), open(path.as_str(), O_PATH), Judge::Refused, None);
    }
    for path in ["/proc/1/root/etc", "/proc/1/cwd/etc", "/../../../proc/1/root/usr"] {
        let given = context.given("pid namespace").filter(|_| context.holds("SYS_PTRACE"));
        promise.attempt(format!("open {path}"), open(path, O_PATH), Judge::Refused, given);
    }
    let by_handle = context.by_capability("DAC_READ_SEARCH", &["open_by_handle_at"]);
    let mut batch = Batch::default();
    // struct file_handle: the length and type of an ext4 inode number, and that of its root.
    let handle = batch.bytes(&[8u32, 1, 2, 0].iter().flat_map(|n| n.to_ne_bytes()).collect::<Vec<u8>>());
    batch.call("open_by_handle_at", &[HERE.into(), handle, 0.into()]);
    promise.attempt("open by handle", batch, Judge::Refused, by_handle);
    for directory in ["/", "/dev", "/etc"] {
        if let Some(allowed) = children(context.plan, directory) {
            let (batch, judge) = list(directory, allowed, false);
            promise.question(format!("what is in {directory}"), batch, judge, None);
        }
    }
    promise
}

/// The names that a plan puts into a directory of the skeleton; `None` if it lies elsewhere.
fn children(plan: &Plan, directory: &str) -> Option<BTreeSet<String>> {
    let directory = AbsPath::new(directory).ok()?;
    if view::look(plan, &directory) != Sight::Directory
        || plan.steps.iter().any(|p| matches!(p.step, Step::AttachRoot { .. }))
    {
        return None;
    }
    let mut names = BTreeSet::new();
    for planned in &plan.steps {
        let (Step::Directory { path, .. }
        | Step::Link { path, .. }
        | Step::Text { path, .. }
        | Step::Copy { path, .. }
        | Step::Attach { path, .. }
        | Step::Tmpfs { path, .. }
        | Step::Devpts { path, .. }
        | Step::Proc { path, .. }) = &planned.step
        else {
            continue;
        };
        if path.is_within(&directory) {
            names.extend(path.components().nth(directory.depth()).map(str::to_owned));
        }
    }
    Some(names)
}

/// Lists a directory, of which only these names (and perhaps numbers) may be known.
pub fn list(directory: &str, allowed: BTreeSet<String>, numbers: bool) -> (Batch, Judge) {
    let mut batch = Batch::default();
    let fd = open_in(&mut batch, directory, 0, 0);
    let space = batch.space(16384);
    batch.call("getdents64", &[fd, space, 16384.into()]);
    let last = batch.len() - 1;
    (batch, Judge::Lists(last, space, allowed, numbers))
}

/// The planned mount at a path, or the closest one above it.
fn nearest<'a>(mounts: &'a [ExpectedMount], path: &AbsPath) -> Option<&'a ExpectedMount> {
    mounts.iter().filter(|m| path.is_within(&m.path)).max_by_key(|m| m.path.depth())
}

/// Every mount there is, submounts included, with what is planned for it.
fn seen<'a>(context: &'a Context<'_>) -> impl Iterator<Item = (&'a AbsPath, bool, Attributes, &'a str)> {
    context.world.mounts.iter().filter_map(|(path, directory)| {
        let planned = nearest(context.mounts, path)?;
        Some((path, *directory, planned.attributes, planned.kind.unwrap_or("")))
    })
}

fn inside(directory: &AbsPath) -> String {
    directory.join(NAME).to_string()
}

fn writes(context: &Context<'_>) -> Promise {
    let mut promise =
        Promise::new(GROUP, "write", "nothing but `write` and `tmpfs` can be written, not even in submounts");
    for (path, directory, attributes, _) in seen(context) {
        if !attributes.read_only {
            continue;
        }
        // Removing what is not there changes nothing, and is refused by the mount before the kernel
        // looks at file modes: the only errno that proves the mount.
        let mut batch = Batch::default();
        let (name, attribute) = (batch.text(path.as_str()), batch.text("user.jail-verify"));
        batch.call("removexattr", &[name, attribute]);
        promise.question(format!("change {path}"), batch, Judge::RefusedWith(0, &[EROFS]), None);
        if !directory {
            continue;
        }
        let mut batch = Batch::default();
        open_in(&mut batch, &inside(path), O_CREAT | O_EXCL | O_WRONLY, 0o600);
        unlink(&mut batch, path, 0);
        promise.attempt(format!("make a file in {path}"), batch, Judge::Refused, None);
        let mut batch = Batch::default();
        let name = batch.text(&inside(path));
        batch.call("mkdirat", &[HERE.into(), name, 0o700.into()]);
        const AT_REMOVEDIR: i64 = 0x200;
        unlink(&mut batch, path, AT_REMOVEDIR);
        promise.attempt(format!("make a directory in {path}"), batch, Judge::Refused, None);
    }
    for file in ["/etc/passwd", "/etc/resolv.conf", "/etc/ld.so.preload"] {
        promise.attempt(
            format!("write to {file}"),
            open(file, O_RDWR),
            Judge::Refused,
            writable_root(context.plan),
        );
    }
    promise
}

fn writable_root(plan: &Plan) -> Option<String> {
    let foreign = plan.steps.iter().any(|p| matches!(p.step, Step::AttachRoot { .. }));
    let written = plan.steps.iter().any(|p| match &p.step {
        Step::CheckMounts(mounts) => mounts.first().is_some_and(|m| !m.attributes.read_only),
        _ => false,
    });
    (foreign && written).then(|| "root write = true".to_owned())
}

fn unlink(batch: &mut Batch, directory: &AbsPath, flags: i64) {
    let name = batch.text(&inside(directory));
    batch.call("unlinkat", &[HERE.into(), name, flags.into()]);
}

fn mount_calls(context: &Context<'_>) -> Promise {
    const REMOUNT_BIND: i64 = 32 | 4096;
    const DETACH: i64 = 2;
    let mut promise = Promise::new(GROUP, "mount", "no mount can be made, changed or taken away");
    let mut add = |what: &str, capability: &str, calls: &[&str], batch: Batch| {
        promise.attempt(what, batch, Judge::Refused, context.by_capability(capability, calls));
    };
    let mut batch = Batch::default();
    let (none, root) = (batch.text("none"), batch.text("/"));
    batch.call("mount", &[none, root, 0.into(), REMOUNT_BIND.into()]);
    add("remount / writable", "SYS_ADMIN", &["mount"], batch);
    let mut batch = Batch::default();
    let (none, kind, root) = (batch.text("none"), batch.text("tmpfs"), batch.text("/"));
    batch.call("mount", &[none, root, kind, 0.into()]);
    add("mount a tmpfs", "SYS_ADMIN", &["mount"], batch);
    let mut batch = Batch::default();
    let root = batch.text("/");
    // struct mount_attr: set, clear, propagation, user namespace.
    let attributes = batch.words(&[0.into(), 1.into(), 0.into(), 0.into()]);
    batch.call("mount_setattr", &[HERE.into(), root, 0.into(), attributes, 32.into()]);
    add("mount_setattr / writable", "SYS_ADMIN", &["mount_setattr"], batch);
    let mut batch = Batch::default();
    let root = batch.text("/");
    batch.call("open_tree", &[HERE.into(), root, 1.into()]);
    add("open_tree a copy of /", "SYS_ADMIN", &["open_tree"], batch);
    let mut batch = Batch::default();
    let kind = batch.text("tmpfs");
    batch.call("fsopen", &[kind, 0.into()]);
    add("fsopen", "SYS_ADMIN", &["fsopen"], batch);
    // Two mounts that are on directories.
    let mut directories = context.world.mounts.iter().filter(|(_, d)| *d).map(|(path, _)| path.as_str());
    let (first, last) = (directories.next().unwrap_or("/"), directories.next_back().unwrap_or("/"));
    let mut batch = Batch::default();
    let (from, to) = (batch.text(last), batch.text(first));
    batch.call("move_mount", &[HERE.into(), from, HERE.into(), to, 0.into()]);
    add("move_mount", "SYS_ADMIN", &["move_mount"], batch);
    let mut batch = Batch::default();
    let path = batch.text(first);
    batch.call("umount2", &[path, DETACH.into()]);
    add("unmount", "SYS_ADMIN", &["umount2"], batch);
    let mut batch = Batch::default();
    let path = batch.text(last);
    batch.call("pivot_root", &[path, path]);
    add("pivot_root", "SYS_ADMIN", &["pivot_root"], batch);
    let mut batch = Batch::default();
    let root = batch.text("/");
    batch.call("chroot", &[root]);
    add("chroot", "SYS_CHROOT", &["chroot"], batch);
    promise
}

fn execution(context: &Context<'_>) -> Promise {
    let mut promise = Promise::new(
        GROUP,
        "execute",
        "nothing that it wrote can be executed, nor what `exec` does not name",
    );
    for (path, directory, attributes, kind) in seen(context) {
        if attributes.read_only || !directory || ["proc", "devpts"].contains(&kind) {
            continue;
        }
        let given = (!attributes.no_exec).then(|| "exec = true".to_owned());
        let file = inside(path);
        // Not a program: where executing is allowed the kernel says ENOEXEC, and it is not run.
        let mut batch = written(&file);
        let name = batch.text(&file);
        let arguments = batch.words(&[name, 0.into()]);
        batch.call("execve", &[name, arguments, 0.into()]);
        let tried = batch.len() - 1;
        unlink(&mut batch, path, 0);
        promise.attempt(
            format!("execute a file written in {path}"),
            batch,
            Judge::RefusedWith(tried, &[EACCES, super::ENOENT, super::EPERM]),
            given.clone(),
        );
        let mut batch = written(&file);
        let fd = open_in(&mut batch, &file, 0, 0);
        map(&mut batch, fd);
        unlink(&mut batch, path, 0);
        promise.attempt(format!("map a file written in {path} as code"), batch, Judge::Refused, given);
    }
    for program in others(context) {
        let mut batch = Batch::default();
        let name = batch.text(program);
        // A shell must not read the prober's socket.
        let (option, nothing) = (batch.text("-c"), batch.text(":"));
        let arguments = batch.words(&[name, option, nothing, 0.into()]);
        batch.call("execve", &[name, arguments, 0.into()]);
        let judge = Judge::RefusedWith(batch.len() - 1, &[EACCES, super::ENOENT]);
        promise.attempt(format!("execute {program}, which `exec` does not name"), batch, judge, None);
    }
    let mut batch = Batch::default();
    let name = batch.text("x");
    let fd = batch.call("memfd_create", &[name, 0.into()]);
    let empty = batch.text("");
    const AT_EMPTY_PATH: i64 = 0x1000;
    batch.call("execveat", &[fd, empty, 0.into(), 0.into(), AT_EMPTY_PATH.into()]);
    let given = context.by_calls(&["memfd_create"]);
    let judge = Judge::RefusedWith(0, &[super::EPERM, 38]);
    promise.attempt("make a file in memory to execute", batch, judge, given);
    promise
}

/// Programs that do no harm and that no rule lets be executed.
fn others<'a>(context: &'a Context<'_>) -> impl Iterator<Item = &'static str> + 'a {
    let rules = context.plan.steps.iter().find_map(|p| match &p.step {
        Step::LandlockRules { rules, .. } => Some(rules.as_slice()),
        _ => None,
    });
    ["/usr/bin/true", "/usr/bin/env", "/usr/bin/dash", "/usr/bin/bash"].into_iter().filter(move |program| {
        let Ok(path) = AbsPath::new(program) else { return false };
        let executes = |access: &Access| matches!(access, Access::Execute | Access::WriteExecute);
        rules.is_some_and(|rules| !rules.iter().any(|(place, a)| executes(a) && path.is_within(place)))
    })
}

/// Makes a file that anybody may execute, whatever the umask.
fn written(file: &str) -> Batch {
    let mut batch = Batch::default();
    // Where files may have no content, the write fails, rather than end what has to unlink the file.
    disposition(&mut batch, 1);
    let fd = open_in(&mut batch, file, O_CREAT | O_EXCL | O_WRONLY, 0o755);
    batch.call("fchmod", &[fd, 0o755.into()]);
    let content = batch.text("\x7fjail is not an ELF file");
    batch.call("write", &[fd, content, 24.into()]);
    // Text that is open for writing is busy.
    batch.call("close", &[fd]);
    disposition(&mut batch, 0);
    batch
}

/// The kernel's struct sigaction for SIGXFSZ: ignored (1), or the default (0).
fn disposition(batch: &mut Batch, handler: i64) {
    const SIGXFSZ: i64 = 25;
    let action = batch.words(&[handler.into(), 0.into(), 0.into(), 0.into()]);
    batch.call("rt_sigaction", &[SIGXFSZ.into(), action, 0.into(), 8.into()]);
}

fn map(batch: &mut Batch, fd: Arg) {
    const READ_EXECUTE: i64 = 1 | 4;
    const PRIVATE: i64 = 2;
    batch.call("mmap", &[0.into(), 4096.into(), READ_EXECUTE.into(), PRIVATE.into(), fd, 0.into()]);
}

fn devices(context: &Context<'_>) -> Promise {
    let mut promise =
        Promise::new(GROUP, "devices", "no device node can be made, and none but the planned opened");
    for (path, directory, ..) in seen(context) {
        if !directory {
            continue;
        }
        // The memory of the machine, and its first disk.
        for (what, kind, device) in [("character", 0o020_000, 0x101), ("block", 0o060_000, 0x800)] {
            let mut batch = Batch::default();
            let name = batch.text(&inside(path));
            batch.call("mknodat", &[HERE.into(), name, (kind | 0o600i64).into(), Arg::Number(device)]);
            unlink(&mut batch, path, 0);
            let given = context.by_capability("MKNOD", &["mknodat"]).filter(|_| context.policy.is_none());
            promise.attempt(format!("make a {what} device in {path}"), batch, Judge::Refused, given);
        }
    }
    for device in ["/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/vda", "/dev/net/tun", "/dev/fuse", "/dev/kvm"] {
        let hidden = AbsPath::new(device).is_ok_and(|path| is_hidden(context.plan, &path));
        if hidden {
            promise.attempt(format!("open {device}"), open(device, O_CLOEXEC), Judge::Refused, None);
        }
    }
    promise
}
