//! The shipped experiment of two symbols, from its file to its verdict.

use serde_json::Value;

use crate::site::{Site, root};

/// A home with both symbols imported.
fn site() -> Site {
    let site = Site::empty();
    let csv = root().join("data/us_daily_unadjusted_2000_2013.csv");
    site.json(&["data", "import", csv.to_str().unwrap(), "--name", "pair"]);
    site
}

/// Two short trials of the shipped experiment, changed once more.
fn short(site: &Site, more: &[(&str, &str)]) -> String {
    let short = [
        ("seeds: [1, 2, 3, 4, 5]", "seeds: [1, 2]"),
        ("epochs: 15", "epochs: 2"),
        ("channels: 16, hidden: 32", "channels: 4, hidden: 4"),
    ];
    site.shipped("companions.yaml", &[&short[..], more].concat())
}

#[test]
fn what_is_learned_from_two_symbols_trades_the_first_and_is_judged_on_it() {
    let site = site();
    let both = site.json(&["run", &short(&site, &[])]);
    let alone = site.json(&["run", &short(&site, &[("[AAPL, IBM]", "[AAPL]")])]);
    let loss = |outcome: &Value| outcome["best"]["objective"].as_f64().unwrap();
    assert_ne!(loss(&both), loss(&alone), "the rows of the second are learned from");
    // What was earned beyond nothing, less what was earned beyond holding, is what holding earned.
    let held = |outcome: &Value| {
        let beyond = |gate: usize| outcome["promotion"]["gates"][gate]["value"].as_f64().unwrap();
        beyond(0) - beyond(1)
    };
    assert!((held(&both) - held(&alone)).abs() < 1e-9, "both are judged on the first");
    // The same again is known, and without the companion it is another question.
    assert_ne!(alone["experiment"], both["experiment"]);
    assert_eq!(site.json(&["run", &short(&site, &[])])["experiment"], both["experiment"]);
}

#[test]
fn symbols_that_cannot_be_learned_from_are_refused_at_their_place() {
    let site = site();
    let said = |change| site.refused(&["run", &short(&site, &[change])], 2);
    let unknown = said(("[AAPL, IBM]", "[AAPL, IBN]"));
    assert!(unknown.contains("companions.yaml:7:19: unknown symbol `IBN`"), "{unknown}");
    let twice = said(("[AAPL, IBM]", "[AAPL, IBM, AAPL]"));
    assert!(twice.contains("companions.yaml:7:24: a repeated symbol"), "{twice}");
    let folds = said(("    patience: 5\n", "    patience: 5\n    cross_validation: { blocks: { folds: 3 } }\n"));
    assert!(folds.contains("several symbols beside `cross_validation`"), "{folds}");
    assert!(!site.home().join("runs").try_exists().unwrap(), "nothing was begun");
}
