//! What an attempt says while it runs: heartbeats with the latest progress, and checkpoints.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use protocol::{Client, ClientError, Directive, Refusal, StopCause, Terms};
use spec::{AttemptId, CheckpointRef, Progress, Span, WorkerId};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::RETRY_PAUSE;
use crate::runner::{CheckpointError, Reporter};

/// Shortest time between two heartbeats: five words a second are enough for a progress bar.
const WORD_PAUSE: Duration = Duration::from_millis(200);

/// Wait before the first heartbeat. An attempt that is over sooner is known by its end, which then waits for no heartbeat's line
/// in the journal; to a person the wait is no time.
const FIRST_WORD: Duration = Duration::from_millis(20);

pub(super) struct Speech {
    client: Client,
    worker: WorkerId,
    attempt: AttemptId,
    terms: Terms,
    said: watch::Sender<Option<Progress>>,
    heard: watch::Receiver<Option<Progress>>,
    /// Step of the last word that the scheduler took.
    told: Option<u64>,
}

impl Speech {
    pub(super) fn new(client: Client, worker: WorkerId, attempt: AttemptId, terms: Terms) -> Self {
        let (said, heard) = watch::channel(None);
        Self { client, worker, attempt, terms, said, heard, told: None }
    }

    /// The runner's end. Its checkpoints block the runner's thread until the scheduler answered, a lease's time at most.
    pub(super) fn reporter(&self, stop: Arc<AtomicBool>) -> Reporter {
        let mut pace = Pace::default();
        let said = self.said.clone();
        let progress = move |progress: Progress| {
            let progress = pace.rated(progress);
            said.send_replace(Some(progress));
        };
        let (client, worker, attempt) = (self.client.clone(), self.worker.clone(), self.attempt);
        let (lease, runtime) = (self.terms.lease.as_duration(), Handle::current());
        let handover = move |checkpoint: CheckpointRef| {
            let hand_over = hand_over(&client, &worker, attempt, checkpoint);
            runtime
                .block_on(async { tokio::time::timeout(lease, hand_over).await })
                .unwrap_or(Err(CheckpointError::Unreachable))
        };
        Reporter { progress: Box::new(progress), handover: Box::new(handover), stop }
    }

    /// Heartbeats until told to stop. [`Directive::Continue`] comes back when nothing was heard for `patience`.
    pub(super) async fn beat(&mut self, patience: Span) -> Directive {
        let mut silent = Duration::ZERO;
        tokio::time::sleep(FIRST_WORD.min(self.terms.heartbeat.as_duration())).await;
        loop {
            let progress = self.heard.borrow_and_update().clone();
            match self.say(progress).await {
                Ok(Directive::Continue) => silent = Duration::ZERO,
                Ok(stop @ Directive::Stop(_)) => return stop,
                // Nothing that this worker says counts any more.
                Err(ClientError::Refused(Refusal::Revoked | Refusal::Expired)) => {
                    return Directive::Stop(StopCause::Fenced);
                }
                // The attempt goes on: a scheduler that comes back knows its token.
                Err(error) => {
                    tracing::debug!(%error, "heartbeat was not answered");
                    silent += RETRY_PAUSE;
                    if silent >= patience.as_duration() {
                        return Directive::Continue;
                    }
                    tokio::time::sleep(RETRY_PAUSE).await;
                    continue;
                }
            }
            tokio::time::sleep(WORD_PAUSE.min(self.terms.heartbeat.as_duration())).await;
            // News is sent at once, silence when it is time.
            let rest = self.terms.heartbeat.as_duration().saturating_sub(WORD_PAUSE);
            let _ = tokio::time::timeout(rest, self.heard.changed()).await;
        }
    }

    /// Says what the runner said after the last heartbeat, or while one was given up: an attempt that ends would take it
    /// along. Its result does not wait for a scheduler that is away.
    pub(super) async fn last_word(&mut self) {
        let last = self.heard.borrow_and_update().clone();
        if last.as_ref().map(|progress| progress.step) != self.told {
            let _ = tokio::time::timeout(WORD_PAUSE, self.say(last)).await;
        }
    }

    async fn say(&mut self, progress: Option<Progress>) -> Result<Directive, ClientError> {
        let step = progress.as_ref().map(|progress| progress.step);
        let directive = self.client.heartbeat(&self.worker, self.attempt, progress).await?;
        self.told = step.or(self.told);
        Ok(directive)
    }

    /// Heartbeats for the lease's sake alone; never returns.
    pub(super) async fn keep(&mut self) {
        let never: Infallible = async {
            loop {
                let progress = self.heard.borrow_and_update().clone();
                let _ = self.say(progress).await;
                tokio::time::sleep(self.terms.heartbeat.as_duration()).await;
            }
        }
        .await;
        match never {}
    }
}

async fn hand_over(
    client: &Client,
    worker: &WorkerId,
    attempt: AttemptId,
    checkpoint: CheckpointRef,
) -> Result<Vec<CheckpointRef>, CheckpointError> {
    loop {
        match client.checkpoint(worker, attempt, checkpoint).await {
            Ok(kept) => return Ok(kept),
            Err(ClientError::Refused(Refusal::Fenced)) => return Err(CheckpointError::Fenced),
            Err(error) if error.is_transient() => tokio::time::sleep(RETRY_PAUSE).await,
            Err(_) => return Err(CheckpointError::Unreachable),
        }
    }
}

/// Fills in the rate: steps a second since the word before, smoothed.
#[derive(Default)]
struct Pace {
    last: Option<(Instant, u64)>,
    rate: f64,
}

impl Pace {
    #[allow(clippy::disallowed_methods, reason = "the rate of an attempt is measured where it runs")]
    fn rated(&mut self, progress: Progress) -> Progress {
        self.rate_at(Instant::now(), progress)
    }

    fn rate_at(&mut self, now: Instant, mut progress: Progress) -> Progress {
        match self.last {
            Some((then, step)) if progress.step > step => {
                let seconds = now.saturating_duration_since(then).as_secs_f64().max(1e-6);
                let rate = (progress.step - step) as f64 / seconds;
                // The first measure stands; later ones move it by a third.
                self.rate = if self.rate == 0.0 { rate } else { self.rate + (rate - self.rate) / 3.0 };
                self.last = Some((now, progress.step));
            }
            Some(_) => {}
            None => self.last = Some((now, progress.step)),
        }
        if progress.rate == 0.0 {
            progress.rate = self.rate;
        }
        progress
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_steps_a_second_and_a_given_one_stands() {
        #[allow(clippy::disallowed_methods, reason = "a test needs some instant")]
        let start = Instant::now();
        let word = |step, rate| Progress {
            step,
            steps: 100,
            unit: spec::ProgressUnit::EnvStep,
            rate,
            metrics: std::collections::BTreeMap::new(),
        };
        let mut pace = Pace::default();
        assert_eq!(pace.rate_at(start, word(10, 0.0)).rate, 0.0);
        assert_eq!(pace.rate_at(start + Duration::from_secs(2), word(30, 0.0)).rate, 10.0);
        assert_eq!(pace.rate_at(start + Duration::from_secs(3), word(70, 0.0)).rate, 20.0);
        assert_eq!(pace.rate_at(start + Duration::from_secs(4), word(71, 7.0)).rate, 7.0);
    }
}
