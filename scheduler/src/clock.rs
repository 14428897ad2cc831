//! The one place that reads the clock.

use std::time::{Duration, Instant, SystemTime};

use market::Timestamp;

/// Wall time that never runs backwards: read once, then advanced by the monotonic clock, so a clock that is set ends no
/// lease.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    began: Timestamp,
    origin: Instant,
}

impl Clock {
    /// A clock that does not run behind `last`.
    #[allow(clippy::disallowed_methods, reason = "the rim's clock")]
    pub(crate) fn start(last: Timestamp) -> Self {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let wall = Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX));
        Self { began: wall.max(last), origin: Instant::now() }
    }

    /// Time since it began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }

    pub(crate) fn now(&self) -> Timestamp {
        let micros = i64::try_from(self.elapsed().as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_micros(self.began.micros().saturating_add(micros))
    }
}
