//! No row knows the future, and streaming is the batch: bit for bit, on random series.

#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

use features::{FeatureError, FeatureState, Matrix, Normaliser, Pipeline, Stream, compute};
use market::{Bar, Timestamp};
use proptest::prelude::*;
use spec::FeatureSpec;

const DAY: i64 = 86_400_000_000;
const WINDOW: usize = 4;

fn specs() -> Vec<FeatureSpec> {
    vec![
        FeatureSpec::LogReturn { bars: 1 },
        FeatureSpec::LogReturn { bars: 5 },
        FeatureSpec::RealisedVolatility { bars: 5 },
        FeatureSpec::Rsi { bars: 4 },
        FeatureSpec::Macd { fast: 3, slow: 6, signal: 3 },
        FeatureSpec::Atr { bars: 4 },
        FeatureSpec::Bollinger { bars: 5, width: 2.0 },
        FeatureSpec::VolumeZ { bars: 5 },
    ]
}

fn bars(moves: &[(f64, f64, f64)]) -> Vec<Bar> {
    let mut close: f64 = 100.0;
    let step = |(index, &(change, reach, volume)): (usize, &(f64, f64, f64))| {
        let open = close;
        close *= change.exp();
        let (top, bottom) = (open.max(close), open.min(close));
        Bar {
            time: Timestamp::from_micros(index as i64 * DAY),
            open,
            high: top * (1.0 + reach),
            low: bottom * (1.0 - reach),
            close,
            volume,
        }
    };
    moves.iter().enumerate().map(step).collect()
}

fn history() -> impl Strategy<Value = Vec<Bar>> {
    prop::collection::vec((-0.1..0.1, 0.0..0.05, 0.0..1e9), 30..80).prop_map(|moves| bars(&moves))
}

/// Fits on the first half and gives every window's bits, with its bar.
fn windows(bars: &[Bar]) -> Vec<(usize, Vec<u32>)> {
    let matrix = compute(&specs(), bars).unwrap();
    let normaliser = Normaliser::fit(&matrix, 0..15);
    stream_windows(&mut fresh(normaliser, bars), bars, 0)
}

fn fresh(normaliser: Normaliser, bars: &[Bar]) -> Stream {
    Stream::resume(FeatureState::fitted(&specs(), WINDOW, bars[0].time, normaliser).unwrap())
}

fn stream_windows(stream: &mut Stream, bars: &[Bar], from: usize) -> Vec<(usize, Vec<u32>)> {
    let mut windows = Vec::new();
    for (index, bar) in bars.iter().enumerate().skip(from) {
        if let Some(window) = stream.push(bar).unwrap() {
            windows.push((index, window.iter().map(|value| value.to_bits()).collect()));
        }
    }
    windows
}

fn bits(matrix: &Matrix, bar: usize) -> Option<Vec<u64>> {
    matrix.row(bar).map(|row| row.iter().map(|value| value.to_bits()).collect())
}

