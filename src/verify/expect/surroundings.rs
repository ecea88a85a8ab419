//! What it inherits, and how it ends.
#![forbid(unsafe_code)]

use super::{Context, EBADF, network, one};
use crate::jail::network::Endpoint;
use crate::plan::Step;
use crate::plan::build::FIRST_PASSED;
use crate::verify::batch::{Arg, Batch};
use crate::verify::{Judge, Promise};
use core::net::SocketAddr;

const GROUP: &str = "surroundings";

pub fn promises(context: &Context<'_>) -> Vec<Promise> {
    vec![
        descriptors(context),
        Promise::new(GROUP, "environment", "environment and arguments are the spec's alone"),
        session(context),
        keyring(context),
        habits(context),
        limits(context),
        Promise::new(GROUP, "end", "it dies with its jail, and nothing is left behind"),
    ]
}

fn descriptors(context: &Context<'_>) -> Promise {
    const F_GETFD: i64 = 1;
    let count = context.plan.steps.iter().find_map(|p| match &p.step {
        Step::PassSockets { names, .. } => u32::try_from(names.len()).ok(),
        _ => None,
    });
    let first = FIRST_PASSED + count.unwrap_or(0);
    let text = match count {
        None => "no descriptor is inherited but 0-2",
        Some(_) => "no descriptor is inherited but 0-2 and the sockets that are passed on purpose",
    };
    let mut promise = Promise::new(GROUP, "descriptors", text);
    for planned in &context.plan.steps {
        match &planned.step {
            Step::Listen { descriptor, socket } => listens(&mut promise, *descriptor, &socket.endpoint),
            Step::PassSockets { inherited, .. } => {
                for fd in (FIRST_PASSED..).take(*inherited) {
                    let (batch, at) = option(fd, SO_TYPE);
                    let judge = Judge::Returns(at, 0);
                    promise.question(format!("descriptor {fd} is a socket"), batch, judge, None);
                }
            }
            _ => {}
        }
    }
    let far = [100, 255, 256, 500, 1000, 1023].into_iter().filter(|fd| *fd >= first + 61);
    for fd in (first..first + 61).chain(far).map(i64::from) {
        let batch = one("fcntl", &[fd.into(), F_GETFD.into()]);
        // Before an attempt opens one.
        promise.question(format!("descriptor {fd}"), batch, Judge::RefusedWith(0, &[EBADF]), None);
    }
    promise
}

const SO_TYPE: i64 = 3;

/// Asks for an option of a socket; the result is that of the operation with this index.
fn option(fd: u32, name: i64) -> (Batch, usize) {
    const SOL_SOCKET: i64 = 1;
    let mut batch = Batch::default();
    let (value, length) = (batch.space(4), batch.bytes(&4u32.to_ne_bytes()));
    batch.call("getsockopt", &[Arg::Number(fd.into()), SOL_SOCKET.into(), name.into(), value, length]);
    let last = batch.len() - 1;
    (batch, last)
}

/// A passed socket is the one that the spec names: its type, and where it is bound.
fn listens(promise: &mut Promise, fd: u32, endpoint: &Endpoint) {
    const STREAM: u32 = 1;
    const DATAGRAM: u32 = 2;
    let (kind, address) = match endpoint {
        Endpoint::Tcp(address) => (STREAM, bound(address)),
        Endpoint::Udp(address) => (DATAGRAM, bound(address)),
        Endpoint::Unix { path, .. } => {
            (STREAM, [&1u16.to_ne_bytes(), path.as_str().as_bytes(), b"\0"].concat())
        }
    };
    let (batch, _) = option(fd, SO_TYPE);
    let judge = Judge::Bytes(Arg::Data(0), kind.to_ne_bytes().to_vec());
    promise.question(format!("descriptor {fd} is of the right type"), batch, judge, None);
    let mut batch = Batch::default();
    let (space, length) = (batch.space(128), batch.bytes(&128u32.to_ne_bytes()));
    batch.call("getsockname", &[Arg::Number(fd.into()), space, length]);
    let judge = Judge::Bytes(space, address);
    promise.question(format!("descriptor {fd} is {endpoint}"), batch, judge, None);
}

fn bound(address: &SocketAddr) -> Vec<u8> {
    match address {
        SocketAddr::V4(address) => network::inet(address.ip().octets(), address.port()),
        SocketAddr::V6(address) => network::inet6(address.ip().octets(), address.port()),
    }
}

fn session(context: &Context<'_>) -> Promise {
    // The request numbers of asm-generic/ioctls.h.
    const TIOCSTI: i64 = 0x5412;
    const TIOCLINUX: i64 = 0x541c;
    const NOWHERE: i64 = 8;
    let mut promise =
        Promise::new(GROUP, "session", "its session is its own: nothing is typed into a terminal");
    for fd in 0..3i64 {
        for (what, request) in
            [("TIOCSTI", TIOCSTI), ("TIOCSTI in disguise", 1 << 32 | TIOCSTI), ("TIOCLINUX", TIOCLINUX)]
        {
            let batch = one("ioctl", &[fd.into(), request.into(), NOWHERE.into()]);
            // EFAULT would mean that only the letter was missing.
            let judge = Judge::RefusedWith(0, &[1, 5, 22, 25, EBADF]);
            let given = context.policy.is_none().then(|| context.given("seccomp")).flatten();
            promise.attempt(format!("{what} on {fd}"), batch, judge, given);
        }
    }
    let batch = super::open("/dev/tty", super::O_RDWR);
    promise.attempt("open /dev/tty", batch, Judge::Refused, context.given("session"));
    promise
}

