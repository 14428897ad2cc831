//! Rows that are there, and rows that are not.

use features::Stream;

use super::{History, WINDOWS_MAX};
use crate::ExplainError;
use crate::fixtures::{bars, state};

#[test]
fn the_last_row_is_the_window_that_a_stream_gives_for_that_bar() {
    let bars = bars(400);
    let state = state(6, &bars);
    let mut stream = Stream::from_anchor(&state).unwrap();
    let mut windows = Vec::new();
    for (index, bar) in bars.iter().enumerate() {
        let window = stream.push(bar).unwrap().map(<[f32]>::to_vec);
        windows.extend(window.clone());
        if ![10, 20, 399].contains(&index) {
            continue;
        }
        let history = History::until(&state, &bars, Some(bar.time)).unwrap();
        assert_eq!(Some(history.row()), window.as_deref());
        let times: Vec<_> = bars[index - 5..=index].iter().map(|bar| bar.time).collect();
        assert_eq!(history.bars, times);
        assert_eq!(history.features, ["log_return_1", "volume_z_5", "rsi_4"]);
    }
    let last = History::until(&state, &bars, None).unwrap();
    assert_eq!(last, History::until(&state, &bars, Some(bars[399].time)).unwrap());
    assert_eq!(last.rows, windows[windows.len() - WINDOWS_MAX..].concat());
}

#[test]
fn bars_after_the_one_that_is_explained_change_nothing() {
    let bars = bars(60);
    let state = state(6, &bars);
    let at = Some(bars[40].time);
    assert_eq!(History::until(&state, &bars, at).unwrap(), History::until(&state, &bars[..41], at).unwrap());
}

#[test]
fn a_row_without_a_full_window_a_time_without_a_bar_and_data_without_the_anchor_are_named() {
    let bars = bars(60);
    let state = state(6, &bars);
    // Warm-up of four bars, then a window of six.
    let said = |at: usize| History::until(&state, &bars, Some(bars[at].time)).map_err(|error| error.to_string());
    assert!(said(9).is_ok());
    let error = said(8).unwrap_err();
    assert!(
        error.contains(&bars[8].time.to_string()) && error.contains("9 bars") && error.contains("needs 10"),
        "{error}"
    );
    let sunday = "2020-01-05".parse().unwrap();
    let error = History::until(&state, &bars, Some(sunday)).unwrap_err();
    assert!(matches!(error, ExplainError::NoBar { at, .. } if at == sunday), "{error}");
    let error = History::until(&state, &bars[1..], None).unwrap_err();
    assert!(matches!(error, ExplainError::Anchor { anchor } if anchor == bars[0].time), "{error}");
    assert!(matches!(History::until(&state, &[], None), Err(ExplainError::Anchor { .. })));
}

#[test]
fn a_feature_that_is_no_number_is_named_with_its_bar() {
    let bars = bars(60);
    let mut history = History::until(&state(6, &bars), &bars, None).unwrap();
    let last = history.rows.len();
    history.rows[last - 2] = f32::NAN;
    let error = history.clone().finite().unwrap_err();
    let ExplainError::NotFinite { feature, bar } = &error else { panic!("{error}") };
    assert_eq!((feature.as_str(), *bar), ("volume_z_5", bars[59].time));
    history.rows[last - 2] = 0.0;
    history.rows[last - 18] = f32::INFINITY;
    let error = history.finite().unwrap_err();
    assert!(matches!(&error, ExplainError::NotFinite { bar, .. } if *bar == bars[54].time), "{error}");
}

#[test]
fn features_are_found_by_name_and_an_unknown_one_is_told_with_those_there_are() {
    let bars = bars(60);
    let history = History::until(&state(6, &bars), &bars, None).unwrap();
    let places = |names: &[&str]| history.places(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(places(&[]).unwrap(), [0, 1, 2]);
    assert_eq!(places(&["rsi_4", "log_return_1", "rsi_4"]).unwrap(), [0, 2]);
    let error = places(&["rsi_4", "rsi_14"]).unwrap_err().to_string();
    assert!(error.contains("no feature rsi_14") && error.contains("log_return_1, volume_z_5, rsi_4"), "{error}");
}
