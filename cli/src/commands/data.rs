//! `data import` and `data check`.

use std::path::Path;

use anyhow::Result;
use dataset::{Adjustment, Dataset, ImportOptions, QualityReport, Severity};
use market::Interval;
use serde_json::json;

use crate::args::{Adjust, Import};
use crate::commands::Context;
use crate::exit::{Exit, bad_input};
use crate::view::table::{Column, render};

/// Findings shown to people before the rest is only counted.
const FINDINGS_SHOWN: usize = 40;

/// Imports a CSV. Faults do not stop it: they are listed, and a run refuses the data.
pub(crate) fn import(context: &Context, options: &Import) -> Result<Exit> {
    let adjustment = match options.adjust {
        Adjust::AdjustedClose => Adjustment::AdjustedClose,
        Adjust::None => Adjustment::None,
    };
    let import = ImportOptions { symbol: options.symbol.clone(), interval: options.interval, adjustment };
    let imported = dataset::import_csv(&options.csv, &import).map_err(bad_input)?;
    let stem = options.csv.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let name = match &options.name {
        Some(name) => name.clone(),
        None => stem.parse().map_err(bad_input)?,
    };
    let path = context.home.data(name.as_str());
    dataset::write_parquet(&path, &imported.sets)?;
    let sets: Vec<_> = imported
        .sets
        .iter()
        .map(|set| json!({ "symbol": set.symbol, "bars": set.bars.len(), "digest": set.digest }))
        .collect();
    let object = json!({
        "data": name.as_str(), "path": path, "sets": sets,
        "findings": imported.quality.findings.len(), "usable": imported.quality.is_usable(),
    });
    context.show(&object, || summary(name.as_str(), &imported.sets, &imported.quality))?;
    Ok(Exit::Ok)
}

/// Lists what is wrong, row by row; exits with 2 when a run would refuse the data.
pub(crate) fn check(context: &Context, file: &str, interval: Interval) -> Result<Exit> {
    let path = dataset::resolve(context.home.path(), file);
    let report = if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet")) {
        check_parquet(&path)?
    } else {
        let options = ImportOptions { symbol: None, interval, adjustment: Adjustment::None };
        dataset::import_csv(&path, &options).map_err(bad_input)?.quality
    };
    let object =
        json!({ "file": path, "rows": report.rows, "usable": report.is_usable(), "findings": report.findings });
    context.show(&object, || listing(&report))?;
    Ok(if report.is_usable() { Exit::Ok } else { Exit::BadInput })
}

fn check_parquet(path: &Path) -> Result<QualityReport> {
    let mut report = QualityReport::default();
    for symbol in dataset::symbols(path).map_err(bad_input)? {
        let set = dataset::read_parquet(path, &symbol).map_err(bad_input)?;
        report.extend(dataset::check(&set.bars, &set.symbol, set.interval));
    }
    Ok(report)
}

fn summary(name: &str, sets: &[Dataset], quality: &QualityReport) -> String {
    let columns = [
        Column::Text("symbol"),
        Column::Number("bars"),
        Column::Text("from"),
        Column::Text("to"),
        Column::Text("digest"),
    ];
    let rows = sets.iter().map(|set| {
        let date = |bar: Option<&market::Bar>| bar.map(|bar| bar.time.date()).unwrap_or_default();
        vec![
            set.symbol.to_string(),
            set.bars.len().to_string(),
            date(set.bars.first()),
            date(set.bars.last()),
            set.digest.short(),
        ]
    });
    let verdict = match (quality.findings.len(), quality.fatal()) {
        (0, _) => "no fault found".to_owned(),
        (all, 0) => format!("{all} findings, none of which stops a run: `tradewind data check {name}` lists them"),
        (all, fatal) => format!("{all} findings, {fatal} stop a run: `tradewind data check {name}` lists them"),
    };
    format!("imported {name}: {verdict}\n{}", render(&columns, rows))
}

fn listing(report: &QualityReport) -> String {
    if report.findings.is_empty() {
        return format!("{} bars, no fault found", report.rows);
    }
    let columns = [
        Column::Number("row"),
        Column::Text("symbol"),
        Column::Text("time"),
        Column::Text("fault"),
        Column::Text("stops a run"),
        Column::Text("detail"),
    ];
    let rows = report.findings.iter().take(FINDINGS_SHOWN).map(|finding| {
        let stops = match finding.kind.severity() {
            Severity::Fatal => "yes",
            Severity::Warning => "no",
        };
        vec![
            finding.row.to_string(),
            finding.symbol.to_string(),
            finding.time.to_string(),
            finding.kind.to_string(),
            stops.to_owned(),
            finding.detail.clone(),
        ]
    });
    let table = render(&columns, rows);
    let hidden = report.findings.len().saturating_sub(FINDINGS_SHOWN);
    let more = if hidden > 0 { format!("\n… and {hidden} more; --json lists all") } else { String::new() };
    format!("{} bars, {} findings, {} stop a run\n{table}{more}", report.rows, report.findings.len(), report.fatal())
}