proptest! {
    #[test]
    fn cutting_or_shuffling_the_future_leaves_every_earlier_row_as_it_was(history in history(), cut in 16usize..30) {
        let whole = compute(&specs(), &history).unwrap();
        let cut_short = compute(&specs(), &history[..=cut]).unwrap();
        let mut shuffled = history.clone();
        shuffled[cut + 1..].reverse();
        let times: Vec<_> = history.iter().map(|bar| bar.time).collect();
        shuffled.iter_mut().zip(times).for_each(|(bar, time)| bar.time = time);
        let shuffled_rows = compute(&specs(), &shuffled).unwrap();
        for bar in 0..=cut {
            prop_assert_eq!(bits(&whole, bar), bits(&cut_short, bar));
            prop_assert_eq!(bits(&whole, bar), bits(&shuffled_rows, bar));
        }
        let known: Vec<_> = windows(&history).into_iter().filter(|(bar, _)| *bar <= cut).collect();
        let after: Vec<_> = windows(&shuffled).into_iter().filter(|(bar, _)| *bar <= cut).collect();
        prop_assert!(!known.is_empty());
        prop_assert_eq!(known, after);
    }

    #[test]
    fn a_stream_resumed_from_its_stored_state_equals_one_never_stopped(history in history(), stop in 1usize..29) {
        let matrix = compute(&specs(), &history).unwrap();
        let normaliser = Normaliser::fit(&matrix, 0..15);
        let whole = stream_windows(&mut fresh(normaliser.clone(), &history), &history, 0);

        let mut first = fresh(normaliser, &history);
        let mut parts = stream_windows(&mut first, &history[..stop], 0);
        let stored = serde_json::to_vec(&first.state()).unwrap();
        let mut second = Stream::resume(serde_json::from_slice(&stored).unwrap());
        parts.extend(stream_windows(&mut second, &history, stop));
        prop_assert_eq!(whole, parts);
    }

    #[test]
    fn a_streamed_window_is_made_of_the_batch_rows(history in history()) {
        let matrix = compute(&specs(), &history).unwrap();
        let normaliser = Normaliser::fit(&matrix, 0..15);
        let width = matrix.width;
        for (bar, window) in windows(&history) {
            let mut rows = vec![0.0; WINDOW * width];
            for (slot, index) in rows.chunks_exact_mut(width).zip(bar + 1 - WINDOW..) {
                normaliser.apply(matrix.row(index).unwrap(), slot);
            }
            prop_assert_eq!(window, rows.iter().map(|value| value.to_bits()).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_refused_bar_leaves_the_stream_as_it_was() {
    let history = bars(&[(0.01, 0.01, 1.0); 40]);
    let normaliser = Normaliser::fit(&compute(&specs(), &history).unwrap(), 0..20);
    let mut stream = fresh(normaliser, &history);
    for bar in &history[..20] {
        stream.push(bar).unwrap();
    }
    let before = stream.state();
    let refused = |bar: &Bar| stream.clone().push(bar).map(|_| ()).unwrap_err();
    assert!(matches!(refused(&history[19]), FeatureError::OutOfOrder { .. }));
    assert!(matches!(refused(&Bar { close: f64::NAN, ..history[20] }), FeatureError::Defect { .. }));
    assert!(matches!(refused(&history[30]), FeatureError::Gap { .. }));
    for bar in [history[19], Bar { close: f64::NAN, ..history[20] }, history[30]] {
        assert!(stream.push(&bar).is_err());
        assert_eq!(stream.state(), before);
    }
    assert!(stream.push(&history[20]).is_ok());
}

#[test]
fn a_history_starts_at_the_anchor_or_right_after_the_state_and_nowhere_else() {
    let history = bars(&[(0.01, 0.01, 1.0); 40]);
    let normaliser = Normaliser::fit(&compute(&specs(), &history).unwrap(), 0..20);
    let mut stream = fresh(normaliser, &history);
    for bar in &history[..20] {
        stream.push(bar).unwrap();
    }
    let state = stream.state();
    let start = |bar: usize| Stream::for_history(&state, history[bar].time);
    assert_eq!(start(0).unwrap().state().at, None);
    assert_eq!(start(20).unwrap().state(), state);
    for bar in [1, 19, 30] {
        assert!(matches!(start(bar), Err(FeatureError::HistoryTooShort { .. })), "bar {bar}");
    }
}

#[test]
fn a_history_over_a_weekend_and_a_holiday_has_no_gap() {
    // Friday 29 June 2018; Wednesday 4 July is a holiday.
    let dates = ["2018-06-29", "2018-07-02", "2018-07-03", "2018-07-05", "2018-07-06"];
    let mut series = bars(&[(0.01, 0.01, 1.0); 5]);
    series.iter_mut().zip(dates).for_each(|(bar, date)| bar.time = date.parse().unwrap());
    let specs = [FeatureSpec::LogReturn { bars: 1 }];
    assert!(compute(&specs, &series).is_ok());
    series.remove(2);
    let missing = "2018-07-03".parse().unwrap();
    let error = compute(&specs, &series).unwrap_err();
    assert!(matches!(error, FeatureError::Gap { missing: found, .. } if found == missing), "{error}");
}

#[test]
fn each_feature_is_complete_right_after_its_warm_up() {
    let history = bars(&[(0.01, 0.01, 1.0); 40]);
    for spec in specs() {
        let pipeline = Pipeline::new(std::slice::from_ref(&spec)).unwrap();
        let first = compute(std::slice::from_ref(&spec), &history).unwrap().first;
        assert_eq!(pipeline.warm_up_bars(), first, "{spec:?}");
    }
    assert_eq!(Pipeline::new(&specs()).unwrap().warm_up_bars(), compute(&specs(), &history).unwrap().first);
}
