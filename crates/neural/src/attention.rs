//! Additive attention pooling (Bahdanau et al. 2015): a mean over time, weighted by what each step holds.

use std::ops::Range;

use crate::elementary::{add_rows, exp, tanh, vectorised};
use crate::matrix::{Matrix, Target, multiply};
use crate::{Draw, Layout};

/// Scores are contextᵀ·tanh(W·y + b).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attention {
    time: usize,
    hidden: usize,
    /// Values from one pooled row to the next.
    stride: usize,
    weight: Range<usize>,
    bias: Range<usize>,
    context: Range<usize>,
}

/// What a forward pass leaves for the way back.
#[derive(Clone, Debug)]
pub(crate) struct AttentionTape {
    /// `[time × batch × hidden]`: tanh(W·y + b); after a backward pass, its gradient before the tanh.
    keys: Vec<f32>,
    /// `[time × batch]`: softmax over time.
    shares: Vec<f32>,
}

impl Attention {
    /// Over windows of `time` steps; pooled rows lie `stride` apart.
    pub(crate) fn new(layout: &mut Layout, name: &str, (time, hidden, stride): (usize, usize, usize)) -> Self {
        let draw = Draw::Uniform(1.0 / (hidden as f32).sqrt());
        Self {
            time,
            hidden,
            stride,
            weight: layout.add(format!("{name}.weight"), &[hidden, hidden], draw),
            bias: layout.add(format!("{name}.bias"), &[hidden], draw),
            context: layout.add(format!("{name}.context"), &[hidden], draw),
        }
    }

    pub(crate) const fn multiply_adds(&self) -> u64 {
        (self.hidden * (self.hidden + 2)) as u64
    }

    pub(crate) fn tape(&self, batch: usize) -> AttentionTape {
        let rows = self.time * batch;
        AttentionTape { keys: vec![0.0; rows * self.hidden], shares: vec![0.0; rows] }
    }

    /// # Shapes
    /// `y`: `[time × batch × hidden]`; of each row of `pooled`, the first `hidden` values are written.
    pub(crate) fn forward(
        &self,
        weights: &[f32],
        (y, batch): (&[f32], usize),
        tape: &mut AttentionTape,
        pooled: &mut [f32],
    ) {
        let Self { time, hidden, stride, .. } = *self;
        let keys = &mut tape.keys[..time * batch * hidden];
        let bias = &weights[self.bias.clone()];
        keys.chunks_exact_mut(hidden).for_each(|row| row.copy_from_slice(bias));
        let matrix = Matrix::new(&weights[self.weight.clone()], hidden, hidden).transposed();
        multiply(Matrix::new(y, time * batch, hidden), matrix, Target::add(keys, hidden));
        tanh(keys);
        let shares = &mut tape.shares[..time * batch];
        let context = Matrix::new(&weights[self.context.clone()], hidden, 1);
        multiply(Matrix::new(keys, time * batch, hidden), context, Target::overwrite(shares, 1));
        softmax_over_time(shares, batch);
        for row in 0..batch {
            let pooled = &mut pooled[row * stride..row * stride + hidden];
            pooled.fill(0.0);
            for at in (row..time * batch).step_by(batch) {
                let (share, y) = (shares[at], &y[at * hidden..(at + 1) * hidden]);
                vectorised(|| pooled.iter_mut().zip(y).for_each(|(sum, y)| *sum += share * y));
            }
        }
    }

    /// Adds the weights' gradient to `gradient` and writes that of `y` to `d_y`.
    pub(crate) fn backward(
        &self,
        (weights, gradient): (&[f32], &mut [f32]),
        (y, d_y): (&[f32], &mut [f32]),
        tape: &mut AttentionTape,
        (d_pooled, batch): (&[f32], usize),
    ) {
        let Self { time, hidden, stride, .. } = *self;
        let context = &weights[self.context.clone()];
        let AttentionTape { keys, shares } = tape;
        for row in 0..batch {
            let d_pooled = &d_pooled[row * stride..row * stride + hidden];
            let steps = || (row..time * batch).step_by(batch);
            let toward = |at: usize| dot(d_pooled, &y[at * hidden..(at + 1) * hidden]);
            let mean: f64 = steps().map(|at| f64::from(shares[at]) * toward(at)).sum();
            for at in steps() {
                let (share, d_score) = (shares[at], shares[at] * (toward(at) - mean) as f32);
                let here = at * hidden..(at + 1) * hidden;
                let d_context = gradient[self.context.clone()].iter_mut().zip(&keys[here.clone()]);
                vectorised(|| d_context.for_each(|(sum, key)| *sum += d_score * key));
                let d_keys = keys[here.clone()].iter_mut().zip(context);
                vectorised(|| d_keys.for_each(|(key, c)| *key = d_score * c * (1.0 - *key * *key)));
                let direct = d_y[here].iter_mut().zip(d_pooled);
                vectorised(|| direct.for_each(|(d_y, d)| *d_y = share * d));
            }
        }
        let d_keys = Matrix::new(keys, time * batch, hidden);
        let seen = Matrix::new(y, time * batch, hidden);
        multiply(d_keys.transposed(), seen, Target::add(&mut gradient[self.weight.clone()], hidden));
        add_rows(&keys[..time * batch * hidden], &mut gradient[self.bias.clone()]);
        let matrix = Matrix::new(&weights[self.weight.clone()], hidden, hidden);
        multiply(d_keys, matrix, Target::add(d_y, hidden));
    }
}

/// In f64: what a score gets is a small difference of such sums.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// Softmax down each column of `[time × batch]`.
fn softmax_over_time(scores: &mut [f32], batch: usize) {
    for row in 0..batch {
        let most = scores[row..].iter().step_by(batch).copied().fold(f32::NEG_INFINITY, f32::max);
        scores[row..].iter_mut().step_by(batch).for_each(|score| *score -= most);
    }
    exp(scores);
    for row in 0..batch {
        let sum: f32 = scores[row..].iter().step_by(batch).sum();
        scores[row..].iter_mut().step_by(batch).for_each(|score| *score /= sum);
    }
}
