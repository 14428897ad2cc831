//! Features that compare symbols at one time. A symbol without a bar at that time, or too young, is left out.

use market::Bar;
use serde::{Deserialize, Serialize};
use spec::FeatureSpec;

use crate::FeatureError;
use crate::column::check;
use crate::indicators::{Indicator as _, LogReturn, SESSIONS_PER_YEAR};
use crate::step::{Step, ratio};
use crate::window::{Pair, Rolling};

/// What is said of each symbol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Comparison {
    MarketReturn,
    RelativeReturn,
    ReturnRank,
    ReturnZ,
    Dispersion,
    Breadth,
    Beta(Vec<Rolling<Pair>>),
    MarketCorrelation(Vec<Rolling<Pair>>),
    ResidualVolatility(Vec<Rolling<Pair>>),
}

impl Comparison {
    /// What a feature compares; `None` for a feature of one symbol.
    fn of(spec: &FeatureSpec, pairs: impl Fn() -> Vec<Rolling<Pair>>) -> Option<Self> {
        use FeatureSpec as F;
        let known = [
            (matches!(spec, F::MarketReturn { .. }), Self::MarketReturn),
            (matches!(spec, F::RelativeReturn { .. }), Self::RelativeReturn),
            (matches!(spec, F::ReturnRank { .. }), Self::ReturnRank),
            (matches!(spec, F::ReturnZ { .. }), Self::ReturnZ),
            (matches!(spec, F::Dispersion { .. }), Self::Dispersion),
            (matches!(spec, F::Breadth { .. }), Self::Breadth),
            (matches!(spec, F::Beta { .. }), Self::Beta(pairs())),
            (matches!(spec, F::MarketCorrelation { .. }), Self::MarketCorrelation(pairs())),
            (matches!(spec, F::ResidualVolatility { .. }), Self::ResidualVolatility(pairs())),
        ];
        known.into_iter().find_map(|(is_it, comparison)| is_it.then_some(comparison))
    }
}

/// One column of a panel, for all its symbols.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Section {
    comparison: Comparison,
    /// A symbol each.
    returns: Vec<LogReturn>,
    /// Returns of the symbols at the present time.
    #[serde(skip)]
    present: Vec<Option<f64>>,
}

impl Section {
    /// An empty column; `None` for a feature of one symbol.
    ///
    /// # Errors
    /// [`FeatureError::Parameter`].
    pub(crate) fn new(spec: &FeatureSpec, symbols: usize) -> Result<Option<Self>, FeatureError> {
        check(spec)?;
        let bars = spec.parameters().first().map_or(1, |parameter| parameter.value as usize);
        let Some(comparison) = Comparison::of(spec, || vec![Rolling::new(bars); symbols]) else { return Ok(None) };
        let lag = match comparison {
            Comparison::Beta(_) | Comparison::MarketCorrelation(_) | Comparison::ResidualVolatility(_) => 1,
            Comparison::MarketReturn
            | Comparison::RelativeReturn
            | Comparison::ReturnRank
            | Comparison::ReturnZ
            | Comparison::Dispersion
            | Comparison::Breadth => bars,
        };
        Ok(Some(Self { comparison, returns: vec![LogReturn::new(lag); symbols], present: Vec::new() }))
    }

    /// Takes in the bars of one time and writes a value for each symbol that has one.
    ///
    /// # Shapes
    /// `bars`, `before`, `out`: `[symbols]`.
    pub(crate) fn push(&mut self, bars: &[Option<Bar>], before: &[Option<Bar>], out: &mut [Option<f64>]) {
        self.present.clear();
        for ((bar, before), returns) in bars.iter().zip(before).zip(&mut self.returns) {
            let value = bar.as_ref().and_then(|bar| returns.push(&Step::new(bar, before.as_ref())));
            self.present.push(value);
        }
        let defined = || self.present.iter().flatten().copied();
        let count = defined().count() as f64;
        let mean = defined().sum::<f64>() / count.max(1.0);
        let squares = defined().map(|value| (value - mean) * (value - mean)).sum::<f64>();
        let deviation = (squares / count.max(1.0)).sqrt();
        for (symbol, (value, own)) in out.iter_mut().zip(&self.present).enumerate() {
            *value = own.and_then(|own| match &mut self.comparison {
                Comparison::MarketReturn => Some(mean),
                Comparison::RelativeReturn => Some(own - mean),
                Comparison::ReturnRank => Some(rank(own, &self.present)),
                Comparison::ReturnZ => Some(ratio(own - mean, deviation, 0.0)),
                Comparison::Dispersion => Some(deviation),
                Comparison::Breadth => Some(breadth(&self.present)),
                Comparison::Beta(pairs) => {
                    pairs[symbol].push(Pair::of(mean, own)).map(|pair| ratio(pair.product, pair.squares[0], 0.0))
                }
                Comparison::MarketCorrelation(pairs) => {
                    pairs[symbol].push(Pair::of(mean, own)).map(|pair| pair.correlation())
                }
                Comparison::ResidualVolatility(pairs) => {
                    let bars = pairs[symbol].count();
                    pairs[symbol].push(Pair::of(mean, own)).map(|pair| residual(&pair, bars))
                }
            });
        }
    }
}

/// Share of the others below, equal ones by half; 0.5 without others.
fn rank(own: f64, all: &[Option<f64>]) -> f64 {
    let (mut below, mut equal, mut count) = (0.0, 0.0, 0.0);
    for value in all.iter().flatten() {
        count += 1.0;
        match value.total_cmp(&own) {
            std::cmp::Ordering::Less => below += 1.0,
            std::cmp::Ordering::Equal => equal += 1.0,
            std::cmp::Ordering::Greater => {}
        }
    }
    ratio(below + 0.5 * (equal - 1.0), count - 1.0, 0.5)
}

fn breadth(all: &[Option<f64>]) -> f64 {
    let (mut balance, mut count) = (0.0, 0.0);
    for value in all.iter().flatten() {
        count += 1.0;
        balance += if *value > 0.0 {
            1.0
        } else if *value < 0.0 {
            -1.0
        } else {
            0.0
        };
    }
    ratio(balance, count, 0.0)
}

/// Annualised deviation of what a straight line on the market leaves, two degrees of freedom lost.
fn residual(pair: &Pair, bars: f64) -> f64 {
    let explained = ratio(pair.product * pair.product, pair.squares[0], 0.0);
    let left = (pair.squares[1] - explained).max(0.0);
    (left / (bars - 2.0) * SESSIONS_PER_YEAR).sqrt()
}
