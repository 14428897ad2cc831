//! The journal in SQLite: WAL, synchronous=FULL, one transaction for all that one round of the scheduler decided.
//!
//! Readable by hand: `SELECT sequence, at, body FROM events`. Triggers refuse to change or delete a record. A lock file
//! beside it keeps a second scheduler out; the lock ends with its process, however that ends.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use market::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use crate::event::{Event, Record};
use crate::journal::{Journal, JournalError};
use crate::ledger::IllegalEvent;

/// Format of the journal; a change of [`Event`] that older journals cannot follow adds 1.
const FORMAT: i64 = 1;

const SCHEMA: &str = "
    CREATE TABLE events (
        sequence INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        body TEXT NOT NULL,
        bytes BLOB
    ) STRICT;
    CREATE TRIGGER events_are_not_changed BEFORE UPDATE ON events
        BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
    CREATE TRIGGER events_are_not_deleted BEFORE DELETE ON events
        BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
";

/// Bytes of the log beside the journal when SQLite moves it into the journal and begins it anew: its thousand pages.
const LOG_BYTES: u32 = 1_000 * 4_096;

/// A journal file.
pub struct SqliteJournal {
    path: PathBuf,
    connection: Connection,
    /// Held for writing; `None` when the journal is only read.
    _lock: Option<File>,
}

impl SqliteJournal {
    /// Opens the journal at `path` for writing, making it if there is none.
    ///
    /// # Errors
    /// [`JournalError`], among them [`JournalError::InUse`] and [`JournalError::Format`].
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let name = path.display().to_string();
        let lock = lock(path)?;
        let open = || -> Result<Connection, rusqlite::Error> {
            let connection = Connection::open(path)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            let format: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
            if format == 0 {
                // One transaction: a crash in between leaves an empty file, which is made again.
                connection.execute_batch(&format!("BEGIN; {SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;"))?;
            }
            // Without room the journal is only slower; on a full disk the first append says so.
            let _ = make_room(&connection);
            Ok(connection)
        };
        let connection = open().map_err(|error| explain(&name, &error))?;
        Self { path: path.to_owned(), connection, _lock: Some(lock) }.checked()
    }

    /// Opens the journal at `path` for reading only, beside a scheduler that may write it.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open_read_only(path: &Path) -> Result<Self, JournalError> {
        // What a killed scheduler left in its log is put right by whoever opens next, who must be able to write for that.
        let open = || -> Result<Connection, rusqlite::Error> {
            let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            connection.pragma_update(None, "query_only", true)?;
            Ok(connection)
        };
        let connection = open().map_err(|error| explain(&path.display().to_string(), &error))?;
        Self { path: path.to_owned(), connection, _lock: None }.checked()
    }

    fn checked(self) -> Result<Self, JournalError> {
        let found = self
            .connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(|error| explain(&self.to_string(), &error))?;
        if found == FORMAT {
            Ok(self)
        } else {
            Err(JournalError::Format { path: self.to_string(), found, wanted: FORMAT })
        }
    }

    /// Makes the disk full once the file has `pages` pages.
    #[cfg(test)]
    pub(super) fn limit_pages(&self, pages: u32) {
        self.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
    }

    fn append_all(&mut self, records: &[Record]) -> Result<(), rusqlite::Error> {
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO events (at, body, bytes) VALUES (?1, ?2, ?3)")?;
            for Record { at, event } in records {
                let blob = event.blob();
                insert.execute((at.micros(), event.to_json(), (!blob.is_empty()).then_some(blob)))?;
            }
        }
        transaction.commit()
    }
}

impl fmt::Display for SqliteJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

impl Journal for SqliteJournal {
    fn append(&mut self, records: &[Record]) -> Result<(), JournalError> {
        if records.is_empty() {
            return Ok(());
        }
        self.append_all(records).map_err(|error| explain(&self.to_string(), &error))
    }

    fn records(&self) -> Result<u64, JournalError> {
        let count = "SELECT coalesce(max(sequence), 0) FROM events";
        let last: i64 = self
            .connection
            .query_row(count, (), |row| row.get(0))
            .map_err(|error| explain(&self.to_string(), &error))?;
        Ok(last.unsigned_abs())
    }

