//! Keys of `[network]`, and of an entry of `listen`.
#![forbid(unsafe_code)]

use super::entries::key;
use super::{About, Key, Kind, words};
use crate::spec::value::BACKLOG;
use crate::spec::{ListenEntry, NetworkMode, Owner};

const TABLE: &str = "network";
const SINCE: &str = "0.1";

/// `[network]`.
pub static NETWORK: &[Key] = &[
    Key {
        about: About {
            table: TABLE,
            name: "mode",
            kind: Kind::Words(words::<NetworkMode>),
            default: "host",
            example: r#""none""#,
            doc: "the host's network, or nothing but a loopback of its own",
            more: "`none` still serves: on the sockets of `listen`, on those passed in by a service manager \
                   (LISTEN_FDS), and on unix sockets in a shared directory.",
            since: SINCE,
        },
        set: |spec, reader, item| spec.network.mode = reader.word(item),
    },
    Key {
        about: About {
            table: TABLE,
            name: "bind",
            kind: Kind::Ports,
            default: "any",
            example: "[80, 443]",
            doc: "the only TCP ports that it may bind; `[]`: none",
            more: "By Landlock (Linux 6.7): any other bind(2) fails with EACCES. 0 stands for a port that the \
                   kernel picks. UDP is not limited, and a TCP socket that listens without having been bound \
                   gets a port that the kernel picks: where that matters, write mode = \"none\" and `listen`. \
                   Ports below 1024 need NET_BIND_SERVICE all the same.",
            since: SINCE,
        },
        set: |spec, reader, item| spec.network.bind = reader.ports(item, &(0..=u16::MAX)),
    },
    Key {
        about: About {
            table: TABLE,
            name: "connect",
            kind: Kind::Ports,
            default: "any",
            example: "[443, 5432]",
            doc: "the only TCP ports that it may connect to, at any address; `[]`: none",
            more: "By Landlock (Linux 6.7): any other connect(2) fails with EACCES. UDP is not limited, so name \
                   resolution goes on. With `bind` or `connect`, MPTCP and SCTP sockets and sending with TCP \
                   Fast Open are refused, because Landlock does not see them.",
            since: SINCE,
        },
        set: |spec, reader, item| spec.network.connect = reader.ports(item, &(1..=u16::MAX)),
    },
    Key {
        about: About {
            table: TABLE,
            name: "listen",
            kind: Kind::ListenEntries,
            default: "none",
            example: r#"["0.0.0.0:80", "[::]:443", "udp:127.0.0.1:53", "unix:/run/x.sock"]"#,
            doc: "sockets opened outside, in the host's network, and passed in as LISTEN_FDS",
            more: "Descriptors 3 and up in this order, after those that a service manager passed to jail, with \
                   LISTEN_FDS, LISTEN_FDNAMES and LISTEN_PID set (sd_listen_fds(3)). The program needs neither \
                   a network nor a capability for them. An IPv6 address is IPv6 only. A unix socket is made \
                   where nobody but root may write, and removed at the end.",
            since: SINCE,
        },
        set: |spec, reader, item| reader.listen_entries(item, &mut spec.network.listen),
    },
];

const LISTEN: &str = "listen entry";

/// An entry of `listen`.
pub static LISTEN_ENTRY: &[Key<ListenEntry>] = &[
    key(
        LISTEN,
        ("address", Kind::Address, "", r#""0.0.0.0:80""#),
        "`ADDRESS:PORT`, `[IPV6]:PORT`, `udp:` before one of these, or `unix:/PATH`",
        "Addresses are numeric: names are not looked up.",
        |entry, reader, item| {
            if let Some(address) = reader.address(item) {
                entry.address = address;
            }
        },
    ),
    key(
        LISTEN,
        ("name", Kind::String, "the jail's name", r#""http""#),
        "its name in LISTEN_FDNAMES",
        "",
        |entry, reader, item| entry.name = reader.socket_name(item),
    ),
    key(
        LISTEN,
        ("backlog", Kind::Integer(*BACKLOG.start(), *BACKLOG.end()), "4096", "128"),
        "how many connections may wait to be accepted",
        "The kernel takes no more than the sysctl net.core.somaxconn.",
        |entry, reader, item| entry.backlog = reader.integer(item, &BACKLOG).map(|n| n.value),
    ),
    key(
        LISTEN,
        ("non-blocking", Kind::Boolean, "false", "true"),
        "it does not block (O_NONBLOCK)",
        "nginx needs it, and any other program that waits for events and does not set it by itself.",
        |entry, reader, item| reader.boolean_into(item, &mut entry.non_blocking),
    ),
    key(
        LISTEN,
        ("mode", Kind::Octal, "0666", r#""0660""#),
        "permission bits of a unix socket: who may write to it may connect",
        "",
        |entry, reader, item| entry.mode = reader.octal(item, 0o777).map(|m| m.value),
    ),
    key(
        LISTEN,
        ("owner", Kind::Words(words::<Owner>), "who runs jail", r#""process""#),
        "who owns a unix socket",
        "",
        |entry, reader, item| entry.owner = reader.word(item).map(|w| w.value),
    ),
    key(
        LISTEN,
        ("group", Kind::String, "the owner's", r#""www-data""#),
        "group of a unix socket: a name or a number of the host",
        "",
        |entry, reader, item| entry.group = reader.string(item),
    ),
];
