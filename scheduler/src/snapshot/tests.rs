//! A ledger from a snapshot and the rest of its journal is the one that the whole journal tells.

use expect_test::expect;
use protocol::{Cordon, Descent, ExperimentState, Policy, Submission, Target};
use spec::{AttemptId, CheckpointRef, FailureClass, Finite, TrialId};

use super::*;
use crate::event::Event;
use crate::journal::{MemoryJournal, SqliteJournal, fold};
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
    let node = Some("box".parse().unwrap());
    let worker = format!("w{attempt}").parse().unwrap();
    trial(id, Change::Lease { attempt: AttemptId(attempt), worker, node, gpus: gpus.to_vec() })
}

fn asked(id: &str, parent: Option<Descent>, told: &[u32]) -> Event {
    let trial: TrialId = id.parse().unwrap();
    Event::Asked { payload: trial.to_string().into_bytes(), trial, parent, told: told.to_vec() }
}

fn ended(id: &str, state: ExperimentState, reason: Option<&str>) -> Event {
    Event::Ended { experiment: id.parse().unwrap(), state, reason: reason.map(str::to_owned) }
}

/// Everything that a ledger keeps, and every change that a trial can go through but one: nothing unblocks a trial yet.
fn life() -> Vec<Record> {
    let owned = Policy { owner: Some("ann".parse().unwrap()), priority: 3, gpus: 2, cpus: 4, ..Policy::default() };
    let after = Policy { after: vec!["s".parse().unwrap()], ..Policy::default() };
    let (at, held) = (Timestamp::from_micros(5), checkpoint("held"));
    let failed = |attempt, retry| Change::Fail {
        attempt: AttemptId(attempt),
        class: FailureClass::Oom,
        message: "full".into(),
        retry,
    };
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
        trial("s.2", failed(4, Some(at))),
        trial("s.0", Change::Resume),
        lease("s.0", 5, &[0]),
        trial("s.0", Change::Start { attempt: AttemptId(5) }),
        lease("s.3", 6, &[1]),
        trial("s.3", Change::Succeed { attempt: AttemptId(6), outcome: Vec::new() }),
        Event::Uncordoned { target: Target::Worker("w1".parse().unwrap()) },
        submitted("u", Policy { after: vec!["t".parse().unwrap()], ..Policy::default() }),
        ended("t", ExperimentState::Cancelled, Some("its deadline has passed")),
        trial("s.0", Change::Pause { attempt: AttemptId(5), rung: 1, checkpoint: held, value: None }),
        trial("s.0", Change::Prune),
        lease("s.2", 7, &[]),
        trial("s.2", Change::Start { attempt: AttemptId(7) }),
        trial("s.2", Change::Checkpoint { attempt: AttemptId(7), checkpoint: checkpoint("second") }),
        trial("s.2", Change::Release { attempt: AttemptId(7) }),
        lease("s.2", 8, &[]),
        trial("s.2", failed(8, None)),
        trial("s.2", Change::Requeue),
        trial("s.4", Change::Cancel),
        lease("s.2", 9, &[]),
        submitted("v", Policy::default()),
        asked("v.0", None, &[]),
        lease("v.0", 10, &[]),
        trial("v.0", failed(10, None)),
        ended("v", ExperimentState::Failed, None),
        trial("v.0", Change::Requeue),
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
fn a_snapshot_of_another_journal_format_or_build_is_passed_over() {
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
    // Whole, and of this journal; but what it says of the ledger nobody here can vouch for.
    let other_build = renew(&path, &journal(&life)).unwrap();
    let wrong = Snapshot { ledger: Ledger::default(), ..other_build };
    std::fs::write(&path, wrong.written_by("0.0.1+00")).unwrap();
    tells_all(&path, &life);
    std::fs::write(&path, wrong.to_bytes()).unwrap();
    assert!(resume(&path, &journal(&life)).unwrap().ledger == Ledger::default(), "of this build it is believed");
}

#[test]
fn the_bytes_of_this_format_stand_after_every_record() {
    // Where a line differs, what is written after that record differs. Has nothing in this crate's sources changed, count the
    // format up: the name of the build does not tell such snapshots apart.
    let life = life();
    let told = (0..=life.len()).map(|until| {
        let snapshot = Snapshot::default().follow(&journal(&life[..until])).unwrap().unwrap();
        let mut bytes = Vec::new();
        snapshot.put(&mut bytes);
        Digest::of(&bytes).short()
    });
    let lines: Vec<String> = told.collect::<Vec<_>>().chunks(6).map(|line| line.join(" ")).collect();
    expect![[r#"
        bf433c32 cf6c104d e194d753 52307ce4 a12cb2bc 5459544d
        6d5b94a6 57babe1b 687e2d62 f7cd3f6f b8f8359a 845e1f0a
        cd79abe6 9a1b2ca2 bc8662f6 4ebcf572 69eb294a 85ad9eb9
        6d2cd8c7 ae81a132 5e5a5107 9d816409 e986261a 722e17c8
        5c1eb565 36fb2fc0 127309de 73e102c4 f37c8456 99a2712d
        0aab126a 5b2f4fcb eab7ced2 a234dcb5 9f8e897b 1d20fe09
        0e28e247 299df661 fbbd44f6 099ecd0b bbe29df3 2bd43a62
        132d41a0 dd945454 31e6014f"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn a_snapshot_is_kept_beside_a_journal_that_grows_and_not_beside_a_short_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let mut journal = SqliteJournal::open(&path).unwrap();
    // Whoever has a token does not wait. It is asked whether it is over before each look, before what it read is
    // written, and before that gets its name.
    let look = |looks: usize| {
        let left = std::cell::Cell::new(looks);
        std::thread::current().unpark();
        let open = || -> Result<Box<dyn Journal>, JournalError> { Ok(Box::new(SqliteJournal::open_read_only(&path)?)) };
        keep(&beside(&path), open, || left.replace(left.get().saturating_sub(1)) == 0);
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
    assert_eq!(counted(&beside(&path)), None, "it was over before all was read");
    look(2);
    assert_eq!(counted(&beside(&path)), None, "it was over before it had its name");
    let left = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().ends_with(".partial")).collect();
    assert!(left.is_empty(), "{left:?}");
    look(3);
    assert_eq!(counted(&beside(&path)), Some(RECORDS_MIN + life.len() as u64));
    let resumed = resume(&beside(&path), &journal).unwrap();
    assert!((resumed.ledger, resumed.last) == fold(&journal).unwrap());
}

#[test]
fn each_look_at_a_history_tells_what_came_since_and_another_journal_in_its_place_is_read_anew() {
    let home = tempfile::tempdir().unwrap();
    let path = crate::config::journal_path(home.path());
    let mut history = crate::History::of(home.path());
    assert_eq!(*history.look().unwrap(), Ledger::default(), "there is no journal yet");
    let records = life();
    let mut journal = SqliteJournal::open(&path).unwrap();
    for part in records.chunks(3) {
        journal.append(part).unwrap();
        assert_eq!(*history.look().unwrap(), fold(&journal).unwrap().0);
    }
    drop(journal);
    std::fs::remove_file(&path).unwrap();
    let mut another = SqliteJournal::open(&path).unwrap();
    another.append(&records[..1]).unwrap();
    assert_eq!(*history.look().unwrap(), fold(&another).unwrap().0);
}
