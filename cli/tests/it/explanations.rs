//! From a registered model to why it said what it said.

use serde_json::Value;

use crate::site::Site;

/// A home with a registered forecaster, and its bundle.
fn trained() -> (Site, String) {
    let site = Site::new();
    let promote = "timeout: 24h\n\npromote:\n  model: road\n";
    let changes = [("trials: 24", "trials: 1"), ("batch: 8", "batch: 1"), ("epochs: 8", "epochs: 2")];
    let spec = site.spec(&[&changes[..], &[("timeout: 24h\n", promote)]].concat());
    let bundle = site.json(&["run", &spec])["best"]["bundle"].as_str().unwrap().to_owned();
    (site, bundle)
}

const ASK: [&str; 5] = ["explain-prediction", "--data", "aapl_daily", "--symbol", "AAPL"];

fn ask<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&ASK[..], more].concat()
}

fn read(path: &Value) -> String {
    std::fs::read_to_string(path.as_str().unwrap()).unwrap()
}

#[test]
fn a_forecast_is_explained_drawn_and_kept() {
    let (site, bundle) = trained();
    let models = site.json(&["models"]);
    let version = models["models"][0]["versions"][0]["version"].as_u64().unwrap();
    let (named, at) = (format!("road@{version}"), "2022-06-15");
    let answer = site.json(&ask(&["--model", &named, "--at", at]));
    let found = &answer["explanation"];
    assert_eq!(
        (&found["bundle"], found["bar"].as_str().unwrap()),
        (&Value::from(bundle.as_str()), "2022-06-15T00:00:00Z")
    );
    let number = |name: &str| found[name].as_f64().unwrap();
    let values: Vec<f64> = found["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
    assert_eq!(values.len(), 16 * 3);
    let residual = values.iter().sum::<f64>() - (number("score") - number("baseline"));
    assert!((residual - number("residual")).abs() < 1e-12 && residual.abs() <= number("tolerance"));
    assert_eq!(answer["drivers"].as_array().unwrap().len(), 3);

    // What was kept is what was said; the report has the map.
    let stored: Value = serde_json::from_str(&read(&answer["stored"])).unwrap();
    assert_eq!(&stored, found);
    let map = read(&answer["map"]);
    assert!(map.starts_with("<svg") && map.contains("rsi_14, 2022-06-15"));
    let (_, drawn) = map.split_once('>').unwrap();
    assert!(read(&answer["report"]).contains(drawn));

    // The digest names the same model, and the same question has the same answer in the same place.
    assert_eq!(site.json(&ask(&["--model", &bundle, "--at", at])), answer);

    let said = site.run(&ask(&["--model", &bundle, "--at", at, "--method", "shapley", "--by", "feature"]));
    let said = String::from_utf8(said.stdout).unwrap();
    for needle in ["At 2022-06-15 the model puts the expected return at", "1. ", " ± ", "Attention lies most on"] {
        assert!(said.contains(needle), "{needle}: {said}");
    }
}

#[test]
fn what_cannot_be_explained_is_named_with_the_way_out() {
    let (site, bundle) = trained();
    let refused = |more: &[&str]| site.refused(&ask(&[&["--model", &bundle], more].concat()), 2);
    for (more, needles) in [
        (&["--at", "2013-01-08"][..], &["2013-01-08", "no full window", "needs 36"][..]),
        (&["--at", "2022-06-18"], &["no bar at 2022-06-18"]),
        (&["--feature", "rsi_15"], &["no feature rsi_15", "log_return_1, rsi_14, realised_volatility_20"]),
        (&["--target", "volatility"], &["volatility", "expected-return"]),
        (&["--tolerance", "2"], &["--tolerance", "use a share from 0 to 1"]),
        (&["--tolerance", "NaN"], &["--tolerance", "use a share from 0 to 1"]),
        (&["--steps", "1", "--tolerance", "1e-9"], &["refused", "is tolerated", "more than 1 steps"]),
        (&["--method", "exact-shapley"], &["48 players", "16 at most"]),
    ] {
        let message = refused(more);
        assert!(needles.iter().all(|needle| message.contains(needle)), "{more:?}: {message}");
    }
    assert!(!site.home().join("explanations").try_exists().unwrap(), "what is refused is not kept");
    let message = site.refused(&ask(&["--model", "road@7"]), 2);
    assert!(message.contains("road@7"), "{message}");
}
