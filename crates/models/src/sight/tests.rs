//! What is seen is the same offline and online, to the bit, and only what belongs together sees.

use std::num::NonZeroUsize;
use std::sync::Arc;

use artifacts::{Bundle, BundleKind};
use features::{FeatureState, Normaliser, Stream, compute};
use market::{Bar, Calendar, Timestamp};
use spec::{FeatureSpec, ModelSpec};

use super::{Encoder, Sight, SightError};
use crate::fixtures::{bundle_seeing, plain_cnn_lstm};
use crate::{NetworkKind, NetworkSpec, Remembered, drawn};

const BARS: usize = 60;

/// Bars that features are fitted on.
const TRAINED: usize = 40;

/// Bars that a policy looks at.
const WINDOW: usize = 3;

/// Bars of consecutive sessions.
pub(crate) fn bars() -> Vec<Bar> {
    let (first, end): (Timestamp, Timestamp) = ("2020-01-02".parse().unwrap(), "2021-01-01".parse().unwrap());
    let times = [first].into_iter().chain(Calendar::Xnys.sessions_between(first, end));
    let wave = |at: usize, salt: f64| ((at * at) as f64 * 0.7 + salt).sin();
    let bar = |(at, time): (usize, Timestamp)| {
        let close = 100.0 + 3.0 * wave(at, 1.0) + at as f64 * 0.02;
        let open = close * (1.0 + 0.004 * wave(at, 2.0));
        let (low, high) = (open.min(close) * 0.998, open.max(close) * 1.002);
        Bar { time, open, high, low, close, volume: 1_000.0 * (2.0 + wave(at, 3.0)) }
    };
    times.take(BARS).enumerate().map(bar).collect()
}

/// A state fitted on [`TRAINED`] bars, before the first.
fn state(specs: &[FeatureSpec], window: usize) -> FeatureState {
    let bars = bars();
    let normaliser = Normaliser::fit(&compute(specs, &bars).unwrap(), 0..TRAINED);
    FeatureState::fitted(specs, window, bars[0].time, normaliser).unwrap()
}

/// What the policy sees itself.
fn own() -> FeatureState {
    state(&[FeatureSpec::LogReturn { bars: 1 }, FeatureSpec::Rsi { bars: 4 }], WINDOW)
}

/// A forecaster with drawn weights over windows of six bars of three features.
pub(crate) fn forecaster(seed: u64) -> Bundle {
    let specs = [FeatureSpec::LogReturn { bars: 1 }, FeatureSpec::VolumeZ { bars: 5 }, FeatureSpec::Atr { bars: 3 }];
    let model: ModelSpec = plain_cnn_lstm((8, 12, 1), 0.0);
    let network = NetworkSpec { kind: NetworkKind::Forecaster, model, window: 6, width: 3 };
    let weights = drawn(&network, seed).unwrap();
    let features = serde_json::to_vec(&state(&specs, 6)).unwrap();
    bundle_seeing(BundleKind::Forecaster, features, serde_json::to_value(network).unwrap(), weights)
}

fn encoder(memory_rows: usize) -> Encoder {
    Encoder::load(&forecaster(1), NonZeroUsize::new(memory_rows).unwrap()).unwrap()
}

/// Both, fitted and before the first bar.
fn seeing(encoder: &Encoder) -> Sight {
    let normaliser = Normaliser::fit(&encoder.matrix(&bars()).unwrap(), 0..TRAINED);
    Sight::with(own(), encoder.fitted(WINDOW, normaliser).unwrap()).unwrap()
}

