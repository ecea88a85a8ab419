//! Values of `[network]`: lists of ports, and addresses to listen on.
//!
//! Must not know: which ports or addresses a host has.
#![forbid(unsafe_code)]

use super::{Item, Reader};
use crate::problem::{At, Problem};
use crate::spec::keys;
use crate::spec::{ListenAddress, ListenEntry};
use core::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use toml::de::DeValue;

/// `sun_path` of unix(7), without the terminating NUL.
const LONGEST_PATH: usize = 107;
/// A name in LISTEN_FDNAMES, as systemd limits it.
const LONGEST_NAME: usize = 255;

impl Reader<'_> {
    /// `bind` and `connect`: port numbers.
    pub fn ports(&mut self, item: &Item<'_>, range: &RangeInclusive<u16>) -> Option<At<Vec<u16>>> {
        item.value.is_array().then_some(()).or_else(|| {
            self.wrong_type(item, item.about.kind.with_article());
            None
        })?;
        let mut ports = Vec::new();
        for element in self.elements(item) {
            let Some(integer) = element.value.as_integer() else {
                self.not_a_port(&element);
                continue;
            };
            let port = i64::from_str_radix(integer.as_str(), integer.radix()).ok();
            let port = port.and_then(|port| u16::try_from(port).ok()).filter(|port| range.contains(port));
            match port {
                Some(port) => ports.push(port),
                None => {
                    let (least, most) = (range.start(), range.end());
                    let what = format!("must be a port number from {least} to {most}, not {integer}");
                    self.unfit(&element, what);
                }
            }
        }
        Some(At::new(ports, item.at))
    }

    fn not_a_port(&mut self, element: &Item<'_>) {
        match element.value.as_str() {
            Some(range) if range.contains('-') => {
                let what = format!("{} must be a port number, not the range `{range}`", element.name());
                let help = "the kernel has no ranges: list each port";
                self.note(Problem::usage(what).at(element.at).help(help).help(element.example()));
            }
            _ => self.wrong_type(element, "a port number"),
        }
    }

    /// `listen`: addresses, or tables.
    pub fn listen_entries(&mut self, item: &Item<'_>, target: &mut Vec<At<ListenEntry>>) {
        for element in self.elements(item) {
            let entry = match element.value {
                DeValue::String(_) => {
                    self.address(&element).map(|address| ListenEntry { address, ..ListenEntry::default() })
                }
                DeValue::Table(_) => self.listen_entry(&element),
                _ => {
                    self.wrong_type(&element, "a string or a table");
                    None
                }
            };
            target.extend(entry.map(|entry| At::new(entry, element.at)));
        }
    }

    fn listen_entry(&mut self, element: &Item<'_>) -> Option<ListenEntry> {
        let entry = self.entry(element, keys::LISTEN_ENTRY, &["address"])?;
        let unix = matches!(entry.address, ListenAddress::Unix(_));
        let of_files = [
            ("mode", entry.mode.is_some()),
            ("owner", entry.owner.is_some()),
            ("group", entry.group.is_some()),
        ];
        if let Some((key, _)) = of_files.iter().find(|(_, set)| *set && !unix) {
            self.unfit(element, format_args!("has `{key}`, which only a unix socket can have"));
            return None;
        }
        if matches!(entry.address, ListenAddress::Udp(_)) && entry.backlog.is_some() {
            self.unfit(element, "has `backlog`, but nothing waits to be accepted on UDP");
            return None;
        }
        Some(entry)
    }

    /// An address to listen on.
    pub fn address(&mut self, item: &Item<'_>) -> Option<ListenAddress> {
        let text = self.string(item)?;
        let parsed = address(&text.value);
        self.parsed(item, parsed).map(|address| address.value)
    }

    /// A name in LISTEN_FDNAMES, where `:` stands between two.
    pub fn socket_name(&mut self, item: &Item<'_>) -> Option<String> {
        let name = self.line(item)?.value;
        if name.contains(':') || !name.is_ascii() || name.len() > LONGEST_NAME {
            self.unfit(item, format_args!("must be at most {LONGEST_NAME} ASCII characters without `:`"));
            return None;
        }
        Some(name)
    }
}

