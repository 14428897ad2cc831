//! The one way a prediction is made. A row's bits depend on nothing but the row.

mod encoder;
mod inspector;

use std::fmt;
use std::sync::{Mutex, PoisonError};

use artifacts::{Bundle, BundleKind};
use market::Timestamp;
use neural::sequence::Purpose;
use neural::{Dropout, Layout, Vectors};
use spec::{BundleId, Digest, Output, Prediction, Spread};

use crate::ensemble::Ensemble;
use crate::{
    Calibration, Forecaster, ForecasterPanels, ForecasterTape, ModelError, NetworkKind, NetworkSpec, PolicyHead,
    PolicyNetwork, PolicyTape, Scales, Uncertainty, assign_flat, weights,
};

pub use inspector::{Inspector, Target};

/// Rows a policy computes at a time, always. Its kernels round differently for different batch sizes, so every batch is cut
/// into tiles of this size and the last one filled with zeros. Small, since a live decision pays for a whole tile.
pub const TILE: usize = 8;

/// Rows, or passes over one, that a forecaster computes at a time at most. Its kernels round each row alike in any company,
/// so there is nothing to fill up.
const ROWS: usize = 32;

/// Rows that it is asked about at a time: what a layer leaves of so many is still in the second cache, beside the weights,
/// when the next one reads it.
const ASKED: usize = 16;

/// How many of some rows are asked about at a time: parts of one size, give or take a row, since a row alone takes longer.
fn together(rows: usize) -> usize {
    rows.div_ceil(rows.div_ceil(ASKED).max(1)).max(1)
}

/// A network with its weights.
enum Network {
    Forecaster(Box<Asked>),
    /// The tape is scratch: what an answer is depends on nothing left in it.
    Policy {
        network: Box<PolicyNetwork>,
        weights: Vec<f32>,
        tape: Box<Mutex<PolicyTape>>,
    },
    Ensemble(Ensemble),
}

/// A forecaster with its weights. The tape is scratch, as a policy's.
struct Asked {
    network: Forecaster,
    weights: Vec<f32>,
    panels: ForecasterPanels,
    scales: Scales,
    vectors: Vectors,
    tape: Mutex<ForecasterTape>,
}

impl Asked {
    fn new(spec: &NetworkSpec, bytes: &[u8], vectors: Vectors) -> Result<Self, ModelError> {
        let mut layout = Layout::default();
        let network = Forecaster::new(&mut layout, spec)?;
        let (weights, scales) = network.assign(&layout, weights::unpack(bytes)?)?;
        let mut panels = network.panels();
        network.pack(&weights, &mut panels);
        let tape = Mutex::new(network.tape(ROWS, Purpose::Asking));
        Ok(Self { network, weights, panels, scales, vectors, tape })
    }

    /// Adds what is said of some rows, at most [`ROWS`] of them and of passes.
    fn answer(
        &self,
        rows: &[f32],
        count: usize,
        dropout: Dropout<'_>,
        said: &mut Vec<Output>,
    ) -> Result<(), ModelError> {
        let mut tape = self.tape.lock().unwrap_or_else(PoisonError::into_inner);
        self.network.forward(self.vectors, (&self.weights, &self.panels), (rows, count, dropout), &mut tape);
        for row in tape.outputs(dropout.outputs(count)).chunks_exact(self.network.outputs()) {
            let output = self.network.read(row, self.scales);
            if !is_finite(&output) {
                return Err(ModelError::Output { row: said.len() });
            }
            said.push(output);
        }
        Ok(())
    }
}

/// A network with its weights, ready to be asked.
pub struct Predictor {
    spec: NetworkSpec,
    network: Network,
    calibration: Option<Calibration>,
    bundle: BundleId,
}

