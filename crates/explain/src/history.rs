//! The windows that a network has seen up to a bar: the one that is explained, and those before it to hold it against.

use features::{FeatureState, Stream};
use market::{Bar, Timestamp};

use crate::ExplainError;

/// Windows kept: enough to tell the range of a network's answers, few enough to ask again and again.
const WINDOWS_MAX: usize = 256;

/// A window and those before it, `[window × width]` each, oldest bar first.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// Names of the features.
    pub features: Vec<String>,
    /// Times of the bars of the last window.
    pub bars: Vec<Timestamp>,
    /// `[windows × window × width]`, at most 256 windows; the last is the one that is explained.
    pub rows: Vec<f32>,
}

impl History {
    /// The windows of `bars` up to the one that ends with the bar `at`, or with the last.
    ///
    /// # Errors
    /// [`ExplainError::Anchor`], [`ExplainError::NoBar`], [`ExplainError::Short`] and [`ExplainError::NotFinite`] where
    /// there is no such row; [`ExplainError::Feature`] as [`Stream::push`].
    pub fn until(state: &FeatureState, bars: &[Bar], at: Option<Timestamp>) -> Result<Self, ExplainError> {
        let bars = &bars[bars.partition_point(|bar| bar.time < state.anchor)..];
        let anchored = bars.first().filter(|bar| bar.time == state.anchor);
        let Some((first, last)) = anchored.zip(bars.last()).map(|(first, last)| (first.time, last.time)) else {
            return Err(ExplainError::Anchor { anchor: state.anchor });
        };
        let at = at.unwrap_or(last);
        let end =
            bars.binary_search_by(|bar| bar.time.cmp(&at)).map_err(|_| ExplainError::NoBar { at, first, last })?;
        let mut stream = Stream::from_anchor(state)?;
        let mut rows = Vec::new();
        for (index, bar) in bars[..=end].iter().enumerate() {
            let Some(window) = stream.push(bar)? else { continue };
            if index + WINDOWS_MAX > end {
                rows.extend_from_slice(window);
            }
        }
        if rows.is_empty() {
            let needed = state.pipeline.warm_up_bars() + state.window;
            return Err(ExplainError::Short { at, bars: end + 1, needed });
        }
        let from = (end + 1).saturating_sub(state.window);
        let bars: Vec<Timestamp> = bars[from..=end].iter().map(|bar| bar.time).collect();
        Self { features: state.pipeline.names().to_vec(), bars, rows }.finite()
    }

    /// This history, where each value of it is a number.
    ///
    /// # Errors
    /// [`ExplainError::NotFinite`] naming the feature and the bar, as far as the last window goes back.
    pub fn finite(self) -> Result<Self, ExplainError> {
        match self.row().iter().position(|value| !value.is_finite()) {
            Some(at) => {
                let (bar, feature) = (at / self.features.len(), at % self.features.len());
                Err(ExplainError::NotFinite { feature: self.features[feature].clone(), bar: self.bars[bar] })
            }
            None => Ok(self),
        }
    }

    /// Bars of a window.
    #[must_use]
    pub fn window(&self) -> usize {
        self.bars.len()
    }

    /// Values of a row.
    #[must_use]
    pub fn input_width(&self) -> usize {
        self.bars.len() * self.features.len()
    }

    /// The row that is explained.
    #[must_use]
    pub fn row(&self) -> &[f32] {
        &self.rows[self.rows.len() - self.input_width()..]
    }

    /// The places of features by name; of all where none is named.
    ///
    /// # Errors
    /// [`ExplainError::Unknown`] for the first name that is no feature's.
    pub fn places(&self, names: &[String]) -> Result<Vec<usize>, ExplainError> {
        if names.is_empty() {
            return Ok((0..self.features.len()).collect());
        }
        let place = |name: &String| {
            let unknown = || ExplainError::Unknown { name: name.clone(), known: self.features.clone() };
            self.features.iter().position(|feature| feature == name).ok_or_else(unknown)
        };
        let mut places = names.iter().map(place).collect::<Result<Vec<usize>, _>>()?;
        places.sort_unstable();
        places.dedup();
        Ok(places)
    }
}

#[cfg(test)]
mod tests;
