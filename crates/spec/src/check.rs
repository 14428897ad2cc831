//! What a spec means, against the data and the machine: everything that would fail later is found now, all at once.

mod data;
mod encoder;
mod folds;
mod population;
mod resources;
mod sweep;

use market::{Symbol, Timestamp};

use crate::problem::{Finding, Problem};
use crate::yaml::Positions;
use crate::{EncoderFacts, ExperimentSpec, ranges};

/// What a spec is checked against.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// CPU cores that trials may use.
    pub cpus: u32,
    /// CUDA devices that this build can use; 0 where there is none.
    pub gpus: u32,
    /// The bars; `None` leaves their checks out, for a spec without its data.
    pub data: Option<DataFacts>,
    /// What the spec's encoder turns out to be; `None` leaves its checks out.
    pub encoder: Option<EncoderFacts>,
}

/// The bars, as far as a spec can disagree with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataFacts {
    /// Symbols in the data set.
    pub symbols: Vec<Symbol>,
    /// Labels of the bars of the spec's symbol, ascending; empty when the data set lacks it.
    pub times: Vec<Timestamp>,
    /// The same of each symbol beside it, in the spec's order; empty where it names none.
    pub companions: Vec<Vec<Timestamp>>,
    /// Bars before the features, learned ones among them, have their first row.
    pub warm_up_bars: usize,
}

/// Checks a spec's meaning. It need not be resolved: open ends are taken as [`crate::resolve`] would fill them.
///
/// An empty list means that the experiment can start.
#[must_use]
pub fn check(spec: &ExperimentSpec, positions: &Positions, facts: &Facts) -> Vec<Problem> {
    let mut findings = encoder::findings(spec, facts);
    let spec = &crate::resolve(spec, positions, facts);
    findings.extend(ranges::of_experiment(spec));
    findings.extend(of_point(spec, facts));
    findings.extend(data::findings(spec, facts.data.as_ref()));
    findings.extend(resources::findings(spec, facts));
    // Substituting into a spec that is wrong itself would repeat its faults for every dimension.
    let sound = findings.is_empty();
    findings.extend(sweep::findings(spec, sound.then_some(facts)));
    let mut problems: Vec<_> = findings.into_iter().map(|finding| finding.placed(positions)).collect();
    problems.sort_by(|a, b| a.place.cmp(&b.place));
    problems
}

/// Findings that differ from trial to trial.
fn of_point(spec: &ExperimentSpec, facts: &Facts) -> Vec<Finding> {
    let mut findings = ranges::of_trial(spec);
    findings.extend(data::point_findings(spec, facts.data.as_ref()));
    findings
}

#[cfg(test)]
mod tests;
