//! The API key: read from a file, so it shows in no process list; kept as its digest, so it shows in no dump of memory.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use spec::Digest;
use subtle::ConstantTimeEq as _;

/// Shorter keys can be guessed.
const KEY_CHARS_MIN: usize = 16;

/// Longer ones do not fit a header.
const KEY_CHARS_MAX: usize = 4_096;

/// The key that requests must carry.
#[derive(Clone)]
pub struct ApiKey(Digest);

/// The key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It cannot be read.
    #[error("API key file {} cannot be read: name another with --key-file", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It does not hold a key.
    #[error(
        "API key file {} holds no key: write {KEY_CHARS_MIN} to {KEY_CHARS_MAX} visible ASCII characters on one line",
        path.display()
    )]
    Malformed {
        /// Which file.
        path: PathBuf,
    },
}

impl ApiKey {
    /// Reads a key file; white space around the key is not part of it.
    ///
    /// # Errors
    /// [`KeyError`] when the file cannot be read or holds something else.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let unreadable = |source| KeyError::Unreadable { path: path.to_owned(), source };
        let mut text = Vec::new();
        let limit = 2 * KEY_CHARS_MAX as u64;
        File::open(path).and_then(|file| file.take(limit).read_to_end(&mut text)).map_err(unreadable)?;
        let key = text.trim_ascii();
        let sound = (KEY_CHARS_MIN..=KEY_CHARS_MAX).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
        if sound { Ok(Self(Digest::of(key))) } else { Err(KeyError::Malformed { path: path.to_owned() }) }
    }

    /// True for `Bearer KEY`. Compares digests in constant time, so time tells neither the key nor its length.
    pub(crate) fn admits(&self, authorization: &[u8]) -> bool {
        let Some((scheme, given)) = authorization.split_at_checked(7) else { return false };
        scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(Digest::of(given).as_bytes().ct_eq(self.0.as_bytes()))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(content: &[u8]) -> Result<ApiKey, KeyError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        ApiKey::read(file.path())
    }

    #[test]
    fn only_the_whole_key_is_admitted_and_it_never_prints() {
        let key = key(b"0123456789abcdef0123\n").unwrap();
        assert!(key.admits(b"Bearer 0123456789abcdef0123"));
        assert!(key.admits(b"bearer 0123456789abcdef0123"));
        for wrong in ["", "Bearer", "Bearer ", "0123456789abcdef0123", "Bearer 0123456789abcdef012"] {
            assert!(!key.admits(wrong.as_bytes()), "{wrong}");
        }
        assert!(!key.admits(b"Bearer 0123456789abcdef01234"));
        assert!(!key.admits(b"Basic  0123456789abcdef0123"));
        assert_eq!(format!("{key:?}"), "ApiKey(…)");
    }

    #[test]
    fn a_file_without_a_usable_key_is_refused_by_name() {
        for content in
            [&b""[..], b"short", b"two words are no key", b"0123456789abcdef\n0123456789abcdef", &[b'a'; 9_000]]
        {
            let error = key(content).unwrap_err();
            assert!(matches!(error, KeyError::Malformed { .. }), "{error}");
        }
        let error = ApiKey::read(Path::new("/nowhere/serve.key")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/serve.key cannot be read"), "{error}");
    }
}
