//! Bundles and checkpoints by digest, on a folder or any object store URL.
//!
//! A put is whole or not at all, and the manifest goes last: a bundle whose manifest is there is there whole. Every get
//! is held against its digest. Calls block; they must not be made from async code.

use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};
use spec::{BundleId, Digest, canonical_json};

use crate::bundle::{FILE_BYTES_MAX, MANIFEST_BYTES_MAX};
use crate::{Bundle, BundleError};

const MANIFEST: &str = "manifest.json";

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
    /// A checkpoint's bytes are not what their digest says.
    #[error("checkpoint {expected} was changed or cut short: its bytes hash to {actual}")]
    Checkpoint {
        /// The digest asked for.
        expected: Digest,
        /// The digest of the bytes.
        actual: Digest,
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

impl Store {
    /// Opens a store: a folder (made where missing) or a URL such as `s3://bucket/prefix`, whose credentials come from the
    /// environment.
    ///
    /// # Errors
    /// [`StoreError::Open`].
    pub fn open(location: &str) -> Result<Self, StoreError> {
        let error = |why: String| StoreError::Open { url: location.to_owned(), why };
        let (objects, root): (Arc<dyn ObjectStore>, Path) = if location.contains("://") {
            let url = url::Url::parse(location).map_err(|parse| error(parse.to_string()))?;
            match url.to_file_path() {
                Ok(folder) if url.scheme() == "file" => (local(&folder).map_err(error)?, Path::default()),
                _ => {
                    let (objects, root) =
                        object_store::parse_url_opts(&url, credentials()).map_err(|open| error(open.to_string()))?;
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
    /// [`StoreError::NotFound`], [`StoreError::Damaged`] naming the file, [`StoreError::Transient`].
    pub fn get_bundle(&self, id: BundleId) -> Result<Bundle, StoreError> {
        let bytes = self.get(&self.bundle_path(id, MANIFEST), MANIFEST_BYTES_MAX, || format!("bundle {id}"))?;
        let manifest = Bundle::read_manifest(id, &bytes)?;
        let mut files = BTreeMap::new();
        for name in manifest.files.keys() {
            let what = || format!("file {name} of bundle {id}");
            // Not the length in the manifest: a longer file is a changed file, and its digest says so.
            files.insert(name.clone(), self.get(&self.bundle_path(id, name), FILE_BYTES_MAX, what)?);
        }
        Ok(Bundle::assemble(id, manifest, files)?)
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

    fn bundle_path(&self, id: BundleId, file: &str) -> Path {
        self.root.clone().join("bundles").join(id.to_string()).join(file)
    }

    fn checkpoint_path(&self, digest: Digest) -> Path {
        self.root.clone().join("checkpoints").join(digest.to_string())
    }

    fn put(&self, path: &Path, bytes: Vec<u8>) -> Result<(), StoreError> {
        let put = self.block_on(async { self.objects.put(path, PutPayload::from(bytes)).await });
        match put {
            Ok(_) => Ok(()),
            Err(source) => Err(StoreError::Transient { action: "writing", what: path.to_string(), source }),
        }
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
mod tests {
    use super::*;
    use crate::bundle::tests::bundle;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().to_str().unwrap()).unwrap();
        (folder, store)
    }

    #[test]
    fn a_bundle_comes_back_as_it_went_in_from_a_folder_and_from_a_url() {
        let (folder, store) = store();
        store.put_bundle(&bundle(1)).unwrap();
        store.put_bundle(&bundle(1)).unwrap();
        assert_eq!(store.get_bundle(bundle(1).id()).unwrap(), bundle(1));
        let url = url::Url::from_directory_path(folder.path()).unwrap();
        assert_eq!(Store::open(url.as_str()).unwrap().get_bundle(bundle(1).id()).unwrap(), bundle(1));
        let error = store.get_bundle(bundle(2).id()).unwrap_err();
        assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
    }

    #[test]
    fn a_truncated_lengthened_or_edited_file_is_refused_by_digest_and_named() {
        let (folder, store) = store();
        let bundle = bundle(1);
        let file = folder.path().join("bundles").join(bundle.id().to_string()).join("weights.safetensors");
        for damaged in [&[1u8, 2][..], &[1, 2, 3, 4], &[1, 2, 4], &[]] {
            store.put_bundle(&bundle).unwrap();
            std::fs::write(&file, damaged).unwrap();
            let error = store.get_bundle(bundle.id()).unwrap_err().to_string();
            assert!(error.contains("weights.safetensors was changed or cut short"), "{error}");
            assert!(error.contains(&Digest::of(&[1, 2, 3]).to_string()), "{error}");
            assert!(error.contains(&Digest::of(damaged).to_string()), "{error}");
        }
        std::fs::remove_file(&file).unwrap();
        assert!(store.get_bundle(bundle.id()).unwrap_err().to_string().contains("weights.safetensors"));
    }

    #[test]
    fn an_edited_manifest_is_refused_and_putting_the_bundle_again_mends_it() {
        let (folder, store) = store();
        let bundle = bundle(1);
        store.put_bundle(&bundle).unwrap();
        let file = folder.path().join("bundles").join(bundle.id().to_string()).join(MANIFEST);
        let edited = std::fs::read_to_string(&file).unwrap().replace("0.25", "9.25");
        std::fs::write(&file, edited).unwrap();
        let error = store.get_bundle(bundle.id()).unwrap_err().to_string();
        assert!(error.contains("manifest was changed"), "{error}");
        store.put_bundle(&bundle).unwrap();
        assert_eq!(store.get_bundle(bundle.id()).unwrap(), bundle);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_refused_by_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let below = file.path().join("store");
        let error = Store::open(below.to_str().unwrap()).unwrap_err().to_string();
        assert!(error.contains(below.to_str().unwrap()), "{error}");
        let error = Store::open("gopher://bucket").unwrap_err().to_string();
        assert!(error.starts_with("store gopher://bucket cannot be opened"), "{error}");
    }

    #[test]
    fn no_flipped_bit_in_a_checkpoint_or_a_bundle_goes_unseen() {
        let (folder, store) = store();
        let bundle = bundle(1);
        store.put_bundle(&bundle).unwrap();
        let digest = store.put_checkpoint((0..2_000_u32).map(|at| (at * 31) as u8).collect()).unwrap();
        let bundled = folder.path().join("bundles").join(bundle.id().to_string());
        let mut files: Vec<_> = std::fs::read_dir(&bundled).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.push(folder.path().join("checkpoints").join(digest.to_string()));
        let mut flips = 0;
        for file in files {
            let whole = std::fs::read(&file).unwrap();
            // Every fifth, so that each bit of a byte is met.
            for bit in (0..whole.len() * 8).step_by(5) {
                let mut flipped = whole.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                std::fs::write(&file, flipped).unwrap();
                let refused = if file.starts_with(&bundled) {
                    store.get_bundle(bundle.id()).is_err()
                } else {
                    matches!(store.get_checkpoint(digest), Err(StoreError::Checkpoint { .. }))
                };
                assert!(refused, "bit {bit} of {} was flipped and nobody saw it", file.display());
                flips += 1;
            }
            std::fs::write(&file, whole).unwrap();
        }
        assert!(flips > 4_000, "only {flips} bits were flipped");
        assert_eq!(store.get_bundle(bundle.id()).unwrap(), bundle);
        store.get_checkpoint(digest).unwrap();
    }

    #[test]
    fn a_half_written_checkpoint_is_refused() {
        let (folder, store) = store();
        let digest = store.put_checkpoint(vec![7; 1_000]).unwrap();
        assert_eq!(store.get_checkpoint(digest).unwrap(), vec![7; 1_000]);
        std::fs::write(folder.path().join("checkpoints").join(digest.to_string()), vec![7; 500]).unwrap();
        assert!(matches!(store.get_checkpoint(digest), Err(StoreError::Checkpoint { .. })));
        store.delete_checkpoint(digest).unwrap();
        store.delete_checkpoint(digest).unwrap();
        assert!(matches!(store.get_checkpoint(digest), Err(StoreError::NotFound { .. })));
    }
}
