//! One series of several files: joined by time, held against one another where they overlap.

use market::{Bar, Symbol};

use super::spool::{Spool, SpooledRows};
use crate::DataError;

/// Relative difference below which two prices of one time are the same.
const SAME: f64 = 1e-9;

/// Relative spread of the ratios of prices below which they are one factor, and not chance.
const FACTOR: f64 = 1e-3;

/// A symbol's rows from all files. One file passes as it is, several must each be in order of time.
pub(crate) struct Merged<'a> {
    symbol: &'a Symbol,
    files: Vec<Head<'a>>,
    overlap: Overlap,
}

struct Head<'a> {
    rows: SpooledRows<'a>,
    bar: Option<Bar>,
}

/// What two files said of the same time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Overlap {
    /// Rows that were there twice and equal; each was taken once.
    pub(crate) equal: u64,
    /// The first that differed, and in what way all that differed did.
    differing: Option<(Bar, Bar, Difference)>,
}

/// How bars of one time differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Difference {
    /// All prices by one factor: another adjustment.
    Factor,
    /// In any other way.
    Values,
}

impl<'a> Merged<'a> {
    pub(crate) fn new(spool: &'a Spool, symbol: (usize, &'a Symbol), files: u16) -> Result<Self, DataError> {
        let head = |file| {
            let mut rows = spool.rows(symbol.0, file);
            let bar = rows.next()?;
            Ok(Head { rows, bar })
        };
        let files = (0..files).map(head).collect::<Result<_, DataError>>()?;
        Ok(Self { symbol: symbol.1, files, overlap: Overlap::default() })
    }

    /// The next row; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Bar>, DataError> {
        if let [only] = self.files.as_mut_slice() {
            let bar = only.bar.take();
            only.bar = only.rows.next()?;
            return Ok(bar);
        }
        let Some(time) = self.files.iter().filter_map(|head| head.bar).map(|bar| bar.time).min() else {
            return Ok(None);
        };
        let mut taken: Option<Bar> = None;
        for head in &mut self.files {
            // Rows of one file with one time stay what they are: a finding of the check.
            let Some(bar) = head.bar.filter(|bar| bar.time == time) else { continue };
            match &taken {
                None => taken = Some(bar),
                Some(first) => self.overlap.compare(first, &bar),
            }
            head.bar = head.rows.next()?;
            if let Some(next) = head.bar.filter(|next| next.time < time) {
                return Err(DataError::MergeOrder { symbol: self.symbol.clone(), time: next.time, after: time });
            }
        }
        Ok(taken)
    }

    /// What the files said of the same times.
    ///
    /// # Errors
    /// [`DataError::OverlapAdjusted`] when they differ by one factor, [`DataError::OverlapDiffers`] otherwise.
    pub(crate) fn verdict(&self) -> Result<u64, DataError> {
        let Some((first, other, difference)) = self.overlap.differing else { return Ok(self.overlap.equal) };
        let (symbol, time) = (self.symbol.clone(), first.time);
        Err(match difference {
            Difference::Factor => DataError::OverlapAdjusted { symbol, time, factor: other.close / first.close },
            Difference::Values => DataError::OverlapDiffers { symbol, time, first: first.close, other: other.close },
        })
    }
}

impl Overlap {
    fn compare(&mut self, first: &Bar, other: &Bar) {
        let near = |a: f64, b: f64| a.to_bits() == b.to_bits() || (a - b).abs() <= SAME * b.abs();
        let pairs =
            [(first.open, other.open), (first.high, other.high), (first.low, other.low), (first.close, other.close)];
        if pairs.iter().all(|(a, b)| near(*a, *b)) && near(first.volume, other.volume) {
            self.equal += 1;
            return;
        }
        let difference = if is_scaled(first, other) { Difference::Factor } else { Difference::Values };
        let (bar, with, before) = self.differing.unwrap_or((*first, *other, difference));
        let difference = if before == Difference::Factor { difference } else { before };
        self.differing = Some((bar, with, difference));
    }
}

/// All prices of one bar are the other's by one factor that is not 1.
fn is_scaled(first: &Bar, other: &Bar) -> bool {
    let factor = other.close / first.close;
    (factor - 1.0).abs() > SAME
        && [(first.open, other.open), (first.high, other.high), (first.low, other.low)]
            .iter()
            .all(|(a, b)| (b / a / factor - 1.0).abs() < FACTOR)
}
