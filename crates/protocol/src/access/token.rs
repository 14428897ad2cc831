//! The bearer token that every call carries. Kept in a file, so it shows in no process list and no log.

use std::fmt;
use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Bytes of randomness in a token.
const TOKEN_BYTES: usize = 32;

/// A secret that opens a scheduler: its home's, or that of one invitation. Wiped from memory when it is dropped.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

/// The token file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It cannot be read.
    #[error("scheduler token {path} cannot be read: start a scheduler on this home first, or pass its token file")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It holds something else.
    #[error("scheduler token {path} is not 64 hex digits: delete it and restart the scheduler")]
    Malformed {
        /// Which file.
        path: PathBuf,
    },
}

impl Token {
    /// A token of `random` bytes.
    #[must_use]
    pub fn from_random(random: [u8; TOKEN_BYTES]) -> Self {
        Self(Zeroizing::new(hex::encode(random)))
    }

    /// Reads a token file.
    ///
    /// # Errors
    /// [`TokenError`] when the file is missing, unreadable or holds something else.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| TokenError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&Zeroizing::new(text)).ok_or_else(|| TokenError::Malformed { path: path.to_owned() })
    }

    /// The token that `text` is, blanks around it apart.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let is_token = text.len() == 2 * TOKEN_BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_token.then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// The secret itself, to be written to its file or sent.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares in time that depends on the lengths alone.
    pub(crate) fn admits(&self, header: &[u8]) -> bool {
        let wanted = Zeroizing::new(format!("Bearer {}", self.expose()));
        wanted.as_bytes().ct_eq(header).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_admitted_and_it_never_prints() {
        let token = Token::from_random([7; TOKEN_BYTES]);
        assert!(token.admits(format!("Bearer {}", "07".repeat(32)).as_bytes()));
        assert!(!token.admits(b"Bearer 07"));
        assert!(!token.admits(format!("Bearer {}", "08".repeat(32)).as_bytes()));
        assert!(!token.admits(b""));
        assert_eq!(format!("{token:?}"), "Token(…)");
    }
}
