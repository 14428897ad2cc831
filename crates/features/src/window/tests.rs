//! Every summary against its definition, afresh over each window, on series made to upset running sums.

use proptest::prelude::*;

use super::*;

/// Feeds `values` and gives each full window with its summary.
fn windows<A: Aggregate>(values: &[f64], length: usize, of: impl Fn(f64) -> A) -> Vec<(&[f64], A)> {
    let mut rolling = Rolling::new(length);
    let mut found = Vec::new();
    for (index, value) in values.iter().enumerate() {
        let summary = rolling.push(of(*value));
        assert_eq!(summary.is_some(), index + 1 >= length);
        found.extend(summary.map(|summary| (&values[index + 1 - length..=index], summary)));
    }
    found
}

fn near(ours: f64, theirs: f64, scale: f64) -> bool {
    (ours - theirs).abs() <= 1e-9 * scale.max(1e-300)
}

fn series() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(prop_oneof![-1.0..1.0f64, Just(0.5), -1e-6..1e-6f64], 1..60)
}

proptest! {
    #[test]
    fn moments_are_those_of_the_window(values in series(), length in 1usize..20) {
        let n = length as f64;
        for (window, shape) in windows(&values, length, Shape::of) {
            let mean = window.iter().sum::<f64>() / n;
            let power = |k: i32| window.iter().map(|x| (x - mean).powi(k)).sum::<f64>();
            prop_assert!(near(shape.mean, mean, 1.0));
            for (ours, k) in shape.powers.iter().zip(2..) {
                prop_assert!(near(*ours, power(k), n), "power {}: {} against {}", k, ours, power(k));
            }
        }
        for (window, moments) in windows(&values, length, Moments::of) {
            let mean = window.iter().sum::<f64>() / n;
            let squares = window.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>();
            prop_assert!(near(moments.squares, squares, n));
        }
    }

    #[test]
    fn lines_extremes_and_sums_are_those_of_the_window(values in series(), length in 1usize..20) {
        let n = length as f64;
        for (window, trend) in windows(&values, length, Trend::of) {
            let mean = window.iter().sum::<f64>() / n;
            let tilt = window.iter().enumerate().map(|(at, x)| (at as f64 - (n - 1.0) / 2.0) * (x - mean)).sum::<f64>();
            prop_assert!(near(trend.tilt, tilt, n * n));
        }
        for (window, sum) in windows(&values, length, Sum) {
            prop_assert!(near(sum.0, window.iter().sum(), n));
        }
        for (window, highest) in windows(&values, length, |x| Highest(x, 0.0)) {
            let most = window.iter().copied().fold(f64::MIN, f64::max);
            let ago = window.iter().rev().position(|x| *x == most).unwrap();
            prop_assert_eq!(highest, Highest(most, ago as f64));
        }
        for (window, lowest) in windows(&values, length, |x| Lowest(x, 0.0)) {
            let least = window.iter().copied().fold(f64::MAX, f64::min);
            let ago = window.iter().rev().position(|x| *x == least).unwrap();
            prop_assert_eq!(lowest, Lowest(least, ago as f64));
        }
    }

    #[test]
    fn covariances_are_those_of_the_window(values in series(), length in 2usize..20) {
        let n = length as f64;
        for (window, pair) in windows(&values, length, |x| Pair::of(x, x * x)) {
            let mean = window.iter().sum::<f64>() / n;
            let squared = window.iter().map(|x| x * x).sum::<f64>() / n;
            let product = window.iter().map(|x| (x - mean) * (x * x - squared)).sum::<f64>();
            prop_assert!(near(pair.product, product, n));
            prop_assert!((-1.0..=1.0).contains(&pair.correlation()));
        }
    }
}

#[test]
fn what_left_the_window_leaves_no_trace() {
    let mut rolling = Rolling::new(5);
    for value in [3.0, 1e15, -2e15, 0.1, 0.1, 0.1, 0.1] {
        rolling.push(Moments::of(value));
    }
    for _ in 0..20 {
        assert_eq!(rolling.push(Moments::of(0.1)), Some(Moments { mean: 0.1, squares: 0.0 }));
    }
}

#[test]
fn a_lag_gives_back_what_came_so_long_ago() {
    let mut lag = Lag::new(3);
    let back: Vec<_> = (0..7).map(|value| lag.push(f64::from(value))).collect();
    assert_eq!(back, [None, None, None, Some(0.0), Some(1.0), Some(2.0), Some(3.0)]);
}
