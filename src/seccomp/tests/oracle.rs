//! The compiled programs, run by an interpreter of classic BPF and compared with what the policy
//! says and with the conditions written a second time, in plain Rust.
#![forbid(unsafe_code)]

use proptest::prelude::*;

use super::list;
use crate::seccomp::calls::CallSet;
use crate::seccomp::policy::Rules;
use crate::seccomp::program::*;
use crate::seccomp::{Action, Families, Policy, Verdict};

const OURS: u32 = NATIVE_ARCH;
/// AUDIT_ARCH of i386, 32-bit ARM, the other 64-bit ones, and rubbish.
const FOREIGN: &[u32] = &[0x4000_0003, 0x4000_0028, 0xc000_00f3, 0x8000_0016, 0, u32::MAX, OURS ^ 1];

/// Runs a program as the kernel does; also tells whether it did what the kernel's emulator does not
/// know (seccomp_is_const_allow in kernel/seccomp.c), so that the answer is no constant one.
fn run(program: &[Instruction], arch: u32, number: u32, arguments: [u64; 6]) -> (u32, bool) {
    let (answer, looked, _) = trace(program, arch, number, arguments);
    (answer, looked)
}

/// As [`run`], and counts the instructions.
fn trace(program: &[Instruction], arch: u32, number: u32, arguments: [u64; 6]) -> (u32, bool, usize) {
    let word = |offset: u32| match offset {
        NUMBER => number,
        ARCH => arch,
        _ if offset >= ARGUMENTS && offset.is_multiple_of(8) => arguments[(offset as usize - 16) / 8] as u32,
        _ => panic!("loads from {offset}"),
    };
    let (mut at, mut a, mut x, mut looked) = (0, 0, 0, false);
    for steps in 1.. {
        let i = program[at];
        at += 1;
        let mut branch = |taken| at += usize::from(if taken { i.jt } else { i.jf });
        match i.code {
            LOAD => {
                a = word(i.k);
                looked |= i.k >= ARGUMENTS;
            }
            AND => a &= i.k,
            JUMP_IF_EQUAL => branch(a == i.k),
            JUMP_IF_NOT_LESS => branch(a >= i.k),
            JUMP_IF_SET => branch(a & i.k != 0),
            JUMP => at += i.k as usize,
            RETURN => return (i.k, looked, steps),
            LOAD_CONSTANT => (a, looked) = (i.k, true),
            COPY_TO_X => (x, looked) = (a, true),
            SHIFT_RIGHT_BY_X => (a, looked) = (a >> (x & 31), true),
            other => panic!("operation {other:#x}"),
        }
    }
    unreachable!("jumps lead forward only")
}

/// What the kernel demands of a program: bounded, forward jumps inside it, aligned loads.
fn check(program: &[Instruction]) {
    assert!(!program.is_empty() && program.len() <= 4096);
    for (at, i) in program.iter().enumerate() {
        let left = program.len() - at - 1;
        let skips = match i.code {
            RETURN => continue,
            LOAD => {
                assert!(i.k < 64 && i.k.is_multiple_of(4));
                0
            }
            AND | LOAD_CONSTANT | COPY_TO_X | SHIFT_RIGHT_BY_X => 0,
            JUMP => i.k as usize,
            JUMP_IF_EQUAL | JUMP_IF_NOT_LESS | JUMP_IF_SET => usize::from(i.jt.max(i.jf)),
            other => panic!("operation {other:#x}"),
        };
        assert!(skips < left, "instruction {at} of {} leads out", program.len());
    }
}

