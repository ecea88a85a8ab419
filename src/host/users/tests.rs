//! User look-up: tables of lines and names, ids for `auto`, and what is asked elsewhere.

use super::*;

fn switch_files() -> Option<String> {
    Some("passwd: files systemd\ngroup: files [SUCCESS=merge] systemd\n".into())
}

fn switch_ldap() -> Option<String> {
    Some("# passwd: files\npasswd: files ldap\ngroup: files ldap\n".into())
}

fn nobody_else(_: &str, _: &str) -> Option<String> {
    None
}

fn must_not_be_asked(database: &str, key: &str) -> Option<String> {
    panic!("getent {database} {key}")
}

/// A directory service with one user; it answers some questions wrongly.
fn ldap(database: &str, key: &str) -> Option<String> {
    let answer = match (database, key) {
        ("passwd", "remote" | "70001") => "remote:*:70001:70002:R:/home/remote:/bin/sh",
        ("group", "staff" | "70002") => "staff:*:70002:remote",
        ("passwd", "liar") => "root:x:0:0:root:/root:/bin/sh",
        ("passwd", "short") => "short:x:1",
        ("group", "max") => "max:x:4294967295:",
        _ => return None,
    };
    Some(answer.to_owned())
}

fn databases(ask: fn(&str, &str) -> Option<String>, switch: fn() -> Option<String>) -> Databases {
    let passwd = "root:x:0:0:root:/root:/bin/bash\n\
                  www-data:x:33:33:www:/var/www:/usr/sbin/nologin\n\
                  broken:x\n\
                  max:x:4294967295:1::/:\n\
                  big:x:4294967296:1::/:\n\
                  signed:x:-5:1::/:\n\
                  1000:x:55:55::/:\n\
                  +nis:x:77:77::/:\n\
                  :x:78:78::/:\n\
                  more:x:79:79::/:/bin/sh:extra\n";
    let group = "root:x:0:\nwww-data:x:33:\nadm:x:4:syslog,joe\n+::::\nodd:x:5\n";
    let database = |name, text: &str| Database { name, text: Some(text.into()) };
    Databases {
        passwd: database("passwd", passwd),
        group: database("group", group),
        subordinate: Vec::new,
        elsewhere: Elsewhere { ask, switch: LazyCell::new(switch) },
    }
}

fn add(database: &mut Database, lines: &str) {
    database.text.get_or_insert_default().push_str(lines);
}

fn local() -> Databases {
    databases(nobody_else, switch_files)
}

#[test]
fn names_and_numbers_are_found() {
    let user = local().user("www-data").unwrap();
    assert_eq!((user.uid, user.gid, user.group.as_str()), (33, 33, "www-data"));
    assert_eq!((user.home.as_str(), user.shell.as_str()), ("/var/www", "/usr/sbin/nologin"));
    assert_eq!(local().user("33").unwrap().name, "www-data");
    assert_eq!(local().group("adm").unwrap().gid, 4);
    assert_eq!(local().group("4").unwrap().name, "adm");
}

#[test]
fn dangerous_ids_and_names_are_nobody() {
    let texts = [
        "4294967295",
        "4294967296",
        "99999999999999999999",
        "-1",
        "",
        "a:b",
        "a\nb",
        "-x",
        "+x",
        "max",
        "big",
        "signed",
        "broken",
        "+0",
        "0x0",
        " 0",
        "+nis",
        "more",
        "a/b",
        "a\0",
    ];
    for text in texts {
        assert_eq!(local().user(text), None, "{text:?}");
        assert_eq!(local().group(text), None, "{text:?}");
    }
}

#[test]
fn digits_are_a_number_and_never_a_name() {
    let user = local().user("1000").unwrap();
    assert_eq!((user.uid, user.gid), (1000, 1000));
    assert_eq!(local().user("55").unwrap().name, "1000");
    assert_eq!(local().user("78").unwrap().name, "78", "a line without a name is none");
}

#[test]
fn a_number_that_nobody_has_is_a_user_of_its_own() {
    let user = databases(must_not_be_asked, switch_files).user("02000111222").unwrap();
    assert_eq!((user.name.as_str(), user.uid, user.gid), ("2000111222", 2_000_111_222, 2_000_111_222));
    assert_eq!(user.group, "2000111222");
    let group = databases(must_not_be_asked, switch_files).group("70002").unwrap();
    assert_eq!((group.name.as_str(), group.gid), ("70002", 70_002));
}

#[test]
fn who_is_in_no_file_is_asked_elsewhere() {
    let databases = databases(ldap, switch_ldap);
    let user = databases.user("remote").unwrap();
    assert_eq!((user.uid, user.gid, user.group.as_str()), (70_001, 70_002, "staff"));
    assert_eq!(databases.user("70001").unwrap().name, "remote");
    assert_eq!(databases.group("70002").unwrap().name, "staff");
}

#[test]
fn a_wrong_answer_is_none() {
    for name in ["liar", "short", "nosuch"] {
        assert_eq!(databases(ldap, switch_ldap).user(name), None, "{name}");
    }
    assert_eq!(databases(ldap, switch_ldap).group("max"), None);
}

#[test]
fn the_files_come_first() {
    let databases = databases(must_not_be_asked, switch_ldap);
    assert_eq!(databases.user("www-data").unwrap().uid, 33);
    assert_eq!(databases.group("4").unwrap().name, "adm");
}

#[test]
fn instead_of_an_unreadable_file_getent_is_asked() {
    let mut unreadable = databases(ldap, switch_files);
    unreadable.passwd.text = None;
    unreadable.group.text = None;
    assert_eq!(unreadable.user("70001").unwrap().group, "staff");
    // Nor does a switch that cannot be read say that there is nothing elsewhere.
    assert_eq!(databases(ldap, || None).user("70001").unwrap().group, "staff");
}

