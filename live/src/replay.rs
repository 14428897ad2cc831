//! Derives a journal again, inference included, and compares.

use std::path::Path;

use artifacts::Bundle;
use models::{ModelError, Predictor, Sight, SightError};
use serde::{Deserialize, Serialize};
use spec::BundleId;

use crate::engine::{Action, Engine, EngineError, MarketEvent};
use crate::journal::{self, JournalError, Record};
use crate::script::{Difference, Script, Standing};

/// What a replay finds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything was derived again, to the bit.
    Identical {
        /// Bars gone through.
        bars: usize,
        /// Decisions derived, each from its own prediction.
        decisions: usize,
        /// Orders derived and approved.
        orders: usize,
    },
    /// The first record that comes out differently.
    Differs(Difference),
}

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The journal is unusable.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The bundle of the session is not to be had.
    #[error("bundle {bundle}, which the session traded, cannot be loaded")]
    Missing {
        /// The bundle.
        bundle: BundleId,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The bundle given is not the session's.
    #[error("the session traded bundle {wanted}, but {given} was given; replay with the bundle of the journal")]
    OtherBundle {
        /// Of the journal.
        wanted: BundleId,
        /// Given.
        given: BundleId,
    },
    /// The bundle's network cannot see: its features or its encoder cannot be used.
    #[error(transparent)]
    Sight(#[from] SightError),
    /// The bundle's network cannot be loaded.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A journalled input cannot be taken in.
    #[error("record {record} of the journal cannot be taken in")]
    Input {
        /// Its place in the journal, the header being 0.
        record: usize,
        /// Why.
        source: EngineError,
    },
}

/// Feeds the journalled inputs to a fresh engine and compares each prediction, decision, approval and order with the
/// journal's. A journal that was cut off by a crash is compared as far as it goes.
///
/// # Errors
/// [`ReplayError`]: the journal or its bundle cannot be used at all.
pub fn replay<E>(path: &Path, load: impl FnOnce(BundleId) -> Result<Bundle, E>) -> Result<Outcome, ReplayError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (header, records) = journal::read(path)?;
    let wanted = header.bundle;
    let bundle = load(wanted).map_err(|error| ReplayError::Missing { bundle: wanted, source: error.into() })?;
    if bundle.id() != wanted {
        return Err(ReplayError::OtherBundle { wanted, given: bundle.id() });
    }
    let engine = Engine::new(header, Predictor::load(&bundle)?, &Sight::load(&bundle)?, &bundle.manifest().trial.task);
    derive(engine.map_err(|source| ReplayError::Input { record: 0, source })?, Script::new(records))
}

fn derive(mut engine: Engine, mut script: Script) -> Result<Outcome, ReplayError> {
    let (mut bars, mut decisions, mut orders) = (0, 0, 0);
    while let Some(next) = script.peek() {
        if matches!(next, Record::Ack(_)) {
            script.take();
            continue;
        }
        let Some(event) = input(next) else {
            return Ok(script.underived().map_or(Outcome::Identical { bars, decisions, orders }, Outcome::Differs));
        };
        script.take();
        let record = script.taken();
        let actions = engine.on(&event).map_err(|source| ReplayError::Input { record, source })?;
        bars += usize::from(matches!(event, MarketEvent::Bar(_)));
        for derived in actions.iter().map(Action::record) {
            match script.expect(&derived) {
                Err(difference) => return Ok(Outcome::Differs(*difference)),
                Ok(Standing::New) => break,
                Ok(Standing::Journalled) => {}
            }
            decisions += usize::from(matches!(derived, Record::Decision(_)));
            orders += usize::from(matches!(derived, Record::Order(_)));
        }
    }
    Ok(Outcome::Identical { bars, decisions, orders })
}

/// The event that a record stands for, if it came from outside.
fn input(record: &Record) -> Option<MarketEvent> {
    match record {
        Record::Bar(bar) => Some(MarketEvent::Bar(*bar)),
        Record::Fill(fill) => Some(MarketEvent::Fill(fill.clone())),
        Record::KillSwitch(switch) => Some(MarketEvent::KillSwitch(*switch)),
        Record::Mark(_)
        | Record::Prediction(_)
        | Record::Confidence(_)
        | Record::Decision(_)
        | Record::Order(_)
        | Record::Refusal(_)
        | Record::Alarm(_)
        | Record::Ack(_) => None,
    }
}
