//! Ends and assignments of one caller over one stream: what a call costs beside its message is paid once.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::stream;
use spec::AttemptId;
use tokio::sync::watch;
use tokio_stream::Stream;
use tonic::{Status, Streaming};

use super::{Adapter, Service, leased, worker};
use crate::generated as wire;
use crate::wire::required;
use crate::{Access, Caller, Refusal, Refusals};

/// To each end an answer, in order; the first refusal is the last.
pub(super) type Answers = Pin<Box<dyn Stream<Item = Result<wire::LeaseReply, Status>> + Send>>;

/// Who hands ends in, and what takes them.
struct Exchanges<S> {
    service: Arc<S>,
    access: Arc<Access>,
    refusals: Refusals,
    closing: watch::Receiver<()>,
    caller: Caller,
    ends: Streaming<wire::FinishRequest>,
}

impl<S: Service> Adapter<S> {
    /// Answers until the caller hangs up or is refused, or the server is asked to stop while nothing is to be answered.
    pub(super) fn exchanges(&self, caller: Caller, ends: Streaming<wire::FinishRequest>) -> Answers {
        let exchanges = Exchanges {
            service: Arc::clone(&self.service),
            access: Arc::clone(&self.access),
            refusals: self.refusals.clone(),
            closing: self.closing.clone(),
            caller,
            ends,
        };
        Box::pin(stream::unfold(exchanges, |mut exchanges| async move {
            let answer = exchanges.next().await?;
            if let Err(status) = &answer {
                // The gate reads refusals in headers, which were sent when the stream was opened.
                exchanges.refusals.tell(status);
            }
            Some((answer, exchanges))
        }))
    }
}

impl<S: Service> Exchanges<S> {
    async fn next(&mut self) -> Option<Result<wire::LeaseReply, Status>> {
        let end = tokio::select! {
            end = self.ends.message() => end,
            _ = self.closing.changed() => return None,
        };
        match end {
            Ok(end) => Some(self.answer(end?).await),
            Err(status) => Some(Err(status)),
        }
    }

    async fn answer(&self, end: wire::FinishRequest) -> Result<wire::LeaseReply, Status> {
        // The gate saw who opened the stream, which may be long ago.
        if !self.access.still_admits(&self.caller) {
            return Err(Refusal::Revoked.into());
        }
        let worker = worker(&self.caller, &end.worker)?;
        let report = required("report", end.report)?.try_into()?;
        let assignment = self.service.exchange(worker, AttemptId(end.attempt), report).await?;
        leased(&self.access, &self.caller, assignment)
    }
}
