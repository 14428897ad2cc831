//! Bars in Parquet: import, content digest, quality report, repairs, time splits and folds.
//!
//! A [`Dataset`] is one symbol's bars with the digest of their content; whatever is trained names that digest. Scraped
//! sources are import-only: CSV and Parquet come in through [`import`], adjusted over all prices, and only Parquet is trained
//! on. What is larger than memory is a [`Series`], whose bars come in parts, decoded in the background. Knows no models, no
//! brokers and no clock.

mod error;
mod folds;
mod import;
pub mod outcome;
mod quality;
mod repair;
mod split;
mod table;

pub use error::DataError;
pub use folds::{Deal, Fold, FoldError, TrainWindow, folds, paths};
pub use import::{
    Action, ActionKind, Actions, Adjustment, ColumnNames, Existing, Field, FieldError, Fold as ClockFold, Import,
    ImportJob, ImportOptions, Imported, ImportedSet, Progress, Reading, Stage, StampFormat, check_file, import,
    import_csv, read_actions, read_csv,
};
pub use quality::{
    Finding, FindingKind, QualityReport, Severity, Tally, check, check_on, check_set, page as quality_page,
};
pub use repair::Repaired;
pub use split::{SplitIndices, Splitter, split};
pub use table::{
    About, Dataset, Part, Series, SeriesReader, about, load, load_all, read_parquet, resolve, resolve_below, series,
    symbols, verify, write_parquet, write_series,
};
