//! Whether picking the best trial picks anything: the probability of backtest overfitting.
//!
//! Bailey, Borwein, Lopez de Prado & Zhu, "The Probability of Backtest Overfitting" (2017), by combinatorially symmetric
//! cross-validation. The figure varies much from sweep to sweep, so it supports other evidence and never stands alone.

use crate::sharpe;

/// Blocks beyond this make more splits than a run should wait for: 16 make 12 870.
const BLOCKS_MAX: usize = 16;

/// What all symmetric splits of a sweep's returns say together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overfitting {
    /// Splits looked at.
    pub splits: usize,
    /// Share of splits whose best trial in sample is at or below the median out of sample.
    pub probability: f64,
    /// Mean over splits of the logit of that trial's relative rank out of sample; above 0 is better than the median.
    pub mean_logit: f64,
    /// Share of splits whose best trial in sample has a negative Sharpe ratio out of sample.
    pub loss_probability: f64,
}

/// The returns cannot be cut as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// Nothing to choose among.
    #[error("{0} trials leave nothing to choose: compare at least 2")]
    Trials(usize),
    /// The number of blocks cannot be halved, or is too large.
    #[error("{0} blocks cannot be split: use an even number from 2 to 16")]
    Blocks(usize),
    /// A half would have no deviation.
    #[error("{periods} periods in {blocks} blocks leave fewer than 2 a block: use fewer blocks")]
    Periods {
        /// Periods of the shortest trial.
        periods: usize,
        /// Blocks asked for.
        blocks: usize,
    },
    /// Trials over different periods are not comparable.
    #[error("trial {0} covers another number of periods than the first")]
    Ragged(usize),
    /// A ratio is undefined.
    #[error("trial {0} has no Sharpe ratio in a split: it holds NaN, or never varies")]
    Undefined(usize),
}

/// Probability of backtest overfitting of `trials`, each a series of returns over the same periods, cut into `blocks`. The
/// oldest periods that fill no block are left out. A tie for the best goes to the first.
///
/// # Errors
/// [`SelectionError`], when the returns cannot be cut so or a ratio is undefined.
pub fn overfitting(trials: &[Vec<f64>], blocks: usize) -> Result<Overfitting, SelectionError> {
    let length = block_length(trials, blocks)?;
    let halves: Vec<u32> = (0..1_u32 << blocks).filter(|half| half.count_ones() as usize == blocks / 2).collect();
    let mut sum = Overfitting { splits: halves.len(), probability: 0.0, mean_logit: 0.0, loss_probability: 0.0 };
    for half in &halves {
        let inside = sharpes(trials, blocks, length, |block| half >> block & 1 == 1)?;
        let outside = sharpes(trials, blocks, length, |block| half >> block & 1 == 0)?;
        let best = first_largest(&inside);
        let logit = logit_of_rank(&outside, best);
        sum.mean_logit += logit;
        sum.probability += f64::from(u8::from(logit <= 0.0));
        sum.loss_probability += f64::from(u8::from(outside[best] < 0.0));
    }
    let share = 1.0 / halves.len() as f64;
    Ok(Overfitting {
        probability: sum.probability * share,
        mean_logit: sum.mean_logit * share,
        loss_probability: sum.loss_probability * share,
        ..sum
    })
}

fn block_length(trials: &[Vec<f64>], blocks: usize) -> Result<usize, SelectionError> {
    let [first, _, ..] = trials else { return Err(SelectionError::Trials(trials.len())) };
    if !(2..=BLOCKS_MAX).contains(&blocks) || !blocks.is_multiple_of(2) {
        return Err(SelectionError::Blocks(blocks));
    }
    if let Some(other) = trials.iter().position(|trial| trial.len() != first.len()) {
        return Err(SelectionError::Ragged(other));
    }
    let length = first.len() / blocks;
    if length < 2 {
        return Err(SelectionError::Periods { periods: first.len(), blocks });
    }
    Ok(length)
}

