//! SIGKILL of any process of a jail at any moment: everything of it ends, and nothing is left.
//!
//! `JAIL_TESTS_KILLS` says how many moments, `JAIL_TESTS_SEED` which. Must not know: what any of the
//! processes is doing then.

use crate::host::{self, isolated, processes_of, wait_until};
use crate::life::Home;
use crate::ring::Ring::Root;
use crate::ring::{Test, test};
use crate::run::{Live, Room};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    let shapes = [
        ("root_with_pid_1", false, false),
        ("root_in_place", false, true),
        ("a_user_with_pid_1", true, false),
        ("a_user_in_place", true, true),
    ];
    let named = |(name, rootless, in_place)| {
        test(Root, format!("kills::nothing_is_left_of_{name}"), move || {
            isolated(move || kill_at_any_moment(rootless, in_place));
        })
    };
    shapes.into_iter().map(named).collect()
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// xorshift64*: a sequence that its seed repeats.
struct Sequence(u64);

impl Sequence {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % end
    }
}

/// A program that would run on for long, with something of every kind that a start makes.
fn spec(room: &Room, rootless: bool, in_place: bool) -> PathBuf {
    room.open_directory("out");
    let proc = if rootless && in_place { "proc = \"none\"" } else { "" };
    let share = if in_place { "share-namespaces = [\"pid\"]" } else { "" };
    let text = format!(
        "[process]\ncommand = [\"/usr/bin/sleep\", \"300\"]\n\
         [files]\nread = [\"/usr\", \"/etc/hostname\"]\nwrite = [{{ path = \"{}/out\", at = \"/out\" }}]\ntmpfs = [\"/tmp\"]\n{proc}\n\
         [network]\nmode = \"none\"\n[privileges]\n{share}\n",
        room.path().display()
    );
    room.file(&format!("{}.toml", room.unique()), &text)
}

/// Every process below this one, by birth.
fn descendants(pid: i32) -> Vec<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children: Vec<i32> = text.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    children.into_iter().flat_map(|child| std::iter::once(child).chain(descendants(child))).collect()
}

fn start(spec: &Path, home: &Home) -> Live {
    let mut command = home.jail(["run".as_ref(), spec.as_os_str()]);
    Live::start(command.stdout(Stdio::null()).stderr(Stdio::piped()))
}

/// Whether the program is there: by then every process of the jail is.
fn is_up(pid: i32) -> bool {
    let runs = |pid: i32| {
        std::fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|words| words.starts_with(b"/usr/bin/sleep\0"))
    };
    runs(pid) || descendants(pid).into_iter().any(runs)
}

/// Microseconds from nothing to a running program, on a machine that may have other things to do.
fn time_to_start(spec: &Path, home: &Home) -> u64 {
    let measure = || {
        let begin = Instant::now();
        let jail = start(spec, home);
        while !is_up(jail.pid()) {
            assert!(begin.elapsed() < host::PATIENCE, "the program does not run");
        }
        let time = begin.elapsed();
        jail.signal(libc::SIGKILL);
        jail.finish();
        u64::try_from(time.as_micros()).unwrap()
    };
    (0..5).map(|_| measure()).min().unwrap()
}

fn kill_at_any_moment(rootless: bool, in_place: bool) {
    let seed = number(
        "JAIL_TESTS_SEED",
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos().try_into().unwrap_or(1),
    );
    println!("JAIL_TESTS_SEED={seed} (rootless: {rootless}, in place: {in_place})");
    let mut sequence = Sequence(seed | 1);
    let room = Room::new();
    let spec = spec(&room, rootless, in_place);
    let (before, files) = (host::snapshot(), host::listing(room.path()));
    // One for all: what a killed one leaves there must not keep the next from its name.
    let home = Home::new(rootless);
    let longest = time_to_start(&spec, &home);
    let mut killed: BTreeMap<String, usize> = BTreeMap::new();
    for moment in 0..number("JAIL_TESTS_KILLS", 200).div_ceil(4) {
        let begin = Instant::now();
        let jail = start(&spec, &home);
        // A quarter of the moments come when all is set up.
        let delay = Duration::from_micros(sequence.below(longest + longest / 3));
        while begin.elapsed() < delay {
            std::hint::spin_loop();
        }
        let mut processes = descendants(jail.pid());
        processes.insert(0, jail.pid());
        let chosen = usize::try_from(sequence.below(processes.len() as u64)).unwrap();
        *killed.entry(format!("{chosen} of {}", processes.len())).or_default() += 1;
        // It may have become another program, or have ended, since it was looked up.
        jail::sys::process::send_signal(processes[chosen], libc::SIGKILL).unwrap_or(());
        let run = jail.finish();
        let what = format!("moment {moment}, {delay:?}: process {chosen} of {}: {run:?}", processes.len());
        assert_ne!(run.status.code(), Some(0), "{what}");
        wait_until(&format!("nothing runs on: {what}"), || processes_of(&room.unique()).is_empty());
        assert_eq!(host::listing(room.path()), files, "{what}");
        let own = [format!("/run/jail/{}", room.unique()), format!("/run/{}", room.unique())];
        assert!(!own.iter().any(|path| Path::new(path).exists()), "{what}");
        assert_eq!(host::snapshot(), before, "{what}");
    }
    for row in home.ps() {
        assert_eq!(row["state"], "left over");
    }
    let last = start(&spec, &home);
    wait_until("it starts as ever", || is_up(last.pid()));
    wait_until("and is recorded", || home.ps().iter().any(|row| row["state"] == "running"));
    home.run(&["stop", "--timeout", "0", &room.unique()]).ended(0);
    last.finish();
    assert!(!home.state().exists(), "nothing is left of all of them");
    println!("killed (rootless: {rootless}, in place: {in_place}): {killed:?}");
}
