//! What each player adds to a score, and what all of them together miss.

use crate::ExplainError;
use crate::explanation::Method;

/// What each player adds to the score of a row, over that of a baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribution {
    /// Of each player, in the score's unit.
    pub values: Vec<f64>,
    /// The standard error of each; of sampled ones.
    pub errors: Option<Vec<f64>>,
    /// Of the row.
    pub score: f64,
    /// Of the baseline.
    pub baseline: f64,
}

impl Attribution {
    /// What the attributions miss: their sum less (score − baseline). Each method promises 0, up to what it approximates.
    #[must_use]
    pub fn residual(&self) -> f64 {
        self.values.iter().sum::<f64>() - (self.score - self.baseline)
    }

    /// This attribution, where it adds up within `tolerance`.
    ///
    /// # Errors
    /// [`ExplainError::Residual`] otherwise; `method` says what would help.
    pub fn admitted(self, tolerance: f64, method: Method) -> Result<Self, ExplainError> {
        let residual = self.residual();
        // So that NaN is refused, too.
        if residual.abs() <= tolerance { Ok(self) } else { Err(ExplainError::Residual { residual, tolerance, method }) }
    }
}
