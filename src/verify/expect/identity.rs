//! Who the program is, and that it becomes nobody else.
#![forbid(unsafe_code)]

use super::{Context, one};
use crate::jail::range::LAST;
use crate::jail::resolve::CAPABILITIES;
use crate::plan::Step;
use crate::verify::batch::{Arg, Batch};
use crate::verify::{Judge, Promise};

const GROUP: &str = "identity";
const PR_SET_KEEPCAPS: i64 = 8;
const PR_CAPBSET_READ: i64 = 23;
const PR_GET_SECUREBITS: i64 = 27;
const PR_SET_SECUREBITS: i64 = 28;
const PR_SET_NO_NEW_PRIVS: i64 = 38;
const PR_GET_NO_NEW_PRIVS: i64 = 39;
const PR_CAP_AMBIENT: i64 = 47;
/// NOROOT, its lock, the locks of SETUID_FIXUP and KEEP_CAPS, NO_CAP_AMBIENT_RAISE and its lock: what
/// `apply` sets.
const SECUREBITS: i64 = 0b1110_1011;

pub fn promises(context: &Context<'_>) -> Vec<Promise> {
    vec![ids(context), groups(context), capabilities(context), no_new_privileges()]
}

fn ids(context: &Context<'_>) -> Promise {
    let mut promise = Promise::new(GROUP, "ids", "user and group are the spec's, and stay so");
    let words = |id: u32| id.to_ne_bytes().repeat(3);
    for (name, id) in [("getresuid", context.process.uid), ("getresgid", context.process.gid)] {
        let mut batch = Batch::default();
        let space = batch.space(12);
        let Arg::Data(at) = space else { continue };
        batch.call(name, &[space, Arg::Data(at + 4), Arg::Data(at + 8)]);
        promise.question(format!("{name} says {id}"), batch, Judge::Bytes(space, words(id)), None);
    }
    for (name, arguments, own, capability) in [
        ("setuid", 1, context.process.uid, "SETUID"),
        ("setresuid", 3, context.process.uid, "SETUID"),
        ("setgid", 1, context.process.gid, "SETGID"),
        ("setresgid", 3, context.process.gid, "SETGID"),
    ] {
        // Root, or for root anybody else.
        let other = if own == 0 { 1 } else { 0 };
        let batch = one(name, &vec![Arg::Number(other); arguments]);
        promise.attempt(
            format!("{name} {other}"),
            batch,
            Judge::Refused,
            context.by_capability(capability, &[name]),
        );
    }
    if context.has(|s| matches!(s, Step::UserNamespace { .. })) {
        // The first that is nobody's inside: with any capability there is no way to it.
        let beyond = Arg::Number(u64::from(LAST) + 1);
        for name in ["setuid", "setgid"] {
            let batch = one(name, &[beyond]);
            promise.attempt(format!("{name} to an id of the host"), batch, Judge::Refused, None);
        }
    }
    promise
}

fn groups(context: &Context<'_>) -> Promise {
    let mut promise = Promise::new(GROUP, "groups", "supplementary groups are the spec's alone");
    let mut batch = Batch::default();
    let root = batch.bytes(&0u32.to_ne_bytes());
    batch.call("setgroups", &[1.into(), root]);
    let given = context.by_capability("SETGID", &["setgroups"]);
    promise.attempt("setgroups 0", batch, Judge::Refused, given);
    promise
}

fn capabilities(context: &Context<'_>) -> Promise {
    let mut promise =
        Promise::new(GROUP, "capabilities", "all five capability sets hold only what the spec names");
    let kept = context.process.capabilities;
    let last = context.plan.steps.iter().find_map(|p| match p.step {
        Step::BoundingSet { last, .. } => Some(last),
        _ => None,
    });
    let name = |n: u8| CAPABILITIES.get(usize::from(n)).map_or_else(|| n.to_string(), |c| (*c).to_owned());
    for number in 0..=last.unwrap_or(63) {
        let bound = i64::from(kept >> number & 1 == 1);
        let batch = one("prctl", &[PR_CAPBSET_READ.into(), i64::from(number).into(), 0.into(), 0.into()]);
        promise.question(
            format!("bound to {} of 1 {}", bound, name(number)),
            batch,
            Judge::Returns(0, bound),
            None,
        );
    }
    let header = |batch: &mut Batch| batch.bytes(&[0x2008_0522u32, 0].map(u32::to_ne_bytes).concat());
    let half = |set: u64, high: bool| (set >> if high { 32 } else { 0 } & 0xffff_ffff) as u32;
    let mut batch = Batch::default();
    let (head, space) = (header(&mut batch), batch.space(24));
    batch.call("capget", &[head, space]);
    // Effective, permitted, inheritable of the lower half; then of the upper one.
    let sets = [half(kept, false); 3].into_iter().chain([half(kept, true); 3]);
    let sets: Vec<u8> = sets.flat_map(u32::to_ne_bytes).collect();
    promise.question("effective, permitted, inheritable", batch, Judge::Bytes(space, sets), None);
    let batch = one("prctl", &[PR_GET_SECUREBITS.into(), 0.into(), 0.into(), 0.into(), 0.into()]);
    promise.question("locked securebits", batch, Judge::Returns(0, SECUREBITS), None);
    const RAISE: i64 = 2;
    // CHOWN, DAC_OVERRIDE, SETUID, NET_ADMIN, SYS_CHROOT, SYS_ADMIN.
    for number in [0u8, 1, 7, 12, 18, 21] {
        if kept >> number & 1 == 1 {
            continue;
        }
        let mut batch = Batch::default();
        let set: Vec<u8> =
            [[1u32 << number; 3], [0; 3]].concat().into_iter().flat_map(u32::to_ne_bytes).collect();
        let (head, set) = (header(&mut batch), batch.bytes(&set));
        batch.call("capset", &[head, set]);
        promise.attempt(format!("take {}", name(number)), batch.clone(), Judge::Refused, None);
        let arguments = [PR_CAP_AMBIENT, RAISE, number.into(), 0, 0].map(Arg::from);
        batch.call("prctl", &arguments);
        promise.attempt(format!("pass {} on", name(number)), batch, Judge::Refused, None);
    }
    let batch = one("prctl", &[PR_SET_KEEPCAPS.into(), 1.into(), 0.into(), 0.into(), 0.into()]);
    promise.attempt("keep capabilities over setuid", batch, Judge::Refused, None);
    let batch = one("prctl", &[PR_SET_SECUREBITS.into(), 0.into(), 0.into(), 0.into(), 0.into()]);
    promise.attempt("clear securebits", batch, Judge::Refused, None);
    promise
}

fn no_new_privileges() -> Promise {
    let mut promise = Promise::new(GROUP, "no-new-privileges", "no program that it executes gains privilege");
    let batch = one("prctl", &[PR_GET_NO_NEW_PRIVS.into(), 0.into(), 0.into(), 0.into(), 0.into()]);
    promise.question("no_new_privs is set", batch, Judge::Returns(0, 1), None);
    let batch = one("prctl", &[PR_SET_NO_NEW_PRIVS.into(), 0.into(), 0.into(), 0.into(), 0.into()]);
    promise.attempt("clear no_new_privs", batch, Judge::Refused, None);
    promise
}
