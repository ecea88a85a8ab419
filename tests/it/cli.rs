//! The command line: golden messages, and what must be true of every one of them. A case is
//! `tests/golden/messages/NAME.args` (one word a line; `{room}` is a temporary directory, a first
//! line `@user` runs it without privilege), perhaps `NAME.toml` (becomes `{room}/spec.toml`), and
//! `NAME.stderr`, whose first line is the exit status. `UPDATE_GOLDEN=1` writes the last.
//!
//! Must not know: where a message is made.

use crate::plans::{compare, golden};
use crate::ring::Ring::{Pure, Root, Rootless};
use crate::ring::{Test, test};
use crate::run::{Room, Run, finish, jail, jail_as_stranger};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for file in cases() {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let ring = if words(&file).first().is_some_and(|w| w == "@user") {
            Rootless
        } else if is_of_syntax(&file) {
            Pure
        } else {
            Root
        };
        tests.push(test(ring, format!("cli::message_{}", name.replace('-', "_")), move || message(&file)));
    }
    tests.push(test(Pure, "cli::there_are_at_least_forty_messages", there_are_at_least_forty));
    tests.push(test(Pure, "cli::golden_messages_follow_the_rules", golden_messages_follow_the_rules));
    tests.push(test(Root, "cli::output_commands_work", output_commands_work));
    tests.push(test(Root, "cli::a_reader_that_goes_away_is_no_error", a_reader_that_goes_away_is_no_error));
    tests.push(test(Root, "cli::a_full_disk_is_told_in_words", a_full_disk_is_told_in_words));
    tests.push(test(
        Root,
        "cli::lines_of_jailing_and_droot_carry_over",
        lines_of_jailing_and_droot_carry_over,
    ));
    tests.push(test(
        Root,
        "cli::check_changes_nothing_and_knows_every_shipped_spec",
        check_knows_every_shipped_spec,
    ));
    tests.push(test(Root, "cli::colour_is_for_terminals", colour_is_for_terminals));
    tests.push(test(Root, "cli::the_log_is_asked_for", the_log_is_asked_for));
    tests
}

fn cases() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(golden("messages")).unwrap();
    let mut files: Vec<PathBuf> =
        entries.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "args")).collect();
    files.sort();
    files
}

/// What is wrong with the words themselves is wrong for everybody. (Whose files are believed is not.)
fn is_of_syntax(file: &Path) -> bool {
    let golden = std::fs::read_to_string(file.with_extension("stderr")).unwrap_or_default();
    golden.starts_with("exit 2\n")
        && !file.file_name().is_some_and(|n| n.to_string_lossy().starts_with("spec-"))
}

fn words(file: &Path) -> Vec<String> {
    std::fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect()
}

/// What cases find in their room.
fn furnish(room: &Room) -> Vec<UnixListener> {
    let at = |name: &str| room.path().join(name);
    let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
    symlink("circle-b", at("circle-a")).unwrap();
    symlink("circle-a", at("circle-b")).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    room.file("small", "small\n");
    std::fs::write(at("big"), vec![0; 3 << 20]).unwrap();
    mode(&room.file("bin/script", "#!/opt/interpreter -x\n"), 0o755);
    mode(&room.file("bin/shell-script", "#!/bin/sh\necho ran\n"), 0o755);
    mode(&room.file("bin/empty", ""), 0o755);
    room.file("bin/no-x", "#!/bin/sh\n");
    std::fs::copy("/usr/bin/true", at("bin/true")).unwrap();
    mode(&room.file("bin/private", "#!/bin/sh\n"), 0o700);
    mode(&room.file("bin/itself", "#!/prog/itself\n"), 0o755);
    std::fs::write(at("bin/cut"), &std::fs::read("/usr/bin/true").unwrap()[..100]).unwrap();
    mode(&at("bin/cut"), 0o755);
    // The loader alone, without any library.
    std::fs::create_dir(at("loader")).unwrap();
    for name in ["ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"] {
        let host = ["/lib64", "/lib"].iter().map(|d| Path::new(d).join(name)).find(|p| p.exists());
        host.map(|loader| std::fs::copy(loader, at("loader").join(name)).unwrap());
    }
    room.file("loop/a.toml", "include = [\"./b.toml\"]\n");
    room.file("loop/b.toml", "include = [\"./a.toml\"]\n");
    let open = room.file("writable.toml", "[process]\ncommand = [\"/bin/true\"]\n");
    mode(&open, 0o666);
    let strangers = room.file("strangers.toml", "[process]\ncommand = [\"/bin/true\"]\n");
    nix::unistd::chown(&strangers, Some(nix::unistd::Uid::from_raw(12345)), None).unwrap_or(());
    // A service may write here, and has put a link in.
    let open = room.open_directory("open");
    symlink("/etc", open.join("link")).unwrap();
    mode(&room.file("open/secret", "secret\n"), 0o600);
    room.file("empty-root/file", "");
    image(room);
    symlink("/proc/self/mounts", at("mtab")).unwrap();
    // Specs that somebody else has put where jail is started.
    room.file("jails.d/planted.toml", "[process]\ncommand = [\"/bin/true\"]\n");
    room.file("jails.d/memcached.local.toml", "[process]\nuser = \"root\"\n");
    for name in ["jails.d/planted.toml", "jails.d/memcached.local.toml", "jails.d"] {
        nix::unistd::chown(&at(name), Some(nix::unistd::Uid::from_raw(12345)), None).unwrap_or(());
    }
    vec![UnixListener::bind(at("socket")).unwrap()]
}

