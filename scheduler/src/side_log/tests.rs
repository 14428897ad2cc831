//! The log after a crash: what it cost, and that it goes on.

use std::collections::BTreeMap;

use spec::{Metric, ProgressUnit};

use super::*;

/// A file system loses and tears by these.
const BLOCK: usize = 64;

fn progress(step: u64) -> Progress {
    Progress {
        step,
        steps: 100,
        unit: ProgressUnit::Epoch,
        rate: 0.0,
        metrics: BTreeMap::from([(Metric::ValidationLoss, 0.5)]),
    }
}

fn write(folder: &Path, steps: impl Iterator<Item = u64>) {
    let trial: TrialId = "crash-1.0".parse().unwrap();
    let mut log = SideLog::new(folder.to_owned());
    for step in steps {
        log.write(Timestamp::from_micros(1), &trial, AttemptId(1), &progress(step));
    }
    log.flush();
    assert!(!log.broken);
}

/// The steps of the lines that can be read, in their order.
fn read(path: &Path) -> Vec<u64> {
    let bytes = std::fs::read(path).unwrap();
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    lines.filter_map(|line| serde_json::from_slice::<LogLine>(line).ok()).map(|line| line.progress.step).collect()
}

/// Whatever a crash leaves of the log, cut anywhere and any one block lost: lines that it left whole can be read, and all
/// that is written afterwards.
#[test]
fn every_crash_costs_the_lines_it_hit_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 1..=20);
    let path = log_path(Path::new(""), &"crash-1".parse().unwrap());
    let path = folder.path().join(path.file_name().unwrap());
    let whole = std::fs::read(&path).unwrap();
    let ends: Vec<usize> = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect();
    assert_eq!(ends.len(), 20);
    let mut states = 0;
    for cut in 0..=whole.len() {
        let blocks = (0..cut.div_ceil(BLOCK)).map(|block| block * BLOCK..(block * BLOCK + BLOCK).min(cut));
        for lost in std::iter::once(0..0).chain(blocks.rev().take(8)) {
            let mut state = whole[..cut].to_vec();
            state[lost.clone()].fill(0);
            std::fs::write(&path, &state).unwrap();
            write(folder.path(), 21..=22);
            let mut wanted: Vec<u64> = (1..=20_u64)
                .filter(|step| {
                    let end = ends[*step as usize - 1];
                    let start = step.checked_sub(2).map_or(0, |before| ends[before as usize]);
                    // A line whose own end was lost runs into the next.
                    let start = if lost.contains(&(start.wrapping_sub(1))) { start - 1 } else { start };
                    // All of a line but its end is a line: the log goes on behind it.
                    end <= cut + 1 && (lost.end <= start || end <= lost.start)
                })
                .collect();
            wanted.extend([21, 22]);
            assert_eq!(read(&path), wanted, "cut at {cut}, lost {lost:?}");
            states += 1;
        }
    }
    assert!(states > 10_000, "{states}");
}
