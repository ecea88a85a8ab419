//! Notifications on their way from the program to the service manager (sd_notify(3)).
//!
//! The program has a socket of its own, on which the outer process hears it and sees by the kernel's
//! word who speaks. What `message` lets through is sent on by the outer process itself, which is the
//! manager's main process, so that NotifyAccess=main is enough. Must not know: what an assignment
//! means to the manager.

pub mod message;

use super::failed;
use super::members::Members;
use crate::apply::{Call, Failure};
use crate::plan::{Plan, Step};
use crate::problem::printable;
use crate::sys::process::take_received;
use message::{LONGEST, Message};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, RecvMsg, SockFlag, SockType, UnixAddr,
    UnixCredentials, connect, recvmsg, sendmsg, setsockopt, socket, sockopt,
};
use rustix::fs::FileType;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

/// Most messages that are dealt with before the outer process looks after its other business.
const AT_ONCE: usize = 32;

/// How often it is said that something was not passed on: the program must not fill the host's log.
const COMPLAINTS: u32 = 10;

/// Most descriptors in one message (the kernel's SCM_MAX_FD).
const DESCRIPTORS: usize = 253;

/// Passes the program's messages on.
pub struct Notify {
    /// What the program sends to.
    inside: OwnedFd,
    /// Connected to the manager, so that its room can be waited for.
    manager: OwnedFd,
    address: UnixAddr,
    /// Was read, and the manager has had no room yet: nothing more is read until it has.
    pending: Option<(String, Vec<OwnedFd>)>,
    /// The program has sent the first message before it was executed: by that it is known.
    introduced: bool,
    complaints: u32,
}

impl Notify {
    /// The sockets of both sides, before the jail is started; `None` if its plan has no such thing.
    ///
    /// # Errors
    /// The step that wants it, if the manager cannot be reached.
    pub fn open(plan: &Plan) -> Result<Option<Self>, Failure> {
        let found = plan.steps.iter().enumerate().find_map(|(step, planned)| match &planned.step {
            Step::NotifySocket(notify) => Some((step, notify)),
            _ => None,
        });
        let Some((step, notify)) = found else { return Ok(None) };
        let at = |call| move |errno| failed(step, call, errno);
        let address = match notify.manager.strip_prefix('@') {
            Some(name) => UnixAddr::new_abstract(name.as_bytes()),
            None => UnixAddr::new(notify.manager.as_str()),
        };
        let address = address.map_err(at(Call::Connect))?;
        let inside = datagram_socket().map_err(at(Call::Socket))?;
        // Set before anybody can send: the kernel then says who did.
        setsockopt(&inside, sockopt::PassCred, &true).map_err(at(Call::Setsockopt))?;
        // unix(7): its file gets this mode. Whom the program becomes is its own business.
        rustix::fs::fchmod(&inside, rustix::fs::Mode::from_raw_mode(0o666))
            .map_err(|errno| failed(step, Call::Chmod, Errno::from_raw(errno.raw_os_error())))?;
        let manager = datagram_socket().map_err(at(Call::Socket))?;
        connect(manager.as_raw_fd(), &address).map_err(at(Call::Connect))?;
        Ok(Some(Notify { inside, manager, address, pending: None, introduced: false, complaints: 0 }))
    }

    /// The program's side, to be bound in the jail.
    pub fn inside(&self) -> RawFd {
        self.inside.as_raw_fd()
    }