/// A root to be given, with something in the way.
fn image(room: &Room) {
    for name in ["image/dev", "image/proc"] {
        std::fs::create_dir_all(room.path().join(name)).unwrap();
    }
    room.file("image/file", "");
    for (link, target) in [("dangling", "/gone"), ("circle", "circle")] {
        symlink(target, room.path().join("image").join(link)).unwrap();
    }
}

fn message(file: &Path) {
    let room = Room::new();
    let _sockets = furnish(&room);
    let place = |text: &str| text.replace("{room}", &room.path().display().to_string());
    let spec = file.with_extension("toml");
    if spec.exists() {
        room.file("spec.toml", &place(&std::fs::read_to_string(spec).unwrap()));
    }
    let mut words = words(file);
    let stranger = words.first().is_some_and(|w| w == "@user");
    let words: Vec<String> = words.drain(usize::from(stranger)..).map(|w| place(&w)).collect();
    let mut command = if stranger { jail_as_stranger(&words) } else { jail(&words) };
    let run = finish(command.current_dir(room.path()));
    assert_eq!(run.stdout, "", "nothing on standard output");
    let code = run.status.code().expect("an exit status");
    let text = run.stderr.replace(&room.path().display().to_string(), "{room}");
    compare(&file.with_extension("stderr"), &format!("exit {code}\n{text}"));
}

fn goldens() -> Vec<(String, String)> {
    let entries = std::fs::read_dir(golden("messages")).unwrap();
    let files = entries.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "stderr"));
    files
        .map(|p| (p.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(p).unwrap()))
        .collect()
}

fn there_are_at_least_forty() {
    let count = goldens().len();
    assert!(count >= 40, "{count}");
}

