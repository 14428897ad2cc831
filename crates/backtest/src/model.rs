//! A bundle that can be run over history: its network, and what it sees of bars.

use std::sync::Arc;

use artifacts::Bundle;
use features::{Pipeline, observation};
use market::Timestamp;
use models::{Embedding, Predictor, Sight};
use spec::FeatureSpec;

use crate::windows::in_batches;
use crate::{Backtest, BacktestError, Parity, Setting, parity, run};

/// A loaded bundle.
#[derive(Debug)]
pub struct Model {
    pub(crate) predictor: Predictor,
    pub(crate) sight: Sight,
}

impl Model {
    /// Loads network, features and encoder.
    ///
    /// # Errors
    /// [`BacktestError::Model`] when the weights are not the network's, [`BacktestError::Sight`] when features or encoder
    /// cannot be used.
    pub fn load(bundle: &Bundle) -> Result<Self, BacktestError> {
        Ok(Self { predictor: Predictor::load(bundle)?, sight: Sight::load(bundle)? })
    }

    /// The same, asking `embedding` and its memory where that is the bundle's encoder.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn sharing(bundle: &Bundle, embedding: &Arc<Embedding>) -> Result<Self, BacktestError> {
        Ok(Self { predictor: Predictor::load(bundle)?, sight: Sight::sharing(bundle, embedding)? })
    }

    /// The first bar of training: what it sees is computed from there on.
    #[must_use]
    pub const fn anchor(&self) -> Timestamp {
        self.sight.features().anchor
    }

    /// Bars before it has a full window.
    #[must_use]
    pub fn warm_up_bars(&self) -> usize {
        self.sight.warm_up_bars()
    }

    /// Trades the bars of `setting`.
    ///
    /// # Errors
    /// As [`run()`].
    pub fn run(&self, setting: &Setting<'_>) -> Result<Backtest, BacktestError> {
        run(&self.predictor, &self.sight, setting)
    }

    /// Whether the rows of `setting` are predicted alike alone and in company; a policy's rows without a position.
    ///
    /// # Errors
    /// As [`crate::forecast_rows`] and [`parity()`].
    pub fn parity(&self, setting: &Setting<'_>) -> Result<Parity, BacktestError> {
        let mut all = Parity { rows: 0, mismatches: 0 };
        in_batches((&self.sight, setting.dataset), setting.range.clone(), |_, windows| {
            let found = if self.predictor.spec().observes_position() {
                let rows: Vec<Vec<f32>> = windows.iter().map(|window| without_position(window)).collect();
                parity(&self.predictor, &rows.iter().map(Vec::as_slice).collect::<Vec<_>>())?
            } else {
                parity(&self.predictor, windows)?
            };
            all.rows += found.rows;
            all.mismatches += found.mismatches;
            Ok(())
        })?;
        Ok(all)
    }
}

/// What a policy sees that holds nothing.
fn without_position(window: &[f32]) -> Vec<f32> {
    let mut observed = vec![0.0; window.len() + observation::POSITION_WIDTH];
    observation::write(window, &observation::Position::default(), &mut observed);
    observed
}

/// Bars that pass before a pipeline of `features` has its first row; 0 where the features are faulty themselves.
#[must_use]
pub fn warm_up_bars(features: &[FeatureSpec]) -> usize {
    Pipeline::new(features).map_or(0, |pipeline| pipeline.warm_up_bars())
}
