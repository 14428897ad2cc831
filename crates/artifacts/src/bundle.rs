//! The artifact: a manifest and the files it names.
//!
//! The manifest holds nothing that differs between two runs of the same training: no wall clock, host, worker or attempt.
//! So a trial killed and resumed any number of times ends in the same id as its undisturbed twin.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use spec::{BundleId, Digest, Metric, TrialSpec, canonical_json};

use crate::ensemble::member_file;

/// Format of the manifest this build writes and reads.
pub(crate) const FORMAT: u32 = 1;

/// Largest manifest read, bytes.
pub(crate) const MANIFEST_BYTES_MAX: u64 = 1 << 20;

/// Largest file of a bundle, bytes.
pub(crate) const FILE_BYTES_MAX: u64 = 1 << 30;

/// Most files of a bundle.
const FILES_MAX: usize = 64;

const WEIGHTS: &str = "weights.safetensors";
const FEATURES: &str = "features.json";
const CARD: &str = "card.md";
const CALIBRATION: &str = "calibration.json";
pub(crate) const ENCODER: &str = "encoder.safetensors";
pub(crate) const ENCODER_STATE: &str = "encoder.json";

/// What the network is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BundleKind {
    /// Forecasts direction and return.
    Forecaster,
    /// Chooses an exposure.
    Policy,
    /// Policies that choose together, or forecasters whose forecasts are averaged: see [`crate::Membership`].
    Ensemble,
}

/// What decides the bits of a result beside spec, data and code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// CPU model.
    pub cpu: String,
    /// Intra-op threads.
    pub threads: u32,
    /// Tensor library and its options.
    pub library: String,
    /// Steps down the ladder after running out of memory.
    pub degrade: u8,
}

/// A file of the bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Its length.
    pub bytes: u64,
}

/// What a bundle is, where it comes from and what belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Format version.
    pub format: u32,
    /// What the network is for.
    pub kind: BundleKind,
    /// The network's shape, for whoever builds it; of an ensemble, its [`crate::Membership`].
    pub network: serde_json::Value,
    /// Every file but the manifest, by name.
    pub files: BTreeMap<String, FileEntry>,
    /// The trial, whole: data and their digest, features, task, model, market, seed.
    pub trial: TrialSpec,
    /// The build that trained it.
    pub code_version: String,
    /// What else decides its bits.
    pub kernel: Kernel,
    /// What it measured on validation.
    pub metrics: BTreeMap<Metric, f64>,
}

/// What a bundle is built from.
#[derive(Clone, Debug)]
pub struct Parts {
    /// What the network is for.
    pub kind: BundleKind,
    /// The network's shape.
    pub network: serde_json::Value,
    /// Weights as safetensors.
    pub weights: Vec<u8>,
    /// Feature state as JSON.
    pub features: Vec<u8>,
    /// The trial.
    pub trial: TrialSpec,
    /// The build.
    pub code_version: String,
    /// What else decides its bits.
    pub kernel: Kernel,
    /// What it measured.
    pub metrics: BTreeMap<Metric, f64>,
}

/// A bundle, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    id: BundleId,
    manifest: Manifest,
    files: BTreeMap<String, Vec<u8>>,
}

/// Why bytes are not the bundle they claim to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The manifest is not the one its id names.
    #[error("bundle {expected}: its manifest was changed, it hashes to {actual}")]
    Manifest {
        /// The id asked for.
        expected: BundleId,
        /// What the bytes hash to.
        actual: BundleId,
    },
    /// The manifest cannot be read.
    #[error("bundle {bundle}: its manifest cannot be read: {why}")]
    Unreadable {
        /// Which bundle.
        bundle: BundleId,
        /// What the parser said.
        why: String,
    },
    /// A newer build wrote it.
    #[error("bundle {bundle} has format {format}, this build reads {FORMAT}: use the build that wrote it, or newer")]
    Format {
        /// Which bundle.
        bundle: BundleId,
        /// Its format.
        format: u32,
    },
    /// A file is not the one the manifest names.
    #[error("bundle {bundle}: file {file} was changed or cut short: {expected} expected, {actual} found")]
    File {
        /// Which bundle.
        bundle: BundleId,
        /// Which file.
        file: String,
        /// Digest in the manifest.
        expected: Digest,
        /// Digest of the bytes.
        actual: Digest,
    },
    /// A file is missing, superfluous, badly named or too large.
    #[error("bundle {bundle}: file {file}: {why}")]
    Files {
        /// Which bundle.
        bundle: BundleId,
        /// Which file.
        file: String,
        /// What is wrong.
        why: &'static str,
    },
}

