//! The interpreter: one `match` from a step of the plan to system calls. The only effects.
//!
//! Must not know: the spec, or why a step is in the plan. A failure is three numbers (step, call,
//! errno); `explain` makes words of it, in the process that still can print.

pub mod cgroup;
mod check;
mod credentials;
pub mod explain;
mod files;
pub mod live;
mod mounts;
mod notify;
mod seal;
mod sockets;
pub mod table;
mod users;

use crate::jail::Ids;
use crate::jail::path::AbsPath;
use crate::plan::{Planned, Step, print};
use nix::errno::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

pub use sockets::SocketFile;

/// Which kernel call failed. It crosses the process border instead of text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "each variant is the call it is named after")]
pub enum Call {
    Clone,
    Unshare,
    Mount,
    WriteMap,
    Setns,
    Open,
    Openat2,
    Fstat,
    Read,
    Write,
    OpenTree,
    MountSetattr,
    MapOwners,
    MoveMount,
    Fsopen,
    Fsconfig,
    Fsmount,
    Mkdir,
    Flock,
    Mknod,
    Symlink,
    Chown,
    Chmod,
    PivotRoot,
    Umount,
    Fchdir,
    Chdir,
    Setrlimit,
    Setpriority,
    Prctl,
    Keyctl,
    Ioctl,
    Sethostname,
    Setgroups,
    Setresgid,
    Setresuid,
    Capset,
    SetSecurebits,
    LandlockCreate,
    LandlockAdd,
    LandlockRestrict,
    Setsid,
    Sigaction,
    Personality,
    CloseRange,
    Seccomp,
    Execve,
    Socketpair,
    Socket,
    Setsockopt,
    Bind,
    Connect,
    Listen,
    Fcntl,
    Unlink,
    Sendmsg,
    Signalfd,
    Dup,
    MemfdCreate,
    PidfdOpen,
    /// Not a call: something was not as the plan says.
    Compare,
    /// Not a call: the test hook.
    Injected,
}

/// What failed: all that travels between processes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Index into the plan's steps.
    pub step: usize,
    /// The call.
    pub call: Call,
    /// Its errno; 0 for [`Call::Compare`].
    pub errno: i32,
    /// Which of several things: an index whose meaning the step knows.
    pub detail: u32,
}

/// A failed call, before it is known which step it was in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    call: Call,
    errno: i32,
    detail: u32,
}

impl Fault {
    /// As a failure of a step.
    pub fn in_step(self, step: usize) -> Failure {
        Failure { step, call: self.call, errno: self.errno, detail: self.detail }
    }

    fn new(call: Call, errno: Errno) -> Self {
        Fault { call, errno: errno as i32, detail: 0 }
    }

    /// Something differs from the plan; `detail` says what.
    fn difference(detail: usize) -> Self {
        Fault { call: Call::Compare, errno: 0, detail: u32::try_from(detail).unwrap_or(u32::MAX) }
    }
}

/// Joins the errno of a call with the call's name.
trait Named<T> {
    fn call(self, call: Call) -> Result<T, Fault>;
}

impl<T> Named<T> for nix::Result<T> {
    fn call(self, call: Call) -> Result<T, Fault> {
        self.map_err(|errno| Fault::new(call, errno))
    }
}

impl<T> Named<T> for rustix::io::Result<T> {
    fn call(self, call: Call) -> Result<T, Fault> {
        self.map_err(|errno| Fault::new(call, Errno::from_raw(errno.raw_os_error())))
    }
}

