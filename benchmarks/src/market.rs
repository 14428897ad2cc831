//! An agent on a made-up market, one with a signal that pays after costs or one of noise alone, beside an oracle: the best
//! policy by ln wealth among short, flat and long.
//!
//! A signal s, first-order autoregressive with unit variance, is all that is seen of the market. Where it is planted,
//! the log return of the next bar is edge·s + σ·ε − ½σ², where it is not, σ·ε − ½σ². A decision on a bar fills at the
//! open of the next, which is where the bar closed.

mod oracle;
mod world;

use std::fmt;
use std::str::FromStr;

use envs::{Buffers, VectorEnv};
use models::{ModelError, Predictor};
use serde::{Deserialize, Serialize};
use spec::{ActionMode, Algorithm, BenchmarkSpec, BundleId, Digest, EnvSpec, Output, canonical_json};
use trainer::{Problem, TrainError, Window, learn};

use crate::evaluation::Hands;
use crate::watch::Watch;
use oracle::Oracle;
pub use world::MadeUp;

/// Deviation of a bar's log return that nobody foresees.
pub(crate) const SIGMA: f64 = 0.01;

/// Log return by which a signal of 1 moves the next bar, where one is planted.
pub(crate) const EDGE: f64 = 0.004;

/// Correlation of the signal from bar to bar.
pub(crate) const PERSISTENCE: f64 = 0.9;

/// Bars of an episode: each is a market of its own.
pub(crate) const EPISODE_BARS: u32 = 128;

/// Episodes of the final test, and the seed of their draw: training never uses it.
const TEST_EPISODES: usize = 128;
const TEST_SEED: u64 = 999_983;

/// Bars in a year.
const YEAR: f64 = 252.0;

/// What can be known of a market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MarketKind {
    /// The next bar's return, in part.
    PlantedSignal,
    /// Nothing.
    PureNoise,
}

impl MarketKind {
    /// Log return by which a signal of 1 moves the next bar.
    const fn edge(self) -> f64 {
        match self {
            Self::PlantedSignal => EDGE,
            Self::PureNoise => 0.0,
        }
    }

    /// As the command line has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PlantedSignal => "planted-signal",
            Self::PureNoise => "pure-noise",
        }
    }
}

impl fmt::Display for MarketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no such market.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no market `{0}`: use planted-signal or pure-noise")]
pub struct UnknownMarket(String);

impl FromStr for MarketKind {
    type Err = UnknownMarket;

    fn from_str(text: &str) -> Result<Self, UnknownMarket> {
        let known = [Self::PlantedSignal, Self::PureNoise];
        known.into_iter().find(|kind| kind.name() == text).ok_or_else(|| UnknownMarket(text.to_owned()))
    }
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum MarketError {
    /// Training failed.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The policy cannot be asked.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The recipe is for something else.
    #[error(
        "a recipe for a made-up market has `env: {NAME}`, `agent.window: 1` and no `shows`, not {env} and {window}"
    )]
    Recipe {
        /// What it is for.
        env: String,
        /// Its window.
        window: u32,
    },
}

impl MarketError {
    /// Whether the recipe is at fault.
    #[must_use]
    pub const fn is_bad_input(&self) -> bool {
        match self {
            Self::Recipe { .. } | Self::Train(TrainError::Actions { .. }) => true,
            Self::Train(_) | Self::Model(_) => false,
        }
    }
}

/// What a policy made of the test's bars.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Record {
    /// Annualised Sharpe ratio of the bars' log returns, after costs.
    pub sharpe: f64,
    /// Mean of |position value| over equity, at the bars' closes.
    pub mean_abs_position: f64,
    /// Mean change of the position's value over equity in a bar, drift included.
    pub turnover: f64,
}

/// What one seed came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MarketFigures {
    /// Which seed.
    pub seed: u64,
    /// The agent, by the weights that its recipe keeps.
    pub agent: Record,
    /// The policy that knows the signal's law, found by dynamic programming.
    pub oracle: Record,
    /// The agent's Sharpe ratio over the oracle's; null where the oracle holds nothing.
    pub share: Option<f64>,
    /// Actions outside the space in training, taken as the nearest inside.
    pub clamped_actions: u64,
    /// CPU seconds of training.
    pub cpu_s: f64,
}

