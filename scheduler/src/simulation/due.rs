//! What a word is to be answered with, by what the scheduler that hears it knows.

use market::Timestamp;
use protocol::{Cordon, Directive, ExperimentState, Refusal, StopCause, Submission, Target, TrialState};
use spec::{AttemptId, ExperimentId, TrialId, WorkerId};

use super::World;
use super::messages::Body;
use super::ties::means;
use crate::cluster::{Cluster, Reply};

/// The answer that a word is to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// What a worker is to do.
    Told(Directive),
    /// What is asked for is done.
    Taken,
    /// It contradicts what is.
    Conflict,
    /// It makes no sense, or no longer does.
    Invalid,
    Stopping,
    /// The book does not follow what it hangs on, or what comes of it shows in the journal.
    Anything,
}

impl Due {
    pub(super) fn check(self, body: &Body, reply: &Result<Reply, Refusal>) {
        let holds = match self {
            Self::Told(directive) => *reply == Ok(Reply::Directive(directive)),
            Self::Taken => reply.is_ok(),
            Self::Conflict => matches!(reply, Err(Refusal::Conflict(_))),
            Self::Invalid => matches!(reply, Err(Refusal::Invalid(_))),
            Self::Stopping => *reply == Err(Refusal::Stopping),
            Self::Anything => true,
        };
        assert!(holds, "{self:?} is due to {body:?}, and it is answered {reply:?}");
    }
}

impl World {
    pub(super) fn due(&self, cluster: &Cluster, now: Timestamp, body: &Body) -> Due {
        match body {
            Body::Heartbeat(worker, attempt) => Due::Told(self.directive(cluster, worker, *attempt)),
            Body::Submit(submission) => self.due_to_submission(cluster, now, submission),
            Body::Requeue(trial) => self.due_to_requeue(cluster, now, trial).unwrap_or(Due::Anything),
            Body::Cordon(target, _) if self.is_known(cluster, target) => Due::Taken,
            Body::Register(_)
            | Body::Lease(_)
            | Body::Checkpoint(..)
            | Body::Finish(..)
            | Body::Exchange(..)
            | Body::Cancel(_)
            | Body::Cordon(..)
            | Body::Uncordon(_)
            | Body::Show(_)
            | Body::WorkerGone(_) => Due::Anything,
        }
    }

    /// What a heartbeat is to be answered with now. Where an attempt runs outlasts the scheduler that placed it.
    fn directive(&self, cluster: &Cluster, worker: &WorkerId, attempt: AttemptId) -> Directive {
        let ledger = cluster.ledger();
        let targets = [Target::Worker(worker.clone()), Target::Node(self.book.site.node_of(worker))];
        let drained = targets.iter().any(|target| ledger.cordon(target) == Some(Cordon::Drain));
        if ledger.held(attempt).is_none_or(|held| held.worker != *worker) {
            Directive::Stop(StopCause::Fenced)
        } else if cluster.draining || drained {
            Directive::Stop(StopCause::Draining)
        } else if self.book.chapters.keys().any(|id| cluster.preempting_for(id).contains(&attempt)) {
            Directive::Stop(StopCause::Preempted)
        } else {
            Directive::Continue
        }
    }

    fn due_to_submission(&self, cluster: &Cluster, now: Timestamp, submission: &Submission) -> Due {
        let known = |id: &ExperimentId| cluster.ledger().experiment(id);
        if let Some(known) = known(&submission.experiment) {
            return if known.submission.payload == submission.payload { Due::Taken } else { Due::Conflict };
        }
        if cluster.draining {
            return Due::Stopping;
        }
        let may_follow = |on: usize| {
            let state = known(&self.clients[on].submission.experiment).map(|experiment| experiment.state);
            state.is_some_and(|state| !state.is_final() || state == ExperimentState::Succeeded)
        };
        let follows = submission.policy.after.iter().all(|on| self.named(on.as_str()).is_some_and(may_follow));
        let in_time = submission.policy.deadline.is_none_or(|deadline| deadline > now);
        if follows && in_time { Due::Taken } else { Due::Invalid }
    }

    /// `None` where it hangs on what the sweep was told, which the book does not follow.
    fn due_to_requeue(&self, cluster: &Cluster, now: Timestamp, id: &TrialId) -> Option<Due> {
        let experiment = cluster.ledger().experiment(&id.experiment)?;
        let failed = matches!(experiment.trials.get(id.index as usize)?.state, TrialState::Failed { .. });
        let over = matches!(experiment.state, ExperimentState::Succeeded | ExperimentState::Cancelled);
        if !failed || over || experiment.submission.policy.deadline.is_some_and(|deadline| deadline <= now) {
            return Some(Due::Conflict);
        }
        // Where nothing was asked or judged since it failed, nothing was knowing that it did. The book is a round behind.
        let chapter = self.book.chapters.get(&id.experiment)?;
        let stands = *cluster.ledger() == self.book.ledger && chapter.stands_since_failure(id.index);
        stands.then_some(Due::Taken)
    }

    /// Whether somebody has registered or is at work there, registered or not.
    fn is_known(&self, cluster: &Cluster, target: &Target) -> bool {
        let ledger = cluster.ledger();
        let at_work = ledger.live().filter_map(|(attempt, _)| Some(&ledger.held(attempt)?.worker));
        cluster.machines.workers.keys().chain(at_work).any(|worker| match target {
            Target::Worker(id) => id == worker,
            Target::Node(id) => *id == self.book.site.node_of(worker),
        })
    }

    /// The client whose experiment has this id or name.
    pub(super) fn named(&self, said: &str) -> Option<usize> {
        (0..).zip(&self.clients).position(|(index, _)| means(said, index))
    }
}
