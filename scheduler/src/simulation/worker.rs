//! A worker's process, as the worker crate has it: one call at a time beside the heartbeats, each tried again until it is
//! answered, and a fake trainer.

use protocol::{Assignment, Directive, Refusal, Registration, Report, StopCause, Terms};
use rand::RngExt as _;
use spec::{AttemptId, CheckpointRef, FailureClass, WorkerId};

use super::messages::{Answer, Body, Peer, Request};
use super::plan::{MILLISECOND, SECOND};
use super::question::{Script, Stand, Temper};
use super::{Act, DOWN_MAX, World};
use crate::cluster::Reply;

/// Wait for the answer to a call before it is made again.
const PATIENCE: u64 = 2 * SECOND;

/// The same for a call that waits for an attempt: above the scheduler's long poll.
const LONG_PATIENCE: u64 = 22 * SECOND;

/// Wait before the first heartbeat of an attempt: until then a process can end without having said a word of it.
const FIRST_WORD: u64 = 20 * MILLISECOND;

/// What a worker does next, by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chore {
    /// Its process starts.
    Start,
    /// Its parent has died, and it follows.
    Orphaned,
    /// It trains a step of an attempt.
    Step(AttemptId),
    /// It sends a heartbeat for an attempt.
    Beat(AttemptId),
    /// It has waited long enough for a call's answer.
    Expire(u64),
}

/// An attempt at work.
struct Run {
    assignment: Assignment,
    script: Script,
    step: u64,
    weights: u64,
    kept: Vec<CheckpointRef>,
    stop: Option<StopCause>,
    hangs: bool,
    ended: bool,
}

/// The call that holds the worker up.
struct Word {
    call: u64,
    body: Body,
    /// Times it was made.
    times: u32,
}

pub(super) struct Worker {
    index: usize,
    pub(super) id: WorkerId,
    /// Counts its processes: what is meant for an earlier one does not reach it.
    pub(super) life: u32,
    up: bool,
    /// Nothing in it moves until then.
    pub(super) frozen: u64,
    terms: Option<Terms>,
    word: Option<Word>,
    /// The last heartbeat: what comes back of an older one is not listened to.
    heartbeat: u64,
    run: Option<Run>,
}

impl Worker {
    pub(super) fn new(index: usize) -> Self {
        let id = format!("w{index}").parse().expect("a letter and a digit make an id");
        Self { index, id, life: 0, up: false, frozen: 0, terms: None, word: None, heartbeat: 0, run: None }
    }

    pub(super) fn word_call(&self) -> Option<u64> {
        self.word.as_ref().map(|word| word.call)
    }

    const fn peer(&self) -> Peer {
        Peer::Worker { worker: self.index, life: self.life }
    }
}

impl World {
    pub(super) fn crash_worker(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        if !worker.up {
            return;
        }
        worker.up = false;
        worker.life += 1;
        worker.frozen = 0;
        worker.word = None;
        worker.run = None;
        let (dead, life) = (worker.id.clone(), worker.life);
        if self.plan.fresh_ids {
            worker.id = format!("w{index}-{life}").parse().expect("letters, digits and a dash make an id");
        }
        if self.plan.engine {
            // The engine is a thread of the scheduler: its word is not lost, unless both end together.
            let (late, call) = (self.rng.random_range(0..200 * MILLISECOND), self.call());
            self.after(late, Act::Arrive(Request { from: Peer::Onlooker, call, body: Body::WorkerGone(dead) }));
        }
        let down = self.rng.random_range(0..DOWN_MAX);
        self.after(down, Act::Work(index, life, Chore::Start));
    }

    pub(super) fn work(&mut self, index: usize, life: u32, chore: Chore) {
        let worker = &self.workers[index];
        if worker.life != life {
            return;
        }
        if chore == Chore::Orphaned {
            return self.crash_worker(index);
        }
        if self.now < worker.frozen {
            return self.after(worker.frozen - self.now, Act::Work(index, life, chore));
        }
        let attempt = worker.run.as_ref().map(|run| run.assignment.attempt);
        match chore {
            Chore::Start => {
                self.workers[index].up = true;
                self.register(index);
            }
            Chore::Step(of) if attempt == Some(of) => self.train(index),
            Chore::Beat(of) if attempt == Some(of) => self.beat(index),
            Chore::Expire(call) if self.workers[index].word_call() == Some(call) => self.say_again(index),
            Chore::Step(_) | Chore::Beat(_) | Chore::Expire(_) | Chore::Orphaned => {}
        }
    }

