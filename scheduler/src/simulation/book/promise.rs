//! What a scheduler let out, which no crash may take back.

use protocol::{Cordon, ExperimentState, Target};
use spec::{AttemptId, CheckpointRef, ExperimentId, TrialId};

use super::Book;
use crate::simulation::question::End;

/// Something that somebody was told.
#[derive(Clone, Debug)]
pub(in crate::simulation) enum Promise {
    Submitted(ExperimentId, Vec<u8>),
    Ended(ExperimentId, ExperimentState),
    Finished(TrialId, End),
    Stored(TrialId, CheckpointRef),
    Granted(AttemptId),
    Cordoned(Target, Cordon),
    Requeued(TrialId),
}

impl Book {
    /// Somebody is told something.
    pub(in crate::simulation) fn promise(&mut self, promise: Promise) {
        self.check_promise(&promise);
        self.promises.push(promise);
    }

    /// Everything that was ever told is still so.
    pub(in crate::simulation) fn check_promises(&self) {
        self.promises.iter().for_each(|promise| self.check_promise(promise));
    }

    fn check_promise(&self, promise: &Promise) {
        match promise {
            Promise::Submitted(id, payload) => {
                let chapter = self.chapters.get(id).unwrap_or_else(|| panic!("{id} was acknowledged and is not there"));
                assert_eq!(chapter.submission.payload, *payload, "{id} was acknowledged and is another");
            }
            Promise::Ended(id, state) => {
                let chapter = self.chapters.get(id);
                let reopened =
                    chapter.is_some_and(|chapter| chapter.is_requeued()) && *state == ExperimentState::Failed;
                let ended = chapter.and_then(|chapter| chapter.ended);
                assert!(reopened || ended == Some(*state), "{id} was said to have {state}, and is {ended:?}");
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
            Promise::Requeued(trial) => {
                let entry = self.chapters.get(&trial.experiment).and_then(|all| all.trials.get(trial.index as usize));
                let again = entry.is_some_and(|entry| entry.requeued > 0);
                assert!(again, "{trial} was said to be tried again and never was");
            }
        }
    }
}
