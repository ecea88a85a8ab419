//! For tests of debug builds: a plan with one of its walls missing. What is promised is still taken
//! from the whole plan, so `verify` must find the gap.
#![forbid(unsafe_code)]

use crate::jail::network::TcpPorts;
use crate::plan::{Attributes, Plan, Step};

/// The plan with this step left out, or weakened where without it there would be no jail to look
/// into; and without the steps that check the others. `None`: the step cannot be spared.
pub fn weakened(plan: &Plan, number: usize) -> Option<Plan> {
    let index = number.checked_sub(1)?;
    let weak = weaken(&plan.steps.get(index)?.step)?;
    let shared_name = matches!(plan.steps.get(index)?.step, Step::Unshare(_));
    let mut steps = Vec::new();
    for (at, planned) in plan.steps.iter().enumerate() {
        let mut planned = planned.clone();
        if at == index {
            match &weak {
                Some(step) => planned.step = step.clone(),
                None => continue,
            }
        }
        let checks = matches!(planned.step, Step::CheckMounts(_) | Step::CheckProcess(_));
        // The host's own name is not a test's to change, nor its interfaces.
        let hosts = matches!(planned.step, Step::Hostname(_) | Step::LoopbackUp);
        if !(checks || shared_name && hosts) {
            steps.push(planned);
        }
    }
    Some(Plan { steps, ..plan.clone() })
}

/// Outer `None`: cannot be spared; inner: left out.
fn weaken(step: &Step) -> Option<Option<Step>> {
    const WEAK: Attributes = Attributes { read_only: false, no_exec: false, no_dev: false };
    Some(match step.clone() {
        Step::OpenTree { slot, source, kind, .. } => {
            Some(Step::OpenTree { slot, source, kind, attributes: WEAK })
        }
        Step::Tmpfs { path, limits, owner, directories, make, .. } => {
            Some(Step::Tmpfs { path, limits, owner, attributes: WEAK, directories, make })
        }
        Step::LandlockRules { abi, rules, ports } if ports.limited() => {
            Some(Step::LandlockRules { abi, rules, ports: TcpPorts::default() })
        }
        Step::Proc { path, subset: true, make } => Some(Step::Proc { path, subset: false, make }),
        Step::MapOwners { .. }
        | Step::EnterUserNamespace
        | Step::PortFilter
        | Step::Seccomp(_)
        | Step::Unshare(_)
        | Step::Keyring
        | Step::SealRoot
        | Step::PivotRoot
        | Step::LandlockRestrict
        | Step::Hostname(_)
        | Step::Umask(_)
        | Step::Nice(_)
        | Step::Rlimit { .. }
        | Step::BoundingSet { .. }
        | Step::Groups(_)
        | Step::Gid(_)
        | Step::Uid(_)
        | Step::Capabilities(_)
        | Step::NoNewPrivileges
        | Step::DieWithParent
        | Step::ResetProcess
        | Step::Session { .. }
        | Step::DenyWriteExecute
        | Step::CloseDescriptors => None,
        _ => return None,
    })
}
