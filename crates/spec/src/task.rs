//! What is learned: the task, its algorithm and its network.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::forecast::is_default;
use crate::{
    CalibrationSpec, CrossValidationSpec, Directions, HeadSpec, Imbalance, LabelSpec, Normalisation, Precision,
    RateSchedule, RlSpec, Shortcut, TaskWeights,
};

/// The kind of learning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskSpec {
    /// Forecast direction and return.
    Supervised(SupervisedSpec),
    /// Act in the trading environment.
    Rl(RlSpec),
}

impl TaskSpec {
    /// Bars in the window that the network sees.
    #[must_use]
    pub fn window(&self) -> usize {
        match self {
            Self::Supervised(task) => task.window as usize,
            Self::Rl(task) => task.window as usize,
        }
    }
}

/// Multi-task forecasting: 3-class direction and return over a horizon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SupervisedSpec {
    /// Bars the network sees. Range: 2 to 512.
    #[schemars(range(min = 2, max = 512))]
    pub window: u32,
    /// Bars ahead that the label looks. Range: 1 to 256.
    #[schemars(range(min = 1, max = 256))]
    pub horizon: u32,
    /// Half-width of the flat class, in standard deviations of the training labels. Default: 0.3. Range: 0 to 3.
    #[serde(default = "flat_band")]
    #[schemars(range(min = 0.0, max = 3.0))]
    pub flat_band: f64,
    /// Passes over the training split. Range: 1 to 10000.
    #[schemars(range(min = 1, max = 10000))]
    pub epochs: u32,
    /// Rows in a mini-batch. Default: 64. Range: 2 to 65536.
    #[serde(default = "batch")]
    #[schemars(range(min = 2, max = 65536))]
    pub batch: u32,
    /// AdamW's learning rate. Range: above 0, at most 1.
    pub learning_rate: f64,
    /// AdamW's decoupled weight decay. Default: 0.01. Range: 0 to 1.
    #[serde(default = "weight_decay")]
    pub weight_decay: f64,
    /// Weight of the return loss beside the direction loss. Default: 0.5. Range: 0 to 100.
    #[serde(default = "return_weight")]
    pub return_weight: f64,
    /// Largest norm of a gradient. Default: 1. Range: above 0.
    #[serde(default = "one")]
    pub gradient_norm_max: f64,
    /// Epochs without a better validation loss before training stops. Default: 10.
    #[serde(default = "patience")]
    pub patience: u32,
    /// What a row's direction is. Default: `horizon`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub labels: LabelSpec,
    /// What is forecast beside the direction. Default: the return as a number.
    #[serde(default, skip_serializing_if = "is_default")]
    pub heads: HeadSpec,
    /// How losses are added. Default: `fixed`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub task_weights: TaskWeights,
    /// What is done about rare directions. Default: `off`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub imbalance: Imbalance,
    /// How the learning rate goes. Default: `constant`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub schedule: RateSchedule,
    /// Mini-batches whose gradients are averaged for a step. Default: 1. Range: 1 to 1024.
    #[serde(default = "one_batch", skip_serializing_if = "is_one")]
    #[schemars(range(min = 1, max = 1024))]
    pub accumulate: u32,
    /// What LSTM layers multiply in while they learn. Default: `single`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub precision: Precision,
    /// Whether probabilities, spreads and intervals are calibrated on the validation split. Default: they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationSpec>,
    /// Trainings on folds of train and validation that come before the trial's own and say how well its settings do: for
    /// the objectives `cross_validation_loss` and `cross_validation_sharpe`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cross_validation: Option<CrossValidationSpec>,
}

impl SupervisedSpec {
    /// Trainings of a trial on folds, before its own.
    #[must_use]
    pub fn folds(&self) -> u32 {
        self.cross_validation.as_ref().map_or(0, CrossValidationSpec::folds)
    }
}

/// The network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModelSpec {
    /// Conv1d → LSTM → attention pooling → heads.
    CnnLstm {
        /// Convolution channels. Range: 1 to 1024.
        channels: u32,
        /// Convolution width in bars, odd. Default: 3.
        #[serde(default = "kernel")]
        kernel: u32,
        /// LSTM units. Range: 1 to 1024.
        hidden: u32,
        /// LSTM layers. Default: 1. Range: 1 to 3.
        #[serde(default = "layers")]
        layers: u32,
        /// Dropout probability. Default: 0.1. Range: 0 to below 1. Agents need 0.
        #[serde(default = "dropout")]
        dropout: f64,
        /// Bars at the start of the window that only warm the LSTM up: no gradient reaches them. Default: 0. Agents only.
        #[serde(default, skip_serializing_if = "is_zero")]
        burn_in: u32,
        /// Bars between the taps of each convolution: one convolution for each. Default: `[1, 1]`, and so for agents.
        /// 1 to 8 of 1 to 128.
        #[serde(default = "dilations", skip_serializing_if = "are_plain")]
        dilations: Vec<u32>,
        /// After each convolution. Default: `off`, and so for agents.
        #[serde(default, skip_serializing_if = "is_default")]
        normalisation: Normalisation,
        /// Past each convolution. Default: `off`, and so for agents.
        #[serde(default, skip_serializing_if = "is_default")]
        shortcut: Shortcut,
        /// Of each LSTM layer. Default: `forward`, and so for agents.
        #[serde(default, skip_serializing_if = "is_default")]
        directions: Directions,
    },
    /// Fully connected layers.
    Mlp {
        /// Units of each hidden layer, 1 to 8 of them.
        hidden: Vec<u32>,
        /// After each hidden layer. Default: `relu` for DQN, TD3 and SAC, `tanh` for all else.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation: Option<Activation>,
    },
}

/// What follows a hidden layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// tanh x.
    Tanh,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(value: &u32) -> bool {
    *value == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_one(value: &u32) -> bool {
    *value == 1
}

/// Two convolutions that are not dilated.
fn dilations() -> Vec<u32> {
    vec![1, 1]
}

fn are_plain(dilations: &[u32]) -> bool {
    dilations == [1, 1]
}

macro_rules! defaults {
    ($($name:ident: $type:ty = $value:expr;)*) => { $(const fn $name() -> $type { $value })* };
}
defaults! {
    flat_band: f64 = 0.3;
    batch: u32 = 64;
    weight_decay: f64 = 0.01;
    return_weight: f64 = 0.5;
    one: f64 = 1.0;
    patience: u32 = 10;
    one_batch: u32 = 1;
    kernel: u32 = 3;
    layers: u32 = 1;
    dropout: f64 = 0.1;
}
