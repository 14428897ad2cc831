//! The ledger as it stood at some record, in a file of the home: a restart reads that and what was journalled since.
//!
//! The journal alone is the truth. A snapshot that is missing, damaged, of another build or of another journal is passed
//! over, and the whole journal is read instead. It is written beside a scheduler that runs, from the journal, by a thread
//! that reads it as anybody may: the thread that decides is not asked for anything.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use market::Timestamp;
use spec::Digest;

use crate::code::{Code, put_bytes, take_bytes};
use crate::event::Record;
use crate::journal::{Journal, JournalError};
use crate::ledger::Ledger;

/// What a snapshot begins with. The last byte counts the changes of what [`BUILD`] does not see: the bytes of types that
/// other crates define.
const FORMAT: [u8; 8] = *b"tw-snap\x02";

/// Which sources of this crate wrote it, from `build.rs`: other ones may keep something else in a ledger, or take an event in
/// otherwise, and would go on from a state that their journal does not tell.
const BUILD: &str = env!("SCHEDULER_BUILD");

/// Records since the last snapshot below which none is written: they are replayed in a tenth of a second.
const RECORDS_MIN: u64 = 50_000;

/// A snapshot is written anew once the journal has grown by one part of so many: the work of writing stays in proportion to
/// what is journalled, and the tail to what a restart reads anyway.
const GROWTH: u64 = 4;

/// Between two looks at how far the journal is.
const LOOK: Duration = Duration::from_secs(5);

/// A ledger, and how much of its journal is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The fold of those records.
    pub ledger: Ledger,
    /// The time of the last: a restarted clock does not run behind it.
    pub last: Timestamp,
    /// How many.
    pub records: u64,
    /// Of the last record: another journal has another.
    mark: Option<Digest>,
}

/// Where the snapshot of a journal in a file lies.
pub(crate) fn beside(journal: &Path) -> PathBuf {
    journal.with_extension("snapshot")
}

/// What a journal tells, from the snapshot at `path` as far as it is one of this journal.
///
/// # Errors
/// As [`Journal::replay`].
pub fn resume(path: &Path, journal: &dyn Journal) -> Result<Snapshot, JournalError> {
    if let Ok(bytes) = std::fs::read(path) {
        let why = match Snapshot::from_bytes(&bytes).map(|snapshot| snapshot.follow(journal)) {
            Some(Ok(Some(followed))) => return Ok(followed),
            Some(Ok(None)) => "it is of another journal".to_owned(),
            Some(Err(error)) => error.to_string(),
            None => "it is damaged, or another build wrote it".to_owned(),
        };
        tracing::warn!(path = %path.display(), why, "snapshot is passed over, and the whole journal read");
    }
    Ok(Snapshot::default().follow(journal)?.unwrap_or_default())
}

/// Brings the snapshot at `path` up to the end of `journal`.
///
/// # Errors
/// [`RenewError`]: the one before, if any, is as it was.
pub fn renew(path: &Path, journal: &dyn Journal) -> Result<Snapshot, RenewError> {
    let snapshot = resume(path, journal)?;
    write(path, &snapshot.to_bytes(), &|| false)?;
    Ok(snapshot)
}

/// The snapshot could not be written.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The disk refuses.
    #[error("snapshot cannot be written: {0}")]
    Disk(#[from] std::io::Error),
}

/// Keeps the snapshot at `path` fresh until it is `over`, of the journal that `open` reads beside its scheduler.
/// Whoever ends it unparks its thread: it returns then, or once it has read what it is reading, some two seconds a
/// million records, or as long as a database takes. Whether it is over is asked last when the file is written and has
/// only to be given its name: who ended it and did not wait may still meet the new name a moment later, whole and true
/// of this journal. A failure is tried again at the next look: it costs a restart meanwhile time, and nothing else.
pub(crate) fn keep(path: &Path, open: impl Fn() -> Result<Box<dyn Journal>, JournalError>, over: impl Fn() -> bool) {
    let mut known = counted(path).unwrap_or_default();
    let mut failed = None;
    while !over() {
        // Closed between two looks: the last that closes a journal puts it in order.
        match open().map_err(RenewError::from).and_then(|journal| look(path, &*journal, &mut known, &over)) {
            Ok(()) => failed = None,
            Err(error) => {
                let why = error.to_string();
                if failed.as_ref() != Some(&why) {
                    tracing::warn!(why, "no snapshot is kept: a restart reads the whole journal");
                    failed = Some(why);
                }
            }
        }
        // Waiting for an answer may have used up the word that it is over.
        if !over() {
            std::thread::park_timeout(LOOK);
        }
    }
}

