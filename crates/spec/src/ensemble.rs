//! The ensemble: which bundles act together, and how.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::parse::{Fault, strict};
use crate::problem::Finding;
use crate::{ModelName, Problem, PromoteSpec, Version, yaml};

/// Most members of an ensemble.
pub const MEMBERS_MAX: usize = 16;

/// Largest seed: JSON numbers hold whole numbers up to here exactly.
const SEED_MAX: u64 = 1 << 53;

/// An ensemble file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnsembleSpec {
    /// Format of the file. Always 1.
    pub version: Version,
    /// Short name.
    pub name: ModelName,
    /// Policies, or forecasters with the same heads: `MODEL@champion`, `MODEL@challenger` or `MODEL@VERSION` each, 2 to 16.
    #[serde(default)]
    pub members: Vec<String>,
    /// In place of `members`: an experiment, whose succeeded trials all are members. Its name alone means its newest run.
    #[serde(default)]
    pub sweep: Option<String>,
    /// Where their weights come from. Default: `thompson`.
    #[serde(default = "thompson")]
    pub weights: Weighting,
    /// How their actions become one. Default: `mean`.
    #[serde(default = "mean")]
    pub combine: Combination,
    /// Of all draws. Default: 0.
    #[serde(default)]
    pub seed: u64,
    /// Where the ensemble goes; absent: nowhere.
    #[serde(default)]
    pub promote: Option<PromoteSpec>,
}

/// Where the weights of an ensemble come from: always the validation split. No gradient saw it, but members were chosen on
/// it, so a member that was lucky there gets too much say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Weighting {
    /// All the same.
    Equal,
    /// A member's share of the picks of Thompson sampling (1933) on its returns.
    Thompson,
    /// A meta-learner: weights that grow wealth most, by exponentiated gradient (Helmbold et al. 1998).
    MetaLearner,
}

/// How the actions of an ensemble's members become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Combination {
    /// The weighted mean of the exposures they name.
    Mean,
    /// The discrete action with most weight behind it.
    Argmax,
}

const fn thompson() -> Weighting {
    Weighting::Thompson
}

const fn mean() -> Combination {
    Combination::Mean
}

/// Reads an ensemble file. `file_name` is how problems name it.
///
/// # Errors
/// The [`Problem`]s found, each with its place.
pub fn parse_ensemble(file_name: &str, text: &str) -> Result<EnsembleSpec, Vec<Problem>> {
    let (value, positions) = yaml::read(file_name, text).map_err(|problem| vec![*problem])?;
    let spec: EnsembleSpec = strict(&value).map_err(|fault: Fault| vec![fault.finding().placed(&positions)])?;
    let mut findings = Vec::new();
    if spec.sweep.is_some() {
        if !spec.members.is_empty() {
            let why = "its trials are the members";
            findings.push(Finding::new("sweep", "`sweep` beside `members`", why, "write one of the two"));
        }
    } else if !(2..=MEMBERS_MAX).contains(&spec.members.len()) {
        let what = format!("{} members", spec.members.len());
        let hint = format!("name 2 to {MEMBERS_MAX}");
        findings.push(Finding::new("members", what, "that is no ensemble this build combines", hint));
    }
    for (index, member) in spec.members.iter().enumerate() {
        if spec.members[..index].contains(member) {
            let what = format!("{member} is named twice");
            findings.push(Finding::new(format!("members.{index}"), what, "its weight would be split", "name it once"));
        }
    }
    if spec.seed > SEED_MAX {
        let why = "that is beyond what JSON numbers hold exactly";
        findings.push(Finding::new("seed", format!("seed {}", spec.seed), why, format!("use 0 to {SEED_MAX}")));
    }
    if let Some(promote) = &spec.promote
        && !(0.0..=1.0).contains(&promote.gates.deflated_sharpe_min)
    {
        let what = format!("`promote.gates.deflated_sharpe_min` is {}", promote.gates.deflated_sharpe_min);
        findings.push(Finding::new("promote.gates.deflated_sharpe_min", what, "that is out of range", "use 0 to 1"));
    }
    if findings.is_empty() {
        return Ok(spec);
    }
    Err(findings.into_iter().map(|finding| finding.placed(&positions)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ensemble_is_read_and_a_bad_one_is_told_with_its_place() {
        let text = "version: 1\nname: both\nmembers: [a@champion, b@2]\n";
        let spec = parse_ensemble("e.yaml", text).unwrap();
        assert_eq!((spec.weights, spec.combine, spec.members.len()), (Weighting::Thompson, Combination::Mean, 2));
        let said = |text: &str| parse_ensemble("e.yaml", text).unwrap_err()[0].to_string();
        let twice = said("version: 1\nname: both\nmembers:\n  - a@2\n  - a@2\n");
        assert_eq!(twice, "e.yaml:5:5: a@2 is named twice, its weight would be split, name it once");
        assert!(said("version: 1\nname: one\nmembers: [a@2]\n").starts_with("e.yaml:3:10: 1 members"));
        assert!(said("version: 1\nname: x\nmembers: [a@1, b@1]\ncombine: median\n").contains("median"));
        let gate = said(
            "version: 1\nname: x\nmembers: [a@1, b@1]\npromote: { model: x, gates: { deflated_sharpe_min: -1 } }\n",
        );
        assert!(gate.starts_with("e.yaml:4:") && gate.contains("use 0 to 1"), "{gate}");
        let both = said("version: 1\nname: x\nmembers: [a@1, b@1]\nsweep: tries\n");
        assert_eq!(both, "e.yaml:4:8: `sweep` beside `members`, its trials are the members, write one of the two");
        let neither = said("version: 1\nname: x\n");
        assert!(neither.contains("0 members"), "{neither}");
        assert!(parse_ensemble("e.yaml", "version: 1\nname: x\nsweep: tries\n").unwrap().members.is_empty());
        let seed = said("version: 1\nname: x\nmembers: [a@1, b@1]\nseed: 9007199254740993\n");
        assert!(seed.starts_with("e.yaml:4:7: seed"), "{seed}");
    }

    #[test]
    fn the_shipped_ensembles_are_sound() {
        let text = include_str!("../../../experiments/ensembles/all-agents.yaml");
        assert_eq!(parse_ensemble("all-agents.yaml", text).unwrap().members.len(), 4);
        let text = include_str!("../../../experiments/ensembles/calibration.yaml");
        assert_eq!(parse_ensemble("calibration.yaml", text).unwrap().sweep.as_deref(), Some("calibration"));
    }
}
