//! Why there is no explanation.

use artifacts::BundleKind;
use features::FeatureError;
use market::Timestamp;
use models::ModelError;
use spec::BundleId;

use crate::explanation::Method;
use crate::shapley::{PERMUTATIONS_MIN, PLAYERS_MAX};

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// Features of a window reach back to the first bar of training.
    #[error("the data have no bar at {anchor}, where the model's training begins: give data that reach back to it")]
    Anchor {
        /// First bar of training.
        anchor: Timestamp,
    },
    /// A time without a bar.
    #[error("there is no bar at {at}: the data go from {first} to {last}; name the time of one of their bars")]
    NoBar {
        /// Asked for.
        at: Timestamp,
        /// First bar.
        first: Timestamp,
        /// Last bar.
        last: Timestamp,
    },
    /// A row whose window is not full.
    #[error(
        "bar {at} has no full window: {bars} bars go up to it and the network needs {needed}, warm-up of its features \
         included; name a later bar"
    )]
    Short {
        /// Asked for.
        at: Timestamp,
        /// Bars up to it.
        bars: usize,
        /// Bars of warm-up and window.
        needed: usize,
    },
    /// A feature that is no number.
    #[error("feature {feature} is not finite at bar {bar}: nothing can be said of its row; look at the data there")]
    NotFinite {
        /// Which feature.
        feature: String,
        /// At which bar.
        bar: Timestamp,
    },
    /// A feature that the model does not see.
    #[error("the model sees no feature {name}: it sees {}", .known.join(", "))]
    Unknown {
        /// Asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Attributions that do not add up.
    #[error(
        "refused: the attributions miss what they explain by {residual:.3e}, and {tolerance:.3e} is tolerated; {}",
        .method.way_out()
    )]
    Residual {
        /// Sum of the attributions less the difference of the scores.
        residual: f64,
        /// Largest magnitude that is let through.
        tolerance: f64,
        /// How they were computed.
        method: Method,
    },
    /// More coalitions than can be gone through.
    #[error("exact Shapley values of {players} players: {PLAYERS_MAX} at most; take coarser players, or sample them")]
    Players {
        /// How many there are.
        players: usize,
    },
    /// Too few orders to say how sure they are.
    #[error("{permutations} permutations have no standard error: use {PERMUTATIONS_MIN} or more")]
    Permutations {
        /// Asked for.
        permutations: u32,
    },
    /// A bundle that forecasts nothing.
    #[error("bundle {bundle} is a {kind:?}: forecasters are explained")]
    Kind {
        /// Which bundle.
        bundle: BundleId,
        /// What it is.
        kind: BundleKind,
    },
    /// The bundle's feature state is not one of this build.
    #[error("bundle {bundle}: its feature state cannot be read: use the build that wrote it, or newer")]
    State {
        /// Which bundle.
        bundle: BundleId,
        /// Where it goes wrong.
        source: serde_json::Error,
    },
    /// The features cannot be computed over these bars.
    #[error(transparent)]
    Feature(#[from] FeatureError),
    /// The model failed.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl ExplainError {
    /// Whether another question, or other data, would have an answer.
    #[must_use]
    pub const fn is_bad_input(&self) -> bool {
        match self {
            Self::Anchor { .. }
            | Self::NoBar { .. }
            | Self::Short { .. }
            | Self::NotFinite { .. }
            | Self::Unknown { .. }
            | Self::Residual { .. }
            | Self::Players { .. }
            | Self::Permutations { .. }
            | Self::Kind { .. }
            | Self::Feature(_)
            | Self::Model(ModelError::Shape { .. } | ModelError::NotFinite { .. }) => true,
            Self::State { .. } | Self::Model(_) => false,
        }
    }
}
