//! An encoder before anybody sees through it: what it makes of a history, for a fit.

use std::num::NonZeroUsize;
use std::sync::Arc;

use artifacts::Bundle;
use features::{FeatureState, Matrix, Normaliser, Stream};
use market::{Bar, Timestamp};
use spec::BundleId;

use super::{Learned, LearnedState, LookError, SightError};
use crate::{Embedding, Predictor};

/// Bars whose windows are held at once: enough for full batches, little beside the features themselves.
const BARS: usize = 1_024;

/// A forecaster's encoder with the features that it sees bars through itself.
#[derive(Clone, Debug)]
pub struct Encoder {
    features: FeatureState,
    memory_rows: NonZeroUsize,
    embedding: Arc<Embedding>,
    weights: Arc<[u8]>,
    network: crate::NetworkSpec,
}

impl Encoder {
    /// Of a forecaster's bundle; the features of `memory_rows` bars are remembered at most.
    ///
    /// # Errors
    /// [`SightError`], when the bundle is no forecaster's or cannot be used.
    pub fn load(bundle: &Bundle, memory_rows: NonZeroUsize) -> Result<Self, SightError> {
        let id = bundle.id();
        let failed = |source| SightError::Encoder { bundle: id, encoder: id, source: Box::new(source) };
        let unreadable = |source| SightError::Features { bundle: id, source };
        let features: FeatureState = serde_json::from_slice(bundle.features()).map_err(unreadable)?;
        let predictor = Predictor::load(bundle).map_err(failed)?;
        let network = predictor.spec().clone();
        let embedding = Embedding::new(predictor, memory_rows).map_err(failed)?;
        if embedding.input_width() != features.input_width() {
            return Err(SightError::Apart { encoder: id, what: "the width of the encoder's window" });
        }
        let weights = bundle.weights().unwrap_or_default().into();
        Ok(Self { features, memory_rows, embedding: Arc::new(embedding), weights, network })
    }

    /// The bundle it is from: the version of its features.
    #[must_use]
    pub fn version(&self) -> BundleId {
        self.embedding.version()
    }

    /// Rows whose features are remembered at most.
    #[must_use]
    pub const fn memory_rows(&self) -> NonZeroUsize {
        self.memory_rows
    }

    /// Who is asked.
    #[must_use]
    pub const fn embedding(&self) -> &Arc<Embedding> {
        &self.embedding
    }

    /// Its weights, as safetensors.
    #[must_use]
    pub fn weights(&self) -> &[u8] {
        &self.weights
    }

    /// The bar that its indicators start from.
    #[must_use]
    pub const fn anchor(&self) -> Timestamp {
        self.features.anchor
    }

    /// What it makes of each bar whose window is full, as it comes. The history starts at [`Encoder::anchor`].
    ///
    /// # Errors
    /// [`LookError`].
    pub fn matrix(&self, bars: &[Bar]) -> Result<Matrix, LookError> {
        let mut stream = Stream::from_anchor(&self.features)?;
        let (mut full, mut values) = (0, Vec::new());
        for block in bars.chunks(BARS) {
            let mut windows: Vec<Vec<f32>> = Vec::new();
            for bar in block {
                windows.extend(stream.push(bar)?.map(<[f32]>::to_vec));
            }
            full += windows.len();
            let windows: Vec<&[f32]> = windows.iter().map(Vec::as_slice).collect();
            values.extend(self.embedding.of(&windows)?.into_iter().map(f64::from));
        }
        Ok(Matrix { width: self.embedding.width(), first: bars.len() - full, values })
    }

    /// Learned features for a network that looks at `window` bars, in the units of `normaliser`, before the first bar.
    ///
    /// # Errors
    /// [`LookError::Feature`] for a state that was not made by this build.
    pub fn fitted(&self, window: usize, normaliser: Normaliser) -> Result<Learned, LookError> {
        let features = Stream::from_anchor(&self.features)?.state();
        let state = LearnedState {
            version: self.version(),
            network: self.network.clone(),
            memory_rows: self.memory_rows,
            features,
            normaliser,
            window,
            recent: Vec::new(),
        };
        Ok(Learned { state, embedding: Arc::clone(&self.embedding) })
    }
}
