//! What outcomes mean, on made-up answers and processes.

use super::batch::{Batch, Entry, Reply};
use super::outside::{Observation, Process};
use super::*;
use crate::jail::network::TcpPorts;
use crate::jail::range::{Owners, Range};
use crate::jail::{GivenUp, Ids};
use crate::plan::{ExpectedProcess, Plan, Planned, Step, Supervision, Unshared};
use crate::seccomp::{self, Action, Answer};

fn reply(results: &[Option<i64>]) -> Reply {
    Reply { results: results.to_vec(), alone: true, ..Reply::default() }
}

fn holds(judge: Judge, reply: &Reply) -> bool {
    let attempt = Attempt { what: "x".into(), batch: Batch::default(), bare: false, judge, given: None };
    super::judge(&attempt, reply).holds
}

#[test]
fn an_attempt_is_refused_by_any_failure_or_death() {
    assert!(holds(Judge::Refused, &reply(&[Some(3), Some(-13)])));
    assert!(holds(Judge::Refused, &reply(&[Some(3), None])));
    assert!(!holds(Judge::Refused, &reply(&[Some(3), Some(0)])));
}

#[test]
fn a_question_without_an_answer_proves_nothing() {
    for judge in [
        Judge::Returns(0, 1),
        Judge::ReturnsOther(0, 7),
        Judge::RefusedWith(0, &[1]),
        Judge::NotRefusedWith(0, &[1]),
    ] {
        assert!(!holds(judge, &reply(&[None])));
    }
    assert!(!holds(Judge::Bytes(Arg::Data(0), vec![0; 4]), &reply(&[Some(0)])), "too short");
    assert!(!holds(Judge::Succeed(0, 1), &reply(&[Some(0), None])));
}

#[test]
fn results_are_compared() {
    assert!(holds(Judge::Returns(0, 1), &reply(&[Some(1)])));
    assert!(!holds(Judge::Returns(0, 1), &reply(&[Some(0)])));
    assert!(holds(Judge::NotRefusedWith(0, &[13]), &reply(&[Some(0)])));
    assert!(holds(Judge::NotRefusedWith(0, &[13]), &reply(&[Some(-98)])));
    assert!(!holds(Judge::NotRefusedWith(0, &[13]), &reply(&[Some(-13)])));
    assert!(holds(Judge::ReturnsOther(0, 7), &reply(&[Some(8)])));
    assert!(!holds(Judge::ReturnsOther(0, 7), &reply(&[Some(7)])));
    assert!(!holds(Judge::ReturnsOther(0, 7), &reply(&[Some(-1)])));
    assert!(holds(Judge::RefusedWith(0, &[30]), &reply(&[Some(-30)])));
    assert!(!holds(Judge::RefusedWith(0, &[30]), &reply(&[Some(-13)])), "another reason is no proof");
    assert!(!holds(Judge::RefusedWith(0, &[30]), &reply(&[Some(0)])));
    assert!(holds(Judge::Succeed(1, 1), &reply(&[Some(0), Some(0), Some(-7)])));
    assert!(!holds(Judge::Succeed(1, 1), &reply(&[Some(0), Some(0), Some(0)])));
    let data = Reply { data: vec![1, 2, 3, 4], ..reply(&[Some(0)]) };
    assert!(holds(Judge::Bytes(Arg::Data(0), vec![1, 2]), &data));
    assert!(!holds(Judge::Bytes(Arg::Data(0), vec![2, 1]), &data));
    let failed = Reply { data: vec![0; 4], ..reply(&[Some(-14)]) };
    assert!(!holds(Judge::Bytes(Arg::Data(0), vec![0; 4]), &failed), "zeroes that nobody wrote");
}

#[test]
fn names_in_a_directory_are_compared() {
    let record = |name: &str| {
        let mut record = vec![0u8; 19];
        record.extend_from_slice(name.as_bytes());
        record.resize((record.len() + 1).next_multiple_of(8), 0);
        let length = u16::try_from(record.len()).unwrap().to_ne_bytes();
        record[16..18].copy_from_slice(&length);
        record
    };
    let data = [record("."), record(".."), record("usr"), record("17")].concat();
    let length = i64::try_from(data.len()).unwrap();
    let answer = Reply { data, ..reply(&[Some(3), Some(length)]) };
    let lists = |names: &[&str], numbers| {
        Judge::Lists(1, Arg::Data(0), names.iter().map(|n| (*n).to_owned()).collect(), numbers)
    };
    assert!(holds(lists(&["usr", "17"], false), &answer));
    assert!(holds(lists(&["usr"], true), &answer));
    assert!(!holds(lists(&["usr"], false), &answer));
    assert!(!holds(lists(&[], true), &answer));
    assert!(holds(lists(&[], false), &reply(&[Some(3), Some(-13)])), "what is not listed is not seen");
}

