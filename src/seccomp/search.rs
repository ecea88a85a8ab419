//! How a program finds a call's number: ranges of equal decision, gathered into buckets.
//!
//! Must not know: BPF, or what becomes of a decision.
//!
//! A filter is paid for when it is installed, not at each call. The kernel checks, translates and
//! compiles every instruction, in several passes, and then runs the program in an emulator for every
//! number that it has, to fill its table of constant answers. Measured on Linux 6.18, an instruction
//! costs as much as 50 emulated ones ([`INSTRUCTION`]). So the search is made of few comparisons
//! first, and of short ways for many numbers second:
//!
//! ```text
//! read 0 .. 15 | ioctl 16 | 17 .. 28 | shmat 29 | 30 ..      ranges: a comparison between any two
//! ( all allowed, but for 16 and 29                ) ( ..     buckets: a comparison for 16 and for 29
//! ```
#![forbid(unsafe_code)]

use super::calls::{CallSet, NUMBERS};
use super::policy::{Decision, Rules, X32};

/// Ranges of equal decision: each number may be one, and one for all above, and x32's.
pub const MAX_RANGES: usize = NUMBERS as usize + 2;

/// The most numbers that a bucket decides otherwise than its others. More would save nothing: a
/// comparison in a bucket is on the way of all that is in it.
pub const MOST_ODD: usize = 2;

/// The most ranges of a bucket: those of the odd numbers, and what is between and around them.
const MOST_IN_BUCKET: usize = 2 * MOST_ODD + 1;

/// What an instruction costs, in emulated instructions.
const INSTRUCTION: u32 = 50;

/// One more than the highest number that the tables know. The kernel emulates its own numbers only.
const END_OF_KNOWN: u32 = {
    let mut end = NUMBERS;
    while end > 0 && !CallSet::KNOWN.contains(end - 1) {
        end -= 1;
    }
    end
};

/// Ranges of numbers with the same decision, ascending; a range ends where the next one starts.
pub struct Ranges {
    start: [u32; MAX_RANGES],
    decision: [Decision; MAX_RANGES],
    length: usize,
}

impl Ranges {
    /// All numbers.
    pub const fn of(rules: &Rules) -> Ranges {
        let mut ranges =
            Ranges { start: [0; MAX_RANGES], decision: [rules.decide(0); MAX_RANGES], length: 1 };
        let mut number = 1;
        // Up to and including the first that cannot be known: it stands for all above, but for x32's.
        while number <= NUMBERS {
            ranges.extend(number, rules.decide(number));
            number += 1;
        }
        ranges.extend(X32, rules.decide(X32));
        ranges
    }

    const fn extend(&mut self, start: u32, decision: Decision) {
        if !decision.same(self.decision[self.length - 1]) {
            self.start[self.length] = start;
            self.decision[self.length] = decision;
            self.length += 1;
        }
    }

    /// The first number of a range.
    pub const fn start(&self, range: usize) -> u32 {
        self.start[range]
    }

    /// The number after a range.
    pub const fn end(&self, range: usize) -> u32 {
        if range + 1 < self.length { self.start[range + 1] } else { u32::MAX }
    }

    /// What is decided about a range.
    pub const fn decision(&self, range: usize) -> Decision {
        self.decision[range]
    }

    /// How many numbers the kernel emulates before the first one of a range, or of none.
    const fn emulated(&self, range: usize) -> u32 {
        if range < self.length && self.start[range] < END_OF_KNOWN { self.start[range] } else { END_OF_KNOWN }
    }

    const fn width(&self, range: usize) -> u32 {
        self.end(range) - self.start[range]
    }

    /// How many of the numbers of ranges are not decided as the range `most`.
    const fn odd(&self, low: usize, high: usize, most: usize) -> u32 {
        let (mut odd, mut range) = (0u32, low);
        while range < high {
            if !self.decision[range].same(self.decision[most]) {
                odd = odd.saturating_add(self.width(range));
            }
            range += 1;
        }
        odd
    }
}

/// Neighbouring ranges that are decided alike, but for [`MOST_ODD`] numbers at most. Small, because
/// there is an array of them on the stack.
#[derive(Clone, Copy)]
pub struct Bucket {
    low: u16,
    high: u16,
    most: u16,
}

const _: () = assert!(MAX_RANGES <= u16::MAX as usize);

impl Bucket {
    /// The first range.
    pub const fn low(&self) -> usize {
        self.low as usize
    }

    /// The range after the last.
    pub const fn high(&self) -> usize {
        self.high as usize
    }

    /// A range that is decided as most are.
    pub const fn most(&self) -> usize {
        self.most as usize
    }
}

/// All ranges, in buckets, ascending.
pub struct Buckets {
    bucket: [Bucket; MAX_RANGES],
    /// How many there are.
    pub length: usize,
}

impl Buckets {
    /// The cheapest buckets. No more comparisons are needed within and between them than between the
    /// ranges: a bucket for each range is among the choices.
    pub const fn of(ranges: &Ranges) -> Buckets {
        let none = Bucket { low: 0, high: 0, most: 0 };
        // At each index the cheapest bucket that starts there, at first, and what it costs with all
        // that follow.
        let mut buckets = Buckets { bucket: [none; MAX_RANGES], length: 0 };
        let mut cost = [0; MAX_RANGES + 1];
        let mut low = ranges.length;
        while low > 0 {
            low -= 1;
            cost[low] = u32::MAX;
            let (mut most, mut high) = (low, low + 1);
            while high <= ranges.length && high <= low + MOST_IN_BUCKET {
                if ranges.width(high - 1) > ranges.width(most) {
                    most = high - 1;
                }
                let odd = ranges.odd(low, high, most);
                if odd <= MOST_ODD as u32 {
                    let emulated = odd * (ranges.emulated(high) - ranges.emulated(low));
                    let all = cost[high] + INSTRUCTION * (1 + odd) + emulated;
                    if all < cost[low] {
                        cost[low] = all;
                        buckets.bucket[low] =
                            Bucket { low: low as u16, high: high as u16, most: most as u16 };
                    }
                }
                high += 1;
            }
        }
        while low < ranges.length {
            let bucket = buckets.bucket[low];
            buckets.bucket[buckets.length] = bucket;
            buckets.length += 1;
            low = bucket.high();
        }
        buckets
    }

    /// One bucket.
    pub const fn get(&self, index: usize) -> Bucket {
        self.bucket[index]
    }

    /// Where the buckets `low..high`, of which there are at least two, are best parted: the kernel
    /// emulates about as many numbers on either side.
    pub const fn middle(&self, ranges: &Ranges, low: usize, high: usize) -> usize {
        let begin = ranges.emulated(self.bucket[low].low());
        let end = ranges.emulated(self.bucket[high - 1].high());
        let (mut middle, mut least, mut next) = (low + 1, u32::MAX, low + 1);
        while next < high {
            let place = ranges.emulated(self.bucket[next].low());
            let difference = (place - begin).abs_diff(end - place);
            if difference < least {
                (middle, least) = (next, difference);
            }
            next += 1;
        }
        middle
    }
}
