//! The loaded bundle and what it answers: a pure function of the request. Knows no HTTP and no clock.

use artifacts::{Bundle, BundleKind};
use features::{FeatureError, FeatureState, observation};
use market::{Bar, Timestamp};
use models::{Calibration, ModelError, Predictor, Sight, SightError, SplitConformal, row_digest};
use spec::{BundleId, Confidence, Output};

use crate::api::{
    Act, ActRequest, Action, Answer, Description, Detail, PASSES_MAX, PREDICTIONS_MAX, Position, PredictRequest,
    Probabilities, Served,
};
use crate::refusal::{Code, Refusal};

/// Why a bundle cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its network cannot be built or breaks.
    #[error("bundle {bundle} cannot be served")]
    Network {
        /// Which bundle.
        bundle: BundleId,
        /// Why.
        source: ModelError,
    },
    /// Its network cannot see: its features or its encoder cannot be used.
    #[error(transparent)]
    Sight(#[from] SightError),
    /// Its network and its features do not belong together.
    #[error("bundle {bundle}: the network takes {network} values a row, its features make {features}")]
    Mismatch {
        /// Which bundle.
        bundle: BundleId,
        /// Values the network takes.
        network: usize,
        /// Values the features make.
        features: usize,
    },
}

/// A network with what it sees.
#[derive(Debug)]
pub(crate) struct Model {
    predictor: Predictor,
    /// Intervals of a calibrated forecaster.
    split: Option<SplitConformal>,
    sight: Sight,
    description: Description,
}

impl Model {
    /// Loads a bundle and predicts once, so that a broken one is found before the first request.
    pub(crate) fn load(bundle: &Bundle, reference: String) -> Result<Self, LoadError> {
        let id = bundle.id();
        let network = |source| LoadError::Network { bundle: id, source };
        let predictor = Predictor::load(bundle).map_err(network)?;
        let sight = Sight::load(bundle)?;
        let made = sight.input_width() + position_width(&predictor);
        if predictor.input_width() != made {
            return Err(LoadError::Mismatch { bundle: id, network: predictor.input_width(), features: made });
        }
        predictor.predict(&[&vec![0.0; made]]).map_err(network)?;
        let coverage = predictor.calibration().map(|calibration| calibration.coverage);
        let description = Description { coverage, ..describe(bundle, &sight, reference) };
        let split = predictor.calibration().map(Calibration::split);
        Ok(Self { predictor, split, sight, description })
    }

    /// What is served.
    pub(crate) fn description(&self) -> &Description {
        &self.description
    }

    /// Answers a request.
    pub(crate) fn answer(&self, request: PredictRequest) -> Result<Answer, Refusal> {
        let position = self.position(request.position)?;
        let inputs = match (request.bars, request.rows) {
            (Some(bars), None) => self.windows(&bars, last(request.last)?)?,
            (None, Some(rows)) if request.last.is_none() => self.given(rows)?,
            (None, Some(_)) => return Err(invalid("`last` goes with `bars`: every one of `rows` is predicted")),
            (Some(_), Some(_)) | (None, None) => return Err(invalid("send either `bars` or `rows`")),
        };
        let inputs: Vec<Input> = inputs.into_iter().map(|input| self.observe(input, position)).collect();
        let rows: Vec<&[f32]> = inputs.iter().map(|input| &input.values[..]).collect();
        let detail = request.detail.unwrap_or_default();
        self.check_passes(detail, rows.len())?;
        let outputs = self.predictor.predict(&rows).map_err(refused)?;
        let confidence = self.confidence(detail, &rows, &outputs)?;
        let said = inputs.iter().zip(outputs).zip(confidence);
        Ok(Answer {
            predictions: said.map(|((input, output), confidence)| served(input, output, confidence)).collect(),
            artifact: self.predictor.bundle(),
            model: self.description.model.clone(),
        })
    }

    /// Refuses what would keep others waiting.
    fn check_passes(&self, detail: Detail, rows: usize) -> Result<(), Refusal> {
        let passes = match (detail, self.predictor.calibration()) {
            (Detail::Confidence, Some(_)) => self.predictor.views(),
            (Detail::Confidence, None) | (Detail::Forecast, _) => return Ok(()),
        };
        let rows_max = (PASSES_MAX / passes).max(1);
        if rows <= rows_max {
            return Ok(());
        }
        let message = format!(
            "{rows} rows with confidence, {passes} passes each, in one request: send at most {rows_max}, or `detail: forecast`"
        );
        Err(Refusal::new(Code::TooLarge, message))
    }

