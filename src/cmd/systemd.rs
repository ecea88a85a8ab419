//! `jail systemd`: units for a jail, printed or installed.
//!
//! Must not know: what a unit says.

use super::{Ended, output, page, trust};
use crate::cli::systemd::Systemd;
use crate::export::systemd::{self, MARK, Type};
use crate::jail::facts::Caller;
use crate::jail::resolve::Feature;
use crate::plan::Plan;
use crate::problem::{Problem, Problems, Sources};
use crate::spec::load::{Loaded, Roots, load_from};
use crate::{host, jail, plan};
use std::path::Path;

/// Where units of this machine's own are (systemd.unit(5)).
const UNITS: &str = "/etc/systemd/system";

/// Prints or installs the unit of a spec; without one, the template for all.
pub fn systemd(wanted: &Systemd, sources: &mut Sources) -> Result<Ended, Problems> {
    let (binary, kind) = (binary()?, Type::from(wanted.kind));
    let Some(spec) = &wanted.spec else {
        if wanted.socket || kind != Type::default() || !wanted.without.is_empty() {
            let problem = Problem::usage("the template jail@.service is the same for all: no spec is named");
            return Err(problem.help("name a spec: jail systemd NAME").into());
        }
        return finish(vec![("jail@.service".into(), systemd::template(&binary))], wanted);
    };
    let (loaded, argument) = load(spec, sources)?;
    let plan = plan(&loaded, &wanted.without)?;
    let flags = wanted.without.iter().flat_map(|feature| ["--without".to_owned(), feature.name().to_owned()]);
    let about = systemd::Wanted {
        binary,
        spec: argument,
        flags: flags.collect(),
        description: loaded.spec.description.map(|text| text.value),
        kind,
    };
    let name = systemd::unit_name(&plan.name);
    let mut units = Vec::new();
    if wanted.socket {
        units.push((format!("{name}.socket"), systemd::socket(&plan)?));
    }
    if wanted.install || !wanted.socket {
        units.push((format!("{name}.service"), systemd::service(&plan, &about)));
    }
    finish(units, wanted)
}

/// This program's own file, which the unit executes.
fn binary() -> Result<String, Problems> {
    let path = std::env::current_exe().ok().filter(|path| path.exists());
    path.and_then(|path| path.into_os_string().into_string().ok()).ok_or_else(|| {
        let problem = Problem::set_up("cannot tell where this program's own file is");
        problem.help("was it replaced or removed meanwhile? start it again").into()
    })
}

/// The spec as the unit will find it, and how it will name it: services are started in `/`, so that no
/// `jails.d` of the working directory counts, and a path has to be absolute.
fn load(spec: &str, sources: &mut Sources) -> Result<(Loaded, String), Problems> {
    let roots = Roots { working: "/jails.d".into(), ..Roots::default() };
    let is_path = spec.contains('/') || Path::new(spec).extension().is_some_and(|e| e == "toml");
    if !is_path {
        let loaded = load_from(&roots, spec, trust(), sources).map_err(|mut problems| {
            let here = Path::new("jails.d").join(spec).with_extension("toml");
            if let (true, Some(problem)) = (here.exists(), problems.0.first_mut()) {
                problem.help.push(format!("a service starts in /: jail systemd ./{}", here.display()));
            }
            problems
        })?;
        return Ok((loaded, spec.to_owned()));
    }
    let absolute = std::path::absolute(spec).ok().and_then(|path| path.into_os_string().into_string().ok());
    let absolute = absolute.ok_or_else(|| Problem::usage(format!("{spec:?} cannot be made absolute")))?;
    Ok((load_from(&roots, &absolute, trust(), sources)?, absolute))
}

/// The plan as root's service manager will have it, whoever asks.
fn plan(loaded: &Loaded, without: &[Feature]) -> Result<Plan, Problems> {
    let questions = jail::ask::ask(&loaded.spec, &loaded.name);
    let mut facts = host::answer(&questions)?;
    let last = facts.kernel.last_capability.min(63);
    facts.caller =
        Caller { capabilities: u64::MAX >> (63 - last), can_start_session: true, ..Caller::default() };
    // The unit's group will be jail's own (Delegate=yes); that of who asks does not matter.
    facts.cgroups = questions.limits.as_ref().map(jail::limits::Cgroups::assumed);
    let jail = jail::resolve::resolve(&loaded.name, &loaded.spec, &facts, without)?;
    Ok(plan::build::build(&jail))
}

fn finish(units: Vec<(String, String)>, wanted: &Systemd) -> Result<Ended, Problems> {
    let mut text = String::new();
    if wanted.install {
        for (name, unit) in &units {
            text += &install(Path::new(UNITS), name, unit)?;
        }
        text += &next(&units);
    } else {
        text.extend(units.into_iter().map(|(_, unit)| unit));
    }
    output::print(&text)?;
    Ok(Ended::SUCCESS)
}

/// Writes one unit, unless there is one that somebody else has written.
fn install(directory: &Path, name: &str, unit: &str) -> Result<String, Problems> {
    let place = directory.join(name);
    let path = place.display().to_string();
    match std::fs::read_to_string(&place) {
        Ok(there) if there == unit => return Ok(format!("{path} is up to date\n")),
        Ok(there) if there.lines().next() != Some(MARK) => {
            let problem = Problem::set_up(format!("{path} is there, and jail has not written it"));
            return Err(problem
                .help("move it away, or put what it adds into a drop-in: systemctl edit")
                .into());
        }
        // What cannot be read may still be nobody's: writing tells.
        Ok(_) | Err(_) => {}
    }
    page::write("unit", &path, unit)?;
    Ok(format!("wrote {path}\n"))
}

/// What remains to be done. Not done here: a manager may be told once for many units, and its own files
/// may have changed for other reasons.
fn next(units: &[(String, String)]) -> String {
    let name = match units {
        [(name, _), ..] if name == "jail@.service" => "jail@NAME.service",
        [(name, _), ..] => name,
        [] => "",
    };
    format!("next: systemctl daemon-reload && systemctl enable --now {name}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_of_ones_own_is_never_replaced() {
        let room = tempfile::tempdir().unwrap();
        let (ours, newer) = (format!("{MARK}\none\n"), format!("{MARK}\ntwo\n"));
        assert!(install(room.path(), "a.service", &ours).unwrap().starts_with("wrote "));
        assert!(install(room.path(), "a.service", &ours).unwrap().ends_with("is up to date\n"));
        assert!(install(room.path(), "a.service", &newer).unwrap().starts_with("wrote "));
        assert_eq!(std::fs::read_to_string(room.path().join("a.service")).unwrap(), newer);
        std::fs::write(room.path().join("b.service"), "[Service]\n").unwrap();
        let problems = install(room.path(), "b.service", &ours).unwrap_err();
        assert!(problems.0[0].what.contains("jail has not written it"), "{}", problems.0[0].what);
        assert_eq!(std::fs::read_to_string(room.path().join("b.service")).unwrap(), "[Service]\n");
        // A masked unit.
        std::os::unix::fs::symlink("/dev/null", room.path().join("c.service")).unwrap();
        assert_eq!(install(room.path(), "c.service", &ours).unwrap_err().code(), 125);
        assert!(install(&room.path().join("none"), "d.service", &ours).is_err());
    }
}
