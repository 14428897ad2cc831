//! An algorithm on an environment by a recipe, seed after seed.

use envs::{Autoreset, Classic, ClassicKind, UnknownClassic, VectorEnv, Windowed};
use models::{ModelError, Predictor};
use spec::{Algorithm, BenchmarkSpec, BundleId, Digest, canonical_json};
use trainer::{Problem, TrainError, Window, learn};

use crate::clock::Elapsed;
use crate::evaluation::{Starts, returns};
use crate::flops;
use crate::watch::Watch;

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum BenchmarkError {
    /// There is no such environment.
    #[error(transparent)]
    Env(#[from] UnknownClassic),
    /// The recipe shows what is not there, or nothing.
    #[error("`shows` of {env} lists components 0 to {}, at least one", width - 1)]
    Shows {
        /// Of which problem.
        env: ClassicKind,
        /// Components of its observation.
        width: usize,
    },
    /// Training failed.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The policy cannot be asked.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl BenchmarkError {
    /// Whether the recipe is at fault.
    #[must_use]
    pub const fn is_bad_input(&self) -> bool {
        match self {
            Self::Env(_) | Self::Shows { .. } | Self::Train(TrainError::Actions { .. }) => true,
            Self::Train(_) | Self::Model(_) => false,
        }
    }
}

/// What one seed came to.
#[derive(Clone, Debug, PartialEq)]
pub struct SeedFigures {
    /// Which seed.
    pub seed: u64,
    /// Returns of the last weights.
    pub last: Vec<f64>,
    /// Returns of the best validated weights, on the same episodes; `None` where nothing was validated.
    pub best: Option<Vec<f64>>,
    /// Mean of optimum − return of the last weights, where an optimum is known.
    pub regret: Option<f64>,
    /// The same of the best validated weights.
    pub best_regret: Option<f64>,
    /// All of training.
    pub elapsed: Elapsed,
    /// Training from the first update on, evaluations left out where there are none.
    pub learning: Elapsed,
    /// Environment steps in that time.
    pub steps_learning: u64,
    /// Environment steps in all.
    pub steps: u64,
    /// Updates of the weights.
    pub updates: u64,
    /// Operations of an update.
    pub flops_per_update: f64,
    /// Actions outside the space, which the environment took as the nearest inside.
    pub clamped: u64,
    /// SHA-256 of weights, optimiser, memory and environment at the end.
    pub state: Digest,
    /// SHA-256 of the last weights.
    pub weights: Digest,
}

/// Trains by `recipe` with `seed`, then plays from `starts`.
///
/// # Errors
/// [`BenchmarkError`].
pub fn run(recipe: &BenchmarkSpec, seed: u64, starts: &Starts) -> Result<SeedFigures, BenchmarkError> {
    let kind: ClassicKind = recipe.env.parse()?;
    let envs = recipe.agent.algorithm.envs();
    let copies = |count: u32| seen(Classic::new(kind, count as usize, Autoreset::SameStep), recipe);
    let env = copies(envs)?;
    let evaluation = &recipe.agent.evaluation;
    let judged = (evaluation.times > 0).then(|| copies(evaluation.episodes)).transpose()?;
    let width = env.observation_width() / recipe.agent.window as usize;
    let problem = Problem {
        task: recipe.agent.clone(),
        model: recipe.model.clone(),
        window: Window { steps: recipe.agent.window as usize, width },
        seed,
        env,
        evaluation: judged,
        identity: Digest::of(&canonical_json(&(recipe, seed))),
    };
    let mut watch = Watch::new(first_update(&recipe.agent.algorithm));
    let learned = learn(problem, None, &mut watch)?.expect("the watch asks nobody to stop");
    let (elapsed, (learning, from)) = (watch.elapsed(), watch.learning());
    let play = |weights: &[u8]| -> Result<_, BenchmarkError> {
        let mut fresh = Classic::new(kind, starts.len(), Autoreset::SameStep);
        starts.place(&mut fresh);
        let policy = Predictor::from_parts(&learned.network, weights, BundleId(Digest::of(weights)))?;
        Ok(returns(&mut *seen(fresh, recipe)?, &policy)?)
    };
    let last = play(&learned.last)?;
    let best = learned.best.as_ref().map(|(weights, _)| play(weights)).transpose()?;
    Ok(SeedFigures {
        seed,
        regret: starts.regret(&last),
        best_regret: best.as_deref().and_then(|best| starts.regret(best)),
        last,
        best,
        elapsed,
        learning,
        steps_learning: learned.steps - from,
        flops_per_update: flops::update(&recipe.agent.algorithm, &learned.network, envs as usize),
        weights: Digest::of(&learned.last),
        clamped: learned.clamped,
        state: learned.state,
        steps: learned.steps,
        updates: learned.updates,
    })
}

/// `env` as the recipe shows it.
fn seen(env: Classic, recipe: &BenchmarkSpec) -> Result<Box<dyn VectorEnv>, BenchmarkError> {
    let (window, width) = (recipe.agent.window as usize, env.observation_width());
    let keep = recipe.shows.clone().unwrap_or_else(|| (0..width).collect());
    if keep.is_empty() || keep.iter().any(|component| *component >= width) {
        return Err(BenchmarkError::Shows { env: env.kind(), width });
    }
    let whole = window == 1 && recipe.shows.is_none();
    Ok(if whole { Box::new(env) } else { Box::new(Windowed::new(Box::new(env), window, keep)) })
}

/// Environment steps before the first update.
const fn first_update(algorithm: &Algorithm) -> u64 {
    match algorithm {
        Algorithm::Ppo(_) => 0,
        Algorithm::Dqn(dqn) => dqn.replay.starts,
        Algorithm::Td3(td3) => td3.replay.starts,
        Algorithm::Sac(sac) => sac.replay.starts,
    }
}
