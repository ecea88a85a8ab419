//! What the prober is told, and what it answers: system calls as data. `sys/prober` has the other
//! half and the layout.
//!
//! Must not know: sockets, or what a call is good for. The prober runs as the jailed user, so nothing
//! in an answer is believed but numbers and bytes of the length that was sent.
#![forbid(unsafe_code)]

use crate::seccomp;

/// Most bytes of a message.
pub const SIZE: usize = 32 * 1024;

const WORD: usize = 8;
const WORDS: usize = 14;
const CHILD: u64 = 1;
const NO_CHILD: u64 = 1;
const IN_CHILD: u64 = 2;
const DONE: u64 = 0xd0e;

/// An argument of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arg {
    /// This number.
    Number(u64),
    /// The address of the byte with this index in the data.
    Data(usize),
    /// What an earlier operation returned.
    Result(usize),
}

impl From<i64> for Arg {
    fn from(number: i64) -> Self {
        Arg::Number(number.cast_unsigned())
    }
}

/// How an operation is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entry {
    /// A system call, natively.
    Native,
    /// A system call by the entry of 32-bit programs.
    Compatible,
    /// Not a call: stores the second argument in the data at the first.
    Store,
    /// Not a call: executes what is at the first argument.
    Run,
    /// A system call that makes a process, which ends at once.
    Fork,
}

/// One operation.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Operation {
    entry: Entry,
    number: u64,
    arguments: [Arg; 6],
}

/// Operations that are done one after the other, and the data that they use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    operations: Vec<Operation>,
    data: Vec<u8>,
    child: bool,
}

impl Default for Batch {
    /// Empty, to be done in a process of its own, so that nothing lasts.
    fn default() -> Self {
        Batch { operations: Vec::new(), data: Vec::new(), child: true }
    }
}

impl Batch {
    /// Empty, to be done by the prober itself: what it changes lasts.
    pub fn lasting() -> Self {
        Batch { child: false, ..Batch::default() }
    }

    /// Adds a call by name; a name that this architecture lacks becomes a number that no kernel has.
    pub fn call(&mut self, name: &str, arguments: &[Arg]) -> Arg {
        let number = seccomp::number(name).map_or(u64::from(u32::MAX >> 2), u64::from);
        let entry = match name {
            "clone" | "clone3" | "fork" | "vfork" => Entry::Fork,
            _ => Entry::Native,
        };
        self.operation(entry, number, arguments)
    }

    /// Adds an operation; the result can be an argument of later ones.
    pub fn operation(&mut self, entry: Entry, number: u64, arguments: &[Arg]) -> Arg {
        let mut six = [Arg::Number(0); 6];
        for (to, from) in six.iter_mut().zip(arguments) {
            *to = *from;
        }
        self.operations.push(Operation { entry, number, arguments: six });
        Arg::Result(self.operations.len() - 1)
    }

    /// Adds a C string to the data.
    pub fn text(&mut self, text: &str) -> Arg {
        self.bytes(&[text.as_bytes(), b"\0"].concat())
    }

    /// Adds bytes to the data, aligned for any type.
    pub fn bytes(&mut self, bytes: &[u8]) -> Arg {
        let at = self.data.len().next_multiple_of(WORD);
        self.data.resize(at, 0);
        self.data.extend_from_slice(bytes);
        Arg::Data(at)
    }

    /// Adds zeroes to the data, for the kernel to write to.
    pub fn space(&mut self, length: usize) -> Arg {
        self.bytes(&vec![0; length])
    }

