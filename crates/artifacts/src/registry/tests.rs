//! The registry under races, time travel and meddling.

use std::sync::Barrier;

use market::Timestamp;
use spec::{BundleId, Digest, GateSpec, ModelName, TrialId};

use super::{Alias, Moved, Registry, RegistryError, Version};
use crate::gate::{Evidence, Validated, judge};

fn model() -> ModelName {
    "quickstart".parse().unwrap()
}

fn trial() -> TrialId {
    "quickstart-1.0".parse().unwrap()
}

fn bundle(name: &str) -> BundleId {
    BundleId(Digest::of(name.as_bytes()))
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000)
}

fn moved(expected: Option<BundleId>, second: i64) -> Moved<'static> {
    Moved { expected, at: at(second), actor: "test", evidence: Digest::of(b"evidence") }
}

fn validated(id: BundleId) -> Validated<BundleId> {
    let evidence = Evidence {
        test_returns: (0..500).map(|bar| 0.002 + 0.004 * f64::from(bar % 3 - 1)).collect(),
        buy_and_hold_return: 0.0,
        trial_sharpes: vec![0.0, 0.01],
        trials_ever: 2,
        parity_rows: 1,
        parity_mismatches: 0,
    };
    judge(&evidence, &GateSpec::default(), id).validated.unwrap()
}

fn registry() -> (tempfile::TempDir, Registry) {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(&folder.path().join("registry.db")).unwrap();
    (folder, registry)
}

#[test]
fn versions_count_up_and_the_same_bundle_keeps_its_number() {
    let (_folder, mut registry) = registry();
    assert_eq!(registry.register(&model(), bundle("a"), &trial(), at(1)).unwrap(), Version(1));
    assert_eq!(registry.register(&model(), bundle("b"), &trial(), at(2)).unwrap(), Version(2));
    assert_eq!(registry.register(&model(), bundle("a"), &trial(), at(3)).unwrap(), Version(1));
    assert_eq!(registry.resolve("quickstart@2").unwrap().1, bundle("b"));
    assert!(matches!(registry.resolve("quickstart@3"), Err(RegistryError::NotFound { .. })));
    assert!(matches!(registry.resolve("quickstart"), Err(RegistryError::Reference { .. })));
}

#[test]
fn an_alias_moves_only_from_where_it_is_and_the_log_tells_the_past() {
    let (_folder, mut registry) = registry();
    for name in ["a", "b"] {
        registry.register(&model(), bundle(name), &trial(), at(0)).unwrap();
    }
    let first = registry.challenge(&model(), bundle("c"), &moved(None, 1));
    assert!(matches!(first, Err(RegistryError::Unregistered { .. })));
    registry.challenge(&model(), bundle("a"), &moved(None, 1)).unwrap();
    registry.promote(&model(), &validated(bundle("a")), &moved(None, 10)).unwrap();
    let stale = registry.promote(&model(), &validated(bundle("b")), &moved(None, 20)).unwrap_err();
    assert!(stale.to_string().contains(&bundle("a").short()), "{stale}");
    registry.promote(&model(), &validated(bundle("b")), &moved(Some(bundle("a")), 20)).unwrap();

    let champion = |second| registry.at(&model(), Alias::Champion, at(second)).unwrap().map(|entry| entry.to);
    assert_eq!(
        [champion(9), champion(10), champion(19), champion(20)],
        [None, Some(bundle("a")), Some(bundle("a")), Some(bundle("b"))]
    );
    assert_eq!(registry.history(&model()).unwrap().len(), 3);
    assert_eq!(registry.resolve("quickstart@champion").unwrap().1, bundle("b"));
}

#[test]
fn of_many_movers_at_once_exactly_one_wins() {
    let (folder, mut registry) = registry();
    const MOVERS: usize = 8;
    for mover in 0..MOVERS {
        registry.register(&model(), bundle(&mover.to_string()), &trial(), at(0)).unwrap();
    }
    let barrier = Barrier::new(MOVERS);
    let path = folder.path().join("registry.db");
    let won: usize = std::thread::scope(|scope| {
        let movers: Vec<_> = (0..MOVERS)
            .map(|mover| {
                let (barrier, path) = (&barrier, &path);
                scope.spawn(move || {
                    let mut own = Registry::open(path).unwrap();
                    barrier.wait();
                    match own.challenge(&model(), bundle(&mover.to_string()), &moved(None, 1)) {
                        Ok(()) => 1,
                        Err(RegistryError::Conflict { .. }) => 0,
                        Err(error) => panic!("{error}"),
                    }
                })
            })
            .collect();
        movers.into_iter().map(|mover| mover.join().unwrap()).sum()
    });
    assert_eq!(won, 1);
    assert_eq!(registry.history(&model()).unwrap().len(), 1);
}

#[test]
fn the_alias_log_refuses_to_be_rewritten() {
    let (folder, mut registry) = registry();
    registry.register(&model(), bundle("a"), &trial(), at(0)).unwrap();
    registry.challenge(&model(), bundle("a"), &moved(None, 1)).unwrap();
    let meddler = rusqlite::Connection::open(folder.path().join("registry.db")).unwrap();
    for statement in ["DELETE FROM alias_log", "UPDATE alias_log SET actor = 'nobody'"] {
        let error = meddler.execute(statement, []).unwrap_err();
        assert!(error.to_string().contains("append-only"), "{error}");
    }
}

#[test]
fn a_run_counts_its_trials_once() {
    let (_folder, mut registry) = registry();
    let [data, other] = [b"data", b"else"].map(|bytes| Digest::of(bytes));
    let mut count = |data, run: &[u8], trials| registry.count_trials(data, Digest::of(run), trials).unwrap();
    assert_eq!(count(data, b"one", 8), 8);
    assert_eq!(count(data, b"one", 8), 8);
    assert_eq!(count(data, b"one", 4), 8);
    assert_eq!(count(data, b"two", 2), 10);
    assert_eq!(count(other, b"three", 1), 1);
}
