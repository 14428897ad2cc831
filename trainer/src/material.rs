//! What a trial learns from, wherever it lies.

use crate::{Shelves, TrainingData};

/// In memory or on disk. A training ends in the same bytes either way.
#[derive(Clone, Copy, Debug)]
pub enum Material<'a> {
    /// All of it in memory.
    Whole(&'a TrainingData),
    /// Rows and labels on disk.
    Shelved(&'a Shelves),
}

impl<'a> From<&'a TrainingData> for Material<'a> {
    fn from(data: &'a TrainingData) -> Self {
        Self::Whole(data)
    }
}

impl<'a> From<&'a Shelves> for Material<'a> {
    fn from(shelves: &'a Shelves) -> Self {
        Self::Shelved(shelves)
    }
}
