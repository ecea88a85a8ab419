//! What the outer process and the first one, later pid 1, say to each other: messages over a socket
//! that keeps their borders. `sys/init` has the other half.
//!
//! Must not know: sockets. Pid 1 runs as the jailed user, so the outer process takes nothing but
//! these few numbers from it, and refuses anything else.
#![forbid(unsafe_code)]

/// Bytes of every message of pid 1.
pub const SIZE: usize = 20;

const ENDED: u32 = 5;
const DETACHED: u32 = 6;
const MAIN: u32 = 7;
const NOBODY: u32 = 8;
const MAIN_ENDED: u32 = 9;
const WATCH: u32 = 10;

/// First process to outer, with the descriptors of the program and of the live files.
pub const HANDED_OVER: &[u8] = b"jail";

/// Pid 1 to outer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// The jail is over, and not simply by an exit (that is pid 1's own exit status).
    Ended(Ended),
    /// The first process has ended well and left others: signals are for these from now on. Said again
    /// whenever one of them has ended, which may have left others in its place.
    Detached,
    /// The main process is another one from now on; its descriptor comes along.
    Main,
    /// The pid file names no process of the jail, and is not looked at any more.
    Nobody,
    /// A main process that was not the first one has ended; with its status as from wait(2), where
    /// pid 1 is its parent. The rest is to follow.
    MainEnded(Option<i32>),
}

/// How the program ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ended {
    /// As from wait(2).
    pub status: i32,
    /// Other processes of the jail were still alive.
    pub left: bool,
}

/// As received from pid 1; `None` for anything that it does not send.
pub fn message(bytes: &[u8]) -> Option<Message> {
    let bytes: &[u8; SIZE] = bytes.try_into().ok()?;
    let mut words = [0u32; 5];
    for (word, from) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = u32::from_ne_bytes(from.try_into().ok()?);
    }
    match words {
        [ENDED, status, left @ (0 | 1), 0, 0] => {
            Some(Message::Ended(Ended { status: status.cast_signed(), left: left == 1 }))
        }
        [DETACHED, 0, 0, 0, 0] => Some(Message::Detached),
        [MAIN, 0, 0, 0, 0] => Some(Message::Main),
        [NOBODY, 0, 0, 0, 0] => Some(Message::Nobody),
        [MAIN_ENDED, 0, 0, 0, 0] => Some(Message::MainEnded(None)),
        [MAIN_ENDED, status, 1, 0, 0] => Some(Message::MainEnded(Some(status.cast_signed()))),
        _ => None,
    }
}

/// Outer to pid 1: the main process is the one with this number inside, if there is one.
pub fn watch(pid: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    let words = WATCH.to_ne_bytes().into_iter().chain(pid.to_ne_bytes());
    for (to, from) in bytes.iter_mut().zip(words) {
        *to = from;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(words: [u32; 5]) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    #[test]
    fn what_pid_1_sends_is_understood() {
        let read = |words| message(&encode(words));
        let ended = Message::Ended(Ended { status: 0x8b, left: true });
        assert_eq!(read([ENDED, 0x8b, 1, 0, 0]), Some(ended));
        assert_eq!(read([DETACHED, 0, 0, 0, 0]), Some(Message::Detached));
        assert_eq!(read([MAIN, 0, 0, 0, 0]), Some(Message::Main));
        assert_eq!(read([NOBODY, 0, 0, 0, 0]), Some(Message::Nobody));
        assert_eq!(read([MAIN_ENDED, 0, 0, 0, 0]), Some(Message::MainEnded(None)));
        assert_eq!(read([MAIN_ENDED, 9, 1, 0, 0]), Some(Message::MainEnded(Some(9))));
    }

    #[test]
    fn anything_else_is_refused() {
        assert_eq!(message(b""), None);
        assert_eq!(message(&[0; SIZE]), None);
        assert_eq!(message(&[0xff; SIZE]), None);
        assert_eq!(message(HANDED_OVER), None);
        let mut long = encode([ENDED, 0, 0, 0, 0]).to_vec();
        long.push(0);
        assert_eq!(message(&long), None);
        for unused in 0..5 {
            for kind in [ENDED, DETACHED, MAIN, NOBODY, MAIN_ENDED, WATCH] {
                let mut words = [kind, 0, 0, 0, 0];
                words[unused] = 77;
                let status = unused == 1 && kind == ENDED;
                assert_eq!(message(&encode(words)).is_some(), status, "{words:?}: unused words are zero");
            }
        }
        assert_eq!(message(&encode([ENDED, 0, 2, 0, 0])), None, "a boolean is 0 or 1");
    }

    #[test]
    fn pid_1_is_told_a_number() {
        assert_eq!(watch(258), [WATCH.to_ne_bytes(), 258u32.to_ne_bytes()].concat()[..]);
    }
}
