//! Keys of the top level and of `[privileges]`.
#![forbid(unsafe_code)]

use super::{About, Key, Kind, words};
use crate::spec::SystemCallAction;

const SINCE: &str = "0.1";

/// The top level.
pub static TOP: &[Key] = &[
    Key {
        about: About {
            table: "",
            name: "description",
            kind: Kind::String,
            default: "none",
            example: r#""nginx: static files and reverse proxy""#,
            doc: "one line for `jail specs`",
            more: "",
            since: SINCE,
        },
        set: |spec, reader, item| spec.description = reader.line(item),
    },
    Key {
        about: About {
            table: "",
            name: "include",
            kind: Kind::Strings,
            default: "none",
            example: r#"["tls", "dns", "./common.toml"]"#,
            doc: "building blocks or specs that this one adds to",
            more: "A name is looked up in `blocks` beside this file, ./jails.d/blocks, /etc/jails.d/blocks and the \
                   built-in blocks, then among the specs. With a `/` it is a path relative to this file. Lists \
                   append, tables merge, single values of this file win.",
            since: SINCE,
        },
        set: |spec, reader, item| spec.include.extend(reader.strings(item)),
    },
];

/// `[privileges]`.
pub static PRIVILEGES: &[Key] = &[
    Key {
        about: About {
            table: "privileges",
            name: "capabilities",
            kind: Kind::Strings,
            default: "none",
            example: r#"["NET_BIND_SERVICE"]"#,
            doc: "capabilities that it keeps, without CAP_",
            more: "NET_BIND_SERVICE (ports below 1024) is all that most servers ever need when they do not start \
                   as root.",
            since: SINCE,
        },
        set: |spec, reader, item| spec.privileges.capabilities.extend(reader.strings(item)),
    },
    Key {
        about: About {
            table: "privileges",
            name: "system-calls",
            kind: Kind::Strings,
            default: r#"["@service"]"#,
            example: r#"["@service", "-@debug", "+io_uring"]"#,
            doc: "system calls that it may make: groups, names, and removals with `-`",
            more: "Applied in the order of writing; `jail help @service` shows a group. A call outside the list \
                   fails with EPERM, see `system-call-action`; one that is newer than the list with ENOSYS, so \
                   that libc falls back. Some calls are allowed with harmless arguments only. `unshare` is in no \
                   default, because it makes namespaces. A spec that writes a list has that and not the default; \
                   NAME.local.toml and --system-calls add to the spec's list, or to @service where it has none.",
            since: SINCE,
        },
        set: |spec, reader, item| spec.privileges.system_calls.extend(reader.strings(item)),
    },
    Key {
        about: About {
            table: "privileges",
            name: "system-call-action",
            kind: Kind::Words(words::<SystemCallAction>),
            default: "errno",
            example: r#""kill""#,
            doc: "what is done about a refused system call",
            more: "`errno`: it fails with EPERM; servers try calls that they can do without. `kill`: it ends the \
                   program with SIGSYS, and so does a call through the 32-bit or x32 entry; what an older kernel \
                   lacks (newer calls, clone3, socket families) still fails only, because libc asks for it. `log`: \
                   it is done, and the kernel logs it (audit or dmesg): to find out what a program calls. The list \
                   is then no wall, and the plan shows the filter as given up.",
            since: SINCE,
        },
        set: |spec, reader, item| spec.privileges.system_call_action = reader.word(item),
    },
    Key {
        about: About {
            table: "privileges",
            name: "socket-families",
            kind: Kind::Strings,
            default: r#"["unix", "inet", "inet6", "netlink"]"#,
            example: r#"["unix", "inet"]"#,
            doc: "kinds of sockets that it may make, without AF_",
            more: "Others fail with EAFNOSUPPORT. `netlink` is its route protocol alone, by which libc asks for \
                   interfaces; `netlink-all` is all of netlink. An empty list allows no socket at all; one that is \
                   passed in can still be served. Enforced by the system-call filter.",
            since: SINCE,
        },
        set: |spec, reader, item| {
            spec.privileges.socket_families.get_or_insert_default().extend(reader.strings(item));
        },
    },
    Key {
        about: About {
            table: "privileges",
            name: "share-namespaces",
            kind: Kind::Strings,
            default: "none",
            example: r#"["pid"]"#,
            doc: "namespaces shared with the host: pid, ipc, uts, cgroup",
            more: "With \"pid\" the program is executed in place of jail, and no helper process stays.",
            since: SINCE,
        },
        set: |spec, reader, item| spec.privileges.share_namespaces.extend(reader.strings(item)),
    },
    Key {
        about: About {
            table: "privileges",
            name: "user-namespace",
            kind: Kind::Boolean,
            default: "false",
            example: "true",
            doc: "uid 0 inside is a range of unprivileged ids of the jail's own outside",
            more: "For programs that insist on root. Without `user`, or as `auto`, it runs as uid 0 inside; ids 0 \
                   to 4094 and 65534 exist. In `write` directories the owners of the directories themselves \
                   are the same inside; what root or others make belongs to the range; the host's root is \
                   nobody. `jail plan` shows the range. Capabilities are over the jail's own files and \
                   processes alone. Only root can make such a jail.",
            since: SINCE,
        },
        set: |spec, reader, item| spec.privileges.user_namespace = reader.boolean(item),
    },
    Key {
        about: About {
            table: "privileges",
            name: "memory-deny-write-execute",
            kind: Kind::Boolean,
            default: "true",
            example: "false",
            doc: "memory is never writable and executable",
            more: "Just-in-time compilers need false: node, Java, .NET, and PostgreSQL unless `jit = off`.",
            since: SINCE,
        },
        set: |spec, reader, item| spec.privileges.memory_deny_write_execute = reader.boolean(item),
    },
];
