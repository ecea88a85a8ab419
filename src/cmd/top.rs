//! `jail top`: what the running jails use, again and again.
//!
//! Must not know: where the numbers come from. Plain control sequences (ECMA-48) are enough: a library
//! for terminals would be part of every start.

use super::ps::registry;
use super::{Ended, output};
use crate::host::usage::{self, Gauge, Usage, rounded, share};
use crate::problem::{Problems, printable};
use crate::registry::living::Life;
use crate::sys::terminal;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Columns of a bar.
const WIDTH: usize = 20;

/// Until `q` or Ctrl-C, if there is a terminal; else once.
pub fn top(every: Duration) -> Result<Ended, Problems> {
    let (input, output) = (std::io::stdin(), std::io::stdout());
    let mut before = Looks::default();
    if !output.is_terminal() || !input.is_terminal() {
        output::print(&text(&look()?, &before, usize::MAX))?;
        return Ok(Ended::SUCCESS);
    }
    let restore = terminal::make_raw(&input).ok();
    // Another screen, without a cursor; afterwards all is as it was.
    let shown = refresh(every, &mut before);
    if let Some(restore) = restore
        && let Err(errno) = terminal::restore(&input, &restore)
    {
        log::debug!("terminal: {errno}");
    }
    output::print("\x1b[?25h\x1b[?1049l")?;
    shown.map(|()| Ended::SUCCESS)
}

fn refresh(every: Duration, before: &mut Looks) -> Result<(), Problems> {
    output::print("\x1b[?1049h\x1b[?25l")?;
    loop {
        let now = look()?;
        let size = terminal::size(&std::io::stdout()).ok();
        let rows = size.map_or(24, |size| usize::from(size.ws_row)).max(4);
        let columns = size.map_or(80, |size| usize::from(size.ws_col)).max(20);
        let lines = text(&now, before, columns);
        let screen: Vec<&str> = lines.lines().take(rows - 1).collect();
        // Each line to its end, and what is below: no flicker as from clearing all.
        output::print(&format!("\x1b[H{}\x1b[K\r\n\x1b[J", screen.join("\x1b[K\r\n")))?;
        *before = now;
        if typed(every) {
            return Ok(());
        }
    }
}

/// Waits; whether the end was asked for.
fn typed(every: Duration) -> bool {
    let end = Instant::now() + every;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let input = std::io::stdin();
        let mut waiting = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waiting, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Ok(0) => return false,
            Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return true,
            Ok(_) => {
                let mut key = [0; 16];
                match nix::unistd::read(&input, &mut key) {
                    Ok(0) | Err(_) => return true,
                    // q, Ctrl-C, Ctrl-D.
                    Ok(n) if key.iter().take(n).any(|key| matches!(key, b'q' | 3 | 4)) => return true,
                    Ok(_) => {}
                }
            }
        }
    }
}

/// Uses at one moment.
#[derive(Default)]
struct Looks {
    at: Option<Instant>,
    jails: BTreeMap<String, Usage>,
}

fn look() -> Result<Looks, Problems> {
    let running = registry()?.list()?.into_iter().filter(|entry| entry.state == Life::Running);
    let jails = running.filter_map(|entry| Some((entry.name, usage::of(&entry.record?.groups))));
    Ok(Looks { at: Some(Instant::now()), jails: jails.collect() })
}

fn text(now: &Looks, before: &Looks, columns: usize) -> String {
    if now.jails.is_empty() {
        return "no jail is running\n".into();
    }
    let elapsed = now.at.zip(before.at).map(|(now, before)| now.duration_since(before));
    let name = now.jails.keys().map(|name| name.chars().count()).max().unwrap_or(0).max(4);
    let mut out = format!("{:name$}  {:<w$}  {:<w$}  CPU\n", "NAME", "MEMORY", "TASKS", w = WIDTH + 24);
    for (jail, usage) in &now.jails {
        let memory = usage.memory.map_or("-".into(), |gauge| bar(gauge, rounded));
        let tasks = usage.tasks.map_or("-".into(), |gauge| bar(gauge, |n| n.to_string()));
        let used = before.jails.get(jail).and_then(|before| rate(usage, before, elapsed?));
        let cpu = match (used, usage.cpu) {
            (Some(used), Some(limit)) => format!("{} of {}", share(used), share(limit)),
            (Some(used), None) => share(used),
            (None, limit) => limit.map_or("-".into(), |limit| format!("at most {}", share(limit))),
        };
        let cause = usage.cause().map_or(String::new(), |cause| format!("  {cause}"));
        let jail = printable(jail);
        out += &format!("{jail:name$}  {memory:<w$}  {tasks:<w$}  {cpu}{cause}\n", w = WIDTH + 24);
    }
    out.lines()
        .map(|line| format!("{}\n", line.chars().take(columns).collect::<String>().trim_end()))
        .collect()
}

/// Thousandths of a CPU between two looks.
fn rate(now: &Usage, before: &Usage, elapsed: Duration) -> Option<u64> {
    let used = now.cpu_time?.checked_sub(before.cpu_time?)?;
    (used * 1000).checked_div(u64::try_from(elapsed.as_micros()).ok()?)
}

/// `[#####     ] 12.0 MiB of 64.0 MiB`
fn bar(gauge: Gauge, words: impl Fn(u64) -> String) -> String {
    let Some(limit) = gauge.limit else { return words(gauge.used) };
    let full = usize::try_from(u64::try_from(WIDTH).unwrap_or(0).saturating_mul(gauge.used) / limit.max(1));
    let full = full.unwrap_or(WIDTH).min(WIDTH);
    format!("[{}{}] {} of {}", "#".repeat(full), " ".repeat(WIDTH - full), words(gauge.used), words(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_the_use() {
        let bar = |used, limit| bar(Gauge { used, limit: Some(limit) }, |n| n.to_string());
        assert_eq!(bar(0, 64), format!("[{}] 0 of 64", " ".repeat(20)));
        assert_eq!(bar(32, 64), format!("[{}{}] 32 of 64", "#".repeat(10), " ".repeat(10)));
        assert_eq!(bar(70, 64), format!("[{}] 70 of 64", "#".repeat(20)));
    }

    #[test]
    fn lines_are_cut_to_the_screen() {
        let usage = Usage { tasks: Some(Gauge { used: 1, limit: Some(2) }), ..Usage::default() };
        let now = Looks { at: None, jails: BTreeMap::from([("web".to_owned(), usage)]) };
        let text = text(&now, &Looks::default(), 10);
        assert!(text.lines().all(|line| line.chars().count() <= 10) && text.contains("web"), "{text}");
    }
}
