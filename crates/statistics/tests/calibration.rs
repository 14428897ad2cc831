//! Scores and calibration errors against figures that `scripts/fixtures/calibration_scores.py` computed from definitions.

#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

use statistics::calibration::coverage::binomial_band;
use statistics::calibration::reliability::{Named, bins, debiased, error};
use statistics::calibration::scores::{brier, crps_gaussian};
use statistics::calibration::temperature::{Prior, temperature};

/// The lines of a kind, as numbers.
fn lines(kind: &str) -> Vec<Vec<f64>> {
    let line = |line: &str| -> Option<Vec<f64>> {
        let (name, rest) = line.split_once(' ')?;
        (name == kind).then(|| rest.split(' ').map(|value| value.parse().unwrap()).collect())
    };
    let found: Vec<_> = include_str!("fixtures/calibration.txt").lines().filter_map(line).collect();
    assert!(!found.is_empty(), "the fixture holds {kind}");
    found
}

fn close(ours: f64, theirs: f64, tolerance: f64) {
    assert!((ours - theirs).abs() <= tolerance * theirs.abs().max(1.0), "{ours} {theirs}");
}

#[test]
fn the_score_of_a_gaussian_is_the_integral_that_defines_it() {
    for line in lines("crps") {
        close(crps_gaussian((line[0], line[1]), line[2]), line[3], 1e-9);
    }
}

#[test]
fn the_brier_score_is_the_exact_sum() {
    for line in lines("brier") {
        close(brier(&line[..3], line[3] as usize), line[4], 1e-14);
    }
}

#[test]
fn the_band_of_a_share_is_that_of_exact_binomial_sums() {
    for line in lines("band") {
        assert_eq!(binomial_band(line[0] as u64, line[1], line[2]), (line[3], line[4]), "{line:?}");
    }
}

#[test]
fn calibration_errors_are_those_of_exact_fractions() {
    for line in lines("ece") {
        let rows: Vec<Named> = line[2..].chunks_exact(2).map(|row| (row[0], row[1] == 1.0)).collect();
        let cut = bins(&rows, 15);
        close(error(&cut), line[0], 1e-12);
        close(debiased(&cut), line[1], 1e-8);
    }
}

#[test]
fn the_temperature_is_where_a_search_of_the_likelihood_finds_it() {
    for line in lines("temperature") {
        let rows: Vec<&[f64]> = line[1..].chunks_exact(4).collect();
        let logits: Vec<[f64; 3]> = rows.iter().map(|row| [row[0], row[1], row[2]]).collect();
        let classes: Vec<u8> = rows.iter().map(|row| row[3] as u8).collect();
        let nothing = Prior { base: [1.0; 3], rows: 0.0 };
        close(temperature(&logits, &classes, 1, &nothing), line[0], 1e-6);
    }
}
