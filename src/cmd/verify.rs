//! `jail verify`: the prober in a jail, everything tried, and what came of it.
//!
//! Must not know: what is tried, or what it means (that is `verify`).

use super::{Ended, make_plan, output, run};
use crate::apply::{self, table};
use crate::cli::Target;
use crate::host::processes;
use crate::jail::network::Endpoint;
use crate::jail::path::AbsPath;
use crate::plan::view::{self, Sight};
use crate::plan::{Plan, Step};
use crate::problem::{Problem, Problems, Sources};
use crate::seccomp::Action;
use crate::serve::prober::{self as talk, Prober, Side, Silent};
use crate::verify::batch::Batch;
use crate::verify::expect::{self, Ipc, World};
use crate::verify::outside::{self, Observation};
use crate::verify::{Promise, judge, prober, render, sweep};
use nix::errno::Errno;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::{Duration, Instant};

/// Longest wait for something that takes a moment.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tries every promise of a jail and prints what holds.
pub fn verify(
    target: &Target,
    json: bool,
    strict: bool,
    words: &[String],
    sources: &mut Sources,
) -> Result<Ended, Problems> {
    let plan = make_plan(target, words, sources)?;
    let real = sabotaged(&plan)?;
    // What is made outside has to be taken away again: a signal waits that long.
    crate::sys::signal::block_all().map_err(cannot_start)?;
    let probed = prober::plan(&real);
    let mut world = World { page: page_size(), ..World::default() };
    compare_with_outside(&mut world).map_err(|silent| no_answer(silent, "a prober outside"))?;
    // They stay open until the end, to be reached or not.
    let ways = Ways::open(&mut world)?;
    let mut jail = match talk::start(&probed).map_err(cannot_start)? {
        Side::Observer(jail) => jail,
        // What went wrong is told by this process, as by any run.
        Side::Jail(outcome) => {
            // They are the other's to close.
            std::mem::forget(ways);
            return run::ended(&probed, outcome, sources);
        }
    };
    let program = match program(&jail, probed.supervision.pid_namespace) {
        Some(program) => program,
        None => return failed(jail),
    };
    look_around(&plan, program, &mut world);
    // Before any attempt, which may change them.
    let (mounts, descriptors) = (difference(&plan, program), processes::look(program, true).descriptors);
    let mut promises = expect::promises(&plan, &world);
    let tried = try_all(&plan, &real, &mut jail, &mut promises);
    tried.map_err(|(silent, what)| no_answer(silent, &what))?;
    let mut seen = Observation { mounts, ..observe(&plan, &jail, program) };
    if let Some(program) = seen.processes.first_mut() {
        program.descriptors = descriptors;
    }
    outside::judge(&plan, &seen, &mut promises);
    drop(ways);
    report(&plan.name, &promises, json, strict)
}

fn report(name: &str, promises: &[Promise], json: bool, strict: bool) -> Result<Ended, Problems> {
    output::print(&if json {
        render::json(name, promises)
    } else {
        render::text(name, promises, output::paint(&std::io::stdout()))
    })?;
    let count = render::count(promises);
    let well = count.open == 0 && !(strict && count.given_up > 0);
    Ok(if well { Ended::SUCCESS } else { Ended::Code(1) })
}

/// Test hook: debug builds leave out the step whose number is in `JAIL_WEAKEN_STEP`.
#[cfg(debug_assertions)]
fn sabotaged(plan: &Plan) -> Result<Plan, Problems> {
    let Some(number) = std::env::var("JAIL_WEAKEN_STEP").ok().and_then(|n| n.parse().ok()) else {
        return Ok(plan.clone());
    };
    let weakened = crate::verify::sabotage::weakened(plan, number);
    weakened.ok_or_else(|| Problem::usage("this step cannot be spared").into())
}

#[cfg(not(debug_assertions))]
fn sabotaged(plan: &Plan) -> Result<Plan, Problems> {
    Ok(plan.clone())
}

fn page_size() -> u64 {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE);
    size.ok().flatten().and_then(|n| u64::try_from(n).ok()).unwrap_or(4096)
}

