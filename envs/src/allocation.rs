//! Dividing one account among several assets, bar by bar.
//!
//! An action is a wanted weight for each asset, taken at the close of bar *t* as a fraction of the largest allowed gross
//! exposure; the orders fill at the open of *t* + 1. Turnover pays commission, spread and slippage, shorts pay borrow. Each
//! asset has a [`Portfolio`] of its own that starts with no cash, so its equity is what it has gained or lost; the account is
//! worth its starting cash and the sum of these.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use market::{BasisPoints, Money, Quantity, Side};
use portfolio::{Portfolio, Standing};
use serde::{Deserialize, Serialize};
use spec::{Digest, EnvSpec, PositionMode, Reward};
use venue::CostModel;

use crate::env::check_lengths;
use crate::reward::Memory;
use crate::schedule::{SavedSchedule, Schedule};
use crate::{
    ActionSpace, Actions, Autoreset, Bounds, EnvError, Episodes, History, StateError, StepBuffers, StepOutcome,
    VectorEnv,
};

/// Copies of the allocation environment, side by side.
///
/// # Shapes
/// An action is `[assets]`; an observation each asset's window, asset by asset, then the present weights: position value over
/// the account's equity, `[assets]`.
#[derive(Clone, Debug)]
pub struct AllocationEnv {
    assets: Vec<Arc<History>>,
    costs: CostModel,
    space: ActionSpace,
    exposure_max: BasisPoints,
    cash: Money,
    reward: Reward,
    /// Digest of all of the above: a state belongs to it.
    identity: Digest,
    schedule: Schedule,
    lanes: Lanes,
    /// Room for the targets of one copy.
    targets: Vec<BasisPoints>,
}

/// What changes from step to step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lanes {
    clamped: u64,
    /// At the close of the present bar.
    equity: Vec<Money>,
    memories: Vec<Memory>,
    /// `[envs × assets]`.
    accounts: Vec<Portfolio>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    identity: Digest,
    schedule: SavedSchedule,
    lanes: Lanes,
}

impl AllocationEnv {
    /// An environment over the bars of `range`, which all assets have. Of the spec, `action` is not used: weights are numbers.
    ///
    /// # Errors
    /// [`EnvError::NoAssets`], [`EnvError::Unaligned`], [`EnvError::Range`] when the range holds no step with full windows,
    /// [`EnvError::NoEnvs`].
    pub fn new(
        assets: Vec<Arc<History>>,
        spec: &EnvSpec,
        range: Range<usize>,
        episodes: Episodes,
    ) -> Result<Self, EnvError> {
        let first = assets.first().ok_or(EnvError::NoAssets)?;
        if let Some(other) = assets.iter().find(|asset| !asset.aligned(first)) {
            let symbol = |asset: &History| asset.instrument().symbol().clone();
            return Err(EnvError::Unaligned { first: symbol(first), other: symbol(other) });
        }
        let ready = assets.iter().map(|asset| asset.ready()).fold(0, usize::max);
        let identity = identity(&assets, spec, &range, episodes);
        let schedule = Schedule::new(range, [ready, first.bars()], episodes, spec.episode_bars)?;
        let cash = Money::units(i64::from(spec.cash));
        let least = match spec.positions {
            PositionMode::LongFlat => 0.0,
            PositionMode::LongShort => -1.0,
        };
        Ok(Self {
            costs: CostModel::new(spec.costs.clone()),
            space: ActionSpace::Continuous(Bounds::uniform(assets.len(), least, 1.0)),
            exposure_max: spec.exposure_max_bps,
            cash,
            reward: spec.reward,
            identity,
            lanes: Lanes::new(schedule.envs(), assets.len(), cash),
            schedule,
            targets: vec![BasisPoints(0); assets.len()],
            assets,
        })
    }

    /// The same, beginning anew as `autoreset` says; at first that is [`Autoreset::SameStep`].
    #[must_use]
    pub const fn with_autoreset(mut self, autoreset: Autoreset) -> Self {
        self.schedule.set_autoreset(autoreset);
        self
    }

