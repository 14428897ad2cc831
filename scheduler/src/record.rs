//! An experiment that another cluster ran to its end, as the events of a run here: the same sweep is driven with the outcomes
//! that are told, so what is recorded is what this scheduler would have come to, or it is refused whole.

use market::Timestamp;
use protocol::{End, Ending, ExperimentState, Refusal, Submission, TrialState};
use spec::{CheckpointRef, Digest, TrialId, WorkerId};

use crate::driver::{Driven, Driver, New};
use crate::event::Event;
use crate::ledger::{Experiment, IllegalEvent, Ledger};
use crate::sweep::{Pace, Sweep};
use crate::trial::Change;

/// The worker that recorded trials are said to have run on.
const ELSEWHERE: &str = "elsewhere";

/// The events of it, not applied yet; tokens follow those of `ledger`.
pub(crate) fn events(
    now: Timestamp,
    ledger: &Ledger,
    sweep: Box<dyn Sweep>,
    submission: Submission,
    trials: &[Ending],
) -> Result<Vec<Event>, Refusal> {
    let mut run = Run { now, ledger: ledger.successor(), submission, trials, events: Vec::new() };
    run.emit(Event::Submitted(run.submission.clone()))?;
    run.drive(Driver::new(sweep))?;
    Ok(run.events)
}

struct Run<'a> {
    now: Timestamp,
    ledger: Ledger,
    submission: Submission,
    trials: &'a [Ending],
    events: Vec<Event>,
}

impl Run<'_> {
    fn emit(&mut self, event: Event) -> Result<(), IllegalEvent> {
        self.ledger.apply(self.now, &event)?;
        self.events.push(event);
        Ok(())
    }

    fn refuse(&self, why: &str) -> Refusal {
        Refusal::Invalid(format!("experiment {} cannot be recorded: {why}", self.submission.experiment))
    }

    fn drive(&mut self, mut driver: Driver) -> Result<(), Refusal> {
        let id = self.submission.experiment.clone();
        loop {
            let experiment = self.ledger.experiment(&id).ok_or_else(|| self.refuse("it is gone"))?;
            let asked = experiment.trials.len();
            let Driven { new, judged, ended } =
                driver.drive(experiment).map_err(|error| self.refuse(&error.to_string()))?;
            let moved = !new.is_empty() || !judged.is_empty();
            for (index, New { payload, parent, told }) in (asked..).zip(new) {
                if self.trials.get(index).is_none_or(|known| known.payload != payload || known.told != told) {
                    return Err(self.refuse(&format!("its sweep asks for another trial {index} here")));
                }
                self.emit(Event::Asked { trial: self.trial(index), parent, told, payload })?;
            }
            for (index, change) in judged {
                self.emit(Event::Trial { trial: self.trial(index as usize), change })?;
            }
            if ended {
                let succeeded = self.trials.iter().any(|told| matches!(told.end, End::Succeeded(_)));
                let state = if succeeded { ExperimentState::Succeeded } else { ExperimentState::Failed };
                return Ok(self.emit(Event::Ended { experiment: id, state, reason: None })?);
            }
            // Whom a verdict ended is told of before anybody moves.
            if !moved && !self.run_next(&driver)? {
                return Err(self.refuse("not every trial has an end"));
            }
        }
    }

    fn trial(&self, index: usize) -> TrialId {
        TrialId { experiment: self.submission.experiment.clone(), index: u32::try_from(index).unwrap_or(u32::MAX) }
    }

    /// Runs queued trials to their next rung or their end: all of them, or the one that came next where the order is part of
    /// the answer. Whether there was one.
    fn run_next(&mut self, driver: &Driver) -> Result<bool, Refusal> {
        let id = self.submission.experiment.clone();
        let Some(experiment) = self.ledger.experiment(&id) else { return Ok(false) };
        let queued: Vec<u32> = experiment.queue().map(|(_, index)| index).collect();
        let next = match driver.pace() {
            Pace::Batches => queued,
            Pace::Asynchronous => self.came_next(experiment, &queued).into_iter().collect(),
        };
        for index in &next {
            self.run(driver, *index as usize)?;
        }
        Ok(!next.is_empty())
    }

    /// Who came next of those that are `queued`: whoever had to end for the sweep to ask what it asked. Before it gets there it
    /// comes to its rungs, and to rungs trials come in the order they did.
    fn came_next(&self, experiment: &Experiment, queued: &[u32]) -> Option<u32> {
        let arrival = |index: &u32| {
            let reached = experiment.trials.get(*index as usize)?.rungs.len();
            self.trials.get(*index as usize)?.arrivals.get(reached).copied()
        };
        let before_next = self.trials.get(experiment.trials.len()).map_or(&[][..], |next| &next.told);
        let ends = before_next.iter().find(|index| queued.contains(index));
        let first = queued.iter().min_by_key(|index| arrival(index).map_or((true, 0), |at| (false, at)));
        ends.filter(|index| arrival(index).is_none()).or(first).copied()
    }

    fn run(&mut self, driver: &Driver, index: usize) -> Result<(), Refusal> {
        let (trial, told) = (self.trial(index), &self.trials[index]);
        let attempt = self.ledger.next_attempt();
        let worker: WorkerId = ELSEWHERE.parse().expect("it is a name");
        let lease = Change::Lease { attempt, worker, node: None, gpus: Vec::new() };
        self.emit(Event::Trial { trial: trial.clone(), change: lease })?;
        let reached = self.ledger.trial(&trial).map_or(0, |trial| trial.rungs.len());
        let change = match (told.rungs.get(reached), driver.rung(trial.index, reached), &told.end) {
            (Some(value), Some(rung), _) => {
                // Its checkpoints lie where it ran; nobody goes on from them.
                let checkpoint = CheckpointRef { digest: Digest::of(b""), step: 0 };
                Change::Pause { attempt, rung: rung.index, checkpoint, value: *value }
            }
            (None, _, End::Succeeded(outcome)) => Change::Succeed { attempt, outcome: outcome.clone() },
            (None, _, End::Failed { class, message }) => {
                Change::Fail { attempt, class: *class, message: message.clone(), retry: None }
            }
            (None, _, End::Pruned) => return Err(self.refuse(&format!("trial {index} goes on here"))),
            (Some(_), None, _) => return Err(self.refuse(&format!("trial {index} has no such rung here"))),
        };
        self.emit(Event::Trial { trial: trial.clone(), change })?;
        debug_assert!(!matches!(self.ledger.trial(&trial).map(|trial| &trial.state), Some(TrialState::Leased { .. })));
        Ok(())
    }
}
