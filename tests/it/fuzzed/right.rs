//! What is true of every plan and every message.
//!
//! Must not know: where they came from.

use jail::apply::{Call, Failure, explain};
use jail::jail::path::AbsPath;
use jail::plan::{Attributes, Plan, Step, TreeKind};
use jail::problem::{Paint, Problems, Sources};
use std::collections::BTreeMap;

/// No control character but the end of a line, nothing that reorders.
pub fn printable(text: &str) {
    for line in text.lines() {
        let shown = jail::problem::printable(line);
        assert_eq!(shown, line, "it could drive a terminal");
    }
}

/// Refused, with a reason, and at a place that can be shown.
pub fn problems(problems: &Problems, sources: &Sources) {
    assert!(!problems.0.is_empty(), "refused without a word");
    for problem in &problems.0 {
        assert!(!problem.what.is_empty());
        assert!(problem.at.is_none_or(|at| sources.locate(at).is_some()), "{problem:?}");
        let text = problem.render(sources, Paint(false));
        let lines = 1 + usize::from(problem.at.is_some()) + usize::from(problem.also.is_some());
        assert_eq!(text.lines().count(), lines + problem.help.len(), "a name forged a line: {text}");
        printable(&text);
    }
}

/// Everything that can be said of a plan by itself.
pub fn plan(plan: &Plan) {
    in_order(plan);
    let mounts = mounts(plan);
    flags(plan, &mounts);
    nothing_is_made_in_a_host_directory(plan);
    nothing_is_missing_in_silence(plan);
    for step in 0..plan.steps.len() {
        for (call, errno) in
            [(Call::Openat2, 40), (Call::MoveMount, 20), (Call::Compare, 0), (Call::Execve, 2)]
        {
            for detail in [0, 1, u32::MAX] {
                let problem = explain::problem(plan, Failure { step, call, errno, detail });
                assert!(problem.what.starts_with("cannot "));
            }
        }
    }
}

fn position(plan: &Plan, is: impl Fn(&Step) -> bool) -> Option<usize> {
    let found: Vec<usize> =
        plan.steps.iter().enumerate().filter(|(_, p)| is(&p.step)).map(|(index, _)| index).collect();
    assert!(found.len() <= 1, "a step twice: {found:?}");
    found.first().copied()
}

/// No step before its phase, and the few orders that safety hangs on.
fn in_order(plan: &Plan) {
    for pair in plan.steps.windows(2) {
        assert!(pair[0].step.phase() <= pair[1].step.phase(), "{:?} before {:?}", pair[0].step, pair[1].step);
    }
    let order: Vec<Option<usize>> = vec![
        position(plan, |s| matches!(s, Step::Isolate { .. })),
        position(plan, |s| matches!(s, Step::MakePrivate)),
        position(plan, |s| matches!(s, Step::NewRoot(_) | Step::AttachRoot { .. })),
        position(plan, |s| matches!(s, Step::PivotRoot)),
        position(plan, |s| matches!(s, Step::SealRoot)),
        position(plan, |s| matches!(s, Step::CheckMounts(_))),
        position(plan, |s| matches!(s, Step::LandlockRules { .. })),
        position(plan, |s| matches!(s, Step::BoundingSet { .. })),
        position(plan, |s| matches!(s, Step::Groups(_))),
        position(plan, |s| matches!(s, Step::Gid(_))),
        position(plan, |s| matches!(s, Step::Uid(_))),
        position(plan, |s| matches!(s, Step::Capabilities(_))),
        position(plan, |s| matches!(s, Step::NoNewPrivileges)),
        position(plan, |s| matches!(s, Step::CloseDescriptors)),
        position(plan, |s| matches!(s, Step::LandlockRestrict)),
        position(plan, |s| matches!(s, Step::Seccomp(_))),
        position(plan, |s| matches!(s, Step::CheckProcess(_))),
        position(plan, |s| matches!(s, Step::Execute { .. })),
    ];
    let there: Vec<usize> = order.iter().flatten().copied().collect();
    assert!(there.is_sorted(), "{order:?}");
    for (index, always) in [(0, "namespaces"), (1, "private"), (2, "root"), (3, "pivot"), (5, "check")] {
        assert!(order[index].is_some(), "no {always}");
    }
    for drop in (7..=13).filter(|drop| *drop != 8 || !is_rootless(plan)) {
        assert!(order[drop].is_some(), "a drop is missing: {order:?}");
    }
    assert_eq!(order[17], Some(plan.steps.len() - 1), "the program is executed last");
    let after = plan.steps.iter().skip(order[16].expect("the process is checked") + 1);
    let harmless = |step: &Step| matches!(step, Step::Rlimit { .. } | Step::Execute { .. });
    assert!(after.map(|p| &p.step).all(harmless), "something is done after the check");
    assert_eq!(order[6].is_some(), order[14].is_some(), "rules without a wall");
}

