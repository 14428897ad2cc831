//! One section of an experiment file by itself, in the words, defaults and ranges of the file.

use serde::de::DeserializeOwned;

use crate::problem::{Finding, Problem};
use crate::{EnvSpec, FeatureSpec, parse, ranges, yaml};

/// Reads what stands below `features:` in an experiment file, and checks its ranges.
///
/// # Errors
/// Every [`Problem`] found, in the order of the text.
pub fn parse_features(yaml: &str) -> Result<Vec<FeatureSpec>, Vec<Problem>> {
    section("features", yaml, |features: &Vec<FeatureSpec>| ranges::of_features(features))
}

/// Reads what stands below `env:` in an experiment file, and checks its ranges. `{}` is all defaults.
///
/// # Errors
/// Every [`Problem`] found, in the order of the text.
pub fn parse_env(yaml: &str) -> Result<EnvSpec, Vec<Problem>> {
    section("env", yaml, ranges::of_env)
}

fn section<T: DeserializeOwned>(
    name: &str,
    yaml: &str,
    out_of_range: impl Fn(&T) -> Vec<Finding>,
) -> Result<T, Vec<Problem>> {
    let (mut value, positions) = yaml::read(name, yaml).map_err(|problem| vec![*problem])?;
    let positions = positions.below(name);
    let place = |findings: Vec<Finding>| -> Vec<Problem> {
        let mut problems: Vec<_> = findings.into_iter().map(|finding| finding.placed(&positions)).collect();
        problems.sort_by(|a, b| a.place.cmp(&b.place));
        problems
    };
    let faults = parse::section_faults(name, &mut value, parse::fault_of::<T>);
    if !faults.is_empty() {
        return Err(place(faults));
    }
    let section = parse::strict(&value).map_err(|fault| place(vec![fault.below(name).finding()]))?;
    match out_of_range(&section) {
        findings if findings.is_empty() => Ok(section),
        findings => Err(place(findings)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said<T: std::fmt::Debug>(result: Result<T, Vec<Problem>>) -> Vec<String> {
        result.unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_section_reads_as_it_would_in_the_file_from_yaml_and_from_json() {
        let features = vec![FeatureSpec::LogReturn { bars: 1 }, FeatureSpec::Rsi { bars: 14 }];
        assert_eq!(parse_features("- log_return: { bars: 1 }\n- rsi:\n    bars: 14\n").unwrap(), features);
        assert_eq!(parse_features(r#"[{"log_return": {"bars": 1}}, {"rsi": {"bars": 14}}]"#).unwrap(), features);
        assert_eq!(parse_env("{}").unwrap(), EnvSpec::default());
        assert_eq!(parse_env("cash: 5000").unwrap(), EnvSpec { cash: 5_000, ..EnvSpec::default() });
    }

    #[test]
    fn every_unknown_key_is_told_at_its_place() {
        let said = said(parse_env("cahs: 1\ncosts: { slippage: 2 }\n"));
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(
            said[0].starts_with("env:1:1: unknown key `cahs`, `env` has no such key, did you mean `cash`?"),
            "{said:?}"
        );
        assert!(said[1].starts_with("env:2:10: unknown key `slippage`, `env.costs` has no such key"), "{said:?}");
    }

    #[test]
    fn ranges_are_those_of_the_file() {
        assert!(said(parse_env("cash: 0"))[0].starts_with("env:1:7: `env.cash` is 0, that is out of range"));
        assert!(said(parse_features("- rsi: { bars: 1 }"))[0].starts_with("features:1:16: `features.0.rsi.bars` is 1"));
        assert!(said(parse_features("[]"))[0].contains("no feature"));
    }
}
