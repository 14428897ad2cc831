//! The rows that are learned from, of one symbol or of several, and what is learned of each symbol.
//!
//! With several, each has an embedding: a vector that its rows add to the first layer's sums. All begin at zero, as one
//! symbol, and weight decay draws them back there. The network that is handed in trades one symbol: its bias takes that
//! one's embedding up, to the same bits, and nothing downstream knows that there were others.

use std::borrow::Cow;
use std::ops::Range;

use envs::Rows;
use models::{CLASSES, Forecaster};
use neural::{Draw, Layout, Offsets};

use crate::labels::{Label, Labels};

/// A companion's rows and labels.
pub(super) type Beside<'a> = (&'a Rows, Labels);

/// Training rows, counted through from those of the traded symbol to those of its last companion.
#[derive(Debug)]
pub(super) struct Pool<'a> {
    /// Of the traded symbol.
    pub(super) rows: &'a Rows,
    /// Of the traded symbol, whose validation rows alone decide what is best.
    pub(super) labels: &'a Labels,
    companions: &'a [Beside<'a>],
    /// One past the last row of each symbol.
    ends: Vec<usize>,
}

/// A row to learn from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    /// `[window × width]`.
    pub(super) window: &'a [f32],
    pub(super) label: &'a Label,
}

impl<'a> Pool<'a> {
    pub(super) fn new((rows, labels): (&'a Rows, &'a Labels), companions: &'a [Beside<'a>]) -> Self {
        let counts = std::iter::once(labels.train.len()).chain(companions.iter().map(|(_, labels)| labels.train.len()));
        let ends = counts.scan(0, |end, count| {
            *end += count;
            Some(*end)
        });
        let ends = ends.collect();
        Self { rows, labels, companions, ends }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    pub(super) fn symbol(&self, row: usize) -> usize {
        self.ends.partition_point(|end| *end <= row)
    }

    /// # Panics
    /// Past the last row: a caller's bug.
    pub(super) fn row(&self, row: usize) -> Row<'a> {
        let symbol = self.symbol(row);
        let (rows, labels) = match symbol.checked_sub(1) {
            None => (self.rows, self.labels),
            Some(companion) => (self.companions[companion].0, &self.companions[companion].1),
        };
        let from = symbol.checked_sub(1).map_or(0, |before| self.ends[before]);
        let label = &labels.train[row - from];
        Row { window: rows.ending(label.bar).expect("a labelled bar has a full window"), label }
    }

    /// Rows of each direction.
    pub(super) fn directions(&self) -> [usize; CLASSES] {
        let mut counts = self.labels.directions();
        for (_, labels) in self.companions {
            counts.iter_mut().zip(labels.directions()).for_each(|(sum, count)| *sum += count);
        }
        counts
    }
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
