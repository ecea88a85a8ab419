//! The harness of the fuzz targets, driven by proptest: the same sequence in each run, and the kept
//! corpus of `fuzz/`. `JAIL_TESTS_CASES` says how many cases.
//!
//! Must not know: what is tested; see `fuzzed`.

use crate::fuzzed::loading::World;
use crate::fuzzed::planning::{Came, plan};
use crate::ring::Ring::Pure;
use crate::run::Room;
use crate::tests;
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::cell::RefCell;
use std::path::Path;

tests! {
    Pure => [any_spec_on_any_host_gives_a_right_plan, any_text_is_loaded_or_refused, the_corpus_holds_no_surprise],
}

fn runner(default: u32) -> TestRunner {
    let cases = std::env::var("JAIL_TESTS_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

fn any_spec_on_any_host_gives_a_right_plan() {
    let came = RefCell::new(Vec::new());
    let done = runner(3000).run(&vec(any::<u8>(), 0..1500), |bytes| {
        came.borrow_mut().push(plan(&bytes));
        Ok(())
    });
    done.unwrap_or_else(|e| panic!("{e}"));
    let count = |what| came.borrow().iter().filter(|c| **c == what).count();
    let (planned, unresolved) = (count(Came::Planned), count(Came::Unresolved));
    println!("{planned} plans, {unresolved} refused by the host, {} by the language", count(Came::Unparsed));
    let all = came.borrow().len();
    assert!(planned > all / 20 && unresolved > all / 20, "the inputs are of no use");
}

/// Pieces of specs, joined at random, with bytes changed.
fn any_text_is_loaded_or_refused() {
    let directory = Room::new();
    let world = World::new(directory.path());
    let pieces = || {
        let border = [
            "\n#---\n",
            "\n",
            " ",
            "[",
            "]",
            "{",
            "\"",
            "= ",
            "include = [\"a\"]\n",
            "include = [\"./y.toml\"]\n",
        ];
        let specs = jail::spec::builtin::SPECS.iter().chain(jail::spec::builtin::BLOCKS).map(|s| s.text);
        let lines: Vec<&str> = specs.flat_map(str::lines).collect();
        let count = border.len() + lines.len();
        any::<proptest::sample::Index>().prop_map(move |index| {
            let index = index.index(count);
            let piece = border.get(index).or_else(|| lines.get(index - border.len())).copied().unwrap_or("");
            format!("{piece}\n").into_bytes()
        })
    };
    let text =
        (vec(pieces(), 0..40), vec((any::<u16>(), any::<u8>()), 0..3)).prop_map(|(pieces, changes)| {
            let mut text = pieces.concat();
            for (place, byte) in changes {
                let length = text.len().max(1);
                if let Some(changed) = text.get_mut(usize::from(place) % length) {
                    *changed = byte;
                }
            }
            text
        });
    let done = runner(600).run(&text, |bytes| {
        world.load(&bytes);
        Ok(())
    });
    done.unwrap_or_else(|e| panic!("{e}"));
}

fn the_corpus_holds_no_surprise() {
    let directory = Room::new();
    let world = World::new(directory.path());
    // The published package has no fuzz directory.
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (target, entry) in ["load", "plan"].iter().flat_map(|t| {
        std::fs::read_dir(corpus.join(t)).into_iter().flatten().flatten().map(move |entry| (*t, entry))
    }) {
        let bytes = std::fs::read(entry.path()).unwrap();
        match target {
            "load" => world.load(&bytes),
            _ => {
                plan(&bytes);
            }
        }
    }
}
