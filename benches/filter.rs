//! What the system-call filter costs: per call, and to install it.
//!
//!   cargo bench --bench filter -- [ROUNDS]
//!
//! Every round forks one child for each row, in a new random order. The child installs its filter
//! (timed) and makes one call over and over; the median of its batches is its time. Rows are compared
//! within a round. A kernel does more work on entry as soon as there is any filter, so the row of one
//! instruction, which allows everything, is the floor of all filters.
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on stops")]

use jail::problem::{At, Span};
use jail::seccomp::{Action, Instruction, compile, resolve};
use jail::sys::process::install_filter;
use std::io::{Read, Write};
use std::time::Instant;

/// Calls between two looks at the clock, and how often.
const BATCH: u32 = 500;
const BATCHES: usize = 200;

/// BPF_RET | BPF_K of SECCOMP_RET_ALLOW.
const ALLOW_ALL: Instruction = Instruction { code: 6, jt: 0, jf: 0, k: 0x7fff_0000 };

struct Row {
    name: &'static str,
    filter: Option<Vec<Instruction>>,
    call: fn(),
}

fn getppid() {
    // SAFETY: no arguments.
    unsafe { libc::syscall(libc::SYS_getppid) };
}

/// An allowed call whose argument is looked at.
fn get_dumpable() {
    // SAFETY: numbers.
    unsafe { libc::syscall(libc::SYS_prctl, libc::PR_GET_DUMPABLE, 0, 0, 0, 0) };
}

fn rows() -> Vec<Row> {
    let list = |words: &[&str]| -> Vec<At<String>> {
        words.iter().map(|w| At::new((*w).to_owned(), Span::default())).collect()
    };
    let service = resolve(&list(&[])).unwrap();
    let own = resolve(&list(&["@service", "@setuid", "-@aio", "-@ipc"])).unwrap().action(Action::Kill);
    vec![
        Row { name: "getppid, no filter", filter: None, call: getppid },
        Row { name: "getppid, one instruction", filter: Some(vec![ALLOW_ALL]), call: getppid },
        Row { name: "getppid, @service", filter: Some(compile(&service).into_owned()), call: getppid },
        Row {
            name: "getppid, a list of its own, kill",
            filter: Some(compile(&own).into_owned()),
            call: getppid,
        },
        Row { name: "prctl, no filter", filter: None, call: get_dumpable },
        Row { name: "prctl, one instruction", filter: Some(vec![ALLOW_ALL]), call: get_dumpable },
        Row { name: "prctl, @service", filter: Some(compile(&service).into_owned()), call: get_dumpable },
    ]
}

/// Nanoseconds per call, and of the installation.
fn measure(row: &Row) -> (f64, f64) {
    let (mut ours, mut theirs) = std::io::pipe().unwrap();
    // SAFETY: this program has one thread, and the child ends by _exit.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork");
    if child == 0 {
        nix::sys::prctl::set_no_new_privs().unwrap();
        let begin = Instant::now();
        if let Some(filter) = &row.filter {
            install_filter(filter).unwrap();
        }
        let installed = begin.elapsed().as_nanos() as f64;
        let mut batches: Vec<f64> = (0..BATCHES)
            .map(|_| {
                let begin = Instant::now();
                (0..BATCH).for_each(|_| (row.call)());
                begin.elapsed().as_nanos() as f64 / f64::from(BATCH)
            })
            .collect();
        let both = [median(&mut batches), installed].map(f64::to_ne_bytes).concat();
        let done = theirs.write_all(&both);
        // SAFETY: ends the child without running what belongs to its parent.
        unsafe { libc::_exit(i32::from(done.is_err())) }
    }
    drop(theirs);
    let mut both = [[0; 8]; 2];
    for number in &mut both {
        ours.read_exact(number).unwrap();
    }
    let mut status = 0;
    // SAFETY: one int is written.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "{}", row.name);
    (f64::from_ne_bytes(both[0]), f64::from_ne_bytes(both[1]))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let rounds = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(200);
    let rows = rows();
    let mut times = vec![(Vec::new(), Vec::new()); rows.len()];
    let mut order: Vec<usize> = (0..rows.len()).collect();
    let mut seed = u64::from(std::process::id());
    for _ in 0..rounds {
        for i in (1..order.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            order.swap(i, (seed >> 33) as usize % (i + 1));
        }
        for index in &order {
            let (call, install) = measure(&rows[*index]);
            times[*index].0.push(call);
            times[*index].1.push(install / 1000.0);
        }
    }
    println!(
        "| n = {rounds} | instructions | ns per call | /no filter | /one instruction | install us | p95 |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (index, row) in rows.iter().enumerate() {
        // The rows of one call stand together: its first is without a filter, its second the floor.
        let first = rows.iter().position(|r| std::ptr::fn_addr_eq(r.call, row.call)).unwrap();
        let ratio = |base: usize| {
            let pairs = times[index].0.iter().zip(&times[base].0);
            median(&mut pairs.map(|(own, base)| own / base).collect::<Vec<f64>>())
        };
        let (none, one) = (ratio(first), ratio(first + 1));
        let (calls, installs) = (&mut times[index].0.clone(), &mut times[index].1.clone());
        let (calls, middle) = (median(calls), median(installs));
        let p95 = installs[installs.len() * 95 / 100];
        let length = row.filter.as_ref().map_or(0, Vec::len);
        println!("| {} | {length} | {calls:.1} | {none:.3} | {one:.3} | {middle:.1} | {p95:.1} |", row.name);
    }
}
