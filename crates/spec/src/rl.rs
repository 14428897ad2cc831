//! Reinforcement learning: algorithms and their hyper-parameters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// What is brought to unit scale by running statistics. Default: nothing.
    #[serde(default)]
    pub normalise: Normalise,
    /// How the policy is judged on its way.
    #[serde(default)]
    pub evaluation: EvaluationSpec,
}

/// Learning algorithms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// Proximal policy optimisation (Schulman et al. 2017); any actions.
    Ppo(PpoSpec),
    /// Deep Q-network (Mnih et al. 2015); discrete actions.
    Dqn(DqnSpec),
    /// Twin delayed deep deterministic policy gradient (Fujimoto et al. 2018); continuous actions.
    Td3(Td3Spec),
    /// Soft actor-critic (Haarnoja et al. 2018); continuous actions.
    Sac(SacSpec),
}

impl Algorithm {
    /// As files and tables call it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ppo(_) => "ppo",
            Self::Dqn(_) => "dqn",
            Self::Td3(_) => "td3",
            Self::Sac(_) => "sac",
        }
    }

    /// Environments stepped side by side.
    #[must_use]
    pub const fn envs(&self) -> u32 {
        match self {
            Self::Ppo(ppo) => ppo.envs,
            Self::Dqn(dqn) => dqn.envs,
            Self::Td3(td3) => td3.envs,
            Self::Sac(sac) => sac.envs,
        }
    }

    /// Discount γ.
    #[must_use]
    pub const fn gamma(&self) -> f64 {
        match self {
            Self::Ppo(ppo) => ppo.gamma,
            Self::Dqn(dqn) => dqn.gamma,
            Self::Td3(td3) => td3.gamma,
            Self::Sac(sac) => sac.gamma,
        }
    }
}

/// What running statistics are applied to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Normalise {
    /// Nothing.
    #[default]
    None,
    /// Observations: mean 0, deviation 1, cut at ±10.
    Observations,
    /// Rewards: divided by the deviation of the running discounted return, cut at ±10.
    Rewards,
    /// Both.
    Both,
}

impl Normalise {
    /// Whether observations are.
    #[must_use]
    pub const fn observations(self) -> bool {
        matches!(self, Self::Observations | Self::Both)
    }

    /// Whether rewards are.
    #[must_use]
    pub const fn rewards(self) -> bool {
        matches!(self, Self::Rewards | Self::Both)
    }
}

/// How the policy is judged on its way: by the actions it would take when served.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationSpec {
    /// How many times, evenly over the steps; 0 keeps the last weights. Default: 20. Range: 0 to 10000.
    #[schemars(range(min = 0, max = 10000))]
    pub times: u32,
    /// Episodes each time, where episodes begin at random. Default: 20. Range: 1 to 10000. Trading passes once over the
    /// validation split.
    #[schemars(range(min = 1, max = 10000))]
    pub episodes: u32,
    /// Which weights are the result. Default: `best`.
    pub keep: Keep,
    /// Evaluations without a better one before training stops. Default: none, all steps are taken.
    pub patience: Option<u32>,
}

impl Default for EvaluationSpec {
    fn default() -> Self {
        Self { times: 20, episodes: 20, keep: Keep::Best, patience: None }
    }
}

/// Which weights are the result of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Those of the best evaluation.
    Best,
    /// The last.
    Last,
}

/// How a hyper-parameter changes over the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// It does not.
    Constant,
    /// Linearly to zero.
    Linear,
}

impl Schedule {
    /// The value after `progress` of the steps, 0 to 1.
    #[must_use]
    pub fn at(self, value: f64, progress: f64) -> f64 {
        match self {
            Self::Constant => value,
            Self::Linear => value * (1.0 - progress).max(0.0),
        }
    }
}

/// Hyper-parameters of PPO.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PpoSpec {
    /// Environments stepped side by side. Default: 8. Range: 1 to 65536.
    #[serde(default = "eight")]
    #[schemars(range(min = 1, max = 65536))]
    pub envs: u32,
    /// Steps per environment between updates. Default: 128. Range: 2 to 65536.
    #[serde(default = "rollout")]
    #[schemars(range(min = 2, max = 65536))]
    pub rollout: u32,
    /// Passes over a rollout. Default: 4. Range: 1 to 1000.
    #[serde(default = "four")]
    #[schemars(range(min = 1, max = 1000))]
    pub epochs: u32,
    /// Mini-batches a pass is cut into. Default: 4. Range: 1 to 65536.
    #[serde(default = "four")]
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
    /// How ε changes. Default: `constant`.
    #[serde(default = "constant")]
    pub clip_schedule: Schedule,
    /// Clip range of the value function around its old values. Default: none.
    #[serde(default)]
    pub value_clip: Option<f64>,
    /// Weight of the entropy bonus. Default: 0.01. Range: 0 to 1.
    #[serde(default = "hundredth")]
    pub entropy: f64,
    /// Weight of the value loss. Default: 0.5. Range: 0 to 100.
    #[serde(default = "half")]
    pub value: f64,
    /// Adam's learning rate. Range: above 0, at most 1.
    pub learning_rate: f64,
    /// How the learning rate changes. Default: `linear`.
    #[serde(default = "linear")]
    pub schedule: Schedule,
    /// Largest norm of a gradient. Default: 0.5. Range: above 0.
    #[serde(default = "half")]
    pub gradient_norm_max: f64,
    /// Stops the passes over a rollout once the approximate KL exceeds it. Default: none.
    #[serde(default)]
    pub target_kl: Option<f64>,
    /// First ln of the deviation of continuous actions. Default: 0. Range: -5 to 2.
    #[serde(default)]
    #[schemars(range(min = -5.0, max = 2.0))]
    pub log_deviation: f64,
}

