//! The scheduler's process: an inbox, a clock and [`Rounds`], as [`crate::core`] has them.

use market::Timestamp;
use protocol::{Directive, ExperimentState, Report, StopCause, TrialState};
use rand::RngExt as _;
use spec::{Digest, WorkerId};

use super::book::{Excuses, Promise};
use super::check::Watch;
use super::disk::Fate;
use super::messages::{Answer, Body, Peer, Request};
use super::plan::{MILLISECOND, SECOND};
use super::question::{End, at, sweeps};
use super::{Act, DOWN_MAX, World};
use crate::cluster::{Cluster, Input, Options, Recovery, Reply};
use crate::journal::{JournalError, fold};
use crate::round::{self, Release, Rounds};
use crate::snapshot::Snapshot;

/// Longest wait of a worker for an attempt, as in the core.
const LONG_POLL: u64 = 20 * SECOND;

/// How long running attempts get when the scheduler is stopped.
const GRACE: u64 = 3 * SECOND;

/// An answer with its caller, and what was asked.
pub(super) struct Sent {
    request: Request,
    answer: Answer,
}

/// A worker's call that waits for an attempt.
pub(super) struct Waiting {
    request: Request,
    until: u64,
}

/// One life of the scheduler.
pub(super) struct Life {
    pub(super) rounds: Rounds<Sent, Waiting>,
    began: Timestamp,
    origin: u64,
    inbox: Vec<Request>,
    /// When its next round is; it has one at least every tick.
    next_round: u64,
    ticked: u64,
    stop_at: Option<u64>,
    excuses: Excuses,
    pub(super) watch: Watch,
}

impl Life {
    /// Its clock: wall time when it began, the monotonic clock since.
    fn time(&self, now: u64) -> Timestamp {
        let micros = i64::try_from(now - self.origin).expect("a life is short");
        Timestamp::from_micros(self.began.micros() + micros)
    }
}

impl World {
    pub(super) fn start_scheduler(&mut self) {
        if self.scheduler.is_some() {
            return;
        }
        let journal = match self.storage.open() {
            Ok(journal) => journal,
            Err(error) => panic!("the journal of a dead scheduler cannot be opened: {error}"),
        };
        let (ledger, last) = fold(&*journal).unwrap_or_else(|error| panic!("the journal cannot be replayed: {error}"));
        assert_eq!(ledger, self.book.ledger, "replay tells another state than the records that became durable");
        let kept =
            if self.snapshot.is_empty() { Some(Snapshot::default()) } else { Snapshot::from_bytes(&self.snapshot) };
        let resumed = kept.expect("a snapshot reads its own bytes").follow(&*journal);
        let resumed = resumed.unwrap_or_else(|error| panic!("the journal does not follow its snapshot: {error}"));
        let resumed = resumed.expect("the snapshot is of this journal");
        assert!(
            (&resumed.ledger, resumed.last) == (&ledger, last),
            "from its snapshot the journal tells another state"
        );
        self.snapshot = resumed.to_bytes();
        self.book.check_promises();
        // A wall clock that was set is minutes or hours off, either way.
        let skew = if self.plan.clock_jumps { self.rng.random_range(0..20_000 * SECOND) } else { 10_000 * SECOND };
        let wall = at(self.now + skew - 10_000 * SECOND);
        let began = wall.max(last);
        let options = Options {
            lease: spec::Span::from_secs(self.plan.lease),
            recovery: self.plan.recovery,
            jitter_seed: self.rng.random(),
            // A large worker may yet come: nothing is refused for want of one.
            largest: Some(self.book.site.largest()),
            preempt_after: self.plan.preempt_after,
            preempt_pause: self.plan.preempt_pause,
            reserve_after: self.plan.reserve_after,
            quota: self.plan.ties.quota.clone(),
            ..Options::default()
        };
        let recovered = Cluster::recover(began, resumed.ledger, sweeps(), options)
            .unwrap_or_else(|error| panic!("no recovery: {error}"));
        self.lives += 1;
        self.book.begin(began);
        let excuses = Excuses { requeue: self.plan.recovery == Recovery::Requeue, ..Excuses::default() };
        self.scheduler = Some(Life {
            rounds: Rounds::new(recovered, journal),
            began,
            origin: self.now,
            inbox: Vec::new(),
            next_round: self.now,
            ticked: self.now,
            stop_at: None,
            excuses,
            watch: Watch::default(),
        });
        self.trace.step(self.now, b's', &began.micros().to_le_bytes());
        self.after(0, Act::Round);
    }