impl fmt::Debug for Predictor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Predictor").field("bundle", &self.bundle).field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl Predictor {
    /// The network of a bundle, with its calibration where it has one.
    ///
    /// # Errors
    /// [`ModelError`] when the manifest names a network this build does not know, the weights are not its, or the calibration
    /// cannot be used.
    pub fn load(bundle: &Bundle) -> Result<Self, ModelError> {
        let calibration = Calibration::of(bundle)?;
        let bare = Self::uncalibrated(bundle)?;
        if let Some(why) = calibration.as_ref().and_then(|calibration| calibration.misfit(bare.spec().kind)) {
            return Err(ModelError::Calibration { bundle: bundle.id(), why: why.to_owned() });
        }
        Ok(Self { calibration, ..bare })
    }

    fn uncalibrated(bundle: &Bundle) -> Result<Self, ModelError> {
        let (id, manifest) = (bundle.id(), bundle.manifest());
        if manifest.kind == BundleKind::Ensemble {
            let ensemble = Ensemble::load(bundle)?;
            let spec = ensemble.spec().clone();
            return Ok(Self { spec, network: Network::Ensemble(ensemble), calibration: None, bundle: id });
        }
        let spec: NetworkSpec = serde_json::from_value(manifest.network.clone())
            .map_err(|error| ModelError::Unknown { bundle: id, why: error.to_string() })?;
        match (manifest.kind, spec.kind) {
            (BundleKind::Forecaster, NetworkKind::Forecaster | NetworkKind::MultiTask { .. })
            | (BundleKind::Policy, NetworkKind::Policy { .. }) => {}
            (kind, NetworkKind::Forecaster | NetworkKind::MultiTask { .. }) => {
                return Err(ModelError::Kind { bundle: id, kind, network: "forecaster" });
            }
            (kind, NetworkKind::Policy { .. }) => {
                return Err(ModelError::Kind { bundle: id, kind, network: "policy" });
            }
        }
        let missing = || ModelError::Unknown { bundle: id, why: "it has no weights".to_owned() };
        Self::from_parts(&spec, bundle.weights().ok_or_else(missing)?, id)
    }

    /// A network from its parts, before it is a bundle's. `bundle` goes into its predictions as it is.
    ///
    /// # Errors
    /// [`ModelError`] when the shape is out of range or the weights are not its.
    pub fn from_parts(spec: &NetworkSpec, bytes: &[u8], bundle: BundleId) -> Result<Self, ModelError> {
        Self::on(spec, bytes, bundle, Vectors::default())
    }

    /// As [`Predictor::from_parts`], a forecaster on these vectors. Its answers do not depend on them.
    ///
    /// # Errors
    /// As [`Predictor::from_parts`].
    pub fn on(spec: &NetworkSpec, bytes: &[u8], bundle: BundleId, vectors: Vectors) -> Result<Self, ModelError> {
        let network = match spec.kind {
            NetworkKind::Forecaster | NetworkKind::MultiTask { .. } => {
                Network::Forecaster(Box::new(Asked::new(spec, bytes, vectors)?))
            }
            NetworkKind::Policy { .. } => {
                let mut layout = Layout::default();
                let network = Box::new(PolicyNetwork::new(&mut layout, spec)?);
                let weights = assign_flat(&layout, weights::unpack(bytes)?)?;
                let tape = Box::new(Mutex::new(network.tape(TILE)));
                Network::Policy { network, weights, tape }
            }
        };
        Ok(Self { spec: spec.clone(), network, calibration: None, bundle })
    }

    /// The network's shape; an ensemble's first member's.
    #[must_use]
    pub fn spec(&self) -> &NetworkSpec {
        &self.spec
    }

    /// The artifact it was loaded from.
    #[must_use]
    pub fn bundle(&self) -> BundleId {
        self.bundle
    }

    /// Values of a row.
    #[must_use]
    pub fn input_width(&self) -> usize {
        self.spec.input_width()
    }

    /// Whether it forecasts; else it acts.
    #[must_use]
    pub const fn forecasts(&self) -> bool {
        !self.spec.observes_position()
    }

    /// Its calibration, where its bundle has one.
    #[must_use]
    pub const fn calibration(&self) -> Option<&Calibration> {
        self.calibration.as_ref()
    }

    /// Log return of one unit of the labels that a forecaster learned: their deviation in the training split. An ensemble's
    /// first member's; `None` for what acts.
    #[must_use]
    pub fn return_unit(&self) -> Option<f64> {
        match &self.network {
            Network::Forecaster(asked) => Some(f64::from(asked.scales.returns)),
            Network::Ensemble(ensemble) => ensemble.return_unit(),
            Network::Policy { .. } => None,
        }
    }

    /// What is said of each row, calibrated where there is a calibration. The bits of an output depend on its row alone, not
    /// on the others or on the row's place among them.
    ///
    /// # Shapes
    /// Each row: `[input_width]`; a window is row-major, oldest bar first.
    ///
    /// # Errors
    /// [`ModelError::Width`], [`ModelError::NotFinite`] for a bad row; [`ModelError::Output`] when the network breaks on one.
    pub fn predict(&self, rows: &[&[f32]]) -> Result<Vec<Output>, ModelError> {
        let outputs = self.outputs(rows)?;
        Ok(match &self.calibration {
            Some(calibration) => outputs.into_iter().map(|output| calibration.apply(output)).collect(),
            None => outputs,
        })
    }

    /// What the network itself puts out for each row, before any calibration.
    ///
    /// # Errors
    /// As [`Predictor::predict`].
    pub fn outputs(&self, rows: &[&[f32]]) -> Result<Vec<Output>, ModelError> {
        self.check(rows)?;
        let mut outputs = Vec::with_capacity(rows.len());
        match &self.network {
            Network::Forecaster(asked) => {
                for chunk in rows.chunks(together(rows.len())) {
                    match chunk {
                        [row] => asked.answer(row, 1, Dropout::Off, &mut outputs)?,
                        _ => asked.answer(&chunk.concat(), chunk.len(), Dropout::Off, &mut outputs)?,
                    }
                }
            }
            Network::Policy { network, weights, tape } => {
                let mut tape = tape.lock().unwrap_or_else(PoisonError::into_inner);
                self.act((network, weights, &mut tape), rows, &mut outputs)?;
            }
            Network::Ensemble(ensemble) => return ensemble.outputs(rows),
        }
        Ok(outputs)
    }

    /// What a forecaster says of a row in `passes` forward passes with dropout (Gal and Ghahramani 2016): how much they
    /// differ is its doubt about itself. Masks are a function of bundle, row and pass, so the same passes are the same
    /// again. Layers below the first dropout are computed once.
    ///
    /// # Errors
    /// As [`Predictor::predict`]; [`ModelError::Shape`] for a network that is no forecaster.
    pub fn sample(&self, row: &[f32], passes: usize) -> Result<Vec<Output>, ModelError> {
        self.check(&[row])?;
        let Network::Forecaster(asked) = &self.network else {
            return Err(ModelError::Shape { what: "kind", value: "a policy".to_owned(), range: "a forecaster" });
        };
        let start = first_word(&self.bundle.0) ^ first_word(&row_digest(row)).rotate_left(32);
        let keys: Vec<u64> = (0..passes as u64).map(|pass| spread_out(start.wrapping_add(pass))).collect();
        let mut outputs = Vec::with_capacity(passes);
        for keys in keys.chunks(ROWS) {
            asked.answer(row, 1, Dropout::On(keys), &mut outputs)?;
        }
        Ok(outputs)
    }

    /// How many views a calibrated forecaster takes of a row to know how sure it is; 0 without a calibration.
    #[must_use]
    pub fn views(&self) -> usize {
        match (&self.calibration, &self.network) {
            (None, _) => 0,
            (Some(_), Network::Ensemble(ensemble)) => ensemble.len(),
            (Some(calibration), Network::Forecaster(_) | Network::Policy { .. }) => calibration.passes as usize,
        }
    }

    /// How sure a calibrated forecaster is of what it `said` of a row: its variance in two parts, in the ratio that its views
    /// give. Views are an ensemble's members (Lakshminarayanan et al. 2017), or else passes with dropout
    /// ([`Predictor::sample`]), of which none differs from another where the network has no dropout. `None` without a
    /// calibration.
    ///
    /// # Errors
    /// As [`Predictor::sample`].
    pub fn uncertainty(&self, row: &[f32], said: &Output) -> Result<Option<Uncertainty>, ModelError> {
        let Some(calibration) = &self.calibration else { return Ok(None) };
        let views: Vec<(Output, f64)> = match &self.network {
            Network::Ensemble(ensemble) => ensemble.views(row)?,
            Network::Forecaster(_) | Network::Policy { .. } => {
                let passes = calibration.passes as usize;
                self.sample(row, passes)?.into_iter().map(|view| (view, 1.0 / passes as f64)).collect()
            }
        };
        Ok(calibration.divided(said, views))
    }

    fn check(&self, rows: &[&[f32]]) -> Result<(), ModelError> {
        let width = self.input_width();
        for (row, values) in rows.iter().enumerate() {
            if values.len() != width {
                return Err(ModelError::Width { row, width: values.len(), wanted: width });
            }
            if let Some(index) = values.iter().position(|value| !value.is_finite()) {
                return Err(ModelError::NotFinite { row, index });
            }
        }
        Ok(())
    }

    /// A prediction with all that is needed to make it again.
    #[must_use]
    pub fn prediction(&self, bar: Timestamp, row: &[f32], output: Output) -> Prediction {
        Prediction { bundle: self.bundle, bar, row: row_digest(row), output }
    }

    /// A policy's answers, tile by tile.
    fn act(
        &self,
        (network, weights, tape): (&PolicyNetwork, &[f32], &mut PolicyTape),
        rows: &[&[f32]],
        outputs: &mut Vec<Output>,
    ) -> Result<(), ModelError> {
        let (width, head) = (self.input_width(), network.head());
        let (mut tile, mut values) = (vec![0.0; TILE * width], vec![0.0; TILE * head.size()]);
        for chunk in rows.chunks(TILE) {
            let (filled, empty) = tile.split_at_mut(chunk.len() * width);
            filled.chunks_exact_mut(width).zip(chunk).for_each(|(slot, row)| slot.copy_from_slice(row));
            empty.fill(0.0);
            network.respond(weights, &tile, tape, &mut values);
            for row in values.chunks_exact(head.size()).take(chunk.len()) {
                if row.iter().any(|value| !value.is_finite()) {
                    return Err(ModelError::Output { row: outputs.len() });
                }
                outputs.push(action(head, row));
            }
        }
        Ok(())
    }
}

