//! Runs the samplers on test functions and prints one JSON object a run, for `scripts/sampler_peers.py`.
//!
//! Usage: quality [--seeds N] [--trials N] [--sampler NAME] [--function NAME]

use std::f64::consts::PI;
use std::time::Instant;

use search::{
    Ask, Axis, Cma, Condition, Domain, Gp, History, Observation, Outcome, Point, Sampler, Scale, Space, Tpe, Value,
};

fn main() {
    let options: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| options.iter().position(|option| option == name).map(|at| options[at + 1].clone());
    let number = |name: &str, default: u32| option(name).map_or(default, |text| text.parse().expect("a whole number"));
    let (seeds, trials) = (number("--seeds", 20), number("--trials", 100));
    let samplers = [
        ("random", Sampler::Random),
        ("qmc", Sampler::Sobol),
        ("tpe", Sampler::Tpe(Tpe::default())),
        ("cma", Sampler::Cma(Cma::default())),
        ("gp", Sampler::Gp(Gp::default())),
    ];
    for problem in [branin(), hartmann6(), rosenbrock20(), models(), ackley10(), levy5()] {
        for (name, sampler) in &samplers {
            let is_wanted = |key, name: &str| option(key).is_none_or(|wanted| wanted.split(',').any(|one| one == name));
            if is_wanted("--sampler", name) && is_wanted("--function", problem.name) {
                (0..seeds).for_each(|seed| run(&problem, (name, sampler), seed, trials));
            }
        }
    }
}

/// A function to be minimised and where.
struct Problem {
    name: &'static str,
    space: Space,
    value: fn(&Point) -> f64,
}

/// Runs one search to its end and prints what it found. The time is that of the last ten suggestions.
#[allow(clippy::disallowed_methods, clippy::print_stdout, reason = "it measures time and prints what it found")]
fn run(problem: &Problem, (name, sampler): (&str, &Sampler), seed: u32, trials: u32) {
    const TIMED: u32 = 10;
    let mut key = [0; 32];
    key[..4].copy_from_slice(&seed.to_le_bytes());
    let mut seen: Vec<Observation> = Vec::new();
    let mut spent = 0.0;
    for first in 0..trials {
        let history = History::new(&problem.space, seen.clone()).expect("the points are those that were suggested");
        let started = Instant::now();
        let point = sampler.suggest(&problem.space, &history, Ask { key, first, count: 1 }).remove(0);
        if first + TIMED >= trials {
            spent += started.elapsed().as_secs_f64();
        }
        let outcome = Outcome::Measured(vec![(problem.value)(&point)]);
        seen.push(Observation { index: first, point, outcome });
    }
    let value = |seen: &Observation| (problem.value)(&seen.point);
    let best = seen.iter().min_by(|left, right| value(left).total_cmp(&value(right))).expect("at least one trial");
    let values: Vec<String> = problem
        .space
        .axes()
        .iter()
        .zip(&best.point.0)
        .filter_map(|(axis, value)| {
            let text = match (*value)? {
                Value::Real(real) => format!("{real:?}"),
                Value::Integer(whole) => whole.to_string(),
                Value::Level(level) => level.to_string(),
            };
            Some(format!("{:?}: {text}", axis.name))
        })
        .collect();
    println!(
        r#"{{"function": {:?}, "sampler": {name:?}, "seed": {seed}, "best": {:?}, "suggest_ms": {:?}, "point": {{{}}}}}"#,
        problem.name,
        value(best),
        1e3 * spent / f64::from(TIMED),
        values.join(", ")
    );
}

fn axis(name: impl Into<String>, domain: Domain) -> Axis {
    Axis { name: name.into(), domain, condition: None }
}

const fn real(low: f64, high: f64, scale: Scale) -> Domain {
    Domain::Real { low, high, scale }
}

const fn whole(low: i64, high: i64, scale: Scale) -> Domain {
    Domain::Integer { low, high, scale }
}

fn numbers(point: &Point) -> Vec<f64> {
    (0..point.0.len()).map(|place| number(point, place)).collect()
}

/// The value at `place` as a number; the functions ask only where an axis is active.
fn number(point: &Point, place: usize) -> f64 {
    match point.0[place].expect("an active axis") {
        Value::Real(real) => real,
        Value::Integer(whole) => whole as f64,
        Value::Level(level) => level as f64,
    }
}

fn branin() -> Problem {
    let axes = vec![axis("x", real(-5.0, 10.0, Scale::Linear)), axis("y", real(0.0, 15.0, Scale::Linear))];
    let value = |point: &Point| {
        let (x, y) = (number(point, 0), number(point, 1));
        let bend = y - 5.1 / (4.0 * PI * PI) * x * x + 5.0 / PI * x - 6.0;
        bend * bend + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * x.cos() + 10.0
    };
    Problem { name: "branin", space: Space::new(axes).expect("a space"), value }
}

