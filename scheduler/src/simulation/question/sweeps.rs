//! The sweeps of a world. What they ask hangs on all that they were told, and on the order in which they were.

use std::collections::VecDeque;

use protocol::Submission;
use spec::{Finite, Share};

use super::mix;
use crate::sweep::{Ask, Child, Judgement, OpenError, Pace, Sweep, SweepOutcome, Sweeps};

/// What a sweep has heard, as one number.
#[derive(Clone, Copy)]
struct Told(u64);

impl Told {
    fn hear(&mut self, index: u32, outcome: SweepOutcome) {
        let word = match outcome {
            SweepOutcome::Succeeded(bytes) => u64::from_le_bytes(bytes.try_into().unwrap_or_default()),
            SweepOutcome::Failed => 1,
            SweepOutcome::Cancelled => 2,
            SweepOutcome::Pruned => 3,
        };
        self.0 = mix(self.0.rotate_left(9) ^ word ^ u64::from(index) << 32);
    }

    /// The payload of the `asked`-th question after that.
    fn payload(self, asked: u64) -> Vec<u8> {
        mix(self.0 ^ asked << 40).to_le_bytes().to_vec()
    }
}

/// Up to two open batches. At each of its rungs the better half of a batch goes on.
struct Batches {
    rungs: Vec<Share>,
    left: u32,
    batch: u32,
    window: usize,
    told: Told,
    asked: u64,
    open: VecDeque<u32>,
}

impl Sweep for Batches {
    fn ask(&mut self) -> Ask {
        if self.left == 0 {
            return Ask::Done;
        }
        if self.open.len() == self.window {
            return Ask::Waiting;
        }
        let count = self.batch.min(self.left);
        self.left -= count;
        self.open.push_back(count);
        let payloads = (0..count).map(|_| {
            self.asked += 1;
            self.told.payload(self.asked)
        });
        Ask::Batch(payloads.collect())
    }

    fn tell(&mut self, index: u32, outcome: SweepOutcome) {
        self.told.hear(index, outcome);
        if let Some(first) = self.open.front_mut() {
            *first -= 1;
            if *first == 0 {
                self.open.pop_front();
            }
        }
    }

    fn rungs(&self, _: u32) -> Vec<Share> {
        self.rungs.clone()
    }

    fn judge(&mut self, _: u32, reached: &[(u32, Option<Finite>)]) -> Judgement {
        let mut go_on = ranked(reached);
        go_on.truncate(reached.len().div_ceil(2));
        Judgement { go_on, children: Vec::new() }
    }
}

/// Populations, one after the other. At each rung the worst quarter, of two or more one at least, makes room for children of
/// the best.
struct Family {
    rungs: Vec<Share>,
    left: u32,
    members: u32,
    told: Told,
    asked: u64,
    /// The second word of all payloads.
    name: u64,
    open: u32,
}

impl Family {
    fn payload(&self, question: u64) -> Vec<u8> {
        let mut payload = self.told.payload(question);
        payload.extend(self.name.to_le_bytes());
        payload
    }
}

impl Sweep for Family {
    fn ask(&mut self) -> Ask {
        if self.left == 0 {
            return Ask::Done;
        }
        if self.open > 0 {
            return Ask::Waiting;
        }
        self.open = self.members.min(self.left);
        self.left -= self.open;
        let first = self.asked + 1;
        self.asked += u64::from(self.open);
        Ask::Batch((first..=self.asked).map(|question| self.payload(question)).collect())
    }

    fn tell(&mut self, index: u32, outcome: SweepOutcome) {
        self.told.hear(index, outcome);
        self.open -= 1;
    }

    fn rungs(&self, _: u32) -> Vec<Share> {
        self.rungs.clone()
    }