fn cannot_start(errno: Errno) -> Problems {
    Problem::set_up(format!("cannot start the prober: {}", errno.desc()))
        .help("is the sysctl vm.memfd_noexec set to 2?")
        .into()
}

fn no_answer(silent: Silent, what: &str) -> Problems {
    Problem::set_up(format!("the prober gave no answer to: {what} ({})", silent.0.desc()))
        .help("nothing is proved; if it was killed, who did it? else please report it")
        .into()
}

/// What only a process without a jail can tell.
fn compare_with_outside(world: &mut World) -> Result<(), Silent> {
    let prober = talk::outside().map_err(Silent)?;
    let layers = prober.ask(&expect::landlock_layers())?;
    let stacked = layers.results.iter().skip(3).filter(|r| r.is_some_and(|n| n >= 0)).count();
    world.layers = Some(stacked).filter(|n| *n > 0);
    world.keyring = prober.ask(&expect::session_keyring())?.result(0).filter(|n| *n >= 0);
    prober.finish().map_err(Silent)?;
    Ok(())
}

/// Ways to a process outside.
struct Ways {
    _tcp: TcpListener,
    _abstract: UnixListener,
    prober: Prober,
    ipc: Ipc,
}

impl Drop for Ways {
    fn drop(&mut self) {
        if self.prober.ask(&expect::remove_ipc(&self.ipc)).is_err() {
            log::warn!("objects of IPC with the key {:#x} may be left", self.ipc.key);
        }
    }
}

impl Ways {
    fn open(world: &mut World) -> Result<Ways, Problems> {
        let cannot = |error| Problem::set_up(format!("cannot listen for what should not come: {error}"));
        let tcp = TcpListener::bind("127.0.0.1:0").map_err(cannot)?;
        world.port = tcp.local_addr().map_err(cannot)?.port();
        world.outside = std::process::id().cast_signed();
        world.socket = format!("jail-verify-{}", world.outside);
        let address = SocketAddr::from_abstract_name(&world.socket).map_err(cannot)?;
        let listener = UnixListener::bind_addr(&address).map_err(cannot)?;
        let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
        world.first_port = first.ok().and_then(|t| t.trim().parse().ok()).unwrap_or(1024);
        let prober = talk::outside().map_err(cannot_start)?;
        let (key, queue) =
            (0x7a11_0000 | i64::from(world.outside & 0xffff), format!("jail-verify-{}", world.outside));
        let ipc = Ipc { key, queue, ids: [None; 3] };
        let made =
            prober.ask(&expect::make_ipc(&ipc)).map_err(|silent| no_answer(silent, "make IPC objects"))?;
        let ids = [0, 1, 2].map(|kind| made.result(kind).filter(|id| *id >= 0));
        world.ipc = Ipc { ids, ..ipc };
        Ok(Ways { _tcp: tcp, _abstract: listener, prober, ipc: world.ipc.clone() })
    }
}

