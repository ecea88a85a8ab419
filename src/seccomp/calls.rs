//! The system calls of this architecture: numbers, names, and sets of numbers.
//!
//! Must not know: groups or policies.
#![forbid(unsafe_code)]

/// Numbers that a [`CallSet`] can hold: 0 to 511. The kernel's are far below; x32's own start here.
pub const NUMBERS: u32 = 512;

/// Every call under the name that the kernel and strace use.
#[cfg(target_arch = "x86_64")]
pub mod native {
    pub use syscalls::x86_64::Sysno::{self, *};
}

/// Every call under the name that the kernel and strace use.
#[cfg(target_arch = "aarch64")]
pub mod native {
    // The kernel's header calls number 79 newfstatat on 64-bit machines.
    pub use syscalls::aarch64::Sysno::{self, fstatat as newfstatat, *};
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("the system-call groups were reviewed for x86_64 and aarch64 only");

/// One call in a table. Only numbers are in the program: each name would be a pointer to relocate at
/// every start, on a page that every running jail then has for itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Call {
    /// The kernel's name, as it was written.
    #[cfg(test)]
    pub name: &'static str,
    /// This architecture's number.
    pub number: u32,
}

/// A table of calls; those after `x86_64:` exist on no newer architecture. A misspelt name does not
/// compile.
macro_rules! calls {
    ($($name:ident)* $(; x86_64: $($old:ident)*)?) => {
        &[
            $($crate::seccomp::calls::Call {
                #[cfg(test)]
                name: stringify!($name),
                number: $crate::seccomp::calls::native::$name as u32,
            },)*
            $($(#[cfg(target_arch = "x86_64")] $crate::seccomp::calls::Call {
                #[cfg(test)]
                name: stringify!($old),
                number: $crate::seccomp::calls::native::$old as u32,
            },)*)?
        ]
    };
}
pub(super) use calls;

/// A set of numbers of this architecture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallSet([u64; 8]);

impl CallSet {
    /// No call.
    pub const EMPTY: CallSet = CallSet([0; 8]);

    /// Every call that exists here.
    pub const KNOWN: CallSet = {
        let mut set = CallSet::EMPTY;
        let mut number = 0;
        while number < NUMBERS {
            // 403 to 423 are calls of 32-bit machines only (64-bit time), whatever a table says.
            let other = 403 <= number && number <= 423;
            if !other && native::Sysno::new(number as usize).is_some() {
                set = set.with(number);
            }
            number += 1;
        }
        set
    };

    /// The calls of a table.
    pub const fn of(table: &[Call]) -> CallSet {
        let mut set = CallSet::EMPTY;
        let mut i = 0;
        while i < table.len() {
            set = set.with(table[i].number);
            i += 1;
        }
        set
    }

    /// With one more; a number that cannot be held stays out.
    pub const fn with(mut self, number: u32) -> CallSet {
        if number < NUMBERS {
            self.0[(number / 64) as usize] |= 1 << (number % 64);
        }
        self
    }

    /// Whether a number is in.
    pub const fn contains(self, number: u32) -> bool {
        number < NUMBERS && self.0[(number / 64) as usize] >> (number % 64) & 1 == 1
    }

    /// All of both.
    pub const fn union(mut self, other: CallSet) -> CallSet {
        let mut i = 0;
        while i < self.0.len() {
            self.0[i] |= other.0[i];
            i += 1;
        }
        self
    }

    /// What is not in the other.
    pub const fn minus(mut self, other: CallSet) -> CallSet {
        let mut i = 0;
        while i < self.0.len() {
            self.0[i] &= !other.0[i];
            i += 1;
        }
        self
    }

    /// What is in both.
    pub const fn common(self, other: CallSet) -> CallSet {
        self.minus(self.minus(other))
    }

    /// Whether nothing is in.
    pub fn is_empty(self) -> bool {
        self == CallSet::EMPTY
    }

    /// The numbers, ascending.
    pub fn numbers(self) -> impl Iterator<Item = u32> {
        (0..NUMBERS).filter(move |n| self.contains(*n))
    }

    /// The names, sorted.
    pub fn names(self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.numbers().filter_map(name).collect();
        names.sort_unstable();
        names
    }

    /// A set with these 512 bits.
    #[cfg(test)]
    pub fn from_bits(bits: [u64; 8]) -> CallSet {
        CallSet(bits)
    }
}

/// What a name means here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Named {
    /// This number.
    Number(u32),
    /// A call of x86_64 that this architecture never had (`open` on aarch64).
    Elsewhere,
}

/// Looks a name up; `None`: no such call. A spec is portable, so the names of x86_64, which has all
/// that others have, are known everywhere.
pub fn find(name: &str) -> Option<Named> {
    // Not the crate's own look-up, whose table has as many relocations again.
    all_names().find(|known| *known == name)?;
    let here = (0..NUMBERS).find(|number| self::name(*number) == Some(name));
    Some(here.map_or(Named::Elsewhere, Named::Number))
}

/// The number of a call, if this architecture has it.
pub fn number(name: &str) -> Option<u32> {
    match find(name) {
        Some(Named::Number(number)) => Some(number),
        _ => None,
    }
}

/// All names that [`find`] knows.
pub fn all_names() -> impl Iterator<Item = &'static str> {
    (0..NUMBERS as usize).filter_map(|n| Some(syscalls::x86_64::Sysno::new(n)?.name()))
}

/// The kernel's name of a number.
pub fn name(number: u32) -> Option<&'static str> {
    let name = native::Sysno::new(number as usize)?.name();
    Some(if name == "fstatat" { "newfstatat" } else { name })
}
