//! The registry under races, time travel and meddling.

use std::sync::Barrier;

use market::Timestamp;
use proptest::prelude::*;
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
fn who_was_a_champion_once_is_known_for_it_and_a_challenger_is_not() {
    let (_folder, mut registry) = registry();
    for name in ["a", "b", "c"] {
        registry.register(&model(), bundle(name), &trial(), at(1)).unwrap();
    }
    registry.challenge(&model(), bundle("c"), &moved(None, 2)).unwrap();
    registry.promote(&model(), &validated(bundle("a")), &moved(None, 3)).unwrap();
    registry.promote(&model(), &validated(bundle("b")), &moved(Some(bundle("a")), 4)).unwrap();
    let were = ["a", "b", "c", "never"].map(|name| registry.was_champion(bundle(name)).unwrap());
    assert_eq!(were, [true, true, false, false]);
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
    let replace = "INSERT OR REPLACE INTO alias_log (entry, at, model, alias, after, actor, evidence)
                   SELECT entry, at, model, alias, after, 'nobody', evidence FROM alias_log";
    for statement in ["DELETE FROM alias_log", "UPDATE alias_log SET actor = 'nobody'", replace] {
        let error = meddler.execute(statement, []).unwrap_err();
        assert!(error.to_string().contains("append-only"), "{error}");
    }
    assert_eq!(registry.history(&model()).unwrap()[0].actor, "test");
}

#[test]
fn many_may_open_a_new_registry_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let barrier = Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                barrier.wait();
                Registry::open(&path).unwrap();
            });
        }
    });
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    alias: Alias,
    expected: Option<u8>,
    to: u8,
}

const TARGETS: u8 = 3;

fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
    let alias = prop_oneof![Just(Alias::Champion), Just(Alias::Challenger)];
    let attempt = (alias, proptest::option::of(0..TARGETS), 0..TARGETS).prop_map(|(alias, expected, to)| Attempt {
        alias,
        expected,
        to,
    });
    proptest::collection::vec(attempt, 1..8)
}

fn target(number: u8) -> BundleId {
    bundle(&number.to_string())
}

/// How many of the attempts moved an alias.
fn act(path: &std::path::Path, attempts: &[Attempt]) -> usize {
    let mut own = Registry::open(path).unwrap();
    let mut act = |&Attempt { alias, expected, to }: &Attempt| {
        let moved = moved(expected.map(target), 1);
        let done = match alias {
            Alias::Champion => own.promote(&model(), &validated(target(to)), &moved),
            Alias::Challenger => own.challenge(&model(), target(to), &moved),
        };
        match done {
            Ok(()) => true,
            Err(RegistryError::Conflict { expected: told, actual, .. }) => {
                assert_eq!(told, expected.map(target));
                assert_ne!(told, actual);
                false
            }
            Err(error) => panic!("{error}"),
        }
    };
    attempts.iter().filter(|attempt| act(attempt)).count()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(12) })]

    #[test]
    fn whatever_threads_attempt_each_line_of_the_log_begins_where_the_last_one_ended(
        scripts in proptest::collection::vec(attempts(), 2..5)
    ) {
        let (folder, mut registry) = registry();
        for number in 0..TARGETS {
            registry.register(&model(), target(number), &trial(), at(0)).unwrap();
        }
        let path = folder.path().join("registry.db");
        let moves: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = scripts.iter().map(|script| scope.spawn(|| act(&path, script))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        let history = registry.history(&model()).unwrap();
        prop_assert_eq!(history.len(), moves);
        for alias in [Alias::Champion, Alias::Challenger] {
            let mut points = None;
            for line in history.iter().filter(|line| line.alias == alias) {
                prop_assert_eq!(line.from, points);
                points = Some(line.to);
            }
            prop_assert_eq!(registry.alias(&model(), alias).unwrap(), points);
        }
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
