//! Rows and labels of one symbol on disk, and the way there: raw rows as bars come, normalised rows and labels once all came.
//!
//! Memory does not grow with the bars but for a column of the rows that are fitted on, 8 bytes each, while it is fitted. Knows
//! neither trials nor how bars are read.

use std::ops::Range;
use std::path::Path;

use dataset::outcome::bars_before;
use features::{History, Normaliser};
use market::{Bar, Calendar};
use models::{CLASSES, Scales};
use spec::{FeatureSpec, SupervisedSpec};

use crate::TrainError;
use crate::labels::{Label, Outcomes, units};
use crate::scratch::{Number as _, Scratch, ScratchError};

/// Bars whose outcomes are read at a time.
const STRETCH: usize = 16_384;

/// Numbers of a label at rest: return, variance, direction.
const LABEL: usize = 3;

/// The folder on whose file system files are made, and who says whether to stop.
pub(crate) type Room<'a> = (&'a Path, Stop<'a>);

/// Says whether to stop: asked between blocks, and between stretches of bars.
pub(crate) type Stop<'a> = &'a dyn Fn() -> bool;

/// Why a symbol does not come onto its shelf.
#[derive(Debug)]
pub(crate) enum Unfinished {
    /// It was asked to stop.
    Stopped,
    /// The disk fails.
    Failed(ScratchError),
}

impl From<ScratchError> for Unfinished {
    fn from(error: ScratchError) -> Self {
        Self::Failed(error)
    }
}

/// What labelled bars are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Split {
    /// To learn from.
    Train,
    /// To compare by.
    Validation,
}

/// Raw rows and closes of a symbol, set aside as its bars come.
#[derive(Debug)]
pub(crate) struct Raw {
    history: History,
    rows: Scratch,
    blocks: Vec<Block>,
    closes: Scratch,
    bars: usize,
    complete: usize,
    bytes: Vec<u8>,
}

/// Rows that came together. They lie column by column, since columns are fitted one after the other.
#[derive(Clone, Copy, Debug)]
struct Block {
    /// Byte of the first value.
    at: u64,
    /// Rows before.
    first: usize,
    rows: usize,
}

impl Raw {
    /// Before the first bar.
    pub(crate) fn new(calendar: Calendar, specs: &[FeatureSpec], folder: &Path) -> Result<Self, TrainError> {
        Ok(Self {
            history: History::new(calendar, specs)?,
            rows: Scratch::new(folder)?,
            blocks: Vec::new(),
            closes: Scratch::new(folder)?,
            bars: 0,
            complete: 0,
            bytes: Vec::new(),
        })
    }

    /// Takes in the next bars.
    pub(crate) fn push(&mut self, bars: &[Bar]) -> Result<(), TrainError> {
        let (mut rows, width) = (Vec::new(), self.history.width());
        self.history.push(bars, &mut rows)?;
        let closes: Vec<f64> = bars.iter().map(|bar| bar.close).collect();
        self.closes.append(&closes, &mut self.bytes)?;
        self.bars += bars.len();
        let count = rows.len() / width;
        if count > 0 {
            let columns: Vec<f64> =
                (0..width).flat_map(|column| rows.iter().skip(column).step_by(width).copied()).collect();
            self.blocks.push(Block { at: self.rows.end(), first: self.complete, rows: count });
            self.rows.append(&columns, &mut self.bytes)?;
            self.complete += count;
        }
        Ok(())
    }

    /// Where the features stand after the bars so far.
    pub(crate) const fn history(&self) -> &History {
        &self.history
    }

    /// Bars so far.
    pub(crate) const fn bars(&self) -> usize {
        self.bars
    }

    /// The bar of the first complete row; the number of bars when none is.
    pub(crate) const fn first(&self) -> usize {
        self.bars - self.complete
    }

    /// Fits on those of these bars that have a row.
    pub(crate) fn fit(&mut self, bars: &Range<usize>, stop: Stop<'_>) -> Result<Normaliser, Unfinished> {
        Normaliser::fit_columns(self.history.width(), |column| self.column(column, bars, stop))
    }

