//! Which process holds an address, read off /proc. It only helps a message.
//!
//! Must not know: why it matters.

use crate::jail::network::Endpoint;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::fs;

/// `nginx (process 123)` for who has a socket on this address, if /proc tells; a user is told only
/// of processes of their own.
pub fn holder(endpoint: &Endpoint) -> Option<String> {
    let inode = match endpoint {
        Endpoint::Tcp(address) => inet(address, "tcp", |state| state == LISTENING)?,
        Endpoint::Udp(address) => inet(address, "udp", |_| true)?,
        Endpoint::Unix { path, .. } => unix(&fs::read_to_string("/proc/self/net/unix").ok()?, path.as_str())?,
    };
    process_with(&format!("socket:[{inode}]"))
}

/// TCP_LISTEN of net/tcp_states.h, as in /proc/net/tcp.
const LISTENING: &str = "0A";

fn inet(address: &SocketAddr, protocol: &str, state: impl Fn(&str) -> bool) -> Option<u64> {
    // A socket of IPv6 may take the port of IPv4, too.
    let tables = [protocol.to_owned(), format!("{protocol}6")];
    tables.iter().find_map(|table| {
        let table = fs::read_to_string(format!("/proc/self/net/{table}")).ok()?;
        holder_in(&table, address, &state)
    })
}

/// The inode of a socket that stands in the way (proc_pid_net(5)): address:port in hexadecimal.
fn holder_in(table: &str, wanted: &SocketAddr, state: &impl Fn(&str) -> bool) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, port) = fields.get(1)?.split_once(':')?;
        let address = parse_address(address)?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let same = |a: IpAddr, b: IpAddr| a == b || a.is_unspecified() || b.is_unspecified();
        // A socket of IPv6 on a plain IPv4 address, or on all, stands in the way of one of IPv4.
        let both = address.is_ipv4() == wanted.is_ipv4() || address.is_unspecified();
        let taken = port == wanted.port() && both && same(address, wanted.ip()) && state(fields.get(3)?);
        taken.then(|| fields.get(9)?.parse().ok()).flatten()
    })
}

/// Words of 32 bits, each in the byte order of the machine.
fn parse_address(hex: &str) -> Option<IpAddr> {
    let words: Option<Vec<[u8; 4]>> = hex
        .as_bytes()
        .chunks(8)
        .map(|word| u32::from_str_radix(str::from_utf8(word).ok()?, 16).ok().map(u32::to_ne_bytes))
        .collect();
    let bytes = words?.concat();
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes.as_slice()) {
        return Some(IpAddr::V4(Ipv4Addr::from(bytes)));
    }
    let address = Ipv6Addr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?);
    Some(address.to_canonical())
}

/// The inode of the socket bound to a path, from /proc/net/unix; a listening one has flag 0x10000.
fn unix(table: &str, path: &str) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace();
        let inode = fields.nth(6)?;
        let rest = line.get(line.find(inode)? + inode.len()..)?;
        (rest.strip_prefix(' ')? == path).then(|| inode.parse().ok()).flatten()
    })
}

/// A process that has a descriptor of which /proc says this.
fn process_with(link: &str) -> Option<String> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let descriptors = fs::read_dir(process.path().join("fd")).ok()?;
        let has = descriptors
            .flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|target| target.as_os_str() == link));
        // It may have ended since then.
        let name = fs::read_to_string(process.path().join("comm")).ok()?;
        has.then(|| format!("{} (process {pid})", name.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jail::path::AbsPath;

    #[test]
    fn tables_of_proc_are_understood() {
        let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
        let line = |local: &str, state: &str, inode: u32| {
            format!(
                "   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0 100\n"
            )
        };
        let word = |address: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(address));
        let table = format!(
            "{head}{}{}",
            line(&format!("{}:0050", word([127, 0, 0, 1])), "01", 1),
            line(&format!("{}:0050", word([127, 0, 0, 1])), "0A", 7)
        );
        let find = |table: &str, address: &str| {
            holder_in(table, &address.parse().unwrap(), &|state: &str| state == LISTENING)
        };
        assert_eq!(find(&table, "127.0.0.1:80"), Some(7));
        assert_eq!(find(&table, "0.0.0.0:80"), Some(7));
        assert_eq!(find(&table, "127.0.0.2:80"), None);
        assert_eq!(find(&table, "127.0.0.1:81"), None);
        assert_eq!(find(&table, "[::]:80"), None);
        let zero = format!("{head}{}", line(&format!("{}:01BB", "0".repeat(32)), "0A", 9));
        assert_eq!(find(&zero, "[::1]:443"), Some(9));
        assert_eq!(find(&zero, "0.0.0.0:443"), Some(9));
        assert_eq!(find("", "0.0.0.0:443"), None);
    }

    #[test]
    fn paths_of_unix_sockets_may_have_blanks() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
                     0000000000000000: 00000002 00000000 00010000 0001 01 123 /run/a b\n\
                     0000000000000000: 00000003 00000000 00000000 0001 03 124\n";
        assert_eq!((unix(table, "/run/a b"), unix(table, "/run/a")), (Some(123), None));
    }

    #[test]
    fn a_process_is_found() {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = std::net::UdpSocket::bind("[::1]:0");
        // Or a child that another test's thread has just forked: it has everything open until it executes.
        let own = " (process ";
        let told = |endpoint: Endpoint| holder(&endpoint).unwrap_or_default();
        assert!(told(Endpoint::Tcp(tcp.local_addr().unwrap())).contains(own));
        if let Ok(udp) = udp {
            assert!(told(Endpoint::Udp(udp.local_addr().unwrap())).contains(own));
        }
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("socket");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let path = AbsPath::new(path.to_str().unwrap()).unwrap();
        let unix = Endpoint::Unix { path, mode: 0o600, uid: None, gid: None };
        assert!(told(unix.clone()).contains(own));
        drop(listener);
    }
}
