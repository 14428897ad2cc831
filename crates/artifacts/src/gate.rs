//! The first promotion gate: does the model beat its baselines, by more than luck over all trials explains, and does it
//! predict the same bits in every setting.
//!
//! Judges plain evidence, computes none. [`judge`] is the only place where [`Validated`] comes into being.

use serde::{Deserialize, Serialize};
use spec::{BundleId, GateSpec};
use statistics::overfitting::deflated_sharpe;

/// What a bundle did on data it was neither fitted nor chosen on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Simple returns per bar on the test split, after costs.
    pub test_returns: Vec<f64>,
    /// Total return of buying at the start of the test split and holding, after costs.
    pub buy_and_hold_return: f64,
    /// Sharpe ratios per bar of every trial of the sweep on validation; their spread says how far luck reaches.
    pub trial_sharpes: Vec<f64>,
    /// Trials ever run on this data, in this sweep and before.
    pub trials_ever: u64,
    /// Rows whose prediction was compared across batch compositions.
    pub parity_rows: u64,
    /// Rows that came out with other bits.
    pub parity_mismatches: u64,
}

/// One gate's figure and verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateResult {
    /// Which gate.
    pub name: String,
    /// What was measured; NaN where it is undefined, which does not pass.
    pub value: f64,
    /// What is asked for.
    pub threshold: f64,
    /// Whether it passes.
    pub passed: bool,
}

/// Proof that a bundle passed every gate. Only [`judge`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validated<T>(T);

impl<T> Validated<T> {
    /// What was validated.
    pub const fn get(&self) -> &T {
        &self.0
    }
}

/// What the gate says.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Every gate, passed or not.
    pub gates: Vec<GateResult>,
    /// The proof, when all passed.
    pub validated: Option<Validated<BundleId>>,
}

