//! The little linear algebra that the samplers need: dense, symmetric, small.

/// A square matrix, row by row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Square {
    pub(crate) size: usize,
    pub(crate) cells: Vec<f64>,
}

impl Square {
    pub(crate) fn zero(size: usize) -> Self {
        Self { size, cells: vec![0.0; size * size] }
    }

    pub(crate) fn identity(size: usize) -> Self {
        let mut square = Self::zero(size);
        for place in 0..size {
            square.cells[place * size + place] = 1.0;
        }
        square
    }

    pub(crate) fn row(&self, row: usize) -> &[f64] {
        &self.cells[row * self.size..(row + 1) * self.size]
    }

    pub(crate) fn at(&self, row: usize, column: usize) -> f64 {
        self.cells[row * self.size + column]
    }

    pub(crate) fn times(&self, vector: &[f64]) -> Vec<f64> {
        (0..self.size).map(|row| dot(self.row(row), vector)).collect()
    }

    /// The product of the transpose with a vector.
    pub(crate) fn transposed_times(&self, vector: &[f64]) -> Vec<f64> {
        let mut product = vec![0.0; self.size];
        for (row, weight) in vector.iter().enumerate() {
            for (sum, cell) in product.iter_mut().zip(self.row(row)) {
                *sum += weight * cell;
            }
        }
        product
    }
}

pub(crate) fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

pub(crate) fn norm(vector: &[f64]) -> f64 {
    dot(vector, vector).sqrt()
}

/// Eigenvectors and eigenvalues of a symmetric matrix.
#[derive(Clone, Debug)]
pub(crate) struct Eigen {
    /// One eigenvector a row.
    pub(crate) vectors: Square,
    /// Its eigenvalue.
    pub(crate) values: Vec<f64>,
}

impl Eigen {
    /// Of the identity.
    pub(crate) fn identity(size: usize) -> Self {
        Self { vectors: Square::identity(size), values: vec![1.0; size] }
    }

    /// Of `matrix`, by cyclic Jacobi rotations that begin in the basis of `self`: one that lies near takes few sweeps.
    pub(crate) fn update(&mut self, matrix: &Square) {
        const SWEEPS_MAX: usize = 30;
        let size = matrix.size;
        let mut turned = Square::zero(size);
        for row in 0..size {
            let product = matrix.times(self.vectors.row(row));
            for column in 0..size {
                turned.cells[row * size + column] = dot(self.vectors.row(column), &product);
            }
        }
        for _ in 0..SWEEPS_MAX {
            let off = |row: usize| turned.row(row)[row + 1..].iter().map(|cell| cell * cell).sum::<f64>();
            let diagonal: f64 = (0..size).map(|place| turned.at(place, place) * turned.at(place, place)).sum();
            if (0..size).map(off).sum::<f64>() <= 1e-26 * diagonal {
                break;
            }
            for row in 0..size {
                for column in row + 1..size {
                    rotate(&mut turned, &mut self.vectors, row, column);
                }
            }
        }
        self.values = (0..size).map(|place| turned.at(place, place)).collect();
    }
}

/// One Jacobi rotation that clears the cell at (`p`, `q`); the basis turns with it.
fn rotate(matrix: &mut Square, vectors: &mut Square, p: usize, q: usize) {
    let cell = matrix.at(p, q);
    if cell == 0.0 {
        return;
    }
    let theta = (matrix.at(q, q) - matrix.at(p, p)) / (2.0 * cell);
    let tangent = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
    let sine = tangent * cosine;
    let size = matrix.size;
    let turn = |low: &mut f64, high: &mut f64| {
        (*low, *high) = (cosine * *low - sine * *high, sine * *low + cosine * *high);
    };
    for row in 0..size {
        let (left, right) = matrix.cells[row * size..(row + 1) * size].split_at_mut(q);
        turn(&mut left[p], &mut right[0]);
    }
    for square in [matrix, vectors] {
        let (upper, lower) = square.cells.split_at_mut(q * size);
        for (low, high) in upper[p * size..(p + 1) * size].iter_mut().zip(&mut lower[..size]) {
            turn(low, high);
        }
    }
}

/// The lower triangle L of a positive definite matrix L Lᵀ.
#[derive(Clone, Debug)]
pub(crate) struct Cholesky(Square);

impl Cholesky {
    /// None where the matrix is not positive definite.
    pub(crate) fn new(mut matrix: Square) -> Option<Self> {
        let size = matrix.size;
        for row in 0..size {
            let (done, rest) = matrix.cells.split_at_mut(row * size);
            for column in 0..row {
                let above = &done[column * size..(column + 1) * size];
                rest[column] = (rest[column] - dot(&rest[..column], &above[..column])) / above[column];
            }
            let pivot = rest[row] - dot(&rest[..row], &rest[..row]);
            if !(pivot > 0.0 && pivot.is_finite()) {
                return None;
            }
            rest[row] = pivot.sqrt();
            rest[row + 1..size].fill(0.0);
        }
        Some(Self(matrix))
    }

    pub(crate) fn log_determinant(&self) -> f64 {
        2.0 * (0..self.0.size).map(|place| libm::log(self.0.at(place, place))).sum::<f64>()
    }

    /// L⁻¹ b.
    pub(crate) fn forward(&self, mut vector: Vec<f64>) -> Vec<f64> {
        for place in 0..self.0.size {
            let row = self.0.row(place);
            vector[place] = (vector[place] - dot(&row[..place], &vector[..place])) / row[place];
        }
        vector
    }

    /// L⁻ᵀ b.
    pub(crate) fn backward(&self, mut vector: Vec<f64>) -> Vec<f64> {
        for place in (0..self.0.size).rev() {
            let row = self.0.row(place);
            vector[place] /= row[place];
            let solved = vector[place];
            for (rest, cell) in vector[..place].iter_mut().zip(row) {
                *rest -= cell * solved;
            }
        }
        vector
    }

    /// (L Lᵀ)⁻¹ b.
    pub(crate) fn solve(&self, vector: Vec<f64>) -> Vec<f64> {
        self.backward(self.forward(vector))
    }

    /// (L Lᵀ)⁻¹.
    pub(crate) fn inverse(&self) -> Square {
        let size = self.0.size;
        // Rows of the transposed inverse of L: row c holds column c, whose first c cells are 0.
        let mut columns = Square::zero(size);
        for column in 0..size {
            let cells = &mut columns.cells[column * size..(column + 1) * size];
            cells[column] = 1.0 / self.0.at(column, column);
            for place in column + 1..size {
                let row = self.0.row(place);
                cells[place] = -dot(&row[column..place], &cells[column..place]) / row[place];
            }
        }
        let mut inverse = Square::zero(size);
        for row in 0..size {
            for column in 0..=row {
                let sum = dot(&columns.row(row)[row..], &columns.row(column)[row..]);
                inverse.cells[row * size + column] = sum;
                inverse.cells[column * size + row] = sum;
            }
        }
        inverse
    }
}

#[cfg(test)]
mod tests;
