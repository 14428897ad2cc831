//! Additive attention pooling (Bahdanau et al. 2015): a mean over time, weighted by what each step holds.
//!
//! Scores are contextᵀ·tanh(W·y + b). A bias of the scores would cancel in the softmax, so there is none.

use std::ops::Range;

use crate::linear::{Linear, LinearPanels};
use crate::product::ROWS_MAX;
use crate::sequence::Purpose;
use crate::vectors::{Tanh, Vectors, dot};
use crate::{Draw, Layout, elementary};

/// Rows whose keys are computed at a time: they are scored while they are in the first cache.
const SCORED: usize = 3 * ROWS_MAX;

/// The layer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pooling {
    time: usize,
    hidden: usize,
    keys: Linear,
    /// `[1, hidden]`.
    context: Range<usize>,
}

/// What a forward pass leaves for the way back.
#[derive(Clone, Debug)]
pub(crate) struct PoolingTape {
    purpose: Purpose,
    /// `[time × rows × hidden]`: tanh(W·y + b); after a backward pass, its gradient before the tanh. Where only an answer is
    /// wanted, of [`SCORED`] rows.
    keys: Vec<f32>,
    /// `[time × rows]`: softmax over time.
    shares: Vec<f32>,
    /// `[rows]`: the largest score of each, then the sum of its exponentials.
    ends: Vec<f32>,
}

impl Pooling {
    pub(crate) fn new(layout: &mut Layout, name: &str, (time, hidden): (usize, usize)) -> Self {
        let keys = Linear::new(layout, &format!("{name}.score"), (hidden, hidden));
        let draw = Draw::Uniform(1.0 / (hidden as f32).sqrt());
        Self { time, hidden, keys, context: layout.add(format!("{name}.context"), &[1, hidden], draw) }
    }

    pub(crate) const fn multiply_adds(&self) -> u64 {
        self.time as u64 * (self.keys.multiply_adds() + 2 * self.hidden as u64)
    }

    pub(crate) fn tape(&self, rows: usize, purpose: Purpose) -> PoolingTape {
        let steps = self.time * rows;
        let kept = match purpose {
            Purpose::Learning | Purpose::Explaining => steps,
            Purpose::Asking => SCORED,
        };
        PoolingTape { purpose, keys: vec![0.0; kept * self.hidden], shares: vec![0.0; steps], ends: vec![0.0; rows] }
    }

    pub(crate) fn panels(&self) -> LinearPanels {
        self.keys.panels()
    }

    pub(crate) fn pack(&self, weights: &[f32], panels: &mut LinearPanels) {
        self.keys.pack(weights, panels);
    }

    /// # Shapes
    /// `y`: `[time × rows × hidden]` → `pooled`: `[rows × hidden]`.
    pub(crate) fn forward(
        &self,
        vectors: Vectors,
        (weights, panels): (&[f32], &LinearPanels),
        (y, rows): (&[f32], usize),
        (tape, pooled): (&mut PoolingTape, &mut [f32]),
    ) {
        let Self { time, hidden, .. } = *self;
        let PoolingTape { purpose, keys, shares, ends } = tape;
        let (y, shares) = (&y[..time * rows * hidden], &mut shares[..time * rows]);
        let context = &weights[self.context.clone()];
        for (part, (y, scores)) in y.chunks(SCORED * hidden).zip(shares.chunks_mut(SCORED)).enumerate() {
            let slot = match purpose {
                Purpose::Learning | Purpose::Explaining => part,
                Purpose::Asking => 0,
            };
            let keys = &mut keys[slot * SCORED * hidden..][..y.len()];
            self.keys.forward(vectors, panels, (y, scores.len()), keys);
            vectors.run(Tanh(keys));
            vectors.run(
                #[inline(always)]
                || {
                    let scores = scores.iter_mut().zip(keys.chunks_exact(hidden));
                    scores.for_each(|(score, key)| *score = dot(key, context));
                },
            );
        }
        softmax_over_time(vectors, shares, &mut ends[..rows]);
        let pooled = &mut pooled[..rows * hidden];
        pooled.fill(0.0);
        vectors.run(
            #[inline(always)]
            || {
                for (y, shares) in y.chunks_exact(rows * hidden).zip(shares.chunks_exact(rows)) {
                    for ((pooled, y), share) in pooled.chunks_exact_mut(hidden).zip(y.chunks_exact(hidden)).zip(shares)
                    {
                        pooled.iter_mut().zip(y).for_each(|(sum, y)| *sum += share * y);
                    }
                }
            },
        );
    }

