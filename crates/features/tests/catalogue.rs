//! The page of features is the code's.

#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

use std::fmt::Write as _;
use std::path::Path;

use spec::{FeatureSpec, ParameterRange};

/// The page `docs/features.md`, from what each feature says of itself.
fn catalogue() -> String {
    let schema = schemars::schema_for!(FeatureSpec).to_value();
    let all = FeatureSpec::all();
    let mut page = format!(
        "# Features\n\nWritten from the code by the test `the_catalogue_is_that_of_the_code` of `crates/features`; with `WRITE=1` \
         it writes the page anew.\n\n\
         {} features, of which {} compare symbols. Each takes O(1) a bar, amortised. A batch is the same steps as a stream, so the \
         two agree bit for bit. Prices are taken as they stand in the data set. A row is complete once every column has its \
         warm-up behind it; warm-up is given for the parameters shown. What a feature is for a series that does not move, or \
         without volume, is part of its definition: no value is ever NaN or infinite.\n\n\
         | feature | parameters, with their ranges | warm-up, bars | what it is |\n|---|---|---|---|\n",
        all.len(),
        all.iter().filter(|spec| spec.is_cross_section()).count(),
    );
    for spec in &all {
        let parameters: Vec<String> = spec
            .parameters()
            .iter()
            .map(|parameter| {
                let range = match parameter.range {
                    ParameterRange::Bars { least, most } => format!("{least}–{most}"),
                    ParameterRange::Above { most } if most.is_finite() => format!("above 0, at most {most}"),
                    ParameterRange::Above { .. } => "above 0".to_owned(),
                };
                format!("`{}: {}` ({range})", parameter.field, parameter.value)
            })
            .collect();
        let about = description(&schema, spec.kind()).replace('|', "\\|");
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {about} |",
            spec.kind(),
            parameters.join(", "),
            features::warm_up_bars(spec)
        );
    }
    page.push_str("\nIn an experiment: `features: [{ rsi: { bars: 14 } }, { gap: {} }]`.\n");
    page
}

/// What the schema says of a feature.
fn description(schema: &serde_json::Value, kind: &str) -> String {
    let variants = schema["oneOf"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = variants.iter().find(|variant| variant["required"][0] == kind);
    found.and_then(|variant| variant["description"].as_str()).unwrap_or_default().replace('\n', " ")
}

#[test]
fn the_catalogue_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/features.md");
    let page = catalogue();
    if std::env::var_os("WRITE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/features.md is stale: run this test with WRITE=1");
    assert!(!page.contains("|  |\n"), "a feature has no description");
}
