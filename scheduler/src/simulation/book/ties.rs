//! What ties experiments to people, to one another and to time: whether they keep to it when they start, end and are tried
//! again.

use market::Timestamp;
use protocol::{ExperimentState, Policy};
use spec::{ExperimentId, Owner, TrialId};

use super::{Book, Chapter, Excuses};
use crate::simulation::question::End;

impl Book {
    /// CPU cores that the attempts of an owner hold.
    fn held_by(&self, owner: Option<&Owner>) -> u64 {
        let of_owner = self.chapters.values().filter(|chapter| chapter.submission.policy.owner.as_ref() == owner);
        of_owner.map(|chapter| chapter.running() as u64 * u64::from(chapter.submission.policy.cpus)).sum()
    }

    /// Whether one more trial of an experiment keeps within the quota of its owner.
    fn has_quota(&self, policy: &Policy) -> bool {
        self.held_by(policy.owner.as_ref()) + u64::from(policy.cpus) <= self.ties.limit(policy)
    }

    /// Experiments that one is waiting for, or waited for: the scheduler keeps ids.
    fn before<'a>(&'a self, chapter: &'a Chapter) -> impl Iterator<Item = &'a Chapter> {
        chapter.submission.policy.after.iter().map(move |on| {
            let on: ExperimentId = on.as_str().parse().expect("ids and names follow one rule");
            self.chapters.get(&on).unwrap_or_else(|| panic!("{on} is waited for and was never taken in"))
        })
    }

    /// Whether a trial of an experiment may be leased now, as far as the journal tells.
    pub(in crate::simulation) fn is_ready(&self, chapter: &Chapter, now: Timestamp) -> bool {
        chapter.is_ready(now)
            && !chapter.is_late(now)
            && self.has_quota(&chapter.submission.policy)
            && self.before(chapter).all(|on| on.ended == Some(ExperimentState::Succeeded))
    }

    /// An experiment is taken in: nothing is waited for that has ended in vain, and there is time left.
    pub(super) fn check_taken_in(&self, at: Timestamp, id: &ExperimentId) {
        let chapter = &self.chapters[id];
        assert!(!chapter.is_late(at), "{id} is taken in after its deadline");
        for on in self.before(chapter) {
            assert!(!on.ended_in_vain(), "{id} is taken in to follow {}, which ended", on.submission.experiment);
        }
    }

    /// An attempt starts: in time, within a quota, after all that comes before it.
    pub(super) fn check_start(&self, at: Timestamp, id: &TrialId) {
        let chapter = &self.chapters[&id.experiment];
        assert!(!chapter.is_late(at), "{id} starts after its deadline");
        assert!(self.has_quota(&chapter.submission.policy), "{id} starts beyond the quota of its owner");
        for on in self.before(chapter) {
            let ended = on.ended;
            assert_eq!(ended, Some(ExperimentState::Succeeded), "{id} starts before {}", on.submission.experiment);
        }
    }

    /// An experiment ends: once its trials have, by somebody's word, with one that it waited for, or because it is late.
    pub(super) fn end(&mut self, at: Timestamp, id: &ExperimentId, (state, reason): (ExperimentState, Option<&str>)) {
        let chapter = self.open(id);
        chapter.ended = Some(state);
        let all = chapter.trials.iter().all(|trial| trial.end.is_some());
        for trial in &mut chapter.trials {
            trial.live = None;
            trial.cancelled |= trial.end.is_none();
        }
        let Some(reason) = reason else {
            return assert!(all || state == ExperimentState::Cancelled, "{id} has {state} with open trials");
        };
        assert_eq!(state, ExperimentState::Cancelled, "{id} has {state} because {reason}");
        let chapter = &self.chapters[id];
        let late = chapter.submission.policy.deadline.filter(|deadline| *deadline <= at);
        let late = late.map(|deadline| format!("its deadline {deadline} has passed")).filter(|why| why == reason);
        let late_again = late.is_some() && chapter.reopened;
        let in_vain = self.before(chapter).filter_map(|on| {
            let fate = if on.ended? == ExperimentState::Failed { "failed" } else { "was cancelled" };
            on.ended_in_vain().then(|| format!("it waited for {}, which {fate}", on.submission.experiment))
        });
        assert!(
            late.into_iter().chain(in_vain).any(|why| why == reason),
            "{id} ends because {reason}, which is not so"
        );
        self.rare.late_again += u64::from(late_again);
    }

    /// Whoever was cancelled without a reason was cancelled by somebody.
    pub(super) fn check_cancelled(
        id: &ExperimentId,
        (state, reason): (ExperimentState, Option<&str>),
        excuses: &Excuses,
    ) {
        let asked = excuses.cancelled.contains(id);
        let itself = state != ExperimentState::Cancelled || reason.is_some();
        assert!(itself || asked, "{id} is cancelled, and nobody asked for it");
    }

    /// A failed trial is tried again, with a new budget; its experiment is open for it.
    pub(super) fn requeue(&mut self, at: Timestamp, id: &TrialId) {
        let chapter = self.chapters.get_mut(&id.experiment).unwrap_or_else(|| panic!("{id} was never taken in"));
        let over = matches!(chapter.ended, Some(ExperimentState::Succeeded | ExperimentState::Cancelled));
        assert!(!over, "{id} is tried again, and its experiment is over");
        assert!(!chapter.is_late(at), "{id} is tried again after its deadline");
        chapter.reopened |= chapter.ended.take().is_some();
        let trial = chapter.trials.get_mut(id.index as usize).unwrap_or_else(|| panic!("{id} was never asked"));
        assert!(matches!(trial.end, Some(End::Failed(_))), "{id} is tried again and had not failed");
        trial.end = None;
        (trial.failures, trial.not_before) = (0, at);
        trial.requeued += 1;
        self.rare.children_again += u64::from(trial.parent.is_some());
    }

    /// Between two rounds nobody holds too much, nothing waits in vain, and once time has passed nothing is late.
    pub(in crate::simulation) fn check_ties(&self, now: Timestamp, ticked: bool) {
        for (id, chapter) in &self.chapters {
            let policy = &chapter.submission.policy;
            let held = self.held_by(policy.owner.as_ref());
            assert!(held <= self.ties.limit(policy), "the owner of {id} holds {held} cores, beyond its quota");
            if chapter.ended.is_some() {
                continue;
            }
            assert!(!(ticked && chapter.is_late(now)), "{id} is open after its deadline");
            for on in self.before(chapter) {
                assert!(!on.ended_in_vain(), "{id} waits for {}, which ended in vain", on.submission.experiment);
            }
        }
    }
}
