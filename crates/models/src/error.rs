//! Why a network cannot be built, loaded or asked.

use artifacts::BundleKind;
use spec::BundleId;

/// Why there is no prediction.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The shape is outside what this build computes.
    #[error("network: {what} is {value}: use {range}")]
    Shape {
        /// Which size.
        what: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        range: &'static str,
    },
    /// The manifest does not describe a network this build knows.
    #[error("bundle {bundle}: this build knows no such network: {why}")]
    Unknown {
        /// Which bundle.
        bundle: BundleId,
        /// What the parser said.
        why: String,
    },
    /// The manifest says one thing and its network another.
    #[error("bundle {bundle} is a {kind:?}, but its network is a {network}")]
    Kind {
        /// Which bundle.
        bundle: BundleId,
        /// Of the manifest.
        kind: BundleKind,
        /// Of the network.
        network: &'static str,
    },
    /// The bundle's calibration cannot be used.
    #[error("bundle {bundle}: its calibration.json cannot be used: {why}")]
    Calibration {
        /// Which bundle.
        bundle: BundleId,
        /// What is wrong.
        why: String,
    },
    /// The bytes are not weights.
    #[error("weights cannot be read: {why}")]
    Unreadable {
        /// What the reader said.
        why: String,
    },
    /// A tensor is not what the network needs.
    #[error("weights: tensor {tensor} {why}")]
    Tensor {
        /// Its name.
        tensor: String,
        /// What is wrong.
        why: String,
    },
    /// A row has another width.
    #[error("row {row} has {width} values, the network takes {wanted}")]
    Width {
        /// Which row of the request.
        row: usize,
        /// Its width.
        width: usize,
        /// The network's.
        wanted: usize,
    },
    /// A row holds NaN or infinity.
    #[error("row {row}: value {index} is not finite")]
    NotFinite {
        /// Which row of the request.
        row: usize,
        /// Which value of it.
        index: usize,
    },
    /// The network put out NaN or infinity.
    #[error("row {row}: the network's output is not finite: its weights are broken or the row is extreme")]
    Output {
        /// Which row of the request.
        row: usize,
    },
    /// libtorch refuses.
    #[error("libtorch failed")]
    Torch(#[from] tch::TchError),
}
