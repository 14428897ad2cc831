//! What can be asked of `explain-prediction`, and of the benches on the shipped bars.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use explain::{Grain, Target};
use market::{Symbol, Timestamp};

use super::parse_symbol;

/// How a number is shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MethodKind {
    /// By the gradient on the way from the mean row to this one.
    IntegratedGradients,
    /// By what each adds in orders drawn at random, with the standard error of it.
    Shapley,
    /// By what each adds in all orders: for 16 players at most.
    ExactShapley,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainPrediction {
    /// NAME@champion, NAME@challenger, NAME@VERSION, or the digest of a bundle.
    #[arg(long)]
    pub(crate) model: String,
    /// Imported data set or Parquet file, from the first bar of the model's training on.
    #[arg(long)]
    pub(crate) data: String,
    #[arg(long, value_parser = parse_symbol)]
    pub(crate) symbol: Symbol,
    /// Time of the bar whose forecast is explained: 2021-03-04 or 2021-03-04T15:30:00Z. Default: the last bar.
    #[arg(long)]
    pub(crate) at: Option<Timestamp>,
    /// Which number: expected-return, down, flat, up or volatility.
    #[arg(long, default_value = "expected-return")]
    pub(crate) target: Target,
    #[arg(long, value_enum, default_value = "integrated-gradients")]
    pub(crate) method: MethodKind,
    /// Among whom it is shared out: each feature of each bar (cell), each feature, or each bar.
    #[arg(long, default_value = "cell")]
    pub(crate) by: Grain,
    /// A feature that is explained, the others staying as they are. May be repeated. Default: all.
    #[arg(long)]
    pub(crate) feature: Vec<String>,
    /// Points on the way, of integrated gradients.
    #[arg(long, default_value_t = explain::STEPS)]
    pub(crate) steps: NonZeroU32,
    /// Orders drawn, of Shapley values.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    pub(crate) permutations: u32,
    /// Of the draws.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Largest residual, as a share of the range of the number over the bars before; above it there is no explanation.
    #[arg(long, default_value_t = explain::TOLERANCE, value_parser = parse_share)]
    pub(crate) tolerance: f64,
    /// Folder for the map (SVG), the report (HTML) and the explanation (JSON). Default: HOME/explanations.
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct BenchExplanations {
    /// Daily bars of AAPL as the repository ships them.
    #[arg(long, default_value = "data/aapl_daily_2013_2023.csv")]
    pub(crate) bars: PathBuf,
    /// Longest training, epochs.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) epochs: u32,
    /// Bars of the market with a planted driver.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    pub(crate) rows: u32,
    /// Trainings, each with a seed of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(crate) seeds: u64,
}

fn parse_share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "write a share, such as 0.01".to_owned())?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("use a share from 0 to 1".to_owned()) }
}