/// The filter of the port rules: MPTCP and the like, and Fast Open; nothing else.
#[test]
fn what_landlock_does_not_see_is_refused_with_port_rules() {
    let program = &crate::seccomp::PORTS_PROGRAM;
    check(program);
    let answer = |number: i64, arguments: [u64; 6]| run(program, OURS, number as u32, arguments).0;
    let allow = 0x7fff_0000;
    let socket = |family: i32, kind: i32, protocol: u64| {
        // Rubbish in the upper halves, which the kernel ignores.
        let rubbish = 0xdead_beef << 32;
        let [family, kind] = [family, kind].map(|n| n as u64 | rubbish);
        answer(libc::SYS_socket, [family, kind, protocol | rubbish, 0, 0, 0])
    };
    for family in [libc::AF_INET, libc::AF_INET6] {
        for flags in [0, libc::SOCK_CLOEXEC, libc::SOCK_NONBLOCK] {
            for protocol in [0, 6] {
                assert_eq!(socket(family, libc::SOCK_STREAM | flags, protocol), allow);
            }
            for protocol in [0, 1, 17, 58, 136] {
                assert_eq!(socket(family, libc::SOCK_DGRAM | flags, protocol), allow);
            }
            // MPTCP, SCTP, SMC, DCCP.
            for protocol in [262, 132, 256, 33] {
                assert_eq!(socket(family, libc::SOCK_STREAM | flags, protocol), errno(93));
            }
            assert_eq!(socket(family, libc::SOCK_SEQPACKET | flags, 0), errno(93), "SCTP by default");
            assert_eq!(socket(family, libc::SOCK_DCCP | flags, 0), errno(93));
        }
        assert_eq!(socket(family, libc::SOCK_RAW, 255), allow, "left to CAP_NET_RAW");
    }
    assert_eq!(socket(43, libc::SOCK_STREAM, 0), errno(93));
    assert_eq!(socket(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0), allow);
    assert_eq!(socket(libc::AF_NETLINK, libc::SOCK_RAW, 15), allow);
    let flags = |flags: u64| [flags | 1 << 32, flags];
    for (call, place) in [(libc::SYS_sendto, 3), (libc::SYS_sendmmsg, 3), (libc::SYS_sendmsg, 2)] {
        for harmless in flags(0x4040) {
            let mut arguments = [u64::MAX; 6];
            arguments[place] = harmless;
            assert_eq!(answer(call, arguments), allow);
        }
        for fast_open in flags(0x2000_4000) {
            let mut arguments = [0; 6];
            arguments[place] = fast_open;
            assert_eq!(answer(call, arguments), errno(95));
        }
    }
    for number in (0..500).filter(|n| {
        ![libc::SYS_socket, libc::SYS_sendto, libc::SYS_sendmsg, libc::SYS_sendmmsg].contains(&i64::from(*n))
    }) {
        assert_eq!(run(program, OURS, number, [u64::MAX; 6]), (allow, false), "{number}");
    }
    for arch in FOREIGN {
        assert_eq!(run(program, *arch, libc::SYS_socket as u32, [2, 1, 6, 0, 0, 0]).0, errno(38));
    }
}

fn errno(number: i32) -> u32 {
    0x0005_0000 | number as u32
}

/// What a refusal is answered by a policy that kills, logs, or neither.
fn refusal(policy: &Policy) -> u32 {
    match policy.rules.action {
        Action::Errno => errno(1),
        Action::Kill => 0x8000_0000,
        Action::Log => 0x7ffc_0000,
    }
}

/// The conditions again, from the manual pages: what a call that is conditional is answered.
fn conditional(policy: &Policy, number: u32, arguments: [u64; 6]) -> u32 {
    let low = |i: usize| arguments[i] as u32;
    let eperm = |refused: bool| if refused { refusal(policy) } else { 0x7fff_0000 };
    let eacces = |refused: bool| if refused { errno(13) } else { 0x7fff_0000 };
    #[cfg(target_arch = "x86_64")]
    if i64::from(number) == libc::SYS_mknod {
        return eperm(matches!(low(1) & 0o170000, 0o020000 | 0o060000) || strange(low(1)));
    }
    match i64::from(number) {
        libc::SYS_clone => eperm(low(0) & 0x7e02_0000 != 0),
        libc::SYS_ioctl => eperm(low(1) == 0x5412 || low(1) == 0x541c),
        libc::SYS_personality => eperm(low(0) != 0 && low(0) != 0xffff_ffff),
        libc::SYS_socket | libc::SYS_socketpair => match low(0) {
            family if !policy.rules.families.contains(family) => errno(97),
            16 if policy.rules.families.netlink_is_narrow() && low(2) != 0 => errno(93),
            _ => 0x7fff_0000,
        },
        libc::SYS_prctl => match low(0) {
            1..=4 | 7 | 15 | 16 | 21..=25 | 27..=30 | 36..=42 | 47 | 52 | 65 | 66 => 0x7fff_0000,
            0x5356_4d41 | 0x4155_5856 => 0x7fff_0000,
            50 | 51 | 54..=56 | 60 | 61 | 63 | 64 | 74..=76 if cfg!(target_arch = "aarch64") => 0x7fff_0000,
            _ => errno(22),
        },
        libc::SYS_mknodat => eperm(matches!(low(2) & 0o170000, 0o020000 | 0o060000) || strange(low(2))),
        libc::SYS_mmap => eacces(low(2) & 2 != 0 && low(2) & 4 != 0),
        libc::SYS_mprotect | libc::SYS_pkey_mprotect => eacces(low(2) & 4 != 0),
        libc::SYS_shmat => eacces(low(2) & 0o100000 != 0),
        other => panic!("{other} has no condition"),
    }
}

/// File types that are neither file, fifo, socket nor device: mknod cannot make them.
fn strange(mode: u32) -> bool {
    !matches!(mode >> 12 & 15, 0 | 1 | 2 | 6 | 8 | 12)
}