    fn replay_after(
        &self,
        after: u64,
        visit: &mut dyn FnMut(Record) -> Result<(), IllegalEvent>,
    ) -> Result<(), JournalError> {
        let failed = |error: rusqlite::Error| explain(&self.to_string(), &error);
        let damaged = |sequence, why| JournalError::Damaged { path: self.to_string(), sequence, why };
        let mut select = self
            .connection
            .prepare("SELECT sequence, at, body, bytes FROM events WHERE sequence > ?1 ORDER BY sequence")
            .map_err(failed)?;
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let mut rows = select.query([after]).map_err(failed)?;
        let mut expected = after.saturating_add(1);
        while let Some(row) = rows.next().map_err(failed)? {
            let sequence: i64 = row.get(0).map_err(failed)?;
            if sequence != expected {
                return Err(damaged(expected, format!("it is missing, {sequence} follows")));
            }
            expected += 1;
            let at = Timestamp::from_micros(row.get(1).map_err(failed)?);
            let body: String = row.get(2).map_err(failed)?;
            let bytes: Option<Vec<u8>> = row.get(3).map_err(failed)?;
            let event = Event::from_parts(&body, bytes.unwrap_or_default())
                .map_err(|error| damaged(sequence, error.to_string()))?;
            visit(Record { at, event }).map_err(|error| damaged(sequence, error.to_string()))?;
        }
        Ok(())
    }
}

/// Makes the log as long as it will ever be: to sync a file that grows takes a file system up to twice as long as one that
/// is overwritten. What is rolled back stays in the log's file and never reaches the journal.
fn make_room(connection: &Connection) -> Result<(), rusqlite::Error> {
    let cache: i64 = connection.pragma_query_value(None, "cache_size", |row| row.get(0))?;
    // Few pages fit, so the rest is written to the log at once.
    connection.pragma_update(None, "cache_size", 8)?;
    let filled = connection.unchecked_transaction().and_then(|transaction| {
        transaction.execute_batch("CREATE TABLE room (bytes BLOB) STRICT")?;
        transaction.execute("INSERT INTO room VALUES (zeroblob(?1))", [LOG_BYTES])?;
        transaction.rollback()
    });
    connection.pragma_update(None, "cache_size", cache)?;
    filled
}

/// Takes the lock beside the journal.
fn lock(journal: &Path) -> Result<File, JournalError> {
    let path = journal.with_extension("lock");
    let name = journal.display().to_string();
    let failed = |error: std::io::Error| {
        use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        let (kind, path) = (error.kind(), name.clone());
        if [PermissionDenied, ReadOnlyFilesystem].contains(&kind) {
            JournalError::ReadOnly { path }
        } else if [StorageFull, QuotaExceeded].contains(&kind) {
            JournalError::Full { path }
        } else {
            JournalError::Failed { path, why: error.to_string() }
        }
    };
    let file = File::options().create(true).truncate(false).write(true).open(path).map_err(failed)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(JournalError::InUse { path: name }),
        Err(error) => Err(failed(error.into())),
    }
}

fn explain(path: &str, error: &rusqlite::Error) -> JournalError {
    let path = path.to_owned();
    // The file in which connections tell each other of the log cannot be made longer.
    if error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_IOERR_SHMSIZE) {
        return JournalError::Full { path };
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => JournalError::Full { path },
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            JournalError::ReadOnly { path }
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => JournalError::InUse { path },
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            JournalError::Damaged { path, sequence: 0, why: error.to_string() }
        }
        Some(_) | None => JournalError::Failed { path, why: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named_whichever_of_the_files_meets_it() {
        let said = |code| explain("journal.db", &rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_SHMSIZE] {
            assert!(matches!(said(code), JournalError::Full { .. }), "{code}");
        }
        assert!(matches!(said(ffi::SQLITE_IOERR_FSYNC), JournalError::Failed { .. }));
    }
}
