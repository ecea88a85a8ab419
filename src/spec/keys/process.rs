//! Keys of `[process]`.
#![forbid(unsafe_code)]

use super::{About, Key, Kind};
use crate::spec::value::{NICE, OOM_SCORE_ADJUST};

const TABLE: &str = "process";
const SINCE: &str = "0.1";

/// `[process]`, in the order of the reference.
pub static PROCESS: &[Key] = &[
    Key {
        about: About {
            table: TABLE,
            name: "command",
            kind: Kind::Strings,
            default: "",
            example: r#"["/usr/sbin/nginx", "-g", "daemon off;"]"#,
            doc: "program and arguments",
            more: "No shell is involved: each string is one argument. The program must stay in the \
                   foreground; a daemon that forks away ends the jail, see `forking`. An including spec replaces the \
                   whole list.",
            since: SINCE,
        },
        set: |spec, reader, item| spec.process.command = reader.command(item),
    },
    Key {
        about: About {
            table: TABLE,
            name: "user",
            kind: Kind::String,
            default: "auto",
            example: r#""www-data""#,
            doc: "who it runs as: a name, a number, or `auto`",
            more: "`auto` is a stable user id of the jail's own, which owns nothing on the host. The program \
                   is this user from its first instruction, so remove `user` lines from its configuration.",
            since: SINCE,
        },
        set: |spec, reader, item| spec.process.user = reader.string(item),
    },
    Key {
        about: About {
            table: TABLE,
            name: "group",
            kind: Kind::String,
            default: "the user's own group",
            example: r#""www-data""#,
            doc: "main group: a name or a number",
            more: "",
            since: SINCE,
        },
        set: |spec, reader, item| spec.process.group = reader.string(item),
    },
    Key {
        about: About {
            table: TABLE,
            name: "groups",
            kind: Kind::Strings,
            default: "none",
            example: r#"["ssl-cert"]"#,
            doc: "supplementary groups",
            more: "Only these: neither the caller's groups nor those of the user in /etc/group are taken over.",
            since: SINCE,
        },
        set: |spec, reader, item| spec.process.groups.extend(reader.strings(item)),
    },
    Key {
        about: About {
            table: TABLE,
            name: "umask",
            kind: Kind::Octal,
            default: "0022",
            example: r#""0027""#,
            doc: "permission bits taken away from files it makes",
            more: "A string, because TOML has no leading zeros. At most \"0777\".",
            since: SINCE,
        },
        set: |spec, reader, item| spec.process.umask = reader.octal(item, 0o777),
    },
    Key {
        about: About {
            table: TABLE,
            name: "cwd",
            kind: Kind::String,
            default: "/",
            example: r#""/srv/app""#,
            doc: "working directory, inside the jail",
            more: "",
            since: SINCE,
        },
        set: |spec, reader, item| spec.process.cwd = reader.string(item),
    },
    Key {
        about: About {
            table: TABLE,
            name: "env",
            kind: Kind::Environment,
            default: "PATH only",
            example: r#"{ LANG = "C.UTF-8", PORT = "8080" }"#,
            doc: "environment variables",
            more: "Values are strings, numbers too: PORT = \"8080\". Nothing else of the caller's environment \
                   is seen inside.",
            since: SINCE,
        },
        set: |spec, reader, item| reader.environment(item, &mut spec.process.env),
    },
    Key {
        about: About {
            table: TABLE,
            name: "keep-env",
            kind: Kind::Strings,
            default: "none",
            example: r#"["TERM", "LANG"]"#,
            doc: "variables taken over from the caller, by name",
            more: "A variable that the caller has not set is not set inside either.",
            since: SINCE,
        },
        set: |spec, reader, item| spec.process.keep_env.extend(reader.variables(item)),
    },
    Key {
        about: About {
            table: TABLE,
            name: "stop-signal",
            kind: Kind::String,
            default: "TERM",
            example: r#""QUIT""#,
            doc: "what SIGTERM to jail becomes",
            more: "Many servers have a gentler signal than TERM: QUIT for nginx and php-fpm, INT for PostgreSQL, \
                   WINCH for apache2.",
            since: SINCE,
        },
        set: |spec, reader, item| spec.process.stop_signal = reader.string(item),
    },
    Key {
        about: About {
            table: TABLE,
            name: "reload-signal",
            kind: Kind::String,
            default: "HUP",
            example: r#""USR2""#,
            doc: "what SIGHUP to jail becomes",
            more: "",
            since: SINCE,
        },
        set: |spec, reader, item| spec.process.reload_signal = reader.string(item),
    },
    Key {
        about: About {
            table: TABLE,
            name: "stop-timeout",
            kind: Kind::Duration,
            default: "30s",
            example: r#""30s""#,
            doc: "how long after the stop signal it is killed",
            more: "\"500ms\", \"30s\", \"2m\", \"1h\"; \"0\" never kills.",
            since: SINCE,
        },
        set: |spec, reader, item| spec.process.stop_timeout = reader.duration(item),
    },
    Key {
        about: About {
            table: TABLE,
            name: "nice",
            kind: Kind::Integer(*NICE.start(), *NICE.end()),
            default: "0",
            example: "5",
            doc: "scheduling priority; lower is more",
            more: "Always set, so that the caller's does not leak in.",
            since: SINCE,
        },
        set: |spec, reader, item| spec.process.nice = reader.integer(item, &NICE),
    },
    Key {
        about: About {
            table: TABLE,
            name: "oom-score-adjust",
            kind: Kind::Integer(*OOM_SCORE_ADJUST.start(), *OOM_SCORE_ADJUST.end()),
            default: "the caller's",
            example: "500",
            doc: "who is killed first when memory runs out; higher is sooner",
            more: "Lowering it needs CAP_SYS_RESOURCE in the caller.",
            since: SINCE,
        },
        set: |spec, reader, item| spec.process.oom_score_adjust = reader.integer(item, &OOM_SCORE_ADJUST),
    },
    Key {
        about: About {
            table: TABLE,
            name: "rlimits",
            kind: Kind::Rlimits,
            default: "core = 0, else the caller's",
            example: r#"{ nofile = 4096, memlock = "64K", core = "unlimited", nproc = { soft = 64, hard = 128 } }"#,
            doc: "resource limits of setrlimit(2), by name",
            more: "Names: cpu fsize data stack core rss nproc nofile memlock as locks sigpending msgqueue nice \
                   rtprio rttime. One value sets soft and hard limit. nproc counts all processes of the user on \
                   the host, not only those of the jail.",
            since: SINCE,
        },
        set: |spec, reader, item| reader.rlimits(item, &mut spec.process.rlimits),
    },
    Key {
        about: About {
            table: TABLE,
            name: "terminal",
            kind: Kind::Boolean,
            default: "false",
            example: "true",
            doc: "give it a terminal of its own when the caller has one",
            more: "Never the caller's own terminal: a program could push input into it.",
            since: SINCE,
        },
        set: |spec, reader, item| spec.process.terminal = reader.boolean(item),
    },
    Key {
        about: About {
            table: TABLE,
            name: "forking",
            kind: Kind::Boolean,
            default: "true with `main-pid-file`, else false",
            example: "true",
            doc: "it daemonises: its first process ends when the others are ready",
            more: "If that ends with status 0 the jail stays until the last of the others ends, whose status \
                   is the jail's. Signals then go to each process that the first one left without a parent. \
                   A program in the foreground is better looked after.",
            since: SINCE,
        },
        set: |spec, reader, item| spec.process.forking = reader.boolean(item),
    },
    Key {
        about: About {
            table: TABLE,
            name: "main-pid-file",
            kind: Kind::String,
            default: "none",
            example: r#""/run/redis/redis-server.pid""#,
            doc: "where a program that daemonises writes the number of its main process, inside",
            more: "Read with the program's own rights when its first process has ended, and again when the \
                   main process has: signals go to that process alone, and its end ends the jail. What is \
                   left then gets the stop signal, and is killed after `stop-timeout`. Only a process of the \
                   jail is believed.",
            since: SINCE,
        },
        set: |spec, reader, item| spec.process.main_pid_file = reader.string(item),
    },
];
