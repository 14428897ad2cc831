//! From an experiment file to something that can be submitted: everything is checked here, before anything starts.

use std::path::{Path, PathBuf};

use artifacts::Kernel;
use dataset::{DataError, Dataset, QualityReport, SplitIndices};
use market::{Interval, Symbol};
use protocol::{End, Ending, ExperimentDetail, Policy, Submission, TrialState, TrialView};
use spec::{DataFacts, Digest, ExperimentId, ExperimentSpec, Facts, Fallback, Problem, Span, canonical_json};

use crate::encoder::{self, EncoderError};
use crate::question::{Question, normalised};
use crate::record::{Asked, Record, RecordError};
use crate::summary::Summary;
use crate::sweep::{ExperimentSweep, SweepError};
use crate::warm::{self, WarmError};

/// Findings of a quality report that a refusal spells out.
const FINDINGS_SHOWN: usize = 5;

/// The machine and the build, as far as they decide what can run and what comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// CPU cores that trials may use.
    pub cpus: u32,
    /// CUDA devices.
    pub gpus: u32,
    /// What decides the last bit of a result; its threads are taken from the spec.
    pub kernel: Kernel,
    /// The build.
    pub code_version: String,
}

/// An experiment that is checked and may start.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The file it came from.
    pub path: PathBuf,
    /// The file as it was written.
    pub yaml: String,
    /// What it asks, whole.
    pub question: Question,
    /// Its id.
    pub experiment: ExperimentId,
    /// Its cache key.
    pub run_key: Digest,
    /// Its bars.
    pub dataset: Dataset,
    /// Its splits, as bar indices.
    pub split: SplitIndices,
    /// How its trials are run; changes no result.
    pub policy: Policy,
    /// Where it runs when its scheduler cannot be reached, and how long that is waited for: as the file says.
    pub fallback: (Option<Fallback>, Option<Span>),
    /// What is done otherwise than the file asks first, and why: to be said aloud.
    pub notice: Option<String>,
    trials: u32,
    /// Its folder under the home.
    pub record: Record,
    /// How it ended before: the same question on the same data, build and machine. Present means nothing needs to run,
    /// and no trial is added to the count that figures are deflated by.
    pub finished: Option<Summary>,
}

