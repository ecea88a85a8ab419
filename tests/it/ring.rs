//! Rings: what a test needs of the machine. A ring that this machine does not have is skipped
//! aloud; where everything must run (`CI=true` or `JAIL_TESTS=all`), it fails instead.
//!
//! Must not know: any single test.

use libtest_mimic::{Failed, Trial};
use std::path::Path;
use std::sync::Mutex;

/// What a test needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ring {
    /// Nothing: the library and files of the package.
    Pure,
    /// User namespaces; as root the test becomes another user.
    Rootless,
    /// Root, with every capability.
    Root,
    /// Root and this program installed.
    Server(&'static str),
    /// Root, python3, and control groups of version 1 to make others in.
    Groups,
}

impl Ring {
    fn kind(self) -> &'static str {
        match self {
            Ring::Pure => "pure",
            Ring::Rootless => "rootless",
            Ring::Root => "root",
            Ring::Server(_) => "server",
            Ring::Groups => "groups",
        }
    }
}

/// A test before it is known whether it can run.
pub struct Test {
    name: String,
    ring: Ring,
    body: Box<dyn FnOnce() + Send>,
}

impl Test {
    /// As `file::what_is_tested`.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Names a test.
pub fn test(ring: Ring, name: impl Into<String>, body: impl FnOnce() + Send + 'static) -> Test {
    Test { name: name.into(), ring, body: Box::new(body) }
}

/// Tests of one ring whose names are those of their functions.
#[macro_export]
macro_rules! tests {
    ($($ring:expr => [$($name:ident),* $(,)?]),* $(,)?) => {
        /// The tests of this file.
        pub fn tests() -> Vec<$crate::ring::Test> {
            let file = module_path!().rsplit("::").next().unwrap_or_default();
            vec![$($($crate::ring::test($ring, format!("{file}::{}", stringify!($name)), $name)),*),*]
        }
    };
}

/// The same, each with a mount table of its own: what others mount on this machine meanwhile is no
/// change that a test is about.
#[macro_export]
macro_rules! isolated_tests {
    ($($ring:expr => [$($name:ident),* $(,)?]),* $(,)?) => {
        /// The tests of this file.
        pub fn tests() -> Vec<$crate::ring::Test> {
            let file = module_path!().rsplit("::").next().unwrap_or_default();
            vec![$($($crate::ring::test($ring, format!("{file}::{}", stringify!($name)), || {
                $crate::host::isolated($name);
            })),*),*]
        }
    };
}

/// Which rings this machine has.
pub struct Rings {
    all: bool,
    skipped: Mutex<Vec<(String, usize)>>,
}

impl Rings {
    /// Looks around.
    pub fn of_this_machine() -> Self {
        let set = |key: &str, wanted: &str| std::env::var(key).is_ok_and(|v| v == wanted);
        Rings { all: set("CI", "true") || set("JAIL_TESTS", "all"), skipped: Mutex::default() }
    }

    /// The test as the harness wants it.
    pub fn trial(&self, test: Test) -> Trial {
        let Test { name, ring, body } = test;
        let missing = missing(ring);
        let skip = missing.is_some() && !self.all;
        if let Some(reason) = &missing
            && skip
        {
            self.count(reason);
        }
        let run = move || match missing {
            Some(reason) => Err(Failed::from(format!("cannot run: {reason}"))),
            None => {
                body();
                Ok(())
            }
        };
        Trial::test(name, run).with_kind(ring.kind()).with_ignored_flag(skip)
    }

    fn count(&self, reason: &str) {
        let mut skipped = self.skipped.lock().unwrap();
        match skipped.iter_mut().find(|(known, _)| known == reason) {
            Some((_, count)) => *count += 1,
            None => skipped.push((reason.to_owned(), 1)),
        }
    }

    /// What did not run, and why.
    pub fn print_skipped(&self) {
        let skipped = self.skipped.lock().unwrap();
        let total: usize = skipped.iter().map(|(_, count)| count).sum();
        let reasons: Vec<String> =
            skipped.iter().map(|(reason, count)| format!("{count} because {reason}")).collect();
        match total {
            0 => println!("skipped: 0"),
            total => println!("skipped: {total} ({})", reasons.join("; ")),
        }
    }
}

fn missing(ring: Ring) -> Option<String> {
    let root = nix::unistd::geteuid().is_root();
    match ring {
        Ring::Pure => None,
        Ring::Rootless => user_namespaces().err(),
        Ring::Root | Ring::Server(_) | Ring::Groups if !root => Some("this is not root".into()),
        Ring::Root => None,
        Ring::Groups => {
            let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
            let lacks = ["memory", "cpu", "pids", "cpuset"].into_iter().find(|controller| {
                let names = own.lines().filter_map(|line| line.split(':').nth(1));
                !names.flat_map(|names| names.split(',')).any(|name| name == *controller)
            });
            lacks
                .map(|controller| format!("cgroup version 1 has no {controller}"))
                .or_else(|| missing(Ring::Server("python3")))
        }
        Ring::Server(program) => {
            let installed = ["/usr/sbin", "/usr/bin"].iter().any(|d| Path::new(d).join(program).exists());
            (!installed).then(|| format!("{program} is not installed"))
        }
    }
}

fn user_namespaces() -> Result<(), String> {
    let limit = std::fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default();
    if limit.trim() == "0" { Err("user.max_user_namespaces is 0".into()) } else { Ok(()) }
}
