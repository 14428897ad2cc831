//! Values as bytes, shortly and fast: for what is written whole and read whole, by the same build.
//!
//! Numbers are little-endian; lists and texts follow their length. Nothing in the bytes says what they are: whoever keeps
//! them keeps the build's name and a digest beside them.

use serde::Serialize;
use serde::de::DeserializeOwned;
use spec::{AttemptId, CheckpointRef, Digest, ExperimentId, FailureClass, Finite, NodeId, TrialId, WorkerId};

/// A value that can be bytes.
pub(crate) trait Code: Sized {
    /// Adds its bytes.
    fn put(&self, to: &mut Vec<u8>);

    /// Takes its bytes from the beginning; `None` when they are not its.
    fn take(from: &mut &[u8]) -> Option<Self>;
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Code for $number {
            fn put(&self, to: &mut Vec<u8>) {
                to.extend(self.to_le_bytes());
            }

            fn take(from: &mut &[u8]) -> Option<Self> {
                let (bytes, rest) = from.split_first_chunk()?;
                *from = rest;
                Some(Self::from_le_bytes(*bytes))
            }
        }
    )*};
}

numbers!(u8 u32 u64 i64 f64);

/// Bytes as they are.
pub(crate) fn put_bytes(bytes: &[u8], to: &mut Vec<u8>) {
    (bytes.len() as u64).put(to);
    to.extend_from_slice(bytes);
}

pub(crate) fn take_bytes<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(u64::take(from)?).ok()?;
    let (bytes, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(bytes)
}

/// What is rare, and readable already.
pub(crate) fn put_json<T: Serialize>(value: &T, to: &mut Vec<u8>) {
    put_bytes(&serde_json::to_vec(value).expect("it holds only text keys and finite numbers"), to);
}

pub(crate) fn take_json<T: DeserializeOwned>(from: &mut &[u8]) -> Option<T> {
    serde_json::from_slice(take_bytes(from)?).ok()
}

macro_rules! texts {
    ($($text:ty)*) => {$(
        impl Code for $text {
            fn put(&self, to: &mut Vec<u8>) {
                put_bytes(self.as_str().as_bytes(), to);
            }

            fn take(from: &mut &[u8]) -> Option<Self> {
                std::str::from_utf8(take_bytes(from)?).ok()?.parse().ok()
            }
        }
    )*};
}

texts!(String ExperimentId NodeId WorkerId FailureClass);

impl<T: Code> Code for Vec<T> {
    fn put(&self, to: &mut Vec<u8>) {
        (self.len() as u64).put(to);
        self.iter().for_each(|value| value.put(to));
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        // Not reserved by a length that damage may have made: each value takes a byte at least.
        (0..u64::take(from)?).map(|_| T::take(from)).collect()
    }
}

impl<T: Code> Code for Option<T> {
    fn put(&self, to: &mut Vec<u8>) {
        u8::from(self.is_some()).put(to);
        self.iter().for_each(|value| value.put(to));
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        match u8::take(from)? {
            0 => Some(None),
            1 => T::take(from).map(Some),
            _ => None,
        }
    }
}

impl<A: Code, B: Code> Code for (A, B) {
    fn put(&self, to: &mut Vec<u8>) {
        self.0.put(to);
        self.1.put(to);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Some((A::take(from)?, B::take(from)?))
    }
}

impl Code for market::Timestamp {
    fn put(&self, to: &mut Vec<u8>) {
        self.micros().put(to);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        i64::take(from).map(Self::from_micros)
    }
}

impl Code for AttemptId {
    fn put(&self, to: &mut Vec<u8>) {
        self.0.put(to);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        u64::take(from).map(Self)
    }
}

impl Code for Digest {
    fn put(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(self.as_bytes());
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let (bytes, rest) = from.split_first_chunk()?;
        *from = rest;
        Some(Self::from_bytes(*bytes))
    }
}

impl Code for CheckpointRef {
    fn put(&self, to: &mut Vec<u8>) {
        let Self { digest, step } = self;
        digest.put(to);
        step.put(to);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Some(Self { digest: Digest::take(from)?, step: u64::take(from)? })
    }
}

impl Code for Finite {
    fn put(&self, to: &mut Vec<u8>) {
        self.get().put(to);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        f64::take(from).and_then(Self::new)
    }
}

impl Code for TrialId {
    fn put(&self, to: &mut Vec<u8>) {
        let Self { experiment, index } = self;
        experiment.put(to);
        index.put(to);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Some(Self { experiment: ExperimentId::take(from)?, index: u32::take(from)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_short_or_is_no_value_is_none_and_never_a_panic() {
        let value: (Vec<Option<u32>>, String) = (vec![Some(7), None], "text".to_owned());
        let mut bytes = Vec::new();
        value.put(&mut bytes);
        for end in 0..bytes.len() {
            assert_eq!(<(Vec<Option<u32>>, String)>::take(&mut &bytes[..end]), None, "cut at {end}");
        }
        assert_eq!(<(Vec<Option<u32>>, String)>::take(&mut bytes.as_slice()), Some(value));
        assert_eq!(<Option<u8> as Code>::take(&mut [2, 0].as_slice()), None);
        assert_eq!(Vec::<u8>::take(&mut u64::MAX.to_le_bytes().as_slice()), None, "more than there is");
        assert_eq!(ExperimentId::take(&mut [1, 0, 0, 0, 0, 0, 0, 0, b'/'].as_slice()), None);
    }
}
