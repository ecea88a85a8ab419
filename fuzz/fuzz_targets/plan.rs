//! Any spec on any host: the plan is right, or refused with a reason.
#![no_main]

#[path = "../../tests/it/fuzzed/mod.rs"]
#[allow(dead_code, reason = "the other target uses the rest")]
mod fuzzed;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    fuzzed::planning::plan(bytes);
});
