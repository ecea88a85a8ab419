//! The command line of `jail systemd`.
//!
//! Must not know: what a unit says.
#![forbid(unsafe_code)]

use super::features;
use crate::export::systemd::Type;
use crate::jail::resolve::Feature;
use clap::{Args, ValueEnum, ValueHint};

/// Stands below its flags.
pub const HELP: &str = "\
The unit of a spec NAME is jail-NAME.service. It is made for the spec as it is now, on this host; its
first lines say after which changes it has to be made again. Every line says why it is there.

  jail systemd nginx --install
  systemctl daemon-reload
  systemctl enable --now jail-nginx

A service starts in /, so a spec of ./jails.d is named by its path. What a unit adds of its own belongs
into a drop-in: systemctl edit jail-nginx.";

/// Which unit, and where it goes.
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct Systemd {
    /// When the service counts as started
    #[arg(long = "type", value_name = "TYPE", default_value = "exec")]
    pub kind: ServiceType,
    /// The socket unit for the spec's `listen`; with --install, that one, too
    #[arg(long)]
    pub socket: bool,
    /// Write it to /etc/systemd/system; a unit that jail has not written is never replaced
    #[arg(long)]
    pub install: bool,
    /// Have the unit give up a promise by name
    #[arg(long, value_name = "FEATURE", value_parser = features())]
    pub without: Vec<Feature>,
    /// A spec file, or a name as `jail specs` lists them
    #[arg(value_name = "FILE|NAME", value_hint = ValueHint::AnyPath)]
    pub spec: Option<String>,
}

/// `--type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum ServiceType {
    /// Once jail is executed
    Exec,
    /// At once
    Simple,
    /// When the program says so (sd_notify)
    Notify,
}

impl From<ServiceType> for Type {
    fn from(kind: ServiceType) -> Self {
        match kind {
            ServiceType::Exec => Type::Exec,
            ServiceType::Simple => Type::Simple,
            ServiceType::Notify => Type::Notify,
        }
    }
}
