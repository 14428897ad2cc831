//! Bundles and checkpoints by digest, and logs, on a folder or any object store URL.
//!
//! A put is whole or not at all, and the manifest goes last: a bundle whose manifest is there is there whole. Every get
//! is held against its digest. What is large goes in parts, and is there once the last of them is. Calls block; they must
//! not be made from async code.

use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload, WriteMultipart};
use spec::{BundleId, Digest, canonical_json};

use crate::bundle::{self, FILE_BYTES_MAX, MANIFEST_BYTES_MAX};
use crate::{Bundle, BundleError, Manifest};

mod log;
mod mark;
mod place;

const MANIFEST: &str = "manifest.json";

/// Above this a put goes in parts of this size: one request of an hour's length would start over after any fault. Every
/// store takes parts of 5 MiB and more.
const PART_BYTES: usize = 16 << 20;

/// Parts on their way at once.
const PARTS_MAX: usize = 4;

/// Why the store cannot give or take something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL or path is no store.
    #[error("store {url} cannot be opened: {why}")]
    Open {
        /// What was given.
        url: String,
        /// Why.
        why: String,
    },
    /// It is not there.
    #[error("{what} is not in the store {store}")]
    NotFound {
        /// What was asked for.
        what: String,
        /// Which store.
        store: String,
    },
    /// The store fails; trying again may help.
    #[error("store: {action} {what} failed")]
    Transient {
        /// What was tried.
        action: &'static str,
        /// With what.
        what: String,
        /// Why.
        #[source]
        source: object_store::Error,
    },
    /// The bytes are not what their digest says.
    #[error(transparent)]
    Damaged(#[from] BundleError),
    /// A bundle's encoder cannot be read, while all before it could.
    #[error("the encoder of bundle {bundle} cannot be read")]
    Encoder {
        /// Which bundle.
        bundle: BundleId,
        /// Why.
        source: Box<StoreError>,
    },
    /// A checkpoint's bytes are not what their digest says.
    #[error("checkpoint {expected} was changed or cut short: its bytes hash to {actual}")]
    Checkpoint {
        /// The digest asked for.
        expected: Digest,
        /// The digest of the bytes.
        actual: Digest,
    },
    /// It was made by another build.
    #[error("store {url} has format {found} and this build reads {wanted}: use the build that made it, or newer")]
    Format {
        /// Which store.
        url: String,
        /// Its format.
        found: u32,
        /// Ours.
        wanted: u32,
    },
    /// It does not answer.
    #[error("store {url} does not answer within {seconds} s: check its address, its credentials and the network")]
    Silent {
        /// Which store.
        url: String,
        /// How long was waited.
        seconds: u64,
    },
    /// A home has another store.
    #[error("home {home} keeps its artifacts in {bound}: leave --store out, or use another --home for {asked}")]
    Bound {
        /// Which home.
        home: String,
        /// Its store.
        bound: String,
        /// What was asked for.
        asked: String,
    },
    /// The file that names a home's store cannot be used.
    #[error("{path} cannot be used: {why}")]
    Place {
        /// Which file.
        path: String,
        /// Why.
        why: String,
    },
    /// It is larger than any the store takes.
    #[error("{what} has {bytes} bytes, more than the {max} a store takes")]
    TooLarge {
        /// What.
        what: String,
        /// Its length.
        bytes: u64,
        /// The bound.
        max: u64,
    },
}

/// A store of content-addressed things.
#[derive(Clone, Debug)]
pub struct Store {
    url: String,
    objects: Arc<dyn ObjectStore>,
    root: Path,
    runtime: Arc<Blocking>,
}

/// A runtime that may be dropped anywhere.
#[derive(Debug)]
struct Blocking(Option<tokio::runtime::Runtime>);

impl Drop for Blocking {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl StoreError {
    /// Whether it is a bundle's encoder that cannot be used; all else of it may be sound.
    #[must_use]
    pub fn is_of_encoder(&self) -> bool {
        match self {
            Self::Encoder { .. } => true,
            Self::Damaged(error) => error.is_of_encoder(),
            Self::Open { .. }
            | Self::NotFound { .. }
            | Self::Transient { .. }
            | Self::Checkpoint { .. }
            | Self::Format { .. }
            | Self::Silent { .. }
            | Self::Bound { .. }
            | Self::Place { .. }
            | Self::TooLarge { .. } => false,
        }
    }
}

impl Store {
    /// Opens a store: a folder (made where missing) or a URL such as `s3://bucket/prefix`, whose credentials come from the
    /// environment.
    ///
    /// # Errors
    /// [`StoreError::Open`]. A URL that holds a secret is refused and not repeated.
    pub fn open(location: &str) -> Result<Self, StoreError> {
        Self::with(location, credentials())
    }

