//! Units made of plans, without systemd. That jail works under them is tested by tests/systemd.

use super::*;
use crate::audit::assume;
use crate::jail::facts::{Facts, PathFact, Stop};
use crate::problem::{Problems, Sources};
use crate::spec::Spec;

/// The plan of a spec as root would have it, on a host that has all it names.
fn plan(text: &str) -> Plan {
    let mut problems = Problems::default();
    let spec: Spec = crate::spec::parse::parse(text, 0, &mut problems);
    let asked = crate::jail::ask::ask(&spec, "web");
    let missing = |path: &AbsPath| {
        let end = Err(Stop { errno: 2, path: path.clone() });
        (path.clone(), PathFact { hops: Vec::new(), end })
    };
    let mut facts = Facts {
        users: asked.users.iter().map(|name| (name.clone(), None)).collect(),
        paths: asked.paths.iter().map(missing).collect(),
        socket_directories: asked.socket_directories.iter().map(|path| (path.clone(), Ok(None))).collect(),
        auto: Some((7000, 7000)),
        ..Facts::default()
    };
    assume(&mut facts, &spec);
    let jail = crate::jail::resolve::resolve("web", &spec, &facts, &[]);
    let jail =
        jail.unwrap_or_else(|p| panic!("{}", p.render(&Sources::default(), crate::problem::Paint(false))));
    crate::plan::build::build(&jail)
}

fn unit(text: &str) -> String {
    service(&plan(text), &wanted("web"))
}

fn wanted(spec: &str) -> Wanted {
    Wanted {
        binary: "/usr/bin/jail".into(),
        spec: spec.into(),
        flags: Vec::new(),
        description: None,
        kind: Type::Exec,
    }
}

/// The value of a setting; `None` if it is not set.
fn value<'a>(unit: &'a str, key: &str) -> Option<&'a str> {
    let mut found = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let first = found.next();
    assert_eq!(found.next(), None, "{key} twice");
    first
}

#[test]
fn every_setting_has_a_reason() {
    for text in [
        unit("[process]\ncommand = [\"/bin/x\"]\n[files]\nread = [\"/usr\", \"/srv/www\"]\n"),
        template("/usr/bin/jail"),
    ] {
        assert!(text.starts_with(&format!("{MARK}\n")));
        let mut reason = false;
        for line in text.lines() {
            let bare = ["Description=", "Documentation=", "ExecStart=", "WantedBy="];
            let setting = !line.is_empty() && !line.starts_with(['#', '[']);
            assert!(!setting || reason || bare.iter().any(|key| line.starts_with(key)), "{line}");
            reason = line.starts_with("# ") || (setting && reason);
        }
    }
}

#[test]
fn what_a_command_line_is_made_of_is_quoted() {
    for (text, expected) in [
        ("nginx", "nginx"),
        ("/srv/a b.toml", "\"/srv/a b.toml\""),
        ("100%", "100%%"),
        ("$HOME", "$$HOME"),
        ("a\"b\\c", "\"a\\\"b\\\\c\""),
        ("a;b", "\"a;b\""),
        ("a\nb\t", "\"a\\nb\\x09\""),
        ("", "\"\""),
    ] {
        assert_eq!(word(text), expected);
    }
    assert_eq!(plain("50%\nExecStart=/bin/evil \\"), "50%% ExecStart=/bin/evil ");
    let mut evil = wanted("/srv/x.toml\nExecStart=/bin/evil");
    evil.description = Some("a\n[Service]\nExecStart=/bin/evil".into());
    let text = service(&plan("[process]\ncommand = [\"/bin/x\"]\n"), &evil);
    assert_eq!(text.lines().filter(|line| line.starts_with("ExecStart=")).count(), 1);
}

#[test]
fn stopping_and_reloading_are_those_of_the_spec() {
    let text = unit("[process]\ncommand = [\"/bin/x\"]\nstop-signal = \"QUIT\"\nstop-timeout = \"1500ms\"\n");
    assert_eq!(value(&text, "TimeoutStopSec"), Some("7"));
    assert_eq!(value(&text, "SuccessExitStatus"), Some("SIGQUIT"));
    assert_eq!(value(&text, "ExecReload"), Some("kill -HUP $MAINPID"));
    let text = unit("[process]\ncommand = [\"/bin/x\"]\nstop-timeout = \"0\"\n");
    assert_eq!((value(&text, "TimeoutStopSec"), value(&text, "SuccessExitStatus")), (Some("infinity"), None));
    let text = unit(
        "[process]\ncommand = [\"/bin/x\"]\nstop-signal = \"RTMIN+3\"\nreload-signal = \"USR2\"\n\
         stop-timeout = \"5s\"\n[privileges]\nshare-namespaces = [\"pid\"]\n",
    );
    assert_eq!(value(&text, "ExecReload"), Some("kill -12 $MAINPID"));
    assert_eq!((value(&text, "KillSignal"), value(&text, "TimeoutStopSec")), (Some("37"), Some("5")));
    assert_eq!(value(&text, "SuccessExitStatus"), Some("37"));
}