    /// Its process ends at once; what it had not made durable is gone.
    pub(super) fn crash_scheduler(&mut self) {
        let Some(life) = self.scheduler.take() else { return };
        self.stale += life.rounds.cluster().stale();
        self.scheduler_frozen = 0;
        let down = self.rng.random_range(0..DOWN_MAX);
        self.after(down, Act::StartScheduler);
        if self.plan.recovery == Recovery::Requeue {
            // Its workers end with it, if not in the same instant.
            for worker in 0..self.plan.workers {
                let late = self.rng.random_range(0..2 * SECOND);
                let life = self.workers[worker].life;
                self.after(late, Act::Work(worker, life, super::Chore::Orphaned));
            }
        }
    }

    pub(super) fn stop_scheduler(&mut self) {
        let now = self.now;
        let Some(life) = &mut self.scheduler else { return };
        let time = life.time(now);
        life.excuses.draining = true;
        life.rounds.report(time, Input::Drain);
        life.stop_at.get_or_insert(now + GRACE);
    }

    /// A second scheduler starts on the journal of one that runs. Its lock is the journal's own, so it needs a file.
    pub(super) fn rival(&mut self) {
        if self.scheduler.is_some() && self.storage.is_a_file() {
            let refused = self.storage.open().map(drop);
            assert!(
                matches!(refused, Err(JournalError::InUse { .. })),
                "two schedulers write one journal: {refused:?}"
            );
        }
    }

    pub(super) fn arrive(&mut self, request: Request) {
        let Some(life) = &mut self.scheduler else { return };
        let who = match request.from {
            Peer::Worker { worker, .. } => worker as u8,
            Peer::Client(client) => 100 + client as u8,
            Peer::Forger => 200,
            Peer::Onlooker => 201,
            Peer::Operator => 202,
        };
        self.trace.step(self.now, who, request.body.name().as_bytes());
        life.inbox.push(request);
        let soon = self.now + self.rng.random_range(0..2 * MILLISECOND);
        if life.next_round > soon {
            life.next_round = soon;
            self.after(soon - self.now, Act::Round);
        }
    }

    /// Takes all that arrived, lets time pass when it is time, commits, and answers.
    pub(super) fn round(&mut self) {
        let Some(mut life) = self.scheduler.take() else { return };
        if self.now < self.scheduler_frozen {
            let rest = self.scheduler_frozen - self.now;
            life.next_round = self.scheduler_frozen;
            self.scheduler = Some(life);
            return self.after(rest, Act::Round);
        }
        if self.now < life.next_round {
            // An earlier plan: a round came before it.
            self.scheduler = Some(life);
            return;
        }
        let time = life.time(self.now);
        for request in std::mem::take(&mut life.inbox) {
            self.take(&mut life, time, request);
        }
        let ticks = self.now >= life.ticked + self.plan.tick;
        if ticks {
            life.ticked = self.now;
            life.rounds.tick(time, |waiting| waiting.until <= self.now || self.hung_up(&waiting.request));
        }
        self.commit(life, time, ticks);
    }

    fn commit(&mut self, mut life: Life, time: Timestamp, ticked: bool) {
        self.draw_fate();
        let committed = life.rounds.commit();
        self.read_the_disk(&mut life);
        let requeued = life.excuses.requeue;
        life.excuses = Excuses { draining: life.excuses.draining, ..Excuses::default() };
        let released = match committed {
            Ok(released) => released,
            Err(error) => {
                self.trace.step(self.now, b'x', error.to_string().as_bytes());
                self.scheduler = Some(life);
                return self.crash_scheduler();
            }
        };
        let outlived = self.book.live().find(|(_, live)| live.since.is_none());
        assert!(
            !requeued || outlived.is_none(),
            "an attempt outlives the scheduler that its worker died with: {outlived:?}"
        );
        self.check(&mut life, time, ticked);
        let dies = self.plan.dies_answering > 0.0 && self.rng.random_bool(self.plan.dies_answering);
        let sent = if dies { self.rng.random_range(0..=released.len()) } else { released.len() };
        for release in released.into_iter().take(sent) {
            self.release(&mut life.watch, time, release);
        }
        let over = life.stop_at.is_some_and(|stop_at| life.rounds.cluster().is_idle() || self.now >= stop_at);
        life.next_round = self.now + self.plan.tick;
        self.after(self.plan.tick, Act::Round);
        self.scheduler = Some(life);
        if dies || over {
            self.crash_scheduler();
        }
    }

    /// What the next append comes to.
    fn draw_fate(&mut self) {
        let parted = self.plan.parts_ends.then_some(Fate::Parted);
        let fails = self.plan.append_fails > 0.0 && self.rng.random_bool(self.plan.append_fails);
        let fate = fails.then(|| match self.rng.random_range(0..4) {
            0 => Fate::Full,
            1 => Fate::Lost,
            2 if self.plan.torn => Fate::Torn(self.rng.random_range(0..=100)),
            _ => Fate::Unacknowledged,
        });
        self.storage.disk.lock().expect("one thread runs a world").fate = fate.or(parted);
    }

