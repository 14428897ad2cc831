//! The sweep behind the scheduler's ask/tell port. Random draws and grids look at no outcome, so they never wait:
//! batches follow each other at once, and what is asked depends on the question alone.

use scheduler::{Ask, OpenError, Sweep, SweepOutcome};
use spec::{ExperimentId, TrialId, TrialSpec, canonical_json};

use super::{NotAList, Plan};
use crate::question::Question;

/// Trials of one experiment: as many as a scheduler takes.
const TRIALS_MAX: u32 = 1_000_000;

/// The sweep of one experiment.
#[derive(Debug, Clone)]
pub struct ExperimentSweep {
    question: Question,
    experiment: ExperimentId,
    plan: Plan,
    asked: u32,
}

/// A question whose trials cannot all be written down.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The submitted bytes are no question.
    #[error("the submission is no experiment of this build: submit its file again")]
    Payload(#[source] serde_json::Error),
    /// A grid over a range.
    #[error(transparent)]
    Space(#[from] NotAList),
    /// No trial, or more than any scheduler takes.
    #[error("sweep has {trials} trials, 1 to {TRIALS_MAX} can be run: change `sweep.trials` or `sweep.seeds`")]
    Count {
        /// Points times seeds.
        trials: u32,
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
    /// Makes every point once, so that one that does not fit is refused before anything starts.
    ///
    /// # Errors
    /// [`SweepError`] naming the dimension or the first trial that does not fit.
    pub fn new(question: Question) -> Result<Self, SweepError> {
        let plan = Plan::new(&question.spec.sweep, question.sampling_key())?;
        let sweep = Self { experiment: question.experiment(), question, plan, asked: 0 };
        // Whoever submits need not have checked: a thousand million trials must not be made one by one.
        if !(1..=TRIALS_MAX).contains(&sweep.trials()) {
            return Err(SweepError::Count { trials: sweep.trials() });
        }
        // A seed fits everywhere, so the first of each point stands for all.
        for index in (0..sweep.trials()).step_by(sweep.question.spec.sweep.seeds.len().max(1)) {
            sweep.trial(index)?;
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

    /// Trials in all.
    #[must_use]
    pub fn trials(&self) -> u32 {
        self.plan.trials()
    }

    /// Trial `index`, fully resolved.
    ///
    /// # Errors
    /// [`SweepError::Trial`] when its point does not fit the spec.
    pub fn trial(&self, index: u32) -> Result<TrialSpec, SweepError> {
        let (params, seed) = self.plan.trial(index);
        let trial = TrialId { experiment: self.experiment.clone(), index };
        let Question { spec, data_digest, .. } = &self.question;
        spec::trial(spec, &params, seed, trial, *data_digest).map_err(|problem| SweepError::Trial { index, problem })
    }

    /// One batch: `sweep.batch` points with all their seeds.
    fn batch(&self) -> std::ops::Range<u32> {
        let sweep = &self.question.spec.sweep;
        let size = sweep.batch.max(1).saturating_mul(sweep.seeds.len() as u32);
        self.asked..self.asked.saturating_add(size).min(self.trials())
    }
}

impl Sweep for ExperimentSweep {
    fn ask(&mut self) -> Ask {
        let batch = self.batch();
        if batch.is_empty() {
            return Ask::Done;
        }
        self.asked = batch.end;
        let payload =
            |index| canonical_json(&self.trial(index).expect("every point was made once when the sweep was opened"));
        Ask::Batch(batch.map(payload).collect())
    }

    fn tell(&mut self, _index: u32, _outcome: SweepOutcome) {}
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
