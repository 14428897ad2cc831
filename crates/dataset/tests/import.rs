//! From CSV to Parquet and back, and what stands in the way.

#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

use std::path::{Path, PathBuf};

use dataset::{
    Adjustment, ClockFold, DataError, Dataset, Existing, Field, ImportJob, ImportOptions, Imported, Progress, Reading,
    Stage, StampFormat, about, check_file, import, import_csv, load_all, read_parquet, resolve, symbols, verify,
    write_parquet,
};
use market::{Bar, Calendar, Interval, Symbol, Timestamp};
use proptest::prelude::*;

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data").join(name)
}

fn symbol(text: &str) -> Symbol {
    Symbol::try_from(text.to_owned()).unwrap()
}

fn options(adjustment: Adjustment) -> ImportOptions {
    ImportOptions { symbol: None, interval: Interval::Day, adjustment }
}

/// Imports `text` as a file of its own and renders the error, the folder left out.
fn refused(text: &str, adjustment: Adjustment) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bars.csv");
    std::fs::write(&path, text).unwrap();
    let error = import_csv(&path, &options(adjustment)).unwrap_err().to_string();
    error.replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn the_shipped_bars_are_clean_and_adjusted_in_all_prices() {
    let path = shipped("aapl_daily_2013_2023.csv");
    let raw = import_csv(&path, &options(Adjustment::None)).unwrap();
    let adjusted = import_csv(&path, &options(Adjustment::AdjustedClose)).unwrap();
    assert_eq!(adjusted.quality.findings, []);
    assert_eq!((adjusted.sets.len(), adjusted.quality.rows), (1, 2699));
    let (before, after) = (&raw.sets[0].bars, &adjusted.sets[0].bars);
    let mut moved = 0;
    for (raw, bar) in before.iter().zip(after) {
        let factor = bar.close / raw.close;
        for (price, was) in [(bar.open, raw.open), (bar.high, raw.high), (bar.low, raw.low)] {
            assert!((price / was - factor).abs() < 1e-12, "{}: one factor for all prices", bar.time);
        }
        assert_eq!(bar.volume.to_bits(), raw.volume.to_bits());
        moved += usize::from((factor - 1.0).abs() > 1e-6);
    }
    assert!(moved > 2000, "only {moved} bars were adjusted for dividends");
}

#[test]
fn an_adjusted_split_is_no_fall() {
    let fall = |adjustment| {
        let import = import_csv(&shipped("us_daily_unadjusted_2005_h1.csv"), &options(adjustment)).unwrap();
        assert!(import.quality.is_usable(), "{:?}", import.quality.findings);
        let names: Vec<_> = import.sets.iter().map(|set| set.symbol.to_string()).collect();
        assert_eq!(names, ["AAPL", "IBM"]);
        let day: Timestamp = "2005-02-28".parse().unwrap();
        let bars = &import.sets[0].bars;
        let at = bars.iter().position(|bar| bar.time == day).unwrap();
        (bars[at].close / bars[at - 1].close - 1.0, bars[at].open / bars[at - 1].close - 1.0)
    };
    let (close, open) = fall(Adjustment::None);
    assert!(close < -0.49 && open < -0.49, "{close} {open}");
    let (close, open) = fall(Adjustment::AdjustedClose);
    assert!((close - 0.0082).abs() < 1e-3 && open.abs() < 0.01, "{close} {open}");
}