/// Waits until the prober answers and pid 1 is what it will stay.
fn program(jail: &Prober, pid_namespace: bool) -> Option<i32> {
    jail.ask(&Batch::lasting()).ok()?;
    if !pid_namespace {
        return Some(jail.child);
    }
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        let init = processes::children(jail.child).first().copied();
        let ready = init.filter(|pid| processes::text(*pid, "comm").is_some_and(|c| c.trim() == "jail-init"));
        if let Some(program) = ready.and_then(|init| processes::children(init).first().copied()) {
            return Some(program);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    None
}

/// The jail was not set up: its own process has said why.
fn failed(jail: Prober) -> Result<Ended, Problems> {
    match jail.finish() {
        Ok(Some(code @ 1..=127)) => Ok(Ended::Code(code.to_le_bytes()[0])),
        other => {
            Err(Problem::set_up(format!("the jail ended before the prober could answer ({other:?})")).into())
        }
    }
}

/// Paths that those who break in ask for first.
const WANTED: &[&str] = &[
    "/etc/shadow",
    "/etc/sudoers",
    "/etc/ssh",
    "/etc/ssl/private",
    "/etc/machine-id",
    "/etc/fstab",
    "/etc/crontab",
    "/root",
    "/home",
    "/boot",
    "/mnt",
    "/media",
    "/opt",
    "/srv",
    "/sys",
    "/sys/kernel",
    "/run/systemd",
    "/run/docker.sock",
    "/run/dbus/system_bus_socket",
    "/var/lib",
    "/var/log",
    "/var/spool/cron",
    "/var/backups",
    "/dev/mem",
    "/dev/kmsg",
];

/// The mounts there are, and the paths of the host that are not there.
fn look_around(plan: &Plan, program: i32, world: &mut World) {
    for path in table::places(&processes::bytes(program, "mountinfo").unwrap_or_default()) {
        let directory = processes::is_directory(program, path.as_str());
        world.mounts.push((path, directory));
    }
    let mut paths: Vec<AbsPath> = WANTED.iter().filter_map(|p| AbsPath::new(p).ok()).collect();
    let mut parents = vec![AbsPath::root()];
    for planned in &plan.steps {
        if let Step::OpenTree { source, .. } | Step::OpenFile { source, .. } = &planned.step {
            parents.extend(source.parent());
        }
    }
    parents.sort();
    parents.dedup();
    for parent in parents {
        let entries = std::fs::read_dir(parent.as_str()).into_iter().flatten().flatten();
        let names = entries.filter_map(|e| e.file_name().into_string().ok());
        paths.extend(names.filter_map(|n| AbsPath::new(parent.join(&n).as_str()).ok()));
    }
    paths.sort();
    paths.dedup();
    world.hidden = paths.into_iter().filter(|path| is_hidden(plan, path)).collect();
}

/// A path that a program inside should not find.
fn is_hidden(plan: &Plan, path: &AbsPath) -> bool {
    if expect::is_hidden(plan, path) {
        return true;
    }
    // A host directory that is `/`: what it does not have.
    let foreign = plan.steps.iter().any(|p| matches!(p.step, Step::AttachRoot { .. }));
    match view::look(plan, path) {
        Sight::Host { path: source, .. } if foreign && path.depth() == 1 => {
            std::fs::symlink_metadata(source.as_str()).is_err()
        }
        _ => false,
    }
}

type Unanswered = (Silent, String);

/// Makes every attempt: those that need no filter to be refused, then the filter, then the rest.
fn try_all(plan: &Plan, real: &Plan, jail: &mut Prober, promises: &mut [Promise]) -> Result<(), Unanswered> {
    let policy = prober::policy(plan);
    let named = |what: &str| {
        let what = what.to_owned();
        move |silent| (silent, what)
    };
    attempts(jail, promises, true)?;
    // Before the sweep without the policy, so that what the sweeps differ in is the policy's alone.
    if let Some(batch) = prober::install_for_ports(real) {
        install(jail, &batch)?;
    }
    let cases = sweep::native(policy);
    let before = match policy {
        Some(_) => sweep::run(&cases, |b| jail.ask(b)).map_err(named("every call, without the filter"))?,
        None => Vec::new(),
    };
    if let Some(policy) = prober::policy(real) {
        install(jail, &prober::install(policy))?;
        jail.children = ["clone", "wait4"].iter().all(|call| policy.allows_named(call));
        if policy.is(Action::Kill) && !jail.children {
            // Every attempt would be the last.
            return Err((Silent(Errno::EPERM), "a filter that kills, without clone and wait4".into()));
        }
    }
    attempts(jail, promises, false)?;
    let after = match policy {
        Some(_) => sweep::run(&cases, |b| jail.ask(b)).map_err(named("every call"))?,
        None => Vec::new(),
    };
    let walls = policy.is_some_and(|p| !p.is(Action::Log));
    let foreign = sweep::foreign(policy.is_some());
    let others = sweep::run(&foreign, |b| jail.ask(b)).map_err(named("every call by another entry"))?;
    let given = plan.given_up.iter().find(|g| g.what == "seccomp").map(|g| g.by.clone());
    for promise in promises {
        match promise.name {
            sweep::CALLS => sweep::judge_native(promise, policy, given.clone(), &cases, &before, &after),
            sweep::ENTRIES => {
                let given = given.as_ref().filter(|_| !walls);
                sweep::judge_foreign(promise, given, &foreign, &others);
            }
            _ => {}
        }
    }
    Ok(())
}

fn install(jail: &Prober, filter: &Batch) -> Result<(), Unanswered> {
    let installed = jail.ask(filter).map_err(|silent| (silent, "install a filter".to_owned()))?;
    let result = installed.results.last().copied().flatten();
    log::debug!("a filter was installed: {result:?}");
    Ok(())
}

fn attempts(jail: &Prober, promises: &mut [Promise], bare: bool) -> Result<(), Unanswered> {
    // Those that would change the jail for all others come last.
    let (last, first): (Vec<_>, Vec<_>) = promises.iter_mut().partition(|p| p.name == "mount");
    for promise in first.into_iter().chain(last) {
        for attempt in promise.attempts.iter().filter(|a| a.bare == bare) {
            log::trace!("{}: {}", promise.name, attempt.what);
            let reply = jail.ask(&attempt.batch).map_err(|silent| (silent, attempt.what.clone()))?;
            log::trace!("  {:?} {:?}", reply.results, reply.status);
            promise.findings.push(judge(attempt, &reply));
        }
    }
    Ok(())
}

/// Looks at every process of the jail, then ends it as the kernel would if this machine killed the
/// outer process, and looks whether anything is left.
fn observe(plan: &Plan, jail: &Prober, program: i32) -> Observation {
    let status = processes::text(std::process::id().cast_signed(), "status").unwrap_or_default();
    let filters = outside::status_field(&status, "Seccomp_filters").and_then(|n| n.parse().ok());
    let own = processes::namespaces("self");
    let mut seen = Observation { own, filters: filters.unwrap_or(0), ..Observation::default() };
    seen.processes.push(processes::look(program, true));
    if plan.supervision.pid_namespace {
        let inits = processes::children(jail.child);
        seen.processes.extend(inits.iter().map(|pid| processes::look(*pid, false)));
    }
    let pids: Vec<i32> = seen.processes.iter().map(|p| p.pid).collect();
    seen.left = match jail.kill() {
        Err(errno) => Some(format!("the outer process could not be killed: {}", errno.desc())),
        Ok(()) => left(&pids),
    };
    if let Err((path, errno)) = remove_sockets(plan, &mut seen.sockets) {
        seen.left = Some(format!("the socket {path} could not be removed: {}", errno.desc()));
    }
    seen
}

/// Removes what the outer process would have removed at any other end, and notes it.
fn remove_sockets(plan: &Plan, left: &mut Vec<String>) -> Result<(), (AbsPath, Errno)> {
    for planned in &plan.steps {
        if let Step::Listen { socket, .. } = &planned.step
            && let Endpoint::Unix { path, .. } = &socket.endpoint
            && apply::remove_left_over_socket(path).map_err(|errno| (path.clone(), errno))?
        {
            left.push(socket.endpoint.to_string());
        }
    }
    Ok(())
}

fn difference(plan: &Plan, program: i32) -> Option<String> {
    let expected = plan.steps.iter().find_map(|p| match &p.step {
        Step::CheckMounts(expected) => Some(expected),
        _ => None,
    })?;
    let Some(text) = processes::bytes(program, "mountinfo") else {
        return Some("the mount table could not be read".into());
    };
    let index = table::compare(&text, expected).err()?;
    Some(match expected.get(index) {
        Some(mount) => format!("the mount at {} is missing, doubled, or weaker than planned", mount.path),
        None => "there is a mount that nobody planned".into(),
    })
}

/// Processes that outlive their jail.
fn left(pids: &[i32]) -> Option<String> {
    let begin = Instant::now();
    loop {
        let alive: Vec<String> = pids.iter().filter(|p| processes::lives(**p)).map(i32::to_string).collect();
        if alive.is_empty() {
            return None;
        }
        if begin.elapsed() > PATIENCE {
            return Some(format!("these are still there: {}", alive.join(" ")));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