/// Why an experiment does not start.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The file cannot be read.
    #[error("cannot read experiment {}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file says something impossible; every problem found is listed, one a line.
    #[error("{}", lines(.0))]
    Spec(Vec<Problem>),
    /// The bars cannot be read or split.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The bars are spaced otherwise than the spec says.
    #[error("{} holds {held} bars, data.interval asks for {asked}: import the other ones or change the spec", path.display())]
    Interval {
        /// Which file.
        path: PathBuf,
        /// What it holds.
        held: Interval,
        /// What the spec asks for.
        asked: Interval,
    },
    /// The bars are not fit to learn from.
    #[error("{symbol} in {} is not fit to learn from: {}; `tradewind data check` lists every row", path.display(), findings(.report))]
    Quality {
        /// Which symbol.
        symbol: Symbol,
        /// Which file.
        path: PathBuf,
        /// All that is wrong.
        report: QualityReport,
    },
    /// The encoder is there and cannot be used. The file is not at fault.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// A point of the space does not fit.
    #[error(transparent)]
    Sweep(#[from] SweepError),
    /// An earlier sweep cannot be begun with.
    #[error(transparent)]
    WarmStart(#[from] WarmError),
    /// The run's folder cannot be used.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// No run has this id.
    #[error("no run {0} lies under this home: `tradewind ls` lists them")]
    Unknown(ExperimentId),
    /// What a run was started with is not what there is now, so its remaining trials would not belong to it.
    #[error("run {experiment} was started with another {what}: go on with that one, or run the file anew")]
    Changed {
        /// Which run.
        experiment: ExperimentId,
        /// Data, build or machine.
        what: &'static str,
    },
}

impl PrepareError {
    /// Whether the file or its data are at fault; a home, a registry or a store that fails is not the user's to mend in them.
    #[must_use]
    pub const fn is_bad_input(&self) -> bool {
        match self {
            Self::Record(_) | Self::Encoder(_) | Self::WarmStart(WarmError::Journal(_)) => false,
            Self::File { .. }
            | Self::Spec(_)
            | Self::Data(_)
            | Self::Interval { .. }
            | Self::Quality { .. }
            | Self::Sweep(_)
            | Self::WarmStart(_)
            | Self::Unknown(_)
            | Self::Changed { .. } => true,
        }
    }
}

/// Reads and checks an experiment file: its text, its meaning, its data and every trial it would run.
///
/// # Errors
/// [`PrepareError`]: with every problem of the file at once, or with what is wrong with data, space or home.
pub fn prepare(home: &Path, path: &Path, machine: &Machine) -> Result<Prepared, PrepareError> {
    let yaml = std::fs::read_to_string(path).map_err(|source| PrepareError::File { path: path.to_owned(), source })?;
    checked(home, path, (yaml, Begun::Now), machine)
}

/// Whether an experiment is asked for the first time.
enum Begun<'a> {
    Now,
    /// It was, so what its names stood for then holds.
    As(&'a Question),
}

/// A run that was begun before, from its own record: the file may have changed since.
///
/// # Errors
/// As [`prepare`], and [`PrepareError::Unknown`] or [`PrepareError::Changed`].
pub fn resume(home: &Path, experiment: &ExperimentId, machine: &Machine) -> Result<Prepared, PrepareError> {
    let record = Record::new(home, experiment);
    let unknown = || PrepareError::Unknown(experiment.clone());
    let (asked, yaml) = (record.asked()?.ok_or_else(unknown)?, record.yaml()?.ok_or_else(unknown)?);
    let prepared = checked(home, &asked.path, (yaml, Begun::As(&asked.question)), machine)?;
    let (then, now) = (&asked.question, &prepared.question);
    let what = [
        ((then.data_digest, &then.companion_digests) != (now.data_digest, &now.companion_digests), "data"),
        (then.code_version != now.code_version, "build"),
        (then.kernel != now.kernel, "machine"),
        (then != now, "format of its spec"),
    ];
    match what.into_iter().find(|(changed, _)| *changed) {
        Some((_, what)) => Err(PrepareError::Changed { experiment: experiment.clone(), what }),
        None => Ok(prepared),
    }
}

/// `trials` more points for an experiment that ran before: the same question, begun with what was seen.
///
/// # Errors
/// As [`prepare`], and [`PrepareError::Unknown`].
pub fn extend(
    home: &Path,
    experiment: &ExperimentId,
    trials: u32,
    machine: &Machine,
) -> Result<Prepared, PrepareError> {
    let asked = Record::new(home, experiment).asked()?.ok_or_else(|| PrepareError::Unknown(experiment.clone()))?;
    let mut spec = asked.question.spec;
    spec.sweep.trials = trials;
    spec.sweep.batch = spec.sweep.batch.min(trials);
    spec.sweep.warm_start = Some(experiment.clone());
    // JSON is YAML: the file of the new run is its spec, whole.
    let yaml = serde_json::to_string_pretty(&spec).expect("a spec holds only finite numbers and text keys");
    checked(home, &asked.path, (yaml, Begun::Now), machine)
}

fn checked(
    home: &Path,
    path: &Path,
    (yaml, begun): (String, Begun<'_>),
    machine: &Machine,
) -> Result<Prepared, PrepareError> {
    let (mut spec, positions) = spec::parse(&path.display().to_string(), &yaml).map_err(PrepareError::Spec)?;
    let mut notice = None;
    let find = match begun {
        Begun::Now => encoder::find,
        Begun::As(_) => encoder::find_again,
    };
    if let (Begun::As(question), Some(named)) = (begun, &spec.encoder) {
        let begun_with = question.spec.encoder.clone();
        notice = begun_with.is_none().then(|| format!("it was begun without `{}`: indicators alone", named.bundle));
        spec.encoder = begun_with;
    }
    let mut facts = Facts { cpus: machine.cpus, gpus: machine.gpus, data: None, encoder: None };
    let bars = look(home, &spec, &mut facts);
    let found = spec.encoder.as_ref().map(|wanted| find(home, wanted));
    if let (Some(wanted), Some(Ok(found))) = (&spec.encoder, &found) {
        notice = encoder::notice(wanted, &found.facts);
        if let Some(data) = &mut facts.data {
            data.warm_up_bars = data.warm_up_bars.max(found.warm_up_bars);
        }
        facts.encoder = Some(found.facts.clone());
    }
    let problems = spec::check(&spec, &positions, &facts);
    if !problems.is_empty() {
        return Err(PrepareError::Spec(problems));
    }
    let Bars { traded: dataset, companions } = bars?;
    // After the faults of file and data, which no store that answers again would take away.
    found.transpose()?;
    let spec = spec::resolve(&spec, &positions, &facts);
    let kernel = Kernel { threads: spec.resources.cpus, ..machine.kernel.clone() };
    let policy = policy(&spec);
    let fallback = (spec.fallback, spec.fallback_after);
    let split = dataset::split(&dataset.bars, &spec.data.split)?;
    let question = Question {
        spec: normalised(&spec),
        data_digest: dataset.digest,
        seen: warm::seen(home, &spec, (dataset.digest, &companions))?,
        companion_digests: companions,
        code_version: machine.code_version.clone(),
        kernel,
    };
    let sweep = ExperimentSweep::new(question.clone())?;
    if let Some(earlier) = question.spec.sweep.warm_start.as_ref().filter(|_| sweep.misses_what_was_seen()) {
        return Err(WarmError::Elsewhere(earlier.clone()).into());
    }
    let trials = sweep.trials();
    let (experiment, run_key) = (question.experiment(), question.run_key());
    let record = Record::new(home, &experiment);
    let finished = record.finished()?;
    let path = path.to_owned();
    Ok(Prepared {
        path,
        yaml,
        question,
        experiment,
        run_key,
        dataset,
        split,
        policy,
        fallback,
        notice,
        trials,
        record,
        finished,
    })
}

/// What a spec's trials see.
struct Bars {
    traded: Dataset,
    /// Content digests of the symbols beside it.
    companions: Vec<Digest>,
}

/// The bars, and what they say of a spec.
fn look(home: &Path, spec: &ExperimentSpec, facts: &mut Facts) -> Result<Bars, PrepareError> {
    match read(home, spec) {
        Ok((bars, found)) => {
            facts.data = Some(found);
            Ok(bars)
        }
        // A symbol that is not there is a fault of the spec, with a place in it.
        Err(PrepareError::Data(DataError::Symbol { held, path, symbol })) => {
            facts.data = Some(DataFacts { symbols: held.clone(), ..DataFacts::default() });
            Err(PrepareError::Data(DataError::Symbol { held, path, symbol }))
        }
        Err(error) => Err(error),
    }
}

/// The bars of the spec's symbols, refused where they are unfit, and what a spec can disagree with. Those beside the traded one
/// are in memory one after the other: only their times and digests are kept.
fn read(home: &Path, spec: &ExperimentSpec) -> Result<(Bars, DataFacts), PrepareError> {
    let path = dataset::resolve_below(home, &spec.data.source)?;
    let times = |set: &Dataset| set.bars.iter().map(|bar| bar.time).collect();
    let Some((own, beside)) = spec.data.symbols.split_first() else {
        return Err(PrepareError::Data(DataError::Missing { path }));
    };
    // A symbol that is not there is told before any is read.
    dataset::series(&path, &spec.data.symbols, &spec.data.repairs)?;
    let traded = usable((&path, own), spec)?;
    let mut found = DataFacts {
        symbols: spec.data.symbols.clone(),
        times: times(&traded),
        companions: Vec::with_capacity(beside.len()),
        warm_up_bars: backtest::warm_up_bars(&spec.features),
    };
    let mut companions = Vec::with_capacity(beside.len());
    for symbol in beside {
        let set = usable((&path, symbol), spec)?;
        found.companions.push(times(&set));
        companions.push(set.digest);
    }
    Ok((Bars { traded, companions }, found))
}

/// A symbol's bars, refused where they are unfit.
fn usable((path, symbol): (&Path, &Symbol), spec: &ExperimentSpec) -> Result<Dataset, PrepareError> {
    let (set, _) = dataset::load(path, symbol, &spec.data.repairs)?;
    let path = path.to_owned();
    if set.interval != spec.data.interval {
        return Err(PrepareError::Interval { path, held: set.interval, asked: spec.data.interval });
    }
    let report = dataset::check_set(&set);
    if report.is_usable() { Ok(set) } else { Err(PrepareError::Quality { symbol: symbol.clone(), path, report }) }
}

fn policy(spec: &ExperimentSpec) -> Policy {
    Policy {
        parallel: spec.sweep.parallel,
        retry: spec.retry.clone(),
        timeout: spec.timeout,
        priority: spec.priority,
        cpus: spec.resources.cpus,
        gpus: spec.resources.gpus,
        gpu_memory: spec.resources.gpu_memory,
        memory: spec.resources.memory,
        custom: spec.resources.custom.clone(),
        owner: None,
        after: spec.after.clone(),
        deadline: spec.deadline,
        trace: None,
        degrade_max: (!spec.degrade.is_empty()).then(|| u8::try_from(spec.degrade.len()).unwrap_or(u8::MAX)),
    }
}

impl Prepared {
    /// Keeps what is asked in the run's folder, before anything starts.
    ///
    /// # Errors
    /// [`RecordError`] when a file cannot be written.
    pub fn begin(&self) -> Result<(), RecordError> {
        self.record.begin(&Asked { path: self.path.clone(), question: self.question.clone() }, &self.yaml)
    }

    /// Trials in all: every point with every seed.
    #[must_use]
    pub fn trials(&self) -> u64 {
        u64::from(self.trials)
    }

    /// What is handed to the scheduler. Its payload opens the same sweep on any machine: see [`crate::sweep::open`].
    #[must_use]
    pub fn submission(&self) -> Submission {
        submission(&self.question, self.policy.clone())
    }
}

/// A question as it is handed to a scheduler.
#[must_use]
pub fn submission(question: &Question, policy: Policy) -> Submission {
    Submission {
        experiment: question.experiment(),
        name: question.spec.name.clone(),
        payload: canonical_json(question),
        policy,
    }
}

/// How the trials of an ended experiment ended, for another scheduler; `None` while one is open, or when it was cancelled.
#[must_use]
pub fn endings(detail: &ExperimentDetail) -> Option<Vec<Ending>> {
    let ending = |trial: &TrialView| {
        let end = match &trial.status {
            TrialState::Succeeded { .. } => End::Succeeded(trial.outcome.clone()?),
            TrialState::Failed { class, message } => End::Failed { class: *class, message: message.clone() },
            TrialState::Pruned => End::Pruned,
            TrialState::Waiting { .. }
            | TrialState::Queued { .. }
            | TrialState::Leased { .. }
            | TrialState::Running { .. }
            | TrialState::Paused { .. }
            | TrialState::Cancelled => return None,
        };
        let (rungs, arrivals, told) = (trial.rungs.clone(), trial.arrivals.clone(), trial.told.clone());
        Some(Ending { payload: trial.payload.clone(), rungs, arrivals, told, end })
    };
    detail.experiment.state.is_final().then(|| detail.trials.iter().map(ending).collect()).flatten()
}

pub(crate) fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn findings(report: &QualityReport) -> String {
    let fatal = |finding: &&dataset::Finding| finding.kind.severity() == dataset::Severity::Fatal;
    let shown: Vec<String> = report
        .findings
        .iter()
        .filter(fatal)
        .take(FINDINGS_SHOWN)
        .map(|finding| format!("row {} ({}): {} ({})", finding.row, finding.time, finding.kind, finding.detail))
        .collect();
    let more = report.fatal().saturating_sub(shown.len());
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}
