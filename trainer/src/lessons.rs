//! Labelled rows of one symbol, in memory or on disk: one way to read them, to the same bits.

use envs::Rows;

use crate::labels::Label;
use crate::scratch::ScratchError;
use crate::shelf::{Shelf, Split};

/// Rows to learn from, or to compare by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lessons<'a> {
    /// Rows of all bars, and labels of some.
    Whole(&'a Rows, &'a [Label]),
    /// A split of what is on disk.
    Shelved(&'a Shelf, Split),
}

impl Lessons<'_> {
    /// How many.
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Whole(_, labels) => labels.len(),
            Self::Shelved(shelf, split) => shelf.bars(split).len(),
        }
    }

    /// Writes the window of a row, `[window × width]`, oldest first; returns its label. `bytes` is a buffer.
    ///
    /// # Panics
    /// Past the last row: a caller's bug.
    pub(crate) fn read(self, row: usize, window: &mut [f32], bytes: &mut Vec<u8>) -> Result<Label, ScratchError> {
        match self {
            Self::Whole(rows, labels) => {
                let label = labels[row];
                window.copy_from_slice(rows.ending(label.bar).expect("a labelled bar has a full window"));
                Ok(label)
            }
            Self::Shelved(shelf, split) => shelf.read((split, row), window, bytes),
        }
    }

    /// Says that a row will be read soon.
    pub(crate) fn announce(self, row: usize) {
        match self {
            Self::Whole(..) => {}
            Self::Shelved(shelf, split) => shelf.announce(split, row),
        }
    }
}
