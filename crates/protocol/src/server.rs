//! The serving side: turns wire into domain, calls a [`Service`], turns its answer back.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use spec::{AttemptId, CheckpointRef, ExperimentId, Progress, Span, TrialId, WorkerId};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use crate::door::Porter;
use crate::gate::{Admission, Gate, accept, caller};
use crate::generated as wire;
use crate::generated::door_server::DoorServer;
use crate::generated::scheduler_server::{Scheduler, SchedulerServer};
use crate::wire::{Malformed, parse, required, to_json};
use crate::{
    Access, AccessError, Assignment, Caller, Cordon, Directive, Ending, ExperimentDetail, ExperimentView, Explanation,
    NodeView, Refusal, Refusals, Registration, Report, Role, Submission, Target, Terms, TrialView, Update,
};

mod exchange;

/// Version of the wire. A worker of another one is refused: it would misread what it is told.
pub const PROTOCOL: u32 = 3;

/// Largest message either way: a trial's outcome with its curves is far below this.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Largest message of a caller who is not known yet.
const STRANGER_BYTES_MAX: usize = 4 << 10;

/// How long open streams may linger once the server is asked to stop.
const LINGER: Duration = Duration::from_secs(2);

/// The port cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The transport failed.
    #[error("scheduler cannot serve its port")]
    Transport(#[source] tonic::transport::Error),
    /// Its keys cannot be used.
    #[error(transparent)]
    Access(#[from] AccessError),
}

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

/// Serves `service` on `listener` until `stop` resolves or the port fails, to those that `access` lets in; what is refused is
/// counted in `refusals`.
///
/// # Errors
/// [`ServeError`] when the transport or a key fails.
pub async fn serve<S: Service>(
    listener: TcpListener,
    access: Arc<Access>,
    refusals: Refusals,
    service: S,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let acceptor = access.acceptor()?;
    let (open, closing) = watch::channel(());
    let adapter =
        Adapter { service: Arc::new(service), access: Arc::clone(&access), refusals: refusals.clone(), closing };
    let scheduler = SchedulerServer::new(adapter)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let scheduler =
        Gate { inner: scheduler, admission: Admission::Callers(Arc::clone(&access)), refusals: refusals.clone() };
    let door = DoorServer::new(Porter(access)).max_decoding_message_size(STRANGER_BYTES_MAX);
    let door = Gate { inner: door, admission: Admission::Open, refusals: refusals.clone() };
    let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
    let stop = async {
        stop.await;
        drop(stopping);
        drop(open);
    };
    let server = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .add_service(scheduler)
        .add_service(door);
    let served = async {
        match acceptor {
            None => {
                let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
                server.serve_with_incoming_shutdown(incoming, stop).await
            }
            Some(tls) => server.serve_with_incoming_shutdown(accept(listener, tls, refusals), stop).await,
        }
    };
    let overdue = async {
        // Errs once `stopping` is dropped: nothing is ever sent.
        let _ = stopped.await;
        tokio::time::sleep(LINGER).await;
    };
    tokio::select! {
        served = served => served.map_err(ServeError::Transport),
        () = overdue => Ok(()),
    }
}

struct Adapter<S> {
    service: Arc<S>,
    access: Arc<Access>,
    refusals: Refusals,
    /// Errs once the server is asked to stop; nothing is ever sent.
    closing: watch::Receiver<()>,
}

type Reply<T> = Result<Response<T>, Status>;

fn worker(caller: &Caller, text: &str) -> Result<WorkerId, Status> {
    let worker = parse("worker", text)?;
    caller.speaks_for(&worker)?;
    Ok(worker)
}

/// What `caller` gets after a wait. Who was revoked meanwhile gets nothing, and the lease runs out.
fn leased(access: &Access, caller: &Caller, assignment: Option<Assignment>) -> Result<wire::LeaseReply, Status> {
    if access.still_admits(caller) {
        Ok(wire::LeaseReply { assignment: assignment.map(Into::into) })
    } else {
        Err(Refusal::Revoked.into())
    }
}

impl<S: Service> Adapter<S> {
    /// Whether `caller` may end `experiment`. One that does not exist is refused by the service, in its words.
    async fn owned(&self, caller: &Caller, experiment: &ExperimentId) -> Result<(), Status> {
        if let Caller::Home | Caller::Member { role: Role::Admin, .. } = caller {
            return Ok(());
        }
        let listed = self.service.list().await?;
        let view = listed.iter().find(|view| view.experiment == *experiment);
        view.map_or(Ok(()), |view| caller.owns(experiment, view.policy.owner.as_ref())).map_err(Into::into)
    }
}

fn document<T: serde::Serialize>(value: &T) -> Response<wire::Document> {
    Response::new(wire::Document { json: to_json(value) })
}

#[tonic::async_trait]
impl<S: Service> Scheduler for Adapter<S> {
    async fn register(&self, request: Request<wire::RegisterRequest>) -> Reply<wire::RegisterReply> {
        let caller = caller(&request)?.clone();
        let registration: Registration = request.into_inner().try_into()?;
        caller.speaks_for(&registration.worker)?;
        Ok(Response::new(self.service.register(registration).await?.into()))
    }

    async fn lease(&self, request: Request<wire::LeaseRequest>) -> Reply<wire::LeaseReply> {
        let caller = caller(&request)?.clone();
        let assignment = self.service.lease(worker(&caller, &request.get_ref().worker)?).await?;
        leased(&self.access, &caller, assignment).map(Response::new)
    }

    async fn heartbeat(&self, request: Request<wire::HeartbeatRequest>) -> Reply<wire::HeartbeatReply> {
        let worker = worker(caller(&request)?, &request.get_ref().worker)?;
        let request = request.into_inner();
        let progress = request.progress.map(Progress::try_from).transpose()?;
        Ok(Response::new(self.service.heartbeat(worker, AttemptId(request.attempt), progress).await?.into()))
    }

    async fn checkpoint(&self, request: Request<wire::CheckpointRequest>) -> Reply<wire::CheckpointReply> {
        let worker = worker(caller(&request)?, &request.get_ref().worker)?;
        let request = request.into_inner();
        let checkpoint = required("checkpoint", request.checkpoint)?.try_into()?;
        let kept = self.service.checkpoint(worker, AttemptId(request.attempt), checkpoint).await?;
        Ok(Response::new(wire::CheckpointReply { kept: kept.into_iter().map(Into::into).collect() }))
    }

    async fn finish(&self, request: Request<wire::FinishRequest>) -> Reply<wire::Nothing> {
        let worker = worker(caller(&request)?, &request.get_ref().worker)?;
        let request = request.into_inner();
        let report = required("report", request.report)?.try_into()?;
        self.service.finish(worker, AttemptId(request.attempt), report).await?;
        Ok(Response::new(wire::Nothing {}))
    }

    type ExchangeStream = exchange::Answers;

    async fn exchange(&self, request: Request<Streaming<wire::FinishRequest>>) -> Reply<Self::ExchangeStream> {
        let caller = caller(&request)?.clone();
        Ok(Response::new(self.exchanges(caller, request.into_inner())))
    }

    async fn submit(&self, request: Request<wire::SubmitRequest>) -> Reply<wire::Document> {
        let caller = caller(&request)?.clone();
        let mut submission = request.into_inner().try_into()?;
        caller.signs(&mut submission)?;
        Ok(document(&self.service.submit(submission).await?))
    }

    async fn record(&self, request: Request<wire::RecordRequest>) -> Reply<wire::Document> {
        let caller = caller(&request)?.clone();
        let wire::RecordRequest { submission, trials } = request.into_inner();
        let mut submission = required("submission", submission)?.try_into()?;
        caller.signs(&mut submission)?;
        let trials = trials.into_iter().map(TryInto::try_into).collect::<Result<Vec<_>, Malformed>>()?;
        Ok(document(&self.service.record(submission, trials).await?))
    }

    async fn list(&self, _: Request<wire::Nothing>) -> Reply<wire::Documents> {
        let json = self.service.list().await?.iter().map(to_json).collect();
        Ok(Response::new(wire::Documents { json }))
    }

    async fn show(&self, request: Request<wire::ExperimentRequest>) -> Reply<wire::ShowReply> {
        let detail = self.service.show(parse("experiment", &request.into_inner().experiment)?).await?;
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
        Ok(document(&self.service.explain(parse("trial", &request.into_inner().trial)?).await?))
    }

    async fn cancel(&self, request: Request<wire::ExperimentRequest>) -> Reply<wire::Document> {
        let experiment = parse("experiment", &request.get_ref().experiment)?;
        self.owned(caller(&request)?, &experiment).await?;
        Ok(document(&self.service.cancel(experiment).await?))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<wire::Document, Status>> + Send>>;

    async fn watch(&self, request: Request<wire::WatchRequest>) -> Reply<Self::WatchStream> {
        let (access, watcher) = (Arc::clone(&self.access), caller(&request)?.clone());
        let experiment = request.into_inner().experiment.map(|text| parse("experiment", &text)).transpose()?;
        let updates = self.service.watch(experiment).await?;
        // Who is no member any more sees nothing more.
        let updates = updates.take_while(move |_| access.still_admits(&watcher));
        Ok(Response::new(Box::pin(updates.map(|update| Ok(wire::Document { json: to_json(&update) })))))
    }

    async fn shutdown(&self, _: Request<wire::Nothing>) -> Reply<wire::Nothing> {
        self.service.shutdown().await?;
        Ok(Response::new(wire::Nothing {}))
    }

    async fn nodes(&self, _: Request<wire::Nothing>) -> Reply<wire::Documents> {
        let json = self.service.nodes().await?.iter().map(to_json).collect();
        Ok(Response::new(wire::Documents { json }))
    }

    async fn cordon(&self, request: Request<wire::CordonRequest>) -> Reply<wire::Nothing> {
        let request = request.into_inner();
        let cordon = if request.drain { Cordon::Drain } else { Cordon::Finish };
        self.service.cordon(required("target", request.target)?.try_into()?, cordon).await?;
        Ok(Response::new(wire::Nothing {}))
    }

    async fn uncordon(&self, request: Request<wire::Target>) -> Reply<wire::Nothing> {
        self.service.uncordon(request.into_inner().try_into()?).await?;
        Ok(Response::new(wire::Nothing {}))
    }

    async fn requeue(&self, request: Request<wire::TrialRequest>) -> Reply<wire::Document> {
        Ok(document(&self.service.requeue(parse("trial", &request.into_inner().trial)?).await?))
    }

    async fn invite(&self, request: Request<wire::InviteRequest>) -> Reply<wire::InviteReply> {
        let wire::InviteRequest { name, role, life_ms } = request.into_inner();
        let (name, role) = (parse("name", &name)?, parse("role", &role)?);
        let (view, token, authority) = self.access.invite(&name, role, Span::from_millis(life_ms))?;
        let (json, authority) = (to_json(&view), authority.to_owned());
        Ok(Response::new(wire::InviteReply { json, token: token.expose().to_owned(), authority }))
    }

    async fn members(&self, _: Request<wire::Nothing>) -> Reply<wire::Documents> {
        let json = self.access.list()?.iter().map(to_json).collect();
        Ok(Response::new(wire::Documents { json }))
    }

    async fn revoke(&self, request: Request<wire::RevokeRequest>) -> Reply<wire::Document> {
        let name = parse("name", &request.into_inner().name)?;
        Ok(document(&self.access.revoke(&name)?))
    }
}
