//! What `scripts/crash_states.py` records and then judges: writes a journal, and says of a folder that survived a crash
//! what is left in it. Speaks as `store_crash` of `artifacts` does.

#![allow(clippy::print_stdout, reason = "it is asked and answers on its standard streams")]

use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};

use market::Timestamp;
use protocol::{Policy, Submission};
use scheduler::event::{Event, Record};
use scheduler::journal::{Journal as _, SqliteJournal, fold};
use scheduler::snapshot;
use spec::{Digest, TrialId};

type Failure = Box<dyn std::error::Error>;

/// Appends of the workload: one submission, then rounds of one to four trials.
const ACTS: u32 = 200;

/// A snapshot is written after each so many.
const SNAPSHOT_EVERY: u32 = 25;

/// The records of one append.
fn act(index: u32) -> Result<Vec<Record>, Failure> {
    let record = |event| Record { at: Timestamp::from_micros(i64::from(index)), event };
    if index == 0 {
        let submission = Submission {
            experiment: "crash".parse()?,
            name: "crash".parse()?,
            payload: b"sweep".to_vec(),
            policy: Policy::default(),
        };
        return Ok(vec![record(Event::Submitted(submission))]);
    }
    let first: u32 = (1..index).map(size).sum();
    let asked = |at: u32| -> Result<Record, Failure> {
        let trial = TrialId { experiment: "crash".parse()?, index: at };
        Ok(record(Event::Asked {
            trial,
            parent: None,
            told: Vec::new(),
            payload: vec![at as u8; 40 + (at as usize * 97) % 900],
        }))
    };
    (first..first + size(index)).map(asked).collect()
}

const fn size(index: u32) -> u32 {
    1 + index % 4
}

fn journal(folder: &Path) -> Result<SqliteJournal, Failure> {
    Ok(SqliteJournal::open(&folder.join("journal.db"))?)
}

fn snapshot_of(folder: &Path) -> PathBuf {
    folder.join("journal.snapshot")
}

fn write(folder: &Path) -> Result<(), Failure> {
    let mut journal = journal(folder)?;
    for index in 0..ACTS {
        journal.append(&act(index)?)?;
        if index % SNAPSHOT_EVERY == SNAPSHOT_EVERY - 1 {
            // Where the disk refuses it there is none: nothing depends on it.
            drop(snapshot::renew(&snapshot_of(folder), &journal));
        }
        println!("acknowledged {}", index + 1);
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// Whether a snapshot ends with the digest of what is before it.
fn is_whole(bytes: &[u8]) -> bool {
    bytes.split_last_chunk::<32>().is_some_and(|(content, digest)| Digest::of(content).as_bytes() == digest)
}

fn check(folder: &Path, acknowledged: u32) -> Result<u32, Failure> {
    let mut found = Vec::new();
    let journal = journal(folder)?;
    journal.replay(&mut |record| {
        found.push(record);
        Ok(())
    })?;
    let snapshot = snapshot_of(folder);
    // One that is damaged is passed over, and what the journal tells would hide it.
    if snapshot.try_exists()? && !is_whole(&std::fs::read(&snapshot)?) {
        return Err("what has the snapshot's name is not whole".into());
    }
    let resumed = snapshot::resume(&snapshot, &journal)?;
    if (resumed.ledger, resumed.last) != fold(&journal)? {
        return Err("from its snapshot the journal tells another ledger".into());
    }
    let mut rest = found.as_slice();
    for index in 0..ACTS {
        if rest.is_empty() {
            let lost = index < acknowledged;
            return if lost {
                Err(format!("append {} was acknowledged and is gone", index + 1).into())
            } else {
                Ok(index)
            };
        }
        let whole = act(index)?;
        rest = rest.strip_prefix(whole.as_slice()).ok_or_else(|| format!("append {} is there in part", index + 1))?;
    }
    Ok(ACTS)
}

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    match (args.next().as_deref(), args.next()) {
        (Some("write"), Some(folder)) => write(Path::new(&folder)),
        (Some("check"), None) => {
            for line in std::io::stdin().lock().lines() {
                let line = line?;
                let (folder, acknowledged) = line.rsplit_once(' ').ok_or("a line is FOLDER N")?;
                match check(Path::new(folder), acknowledged.parse()?) {
                    Ok(last) => println!("whole {last}"),
                    Err(error) => println!("broken {error}"),
                }
                std::io::stdout().flush()?;
            }
            Ok(())
        }
        _ => Err("usage: journal_crash write FOLDER | journal_crash check".into()),
    }
}
