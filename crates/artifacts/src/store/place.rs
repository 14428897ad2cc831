//! Where the store of a home lies: in its own folder, or where the first `--store` put it. A home has one store, for its
//! registry names bundles and a reader must find them.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use url::Url;

use super::{Store, StoreError};

/// Whether a location is a URL of something else than files.
pub(super) fn is_remote(location: &str) -> bool {
    location.contains("://") && !location.starts_with("file:")
}

/// A URL is shown, hashed and kept in files: nothing in it may be a key.
pub(super) fn holds_secret(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some() || url.query().is_some()
}

/// The location as messages may show it.
pub(super) fn without_secret(location: &str) -> String {
    if !location.contains("://") {
        return location.to_owned();
    }
    match Url::parse(location) {
        Ok(url) if !holds_secret(&url) => location.to_owned(),
        Ok(url) => format!("{}://{}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path()),
        // What cannot be read cannot be searched for keys.
        Err(_) => format!("{}://…", location.split("://").next().unwrap_or_default()),
    }
}

fn file(home: &Path) -> PathBuf {
    home.join("store.url")
}

/// Where the store of `home` lies.
///
/// # Errors
/// [`StoreError::Place`] when the file that says so cannot be read.
fn location(home: &Path) -> Result<String, StoreError> {
    let path = file(home);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(home.join("store").display().to_string()),
        Err(error) => Err(StoreError::Place { path: path.display().to_string(), why: error.to_string() }),
    }
}

impl Store {
    /// The store of a home.
    ///
    /// # Errors
    /// As [`Store::open`], and [`StoreError::Place`].
    pub fn of(home: &Path) -> Result<Self, StoreError> {
        Self::open(&location(home)?)
    }

    /// Puts the store of a new `home` at `asked`, once it is known to answer; a home that has it there is left as it is.
    ///
    /// # Errors
    /// [`StoreError::Bound`] when the home has another, [`StoreError::Silent`] or [`StoreError::Transient`] when this
    /// one cannot be used, [`StoreError::Format`], [`StoreError::Open`], [`StoreError::Place`].
    pub fn bind(home: &Path, asked: &str) -> Result<(), StoreError> {
        let asked = if asked.contains("://") {
            asked.trim_end_matches('/').to_owned()
        } else {
            let path = std::path::absolute(asked);
            path.map_err(|why| place_error(Path::new(asked), &why))?.display().to_string()
        };
        let bound = location(home)?;
        if bound == asked {
            return Ok(());
        }
        let own = home.join("store");
        let is_new = bound == own.display().to_string() && !own.is_dir();
        if !is_new {
            let (home, asked) = (home.display().to_string(), without_secret(&asked));
            return Err(StoreError::Bound { home, bound, asked });
        }
        Self::open(&asked)?.claim()?;
        write(&file(home), &asked)
    }
}

fn place_error(path: &Path, why: &std::io::Error) -> StoreError {
    StoreError::Place { path: path.display().to_string(), why: why.to_string() }
}

/// Whole or not at all, and on the disk.
fn write(path: &Path, text: &str) -> Result<(), StoreError> {
    let half = path.with_extension("half");
    let written = std::fs::File::create(&half)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&half, path))
        .and_then(|()| path.parent().map_or(Ok(()), super::sync_folder));
    written.map_err(|why| place_error(path, &why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_keeps_the_store_that_it_was_given_first() {
        let home = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let asked = elsewhere.path().join("artifacts").display().to_string();
        Store::bind(home.path(), &asked).unwrap();
        Store::bind(home.path(), &asked).unwrap();
        let digest = Store::of(home.path()).unwrap().put_checkpoint(vec![1, 2, 3]).unwrap();
        assert_eq!(Store::open(&asked).unwrap().checkpoints().unwrap(), [digest]);
        let error = Store::bind(home.path(), "/another").unwrap_err().to_string();
        assert!(error.contains(&asked) && error.contains("leave --store out"), "{error}");
    }

    #[test]
    fn a_home_with_artifacts_of_its_own_is_not_moved_away_from_them() {
        let home = tempfile::tempdir().unwrap();
        Store::of(home.path()).unwrap().put_checkpoint(vec![1]).unwrap();
        let error = Store::bind(home.path(), "/another").unwrap_err();
        assert!(matches!(error, StoreError::Bound { .. }), "{error}");
        Store::bind(home.path(), home.path().join("store").to_str().unwrap()).unwrap();
    }

    #[test]
    fn a_key_in_a_url_is_refused_and_never_repeated() {
        let home = tempfile::tempdir().unwrap();
        for url in ["s3://key:hush@bucket/p", "s3://hush@bucket", "s3://bucket/p?secret=hush", "s3://bucket:hush/p"] {
            for error in [Store::open(url).unwrap_err(), Store::bind(home.path(), url).unwrap_err()] {
                let said = format!("{error} {error:?}");
                assert!(!said.contains("hush"), "{said}");
            }
        }
        assert!(!home.path().join("store.url").try_exists().unwrap());
    }
}