#[test]
fn a_verdict_needs_evidence_and_blames_somebody() {
    let mut promise = Promise::new("g", "n", "t");
    assert_eq!(promise.verdict(), Verdict::Open, "nothing was tried");
    promise.find("a", true, None);
    promise.find("b", true, Some("unused".into()));
    assert_eq!(promise.verdict(), Verdict::Held);
    promise.find("c", false, Some("key".into()));
    promise.find("d", false, Some("key".into()));
    assert_eq!(promise.verdict(), Verdict::GivenUp("key".into()));
    promise.find("e", false, None);
    assert_eq!(promise.verdict(), Verdict::Open);
    assert_eq!(render::count(&[promise]), render::Count { held: 0, given_up: 0, open: 1 });
}

#[test]
fn the_table_shows_what_is_open_and_no_control_characters() {
    let mut promise = Promise::new("g", "n", "nothing gets out");
    for n in 0..10 {
        promise.find(format!("way {n}\x1b"), false, None);
    }
    let text = render::text("x", std::slice::from_ref(&promise), crate::problem::Paint(false));
    assert!(text.contains("  OPEN      nothing gets out\n            - way 0\\u{1b}\n"), "{text}");
    assert!(text.contains("- and 2 more\n") && text.ends_with("0 held, 0 given up, 1 open\n"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&render::json("x", &[promise])).unwrap();
    assert_eq!(json["promises"][0]["findings"].as_array().unwrap().len(), 10);
}

#[test]
fn a_sweep_goes_on_after_a_death() {
    let cases = sweep::native(None);
    assert!(cases.len() > 500, "{}", cases.len());
    let mut asked = 0;
    let came = sweep::run(&cases, |batch| {
        asked += 1;
        // The third call of every message kills.
        let results = (0..batch.len()).map(|i| (i < 2).then_some(-38)).collect::<Vec<_>>();
        Ok::<_, ()>(Reply { status: Some(11), ..reply(&results) })
    });
    let came = came.unwrap();
    assert_eq!(came.len(), cases.len());
    assert_eq!(came[..3], [sweep::Came::Returned(-38), sweep::Came::Returned(-38), sweep::Came::Killed(11)]);
    assert_eq!(asked, cases.len().div_ceil(3));
    assert_eq!(sweep::run(&cases, |_| Err::<Reply, _>("gone")), Err("gone"));
}

#[test]
fn a_call_that_passes_a_filter_that_should_refuse_it_is_found() {
    let policy = seccomp::resolve(&[]).unwrap();
    let cases = sweep::native(Some(&policy));
    let judged = |came: &[sweep::Came]| {
        let mut promise = Promise::new("g", "n", "t");
        let before = vec![sweep::Came::Returned(-22); cases.len()];
        sweep::judge_native(&mut promise, Some(&policy), None, &cases, &before, came);
        promise
    };
    let as_said: Vec<_> = cases
        .iter()
        .map(|case| match case.answer(&policy) {
            Answer::Errno(errno) => sweep::Came::Returned(-i64::from(errno)),
            _ => sweep::Came::Returned(-22),
        })
        .collect();
    assert_eq!(judged(&as_said).verdict(), Verdict::Held);
    for index in 0..cases.len() {
        let mut other = as_said.clone();
        // Refused becomes passed, and the other way round.
        other[index] =
            sweep::Came::Returned(if as_said[index] == sweep::Came::Returned(-22) { -1 } else { -22 });
        assert_eq!(judged(&other).verdict(), Verdict::Open, "{:?}", cases[index]);
    }
}

#[test]
fn policies_answer_calls_with_arguments() {
    let policy = seccomp::resolve(&[]).unwrap();
    let answer = |name: &str, arguments| policy.answer(seccomp::number(name).unwrap(), arguments);
    assert_eq!(answer("getpid", [0; 6]), Answer::Kernel);
    assert_eq!(answer("ptrace", [0; 6]), Answer::Errno(1));
    assert_eq!(answer("socket", [2, 0, 0, 0, 0, 0]), Answer::Kernel);
    assert_eq!(answer("socket", [16, 0, 0, 0, 0, 0]), Answer::Kernel);
    assert_eq!(answer("socket", [16, 0, 9, 0, 0, 0]), Answer::Errno(93));
    assert_eq!(answer("socket", [40, 0, 0, 0, 0, 0]), Answer::Errno(97));
    assert_eq!(answer("socket", [40 | 1 << 32, 0, 0, 0, 0, 0]), Answer::Errno(97));
    assert_eq!(answer("ioctl", [0, 0x5412, 0, 0, 0, 0]), Answer::Errno(1));
    assert_eq!(answer("ioctl", [0, 0x5413, 0, 0, 0, 0]), Answer::Kernel);
    assert_eq!(policy.answer(9999, [0; 6]), Answer::Errno(38));
    let kills = policy.clone().action(Action::Kill);
    assert_eq!(kills.answer(seccomp::number("ptrace").unwrap(), [0; 6]), Answer::Kill);
    let logs = policy.action(Action::Log);
    assert_eq!(logs.answer(seccomp::number("ptrace").unwrap(), [0; 6]), Answer::Kernel);
}

fn plan(steps: Vec<Step>) -> Plan {
    Plan {
        name: "x".into(),
        steps: steps.into_iter().map(|step| Planned { step, at: None }).collect(),
        hooks: Default::default(),
        supervision: Supervision {
            pid_namespace: true,
            stop_signal: 15,
            reload_signal: 1,
            stop_timeout: 0,
            terminal: true,
            forking: false,
        },
        main_pid_file: None,
        live: crate::plan::Live::default(),
        given_up: vec![GivenUp { what: "ipc namespace".into(), by: "share-namespaces".into(), at: None }],
    }
}

fn steps() -> Vec<Step> {
    let expected =
        ExpectedProcess { uid: 33, gid: 33, groups: Some(vec![4]), capabilities: 0x400, filters: 1 };
    vec![
        Step::Isolate { pid: true, user: None },
        Step::Unshare(Unshared { net: true, ipc: false, uts: true, cgroup: true }),
        Step::Session { terminal: true },
        Step::Seccomp(seccomp::resolve(&[]).unwrap()),
        Step::CheckProcess(expected),
        Step::Execute {
            candidates: Vec::new(),
            arguments: vec!["a".into(), "b".into()],
            environment: vec![("K".into(), "v".into())],
        },
    ]
}

#[test]
fn the_prober_takes_the_programs_place() {
    let probed = prober::plan(&plan(steps()));
    let kinds: Vec<&Step> = probed.steps.iter().map(|p| &p.step).collect();
    assert!(!probed.supervision.terminal);
    assert!(kinds.iter().any(|s| matches!(s, Step::OpenProber { slot: 0 })));
    assert!(kinds.iter().any(|s| matches!(s, Step::Session { terminal: false })));
    assert!(!kinds.iter().any(|s| matches!(s, Step::Seccomp(_) | Step::Execute { .. })));
    match kinds.last() {
        Some(Step::ExecuteProber { arguments, .. }) => assert_eq!(arguments, &["a", "b"]),
        other => panic!("{other:?}"),
    }
    let policy = seccomp::resolve(&[]).unwrap();
    assert!(prober::install(&policy).encode(true).is_some(), "a filter fits into a message");
}

fn process(change: (&str, &str)) -> Observation {
    let fields = [
        ("Uid", "33\t33\t33\t33"),
        ("Gid", "33\t33\t33\t33"),
        ("Groups", "4 "),
        ("SigBlk", "0000000000000000"),
        ("SigIgn", "0000000000000000"),
        ("CapInh", "0000000000000400"),
        ("CapPrm", "0000000000000400"),
        ("CapEff", "0000000000000400"),
        ("CapBnd", "0000000000000400"),
        ("CapAmb", "0000000000000400"),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
        ("Seccomp_filters", "3"),
    ];
    let value = |name: &'static str, value: &str| {
        if name == change.0 { change.1.to_owned() } else { value.to_owned() }
    };
    let status: String = fields.iter().map(|(n, v)| format!("{n}:\t{}\n", value(n, v))).collect();
    let text = |name, usual: &str| (name, value(name, usual));
    let texts = [
        ("status", status),
        text("stat", "7 (a b) c) S 1 7 7 0 -1"),
        text("environ", "K=v\0"),
        text("cmdline", "a\0b\0"),
    ];
    let spaces = |own: bool| {
        let word = move |kind: &&'static str| {
            let shared = !own || *kind == "ipc" || *kind == "user" || *kind == change.0;
            (*kind, if shared { "outer".to_owned() } else { "inner".to_owned() })
        };
        outside::NAMESPACES.iter().map(word).collect()
    };
    let descriptors = (0..if change.0 == "descriptors" { 4 } else { 3 }).collect();
    let program = Process {
        pid: 7,
        program: true,
        texts: texts.into(),
        descriptors: Some(descriptors),
        namespaces: spaces(true),
    };
    Observation {
        processes: vec![program],
        own: spaces(false),
        filters: 2,
        mounts: (change.0 == "mounts").then(|| "a mount".into()),
        left: (change.0 == "left").then(|| "a process".into()),
        sockets: Vec::new(),
    }
}