    fn column(&mut self, column: usize, bars: &Range<usize>, stop: Stop<'_>) -> Result<Vec<f64>, Unfinished> {
        let first = self.first();
        let wanted = bars.start.saturating_sub(first)..bars.end.saturating_sub(first);
        let mut values: Vec<f64> = Vec::with_capacity(wanted.len());
        for block in &self.blocks {
            goes_on(block.first, stop)?;
            let from = wanted.start.max(block.first);
            let to = wanted.end.min(block.first + block.rows);
            if from < to {
                let held = values.len();
                values.resize(held + (to - from), 0.0);
                let place = column * block.rows + (from - block.first);
                self.rows.read(block.at + (place * f64::BYTES) as u64, &mut values[held..], &mut self.bytes)?;
            }
        }
        Ok(values)
    }

    /// Normalises all rows and labels the bars of both splits, in the units of those of the first.
    pub(crate) fn shelve(
        mut self,
        normaliser: &Normaliser,
        (task, (folder, stop)): (&SupervisedSpec, Room<'_>),
        (train, validation): (Range<usize>, Range<usize>),
    ) -> Result<Shelf, Unfinished> {
        let mut numbers = Scratch::new(folder)?;
        self.normalise(normaliser, &mut numbers, stop)?;
        let scales = units(|act| {
            self.stretches((task, stop), &train, &mut |outcomes, bars| {
                bars.for_each(|bar| act(outcomes.of(bar)));
                Ok(())
            })
        })?;
        let (labels, mut directions, mut bytes) = (numbers.end(), [0; CLASSES], Vec::new());
        for (split, labelled) in [(Split::Train, &train), (Split::Validation, &validation)] {
            self.stretches((task, stop), labelled, &mut |outcomes, bars| {
                let mut all = Vec::with_capacity(LABEL * bars.len());
                for bar in bars {
                    let label = outcomes.label(bar, scales);
                    if split == Split::Train {
                        directions[usize::from(label.class)] += 1;
                    }
                    all.extend([label.standardised_return, label.variance, f32::from(label.class)]);
                }
                numbers.append(&all, &mut bytes)
            })?;
        }
        let (first, width, window) = (self.first(), self.history.width(), task.window as usize);
        numbers.settle()?;
        Ok(Shelf { numbers, first, width, window, train, validation, labels, scales, directions })
    }

    fn normalise(&mut self, normaliser: &Normaliser, into: &mut Scratch, stop: Stop<'_>) -> Result<(), Unfinished> {
        let width = self.history.width();
        let mut raw = vec![0.0; width];
        for block in &self.blocks {
            goes_on(block.first, stop)?;
            let mut columns = vec![0.0_f64; block.rows * width];
            self.rows.read(block.at, &mut columns, &mut self.bytes)?;
            let mut rows = vec![0.0_f32; block.rows * width];
            for (place, row) in rows.chunks_exact_mut(width).enumerate() {
                let values = columns.iter().skip(place).step_by(block.rows);
                raw.iter_mut().zip(values).for_each(|(raw, value)| *raw = *value);
                normaliser.apply(&raw, row);
            }
            into.append(&rows, &mut self.bytes)?;
        }
        Ok(())
    }

    /// Calls `act` with stretches of these bars, in order, and with what their outcomes are read from.
    fn stretches(
        &mut self,
        (task, stop): (&SupervisedSpec, Stop<'_>),
        bars: &Range<usize>,
        act: &mut Act<'_>,
    ) -> Result<(), Unfinished> {
        for start in bars.clone().step_by(STRETCH) {
            goes_on(start - bars.start, stop)?;
            let end = (start + STRETCH).min(bars.end);
            let first = start.saturating_sub(bars_before(task));
            let mut closes = vec![0.0_f64; end + task.horizon as usize - first];
            self.closes.read((first * f64::BYTES) as u64, &mut closes, &mut self.bytes)?;
            act(&Outcomes::new(closes, first, task), start..end)?;
        }
        Ok(())
    }
}

/// Asks whether to stop, but not before anything is `done`: few bars are soon done with.
fn goes_on(done: usize, stop: Stop<'_>) -> Result<(), Unfinished> {
    if done > 0 && stop() { Err(Unfinished::Stopped) } else { Ok(()) }
}

/// What is done with a stretch of bars and their outcomes.
type Act<'a> = dyn FnMut(&Outcomes<'_>, Range<usize>) -> Result<(), ScratchError> + 'a;

/// Normalised rows and labels of one symbol.
#[derive(Debug)]
pub(crate) struct Shelf {
    /// `[rows × width]`, then `[labels × LABEL]`, those of the training split first.
    numbers: Scratch,
    /// The bar of the first row.
    first: usize,
    width: usize,
    window: usize,
    train: Range<usize>,
    validation: Range<usize>,
    /// Byte of the first label.
    labels: u64,
    scales: Scales,
    directions: [usize; CLASSES],
}

impl Shelf {
    /// Rows in a window, and values in a row.
    pub(crate) const fn shape(&self) -> (usize, usize) {
        (self.window, self.width)
    }