/// Whether a file is one of the two that an encoder is kept in.
pub(crate) fn is_of_encoder(file: &str) -> bool {
    file == ENCODER || file == ENCODER_STATE
}

impl Manifest {
    /// Whether an encoder belongs to it.
    #[must_use]
    pub fn has_encoder(&self) -> bool {
        self.files.keys().any(|file| is_of_encoder(file))
    }
}

impl BundleError {
    /// Whether it is the encoder's files that cannot be used; all else of the bundle may be sound.
    #[must_use]
    pub fn is_of_encoder(&self) -> bool {
        match self {
            Self::File { file, .. } | Self::Files { file, .. } => is_of_encoder(file),
            Self::Manifest { .. } | Self::Unreadable { .. } | Self::Format { .. } => false,
        }
    }
}

impl Bundle {
    /// Builds a bundle and its id. A metric that is NaN or infinite was not measured and is left out.
    #[must_use]
    pub fn build(mut parts: Parts) -> Self {
        parts.metrics.retain(|_, value| value.is_finite());
        let card = card(&parts).into_bytes();
        let files: BTreeMap<String, Vec<u8>> = [(WEIGHTS, parts.weights), (FEATURES, parts.features), (CARD, card)]
            .map(|(name, bytes)| (name.to_owned(), bytes))
            .into();
        let entry = |bytes: &Vec<u8>| FileEntry { digest: Digest::of(bytes), bytes: bytes.len() as u64 };
        let manifest = Manifest {
            format: FORMAT,
            kind: parts.kind,
            network: parts.network,
            files: files.iter().map(|(name, bytes)| (name.clone(), entry(bytes))).collect(),
            trial: parts.trial,
            code_version: parts.code_version,
            kernel: parts.kernel,
            metrics: parts.metrics,
        };
        let id = BundleId(Digest::of(&canonical_json(&manifest)));
        Self { id, manifest, files }
    }

    /// Checks a manifest against its id, before a single file is read.
    ///
    /// # Errors
    /// [`BundleError`] naming what differs.
    pub(crate) fn read_manifest(id: BundleId, bytes: &[u8]) -> Result<Manifest, BundleError> {
        let actual = BundleId(Digest::of(bytes));
        if actual != id {
            return Err(BundleError::Manifest { expected: id, actual });
        }
        let unreadable = |error: serde_json::Error| BundleError::Unreadable { bundle: id, why: error.to_string() };
        let peek: serde_json::Value = serde_json::from_slice(bytes).map_err(unreadable)?;
        let format = peek.get("format").and_then(serde_json::Value::as_u64).unwrap_or(0);
        if format != u64::from(FORMAT) {
            return Err(BundleError::Format { bundle: id, format: u32::try_from(format).unwrap_or(u32::MAX) });
        }
        let manifest: Manifest = serde_json::from_value(peek).map_err(unreadable)?;
        let problem = |file: &str, why| Err(BundleError::Files { bundle: id, file: file.to_owned(), why });
        if manifest.files.len() > FILES_MAX {
            return problem("*", "too many files");
        }
        for (name, entry) in &manifest.files {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_' || c == '-';
            if name.starts_with('.') || !name.chars().all(plain) {
                return problem(name, "not a plain file name");
            }
            if entry.bytes > FILE_BYTES_MAX {
                return problem(name, "too large");
            }
        }
        let weights = match manifest.kind {
            BundleKind::Forecaster | BundleKind::Policy => WEIGHTS.to_owned(),
            BundleKind::Ensemble => member_file(0),
        };
        let lacks = |name: &str| !manifest.files.contains_key(name);
        let required = [weights.as_str(), FEATURES];
        // An encoder's weights mean nothing without what it sees, nor the other way round.
        let paired = [(ENCODER, ENCODER_STATE), (ENCODER_STATE, ENCODER)];
        let missing = required.into_iter().find(|name| lacks(name));
        let missing =
            missing.or_else(|| paired.iter().find(|(one, other)| lacks(one) && !lacks(other)).map(|(one, _)| *one));
        match missing {
            Some(missing) => problem(missing, "missing"),
            None => Ok(manifest),
        }
    }

    /// Puts a bundle together from its manifest and files, each checked.
    ///
    /// # Errors
    /// [`BundleError`] naming the first file that differs.
    pub(crate) fn assemble(
        id: BundleId,
        manifest: Manifest,
        mut read: BTreeMap<String, Vec<u8>>,
    ) -> Result<Self, BundleError> {
        let mut files = BTreeMap::new();
        for (name, entry) in &manifest.files {
            let Some(bytes) = read.remove(name) else {
                return Err(BundleError::Files { bundle: id, file: name.clone(), why: "missing" });
            };
            let actual = Digest::of(&bytes);
            if actual != entry.digest {
                return Err(BundleError::File { bundle: id, file: name.clone(), expected: entry.digest, actual });
            }
            files.insert(name.clone(), bytes);
        }
        Ok(Self { id, manifest, files })
    }

