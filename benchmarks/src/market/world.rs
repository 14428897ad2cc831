//! The environment: every episode of every copy trades a market that never was before.

use std::fmt;
use std::sync::Arc;

use envs::{
    ActionSpace, Actions, Autoreset, Buffers, Episodes, History, Rows, StateError, StepBuffers, TradingEnv, VectorEnv,
};
use market::{Bar, BasisPoints, Instrument, Interval, Symbol, Timestamp};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};
use spec::{ActionMode, CostSpec, EnvSpec, PositionMode, Reward};

use super::{EPISODE_BARS, MarketKind, PERSISTENCE, SIGMA};

/// Where every market begins; high, so that ticks and whole shares do not matter.
const PRICE: f64 = 1_000.0;
const CASH: u32 = 10_000_000;

/// What a fill costs in all, over its value: a fifth of a bar's deviation.
const COST_BPS: i32 = 20;

/// What the growth of a drawdown costs a learner, over its size. By ln wealth alone holding a share in noise costs half
/// a hundredth of its deviation a bar, which no agent can see; whoever trains one to trade says that risk is not free.
const DRAWDOWN_WEIGHT: f64 = 0.25;

/// The terms that an agent learns by.
pub(super) fn taught(action: ActionMode) -> EnvSpec {
    EnvSpec { reward: Reward::DrawdownPenalised { weight: DRAWDOWN_WEIGHT }, ..terms(action) }
}

/// The terms of the test: rewards are log returns after costs.
pub(super) fn terms(action: ActionMode) -> EnvSpec {
    let costs = CostSpec {
        commission_bps: BasisPoints(COST_BPS / 2),
        half_spread_bps: BasisPoints(COST_BPS / 2),
        slippage_bps: BasisPoints(0),
        borrow_bps_per_year: BasisPoints(0),
    };
    EnvSpec {
        cash: CASH,
        costs,
        positions: PositionMode::LongShort,
        action,
        episode_bars: EPISODE_BARS,
        ..EnvSpec::default()
    }
}

/// Cost of a fill over its value.
pub(super) fn cost(terms: &EnvSpec) -> f64 {
    let CostSpec { commission_bps, half_spread_bps, slippage_bps, .. } = &terms.costs;
    f64::from(commission_bps.0 + half_spread_bps.0 + slippage_bps.0) / 10_000.0
}

/// Copies of a made-up market; what each shows is its signal, then the position.
#[derive(Clone, Debug)]
pub struct MadeUp {
    kind: MarketKind,
    terms: EnvSpec,
    seed: u64,
    lanes: Vec<Lane>,
}

#[derive(Clone, Debug)]
struct Lane {
    episode: u64,
    /// Actions brought inside the space in the episodes before.
    clamped: u64,
    env: TradingEnv,
    buffers: Buffers,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    kind: MarketKind,
    seed: u64,
    lanes: Vec<SavedLane>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedLane {
    episode: u64,
    clamped: u64,
    env: String,
}

impl MadeUp {
    /// `envs` copies.
    ///
    /// # Panics
    /// Without a copy: a caller's bug.
    #[must_use]
    pub fn new(kind: MarketKind, terms: EnvSpec, envs: usize) -> Self {
        assert!(envs > 0, "at least one market is needed");
        let mut made_up = Self { kind, terms, seed: 0, lanes: Vec::new() };
        made_up.lanes = (0..envs).map(|copy| made_up.lane(copy)).collect();
        made_up
    }

    fn lane(&self, copy: usize) -> Lane {
        let env = self.market(copy, 0);
        Lane { episode: 0, clamped: 0, buffers: Buffers::new(&env), env }
    }

