//! Which bundle works: the one that is asked for, or where its encoder cannot be used another that was named for that.
//!
//! Inputs under a policy never change: without its encoder it does not see less, it does not work.

use artifacts::{Bundle, Registry, RegistryError, Store, StoreError};
use features::observation::POSITION_WIDTH;
use spec::{BundleId, ModelName};

use crate::{ModelError, Predictor, Sight, SightError};

/// A bundle to work with.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// The artifact, whole.
    pub bundle: Bundle,
    /// The model it is registered under.
    pub model: ModelName,
    /// How it was named.
    pub reference: String,
    /// Why it is not the one that was asked for; `None` where it is. To be said aloud.
    pub instead: Option<String>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum StandbyError {
    /// The registry knows no such bundle, or fails.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The store lacks it or does not give it, or it is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its features or its encoder cannot be used.
    #[error(transparent)]
    Sight(#[from] SightError),
    /// The stand-in's network cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The stand-in's network does not go with what it sees.
    #[error("{reference}: its network takes {network} values and its features make {features}")]
    Width {
        /// As it was named.
        reference: String,
        /// Values of a row.
        network: usize,
        /// What is seen of a window, and of the position where the network asks for it.
        features: usize,
    },
    /// The stand-in could fail in the same way.
    #[error("{reference} has an encoder itself: name a fallback that sees indicators alone")]
    Encodes {
        /// As it was named.
        reference: String,
    },
    /// The stand-in trades something else.
    #[error("{reference} has another {what} than bundle {asked}: a fallback trades the same bars")]
    Differs {
        /// As it was named.
        reference: String,
        /// The one asked for.
        asked: BundleId,
        /// What differs.
        what: &'static str,
    },
}

impl StandbyError {
    /// Whether the references are at fault, not what they lead to.
    #[must_use]
    pub const fn is_bad_input(&self) -> bool {
        match self {
            Self::Registry(_) | Self::Encodes { .. } | Self::Differs { .. } => true,
            Self::Store(_) | Self::Sight(_) | Self::Model(_) | Self::Width { .. } => false,
        }
    }

    fn is_of_encoder(&self) -> bool {
        match self {
            Self::Store(error) => error.is_of_encoder(),
            Self::Sight(error) => error.is_of_encoder(),
            Self::Registry(_) | Self::Model(_) | Self::Width { .. } | Self::Encodes { .. } | Self::Differs { .. } => {
                false
            }
        }
    }
}

/// The bundle that `asked` names; where its encoder cannot be used, and only then, the one that `fallback` names, which
/// needs none and trades the same bars. A fallback is held against that while nothing is wrong yet: it would else be found
/// out on the day that it is needed.
///
/// # Errors
/// [`StandbyError`]: what is wrong with the fallback, or without one with the encoder, or with all else of either.
pub fn choose(registry: &Registry, store: &Store, asked: &str, fallback: Option<&str>) -> Result<Chosen, StandbyError> {
    let (model, id) = registry.resolve(asked)?;
    let encodes = store.get_manifest(id)?.has_encoder();
    let fallback = fallback.filter(|_| encodes).map(|reference| standby(registry, store, reference, id)).transpose()?;
    let error = match usable(store, id) {
        Ok(bundle) => return Ok(Chosen { bundle, model, reference: asked.to_owned(), instead: None }),
        Err(error) => error,
    };
    let Some(fallback) = fallback.filter(|_| error.is_of_encoder()) else { return Err(error) };
    let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
    let why = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    let instead = format!("{asked} does not work without its encoder ({why}): {} takes its place", fallback.reference);
    Ok(Chosen { instead: Some(instead), ..fallback })
}

/// What `reference` names, if it can stand in for `asked`.
fn standby(registry: &Registry, store: &Store, reference: &str, asked: BundleId) -> Result<Chosen, StandbyError> {
    let (model, id) = registry.resolve(reference)?;
    let (wanted, bundle) = (store.get_manifest(asked)?.trial.data, usable(store, id)?);
    let (reference, given) = (reference.to_owned(), &bundle.manifest().trial.data);
    if bundle.encoder().is_some() {
        return Err(StandbyError::Encodes { reference });
    }
    let differs = [
        (given.symbols.first() != wanted.symbols.first(), "symbol"),
        (given.interval != wanted.interval, "interval"),
        (given.repairs != wanted.repairs, "list of repairs"),
    ];
    if let Some((_, what)) = differs.into_iter().find(|(differs, _)| *differs) {
        return Err(StandbyError::Differs { reference, asked, what });
    }
    let predictor = Predictor::load(&bundle)?;
    let position = if predictor.spec().observes_position() { POSITION_WIDTH } else { 0 };
    let (network, features) = (predictor.input_width(), Sight::load(&bundle)?.input_width() + position);
    if network != features {
        return Err(StandbyError::Width { reference, network, features });
    }
    Ok(Chosen { bundle, model, reference, instead: None })
}

/// A bundle whose network can see.
fn usable(store: &Store, id: BundleId) -> Result<Bundle, StandbyError> {
    let bundle = store.get_bundle(id)?;
    Sight::load(&bundle)?;
    Ok(bundle)
}

#[cfg(test)]
mod tests;
