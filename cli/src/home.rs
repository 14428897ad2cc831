//! The home folder: where each thing lies, and the secrets in it.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use artifacts::{Store, StoreError};
use market::Timestamp;
use spec::Owner;

use crate::exit::bad_input;

/// Bytes of randomness in a key.
const KEY_BYTES: usize = 32;

/// The home folder.
#[derive(Debug, Clone)]
pub(crate) struct Home(PathBuf);

impl Home {
    /// Makes the folder where it is missing, and puts its store where it is asked to be.
    pub(crate) fn open(path: &Path, store: Option<&str>) -> Result<Self> {
        std::fs::create_dir_all(path)
            .with_context(|| format!("home {} cannot be made: choose another with --home", path.display()))?;
        let path = path.canonicalize().with_context(|| format!("home {} cannot be read", path.display()))?;
        if let Some(store) = store {
            Store::bind(&path, store).map_err(refused)?;
        }
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn store(&self) -> Result<Store> {
        Ok(Store::of(&self.0)?)
    }

    pub(crate) fn registry(&self) -> PathBuf {
        self.0.join("registry.db")
    }

    pub(crate) fn data(&self, name: &str) -> PathBuf {
        self.0.join("data").join(format!("{name}.parquet"))
    }

    pub(crate) fn live(&self) -> PathBuf {
        self.0.join("live")
    }

    pub(crate) fn explanations(&self) -> PathBuf {
        self.0.join("explanations")
    }

    pub(crate) fn serving_key(&self) -> PathBuf {
        self.0.join("keys").join("serve.key")
    }
}

/// A store that cannot be this home's is the user's to mend; one that does not answer is not.
fn refused(error: StoreError) -> anyhow::Error {
    match error {
        StoreError::Open { .. } | StoreError::Bound { .. } => bad_input(error),
        StoreError::Transient { .. }
        | StoreError::Silent { .. }
        | StoreError::Format { .. }
        | StoreError::Place { .. }
        | StoreError::NotFound { .. }
        | StoreError::Damaged(_)
        | StoreError::Encoder { .. }
        | StoreError::Checkpoint { .. }
        | StoreError::TooLarge { .. } => error.into(),
    }
}

/// The user's name in the letters of an owner; `None` where the system gives none.
pub(crate) fn user() -> Option<Owner> {
    let name = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).ok()?;
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    let name: String = name.chars().map(plain).skip_while(|letter| *letter == '-').take(64).collect();
    name.parse().ok()
}

/// Makes a file of 64 random hex digits, readable by its owner alone, unless it is there.
pub(crate) fn ensure_key(path: &Path) -> Result<()> {
    if path.try_exists().with_context(|| format!("key file {} cannot be read", path.display()))? {
        return Ok(());
    }
    let folder = path.parent().context("a key file lies in a folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("folder {} cannot be made", folder.display()))?;
    let written = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match written {
        Ok(mut file) => {
            file.write_all(hex::encode(random()?).as_bytes())?;
            file.sync_all().with_context(|| format!("key file {} cannot be written", path.display()))
        }
        // Another process of this home was faster; its key serves both.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error).with_context(|| format!("key file {} cannot be written", path.display())),
    }
}

/// Fresh randomness of the operating system.
pub(crate) fn random() -> Result<[u8; KEY_BYTES]> {
    let mut bytes = [0; KEY_BYTES];
    if let Err(error) = getrandom::fill(&mut bytes) {
        bail!("the operating system gives no randomness: {error}");
    }
    Ok(bytes)
}

/// The one place where the program reads the wall clock.
#[allow(clippy::disallowed_methods, reason = "the rim: everything below takes `now` as an argument")]
pub(crate) fn now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}

/// The build: its version and the first digits of the executable's digest, so that a cache never mixes builds.
pub(crate) fn code_version() -> Result<String> {
    let program = std::env::current_exe().context("the program cannot find itself")?;
    let bytes = std::fs::read(&program).with_context(|| format!("{} cannot be read", program.display()))?;
    Ok(format!("{}+{}", env!("CARGO_PKG_VERSION"), spec::Digest::of(&bytes).short()))
}
