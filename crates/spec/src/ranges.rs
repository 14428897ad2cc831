//! The ranges that the doc of each field states.

mod order;
mod rl;
mod task;

use std::fmt::Display;
use std::ops::RangeInclusive;

use market::{BasisPoints, Symbol};

use crate::problem::Finding;
use crate::{
    BenchmarkSpec, EnvSpec, ExperimentSpec, FeatureSpec, ParameterRange, Pruner, Reward, StrategySpec, TaskSpec,
};

/// Exposure beyond this is no cash or margin account of a person, basis points.
const EXPOSURE_MAX: i32 = 50_000;

/// Dimensions of a space: no sampler finds its way in more, and the values of each are tried before anything starts.
const DIMENSIONS_MAX: usize = 128;

/// Symbols that a forecaster learns from.
const SYMBOLS_MAX: usize = 256;

/// Seeds of a point.
const SEEDS_MAX: usize = 1_000;

/// All findings in what a trial may differ in, in the order of a file.
pub(crate) fn of_trial(spec: &ExperimentSpec) -> Vec<Finding> {
    let mut ranges = Ranges::default();
    ranges.features(&spec.features);
    ranges.task(&spec.task);
    ranges.model(&spec.model);
    match &spec.task {
        TaskSpec::Supervised(task) => ranges.forecaster_model(task, &spec.model),
        TaskSpec::Rl(task) => ranges.agent_model(task, &spec.model),
    }
    ranges.env(&spec.env);
    ranges.strategy(&spec.strategy);
    ranges.findings
}

/// All findings in a recipe. Its agent has the paths of an experiment's, so they are moved.
pub(crate) fn of_benchmark(spec: &BenchmarkSpec) -> Vec<Finding> {
    let mut ranges = Ranges::default();
    ranges.rl(&spec.agent);
    ranges.model(&spec.model);
    ranges.agent_model(&spec.agent, &spec.model);
    for finding in &mut ranges.findings {
        if let Some(rest) = finding.path.strip_prefix("task.rl") {
            finding.path = format!("agent{rest}");
            finding.what = finding.what.replace("task.rl", "agent");
        }
    }
    ranges.findings
}

/// All findings in the rest: what holds for every trial.
pub(crate) fn of_experiment(spec: &ExperimentSpec) -> Vec<Finding> {
    let mut ranges = Ranges::default();
    ranges.data(spec);
    ranges.sweep(spec);
    ranges.rest(spec);
    ranges.findings
}

/// All findings in a list of features.
pub(crate) fn of_features(features: &[FeatureSpec]) -> Vec<Finding> {
    let mut ranges = Ranges::default();
    ranges.features(features);
    ranges.findings
}

/// All findings in a market to trade in.
pub(crate) fn of_env(env: &EnvSpec) -> Vec<Finding> {
    let mut ranges = Ranges::default();
    ranges.env(env);
    ranges.findings
}

/// Whether a source is anything but a name or a path downwards from where data sets lie.
fn leaves_its_folder(source: &str) -> bool {
    use std::path::Component;
    let downwards = |component| matches!(component, Component::Normal(_));
    source.contains([':', '\\', '\0']) || !std::path::Path::new(source).components().all(downwards)
}

#[derive(Default)]
struct Ranges {
    findings: Vec<Finding>,
}

impl Ranges {
    fn within<T: PartialOrd + Display>(&mut self, path: impl Display, value: T, range: RangeInclusive<T>) {
        if !range.contains(&value) {
            self.outside(path, value, format!("use {} to {}", range.start(), range.end()));
        }
    }

    /// Above `low`, at most `high`.
    fn above(&mut self, path: impl Display, value: f64, low: f64, high: f64) {
        if !(value > low && value <= high) {
            let limit = if high.is_finite() { format!(", at most {high}") } else { String::new() };
            self.outside(path, value, format!("use a number above {low}{limit}"));
        }
    }

    /// From `low` to below `high`.
    fn below(&mut self, path: impl Display, value: f64, low: f64, high: f64) {
        if !(value >= low && value < high) {
            self.outside(path, value, format!("use a number from {low} to below {high}"));
        }
    }

    fn outside(&mut self, path: impl Display, value: impl Display, hint: String) {
        let path = path.to_string();
        let what = format!("`{path}` is {value}");
        self.findings.push(Finding::new(path, what, "that is out of range", hint));
    }

    fn refuse(&mut self, path: impl Display, what: impl Into<String>, why: &str, hint: impl Into<String>) {
        self.findings.push(Finding::new(path.to_string(), what, why, hint));
    }

