//! A jail told to other systems in their own formats.
//!
//! Must not know: how a text is printed or installed, or any call to the system.
#![forbid(unsafe_code)]

pub mod systemd;
