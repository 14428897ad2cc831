//! What must hold, kept apart from the code that is checked: a second, smaller account of the durable journal, and every
//! promise that ever left a scheduler.

use std::collections::BTreeMap;

use market::Timestamp;
use protocol::{Assignment, ExperimentState, Policy, Submission};
use spec::{AttemptId, CheckpointRef, ExperimentId, FailureClass, TrialId, WorkerId};

use super::question::{End, undisturbed};
use crate::event::{Event, Record};
use crate::ledger::Ledger;
use crate::retry::BACKOFF_MAX;
use crate::trial::Change;

/// A trial as the journal tells it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) payload: Vec<u8>,
    pub(super) live: Option<Live>,
    pub(super) failures: u32,
    losses: u32,
    pub(super) end: Option<End>,
    /// It holds at a rung.
    pub(super) held: bool,
    /// Rungs it reached.
    reached: u32,
    cancelled: bool,
    pub(super) not_before: Timestamp,
    /// Newest first.
    pub(super) checkpoints: Vec<CheckpointRef>,
}

impl Entry {
    const fn new(payload: Vec<u8>, at: Timestamp) -> Self {
        Self {
            payload,
            live: None,
            failures: 0,
            losses: 0,
            end: None,
            held: false,
            reached: 0,
            cancelled: false,
            not_before: at,
            checkpoints: Vec::new(),
        }
    }

    fn keep(&mut self, checkpoint: CheckpointRef) {
        self.checkpoints.retain(|kept| kept.digest != checkpoint.digest);
        self.checkpoints.insert(0, checkpoint);
        self.checkpoints.truncate(2);
    }

    /// Its own failure: within the budget, after its time if it timed out, and tried again when it should be.
    fn fail(&mut self, at: Timestamp, class: FailureClass, retry: Option<Timestamp>, policy: &Policy) {
        let live = self.live.take().expect("it was checked that somebody is at it");
        self.failures += 1;
        if class == FailureClass::Timeout {
            let since = live.since.unwrap_or_else(|| panic!("attempt {} timed out unheard of", live.attempt));
            let ran = at.seconds_since(since) * 1_000.0;
            assert!(ran >= policy.timeout.millis() as f64 - 1e-3, "attempt {} timed out after {ran} ms", live.attempt);
        }
        let last = self.failures >= policy.retry.attempts || class == FailureClass::Data;
        assert_eq!(retry.is_none(), last, "failure {} of {} has the retry {retry:?}", self.failures, live.attempt);
        let Some(retry) = retry else {
            self.end = Some(End::Failed(class));
            return;
        };
        let doubled = policy.retry.backoff.millis() as f64 * 2_f64.powi(self.failures as i32 - 1);
        let least = doubled.min(BACKOFF_MAX.millis() as f64) / 1_000.0;
        let wait = retry.seconds_since(at);
        assert!(
            (least - 1e-5..=least * 1.1 + 1e-5).contains(&wait),
            "attempt {} waits {wait} s, not {least}",
            live.attempt
        );
        self.not_before = retry;
    }
}

/// The attempt at a trial.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) attempt: AttemptId,
    pub(super) worker: WorkerId,
    /// When this life of the scheduler last heard of it, by the scheduler's clock.
    pub(super) heard: Timestamp,
    /// Since when this life of the scheduler knows it at work.
    pub(super) since: Option<Timestamp>,
    /// Leases it has from `heard` on.
    pub(super) leases: u64,
    /// The last step it handed in.
    step: u64,
}

/// An experiment as the journal tells it.
#[derive(Debug)]
pub(super) struct Chapter {
    pub(super) submission: Submission,
    pub(super) trials: Vec<Entry>,
    pub(super) ended: Option<ExperimentState>,
}

/// Something a scheduler let out, which no crash may take back.
#[derive(Clone, Debug)]
pub(super) enum Promise {
    Submitted(ExperimentId, Vec<u8>),
    Ended(ExperimentId, ExperimentState),
    Finished(TrialId, End),
    Stored(TrialId, CheckpointRef),
    Granted(AttemptId),
}

