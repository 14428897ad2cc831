//! How much say each member of an ensemble gets, from returns that it was not trained on.
//!
//! Every member's return is known for every bar, whoever was followed, so all learn from all bars.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rand_distr::{Distribution as _, StandardNormal};
use spec::Weighting;

/// Shares that sum to 1, one for each series of simple returns. All series cover the same bars.
pub(crate) fn weights(how: Weighting, returns: &[&[f64]], seed: u64) -> Vec<f64> {
    match how {
        Weighting::Equal => normalised(vec![1.0; returns.len()]),
        Weighting::Thompson => thompson(returns, seed),
        Weighting::MetaLearner => exponentiated(returns),
    }
}

/// Gaussian Thompson sampling (Agrawal and Goyal 2013): before each bar every member's mean reward is drawn from its
/// posterior N(mean so far, σ² / (bars + 1)), and the member with the largest draw is picked; a member's share is how often
/// it was. σ is the deviation of all rewards.
fn thompson(returns: &[&[f64]], seed: u64) -> Vec<f64> {
    let bars = returns.first().map_or(0, |series| series.len());
    let deviation = deviation(returns);
    // Who never moved or holds nothing that is a number says nothing about the others.
    if !(deviation > 0.0 && deviation.is_finite()) {
        return normalised(vec![1.0; returns.len()]);
    }
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let (mut sums, mut picks) = (vec![0.0; returns.len()], vec![0.0; returns.len()]);
    for bar in 0..bars {
        let seen = bar as f64 + 1.0;
        let draws = sums.iter().map(|sum| {
            let draw: f64 = StandardNormal.sample(&mut generator);
            sum / seen + deviation / seen.sqrt() * draw
        });
        let best =
            draws.enumerate().fold((0, f64::NEG_INFINITY), |best, draw| if draw.1 > best.1 { draw } else { best });
        picks[best.0] += 1.0;
        sums.iter_mut().zip(returns).for_each(|(sum, series)| *sum += series[bar]);
    }
    normalised(picks)
}

/// Exponentiated gradient (Helmbold et al. 1998) on the growth of wealth: w ← w · exp(η x / (w·x)), x the gross returns. η is
/// the rate whose regret against the best fixed mix is least in the worst case: √(8 ln N / T) over the returns' range.
fn exponentiated(returns: &[&[f64]]) -> Vec<f64> {
    let bars = returns.first().map_or(0, |series| series.len());
    let mut shares = normalised(vec![1.0; returns.len()]);
    let values = || returns.iter().flat_map(|series| series.iter().copied());
    let range = values().fold(f64::NEG_INFINITY, f64::max) - values().fold(f64::INFINITY, f64::min);
    if bars == 0 || range <= 0.0 {
        return shares;
    }
    let rate = (8.0 * (returns.len() as f64).ln() / bars as f64).sqrt() / range;
    for bar in 0..bars {
        let wealth: f64 = shares.iter().zip(returns).map(|(share, series)| share * (1.0 + series[bar])).sum();
        for (share, series) in shares.iter_mut().zip(returns) {
            // Less the mix's own return, which changes no share and keeps the exponent small.
            *share *= (rate * ((1.0 + series[bar]) / wealth - 1.0)).exp();
        }
        shares = normalised(shares);
    }
    shares
}

fn deviation(returns: &[&[f64]]) -> f64 {
    let all: Vec<f64> = returns.iter().flat_map(|series| series.iter().copied()).collect();
    let mean = all.iter().sum::<f64>() / all.len().max(1) as f64;
    (all.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / all.len().max(1) as f64).sqrt()
}

fn normalised(mut shares: Vec<f64>) -> Vec<f64> {
    let sum: f64 = shares.iter().sum();
    let even = 1.0 / shares.len() as f64;
    shares.iter_mut().for_each(|share| *share = if sum > 0.0 { *share / sum } else { even });
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Weighting; 3] = [Weighting::Equal, Weighting::Thompson, Weighting::MetaLearner];

    /// Returns of a fixed pattern around a mean.
    fn series(mean: f64, phase: usize) -> Vec<f64> {
        (0..500).map(|bar| mean + 0.01 * ((bar * 7 + phase * 3) % 11) as f64 / 5.0 - 0.01).collect()
    }

    fn shares(how: Weighting, means: &[f64]) -> Vec<f64> {
        let all: Vec<Vec<f64>> = means.iter().enumerate().map(|(phase, mean)| series(*mean, phase)).collect();
        let all: Vec<&[f64]> = all.iter().map(Vec::as_slice).collect();
        weights(how, &all, 7)
    }

    #[test]
    fn shares_sum_to_one_and_the_same_seed_gives_the_same() {
        for how in ALL {
            let drawn = shares(how, &[0.0, 0.001, -0.002]);
            assert!((drawn.iter().sum::<f64>() - 1.0).abs() < 1e-12 && drawn.iter().all(|share| *share >= 0.0));
            assert_eq!(drawn, shares(how, &[0.0, 0.001, -0.002]));
        }
    }

    #[test]
    fn who_earned_more_gets_more_say_unless_all_are_to_have_the_same() {
        for how in [Weighting::Thompson, Weighting::MetaLearner] {
            let drawn = shares(how, &[0.0, 0.002, -0.002]);
            assert!(drawn[1] > drawn[0] && drawn[0] > drawn[2], "{how:?}: {drawn:?}");
            assert!(drawn[1] > 0.5, "{how:?}: {drawn:?}");
        }
        assert_eq!(shares(Weighting::Equal, &[0.0, 0.002, -0.002]), [1.0 / 3.0; 3]);
    }

    #[test]
    fn a_difference_within_the_noise_leaves_everybody_a_say() {
        for how in [Weighting::Thompson, Weighting::MetaLearner] {
            let drawn = shares(how, &[0.0, 0.00002, 0.0]);
            assert!(drawn.iter().all(|share| *share > 0.05), "{how:?}: {drawn:?}");
        }
    }

    #[test]
    fn series_that_say_nothing_give_even_shares() {
        for how in ALL {
            let none: [&[f64]; 2] = [&[], &[]];
            assert_eq!(weights(how, &none, 0), [0.5, 0.5], "{how:?}");
        }
        let flat: [&[f64]; 2] = [&[0.0; 9], &[0.0; 9]];
        for how in ALL {
            assert_eq!(weights(how, &flat, 0), [0.5, 0.5], "{how:?}");
        }
    }

    #[test]
    fn who_is_ruined_gets_less_say_than_who_is_not() {
        let (mut ruined, steady) = (series(0.001, 0), series(0.001, 1));
        ruined[50] = -1.0;
        for how in [Weighting::Thompson, Weighting::MetaLearner] {
            let drawn = weights(how, &[&ruined, &steady], 3);
            assert!(drawn[0] < 0.5 && drawn.iter().all(|share| share.is_finite()), "{how:?}: {drawn:?}");
        }
    }
}
