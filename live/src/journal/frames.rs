//! Checksummed frames in an append-only file. Knows bytes and offsets, not what a payload means.
//!
//! `magic | frame*`, a frame being `u32 length | u32 crc32c(length, payload) | payload`, little endian. What a crash
//! leaves behind is at the end of the file and is cut off; damage with a whole frame after it is refused.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// First bytes of every journal; the digit is the version of the framing.
const MAGIC: &[u8; 8] = b"TWLIVE1\n";
/// Bytes of length and checksum before a payload.
const HEAD: usize = 8;
/// No record comes near: a longer one is damage, not data.
const PAYLOAD_MAX: usize = 1 << 20;

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The file system refused.
    #[error("{path}: the journal cannot be {verb}")]
    Io {
        /// The journal.
        path: PathBuf,
        /// What was tried.
        verb: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Another session writes to it.
    #[error("{path}: another session is writing to this journal; end it first or name another journal")]
    Locked {
        /// The journal.
        path: PathBuf,
    },
    /// Not a journal of this program.
    #[error("{path}: no journal: it does not start with `TWLIVE1`")]
    NotAJournal {
        /// The file.
        path: PathBuf,
    },
    /// Damage with whole records after it.
    #[error(
        "{path}: the journal is damaged at byte {offset} (record {record}) and goes on after it; restore the file from \
         a copy"
    )]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// Where the damaged frame starts.
        offset: u64,
        /// Its place in the file, the header being 0.
        record: usize,
    },
}

/// A payload and where its frame starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Offset of the frame in the file.
    pub offset: u64,
    /// The payload.
    pub payload: Vec<u8>,
}

/// What a file held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The whole frames, in order.
    pub frames: Vec<Frame>,
    /// Bytes of an unfinished frame at the end.
    pub torn: u64,
}

/// An open journal file, locked for this process.
#[derive(Debug)]
pub struct Frames {
    file: File,
    path: PathBuf,
    /// Whether something may not be on the disk yet; what an earlier process wrote is such.
    dirty: bool,
}

/// The frame that carries `payload`.
#[must_use]
pub fn encode(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a record is far below 4 GiB").to_le_bytes();
    let crc = crc32c::crc32c_append(crc32c::crc32c(&length), payload).to_le_bytes();
    [&length[..], &crc, payload].concat()
}

/// Reads the whole frames of a journal without opening it for writing.
///
/// # Errors
/// [`FrameError`] when it cannot be read, is no journal, or is damaged before its end.
pub fn read(path: &Path) -> Result<Contents, FrameError> {
    let bytes = std::fs::read(path).map_err(io_error(path, "read"))?;
    parse(path, &bytes)
}

impl Frames {
    /// Opens or creates a journal, cuts a torn tail off and returns what it held.
    ///
    /// # Errors
    /// [`FrameError`] when it cannot be read or written, is locked, is no journal, or is damaged before its end.
    pub fn open(path: &Path) -> Result<(Self, Contents), FrameError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(io_error(path, "opened"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FrameError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(io_error(path, "locked")(source)),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io_error(path, "read"))?;
        let mut frames = Self { file, path: path.to_owned(), dirty: true };
        let contents = if bytes.len() < MAGIC.len() && MAGIC.starts_with(&bytes) {
            frames.start()?;
            Contents::default()
        } else {
            let contents = parse(path, &bytes)?;
            frames.cut_at(bytes.len() as u64 - contents.torn)?;
            contents
        };
        Ok((frames, contents))
    }

    /// Appends a frame. It survives a crash only after [`Frames::sync`].
    ///
    /// # Errors
    /// [`FrameError::Io`]: a part of it may be in the file, and is cut off at the next opening.
    pub fn append(&mut self, payload: &[u8]) -> Result<(), FrameError> {
        self.dirty = true;
        self.file.write_all(&encode(payload)).map_err(io_error(&self.path, "written"))
    }

    /// Returns once all that was appended is on the disk.
    ///
    /// # Errors
    /// [`FrameError::Io`]: nothing may be assumed about what was appended since the last success.
    pub fn sync(&mut self) -> Result<(), FrameError> {
        if self.dirty {
            self.file.sync_data().map_err(io_error(&self.path, "synced"))?;
            self.dirty = false;
        }
        Ok(())
    }

    fn start(&mut self) -> Result<(), FrameError> {
        self.cut_at(0)?;
        self.file.write_all(MAGIC).map_err(io_error(&self.path, "written"))?;
        self.file.sync_all().map_err(io_error(&self.path, "synced"))?;
        // A new file is durable only once its folder is.
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error(&self.path, "synced"))
    }

    fn cut_at(&mut self, length: u64) -> Result<(), FrameError> {
        let cut = self.file.set_len(length).and_then(|()| self.file.seek(SeekFrom::Start(length)));
        cut.map(drop).map_err(io_error(&self.path, "truncated"))
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Contents, FrameError> {
    if !bytes.starts_with(MAGIC) {
        return Err(FrameError::NotAJournal { path: path.to_owned() });
    }
    let mut contents = Contents::default();
    let mut at = MAGIC.len();
    while at < bytes.len() {
        let Some(payload) = frame_at(bytes, at) else {
            // An unfinished write is the last thing in the file; a bad frame with a good one behind it is damage.
            if (at + 1..bytes.len()).any(|later| frame_at(bytes, later).is_some()) {
                let (offset, record) = (at as u64, contents.frames.len());
                return Err(FrameError::Damaged { path: path.to_owned(), offset, record });
            }
            contents.torn = (bytes.len() - at) as u64;
            break;
        };
        contents.frames.push(Frame { offset: at as u64, payload: payload.to_vec() });
        at += HEAD + payload.len();
    }
    Ok(contents)
}

/// The payload of a whole frame at `at`.
fn frame_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let (length, rest) = bytes.get(at..)?.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let payload = rest.get(..u32::from_le_bytes(*length) as usize)?;
    let whole = (1..=PAYLOAD_MAX).contains(&payload.len())
        && crc32c::crc32c_append(crc32c::crc32c(length), payload) == u32::from_le_bytes(*crc);
    whole.then_some(payload)
}

fn io_error<'a>(path: &'a Path, verb: &'static str) -> impl FnOnce(io::Error) -> FrameError + 'a {
    move |source| FrameError::Io { path: path.to_owned(), verb, source }
}

#[cfg(test)]
mod tests;
