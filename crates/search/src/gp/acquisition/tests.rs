//! The expected improvement against its definition, and its slopes.

use super::*;

#[test]
fn the_logarithm_agrees_with_the_definition_and_continues_into_the_tail() {
    // In 60 digits: log(φ(z) + z Φ(z)).
    let golden = [
        (2.0, 0.697_383_545_788_228_2),
        (0.0, -0.918_938_533_204_672_7),
        (-1.0, -2.485_121_025_712_641),
        (-5.0, -16.744_301_162_660_99),
        (-10.0, -55.553_122_036_122_36),
        (-30.0, -457.724_653_760_598),
    ];
    for (z, wanted) in golden {
        let found = log_h(z).0;
        assert!((found - wanted).abs() < 1e-8 * wanted.abs(), "{z}: {found} {wanted}");
    }
    let steps: Vec<f64> = (-4000..400).map(|step| log_h(f64::from(step) / 100.0).0).collect();
    assert!(steps.windows(2).all(|pair| pair[0] < pair[1]), "it rises with z");
}

#[test]
fn slopes_are_those_of_differences() {
    for (mean, deviation) in [(0.3, 1.0), (-2.0, 0.5), (3.0, 0.8), (8.0, 1.0), (40.0, 1.0)] {
        let at = |mean, deviation| log_improvement(&Prediction { mean, deviation }, 0.1).0;
        let (_, by_mean, by_deviation) = log_improvement(&Prediction { mean, deviation }, 0.1);
        let step = 1e-5;
        let along_mean = (at(mean + step, deviation) - at(mean - step, deviation)) / (2.0 * step);
        let along_deviation = (at(mean, deviation + step) - at(mean, deviation - step)) / (2.0 * step);
        assert!((by_mean - along_mean).abs() < 1e-4 * along_mean.abs().max(1.0), "{mean}: {by_mean} {along_mean}");
        assert!(
            (by_deviation - along_deviation).abs() < 1e-4 * along_deviation.abs().max(1.0),
            "{mean}: {by_deviation} {along_deviation}"
        );
    }
}
