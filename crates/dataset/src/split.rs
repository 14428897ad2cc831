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
    let ordered = [("train", spec.train), ("validation", spec.validation), ("test", spec.test)];
    for pair in ordered.windows(2) {
        let [(earlier, before), (later, after)] = [pair[0], pair[1]];
        if after.from <= before.to {
            return Err(DataError::SplitOrder { earlier, end: before.to, later, start: after.from });
        }
    }
    let cut = |name: &'static str, range: DateRange, embargo: u32| {
        let first = position(bars, range.from) + embargo as usize;
        let end = position_after(bars, range.to).saturating_sub(spec.purge as usize);
        if first < end {
            Ok(first..end)
        } else {
            Err(DataError::EmptySplit { split: name, from: range.from, to: range.to })
        }
    };
    Ok(SplitIndices {
        train: cut("train", spec.train, 0)?,
        validation: cut("validation", spec.validation, spec.embargo)?,
        test: cut("test", spec.test, spec.embargo)?,
    })
}

fn position(bars: &[Bar], from: Timestamp) -> usize {
    bars.partition_point(|bar| bar.time < from)
}

fn position_after(bars: &[Bar], to: Timestamp) -> usize {
    bars.partition_point(|bar| bar.time <= to)
}
