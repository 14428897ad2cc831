//! Bars in Parquet: import, content digest, quality report, time splits.
//!
//! A [`Dataset`] is one symbol's bars with the digest of their content; whatever is trained names that digest. Scraped
//! sources are import-only: CSV comes in through [`import_csv`], adjusted over all prices, and only Parquet is trained on.
//! Knows no models, no brokers and no clock.

mod error;
mod import;
mod quality;
mod split;
mod table;

pub use error::DataError;
pub use import::{Adjustment, Import, ImportOptions, import_csv, read_csv};
pub use quality::{Finding, FindingKind, QualityReport, Severity, check};
pub use split::{SplitIndices, split};
pub use table::{Dataset, read_parquet, resolve, resolve_below, symbols, write_parquet};
