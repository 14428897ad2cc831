//! One update of stable-baselines3, as recorded in `tests/fixtures/sb3`: what ours must equal.

use std::collections::BTreeMap;
use std::path::Path;

use models::{NetworkKind, NetworkSpec, PolicyHead};
use neural::Layout;
use spec::ModelSpec;
use tch::{Kind, Tensor};

use crate::agent::Agent;
use crate::replay::Batch;

pub(crate) const ROWS: usize = 32;
const GAMMA: f32 = 0.99;

/// Norm of a difference over the norm of what it should be.
const WITHIN: f64 = 1e-5;

pub(crate) struct Reference(BTreeMap<String, Vec<f32>>);

/// How a tensor of ours is called there: `WHEN.` is put before it.
pub(crate) type Names = fn(&str) -> Vec<String>;

impl Reference {
    pub(crate) fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/sb3/{name}.safetensors"));
        let values = |tensor: &Tensor| Vec::try_from(tensor.to_kind(Kind::Float).contiguous().view(-1)).unwrap();
        let tensors = Tensor::read_safetensors(path).unwrap();
        Self(tensors.into_iter().map(|(name, tensor)| (name, values(&tensor))).collect())
    }

    pub(crate) fn get(&self, name: &str) -> &[f32] {
        self.0.get(name).unwrap_or_else(|| panic!("no {name}"))
    }

    pub(crate) fn f64s(&self, name: &str) -> Vec<f64> {
        self.get(name).iter().map(|value| f64::from(*value)).collect()
    }

    fn tensor(&self, when: &str, names: &[String]) -> Vec<f32> {
        names.iter().flat_map(|name| self.get(&format!("{when}.{name}")).to_vec()).collect()
    }

    /// All tensors of a layout at `when`.
    pub(crate) fn weights(&self, when: &str, layout: &Layout, names: Names) -> Vec<f32> {
        let mut weights = vec![0.0; layout.len()];
        for place in layout.places() {
            let values = self.tensor(when, &names(&place.name));
            if !values.is_empty() {
                weights[place.range.clone()].copy_from_slice(&values);
            }
        }
        weights
    }

    /// Holds every tensor of `values` that is there at `when` against it.
    pub(crate) fn assert_close(&self, when: &str, (layout, names): (&Layout, Names), values: &[f32]) {
        let mut compared = 0;
        for place in layout.places() {
            let named = names(&place.name);
            if named.is_empty() || !self.0.contains_key(&format!("{when}.{}", named[0])) {
                continue;
            }
            let wanted = self.tensor(when, &named);
            let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
            let pairs = values[place.range.clone()].iter().zip(&wanted);
            let off = square(&mut pairs.map(|(a, b)| f64::from(*a) - f64::from(*b)));
            let norm = square(&mut wanted.iter().map(|v| f64::from(*v)));
            assert!(off <= WITHIN * norm, "{when}.{} is off by {:e} of its norm", place.name, off / norm);
            compared += 1;
        }
        assert!(compared > 0, "nothing was compared at {when}");
    }

    /// The batch of an off-policy method.
    pub(crate) fn batch(&self) -> Batch {
        Batch {
            observations: self.get("batch.observations").to_vec(),
            actions: self.get("batch.actions").to_vec(),
            rewards: self.get("batch.rewards").to_vec(),
            next_observations: self.get("batch.next_observations").to_vec(),
            discounts: self.get("batch.terminated").iter().map(|ended| GAMMA * (1.0 - ended)).collect(),
            weights: vec![1.0; ROWS],
            indices: (0..ROWS).collect(),
        }
    }
}

/// The same name, here and there.
pub(crate) fn same(name: &str) -> Vec<String> {
    vec![name.to_owned()]
}

/// The name of the target of a network.
pub(crate) fn target(name: &str) -> Vec<String> {
    let (network, rest) = name.split_once('.').expect("a tensor belongs to a network");
    vec![format!("{network}_target.{rest}")]
}

/// An agent of two hidden layers of 16 units, without weights yet.
pub(crate) fn agent(head: PolicyHead, observation_width: usize) -> Agent {
    let kind = NetworkKind::Policy { head, observation_width, normalised: false };
    let model = ModelSpec::Mlp { hidden: vec![16, 16], activation: None };
    Agent::new(NetworkSpec { kind, model, window: 1, width: observation_width }).unwrap()
}