/// Descriptors that one step leaves for later ones.
#[derive(Default)]
pub struct State {
    /// Opened sources, by slot.
    slots: Vec<Option<OwnedFd>>,
    /// The new root's directory, once there is one.
    root: Option<OwnedFd>,
    /// Writable descriptors of memory file systems, for the outer process.
    pub live: Vec<OwnedFd>,
    /// What was copied, for the outer process, by place.
    pub copied: Vec<(AbsPath, live::Copied)>,
    /// Host directories and groups that were made, as step indices: undone if the start fails.
    pub created: Vec<usize>,
    /// Socket files that were made: removed at the end, or if the start fails.
    pub sockets: Vec<SocketFile>,
    /// What tells the program of the sockets passed to it: variables of its environment.
    announced: Vec<(String, String)>,
    /// The program's socket for notifications, not bound yet. The outer process owns it.
    notify: Option<RawFd>,
    /// Memory file systems attached so far. What is placed in one is reached by its descriptor: in
    /// somebody else's tree its path may lead elsewhere by now.
    own: Vec<(AbsPath, OwnedFd)>,
    /// The directory that the last step made something in: its neighbours mostly follow.
    parent: Option<(AbsPath, OwnedFd)>,
    /// The host's /proc, to read this process's own state back after the host is out of sight.
    proc: Option<OwnedFd>,
    /// Landlock rules, made but not yet enforced.
    ruleset: Option<landlock::RulesetCreated>,
    /// This process's status file, opened before Landlock.
    status: Option<OwnedFd>,
    /// How many system-call filters the caller was under.
    filters: u32,
    /// Writes to this descriptor's peer tell whether the outer process lives.
    outer: Option<OwnedFd>,
    /// A process of the running jail that is joined.
    target: Option<OwnedFd>,
    /// The user namespace that the program will enter, and its map of owners.
    users: Option<users::Users>,
}

/// What a start has made.
pub struct Made {
    /// Host directories, as step indices.
    pub directories: Vec<usize>,
    /// Files of sockets.
    pub sockets: Vec<SocketFile>,
    /// Copies of the host's files, by place inside.
    pub copied: Vec<(AbsPath, live::Copied)>,
}

impl State {
    /// A state that holds the host's /proc. Taken before the first step.
    ///
    /// # Errors
    /// The host has no /proc.
    pub fn new() -> Result<Self, Fault> {
        // Modes of what is made are the plan's; the program's own mask is set by a later step.
        credentials::umask(0);
        Ok(State { proc: Some(check::open_proc()?), ..State::default() })
    }

    fn root(&self) -> Result<BorrowedFd<'_>, Fault> {
        self.root.as_ref().map(AsFd::as_fd).ok_or(Fault::new(Call::Openat2, Errno::EBADF))
    }

    fn slot(&self, slot: usize) -> Result<BorrowedFd<'_>, Fault> {
        let held = self.slots.get(slot).and_then(Option::as_ref);
        held.map(AsFd::as_fd).ok_or(Fault::new(Call::OpenTree, Errno::EBADF))
    }

    /// Ids inside as this process, which is still outside, has to name them.
    fn outside(&self, inside: Ids) -> Ids {
        self.users.as_ref().map_or(inside, |users| users.range.outside(inside))
    }

    fn put(&mut self, slot: usize, fd: OwnedFd) {
        while self.slots.len() <= slot {
            self.slots.push(None);
        }
        self.slots[slot] = Some(fd);
    }

    /// For the outer process, when the first process has used the shared memory of this: what was
    /// made. The other owners mean descriptors of that process, which are not ours to
    /// close; only the host's /proc was opened before it was cloned.
    pub fn abandon(mut self) -> Made {
        let made = Made {
            directories: std::mem::take(&mut self.created),
            sockets: std::mem::take(&mut self.sockets),
            copied: std::mem::take(&mut self.copied),
        };
        drop(self.proc.take());
        std::mem::forget(self);
        made
    }

    /// Says how the outer process is reached: [`Step::DieWithParent`] looks whether it lives.
    pub fn set_outer(&mut self, socket: OwnedFd) {
        self.outer = Some(socket);
    }

    /// Says which running jail [`Step::Join`] means: the one of this process (a pidfd).
    pub fn set_target(&mut self, process: OwnedFd) {
        self.target = Some(process);
    }

    /// Says which socket [`Step::NotifySocket`] binds.
    pub fn set_notify(&mut self, socket: RawFd) {
        self.notify = Some(socket);
    }

    fn outer(&self) -> Option<BorrowedFd<'_>> {
        self.outer.as_ref().map(AsFd::as_fd)
    }
}

