//! Trading one instrument over its history, bar by bar.
//!
//! An action chooses an exposure at the close of bar *t*, by index or as a fraction of the largest allowed; the order it
//! takes fills at the open of *t* + 1; the reward looks at the equity from close to close, after commission, spread,
//! slippage and borrow. The money is that of `venue` and `portfolio`: integers, one fill core with backtest and live.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use features::observation::{self, POSITION_WIDTH, Position};
use market::{BasisPoints, Money, Quantity, Side};
use portfolio::{Portfolio, exposure, exposures, quantity_to_target};
use serde::{Deserialize, Serialize};
use spec::{ActionMode, Digest, EnvSpec, PositionMode, Reward};
use venue::CostModel;

use crate::env::{check_actions, check_lengths, clamp};
use crate::reward::Memory;
use crate::schedule::{SavedSchedule, Schedule};
use crate::{
    ActionSpace, Actions, Autoreset, Bounds, EnvError, Episodes, History, StateError, StepBuffers, StepOutcome,
    VectorEnv,
};

/// Copies of the trading environment, side by side; one entry of each vector a copy.
#[derive(Clone, Debug)]
pub struct TradingEnv {
    history: Arc<History>,
    costs: CostModel,
    positions: PositionMode,
    exposure_max: BasisPoints,
    /// By index, where actions are discrete.
    exposures: Vec<BasisPoints>,
    space: ActionSpace,
    cash: Money,
    reward: Reward,
    /// Digest of all of the above: a state belongs to it.
    identity: Digest,
    schedule: Schedule,
    lanes: Lanes,
}

/// What changes from step to step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lanes {
    clamped: u64,
    /// At the close of the present bar.
    equity: Vec<Money>,
    accounts: Vec<Portfolio>,
    memories: Vec<Memory>,
}

/// What one copy shows, without a copy of its window: the [`History::window`] of `bar`, then `position`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reference {
    /// Bar of the window's last row.
    pub bar: usize,
    /// The trader's own state.
    pub position: Position,
}

impl Reference {
    /// Writes the observation out, `[window × width + 2]`.
    ///
    /// # Panics
    /// When `bar` has no full window in `history` or `out` another length: a caller's bug.
    pub fn write(&self, history: &History, out: &mut [f32]) {
        observation::write(history.window(self.bar), &self.position, out);
    }
}

/// What one step of one copy came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Taken {
    /// What it shows now; after an end, what [`Autoreset`] says.
    pub shown: Reference,
    /// Reward of the step.
    pub reward: f32,
    /// How the step ended.
    pub outcome: StepOutcome,
    /// The last observation of an episode that ended.
    pub last: Option<Reference>,
}

/// The state as saved.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    identity: Digest,
    schedule: SavedSchedule,
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
        let identity = identity(&history, spec, &range, episodes);
        let schedule = Schedule::new(range, [history.ready(), history.bars()], episodes, spec.episode_bars)?;
        let cash = Money::units(i64::from(spec.cash));
        let exposures = exposures(spec.positions, spec.exposure_max_bps);
        let space = match (spec.action, spec.positions) {
            (ActionMode::Discrete, _) => ActionSpace::Discrete(exposures.len()),
            (ActionMode::Continuous, PositionMode::LongFlat) => ActionSpace::Continuous(Bounds::uniform(1, 0.0, 1.0)),
            (ActionMode::Continuous, PositionMode::LongShort) => ActionSpace::Continuous(Bounds::uniform(1, -1.0, 1.0)),
        };
        Ok(Self {
            costs: CostModel::new(spec.costs.clone()),
            positions: spec.positions,
            exposure_max: spec.exposure_max_bps,
            exposures,
            space,
            cash,
            reward: spec.reward,
            identity,
            lanes: Lanes::new(schedule.envs(), cash),
            schedule,
            history,
        })
    }

    /// The same, beginning anew as `autoreset` says; at first that is [`Autoreset::SameStep`].
    #[must_use]
    pub const fn with_autoreset(mut self, autoreset: Autoreset) -> Self {
        self.schedule.set_autoreset(autoreset);
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
        self.schedule.bar(env)
    }

    /// Steps in an episode that does not end in ruin.
    #[must_use]
    pub const fn episode_bars(&self) -> usize {
        self.schedule.episode_bars()
    }

    /// The bars it trades over.
    #[must_use]
    pub const fn history(&self) -> &Arc<History> {
        &self.history
    }

    /// The exposure that copy `env`'s action asks for; counted when it lay outside the space.
    fn target(&mut self, actions: Actions<'_>, env: usize) -> BasisPoints {
        let (target, outside) = match &self.space {
            ActionSpace::Discrete(number) => {
                let (action, outside) = clamp(actions.discrete()[env], *number);
                (self.exposures[action], outside)
            }
            ActionSpace::Continuous(bounds) => {
                let (fraction, outside) = bounds.clamp(0, actions.continuous()[env]);
                (exposure(self.positions, self.exposure_max, fraction), outside)
            }
        };
        self.lanes.clamped += u64::from(outside);
        target
    }

    /// Takes one action in one copy, or begins its next episode where that is due.
    fn take(&mut self, actions: Actions<'_>, env: usize) -> Taken {
        if self.schedule.begins(env) {
            self.renew(env);
            return Taken { shown: self.shown(env), reward: 0.0, outcome: StepOutcome::Continues, last: None };
        }
        let target = self.target(actions, env);
        let (reward, outcome) = self.advance(env, target);
        let shown = self.shown(env);
        if !outcome.is_end() {
            return Taken { shown, reward, outcome, last: None };
        }
        let last = Some(shown);
        if self.autoreset() == Autoreset::SameStep {
            self.renew(env);
        }
        Taken { shown: self.shown(env), reward, outcome, last }
    }

    fn renew(&mut self, env: usize) {
        self.schedule.renew(env);
        self.lanes.accounts[env] = Portfolio::new(self.cash);
        self.lanes.equity[env] = self.cash;
        self.lanes.memories[env] = Memory::new(self.cash);
    }

    /// [`VectorEnv::step`] without the windows: a learner that holds the feature matrix gathers them itself.
    ///
    /// # Panics
    /// As [`VectorEnv::step`]; `taken` is `[envs]`.
    pub fn step_by_reference(&mut self, actions: Actions<'_>, taken: &mut [Taken]) {
        check_actions(self, actions);
        assert_eq!(taken.len(), self.envs(), "what is taken is [envs]");
        for (env, taken) in taken.iter_mut().enumerate() {
            *taken = self.take(actions, env);
        }
    }

    /// Takes one copy to the close of its next bar.
    fn advance(&mut self, env: usize, target: BasisPoints) -> (f32, StepOutcome) {
        let (history, lanes) = (&*self.history, &mut self.lanes);
        let (instrument, account, bar) = (history.instrument(), &mut lanes.accounts[env], self.schedule.bar(env));
        let quantity = quantity_to_target(account, instrument, &self.costs, target, history.close(bar));
        if quantity != Quantity(0) {
            let side = if quantity > Quantity(0) { Side::Buy } else { Side::Sell };
            let (price, fee) = self.costs.trade(instrument, side, quantity, history.open(bar + 1));
            account.book(instrument, quantity, price, fee);
        }
        let equity = account.close_bar(instrument, &self.costs, history.close(bar + 1), history.bars_per_year());
        let reward = lanes.memories[env].reward(self.reward, lanes.equity[env], equity);
        lanes.equity[env] = equity;
        let outcome = self.schedule.advance(env, equity);
        (reward as f32, outcome)
    }

    /// What a copy shows at present.
    ///
    /// # Panics
    /// When there is no such copy.
    #[must_use]
    pub fn shown(&self, env: usize) -> Reference {
        let bar = self.schedule.bar(env);
        let (exposure, unrealised) = self.lanes.accounts[env].view(self.history.instrument(), self.history.close(bar));
        Reference { bar, position: Position { exposure, unrealised } }
    }
}

