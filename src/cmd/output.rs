//! What goes to the caller: text on standard output, problems and log lines on standard error.
//!
//! Must not know: what the texts say.

use crate::problem::{Paint, Problem, Problems, Sources, printable};
use log::{Level, LevelFilter};
use nix::errno::Errno;
use nix::sys::stat::{SFlag, fstat};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;

/// Writes a whole text to standard output. A reader that went away (`jail plan x | head`) has all it
/// wanted: that is success. (SIGPIPE is ignored, so `println!` would panic.)
///
/// # Errors
/// Standard output cannot take it (a full disk).
pub fn print(text: &str) -> Result<(), Problems> {
    let mut out = io::stdout().lock();
    let ended = if text.ends_with('\n') { "" } else { "\n" };
    let written = out.write_all(text.as_bytes()).and_then(|()| out.write_all(ended.as_bytes()));
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let why = error.raw_os_error().map_or("it ended", |errno| Errno::from_raw(errno).desc());
            let problem = Problem::set_up(format!("cannot write to standard output: {why}"));
            Err(problem.help("is the disk full that it goes to?").into())
        }
        _ => Ok(()),
    }
}

/// Writes a text to standard error.
pub fn complain(text: &str) {
    // There is nowhere to say that standard error is closed; the exit code still tells.
    io::stderr().lock().write_all(text.as_bytes()).unwrap_or_default();
}

/// Prints problems, once.
pub fn report(problems: &Problems, sources: &Sources) {
    let text = problems.render(sources, paint(&io::stderr()));
    if in_journal() {
        let marked: String =
            text.lines().map(|line| format!("<{}>{line}\n", severity(Level::Error))).collect();
        complain(&marked);
    } else {
        complain(&text);
    }
}

/// Colour for a terminal whose user did not decline it (no-color.org).
pub fn paint(stream: &impl IsTerminal) -> Paint {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    Paint(stream.is_terminal() && !set("NO_COLOR") && !dumb)
}

/// Rows with their cells aligned, two spaces apart.
pub fn columns(rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(printable(cell).chars().count());
        }
    }
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let padded: Vec<String> = cells.map(|(cell, &width)| format!("{:width$}", printable(cell))).collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// Opens /dev/null for those of 0-2 that are closed, and refuses to start with a directory as one.
///
/// # Errors
/// One of 0-2 is a directory: it leads out of the jail, and 0-2 are all that the program inherits.
pub fn check_descriptors() -> Result<(), Problems> {
    // Its look-ups trust the caller, who then could be anybody.
    if nix::unistd::getuid() != nix::unistd::geteuid() || nix::unistd::getgid() != nix::unistd::getegid() {
        let problem = Problem::set_up("jail must not be installed set-uid or set-gid");
        return Err(problem.help("remove the bit: chmod ug-s, and run it as root or as yourself").into());
    }
    crate::sys::entry::prepare()
        .map_err(|errno| Problem::set_up(format!("cannot open /dev/null: {}", errno.desc())))?;
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let streams = [("input", stdin.as_fd()), ("output", stdout.as_fd()), ("error", stderr.as_fd())];
    for (name, stream) in streams {
        let stat = fstat(stream)
            .map_err(|errno| Problem::set_up(format!("cannot look at standard {name}: {}", errno.desc())))?;
        if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR {
            let problem = Problem::set_up(format!(
                "standard {name} is a directory: a program in the jail could open the host's files through it"
            ));
            return Err(problem.help("redirect it from or to a file, or /dev/null").into());
        }
    }
    Ok(())
}

/// Starts the log: warnings; with `-v` debug, with `-vv` trace, else what JAIL_LOG says.
pub fn start_log(verbose: u8) {
    let mut builder = env_logger::Builder::new();
    match (verbose, std::env::var("JAIL_LOG")) {
        (0, Ok(filter)) => builder.parse_filters(&filter),
        (0, Err(_)) => builder.filter_level(LevelFilter::Warn),
        (1, _) => builder.filter_level(LevelFilter::Debug),
        _ => builder.filter_level(LevelFilter::Trace),
    };
    let journal = in_journal();
    builder.format(move |out, record| {
        let mark = if journal { format!("<{}>", severity(record.level())) } else { String::new() };
        writeln!(out, "{mark}jail: {}", printable(&record.args().to_string()))
    });
    builder.init();
}

/// Standard error goes to the journal, which takes `<N>` before a line for its level (sd-daemon(3)).
/// The variable alone is not enough: it stays when a child's standard error is redirected.
fn in_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    fstat(io::stderr()).is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// The level of syslog(3).
fn severity(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_characters_and_hold_no_control_characters() {
        let rows = [vec!["é".into(), "a\x1b".into()], vec!["abc".into(), "b".into(), "c".into()]];
        assert_eq!(columns(&rows), "é    a\\u{1b}\nabc  b        c\n");
        assert_eq!(columns(&[]), "");
    }

    #[test]
    fn severities_are_those_of_syslog() {
        let levels = [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace];
        assert_eq!(levels.map(severity), [3, 4, 6, 7, 7]);
    }
}
