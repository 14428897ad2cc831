//! How fast environments step, and a market to measure it on.

use std::hint::black_box;
use std::str::FromStr;
use std::sync::Arc;

use market::{Bar, Instrument, Interval, Symbol, Timestamp};
use spec::{EnvSpec, PositionMode};

use crate::batch::Batch;
use crate::draws::Stream;
use crate::{
    Autoreset, Buffers, Classic, ClassicKind, Episodes, History, Reference, Rows, StepOutcome, Taken, TradingEnv,
    UnknownClassic, VectorEnv,
};

/// Batches of actions prepared beforehand, so that drawing them is not measured.
const BATCHES: usize = 64;

/// Least time measured, CPU seconds; a tenth of it goes before, to warm up.
const SECONDS_MIN: f64 = 1.0;

/// Bars of the made-up market.
const BARS: usize = 4_096;

/// What can be stepped for speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stepped {
    /// A classic control problem.
    Classic(ClassicKind),
    /// [`made_up_market`] with 64 features, observations written out.
    Trading,
    /// The same by [`TradingEnv::step_by_reference`].
    TradingByReference,
}

/// There is nothing of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}, `trading` or `trading-by-reference`")]
pub struct UnknownStepped(UnknownClassic);

impl Stepped {
    /// As the command line has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Classic(kind) => kind.name(),
            Self::Trading => "trading",
            Self::TradingByReference => "trading-by-reference",
        }
    }

    /// Steps of `envs` copies in a CPU second.
    #[must_use]
    pub fn rate(self, envs: usize, cpu_seconds: impl FnMut() -> f64) -> f64 {
        let market = || made_up_market(&EnvSpec { positions: PositionMode::LongShort, ..EnvSpec::default() }, envs, 64);
        match self {
            Self::Classic(kind) => stepping(&mut Classic::new(kind, envs, Autoreset::SameStep), cpu_seconds),
            Self::Trading => stepping(&mut market(), cpu_seconds),
            Self::TradingByReference => stepping_by_reference(&mut market(), cpu_seconds),
        }
    }
}

impl FromStr for Stepped {
    type Err = UnknownStepped;

    fn from_str(text: &str) -> Result<Self, UnknownStepped> {
        let markets = [Self::Trading, Self::TradingByReference];
        match markets.into_iter().find(|market| market.name() == text) {
            Some(market) => Ok(market),
            None => text.parse().map(Self::Classic).map_err(UnknownStepped),
        }
    }
}

/// Steps in a CPU second, all copies together, resets included. `cpu_seconds` says how much CPU time this process has used.
fn stepping(env: &mut dyn VectorEnv, cpu_seconds: impl FnMut() -> f64) -> f64 {
    let mut buffers = Buffers::new(env);
    env.reset(1, &mut buffers.observations);
    let (batches, envs) = (batches(env), env.envs());
    let step = |batch: &Batch| {
        env.step(black_box(batch.lend()), buffers.lend());
        black_box(&buffers);
    };
    measured(&batches, envs, cpu_seconds, step)
}

/// The same of [`TradingEnv::step_by_reference`].
fn stepping_by_reference(env: &mut TradingEnv, cpu_seconds: impl FnMut() -> f64) -> f64 {
    let nothing = Taken { shown: Reference::default(), reward: 0.0, outcome: StepOutcome::Continues, last: None };
    let mut taken = vec![nothing; env.envs()];
    env.reset(1, &mut Buffers::new(env).observations);
    let (batches, envs) = (batches(env), env.envs());
    let step = |batch: &Batch| {
        env.step_by_reference(black_box(batch.lend()), &mut taken);
        black_box(&taken);
    };
    measured(&batches, envs, cpu_seconds, step)
}

/// Copies of the trading environment over a made-up market: a seeded random walk of 4,096 days with `features` random
/// features a bar.
fn made_up_market(spec: &EnvSpec, envs: usize, features: usize) -> TradingEnv {
    let mut stream = Stream::new(1, 0, 0);
    let mut close = 100.0;
    let bar = |day: usize| {
        let open = close;
        close *= 1.0 + 0.02 * (stream.uniform() - 0.5);
        let time = Timestamp::from_micros(day as i64 * 86_400_000_000);
        Bar { time, open, high: open.max(close), low: open.min(close), close, volume: 1.0 }
    };
    let bars: Vec<Bar> = (0..BARS).map(bar).collect();
    let mut stream = Stream::new(2, 0, 0);
    let values = (0..BARS * features).map(|_| stream.uniform() as f32).collect();
    let rows = Rows { first: 0, width: features, window: 1, values };
    let share = Instrument::share(Symbol::try_from("MADEUP".to_owned()).expect("that is a symbol"));
    let history = History::new(share, Interval::Day, &bars, rows).expect("the walk stays within prices");
    TradingEnv::new(Arc::new(history), spec, 0..BARS, Episodes::Random { envs }).expect("the market is long enough")
}

fn batches(env: &dyn VectorEnv) -> Vec<Batch> {
    (0..BATCHES).map(|batch| Batch::varied(env.action_space(), env.envs(), batch)).collect()
}

fn measured(batches: &[Batch], envs: usize, mut cpu_seconds: impl FnMut() -> f64, mut step: impl FnMut(&Batch)) -> f64 {
    let mut spend = |seconds: f64| {
        let (start, mut steps) = (cpu_seconds(), 0);
        loop {
            batches.iter().for_each(&mut step);
            steps += batches.len() * envs;
            let spent = cpu_seconds() - start;
            if spent >= seconds {
                return steps as f64 / spent;
            }
        }
    };
    spend(SECONDS_MIN / 10.0);
    spend(SECONDS_MIN)
}
