//! Networks and the Predictor: bundle in, prediction out.
//!
//! A [`NetworkSpec`] is a network's shape as data; a [`Forecaster`] is it in libtorch's tensors, a [`PolicyNetwork`] in the
//! flat buffer of `neural`; [`weights`] turns the state of either into bytes and back. [`Predictor`] is the one way a
//! prediction is made, in training, backtests, serving and live, so that they agree bit for bit; an ensemble is one, too.
//! Knows no losses, optimisers, environments or orders.

mod encoder;
mod ensemble;
mod error;
#[cfg(test)]
mod fixtures;
mod forecaster;
mod layers;
mod network;
mod policy;
mod predictor;
mod threads;
pub mod weights;

pub use encoder::CnnLstm;
pub use error::ModelError;
pub use forecaster::{Forecast, Forecaster};
pub use layers::{Initial, Mode};
pub use network::{NetworkKind, NetworkSpec, drawn};
pub use policy::{OBSERVATION_MAX, PolicyHead, PolicyNetwork, PolicyTape, assign_flat, duel};
pub use predictor::{Predictor, TILE, row_digest};
pub use threads::{set_threads, single_threaded};
