//! How long to wait before the next attempt. Randomness is passed in, so a seed replays it.

use market::Timestamp;
use spec::{FailureClass, RetrySpec, Span};

/// Longest wait between two attempts.
pub const BACKOFF_MAX: Span = Span::from_secs(300);

/// Workers a trial may lose before it counts as the cause. Far above what preemption brings, so an innocent trial never
/// meets it.
pub const WORKER_LOSSES_MAX: u32 = 100;

/// Lost workers without any wait: one or two are ordinary life, more look like a trial that kills them.
const LOSSES_WITHOUT_WAIT: u32 = 3;

/// First wait after more losses than that.
const LOSS_BACKOFF: Span = Span::from_secs(1);

/// A seeded source of jitter.
#[derive(Clone, Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    /// The sequence of `seed`.
    #[must_use]
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next value in [0, 1). SplitMix64 (Steele, Lea and Flood 2014).
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// When to try again after the `failures`-th own failure; `None`: never. A retry meets the same data, so a failure of
/// the data is final.
pub(crate) fn after_failure(
    now: Timestamp,
    retry: &RetrySpec,
    class: FailureClass,
    failures: u32,
    jitter: &mut Jitter,
) -> Option<Timestamp> {
    let worth_it = match class {
        FailureClass::Data => false,
        FailureClass::Oom
        | FailureClass::Nan
        | FailureClass::Collective
        | FailureClass::Timeout
        | FailureClass::WorkerLost
        | FailureClass::Bug => true,
    };
    (worth_it && failures < retry.attempts).then(|| now.plus_seconds(wait(retry.backoff, failures, jitter)))
}

/// When to try again after the `losses`-th lost worker; `None`: never.
pub(crate) fn after_loss(now: Timestamp, losses: u32, jitter: &mut Jitter) -> Option<Timestamp> {
    match losses {
        ..=LOSSES_WITHOUT_WAIT => Some(now),
        WORKER_LOSSES_MAX.. => None,
        _ => Some(now.plus_seconds(wait(LOSS_BACKOFF, losses - LOSSES_WITHOUT_WAIT, jitter))),
    }
}

/// Seconds: `first` doubled for each time after the first, up to a tenth more, at most [`BACKOFF_MAX`].
fn wait(first: Span, times: u32, jitter: &mut Jitter) -> f64 {
    let doublings = i32::try_from(times.saturating_sub(1)).unwrap_or(i32::MAX).min(60);
    let millis = first.millis() as f64 * 2_f64.powi(doublings) * (1.0 + 0.1 * jitter.next());
    millis.min(BACKOFF_MAX.millis() as f64) / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry() -> RetrySpec {
        RetrySpec { attempts: 3, backoff: Span::from_secs(2) }
    }

    #[test]
    fn back_off_doubles_with_at_most_a_tenth_of_jitter_and_ends_with_the_budget() {
        let now = Timestamp::default();
        let mut jitter = Jitter::new(1);
        for (failures, least) in [(1, 2.0), (2, 4.0)] {
            let at = after_failure(now, &retry(), FailureClass::Nan, failures, &mut jitter).unwrap();
            let waited = at.seconds_since(now);
            assert!((least..=least * 1.1).contains(&waited), "failure {failures} waits {waited} s");
        }
        assert_eq!(after_failure(now, &retry(), FailureClass::Nan, 3, &mut jitter), None);
    }

    #[test]
    fn data_is_not_tried_again_and_no_wait_is_above_five_minutes() {
        let now = Timestamp::default();
        let mut jitter = Jitter::new(1);
        assert_eq!(after_failure(now, &retry(), FailureClass::Data, 1, &mut jitter), None);
        let patient = RetrySpec { attempts: 100, backoff: Span::from_secs(60) };
        let at = after_failure(now, &patient, FailureClass::Oom, 99, &mut jitter).unwrap();
        assert_eq!(at.seconds_since(now), 300.0);
    }

    #[test]
    fn lost_workers_cost_no_wait_at_first_and_end_at_their_own_bound() {
        let now = Timestamp::default();
        let mut jitter = Jitter::new(1);
        assert_eq!(after_loss(now, 3, &mut jitter), Some(now));
        assert!(after_loss(now, 4, &mut jitter).unwrap() > now);
        assert!(after_loss(now, 99, &mut jitter).is_some());
        assert_eq!(after_loss(now, 100, &mut jitter), None);
    }
}
