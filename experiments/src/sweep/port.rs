//! The sweep behind the scheduler's ask/tell port. Where points are drawn whatever was seen, and nothing is pruned, batches
//! follow each other at once; otherwise each waits for the outcomes of the one before. Either way what is asked is a function
//! of the question and of outcomes: never of time, of the number of workers or of restarts. An asynchronous sweep asks
//! whenever a point has ended, and so for a function of the order of ends as well, which the journal keeps.

use std::collections::{BTreeMap, BTreeSet};

use scheduler::{Ask, Judgement, OpenError, Pace, Sweep, SweepOutcome};
use search::{History, Observation, Outcome, Point, Rungs, SpaceError};
use spec::{
    Direction, ExperimentId, Finite, Mode, Objective, Params, Parent, Pruner, Share, TrialId, TrialOutcome, TrialSpec,
    canonical_json,
};

use super::rungs::{self, Bracket};
use super::source::{Drawn, Source};
use super::{NotAList, value};
use crate::question::{Question, Seen};

/// Trials of one experiment: as many as a scheduler takes.
const TRIALS_MAX: u32 = 1_000_000;

/// What the specs of all trials of one experiment come to, bytes: a scheduler keeps them in memory.
const BYTES_MAX: u64 = 4 << 30;

/// The sweep of one experiment. Trial `index` is point `index / seeds` with seed `index % seeds`.
#[derive(Debug, Clone)]
pub struct ExperimentSweep {
    pub(super) question: Question,
    pub(super) experiment: ExperimentId,
    pub(super) source: Source,
    /// What an earlier sweep saw, as far as it lies in this space: the first observations of every history.
    before: Vec<Observation>,
    /// Points that begin anew, in all.
    limit: u32,
    /// Points asked so far, in order; children among them.
    pub(super) asked: Vec<Asked>,
    /// Those that began anew.
    begun: u32,
    /// Those that are not told yet.
    pub(super) open: u32,
    /// Batches asked so far.
    pub(super) batches: u32,
    /// What points showed at the rungs they reached.
    pub(super) shown: Rungs,
}

/// A point that was asked, and what came of it.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) point: Point,
    pub(super) params: Params,
    /// Whose training it goes on from.
    pub(super) parent: Option<Parent>,
    /// Where its trials hold.
    pub(super) rungs: Vec<Share>,
    /// The last rung it reached, with its mean over seeds.
    pub(super) reached: Option<(u32, Finite)>,
    /// By seed; `None` until told.
    pub(super) told: Vec<Option<Told>>,
}

/// What a sweep keeps of an outcome.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Told {
    /// Its objectives; less is better.
    Measured(Vec<f64>),
    Pruned,
    Failed,
}

/// A question whose trials cannot all be written down.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The submitted bytes are no question.
    #[error("the submission is no experiment of this build: submit its file again")]
    Payload(#[source] serde_json::Error),
    /// A grid over a range.
    #[error(transparent)]
    Grid(#[from] NotAList),
    /// A dimension that is none.
    #[error("sweep.space: {0}")]
    Space(#[from] SpaceError),
    /// No trial, or more than any scheduler takes.
    #[error("sweep has {trials} trials, 1 to {TRIALS_MAX} can be run: change `sweep.trials` or `sweep.seeds`")]
    Count {
        /// Points times seeds.
        trials: u32,
    },
    /// Its trials would fill the memory of any scheduler.
    #[error(
        "{trials} trials of a spec of {bytes} bytes are more than {BYTES_MAX} bytes: shorten the spec, or run fewer"
    )]
    Size {
        /// Points times seeds.
        trials: u32,
        /// One spec.
        bytes: u64,
    },
    /// A point does not fit the spec.
    #[error("trial {index} cannot be made: {problem}")]
    Trial {
        /// Its index.
        index: u32,
        /// What does not fit.
        problem: spec::Problem,
    },
}

