//! What a journal promises, up to a kill and a full disk.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use expect_test::expect;
use protocol::{ExperimentState, Policy, Submission};
use spec::{AttemptId, CheckpointRef, Digest, FailureClass, TrialId};

use super::*;
use crate::event::Event;
use crate::trial::Change;

/// Set for the process that is killed.
const VICTIM: &str = "TRADEWIND_TEST_JOURNAL";

fn trial(index: u32) -> TrialId {
    format!("s.{index}").parse().unwrap()
}

fn record(second: i64, event: Event) -> Record {
    Record { at: Timestamp::from_micros(second * 1_000_000), event }
}

fn submitted() -> Record {
    let submission = Submission {
        experiment: "s".parse().unwrap(),
        name: "s".parse().unwrap(),
        payload: b"sweep".to_vec(),
        policy: Policy::default(),
    };
    record(0, Event::Submitted(submission))
}

fn asked(index: u32) -> Record {
    record(
        1,
        Event::Asked { trial: trial(index), parent: None, told: Vec::new(), payload: index.to_le_bytes().to_vec() },
    )
}

fn change(second: i64, change: Change) -> Record {
    record(second, Event::Trial { trial: trial(0), change })
}

fn life() -> Vec<Record> {
    let attempt = AttemptId(1);
    let checkpoint = CheckpointRef { digest: Digest::of(b"checkpoint"), step: 12 };
    let message = "it broke".to_owned();
    vec![
        submitted(),
        asked(0),
        change(2, Change::Lease { attempt, worker: "w".parse().unwrap(), node: None, gpus: Vec::new() }),
        change(3, Change::Start { attempt }),
        change(4, Change::Checkpoint { attempt, checkpoint }),
        change(5, Change::Fail { attempt, class: FailureClass::Oom, message, retry: Some(Timestamp::default()) }),
        change(6, Change::Lease { attempt: AttemptId(2), worker: "w".parse().unwrap(), node: None, gpus: Vec::new() }),
        change(7, Change::Succeed { attempt: AttemptId(2), outcome: vec![0, 255, 7] }),
        record(8, Event::Ended { experiment: "s".parse().unwrap(), state: ExperimentState::Succeeded, reason: None }),
    ]
}

fn read(journal: &dyn Journal) -> Vec<Record> {
    let mut records = Vec::new();
    journal
        .replay(&mut |record| {
            records.push(record);
            Ok(())
        })
        .unwrap();
    records
}

fn sql(path: &Path, statement: &str) -> Result<usize, rusqlite::Error> {
    rusqlite::Connection::open(path).unwrap().execute(statement, ())
}

#[test]
fn what_was_appended_comes_back_bytes_and_all_and_memory_agrees_with_sqlite() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("journal.db");
    let mut journal = SqliteJournal::open(&path).unwrap();
    let mut memory = MemoryJournal::default();
    for records in life().chunks(4) {
        journal.append(records).unwrap();
        memory.append(records).unwrap();
    }
    drop(journal);
    let journal = SqliteJournal::open(&path).unwrap();
    assert_eq!(read(&journal), life());
    assert_eq!(fold(&journal).unwrap(), fold(&memory).unwrap());
    assert_eq!(fold(&journal).unwrap().1, Timestamp::from_micros(8_000_000));
}

