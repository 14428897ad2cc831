//! What a row adds to the first layer's sums beside the bias: an embedding of what the row is of.
//!
//! A sum begins with bias and offset together. Where all rows share one offset, the network has the bits of one whose bias
//! holds their sum: an offset that is learned can be handed on as a bias.

/// An offset for each row, with its gradient. Without rows every sum begins with the bias alone.
#[derive(Clone, Debug, Default)]
pub struct Offsets {
    /// `[rows × units]` each.
    values: Vec<f32>,
    gradient: Vec<f32>,
    units: usize,
}

impl Offsets {
    /// Room for up to `rows` rows of `units` values each.
    #[must_use]
    pub fn new(rows: usize, units: usize) -> Self {
        Self { values: vec![0.0; rows * units], gradient: vec![0.0; rows * units], units }
    }

    /// To be written before a forward pass: one for each row.
    pub fn rows_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        self.values.chunks_exact_mut(self.units.max(1))
    }

    /// Of the last backward pass: one for each row.
    pub fn gradients(&self) -> impl Iterator<Item = &[f32]> {
        self.gradient.chunks_exact(self.units.max(1))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Numbers it has room for.
    pub(crate) fn len(&self) -> usize {
        self.values.len() + self.gradient.len()
    }

    /// Writes what the sums of `rows` rows begin with into `target`, `[time × rows × units]`.
    pub(crate) fn begin(&self, bias: &[f32], rows: usize, target: &mut [f32]) {
        for step in target.chunks_exact_mut(rows * self.units) {
            for (sums, offset) in step.chunks_exact_mut(self.units).zip(self.values.chunks_exact(self.units)) {
                sums.iter_mut().zip(bias).zip(offset).for_each(|((sum, bias), offset)| *sum = bias + offset);
            }
        }
    }

    /// Sums the gradients of those sums, `[time × rows × units]`, over time.
    pub(crate) fn gather(&mut self, rows: usize, d_sums: &[f32]) {
        let gradient = &mut self.gradient[..rows * self.units];
        gradient.fill(0.0);
        for step in d_sums.chunks_exact(rows * self.units) {
            gradient.iter_mut().zip(step).for_each(|(sum, d)| *sum += d);
        }
    }
}

#[cfg(test)]
mod tests;
