//! Feature values a second on one core: all features of one symbol over a long history, as one JSON line.
//!
//! `cargo run --release -p features --example throughput [BARS]`. Beside it stand the same output written by a plain copy, which
//! is what memory alone would allow, and the time of each feature on its own.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a measurement reads the clock and prints")]

use std::time::Instant;

use features::compute;
use market::{Bar, Timestamp};
use spec::FeatureSpec;

fn main() {
    let length = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(400_000);
    let bars = walk(length);
    let specs: Vec<_> = FeatureSpec::all().into_iter().filter(|spec| !spec.is_cross_section()).collect();
    let seconds = |specs: &[FeatureSpec]| {
        (0..3)
            .map(|_| {
                let began = Instant::now();
                let matrix = compute(specs, &bars).expect("the bars are sound and the parameters usual");
                assert!(matrix.rows() > 0);
                (began.elapsed().as_secs_f64(), matrix.values.len())
            })
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .expect("three runs")
    };
    let (whole, values) = seconds(&specs);
    let source = vec![1.0f64; values];
    let copy = (0..3)
        .map(|_| {
            let began = Instant::now();
            let mut target = Vec::with_capacity(values);
            target.extend_from_slice(&source);
            assert_eq!(target.len(), values);
            began.elapsed().as_secs_f64()
        })
        .fold(f64::MAX, f64::min);
    // Deriving a step and checking the calendar is paid once a bar, whatever the features.
    let (base, _) = seconds(&[FeatureSpec::CloseLocation {}]);
    let each: Vec<_> = specs
        .iter()
        .map(|spec| {
            let nanos = (seconds(std::slice::from_ref(spec)).0 - base) / bars.len() as f64 * 1e9;
            serde_json::json!([spec.column(), (nanos * 10.0).round() / 10.0])
        })
        .collect();
    let line = serde_json::json!({
        "bench": "features", "bars": bars.len(), "features": specs.len(),
        "values_per_s": (values as f64 / whole).round(),
        "ns_per_bar_before_any_feature": base / bars.len() as f64 * 1e9,
        "values_per_s_of_a_copy": (values as f64 / copy).round(),
        "ns_per_value_by_feature": each,
    });
    println!("{line}");
}

/// A random walk of hourly bars from a linear congruential generator.
fn walk(length: usize) -> Vec<Bar> {
    let mut state = 1u64;
    let mut draw = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    let mut close: f64 = 100.0;
    let bar = |index: usize| {
        let open = close;
        close *= (0.01 * draw()).exp();
        let (top, bottom) = (open.max(close), open.min(close));
        let time = Timestamp::from_micros(index as i64 * 3_600_000_000);
        let (high, low) = (top * (1.0 + 0.002 * draw().abs()), bottom * (1.0 - 0.002 * draw().abs()));
        Bar { time, open, high, low, close, volume: (1e6 * (draw() + 0.6)).round() }
    };
    (0..length).map(bar).collect()
}
