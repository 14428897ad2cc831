//! The encoder that an experiment names: found before anything starts, and counted when all has ended.

use std::path::Path;

use artifacts::{Bundle, BundleKind, Registry, RegistryError, Store, StoreError};
use backtest::{BacktestError, Model};
use serde::{Deserialize, Serialize};
use spec::{
    BundleId, EncoderFacts, EncoderRef, EncoderSpec, ExperimentId, ForecasterFacts, Guide, MissingEncoder, Selection,
    TaskSpec,
};

use crate::record::{Record, RecordError};
use crate::trials::Trial;

/// Sweeps that one began with and another before it, as far as they are followed back. Ids are digests of what came before,
/// so there is no circle; nobody goes on from more.
const GUIDES_MAX: usize = 64;

/// An encoder is there and cannot be used. That is no reason to learn without it, whatever the file says of a missing one.
#[derive(Debug, thiserror::Error)]
pub enum EncoderError {
    /// The registry fails.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The store fails, or the bundle is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The record of the run that made it cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
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
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) facts: EncoderFacts,
    /// Bars before it has something to say.
    pub(crate) warm_up_bars: usize,
}

/// Looks for an encoder in the registry and the store of `home`.
pub(crate) fn find(home: &Path, wanted: &EncoderSpec) -> Result<Found, EncoderError> {
    let missing = |why: String| Ok(Found { facts: EncoderFacts::Missing { why }, warm_up_bars: 0 });
    let registry = Registry::open(&home.join("registry.db"))?;
    let id = match &wanted.bundle {
        EncoderRef::Bundle(bundle) => *bundle,
        EncoderRef::Registered(reference) => match registry.resolve(reference) {
            Ok((_, bundle)) => bundle,
            Err(error @ RegistryError::NotFound { .. }) => return missing(error.to_string()),
            Err(error) => return Err(error.into()),
        },
    };
    match Store::of(home)?.get_bundle(id) {
        Ok(bundle) => look(home, &bundle, selection(&registry, id)?),
        Err(error @ StoreError::NotFound { .. }) => missing(error.to_string()),
        Err(error) => Err(error.into()),
    }
}

/// The same for a run that was begun: it was checked then, and what an encoder has become since decided nothing of it.
pub(crate) fn find_again(home: &Path, wanted: &EncoderSpec) -> Result<Found, EncoderError> {
    let mut found = find(home, wanted)?;
    if let EncoderFacts::Forecaster(forecaster) = &mut found.facts {
        forecaster.selection = Selection::OnValidation;
        forecaster.guides.clear();
    }
    Ok(found)
}

/// A champion was let through on its own test split, by whatever name or digest it is called.
fn selection(registry: &Registry, bundle: BundleId) -> Result<Selection, RegistryError> {
    Ok(if registry.was_champion(bundle)? { Selection::OnTest } else { Selection::OnValidation })
}

fn look(home: &Path, bundle: &Bundle, selection: Selection) -> Result<Found, EncoderError> {
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
    let (data, anchor, guides) = (trial.data.clone(), model.anchor(), guides(home, &trial.trial.experiment)?);
    let facts = ForecasterFacts { bundle: id, data, horizon, anchor, selection, guides };
    Ok(Found { facts: EncoderFacts::Forecaster(Box::new(facts)), warm_up_bars: model.warm_up_bars() })
}

/// The sweeps that `experiment` began with, by the records of this home: of a run that left none here nothing is known.
fn guides(home: &Path, experiment: &ExperimentId) -> Result<Vec<Guide>, RecordError> {
    let (mut guides, mut at) = (Vec::new(), experiment.clone());
    while guides.len() < GUIDES_MAX
        && let Some(asked) = Record::new(home, &at).asked()?
        && let Some(earlier) = asked.question.spec.sweep.warm_start
        && let Some(before) = Record::new(home, &earlier).asked()?
    {
        let (data, task) = (before.question.spec.data, before.question.spec.task);
        let horizon = match task {
            TaskSpec::Supervised(task) => task.horizon,
            // The fill of an action.
            TaskSpec::Rl(_) => 1,
        };
        guides.push(Guide { experiment: earlier.clone(), data, horizon });
        at = earlier;
    }
    Ok(guides)
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
