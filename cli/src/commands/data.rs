//! `data import` and `data check`.

use std::io::IsTerminal as _;

use anyhow::{Context as _, Result};
use dataset::{
    Actions, Adjustment, ClockFold, Existing, ImportJob, ImportOptions, Imported, Progress, QualityReport, Reading,
    Severity, Stage, StampFormat,
};
use indicatif::{ProgressBar, ProgressStyle};
use market::{Calendar, Interval};
use serde_json::json;

use crate::args::data::{Adjust, Check, Fold, Import, Source};
use crate::commands::Context;
use crate::exit::{Exit, bad_input};
use crate::view::table::{Column, render};

/// Findings shown to people before the rest is only counted.
const FINDINGS_SHOWN: usize = 40;

/// Imports files. Faults of the bars do not stop it: they are listed, and a run refuses the data.
pub(crate) fn import(context: &Context, options: &Import) -> Result<Exit> {
    let stem = options.files[0].file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let name = match &options.name {
        Some(name) => name.clone(),
        None => stem.parse().map_err(bad_input)?,
    };
    let actions = match &options.actions {
        Some(path) => dataset::read_actions(path).map_err(bad_input)?,
        None => Actions::new(),
    };
    let adjustment = match options.adjust {
        Adjust::AdjustedClose => Adjustment::AdjustedClose,
        Adjust::Actions => Adjustment::Actions,
        Adjust::None => Adjustment::None,
    };
    let target = context.home.data(name.as_str());
    let (reading, import) = reading(&options.source, adjustment);
    let job = ImportJob {
        files: options.files.clone(),
        target: target.clone(),
        existing: if options.append { Existing::Extend } else { Existing::Replace },
        options: import,
        reading,
        calendar: options.source.calendar.unwrap_or_default(),
        actions,
    };
    let mut bar = Bar::new();
    let imported = dataset::import(&job, &mut |progress| bar.show(progress)).map_err(bad_input);
    bar.finish();
    let imported = imported?;
    let sets: Vec<_> = imported
        .sets
        .iter()
        .map(|set| json!({ "symbol": set.symbol, "bars": set.bars, "from": set.from, "to": set.to, "digest": set.digest }))
        .collect();
    let object = json!({
        "data": name.as_str(), "path": target, "sets": sets, "overlapping": imported.overlapping,
        "findings": imported.quality.found(), "usable": imported.quality.is_usable(),
        "score": imported.quality.score(),
    });
    context.show(&object, || summary(name.as_str(), &imported))?;
    Ok(Exit::Ok)
}

/// Lists what is wrong, row by row; exits with 2 when a run would refuse the data.
pub(crate) fn check(context: &Context, options: &Check) -> Result<Exit> {
    let path = dataset::resolve(context.home.path(), &options.file);
    let (reading, mut import) = reading(&options.source, Adjustment::None);
    let mut calendar = options.source.calendar;
    let is_parquet = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet"));
    // A file that an import wrote knows its interval and calendar, and what its bars were.
    if is_parquet && let Ok(about) = dataset::about(&path) {
        dataset::verify(&path).map_err(bad_input)?;
        import.interval = options.source.interval.unwrap_or(about.interval);
        calendar = calendar.or(Some(about.calendar));
    }
    let mut bar = Bar::new();
    let calendar = calendar.unwrap_or(Calendar::Xnys);
    let report = dataset::check_file(&path, &import, &reading, calendar, &mut |progress| bar.show(progress));
    bar.finish();
    let report = report.map_err(bad_input)?;
    if let Some(html) = &options.html {
        let page = dataset::quality_page(&path.display().to_string(), &report);
        std::fs::write(html, page).with_context(|| format!("{} cannot be written", html.display()))?;
    }
    let mut object = report.to_json();
    object["file"] = json!(path);
    context.show(&object, || listing(&report))?;
    Ok(if report.is_usable() { Exit::Ok } else { Exit::BadInput })
}