/// A policy's bundle that holds what it sees after [`TRAINED`] bars.
pub(crate) fn policy() -> Bundle {
    let encoder = encoder(64);
    let mut stream = seeing(&encoder).resume();
    bars()[..TRAINED].iter().for_each(|bar| stream.advance(bar).unwrap());
    let sight = stream.sight().unwrap();
    let features = serde_json::to_vec(sight.features()).unwrap();
    let plain = bundle_seeing(BundleKind::Policy, features, serde_json::json!({}), vec![1]);
    plain.encoding(serde_json::to_vec(sight.learned().unwrap().state()).unwrap(), encoder.weights().to_vec())
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Bits of the window of each bar.
type Windows = Vec<Option<Vec<u32>>>;

/// Looking at every bar.
fn watched(sight: &Sight, bars: &[Bar]) -> Windows {
    let mut stream = sight.from_anchor().unwrap();
    bars.iter().map(|bar| stream.push(bar).unwrap().map(bits)).collect()
}

#[test]
fn a_row_is_the_bars_indicators_and_behind_them_what_the_encoder_makes_of_its_window() {
    let (encoder, bars) = (encoder(64), bars());
    let sight = seeing(&encoder);
    assert_eq!((sight.width(), sight.input_width(), sight.warm_up_bars()), (2 + 12, 42, 4 + 5 + WINDOW - 1));
    assert_eq!(sight.names()[..3], ["log_return_1", "rsi_4", "learned_0"].map(str::to_owned));
    let (matrix, learned) = (encoder.matrix(&bars).unwrap(), sight.learned().unwrap().state().clone());
    let mut own = Stream::from_anchor(sight.features()).unwrap();
    let windows = watched(&sight, &bars);
    assert_eq!(windows.iter().take_while(|window| window.is_none()).count(), sight.warm_up_bars());
    for (index, (bar, window)) in bars.iter().zip(windows).enumerate() {
        let indicators = own.push(bar).unwrap().map(<[f32]>::to_vec);
        let Some(window) = window else { continue };
        let indicators = indicators.unwrap();
        let expected = indicators.chunks_exact(2).enumerate().flat_map(|(place, indicators)| {
            let mut row = vec![0.0; 12];
            learned.normaliser.apply(matrix.row(index + 1 + place - WINDOW).unwrap(), &mut row);
            bits(&[indicators, &row].concat())
        });
        assert_eq!(window, expected.collect::<Vec<_>>(), "bar {index}: offline and online differ");
    }
}

#[test]
fn when_somebody_looks_and_where_a_stream_goes_on_change_nothing_that_is_seen() {
    let (bundle, bars) = (policy(), bars());
    let sight = Sight::load(&bundle).unwrap();
    let all = watched(&sight, &bars);
    let mut seldom = sight.from_anchor().unwrap();
    for (index, bar) in bars.iter().enumerate() {
        seldom.advance(bar).unwrap();
        if index % 7 == 0 {
            assert_eq!(seldom.look().unwrap().map(bits), all[index], "bar {index}");
        }
    }
    // From the bundle's bar on, and for a history that starts right after it.
    for mut stream in [sight.resume(), sight.for_history(bars[TRAINED].time).unwrap()] {
        for (bar, expected) in bars[TRAINED..].iter().zip(&all[TRAINED..]) {
            assert_eq!(&stream.push(bar).unwrap().map(bits), expected);
        }
    }
    let mut whole = sight.for_history(bars[0].time).unwrap();
    bars.iter().for_each(|bar| whole.advance(bar).unwrap());
    assert_eq!(whole.look().unwrap().map(bits), all[BARS - 1]);
    assert!(sight.for_history(bars[5].time).is_err(), "it joins nowhere");
}

#[test]
fn an_encoder_is_asked_for_the_bars_that_are_looked_at_and_one_memory_serves_all() {
    let (bundle, bars) = (policy(), bars());
    let encoder = encoder(64);
    let shared = Sight::sharing(&bundle, encoder.embedding()).unwrap();
    let mut stream = shared.from_anchor().unwrap();
    bars.iter().for_each(|bar| stream.advance(bar).unwrap());
    assert_eq!(encoder.embedding().remembered(), Remembered::default(), "nobody looked");
    stream.look().unwrap();
    stream.look().unwrap();
    let asked = WINDOW as u64;
    assert_eq!(encoder.embedding().remembered(), Remembered { misses: asked, ..Remembered::default() });
    encoder.matrix(&bars).unwrap();
    let counts = encoder.embedding().remembered();
    assert_eq!((counts.hits, counts.misses), (asked, BARS as u64 - 9));
    // Another encoder's memory is not taken for the bundle's.
    let other = Encoder::load(&forecaster(2), NonZeroUsize::MIN).unwrap();
    let alone = Sight::sharing(&bundle, other.embedding()).unwrap();
    assert!(!Arc::ptr_eq(alone.learned().unwrap().embedding(), other.embedding()));
    assert_eq!(watched(&alone, &bars), watched(&shared, &bars));
}

#[test]
fn a_refused_bar_leaves_both_sides_as_they_were() {
    let (sight, bars) = (seeing(&encoder(64)), bars());
    let (mut disturbed, mut calm) = (sight.resume(), sight.resume());
    for bar in &bars {
        assert!(disturbed.push(&Bar { low: -1.0, ..*bar }).is_err());
        assert_eq!(disturbed.push(bar).unwrap().map(bits), calm.push(bar).unwrap().map(bits));
    }
}

#[test]
fn what_does_not_belong_together_or_cannot_be_read_is_named() {
    let encoder = encoder(64);
    let normaliser = Normaliser::fit(&encoder.matrix(&bars()).unwrap(), 0..TRAINED);
    let with = |features: FeatureState| {
        Sight::with(features, encoder.fitted(WINDOW, normaliser.clone()).unwrap()).unwrap_err().to_string()
    };
    assert!(with(FeatureState { window: 4, ..own() }).contains("the window differs"));
    assert!(with(FeatureState { anchor: bars()[1].time, ..own() }).contains("the first bar differs"));
    assert!(with(FeatureState { at: Some(bars()[0].time), ..own() }).contains("the last bar differs"));
    assert!(with(own().on(Calendar::Always)).contains("the calendar differs"));
    let narrow = encoder.fitted(WINDOW, own().normaliser).unwrap();
    assert!(Sight::with(own(), narrow).unwrap_err().to_string().contains("number of learned features"));

    let (state, weights) = policy().encoder().map(|(state, weights)| (state.to_vec(), weights.to_vec())).unwrap();
    let error =
        |state: &[u8], weights: &[u8]| Sight::load(&policy().encoding(state.to_vec(), weights.to_vec())).unwrap_err();
    let broken = error(&state, &weights[..weights.len() - 1]);
    assert!(matches!(broken, SightError::Encoder { encoder, .. } if encoder == forecaster(1).id()), "{broken}");
    let unread = error(b"{}", &weights);
    assert!(matches!(unread, SightError::State { .. }) && unread.is_of_encoder() && broken.is_of_encoder());
    let blind = Sight::load(&bundle_seeing(BundleKind::Policy, b"{}".to_vec(), serde_json::json!({}), vec![1]));
    assert!(!blind.unwrap_err().is_of_encoder());
    let acts = Encoder::load(&policy(), NonZeroUsize::MIN).unwrap_err();
    assert!(matches!(acts, SightError::Encoder { .. }), "{acts}");
}
