//! Why a request gets no prediction: a stable code for programs, a sentence for people.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Why, for programs. Stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The key is missing or wrong.
    Unauthorized,
    /// There is nothing at this path.
    NotFound,
    /// The path does not take this method.
    MethodNotAllowed,
    /// The body is not JSON.
    InvalidJson,
    /// The body is JSON of another shape, or asks for nothing.
    InvalidRequest,
    /// The body, or what it asks for, is beyond the limit.
    TooLarge,
    /// The body did not arrive in time.
    Timeout,
    /// The bars start neither at the anchor nor right after the bundle's bar, or do not fill a window.
    HistoryTooShort,
    /// A bar holds what no price or volume can be.
    DefectiveBar,
    /// The bars do not move forward in time.
    BarsOutOfOrder,
    /// A session is missing between two bars.
    MissingBars,
    /// A row has another number of values than the network takes.
    WrongWidth,
    /// A row holds, or the network made of it, NaN or infinity.
    NotFinite,
    /// More is waiting than can be answered soon.
    Overloaded,
    /// The model has stopped.
    Unavailable,
    /// The server is at fault.
    Internal,
}

impl Code {
    const fn status(self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::InvalidJson => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::InvalidRequest
            | Self::HistoryTooShort
            | Self::DefectiveBar
            | Self::BarsOutOfOrder
            | Self::MissingBars
            | Self::WrongWidth
            | Self::NotFinite => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Overloaded | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Why a request gets no prediction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// For programs.
    pub code: Code,
    /// For people: what is wrong and what would be right.
    pub message: String,
}

impl Refusal {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// The JSON form.
#[derive(Serialize)]
struct Body {
    error: Refusal,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let code = self.code;
        let mut response = (code.status(), Json(Body { error: self })).into_response();
        match code {
            Code::Unauthorized => {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Code::Overloaded => {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Code::NotFound
            | Code::MethodNotAllowed
            | Code::InvalidJson
            | Code::InvalidRequest
            | Code::TooLarge
            | Code::Timeout
            | Code::HistoryTooShort
            | Code::DefectiveBar
            | Code::BarsOutOfOrder
            | Code::MissingBars
            | Code::WrongWidth
            | Code::NotFinite
            | Code::Unavailable
            | Code::Internal => {}
        }
        response
    }
}
