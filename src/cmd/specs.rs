//! `jail specs`: what can be run by name.

use super::output::columns;
use crate::spec::load::{self, Listing};

/// Name, place and description of each spec; of each block too.
pub fn table(blocks: bool) -> String {
    let mut rows = rows(&load::list());
    if rows.is_empty() {
        rows.push(vec!["no specs: put one into ./jails.d or /etc/jails.d".to_owned()]);
    }
    let mut out = columns(&rows);
    if blocks {
        out.push_str("\nblocks, for `include`:\n");
        out.push_str(&columns(&self::rows(&load::blocks())));
    }
    out
}

fn rows(listings: &[Listing]) -> Vec<Vec<String>> {
    let row = |listing: &Listing| {
        let local = if listing.local { " + local" } else { "" };
        vec![listing.name.clone(), format!("{}{local}", listing.place), listing.description.clone()]
    };
    listings.iter().map(row).collect()
}
