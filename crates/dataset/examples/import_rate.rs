//! How fast a file is imported and checked, and with how much memory; one JSON line.
//!
//! `cargo run --release -p dataset --example import_rate -- FILE INTERVAL CALENDAR`. It runs on one thread.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a measurement reads the clock and prints")]

use std::path::PathBuf;
use std::time::Instant;

use dataset::{Actions, Adjustment, Existing, ImportJob, ImportOptions, Reading, check_file, import};
use market::Calendar;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().expect("FILE INTERVAL CALENDAR");
    let (file, interval, calendar) = (PathBuf::from(next()), next(), next());
    let calendar: Calendar = calendar.parse().expect("a calendar");
    let folder = tempfile::tempdir().expect("a folder for the result");
    let options =
        ImportOptions { symbol: None, interval: interval.parse().expect("an interval"), adjustment: Adjustment::None };
    let job = ImportJob {
        files: vec![file],
        target: folder.path().join("bars.parquet"),
        existing: Existing::Replace,
        options: options.clone(),
        reading: Reading::default(),
        calendar,
        actions: Actions::new(),
    };
    let began = (Instant::now(), cpu_s());
    let imported = import(&job, &mut |_| {}).expect("a file of bars");
    let importing = (began.0.elapsed().as_secs_f64(), cpu_s() - began.1);
    let rows: u64 = imported.sets.iter().map(|set| set.bars).sum();
    let bytes = std::fs::metadata(&job.target).expect("what was imported").len();
    let began = (Instant::now(), cpu_s());
    let report =
        check_file(&job.target, &options, &Reading::default(), calendar, &mut |_| {}).expect("what was imported");
    let checking = (began.0.elapsed().as_secs_f64(), cpu_s() - began.1);
    let line = serde_json::json!({
        "bench": "import", "rows": rows, "symbols": imported.sets.len(), "findings": report.found(),
        "import_rows_per_s": rate(rows, importing.0), "import_rows_per_cpu_s": rate(rows, importing.1),
        "check_rows_per_s": rate(rows, checking.0), "check_rows_per_cpu_s": rate(rows, checking.1),
        "parquet_mb": bytes as f64 / 1e6, "peak_rss_mb": peak_rss_mb(),
    });
    println!("{line}");
}

fn rate(rows: u64, seconds: f64) -> f64 {
    (rows as f64 / seconds).round()
}

/// Time of the processor that this process has used.
fn cpu_s() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some((kilobytes / 1_024.0).round())
}
