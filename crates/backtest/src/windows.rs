//! What a network sees of bars, made as it is asked for: memory holds a batch of windows, however long the history.

use std::ops::Range;

use dataset::Dataset;
use market::Bar;
use models::{Sight, SightStream};

use crate::BacktestError;

/// Windows held at a time: many times what a predictor computes together, and 4 MB where a window has a thousand values.
const BATCH: usize = 1_024;

/// The windows of the bars of a data set, in order.
pub(crate) struct Windows<'a> {
    stream: SightStream,
    bars: &'a [Bar],
    /// The first bar that has not been taken in.
    next: usize,
}

impl<'a> Windows<'a> {
    pub(crate) fn over(sight: &Sight, dataset: &'a Dataset) -> Result<Self, BacktestError> {
        let anchor = dataset.bars.partition_point(|bar| bar.time < sight.features().anchor);
        Ok(Self { stream: sight.from_anchor()?, bars: &dataset.bars, next: anchor })
    }

    /// The window that ends with `bar`, later than any bar asked for before; `None` while it is not full.
    pub(crate) fn at(&mut self, bar: usize) -> Result<Option<&[f32]>, BacktestError> {
        // Before the anchor nothing is seen.
        if bar < self.next {
            return Ok(None);
        }
        for passed in &self.bars[self.next..=bar] {
            self.stream.advance(passed)?;
        }
        self.next = bar + 1;
        Ok(self.stream.look()?)
    }
}

/// Calls `act` with the full windows of the bars in `range` that are there, in order and at most [`BATCH`] at a time, and with
/// the bar that the first of them ends with.
pub(crate) fn in_batches(
    (sight, dataset): (&Sight, &Dataset),
    range: Range<usize>,
    mut act: impl FnMut(usize, &[&[f32]]) -> Result<(), BacktestError>,
) -> Result<(), BacktestError> {
    let (mut windows, mut held) = (Windows::over(sight, dataset)?, Vec::<f32>::new());
    let last = range.end.min(dataset.bars.len());
    for start in (range.start..last).step_by(BATCH) {
        let end = last.min(start + BATCH);
        held.clear();
        for bar in start..end {
            held.extend_from_slice(windows.at(bar)?.unwrap_or_default());
        }
        let full: Vec<&[f32]> = held.chunks_exact(sight.input_width()).collect();
        if !full.is_empty() {
            // Once a window is full, all later ones are.
            act(end - full.len(), &full)?;
        }
    }
    Ok(())
}
