//! The arguments of `data`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use dataset::Field;
use market::{Calendar, Interval, Symbol};
use spec::ModelName;

#[derive(Debug, Subcommand)]
pub(crate) enum Data {
    /// Imports CSV or Parquet files of bars into HOME/data/NAME.parquet, whole or not at all.
    Import(Import),
    /// Lists what is wrong in a data set, CSV or Parquet file, row by row.
    Check(Check),
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// CSV or Parquet files. Where several overlap they must agree.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Name of the data set. Default: the first file's stem.
    #[arg(long)]
    pub(crate) name: Option<ModelName>,
    /// Adds to the data set that is there, in place of replacing it.
    #[arg(long)]
    pub(crate) append: bool,
    /// How prices are adjusted, over all of open, high, low and close.
    #[arg(long, value_enum, default_value = "adjusted-close")]
    pub(crate) adjust: Adjust,
    /// A CSV of splits and dividends (date, symbol, kind, value): applied with --adjust actions, recorded otherwise.
    #[arg(long, required_if_eq("adjust", "actions"))]
    pub(crate) actions: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) source: Source,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Name of a data set, or a CSV or Parquet file.
    pub(crate) file: String,
    /// Also writes the report as a page.
    #[arg(long)]
    pub(crate) html: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) source: Source,
}

/// How a file is read.
#[derive(Debug, Args)]
pub(crate) struct Source {
    /// Only this symbol; its name where the file has no symbol column.
    #[arg(long, value_parser = super::parse_symbol)]
    pub(crate) symbol: Option<Symbol>,
    /// Spacing of the bars: 1d, 4h, 1h, 30m, 15m, 5m or 1m. Default: the data set's own, else 1d.
    #[arg(long)]
    pub(crate) interval: Option<Interval>,
    /// When bars are owed: xnys, xlon, xtks, weekdays, forex or always. Default: the data set's own, else xnys.
    #[arg(long)]
    pub(crate) calendar: Option<Calendar>,
    /// A column that does not go by its usual name: FIELD=NAME, such as close=Last. May be repeated.
    #[arg(long = "column", value_name = "FIELD=NAME", value_parser = parse_column)]
    pub(crate) columns: Vec<(Field, String)>,
    /// Time zone of stamps that name none, such as America/New_York.
    #[arg(long)]
    pub(crate) zone: Option<String>,
    /// What a stamp means that the clock shows twice, where it is set back.
    #[arg(long, value_enum, default_value = "refuse")]
    pub(crate) fold: Fold,
    /// How stamps are written: iso, unix-s, unix-ms, unix-us, unix-ns, or a pattern such as %d/%m/%Y.
    #[arg(long, default_value = "iso")]
    pub(crate) stamps: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Adjust {
    /// By adj_close / close; a file without that column is refused.
    AdjustedClose,
    /// By the splits and dividends of --actions.
    Actions,
    /// Not at all.
    None,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Fold {
    /// Nothing: it is refused.
    Refuse,
    /// The earlier of the two moments.
    Earlier,
    /// The later.
    Later,
    /// The earlier, unless it is not after the row above.
    InOrder,
}

fn parse_column(text: &str) -> Result<(Field, String), String> {
    let (field, name) = text.split_once('=').ok_or_else(|| "write FIELD=NAME, such as close=Last".to_owned())?;
    Ok((field.parse().map_err(|error: dataset::FieldError| error.to_string())?, name.to_owned()))
}
