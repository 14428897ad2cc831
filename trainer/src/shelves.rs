//! What a forecaster learns from where that is too large for memory: bars are read once, part by part, and what is made of them
//! lies on disk.
//!
//! All is computed by the steps that [`crate::prepare()`] takes, in the same order, so that a training ends in the same bytes.

use std::ops::Range;
use std::path::Path;

use dataset::{Part, Series, SplitIndices, Splitter};
use features::FeatureState;
use market::Bar;
use spec::{Digest, SupervisedSpec, TaskSpec, TrialSpec};

use crate::labels::{Label, enough};
use crate::prepare::labelled;
use crate::shelf::{Raw, Room, Shelf, Split, Stop, Unfinished};
use crate::{TrainError, companions};

/// What a training may hold of its bars in memory: above, they are shelved.
pub const WHOLE_BYTES_MAX: u64 = 1 << 30;

/// What a training would hold in memory of so many bars, of all its symbols, while it is prepared: the bars twice, their features
/// as they are and normalised, and labels.
#[must_use]
pub fn whole_bytes(spec: &TrialSpec, bars: u64) -> u64 {
    let feature = size_of::<f64>() + size_of::<f32>();
    let row = 2 * size_of::<Bar>() + spec.features.len() * feature + size_of::<Label>();
    bars.saturating_mul(row as u64)
}

/// Whether what a trial learns from can be shelved. Agents see bars through an environment, and folds take another fit each:
/// they hold their symbol in memory.
#[must_use]
pub fn can_be_shelved(spec: &TrialSpec) -> bool {
    match &spec.task {
        TaskSpec::Supervised(task) => task.cross_validation.is_none() && spec.encoder.is_none(),
        TaskSpec::Rl(_) => false,
    }
}

/// Rows and labels of all symbols of a trial, on disk. They are gone with it.
#[derive(Debug)]
pub struct Shelves {
    /// Decision bars of each split of the traded symbol.
    pub split: SplitIndices,
    /// Fitted on the training split, standing at the last bar before the test split.
    pub feature_state: FeatureState,
    pub(crate) traded: Shelf,
    /// In the spec's order.
    pub(crate) companions: Vec<Shelf>,
}

/// Prepares what a trial learns from, the traded symbol first among `series`, into files without a name on the file system of
/// a folder. Memory does not grow with the bars but for 8 bytes a training row of one symbol at a time. `None` where `stop`
/// said true, which is asked before each part of the bars, and between blocks of what is made of them.
///
/// # Errors
/// [`TrainError::Unshelvable`] for a trial that [`can_be_shelved`] says no of; [`TrainError::Scratch`] when the disk is full or
/// fails; otherwise as [`crate::prepare_among`].
pub fn shelve(
    spec: &TrialSpec,
    series: &[Series],
    (folder, stop): (&Path, &dyn Fn() -> bool),
) -> Result<Option<Shelves>, TrainError> {
    let task = match &spec.task {
        TaskSpec::Supervised(task) if can_be_shelved(spec) => task,
        TaskSpec::Supervised(_) | TaskSpec::Rl(_) => return Err(TrainError::Unshelvable),
    };
    let wanted = spec.companion_digests.len();
    let Some((own, beside)) = series.split_first().filter(|(_, beside)| beside.len() == wanted) else {
        return Err(TrainError::Companions { wanted, given: series.len().saturating_sub(1) });
    };
    let mut companions = Vec::with_capacity(wanted);
    for (series, digest) in beside.iter().zip(&spec.companion_digests) {
        let shelf = companion((spec, task), (series, *digest), (folder, stop));
        match shelf.map_err(|source| source.of_companion(series.symbol()))? {
            Some(shelf) => companions.push(shelf),
            None => return Ok(None),
        }
    }
    let traded = traded((spec, task), own, (folder, stop))?;
    Ok(traded.map(|(traded, split, feature_state)| Shelves { split, feature_state, traded, companions }))
}

impl Shelves {
    /// Return, in units of the training labels, and direction of each validation row.
    ///
    /// # Errors
    /// [`TrainError::Scratch`] when the disk fails.
    pub fn validation_outcomes(&self) -> Result<Vec<(f64, u8)>, TrainError> {
        let labels = self.traded.labels(Split::Validation)?;
        Ok(labels.iter().map(|label| (f64::from(label.standardised_return), label.class)).collect())
    }
}

