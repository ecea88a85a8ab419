//! Golden messages about values of the right type that cannot be.

use super::{bad, good, read};

#[test]
fn commands_are_lists() {
    bad(
        "[process]\ncommand = \"/usr/bin/x -a\"\n",
        r#"
jail: `command` in [process] must be a list of strings, not a string
  --> t.toml:2:11    command = "/usr/bin/x -a"
  help: write it as a list, one string for each argument; no shell is involved
  help: for example: command = ["/usr/bin/x", "-a"]
"#,
    );
    bad(
        "[process]\ncommand = []\n",
        r#"
jail: `command` in [process] is empty: it must name at least the program
  --> t.toml:2:11    command = []
  help: for example: command = ["/usr/sbin/nginx", "-g", "daemon off;"]
"#,
    );
    let (spec, problems, _) = read("[process]\ncommand = [\"/bin/x\", 3, \"a\\u0000\"]\n");
    assert_eq!((spec.process.command, problems.0.len()), (None, 2));
    let spec = good("[process]\ncommand = [\"/bin/echo\", \"\"]\n");
    assert_eq!(spec.process.command.unwrap().value, ["/bin/echo", ""]);
}

#[test]
fn modes_are_strings() {
    bad(
        "[process]\numask = 27\n",
        r#"
jail: `umask` in [process] must be an octal string, not an integer
  --> t.toml:2:9    umask = 27
  help: TOML would read it as decimal; write a string, for example: umask = "0027"
"#,
    );
    bad(
        "[process]\numask = \"1022\"\n",
        r#"
jail: `umask` in [process] must be octal digits, at most 0777, not `1022`
  --> t.toml:2:9    umask = "1022"
  help: for example: umask = "0027"
"#,
    );
    bad(
        "[files]\nwrite = [{ path = \"/srv\", create = 0750 }]\n",
        r#"
jail: `0750` has a leading zero
  --> t.toml:2:36    write = [{ path = "/srv", create = 0750 }]
  help: write file modes as strings: "0750"
"#,
    );
}

#[test]
fn values_out_of_bounds() {
    bad(
        "[process]\nnice = 20\nstop-timeout = \"5 minutes\"\n[network]\nmode = \"hots\"\n",
        r#"
jail: `nice` in [process] must be an integer from -20 to 19, not 20
  --> t.toml:2:8    nice = 20
  help: for example: nice = 5
jail: `stop-timeout` in [process] must be a duration such as 500ms, 30s, 2m, 1h or 0, not `5 minutes`
  --> t.toml:3:16    stop-timeout = "5 minutes"
  help: for example: stop-timeout = "30s"
jail: `mode` in [network] must be one of host, none, not `hots`
  --> t.toml:5:8    mode = "hots"
  help: did you mean "host"?
"#,
    );
    bad(
        "[files]\ntmpfs = [{ path = \"/t\", size = 0 }, { path = \"/u\", inodes = 0, size = \"12 parsecs\" }]\n",
        r#"
jail: `size` in a tmpfs entry must be more than 0
  --> t.toml:2:32    tmpfs = [{ path = "/t", size = 0 }, { path = "/u", inodes = 0, size = "12 parsecs" }]
  help: for example: size = "64M"
jail: `inodes` in a tmpfs entry must be an integer from 1, not 0
  --> t.toml:2:61    tmpfs = [{ path = "/t", size = 0 }, { path = "/u", inodes = 0, size = "12 parsecs" }]
  help: for example: inodes = 1000
jail: `size` in a tmpfs entry must be a size such as 64K, 512M, 1.5G or a number of bytes, not `12 parsecs`
  --> t.toml:2:71    tmpfs = [{ path = "/t", size = 0 }, { path = "/u", inodes = 0, size = "12 parsecs" }]
  help: for example: size = "64M"
"#,
    );
    bad(
        "[process]\nuser = \"\"\ngroup = \"a\\u0000b\"\n",
        r#"
jail: `user` in [process] is empty
  --> t.toml:2:8    user = ""
  help: for example: user = "www-data"
jail: `group` in [process] contains a NUL byte
  --> t.toml:3:9    group = "a\u0000b"
  help: for example: group = "www-data"
"#,
    );
}

#[test]
fn entries_must_be_whole() {
    bad(
        "[files]\nread = [{ at = \"/x\" }, 5]\nlink = [\"/a\"]\nroot = \"etc\"\n",
        r#"
jail: an element of `read` in [files] lacks `path`
  --> t.toml:2:9    read = [{ at = "/x" }, 5]
  help: for example: read = ["/usr", "/etc/nginx", { path = "/etc/pki", optional = true }]
jail: an element of `read` in [files] must be a string or a table, not an integer
  --> t.toml:2:24    read = [{ at = "/x" }, 5]
  help: for example: read = ["/usr", "/etc/nginx", { path = "/etc/pki", optional = true }]
jail: an element of `link` in [files] must be a table, not a string
  --> t.toml:3:9    link = ["/a"]
  help: for example: link = [{ path = "/dev/log", to = "/run/systemd/journal/dev-log" }]
jail: `root` in [files] must be "skeleton" or an absolute directory, not `etc`
  --> t.toml:4:8    root = "etc"
  help: for example: root = "/srv/images/app"
"#,
    );
    bad(
        "[files]\ntmpfs = [{ path = \"/run\", directories = [\"../etc\"] }]\n",
        r#"
jail: an element of `directories` in a tmpfs entry must be a plain name, without `/`
  --> t.toml:2:42    tmpfs = [{ path = "/run", directories = ["../etc"] }]
  help: for example: directories = ["nginx"]
"#,
    );
}

#[test]
fn names_in_env_and_rlimits() {
    bad(
        "[process]\nenv = { \"A=B\" = \"c\" }\nkeep-env = [\"X=\"]\n[process.rlimits]\nnofiles = 3\ncore = { soft = 2, hard = 1 }\nnproc = -1\n",
        r#"
jail: `A=B` cannot be the name of an environment variable
  --> t.toml:2:9    env = { "A=B" = "c" }
  help: a name is not empty and holds no `=` or NUL; for example: env = { LANG = "C.UTF-8", PORT = "8080" }
jail: `X=` cannot be the name of an environment variable
  --> t.toml:3:13    keep-env = ["X="]
  help: a name is not empty and holds no `=` or NUL; for example: keep-env = ["TERM", "LANG"]
jail: unknown resource limit `nofiles`
  --> t.toml:5:1    nofiles = 3
  help: did you mean `nofile`?
jail: `core` of `rlimits` in [process] has a soft limit above its hard limit
  --> t.toml:6:8    core = { soft = 2, hard = 1 }
  help: for example: rlimits = { nofile = 4096, memlock = "64K", core = "unlimited", nproc = { soft = 64, hard = 128 } }
jail: `nproc` of `rlimits` in [process] must not be negative, nor 8 EiB or more
  --> t.toml:7:9    nproc = -1
  help: for example: rlimits = { nofile = 4096, memlock = "64K", core = "unlimited", nproc = { soft = 64, hard = 128 } }
"#,
    );
}