impl Lanes {
    fn new(envs: usize, cash: Money) -> Self {
        Self {
            clamped: 0,
            equity: vec![cash; envs],
            accounts: vec![Portfolio::new(cash); envs],
            memories: vec![Memory::new(cash); envs],
        }
    }

    fn fits(&self, envs: usize) -> bool {
        [self.equity.len(), self.accounts.len(), self.memories.len()] == [envs; 3]
    }
}

fn identity(history: &History, spec: &EnvSpec, range: &Range<usize>, episodes: Episodes) -> Digest {
    let parts = (history.digest(), spec, range, episodes);
    Digest::of(&serde_json::to_vec(&parts).expect("plain data has a JSON form"))
}

impl fmt::Display for TradingEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.schedule.range();
        write!(f, "trading({} bars {start}..{end} × {})", self.history.instrument().symbol(), self.envs())
    }
}

impl VectorEnv for TradingEnv {
    fn envs(&self) -> usize {
        self.schedule.envs()
    }

    fn observation_width(&self) -> usize {
        self.history.window_width() + POSITION_WIDTH
    }

    fn action_space(&self) -> &ActionSpace {
        &self.space
    }

    fn autoreset(&self) -> Autoreset {
        self.schedule.autoreset()
    }

    fn reset(&mut self, seed: u64, observations: &mut [f32]) {
        self.schedule.restart(seed);
        self.lanes = Lanes::new(self.envs(), self.cash);
        self.observe(observations);
    }

    fn step(&mut self, actions: Actions<'_>, out: StepBuffers<'_>) {
        check_lengths(self, actions, &out);
        let width = self.observation_width();
        for env in 0..self.envs() {
            let taken = self.take(actions, env);
            let row = env * width..(env + 1) * width;
            (out.rewards[env], out.outcomes[env]) = (taken.reward, taken.outcome);
            taken.shown.write(&self.history, &mut out.observations[row.clone()]);
            if let Some(last) = taken.last {
                last.write(&self.history, &mut out.final_observations[row]);
            }
        }
    }

    fn observe(&self, observations: &mut [f32]) {
        let width = self.observation_width();
        assert_eq!(observations.len(), self.envs() * width, "observations are [envs × width]");
        for (env, row) in observations.chunks_exact_mut(width).enumerate() {
            self.shown(env).write(&self.history, row);
        }
    }

    fn clamped(&self) -> u64 {
        self.lanes.clamped
    }

    fn state(&self) -> Vec<u8> {
        let saved = Saved { identity: self.identity, schedule: self.schedule.saved(), lanes: self.lanes.clone() };
        serde_json::to_vec(&saved).expect("plain data has a JSON form")
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), StateError> {
        let saved: Saved =
            serde_json::from_slice(state).map_err(|source| StateError::Unreadable { env: self.to_string(), source })?;
        let foreign = |why: &str| StateError::Foreign { env: self.to_string(), why: why.to_owned() };
        if saved.identity != self.identity {
            return Err(foreign("it was saved over other data or settings"));
        }
        if !saved.lanes.fits(self.envs()) || !self.schedule.fits(&saved.schedule, &saved.lanes.equity) {
            return Err(foreign("its episodes are not of this range or mode"));
        }
        self.schedule.restore(saved.schedule);
        self.lanes = saved.lanes;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
