//! Which trials an experiment runs.

mod best;
mod grid;
mod port;
mod random;

pub use best::{best, metric, value};
pub use grid::NotAList;
pub use port::{ExperimentSweep, SweepError, open};

use std::collections::BTreeMap;

use spec::{Digest, Dimension, Params, Sampler, SweepSpec};

/// Where points come from.
#[derive(Debug, Clone)]
enum Source {
    Random(BTreeMap<String, Dimension>),
    Grid(grid::Grid),
}

/// The points of a sweep and the seeds each is run with: trial `index` is point `index / seeds`, seed `index % seeds`.
#[derive(Debug, Clone)]
pub struct Plan {
    key: Digest,
    source: Source,
    points: u32,
    seeds: Vec<u64>,
}

impl Plan {
    /// The plan of a sweep; `key` decides what is drawn.
    ///
    /// # Errors
    /// [`NotAList`] when a grid has a dimension without a list of values.
    pub fn new(sweep: &SweepSpec, key: Digest) -> Result<Self, NotAList> {
        let (source, points) = match sweep.sampler {
            Sampler::Random => (Source::Random(sweep.space.clone()), sweep.trials),
            Sampler::Grid => {
                let grid = grid::Grid::new(&sweep.space)?;
                let points = u32::try_from(grid.len()).unwrap_or(u32::MAX).min(sweep.trials);
                (Source::Grid(grid), points)
            }
        };
        Ok(Self { key, source, points, seeds: sweep.seeds.clone() })
    }

    /// How many trials there are: points times seeds.
    #[must_use]
    pub fn trials(&self) -> u32 {
        self.points.saturating_mul(self.seeds.len() as u32)
    }

    /// The point and the seed of trial `index`.
    ///
    /// # Panics
    /// When `index` is not below [`Plan::trials`].
    #[must_use]
    pub fn trial(&self, index: u32) -> (Params, u64) {
        assert!(index < self.trials(), "trial {index} of a sweep of {} was asked for", self.trials());
        let seeds = self.seeds.len() as u32;
        let point = index / seeds;
        let params = match &self.source {
            Source::Random(space) => random::point(&self.key, space, point),
            Source::Grid(grid) => grid.point(point),
        };
        (params, self.seeds[(index % seeds) as usize])
    }
}

#[cfg(test)]
mod tests;
