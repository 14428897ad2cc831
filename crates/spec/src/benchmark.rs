//! The recipe of a benchmark: an algorithm on an environment whose solution is known.

use serde::{Deserialize, Serialize};

use crate::parse::{Fault, strict};
use crate::{ModelSpec, Problem, RlSpec, Version, ranges, yaml};

/// A recipe file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BenchmarkSpec {
    /// Format of the file. Always 1.
    pub version: Version,
    /// Gymnasium's id of a classic control problem, such as `CartPole-v1`, or `made-up-market`.
    pub env: String,
    /// Components of an observation that are shown, from 0, over the last `agent.window` steps; default: all. Without its
    /// velocities, a problem asks for memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shows: Option<Vec<usize>>,
    /// Algorithm, steps and evaluation.
    pub agent: RlSpec,
    /// The network.
    pub model: ModelSpec,
}

/// Reads a recipe. `file_name` is how problems name it.
///
/// # Errors
/// The [`Problem`]s found, each with its place.
pub fn parse_benchmark(file_name: &str, text: &str) -> Result<BenchmarkSpec, Vec<Problem>> {
    let (value, positions) = yaml::read(file_name, text).map_err(|problem| vec![*problem])?;
    let spec: BenchmarkSpec = strict(&value).map_err(|fault: Fault| vec![fault.finding().placed(&positions)])?;
    let findings = ranges::of_benchmark(&spec);
    if findings.is_empty() {
        return Ok(spec);
    }
    Err(findings.into_iter().map(|finding| finding.placed(&positions)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: &str = "\
version: 1
env: CartPole-v1
agent:
  window: 1
  steps: 1000
  algorithm:
    dqn: { learning_rate: 0.001, gamma: 0.99, replay: { capacity: 1000, batch: 64 } }
model:
  mlp: { hidden: [16] }
";

    #[test]
    fn a_recipe_is_read() {
        let spec = parse_benchmark("a.yaml", RECIPE).unwrap();
        assert_eq!((spec.env.as_str(), spec.agent.steps), ("CartPole-v1", 1000));
    }

    #[test]
    fn impossible_hyper_parameters_are_told_with_their_place() {
        let said = |old: &str, new: &str| {
            let problems = parse_benchmark("a.yaml", &RECIPE.replace(old, new)).unwrap_err();
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        let gamma = said("gamma: 0.99", "gamma: 1.5");
        assert_eq!(gamma, "a.yaml:7:41: `agent.algorithm.dqn.gamma` is 1.5, that is out of range, use 0 to 1");
        assert!(said("batch: 64", "batch: 2000").contains("a batch of 2000 from 1000 transitions"));
        assert!(said("steps: 1000", "setps: 1000").contains("setps"));
        let sac = "sac: { learning_rate: 0.001, temperature: { fixed: -1 } }";
        let dqn = "dqn: { learning_rate: 0.001, gamma: 0.99, replay: { capacity: 1000, batch: 64 } }";
        assert!(said(dqn, sac).starts_with("a.yaml:7:56: `agent.algorithm.sac.temperature.fixed` is -1"));
    }
}