#[test]
fn the_format_of_a_record_stands() {
    let bodies: Vec<String> = life().iter().map(|record| record.event.to_json()).collect();
    expect![[r#"
        {"submitted":{"experiment":"s","name":"s","policy":{"parallel":null,"retry":{"attempts":3,"backoff":"1s"},"timeout":"1h","priority":0,"cpus":1}}}
        {"asked":{"trial":"s.0"}}
        {"trial":{"trial":"s.0","change":{"lease":{"attempt":1,"worker":"w"}}}}
        {"trial":{"trial":"s.0","change":{"start":{"attempt":1}}}}
        {"trial":{"trial":"s.0","change":{"checkpoint":{"attempt":1,"checkpoint":{"digest":"47320987f9a49d5b00119b960f247a956773f57543982b8bfcb6da5bb3afd9ef","step":12}}}}}
        {"trial":{"trial":"s.0","change":{"fail":{"attempt":1,"class":"oom","message":"it broke","retry":"1970-01-01T00:00:00Z"}}}}
        {"trial":{"trial":"s.0","change":{"lease":{"attempt":2,"worker":"w"}}}}
        {"trial":{"trial":"s.0","change":{"succeed":{"attempt":2}}}}
        {"ended":{"experiment":"s","state":"succeeded"}}"#]]
    .assert_eq(&bodies.join("\n"));
}

#[test]
fn what_came_later_is_written_only_where_it_is_used_and_reads_back() {
    let reason = Some("its deadline has passed".to_owned());
    let target = protocol::Target::Node("box".parse().unwrap());
    let policy = Policy {
        gpus: 1,
        gpu_memory: Some(spec::Bytes(4 << 30)),
        owner: Some("ann".parse().unwrap()),
        after: vec!["train".parse().unwrap()],
        deadline: Some(Timestamp::default()),
        degrade_max: Some(2),
        ..Policy::default()
    };
    let submission =
        Submission { experiment: "s".parse().unwrap(), name: "s".parse().unwrap(), payload: Vec::new(), policy };
    let (worker, node) = ("w".parse().unwrap(), Some("box".parse().unwrap()));
    let lease = Change::Lease { attempt: AttemptId(1), worker, node, gpus: vec![1] };
    let events = [
        Event::Submitted(submission),
        Event::Trial { trial: trial(0), change: lease },
        Event::Trial { trial: trial(0), change: Change::Requeue },
        Event::Ended { experiment: "s".parse().unwrap(), state: ExperimentState::Cancelled, reason },
        Event::Cordoned { target: target.clone(), cordon: protocol::Cordon::Drain },
        Event::Uncordoned { target },
    ];
    for event in &events {
        assert_eq!(Event::from_parts(&event.to_json(), event.blob().to_vec()).unwrap(), *event);
    }
    expect![[r#"
        {"submitted":{"experiment":"s","name":"s","policy":{"parallel":null,"retry":{"attempts":3,"backoff":"1s"},"timeout":"1h","priority":0,"cpus":1,"gpus":1,"gpu_memory":"4GiB","owner":"ann","after":["train"],"deadline":"1970-01-01T00:00:00Z","degrade_max":2}}}
        {"trial":{"trial":"s.0","change":{"lease":{"attempt":1,"worker":"w","node":"box","gpus":[1]}}}}
        {"trial":{"trial":"s.0","change":"requeue"}}
        {"ended":{"experiment":"s","state":"cancelled","reason":"its deadline has passed"}}
        {"cordoned":{"target":{"node":"box"},"cordon":"drain"}}
        {"uncordoned":{"target":{"node":"box"}}}"#]].assert_eq(&events.iter().map(Event::to_json).collect::<Vec<_>>().join("\n"));
}

#[test]
fn records_can_be_neither_changed_nor_deleted() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("journal.db");
    SqliteJournal::open(&path).unwrap().append(&life()).unwrap();
    for statement in ["UPDATE events SET at = 0", "DELETE FROM events"] {
        assert!(sql(&path, statement).unwrap_err().to_string().contains("append-only"));
    }
}

#[test]
fn a_second_scheduler_is_kept_out_and_a_reader_is_not() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("journal.db");
    let mut journal = SqliteJournal::open(&path).unwrap();
    journal.append(&life()).unwrap();
    assert!(matches!(SqliteJournal::open(&path), Err(JournalError::InUse { .. })));
    assert_eq!(read(&SqliteJournal::open_read_only(&path).unwrap()), life());
    drop(journal);
    assert_eq!(read(&SqliteJournal::open_read_only(&path).unwrap()), life());
    assert!(SqliteJournal::open(&path).is_ok());
}

#[test]
fn a_journal_of_another_format_a_missing_record_and_a_foreign_file_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("journal.db");
    SqliteJournal::open(&path).unwrap().append(&life()).unwrap();
    sql(&path, "DROP TRIGGER events_are_not_deleted").unwrap();
    sql(&path, "DELETE FROM events WHERE sequence = 3").unwrap();
    let journal = SqliteJournal::open(&path).unwrap();
    let damage = fold(&journal).unwrap_err().to_string();
    assert!(damage.ends_with("journal.db is damaged at record 3: it is missing, 4 follows"), "{damage}");
    drop(journal);
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 9).unwrap();
    assert!(matches!(SqliteJournal::open(&path), Err(JournalError::Format { found: 9, wanted: 1, .. })));
    let foreign = home.path().join("foreign.db");
    std::fs::write(&foreign, [b'x'; 4096]).unwrap();
    assert!(matches!(SqliteJournal::open(&foreign), Err(JournalError::Damaged { .. })));
}

