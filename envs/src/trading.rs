//! Trading one instrument over its history, bar by bar.
//!
//! An action chooses an exposure at the close of bar *t*; the order it takes fills at the open of *t* + 1; the reward is
//! the change of ln(equity) from close to close, after commission, spread, slippage and borrow. The money is that of
//! `venue` and `portfolio`: integers, one fill core with backtest and live.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use features::observation::{self, POSITION_WIDTH, Position};
use market::{BasisPoints, Money, Quantity, Side};
use portfolio::{Portfolio, exposures, quantity_to_target};
use serde::{Deserialize, Serialize};
use spec::{Digest, EnvSpec, Reward};
use venue::CostModel;

use crate::draws::Draws;
use crate::env::{check_lengths, clamp};
use crate::{ActionSpace, Actions, Autoreset, EnvError, History, StateError, StepBuffers, StepOutcome, VectorEnv};

/// Where episodes start and how long they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Episodes {
    /// For training: `episode_bars` of the spec, or all there are if fewer, from a start drawn for each episode.
    Random {
        /// Copies side by side.
        envs: usize,
    },
    /// For evaluation: one copy, once over the whole range, again and again.
    OnePass,
}

/// Copies of the trading environment, side by side; one entry of each vector a copy.
#[derive(Clone, Debug)]
pub struct TradingEnv {
    history: Arc<History>,
    costs: CostModel,
    exposures: Vec<BasisPoints>,
    space: ActionSpace,
    cash: Money,
    reward: Reward,
    range: Range<usize>,
    episodes: Episodes,
    episode_bars: usize,
    autoreset: Autoreset,
    /// Digest of all of the above: a state belongs to it.
    identity: Digest,
    draws: Draws,
    lanes: Lanes,
}

/// What changes from step to step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lanes {
    clamped: u64,
    /// Bar whose close was seen last.
    bars: Vec<usize>,
    /// Last bar of the episode.
    ends: Vec<usize>,
    /// Episodes begun before the present one.
    episodes: Vec<u64>,
    /// At the close of the present bar.
    equity: Vec<Money>,
    accounts: Vec<Portfolio>,
}

/// The state as saved.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    identity: Digest,
    seed: u64,
    lanes: Lanes,
}

impl TradingEnv {
    /// An environment over the bars of `range`: the first decision is taken on its first bar at the earliest, the last
    /// fill and mark happen on its last bar at the latest.
    ///
    /// # Errors
    /// [`EnvError::Range`] when the range holds no step with a full window, [`EnvError::NoEnvs`].
    pub fn new(
        history: Arc<History>,
        spec: &EnvSpec,
        range: Range<usize>,
        episodes: Episodes,
    ) -> Result<Self, EnvError> {
        let (ready, bars) = (history.ready(), history.bars());
        if range.start < ready || range.end > bars || range.len() < 2 {
            return Err(EnvError::Range { range, ready, bars });
        }
        let whole = range.len() - 1;
        let (envs, episode_bars) = match episodes {
            Episodes::Random { envs: 0 } => return Err(EnvError::NoEnvs),
            Episodes::Random { envs } => (envs, whole.min((spec.episode_bars as usize).max(1))),
            Episodes::OnePass => (1, whole),
        };
        let cash = Money::units(i64::from(spec.cash));
        let exposures = exposures(spec.positions, spec.exposure_max_bps);
        let identity = identity(&history, spec, &range, episodes);
        let mut env = Self {
            costs: CostModel::new(spec.costs.clone()),
            space: ActionSpace::Discrete(exposures.len()),
            exposures,
            cash,
            reward: spec.reward,
            range,
            episodes,
            episode_bars,
            autoreset: Autoreset::SameStep,
            identity,
            draws: Draws::new(0),
            lanes: Lanes::new(envs, cash),
            history,
        };
        env.restart(0);
        Ok(env)
    }

    /// The same environment with another time for the episode after an end to begin.
    #[must_use]
    pub fn with_autoreset(mut self, autoreset: Autoreset) -> Self {
        if autoreset != self.autoreset {
            let parts = (self.identity, autoreset);
            self.identity = Digest::of(&serde_json::to_vec(&parts).expect("plain data has a JSON form"));
            self.autoreset = autoreset;
        }
        self
    }

