//! What brings a forecaster's words in line with what comes of them: fitted elsewhere, kept in the bundle, applied here.
//!
//! Every number is a function of the network's output and of `calibration.json`, by a mathematics library of its own, so that
//! a calibrated forecast has the same bits wherever it is made.

use artifacts::Bundle;
use serde::{Deserialize, Serialize};
use spec::{Confidence, Output, QUANTILES, ReturnHead, Spread, TaskSpec};
use statistics::calibration::conformal;

use crate::{Adapted, CLASSES, ModelError, NetworkKind};

/// Format of the file this build writes and reads.
pub const CALIBRATION_FORMAT: u32 = 1;

/// Most scores of a calibration: beyond, the oldest say little of today.
pub const SCORES_MAX: usize = 4_096;

/// Most passes and bars ahead that a spec may ask for, and so a file may hold.
const PASSES_MAX: u32 = 256;
const HORIZON_MAX: u32 = 256;

/// Distance of the outer quantiles of a Gaussian, 5 % and 95 %, in deviations.
const OUTER_DEVIATIONS: f64 = 3.289_707_253_902_945;

/// The calibration of a forecaster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// [`CALIBRATION_FORMAT`] of the writer.
    pub format: u32,
    /// What the logits of the directions are divided by (Guo et al. 2017).
    pub temperature: f32,
    /// What is added to them then (Alexandari et al. 2020): brings the classes back to how often they come, the more the less
    /// of the logits is left. `None`, as in files from before there was one, adds nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias: Option<[f32; CLASSES]>,
    /// What is done to the spread of the return.
    pub spread: SpreadFit,
    /// Share of outcomes that intervals are to hold.
    pub coverage: f64,
    /// Step of adaptive intervals, [`conformal::adapted`], and of adaptive directions.
    pub rate: f64,
    /// Views of the network that doubt is measured by; an ensemble has its members instead.
    pub passes: u32,
    /// Bars from a forecast to its outcome.
    pub horizon: u32,
    /// |outcome − expectation| over the calibrated deviation, of the rows it was fitted on, oldest first.
    pub scores: Vec<f64>,
}

/// How a spread is calibrated.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpreadFit {
    /// The spread that the network says times this: a Gaussian's deviation, or distances of quantiles from the middle one.
    Factor(f32),
    /// The network says a number alone: this deviation goes with it, log return.
    Deviation(f32),
}

/// How sure a network is, as deviations in log return over the horizon. Their squares add up to the calibrated variance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Uncertainty {
    /// Noise in the data: the part that its views say themselves.
    pub aleatoric: f32,
    /// Doubt about the network: the part by which its views differ.
    pub epistemic: f32,
}

/// Where an outcome is to lie, log return over the horizon.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ends {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Share of outcomes that may lie outside.
    pub miss: f64,
}

impl Uncertainty {
    /// Together with an interval, where nothing has moved directions.
    #[must_use]
    pub const fn within(self, ends: Ends) -> Confidence {
        let Self { aleatoric, epistemic } = self;
        Confidence { aleatoric, epistemic, low: ends.low, high: ends.high, miss: ends.miss, probabilities: None }
    }

    /// Together with what has adapted to outcomes.
    #[must_use]
    pub const fn following(self, adapted: Adapted) -> Confidence {
        Confidence { probabilities: Some(adapted.probabilities), ..self.within(adapted.ends) }
    }
}

impl Calibration {
    /// That of a bundle; `None` where it has none.
    ///
    /// # Errors
    /// [`ModelError::Calibration`] when the file is not one of this build, holds what no fit gives, or was fitted on another
    /// horizon than the network's.
    pub fn of(bundle: &Bundle) -> Result<Option<Self>, ModelError> {
        let Some(bytes) = bundle.calibration() else { return Ok(None) };
        let unusable = |why: String| ModelError::Calibration { bundle: bundle.id(), why };
        let read: Self = serde_json::from_slice(bytes).map_err(|error| unusable(error.to_string()))?;
        if let Some(why) = read.fault() {
            return Err(unusable(why.to_owned()));
        }
        if let TaskSpec::Supervised(task) = &bundle.manifest().trial.task
            && task.horizon != read.horizon
        {
            let (fitted, own) = (read.horizon, task.horizon);
            return Err(unusable(format!("it was fitted {fitted} bars ahead, and the network looks {own} ahead")));
        }
        Ok(Some(read))
    }