impl ExperimentSweep {
    /// Makes every point that can be known once, so that one that does not fit is refused before anything starts.
    ///
    /// # Errors
    /// [`SweepError`] naming the dimension or the first trial that does not fit.
    pub fn new(question: Question) -> Result<Self, SweepError> {
        let sweep = &question.spec.sweep;
        let source = Source::new(sweep, question.sampling_key())?;
        let limit = source.limit().min(sweep.trials);
        let experiment = question.experiment();
        let before = before(&question, &source);
        let sweep = Self {
            question,
            experiment,
            source,
            before,
            limit,
            asked: Vec::new(),
            begun: 0,
            open: 0,
            batches: 0,
            shown: Rungs::new(),
        };
        // Whoever submits need not have checked: a thousand million trials must not be made one by one.
        if !(1..=TRIALS_MAX).contains(&sweep.trials()) {
            return Err(SweepError::Count { trials: sweep.trials() });
        }
        let bytes = canonical_json(&sweep.question.spec).len() as u64;
        if bytes.saturating_mul(sweep.trials().into()) > BYTES_MAX {
            return Err(SweepError::Size { trials: sweep.trials(), bytes });
        }
        for point in 0..sweep.limit {
            let Some(Drawn { params, .. }) = sweep.source.known(point) else { break };
            // A seed fits everywhere, so the first of each point stands for all.
            sweep.made(point * sweep.seeds(), &params)?;
        }
        Ok(sweep)
    }

    /// The sweep of a submission's payload: the canonical JSON of its [`Question`].
    ///
    /// # Errors
    /// As [`ExperimentSweep::new`], and [`SweepError::Payload`] when the bytes are no question.
    pub fn open(payload: &[u8]) -> Result<Self, SweepError> {
        Self::new(serde_json::from_slice(payload).map_err(SweepError::Payload)?)
    }

    /// Whether it was to begin with what an earlier one saw and cannot: none of it lies in this space.
    pub(crate) fn misses_what_was_seen(&self) -> bool {
        self.source.sees() && self.before.is_empty() && !self.question.seen.is_empty()
    }

    pub(super) fn seeds(&self) -> u32 {
        self.question.spec.sweep.seeds.len().max(1) as u32
    }

    /// Trials in all: points times seeds, and as many children as a population can have.
    #[must_use]
    pub fn trials(&self) -> u32 {
        self.limit.saturating_mul(self.seeds()).saturating_add(self.children_max())
    }

    /// Trial `index`, fully resolved; `None` where there is none, or none yet because its point hangs on outcomes.
    #[must_use]
    pub fn trial(&self, index: u32) -> Option<TrialSpec> {
        let point = index / self.seeds();
        if (point as usize) < self.asked.len() {
            return self.trial_asked(index).ok();
        }
        // Where children come in between, what a later index is hangs on them.
        let known = self.source.known(point).filter(|_| point < self.limit && self.children_max() == 0)?;
        self.made(index, &known.params).ok()
    }

    /// Trial `index`, whose point was asked.
    pub(super) fn trial_asked(&self, index: u32) -> Result<TrialSpec, SweepError> {
        let asked = &self.asked[(index / self.seeds()) as usize];
        Ok(TrialSpec { parent: asked.parent.clone(), ..self.made(index, &asked.params)? })
    }

    fn seed(&self, index: u32) -> u64 {
        self.question.spec.sweep.seeds.get((index % self.seeds()) as usize).copied().unwrap_or(1)
    }

    pub(super) fn made(&self, index: u32, params: &Params) -> Result<TrialSpec, SweepError> {
        let Question { spec, data_digest, companion_digests, .. } = &self.question;
        let trial = TrialId { experiment: self.experiment.clone(), index };
        spec::trial(spec, params, self.seed(index), trial, (*data_digest, companion_digests))
            .map_err(|problem| SweepError::Trial { index, problem })
    }

    /// What the next points are decided by: all earlier ones. What a child came to is no doing of its point alone.
    fn history(&self) -> History {
        let first = self.before.len() as u32;
        let observation = |(index, asked): (u32, &Asked)| Observation {
            index,
            point: asked.point.clone(),
            outcome: self.outcome(asked),
        };
        let own = (first..).zip(&self.asked).filter(|(_, asked)| asked.parent.is_none()).map(observation);
        self.source.history(self.before.iter().cloned().chain(own).collect())
    }