    fn say(&mut self, index: usize, body: Body, times: u32) {
        let call = self.call();
        let patience = if matches!(body, Body::Lease(_) | Body::Exchange(..)) { LONG_PATIENCE } else { PATIENCE };
        let worker = &mut self.workers[index];
        let (from, life) = (worker.peer(), worker.life);
        worker.word = Some(Word { call, body: body.clone(), times });
        self.send(Request { from, call, body });
        self.after(patience, Act::Work(index, life, Chore::Expire(call)));
    }

    fn say_again(&mut self, index: usize) {
        let Some(Word { body, times, .. }) = self.workers[index].word.take() else { return };
        match body {
            // A scheduler that does not answer may have restarted.
            Body::Lease(_) => self.register(index),
            // An older checkpoint stands.
            Body::Checkpoint(..) if times >= 3 => self.go_on(index),
            Body::Register(_)
            | Body::Heartbeat(..)
            | Body::Checkpoint(..)
            | Body::Finish(..)
            | Body::Exchange(..)
            | Body::Submit(_)
            | Body::Cancel(_)
            | Body::Requeue(_)
            | Body::Cordon(..)
            | Body::Uncordon(_)
            | Body::Show(_)
            | Body::WorkerGone(_) => self.say(index, body, times + 1),
        }
    }

    fn register(&mut self, index: usize) {
        let registration: Registration = self.book.site.registration(index, self.workers[index].id.clone());
        self.say(index, Body::Register(registration), 0);
    }

    fn ask(&mut self, index: usize) {
        self.workers[index].run = None;
        let body = Body::Lease(self.workers[index].id.clone());
        self.say(index, body, 0);
    }

    fn beat(&mut self, index: usize) {
        let call = self.call();
        let worker = &self.workers[index];
        let (Some(run), Some(terms)) = (&worker.run, worker.terms) else { return };
        let attempt = run.assignment.attempt;
        if run.ended {
            return;
        }
        let (from, life, id) = (worker.peer(), worker.life, worker.id.clone());
        self.workers[index].heartbeat = call;
        self.send(Request { from, call, body: Body::Heartbeat(id, attempt) });
        self.after(terms.heartbeat.millis() * MILLISECOND, Act::Work(index, life, Chore::Beat(attempt)));
    }

    pub(super) fn hear_worker(&mut self, index: usize, life: u32, call: u64, answer: Answer) {
        let worker = &mut self.workers[index];
        if worker.life != life {
            return;
        }
        if self.now < worker.frozen {
            let rest = worker.frozen - self.now;
            return self.after(rest, Act::Deliver(Peer::Worker { worker: index, life }, call, answer));
        }
        if call == worker.heartbeat {
            if let (Some(run), Answer::Reply(Ok(Reply::Directive(Directive::Stop(cause))))) = (&mut worker.run, answer)
            {
                run.stop.get_or_insert(cause);
            }
            return;
        }
        if worker.word_call() != Some(call) {
            return;
        }
        let Some(word) = worker.word.take() else { return };
        match (&word.body, answer) {
            (Body::Register(_), Answer::Reply(Ok(Reply::Terms(terms)))) => {
                worker.terms = Some(terms);
                self.ask(index);
            }
            (Body::Lease(_) | Body::Exchange(..), Answer::Leased(Ok(Some(assignment)))) => {
                self.begin(index, assignment);
            }
            (Body::Lease(_), Answer::Leased(Ok(None)))
            | (Body::Exchange(..), Answer::Leased(Ok(None) | Err(Refusal::Fenced))) => self.ask(index),
            (Body::Lease(_), Answer::Leased(Err(_)))
            | (Body::Exchange(..), Answer::Leased(Err(Refusal::NotRegistered))) => self.register(index),
            (Body::Checkpoint(..), Answer::Reply(Ok(Reply::Kept(kept)))) => {
                self.tidy(index, kept);
                self.go_on(index);
            }
            (Body::Checkpoint(..), Answer::Reply(Err(Refusal::Fenced))) => self.finish(index, Report::Stopped),
            (Body::Finish(..), Answer::Reply(Ok(_) | Err(Refusal::Fenced))) => self.ask(index),
            (_, _) => {
                // Refused for now: said again when its time is over.
                worker.word = Some(word);
            }
        }
    }

