//! A failure's three numbers made into a message: intent, object, spec line, call, errno, remedy.
//!
//! Must not know: how to print. Errno values that mislead are translated in one table.

mod groups;

use super::check::PROCESS_FIELDS;
use super::{Call, Failure};
use crate::jail::network::{Endpoint, Listen};
use crate::plan::{Plan, Step, TreeKind};
use crate::problem::{Kind, Problem};
use nix::errno::Errno;

/// The message for a failed step.
pub fn problem(plan: &Plan, failure: Failure) -> Problem {
    let Some(planned) = plan.steps.get(failure.step) else {
        return Problem::set_up(format!(
            "the jail reported a failure of step {}, which it does not have",
            failure.step
        ));
    };
    let step = &planned.step;
    let kind = match (step, failure.errno) {
        (Step::Execute { .. }, errno) if errno == Errno::ENOENT as i32 => Kind::NotFound,
        (Step::Execute { .. }, _) if failure.call == Call::Execve => Kind::NotExecutable,
        _ => Kind::SetUp,
    };
    let cause = match failure.call {
        Call::Compare => difference(step, failure.detail),
        // Of links it was already said that they lead in a circle: execve follows `#!` lines as well.
        Call::Execve if failure.errno == Errno::ELOOP as i32 => "its #! line leads back to a script".into(),
        _ => Errno::from_raw(failure.errno).desc().to_owned(),
    };
    let what = match (step, failure.call) {
        // The only thing that is opened before the first step.
        (Step::Isolate { .. }, Call::Open) => "find the host's /proc".into(),
        _ => intent(step, failure.detail),
    };
    let at = match step {
        Step::Group(group) | Step::GroupOf { group, .. } => groups::at(group, failure.detail).or(planned.at),
        _ => planned.at,
    };
    let mut problem = Problem::new(kind, format!("cannot {what}: {cause}")).at(at);
    problem.step = Some(format!(
        "step {} of {} ({}): {}",
        failure.step + 1,
        plan.steps.len(),
        step.phase().name(),
        call(step, failure)
    ));
    match remedy(step, failure) {
        Some(help) => problem.help(help),
        None => problem,
    }
}

/// `openat2("/srv/www") = ENOENT`
fn call(step: &Step, failure: Failure) -> String {
    if failure.call == Call::Compare {
        return "compared with the plan".into();
    }
    let name = match failure.call {
        Call::WriteMap => "write".into(),
        Call::LandlockCreate => "landlock_create_ruleset".into(),
        Call::LandlockAdd => "landlock_add_rule".into(),
        Call::LandlockRestrict => "landlock_restrict_self".into(),
        Call::MapOwners => "mount_setattr(MOUNT_ATTR_IDMAP)".into(),
        Call::SetSecurebits => "prctl(PR_SET_SECUREBITS)".into(),
        Call::Injected => return format!("failure injected by a test = {}", errno_name(failure.errno)),
        other => snake(&format!("{other:?}")),
    };
    let object = object(step, failure.detail).map_or(String::new(), |o| format!("{o:?}"));
    if name.ends_with(')') {
        return format!("{name} = {}", errno_name(failure.errno));
    }
    format!("{name}({object}) = {}", errno_name(failure.errno))
}

