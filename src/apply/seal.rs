//! The last steps before execve: session, Landlock, seccomp, and execve itself.
//!
//! Must not know: why a place is writable or a call allowed. From the filter on, nothing is called
//! that a narrow filter could refuse but read, write and execve, which every filter allows.

use super::{Call, Fault, Named, State};
use crate::jail::network::TcpPorts;
use crate::jail::path::AbsPath;
use crate::plan::Access;
use crate::seccomp::Policy;
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath, Ruleset,
    RulesetAttr, RulesetCreatedAttr, Scope,
};
use nix::errno::Errno;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use std::error::Error;
use std::ffi::CString;
use std::os::fd::AsFd;

/// What would leak from the caller over exec: ignored and blocked signals, the execution domain.
pub fn reset_process(state: &mut State) -> Result<(), Fault> {
    // Opened now because Landlock will not let the host's /proc be opened; read in `check`.
    state.status = Some(super::check::open_status(state)?);
    state.filters = super::check::filters(state)?;
    crate::sys::signal::reset_all().call(Call::Sigaction)?;
    crate::sys::process::reset_personality().call(Call::Personality)
}

/// A session of its own cannot be fed from the caller's terminal. EPERM means that this process
/// leads its session already, which is as good only if it has no controlling terminal.
pub fn session(state: &State, terminal: bool) -> Result<(), Fault> {
    match rustix::process::setsid() {
        Ok(_) => {}
        Err(rustix::io::Errno::PERM) => {
            let leads = nix::unistd::getsid(None) == Ok(nix::unistd::getpid());
            if !leads || super::check::has_terminal(state)? {
                return Err(Fault::new(Call::Setsid, Errno::EPERM));
            }
        }
        Err(errno) => return Err(errno).call(Call::Setsid),
    }
    if terminal {
        crate::sys::process::take_terminal(std::io::stdin().as_fd()).call(Call::Ioctl)?;
    }
    Ok(())
}

fn abi(number: u32) -> ABI {
    match number {
        0 => ABI::Unsupported,
        1 => ABI::V1,
        2 => ABI::V2,
        3 => ABI::V3,
        4 => ABI::V4,
        5 => ABI::V5,
        _ => ABI::V6,
    }
}

fn rights(access: Access, abi: ABI) -> BitFlags<AccessFs> {
    let all = AccessFs::from_all(abi);
    let read: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
    // Device nodes are made by nobody inside: MakeChar and MakeBlock are in no rule.
    let write = all & !(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev);
    let rights = match access {
        Access::List => AccessFs::ReadDir.into(),
        Access::Read => read,
        Access::Execute => read | AccessFs::Execute,
        Access::Write => write,
        Access::WriteExecute => write | AccessFs::Execute,
        Access::Device => read | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev,
    };
    rights & all
}

/// The errno inside one of the crate's errors.
fn errno(error: &(dyn Error + 'static)) -> Errno {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(code) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error) {
            return Errno::from_raw(code);
        }
        next = error.source();
    }
    Errno::EINVAL
}

fn named<T, E: Error + 'static>(result: Result<T, E>, call: Call, detail: usize) -> Result<T, Fault> {
    result.map_err(|e| Fault {
        detail: u32::try_from(detail).unwrap_or(u32::MAX),
        ..Fault::new(call, errno(&e))
    })
}

