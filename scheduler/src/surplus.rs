//! Checkpoints that nothing can need any more. The journal names every one that was handed in; needed is what a trial that
//! may still go on goes on from.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{ExperimentState, TrialState};
use spec::{Digest, TrialId};

use crate::event::{Event, Record};
use crate::journal::{Journal, JournalError};
use crate::ledger::{Experiment, Ledger};
use crate::trial::{Change, Trial};

/// What trials handed in that have come to their end, and what those that go on lent, less what any trial can still go on
/// from. Nothing else of a trial that may go on is surplus: its worker deletes what it supersedes, but never what is lent.
pub(crate) fn checkpoints(journal: &dyn Journal) -> Result<BTreeSet<Digest>, JournalError> {
    let mut ledger = Ledger::default();
    let mut handed_in: BTreeMap<TrialId, BTreeSet<Digest>> = BTreeMap::new();
    journal.replay(&mut |Record { at, event }| {
        if let Event::Trial {
            trial,
            change: Change::Checkpoint { checkpoint, .. } | Change::Pause { checkpoint, .. },
        } = &event
        {
            handed_in.entry(trial.clone()).or_default().insert(checkpoint.digest);
        }
        ledger.apply(at, &event)
    })?;
    let (mut surplus, mut needed) = (BTreeSet::new(), BTreeSet::new());
    for experiment in ledger.experiments() {
        for (index, trial) in (0..).zip(&experiment.trials) {
            if may_go_on(experiment, trial) {
                need(experiment, trial, &mut needed);
                surplus.extend(trial.lent.iter().map(|checkpoint| checkpoint.digest));
            } else {
                let trial = TrialId { experiment: experiment.submission.experiment.clone(), index };
                surplus.extend(handed_in.remove(&trial).unwrap_or_default());
            }
        }
    }
    Ok(surplus.difference(&needed).copied().collect())
}

/// A failed trial may be requeued until its experiment has succeeded or was cancelled.
const fn may_go_on(experiment: &Experiment, trial: &Trial) -> bool {
    match trial.state {
        TrialState::Succeeded { .. } | TrialState::Pruned | TrialState::Cancelled => false,
        TrialState::Failed { .. } => {
            !matches!(experiment.state, ExperimentState::Succeeded | ExperimentState::Cancelled)
        }
        TrialState::Waiting { .. }
        | TrialState::Queued { .. }
        | TrialState::Leased { .. }
        | TrialState::Running { .. }
        | TrialState::Paused { .. } => true,
    }
}

fn need(experiment: &Experiment, trial: &Trial, needed: &mut BTreeSet<Digest>) {
    needed.extend(trial.checkpoints.iter().map(|checkpoint| checkpoint.digest));
    // Before its own, and should they all be damaged, there is that of the trial it came from.
    needed.extend(trial.parent.iter().map(|parent| parent.checkpoint.digest));
    match &trial.state {
        TrialState::Queued { from: Some(checkpoint), .. } | TrialState::Paused { checkpoint, .. } => {
            needed.insert(checkpoint.digest);
        }
        // It begins with what the other one ends with.
        TrialState::Waiting { on } => {
            let on = experiment.trials.get(*on as usize);
            needed.extend(on.into_iter().flat_map(|on| &on.checkpoints).map(|checkpoint| checkpoint.digest));
        }
        TrialState::Queued { from: None, .. }
        | TrialState::Leased { .. }
        | TrialState::Running { .. }
        | TrialState::Succeeded { .. }
        | TrialState::Pruned
        | TrialState::Failed { .. }
        | TrialState::Cancelled => {}
    }
}

#[cfg(test)]
mod tests;
