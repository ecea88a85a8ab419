//! `jail` runs an internet-facing server in its own small world made of the host's own files.
//!
//! Functional core, imperative shell:
//!
//! ```text
//! bytes -spec::load-> Spec -jail::ask-> Questions -host::answer-> Facts
//!       -jail::resolve-> Jail -plan::build-> Plan -apply-> exec
//! ```
//!
//! A module imports only what stands below it in this list, and only `sys` may hold `unsafe`;
//! `tests/it/tidy.rs` holds these rules.

pub mod apply;
pub mod audit;
pub mod cli;
pub mod cmd;
pub mod export;
pub mod host;
pub mod jail;
pub mod plan;
pub mod problem;
pub mod record;
pub mod registry;
pub mod seccomp;
pub mod serve;
pub mod spec;
pub mod sys;
pub mod verify;
