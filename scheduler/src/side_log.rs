//! Step metrics, a JSON line each, in a file per experiment. For people and plots: nothing is decided by it, so it may
//! lose its last lines, and a full disk stops the log and not the trials.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use market::Timestamp;
use serde::{Deserialize, Serialize};
use spec::{AttemptId, ExperimentId, Progress, TrialId};

/// Files open at once; the others are opened again when needed.
const FILES_MAX: usize = 32;

#[derive(Serialize)]
struct Line<'a> {
    at: Timestamp,
    trial: &'a TrialId,
    attempt: AttemptId,
    #[serde(flatten)]
    progress: &'a Progress,
}

/// A line as readers get it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct LogLine {
    /// When the scheduler heard it.
    pub at: Timestamp,
    /// Which trial.
    pub trial: TrialId,
    /// Which attempt of it.
    pub attempt: AttemptId,
    /// How far it was.
    #[serde(flatten)]
    pub progress: Progress,
}

/// The log of an experiment; there once something was measured.
#[must_use]
pub fn log_path(home: &Path, experiment: &ExperimentId) -> PathBuf {
    folder(home).join(format!("{experiment}.jsonl"))
}

pub(crate) fn folder(home: &Path) -> PathBuf {
    home.join("metrics")
}

/// Opens a log to write on. A crash may have cut its last line: what follows begins on one of its own.
fn open(path: &Path) -> std::io::Result<File> {
    let mut file = File::options().create(true).read(true).append(true).open(path)?;
    if file.metadata()?.len() > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}

/// The log.
pub(crate) struct SideLog {
    folder: PathBuf,
    files: BTreeMap<ExperimentId, BufWriter<File>>,
    /// Last step written of each attempt: a repeated word is not news.
    steps: BTreeMap<AttemptId, u64>,
    /// Something was written since the last flush.
    unread: bool,
    broken: bool,
}

impl SideLog {
    pub(crate) const fn new(folder: PathBuf) -> Self {
        Self { folder, files: BTreeMap::new(), steps: BTreeMap::new(), unread: false, broken: false }
    }

    pub(crate) fn write(&mut self, at: Timestamp, trial: &TrialId, attempt: AttemptId, progress: &Progress) {
        if self.broken || self.steps.insert(attempt, progress.step) == Some(progress.step) {
            return;
        }
        let line = Line { at, trial, attempt, progress };
        let written = self.file(&trial.experiment).and_then(|file| {
            serde_json::to_writer(&mut *file, &line)?;
            file.write_all(b"\n")
        });
        self.unread = true;
        self.judge(written);
    }

    /// Lets readers see what was written. Called before each commit: who reads in the journal that an attempt ended finds
    /// all that it measured.
    pub(crate) fn flush(&mut self) {
        if std::mem::take(&mut self.unread) {
            let flushed = self.files.values_mut().try_for_each(BufWriter::flush);
            self.judge(flushed);
        }
    }

    /// Forgets attempts that are gone. Called now and then.
    pub(crate) fn forget(&mut self, alive: impl Fn(AttemptId) -> bool) {
        self.steps.retain(|attempt, _| alive(*attempt));
    }

    fn file(&mut self, experiment: &ExperimentId) -> std::io::Result<&mut BufWriter<File>> {
        if !self.files.contains_key(experiment) {
            if self.files.len() >= FILES_MAX {
                self.files.clear();
            }
            std::fs::create_dir_all(&self.folder)?;
            let path = self.folder.join(format!("{experiment}.jsonl"));
            self.files.insert(experiment.clone(), BufWriter::new(open(&path)?));
        }
        self.files.get_mut(experiment).ok_or_else(|| std::io::Error::other("file was closed"))
    }

    fn judge(&mut self, written: std::io::Result<()>) {
        if let Err(error) = written {
            tracing::warn!(folder = %self.folder.display(), %error, "step metrics are no longer logged");
            self.broken = true;
        }
    }
}

#[cfg(test)]
mod tests;