    /// Takes what became durable into the book.
    fn read_the_disk(&mut self, life: &mut Life) {
        let kept = life.rounds.cluster().reservation.as_ref();
        let kept = kept.map(|kept| (kept.experiment.clone(), kept.node.clone()));
        life.excuses.kept = life.watch.kept.take().filter(|before| kept.as_ref() == Some(before));
        let disk = std::sync::Arc::clone(&self.storage.disk);
        let disk = disk.lock().expect("one thread runs a world");
        for record in &disk.records[self.book.records..] {
            self.trace.step(self.now, b'r', record.event.to_json().as_bytes());
            self.book.record(record, self.plan.lease, &life.excuses);
        }
    }

    fn take(&mut self, life: &mut Life, now: Timestamp, request: Request) {
        let due = self.due(life.rounds.cluster(), now, &request.body);
        let kept = request.clone();
        let sent = |reply| {
            due.check(&kept.body, &reply);
            Sent { request: kept, answer: Answer::Reply(reply) }
        };
        let rounds = &mut life.rounds;
        match request.body.clone() {
            Body::Register(registration) => rounds.call(now, Input::Register(registration), sent),
            Body::Lease(worker) => {
                life.excuses.workers.push(worker.clone());
                if rounds.cluster().machines.workers.contains_key(&worker) {
                    self.book.hear_worker(now, &worker);
                }
                let until = self.now + LONG_POLL;
                if let Err((waiting, refusal)) = rounds.lease(now, worker, Waiting { request, until }) {
                    rounds.hold(Sent { request: waiting.request, answer: Answer::Leased(Err(refusal)) });
                }
            }
            Body::Heartbeat(worker, attempt) => {
                self.book.hear(now, &worker, attempt);
                rounds.call(now, Input::Heartbeat(worker, attempt, None), sent);
            }
            Body::Checkpoint(worker, attempt, checkpoint) => {
                self.book.hear(now, &worker, attempt);
                rounds.call(now, Input::Checkpoint(worker, attempt, checkpoint), sent);
            }
            Body::Finish(worker, attempt, report) => rounds.call(now, Input::Finish(worker, attempt, report), sent),
            Body::Exchange(worker, attempt, report) => {
                life.excuses.workers.push(worker.clone());
                let until = self.now + LONG_POLL;
                let end = round::End { worker: worker.clone(), attempt, report };
                match rounds.exchange(now, end, Waiting { request, until }) {
                    Ok(()) => self.book.hear_worker(now, &worker),
                    Err((waiting, refusal)) => {
                        rounds.hold(Sent { request: waiting.request, answer: Answer::Leased(Err(refusal)) });
                    }
                }
            }
            Body::Submit(submission) => rounds.call(now, Input::Submit(submission), sent),
            Body::Cancel(experiment) => {
                life.excuses.cancelled.push(experiment.clone());
                rounds.call(now, Input::Cancel(experiment), sent);
            }
            Body::Requeue(trial) => rounds.call(now, Input::Requeue(trial), sent),
            Body::Cordon(target, cordon) => rounds.call(now, Input::Cordon(target, cordon), sent),
            Body::Uncordon(target) => {
                rounds.call(now, Input::Uncordon(target.clone()), sent);
                assert_eq!(rounds.cluster().ledger().cordon(&target), None, "{target} was to be opened");
            }
            Body::Show(experiment) => {
                let detail = rounds.cluster().show(&experiment).map(Box::new);
                rounds.hold(Sent { request, answer: Answer::Shown(detail) });
            }
            Body::WorkerGone(worker) => {
                life.excuses.workers.push(worker.clone());
                rounds.worker_gone(now, worker);
            }
        }
    }

    /// Whether the caller is known to have given up: its process ended or it calls anew, and the network tells.
    fn hung_up(&self, request: &Request) -> bool {
        match request.from {
            Peer::Worker { worker, life } => {
                let process = &self.workers[worker];
                let reachable = self.now >= self.cut[worker];
                reachable && (process.life != life || process.word_call() != Some(request.call))
            }
            Peer::Client(_) | Peer::Forger | Peer::Onlooker | Peer::Operator => false,
        }
    }

