//! Look-up, includes, local files and distrust, in temporary directories.

mod distrust;

use super::*;
use crate::problem::Paint;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

/// A temporary `jails.d` of each kind, and a directory that is neither.
struct World {
    top: TempDir,
    roots: Roots,
}

impl World {
    fn new() -> Self {
        let top = TempDir::new().unwrap();
        let roots = Roots { working: top.path().join("w"), system: top.path().join("s") };
        let world = World { top, roots };
        for directory in ["w/blocks", "s/blocks", "x"] {
            fs::create_dir_all(world.path(directory)).unwrap();
        }
        for directory in ["w", "w/blocks", "s", "s/blocks", "x"] {
            world.mode(directory, 0o755);
        }
        world
    }

    fn path(&self, below: &str) -> PathBuf {
        self.top.path().join(below)
    }

    /// Whatever the umask of the tester is.
    fn mode(&self, below: &str, mode: u32) {
        fs::set_permissions(self.path(below), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn write(&self, below: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(below), text).unwrap();
        self.mode(below, 0o644);
    }

    fn load(&self, wanted: &str) -> Result<Loaded, String> {
        let mut sources = Sources::default();
        let trust = Trust::User(nix::unistd::getuid().as_raw());
        let top = format!("{}/", self.top.path().display());
        load_from(&self.roots, wanted, trust, &mut sources)
            .map(|loaded| Loaded { place: loaded.place.replace(&top, ""), ..loaded })
            .map_err(|problems| problems.render(&sources, Paint(false)).replace(&top, ""))
    }

    /// By path.
    fn load_path(&self, below: &str) -> Result<Loaded, String> {
        self.load(&self.path(below).display().to_string())
    }
}

fn user(loaded: &Loaded) -> &str {
    loaded.spec.process.user.as_ref().map_or("", |user| user.value.as_str())
}

fn reads(loaded: &Loaded) -> Vec<&str> {
    loaded.spec.files.read.iter().map(|entry| entry.value.path.as_str()).collect()
}

fn says_user(user: &str) -> String {
    format!("process.user = \"{user}\"\n")
}

fn reads_path(path: &str) -> String {
    format!("files.read = [\"{path}\"]\n")
}

#[test]
fn names_are_looked_up_in_order() {
    let world = World::new();
    let builtin = world.load("nginx").unwrap();
    assert_eq!((builtin.place.as_str(), builtin.name.as_str()), ("built-in nginx", "nginx"));
    world.write("s/nginx.toml", says_user("system"));
    let system = world.load("nginx").unwrap();
    assert_eq!((system.place.as_str(), user(&system)), ("s/nginx.toml", "system"));
    world.write("w/nginx.toml", says_user("working"));
    let working = world.load("nginx").unwrap();
    assert_eq!((working.place.as_str(), user(&working)), ("w/nginx.toml", "working"));
    world.write("x/nginx.toml", says_user("path"));
    let path = world.load_path("x/nginx.toml").unwrap();
    assert_eq!((path.name.as_str(), user(&path)), ("nginx", "path"));
}

#[test]
fn local_files_adjust_the_built_in_spec() {
    let world = World::new();
    world.write("s/redis.local.toml", says_user("system"));
    let loaded = world.load("redis").unwrap();
    assert_eq!((loaded.place.as_str(), user(&loaded)), ("built-in redis", "system"));
    assert_eq!(loaded.spec.description.as_ref().unwrap().value, "redis: key-value store");
    assert!(reads(&loaded).contains(&"/etc/redis"), "the rest of the spec stays");
    world.write("w/redis.local.toml", format!("description = \"mine\"\n{}", says_user("working")));
    let loaded = world.load("redis").unwrap();
    assert_eq!(user(&loaded), "working");
    assert_eq!(loaded.spec.description.as_ref().unwrap().value, "mine");
}

#[test]
fn local_files_lie_beside_or_before_the_spec() {
    let world = World::new();
    world.write("s/a.toml", says_user("spec"));
    world.write("s/a.local.toml", says_user("beside"));
    assert_eq!(user(&world.load("a").unwrap()), "beside");
    world.write("w/a.local.toml", says_user("before"));
    assert_eq!(user(&world.load("a").unwrap()), "before");
    // One that comes after the spec in the order does not apply to it.
    fs::remove_file(world.path("w/a.local.toml")).unwrap();
    world.write("w/a.toml", says_user("working"));
    assert_eq!(user(&world.load("a").unwrap()), "working");
    world.write("x/a.toml", says_user("path"));
    world.write("w/a.local.toml", says_user("other"));
    assert_eq!(user(&world.load_path("x/a.toml").unwrap()), "path");
    world.write("x/a.local.toml", says_user("beside the path"));
    assert_eq!(user(&world.load_path("x/a.toml").unwrap()), "beside the path");
}

#[test]
fn includes_are_looked_up_in_order() {
    let world = World::new();
    world.write("x/a.toml", "include = [\"tls\"]\n");
    assert!(reads(&world.load_path("x/a.toml").unwrap()).contains(&"/etc/ssl/certs"));
    for (directory, path) in [("s/blocks", "/s"), ("w/blocks", "/w"), ("x/blocks", "/x")] {
        fs::create_dir_all(world.path(directory)).unwrap();
        world.mode(directory, 0o755);
        world.write(&format!("{directory}/tls.toml"), reads_path(path));
        assert_eq!(reads(&world.load_path("x/a.toml").unwrap()), [path]);
    }
    // Blocks come before specs, and a spec may be included, too.
    world.write("x/b.toml", "include = [\"other\", \"redis\"]\n");
    world.write("w/other.toml", reads_path("/spec"));
    assert_eq!(reads(&world.load_path("x/b.toml").unwrap())[0], "/spec");
    assert_eq!(user(&world.load_path("x/b.toml").unwrap()), "redis");
    world.write("s/blocks/other.toml", reads_path("/block"));
    assert_eq!(reads(&world.load_path("x/b.toml").unwrap())[0], "/block");
}

#[test]
fn includes_by_path_are_relative_to_their_file() {
    let world = World::new();
    world.write(
        "x/a.toml",
        format!("include = [\"../w/b.toml\", \"{}\"]\n", world.path("s/c.toml").display()),
    );
    world.write("w/b.toml", format!("include = [\"./d.toml\"]\n{}", reads_path("/b")));
    world.write("w/d.toml", reads_path("/d"));
    world.write("s/c.toml", reads_path("/c"));
    assert_eq!(reads(&world.load_path("x/a.toml").unwrap()), ["/d", "/b", "/c"]);
}

#[test]
fn the_including_file_wins_and_a_block_counts_once() {
    let world = World::new();
    world.write(
        "w/blocks/base.toml",
        format!("description = \"b\"\n{}{}", says_user("base"), reads_path("/base")),
    );
    world.write("w/blocks/left.toml", format!("include = [\"base\"]\n{}", reads_path("/left")));
    // The same file by another way.
    world.write(
        "w/blocks/right.toml",
        format!("include = [\"../blocks/base.toml\"]\n{}", reads_path("/right")),
    );
    world.write(
        "w/a.toml",
        format!("include = [\"left\", \"right\"]\n{}{}", says_user("a"), reads_path("/a")),
    );
    let loaded = world.load("a").unwrap();
    assert_eq!(reads(&loaded), ["/base", "/left", "/right", "/a"]);
    assert_eq!((user(&loaded), &loaded.spec.description), ("a", &None));
}

#[test]
fn loops_are_shown() {
    let world = World::new();
    world.write("w/a.toml", "include = [\"b\"]\n");
    world.write("w/b.toml", "include = [\"c\"]\n");
    world.write("w/c.toml", "include = [\"./b.toml\", \"tls\"]\n");
    assert_eq!(
        world.load("a").unwrap_err(),
        "jail: include loop: b -> c -> ./b.toml\n  --> w/c.toml:1:12    include = [\"./b.toml\", \"tls\"]\n  help: remove the include; to adjust a shipped spec write NAME.local.toml, which needs no include\n"
    );
    world.write("w/nginx.toml", "include = [\"nginx\"]\n");
    assert!(world.load("nginx").unwrap_err().starts_with("jail: include loop: nginx -> nginx\n"));
    // A local file that includes its own base is no loop: the base counts once.
    world.write("w/redis.local.toml", format!("include = [\"redis\"]\n{}", says_user("me")));
    let loaded = world.load("redis").unwrap();
    assert_eq!(user(&loaded), "me");
    assert_eq!(reads(&loaded).iter().filter(|path| **path == "/usr").count(), 1);
}

#[test]
fn includes_have_a_depth() {
    let world = World::new();
    for n in 0..20 {
        world.write(&format!("w/d{n}.toml"), format!("include = [\"d{}\"]\n", n + 1));
    }
    world.write("w/d20.toml", "");
    let error = world.load("d0").unwrap_err();
    assert!(error.starts_with("jail: includes are nested deeper than 16: d0 -> d1 -> "), "{error}");
    assert!(error.contains("--> w/d15.toml:1:12"), "{error}");
    assert!(world.load("d5").is_ok(), "sixteen deep is fine");
}

#[test]
fn all_problems_of_all_files_come_at_once() {
    let world = World::new();
    world.write("w/a.toml", "include = [\"b\", \"timzone\", \"./no.toml\"]\nusr = 1\n");
    world.write("w/blocks/b.toml", "[files]\nreed = []\n");
    world.write("w/a.local.toml", "[process]\nuser = 3\n");
    let error = world.load("a").unwrap_err();
    let lines: Vec<_> = error.lines().filter(|line| line.starts_with("jail: ")).collect();
    assert_eq!(
        lines,
        [
            "jail: unknown key `usr` at the top level",
            "jail: unknown key `reed` in [files]",
            "jail: there is no building block or spec `timzone` to include",
            "jail: there is no file w/no.toml to include",
            "jail: `user` in [process] must be a string, not an integer",
        ]
    );
    assert!(error.contains("--> w/blocks/b.toml:2:1    reed = []"), "{error}");
    assert!(error.contains("--> w/a.toml:1:17    include ="), "{error}");
    assert!(error.contains("help: did you mean `timezone`?"), "{error}");
    assert!(
        error.contains(
            "looked for w/blocks/timzone.toml, s/blocks/timzone.toml, w/timzone.toml, s/timzone.toml,"
        ),
        "{error}"
    );
}

#[test]
fn a_missing_spec_says_where_it_was_looked_for() {
    let world = World::new();
    assert_eq!(
        world.load("ngnix").unwrap_err(),
        "jail: there is no spec `ngnix`\n  help: looked for w/ngnix.toml, s/ngnix.toml, and among the built-in ones\n  help: did you mean `nginx`?\n  help: `jail specs` lists all\n"
    );
    assert_eq!(
        world.load_path("x/no.toml").unwrap_err(),
        "jail: there is no file x/no.toml\n  help: give the path of a spec, or a name; `jail specs` lists the names\n"
    );
    for wanted in ["", "-v", ".hidden", "a b", "x/", "../.toml", &"a".repeat(65)] {
        assert!(world.load(wanted).unwrap_err().contains("cannot be the name of a jail"), "{wanted}");
    }
}

#[test]
fn a_local_file_adds_to_the_default_system_calls() {
    let world = World::new();
    world.write("s/mine.toml", "");
    world.write("s/mine.local.toml", "[privileges]\nsystem-calls = [\"@io-uring\"]\n");
    let load = |name: &str| {
        load_from(&world.roots, name, Trust::User(nix::unistd::getuid().as_raw()), &mut Sources::default())
    };
    let calls = load("mine").unwrap().spec.privileges.system_calls;
    assert_eq!(calls.iter().map(|c| c.value.as_str()).collect::<Vec<_>>(), ["@service", "@io-uring"]);
    world.write("s/mine.toml", "[privileges]\nsystem-calls = [\"@core\"]\n");
    let calls = load("mine").unwrap().spec.privileges.system_calls;
    assert_eq!(calls.iter().map(|c| c.value.as_str()).collect::<Vec<_>>(), ["@core", "@io-uring"]);
}

#[test]
fn listings_show_what_would_be_found() {
    let world = World::new();
    world.write("w/nginx.toml", "description = \"mine\"\n");
    world.write("s/nginx.toml", "description = \"system\"\n");
    world.write("s/zzz.toml", "description = 3\n");
    world.write("s/redis.local.toml", "");
    world.write("s/not a name.toml", "");
    world.write("s/README", "");
    let list = list_in(&world.roots);
    let names: Vec<_> = list.iter().map(|l| l.name.as_str()).collect();
    let shipped = crate::spec::builtin::SPECS.iter().map(|spec| spec.name);
    assert_eq!(names, shipped.chain(["zzz"]).collect::<Vec<_>>());
    let by_name = |name: &str| list.iter().find(|l| l.name == name).unwrap();
    assert_eq!(by_name("nginx").description, "mine");
    assert!(by_name("nginx").place.ends_with("/w/nginx.toml"));
    assert_eq!((by_name("redis").local, by_name("redis").place.as_str()), (true, "built-in"));
    assert!(!by_name("hello").local);
    assert_eq!(by_name("zzz").description, "(has mistakes: see `jail check`)");
    world.write("w/blocks/tls.toml", "description = \"own\"\n");
    let blocks = blocks_in(&world.roots);
    let names: Vec<_> = blocks.iter().map(|l| l.name.as_str()).collect();
    let shipped: Vec<_> = crate::spec::builtin::BLOCKS.iter().map(|block| block.name).collect();
    assert_eq!(names, shipped);
    let tls = blocks.iter().find(|block| block.name == "tls").unwrap();
    assert_eq!(tls.description, "own");
}

#[test]
fn a_place_that_cannot_be_listed_is_shown() {
    let world = World::new();
    fs::write(world.path("file"), "").unwrap();
    let roots = Roots { working: world.path("file"), system: world.path("gone") };
    let list = list_in(&roots);
    assert_eq!(list[0].name, "?");
    assert!(list[0].description.starts_with("(cannot be listed: "), "{}", list[0].description);
    assert!(
        load_from(&roots, "nginx", Trust::Root, &mut Sources::default()).is_err(),
        "nor skipped in silence"
    );
}