    /// The same, with what the environment would say.
    fn with(location: &str, options: impl IntoIterator<Item = (String, String)>) -> Result<Self, StoreError> {
        let error = |why: String| StoreError::Open { url: place::without_secret(location), why };
        let (objects, root): (Arc<dyn ObjectStore>, Path) = if location.contains("://") {
            let url = url::Url::parse(location).map_err(|parse| error(parse.to_string()))?;
            if place::holds_secret(&url) {
                return Err(error("keys do not belong into a URL: give them in the environment".to_owned()));
            }
            match url.to_file_path() {
                Ok(folder) if url.scheme() == "file" => (local(&folder).map_err(error)?, Path::default()),
                _ => {
                    let (objects, root) =
                        object_store::parse_url_opts(&url, options).map_err(|open| error(open.to_string()))?;
                    (Arc::from(objects), root)
                }
            }
        } else {
            (local(FilePath::new(location)).map_err(error)?, Path::default())
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|io| error(io.to_string()))?;
        Ok(Self { url: location.to_owned(), objects, root, runtime: Arc::new(Blocking(Some(runtime))) })
    }

    /// Stores a bundle. One that is there is written again: the same bytes, or the right ones over damaged ones.
    ///
    /// # Errors
    /// [`StoreError::Transient`].
    pub fn put_bundle(&self, bundle: &Bundle) -> Result<(), StoreError> {
        for (name, bytes) in bundle.files() {
            self.put(&self.bundle_path(bundle.id(), name), bytes.to_vec())?;
        }
        self.put(&self.bundle_path(bundle.id(), MANIFEST), canonical_json(bundle.manifest()))
    }

    /// Loads a bundle; digests are checked before anything in it is used.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Damaged`] naming the file, [`StoreError::Transient`], and
    /// [`StoreError::Encoder`] with why where that befalls a file of its encoder.
    pub fn get_bundle(&self, id: BundleId) -> Result<Bundle, StoreError> {
        let manifest = self.get_manifest(id)?;
        let mut files = BTreeMap::new();
        for name in manifest.files.keys() {
            let what = || format!("file {name} of bundle {id}");
            // Not the length in the manifest: a longer file is a changed file, and its digest says so.
            match self.get(&self.bundle_path(id, name), FILE_BYTES_MAX, what) {
                // Its manifest goes last into a store, so the file was there and is lost: what is left is no bundle.
                Err(StoreError::NotFound { .. }) => {}
                Err(source) if bundle::is_of_encoder(name) => {
                    return Err(StoreError::Encoder { bundle: id, source: Box::new(source) });
                }
                got => drop(files.insert(name.clone(), got?)),
            }
        }
        Ok(Bundle::assemble(id, manifest, files)?)
    }

    /// What a bundle is, without its files.
    ///
    /// # Errors
    /// As [`Store::get_bundle`].
    pub fn get_manifest(&self, id: BundleId) -> Result<Manifest, StoreError> {
        let bytes = self.get(&self.bundle_path(id, MANIFEST), MANIFEST_BYTES_MAX, || format!("bundle {id}"))?;
        Ok(Bundle::read_manifest(id, &bytes)?)
    }

    /// Stores a checkpoint under its digest.
    ///
    /// # Errors
    /// [`StoreError::Transient`], [`StoreError::TooLarge`].
    pub fn put_checkpoint(&self, bytes: Vec<u8>) -> Result<Digest, StoreError> {
        let digest = Digest::of(&bytes);
        let length = bytes.len() as u64;
        if length > FILE_BYTES_MAX {
            let what = format!("checkpoint {digest}");
            return Err(StoreError::TooLarge { what, bytes: length, max: FILE_BYTES_MAX });
        }
        self.put(&self.checkpoint_path(digest), bytes)?;
        Ok(digest)
    }

    /// Loads a checkpoint and checks it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Checkpoint`] when it is damaged, [`StoreError::Transient`].
    pub fn get_checkpoint(&self, expected: Digest) -> Result<Vec<u8>, StoreError> {
        let bytes = self.get(&self.checkpoint_path(expected), FILE_BYTES_MAX, || format!("checkpoint {expected}"))?;
        let actual = Digest::of(&bytes);
        if actual == expected { Ok(bytes) } else { Err(StoreError::Checkpoint { expected, actual }) }
    }

    /// Deletes a checkpoint that nothing needs any more; one that is not there is no error.
    ///
    /// # Errors
    /// [`StoreError::Transient`].
    pub fn delete_checkpoint(&self, digest: Digest) -> Result<(), StoreError> {
        let path = self.checkpoint_path(digest);
        match self.block_on(async { self.objects.delete(&path).await }) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(StoreError::Transient { action: "deleting", what: path.to_string(), source }),
        }
    }

