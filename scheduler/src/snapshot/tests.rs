//! A ledger from a snapshot and the rest of its journal is the one that the whole journal tells.

use expect_test::expect;
use protocol::{Cordon, Descent, ExperimentState, Policy, Submission, Target};
use spec::{AttemptId, CheckpointRef, FailureClass, Finite, TrialId};

use super::*;
use crate::event::Event;
use crate::journal::{MemoryJournal, fold};
use crate::trial::Change;

fn checkpoint(text: &str) -> CheckpointRef {
    CheckpointRef { digest: Digest::of(text.as_bytes()), step: 7 }
}

fn submitted(name: &str, policy: Policy) -> Event {
    let (experiment, payload) = (name.parse().unwrap(), format!("sweep {name}").into_bytes());
    Event::Submitted(Submission { experiment, name: name.parse().unwrap(), payload, policy })
}

fn trial(id: &str, change: Change) -> Event {
    Event::Trial { trial: id.parse().unwrap(), change }
}

fn lease(id: &str, attempt: u64, gpus: &[u32]) -> Event {
    let node = (!gpus.is_empty()).then(|| "box".parse().unwrap());
    let worker = format!("w{attempt}").parse().unwrap();
    trial(id, Change::Lease { attempt: AttemptId(attempt), worker, node, gpus: gpus.to_vec() })
}

fn asked(id: &str, parent: Option<Descent>, told: &[u32]) -> Event {
    let trial: TrialId = id.parse().unwrap();
    Event::Asked { payload: trial.to_string().into_bytes(), trial, parent, told: told.to_vec() }
}

/// Everything that a ledger keeps, in few records.
fn life() -> Vec<Record> {
    let owned = Policy { owner: Some("ann".parse().unwrap()), priority: 3, gpus: 2, cpus: 4, ..Policy::default() };
    let after = Policy { after: vec!["s".parse().unwrap()], ..Policy::default() };
    let (at, held) = (Timestamp::from_micros(5), checkpoint("held"));
    let failed =
        |retry| Change::Fail { attempt: AttemptId(4), class: FailureClass::Oom, message: "full".into(), retry };
    let events = vec![
        submitted("s", owned),
        submitted("t", after),
        asked("s.0", None, &[]),
        asked("s.1", None, &[]),
        asked("s.2", None, &[]),
        lease("s.0", 1, &[0, 1]),
        trial("s.0", Change::Start { attempt: AttemptId(1) }),
        trial("s.0", Change::Checkpoint { attempt: AttemptId(1), checkpoint: checkpoint("first") }),
        trial("s.0", Change::Pause { attempt: AttemptId(1), rung: 0, checkpoint: held, value: Finite::new(0.5) }),
        asked("s.3", Some(Descent { trial: 0, checkpoint: held }), &[]),
        lease("s.1", 2, &[2]),
        trial("s.1", Change::Lose { attempt: AttemptId(2), retry: Some(at) }),
        lease("s.1", 3, &[2]),
        trial("s.1", Change::Succeed { attempt: AttemptId(3), outcome: vec![0, 255, 1] }),
        asked("s.4", None, &[1]),
        Event::Cordoned { target: Target::Node("box".parse().unwrap()), cordon: Cordon::Drain },
        Event::Cordoned { target: Target::Worker("w1".parse().unwrap()), cordon: Cordon::Finish },
        lease("s.2", 4, &[]),
        trial("s.2", failed(Some(at))),
        trial("s.0", Change::Resume),
        lease("s.0", 5, &[0]),
        trial("s.0", Change::Start { attempt: AttemptId(5) }),
        lease("s.3", 6, &[1]),
        trial("s.3", Change::Succeed { attempt: AttemptId(6), outcome: Vec::new() }),
        Event::Uncordoned { target: Target::Worker("w1".parse().unwrap()) },
        submitted("u", Policy { after: vec!["t".parse().unwrap()], ..Policy::default() }),
        Event::Ended {
            experiment: "t".parse().unwrap(),
            state: ExperimentState::Cancelled,
            reason: Some("its deadline has passed".to_owned()),
        },
        trial("s.0", Change::Pause { attempt: AttemptId(5), rung: 1, checkpoint: held, value: None }),
        trial("s.0", Change::Prune),
    ];
    let record = |(micros, event)| Record { at: Timestamp::from_micros(micros), event };
    (0..).zip(events).map(record).collect()
}