    /// What a copy holds and has paid for, asset by asset.
    ///
    /// # Panics
    /// When there is no such copy; likewise [`AllocationEnv::equity`] and [`AllocationEnv::bar`].
    #[must_use]
    pub fn accounts(&self, env: usize) -> &[Portfolio] {
        &self.lanes.accounts[self.row(env)]
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

    fn row(&self, env: usize) -> Range<usize> {
        env * self.assets.len()..(env + 1) * self.assets.len()
    }

    /// Turns copy `env`'s weights into `self.targets`: inside the box, scaled down where they add up to more than one, and
    /// rounded towards zero, so that the gross exposure never exceeds the largest allowed.
    fn aim(&mut self, actions: &[f32], env: usize) {
        let ActionSpace::Continuous(bounds) = &self.space else { unreachable!("weights are numbers") };
        let weights = &actions[env * self.assets.len()..(env + 1) * self.assets.len()];
        let mut gross = 0.0;
        for (index, weight) in weights.iter().enumerate() {
            let (inside, outside) = bounds.clamp(index, *weight);
            self.lanes.clamped += u64::from(outside);
            gross += f64::from(inside.abs());
        }
        let scale = f64::from(self.exposure_max.0) / gross.max(1.0);
        for (index, (weight, target)) in weights.iter().zip(&mut self.targets).enumerate() {
            *target = BasisPoints((f64::from(bounds.clamp(index, *weight).0) * scale) as i32);
        }
    }

    /// Takes one copy to the close of its next bar, towards `self.targets`.
    fn advance(&mut self, env: usize) -> (f32, StepOutcome) {
        let (bar, row, before) = (self.schedule.bar(env), self.row(env), self.lanes.equity[env]);
        let mut equity = self.cash;
        for ((asset, target), account) in self.assets.iter().zip(&self.targets).zip(&mut self.lanes.accounts[row]) {
            let instrument = asset.instrument();
            let standing = Standing { equity: before, position: account.position() };
            let quantity = standing.quantity_to_target(instrument, &self.costs, *target, asset.close(bar));
            if quantity != Quantity(0) {
                let side = if quantity > Quantity(0) { Side::Buy } else { Side::Sell };
                let (price, fee) = self.costs.trade(instrument, side, quantity, asset.open(bar + 1));
                account.book(instrument, quantity, price, fee);
            }
            equity += account.close_bar(instrument, &self.costs, asset.close(bar + 1), asset.bars_per_year());
        }
        let reward = self.lanes.memories[env].reward(self.reward, before, equity);
        self.lanes.equity[env] = equity;
        (reward as f32, self.schedule.advance(env, equity))
    }

    fn renew(&mut self, env: usize) {
        let row = self.row(env);
        self.schedule.renew(env);
        self.lanes.accounts[row].fill(Portfolio::new(Money(0)));
        self.lanes.equity[env] = self.cash;
        self.lanes.memories[env] = Memory::new(self.cash);
    }

    fn show(&self, env: usize, mut shown: &mut [f32]) {
        let (bar, equity) = (self.schedule.bar(env), self.lanes.equity[env]);
        for asset in &self.assets {
            let (window, rest) = shown.split_at_mut(asset.window_width());
            window.copy_from_slice(asset.window(bar));
            shown = rest;
        }
        for ((weight, account), asset) in shown.iter_mut().zip(self.accounts(env)).zip(&self.assets) {
            let value = account.value(asset.instrument(), asset.close(bar));
            *weight = if equity > Money(0) { (value.as_f64() / equity.as_f64()) as f32 } else { 0.0 };
        }
    }
}

impl Lanes {
    fn new(envs: usize, assets: usize, cash: Money) -> Self {
        let accounts = vec![Portfolio::new(Money(0)); envs * assets];
        Self { clamped: 0, equity: vec![cash; envs], memories: vec![Memory::new(cash); envs], accounts }
    }
}

fn identity(assets: &[Arc<History>], spec: &EnvSpec, range: &Range<usize>, episodes: Episodes) -> Digest {
    let digests: Vec<Digest> = assets.iter().map(|asset| asset.digest()).collect();
    Digest::of(&serde_json::to_vec(&(digests, spec, range, episodes)).expect("plain data has a JSON form"))
}

impl fmt::Display for AllocationEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.schedule.range();
        write!(f, "allocation({} assets, bars {start}..{end} × {})", self.assets.len(), self.envs())
    }
}

impl VectorEnv for AllocationEnv {
    fn envs(&self) -> usize {
        self.schedule.envs()
    }

    fn observation_width(&self) -> usize {
        self.assets.iter().map(|asset| asset.window_width()).sum::<usize>() + self.assets.len()
    }

    fn action_space(&self) -> &ActionSpace {
        &self.space
    }

    fn autoreset(&self) -> Autoreset {
        self.schedule.autoreset()
    }

    fn reset(&mut self, seed: u64, observations: &mut [f32]) {
        self.schedule.restart(seed);
        self.lanes = Lanes::new(self.envs(), self.assets.len(), self.cash);
        self.observe(observations);
    }

    fn step(&mut self, actions: Actions<'_>, out: StepBuffers<'_>) {
        check_lengths(self, actions, &out);
        let width = self.observation_width();
        for env in 0..self.envs() {
            let row = env * width..(env + 1) * width;
            if self.schedule.begins(env) {
                (out.rewards[env], out.outcomes[env]) = (0.0, StepOutcome::Continues);
                self.renew(env);
            } else {
                self.aim(actions.continuous(), env);
                (out.rewards[env], out.outcomes[env]) = self.advance(env);
                if out.outcomes[env].is_end() {
                    self.show(env, &mut out.final_observations[row.clone()]);
                    if self.autoreset() == Autoreset::SameStep {
                        self.renew(env);
                    }
                }
            }
            self.show(env, &mut out.observations[row]);
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
        let sizes = [saved.lanes.memories.len(), saved.lanes.accounts.len()];
        if sizes != [self.envs(), self.envs() * self.assets.len()]
            || !self.schedule.fits(&saved.schedule, &saved.lanes.equity)
        {
            return Err(foreign("its episodes are not of this range or mode"));
        }
        self.schedule.restore(saved.schedule);
        self.lanes = saved.lanes;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