    /// Adds the weights' gradient to `gradient` and writes that of `y` to `d_y`.
    pub(crate) fn backward(
        &self,
        vectors: Vectors,
        (weights, panels, gradient): (&[f32], &LinearPanels, &mut [f32]),
        (y, d_y): (&[f32], &mut [f32]),
        (tape, d_pooled, rows): (&mut PoolingTape, &[f32], usize),
    ) {
        let Self { time, hidden, .. } = *self;
        let context = &weights[self.context.clone()];
        let (keys, shares) = (&mut tape.keys[..time * rows * hidden], &tape.shares[..time * rows]);
        let (d_y, d_context) = (&mut d_y[..time * rows * hidden], &mut gradient[self.context.clone()]);
        vectors.run(
            #[inline(always)]
            || {
                for (row, d_pooled) in d_pooled.chunks_exact(hidden).take(rows).enumerate() {
                    let toward = |at: usize| precise_dot(d_pooled, &y[at * hidden..(at + 1) * hidden]);
                    let steps = || (row..time * rows).step_by(rows);
                    let mean: f64 = steps().map(|at| f64::from(shares[at]) * toward(at)).sum();
                    for at in steps() {
                        let (share, d_score) = (shares[at], shares[at] * (toward(at) - mean) as f32);
                        let here = at * hidden..(at + 1) * hidden;
                        let keys = &mut keys[here.clone()];
                        d_context.iter_mut().zip(&*keys).for_each(|(sum, key)| *sum += d_score * key);
                        let d_keys = keys.iter_mut().zip(context);
                        d_keys.for_each(|(key, c)| *key = d_score * c * (1.0 - *key * *key));
                        d_y[here].iter_mut().zip(d_pooled).for_each(|(d_y, d)| *d_y = share * d);
                    }
                }
            },
        );
        self.keys.learn((y, keys), time * rows, gradient);
        self.keys.back(vectors, panels, (keys, time * rows), d_y);
    }
}

impl PoolingTape {
    pub(crate) const fn values(&self) -> usize {
        self.keys.len() + self.shares.len() + self.ends.len()
    }

    /// `[time × rows]`, for as many rows as there is room for.
    pub(crate) fn shares(&self) -> &[f32] {
        &self.shares
    }
}

/// In f64, by 8 lanes: what a score gets is a small difference of such sums.
#[inline(always)]
fn precise_dot(a: &[f32], b: &[f32]) -> f64 {
    let ((whole_a, rest_a), (whole_b, rest_b)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut lanes = [0.0_f64; 8];
    for (a, b) in whole_a.iter().zip(whole_b) {
        let pairs = lanes.iter_mut().zip(a.iter().zip(b));
        pairs.for_each(|(lane, (a, b))| *lane += f64::from(*a) * f64::from(*b));
    }
    let tail: f64 = rest_a.iter().zip(rest_b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    lanes.iter().sum::<f64>() + tail
}

/// Softmax down each column of `[time × rows]`; `ends` is room for a value of each row.
fn softmax_over_time(vectors: Vectors, scores: &mut [f32], ends: &mut [f32]) {
    let rows = ends.len();
    ends.fill(f32::NEG_INFINITY);
    vectors.run(
        #[inline(always)]
        || {
            for scores in scores.chunks_exact(rows) {
                ends.iter_mut().zip(scores).for_each(|(most, score)| *most = most.max(*score));
            }
            for scores in scores.chunks_exact_mut(rows) {
                scores.iter_mut().zip(&*ends).for_each(|(score, most)| *score -= most);
            }
        },
    );
    elementary::exp(scores);
    ends.fill(0.0);
    vectors.run(
        #[inline(always)]
        || {
            for scores in scores.chunks_exact(rows) {
                ends.iter_mut().zip(scores).for_each(|(sum, score)| *sum += score);
            }
            for scores in scores.chunks_exact_mut(rows) {
                scores.iter_mut().zip(&*ends).for_each(|(score, sum)| *score /= sum);
            }
        },
    );
}
