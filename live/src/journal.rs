//! The session's memory: a header, then records in the order they happened. Appended to, never rewritten.

pub mod frames;
mod record;

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use frames::{Contents, Frame, FrameError, Frames};

pub use record::{Alarm, FORMAT, Header, Mark, Record};

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file is unreadable, locked or damaged.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A whole, checksummed record that this program cannot read.
    #[error("{path}: record {record} at byte {offset} is not one this build knows; use the build that wrote it")]
    Record {
        /// The journal.
        path: PathBuf,
        /// Its place in the file, the header being 0.
        record: usize,
        /// Where its frame starts.
        offset: u64,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// Written by another version.
    #[error("{path}: journal format {found} is unknown: this build reads format {FORMAT}")]
    Format {
        /// The journal.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// There is a file, but no session in it.
    #[error("{path}: the journal is empty: no session was started on it")]
    Empty {
        /// The journal.
        path: PathBuf,
    },
}

/// What a journal holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// Of the session; absent from a new file.
    pub header: Option<Header>,
    /// Everything after the header.
    pub records: Vec<Record>,
    /// Bytes of an unfinished record at the end.
    pub torn: u64,
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    frames: Frames,
}

/// Reads a journal whole, without opening it for writing.
///
/// # Errors
/// [`JournalError`] when it is damaged before its end, from another version, or empty.
pub fn read(path: &Path) -> Result<(Header, Vec<Record>), JournalError> {
    let held = decode(path, &frames::read(path)?)?;
    let header = held.header.ok_or_else(|| JournalError::Empty { path: path.to_owned() })?;
    Ok((header, held.records))
}

impl Journal {
    /// Opens or creates a journal; a torn record at its end is cut off.
    ///
    /// # Errors
    /// [`JournalError`] when it cannot be read, is locked, damaged before its end or from another version.
    pub fn open(path: &Path) -> Result<(Self, Held), JournalError> {
        let (frames, contents) = Frames::open(path)?;
        let held = decode(path, &contents)?;
        Ok((Self { frames }, held))
    }

    /// Writes the header of a new journal, durably.
    ///
    /// # Errors
    /// [`JournalError::Frame`] when the disk refuses.
    pub fn begin(&mut self, header: &Header) -> Result<(), JournalError> {
        self.frames.append(&to_bytes(header))?;
        self.sync()
    }

    /// Appends a record. It survives a crash only after [`Journal::sync`].
    ///
    /// # Errors
    /// [`JournalError::Frame`] when the disk refuses.
    pub fn append(&mut self, record: &Record) -> Result<(), JournalError> {
        Ok(self.frames.append(&to_bytes(record))?)
    }

    /// Returns once all that was appended is on the disk.
    ///
    /// # Errors
    /// [`JournalError::Frame`] when the disk refuses.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        Ok(self.frames.sync()?)
    }
}

fn decode(path: &Path, contents: &Contents) -> Result<Held, JournalError> {
    let Some((first, rest)) = contents.frames.split_first() else {
        return Ok(Held { header: None, records: Vec::new(), torn: contents.torn });
    };
    let header: Header = payload(path, 0, first)?;
    if header.format != FORMAT {
        return Err(JournalError::Format { path: path.to_owned(), found: header.format });
    }
    let records = rest.iter().enumerate().map(|(index, frame)| payload(path, index + 1, frame));
    Ok(Held { header: Some(header), records: records.collect::<Result<_, _>>()?, torn: contents.torn })
}

fn payload<T: DeserializeOwned>(path: &Path, record: usize, frame: &Frame) -> Result<T, JournalError> {
    serde_json::from_slice(&frame.payload).map_err(|source| JournalError::Record {
        path: path.to_owned(),
        record,
        offset: frame.offset,
        source,
    })
}

/// Fields in the order of their declaration: one text for one value, like the canonical form, but with all 64 bits of an
/// amount, where RFC 8785 keeps 53.
fn to_bytes<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("records hold finite numbers and text keys")
}
