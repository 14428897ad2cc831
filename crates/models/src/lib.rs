//! Networks and the Predictor: bundle in, prediction out.
//!
//! A [`NetworkSpec`] is a network's shape as data; [`Network`] is it in tensors; [`weights`] turns its state into bytes and
//! back. [`Predictor`] is the one way a prediction is made, in training, backtests, serving and live, so that they agree
//! bit for bit. Knows no losses, optimisers, environments or orders.

mod actor_critic;
mod encoder;
mod error;
#[cfg(test)]
mod fixtures;
mod forecaster;
mod layers;
mod network;
mod predictor;
mod threads;
pub mod weights;

pub use actor_critic::{ActorCritic, Judgement};
pub use encoder::CnnLstm;
pub use error::ModelError;
pub use forecaster::{Forecast, Forecaster};
pub use layers::{Initial, Mode};
pub use network::{Network, NetworkKind, NetworkSpec};
pub use predictor::{Predictor, row_digest};
pub use threads::{set_threads, single_threaded};
