//! Tables as kernels write them, and each way in which one can be wrong.

use super::*;
use crate::jail::path::AbsPath;

const READ: Attributes = Attributes { read_only: true, no_exec: false, no_dev: true };
const FINE: &str = "ro,nosuid,nodev";

fn expect(path: &str, kind: Option<&'static str>) -> ExpectedMount {
    ExpectedMount { path: AbsPath::new(path).unwrap(), attributes: READ, kind, id_mapped: false }
}

/// A mount in the root, whose id is 1.
fn line(path: &str, options: &str, tags: &str, kind: &str) -> String {
    let id = if path == "/" { 1 } else { 100 + path.len() };
    inside(id, usize::from(path != "/"), path, &format!("{options}{tags}"), kind)
}

fn inside(id: usize, parent: usize, path: &str, options: &str, kind: &str) -> String {
    format!("{id} {parent} 0:5 / {path} {options} - {kind} none rw\n")
}

#[track_caller]
fn compared(table: &str, plan: &[ExpectedMount], wanted: Result<(), usize>) {
    assert_eq!(compare(table.as_bytes(), plan), wanted, "{table}");
}

#[test]
fn mounts_as_planned_are_accepted() {
    let table = line("/", FINE, "", "tmpfs")
        + &inside(2, 1, "/usr", "ro,nosuid,nodev,relatime", "ext4")
        + &inside(3, 2, "/usr/my\\040disk", "ro,nosuid,nodev,noexec", "xfs");
    compared(&table, &[expect("/", Some("tmpfs")), expect("/usr", None)], Ok(()));
}

#[test]
fn each_weakness_of_a_mount_is_found() {
    let plan = [expect("/", Some("tmpfs")), expect("/usr", None)];
    let root = line("/", FINE, "", "tmpfs");
    let usr = |options, tags| format!("{root}{}", inside(2, 1, "/usr", &format!("{options}{tags}"), "ext4"));
    compared(&usr("rw,nosuid,nodev", ""), &plan, Err(1));
    compared(&usr("ro,nodev", ""), &plan, Err(1));
    compared(&usr("ro,nosuid", ""), &plan, Err(1));
    compared(&usr(FINE, " master:3"), &plan, Err(1));
    compared(&root, &plan, Err(1));
    compared("", &plan, Err(0));
    let weak_below = usr(FINE, "") + &inside(3, 2, "/usr/x", "rw,nosuid,nodev", "ext4");
    compared(&weak_below, &plan, Err(1));
    let doubled = usr(FINE, "") + &inside(3, 1, "/usr", FINE, "ext4");
    compared(&doubled, &plan, Err(2));
    let same_id = usr(FINE, "") + &inside(2, 1, "/usr/x", FINE, "ext4");
    compared(&same_id, &plan, Err(2));
    let alien = usr(FINE, "") + &inside(3, 1, "/opt", FINE, "ext4");
    compared(&alien, &plan, Err(2));
    let kind = line("/", FINE, "", "ext4") + &line("/usr", FINE, "", "ext4");
    compared(&kind, &plan, Err(0));
    let moved = [expect("/", None), expect("/dev", Some("tmpfs"))];
    let elsewhere = line("/", FINE, "", "ext4") + &line("/x", "rw,nosuid", "", "tmpfs");
    compared(&elsewhere, &moved, Err(1));
    compared(&(root + "nonsense\n"), &plan, Err(2));
}

/// `--root /`: the host's /dev, with all that is in it, lies below ours.
#[test]
fn a_mount_whose_owners_are_not_mapped_is_found() {
    let plan = [ExpectedMount { id_mapped: true, ..expect("/", None) }];
    let mapped = "ro,nosuid,nodev,relatime,idmapped";
    compared(&line("/", mapped, "", "ext4"), &plan, Ok(()));
    compared(&line("/", FINE, "", "ext4"), &plan, Err(0));
    compared(&(line("/", mapped, "", "ext4") + &line("/x", FINE, "", "ext4")), &plan, Err(0));
}