/// Why an attempt may be lost in a round, beside an end of its lease.
#[derive(Debug, Default)]
pub(super) struct Excuses {
    /// Workers that asked for an attempt in this round, or whose process the engine saw end.
    pub(super) workers: Vec<WorkerId>,
    /// The scheduler began, and its workers ended with the one before.
    pub(super) requeue: bool,
    /// The scheduler is being stopped: it gives no lease.
    pub(super) draining: bool,
}

/// The account.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) ledger: Ledger,
    pub(super) chapters: BTreeMap<ExperimentId, Chapter>,
    pub(super) records: usize,
    last_attempt: u64,
    last_at: Timestamp,
    stored: Vec<(TrialId, CheckpointRef)>,
    promises: Vec<Promise>,
    granted: BTreeMap<u64, (TrialId, WorkerId)>,
}

impl Book {
    /// Takes in a record that became durable.
    pub(super) fn record(&mut self, Record { at, event }: &Record, lease: u64, excuses: &Excuses) {
        self.records += 1;
        assert!(*at >= self.last_at, "time ran backwards in the journal: {at} after {}", self.last_at);
        self.last_at = *at;
        match event {
            Event::Submitted(submission) => {
                let chapter = Chapter { submission: submission.clone(), trials: Vec::new(), ended: None };
                let known = self.chapters.insert(submission.experiment.clone(), chapter);
                assert!(known.is_none(), "{} was taken in twice", submission.experiment);
            }
            Event::Asked { trial, payload, .. } => {
                let chapter = self.open(&trial.experiment);
                assert_eq!(trial.index as usize, chapter.trials.len(), "trials are not asked densely");
                chapter.trials.push(Entry::new(payload.clone(), *at));
            }
            Event::Trial { trial, change } => self.change(*at, trial, change, (lease, excuses)),
            Event::Ended { experiment, state, .. } => {
                let chapter = self.open(experiment);
                chapter.ended = Some(*state);
                for trial in &mut chapter.trials {
                    trial.live = None;
                    trial.cancelled |= trial.end.is_none();
                }
            }
            Event::Cordoned { .. } | Event::Uncordoned { .. } => {}
        }
        self.ledger.apply(*at, event).unwrap_or_else(|error| panic!("the journal contradicts itself: {error}"));
    }

    fn open(&mut self, id: &ExperimentId) -> &mut Chapter {
        let chapter = self.chapters.get_mut(id).unwrap_or_else(|| panic!("{id} was never taken in"));
        assert!(chapter.ended.is_none(), "something follows the end of {id}");
        chapter
    }