    /// How far to trust each output, as far as it is asked for and the bundle is calibrated.
    fn confidence(
        &self,
        detail: Detail,
        rows: &[&[f32]],
        outputs: &[Output],
    ) -> Result<Vec<Option<Confidence>>, Refusal> {
        let split = match (detail, &self.split) {
            (Detail::Confidence, Some(split)) => split,
            (Detail::Confidence, None) | (Detail::Forecast, _) => return Ok(vec![None; rows.len()]),
        };
        let each = rows.iter().zip(outputs).map(|(row, output)| {
            let uncertainty = self.predictor.uncertainty(row, output).map_err(refused)?;
            Ok(uncertainty.zip(split.interval(output)).map(|(uncertainty, ends)| uncertainty.within(ends)))
        });
        each.collect()
    }

    fn position(&self, given: Option<Position>) -> Result<observation::Position, Refusal> {
        let takes = position_width(&self.predictor) > 0;
        match given {
            Some(_) if !takes => Err(invalid("`position` is for policies: this model forecasts")),
            Some(Position { exposure, unrealised }) => Ok(observation::Position { exposure, unrealised }),
            None => Ok(observation::Position::default()),
        }
    }

    /// The windows that end with the newest `last` bars.
    fn windows(&self, bars: &[Bar], last: usize) -> Result<Vec<Input>, Refusal> {
        let first = bars.first().ok_or_else(|| invalid("`bars` is empty"))?.time;
        let mut stream = self.sight.for_history(first).map_err(|error| unusable(0, &error))?;
        let mut inputs = Vec::new();
        for (index, bar) in bars.iter().enumerate() {
            stream.advance(bar).map_err(|error| unusable(index, &error))?;
            if bars.len() - index > last {
                continue;
            }
            if let Some(window) = stream.look().map_err(refused)? {
                inputs.push(Input { bar: Some(bar.time), values: window.to_vec() });
            }
        }
        if inputs.is_empty() {
            return Err(Refusal::new(Code::HistoryTooShort, self.needed(bars.len())));
        }
        Ok(inputs)
    }

    fn needed(&self, bars: usize) -> String {
        let FeatureState { window, anchor, .. } = self.sight.features();
        let needed = self.sight.warm_up_bars() + 1;
        format!(
            "history too short: {bars} bars do not fill a window of {window}; send {needed} or more from {anchor} on"
        )
    }

    /// Rows as they were sent, each checked.
    fn given(&self, rows: Vec<Vec<f32>>) -> Result<Vec<Input>, Refusal> {
        if rows.is_empty() {
            return Err(invalid("`rows` is empty"));
        }
        if rows.len() > PREDICTIONS_MAX {
            let message = format!("{} rows in one request: send at most {PREDICTIONS_MAX}", rows.len());
            return Err(Refusal::new(Code::TooLarge, message));
        }
        let (window, width) = (self.sight.features().window, self.sight.width());
        let wanted = window * width;
        if let Some((index, row)) = rows.iter().enumerate().find(|(_, row)| row.len() != wanted) {
            let message = format!(
                "row {index} has {} values: a row is a full window of {window} bars × {width} features = {wanted}",
                row.len()
            );
            return Err(Refusal::new(Code::WrongWidth, message));
        }
        Ok(rows.into_iter().map(|values| Input { bar: None, values }).collect())
    }

    /// What the network sees: a policy sees its own position after the window.
    fn observe(&self, input: Input, position: observation::Position) -> Input {
        if position_width(&self.predictor) == 0 {
            return input;
        }
        let mut values = vec![0.0; self.predictor.input_width()];
        observation::write(&input.values, &position, &mut values);
        Input { values, ..input }
    }
}

/// A row on its way into the network.
struct Input {
    bar: Option<Timestamp>,
    values: Vec<f32>,
}

fn position_width(predictor: &Predictor) -> usize {
    if predictor.spec().observes_position() { observation::POSITION_WIDTH } else { 0 }
}

