//! What the first process, later pid 1, tells the outer process: messages over a socket that keeps
//! their borders. `sys/init` has the other half.
//!
//! Must not know: sockets. Pid 1 runs as the jailed user, so the outer process takes nothing but
//! these few numbers from it, and refuses anything else.
#![forbid(unsafe_code)]

/// Bytes of every message.
pub const SIZE: usize = 20;

const ENDED: u32 = 5;

/// First process to outer, with the descriptors of the program and of the live files.
pub const HANDED_OVER: &[u8] = b"jail";

/// Pid 1 to outer: the program did not simply exit (that is pid 1's own exit status).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ended {
    /// As from wait(2).
    pub status: i32,
    /// Other processes of the jail were still alive.
    pub left: bool,
}

/// As received from pid 1; `None` for anything that it does not send.
pub fn ended(bytes: &[u8]) -> Option<Ended> {
    let bytes: &[u8; SIZE] = bytes.try_into().ok()?;
    let mut words = [0u32; 5];
    for (word, from) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = u32::from_ne_bytes(from.try_into().ok()?);
    }
    match words {
        [ENDED, status, left @ (0 | 1), 0, 0] => {
            Some(Ended { status: status.cast_signed(), left: left == 1 })
        }
        _ => None,
    }
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
        let bytes = encode([ENDED, 0x8b, 1, 0, 0]);
        assert_eq!(ended(&bytes), Some(Ended { status: 0x8b, left: true }));
    }

    #[test]
    fn anything_else_is_refused() {
        assert_eq!(ended(b""), None);
        assert_eq!(ended(&[0; SIZE]), None);
        assert_eq!(ended(&[0xff; SIZE]), None);
        assert_eq!(ended(HANDED_OVER), None);
        let mut long = encode([ENDED, 0, 0, 0, 0]).to_vec();
        long.push(0);
        assert_eq!(ended(&long), None);
        assert_eq!(ended(&encode([ENDED, 0, 0, 0, 1])), None, "unused words are zero");
        assert_eq!(ended(&encode([ENDED, 0, 2, 0, 0])), None, "a boolean is 0 or 1");
    }
}
