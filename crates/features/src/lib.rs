//! Bars to feature rows by one incremental pipeline for training, serving and live.
//!
//! [`Pipeline`] turns each bar into a raw row in O(1); a batch ([`compute`]) is that pipeline run over history, so the
//! two agree bit for bit. [`Normaliser`] is fitted on the training split alone. [`FeatureState`] is all of it as data:
//! what a bundle carries, and where a [`Stream`] goes on. Knows no models, brokers or clock.

mod indicators;
mod normaliser;
pub mod observation;
mod pipeline;
mod stream;

pub use indicators::{
    Atr, Bollinger, BollingerValue, Ema, LogReturn, Macd, MacdValue, RealisedVolatility, Rsi, VolumeZ, Window,
};
pub use normaliser::Normaliser;
pub use pipeline::{FeatureError, Matrix, Pipeline, Readiness, compute};
pub use stream::{FeatureState, Stream};