    fn data(&mut self, spec: &ExperimentSpec) {
        if spec.data.source.trim().is_empty() {
            self.refuse(
                "data.source",
                "`data.source` is empty",
                "the bars come from there",
                "name an imported data set",
            );
        }
        if leaves_its_folder(&spec.data.source) {
            let what = format!("`data.source` is `{}`", spec.data.source);
            let why = "a spec reads below HOME/data alone, wherever it runs";
            self.refuse("data.source", what, why, "import it with `tradewind data import` and write its name");
        }
        match spec.data.symbols.as_slice() {
            [] => self.refuse("data.symbols", "no symbol", "a trial trades one", "write `symbols: [AAPL]`"),
            [_] => {}
            [_, companions @ ..] => self.companions(spec, companions),
        }
    }

    /// Symbols beside the traded one.
    fn companions(&mut self, spec: &ExperimentSpec, companions: &[Symbol]) {
        let symbols = &spec.data.symbols;
        if symbols.len() > SYMBOLS_MAX {
            let what = format!("{} symbols", symbols.len());
            self.refuse("data.symbols", what, "their rows are held at once", format!("write {SYMBOLS_MAX} or fewer"));
        }
        for (index, symbol) in (1..).zip(companions) {
            if let Some(first) = symbols[..index].iter().position(|earlier| earlier == symbol) {
                let why = "the same rows twice teach nothing";
                let hint = format!("remove one of `data.symbols.{first}` and `data.symbols.{index}`");
                self.refuse(format!("data.symbols.{index}"), "a repeated symbol", why, hint);
            }
        }
        match &spec.task {
            TaskSpec::Rl(_) => {
                let why = "an agent trades one, and learns from no other";
                self.refuse("data.symbols", "several symbols", why, "write an experiment for each");
            }
            TaskSpec::Supervised(task) if task.cross_validation.is_some() => {
                let why = "rows of another symbol at the time of a tested one would tell of it";
                let hint = "remove `cross_validation`, or all symbols but the first";
                self.refuse("data.symbols", "several symbols beside `cross_validation`", why, hint);
            }
            TaskSpec::Supervised(_) => {}
        }
    }

    fn features(&mut self, features: &[FeatureSpec]) {
        if features.is_empty() {
            self.refuse(
                "features",
                "no feature",
                "a network needs something to see",
                "add `- log_return: { bars: 1 }`",
            );
        }
        for (index, feature) in features.iter().enumerate() {
            self.feature(index, feature);
            if let Some(first) = features[..index].iter().position(|earlier| earlier == feature) {
                let why = "the same column twice teaches nothing";
                let hint = format!("remove one of `features.{first}` and `features.{index}`");
                self.refuse(format!("features.{index}"), "a repeated feature", why, hint);
            }
        }
    }

    fn feature(&mut self, index: usize, feature: &FeatureSpec) {
        let at = |field: &str| format!("features.{index}.{}.{field}", feature.kind());
        for parameter in feature.parameters() {
            match parameter.range {
                ParameterRange::Bars { least, most } => {
                    self.within(at(parameter.field), parameter.value, f64::from(least)..=f64::from(most));
                }
                ParameterRange::Above { most } => self.above(at(parameter.field), parameter.value, 0.0, most),
            }
        }
        if let Some((low, high)) = feature.misordered() {
            let parameters = feature.parameters();
            let value = |field| parameters.iter().find(|one| one.field == field).map_or(f64::NAN, |one| one.value);
            let what = format!("`{low}` is {} and `{high}` {}", value(low), value(high));
            let hint = format!("use a `{low}` below `{high}`");
            self.refuse(at(low), what, &format!("`{low}` is the shorter of the two"), hint);
        }
        if feature.is_cross_section() {
            let what = format!("`{}` compares symbols", feature.kind());
            self.refuse(format!("features.{index}"), what, "a trial sees one symbol", "remove it");
        }
    }

    fn env(&mut self, env: &EnvSpec) {
        /// A fill that costs more than its notional is no market.
        const COST_MAX: i32 = 10_000;
        self.within("env.cash", env.cash, 1..=1_000_000_000);
        let costs = &env.costs;
        for (name, BasisPoints(cost)) in [
            ("commission_bps", costs.commission_bps),
            ("half_spread_bps", costs.half_spread_bps),
            ("slippage_bps", costs.slippage_bps),
            ("borrow_bps_per_year", costs.borrow_bps_per_year),
        ] {
            self.within(format!("env.costs.{name}"), cost, 0..=COST_MAX);
        }
        self.within("env.exposure_max_bps", env.exposure_max_bps.0, 1..=EXPOSURE_MAX);
        match env.reward {
            Reward::LogReturn => {}
            Reward::DifferentialSharpe { rate } => self.above("env.reward.differential_sharpe.rate", rate, 0.0, 1.0),
            Reward::DrawdownPenalised { weight } => {
                self.within("env.reward.drawdown_penalised.weight", weight, 0.0..=1_000.0);
            }
        }
        self.within("env.episode_bars", env.episode_bars, 2..=100_000);
    }