    /// In which its labels are.
    pub(crate) const fn scales(&self) -> Scales {
        self.scales
    }

    /// Training rows of each direction.
    pub(crate) const fn directions(&self) -> [usize; CLASSES] {
        self.directions
    }

    /// Labelled bars.
    pub(crate) const fn bars(&self, split: Split) -> &Range<usize> {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
        }
    }

    /// The window of a labelled bar, `[window × width]`, oldest first, and its label. `bytes` is a buffer.
    pub(crate) fn read(
        &self,
        (split, row): (Split, usize),
        window: &mut [f32],
        bytes: &mut Vec<u8>,
    ) -> Result<Label, ScratchError> {
        let bar = self.bars(split).start + row;
        self.numbers.read(self.at(bar + 1 - self.window), window, bytes)?;
        let mut label = [0.0; LABEL];
        self.numbers.read(self.label_at(split, row), &mut label, bytes)?;
        Ok(labelled(bar, label))
    }

    /// Says that the window of a labelled bar will be read soon.
    pub(crate) fn announce(&self, split: Split, row: usize) {
        let oldest = self.bars(split).start + row + 1 - self.window;
        self.numbers.announce(self.at(oldest), self.window * self.width * f32::BYTES);
    }

    /// All labels of a split.
    pub(crate) fn labels(&self, split: Split) -> Result<Vec<Label>, ScratchError> {
        let mut numbers = vec![0.0_f32; LABEL * self.bars(split).len()];
        self.numbers.read(self.label_at(split, 0), &mut numbers, &mut Vec::new())?;
        let (labels, _) = numbers.as_chunks::<LABEL>();
        Ok(self.bars(split).clone().zip(labels).map(|(bar, label)| labelled(bar, *label)).collect())
    }

    /// The rows of those of these bars that have one.
    pub(crate) fn rows(&self, bars: Range<usize>) -> Result<Vec<Vec<f32>>, ScratchError> {
        let (from, mut bytes) = (bars.start.max(self.first), Vec::new());
        let mut rows = vec![vec![0.0; self.width]; bars.end.saturating_sub(from)];
        for (bar, row) in (from..).zip(&mut rows) {
            self.numbers.read(self.at(bar), row, &mut bytes)?;
        }
        Ok(rows)
    }

    /// Where a bar's row begins.
    const fn at(&self, bar: usize) -> u64 {
        ((bar - self.first) * self.width * size_of::<f32>()) as u64
    }

    /// Where a label begins.
    const fn label_at(&self, split: Split, row: usize) -> u64 {
        let place = match split {
            Split::Train => row,
            Split::Validation => self.train.end - self.train.start + row,
        };
        self.labels + (place * LABEL * size_of::<f32>()) as u64
    }
}

fn labelled(bar: usize, [standardised_return, variance, class]: [f32; LABEL]) -> Label {
    // Written from a direction, 0 to 2.
    Label { bar, standardised_return, class: class as u8, variance }
}
