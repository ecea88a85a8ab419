//! Namespaces and mounts, by descriptors and the new mount API (Linux 5.12).
//!
//! Must not know: what is shown, or why. No host directory is used to build on: the new root is
//! attached over `/` of the private namespace and everything is placed beneath its descriptor.

use super::{Call, Fault, Named, State};
use crate::jail::Ids;
use crate::jail::path::AbsPath;
use crate::plan::{Attributes, Joined, TmpfsLimits, TreeKind, Unshared, UserMap};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags};
use nix::sched::CloneFlags;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Enters the first namespaces when no child is wanted, and writes the user maps in either case.
pub fn isolate(pid: bool, user: Option<UserMap>) -> Result<(), Fault> {
    if !pid {
        let mut flags = CloneFlags::CLONE_NEWNS;
        if user.is_some() {
            flags |= CloneFlags::CLONE_NEWUSER;
        }
        nix::sched::unshare(flags).call(Call::Unshare)?;
    }
    let Some(map) = user else { return Ok(()) };
    // Without privilege outside, gid_map may be written only after setgroups is denied
    // (user_namespaces(7)): else a member could leave a group that a file's mode excludes.
    write_map("/proc/self/setgroups", "deny")?;
    write_map("/proc/self/uid_map", &format!("{} {} 1", map.uid.0, map.uid.1))?;
    write_map("/proc/self/gid_map", &format!("{} {} 1", map.gid.0, map.gid.1))
}

/// By a descriptor of a process of the jail, all at once (setns(2), Linux 5.8). The process ids are
/// those of children from now on.
pub fn join(state: &State, namespaces: Joined) -> Result<(), Fault> {
    setns(state, join_flags(namespaces))
}

/// The namespaces as setns(2) takes them.
pub fn join_flags(namespaces: Joined) -> CloneFlags {
    let mut flags = CloneFlags::CLONE_NEWNS;
    flags.set(CloneFlags::CLONE_NEWUSER, namespaces.user);
    flags.set(CloneFlags::CLONE_NEWPID, namespaces.pid);
    if let Some(others) = namespaces.others {
        flags.set(CloneFlags::CLONE_NEWNET, others.net);
        flags.set(CloneFlags::CLONE_NEWIPC, others.ipc);
        flags.set(CloneFlags::CLONE_NEWUTS, others.uts);
        flags.set(CloneFlags::CLONE_NEWCGROUP, others.cgroup);
    }
    flags
}

pub fn join_user_namespace(state: &State) -> Result<(), Fault> {
    setns(state, CloneFlags::CLONE_NEWUSER)
}

fn setns(state: &State, flags: CloneFlags) -> Result<(), Fault> {
    let target = state.target.as_ref().ok_or(Fault::new(Call::Setns, Errno::EBADF))?;
    nix::sched::setns(target, flags).call(Call::Setns)
}

fn write_map(path: &str, text: &str) -> Result<(), Fault> {
    let file =
        rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).call(Call::WriteMap)?;
    rustix::io::write(&file, text.as_bytes()).call(Call::WriteMap).map(|_| ())
}

/// Private, not slave: a mount that the host makes later below a shown directory would otherwise
/// appear inside, and without our flags.
pub fn make_private() -> Result<(), Fault> {
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    nix::mount::mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).call(Call::Mount)
}

pub fn unshare(namespaces: Unshared) -> Result<(), Fault> {
    let mut flags = CloneFlags::empty();
    flags.set(CloneFlags::CLONE_NEWNET, namespaces.net);
    flags.set(CloneFlags::CLONE_NEWIPC, namespaces.ipc);
    flags.set(CloneFlags::CLONE_NEWUTS, namespaces.uts);
    flags.set(CloneFlags::CLONE_NEWCGROUP, namespaces.cgroup);
    nix::sched::unshare(flags).call(Call::Unshare)
}

/// Owns the skeleton.
const ROOT: Ids = Ids { uid: 0, gid: 0 };

fn attribute_bits(a: Attributes) -> u64 {
    let mut bits = libc::MOUNT_ATTR_NOSUID;
    for (wanted, bit) in [
        (a.read_only, libc::MOUNT_ATTR_RDONLY),
        (a.no_exec, libc::MOUNT_ATTR_NOEXEC),
        (a.no_dev, libc::MOUNT_ATTR_NODEV),
    ] {
        if wanted {
            bits |= bit;
        }
    }
    bits
}

/// Opens a source once, checks what it is on that descriptor, clones the mounts it shows, and sets
/// the attributes on all of them: from here on nobody can exchange it.
pub fn open_tree(source: &AbsPath, kind: TreeKind, attributes: Attributes) -> Result<OwnedFd, Fault> {
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    // The path was resolved before; a link in it now was put there since then.
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let opened =
        rustix::fs::openat2(CWD, source.as_str(), flags, Mode::empty(), resolve).call(Call::Openat2)?;
    let stat = rustix::fs::fstat(&opened).call(Call::Fstat)?;
    let found = FileType::from_raw_mode(stat.st_mode);
    let right = match kind {
        TreeKind::Directory => found == FileType::Directory,
        TreeKind::File => found == FileType::RegularFile,
        TreeKind::Special => matches!(found, FileType::Socket | FileType::Fifo),
        TreeKind::Device => found == FileType::CharacterDevice,
    };
    if !right {
        return Err(Fault::difference(0));
    }
    let clone = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = rustix::mount::open_tree(&opened, "", clone).call(Call::OpenTree)?;
    // Recursive: with mount(2)'s remount the mounts below a read-only bind stay writable.
    crate::sys::mount::set_attributes(tree.as_fd(), attribute_bits(attributes), 0, true)
        .call(Call::MountSetattr)?;
    Ok(tree)
}

