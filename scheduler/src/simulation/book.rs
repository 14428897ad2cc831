//! What must hold, kept apart from the code that is checked: a second, smaller account of the durable journal, and every
//! promise that ever left a scheduler.

use std::collections::{BTreeMap, BTreeSet};

use market::Timestamp;
use protocol::{Assignment, Cordon, Descent, ExperimentState, Policy, Submission, Target};
use spec::{AttemptId, CheckpointRef, ExperimentId, FailureClass, Finite, NodeId, Share, TrialId, WorkerId};

use super::question::{End, Script, open, undisturbed};
use super::site::Site;
use super::twin::Twin;
use crate::event::{Event, Record};
use crate::ledger::Ledger;
use crate::retry::BACKOFF_MAX;
use crate::sweep::SweepOutcome;
use crate::trial::Change;

mod place;

pub(super) use place::shares;

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
    /// Rungs it reached, or its parent did.
    reached: u32,
    /// What it measured at the last.
    value: Option<Finite>,
    cancelled: bool,
    pub(super) not_before: Timestamp,
    /// Newest first.
    pub(super) checkpoints: Vec<CheckpointRef>,
    parent: Option<Descent>,
    /// Checkpoints of it that its children begin with.
    lent: Vec<CheckpointRef>,
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
            value: None,
            cancelled: false,
            not_before: at,
            checkpoints: Vec::new(),
            parent: None,
            lent: Vec::new(),
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
    /// The machine it holds something of.
    node: Option<NodeId>,
    gpus: Vec<u32>,
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
pub(super) struct Chapter {
    pub(super) submission: Submission,
    pub(super) trials: Vec<Entry>,
    pub(super) ended: Option<ExperimentState>,
    rungs: Vec<Share>,
    /// Of an asynchronous sweep.
    pub(super) twin: Option<Twin>,
    /// Leases of its trials.
    pub(super) leases: u64,
}

impl Chapter {
    fn new(submission: &Submission) -> Self {
        let sweep = open(submission).expect("submissions of a world open");
        Self {
            submission: submission.clone(),
            trials: Vec::new(),
            ended: None,
            rungs: sweep.rungs(0),
            twin: Twin::of(submission),
            leases: 0,
        }
    }

    /// Whether one of its trials may be leased now.
    pub(super) fn is_ready(&self, now: Timestamp) -> bool {
        let running = self.trials.iter().filter(|trial| trial.live.is_some()).count();
        let ready =
            |trial: &Entry| trial.live.is_none() && trial.end.is_none() && !trial.held && trial.not_before <= now;
        self.ended.is_none()
            && self.submission.policy.parallel.is_none_or(|limit| running < limit as usize)
            && self.trials.iter().any(ready)
    }
}

/// Something a scheduler let out, which no crash may take back.
#[derive(Clone, Debug)]
pub(super) enum Promise {
    Submitted(ExperimentId, Vec<u8>),
    Ended(ExperimentId, ExperimentState),
    Finished(TrialId, End),
    Stored(TrialId, CheckpointRef),
    Granted(AttemptId),
    Cordoned(Target, Cordon),
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
    /// A machine that is kept free for an experiment, before this round and after it.
    pub(super) kept: Option<(ExperimentId, NodeId)>,
}

/// The account.
pub(super) struct Book {
    pub(super) site: Site,
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
}

impl Book {
    pub(super) fn new(site: Site) -> Self {
        Self {
            site,
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
            }
            Event::Asked { trial, parent, told, payload } => {
                self.ask(*at, trial, *parent, (told.as_slice(), payload.as_slice()));
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
        let policy = self.open(&id.experiment).submission.policy.clone();
        let (stored, told_to_stop) = (&mut self.stored, &self.told_to_stop);
        let chapter = self.chapters.get_mut(&id.experiment).expect("was opened above");
        let trial = chapter.trials.get_mut(id.index as usize).unwrap_or_else(|| panic!("{id} was never asked"));
        assert!(trial.end.is_none(), "{id} has ended, and {} follows", change.name());
        if matches!(change, Change::Resume | Change::Prune) {
            assert!(trial.held, "{id} holds at no rung, and {} follows", change.name());
            trial.held = false;
            trial.not_before = at;
            trial.end = (*change == Change::Prune).then_some(End::Pruned);
            let (rung, value) = (trial.reached - 1, trial.value);
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

    /// Somebody is told something.
    pub(super) fn promise(&mut self, promise: Promise) {
        self.check_promise(&promise);
        self.promises.push(promise);
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
            Promise::Cordoned(target, cordon) => {
                let said = self.cordoned.contains(&(target.clone(), *cordon));
                assert!(said, "{target} was said to be cordoned and never was");
            }
        }
    }

    /// Every trial ended as it does undisturbed: with the metrics its payload stands for, its share of failures, or pruned.
    pub(super) fn check_ends(&self) {
        for (id, chapter) in &self.chapters {
            for (index, trial) in chapter.trials.iter().enumerate().filter(|(_, trial)| !trial.cancelled) {
                let whole = trial.reached as usize == chapter.rungs.len();
                assert!(whole || !matches!(trial.end, Some(End::Succeeded(_))), "{id}.{index} ran past a rung");
            }
            if chapter.twin.is_some() {
                chapter.check_each();
                continue;
            }
            let (undisturbed, _) = undisturbed(&chapter.submission);
            for (index, (trial, course)) in chapter.trials.iter().zip(undisturbed).enumerate() {
                if trial.cancelled {
                    continue;
                }
                assert_eq!(trial.end, Some(course.end), "{id}.{index} ended otherwise than undisturbed");
                assert_eq!(trial.failures, course.failures, "{id}.{index} failed more or less often than undisturbed");
                let parent = trial.parent.map(|descent| descent.trial);
                assert_eq!(parent, course.parent, "{id}.{index} goes on from another than undisturbed");
            }
        }
    }
}

impl Chapter {
    /// The same of trials whose verdicts hang on an order: those were held against [`Twin`].
    fn check_each(&self) {
        let (id, retry) = (&self.submission.experiment, &self.submission.policy.retry);
        for (index, trial) in self.trials.iter().enumerate().filter(|(_, trial)| !trial.cancelled) {
            let script = Script::read(&trial.payload);
            let (end, failures) = if trial.end == Some(End::Pruned) {
                let step = script.holds_at(self.rungs[trial.reached as usize - 1]);
                (End::Pruned, script.failures_before(step, retry).expect("it got there"))
            } else {
                script.end(script.start(), retry)
            };
            assert_eq!(trial.end, Some(end), "{id}.{index} ended otherwise than by its script");
            assert_eq!(trial.failures, failures, "{id}.{index} failed more or less often than by its script");
        }
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
