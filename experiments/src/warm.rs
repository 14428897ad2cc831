//! What an earlier sweep saw, for a sampler that begins with it: the figures of trials that this sweep would run alike.
//!
//! A figure says nothing of a point where bars, splits, folds, network or market are others, and a sampler that believed it
//! would be led astray. So each trial there is held against the one that this sweep makes of the same point. How points are
//! drawn, which objective they were drawn for, device, build and machine are not looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};
use spec::{DataSpec, Digest, ExperimentId, ExperimentSpec, Objective, Params, SweepSpec, TrialSpec};

use crate::question::{Question, Seen};
use crate::sweep::value;
use crate::trials::{self, Trial};

/// Characters of a value that a refusal shows: a whole task is no help.
const SHOWN_MAX: usize = 100;

/// Stands where one of two specs has nothing.
static NOTHING: Value = Value::Null;

/// An earlier sweep cannot be begun with.
#[derive(Debug, thiserror::Error)]
pub enum WarmError {
    /// It never ran here.
    #[error("sweep.warm_start: no experiment {0} ran on this home: `tradewind ls` lists them")]
    Unknown(ExperimentId),
    /// No trial of it is one that this sweep would run.
    #[error(
        "sweep.warm_start: `{path}` was {there} in {earlier} and is {here} in this experiment, so what was measured \
         there says nothing here: make it the same, or begin without {earlier}"
    )]
    Incomparable {
        /// Which experiment.
        earlier: ExperimentId,
        /// Where its first trial differs, in the words of the file; `data.digest` is what the bars themselves come to.
        path: String,
        /// What stands there in it.
        there: String,
        /// What stands there in this one.
        here: String,
    },
    /// None of its points can be learned from here.
    #[error(
        "sweep.warm_start: no point of {0} lies in this space: widen it to hold them, vary the same values, or begin without {0}"
    )]
    Elsewhere(ExperimentId),
    /// None of its trials has the objective.
    #[error(
        "sweep.warm_start: {earlier} did not measure {}: begin with one that did, or without {earlier}",
        objective.as_str()
    )]
    Unmeasured {
        /// Which experiment.
        earlier: ExperimentId,
        /// An objective of this one.
        objective: Objective,
    },
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] scheduler::SchedulerError),
    /// Its trials are of another build.
    #[error(transparent)]
    Trials(#[from] trials::TrialError),
}

/// The points of the sweep that `spec` begins with, with every objective of its own, in the order of their trials; those that
/// measured less, or that it would run otherwise, are left out.
pub(crate) fn seen(home: &Path, spec: &ExperimentSpec, digests: (Digest, &[Digest])) -> Result<Vec<Seen>, WarmError> {
    let Some(earlier) = &spec.sweep.warm_start else { return Ok(Vec::new()) };
    let detail = scheduler::history(home)?.detail(earlier).ok_or_else(|| WarmError::Unknown(earlier.clone()))?;
    // What another build submitted cannot say what it was after: its trials are looked at all the same.
    let asked = serde_json::from_slice::<Question>(&detail.payload).map(|asked| objectives(&asked.spec.sweep));
    let here = Here { spec, digests };
    here.taken((earlier, &asked.unwrap_or_default()), trials::read(detail.trials)?)
}

fn objectives(sweep: &SweepSpec) -> Vec<Objective> {
    std::iter::once(sweep.objective).chain(sweep.also.iter().copied()).collect()
}

/// The experiment that begins with another.
struct Here<'a> {
    spec: &'a ExperimentSpec,
    /// Of the bars of the traded symbol, and of those beside it.
    digests: (Digest, &'a [Digest]),
}

