//! The part of a program that looks at arguments: the conditions, written once each.
//!
//! Must not know: how a call's number is found. Unlike there, a program may do here what the kernel
//! cannot emulate, because such calls have no constant answer anyway.
#![forbid(unsafe_code)]

use super::{
    ALLOW, AND, ARGUMENTS, Builder, COPY_TO_X, JUMP, JUMP_IF_EQUAL, JUMP_IF_NOT_LESS, JUMP_IF_SET, LOAD,
    LOAD_CONSTANT, MAX_CONDITION, SHIFT_RIGHT_BY_X, Written,
};
use crate::seccomp::conditions::{CONDITIONS, Condition, EPROTONOSUPPORT, Test};
use crate::seccomp::families::NETLINK;

impl<const SIZE: usize> Builder<SIZE> {
    /// Writes a condition: one load, one optional mask, the comparisons. What another condition has
    /// written already is not written again.
    pub(super) const fn test(&mut self, index: usize) -> usize {
        let condition = &CONDITIONS[index];
        let mut i = 0;
        while i < CONDITIONS.len() {
            if let Some(written) = self.conditions[i]
                && CONDITIONS[i].demands_the_same(condition)
            {
                if CONDITIONS[i].argument == condition.argument {
                    return written.load;
                }
                self.jump(written.comparisons);
                return self.load(condition.argument);
            }
            i += 1;
        }
        let comparisons = self.comparisons(condition);
        let load = self.load(condition.argument);
        self.conditions[index] = Some(Written { load, comparisons });
        load
    }

    /// Writes what is done with the argument of a condition once it is loaded.
    const fn comparisons(&mut self, condition: &Condition) -> usize {
        let (values, only) = match condition.test {
            Test::Only(values) => (values, true),
            Test::Not(values) => (values, false),
            Test::Family => return self.family(condition),
        };
        let refuse = self.answer(self.refusal(condition.errno), MAX_CONDITION);
        let allow = self.answer(ALLOW, MAX_CONDITION);
        let (hit, miss) = if only { (allow, refuse) } else { (refuse, allow) };
        if let [0] = values {
            let (jt, jf) = (self.distance(miss), self.distance(hit));
            return self.push(JUMP_IF_SET, jt, jf, condition.mask);
        }
        let place = self.among(values, small(values), hit, miss);
        if condition.mask == !0 { place } else { self.push(AND, 0, 0, condition.mask) }
    }

    /// Writes the condition on a socket's family, of which at least one is allowed, and on the
    /// protocol (the argument after the type) of a netlink socket.
    const fn family(&mut self, condition: &Condition) -> usize {
        let families = self.families.bits();
        if !self.families.netlink_is_narrow() {
            let allow = self.answer(ALLOW, MAX_CONDITION);
            let refuse = self.answer(self.refusal(condition.errno), MAX_CONDITION);
            return self.among(&[], families, allow, refuse);
        }
        let refuse = self.answer(self.refusal(EPROTONOSUPPORT), 1);
        let allow = self.answer(ALLOW, 1);
        let (jt, jf) = (self.distance(allow), self.distance(refuse));
        // NETLINK_ROUTE is 0.
        self.push(JUMP_IF_EQUAL, jt, jf, 0);
        let protocol = self.load(condition.argument + 2);
        let allow = self.answer(ALLOW, MAX_CONDITION);
        let refuse = self.answer(self.refusal(condition.errno), MAX_CONDITION);
        let others = self.among(&[], families & !(1 << NETLINK), allow, refuse);
        let (jt, jf) = (self.distance(protocol), self.distance(others));
        self.push(JUMP_IF_EQUAL, jt, jf, NETLINK)
    }

    /// Writes the search for a value among those of `bits`, and those of `values` above 63.
    const fn among(&mut self, values: &[u32], bits: u64, hit: usize, miss: usize) -> usize {
        let mut next = miss;
        let wide = bits >> 32 != 0;
        if bits.count_ones() > if wide { 8 } else { 5 } {
            next = self.bits(bits, hit, miss);
        } else {
            let mut value = 64;
            while value > 0 {
                value -= 1;
                if bits >> value & 1 == 1 {
                    let (jt, jf) = (self.distance(hit), self.distance(next));
                    next = self.push(JUMP_IF_EQUAL, jt, jf, value);
                }
            }
        }
        let mut i = values.len();
        while i > 0 {
            i -= 1;
            if values[i] >= 64 {
                let (jt, jf) = (self.distance(hit), self.distance(next));
                next = self.push(JUMP_IF_EQUAL, jt, jf, values[i]);
            }
        }
        next
    }

    /// Writes the look-up of a value in a table of 64 bits. A shift counts the low five bits only
    /// (Documentation/bpf/standardization/instruction-set.rst).
    const fn bits(&mut self, bits: u64, hit: usize, miss: usize) -> usize {
        let (jt, jf) = (self.distance(hit), self.distance(miss));
        self.push(JUMP_IF_SET, jt, jf, 1);
        self.push(SHIFT_RIGHT_BY_X, 0, 0, 0);
        let wide = bits >> 32 != 0;
        if wide {
            self.push(LOAD_CONSTANT, 0, 0, (bits >> 32) as u32);
            self.push(JUMP, 0, 0, 1);
        }
        self.push(LOAD_CONSTANT, 0, 0, (bits & 0xffff_ffff) as u32);
        if wide {
            self.push(JUMP_IF_NOT_LESS, 2, 0, 32);
        }
        self.push(COPY_TO_X, 0, 0, 0);
        let above = self.distance(miss);
        self.push(JUMP_IF_NOT_LESS, above, 0, if wide { 64 } else { 32 })
    }

    const fn load(&mut self, argument: u8) -> usize {
        self.push(LOAD, 0, 0, ARGUMENTS + 8 * argument as u32)
    }
}

/// The values below 64, as bits.
const fn small(values: &[u32]) -> u64 {
    let (mut bits, mut i) = (0, 0);
    while i < values.len() {
        if values[i] < 64 {
            bits |= 1 << values[i];
        }
        i += 1;
    }
    bits
}
