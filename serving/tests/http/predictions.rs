//! What is served is what the predictor says, to the last bit, however it is asked.

use artifacts::Bundle;
use features::observation;
use models::{CALIBRATION_FORMAT, Calibration, Predictor, Sight, SpreadFit, row_digest};
use serde_json::{Value, json};
use serving::{Act, Action, Answer, Description, Served};
use spec::{Output, Spread};

use crate::fixture::{BARS, KEY, Kind, Running, TRAINED, bars, bundle, ensemble};

/// The windows that end with the newest `last` bars.
fn windows(bundle: &Bundle, last: usize) -> Vec<Vec<f32>> {
    let mut stream = Sight::load(bundle).unwrap().from_anchor().unwrap();
    let windows = bars().iter().filter_map(|bar| stream.push(bar).unwrap().map(<[f32]>::to_vec)).collect::<Vec<_>>();
    windows[windows.len() - last..].to_vec()
}

fn answer(reply: (u16, Value)) -> Answer {
    assert_eq!(reply.0, 200, "{}", reply.1);
    serde_json::from_value(reply.1).unwrap()
}

/// Bits of a prediction, and the digest of its row.
fn bits(served: &Served) -> (Vec<u32>, String) {
    match served {
        Served::Forecast { probabilities: p, expected_return, row, .. } => {
            ([p.down, p.flat, p.up, *expected_return].map(f32::to_bits).to_vec(), row.to_string())
        }
        Served::Policy { action, probabilities, row, .. } => {
            let bits = std::iter::once(*action).chain(probabilities.iter().map(|value| value.to_bits()));
            (bits.collect(), row.to_string())
        }
        Served::Values { action, values, row, .. } => {
            let bits = std::iter::once(*action).chain(values.iter().map(|value| value.to_bits()));
            (bits.collect(), row.to_string())
        }
        Served::Control { action, row, .. } => (action.iter().map(|value| value.to_bits()).collect(), row.to_string()),
    }
}

/// The same of what the predictor says of each row by itself.
fn predicted(bundle: &Bundle, rows: &[Vec<f32>]) -> Vec<(Vec<u32>, String)> {
    let predictor = Predictor::load(bundle).unwrap();
    let of = |row: &Vec<f32>| {
        let bits = match predictor.predict(&[row]).unwrap().remove(0) {
            Output::Forecast { probabilities: [down, flat, up], expected_return, .. } => {
                [down, flat, up, expected_return].map(f32::to_bits).to_vec()
            }
            Output::Policy { action, probabilities: values } | Output::Values { action, values } => {
                std::iter::once(action).chain(values.iter().map(|value| value.to_bits())).collect()
            }
            Output::Control { action } => action.iter().map(|value| value.to_bits()).collect(),
        };
        (bits, row_digest(row).to_string())
    };
    rows.iter().map(of).collect()
}

#[tokio::test]
async fn raw_bars_from_the_anchor_and_from_the_bundles_bar_on_give_the_predictors_bits() {
    let server = Running::start(Kind::Forecaster).await;
    let (bundle, bars) = (bundle(Kind::Forecaster), bars());
    let expected = predicted(&bundle, &windows(&bundle, BARS - TRAINED));
    for history in [&bars[..], &bars[TRAINED..]] {
        let answer = answer(server.predict(&json!({"bars": history, "last": BARS - TRAINED})).await);
        assert_eq!(answer.predictions.iter().map(bits).collect::<Vec<_>>(), expected);
        assert_eq!((answer.artifact, answer.model.as_str()), (bundle.id(), "fixture@challenger"));
        let times = answer.predictions.iter().map(|served| match served {
            Served::Forecast { bar, .. }
            | Served::Policy { bar, .. }
            | Served::Values { bar, .. }
            | Served::Control { bar, .. } => bar.unwrap(),
        });
        assert_eq!(times.collect::<Vec<_>>(), bars[TRAINED..].iter().map(|bar| bar.time).collect::<Vec<_>>());
    }
    let newest = answer(server.predict(&json!({"bars": &bars})).await);
    assert_eq!(newest.predictions.iter().map(bits).collect::<Vec<_>>(), expected[expected.len() - 1..]);
    server.stop().await;
}

