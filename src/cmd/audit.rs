//! `jail audit`: the plans of many specs, judged; a report, a table, JSON, a page.

use super::{Ended, output, page, trust};
use crate::audit::{self, Report, Score, Subject};
use crate::jail::resolve::Feature;
use crate::problem::{Kind, Problems, Sources};
use crate::spec::load::{self, Loaded};
use crate::{host, jail, plan};

/// What was asked for besides the specs.
pub struct Wanted<'a> {
    /// JSON in place of text.
    pub json: bool,
    /// The highest score that is good.
    pub threshold: Option<Score>,
    /// Where to write the page.
    pub html: Option<&'a str>,
    /// Promises to be judged as given up.
    pub without: &'a [Feature],
}

/// Judges each spec that can be read, and returns the problems of all others.
pub fn audit(specs: &[String], wanted: &Wanted<'_>, sources: &mut Sources) -> Result<Ended, Problems> {
    let mut reports = Vec::new();
    let mut all = Problems::default();
    for name in specs {
        match report(name, wanted.without, sources) {
            Ok(report) => reports.push(report),
            Err(problems) => all.0.extend(problems.0),
        }
    }
    for problem in &mut all.0 {
        // What would stop a run is here the answer to the question that was asked.
        problem.kind = Kind::Usage;
    }
    if let Some(path) = wanted.html.filter(|_| !reports.is_empty())
        && let Err(problems) = page::write("page", path, &audit::page(&reports, sources))
    {
        all.0.extend(problems.0);
        return Err(all);
    }
    let text = match reports.as_slice() {
        _ if wanted.json => audit::json(&reports, sources),
        [] => String::new(),
        [one] if specs.len() == 1 => audit::text(one, sources, output::paint(&std::io::stdout())),
        several => table(several),
    };
    if !text.is_empty() {
        output::print(&text)?;
    }
    all.none_or(())?;
    Ok(judge(&reports, wanted.threshold))
}

/// One spec judged, as root would run it on a host that has all it needs.
fn report(name: &str, without: &[Feature], sources: &mut Sources) -> Result<Report, Problems> {
    let Loaded { name, spec, .. } = load::load(name, trust(), sources)?;
    let questions = jail::ask::ask(&spec, &name);
    let mut facts = host::answer(&questions)?;
    let assumed = audit::assume(&mut facts, &spec);
    let jail = jail::resolve::resolve(&name, &spec, &facts, without)?;
    let plan = plan::build::build(&jail);
    Ok(audit::audit(Subject { plan: &plan, spec: &spec }, assumed))
}

fn table(reports: &[Report]) -> String {
    let mut rows = vec![["NAME", "SCORE", "VERDICT", "WORST FINDING"].map(str::to_owned).to_vec()];
    for report in reports {
        let worst = report.worst().map_or("none".to_owned(), |f| format!("{} {}", Score(f.points()), f.what));
        let score = report.score();
        rows.push(vec![report.name.clone(), format!("{score:>5}"), score.word().to_owned(), worst]);
    }
    output::columns(&rows)
}

/// Says which scores are above the threshold.
fn judge(reports: &[Report], threshold: Option<Score>) -> Ended {
    let Some(threshold) = threshold else { return Ended::SUCCESS };
    let mut ended = Ended::SUCCESS;
    for report in reports.iter().filter(|report| report.score() > threshold) {
        let (name, score) = (&report.name, report.score());
        output::complain(&format!("jail: {name}: the score {score} is above the threshold {threshold}\n"));
        ended = Ended::Code(1);
    }
    ended
}
