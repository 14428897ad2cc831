//! What a trading step is worth.

use market::Money;
use serde::{Deserialize, Serialize};
use spec::Reward;

/// Returns that vary by less than this are measured as if they varied by it: one basis point. Without a floor the first
/// returns, and those after a long time out of the market, would be divided by next to nothing.
const DEVIATION_MIN: f64 = 1e-4;

/// What a reward remembers of an episode.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Memory {
    /// Moving mean of the returns, and of their squares.
    moments: [f64; 2],
    /// Highest equity.
    peak: Money,
}

impl Memory {
    /// At the start of an episode.
    pub(crate) const fn new(cash: Money) -> Self {
        Self { moments: [0.0; 2], peak: cash }
    }

    /// The reward of a step that took the equity from `before`, above 0, to `after`. Finite.
    pub(crate) fn reward(&mut self, reward: Reward, before: Money, after: Money) -> f64 {
        match reward {
            Reward::LogReturn => log_return(before, after),
            Reward::DifferentialSharpe { rate } => self.differential_sharpe(rate, before, after),
            Reward::DrawdownPenalised { weight } => log_return(before, after) - weight * self.fallen(before, after),
        }
    }

    /// dS/dη of the Sharpe ratio S over moving moments A and B with rate η (Moody and Saffell 1998):
    /// (B·ΔA − A·ΔB / 2) / (B − A²)^3/2, with the moments from before the step.
    fn differential_sharpe(&mut self, rate: f64, before: Money, after: Money) -> f64 {
        let gain = after.as_f64() / before.as_f64() - 1.0;
        let [mean, square] = self.moments;
        let (change, square_change) = (gain - mean, gain * gain - square);
        let deviation = (square - mean * mean).max(0.0).sqrt().max(DEVIATION_MIN);
        self.moments = [mean + rate * change, square + rate * square_change];
        (square * change - 0.5 * mean * square_change) / deviation.powi(3)
    }

    /// How much the drawdown, a fraction of the peak, grew.
    fn fallen(&mut self, before: Money, after: Money) -> f64 {
        let drawdown = |equity: Money, peak: Money| 1.0 - equity.max(Money(0)).as_f64() / peak.as_f64();
        let old = drawdown(before, self.peak);
        self.peak = self.peak.max(after);
        (drawdown(after, self.peak) - old).max(0.0)
    }
}

/// What is left of a ruined account counts as one millionth: the logarithm stays finite.
fn log_return(before: Money, after: Money) -> f64 {
    (after.max(Money(1)).as_f64() / before.as_f64()).ln()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_differential_sharpe_ratio_is_the_derivative_of_the_sharpe_ratio_by_the_rate() {
        let sharpe = |[mean, square]: [f64; 2]| mean / (square - mean * mean).sqrt();
        let moments = [0.001, 0.000_15];
        let gain = 0.012;
        let moved = |rate: f64| {
            let mut memory = Memory { moments, peak: Money::units(100) };
            let reward = Reward::DifferentialSharpe { rate };
            let worth = memory.reward(reward, Money::units(1_000_000), Money::units(1_012_000));
            (worth, memory.moments)
        };
        let step = 1e-6;
        let numeric = (sharpe(moved(step).1) - sharpe(moments)) / step;
        assert!((moved(0.01).0 - numeric).abs() < 1e-4 * numeric.abs(), "{} for {numeric}", moved(0.01).0);
        let expected = [0.99 * moments[0] + 0.01 * gain, 0.99 * moments[1] + 0.01 * gain * gain];
        for (got, expected) in moved(0.01).1.into_iter().zip(expected) {
            assert!((got - expected).abs() < 1e-15);
        }
    }

    #[test]
    fn first_returns_and_none_at_all_have_a_small_differential_sharpe_ratio() {
        let reward = Reward::DifferentialSharpe { rate: 0.01 };
        let mut memory = Memory::new(Money::units(100));
        let flat = Money::units(100);
        assert_eq!((0..3).map(|_| memory.reward(reward, flat, flat)).collect::<Vec<_>>(), [0.0; 3]);
        assert_eq!(memory.reward(reward, flat, Money::units(101)), 0.0, "one return has no ratio");
        assert!(memory.reward(reward, flat, Money::units(101)) > 0.0);
        assert!(memory.reward(reward, flat, Money::units(95)) < 0.0);
    }

    #[test]
    fn only_the_growth_of_the_drawdown_is_penalised() {
        let reward = Reward::DrawdownPenalised { weight: 2.0 };
        let mut memory = Memory::new(Money::units(100));
        let mut before = Money::units(100);
        // Up, down by a fifth of the peak of 125, half way back, to a fifth below again, to a new peak.
        for (after, growth) in [(125, 0.0), (100, 0.2), (110, 0.0), (100, 0.08), (130, 0.0)] {
            let after = Money::units(after);
            let expected = log_return(before, after) - 2.0 * growth;
            assert!((memory.reward(reward, before, after) - expected).abs() < 1e-12, "{after:?}");
            before = after;
        }
        let ruin = memory.reward(reward, before, Money::units(-5));
        assert!((ruin - (log_return(before, Money(1)) - 2.0)).abs() < 1e-12, "ruin is a drawdown of all");
    }

    proptest! {
        #[test]
        fn rewards_are_finite_whatever_happens(
            worths in prop::collection::vec(1i64..1_000_000_000_000_000, 1..60),
            last in -1_000_000_000_000_000i64..=0,
            rate in 1e-6..1.0f64,
        ) {
            for reward in
                [Reward::LogReturn, Reward::DifferentialSharpe { rate }, Reward::DrawdownPenalised { weight: 1_000.0 }]
            {
                let mut memory = Memory::new(Money(worths[0]));
                for (before, after) in worths.iter().zip(worths[1..].iter().chain([&last])) {
                    let worth = memory.reward(reward, Money(*before), Money(*after)) as f32;
                    prop_assert!(worth.is_finite(), "{reward:?}: {worth}");
                }
            }
        }
    }
}
