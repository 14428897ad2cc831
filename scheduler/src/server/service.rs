//! The protocol's service over the core's calls.

use std::collections::BTreeSet;
use std::time::Duration;

use market::Timestamp;
use protocol::{
    Assignment, Cordon, Directive, Ending, ExperimentDetail, ExperimentView, Explanation, NodeView, Refusal,
    Registration, Report, Service, Submission, Target, Terms, TrialView, Update, UpdateStream,
};
use spec::{AttemptId, CheckpointRef, ExperimentId, Progress, TrialId, WorkerId};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

use crate::cluster::{Input, Reply};
use crate::core::{Call, Watch};
use crate::round::End;
use crate::server::trail::Trail;

/// Updates on their way to one watcher.
const WATCH_BUFFER: usize = 256;

/// How long news gather before a watcher gets them.
const GATHER: Duration = Duration::from_millis(10);

pub(super) struct Rim {
    calls: mpsc::Sender<Call>,
    trail: Trail,
}

impl Rim {
    pub(super) const fn new(calls: mpsc::Sender<Call>, trail: Trail) -> Self {
        Self { calls, trail }
    }

    async fn input(&self, input: Input) -> Result<Reply, Refusal> {
        ask(&self.calls, |answer| Call::Input(Box::new(input), answer)).await
    }

    /// What `worker`, who asked at `asked`, gets.
    fn leased(&self, asked: Option<Timestamp>, worker: &WorkerId, leased: Option<Assignment>) -> Option<Assignment> {
        let mut assignment = leased?;
        let Assignment { trial, attempt, .. } = &assignment;
        tracing::info!(experiment = %trial.experiment, %trial, %attempt, %worker, "attempt is leased");
        self.trail.lease(asked, worker, &mut assignment);
        Some(assignment)
    }
}

/// A core that has ended answers nothing: its callers are told to come back.
async fn ask<T>(
    calls: &mpsc::Sender<Call>,
    call: impl FnOnce(oneshot::Sender<Result<T, Refusal>>) -> Call,
) -> Result<T, Refusal> {
    let (answer, answered) = oneshot::channel();
    calls.send(call(answer)).await.map_err(|_| Refusal::Stopping)?;
    answered.await.map_err(|_| Refusal::Stopping)?
}

fn unexpected<T>(reply: &Reply) -> Result<T, Refusal> {
    Err(Refusal::Invalid(format!("scheduler answered out of turn: {reply:?}")))
}

/// Every reply to an input is of the input's own kind; anything else is a defect and is said.
macro_rules! expect {
    ($reply:expr, $kind:ident) => {
        match $reply {
            Reply::$kind(value) => Ok(value),
            other => unexpected(&other),
        }
    };
}

#[tonic::async_trait]
impl Service for Rim {
    async fn register(&self, registration: Registration) -> Result<Terms, Refusal> {
        expect!(self.input(Input::Register(registration)).await?, Terms)
    }

    async fn lease(&self, worker: WorkerId) -> Result<Option<Assignment>, Refusal> {
        let (asked, who) = (self.trail.now(), worker.clone());
        let leased = ask(&self.calls, |answer| Call::Lease(worker, answer)).await?;
        Ok(self.leased(asked, &who, leased))
    }

    async fn heartbeat(
        &self,
        worker: WorkerId,
        attempt: AttemptId,
        progress: Option<Progress>,
    ) -> Result<Directive, Refusal> {
        expect!(self.input(Input::Heartbeat(worker, attempt, progress)).await?, Directive)
    }

    async fn checkpoint(
        &self,
        worker: WorkerId,
        attempt: AttemptId,
        checkpoint: CheckpointRef,
    ) -> Result<Vec<CheckpointRef>, Refusal> {
        expect!(self.input(Input::Checkpoint(worker, attempt, checkpoint)).await?, Kept)
    }

    async fn finish(&self, worker: WorkerId, attempt: AttemptId, report: Report) -> Result<(), Refusal> {
        let begun = self.trail.result(&worker, attempt, &report);
        tracing::debug!(%attempt, %worker, "attempt reports");
        let finished = self.input(Input::Finish(worker, attempt, report)).await.map(drop);
        self.trail.end(begun, &finished);
        finished
    }

    async fn exchange(
        &self,
        worker: WorkerId,
        attempt: AttemptId,
        report: Report,
    ) -> Result<Option<Assignment>, Refusal> {
        let (asked, who) = (self.trail.now(), worker.clone());
        self.trail.came_in(self.trail.result(&worker, attempt, &report));
        tracing::debug!(%attempt, %worker, "attempt reports");
        let end = Box::new(End { worker, attempt, report });
        let leased = ask(&self.calls, |answer| Call::Exchange(end, answer)).await?;
        Ok(self.leased(asked, &who, leased))
    }

