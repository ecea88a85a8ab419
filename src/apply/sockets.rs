//! Sockets opened in the host's network and passed in: the program needs neither that network nor
//! a capability for them.
//!
//! Must not know: who serves on them. The numbers that they get are kept free from the start (see
//! `serve::sockets`), so that nothing else is ever in their place.

use super::{Call, Fault, Named, State};
use crate::jail::network::{Endpoint, Listen};
use crate::jail::path::AbsPath;
use crate::plan::build::FIRST_PASSED;
use crate::sys::descriptors;
use core::net::SocketAddr;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, SockaddrIn6, UnixAddr, bind, connect, setsockopt,
    socket, sockopt,
};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Uid};
use std::os::fd::{AsRawFd, OwnedFd};

/// The file of a unix socket that was made, as it can be told from any other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SocketFile {
    path: AbsPath,
    device: u64,
    inode: u64,
}

/// Opens a socket, has it listen, and puts it at its number, still closed at exec.
pub fn listen(state: &mut State, descriptor: u32, wanted: &Listen) -> Result<(), Fault> {
    let flags = if wanted.non_blocking { SockFlag::SOCK_NONBLOCK } else { SockFlag::empty() };
    let opened = match &wanted.endpoint {
        Endpoint::Tcp(address) => inet(address, SockType::Stream, flags)?,
        Endpoint::Udp(address) => inet(address, SockType::Datagram, flags)?,
        Endpoint::Unix { path, mode, uid, gid } => unix(state, path, *mode, (*uid, *gid), flags)?,
    };
    if !matches!(wanted.endpoint, Endpoint::Udp(_)) {
        let backlog = Backlog::new(wanted.backlog).call(Call::Listen)?;
        nix::sys::socket::listen(&opened, backlog).call(Call::Listen)?;
    }
    descriptors::place(&opened, number(descriptor)?).call(Call::Dup)
}

fn number(descriptor: u32) -> Result<i32, Fault> {
    i32::try_from(descriptor).map_err(|_| Fault::new(Call::Dup, Errno::EBADF))
}

fn inet(address: &SocketAddr, kind: SockType, flags: SockFlag) -> Result<OwnedFd, Fault> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let opened = socket(family, kind, flags | SockFlag::SOCK_CLOEXEC, None).call(Call::Socket)?;
    // Connections of an earlier run may linger. Not for UDP, where it would let another process of
    // this host take part of what comes.
    if kind == SockType::Stream {
        setsockopt(&opened, sockopt::ReuseAddr, &true).call(Call::Setsockopt)?;
    }
    let number = opened.as_raw_fd();
    match address {
        SocketAddr::V4(address) => bind(number, &SockaddrIn::from(*address)),
        SocketAddr::V6(address) => {
            // Else `[::]` would take the port of 0.0.0.0, too.
            setsockopt(&opened, sockopt::Ipv6V6Only, &true).call(Call::Setsockopt)?;
            bind(number, &SockaddrIn6::from(*address))
        }
    }
    .call(Call::Bind)?;
    Ok(opened)
}

/// The path was looked at before: root and the caller alone may write on the way to it, so nobody
/// can put a link or another file in its place.
fn unix(
    state: &mut State,
    path: &AbsPath,
    mode: u32,
    owner: (Option<u32>, Option<u32>),
    flags: SockFlag,
) -> Result<OwnedFd, Fault> {
    let flags = flags | SockFlag::SOCK_CLOEXEC;
    let opened = socket(AddressFamily::Unix, SockType::Stream, flags, None).call(Call::Socket)?;
    // unix(7): the file gets the mode of the socket, so that it never has a wider one.
    rustix::fs::fchmod(&opened, Mode::from_raw_mode(mode)).call(Call::Chmod)?;
    let address = UnixAddr::new(path.as_str()).call(Call::Bind)?;
    match bind(opened.as_raw_fd(), &address) {
        Err(Errno::EADDRINUSE) if is_left_over(path)? => {
            rustix::fs::unlink(path.as_str()).call(Call::Unlink)?;
            bind(opened.as_raw_fd(), &address).call(Call::Bind)?;
        }
        other => other.call(Call::Bind)?,
    }
    let stat = rustix::fs::lstat(path.as_str()).call(Call::Fstat)?;
    state.sockets.push(SocketFile { path: path.clone(), device: stat.st_dev, inode: stat.st_ino });
    if owner != (None, None) {
        let (uid, gid) = (owner.0.map(Uid::from_raw), owner.1.map(Gid::from_raw));
        rustix::fs::chownat(CWD, path.as_str(), uid, gid, AtFlags::SYMLINK_NOFOLLOW).call(Call::Chown)?;
    }
    Ok(opened)
}

/// Whether this is the file of a socket that is no more.
fn is_left_over(path: &AbsPath) -> Result<bool, Fault> {
    let stat = rustix::fs::lstat(path.as_str()).call(Call::Fstat)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        return Ok(false);
    }
    Ok(knock(path) == Err(Errno::ECONNREFUSED))
}

/// Whether a socket is bound to a path: EPROTOTYPE if there is, ECONNREFUSED if not. A datagram socket
/// asks, so that no server gets a connection, and one that does not listen yet is found, too.
fn knock(path: &AbsPath) -> nix::Result<()> {
    let client = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    connect(client.as_raw_fd(), &UnixAddr::new(path.as_str())?)
}

/// Removes the file of a socket, unless another jail has put its own there meanwhile. (A file system
/// may give the number of a removed file to the next one, hence the knock; by now this process has
/// no right to connect to every socket, and that is no answer either.)
pub fn remove(file: &SocketFile) -> Result<(), Fault> {
    let stat = match rustix::fs::lstat(file.path.as_str()) {
        Err(rustix::io::Errno::NOENT) => return Ok(()),
        other => other.call(Call::Fstat)?,
    };
    let same = (stat.st_dev, stat.st_ino) == (file.device, file.inode);
    if same && !matches!(knock(&file.path), Ok(()) | Err(Errno::EPROTOTYPE)) {
        rustix::fs::unlink(file.path.as_str()).call(Call::Unlink)?;
    }
    Ok(())
}

/// Removes the file of a socket that is no more; false if there is none.
pub fn remove_left_over(path: &AbsPath) -> Result<bool, Fault> {
    match is_left_over(path) {
        Ok(true) => rustix::fs::unlink(path.as_str()).call(Call::Unlink).map(|()| true),
        Err(fault) if fault.errno != Errno::ENOENT as i32 => Err(fault),
        _ => Ok(false),
    }
}

impl SocketFile {
    /// Where it is, on the host.
    pub fn path(&self) -> &AbsPath {
        &self.path
    }
}

/// Lets the sockets stay open at exec, each checked to be one, and notes what the program is told.
/// LISTEN_PID is this process, which executes the program, as it sees itself.
pub fn pass(state: &mut State, names: &[String]) -> Result<(), Fault> {
    for (descriptor, index) in (FIRST_PASSED..).zip(0..names.len()) {
        let kept = descriptors::keep_socket(number(descriptor)?).call(Call::Fcntl);
        kept.map_err(|fault| Fault { detail: u32::try_from(index).unwrap_or(u32::MAX), ..fault })?;
    }
    state.announced.extend([
        ("LISTEN_PID".to_owned(), nix::unistd::getpid().to_string()),
        ("LISTEN_FDS".to_owned(), names.len().to_string()),
        ("LISTEN_FDNAMES".to_owned(), names.join(":")),
    ]);
    Ok(())
}
