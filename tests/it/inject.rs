//! Failure at every step of the plan, by the hook of debug builds: nothing starts, the message names
//! the step, and the host is as before.
//!
//! Must not know: what any step does.

use crate::host::{self, isolated, processes_of, wait_until};
use crate::ring::Ring::{Root, Server};
use crate::ring::{Test, test};
use crate::run::{Room, finish, jail};
use nix::unistd::{Gid, Uid, chown};
use std::path::PathBuf;

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![
        test(Server("nginx"), "inject::nginx_at_every_step", || isolated(|| at_every_step("nginx", ""))),
        test(Server("nginx"), "inject::nginx_in_place_at_every_step", || {
            isolated(|| at_every_step("nginx", "share-namespaces = [\"pid\"]"));
        }),
        test(Root, "inject::hello_at_every_step", || isolated(|| at_every_step("hello", ""))),
        test(Root, "inject::user_namespace_at_every_step", || {
            let keys = "user-namespace = true\ncapabilities = [\"DAC_OVERRIDE\"]";
            isolated(move || at_every_step("hello", keys));
        }),
        test(Root, "inject::the_hook_is_off_by_default", the_hook_is_off_by_default),
    ]
}

/// The shipped spec with three additions: a host directory to be made, sockets to be passed in, and a
/// program that leaves a mark if it ever runs.
fn spec(room: &Room, shipped: &str, privileges: &str) -> PathBuf {
    let unix = if privileges.is_empty() { ", \"unix:/run/x.sock\"" } else { "" };
    let path = room.path().display();
    // The host's root would be nobody in a user namespace.
    let marks = room.open_directory("marks");
    chown(&marks, Some(Uid::from_raw(33)), Some(Gid::from_raw(33))).unwrap();
    let text = format!(
        "include = [\"{shipped}\"]\n\
         [process]\ncommand = [\"/probe/probe\", \"probe\", \"attempts=no\", \"marker=/marks/ran\"]\n\
         [files]\nread = [{}]\n\
         write = [{{ path = \"{path}/marks\", at = \"/marks\" }}, {{ path = \"{path}/made\", at = \"/made\", create = \"0750\" }}]\n\
         [network]\nbind = [80]\nlisten = [\"127.0.0.1:99\", \"udp:127.0.0.1:99\"{unix}]\n\
         [privileges]\n{privileges}\n",
        room.probe_entry()
    );
    room.file("injected.toml", &text)
}

fn at_every_step(shipped: &str, privileges: &str) {
    let _run = host::own_run();
    let room = Room::new();
    let spec = spec(&room, shipped, privileges);
    let plan = finish(&mut jail(["plan".as_ref(), "--json".as_ref(), spec.as_os_str()])).ended(0);
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
    let total = plan["steps"].as_array().expect("steps").len();
    assert!(total > 30, "{total} steps");
    let (before, files) = (host::snapshot(), host::listing(room.path()));
    for step in 1..=total {
        let run = finish(jail(["run".as_ref(), spec.as_os_str()]).env("JAIL_FAIL_AT_STEP", step.to_string()))
            .ended(125);
        let named = format!("step {step} of {total} (");
        assert!(run.stderr.contains(&named), "{named}: {}", run.stderr);
        assert!(run.stderr.starts_with("jail: cannot "), "{}", run.stderr);
        assert_eq!(
            run.stderr.lines().filter(|l| l.starts_with("jail: ")).count(),
            1,
            "one failure, one message: {}",
            run.stderr
        );
        assert_eq!(host::listing(room.path()), files, "the host's files after step {step} failed");
        assert_eq!(std::fs::read_dir("/run").unwrap().count(), 0, "no socket after step {step} failed");
        wait_until("no process of the start is left", || processes_of(&room.unique()).is_empty());
        assert_eq!(host::snapshot(), before, "the host after step {step} failed");
    }
    // And with no failure it does run, and makes the directory.
    finish(&mut jail(["run".as_ref(), spec.as_os_str()])).ended(0);
    assert!(room.path().join("marks/ran").exists() && room.path().join("made").exists());
}

/// Only the variable turns it on, and the program never sees it.
fn the_hook_is_off_by_default() {
    let room = Room::new();
    let spec = room.probe_spec(&["attempts=no"], &[]);
    let report = finish(jail(["run".as_ref(), spec.as_os_str()]).env("JAIL_FAIL_AT_STEP", "0")).report();
    assert!(report["environment"].get("JAIL_FAIL_AT_STEP").is_none());
}
