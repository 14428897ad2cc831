//! An encoder must see the agent's own bars and have ended before the agent is tested.

use market::Timestamp;

use crate::check::{DataFacts, Facts};
use crate::problem::Finding;
use crate::{DataSpec, EncoderFacts, ExperimentSpec, ForecasterFacts, MissingEncoder, Selection, TaskSpec};

/// Where all of it is said.
const AT: &str = "encoder.bundle";

/// `spec` is as it was written: a resolved one may have given its encoder up.
pub(super) fn findings(spec: &ExperimentSpec, facts: &Facts) -> Vec<Finding> {
    let Some(encoder) = &spec.encoder else { return Vec::new() };
    let mut findings = Vec::new();
    if let TaskSpec::Supervised(_) = &spec.task {
        let why = "a forecaster learns an encoder of its own";
        let hint = "remove `encoder`, or let an agent learn: `task: { rl: … }`";
        findings.push(Finding::new("encoder", "`encoder` beside `supervised`", why, hint).at_key());
    }
    match &facts.encoder {
        None => {}
        Some(EncoderFacts::Missing { why }) => match encoder.missing {
            MissingEncoder::Indicators => {}
            MissingEncoder::Refuse => {
                let hint = "train it first, or write `missing: indicators` to learn without it";
                findings.push(Finding::new(AT, format!("no encoder `{}`", encoder.bundle), why.clone(), hint));
            }
        },
        Some(EncoderFacts::NoForecaster { bundle }) => {
            let what = format!("bundle {bundle} is no forecaster");
            findings.push(Finding::new(AT, what, "only a forecaster has an encoder", "name a forecaster's bundle"));
        }
        Some(EncoderFacts::Forecaster(forecaster)) => {
            findings.extend(unfit(spec, forecaster, facts.data.as_ref()));
            findings.extend(too_late(spec, forecaster, facts.data.as_ref()));
        }
    }
    findings
}

/// In what a forecaster's bars are not the agent's.
fn unfit(spec: &ExperimentSpec, forecaster: &ForecasterFacts, data: Option<&DataFacts>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (own, its) = (&spec.data, &forecaster.data);
    let mut refuse = |what: String, why: String| {
        findings.push(Finding::new(AT, what, why, "train an encoder on the bars of this experiment"));
    };
    if let (Some(symbol), Some(learned)) = (own.symbols.first(), its.symbols.first())
        && symbol != learned
    {
        refuse(format!("an encoder of {learned}"), format!("the agent trades {symbol}"));
    }
    if own.interval != its.interval {
        refuse(format!("an encoder of {} bars", its.interval), format!("the agent sees {} bars", own.interval));
    }
    if own.repairs != its.repairs {
        refuse("an encoder of bars with other repairs".to_owned(), "the same faults would look different".to_owned());
    }
    if let Some(first) = data.and_then(|data| data.times.first())
        && *first != forecaster.anchor
    {
        let what = format!("the encoder's features start at {}", forecaster.anchor.date());
        let why = format!("the bars start at {}, and indicators remember where they began", first.date());
        refuse(what, why);
    }
    findings
}

/// Whether a bar of the agent's test split, or one after its start, had a say in the encoder, or in the hyper-parameters that
/// it was trained with.
fn too_late(spec: &ExperimentSpec, forecaster: &ForecasterFacts, data: Option<&DataFacts>) -> Option<Finding> {
    let say = match forecaster.selection {
        Selection::OnValidation => "",
        Selection::OnTest => " (it is or was a champion, let through on its own test split)",
    };
    let own = (until((&forecaster.data, forecaster.horizon), forecaster.selection, data), say.to_owned());
    // No test of an earlier sweep decided anything: its figures are of validation.
    let guided = forecaster.guides.iter().map(|guide| {
        let until = until((&guide.data, guide.horizon), Selection::OnValidation, data);
        (until, format!(" (its sweep began with the figures of {})", guide.experiment))
    });
    // Of those that are as late the encoder's own goes first.
    let last = |one: (Timestamp, String), other: (Timestamp, String)| if other.0 > one.0 { other } else { one };
    let ((until, say), test) = (guided.fold(own, last), spec.data.split.test.from);
    (until >= test).then(|| {
        let what = format!("bars until {} had a say in the encoder{say}", until.date());
        let why = format!("the agent's test begins {}, which nothing may have seen", test.date());
        let hint = format!("start `data.split.test` after {}, or take an encoder of earlier bars", until.date());
        Finding::new(AT, what, why, hint)
    })
}

/// The last bar that had a say: weights are fitted on the training split, and epoch, trial and calibration chosen on
/// validation. A label reaches beyond its split by what the horizon is longer than the purge.
fn until((its, horizon): (&DataSpec, u32), selection: Selection, data: Option<&DataFacts>) -> Timestamp {
    let split = &its.split;
    let end = match selection {
        Selection::OnValidation => split.validation.to,
        Selection::OnTest => split.test.to,
    };
    let beyond = horizon.saturating_sub(split.purge) as usize;
    let times = data.map(|data| data.times.as_slice()).unwrap_or_default();
    let last = times.partition_point(|time| *time <= end) + beyond;
    match times.get(last.saturating_sub(1).min(times.len().saturating_sub(1))) {
        Some(reached) if beyond > 0 => end.max(*reached),
        Some(_) | None => end,
    }
}
