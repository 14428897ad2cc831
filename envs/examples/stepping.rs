//! Prints how fast environments step, as JSON lines.
#![allow(clippy::print_stdout, reason = "the result of a bench goes to stdout")]

use envs::{Autoreset, Classic, ClassicKind, VectorEnv, bench};
use spec::{ActionMode, EnvSpec, PositionMode};

const ENVS: usize = 1_024;

fn main() {
    for kind in ClassicKind::ALL {
        let mut classic = Classic::new(kind, ENVS, Autoreset::SameStep);
        report(kind.name(), bench::stepping(&mut classic, cpu_seconds));
    }
    for (action, name) in [(ActionMode::Discrete, "discrete"), (ActionMode::Continuous, "continuous")] {
        let spec = EnvSpec { action, positions: PositionMode::LongShort, ..EnvSpec::default() };
        let mut trading = bench::made_up_market(&spec, ENVS, 64);
        assert_eq!(trading.envs(), ENVS);
        report(&format!("trading_{name}"), bench::stepping(&mut trading, cpu_seconds));
        report(&format!("trading_{name}_by_reference"), bench::stepping_by_reference(&mut trading, cpu_seconds));
    }
}

fn report(name: &str, speed: f64) {
    let line = serde_json::json!({ "bench": "env", "env": name, "envs": ENVS, "steps_per_cpu_s": speed.round() });
    println!("{line}");
}

/// Of the process, so that other programs on the machine do not count.
fn cpu_seconds() -> f64 {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9
}