#[test]
fn what_cannot_be_read_is_named_by_file_line_and_column() {
    let header = "timestamp,symbol,open,high,low,close,volume\n";
    let good = "2020-01-02,A,1,2,1,2,5\n";
    let row = |text: &str| refused(&format!("{header}{good}{text}\n"), Adjustment::None);
    assert_eq!(row("2020-01-03,A,1,x,1,2,5"), "bars.csv:3: column high: `x` is not a number");
    assert_eq!(
        row("03/01/2020,A,1,2,1,2,5"),
        "bars.csv:3: column timestamp: `03/01/2020` is not a UTC time such as 2021-03-04"
    );
    assert_eq!(row("2020-01-03,A B,1,2,1,2,5"), "bars.csv:3: column symbol: `A B` is not a ticker");
    let short = row("2020-01-03,A,1,2");
    assert!(short.starts_with("bars.csv is not a readable table") && short.contains("line: 3"), "{short}");
    assert_eq!(
        refused(&format!("{header}{good}"), Adjustment::AdjustedClose),
        "bars.csv has no column `adj_close` to adjust prices by: name the one that holds it, adjust by splits and \
         dividends, or import prices as they are (`--adjust none`)"
    );
    assert_eq!(refused(header, Adjustment::None), "bars.csv holds no bar");
}

#[test]
fn an_empty_or_zero_cell_is_a_finding_with_its_row_even_when_adjusted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bars.csv");
    let text = "date,symbol,open,high,low,close,volume,adj close\n2020-01-02,A,1,2,1,2,5,1\n\
                2020-01-03,A,1,2,1,2,5,\n2020-01-06,A,1,2,1,0,5,1\n2020-01-07,A,1,2,1,2,5,-1\n";
    std::fs::write(&path, text).unwrap();
    let import = import_csv(&path, &options(Adjustment::AdjustedClose)).unwrap();
    let found: Vec<_> = import.quality.findings.iter().map(|f| (f.row, f.kind.to_string())).collect();
    let wanted = [(1, "not finite"), (2, "not finite"), (3, "non-positive price")];
    assert_eq!(found, wanted.map(|(row, kind)| (row, kind.to_owned())));
    assert!(!import.quality.is_usable());
}

#[test]
fn what_was_written_is_read_back_with_its_digest_and_nothing_is_left_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/us.parquet");
    let sets =
        import_csv(&shipped("us_daily_unadjusted_2005_h1.csv"), &options(Adjustment::AdjustedClose)).unwrap().sets;
    write_parquet(&path, &sets).unwrap();
    write_parquet(&path, &sets).unwrap();
    for set in &sets {
        assert_eq!(&read_parquet(&path, &set.symbol).unwrap(), set);
    }
    assert_eq!(symbols(&path).unwrap(), [symbol("AAPL"), symbol("IBM")]);
    let names: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["us.parquet"]);
    let error = read_parquet(&path, &symbol("MSFT")).unwrap_err().to_string();
    assert!(error.ends_with("us.parquet holds no MSFT; it holds AAPL, IBM"), "{error}");
    let together = load_all(&path, &[symbol("IBM"), symbol("AAPL")], &[]).unwrap();
    assert_eq!(together, [sets[1].clone(), sets[0].clone()], "in the order asked for");
    let error = load_all(&path, &[symbol("IBM"), symbol("MSFT")], &[]).unwrap_err();
    assert!(matches!(error, DataError::Symbol { .. }), "{error}");
}

#[test]
fn a_write_that_fails_leaves_the_old_file_and_no_rest() {
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("taken.parquet");
    std::fs::create_dir_all(taken.join("in the way")).unwrap();
    let set = Dataset::new(symbol("A"), Interval::Day, vec![bar(0, 1.0)]);
    assert!(matches!(write_parquet(&taken, std::slice::from_ref(&set)), Err(DataError::Io { .. })));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

    let path = folder.path().join("bars.parquet");
    write_parquet(&path, std::slice::from_ref(&set)).unwrap();
    let hourly = Dataset::new(symbol("B"), Interval::Hour, set.bars.clone());
    assert!(matches!(write_parquet(&path, &[set.clone(), hourly]), Err(DataError::Mixed { .. })));
    assert!(matches!(write_parquet(&path, &[set.clone(), set.clone()]), Err(DataError::Mixed { .. })));
    assert!(matches!(write_parquet(&path, &[]), Err(DataError::Empty { .. })));
    assert_eq!(read_parquet(&path, &symbol("A")).unwrap(), set);
}

