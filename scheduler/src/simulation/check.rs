//! What is true of a cluster after each round.

use std::collections::{BTreeMap, BTreeSet};

use market::Timestamp;
use spec::{AttemptId, ExperimentId, NodeId, TrialId};

use super::World;
use super::book::{Chapter, shares};
use super::plan::SECOND;
use super::scheduler::Life;
use crate::cluster::{Cluster, Worker};

/// Longest time between two looks that belong together: a scheduler that was frozen begins anew.
const GAP: f64 = 1.0;

/// How late the scheduler may be with anything, in seconds: it looks after who is blocked once a second.
const SLACK: f64 = 1.5;

/// What a life of the scheduler is watched for from round to round.
#[derive(Default)]
pub(super) struct Watch {
    /// Attempts that are asked to make room.
    asked: BTreeMap<AttemptId, TrialId>,
    /// Those of them that know.
    told: BTreeSet<AttemptId>,
    /// Trials that made room, and until when they are left alone.
    spared: BTreeMap<TrialId, Timestamp>,
    /// The same of those that may have done so unasked.
    perhaps: BTreeMap<TrialId, Timestamp>,
    waits: Option<Wait>,
    /// A machine that is kept free, and for whom.
    pub(super) kept: Option<(ExperimentId, NodeId)>,
    kept_before: Option<NodeId>,
}

impl Watch {
    pub(super) fn told(&mut self, attempt: AttemptId) {
        self.told.insert(attempt);
    }
}

const fn priority(chapter: &Chapter) -> i32 {
    chapter.submission.policy.priority
}

/// An experiment waits for room that only others could make.
struct Wait {
    experiment: ExperimentId,
    leases: u64,
    since: Timestamp,
    seen: Timestamp,
}

impl World {
    pub(super) fn check(&self, life: &mut Life, now: Timestamp, ticked: bool) {
        let cluster = life.rounds.cluster();
        assert!(*cluster.ledger() == self.book.ledger, "the journal tells another state than the scheduler has");
        self.check_attempts(cluster, now, ticked);
        for (id, worker) in &cluster.machines.workers {
            assert!(!worker.parked || life.rounds.is_waiting(id), "{id} is to be given an attempt and does not wait");
        }
        let cordons: BTreeMap<_, _> =
            cluster.ledger().cordons().map(|(target, cordon)| (target.clone(), cordon)).collect();
        assert_eq!(cordons, self.book.cordons, "other machines are cordoned than was said");
        for chapter in self.book.chapters.values() {
            Self::check_counts(cluster, chapter);
        }
        self.book.check_ties(now, ticked);
        // One that nobody needs any more is given up once a second, after what fits was placed.
        let kept = std::mem::take(&mut life.watch.kept_before);
        self.check_who_makes_room(cluster, &mut life.watch, now);
        if ticked && !cluster.draining {
            self.check_that_nobody_waits_in_vain(cluster, kept.as_ref(), now);
            self.check_that_room_is_made(cluster, &mut life.watch, now);
        }
    }

    fn check_attempts(&self, cluster: &Cluster, now: Timestamp, ticked: bool) {
        let mut live = 0;
        for (trial, attempt) in self.book.live() {
            live += 1;
            assert!(cluster.leases.contains_key(&attempt.attempt), "{trial} runs without a lease");
            assert_eq!(
                cluster.ledger().trial_of(attempt.attempt),
                Some(&trial),
                "the token of {trial} leads elsewhere"
            );
            let parked = cluster.machines.workers.get(&attempt.worker).is_some_and(|worker| worker.parked);
            assert!(!parked, "{} waits for an attempt and holds {trial}", attempt.worker);
            let silent = now.seconds_since(attempt.heard) * 1_000.0;
            let allowed = self.plan.lease * attempt.leases * 1_000;
            assert!(!ticked || silent < allowed as f64, "{trial} is held after {silent} ms of silence");
        }
        assert_eq!(cluster.leases.len(), live, "a lease is left over");
        assert_eq!(cluster.ledger().live().count(), live, "an attempt that ended counts as live");
    }

    fn check_counts(cluster: &Cluster, chapter: &Chapter) {
        let view = cluster.ledger().experiment(&chapter.submission.experiment).expect("was compared").view();
        let counts = &view.trials;
        let all = counts.pending + counts.running + counts.succeeded + counts.failed + counts.cancelled + counts.pruned;
        assert_eq!(all as usize, chapter.trials.len(), "the counts of {} do not add up", view.experiment);
        let running = chapter.trials.iter().filter(|trial| trial.live.is_some()).count();
        assert_eq!(counts.running as usize, running, "{} counts other trials as running", view.experiment);
        assert_eq!(view.state.is_final(), chapter.ended.is_some(), "{} is {}", view.experiment, view.state);
    }

    /// Whether nothing keeps attempts from a worker.
    fn is_open(&self, cluster: &Cluster, worker: &Worker, now: Timestamp) -> bool {
        let quarantined = cluster.machines.nodes.get(&worker.node).and_then(|node| node.quarantined(now));
        self.book.cordon(&worker.registration.worker).is_none() && quarantined.is_none()
    }