    /// What became of a point: the mean over its seeds, once all are told.
    fn outcome(&self, asked: &Asked) -> Outcome {
        let mut means = vec![0.0; 1 + self.question.spec.sweep.also.len()];
        for told in &asked.told {
            match told {
                None => return Outcome::Pending,
                Some(Told::Failed) => return Outcome::Failed,
                Some(Told::Pruned) => {
                    return asked
                        .reached
                        .map_or(Outcome::Failed, |(rung, value)| Outcome::Pruned { rung, value: value.get() });
                }
                Some(Told::Measured(values)) => {
                    let seeds = asked.told.len() as f64;
                    means.iter_mut().zip(values).for_each(|(mean, value)| *mean += value / seeds);
                }
            }
        }
        Outcome::Measured(means)
    }

    /// The objectives of an outcome, so that less is better.
    fn measured(&self, outcome: &[u8]) -> Option<Vec<f64>> {
        let sweep = &self.question.spec.sweep;
        let outcome: TrialOutcome = serde_json::from_slice(outcome).ok()?;
        std::iter::once(sweep.objective)
            .chain(sweep.also.iter().copied())
            .map(|objective| Some(minimised(objective, value(objective, &outcome)?)))
            .collect()
    }

    /// Draws the next batch of points, each with its trials as the scheduler keeps them.
    fn draw(&self, points: u32) -> Vec<(Drawn, Vec<Vec<u8>>)> {
        let (first, before) = (self.asked.len() as u32, self.before.len() as u32);
        let history = if self.source.sees() { self.history() } else { History::empty() };
        let fitting = |point: u32, drawn: Drawn| match self.made(point * self.seeds(), &drawn.params) {
            Ok(trial) => Ok((drawn, trial)),
            Err(_) => Err(drawn),
        };
        (first..)
            .zip(self.source.draw(&history, before + first, points))
            .map(|(point, drawn)| {
                // A corner of the space that makes no sound trial, such as a batch above its memory: another point is tried,
                // at random but the same one each time.
                let others = || self.source.others(point).find_map(|other| fitting(point, other).ok());
                match fitting(point, drawn).or_else(|drawn| others().ok_or(drawn)) {
                    Ok((drawn, trial)) => (drawn, self.by_seed(point, &trial)),
                    Err(drawn) => {
                        let words = self.refused(point, &drawn.params);
                        (drawn, words)
                    }
                }
            })
            .collect()
    }

    /// The trials of a point, of which `first` is that of the first seed.
    fn by_seed(&self, point: u32, first: &TrialSpec) -> Vec<Vec<u8>> {
        let trial = |index: u32| {
            let trial = TrialId { index, ..first.trial.clone() };
            canonical_json(&TrialSpec { trial, seed: self.seed(index), ..first.clone() })
        };
        (point * self.seeds()..(point + 1) * self.seeds()).map(trial).collect()
    }

    /// The trials of a point for which no other was found: each fails by itself, with these words.
    fn refused(&self, point: u32, params: &Params) -> Vec<Vec<u8>> {
        let words = |index: u32| {
            let made = self.made(index, params);
            made.map_or_else(|error| error.to_string().into_bytes(), |trial| canonical_json(&trial))
        };
        (point * self.seeds()..(point + 1) * self.seeds()).map(words).collect()
    }
}

impl Sweep for ExperimentSweep {
    fn pace(&self) -> Pace {
        match self.question.spec.sweep.mode {
            Mode::Batch => Pace::Batches,
            Mode::Asynchronous => Pace::Asynchronous,
        }
    }

    fn ask(&mut self) -> Ask {
        let sweep = &self.question.spec.sweep;
        let left = self.limit - self.begun;
        let Bracket { points, rungs } = rungs::bracket(&sweep.pruner, self.batches);
        let points = match sweep.mode {
            Mode::Batch => {
                let waits = self.source.sees() || sweep.pruner != Pruner::None;
                if waits && self.open > 0 {
                    return Ask::Waiting;
                }
                points.unwrap_or(sweep.batch)
            }
            Mode::Asynchronous if left > 0 && self.open >= sweep.batch => return Ask::Waiting,
            Mode::Asynchronous => sweep.batch.saturating_sub(self.open),
        };
        if left == 0 {
            return Ask::Done;
        }
        let (points, seeds) = (points.clamp(1, left), self.seeds());
        let mut payloads = Vec::with_capacity((points * seeds) as usize);
        for (Drawn { point, params }, trials) in self.draw(points) {
            let told = vec![None; seeds as usize];
            self.asked.push(Asked { point, params, parent: None, rungs: rungs.clone(), reached: None, told });
            payloads.extend(trials);
        }
        self.batches += 1;
        self.begun += points;
        self.open += points;
        Ask::Batch(payloads)
    }

