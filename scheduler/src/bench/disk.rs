//! What a sync costs on the disk that a journal is kept on.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// What is written before each sync, bytes: a page of the journal.
const PAGE: usize = 4_096;

/// Syncs that are measured.
const SYNCS: u32 = 300;

/// Mean time of a page that is overwritten in `folder` and synced (`fdatasync`), with a rest before each: a disk and a
/// processor that were left alone for a millisecond take longer than those that are kept busy.
///
/// # Errors
/// As the system said.
#[allow(clippy::disallowed_methods, reason = "it measures, and rests in between")]
pub fn sync_after(rest: Duration, folder: &Path) -> io::Result<Duration> {
    let path = folder.join("sync.probe");
    let file = File::create(&path)?;
    let page = [0x5a; PAGE];
    for index in 0..u64::from(SYNCS) {
        file.write_all_at(&page, index * PAGE as u64)?;
    }
    file.sync_all()?;
    let mut spent = Duration::ZERO;
    for index in 0..u64::from(SYNCS) {
        std::thread::sleep(rest);
        let began = Instant::now();
        file.write_all_at(&page, index * PAGE as u64)?;
        file.sync_data()?;
        spent += began.elapsed();
    }
    std::fs::remove_file(&path)?;
    Ok(spent / SYNCS)
}
