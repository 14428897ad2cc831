//! The folder of a run: what was asked (`run.json`, `experiment.yaml`) and how it ended (`result.json`).

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use spec::ExperimentId;

use crate::question::Question;
use crate::summary::Summary;

/// A run's folder under the home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    folder: PathBuf,
}

/// What a run was begun with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The file, as the user named it.
    pub path: PathBuf,
    /// What it asks, whole.
    pub question: Question,
}

/// The file that says who is to be told.
const OWED: &str = "owed.json";

/// A scheduler that could not be reached when a run began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Owed {
    scheduler: String,
}

/// A file of a run could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The system refused.
    #[error("cannot {act} {}: check that the folder is writable and the disk has room", path.display())]
    Io {
        /// What was tried.
        act: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is not what this build writes.
    #[error("{} is not readable by this build: move it away to run the experiment again", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// Where it goes wrong.
        source: serde_json::Error,
    },
}

impl Record {
    /// The folder of `experiment` under `home`; nothing is created yet.
    #[must_use]
    pub fn new(home: &Path, experiment: &ExperimentId) -> Self {
        Self { folder: home.join("runs").join(experiment.as_str()) }
    }

    /// Where it lies.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Keeps what is asked: the question as data and the file as it was written.
    ///
    /// # Errors
    /// [`RecordError::Io`] when a file cannot be written.
    pub fn begin(&self, asked: &Asked, yaml: &str) -> Result<(), RecordError> {
        self.write_json("run.json", asked)?;
        self.write("experiment.yaml", yaml.as_bytes())
    }

    /// What was asked here; `None` before [`Record::begin`].
    ///
    /// # Errors
    /// [`RecordError`] when the file is there and cannot be read.
    pub fn asked(&self) -> Result<Option<Asked>, RecordError> {
        self.read_json("run.json")
    }

    /// The file as it was written when the run began; `None` before [`Record::begin`].
    ///
    /// # Errors
    /// [`RecordError`] when the file is there and cannot be read.
    pub fn yaml(&self) -> Result<Option<String>, RecordError> {
        let bytes = self.read("experiment.yaml")?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Keeps how it ended: from now on the same question is a cache hit.
    ///
    /// # Errors
    /// [`RecordError::Io`] when the file cannot be written.
    pub fn finish(&self, summary: &Summary) -> Result<(), RecordError> {
        self.write_json("result.json", summary)
    }

    /// How it ended; `None` while it has not.
    ///
    /// # Errors
    /// [`RecordError`] when the file is there and cannot be read.
    pub fn finished(&self) -> Result<Option<Summary>, RecordError> {
        self.read_json("result.json")
    }

    /// Keeps that a scheduler is to be told of this run.
    ///
    /// # Errors
    /// [`RecordError::Io`] when the file cannot be written.
    pub fn owe(&self, scheduler: &str) -> Result<(), RecordError> {
        self.write_json(OWED, &Owed { scheduler: scheduler.to_owned() })
    }

    /// Nothing is owed any more.
    ///
    /// # Errors
    /// [`RecordError::Io`] when the file cannot be removed.
    pub fn settle(&self) -> Result<(), RecordError> {
        let path = self.folder.join(OWED);
        std::fs::remove_file(&path).map_err(|source| RecordError::Io { act: "remove", path, source })
    }

    /// The runs below `home` that `scheduler` is to be told of, in the order of their ids.
    ///
    /// # Errors
    /// [`RecordError`] when a file is there and cannot be read.
    pub fn owed(home: &Path, scheduler: &str) -> Result<Vec<Self>, RecordError> {
        // A home without runs owes nothing.
        let Ok(folders) = std::fs::read_dir(home.join("runs")) else { return Ok(Vec::new()) };
        let mut folders: Vec<PathBuf> = folders.filter_map(|entry| Some(entry.ok()?.path())).collect();
        folders.sort();
        let mut owed = Vec::new();
        for folder in folders {
            let record = Self { folder };
            if record.read_json::<Owed>(OWED)?.is_some_and(|owed| owed.scheduler == scheduler) {
                owed.push(record);
            }
        }
        Ok(owed)
    }

    fn write_json<T: Serialize>(&self, name: &str, value: &T) -> Result<(), RecordError> {
        let content = |source| RecordError::Content { path: self.folder.join(name), source };
        let mut bytes = serde_json::to_vec_pretty(value).map_err(content)?;
        bytes.push(b'\n');
        self.write(name, &bytes)
    }

    fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, RecordError> {
        let Some(bytes) = self.read(name)? else { return Ok(None) };
        let content = |source| RecordError::Content { path: self.folder.join(name), source };
        serde_json::from_slice(&bytes).map(Some).map_err(content)
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, RecordError> {
        let path = self.folder.join(name);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(RecordError::Io { act: "read", path, source }),
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), RecordError> {
        write_whole(&self.folder.join(name), bytes)
    }
}

/// Writes a file so that a reader sees all of it or none: beside it first, synced, then renamed, and its name synced.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), RecordError> {
    let io = |act: &'static str| move |source| RecordError::Io { act, path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(io("create the folder of"))?;
    let mut half = path.as_os_str().to_owned();
    half.push(".half");
    let mut file = File::create(&half).map_err(io("create"))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io("write"))?;
    std::fs::rename(&half, path).map_err(io("move into place"))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io("sync the folder of"))
}

#[cfg(test)]
mod tests {
    use protocol::ExperimentState;

    use super::*;
    use crate::fixture;
    use crate::summary::Ended;

    #[test]
    fn a_run_is_finished_once_its_result_is_kept_and_reads_back_as_it_was() {
        let home = tempfile::tempdir().unwrap();
        let question = fixture::question(fixture::random_sweep());
        let asked = Asked { path: "fixture.yaml".into(), question: question.clone() };
        let record = Record::new(home.path(), &question.experiment());
        assert_eq!(record.asked().unwrap(), None);
        record.begin(&asked, "name: fixture\n").unwrap();
        assert_eq!(record.asked().unwrap(), Some(asked));
        assert_eq!(record.yaml().unwrap().as_deref(), Some("name: fixture\n"));
        assert_eq!(record.finished().unwrap(), None);

        let summary = Summary {
            experiment: question.experiment(),
            state: ExperimentState::Failed,
            trials: Ended { failed: 12, ..Ended::default() },
            best: None,
            verdict: String::new(),
            report: None,
            promotion: None,
            calibration: None,
            encoder: None,
            notice: None,
        };
        record.finish(&summary).unwrap();
        assert_eq!(record.finished().unwrap(), Some(summary));
    }

    #[test]
    fn a_damaged_result_is_named_and_not_taken_for_an_answer() {
        let home = tempfile::tempdir().unwrap();
        let record = Record::new(home.path(), &"fixture-00000000".parse().unwrap());
        write_whole(&record.folder().join("result.json"), b"{\"experiment\": ").unwrap();
        let error = record.finished().unwrap_err();
        assert!(matches!(error, RecordError::Content { .. }));
        assert!(error.to_string().contains("result.json is not readable"), "{error}");
    }

    #[test]
    fn a_home_that_is_no_folder_is_refused_with_its_path() {
        let home = tempfile::NamedTempFile::new().unwrap();
        let question = fixture::question(fixture::random_sweep());
        let record = Record::new(home.path(), &question.experiment());
        let error = record.begin(&Asked { path: "fixture.yaml".into(), question }, "").unwrap_err();
        assert!(error.to_string().starts_with("cannot create the folder of"), "{error}");
    }
}
