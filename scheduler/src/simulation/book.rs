//! What must hold, kept apart from the code that is checked: a second, smaller account of the durable journal, and every
//! promise that ever left a scheduler.

use std::collections::{BTreeMap, BTreeSet};

use market::Timestamp;
use protocol::{Assignment, Cordon, Descent, Target};
use spec::{AttemptId, CheckpointRef, ExperimentId, NodeId, TrialId, WorkerId};

use super::Rare;
use super::question::End;
use super::site::Site;
use super::ties::Ties;
use crate::event::{Event, Record};
use crate::ledger::Ledger;
use crate::sweep::SweepOutcome;
use crate::trial::Change;

mod chapter;
mod ends;
mod place;
mod promise;
mod store;
mod ties;

pub(super) use chapter::Chapter;
pub(super) use place::shares;
pub(super) use promise::Promise;

use chapter::{Entry, Live};

/// Why an attempt may be lost in a round, beside an end of its lease.
#[derive(Debug, Default)]
pub(super) struct Excuses {
    /// Workers that asked for an attempt in this round, or whose process the engine saw end.
    pub(super) workers: Vec<WorkerId>,
    /// Experiments that somebody cancelled in this round.
    pub(super) cancelled: Vec<ExperimentId>,
    /// The scheduler began, and its workers ended with the one before.
    pub(super) requeue: bool,
    /// The scheduler is being stopped: it gives no lease.
    pub(super) draining: bool,
    /// A machine that is kept free for an experiment, before this round and after it.
    pub(super) kept: Option<(ExperimentId, NodeId)>,
}

/// The account.
pub(super) struct Book {
    pub(super) site: Site,
    ties: Ties,
    pub(super) ledger: Ledger,
    pub(super) chapters: BTreeMap<ExperimentId, Chapter>,
    pub(super) records: usize,
    last_attempt: u64,
    last_at: Timestamp,
    stored: Vec<(TrialId, CheckpointRef)>,
    promises: Vec<Promise>,
    granted: BTreeMap<u64, (TrialId, WorkerId)>,
    pub(super) cordons: BTreeMap<Target, Cordon>,
    /// All there ever were.
    cordoned: Vec<(Target, Cordon)>,
    /// Attempts that were told to stop for others or for a drain.
    told_to_stop: BTreeSet<AttemptId>,
    pub(super) rare: Rare,
}

impl Book {
    pub(super) fn new(site: Site, ties: Ties) -> Self {
        Self {
            site,
            ties,
            ledger: Ledger::default(),
            chapters: BTreeMap::new(),
            records: 0,
            last_attempt: 0,
            last_at: Timestamp::default(),
            stored: Vec::new(),
            promises: Vec::new(),
            granted: BTreeMap::new(),
            cordons: BTreeMap::new(),
            cordoned: Vec::new(),
            told_to_stop: BTreeSet::new(),
            rare: Rare::default(),
        }
    }

    /// Takes in a record that became durable.
    pub(super) fn record(&mut self, Record { at, event }: &Record, lease: u64, excuses: &Excuses) {
        self.records += 1;
        assert!(*at >= self.last_at, "time ran backwards in the journal: {at} after {}", self.last_at);
        self.last_at = *at;
        match event {
            Event::Submitted(submission) => {
                let known = self.chapters.insert(submission.experiment.clone(), Chapter::new(submission));
                assert!(known.is_none(), "{} was taken in twice", submission.experiment);
                self.check_taken_in(*at, &submission.experiment);
            }
            Event::Asked { trial, parent, told, payload } => {
                self.ask(*at, trial, *parent, (told.as_slice(), payload.as_slice()));
            }
            Event::Trial { trial, change } => self.change(*at, trial, change, (lease, excuses)),
            Event::Ended { experiment, state, reason } => {
                let how = (*state, reason.as_deref());
                Self::check_cancelled(experiment, how, excuses);
                self.end(*at, experiment, how);
            }
            Event::Cordoned { target, cordon } => {
                self.cordons.insert(target.clone(), *cordon);
                self.cordoned.push((target.clone(), *cordon));
            }
            Event::Uncordoned { target } => {
                assert!(self.cordons.remove(target).is_some(), "{target} is opened and was not cordoned");
            }
        }
        self.ledger.apply(*at, event).unwrap_or_else(|error| panic!("the journal contradicts itself: {error}"));
    }

