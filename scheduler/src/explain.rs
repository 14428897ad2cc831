//! Why a trial is where it is, as data and as one sentence.

use std::collections::BTreeSet;

use market::Timestamp;
use protocol::{Cause, Explanation, Offer, Shortage, TrialState};
use spec::TrialId;

use crate::cluster::{Cluster, Worker, turn};
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
        TrialState::Queued { not_before, .. } => queued(cluster, now, experiment, (*not_before, id.index)),
        TrialState::Leased { attempt, worker, since } | TrialState::Running { attempt, worker, since } => {
            let expires = cluster.leases.get(attempt).map(|lease| lease.expires);
            Cause::WithWorker { worker: worker.clone(), since: *since, expires }
        }
        TrialState::Paused { rung, .. } => Cause::AtRung { rung: *rung },
        TrialState::Succeeded { .. } | TrialState::Pruned | TrialState::Failed { .. } | TrialState::Cancelled => {
            Cause::Ended
        }
    };
    let mut sentence = sentence(now, id, &trial.state, &why);
    if let (TrialState::Cancelled, Some(reason)) = (&trial.state, &experiment.reason) {
        sentence = format!("{id} has been cancelled: {reason}.");
    }
    Some(Explanation { trial: id.clone(), status: trial.state.clone(), why, sentence })
}

fn queued(cluster: &Cluster, now: Timestamp, experiment: &Experiment, place: (Timestamp, u32)) -> Cause {
    let policy = &experiment.submission.policy;
    let (id, demand) = (&experiment.submission.experiment, policy.demand());
    if cluster.draining || !cluster.serves(id) {
        return Cause::NotDispatching;
    }
    if !experiment.waits.is_empty() {
        return Cause::After { experiments: experiment.waits.iter().cloned().collect() };
    }
    let workers = &cluster.machines.workers;
    if workers.is_empty() {
        return Cause::NoWorker;
    }
    let fitting: Vec<&Worker> = workers.values().filter(|worker| worker.offer.holds(&demand)).collect();
    if fitting.is_empty() {
        let offers: Vec<Offer> = workers.values().map(|worker| worker.offer.clone()).collect();
        return Cause::TooLarge { needs: demand.to_string(), short: demand.shortages(&offers) };
    }
    if let (false, Some(limit)) = (experiment.has_room(), policy.parallel) {
        return Cause::ParallelLimit { limit };
    }
    if let Some(limit) = cluster.over_quota(experiment) {
        return Cause::Quota { owner: policy.owner.clone(), limit };
    }
    let open = fitting.iter().filter(|worker| cluster.closed(now, worker).is_none()).count();
    if open == 0 {
        let why: BTreeSet<String> = fitting.iter().filter_map(|worker| cluster.closed(now, worker)).collect();
        return Cause::Closed { why: why.into_iter().collect() };
    }
    let reserved = cluster.reservation.as_ref().filter(|kept| kept.experiment == *id).map(|kept| kept.node.clone());
    let preempting = cluster.preempting_for(id);
    if reserved.is_some() || !preempting.is_empty() {
        return Cause::Shared { needs: demand.to_string(), reserved, preempting };
    }
    let mine = turn(experiment);
    let before = cluster.ledger.open().filter(|(other, experiment)| *other != id && turn(experiment) < mine);
    let of_others: usize = before.map(|(_, other)| other.queued()).sum();
    let of_its_own = experiment.queue().take_while(|other| *other < place).count();
    Cause::Busy { workers: count(open), ahead: count(of_others + of_its_own) }
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
        Cause::TooLarge { needs, short } if short.is_empty() => {
            format!("{id} waits because it needs {needs}, and no worker has all of it.")
        }
        Cause::TooLarge { short, .. } => {
            let short = short.iter().map(|Shortage { resource, asked, largest }| {
                format!("it needs {asked} {resource} and the largest worker has {largest}")
            });
            format!("{id} waits because {}.", short.collect::<Vec<_>>().join(", "))
        }
        Cause::Quota { owner, limit } => {
            let whose = owner.as_ref().map_or_else(|| "experiments without an owner".to_owned(), ToString::to_string);
            format!("{id} waits because {whose} may hold {limit} CPU cores at once.")
        }
        Cause::After { experiments } => {
            let others: Vec<String> = experiments.iter().map(ToString::to_string).collect();
            format!("{id} waits until {} succeeded.", others.join(" and "))
        }
        Cause::Closed { why } => format!("{id} waits because {}.", why.join(" and ")),
        Cause::Shared { needs, reserved, preempting } => {
            let mut text = format!("{id} waits until {needs} are free at once");
            if let Some(node) = reserved {
                text += &format!("; node {node} is kept free for it");
            }
            if !preempting.is_empty() {
                text += &format!("; {} attempts of lower priority are asked to stop for it", preempting.len());
            }
            text + "."
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
