//! The rows that are learned from, of one symbol or of several, and what is learned of each symbol.
//!
//! With several, each has an embedding: a vector that its rows add to the first layer's sums. All begin at zero, as one
//! symbol, and weight decay draws them back there. The network that is handed in trades one symbol: its bias takes that
//! one's embedding up, to the same bits, and nothing downstream knows that there were others.

use std::borrow::Cow;
use std::ops::Range;

use envs::Rows;
use models::{CLASSES, Forecaster, Scales};
use neural::{Draw, Layout, Offsets};

use crate::Shelves;
use crate::labels::{Label, Labels};
use crate::lessons::Lessons;
use crate::scratch::ScratchError;
use crate::shelf::{Shelf, Split};

/// Rows of the next mini-batch that the system is told of: enough to keep a disk at work while this one is learned from.
const ANNOUNCED: usize = 4_096;

/// A companion's rows and labels.
pub(super) type Beside<'a> = (&'a Rows, Labels);

/// Training rows, counted through from those of the traded symbol to those of its last companion.
#[derive(Debug)]
pub(super) struct Pool<'a> {
    lessons: Vec<Lessons<'a>>,
    /// One past the last row of each symbol.
    ends: Vec<usize>,
    /// Rows of the traded symbol, which alone decide what is best.
    pub(super) validation: Lessons<'a>,
    /// In which the labels of the traded symbol are.
    pub(super) scales: Scales,
    /// Rows in a window, and values in a row.
    pub(super) shape: (usize, usize),
    directions: [usize; CLASSES],
}

impl<'a> Pool<'a> {
    /// In memory.
    pub(super) fn new((rows, labels): (&'a Rows, &'a Labels), companions: &'a [Beside<'a>]) -> Self {
        let beside = companions.iter().map(|(rows, labels)| Lessons::Whole(rows, &labels.train));
        let lessons: Vec<_> = std::iter::once(Lessons::Whole(rows, &labels.train)).chain(beside).collect();
        let mut directions = labels.directions();
        companions.iter().for_each(|(_, labels)| add(&mut directions, labels.directions()));
        Self {
            ends: ends(&lessons),
            lessons,
            validation: Lessons::Whole(rows, &labels.validation),
            scales: labels.scales(),
            shape: (rows.window, rows.width),
            directions,
        }
    }

    /// On disk.
    pub(super) fn shelved(shelves: &'a Shelves) -> Self {
        let (traded, companions) = (&shelves.traded, &shelves.companions);
        let all = std::iter::once(traded).chain(companions);
        let lessons: Vec<_> = all.map(|shelf: &'a Shelf| Lessons::Shelved(shelf, Split::Train)).collect();
        let mut directions = traded.directions();
        companions.iter().for_each(|shelf| add(&mut directions, shelf.directions()));
        Self {
            ends: ends(&lessons),
            lessons,
            validation: Lessons::Shelved(traded, Split::Validation),
            scales: traded.scales(),
            shape: traded.shape(),
            directions,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    pub(super) fn symbol(&self, row: usize) -> usize {
        self.ends.partition_point(|end| *end <= row)
    }

    /// Writes the window of a row, `[window × width]`; returns its label. `bytes` is a buffer.
    ///
    /// # Panics
    /// Past the last row: a caller's bug.
    pub(super) fn read(&self, row: usize, window: &mut [f32], bytes: &mut Vec<u8>) -> Result<Label, ScratchError> {
        let (lessons, row) = self.place(row);
        lessons.read(row, window, bytes)
    }

    /// Says that these rows are read next.
    pub(super) fn announce(&self, rows: &[u32]) {
        for row in rows.iter().take(ANNOUNCED) {
            let (lessons, row) = self.place(*row as usize);
            lessons.announce(row);
        }
    }

    /// A row among those of its symbol.
    fn place(&self, row: usize) -> (Lessons<'a>, usize) {
        let symbol = self.symbol(row);
        (self.lessons[symbol], row - symbol.checked_sub(1).map_or(0, |before| self.ends[before]))
    }

    /// Rows of each direction.
    pub(super) const fn directions(&self) -> [usize; CLASSES] {
        self.directions
    }
}

fn ends(lessons: &[Lessons<'_>]) -> Vec<usize> {
    let mut end = 0;
    let next = |lessons: &Lessons<'_>| {
        end += lessons.len();
        end
    };
    lessons.iter().map(next).collect()
}

fn add(sums: &mut [usize; CLASSES], counts: [usize; CLASSES]) {
    sums.iter_mut().zip(counts).for_each(|(all, own)| *all += own);
}

/// Where the embeddings of the symbols lie in the flat buffer.
#[derive(Clone, Debug)]
pub(super) struct Embeddings {
    /// `[symbols × units]`.
    all: Range<usize>,
    units: usize,
    /// The bias that they add to.
    entry: Range<usize>,
}

impl Embeddings {
    /// Adds them behind a network; `None`: there is one symbol, and nothing to tell apart.
    pub(super) fn add(layout: &mut Layout, network: &Forecaster, pool: &Pool<'_>) -> Option<Self> {
        let (symbols, entry) = (pool.ends.len(), network.entry());
        (symbols > 1).then(|| {
            let all = layout.add("symbols", &[symbols, entry.len()], Draw::Constant(0.0));
            Self { all, units: entry.len(), entry }
        })
    }

    fn of(&self, symbol: usize) -> Range<usize> {
        let from = self.all.start + symbol * self.units;
        from..from + self.units
    }

    /// Writes those of some rows' symbols.
    pub(super) fn look_up(&self, weights: &[f32], symbols: impl Iterator<Item = usize>, offsets: &mut Offsets) {
        for (offset, symbol) in offsets.rows_mut().zip(symbols) {
            offset.copy_from_slice(&weights[self.of(symbol)]);
        }
    }

    /// Adds the gradients of those rows.
    pub(super) fn learn(&self, gradient: &mut [f32], symbols: impl Iterator<Item = usize>, offsets: &Offsets) {
        for (d_offset, symbol) in offsets.gradients().zip(symbols) {
            gradient[self.of(symbol)].iter_mut().zip(d_offset).for_each(|(sum, d)| *sum += d);
        }
    }
}

/// The weights of the traded symbol's network: its embedding is part of its bias.
pub(super) fn folded<'w>(embeddings: Option<&Embeddings>, weights: &'w [f32]) -> Cow<'w, [f32]> {
    let Some(embeddings) = embeddings else { return Cow::Borrowed(weights) };
    let mut folded = weights.to_vec();
    let bias = folded[embeddings.entry.clone()].iter_mut();
    bias.zip(&weights[embeddings.of(0)]).for_each(|(bias, own)| *bias += own);
    Cow::Owned(folded)
}
