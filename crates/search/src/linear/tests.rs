//! Each factor, multiplied out again.

use super::*;

/// A positive definite matrix without structure.
fn matrix(size: usize) -> Square {
    let mut square = Square::identity(size);
    for row in 0..size {
        for column in 0..size {
            let cell = libm::cos((row * column + row + column) as f64);
            square.cells[row * size + column] += cell;
        }
    }
    let mut product = Square::identity(size);
    for row in 0..size {
        for column in 0..size {
            product.cells[row * size + column] += dot(square.row(row), square.row(column));
        }
    }
    product
}

#[test]
fn eigenvectors_are_stretched_by_their_values() {
    let mut eigen = Eigen::identity(9);
    for round in 0..3 {
        let mut matrix = matrix(9);
        matrix.cells[0] += f64::from(round);
        eigen.update(&matrix);
        for (row, value) in eigen.values.iter().enumerate() {
            let vector = eigen.vectors.row(row);
            assert!((norm(vector) - 1.0).abs() < 1e-13);
            for (left, right) in matrix.times(vector).iter().zip(vector) {
                assert!((left - value * right).abs() < 1e-10, "round {round}: {left} {}", value * right);
            }
        }
    }
}

#[test]
fn a_cholesky_factor_solves_and_inverts() {
    let matrix = matrix(7);
    let factor = Cholesky::new(matrix.clone()).unwrap();
    let wanted: Vec<f64> = (0..7).map(f64::from).collect();
    let solved = factor.solve(matrix.times(&wanted));
    assert!(solved.iter().zip(&wanted).all(|(left, right)| (left - right).abs() < 1e-10), "{solved:?}");
    let inverse = factor.inverse();
    for row in 0..7 {
        let product = matrix.times(inverse.row(row));
        assert!(product.iter().enumerate().all(|(at, cell)| (cell - f64::from(u8::from(at == row))).abs() < 1e-10));
    }
    let mut eigen = Eigen::identity(7);
    eigen.update(&matrix);
    let sum: f64 = eigen.values.iter().map(|value| libm::log(*value)).sum();
    assert!((factor.log_determinant() - sum).abs() < 1e-10);
}

#[test]
fn what_is_not_positive_definite_has_no_factor() {
    let mut matrix = Square::identity(3);
    matrix.cells[4] = -1.0;
    assert!(Cholesky::new(matrix.clone()).is_none());
    matrix.cells[4] = f64::NAN;
    assert!(Cholesky::new(matrix).is_none());
}
