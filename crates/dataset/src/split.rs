//! Train, validation and test by time, with the edges cleared.
//!
//! A decision on bar *t* has a label that reads up to *t* + horizon, and fills at *t* + 1. The last `purge` bars of a
//! split are therefore no decision bars, so that nothing in it reads the next; the first `embargo` bars of validation and
//! test are dropped, so that serial correlation does not carry over (Lopez de Prado 2018, ch. 7).

use std::ops::Range;

use market::{Bar, Timestamp};
use serde::{Deserialize, Serialize};
use spec::{DateRange, SplitSpec};

use crate::DataError;

/// Decision bars of each split, as indices into the bars.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitIndices {
    /// Fit here.
    pub train: Range<usize>,
    /// Compare here.
    pub validation: Range<usize>,
    /// Look once.
    pub test: Range<usize>,
}

/// Cuts sorted bars by time.
///
/// # Errors
/// [`DataError::SplitOrder`] when splits touch or overlap, [`DataError::EmptySplit`] when one keeps no bar.
pub fn split(bars: &[Bar], spec: &SplitSpec) -> Result<SplitIndices, DataError> {
    let ranges = ranges(spec);
    let before = ranges.map(|range| bars.partition_point(|bar| bar.time < range.from));
    let until = ranges.map(|range| bars.partition_point(|bar| bar.time <= range.to));
    cut(spec, before, until)
}

/// Cuts bars that come one after the other, in order of time.
#[derive(Clone, Debug)]
pub struct Splitter {
    spec: SplitSpec,
    bars: usize,
    /// Bars before each split begins.
    before: [usize; 3],
    /// Bars up to the end of each split.
    until: [usize; 3],
}

impl Splitter {
    /// Before the first bar.
    #[must_use]
    pub fn new(spec: &SplitSpec) -> Self {
        Self { spec: spec.clone(), bars: 0, before: [0; 3], until: [0; 3] }
    }

    /// Takes in the time of the next bar. True for the first bar that the test split decides on.
    pub fn push(&mut self, time: Timestamp) -> bool {
        for (split, range) in ranges(&self.spec).into_iter().enumerate() {
            self.before[split] += usize::from(time < range.from);
            self.until[split] += usize::from(time <= range.to);
        }
        let [.., before_test] = self.before;
        let place = self.bars;
        self.bars += 1;
        // While bars still come before the split, the number of those before it is larger than the place of any.
        place == before_test + self.spec.embargo as usize
    }

    /// The splits of the bars so far.
    ///
    /// # Errors
    /// As [`split()`].
    pub fn split(&self) -> Result<SplitIndices, DataError> {
        cut(&self.spec, self.before, self.until)
    }
}

const fn ranges(spec: &SplitSpec) -> [DateRange; 3] {
    [spec.train, spec.validation, spec.test]
}

/// `before`: bars before each split begins; `until`: bars up to its end.
fn cut(spec: &SplitSpec, before: [usize; 3], until: [usize; 3]) -> Result<SplitIndices, DataError> {
    let ordered = [("train", spec.train), ("validation", spec.validation), ("test", spec.test)];
    for pair in ordered.windows(2) {
        let [(earlier, before), (later, after)] = [pair[0], pair[1]];
        if after.from <= before.to {
            return Err(DataError::SplitOrder { earlier, end: before.to, later, start: after.from });
        }
    }
    let cut = |split: usize, embargo: u32| {
        let (name, range) = ordered[split];
        let first = before[split] + embargo as usize;
        let end = until[split].saturating_sub(spec.purge as usize);
        if first < end {
            Ok(first..end)
        } else {
            Err(DataError::EmptySplit { split: name, from: range.from, to: range.to })
        }
    };
    Ok(SplitIndices { train: cut(0, 0)?, validation: cut(1, spec.embargo)?, test: cut(2, spec.embargo)? })
}