    /// The account of a copy.
    ///
    /// # Panics
    /// When there is no such copy; likewise [`TradingEnv::equity`] and [`TradingEnv::bar`].
    #[must_use]
    pub fn account(&self, env: usize) -> &Portfolio {
        &self.lanes.accounts[env]
    }

    /// A copy's equity at the close of its present bar.
    #[must_use]
    pub fn equity(&self, env: usize) -> Money {
        self.lanes.equity[env]
    }

    /// Index of the bar that a copy decides on next.
    #[must_use]
    pub fn bar(&self, env: usize) -> usize {
        self.lanes.bars[env]
    }

    /// Steps in an episode that does not end in ruin.
    #[must_use]
    pub const fn episode_bars(&self) -> usize {
        self.episode_bars
    }

    /// The bars it trades over.
    #[must_use]
    pub const fn history(&self) -> &Arc<History> {
        &self.history
    }

    fn restart(&mut self, seed: u64) {
        self.draws = Draws::new(seed);
        self.lanes = Lanes::new(self.lanes.bars.len(), self.cash);
        for env in 0..self.lanes.bars.len() {
            self.begin(env);
        }
    }

    /// Starts the episode that `lanes.episodes` counts.
    fn begin(&mut self, env: usize) {
        let starts = self.range.len() - self.episode_bars;
        let start = match self.episodes {
            Episodes::Random { .. } => self.range.start + self.draws.below(env, self.lanes.episodes[env], starts),
            Episodes::OnePass => self.range.start,
        };
        self.lanes.bars[env] = start;
        self.lanes.ends[env] = start + self.episode_bars;
        self.lanes.accounts[env] = Portfolio::new(self.cash);
        self.lanes.equity[env] = self.cash;
    }

    /// Takes one copy to the close of its next bar.
    fn advance(&mut self, env: usize, target: BasisPoints) -> (f32, StepOutcome) {
        let (history, lanes) = (&*self.history, &mut self.lanes);
        let (instrument, account, bar) = (history.instrument(), &mut lanes.accounts[env], lanes.bars[env]);
        let quantity = quantity_to_target(account, instrument, &self.costs, target, history.close(bar));
        if quantity != Quantity(0) {
            let side = if quantity > Quantity(0) { Side::Buy } else { Side::Sell };
            let (price, fee) = self.costs.trade(instrument, side, quantity, history.open(bar + 1));
            account.book(instrument, quantity, price, fee);
        }
        let equity = account.close_bar(instrument, &self.costs, history.close(bar + 1), history.bars_per_year());
        let reward = match self.reward {
            // What is left of a ruined account counts as one millionth: the logarithm stays finite.
            Reward::LogReturn => (equity.max(Money(1)).as_f64() / lanes.equity[env].as_f64()).ln(),
        };
        lanes.equity[env] = equity;
        lanes.bars[env] = bar + 1;
        let outcome = if equity <= Money(0) {
            StepOutcome::Terminated
        } else if bar + 1 == lanes.ends[env] {
            StepOutcome::Truncated
        } else {
            StepOutcome::Continues
        };
        (reward as f32, outcome)
    }

    /// Whether a copy's episode has ended and the next is still to begin.
    fn is_over(&self, env: usize) -> bool {
        self.lanes.bars[env] == self.lanes.ends[env] || self.lanes.equity[env] <= Money(0)
    }

    /// Starts the episode after the present one.
    fn begin_next(&mut self, env: usize) {
        self.lanes.episodes[env] += 1;
        self.begin(env);
    }

    fn show(&self, env: usize, out: &mut [f32]) {
        let bar = self.lanes.bars[env];
        let (exposure, unrealised) = self.lanes.accounts[env].view(self.history.instrument(), self.history.close(bar));
        observation::write(self.history.window(bar), &Position { exposure, unrealised }, out);
    }
}