const NAMES: &[&str] = &[
    "mounts",
    "end",
    "namespaces",
    "every-process",
    "ids",
    "groups",
    "capabilities",
    "no-new-privileges",
    "system-calls",
    "descriptors",
    "environment",
    "session",
    "habits",
];

/// What is open when the program is seen so.
fn open(change: (&str, &str)) -> Vec<&'static str> {
    let mut promises: Vec<Promise> = NAMES.iter().map(|name| Promise::new("g", name, "t")).collect();
    outside::judge(&plan(steps()), &process(change), &mut promises);
    promises.iter().filter(|p| p.verdict() == Verdict::Open).map(|p| p.name).collect()
}

#[test]
fn each_trait_of_a_process_is_looked_at() {
    assert_eq!(open(("", "")), [""; 0]);
    let cases: &[(&str, &str, &[&str])] = &[
        ("Uid", "33 0 33 33", &["every-process", "ids"]),
        ("Gid", "33 33 33 0", &["every-process", "ids"]),
        ("Groups", "4 27", &["groups"]),
        ("SigBlk", "0000000000000001", &["habits"]),
        ("SigIgn", "0000000000001000", &["habits"]),
        ("CapInh", "0000000000000000", &["capabilities"]),
        ("CapPrm", "0000000000000401", &["every-process", "capabilities"]),
        ("CapEff", "000001ffffffffff", &["every-process", "capabilities"]),
        ("CapBnd", "000001ffffffffff", &["every-process", "capabilities"]),
        ("CapAmb", "", &["every-process", "capabilities"]),
        ("NoNewPrivs", "0", &["every-process", "no-new-privileges"]),
        ("Seccomp", "0", &["system-calls"]),
        ("Seccomp_filters", "2", &["system-calls"]),
        ("stat", "7 (x) S 1 7 1 0 -1", &["session"]),
        ("stat", "7 (x) S 1 7 7 34816 -1", &["session"]),
        ("environ", "K=v\0L=w\0", &["environment"]),
        ("cmdline", "a\0", &["environment"]),
        ("descriptors", "", &["descriptors"]),
        ("mnt", "", &["namespaces"]),
        ("pid", "", &["namespaces"]),
        ("net", "", &["namespaces"]),
        ("mounts", "", &["mounts"]),
        ("left", "", &["end"]),
    ];
    for (name, value, wanted) in cases {
        assert_eq!(open((name, value)), *wanted, "{name} = {value}");
    }
}