#[tokio::test]
async fn rows_give_the_same_bits_alone_together_and_in_any_company() {
    let server = Running::start(Kind::Forecaster).await;
    let bundle = bundle(Kind::Forecaster);
    let rows = windows(&bundle, 23);
    let expected = predicted(&bundle, &rows);
    let together = answer(server.predict(&json!({"rows": &rows})).await);
    assert_eq!(together.predictions.iter().map(bits).collect::<Vec<_>>(), expected);
    for size in [1, 2, 3, 5] {
        let mut apart = Vec::new();
        for batch in rows.chunks(size) {
            apart.extend(answer(server.predict(&json!({"rows": batch})).await).predictions.iter().map(bits));
        }
        assert_eq!(apart, expected, "in batches of {size}");
    }
    let mut turned = rows.clone();
    turned.reverse();
    let mut turned: Vec<_> =
        answer(server.predict(&json!({"rows": turned})).await).predictions.iter().map(bits).collect();
    turned.reverse();
    assert_eq!(turned, expected);
    server.stop().await;
}

#[tokio::test]
async fn many_clients_at_once_are_each_given_their_own_answer() {
    let server = std::sync::Arc::new(Running::start(Kind::Forecaster).await);
    let bundle = bundle(Kind::Forecaster);
    let rows = windows(&bundle, 16);
    let expected = predicted(&bundle, &rows);
    let clients: Vec<_> = rows
        .into_iter()
        .map(|row| {
            let server = std::sync::Arc::clone(&server);
            tokio::spawn(async move { answer(server.predict(&json!({"rows": [row]})).await).predictions.remove(0) })
        })
        .collect();
    for (client, expected) in clients.into_iter().zip(expected) {
        assert_eq!(bits(&client.await.unwrap()), expected);
    }
}

#[tokio::test]
async fn a_policy_sees_its_position_after_the_window() {
    let server = Running::start(Kind::Policy).await;
    let bundle = bundle(Kind::Policy);
    let window = windows(&bundle, 1).remove(0);
    let observed = |position: &observation::Position| {
        let mut row = vec![0.0; window.len() + observation::POSITION_WIDTH];
        observation::write(&window, position, &mut row);
        predicted(&bundle, &[row])
    };
    let flat = answer(server.predict(&json!({"bars": bars()})).await);
    assert_eq!(flat.predictions.iter().map(bits).collect::<Vec<_>>(), observed(&observation::Position::default()));
    let long = json!({"rows": [&window], "position": {"exposure": 0.9, "unrealised": -0.125}});
    let long = answer(server.predict(&long).await);
    let position = observation::Position { exposure: 0.9, unrealised: -0.125 };
    assert_eq!(long.predictions.iter().map(bits).collect::<Vec<_>>(), observed(&position));
    assert_ne!(bits(&long.predictions[0]), bits(&flat.predictions[0]));
    server.stop().await;
}

