//! The one integration test binary. It tests the real `jail`, and it is also the probe: re-executed
//! inside a jail, it reports what it can see and do there.
//!
//! Must not know: how `jail` does it. Tests are grouped in rings by what they need of the machine;
//! see `ring`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics with the reason"
)]

mod audit;
mod careless;
mod cli;
mod daemons;
mod docs;
mod driven;
mod filter;
mod fuzzed;
mod host;
mod hostile;
mod image;
mod inject;
mod joined;
mod kernels;
mod kills;
mod layouts;
mod life;
mod limits;
mod live;
mod managers;
mod nested;
mod network;
mod notify;
mod passed;
mod plans;
mod probe;
mod process;
mod programs;
mod promises;
mod races;
mod ring;
mod run;
mod servers;
mod servers_data;
mod servers_login;
mod servers_other;
mod servers_web;
mod shapes;
mod signals;
#[cfg(target_arch = "x86_64")]
mod syscalls;
mod syslog;
mod terminal;
mod tidy;
#[cfg(target_arch = "x86_64")]
mod tracer;
mod trial;
mod user_namespace;
mod verify;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some("probe") {
        return probe::main(&words.collect::<Vec<_>>());
    }
    let mut arguments = libtest_mimic::Arguments::from_args();
    if arguments.test_threads.is_none() {
        arguments.test_threads = Some(4);
    }
    let plan = ring::Rings::of_this_machine();
    let trials = all_tests().into_iter().map(|test| plan.trial(test)).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    run::clean_up();
    if !arguments.list {
        plan.print_skipped();
    }
    conclusion.exit_code()
}

/// Every test there is.
fn all_tests() -> Vec<ring::Test> {
    [
        tidy::tests(),
        plans::tests(),
        audit::tests(),
        kernels::tests(),
        layouts::tests(),
        cli::tests(),
        docs::tests(),
        driven::tests(),
        promises::tests(),
        shapes::tests(),
        filter::tests(),
        programs::tests(),
        image::tests(),
        nested::tests(),
        hostile::tests(),
        races::tests(),
        process::tests(),
        signals::tests(),
        terminal::tests(),
        inject::tests(),
        joined::tests(),
        kills::tests(),
        life::tests(),
        limits::tests(),
        network::tests(),
        #[cfg(target_arch = "x86_64")]
        syscalls::tests(),
        live::tests(),
        servers::tests(),
        servers_other::tests(),
        servers_web::tests(),
        servers_data::tests(),
        servers_login::tests(),
        passed::tests(),
        notify::tests(),
        daemons::tests(),
        syslog::tests(),
        managers::tests(),
        user_namespace::tests(),
        verify::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
