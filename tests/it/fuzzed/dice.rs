//! Choices made by bytes: the same bytes make the same choices, and running out of them chooses the
//! first of everything.
//!
//! Must not know: what is chosen.

/// A source of choices.
pub struct Dice<'a>(&'a [u8]);

impl<'a> Dice<'a> {
    /// Choices made by these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Dice(bytes)
    }

    /// A number below `end`, which is at most 256.
    pub fn below(&mut self, end: usize) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first) % end.max(1)
    }

    /// True once in `of` times; false when the bytes are used up.
    pub fn once_in(&mut self, of: usize) -> bool {
        self.below(of) == of - 1
    }

    /// One of these.
    pub fn one<'t, T: ?Sized>(&mut self, of: &[&'t T]) -> &'t T {
        of[self.below(of.len())]
    }

    /// Four bytes as they come.
    pub fn number(&mut self) -> u32 {
        (0..4).fold(0, |n, _| n << 8 | u32::try_from(self.below(256)).unwrap_or(0))
    }
}
