//! Another bundle works where an encoder is broken, where one was named for that, and nowhere else.

use artifacts::{Bundle, BundleKind, Parts, Registry, Store};
use market::Timestamp;
use tempfile::TempDir;

use super::{Chosen, StandbyError, choose};
use crate::fixtures::bundle_seeing;
use crate::sight::tests::{forecaster, policy};

struct Shelf {
    folder: TempDir,
    registry: Registry,
    store: Store,
}

/// `agent@1` sees through an encoder; `plain@1` sees indicators alone, `plain@2` is another agent with an encoder. The network
/// of `narrow@1` takes more values than its features make, `act@1` has another kind of network than it says, `other@1`
/// trades another share, and `pair@1` learned from another share beside its own.
fn shelf() -> Shelf {
    let folder = tempfile::tempdir().unwrap();
    let mut registry = Registry::open(&folder.path().join("registry.db")).unwrap();
    let store = Store::open(folder.path().join("store").to_str().unwrap()).unwrap();
    let (state, weights) = policy().encoder().map(|(state, weights)| (state.to_vec(), weights.to_vec())).unwrap();
    let other = policy().encoding(state, weights).calibrated(b"{}".to_vec());
    let plain = forecaster(1);
    let (network, weights) = (plain.manifest().network.clone(), plain.weights().unwrap().to_vec());
    let of = |kind, features: &[u8]| bundle_seeing(kind, features.to_vec(), network.clone(), weights.clone());
    let narrow = of(BundleKind::Forecaster, policy().features());
    let acting = of(BundleKind::Policy, plain.features());
    let named = [("agent", policy()), ("plain", plain), ("plain", other)];
    let more =
        [("narrow", narrow), ("act", acting), ("other", of_shares(&["MSFT"])), ("pair", of_shares(&["AAPL", "MSFT"]))];
    for (model, bundle) in named.into_iter().chain(more) {
        store.put_bundle(&bundle).unwrap();
        let trial = bundle.manifest().trial.trial.clone();
        registry.register(&model.parse().unwrap(), bundle.id(), &trial, Timestamp::from_micros(0)).unwrap();
    }
    Shelf { folder, registry, store }
}

/// A forecaster of these shares.
fn of_shares(symbols: &[&str]) -> Bundle {
    let plain = forecaster(1);
    let mut manifest = plain.manifest().clone();
    manifest.trial.data.symbols = symbols.iter().map(|symbol| (*symbol).to_owned().try_into().unwrap()).collect();
    Bundle::build(Parts {
        kind: manifest.kind,
        network: manifest.network,
        weights: plain.weights().unwrap().to_vec(),
        features: plain.features().to_vec(),
        trial: manifest.trial,
        code_version: manifest.code_version,
        kernel: manifest.kernel,
        metrics: manifest.metrics,
    })
}

impl Shelf {
    fn choose(&self, fallback: Option<&str>) -> Result<Chosen, StandbyError> {
        choose(&self.registry, &self.store, "agent@1", fallback)
    }

    fn damage(&self, bundle: &Bundle, file: &str) {
        let path = self.folder.path().join("store/bundles").join(bundle.id().to_string()).join(file);
        std::fs::write(path, b"nothing").unwrap();
    }
}

#[test]
fn a_sound_bundle_works_itself_whatever_stands_by() {
    for fallback in [None, Some("plain@1")] {
        let chosen = shelf().choose(fallback).unwrap();
        assert_eq!((chosen.bundle, chosen.reference.as_str(), chosen.instead), (policy(), "agent@1", None));
    }
}