#[test]
fn a_missing_cut_or_edited_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bars.parquet");
    let aapl = symbol("AAPL");
    assert!(matches!(read_parquet(&path, &aapl), Err(DataError::Missing { .. })));
    let sets = import_csv(&shipped("aapl_daily_2013_2023.csv"), &options(Adjustment::None)).unwrap().sets;
    write_parquet(&path, &sets).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(matches!(read_parquet(&path, &aapl), Err(DataError::Format { .. })));
    for at in [bytes.len() / 5, bytes.len() / 2] {
        let mut edited = bytes.clone();
        edited[at] ^= 1;
        std::fs::write(&path, &edited).unwrap();
        let error = read_parquet(&path, &aapl).unwrap_err();
        assert!(matches!(error, DataError::Format { .. } | DataError::Changed { .. }), "byte {at}: {error}");
    }
}

#[test]
fn a_bare_name_lies_in_the_home_and_a_path_where_it_says() {
    let home = Path::new("elsewhere");
    assert_eq!(resolve(home, "aapl"), Path::new("elsewhere/data/aapl.parquet"));
    assert_eq!(resolve(home, "./aapl.parquet"), Path::new("./aapl.parquet"));
}

#[test]
fn a_spec_reads_below_the_data_folder_whatever_path_or_link_it_names() {
    use std::os::unix::fs::symlink;
    let root = tempfile::tempdir().unwrap();
    let (home, data) = (root.path().join("home"), root.path().join("home/data"));
    std::fs::create_dir_all(data.join("shares")).unwrap();
    std::fs::write(root.path().join("secret.parquet"), "secret").unwrap();
    for file in ["aapl.parquet", "shares/aapl.parquet"] {
        std::fs::write(data.join(file), "bars").unwrap();
    }
    symlink(root.path().join("secret.parquet"), data.join("linked.parquet")).unwrap();
    symlink(root.path(), data.join("up")).unwrap();
    symlink(data.join("aapl.parquet"), data.join("alias.parquet")).unwrap();
    symlink("/dev/zero", data.join("endless.parquet")).unwrap();
    for (source, lies) in
        [("aapl", "aapl.parquet"), ("shares/aapl.parquet", "shares/aapl.parquet"), ("alias", "alias.parquet")]
    {
        assert_eq!(dataset::resolve_below(&home, source).unwrap(), data.join(lies), "{source}");
    }
    let secret = root.path().join("secret.parquet");
    for source in [
        "../../secret.parquet",
        "shares/../../../secret.parquet",
        "up/secret.parquet",
        "linked",
        "endless",
        "shares/",
        "./aapl.parquet",
        secret.to_str().unwrap(),
    ] {
        let error = dataset::resolve_below(&home, source).unwrap_err();
        assert!(matches!(error, DataError::Outside { .. }), "{source}: {error}");
    }
    assert!(matches!(dataset::resolve_below(&home, "msft"), Err(DataError::Missing { .. })));
    // A data folder that is itself a link is its owner's choice.
    let linked = root.path().join("other");
    std::fs::create_dir(&linked).unwrap();
    symlink(&data, linked.join("data")).unwrap();
    assert!(dataset::resolve_below(&linked, "aapl").is_ok());
}

fn job(files: &[&Path], target: &Path) -> ImportJob {
    ImportJob {
        files: files.iter().map(|path| (*path).to_owned()).collect(),
        target: target.to_owned(),
        existing: Existing::Replace,
        options: options(Adjustment::None),
        reading: Reading::default(),
        calendar: Calendar::Xnys,
        actions: dataset::Actions::new(),
    }
}

fn run(job: &ImportJob) -> Result<Imported, DataError> {
    import(job, &mut |_| {})
}