impl Lanes {
    fn new(envs: usize, cash: Money) -> Self {
        Self {
            clamped: 0,
            bars: vec![0; envs],
            ends: vec![0; envs],
            episodes: vec![0; envs],
            equity: vec![cash; envs],
            accounts: vec![Portfolio::new(cash); envs],
        }
    }

    /// Whether every copy is somewhere inside an episode of `range`; at its end only where the next begins a step later.
    fn fits(&self, envs: usize, range: &Range<usize>, autoreset: Autoreset) -> bool {
        let lengths = [self.bars.len(), self.ends.len(), self.episodes.len(), self.equity.len(), self.accounts.len()];
        let may_be_over = autoreset == Autoreset::NextStep;
        let inside = |(bar, end): (&usize, &usize)| {
            range.start <= *bar && *end < range.end && (bar < end || (may_be_over && bar == end))
        };
        lengths == [envs; 5]
            && self.bars.iter().zip(&self.ends).all(inside)
            && (may_be_over || self.equity.iter().all(|equity| *equity > Money(0)))
    }
}

fn identity(history: &History, spec: &EnvSpec, range: &Range<usize>, episodes: Episodes) -> Digest {
    let parts = (history.digest(), spec, range, episodes);
    Digest::of(&serde_json::to_vec(&parts).expect("plain data has a JSON form"))
}

impl fmt::Display for TradingEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.range;
        write!(f, "trading({} bars {start}..{end} × {})", self.history.instrument().symbol(), self.envs())
    }
}

impl VectorEnv for TradingEnv {
    fn envs(&self) -> usize {
        self.lanes.bars.len()
    }

    fn observation_width(&self) -> usize {
        self.history.window_width() + POSITION_WIDTH
    }

    fn action_space(&self) -> &ActionSpace {
        &self.space
    }

    fn autoreset(&self) -> Autoreset {
        self.autoreset
    }

    fn reset(&mut self, seed: u64, observations: &mut [f32]) {
        self.restart(seed);
        self.observe(observations);
    }

    fn step(&mut self, actions: Actions<'_>, out: StepBuffers<'_>) {
        check_lengths(self, actions, &out);
        let width = self.observation_width();
        let rows = out.observations.chunks_exact_mut(width).zip(out.final_observations.chunks_exact_mut(width));
        let results = out.rewards.iter_mut().zip(out.outcomes.iter_mut());
        for (env, (((shown, last), (reward, outcome)), action)) in rows.zip(results).zip(actions.discrete()).enumerate()
        {
            if self.is_over(env) {
                self.begin_next(env);
                (*reward, *outcome) = (0.0, StepOutcome::Continues);
                self.show(env, shown);
                continue;
            }
            let (action, outside) = clamp(*action, self.exposures.len());
            self.lanes.clamped += u64::from(outside);
            (*reward, *outcome) = self.advance(env, self.exposures[action]);
            if outcome.is_end() {
                self.show(env, last);
                if self.autoreset == Autoreset::SameStep {
                    self.begin_next(env);
                }
            }
            self.show(env, shown);
        }
    }

    fn observe(&self, observations: &mut [f32]) {
        let width = self.observation_width();
        assert_eq!(observations.len(), self.envs() * width, "observations are [envs × width]");
        for (env, row) in observations.chunks_exact_mut(width).enumerate() {
            self.show(env, row);
        }
    }

    fn clamped(&self) -> u64 {
        self.lanes.clamped
    }

    fn state(&self) -> Vec<u8> {
        let saved = Saved { identity: self.identity, seed: self.draws.seed(), lanes: self.lanes.clone() };
        serde_json::to_vec(&saved).expect("plain data has a JSON form")
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), StateError> {
        let saved: Saved =
            serde_json::from_slice(state).map_err(|source| StateError::Unreadable { env: self.to_string(), source })?;
        let foreign = |why: &str| StateError::Foreign { env: self.to_string(), why: why.to_owned() };
        if saved.identity != self.identity {
            return Err(foreign("it was saved over other data or settings"));
        }
        if !saved.lanes.fits(self.envs(), &self.range, self.autoreset) {
            return Err(foreign("its episodes lie outside the range"));
        }
        self.draws = Draws::new(saved.seed);
        self.lanes = saved.lanes;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
