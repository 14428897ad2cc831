//! A cluster in virtual time, for stories and properties.

use std::collections::BTreeMap;

use expect_test::expect;
use proptest::prelude::*;
use protocol::{End, Policy};
use spec::{Digest, Finite, ProgressUnit, RetrySpec, Share};

use super::*;
use crate::code::Code as _;
use crate::journal::{Journal as _, MemoryJournal, fold};
use crate::sweep::{Ask, Judgement, OpenError, Sweep, SweepOutcome};

mod descent;
mod life;
mod machines;
mod precedence;
mod properties;
mod rungs;
mod stories;

/// Batches of a fixed size; each payload says which batch it is of and how the batch before went, so an order of asks
/// and tells that differs shows.
struct Batches {
    left: u32,
    size: u32,
    seen: String,
    open: u32,
    batch: u32,
    rungs: u32,
}

impl Sweep for Batches {
    fn ask(&mut self) -> Ask {
        if self.open > 0 {
            return Ask::Waiting;
        }
        let count = self.size.min(self.left);
        if count == 0 {
            return Ask::Done;
        }
        self.left -= count;
        self.open = count;
        self.batch += 1;
        let payload = format!("batch {} after [{}]", self.batch, std::mem::take(&mut self.seen));
        Ask::Batch(vec![payload.into_bytes(); count as usize])
    }

    fn tell(&mut self, index: u32, outcome: SweepOutcome) {
        let word = match outcome {
            SweepOutcome::Succeeded(_) => "ok",
            SweepOutcome::Failed => "failed",
            SweepOutcome::Cancelled => "cancelled",
            SweepOutcome::Pruned => "pruned",
        };
        self.seen += &format!("{index} {word};");
        self.open -= 1;
    }

    /// Rungs at a quarter, two quarters and so on.
    fn rungs(&self, _: u32) -> Vec<Share> {
        (1..=self.rungs).map(|quarter| Share(250_000 * quarter)).collect()
    }

    /// The better half goes on, and says so to the next batch.
    fn judge(&mut self, rung: u32, reached: &[(u32, Option<Finite>)]) -> Judgement {
        let mut ranked = reached.to_vec();
        ranked.sort_by_key(|(index, value)| (value.is_none(), *value, *index));
        let kept: Vec<u32> = ranked[..ranked.len().div_ceil(2)].iter().map(|(index, _)| *index).collect();
        self.seen += &format!("rung {rung} keeps {kept:?};");
        Judgement { go_on: kept, children: Vec::new() }
    }
}

/// The payload `trials size rungs` opens [`Batches`].
fn sweeps() -> Box<dyn Sweeps> {
    Box::new(|submission: &Submission| -> Result<Box<dyn Sweep>, OpenError> {
        let text = String::from_utf8_lossy(&submission.payload).into_owned();
        if let Some(sweep) = descent::open(&text) {
            return Ok(sweep);
        }
        let unreadable = || OpenError { why: format!("`{text}` is not a sweep") };
        let numbers: Result<Vec<u32>, _> = text.split(' ').map(str::parse).collect();
        let (left, size, rungs) = match numbers.map_err(|_| unreadable())?[..] {
            [left, size] => (left, size, 0),
            [left, size, rungs] => (left, size, rungs),
            _ => return Err(unreadable()),
        };
        Ok(Box::new(Batches { left, size, seen: String::new(), open: 0, batch: 0, rungs }))
    })
}

fn worker(name: &str) -> WorkerId {
    name.parse().unwrap()
}

fn experiment(name: &str) -> ExperimentId {
    name.parse().unwrap()
}

fn checkpoint(step: u64) -> CheckpointRef {
    CheckpointRef { digest: Digest::of(&step.to_le_bytes()), step }
}

fn policy() -> Policy {
    Policy {
        retry: RetrySpec { attempts: 2, backoff: Span::from_secs(2) },
        timeout: Span::from_secs(100),
        ..Policy::default()
    }
}

/// A cluster in virtual time, with a journal, whose replay is compared with it after every step.
struct TestCluster {
    cluster: Cluster,
    journal: MemoryJournal,
    now: f64,
    /// The attempt each worker was granted last.
    granted: BTreeMap<WorkerId, Assignment>,
}

impl TestCluster {
    fn new() -> Self {
        Self::with(Options::default())
    }

    fn with(options: Options) -> Self {
        let (cluster, _) = Cluster::recover(Timestamp::default(), Ledger::default(), sweeps(), options).unwrap();
        Self { cluster, journal: MemoryJournal::default(), now: 0.0, granted: BTreeMap::new() }
    }

