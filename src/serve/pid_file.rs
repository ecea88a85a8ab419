//! The file that says which process the outer one is: there as long as the program runs.
//!
//! Must not know: who reads it, or whether its directory can be trusted (that was looked at before).

use crate::jail::path::AbsPath;
use nix::errno::Errno;
use std::fs::{self, OpenOptions};
use std::io::{Error, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file with the number of this process, that becomes the pid file once the program runs.
pub struct PidFile {
    path: PathBuf,
    /// Beside it, from before the start: what can go wrong goes wrong before anything runs.
    fresh: PathBuf,
    shown: bool,
}

impl PidFile {
    /// Writes the number beside `path`.
    ///
    /// # Errors
    /// Those of open(2) and write(2); EISDIR, ELOOP or EINVAL for what is there and no regular file.
    pub fn prepare(path: &AbsPath) -> Result<Self, Errno> {
        let place = Path::new(path.as_str());
        match fs::symlink_metadata(place) {
            Ok(there) if there.is_dir() => return Err(Errno::EISDIR),
            Ok(there) if there.is_symlink() => return Err(Errno::ELOOP),
            Ok(there) if !there.is_file() => return Err(Errno::EINVAL),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(errno(&error)),
            Ok(_) | Err(_) => {}
        }
        let own = std::process::id();
        let fresh = place.with_file_name(format!(".{}.{own}", path.name()));
        // One that is left of a killed process that had this number.
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(errno(&error)),
            _ => {}
        }
        // O_EXCL: never through a link.
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&fresh);
        let mut file = opened.map_err(|error| errno(&error))?;
        let prepared = PidFile { path: place.to_owned(), fresh, shown: false };
        // The mode is not left to the caller's mask: others read it.
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        let written = writeln!(file, "{own}").and_then(|()| file.set_permissions(readable));
        written.map(|()| prepared).map_err(|error| errno(&error))
    }

    /// The program runs: whoever waits for the file finds it, whole.
    ///
    /// # Errors
    /// Those of rename(2).
    pub fn show(&mut self) -> Result<(), Errno> {
        fs::rename(&self.fresh, &self.path).map_err(|error| errno(&error))?;
        self.shown = true;
        Ok(())
    }
}

impl Drop for PidFile {
    /// Removes what was made; not the file of another process that has taken its place.
    fn drop(&mut self) {
        let removed = match fs::read_to_string(&self.path) {
            Ok(text) if self.shown && text.trim() == std::process::id().to_string() => {
                fs::remove_file(&self.path)
            }
            _ if self.shown => Ok(()),
            _ => fs::remove_file(&self.fresh),
        };
        if let Err(error) = removed
            && error.kind() != ErrorKind::NotFound
        {
            eprintln!("jail: the pid file {} could not be removed: {error}", self.path.display());
        }
    }
}

fn errno(error: &Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(room: &tempfile::TempDir, name: &str) -> AbsPath {
        AbsPath::new(room.path().join(name).to_str().unwrap()).unwrap()
    }

    fn names(room: &tempfile::TempDir) -> Vec<String> {
        let entries = fs::read_dir(room.path()).unwrap();
        entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn it_is_there_once_shown_and_gone_in_the_end() {
        let room = tempfile::tempdir().unwrap();
        fs::write(room.path().join("x.pid"), "1\n").unwrap();
        let mut file = PidFile::prepare(&at(&room, "x.pid")).unwrap();
        assert_eq!(fs::read_to_string(room.path().join("x.pid")).unwrap(), "1\n", "not yet");
        file.show().unwrap();
        assert_eq!(
            fs::read_to_string(room.path().join("x.pid")).unwrap(),
            format!("{}\n", std::process::id())
        );
        drop(file);
        assert_eq!(names(&room), [""; 0]);
        drop(PidFile::prepare(&at(&room, "x.pid")).unwrap());
        assert_eq!(names(&room), [""; 0], "never shown");
    }

    #[test]
    fn another_process_s_file_stays() {
        let room = tempfile::tempdir().unwrap();
        let mut file = PidFile::prepare(&at(&room, "x.pid")).unwrap();
        file.show().unwrap();
        fs::write(room.path().join("x.pid"), "1\n").unwrap();
        drop(file);
        assert_eq!(names(&room), ["x.pid"]);
    }

    #[test]
    fn what_is_no_regular_file_is_never_replaced() {
        let room = tempfile::tempdir().unwrap();
        fs::create_dir(room.path().join("directory")).unwrap();
        std::os::unix::fs::symlink("/dev/null", room.path().join("link")).unwrap();
        let fault = |name: &str| PidFile::prepare(&at(&room, name)).err();
        assert_eq!(fault("directory"), Some(Errno::EISDIR));
        assert_eq!(fault("link"), Some(Errno::ELOOP));
        assert_eq!(fault("no/such"), Some(Errno::ENOENT));
        assert_eq!(PidFile::prepare(&AbsPath::new("/dev/null").unwrap()).err(), Some(Errno::EINVAL));
    }
}
