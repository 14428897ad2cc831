//! Prints how fast environments step, as JSON lines.
#![allow(clippy::print_stdout, reason = "the result of a bench goes to stdout")]

use envs::{Autoreset, Classic, ClassicKind, VectorEnv, bench};

fn main() {
    for kind in ClassicKind::ALL {
        for autoreset in [Autoreset::SameStep, Autoreset::NextStep] {
            let mut classic = Classic::new(kind, 1_024, autoreset);
            report(kind.name(), &mut classic);
        }
    }
}

fn report(name: &str, env: &mut dyn VectorEnv) {
    let speed = bench::stepping(env, cpu_seconds);
    let line = serde_json::json!({ "bench": "env", "env": name, "envs": env.envs(), "autoreset": env.autoreset(),
        "steps_per_cpu_s": speed.round() });
    println!("{line}");
}

fn cpu_seconds() -> f64 {
    let usage = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    usage.tv_sec as f64 + usage.tv_nsec as f64 / 1e9
}
