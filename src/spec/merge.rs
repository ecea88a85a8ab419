//! One spec laid over another: includes under the including file, a local file over its spec.
//!
//! Lists append, tables merge, single values of the upper spec win. Must not know: files, or which
//! of the two was read first.
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests;

use super::{Files, Limits, Network, Privileges, Process, Spec};
use crate::problem::At;

/// Lays `over` over `base`. Only the description is not inherited: it speaks of one file.
// All fields are taken apart by name, so that a new one cannot be forgotten here.
pub fn merge(base: Spec, over: Spec) -> Spec {
    let Spec { description: _, include, process, files, network, privileges, limits } = base;
    Spec {
        description: over.description,
        include: append(include, over.include),
        process: merge_process(process, over.process),
        files: merge_files(files, over.files),
        network: merge_network(network, over.network),
        privileges: merge_privileges(privileges, over.privileges),
        limits: merge_limits(limits, over.limits),
    }
}

/// Lays an addition (a local file, flags) over a whole spec. Where the spec leaves its system calls to
/// the default, the addition adds to that and does not replace it.
pub fn adjust(mut base: Spec, over: Spec) -> Spec {
    let calls = &mut base.privileges.system_calls;
    if let (true, Some(first)) = (calls.is_empty(), over.privileges.system_calls.first()) {
        calls.push(At::new("@service".to_owned(), first.at));
    }
    merge(base, over)
}

fn merge_process(base: Process, over: Process) -> Process {
    let Process {
        command,
        user,
        group,
        groups,
        umask,
        cwd,
        env,
        keep_env,
        stop_signal,
        reload_signal,
        stop_timeout,
        nice,
        oom_score_adjust,
        rlimits,
        terminal,
        forking,
        main_pid_file,
    } = base;
    Process {
        command: over.command.or(command),
        user: over.user.or(user),
        group: over.group.or(group),
        groups: append(groups, over.groups),
        umask: over.umask.or(umask),
        cwd: over.cwd.or(cwd),
        env: by_name(env, over.env),
        keep_env: append(keep_env, over.keep_env),
        stop_signal: over.stop_signal.or(stop_signal),
        reload_signal: over.reload_signal.or(reload_signal),
        stop_timeout: over.stop_timeout.or(stop_timeout),
        nice: over.nice.or(nice),
        oom_score_adjust: over.oom_score_adjust.or(oom_score_adjust),
        rlimits: by_name(rlimits, over.rlimits),
        terminal: over.terminal.or(terminal),
        forking: over.forking.or(forking),
        main_pid_file: over.main_pid_file.or(main_pid_file),
    }
}

fn merge_files(base: Files, over: Files) -> Files {
    let Files { root, read, write, tmpfs, text, link, dev, proc, exec } = base;
    Files {
        root: over.root.or(root),
        read: append(read, over.read),
        write: append(write, over.write),
        tmpfs: append(tmpfs, over.tmpfs),
        text: append(text, over.text),
        link: append(link, over.link),
        dev: append(dev, over.dev),
        proc: over.proc.or(proc),
        exec: append_written(exec, over.exec),
    }
}

fn merge_network(base: Network, over: Network) -> Network {
    let Network { mode, bind, connect, listen } = base;
    Network {
        mode: over.mode.or(mode),
        bind: append_some(bind, over.bind),
        connect: append_some(connect, over.connect),
        listen: append(listen, over.listen),
    }
}

fn merge_privileges(base: Privileges, over: Privileges) -> Privileges {
    let Privileges {
        capabilities,
        system_calls,
        share_namespaces,
        system_call_action,
        socket_families,
        user_namespace,
        memory_deny_write_execute,
    } = base;
    Privileges {
        capabilities: append(capabilities, over.capabilities),
        system_calls: append(system_calls, over.system_calls),
        share_namespaces: append(share_namespaces, over.share_namespaces),
        system_call_action: over.system_call_action.or(system_call_action),
        socket_families: append_written(socket_families, over.socket_families),
        user_namespace: over.user_namespace.or(user_namespace),
        memory_deny_write_execute: over.memory_deny_write_execute.or(memory_deny_write_execute),
    }
}

fn merge_limits(base: Limits, over: Limits) -> Limits {
    let Limits {
        memory,
        memory_high,
        swap,
        cpu,
        cpu_weight,
        cpus,
        tasks,
        io_read,
        io_write,
        io,
        io_weight,
        on_oom,
        on_memory,
    } = base;
    Limits {
        memory: over.memory.or(memory),
        memory_high: over.memory_high.or(memory_high),
        swap: over.swap.or(swap),
        cpu: over.cpu.or(cpu),
        cpu_weight: over.cpu_weight.or(cpu_weight),
        cpus: over.cpus.or(cpus),
        tasks: over.tasks.or(tasks),
        io_read: over.io_read.or(io_read),
        io_write: over.io_write.or(io_write),
        io: append(io, over.io),
        io_weight: over.io_weight.or(io_weight),
        on_oom: over.on_oom.or(on_oom),
        on_memory: over.on_memory.or(on_memory),
    }
}

/// A list for which to be empty is not to be absent.
fn append_written<T>(base: Option<Vec<T>>, over: Option<Vec<T>>) -> Option<Vec<T>> {
    match (base, over) {
        (Some(base), Some(over)) => Some(append(base, over)),
        (base, over) => over.or(base),
    }
}

fn append<T>(mut base: Vec<T>, over: Vec<T>) -> Vec<T> {
    base.extend(over);
    base
}

/// A list that means something else when it is there and empty than when it is not there.
fn append_some<T>(base: Option<At<Vec<T>>>, over: Option<At<Vec<T>>>) -> Option<At<Vec<T>>> {
    match (base, over) {
        (Some(base), Some(over)) => Some(At::new(append(base.value, over.value), over.at)),
        (base, over) => over.or(base),
    }
}

/// A name keeps the position at which it was first set, and has the value that was set last.
fn by_name<T>(mut base: Vec<(At<String>, T)>, over: Vec<(At<String>, T)>) -> Vec<(At<String>, T)> {
    for (name, value) in over {
        match base.iter_mut().find(|(known, _)| known.value == name.value) {
            Some(known) => *known = (name, value),
            None => base.push((name, value)),
        }
    }
    base
}
