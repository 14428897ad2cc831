//! A ledger as bytes. What follows from the rest is not in them: queues, counts and indices are made anew.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use protocol::{Descent, Submission, TrialState};
use spec::{AttemptId, CheckpointRef, ExperimentId, Finite, TrialId, WorkerId};

use super::{Experiment, Held, Ledger};
use crate::code::{Code, put_bytes, put_json, take_bytes, take_json};
use crate::trial::Trial;

impl Code for Ledger {
    fn put(&self, to: &mut Vec<u8>) {
        let Self { experiments, live, cordons, last_attempt, .. } = self;
        (experiments.len() as u64).put(to);
        experiments.values().for_each(|experiment| experiment.put(to));
        (live.len() as u64).put(to);
        for (attempt, held) in live {
            attempt.put(to);
            held.put(to);
        }
        put_json(&cordons.iter().collect::<Vec<_>>(), to);
        last_attempt.put(to);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let mut ledger = Self::default();
        for experiment in Vec::<Experiment>::take(from)? {
            let id = experiment.submission.experiment.clone();
            for on in &experiment.waits {
                ledger.waiting.entry(on.clone()).or_default().insert(id.clone());
            }
            if !experiment.state.is_final() {
                ledger.open.insert((Reverse(experiment.submission.policy.priority), experiment.sequence, id.clone()));
            }
            ledger.experiments.insert(id, experiment);
        }
        for (attempt, held) in Vec::<(AttemptId, Held)>::take(from)? {
            ledger.hold(attempt, held);
        }
        ledger.cordons = BTreeMap::from_iter(take_json::<Vec<_>>(from)?);
        ledger.last_attempt = AttemptId::take(from)?;
        Some(ledger)
    }
}

impl Code for Held {
    fn put(&self, to: &mut Vec<u8>) {
        let Self { trial, worker, node, gpus } = self;
        trial.put(to);
        worker.put(to);
        node.put(to);
        gpus.put(to);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Some(Self {
            trial: TrialId::take(from)?,
            worker: WorkerId::take(from)?,
            node: Code::take(from)?,
            gpus: Code::take(from)?,
        })
    }
}

impl Code for Experiment {
    fn put(&self, to: &mut Vec<u8>) {
        let Self { submission, submitted, state, trials, waits, reason, sequence, served, arrivals, .. } = self;
        put_json(submission, to);
        put_bytes(&submission.payload, to);
        submitted.put(to);
        put_json(state, to);
        trials.put(to);
        waits.iter().cloned().collect::<Vec<_>>().put(to);
        reason.put(to);
        sequence.put(to);
        served.put(to);
        arrivals.put(to);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let mut submission: Submission = take_json(from)?;
        submission.payload = take_bytes(from)?.to_vec();
        let submitted = Code::take(from)?;
        let state = take_json(from)?;
        let trials = Vec::<Trial>::take(from)?;
        let waits: Vec<ExperimentId> = Code::take(from)?;
        let (reason, sequence) = (Code::take(from)?, u32::take(from)?);
        let (served, arrivals) = (AttemptId::take(from)?, u32::take(from)?);
        let mut experiment = Self::new(submission, submitted, sequence).with(trials);
        (experiment.state, experiment.waits, experiment.reason) = (state, waits.into_iter().collect(), reason);
        (experiment.served, experiment.arrivals) = (served, arrivals);
        Some(experiment)
    }
}

impl Code for Trial {
    fn put(&self, to: &mut Vec<u8>) {
        let Self {
            payload,
            state,
            failures,
            losses,
            degrade,
            checkpoints,
            rungs,
            arrivals,
            parent,
            lent,
            told,
            stored,
            last_failure,
            outcome,
        } = self;
        put_bytes(payload, to);
        state.put(to);
        failures.put(to);
        losses.put(to);
        degrade.put(to);
        checkpoints.put(to);
        rungs.put(to);
        arrivals.put(to);
        parent.map(|descent| (descent.trial, descent.checkpoint)).put(to);
        lent.put(to);
        told.put(to);
        stored.put(to);
        last_failure.put(to);
        u8::from(outcome.is_some()).put(to);
        put_bytes(outcome.as_deref().unwrap_or_default(), to);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let payload = take_bytes(from)?.to_vec();
        let state = TrialState::take(from)?;
        let (failures, losses, degrade) = (u32::take(from)?, u32::take(from)?, u8::take(from)?);
        let checkpoints = Vec::<CheckpointRef>::take(from)?;
        let (rungs, arrivals) = (Vec::<Option<Finite>>::take(from)?, Code::take(from)?);
        let parent: Option<(u32, CheckpointRef)> = Code::take(from)?;
        let parent = parent.map(|(trial, checkpoint)| Descent { trial, checkpoint });
        let (lent, told, stored) = (Code::take(from)?, Code::take(from)?, Code::take(from)?);
        let last_failure = Code::take(from)?;
        let (ended, outcome) = (u8::take(from)?, take_bytes(from)?);
        let outcome = (ended == 1).then(|| outcome.to_vec());
        Some(Self {
            payload,
            state,
            failures,
            losses,
            degrade,
            checkpoints,
            rungs,
            arrivals,
            parent,
            lent,
            told,
            stored,
            last_failure,
            outcome,
        })
    }
}

impl Code for TrialState {
    fn put(&self, to: &mut Vec<u8>) {
        match self {
            Self::Waiting { on } => (0_u8, *on).put(to),
            Self::Queued { not_before, from } => (1_u8, (*not_before, *from)).put(to),
            Self::Leased { attempt, worker, since } => (2_u8, ((*attempt, worker.clone()), *since)).put(to),
            Self::Running { attempt, worker, since } => (3_u8, ((*attempt, worker.clone()), *since)).put(to),
            Self::Paused { rung, checkpoint } => (4_u8, (*rung, *checkpoint)).put(to),
            Self::Succeeded { attempt } => (5_u8, *attempt).put(to),
            Self::Pruned => 6_u8.put(to),
            Self::Failed { class, message } => (7_u8, (*class, message.clone())).put(to),
            Self::Cancelled => 8_u8.put(to),
        }
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let taken = match u8::take(from)? {
            0 => Self::Waiting { on: u32::take(from)? },
            1 => Self::Queued { not_before: Code::take(from)?, from: Code::take(from)? },
            2 => Self::Leased { attempt: Code::take(from)?, worker: Code::take(from)?, since: Code::take(from)? },
            3 => Self::Running { attempt: Code::take(from)?, worker: Code::take(from)?, since: Code::take(from)? },
            4 => Self::Paused { rung: u32::take(from)?, checkpoint: Code::take(from)? },
            5 => Self::Succeeded { attempt: Code::take(from)? },
            6 => Self::Pruned,
            7 => Self::Failed { class: Code::take(from)?, message: Code::take(from)? },
            8 => Self::Cancelled,
            _ => return None,
        };
        Some(taken)
    }
}
