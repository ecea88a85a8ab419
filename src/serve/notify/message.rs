//! What a message of the program to the service manager may say (sd_notify(3)).
//!
//! The program is not trusted, and the manager will believe what comes from the outer process: only
//! assignments that are known here are passed on, each with a value of its own kind, and each once.
//! Must not know: sockets, or who sent it.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

/// Longest message: systemd takes no longer one (NOTIFY_BUFFER_MAX).
pub const LONGEST: usize = 4096;

/// Most assignments in one message.
const MOST: usize = 64;

/// Longest name of a key, of a descriptor (systemd's FDNAME_MAX) or of an error.
const LONGEST_NAME: usize = 255;

/// What is to be done about a message.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Message {
    /// What the service manager is told; empty: nothing.
    pub text: String,
    /// The descriptors that came with it go with it.
    pub descriptors: bool,
    /// The program's main process, by its number inside.
    pub main: Option<u32>,
    /// What is not passed on.
    pub refused: Vec<String>,
}

/// What an assignment's value may be.
enum Value {
    /// One of these texts.
    Only(&'static [&'static str]),
    /// A number in decimal digits, up to this.
    UpTo(u64),
    /// What people read.
    Text,
    /// A name without blanks or colons.
    Name,
}

/// The assignments that are passed on.
const KNOWN: &[(&str, Value)] = &[
    ("READY", Value::Only(&["1"])),
    ("RELOADING", Value::Only(&["1"])),
    ("STOPPING", Value::Only(&["1"])),
    ("STATUS", Value::Text),
    ("MONOTONIC_USEC", Value::UpTo(u64::MAX)),
    ("ERRNO", Value::UpTo(4095)),
    ("EXIT_STATUS", Value::UpTo(255)),
    ("BUSERROR", Value::Name),
    ("VARLINKERROR", Value::Name),
    ("WATCHDOG", Value::Only(&["1", "trigger"])),
    ("WATCHDOG_USEC", Value::UpTo(u64::MAX)),
    ("EXTEND_TIMEOUT_USEC", Value::UpTo(u64::MAX)),
    ("FDSTORE", Value::Only(&["1"])),
    ("FDSTOREREMOVE", Value::Only(&["1"])),
    ("FDNAME", Value::Name),
    ("FDPOLL", Value::Only(&["0"])),
    ("BARRIER", Value::Only(&["1"])),
];

/// Reads a datagram that came with `descriptors` descriptors.
///
/// # Errors
/// Why nothing of it is passed on.
pub fn read(bytes: &[u8], descriptors: usize) -> Result<Message, &'static str> {
    // One NUL at the end is common, and systemd allows it.
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    if bytes.len() > LONGEST {
        return Err("it is longer than 4096 bytes");
    }
    let text = str::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
    if text.contains('\0') {
        return Err("it has a NUL byte in it");
    }
    let mut message = Message::default();
    let mut seen = BTreeSet::new();
    let mut passed: Vec<String> = Vec::new();
    for line in text.split('\n').filter(|line| !line.is_empty()) {
        if seen.len() == MOST {
            return Err("it has more than 64 assignments");
        }
        let Some((key, value)) = line.split_once('=') else {
            message.refused.push(shortened(line));
            continue;
        };
        // Of several the manager would take the first.
        if !seen.insert(key) {
            continue;
        }
        match (key, assigned(key, value)) {
            ("MAINPID", _) => message.main = number(value, 1 << 22).and_then(|pid| u32::try_from(pid).ok()),
            (_, Some(assignment)) => passed.push(assignment),
            (_, None) => message.refused.push(shortened(line)),
        }
    }
    about_descriptors(&mut message, &mut passed, descriptors);
    message.text = passed.join("\n");
    Ok(message)
}

/// A barrier is a message of its own with one descriptor; else descriptors are only stored.
fn about_descriptors(message: &mut Message, passed: &mut Vec<String>, descriptors: usize) {
    let has = |passed: &[String], line: &str| passed.iter().any(|known| known == line);
    let alone = passed.len() == 1 && message.main.is_none() && message.refused.is_empty();
    let barrier = has(passed, "BARRIER=1");
    if barrier && !(alone && descriptors == 1) {
        passed.retain(|line| line != "BARRIER=1");
        message.refused.push("BARRIER=1 beside others, or without one descriptor".into());
    }
    let stores = has(passed, "FDSTORE=1");
    if stores && descriptors == 0 {
        passed.retain(|line| line != "FDSTORE=1");
        message.refused.push("FDSTORE=1 without a descriptor".into());
    }
    message.descriptors = descriptors > 0 && (stores || has(passed, "BARRIER=1"));
}

/// The assignment as it is passed on, if it is one of those.
fn assigned(key: &str, value: &str) -> Option<String> {
    let known = KNOWN.iter().find(|(known, _)| *known == key).map(|(_, kind)| kind);
    let value = match known {
        Some(Value::Only(only)) => only.contains(&value).then(|| value.to_owned()),
        Some(Value::UpTo(most)) => number(value, *most).map(|number| number.to_string()),
        Some(Value::Text) => Some(value.replace(|c: char| c.is_control(), " ")),
        Some(Value::Name) => is_name(value).then(|| value.to_owned()),
        None => (is_private(key) && !value.contains(|c: char| c.is_control())).then(|| value.to_owned()),
    };
    value.map(|value| format!("{key}={value}"))
}

/// Digits alone: no sign, no blank.
fn number(text: &str, most: u64) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number <= most)
}

fn is_name(text: &str) -> bool {
    (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b':')
}