    fn submit(mut self, name: &str, sweep: &str, policy: Policy) -> Self {
        let payload = sweep.as_bytes().to_vec();
        let submission = Submission { experiment: experiment(name), name: name.parse().unwrap(), payload, policy };
        self.on(Input::Submit(submission)).unwrap();
        self
    }

    /// A worker that asks for work.
    fn worker(mut self, name: &str, cpus: u32) -> Self {
        self.join(name, cpus);
        self
    }

    fn join(&mut self, name: &str, cpus: u32) {
        self.hire(Registration::of(worker(name), cpus));
    }

    fn hire(&mut self, registration: Registration) {
        let worker = registration.worker.clone();
        self.on(Input::Register(registration)).unwrap();
        self.on(Input::Lease(worker)).unwrap();
    }

    fn on(&mut self, input: Input) -> Result<Reply, Refusal> {
        let now = Timestamp::default().plus_seconds(self.now);
        let step = self.cluster.on(now, input);
        self.take(step)
    }

    fn take(&mut self, step: Step) -> Result<Reply, Refusal> {
        self.journal.append(&step.events).unwrap();
        for command in step.commands {
            if let Command::Grant(worker, assignment) = command {
                self.granted.insert(worker, assignment);
            }
        }
        assert_eq!(&fold(&self.journal).unwrap().0, self.cluster.ledger(), "the journal tells the same state");
        let mut bytes = Vec::new();
        self.cluster.ledger().put(&mut bytes);
        assert_eq!(Ledger::take(&mut bytes.as_slice()).as_ref(), Some(self.cluster.ledger()), "so do its bytes");
        self.check_counts();
        step.reply
    }

    /// What is kept in step is what counting anew would find.
    fn check_counts(&self) {
        let ledger = self.cluster.ledger();
        for experiment in ledger.experiments() {
            let id = &experiment.submission.experiment;
            let stand = |states: &[&str]| {
                let of = experiment.trials.iter().filter(|trial| states.contains(&trial.state.name()));
                u32::try_from(of.count()).unwrap()
            };
            let counted = protocol::TrialCounts {
                pending: stand(&["waiting", "queued", "paused"]),
                running: stand(&["leased", "running"]),
                succeeded: stand(&["succeeded"]),
                pruned: stand(&["pruned"]),
                failed: stand(&["failed"]),
                cancelled: stand(&["cancelled"]),
            };
            assert_eq!(experiment.counts(), &counted, "{id}");
            assert_eq!(experiment.queued(), stand(&["queued"]) as usize, "{id}");
            let waits = !experiment.state.is_final()
                && self.cluster.serves(id)
                && experiment.waits.is_empty()
                && experiment.has_room()
                && experiment.queued() > 0;
            let place = self.cluster.order.place_of(id);
            assert_eq!(place.is_some(), waits, "{id} has its place in the order");
            assert!(place.flatten().is_none_or(|place| place == turn(experiment)), "{id} has another turn");
        }
        let cpus: u64 = ledger
            .live()
            .map(|(_, trial)| u64::from(ledger.experiment(&trial.experiment).unwrap().submission.policy.cpus))
            .sum();
        assert_eq!(ledger.cpus_of(None), cpus - owned(ledger));
    }

    fn submission(&self, name: &str, sweep: &str, policy: Policy) -> Submission {
        Submission { experiment: experiment(name), name: name.parse().unwrap(), payload: sweep.into(), policy }
    }

    /// Time passes in seconds, while `workers` say that they live; what each heard last.
    fn live(&mut self, seconds: u32, workers: &[&str]) -> Vec<Directive> {
        let mut heard = vec![Directive::Continue; workers.len()];
        for _ in 0..seconds {
            self.advance(1.0);
            for (index, name) in workers.iter().enumerate() {
                if let Ok(Reply::Directive(directive)) = self.beat(name) {
                    heard[index] = directive;
                }
            }
        }
        heard
    }

    /// The trial that a worker was granted last, while it holds it.
    fn at(&self, name: &str) -> Option<String> {
        let attempt = self.cluster.ledger().attempts_of(&worker(name)).next()?;
        self.cluster.ledger().trial_of(attempt).map(ToString::to_string)
    }

    /// Hands an attempt back with a checkpoint, as a worker does that was asked to stop, and asks again.
    fn release(&mut self, name: &str, step: u64) {
        let attempt = self.attempt(name);
        self.on(Input::Checkpoint(worker(name), attempt, checkpoint(step))).unwrap();
        self.finish(name, Report::Stopped).unwrap();
        self.on(Input::Lease(worker(name))).unwrap();
    }