fn snake(camel: &str) -> String {
    let mut out = String::new();
    for (i, c) in camel.char_indices() {
        if c.is_ascii_uppercase() && i > 0 {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

fn errno_name(errno: i32) -> String {
    match Errno::from_raw(errno) {
        Errno::UnknownErrno => errno.to_string(),
        known => format!("{known:?}"),
    }
}

/// What a step's calls are about.
fn object(step: &Step, detail: u32) -> Option<String> {
    Some(match step {
        Step::CreateDirectory { path, .. }
        | Step::Directory { path, .. }
        | Step::Link { path, .. }
        | Step::Text { path, .. }
        | Step::Copy { path, .. }
        | Step::Attach { path, .. }
        | Step::Tmpfs { path, .. }
        | Step::Devpts { path, .. }
        | Step::Proc { path, .. }
        | Step::WorkingDirectory(path) => path.to_string(),
        Step::OpenTree { source, .. } | Step::MapOwners { source, .. } | Step::OpenFile { source, .. } => {
            source.to_string()
        }
        Step::LeaveGroup { leaf, .. } => leaf.to_string(),
        Step::Group(group) | Step::GroupOf { group, .. } => groups::file(group, detail),
        Step::JoinGroups(paths) => paths.get(detail as usize)?.to_string(),
        Step::LandlockRules { rules, .. } => rules.get(detail as usize)?.0.to_string(),
        Step::Listen { socket, .. } => socket.endpoint.to_string(),
        Step::NotifySocket(notify) => notify.manager.clone(),
        Step::PassSockets { names, .. } => names.get(detail as usize)?.clone(),
        Step::Hostname(name) => name.clone(),
        Step::RaiseLimit { resource, .. } | Step::Rlimit { resource, .. } => resource.name.to_owned(),
        Step::Execute { candidates, arguments, .. } => match candidates.as_slice() {
            [one] => one.to_string(),
            many => many
                .get(detail as usize)
                .map_or_else(|| arguments.first().cloned(), |c| Some(c.to_string()))?,
        },
        _ => return None,
    })
}

fn intent(step: &Step, detail: u32) -> String {
    let object = || object(step, detail).unwrap_or_default();
    match step {
        Step::Isolate { user: None, .. } => "make the jail's namespaces".into(),
        Step::Isolate { user: Some(_), .. } => "make the jail's namespaces without root".into(),
        Step::MakePrivate => "make the mounts private".into(),
        Step::UserNamespace { .. } => "make the jail's user namespace".into(),
        Step::MapOwners { .. } => format!("map the owners of files in {}", object()),
        Step::EnterUserNamespace | Step::JoinUserNamespace => "enter the jail's user namespace".into(),
        Step::Join(_) => "join the jail's namespaces".into(),
        Step::CreateDirectory { .. } => format!("create {} on the host", object()),
        Step::OpenTree { .. } | Step::OpenFile { .. } => format!("show {} in the jail", object()),
        Step::LeaveGroup { base, .. } => format!("leave the group {base}"),
        Step::Group(group) => groups::intent(group, detail, None),
        Step::GroupOf { group, processes, .. } => groups::intent(group, detail, Some(processes)),
        Step::JoinGroups(_) => format!("join the group {}", object()),
        Step::RaiseLimit { .. } => format!("raise the limit {}", object()),
        Step::Listen { .. } => format!("listen on {}", object()),
        Step::PassSockets { .. } => format!("pass on the socket {}", object()),
        Step::PortFilter => "install the filter that goes with limits on ports".into(),
        Step::Rlimit { .. } => format!("set the limit {}", object()),
        Step::OomScoreAdjust(_) => "set the OOM score".into(),
        Step::Nice(_) => "set the nice value".into(),
        Step::Unshare(_) => "make the remaining namespaces".into(),
        Step::LoopbackUp => "bring up the loopback interface".into(),
        Step::Keyring => "make a session keyring".into(),
        Step::NewRoot(_) | Step::AttachRoot { .. } => "make the new root".into(),
        Step::Directory { .. } | Step::Link { .. } | Step::Text { .. } | Step::Copy { .. } => {
            format!("make {} in the jail", object())
        }
        Step::Attach { .. } | Step::Tmpfs { .. } | Step::Devpts { .. } | Step::Proc { .. } => {
            format!("mount {} in the jail", object())
        }
        Step::NotifySocket(_) => format!("pass notifications on to the service manager at {}", object()),
        Step::AnnounceManager(_) => "tell the program of the service manager".into(),
        Step::KeepLive { .. } => "keep a view of the copied files".into(),
        Step::PivotRoot => "enter the new root".into(),
        Step::SealRoot => "seal the root".into(),
        Step::CheckMounts(_) => "trust the mounts".into(),
        Step::LandlockRules { .. } | Step::LandlockRestrict => "build the Landlock wall".into(),
        Step::Hostname(_) => "set the host name".into(),
        Step::Umask(_) => "set the umask".into(),
        Step::WorkingDirectory(_) => format!("enter the working directory {}", object()),
        Step::BoundingSet { .. } | Step::Capabilities(_) => "drop capabilities".into(),
        Step::Groups(_) => "set the groups".into(),
        Step::Gid(gid) => format!("become gid {gid}"),
        Step::Uid(uid) => format!("become uid {uid}"),
        Step::NoNewPrivileges => "set no_new_privs".into(),
        Step::DieWithParent => "tie the jail to its outer process".into(),
        Step::ResetProcess => "reset signals".into(),
        Step::Session { .. } => "start a session".into(),
        Step::DenyWriteExecute => "refuse writable and executable memory".into(),
        Step::CloseDescriptors => "close descriptors".into(),
        Step::Seccomp(_) => "install the system-call filter".into(),
        Step::CheckProcess(_) => "trust the process".into(),
        Step::OpenProber { .. } | Step::ExecuteProber { .. } => "execute the built-in prober".into(),
        Step::Execute { .. } => format!("execute {}", object()),
    }
}

/// What is not as planned.
fn difference(step: &Step, detail: u32) -> String {
    let index = detail as usize;
    match step {
        Step::OpenTree { kind, .. } => {
            let wanted = match kind {
                TreeKind::Directory => "a directory",
                TreeKind::File => "a regular file",
                TreeKind::Special => "a socket",
                TreeKind::Device => "a character device",
            };
            format!("it is no longer {wanted}")
        }
        Step::OpenFile { .. } => "it is no longer a regular file".into(),
        Step::CreateDirectory { .. } => "another was put in its place at that moment".into(),
        Step::CheckMounts(expected) => match expected.get(index) {
            Some(mount) => format!("the mount at {} is missing, doubled, or weaker than planned", mount.path),
            None => "there is a mount that nobody planned".into(),
        },
        Step::CheckProcess(_) => {
            let field = PROCESS_FIELDS.get(index).copied().unwrap_or("status");
            format!("{field} in /proc/self/status is not as planned")
        }
        _ => "it is not as planned".into(),
    }
}

fn listen_remedy(socket: &Listen, errno: Errno) -> Option<String> {
    Some(match (&socket.endpoint, errno) {
        (Endpoint::Unix { .. }, Errno::EACCES | Errno::EPERM) => {
            "the user who runs jail must be allowed to write to that directory".into()
        }
        (Endpoint::Unix { path, .. }, Errno::EROFS) => format!("{path} is on a read-only file system"),
        (_, Errno::EACCES) => "ports below 1024 are root's (sysctl net.ipv4.ip_unprivileged_port_start): run jail as root, or use another port".into(),
        (_, Errno::EADDRNOTAVAIL) => "no interface of this host has that address; 0.0.0.0 and [::] stand for all of them".into(),
        (_, Errno::EAFNOSUPPORT) => "this kernel has no IPv6: use an IPv4 address".into(),
        _ => return None,
    })
}

/// What to do, for errnos that do not say so themselves.
fn remedy(step: &Step, failure: Failure) -> Option<String> {
    let errno = Errno::from_raw(failure.errno);
    Some(match (step, errno) {
        (Step::LeaveGroup { .. } | Step::Group(_) | Step::GroupOf { .. } | Step::JoinGroups(_), _) => {
            return groups::remedy(step, errno, failure.detail);
        }
        (Step::Isolate { .. }, _) if failure.call == Call::Open => "mount it (mount -t proc proc /proc): jail reads there what the kernel says of its mounts and of itself, before it starts anything".into(),
        (Step::Isolate { user: Some(_), .. }, Errno::EPERM | Errno::EACCES) => "something forbids user namespaces to users here: the system-call filter of a container, or AppArmor (its profile for jail needs `userns,`); run jail as root on the host".into(),
        // Root is refused this only by a security module; of others Ubuntu's AppArmor takes the capabilities.
        (Step::MakePrivate, Errno::EPERM | Errno::EACCES) => "a security module forbids it: a container's profile, or without root Ubuntu's kernel.apparmor_restrict_unprivileged_userns (give jail an AppArmor profile with `userns,`, or run it as root)".into(),
        (Step::UserNamespace { .. }, Errno::EPERM) if failure.call == Call::WriteMap => "jail needs CAP_SETUID and CAP_SETGID, and a host where the ids of `jail plan` exist: not a container with a user namespace of its own".into(),
        (Step::UserNamespace { .. }, Errno::EPERM) => "jail needs CAP_SYS_ADMIN, and must not be in a chroot: run it as root on the host".into(),
        (Step::MapOwners { .. }, Errno::EINVAL | Errno::EOPNOTSUPP) => "its file system, or one mounted below it, cannot map owners: keep it on ext4, xfs or btrfs (tmpfs: Linux 6.3), or make the place a [files] tmpfs".into(),
        (Step::MapOwners { .. }, Errno::EPERM) => "it is id-mapped already, by whoever mounted it: name a directory of a plain mount".into(),
        (Step::Isolate { .. } | Step::Unshare(_), Errno::EPERM) => "jail needs CAP_SYS_ADMIN to make namespaces: run it as root on the host, not inside a restricted container".into(),
        (Step::Isolate { .. } | Step::UserNamespace { .. } | Step::Unshare(_), Errno::ENOSPC | Errno::EUSERS) => "a limit of namespaces is reached: see /proc/sys/user/max_*_namespaces".into(),
        (Step::Attach { .. } | Step::OpenTree { .. }, Errno::ENOSPC) => "the limit of mounts is reached: see /proc/sys/fs/mount-max".into(),
        (Step::OpenTree { .. } | Step::OpenFile { .. }, Errno::ELOOP) => "a symbolic link was put on this path after it was looked up: find out by whom".into(),
        (Step::OpenTree { .. } | Step::OpenFile { .. }, Errno::EACCES) => "the user who runs jail may not read it".into(),
        (Step::OpenTree { .. }, Errno::EPERM | Errno::EINVAL) if failure.call == Call::MountSetattr => "a mount below it is locked, or its file system cannot be changed this way: show less of it".into(),
        (Step::Copy { .. }, Errno::EFBIG) => "it has grown above 1 MiB: show its directory, or write bind = true".into(),
        (Step::Copy { .. } | Step::Text { .. } | Step::Directory { .. }, Errno::ENOSPC) => "the jail's own tmpfs is full: show directories instead of many files".into(),
        (Step::Attach { path, make: None, .. } | Step::Tmpfs { path, make: false, .. } | Step::Proc { path, make: false, .. }, Errno::ENOENT) => format!("create {path} in the directory that is shown there: jail never writes into it"),
        (Step::Listen { socket, .. }, _) => return listen_remedy(socket, errno),
        (Step::NotifySocket(_), _) if failure.call == Call::Connect => "NOTIFY_SOCKET is set, but nobody who may be reached listens there: start jail without it if no service manager is meant".into(),
        (Step::PassSockets { .. }, Errno::EBADF | Errno::EINVAL | Errno::EMFILE) => "the limit of open files is too low for so many sockets: raise it (ulimit -n)".into(),
        (Step::Attach { make: None, .. } | Step::Tmpfs { make: false, .. } | Step::Proc { make: false, .. }, Errno::EINVAL | Errno::ENOTDIR) => "what is there is of another kind, or a link: a directory can be mounted only on a directory, and a file only on a file; was it changed just now?".into(),
        (Step::Attach { .. } | Step::Tmpfs { .. } | Step::Proc { .. } | Step::LandlockRules { .. }, Errno::ELOOP | Errno::ENOTDIR) => "a symbolic link, or something that is no directory, is in its way in the host directory that is shown there: name the place it leads to, or find out who put it there".into(),
        (Step::CreateDirectory { .. }, Errno::ELOOP) => "a symbolic link was put on this path after it was looked up: find out by whom".into(),
        (Step::Proc { .. }, Errno::EPERM) => "in a user namespace a new /proc needs a host /proc without anything mounted over it; run jail as root, or write proc = \"none\"".into(),
        (Step::BoundingSet { .. } | Step::Capabilities(_), Errno::EPERM) => lacks("SETPCAP", "take capabilities away for good"),
        (Step::Groups(_) | Step::Gid(_), Errno::EPERM) => lacks("SETGID", "set the program's groups"),
        (Step::Uid(_), Errno::EPERM) => lacks("SETUID", "become the program's user"),
        (Step::OpenTree { .. } | Step::NewRoot(_) | Step::PivotRoot | Step::Hostname(_), Errno::EPERM) => lacks("SYS_ADMIN", "make mounts"),
        (_, Errno::EPERM) if failure.call == Call::Chown => lacks("CHOWN", "hand files to their owners"),
        (Step::RaiseLimit { .. } | Step::Rlimit { .. }, Errno::EPERM) => "raising a hard limit needs CAP_SYS_RESOURCE".into(),
        (Step::Nice(_), Errno::EPERM | Errno::EACCES) => "a lower nice value needs CAP_SYS_NICE".into(),
        (Step::OomScoreAdjust(_), Errno::EPERM | Errno::EACCES) => "a lower score needs CAP_SYS_RESOURCE".into(),
        (Step::WorkingDirectory(path), Errno::ENOENT) => format!("show {path} in the jail, or name another directory"),
        (Step::OpenProber { .. }, Errno::EACCES) => "the sysctl vm.memfd_noexec is 2: programs in memory are forbidden, jail's own pid 1 included".into(),
        (Step::Session { .. }, Errno::EPERM) => "with a shared pid namespace, start jail from a service manager or with setsid(1), or give the session up with `--without session`".into(),
        (Step::Execute { .. }, Errno::EAGAIN) if failure.call == Call::Clone => "the limit of processes is reached: see ulimit -u of the caller, and pids.max of its cgroup".into(),
        (Step::Keyring, _) => "give it up knowingly with `--without keyring`".into(),
        (Step::LandlockRules { .. } | Step::LandlockRestrict, Errno::EOPNOTSUPP | Errno::ENOSYS) => "Landlock is off on this kernel; give it up knowingly with `--without landlock`".into(),
        (Step::CheckMounts(_) | Step::CheckProcess(_), _) => "nothing was started; unless somebody moves directories there meanwhile, this is a bug in jail or a very unusual kernel: please report it with the output of `jail plan`".into(),
        _ => return None,
    })
}

/// Root may be without a capability: in a container, or as a unit with a bounding set.
fn lacks(capability: &str, to: &str) -> String {
    format!(
        "jail needs CAP_{capability} to {to}: start it with that capability (CapabilityBoundingSet= of a unit, --cap-add of a container)"
    )
}
