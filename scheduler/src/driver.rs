//! Asks and tells one sweep, in an order that depends on outcomes alone. Live and after a restart it is the same code:
//! payloads that the ledger holds already are compared, later ones are new.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use protocol::{Descent, TrialState};
use spec::{CheckpointRef, Finite, Rung, TrialId};

use crate::ledger::Experiment;
use crate::sweep::{Ask, Child, Judgement, Pace, Sweep, SweepOutcome};
use crate::trial::Change;

mod asynchronous;

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
    /// It names a parent that does not hold at the rung, or has children while other batches are open.
    #[error("sweep asks for a child of trial {parent}, which does not hold at the rung of its only open batch")]
    Orphan {
        /// The parent it names.
        parent: TrialId,
    },
    /// It asks for too much.
    #[error("sweep asks for more than {TRIALS_MAX} trials: narrow its space")]
    TooManyTrials,
}

/// What follows from driving a sweep.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Driven {
    /// Trials the ledger does not hold yet.
    pub(crate) new: Vec<New>,
    /// What becomes of trials that hold at a rung, by index.
    pub(crate) judged: Vec<(u32, Change)>,
    /// Every trial has ended and none follows.
    pub(crate) ended: bool,
}

/// A trial the ledger does not hold yet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct New {
    pub(crate) payload: Vec<u8>,
    pub(crate) parent: Option<Descent>,
    /// Ends that the sweep was told of since it asked for the one before.
    pub(crate) told: Vec<u32>,
}

pub(crate) struct Driver {
    sweep: Box<dyn Sweep>,
    /// Trials asked so far.
    asked: u32,
    phase: Phase,
    /// Batches not told yet, oldest first.
    batches: VecDeque<Range<u32>>,
    /// The rung that the oldest batch is judged at next.
    rung: u32,
    /// Those of it that are known to have reached that rung, among the trials before `looked`.
    reached: Vec<(u32, Option<Finite>)>,
    /// Trials before this have reached that rung or never will: a large batch is not gone through for each word of it.
    looked: u32,
    /// Trials before this have ended, when last looked at: a large batch is not gone through for each of its ends.
    seen: u32,
    /// Of an asynchronous sweep: trials not told yet, with the rungs at which each was judged.
    open: BTreeMap<u32, u32>,
    /// Of an asynchronous sweep: what it was told since it asked last.
    told: Vec<u32>,
}

enum Phase {
    Asking,
    Waiting,
    Done,
}

impl Driver {
    pub(crate) fn new(sweep: Box<dyn Sweep>) -> Self {
        Self {
            sweep,
            asked: 0,
            phase: Phase::Asking,
            batches: VecDeque::new(),
            rung: 0,
            reached: Vec::new(),
            looked: 0,
            seen: 0,
            open: BTreeMap::new(),
            told: Vec::new(),
        }
    }

    /// Where trial `index` holds next, having reached `reached` rungs.
    pub(crate) fn rung(&self, index: u32, reached: usize) -> Option<Rung> {
        let share = *self.sweep.rungs(index).get(reached)?;
        Some(Rung { index: u32::try_from(reached).ok()?, share })
    }

    /// When the sweep is told of outcomes.
    pub(crate) fn pace(&self) -> Pace {
        self.sweep.pace()
    }

    /// Trials asked so far.
    pub(crate) const fn asked(&self) -> u32 {
        self.asked
    }

    /// Whether a trial went past the rung that its batch is to be judged at next: the batch was judged without one that is
    /// open now.
    pub(crate) fn is_behind(&self, experiment: &Experiment) -> bool {
        let past = |index: u32| {
            let trial = experiment.trials.get(index as usize);
            let reached = trial.is_some_and(|trial| trial.rungs.len() > self.rung as usize);
            reached && holds(experiment, index, self.rung).is_none()
        };
        self.batches.front().cloned().is_some_and(|mut batch| batch.any(past))
    }

    /// Goes as far as the outcomes in `experiment` allow.
    pub(crate) fn drive(&mut self, experiment: &Experiment) -> Result<Driven, SweepError> {
        match self.sweep.pace() {
            Pace::Batches => self.drive_batches(experiment),
            Pace::Asynchronous => self.drive_each(experiment),
        }
    }

