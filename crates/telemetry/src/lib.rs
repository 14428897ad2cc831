//! Traces from submission to result: what travels with the work, and how spans reach an OpenTelemetry collector.
//!
//! Knows no scheduler and no worker: they say what began and ended when. Without a configured collector a [`Tracer`] does
//! nothing, and no context is made.

pub mod collector;
mod context;
mod exporter;
mod otlp;
mod tracer;

pub use context::{TraceContext, TraceContextError};
pub use tracer::{Outcome, Span, Step, TelemetryError, Tracer, now};
