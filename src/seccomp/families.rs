//! Socket families by name, and sets of them.
//!
//! Must not know: calls or BPF.
#![forbid(unsafe_code)]

use crate::problem::{At, Problem, Problems, did_you_mean};

/// AF_NETLINK. Of its protocols only NETLINK_ROUTE is allowed, unless [`NETLINK_ALL`] is in the set.
pub(super) const NETLINK: u32 = 16;
/// Not a family: all protocols of netlink.
pub(super) const NETLINK_ALL: u32 = 63;

/// A set of socket families.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Families(u64);

impl Families {
    /// None: no socket can be made at all.
    pub const NONE: Families = Families(0);

    /// What a server of the internet needs; netlink because libc asks for the interfaces by it.
    pub const DEFAULT: Families = Families(1 << 1 | 1 << 2 | 1 << 10 | 1 << NETLINK);

    /// Whether a family is in the set.
    pub const fn contains(self, family: u32) -> bool {
        family < 64 && self.bits() >> family & 1 == 1
    }

    /// Each family in the set as a bit.
    pub(super) const fn bits(self) -> u64 {
        (self.0 | self.0 >> NETLINK_ALL << NETLINK) & !(1 << NETLINK_ALL)
    }

    /// Whether netlink is in the set with its route protocol alone.
    pub const fn netlink_is_narrow(self) -> bool {
        self.contains(NETLINK) && self.0 >> NETLINK_ALL & 1 == 0
    }

    /// Whether no socket can be made.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names, as a list of `socket-families` has them.
    pub fn names(self) -> Vec<&'static str> {
        let own = |(_, number): &&(&str, u32)| self.0 >> number & 1 == 1;
        FAMILIES.iter().filter(own).map(|(name, _)| *name).collect()
    }

    /// The families among these bits.
    #[cfg(test)]
    pub fn from_bits(bits: u64) -> Families {
        Families(bits & (((1 << 46) - 2) | (1 << NETLINK_ALL)))
    }
}

/// The set that a list names, with or without `AF_`.
///
/// # Errors
/// Every name that is no family's, at its place.
pub fn families(list: &[At<String>]) -> Result<Families, Problems> {
    let mut problems = Problems::default();
    let mut set = Families::NONE;
    for entry in list {
        let name = entry.value.to_ascii_lowercase();
        let name = name.strip_prefix("af_").unwrap_or(&name);
        match FAMILIES.iter().find(|(known, _)| *known == name) {
            Some((_, number)) => set.0 |= 1 << number,
            None => {
                let names = FAMILIES.iter().map(|(known, _)| *known);
                let near = match name {
                    "local" => Some("unix"),
                    "ipv4" | "ip" | "inet4" => Some("inet"),
                    "ipv6" => Some("inet6"),
                    "route" => Some("netlink"),
                    _ => did_you_mean(name, names.clone()),
                };
                let what = format!("there is no family of sockets named `{}`", entry.value);
                let problem = Problem::usage(what).at(entry.at);
                problems.push(match near {
                    Some(near) => problem.help(format!("did you mean `{near}`?")),
                    None => problem.help(format!("one of: {}", names.collect::<Vec<_>>().join(", "))),
                });
            }
        }
    }
    problems.none_or(set)
}

/// Names without `AF_` and numbers (linux/socket.h of Linux 6.18): those that the kernel implements.
const FAMILIES: &[(&str, u32)] = &[
    ("unix", 1),
    ("inet", 2),
    ("inet6", 10),
    ("netlink", NETLINK),
    ("netlink-all", NETLINK_ALL),
    ("packet", 17),
    ("ax25", 3),
    ("appletalk", 5),
    ("netrom", 6),
    ("x25", 9),
    ("rose", 11),
    ("key", 15),
    ("rds", 21),
    ("pppox", 24),
    ("llc", 26),
    ("ib", 27),
    ("mpls", 28),
    ("can", 29),
    ("tipc", 30),
    ("bluetooth", 31),
    ("iucv", 32),
    ("rxrpc", 33),
    ("isdn", 34),
    ("phonet", 35),
    ("ieee802154", 36),
    ("caif", 37),
    ("alg", 38),
    ("nfc", 39),
    ("vsock", 40),
    ("kcm", 41),
    ("qipcrtr", 42),
    ("smc", 43),
    ("xdp", 44),
    ("mctp", 45),
];
