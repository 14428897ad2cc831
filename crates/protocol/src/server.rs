//! The serving side: checks the token, turns wire into domain, calls a [`Service`], turns its answer back.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use spec::{AttemptId, CheckpointRef, ExperimentId, Progress, TrialId, WorkerId};
use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt as _};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::generated as wire;
use crate::generated::scheduler_server::{Scheduler, SchedulerServer};
use crate::refusals::Counted;
use crate::wire::{Malformed, parse, required, to_json};
use crate::{
    Assignment, Cordon, Directive, Ending, ExperimentDetail, ExperimentView, Explanation, NodeView, Refusal, Refusals,
    Registration, Report, Submission, Target, Terms, Token, TrialView, Update,
};

/// Version of the wire. A worker of another one is refused: it would misread what it is told.
pub const PROTOCOL: u32 = 2;

/// Largest message either way: a trial's outcome with its curves is far below this.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// How long open streams may linger once the server is asked to stop.
const LINGER: Duration = Duration::from_secs(2);

/// The port cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("scheduler cannot serve its port")]
pub struct ServeError(#[source] tonic::transport::Error);

/// What a watcher receives.
pub type UpdateStream = Pin<Box<dyn Stream<Item = Update> + Send>>;

/// What a scheduler answers. Every method may be called from many tasks at once.
#[tonic::async_trait]
pub trait Service: Send + Sync + 'static {
    /// Admits a worker.
    async fn register(&self, registration: Registration) -> Result<Terms, Refusal>;
    /// Waits a while for an assignment.
    async fn lease(&self, worker: WorkerId) -> Result<Option<Assignment>, Refusal>;
    /// Renews a lease.
    async fn heartbeat(
        &self,
        worker: WorkerId,
        attempt: AttemptId,
        progress: Option<Progress>,
    ) -> Result<Directive, Refusal>;
    /// Keeps a checkpoint; answers with what is kept now, newest first.
    async fn checkpoint(
        &self,
        worker: WorkerId,
        attempt: AttemptId,
        checkpoint: CheckpointRef,
    ) -> Result<Vec<CheckpointRef>, Refusal>;
    /// Ends an attempt. Repeating it is harmless.
    async fn finish(&self, worker: WorkerId, attempt: AttemptId, report: Report) -> Result<(), Refusal>;
    /// Ends an attempt, then waits a while for an assignment. Repeating it is harmless.
    async fn exchange(
        &self,
        worker: WorkerId,
        attempt: AttemptId,
        report: Report,
    ) -> Result<Option<Assignment>, Refusal>;
    /// Takes an experiment in. Repeating it is harmless.
    async fn submit(&self, submission: Submission) -> Result<ExperimentView, Refusal>;
    /// Takes in an experiment that another cluster ran to its end. Repeating it is harmless.
    async fn record(&self, submission: Submission, trials: Vec<Ending>) -> Result<ExperimentView, Refusal>;
    /// Lists experiments in the order submitted.
    async fn list(&self) -> Result<Vec<ExperimentView>, Refusal>;
    /// Shows an experiment with its trials.
    async fn show(&self, experiment: ExperimentId) -> Result<ExperimentDetail, Refusal>;
    /// Says why a trial is where it is.
    async fn explain(&self, trial: TrialId) -> Result<Explanation, Refusal>;
    /// Cancels an experiment. Repeating it is harmless.
    async fn cancel(&self, experiment: ExperimentId) -> Result<ExperimentView, Refusal>;
    /// Follows one experiment, or all.
    async fn watch(&self, experiment: Option<ExperimentId>) -> Result<UpdateStream, Refusal>;
    /// Stops the scheduler in good order.
    async fn shutdown(&self) -> Result<(), Refusal>;
    /// Shows the machines with their workers.
    async fn nodes(&self) -> Result<Vec<NodeView>, Refusal>;
    /// Lets no new attempt start on `target`. Repeating it is harmless.
    async fn cordon(&self, target: Target, cordon: Cordon) -> Result<(), Refusal>;
    /// Takes a cordon away. Repeating it is harmless.
    async fn uncordon(&self, target: Target) -> Result<(), Refusal>;
    /// Gives a failed trial a new budget of attempts.
    async fn requeue(&self, trial: TrialId) -> Result<TrialView, Refusal>;
}

/// Serves `service` on `listener` until `stop` resolves or the port fails; what is refused is counted in `refusals`.
///
/// # Errors
/// [`ServeError`] when the transport fails.
pub async fn serve<S: Service>(
    listener: TcpListener,
    token: Token,
    refusals: Refusals,
    service: S,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let admit = move |request: Request<()>| match request.metadata().get("authorization") {
        Some(header) if token.admits(header.as_bytes()) => Ok(request),
        Some(_) | None => Err(Status::from(Refusal::Unauthenticated)),
    };
    let scheduler = SchedulerServer::new(Adapter(service))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .add_service(Counted { inner: InterceptedService::new(scheduler, admit), refusals })
        .serve_with_incoming_shutdown(incoming, async {
            stop.await;
            drop(stopping);
        });
    let overdue = async {
        // Errs once `stopping` is dropped: nothing is ever sent.
        let _ = stopped.await;
        tokio::time::sleep(LINGER).await;
    };
    tokio::select! {
        served = server => served.map_err(ServeError),
        () = overdue => Ok(()),
    }
}

struct Adapter<S>(S);

type Reply<T> = Result<Response<T>, Status>;

fn document<T: serde::Serialize>(value: &T) -> Response<wire::Document> {
    Response::new(wire::Document { json: to_json(value) })
}