/// Writes a file of bars of A with the given closes from 2020-01-01 on, `skip` days left out before.
fn closes(folder: &Path, name: &str, skip: i64, closes: &[f64]) -> PathBuf {
    let line = |(day, close): (usize, &f64)| {
        let time = Timestamp::from_micros((18_262 + skip + day as i64) * 86_400_000_000);
        format!("{},A,{close},{close},{close},{close},7\n", time.date())
    };
    let text: String = closes.iter().enumerate().map(line).collect();
    let path = folder.join(name);
    std::fs::write(&path, format!("date,symbol,open,high,low,close,volume\n{text}")).unwrap();
    path
}

#[test]
fn the_import_in_parts_equals_the_one_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    for (name, adjustment) in
        [("aapl_daily_2013_2023.csv", Adjustment::AdjustedClose), ("us_daily_unadjusted_2005_h1.csv", Adjustment::None)]
    {
        let target = folder.path().join("bars.parquet");
        let whole = import_csv(&shipped(name), &options(adjustment)).unwrap();
        let mut job = job(&[&shipped(name)], &target);
        job.options = options(adjustment);
        let imported = run(&job).unwrap();
        assert_eq!(imported.quality, whole.quality);
        for (set, in_parts) in whole.sets.iter().zip(&imported.sets) {
            assert_eq!((&set.symbol, set.bars.len() as u64), (&in_parts.symbol, in_parts.bars));
            assert_eq!(set.digest, in_parts.digest);
            assert_eq!(&read_parquet(&target, &set.symbol).unwrap(), set);
        }
        verify(&target).unwrap();
        // What was written can be imported again, and is the same.
        let again = folder.path().join("again.parquet");
        let mut second = self::job(&[&target], &again);
        second.options = options(Adjustment::None);
        let digests = |imported: &Imported| imported.sets.iter().map(|set| set.digest).collect::<Vec<_>>();
        assert_eq!(digests(&run(&second).unwrap()), digests(&imported));
        let checked = check_file(&target, &second.options, &Reading::default(), Calendar::Xnys, &mut |_| {}).unwrap();
        assert_eq!(checked, whole.quality);
    }
}

#[test]
fn columns_stamps_and_zones_are_what_the_caller_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bars.csv");
    let rows = "07/11/2021 00:30,1,2,1,2,5\n07/11/2021 01:30,1,2,1,1.5,6\n07/11/2021 01:30,1,2,1,1.8,7\n";
    std::fs::write(&path, format!("When,First,Top,Bottom,Last,Lots\n{rows}")).unwrap();
    let target = folder.path().join("bars.parquet");
    let mut job = job(&[&path], &target);
    job.options = ImportOptions { symbol: Some(symbol("EUR")), interval: Interval::Hour, adjustment: Adjustment::None };
    job.calendar = Calendar::Always;
    let error = run(&job).unwrap_err().to_string();
    assert!(
        error.contains("no column `timestamp`") && error.ends_with("it names When, First, Top, Bottom, Last, Lots")
    );
    let names = [
        (Field::Timestamp, "When"),
        (Field::Open, "First"),
        (Field::High, "Top"),
        (Field::Low, "Bottom"),
        (Field::Close, "Last"),
        (Field::Volume, "Lots"),
    ];
    job.reading.columns = names.map(|(field, name)| (field, name.to_owned())).into();
    job.reading.stamps = StampFormat::Pattern("%d/%m/%Y %H:%M".to_owned());
    let refused = |job: &ImportJob| {
        let error = run(job).unwrap_err().to_string();
        assert!(!target.try_exists().unwrap(), "nothing is written");
        error.replace(&format!("{}/", folder.path().display()), "")
    };
    assert_eq!(
        refused(&job),
        "bars.csv:2: column timestamp: `07/11/2021 00:30` has no time zone: name the one of the file, such as --zone \
         America/New_York"
    );
    job.reading.zone = Some("America/Old_York".to_owned());
    assert_eq!(refused(&job), "`America/Old_York` is no time zone: use a name such as America/New_York or UTC");
    job.reading.zone = Some("America/New_York".to_owned());
    assert_eq!(
        refused(&job),
        "bars.csv:3: column timestamp: `07/11/2021 01:30` comes twice, as the clock is set back: it is \
         2021-11-07T05:30:00Z or 2021-11-07T06:30:00Z, say which with --fold"
    );
    job.reading.fold = ClockFold::InOrder;
    let imported = run(&job).unwrap();
    assert_eq!((imported.quality.found(), imported.sets[0].bars), (0, 3));
    let times: Vec<_> =
        read_parquet(&target, &symbol("EUR")).unwrap().bars.iter().map(|bar| bar.time.to_string()).collect();
    assert_eq!(times, ["2021-11-07T04:30:00Z", "2021-11-07T05:30:00Z", "2021-11-07T06:30:00Z"]);
    let about = about(&target).unwrap();
    assert_eq!((about.interval, about.calendar), (Interval::Hour, Calendar::Always));
    job.reading.columns.insert(Field::Volume, "Contracts".to_owned());
    assert!(run(&job).unwrap_err().to_string().contains("no column `Contracts`"));
}