    /// What to wait for: the next message, or the manager's room for the last one.
    pub fn waiting(&self) -> PollFd<'_> {
        match self.pending {
            None => PollFd::new(self.inside.as_fd(), PollFlags::POLLIN),
            Some(_) => PollFd::new(self.manager.as_fd(), PollFlags::POLLOUT),
        }
    }

    /// Passes on what has come, without waiting; the number of the main process, inside, if a message
    /// names it.
    pub fn pass_on(&mut self, members: &mut Members) -> Option<u32> {
        let mut main = None;
        for _ in 0..AT_ONCE {
            if !self.deliver() {
                break;
            }
            let Some(message) = self.receive(members) else { break };
            main = message.main.or(main);
        }
        main
    }

    /// Whether nothing is pending any more.
    fn deliver(&mut self) -> bool {
        let Some((text, descriptors)) = &self.pending else { return true };
        let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let rights = if raw.is_empty() { &[][..] } else { &rights[..] };
        let slices = [IoSlice::new(text.as_bytes())];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let send = || sendmsg::<()>(self.manager.as_raw_fd(), &slices, rights, flags, None);
        let sent = match send() {
            // The manager was restarted, and listens on a new socket of the same name.
            Err(Errno::ECONNREFUSED | Errno::ENOTCONN | Errno::ECONNRESET | Errno::EPIPE) => {
                connect(self.manager.as_raw_fd(), &self.address).and_then(|()| send())
            }
            other => other,
        };
        match sent {
            Err(Errno::EAGAIN | Errno::ENOBUFS) => return false,
            Err(errno) => self.complain(&format!("the service manager was not notified: {}", errno.desc())),
            Ok(_) => {}
        }
        self.pending = None;
        true
    }

    /// Takes the next message; `None` if there is none. What it lets through is pending then.
    fn receive(&mut self, members: &mut Members) -> Option<Message> {
        let mut buffer = [0u8; LONGEST + 2];
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let mut space = cmsg_space!(UnixCredentials, [RawFd; DESCRIPTORS]);
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let received = recvmsg::<()>(self.inside.as_raw_fd(), &mut slices, Some(&mut space), flags).ok()?;
        let (length, cut) =
            (received.bytes, received.flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC));
        let (sender, descriptors) = came_with(&received);
        let bytes = buffer.get(..length).unwrap_or(&[]);
        if !self.introduced {
            self.introduced = true;
            members.note(sender?);
            return Some(Message::default());
        }
        let read = match sender {
            _ if cut => Err("it is too long, or has too many descriptors"),
            Some(pid) if members.has(pid) => message::read(bytes, descriptors.len()),
            // As with systemd, a sender that has ended by now cannot be told from a stranger.
            _ => Err("its sender is no process of the jail"),
        };
        let message = match read {
            Ok(message) if message.descriptors && !may_go(&message, &descriptors) => {
                Err("only sockets can be stored, for only those are passed in again")
            }
            other => other,
        };
        match &message {
            Err(why) => self.complain(&format!("a notification of the program is not passed on: {why}")),
            Ok(message) => {
                for line in &message.refused {
                    self.complain(&format!("not passed on to the service manager: {:?}", printable(line)));
                }
                if !message.text.is_empty() {
                    let descriptors = if message.descriptors { descriptors } else { Vec::new() };
                    self.pending = Some((message.text.clone(), descriptors));
                }
            }
        }
        Some(message.unwrap_or_default())
    }

    fn complain(&mut self, what: &str) {
        if self.complaints < COMPLAINTS {
            log::warn!("{what}");
        }
        self.complaints = self.complaints.saturating_add(1);
        if self.complaints == COMPLAINTS {
            log::warn!("of more that is not passed on nothing is said");
        }
    }
}

fn datagram_socket() -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socket(AddressFamily::Unix, SockType::Datagram, flags, None)
}

/// Who has sent a message, by its number out here, and the descriptors in it, which now are ours.
fn came_with(received: &RecvMsg<'_, '_, ()>) -> (Option<i32>, Vec<OwnedFd>) {
    let (mut sender, mut descriptors) = (None, Vec::new());
    for message in received.cmsgs().into_iter().flatten() {
        match message {
            ControlMessageOwned::ScmCredentials(credentials) => sender = Some(credentials.pid()),
            ControlMessageOwned::ScmRights(raw) => descriptors.extend(raw.into_iter().map(take_received)),
            _ => {}
        }
    }
    (sender, descriptors)
}

/// A barrier's descriptor is closed by the manager, whatever it is; one that is stored comes back as a
/// passed socket, and anything else would keep the jail from its next start.
fn may_go(message: &Message, descriptors: &[OwnedFd]) -> bool {
    let is_socket = |descriptor: &OwnedFd| {
        let stat = rustix::fs::fstat(descriptor);
        stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Socket)
    };
    message.text == "BARRIER=1" || descriptors.iter().all(is_socket)
}
