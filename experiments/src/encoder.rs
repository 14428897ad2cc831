//! The encoder that an experiment names: found before anything starts, and counted when all has ended.

use std::path::Path;

use artifacts::{Alias, Bundle, BundleKind, Registry, RegistryError, Store, StoreError};
use backtest::{BacktestError, Model};
use serde::{Deserialize, Serialize};
use spec::{BundleId, EncoderFacts, EncoderRef, EncoderSpec, ForecasterFacts, MissingEncoder, Selection, TaskSpec};

use crate::trials::Trial;

/// An encoder is there and cannot be used. That is no reason to learn without it, whatever the file says of a missing one.
#[derive(Debug, thiserror::Error)]
pub enum EncoderError {
    /// The registry fails.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The store fails, or the bundle is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its network or its features are not of this build.
    #[error("encoder {bundle} cannot be used")]
    Model {
        /// Which bundle.
        bundle: BundleId,
        /// Why.
        source: BacktestError,
    },
}

/// What was found.
pub(crate) struct Found {
    pub(crate) facts: EncoderFacts,
    /// Bars before it has something to say.
    pub(crate) warm_up_bars: usize,
}

/// Looks for an encoder in the registry and the store of `home`.
pub(crate) fn find(home: &Path, wanted: &EncoderSpec) -> Result<Found, EncoderError> {
    let missing = |why: String| Ok(Found { facts: EncoderFacts::Missing { why }, warm_up_bars: 0 });
    let (id, selected) = match &wanted.bundle {
        EncoderRef::Bundle(bundle) => (*bundle, Selection::OnValidation),
        EncoderRef::Registered(reference) => match Registry::open(&home.join("registry.db"))?.resolve(reference) {
            Ok((_, bundle)) => (bundle, selection(reference)),
            Err(error @ RegistryError::NotFound { .. }) => return missing(error.to_string()),
            Err(error) => return Err(error.into()),
        },
    };
    match Store::of(home)?.get_bundle(id) {
        Ok(bundle) => look(&bundle, selected),
        Err(error @ StoreError::NotFound { .. }) => missing(error.to_string()),
        Err(error) => Err(error.into()),
    }
}

fn selection(reference: &str) -> Selection {
    let (_, what) = reference.split_once('@').unwrap_or_default();
    match what.parse() {
        Ok(Alias::Champion) => Selection::OnTest,
        Ok(Alias::Challenger) | Err(_) => Selection::OnValidation,
    }
}

fn look(bundle: &Bundle, selection: Selection) -> Result<Found, EncoderError> {
    let (id, trial) = (bundle.id(), &bundle.manifest().trial);
    let no_forecaster = Found { facts: EncoderFacts::NoForecaster { bundle: id }, warm_up_bars: 0 };
    let horizon = match (bundle.manifest().kind, &trial.task) {
        (BundleKind::Forecaster, TaskSpec::Supervised(task)) => task.horizon,
        (BundleKind::Forecaster, TaskSpec::Rl(_))
        | (BundleKind::Policy | BundleKind::Ensemble, TaskSpec::Supervised(_) | TaskSpec::Rl(_)) => {
            return Ok(no_forecaster);
        }
    };
    let model = Model::load(bundle).map_err(|source| EncoderError::Model { bundle: id, source })?;
    let (data, anchor) = (trial.data.clone(), model.anchor());
    let facts = ForecasterFacts { bundle: id, data, horizon, anchor, selection };
    Ok(Found { facts: EncoderFacts::Forecaster(Box::new(facts)), warm_up_bars: model.warm_up_bars() })
}

/// What is said aloud where agents learn without the encoder that their file names.
pub(crate) fn notice(wanted: &EncoderSpec, found: &EncoderFacts) -> Option<String> {
    match (found, wanted.missing) {
        (EncoderFacts::Missing { why }, MissingEncoder::Indicators) => {
            Some(format!("there is no encoder `{}` ({why}): agents learn on indicators alone", wanted.bundle))
        }
        (EncoderFacts::Missing { .. }, MissingEncoder::Refuse) => None,
        (
            EncoderFacts::NoForecaster { .. } | EncoderFacts::Forecaster(_),
            MissingEncoder::Refuse | MissingEncoder::Indicators,
        ) => None,
    }
}

/// How often the trials of an experiment asked their encoder for features that a trial before had asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderFigures {
    /// The version of the features.
    pub bundle: BundleId,
    /// Bars that were asked for by attempts that succeeded.
    pub asked: u64,
    /// Share of them that was remembered. Each worker remembers for itself.
    pub remembered: f64,
    /// Bars that were forgotten for others.
    pub forgotten: u64,
}

impl EncoderFigures {
    /// Of all trials; `None` where none has an encoder.
    pub(crate) fn of(trials: &[Trial]) -> Option<Self> {
        let uses = || trials.iter().filter_map(|trial| trial.outcome.as_ref()?.encoder);
        let bundle = uses().next()?.bundle;
        let (hits, misses) = uses().fold((0, 0), |(hits, misses), used| (hits + used.hits, misses + used.misses));
        let asked: u64 = hits + misses;
        let remembered = hits as f64 / asked.max(1) as f64;
        Some(Self { bundle, asked, remembered, forgotten: uses().map(|used| used.forgotten).sum() })
    }
}