fn new_tmpfs(limits: TmpfsLimits, owner: Option<Ids>, attributes: Attributes) -> Result<OwnedFd, Fault> {
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).call(Call::Fsopen)?;
    let set = |key: &str, value: String| {
        rustix::mount::fsconfig_set_string(&context, key, value.as_str()).call(Call::Fsconfig)
    };
    set("size", limits.size.to_string())?;
    set("nr_inodes", limits.inodes.to_string())?;
    set("mode", format!("{:o}", limits.mode))?;
    if let Some(owner) = owner {
        set("uid", owner.uid.to_string())?;
        set("gid", owner.gid.to_string())?;
    }
    create(context, attributes)
}

fn create(context: OwnedFd, attributes: Attributes) -> Result<OwnedFd, Fault> {
    rustix::mount::fsconfig_create(&context).call(Call::Fsconfig)?;
    let bits =
        MountAttrFlags::from_bits_retain(u32::try_from(attribute_bits(attributes)).unwrap_or(u32::MAX));
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, bits).call(Call::Fsmount)
}

/// Attached over `/`: the old root stays this process's root until [`pivot`], and no directory of
/// the host serves as a mount point.
fn over_root(mount: BorrowedFd<'_>) -> Result<(), Fault> {
    rustix::mount::move_mount(mount, "", CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .call(Call::MoveMount)
}

pub fn new_root(state: &mut State, limits: TmpfsLimits) -> Result<(), Fault> {
    let owner = state.users.is_some().then(|| state.outside(ROOT));
    let mount = new_tmpfs(limits, owner, Attributes { read_only: false, no_exec: true, no_dev: true })?;
    over_root(mount.as_fd())?;
    state.root = Some(mount);
    Ok(())
}

pub fn attach_root(state: &mut State, slot: usize) -> Result<(), Fault> {
    over_root(state.slot(slot)?)?;
    state.root = state.slots[slot].take();
    Ok(())
}

/// Opens a directory of the new root, unless the step before had it open. No component may be a
/// link, also not in somebody else's tree: a mount that followed one would not be where the plan and
/// the check of the mounts have it.
fn enter<'a>(state: &'a mut State, directory: &AbsPath) -> Result<BorrowedFd<'a>, Fault> {
    if *directory == AbsPath::root() {
        return state.root();
    }
    if state.parent.as_ref().is_none_or(|(known, _)| known != directory) {
        let own = state.own.iter().rev().find(|(path, _)| directory.is_within(path));
        let (from, below) = match own {
            Some((path, fd)) => (fd.as_fd(), directory.rebase(path, &AbsPath::root())),
            None => (state.root()?, Some(directory.clone())),
        };
        let below = below.filter(|path| *path != AbsPath::root());
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let relative = below.as_ref().map_or(".", AbsPath::relative);
        let opened =
            rustix::fs::openat2(from, relative, flags, Mode::empty(), resolve).call(Call::Openat2)?;
        state.parent = Some((directory.clone(), opened));
    }
    let known = state.parent.as_ref().map(|(_, fd)| fd.as_fd());
    known.ok_or(Fault::new(Call::Openat2, Errno::EBADF))
}

/// The directory that a place is made or mounted in. What is done there takes the last component
/// alone, which no link can divert.
pub fn parent<'a>(state: &'a mut State, path: &AbsPath) -> Result<BorrowedFd<'a>, Fault> {
    enter(state, &path.parent().unwrap_or_else(AbsPath::root))
}

/// Attaches a mount at a place. move_mount(2) does not follow a link in the last component.
fn place(state: &mut State, mount: BorrowedFd<'_>, path: &AbsPath) -> Result<(), Fault> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    let parent = parent(state, path)?;
    rustix::mount::move_mount(mount, "", parent, path.name(), flags).call(Call::MoveMount)?;
    // A directory that was opened at or below the place is now hidden by the mount.
    state.parent.take_if(|(known, _)| known.is_within(path));
    Ok(())
}

pub fn attach(state: &mut State, slot: usize, path: &AbsPath, make: Option<TreeKind>) -> Result<(), Fault> {
    match make {
        Some(TreeKind::Directory) => super::files::directory(state, path, 0o755)?,
        Some(_) => super::files::empty_file(state, path)?,
        None => {}
    }
    let mount =
        state.slots.get_mut(slot).and_then(Option::take).ok_or(Fault::new(Call::MoveMount, Errno::EBADF))?;
    // The attached mount lives on without its descriptor.
    place(state, mount.as_fd(), path)
}

