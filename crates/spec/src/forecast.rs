//! Choices of a forecaster: its labels, heads, losses and layers. Each default is left out where a spec is written, so
//! digests of specs from before a choice stay valid.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which direction a row is labelled with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LabelSpec {
    /// By the return over the horizon: flat within `flat_band`.
    #[default]
    Horizon,
    /// By the barrier that the close touches first (Lopez de Prado 2018, ch. 3): an upper and a lower one at so many
    /// deviations, and flat where neither is touched within the horizon.
    TripleBarrier {
        /// Distance of the barriers in deviations of the return over the horizon. Range: above 0, at most 10.
        width: f64,
        /// Bars whose one-bar returns say the deviation, the row's own included. Range: 2 to 1000.
        #[schemars(range(min = 2, max = 1000))]
        bars: u32,
    },
}

/// What is said of the return over the horizon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReturnHead {
    /// A number, by Huber's loss.
    #[default]
    Point,
    /// Mean and deviation of a Gaussian, by its log-likelihood.
    Gaussian,
    /// The quantiles [`QUANTILES`], by the pinball loss; the middle one is the expectation.
    Quantiles,
}

/// Levels of the quantile head.
pub const QUANTILES: [f32; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];

impl ReturnHead {
    /// Values the network puts out for it.
    #[must_use]
    pub const fn outputs(self) -> usize {
        match self {
            Self::Point => 1,
            Self::Gaussian => 2,
            Self::Quantiles => QUANTILES.len(),
        }
    }
}

/// Whether volatility is forecast, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VolatilityHead {
    /// It is not.
    #[default]
    Off,
    /// Deviation of one-bar log returns over the horizon, by the quasi-likelihood of their mean square (Patton 2011).
    QuasiLikelihood,
}

impl VolatilityHead {
    /// Values the network puts out for it.
    #[must_use]
    pub const fn outputs(self) -> usize {
        match self {
            Self::Off => 0,
            Self::QuasiLikelihood => 1,
        }
    }
}

/// What a forecaster puts out beside directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeadSpec {
    /// Of the return. Default: `point`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub returns: ReturnHead,
    /// Of volatility. Default: `off`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub volatility: VolatilityHead,
}

/// How the losses of the heads are added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskWeights {
    /// As they are, that of the return times `return_weight`.
    #[default]
    Fixed,
    /// Each over its uncertainty, which is learned (Kendall et al. 2018). Trials are still compared by the fixed sum.
    Uncertainty,
}

/// What is done about rare directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Imbalance {
    /// Nothing.
    #[default]
    Off,
    /// Rows count by the inverse of how frequent their direction is in the training split.
    Balanced,
    /// Rows that are right already count less: (1 − p)^`gamma` (Lin et al. 2017).
    Focal {
        /// Range: above 0, at most 10.
        gamma: f64,
    },
}

/// How the learning rate goes over the epochs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RateSchedule {
    /// It stays.
    #[default]
    Constant,
    /// Up linearly, then down a half cosine (Loshchilov and Hutter 2017) to its end.
    WarmUpCosine {
        /// Share of all steps that it goes up for. Range: 0 to 1.
        warm_up: f64,
        /// Share of the learning rate that it ends with. Range: 0 to 1.
        floor: f64,
    },
}

/// What the LSTM layers of a forecaster multiply in while they learn. Forecasts are computed in f32 either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// f32.
    #[default]
    Single,
    /// bfloat16, summed in f32; weights, optimiser and all other layers are f32's (Micikevicius et al. 2018).
    Mixed,
}

impl FromStr for Precision {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "single" => Ok(Self::Single),
            "mixed" => Ok(Self::Mixed),
            _ => Err("use single or mixed".to_owned()),
        }
    }
}

/// Which values of a convolution are brought to unit scale together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Normalisation {
    /// None.
    #[default]
    Off,
    /// The channels of a bar (Ba et al. 2016).
    Layer,
    /// So many groups of channels, each over the window (Wu and He 2018).
    Group {
        /// Divides `channels`.
        groups: u32,
    },
}

/// What leads past a convolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Shortcut {
    /// Nothing.
    #[default]
    Off,
    /// Its input is added to its output (He et al. 2016).
    Residual,
}

/// Which ways an LSTM layer goes over the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Directions {
    /// From its oldest bar to its newest.
    #[default]
    Forward,
    /// Both ways, over the window alone: it ends with the bar decided on.
    Both,
}

/// How what a forecaster says is brought in line with what came of it: fitted on the validation split, after training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CalibrationSpec {
    /// Share of outcomes that the interval of the return is to hold. Default: 0.9. Range: 0.5 to 0.99.
    #[serde(default = "coverage")]
    #[schemars(range(min = 0.5, max = 0.99))]
    pub coverage: f64,
    /// How far one outcome moves an adaptive interval's level (Gibbs and Candès 2021), and the shares that adaptive
    /// directions follow; 0 keeps both. Default: 0.01. Range: 0 to 0.5.
    #[serde(default = "rate")]
    #[schemars(range(min = 0.0, max = 0.5))]
    pub rate: f64,
    /// Forward passes with dropout that say how sure the network is of itself. Default: 32. Range: 2 to 256.
    #[serde(default = "passes")]
    #[schemars(range(min = 2, max = 256))]
    pub passes: u32,
}

/// Fewest validation rows of a calibration: with 100 of them a coverage of 90 % is known to within 3 points, one deviation.
pub const CALIBRATION_ROWS_MIN: usize = 100;

const fn coverage() -> f64 {
    0.9
}

const fn rate() -> f64 {
    0.01
}

const fn passes() -> u32 {
    32
}

/// Whether a choice is its default.
pub(crate) fn is_default<T: Default + PartialEq>(choice: &T) -> bool {
    *choice == T::default()
}
