//! The journal of a world. What an append has not acknowledged, a crash may lose.

use std::fmt;
use std::sync::{Arc, Mutex};

use crate::event::{Event, Record};
use crate::journal::{Journal, JournalError, SqliteJournal};
use crate::ledger::IllegalEvent;

/// What the next append comes to, and its scheduler with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The disk is full: nothing is written.
    Full,
    /// Power fails before the append reached the disk.
    Lost,
    /// Power fails after it did, and before anybody knows.
    Unacknowledged,
    /// Power fails when this share of it, in hundredths, reached the disk.
    Torn(usize),
    /// If it ends several experiments, power fails when the first of their ends reached the disk.
    Parted,
}

impl Fate {
    /// How many of `records` reach the disk; `None`: all of them, and it is acknowledged.
    fn kept(self, records: &[Record]) -> Option<usize> {
        match self {
            Self::Full | Self::Lost => Some(0),
            Self::Unacknowledged => Some(records.len()),
            Self::Torn(share) => Some(records.len() * share / 100),
            Self::Parted => {
                let mut ends = (1..).zip(records).filter(|(_, record)| matches!(record.event, Event::Ended { .. }));
                let (first, _) = ends.next()?;
                ends.next().map(|_| first)
            }
        }
    }
}

/// What is durable.
#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) records: Vec<Record>,
    pub(super) fate: Option<Fate>,
    pub(super) appends: u64,
    /// Appends that were parted between two ends.
    pub(super) parted: u64,
}

/// Where a world keeps its journal: most in memory, a few in a real file with its real lock.
pub(super) struct Storage {
    pub(super) disk: Arc<Mutex<Disk>>,
    folder: Option<tempfile::TempDir>,
}

impl Storage {
    pub(super) fn in_memory() -> Self {
        Self { disk: Arc::default(), folder: None }
    }

    pub(super) fn in_a_file() -> Self {
        Self { disk: Arc::default(), folder: Some(tempfile::tempdir().expect("a temporary folder can be made")) }
    }

    pub(super) fn is_a_file(&self) -> bool {
        self.folder.is_some()
    }

    /// Opens it as a starting scheduler does.
    pub(super) fn open(&self) -> Result<Box<dyn Journal>, JournalError> {
        let file = self.folder.as_ref().map(|folder| SqliteJournal::open(&folder.path().join("journal.db")));
        Ok(Box::new(Drive { disk: Arc::clone(&self.disk), file: file.transpose()? }))
    }
}

struct Drive {
    disk: Arc<Mutex<Disk>>,
    file: Option<SqliteJournal>,
}

impl Drive {
    fn keep(&mut self, disk: &mut Disk, records: &[Record]) -> Result<(), JournalError> {
        if let Some(file) = &mut self.file {
            file.append(records)?;
        }
        disk.records.extend_from_slice(records);
        Ok(())
    }
}

impl fmt::Display for Drive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("of a simulated disk")
    }
}

impl Journal for Drive {
    fn append(&mut self, records: &[Record]) -> Result<(), JournalError> {
        let shared = Arc::clone(&self.disk);
        let mut disk = shared.lock().expect("one thread runs a world");
        let fate = disk.fate.take();
        let Some(kept) = fate.and_then(|fate| fate.kept(records)) else {
            disk.appends += 1;
            return self.keep(&mut disk, records);
        };
        if fate == Some(Fate::Full) {
            return Err(JournalError::Full { path: self.to_string() });
        }
        disk.parted += u64::from(fate == Some(Fate::Parted));
        self.keep(&mut disk, &records[..kept])?;
        Err(JournalError::Failed { path: self.to_string(), why: "power failed".to_owned() })
    }

    fn records(&self) -> Result<u64, JournalError> {
        Ok(self.disk.lock().expect("one thread runs a world").records.len() as u64)
    }

    fn replay_after(
        &self,
        after: u64,
        visit: &mut dyn FnMut(Record) -> Result<(), IllegalEvent>,
    ) -> Result<(), JournalError> {
        if let Some(file) = &self.file {
            return file.replay_after(after, visit);
        }
        let after = usize::try_from(after).expect("a world has few records");
        let disk = self.disk.lock().expect("one thread runs a world");
        for (sequence, record) in (1..).zip(&disk.records).skip(after) {
            visit(record.clone()).map_err(|error| JournalError::Damaged {
                path: self.to_string(),
                sequence,
                why: error.to_string(),
            })?;
        }
        Ok(())
    }
}
