//! What an experiment found: the best trial on the test split, the gates, and the honest sentence.
//!
//! The test split is looked at here and nowhere else, by the best trial alone.

mod figures;
mod sentence;
mod standing;

use std::path::Path;

use artifacts::{Bundle, BundleKind, Evidence, Registry, RegistryError, Store, StoreError, gate};
use backtest::calibration::{CalibrationError, CalibrationFigures};
use backtest::{BacktestError, Model, Parity, Setting};
use explain::Question;
use market::Timestamp;
use spec::{BundleId, GateSpec, PromoteSpec, TaskSpec, TrialId, TrialOutcome, TrialSpec};

use crate::report::{Explained, TestRun, Tone};
use crate::run::Prepared;
use crate::summary::{Ended, GateFigure, Promotion};
use crate::trials::Trial;
pub(crate) use figures::Tested;
use figures::trial_sharpes;
use standing::Candidate;

/// What the best trial is worth.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The honest sentence.
    pub sentence: String,
    /// How it turned out.
    pub tone: Tone,
    /// The test split.
    pub test: TestRun,
    /// Why it says what it says of the last bar of that split.
    pub explained: Explained,
    /// How well its calibrated forecasts lie there; `None` without a calibration.
    pub calibration: Option<CalibrationFigures>,
    /// Every gate.
    pub gates: Vec<GateFigure>,
    /// What became of the bundle; `None` when the spec promotes nowhere.
    pub promotion: Option<Promotion>,
    /// Trials ever run on this data, this sweep included.
    pub trials_ever: u64,
}

/// Why the best trial cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum VerdictError {
    /// Its bundle cannot be loaded.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its test backtest does not run.
    #[error("the test backtest of trial {trial} does not run")]
    Backtest {
        /// Which trial.
        trial: spec::TrialId,
        /// Why.
        source: BacktestError,
    },
    /// Its calibration cannot be judged.
    #[error("the calibration of trial {trial} cannot be judged on the test split")]
    Calibration {
        /// Which trial.
        trial: spec::TrialId,
        /// Why.
        source: CalibrationError,
    },
    /// The registry refuses.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// The home's store and registry, with this run's trials already counted: a trial counts once it was run, whether or
/// not its sweep came to a verdict.
pub(crate) struct Books {
    store: Store,
    registry: Registry,
    /// Trials ever run on this data, this run's included.
    trials_ever: u64,
}

impl Books {
    pub(crate) fn open(prepared: &Prepared, ended: &Ended, home: &Path) -> Result<Self, VerdictError> {
        let store = Store::of(home)?;
        let mut registry = Registry::open(&home.join("registry.db"))?;
        let run = ended.succeeded + ended.pruned + ended.failed;
        let trials_ever = registry.count_trials(prepared.question.data_digest, prepared.run_key, run)?;
        Ok(Self { store, registry, trials_ever })
    }
}

/// Tests the best trial, judges it, registers its bundle and moves an alias. Doing it twice changes nothing more.
pub(crate) fn reach(
    prepared: &Prepared,
    trials: &[Trial],
    best: (&Trial, &TrialOutcome),
    books: &mut Books,
    now: Timestamp,
) -> Result<Verdict, VerdictError> {
    let (trial, outcome) = best;
    let trials_ever = books.trials_ever;
    let bundle = books.store.get_bundle(outcome.bundle)?;
    let failed = |source| VerdictError::Backtest { trial: trial.view.trial.clone(), source };
    let (tested, parity) = test(prepared, &trial.spec, &bundle).map_err(failed)?;
    let calibration = calibration(prepared, &trial.spec, &bundle)
        .map_err(|source| VerdictError::Calibration { trial: trial.view.trial.clone(), source })?;
    let subject = Subject {
        bundle: outcome.bundle,
        trial: &trial.view.trial,
        name: "the best trial",
        seen: "seen once by this experiment",
        promote: prepared.question.spec.promote.as_ref(),
    };
    let luck = (trial_sharpes(trials), trials_ever);
    let Settled { sentence, tone, gates, promotion } =
        settle((&tested, parity), luck, subject, &mut books.registry, now)?;
    let (test, explained) = (tested.test_run(), explained(prepared, &bundle));
    Ok(Verdict { sentence, tone, test, explained, calibration, gates, promotion, trials_ever })
}