/// Every mount with its attributes. Slots are opened once, before they are used once.
fn mounts(plan: &Plan) -> BTreeMap<AbsPath, Attributes> {
    let mut open: BTreeMap<usize, Option<(Attributes, TreeKind)>> = BTreeMap::new();
    let mut mounts = BTreeMap::new();
    let mut add = |path: &AbsPath, attributes: Attributes| {
        assert_eq!(AbsPath::new(path.as_str()).as_ref(), Ok(path), "a target above the root");
        assert_eq!(mounts.insert(path.clone(), attributes), None, "two mounts at {path}");
    };
    let ours = Attributes { read_only: false, no_exec: true, no_dev: true };
    for planned in &plan.steps {
        match &planned.step {
            Step::OpenTree { slot, kind, attributes, .. } => {
                assert!(open.insert(*slot, Some((*attributes, *kind))).is_none(), "slot {slot} twice");
            }
            Step::OpenFile { slot, .. } => assert!(open.insert(*slot, None).is_none(), "slot {slot} twice"),
            Step::Copy { slot, .. } => assert_eq!(open.remove(slot), Some(None), "slot {slot}"),
            Step::Attach { slot, path, make } => {
                let (attributes, kind) = open.remove(slot).flatten().expect("an opened tree");
                assert!(make.is_none_or(|made| made == kind));
                assert!(attributes.no_dev || kind == TreeKind::Device, "device nodes at {path}");
                assert!(kind != TreeKind::Device || attributes.read_only && attributes.no_exec);
                add(path, attributes);
            }
            Step::AttachRoot { slot } => {
                let (attributes, kind) = open.remove(slot).flatten().expect("an opened tree");
                assert!(kind == TreeKind::Directory && attributes.no_dev);
                add(&AbsPath::root(), attributes);
            }
            Step::NewRoot(limits) => {
                assert!(limits.size > 0 && limits.inodes > 0);
                add(&AbsPath::root(), Attributes { read_only: true, ..ours });
            }
            Step::Tmpfs { path, limits, attributes, directories, .. } => {
                assert!(limits.size > 0 && limits.inodes > 0, "unlimited: {path}");
                assert!(attributes.no_dev && !attributes.read_only);
                let plain = |d: &String| !d.is_empty() && !d.contains('/') && d != "." && d != "..";
                assert!(directories.iter().all(plain), "{directories:?}");
                add(path, *attributes);
            }
            Step::Proc { path, .. } => add(path, Attributes { read_only: true, ..ours }),
            Step::Devpts { path, .. } => add(path, Attributes { no_dev: false, ..ours }),
            _ => {}
        }
    }
    assert!(open.is_empty(), "opened for nothing: {open:?}");
    mounts
}

