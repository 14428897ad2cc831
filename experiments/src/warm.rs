//! What an earlier sweep saw, for a sampler that begins with it.

use std::collections::BTreeMap;
use std::path::Path;

use spec::{ExperimentId, Objective, SweepSpec};

use crate::question::Seen;
use crate::sweep::value;
use crate::trials;

/// An earlier sweep cannot be begun with.
#[derive(Debug, thiserror::Error)]
pub enum WarmError {
    /// It never ran here.
    #[error("sweep.warm_start: no experiment {0} ran on this home: `tradewind ls` lists them")]
    Unknown(ExperimentId),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] scheduler::SchedulerError),
    /// Its trials are of another build.
    #[error(transparent)]
    Trials(#[from] trials::TrialError),
}

/// Its points with every objective of `sweep`, in the order of their trials; those that measured less are left out.
pub(crate) fn seen(home: &Path, sweep: &SweepSpec) -> Result<Vec<Seen>, WarmError> {
    let Some(earlier) = &sweep.warm_start else { return Ok(Vec::new()) };
    let detail = scheduler::history(home)?.detail(earlier).ok_or_else(|| WarmError::Unknown(earlier.clone()))?;
    let objectives: Vec<Objective> = std::iter::once(sweep.objective).chain(sweep.also.iter().copied()).collect();
    let mut seen: Vec<(Seen, u32)> = Vec::new();
    let mut places = BTreeMap::new();
    for trial in trials::read(detail.trials)? {
        let Some(outcome) = &trial.outcome else { continue };
        // What a child came to is no doing of its point alone.
        if trial.spec.parent.is_some() {
            continue;
        }
        let measured: Option<Vec<f64>> = objectives.iter().map(|objective| value(*objective, outcome)).collect();
        let Some(measured) = measured else { continue };
        let key = serde_json::to_string(&trial.spec.params).unwrap_or_default();
        let place = *places.entry(key).or_insert_with(|| {
            seen.push((Seen { params: trial.spec.params.clone(), objectives: vec![0.0; measured.len()] }, 0));
            seen.len() - 1
        });
        let (point, seeds) = &mut seen[place];
        point.objectives.iter_mut().zip(&measured).for_each(|(sum, value)| *sum += value);
        *seeds += 1;
    }
    let mean = |(mut point, seeds): (Seen, u32)| {
        point.objectives.iter_mut().for_each(|sum| *sum /= f64::from(seeds));
        point
    };
    Ok(seen.into_iter().map(mean).collect())
}