    fn begin(&mut self, index: usize, assignment: Assignment) {
        let script = Script::read(&assignment.payload);
        let readable = |checkpoint: &&CheckpointRef| self.store.contains_key(&checkpoint.digest);
        // A child never begins anew: what its parent lent it is there for as long as it may need it. An attempt whose grant
        // came after its lease was over may find it deleted; what that trains from there must count for nothing.
        let counts = self.book.live().any(|(_, live)| live.attempt == assignment.attempt);
        let from = assignment.checkpoints.iter().find(readable).or(assignment.parent.as_ref());
        let Stand { step, weights } = from.map_or(script.start(), |from| {
            let weights = self.store.get(&from.digest).copied();
            assert!(weights.is_some() || !counts, "what {} begins with is gone", assignment.trial);
            Stand { step: from.step, weights: weights.unwrap_or_default() }
        });
        let attempt = assignment.attempt;
        let run = Run { assignment, script, step, weights, kept: Vec::new(), stop: None, hangs: false, ended: false };
        let life = self.workers[index].life;
        self.workers[index].run = Some(run);
        self.workers[index].heartbeat = 0;
        self.after(FIRST_WORD, Act::Work(index, life, Chore::Beat(attempt)));
        self.step_later(index);
    }

    fn step_later(&mut self, index: usize) {
        let worker = &self.workers[index];
        let Some(run) = &worker.run else { return };
        let (life, attempt) = (worker.life, run.assignment.attempt);
        let time = self.rng.random_range(100 * MILLISECOND..900 * MILLISECOND);
        self.after(time, Act::Work(index, life, Chore::Step(attempt)));
    }

    fn go_on(&mut self, index: usize) {
        let worker = &self.workers[index];
        match &worker.run {
            Some(run) if run.stop.is_some() => self.finish(index, Report::Stopped),
            Some(_) => self.step_later(index),
            None => {}
        }
    }

    fn train(&mut self, index: usize) {
        let Some(run) = &mut self.workers[index].run else { return };
        let script = run.script;
        if run.ended {
            return;
        }
        if run.stop.is_some() {
            return self.hand_in(index);
        }
        if run.hangs {
            return self.step_later(index);
        }
        if let Some(rung) = run.assignment.rung
            && run.step == script.holds_at(rung.share)
        {
            return self.hold(index, rung.index);
        }
        // Before anything else: one that resumes behind its trouble is in trouble all the same.
        if run.step >= script.trouble {
            let class = match script.temper {
                Temper::Hungry(times) if run.assignment.degrade < times => Some(FailureClass::Oom),
                Temper::Broken(class) => Some(class),
                Temper::Hangs => {
                    run.hangs = true;
                    return self.step_later(index);
                }
                Temper::Good | Temper::Hungry(_) => None,
            };
            if let Some(class) = class {
                return self.finish(index, Report::Failed { class, message: String::new() });
            }
        }
        if run.step == script.steps {
            let metrics = run.weights.to_le_bytes().to_vec();
            // The result is in the store: what led to it is only space.
            self.tidy(index, Vec::new());
            return self.finish(index, Report::Succeeded(metrics));
        }
        run.step += 1;
        run.weights = script.train(run.weights, run.step);
        if run.step.is_multiple_of(script.every) { self.hand_in(index) } else { self.step_later(index) }
    }

    /// Stores a checkpoint and gives the trial back until it is judged.
    fn hold(&mut self, index: usize, rung: u32) {
        let Some(run) = &self.workers[index].run else { return };
        let checkpoint = run.script.checkpoint(run.weights, run.step);
        let (weights, value) = (run.weights, Script::value(run.weights));
        self.store.insert(checkpoint.digest, weights);
        if run.assignment.payload.len() > 8 {
            self.lendable.insert(checkpoint.digest);
        }
        self.finish(index, Report::Paused { rung, checkpoint, value });
    }

    /// Stores a checkpoint and hands it over.
    fn hand_in(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        let Some(run) = &mut worker.run else { return };
        let checkpoint = run.script.checkpoint(run.weights, run.step);
        self.store.insert(checkpoint.digest, run.weights);
        let body = Body::Checkpoint(worker.id.clone(), run.assignment.attempt, checkpoint);
        if !run.kept.contains(&checkpoint) {
            run.kept.insert(0, checkpoint);
        }
        self.say(index, body, 0);
    }

    /// Deletes checkpoints of its own that the scheduler no longer keeps.
    fn tidy(&mut self, index: usize, kept: Vec<CheckpointRef>) {
        let Some(run) = &mut self.workers[index].run else { return };
        for old in run.kept.iter().filter(|old| !kept.contains(old) && !run.assignment.lent.contains(old)) {
            self.store.remove(&old.digest);
        }
        run.kept = kept;
    }

    fn finish(&mut self, index: usize, report: Report) {
        let stops = self.rng.random_bool(0.3);
        let worker = &mut self.workers[index];
        let Some(run) = &mut worker.run else { return };
        run.ended = true;
        // Real workers ask for the next at once, unless they are to stop.
        let say = if stops { Body::Finish } else { Body::Exchange };
        let body = say(worker.id.clone(), run.assignment.attempt, report);
        self.say(index, body, 0);
    }
}