    /// Checkpoints that are there.
    ///
    /// # Errors
    /// [`StoreError::Transient`].
    pub fn checkpoints(&self) -> Result<Vec<Digest>, StoreError> {
        let folder = self.root.clone().join("checkpoints");
        let listed = self.block_on(async { self.objects.list_with_delimiter(Some(&folder)).await });
        match listed {
            // Whatever else lies there is not ours to name.
            Ok(listed) => {
                Ok(listed.objects.iter().filter_map(|object| object.location.filename()?.parse().ok()).collect())
            }
            Err(source) => Err(StoreError::Transient { action: "listing", what: folder.to_string(), source }),
        }
    }

    /// Whether it lies elsewhere than on this machine's disks.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        place::is_remote(&self.url)
    }

    fn bundle_path(&self, id: BundleId, file: &str) -> Path {
        self.root.clone().join("bundles").join(id.to_string()).join(file)
    }

    fn checkpoint_path(&self, digest: Digest) -> Path {
        self.root.clone().join("checkpoints").join(digest.to_string())
    }

    fn put(&self, path: &Path, bytes: Vec<u8>) -> Result<(), StoreError> {
        // A folder takes any length at once, and has it on the disk then.
        let put = if bytes.len() > PART_BYTES && self.is_remote() {
            self.block_on(self.put_parts(path, &bytes))
        } else {
            self.block_on(async { self.objects.put(path, PutPayload::from(bytes)).await.map(drop) })
        };
        match put {
            Ok(()) => Ok(()),
            Err(source) => Err(StoreError::Transient { action: "writing", what: path.to_string(), source }),
        }
    }

    /// Nobody sees any of it before all of it is there; what a killed process left half sent is the store's to forget.
    async fn put_parts(&self, path: &Path, bytes: &[u8]) -> Result<(), object_store::Error> {
        let mut upload = WriteMultipart::new_with_chunk_size(self.objects.put_multipart(path).await?, PART_BYTES);
        for part in bytes.chunks(PART_BYTES) {
            if let Err(error) = upload.wait_for_capacity(PARTS_MAX).await {
                // The first error is the one to tell.
                let _ = upload.abort().await;
                return Err(error);
            }
            upload.write(part);
        }
        upload.finish().await.map(drop)
    }

    fn get(&self, path: &Path, max: u64, what: impl Fn() -> String) -> Result<Vec<u8>, StoreError> {
        let got = self.block_on(async {
            let found = self.objects.get(path).await?;
            if found.meta.size > max {
                return Ok(Err(found.meta.size));
            }
            Ok(Ok(found.bytes().await?))
        });
        match got {
            Ok(Ok(bytes)) => Ok(bytes.into()),
            Ok(Err(bytes)) => Err(StoreError::TooLarge { what: what(), bytes, max }),
            Err(object_store::Error::NotFound { .. }) => {
                Err(StoreError::NotFound { what: what(), store: self.url.clone() })
            }
            Err(source) => Err(StoreError::Transient { action: "reading", what: what(), source }),
        }
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.0.as_ref().expect("taken only when the last handle is dropped").block_on(future)
    }
}

/// A folder, made where missing. A put is on the disk when it returns, and so are the names of all folders made for it.
fn local(folder: &FilePath) -> Result<Arc<dyn ObjectStore>, String> {
    let missing: Vec<&FilePath> = folder.ancestors().take_while(|above| !above.is_dir()).collect();
    let made = std::fs::create_dir_all(folder)
        .and_then(|()| missing.into_iter().filter_map(FilePath::parent).try_for_each(sync_folder));
    made.map_err(|io| io.to_string())?;
    let store = LocalFileSystem::new_with_prefix(folder).map_err(|open| open.to_string())?;
    Ok(Arc::new(store.with_fsync(true)))
}

/// Puts the names in a folder on the disk.
fn sync_folder(folder: &FilePath) -> std::io::Result<()> {
    let here = if folder.as_os_str().is_empty() { FilePath::new(".") } else { folder };
    std::fs::File::open(here)?.sync_all()
}

/// What the environment says of the clouds; no other variable can be taken for an option of a store.
fn credentials() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        let name = name.to_str()?.to_ascii_lowercase();
        let cloud = ["aws_", "google_", "azure_"].iter().any(|prefix| name.starts_with(prefix));
        cloud.then_some(())?;
        Some((name, value.to_str()?.to_owned()))
    })
}

#[cfg(test)]
mod tests;