#[tonic::async_trait]
impl<S: Service> Scheduler for Adapter<S> {
    async fn register(&self, request: Request<wire::RegisterRequest>) -> Reply<wire::RegisterReply> {
        Ok(Response::new(self.0.register(request.into_inner().try_into()?).await?.into()))
    }

    async fn lease(&self, request: Request<wire::LeaseRequest>) -> Reply<wire::LeaseReply> {
        let assignment = self.0.lease(parse("worker", &request.into_inner().worker)?).await?;
        Ok(Response::new(wire::LeaseReply { assignment: assignment.map(Into::into) }))
    }

    async fn heartbeat(&self, request: Request<wire::HeartbeatRequest>) -> Reply<wire::HeartbeatReply> {
        let request = request.into_inner();
        let worker = parse("worker", &request.worker)?;
        let progress = request.progress.map(Progress::try_from).transpose()?;
        Ok(Response::new(self.0.heartbeat(worker, AttemptId(request.attempt), progress).await?.into()))
    }

    async fn checkpoint(&self, request: Request<wire::CheckpointRequest>) -> Reply<wire::CheckpointReply> {
        let request = request.into_inner();
        let worker = parse("worker", &request.worker)?;
        let checkpoint = required("checkpoint", request.checkpoint)?.try_into()?;
        let kept = self.0.checkpoint(worker, AttemptId(request.attempt), checkpoint).await?;
        Ok(Response::new(wire::CheckpointReply { kept: kept.into_iter().map(Into::into).collect() }))
    }

    async fn finish(&self, request: Request<wire::FinishRequest>) -> Reply<wire::Nothing> {
        let request = request.into_inner();
        let worker = parse("worker", &request.worker)?;
        let report = required("report", request.report)?.try_into()?;
        self.0.finish(worker, AttemptId(request.attempt), report).await?;
        Ok(Response::new(wire::Nothing {}))
    }

    async fn exchange(&self, request: Request<wire::FinishRequest>) -> Reply<wire::LeaseReply> {
        let request = request.into_inner();
        let worker = parse("worker", &request.worker)?;
        let report = required("report", request.report)?.try_into()?;
        let assignment = self.0.exchange(worker, AttemptId(request.attempt), report).await?;
        Ok(Response::new(wire::LeaseReply { assignment: assignment.map(Into::into) }))
    }

    async fn submit(&self, request: Request<wire::SubmitRequest>) -> Reply<wire::Document> {
        Ok(document(&self.0.submit(request.into_inner().try_into()?).await?))
    }

    async fn record(&self, request: Request<wire::RecordRequest>) -> Reply<wire::Document> {
        let wire::RecordRequest { submission, trials } = request.into_inner();
        let submission = required("submission", submission)?.try_into()?;
        let trials = trials.into_iter().map(TryInto::try_into).collect::<Result<Vec<_>, Malformed>>()?;
        Ok(document(&self.0.record(submission, trials).await?))
    }

    async fn list(&self, _: Request<wire::Nothing>) -> Reply<wire::Documents> {
        let json = self.0.list().await?.iter().map(to_json).collect();
        Ok(Response::new(wire::Documents { json }))
    }

    async fn show(&self, request: Request<wire::ExperimentRequest>) -> Reply<wire::ShowReply> {
        let detail = self.0.show(parse("experiment", &request.into_inner().experiment)?).await?;
        let trials = detail.trials.into_iter().map(|trial| wire::TrialDocument {
            json: to_json(&trial),
            payload: trial.payload,
            outcome: trial.outcome,
        });
        Ok(Response::new(wire::ShowReply {
            experiment_json: to_json(&detail.experiment),
            payload: detail.payload,
            trials: trials.collect(),
        }))
    }

    async fn explain(&self, request: Request<wire::TrialRequest>) -> Reply<wire::Document> {
        Ok(document(&self.0.explain(parse("trial", &request.into_inner().trial)?).await?))
    }

    async fn cancel(&self, request: Request<wire::ExperimentRequest>) -> Reply<wire::Document> {
        Ok(document(&self.0.cancel(parse("experiment", &request.into_inner().experiment)?).await?))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<wire::Document, Status>> + Send>>;

    async fn watch(&self, request: Request<wire::WatchRequest>) -> Reply<Self::WatchStream> {
        let experiment = request.into_inner().experiment.map(|text| parse("experiment", &text)).transpose()?;
        let updates = self.0.watch(experiment).await?;
        Ok(Response::new(Box::pin(updates.map(|update| Ok(wire::Document { json: to_json(&update) })))))
    }

    async fn shutdown(&self, _: Request<wire::Nothing>) -> Reply<wire::Nothing> {
        self.0.shutdown().await?;
        Ok(Response::new(wire::Nothing {}))
    }

    async fn nodes(&self, _: Request<wire::Nothing>) -> Reply<wire::Documents> {
        let json = self.0.nodes().await?.iter().map(to_json).collect();
        Ok(Response::new(wire::Documents { json }))
    }

    async fn cordon(&self, request: Request<wire::CordonRequest>) -> Reply<wire::Nothing> {
        let request = request.into_inner();
        let cordon = if request.drain { Cordon::Drain } else { Cordon::Finish };
        self.0.cordon(required("target", request.target)?.try_into()?, cordon).await?;
        Ok(Response::new(wire::Nothing {}))
    }

    async fn uncordon(&self, request: Request<wire::Target>) -> Reply<wire::Nothing> {
        self.0.uncordon(request.into_inner().try_into()?).await?;
        Ok(Response::new(wire::Nothing {}))
    }

    async fn requeue(&self, request: Request<wire::TrialRequest>) -> Reply<wire::Document> {
        Ok(document(&self.0.requeue(parse("trial", &request.into_inner().trial)?).await?))
    }
}