/// Judges a bundle by its evidence.
#[must_use]
pub fn judge(evidence: &Evidence, gates: &GateSpec, bundle: BundleId) -> Verdict {
    let total = statistics::total_return(&evidence.test_returns);
    let deflated = deflated_sharpe(&evidence.test_returns, &evidence.trial_sharpes, evidence.trials_ever);
    // No row compared is no proof of parity.
    let mismatches = if evidence.parity_rows == 0 { f64::NAN } else { evidence.parity_mismatches as f64 };
    let above = |name: &str, value: f64, threshold: f64| GateResult {
        name: name.to_owned(),
        value,
        threshold,
        passed: value > threshold,
    };
    let at_least = |name: &str, value: f64, threshold: f64| GateResult {
        name: name.to_owned(),
        value,
        threshold,
        passed: value >= threshold,
    };
    let gates = vec![
        above("return_over_zero", total, gates.excess_over_zero_min),
        above("return_over_buy_and_hold", total - evidence.buy_and_hold_return, gates.excess_over_buy_and_hold_min),
        at_least("deflated_sharpe", deflated, gates.deflated_sharpe_min),
        GateResult {
            name: "train_serve_parity".to_owned(),
            value: mismatches,
            threshold: 0.0,
            passed: mismatches == 0.0,
        },
    ];
    let validated = gates.iter().all(|gate| gate.passed).then_some(Validated(bundle));
    Verdict { gates, validated }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};
    use spec::Digest;

    use super::*;

    fn id() -> BundleId {
        BundleId(Digest::of(b"bundle"))
    }

    fn evidence(test_returns: Vec<f64>, trial_sharpes: Vec<f64>) -> Evidence {
        let trials_ever = trial_sharpes.len() as u64;
        Evidence {
            test_returns,
            buy_and_hold_return: -0.5,
            trial_sharpes,
            trials_ever,
            parity_rows: 10,
            parity_mismatches: 0,
        }
    }

    /// Normal by the sum of twelve uniforms: light-tailed, which is all that is needed here.
    fn noise(rng: &mut rand_chacha::ChaCha8Rng, bars: usize, mean: f64) -> Vec<f64> {
        (0..bars)
            .map(|_| {
                let sum: f64 = (0..12).map(|_| rng.random_range(0.0..1.0)).sum();
                mean + 0.01 * (sum - 6.0)
            })
            .collect()
    }

    #[test]
    fn noise_is_not_promoted_and_a_planted_edge_mostly_is() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        let mut promoted = [0, 0];
        for (planted, promoted) in promoted.iter_mut().enumerate() {
            for _ in 0..200 {
                let sharpes: Vec<f64> = (0..20).map(|_| statistics::sharpe(&noise(&mut rng, 500, 0.0))).collect();
                let returns = noise(&mut rng, 700, 0.002 * planted as f64);
                let verdict = judge(&evidence(returns, sharpes), &GateSpec::default(), id());
                *promoted += u32::from(verdict.validated.is_some());
            }
        }
        // At 5 % and twenty trials the deflation leaves far less than 5 % of noise standing.
        assert!(promoted[0] <= 2, "{} of 200 noise series were promoted", promoted[0]);
        assert!(promoted[1] >= 180, "{} of 200 planted edges were promoted", promoted[1]);
    }

    /// Chosen by the very returns it is judged on, the hardest case: luck alone lifts the best of twenty over the plain
    /// threshold more often than not.
    #[test]
    fn the_best_of_twenty_noise_trials_is_not_promoted_by_its_luck() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(11);
        let (mut promoted, mut without_deflation) = (0, 0);
        for _ in 0..200 {
            let trials: Vec<Vec<f64>> = (0..20).map(|_| noise(&mut rng, 500, 0.0)).collect();
            let sharpes: Vec<f64> = trials.iter().map(|returns| statistics::sharpe(returns)).collect();
            let best = (0..20).max_by(|&a, &b| sharpes[a].total_cmp(&sharpes[b])).unwrap();
            let verdict = judge(&evidence(trials[best].clone(), sharpes), &GateSpec::default(), id());
            promoted += u32::from(verdict.validated.is_some());
            let alone = judge(&evidence(trials[best].clone(), vec![]), &GateSpec::default(), id());
            without_deflation += u32::from(alone.validated.is_some());
        }
        assert!(promoted <= 10, "{promoted} of 200 at a threshold of 95 %");
        assert!(without_deflation >= 100, "{without_deflation} of 200: the case is not hard");
    }

    #[test]
    fn figures_that_are_not_defined_pass_nothing() {
        let undefined = evidence(vec![f64::NAN; 50], vec![0.0, 0.1]);
        let verdict = judge(&undefined, &GateSpec::default(), id());
        assert_eq!(verdict.validated, None);
        let passed: Vec<&str> =
            verdict.gates.iter().filter(|gate| gate.passed).map(|gate| gate.name.as_str()).collect();
        assert_eq!(passed, ["train_serve_parity"]);
        let empty = judge(&evidence(vec![], vec![]), &GateSpec::default(), id());
        assert_eq!(empty.validated, None);
    }

    #[test]
    fn every_gate_can_refuse_alone() {
        let good: Vec<f64> = (0..500).map(|bar| 0.002 + 0.004 * f64::from(bar % 3 - 1)).collect();
        let sharpes: Vec<f64> = (0..10).map(|trial| f64::from(trial) * 0.01).collect();
        let base = evidence(good.clone(), sharpes);
        let refused_by = |evidence: Evidence| {
            let verdict = judge(&evidence, &GateSpec::default(), id());
            let refused: Vec<String> = verdict.gates.into_iter().filter(|gate| !gate.passed).map(|g| g.name).collect();
            assert_eq!(verdict.validated.is_some(), refused.is_empty());
            refused.join(" ")
        };
        assert_eq!(refused_by(base.clone()), "");
        assert_eq!(refused_by(Evidence { buy_and_hold_return: 9.0, ..base.clone() }), "return_over_buy_and_hold");
        assert_eq!(refused_by(Evidence { parity_mismatches: 1, ..base.clone() }), "train_serve_parity");
        assert_eq!(refused_by(Evidence { parity_rows: 0, ..base.clone() }), "train_serve_parity");
        let spread = (0..10).map(|trial| f64::from(trial) * 0.3).collect();
        assert_eq!(refused_by(Evidence { trial_sharpes: spread, ..base.clone() }), "deflated_sharpe");
        let loss: Vec<f64> = good.iter().map(|r| -r).collect();
        assert!(refused_by(Evidence { test_returns: loss, ..base }).contains("return_over_zero"));
    }
}