    #[allow(clippy::too_many_lines, reason = "one row for each change, as the table it is held against")]
    fn change(&mut self, at: Timestamp, id: &TrialId, change: &Change, (lease, excuses): (u64, &Excuses)) {
        if let Change::Lease { attempt, worker, .. } = change {
            assert!(!excuses.draining, "{id} is leased by a scheduler that stops");
            return self.lease(at, id, *attempt, worker);
        }
        let policy = self.open(&id.experiment).submission.policy.clone();
        let stored = &mut self.stored;
        let chapter = self.chapters.get_mut(&id.experiment).expect("was opened above");
        let trial = chapter.trials.get_mut(id.index as usize).unwrap_or_else(|| panic!("{id} was never asked"));
        assert!(trial.end.is_none(), "{id} has ended, and {} follows", change.name());
        if matches!(change, Change::Resume | Change::Prune) {
            assert!(trial.held, "{id} holds at no rung, and {} follows", change.name());
            trial.held = false;
            trial.not_before = at;
            trial.end = (*change == Change::Prune).then_some(End::Pruned);
            return;
        }
        let mut live = trial.live.clone().unwrap_or_else(|| panic!("nobody is at {id}, and {} follows", change.name()));
        let speaker = |attempt: &AttemptId| {
            assert_eq!(*attempt, live.attempt, "attempt {attempt} of {id} is fenced and its {} counts", change.name());
        };
        match change {
            Change::Start { attempt } => speaker(attempt),
            Change::Checkpoint { attempt, checkpoint } => {
                speaker(attempt);
                assert!(
                    checkpoint.step >= live.step,
                    "attempt {attempt} of {id} goes back from step {} to {}: an old word counts",
                    live.step,
                    checkpoint.step
                );
                live.step = checkpoint.step;
                stored.push((id.clone(), *checkpoint));
                trial.keep(*checkpoint);
                trial.live = Some(live);
            }
            Change::Pause { attempt, rung, checkpoint, .. } => {
                speaker(attempt);
                assert_eq!(*rung, trial.reached, "{id} holds at a rung out of turn");
                stored.push((id.clone(), *checkpoint));
                trial.keep(*checkpoint);
                (trial.held, trial.live) = (true, None);
                trial.reached += 1;
            }
            Change::Succeed { attempt, outcome } => {
                speaker(attempt);
                trial.end = Some(End::Succeeded(outcome.clone()));
                trial.live = None;
            }
            Change::Fail { attempt, class, retry, .. } => {
                speaker(attempt);
                trial.fail(at, *class, *retry, &policy);
            }
            Change::Lose { attempt, retry } => {
                speaker(attempt);
                let silent = at.seconds_since(live.heard) * 1_000.0;
                let excused = excuses.requeue
                    || excuses.workers.contains(&live.worker)
                    || silent >= (lease * live.leases * 1_000) as f64 - 1e-3;
                assert!(excused, "{id} was taken from {} after {silent} ms of silence", live.worker);
                trial.losses += 1;
                trial.live = None;
                trial.not_before = retry.unwrap_or_else(|| panic!("{id} lost too many workers: {}", trial.losses));
            }
            Change::Release { attempt } => {
                speaker(attempt);
                trial.live = None;
                trial.not_before = at;
            }
            Change::Unblock
            | Change::Lease { .. }
            | Change::Resume
            | Change::Prune
            | Change::Requeue
            | Change::Cancel => {
                panic!("{id}: {} is not part of this world", change.name());
            }
        }
    }

    fn lease(&mut self, at: Timestamp, id: &TrialId, attempt: AttemptId, worker: &WorkerId) {
        assert!(attempt.0 > self.last_attempt, "token {attempt} was given before");
        self.last_attempt = attempt.0;
        assert!(!self.holds(worker), "{worker} gets {id} beside another trial");
        let chapter = self.open(&id.experiment);
        let running = chapter.trials.iter().filter(|trial| trial.live.is_some()).count() as u32;
        let limit = chapter.submission.policy.parallel.unwrap_or(u32::MAX);
        assert!(running < limit, "{id} runs beside {running} others, {limit} may run");
        let trial = chapter.trials.get_mut(id.index as usize).unwrap_or_else(|| panic!("{id} was never asked"));
        assert!(trial.end.is_none(), "{id} has ended and is leased");
        assert!(!trial.held, "{id} is leased before it is judged");
        assert!(trial.live.is_none(), "two attempts are at {id}");
        assert!(at >= trial.not_before, "{id} is leased before its wait is over");
        let worker = worker.clone();
        trial.live = Some(Live { attempt, worker, heard: at, since: Some(at), leases: 1, step: 0 });
    }

    fn holds(&self, worker: &WorkerId) -> bool {
        self.live().any(|(_, live)| live.worker == *worker)
    }

    /// Attempts that count.
    pub(super) fn live(&self) -> impl Iterator<Item = (TrialId, &Live)> {
        self.chapters.iter().flat_map(|(id, chapter)| {
            (0..)
                .zip(&chapter.trials)
                .filter_map(|(index, trial)| Some((TrialId { experiment: id.clone(), index }, trial.live.as_ref()?)))
        })
    }

    /// A scheduler hears of an attempt.
    pub(super) fn hear(&mut self, now: Timestamp, worker: &WorkerId, attempt: AttemptId) {
        for live in self.lives() {
            if live.attempt == attempt && live.worker == *worker {
                live.heard = now;
                live.leases = 1;
                live.since.get_or_insert(now);
            }
        }
    }

    /// A worker asks for an attempt: what it holds and has not spoken of is sent to it again.
    pub(super) fn hear_worker(&mut self, now: Timestamp, worker: &WorkerId) {
        let held: Vec<AttemptId> =
            self.live().filter(|(_, live)| live.worker == *worker).map(|(_, live)| live.attempt).collect();
        held.into_iter().for_each(|attempt| self.hear(now, worker, attempt));
    }

