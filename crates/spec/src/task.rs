//! What is learned: the task, its algorithm and its network.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
}

/// Reinforcement learning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RlSpec {
    /// Bars of features the policy sees. Range: 1 to 512.
    #[schemars(range(min = 1, max = 512))]
    pub window: u32,
    /// Environment steps to train for. Range: 1 to 10^10.
    #[schemars(range(min = 1))]
    pub steps: u64,
    /// The algorithm and its hyper-parameters.
    pub algorithm: Algorithm,
}

/// Learning algorithms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// Proximal policy optimisation (Schulman et al. 2017).
    Ppo(PpoSpec),
}

/// Hyper-parameters of PPO.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PpoSpec {
    /// Environments stepped side by side. Default: 8. Range: 1 to 65536.
    #[serde(default = "envs")]
    #[schemars(range(min = 1, max = 65536))]
    pub envs: u32,
    /// Steps per environment between updates. Default: 128.
    #[serde(default = "rollout")]
    #[schemars(range(min = 2, max = 65536))]
    pub rollout: u32,
    /// Passes over a rollout. Default: 4.
    #[serde(default = "ppo_epochs")]
    #[schemars(range(min = 1, max = 1000))]
    pub epochs: u32,
    /// Mini-batches a pass is cut into. Default: 4.
    #[serde(default = "minibatches")]
    #[schemars(range(min = 1, max = 65536))]
    pub minibatches: u32,
    /// Discount γ. Default: 0.99. Range: 0 to 1.
    #[serde(default = "gamma")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub gamma: f64,
    /// Trace decay λ of GAE. Default: 0.95. Range: 0 to 1.
    #[serde(default = "lambda")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub lambda: f64,
    /// Clip range ε of the probability ratio. Default: 0.2. Range: above 0, below 1.
    #[serde(default = "clip")]
    pub clip: f64,
    /// Weight of the entropy bonus. Default: 0.01. Range: 0 to 1.
    #[serde(default = "entropy")]
    pub entropy: f64,
    /// Weight of the value loss. Default: 0.5.
    #[serde(default = "half")]
    pub value: f64,
    /// Adam's learning rate, annealed linearly to zero. Range: above 0, at most 1.
    pub learning_rate: f64,
    /// Largest norm of a gradient. Default: 0.5. Range: above 0.
    #[serde(default = "half")]
    pub gradient_norm_max: f64,
    /// Stops the passes over a rollout once the approximate KL exceeds it. Default: none.
    #[serde(default)]
    pub target_kl: Option<f64>,
}

/// The network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModelSpec {
    /// Conv1d ×2 → LSTM → attention pooling → heads.
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
        /// Dropout probability. Default: 0.1. Range: 0 to below 1.
        #[serde(default = "dropout")]
        dropout: f64,
    },
    /// Fully connected tanh layers.
    Mlp {
        /// Units of each hidden layer, 1 to 8 of them.
        hidden: Vec<u32>,
    },
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
    half: f64 = 0.5;
    patience: u32 = 10;
    envs: u32 = 8;
    rollout: u32 = 128;
    ppo_epochs: u32 = 4;
    minibatches: u32 = 4;
    gamma: f64 = 0.99;
    lambda: f64 = 0.95;
    clip: f64 = 0.2;
    entropy: f64 = 0.01;
    kernel: u32 = 3;
    layers: u32 = 1;
    dropout: f64 = 0.1;
}