impl Here<'_> {
    /// What it takes of `trials` of an experiment and its objectives.
    fn taken(
        &self,
        (earlier, asked): (&ExperimentId, &[Objective]),
        trials: Vec<Trial>,
    ) -> Result<Vec<Seen>, WarmError> {
        let wanted = objectives(&self.spec.sweep);
        let alike = self.alike(earlier, trials)?;
        let seen = means(&wanted, &alike);
        // Where all was asked for and nothing came out, there was nothing finite: a sweep may well go on from that.
        let unasked = wanted.into_iter().find(|objective| !asked.contains(objective));
        match unasked.filter(|_| seen.is_empty() && !alike.is_empty()) {
            Some(objective) => Err(WarmError::Unmeasured { earlier: earlier.clone(), objective }),
            None => Ok(seen),
        }
    }

    /// The trials that ended well and that it would run alike; refused where none is among those that ended well.
    fn alike(&self, earlier: &ExperimentId, trials: Vec<Trial>) -> Result<Vec<Trial>, WarmError> {
        let (mut alike, mut first, mut ended) = (Vec::new(), None, false);
        // What a child came to is no doing of its point alone.
        for trial in trials.into_iter().filter(|trial| trial.outcome.is_some() && trial.spec.parent.is_none()) {
            ended = true;
            // A point that makes no sound trial here is none that could be tried.
            let Some(here) = self.trial(&trial.spec) else { continue };
            match difference("", &decisive(&trial.spec), &decisive(&here)) {
                None => alike.push(trial),
                Some(difference) => first = first.or(Some(difference)),
            }
        }
        match first.filter(|_| alike.is_empty()) {
            Some((path, there, here)) => {
                let (earlier, there, here) = (earlier.clone(), shown(&there), shown(&here));
                Err(WarmError::Incomparable { earlier, path, there, here })
            }
            None if ended && alike.is_empty() => Err(WarmError::Elsewhere(earlier.clone())),
            None => Ok(alike),
        }
    }

    /// The trial that it makes of the point of another. What it does not vary is as its own file says.
    fn trial(&self, there: &TrialSpec) -> Option<TrialSpec> {
        let varied = there.params.iter().filter(|(path, _)| self.spec.sweep.space.contains_key(*path));
        let params: Params = varied.map(|(path, value)| (path.clone(), value.clone())).collect();
        spec::trial(self.spec, &params, there.seed, there.trial.clone(), self.digests).ok()
    }
}

/// The points of `trials` that measured every one of `objectives`, each the mean over its seeds.
fn means(objectives: &[Objective], trials: &[Trial]) -> Vec<Seen> {
    let mut seen: Vec<(Seen, u32)> = Vec::new();
    let mut places = BTreeMap::new();
    for trial in trials {
        let Some(outcome) = &trial.outcome else { continue };
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
    seen.into_iter().map(mean).collect()
}

/// What decides the figures of a trial, its seed left out.
fn decisive(trial: &TrialSpec) -> Value {
    let TrialSpec {
        trial: _,
        params: _,
        seed: _,
        data: DataSpec { source: _, symbols, interval, split, repairs },
        data_digest,
        companion_digests,
        features,
        encoder,
        task,
        model,
        env,
        strategy,
        device: _,
        threads: _,
        degrade: _,
        parent: _,
    } = trial;
    json!({
        "data": {
            "digest": data_digest, "symbols": symbols, "symbols_beside": companion_digests,
            "interval": interval, "split": split, "repairs": repairs
        },
        "features": features,
        // How many rows it remembers changes no figure.
        "encoder": encoder.as_ref().map(|encoder| encoder.bundle),
        "task": task,
        "model": model,
        "env": env,
        "strategy": strategy,
    })
}

/// The first place at which two values differ, as a dotted path, and what stands there in each.
fn difference(path: &str, one: &Value, other: &Value) -> Option<(String, Value, Value)> {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    if let (Some(one), Some(other)) = (one.as_object(), other.as_object()) {
        let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
        return names.into_iter().find_map(|name| {
            difference(&below(name), one.get(name).unwrap_or(&NOTHING), other.get(name).unwrap_or(&NOTHING))
        });
    }
    if let (Some(one), Some(other)) = (one.as_array(), other.as_array())
        && one.len() == other.len()
    {
        let mut places = one.iter().zip(other).enumerate();
        return places.find_map(|(index, (one, other))| difference(&below(&index.to_string()), one, other));
    }
    (one != other).then(|| (path.to_owned(), one.clone(), other.clone()))
}

fn shown(value: &Value) -> String {
    if value.is_null() {
        return "nothing".to_owned();
    }
    let text = value.to_string();
    let cut: String = text.chars().take(SHOWN_MAX).collect();
    if cut.len() < text.len() { format!("{cut}…") } else { cut }
}

#[cfg(test)]
mod tests;
