//! How well a calibrated bundle lies on bars that it was not fitted on.

use dataset::outcome::Directions;
use models::{Adapted, Adaptive, CLASSES, Ends, moments};
use serde::{Deserialize, Serialize};
use spec::{Output, QUANTILES, Spread, SupervisedSpec};
use statistics::bootstrap::Blocks;
use statistics::calibration::coverage::binomial_band;
use statistics::calibration::reliability::{self, Named};
use statistics::calibration::scores::{brier, crps_gaussian, crps_quantiles};

use super::CalibrationError;
use super::rows::{Row, rows};
use crate::{Model, Setting};

/// Bins of calibration errors.
const BINS: usize = 15;

/// Mean block and number of resampled series of an interval. Outcomes over a horizon overlap, and calm follows calm.
const BLOCK_BARS: f64 = 20.0;
const RESAMPLED: usize = 1_000;
const INTERVAL: f64 = 0.95;

/// Chance that the band of a coverage allows for.
const BAND: f64 = 0.99;

/// Bars whose deviation says whether times are calm or wild.
const VOLATILITY_BARS: usize = 20;

/// A calibrated bundle against what came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationFigures {
    /// Rows with an outcome.
    pub rows: usize,
    /// Of the network itself.
    pub before: ScoreFigures,
    /// Of the calibrated forecasts.
    pub after: ScoreFigures,
    /// 95 % block bootstrap interval of the debiased error after calibration.
    pub ece_interval: [f64; 2],
    /// Share of outcomes that intervals are to hold.
    pub coverage: f64,
    /// Of intervals by the validation rows alone.
    pub split: CoverageFigures,
    /// Of directions that adapt from bar to bar; `None` where none moved, and in figures from before there were such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub followed: Option<FollowedFigures>,
    /// Of intervals that adapt from bar to bar.
    pub adaptive: CoverageFigures,
    /// The same of the calm, the middle and the wild third of rows, by the deviation of the 20 returns before each.
    pub terciles: [CoverageFigures; 3],
    /// Mean deviation that more training would not remove, log return.
    pub aleatoric: f64,
    /// Mean doubt of the network about itself, log return.
    pub epistemic: f64,
    /// Probabilities against frequencies, after calibration.
    pub reliability: Vec<ReliabilityBin>,
}

/// Scores of forecasts. Less is better.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreFigures {
    /// Expected calibration error of the most probable direction over 15 bins.
    pub ece: f64,
    /// The same less what the noise of the counts explains.
    pub ece_debiased: f64,
    /// Brier score of the direction, 0 to 2.
    pub brier: f64,
    /// Mean continuous ranked probability score of the return, log return: of a Gaussian in closed form, of quantiles by their
    /// pinball losses, of a point its absolute miss.
    pub crps: f64,
}

/// Scores of directions that follow how often each comes. Less is better.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FollowedFigures {
    /// As [`ScoreFigures::ece`].
    pub ece: f64,
    /// As [`ScoreFigures::ece_debiased`].
    pub ece_debiased: f64,
    /// As [`ScoreFigures::brier`].
    pub brier: f64,
    /// Probabilities against frequencies.
    pub reliability: Vec<ReliabilityBin>,
}

/// How many outcomes intervals hold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoverageFigures {
    /// Rows.
    pub rows: usize,
    /// Share of outcomes inside.
    pub covered: f64,
    /// What chance allows around the share asked for, with 99 % probability, if outcomes were independent.
    pub band: [f64; 2],
    /// Mean width, log return.
    pub width: f64,
}

/// Rows whose probabilities lie close together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReliabilityBin {
    /// How many.
    pub count: usize,
    /// Mean probability of the direction named.
    pub confidence: f64,
    /// Share of them in which it came.
    pub frequency: f64,
}