fn hartmann6() -> Problem {
    const HILLS: [(f64, [f64; 6], [f64; 6]); 4] = [
        (1.0, [10.0, 3.0, 17.0, 3.5, 1.7, 8.0], [1312.0, 1696.0, 5569.0, 124.0, 8283.0, 5886.0]),
        (1.2, [0.05, 10.0, 17.0, 0.1, 8.0, 14.0], [2329.0, 4135.0, 8307.0, 3736.0, 1004.0, 9991.0]),
        (3.0, [3.0, 3.5, 1.7, 10.0, 17.0, 8.0], [2348.0, 1451.0, 3522.0, 2883.0, 3047.0, 6650.0]),
        (3.2, [17.0, 8.0, 0.05, 10.0, 0.1, 14.0], [4047.0, 8828.0, 8732.0, 5743.0, 1091.0, 381.0]),
    ];
    let axes = (0..6).map(|place| axis(format!("x{place}"), real(0.0, 1.0, Scale::Linear))).collect();
    let value = |point: &Point| {
        let x = numbers(point);
        let hill = |(height, slopes, centre): &(f64, [f64; 6], [f64; 6])| {
            let terms = x.iter().zip(slopes).zip(centre);
            height * (-terms.map(|((x, slope), c)| slope * (x - c / 10_000.0).powi(2)).sum::<f64>()).exp()
        };
        -HILLS.iter().map(hill).sum::<f64>()
    };
    Problem { name: "hartmann6", space: Space::new(axes).expect("a space"), value }
}

fn rosenbrock20() -> Problem {
    let axes = (0..20).map(|place| axis(format!("x{place:02}"), real(-5.0, 10.0, Scale::Linear))).collect();
    let value = |point: &Point| {
        let x = numbers(point);
        x.windows(2).map(|pair| 100.0 * (pair[1] - pair[0] * pair[0]).powi(2) + (1.0 - pair[0]).powi(2)).sum()
    };
    Problem { name: "rosenbrock20", space: Space::new(axes).expect("a space"), value }
}

fn ackley10() -> Problem {
    let axes = (0..10).map(|place| axis(format!("x{place}"), real(-15.0, 30.0, Scale::Linear))).collect();
    let value = |point: &Point| {
        let x = numbers(point);
        let squares = x.iter().map(|x| x * x).sum::<f64>() / 10.0;
        let waves = x.iter().map(|x| (2.0 * PI * x).cos()).sum::<f64>() / 10.0;
        20.0 + 1.0_f64.exp() - 20.0 * (-0.2 * squares.sqrt()).exp() - waves.exp()
    };
    Problem { name: "ackley10", space: Space::new(axes).expect("a space"), value }
}

fn levy5() -> Problem {
    let axes = (0..5).map(|place| axis(format!("x{place}"), real(-10.0, 10.0, Scale::Linear))).collect();
    let value = |point: &Point| {
        let w: Vec<f64> = numbers(point).iter().map(|x| 1.0 + (x - 1.0) / 4.0).collect();
        let inner = |w: &f64| (w - 1.0).powi(2) * (1.0 + 10.0 * (PI * w + 1.0).sin().powi(2));
        let last = (w[4] - 1.0).powi(2) * (1.0 + (2.0 * PI * w[4]).sin().powi(2));
        (PI * w[0]).sin().powi(2) + w[..4].iter().map(inner).sum::<f64>() + last
    };
    Problem { name: "levy5", space: Space::new(axes).expect("a space"), value }
}

/// Three models, each with parameters of its own; the best one is the hardest to tune.
fn models() -> Problem {
    let under = |name: &str, domain, on: &str, level| Axis {
        name: name.to_owned(),
        domain,
        condition: Some(Condition { axis: on.to_owned(), levels: vec![level] }),
    };
    let axes = vec![
        axis("model", Domain::Categorical { levels: 3 }),
        axis("decay", real(1e-6, 1e-1, Scale::Log)),
        under("alpha", real(1e-4, 1e2, Scale::Log), "model", 0),
        under("depth", whole(1, 32, Scale::Linear), "model", 1),
        under("leaf", whole(1, 64, Scale::Log), "model", 1),
        under("share", real(0.05, 1.0, Scale::Linear), "model", 1),
        under("layers", whole(1, 6, Scale::Linear), "model", 2),
        under("units", whole(8, 1024, Scale::Log), "model", 2),
        under("dropout", real(0.0, 0.8, Scale::Linear), "model", 2),
        under("rate", real(1e-5, 1.0, Scale::Log), "model", 2),
        under("optimiser", Domain::Categorical { levels: 2 }, "model", 2),
        under("momentum", real(0.0, 0.99, Scale::Linear), "optimiser", 1),
    ];
    let value = |point: &Point| {
        let at = |place| number(point, place);
        let off = |value: f64, best: f64| (value - best) * (value - best);
        let loss = 0.01 * off(at(1).log10(), -4.0);
        if at(0) == 0.0 {
            return loss + 0.40 + 0.02 * off(at(2).log10(), 0.5);
        }
        if at(0) == 1.0 {
            return loss + 0.25 + 0.0005 * off(at(3), 14.0) + 0.01 * off(at(4).log2(), 2.0) + 0.1 * off(at(5), 0.4);
        }
        let loss = loss + 0.10 + 0.005 * off(at(6), 3.0) + 0.01 * off(at(7).log2(), 7.5) + 0.2 * off(at(8), 0.25);
        let rate = at(9).log10();
        if at(10) == 0.0 {
            return loss + 0.05 * off(rate, -3.0);
        }
        loss + 0.02 + 0.05 * off(rate, -1.5) + 0.3 * off(at(11), 0.9)
    };
    Problem { name: "models", space: Space::new(axes).expect("a space"), value }
}
