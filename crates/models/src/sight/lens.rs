//! Learned features of bars as they come: the encoder's windows, and what it made of the last of them.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::Arc;

use features::{FeatureError, FeatureState, Normaliser, Stream};
use market::Bar;
use serde::{Deserialize, Serialize};
use spec::BundleId;

use super::SightError;
use crate::{Embedding, ModelError, NetworkSpec, Predictor};

/// What a bundle holds of its encoder beside the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnedState {
    /// The bundle that the encoder is from.
    pub version: BundleId,
    /// Its network's shape.
    pub network: NetworkSpec,
    /// Rows whose features are remembered at most.
    pub memory_rows: NonZeroUsize,
    /// What the encoder itself sees, standing at the bar that the bundle stands at.
    pub features: FeatureState,
    /// Of the learned features, fitted on the training split of whoever sees through the encoder.
    pub normaliser: Normaliser,
    /// Bars that the network looks at.
    pub window: usize,
    /// Normalised learned features of the last `window` bars at most, oldest first.
    pub recent: Vec<Vec<f32>>,
}

/// An encoder with the fit of its features, ready to be asked.
#[derive(Clone, Debug)]
pub struct Learned {
    pub(super) state: LearnedState,
    pub(super) embedding: Arc<Embedding>,
}

impl Learned {
    /// From the files of a bundle; `known` is asked in place of an encoder of its own where both are the same.
    pub(super) fn read(
        bundle: BundleId,
        (state, weights): (&[u8], &[u8]),
        known: Option<&Arc<Embedding>>,
    ) -> Result<Self, SightError> {
        let state: LearnedState =
            serde_json::from_slice(state).map_err(|source| SightError::State { bundle, source })?;
        let width = state.normaliser.mean.len();
        let whole = state.normaliser.std.len() == width && state.recent.iter().all(|row| row.len() == width);
        if !whole || state.window == 0 || state.recent.len() > state.window {
            return Err(SightError::Apart { encoder: state.version, what: "the shape of what it remembers" });
        }
        if let Some(known) = known.filter(|known| known.version() == state.version) {
            return Ok(Self { state, embedding: Arc::clone(known) });
        }
        let encoder = state.version;
        let failed = |source| SightError::Encoder { bundle, encoder, source: Box::new(source) };
        let predictor = Predictor::from_parts(&state.network, weights, encoder).map_err(failed)?;
        let embedding = Embedding::new(predictor, state.memory_rows).map_err(failed)?;
        if embedding.input_width() != state.features.input_width() {
            return Err(SightError::Apart { encoder, what: "the width of the encoder's window" });
        }
        Ok(Self { state, embedding: Arc::new(embedding) })
    }

    /// What a bundle is to hold.
    #[must_use]
    pub const fn state(&self) -> &LearnedState {
        &self.state
    }

    /// Who is asked.
    #[must_use]
    pub const fn embedding(&self) -> &Arc<Embedding> {
        &self.embedding
    }
}

/// A bar as far as it was looked at.
#[derive(Clone, Debug)]
enum Seen {
    /// What the encoder would see, `[window × features]`: nobody has asked yet.
    Window(Vec<f32>),
    /// What it made of that, normalised.
    Row(Vec<f32>),
}

impl Seen {
    fn values(&self) -> &[f32] {
        match self {
            Self::Window(values) | Self::Row(values) => values,
        }
    }
}

/// The learned side of a [`super::SightStream`].
#[derive(Clone, Debug)]
pub(super) struct Lens {
    learned: Learned,
    stream: Stream,
    /// The last bars, as many as the network looks at, oldest first.
    recent: VecDeque<Seen>,
}

impl Lens {
    pub(super) fn resume(learned: &Learned) -> Self {
        let recent = learned.state.recent.iter().cloned().map(Seen::Row).collect();
        Self { learned: learned.clone(), stream: Stream::resume(learned.state.features.clone()), recent }
    }

    pub(super) fn from_anchor(learned: &Learned) -> Result<Self, FeatureError> {
        let stream = Stream::from_anchor(&learned.state.features)?;
        Ok(Self { learned: learned.clone(), stream, recent: VecDeque::new() })
    }

    pub(super) fn advance(&mut self, bar: &Bar) -> Result<(), FeatureError> {
        if let Some(window) = self.stream.push(bar)? {
            if self.recent.len() == self.learned.state.window {
                self.recent.pop_front();
            }
            self.recent.push_back(Seen::Window(window.to_vec()));
        }
        Ok(())
    }

    /// The learned features of the last `window` bars; `None` while there are fewer.
    pub(super) fn look(&mut self) -> Result<Option<Vec<&[f32]>>, ModelError> {
        if self.recent.len() < self.learned.state.window {
            return Ok(None);
        }
        self.rows().map(Some)
    }

    /// Asks the encoder for what nobody has asked yet, in one batch.
    fn rows(&mut self) -> Result<Vec<&[f32]>, ModelError> {
        let Learned { state, embedding } = &self.learned;
        let unasked: Vec<&[f32]> = self
            .recent
            .iter()
            .filter(|seen| match seen {
                Seen::Window(_) => true,
                Seen::Row(_) => false,
            })
            .map(Seen::values)
            .collect();
        let features = embedding.of(&unasked)?;
        let mut made = features.chunks_exact(embedding.width()).map(|raw| normalised(&state.normaliser, raw));
        for seen in &mut self.recent {
            match seen {
                Seen::Row(_) => {}
                Seen::Window(_) => *seen = Seen::Row(made.next().expect("a row was asked for each window")),
            }
        }
        Ok(self.recent.iter().map(Seen::values).collect())
    }

    /// As a bundle holds it.
    pub(super) fn learned(&mut self) -> Result<Learned, ModelError> {
        let recent = self.rows()?.into_iter().map(<[f32]>::to_vec).collect();
        let Learned { state, embedding } = &self.learned;
        let state = LearnedState { features: self.stream.state(), recent, ..state.clone() };
        Ok(Learned { state, embedding: Arc::clone(embedding) })
    }
}

/// A row in the units of the training split.
fn normalised(normaliser: &Normaliser, raw: &[f32]) -> Vec<f32> {
    let raw: Vec<f64> = raw.iter().map(|value| f64::from(*value)).collect();
    let mut row = vec![0.0; raw.len()];
    normaliser.apply(&raw, &mut row);
    row
}