    /// The market of an episode: drawn from seed, copy and episode alone.
    fn market(&self, copy: usize, episode: u64) -> TradingEnv {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(copy as u64);
        // A bar draws two normal numbers, of which each takes a few words at most.
        rng.set_word_pos(u128::from(episode) << 16);
        let mut normal = || -> f64 { rng.sample(StandardNormal) };
        let count = EPISODE_BARS as usize + 1;
        let (mut signal, mut close) = (normal(), PRICE);
        let (mut bars, mut values) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for day in 0..count {
            let open = close;
            if day > 0 {
                close *= (self.kind.edge() * signal + SIGMA * normal() - SIGMA * SIGMA / 2.0).exp();
                signal = PERSISTENCE * signal + (1.0 - PERSISTENCE * PERSISTENCE).sqrt() * normal();
            }
            let time = Timestamp::from_micros(day as i64 * 86_400_000_000);
            bars.push(Bar { time, open, high: open.max(close), low: open.min(close), close, volume: 1.0 });
            values.push(signal as f32);
        }
        let share = Instrument::share(Symbol::try_from("MADEUP".to_owned()).expect("that is a symbol"));
        let rows = Rows { first: 0, width: 1, window: 1, values };
        let history = History::new(share, Interval::Day, &bars, rows).expect("the walk stays within prices");
        TradingEnv::new(Arc::new(history), &self.terms, 0..count, Episodes::OnePass).expect("the market is long enough")
    }
}

impl fmt::Display for MadeUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × {}", self.kind, self.envs())
    }
}

impl VectorEnv for MadeUp {
    fn envs(&self) -> usize {
        self.lanes.len()
    }

    fn observation_width(&self) -> usize {
        self.lanes[0].env.observation_width()
    }

    fn action_space(&self) -> &ActionSpace {
        self.lanes[0].env.action_space()
    }

    fn autoreset(&self) -> Autoreset {
        Autoreset::SameStep
    }

    fn reset(&mut self, seed: u64, observations: &mut [f32]) {
        self.seed = seed;
        self.lanes = (0..self.envs()).map(|copy| self.lane(copy)).collect();
        self.observe(observations);
    }

    fn step(&mut self, actions: Actions<'_>, out: StepBuffers<'_>) {
        let width = self.observation_width();
        for copy in 0..self.envs() {
            let action = match actions {
                Actions::Discrete(all) => Actions::Discrete(&all[copy..=copy]),
                Actions::Continuous(all) => Actions::Continuous(&all[copy..=copy]),
            };
            let lane = &mut self.lanes[copy];
            lane.env.step(action, lane.buffers.lend());
            let row = copy * width..(copy + 1) * width;
            (out.rewards[copy], out.outcomes[copy]) = (lane.buffers.rewards[0], lane.buffers.outcomes[0]);
            if lane.buffers.outcomes[0].is_end() {
                out.final_observations[row.clone()].copy_from_slice(&lane.buffers.final_observations);
                let (episode, clamped) = (lane.episode + 1, lane.clamped + lane.env.clamped());
                let env = self.market(copy, episode);
                let lane = &mut self.lanes[copy];
                (lane.episode, lane.clamped, lane.env) = (episode, clamped, env);
            }
            self.lanes[copy].env.observe(&mut out.observations[row]);
        }
    }

    fn observe(&self, observations: &mut [f32]) {
        let rows = observations.chunks_exact_mut(self.observation_width());
        self.lanes.iter().zip(rows).for_each(|(lane, row)| lane.env.observe(row));
    }

    fn clamped(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.clamped + lane.env.clamped()).sum()
    }

    fn state(&self) -> Vec<u8> {
        let lane = |lane: &Lane| SavedLane {
            episode: lane.episode,
            clamped: lane.clamped,
            env: String::from_utf8(lane.env.state()).expect("its state is JSON"),
        };
        let lanes = self.lanes.iter().map(lane).collect();
        let saved = Saved { kind: self.kind, seed: self.seed, lanes };
        serde_json::to_vec(&saved).expect("plain data has a JSON form")
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), StateError> {
        let saved: Saved =
            serde_json::from_slice(state).map_err(|source| StateError::Unreadable { env: self.to_string(), source })?;
        if (saved.kind, saved.lanes.len()) != (self.kind, self.envs()) {
            let why = format!("it is of {} × {}", saved.kind, saved.lanes.len());
            return Err(StateError::Foreign { env: self.to_string(), why });
        }
        let mut restored = Self { seed: saved.seed, lanes: Vec::new(), ..self.clone() };
        for (copy, lane) in saved.lanes.into_iter().enumerate() {
            let mut env = restored.market(copy, lane.episode);
            env.restore(lane.env.as_bytes())?;
            let buffers = Buffers::new(&env);
            restored.lanes.push(Lane { episode: lane.episode, clamped: lane.clamped, env, buffers });
        }
        *self = restored;
        Ok(())
    }
}
