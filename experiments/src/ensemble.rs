//! An ensemble from its file to its verdict: members by reference or the trials of an experiment, weights from the validation split, one bundle, the
//! gates.
//!
//! What an ensemble gives up to its best member is known afterwards alone, so it is reported and decides nothing.

mod members;
mod weights;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use artifacts::{Bundle, EnsembleError, Registry, RegistryError, Store, StoreError};
use backtest::calibration::{CalibrationError, CalibrationFigures};
use backtest::{Backtest, BacktestError, Model, Setting};
use dataset::{DataError, Dataset, SplitIndices};
use market::Timestamp;
use serde::{Deserialize, Serialize};
use spec::{
    BundleId, Combination, Digest, EnsembleSpec, Metric, ModelName, Problem, TaskSpec, TrialSpec, Weighting,
    canonical_json,
};

use crate::run::lines;
use crate::summary::Promotion;
use crate::verdict::{Subject, Tested, VerdictError, settle};
pub use members::SweepMembersError;
use members::members_of;

/// Every way to weigh, in the order reported.
const WEIGHTINGS: [Weighting; 3] = [Weighting::Equal, Weighting::Thompson, Weighting::MetaLearner];

/// What an ensemble came to: the object that `--json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnsembleSummary {
    /// Its name.
    pub ensemble: ModelName,
    /// Its artifact, weighed and combined as its file asks.
    pub bundle: BundleId,
    /// Where its weights come from.
    pub weights: Weighting,
    /// How actions become one.
    pub combine: Combination,
    /// Its members alone.
    pub members: Vec<MemberFigures>,
    /// All of them together, by each way to weigh.
    pub together: Vec<TogetherFigures>,
    /// Buying and holding on the test split.
    pub buy_and_hold_return: f64,
    /// The honest sentence.
    pub verdict: String,
    /// What became of the bundle; absent when the file promotes nowhere.
    pub promotion: Option<Promotion>,
    /// How well its calibrated forecasts lie on the test split; absent for policies, and where the first member has no
    /// calibration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationFigures>,
}

/// A member alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberFigures {
    /// As the file names it.
    pub member: String,
    /// Its bundle.
    pub bundle: BundleId,
    /// What taught it.
    pub algorithm: String,
    /// Its share by each way to weigh, in the order of [`EnsembleSummary::together`].
    pub shares: Vec<f64>,
    /// Total return on the validation split, which shares come from.
    pub validation_return: f64,
    /// Total return on the test split.
    pub test_return: f64,
    /// Annualised Sharpe ratio there.
    pub test_sharpe: f64,
}

/// The ensemble by one way to weigh.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TogetherFigures {
    /// Which way.
    pub weights: Weighting,
    /// Total return on the test split.
    pub test_return: f64,
    /// Annualised Sharpe ratio there.
    pub test_sharpe: f64,
    /// Return of the member that did best there, less this one's.
    pub regret: f64,
}

