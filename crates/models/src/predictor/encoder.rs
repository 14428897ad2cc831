//! A forecaster asked for what its heads see, in place of what they say.

use std::sync::PoisonError;

use neural::Dropout;

use super::{Asked, together};
use crate::{ModelError, Predictor};

impl Predictor {
    /// Features that this forecaster's encoder makes of a row.
    ///
    /// # Errors
    /// [`ModelError::Shape`] for a network that is no forecaster.
    pub(crate) fn features(&self) -> Result<usize, ModelError> {
        Ok(self.asked()?.network.features())
    }

    /// The features of some rows, `[rows × features]`. Their bits depend on the row alone.
    ///
    /// # Errors
    /// As [`Predictor::predict`] and [`Predictor::features`].
    pub(crate) fn embed(&self, rows: &[&[f32]]) -> Result<Vec<f32>, ModelError> {
        self.check(rows)?;
        let Asked { network, weights, panels, vectors, tape, .. } = self.asked()?;
        let mut tape = tape.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = Vec::with_capacity(rows.len() * network.features());
        for rows in rows.chunks(together(rows.len())) {
            network.forward(*vectors, (weights, panels), (&rows.concat(), rows.len(), Dropout::Off), &mut tape);
            all.extend_from_slice(tape.features(rows.len()));
        }
        match all.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(ModelError::Output { row: at / network.features() }),
            None => Ok(all),
        }
    }
}
