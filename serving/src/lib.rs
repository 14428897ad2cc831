//! Predictions over HTTP from the same artifact that was trained, gated and trades.
//!
//! [`Server::bind`] loads a bundle and takes the port; [`Server::run`] answers until it is told to stop. The model lives
//! on one thread of its own ([`desk`]); what it answers is decided in [`model`], which knows no HTTP. Knows no trainer and
//! no broker.

mod api;
mod desk;
mod http;
mod key;
mod model;
mod refusal;
mod server;

pub use api::{Act, ActRequest, Action, Answer, Description, Detail, Position, PredictRequest, Probabilities, Served};
pub use key::{ApiKey, KeyError};
pub use model::LoadError;
pub use refusal::{Code, Refusal};
pub use server::{Options, ServeError, Server, serve};
