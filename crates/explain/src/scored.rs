//! What is explained: a number that a model says of a row.

use models::{Inspector, ModelError, Predictor, Target};

/// A number that a model says of a row, and its gradient.
pub trait Scored {
    /// Values of a row.
    fn width(&self) -> usize;

    /// The number for each of some rows; a row's depends on the row alone.
    ///
    /// # Shapes
    /// `rows`: `[rows × width]` → `[rows]`.
    ///
    /// # Errors
    /// The model's own.
    fn scores(&mut self, rows: &[f32]) -> Result<Vec<f64>, ModelError>;

    /// The gradient of the number by each value of each row.
    ///
    /// # Shapes
    /// `rows`: `[rows × width]` → the same.
    ///
    /// # Errors
    /// The model's own.
    fn gradients(&mut self, rows: &[f32]) -> Result<Vec<f32>, ModelError>;
}

/// One number of a forecaster, as the Predictor says it.
#[derive(Debug)]
pub struct Forecast<'a>(Inspector<'a>);

impl<'a> Forecast<'a> {
    /// The number `target` of a forecaster.
    ///
    /// # Errors
    /// As [`Predictor::inspector`].
    pub fn new(predictor: &'a Predictor, target: Target) -> Result<Self, ModelError> {
        Ok(Self(predictor.inspector(target)?))
    }

    /// As [`Inspector::attention`].
    ///
    /// # Errors
    /// As [`Predictor::predict`].
    pub fn attention(&mut self, row: &[f32]) -> Result<Option<Vec<f32>>, ModelError> {
        self.0.attention(row)
    }
}

impl Scored for Forecast<'_> {
    fn width(&self) -> usize {
        self.0.input_width()
    }

    fn scores(&mut self, rows: &[f32]) -> Result<Vec<f64>, ModelError> {
        let rows: Vec<&[f32]> = rows.chunks_exact(self.width()).collect();
        Ok(self.0.values(&rows)?.into_iter().map(f64::from).collect())
    }

    fn gradients(&mut self, rows: &[f32]) -> Result<Vec<f32>, ModelError> {
        let rows: Vec<&[f32]> = rows.chunks_exact(self.width()).collect();
        self.0.gradients(&rows)
    }
}