#[test]
fn auto_ids_are_stable_distinct_and_free() {
    let free = |d: &Databases, name: &str| d.free_ids(name).unwrap();
    let (uid, gid) = free(&local(), "nginx");
    assert_eq!(uid, gid);
    // Files on disks belong to this number: another version must give the same.
    let hash = 0xf79a_102f_6f88_5c2f_u64;
    assert_eq!(fnv1a(b"nginx"), hash);
    assert_eq!(uid, FIRST + u32::try_from(hash % u64::from(COUNT)).unwrap());
    assert!((FIRST..FIRST + COUNT).contains(&uid));
    assert_ne!(uid, free(&local(), "redis").0);
    let mut taken = local();
    add(&mut taken.passwd, &format!("x:x:{uid}:1::/:\nz:x:1:{}::/:\n", uid + 2));
    add(&mut taken.group, &format!("y:x:{}:\n", uid + 1));
    assert_eq!(free(&taken, "nginx").0, uid + 3);
    assert_eq!(databases(must_not_be_asked, switch_files).free_ids("nginx"), Some((uid, gid)));
}

#[test]
fn auto_goes_round_at_the_end_of_its_range() {
    // A name whose first choice is near the end, found by trying.
    let late = (0..).map(|n| format!("jail{n}")).find(|n| fnv1a(n.as_bytes()) % u64::from(COUNT) > 0x3f_ff00);
    let late = late.unwrap();
    let mut databases = local();
    for id in FIRST + 0x3f_ff00..FIRST + COUNT {
        add(&mut databases.group, &format!("g{id}:x:{id}:\n"));
    }
    assert_eq!(databases.free_ids(&late), Some((FIRST, FIRST)));
}

#[test]
fn auto_asks_elsewhere_only_if_there_is_an_elsewhere() {
    fn all_even(_: &str, key: &str) -> Option<String> {
        key.parse::<u32>().is_ok_and(|n| n % 2 == 0).then(String::new)
    }
    for name in ["nginx", "redis", "a", "b"] {
        assert_eq!(databases(all_even, switch_ldap).free_ids(name).unwrap().0 % 2, 1, "{name}");
    }
}

#[test]
fn ranges_are_stable_distinct_and_free() {
    let blocks = |d: &Databases, name: &str| d.free_range(name).unwrap();
    let first = blocks(&local(), "nginx");
    // Files on disks belong to these numbers: another version must give the same.
    assert_eq!(first, FIRST_RANGE + u32::try_from(fnv1a(b"nginx") % 40_960).unwrap() * 4096);
    assert!(first >= FIRST_RANGE && first + range::COUNT <= FIRST, "between systemd's ranges and auto's");
    assert_ne!(first, blocks(&local(), "redis"));
    assert_eq!(databases(must_not_be_asked, switch_files).free_range("nginx"), Some(first));
    let next = Some(first + range::COUNT);
    let mut user = local();
    add(&mut user.passwd, &format!("x:x:{}:1::/:\n", first + 4095));
    assert_eq!(user.free_range("nginx"), next);
    let mut group = local();
    add(&mut group.group, &format!("x:x:{first}:\n"));
    assert_eq!(group.free_range("nginx"), next);
    let mut subordinate = local();
    subordinate.subordinate = || {
        let first = local().free_range("nginx").unwrap();
        vec![(first - 10, first + 1), (first + 8191, first + 9000)]
    };
    assert_eq!(subordinate.free_range("nginx"), Some(first + 3 * range::COUNT));
}

#[test]
fn ranges_ask_elsewhere_only_if_there_is_an_elsewhere() {
    fn first_block(_: &str, key: &str) -> Option<String> {
        let local = local().free_range("nginx").unwrap();
        key.parse().is_ok_and(|n: u32| n == local + 512).then(String::new)
    }
    let first = local().free_range("nginx").unwrap();
    assert_eq!(databases(first_block, switch_ldap).free_range("nginx"), Some(first + range::COUNT));
}

#[test]
fn subordinate_ids_are_read() {
    assert_eq!(subordinate_line("me:100000:65536"), Some((100_000, 165_536)));
    assert_eq!(subordinate_line("1000:4294967290:65536"), Some((4_294_967_290, u32::MAX)));
    for bad in ["me:1", "me", "", "me:x:1", "me:1:y"] {
        assert_eq!(subordinate_line(bad), None, "{bad}");
    }
}

#[test]
fn sources_of_nsswitch() {
    let table: &[(&str, &[&str])] = &[
        ("passwd: files systemd\n", &["files", "systemd"]),
        ("passwd:files\n", &["files"]),
        (" passwd : files # ldap\n", &["files"]),
        ("passwd: files [NOTFOUND=return UNAVAIL=continue] sss\n", &["files", "sss"]),
        ("passwd: files[!SUCCESS=return]ldap\n", &["files", "ldap"]),
        ("#passwd: ldap\ngroup: sss\n", &[]),
        ("passwd: files [broken ldap\n", &["files"]),
        ("", &[]),
    ];
    for (text, wanted) in table {
        assert_eq!(sources(text, "passwd"), *wanted, "{text:?}");
    }
}

#[test]
fn the_real_files_and_the_real_getent() {
    let real = Databases::read();
    assert_eq!(real.user("root").unwrap().uid, 0);
    assert_eq!(real.user("no-such-user-anywhere"), None);
    if std::path::Path::new("/usr/bin/getent").exists() {
        assert_eq!(getent("passwd", "0").and_then(|l| passwd_line(&l)).unwrap().name, "root");
        assert_eq!(getent("passwd", "no-such-user-anywhere"), None);
    }
}
