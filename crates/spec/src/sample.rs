//! A whole experiment in text, and edits of it, for tests.

use market::Timestamp;

use crate::{DataFacts, ExperimentSpec, Facts, Positions, Problem, check, parse};

pub(crate) const FORECAST: &str = "\
version: 1
name: sample
data:
  source: aapl_daily
  symbols: [AAPL]
  interval: 1d
  split:
    train: [2020-01-01, 2020-06-30]
    validation: [2020-07-01, 2020-09-30]
    test: [2020-10-01, 2020-12-31]
    purge: 5
features:
  - log_return: { bars: 1 }
  - macd: { fast: 12, slow: 26, signal: 9 }
task:
  supervised: { window: 16, horizon: 5, epochs: 2, learning_rate: 0.001 }
model:
  cnn_lstm: { channels: 8, hidden: 8, dropout: 0 }
sweep:
  trials: 4
  objective: validation_sharpe
  direction: maximise
  space:
    task.supervised.learning_rate: { log_uniform: [0.0001, 0.01] }
resources: { device: cpu, cpus: 1 }
";

/// The policy's sections, in place of the forecast's.
pub(crate) const POLICY: [(&str, &str); 2] = [
    (
        "supervised: { window: 16, horizon: 5, epochs: 2, learning_rate: 0.001 }",
        "rl: { window: 4, steps: 5000, algorithm: { ppo: { learning_rate: 0.001 } } }",
    ),
    ("task.supervised.learning_rate:", "task.rl.algorithm.ppo.learning_rate:"),
];

/// The sample with each `(old, new)` put in; an `old` that is not there is a mistake of the test.
pub(crate) fn edited(edits: &[(&str, &str)]) -> String {
    edits.iter().fold(FORECAST.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "the sample does not hold {old}");
        text.replacen(old, new, 1)
    })
}

pub(crate) fn parsed(edits: &[(&str, &str)]) -> (ExperimentSpec, Positions) {
    parse("a.yaml", &edited(edits)).unwrap_or_else(|problems| panic!("{}", lines(&problems)))
}

/// A year of daily bars of two symbols on a machine with two cores.
pub(crate) fn facts() -> Facts {
    let first: Timestamp = "2020-01-01".parse().unwrap();
    let times = (0..366).map(|day| first.plus_seconds(f64::from(day) * 86_400.0)).collect();
    let symbols = ["AAPL", "MSFT"].map(|symbol| symbol.to_owned().try_into().unwrap()).to_vec();
    let data = DataFacts { symbols, times, companions: Vec::new(), warm_up_bars: 34 };
    Facts { cpus: 2, gpus: 0, data: Some(data), encoder: None }
}

/// All that is wrong with the edited sample, parsed or checked, one problem a line.
pub(crate) fn said(edits: &[(&str, &str)]) -> String {
    said_on(edits, &facts())
}

pub(crate) fn said_on(edits: &[(&str, &str)], facts: &Facts) -> String {
    match parse("a.yaml", &edited(edits)) {
        Ok((spec, positions)) => lines(&check(&spec, &positions, facts)),
        Err(problems) => lines(&problems),
    }
}

pub(crate) fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}