#[test]
fn the_log_beside_a_journal_does_not_grow_while_it_is_written_and_its_room_is_no_part_of_the_journal() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("journal.db");
    let bytes = |path: &Path| std::fs::metadata(path).unwrap().len();
    let mut journal = SqliteJournal::open(&path).unwrap();
    journal.append(&[submitted()]).unwrap();
    let log = home.path().join("journal.db-wal");
    let room = bytes(&log);
    for index in 0..200 {
        journal.append(&[asked(index)]).unwrap();
    }
    assert_eq!(bytes(&log), room);
    drop(journal);
    assert!(bytes(&path) < room / 20, "{} bytes of journal, {room} of log", bytes(&path));
}

#[test]
fn a_full_disk_is_one_error_and_takes_nothing_that_was_acknowledged() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("journal.db");
    let mut journal = SqliteJournal::open(&path).unwrap();
    journal.append(&[submitted()]).unwrap();
    journal.limit_pages(8);
    let mut acknowledged = 0;
    let error = loop {
        let record = record(
            1,
            Event::Asked { trial: trial(acknowledged), parent: None, told: Vec::new(), payload: vec![7; 3_000] },
        );
        match journal.append(&[record]) {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, JournalError::Full { .. }), "{error}");
    assert!(acknowledged > 0);
    drop(journal);
    let (ledger, _) = fold(&SqliteJournal::open(&path).unwrap()).unwrap();
    assert_eq!(ledger.experiments()[0].trials.len(), acknowledged as usize);
}

/// Runs in a process of its own, which its parent kills: without a parent there is nothing to write.
#[test]
fn victim() {
    let Ok(path) = std::env::var(VICTIM) else { return };
    let mut journal = SqliteJournal::open(Path::new(&path)).unwrap();
    journal.append(&[submitted()]).unwrap();
    for index in 0.. {
        journal.append(&[asked(index)]).unwrap();
        println!("acknowledged {index}");
    }
}

#[test]
fn what_was_acknowledged_before_a_kill_is_there_after_it() {
    let home = tempfile::tempdir().unwrap();
    for (round, until) in [1_u32, 7, 23].into_iter().enumerate() {
        let path = home.path().join(format!("journal-{round}.db"));
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "journal::tests::victim", "--nocapture"])
            .env(VICTIM, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(victim.stdout.take().unwrap()).lines().map_while(Result::ok);
        let said = lines.filter_map(|line| line.rsplit_once("acknowledged ")?.1.parse::<u32>().ok());
        let last = said.take_while(|index| *index < until).last().unwrap();
        victim.kill().unwrap();
        victim.wait().unwrap();
        let (ledger, _) = fold(&SqliteJournal::open(&path).unwrap()).unwrap();
        let trials = &ledger.experiments()[0].trials;
        assert!(trials.len() > last as usize, "{} of more than {last} are there", trials.len());
        assert!(trials.iter().zip(0_u32..).all(|(trial, index)| trial.payload == index.to_le_bytes()));
    }
}
