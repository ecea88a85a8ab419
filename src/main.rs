//! Parse, dispatch, print one failure, exit code. Everything else is in the library.
#![no_main]

use jail::cli::{self, Stop};
use jail::cmd::{self, Ended, output};
use jail::problem::{Problems, Sources};
use std::ffi::OsString;

jail::entry!(start);

fn start(words: Vec<OsString>) -> i32 {
    // Only filled by what reads specs; spans in problems point into it.
    let mut sources = Sources::default();
    match run(words, &mut sources) {
        Ok(Ended::Code(code)) => code.into(),
        Ok(Ended::Signal(number)) => jail::sys::signal::die_by(number),
        Err(problems) => {
            output::report(&problems, &sources);
            problems.code().into()
        }
    }
}

fn run(words: Vec<OsString>, sources: &mut Sources) -> Result<Ended, Problems> {
    output::check_descriptors()?;
    let words = cli::words(words)?;
    let cli = match cli::parse(&words) {
        Ok(cli) => cli,
        Err(Stop::Print(text)) => return output::print(&text).map(|()| Ended::SUCCESS),
        Err(Stop::Wrong(problem)) => return Err(problem),
    };
    output::start_log(cli.verbose);
    cmd::dispatch(&cli, &words, sources)
}
