//! Where in a trace something stands: W3C Trace Context, version 00 (<https://www.w3.org/TR/trace-context/>).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use spec::Digest;

/// A trace and one span of it. Text form: `traceparent`.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceContext {
    pub(crate) trace: [u8; 16],
    pub(crate) span: [u8; 8],
}

/// The text is no `traceparent`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no traceparent: write 00-TRACE-SPAN-01, 32 and 16 lower-case hex digits that are not all 0")]
pub struct TraceContextError;

impl TraceContext {
    /// The first span of a new trace, of `random` bytes.
    #[must_use]
    pub fn root(random: [u8; 32]) -> Self {
        let (mut trace, mut span) = ([0; 16], [0; 8]);
        trace.copy_from_slice(&random[..16]);
        span.copy_from_slice(&random[16..24]);
        // All zeros stand for nothing.
        trace[15] |= 1;
        span[7] |= 1;
        Self { trace, span }
    }

    /// The span of the same trace that `what` names. The same name gives the same span, so whoever knows the name can link to
    /// it without having been told, also after a restart.
    #[must_use]
    pub fn named(&self, what: &str) -> Self {
        let digest = Digest::of(&[&self.trace[..], what.as_bytes()].concat());
        let mut span = [0; 8];
        span.copy_from_slice(&digest.as_bytes()[..8]);
        span[7] |= 1;
        Self { trace: self.trace, span }
    }

    /// The trace, 32 hex digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        hex::encode(self.trace)
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-01", hex::encode(self.trace), hex::encode(self.span))
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TraceContext {
    type Err = TraceContextError;

    fn from_str(text: &str) -> Result<Self, TraceContextError> {
        let mut parts = text.split('-');
        let (Some(version), Some(trace), Some(span), Some(flags)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TraceContextError);
        };
        // A later version may say more behind the flags; this one may not.
        let ends = version != "00" || parts.next().is_none();
        let [version] = bytes(version)?;
        let [_flags] = bytes(flags)?;
        let context = Self { trace: bytes(trace)?, span: bytes(span)? };
        if version == 0xff || !ends || context.trace == [0; 16] || context.span == [0; 8] {
            return Err(TraceContextError);
        }
        Ok(context)
    }
}

fn bytes<const N: usize>(text: &str) -> Result<[u8; N], TraceContextError> {
    let mut bytes = [0; N];
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(TraceContextError);
    }
    hex::decode_to_slice(text, &mut bytes).map_err(|_| TraceContextError)?;
    Ok(bytes)
}

impl TryFrom<String> for TraceContext {
    type Error = TraceContextError;
    fn try_from(text: String) -> Result<Self, TraceContextError> {
        text.parse()
    }
}

impl From<TraceContext> for String {
    fn from(context: TraceContext) -> Self {
        context.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_the_recommendation_is_read_and_written() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context: TraceContext = text.parse().unwrap();
        assert_eq!(context.to_string(), text);
        assert_eq!(context.trace_id(), "0af7651916cd43dd8448eb211c80319c");
    }

    #[test]
    fn what_the_recommendation_calls_invalid_is_refused() {
        for text in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        ] {
            assert_eq!(text.parse::<TraceContext>(), Err(TraceContextError), "{text}");
        }
        let later = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more";
        assert!(later.parse::<TraceContext>().is_ok(), "a later version may say more");
    }

    proptest! {
        #[test]
        fn a_context_survives_its_text_and_names_are_spans_of_the_same_trace(random: [u8; 32], attempt: u64) {
            let root = TraceContext::root(random);
            prop_assert_eq!(root.to_string().parse::<TraceContext>().unwrap(), root);
            let lease = root.named(&format!("lease {attempt}"));
            prop_assert_eq!(lease.trace_id(), root.trace_id());
            prop_assert_eq!(lease, root.named("attempt").named(&format!("lease {attempt}")), "by name alone");
            prop_assert_ne!(lease, root.named(&format!("attempt {attempt}")));
        }
    }
}