/// `ADDRESS:PORT`, `[V6]:PORT`, `udp:` before either, or `unix:/PATH`. An error is a clause.
fn address(text: &str) -> Result<ListenAddress, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return unix(path);
    }
    match text.strip_prefix("udp:") {
        Some(rest) => inet(rest).map(ListenAddress::Udp),
        None => inet(text.strip_prefix("tcp:").unwrap_or(text)).map(ListenAddress::Tcp),
    }
}

fn unix(path: &str) -> Result<ListenAddress, String> {
    if path.starts_with('@') {
        return Err("must be a path: any process may take an abstract name before jail does".into());
    }
    if !path.starts_with('/') {
        return Err(format!("must have an absolute path after `unix:`, not `{path}`"));
    }
    if path.len() > LONGEST_PATH {
        return Err(format!(
            "has a path of {} bytes; the kernel takes {LONGEST_PATH} for a socket",
            path.len()
        ));
    }
    if path.ends_with('/') {
        return Err(format!("must name a socket, not the directory `{path}`"));
    }
    Ok(ListenAddress::Unix(path.to_owned()))
}

fn inet(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return if address.port() == 0 { Err(port_out_of_range("0")) } else { Ok(address) };
    }
    let form = || format!("must be ADDRESS:PORT, [ADDRESS]:PORT, udp:... or unix:/PATH, not `{text}`");
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("must name an address, too, such as 0.0.0.0:{text} or [::]:{text}"));
    }
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => return Err(format!("must name a port, too: {text}:80")),
        Ok(IpAddr::V6(_)) => {
            return Err("must have brackets around an IPv6 address, as in [::1]:80".into());
        }
        Err(_) => {}
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(form)?;
    if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err(form());
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<IpAddr>().is_ok() {
        return Err(port_out_of_range(port));
    }
    if host.is_empty() || host == "*" {
        return Err(format!("must name an address, such as 0.0.0.0:{port} or [::]:{port}"));
    }
    Err(format!("must be a numeric address: the name `{host}` is not looked up"))
}

fn port_out_of_range(port: &str) -> String {
    format!("must have a port from 1 to 65535, not {port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let tcp = |text: &str| Ok(ListenAddress::Tcp(text.parse().unwrap()));
        assert_eq!(address("0.0.0.0:80"), tcp("0.0.0.0:80"));
        assert_eq!(address("tcp:[::]:443"), tcp("[::]:443"));
        assert_eq!(address("udp:[::1]:53"), Ok(ListenAddress::Udp("[::1]:53".parse().unwrap())));
        assert_eq!(address("unix:/run/x.sock"), Ok(ListenAddress::Unix("/run/x.sock".into())));
    }

    #[test]
    fn mistakes_are_told_apart() {
        let said = |text: &str| address(text).unwrap_err();
        for (text, part) in [
            ("80", "such as 0.0.0.0:80 or [::]:80"),
            ("*:80", "must name an address"),
            (":80", "must name an address"),
            ("localhost:80", "the name `localhost` is not looked up"),
            ("127.0.0.1", "must name a port, too: 127.0.0.1:80"),
            ("127.0.0.1:0", "from 1 to 65535, not 0"),
            ("127.0.0.1:65536", "from 1 to 65535, not 65536"),
            ("[::1]:99999999", "from 1 to 65535, not 99999999"),
            ("::1:80", "must have brackets"),
            ("", "must be ADDRESS:PORT"),
            ("127.0.0.1:http", "must be ADDRESS:PORT"),
            ("unix:run/x", "absolute path"),
            ("unix:@x", "must be a path"),
            ("unix:/run/", "must name a socket"),
        ] {
            assert!(said(text).contains(part), "{text}: {}", said(text));
        }
        assert!(said(&format!("unix:/{}", "x".repeat(107))).contains("108 bytes"));
        assert!(address(&format!("unix:/{}", "x".repeat(106))).is_ok());
    }
}
