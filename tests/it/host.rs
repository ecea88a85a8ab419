//! The host as a test sees it: what a jail could leave behind, and a corner of it that a test may
//! change.
//!
//! Must not know: how to run a jail.

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Nothing in these tests takes longer on a machine that works.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until something is so; panics if it never is.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs `body` on a thread with a mount table and a network of its own, so that mounts and ports
/// are no other test's business. Loopback is up.
pub fn isolated(body: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET).expect("root may unshare");
        let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).expect("mounts made private");
        jail::sys::mount::loopback_up().expect("loopback");
        forget_temporary_mounts();
        body();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// What others have mounted in temporary directories vanishes from every mount table when they remove
/// the directory: that must not look like the doing of a jail.
fn forget_temporary_mounts() {
    let table = mount_table();
    let points = table.lines().rev().filter_map(|line| line.split(' ').nth(4));
    for point in points.filter(|point| point.starts_with("/tmp/") && !point.contains('\\')) {
        if let Err(errno) = umount2(point, MntFlags::MNT_DETACH) {
            eprintln!("{point}: {errno}");
        }
    }
}

/// A mount of a test's own; unmounted when dropped, so that its directory can be removed.
pub struct Mounted(pub PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(errno) = umount2(&self.0, MntFlags::MNT_DETACH) {
            eprintln!("{}: {errno}", self.0.display());
        }
    }
}

/// A tmpfs on a directory of this thread's own mount table; see [`isolated`].
pub fn mount_tmpfs(on: &Path) -> Mounted {
    mount(Some("none"), on, Some("tmpfs"), MsFlags::empty(), None::<&str>).expect("tmpfs mounted");
    Mounted(on.to_owned())
}

/// A /run of this thread's own mount table, for root alone to write to; see [`isolated`].
pub fn own_run() -> Mounted {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("none"), "/run", Some("tmpfs"), flags, Some("mode=755")).expect("tmpfs mounted");
    Mounted("/run".into())
}

/// Mounts made below `path` later spread to every copy of it, as on a host run by systemd.
pub fn make_shared(path: &Path) {
    let flags = MsFlags::MS_REC | MsFlags::MS_SHARED;
    mount(None::<&str>, path, None::<&str>, flags, None::<&str>).expect("mount made shared");
}

/// This thread's mount table, as it is.
pub fn mount_table() -> String {
    std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap()
}

/// Every cgroup of a jail (its path has a component `jail`) below this process's own, in each hierarchy:
/// others of the host come and go. In a hierarchy whose top is this process's own, the names that the top has.
pub fn cgroups() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let mut rest = Vec::new();
    // `4:memory:/path`, `1:name=systemd:/path`; `0::/path` for version 2.
    for (names, path) in own.lines().filter_map(|line| line.split_once(':')?.1.split_once(':')) {
        let top = match names {
            "" if Path::new("/sys/fs/cgroup/unified").exists() => "unified",
            names => names.trim_start_matches("name="),
        };
        rest.push(Path::new("/sys/fs/cgroup").join(top).join(path.trim_start_matches('/')));
    }
    while let Some(directory) = rest.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            // Those of tests of groups come and go, and are looked at there.
            let of_a_test = entry.file_name().to_string_lossy().starts_with("jail-test-");
            if !of_a_test && entry.file_type().is_ok_and(|t| t.is_dir()) {
                if entry.path().iter().any(|name| name == "jail") {
                    found.insert(entry.path().display().to_string());
                }
                rest.push(entry.path());
            }
        }
    }
    found
}

/// Everything below a directory: path, mode, owner.
pub fn listing(directory: &Path) -> BTreeSet<String> {
    use std::os::unix::fs::MetadataExt;
    let mut found = BTreeSet::new();
    let mut rest = vec![directory.to_owned()];
    while let Some(path) = rest.pop() {
        let Ok(meta) = path.symlink_metadata() else { continue };
        found.insert(format!("{} {:o} {}:{}", path.display(), meta.mode(), meta.uid(), meta.gid()));
        if meta.is_dir() {
            rest.extend(std::fs::read_dir(&path).into_iter().flatten().flatten().map(|e| e.path()));
        }
    }
    found
}

/// Everything below a directory with all that a start could do to it: content, owner, mode, links,
/// and the time of the last change to any of these.
pub fn state(directory: &Path) -> BTreeSet<String> {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::MetadataExt;
    let mut found = BTreeSet::new();
    let mut rest = vec![directory.to_owned()];
    while let Some(path) = rest.pop() {
        let meta = path.symlink_metadata().unwrap();
        let content = if meta.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
        let times = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
        found.insert(format!(
            "{:?} {:o} {}:{} {} links, {times:?}, {content:?}",
            path.as_os_str().as_bytes().escape_ascii().to_string(),
            meta.mode(),
            meta.uid(),
            meta.gid(),
            meta.nlink()
        ));
        if meta.is_dir() {
            rest.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found
}

/// Processes that have to do with a test: `unique` (a name of its own directory) is on their command
/// line or in their mount table.
pub fn processes_of(unique: &str) -> Vec<String> {
    let own = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        if pid.parse::<u32>().is_err() || pid == own {
            continue;
        }
        let read = |name: &str| std::fs::read(entry.path().join(name)).unwrap_or_default();
        let text = [read("cmdline"), read("mountinfo")].concat();
        if String::from_utf8_lossy(&text).contains(unique) {
            found.push(format!("{pid}: {}", String::from_utf8_lossy(&read("comm")).trim()));
        }
    }
    found
}

/// What must not change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// The mount table.
    pub mounts: String,
    cgroups: BTreeSet<String>,
}

/// Takes the host's state.
pub fn snapshot() -> Snapshot {
    Snapshot { mounts: mount_table(), cgroups: cgroups() }
}