/// A bundle on its way through the gates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) bundle: BundleId,
    /// That made it.
    pub(crate) trial: &'a TrialId,
    /// How the sentence calls it.
    pub(crate) name: &'static str,
    /// Who else saw the test split.
    pub(crate) seen: &'static str,
    /// Where it is to go.
    pub(crate) promote: Option<&'a PromoteSpec>,
}

/// What the gates made of it.
pub(crate) struct Settled {
    pub(crate) sentence: String,
    pub(crate) tone: Tone,
    pub(crate) gates: Vec<GateFigure>,
    pub(crate) promotion: Option<Promotion>,
}

/// Judges what was tested against what luck explains, the Sharpe ratios of all that were compared and how many trials ever
/// were, and registers it where the spec says so.
pub(crate) fn settle(
    (tested, parity): (&Tested, Parity),
    (trial_sharpes, trials_ever): (Vec<f64>, u64),
    subject: Subject<'_>,
    registry: &mut Registry,
    now: Timestamp,
) -> Result<Settled, VerdictError> {
    let evidence = evidence(tested, parity, trial_sharpes, trials_ever);
    let gates = subject.promote.map_or_else(GateSpec::default, |promote| promote.gates.clone());
    let judged = gate::judge(&evidence, &gates, subject.bundle);
    let promotion = match subject.promote {
        Some(promote) => {
            let candidate = Candidate { model: &promote.model, trial: subject.trial, bundle: subject.bundle };
            Some(standing::take(registry, candidate, &judged, &evidence, now)?)
        }
        None => None,
    };
    let returns = tested.returns();
    let passed = judged.validated.is_some() && returns.beats_both();
    Ok(Settled {
        sentence: sentence::sentence((subject.name, subject.seen), &returns, trials_ever),
        tone: if passed { Tone::Passed } else { Tone::Refused },
        gates: judged.gates.iter().map(GateFigure::of).collect(),
        promotion,
    })
}

/// The only look at the test split: the model, buying and holding, and holding nothing, through one venue.
fn test(prepared: &Prepared, trial: &TrialSpec, bundle: &Bundle) -> Result<(Tested, Parity), BacktestError> {
    let range = prepared.split.test.clone();
    let setting = Setting { dataset: &prepared.dataset, range, env: &trial.env, strategy: &trial.strategy };
    let model = Model::load(bundle)?;
    let tested = Tested {
        model: model.run(&setting)?,
        buy_and_hold: backtest::buy_and_hold(&setting)?,
        zero: backtest::zero(&setting)?,
    };
    Ok((tested, model.parity(&setting)?))
}

/// Why a forecaster says what it says of the last bar that was tested. That nothing can be said is no reason to have no
/// verdict.
fn explained(prepared: &Prepared, bundle: &Bundle) -> Explained {
    match bundle.manifest().kind {
        BundleKind::Policy | BundleKind::Ensemble => return Explained::Nothing,
        BundleKind::Forecaster => {}
    }
    let bars = &prepared.dataset.bars;
    let last = bars[prepared.split.test.clone()].last().map(|bar| bar.time);
    match explain::explain(bundle, bars, last, &Question::default()) {
        Ok(explanation) => Explained::Shown(Box::new(explanation)),
        Err(error) => Explained::Refused(error.to_string()),
    }
}

/// The same look, at what was forecast.
fn calibration(
    prepared: &Prepared,
    trial: &TrialSpec,
    bundle: &Bundle,
) -> Result<Option<CalibrationFigures>, CalibrationError> {
    let TaskSpec::Supervised(task) = &trial.task else { return Ok(None) };
    let range = prepared.split.test.clone();
    let setting = Setting { dataset: &prepared.dataset, range, env: &trial.env, strategy: &trial.strategy };
    Model::load(bundle)?.calibration(&setting, task)
}

fn evidence(tested: &Tested, parity: Parity, trial_sharpes: Vec<f64>, trials_ever: u64) -> Evidence {
    Evidence {
        test_returns: tested.model.returns.clone(),
        buy_and_hold_return: tested.buy_and_hold.summary().total_return,
        trial_sharpes,
        trials_ever,
        parity_rows: parity.rows as u64,
        parity_mismatches: parity.mismatches as u64,
    }
}
