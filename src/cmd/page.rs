//! Writes a page or a unit to a file, perhaps as root, perhaps into a directory where others can write.
//!
//! Must not know: what is written.

use crate::problem::{Problem, Problems};
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Makes `path`, a `what`, a file of this content, or leaves what is there as it is. A new file takes the place
/// of an old one by rename: a link that somebody put there is never followed, and nobody reads half
/// a page.
///
/// # Errors
/// Something other than a regular file is there, or the directory cannot be written to.
pub fn write(what: &str, path: &str, content: &str) -> Result<(), Problems> {
    let fail = |cause: &str| Problem::set_up(format!("cannot write the {what} {path}: {cause}"));
    let place = Path::new(path);
    let Some(name) = place.file_name().and_then(|name| name.to_str()) else {
        return Err(fail("it is not the name of a file").into());
    };
    match fs::symlink_metadata(place) {
        Ok(there) if there.is_symlink() => {
            let problem = fail("it is a symbolic link, which is not followed");
            return Err(problem.help("name the file it leads to, or remove the link").into());
        }
        Ok(there) if !there.is_file() => {
            return Err(fail("it is not a regular file").help("name a file, new or old").into());
        }
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(fail(&error.to_string()).into()),
    }
    let fresh = place.with_file_name(format!(".{name}.{}", std::process::id()));
    // O_EXCL: never through a link, never into a file that is there.
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&fresh);
    let mut file = opened.map_err(|error| {
        fail(&error.to_string()).help("is there such a directory, and may you write to it?")
    })?;
    let written = file.write_all(content.as_bytes()).and_then(|()| file.sync_all());
    written.and_then(|()| fs::rename(&fresh, place)).map_err(|error| {
        // The first error is the one to tell.
        fs::remove_file(&fresh).unwrap_or_default();
        fail(&error.to_string()).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_page_replaces_a_file_and_never_follows_a_link() {
        let room = tempfile::tempdir().unwrap();
        let at = |name: &str| room.path().join(name).display().to_string();
        write("page", &at("new.html"), "one").unwrap();
        write("page", &at("new.html"), "two").unwrap();
        assert_eq!(fs::read_to_string(at("new.html")).unwrap(), "two");
        fs::write(at("kept"), "kept").unwrap();
        symlink(at("kept"), at("link.html")).unwrap();
        symlink(at("nowhere"), at("dangling.html")).unwrap();
        fs::hard_link(at("kept"), at("hard.html")).unwrap();
        for name in ["link.html", "dangling.html"] {
            let problems = write("page", &at(name), "page").unwrap_err();
            assert_eq!(problems.code(), 125);
            assert!(problems.0[0].what.contains("symbolic link"), "{}", problems.0[0].what);
        }
        write("page", &at("hard.html"), "page").unwrap();
        assert_eq!(fs::read_to_string(at("kept")).unwrap(), "kept", "the other name keeps its content");
        assert!(!Path::new(&at("nowhere")).exists());
        for bad in [at("."), at("no/such/directory.html"), at(""), "/".into(), "..".into(), String::new()] {
            assert!(write("page", &bad, "page").is_err(), "{bad}");
        }
        let left: Vec<_> = fs::read_dir(room.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{left:?}");
    }
}