    fn drive_batches(&mut self, experiment: &Experiment) -> Result<Driven, SweepError> {
        let mut driven = Driven::default();
        loop {
            while matches!(self.phase, Phase::Asking) {
                let first = self.asked;
                self.ask(experiment, &mut driven.new)?;
                if self.asked > first {
                    self.batches.push_back(first..self.asked);
                }
            }
            if self.batches.is_empty() {
                return match self.phase {
                    Phase::Done => Ok(Driven { ended: true, ..driven }),
                    Phase::Asking | Phase::Waiting => Err(SweepError::Stuck),
                };
            }
            while self.judge(experiment, &mut driven)? {}
            let Some(batch) = self.batches.front().cloned() else { return Err(SweepError::Stuck) };
            self.seen = self.seen.max(batch.start);
            while self.seen < batch.end && ended(experiment, self.seen) {
                self.seen += 1;
            }
            if self.seen < batch.end {
                return Ok(driven);
            }
            let outcomes: Option<Vec<_>> = batch.clone().map(|index| outcome(experiment, index)).collect();
            let Some(outcomes) = outcomes else {
                return Ok(driven);
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

    /// Judges the oldest batch at its rung, if it is there whole; whether it was.
    fn judge(&mut self, experiment: &Experiment, driven: &mut Driven) -> Result<bool, SweepError> {
        let Some(batch) = self.batches.front().cloned() else { return Ok(false) };
        let rung = self.rung as usize;
        self.looked = self.looked.max(batch.start);
        while self.looked < batch.end {
            let index = self.looked;
            let Some(trial) = experiment.trials.get(index as usize) else { return Ok(false) };
            match trial.rungs.get(rung) {
                Some(value) => self.reached.push((index, *value)),
                None if trial.state.is_final() || self.rung(index, rung).is_none() => {}
                None => return Ok(false),
            }
            self.looked += 1;
        }
        if self.reached.is_empty() {
            return Ok(false);
        }
        let reached = std::mem::take(&mut self.reached);
        self.decide(experiment, (self.rung, &reached), driven)?;
        self.rung += 1;
        self.looked = batch.start;
        Ok(true)
    }

    /// Asks what becomes of trials at a rung.
    fn decide(
        &mut self,
        experiment: &Experiment,
        (rung, reached): (u32, &[(u32, Option<Finite>)]),
        driven: &mut Driven,
    ) -> Result<(), SweepError> {
        let Judgement { go_on, children } = self.sweep.judge(rung, reached);
        for Child { parent, payload } in children {
            self.join(experiment, (rung, parent, payload), &mut driven.new)?;
        }
        let go_on: BTreeSet<u32> = go_on.into_iter().collect();
        for (index, _) in reached {
            if holds(experiment, *index, rung).is_some() {
                driven.judged.push((*index, if go_on.contains(index) { Change::Resume } else { Change::Prune }));
            }
        }
        Ok(())
    }

    /// Adds a child to the only open batch.
    fn join(
        &mut self,
        experiment: &Experiment,
        (rung, parent, payload): (u32, u32, Vec<u8>),
        new: &mut Vec<New>,
    ) -> Result<(), SweepError> {
        let orphan = || {
            let experiment = experiment.submission.experiment.clone();
            SweepError::Orphan { parent: TrialId { experiment, index: parent } }
        };
        let known = experiment.trials.get(self.asked as usize).map(|known| known.parent);
        let descent = match known {
            Some(descent) => descent.filter(|descent| descent.trial == parent),
            None => holds(experiment, parent, rung).map(|checkpoint| Descent { trial: parent, checkpoint }),
        };
        let descent = descent.ok_or_else(orphan)?;
        self.take(experiment, New { payload, parent: Some(descent), told: Vec::new() }, new)?;
        match self.batches.make_contiguous() {
            [batch] => batch.end = self.asked,
            _ => return Err(orphan()),
        }
        Ok(())
    }

    fn ask(&mut self, experiment: &Experiment, new: &mut Vec<New>) -> Result<(), SweepError> {
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
        for payload in payloads {
            let told = std::mem::take(&mut self.told);
            self.take(experiment, New { payload, parent: None, told }, new)?;
        }
        Ok(())
    }

    /// Takes in a trial: it is the one that the ledger holds at its place, or new.
    fn take(&mut self, experiment: &Experiment, trial: New, new: &mut Vec<New>) -> Result<(), SweepError> {
        if self.asked == TRIALS_MAX {
            return Err(SweepError::TooManyTrials);
        }
        match experiment.trials.get(self.asked as usize) {
            None => new.push(trial),
            Some(known) if known.payload == trial.payload && known.parent == trial.parent => {}
            Some(_) => return Err(self.diverged(experiment)),
        }
        self.asked += 1;
        Ok(())
    }

    /// The next trial is not the one that the ledger holds.
    fn diverged(&self, experiment: &Experiment) -> SweepError {
        let experiment = experiment.submission.experiment.clone();
        SweepError::Diverged { trial: TrialId { experiment, index: self.asked } }
    }
}

/// The checkpoint at which a trial holds at `rung`, if it does.
fn holds(experiment: &Experiment, index: u32, rung: u32) -> Option<CheckpointRef> {
    match experiment.trials.get(index as usize)?.state {
        TrialState::Paused { rung: at, checkpoint } if at == rung => Some(checkpoint),
        TrialState::Waiting { .. }
        | TrialState::Queued { .. }
        | TrialState::Leased { .. }
        | TrialState::Running { .. }
        | TrialState::Paused { .. }
        | TrialState::Succeeded { .. }
        | TrialState::Pruned
        | TrialState::Failed { .. }
        | TrialState::Cancelled => None,
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

#[cfg(test)]
mod tests;
