//! The experiment: what a researcher asks, whole. `deny_unknown_fields` everywhere; meaning is checked apart.

use market::{BasisPoints, Interval, Symbol, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{EncoderSpec, FeatureSpec, ModelName, ModelSpec, Span, SweepSpec, TaskSpec};
pub use resources::{DegradeSpec, Device, Fallback, ResourceSpec};

mod resources;

/// An experiment file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExperimentSpec {
    /// Format of the file. Always 1.
    pub version: Version,
    /// Short name, part of the experiment's id.
    pub name: ModelName,
    /// Which bars, and how they are split by time.
    pub data: DataSpec,
    /// Columns of the feature row, in order; at least one.
    pub features: Vec<FeatureSpec>,
    /// Learned features beside them, for agents. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<EncoderSpec>,
    /// What is learned.
    pub task: TaskSpec,
    /// The network.
    pub model: ModelSpec,
    /// The market a trial trades in: costs, cash and limits of position.
    #[serde(default)]
    pub env: EnvSpec,
    /// How a forecast becomes an exposure; unused by policies.
    #[serde(default)]
    pub strategy: StrategySpec,
    /// Which trials are run.
    pub sweep: SweepSpec,
    /// What one trial needs.
    #[serde(default)]
    pub resources: ResourceSpec,
    /// What happens after a failure that is the trial's own.
    #[serde(default)]
    pub retry: RetrySpec,
    /// Longest time one attempt may run. Default: 1h.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// Higher runs first. Default: 0.
    #[serde(default)]
    pub priority: i32,
    /// Time by which it must have ended; what is open then is cancelled. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// Experiments that must have succeeded first, by id or by name; a name means the newest of it. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<ModelName>,
    /// What a trial gives up each time it runs out of memory, one step after the other. Default: nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub degrade: Vec<DegradeSpec>,
    /// What happens when the scheduler that it is handed to cannot be reached; `--fallback` goes before. Default: it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
    /// How long that scheduler is waited for first; `--deadline` goes before. Default: 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_after: Option<Span>,
    /// Where the best trial goes; absent: nowhere.
    #[serde(default)]
    pub promote: Option<PromoteSpec>,
}

/// Version of the file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Version;

impl TryFrom<u32> for Version {
    type Error = String;
    fn try_from(version: u32) -> Result<Self, String> {
        if version == 1 { Ok(Self) } else { Err(format!("version {version} is unknown: this build reads version 1")) }
    }
}

impl From<Version> for u32 {
    fn from(_: Version) -> Self {
        1
    }
}

impl JsonSchema for Version {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Version".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "const": 1 })
    }
}

/// The bars of an experiment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataSpec {
    /// Name of an imported data set, or a path of a Parquet file below HOME/data.
    pub source: String,
    /// The first is traded. A forecaster learns from the training rows of all, and has an embedding of each.
    pub symbols: Vec<Symbol>,
    /// Spacing of the bars.
    pub interval: Interval,
    /// Train, validation and test by time.
    pub split: SplitSpec,
    /// Faults of the bars that are repaired when they are read, in this order. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repairs: Vec<Repair>,
}

impl DataSpec {
    /// The same without the symbols that are learned from and not traded.
    #[must_use]
    pub fn traded(&self) -> Self {
        Self { symbols: self.symbols.first().cloned().into_iter().collect(), ..self.clone() }
    }
}

/// A repair of bars, by the fault it takes away. Each changes only the rows that its fault spoilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Repair {
    /// Divides prices before an unadjusted split by its ratio, and multiplies their volume.
    Split,
    /// Takes the cash dividends that were recorded at the import out of the prices before them.
    Dividend,
    /// Brings rows in another unit, such as pence among pounds, back to that of their neighbours.
    UnitError,
    /// Keeps the first of several equal bars of one time.
    Duplicate,
    /// Fills sessions without a bar with the close before, and no volume.
    Gap,
}

/// First and last moment, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "(Timestamp, Timestamp)", into = "(Timestamp, Timestamp)")]
#[schemars(with = "(Timestamp, Timestamp)")]
pub struct DateRange {
    /// First moment.
    pub from: Timestamp,
    /// Last moment.
    pub to: Timestamp,
}

impl From<(Timestamp, Timestamp)> for DateRange {
    fn from((from, to): (Timestamp, Timestamp)) -> Self {
        Self { from, to }
    }
}

impl From<DateRange> for (Timestamp, Timestamp) {
    fn from(range: DateRange) -> Self {
        (range.from, range.to)
    }
}

/// Train before validation before test; labels that reach over an edge are purged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitSpec {
    /// Weights and normalisation are fitted here, and nowhere else.
    pub train: DateRange,
    /// Trials are compared here.
    pub validation: DateRange,
    /// Seen once, by the chosen trial.
    pub test: DateRange,
    /// Bars dropped at the end of a split, so no label looks into the next. Default: the task's horizon.
    #[serde(default)]
    pub purge: u32,
    /// Bars dropped at the start of the next split. Default: 0.
    #[serde(default)]
    pub embargo: u32,
}