    fn judge(&mut self, rung: u32, reached: &[(u32, Option<Finite>)]) -> Judgement {
        let mut go_on = ranked(reached);
        let worst = if go_on.len() < 2 { 0 } else { (go_on.len() / 4).max(1) };
        go_on.truncate(go_on.len() - worst);
        self.open += u32::try_from(worst).expect("few trials");
        // Questions that no `ask` counts: apart by rung and place.
        let question = |place: usize| 1 << 16 | u64::from(rung) << 8 | place as u64;
        let child = |place: usize| Child { parent: go_on[place], payload: self.payload(question(place)) };
        Judgement { children: (0..worst).map(child).collect(), go_on }
    }
}

/// Asks for more whenever some have ended. Of its rungs those go on that are in the better half so far.
struct Each {
    rungs: Vec<Share>,
    left: u32,
    window: u32,
    /// Asked for at once.
    stride: u32,
    told: Told,
    asked: u64,
    open: u32,
    /// What was measured at which rung.
    shown: Vec<(u32, Option<Finite>)>,
}

impl Sweep for Each {
    fn pace(&self) -> Pace {
        Pace::Asynchronous
    }

    fn ask(&mut self) -> Ask {
        if self.left == 0 {
            return Ask::Done;
        }
        let free = (self.window - self.open).min(self.left);
        if free < self.stride.min(self.left) {
            return Ask::Waiting;
        }
        self.left -= free;
        self.open += free;
        let first = self.asked + 1;
        self.asked += u64::from(free);
        Ask::Batch((first..=self.asked).map(|question| self.told.payload(question)).collect())
    }

    fn tell(&mut self, index: u32, outcome: SweepOutcome) {
        self.told.hear(index, outcome);
        self.open -= 1;
    }

    fn rungs(&self, _: u32) -> Vec<Share> {
        self.rungs.clone()
    }

    fn judge(&mut self, rung: u32, reached: &[(u32, Option<Finite>)]) -> Judgement {
        let [(index, value)] = reached else { panic!("an asynchronous trial is judged by itself: {reached:?}") };
        let here = self.shown.iter().filter(|(at, _)| *at == rung);
        let (all, better) = (here.clone().count() + 1, here.filter(|(_, shown)| shown > value).count());
        self.shown.push((rung, *value));
        let go_on = if better < all.div_ceil(2) { vec![*index] } else { Vec::new() };
        Judgement { go_on, children: Vec::new() }
    }
}

/// Trials by what they measured, the best first.
fn ranked(reached: &[(u32, Option<Finite>)]) -> Vec<u32> {
    let mut order = reached.to_vec();
    order.sort_by(|(_, one), (_, other)| other.cmp(one));
    order.into_iter().map(|(index, _)| index).collect()
}

/// The sweep of a submission: what it is hangs on the payload alone.
pub(in crate::simulation) fn open(submission: &Submission) -> Result<Box<dyn Sweep>, OpenError> {
    let bytes: [u8; 8] =
        submission.payload.as_slice().try_into().map_err(|_| OpenError { why: "not a sweep".to_owned() })?;
    let draw = mix(u64::from_le_bytes(bytes));
    let (left, batch) = (1 + (draw % 7) as u32, 1 + ((draw >> 8) % 4) as u32);
    let rungs = match (draw >> 24) % 4 {
        0 => vec![Share::of(0.5)],
        1 => vec![Share::of(0.25), Share::of(0.6)],
        _ => Vec::new(),
    };
    let (told, asked) = (Told(draw), 0);
    let sweep: Box<dyn Sweep> = match (draw >> 32) % 4 {
        0 => {
            let rungs = if rungs.is_empty() { vec![Share::of(0.25), Share::of(0.6)] } else { rungs };
            Box::new(Family { rungs, left, members: batch.max(2), told, asked, name: draw, open: 0 })
        }
        1 => {
            let stride = (1 + (draw >> 16) as u32 % 2).min(batch);
            Box::new(Each { rungs, left, window: batch, stride, told, asked, open: 0, shown: Vec::new() })
        }
        _ => {
            let window = 1 + (draw >> 16) as usize % 2;
            Box::new(Batches { rungs, left, batch, window, told, asked, open: VecDeque::new() })
        }
    };
    Ok(sweep)
}

pub(in crate::simulation) fn sweeps() -> Box<dyn Sweeps> {
    Box::new(open)
}
