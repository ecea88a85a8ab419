//! What every jail has without asking: /dev, /proc, and the files that name its user.
#![forbid(unsafe_code)]

use super::{Tree, dev};
use crate::jail::ask::{BASIC_DEVICES, checked, device_path};
use crate::jail::facts::FileKind;
use crate::jail::{Namespaces, What, identity};
use crate::problem::Problem;
use crate::spec::{Owner, Proc, Spec};

impl Tree<'_> {
    pub(super) fn devices(&mut self, spec: &Spec) {
        let has = |word: &str| spec.files.dev.iter().any(|d| d.value == word);
        if !has("none") {
            self.basic_devices(spec);
        }
        if has("pts") {
            self.place_ours("/dev/pts", What::Devpts);
            self.place_ours("/dev/ptmx", What::Link { target: "pts/ptmx".into() });
        }
        for entry in &spec.files.dev {
            let Some(path) = device_path(&entry.value).and_then(|p| checked(&p, entry.at, self.problems))
            else {
                continue;
            };
            if entry.value == "none" || BASIC_DEVICES.contains(&entry.value.as_str()) {
                continue;
            }
            let Some(end) = self.end(&path, entry.at, false, None) else { continue };
            if end.kind != FileKind::Device || !end.path.is_within(&dev()) {
                let problem =
                    Problem::set_up(format!("{path} is not a character device below /dev")).at(entry.at);
                self.problems.push(problem.help("other things are shown by read or write"));
                continue;
            }
            self.mirror(&path, entry.at);
            self.place(end.path.clone(), Some(entry.at), What::Device { source: end.path });
        }
    }

    fn basic_devices(&mut self, spec: &Spec) {
        if self.foreign.is_some() {
            let what = What::Tmpfs {
                size: 1 << 20,
                inodes: 64,
                mode: 0o755,
                owner: self.ids(Owner::Root),
                exec: false,
                directories: Vec::new(),
            };
            self.place_ours("/dev", what);
        }
        for name in BASIC_DEVICES {
            let source = dev().join(name);
            self.place(source.clone(), None, What::Device { source });
        }
        let shm = What::Tmpfs {
            size: 64 << 20,
            inodes: 4096,
            mode: 0o1777,
            owner: self.ids(Owner::Root),
            exec: false,
            directories: Vec::new(),
        };
        self.place_ours("/dev/shm", shm);
        if spec.files.proc.as_ref().is_none_or(|p| p.value != Proc::None) {
            for (link, target) in
                [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")]
            {
                self.place(dev().join(link), None, What::Link { target: target.into() });
            }
        }
    }

    pub(super) fn proc(&mut self, spec: &Spec, namespaces: &Namespaces) {
        let wanted = spec.files.proc.as_ref().map_or(Proc::Pid, |p| p.value);
        if namespaces.user && !namespaces.pid && wanted != Proc::None {
            // mount_namespaces(7): the kernel makes a procfs only for the owner of the pid namespace.
            let at = spec.privileges.share_namespaces.iter().find(|s| s.value == "pid").map(|s| s.at);
            let problem = Problem::set_up("only root can make a /proc for a shared pid namespace").at(at);
            self.problems.push(problem.help("run jail as root, or write [files] proc = \"none\""));
            return;
        }
        if wanted != Proc::None {
            let what = What::Proc { subset: wanted == Proc::Pid };
            self.place_ours("/proc", what);
        }
    }

    /// Only the users that the process needs, looked up before entering: inside, there is no NSS.
    pub(super) fn identity_files(&mut self) {
        let owner = self.ids(Owner::Root);
        for (path, content) in identity::files(self.identity, self.facts) {
            self.place_ours(path, What::Text { content, mode: 0o644, owner });
        }
    }
}