    fn tell(&mut self, index: u32, outcome: SweepOutcome) {
        let (point, seed) = (index / self.seeds(), index % self.seeds());
        let outcome = match outcome {
            SweepOutcome::Succeeded(bytes) if self.source.sees() => {
                self.measured(&bytes).map_or(Told::Failed, Told::Measured)
            }
            // Nobody asks what it measured.
            SweepOutcome::Succeeded(_) => Told::Measured(Vec::new()),
            SweepOutcome::Pruned => Told::Pruned,
            SweepOutcome::Failed | SweepOutcome::Cancelled => Told::Failed,
        };
        if let Some(asked) = self.asked.get_mut(point as usize) {
            let open = asked.told.contains(&None);
            asked.told[seed as usize] = Some(outcome);
            self.open -= u32::from(open && !asked.told.contains(&None));
        }
    }

    fn rungs(&self, index: u32) -> Vec<Share> {
        self.asked.get((index / self.seeds()) as usize).map(|asked| asked.rungs.clone()).unwrap_or_default()
    }

    /// All seeds of a point go on or none does: by the mean of those that reached the rung.
    fn judge(&mut self, rung: u32, reached: &[(u32, Option<Finite>)]) -> Judgement {
        let seeds = self.seeds();
        let mut points: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for (index, value) in reached {
            points.entry(index / seeds).or_default().extend(value.map(Finite::get));
        }
        for (point, values) in &points {
            let mean = Finite::new(values.iter().sum::<f64>() / values.len() as f64);
            if let (Some(mean), Some(asked)) = (mean, self.asked.get_mut(*point as usize)) {
                asked.reached = Some((rung, mean));
                self.shown.report(*point, rung, mean.get());
            }
        }
        let points: Vec<u32> = points.into_keys().collect();
        let sweep = &self.question.spec.sweep;
        let (kept, children) = match sweep.pruner {
            Pruner::Population { .. } => self.breed(rung, &points),
            Pruner::None | Pruner::Median { .. } | Pruner::SuccessiveHalving { .. } | Pruner::Hyperband { .. } => {
                (rungs::go_on((&sweep.pruner, sweep.mode), &self.shown, &points, rung), Vec::new())
            }
        };
        let kept: BTreeSet<u32> = kept.into_iter().collect();
        let go_on = reached.iter().map(|(index, _)| *index).filter(|index| kept.contains(&(index / seeds))).collect();
        Judgement { go_on, children }
    }
}

/// A value of an objective, so that less is better.
pub(super) fn minimised(objective: Objective, value: f64) -> f64 {
    match objective.better() {
        Direction::Maximise => -value,
        Direction::Minimise => value,
    }
}

/// What an earlier sweep saw, as far as it lies in this space; nothing for a source that looks at nothing.
fn before(question: &Question, source: &Source) -> Vec<Observation> {
    let sweep = &question.spec.sweep;
    let objectives = || std::iter::once(sweep.objective).chain(sweep.also.iter().copied());
    let observation = |seen: &Seen| {
        let values =
            objectives().zip(&seen.objectives).map(|(objective, value)| minimised(objective, *value)).collect();
        Some((source.point(&seen.params)?, Outcome::Measured(values)))
    };
    let seen = question.seen.iter().filter(|_| source.sees()).filter_map(observation);
    (0..).zip(seen).map(|(index, (point, outcome))| Observation { index, point, outcome }).collect()
}

/// Opens sweeps for the scheduler: what `scheduler::serve` takes as its `Sweeps`.
///
/// # Errors
/// [`OpenError`] when the submission's payload is no question or does not fit its own spec.
pub fn open(submission: &protocol::Submission) -> Result<Box<dyn Sweep>, OpenError> {
    match ExperimentSweep::open(&submission.payload) {
        Ok(sweep) => Ok(Box::new(sweep)),
        Err(error) => Err(OpenError { why: error.to_string() }),
    }
}
