//! What must hold for every input: of the spec loader, and of plans from any spec on any host.
//!
//! One harness, two drivers: `fuzz/` feeds it bytes that libFuzzer evolves, `driven` bytes that
//! proptest draws. Must not know: which of the two is at work. It names nothing but `jail` and `std`.

mod dice;
pub mod loading;
pub mod planning;
mod right;
