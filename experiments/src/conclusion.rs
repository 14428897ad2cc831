//! The end of an experiment: best trial, verdict, registry, report, and the summary that makes it a cache hit.

use std::path::{Path, PathBuf};

use dataset::Dataset;
use market::Timestamp;
use protocol::{ExperimentState, TrialView};
use spec::{DateRange, ProgressUnit, TaskSpec};

use crate::encoder::EncoderFigures;
use crate::question::Question;
use crate::record::{RecordError, write_whole};
use crate::report::{self, Explained, GateLine, Report, Tone};
use crate::run::Prepared;
use crate::summary::{Best, Ended, GateFigure, Promotion, Summary};
use crate::sweep::Insight;
use crate::trials::{self, Trial, TrialError};
use crate::verdict::{self, Books, Verdict, VerdictError};

/// What an experiment found.
#[derive(Clone, Debug, PartialEq)]
pub struct Conclusion {
    /// The object that `--json` prints.
    pub summary: Summary,
    /// Where the report lies.
    pub report: PathBuf,
}

/// Why an ended experiment could not be concluded. Its trials are kept; concluding again goes on from them.
#[derive(Debug, thiserror::Error)]
pub enum ConcludeError {
    /// A trial cannot be read back.
    #[error(transparent)]
    Trial(#[from] TrialError),
    /// The best trial cannot be judged.
    #[error(transparent)]
    Verdict(#[from] VerdictError),
    /// A file cannot be written.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Judges the best trial, registers it, writes the report and keeps the result. Doing it twice changes nothing more.
///
/// The test split is looked at only when the experiment succeeded: one that was cancelled may go on later.
///
/// # Errors
/// [`ConcludeError`] when a trial, its bundle, the registry or a file under `home` cannot be used.
pub fn conclude(
    prepared: &Prepared,
    state: ExperimentState,
    views: Vec<TrialView>,
    home: &Path,
    now: Timestamp,
) -> Result<Conclusion, ConcludeError> {
    let ended = Ended::of(&views);
    let trials = trials::read(views)?;
    let sweep = &prepared.question.spec.sweep;
    let best = trials::best(sweep, &trials).filter(|_| state == ExperimentState::Succeeded);
    let mut books = Books::open(prepared, &ended, home)?;
    let verdict = match &best {
        Some((trial, outcome, _)) => Some(verdict::reach(prepared, &trials, (trial, outcome), &mut books, now)?),
        None => None,
    };
    let summary_best = best.map(|(trial, outcome, objective)| Best {
        trial: trial.view.trial.clone(),
        objective,
        deviation: trial.deviation(sweep.objective),
        bundle: outcome.bundle,
    });
    let sentence = verdict.as_ref().map_or_else(|| no_verdict(state), |verdict| verdict.sentence.clone());
    let path = home.join("reports").join(format!("{}.html", prepared.experiment));
    let page = Report {
        sentence: sentence.clone(),
        ..report(prepared, &trials, summary_best.as_ref(), verdict.as_ref(), now)
    };
    write_whole(&path, report::render(&page).as_bytes())?;
    let summary = Summary {
        experiment: prepared.experiment.clone(),
        state,
        trials: ended,
        best: summary_best,
        verdict: sentence,
        report: Some(path.clone()),
        calibration: verdict.as_ref().and_then(|verdict| verdict.calibration.clone()),
        encoder: EncoderFigures::of(&trials),
        notice: prepared.notice.clone(),
        promotion: verdict.and_then(|verdict| verdict.promotion),
    };
    if state == ExperimentState::Succeeded {
        prepared.record.finish(&summary)?;
    }
    Ok(Conclusion { summary, report: path })
}

fn no_verdict(state: ExperimentState) -> String {
    match state {
        ExperimentState::Cancelled => "The experiment was cancelled, so the test split was not looked at.".to_owned(),
        ExperimentState::Queued | ExperimentState::Running => "The experiment has not ended yet.".to_owned(),
        ExperimentState::Succeeded | ExperimentState::Failed => {
            "No trial gave a finite objective, so the test split was not looked at.".to_owned()
        }
    }
}

fn report<'a>(
    prepared: &'a Prepared,
    trials: &[Trial],
    best: Option<&Best>,
    verdict: Option<&Verdict>,
    now: Timestamp,
) -> Report<'a> {
    let spec = &prepared.question.spec;
    let objective = spec.sweep.objective;
    Report {
        experiment: &prepared.experiment,
        question: question_text(&prepared.yaml),
        data: data_text(prepared),
        data_digest: prepared.question.data_digest,
        objective,
        direction: spec.sweep.direction,
        space: &spec.sweep.space,
        also: &spec.sweep.also,
        insight: Insight::of(&spec.sweep, prepared.question.sampling_key(), trials),
        unit: match spec.task {
            TaskSpec::Supervised(_) => ProgressUnit::Epoch,
            TaskSpec::Rl(_) => ProgressUnit::EnvStep,
        },
        trials: trials.iter().map(|trial| trial.line(objective)).collect(),
        best: best.map(|best| best.trial.index),
        sentence: String::new(),
        tone: verdict.map_or(Tone::Open, |verdict| verdict.tone),
        test: verdict.map(|verdict| verdict.test.clone()),
        explained: verdict.map_or(Explained::Nothing, |verdict| verdict.explained.clone()),
        calibration: verdict.and_then(|verdict| verdict.calibration.clone()),
        gates: verdict.map(|verdict| verdict.gates.iter().map(gate_line).collect()).unwrap_or_default(),
        promotion: verdict.and_then(|verdict| verdict.promotion.as_ref()).map(promotion_text).unwrap_or_default(),
        facts: facts(prepared, trials, verdict, now),
        command: format!("tradewind run {}", prepared.path.display()),
    }
}

/// The comment that opens the file: experiments begin with their question.
fn question_text(yaml: &str) -> String {
    let comment = yaml.lines().map_while(|line| line.strip_prefix('#')).map(str::trim);
    comment.collect::<Vec<_>>().join(" ").trim().to_owned()
}

fn data_text(prepared: &Prepared) -> String {
    let Dataset { symbol, interval, bars, .. } = &prepared.dataset;
    let span =
        bars.first().zip(bars.last()).map(|(first, last)| format!(", {} to {}", first.time.date(), last.time.date()));
    format!("{symbol}, {interval}{}, {} bars", span.unwrap_or_default(), bars.len())
}

fn gate_line(gate: &GateFigure) -> GateLine {
    GateLine {
        name: gate.name.clone(),
        value: gate.value.unwrap_or(f64::NAN),
        threshold: gate.threshold.unwrap_or(f64::NAN),
        passed: gate.passed,
    }
}

/// Where the bundle stands now, in one sentence.
#[must_use]
pub fn promotion_text(promotion: &Promotion) -> String {
    let Promotion { model, version, alias, moved, .. } = promotion;
    if *moved {
        format!("{model} version {version} is {alias} now.")
    } else {
        format!("{model} version {version} stands as {alias}; champion did not move.")
    }
}

fn facts(prepared: &Prepared, trials: &[Trial], verdict: Option<&Verdict>, now: Timestamp) -> Vec<(String, String)> {
    let Question { spec, code_version, kernel, .. } = &prepared.question;
    let range = |range: &DateRange| format!("{} to {}", range.from.date(), range.to.date());
    let costs = &spec.env.costs;
    let seeds: Vec<String> = spec.sweep.seeds.iter().map(u64::to_string).collect();
    let mut facts = vec![
        ("Train", range(&spec.data.split.train)),
        ("Validation", range(&spec.data.split.validation)),
        ("Test", range(&spec.data.split.test)),
        ("Purge, embargo", format!("{}, {} bars", spec.data.split.purge, spec.data.split.embargo)),
        (
            "Costs of a fill",
            format!(
                "{} + {} + {} bps (commission, half spread, slippage)",
                costs.commission_bps.0, costs.half_spread_bps.0, costs.slippage_bps.0
            ),
        ),
        ("Seeds", seeds.join(", ")),
        ("Code version", code_version.clone()),
        ("CPU", kernel.cpu.clone()),
        ("Tensor library", kernel.library.clone()),
        ("Device, threads", format!("{}, {}", format!("{:?}", spec.resources.device).to_lowercase(), kernel.threads)),
        ("Run key", prepared.run_key.to_string()),
        ("Written", now.to_string()),
    ];
    if let Some(verdict) = verdict {
        facts.insert(6, ("Trials ever on this data", verdict.trials_ever.to_string()));
    }
    let used = EncoderFigures::of(trials).map(|used| {
        let share = 100.0 * used.remembered;
        format!("{}; of {} bars asked for, {share:.1} % were remembered", used.bundle, used.asked)
    });
    facts.extend(prepared.notice.clone().or(used).map(|text| ("Encoder", text)));
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
