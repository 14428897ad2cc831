//! Population-based training: a child goes on with its parent's weights, optimiser and memory, so only what a learner reads
//! anew at each step may differ between them.

use crate::problem::Finding;
use crate::{Algorithm, ExperimentSpec, Pruner, Sampler, TaskSpec};

/// What a forecaster may go on with changed.
const FORECASTER: &[&str] = &[
    "task.supervised.batch",
    "task.supervised.gradient_norm_max",
    "task.supervised.learning_rate",
    "task.supervised.patience",
    "task.supervised.return_weight",
    "task.supervised.weight_decay",
    "model.cnn_lstm.dropout",
    "strategy.edge_min",
    "strategy.exposure_bps",
];

// Of agents, below `task.rl.algorithm.NAME`. Left out on purpose: the discount, which the reward's running scale holds; what
// only decides how training begins; a fixed temperature and the interval of target copies, which checkpoints hold.
const PPO: &[&str] = &[
    "clip",
    "clip_schedule",
    "entropy",
    "epochs",
    "gradient_norm_max",
    "lambda",
    "learning_rate",
    "minibatches",
    "schedule",
    "target_kl",
    "value",
    "value_clip",
];
const DQN: &[&str] = &[
    "bootstrap",
    "epsilon.end",
    "epsilon.fraction",
    "epsilon.start",
    "gradient_norm_max",
    "learning_rate",
    "replay.batch",
    "replay.every",
    "replay.updates",
    "schedule",
    "target.polyak",
];
const TD3: &[&str] = &[
    "exploration.gaussian.deviation",
    "exploration.ornstein_uhlenbeck.deviation",
    "exploration.ornstein_uhlenbeck.reversion",
    "exploration.state_dependent.deviation",
    "learning_rate",
    "policy_delay",
    "replay.batch",
    "replay.every",
    "replay.updates",
    "schedule",
    "target_noise",
    "target_noise_max",
    "tau",
];
const SAC: &[&str] = &[
    "exploration.gaussian.deviation",
    "exploration.ornstein_uhlenbeck.deviation",
    "exploration.ornstein_uhlenbeck.reversion",
    "exploration.state_dependent.deviation",
    "learning_rate",
    "replay.batch",
    "replay.every",
    "replay.updates",
    "schedule",
    "tau",
    "temperature.automatic.target_entropy",
];

/// What is wrong with a population; nothing for any other pruner.
pub(super) fn findings(spec: &ExperimentSpec) -> Vec<Finding> {
    let Pruner::Population { quantile, .. } = spec.sweep.pruner else { return Vec::new() };
    let (sweep, mut findings) = (&spec.sweep, Vec::new());
    let changes = changeable(&spec.task);
    for path in sweep.space.keys().filter(|path| !changes.contains(path)) {
        let why = "a child goes on with the weights, memory and data of its parent";
        let hint = format!("fix it, or sweep what may change on the way: {}", changes.join(", "));
        let what = format!("`{path}` cannot change in a population");
        findings.push(Finding::new(format!("sweep.space.{path}"), what, why, hint).at_key());
    }
    if sweep.sampler == Sampler::Grid {
        let why = "children lie between the points of a grid";
        findings.push(Finding::new("sweep.sampler", "`grid` for a population", why, "use `sobol` or `random`"));
    }
    if sweep.seeds.len() > 1 {
        let why = "a child goes on with the seed of its parent";
        findings.push(Finding::new("sweep.seeds", "several seeds for a population", why, "name one"));
    }
    if (f64::from(sweep.batch) * quantile) < 1.0 {
        let what = format!("a population of {} with a quantile of {quantile}", sweep.batch);
        let hint = format!("use a batch of {} or more", (1.0 / quantile).ceil());
        findings.push(Finding::new("sweep.batch", what, "nobody would ever be replaced", hint));
    }
    findings
}

fn changeable(task: &TaskSpec) -> Vec<String> {
    let TaskSpec::Rl(task) = task else { return FORECASTER.iter().map(|path| (*path).to_owned()).collect() };
    let fields = match &task.algorithm {
        Algorithm::Ppo(_) => PPO,
        Algorithm::Dqn(_) => DQN,
        Algorithm::Td3(_) => TD3,
        Algorithm::Sac(_) => SAC,
    };
    fields.iter().map(|field| format!("task.rl.algorithm.{}.{field}", task.algorithm.name())).collect()
}