/// Runs a stretch of a plan's steps, stopping at the first failure. `first` is the index of
/// `steps[0]` in the plan.
///
/// # Errors
/// The first failure. Nothing that failed is retried or passed over.
pub fn run(steps: &[Planned], first: usize, state: &mut State) -> Result<(), Failure> {
    for (offset, planned) in steps.iter().enumerate() {
        let step = first + offset;
        log::debug!("step {}: {}", step + 1, print::describe(&planned.step));
        let result = injected(step).and_then(|()| run_step(&planned.step, step, state));
        result.map_err(|fault| fault.in_step(step))?;
    }
    Ok(())
}

/// Test hook: debug builds fail at the step whose number is in `JAIL_FAIL_AT_STEP`.
#[cfg(debug_assertions)]
fn injected(step: usize) -> Result<(), Fault> {
    let here = std::env::var("JAIL_FAIL_AT_STEP").is_ok_and(|n| n == (step + 1).to_string());
    if here { Err(Fault::new(Call::Injected, Errno::EIO)) } else { Ok(()) }
}

#[cfg(not(debug_assertions))]
fn injected(_step: usize) -> Result<(), Fault> {
    Ok(())
}

/// Gives up every capability of this process, for helpers that need none.
///
/// # Errors
/// None known: giving up is always allowed.
pub fn drop_all_capabilities() -> Result<(), Fault> {
    credentials::drop_all()
}

/// Undoes one [`Step::CreateDirectory`].
///
/// # Errors
/// Those of openat2(2) and rmdir(2).
pub fn remove_directory(path: &AbsPath) -> Result<(), Errno> {
    files::remove_on_host(path).map_err(|fault| Errno::from_raw(fault.errno))
}

/// Undoes what one [`Step::Listen`] has made on the host.
///
/// # Errors
/// Those of lstat(2) and unlink(2).
pub fn remove_socket(file: &SocketFile) -> Result<(), Errno> {
    sockets::remove(file).map_err(|fault| Errno::from_raw(fault.errno))
}

/// Removes the file of a unix socket that nobody has any more, as when the outer process was killed;
/// false if there is none.
///
/// # Errors
/// Those of lstat(2), socket(2) and unlink(2).
pub fn remove_left_over_socket(path: &AbsPath) -> Result<bool, Errno> {
    sockets::remove_left_over(path).map_err(|fault| Errno::from_raw(fault.errno))
}

/// Gives up every capability but CAP_KILL, and these (bits by the kernel's number).
///
/// # Errors
/// None known.
pub fn keep_only_kill_and(more: u64) -> Result<(), Errno> {
    credentials::keep_kill_and(more).map_err(|fault| Errno::from_raw(fault.errno))
}