impl Model {
    /// Judges a calibrated bundle on the bars of `setting`; `None` without a calibration, or where there is no row for each
    /// third.
    ///
    /// # Errors
    /// [`CalibrationError::Backtest`] when a forecast cannot be made.
    pub fn calibration(
        &self,
        setting: &Setting<'_>,
        task: &SupervisedSpec,
    ) -> Result<Option<CalibrationFigures>, CalibrationError> {
        let calibrated = self.predictor.calibration().zip(self.predictor.return_unit());
        let Some((calibration, unit)) = calibrated else { return Ok(None) };
        let (mut aleatoric, mut epistemic) = (0.0, 0.0);
        let rows = rows(self, setting, task, |window, said| {
            if let Some(parts) = self.predictor.uncertainty(window, &calibration.apply(said.clone()))? {
                aleatoric += f64::from(parts.aleatoric);
                epistemic += f64::from(parts.epistemic);
            }
            Ok(())
        })?;
        if rows.len() < 3 {
            return Ok(None);
        }
        let raw: Vec<Output> = rows.iter().map(|row| row.said.clone()).collect();
        let said: Vec<Output> = raw.iter().map(|output| calibration.apply(output.clone())).collect();
        let named = named(&rows, &directions(&said));
        let around =
            reliability::interval(&named, BINS, Blocks::Stationary(BLOCK_BARS), (RESAMPLED, INTERVAL), &mut uniforms());
        let conformal = calibration.split();
        let split: Vec<Ends> = said.iter().filter_map(|said| conformal.interval(said)).collect();
        let state = (Adaptive::new(calibration), Directions::new(task, unit));
        let adapted = adapted(state, setting, &rows, &said);
        let adaptive: Vec<Ends> = adapted.iter().map(|adapted| adapted.ends).collect();
        let followed: Vec<_> = adapted.iter().map(|adapted| adapted.probabilities.map(f64::from)).collect();
        let held = |ends: &[Ends], places: &[usize]| coverage(calibration.coverage, &rows, ends, places);
        let all: Vec<usize> = (0..rows.len()).collect();
        Ok(Some(CalibrationFigures {
            rows: rows.len(),
            before: ScoreFigures::of(&rows, &raw),
            after: ScoreFigures::of(&rows, &said),
            ece_interval: [around.low, around.high],
            coverage: calibration.coverage,
            split: held(&split, &all),
            followed: (followed != directions(&said)).then(|| FollowedFigures::of(&rows, &followed)),
            adaptive: held(&adaptive, &all),
            terciles: thirds(setting, &rows).map(|places| held(&adaptive, &places)),
            aleatoric: aleatoric / rows.len() as f64,
            epistemic: epistemic / rows.len() as f64,
            reliability: drawn(reliability::bins(&named, BINS)),
        }))
    }
}

impl ScoreFigures {
    /// Of what was `said` of each of `rows`.
    pub(super) fn of(rows: &[Row], said: &[Output]) -> Self {
        let directions = directions(said);
        let bins = reliability::bins(&named(rows, &directions), BINS);
        let crps: f64 = rows.iter().zip(said).map(|(row, said)| crps(said, row.outcome)).sum();
        Self {
            ece: reliability::error(&bins),
            ece_debiased: reliability::debiased(&bins),
            brier: mean_brier(rows, &directions),
            crps: crps / rows.len() as f64,
        }
    }
}

impl FollowedFigures {
    /// Of the probabilities of each of `rows`.
    fn of(rows: &[Row], followed: &[[f64; CLASSES]]) -> Self {
        let bins = reliability::bins(&named(rows, followed), BINS);
        Self {
            ece: reliability::error(&bins),
            ece_debiased: reliability::debiased(&bins),
            brier: mean_brier(rows, followed),
            reliability: drawn(bins),
        }
    }
}

/// Bins as figures keep them.
fn drawn(bins: Vec<reliability::Bin>) -> Vec<ReliabilityBin> {
    let bin = |bin: reliability::Bin| ReliabilityBin {
        count: bin.count,
        confidence: bin.confidence,
        frequency: bin.frequency,
    };
    bins.into_iter().map(bin).collect()
}