    async fn submit(&self, mut submission: Submission) -> Result<ExperimentView, Refusal> {
        let begun = self.trail.submit(&mut submission);
        let experiment = submission.experiment.clone();
        let submitted = self.input(Input::Submit(submission)).await;
        match &submitted {
            Ok(_) => tracing::info!(%experiment, "experiment is taken in"),
            Err(why) => tracing::info!(%experiment, %why, "experiment is refused"),
        }
        self.trail.end(begun, &submitted);
        expect!(submitted?, Experiment)
    }

    async fn record(&self, submission: Submission, trials: Vec<Ending>) -> Result<ExperimentView, Refusal> {
        expect!(self.input(Input::Record(submission, trials)).await?, Experiment)
    }

    async fn list(&self) -> Result<Vec<ExperimentView>, Refusal> {
        ask(&self.calls, Call::List).await
    }

    async fn show(&self, experiment: ExperimentId) -> Result<ExperimentDetail, Refusal> {
        ask(&self.calls, |answer| Call::Show(experiment, answer)).await
    }

    async fn explain(&self, trial: TrialId) -> Result<Explanation, Refusal> {
        ask(&self.calls, |answer| Call::Explain(trial, answer)).await
    }

    async fn cancel(&self, experiment: ExperimentId) -> Result<ExperimentView, Refusal> {
        expect!(self.input(Input::Cancel(experiment)).await?, Experiment)
    }

    async fn watch(&self, experiment: Option<ExperimentId>) -> Result<UpdateStream, Refusal> {
        let watch = ask(&self.calls, |answer| Call::Watch(experiment.clone(), answer)).await?;
        let (sender, receiver) = mpsc::channel(WATCH_BUFFER);
        // A weak sender: a watcher alone does not keep the core alive.
        tokio::spawn(follow(self.calls.downgrade(), experiment, watch, sender));
        Ok(Box::pin(ReceiverStream::new(receiver)))
    }

    async fn shutdown(&self) -> Result<(), Refusal> {
        ask(&self.calls, Call::Stop).await
    }

    async fn nodes(&self) -> Result<Vec<NodeView>, Refusal> {
        ask(&self.calls, Call::Nodes).await
    }

    async fn cordon(&self, target: Target, cordon: Cordon) -> Result<(), Refusal> {
        self.input(Input::Cordon(target, cordon)).await.map(drop)
    }

    async fn uncordon(&self, target: Target) -> Result<(), Refusal> {
        self.input(Input::Uncordon(target)).await.map(drop)
    }

    async fn requeue(&self, trial: TrialId) -> Result<TrialView, Refusal> {
        expect!(self.input(Input::Requeue(trial)).await?, Trial)
    }
}

/// Sends the present, then what follows; a watcher that fell behind gets the present again.
async fn follow(
    calls: mpsc::WeakSender<Call>,
    experiment: Option<ExperimentId>,
    (mut present, mut news): Watch,
    sender: mpsc::Sender<Update>,
) {
    loop {
        for update in std::mem::take(&mut present) {
            if sender.send(update).await.is_err() {
                return;
            }
        }
        // Workers wait for answers while news are written: a few large messages cost them less than many small ones.
        tokio::time::sleep(GATHER).await;
        let mut next = news.recv().await;
        let lagged = loop {
            match next {
                Ok(update) if experiment.as_ref().is_none_or(|wanted| wanted == update.experiment()) => {
                    present.push(update);
                }
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => break true,
                Err(RecvError::Closed) => return,
            }
            next = match news.try_recv() {
                Ok(update) => Ok(update),
                // That it is closed is heard of again once this was sent.
                Err(TryRecvError::Empty | TryRecvError::Closed) => break false,
                Err(TryRecvError::Lagged(missed)) => Err(RecvError::Lagged(missed)),
            };
        };
        if lagged {
            let Some(calls) = calls.upgrade() else { return };
            match ask(&calls, |answer| Call::Watch(experiment.clone(), answer)).await {
                Ok(watch) => (present, news) = watch,
                Err(_) => return,
            }
        } else {
            present = newest(present);
        }
    }
}

/// News without the views of experiments that later ones among them replace.
fn newest(news: Vec<Update>) -> Vec<Update> {
    let mut seen = BTreeSet::new();
    let counts = |update: &Update| match update {
        Update::Experiment(view) => seen.insert(view.experiment.clone()),
        Update::Trial(_) | Update::Progress { .. } => true,
    };
    let mut kept: Vec<Update> = news.into_iter().rev().filter(counts).collect();
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests;
