//! Signal names (signal(7)) to numbers.
#![forbid(unsafe_code)]

use crate::problem::{At, Problem, did_you_mean};

/// SIGHUP: asks for a reload.
pub const HUP: i32 = 1;
/// SIGTERM: asks for a stop.
pub const TERM: i32 = 15;

const NAMES: &[(&str, i32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// `QUIT`, `SIGQUIT`, `RTMIN+3` (glibc's RTMIN, 34), or a number from 1 to 64.
pub fn number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(rest) = name.strip_prefix("RTMIN") {
        let offset = if rest.is_empty() { 0 } else { rest.strip_prefix('+')?.parse::<i32>().ok()? };
        return (0..=30).contains(&offset).then_some(34 + offset);
    }
    NAMES.iter().find(|n| n.0 == name).map(|n| n.1)
}

/// `SIGQUIT`, or the number as text.
pub fn name(number: i32) -> String {
    match NAMES.iter().find(|n| n.1 == number) {
        Some((name, _)) => format!("SIG{name}"),
        None => format!("signal {number}"),
    }
}

/// The problem of a name that is none.
pub fn unknown(name: &At<String>) -> Problem {
    let problem = Problem::usage(format!("there is no signal `{}`", name.value)).at(name.at);
    let upper = name.value.to_ascii_uppercase();
    match did_you_mean(upper.strip_prefix("SIG").unwrap_or(&upper), NAMES.iter().map(|n| n.0)) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem.help("write a name as in signal(7), such as QUIT or USR1"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_and_without_prefix_and_numbers() {
        for (text, expected) in
            [("QUIT", 3), ("SIGQUIT", 3), ("sigterm", 15), ("9", 9), ("RTMIN+3", 37), ("RTMIN", 34)]
        {
            assert_eq!(number(text), Some(expected), "{text}");
        }
        for text in ["", "0", "65", "-1", "SIGFOO", "RTMIN+31", "RTMIN+", "RTMIN-1"] {
            assert_eq!(number(text), None, "{text}");
        }
        assert_eq!(name(3), "SIGQUIT");
        assert_eq!(name(40), "signal 40");
    }
}