/// What is mounted is what is checked, and what Landlock has a rule for.
fn flags(plan: &Plan, mounts: &BTreeMap<AbsPath, Attributes>) {
    for planned in &plan.steps {
        if let Step::CheckMounts(expected) = &planned.step {
            let checked: BTreeMap<_, _> = expected.iter().map(|e| (e.path.clone(), e.attributes)).collect();
            assert_eq!(&checked, mounts);
            assert_eq!(checked.len(), expected.len());
        }
        if let Step::LandlockRules { rules, .. } = &planned.step {
            let known = |path: &AbsPath| rules.iter().any(|(rule, _)| path.is_within(rule));
            assert!(mounts.keys().all(known), "a place without a rule: {rules:?}");
        }
    }
}

/// The place itself, and whether something is made for it.
fn target(step: &Step) -> Option<(&AbsPath, bool)> {
    Some(match step {
        Step::Directory { path, .. }
        | Step::Link { path, .. }
        | Step::Text { path, .. }
        | Step::Copy { path, .. }
        | Step::Devpts { path, .. } => (path, true),
        Step::Attach { path, make, .. } => (path, make.is_some()),
        Step::Tmpfs { path, make, .. } | Step::Proc { path, make, .. } => (path, *make),
        _ => return None,
    })
}

/// Parents come first, one thing is at one place, and things are made only where it is the jail's.
fn nothing_is_made_in_a_host_directory(plan: &Plan) {
    let foreign = plan.steps.iter().any(|p| matches!(p.step, Step::AttachRoot { .. }));
    let mut before: BTreeMap<&AbsPath, &Step> = BTreeMap::new();
    for step in plan.steps.iter().map(|p| &p.step) {
        let Some((path, made)) = target(step) else { continue };
        assert_eq!(AbsPath::new(path.as_str()).as_ref(), Ok(path), "a target above the root");
        assert!(*path != AbsPath::root(), "something at / itself");
        assert!(!before.keys().any(|known| known.is_within(path)), "{path} would hide what came before");
        let above = std::iter::successors(path.parent(), AbsPath::parent);
        let mount = above.clone().find_map(|up| {
            before.get(&up).filter(|s| !matches!(s, Step::Directory { .. })).map(|s| (up, *s))
        });
        let ours = match mount {
            None => !foreign,
            Some((_, Step::Tmpfs { .. })) => true,
            Some((_, Step::Attach { make, .. })) => {
                assert!(make.is_none_or(|kind| kind == TreeKind::Directory), "{path} below a file");
                false
            }
            Some((up, other)) => panic!("{path} below {up}, which is {other:?}"),
        };
        assert_eq!(made, ours, "{path}");
        let parent = path.parent().expect("not the root");
        let there = !made || parent == AbsPath::root() || before.contains_key(&parent);
        assert!(there, "{path} before its directory");
        before.insert(path, step);
    }
}

/// What the usual jail has is there, or was given up by name.
fn nothing_is_missing_in_silence(plan: &Plan) {
    let has = |is: fn(&Step) -> bool| plan.steps.iter().any(|p| is(&p.step));
    let given_up = |what: &str| plan.given_up.iter().any(|g| g.what == what);
    assert!(has(|s| matches!(s, Step::LandlockRestrict)) || given_up("landlock"));
    assert!(has(|s| matches!(s, Step::Seccomp(_))) || given_up("seccomp"));
    assert!(has(|s| matches!(s, Step::Keyring)) || given_up("keyring"));
    assert!(has(|s| matches!(s, Step::Session { .. })) || given_up("session"));
    assert!(has(|s| matches!(s, Step::Groups(Some(_)))) || given_up("groups") || is_rootless(plan));
    let denies = has(|s| matches!(s, Step::DenyWriteExecute)) || has(|s| matches!(s, Step::Seccomp(_)));
    assert!(denies || given_up("memory-deny-write-execute"));
    if !plan.supervision.pid_namespace {
        assert!(given_up("pid namespace"));
    }
}

/// Without root there is one id, and no group can be set: a caller that has some is refused.
fn is_rootless(plan: &Plan) -> bool {
    plan.steps.iter().any(|p| matches!(p.step, Step::Isolate { user: Some(_), .. }))
}
