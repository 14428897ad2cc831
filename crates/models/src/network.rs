//! A network's shape as data, and its first weights.

use neural::Layout;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use serde::{Deserialize, Serialize};
use spec::{HeadSpec, ModelSpec, Normalisation};

use crate::{Forecaster, ModelError, PolicyHead, PolicyNetwork, Scales, weights};

/// What a network puts out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum NetworkKind {
    /// Direction and return, as a number.
    Forecaster,
    /// Direction, and what the heads say.
    MultiTask {
        /// Beside the direction.
        heads: HeadSpec,
    },
    /// An agent's actions.
    Policy {
        /// What the outputs mean.
        head: PolicyHead,
        /// Values of an observation: the window, then the trader's own position.
        observation_width: usize,
        /// Whether it brings observations to unit scale itself.
        normalised: bool,
    },
}

/// A network's shape; goes into the manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSpec {
    /// What it puts out.
    pub kind: NetworkKind,
    /// Its layers.
    pub model: ModelSpec,
    /// Bars it sees.
    pub window: usize,
    /// Features of a bar.
    pub width: usize,
}

impl NetworkSpec {
    /// Values of an input row.
    #[must_use]
    pub fn input_width(&self) -> usize {
        match self.kind {
            NetworkKind::Forecaster | NetworkKind::MultiTask { .. } => self.window * self.width,
            NetworkKind::Policy { observation_width, .. } => observation_width,
        }
    }

    /// Whether a row ends with the trader's own position.
    #[must_use]
    pub const fn observes_position(&self) -> bool {
        matches!(self.kind, NetworkKind::Policy { .. })
    }

    /// Refuses a shape that no spec may ask for, before memory is taken for it.
    ///
    /// # Errors
    /// [`ModelError::Shape`] naming the first size that is out of range.
    pub fn check(&self) -> Result<(), ModelError> {
        within("window", self.window, 1, 512, "1 to 512 bars")?;
        within("width", self.width, 1, 4_096, "1 to 4096 features")?;
        if let NetworkKind::Policy { head, observation_width, .. } = self.kind {
            within("actions", head.size(), 1, 1_024, "1 to 1024")?;
            within("observation_width", observation_width, 1, 1 << 22, "1 to 2^22 values")?;
        }
        match &self.model {
            ModelSpec::CnnLstm {
                channels, kernel, hidden, layers, dropout, burn_in, dilations, normalisation, ..
            } => {
                within("channels", *channels as usize, 1, 1_024, "1 to 1024")?;
                within("hidden", *hidden as usize, 1, 1_024, "1 to 1024")?;
                within("layers", *layers as usize, 1, 3, "1 to 3")?;
                within("kernel", *kernel as usize, 1, 63, "an odd number up to 63")?;
                let shape = |what, value: String, range| Err(ModelError::Shape { what, value, range });
                if kernel % 2 == 0 {
                    return shape("kernel", kernel.to_string(), "an odd number up to 63");
                }
                if !(0.0..1.0).contains(dropout) {
                    return shape("dropout", dropout.to_string(), "0 to below 1");
                }
                within("convolutions", dilations.len(), 1, 8, "1 to 8")?;
                for dilation in dilations {
                    within("dilation", *dilation as usize, 1, 128, "1 to 128")?;
                }
                if let Normalisation::Group { groups } = normalisation
                    && (*groups == 0 || channels % groups != 0)
                {
                    return shape("groups", groups.to_string(), "a number that divides channels");
                }
                if *burn_in as usize >= self.window {
                    return shape("burn_in", burn_in.to_string(), "less than window");
                }
                if self.input_width() < self.window * self.width {
                    return shape("observation_width", self.input_width().to_string(), "at least window × width");
                }
            }
            ModelSpec::Mlp { hidden, .. } => {
                within("mlp layers", hidden.len(), 1, 8, "1 to 8")?;
                for units in hidden {
                    within("mlp units", *units as usize, 1, 4_096, "1 to 4096")?;
                }
            }
        }
        Ok(())
    }
}

fn within(what: &'static str, value: usize, least: usize, most: usize, range: &'static str) -> Result<(), ModelError> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(ModelError::Shape { what, value: value.to_string(), range })
    }
}

/// Untrained weights as safetensors: what learning begins with. The same seed gives the same bytes.
///
/// # Errors
/// As [`NetworkSpec::check`].
pub fn drawn(spec: &NetworkSpec, seed: u64) -> Result<Vec<u8>, ModelError> {
    match spec.kind {
        NetworkKind::Forecaster | NetworkKind::MultiTask { .. } => {
            let mut layout = Layout::default();
            let network = Forecaster::new(&mut layout, spec)?;
            let weights = layout.draw(&mut ChaCha8Rng::seed_from_u64(seed));
            Ok(network.to_bytes(&layout, &weights, Scales::default()))
        }
        NetworkKind::Policy { .. } => {
            let mut layout = Layout::default();
            let network = PolicyNetwork::new(&mut layout, spec)?;
            let weights = layout.draw(&mut ChaCha8Rng::seed_from_u64(seed));
            Ok(weights::pack(&network.named(&layout, &weights)))
        }
    }
}
