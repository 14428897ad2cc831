//! What an experiment comes to when nothing disturbs it. Of an asynchronous sweep nobody knows: its answers hang on the order
//! in which trials end, and [`crate::simulation::twin`] is held against the order that the journal tells.

use std::collections::VecDeque;
use std::ops::Range;

use protocol::{ExperimentState, Submission};
use spec::RetrySpec;

use super::{End, Script, Stand, open};
use crate::sweep::{Ask, Sweep, SweepOutcome};

/// A trial from its beginning to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::simulation) struct Course {
    pub(in crate::simulation) payload: Vec<u8>,
    /// Whose training it goes on from.
    pub(in crate::simulation) parent: Option<u32>,
    pub(in crate::simulation) end: End,
    /// Failures that count against its budget.
    pub(in crate::simulation) failures: u32,
    from: Stand,
}

impl Course {
    fn new(payload: Vec<u8>, begins: Option<(u32, Stand)>, (retry, requeued): (&RetrySpec, u32)) -> Self {
        let script = Script::read(&payload);
        let from = begins.map_or(script.start(), |(_, from)| from);
        let (end, failures) = script.end(from, retry, requeued);
        Self { payload, parent: begins.map(|(parent, _)| parent), end, failures, from }
    }

    fn outcome(&self) -> SweepOutcome {
        match &self.end {
            End::Succeeded(bytes) => SweepOutcome::Succeeded(bytes.clone()),
            End::Failed(_) => SweepOutcome::Failed,
            End::Pruned => SweepOutcome::Pruned,
        }
    }
}

/// What each trial may spend: a budget of failures, and one more for each time it was requeued.
#[derive(Clone, Copy)]
struct Budgets<'a> {
    retry: &'a RetrySpec,
    requeued: &'a [u32],
}

impl<'a> Budgets<'a> {
    fn of(self, index: usize) -> (&'a RetrySpec, u32) {
        (self.retry, self.requeued.get(index).copied().unwrap_or_default())
    }
}

/// All trials by index, and the experiment's state. `requeued`: how often each trial was tried again by somebody's word,
/// before its sweep knew how it ended.
pub(in crate::simulation) fn undisturbed(submission: &Submission, requeued: &[u32]) -> (Vec<Course>, ExperimentState) {
    let mut sweep = open(submission).expect("submissions of a world open");
    let budgets = Budgets { retry: &submission.policy.retry, requeued };
    let mut trials: Vec<Course> = Vec::new();
    let mut batches: VecDeque<Range<usize>> = VecDeque::new();
    loop {
        let done = loop {
            match sweep.ask() {
                Ask::Batch(payloads) => {
                    let first = trials.len();
                    for payload in payloads {
                        trials.push(Course::new(payload, None, budgets.of(trials.len())));
                    }
                    climb(&mut trials, first, (&mut *sweep, budgets));
                    batches.push_back(first..trials.len());
                }
                Ask::Waiting => break false,
                Ask::Done => break true,
            }
        };
        // Once it is done the rest is told, and changes nothing.
        let Some(batch) = batches.pop_front().filter(|_| !done) else { break };
        for index in batch {
            sweep.tell(number(index), trials[index].outcome());
        }
    }
    let any = trials.iter().any(|course| matches!(course.end, End::Succeeded(_)));
    (trials, if any { ExperimentState::Succeeded } else { ExperimentState::Failed })
}

/// Takes the batch that begins with `first` from rung to rung: ends those that do not go on, and adds children.
fn climb(trials: &mut Vec<Course>, first: usize, (sweep, budgets): (&mut dyn Sweep, Budgets<'_>)) {
    let mut open: Vec<usize> = (first..trials.len()).collect();
    for (rung, share) in (0..).zip(sweep.rungs(0)) {
        // Who gets there, where it stands, and with how many failures on the way.
        let mut there = Vec::new();
        for index in open {
            let (script, from) = (Script::read(&trials[index].payload), trials[index].from);
            let step = script.holds_at(share);
            let (retry, requeued) = budgets.of(index);
            if let Some(failures) = script.failures_before(step, retry, requeued) {
                there.push((index, script.at(from, step), failures));
            }
        }
        let reached: Vec<_> =
            there.iter().map(|(index, stand, _)| (number(*index), Script::value(stand.weights))).collect();
        if reached.is_empty() {
            return;
        }
        let judged = sweep.judge(rung, &reached);
        open = judged.go_on.iter().map(|index| *index as usize).collect();
        for (index, _, failures) in there.iter().filter(|(index, ..)| !open.contains(index)) {
            (trials[*index].end, trials[*index].failures) = (End::Pruned, *failures);
        }
        for child in judged.children {
            let (_, stand, _) =
                there.iter().find(|(index, ..)| *index == child.parent as usize).expect("it holds there");
            open.push(trials.len());
            trials.push(Course::new(child.payload, Some((child.parent, *stand)), budgets.of(trials.len())));
        }
        open.sort_unstable();
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("few trials")
}
