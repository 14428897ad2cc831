//! Routes, the door in front of them, and bytes to requests and back.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::api::{Act, ActRequest, Answer, Description};
use crate::desk::Desk;
use crate::key::ApiKey;
use crate::model::{acted, observed};
use crate::refusal::{Code, Refusal};

/// Largest body: some thousand bars.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Longest a request may take, its body's arrival included.
const REQUEST_MAX: Duration = Duration::from_secs(20);

/// What every request may use.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) desk: Desk,
    pub(crate) description: Description,
    pub(crate) api_key: ApiKey,
}

#[derive(Serialize)]
struct Status {
    status: &'static str,
}

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let guarded = Router::new()
        .route("/v1/predict", post(predict))
        .route("/v1/act", post(act))
        .route("/v1/model", get(model))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&shared), admit))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
    Router::new()
        .route("/healthz", get(|| async { Json(Status { status: "ok" }) }))
        .route("/readyz", get(ready))
        .merge(guarded)
        .fallback(|| async {
            Refusal::new(Code::NotFound, "there is /v1/predict, /v1/act, /v1/model, /healthz and /readyz")
        })
        .method_not_allowed_fallback(|| async {
            Refusal::new(Code::MethodNotAllowed, "/v1/predict and /v1/act take POST, all else GET")
        })
        .layer(middleware::from_fn(in_time))
        .with_state(shared)
}

/// Turns away who has no key, before a body is read.
async fn admit(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION);
    if given.is_some_and(|value| shared.api_key.admits(value.as_bytes())) {
        return next.run(request).await;
    }
    Refusal::new(Code::Unauthorized, "send the key of the server's key file as `Authorization: Bearer KEY`")
        .into_response()
}

async fn in_time(request: Request, next: Next) -> Response {
    tokio::time::timeout(REQUEST_MAX, next.run(request)).await.unwrap_or_else(|_| {
        Refusal::new(Code::Timeout, format!("a request may take {} seconds", REQUEST_MAX.as_secs())).into_response()
    })
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    if shared.desk.is_alive() {
        Json(Status { status: "ready" }).into_response()
    } else {
        Refusal::new(Code::Unavailable, "the model has stopped: restart the server").into_response()
    }
}

async fn model(State(shared): State<Arc<Shared>>) -> Json<Description> {
    Json(shared.description.clone())
}

async fn predict(
    State(shared): State<Arc<Shared>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Answer>, Refusal> {
    shared.desk.ask(read(body)?).await.map(Json)
}

async fn act(State(shared): State<Arc<Shared>>, body: Result<Bytes, BytesRejection>) -> Result<Json<Act>, Refusal> {
    let request: ActRequest = read(body)?;
    let answer = shared.desk.ask(observed(request, shared.description.kind)?).await?;
    acted(answer).map(Json)
}

fn read<T: DeserializeOwned>(body: Result<Bytes, BytesRejection>) -> Result<T, Refusal> {
    let body = body.map_err(unread)?;
    serde_json::from_slice(&body).map_err(|error| misread(&error))
}

fn unread(rejection: BytesRejection) -> Refusal {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Refusal::new(
            Code::TooLarge,
            format!("the body is larger than {BODY_BYTES_MAX} bytes: send fewer bars"),
        );
    }
    Refusal::new(Code::InvalidRequest, "the body did not arrive whole")
}

fn misread(error: &serde_json::Error) -> Refusal {
    match error.classify() {
        Category::Data => Refusal::new(Code::InvalidRequest, error.to_string()),
        Category::Syntax | Category::Eof | Category::Io => Refusal::new(Code::InvalidJson, error.to_string()),
    }
}
