//! Golden groups: what the same limits become on hosts whose control groups are described here, as
//! data. Run with `UPDATE_GOLDEN=1` to write them anew after a change that was meant.
//!
//! Must not know: the control groups of the host that runs the tests.

use crate::plans::{compare, golden};
use crate::ring::Ring::Pure;
use crate::ring::{Test, test};
use jail::jail::limits::facts::{Cgroups, Hierarchy, Level, NoDisk, Version, Weighting};
use jail::jail::limits::{Group, groups};
use jail::jail::path::AbsPath;
use jail::problem::{Paint, Problems, Sources};
use jail::spec::Device;
use std::fmt::Write as _;

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    let layouts = LAYOUTS.iter().map(|(name, layout)| {
        test(Pure, format!("layouts::{name}"), move || {
            let file = golden(&format!("layouts/{name}.txt"));
            compare(&file, &format!("{}{}", said(ALL, &layout()), said(FEW, &layout())));
        })
    });
    let mut tests: Vec<Test> = layouts.collect();
    tests.push(test(Pure, "layouts::what_no_kernel_can_enforce_is_said", what_no_kernel_can_enforce_is_said));
    tests
}

/// Everything that each version has.
const ALL: &str = "[limits]
memory = \"256M\"
swap = \"64M\"
cpu = \"150%\"
cpu-weight = 50
cpus = \"0-2\"
tasks = 64
io-read = \"10M\"
io-write = \"20M, 500 iops\"
io = [{ path = \"/var/lib/x\", write = \"1M\" }]
io-weight = 200
";

/// What only version 2 has.
const FEW: &str = "[limits]\nmemory-high = \"200M\"\n";

type Layout = fn() -> Cgroups;

const LAYOUTS: &[(&str, Layout)] = &[
    ("none", none),
    ("v1", v1),
    ("hybrid", hybrid),
    ("hybrid_with_systemd", hybrid_with_systemd),
    ("v2", v2),
    ("v2_own_group", v2_own_group),
    ("v2_own_group_with_others", v2_own_group_with_others),
    ("delegated_unit", delegated_unit),
    ("delegated_unit_subgroup", delegated_unit_subgroup),
    ("inside_a_limited_group", inside_a_limited_group),
    ("systemd_not_delegated", systemd_not_delegated),
    ("systemd_root", systemd_root),
    ("rootless_delegated", rootless_delegated),
    ("rootless_session", rootless_session),
    ("controller_disabled_above", controller_disabled_above),
    ("container", container),
    ("container_read_only", container_read_only),
    ("container_without_a_controller", container_without_a_controller),
    ("outside_of_the_mount", outside_of_the_mount),
];

const EVERY: &[&str] = &["cpuset", "cpu", "io", "memory", "hugetlb", "pids"];

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

fn abs(path: &str) -> AbsPath {
    AbsPath::new(path).unwrap()
}

/// A group with these controllers, of which these are passed on.
fn level(path: &str, controllers: &[&str], enabled: &[&str]) -> Level {
    Level {
        path: abs(path),
        controllers: words(controllers),
        enabled: words(enabled),
        delegated: false,
        writable: true,
    }
}

/// Version 2, mounted whole, with every controller passed on down to the last level.
fn unified(paths: &[&str]) -> Hierarchy {
    let last = paths.len() - 1;
    let levels =
        paths.iter().enumerate().map(|(i, path)| level(path, EVERY, if i < last { EVERY } else { &[] }));
    Hierarchy { version: Version::Two, levels: levels.collect(), whole: true, ..Hierarchy::default() }
}

fn legacy(controllers: &[&str], paths: &[&str]) -> Hierarchy {
    let cpuset = controllers.contains(&"cpuset").then(|| ("0-3".into(), "0".into()));
    let levels = paths.iter().map(|path| level(path, &[], &[])).collect();
    Hierarchy {
        version: Version::One,
        controllers: words(controllers),
        levels,
        whole: true,
        cpuset,
        others: 3,
    }
}

fn with(hierarchies: Vec<Hierarchy>) -> Cgroups {
    let disk = |major, minor| Device { major, minor };
    Cgroups {
        hierarchies,
        systemd: false,
        unique: "01234567".into(),
        cpus: vec![0, 1, 2, 3],
        disks: vec![disk(8, 0), disk(253, 1)],
        paths: [(abs("/var/lib/x"), Ok(vec![disk(8, 0)]))].into(),
        devices: Default::default(),
        weighting: Weighting::Bfq,
    }
}

fn none() -> Cgroups {
    with(Vec::new())
}

fn v1() -> Cgroups {
    let top = |name: &str| format!("/sys/fs/cgroup/{name}");
    let each = [&["cpu", "cpuacct"][..], &["cpuset"], &["memory"], &["pids"], &["blkio"], &["freezer"]];
    with(each.iter().map(|names| legacy(names, &[&top(&names.join(","))])).collect())
}

/// Controllers in version 1, and a version 2 that has almost none.
fn hybrid() -> Cgroups {
    let mut cgroups = v1();
    cgroups.hierarchies[2].levels.push(level("/sys/fs/cgroup/memory/group/a1", &[], &[]));
    let mut unified = unified(&["/sys/fs/cgroup/unified"]);
    unified.levels[0].controllers = words(&["hugetlb"]);
    cgroups.hierarchies.push(unified);
    cgroups
}

/// As hybrid, where systemd gives all controllers to the unit.
fn hybrid_with_systemd() -> Cgroups {
    let mut cgroups = v1();
    for hierarchy in &mut cgroups.hierarchies {
        let path = hierarchy.levels[0].path.join("system.slice").join("web.service");
        hierarchy.levels.push(level(path.as_str(), &[], &[]));
    }
    cgroups.systemd = true;
    let mut unified = unified(&["/sys/fs/cgroup/unified", "/sys/fs/cgroup/unified/system.slice/web.service"]);
    unified.levels.iter_mut().for_each(|level| level.controllers.clear());
    unified.levels[1].delegated = true;
    cgroups.hierarchies.push(unified);
    // For old programs the units are there, too, but not marked.
    let own = "/sys/fs/cgroup/systemd/system.slice/web.service";
    cgroups.hierarchies.push(legacy(&["name=systemd"], &["/sys/fs/cgroup/systemd", own]));
    cgroups
}

fn v2() -> Cgroups {
    let mut cgroups = with(vec![unified(&["/sys/fs/cgroup"])]);
    cgroups.hierarchies[0].others = 90;
    cgroups.weighting = Weighting::Cost;
    cgroups
}

fn v2_own_group() -> Cgroups {
    with(vec![unified(&["/sys/fs/cgroup", "/sys/fs/cgroup/services"])])
}

fn v2_own_group_with_others() -> Cgroups {
    let mut cgroups = v2_own_group();
    cgroups.hierarchies[0].others = 2;
    cgroups
}

const SERVICE: &[&str] =
    &["/sys/fs/cgroup", "/sys/fs/cgroup/system.slice", "/sys/fs/cgroup/system.slice/web.service"];

fn systemd(paths: &[&str], delegated: Option<usize>) -> Cgroups {
    let mut cgroups = with(vec![unified(paths)]);
    cgroups.systemd = true;
    if let Some(index) = delegated {
        cgroups.hierarchies[0].levels[index].delegated = true;
    }
    cgroups
}

fn delegated_unit() -> Cgroups {
    systemd(SERVICE, Some(2))
}

/// DelegateSubgroup=supervisor: others may be there.
fn delegated_unit_subgroup() -> Cgroups {
    let paths = [SERVICE, &["/sys/fs/cgroup/system.slice/web.service/supervisor"]].concat();
    let mut cgroups = systemd(&paths, Some(2));
    cgroups.hierarchies[0].others = 5;
    cgroups
}

/// Not beside it: its limits would be left.
fn inside_a_limited_group() -> Cgroups {
    let own = "/sys/fs/cgroup/system.slice/web.service/jail";
    systemd(&[SERVICE, &[own, &format!("{own}/shell-76543210")]].concat(), Some(2))
}

fn systemd_not_delegated() -> Cgroups {
    let paths = ["/sys/fs/cgroup", "/sys/fs/cgroup/user.slice", "/sys/fs/cgroup/user.slice/session-1.scope"];
    systemd(&paths, None)
}

fn systemd_root() -> Cgroups {
    systemd(&["/sys/fs/cgroup"], None)
}

/// systemd-run --user --scope -p Delegate=yes: the manager of the user is itself delegated.
fn rootless_delegated() -> Cgroups {
    let user = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service";
    let mut cgroups = systemd(
        &["/sys/fs/cgroup", user, &format!("{user}/app.slice"), &format!("{user}/app.slice/run-1.scope")],
        Some(3),
    );
    let given = words(&["cpu", "memory", "pids"]);
    let levels = &mut cgroups.hierarchies[0].levels;
    (levels[0].writable, levels[1].delegated) = (false, true);
    levels[0].enabled = given.clone();
    levels.iter_mut().skip(1).for_each(|level| level.controllers = given.clone());
    cgroups
}

fn rootless_session() -> Cgroups {
    let mut cgroups = systemd_not_delegated();
    cgroups.hierarchies[0].levels.iter_mut().for_each(|level| level.writable = false);
    cgroups
}

fn controller_disabled_above() -> Cgroups {
    let mut cgroups = with(vec![unified(&["/sys/fs/cgroup", "/sys/fs/cgroup/a", "/sys/fs/cgroup/a/b"])]);
    let levels = &mut cgroups.hierarchies[0].levels;
    levels[0].enabled = words(&["cpu", "io", "memory", "pids", "cpuset"]);
    levels[1].enabled = words(&["cpu", "pids"]);
    levels[2].controllers = words(&["cpu", "pids"]);
    cgroups
}

/// A namespace of cgroups whose top is the container's group.
fn container() -> Cgroups {
    let mut cgroups = with(vec![unified(&["/sys/fs/cgroup"])]);
    cgroups.hierarchies[0].whole = false;
    cgroups
}

fn container_read_only() -> Cgroups {
    let mut cgroups = container();
    cgroups.hierarchies[0].levels[0].writable = false;
    cgroups
}

fn container_without_a_controller() -> Cgroups {
    let mut cgroups = container();
    cgroups.hierarchies[0].levels[0].controllers = words(&["cpu", "pids"]);
    cgroups
}

fn outside_of_the_mount() -> Cgroups {
    let mut cgroups = container();
    cgroups.hierarchies[0].levels.clear();
    cgroups
}

fn limited(text: &str, cgroups: &Cgroups) -> (Result<Vec<Group>, Problems>, Sources) {
    let mut sources = Sources::default();
    let source = sources.add("web.toml", text);
    let mut problems = Problems::default();
    let spec = jail::spec::parse::parse(text, source, &mut problems);
    assert_eq!(problems.0, []);
    (groups("web", &spec.limits, cgroups), sources)
}

/// Every write, as `group: file = text`, or what is wrong.
fn said(text: &str, cgroups: &Cgroups) -> String {
    let (groups, sources) = limited(text, cgroups);
    let groups = match groups {
        Err(problems) => {
            return format!("exit {}\n{}", problems.code(), problems.render(&sources, Paint(false)));
        }
        Ok(groups) => groups,
    };
    let mut out = String::new();
    for group in groups {
        writeln!(out, "{} ({:?})", group.controllers.join(" "), group.version).unwrap();
        if let Some(leaf) = &group.leaf {
            writeln!(out, "  {leaf}: cgroup.procs = the outer process").unwrap();
        }
        for write in &group.above {
            writeln!(out, "  {}: {} = {}", group.base, write.file, write.text).unwrap();
        }
        for write in &group.limits {
            writeln!(out, "  {}: {} = {}", group.path, write.file, write.text).unwrap();
        }
    }
    out
}

fn what_no_kernel_can_enforce_is_said() {
    let refused = |text: &str, change: fn(&mut Cgroups)| {
        let mut cgroups = v1();
        change(&mut cgroups);
        let (groups, sources) = limited(&format!("[limits]\n{text}\n"), &cgroups);
        groups.expect_err(text).render(&sources, Paint(false))
    };
    let plain = |_: &mut Cgroups| {};
    for (said, part) in [
        (refused("swap = \"0\"", plain), "cgroup v1 limits memory and swap together"),
        (refused("cpus = \"2-5\"", plain), "there is no CPU 4, 5 for jail here"),
        (
            refused("io-weight = 1", |c| c.weighting = Weighting::Nothing),
            "no disk of this host is shared by weight",
        ),
        (refused("io-read = 1", |c| c.disks.clear()), "nothing of a disk is mounted here"),
        (refused("io = [{ device = \"9:9\", read = 1 }]", plain), "there is no block device 9:9"),
        (
            refused("io = [{ path = \"/tmp\", read = 1 }]", |c| {
                c.paths.insert(abs("/tmp"), Err(NoDisk::FileSystem("tmpfs".into())));
            }),
            "/tmp is on tmpfs, which is on no disk",
        ),
        (
            refused("io = [{ path = \"/srv\", read = 1 }]", |c| {
                c.paths.insert(abs("/srv"), Err(NoDisk::Missing(2)));
            }),
            "cannot find the disk of /srv: No such file or directory",
        ),
    ] {
        assert!(said.contains(part) && said.contains("web.toml:2:") && said.contains("help: "), "{said}");
    }
}
