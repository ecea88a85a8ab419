//! The spec loader, with includes and a local file, on any bytes.
#![no_main]

#[path = "../../tests/it/fuzzed/mod.rs"]
#[allow(dead_code, reason = "the other target uses the rest")]
mod fuzzed;

use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

fuzz_target!(|bytes: &[u8]| {
    static WORLD: OnceLock<(tempfile::TempDir, fuzzed::loading::World)> = OnceLock::new();
    let (_, world) = WORLD.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let world = fuzzed::loading::World::new(directory.path());
        (directory, world)
    });
    world.load(bytes);
});
