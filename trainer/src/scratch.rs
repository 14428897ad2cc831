//! Numbers set aside in a file, so that memory does not grow with them.
//!
//! The file has no name: it is gone with its owner, however that ends. What is read again and again the system keeps in memory
//! while it has some to spare. Knows neither bars nor features.

use std::fs::File;
use std::io::{Error, ErrorKind};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, fadvise};
use spec::Bytes;

/// Why numbers cannot be set aside, or not be had back.
#[derive(Debug, thiserror::Error)]
pub enum ScratchError {
    /// The file system is full.
    #[error(
        "{folder}: no room is left for what a training sets aside, {} so far: make room there, or leave symbols out",
        Bytes(*written)
    )]
    Full {
        /// Where the file lies.
        folder: PathBuf,
        /// Bytes that were written.
        written: u64,
    },
    /// The file system refuses.
    #[error("{folder}: {action} what a training sets aside failed: look at that file system, or use a home on another")]
    Io {
        /// Where the file lies.
        folder: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why.
        source: Error,
    },
}

impl ScratchError {
    fn of(folder: &Path, (action, written): (&'static str, u64), source: Error) -> Self {
        let folder = folder.to_owned();
        if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
            Self::Full { folder, written }
        } else {
            Self::Io { folder, action, source }
        }
    }
}

/// A number at rest: little-endian.
pub(crate) trait Number: Copy {
    /// Bytes of one.
    const BYTES: usize;

    fn write(self, bytes: &mut [u8]);

    fn read(bytes: &[u8]) -> Self;
}

/// What `chunks_exact` gives.
const WHOLE: &str = "a number is read from as many bytes as it has";

impl Number for f32 {
    const BYTES: usize = size_of::<Self>();

    fn write(self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Self {
        Self::from_le_bytes(*bytes.first_chunk().expect(WHOLE))
    }
}

impl Number for f64 {
    const BYTES: usize = size_of::<Self>();

    fn write(self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Self {
        Self::from_le_bytes(*bytes.first_chunk().expect(WHOLE))
    }
}

/// Numbers, one behind the other. Callers lend the buffer of bytes, so that files that are only kept hold none.
#[derive(Debug)]
pub(crate) struct Scratch {
    file: File,
    folder: PathBuf,
    end: u64,
}

impl Scratch {
    /// An empty file on the file system of `folder`.
    pub(crate) fn new(folder: &Path) -> Result<Self, ScratchError> {
        let file = tempfile::tempfile_in(folder);
        let file = file.map_err(|source| ScratchError::of(folder, ("making a file for", 0), source))?;
        Ok(Self { file, folder: folder.to_owned(), end: 0 })
    }

    /// Bytes written: where the next number will begin.
    pub(crate) const fn end(&self) -> u64 {
        self.end
    }

    /// Appends numbers.
    pub(crate) fn append<N: Number>(&mut self, numbers: &[N], bytes: &mut Vec<u8>) -> Result<(), ScratchError> {
        bytes.resize(numbers.len() * N::BYTES, 0);
        numbers.iter().zip(bytes.chunks_exact_mut(N::BYTES)).for_each(|(number, bytes)| number.write(bytes));
        let written = self.file.write_all_at(bytes, self.end);
        written.map_err(|source| ScratchError::of(&self.folder, ("writing", self.end), source))?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Reads the numbers that begin at byte `at`.
    pub(crate) fn read<N: Number>(&self, at: u64, numbers: &mut [N], bytes: &mut Vec<u8>) -> Result<(), ScratchError> {
        bytes.resize(numbers.len() * N::BYTES, 0);
        let read = self.file.read_exact_at(bytes, at);
        read.map_err(|source| ScratchError::of(&self.folder, ("reading", self.end), source))?;
        numbers.iter_mut().zip(bytes.chunks_exact(N::BYTES)).for_each(|(number, bytes)| *number = N::read(bytes));
        Ok(())
    }

    /// Waits until all is on the disk: what cannot be written is known before anything is learned from it.
    pub(crate) fn settle(&self) -> Result<(), ScratchError> {
        self.file.sync_data().map_err(|source| ScratchError::of(&self.folder, ("writing", self.end), source))
    }

    /// Says that these bytes will be read soon: the system brings them in while others are worked on. No result depends on it.
    pub(crate) fn announce(&self, at: u64, length: usize) {
        if let Some(length) = NonZeroU64::new(length as u64) {
            let _ = fadvise(&self.file, at, Some(length), Advice::WillNeed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_with_their_bits_from_wherever_they_lie() {
        let folder = tempfile::tempdir().unwrap();
        let (mut scratch, mut bytes) = (Scratch::new(folder.path()).unwrap(), Vec::new());
        let narrow = [1.5, -0.0, f32::NAN, f32::MIN_POSITIVE / 2.0];
        let wide = [0.1, -0.0, f64::NAN, f64::MAX];
        scratch.append(&narrow, &mut bytes).unwrap();
        let behind = scratch.end();
        scratch.append(&wide, &mut bytes).unwrap();
        scratch.append::<f64>(&[], &mut bytes).unwrap();
        assert_eq!((behind, scratch.end()), (16, 16 + 32));
        scratch.announce(0, 48);
        let mut last = [0.0_f32; 2];
        scratch.read(8, &mut last, &mut bytes).unwrap();
        assert_eq!(last.map(f32::to_bits), [narrow[2], narrow[3]].map(f32::to_bits));
        let mut all = [0.0_f64; 4];
        scratch.read(behind, &mut all, &mut bytes).unwrap();
        assert_eq!(all.map(f64::to_bits), wide.map(f64::to_bits));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "it has no name to be left behind");
    }

    #[test]
    fn what_was_not_written_a_folder_that_is_not_there_and_a_full_disk_are_told_apart_with_a_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(folder.path()).unwrap();
        let error = scratch.read(0, &mut [0.0_f32], &mut Vec::new()).unwrap_err();
        assert!(matches!(error, ScratchError::Io { action: "reading", .. }), "{error}");
        let error = Scratch::new(&folder.path().join("nowhere")).unwrap_err();
        assert!(error.to_string().contains("nowhere: making a file for what a training sets aside failed"), "{error}");
        let full = ScratchError::of(folder.path(), ("writing", 3 << 30), ErrorKind::StorageFull.into());
        assert!(full.to_string().contains("no room is left for what a training sets aside, 3GiB so far"), "{full}");
    }
}
