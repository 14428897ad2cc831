//! The mark of a store elsewhere: made once, by whoever comes first, so that two builds never mix their formats in it. Making it
//! also tells whether the store answers, can be written, and keeps the condition that nothing is there.

use std::time::Duration;

use object_store::{ObjectStoreExt as _, PutMode, PutPayload};
use serde::{Deserialize, Serialize};

use super::{Store, StoreError};

/// Format of stores that this build makes and reads.
const FORMAT: u32 = 1;

const MARK: &str = "store.json";

/// Longest wait for a store that is used for the first time.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Serialize, Deserialize)]
struct Mark {
    format: u32,
}

impl Store {
    /// Makes the mark where it is missing, and reads it where it is not.
    ///
    /// # Errors
    /// [`StoreError::Format`], [`StoreError::Silent`], [`StoreError::Transient`].
    pub fn claim(&self) -> Result<(), StoreError> {
        let path = self.root.clone().join(MARK);
        let mark = serde_json::to_vec(&Mark { format: FORMAT }).expect("a number is JSON");
        let claimed = self.block_on(async {
            let claim = async {
                match self.objects.put_opts(&path, PutPayload::from(mark), PutMode::Create.into()).await {
                    Ok(_) => Ok(None),
                    Err(object_store::Error::AlreadyExists { .. }) => {
                        self.objects.get(&path).await?.bytes().await.map(Some)
                    }
                    Err(error) => Err(error),
                }
            };
            tokio::time::timeout(PATIENCE, claim).await
        });
        let silent = |_| StoreError::Silent { url: self.url.clone(), seconds: PATIENCE.as_secs() };
        let failed = |source| StoreError::Transient { action: "marking", what: self.url.clone(), source };
        let Some(there) = claimed.map_err(silent)?.map_err(failed)? else { return Ok(()) };
        // What is no mark is of no format that this build reads.
        let found = serde_json::from_slice::<Mark>(&there).map_or(0, |mark| mark.format);
        if found == FORMAT { Ok(()) } else { Err(StoreError::Format { url: self.url.clone(), found, wanted: FORMAT }) }
    }
}
