//! System-call policy: groups as data, the list in a spec resolved to a policy, and the compiler to
//! classic BPF. All pure.
//!
//! Must not know: how a filter is installed (that is `sys`), or anything of a spec but strings.
//!
//! ```text
//! ["@service", "-@aio"] -list::resolve-> Policy -program::compile-> [Instruction]
//! ```
//!
//! What the filter answers:
//!
//! - an allowed call: allowed, some only with harmless arguments ([`CONDITIONS`]);
//! - a known call that is not allowed: EPERM. Servers try calls that they can do without, so they
//!   are refused, not killed, unless the spec chooses another [`Action`];
//! - a number without a call when the tables were reviewed ([`REVIEWED`]): ENOSYS, as an older
//!   kernel answers, so that a newer libc falls back;
//! - every call through another entry (i386's `int 0x80`, 32-bit ARM, x32): ENOSYS, or killed. They
//!   are a second numbering of the same calls, so one door less to guard and nothing of ours uses
//!   them.
#![forbid(unsafe_code)]

mod calls;
mod conditions;
mod families;
mod groups;
mod help;
mod list;
mod policy;
mod ports;
mod program;
mod search;
#[cfg(test)]
mod tests;

pub use calls::{NUMBERS, name, number};
pub use conditions::{CONDITIONS, Condition};
pub use families::{Families, families};
pub use groups::{Group, REVIEWED, group, groups};
pub use help::describe;
pub use list::resolve;
pub use policy::{Action, Answer, Policy, Verdict};
pub use ports::PORTS_PROGRAM;
pub use program::{Instruction, SERVICE_PROGRAM, compile};