#[tokio::test]
async fn an_agent_acts_on_what_it_sees_and_holds_alone_or_together() {
    let position = json!({"exposure": 0.9, "unrealised": -0.125});
    for (bundle, mean) in [(bundle(Kind::Policy), false), (ensemble(), true)] {
        let window = windows(&bundle, 1).remove(0);
        let mut row = vec![0.0; window.len() + observation::POSITION_WIDTH];
        observation::write(&window, &observation::Position { exposure: 0.9, unrealised: -0.125 }, &mut row);
        let output = Predictor::load(&bundle).unwrap().predict(&[&row]).unwrap().remove(0);
        let expected = match output {
            Output::Policy { action, .. } if !mean => Action::Discrete(action),
            Output::Control { action } if mean => Action::Continuous(action),
            Output::Policy { .. } | Output::Control { .. } | Output::Values { .. } | Output::Forecast { .. } => {
                panic!("{output:?}")
            }
        };
        let server = Running::of(bundle.clone()).await;
        for seen in [json!({"bars": bars(), "position": position}), json!({"row": window, "position": position})] {
            let (status, body) = server.act(&seen).await;
            assert_eq!(status, 200, "{body}");
            let act: Act = serde_json::from_value(body).unwrap();
            assert_eq!((&act.action, act.artifact, act.row), (&expected, bundle.id(), row_digest(&row)));
            assert_eq!(act.bar.is_some(), seen.get("bars").is_some());
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn the_model_is_described_by_digest_and_feature_names() {
    let server = Running::start(Kind::Forecaster).await;
    let (status, value) = server.get("/v1/model", Some(KEY)).await;
    assert_eq!(status, 200);
    let described: Description = serde_json::from_value(value).unwrap();
    assert_eq!(described.artifact, bundle(Kind::Forecaster).id());
    assert_eq!((described.window, described.features.len(), described.row_values), (4, 3, 12));
    assert_eq!(described.at, Some(bars()[TRAINED - 1].time));
    server.stop().await;
}

fn calibration() -> Calibration {
    Calibration {
        format: CALIBRATION_FORMAT,
        temperature: 1.4,
        bias: None,
        spread: SpreadFit::Deviation(0.02),
        coverage: 0.9,
        rate: 0.01,
        passes: 128,
        horizon: 1,
        scores: (1..=99).map(|place| f64::from(place) / 50.0).collect(),
    }
}

#[tokio::test]
async fn a_calibrated_bundle_says_how_far_to_trust_it_in_parts() {
    let plain = bundle(Kind::Forecaster);
    let fitted = plain.clone().calibrated(spec::canonical_json(&calibration()));
    let server = Running::of(fitted.clone()).await;
    let rows = windows(&fitted, 3);
    let answer = answer(server.predict(&json!({"rows": &rows})).await);
    assert_eq!(answer.predictions.iter().map(bits).collect::<Vec<_>>(), predicted(&fitted, &rows));
    assert_ne!(predicted(&fitted, &rows), predicted(&plain, &rows), "probabilities are calibrated");
    let predictor = Predictor::load(&fitted).unwrap();
    for (row, served) in rows.iter().zip(&answer.predictions) {
        let Served::Forecast { expected_return, confidence: Some(said), spread, .. } = served else {
            panic!("it says how sure it is: {served:?}")
        };
        let output = predictor.predict(&[row]).unwrap().remove(0);
        let own = predictor.uncertainty(row, &output).unwrap().unwrap();
        assert_eq!((said.aleatoric, said.epistemic), (own.aleatoric, own.epistemic));
        assert_eq!(*spread, Some(Spread::Deviation(0.02)));
        // The 90th of 99 scores is 1.8 deviations.
        let (middle, reach) = (f64::from(*expected_return), 1.8 * f64::from(0.02_f32));
        assert!(
            (said.low - (middle - reach)).abs() < 1e-12 && (said.high - (middle + reach)).abs() < 1e-12,
            "{said:?}"
        );
    }
    let (_, described) = server.get("/v1/model", Some(KEY)).await;
    assert_eq!(described["coverage"], 0.9);
    server.stop().await;
}

#[tokio::test]
async fn confidence_of_many_rows_is_refused_and_their_forecasts_are_not() {
    let fitted = bundle(Kind::Forecaster).calibrated(spec::canonical_json(&calibration()));
    let server = Running::of(fitted.clone()).await;
    let rows = windows(&fitted, 9);
    let (status, refused) = server.predict(&json!({"rows": &rows})).await;
    assert_eq!((status, &refused["error"]["code"]), (413, &json!("too_large")));
    assert!(refused["error"]["message"].as_str().unwrap().contains("send at most 8"), "{refused}");
    let whole = answer(server.predict(&json!({"rows": &rows, "detail": "forecast"})).await);
    assert_eq!(whole.predictions.iter().map(bits).collect::<Vec<_>>(), predicted(&fitted, &rows));
    assert!(whole.predictions.iter().all(|served| matches!(served, Served::Forecast { confidence: None, .. })));
    let (status, refused) = server.predict(&json!({"rows": &rows, "detail": "everything"})).await;
    assert_eq!(status, 422, "{refused}");
    server.stop().await;
}

#[tokio::test]
async fn a_policy_that_sees_through_an_encoder_is_served_the_bits_it_would_trade_on() {
    let bundle = bundle(Kind::Learned);
    let server = Running::of(bundle.clone()).await;
    let observed = |window: Vec<f32>| {
        let mut row = vec![0.0; window.len() + observation::POSITION_WIDTH];
        observation::write(&window, &observation::Position::default(), &mut row);
        row
    };
    let expected = predicted(&bundle, &windows(&bundle, 5).into_iter().map(observed).collect::<Vec<_>>());
    // From the anchor on, right after the bundle's bar, and as ready rows.
    for request in [
        json!({"bars": bars(), "last": 5}),
        json!({"bars": &bars()[TRAINED..], "last": 5}),
        json!({"rows": windows(&bundle, 5)}),
    ] {
        let said = answer(server.predict(&request).await).predictions;
        assert_eq!(said.iter().map(bits).collect::<Vec<_>>(), expected);
    }
    let (_, description) = server.get("/v1/model", Some(KEY)).await;
    let description: Description = serde_json::from_value(description).unwrap();
    assert_eq!(description.encoder, Some(crate::fixture::bundle(Kind::Forecaster).id()));
    assert_eq!((description.features.len(), description.row_values), (3 + 8, 4 * 11));
    assert_eq!(description.features[3], "learned_0");
    server.stop().await;
}
