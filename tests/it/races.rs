//! A service that exchanges names in its directories in a tight loop while the jail starts: either
//! the right thing is shown, or the start fails and names the entry. Nothing outside changes.
//!
//! `JAIL_TESTS_ROUNDS` says how many starts each race is. Must not know: how a path is resolved.

use crate::careless::SECRET;
use crate::host::{self, processes_of, wait_until};
use crate::hostile::{Scene, foreign};
use crate::isolated_tests;
use crate::ring::Ring::Root;
use crate::run::{Live, Run, STRANGER, probe_directory};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

isolated_tests! {
    Root => [
        a_write_directory, a_mount_point_in_a_write_directory, a_file_to_be_copied, a_directory_to_be_made,
        the_places_in_a_foreign_root, a_foreign_root,
    ],
}

fn rounds() -> usize {
    std::env::var("JAIL_TESTS_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(60)
}

/// Exchanges two names in the service's directory, as the service.
fn swap(scene: &Scene, one: &str, other: &str) -> Live {
    let path = |name: &str| scene.app.join(name);
    let mut command = Command::new(probe_directory().join("probe"));
    command.args(["probe", "swap"]).arg(path(one)).arg(path(other)).stdin(Stdio::null());
    Live::ready(command.uid(STRANGER).gid(STRANGER))
}

/// Starts again and again. `right` judges a start that ran.
fn race(
    scene: &Scene,
    name: &str,
    command: &[&str],
    files: &str,
    entries: &[&str],
    mut right: impl FnMut(&Run),
) {
    let entries: Vec<String> = entries.iter().map(|entry| scene.filled(entry)).collect();
    let mounts = host::mount_table();
    let (mut ran, mut refused) = (0, 0);
    for round in 0..rounds() {
        let run = scene.run(command, files);
        match run.status.code() {
            Some(0) => ran += 1,
            Some(125) => {
                refused += 1;
                let named = entries.iter().any(|entry| run.stderr.contains(entry.as_str()));
                assert!(
                    named && run.stderr.starts_with("jail: "),
                    "{name}: the entry is not named: {}",
                    run.stderr
                );
            }
            _ => panic!("{name}: {run:?}"),
        }
        right(&run);
        scene.unharmed(name);
        // Quick as these are, the whole table is not read each time.
        if round % 64 == 0 {
            assert_eq!(host::mount_table(), mounts, "{name}");
        }
        if round % 1000 == 999 {
            println!("race {name}: {} starts so far", round + 1);
        }
    }
    assert_eq!(host::mount_table(), mounts, "{name}");
    println!("race {name}: {ran} ran rightly, {refused} were refused and named the entry");
}

/// Nothing of a race goes on.
fn over(scene: &Scene, swappers: Vec<Live>) {
    drop(swappers);
    wait_until("nothing is left of these starts", || processes_of(&scene.room.unique()).is_empty());
}

fn open_directory(path: &Path) {
    std::fs::create_dir(path).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).unwrap();
}

fn a_write_directory() {
    let scene = Scene::new();
    open_directory(&scene.app.join("data"));
    let mark = Held::open(&scene.app.join("data"));
    symlink("../victim", scene.app.join("trap")).unwrap();
    let swapper = swap(&scene, "data", "trap");
    let files = "write = [{ path = \"{app}/data\", at = \"/data\" }]";
    race(&scene, "write", &["/usr/bin/touch", "/data/mark"], files, &["{app}/data"], |run| {
        let names = mark.names();
        assert_eq!(names, if run.status.code() == Some(0) { vec!["mark"] } else { Vec::new() }, "{run:?}");
        names.iter().for_each(|name| mark.remove(name));
    });
    over(&scene, vec![swapper]);
}

/// A directory that is known by descriptor, whatever it is called by now.
struct Held(std::fs::File);

impl Held {
    fn open(path: &Path) -> Self {
        Held(std::fs::File::open(path).unwrap())
    }

    fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.path().join(name)).unwrap();
    }
}

