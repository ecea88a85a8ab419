//! Keys of `[files]`.
#![forbid(unsafe_code)]

use super::{About, Key, Kind, words};
use crate::spec::Proc;

const TABLE: &str = "files";
const SINCE: &str = "0.1";

/// `[files]`, in the order of the reference.
pub static FILES: &[Key] = &[
    Key {
        about: About {
            table: TABLE,
            name: "root",
            kind: Kind::Root,
            default: "skeleton",
            example: r#""/srv/images/app""#,
            doc: "what `/` is: an empty skeleton filled by the other keys, or a host directory",
            more: "A directory is an unpacked image. It is shown read-only unless { path = \"...\", write = true }.",
            since: SINCE,
        },
        set: |spec, reader, item| spec.files.root = reader.root(item),
    },
    Key {
        about: About {
            table: TABLE,
            name: "read",
            kind: Kind::PathEntries,
            default: "none",
            example: r#"["/usr", "/etc/nginx", { path = "/etc/pki", optional = true }]"#,
            doc: "host paths shown read-only",
            more: "A directory is bound, with everything mounted below it. A regular file is copied, and \
                   the copy replaced within a second when the host's file changes (not with share-namespaces = [\"pid\"]). \
                   In a `root` that is a directory it is mounted instead, on a file that is there. Symbolic links on the way are mirrored. Prefer directories to files, \
                   and few to many; never all of /etc.",
            since: SINCE,
        },
        set: |spec, reader, item| reader.path_entries(item, false, &mut spec.files.read),
    },
    Key {
        about: About {
            table: TABLE,
            name: "write",
            kind: Kind::PathEntries,
            default: "none",
            example: r#"["/var/log/nginx", { path = "/var/lib/app", create = "0750" }]"#,
            doc: "host directories shown writable",
            more: "Never executable, unless the entry says `exec = true`. File modes still count: the user must be \
                   allowed to write there. What is written stays on the host.",
            since: SINCE,
        },
        set: |spec, reader, item| reader.path_entries(item, true, &mut spec.files.write),
    },
    Key {
        about: About {
            table: TABLE,
            name: "tmpfs",
            kind: Kind::TmpfsEntries,
            default: "none",
            example: r#"["/tmp", { path = "/run", directories = ["nginx"] }]"#,
            doc: "fresh memory file systems, writable, gone at the end",
            more: "16 MiB and 4096 files unless the entry says otherwise. Owned by the process user.",
            since: SINCE,
        },
        set: |spec, reader, item| reader.tmpfs_entries(item, &mut spec.files.tmpfs),
    },
    Key {
        about: About {
            table: TABLE,
            name: "text",
            kind: Kind::TextEntries,
            default: "none",
            example: r#"[{ path = "/etc/motd", content = "in a jail\n" }]"#,
            doc: "small files whose content is in the spec",
            more: "",
            since: SINCE,
        },
        set: |spec, reader, item| reader.text_entries(item, &mut spec.files.text),
    },
    Key {
        about: About {
            table: TABLE,
            name: "link",
            kind: Kind::LinkEntries,
            default: "none",
            example: r#"[{ path = "/dev/log", to = "/run/systemd/journal/dev-log" }]"#,
            doc: "symbolic links",
            more: "The usual ones (/bin, /lib, /var/run) are there when their targets are.",
            since: SINCE,
        },
        set: |spec, reader, item| reader.link_entries(item, &mut spec.files.link),
    },
    Key {
        about: About {
            table: TABLE,
            name: "dev",
            kind: Kind::Strings,
            default: "null zero full random urandom tty shm",
            example: r#"["net/tun"]"#,
            doc: "device nodes beyond the basic ones, relative to /dev",
            more: "`none` takes the basic ones away; apache2, haproxy, sshd and many others then fail with no or \
                   misleading messages. `pts` adds terminals of its own (sshd).",
            since: SINCE,
        },
        set: |spec, reader, item| spec.files.dev.extend(reader.strings(item)),
    },
    Key {
        about: About {
            table: TABLE,
            name: "proc",
            kind: Kind::Words(words::<Proc>),
            default: "pid",
            example: r#""full""#,
            doc: "how much of /proc is there",
            more: "Always read-only, for /proc/self/mem could change the program's own code. `pid`: process \
                   directories only, and only the jail's own. `full`: all of it (node counts no CPUs \
                   without). `none`: no /proc.",
            since: SINCE,
        },
        set: |spec, reader, item| spec.files.proc = reader.word(item),
    },
    Key {
        about: About {
            table: TABLE,
            name: "exec",
            kind: Kind::Strings,
            default: "whatever is shown",
            example: r#"["/usr/bin/logger", "/usr/lib/git-core"]"#,
            doc: "the only programs that may be executed, beside the command",
            more: "Paths inside, of programs or of directories of them; an empty list is the command alone. The ELF \
                   interpreters and the interpreters of scripts are added by themselves. Landlock enforces it, so \
                   libraries need no entry. What can be read can still be loaded: an attacker who controls a program \
                   can have its ELF interpreter (ld.so) load another one that `read` shows, with the same rights. \
                   To have no shell at all, show no directory that has one.",
            since: SINCE,
        },
        set: |spec, reader, item| spec.files.exec.get_or_insert_default().extend(reader.strings(item)),
    },
];
