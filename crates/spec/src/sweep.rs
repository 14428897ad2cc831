//! Which trials an experiment has: the space, how points are drawn from it, and when a trial has shown enough.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ExperimentId, ParamValue};

/// How points are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sampler {
    /// Independent draws.
    Random,
    /// Every combination of `choice` dimensions, in order.
    Grid,
    /// A scrambled Sobol sequence: even cover of the space.
    Sobol,
    /// Tree-structured Parzen estimator: draws where good trials are dense and bad ones are not.
    Tpe,
    /// Covariance matrix adaptation: a Gaussian that moves and bends towards good trials.
    CmaEs,
    /// Gaussian process: where the expected improvement over the best is largest.
    GaussianProcess,
    /// Non-dominated sorting genetic algorithm, for several objectives.
    NsgaIi,
}

/// When trials are stopped early. A rung is a share of the training at which a trial holds until its batch is there;
/// forecasters are compared by validation loss, agents by their evaluation on validation bars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Pruner {
    /// Never.
    #[default]
    None,
    /// What is worse than the median of all trials that reached the same rung, by now.
    Median {
        /// Rungs, evenly spaced. Default: 3. Range: 1 to 9.
        #[serde(default = "rungs")]
        rungs: u32,
        /// Trials that reach a rung before any is stopped there. Default: 5. Range: 1 to 1000.
        #[serde(default = "startup")]
        startup: u32,
    },
    /// All but the best of each `factor` trials of a batch, at each rung (Jamieson and Talwalkar 2016).
    SuccessiveHalving {
        /// Rungs: the last at 1 / `factor` of the training, each earlier one at 1 / `factor` of the next. Default: 3.
        /// Range: 1 to 6.
        #[serde(default = "rungs")]
        rungs: u32,
        /// One trial of so many goes on. Default: 3. Range: 2 to 10.
        #[serde(default = "factor")]
        factor: u32,
    },
    /// Batches by turns with all rungs, with all but the lowest, and so on down to none (Li et al. 2018). A batch holds as
    /// many trials as its bracket asks for, whatever `batch` says.
    Hyperband {
        /// Rungs of the first bracket, placed as in `successive_halving`. Default: 3. Range: 1 to 6.
        #[serde(default = "rungs")]
        rungs: u32,
        /// One trial of so many goes on. Default: 3. Range: 2 to 10.
        #[serde(default = "factor")]
        factor: u32,
    },
    /// Population-based training (Jaderberg et al. 2017): a batch is a population. At each rung the worst stop, and for each
    /// a child goes on from the checkpoint of one of the best, with a point near that one's. Children come on top of
    /// `trials`, and count like them.
    Population {
        /// Rungs, evenly spaced. Default: 3. Range: 1 to 99.
        #[serde(default = "rungs")]
        rungs: u32,
        /// Share of the members that stop, and of those that have children. Default: 0.25. Range: above 0, at most 0.5.
        #[serde(default = "quarter")]
        quantile: f64,
        /// A number is multiplied by 1 minus or plus this. Default: 0.2. Range: above 0, below 1.
        #[serde(default = "fifth")]
        perturb: f64,
        /// Probability that a value is drawn anew instead. Default: 0.25. Range: 0 to 1.
        #[serde(default = "quarter")]
        resample: f64,
    },
}

/// When points are decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A batch at a time, once the one before has ended whole: the same points for any number of workers.
    #[default]
    Batch,
    /// One whenever one has ended, `batch` of them being open: points hang on the order in which trials end, which the
    /// journal keeps.
    Asynchronous,
}

impl Mode {
    /// The default is left out where a spec is written, so that digests of specs from before the choice stay valid.
    const fn is_batch(&self) -> bool {
        matches!(self, Self::Batch)
    }
}

/// What trials are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Annualised Sharpe ratio of the validation backtest.
    ValidationSharpe,
    /// Total return of the validation backtest.
    ValidationReturn,
    /// Validation loss.
    ValidationLoss,
    /// Deepest fall from a peak in the validation backtest, a negative fraction.
    ValidationDrawdown,
    /// Mean loss over the folds of `task.supervised.cross_validation`.
    CrossValidationLoss,
    /// Mean annualised Sharpe ratio over those folds.
    CrossValidationSharpe,
}