/// What is open where one TCP socket is passed, and the program is seen so.
fn open_with_socket(descriptors: &[u32], environ: &str) -> Vec<&'static str> {
    let mut steps = steps();
    steps.push(Step::PassSockets { inherited: 0, names: vec!["web".into()] });
    let mut seen = process(("environ", environ));
    seen.processes[0].descriptors = Some(descriptors.to_vec());
    if let Some(status) = seen.processes[0].texts.get_mut("status") {
        status.push_str("NSpid:\t4711\t2\n");
    }
    let mut promises: Vec<Promise> = NAMES.iter().map(|name| Promise::new("g", name, "t")).collect();
    outside::judge(&plan(steps), &seen, &mut promises);
    promises.iter().filter(|p| p.verdict() == Verdict::Open).map(|p| p.name).collect()
}

#[test]
fn passed_sockets_are_the_only_descriptors_and_are_announced() {
    let told = "K=v\0LISTEN_PID=2\0LISTEN_FDS=1\0LISTEN_FDNAMES=web\0";
    assert_eq!(open_with_socket(&[0, 1, 2, 3], told), [""; 0]);
    for descriptors in [&[0, 1, 2][..], &[0, 1, 2, 4], &[0, 1, 2, 3, 4]] {
        assert_eq!(open_with_socket(descriptors, told), ["descriptors"], "{descriptors:?}");
    }
    for environ in ["K=v\0".to_owned(), told.replace("PID=2", "PID=4711"), told.replace("web", "x")] {
        assert_eq!(open_with_socket(&[0, 1, 2, 3], &environ), ["environment"], "{environ:?}");
    }
}

