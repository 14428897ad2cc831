//! What `scripts/crash_states.py` records and then judges: writes a store and a registry, and says of a folder that
//! survived a crash what is left in it.
//!
//! `write FOLDER` works, and prints `acknowledged N` after each act. `check` reads `FOLDER N` lines: the first N acts were
//! acknowledged. It answers each with `whole N`, where the last act that is there is the N-th, or with `broken` and why.

#![allow(clippy::print_stdout, reason = "it is asked and answers on its standard streams")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, Write as _};
use std::path::Path;

use artifacts::{Alias, Bundle, BundleKind, Kernel, Moved, Parts, Registry, Store, StoreError};
use market::Timestamp;
use spec::{BundleId, Digest, Metric, ModelName};

type Failure = Box<dyn std::error::Error>;

/// Acts of the workload.
const ACTS: usize = 48;

enum Act {
    Checkpoint(Vec<u8>),
    Bundle(Box<Bundle>),
    /// A version, and the alias on it.
    Version(BundleId),
}

fn act(index: usize) -> Result<Act, Failure> {
    Ok(match index % 6 {
        4 => Act::Bundle(Box::new(bundle(index)?)),
        5 => Act::Version(bundle(index - 1)?.id()),
        _ => {
            let byte = |at: usize| (at.wrapping_mul(31) ^ index) as u8;
            Act::Checkpoint((0..500 + index * 211).map(byte).collect())
        }
    })
}

fn bundle(index: usize) -> Result<Bundle, Failure> {
    let trial = serde_json::json!({
        "trial": "crash-1.0", "params": {}, "seed": index,
        "data": {
            "source": "aapl", "symbols": ["AAPL"], "interval": "1d",
            "split": {
                "train": ["2013-01-02", "2018-12-31"], "validation": ["2019-01-02", "2020-12-31"],
                "test": ["2021-01-04", "2023-09-21"], "purge": 5, "embargo": 0
            }
        },
        "data_digest": Digest::of(b"bars"), "features": [{"log_return": {"bars": 1}}],
        "task": {"supervised": {"window": 4, "horizon": 1, "epochs": 1, "learning_rate": 0.001}},
        "model": {"mlp": {"hidden": [4]}}, "env": {}, "strategy": {}, "device": "cpu", "threads": 1
    });
    Ok(Bundle::build(Parts {
        kind: BundleKind::Forecaster,
        network: serde_json::json!({"any": "shape"}),
        weights: (0..3_000).map(|at: usize| (at ^ index) as u8).collect(),
        features: b"{}".to_vec(),
        trial: serde_json::from_value(trial)?,
        code_version: "0.1.0".to_owned(),
        kernel: Kernel { cpu: "any".to_owned(), threads: 1, library: "none".to_owned(), degrade: 0 },
        metrics: BTreeMap::from([(Metric::ValidationLoss, 0.25)]),
    }))
}

fn open(folder: &Path) -> Result<(Store, Registry, ModelName), Failure> {
    let path = folder.join("store");
    let store = Store::open(path.to_str().ok_or("the folder's name is not text")?)?;
    Ok((store, Registry::open(&folder.join("registry.db"))?, "crash".parse()?))
}

fn write(folder: &Path) -> Result<(), Failure> {
    let (store, mut registry, model) = open(folder)?;
    let mut pointed = None;
    for index in 0..ACTS {
        match act(index)? {
            Act::Checkpoint(bytes) => drop(store.put_checkpoint(bytes)?),
            Act::Bundle(bundle) => store.put_bundle(&bundle)?,
            Act::Version(id) => {
                let at = Timestamp::from_micros(i64::try_from(index)?);
                registry.register(&model, id, &"crash-1.0".parse()?, at)?;
                let moved = Moved { expected: pointed, at, actor: "crash", evidence: Digest::of(b"none") };
                registry.challenge(&model, id, &moved)?;
                pointed = Some(id);
            }
        }
        println!("acknowledged {}", index + 1);
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// The last act that is there, or what is broken.
fn check(folder: &Path, acknowledged: usize) -> Result<usize, Failure> {
    let (store, registry, model) = open(folder)?;
    let versions = registry.versions(&model)?;
    let history = registry.history(&model)?;
    let pointed = registry.alias(&model, Alias::Challenger)?;
    if pointed != history.last().map(|line| line.to) {
        return Err("the alias does not point where its log says".into());
    }
    let mut last = 0;
    for index in 0..ACTS {
        let there = match act(index)? {
            Act::Checkpoint(bytes) => match store.get_checkpoint(Digest::of(&bytes)) {
                Ok(found) if found == bytes => true,
                Ok(_) => return Err(format!("act {} has other bytes", index + 1).into()),
                Err(StoreError::NotFound { .. }) => false,
                Err(error) => return Err(format!("act {}: {error}", index + 1).into()),
            },
            Act::Bundle(bundle) => match store.get_bundle(bundle.id()) {
                Ok(found) if found == *bundle => true,
                Ok(_) => return Err(format!("act {} is another bundle", index + 1).into()),
                Err(StoreError::NotFound { .. }) => false,
                Err(error) => return Err(format!("act {}: {error}", index + 1).into()),
            },
            Act::Version(id) => {
                let registered = versions.iter().any(|version| version.bundle == id);
                let moved = history.iter().any(|line| line.to == id);
                if moved && !registered {
                    return Err(format!("act {}: the alias was moved to no version", index + 1).into());
                }
                moved
            }
        };
        if there {
            last = index + 1;
        } else if index < acknowledged {
            return Err(format!("act {} was acknowledged and is not there", index + 1).into());
        }
    }
    Ok(last)
}

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    match (args.next().as_deref(), args.next()) {
        (Some("write"), Some(folder)) => write(Path::new(&folder)),
        (Some("check"), None) => {
            for line in std::io::stdin().lock().lines() {
                let line = line?;
                let (folder, acknowledged) = line.rsplit_once(' ').ok_or("a line is FOLDER N")?;
                match check(Path::new(folder), acknowledged.parse()?) {
                    Ok(last) => println!("whole {last}"),
                    Err(error) => println!("broken {error}"),
                }
                std::io::stdout().flush()?;
            }
            Ok(())
        }
        _ => Err("usage: store_crash write FOLDER | store_crash check".into()),
    }
}
