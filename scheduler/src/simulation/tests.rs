//! Worlds by the thousand. `SIMULATION_SEED=N` runs one seed and with `SIMULATION_TRACE=1` tells each step;
//! `SIMULATION_SEEDS=N` runs that many.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use market::Timestamp;
use protocol::{Registration, Report};
use spec::AttemptId;

use super::disk::Fate;
use super::*;
use crate::cluster::{Cluster, Input, Options};
use crate::journal::fold;
use crate::ledger::Ledger;
use crate::round::Rounds;

/// Seeds of an ordinary run.
const SEEDS: u64 = 10_000;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number of seeds, or a seed"))
}

/// Runs one seed; what does not hold is told with the command that shows it again.
fn run(seed: u64) -> Summary {
    let ran = std::panic::catch_unwind(AssertUnwindSafe(|| World::new(seed).run()));
    ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        panic!(
            "seed {seed}: {}\nagain: SIMULATION_SEED={seed} cargo nextest run --release -p scheduler simulation::tests::w",
            text.unwrap_or("no message")
        )
    })
}

#[test]
fn worlds_of_many_seeds_keep_every_promise() {
    if let Some(seed) = number("SIMULATION_SEED") {
        println!("{:?}", World::new(seed).plan);
        println!("{:?}", run(seed));
        return;
    }
    let seeds = number("SIMULATION_SEEDS").unwrap_or(SEEDS);
    #[allow(clippy::disallowed_methods, reason = "how fast virtual time runs is measured")]
    let began = Instant::now();
    let (mut steps, mut lasted, mut lives, mut appends, mut stale, mut losses) = (0, 0, 0, 0, 0, 0);
    let mut rare = Rare::default();
    for seed in 0..seeds {
        let summary = run(seed);
        steps += summary.steps;
        lasted += summary.lasted;
        lives += summary.lives;
        appends += summary.appends;
        stale += summary.stale;
        losses += summary.losses;
        rare = rare.and(summary.rare);
    }
    let (real, played) = (began.elapsed(), Duration::from_micros(lasted));
    println!(
        "{seeds} seeds in {:.1} s: {:.0} a second, {} virtual s, {:.0} times real time; {} steps, {lives} lives of a \
         scheduler, {appends} commits, {stale} stale words, {losses} lost attempts; {rare:?}",
        real.as_secs_f64(),
        seeds as f64 / real.as_secs_f64(),
        played.as_secs(),
        played.as_secs_f64() / real.as_secs_f64(),
        steps,
    );
    let Rare { parted, children_again, late_again } = rare;
    let met = parted.min(children_again).min(late_again);
    assert!(seeds < SEEDS || met > 0, "no world came to one of {rare:?}");
}

#[test]
fn a_seed_is_a_trace() {
    let mut traces = BTreeSet::new();
    for seed in 0..200 {
        let first = run(seed);
        assert_eq!(first, run(seed), "seed {seed} ran otherwise the second time");
        traces.insert(first.trace);
    }
    assert_eq!(traces.len(), 200, "two seeds ran alike");
}

#[test]
fn where_nothing_goes_wrong_no_attempt_is_lost() {
    for seed in 0..200 {
        let (plan, rng) = Plan::draw(seed);
        let summary = World::with(seed, plan.calm(), (rng, Storage::in_memory())).run();
        assert_eq!((summary.lives, summary.losses), (1, 0), "seed {seed}");
    }
}

/// Inputs of which each is journalled.
fn workload() -> Vec<Input> {
    let worker: spec::WorkerId = "w".parse().unwrap();
    let mut inputs = Vec::new();
    for index in 0..40 {
        let (_, mut rng) = Plan::draw(u64::from(index));
        let attempt = AttemptId(u64::from(index) + 1);
        let checkpoint = |step: u64| spec::CheckpointRef { digest: Digest::of(&[index as u8, step as u8]), step };
        let mut submission = question::submission(&mut rng, index);
        submission.policy.parallel = None;
        inputs.push(Input::Submit(submission));
        inputs.push(Input::Lease(worker.clone()));
        inputs.push(Input::Checkpoint(worker.clone(), attempt, checkpoint(1)));
        inputs.push(Input::Checkpoint(worker.clone(), attempt, checkpoint(2)));
        inputs.push(Input::Finish(worker.clone(), attempt, Report::Succeeded(u64::from(index).to_le_bytes().to_vec())));
    }
    inputs
}

/// Plays the workload up to an append that fails; returns what was acknowledged, input by input.
fn acknowledged(storage: &Storage, fails: Option<(usize, Fate)>) -> Vec<Ledger> {
    let at = |second: usize| Timestamp::from_micros(second as i64 * 1_000_000);
    let recovered = Cluster::recover(at(0), Ledger::default(), question::sweeps(), Options::default()).unwrap();
    let mut rounds: Rounds<(), ()> = Rounds::new(recovered, storage.open().unwrap());
    let registration = Registration::of("w".parse().unwrap(), 2);
    rounds.call(at(0), Input::Register(registration), |_| ());
    let mut acknowledged = Vec::new();
    for (index, input) in workload().into_iter().enumerate() {
        if let Some((fails, fate)) = fails
            && fails == index
        {
            storage.disk.lock().unwrap().fate = Some(fate);
        }
        rounds.call(at(index), input, |_| ());
        match rounds.commit() {
            Ok(_) => acknowledged.push(rounds.cluster().ledger().clone()),
            Err(_) => return acknowledged,
        }
    }
    acknowledged
}

#[test]
fn at_every_acknowledgement_recovery_is_exactly_what_was_acknowledged() {
    let whole = acknowledged(&Storage::in_memory(), None);
    assert_eq!(whole.len(), 200);
    for index in 0..whole.len() {
        let before = index.checked_sub(1).map(|last| whole[last].clone()).unwrap_or_default();
        assert_ne!(before, whole[index], "input {index} is not journalled");
        for (fate, left) in [
            (Fate::Full, &before),
            (Fate::Lost, &before),
            (Fate::Torn(0), &before),
            (Fate::Unacknowledged, &whole[index]),
        ] {
            let storage = Storage::in_memory();
            assert_eq!(acknowledged(&storage, Some((index, fate))).len(), index);
            assert_eq!(fold(&*storage.open().unwrap()).unwrap().0, *left, "after {fate:?} at input {index}");
        }
    }
}
