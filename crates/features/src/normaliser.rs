//! Fitted standardisation: mean and deviation of the training rows, and nothing later.

use std::convert::Infallible;

use serde::{Deserialize, Serialize};

use crate::{Matrix, Profile};

/// Largest magnitude of a normalised value.
const CLIP: f64 = 10.0;

/// (x − mean) / deviation, clipped; fitted once, then frozen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normaliser {
    /// Per column.
    pub mean: Vec<f64>,
    /// Population deviation per column; 1 where the column does not vary.
    pub std: Vec<f64>,
    /// Largest magnitude of a result.
    pub clip: f64,
    /// How each raw column was distributed over the fitted rows, to hold later rows against; empty without rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<Profile>,
}

impl Normaliser {
    /// Fits on the complete rows of `bars`, such as a range of them. Columns without a row get mean 0 and deviation 1.
    #[must_use]
    pub fn fit(matrix: &Matrix, bars: impl Iterator<Item = usize> + Clone) -> Self {
        let rows = || bars.clone().filter_map(|bar| matrix.row(bar));
        let column = |at: usize| Ok::<Vec<f64>, Infallible>(rows().map(|row| row[at]).collect());
        let Ok(fitted) = Self::fit_columns(matrix.width, column);
        fitted
    }

    /// Fits `width` columns, of which only the one that is asked for needs to be in memory. `values` gives the values of a
    /// column in the complete rows, in their order.
    ///
    /// # Errors
    /// The first that `values` gives.
    pub fn fit_columns<E>(width: usize, mut values: impl FnMut(usize) -> Result<Vec<f64>, E>) -> Result<Self, E> {
        let mut fitted = Self { mean: Vec::new(), std: Vec::new(), clip: CLIP, profiles: Vec::new() };
        for column in 0..width {
            let values = values(column)?;
            let (mean, std) = standard(&values);
            fitted.mean.push(mean);
            fitted.std.push(std);
            fitted.profiles.extend(Profile::of(values));
        }
        Ok(fitted)
    }

    /// Columns that did not vary where they were fitted, by place: they teach nothing.
    pub fn constant_columns(&self) -> impl Iterator<Item = usize> {
        self.profiles.iter().enumerate().filter(|(_, profile)| profile.is_constant()).map(|(at, _)| at)
    }

    /// Normalises a row: in f64, rounded to f32 last.
    ///
    /// # Shapes
    /// `raw` and `row`: `[width]`.
    pub fn apply(&self, raw: &[f64], row: &mut [f32]) {
        for (((out, value), mean), std) in row.iter_mut().zip(raw).zip(&self.mean).zip(&self.std) {
            *out = ((value - mean) / std).clamp(-self.clip, self.clip) as f32;
        }
    }
}

/// Mean and population deviation; 1 where the values do not vary.
fn standard(values: &[f64]) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().fold(0.0, |sum, value| sum + value / count);
    let variance = values.iter().fold(0.0, |sum, value| sum + (value - mean) * (value - mean) / count);
    (mean, if variance > 1e-24 { variance.sqrt() } else { 1.0 })
}
