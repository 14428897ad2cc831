//! Asks and tells one sweep, in an order that depends on outcomes alone. Live and after a restart it is the same code:
//! payloads that the ledger holds already are compared, later ones are new.

use std::collections::VecDeque;
use std::ops::Range;

use protocol::TrialState;
use spec::{Rung, TrialId};

use crate::ledger::Experiment;
use crate::sweep::{Ask, Sweep, SweepOutcome};
use crate::trial::Change;

/// Above this the ledger no longer fits in the memory of a laptop.
pub(crate) const TRIALS_MAX: u32 = 1_000_000;

/// The sweep broke the contract of its port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SweepError {
    /// It asks for another trial than it did before the restart.
    #[error(
        "sweep asks for another trial {trial} than the journal holds: it was recorded by another version, \
         continue it with that one or submit it under a new name"
    )]
    Diverged {
        /// The first trial that differs.
        trial: TrialId,
    },
    /// It answered with a batch of nothing.
    #[error("sweep asked for an empty batch")]
    EmptyBatch,
    /// It waits although every trial was told.
    #[error("sweep waits although every outcome was told")]
    Stuck,
    /// It asks for too much.
    #[error("sweep asks for more than {TRIALS_MAX} trials: narrow its space")]
    TooManyTrials,
}

/// What follows from driving a sweep.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Driven {
    /// Payloads of trials the ledger does not hold yet.
    pub(crate) new: Vec<Vec<u8>>,
    /// What becomes of trials that hold at a rung, by index.
    pub(crate) judged: Vec<(u32, Change)>,
    /// Every trial has ended and none follows.
    pub(crate) ended: bool,
}

pub(crate) struct Driver {
    sweep: Box<dyn Sweep>,
    /// Trials asked so far.
    asked: u32,
    /// Batches not told yet, oldest first.
    batches: VecDeque<Range<u32>>,
    /// The rung that the oldest batch is judged at next.
    rung: u32,
    /// Trials before this have ended, when last looked at: a large batch is not gone through for each of its ends.
    seen: u32,
    phase: Phase,
}

enum Phase {
    Asking,
    Waiting,
    Done,
}

impl Driver {
    pub(crate) fn new(sweep: Box<dyn Sweep>) -> Self {
        Self { sweep, asked: 0, batches: VecDeque::new(), rung: 0, seen: 0, phase: Phase::Asking }
    }

    /// Where trial `index` holds next, having reached `reached` rungs.
    pub(crate) fn rung(&self, index: u32, reached: usize) -> Option<Rung> {
        let share = *self.sweep.rungs(index).get(reached)?;
        Some(Rung { index: u32::try_from(reached).ok()?, share })
    }

    /// Trials asked so far.
    pub(crate) const fn asked(&self) -> u32 {
        self.asked
    }

    /// Goes as far as the outcomes in `experiment` allow.
    pub(crate) fn drive(&mut self, experiment: &Experiment) -> Result<Driven, SweepError> {
        let (mut new, mut judged) = (Vec::new(), Vec::new());
        loop {
            while matches!(self.phase, Phase::Asking) {
                self.ask(experiment, &mut new)?;
            }
            let Some(batch) = self.batches.front().cloned() else {
                return match self.phase {
                    Phase::Done => Ok(Driven { new, judged, ended: true }),
                    Phase::Asking | Phase::Waiting => Err(SweepError::Stuck),
                };
            };
            while self.judge(experiment, batch.clone(), &mut judged) {}
            self.seen = self.seen.max(batch.start);
            while self.seen < batch.end && ended(experiment, self.seen) {
                self.seen += 1;
            }
            if self.seen < batch.end {
                return Ok(Driven { new, judged, ended: false });
            }
            let outcomes: Option<Vec<_>> = batch.clone().map(|index| outcome(experiment, index)).collect();
            let Some(outcomes) = outcomes else {
                return Ok(Driven { new, judged, ended: false });
            };
            for (index, outcome) in batch.zip(outcomes) {
                self.sweep.tell(index, outcome);
            }
            self.batches.pop_front();
            self.rung = 0;
            if matches!(self.phase, Phase::Waiting) {
                self.phase = Phase::Asking;
            }
        }
    }

    /// Judges `batch` at its rung, if it is there whole; whether it was.
    fn judge(&mut self, experiment: &Experiment, batch: Range<u32>, judged: &mut Vec<(u32, Change)>) -> bool {
        let rung = self.rung as usize;
        let mut reached = Vec::new();
        for index in batch {
            let Some(trial) = experiment.trials.get(index as usize) else { return false };
            match trial.rungs.get(rung) {
                Some(value) => reached.push((index, *value)),
                None if trial.state.is_final() || self.rung(index, rung).is_none() => {}
                None => return false,
            }
        }
        if reached.is_empty() {
            return false;
        }
        let go_on = self.sweep.judge(self.rung, &reached);
        for (index, _) in reached {
            let holds = matches!(experiment.trials[index as usize].state,
                TrialState::Paused { rung, .. } if rung == self.rung);
            if holds {
                judged.push((index, if go_on.contains(&index) { Change::Resume } else { Change::Prune }));
            }
        }
        self.rung += 1;
        true
    }

    fn ask(&mut self, experiment: &Experiment, new: &mut Vec<Vec<u8>>) -> Result<(), SweepError> {
        let payloads = match self.sweep.ask() {
            Ask::Batch(payloads) => payloads,
            Ask::Waiting => {
                self.phase = Phase::Waiting;
                return Ok(());
            }
            Ask::Done => {
                self.phase = Phase::Done;
                return Ok(());
            }
        };
        if payloads.is_empty() {
            return Err(SweepError::EmptyBatch);
        }
        let first = self.asked;
        for payload in payloads {
            if self.asked == TRIALS_MAX {
                return Err(SweepError::TooManyTrials);
            }
            match experiment.trials.get(self.asked as usize) {
                None => new.push(payload),
                Some(known) if known.payload == payload => {}
                Some(_) => {
                    let experiment = experiment.submission.experiment.clone();
                    return Err(SweepError::Diverged { trial: TrialId { experiment, index: self.asked } });
                }
            }
            self.asked += 1;
        }
        self.batches.push_back(first..self.asked);
        Ok(())
    }
}

fn ended(experiment: &Experiment, index: u32) -> bool {
    experiment.trials.get(index as usize).is_some_and(|trial| trial.state.is_final())
}

/// What the sweep is told of a trial; `None` while it is open.
fn outcome(experiment: &Experiment, index: u32) -> Option<SweepOutcome> {
    let trial = experiment.trials.get(index as usize)?;
    match trial.state {
        TrialState::Succeeded { .. } => Some(SweepOutcome::Succeeded(trial.outcome.clone().unwrap_or_default())),
        TrialState::Failed { .. } => Some(SweepOutcome::Failed),
        TrialState::Cancelled => Some(SweepOutcome::Cancelled),
        TrialState::Pruned => Some(SweepOutcome::Pruned),
        TrialState::Waiting { .. }
        | TrialState::Queued { .. }
        | TrialState::Leased { .. }
        | TrialState::Running { .. }
        | TrialState::Paused { .. } => None,
    }
}
