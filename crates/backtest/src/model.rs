//! A bundle that can be run over history: its network and the feature fit it was trained with.

use artifacts::Bundle;
use features::{FeatureState, Pipeline, observation};
use models::Predictor;
use spec::FeatureSpec;

use crate::{Backtest, BacktestError, Parity, Setting, forecast_rows, parity, run};

/// A loaded bundle.
#[derive(Debug)]
pub struct Model {
    pub(crate) predictor: Predictor,
    pub(crate) features: FeatureState,
}

impl Model {
    /// Loads network and feature state.
    ///
    /// # Errors
    /// [`BacktestError::Model`] when the weights are not the network's, [`BacktestError::Features`] when the feature state
    /// cannot be read.
    pub fn load(bundle: &Bundle) -> Result<Self, BacktestError> {
        let unreadable = |source| BacktestError::Features { bundle: bundle.id(), source };
        let features = serde_json::from_slice(bundle.features()).map_err(unreadable)?;
        Ok(Self { predictor: Predictor::load(bundle)?, features })
    }

    /// Trades the bars of `setting`.
    ///
    /// # Errors
    /// As [`run()`].
    pub fn run(&self, setting: &Setting<'_>) -> Result<Backtest, BacktestError> {
        run(&self.predictor, &self.features, setting)
    }

    /// Whether the rows of `setting` are predicted alike alone and in company; a policy's rows without a position.
    ///
    /// # Errors
    /// As [`forecast_rows`] and [`parity()`].
    pub fn parity(&self, setting: &Setting<'_>) -> Result<Parity, BacktestError> {
        let mut rows = forecast_rows(&self.features, setting.dataset, setting.range.clone())?;
        if self.predictor.spec().observes_position() {
            for row in &mut rows {
                let mut observed = vec![0.0; row.len() + observation::POSITION_WIDTH];
                observation::write(row, &observation::Position::default(), &mut observed);
                *row = observed;
            }
        }
        let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
        Ok(parity(&self.predictor, &rows)?)
    }
}

/// Bars that pass before a pipeline of `features` has its first row; 0 where the features are faulty themselves.
#[must_use]
pub fn warm_up_bars(features: &[FeatureSpec]) -> usize {
    Pipeline::new(features).map_or(0, |pipeline| pipeline.warm_up_bars())
}
