//! Who may depend on whom: arrows point down only. Normal dependencies count, those of tests and build scripts do not.

use std::collections::BTreeMap;

/// What every other crate may use as well.
const NOUNS: [&str; 3] = ["market", "spec", "statistics"];

/// Crates that may use any other, and hold no logic of their own.
const COMPOSERS: [&str; 2] = ["cli", "xtask"];

/// Each crate and what it may use beside the nouns. The nouns themselves use only what stands here.
const TABLE: [(&str, &[&str]); 27] = [
    ("market", &[]),
    ("statistics", &[]),
    ("spec", &["market"]),
    ("search", &[]),
    ("dataset", &[]),
    ("features", &[]),
    ("venue", &[]),
    ("portfolio", &["venue"]),
    ("risk", &["venue", "portfolio"]),
    ("telemetry", &[]),
    ("protocol", &["telemetry"]),
    ("artifacts", &[]),
    ("neural", &[]),
    ("models", &["features", "artifacts", "neural"]),
    ("explain", &["features", "artifacts", "models"]),
    ("strategy", &["venue", "portfolio"]),
    ("backtest", &["dataset", "features", "venue", "portfolio", "risk", "strategy", "artifacts", "models"]),
    ("brokers", &["venue", "portfolio", "risk"]),
    ("envs", &["dataset", "features", "venue", "portfolio"]),
    ("tradewind-envs", &["dataset", "features", "envs"]),
    ("trainer", &["dataset", "features", "neural", "models", "envs"]),
    ("benchmarks", &["dataset", "neural", "models", "explain", "envs", "trainer"]),
    ("worker", &["telemetry", "protocol", "dataset", "artifacts", "models", "trainer", "backtest"]),
    ("scheduler", &["telemetry", "protocol"]),
    ("experiments", &["protocol", "scheduler", "search", "dataset", "artifacts", "backtest", "explain"]),
    ("serving", &["protocol", "dataset", "features", "artifacts", "models"]),
    ("live", &["dataset", "features", "artifacts", "models", "venue", "risk", "strategy", "portfolio", "brokers"]),
];

/// Findings in `uses`: the crates of the workspace, each with the crates of the workspace that it uses.
pub(crate) fn findings(uses: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, used) in uses {
        if COMPOSERS.contains(&name.as_str()) {
            continue;
        }
        let Some((_, allowed)) = TABLE.iter().find(|(row, _)| row == name) else {
            findings.push(format!("{name}: has no row in xtask/src/dependencies.rs, add one with what it may use"));
            continue;
        };
        let is_noun = NOUNS.contains(&name.as_str());
        for other in used.iter().map(String::as_str) {
            if !allowed.contains(&other) && (is_noun || !NOUNS.contains(&other)) {
                findings.push(format!("{name}: must not use {other}, see the table in xtask/src/dependencies.rs"));
            }
        }
    }
    for (row, _) in TABLE {
        if !uses.contains_key(row) {
            findings.push(format!("{row}: has a row in xtask/src/dependencies.rs and is no crate, remove the row"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every crate of the table, with `extra` uses of one of them.
    fn workspace(name: &str, extra: &[&str]) -> BTreeMap<String, Vec<String>> {
        let mut uses: BTreeMap<_, _> = TABLE.iter().map(|(row, allowed)| ((*row).to_owned(), owned(allowed))).collect();
        uses.entry(name.to_owned()).or_default().extend(owned(extra));
        uses
    }

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_table_allows_what_it_lists_and_the_nouns() {
        assert_eq!(findings(&workspace("scheduler", &["market", "spec", "statistics"])), Vec::<String>::new());
        assert_eq!(findings(&workspace("cli", &["scheduler", "trainer", "live"])), Vec::<String>::new());
    }

    #[test]
    fn a_use_that_the_table_lacks_is_told_and_nouns_are_no_exception() {
        let said = |name, extra: &[&str]| findings(&workspace(name, extra)).join("\n");
        let told = "must not use";
        assert_eq!(
            said("scheduler", &["trainer"]),
            format!("scheduler: {told} trainer, see the table in xtask/src/dependencies.rs")
        );
        assert!(said("live", &["envs"]).starts_with("live: must not use envs"));
        assert!(said("statistics", &["market"]).starts_with("statistics: must not use market"));
        assert!(said("spec", &["statistics"]).starts_with("spec: must not use statistics"));
    }

    #[test]
    fn a_crate_without_a_row_and_a_row_without_a_crate_are_told() {
        assert!(findings(&workspace("gossip", &[]))[0].starts_with("gossip: has no row"));
        let mut uses = workspace("cli", &[]);
        uses.remove("risk");
        assert!(findings(&uses)[0].starts_with("risk: has a row"));
    }

    /// Were there a circle, no order of building the crates would exist; here, each row uses earlier rows alone.
    #[test]
    fn arrows_point_down_only() {
        for (index, (row, allowed)) in TABLE.iter().enumerate() {
            for name in *allowed {
                assert!(TABLE[..index].iter().any(|(earlier, _)| earlier == name), "{row} uses {name}");
            }
        }
    }
}
