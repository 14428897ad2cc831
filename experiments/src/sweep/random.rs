//! Independent draws: point `index` of run `key` is stream `index` of the ChaCha generator whose key is `key`.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use spec::{Digest, Dimension, ParamValue, Params};

/// 2^-53, the spacing of doubles on [1/2, 1).
const UNIT: f64 = 1.0 / (1_u64 << 53) as f64;

/// Draws every dimension once, in the order of their paths.
pub(super) fn point(key: &Digest, space: &BTreeMap<String, Dimension>, index: u32) -> Params {
    let mut generator = ChaCha8Rng::from_seed(*key.as_bytes());
    generator.set_stream(u64::from(index));
    space.iter().map(|(path, dimension)| (path.clone(), draw(dimension, &mut generator))).collect()
}

fn draw(dimension: &Dimension, generator: &mut ChaCha8Rng) -> ParamValue {
    match dimension {
        Dimension::Uniform(low, high) => ParamValue::Real(between(*low, *high, unit(generator))),
        Dimension::LogUniform(low, high) => {
            let exponent = between(low.ln(), high.ln(), unit(generator));
            ParamValue::Real(exponent.exp().clamp(*low, *high))
        }
        Dimension::Integer(low, high) => {
            let width = (i128::from(*high) - i128::from(*low)).max(0) as u128 + 1;
            let offset = i128::try_from(below(width, generator)).expect("below a width of 64 bits");
            ParamValue::Integer(i64::try_from(i128::from(*low) + offset).expect("between two 64-bit numbers"))
        }
        Dimension::Choice(values) => {
            let place = below(values.len() as u128, generator) as usize;
            values.get(place).cloned().unwrap_or_else(|| ParamValue::List(Vec::new()))
        }
    }
}

/// Uniform on [0, 1).
fn unit(generator: &mut ChaCha8Rng) -> f64 {
    (generator.next_u64() >> 11) as f64 * UNIT
}

/// Uniform on 0..width by multiply and shift; the bias is below width / 2^64.
fn below(width: u128, generator: &mut ChaCha8Rng) -> u128 {
    // width ≤ 2^64, so the product may need one bit more than 128 only at width = 2^64 exactly, where it still fits.
    (u128::from(generator.next_u64()) * width) >> 64
}

fn between(low: f64, high: f64, unit: f64) -> f64 {
    (low + unit * (high - low)).clamp(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> BTreeMap<String, Dimension> {
        let choice = vec![ParamValue::Integer(32), ParamValue::Integer(64), ParamValue::Text("wide".to_owned())];
        BTreeMap::from([
            ("a.rate".to_owned(), Dimension::LogUniform(1e-4, 1e-2)),
            ("b.share".to_owned(), Dimension::Uniform(0.0, 0.4)),
            ("c.units".to_owned(), Dimension::Integer(-3, 3)),
            ("d.size".to_owned(), Dimension::Choice(choice)),
            ("e.any".to_owned(), Dimension::Integer(i64::MIN, i64::MAX)),
        ])
    }

    fn reals(path: &str, points: u32) -> Vec<f64> {
        let key = Digest::of(b"run");
        let value = |index| match point(&key, &space(), index)[path] {
            ParamValue::Real(value) => value,
            ParamValue::Integer(value) => value as f64,
            ParamValue::Bool(_) | ParamValue::Text(_) | ParamValue::List(_) => panic!("{path} is a number"),
        };
        (0..points).map(value).collect()
    }

    #[test]
    fn a_point_depends_on_the_run_and_its_index_alone() {
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        assert_eq!(point(&one, &space(), 7), point(&one, &space(), 7));
        assert_ne!(point(&one, &space(), 7), point(&one, &space(), 8));
        assert_ne!(point(&one, &space(), 7), point(&other, &space(), 7));
    }

    #[test]
    fn draws_cover_their_ranges_evenly() {
        let shares = reals("b.share", 4_000);
        assert!(shares.iter().all(|share| (0.0..=0.4).contains(share)));
        let mean = shares.iter().sum::<f64>() / 4_000.0;
        assert!((mean - 0.2).abs() < 0.01, "mean of U(0, 0.4) was {mean}");

        let rates = reals("a.rate", 4_000);
        assert!(rates.iter().all(|rate| (1e-4..=1e-2).contains(rate)));
        let below = rates.iter().filter(|rate| **rate < 1e-3).count();
        assert!(
            (1_850..=2_150).contains(&below),
            "half of the log range lies below 1e-3, but {below} of 4000 draws did"
        );

        let units = reals("c.units", 4_000);
        for whole in -3..=3 {
            let hits = units.iter().filter(|unit| **unit == f64::from(whole)).count();
            assert!((450..=700).contains(&hits), "{whole} was drawn {hits} times of 4000");
        }
    }

    #[test]
    fn the_first_draw_of_a_known_run_never_changes() {
        let mut drawn = point(&Digest::of(b"golden"), &space(), 0);
        drawn.remove("e.any");
        let text = String::from_utf8(spec::canonical_json(&drawn)).unwrap();
        assert_eq!(text, r#"{"a.rate":0.006848274466218041,"b.share":0.3281483377574573,"c.units":3,"d.size":32}"#);
    }
}