    /// Adds words to the data; those that are addresses are stored just before the next call.
    pub fn words(&mut self, words: &[Arg]) -> Arg {
        let space = self.space(words.len() * WORD);
        let Arg::Data(at) = space else { return space };
        for (index, word) in words.iter().enumerate() {
            self.operation(Entry::Store, 0, &[Arg::Number((at + index * WORD) as u64), *word]);
        }
        space
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// The message; `None` if it would be too long. Without `children` all is done by the prober itself.
    pub fn encode(&self, children: bool) -> Option<Vec<u8>> {
        let child = if self.child && children { CHILD } else { 0 };
        let mut words = vec![child, self.operations.len() as u64];
        for operation in &self.operations {
            words.push(match operation.entry {
                Entry::Native => 0,
                Entry::Compatible => 1,
                Entry::Store => 2,
                Entry::Run => 3,
                Entry::Fork => 4,
            });
            words.push(operation.number);
            for argument in operation.arguments {
                let (kind, value) = match argument {
                    Arg::Number(number) => (0, number),
                    Arg::Data(at) => (1, at as u64),
                    Arg::Result(index) => (2, index as u64),
                };
                words.extend([kind, value]);
            }
        }
        let mut message: Vec<u8> = words.iter().flat_map(|w| w.to_ne_bytes()).collect();
        message.extend_from_slice(&self.data);
        (message.len() <= SIZE).then_some(message)
    }

    /// Reads the answer to this batch; `None` if it is not one.
    pub fn decode(&self, message: &[u8]) -> Option<Reply> {
        let start = (2 + self.operations.len() * WORDS) * WORD;
        if message.len() != start + self.data.len() {
            return None;
        }
        let word = |index: usize| -> Option<u64> {
            let bytes = message.get(index * WORD..(index + 1) * WORD)?;
            Some(u64::from_ne_bytes(bytes.try_into().ok()?))
        };
        let how = word(0)?;
        let mut results = Vec::new();
        for index in 0..self.operations.len() {
            let at = 2 + index * WORDS;
            results.push(if word(at)? == DONE { Some(word(at + 1)?.cast_signed()) } else { None });
        }
        let status = (how >> 32 == IN_CHILD).then_some((how & 0xffff_ffff) as u32);
        Some(Reply { results, status, alone: how != NO_CHILD, data: message.get(start..)?.to_vec() })
    }
}

/// What came of a batch.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reply {
    /// Of each operation: what it returned, negative for an errno; `None`: the process was gone.
    pub results: Vec<Option<i64>>,
    /// Of the child, as from wait(2), if there was one.
    pub status: Option<u32>,
    /// False if a child was wanted and could not be made.
    pub alone: bool,
    /// The data after the calls.
    pub data: Vec<u8>,
}

impl Reply {
    /// What an operation returned.
    pub fn result(&self, index: usize) -> Option<i64> {
        self.results.get(index).copied().flatten()
    }

    /// The signal that ended the child.
    pub fn signal(&self) -> Option<u32> {
        self.status.map(|s| s & 0x7f).filter(|s| *s != 0)
    }

    /// Bytes of the data.
    pub fn bytes(&self, at: Arg, length: usize) -> &[u8] {
        match at {
            Arg::Data(at) => self.data.get(at..at.saturating_add(length)).unwrap_or(&[]),
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_layout_that_the_prober_reads() {
        let mut batch = Batch::default();
        let path = batch.text("/x");
        let fd = batch.call("openat", &[(-100).into(), path]);
        batch.call("close", &[fd]);
        let message = batch.encode(true).unwrap();
        let words: Vec<u64> =
            message.chunks(8).take(30).map(|c| u64::from_ne_bytes(c.try_into().unwrap())).collect();
        assert_eq!(words[..2], [1, 2]);
        let openat = u64::from(seccomp::number("openat").unwrap());
        assert_eq!(words[2..8], [0, openat, 0, (-100i64).cast_unsigned(), 1, 0]);
        assert_eq!(words[16..20], [0, u64::from(seccomp::number("close").unwrap()), 2, 0]);
        assert_eq!(&message[240..], b"/x\0");
    }

    #[test]
    fn only_a_whole_answer_is_one() {
        let mut batch = Batch::default();
        batch.call("getpid", &[]);
        batch.call("getpid", &[]);
        let data = batch.space(4);
        let mut message = batch.encode(true).unwrap();
        assert_eq!(batch.decode(&message[..message.len() - 1]), None);
        assert_eq!(batch.decode(&message).unwrap().results, [None, None]);
        message[..8].copy_from_slice(&(IN_CHILD << 32 | 11).to_ne_bytes());
        message[16..24].copy_from_slice(&DONE.to_ne_bytes());
        message[24..32].copy_from_slice(&(-1i64).to_ne_bytes());
        let reply = batch.decode(&message).unwrap();
        assert_eq!((reply.results.as_slice(), reply.signal()), ([Some(-1), None].as_slice(), Some(11)));
        assert_eq!(reply.bytes(data, 4), [0; 4]);
        assert!(reply.bytes(data, 5).is_empty());
    }

    #[test]
    fn too_much_is_refused() {
        let mut batch = Batch::default();
        batch.space(SIZE);
        assert_eq!(batch.encode(true), None);
    }
}