/// The Sharpe ratio of each trial over the blocks that are `chosen`.
fn sharpes(
    trials: &[Vec<f64>],
    blocks: usize,
    length: usize,
    chosen: impl Fn(usize) -> bool,
) -> Result<Vec<f64>, SelectionError> {
    let of = |(index, trial): (usize, &Vec<f64>)| {
        let kept = &trial[trial.len() - blocks * length..];
        let blocks = kept.chunks_exact(length).enumerate().filter(|(block, _)| chosen(*block));
        let returns: Vec<f64> = blocks.flat_map(|(_, block)| block).copied().collect();
        let ratio = sharpe(&returns);
        if ratio.is_finite() { Ok(ratio) } else { Err(SelectionError::Undefined(index)) }
    };
    trials.iter().enumerate().map(of).collect()
}

fn first_largest(values: &[f64]) -> usize {
    (1..values.len()).fold(0, |best, index| if values[index] > values[best] { index } else { best })
}

/// ln(w / (1 − w)) of w = rank / (trials + 1), the worst ranking 1; ties share their mean rank.
fn logit_of_rank(ratios: &[f64], of: usize) -> f64 {
    let below = ratios.iter().filter(|ratio| **ratio < ratios[of]).count() as f64;
    let equal = ratios.iter().filter(|ratio| **ratio == ratios[of]).count() as f64;
    let share = (below + f64::midpoint(equal, 1.0)) / (ratios.len() as f64 + 1.0);
    (share / (1.0 - share)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Eight waves of different length over 96 periods; the sixth carries a `gift`.
    fn waves(gift: f64) -> Vec<Vec<f64>> {
        let value = |t: u32, n: u32| {
            let (t, trial) = (f64::from(t), f64::from(n));
            0.01 * (0.37 * t * (trial + 1.0)).sin() + 0.002 * (0.11 * t).cos() * (f64::from(n % 3) - 1.0)
        };
        let gift = |n| if n == 5 { gift } else { 0.0 };
        (0..8).map(|n| (1..=96).map(|t| value(t, n) + gift(n)).collect()).collect()
    }

    #[test]
    fn the_figures_of_the_waves_equal_the_reference() {
        let cases = [
            (4, 6, 0.833_333_333_3, -1.155_245_300_9),
            (6, 20, 0.65, -0.202_277_719_9),
            (8, 70, 0.871_428_571_4, -1.238_779_724_5),
        ];
        for (blocks, splits, probability, logit) in cases {
            let ours = overfitting(&waves(0.0), blocks).unwrap();
            assert_eq!(ours.splits, splits);
            assert!((ours.probability - probability).abs() < 1e-9, "{ours:?}");
            assert!((ours.mean_logit - logit).abs() < 1e-9, "{ours:?}");
        }
    }

    #[test]
    fn a_trial_with_skill_is_the_best_on_both_sides_of_every_split() {
        let ours = overfitting(&waves(0.01), 8).unwrap();
        assert_eq!((ours.probability, ours.loss_probability), (0.0, 0.0));
        assert!((ours.mean_logit - 8f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn the_oldest_periods_that_fill_no_block_change_nothing() {
        let mut longer = waves(0.0);
        longer.iter_mut().for_each(|trial| trial.insert(0, 9.0));
        assert_eq!(overfitting(&longer, 8), overfitting(&waves(0.0), 8));
    }

    #[test]
    fn what_cannot_be_cut_is_refused_by_name() {
        let mut trials = waves(0.0);
        assert_eq!(overfitting(&trials[..1], 4), Err(SelectionError::Trials(1)));
        for blocks in [0, 3, 18] {
            assert_eq!(overfitting(&trials, blocks), Err(SelectionError::Blocks(blocks)));
        }
        let short: Vec<Vec<f64>> = trials.iter().map(|trial| trial[..7].to_vec()).collect();
        assert_eq!(overfitting(&short, 4), Err(SelectionError::Periods { periods: 7, blocks: 4 }));
        trials[3][80] = f64::NAN;
        assert_eq!(overfitting(&trials, 4), Err(SelectionError::Undefined(3)));
        trials[2].pop();
        assert_eq!(overfitting(&trials, 4), Err(SelectionError::Ragged(2)));
    }
}
