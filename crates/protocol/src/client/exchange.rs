//! A stream of ends and assignments with one scheduler.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::Line;
use crate::generated as wire;

/// To each end an answer, in order. One at a time: whoever gives up an answer gives up the stream.
pub(super) struct Exchange {
    ends: mpsc::Sender<wire::FinishRequest>,
    answers: Streaming<wire::LeaseReply>,
}

impl Exchange {
    pub(super) async fn open(mut line: Line) -> Result<Self, Status> {
        let (ends, sent) = mpsc::channel(1);
        let answers = line.exchange(ReceiverStream::new(sent)).await?.into_inner();
        Ok(Self { ends, answers })
    }

    pub(super) async fn answer(&mut self, end: wire::FinishRequest) -> Result<wire::LeaseReply, Status> {
        // Errs when the stream broke, which its answers explain.
        let _ = self.ends.send(end).await;
        self.answers.message().await?.ok_or_else(|| Status::unavailable("scheduler ended the stream"))
    }
}