    /// A scheduler began at `now`: it has heard of nobody.
    pub(super) fn begin(&mut self, now: Timestamp) {
        for live in self.lives() {
            live.heard = now;
            live.since = None;
            live.leases = 3;
        }
    }

    fn lives(&mut self) -> impl Iterator<Item = &mut Live> {
        self.chapters.values_mut().flat_map(|chapter| &mut chapter.trials).filter_map(|trial| trial.live.as_mut())
    }

    /// The trial that an attempt was given for.
    pub(super) fn trial_of(&self, attempt: AttemptId) -> Option<TrialId> {
        self.granted.get(&attempt.0).map(|(trial, _)| trial.clone())
    }

    /// Somebody is told something.
    pub(super) fn promise(&mut self, promise: Promise) {
        self.check_promise(&promise);
        self.promises.push(promise);
    }

    /// A worker is given an attempt; the same one again only if it is the same.
    pub(super) fn grant(&mut self, now: Timestamp, worker: &WorkerId, assignment: &Assignment) {
        let Assignment { trial, attempt, checkpoints, payload, .. } = assignment;
        let entry =
            self.chapters[&trial.experiment].trials.get(trial.index as usize).expect("granted trials were asked");
        assert_eq!(entry.payload, *payload, "{trial} is granted with another payload");
        // What it handed in since it was decided is not in it.
        if entry.live.as_ref().is_some_and(|live| live.attempt == *attempt && live.step == 0) {
            assert_eq!(entry.checkpoints, *checkpoints, "{trial} does not go on from its newest checkpoint");
        }
        let known = self.granted.entry(attempt.0).or_insert_with(|| (trial.clone(), worker.clone()));
        assert_eq!(*known, (trial.clone(), worker.clone()), "token {attempt} was given to two");
        self.promise(Promise::Granted(*attempt));
        self.hear(now, worker, *attempt);
    }

    /// Attempts that were lost with their workers.
    pub(super) fn losses(&self) -> u64 {
        self.chapters.values().flat_map(|chapter| &chapter.trials).map(|trial| u64::from(trial.losses)).sum()
    }

    /// Everything that was ever told is still so.
    pub(super) fn check_promises(&self) {
        self.promises.iter().for_each(|promise| self.check_promise(promise));
    }

    fn check_promise(&self, promise: &Promise) {
        match promise {
            Promise::Submitted(id, payload) => {
                let chapter = self.chapters.get(id).unwrap_or_else(|| panic!("{id} was acknowledged and is not there"));
                assert_eq!(chapter.submission.payload, *payload, "{id} was acknowledged and is another");
            }
            Promise::Ended(id, state) => {
                let ended = self.chapters.get(id).and_then(|chapter| chapter.ended);
                assert_eq!(ended, Some(*state), "{id} was said to have ended");
            }
            Promise::Finished(trial, end) => {
                let entry = self.chapters.get(&trial.experiment).and_then(|all| all.trials.get(trial.index as usize));
                let is = entry.and_then(|entry| entry.end.as_ref());
                assert_eq!(is, Some(end), "{trial} was said to have ended");
            }
            Promise::Stored(trial, checkpoint) => {
                let stored = self.stored.iter().any(|(other, kept)| other == trial && kept == checkpoint);
                assert!(stored, "step {} of {trial} was acknowledged and is not there", checkpoint.step);
            }
            Promise::Granted(attempt) => {
                assert!(attempt.0 <= self.last_attempt, "token {attempt} is out and not in the journal");
            }
        }
    }

    /// Every trial ended as it does undisturbed: with the metrics its payload stands for, its share of failures, or pruned.
    pub(super) fn check_ends(&self) {
        for (id, chapter) in &self.chapters {
            let (undisturbed, _) = undisturbed(&chapter.submission);
            for (index, (trial, (_, end, failures))) in chapter.trials.iter().zip(undisturbed).enumerate() {
                if trial.cancelled {
                    continue;
                }
                assert_eq!(trial.end, Some(end), "{id}.{index} ended otherwise than undisturbed");
                assert_eq!(trial.failures, failures, "{id}.{index} failed more or less often than undisturbed");
            }
        }
    }
}