    /// A sweep asked for a trial: in its turn, of a parent that still holds, and knowing what it is said to have been told.
    fn ask(&mut self, at: Timestamp, id: &TrialId, parent: Option<Descent>, (told, payload): (&[u32], &[u8])) {
        let chapter = self.open(&id.experiment);
        assert_eq!(id.index as usize, chapter.trials.len(), "trials are not asked densely");
        let mut entry = Entry::new(payload.to_vec(), at);
        if let Some(descent) = parent {
            let parent = chapter.trials.get_mut(descent.trial as usize).unwrap_or_else(|| panic!("{id} has no parent"));
            assert!(parent.held, "{id} is asked for when trial {} no longer holds", descent.trial);
            assert_eq!(parent.checkpoints.first(), Some(&descent.checkpoint), "{id} begins elsewhere than at the rung");
            if !parent.lent.contains(&descent.checkpoint) {
                parent.lent.push(descent.checkpoint);
            }
            (entry.parent, entry.reached) = (Some(descent), parent.reached);
        }
        if let Some(twin) = &mut chapter.twin {
            twin.tell(told.iter().map(|index| {
                let end = chapter.trials.get(*index as usize).and_then(|trial| trial.end.as_ref());
                let end =
                    end.unwrap_or_else(|| panic!("{id} was asked for knowing the end of {index}, which has none"));
                (*index, outcome(end))
            }));
            assert_eq!(twin.ask(), payload, "{id} is another than is asked for in this order of ends");
        } else {
            assert!(told.is_empty(), "{id} is of a sweep that is told of whole batches");
        }
        chapter.trials.push(entry);
        chapter.decided += 1;
    }

    fn open(&mut self, id: &ExperimentId) -> &mut Chapter {
        let chapter = self.chapters.get_mut(id).unwrap_or_else(|| panic!("{id} was never taken in"));
        assert!(chapter.ended.is_none(), "something follows the end of {id}");
        chapter
    }

