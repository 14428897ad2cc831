//! What one core can multiply: the best of `gemm` and libtorch at 1024³, f32.

use neural::matrix::{Matrix, Target, multiply};
use tch::{Kind, Tensor};

use crate::clock::Moment;

const SIDE: usize = 1024;
const ROUNDS: usize = 3;

/// GFLOP/s of the better of two libraries, one thread, best of a few rounds.
#[must_use]
pub fn peak() -> f64 {
    models::single_threaded();
    let (a, b) = (vec![0.5; SIDE * SIDE], vec![0.25; SIDE * SIDE]);
    let mut c = vec![0.0; SIDE * SIDE];
    let (ta, tb) = (Tensor::from_slice(&a).view([SIDE as i64, -1]), Tensor::from_slice(&b).view([SIDE as i64, -1]));
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let began = Moment::now();
        multiply(Matrix::new(&a, SIDE, SIDE), Matrix::new(&b, SIDE, SIDE), Target::overwrite(&mut c, SIDE));
        best = best.min(began.elapsed().cpu_s);
        let began = Moment::now();
        let product = tch::no_grad(|| ta.matmul(&tb));
        best = best.min(began.elapsed().cpu_s);
        assert!(product.double_value(&[0, 0]).is_finite() && product.kind() == Kind::Float);
    }
    2.0 * (SIDE as f64).powi(3) / best / 1e9
}
