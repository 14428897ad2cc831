//! Who goes first, who must not starve, and who makes room.

use protocol::Gpu;
use spec::{Bytes, Owner};

use super::*;
use crate::cluster::Quota;

/// A worker on a machine with `gpus` GPUs, which all workers of the machine share.
fn on(node: &str, name: &str, gpus: u32) -> Registration {
    let gpu = |index| Gpu { index, memory: Bytes(16 << 30), name: "gpu".to_owned() };
    Registration {
        node: Some(node.parse().unwrap()),
        gpus: (0..gpus).map(gpu).collect(),
        ..Registration::of(worker(name), 1)
    }
}

fn urgent(priority: i32) -> Policy {
    Policy { priority, timeout: Span::from_secs(5_000), ..policy() }
}

fn on_gpus(gpus: u32) -> Policy {
    Policy { gpus, timeout: Span::from_secs(100_000), ..policy() }
}

fn patient() -> Options {
    Options { preempt_after: Span::from_secs(5), ..Options::default() }
}

#[test]
fn equals_get_equal_shares_whoever_came_first() {
    let mut cluster = TestCluster::new().submit("first", "9 9", policy()).submit("second", "9 9", policy());
    for name in ["a", "b", "c", "d"] {
        cluster.join(name, 1);
    }
    let at: Vec<_> = ["a", "b", "c", "d"].iter().filter_map(|name| cluster.at(name)).collect();
    assert_eq!(at, ["first.0", "second.0", "first.1", "second.1"]);
    // One who gives back is served after those that hold less.
    cluster.succeed("b");
    assert_eq!(cluster.at("b").as_deref(), Some("second.2"));
}

#[test]
fn a_share_is_counted_in_cores_and_not_in_trials() {
    let wide = Policy { cpus: 4, ..policy() };
    let mut cluster = TestCluster::new().submit("wide", "9 9", wide).submit("narrow", "9 9", policy());
    for name in ["a", "b", "c", "d", "e"] {
        cluster.join(name, 4);
    }
    let of = |experiment: &str| cluster.cluster.ledger().experiment(&super::experiment(experiment)).unwrap().live();
    assert_eq!((of("wide"), of("narrow")), (1, 4), "4 cores stand against 4");
}

#[test]
fn a_quota_keeps_an_owner_from_holding_more_and_says_so() {
    let owner: Owner = "ann".parse().unwrap();
    let of_ann = || Policy { owner: Some(owner.clone()), cpus: 2, priority: 9, ..policy() };
    let quota = Quota { default: None, owners: [(owner.clone(), 4)].into() };
    let mut cluster = TestCluster::with(Options { quota, ..Options::default() })
        .submit("hers", "3 3", of_ann())
        .submit("too", "3 3", of_ann())
        .submit("his", "9 9", policy());
    for name in ["a", "b", "c"] {
        cluster.join(name, 2);
    }
    let at = |cluster: &TestCluster| ["a", "b", "c"].map(|name| cluster.at(name).unwrap());
    assert_eq!(at(&cluster), ["hers.0", "too.0", "his.0"]);
    expect!["hers.1 waits because ann may hold 4 CPU cores at once."].assert_eq(&cluster.explain("hers.1"));
    cluster.succeed("a");
    assert_eq!(at(&cluster), ["hers.1", "too.0", "his.0"]);
    assert_eq!(cluster.cluster.ledger().cpus_of(Some(&owner)), 4);
}

/// Rounds of one-GPU trials, each ending when the other has half its time, until the trial that needs both GPUs runs.
fn rounds_until_both(options: Options, rounds_max: u32) -> Option<u32> {
    let mut cluster = TestCluster::with(options).submit("small", "900 900", on_gpus(1));
    cluster.hire(on("box", "a", 2));
    cluster.hire(on("box", "b", 2));
    cluster = cluster.submit("large", "1 1", on_gpus(2));
    for round in 0..rounds_max {
        let name = if round % 2 == 0 { "a" } else { "b" };
        cluster.live(10, &["a", "b"]);
        if cluster.at(name).is_some() {
            cluster.succeed(name);
        }
        if ["a", "b"].iter().any(|name| cluster.at(name).as_deref() == Some("large.0")) {
            return Some(round);
        }
    }
    None
}

#[test]
fn a_large_ask_is_not_starved_by_small_ones_for_longer_than_the_rule_says() {
    // Six rounds until a machine is kept free, two for what runs there by then.
    assert!(rounds_until_both(Options::default(), 60).is_some_and(|rounds| rounds <= 9));
    let never = Options { reserve_after: Span::from_secs(1_000_000), ..Options::default() };
    assert_eq!(rounds_until_both(never, 60), None, "without the rule it starves");
}