fn keyring(context: &Context<'_>) -> Promise {
    let mut promise = Promise::new(GROUP, "keyring", "its session keyring is its own");
    let outside = context.world.keyring.unwrap_or(-1);
    let given = context.given("keyring");
    promise.question(
        "it is not the caller's",
        super::session_keyring(),
        Judge::ReturnsOther(0, outside),
        given,
    );
    promise
}

fn limits(context: &Context<'_>) -> Promise {
    let mut promise = Promise::new(GROUP, "limits", "resource limits are the spec's, and cannot be raised");
    for planned in &context.plan.steps {
        match &planned.step {
            Step::Rlimit { resource, soft, hard } => {
                let number = Arg::Number(resource.number.into());
                let mut batch = Batch::default();
                let space = batch.space(16);
                batch.call("prlimit64", &[0.into(), number, 0.into(), space]);
                let value = |v: &Option<u64>| v.unwrap_or(u64::MAX).to_ne_bytes();
                let wanted = [value(soft), value(hard)].concat();
                promise.question(resource.name, batch, Judge::Bytes(space, wanted), None);
                if hard.is_some() {
                    let mut batch = Batch::default();
                    let more = batch.bytes(&[0xff; 16]);
                    batch.call("prlimit64", &[0.into(), number, more, 0.into()]);
                    let given = context.by_capability("SYS_RESOURCE", &["prlimit64"]);
                    promise.attempt(format!("raise {}", resource.name), batch, Judge::Refused, given);
                }
            }
            Step::Tmpfs { path, limits, .. } => {
                // struct statfs: type, block size, blocks, ...
                let mut batch = Batch::default();
                let (name, space) = (batch.text(path.as_str()), batch.space(120));
                batch.call("statfs", &[name, space]);
                let Arg::Data(at) = space else { continue };
                let (blocks, files) = (Arg::Data(at + 16), Arg::Data(at + 40));
                let pages = limits.size.div_ceil(context.world.page.max(1)).to_ne_bytes().to_vec();
                promise.question(format!("size of {path}"), batch.clone(), Judge::Bytes(blocks, pages), None);
                let inodes = limits.inodes.to_ne_bytes().to_vec();
                promise.question(format!("files in {path}"), batch, Judge::Bytes(files, inodes), None);
            }
            _ => {}
        }
    }
    promise
}

fn habits(context: &Context<'_>) -> Promise {
    let mut promise =
        Promise::new(GROUP, "habits", "umask, nice, signals, host name, personality are not the caller's");
    let mut batch = Batch::default();
    const SET_MASK: i64 = 2;
    let space = batch.space(8);
    batch.call("rt_sigprocmask", &[SET_MASK.into(), 0.into(), space, 8.into()]);
    promise.question("no signal is blocked", batch, Judge::Bytes(space, vec![0; 8]), None);
    let asked = one("personality", &[0xffff_ffff.into()]);
    promise.question("the personality is plain", asked, Judge::Returns(0, 0), None);
    for planned in &context.plan.steps {
        match &planned.step {
            Step::Umask(mask) => {
                let judge = Judge::Returns(0, (*mask).into());
                promise.question(format!("umask {mask:04o}"), one("umask", &[0.into()]), judge, None);
            }
            Step::Nice(nice) => {
                // The kernel answers 20 minus it, so that no answer is negative.
                let judge = Judge::Returns(0, 20 - i64::from(*nice));
                let batch = one("getpriority", &[0.into(), 0.into()]);
                promise.question(format!("nice {nice}"), batch, judge, None);
                let more = one("setpriority", &[0.into(), 0.into(), i64::from(nice - 1).into()]);
                let given = context.by_capability("SYS_NICE", &["setpriority"]);
                if *nice > -20 {
                    promise.attempt("a higher priority", more, Judge::Refused, given);
                }
            }
            Step::Hostname(name) => {
                // struct utsname: fields of 65 bytes, of which this is the second.
                let mut batch = Batch::default();
                let space = batch.space(390);
                batch.call("uname", &[space]);
                let Arg::Data(at) = space else { continue };
                let wanted = [name.as_bytes(), b"\0"].concat();
                promise.question(
                    format!("host name {name}"),
                    batch,
                    Judge::Bytes(Arg::Data(at + 65), wanted),
                    None,
                );
            }
            Step::WorkingDirectory(path) => {
                let mut batch = Batch::default();
                let space = batch.space(4096);
                batch.call("getcwd", &[space, 4096.into()]);
                let wanted = [path.as_str().as_bytes(), b"\0"].concat();
                if !super::files::through_link(context.plan, path) {
                    promise.question(
                        format!("it starts in {path}"),
                        batch,
                        Judge::Bytes(space, wanted),
                        None,
                    );
                }
            }
            _ => {}
        }
    }
    promise
}