/// Probabilities of the directions.
fn directions(said: &[Output]) -> Vec<[f64; CLASSES]> {
    let of = |said: &Output| match said {
        Output::Forecast { probabilities, .. } => probabilities.map(f64::from),
        Output::Policy { .. } | Output::Values { .. } | Output::Control { .. } => [f64::NAN; CLASSES],
    };
    said.iter().map(of).collect()
}

fn mean_brier(rows: &[Row], said: &[[f64; CLASSES]]) -> f64 {
    let sum: f64 = rows.iter().zip(said).map(|(row, said)| brier(said, usize::from(row.class))).sum();
    sum / rows.len() as f64
}

fn crps(said: &Output, outcome: f64) -> f64 {
    match said {
        Output::Forecast { spread: Some(Spread::Quantiles(quantiles)), .. } => {
            crps_quantiles(&quantiles.map(f64::from), &QUANTILES.map(f64::from), outcome)
        }
        Output::Forecast { spread: Some(Spread::Deviation(_)), .. } => {
            moments(said).map_or(f64::NAN, |moments| crps_gaussian(moments, outcome))
        }
        Output::Forecast { spread: None, expected_return, .. } => (outcome - f64::from(*expected_return)).abs(),
        Output::Policy { .. } | Output::Values { .. } | Output::Control { .. } => f64::NAN,
    }
}

/// The probability of the direction named, the most probable one, and whether it came.
fn named(rows: &[Row], said: &[[f64; CLASSES]]) -> Vec<Named> {
    let of = |(row, probabilities): (&Row, &[f64; CLASSES])| {
        let most = probabilities.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // The first of equals.
        let class = probabilities.iter().position(|probability| *probability == most);
        (most.clamp(0.0, 1.0), class == Some(usize::from(row.class)))
    };
    rows.iter().zip(said).map(of).collect()
}

/// What becomes of each row's forecast, from the first bar of the range on, as a live session over the same bars has it.
fn adapted(
    (mut state, mut directions): (Adaptive, Directions),
    setting: &Setting<'_>,
    rows: &[Row],
    said: &[Output],
) -> Vec<Adapted> {
    let (bars, mut next) = (&setting.dataset.bars, setting.range.start);
    let mut adapted = Vec::with_capacity(rows.len());
    for (row, said) in rows.iter().zip(said) {
        for bar in &bars[next..=row.bar] {
            state.close(bar.close, directions.close(bar.close));
        }
        next = row.bar + 1;
        adapted.extend(state.forecast(bars[row.bar].close, said));
    }
    adapted
}

fn coverage(wanted: f64, rows: &[Row], ends: &[Ends], places: &[usize]) -> CoverageFigures {
    let count = places.len() as f64;
    let inside = |place: &&usize| (ends[**place].low..=ends[**place].high).contains(&rows[**place].outcome);
    let width: f64 = places.iter().map(|place| ends[*place].high - ends[*place].low).sum();
    let (low, high) = binomial_band(places.len() as u64, wanted, BAND);
    CoverageFigures {
        rows: places.len(),
        covered: places.iter().filter(inside).count() as f64 / count,
        band: [low, high],
        width: width / count,
    }
}

/// Places of the calm, the middle and the wild third.
fn thirds(setting: &Setting<'_>, rows: &[Row]) -> [Vec<usize>; 3] {
    let volatility = |row: &Row| dataset::outcome::trailing_deviation(&setting.dataset.bars, row.bar, VOLATILITY_BARS);
    let mut order: Vec<(f64, usize)> = rows.iter().enumerate().map(|(place, row)| (volatility(row), place)).collect();
    order.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
    let edge = |third: usize| third * order.len() / 3;
    std::array::from_fn(|third| order[edge(third)..edge(third + 1)].iter().map(|(_, place)| *place).collect())
}

/// Numbers in [0, 1), always the same: SplitMix64 (Steele et al. 2014).
fn uniforms() -> impl FnMut() -> f64 {
    let mut state = 0_u64;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}
