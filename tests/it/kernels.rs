//! Older kernels: what the nginx spec gets on each, as facts say (golden files), and what a start does
//! when the running kernel answers as an older one would.
//!
//! Must not know: how the jail finds out.

use crate::plans::{compare, golden, plan};
use crate::promises::attempt;
use crate::ring::Ring::{Pure, Root};
use crate::run::{Room, Run, finish, jail};
use crate::tests;
use jail::jail::facts::{Facts, Kernel};
use jail::jail::resolve::Feature;
use jail::plan::{Plan, Step, print};
use jail::problem::Paint;
use std::os::unix::process::CommandExt;
use std::path::Path;

tests! {
    Pure => [each_kernel_gets_what_it_can_enforce],
    Root => [a_missing_feature_is_named_and_can_be_given_up, what_has_a_substitute_is_substituted, a_missing_call_is_named],
}

/// Version, Landlock ABI (where it is not off at boot), and whether prctl(PR_SET_MDWE) is there.
const KERNELS: &[(u32, u32, u32, bool)] =
    &[(5, 14, 1, false), (5, 15, 1, false), (6, 1, 2, false), (6, 6, 3, true), (6, 12, 6, true)];

type Lack = (Feature, fn(&mut Kernel));

/// What a kernel of any version may be built or booted without.
const LACKS: &[Lack] = &[
    (Feature::Landlock, |kernel| kernel.landlock = 0),
    (Feature::Seccomp, |kernel| kernel.seccomp = false),
    (Feature::Keyring, |kernel| kernel.keyrings = false),
];

fn each_kernel_gets_what_it_can_enforce() {
    for &(major, minor, landlock, deny_write_execute) in KERNELS {
        let set = move |facts: &mut Facts| {
            facts.kernel.version = (major, minor);
            facts.kernel.landlock = landlock;
            facts.kernel.deny_write_execute = deny_write_execute;
        };
        let mut text = format!("nginx on Linux {major}.{minor}\n\nenforced\n");
        let (full, sources) = plan("nginx", &[], set);
        match full {
            Ok(plan) => text += &enforced(&plan),
            Err(problems) => text += &problems.render(&sources, Paint(false)),
        }
        for (feature, lack) in LACKS {
            let without = |facts: &mut Facts| {
                set(facts);
                lack(&mut facts.kernel);
            };
            let (refused, sources) = plan("nginx", &[], without);
            let refused = refused.expect_err("a lack is an error").render(&sources, Paint(false));
            text += &format!("\nwithout {} in this kernel\n{refused}", feature.name());
            assert!(refused.contains(&format!("`--without {}`", feature.name())), "{refused}");
        }
        compare(&golden(&format!("kernels/nginx-{major}.{minor}.txt")), &text);
    }
}

/// The steps that depend on the kernel, in words, and what was given up.
fn enforced(plan: &Plan) -> String {
    let mut text = String::new();
    for step in plan.steps.iter().map(|p| &p.step) {
        let words = print::describe(step);
        match step {
            // The rules themselves are in the plans.
            Step::LandlockRules { .. } => {
                text += &format!("      {}\n", words.split(':').next().unwrap_or_default());
            }
            Step::Isolate { .. }
            | Step::Unshare(_)
            | Step::Keyring
            | Step::Proc { .. }
            | Step::NoNewPrivileges
            | Step::Session { .. }
            | Step::DenyWriteExecute
            | Step::LandlockRestrict
            | Step::Seccomp(_) => text += &format!("      {words}\n"),
            _ => {}
        }
    }
    let given_up: Vec<&str> = plan.given_up.iter().map(|g| g.what.as_str()).collect();
    text + &format!(
        "given up: {}\n",
        if given_up.is_empty() { "nothing".into() } else { given_up.join(", ") }
    )
}

/// A call (with this value of one of its arguments) and how an older kernel answers it.
#[derive(Clone, Copy)]
struct Answer {
    call: libc::c_long,
    argument: Option<(u32, u32)>,
    errno: i32,
}

const fn all(call: libc::c_long, errno: i32) -> Answer {
    Answer { call, argument: None, errno }
}

/// A filter over everything that is started, as in a kernel or a container that lacks the calls.
fn program(answers: &[Answer]) -> Vec<libc::sock_filter> {
    let op = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter {
        code: u16::try_from(code).unwrap(),
        jt,
        jf,
        k,
    };
    let load = |offset| op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0);
    let jump = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let give = |value| op(libc::BPF_RET | libc::BPF_K, value, 0, 0);
    let mut program = Vec::new();
    for answer in answers {
        let errno = libc::SECCOMP_RET_ERRNO | answer.errno.unsigned_abs();
        program.push(load(0));
        let number = u32::try_from(answer.call).unwrap();
        match answer.argument {
            None => program.extend([op(jump, number, 0, 1), give(errno)]),
            // struct seccomp_data: the arguments begin at 16, eight bytes each.
            Some((index, value)) => program.extend([
                op(jump, number, 0, 3),
                load(16 + 8 * index),
                op(jump, value, 0, 1),
                give(errno),
            ]),
        }
    }
    program.push(give(libc::SECCOMP_RET_ALLOW));
    program
}