#[test]
fn what_is_kept_free_is_said_and_higher_priorities_may_still_have_it() {
    let mut cluster = TestCluster::new().submit("small", "900 900", on_gpus(1));
    cluster.hire(on("box", "a", 2));
    cluster.hire(on("box", "b", 2));
    cluster = cluster.submit("large", "1 1", on_gpus(2));
    cluster.live(61, &["a", "b"]);
    expect!["large.0 waits until 1 CPU cores, 2 GPUs are free at once; node box is kept free for it."]
        .assert_eq(&cluster.explain("large.0"));
    cluster = cluster.submit("urgent", "1 1", Policy { priority: 1, ..on_gpus(1) });
    cluster.succeed("a");
    assert_eq!(cluster.at("a").as_deref(), Some("urgent.0"));
    cluster.succeed("a");
    assert_eq!(cluster.at("a"), None, "the machine is kept free");
    cluster.succeed("b");
    assert!([cluster.at("a"), cluster.at("b")].contains(&Some("large.0".to_owned())));
}

#[test]
fn a_trial_of_higher_priority_gets_its_place_at_the_next_checkpoint_and_nobody_pays() {
    let mut cluster = TestCluster::with(patient()).submit("low", "2 2", urgent(0)).worker("a", 1);
    cluster.live(1, &["a"]);
    cluster.join("b", 1);
    cluster.live(2, &["a", "b"]);
    cluster = cluster.submit("high", "1 1", urgent(5));
    assert_eq!(cluster.live(4, &["a", "b"]), [Directive::Continue; 2], "it may be placed without");
    let heard = cluster.live(3, &["a", "b"]);
    // The one that began last: least is lost. Exactly one, for one is enough.
    assert_eq!(heard, [Directive::Continue, Directive::Stop(StopCause::Preempted)]);
    expect!["high.0 waits until 1 CPU cores are free at once; 1 attempts of lower priority are asked to stop for it."]
        .assert_eq(&cluster.explain("high.0"));
    cluster.release("b", 40);
    assert_eq!(cluster.at("b").as_deref(), Some("high.0"));
    expect![[r#"
        low running
          0 running attempt=1 a (attempts 1, losses 0)
          1 queued not_before=+10s from=40 (attempts 0, losses 0)
        high running
          0 leased attempt=3 b (attempts 1, losses 0)
    "#]]
    .assert_eq(&cluster.render());
    cluster.succeed("b");
    assert_eq!(cluster.granted[&worker("b")].checkpoints, [checkpoint(40)]);
}

#[test]
fn nobody_makes_room_needlessly() {
    let mut cluster = TestCluster::with(patient()).submit("low", "2 2", urgent(0)).worker("a", 1).worker("b", 1);
    // Equals are not lower.
    cluster = cluster.submit("equal", "1 1", urgent(0));
    assert_eq!(cluster.live(9, &["a", "b"]), [Directive::Continue; 2]);
    cluster.on(Input::Cancel(experiment("equal"))).unwrap();
    // No place of theirs would be enough.
    let large = Policy { cpus: 4, ..urgent(5) };
    cluster.cluster.machines.offers.clear();
    cluster = cluster.submit("large", "1 1", large);
    assert_eq!(cluster.live(9, &["a", "b"]), [Directive::Continue; 2]);
    // Another place comes up before anyone was asked.
    cluster = cluster.submit("high", "1 1", urgent(5));
    cluster.live(4, &["a", "b"]);
    cluster.join("c", 1);
    assert_eq!(cluster.at("c").as_deref(), Some("high.0"));
    assert_eq!(cluster.live(9, &["a", "b", "c"]), [Directive::Continue; 3]);
}

#[test]
fn a_trial_that_made_room_is_left_alone_for_a_while() {
    let mut cluster = TestCluster::with(patient()).submit("low", "1 1", urgent(0)).worker("a", 1);
    cluster = cluster.submit("high", "9 1", urgent(5));
    assert_eq!(cluster.live(7, &["a"]), [Directive::Stop(StopCause::Preempted)]);
    cluster.release("a", 1);
    assert_eq!(cluster.at("a").as_deref(), Some("high.0"));
    cluster.on(Input::Cancel(experiment("high"))).unwrap();
    cluster.on(Input::Lease(worker("a"))).unwrap();
    assert_eq!(cluster.at("a").as_deref(), Some("low.0"));
    cluster = cluster.submit("again", "1 1", urgent(5));
    assert_eq!(cluster.live(60, &["a"]), [Directive::Continue]);
    let told = (0..60).find(|_| cluster.live(10, &["a"]) == [Directive::Stop(StopCause::Preempted)]);
    assert!(told.is_some_and(|tens| tens >= 52), "asked again {told:?} times ten seconds later");
}

#[test]
fn room_for_two_gpus_is_made_by_two_and_not_taken_in_between() {
    let mut cluster = TestCluster::with(patient()).submit("low", "9 9", on_gpus(1));
    cluster.hire(on("box", "a", 2));
    cluster.hire(on("box", "b", 2));
    cluster = cluster.submit("high", "1 1", Policy { priority: 5, ..on_gpus(2) });
    assert_eq!(cluster.live(7, &["a", "b"]), [Directive::Stop(StopCause::Preempted); 2]);
    cluster.release("a", 1);
    assert_eq!(cluster.at("a"), None, "what one gave back is kept for whom it was given");
    cluster.release("b", 1);
    let holder = ["a", "b"].into_iter().find(|name| cluster.at(name).as_deref() == Some("high.0")).unwrap();
    assert_eq!(cluster.granted[&worker(holder)].gpus, [0, 1]);
}