fn run_step(step: &Step, index: usize, state: &mut State) -> Result<(), Fault> {
    match step {
        // A new pid namespace needs a fork, which `serve` does; the maps are written by the child.
        Step::Isolate { pid, user } => mounts::isolate(*pid, *user),
        Step::Join(namespaces) => mounts::join(state, *namespaces),
        Step::JoinUserNamespace => mounts::join_user_namespace(state),
        Step::MakePrivate => mounts::make_private(),
        Step::UserNamespace { range, owners } => users::make(state, *range, owners),
        Step::CreateDirectory { path, mode, owner } => {
            if files::create_on_host(path, *mode, *owner)? {
                state.created.push(index);
            }
            Ok(())
        }
        Step::OpenTree { slot, source, kind, attributes } => {
            let tree = mounts::open_tree(source, *kind, *attributes)?;
            state.put(*slot, tree);
            Ok(())
        }
        Step::MapOwners { slot, .. } => users::map_owners(state, *slot),
        Step::OpenFile { slot, source } => {
            let file = files::open_source(source)?;
            state.put(*slot, file);
            Ok(())
        }
        Step::LeaveGroup { base: _, leaf } => cgroup::leave(state, index, leaf),
        Step::Group(group) => cgroup::make(state, index, group),
        Step::GroupOf { group, processes, tree } => cgroup::make_of(state, index, group, processes, *tree),
        Step::JoinGroups(paths) => cgroup::join(paths),
        Step::RaiseLimit { resource, hard } => credentials::raise_limit(*resource, *hard),
        Step::Listen { descriptor, socket } => sockets::listen(state, *descriptor, socket),
        Step::Rlimit { resource, soft, hard } => credentials::rlimit(*resource, *soft, *hard),
        Step::OomScoreAdjust(value) => credentials::oom_score(state, *value),
        Step::Nice(value) => credentials::nice(*value),
        Step::Unshare(namespaces) => mounts::unshare(*namespaces),
        Step::LoopbackUp => crate::sys::mount::loopback_up().call(Call::Ioctl),
        Step::Keyring => crate::sys::process::new_session_keyring().call(Call::Keyctl),
        Step::NewRoot(limits) => mounts::new_root(state, *limits),
        Step::AttachRoot { slot } => mounts::attach_root(state, *slot),
        Step::Directory { path, mode } => files::directory(state, path, *mode),
        Step::Link { path, target } => files::link(state, path, target),
        Step::Text { path, content, mode, owner } => files::text(state, path, content, *mode, *owner),
        Step::Copy { slot, path, mode, owner } => files::copy(state, *slot, path, *mode, *owner),
        Step::Attach { slot, path, make } => mounts::attach(state, *slot, path, *make),
        Step::Tmpfs { path, limits, owner, attributes, directories, make } => {
            mounts::tmpfs(state, path, *limits, *owner, *attributes, directories, *make)
        }
        Step::Devpts { path, group } => mounts::devpts(state, path, *group),
        Step::Proc { path, subset, make } => mounts::proc(state, path, *subset, *make),
        Step::NotifySocket(notify) => notify::bind(state, &notify.inside),
        Step::KeepLive { mounts } => mounts::keep_live(state, mounts),
        Step::PivotRoot => mounts::pivot(state),
        Step::SealRoot => mounts::seal(state),
        Step::CheckMounts(expected) => check::mounts(state, expected),
        Step::LandlockRules { abi, rules, ports } => seal::landlock_rules(state, *abi, rules, ports),
        Step::Hostname(name) => nix::unistd::sethostname(name).call(Call::Sethostname),
        Step::Umask(mask) => {
            credentials::umask(*mask);
            Ok(())
        }
        Step::WorkingDirectory(path) => nix::unistd::chdir(path.as_str()).call(Call::Chdir),
        Step::EnterUserNamespace => users::enter(state),
        Step::BoundingSet { keep, last } => credentials::bounding_set(*keep, *last),
        Step::Groups(groups) => credentials::groups(groups.as_deref()),
        Step::Gid(gid) => credentials::gid(*gid),
        Step::Uid(uid) => credentials::uid(*uid),
        Step::Capabilities(set) => credentials::capabilities(*set),
        Step::NoNewPrivileges => nix::sys::prctl::set_no_new_privs().call(Call::Prctl),
        Step::DieWithParent => credentials::die_with_parent(state),
        Step::ResetProcess => seal::reset_process(state),
        Step::Session { terminal } => seal::session(state, *terminal),
        Step::DenyWriteExecute => crate::sys::process::deny_write_execute().call(Call::Prctl),
        Step::LandlockRestrict => seal::landlock_restrict(state),
        Step::CloseDescriptors => crate::sys::process::close_on_exec_from(3).call(Call::CloseRange),
        Step::PassSockets { names, .. } => sockets::pass(state, names),
        Step::AnnounceManager(notify) => notify::announce(state, notify),
        Step::PortFilter => seal::port_filter(),
        Step::Seccomp(policy) => seal::seccomp(policy),
        Step::CheckProcess(expected) => check::process(state, expected),
        Step::OpenProber { slot } => {
            let image = crate::sys::prober::image().call(Call::MemfdCreate)?;
            state.put(*slot, image);
            Ok(())
        }
        Step::ExecuteProber { slot, arguments, environment } => {
            seal::execute_prober(state, *slot, arguments, environment)
        }
        Step::Execute { candidates, arguments, environment } => {
            seal::execute(candidates, arguments, environment, &state.announced)
        }
    }
}