/// Writes the snapshot anew where the journal has outgrown the one that knows of `known` records.
fn look(path: &Path, journal: &dyn Journal, known: &mut u64, over: &impl Fn() -> bool) -> Result<(), RenewError> {
    let records = journal.records()?;
    if *known > records {
        // It is of a journal that was here before.
        *known = 0;
    }
    if records - *known >= RECORDS_MIN.max(*known / GROWTH) {
        let snapshot = resume(path, journal)?;
        // Reading takes time: whoever ended this thread meanwhile may have waited long enough, and given its home away.
        if !over() && write(path, &snapshot.to_bytes(), over)? == Written::Named {
            *known = snapshot.records;
            tracing::info!(records = *known, "snapshot is written");
        }
    }
    Ok(())
}

impl Snapshot {
    /// Takes in what `journal` holds beyond it; `None` when it is of another journal.
    pub(crate) fn follow(mut self, journal: &dyn Journal) -> Result<Option<Self>, JournalError> {
        let mut is_its_own = self.mark.is_none();
        let mut newest = None;
        // The last record that it knows is read again: it must be the one that it was.
        journal.replay_after(self.records.saturating_sub(1), &mut |record: Record| {
            if newest.is_none() && !is_its_own {
                is_its_own = self.mark == Some(mark(&record));
                newest = Some(record);
                return Ok(());
            }
            if is_its_own {
                self.ledger.apply(record.at, &record.event)?;
                self.last = self.last.max(record.at);
                self.records += 1;
                newest = Some(record);
            }
            Ok(())
        })?;
        self.mark = newest.as_ref().map(mark);
        Ok(is_its_own.then_some(self))
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.written_by(BUILD)
    }

    fn written_by(&self, build: &str) -> Vec<u8> {
        let mut bytes = FORMAT.to_vec();
        put_bytes(build.as_bytes(), &mut bytes);
        self.put(&mut bytes);
        Digest::of(&bytes).put(&mut bytes);
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (content, digest) = bytes.split_last_chunk::<32>()?;
        if Digest::of(content).as_bytes() != digest {
            return None;
        }
        let mut from = content.strip_prefix(&FORMAT)?;
        if take_bytes(&mut from)? != BUILD.as_bytes() {
            return None;
        }
        let snapshot = Self::take(&mut from)?;
        from.is_empty().then_some(snapshot)
    }
}

impl Code for Snapshot {
    fn put(&self, to: &mut Vec<u8>) {
        let Self { ledger, last, records, mark } = self;
        records.put(to);
        mark.put(to);
        last.put(to);
        ledger.put(to);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let (records, mark) = Code::take(from)?;
        let (last, ledger) = Code::take(from)?;
        Some(Self { ledger, last, records, mark })
    }
}

/// Records in the snapshot at `path`; `None` where there is none that can be read.
fn counted(path: &Path) -> Option<u64> {
    Some(Snapshot::from_bytes(&std::fs::read(path).ok()?)?.records)
}

/// What tells a record from others at its place.
fn mark(record: &Record) -> Digest {
    let mut bytes = record.event.to_json().into_bytes();
    record.at.put(&mut bytes);
    bytes.extend_from_slice(record.event.blob());
    Digest::of(&bytes)
}

/// What became of a file that was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    /// It is on the disk, name and all.
    Named,
    /// Nobody wanted it any more, and it is gone.
    Dropped,
}

/// Writes a file whole or not at all, and gives it its name unless that is `over` by then. Until then it has a name of
/// its own: what a scheduler that was killed left half written is in nobody's way.
fn write(path: &Path, bytes: &[u8], over: &impl Fn() -> bool) -> std::io::Result<Written> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut partial = tempfile::Builder::new().suffix(".partial").tempfile_in(folder)?;
    partial.write_all(bytes)?;
    partial.as_file().sync_all()?;
    if over() {
        return Ok(Written::Dropped);
    }
    partial.persist(path)?;
    File::open(folder)?.sync_all()?;
    Ok(Written::Named)
}

#[cfg(test)]
mod tests;
