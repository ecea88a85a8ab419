//! The plan with the prober in the program's place.
//!
//! Must not know: what the prober is told, but for its filter.
#![forbid(unsafe_code)]

use super::batch::{Arg, Batch};
use crate::plan::{ExpectedProcess, Plan, Planned, Step};
use crate::seccomp::{self, Instruction, Policy};

/// The same steps, with three differences: the prober is executed; the filters are left for
/// [`install`] and [`install_for_ports`], because not every filter allows execveat(2), by which alone
/// a program that is not in the jail can be executed; and there is no terminal, as under a service manager: standard input is
/// the prober's socket.
pub fn plan(plan: &Plan) -> Plan {
    let slot = plan.steps.iter().map(|p| slot_after(&p.step)).max().unwrap_or(0);
    let mut steps: Vec<Planned> = Vec::new();
    for Planned { step, at } in &plan.steps {
        let step = match step {
            Step::PortFilter | Step::Seccomp(_) => continue,
            Step::CheckProcess(expected) => {
                Step::CheckProcess(ExpectedProcess { filters: 0, ..expected.clone() })
            }
            Step::Session { .. } => Step::Session { terminal: false },
            Step::Execute { arguments, environment, .. } => {
                Step::ExecuteProber { slot, arguments: arguments.clone(), environment: environment.clone() }
            }
            other => other.clone(),
        };
        steps.push(Planned { step, at: *at });
    }
    steps.push(Planned { step: Step::OpenProber { slot }, at: None });
    steps.sort_by_key(|p| p.step.phase());
    let mut probed = Plan { steps, ..plan.clone() };
    probed.supervision.terminal = false;
    probed
}

fn slot_after(step: &Step) -> usize {
    match step {
        Step::OpenTree { slot, .. } | Step::OpenFile { slot, .. } => slot + 1,
        _ => 0,
    }
}

/// The filter of a plan.
pub fn policy(plan: &Plan) -> Option<&Policy> {
    plan.steps.iter().find_map(|p| match &p.step {
        Step::Seccomp(policy) => Some(policy),
        _ => None,
    })
}

/// Has the prober install a filter on itself: the very bytes that [`Step::Seccomp`] installs.
pub fn install(policy: &Policy) -> Batch {
    load(&seccomp::compile(policy))
}

/// The same for [`Step::PortFilter`], `None` if the plan has none. It comes first, as in the plan:
/// the policy may refuse seccomp(2).
pub fn install_for_ports(plan: &Plan) -> Option<Batch> {
    let limited = plan.steps.iter().any(|p| p.step == Step::PortFilter);
    limited.then(|| load(&seccomp::PORTS_PROGRAM))
}

fn load(program: &[Instruction]) -> Batch {
    const SET_MODE_FILTER: i64 = 1;
    let mut batch = Batch::lasting();
    let code: Vec<u8> = program
        .iter()
        .flat_map(|i| [i.code.to_ne_bytes().as_slice(), &[i.jt, i.jf], &i.k.to_ne_bytes()].concat())
        .collect();
    let code = batch.bytes(&code);
    // struct sock_fprog: a 16-bit length, padding, a pointer.
    let mut length = [0u8; 8];
    length[..2].copy_from_slice(&u16::try_from(program.len()).unwrap_or(0).to_ne_bytes());
    let structure = batch.words(&[Arg::Number(u64::from_ne_bytes(length)), code]);
    batch.call("seccomp", &[SET_MODE_FILTER.into(), 0.into(), structure]);
    batch
}
