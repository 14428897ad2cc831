//! Adam against the formula by hand.

use models::{single_threaded, weights};
use tch::nn::{Init, VarStore};
use tch::{Device, Kind, Tensor};

use super::{Adam, AdamOptions, AdamSteps};

const START: [f64; 3] = [0.5, -1.25, 2.0];
const CENTRE: [f64; 3] = [1.0, 0.0, -1.0];

/// Two variables of one and two values, to be pulled to [`CENTRE`] by a quadratic loss.
fn store() -> VarStore {
    single_threaded();
    let store = VarStore::new(Device::Cpu);
    let root = store.root();
    let mut one = root.var("one", &[1], Init::Const(0.0));
    let mut two = root.var("two", &[2], Init::Const(0.0));
    tch::no_grad(|| {
        one.copy_(&Tensor::from_slice(&[START[0] as f32]));
        two.copy_(&Tensor::from_slice(&[START[1] as f32, START[2] as f32]));
    });
    store
}

fn loss(store: &VarStore) -> Tensor {
    let values = Tensor::cat(&weights::named(store).into_values().collect::<Vec<_>>(), 0);
    let centre = Tensor::from_slice(&CENTRE).to_kind(Kind::Float);
    (values - centre).square().sum(Kind::Float)
}

fn values(store: &VarStore) -> Vec<f64> {
    weights::named(store).into_values().flat_map(|t| Vec::<f32>::try_from(t).unwrap()).map(f64::from).collect()
}

fn descend(adam: &mut Adam, store: &VarStore, steps: usize) {
    for _ in 0..steps {
        adam.zero_gradient();
        loss(store).backward();
        adam.step(0.1);
    }
}

/// Algorithm 2 of Loshchilov and Hutter 2019 in f64, value by value.
fn by_hand(steps: i32, weight_decay: f64) -> Vec<f64> {
    let (rate, beta_1, beta_2, epsilon): (f64, f64, f64, f64) = (0.1, 0.9, 0.999, 1e-8);
    let descend = |(start, centre): (f64, f64)| {
        let (mut x, mut m, mut v) = (start, 0.0, 0.0);
        for t in 1..=steps {
            let gradient = 2.0 * (x - centre);
            m = beta_1 * m + (1.0 - beta_1) * gradient;
            v = beta_2 * v + (1.0 - beta_2) * gradient * gradient;
            let (m_hat, v_hat) = (m / (1.0 - beta_1.powi(t)), v / (1.0 - beta_2.powi(t)));
            x -= rate * (m_hat / (f64::sqrt(v_hat) + epsilon) + weight_decay * x);
        }
        x
    };
    START.into_iter().zip(CENTRE).map(descend).collect()
}

#[test]
fn steps_follow_the_paper_with_and_without_decay() {
    for weight_decay in [0.0, 0.1] {
        for steps in [1, 2, 10] {
            let store = store();
            let mut adam = Adam::new(&store, AdamOptions { epsilon: 1e-8, weight_decay });
            descend(&mut adam, &store, steps as usize);
            for (actual, expected) in values(&store).into_iter().zip(by_hand(steps, weight_decay)) {
                assert!((actual - expected).abs() < 2e-6, "{steps} steps, decay {weight_decay}: {actual} {expected}");
            }
        }
    }
}

#[test]
fn taking_over_a_network_changes_no_weight_and_keeps_loading_possible() {
    let mut store = store();
    let before = weights::to_bytes(&store);
    let mut adam = Adam::new(&store, AdamOptions { epsilon: 1e-8, weight_decay: 0.0 });
    assert_eq!(weights::to_bytes(&store), before);
    descend(&mut adam, &store, 3);
    weights::load(&mut store, &before).unwrap();
    assert_eq!(values(&store), START);
    descend(&mut adam, &store, 1);
    assert_ne!(values(&store), START, "the optimiser still moves the loaded weights");
}

#[test]
fn a_long_gradient_is_scaled_to_the_limit_and_a_short_one_left_alone() {
    let store = store();
    let mut adam = Adam::new(&store, AdamOptions { epsilon: 1e-8, weight_decay: 0.0 });
    let norm = |adam: &Adam| adam.gradient.norm().double_value(&[]);
    loss(&store).backward();
    let whole = norm(&adam);
    adam.clip(whole * 2.0).unwrap();
    assert_eq!(norm(&adam), whole);
    adam.clip(0.5).unwrap();
    assert!((norm(&adam) - 0.5).abs() < 1e-5);
    (loss(&store) * f64::NAN).backward();
    assert!(adam.clip(0.5).is_err());
}

#[test]
fn a_restored_state_goes_on_bit_for_bit_and_a_foreign_one_is_refused() {
    let options = AdamOptions { epsilon: 1e-8, weight_decay: 0.01 };
    let whole = store();
    descend(&mut Adam::new(&whole, options), &whole, 9);

    let mut halved = store();
    let mut first = Adam::new(&halved, options);
    descend(&mut first, &halved, 4);
    let (steps, moments) = first.state();
    let kept = weights::to_bytes(&halved);
    let mut second = Adam::new(&halved, options);
    weights::load(&mut halved, &kept).unwrap();
    second.restore(steps, &moments).unwrap();
    descend(&mut second, &halved, 5);
    assert_eq!(values(&halved), values(&whole));

    let strange = [("first".to_owned(), Tensor::zeros([1], (Kind::Float, Device::Cpu)))].into();
    assert!(second.restore(AdamSteps(1), &strange).unwrap_err().to_string().contains("first moment"));
}
