//! The calling side, for workers and clients alike. A call that gets no answer gives its connection up: the next makes
//! another.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use spec::{AttemptId, CheckpointRef, ExperimentId, Owner, Progress, Span, TrialId, WorkerId};
use tokio_stream::StreamExt as _;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use zeroize::Zeroizing;

use crate::generated as wire;
use crate::generated::scheduler_client::SchedulerClient;
use crate::server::MESSAGE_BYTES_MAX;
use crate::wire::{Malformed, checkpoints, from_json};
use crate::{
    AccessError, Assignment, Cordon, Credentials, Directive, Ending, ExperimentDetail, ExperimentView, Explanation,
    Invitation, MemberView, NodeView, Refusal, Registration, Report, Role, Submission, Target, Terms, Token, TrialView,
    Update,
};

mod exchange;
mod line;

use exchange::Exchange;
pub(crate) use line::heard;
use line::{Bearer, bearer, chain, distrust, endpoint, refusal};

/// Longest wait for an answer that needs no waiting.
pub(crate) const CALL: Duration = Duration::from_secs(10);

/// Longest wait for a lease: above the server's long poll.
const LEASE: Duration = Duration::from_secs(40);

/// Wait between two tries to connect.
const CONNECT_PAUSE: Duration = Duration::from_millis(50);

/// A call brought no answer, or a refusal.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is not one.
    #[error("`{url}` is not a scheduler address: write http://HOST:PORT on its own machine, https://HOST:PORT beyond")]
    Address {
        /// What was given.
        url: String,
    },
    /// Nothing answers, or it stopped answering; worth another try later.
    #[error("scheduler at {url} does not answer: {why}")]
    Unreachable {
        /// Where.
        url: String,
        /// The transport's words.
        why: String,
    },
    /// It would be spoken to in plain text across a network.
    #[error("scheduler at {url} is beyond this machine: write https://HOST:PORT, and join it first")]
    PlainText {
        /// Where.
        url: String,
    },
    /// One of the two does not trust the other's certificate.
    #[error("scheduler at {url} and this home do not trust each other: {why}; join it with an invitation of its own")]
    Untrusted {
        /// Where.
        url: String,
        /// What TLS says.
        why: String,
    },
    /// The keys of this home cannot be used.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// It answered no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It answered something this build does not understand.
    #[error("scheduler at {url} speaks another version: {why}")]
    Malformed {
        /// Where.
        url: String,
        /// Which part.
        why: String,
    },
}

impl ClientError {
    /// Whether the same call may succeed later, unchanged.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Refused(Refusal::Stopping))
    }
}

type Line = SchedulerClient<InterceptedService<Channel, Bearer>>;

/// A connection to a scheduler, or to whichever of several leads. Cheap to clone; clones share the connection.
#[derive(Clone)]
pub struct Client {
    url: String,
    endpoints: Arc<[Endpoint]>,
    bearer: Bearer,
    current: Arc<Mutex<Current>>,
}

/// What the next call goes over. One that gets no answer moves on to the next address, so that its repetition finds who took
/// over; and never stays with a connection, for who stopped may keep it open and refuse whatever comes.
struct Current {
    place: usize,
    line: Line,
    /// Kept from one end to the next; `None` while one is on its way.
    exchange: Option<Exchange>,
}

/// The updates of a [`Client::watch`].
pub struct Updates {
    url: String,
    inner: tonic::Streaming<wire::Document>,
}