    fn strategy(&mut self, strategy: &StrategySpec) {
        self.within("strategy.edge_min", strategy.edge_min, 0.0..=1.0);
        self.within("strategy.exposure_bps", strategy.exposure_bps.0, 1..=EXPOSURE_MAX);
    }

    fn sweep(&mut self, spec: &ExperimentSpec) {
        let sweep = &spec.sweep;
        self.within("sweep.trials", sweep.trials, 1..=100_000);
        self.within("sweep.batch", sweep.batch, 1..=sweep.trials.max(1));
        if sweep.space.len() > DIMENSIONS_MAX {
            let what = format!("{} dimensions", sweep.space.len());
            self.refuse("sweep.space", what, "that is out of range", format!("use at most {DIMENSIONS_MAX}"));
        }
        if sweep.seeds.len() > SEEDS_MAX {
            let what = format!("{} seeds", sweep.seeds.len());
            self.refuse("sweep.seeds", what, "that is out of range", format!("use at most {SEEDS_MAX}"));
        }
        self.pruner(&sweep.pruner);
        if sweep.parallel == Some(0) {
            self.refuse(
                "sweep.parallel",
                "`sweep.parallel` is 0",
                "nothing would run",
                "use 1 or more, or leave it out",
            );
        }
        if sweep.seeds.is_empty() {
            self.refuse("sweep.seeds", "no seed", "each point is trained once per seed", "write `seeds: [1]`");
        }
        for (index, seed) in sweep.seeds.iter().enumerate() {
            let path = format!("sweep.seeds.{index}");
            if sweep.seeds[..index].contains(seed) {
                self.refuse(
                    path,
                    format!("seed {seed} is repeated"),
                    "it would give the same trial",
                    "use each seed once",
                );
            } else {
                self.within(path, *seed, 0..=1 << 53);
            }
        }
    }

    fn pruner(&mut self, pruner: &Pruner) {
        match pruner {
            Pruner::None => {}
            Pruner::Median { rungs, startup } => {
                self.within("sweep.pruner.median.rungs", *rungs, 1..=9);
                self.within("sweep.pruner.median.startup", *startup, 1..=1_000);
            }
            Pruner::SuccessiveHalving { rungs, factor } => {
                self.within("sweep.pruner.successive_halving.rungs", *rungs, 1..=6);
                self.within("sweep.pruner.successive_halving.factor", *factor, 2..=10);
            }
            Pruner::Hyperband { rungs, factor } => {
                self.within("sweep.pruner.hyperband.rungs", *rungs, 1..=6);
                self.within("sweep.pruner.hyperband.factor", *factor, 2..=10);
            }
            Pruner::Population { rungs, quantile, perturb, resample } => {
                let at = |field: &str| format!("sweep.pruner.population.{field}");
                self.within(at("rungs"), *rungs, 1..=99);
                self.above(at("quantile"), *quantile, 0.0, 0.5);
                if *perturb <= 0.0 || *perturb >= 1.0 {
                    self.outside(at("perturb"), perturb, "use a number above 0, below 1".to_owned());
                }
                self.within(at("resample"), *resample, 0.0..=1.0);
            }
        }
    }

    fn rest(&mut self, spec: &ExperimentSpec) {
        const BACKOFF_MAX: u64 = 300_000;
        self.within("retry.attempts", spec.retry.attempts, 1..=100);
        if spec.retry.backoff.millis() > BACKOFF_MAX {
            self.outside("retry.backoff", spec.retry.backoff, "use at most 5m".to_owned());
        }
        if spec.timeout.millis() == 0 {
            self.outside("timeout", spec.timeout, "use 1s or more".to_owned());
        }
        if let Some(encoder) = &spec.encoder {
            self.within("encoder.memory_rows", encoder.memory_rows, 1..=1_000_000);
        }
        self.shared(&spec.resources);
        self.order(spec);
        if let Some(promote) = &spec.promote {
            self.within("promote.gates.deflated_sharpe_min", promote.gates.deflated_sharpe_min, 0.0..=1.0);
        }
    }
}
