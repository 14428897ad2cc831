//! `serve` and its client `predict`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use models::Chosen;
use serde_json::Value;
use serving::{Answer, ApiKey, PredictRequest, Served, Server};
use spec::Repair;

use crate::args::{Predict, Serve};
use crate::commands::{Context, chosen, interrupted, runtime, serving_runtime};
use crate::exit::{Exit, bad_input};
use crate::home::ensure_key;

/// Longest wait for an answer.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// Serves a registered model until it is interrupted.
pub(crate) fn serve(context: &Context, options: &Serve) -> Result<Exit> {
    let Chosen { bundle, reference, .. } = chosen(context, &options.model, options.fallback.as_deref())?;
    let id = bundle.id();
    let key_file = key_file(context, options.key_file.as_deref());
    ensure_key(&key_file)?;
    let api_key = ApiKey::read(&key_file)?;
    let settings = serving::Options { listen: options.listen, api_key, model: reference.clone(), bundle };
    serving_runtime()?.block_on(async {
        let server = Server::bind(settings).await?;
        context.say(format!("serving {reference} (bundle {id}) at http://{}", server.address()));
        context.say(format!("API key in {}", key_file.display()));
        server.run(interrupted()).await?;
        Ok(Exit::Ok)
    })
}

fn key_file(context: &Context, named: Option<&Path>) -> PathBuf {
    named.map_or_else(|| context.home.serving_key(), Path::to_owned)
}

/// Sends the bars that the model has not seen and prints what it makes of the last one.
pub(crate) fn predict(context: &Context, options: &Predict) -> Result<Exit> {
    let path = dataset::resolve(context.home.path(), &options.data);
    let key_file = key_file(context, options.key_file.as_deref());
    let key = std::fs::read_to_string(&key_file)
        .with_context(|| format!("API key file {} cannot be read: start the server first", key_file.display()))?;
    let answer: Answer = runtime()?.block_on(async {
        let client = reqwest::Client::builder().timeout(ANSWER_WAIT).build()?;
        let described = client.get(format!("{}/v1/model", options.url)).bearer_auth(key.trim());
        let described = answered(described).await?;
        let at = described.get("at").and_then(Value::as_str).and_then(|at| at.parse().ok());
        let repairs = described.get("repairs").cloned().unwrap_or(Value::Array(Vec::new()));
        let repairs: Vec<Repair> =
            serde_json::from_value(repairs).context("the server describes itself in another form")?;
        let (data, _) = dataset::load(&path, &options.symbol, &repairs).map_err(bad_input)?;
        let bars = data.bars.iter().filter(|bar| at.is_none_or(|at| bar.time > at)).copied().collect();
        let request = PredictRequest { bars: Some(bars), ..PredictRequest::default() };
        let predict = client.post(format!("{}/v1/predict", options.url)).bearer_auth(key.trim()).json(&request);
        serde_json::from_value(answered(predict).await?).context("the server answers in another form")
    })?;
    context.show(&answer, || answer.predictions.iter().map(sentence).collect::<Vec<_>>().join("\n"))?;
    Ok(Exit::Ok)
}

/// The JSON of an answer; a refusal becomes an error with the server's own words.
async fn answered(request: reqwest::RequestBuilder) -> Result<Value> {
    let response = request.send().await.context("the server does not answer: is it running at --url?")?;
    let status = response.status();
    let body: Value = response.json().await.unwrap_or_default();
    if status.is_success() {
        return Ok(body);
    }
    let said = body.pointer("/error/message").and_then(Value::as_str).unwrap_or("no reason given");
    bail!("the server refuses ({status}): {said}")
}

fn sentence(served: &Served) -> String {
    let date = |bar: &Option<market::Timestamp>| bar.map_or_else(|| "row".to_owned(), market::Timestamp::date);
    match served {
        Served::Forecast { bar, probabilities, expected_return, confidence, .. } => {
            let trust = confidence.as_ref().map(|said| {
                let (held, low, high) = (100.0 * (1.0 - said.miss), 100.0 * said.low, 100.0 * said.high);
                let (noise, doubt) = (100.0 * said.aleatoric, 100.0 * said.epistemic);
                format!("  {held:.0} % within {low:+.2} to {high:+.2} %  noise {noise:.2} %  doubt {doubt:.2} %")
            });
            format!(
                "{}  down {:.1} %  flat {:.1} %  up {:.1} %  expected return {:+.2} %{}",
                date(bar),
                100.0 * probabilities.down,
                100.0 * probabilities.flat,
                100.0 * probabilities.up,
                100.0 * expected_return,
                trust.unwrap_or_default(),
            )
        }
        Served::Policy { bar, action, probabilities, .. } => {
            format!("{}  action {action} of {} with probability {:.1} %", date(bar), probabilities.len(), {
                100.0 * probabilities.get(*action as usize).copied().unwrap_or_default()
            })
        }
        Served::Values { bar, action, values, .. } => {
            let value = values.get(*action as usize).copied().unwrap_or_default();
            format!("{}  action {action} of {} with value {value:+.4}", date(bar), values.len())
        }
        Served::Control { bar, action, .. } => {
            let parts: Vec<String> = action.iter().map(|part| format!("{part:+.3}")).collect();
            format!("{}  action {}", date(bar), parts.join(" "))
        }
    }
}