#[test]
fn files_that_overlap_are_joined_where_they_agree_and_refused_where_not() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("bars.parquet");
    let base = closes(folder.path(), "a.csv", 0, &[10.0, 11.0, 12.0, 13.0]);
    let agreeing = closes(folder.path(), "b.csv", 2, &[12.0, 13.0, 14.0]);
    let adjusted = closes(folder.path(), "c.csv", 2, &[6.0, 6.5, 14.0]);
    let stepwise = closes(folder.path(), "d.csv", 1, &[5.5, 9.0, 13.0, 14.0]);
    let differing = closes(folder.path(), "e.csv", 2, &[12.0, 13.5, 14.0]);
    std::fs::write(
        &differing,
        std::fs::read_to_string(&differing).unwrap().replace("A,13.5,13.5,13.5", "A,13,13.5,13"),
    )
    .unwrap();

    let joined = run(&job(&[&agreeing, &base], &target)).unwrap();
    assert_eq!((joined.overlapping, joined.sets[0].bars), (2, 5));
    let bars = read_parquet(&target, &symbol("A")).unwrap().bars;
    assert_eq!(bars.iter().map(|bar| bar.close).collect::<Vec<_>>(), [10.0, 11.0, 12.0, 13.0, 14.0]);
    let held = std::fs::read(&target).unwrap();
    for other in [&adjusted, &stepwise] {
        let error = run(&job(&[&base, other], &target)).unwrap_err();
        assert!(matches!(error, DataError::OverlapAdjusted { .. }), "{error}");
        assert!(error.to_string().contains("is adjusted in two ways"), "{error}");
    }
    let error = run(&job(&[&base, &differing], &target)).unwrap_err();
    assert!(matches!(error, DataError::OverlapDiffers { first: 13.0, other: 13.5, .. }), "{error}");
    assert_eq!(std::fs::read(&target).unwrap(), held, "what was there stays");

    // The same by extending what is there.
    run(&job(&[&base], &target)).unwrap();
    let extend = |file: &PathBuf| ImportJob { existing: Existing::Extend, ..job(&[file], &target) };
    assert!(matches!(run(&extend(&adjusted)), Err(DataError::OverlapAdjusted { .. })));
    assert_eq!(run(&extend(&agreeing)).unwrap().sets[0].bars, 5);
    let mut other = extend(&agreeing);
    other.options.adjustment = Adjustment::AdjustedClose;
    let error = run(&other).unwrap_err().to_string();
    assert!(error.contains("was imported with adjustment none, not adjusted-close"), "{error}");
    let mut other = extend(&agreeing);
    other.calendar = Calendar::Always;
    assert!(run(&other).unwrap_err().to_string().contains("with calendar xnys, not always"));
}

