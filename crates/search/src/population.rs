//! Population-based training (Jaderberg et al. 2017, arXiv:1711.09846): the worst members go on from the checkpoints of
//! the best, with points that were changed a little.

use serde::{Deserialize, Serialize};

use crate::draws::{Draws, Use};
use crate::{Domain, Point, Scale, Space, Value, random};

/// Settings: truncation selection and the changes of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Population {
    /// The share of members at each end: that many of the worst copy one of that many of the best. Default: 0.2.
    /// Range: 0 to 0.5.
    pub share: f64,
    /// A number is multiplied by 1 minus or plus this. Default: 0.2. Range: above 0, below 1.
    pub perturbed: f64,
    /// The chance that an axis is drawn anew instead of changed. Default: 0.25. Range: 0 to 1.
    pub resampled: f64,
}

impl Default for Population {
    fn default() -> Self {
        Self { share: 0.2, perturbed: 0.2, resampled: 0.25 }
    }
}

/// A trial of the population at the end of a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Its index.
    pub trial: u32,
    /// Its point.
    pub point: Point,
    /// What it showed in this round, to be minimised. One that is not finite is the worst.
    pub value: f64,
}

/// What a member does in the next round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Step {
    /// Goes on as it is.
    Keep,
    /// Goes on from another member's checkpoint, with a point of its own.
    Copy {
        /// The trial whose checkpoint it takes.
        from: u32,
        /// Its new point.
        point: Point,
    },
}

impl Population {
    /// What each member does next, in their order. `round` is part of what randomness hangs on, beside `key`; the order
    /// of members is not.
    #[must_use]
    pub fn steps(&self, space: &Space, members: &[Member], key: &[u8; 32], round: u32) -> Vec<Step> {
        let mut order: Vec<usize> = (0..members.len()).collect();
        let value = |place: usize| if members[place].value.is_finite() { members[place].value } else { f64::INFINITY };
        order.sort_by(|&left, &right| {
            value(left).total_cmp(&value(right)).then(members[left].trial.cmp(&members[right].trial))
        });
        let ends = (members.len() as f64 * self.share.clamp(0.0, 0.5)) as usize;
        let mut steps = vec![Step::Keep; members.len()];
        let mut draws = Draws::new(key, Use::Population, round);
        for &place in order.iter().rev().take(ends).rev() {
            let from = &members[order[draws.pick(ends)]];
            // A population without a value has nobody to learn from.
            if from.value.is_finite() {
                let point = self.explore(space, &from.point, &mut draws);
                steps[place] = Step::Copy { from: from.trial, point };
            }
        }
        steps
    }

    /// A point near another: numbers are multiplied, by 0.8 or 1.2 as the default is, along a log scale as well; levels stay; some axes are
    /// drawn anew, and so are those that became active.
    fn explore(&self, space: &Space, from: &Point, draws: &mut Draws) -> Point {
        space.walk(|place| {
            let domain = space.domain(place);
            let is_new = draws.unit() < self.resampled;
            let factor = if draws.unit() < 0.5 { 1.0 - self.perturbed } else { 1.0 + self.perturbed };
            match from.0[place] {
                Some(value) if !is_new => changed(domain, value, factor),
                Some(_) | None => random::value(domain, draws),
            }
        })
    }
}

fn changed(domain: &Domain, value: Value, factor: f64) -> Value {
    match (*domain, value) {
        (Domain::Real { low, high, .. }, Value::Real(real)) => Value::Real((real * factor).clamp(low, high)),
        (Domain::Integer { low, high, scale: Scale::Linear | Scale::Log }, Value::Integer(whole)) => {
            let moved = libm::round(whole as f64 * factor) as i64;
            // A small number rounds back to itself, and must move all the same.
            let moved = if moved == whole { whole.saturating_add(if factor < 1.0 { -1 } else { 1 }) } else { moved };
            Value::Integer(moved.clamp(low, high))
        }
        (Domain::Real { .. } | Domain::Integer { .. } | Domain::Categorical { .. }, value) => value,
    }
}

#[cfg(test)]
mod tests;
