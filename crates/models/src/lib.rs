//! Networks and the Predictor: bundle in, prediction out.
//!
//! A [`NetworkSpec`] is a network's shape as data; a [`Forecaster`] and a [`PolicyNetwork`] are it over the flat buffers of
//! `neural`; [`weights`] turns the state of either into bytes and back. [`Predictor`] is the one way a prediction is made, in
//! training, backtests, serving and live, so that they agree bit for bit; an ensemble is one, too. A [`Calibration`] in the
//! bundle is part of it; what moves from bar to bar, [`Adaptive`] intervals and directions, is not. [`Embedding`] gives what a
//! forecaster's encoder makes of a row, and [`Sight`] what a bundle's network sees of bars: indicators, and beside them such
//! features. Knows no losses, optimisers, environments or orders.

mod adaptive;
mod calibration;
mod embedding;
mod ensemble;
mod error;
#[cfg(test)]
mod fixtures;
mod forecaster;
#[cfg(test)]
mod libtorch;
mod named;
mod network;
mod policy;
mod predictor;
mod sight;
mod standby;
mod threads;
pub mod weights;

pub use adaptive::{Adapted, Adaptive};
pub use calibration::{
    CALIBRATION_FORMAT, Calibration, Ends, SCORES_MAX, SplitConformal, SpreadFit, Uncertainty, moments,
};
pub use embedding::{Embedding, Remembered};
pub use error::ModelError;
pub use forecaster::{CLASSES, Forecaster, ForecasterPanels, ForecasterTape, Scales, ascending, bounded_exp, softmax};
pub use network::{NetworkKind, NetworkSpec, drawn};
pub use policy::{OBSERVATION_MAX, PolicyHead, PolicyNetwork, PolicyTape, assign_flat, duel};
pub use predictor::{Inspector, Predictor, TILE, Target, row_digest};
pub use sight::{Encoder, Learned, LearnedState, LookError, Sight, SightError, SightStream};
pub use standby::{Chosen, StandbyError, choose};
pub use threads::single_threaded;
