//! Names are taken once, records are whole, and nothing is left.