/// How an algorithm names a position.
const fn action_mode(algorithm: &Algorithm) -> ActionMode {
    match algorithm {
        Algorithm::Ppo(_) | Algorithm::Dqn(_) => ActionMode::Discrete,
        Algorithm::Td3(_) | Algorithm::Sac(_) => ActionMode::Continuous,
    }
}

/// Trains by `recipe` with `seed`, then trades the test's episodes beside the oracle.
///
/// # Errors
/// [`MarketError`].
pub fn run(recipe: &BenchmarkSpec, kind: MarketKind, seed: u64) -> Result<MarketFigures, MarketError> {
    if recipe.env != NAME || recipe.agent.window != 1 || recipe.shows.is_some() {
        return Err(MarketError::Recipe { env: recipe.env.clone(), window: recipe.agent.window });
    }
    let action = action_mode(&recipe.agent.algorithm);
    let taught = |copies: u32| Box::new(MadeUp::new(kind, world::taught(action), copies as usize));
    let evaluation = &recipe.agent.evaluation;
    let problem = Problem {
        task: recipe.agent.clone(),
        model: recipe.model.clone(),
        window: Window { steps: 1, width: 1 },
        seed,
        env: taught(recipe.agent.algorithm.envs()),
        evaluation: (evaluation.times > 0).then(|| taught(evaluation.episodes) as _),
        identity: Digest::of(&canonical_json(&(recipe, kind.name(), seed))),
    };
    let mut watch = Watch::new(0);
    let learned = learn(problem, None, &mut watch)?.expect("the watch asks nobody to stop");
    let cpu_s = watch.elapsed().cpu_s;
    let weights = learned.kept(evaluation.keep);
    let policy = Predictor::from_parts(&learned.network, weights, BundleId(Digest::of(weights)))?;
    let agent = trade(&mut MadeUp::new(kind, world::terms(action), TEST_EPISODES), |rows, hands| {
        hands.take(policy.predict(rows)?);
        Ok(())
    })?;
    let oracle = known(kind, &world::terms(ActionMode::Discrete));
    let share = (oracle.mean_abs_position > 0.0).then(|| agent.sharpe / oracle.sharpe);
    Ok(MarketFigures { seed, agent, oracle, share, clamped_actions: learned.clamped, cpu_s })
}

/// What recipes call it.
pub const NAME: &str = "made-up-market";

/// What the oracle makes of the test's bars.
fn known(kind: MarketKind, terms: &EnvSpec) -> Record {
    let oracle = Oracle::new(kind.edge(), world::cost(terms));
    let mut env = MadeUp::new(kind, terms.clone(), TEST_EPISODES);
    let traded = trade(&mut env, |rows, hands| {
        let decide = |row: &&[f32]| {
            let action = oracle.action(f64::from(row[0]), f64::from(row[1]));
            Output::Policy { action, probabilities: Vec::new() }
        };
        hands.take(rows.iter().map(decide).collect());
        Ok(())
    });
    traded.expect("an oracle always answers")
}

/// One episode in each copy, by the actions that `decide` puts into the hands.
fn trade(
    env: &mut MadeUp,
    mut decide: impl FnMut(&[&[f32]], &mut Hands) -> Result<(), ModelError>,
) -> Result<Record, ModelError> {
    let (width, mut buffers, mut hands) = (env.observation_width(), Buffers::new(env), Hands::new(env));
    env.reset(TEST_SEED, &mut buffers.observations);
    let (mut ended, mut returns) = (vec![false; env.envs()], Vec::new());
    let (mut held, mut turned) = (0.0, 0.0);
    while ended.contains(&false) {
        let rows: Vec<&[f32]> = buffers.observations.chunks_exact(width).collect();
        decide(&rows, &mut hands)?;
        let before: Vec<f64> = rows.iter().map(|row| f64::from(row[1])).collect();
        env.step(hands.actions(), buffers.lend());
        for (copy, ended) in ended.iter_mut().enumerate().filter(|(_, ended)| !**ended) {
            *ended = buffers.outcomes[copy].is_end();
            let shown = if *ended { &buffers.final_observations } else { &buffers.observations };
            let exposure = f64::from(shown[copy * width + 1]);
            returns.push(f64::from(buffers.rewards[copy]));
            held += exposure.abs();
            turned += (exposure - before[copy]).abs();
        }
    }
    let bars = returns.len() as f64;
    let sharpe = statistics::sharpe(&returns) * YEAR.sqrt();
    Ok(Record { sharpe, mean_abs_position: held / bars, turnover: turned / bars })
}

#[cfg(test)]
mod tests;