fn traded(
    (spec, task): (&TrialSpec, &SupervisedSpec),
    series: &Series,
    (folder, stop): Room<'_>,
) -> Result<Option<(Shelf, SplitIndices, FeatureState)>, TrainError> {
    let mut raw = Raw::new(series.calendar(), &spec.features, folder)?;
    let (mut splitter, mut anchor, mut standing) = (Splitter::new(&spec.data.split), None, None);
    let actual = each_part(series, stop, |bars| {
        anchor = anchor.or(bars.first().map(|bar| bar.time));
        let mut test = None;
        for (place, bar) in bars.iter().enumerate() {
            if splitter.push(bar.time) {
                test = Some(place);
            }
        }
        let (before, behind) = bars.split_at(test.unwrap_or(bars.len()));
        raw.push(before)?;
        if test.is_some() {
            standing = Some(raw.history().clone());
        }
        raw.push(behind)
    })?;
    let Some(actual) = actual else { return Ok(None) };
    is_that(spec.data_digest, actual)?;
    let split = splitter.split()?;
    enough("train", split.train.start.max(raw.first())..split.train.end)?;
    let Some(normaliser) = unless_stopped(raw.fit(&split.train, stop))? else { return Ok(None) };
    let (window, horizon) = (task.window as usize, task.horizon as usize);
    let (bars, ready) = ((raw.bars(), spec.data.split.purge as usize), (raw.first() + window - 1, horizon));
    let decided = |name: &'static str, split: &Range<usize>| enough(name, labelled(split, bars, ready));
    let splits = (decided("train", &split.train)?, decided("validation", &split.validation)?);
    let shelf = unless_stopped(raw.shelve(&normaliser, (task, (folder, stop)), splits))?;
    let Some(shelf) = shelf else { return Ok(None) };
    let recent = shelf.rows(split.test.start.saturating_sub(window)..split.test.start)?;
    let anchor = anchor.expect("splits that hold bars have a first one");
    let standing = standing.expect("a test split that holds bars was entered");
    let state = FeatureState::fitted(&spec.features, window, anchor, normaliser)?.on(series.calendar());
    Ok(Some((shelf, split, state.after(&standing, recent))))
}

fn companion(
    (spec, task): (&TrialSpec, &SupervisedSpec),
    (series, expected): (&Series, Digest),
    (folder, stop): Room<'_>,
) -> Result<Option<Shelf>, TrainError> {
    let train = spec.data.split.train;
    let mut raw = Raw::new(series.calendar(), &spec.features, folder)?;
    let (mut from, mut is_over) = (0, false);
    let actual = each_part(series, stop, |bars| {
        // What lies behind the split is read for the digest alone.
        let end = if is_over { 0 } else { bars.partition_point(|bar| bar.time <= train.to) };
        is_over = end < bars.len();
        from += bars[..end].partition_point(|bar| bar.time < train.from);
        raw.push(&bars[..end])
    })?;
    let Some(actual) = actual else { return Ok(None) };
    is_that(expected, actual)?;
    let fitted = from.max(raw.first())..raw.bars();
    enough("train", fitted.clone())?;
    let Some(normaliser) = unless_stopped(raw.fit(&fitted, stop))? else { return Ok(None) };
    let ready = raw.first() + task.window as usize - 1;
    let decided = companions::decided(from.max(ready), raw.bars(), task)?;
    unless_stopped(raw.shelve(&normaliser, (task, (folder, stop)), (decided, 0..0)))
}

/// `None` where it was asked to stop.
fn unless_stopped<T>(made: Result<T, Unfinished>) -> Result<Option<T>, TrainError> {
    match made {
        Ok(made) => Ok(Some(made)),
        Err(Unfinished::Stopped) => Ok(None),
        Err(Unfinished::Failed(error)) => Err(error.into()),
    }
}

fn is_that(expected: Digest, actual: Digest) -> Result<(), TrainError> {
    if expected == actual { Ok(()) } else { Err(TrainError::OtherData { expected, actual }) }
}

/// Calls `act` with the bars of a series, part by part. Returns the digest of all of them; `None` where `stop` said true.
fn each_part(
    series: &Series,
    stop: Stop<'_>,
    mut act: impl FnMut(&[Bar]) -> Result<(), TrainError>,
) -> Result<Option<Digest>, TrainError> {
    let mut reader = series.read()?;
    while !stop() {
        match reader.part()? {
            Part::Bars(bars) => act(&bars)?,
            Part::End(digest) => return Ok(Some(digest)),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
