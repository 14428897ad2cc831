//! Where the points of a sweep come from.

use search::{Ask, History, Observation, Point, Space};
use spec::{Digest, Params, Sampler, SweepSpec};

use super::grid::Grid;
use super::port::SweepError;
use super::space::Dimensions;

/// Other points tried where one does not fit.
const OTHERS_MAX: u32 = 100;

/// A point and what it says to a trial.
#[derive(Debug, Clone)]
pub(super) struct Drawn {
    pub(super) point: Point,
    pub(super) params: Params,
}

/// Where points come from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Grid(Grid),
    Search { dimensions: Dimensions, sampler: search::Sampler, key: Digest },
}

impl Source {
    /// `key` decides what is drawn.
    pub(super) fn new(sweep: &SweepSpec, key: Digest) -> Result<Self, SweepError> {
        let sampler = match sweep.sampler {
            Sampler::Grid => return Ok(Self::Grid(Grid::new(&sweep.space)?)),
            Sampler::Random => search::Sampler::Random,
            Sampler::Sobol => search::Sampler::Sobol,
            Sampler::Tpe => search::Sampler::Tpe(search::Tpe::default()),
            Sampler::CmaEs => search::Sampler::Cma(search::Cma::default()),
            Sampler::GaussianProcess => search::Sampler::Gp(search::Gp::default()),
            Sampler::NsgaIi => search::Sampler::Nsga2(search::Nsga2::default()),
        };
        Ok(Self::Search { dimensions: Dimensions::new(sweep)?, sampler, key })
    }

    /// Points there are.
    pub(super) fn limit(&self) -> u32 {
        match self {
            Self::Grid(grid) => u32::try_from(grid.len()).unwrap_or(u32::MAX),
            Self::Search { .. } => u32::MAX,
        }
    }

    /// Whether points hang on outcomes.
    pub(super) const fn sees(&self) -> bool {
        match self {
            Self::Grid(_) => false,
            Self::Search { sampler, .. } => !matches!(sampler, search::Sampler::Random | search::Sampler::Sobol),
        }
    }

    /// Point `index`, where it hangs on no outcome.
    pub(super) fn known(&self, index: u32) -> Option<Drawn> {
        if self.sees() {
            return None;
        }
        self.draw(&History::empty(), index, 1).pop()
    }

    /// Points from index `first` on.
    pub(super) fn draw(&self, history: &History, first: u32, count: u32) -> Vec<Drawn> {
        match self {
            Self::Grid(grid) => (first..first + count)
                .map(|index| Drawn { point: Point(Vec::new()), params: grid.point(index) })
                .collect(),
            Self::Search { dimensions, sampler, key } => {
                let ask = Ask { key: *key.as_bytes(), first, count };
                let drawn = |point| Drawn { params: dimensions.params(&point), point };
                sampler.suggest(&dimensions.space, history, ask).into_iter().map(drawn).collect()
            }
        }
    }

    /// Other points for index `index`: independent draws.
    pub(super) fn others(&self, index: u32) -> impl Iterator<Item = Drawn> + '_ {
        (0..OTHERS_MAX).filter_map(move |again| match self {
            Self::Grid(_) => None,
            Self::Search { dimensions, key, .. } => {
                let key = Digest::of(&[key.as_bytes().as_slice(), &again.to_le_bytes()].concat());
                let ask = Ask { key: *key.as_bytes(), first: index, count: 1 };
                let point = search::Sampler::Random.suggest(&dimensions.space, &History::empty(), ask).pop()?;
                Some(Drawn { params: dimensions.params(&point), point })
            }
        })
    }

    /// The space with the key of what is drawn from it; a grid has none.
    pub(super) const fn space(&self) -> Option<(&Space, &[u8; 32])> {
        match self {
            Self::Grid(_) => None,
            Self::Search { dimensions, key, .. } => Some((&dimensions.space, key.as_bytes())),
        }
    }

    /// What a point says to a trial.
    pub(super) fn params(&self, point: &Point) -> Params {
        match self {
            Self::Grid(_) => Params::new(),
            Self::Search { dimensions, .. } => dimensions.params(point),
        }
    }

    /// The point of some parameters; `None` where they are no point of this space.
    pub(super) fn point(&self, params: &Params) -> Option<Point> {
        match self {
            Self::Grid(_) => None,
            Self::Search { dimensions, .. } => dimensions.point(params),
        }
    }

    /// What was seen.
    pub(super) fn history(&self, observations: Vec<Observation>) -> History {
        match self {
            Self::Grid(_) => History::empty(),
            Self::Search { dimensions, .. } => History::new(&dimensions.space, observations)
                .expect("points of this space, each once, with as many objectives as the sweep has"),
        }
    }
}
