//! A file that is there whole or not at all, and leaves nothing when its writer is killed.
//!
//! It has no name while it is written, where the file system can do that (`O_TMPFILE`); elsewhere its name says what it is.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use crate::DataError;

/// A file on its way to its name.
pub(crate) struct Staged {
    file: File,
    target: PathBuf,
    folder: PathBuf,
    /// Where it stands meanwhile, beside the target; a file without a name gets it at the very end.
    beside: PathBuf,
    named: Named,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    No,
    Yes,
    Moved,
}

impl Staged {
    /// Makes the target's folder and opens a file in it.
    pub(crate) fn new(target: &Path) -> Result<Self, DataError> {
        let io = |action| move |source| DataError::Io { path: target.to_owned(), action, source };
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(io("making its folder"))?;
        let beside = target.with_extension(format!("partial-{}", std::process::id()));
        let unnamed = rustix::fs::open(folder, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, Mode::from(0o644));
        let (file, named) = match unnamed {
            Ok(file) => (File::from(file), Named::No),
            Err(_) => (File::create(&beside).map_err(io("writing"))?, Named::Yes),
        };
        Ok(Self { file, target: target.to_owned(), folder: folder.to_owned(), beside, named })
    }

    /// To write to.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Makes the content durable and gives it its name, in place of what had it.
    pub(crate) fn publish(mut self) -> Result<(), DataError> {
        let published = self.move_in();
        let folder = self.folder.clone();
        let target = self.target.clone();
        published.map_err(|source| DataError::Io { path: target.clone(), action: "writing", source })?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| DataError::Io {
            path: target,
            action: "syncing its folder",
            source,
        })
    }

    fn move_in(&mut self) -> std::io::Result<()> {
        self.file.sync_all()?;
        if self.named == Named::No {
            let open = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            rustix::fs::linkat(CWD, open, CWD, &self.beside, AtFlags::SYMLINK_FOLLOW)?;
            self.named = Named::Yes;
        }
        std::fs::rename(&self.beside, &self.target)?;
        self.named = Named::Moved;
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.named == Named::Yes {
            let _ = std::fs::remove_file(&self.beside);
        }
    }
}
