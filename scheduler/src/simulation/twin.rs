//! An asynchronous sweep, told what the journal says it was told and in that order: it must ask what the journal says was
//! asked, and judge as the journal says it judged.

use std::collections::{BTreeSet, VecDeque};

use protocol::Submission;
use spec::Finite;

use super::question::open;
use crate::sweep::{Ask, Pace, Sweep, SweepOutcome};

pub(super) struct Twin {
    sweep: Box<dyn Sweep>,
    told: BTreeSet<u32>,
    /// Asked for, and not in the journal yet.
    due: VecDeque<Vec<u8>>,
}

impl Twin {
    /// `None` for a sweep that is told of whole batches.
    pub(super) fn of(submission: &Submission) -> Option<Self> {
        let sweep = open(submission).expect("submissions of a world open");
        let each = sweep.pace() == Pace::Asynchronous;
        each.then(|| Self { sweep, told: BTreeSet::new(), due: VecDeque::new() })
    }

    /// It is told of these ends.
    pub(super) fn tell(&mut self, told: impl Iterator<Item = (u32, SweepOutcome)>) {
        for (index, outcome) in told {
            assert!(self.due.is_empty(), "trial {index} is told in the middle of a question");
            assert!(self.told.insert(index), "trial {index} is told twice");
            self.sweep.tell(index, outcome);
        }
    }

    /// What it asks next.
    pub(super) fn ask(&mut self) -> Vec<u8> {
        if self.due.is_empty() {
            match self.sweep.ask() {
                Ask::Batch(payloads) => self.due.extend(payloads),
                Ask::Waiting => panic!("it waits, having been told of {:?}", self.told),
                Ask::Done => panic!("it has asked for all, having been told of {:?}", self.told),
            }
        }
        self.due.pop_front().expect("no batch is empty")
    }

    /// Whether a trial goes on from a rung.
    pub(super) fn goes_on(&mut self, rung: u32, index: u32, value: Option<Finite>) -> bool {
        self.sweep.judge(rung, &[(index, value)]).go_on.contains(&index)
    }

    /// It asks for nothing more.
    pub(super) fn has_asked_all(&mut self) -> bool {
        self.due.is_empty() && matches!(self.sweep.ask(), Ask::Done)
    }
}