#[test]
fn ids_are_compared_as_seen_from_outside() {
    let range = Range::new(0x7000_0000).unwrap();
    let seen = |uid_map: &str| {
        let mut steps = steps();
        steps.push(Step::UserNamespace { range, owners: Owners::default() });
        let id = |inside: u32| range.outside(Ids { uid: inside, gid: inside }).uid.to_string();
        let four = [id(33).as_str(); 4].join(" ");
        let status = format!("Uid:\t{four}\nGid:\t{four}\nGroups:\t{}\n", id(4));
        let mut seen = process(("", ""));
        seen.processes[0].namespaces.insert("user", "inner".into());
        let texts = &mut seen.processes[0].texts;
        texts.insert("status", status);
        texts.insert("gid_map", "0 1879048192 4095\n65534 1879052287 1\n".into());
        texts.insert("uid_map", uid_map.into());
        let mut promises: Vec<Promise> =
            ["ids", "groups", "namespaces"].map(|name| Promise::new("g", name, "t")).into();
        outside::judge(&plan(steps), &seen, &mut promises);
        promises.iter().filter(|p| p.verdict() == Verdict::Open).map(|p| p.name).collect::<Vec<_>>()
    };
    assert_eq!(seen("         0 1879048192       4095\n     65534 1879052287          1\n"), [""; 0]);
    assert_eq!(seen("0 0 4294967295\n"), ["ids"]);
}

#[test]
fn limits_of_ports_are_tried_on_both_sides() {
    let mut steps = steps();
    let ports = TcpPorts { bind: Some(vec![0, 2001]), connect: Some(vec![2001]) };
    steps.push(Step::LandlockRules { abi: 6, rules: Vec::new(), ports });
    steps.push(Step::PortFilter);
    steps.push(Step::CheckMounts(Vec::new()));
    let plan = plan(steps);
    let promises = expect::promises(&plan, &expect::World::default());
    let ports = promises.iter().find(|p| p.name == "ports").unwrap();
    let judge = |what: &str| ports.attempts.iter().find(|a| a.what == what).map(|a| &a.judge);
    for what in ["bind the listed port 0", "bind the listed port 2001", "connect to the listed port 2001"] {
        assert!(matches!(judge(what), Some(Judge::NotRefusedWith(1, _))), "{what}");
    }
    for what in ["bind TCP port 2000", "bind TCP port 2002 by IPv6", "bind port 1023 by MPTCP"] {
        assert!(matches!(judge(what), Some(Judge::RefusedWith(1, _))), "{what}");
    }
    for way in ["TCP port 2002", "port 2002 by MPTCP", "port 2002 by Fast Open"] {
        assert!(matches!(judge(&format!("connect to {way}")), Some(Judge::RefusedWith(1, _))), "{way}");
    }
    assert!(judge("bind TCP port 0").is_none() && judge("bind TCP port 2001").is_none());
    // The prober installs both filters itself.
    let probed = prober::plan(&plan);
    assert!(!probed.steps.iter().any(|p| p.step == Step::PortFilter));
    assert!(prober::install_for_ports(&plan).is_some_and(|batch| batch.encode(true).is_some()));
    assert!(prober::install_for_ports(&probed).is_none());
}

#[test]
fn what_is_not_seen_does_not_hold() {
    let mut promises: Vec<Promise> = NAMES.iter().map(|name| Promise::new("g", name, "t")).collect();
    outside::judge(&plan(steps()), &Observation::default(), &mut promises);
    assert!(promises.iter().all(|p| p.verdict() == Verdict::Open));
}

#[test]
fn an_operation_is_not_a_call_unless_it_is_one() {
    let mut batch = Batch::default();
    let address = batch.words(&[Arg::Number(1), Arg::Data(0)]);
    batch.operation(Entry::Run, 0, &[address]);
    assert_eq!(batch.len(), 3, "two stores and the run");
}