/// Runs a spec with these words where the kernel answers like that.
fn run_on(answers: &[Answer], spec: &Path, words: &[&str]) -> Run {
    let mut command =
        jail(["run".as_ref(), spec.as_os_str()].into_iter().chain(words.iter().map(|w| w.as_ref())));
    let filter = program(answers);
    let install = move || {
        let length = u16::try_from(filter.len()).unwrap();
        let program = libc::sock_fprog { len: length, filter: filter.as_ptr().cast_mut() };
        // SAFETY: a system call between fork and exec; the kernel copies the program.
        match unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: `install` makes one system call on memory that was allocated before.
    unsafe { command.pre_exec(install) };
    finish(&mut command)
}

const PR_SET_MDWE: u32 = 65;
const PR_GET_MDWE: u32 = 66;

fn a_missing_feature_is_named_and_can_be_given_up() {
    let cases = [
        (Feature::Landlock, all(libc::SYS_landlock_create_ruleset, libc::ENOSYS)),
        // What a kernel says that has it, but not in its lsm= list.
        (Feature::Landlock, all(libc::SYS_landlock_create_ruleset, libc::EOPNOTSUPP)),
        (Feature::Seccomp, all(libc::SYS_seccomp, libc::ENOSYS)),
        (Feature::Keyring, all(libc::SYS_keyctl, libc::ENOSYS)),
        (Feature::Keyring, all(libc::SYS_keyctl, libc::EPERM)),
    ];
    let room = Room::new();
    let spec = room.probe_spec(&["attempts=no"], &[]);
    for (feature, answer) in cases {
        let run = run_on(&[answer], &spec, &[]).ended(125);
        assert_eq!(run.stdout, "", "{feature:?}: the program ran");
        assert!(run.stderr.contains(feature.promise()), "{feature:?}: {}", run.stderr);
        assert!(
            run.stderr.contains(&format!("`--without {}`", feature.name())),
            "{feature:?}: {}",
            run.stderr
        );
        let report = run_on(&[answer], &spec, &["--without", feature.name()]).report();
        let filters = report["status"]["Seccomp_filters"].as_str().unwrap();
        // The test's own filter is one of them.
        assert_eq!(filters, if feature == Feature::Seccomp { "1" } else { "2" }, "{feature:?}");
        assert_eq!(report["status"]["CapEff"], "0000000000000000");
    }
}

/// Before Linux 6.3 the filter refuses what PR_SET_MDWE would, and memfd_create knows no MFD_EXEC.
fn what_has_a_substitute_is_substituted() {
    let older = [
        Answer { call: libc::SYS_prctl, argument: Some((0, PR_SET_MDWE)), errno: libc::EINVAL },
        Answer { call: libc::SYS_prctl, argument: Some((0, PR_GET_MDWE)), errno: libc::EINVAL },
        Answer {
            call: libc::SYS_memfd_create,
            argument: Some((1, libc::MFD_CLOEXEC | libc::MFD_EXEC)),
            errno: libc::EINVAL,
        },
    ];
    let room = Room::new();
    let report = run_on(&older, &room.probe_spec(&[], &[]), &[]).report();
    for name in ["mmap write+exec", "mprotect written to exec"] {
        assert_ne!(attempt(&report, name), "ok", "{name}");
    }
}

/// Without these there is no jail: the message says which call it was.
fn a_missing_call_is_named() {
    let calls = [
        ("openat2", libc::SYS_openat2),
        ("open_tree", libc::SYS_open_tree),
        ("mount_setattr", libc::SYS_mount_setattr),
        ("move_mount", libc::SYS_move_mount),
        ("fsopen", libc::SYS_fsopen),
        ("fsconfig", libc::SYS_fsconfig),
        ("fsmount", libc::SYS_fsmount),
        ("pivot_root", libc::SYS_pivot_root),
        ("close_range", libc::SYS_close_range),
    ];
    let room = Room::new();
    let spec = room.probe_spec(&["attempts=no"], &[]);
    for (name, call) in calls {
        let run = run_on(&[all(call, libc::ENOSYS)], &spec, &[]).ended(125);
        assert_eq!(run.stdout, "", "{name}: the program ran");
        let named = run.stderr.contains(&format!(": {name}(")) && run.stderr.contains(" = ENOSYS");
        assert!(named, "{name}: {}", run.stderr);
        assert!(run.stderr.starts_with("jail: cannot "), "{name}: {}", run.stderr);
    }
}