fn expected(policy: &Policy, number: u32, arguments: [u64; 6]) -> u32 {
    match policy.allows(number) {
        Verdict::Allow => 0x7fff_0000,
        Verdict::Errno(e) => errno(e),
        Verdict::Conditional(_) => conditional(policy, number, arguments),
        Verdict::Kill => 0x8000_0000,
        Verdict::Log => 0x7ffc_0000,
    }
}

/// Low halves that matter to some condition, and neighbours.
const LOW: &[u32] = &[
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    10,
    15,
    16,
    17,
    40,
    0x7f,
    0x80,
    0x5411,
    0x5412,
    0x5413,
    0x541b,
    0x541c,
    0x541d,
    0x0002_0000,
    0x0200_0000,
    0x0400_0000,
    0x0800_0000,
    0x1000_0000,
    0x1000_0011,
    0x2000_0000,
    0x4000_0000,
    0x8000_0000,
    0x003d_0f00,
    0x0120_0011,
    0o010600,
    0o020666,
    0o040755,
    0o060660,
    0o100644,
    0o120777,
    0o140777,
    0o160000,
    0o170000,
    0x0004_0000,
    0x0040_0000,
    24,
    35,
    38,
    53,
    59,
    65,
    67,
    79,
    0x5961_6d61,
    0x5356_4d41,
    0x4155_5856,
    0x7fff_ffff,
    0xffff_fffe,
    !0,
];
/// What a program can leave in the other half.
const HIGH: &[u64] = &[0, 1 << 32, 0x5412 << 32, 0x7fff_ffff << 32, 0x8000_0000 << 32, 0xffff_ffff << 32];

fn numbers() -> impl Iterator<Item = u32> {
    let x32 = 0x4000_0000;
    (0..600).chain(x32..x32 + 600).chain([0x3fff_ffff, 0x7fff_ffff, 0x8000_0000, u32::MAX])
}

/// Everything about one policy but many argument vectors.
fn agree(policy: &Policy, vectors: &[[u64; 6]]) {
    agree_with(policy, &compile(policy), vectors);
}

fn agree_with(policy: &Policy, program: &[Instruction], vectors: &[[u64; 6]]) {
    check(program);
    for number in numbers() {
        let constant = !matches!(policy.allows(number), Verdict::Conditional(_));
        for arguments in vectors {
            let (answer, looked) = run(program, OURS, number, *arguments);
            assert_eq!(answer, expected(policy, number, *arguments), "{number} {arguments:x?}");
            assert_ne!(looked, constant, "{number}: arguments are loaded by conditions only");
        }
        let closed = if policy.rules.action == Action::Kill { 0x8000_0000 } else { errno(38) };
        for arch in FOREIGN {
            assert_eq!(run(program, *arch, number, [0; 6]), (closed, false), "{arch:#x} {number}");
        }
    }
}

fn policies() -> Vec<Policy> {
    let lists: &[&[&str]] = &[
        &[],
        &["@core"],
        &["@service", "@setuid", "@chroot"],
        &["@service", "@namespace"],
        &["@service", "-@network", "-@memory", "-personality"],
        &["@service", "@privileged", "@debug", "@obsolete"],
    ];
    let policies = lists.iter().map(|l| list(l).unwrap());
    let variants = |p: Policy| {
        [
            p.clone(),
            p.clone().deny_write_execute(true),
            p.clone().action(Action::Kill).socket_families(Families::from_bits(1 << 1)),
            p.clone().action(Action::Log).socket_families(Families::from_bits(!0)),
            p.clone().action(Action::Kill).deny_write_execute(true).socket_families(Families::NONE),
            p.socket_families(Families::from_bits(1 << 16)),
        ]
    };
    policies.flat_map(variants).collect()
}

#[test]
fn programs_answer_as_their_policies_say() {
    for policy in policies() {
        agree(&policy, &[[0; 6], [!0; 6], [1 << 32; 6], [0x1000_0000; 6]]);
    }
}

#[test]
fn conditions_hold_for_every_argument_with_any_high_half() {
    for policy in policies() {
        let program = compile(&policy);
        for number in CallSet::KNOWN.numbers() {
            if !matches!(policy.allows(number), Verdict::Conditional(_)) {
                continue;
            }
            for (position, low) in (0..6).flat_map(|p| LOW.iter().map(move |l| (p, u64::from(*l)))) {
                let mut clean = [0x11; 6];
                clean[position] = low;
                let answer = run(&program, OURS, number, clean).0;
                assert_eq!(answer, conditional(&policy, number, clean), "{number} {clean:x?}");
                for high in HIGH {
                    let dirty = clean.map(|a| a | high);
                    assert_eq!(run(&program, OURS, number, dirty).0, answer, "{number} {dirty:x?}");
                }
            }
        }
    }
}

