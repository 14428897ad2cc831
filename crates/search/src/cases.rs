//! Spaces, functions and whole searches for tests.

use crate::{Ask, Axis, Condition, Domain, History, Observation, Outcome, Point, Sampler, Scale, Space, Value};

pub(crate) fn key(seed: u8) -> [u8; 32] {
    [seed; 32]
}

pub(crate) fn axis(name: &str, domain: Domain) -> Axis {
    Axis { name: name.to_owned(), domain, condition: None }
}

pub(crate) fn under(name: &str, domain: Domain, on: &str, levels: &[usize]) -> Axis {
    Axis { condition: Some(Condition { axis: on.to_owned(), levels: levels.to_vec() }), ..axis(name, domain) }
}

pub(crate) const fn real(low: f64, high: f64) -> Domain {
    Domain::Real { low, high, scale: Scale::Linear }
}

pub(crate) const fn whole(low: i64, high: i64) -> Domain {
    Domain::Integer { low, high, scale: Scale::Linear }
}

/// So many reals on one range.
pub(crate) fn reals(count: usize, low: f64, high: f64) -> Space {
    Space::new((0..count).map(|place| axis(&format!("x{place}"), real(low, high))).collect()).unwrap()
}

/// Every kind of axis, and conditions two deep, the children before their parents.
pub(crate) fn branches() -> Space {
    Space::new(vec![
        under("momentum", real(0.0, 1.0), "optimiser", &[1]),
        under("optimiser", Domain::Categorical { levels: 3 }, "model", &[1, 2]),
        axis("model", Domain::Categorical { levels: 3 }),
        axis("rate", Domain::Real { low: 1e-5, high: 1.0, scale: Scale::Log }),
        under("depth", whole(-2, 3), "model", &[0]),
        under("units", Domain::Integer { low: 1, high: 512, scale: Scale::Log }, "model", &[2]),
        axis("any", whole(i64::MIN, i64::MAX)),
    ])
    .unwrap()
}

pub(crate) fn numbers(point: &Point) -> Vec<f64> {
    let number = |value: &Option<Value>| match value.unwrap() {
        Value::Real(real) => real,
        Value::Integer(whole) => whole as f64,
        Value::Level(level) => level as f64,
    };
    point.0.iter().map(number).collect()
}

pub(crate) fn branin(point: &Point) -> Vec<f64> {
    use core::f64::consts::PI;
    let x = numbers(point);
    let (x, y) = (15.0 * x[0] - 5.0, 15.0 * x[1]);
    let bend = y - 5.1 / (4.0 * PI * PI) * x * x + 5.0 / PI * x - 6.0;
    vec![bend * bend + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * x.cos() + 10.0]
}

/// A whole search, `batch` points at a time: all that was seen.
pub(crate) fn search(
    (sampler, space): (&Sampler, &Space),
    value: impl Fn(&Point) -> Vec<f64>,
    (trials, batch): (u32, u32),
    seed: u8,
) -> History {
    let mut seen = Vec::new();
    for first in (0..trials).step_by(batch as usize) {
        let history = History::new(space, seen.clone()).unwrap();
        let points = sampler.suggest(space, &history, Ask { key: key(seed), first, count: batch });
        for (index, point) in (first..).zip(points) {
            let outcome = Outcome::Measured(value(&point));
            seen.push(Observation { index, point, outcome });
        }
    }
    History::new(space, seen).unwrap()
}

/// The best first objective of a history.
pub(crate) fn best(history: &History) -> f64 {
    history
        .observations()
        .iter()
        .filter_map(|seen| seen.measured())
        .map(|values| values[0])
        .fold(f64::INFINITY, f64::min)
}

/// One-sided p of the rank-sum test that the first values are not lower than the second (normal approximation).
pub(crate) fn not_lower(first: &[f64], second: &[f64]) -> f64 {
    let wins: f64 = first.iter().flat_map(|left| second.iter().map(move |right| f64::from(left < right))).sum();
    let (n, m) = (first.len() as f64, second.len() as f64);
    let z = (wins - n * m / 2.0) / (n * m * (n + m + 1.0) / 12.0).sqrt();
    0.5 * libm::erfc(z / core::f64::consts::SQRT_2)
}
