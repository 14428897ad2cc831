//! `explain-prediction` and `bench explanations`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use artifacts::Registry;
use benchmarks::explanations::{ExplanationsError, driver, real};
use explain::{Explanation, Method, Question};
use serde_json::json;
use spec::{BundleId, Digest, canonical_json};

use crate::args::{BenchExplanations, ExplainPrediction, MethodKind};
use crate::commands::{Audience, Context};
use crate::exit::{Exit, bad_input};

/// Explains a forecast, keeps the explanation and draws it.
pub(crate) fn explain_prediction(context: &Context, options: &ExplainPrediction) -> Result<Exit> {
    let bundle = context.home.store()?.get_bundle(named(context, &options.model)?)?;
    let path = dataset::resolve(context.home.path(), &options.data);
    // Repaired as the bars that it learned from were.
    let repairs = &bundle.manifest().trial.data.repairs;
    let (data, _) = dataset::load(&path, &options.symbol, repairs).map_err(bad_input)?;
    let question = Question {
        target: options.target,
        method: method(options),
        grain: options.by,
        features: options.feature.clone(),
        tolerance: options.tolerance,
    };
    let found = explain::explain(&bundle, &data.bars, options.at, &question);
    let found = found.map_err(|error| if error.is_bad_input() { bad_input(error) } else { error.into() })?;
    let folder = options.out.clone().unwrap_or_else(|| context.home.explanations());
    let [stored, map, report] = keep(&folder, &found)?;
    let text = |path: &Path| path.display().to_string();
    let line = json!({
        "explanation": found, "drivers": explain::drivers(&found),
        "stored": text(&stored), "map": text(&map), "report": text(&report),
    });
    context.show(&line, || {
        let mut lines = explain::sentences(&found);
        lines.push(format!("Map {}, report {}", map.display(), report.display()));
        lines.join("\n")
    })?;
    Ok(Exit::Ok)
}

/// A bundle by its digest, or by the name of a registered model.
fn named(context: &Context, model: &str) -> Result<BundleId> {
    if let Ok(digest) = model.parse() {
        return Ok(digest);
    }
    let (_, bundle) = Registry::open(&context.home.registry())?.resolve(model).map_err(bad_input)?;
    Ok(bundle)
}

const fn method(options: &ExplainPrediction) -> Method {
    match options.method {
        MethodKind::IntegratedGradients => Method::IntegratedGradients { steps: options.steps },
        MethodKind::Shapley => Method::Shapley { permutations: options.permutations, seed: options.seed },
        MethodKind::ExactShapley => Method::ExactShapley {},
    }
}

/// Writes the explanation, its map and its report. The name holds a digest of the content, so that no other is overwritten.
fn keep(folder: &Path, found: &Explanation) -> Result<[PathBuf; 3]> {
    std::fs::create_dir_all(folder).with_context(|| format!("folder {} cannot be made", folder.display()))?;
    let text = canonical_json(found);
    let digest = Digest::of(&text).short();
    let name = format!("{}-{}-{}-{digest}", found.bundle.short(), found.bar.date(), found.target);
    let write = |extension: &str, content: &[u8]| {
        let path = folder.join(format!("{name}.{extension}"));
        std::fs::write(&path, content).with_context(|| format!("{} cannot be written", path.display()))?;
        anyhow::Ok(path)
    };
    Ok([
        write("json", &text)?,
        write("svg", explain::heat_map::file(found).as_bytes())?,
        write("html", explain::page(found).as_bytes())?,
    ])
}

/// Trains on real bars and on a market with a planted driver, and measures what explanations of both are worth.
pub(crate) fn bench(context: &Context, options: &BenchExplanations) -> Result<Exit> {
    let (mut on_bars, mut driven) = (Vec::new(), Vec::new());
    let failed = |error: ExplanationsError| if error.is_bad_input() { bad_input(error) } else { error.into() };
    for seed in 1..=options.seeds {
        let measured = real::run(&options.bars, (options.epochs, seed)).map_err(failed)?;
        let planted = driver::run((options.rows as usize, options.epochs), seed).map_err(failed)?;
        if context.audience == Audience::People {
            eprintln!("{}", sentence(&measured, &planted));
        }
        on_bars.push(measured);
        driven.push(planted);
    }
    let line = json!({ "bench": "explanations", "epochs": options.epochs, "real": on_bars, "driver": driven });
    crate::view::line(&line);
    Ok(Exit::Ok)
}

fn sentence(real: &real::Real, driver: &driver::Driven) -> String {
    let residuals = real.residuals.iter().map(|residuals| {
        let (target, steps, within) = (residuals.target, residuals.steps, 100.0 * residuals.within);
        format!("  {target}, {steps} steps: {within:.1} % of rows within 1 % of the range\n")
    });
    format!(
        "seed {}\n{}  Shapley: {:.1} % within 3 standard errors\n  driver first in {:.1} % (cell {:.1} %, Shapley {:.1} %), R2 {:.3}",
        real.seed,
        residuals.collect::<String>(),
        100.0 * real.shapley.within_3,
        100.0 * driver.first,
        100.0 * driver.first_cell,
        100.0 * driver.first_shapley,
        driver.r2,
    )
}