fn journal(records: &[Record]) -> MemoryJournal {
    let mut journal = MemoryJournal::default();
    journal.append(records).unwrap();
    journal
}

/// Panics unless the journal is told whole, whatever lies at `path`.
fn tells_all(path: &Path, records: &[Record]) {
    let resumed = resume(path, &journal(records)).unwrap();
    let whole = fold(&journal(records)).unwrap();
    assert!((resumed.ledger, resumed.last) == whole, "another ledger than the journal tells");
    assert_eq!(resumed.records, records.len() as u64);
}

#[test]
fn at_every_record_a_snapshot_and_the_rest_are_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (path, life) = (folder.path().join("journal.snapshot"), life());
    for until in 0..=life.len() {
        let written = renew(&path, &journal(&life[..until])).unwrap();
        assert_eq!(Snapshot::from_bytes(&written.to_bytes()), Some(written), "after {until} records");
        for more in until..=life.len() {
            tells_all(&path, &life[..more]);
        }
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_snapshot_is_read_and_not_the_journal_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let (path, mut life) = (folder.path().join("journal.snapshot"), life());
    renew(&path, &journal(&life[..10])).unwrap();
    let expected = fold(&journal(&life)).unwrap().0;
    // Nobody looks there any more: the record that the snapshot ends with is the first that is read.
    life[3].event = Event::Uncordoned { target: Target::Worker("w9".parse().unwrap()) };
    assert!(resume(&path, &journal(&life)).unwrap().ledger == expected);
}

#[test]
fn no_flipped_bit_and_no_missing_end_changes_what_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (path, life) = (folder.path().join("journal.snapshot"), life());
    let bytes = renew(&path, &journal(&life[..20])).unwrap().to_bytes();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        assert_eq!(Snapshot::from_bytes(&damaged), None, "bit {} of byte {at}", at % 8);
        assert_eq!(Snapshot::from_bytes(&bytes[..at]), None, "cut at {at}");
    }
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    tells_all(&path, &life);
}

#[test]
fn a_snapshot_of_another_journal_or_format_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let (path, life) = (folder.path().join("journal.snapshot"), life());
    renew(&path, &journal(&life)).unwrap();
    // An older copy of the journal, and one that went on otherwise.
    tells_all(&path, &life[..15]);
    let mut other = life.clone();
    let last = other.last_mut().unwrap();
    last.at = last.at.plus_seconds(1.0);
    tells_all(&path, &other);
    let mut newer = std::fs::read(&path).unwrap();
    newer.truncate(newer.len() - 32);
    newer[7] += 1;
    let digest = Digest::of(&newer);
    newer.extend(digest.as_bytes());
    std::fs::write(&path, newer).unwrap();
    tells_all(&path, &life);
}

#[test]
fn the_bytes_of_this_format_stand() {
    // Where this differs, what is written differs: count the format up.
    let snapshot = Snapshot::default().follow(&journal(&life())).unwrap().unwrap();
    expect!["554006724b58d507e5583acbfedccf98d56e990c3d2d1e3f646e2d47cc4b1999"]
        .assert_eq(&Digest::of(&snapshot.to_bytes()).to_string());
}

#[test]
fn a_snapshot_is_kept_beside_a_journal_that_grows_and_not_beside_a_short_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let mut journal = SqliteJournal::open(&path).unwrap();
    // Looks once: whoever has a token does not wait, and the second look finds it over.
    let look = |looks: usize| {
        let left = std::cell::Cell::new(looks);
        std::thread::current().unpark();
        keep(&path, || left.replace(left.get().saturating_sub(1)) == 0);
    };
    let life = life();
    journal.append(&life).unwrap();
    look(1);
    assert_eq!(counted(&beside(&path)), None);
    let opened = |index: u64| {
        let target = Target::Worker("w1".parse().unwrap());
        let at = Timestamp::from_micros(100 + index as i64);
        Record { at, event: Event::Cordoned { target, cordon: Cordon::Finish } }
    };
    let records: Vec<Record> = (0..RECORDS_MIN).map(opened).collect();
    journal.append(&records).unwrap();
    look(1);
    assert_eq!(counted(&beside(&path)), Some(RECORDS_MIN + life.len() as u64));
    let resumed = of_home(&path, &journal).unwrap();
    assert!((resumed.ledger, resumed.last) == fold(&journal).unwrap());
}
