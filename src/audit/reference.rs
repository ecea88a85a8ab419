//! The table of rules as Markdown: docs/audit.md is made of it.
//!
//! Must not know: plans.
#![forbid(unsafe_code)]

use super::{Item, RULES, Rule, Score, Weight};

/// Every line of `systemd-analyze security` (systemd 252), `*` standing for the rest of a name, and
/// what judges the same here: rules in backticks, or why it is closed in every jail.
pub const COVERED: &[(&str, &str)] = &[
    ("User=/DynamicUser=", "`root`, `user-of-the-host`"),
    ("SupplementaryGroups=", "`groups`, `callers-groups`"),
    ("PrivateUsers=", "`ids-of-the-host`"),
    ("CapabilityBoundingSet=~CAP_*", "`capabilities`: one set for all five"),
    ("AmbientCapabilities=", "`capabilities`"),
    ("NoNewPrivileges=", "closed in every jail"),
    ("RootDirectory=/RootImage=", "every jail has a root of its own; `root-directory`"),
    ("ProtectSystem=", "not there unless named; `shown`, `writable`"),
    ("ProtectHome=", "not there unless named; `shown`, `writable`"),
    ("PrivateTmp=", "not there unless named; `shown`, `writable`"),
    ("PrivateMounts=", "closed in every jail: its mount namespace is its own, and private"),
    ("PrivateDevices=", "basic devices only; `devices`"),
    ("DeviceAllow=", "basic devices only; `devices`"),
    ("ProtectProc=", "its own processes only; `namespaces`"),
    ("ProcSubset=", "`proc`"),
    ("ProtectKernelTunables=", "no /sys, no writable /proc/sys; `shown`, `writable`"),
    ("ProtectKernelModules=", "`capabilities`, `system-calls`"),
    ("ProtectKernelLogs=", "`capabilities`, `devices`"),
    ("ProtectControlGroups=", "no /sys; `namespaces`"),
    ("ProtectClock=", "`capabilities`, `devices`"),
    ("ProtectHostname=", "`namespaces`"),
    ("RemoveIPC=", "gone with its IPC namespace; `namespaces`"),
    ("KeyringMode=", "`keyring`"),
    ("LockPersonality=", "closed by every filter; `no-filter`"),
    ("MemoryDenyWriteExecute=", "`write-execute`"),
    ("RestrictNamespaces=~*", "closed unless `@namespace` is allowed; `system-calls`"),
    ("RestrictRealtime=", "refused by the kernel without a capability; `capabilities`"),
    ("RestrictSUIDSGID=", "`set-id-files`"),
    ("RestrictAddressFamilies=~AF_PACKET", "closed by every filter; `socket-families`"),
    ("RestrictAddressFamilies=~AF_NETLINK", "`socket-families`"),
    ("RestrictAddressFamilies=~AF_UNIX", "not weighed: sockets are reached only where they are shown"),
    ("RestrictAddressFamilies=~AF_(INET|INET6)", "`host-network`, `addresses`"),
    ("RestrictAddressFamilies=~…", "closed by every filter; `socket-families`"),
    ("SystemCallArchitectures=", "closed by every filter: native only; `no-filter`"),
    ("SystemCallFilter=~@*", "`system-calls`, `no-filter`; `@resources` is allowed, as only lowering works"),
    ("PrivateNetwork=", "`host-network`"),
    ("IPAddressDeny=", "`addresses`"),
    ("UMask=", "`umask`"),
    ("Delegate=", "no cgroup is handed over"),
    ("NotifyAccess=", "the unit around jail decides"),
];

/// Every rule with its weight, what systemd judges, then the tables of single things.
pub fn reference_markdown() -> String {
    let mut out = String::from(
        "| rule | finds | weight | systemd-analyze security | key | closing it | its cost |\n|---|---|---|---|---|---|---|\n",
    );
    for rule in RULES {
        out += &row(rule);
    }
    out += "\n### Beside systemd-analyze\n\n| systemd-analyze security | here |\n|---|---|\n";
    for (line, answer) in COVERED {
        out += &cells(&[&code(line), answer]);
    }
    for rule in RULES {
        if let Weight::Each(items) = rule.weight {
            out += &format!(
                "\n### {}\n\n| what | weight | systemd-analyze security | why |\n|---|---|---|---|\n",
                rule.name
            );
            for item in items {
                out += &item_row(item, rule);
            }
        }
    }
    out
}

fn row(rule: &Rule) -> String {
    let (why, weight) = match rule.weight {
        Weight::Once(points) => (rule.why.to_owned(), Score(points).to_string()),
        Weight::Each(items) => {
            let points = items.iter().map(|item| item.points);
            let (least, most) = (points.clone().min().unwrap_or(0), points.max().unwrap_or(0));
            (format!("[see below](#{})", rule.name), format!("{}-{}", Score(least), Score(most)))
        }
    };
    cells(&[&code(rule.name), &why, &weight, &code(rule.category), &code(rule.key), rule.close, rule.cost])
}

fn item_row(item: &Item, rule: &Rule) -> String {
    let category = if item.category.is_empty() { rule.category } else { item.category };
    cells(&[&code(item.name), &Score(item.points).to_string(), &code(category), item.why])
}

fn code(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { format!("`{text}`") }
}

fn cells(texts: &[&str]) -> String {
    let escaped: Vec<String> = texts.iter().map(|text| text.replace('|', "\\|")).collect();
    format!("| {} |\n", escaped.join(" | "))
}