#[test]
fn a_planned_mount_may_lie_over_those_of_a_given_root() {
    let plan = [expect("/", None), expect("/dev", Some("tmpfs")), expect("/dev/shm", Some("tmpfs"))];
    let host = line("/", FINE, "", "ext4")
        + &inside(2, 1, "/dev", FINE, "devtmpfs")
        + &inside(3, 2, "/dev/shm", FINE, "tmpfs")
        + &inside(4, 2, "/dev/pts", FINE, "devpts")
        + &inside(5, 1, "/home", FINE, "ext4");
    let ours = inside(6, 2, "/dev", FINE, "tmpfs") + &inside(7, 6, "/dev/shm", FINE, "tmpfs");
    compared(&format!("{host}{ours}"), &plan, Ok(()));
    compared(&format!("{ours}{host}"), &plan, Ok(()));
    // The host's own are not taken for ours.
    compared(&host, &plan, Err(1));
    compared(&(host.clone() + &inside(6, 2, "/dev", FINE, "tmpfs")), &plan, Err(2));
    // Below or hidden, they have the root's attributes.
    let weak = host.replace("/dev/pts ro", "/dev/pts rw");
    compared(&format!("{weak}{ours}"), &plan, Err(0));
    let weak = host.replace("/home ro", "/home rw");
    compared(&format!("{weak}{ours}"), &plan, Err(0));
    // In ours there is nothing but what was planned.
    let alien = inside(8, 6, "/dev/pts", FINE, "devpts");
    compared(&format!("{host}{ours}{alien}"), &plan, Err(3));
    // Something over ours is not ours.
    let over = inside(8, 6, "/dev", FINE, "tmpfs");
    compared(&format!("{host}{ours}{over}"), &plan, Err(2));
    let over = inside(8, 6, "/dev", FINE, "ext4");
    compared(&format!("{host}{ours}{over}"), &plan, Err(2));
}

#[test]
fn a_mount_that_another_hides_is_not_the_planned_one() {
    let plan = [expect("/", None), expect("/a/b", None)];
    let table = line("/", FINE, "", "ext4") + &inside(2, 1, "/a/b", FINE, "ext4");
    compared(&table, &plan, Ok(()));
    compared(&(table.clone() + &inside(3, 1, "/a", FINE, "ext4")), &plan, Err(1));
    compared(&(table + &inside(3, 2, "/a/b", FINE, "ext4")), &plan, Ok(()));
    // Parents that lead in a circle reach nothing.
    let circle =
        line("/", FINE, "", "ext4") + &inside(2, 3, "/a/b", FINE, "ext4") + &inside(3, 2, "/a", FINE, "ext4");
    assert!(compare(circle.as_bytes(), &plan).is_err());
}

#[test]
fn a_mount_may_have_any_name() {
    let plan = [expect("/", Some("tmpfs")), expect("/data", None), expect("/data/a\nb \\", None)];
    let compare = |name: &[u8], how: &str| {
        let mut table = line("/", FINE, "", "tmpfs").into_bytes();
        table.extend(inside(2, 1, "/data", FINE, "ext4").bytes());
        table.extend(inside(3, 2, "/data/a\\012b\\040\\134", FINE, "ext4").bytes());
        table.extend([b"31 2 0:6 / /data/", name, b" ", how.as_bytes(), b" - fuse no\\040ne rw\n"].concat());
        compare(&table, &plan)
    };
    let names: [&[u8]; 5] = [&[0xff; 255], b"\\040-\\040", b"x\\012/", "\u{fffd}".as_bytes(), b"-/-"];
    for name in names {
        assert_eq!(compare(name, FINE), Ok(()), "{name:?}");
        assert_eq!(compare(name, "rw,nosuid,nodev"), Err(1), "{name:?}");
        assert_eq!(compare(name, "ro,nosuid,nodev shared:7 propagate_from:2"), Err(1), "{name:?}");
    }
    // Not the planned one, though it would be if it were made text.
    let plan = [expect("/", None), expect("/\u{fffd}", None)];
    let mut lossy = line("/", FINE, "", "ext4").into_bytes();
    lossy.extend(b"31 1 0:6 / /\xff ro,nosuid,nodev - ext4 none rw\n");
    assert_eq!(super::compare(&lossy, &plan), Err(1));
}