fn reading(source: &Source, adjustment: Adjustment) -> (Reading, ImportOptions) {
    let stamps = match source.stamps.as_str() {
        "iso" => StampFormat::Iso,
        "unix-s" => StampFormat::Unix { per_second: 1 },
        "unix-ms" => StampFormat::Unix { per_second: 1_000 },
        "unix-us" => StampFormat::Unix { per_second: 1_000_000 },
        "unix-ns" => StampFormat::Unix { per_second: 1_000_000_000 },
        pattern => StampFormat::Pattern(pattern.to_owned()),
    };
    let fold = match source.fold {
        Fold::Refuse => ClockFold::Refuse,
        Fold::Earlier => ClockFold::Earlier,
        Fold::Later => ClockFold::Later,
        Fold::InOrder => ClockFold::InOrder,
    };
    let columns = source.columns.iter().cloned().collect();
    let reading = Reading { columns, zone: source.zone.clone(), fold, stamps };
    let interval = source.interval.unwrap_or(Interval::Day);
    (reading, ImportOptions { symbol: source.symbol.clone(), interval, adjustment })
}

/// A bar on stderr, where that is a terminal.
struct Bar(Option<(ProgressBar, Stage)>);

impl Bar {
    fn new() -> Self {
        Self(None)
    }

    fn show(&mut self, progress: Progress) {
        if !std::io::stderr().is_terminal() {
            return;
        }
        if self.0.as_ref().is_none_or(|(_, stage)| *stage != progress.stage) {
            self.finish();
            self.0 = Some((styled(progress.stage), progress.stage));
        }
        if let Some((bar, _)) = &self.0 {
            bar.set_length(progress.total.max(progress.done));
            bar.set_position(progress.done);
            bar.set_message(format!("{} rows", progress.rows));
        }
    }

    fn finish(&mut self) {
        if let Some((bar, _)) = self.0.take() {
            bar.finish_and_clear();
        }
    }
}

fn styled(stage: Stage) -> ProgressBar {
    let what = match stage {
        Stage::Reading => "reading",
        Stage::Writing => "writing",
    };
    let style = ProgressStyle::with_template("{prefix:>8} {bar:30} {percent:>3}%  {msg}  {eta} left");
    let bar = ProgressBar::new(0);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─"));
    bar.set_prefix(what);
    bar
}

fn summary(name: &str, imported: &Imported) -> String {
    let columns = [
        Column::Text("symbol"),
        Column::Number("bars"),
        Column::Text("from"),
        Column::Text("to"),
        Column::Text("digest"),
    ];
    let rows = imported.sets.iter().map(|set| {
        vec![set.symbol.to_string(), set.bars.to_string(), set.from.date(), set.to.date(), set.digest.short()]
    });
    let quality = &imported.quality;
    let verdict = match (quality.found(), quality.fatal()) {
        (0, _) => "no fault found".to_owned(),
        (all, 0) => format!("{all} findings, none of which stops a run: `tradewind data check {name}` lists them"),
        (all, fatal) => format!("{all} findings, {fatal} stop a run: `tradewind data check {name}` lists them"),
    };
    let joined = match imported.overlapping {
        0 => String::new(),
        rows => format!(" ({rows} rows were in several files alike)"),
    };
    format!("imported {name}: {verdict}{joined}\n{}", render(&columns, rows))
}

fn listing(report: &QualityReport) -> String {
    if report.findings.is_empty() {
        return format!("{} bars, no fault found, score 100", report.rows);
    }
    let word = |severity| match severity {
        Severity::Fatal => "yes",
        Severity::Warning => "no",
    };
    let kinds =
        [Column::Text("fault"), Column::Text("stops a run"), Column::Number("findings"), Column::Number("bars")];
    let tally = report.tally.iter().map(|(kind, tally)| {
        vec![kind.to_string(), word(kind.severity()).to_owned(), tally.findings.to_string(), tally.bars.to_string()]
    });
    let columns = [
        Column::Number("row"),
        Column::Text("symbol"),
        Column::Text("time"),
        Column::Text("fault"),
        Column::Text("detail"),
    ];
    let rows = report.findings.iter().take(FINDINGS_SHOWN).map(|finding| {
        vec![
            finding.row.to_string(),
            finding.symbol.to_string(),
            finding.time.to_string(),
            finding.kind.to_string(),
            finding.detail.clone(),
        ]
    });
    let (tally, rows) = (render(&kinds, tally), render(&columns, rows));
    let hidden = report.found() - report.findings.len().min(FINDINGS_SHOWN) as u64;
    let more = if hidden > 0 { format!("\n… and {hidden} more; --json lists them") } else { String::new() };
    format!(
        "{} bars, {} findings, {} stop a run, score {:.1}\n\n{tally}\n\n{rows}{more}",
        report.rows,
        report.found(),
        report.fatal(),
        report.score()
    )
}
