//! Bars to feature rows by one incremental pipeline for training, serving and live.
//!
//! [`Pipeline`] turns each bar into a raw row in O(1), amortised; a batch ([`compute`], or [`History`] where it comes in
//! parts) is that pipeline run over history, so they agree bit for bit. [`Panel`] does the same for several symbols, whose rows
//! may compare them. [`Normaliser`] is fitted on the training split alone and keeps how its columns were distributed.
//! [`FeatureState`] is all of it as data: what a bundle carries, and where a [`Stream`] goes on. Knows no models, brokers or
//! clock.

mod column;
mod drift;
mod indicators;
mod normaliser;
pub mod observation;
mod panel;
mod pipeline;
mod section;
mod step;
mod stream;
mod window;

pub use column::warm_up_bars;
pub use drift::{Drift, Profile};
pub use normaliser::Normaliser;
pub use panel::{Panel, compute_panel, compute_panel_on};
pub use pipeline::{FeatureError, History, Matrix, Pipeline, Readiness, compute, compute_on};
pub use stream::{FeatureState, Stream};
