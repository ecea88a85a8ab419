//! Limits, ids and capabilities: everything that is given up, in the order that still allows it.
//!
//! Must not know: which program it is for.

use super::{Call, Fault, Named, State};
use crate::jail::Resource;
use nix::errno::Errno;
use rustix::fs::{Mode, OFlags};
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets};

pub fn rlimit(resource: Resource, soft: Option<u64>, hard: Option<u64>) -> Result<(), Fault> {
    let limits =
        nix::libc::rlimit64 { rlim_cur: soft.unwrap_or(u64::MAX), rlim_max: hard.unwrap_or(u64::MAX) };
    crate::sys::process::set_limit(resource.number, limits).call(Call::Setrlimit)
}

/// Makes room for a limit above the caller's, while there is a right to.
pub fn raise_limit(resource: Resource, hard: Option<u64>) -> Result<(), Fault> {
    let now = crate::sys::process::current_limit(resource.number).call(Call::Setrlimit)?;
    let wanted = hard.unwrap_or(u64::MAX);
    if wanted <= now.rlim_max {
        return Ok(());
    }
    let limits = nix::libc::rlimit64 { rlim_max: wanted, ..now };
    crate::sys::process::set_limit(resource.number, limits).call(Call::Setrlimit)
}

pub fn oom_score(state: &State, value: i32) -> Result<(), Fault> {
    let proc = state.proc.as_ref().ok_or(Fault::new(Call::Open, Errno::EBADF))?;
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(proc, "self/oom_score_adj", flags, Mode::empty()).call(Call::Open)?;
    rustix::io::write(&file, value.to_string().as_bytes()).call(Call::Write).map(|_| ())
}

pub fn nice(value: i32) -> Result<(), Fault> {
    rustix::process::setpriority_process(None, value).call(Call::Setpriority)
}

pub fn umask(mask: u32) {
    rustix::process::umask(Mode::from_raw_mode(mask));
}

/// First of the drops: it needs CAP_SETPCAP, and bounds what any later exec could regain.
pub fn bounding_set(keep: u64, last: u8) -> Result<(), Fault> {
    for capability in 0..=last {
        if keep >> capability & 1 == 0 {
            crate::sys::process::drop_bounding(capability).call(Call::Prctl)?;
        }
    }
    Ok(())
}

/// Before the gid and uid: afterwards there is no right to. Rootless it was given up by name.
pub fn groups(groups: Option<&[u32]>) -> Result<(), Fault> {
    groups.map_or(Ok(()), |groups| crate::sys::process::set_groups(groups).call(Call::Setgroups))
}

pub fn gid(gid: u32) -> Result<(), Fault> {
    let gid = nix::unistd::Gid::from_raw(gid);
    nix::unistd::setresgid(gid, gid, gid).call(Call::Setresgid)
}

/// From root to another user the kernel empties all sets; keep-caps leaves the permitted one, from
/// which [`capabilities`] then takes what the spec names.
pub fn uid(uid: u32) -> Result<(), Fault> {
    rustix::thread::set_keep_capabilities(true).call(Call::Prctl)?;
    let uid = nix::unistd::Uid::from_raw(uid);
    nix::unistd::setresuid(uid, uid, uid).call(Call::Setresuid)?;
    // The kernel has just set this to the sysctl fs.suid_dumpable: with 1 any process of that uid on
    // the host could trace this one, whose memory is the outer process's.
    crate::sys::process::not_dumpable().call(Call::Prctl)
}

/// Narrows all sets to `set` and locks the doors behind.
///
/// NOROOT: uid 0 gains nothing by executing. Keep-caps is locked off, and set-uid fix-up is locked
/// on, so that a server that starts as root and drops by itself really loses its capabilities. No
/// ambient raise: what the program drops, its children cannot get back.
pub fn capabilities(set: u64) -> Result<(), Fault> {
    let wanted = CapabilitySet::from_bits_retain(set);
    let now = rustix::thread::capabilities(None).call(Call::Capset)?;
    // Effective must hold SETPCAP until securebits are set; it is in permitted by keep-caps.
    let setpcap = now.permitted & CapabilitySet::SETPCAP;
    set_capabilities(wanted | setpcap, wanted)?;
    rustix::thread::clear_ambient_capability_set().call(Call::Prctl)?;
    for capability in wanted.iter() {
        rustix::thread::configure_capability_in_ambient_set(capability, true).call(Call::Prctl)?;
    }
    let bits = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    rustix::thread::set_capabilities_secure_bits(bits).call(Call::SetSecurebits)?;
    set_capabilities(wanted, wanted)
}

/// Nothing is left but the right to signal a process of another user, and what live files need.
pub fn keep_kill_and(more: u64) -> Result<(), Fault> {
    let kept = CapabilitySet::KILL | CapabilitySet::from_bits_retain(more);
    let now = rustix::thread::capabilities(None).call(Call::Capset)?;
    rustix::thread::clear_ambient_capability_set().call(Call::Prctl)?;
    set_capabilities(now.permitted & kept, CapabilitySet::empty())
}

/// Nothing is left, not even ambient.
pub fn drop_all() -> Result<(), Fault> {
    rustix::thread::clear_ambient_capability_set().call(Call::Prctl)?;
    set_capabilities(CapabilitySet::empty(), CapabilitySet::empty())
}

fn set_capabilities(active: CapabilitySet, inheritable: CapabilitySet) -> Result<(), Fault> {
    let sets = CapabilitySets { effective: active, permitted: active, inheritable };
    rustix::thread::set_capabilities(None, sets).call(Call::Capset)
}

/// Set only now: a change of credentials clears it. The outer process may have died before, which
/// the signal would then never tell; its end of the socket does.
pub fn die_with_parent(state: &State) -> Result<(), Fault> {
    crate::sys::process::die_with_parent().call(Call::Prctl)?;
    let Some(outer) = state.outer() else { return Ok(()) };
    let mut waiting = [nix::poll::PollFd::new(outer, nix::poll::PollFlags::POLLIN)];
    nix::poll::poll(&mut waiting, nix::poll::PollTimeout::ZERO).call(Call::Prctl)?;
    let gone = waiting[0].revents().is_some_and(|r| r.contains(nix::poll::PollFlags::POLLHUP));
    if gone { Err(Fault::new(Call::Prctl, Errno::ESRCH)) } else { Ok(()) }
}