fn make_and_place(state: &mut State, mount: &OwnedFd, path: &AbsPath, make: bool) -> Result<(), Fault> {
    if make {
        super::files::directory(state, path, 0o755)?;
    }
    place(state, mount.as_fd(), path)
}

pub fn tmpfs(
    state: &mut State,
    path: &AbsPath,
    limits: TmpfsLimits,
    owner: Ids,
    attributes: Attributes,
    directories: &[String],
    make: bool,
) -> Result<(), Fault> {
    let owner = state.outside(owner);
    let mount = new_tmpfs(limits, Some(owner), attributes)?;
    for name in directories {
        rustix::fs::mkdirat(&mount, name.as_str(), Mode::from_raw_mode(0o755)).call(Call::Mkdir)?;
        super::files::own(mount.as_fd(), name, owner)?;
    }
    make_and_place(state, &mount, path, make)?;
    state.own.push((path.clone(), mount));
    Ok(())
}

pub fn devpts(state: &mut State, path: &AbsPath, group: bool) -> Result<(), Fault> {
    let context = rustix::mount::fsopen("devpts", FsOpenFlags::FSOPEN_CLOEXEC).call(Call::Fsopen)?;
    // gid 5 is `tty` everywhere; sshd and script(1) want it. ptmxmode: the node is 000 by default.
    let tty = state.outside(Ids { uid: 0, gid: 5 }).gid.to_string();
    let group = group.then_some(("gid", tty.as_str()));
    for (key, value) in [("mode", "620"), ("ptmxmode", "666")].into_iter().chain(group) {
        rustix::mount::fsconfig_set_string(&context, key, value).call(Call::Fsconfig)?;
    }
    let mount = create(context, Attributes { read_only: false, no_exec: true, no_dev: false })?;
    make_and_place(state, &mount, path, true)
}

pub fn proc(state: &mut State, path: &AbsPath, subset: bool, make: bool) -> Result<(), Fault> {
    let context = rustix::mount::fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC).call(Call::Fsopen)?;
    if subset {
        rustix::mount::fsconfig_set_string(&context, "subset", "pid").call(Call::Fsconfig)?;
    }
    // Hides pid 1, which until its own exec carries the command line of the outer process, and with
    // a shared pid namespace all processes of others. Linux 5.8.
    rustix::mount::fsconfig_set_string(&context, "hidepid", "ptraceable").call(Call::Fsconfig)?;
    // Read-only: a program could write its own code through /proc/self/mem, which no ban on writable
    // and executable mappings sees, and root without any capability could write to /proc/sys.
    let mount = create(context, Attributes { read_only: true, no_exec: true, no_dev: true })?;
    make_and_place(state, &mount, path, make)
}

/// A second mount of the root tmpfs: the jail's own `/` is sealed read-only, this one stays writable
/// for the outer process. Of the others, which the program may write to, the descriptors themselves.
pub fn keep_live(state: &mut State, mounts: &[AbsPath]) -> Result<(), Fault> {
    for path in mounts {
        let kept = if *path == AbsPath::root() { second_root(state)? } else { own_memory(state, path)? };
        state.live.push(kept);
    }
    Ok(())
}

fn own_memory(state: &State, path: &AbsPath) -> Result<OwnedFd, Fault> {
    let own = state.own.iter().rev().find(|(known, _)| known == path).map(|(_, mount)| mount);
    let own = own.ok_or(Fault::new(Call::Dup, Errno::ENOENT))?;
    rustix::io::fcntl_dupfd_cloexec(own, 3).call(Call::Dup)
}

/// It is attached to the old root, with which it leaves the namespace: its descriptor then is the
/// only way to it. (Closing the descriptor of one that was never attached waits for an RCU grace
/// period, 0.1 ms at the end of each jail.) The host's /proc is there: [`State::new`] has opened it.
fn second_root(state: &State) -> Result<OwnedFd, Fault> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let live = rustix::mount::open_tree(state.root()?, "", flags).call(Call::OpenTree)?;
    rustix::mount::move_mount(&live, "", CWD, "/proc", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .call(Call::MoveMount)?;
    Ok(live)
}

/// The new root becomes `/` and the old one, with every mount of the host, leaves this namespace:
/// nothing of it is pinned or reachable while the jail runs.
pub fn pivot(state: &State) -> Result<(), Fault> {
    rustix::process::fchdir(state.root()?).call(Call::Fchdir)?;
    rustix::process::pivot_root(".", ".").call(Call::PivotRoot)?;
    nix::mount::umount2(".", MntFlags::MNT_DETACH).call(Call::Umount)?;
    nix::unistd::chdir("/").call(Call::Chdir)
}

pub fn seal(state: &State) -> Result<(), Fault> {
    crate::sys::mount::set_attributes(state.root()?, libc::MOUNT_ATTR_RDONLY, 0, false)
        .call(Call::MountSetattr)
}

/// The type of what is open on `fd`.
pub fn file_type(fd: BorrowedFd<'_>) -> Result<FileType, Fault> {
    let stat = rustix::fs::fstat(fd).call(Call::Fstat)?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}
