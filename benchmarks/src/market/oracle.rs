//! The policy of whoever knows the signal's law, by dynamic programming over signal and position.

use super::{PERSISTENCE, SIGMA};

/// Values of the signal that are told apart, over ±[`REACH`] deviations.
const POINTS: usize = 161;
const REACH: f64 = 4.0;

/// What one may hold, as the environment numbers it.
const EXPOSURES: [f64; 3] = [-1.0, 0.0, 1.0];

/// Discount of a bar: far beyond the signal's memory of some ten bars.
const DISCOUNT: f64 = 0.995;

/// Sweeps stop when no value moves by more.
const TOLERANCE: f64 = 1e-9;

/// The best action by signal and position.
#[derive(Clone, Debug)]
pub(super) struct Oracle {
    actions: Vec<[usize; EXPOSURES.len()]>,
}

impl Oracle {
    /// Where a signal of 1 moves the next bar's log return by `edge` and a fill costs `cost` of its value.
    ///
    /// Value iteration on the expected growth of ln wealth: a·edge·s − ½a²σ² of holding a, less cost·|a − held|.
    pub(super) fn new(edge: f64, cost: f64) -> Self {
        let step = 2.0 * REACH / (POINTS - 1) as f64;
        let at = |point: usize| -REACH + step * point as f64;
        let transitions: Vec<Vec<f64>> = (0..POINTS).map(|point| transition(at(point), &at)).collect();
        let mut values = vec![[0.0; EXPOSURES.len()]; POINTS];
        loop {
            let ahead: Vec<[f64; EXPOSURES.len()]> = transitions.iter().map(|row| expected(row, &values)).collect();
            let worth = |point: usize, held: f64, action: usize| {
                let exposure = EXPOSURES[action];
                let growth = exposure * edge * at(point) - 0.5 * exposure * exposure * SIGMA * SIGMA;
                growth - cost * (exposure - held).abs() + DISCOUNT * ahead[point][action]
            };
            let mut moved = 0.0_f64;
            let mut actions = vec![[0; EXPOSURES.len()]; POINTS];
            for point in 0..POINTS {
                for (held, exposure) in EXPOSURES.into_iter().enumerate() {
                    let best = (0..EXPOSURES.len())
                        .max_by(|a, b| worth(point, exposure, *a).total_cmp(&worth(point, exposure, *b)))
                        .expect("there are exposures");
                    let value = worth(point, exposure, best);
                    moved = moved.max((value - values[point][held]).abs());
                    (values[point][held], actions[point][held]) = (value, best);
                }
            }
            if moved < TOLERANCE {
                return Self { actions };
            }
        }
    }

    /// The action where the signal is `signal` and the position's value over equity `held`.
    pub(super) fn action(&self, signal: f64, held: f64) -> u32 {
        let share = (signal.clamp(-REACH, REACH) + REACH) / (2.0 * REACH);
        let point = (share * (POINTS - 1) as f64).round() as usize;
        let held = (held.clamp(-1.0, 1.0).round() + 1.0) as usize;
        self.actions[point][held] as u32
    }
}

/// Odds of each next point: the normal density around what is left of the signal, made to sum to 1.
fn transition(signal: f64, at: &impl Fn(usize) -> f64) -> Vec<f64> {
    let (mean, variance) = (PERSISTENCE * signal, 1.0 - PERSISTENCE * PERSISTENCE);
    let densities: Vec<f64> = (0..POINTS).map(|next| (-(at(next) - mean).powi(2) / (2.0 * variance)).exp()).collect();
    let sum: f64 = densities.iter().sum();
    densities.into_iter().map(|density| density / sum).collect()
}

fn expected(odds: &[f64], values: &[[f64; EXPOSURES.len()]]) -> [f64; EXPOSURES.len()] {
    let mut sums = [0.0; EXPOSURES.len()];
    for (odds, values) in odds.iter().zip(values) {
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += odds * value);
    }
    sums
}
