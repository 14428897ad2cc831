//! The online side: goes on where a fitted state stands, one bar at a time, without allocating.

use market::{Bar, Calendar, Timestamp};
use serde::{Deserialize, Serialize};
use spec::FeatureSpec;

use crate::pipeline::{admit, skipped};
use crate::{FeatureError, History, Normaliser, Pipeline, Readiness};

/// All that a bundle carries of its features: what they are, how they were fitted, and where the recursion stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureState {
    /// The columns.
    pub specs: Vec<FeatureSpec>,
    /// Rows the network sees.
    pub window: usize,
    /// When bars are owed.
    #[serde(default, skip_serializing_if = "is_us_equities")]
    pub calendar: Calendar,
    /// First bar of training: a history that starts here gives the same state.
    pub anchor: Timestamp,
    /// Last bar taken in.
    pub at: Option<Timestamp>,
    /// The recursion after that bar.
    pub pipeline: Pipeline,
    /// Fitted on the training split.
    pub normaliser: Normaliser,
    /// The last `window` normalised rows at most, oldest first.
    pub recent: Vec<Vec<f32>>,
}

impl FeatureState {
    /// A fitted state of US equities that has seen no bar.
    ///
    /// # Errors
    /// As [`Pipeline::new`]; [`FeatureError::Width`] when the normaliser was fitted on other columns.
    pub fn fitted(
        specs: &[FeatureSpec],
        window: usize,
        anchor: Timestamp,
        normaliser: Normaliser,
    ) -> Result<Self, FeatureError> {
        let pipeline = Pipeline::new(specs)?;
        let (fitted, row) = (normaliser.mean.len(), pipeline.width());
        if fitted != row || normaliser.std.len() != row {
            return Err(FeatureError::Width { normaliser: fitted, row });
        }
        let (specs, calendar, at, recent) = (specs.to_vec(), Calendar::Xnys, None, Vec::new());
        Ok(Self { specs, window, calendar, anchor, at, pipeline, normaliser, recent })
    }

    /// The same on another calendar.
    #[must_use]
    pub fn on(self, calendar: Calendar) -> Self {
        Self { calendar, ..self }
    }

    /// The same after all bars of a history, whose last rows are `recent`: as a [`Stream`] would stand there.
    #[must_use]
    pub fn after(self, history: &History, recent: Vec<Vec<f32>>) -> Self {
        Self { at: history.last, pipeline: history.pipeline.clone(), recent, ..self }
    }

    /// Values of a full window.
    #[must_use]
    pub fn input_width(&self) -> usize {
        self.window * self.pipeline.width()
    }
}

/// The default is left out where a state is written, so that digests from before the choice stay valid.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_us_equities(calendar: &Calendar) -> bool {
    *calendar == Calendar::Xnys
}

/// Feeds bars to a fitted state.
#[derive(Clone, Debug)]
pub struct Stream {
    state: FeatureState,
    raw: Vec<f64>,
    /// Rows in `window`, up to `state.window`.
    rows: usize,
    /// `[window, width]`, oldest first.
    window: Vec<f32>,
}

impl Stream {
    /// Goes on after `state.at`.
    #[must_use]
    pub fn resume(mut state: FeatureState) -> Self {
        let width = state.pipeline.width();
        let mut window = vec![0.0; state.window * width];
        let recent = std::mem::take(&mut state.recent);
        let kept = recent.len().min(state.window);
        for (slot, row) in window.chunks_exact_mut(width).zip(&recent[recent.len() - kept..]) {
            slot.copy_from_slice(row);
        }
        Self { raw: vec![0.0; width], rows: kept, window, state }
    }

    /// Starts over at the training anchor, with the same fit.
    ///
    /// # Errors
    /// As [`Pipeline::new`], for a state that was not made by this crate.
    pub fn from_anchor(state: &FeatureState) -> Result<Self, FeatureError> {
        let fresh = FeatureState::fitted(&state.specs, state.window, state.anchor, state.normaliser.clone())?;
        Ok(Self::resume(fresh.on(state.calendar)))
    }

    /// Chooses where to start for a history whose first bar is `first`: at the anchor, or after the state's bar
    /// with no session skipped.
    ///
    /// # Errors
    /// [`FeatureError::HistoryTooShort`] when it is neither.
    pub fn for_history(state: &FeatureState, first: Timestamp) -> Result<Self, FeatureError> {
        match state.at {
            _ if first == state.anchor => Self::from_anchor(state),
            Some(at) if first > at && skipped(state.calendar, at, first).is_none() => Ok(Self::resume(state.clone())),
            at => {
                Err(FeatureError::HistoryTooShort { first, anchor: state.anchor, resume: at.unwrap_or(state.anchor) })
            }
        }
    }

    /// Takes in the next bar. Returns the window that ends with it, `[window, width]` row-major, oldest first; `None`
    /// while warming up.
    ///
    /// # Errors
    /// [`FeatureError::Defect`], [`FeatureError::Extreme`], [`FeatureError::OutOfOrder`], [`FeatureError::Gap`]: the bar is
    /// refused and the state is as before.
    pub fn push(&mut self, bar: &Bar) -> Result<Option<&[f32]>, FeatureError> {
        admit(self.state.calendar, bar, self.state.at)?;
        self.state.at = Some(bar.time);
        if self.state.pipeline.push(bar, &mut self.raw) == Readiness::WarmingUp {
            return Ok(None);
        }
        let width = self.raw.len();
        if self.rows == self.state.window {
            self.window.copy_within(width.., 0);
        } else {
            self.rows += 1;
        }
        let newest = (self.rows - 1) * width;
        self.state.normaliser.apply(&self.raw, &mut self.window[newest..newest + width]);
        Ok(self.window())
    }

    /// The window that ends with the last bar, as [`Stream::push`] gave it.
    #[must_use]
    pub fn window(&self) -> Option<&[f32]> {
        (self.rows == self.state.window).then_some(&self.window[..])
    }

    /// The state after the last bar, as data.
    #[must_use]
    pub fn state(&self) -> FeatureState {
        let width = self.raw.len();
        let recent = self.window.chunks_exact(width).take(self.rows).map(<[f32]>::to_vec).collect();
        FeatureState { recent, ..self.state.clone() }
    }
}
