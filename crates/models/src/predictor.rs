//! The one way a prediction is made. A row's bits depend on nothing but the row.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use artifacts::{Bundle, BundleKind};
use market::Timestamp;
use neural::Layout;
use spec::{BundleId, Digest, Output, Prediction};
use tch::nn::VarStore;
use tch::{Device, Tensor};

use crate::ensemble::Ensemble;
use crate::{
    Forecaster, Initial, ModelError, NetworkKind, NetworkSpec, PolicyHead, PolicyNetwork, PolicyTape, assign_flat,
    weights,
};

/// Rows computed at a time, always. Kernels round differently for different batch sizes, so every batch is cut into tiles
/// of this size and the last one filled with zeros. Small, since a live decision pays for a whole tile: the quickstart's
/// network takes 0.65 ms for 8 rows, 0.5 for 4 and 1.0 for 16.
pub const TILE: usize = 8;

/// A network with its weights.
enum Network {
    Forecaster(Forecaster),
    /// The tape is scratch: what an answer is depends on nothing left in it.
    Policy {
        network: Box<PolicyNetwork>,
        weights: Vec<f32>,
        tape: Box<Mutex<PolicyTape>>,
    },
    Ensemble(Ensemble),
}

/// A network with its weights, ready to be asked.
pub struct Predictor {
    spec: NetworkSpec,
    network: Network,
    bundle: BundleId,
}

impl fmt::Debug for Predictor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Predictor").field("bundle", &self.bundle).field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl Predictor {
    /// The network of a bundle.
    ///
    /// # Errors
    /// [`ModelError`] when the manifest names a network this build does not know, or the weights are not its.
    pub fn load(bundle: &Bundle) -> Result<Self, ModelError> {
        let (id, manifest) = (bundle.id(), bundle.manifest());
        if manifest.kind == BundleKind::Ensemble {
            let ensemble = Ensemble::load(bundle)?;
            return Ok(Self { spec: ensemble.spec().clone(), network: Network::Ensemble(ensemble), bundle: id });
        }
        let spec: NetworkSpec = serde_json::from_value(manifest.network.clone())
            .map_err(|error| ModelError::Unknown { bundle: id, why: error.to_string() })?;
        match (manifest.kind, spec.kind) {
            (BundleKind::Forecaster, NetworkKind::Forecaster) | (BundleKind::Policy, NetworkKind::Policy { .. }) => {}
            (kind, NetworkKind::Forecaster) => {
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
        let network = match spec.kind {
            NetworkKind::Forecaster => {
                let mut store = VarStore::new(Device::Cpu);
                let network = Forecaster::build(spec, &store.root(), Initial::Zeros)?;
                weights::load(&mut store, bytes)?;
                store.freeze();
                Network::Forecaster(network)
            }
            NetworkKind::Policy { .. } => {
                let mut layout = Layout::default();
                let network = Box::new(PolicyNetwork::new(&mut layout, spec)?);
                let weights = assign_flat(&layout, weights::unpack(bytes)?)?;
                let tape = Box::new(Mutex::new(network.tape(TILE)));
                Network::Policy { network, weights, tape }
            }
        };
        Ok(Self { spec: spec.clone(), network, bundle })
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

    /// What the network puts out for each row. The bits of an output depend on its row alone, not on the others or on the
    /// row's place among them.
    ///
    /// # Shapes
    /// Each row: `[input_width]`; a window is row-major, oldest bar first.
    ///
    /// # Errors
    /// [`ModelError::Width`], [`ModelError::NotFinite`] for a bad row; [`ModelError::Output`] when the network breaks on one.
    pub fn predict(&self, rows: &[&[f32]]) -> Result<Vec<Output>, ModelError> {
        let width = self.input_width();
        for (row, values) in rows.iter().enumerate() {
            if values.len() != width {
                return Err(ModelError::Width { row, width: values.len(), wanted: width });
            }
            if let Some(index) = values.iter().position(|value| !value.is_finite()) {
                return Err(ModelError::NotFinite { row, index });
            }
        }
        if let Network::Ensemble(ensemble) = &self.network {
            return ensemble.outputs(rows);
        }
        let mut outputs = Vec::with_capacity(rows.len());
        let mut tile = vec![0.0; TILE * width];
        for chunk in rows.chunks(TILE) {
            let (filled, empty) = tile.split_at_mut(chunk.len() * width);
            filled.chunks_exact_mut(width).zip(chunk).for_each(|(slot, row)| slot.copy_from_slice(row));
            empty.fill(0.0);
            let values = self.compute(&tile)?;
            for row in values.chunks_exact(values.len() / TILE).take(chunk.len()) {
                if row.iter().any(|value| !value.is_finite()) {
                    return Err(ModelError::Output { row: outputs.len() });
                }
                outputs.push(self.output(row));
            }
        }
        Ok(outputs)
    }

    /// A prediction with all that is needed to make it again.
    #[must_use]
    pub fn prediction(&self, bar: Timestamp, row: &[f32], output: Output) -> Prediction {
        Prediction { bundle: self.bundle, bar, row: row_digest(row), output }
    }

    /// `[TILE × input_width]` → `[TILE × outputs]`.
    fn compute(&self, tile: &[f32]) -> Result<Vec<f32>, ModelError> {
        match &self.network {
            Network::Forecaster(network) => {
                let _guard = tch::no_grad_guard();
                let input = Tensor::f_from_slice(tile)?.f_view([TILE as i64, self.input_width() as i64])?;
                let outputs = network.outputs(&input).f_contiguous()?;
                let mut values = vec![0.0; outputs.numel()];
                outputs.f_copy_data(&mut values, outputs.numel())?;
                Ok(values)
            }
            Network::Policy { network, weights, tape } => {
                let mut values = vec![0.0; TILE * network.head().size()];
                let mut tape = tape.lock().unwrap_or_else(PoisonError::into_inner);
                network.respond(weights, tile, &mut tape, &mut values);
                Ok(values)
            }
            Network::Ensemble(_) => unreachable!("its members are asked for themselves"),
        }
    }

    fn output(&self, row: &[f32]) -> Output {
        let NetworkKind::Policy { head, .. } = self.spec.kind else {
            let [down, flat, up, expected_return] = *row.first_chunk().expect("a forecaster puts out four values");
            return Output::Forecast { probabilities: [down, flat, up], expected_return };
        };
        match head {
            PolicyHead::Categorical { .. } => {
                Output::Policy { action: first_largest(row), probabilities: row.to_vec() }
            }
            PolicyHead::Values { .. } => Output::Values { action: first_largest(row), values: row.to_vec() },
            PolicyHead::Gaussian { .. } | PolicyHead::Deterministic { .. } | PolicyHead::SquashedGaussian { .. } => {
                Output::Control { action: row.to_vec() }
            }
        }
    }
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
