//! Each rule with a spec that has what it looks for, and one that has not.
#![forbid(unsafe_code)]

use super::super::rules::RULES;
use super::super::{Finding, Score};
use super::judged;
use crate::jail::resolve::Feature;

/// What a rule found: what, points, the text at the place, separated by bars.
#[track_caller]
fn found(rule: &str, text: &str, without: &[Feature]) -> Vec<String> {
    let (report, sources) = judged(text, without);
    let of_rule = report.findings.iter().filter(|f| f.rule.name == rule);
    let line = |f: &Finding| {
        let place = f.at.and_then(|at| sources.text(at)).unwrap_or("default");
        format!("{} | {} | {} | {place}", f.what, Score(f.points()), f.key)
    };
    of_rule.map(line).collect()
}

/// Rule, a spec that has what it looks for, all that it then finds, and a spec that has not.
type Case = (&'static str, &'static str, &'static [&'static str], &'static str);

const CASES: &[Case] = &[
    (
        "root",
        "process.user = \"root\"",
        &["runs as root | 2.5 | process.user | \"root\""],
        "process.user = \"auto\"",
    ),
    (
        "user-of-the-host",
        "process.user = \"nobody\"",
        &["runs as nobody, a user of the host | 0.4 | process.user | \"nobody\""],
        "process.user = \"root\"",
    ),
    (
        "user-of-the-host",
        "process.user = \"redis\"",
        &["runs as redis, a user of the host | 0.1 | process.user | \"redis\""],
        "",
    ),
    (
        "groups",
        "process.groups = [\"docker\", \"web\"]\nprocess.group = \"root\"",
        &[
            "is a member of the group docker | 2.0 | process.groups | \"docker\"",
            "is a member of the group root | 0.8 | process.group | \"root\"",
            "is a member of the group web | 0.1 | process.groups | \"web\"",
        ],
        "process.group = \"web\"",
    ),
    (
        "capabilities",
        "privileges.capabilities = [\"NET_BIND_SERVICE\", \"cap_sys_admin\"]",
        &[
            "has CAP_SYS_ADMIN | 3.0 | privileges.capabilities | \"cap_sys_admin\"",
            "has CAP_NET_BIND_SERVICE | 0.1 | privileges.capabilities | \"NET_BIND_SERVICE\"",
        ],
        "",
    ),
    (
        "root-directory",
        "files.root = \"/srv/image\"",
        &["its root is the host directory /srv/image, read-only | 0.2 | files.root | \"/srv/image\""],
        "files.read = [\"/srv/image\"]",
    ),
    (
        "root-directory",
        "files.root = { path = \"/srv/image\", write = true }",
        &[
            "its root is the host directory /srv/image, writable | 1.0 | files.root | { path = \"/srv/image\", write = true }",
        ],
        "files.root = \"skeleton\"",
    ),
    (
        "shown",
        "files.read = [\"/home/u/site\", \"/home/u2\", \"/etc\", \"/usr\", \"/var/lib/docker/x\", \"/srv/x\"]",
        &[
            "shows /etc | 0.8 | files.read | \"/etc\"",
            "shows /home/u2 | 0.8 | files.read | \"/home/u2\"",
            "shows /var/lib/docker/x | 0.8 | files.read | \"/var/lib/docker/x\"",
            "shows /home/u/site | 0.2 | files.read | \"/home/u/site\"",
        ],
        "files.read = [\"/usr\", \"/etc/nginx\", \"/srv/home\", \"/var/log/x\"]",
    ),
    (
        "shown",
        "files.read = [\"/etc/shadow\"]",
        &["shows a copy of /etc/shadow | 1.5 | files.read | \"/etc/shadow\""],
        "files.read = [\"/etc/hosts\"]",
    ),
    ("shown", "files.root = \"/\"", &["shows / | 2.0 | files.root | \"/\""], "files.root = \"/srv/image\""),
    (
        "sockets",
        "files.read = [{ path = \"/run\", at = \"/host\" }]",
        &[
            "can connect to /run/docker.sock and 7 more, if the host has it | 3.0 | files.read | { path = \"/run\", at = \"/host\" }",
        ],
        "files.tmpfs = [\"/run\"]",
    ),
    (
        "sockets",
        "files.read = [{ path = \"/run/app.sock\", bind = true }]",
        &["can connect to /run/app.sock | 0.1 | files.read | { path = \"/run/app.sock\", bind = true }"],
        "files.read = [\"/run/app\"]",
    ),
    (
        "writable",
        "files.write = [\"/etc\", \"/etc/redis\", \"/var/log/x\"]",
        &[
            "may write to the host's /etc | 1.5 | files.write | \"/etc\"",
            "may write to the host's /var/log/x | 0.1 | files.write | \"/var/log/x\"",
        ],
        "files.tmpfs = [\"/var/log/x\"]",
    ),
    (
        "writable-and-executable",
        "files.write = [{ path = \"/srv/x\", exec = true }, \"/srv/y\"]\nfiles.tmpfs = [{ path = \"/tmp\", exec = true }]",
        &[
            "may execute what it writes to the host's /srv/x | 0.8 | files.write | { path = \"/srv/x\", exec = true }",
            "may execute what it writes to /tmp | 0.8 | files.tmpfs | { path = \"/tmp\", exec = true }",
        ],
        "files.write = [\"/srv/x\"]\nfiles.tmpfs = [\"/tmp\"]\nfiles.read = [\"/usr\"]",
    ),
    (
        "set-id-files",
        "files.write = [\"/srv/x\", \"/srv/y\"]",
        &["may leave set-id files of its user on the host | 0.1 | files.write | \"/srv/x\""],
        "files.tmpfs = [\"/srv/x\"]",
    ),
    (
        "umask",
        "files.write = [\"/srv/x\"]\nprocess.umask = \"0002\"",
        &["files it makes on the host are readable by all | 0.1 | process.umask | \"0002\""],
        "files.write = [\"/srv/x\"]\nprocess.umask = \"0027\"",
    ),
    (
        "umask",
        "files.write = [\"/srv/x\"]",
        &["files it makes on the host are readable by all | 0.1 | process.umask | default"],
        "process.umask = \"0000\"",
    ),
    (
        "interpreters",
        "files.read = [\"/usr\"]",
        &["can execute the shells and interpreters of /usr/bin | 0.4 | files.read | \"/usr\""],
        "files.read = [\"/usr/lib\", { path = \"/usr/bin\", exec = false }]",
    ),
    (
        "follow",
        "files.read = [{ path = \"/srv/x\", follow = true }]",
        &[
            "follows links to /srv/x that others can make | 0.3 | files.read | { path = \"/srv/x\", follow = true }",
        ],
        "files.read = [\"/srv/x\"]",
    ),
    (
        "devices",
        "files.dev = [\"null\", \"net/tun\", \"nvme0n1\", \"pts\", \"ttyS0\", \"unheard-of\"]",
        &[
            "may use the device /dev/nvme0n1 | 2.0 | files.dev | \"nvme0n1\"",
            "may use the device /dev/ttyS0 | 0.5 | files.dev | \"ttyS0\"",
            "may use the device /dev/net/tun | 0.4 | files.dev | \"net/tun\"",
            "may use the device /dev/unheard-of | 0.2 | files.dev | \"unheard-of\"",
            "has terminals of its own | 0.1 | files.dev | \"pts\"",
        ],
        "files.dev = [\"null\", \"tty\"]",
    ),
    (
        "proc",
        "files.proc = \"full\"",
        &["sees all of /proc | 0.4 | files.proc | \"full\""],
        "files.proc = \"pid\"",
    ),
    (
        "host-network",
        "network.mode = \"host\"",
        &["is in the host's network | 0.5 | network.mode | \"host\""],
        "network.mode = \"none\"",
    ),
    (
        "addresses",
        "",
        &["may connect to any address | 0.2 | network.mode | default"],
        "network.mode = \"none\"",
    ),
    (
        "socket-families",
        "",
        &["netlink sockets, beside unix and IP | 0.1 | privileges.system-calls | default"],
        "privileges.system-calls = [\"-socket\"]",
    ),
    (
        "system-calls",
        "privileges.system-calls = [\"@service\", \"@debug\", \"+unshare\", \"keyctl\", \"bpf\", \"@clock\"]",
        &[
            "may make unshare of @namespace | 1.0 | privileges.system-calls | \"+unshare\"",
            "may make the calls of @bpf | 0.8 | privileges.system-calls | \"bpf\"",
            "may make the calls of @debug | 0.6 | privileges.system-calls | \"@debug\"",
            "may make keyctl of @keyring | 0.4 | privileges.system-calls | \"keyctl\"",
            "may make the calls of @clock | 0.3 | privileges.system-calls | \"@clock\"",
        ],
        "privileges.system-calls = [\"@service\", \"capset\", \"@debug\", \"-@debug\"]",
    ),
    (
        "write-execute",
        "privileges.memory-deny-write-execute = false",
        &["memory may be writable and executable | 0.4 | privileges.memory-deny-write-execute | false"],
        "privileges.memory-deny-write-execute = true",
    ),
    (
        "namespaces",
        "privileges.share-namespaces = [\"uts\", \"pid\", \"ipc\", \"cgroup\"]",
        &[
            "shares the host's pid namespace | 0.8 | privileges.share-namespaces | \"pid\"",
            "shares the host's ipc namespace | 0.3 | privileges.share-namespaces | \"ipc\"",
            "shares the host's uts namespace | 0.1 | privileges.share-namespaces | \"uts\"",
            "shares the host's cgroup namespace | 0.1 | privileges.share-namespaces | \"cgroup\"",
        ],
        "",
    ),
    (
        "memory",
        "",
        &["no limit on memory | 0.2 | process.rlimits | default"],
        "process.rlimits = { as = \"1G\" }",
    ),
    (
        "memory",
        "process.rlimits = { data = \"unlimited\" }",
        &["no limit on memory | 0.2 | process.rlimits | default"],
        "process.rlimits = { data = \"1G\" }",
    ),
    (
        "tasks",
        "",
        &["no limit on processes | 0.1 | process.rlimits | default"],
        "process.rlimits = { nproc = 64 }",
    ),
    (
        "core-dumps",
        "process.rlimits = { core = \"unlimited\" }",
        &["may dump core | 0.2 | process.rlimits | core"],
        "process.rlimits = { core = 0 }",
    ),
    (
        "callers-environment",
        "process.keep-env = [\"TERM\", \"LD_PRELOAD\", \"db_password\"]",
        &[
            "keeps LD_PRELOAD of the caller's environment | 0.5 | process.keep-env | \"LD_PRELOAD\"",
            "keeps db_password of the caller's environment | 0.3 | process.keep-env | \"db_password\"",
            "keeps TERM of the caller's environment | 0.1 | process.keep-env | \"TERM\"",
        ],
        "process.env = { TERM = \"dumb\" }",
    ),
    (
        "out-of-memory",
        "process.oom-score-adjust = -500",
        &["is spared when memory runs out | 0.1 | process.oom-score-adjust | -500"],
        "process.oom-score-adjust = 500",
    ),
];