/// `X_` is for agreements between a program and its manager.
fn is_private(key: &str) -> bool {
    let rest = key.strip_prefix("X_").unwrap_or("");
    let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    !rest.is_empty() && key.len() <= LONGEST_NAME && rest.bytes().all(plain)
}

fn shortened(line: &str) -> String {
    line.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn passed(text: &str, descriptors: usize) -> String {
        read(text.as_bytes(), descriptors).unwrap().text
    }

    #[test]
    fn what_servers_say_is_passed_on_as_it_is() {
        for text in [
            "READY=1",
            "READY=1\nSTATUS=Processing requests, 3 % done: \u{fc}bung",
            "RELOADING=1\nMONOTONIC_USEC=12345678901",
            "STOPPING=1",
            "WATCHDOG=1",
            "WATCHDOG=trigger",
            "WATCHDOG_USEC=20000000",
            "EXTEND_TIMEOUT_USEC=5000000",
            "ERRNO=2\nSTATUS=Failed\nEXIT_STATUS=3\nBUSERROR=org.freedesktop.DBus.Error.TimedOut",
            "FDSTOREREMOVE=1\nFDNAME=listener",
            "X_PRIVATE_2=anything, even = and :",
            "STATUS=",
        ] {
            assert_eq!(passed(text, 0), text);
        }
        assert_eq!(passed("READY=1\n\0", 0), "READY=1");
        assert_eq!(passed("", 0), "");
    }

    #[test]
    fn anything_else_is_not() {
        for text in [
            "READY=0",
            "READY=1 ",
            "READY",
            "ready=1",
            "=1",
            "ERRNO=-1",
            "ERRNO=4096",
            "ERRNO=+1",
            "MONOTONIC_USEC=",
            "MONOTONIC_USEC=18446744073709551616",
            "FDNAME=a:b",
            "FDNAME=a b",
            "FDNAME=",
            "NOTIFYACCESS=all",
            "MAINPID=2",
            "MAINPIDFD=1",
            "MAINPIDFDID=7",
            "UNKNOWN=1",
            "X_=1",
            "X_a=1",
            "X_A=\u{1b}[0m",
            "BUSERROR=\u{fc}",
            "BARRIER=1",
            "FDSTORE=1",
            "WATCHDOG=0",
            " READY=1",
        ] {
            assert_eq!(passed(text, 0), "", "{text}");
        }
        assert_eq!(passed("READY=1\nMAINPID=2\nNOTIFYACCESS=all\nSTATUS=a\rb", 0), "READY=1\nSTATUS=a b");
        assert_eq!(passed("STATUS=a\nSTATUS=b\nREADY=0\nREADY=1", 0), "STATUS=a", "the first counts");
        for bad in [&b"READY=1\0STATUS=x"[..], b"READY=1\xff", &[b'A'; LONGEST + 2]] {
            assert!(read(bad, 0).is_err());
        }
        let many: String = (0..65).map(|n| format!("X_{n}=1\n")).collect();
        assert!(read(many.as_bytes(), 0).is_err());
    }

    #[test]
    fn the_main_process_is_for_the_jail_to_know() {
        let main = |text: &str| read(text.as_bytes(), 0).unwrap().main;
        assert_eq!(main("MAINPID=17\nREADY=1"), Some(17));
        for text in ["MAINPID=-1", "MAINPID=4194305", "MAINPID=", "MAINPID=1x", "READY=1"] {
            assert_eq!(main(text), None, "{text}");
        }
    }

    #[test]
    fn descriptors_go_with_what_wants_them() {
        let goes = |text: &str, n| {
            let message = read(text.as_bytes(), n).unwrap();
            (message.text, message.descriptors)
        };
        assert_eq!(goes("BARRIER=1", 1), ("BARRIER=1".into(), true));
        for (text, n, rest) in
            [("BARRIER=1", 2, ""), ("BARRIER=1\nREADY=1", 1, "READY=1"), ("READY=1", 1, "READY=1")]
        {
            assert_eq!(goes(text, n), (rest.into(), false), "{text}");
        }
        let store = "FDSTORE=1\nFDNAME=web\nFDPOLL=0";
        assert_eq!(goes(store, 3), (store.into(), true));
        assert_eq!(goes(store, 0), ("FDNAME=web\nFDPOLL=0".into(), false));
    }

    proptest! {
        /// Of any bytes only known assignments are left, in a form that is read again as the same.
        #[test]
        fn only_known_assignments_are_left(bytes in "((READY|STATUS|ERRNO|MAINPID|X_A|FDSTORE|BARRIER|NOTIFYACCESS)?[=\n]?(1|\\PC|.|\0)?\n?){0,20}", n in 0usize..3) {
            if let Ok(message) = read(bytes.as_bytes(), n) {
                prop_assert!(message.text.len() <= LONGEST);
                for line in message.text.lines() {
                    let (key, value) = line.split_once('=').unwrap();
                    prop_assert!(key.starts_with("X_") || KNOWN.iter().any(|(known, _)| *known == key), "{}", key);
                    prop_assert!(!value.contains(|c: char| c.is_control()));
                }
                let again = read(message.text.as_bytes(), if message.descriptors { n } else { 0 }).unwrap();
                prop_assert_eq!(&again.text, &message.text);
                prop_assert_eq!(again.main, None);
            }
        }

        /// No bytes make it panic.
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..5000), n in 0usize..3) {
            prop_assert!(read(&bytes, n).is_err() || bytes.len() <= LONGEST + 1);
        }
    }
}
