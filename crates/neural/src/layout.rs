//! Where the tensors of a network lie in its flat buffer, and how they are first drawn.

use std::ops::Range;

use rand::Rng;
use rand_distr::{Distribution as _, StandardNormal, Uniform};

/// Tensors start at multiples of this many values, 64 bytes: one cache line.
const ALIGN: usize = 16;

/// How a tensor is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Draw {
    /// The same everywhere.
    Constant(f32),
    /// Uniform within ± this bound.
    Uniform(f32),
    /// Rows or columns orthonormal, times this gain (Saxe et al. 2014); of a matrix only.
    Orthogonal(f32),
}

/// One tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Unique in its layout.
    pub name: String,
    /// Row-major.
    pub shape: Vec<usize>,
    /// In the flat buffer.
    pub range: Range<usize>,
    draw: Draw,
}

/// The tensors of a network. Gaps between them stay zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    places: Vec<Place>,
    len: usize,
}

impl Layout {
    /// Adds a tensor behind the others; returns where it lies.
    ///
    /// # Panics
    /// When the name is taken: a caller's bug.
    pub fn add(&mut self, name: impl Into<String>, shape: &[usize], draw: Draw) -> Range<usize> {
        let name = name.into();
        assert!(self.places.iter().all(|place| place.name != name), "{name} is there twice");
        let range = self.len..self.len + shape.iter().product::<usize>();
        self.len = range.end.next_multiple_of(ALIGN);
        self.places.push(Place { name, shape: shape.to_vec(), range: range.clone(), draw });
        range
    }

    /// Length of the flat buffer.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it is the length of a buffer, and never asked whether it is none")]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// The tensors in the order they were added.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// First weights: a fresh flat buffer.
    #[must_use]
    pub fn draw(&self, rng: &mut impl Rng) -> Vec<f32> {
        let mut values = vec![0.0; self.len];
        for place in &self.places {
            let tensor = &mut values[place.range.clone()];
            match place.draw {
                Draw::Constant(value) => tensor.fill(value),
                Draw::Uniform(bound) => {
                    let uniform = Uniform::new_inclusive(-bound, bound).expect("a bound is finite and not negative");
                    tensor.fill_with(|| uniform.sample(rng));
                }
                Draw::Orthogonal(gain) => orthogonal(tensor, &place.shape, gain, rng),
            }
        }
        values
    }
}

/// Gram-Schmidt, twice for precision, over the rows of the wider side of a Gaussian matrix.
fn orthogonal(tensor: &mut [f32], shape: &[usize], gain: f32, rng: &mut impl Rng) {
    let (rows, columns) = (shape[0], shape[1..].iter().product::<usize>());
    let (short, long) = (rows.min(columns), rows.max(columns));
    let mut basis: Vec<f64> = (0..short * long).map(|_| StandardNormal.sample(rng)).collect();
    for row in 0..short {
        let (done, rest) = basis.split_at_mut(row * long);
        let this = &mut rest[..long];
        for _ in 0..2 {
            for other in done.chunks_exact(long) {
                let dot: f64 = this.iter().zip(other).map(|(a, b)| a * b).sum();
                this.iter_mut().zip(other).for_each(|(a, b)| *a -= dot * b);
            }
        }
        let norm = this.iter().map(|value| value * value).sum::<f64>().sqrt();
        this.iter_mut().for_each(|value| *value /= norm);
    }
    for (index, value) in tensor.iter_mut().enumerate() {
        let (row, column) = (index / columns, index % columns);
        let at = if rows <= columns { row * long + column } else { column * long + row };
        *value = gain * basis[at] as f32;
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng as _;

    use super::*;
    use crate::matrix::{Matrix, Target, multiply};

    /// Largest entry of |MᵀM/gain² − 1| over the shorter side: 0 for an orthogonal tensor.
    fn orthogonality_error(tensor: &[f32], shape: &[usize], gain: f32) -> f32 {
        let (rows, columns) = (shape[0], shape[1..].iter().product::<usize>());
        let matrix = Matrix::new(tensor, rows, columns);
        let (a, b, side) =
            if rows <= columns { (matrix, matrix.transposed(), rows) } else { (matrix.transposed(), matrix, columns) };
        let mut product = vec![0.0; side * side];
        multiply(a, b, Target::overwrite(&mut product, side));
        let wanted = |index: usize| f32::from(u8::from(index / side == index % side));
        product.iter().enumerate().map(|(index, value)| (value / gain / gain - wanted(index)).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn tensors_do_not_overlap_and_gaps_stay_zero() {
        let mut layout = Layout::default();
        let (a, b) = (layout.add("a", &[3, 5], Draw::Uniform(1.0)), layout.add("b", &[2], Draw::Constant(7.0)));
        assert_eq!((a.clone(), b.clone(), layout.len()), (0..15, 16..18, 32));
        let values = layout.draw(&mut ChaCha8Rng::seed_from_u64(1));
        assert!(values[a].iter().all(|value| value.abs() <= 1.0 && *value != 0.0));
        assert_eq!((values[15], &values[b], &values[18..]), (0.0, &[7.0, 7.0][..], &[0.0; 14][..]));
    }

    #[test]
    fn orthogonal_tensors_are_orthonormal_times_their_gain() {
        for shape in [[4, 64], [64, 4], [64, 64]] {
            let mut layout = Layout::default();
            let range = layout.add("w", &shape, Draw::Orthogonal(1.5));
            let values = layout.draw(&mut ChaCha8Rng::seed_from_u64(2));
            assert!(orthogonality_error(&values[range], &shape, 1.5) < 1e-5);
        }
    }
}