fn line(channel: Channel, bearer: &Bearer) -> Line {
    SchedulerClient::with_interceptor(channel, bearer.clone())
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

fn timed<T>(message: T, limit: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(limit);
    request
}

impl Client {
    /// Connects to `url`, `http://HOST:PORT` with a token or `https://HOST:PORT` as a member, trying again until `patience`
    /// is over. Several schedulers of which one leads are written with commas between.
    ///
    /// # Errors
    /// [`ClientError::Address`], [`ClientError::PlainText`] or [`ClientError::Untrusted`] at once;
    /// [`ClientError::Unreachable`] when `patience` is over.
    pub async fn connect(url: &str, credentials: impl Into<Credentials>, patience: Span) -> Result<Self, ClientError> {
        let credentials = credentials.into();
        let endpoints: Vec<Endpoint> =
            url.split(',').map(|url| endpoint(url, &credentials)).collect::<Result<_, _>>()?;
        let mut why = "no try was made".to_owned();
        let tries = async {
            let mut place = 0;
            loop {
                match endpoints[place].connect().await {
                    Ok(channel) => return Ok((place, channel)),
                    Err(error) => match distrust(&error) {
                        Some(why) => return Err(ClientError::Untrusted { url: url.to_owned(), why }),
                        None => why = chain(&error),
                    },
                }
                tokio::time::sleep(CONNECT_PAUSE).await;
                place = (place + 1) % endpoints.len();
            }
        };
        let connected = tokio::time::timeout(patience.as_duration(), tries).await;
        let (place, channel) =
            connected.map_err(|_| ClientError::Unreachable { url: url.to_owned(), why: why.clone() })??;
        let bearer = Bearer(match &credentials {
            Credentials::Token(token) => Some(bearer(token)),
            Credentials::Member(_) => None,
        });
        let current = Arc::new(Mutex::new(Current { place, line: line(channel, &bearer), exchange: None }));
        Ok(Self { url: url.to_owned(), endpoints: endpoints.into(), bearer, current })
    }

    fn line(&self) -> Line {
        self.current().line.clone()
    }

    /// Nothing that holds the lock leaves it half done.
    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives up the connection.
    fn move_on(&self) {
        let mut current = self.current();
        current.place = (current.place + 1) % self.endpoints.len();
        current.line = line(self.endpoints[current.place].connect_lazy(), &self.bearer);
        current.exchange = None;
    }

    /// Where it is connected to.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Registers a worker.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn register(&self, registration: Registration) -> Result<Terms, ClientError> {
        let request = timed(wire::RegisterRequest::from(registration), CALL);
        Ok(self.heard(self.line().register(request).await)?.into())
    }

    /// Waits for an assignment; `None` when none came for a while.
    ///
    /// # Errors
    /// [`Refusal::NotRegistered`] after a restart of the scheduler; else [`ClientError`].
    pub async fn lease(&self, worker: &WorkerId) -> Result<Option<Assignment>, ClientError> {
        let request = timed(wire::LeaseRequest { worker: worker.to_string() }, LEASE);
        let reply = self.heard(self.line().lease(request).await)?;
        reply.assignment.map(Assignment::try_from).transpose().map_err(|error| self.malformed(error))
    }

    /// Renews the lease of `attempt`.
    ///
    /// # Errors
    /// As every call: [`ClientError`]. A fenced attempt is an answer, not an error.
    pub async fn heartbeat(
        &self,
        worker: &WorkerId,
        attempt: AttemptId,
        progress: Option<Progress>,
    ) -> Result<Directive, ClientError> {
        let request = wire::HeartbeatRequest {
            worker: worker.to_string(),
            attempt: attempt.0,
            progress: progress.map(Into::into),
        };
        let reply = self.heard(self.line().heartbeat(timed(request, CALL)).await)?;
        reply.try_into().map_err(|error| self.malformed(error))
    }

    /// Hands in a checkpoint that is already stored; returns what the scheduler keeps now, newest first.
    ///
    /// # Errors
    /// [`Refusal::Fenced`] when the attempt no longer counts; else [`ClientError`].
    pub async fn checkpoint(
        &self,
        worker: &WorkerId,
        attempt: AttemptId,
        checkpoint: CheckpointRef,
    ) -> Result<Vec<CheckpointRef>, ClientError> {
        let request = wire::CheckpointRequest {
            worker: worker.to_string(),
            attempt: attempt.0,
            checkpoint: Some(checkpoint.into()),
        };
        let reply = self.heard(self.line().checkpoint(timed(request, CALL)).await)?;
        checkpoints(reply.kept).map_err(|error| self.malformed(error))
    }

    /// Ends `attempt`. Safe to repeat until it is answered.
    ///
    /// # Errors
    /// [`Refusal::Fenced`] when the attempt no longer counts; else [`ClientError`].
    pub async fn finish(&self, worker: &WorkerId, attempt: AttemptId, report: Report) -> Result<(), ClientError> {
        let request =
            wire::FinishRequest { worker: worker.to_string(), attempt: attempt.0, report: Some(report.into()) };
        self.heard(self.line().finish(timed(request, CALL)).await).map(drop)
    }

    /// Ends `attempt` and waits for the next assignment; `None` when none came for a while. Safe to repeat.
    ///
    /// # Errors
    /// [`Refusal::Fenced`] when the attempt no longer counts, or its end was taken in by an earlier call;
    /// [`Refusal::NotRegistered`] when its end was taken in and the worker is to register again; else [`ClientError`].
    pub async fn exchange(
        &self,
        worker: &WorkerId,
        attempt: AttemptId,
        report: Report,
    ) -> Result<Option<Assignment>, ClientError> {
        let end = wire::FinishRequest { worker: worker.to_string(), attempt: attempt.0, report: Some(report.into()) };
        let answer = tokio::time::timeout(LEASE, self.answer(end)).await;
        let silent = || Err(Status::deadline_exceeded(format!("no answer in {} s", LEASE.as_secs())));
        let reply = self.heard(answer.unwrap_or_else(|_| silent()).map(tonic::Response::new))?;
        reply.assignment.map(Assignment::try_from).transpose().map_err(|error| self.malformed(error))
    }

    /// Submits an experiment. Safe to repeat; once it returns, the submission is durable.
    ///
    /// # Errors
    /// [`Refusal::Conflict`] when the id is taken by another payload; else [`ClientError`].
    pub async fn submit(&self, submission: Submission) -> Result<ExperimentView, ClientError> {
        let request = timed(wire::SubmitRequest::from(submission), CALL);
        self.document(self.line().submit(request).await)
    }

    /// Hands over an experiment that another cluster ran to its end. Safe to repeat.
    ///
    /// # Errors
    /// [`Refusal::Conflict`] when the id is taken by something else; [`Refusal::Invalid`] when the trials are not those
    /// that its sweep asks for; else [`ClientError`].
    pub async fn record(&self, submission: Submission, trials: Vec<Ending>) -> Result<ExperimentView, ClientError> {
        let trials = trials.into_iter().map(Into::into).collect();
        let request = wire::RecordRequest { submission: Some(submission.into()), trials };
        self.document(self.line().record(timed(request, CALL)).await)
    }

    /// Lists experiments in the order submitted.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn list(&self) -> Result<Vec<ExperimentView>, ClientError> {
        let reply = self.heard(self.line().list(timed(wire::Nothing {}, CALL)).await)?;
        reply.json.iter().map(|json| from_json(json)).collect::<Result<_, _>>().map_err(|error| self.malformed(error))
    }

    /// Shows an experiment with its trials, payloads and outcomes.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], else [`ClientError`].
    pub async fn show(&self, experiment: &ExperimentId) -> Result<ExperimentDetail, ClientError> {
        let request = wire::ExperimentRequest { experiment: experiment.to_string() };
        let reply = self.heard(self.line().show(timed(request, CALL)).await)?;
        let detail = || {
            let trials = reply.trials.into_iter().map(|document| {
                let trial: TrialView = from_json(&document.json)?;
                Ok(TrialView { payload: document.payload, outcome: document.outcome, ..trial })
            });
            Ok(ExperimentDetail {
                experiment: from_json(&reply.experiment_json)?,
                payload: reply.payload,
                trials: trials.collect::<Result<_, Malformed>>()?,
            })
        };
        detail().map_err(|error: Malformed| self.malformed(error))
    }

    /// Says why a trial is where it is.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], else [`ClientError`].
    pub async fn explain(&self, trial: &TrialId) -> Result<Explanation, ClientError> {
        let request = timed(wire::TrialRequest { trial: trial.to_string() }, CALL);
        self.document(self.line().explain(request).await)
    }

    /// Cancels an experiment: its open trials end as cancelled.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], else [`ClientError`].
    pub async fn cancel(&self, experiment: &ExperimentId) -> Result<ExperimentView, ClientError> {
        let request = timed(wire::ExperimentRequest { experiment: experiment.to_string() }, CALL);
        self.document(self.line().cancel(request).await)
    }

    /// Follows one experiment, or all: the present state first, then all that trials do, and each experiment as it stands
    /// after that.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], else [`ClientError`].
    pub async fn watch(&self, experiment: Option<&ExperimentId>) -> Result<Updates, ClientError> {
        let request = wire::WatchRequest { experiment: experiment.map(ToString::to_string) };
        let inner = self.heard(self.line().watch(Request::new(request)).await)?;
        Ok(Updates { url: self.url.clone(), inner })
    }

    /// Asks the scheduler to stop in good order.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn shutdown(&self) -> Result<(), ClientError> {
        self.heard(self.line().shutdown(timed(wire::Nothing {}, CALL)).await).map(drop)
    }

    /// Shows the machines with their workers, what is held and what is free.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn nodes(&self) -> Result<Vec<NodeView>, ClientError> {
        let reply = self.heard(self.line().nodes(timed(wire::Nothing {}, CALL)).await)?;
        reply.json.iter().map(|json| from_json(json)).collect::<Result<_, _>>().map_err(|error| self.malformed(error))
    }

    /// Lets no new attempt start on `target`; [`Cordon::Drain`] asks those that run to stop as well. Safe to repeat.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] when nothing of that name is known; else [`ClientError`].
    pub async fn cordon(&self, target: Target, cordon: Cordon) -> Result<(), ClientError> {
        let request = wire::CordonRequest { target: Some(target.into()), drain: cordon == Cordon::Drain };
        self.heard(self.line().cordon(timed(request, CALL)).await).map(drop)
    }

    /// Takes a cordon away, and asks no attempt to stop any more. Safe to repeat.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn uncordon(&self, target: Target) -> Result<(), ClientError> {
        self.heard(self.line().uncordon(timed(target.into(), CALL)).await).map(drop)
    }

    /// Gives a failed trial a new budget of attempts, while its sweep has not been told of it.
    ///
    /// # Errors
    /// [`Refusal::Conflict`] when it has not failed, or its sweep went on without it; else [`ClientError`].
    pub async fn requeue(&self, trial: &TrialId) -> Result<TrialView, ClientError> {
        let request = timed(wire::TrialRequest { trial: trial.to_string() }, CALL);
        self.document(self.line().requeue(request).await)
    }

    /// Invites a member; the invitation is for one machine, once.
    ///
    /// # Errors
    /// [`Refusal::Conflict`] when the name is taken; else [`ClientError`].
    pub async fn invite(&self, name: &Owner, role: Role, life: Span) -> Result<(MemberView, Invitation), ClientError> {
        let request =
            wire::InviteRequest { name: name.to_string(), role: role.as_str().to_owned(), life_ms: life.millis() };
        let reply = self.heard(self.line().invite(timed(request, CALL)).await)?;
        let view = from_json(&reply.json).map_err(|error| self.malformed(error))?;
        let token = Token::parse(&Zeroizing::new(reply.token));
        let token = token.ok_or_else(|| self.malformed(Malformed::new("token", "it is not 64 hex digits")))?;
        Ok((view, Invitation::new(&self.url, reply.authority, token)))
    }

    /// Lists the members.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn members(&self) -> Result<Vec<MemberView>, ClientError> {
        let reply = self.heard(self.line().members(timed(wire::Nothing {}, CALL)).await)?;
        reply.json.iter().map(|json| from_json(json)).collect::<Result<_, _>>().map_err(|error| self.malformed(error))
    }

    /// Takes a membership back; its holder's next call is refused. Safe to repeat.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], else [`ClientError`].
    pub async fn revoke(&self, name: &Owner) -> Result<MemberView, ClientError> {
        let request = wire::RevokeRequest { name: name.to_string() };
        self.document(self.line().revoke(timed(request, CALL)).await)
    }

    /// Hands in an end over the stream there is; over another where it broke or there is none.
    async fn answer(&self, end: wire::FinishRequest) -> Result<wire::LeaseReply, Status> {
        let kept = self.current().exchange.take();
        if let Some(mut exchange) = kept {
            match exchange.answer(end.clone()).await {
                Err(status) if Refusal::of(&status).is_none() => {}
                answer => return self.keep(exchange, answer),
            }
        }
        let mut exchange = Exchange::open(self.line()).await?;
        let answer = exchange.answer(end).await;
        self.keep(exchange, answer)
    }

    /// A stream that ended with a refusal is not kept.
    fn keep(&self, exchange: Exchange, answer: Result<wire::LeaseReply, Status>) -> Result<wire::LeaseReply, Status> {
        if answer.is_ok() {
            self.current().exchange = Some(exchange);
        }
        answer
    }

    fn heard<T>(&self, reply: Result<tonic::Response<T>, Status>) -> Result<T, ClientError> {
        heard(&self.url, reply).inspect_err(|error| {
            if error.is_transient() {
                self.move_on();
            }
        })
    }

    fn document<T: serde::de::DeserializeOwned>(
        &self,
        reply: Result<tonic::Response<wire::Document>, Status>,
    ) -> Result<T, ClientError> {
        from_json(&self.heard(reply)?.json).map_err(|error| self.malformed(error))
    }

    fn malformed(&self, error: Malformed) -> ClientError {
        ClientError::Malformed { url: self.url.clone(), why: error.to_string() }
    }
}

impl Updates {
    /// The next update; `None` when the scheduler ended the stream.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when the connection broke: watch again to go on.
    pub async fn next(&mut self) -> Result<Option<Update>, ClientError> {
        match self.inner.next().await {
            None => Ok(None),
            Some(Err(status)) => Err(refusal(&self.url, &status)),
            Some(Ok(document)) => from_json(&document.json)
                .map(Some)
                .map_err(|error| ClientError::Malformed { url: self.url.clone(), why: error.to_string() }),
        }
    }
}

#[cfg(test)]
mod tests;
