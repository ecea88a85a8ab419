//! The spec loader on any text: files that include each other, in a directory of their own.
//!
//! Must not know: what the texts say.

use jail::problem::{Paint, Problems, Sources};
use jail::spec::load::{Roots, Trust, load_from};
use jail::spec::parse::parse;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where the stretches of the input go, in order.
const FILES: &[&str] = &["x.toml", "blocks/a.toml", "blocks/b.toml", "x.local.toml", "y.toml"];

/// What stands between two files in the input.
const BORDER: &[u8] = b"\n#---\n";

/// A directory that the loader is shown, and nothing else.
pub struct World {
    top: PathBuf,
    trust: Trust,
}

impl World {
    /// One in an existing, empty directory.
    pub fn new(top: &Path) -> Self {
        fs::create_dir_all(top.join("blocks")).expect("a directory for the blocks");
        for directory in [top.to_owned(), top.join("blocks")] {
            fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).expect("a mode");
        }
        let owner = fs::metadata(top).expect("the directory").uid();
        World { top: top.to_owned(), trust: Trust::User(owner) }
    }

    /// Loads what these bytes say. Panics if anything is as it must never be.
    pub fn load(&self, bytes: &[u8]) {
        let texts = split(bytes);
        if texts.iter().any(|text| leads_out(text)) {
            return;
        }
        for (index, file) in FILES.iter().enumerate() {
            let path = self.top.join(file);
            match texts.get(index) {
                Some(text) => fs::write(path, text).expect("the file is written"),
                None => fs::remove_file(path).unwrap_or(()),
            }
        }
        let roots = Roots { working: self.top.clone(), system: self.top.join("none") };
        let mut sources = Sources::default();
        let first = load_from(&roots, "x", self.trust, &mut sources);
        match &first {
            Ok(loaded) => {
                assert_eq!(loaded.name, "x");
                let mut problems = Problems::default();
                let alone = parse(&text(texts.first()), 0, &mut problems);
                assert_eq!(problems.0, [], "loaded in spite of a problem");
                if alone.include.is_empty() && texts.len() < 4 {
                    assert_eq!(loaded.spec, alone, "a spec by itself is what it says");
                }
            }
            Err(problems) => {
                assert!(!problems.0.is_empty(), "refused without a word");
                assert!([2, 125].contains(&problems.code()));
                for problem in &problems.0 {
                    assert!(!problem.what.is_empty());
                    let at = problem.at.map(|at| sources.locate(at));
                    assert!(at != Some(None), "a place that cannot be shown: {problem:?}");
                    super::right::printable(&problem.render(&sources, Paint(false)));
                }
            }
        }
        assert_eq!(load_from(&roots, "x", self.trust, &mut Sources::default()), first, "not the same twice");
    }
}

fn text(bytes: Option<&Vec<u8>>) -> String {
    bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
}

fn split(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut texts = vec![Vec::new()];
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        if rest.starts_with(BORDER) && texts.len() < FILES.len() {
            rest = rest.get(BORDER.len()..).unwrap_or(&[]);
            texts.push(Vec::new());
        } else {
            texts.last_mut().expect("at least one").push(*first);
            rest = tail;
        }
    }
    texts
}

/// An include that names a file elsewhere: the real file system is none of this test's business.
fn leads_out(bytes: &[u8]) -> bool {
    let spec = parse(&String::from_utf8_lossy(bytes), 0, &mut Problems::default());
    spec.include.iter().any(|include| include.value.starts_with('/') || include.value.contains(".."))
}
