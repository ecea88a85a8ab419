//! The program's socket for notifications (sd_notify(3)), which the outer process has made and reads.
//!
//! Must not know: what is said on it.

use super::mounts::parent;
use super::{Call, Fault, Named, State};
use crate::jail::Ids;
use crate::jail::notify::Notify;
use crate::jail::path::AbsPath;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, sendto, socket};
use std::os::fd::AsRawFd;

/// A path, not an abstract name: Landlock's scope closes those, and a network namespace hides them.
/// The address is one name in the current directory, for which there is always room in a sockaddr_un.
pub fn bind(state: &mut State, path: &AbsPath) -> Result<(), Fault> {
    let socket = state.notify.ok_or(Fault::new(Call::Bind, Errno::EBADF))?;
    let owner = state.users.is_some().then(|| state.outside(Ids { uid: 0, gid: 0 }));
    let parent = parent(state, path)?;
    nix::unistd::fchdir(parent).call(Call::Fchdir)?;
    let address = UnixAddr::new(path.name()).call(Call::Bind)?;
    nix::sys::socket::bind(socket, &address).call(Call::Bind)?;
    owner.map_or(Ok(()), |owner| super::files::own(parent, path.name(), owner))
}

/// WATCHDOG_PID is this process, which executes the program, as it sees itself. It introduces itself to
/// the outer process, which so knows its number outside even if it ends at once.
pub fn announce(state: &mut State, notify: &Notify) -> Result<(), Fault> {
    if state.notify.is_some() {
        let flags = SockFlag::SOCK_CLOEXEC;
        let own = socket(AddressFamily::Unix, SockType::Datagram, flags, None).call(Call::Socket)?;
        let address = UnixAddr::new(notify.inside.as_str()).call(Call::Sendmsg)?;
        sendto(own.as_raw_fd(), b"jail", &address, MsgFlags::MSG_NOSIGNAL).call(Call::Sendmsg)?;
    }
    state.announced.push(("NOTIFY_SOCKET".to_owned(), notify.inside.to_string()));
    if let Some(usec) = notify.watchdog {
        state.announced.extend([
            ("WATCHDOG_USEC".to_owned(), usec.to_string()),
            ("WATCHDOG_PID".to_owned(), nix::unistd::getpid().to_string()),
        ]);
    }
    Ok(())
}