#[test]
fn progress_is_told_and_ends_where_the_file_does() {
    let folder = tempfile::tempdir().unwrap();
    let many: Vec<f64> = (0..150_000).map(|n| 100.0 + f64::from(n % 50)).collect();
    let path = closes(folder.path(), "many.csv", -100_000, &many);
    let mut seen: Vec<Progress> = Vec::new();
    import(&job(&[&path], &folder.path().join("bars.parquet")), &mut |progress| seen.push(progress)).unwrap();
    let of = |stage| seen.iter().filter(move |progress| progress.stage == stage).collect::<Vec<_>>();
    for stage in [Stage::Reading, Stage::Writing] {
        assert_eq!(of(stage).len(), 2);
        assert!(of(stage).windows(2).all(|pair| pair[0].done < pair[1].done && pair[1].done <= pair[1].total));
    }
}

/// Set for a test binary that is to import and be killed: where it stops, the file to read and the file to write.
const CHILD: &str = "DATASET_TEST_IMPORT_CHILD";

#[test]
fn the_child_imports_and_waits_to_be_killed() {
    let Ok(asked) = std::env::var(CHILD) else { return };
    let parts: Vec<&str> = asked.split('|').collect();
    let stage = if parts[0] == "reading" { Stage::Reading } else { Stage::Writing };
    import(&job(&[Path::new(parts[1])], Path::new(parts[2])), &mut |progress| {
        if progress.stage == stage {
            println!("stopped");
            std::thread::park();
        }
    })
    .unwrap();
}

#[test]
fn an_import_that_is_killed_while_it_reads_or_writes_leaves_nothing_and_touches_nothing() {
    use std::io::BufRead as _;
    let folder = tempfile::tempdir().unwrap();
    let many: Vec<f64> = (0..70_000).map(|n| 100.0 + f64::from(n % 50)).collect();
    let csv = closes(folder.path(), "many.csv", -60_000, &many);
    let data = folder.path().join("data");
    let target = data.join("bars.parquet");
    let kill = |stage: &str| {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_child_imports_and_waits_to_be_killed", "--nocapture"])
            .env(CHILD, format!("{stage}|{}|{}", csv.display(), target.display()))
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.contains("stopped")), "the child did not get there");
        child.kill().unwrap();
        child.wait().unwrap();
    };
    let names = || std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    for stage in ["reading", "writing"] {
        kill(stage);
        assert!(names().is_empty(), "killed while {stage}: {:?}", names());
    }
    run(&job(&[&closes(folder.path(), "few.csv", 0, &[1.0, 2.0])], &target)).unwrap();
    let before = std::fs::read(&target).unwrap();
    kill("writing");
    assert_eq!(names(), ["bars.parquet"]);
    assert_eq!(std::fs::read(&target).unwrap(), before);
}

fn bar(day: i64, close: f64) -> Bar {
    let time = Timestamp::from_micros(day * 86_400_000_000);
    Bar { time, open: close, high: close, low: close, close, volume: 1.0 }
}

proptest! {
    #[test]
    fn any_bars_survive_the_file_and_one_changed_bit_changes_the_digest(
        closes in prop::collection::vec(1e-6..1e9f64, 1..50), at in any::<prop::sample::Index>(), bit in 0u32..64,
    ) {
        let bars: Vec<Bar> = closes.iter().enumerate().map(|(day, close)| bar(day as i64, *close)).collect();
        let set = Dataset::new(symbol("A"), Interval::Day, bars.clone());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        write_parquet(&path, std::slice::from_ref(&set)).unwrap();
        prop_assert_eq!(&read_parquet(&path, &set.symbol).unwrap(), &set);

        let mut changed = bars.clone();
        let value = &mut changed[at.index(bars.len())].volume;
        *value = f64::from_bits(value.to_bits() ^ (1 << bit));
        prop_assert_ne!(Dataset::new(symbol("A"), Interval::Day, changed).digest, set.digest);
        prop_assert_ne!(Dataset::new(symbol("B"), Interval::Day, bars.clone()).digest, set.digest);
        prop_assert_ne!(Dataset::new(symbol("A"), Interval::Hour, bars).digest, set.digest);
    }
}
