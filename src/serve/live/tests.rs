//! Tests of the watcher, against a host in memory.
//!
//! Must not know: how that host works (`model`).

mod model;

use model::{Host, Node, Shell, path, source};
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, TestRunner};

fn certbot() -> Host {
    let mut host = Host::new();
    for directory in ["/etc", "/etc/live", "/etc/live/name", "/etc/archive", "/etc/archive/name"] {
        host.make(directory, Node::Directory);
    }
    host.make("/etc/archive/name/cert1", Node::File(1));
    host.make("/etc/live/name/cert", Node::Link("../../archive/name/cert1".into()));
    host
}

#[test]
fn each_named_change_is_followed_in_time() {
    let mut host = certbot();
    host.make("/etc/conf", Node::File(1));
    let mut shell =
        Shell::new(vec![source("/etc/conf", false, false), source("/etc/live/name/cert", false, false)]);
    shell.quiesce(&mut host);
    assert_eq!((shell.reads("/etc/conf"), shell.reads("/etc/live/name/cert")), (Some(1), Some(1)));
    let mut within = |host: &mut Host, at: &str, wanted: u64, most: u64| {
        let took = shell.quiesce(host);
        assert_eq!(shell.reads(at), Some(wanted), "{wanted}");
        assert!(took <= most, "{wanted}: {took} ms");
    };
    host.write("/etc/conf", 2, true);
    within(&mut host, "/etc/conf", 2, 10);
    host.write("/etc/conf", 3, false);
    within(&mut host, "/etc/conf", 3, 900);
    host.make("/etc/new", Node::File(4));
    host.rename("/etc/new", "/etc/conf");
    within(&mut host, "/etc/conf", 4, 10);
    host.remove("/etc/conf");
    host.make("/etc/conf", Node::File(5));
    within(&mut host, "/etc/conf", 5, 10);
    host.make("/etc/archive/name/cert2", Node::File(6));
    host.make("/etc/live/name/cert", Node::Link("../../archive/name/cert2".into()));
    within(&mut host, "/etc/live/name/cert", 6, 10);
    host.rename("/etc/archive", "/etc/away");
    host.write("/etc/away/name/cert2", 7, true);
    host.rename("/etc/away", "/etc/archive");
    within(&mut host, "/etc/live/name/cert", 7, 10);
    host.rename("/etc", "/other");
    host.make("/etc", Node::Directory);
    host.make("/etc/conf", Node::File(8));
    within(&mut host, "/etc/conf", 8, 1100);
    assert_eq!(shell.jail.keys().filter(|(_, p)| p.name().starts_with("cert")).count(), 2, "link and copy");
}

#[test]
fn a_writer_is_waited_for_but_not_for_ever() {
    let mut host = Host::new();
    host.make("/file", Node::File(1));
    let mut shell = Shell::new(vec![source("/file", false, false)]);
    shell.quiesce(&mut host);
    host.write("/file", 2, false);
    shell.attend(&mut host);
    shell.now += 300;
    shell.attend(&mut host);
    assert_eq!(shell.reads("/file"), Some(1), "half of it may be there");
    host.write("/file", 3, true);
    shell.attend(&mut host);
    shell.now += 5;
    shell.attend(&mut host);
    assert_eq!(shell.reads("/file"), Some(3), "closed");
    let begin = shell.now;
    while shell.reads("/file") == Some(3) {
        host.write("/file", shell.now + 10, false);
        shell.attend(&mut host);
        shell.now += 1;
        assert!(shell.now - begin < 1000, "never closed");
    }
}

#[test]
fn trouble_that_lasts_is_told_once_and_so_is_its_end() {
    let mut host = Host::new();
    host.make("/file", Node::File(1));
    let mut shell = Shell::new(vec![source("/file", false, false)]);
    shell.quiesce(&mut host);
    host.remove("/file");
    shell.attend(&mut host);
    shell.now += 500;
    shell.attend(&mut host);
    host.make("/file", Node::File(2));
    shell.quiesce(&mut host);
    assert_eq!(shell.told, [""; 0], "it was gone for half a second");
    for _ in 0..2 {
        host.remove("/file");
        shell.quiesce(&mut host);
        host.make("/unrelated", Node::File(1));
        shell.quiesce(&mut host);
        assert_eq!(shell.reads("/file"), Some(2), "the last copy");
        host.make("/file", Node::Directory);
        shell.quiesce(&mut host);
        host.remove("/file");
        host.make("/file", Node::File(2));
        shell.quiesce(&mut host);
    }
    let gone = "/file is not followed: /file: No such file or directory; the jail keeps its last copy";
    let other = "/file is not followed: it is now a directory; the jail keeps its last copy";
    let back = "/file is followed again";
    assert_eq!(shell.told, [gone, other, back, gone, other, back]);
}

#[test]
fn several_changes_are_one_reload_and_none_is_none() {
    let mut host = Host::new();
    for name in ["/a", "/b", "/c"] {
        host.make(name, Node::File(1));
    }
    let sources = vec![source("/a", false, true), source("/b", false, true), source("/c", false, false)];
    let mut shell = Shell::new(sources);
    shell.quiesce(&mut host);
    // Nothing was known of them, so the first look has replaced all.
    assert_eq!(std::mem::take(&mut shell.reloads), 1);
    host.write("/a", 2, true);
    shell.attend(&mut host);
    shell.now += 300;
    host.write("/b", 2, true);
    shell.quiesce(&mut host);
    assert_eq!(std::mem::take(&mut shell.reloads), 1);
    host.write("/c", 2, true);
    host.write("/a", 2, true);
    shell.quiesce(&mut host);
    assert_eq!(shell.reloads, 0, "another's, and the same content");
    let begin = shell.now;
    while shell.reloads == 0 {
        host.write("/a", shell.now + 100, true);
        shell.attend(&mut host);
        shell.now += 100;
        assert!(shell.now - begin < 4000, "it must not wait for quiet for ever");
    }
    assert!(shell.now - begin >= 3000);
}