/// The memory of transitions, and how often it is learned from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReplaySpec {
    /// Transitions kept; the oldest make room. Default: 100000. Range: 1 to 10^8.
    #[schemars(range(min = 1, max = 100000000))]
    pub capacity: u32,
    /// Transitions in a mini-batch, at most `capacity`. Default: 256. Range: 1 to 65536.
    #[schemars(range(min = 1, max = 65536))]
    pub batch: u32,
    /// Environment steps of random actions before learning starts. Default: 1000.
    pub starts: u64,
    /// Environment steps between bouts of learning. Default: 1. Range: 1 to 10^6.
    #[schemars(range(min = 1, max = 1000000))]
    pub every: u32,
    /// Updates in a bout. Default: 1. Range: 1 to 10^6.
    #[schemars(range(min = 1, max = 1000000))]
    pub updates: u32,
    /// Steps of reward before a value is bootstrapped. Default: 1. Range: 1 to 64.
    #[schemars(range(min = 1, max = 64))]
    pub n_step: u32,
    /// Draws transitions by their error (Schaul et al. 2016). Default: none, uniformly.
    pub prioritised: Option<PrioritySpec>,
}

impl Default for ReplaySpec {
    fn default() -> Self {
        Self { capacity: 100_000, batch: 256, starts: 1_000, every: 1, updates: 1, n_step: 1, prioritised: None }
    }
}

/// Prioritised replay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PrioritySpec {
    /// Exponent of the priority. Default: 0.6. Range: 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub alpha: f64,
    /// Exponent of the importance weights at the start, rising to 1. Default: 0.4. Range: 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub beta: f64,
}

impl Default for PrioritySpec {
    fn default() -> Self {
        Self { alpha: 0.6, beta: 0.4 }
    }
}

/// Hyper-parameters of DQN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DqnSpec {
    /// Environments stepped side by side. Default: 1. Range: 1 to 65536.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 65536))]
    pub envs: u32,
    /// The memory.
    #[serde(default)]
    pub replay: ReplaySpec,
    /// Discount γ. Default: 0.99. Range: 0 to 1.
    #[serde(default = "gamma")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub gamma: f64,
    /// Adam's learning rate. Range: above 0, at most 1.
    pub learning_rate: f64,
    /// How the learning rate changes. Default: `constant`.
    #[serde(default = "constant")]
    pub schedule: Schedule,
    /// Largest norm of a gradient. Default: 10. Range: above 0.
    #[serde(default = "ten")]
    pub gradient_norm_max: f64,
    /// Where the value of the next action comes from. Default: `double`.
    #[serde(default = "double")]
    pub bootstrap: Bootstrap,
    /// The last layer. Default: `plain`.
    #[serde(default = "plain")]
    pub head: QHead,
    /// How the target network follows. Default: copied every 1000 steps.
    #[serde(default = "rarely")]
    pub target: TargetUpdate,
    /// Probability of a random action.
    #[serde(default)]
    pub epsilon: EpsilonSpec,
}

/// Where the value of the next action comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bootstrap {
    /// The target network's largest value (Mnih et al. 2015).
    Max,
    /// The target network's value of the action that the online network prefers (van Hasselt et al. 2016).
    Double,
}

/// The last layer of a Q-network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QHead {
    /// A value for each action.
    Plain,
    /// A state's value and each action's advantage over their mean (Wang et al. 2016).
    Dueling,
}

/// How a target network follows the learned one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TargetUpdate {
    /// Copied every so many environment steps.
    Every(u32),
    /// Moved by this share after each update (Polyak). Range: above 0, at most 1.
    Polyak(f64),
}

/// Probability of a random action, falling linearly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EpsilonSpec {
    /// At first. Default: 1. Range: 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub start: f64,
    /// From `fraction` of the steps on. Default: 0.05. Range: 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub end: f64,
    /// Share of the steps over which it falls. Default: 0.1. Range: 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub fraction: f64,
}

impl Default for EpsilonSpec {
    fn default() -> Self {
        Self { start: 1.0, end: 0.05, fraction: 0.1 }
    }
}

