//! Names a build of this crate after its sources, so that bytes which one build wrote for itself are read by no other.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};

fn main() -> io::Result<()> {
    let mut hasher = DefaultHasher::new();
    for path in files(Path::new("src"))? {
        path.hash(&mut hasher);
        std::fs::read(&path)?.hash(&mut hasher);
    }
    println!("cargo:rerun-if-changed=src");
    println!("cargo:rustc-env=SCHEDULER_BUILD={}+{:016x}", env!("CARGO_PKG_VERSION"), hasher.finish());
    Ok(())
}

/// What editors leave beside a source.
fn hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// All sources below a folder, in one order on every machine.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|kind| kind == "rs") && !hidden(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