impl Objective {
    /// The end that is better.
    #[must_use]
    pub const fn better(self) -> Direction {
        match self {
            Self::ValidationSharpe
            | Self::ValidationReturn
            | Self::ValidationDrawdown
            | Self::CrossValidationSharpe => Direction::Maximise,
            Self::ValidationLoss | Self::CrossValidationLoss => Direction::Minimise,
        }
    }

    /// Whether it is measured on folds.
    #[must_use]
    pub const fn is_of_folds(self) -> bool {
        match self {
            Self::CrossValidationLoss | Self::CrossValidationSharpe => true,
            Self::ValidationSharpe | Self::ValidationReturn | Self::ValidationLoss | Self::ValidationDrawdown => false,
        }
    }

    /// Its name, as in a file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ValidationSharpe => "validation_sharpe",
            Self::ValidationReturn => "validation_return",
            Self::ValidationLoss => "validation_loss",
            Self::ValidationDrawdown => "validation_drawdown",
            Self::CrossValidationLoss => "cross_validation_loss",
            Self::CrossValidationSharpe => "cross_validation_sharpe",
        }
    }
}

/// Which end of the objective is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Larger is better.
    Maximise,
    /// Smaller is better.
    Minimise,
}

/// One dimension of the space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// Real, uniform on [low, high].
    Uniform(f64, f64),
    /// Real, uniform in the logarithm on [low, high], low above 0.
    LogUniform(f64, f64),
    /// Whole, uniform on low..=high.
    Integer(i64, i64),
    /// Whole, uniform in the logarithm on low..=high, low above 0.
    LogInteger(i64, i64),
    /// One of a list.
    Choice(Vec<ParamValue>),
}

/// When a dimension counts. Where it does not, the file's own value stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Path of a `choice` dimension.
    pub of: String,
    /// The values of it under which this dimension counts.
    pub is: Vec<ParamValue>,
}

/// The sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SweepSpec {
    /// How points are drawn. Default: random.
    #[serde(default = "sampler")]
    pub sampler: Sampler,
    /// When trials stop early. Default: none.
    #[serde(default)]
    pub pruner: Pruner,
    /// Points; each is run once per seed. Range: 1 to 100000.
    #[schemars(range(min = 1, max = 100000))]
    pub trials: u32,
    /// Points decided at once: a decision sees only earlier, complete batches. In `asynchronous` mode, points that are
    /// open at once. Default: 4. Range: 1 to `trials`.
    #[serde(default = "sweep_batch")]
    pub batch: u32,
    /// When points are decided. Default: `batch`.
    #[serde(default, skip_serializing_if = "Mode::is_batch")]
    pub mode: Mode,
    /// Most trials running at once; changes no result. Default: as many as fit.
    #[serde(default)]
    pub parallel: Option<u32>,
    /// What trials are compared by.
    pub objective: Objective,
    /// Which end is better.
    pub direction: Direction,
    /// Dimensions by dotted path into this file, such as `task.supervised.learning_rate`.
    #[serde(default)]
    pub space: BTreeMap<String, Dimension>,
    /// Which dimensions count under which choice, by path. Default: all count always.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub conditions: BTreeMap<String, Condition>,
    /// Further objectives: `nsga_ii` looks for the Pareto front of all. `objective` alone decides which trial is promoted.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Objective>,
    /// An earlier experiment of this home whose points and objectives the sampler begins with, as far as this one would
    /// run the same trials: refused where none is. Its trials count against this one's as well. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_start: Option<ExperimentId>,
    /// Seeds each point is trained with. Default: [1]. Range of a seed: 0 to 2^53.
    #[serde(default = "seeds")]
    pub seeds: Vec<u64>,
}

const fn sampler() -> Sampler {
    Sampler::Random
}

const fn sweep_batch() -> u32 {
    4
}

fn seeds() -> Vec<u64> {
    vec![1]
}

const fn rungs() -> u32 {
    3
}

const fn startup() -> u32 {
    5
}

const fn factor() -> u32 {
    3
}

const fn quarter() -> f64 {
    0.25
}

const fn fifth() -> f64 {
    0.2
}