    /// `kept_before`: the machine that was kept free when last looked at.
    fn check_that_nobody_waits_in_vain(&self, cluster: &Cluster, kept_before: Option<&NodeId>, now: Timestamp) {
        for chapter in self.book.chapters.values().filter(|chapter| self.book.is_ready(chapter, now)) {
            let policy = &chapter.submission.policy;
            for (id, worker) in &cluster.machines.workers {
                let kept = cluster.reservation.as_ref().map(|kept| &kept.node);
                let kept = [kept, kept_before].contains(&Some(&worker.node));
                let idle = worker.parked
                    && self.is_open(cluster, worker, now)
                    && self.book.has_room(id, policy)
                    && !(kept && shares(policy));
                assert!(!idle, "{id} waits although a trial of {} could run", chapter.submission.experiment);
            }
        }
    }

    /// Only lower priorities make room, and one that did is left alone for a while.
    fn check_who_makes_room(&self, cluster: &Cluster, watch: &mut Watch, now: Timestamp) {
        let of = |id: &ExperimentId| priority(&self.book.chapters[id]);
        let mut asked = BTreeMap::new();
        for id in self.book.chapters.keys() {
            for attempt in cluster.preempting_for(id) {
                let trial = cluster.ledger().trial_of(attempt);
                let trial = trial.unwrap_or_else(|| panic!("attempt {attempt} is over and is to make room")).clone();
                assert!(of(&trial.experiment) < of(id), "{trial} makes room for {id}, which is no higher");
                let again = !watch.asked.contains_key(&attempt);
                let until = watch.spared.get(&trial).filter(|until| again && **until > now);
                assert!(until.is_none(), "{trial} made room a moment ago and is to again");
                asked.insert(attempt, trial);
            }
        }
        let until = now.plus_seconds(self.plan.preempt_pause.millis() as f64 / 1_000.0);
        for (attempt, trial) in std::mem::replace(&mut watch.asked, asked) {
            if cluster.ledger().trial_of(attempt).is_none() {
                let known = if watch.told.contains(&attempt) { &mut watch.spared } else { &mut watch.perhaps };
                known.insert(trial, until);
            }
        }
        let kept = cluster.reservation.as_ref().map(|kept| (kept.experiment.clone(), kept.node.clone()));
        watch.kept_before = kept.as_ref().map(|(_, node)| node.clone());
        watch.kept = kept;
    }

    /// Somebody of lower priority is asked to make room for who waits longest by rights, within its time.
    fn check_that_room_is_made(&self, cluster: &Cluster, watch: &mut Watch, now: Timestamp) {
        let waiting = self.who_waits_for_room(cluster, watch, now);
        let before = watch.waits.take();
        let Some(chapter) = waiting else { return };
        let (experiment, leases) = (chapter.submission.experiment.clone(), chapter.leases);
        let goes_on =
            |wait: &Wait| wait.experiment == experiment && wait.leases == leases && now.seconds_since(wait.seen) <= GAP;
        let since = before.filter(goes_on).map_or(now, |wait| wait.since);
        let tick = self.plan.tick as f64 / SECOND as f64;
        let allowed = self.plan.preempt_after.millis() as f64 / 1_000.0 + 2.0 * (SLACK + tick);
        let waited = now.seconds_since(since);
        assert!(waited <= allowed, "{experiment} waits for {waited} s, and nobody is asked to make room");
        watch.waits = Some(Wait { experiment, leases, since, seen: now });
    }

    /// The one experiment above all others that could run, if a lower one has its place and nobody was asked to stop. Only
    /// of those that need a worker and nothing of its machine: where more has to come together, who stops is a search.
    fn who_waits_for_room(&self, cluster: &Cluster, watch: &Watch, now: Timestamp) -> Option<&Chapter> {
        let ready: Vec<&Chapter> =
            self.book.chapters.values().filter(|chapter| self.book.is_ready(chapter, now)).collect();
        let highest = ready.iter().map(|chapter| priority(chapter)).max()?;
        let mut above = ready.into_iter().filter(|chapter| priority(chapter) == highest);
        let first = above.next().filter(|_| above.next().is_none())?;
        let policy = &first.submission.policy;
        if shares(policy) || !cluster.preempting_for(&first.submission.experiment).is_empty() {
            return None;
        }
        let late = now.plus_seconds(-2.0 * SLACK);
        let alone = |trial: &TrialId| {
            [&watch.spared, &watch.perhaps].iter().any(|all| all.get(trial).is_some_and(|until| *until > late))
        };
        let could_stop = |worker: &Worker| {
            let id = &worker.registration.worker;
            let held = self.book.live().find(|(_, live)| live.worker == *id);
            held.is_some_and(|(trial, live)| {
                priority(&self.book.chapters[&trial.experiment]) < highest
                    && !watch.asked.contains_key(&live.attempt)
                    && !alone(&trial)
            })
        };
        let mut workers = cluster.machines.workers.values();
        let one = workers.any(|worker| {
            let id = &worker.registration.worker;
            self.is_open(cluster, worker, now) && self.book.site.holds(id, policy) && could_stop(worker)
        });
        one.then_some(first)
    }
}
