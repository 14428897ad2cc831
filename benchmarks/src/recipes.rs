//! The recipes and starts that ship with the program.

use envs::ClassicKind;
use spec::{BenchmarkSpec, Problem, parse_benchmark};

use crate::evaluation::{Start, Starts};

/// Episodes of the final test where no starts are given, and the seed of their draw.
const EPISODES: usize = 200;
const TEST_SEED: u64 = 999_983;

macro_rules! shipped {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../../experiments/benchmarks/", $name, ".yaml")))),*]
    };
}

/// Every recipe by name, `ALGORITHM-ENVIRONMENT`.
pub const SHIPPED: [(&str, &str); 21] = shipped! {
    "ppo-cartpole" "ppo-pendulum" "ppo-acrobot" "dqn-cartpole" "dqn-acrobot" "dqn-mountain-car" "td3-pendulum"
    "sac-pendulum" "sac-mountain-car" "speed-ppo-cartpole" "speed-dqn-cartpole" "speed-sac-pendulum"
    "speed-td3-pendulum" "masked-ppo-cartpole" "masked-dqn-cartpole" "masked-sac-pendulum" "masked-td3-pendulum"
    "market-ppo" "market-dqn" "market-td3" "market-sac"
};

const PENDULUM_STARTS: &str = include_str!("../data/pendulum_starts.csv");

/// The shipped recipe of an algorithm on an environment.
#[must_use]
pub fn shipped(algorithm: &str, env: ClassicKind) -> Option<BenchmarkSpec> {
    let specs = SHIPPED.iter().filter(|(name, _)| !is_variant(name));
    let read = |(name, text): &(&str, &str)| parse_benchmark(name, text).ok();
    specs.filter_map(read).find(|spec| spec.env == env.name() && spec.agent.algorithm.name() == algorithm)
}

/// The shipped recipe of an algorithm on a made-up market.
#[must_use]
pub fn market(algorithm: &str) -> Option<BenchmarkSpec> {
    let (name, text) = SHIPPED.iter().find(|(name, _)| name.strip_prefix("market-") == Some(algorithm))?;
    parse_benchmark(name, text).ok()
}

/// Asked for by its file alone: another measure than the best return.
fn is_variant(name: &str) -> bool {
    name.starts_with("speed-") || name.starts_with("masked-")
}

/// Reads a recipe.
///
/// # Errors
/// As [`parse_benchmark`].
pub fn read(file_name: &str, text: &str) -> Result<BenchmarkSpec, Vec<Problem>> {
    parse_benchmark(file_name, text)
}

/// Where the final test of an environment begins: Pendulum at 200 states whose optimal return is known.
///
/// # Panics
/// Never: the shipped starts are numbers, as a test shows.
#[must_use]
pub fn starts(env: &str) -> Starts {
    if env != ClassicKind::Pendulum.name() {
        return Starts::Drawn { episodes: EPISODES, seed: TEST_SEED };
    }
    let start = |line: &str| {
        let values: Vec<f64> = line.split(',').map(|value| value.parse().expect("a shipped number")).collect();
        Start { state: values[..2].to_vec(), optimum: values[2] }
    };
    Starts::Fixed(PENDULUM_STARTS.lines().skip(1).map(start).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::NAME;

    #[test]
    fn every_shipped_recipe_is_sound_and_named_for_what_it_does() {
        for (file, text) in SHIPPED {
            let spec = parse_benchmark(file, text).unwrap_or_else(|problems| panic!("{problems:?}"));
            let algorithm = spec.agent.algorithm.name();
            assert!(file.contains(algorithm), "{file}");
            if spec.env == NAME {
                assert_eq!(market(algorithm), Some(spec), "{file}");
                continue;
            }
            let env: ClassicKind = spec.env.parse().unwrap();
            assert!(is_variant(file) || shipped(algorithm, env) == Some(spec), "{file}");
        }
    }

    #[test]
    fn the_mean_optimum_of_the_shipped_starts_is_that_of_dynamic_programming() {
        let Starts::Fixed(starts) = starts("Pendulum-v1") else { panic!("they are fixed") };
        let mean = starts.iter().map(|start| start.optimum).sum::<f64>() / 200.0;
        assert!(starts.len() == 200 && (mean + 130.0).abs() < 0.1, "{mean}");
    }
}
