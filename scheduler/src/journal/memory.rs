//! A journal that lives as long as its process: for tests of everything above it, and for planned failures.

use std::fmt;

use crate::event::Record;
use crate::journal::{Journal, JournalError};
use crate::ledger::IllegalEvent;

/// Records in memory.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    records: Vec<Record>,
    /// Appends that succeed before the disk is full.
    room: Option<usize>,
}

impl MemoryJournal {
    /// A journal whose disk is full after `appends` appends.
    #[must_use]
    pub const fn full_after(appends: usize) -> Self {
        Self { records: Vec::new(), room: Some(appends) }
    }
}

impl fmt::Display for MemoryJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("in memory")
    }
}

impl Journal for MemoryJournal {
    fn append(&mut self, records: &[Record]) -> Result<(), JournalError> {
        if let Some(room) = &mut self.room {
            *room = room.checked_sub(1).ok_or_else(|| JournalError::Full { path: "in memory".to_owned() })?;
        }
        self.records.extend_from_slice(records);
        Ok(())
    }

    fn records(&self) -> Result<u64, JournalError> {
        Ok(self.records.len() as u64)
    }

    fn replay_after(
        &self,
        after: u64,
        visit: &mut dyn FnMut(Record) -> Result<(), IllegalEvent>,
    ) -> Result<(), JournalError> {
        let after = usize::try_from(after).unwrap_or(usize::MAX);
        for (sequence, record) in (1..).zip(&self.records).skip(after) {
            visit(record.clone()).map_err(|error| JournalError::Damaged {
                path: self.to_string(),
                sequence,
                why: error.to_string(),
            })?;
        }
        Ok(())
    }
}
