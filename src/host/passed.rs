//! Sockets that a service manager has passed to this process (sd_listen_fds(3)).
//!
//! Must not know: what becomes of them.

use crate::problem::{Problem, Problems};
use rustix::fs::FileType;

/// Names of the sockets at descriptors 3 and up; none if the variables speak of another process.
pub fn sockets(problems: &mut Problems) -> Vec<String> {
    let variable = |name: &str| std::env::var(name).ok();
    let own = std::process::id().to_string();
    if variable("LISTEN_PID").is_none_or(|pid| pid != own) {
        return Vec::new();
    }
    let (count, names) = (variable("LISTEN_FDS"), variable("LISTEN_FDNAMES"));
    match names_of(count.as_deref().unwrap_or_default(), names.as_deref(), is_socket) {
        Ok(names) => names,
        Err(what) => {
            let help = "see sd_listen_fds(3); only sockets can be passed on";
            problems.push(Problem::set_up(what).help(help));
            Vec::new()
        }
    }
}

/// Fails closed: the manager meant this process, and its program would miss its socket.
fn names_of(
    count: &str,
    names: Option<&str>,
    is_socket: impl Fn(usize) -> bool,
) -> Result<Vec<String>, String> {
    // No process has more descriptors than this (NR_OPEN).
    let count = count.parse::<usize>().ok().filter(|n| *n <= 1 << 20);
    let count = count.ok_or("LISTEN_FDS, which is meant for this process, is not a number")?;
    if let Some(other) = (3..3 + count).find(|fd| !is_socket(*fd)) {
        return Err(format!("descriptor {other}, which LISTEN_FDS passes to this process, is not a socket"));
    }
    let names: Vec<String> = match names {
        None => vec!["unknown".to_owned(); count],
        Some(names) => names.split(':').map(str::to_owned).collect(),
    };
    if names.len() != count && count > 0 {
        return Err(format!("LISTEN_FDNAMES has {} names for {count} descriptors", names.len()));
    }
    Ok(names.into_iter().take(count).collect())
}

fn is_socket(fd: usize) -> bool {
    let stat = rustix::fs::stat(format!("/proc/self/fd/{fd}"));
    stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Socket)
}

#[cfg(test)]
mod tests {
    use super::names_of;

    #[test]
    fn what_sd_listen_fds_says() {
        let all = |_| true;
        assert_eq!(names_of("2", Some("a:b"), all).unwrap(), ["a", "b"]);
        assert_eq!(names_of("2", None, all).unwrap(), ["unknown", "unknown"]);
        assert_eq!(names_of("0", Some(""), all).unwrap(), [""; 0]);
        for (count, names) in [("", None), ("-1", None), ("two", None), ("99999999999", None)] {
            assert!(names_of(count, names, all).unwrap_err().contains("not a number"), "{count}");
        }
        assert!(names_of("2", Some("a"), all).unwrap_err().contains("1 names for 2"));
        assert!(names_of("2", None, |fd| fd == 3).unwrap_err().starts_with("descriptor 4,"));
    }
}
