//! What holds for every sampler, over random spaces and histories.

use proptest::prelude::*;

use super::*;
use crate::cases::{axis, branches, key, real, under, whole};
use crate::{Axis, Domain, Observation, Outcome, Scale};

fn samplers() -> [Sampler; 6] {
    [
        Sampler::Random,
        Sampler::Sobol,
        Sampler::Tpe(Tpe { startup: 4, ..Tpe::default() }),
        Sampler::Cma(Cma::default()),
        Sampler::Gp(Gp { startup: 4, observations_max: 8 }),
        Sampler::Nsga2(Nsga2 { population: 4 }),
    ]
}

fn domain() -> impl Strategy<Value = Domain> {
    let scale = prop_oneof![Just(Scale::Linear), Just(Scale::Log)];
    prop_oneof![
        (1e-3..1e3_f64, 1e-3..1e3_f64, scale.clone()).prop_map(|(low, width, scale)| Domain::Real {
            low,
            high: low + width,
            scale
        }),
        (1_i64..9, 1_i64..1000, scale).prop_map(|(low, width, scale)| Domain::Integer {
            low,
            high: low + width,
            scale
        }),
        (1_usize..6).prop_map(|levels| Domain::Categorical { levels }),
        Just(whole(i64::MIN, i64::MAX)),
        Just(real(-1e300, 1e300)),
    ]
}

/// Axes of which some hang on a level of an earlier categorical one.
fn space() -> impl Strategy<Value = Space> {
    proptest::collection::vec((domain(), any::<u64>()), 1..8).prop_map(|axes| {
        let mut made: Vec<Axis> = Vec::new();
        for (domain, hook) in axes {
            let name = format!("axis {}", made.len());
            let parents: Vec<(String, usize)> = (made.iter())
                .filter_map(|axis| match axis.domain {
                    Domain::Categorical { levels } => Some((axis.name.clone(), levels)),
                    Domain::Real { .. } | Domain::Integer { .. } => None,
                })
                .collect();
            made.push(match parents.get(hook as usize % (parents.len() + 1)) {
                Some((on, levels)) => under(&name, domain, on, &[(hook >> 32) as usize % levels]),
                None => axis(&name, domain),
            });
        }
        made.reverse();
        Space::new(made).unwrap()
    })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let value = prop_oneof![
        4 => -1e3..1e3_f64,
        1 => prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(1e308), Just(-1e308)],
    ];
    prop_oneof![
        6 => value.clone().prop_map(|value| Outcome::Measured(vec![value])),
        1 => (0_u32..4, value).prop_map(|(rung, value)| Outcome::Pruned { rung, value }),
        1 => Just(Outcome::Failed),
        1 => Just(Outcome::Pending),
    ]
}

fn history(space: &Space, outcomes: Vec<Outcome>) -> Vec<Observation> {
    let point = |index| random::point(space, &key(77), index);
    (0..).zip(outcomes).map(|(index, outcome)| Observation { index, point: point(index), outcome }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 64, ..ProptestConfig::default() })]

    #[test]
    fn suggestions_lie_in_the_space_and_depend_on_the_arguments_alone(
        space in space(),
        outcomes in proptest::collection::vec(outcome(), 0..24),
        (seed, turn) in (any::<u8>(), 0_usize..24),
    ) {
        let seen = history(&space, outcomes);
        let ask = Ask { key: key(seed), first: seen.len() as u32, count: 3 };
        let known = History::new(&space, seen.clone()).unwrap();
        let mut turned = seen.clone();
        turned.rotate_left(turn % seen.len().max(1));
        let turned = History::new(&space, turned).unwrap();
        for sampler in samplers() {
            let points = sampler.suggest(&space, &known, ask);
            prop_assert_eq!(points.len(), 3);
            for point in &points {
                prop_assert!(space.contains(point), "{:?}: {:?}", sampler, point);
            }
            prop_assert_eq!(&points, &sampler.suggest(&space, &turned, ask), "{:?}: order of telling", sampler);
            let mut grown = seen.clone();
            for (index, point) in (ask.first..).zip(&points) {
                let history = History::new(&space, grown.clone()).unwrap();
                let one = sampler.suggest(&space, &history, Ask { first: index, count: 1, ..ask });
                prop_assert_eq!(&one[0], point, "{:?}: one at a time", sampler);
                grown.push(Observation { index, point: point.clone(), outcome: Outcome::Pending });
            }
        }
    }
}

#[test]
fn keys_and_indices_give_other_points() {
    let space = branches();
    let outcomes = (0..20).map(|value| Outcome::Measured(vec![f64::from(value)])).collect();
    let history = History::new(&space, history(&space, outcomes)).unwrap();
    for sampler in samplers() {
        let ask = |seed, first| sampler.suggest(&space, &history, Ask { key: key(seed), first, count: 1 });
        assert_ne!(ask(1, 20), ask(2, 20), "{sampler:?}");
        assert_ne!(ask(1, 20), ask(1, 21), "{sampler:?}");
    }
}

#[test]
fn the_first_draws_of_a_known_run_never_change() {
    // SHA-256 of "golden", as the first experiments used it.
    let key = [
        0xdd, 0x56, 0xde, 0x41, 0x37, 0x95, 0x1d, 0x9c, 0x92, 0x68, 0x1b, 0x03, 0x41, 0x6e, 0xc1, 0x5f, 0x88, 0x6b,
        0x44, 0x82, 0xa2, 0x7e, 0x3a, 0x51, 0x7d, 0x32, 0xf0, 0x85, 0x24, 0x4c, 0xbe, 0x5d,
    ];
    let space = Space::new(vec![
        axis("a.rate", Domain::Real { low: 1e-4, high: 1e-2, scale: Scale::Log }),
        axis("b.share", real(0.0, 0.4)),
        axis("c.units", whole(-3, 3)),
        axis("d.size", Domain::Categorical { levels: 3 }),
    ])
    .unwrap();
    let drawn = random::point(&space, &key, 0);
    let text = serde_json::to_string(&drawn).unwrap();
    assert_eq!(text, r#"[{"Real":0.006848274466218035},{"Real":0.3281483377574573},{"Integer":3},{"Level":0}]"#);
}

#[test]
fn settings_are_read_strictly() {
    let sampler: Sampler = serde_json::from_str(r#"{"tpe": {"startup": 3}}"#).unwrap();
    assert_eq!(sampler, Sampler::Tpe(Tpe { startup: 3, ..Tpe::default() }));
    assert!(serde_json::from_str::<Sampler>(r#"{"tpe": {"start": 3}}"#).is_err());
}
