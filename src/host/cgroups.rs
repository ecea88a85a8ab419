//! Control groups as they are mounted here, and where in them this process is.
//!
//! Must not know: which of them are used.

use super::disks;
use crate::jail::limits::facts::{Asked, Cgroups, Hierarchy, Level, Version};
use crate::jail::path::AbsPath;
use crate::spec::value::limits::cpus;
use rustix::fs::{Access, AtFlags, CWD};
use std::hash::BuildHasher;
use std::os::unix::fs::MetadataExt;

/// Looks at all of them.
pub fn cgroups(asked: &Asked) -> Cgroups {
    let mounts = mounts(&read("/proc/self/mountinfo").unwrap_or_default());
    let own = read("/proc/self/cgroup").unwrap_or_default();
    Cgroups {
        hierarchies: hierarchies(&mounts, &own),
        systemd: std::path::Path::new("/run/systemd/system").is_dir(),
        unique: unique(),
        cpus: allowed_cpus(),
        disks: disks::mounted(&mounts),
        paths: asked.paths.iter().map(|path| (path.clone(), disks::of_path(path, &mounts))).collect(),
        devices: asked.devices.iter().map(|device| (*device, disks::whole(*device))).collect(),
        weighting: disks::weighting(),
    }
}

/// One line of mountinfo (proc_pid_mountinfo(5)).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mount {
    /// Major and minor number of its file system.
    pub device: (u32, u32),
    /// What of the file system is seen.
    pub root: String,
    /// Where.
    pub point: String,
    /// File system type.
    pub kind: String,
    /// What was mounted.
    pub source: String,
    /// Options of the file system.
    pub options: String,
}

/// The mount table, but for paths that are not text.
pub fn mounts(table: &str) -> Vec<Mount> {
    table.lines().filter_map(mount).collect()
}

fn mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut fields = before.split(' ').skip(2);
    let (major, minor) = fields.next()?.split_once(':')?;
    let (root, point) = (unescaped(fields.next()?)?, unescaped(fields.next()?)?);
    let mut rest = after.splitn(3, ' ');
    Some(Mount {
        device: (major.parse().ok()?, minor.parse().ok()?),
        root,
        point,
        kind: rest.next()?.to_owned(),
        source: unescaped(rest.next()?)?,
        options: unescaped(rest.next()?)?,
    })
}

/// Blanks and backslashes are written as three octal digits.
fn unescaped(text: &str) -> Option<String> {
    let mut parts = text.split('\\');
    let mut out = parts.next()?.as_bytes().to_vec();
    for part in parts {
        out.push(u8::from_str_radix(part.get(..3)?, 8).ok()?);
        out.extend_from_slice(part.as_bytes().get(3..)?);
    }
    String::from_utf8(out).ok()
}

/// The hierarchies of a mount table, with the path in each that /proc/self/cgroup says.
fn hierarchies(mounts: &[Mount], own: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for mount in mounts.iter().filter(|mount| matches!(mount.kind.as_str(), "cgroup" | "cgroup2")) {
        let version = if mount.kind == "cgroup" { Version::One } else { Version::Two };
        let controllers = own_controllers(mount, own);
        if version == Version::One && controllers.is_empty() {
            continue;
        }
        // The same may be mounted at several places: the first that shows the caller's group counts.
        let known =
            found.iter().position(|known| known.version == version && known.controllers == controllers);
        if known.is_some_and(|index| !found[index].levels.is_empty()) {
            continue;
        }
        let path = own_path(own, &controllers).and_then(|path| directory(mount, path));
        let levels = path.map_or(Vec::new(), |path| levels(&mount.point, &path, version));
        let hierarchy = Hierarchy {
            version,
            whole: read(&format!("{}/cgroup.type", mount.point)).is_none(),
            others: levels.last().map_or(0, |level| others(&level.path)),
            cpuset: levels.last().filter(|_| controllers.iter().any(|c| c == "cpuset")).and_then(cpuset),
            controllers,
            levels,
        };
        match known {
            Some(index) => found[index] = hierarchy,
            None => found.push(hierarchy),
        }
    }
    found
}

/// Of version 1: those of /proc/self/cgroup that are among the options; empty for version 2.
fn own_controllers(mount: &Mount, own: &str) -> Vec<String> {
    if mount.kind == "cgroup2" {
        return Vec::new();
    }
    let options: Vec<&str> = mount.options.split(',').collect();
    let lists = own.lines().filter_map(|line| line.split(':').nth(1)).filter(|list| !list.is_empty());
    let list = lists.into_iter().find(|list| list.split(',').all(|c| options.contains(&c)));
    list.map_or(Vec::new(), |list| list.split(',').map(str::to_owned).collect())
}

fn own_path<'a>(own: &'a str, controllers: &[String]) -> Option<&'a str> {
    own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        (fields.next()? == controllers.join(",")).then_some(())?;
        fields.next()
    })
}

/// Where a path of /proc/self/cgroup is below a mount; `None`: it lies above or beside what is seen.
fn directory(mount: &Mount, path: &str) -> Option<AbsPath> {
    let (path, root) = (AbsPath::new(path).ok()?, AbsPath::new(&mount.root).ok()?);
    path.rebase(&root, &AbsPath::new(&mount.point).ok()?)
}