#[test]
fn a_broken_encoder_gives_way_to_the_fallback_and_says_why() {
    for file in ["encoder.safetensors", "encoder.json"] {
        let shelf = shelf();
        shelf.damage(&policy(), file);
        let alone = shelf.choose(None).unwrap_err();
        assert!(alone.to_string().contains(&format!("{file} was changed or cut short")), "{alone}");
        let chosen = shelf.choose(Some("plain@1")).unwrap();
        assert_eq!((chosen.bundle.id(), chosen.reference.as_str()), (forecaster(1).id(), "plain@1"));
        let said = chosen.instead.unwrap();
        assert!(said.starts_with("agent@1 does not work without its encoder (") && said.contains(file), "{said}");
        assert!(said.ends_with("plain@1 takes its place"), "{said}");
    }
    let shelf = shelf();
    let lost = shelf.folder.path().join("store/bundles").join(policy().id().to_string()).join("encoder.json");
    std::fs::remove_file(lost).unwrap();
    assert!(shelf.choose(Some("plain@1")).unwrap().instead.unwrap().contains("encoder.json: missing"));
}

#[test]
fn an_encoder_that_cannot_be_read_gives_way_like_a_broken_one() {
    let shelf = shelf();
    let files = shelf.folder.path().join("store/bundles").join(policy().id().to_string());
    let path = files.join("encoder.safetensors");
    std::fs::remove_file(&path).unwrap();
    // A link to itself is there and opens for nobody.
    std::os::unix::fs::symlink(&path, &path).unwrap();
    assert!(!shelf.choose(None).unwrap_err().is_bad_input());
    let chosen = shelf.choose(Some("plain@1")).unwrap();
    assert_eq!(chosen.bundle.id(), forecaster(1).id());
    let said = chosen.instead.unwrap();
    assert!(said.contains("cannot be read") && said.contains("file encoder.safetensors of bundle"), "{said}");
}

#[test]
fn nothing_but_a_broken_encoder_lets_another_bundle_work() {
    let shelf = shelf();
    shelf.damage(&policy(), "weights.safetensors");
    let error = shelf.choose(Some("plain@1")).unwrap_err();
    assert!(error.to_string().contains("weights.safetensors was changed"), "{error}");
    assert!(!error.is_bad_input());
}

#[test]
fn a_fallback_with_an_encoder_or_one_that_is_not_there_is_refused() {
    let shelf = shelf();
    // While nothing is wrong with the one that is asked for, and again when its encoder is.
    for _ in 0..2 {
        let encodes = shelf.choose(Some("plain@2")).unwrap_err();
        assert!(matches!(encodes, StandbyError::Encodes { .. }) && encodes.is_bad_input(), "{encodes}");
        assert!(shelf.choose(Some("plain@7")).unwrap_err().is_bad_input());
        shelf.damage(&policy(), "encoder.json");
    }
}

#[test]
fn a_fallback_that_could_not_work_in_its_place_is_found_out_before_it_is_needed() {
    let shelf = shelf();
    let other = shelf.choose(Some("other@1")).unwrap_err();
    assert!(matches!(other, StandbyError::Differs { what: "symbol", .. }) && other.is_bad_input(), "{other}");
    let narrow = shelf.choose(Some("narrow@1")).unwrap_err();
    assert!(matches!(narrow, StandbyError::Width { network: 18, features: 6, .. }), "{narrow}");
    let acting = shelf.choose(Some("act@1")).unwrap_err();
    assert!(matches!(acting, StandbyError::Model(_)), "{acting}");
    assert!(shelf.choose(Some("pair@1")).is_ok(), "it trades the same share");
    shelf.damage(&forecaster(1), "weights.safetensors");
    let damaged = shelf.choose(Some("plain@1")).unwrap_err();
    assert!(matches!(damaged, StandbyError::Store(_)), "{damaged}");
}

#[test]
fn a_bundle_without_an_encoder_is_not_held_up_by_its_fallback() {
    let shelf = shelf();
    shelf.damage(&forecaster(1), "weights.safetensors");
    let chosen = choose(&shelf.registry, &shelf.store, "pair@1", Some("plain@1")).unwrap();
    assert_eq!((chosen.reference.as_str(), chosen.instead), ("pair@1", None));
}
