//! The last `n` values and what can be said of them in O(1) a bar, amortised.
//!
//! [`Rolling`] never subtracts: what has left the window leaves no trace, so that nothing drifts and a constant window has
//! a deviation of exactly 0. Values of the present block of `n` are merged forward as they come; when the block is full it
//! is merged backward once, and each later window is one backward part and one forward part (van Herk 1992; Gil and Werman
//! 1993, for any associative merge).

mod aggregates;

use serde::{Deserialize, Serialize};

pub(crate) use aggregates::{Extremes, Highest, Lowest, Moments, Pair, Shape, Sum, Sum2, Sum3, Trend};

/// A summary of consecutive values that can be joined with that of the values right after them.
pub(crate) trait Aggregate: Copy + Default {
    /// The summary of `older` (of `before` values) followed by `newer` (of `after` values).
    #[must_use]
    fn merge(older: Self, before: f64, newer: Self, after: f64) -> Self;
}

/// The summary of the last `length` values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rolling<A> {
    length: usize,
    /// Values of the present block.
    next: usize,
    /// Whether a block came before.
    wrapped: bool,
    /// Summary of the present block.
    front: A,
    /// `[..next]`: the present block's values; `[next..]`: summaries of the last block from each place to its end.
    cells: Vec<A>,
}

impl<A: Aggregate> Rolling<A> {
    /// An empty window of `length` values, at least one.
    #[must_use]
    pub(crate) fn new(length: usize) -> Self {
        let length = length.max(1);
        Self { length, next: 0, wrapped: false, front: A::default(), cells: vec![A::default(); length] }
    }

    /// Values of a full window.
    #[must_use]
    pub(crate) fn count(&self) -> f64 {
        self.length as f64
    }

    /// Adds a value; the summary of the last `length` once there are as many.
    #[inline]
    pub(crate) fn push(&mut self, value: A) -> Option<A> {
        let held = self.next;
        self.cells[held] = value;
        self.front = if held == 0 { value } else { A::merge(self.front, held as f64, value, 1.0) };
        self.next = held + 1;
        if self.next == self.length {
            self.turn();
            return Some(self.cells[0]);
        }
        let behind = (self.length - self.next) as f64;
        self.wrapped.then(|| A::merge(self.cells[self.next], behind, self.front, self.next as f64))
    }

    /// The block is full: each place gets the summary from there to the end.
    fn turn(&mut self) {
        let mut after = self.cells[self.length - 1];
        for (count, cell) in self.cells[..self.length - 1].iter_mut().rev().enumerate() {
            after = A::merge(*cell, 1.0, after, (count + 1) as f64);
            *cell = after;
        }
        self.next = 0;
        self.wrapped = true;
    }
}

/// A ring that gives back what was pushed `length` values ago.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lag {
    length: usize,
    next: usize,
    values: Vec<f64>,
}

impl Lag {
    /// An empty ring of `length` values, at least one.
    #[must_use]
    pub(crate) fn new(length: usize) -> Self {
        let length = length.max(1);
        Self { length, next: 0, values: Vec::with_capacity(length) }
    }

    /// Adds a value; the one pushed `length` values before it, once there is one.
    #[inline]
    pub(crate) fn push(&mut self, value: f64) -> Option<f64> {
        if self.values.len() < self.length {
            self.values.push(value);
            return None;
        }
        let dropped = std::mem::replace(&mut self.values[self.next], value);
        self.next += 1;
        if self.next == self.length {
            self.next = 0;
        }
        Some(dropped)
    }
}

#[cfg(test)]
mod tests;