fn action(head: PolicyHead, row: &[f32]) -> Output {
    match head {
        PolicyHead::Categorical { .. } => Output::Policy { action: first_largest(row), probabilities: row.to_vec() },
        PolicyHead::Values { .. } => Output::Values { action: first_largest(row), values: row.to_vec() },
        PolicyHead::Gaussian { .. } | PolicyHead::Deterministic { .. } | PolicyHead::SquashedGaussian { .. } => {
            Output::Control { action: row.to_vec() }
        }
    }
}

fn is_finite(output: &Output) -> bool {
    let all = |values: &[f32]| values.iter().all(|value| value.is_finite());
    match output {
        Output::Forecast { probabilities, expected_return, spread, volatility } => {
            let spread = match spread {
                None => true,
                Some(Spread::Deviation(deviation)) => deviation.is_finite(),
                Some(Spread::Quantiles(quantiles)) => all(quantiles),
            };
            all(probabilities) && expected_return.is_finite() && spread && volatility.is_none_or(f32::is_finite)
        }
        Output::Policy { probabilities: values, .. } | Output::Values { values, .. } => all(values),
        Output::Control { action } => all(action),
    }
}

/// The first 64 bits of a digest.
fn first_word(digest: &Digest) -> u64 {
    u64::from_le_bytes(*digest.as_bytes().first_chunk().expect("a digest has 32 bytes"))
}

/// SplitMix64's finaliser (Steele et al. 2014): neighbours come out far apart.
const fn spread_out(value: u64) -> u64 {
    let z = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The digest of a network's input: SHA-256 over its values as little-endian f32.
#[must_use]
pub fn row_digest(row: &[f32]) -> Digest {
    let bytes: Vec<u8> = row.iter().flat_map(|value| value.to_le_bytes()).collect();
    Digest::of(&bytes)
}

/// The best action; the lowest index among equals.
fn first_largest(probabilities: &[f32]) -> u32 {
    let mut best = 0;
    for (index, probability) in probabilities.iter().enumerate() {
        if *probability > probabilities[best] {
            best = index;
        }
    }
    best as u32
}

#[cfg(test)]
mod tests;