fn levels(top: &str, own: &AbsPath, version: Version) -> Vec<Level> {
    let Ok(top) = AbsPath::new(top) else { return Vec::new() };
    let mut paths: Vec<AbsPath> = own.ancestors().filter_map(|up| AbsPath::new(up).ok()).collect();
    paths.insert(0, own.clone());
    paths.retain(|path| path.is_within(&top));
    paths.reverse();
    paths.into_iter().map(|path| level(path, version)).collect()
}

fn level(path: AbsPath, version: Version) -> Level {
    let words = |name: &str| -> Vec<String> {
        let text = read(path.join(name).as_str()).unwrap_or_default();
        text.split_whitespace().map(str::to_owned).collect()
    };
    let two = version == Version::Two;
    Level {
        controllers: if two { words("cgroup.controllers") } else { Vec::new() },
        enabled: if two { words("cgroup.subtree_control") } else { Vec::new() },
        delegated: delegated(&path),
        writable: rustix::fs::accessat(CWD, path.as_str(), Access::WRITE_OK, AtFlags::EACCESS).is_ok(),
        path,
    }
}

/// systemd sets one of these to 1 on what it delegates (CGROUP_DELEGATION of systemd). What a user's own
/// manager delegates can be told only since 251, if at all: there what is the user's counts, who may do
/// with it as they like.
fn delegated(path: &AbsPath) -> bool {
    let user = rustix::process::geteuid();
    let manager = format!("user@{}.service", user.as_raw());
    let own = || std::fs::metadata(path.as_str()).is_ok_and(|meta| meta.uid() == user.as_raw());
    if !user.is_root() && path.ancestors().any(|up| up.ends_with(&manager)) && own() {
        return true;
    }
    ["trusted.delegate", "user.delegate"].iter().any(|name| {
        let mut value = [0u8; 8];
        rustix::fs::getxattr(path.as_str(), *name, &mut value[..]).is_ok_and(|n| value.get(..n) == Some(b"1"))
    })
}

fn others(group: &AbsPath) -> usize {
    let own = std::process::id().to_string();
    let text = read(group.join("cgroup.procs").as_str()).unwrap_or_default();
    text.lines().filter(|pid| *pid != own).count()
}

fn cpuset(level: &Level) -> Option<(String, String)> {
    let of = |name: &str| Some(read(level.path.join(name).as_str())?.trim().to_owned());
    Some((of("cpuset.effective_cpus")?, of("cpuset.effective_mems")?))
}

fn allowed_cpus() -> Vec<u32> {
    let status = read("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.and_then(|list| cpus(list.trim()).ok()).unwrap_or_default()
}

/// Two starts never take one group: the kernel makes each directory once. This only keeps them from
/// trying.
fn unique() -> String {
    let random = std::collections::hash_map::RandomState::new().hash_one(std::process::id());
    format!("{:08x}", random & 0xffff_ffff)
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /nowhere/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
40 31 0:37 / /nowhere/systemd rw - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 /docker/1 /nowhere/unified rw - cgroup2 cgroup2 rw
27 1 254:0 / /srv/a\\040b rw - ext4 /dev/vda rw,discard
";

    #[test]
    fn the_mount_table_is_read() {
        let mounts = mounts(TABLE);
        assert_eq!(mounts.len(), 5);
        assert_eq!(mounts[4].point, "/srv/a b");
        assert_eq!((mounts[4].device, mounts[4].source.as_str()), ((254, 0), "/dev/vda"));
        assert_eq!(mounts[1].options, "rw,cpu,cpuacct");
        assert_eq!(unescaped("a\\04"), None);
    }

    #[test]
    fn every_hierarchy_has_its_controllers_and_the_way_to_the_own_group() {
        let own = |two: &str| format!("5:cpu,cpuacct:/a/b\n1:name=systemd:/\n0::{two}\n");
        let found = hierarchies(&mounts(TABLE), &own("/docker/1/x"));
        let paths = |n: usize| found[n].levels.iter().map(|l| l.path.as_str()).collect::<Vec<_>>();
        assert_eq!(found.len(), 3);
        assert_eq!(found[0].controllers, ["cpu", "cpuacct"]);
        assert_eq!(paths(0), ["/nowhere/cpu,cpuacct", "/nowhere/cpu,cpuacct/a", "/nowhere/cpu,cpuacct/a/b"]);
        assert_eq!(
            (found[1].controllers.as_slice(), paths(1)),
            (&["name=systemd".to_owned()][..], vec!["/nowhere/systemd"])
        );
        assert_eq!(
            (found[2].version, paths(2)),
            (Version::Two, vec!["/nowhere/unified", "/nowhere/unified/x"])
        );
        let outside = hierarchies(&mounts(TABLE), &own("/docker/2"));
        assert!(outside[2].levels.is_empty());
        let above = hierarchies(&mounts(TABLE), &own("/../x"));
        assert!(above[2].levels.is_empty());
    }

    #[test]
    fn this_host_is_looked_at() {
        let cgroups = cgroups(&Asked::default());
        assert!(!cgroups.cpus.is_empty() && cgroups.unique.len() == 8);
        assert_ne!(cgroups.unique, super::unique());
    }
}
