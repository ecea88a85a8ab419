//! What this process is and sees, as JSON.
//!
//! Must not know: what would be right.

use super::calls;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Everything but the attempts. Taken before any of them can change something.
pub fn report() -> Value {
    let status = status();
    json!({
        "uids": nix::unistd::getresuid().map(|r| vec![r.real.as_raw(), r.effective.as_raw(), r.saved.as_raw()]).unwrap(),
        "gids": nix::unistd::getresgid().map(|r| vec![r.real.as_raw(), r.effective.as_raw(), r.saved.as_raw()]).unwrap(),
        "groups": nix::unistd::getgroups().unwrap().iter().map(|g| g.as_raw()).collect::<Vec<_>>(),
        "status": status,
        "securebits": calls::securebits(),
        "mounts": mounts(),
        "root": list("/"),
        "dev": list("/dev"),
        "proc": list("/proc"),
        "environment": environment(),
        "fds": descriptors(),
        "passed": super::ports::passed(),
        "pid": std::process::id(),
        "ppid": nix::unistd::getppid().as_raw(),
        "sid": nix::unistd::getsid(None).unwrap().as_raw(),
        "pgid": nix::unistd::getpgrp().as_raw(),
        "umask": calls::umask(),
        "nice": calls::nice(),
        "personality": read("/proc/self/personality"),
        "core": limit(nix::sys::resource::Resource::RLIMIT_CORE),
        "nofile": limit(nix::sys::resource::Resource::RLIMIT_NOFILE),
        "hostname": nix::unistd::gethostname().unwrap().to_string_lossy(),
        "keyring": calls::keyring(),
        "cwd": std::env::current_dir().unwrap(),
        "namespaces": namespaces(),
        "limits": read("/proc/self/limits"),
        "oom_score_adj": read("/proc/self/oom_score_adj"),
        "pid 1": json!({
            "environ": read("/proc/1/environ"),
            "cmdline": read("/proc/1/cmdline"),
            "root": list("/proc/1/root"),
            "status": read("/proc/1/status"),
        }),
        "passwd": read("/etc/passwd"),
        "group": read("/etc/group"),
        "interfaces": calls::interfaces(),
    })
}

fn status() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let pairs = text.lines().filter_map(|l| l.split_once(':'));
    pairs.map(|(k, v)| (k.to_owned(), v.trim().to_owned())).collect()
}

/// A file's text, or the error's name in angle brackets.
fn read(path: &str) -> String {
    match std::fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => format!("<{}>", calls::name(error.raw_os_error().unwrap_or(0))),
    }
}

fn list(path: &str) -> Value {
    match std::fs::read_dir(path) {
        Ok(entries) => {
            let names = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned());
            let mut names: Vec<String> = names.collect();
            names.sort();
            names.into()
        }
        Err(error) => format!("<{}>", calls::name(error.raw_os_error().unwrap_or(0))).into(),
    }
}

/// The lines of mountinfo: path, options, optional fields, kind, root within its file system.
pub fn mounts() -> Vec<Value> {
    // A mount point may have any name.
    let text = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let parse = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let left: Vec<&str> = left.split(' ').collect();
        Some(json!({
            "root": left.get(3)?, "path": left.get(4)?, "options": left.get(5)?, "optional": left.get(6..)?,
            "kind": right.split(' ').next()?, "super": right.split(' ').nth(2)?,
        }))
    };
    text.lines().filter_map(parse).collect()
}

fn environment() -> Map<String, Value> {
    let text = |s: std::ffi::OsString| String::from_utf8_lossy(s.as_bytes()).into_owned();
    std::env::vars_os().map(|(k, v)| (text(k), text(v).into())).collect()
}

/// Open descriptors and what they lead to; not the one that lists them.
fn descriptors() -> BTreeMap<String, String> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return BTreeMap::new() };
    let names: Vec<String> =
        entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    let link = |name: &String| std::fs::read_link(Path::new("/proc/self/fd").join(name)).ok();
    names.iter().filter_map(|n| Some((n.clone(), link(n)?.to_string_lossy().into_owned()))).collect()
}

fn namespaces() -> BTreeMap<String, String> {
    let kinds = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];
    let link = |kind: &str| std::fs::read_link(format!("/proc/self/ns/{kind}")).ok();
    kinds.iter().filter_map(|k| Some(((*k).to_owned(), link(k)?.to_string_lossy().into_owned()))).collect()
}

fn limit(resource: nix::sys::resource::Resource) -> Vec<u64> {
    let (soft, hard) = nix::sys::resource::getrlimit(resource).unwrap();
    vec![soft, hard]
}
