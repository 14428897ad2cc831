//! How trials ended, against how they end undisturbed.

use super::{Book, Chapter};
use crate::simulation::question::{End, Script, undisturbed};

impl Book {
    /// Every trial ended as it does undisturbed: with the metrics its payload stands for, its share of failures, or pruned.
    pub(in crate::simulation) fn check_ends(&self) {
        for (id, chapter) in &self.chapters {
            for (index, trial) in chapter.trials.iter().enumerate().filter(|(_, trial)| !trial.cancelled) {
                let whole = trial.reached as usize == chapter.rungs.len();
                assert!(whole || !matches!(trial.end, Some(End::Succeeded(_))), "{id}.{index} ran past a rung");
            }
            if chapter.twin.is_some() {
                chapter.check_each();
                continue;
            }
            let (undisturbed, _) = undisturbed(&chapter.submission, &chapter.requeued());
            for (index, (trial, course)) in chapter.trials.iter().zip(undisturbed).enumerate() {
                if trial.cancelled {
                    continue;
                }
                assert_eq!(trial.end, Some(course.end), "{id}.{index} ended otherwise than undisturbed");
                assert_eq!(trial.failures, course.failures, "{id}.{index} failed more or less often than undisturbed");
                let parent = trial.parent.map(|descent| descent.trial);
                assert_eq!(parent, course.parent, "{id}.{index} goes on from another than undisturbed");
            }
        }
    }
}

impl Chapter {
    /// The same of trials whose verdicts hang on an order: those were held against its twin.
    fn check_each(&self) {
        let (id, retry) = (&self.submission.experiment, &self.submission.policy.retry);
        for (index, trial) in self.trials.iter().enumerate().filter(|(_, trial)| !trial.cancelled) {
            let script = Script::read(&trial.payload);
            let (end, failures) = if trial.end == Some(End::Pruned) {
                let step = script.holds_at(self.rungs[trial.reached as usize - 1]);
                (End::Pruned, script.failures_before(step, retry, trial.requeued).expect("it got there"))
            } else {
                script.end(script.start(), retry, trial.requeued)
            };
            assert_eq!(trial.end, Some(end), "{id}.{index} ended otherwise than by its script");
            assert_eq!(trial.failures, failures, "{id}.{index} failed more or less often than by its script");
        }
    }
}
