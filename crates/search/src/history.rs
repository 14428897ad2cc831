//! What was seen of a search: points and what became of them.

use serde::{Deserialize, Serialize};

use crate::pareto::rank_and_crowding;
use crate::{Point, Space};

/// Most objectives of a measurement.
pub const OBJECTIVES_MAX: usize = 16;

/// What became of a point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// Its objectives, all to be minimised. One that is not finite counts as [`Outcome::Failed`].
    Measured(Vec<f64>),
    /// Stopped early: worse than whatever was measured, better than a point pruned at an earlier rung.
    Pruned {
        /// The last rung that it reached.
        rung: u32,
        /// Its value there, to be minimised.
        value: f64,
    },
    /// No value: worse than whatever has one.
    Failed,
    /// Asked and not told yet.
    Pending,
}

/// One point and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Its place in the search, once in a history.
    pub index: u32,
    /// The point.
    pub point: Point,
    /// What became of it.
    pub outcome: Outcome,
}

/// Observations that make no history of a space.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// Two observations of one index.
    #[error("observation {0} stands twice: an index is told once")]
    Twice(u32),
    /// A point outside the space.
    #[error("observation {index} is no point of the space: axis `{axis}` is outside its range, missing or inactive")]
    Misfit {
        /// The observation.
        index: u32,
        /// The first axis that does not fit.
        axis: String,
    },
    /// Another number of objectives than before.
    #[error("observation {index} has {found} objectives where {wanted} are expected (1 to {OBJECTIVES_MAX})")]
    Objectives {
        /// The observation.
        index: u32,
        /// How many it has.
        found: usize,
        /// How many the first one has.
        wanted: usize,
    },
}

/// Observations in the order of their indices, all of one space.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    observations: Vec<Observation>,
}

/// How an observation stands in a comparison.
pub(crate) enum Standing<'a> {
    Measured(&'a [f64]),
    Pruned(u32, f64),
    Failed,
    Pending,
}

impl Observation {
    pub(crate) fn standing(&self) -> Standing<'_> {
        match &self.outcome {
            Outcome::Measured(values) if values.iter().all(|value| value.is_finite()) => Standing::Measured(values),
            Outcome::Pruned { rung, value } if value.is_finite() => Standing::Pruned(*rung, *value),
            Outcome::Measured(_) | Outcome::Pruned { .. } | Outcome::Failed => Standing::Failed,
            Outcome::Pending => Standing::Pending,
        }
    }

    /// Its objectives, if all are finite.
    pub(crate) fn measured(&self) -> Option<&[f64]> {
        match self.standing() {
            Standing::Measured(values) => Some(values),
            Standing::Pruned(..) | Standing::Failed | Standing::Pending => None,
        }
    }

    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.outcome, Outcome::Pending)
    }
}

impl History {
    /// The history of these observations, whatever their order.
    ///
    /// # Errors
    /// [`HistoryError`] naming the first observation that is wrong, and how.
    pub fn new(space: &Space, mut observations: Vec<Observation>) -> Result<Self, HistoryError> {
        observations.sort_by_key(|observation| observation.index);
        let mut wanted = None;
        for (place, Observation { index, point, outcome }) in observations.iter().enumerate() {
            if place > 0 && observations[place - 1].index == *index {
                return Err(HistoryError::Twice(*index));
            }
            if let Some(axis) = space.misfit(point) {
                let axis = space.axes().get(axis).map_or_else(String::new, |axis| axis.name.clone());
                return Err(HistoryError::Misfit { index: *index, axis });
            }
            if let Outcome::Measured(values) = outcome {
                let (found, wanted) = (values.len(), *wanted.get_or_insert(values.len().clamp(1, OBJECTIVES_MAX)));
                if found != wanted {
                    return Err(HistoryError::Objectives { index: *index, found, wanted });
                }
            }
        }
        Ok(Self { observations })
    }

    /// The history of nothing.
    #[must_use]
    pub const fn empty() -> Self {
        Self { observations: Vec::new() }
    }

    /// The observations, in the order of their indices.
    #[must_use]
    pub fn observations(&self) -> &[Observation] {
        &self.observations
    }

    /// Those that were told, in the order of their indices.
    pub(crate) fn told(&self) -> Vec<&Observation> {
        self.observations.iter().filter(|observation| !observation.is_pending()).collect()
    }

    /// Adds a point that was just asked for. Its index lies above the others or replaces one that was pending.
    pub(crate) fn ask(&mut self, index: u32, point: Point) {
        let asked = Observation { index, point, outcome: Outcome::Pending };
        match self.observations.binary_search_by_key(&index, |observation| observation.index) {
            Ok(place) => self.observations[place] = asked,
            Err(place) => self.observations.insert(place, asked),
        }
    }
}

/// Places of `observations` from best to worst: measured by their value, or by front and crowding where there are
/// several objectives; then pruned, later rungs first; then failed, then pending. Ties go to the lower index.
pub(crate) fn best_first(observations: &[&Observation]) -> Vec<usize> {
    let measured: Vec<&[f64]> = observations.iter().filter_map(|observation| observation.measured()).collect();
    let mut keys = if measured.first().is_some_and(|values| values.len() > 1) {
        rank_and_crowding(&measured)
    } else {
        measured.iter().map(|values| (0, values[0])).collect()
    }
    .into_iter();
    let class = |observation: &&Observation| match observation.standing() {
        Standing::Measured(_) => {
            let (front, value) = keys.next().expect("one key for each that is measured");
            (0, front, value)
        }
        Standing::Pruned(rung, value) => (1, (u32::MAX - rung) as usize, value),
        Standing::Failed => (2, 0, 0.0),
        Standing::Pending => (3, 0, 0.0),
    };
    let keys: Vec<(u8, usize, f64)> = observations.iter().map(class).collect();
    let mut order: Vec<usize> = (0..observations.len()).collect();
    order.sort_by(|&left, &right| {
        let ((class, front, value), (other_class, other_front, other_value)) = (keys[left], keys[right]);
        let by_class = class.cmp(&other_class).then(front.cmp(&other_front));
        by_class.then(value.total_cmp(&other_value))
    });
    order
}

#[cfg(test)]
mod tests;
