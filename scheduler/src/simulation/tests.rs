//! Worlds by the thousand. `SIMULATION_SEED=N` runs one seed, `SIMULATION_SEEDS=N` that many.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use super::*;

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
            "seed {seed}: {}\nagain: SIMULATION_SEED={seed} cargo nextest run --release -p scheduler simulation::tests::worlds",
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
    let (mut steps, mut lasted, mut lives, mut appends, mut stale) = (0, 0, 0, 0, 0);
    for seed in 0..seeds {
        let summary = run(seed);
        steps += summary.steps;
        lasted += summary.lasted;
        lives += summary.lives;
        appends += summary.appends;
        stale += summary.stale;
    }
    let (real, played) = (began.elapsed(), Duration::from_micros(lasted));
    println!(
        "{seeds} seeds in {:.1} s: {:.0} a second, {} virtual s, {:.0} times real time; {} steps, {lives} lives of a \
         scheduler, {appends} commits, {stale} stale words",
        real.as_secs_f64(),
        seeds as f64 / real.as_secs_f64(),
        played.as_secs(),
        played.as_secs_f64() / real.as_secs_f64(),
        steps,
    );
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
        assert_eq!((summary.lives, summary.stale), (1, 0), "seed {seed}");
    }
}