    fn attempt(&self, name: &str) -> AttemptId {
        self.granted[&worker(name)].attempt
    }

    fn beat(&mut self, name: &str) -> Result<Reply, Refusal> {
        let attempt = self.attempt(name);
        self.on(Input::Heartbeat(worker(name), attempt, None))
    }

    fn finish(&mut self, name: &str, report: Report) -> Result<Reply, Refusal> {
        let attempt = self.attempt(name);
        self.on(Input::Finish(worker(name), attempt, report))
    }

    /// Holds at the rung it was told and asks again.
    fn pause(&mut self, name: &str, value: f64) -> Result<Reply, Refusal> {
        let granted = self.granted[&worker(name)].clone();
        let rung = granted.rung.map_or(0, |rung| rung.index);
        let checkpoint = checkpoint(1_000 * u64::from(granted.trial.index) + u64::from(rung));
        let reply = self.finish(name, Report::Paused { rung, checkpoint, value: Finite::new(value) });
        self.on(Input::Lease(worker(name))).unwrap();
        reply
    }

    /// Ends the worker's attempt well and lets it ask again.
    fn succeed(&mut self, name: &str) {
        self.finish(name, Report::Succeeded(b"result".to_vec())).unwrap();
        self.on(Input::Lease(worker(name))).unwrap();
    }

    /// The same for a worker that the scheduler does not know yet.
    fn succeed_after_restart(&mut self, name: &str) {
        self.finish(name, Report::Succeeded(b"result".to_vec())).unwrap();
    }

    fn fail(&mut self, name: &str, class: FailureClass) {
        self.finish(name, Report::Failed { class, message: "it broke".to_owned() }).unwrap();
        self.on(Input::Lease(worker(name))).unwrap();
    }

    fn advance(&mut self, seconds: f64) {
        self.now += seconds;
        self.on(Input::Tick).unwrap();
    }

    /// Ends this life of the scheduler; the next begins with the journal alone.
    fn restart(&mut self, recovery: Recovery) {
        let ledger = fold(&self.journal).unwrap().0;
        let options = Options { recovery, ..self.cluster.options.clone() };
        let now = Timestamp::default().plus_seconds(self.now);
        let (cluster, step) = Cluster::recover(now, ledger, sweeps(), options).unwrap();
        self.cluster = cluster;
        self.take(step).unwrap();
    }

    fn explain(&self, trial: &str) -> String {
        let now = Timestamp::default().plus_seconds(self.now);
        self.cluster.explain(now, &trial.parse().unwrap()).unwrap().sentence
    }

    fn render(&self) -> String {
        let since = |at: &Timestamp| format!("{:+.0}s", at.seconds_since(Timestamp::default()));
        let mut text = String::new();
        for experiment in self.cluster.ledger.experiments() {
            let id = &experiment.submission.experiment;
            text += &format!("{id} {}\n", experiment.state);
            for (index, trial) in experiment.trials.iter().enumerate() {
                let state = match &trial.state {
                    TrialState::Queued { not_before, from } => format!(
                        "not_before={}{}",
                        since(not_before),
                        from.map_or_else(String::new, |from| format!(" from={}", from.step))
                    ),
                    TrialState::Leased { attempt, worker, .. } | TrialState::Running { attempt, worker, .. } => {
                        format!("attempt={attempt} {worker}")
                    }
                    TrialState::Succeeded { attempt } => format!("attempt={attempt}"),
                    TrialState::Failed { class, message } => format!("{class}: {message}"),
                    TrialState::Waiting { on } => format!("on={on}"),
                    TrialState::Paused { rung, .. } => format!("rung={rung}"),
                    TrialState::Pruned | TrialState::Cancelled => String::new(),
                };
                let line = format!(
                    "  {index} {} {state} (attempts {}, losses {})",
                    trial.state.name(),
                    trial.attempts(),
                    trial.losses
                );
                text += &line.replace("  (", " (");
                text.push('\n');
            }
        }
        text
    }
}

/// CPU cores held by experiments that have an owner.
fn owned(ledger: &Ledger) -> u64 {
    let policy = |trial: &TrialId| ledger.experiment(&trial.experiment).unwrap().submission.policy.clone();
    let owned = ledger.live().map(|(_, trial)| policy(trial)).filter(|policy| policy.owner.is_some());
    owned.map(|policy| u64::from(policy.cpus)).sum()
}