    /// What it has against a network: that is of another kind than the one it was fitted on.
    pub(crate) const fn misfit(&self, kind: NetworkKind) -> Option<&'static str> {
        let returns = match kind {
            NetworkKind::Policy { .. } => return Some("it is no forecaster's"),
            NetworkKind::Forecaster => ReturnHead::Point,
            NetworkKind::MultiTask { heads } => heads.returns,
        };
        match (self.spread, returns) {
            (SpreadFit::Factor(_), ReturnHead::Gaussian | ReturnHead::Quantiles)
            | (SpreadFit::Deviation(_), ReturnHead::Point) => None,
            (SpreadFit::Factor(_), ReturnHead::Point) => Some("it widens a spread, and the network says none"),
            (SpreadFit::Deviation(_), ReturnHead::Gaussian | ReturnHead::Quantiles) => {
                Some("it brings a spread, and the network says its own")
            }
        }
    }

    /// What makes it unusable: a number that no sound fit gives.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        let positive = |value: f32| value.is_finite() && value > 0.0;
        let spread = match self.spread {
            SpreadFit::Factor(value) | SpreadFit::Deviation(value) => positive(value),
        };
        [
            (self.format == CALIBRATION_FORMAT, "its format is unknown"),
            (positive(self.temperature), "its temperature is no positive number"),
            (self.bias.is_none_or(|bias| bias.iter().all(|part| part.is_finite())), "its bias is no number"),
            (spread, "its spread is no positive number"),
            ((0.0..1.0).contains(&self.coverage), "its coverage is no share"),
            ((0.0..=1.0).contains(&self.rate), "its rate is no share"),
            ((1..=PASSES_MAX).contains(&self.passes), "it has no passes, or too many"),
            ((1..=HORIZON_MAX).contains(&self.horizon), "it has no horizon, or one beyond any"),
            ((1..=SCORES_MAX).contains(&self.scores.len()), "it has no scores, or too many"),
            (self.scores.iter().all(|score| score.is_finite() && *score >= 0.0), "a score is no distance"),
        ]
        .into_iter()
        .find_map(|(sound, why)| (!sound).then_some(why))
    }

    /// The calibrated output. What is no forecast stays as it is.
    #[must_use]
    pub fn apply(&self, output: Output) -> Output {
        match output {
            Output::Forecast { probabilities, expected_return, spread, volatility } => Output::Forecast {
                probabilities: tempered(probabilities, self.temperature, self.bias.unwrap_or_default()),
                expected_return,
                spread: Some(self.spread.apply(expected_return, spread)),
                volatility,
            },
            Output::Policy { .. } | Output::Values { .. } | Output::Control { .. } => output,
        }
    }

    /// Intervals by the scores of the fit alone (split conformal).
    #[must_use]
    pub fn split(&self) -> SplitConformal {
        let mut sorted = self.scores.clone();
        sorted.sort_by(f64::total_cmp);
        SplitConformal { sorted, miss: 1.0 - self.coverage }
    }

    /// The variance of a calibrated output in two parts, in the ratio of the mean of the variances that its views say and the
    /// variance of what they expect; weights sum to 1. `None` for what has no spread.
    pub(crate) fn divided(&self, said: &Output, views: Vec<(Output, f64)>) -> Option<Uncertainty> {
        let (_, deviation) = moments(said)?;
        let views: Vec<_> = match self.spread {
            SpreadFit::Factor(_) => views,
            // A point says no variance of its own: the one that was fitted goes with each.
            SpreadFit::Deviation(_) => views.into_iter().map(|(view, weight)| (self.apply(view), weight)).collect(),
        };
        let (noise, doubt) = variances(&views)?;
        let part = |variance: f64| (deviation * (variance / (noise + doubt)).sqrt()) as f32;
        Some(Uncertainty { aleatoric: part(noise), epistemic: part(doubt) })
    }
}

