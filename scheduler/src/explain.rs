//! Why a trial is where it is, as data and as one sentence.

use market::Timestamp;
use protocol::{Cause, Explanation, TrialState};
use spec::TrialId;

use crate::cluster::Cluster;
use crate::ledger::Experiment;

/// `None` when there is no such trial.
pub(crate) fn explain(cluster: &Cluster, now: Timestamp, id: &TrialId) -> Option<Explanation> {
    let experiment = cluster.ledger.experiment(&id.experiment)?;
    let trial = experiment.trials.get(id.index as usize)?;
    let why = match &trial.state {
        TrialState::Waiting { on } => Cause::NeedsTrial { index: *on },
        TrialState::Queued { not_before, .. } if *not_before > now => {
            Cause::BackingOff { until: *not_before, after: trial.last_failure }
        }
        TrialState::Queued { not_before, .. } => queued(cluster, experiment, id, *not_before),
        TrialState::Leased { attempt, worker, since } | TrialState::Running { attempt, worker, since } => {
            let expires = cluster.leases.get(attempt).map(|lease| lease.expires);
            Cause::WithWorker { worker: worker.clone(), since: *since, expires }
        }
        TrialState::Paused { rung, .. } => Cause::AtRung { rung: *rung },
        TrialState::Succeeded { .. } | TrialState::Pruned | TrialState::Failed { .. } | TrialState::Cancelled => {
            Cause::Ended
        }
    };
    let sentence = sentence(now, id, &trial.state, &why);
    Some(Explanation { trial: id.clone(), status: trial.state.clone(), why, sentence })
}

fn queued(cluster: &Cluster, experiment: &Experiment, id: &TrialId, not_before: Timestamp) -> Cause {
    let cpus = experiment.submission.policy.cpus;
    if cluster.draining || !cluster.serves(&id.experiment) {
        return Cause::NotDispatching;
    }
    let Some(largest) = cluster.workers.values().map(|worker| worker.registration.cpus).max() else {
        return Cause::NoWorker;
    };
    if cpus > largest {
        return Cause::TooLarge { cpus, largest };
    }
    if let (false, Some(limit)) = (experiment.has_room(), experiment.submission.policy.parallel) {
        return Cause::ParallelLimit { limit };
    }
    let of_others: usize = cluster
        .ledger
        .open()
        .take_while(|(other, _)| **other != id.experiment)
        .map(|(_, other)| other.queue().count())
        .sum();
    let of_its_own = experiment.queue().take_while(|place| *place < (not_before, id.index)).count();
    let workers = cluster.workers.values().filter(|worker| worker.registration.cpus >= cpus).count();
    Cause::Busy { workers: count(workers), ahead: count(of_others + of_its_own) }
}

fn count(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}

fn sentence(now: Timestamp, id: &TrialId, state: &TrialState, why: &Cause) -> String {
    let seconds = |until: Timestamp| until.seconds_since(now).max(0.0);
    match why {
        Cause::NeedsTrial { index } => format!("{id} waits for a checkpoint of {}.{index}.", id.experiment),
        Cause::BackingOff { until, after } => {
            let cause = after.map_or_else(|| "its worker vanished".to_owned(), |class| format!("it failed ({class})"));
            format!("{id} is tried again in {:.1} s because {cause}.", seconds(*until))
        }
        Cause::ParallelLimit { limit } => {
            format!("{id} waits because {limit} trials of its experiment run, as many as sweep.parallel allows.")
        }
        Cause::NoWorker => format!("{id} waits because no worker is connected: start one with `tradewind worker`."),
        Cause::TooLarge { cpus, largest } => {
            format!("{id} waits because it needs {cpus} CPU cores and the largest worker has {largest}.")
        }
        Cause::Busy { workers, ahead } => {
            format!("{id} waits for one of {workers} workers, with {ahead} trials ahead of it.")
        }
        Cause::NotDispatching => {
            format!("{id} waits because this scheduler is stopping or runs another experiment: resume it later.")
        }
        Cause::WithWorker { worker, since, expires } => {
            let lease =
                expires.map_or_else(String::new, |until| format!(", its lease ends in {:.1} s", seconds(until)));
            format!("{id} is {} on {worker} for {:.1} s{lease}.", state.name(), now.seconds_since(*since).max(0.0))
        }
        Cause::AtRung { rung } => format!("{id} holds at rung {rung} until its batch is there."),
        Cause::Ended => match state {
            TrialState::Failed { class, message } => format!("{id} failed ({class}): {message}."),
            TrialState::Waiting { .. }
            | TrialState::Queued { .. }
            | TrialState::Leased { .. }
            | TrialState::Running { .. }
            | TrialState::Paused { .. }
            | TrialState::Succeeded { .. }
            | TrialState::Pruned
            | TrialState::Cancelled => format!("{id} has {}.", ended(state)),
        },
    }
}

const fn ended(state: &TrialState) -> &'static str {
    match state {
        TrialState::Succeeded { .. } => "succeeded",
        TrialState::Pruned => "been stopped early by the sweep",
        TrialState::Cancelled => "been cancelled",
        TrialState::Failed { .. } => "failed",
        TrialState::Waiting { .. }
        | TrialState::Queued { .. }
        | TrialState::Leased { .. }
        | TrialState::Running { .. }
        | TrialState::Paused { .. } => "not ended",
    }
}
