//! The journal: append-only, durable before any effect. What is not in it did not happen.

use market::Timestamp;

use crate::event::Record;
use crate::ledger::{IllegalEvent, Ledger};

mod memory;
mod postgres;
mod sqlite;

pub use memory::MemoryJournal;
pub use postgres::PostgresJournal;
pub use sqlite::SqliteJournal;

/// The journal cannot be used. One that passes, says [`JournalError::passes`], is worth another try by who does not use
/// it yet; all others are a person's to solve.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another scheduler writes it.
    #[error("journal {path} is in use by another scheduler: use that one, or another --home")]
    InUse {
        /// Which journal.
        path: String,
    },
    /// It was written by another version.
    #[error("journal {path} has format {found} and this build reads {wanted}: use the build that wrote it")]
    Format {
        /// Which journal.
        path: String,
        /// Its format.
        found: i64,
        /// Ours.
        wanted: i64,
    },
    /// Its disk is full.
    #[error(
        "journal {path} cannot be written, its disk is full: free space and start again, nothing acknowledged is lost"
    )]
    Full {
        /// Which journal.
        path: String,
    },
    /// It may not be written.
    #[error("journal {path} cannot be written, it or its folder is read-only: fix its permissions and start again")]
    ReadOnly {
        /// Which journal.
        path: String,
    },
    /// Its disk fails.
    #[error("journal {path} failed: {why}")]
    Failed {
        /// Which journal.
        path: String,
        /// As the store said.
        why: String,
    },
    /// Its database is away, busy or locked, which is over by itself.
    #[error("journal {path} cannot be used now: {why}")]
    Away {
        /// Which journal.
        path: String,
        /// As the database said, or that it said nothing.
        why: String,
    },
    /// A record in it is not one, or follows from nothing.
    #[error("journal {path} is damaged at record {sequence}: {why}")]
    Damaged {
        /// Which journal.
        path: String,
        /// Which record, from 1.
        sequence: i64,
        /// What is wrong.
        why: String,
    },
}

impl JournalError {
    /// Whether it may be over by the next try, with nobody having done anything about this journal: whoever does not
    /// use it yet waits for it. Who used it has to begin anew, because what became of its last append is not known.
    #[must_use]
    pub const fn passes(&self) -> bool {
        match self {
            Self::Away { .. } | Self::Full { .. } => true,
            Self::InUse { .. }
            | Self::Format { .. }
            | Self::ReadOnly { .. }
            | Self::Failed { .. }
            | Self::Damaged { .. } => false,
        }
    }
}

/// A durable, append-only list of records.
pub trait Journal: Send + std::fmt::Display {
    /// Appends `records`, all or none. Once it returns they survive a loss of power.
    ///
    /// # Errors
    /// [`JournalError`]: whether they are in the journal, all of them or none, is not known, for the word that they are
    /// may have got lost. Nothing may follow from them, and nothing more be appended, before the journal was read
    /// again.
    fn append(&mut self, records: &[Record]) -> Result<(), JournalError>;

    /// Calls `visit` with every record behind the first `after`, in order.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] at the first record that cannot be read or that `visit` refuses.
    fn replay_after(
        &self,
        after: u64,
        visit: &mut dyn FnMut(Record) -> Result<(), IllegalEvent>,
    ) -> Result<(), JournalError>;

    /// How many records it holds.
    ///
    /// # Errors
    /// [`JournalError`].
    fn records(&self) -> Result<u64, JournalError>;

    /// Calls `visit` with every record, in order.
    ///
    /// # Errors
    /// As [`Self::replay_after`].
    fn replay(&self, visit: &mut dyn FnMut(Record) -> Result<(), IllegalEvent>) -> Result<(), JournalError> {
        self.replay_after(0, visit)
    }
}

/// The ledger that a journal tells, and the time of its last record: a restarted clock does not run behind it.
///
/// # Errors
/// As [`Journal::replay`].
pub fn fold(journal: &dyn Journal) -> Result<(Ledger, Timestamp), JournalError> {
    let mut ledger = Ledger::default();
    let mut last = Timestamp::default();
    journal.replay(&mut |Record { at, event }| {
        last = last.max(at);
        ledger.apply(at, &event)
    })?;
    Ok((ledger, last))
}

#[cfg(test)]
mod tests;
