//! What the outer process opens before it clones: signals that wait for it, a socket to the other side,
//! and a terminal if the program gets one.
//!
//! Must not know: who the other side is.

use super::terminal::Relay;
use super::{Stopped, failed};
use crate::apply::Call;
use crate::plan::Plan;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use std::os::fd::OwnedFd;

/// Its own ends, and those of the other side.
pub struct Ends {
    /// From a signalfd(2).
    pub signals: OwnedFd,
    /// Of the socket: its end tells the other side that this process is gone.
    pub ours: OwnedFd,
    /// Of the socket.
    pub theirs: OwnedFd,
    /// Of the terminal.
    pub relay: Option<Relay>,
    /// Of the terminal.
    pub slave: Option<OwnedFd>,
}

impl Ends {
    /// Opens them. Signals are blocked before the clone: one that comes now is kept and forwarded, not
    /// lost.
    ///
    /// # Errors
    /// The call that failed.
    pub fn open(plan: &Plan) -> Result<Self, Stopped> {
        let early = |call| move |errno| Stopped::Step(failed(0, call, errno));
        crate::sys::signal::block_all().map_err(early(Call::Sigaction))?;
        let signals = crate::sys::signal::descriptor().map_err(early(Call::Signalfd))?;
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .map_err(early(Call::Socketpair))?;
        let terminal =
            if plan.supervision.terminal { Relay::open().map_err(early(Call::Ioctl))? } else { None };
        let (relay, slave) = terminal.unzip();
        Ok(Ends { signals, ours, theirs, relay, slave })
    }
}
