//! Series with a structure that is planted, and the best forecast of each from all that came before.

use std::f64::consts::TAU;
use std::fmt;
use std::str::FromStr;

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rand_distr::{Distribution as _, StandardNormal};
use serde::{Deserialize, Serialize};

/// What is planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Planted {
    /// r = φ₁·r₋₁ + φ₂·r₋₂ + ε.
    Autoregression,
    /// r = ±m + ε by a hidden regime that rarely turns.
    RegimeSwitch,
    /// r = a·sin(2πt / p) + ε.
    Season,
    /// ε.
    Noise,
}

/// φ₁ and φ₂: R² = 0.28.
const PHI: [f64; 2] = [0.6, -0.3];
/// A regime's mean, in deviations of ε, and how probable it is that it turns.
const MEAN: f64 = 1.0;
const TURNS: f64 = 0.02;
/// A season's height, in deviations of ε, and its length.
const HEIGHT: f64 = 1.0;
const PERIOD: f64 = 20.0;

impl Planted {
    /// All, in the order of reports.
    pub const ALL: [Self; 4] = [Self::Autoregression, Self::RegimeSwitch, Self::Season, Self::Noise];

    /// As the command line has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Autoregression => "autoregression",
            Self::RegimeSwitch => "regime-switch",
            Self::Season => "season",
            Self::Noise => "noise",
        }
    }

    /// Values a forecast sees.
    ///
    /// The best forecast of a season knows its phase. Who sees `n` values can tell it to a variance of 2/n (in deviations of ε,
    /// at this height), and reaches 1 − 2/n of the best R² at most: 95 % with 40.
    #[must_use]
    pub const fn window(self) -> u32 {
        match self {
            Self::Season => 120,
            Self::Autoregression | Self::RegimeSwitch | Self::Noise => 40,
        }
    }

    /// A series, and the expectation of each value given all before it.
    #[must_use]
    pub fn draw(self, count: usize, seed: u64) -> (Vec<f64>, Vec<f64>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x9e37_79b9_7f4a_7c15);
        let mut state = State { last: [0.0; 2], regime: 1.0, belief: 0.5 };
        (0..count)
            .map(|at| {
                let noise: f64 = StandardNormal.sample(&mut rng);
                let turn = (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
                self.next(&mut state, at, (noise, turn))
            })
            .unzip()
    }

    /// The value at `at`, and what could be expected.
    fn next(self, state: &mut State, at: usize, (noise, turn): (f64, f64)) -> (f64, f64) {
        match self {
            Self::Autoregression => {
                let expected = PHI[0] * state.last[0] + PHI[1] * state.last[1];
                state.last = [expected + noise, state.last[0]];
                (state.last[0], expected)
            }
            Self::RegimeSwitch => {
                if turn < TURNS {
                    state.regime = -state.regime;
                }
                // Hamilton 1989: the belief in the upper regime is carried on, then weighed by the likelihoods.
                let before = state.belief * (1.0 - TURNS) + (1.0 - state.belief) * TURNS;
                let value = MEAN * state.regime + noise;
                let odds = (2.0 * MEAN * value).exp() * before / (1.0 - before);
                state.belief = (odds / (1.0 + odds)).clamp(1e-12, 1.0 - 1e-12);
                (value, MEAN * (2.0 * before - 1.0))
            }
            Self::Season => {
                let expected = HEIGHT * (TAU * at as f64 / PERIOD).sin();
                (expected + noise, expected)
            }
            Self::Noise => (noise, 0.0),
        }
    }
}

/// What a series carries on.
struct State {
    last: [f64; 2],
    regime: f64,
    /// Probability of the upper regime, after what was seen.
    belief: f64,
}

impl fmt::Display for Planted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Planted {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|planted| planted.name() == text).ok_or_else(|| format!("use one of {names}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1 − (what is missed) / (variance).
    fn explained(planted: Planted) -> f64 {
        let (values, expected) = planted.draw(200_000, 3);
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let missed: f64 = values.iter().zip(&expected).map(|(value, expected)| (value - expected).powi(2)).sum();
        1.0 - missed / values.iter().map(|value| (value - mean).powi(2)).sum::<f64>()
    }

    #[test]
    fn what_can_be_known_is_a_fifth_at_least_and_of_noise_nothing() {
        // φ₁²·(1 + φ₂)/(1 − φ₂)… of an AR(2): R² = 1 − (1 + φ₂)·((1 − φ₂)² − φ₁²)/(1 − φ₂).
        let [a, b] = PHI;
        let wanted = 1.0 - (1.0 + b) * ((1.0 - b).powi(2) - a * a) / (1.0 - b);
        assert!((explained(Planted::Autoregression) - wanted).abs() < 0.01, "{wanted}");
        assert!((explained(Planted::Season) - 1.0 / 3.0).abs() < 0.01);
        for planted in [Planted::Autoregression, Planted::RegimeSwitch, Planted::Season] {
            assert!(explained(planted) >= 0.2, "{planted}: {}", explained(planted));
        }
        assert!(explained(Planted::Noise).abs() < 1e-3);
    }

    #[test]
    fn an_expectation_misses_by_nothing_but_noise() {
        for planted in Planted::ALL {
            let (values, expected) = planted.draw(200_000, 5);
            let misses: Vec<f64> = values.iter().zip(&expected).map(|(value, expected)| value - expected).collect();
            let along: f64 = misses.iter().zip(&expected).map(|(miss, expected)| miss * expected).sum::<f64>();
            assert!((along / 200_000.0).abs() < 0.02, "{planted}: what is missed has nothing to do with what is said");
        }
    }
}