/// Intervals that are as wide, in deviations, as those that held their share of the rows of the fit.
#[derive(Clone, Debug, PartialEq)]
pub struct SplitConformal {
    /// Scores, from the least on.
    sorted: Vec<f64>,
    miss: f64,
}

impl SplitConformal {
    /// The interval of a calibrated output; `None` for what is no forecast.
    #[must_use]
    pub fn interval(&self, output: &Output) -> Option<Ends> {
        ends(output, &self.sorted, self.miss)
    }
}

impl SpreadFit {
    fn apply(self, expected: f32, spread: Option<Spread>) -> Spread {
        match (self, spread) {
            (Self::Deviation(deviation), _) | (Self::Factor(deviation), None) => Spread::Deviation(deviation),
            (Self::Factor(factor), Some(Spread::Deviation(deviation))) => Spread::Deviation(factor * deviation),
            (Self::Factor(factor), Some(Spread::Quantiles(quantiles))) => {
                Spread::Quantiles(quantiles.map(|quantile| expected + factor * (quantile - expected)))
            }
        }
    }
}

/// Expectation and deviation of a forecast with a spread, log return. Of quantiles, the deviation that a Gaussian with the
/// outer ones has.
#[must_use]
pub fn moments(output: &Output) -> Option<(f64, f64)> {
    let Output::Forecast { expected_return, spread: Some(spread), .. } = output else { return None };
    let deviation = match spread {
        Spread::Deviation(deviation) => f64::from(*deviation),
        Spread::Quantiles(quantiles) => f64::from(quantiles[QUANTILES.len() - 1] - quantiles[0]) / OUTER_DEVIATIONS,
    };
    // Quantiles may meet where 32 bits cannot tell them apart.
    Some((f64::from(*expected_return), deviation.max(f64::from(f32::MIN_POSITIVE))))
}

/// The interval that scores sorted from the least on ask for.
pub(crate) fn ends(output: &Output, sorted: &[f64], miss: f64) -> Option<Ends> {
    let (expected, deviation) = moments(output)?;
    let reach = conformal::reach(sorted, miss) * deviation;
    Some(Ends { low: expected - reach, high: expected + reach, miss })
}

/// Mean of the variances and variance of the means of a network's views. `None` where one says no spread.
fn variances(views: &[(Output, f64)]) -> Option<(f64, f64)> {
    let all: Vec<(f64, f64, f64)> = views
        .iter()
        .map(|(view, weight)| moments(view).map(|(mean, deviation)| (mean, deviation * deviation, *weight)))
        .collect::<Option<_>>()?;
    let centre: f64 = all.iter().map(|(mean, _, weight)| weight * mean).sum();
    let noise = all.iter().map(|(_, variance, weight)| weight * variance).sum();
    let doubt = all.iter().map(|(mean, _, weight)| weight * (mean - centre) * (mean - centre)).sum();
    Some((noise, doubt))
}

