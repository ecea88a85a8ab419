//! A root that was given: places behind its links, on what is mounted in it already, and files on files.
//! Nothing is ever written in it, nor out of it.
//!
//! Must not know: how a place is found.

use crate::host::{isolated, listing, mount_tmpfs};
use crate::ring::Ring::Root;
use crate::run::{Room, Run, finish, jail};
use crate::tests;
use nix::mount::{MsFlags, mount};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

tests! {
    Root => [
        a_place_behind_a_link_is_found_in_the_root, a_place_that_is_a_link_is_followed_in_the_root,
        what_is_mounted_in_the_root_comes_along, the_hosts_root_can_be_the_root, binds_of_merged_usr_carry_over,
        a_file_is_mounted_on_a_file, a_link_that_is_there_is_not_made,
    ],
}

/// An image with /usr's places, and links as merged-usr distributions have them.
fn image(room: &Room) -> PathBuf {
    let tree = room.path().join("tree");
    for name in ["usr", "proc", "dev", "run/app", "var", "etc"] {
        std::fs::create_dir_all(tree.join(name)).unwrap();
    }
    for (link, target) in [
        ("bin", "usr/bin"),
        ("lib", "usr/lib"),
        ("lib64", "usr/lib64"),
        ("var/run", "/run"),
        ("var/app", "../../../run/app"),
    ] {
        symlink(target, tree.join(link)).unwrap();
    }
    room.file("data/file", "content\n");
    tree
}

/// Runs in the image, which must be the same afterwards.
#[track_caller]
fn run_in(tree: &Path, words: &[&str]) -> Run {
    let before = listing(tree);
    let root = format!("--root={}", tree.display());
    let run = finish(&mut jail(["run", &root].iter().chain(words)));
    assert_eq!(listing(tree), before, "nothing is made in it");
    run
}

fn a_place_behind_a_link_is_found_in_the_root() {
    let room = Room::new();
    let tree = image(&room);
    let bind = |at: &str| format!("{}/data:{at}", room.path().display());
    for at in ["/var/run/app", "/var/app", "/run/app"] {
        for file in ["/var/run/app/file", "/run/app/file"] {
            let words = ["--robind", "/usr", "--bind", &bind(at), "--", "/bin/cat", file];
            assert_eq!(run_in(&tree, &words).ended(0).stdout, "content\n", "{at} {file}");
        }
    }
    // Below a tmpfs of the jail's own, a place is made.
    let words =
        ["--robind", "/usr", "--tmpfs", "/var/run", "--bind", &bind("/var/run/new"), "--", "/bin/cat"];
    let run = run_in(&tree, &[&words[..], &["/run/new/file"]].concat());
    assert_eq!(run.ended(0).stdout, "content\n");
}

fn a_place_that_is_a_link_is_followed_in_the_root() {
    let room = Room::new();
    let tree = image(&room);
    // On the host it leads to a place that must stay as it is; in the root there is one of its own.
    std::fs::create_dir_all(tree.join("srv/place")).unwrap();
    symlink("/srv/place", tree.join("place")).unwrap();
    let bind = format!("{}/data:/place", room.path().display());
    let words = ["--robind", "/usr", "--bind", &bind, "--", "/bin/cat", "/srv/place/file"];
    assert_eq!(run_in(&tree, &words).ended(0).stdout, "content\n");
}

/// As jailing leaves a root: with the host's directories bound in it.
fn what_is_mounted_in_the_root_comes_along() {
    isolated(|| {
        let room = Room::new();
        let tree = image(&room);
        let usr = tree.join("usr");
        mount(Some("/usr"), &usr, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
        let _proc = mount_tmpfs(&tree.join("proc"));
        std::fs::create_dir(tree.join("proc/below")).unwrap();
        let _below = mount_tmpfs(&tree.join("proc/below"));
        let root = format!("--root={}", tree.display());
        let jailed = |words: &[&str]| {
            finish(&mut jail(
                ["run", &root].iter().chain(words).chain(&["--", "/bin/sh", "-c"]).chain(&[SCRIPT]),
            ))
        };
        for words in [&[][..], &["--robind", "/usr"]] {
            assert_eq!(jailed(words).ended(0).stdout, "ro\nown proc\nro\n", "{words:?}");
        }
        nix::mount::umount2(&usr, nix::mount::MntFlags::MNT_DETACH).unwrap();
    });
}

/// Whether /usr can be written, whose /proc it is, whether the root can be written.
const SCRIPT: &str = "touch /usr/x 2>&- || echo ro; test -d /proc/self/fd && test ! -d /proc/below && echo own proc; touch /x 2>&- || echo ro";

fn the_hosts_root_can_be_the_root() {
    let run = finish(&mut jail(["run", "--root", "/", "--", "/bin/sh", "-c", SCRIPT]));
    assert_eq!(run.ended(0).stdout, "ro\nown proc\nro\n");
    let run = finish(&mut jail(["run", "--root", "/", "--", "/bin/ls", "/dev"])).ended(0);
    assert!(!run.stdout.contains("mem") && run.stdout.contains("null"), "{}", run.stdout);
}

/// The usual line of jailing, whether the image has the links or directories in their place.
fn binds_of_merged_usr_carry_over() {
    let room = Room::new();
    let tree = image(&room);
    let binds: Vec<String> = ["/bin", "/lib64", "/lib", "/usr"]
        .into_iter()
        .filter(|path| Path::new(path).exists())
        .flat_map(|path| ["--robind".to_owned(), path.to_owned()])
        .collect();
    let words: Vec<&str> =
        binds.iter().map(String::as_str).chain(["--", "/bin/sh", "-c", "echo ran"]).collect();
    assert_eq!(run_in(&tree, &words).ended(0).stdout, "ran\n", "links");
    for name in ["bin", "lib", "lib64"] {
        std::fs::remove_file(tree.join(name)).unwrap();
        std::fs::create_dir(tree.join(name)).unwrap();
    }
    assert_eq!(run_in(&tree, &words).ended(0).stdout, "ran\n", "directories");
    std::fs::remove_dir(tree.join("lib64")).unwrap();
    let run = run_in(&tree, &words);
    if Path::new("/lib64").exists() {
        assert!(run.ended(125).stderr.contains("has no directory /lib64 to mount on"));
    }
}

fn a_file_is_mounted_on_a_file() {
    let room = Room::new();
    let tree = image(&room);
    std::fs::write(tree.join("etc/hosts"), "the image's\n").unwrap();
    symlink("hosts", tree.join("etc/link")).unwrap();
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap();
    for bind in ["/etc/hosts", "/etc/hosts:/etc/link"] {
        let words = ["--robind", "/usr", "--robind", bind, "--", "/bin/cat", "/etc/hosts"];
        assert_eq!(run_in(&tree, &words).ended(0).stdout, hosts, "{bind}");
    }
    assert_eq!(std::fs::read_to_string(tree.join("etc/hosts")).unwrap(), "the image's\n");
}

fn a_link_that_is_there_is_not_made() {
    let room = Room::new();
    let tree = image(&room);
    let spec = |to: &str| {
        let text = format!(
            "[process]\ncommand = [\"/bin/true\"]\n[files]\nroot = {tree:?}\nread = [\"/usr\"]\nlink = [{{ path = \"/var/run\", to = {to:?} }}]\n"
        );
        room.file("link.toml", &text)
    };
    let run = |spec: PathBuf| finish(&mut jail(["run".as_ref(), spec.as_os_str()]));
    run(spec("/run")).ended(0);
    let refused = run(spec("../run")).ended(2);
    assert!(refused.stderr.contains("/var/run cannot be made"), "{}", refused.stderr);
}
