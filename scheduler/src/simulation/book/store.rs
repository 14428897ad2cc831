//! What is deleted of the store: nothing that an attempt may yet begin with.

use std::collections::BTreeSet;

use spec::Digest;

use super::Book;

impl Book {
    /// Somebody deletes these checkpoints. An attempt begins at the newest of its trial, at the one before should that be
    /// damaged, and at what a parent lent should both be: of a trial that is open or may be tried again none is among them.
    pub(in crate::simulation) fn check_deleted(&self, deleted: &BTreeSet<Digest>) {
        for (id, chapter) in &self.chapters {
            let trials = chapter.trials.iter().enumerate();
            for (index, trial) in trials.filter(|(_, trial)| chapter.may_begin(trial)) {
                let lent = trial.parent.iter().map(|descent| &descent.checkpoint);
                for checkpoint in trial.checkpoints.iter().chain(lent) {
                    let gone = deleted.contains(&checkpoint.digest);
                    assert!(!gone, "{id}.{index} may yet begin at step {}, which is deleted", checkpoint.step);
                }
            }
        }
    }
}