    /// Lets something out. From here on it is a promise.
    fn release(&mut self, watch: &mut Watch, time: Timestamp, release: Release<Sent, Waiting>) {
        match release {
            Release::Answer(Sent { request, answer }) => {
                if let (Body::Heartbeat(_, attempt), Answer::Reply(Ok(Reply::Directive(Directive::Stop(cause))))) =
                    (&request.body, &answer)
                {
                    match cause {
                        StopCause::Fenced => {}
                        StopCause::Draining => self.book.tell_to_stop(*attempt),
                        StopCause::Preempted => {
                            self.book.tell_to_stop(*attempt);
                            watch.told(*attempt);
                        }
                    }
                }
                self.promise(&request, &answer);
                self.reply(request.from, request.call, answer);
            }
            Release::Leased(Waiting { request, .. }, assignment) => {
                if let (Some(assignment), Body::Lease(worker) | Body::Exchange(worker, ..)) =
                    (&assignment, &request.body)
                {
                    self.book.grant(time, worker, assignment);
                }
                let answer = Answer::Leased(Ok(assignment));
                self.promise(&request, &answer);
                self.reply(request.from, request.call, answer);
            }
            Release::Announce(update) => self.hear_news(&update),
        }
    }

    fn promise(&mut self, request: &Request, answer: &Answer) {
        match (&request.body, answer) {
            (Body::Submit(submission), Answer::Reply(Ok(_))) => {
                self.book.promise(Promise::Submitted(submission.experiment.clone(), submission.payload.clone()));
            }
            (Body::Cancel(_), Answer::Reply(Ok(Reply::Experiment(view)))) => {
                assert!(view.state.is_final(), "{} is cancelled and not over", view.experiment);
                self.book.promise(Promise::Ended(view.experiment.clone(), view.state));
            }
            (Body::Show(_), Answer::Shown(Ok(detail))) => {
                for trial in &detail.trials {
                    if let (TrialState::Succeeded { .. }, Some(outcome)) = (&trial.status, &trial.outcome) {
                        let end = End::Succeeded(outcome.clone());
                        self.book.promise(Promise::Finished(trial.trial.clone(), end));
                    }
                }
                let view = &detail.experiment;
                if view.state.is_final() {
                    self.book.promise(Promise::Ended(view.experiment.clone(), view.state));
                }
            }
            (Body::Checkpoint(.., checkpoint), Answer::Reply(Ok(Reply::Kept(kept)))) => {
                assert_ne!(request.from, Peer::Forger, "a checkpoint with another's token is kept");
                if kept.first() == Some(checkpoint)
                    && let Some(trial) = self.trial_of(&request.body)
                {
                    self.book.promise(Promise::Stored(trial, *checkpoint));
                }
            }
            (Body::Finish(.., report), Answer::Reply(Ok(_))) | (Body::Exchange(.., report), Answer::Leased(Ok(_))) => {
                assert_ne!(request.from, Peer::Forger, "a result with another's token counts");
                match (self.trial_of(&request.body), report) {
                    (Some(trial), Report::Succeeded(outcome)) => {
                        self.book.promise(Promise::Finished(trial, End::Succeeded(outcome.clone())));
                    }
                    (Some(trial), Report::Paused { checkpoint, .. }) => {
                        self.book.promise(Promise::Stored(trial, *checkpoint));
                    }
                    (None, _) | (Some(_), Report::Failed { .. } | Report::Stopped) => {}
                }
            }
            (Body::Cordon(target, cordon), Answer::Reply(Ok(_))) => {
                self.book.promise(Promise::Cordoned(target.clone(), *cordon));
            }
            (Body::Requeue(trial), Answer::Reply(Ok(_))) => self.book.promise(Promise::Requeued(trial.clone())),
            _ => {}
        }
    }

    /// Whose attempt a word is about, by what the worker was granted.
    fn trial_of(&self, body: &Body) -> Option<spec::TrialId> {
        let (Body::Checkpoint(_, attempt, _) | Body::Finish(_, attempt, _) | Body::Exchange(_, attempt, _)) = body
        else {
            return None;
        };
        self.book.trial_of(*attempt)
    }

    /// Somebody speaks for an attempt that another worker holds.
    pub(super) fn forge(&mut self) {
        let Some((_, live)) = self.book.live().next() else { return };
        let (attempt, holder) = (live.attempt, live.worker.clone());
        let mut others = self.workers.iter().map(|worker| worker.id.clone()).filter(|id| *id != holder);
        let stranger: WorkerId = others.next_back().unwrap_or_else(|| "stranger".parse().expect("letters make an id"));
        let checkpoint = spec::CheckpointRef { digest: Digest::of(b"forged"), step: 1_000 };
        for body in [
            Body::Heartbeat(stranger.clone(), attempt),
            Body::Checkpoint(stranger.clone(), attempt, checkpoint),
            Body::Finish(stranger.clone(), attempt, Report::Succeeded(b"forged".to_vec())),
            Body::Exchange(stranger, attempt, Report::Succeeded(b"forged".to_vec())),
        ] {
            let call = self.call();
            self.after(MILLISECOND, Act::Arrive(Request { from: Peer::Forger, call, body }));
        }
    }

    /// What an experiment has come to as its client sees it.
    pub(super) const fn ended(state: ExperimentState) -> Option<ExperimentState> {
        if state.is_final() { Some(state) } else { None }
    }
}