    /// From parts that belong together.
    pub(crate) const fn of(id: BundleId, manifest: Manifest, files: BTreeMap<String, Vec<u8>>) -> Self {
        Self { id, manifest, files }
    }

    /// Its content address.
    #[must_use]
    pub const fn id(&self) -> BundleId {
        self.id
    }

    /// What it is.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The bytes of a file.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(Vec::as_slice)
    }

    /// Every file with its bytes.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
    }

    /// The weights of its network, as safetensors; `None` of an ensemble, which has several.
    #[must_use]
    pub fn weights(&self) -> Option<&[u8]> {
        self.file(WEIGHTS)
    }

    /// The same with a calibration, which its id covers like any other file. In place of an earlier one.
    #[must_use]
    pub fn calibrated(self, calibration: Vec<u8>) -> Self {
        self.with([(CALIBRATION, calibration)])
    }

    /// The same with the encoder that its network sees bars through: how it sees them as JSON, and its weights as safetensors.
    #[must_use]
    pub fn encoding(self, state: Vec<u8>, weights: Vec<u8>) -> Self {
        self.with([(ENCODER_STATE, state), (ENCODER, weights)])
    }

    fn with<const FILES: usize>(mut self, files: [(&str, Vec<u8>); FILES]) -> Self {
        for (name, bytes) in files {
            let entry = FileEntry { digest: Digest::of(&bytes), bytes: bytes.len() as u64 };
            self.manifest.files.insert(name.to_owned(), entry);
            self.files.insert(name.to_owned(), bytes);
        }
        self.id = BundleId(Digest::of(&canonical_json(&self.manifest)));
        self
    }

    /// What brings its forecasts in line, as JSON; `None` where it was never fitted.
    #[must_use]
    pub fn calibration(&self) -> Option<&[u8]> {
        self.file(CALIBRATION)
    }

    /// The encoder that its network sees bars through: how it sees them as JSON, and its weights as safetensors. `None` where
    /// indicators are all that is seen.
    #[must_use]
    pub fn encoder(&self) -> Option<(&[u8], &[u8])> {
        self.file(ENCODER_STATE).zip(self.file(ENCODER))
    }

    /// The feature state, as JSON.
    #[must_use]
    pub fn features(&self) -> &[u8] {
        self.file(FEATURES).expect("reading the manifest made sure of it")
    }
}

