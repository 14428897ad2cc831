//! Whether a row's prediction depends on its company: evidence for the gate.

use models::{ModelError, Predictor};
use serde::{Deserialize, Serialize};
use spec::{Output, Spread};

/// Rows predicted in several ways, and how many of them came out differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parity {
    /// Rows compared.
    pub rows: usize,
    /// Rows whose bits differ between a large batch (as training and backtests predict), alone (as live does), and in small
    /// shuffled batches (as serving does).
    pub mismatches: usize,
}

/// Sizes of the shuffled batches, in turn: one, odd, even and large.
const BATCHES: [usize; 5] = [3, 1, 8, 2, 17];

/// Predicts every row in three ways and compares the bits; the large batch is all `rows`.
///
/// # Errors
/// [`ModelError`] when the network cannot take the rows.
pub fn parity(predictor: &Predictor, rows: &[&[f32]]) -> Result<Parity, ModelError> {
    let together = predictor.predict(rows)?;
    let mut differs = vec![false; rows.len()];
    for (index, row) in rows.iter().enumerate() {
        let alone = predictor.predict(&[row])?;
        differs[index] |= bits(&alone[0]) != bits(&together[index]);
    }
    let order = shuffled(rows.len());
    let (mut rest, mut sizes) = (&order[..], BATCHES.iter().cycle());
    while let (false, Some(&size)) = (rest.is_empty(), sizes.next()) {
        let (batch, later) = rest.split_at(size.min(rest.len()));
        let picked: Vec<&[f32]> = batch.iter().map(|&index| rows[index]).collect();
        for (&index, output) in batch.iter().zip(predictor.predict(&picked)?) {
            differs[index] |= bits(&output) != bits(&together[index]);
        }
        rest = later;
    }
    Ok(Parity { rows: rows.len(), mismatches: differs.into_iter().filter(|&differs| differs).count() })
}

/// Every index once, far from its neighbours: multiples of a step without a common divisor.
fn shuffled(count: usize) -> Vec<usize> {
    let divisor = |mut a: usize, mut b: usize| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let step = (count * 5 / 8..).find(|&step| divisor(step, count) == 1).unwrap_or(1);
    (0..count).map(|index| index * step % count).collect()
}

fn bits(output: &Output) -> (u32, Vec<u32>) {
    let of = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect();
    match output {
        Output::Forecast { probabilities, expected_return, spread, volatility } => {
            let spread = match spread {
                None => &[][..],
                Some(Spread::Deviation(deviation)) => std::slice::from_ref(deviation),
                Some(Spread::Quantiles(quantiles)) => quantiles,
            };
            (expected_return.to_bits(), of(&[probabilities, spread, volatility.as_slice()].concat()))
        }
        Output::Policy { action, probabilities: values } | Output::Values { action, values } => (*action, of(values)),
        Output::Control { action } => (0, of(action)),
    }
}