    #[allow(clippy::too_many_lines, reason = "one row for each change, as the table it is held against")]
    fn change(&mut self, at: Timestamp, id: &TrialId, change: &Change, (lease, excuses): (u64, &Excuses)) {
        if let Change::Lease { attempt, worker, node, gpus } = change {
            assert!(!excuses.draining, "{id} is leased by a scheduler that stops");
            let (worker, node, gpus) = (worker.clone(), node.clone(), gpus.clone());
            let (attempt, since) = (*attempt, Some(at));
            let live = Live { attempt, worker, node, gpus, heard: at, since, leases: 1, step: 0 };
            return self.lease(at, id, live, excuses.kept.as_ref());
        }
        if *change == Change::Requeue {
            return self.requeue(at, id);
        }
        let policy = self.open(&id.experiment).submission.policy.clone();
        let (stored, told_to_stop) = (&mut self.stored, &self.told_to_stop);
        let chapter = self.chapters.get_mut(&id.experiment).expect("was opened above");
        let decided = chapter.decided;
        let trial = chapter.trials.get_mut(id.index as usize).unwrap_or_else(|| panic!("{id} was never asked"));
        assert!(trial.end.is_none(), "{id} has ended, and {} follows", change.name());
        if matches!(change, Change::Resume | Change::Prune) {
            assert!(trial.held, "{id} holds at no rung, and {} follows", change.name());
            trial.held = false;
            trial.not_before = at;
            trial.end = (*change == Change::Prune).then_some(End::Pruned);
            let (rung, value) = (trial.reached - 1, trial.value);
            chapter.decided += 1;
            if let Some(twin) = &mut chapter.twin {
                let goes_on = twin.goes_on(rung, id.index, value);
                assert_eq!(goes_on, *change == Change::Resume, "{id} is judged otherwise at rung {rung}");
            }
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
            Change::Pause { attempt, rung, checkpoint, value } => {
                speaker(attempt);
                assert_eq!(*rung, trial.reached, "{id} holds at a rung out of turn");
                stored.push((id.clone(), *checkpoint));
                trial.keep(*checkpoint);
                (trial.held, trial.live) = (true, None);
                trial.reached += 1;
                trial.value = *value;
            }
            Change::Succeed { attempt, outcome } => {
                speaker(attempt);
                trial.end = Some(End::Succeeded(outcome.clone()));
                trial.live = None;
            }
            Change::Fail { attempt, class, retry, .. } => {
                speaker(attempt);
                trial.fail(at, *class, *retry, &policy);
                trial.decided_by_then = decided;
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
                assert!(told_to_stop.contains(attempt), "{id} was handed back, and nobody asked for it");
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

    fn lease(&mut self, at: Timestamp, id: &TrialId, live: Live, kept: Option<&(ExperimentId, NodeId)>) {
        assert!(live.attempt.0 > self.last_attempt, "token {} was given before", live.attempt);
        self.last_attempt = live.attempt.0;
        assert!(!self.holds(&live.worker), "{} gets {id} beside another trial", live.worker);
        self.check_place(id, &live, kept);
        self.check_start(at, id);
        let chapter = self.open(&id.experiment);
        chapter.leases += 1;
        let running = chapter.trials.iter().filter(|trial| trial.live.is_some()).count() as u32;
        let limit = chapter.submission.policy.parallel.unwrap_or(u32::MAX);
        assert!(running < limit, "{id} runs beside {running} others, {limit} may run");
        let trial = chapter.trials.get_mut(id.index as usize).unwrap_or_else(|| panic!("{id} was never asked"));
        assert!(trial.end.is_none(), "{id} has ended and is leased");
        assert!(!trial.held, "{id} is leased before it is judged");
        assert!(trial.live.is_none(), "two attempts are at {id}");
        assert!(at >= trial.not_before, "{id} is leased before its wait is over");
        trial.live = Some(live);
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

    /// An attempt is told to stop, for others or for a drain.
    pub(super) fn tell_to_stop(&mut self, attempt: AttemptId) {
        self.told_to_stop.insert(attempt);
    }

    /// A worker is given an attempt; the same one again only if it is the same.
    pub(super) fn grant(&mut self, now: Timestamp, worker: &WorkerId, assignment: &Assignment) {
        let Assignment { trial, attempt, checkpoints, payload, .. } = assignment;
        let chapter = &self.chapters[&trial.experiment];
        let entry = chapter.trials.get(trial.index as usize).expect("granted trials were asked");
        assert_eq!(entry.payload, *payload, "{trial} is granted with another payload");
        let begins = entry.parent.map(|descent| descent.checkpoint);
        assert_eq!(assignment.parent, begins, "{trial} does not begin with what its parent lends it");
        assert_eq!(assignment.lent, entry.lent, "{trial} is not told what its children begin with");
        // What it handed in since it was decided is not in it.
        if let Some(live) = entry.live.as_ref().filter(|live| live.attempt == *attempt && live.step == 0) {
            assert_eq!(entry.checkpoints, *checkpoints, "{trial} does not go on from its newest checkpoint");
            assert_eq!(live.gpus, assignment.gpus, "{trial} is shown other GPUs than it holds");
            let rung = chapter.rungs.get(entry.reached as usize).map(|share| (entry.reached, *share));
            assert_eq!(assignment.rung.map(|rung| (rung.index, rung.share)), rung, "{trial} is to hold elsewhere");
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
}

/// What a sweep is told of an end.
fn outcome(end: &End) -> SweepOutcome {
    match end {
        End::Succeeded(bytes) => SweepOutcome::Succeeded(bytes.clone()),
        End::Failed(_) => SweepOutcome::Failed,
        End::Pruned => SweepOutcome::Pruned,
    }
}