#[test]
fn forbidden_arguments_are_refused_whatever_the_high_half() {
    let policy = list(&[]).unwrap().deny_write_execute(true);
    let program = compile(&policy);
    let ask = |call: i64, position: usize, value: u64| {
        let mut arguments = [0; 6];
        arguments[position] = value;
        run(&program, OURS, u32::try_from(call).unwrap(), arguments).0
    };
    for high in HIGH {
        assert_eq!(ask(libc::SYS_clone, 0, 0x1000_0011 | high), errno(1), "CLONE_NEWUSER");
        assert_eq!(ask(libc::SYS_ioctl, 1, 0x5412 | high), errno(1), "TIOCSTI");
        assert_eq!(ask(libc::SYS_personality, 0, 0x0040_0000 | high), errno(1), "READ_IMPLIES_EXEC");
        assert_eq!(ask(libc::SYS_socket, 0, 40 | high), errno(97), "AF_VSOCK");
        assert_eq!(ask(libc::SYS_prctl, 0, 35 | high), errno(22), "PR_SET_MM");
        assert_eq!(ask(libc::SYS_prctl, 0, 0x5961_6d61 | high), errno(22), "PR_SET_PTRACER");
        assert_eq!(ask(libc::SYS_mknodat, 2, 0o060660 | high), errno(1), "a block device");
        assert_eq!(ask(libc::SYS_mmap, 2, 7 | high), errno(13), "writable and executable");
        assert_eq!(ask(libc::SYS_mprotect, 2, 5 | high), errno(13), "to executable");
        assert_eq!(ask(libc::SYS_socket, 0, 2 | high), 0x7fff_0000, "AF_INET: the kernel sees an int");
        assert_eq!(ask(libc::SYS_mmap, 2, 5 | high), 0x7fff_0000, "a library's code");
    }
}

#[test]
fn the_worst_policy_still_compiles() {
    // Every other call, from either parity: the most ranges there can be.
    for bits in [0x5555_5555_5555_5555, 0xaaaa_aaaa_aaaa_aaaa, 0x9999_9999_9999_9999, !0, 0] {
        for deny in [false, true] {
            let policy = policy_of([bits; 8], deny).socket_families(Families::from_bits(!0));
            agree(&policy, &[[0; 6], [!0; 6]]);
            assert!(compile(&policy).len() < 2000);
        }
    }
}

#[test]
fn long_jumps_lead_where_short_ones_do() {
    // No policy is long enough today to need them, so comparisons are given short arms.
    let mut policies = policies();
    policies.push(policy_of([0xaaaa_aaaa_aaaa_aaaa; 8], true));
    for policy in policies {
        let program = compile_with_reach(&policy.rules, 20);
        assert!(program.iter().any(|i| i.code == JUMP));
        agree_with(&policy, &program, &[[0; 6], [!0; 6]]);
    }
}

#[test]
fn the_program_compiled_ahead_is_the_default() {
    let policy = list(&[]).unwrap();
    assert_eq!(compile(&policy), SERVICE_PROGRAM);
    check(SERVICE_PROGRAM);
    // What it costs to install: see `search`.
    let answered = CallSet::KNOWN.numbers().map(|n| trace(SERVICE_PROGRAM, OURS, n, [0; 6]).2);
    let emulated = answered.sum::<usize>() as f64 / CallSet::KNOWN.numbers().count() as f64;
    assert!(SERVICE_PROGRAM.len() <= 120, "{} instructions", SERVICE_PROGRAM.len());
    assert!(emulated < 11.0, "{emulated:.1} instructions to the answer, on average");
    // One bit more goes through the compiler at run time and gives almost the same.
    let more = compile(&list(&["@service", "acct"]).unwrap());
    assert!(more.len().abs_diff(SERVICE_PROGRAM.len()) <= 8);
}

fn policy_of(bits: [u64; 8], deny_write_execute: bool) -> Policy {
    let mut policy = Policy::new("random".into(), CallSet::EMPTY);
    policy.rules = Rules { allowed: CallSet::from_bits(bits), deny_write_execute, ..Rules::SERVICE };
    policy
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_policies_agree(
        bits: [u64; 8],
        sparse: [u64; 8],
        mix in 0..3,
        deny: bool,
        families: u64,
        action in prop::sample::select(&[Action::Errno, Action::Kill, Action::Log][..]),
        argument in prop::sample::select(LOW),
        other: [u64; 6],
    ) {
        let bits = match mix {
            0 => bits,
            1 => std::array::from_fn(|i| bits[i] & sparse[i]),
            _ => std::array::from_fn(|i| bits[i] | sparse[i]),
        };
        let policy = policy_of(bits, deny).socket_families(Families::from_bits(families)).action(action);
        agree(&policy, &[other, [argument.into(); 6], other.map(|o| o << 32 | u64::from(argument))]);
    }
}