fn describe(bundle: &Bundle, sight: &Sight, model: String) -> Description {
    let (manifest, features) = (bundle.manifest(), sight.features());
    Description {
        model,
        artifact: bundle.id(),
        kind: manifest.kind,
        trial: manifest.trial.trial.clone(),
        symbols: manifest.trial.data.symbols.first().cloned().into_iter().collect(),
        interval: manifest.trial.data.interval,
        repairs: manifest.trial.data.repairs.clone(),
        window: features.window,
        features: sight.names(),
        encoder: sight.learned().map(|learned| learned.state().version),
        row_values: sight.input_width(),
        anchor: features.anchor,
        at: features.at,
        coverage: None,
    }
}

fn served(input: &Input, output: Output, confidence: Option<Confidence>) -> Served {
    let (bar, row) = (input.bar, row_digest(&input.values));
    match output {
        Output::Forecast { probabilities: [down, flat, up], expected_return, spread, volatility } => {
            let probabilities = Probabilities { down, flat, up };
            Served::Forecast { bar, probabilities, expected_return, spread, volatility, confidence, row }
        }
        Output::Policy { action, probabilities } => Served::Policy { bar, action, probabilities, row },
        Output::Values { action, values } => Served::Values { bar, action, values, row },
        Output::Control { action } => Served::Control { bar, action, row },
    }
}

/// What a policy is asked for the sake of an action.
pub(crate) fn observed(request: ActRequest, kind: BundleKind) -> Result<PredictRequest, Refusal> {
    let ActRequest { bars, row, position } = request;
    match kind {
        BundleKind::Forecaster => Err(invalid("this model forecasts and does not act: use /v1/predict")),
        BundleKind::Policy | BundleKind::Ensemble => {
            if bars.is_some() == row.is_some() {
                return Err(invalid("send either `bars` or `row`"));
            }
            let rows = row.map(|row| vec![row]);
            Ok(PredictRequest { bars, rows, last: None, position: Some(position), detail: None })
        }
    }
}

/// The action in a policy's answer.
pub(crate) fn acted(answer: Answer) -> Result<Act, Refusal> {
    let Answer { mut predictions, artifact, model } = answer;
    let (action, bar, row) = match predictions.pop() {
        Some(Served::Policy { bar, action, row, .. } | Served::Values { bar, action, row, .. }) => {
            (Action::Discrete(action), bar, row)
        }
        Some(Served::Control { bar, action, row }) => (Action::Continuous(action), bar, row),
        // An ensemble of forecasters: its kind does not tell.
        Some(Served::Forecast { .. }) => {
            return Err(invalid("this model forecasts and does not act: use /v1/predict"));
        }
        None => return Err(Refusal::new(Code::Internal, "the model gave no action")),
    };
    Ok(Act { action, bar, row, artifact, model })
}

fn last(asked: Option<usize>) -> Result<usize, Refusal> {
    match asked.unwrap_or(1) {
        last @ 1..=PREDICTIONS_MAX => Ok(last),
        last => Err(invalid(format!("`last` is {last}: use 1 to {PREDICTIONS_MAX}"))),
    }
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(Code::InvalidRequest, message)
}

fn unusable(index: usize, error: &FeatureError) -> Refusal {
    let code = match error {
        FeatureError::HistoryTooShort { .. } => return Refusal::new(Code::HistoryTooShort, error.to_string()),
        FeatureError::Defect { .. } | FeatureError::Extreme { .. } => Code::DefectiveBar,
        FeatureError::OutOfOrder { .. } => Code::BarsOutOfOrder,
        FeatureError::Gap { .. } => Code::MissingBars,
        FeatureError::NoFeatures
        | FeatureError::Parameter { .. }
        | FeatureError::CrossSection { .. }
        | FeatureError::Width { .. } => Code::Internal,
    };
    Refusal::new(code, format!("bars[{index}]: {error}"))
}

fn refused(error: ModelError) -> Refusal {
    let code = match &error {
        ModelError::NotFinite { .. } | ModelError::Output { .. } => Code::NotFinite,
        ModelError::Width { .. } => Code::WrongWidth,
        ModelError::Shape { .. }
        | ModelError::Unknown { .. }
        | ModelError::Kind { .. }
        | ModelError::Calibration { .. }
        | ModelError::Unreadable { .. }
        | ModelError::Tensor { .. }
        | ModelError::Torch(_) => Code::Internal,
    };
    Refusal::new(code, error.to_string())
}
