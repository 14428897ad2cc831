//! What a bundle's network sees of bars: indicators, and where it has an encoder, what that makes of each bar's window.
//!
//! One road for training, backtests, serving and live: a history gives the bits that its bars give one by one. An encoder
//! is asked late, for the bars that somebody looks at and no others, since it takes a thousand times an indicator's time.

mod encoder;
mod lens;

use std::sync::Arc;

use artifacts::Bundle;
use features::{FeatureError, FeatureState, Stream};
use market::{Bar, Timestamp};
use spec::BundleId;

use crate::{Embedding, ModelError};

pub use encoder::Encoder;
use lens::Lens;
pub use lens::{Learned, LearnedState};

/// How a network sees, as its bundle holds it.
#[derive(Clone, Debug)]
pub struct Sight {
    features: FeatureState,
    learned: Option<Learned>,
}

/// Why a bundle's network cannot see.
#[derive(Debug, thiserror::Error)]
pub enum SightError {
    /// Its features are not of this build.
    #[error("bundle {bundle}: its feature state cannot be read: use the build that wrote it, or newer")]
    Features {
        /// Which bundle.
        bundle: BundleId,
        /// Where it goes wrong.
        source: serde_json::Error,
    },
    /// How its encoder sees is not of this build.
    #[error("bundle {bundle}: its encoder.json cannot be read: use the build that wrote it, or newer")]
    State {
        /// Which bundle.
        bundle: BundleId,
        /// Where it goes wrong.
        source: serde_json::Error,
    },
    /// Its encoder is none.
    #[error("bundle {bundle}: its encoder {encoder} cannot be loaded")]
    Encoder {
        /// Which bundle.
        bundle: BundleId,
        /// Its encoder.
        encoder: BundleId,
        /// Why.
        source: Box<ModelError>,
    },
    /// Indicators and encoder are not at the same bar.
    #[error("encoder {encoder} does not belong to these features: {what} differs")]
    Apart {
        /// Which encoder.
        encoder: BundleId,
        /// What differs.
        what: &'static str,
    },
}

impl SightError {
    /// Whether the encoder is at fault; all else of the bundle may be sound.
    #[must_use]
    pub const fn is_of_encoder(&self) -> bool {
        match self {
            Self::State { .. } | Self::Encoder { .. } | Self::Apart { .. } => true,
            Self::Features { .. } => false,
        }
    }
}

