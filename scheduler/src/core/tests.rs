//! The core, with a journal that fails as planned.

use protocol::Submission;

use super::*;
use crate::cluster::Options;
use crate::journal::{JournalError, MemoryJournal};
use crate::ledger::Ledger;
use crate::sweep::{Ask, OpenError, Sweep, SweepOutcome};

/// A sweep of one trial.
struct One(Option<Vec<u8>>);

impl Sweep for One {
    fn ask(&mut self) -> Ask {
        self.0.take().map_or(Ask::Done, |payload| Ask::Batch(vec![payload]))
    }

    fn tell(&mut self, _: u32, _: SweepOutcome) {}
}

fn core(journal: MemoryJournal) -> Core {
    let one = |_: &Submission| -> Result<Box<dyn Sweep>, OpenError> { Ok(Box::new(One(Some(Vec::new())))) };
    let clock = Clock::start(market::Timestamp::default());
    let cluster = Cluster::recover(clock.now(), Ledger::default(), Box::new(one), Options::default()).unwrap();
    Core::new(cluster, Box::new(journal), SideLog::new("metrics".into()), clock, Span::from_secs(1))
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_stops_the_core_before_it_answers() {
    let core = core(MemoryJournal::full_after(0));
    let (calls, received) = mpsc::channel(4);
    let submission = Submission {
        experiment: "s".parse().unwrap(),
        name: "s".parse().unwrap(),
        payload: Vec::new(),
        policy: protocol::Policy::default(),
    };
    let (submitted, acknowledged) = oneshot::channel();
    calls.send(Call::Input(Box::new(Input::Submit(submission)), submitted)).await.map_err(drop).unwrap();
    let (answer, answered) = oneshot::channel();
    calls.send(Call::List(answer)).await.map_err(drop).unwrap();
    let ended = core.run(received).await.unwrap_err();
    assert!(matches!(ended, SchedulerError::Journal(JournalError::Full { .. })));
    assert!(acknowledged.await.is_err(), "a submission that is not durable was acknowledged");
    assert!(answered.await.is_err(), "a call of the failed round was answered");
}

#[tokio::test]
async fn the_core_ends_when_nobody_can_call_it_any_more() {
    let (calls, received) = mpsc::channel(4);
    drop(calls);
    core(MemoryJournal::default()).run(received).await.unwrap();
}
