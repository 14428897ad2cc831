//! The last `n` values, and their moments, oldest first.

use serde::{Deserialize, Serialize};

/// A ring of the last `length` values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    length: usize,
    next: usize,
    values: Vec<f64>,
}

impl Window {
    /// An empty window of `length` values, at least one.
    #[must_use]
    pub fn new(length: usize) -> Self {
        let length = length.max(1);
        Self { length, next: 0, values: Vec::with_capacity(length) }
    }

    /// Adds a value and drops the oldest once full; returns what was dropped.
    pub fn push(&mut self, value: f64) -> Option<f64> {
        if self.values.len() < self.length {
            self.values.push(value);
            return None;
        }
        let dropped = std::mem::replace(&mut self.values[self.next], value);
        self.next = (self.next + 1) % self.length;
        Some(dropped)
    }

    /// Whether `length` values are in.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.values.len() == self.length
    }

    /// Values, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = f64> + '_ {
        self.values[self.next..].iter().chain(&self.values[..self.next]).copied()
    }

    /// The arithmetic mean; NaN when empty.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.iter().sum::<f64>() / self.values.len() as f64
    }

    /// Sum of squared deviations from the mean, in two passes.
    #[must_use]
    pub fn squared_deviations(&self) -> f64 {
        let mean = self.mean();
        self.iter().map(|value| (value - mean) * (value - mean)).sum()
    }

    /// Population standard deviation.
    #[must_use]
    pub fn deviation_population(&self) -> f64 {
        (self.squared_deviations() / self.values.len() as f64).sqrt()
    }

    /// Sample standard deviation (one degree of freedom lost); NaN below two values.
    #[must_use]
    pub fn deviation_sample(&self) -> f64 {
        (self.squared_deviations() / (self.values.len() as f64 - 1.0)).sqrt()
    }
}