/// Why there is no ensemble.
#[derive(Debug, thiserror::Error)]
pub enum EnsembleRunError {
    /// The file cannot be read.
    #[error("cannot read ensemble {}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file says something impossible.
    #[error("{}", lines(.0))]
    Spec(Vec<Problem>),
    /// A member is not there, or the registry fails.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A member's bundle cannot be loaded.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The members cannot act together.
    #[error(transparent)]
    Members(#[from] EnsembleError),
    /// The bars they were trained on cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The bars are others by now.
    #[error(
        "data set {source_name} is not the one that the members were trained on: it hashes to {found}, theirs to {trained}"
    )]
    Changed {
        /// Its name.
        source_name: String,
        /// What it is now.
        found: Digest,
        /// What it was.
        trained: Digest,
    },
    /// A backtest does not run.
    #[error("the backtest of bundle {bundle} does not run")]
    Backtest {
        /// Which bundle.
        bundle: BundleId,
        /// Why.
        source: BacktestError,
    },
    /// The experiment whose trials are to be members cannot be used.
    #[error(transparent)]
    Sweep(#[from] SweepMembersError),
    /// It cannot be calibrated, or its calibration not be judged.
    #[error(transparent)]
    Calibration(#[from] CalibrationError),
    /// It cannot be judged.
    #[error(transparent)]
    Verdict(#[from] VerdictError),
}

impl EnsembleRunError {
    /// Whether the user's file or its references are at fault.
    #[must_use]
    pub const fn is_bad_input(&self) -> bool {
        match self {
            Self::File { .. } | Self::Spec(_) | Self::Members(_) | Self::Changed { .. } => true,
            Self::Calibration(error) => error.is_data(),
            Self::Sweep(error) => error.is_bad_input(),
            Self::Registry(error) => {
                matches!(error, RegistryError::NotFound { .. } | RegistryError::Reference { .. })
            }
            Self::Store(_) | Self::Data(_) | Self::Backtest { .. } | Self::Verdict(_) => false,
        }
    }
}

type Result<T> = std::result::Result<T, EnsembleRunError>;

/// Builds the ensemble of a file, tests it, judges it, registers it. Doing it twice changes nothing more.
///
/// # Errors
/// [`EnsembleRunError`].
pub fn ensemble(home: &Path, path: &Path, code_version: &str, now: Timestamp) -> Result<EnsembleSummary> {
    let text =
        std::fs::read_to_string(path).map_err(|source| EnsembleRunError::File { path: path.to_owned(), source })?;
    let spec = spec::parse_ensemble(&path.display().to_string(), &text).map_err(EnsembleRunError::Spec)?;
    let store = Store::of(home)?;
    let mut registry = Registry::open(&home.join("registry.db"))?;
    let called = called(home, &spec, &registry)?;
    let members = called.iter().map(|(_, id)| Ok(store.get_bundle(*id)?)).collect::<Result<Vec<_>>>()?;
    let ground = Ground::of(home, &members)?;
    // What cannot be together is refused before anything is counted.
    let equal = 1.0 / members.len().max(1) as f64;
    let any: Vec<(&Bundle, f64)> = members.iter().map(|bundle| (bundle, equal)).collect();
    Bundle::ensemble(&any, spec.combine, BTreeMap::new())?;
    // Every way to weigh is a trial that sees the test split, so all are counted before any does.
    let run = key(&spec, &members, code_version);
    let trials_ever = registry.count_trials(ground.dataset.digest, run, WEIGHTINGS.len() as u32)?;
    let alone = members.iter().map(|bundle| ground.play(bundle)).collect::<Result<Vec<_>>>()?;
    let validation: Vec<&[f64]> = alone.iter().map(|played| &played.validation.returns[..]).collect();
    let shares = WEIGHTINGS.map(|how| weights::weights(how, &validation, spec.seed));
    let mut whole = Vec::new();
    for shares in &shares {
        let weighed: Vec<(&Bundle, f64)> = members.iter().zip(shares.iter().copied()).collect();
        let bundle = ground.together(&weighed, spec.combine)?;
        whole.push((ground.play(&bundle)?, bundle));
    }
    let chosen = WEIGHTINGS.iter().position(|how| *how == spec.weights).expect("all ways are listed");
    let (played, bundle) = &whole[chosen];
    store.put_bundle(bundle)?;
    let (tested, parity) = ground.test(bundle, played)?;
    let subject = Subject {
        bundle: bundle.id(),
        trial: &bundle.manifest().trial.trial,
        name: "the ensemble",
        seen: "which its members and the other ways to weigh them saw, too, and decided nothing by",
        promote: spec.promote.as_ref(),
    };
    // Members are winners already: the spread of their ratios says nothing of what was tried, so chance's is taken.
    let settled = settle((&tested, parity), (Vec::new(), trials_ever), subject, &mut registry, now)?;
    let calibration = ground.calibration(bundle)?;
    let best = alone.iter().map(Played::test_return).fold(f64::NEG_INFINITY, f64::max);
    Ok(EnsembleSummary {
        bundle: bundle.id(),
        weights: spec.weights,
        combine: spec.combine,
        members: figures(&called, &members, &alone, &shares),
        together: WEIGHTINGS
            .iter()
            .zip(&whole)
            .map(|(weights, (played, _))| TogetherFigures {
                weights: *weights,
                test_return: played.test_return(),
                test_sharpe: played.test.summary().sharpe,
                regret: best - played.test_return(),
            })
            .collect(),
        buy_and_hold_return: tested.buy_and_hold.summary().total_return,
        verdict: settled.sentence,
        promotion: settled.promotion,
        calibration,
        ensemble: spec.name,
    })
}

/// What makes two ensembles the same run.
fn key(spec: &EnsembleSpec, members: &[Bundle], code_version: &str) -> Digest {
    let members: Vec<BundleId> = members.iter().map(Bundle::id).collect();
    Digest::of(&canonical_json(&(spec, members, code_version)))
}

/// The members with their names, by reference or as the trials of an experiment.
fn called(home: &Path, spec: &EnsembleSpec, registry: &Registry) -> Result<Vec<(String, BundleId)>> {
    if let Some(sweep) = &spec.sweep {
        return Ok(members_of(home, sweep)?);
    }
    spec.members.iter().map(|reference| Ok((reference.clone(), registry.resolve(reference)?.1))).collect()
}

fn figures(
    called: &[(String, BundleId)],
    members: &[Bundle],
    alone: &[Played],
    shares: &[Vec<f64>; 3],
) -> Vec<MemberFigures> {
    let of = |index: usize| {
        let (bundle, played) = (&members[index], &alone[index]);
        MemberFigures {
            member: called[index].0.clone(),
            bundle: bundle.id(),
            algorithm: algorithm(&bundle.manifest().trial).to_owned(),
            shares: shares.iter().map(|shares| shares[index]).collect(),
            validation_return: played.validation.summary().total_return,
            test_return: played.test_return(),
            test_sharpe: played.test.summary().sharpe,
        }
    };
    (0..members.len()).map(of).collect()
}

const fn algorithm(trial: &TrialSpec) -> &'static str {
    match &trial.task {
        TaskSpec::Supervised(_) => "supervised",
        TaskSpec::Rl(rl) => rl.algorithm.name(),
    }
}

/// The bars that the members were trained on, with their splits.
struct Ground {
    dataset: Dataset,
    split: SplitIndices,
}

/// A bundle over validation and test.
struct Played {
    validation: Backtest,
    test: Backtest,
}

impl Played {
    fn test_return(&self) -> f64 {
        self.test.summary().total_return
    }
}

impl Ground {
    /// Of the first member: an ensemble's members share it, or are refused.
    fn of(home: &Path, members: &[Bundle]) -> Result<Self> {
        let trial = &members[0].manifest().trial;
        let path = dataset::resolve_below(home, &trial.data.source)?;
        let (dataset, _) = dataset::load(&path, &trial.data.symbols[0], &trial.data.repairs)?;
        if dataset.digest != trial.data_digest {
            let source_name = trial.data.source.clone();
            return Err(EnsembleRunError::Changed { source_name, found: dataset.digest, trained: trial.data_digest });
        }
        let split = dataset::split(&dataset.bars, &trial.data.split)?;
        Ok(Self { dataset, split })
    }

    fn setting<'a>(&'a self, bundle: &'a Bundle, range: std::ops::Range<usize>) -> Setting<'a> {
        let trial = &bundle.manifest().trial;
        Setting { dataset: &self.dataset, range, env: &trial.env, strategy: &trial.strategy }
    }

    fn run(&self, bundle: &Bundle, range: &std::ops::Range<usize>) -> Result<Backtest> {
        let failed = |source| EnsembleRunError::Backtest { bundle: bundle.id(), source };
        Model::load(bundle).and_then(|model| model.run(&self.setting(bundle, range.clone()))).map_err(failed)
    }

    fn play(&self, bundle: &Bundle) -> Result<Played> {
        Ok(Played { validation: self.run(bundle, &self.split.validation)?, test: self.run(bundle, &self.split.test)? })
    }

    /// The members as one bundle: forecasters calibrated together, where they ask for a calibration, and with what it
    /// measured on validation in its manifest.
    fn together(&self, members: &[(&Bundle, f64)], combine: Combination) -> Result<Bundle> {
        let bare = Bundle::ensemble(members, combine, BTreeMap::new())?;
        let fitted = match &bare.manifest().trial.task {
            TaskSpec::Supervised(task) => match &task.calibration {
                Some(wanted) => {
                    let setting = self.setting(&bare, self.split.validation.clone());
                    Some(Model::load(&bare).map_err(CalibrationError::Backtest)?.calibrate(&setting, (task, wanted))?)
                }
                None => None,
            },
            TaskSpec::Rl(_) => None,
        };
        let whole = |bundle: Bundle| match &fitted {
            Some(fitted) => bundle.calibrated(canonical_json(&fitted.calibration)),
            None => bundle,
        };
        let summary = self.run(&whole(bare), &self.split.validation)?.summary();
        let mut metrics: BTreeMap<Metric, f64> =
            [(Metric::ValidationSharpe, summary.sharpe), (Metric::ValidationReturn, summary.total_return)].into();
        if let Some(fitted) = &fitted {
            metrics.insert(Metric::ValidationEce, fitted.scores.ece_debiased);
            metrics.insert(Metric::ValidationBrier, fitted.scores.brier);
            metrics.insert(Metric::ValidationCrps, fitted.scores.crps);
        }
        // Ruin has no Sharpe ratio.
        metrics.retain(|_, value| value.is_finite());
        Ok(whole(Bundle::ensemble(members, combine, metrics)?))
    }

    fn calibration(&self, bundle: &Bundle) -> Result<Option<CalibrationFigures>> {
        let TaskSpec::Supervised(task) = &bundle.manifest().trial.task else { return Ok(None) };
        let setting = self.setting(bundle, self.split.test.clone());
        Ok(Model::load(bundle).map_err(CalibrationError::Backtest)?.calibration(&setting, task)?)
    }

    fn test(&self, bundle: &Bundle, played: &Played) -> Result<(Tested, backtest::Parity)> {
        let failed = |source| EnsembleRunError::Backtest { bundle: bundle.id(), source };
        let setting = self.setting(bundle, self.split.test.clone());
        let tested = Tested {
            model: played.test.clone(),
            buy_and_hold: backtest::buy_and_hold(&setting).map_err(failed)?,
            zero: backtest::zero(&setting).map_err(failed)?,
        };
        let parity = Model::load(bundle).and_then(|model| model.parity(&setting)).map_err(failed)?;
        Ok((tested, parity))
    }
}