#[test]
fn a_directory_of_links_gains_names_and_keeps_what_is_lost() {
    let mut host = certbot();
    let mut shell = Shell::new(vec![source("/etc/live/name", true, false)]);
    shell.quiesce(&mut host);
    assert_eq!(shell.reads("/etc/live/name/cert"), Some(1));
    host.make("/etc/archive/name/key1", Node::File(2));
    host.make("/etc/live/name/key", Node::Link("../../archive/name/key1".into()));
    host.make("/etc/live/name/nothing", Node::Link("../../archive/name/none".into()));
    shell.quiesce(&mut host);
    assert_eq!(shell.reads("/etc/live/name/key"), Some(2));
    assert_eq!(shell.told, [""; 0], "what never was a file is not missed");
    host.make("/etc/archive/name/none", Node::File(3));
    shell.quiesce(&mut host);
    assert_eq!(shell.reads("/etc/live/name/nothing"), Some(3));
    host.remove("/etc/live/name/key");
    shell.quiesce(&mut host);
    assert_eq!(shell.reads("/etc/live/name/key"), Some(2));
    assert_eq!(shell.told.len(), 1);
}

#[test]
fn neighbours_cause_no_look() {
    let mut host = Host::new();
    host.make("/etc", Node::Directory);
    host.make("/etc/file", Node::File(1));
    host.make("/etc/neighbour", Node::File(1));
    let mut shell = Shell::new(vec![source("/etc/file", false, false)]);
    shell.quiesce(&mut host);
    let before = shell.looks;
    for n in 0..10 {
        host.write("/etc/neighbour", n, true);
        host.make("/etc/temporary", Node::File(n));
        host.remove("/etc/temporary");
        shell.quiesce(&mut host);
    }
    assert_eq!(shell.looks, before);
    assert_eq!(shell.watcher.wait(shell.now), None, "no wake-up while nothing happens");
}

/// Names of a small world, so that operations meet each other.
const NAMES: &[&str] =
    &["/a", "/b", "/a/x", "/a/y", "/b/x", "/b/y", "/a/d", "/a/d/x", "/b/d", "/b/d/x", "/c", "/c/x"];
const TARGETS: &[&str] = &["/a/x", "/b/x", "x", "y", "../b/x", "../a/d/x", "d", "/b", "/a/d", "/c/x"];

fn operate(host: &mut Host, (what, one, other): (u8, u8, u8), content: u64) {
    let name = |n: u8| NAMES[usize::from(n) % NAMES.len()];
    match what % 9 {
        0 => host.make(name(one), Node::File(content)),
        1 => host.make(name(one), Node::Directory),
        2 => host.make(name(one), Node::Link(TARGETS[usize::from(other) % TARGETS.len()].into())),
        3 => host.remove(name(one)),
        4 | 5 => host.rename(name(one), name(other)),
        6 => host.write(name(one), content, false),
        _ => host.write(name(one), content, true),
    }
}

/// Whatever happens on the host, in whatever order, with lost events, with too few watches: once it is
/// quiet, what can be read on the host is what is read inside.
#[test]
fn after_any_changes_the_copies_are_the_sources() {
    let operations = vec((any::<(u8, u8, u8)>(), 0_u64..900, any::<bool>()), 1..60);
    let mut runner = TestRunner::new(Config { failure_persistence: None, cases: 600, ..Config::default() });
    let sources = ["/a/x", "/a/d/x", "/b/x", "/c/x"];
    let done = runner.run(&(operations, 0_usize..60), |(operations, most)| {
        let mut host = Host::new();
        host.most = if most < 12 { most } else { usize::MAX };
        for name in NAMES {
            let directory = matches!(*name, "/a" | "/b" | "/a/d" | "/b/d" | "/c");
            host.make(name, if directory { Node::Directory } else { Node::File(1) });
        }
        let mut shell = Shell::new(sources.iter().map(|s| source(s, false, true)).collect());
        shell.attend(&mut host);
        for (n, (operation, pause, attend)) in operations.into_iter().enumerate() {
            operate(&mut host, operation, 100 + n as u64);
            if attend {
                shell.now += pause;
                shell.attend(&mut host);
            }
        }
        settle(&mut shell, &mut host);
        for at in sources {
            let fact = host.look(&path(at));
            if let Ok(end) = fact.end.as_ref().map(|end| &end.path)
                && let Some((_, Node::File(content))) = host.tree.get(end)
            {
                proptest::prop_assert_eq!(shell.reads(at), Some(*content), "{} {:?}", at, shell.watcher);
            }
        }
        Ok(())
    });
    done.unwrap_or_else(|e| panic!("{e}"));
}

/// With too few watches it never rests, but looks again and again.
fn settle(shell: &mut Shell, host: &mut Host) {
    for _ in 0..12 {
        shell.attend(host);
        shell.now += shell.watcher.wait(shell.now).unwrap_or(0);
    }
    shell.attend(host);
}