/// Noise on actions while learning; scales are in halves of the action's range.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Exploration {
    /// Independent each step.
    Gaussian {
        /// Deviation. Range: 0 to 10.
        deviation: f64,
    },
    /// Drifts back to zero (Uhlenbeck and Ornstein 1930), zero again at each episode's start.
    OrnsteinUhlenbeck {
        /// Deviation of a step's push. Range: 0 to 10.
        deviation: f64,
        /// Share of the noise lost each step. Default: 0.15. Range: 0 to 1.
        #[serde(default = "reversion")]
        reversion: f64,
    },
    /// A random linear function of the policy's last hidden layer, drawn anew now and then (Raffin et al. 2021).
    StateDependent {
        /// Deviation. Range: 0 to 10.
        deviation: f64,
        /// Steps until the function is drawn anew. Default: 64. Range: 1 to 10^6.
        #[serde(default = "redraw")]
        every: u32,
    },
}

/// Hyper-parameters of TD3.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Td3Spec {
    /// Environments stepped side by side. Default: 1. Range: 1 to 65536.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 65536))]
    pub envs: u32,
    /// The memory.
    #[serde(default)]
    pub replay: ReplaySpec,
    /// Discount γ. Default: 0.99. Range: 0 to 1.
    #[serde(default = "gamma")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub gamma: f64,
    /// Adam's learning rate. Range: above 0, at most 1.
    pub learning_rate: f64,
    /// How the learning rate changes. Default: `constant`.
    #[serde(default = "constant")]
    pub schedule: Schedule,
    /// Share τ by which targets move after an update of the policy. Default: 0.005. Range: above 0, at most 1.
    #[serde(default = "tau")]
    pub tau: f64,
    /// Updates of the critics to one of the policy. Default: 2. Range: 1 to 100.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 100))]
    pub policy_delay: u32,
    /// Deviation of the noise that smooths the target's action. Default: 0.2. Range: 0 to 10.
    #[serde(default = "fifth")]
    pub target_noise: f64,
    /// Where that noise is cut off. Default: 0.5. Range: 0 to 10.
    #[serde(default = "half")]
    pub target_noise_max: f64,
    /// Noise on actions. Default: Gaussian of deviation 0.1.
    #[serde(default = "small_noise")]
    pub exploration: Exploration,
}

/// Hyper-parameters of SAC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SacSpec {
    /// Environments stepped side by side. Default: 1. Range: 1 to 65536.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 65536))]
    pub envs: u32,
    /// The memory.
    #[serde(default)]
    pub replay: ReplaySpec,
    /// Discount γ. Default: 0.99. Range: 0 to 1.
    #[serde(default = "gamma")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub gamma: f64,
    /// Adam's learning rate. Range: above 0, at most 1.
    pub learning_rate: f64,
    /// How the learning rate changes. Default: `constant`.
    #[serde(default = "constant")]
    pub schedule: Schedule,
    /// Share τ by which targets move after each update. Default: 0.005. Range: above 0, at most 1.
    #[serde(default = "tau")]
    pub tau: f64,
    /// Weight α of the entropy. Default: learned, from 1.
    #[serde(default)]
    pub temperature: Temperature,
    /// Noise on top of the policy's own. Default: none.
    #[serde(default)]
    pub exploration: Option<Exploration>,
}

/// Weight of the entropy in SAC's objective.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Temperature {
    /// As given. Range: above 0, at most 100.
    Fixed(f64),
    /// Learned, so that the entropy comes to a target.
    Automatic {
        /// First value. Default: 1. Range: above 0, at most 100.
        #[serde(default = "unit")]
        initial: f64,
        /// Wanted entropy in nats. Default: minus the number of action components.
        #[serde(default)]
        target_entropy: Option<f64>,
    },
}

impl Default for Temperature {
    fn default() -> Self {
        Self::Automatic { initial: 1.0, target_entropy: None }
    }
}

macro_rules! defaults {
    ($($name:ident: $type:ty = $value:expr;)*) => { $(const fn $name() -> $type { $value })* };
}
defaults! {
    one: u32 = 1;
    two: u32 = 2;
    four: u32 = 4;
    eight: u32 = 8;
    rollout: u32 = 128;
    redraw: u32 = 64;
    gamma: f64 = 0.99;
    lambda: f64 = 0.95;
    tau: f64 = 0.005;
    clip: f64 = 0.2;
    fifth: f64 = 0.2;
    half: f64 = 0.5;
    unit: f64 = 1.0;
    ten: f64 = 10.0;
    hundredth: f64 = 0.01;
    reversion: f64 = 0.15;
    constant: Schedule = Schedule::Constant;
    linear: Schedule = Schedule::Linear;
    double: Bootstrap = Bootstrap::Double;
    plain: QHead = QHead::Plain;
    rarely: TargetUpdate = TargetUpdate::Every(1_000);
    small_noise: Exploration = Exploration::Gaussian { deviation: 0.1 };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_schedule_falls_to_zero_and_a_constant_one_stays() {
        assert!((Schedule::Linear.at(0.2, 0.25) - 0.15).abs() < 1e-15);
        assert_eq!([Schedule::Linear.at(0.2, 1.5), Schedule::Constant.at(0.2, 0.25)], [0.0, 0.2]);
    }
}