#[test]
fn capabilities_are_those_of_the_steps_and_of_the_program() {
    let set = |more: &str| {
        let text = unit(&format!("[process]\ncommand = [\"/bin/x\"]\n{more}"));
        value(&text, "CapabilityBoundingSet").unwrap().to_owned()
    };
    let least = set("");
    assert_eq!(least.split(' ').count(), hardening::NEEDED.len(), "{least}");
    assert!(set("[network]\nmode = \"none\"\n").contains("CAP_NET_ADMIN"));
    assert!(set("[network]\nlisten = [\"0.0.0.0:80\"]\n").contains("CAP_NET_BIND_SERVICE"));
    assert_eq!(set("[network]\nlisten = [\"0.0.0.0:8080\"]\n"), least);
    assert!(set("[privileges]\ncapabilities = [\"NET_RAW\"]\n").contains("CAP_NET_RAW"));
    assert!(set("nice = -5\n").contains("CAP_SYS_NICE"));
    // Over its own namespace alone.
    let own = "[privileges]\nuser-namespace = true\ncapabilities = [\"SETUID\", \"SYS_PTRACE\"]\n\
               system-calls = [\"@service\", \"@setuid\"]\n";
    assert!(!set(own).contains("CAP_SYS_PTRACE"));
}

#[test]
fn nothing_is_hidden_that_the_spec_shows() {
    let text = |more: &str| unit(&format!("[process]\ncommand = [\"/bin/x\"]\n{more}"));
    let all = text("[files]\nread = [\"/usr\"]\n");
    for (key, hidden) in [
        ("ProtectHome", "[files]\nread = [\"/home/www\"]\n"),
        ("PrivateTmp", "[files]\nwrite = [\"/var/tmp/x\"]\n"),
        ("ProtectSystem", "[files]\nwrite = [\"/etc/x\"]\n"),
        ("ProtectSystem", "[network]\nlisten = [\"unix:/usr/x.sock\"]\n"),
        ("PrivateDevices", "[files]\ndev = [\"fuse\"]\n"),
        ("ProtectHome", "[files]\nroot = \"/\"\n"),
        (
            "ProtectClock",
            "[privileges]\ncapabilities = [\"SYS_TIME\"]\nsystem-calls = [\"@service\", \"@clock\"]\n",
        ),
        ("RestrictAddressFamilies", "[privileges]\nsocket-families = [\"packet\"]\n"),
    ] {
        assert!(value(&all, key).is_some(), "{key}");
        assert_eq!(value(&text(hidden), key), None, "{key}: {hidden}");
    }
    let clock = text("[privileges]\nsystem-calls = [\"@service\", \"clock_settime\", \"ptrace\"]\n");
    let filter = value(&clock, "SystemCallFilter").unwrap();
    assert!(
        !filter.contains("@clock") && !filter.contains("@debug") && filter.contains("@module"),
        "{filter}"
    );
    assert_eq!(value(&all, "RequiresMountsFor"), None);
    let mounts = text("[files]\nread = [\"/usr\", \"/srv/a b\", \"/etc\"]\nwrite = [\"/var/lib/x\"]\n");
    assert_eq!(value(&mounts, "RequiresMountsFor"), Some("\"/srv/a b\" /var/lib/x"));
}

#[test]
fn only_what_is_on_the_network_waits_for_it() {
    let text = |mode: &str| unit(&format!("[process]\ncommand = [\"/bin/x\"]\n[network]\n{mode}\n"));
    assert!(value(&text("mode = \"host\""), "Wants").is_some());
    assert_eq!(value(&text("mode = \"none\""), "Wants"), None);
    assert!(value(&text("mode = \"none\"\nlisten = [\"127.0.0.1:80\"]"), "Wants").is_some());
}

#[test]
fn a_socket_unit_has_the_entries_of_listen() {
    let unit = |listen: &str| {
        socket(&plan(&format!("[process]\ncommand = [\"/bin/x\"]\n[network]\nlisten = [{listen}]\n")))
    };
    let text = unit("\"0.0.0.0:80\", \"[::1]:80\", \"udp:127.0.0.1:53\", { address = \"unix:/run/x\", mode = \"0660\", owner = \"root\" }").unwrap();
    for line in [
        "ListenStream=0.0.0.0:80",
        "ListenStream=[::1]:80",
        "ListenDatagram=127.0.0.1:53",
        "ListenStream=/run/x",
        "SocketMode=0660",
        "SocketUser=0",
        "BindIPv6Only=ipv6-only",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
    let text = unit("\"127.0.0.1:80\"").unwrap();
    assert!(!text.contains("SocketMode"));
    assert!(unit("").unwrap_err().0[0].what.contains("no `listen`"));
    let two =
        "{ address = \"unix:/run/x\", mode = \"0660\" }, { address = \"unix:/run/y\", mode = \"0600\" }";
    assert!(unit(two).unwrap_err().0[0].what.contains("one mode"));
    let service = service(
        &plan(
            "[process]\ncommand = [\"/bin/x\"]\n[network]\nlisten = [{ address = \"127.0.0.1:80\", non-blocking = true }]\n",
        ),
        &wanted("web"),
    );
    assert_eq!(value(&service, "NonBlocking"), Some("yes"));
}
