//! `models` and `history`.

use anyhow::Result;
use artifacts::Registry;
use serde_json::json;
use spec::ModelName;

use crate::commands::Context;
use crate::exit::{Exit, bad_input};
use crate::view::table::{Column, render};

/// Lists registered models.
pub(crate) fn models(context: &Context) -> Result<Exit> {
    let models = Registry::open(&context.home.registry())?.models()?;
    context.show(&json!({ "models": models }), || {
        let columns = [
            Column::Text("model"),
            Column::Number("version"),
            Column::Text("bundle"),
            Column::Text("trial"),
            Column::Text("registered"),
            Column::Text("aliases"),
        ];
        let rows = models.iter().flat_map(|model| {
            model.versions.iter().map(move |version| {
                let aliases = model.aliases.iter().filter(|(_, bundle)| *bundle == version.bundle);
                let aliases: Vec<&str> = aliases.map(|(alias, _)| alias.as_str()).collect();
                vec![
                    model.model.to_string(),
                    version.version.to_string(),
                    version.bundle.short(),
                    version.trial.to_string(),
                    version.registered.to_string(),
                    aliases.join(" "),
                ]
            })
        });
        if models.is_empty() { "no model is registered".to_owned() } else { render(&columns, rows) }
    })?;
    Ok(Exit::Ok)
}

/// Prints every move of a model's aliases.
pub(crate) fn history(context: &Context, model: &ModelName) -> Result<Exit> {
    let registry = Registry::open(&context.home.registry())?;
    let moves = registry.history(model)?;
    if registry.versions(model)?.is_empty() {
        return Err(bad_input(format!("no model {model} is registered: `tradewind models` lists what there is")));
    }
    context.show(&json!({ "model": model, "moves": moves }), || {
        let columns = [
            Column::Text("at"),
            Column::Text("alias"),
            Column::Text("from"),
            Column::Text("to"),
            Column::Text("by"),
            Column::Text("evidence"),
        ];
        let rows = moves.iter().map(|line| {
            vec![
                line.at.to_string(),
                line.alias.to_string(),
                line.from.map_or_else(|| "-".to_owned(), |bundle| bundle.short()),
                line.to.short(),
                line.actor.clone(),
                line.evidence.short(),
            ]
        });
        render(&columns, rows)
    })?;
    Ok(Exit::Ok)
}