/// The card that people read.
fn card(parts: &Parts) -> String {
    use std::fmt::Write as _;
    let trial = &parts.trial;
    let split = &trial.data.split;
    let symbols: Vec<&str> = trial.data.symbols.iter().map(market::Symbol::as_str).collect();
    let mut card = format!(
        "# {}\n\nTrained on {} ({}), {} to {}; compared on {} to {}.\nData digest {}. Seed {}.\n\n| metric | value |\n|---|---:|\n",
        trial.trial,
        symbols.join(", "),
        trial.data.interval,
        split.train.from.date(),
        split.train.to.date(),
        split.validation.from.date(),
        split.validation.to.date(),
        trial.data_digest,
        trial.seed,
    );
    for (metric, value) in &parts.metrics {
        // Writing to a String cannot fail.
        let _ = writeln!(card, "| {metric} | {value:.6} |");
    }
    card
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A small bundle; `seed` makes it another one.
    pub(crate) fn bundle(seed: u64) -> Bundle {
        Bundle::build(parts(seed))
    }

    /// The same as a policy.
    pub(crate) fn policy(seed: u64) -> Bundle {
        Bundle::build(Parts { kind: BundleKind::Policy, weights: vec![seed as u8], ..parts(seed) })
    }

    /// A third policy, with something changed.
    pub(crate) fn policy_with(change: impl Fn(&mut Parts)) -> Bundle {
        let mut parts = Parts { kind: BundleKind::Policy, ..parts(3) };
        change(&mut parts);
        Bundle::build(parts)
    }

    /// A fourth forecaster, with something changed.
    pub(crate) fn bundle_with(change: impl Fn(&mut Parts)) -> Bundle {
        let mut parts = parts(4);
        change(&mut parts);
        Bundle::build(parts)
    }

    fn parts(seed: u64) -> Parts {
        let trial = serde_json::json!({
            "trial": "quick-1.0", "params": {}, "seed": seed,
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
        Parts {
            kind: BundleKind::Forecaster,
            network: serde_json::json!({"any": "shape"}),
            weights: vec![1, 2, 3],
            features: b"{}".to_vec(),
            trial: serde_json::from_value(trial).unwrap(),
            code_version: "0.1.0".to_owned(),
            kernel: Kernel { cpu: "any".to_owned(), threads: 1, library: "none".to_owned(), degrade: 0 },
            metrics: BTreeMap::from([(Metric::ValidationLoss, 0.25)]),
        }
    }

    #[test]
    fn a_metric_that_was_not_measured_is_left_out() {
        let undefined = BTreeMap::from([(Metric::ValidationLoss, 0.25), (Metric::ValidationSharpe, f64::NAN)]);
        let built = Bundle::build(Parts { metrics: undefined, ..parts(1) });
        assert_eq!(built, bundle(1));
        assert!(!String::from_utf8_lossy(built.file(CARD).unwrap()).contains("NaN"));
    }

    #[test]
    fn the_same_training_has_the_same_id_and_another_seed_another() {
        assert_eq!(bundle(1).id(), bundle(1).id());
        assert_ne!(bundle(1).id(), bundle(2).id());
    }

    #[test]
    fn a_manifest_survives_its_canonical_form_and_any_edit_is_named() {
        let bundle = bundle(1);
        let bytes = canonical_json(bundle.manifest());
        let manifest = Bundle::read_manifest(bundle.id(), &bytes).unwrap();
        assert_eq!(&manifest, bundle.manifest());
        let edited = String::from_utf8(bytes).unwrap().replace("0.25", "0.24");
        let error = Bundle::read_manifest(bundle.id(), edited.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("manifest was changed"), "{error}");

        let mut files: BTreeMap<_, _> = bundle.files().map(|(n, b)| (n.to_owned(), b.to_vec())).collect();
        files.insert(WEIGHTS.to_owned(), vec![1, 2]);
        let error = Bundle::assemble(bundle.id(), manifest, files).unwrap_err();
        assert!(error.to_string().contains("weights.safetensors was changed or cut short"), "{error}");
    }

    #[test]
    fn a_calibration_is_covered_by_the_id_and_one_is_replaced_by_the_next() {
        let plain = bundle(1);
        let first = plain.clone().calibrated(b"{\"temperature\":1}".to_vec());
        assert_eq!((plain.calibration(), first.calibration()), (None, Some(&b"{\"temperature\":1}"[..])));
        let second = first.clone().calibrated(b"{\"temperature\":2}".to_vec());
        assert!(plain.id() != first.id() && first.id() != second.id());
        assert_eq!(plain.calibrated(b"{\"temperature\":2}".to_vec()), second);
        let manifest = Bundle::read_manifest(second.id(), &canonical_json(second.manifest())).unwrap();
        let mut files: BTreeMap<_, _> = second.files().map(|(n, b)| (n.to_owned(), b.to_vec())).collect();
        assert_eq!(Bundle::assemble(second.id(), manifest.clone(), files.clone()).unwrap(), second);
        files.insert(CALIBRATION.to_owned(), b"{\"temperature\":1}".to_vec());
        let error = Bundle::assemble(second.id(), manifest, files).unwrap_err();
        assert!(error.to_string().contains("calibration.json was changed"), "{error}");
    }

    #[test]
    fn an_encoder_is_part_of_what_the_id_covers_and_stands_whole_or_not_at_all() {
        let plain = policy(1);
        let whole = plain.clone().encoding(b"{}".to_vec(), vec![7]);
        assert_ne!(whole.id(), plain.id());
        assert_eq!((whole.encoder(), plain.encoder()), (Some((&b"{}"[..], &[7][..])), None));
        let mut halved = whole.manifest().clone();
        halved.files.remove(ENCODER);
        let bytes = canonical_json(&halved);
        let error = Bundle::read_manifest(BundleId(Digest::of(&bytes)), &bytes).unwrap_err();
        assert!(error.is_of_encoder() && error.to_string().contains("encoder.safetensors: missing"), "{error}");
        let mut files: BTreeMap<_, _> = whole.files().map(|(n, b)| (n.to_owned(), b.to_vec())).collect();
        files.insert(WEIGHTS.to_owned(), vec![9]);
        let error = Bundle::assemble(whole.id(), whole.manifest().clone(), files).unwrap_err();
        assert!(!error.is_of_encoder(), "{error}");
    }

    #[test]
    fn a_manifest_cannot_name_a_file_outside_its_folder() {
        let mut manifest = bundle(1).manifest().clone();
        manifest.files.insert("../weights".to_owned(), FileEntry { digest: Digest::of(b""), bytes: 0 });
        let bytes = canonical_json(&manifest);
        let id = BundleId(Digest::of(&bytes));
        assert!(matches!(Bundle::read_manifest(id, &bytes), Err(BundleError::Files { .. })));
    }
}
