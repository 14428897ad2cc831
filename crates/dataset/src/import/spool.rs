//! Rows set aside on disk by symbol and file, so that memory does not grow with the input.
//!
//! The spool is a file without a name: it is gone when the process is, however that ends.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use market::{Bar, Timestamp};

use crate::DataError;

/// Bytes of a bar at rest.
const BAR: usize = 48;

/// Bytes of a symbol that are kept back before they are written.
const SYMBOL_MAX: usize = 64 << 10;

/// Bytes of all symbols together that are kept back.
const ALL_MAX: usize = 64 << 20;

/// A run of one symbol's rows of one file.
#[derive(Clone, Copy, Debug)]
struct Block {
    offset: u64,
    rows: u32,
    file: u16,
}

#[derive(Default)]
struct Shelf {
    blocks: Vec<Block>,
    pending: Vec<u8>,
    file: u16,
}

/// Rows by symbol.
pub(crate) struct Spool {
    folder: PathBuf,
    file: File,
    end: u64,
    pending: usize,
    shelves: Vec<Shelf>,
}

impl Spool {
    /// An empty spool on the file system of `folder`.
    pub(crate) fn new(folder: &Path) -> Result<Self, DataError> {
        let file = tempfile::tempfile_in(folder).map_err(|source| DataError::Io {
            path: folder.to_owned(),
            action: "making a spool in it",
            source,
        })?;
        Ok(Self { folder: folder.to_owned(), file, end: 0, pending: 0, shelves: Vec::new() })
    }

    /// Sets a row aside. Rows of a file come in its order.
    pub(crate) fn push(&mut self, symbol: usize, file: u16, bar: &Bar) -> Result<(), DataError> {
        if symbol >= self.shelves.len() {
            self.shelves.resize_with(symbol + 1, Shelf::default);
        }
        if self.shelves[symbol].file != file {
            self.flush(symbol)?;
            self.shelves[symbol].file = file;
        }
        let shelf = &mut self.shelves[symbol];
        shelf.pending.extend_from_slice(&encode(bar));
        self.pending += BAR;
        if shelf.pending.len() >= SYMBOL_MAX {
            self.flush(symbol)?;
        }
        if self.pending >= ALL_MAX {
            for symbol in 0..self.shelves.len() {
                self.flush(symbol)?;
                self.shelves[symbol].pending = Vec::new();
            }
        }
        Ok(())
    }

    /// Writes what is kept back.
    pub(crate) fn finish(&mut self) -> Result<(), DataError> {
        for symbol in 0..self.shelves.len() {
            self.flush(symbol)?;
            self.shelves[symbol].pending = Vec::new();
        }
        Ok(())
    }

    /// Rows of a symbol in all files.
    pub(crate) fn count(&self, symbol: usize) -> u64 {
        let blocks = self.shelves.get(symbol).map(|shelf| shelf.blocks.as_slice()).unwrap_or_default();
        blocks.iter().map(|block| u64::from(block.rows)).sum()
    }

    /// The rows of a symbol in one file, in that file's order.
    pub(crate) fn rows(&self, symbol: usize, file: u16) -> SpooledRows<'_> {
        let blocks = self.shelves.get(symbol).map(|shelf| shelf.blocks.as_slice()).unwrap_or_default();
        SpooledRows { spool: self, blocks, wanted: file, bytes: Vec::new(), at: 0 }
    }

    fn flush(&mut self, symbol: usize) -> Result<(), DataError> {
        let shelf = &mut self.shelves[symbol];
        if shelf.pending.is_empty() {
            return Ok(());
        }
        let rows = u32::try_from(shelf.pending.len() / BAR).expect("a shelf is written long before 2^32 rows");
        self.file.write_all(&shelf.pending).map_err(|source| DataError::Io {
            path: self.folder.clone(),
            action: "writing a spool in it",
            source,
        })?;
        shelf.blocks.push(Block { offset: self.end, rows, file: shelf.file });
        self.end += shelf.pending.len() as u64;
        self.pending -= shelf.pending.len();
        shelf.pending.clear();
        Ok(())
    }
}

/// Reads a symbol's rows block by block.
pub(crate) struct SpooledRows<'a> {
    spool: &'a Spool,
    blocks: &'a [Block],
    wanted: u16,
    bytes: Vec<u8>,
    at: usize,
}

impl SpooledRows<'_> {
    /// The next row; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Bar>, DataError> {
        while self.at == self.bytes.len() {
            let Some((block, rest)) = self.blocks.split_first() else { return Ok(None) };
            self.blocks = rest;
            if block.file != self.wanted {
                continue;
            }
            self.at = 0;
            self.bytes.resize(block.rows as usize * BAR, 0);
            self.spool.file.read_exact_at(&mut self.bytes, block.offset).map_err(|source| DataError::Io {
                path: self.spool.folder.clone(),
                action: "reading a spool in it",
                source,
            })?;
        }
        let bar = decode(&self.bytes[self.at..self.at + BAR]);
        self.at += BAR;
        Ok(Some(bar))
    }
}

/// Time in microseconds, then open, high, low, close and volume; little-endian. What a digest is taken over.
pub(crate) fn encode(bar: &Bar) -> [u8; BAR] {
    let mut bytes = [0; BAR];
    bytes[..8].copy_from_slice(&bar.time.micros().to_le_bytes());
    let values = [bar.open, bar.high, bar.low, bar.close, bar.volume];
    for (cell, value) in bytes[8..].chunks_exact_mut(8).zip(values) {
        cell.copy_from_slice(&value.to_bits().to_le_bytes());
    }
    bytes
}

fn decode(bytes: &[u8]) -> Bar {
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[at * 8..at * 8 + 8]);
        u64::from_le_bytes(word)
    };
    let value = |at: usize| f64::from_bits(word(at));
    let time = Timestamp::from_micros(i64::from_le_bytes(word(0).to_le_bytes()));
    Bar { time, open: value(1), high: value(2), low: value(3), close: value(4), volume: value(5) }
}
