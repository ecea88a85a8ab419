//! The filter that goes with limits on TCP ports: it closes what Landlock's port rules do not see.
//!
//! Landlock looks at bind(2) and connect(2) of TCP sockets alone. Measured on Linux 6.18, past a
//! ruleset that allows no port at all: an MPTCP socket binds and connects (and falls back to plain
//! TCP on the wire), and `sendto` with MSG_FASTOPEN connects. Must not know: policies, or which
//! ports are allowed. It is a program of its own, beside that of the policy: the stricter answer of
//! the two holds.
#![forbid(unsafe_code)]

use super::calls::native;
use super::conditions::ENOSYS;
use super::program::{
    ALLOW, AND, ARCH, ARGUMENTS, ERRNO, Instruction, JUMP, JUMP_IF_EQUAL, JUMP_IF_NOT_LESS, LOAD,
    NATIVE_ARCH, NUMBER, RETURN,
};

// Numbers of asm-generic, as in `conditions`.
const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;
/// Shared memory communications: TCP in another family.
const AF_SMC: u32 = 43;
/// The rest of a socket's type are flags.
const SOCK_TYPE_MASK: u32 = 0xf;
const SOCK_STREAM: u32 = 1;
const SOCK_DGRAM: u32 = 2;
/// Needs CAP_NET_RAW, with which there are no ports to speak of.
const SOCK_RAW: u32 = 3;
/// The default, ICMP, TCP, UDP, ICMPv6, UDP-Lite. Not MPTCP (262), SCTP (132), SMC (256), DCCP (33).
const PROTOCOLS: [u32; 6] = [0, 1, 6, 17, 58, 136];
const MSG_FASTOPEN: u32 = 0x2000_0000;
/// As if the kernel had no such protocol: programs fall back to TCP.
const EPROTONOSUPPORT: u32 = 93;
/// As if the sysctl net.ipv4.tcp_fastopen had no client side: programs fall back to connect(2).
const EOPNOTSUPP: u32 = 95;

const fn argument(number: u32) -> u32 {
    ARGUMENTS + 8 * number
}

const fn plain(code: u16, k: u32) -> Instruction {
    Instruction { code, jt: 0, jf: 0, k }
}

/// At `here`: goes to `yes` if the comparison with `k` holds, else to `no`.
const fn compare(code: u16, here: u8, k: u32, yes: u8, no: u8) -> Instruction {
    Instruction { code, jt: yes - here - 1, jf: no - here - 1, k }
}

/// At `here`: goes to `yes` if the value is `k`, else to `no`.
const fn branch(here: u8, k: u32, yes: u8, no: u8) -> Instruction {
    compare(JUMP_IF_EQUAL, here, k, yes, no)
}

const HIGHER: u8 = 8;
const SOCKET: u8 = 9;
const INET: u8 = 13;
const PROTOCOL: u8 = 18;
const REFUSE: u8 = 25;
const FLAGS_THIRD: u8 = 26;
const FLAGS_FOURTH: u8 = 28;
const PASS: u8 = 32;
const FOREIGN: u8 = 33;

// The kernel emulates the program for every number: see `search`. Most are below or above all these.
const _: () = assert!((native::socket as u32) < native::sendto as u32);
const _: () = assert!((native::sendto as u32) < native::sendmsg as u32);
const _: () = assert!((native::sendmsg as u32) < native::sendmmsg as u32);

/// The program. x32 is left to the policy's own. So is what comes by another entry (`int 0x80`), but
/// it is refused here, too: then the kernel does not emulate the policy's program for its numbers.
pub static PORTS_PROGRAM: [Instruction; FOREIGN as usize + 1] = [
    plain(LOAD, ARCH),
    branch(1, NATIVE_ARCH, 2, FOREIGN),
    plain(LOAD, NUMBER),
    compare(JUMP_IF_NOT_LESS, 3, native::sendmsg as u32 + 1, HIGHER, 4),
    compare(JUMP_IF_NOT_LESS, 4, native::socket as u32, 5, PASS),
    branch(5, native::socket as u32, SOCKET, 6),
    branch(6, native::sendto as u32, FLAGS_FOURTH, 7),
    branch(7, native::sendmsg as u32, FLAGS_THIRD, PASS),
    // HIGHER.
    branch(8, native::sendmmsg as u32, FLAGS_FOURTH, PASS),
    // SOCKET: the family,
    plain(LOAD, argument(0)),
    branch(10, AF_INET, INET, 11),
    branch(11, AF_INET6, INET, 12),
    branch(12, AF_SMC, REFUSE, PASS),
    // INET: the type,
    plain(LOAD, argument(1)),
    plain(AND, SOCK_TYPE_MASK),
    branch(15, SOCK_RAW, PASS, 16),
    branch(16, SOCK_STREAM, PROTOCOL, 17),
    branch(17, SOCK_DGRAM, PROTOCOL, REFUSE),
    // PROTOCOL.
    plain(LOAD, argument(2)),
    branch(19, PROTOCOLS[0], PASS, 20),
    branch(20, PROTOCOLS[1], PASS, 21),
    branch(21, PROTOCOLS[2], PASS, 22),
    branch(22, PROTOCOLS[3], PASS, 23),
    branch(23, PROTOCOLS[4], PASS, 24),
    branch(24, PROTOCOLS[5], PASS, REFUSE),
    plain(RETURN, ERRNO | EPROTONOSUPPORT),
    plain(LOAD, argument(2)),
    plain(JUMP, 1),
    plain(LOAD, argument(3)),
    plain(AND, MSG_FASTOPEN),
    branch(30, 0, PASS, 31),
    plain(RETURN, ERRNO | EOPNOTSUPP),
    plain(RETURN, ALLOW),
    plain(RETURN, ERRNO | ENOSYS as u32),
];
