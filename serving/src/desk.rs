//! The one thread that the model lives on. Requests queue up to a bound; beyond it they are turned away at once.
//!
//! One thread, because a second one would wait for the same cores; and a thread of its own, because a prediction takes
//! longer than a task of the HTTP runtime may.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};

use artifacts::Bundle;
use tokio::sync::oneshot;

use crate::api::{Answer, Description, PredictRequest};
use crate::model::{LoadError, Model};
use crate::refusal::{Code, Refusal};

/// Requests that may wait. The longest takes some tenths of a second, so nobody waits much beyond the time limit of a
/// request.
const QUEUE: usize = 64;

/// A request with the way back to who asked.
struct Question {
    request: PredictRequest,
    reply: oneshot::Sender<Result<Answer, Refusal>>,
}

/// Takes requests to the model.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    questions: SyncSender<Question>,
    /// Gone when the thread is.
    alive: Weak<()>,
}

/// A model that answers.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) desk: Desk,
    pub(crate) description: Description,
    pub(crate) thread: JoinHandle<()>,
}

/// Why no model answers.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("the model's thread cannot be started")]
    Thread(#[source] std::io::Error),
    #[error("the model's thread ended while it loaded the bundle")]
    Ended,
}

impl Desk {
    /// Starts the thread and loads the model on it. The thread ends with the last desk.
    pub(crate) async fn open(bundle: Bundle, reference: String) -> Result<Opened, OpenError> {
        let (questions, inbox) = sync_channel(QUEUE);
        let (ready, loaded) = oneshot::channel();
        let life = Arc::new(());
        let alive = Arc::downgrade(&life);
        let work = move || {
            let _life = life;
            // Of this thread: libtorch's thread count is the calling thread's own.
            models::single_threaded();
            match Model::load(&bundle, reference) {
                Ok(model) => {
                    drop(bundle);
                    if ready.send(Ok(model.description().clone())).is_ok() {
                        attend(&model, &inbox);
                    }
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        };
        let thread = thread::Builder::new().name("predictor".to_owned()).spawn(work).map_err(OpenError::Thread)?;
        let description = loaded.await.map_err(|_| OpenError::Ended)??;
        Ok(Opened { desk: Self { questions, alive }, description, thread })
    }

    /// Whether the model still answers.
    pub(crate) fn is_alive(&self) -> bool {
        self.alive.strong_count() > 0
    }

    /// Waits for the model's answer.
    pub(crate) async fn ask(&self, request: PredictRequest) -> Result<Answer, Refusal> {
        let (reply, answer) = oneshot::channel();
        let gone = || Refusal::new(Code::Unavailable, "the model has stopped: restart the server");
        self.questions.try_send(Question { request, reply }).map_err(|error| match error {
            TrySendError::Full(_) => {
                Refusal::new(Code::Overloaded, format!("{QUEUE} requests are waiting already: try again in a second"))
            }
            TrySendError::Disconnected(_) => gone(),
        })?;
        answer.await.map_err(|_| gone())?
    }
}

/// Answers until every desk is gone.
fn attend(model: &Model, inbox: &Receiver<Question>) {
    while let Ok(Question { request, reply }) = inbox.recv() {
        // Who gave up waiting needs no answer.
        if !reply.is_closed() {
            drop(reply.send(model.answer(request)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A desk that nobody attends.
    fn deserted() -> (Desk, Receiver<Question>, Arc<()>) {
        let (questions, inbox) = sync_channel(QUEUE);
        let life = Arc::new(());
        (Desk { questions, alive: Arc::downgrade(&life) }, inbox, life)
    }

    #[tokio::test]
    async fn beyond_its_bound_the_queue_turns_requests_away_at_once() {
        let (desk, inbox, _life) = deserted();
        let waiting: Vec<_> = (0..QUEUE)
            .map(|_| {
                let (reply, answer) = oneshot::channel();
                desk.questions.try_send(Question { request: PredictRequest::default(), reply }).unwrap();
                answer
            })
            .collect();
        let refusal = desk.ask(PredictRequest::default()).await.unwrap_err();
        assert_eq!(refusal.code, Code::Overloaded);
        drop(inbox.recv().unwrap());
        let admitted = desk.ask(PredictRequest::default());
        let (admitted, ()) = tokio::join!(admitted, async { drop(inbox) });
        assert_eq!(admitted.unwrap_err().code, Code::Unavailable);
        for answer in waiting {
            assert!(answer.await.is_err());
        }
    }

    #[tokio::test]
    async fn a_model_that_has_stopped_is_unavailable_and_not_alive() {
        let (desk, inbox, life) = deserted();
        assert!(desk.is_alive());
        drop((inbox, life));
        assert!(!desk.is_alive());
        assert_eq!(desk.ask(PredictRequest::default()).await.unwrap_err().code, Code::Unavailable);
    }
}