/// Why nothing is seen of a bar.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The bar is refused, and all is as before.
    #[error(transparent)]
    Feature(#[from] FeatureError),
    /// The encoder breaks on its window.
    #[error(transparent)]
    Encoder(#[from] ModelError),
}

/// Indicators alone.
impl From<FeatureState> for Sight {
    fn from(features: FeatureState) -> Self {
        Self { features, learned: None }
    }
}

impl Sight {
    /// Of a bundle, with a memory of its own.
    ///
    /// # Errors
    /// [`SightError`].
    pub fn load(bundle: &Bundle) -> Result<Self, SightError> {
        Self::read(bundle, None)
    }

    /// The same, asking `embedding` and its memory where that is the bundle's encoder.
    ///
    /// # Errors
    /// [`SightError`].
    pub fn sharing(bundle: &Bundle, embedding: &Arc<Embedding>) -> Result<Self, SightError> {
        Self::read(bundle, Some(embedding))
    }

    fn read(bundle: &Bundle, known: Option<&Arc<Embedding>>) -> Result<Self, SightError> {
        let unreadable = |source| SightError::Features { bundle: bundle.id(), source };
        let features: FeatureState = serde_json::from_slice(bundle.features()).map_err(unreadable)?;
        match bundle.encoder() {
            None => Ok(features.into()),
            Some(files) => Self::with(features, Learned::read(bundle.id(), files, known)?),
        }
    }

    /// Indicators with learned features beside them, both standing at the same bar.
    ///
    /// # Errors
    /// [`SightError::Apart`].
    pub fn with(features: FeatureState, learned: Learned) -> Result<Self, SightError> {
        let its = &learned.state;
        let differs = [
            (its.window != features.window, "the window"),
            (its.features.calendar != features.calendar, "the calendar"),
            (its.features.anchor != features.anchor, "the first bar"),
            (its.features.at != features.at, "the last bar"),
            (its.normaliser.mean.len() != learned.embedding.width(), "the number of learned features"),
        ];
        match differs.into_iter().find(|(differs, _)| *differs) {
            Some((_, what)) => Err(SightError::Apart { encoder: its.version, what }),
            None => Ok(Self { features, learned: Some(learned) }),
        }
    }

    /// The indicators.
    #[must_use]
    pub const fn features(&self) -> &FeatureState {
        &self.features
    }

    /// The learned features; `None` where indicators are all that is seen.
    #[must_use]
    pub const fn learned(&self) -> Option<&Learned> {
        self.learned.as_ref()
    }

    /// Values that are seen of a bar.
    #[must_use]
    pub fn width(&self) -> usize {
        self.features.pipeline.width() + self.learned.as_ref().map_or(0, |learned| learned.embedding.width())
    }

    /// Values of a full window.
    #[must_use]
    pub fn input_width(&self) -> usize {
        self.features.window * self.width()
    }

    /// Names of the values that are seen of a bar.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let learned = self.learned.as_ref().map_or(0, |learned| learned.embedding.width());
        let names = self.features.pipeline.names().iter().cloned();
        names.chain((0..learned).map(|place| format!("learned_{place}"))).collect()
    }

    /// Bars before the first full window.
    #[must_use]
    pub fn warm_up_bars(&self) -> usize {
        let before = |features: &FeatureState| features.pipeline.warm_up_bars();
        let encoder = self.learned.as_ref().map(|learned| &learned.state.features);
        let seen = encoder.map_or(0, |features| before(features) + features.window - 1);
        before(&self.features).max(seen) + self.features.window - 1
    }

    /// Goes on after the bar that the bundle stands at.
    #[must_use]
    pub fn resume(&self) -> SightStream {
        SightStream::new(Stream::resume(self.features.clone()), self.learned.as_ref().map(Lens::resume))
    }

    /// Starts over at the training anchor, with the same fit.
    ///
    /// # Errors
    /// As [`Stream::from_anchor`].
    pub fn from_anchor(&self) -> Result<SightStream, FeatureError> {
        let lens = self.learned.as_ref().map(Lens::from_anchor).transpose()?;
        Ok(SightStream::new(Stream::from_anchor(&self.features)?, lens))
    }

    /// Starts for a history whose first bar is `first`: at the anchor, or right after the bundle's bar.
    ///
    /// # Errors
    /// As [`Stream::for_history`].
    pub fn for_history(&self, first: Timestamp) -> Result<SightStream, FeatureError> {
        // Which of the two it is, or neither, the indicators say for both.
        Stream::for_history(&self.features, first)?;
        if first == self.features.anchor { self.from_anchor() } else { Ok(self.resume()) }
    }
}

/// Sees bars as they come.
#[derive(Clone, Debug)]
pub struct SightStream {
    own: Stream,
    lens: Option<Lens>,
    /// What was looked at last, `[window × width]`.
    seen: Vec<f32>,
}

impl SightStream {
    fn new(own: Stream, lens: Option<Lens>) -> Self {
        Self { own, lens, seen: Vec::new() }
    }

    /// Takes in the next bar without looking.
    ///
    /// # Errors
    /// As [`Stream::push`]: the bar is refused and all is as before.
    pub fn advance(&mut self, bar: &Bar) -> Result<(), FeatureError> {
        // Both stand at one bar of one calendar, so that what the first takes the second takes.
        self.own.push(bar)?;
        self.lens.as_mut().map_or(Ok(()), |lens| lens.advance(bar))
    }

    /// The window that ends with the last bar, `[window × width]` row-major, oldest first; `None` while warming up.
    ///
    /// # Errors
    /// As [`Embedding::of`].
    pub fn look(&mut self) -> Result<Option<&[f32]>, ModelError> {
        let Some(own) = self.own.window() else { return Ok(None) };
        let Some(lens) = &mut self.lens else { return Ok(Some(own)) };
        let Some(learned) = lens.look()? else { return Ok(None) };
        self.seen.clear();
        for (own, learned) in own.chunks_exact(own.len() / learned.len()).zip(learned) {
            self.seen.extend_from_slice(own);
            self.seen.extend_from_slice(learned);
        }
        Ok(Some(&self.seen))
    }

    /// Takes in the next bar and looks.
    ///
    /// # Errors
    /// [`LookError`].
    pub fn push(&mut self, bar: &Bar) -> Result<Option<&[f32]>, LookError> {
        self.advance(bar)?;
        Ok(self.look()?)
    }

    /// How a network sees from here on, as a bundle holds it.
    ///
    /// # Errors
    /// As [`Embedding::of`].
    pub fn sight(&mut self) -> Result<Sight, ModelError> {
        let learned = self.lens.as_mut().map(Lens::learned).transpose()?;
        Ok(Sight { features: self.own.state(), learned })
    }
}

#[cfg(test)]
pub(crate) mod tests;
