//! The questions: sweeps, ensembles, verdicts and reports.

pub mod bench;
mod conclusion;
mod encoder;
mod ensemble;
mod figure;
#[cfg(test)]
mod fixture;
mod question;
mod record;
pub mod report;
mod run;
mod summary;
pub mod sweep;
pub mod trials;
mod verdict;
mod warm;

pub use backtest::calibration::{CalibrationFigures, CoverageFigures, FollowedFigures, ReliabilityBin, ScoreFigures};
pub use conclusion::{ConcludeError, Conclusion, conclude, promotion_text};
pub use encoder::{EncoderError, EncoderFigures};
pub use ensemble::{EnsembleRunError, EnsembleSummary, MemberFigures, SweepMembersError, TogetherFigures, ensemble};
pub use question::{Question, Seen, normalised};
pub use record::{Asked, Record, RecordError};
pub use run::{Machine, PrepareError, Prepared, endings, extend, prepare, resume, submission};
pub use summary::{Best, Ended, GateFigure, Promotion, Summary};
pub use verdict::{Verdict, VerdictError};