/// Which positions are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PositionMode {
    /// Out of the market or long.
    LongFlat,
    /// Short, out or long.
    LongShort,
}

/// How a policy names the exposure it wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionMode {
    /// One of flat and long, or of short, flat and long.
    #[default]
    Discrete,
    /// A number: the exposure as a fraction of the largest allowed.
    Continuous,
}

impl ActionMode {
    /// The default is left out where a spec is written, so that digests of specs from before the choice stay valid.
    const fn is_discrete(&self) -> bool {
        matches!(self, Self::Discrete)
    }
}

/// What a step is worth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reward {
    /// Change of ln(equity), after costs.
    LogReturn,
    /// Differential Sharpe ratio of the step's return, after costs (Moody and Saffell 1998).
    DifferentialSharpe {
        /// Weight of the newest return in the moving moments. Range: above 0, at most 1.
        rate: f64,
    },
    /// Change of ln(equity), less what the fall below the highest equity of the episode grew by.
    DrawdownPenalised {
        /// Weight of the growth of the drawdown, a fraction of the peak. Range: 0 to 1000.
        weight: f64,
    },
}

/// What trading costs. One model for environment, backtest and paper broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CostSpec {
    /// Of notional, each fill. Default: 1.
    pub commission_bps: BasisPoints,
    /// Half the quoted spread, paid on each fill. Default: 1.
    pub half_spread_bps: BasisPoints,
    /// Further price move against a fill. Default: 1.
    pub slippage_bps: BasisPoints,
    /// Yearly, on short notional. Default: 50.
    pub borrow_bps_per_year: BasisPoints,
}

impl Default for CostSpec {
    fn default() -> Self {
        Self {
            commission_bps: BasisPoints(1),
            half_spread_bps: BasisPoints(1),
            slippage_bps: BasisPoints(1),
            borrow_bps_per_year: BasisPoints(50),
        }
    }
}

/// The market a trial trades in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EnvSpec {
    /// Starting cash in whole units of the quote currency. Default: 100000. Range: 1 to 10^9.
    pub cash: u32,
    /// Costs of trading.
    pub costs: CostSpec,
    /// Allowed positions. Default: `long_flat`.
    pub positions: PositionMode,
    /// How a policy names an exposure. Default: `discrete`.
    #[serde(skip_serializing_if = "ActionMode::is_discrete")]
    pub action: ActionMode,
    /// Largest position value over equity. Default: 10000 basis points. Range: 1 to 50000.
    pub exposure_max_bps: BasisPoints,
    /// Reward of a step. Default: `log_return`.
    pub reward: Reward,
    /// Bars in a training episode. Default: 252. Range: 2 to 100000.
    pub episode_bars: u32,
}

impl Default for EnvSpec {
    fn default() -> Self {
        Self {
            cash: 100_000,
            costs: CostSpec::default(),
            positions: PositionMode::LongFlat,
            action: ActionMode::Discrete,
            exposure_max_bps: BasisPoints(10_000),
            reward: Reward::LogReturn,
            episode_bars: 252,
        }
    }
}

/// From forecast to exposure: trade the sign of (p_up − p_down) when it is clear enough.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StrategySpec {
    /// Smallest |p_up − p_down| that changes the position. Default: 0.1. Range: 0 to 1.
    pub edge_min: f64,
    /// Exposure at full conviction, basis points of equity. Default: 10000.
    pub exposure_bps: BasisPoints,
}

impl Default for StrategySpec {
    fn default() -> Self {
        Self { edge_min: 0.1, exposure_bps: BasisPoints(10_000) }
    }
}

/// Retries of the trial's own failures; a lost worker costs none of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetrySpec {
    /// Attempts in all, the first included. Default: 3. Range: 1 to 100.
    pub attempts: u32,
    /// Wait before the second attempt; doubles each time, at most 5m. Default: 1s.
    pub backoff: Span,
}

impl Default for RetrySpec {
    fn default() -> Self {
        Self { attempts: 3, backoff: Span::from_secs(1) }
    }
}

/// Where the best trial is registered and what it must prove.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromoteSpec {
    /// Name of the model in the registry.
    pub model: ModelName,
    /// Thresholds of the gates.
    #[serde(default)]
    pub gates: GateSpec,
}

/// Thresholds of the promotion gates, all judged on the test split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GateSpec {
    /// Deflated Sharpe ratio, a probability. Default: 0.95.
    pub deflated_sharpe_min: f64,
    /// Total return above buy-and-hold's, a fraction. Default: 0.
    pub excess_over_buy_and_hold_min: f64,
    /// Total return above holding nothing, a fraction. Default: 0.
    pub excess_over_zero_min: f64,
}

impl Default for GateSpec {
    fn default() -> Self {
        Self { deflated_sharpe_min: 0.95, excess_over_buy_and_hold_min: 0.0, excess_over_zero_min: 0.0 }
    }
}

const fn timeout() -> Span {
    Span::from_secs(3_600)
}
