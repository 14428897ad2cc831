//! Learned features: what a forecaster's encoder makes of a window, before its heads.
//!
//! A version of them is the digest of the encoder's bundle. A row's features are a function of encoder and row alone, to the
//! bit, in any batch: so those of a history are those of the same bars one by one, and a memory of them changes nothing but
//! the time they take.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use spec::{BundleId, Digest};

use crate::{ModelError, Predictor, row_digest};

/// Asks an encoder for features, and remembers the rows it was asked for last.
#[derive(Debug)]
pub struct Embedding {
    encoder: Predictor,
    /// Guards what is remembered: callers on several threads share it.
    memory: Mutex<Memory>,
}

/// How often a row was remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Rows that were.
    pub hits: u64,
    /// Rows that were computed.
    pub misses: u64,
    /// Rows that were forgotten for others.
    pub forgotten: u64,
}

impl Remembered {
    /// Hits over all; none where nothing was asked.
    #[must_use]
    pub fn share(self) -> Option<f64> {
        let asked = self.hits + self.misses;
        (asked > 0).then(|| self.hits as f64 / asked as f64)
    }
}

/// Features by the digest of their row. First in, first out: a row is asked for again by the next pass over the same bars,
/// and what matters is whether all of them fit.
#[derive(Debug)]
struct Memory {
    rows_max: NonZeroUsize,
    features: HashMap<Digest, Vec<f32>>,
    order: VecDeque<Digest>,
    counts: Remembered,
}

impl Memory {
    fn keep(&mut self, row: Digest, features: Vec<f32>) {
        if self.features.insert(row, features).is_some() {
            return;
        }
        self.order.push_back(row);
        if self.order.len() > self.rows_max.get()
            && let Some(oldest) = self.order.pop_front()
        {
            self.features.remove(&oldest);
            self.counts.forgotten += 1;
        }
    }
}

impl Embedding {
    /// The features of an encoder, `rows_max` of them remembered at most.
    ///
    /// # Errors
    /// [`ModelError::Shape`] for a network that is no forecaster.
    pub fn new(encoder: Predictor, rows_max: NonZeroUsize) -> Result<Self, ModelError> {
        encoder.features()?;
        let memory =
            Memory { rows_max, features: HashMap::new(), order: VecDeque::new(), counts: Remembered::default() };
        Ok(Self { encoder, memory: Mutex::new(memory) })
    }

    /// Their version: the bundle that the encoder is from.
    #[must_use]
    pub fn version(&self) -> BundleId {
        self.encoder.bundle()
    }

    /// Features of a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.encoder.features().expect("only forecasters are taken in")
    }

    /// Values of a row that the encoder sees.
    #[must_use]
    pub fn input_width(&self) -> usize {
        self.encoder.input_width()
    }

    /// How often rows were remembered so far.
    #[must_use]
    pub fn remembered(&self) -> Remembered {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).counts
    }

    /// The features of some rows.
    ///
    /// # Shapes
    /// Each row: `[input_width]` → `[rows × width]`.
    ///
    /// # Errors
    /// As [`Predictor::predict`].
    pub fn of(&self, rows: &[&[f32]]) -> Result<Vec<f32>, ModelError> {
        let digests: Vec<Digest> = rows.iter().map(|row| row_digest(row)).collect();
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let mut missing: Vec<usize> = Vec::new();
        let mut found: Vec<Option<Vec<f32>>> = Vec::with_capacity(rows.len());
        for (index, digest) in digests.iter().enumerate() {
            let known = memory.features.get(digest).cloned();
            if known.is_none() {
                missing.push(index);
            }
            found.push(known);
        }
        memory.counts.hits += (rows.len() - missing.len()) as u64;
        memory.counts.misses += missing.len() as u64;
        let asked: Vec<&[f32]> = missing.iter().map(|index| rows[*index]).collect();
        let computed = self.encoder.embed(&asked)?;
        for (index, features) in missing.into_iter().zip(computed.chunks_exact(self.width())) {
            memory.keep(digests[index], features.to_vec());
            found[index] = Some(features.to_vec());
        }
        Ok(found.into_iter().flatten().flatten().collect())
    }
}

#[cfg(test)]
mod tests;