/// Rules that look for what only `--without` gives up, or for how a jail is started.
const WITHOUT: &[(&str, Feature, &str)] = &[
    ("landlock", Feature::Landlock, "no second wall around the file tree | 0.6 |  | default"),
    ("no-filter", Feature::Seccomp, "no system-call filter | 2.5 | privileges.system-calls | default"),
    (
        "socket-families",
        Feature::Seccomp,
        "sockets of every family | 0.5 | privileges.system-calls | default",
    ),
    ("session", Feature::Session, "no session of its own | 0.3 |  | default"),
    ("keyring", Feature::Keyring, "no keyring of its own | 0.3 |  | default"),
    (
        "write-execute",
        Feature::MemoryDenyWriteExecute,
        "memory may be writable and executable | 0.4 | privileges.memory-deny-write-execute | default",
    ),
];

#[test]
fn each_rule_finds_what_it_looks_for_and_nothing_else() {
    for (rule, open, expected, tight) in CASES {
        let (mut is, mut should) = (found(rule, open, &[]), expected.to_vec());
        // What is of the same weight stands in the order of the plan.
        is.sort_unstable();
        should.sort_unstable();
        assert_eq!(is, should, "{rule}: {open}");
        let none: [&str; 0] = [];
        assert_eq!(found(rule, tight, &[]), none, "{rule}: {tight}");
    }
    for (rule, feature, expected) in WITHOUT {
        // The session is a question only where no pid namespace is made.
        let text = "privileges.share-namespaces = [\"pid\"]";
        assert_eq!(found(rule, text, &[*feature]), [*expected], "{rule}");
        assert!(!found(rule, text, &[]).contains(&(*expected).to_owned()), "{rule}");
    }
}

#[test]
fn every_rule_has_a_case() {
    let special = ["callers-groups", "ids-of-the-host"];
    for rule in RULES {
        let tested = CASES.iter().any(|case| case.0 == rule.name)
            || WITHOUT.iter().any(|case| case.0 == rule.name)
            || special.contains(&rule.name);
        assert!(tested, "{}", rule.name);
    }
}
