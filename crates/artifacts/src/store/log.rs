//! Step metrics of an experiment, as the scheduler wrote them. They are not addressed by digest, because they grow; so a put is
//! bound to what was there when it was looked at, and two writers cannot undo one another.

use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutMode, PutPayload, UpdateVersion};
use spec::ExperimentId;

use super::{FILE_BYTES_MAX, Store, StoreError};

/// Looks at a log that others write as well.
const TRIES_MAX: usize = 5;

impl Store {
    /// Keeps the log of an experiment, unless a longer one is there: logs only grow.
    ///
    /// # Errors
    /// [`StoreError::Transient`].
    pub fn put_log(&self, experiment: &ExperimentId, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.log_path(experiment);
        let mut tries = 1;
        loop {
            match self.block_on(self.replace_shorter(&path, bytes)) {
                Ok(()) => return Ok(()),
                // Another was faster: what it wrote is looked at anew.
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. })
                    if tries < TRIES_MAX =>
                {
                    tries += 1;
                }
                Err(source) => {
                    return Err(StoreError::Transient { action: "writing", what: path.to_string(), source });
                }
            }
        }
    }

    /// Loads the log of an experiment.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Transient`].
    pub fn get_log(&self, experiment: &ExperimentId) -> Result<Vec<u8>, StoreError> {
        self.get(&self.log_path(experiment), FILE_BYTES_MAX, || format!("log of {experiment}"))
    }

    async fn replace_shorter(&self, path: &Path, bytes: &[u8]) -> Result<(), object_store::Error> {
        let mode = match self.objects.head(path).await {
            Ok(there) if there.size >= bytes.len() as u64 => return Ok(()),
            // A folder has no condition to bind a replacement to.
            Ok(_) if !self.is_remote() => PutMode::Overwrite,
            Ok(there) => PutMode::Update(UpdateVersion { e_tag: there.e_tag, version: there.version }),
            Err(object_store::Error::NotFound { .. }) => PutMode::Create,
            Err(error) => return Err(error),
        };
        self.objects.put_opts(path, PutPayload::from(bytes.to_vec()), mode.into()).await.map(drop)
    }

    fn log_path(&self, experiment: &ExperimentId) -> Path {
        self.root.clone().join("logs").join(format!("{experiment}.jsonl"))
    }
}
