//! The core, with a journal that fails as planned.

use protocol::Submission;

use super::*;
use crate::cluster::Options;
use crate::journal::{JournalError, MemoryJournal};
use crate::ledger::Ledger;
use crate::sweep::{OpenError, Sweep};

fn core(journal: MemoryJournal) -> Core {
    let none = |_: &Submission| -> Result<Box<dyn Sweep>, OpenError> { Err(OpenError { why: "none".to_owned() }) };
    let clock = Clock::start(market::Timestamp::default());
    let cluster = Cluster::recover(clock.now(), Ledger::default(), Box::new(none), Options::default()).unwrap();
    Core::new(cluster, Box::new(journal), SideLog::new("metrics".into()), clock, Span::from_secs(1))
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_stops_the_core_before_it_answers() {
    let mut core = core(MemoryJournal::full_after(0));
    let submission = crate::event::Event::Submitted(Submission {
        experiment: "s".parse().unwrap(),
        name: "s".parse().unwrap(),
        payload: Vec::new(),
        policy: protocol::Policy::default(),
    });
    core.round.records.push(Record { at: core.clock.now(), event: submission });
    let (calls, received) = mpsc::channel(4);
    let (answer, answered) = oneshot::channel();
    calls.send(Call::List(answer)).await.map_err(drop).unwrap();
    let ended = core.run(received).await.unwrap_err();
    assert!(matches!(ended, SchedulerError::Journal(JournalError::Full { .. })));
    assert!(answered.await.is_err(), "a call of the failed round was answered");
}

#[tokio::test]
async fn the_core_ends_when_nobody_can_call_it_any_more() {
    let (calls, received) = mpsc::channel(4);
    drop(calls);
    core(MemoryJournal::default()).run(received).await.unwrap();
}