fn a_mount_point_in_a_write_directory() {
    let scene = Scene::new();
    scene.room.open_directory("inner");
    open_directory(&scene.app.join("point"));
    symlink("/victim", scene.app.join("trap")).unwrap();
    let swapper = swap(&scene, "point", "trap");
    let files =
        "write = [{ path = \"{app}\", at = \"/app\" }, { path = \"{room}/inner\", at = \"/app/point\" }]
                 read = [\"/usr\", { path = \"{victim}\", at = \"/victim\" }]";
    race(&scene, "mount point", &["/usr/bin/true"], files, &["/app/point"], |_| {});
    over(&scene, vec![swapper]);
}

fn a_file_to_be_copied() {
    let scene = Scene::new();
    std::fs::write(scene.app.join("conf"), "harmless\n").unwrap();
    std::fs::set_permissions(scene.app.join("conf"), PermissionsExt::from_mode(0o644)).unwrap();
    symlink("../victim/public", scene.app.join("trap")).unwrap();
    nix::unistd::mkfifo(&scene.app.join("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
    let swappers = vec![swap(&scene, "conf", "trap"), swap(&scene, "conf", "fifo")];
    let files = "read = [\"/usr\", { path = \"{app}/conf\", at = \"/conf\" }]";
    race(&scene, "copy", &["/usr/bin/cat", "/conf"], files, &["{app}/conf"], |run| {
        assert!(!run.stdout.contains(SECRET), "{run:?}");
        assert_eq!(run.stdout, if run.status.code() == Some(0) { "harmless\n" } else { "" });
    });
    over(&scene, swappers);
}

/// The service puts a link, or a directory of root's with something in it, in the place of the one
/// that was just made for it: neither is handed over.
fn a_directory_to_be_made() {
    let scene = Scene::new();
    let private = scene.app.join("private");
    std::fs::create_dir(&private).unwrap();
    std::fs::set_permissions(&private, PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::write(private.join("key"), SECRET).unwrap();
    symlink("../victim/inner", scene.app.join("trap")).unwrap();
    let swappers = vec![swap(&scene, "made", "trap"), swap(&scene, "made", "private")];
    let files = "write = [{ path = \"{app}/made\", at = \"/made\", create = \"0750\" }]";
    let names = ["made", "trap", "private"];
    race(&scene, "create", &["/usr/bin/true"], files, &["{app}/made"], |_| {
        for name in names.iter().map(|name| scene.app.join(name)) {
            let Ok(meta) = name.symlink_metadata() else { continue };
            if meta.is_dir() && std::fs::read_dir(&name).is_ok_and(|mut entries| entries.next().is_some()) {
                assert_eq!(
                    (meta.uid(), meta.mode() & 0o7777),
                    (0, 0o700),
                    "root's directory was handed over"
                );
            } else if meta.is_dir() {
                // What was made, for the next round. It may be exchanged meanwhile.
                std::fs::remove_dir(&name).unwrap_or(());
            }
        }
    });
    over(&scene, swappers);
}

/// Places below the jail's own file systems in a root that the service writes to.
fn the_places_in_a_foreign_root() {
    let scene = Scene::new();
    let (root, files) = foreign(&scene);
    symlink("/victim", root.join("trap")).unwrap();
    open_directory(&root.join("other"));
    open_directory(&root.join("decoy"));
    let held = ["dev", "tmp", "other", "decoy"].map(|name| Held::open(&root.join(name)));
    let swappers = vec![
        swap(&scene, "root/dev", "root/trap"),
        swap(&scene, "root/tmp", "root/other"),
        swap(&scene, "root/dev", "root/decoy"),
    ];
    race(&scene, "foreign root", &["/usr/bin/true"], files, &["/dev", "/tmp"], |run| {
        // `/dev/null` and the like, if they were made below the path and not in the jail's own /dev.
        let made: Vec<String> = held.iter().flat_map(Held::names).collect();
        assert!(made.is_empty(), "{made:?} was made in the root that was given: {run:?}");
    });
    over(&scene, swappers);
}

fn a_foreign_root() {
    let scene = Scene::new();
    let (_, files) = foreign(&scene);
    symlink("../victim", scene.app.join("trap")).unwrap();
    let swapper = swap(&scene, "root", "trap");
    race(&scene, "root", &["/usr/bin/true"], files, &["{app}/root"], |_| {});
    over(&scene, vec![swapper]);
}