/// Makes the ruleset as root, who can open every place; it is enforced later.
pub fn landlock_rules(
    state: &mut State,
    number: u32,
    rules: &[(AbsPath, Access)],
    ports: &TcpPorts,
) -> Result<(), Fault> {
    let abi = abi(number);
    let base = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let mut base = named(base.handle_access(AccessFs::from_all(abi)), Call::LandlockCreate, 0)?;
    for (access, ports) in by_access(ports) {
        if ports.is_some() {
            base = named(base.handle_access(access), Call::LandlockCreate, 0)?;
        }
    }
    if number >= 6 {
        base = named(base.scope(Scope::from_all(abi)), Call::LandlockCreate, 0)?;
    }
    let mut ruleset = named(base.create(), Call::LandlockCreate, 0)?;
    for (index, (path, access)) in rules.iter().enumerate() {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        // In a directory that others may write to a link could widen what the rule allows.
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let place = rustix::fs::openat2(CWD, path.as_str(), flags, Mode::empty(), resolve)
            .call(Call::Openat2)
            .map_err(|f| Fault { detail: u32::try_from(index).unwrap_or(u32::MAX), ..f })?;
        let mut granted = rights(*access, abi);
        if super::mounts::file_type(place.as_fd())? != rustix::fs::FileType::Directory {
            granted &= AccessFs::from_file(abi);
        }
        ruleset = named(ruleset.add_rule(PathBeneath::new(place, granted)), Call::LandlockAdd, index)?;
    }
    for (access, ports) in by_access(ports) {
        for port in ports.iter().flatten() {
            // No index: these are no places.
            let rule = ruleset.add_rule(NetPort::new(*port, access));
            ruleset = named(rule, Call::LandlockAdd, usize::MAX)?;
        }
    }
    state.ruleset = Some(ruleset);
    Ok(())
}

fn by_access(ports: &TcpPorts) -> [(AccessNet, &Option<Vec<u16>>); 2] {
    [(AccessNet::BindTcp, &ports.bind), (AccessNet::ConnectTcp, &ports.connect)]
}

pub fn landlock_restrict(state: &mut State) -> Result<(), Fault> {
    let ruleset = state.ruleset.take().ok_or(Fault::new(Call::LandlockRestrict, Errno::EBADF))?;
    let status = named(ruleset.restrict_self(), Call::LandlockRestrict, 0)?;
    if status.ruleset == landlock::RulesetStatus::FullyEnforced {
        Ok(())
    } else {
        Err(Fault::new(Call::LandlockRestrict, Errno::EOPNOTSUPP))
    }
}

pub fn seccomp(policy: &Policy) -> Result<(), Fault> {
    crate::sys::process::install_filter(&crate::seccomp::compile(policy)).call(Call::Seccomp)
}

/// A program of its own, so that the policy's stays the one that is compiled ahead.
pub fn port_filter() -> Result<(), Fault> {
    crate::sys::process::install_filter(&crate::seccomp::PORTS_PROGRAM).call(Call::Seccomp)
}

/// `announced` are the variables that tell of passed sockets; others of these names are dropped.
fn execution(
    arguments: &[String],
    environment: &[(String, String)],
    announced: &[(String, String)],
) -> Result<crate::sys::process::Execution, Fault> {
    let argv = arguments.iter().map(|a| text(a)).collect::<Result<Vec<_>, _>>()?;
    let told = |key: &str| announced.iter().any(|(k, _)| k == key);
    let environment = environment.iter().filter(|(k, _)| !told(k)).chain(announced);
    let envp = environment.map(|(k, v)| text(&format!("{k}={v}"))).collect::<Result<Vec<_>, _>>()?;
    Ok(crate::sys::process::Execution::new(argv, envp))
}

fn text(s: &str) -> Result<CString, Fault> {
    CString::new(s).map_err(|_| Fault::new(Call::Execve, Errno::EINVAL))
}

pub fn execute_prober(
    state: &State,
    slot: usize,
    arguments: &[String],
    environment: &[(String, String)],
) -> Result<(), Fault> {
    let errno = execution(arguments, environment, &state.announced)?.run_image(state.slot(slot)?);
    Err(Fault::new(Call::Execve, errno))
}

/// Tries each candidate like execvp(3), but remembers the most telling errno.
pub fn execute(
    candidates: &[AbsPath],
    arguments: &[String],
    environment: &[(String, String)],
    announced: &[(String, String)],
) -> Result<(), Fault> {
    let execution = execution(arguments, environment, announced)?;
    // No index: found in none of them.
    let mut worst = Fault { detail: u32::MAX, ..Fault::new(Call::Execve, Errno::ENOENT) };
    for (index, candidate) in candidates.iter().enumerate() {
        let errno = execution.run(text(candidate.as_str())?.as_c_str());
        if errno != Errno::ENOENT || candidates.len() == 1 {
            let detail = u32::try_from(index).unwrap_or(u32::MAX);
            worst = Fault { detail, ..Fault::new(Call::Execve, errno) };
        }
    }
    Err(worst)
}