/// One sentence that names the object, then where, then the remedy.
fn golden_messages_follow_the_rules() {
    let mut wrong = Vec::new();
    for (name, text) in goldens() {
        let mut lines = text.lines();
        let status = lines.next().and_then(|l| l.strip_prefix("exit ")).unwrap_or_default();
        let first = text.lines().find(|l| l.starts_with("jail: ")).unwrap_or_default();
        for (rule, holds) in [
            ("an exit status of ours", ["2", "125", "126", "127"].contains(&status)),
            ("says who speaks", !first.is_empty()),
            ("no full stop", !first.ends_with('.')),
            ("no word of the language's", !text.contains("os error") && !text.contains("panicked")),
            ("a remedy", text.contains("\n  help: ")),
            ("no blanks at the end of a line", text.lines().all(|l| l == l.trim_end())),
        ] {
            if !holds {
                wrong.push(format!("{name}: {rule}\n{text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A disk that is full, in words.
fn a_full_disk_is_told_in_words() {
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = jail(["help", "spec"]);
    command.stdout(full()).stderr(std::process::Stdio::piped());
    let run: Run = crate::run::Live::start(&mut command).finish().ended(125);
    let first = "jail: cannot write to standard output: No space left on device\n";
    assert!(run.stderr.starts_with(first) && run.stderr.contains("help: "), "{}", run.stderr);
}

fn words_of(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn output_commands_work() {
    for (line, wanted) in [
        ("--version", "jail "),
        ("--help", "run"),
        ("specs", "nginx"),
        ("specs --blocks", "tls"),
        ("help spec", "[process]"),
        ("help process.user", "auto"),
        ("help user", "auto"),
        ("help @service", "read"),
        ("help phases", "harmlessly"),
        ("help capabilities", "NET_BIND_SERVICE"),
        ("completions bash", "_jail"),
        ("man", ".TH"),
        ("plan hello", "pivot into the new root"),
        ("plan --json hello", "\"steps\""),
    ] {
        let run = finish(&mut jail(words_of(line))).ended(0);
        assert!(run.stdout.contains(wanted), "jail {line}: {}", run.stdout);
        assert_eq!(run.stderr, "", "jail {line}");
    }
    let all = finish(&mut jail(["help", "spec"])).stdout;
    for key in ["command", "reload-signal", "oom-score-adjust", "tmpfs", "memory-deny-write-execute"] {
        assert!(all.contains(key), "{key}");
        finish(&mut jail(["help", key])).ended(0);
    }
}

fn a_reader_that_goes_away_is_no_error() {
    use std::os::fd::AsFd;
    let (read, write) = nix::unistd::pipe().unwrap();
    drop(read);
    let mut command = jail(["help", "spec"]);
    command.stdout(write.as_fd().try_clone_to_owned().unwrap()).stderr(std::process::Stdio::piped());
    let run: Run = crate::run::Live::start(&mut command).finish();
    assert_eq!((run.status.code(), run.stderr.as_str()), (Some(0), ""));
}

/// The line of the older tool, and the words of ours.
fn lines_of_jailing_and_droot_carry_over() {
    let room = Room::new();
    for name in ["tree/usr", "tree/proc", "tree/dev", "tree/data", "data"] {
        room.open_directory(name);
    }
    room.file("data/file", "content\n");
    for (link, target) in [("bin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")] {
        symlink(target, room.path().join("tree").join(link)).unwrap();
    }
    let at = |name: &str| room.path().join(name).display().to_string();
    let (root, bind) = (format!("--root={}", at("tree")), format!("{}:/data", at("data")));
    for words in [
        vec!["run", &root, "--robind", "/usr:/usr", "--bind", &bind, "--", "/bin/cat", "/data/file"],
        vec![
            "run",
            "--root",
            &at("tree"),
            "--user",
            "www-data",
            "--robind",
            "/usr:/usr",
            "--bind",
            &bind,
            "--",
            "/bin/cat",
            "/data/file",
        ],
        vec![
            "run",
            "--user",
            "www-data",
            "--read",
            "/usr",
            "--robind",
            &bind,
            "--tmpfs",
            "/tmp",
            "--net",
            "none",
            "--env",
            "A=b",
            "--",
            "/bin/cat",
            "/data/file",
        ],
    ] {
        assert_eq!(finish(&mut jail(&words)).ended(0).stdout, "content\n", "{words:?}");
    }
}

fn check_knows_every_shipped_spec() {
    let room = Room::new();
    let run = finish(jail(["check", "hello", "shell", "python"]).current_dir(room.path())).ended(0);
    assert_eq!(run.stderr, "");
    let bad = room.file("bad.toml", "[process]\ncommnd = 1\n[files]\nread = [\"relative\"]\nwrte = 2\n");
    let run = finish(&mut jail(["check".as_ref(), bad.as_os_str()])).ended(2);
    assert_eq!(
        run.stderr.lines().filter(|l| l.starts_with("jail: ")).count(),
        2,
        "all problems of one stage at once: {}",
        run.stderr
    );
}

/// By `-v` or JAIL_LOG; without them a good run says nothing.
fn the_log_is_asked_for() {
    let run = |words: &[&str], log: &str| {
        let mut command = jail(words.iter().chain(&["run", "--read", "/usr", "--", "/bin/true"]));
        finish(command.env("JAIL_LOG", log)).ended(0).stderr
    };
    assert_eq!(run(&[], ""), "");
    assert!(run(&["-v"], "").contains("steps"));
    assert!(run(&[], "debug").contains("steps"));
    let (some, all) = (run(&["-v"], ""), run(&["-vv"], ""));
    assert!(all.lines().count() > some.lines().count(), "{all}");
    // What was found out about the host: each path that was looked at, who calls, the kernel.
    for detail in ["/usr: Directory", "caller: ", "kernel: "] {
        assert!(all.contains(detail) && !some.contains(detail), "{detail}: {all}");
    }
}

fn colour_is_for_terminals() {
    let run = finish(&mut jail(["run", "nowhere-to-be-found"])).ended(2);
    assert!(!run.stderr.contains('\x1b'), "{}", run.stderr);
    let on_terminal = |no_color: &str| {
        let line = format!("{} run nowhere-to-be-found", crate::run::jail_binary().display());
        let mut command = std::process::Command::new("script");
        command
            .args(["-qec", &line, "/dev/null"])
            .env_clear()
            .env("TERM", "xterm")
            .env("PATH", "/usr/bin:/bin");
        finish(command.env("NO_COLOR", no_color).stdin(std::process::Stdio::null())).stdout
    };
    assert!(on_terminal("").contains("\x1b["), "on a terminal it is coloured");
    assert!(!on_terminal("1").contains('\x1b'), "NO_COLOR is honoured");
}
