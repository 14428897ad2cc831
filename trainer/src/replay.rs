//! The memory of transitions that off-policy methods learn from.
//!
//! One column a quantity, row by row, no more than their raw bytes. A row is (s, a, R, s′, d): R sums n discounted rewards, s′
//! is what was seen n steps on or at the true end of the episode, and d is what V(s′) is multiplied by: γⁿ, or 0 after a
//! termination. So a truncated episode still bootstraps, and no row reaches over the end of an episode.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use spec::{PrioritySpec, ReplaySpec};

use crate::priorities::Priorities;

/// Added to an error before it is a priority: no transition is never drawn.
const PRIORITY_MIN: f64 = 1e-6;

/// Sizes of a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Widths {
    /// Values of an observation.
    pub observation: usize,
    /// Numbers that name an action.
    pub action: usize,
}

/// One transition, as seen.
#[derive(Clone, Copy, Debug)]
pub struct Transition<'a> {
    /// What was seen.
    pub observation: &'a [f32],
    /// What was done.
    pub action: &'a [f32],
    /// The discounted sum of rewards.
    pub reward: f32,
    /// What was seen then.
    pub next_observation: &'a [f32],
    /// γⁿ, or 0 after a termination.
    pub discount: f32,
}

/// The columns; the oldest rows are overwritten.
#[derive(Clone, Debug)]
pub struct Replay {
    widths: Widths,
    capacity: usize,
    pub(crate) columns: [Vec<f32>; 5],
    /// Where the next row goes.
    pub(crate) cursor: usize,
    pub(crate) priorities: Option<Priorities>,
    alpha: f64,
}

/// A mini-batch, allocated once.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// `[rows × observation]`.
    pub observations: Vec<f32>,
    /// `[rows × action]`.
    pub actions: Vec<f32>,
    /// `[rows]`.
    pub rewards: Vec<f32>,
    /// `[rows × observation]`.
    pub next_observations: Vec<f32>,
    /// `[rows]`.
    pub discounts: Vec<f32>,
    /// `[rows]`: weight of each row's loss; 1 where drawn uniformly.
    pub weights: Vec<f32>,
    /// Where the rows were drawn from.
    pub indices: Vec<usize>,
}

impl Replay {
    /// An empty memory. Room is reserved, not touched.
    #[must_use]
    pub fn new(spec: &ReplaySpec, widths: Widths, capacity: usize) -> Self {
        let column = |width: usize| Vec::with_capacity(capacity * width);
        let Widths { observation, action } = widths;
        Self {
            widths,
            capacity,
            columns: [column(observation), column(action), column(1), column(observation), column(1)],
            cursor: 0,
            priorities: spec.prioritised.as_ref().map(|_| Priorities::new(capacity)),
            alpha: spec.prioritised.as_ref().map_or(0.0, |priority| priority.alpha),
        }
    }

    /// Bytes that a memory of this capacity takes, columns and priorities.
    pub(crate) fn wanted_bytes(spec: &ReplaySpec, widths: Widths, capacity: usize) -> usize {
        let row = 2 * widths.observation + widths.action + 2;
        let priorities = spec.prioritised.as_ref().map_or(0, |_| 4 * capacity.next_power_of_two());
        capacity.saturating_mul(row * size_of::<f32>()).saturating_add(priorities * size_of::<f64>())
    }

    /// Transitions kept.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.columns[2].len()
    }

    /// Whether nothing is kept yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes the columns hold, and those reserved for them.
    #[must_use]
    pub fn bytes(&self) -> [usize; 2] {
        let of = |size: fn(&Vec<f32>) -> usize| self.columns.iter().map(size).sum::<usize>() * size_of::<f32>();
        [of(Vec::len), of(Vec::capacity)]
    }

    /// Keeps a transition in place of the oldest.
    pub fn push(&mut self, transition: &Transition<'_>) {
        let (reward, discount) = ([transition.reward], [transition.discount]);
        let values: [&[f32]; 5] =
            [transition.observation, transition.action, &reward, transition.next_observation, &discount];
        for (column, value) in self.columns.iter_mut().zip(values) {
            let at = self.cursor * value.len();
            if at == column.len() {
                column.extend_from_slice(value);
            } else {
                column[at..at + value.len()].copy_from_slice(value);
            }
        }
        if let Some(priorities) = &mut self.priorities {
            priorities.set(self.cursor, priorities.largest());
        }
        self.cursor = (self.cursor + 1) % self.capacity;
    }

    /// Draws `rows` transitions with replacement: uniformly, or by priority with `priority` telling the exponent of the
    /// weights that undo the bias and how far training is (0 to 1).
    ///
    /// # Panics
    /// When nothing is kept: a caller's bug.
    pub fn sample(&self, rng: &mut ChaCha8Rng, rows: usize, beta: f64, batch: &mut Batch) {
        assert!(!self.is_empty(), "there is something to draw");
        batch.indices.clear();
        batch.weights.clear();
        match &self.priorities {
            None => {
                batch.indices.extend((0..rows).map(|_| rng.random_range(0..self.len())));
                batch.weights.resize(rows, 1.0);
            }
            Some(priorities) => {
                // One draw from each of `rows` equal shares (Schaul et al. 2016, appendix B.2.1).
                let share = priorities.total() / rows as f64;
                let least = priorities.least() / priorities.total() * self.len() as f64;
                for row in 0..rows {
                    let at = priorities.find((row as f64 + rng.random::<f64>()) * share).min(self.len() - 1);
                    let odds = priorities.get(at) / priorities.total() * self.len() as f64;
                    batch.indices.push(at);
                    batch.weights.push((odds / least).powf(-beta) as f32);
                }
            }
        }
        let Widths { observation, action } = self.widths;
        let targets = [
            (&mut batch.observations, observation),
            (&mut batch.actions, action),
            (&mut batch.rewards, 1),
            (&mut batch.next_observations, observation),
            (&mut batch.discounts, 1),
        ];
        for ((target, width), column) in targets.into_iter().zip(&self.columns) {
            target.clear();
            batch.indices.iter().for_each(|at| target.extend_from_slice(&column[at * width..(at + 1) * width]));
        }
    }

    /// Sets the priorities of a batch by the errors made on it; nothing where draws are uniform.
    pub fn reprioritise(&mut self, indices: &[usize], errors: &[f32]) {
        if let Some(priorities) = &mut self.priorities {
            for (at, error) in indices.iter().zip(errors) {
                priorities.set(*at, (f64::from(error.abs()) + PRIORITY_MIN).powf(self.alpha));
            }
        }
    }

    /// Takes up columns as they were saved.
    pub(crate) fn restore(&mut self, columns: [Vec<f32>; 5], cursor: usize) -> Result<(), String> {
        let Widths { observation, action } = self.widths;
        let rows = columns[2].len();
        let fits = columns.iter().zip([observation, action, 1, observation, 1]).all(|(c, w)| c.len() == rows * w);
        let at_end = if rows < self.capacity { cursor == rows } else { cursor < rows };
        if !fits || rows > self.capacity || !at_end {
            return Err("the replay memory is of another size".to_owned());
        }
        for (own, saved) in self.columns.iter_mut().zip(columns) {
            own.clear();
            own.extend_from_slice(&saved);
        }
        self.cursor = cursor;
        Ok(())
    }
}

/// The exponent of importance weights: from `beta` to 1 over the training.
pub(crate) fn beta(spec: Option<&PrioritySpec>, progress: f64) -> f64 {
    spec.map_or(0.0, |priority| priority.beta + (1.0 - priority.beta) * progress.min(1.0))
}

#[cfg(test)]
mod tests;