/// softmax(ln p / T + bias), which is softmax(logits / T + bias). Without a bias zeros are added, which change no bit of what
/// comes out.
fn tempered(probabilities: [f32; CLASSES], temperature: f32, bias: [f32; CLASSES]) -> [f32; CLASSES] {
    let mut logs = probabilities.map(|probability| libm::logf(probability) / temperature);
    logs.iter_mut().zip(bias).for_each(|(log, bias)| *log += bias);
    let most = logs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers = logs.map(|log| libm::expf(log - most));
    let sum: f32 = powers.iter().sum();
    powers.map(|power| power / sum)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn calibration() -> Calibration {
        Calibration {
            format: CALIBRATION_FORMAT,
            temperature: 2.0,
            bias: None,
            spread: SpreadFit::Factor(1.5),
            coverage: 0.9,
            rate: 0.05,
            passes: 16,
            horizon: 1,
            scores: (1..=99).map(|place| f64::from(place) / 50.0).collect(),
        }
    }

    pub(crate) fn forecast(expected_return: f32, spread: Option<Spread>) -> Output {
        Output::Forecast { probabilities: [0.1, 0.2, 0.7], expected_return, spread, volatility: Some(0.01) }
    }

    #[test]
    fn a_temperature_divides_logits_and_a_factor_widens_spreads_around_their_middle() {
        let fitted = calibration();
        let Output::Forecast { probabilities, spread, volatility, .. } =
            fitted.apply(forecast(0.01, Some(Spread::Deviation(0.02))))
        else {
            panic!("a forecast stays one")
        };
        // √p over the sum of √p.
        let roots = [0.1f32, 0.2, 0.7].map(f32::sqrt);
        let sum: f32 = roots.iter().sum();
        assert!(probabilities.iter().zip(roots).all(|(p, root)| (p - root / sum).abs() < 1e-6), "{probabilities:?}");
        assert_eq!((spread, volatility), (Some(Spread::Deviation(0.03)), Some(0.01)));
        let fan = Spread::Quantiles([-0.03, 0.0, 0.01, 0.02, 0.05]);
        let Output::Forecast { spread: Some(Spread::Quantiles(wider)), .. } = fitted.apply(forecast(0.01, Some(fan)))
        else {
            panic!("quantiles stay quantiles")
        };
        let expected = [-0.05, -0.005, 0.01, 0.025, 0.07];
        assert!(wider.iter().zip(expected).all(|(ours, theirs)| (ours - theirs).abs() < 1e-7), "{wider:?}");
    }

    #[test]
    fn a_bias_moves_directions_to_where_they_come_from() {
        // Half the evidence against base rates: p/base to the half, times base.
        let base = [0.25f32, 0.5, 0.25];
        let fitted = Calibration { bias: Some(base.map(|share| share.ln() / 2.0)), ..calibration() };
        let Output::Forecast { probabilities, .. } = fitted.apply(forecast(0.01, None)) else {
            panic!("a forecast stays one")
        };
        let parts: [f32; CLASSES] = std::array::from_fn(|class| ([0.1f32, 0.2, 0.7][class] * base[class]).sqrt());
        let sum: f32 = parts.iter().sum();
        assert!(probabilities.iter().zip(parts).all(|(p, part)| (p - part / sum).abs() < 1e-6), "{probabilities:?}");
    }

    /// As builds before the bias wrote it, in canonical JSON.
    const BEFORE: &str = concat!(
        r#"{"coverage":0.9,"format":1,"horizon":1,"passes":16,"rate":0.05,"scores":[0.5,1.5],"#,
        r#""spread":{"factor":1.5},"temperature":1.5}"#
    );

    #[test]
    fn a_file_from_before_the_bias_reads_writes_and_calibrates_as_it_did() {
        let read: Calibration = serde_json::from_str(BEFORE).unwrap();
        assert_eq!((read.bias, read.fault()), (None, None));
        assert_eq!(spec::canonical_json(&read), BEFORE.as_bytes(), "its digest stays");
        for said in [[0.1, 0.2, 0.7], [0.0, 1.0, 0.0], [1.0 / 3.0; 3]] {
            let output = Output::Forecast {
                probabilities: said,
                expected_return: 0.01,
                spread: Some(Spread::Deviation(0.02)),
                volatility: None,
            };
            let Output::Forecast { probabilities, .. } = read.apply(output) else { panic!("a forecast stays one") };
            // The formula of those builds, word for word.
            let logs = said.map(|probability| libm::logf(probability) / 1.5);
            let most = logs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let powers = logs.map(|log| libm::expf(log - most));
            let sum: f32 = powers.iter().sum();
            assert_eq!(probabilities.map(f32::to_bits), powers.map(|power| (power / sum).to_bits()));
        }
    }

    #[test]
    fn a_point_gets_a_deviation_and_what_is_no_forecast_nothing() {
        let fitted = Calibration { spread: SpreadFit::Deviation(0.04), ..calibration() };
        assert_eq!(moments(&fitted.apply(forecast(0.01, None))), Some((f64::from(0.01f32), f64::from(0.04f32))));
        let action = Output::Control { action: vec![0.5] };
        assert_eq!((fitted.apply(action.clone()), fitted.split().interval(&action)), (action, None));
        assert_eq!(fitted.split().interval(&forecast(0.01, None)), None, "without a spread there is no interval");
    }

    #[test]
    fn an_interval_reaches_as_far_as_the_scores_say_in_deviations() {
        // 100 × 0.9 = 90: the 90th of 99 scores is 1.8.
        let ends = calibration().split().interval(&forecast(0.5, Some(Spread::Deviation(0.25)))).unwrap();
        assert!((ends.low - (0.5 - 0.45)).abs() < 1e-12 && (ends.high - 0.95).abs() < 1e-12, "{ends:?}");
        assert!((ends.miss - 0.1).abs() < 1e-12);
    }

    #[test]
    fn variance_is_that_of_the_views_and_that_between_them() {
        let view = |mean: f32, deviation: f32| forecast(mean, Some(Spread::Deviation(deviation)));
        let near = |found: Option<(f64, f64)>, noise: f64, doubt: f64| {
            found.is_some_and(|(n, d)| (n - noise).abs() < 1e-6 && (d - doubt).abs() < 1e-6)
        };
        assert!(near(variances(&[(view(1.0, 3.0), 0.5), (view(3.0, 5.0), 0.5)]), 17.0, 1.0));
        assert!(near(variances(&[(view(1.0, 3.0), 0.75), (view(5.0, 3.0), 0.25)]), 9.0, 3.0));
        assert_eq!(variances(&[(forecast(1.0, None), 1.0)]), None);
    }

    #[test]
    fn noise_and_doubt_add_up_to_the_calibrated_variance() {
        let spreads = [0.03, 0.05].map(|deviation| Some(Spread::Deviation(deviation)));
        let fans = [0.03, 0.05].map(|reach| Some(Spread::Quantiles([-reach, -0.01, 0.0, 0.01, reach])));
        let factor = calibration();
        let point = Calibration { spread: SpreadFit::Deviation(0.04), ..calibration() };
        for (fitted, [first, second]) in [(&factor, spreads), (&factor, fans), (&point, [None, None])] {
            let said = fitted.apply(forecast(0.02, first));
            let parts =
                fitted.divided(&said, vec![(forecast(0.01, first), 0.5), (forecast(0.03, second), 0.5)]).unwrap();
            let variance = f64::from(parts.aleatoric).powi(2) + f64::from(parts.epistemic).powi(2);
            let (_, whole) = moments(&said).unwrap();
            assert!((variance.sqrt() / whole - 1.0).abs() < 1e-6, "{parts:?} are not {whole}");
            assert!(parts.epistemic > 0.0 && parts.aleatoric > parts.epistemic, "{parts:?}");
            let sure =
                fitted.divided(&said, vec![(forecast(0.01, first), 0.5), (forecast(0.01, second), 0.5)]).unwrap();
            assert!(sure.epistemic < 1e-6 * sure.aleatoric, "who agrees does not doubt: {sure:?}");
        }
    }

    #[test]
    fn what_no_fit_gives_is_named() {
        let broken = [
            Calibration { format: 2, ..calibration() },
            Calibration { temperature: 0.0, ..calibration() },
            Calibration { bias: Some([0.0, f32::NAN, 0.0]), ..calibration() },
            Calibration { spread: SpreadFit::Factor(f32::NAN), ..calibration() },
            Calibration { coverage: 1.0, ..calibration() },
            Calibration { rate: -0.1, ..calibration() },
            Calibration { passes: 0, ..calibration() },
            Calibration { passes: PASSES_MAX + 1, ..calibration() },
            Calibration { horizon: 0, ..calibration() },
            Calibration { horizon: HORIZON_MAX + 1, ..calibration() },
            Calibration { scores: Vec::new(), ..calibration() },
            Calibration { scores: vec![-1.0], ..calibration() },
        ];
        let said: std::collections::BTreeSet<_> = broken.iter().map(|broken| broken.fault().unwrap()).collect();
        assert_eq!((said.len(), calibration().fault()), (10, None), "each has a diagnosis of its own: {said:?}");
    }
}
