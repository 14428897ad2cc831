//! No row knows the future, and streaming is the batch: bit for bit, on random series.

#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

use features::{
    FeatureError, FeatureState, History, Matrix, Normaliser, Panel, Pipeline, Stream, compute, compute_on,
    compute_panel, warm_up_bars,
};
use market::{Bar, Calendar, Timestamp};
use proptest::prelude::*;
use spec::FeatureSpec;

const DAY: i64 = 86_400_000_000;
const WINDOW: usize = 4;

/// Every feature of one symbol, with windows short enough for a short history.
fn specs() -> Vec<FeatureSpec> {
    FeatureSpec::all().iter().filter(|spec| !spec.is_cross_section()).map(short).collect()
}

/// The same feature with short windows, in their order.
fn short(spec: &FeatureSpec) -> FeatureSpec {
    let mut written = serde_json::to_value(spec).unwrap();
    for (field, value) in written[spec.kind()].as_object_mut().unwrap() {
        let length = match field.as_str() {
            "fast" | "smooth" | "short" => 2,
            "signal" | "window" | "middle" => 3,
            "bars" | "long" => 4,
            "slow" => 5,
            _ => continue,
        };
        *value = length.into();
    }
    serde_json::from_value(written).unwrap()
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
    fn a_history_in_parts_has_the_rows_of_the_whole_and_stands_where_a_stream_stands(
        history in history(), cuts in prop::collection::vec(0usize..80, 0..4),
    ) {
        let matrix = compute(&specs(), &history).unwrap();
        let mut ends: Vec<usize> = cuts.into_iter().map(|cut| cut.min(history.len())).collect();
        ends.push(history.len());
        ends.sort_unstable();
        let mut parts = History::new(Calendar::Xnys, &specs()).unwrap();
        let (mut rows, mut from) = (Vec::new(), 0);
        for end in ends {
            parts.push(&history[from..end], &mut rows).unwrap();
            from = end;
        }
        let as_bits = |values: &[f64]| -> Vec<u64> { values.iter().map(|value| value.to_bits()).collect() };
        prop_assert_eq!(as_bits(&rows), as_bits(&matrix.values));

        let normaliser = Normaliser::fit(&matrix, 0..15);
        let mut stream = fresh(normaliser.clone(), &history);
        stream_windows(&mut stream, &history, 0);
        let last = matrix.rows().saturating_sub(WINDOW);
        let mut recent = vec![vec![0.0; matrix.width]; matrix.rows() - last];
        for (row, raw) in recent.iter_mut().zip(matrix.values.chunks_exact(matrix.width).skip(last)) {
            normaliser.apply(raw, row);
        }
        let state = FeatureState::fitted(&specs(), WINDOW, history[0].time, normaliser).unwrap().after(&parts, recent);
        // As bytes, for what is no number yet equals nothing.
        prop_assert_eq!(serde_json::to_vec(&state).unwrap(), serde_json::to_vec(&stream.state()).unwrap());
    }

    #[test]
    fn a_fit_has_the_bits_of_sums_that_go_on_row_by_row(history in history()) {
        let matrix = compute(&specs(), &history).unwrap();
        let fitted = Normaliser::fit(&matrix, 0..25);
        let rows: Vec<&[f64]> = (0..25).filter_map(|bar| matrix.row(bar)).collect();
        let count = rows.len() as f64;
        let (mut mean, mut variance) = (vec![0.0; matrix.width], vec![0.0; matrix.width]);
        for row in &rows {
            mean.iter_mut().zip(*row).for_each(|(sum, value)| *sum += value / count);
        }
        for row in &rows {
            for ((sum, value), mean) in variance.iter_mut().zip(*row).zip(&mean) {
                *sum += (value - mean) * (value - mean) / count;
            }
        }
        let std = variance.iter().map(|variance| if *variance > 1e-24 { variance.sqrt() } else { 1.0 });
        prop_assert_eq!((fitted.mean, fitted.std), (mean, std.collect::<Vec<f64>>()));
        prop_assert_eq!(fitted.profiles.len(), matrix.width);
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

/// The bits of every row of every symbol of a panel, by bar.
fn panel_bits(series: &[Vec<Bar>]) -> Vec<Vec<Option<Vec<u64>>>> {
    let slices: Vec<&[Bar]> = series.iter().map(Vec::as_slice).collect();
    let specs: Vec<_> = FeatureSpec::all().iter().map(short).collect();
    let matrices = compute_panel(&specs, &slices).unwrap();
    matrices.iter().zip(series).map(|(matrix, bars)| (0..bars.len()).map(|bar| bits(matrix, bar)).collect()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn shuffling_the_future_of_all_symbols_leaves_the_past_of_each(
        series in prop::collection::vec(prop::collection::vec((-0.1..0.1, 0.0..0.05, 0.0..1e9), 40), 2..5),
        cut in 16usize..30,
    ) {
        let series: Vec<_> = series.iter().map(|moves| bars(moves)).collect();
        let mut shuffled = series.clone();
        for bars in &mut shuffled {
            let times: Vec<_> = bars.iter().map(|bar| bar.time).collect();
            bars[cut + 1..].reverse();
            bars.iter_mut().zip(times).for_each(|(bar, time)| bar.time = time);
        }
        let (before, after) = (panel_bits(&series), panel_bits(&shuffled));
        for (before, after) in before.iter().zip(&after) {
            prop_assert!(before[cut].is_some());
            prop_assert_eq!(&before[..=cut], &after[..=cut]);
        }
    }

    #[test]
    fn a_panel_stored_and_resumed_goes_on_as_one_never_stopped(
        series in prop::collection::vec(prop::collection::vec((-0.1..0.1, 0.0..0.05, 0.0..1e9), 40), 3),
        stop in 1usize..39,
    ) {
        let series: Vec<_> = series.iter().map(|moves| bars(moves)).collect();
        let specs: Vec<_> = FeatureSpec::all().iter().map(short).collect();
        let whole = panel_bits(&series);
        let mut panel = Panel::new(&specs, 3).unwrap();
        let mut rows = vec![0.0; 3 * panel.width()];
        for bar in 0..40 {
            if bar == stop {
                let stored = serde_json::to_vec(&panel).unwrap();
                panel = serde_json::from_slice(&stored).unwrap();
            }
            let now: Vec<_> = series.iter().map(|bars| Some(bars[bar])).collect();
            let readiness = panel.push(&now, &mut rows).unwrap();
            for (symbol, row) in rows.chunks_exact(panel.width()).enumerate() {
                let ours = (readiness[symbol] == Some(features::Readiness::Ready))
                    .then(|| row.iter().map(|value| value.to_bits()).collect::<Vec<_>>());
                prop_assert_eq!(&ours, &whole[symbol][bar]);
            }
        }
    }
}

#[test]
fn a_gap_is_one_of_the_calendar() {
    // The early May holiday of London, which New York does not have, and a Saturday.
    let specs = [FeatureSpec::LogReturn { bars: 1 }];
    let mut series = bars(&[(0.01, 0.01, 1.0); 3]);
    let dates = ["2023-04-28", "2023-05-02", "2023-05-03"];
    series.iter_mut().zip(dates).for_each(|(bar, date)| bar.time = date.parse().unwrap());
    assert!(matches!(compute(&specs, &series), Err(FeatureError::Gap { .. })));
    assert!(compute_on(Calendar::Xlon, &specs, &series).is_ok());
    let missing = "2023-04-29".parse().unwrap();
    let error = compute_on(Calendar::Always, &specs, &series).unwrap_err();
    assert!(matches!(error, FeatureError::Gap { missing: found, .. } if found == missing), "{error}");
    // A state keeps its calendar, and names it only where it is not New York's.
    let normaliser = Normaliser { mean: vec![0.0], std: vec![1.0], clip: 10.0, profiles: Vec::new() };
    let state = FeatureState::fitted(&specs, 1, series[0].time, normaliser).unwrap();
    assert!(!serde_json::to_string(&state).unwrap().contains("calendar"));
    let stored = serde_json::to_string(&state.on(Calendar::Xlon)).unwrap();
    let mut stream = Stream::resume(serde_json::from_str(&stored).unwrap());
    for bar in &series {
        stream.push(bar).unwrap();
    }
    assert!(Stream::for_history(&stream.state(), "2023-05-04".parse().unwrap()).is_ok());
}

#[test]
fn a_symbol_that_does_not_trade_is_left_out_of_the_comparison() {
    let mut series: Vec<_> = [0.01, 0.02, -0.03].map(|step| bars(&[(step, 0.01, 1.0); 10])).to_vec();
    series[2].drain(..5);
    let specs = [FeatureSpec::MarketReturn { bars: 1 }, FeatureSpec::ReturnRank { bars: 1 }];
    let slices: Vec<&[Bar]> = series.iter().map(Vec::as_slice).collect();
    let matrices = compute_panel(&specs, &slices).unwrap();
    let early = matrices[0].row(3).unwrap();
    assert!((early[0] - 0.015).abs() < 1e-12 && early[1] == 0.0, "{early:?}");
    let late = matrices[0].row(8).unwrap();
    assert!(late[0].abs() < 1e-12 && late[1] == 0.5, "{late:?}");
    assert_eq!(matrices[2].first, 1);
}

#[test]
fn comparisons_and_extreme_numbers_are_refused_where_they_mean_nothing() {
    let series = bars(&[(0.01, 0.01, 1.0); 5]);
    let compares = compute(&[FeatureSpec::Beta { bars: 60 }], &series).unwrap_err();
    assert_eq!(
        compares.to_string(),
        "feature beta_60 compares symbols, and there is one: leave it out, or compute a panel"
    );
    let misordered = compute(&[FeatureSpec::Ppo { fast: 9, slow: 9 }], &series).unwrap_err();
    assert_eq!(misordered.to_string(), "feature ppo_9_9: use a `fast` below `slow`");
    for spoil in [|bar: &mut Bar| bar.volume = 1e19, |bar: &mut Bar| bar.high = 1e13, |bar: &mut Bar| bar.low = 1e-13] {
        let mut series = series.clone();
        spoil(&mut series[3]);
        let error = compute(&[FeatureSpec::LogReturn { bars: 1 }], &series).unwrap_err();
        assert_eq!(error, FeatureError::Extreme { time: series[3].time });
    }
}

#[test]
fn a_fit_names_the_columns_that_do_not_vary_and_remembers_the_others() {
    let history = bars(&(0..60).map(|n| (0.01 * f64::from(n % 7 - 3), 0.01, 0.0)).collect::<Vec<_>>());
    let specs = [FeatureSpec::LogReturn { bars: 1 }, FeatureSpec::VolumeZ { bars: 4 }];
    let matrix = compute(&specs, &history).unwrap();
    let normaliser = Normaliser::fit(&matrix, 10..50);
    assert_eq!(normaliser.constant_columns().collect::<Vec<_>>(), [1]);
    assert_eq!(normaliser.profiles[0].rows, 40);
    assert!((normaliser.profiles[0].most - 0.03).abs() < 1e-12);
    let stored = serde_json::to_string(&normaliser).unwrap();
    assert_eq!(serde_json::from_str::<Normaliser>(&stored).unwrap(), normaliser);
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
    let history = bars(&[(0.01, 0.01, 1.0); 140]);
    for spec in FeatureSpec::all().iter().flat_map(|spec| [spec.clone(), short(spec)]) {
        let matrices = compute_panel(std::slice::from_ref(&spec), &[&history, &history]).unwrap();
        assert_eq!(matrices[0].first, warm_up_bars(&spec), "{spec:?}");
        if !spec.is_cross_section() {
            let pipeline = Pipeline::new(std::slice::from_ref(&spec)).unwrap();
            assert_eq!(pipeline.warm_up_bars(), warm_up_bars(&spec));
        }
    }
    assert_eq!(Pipeline::new(&specs()).unwrap().warm_up_bars(), compute(&specs(), &history).unwrap().first);
}

#[test]
fn a_batch_equals_pushes_one_by_one_across_its_blocks() {
    let moves: Vec<_> = (0..300).map(|n| (0.02 * f64::from(n * 37 % 11 - 5), 0.01, f64::from(n * 53 % 97))).collect();
    let history = bars(&moves);
    let matrix = compute(&specs(), &history).unwrap();
    let mut pipeline = Pipeline::new(&specs()).unwrap();
    let mut row = vec![0.0; pipeline.width()];
    for (index, bar) in history.iter().enumerate() {
        let ready = pipeline.push(bar, &mut row) == features::Readiness::Ready;
        let ours = ready.then(|| row.iter().map(|value| value.to_bits()).collect());
        assert_eq!(ours, bits(&matrix, index));
    }
}
