//! The samplers behind one door.

use serde::{Deserialize, Serialize};

use crate::{Cma, Gp, History, Nsga2, Point, Space, Tpe, qmc, random};

/// Which points are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// What all randomness of the search hangs on.
    pub key: [u8; 32],
    /// Index of the first point.
    pub first: u32,
    /// How many.
    pub count: u32,
}

impl Ask {
    pub(crate) const fn indices(&self) -> std::ops::Range<u32> {
        self.first..self.first.saturating_add(self.count)
    }
}

/// How points are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampler {
    /// Independent draws.
    Random,
    /// A scrambled Sobol sequence.
    Sobol,
    /// Tree-structured Parzen estimators.
    Tpe(Tpe),
    /// CMA-ES.
    Cma(Cma),
    /// A Gaussian process.
    Gp(Gp),
    /// NSGA-II.
    Nsga2(Nsga2),
}

impl Sampler {
    /// Points for the indices of `ask`, after what `history` saw: a pure function of its arguments. Asking for points
    /// one at a time, each with those before it as pending, gives the same points.
    ///
    /// Observations at or above `ask.first` are used like any other; the caller decides what a suggestion may see.
    #[must_use]
    pub fn suggest(&self, space: &Space, history: &History, ask: Ask) -> Vec<Point> {
        match self {
            Self::Random => ask.indices().map(|index| random::point(space, &ask.key, index)).collect(),
            Self::Sobol => qmc::points(space, &ask.key, ask.first, ask.count),
            Self::Tpe(tpe) => tpe.suggest(space, history, ask),
            Self::Cma(cma) => cma.suggest(space, history, ask),
            Self::Gp(gp) => gp.suggest(space, history, ask),
            Self::Nsga2(nsga2) => nsga2.suggest(space, history, ask),
        }
    }
}

#[cfg(test)]
mod tests;
