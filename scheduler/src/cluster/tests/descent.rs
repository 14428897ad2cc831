//! Sweeps whose trials go on from others, and sweeps that are told of each end as it comes.

use super::*;
use crate::sweep::{Child, Pace};

/// The sweep that `text` names: `family MEMBERS RUNGS` or `each TRIALS OPEN RUNGS`.
pub(super) fn open(text: &str) -> Option<Box<dyn Sweep>> {
    let words: Vec<&str> = text.split(' ').collect();
    let number = |place: usize| words.get(place)?.parse().ok();
    match words[0] {
        "family" => Some(Box::new(Family { members: number(1)?, rungs: number(2)?, begun: false, next: number(1)? })),
        "each" => {
            let (left, window, rungs) = (number(1)?, number(2)?, number(3)?);
            Some(Box::new(Each { left, window, rungs, open: 0, seen: String::new(), shown: Vec::new() }))
        }
        _ => None,
    }
}

/// One population: at each rung the worst stops, and a child of the best takes its place.
struct Family {
    members: u32,
    rungs: u32,
    begun: bool,
    next: u32,
}

impl Sweep for Family {
    fn ask(&mut self) -> Ask {
        if std::mem::replace(&mut self.begun, true) {
            return Ask::Done;
        }
        Ask::Batch((0..self.members).map(|member| format!("member {member}").into_bytes()).collect())
    }

    fn tell(&mut self, _: u32, _: SweepOutcome) {}

    fn rungs(&self, _: u32) -> Vec<Share> {
        (1..=self.rungs).map(|quarter| Share(250_000 * quarter)).collect()
    }

    fn judge(&mut self, rung: u32, reached: &[(u32, Option<Finite>)]) -> Judgement {
        let mut ranked = reached.to_vec();
        ranked.sort_by_key(|(index, value)| (value.is_none(), *value, *index));
        let (worst, best) = (ranked[ranked.len() - 1].0, ranked[0].0);
        let values: Vec<f64> = reached.iter().map(|(_, value)| value.map_or(f64::NAN, Finite::get)).collect();
        let payload = format!("child {} of {best} at rung {rung} after {values:?}", self.next).into_bytes();
        self.next += 1;
        Judgement {
            go_on: reached.iter().map(|(index, _)| *index).filter(|index| *index != worst).collect(),
            children: vec![Child { parent: best, payload }],
        }
    }
}

/// Asks for one more whenever one has ended. Its payloads say all it was told, in order; of its rungs only the best so far go
/// on.
struct Each {
    left: u32,
    window: u32,
    rungs: u32,
    open: u32,
    seen: String,
    shown: Vec<(u32, Option<Finite>)>,
}

impl Sweep for Each {
    fn pace(&self) -> Pace {
        Pace::Asynchronous
    }

    fn ask(&mut self) -> Ask {
        if self.left == 0 {
            return Ask::Done;
        }
        let free = (self.window - self.open).min(self.left);
        if free == 0 {
            return Ask::Waiting;
        }
        self.left -= free;
        self.open += free;
        Ask::Batch((0..free).map(|_| format!("after [{}] with {} open", self.seen, self.open).into_bytes()).collect())
    }

    fn tell(&mut self, index: u32, outcome: SweepOutcome) {
        let word = match outcome {
            SweepOutcome::Succeeded(_) => "ok",
            SweepOutcome::Failed => "failed",
            SweepOutcome::Cancelled => "cancelled",
            SweepOutcome::Pruned => "pruned",
        };
        self.seen += &format!("{index} {word};");
        self.open -= 1;
    }

    fn rungs(&self, _: u32) -> Vec<Share> {
        (1..=self.rungs).map(|quarter| Share(250_000 * quarter)).collect()
    }

    fn judge(&mut self, rung: u32, reached: &[(u32, Option<Finite>)]) -> Judgement {
        let [(index, value)] = reached else { panic!("an asynchronous trial is judged by itself") };
        let is_best = self.shown.iter().all(|(other, shown)| *other != rung || shown.is_none() || *shown >= *value);
        self.shown.push((rung, *value));
        Judgement { go_on: if is_best { vec![*index] } else { Vec::new() }, children: Vec::new() }
    }
}

fn payloads(cluster: &TestCluster) -> Vec<String> {
    let trials = &cluster.cluster.ledger().experiments()[0].trials;
    trials.iter().map(|trial| String::from_utf8_lossy(&trial.payload).into_owned()).collect()
}

#[test]
fn a_child_takes_the_place_of_the_worst_and_begins_where_the_best_holds() {
    let mut cluster = TestCluster::new().submit("s", "family 3 2", policy()).worker("a", 1);
    for value in [0.2, 0.1, 0.3] {
        cluster.pause("a", value).unwrap();
    }
    expect![[r#"
        s running
          0 leased attempt=4 a (attempts 1, losses 0)
          1 queued not_before=+0s from=1000 (attempts 0, losses 0)
          2 pruned (attempts 0, losses 0)
          3 queued not_before=+0s from=1000 (attempts 0, losses 0)
    "#]]
    .assert_eq(&cluster.render());
    cluster.pause("a", 0.25).unwrap();
    let better = cluster.granted[&worker("a")].clone();
    assert_eq!((better.lent.as_slice(), better.parent), ([checkpoint(1_000)].as_slice(), None), "its child needs it");
    cluster.pause("a", 0.15).unwrap();
    let child = cluster.granted[&worker("a")].clone();
    assert_eq!((child.parent, child.checkpoints.len(), child.lent.len()), (Some(checkpoint(1_000)), 0, 0));
    assert_eq!(child.rung, Some(Rung { index: 1, share: Share(500_000) }), "the rung of its parent lies behind it");
    cluster.fail("a", FailureClass::Nan);
    let waits = cluster.render().lines().any(|line| line.starts_with("  3 queued") && line.contains(" from=1000 "));
    assert!(waits, "{}", cluster.render());
    cluster.advance(10.0);
    let again = cluster.granted[&worker("a")].clone();
    assert_eq!((again.trial.index, again.parent), (3, Some(checkpoint(1_000))), "a child never begins anew");
    cluster.pause("a", 0.05).unwrap();
    assert_eq!(
        payloads(&cluster)[3..],
        ["child 3 of 1 at rung 0 after [0.2, 0.1, 0.3]", "child 4 of 3 at rung 1 after [0.25, 0.15, 0.05]",]
    );
    for _ in 0..3 {
        cluster.succeed("a");
    }
    assert!(cluster.render().starts_with("s succeeded"), "{}", cluster.render());
    let counts = *cluster.cluster.ledger().experiments()[0].counts();
    assert_eq!((counts.succeeded, counts.pruned), (3, 2), "children are trials like others");
}

/// Three generations of four; what a member shows hangs on its payload and the rung.
fn generations(workers: usize, restarts: bool) -> (Vec<String>, String) {
    let names = &["a", "b", "c"][..workers];
    let mut cluster = TestCluster::new().submit("s", "family 4 3", policy());
    for name in names {
        cluster.join(name, 1);
    }
    while !cluster.cluster.ledger().experiments()[0].state.is_final() {
        // The last to get an attempt is the first to hold: the order is another for each number of workers.
        let name = *names.iter().rev().find(|name| cluster.at(name).is_some()).expect("somebody works");
        let granted = cluster.granted[&worker(name)].clone();
        let word =
            Digest::of(&[granted.payload.as_slice(), &[granted.rung.map_or(9, |rung| rung.index as u8)]].concat());
        match granted.rung {
            Some(_) => drop(cluster.pause(name, f64::from(word.as_bytes()[0])).unwrap()),
            None => cluster.succeed(name),
        }
        if restarts {
            cluster.restart(Recovery::Readopt);
            for name in names {
                // Whoever has an attempt goes on with it; others ask again.
                cluster.on(Input::Register(Registration::of(worker(name), 1))).unwrap();
                match cluster.at(name) {
                    Some(_) => drop(cluster.beat(name)),
                    None => drop(cluster.on(Input::Lease(worker(name))).unwrap()),
                }
            }
        }
    }
    let ends =
        cluster.cluster.ledger().experiments()[0].trials.iter().map(|trial| trial.state.name()).collect::<Vec<_>>();
    (payloads(&cluster), ends.join(" "))
}

#[test]
fn generations_are_the_same_on_one_worker_or_three_and_after_a_restart_at_any_moment() {
    let expected = generations(1, false);
    assert_eq!(expected.0.len(), 7, "four members and a child at each of three rungs: {:?}", expected.0);
    for (workers, restarts) in [(2, false), (3, false), (1, true), (3, true)] {
        assert_eq!(generations(workers, restarts), expected, "{workers} workers, restarts: {restarts}");
    }
}

/// Runs `each 9 3 RUNGS` by this order of ends, of three workers; restarted after each step that `restarts`.
fn each(sweep: &str, order: &[u8], restarts: bool) -> TestCluster {
    let mut cluster = TestCluster::new().submit("s", sweep, policy());
    let names = ["a", "b", "c"];
    for name in names {
        cluster.join(name, 1);
    }
    for step in 0.. {
        if cluster.cluster.ledger().experiments()[0].state.is_final() {
            return cluster;
        }
        let turn = usize::from(order[step % order.len()]);
        let name = (0..3).map(|at| names[(turn + at) % 3]).find(|name| cluster.at(name).is_some()).expect("one works");
        let granted = cluster.granted[&worker(name)].clone();
        let value = f64::from(Digest::of(&granted.payload).as_bytes()[0]) + f64::from(granted.trial.index);
        match granted.rung {
            Some(_) => drop(cluster.pause(name, value).unwrap()),
            None if step % 4 == 3 => cluster.fail(name, FailureClass::Data),
            None => cluster.succeed(name),
        }
        if restarts {
            cluster.restart(Recovery::Readopt);
            for name in names {
                cluster.on(Input::Register(Registration::of(worker(name), 1))).unwrap();
                match cluster.at(name) {
                    Some(_) => drop(cluster.beat(name)),
                    None => drop(cluster.on(Input::Lease(worker(name))).unwrap()),
                }
            }
        }
    }
    unreachable!("the loop ends with the experiment")
}

#[test]
fn an_asynchronous_sweep_is_told_of_each_end_as_it_comes() {
    let cluster = each("each 5 2 0", &[1, 0], false);
    let told: Vec<_> =
        cluster.cluster.ledger().experiments()[0].trials.iter().map(|trial| trial.told.clone()).collect();
    assert_eq!(told, [vec![], vec![], vec![1], vec![0], vec![3]]);
    assert_eq!(
        payloads(&cluster),
        [
            "after [] with 2 open",
            "after [] with 2 open",
            "after [1 ok;] with 2 open",
            "after [1 ok;0 ok;] with 2 open",
            "after [1 ok;0 ok;3 ok;] with 2 open",
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_order_ends_come_in_a_replay_of_the_journal_decides_the_same(
        order in prop::collection::vec(0u8..3, 1..12), rungs in 0u32..3
    ) {
        let sweep = format!("each 9 3 {rungs}");
        let straight = each(&sweep, &order, false);
        let restarted = each(&sweep, &order, true);
        prop_assert_eq!(payloads(&restarted), payloads(&straight));
        prop_assert_eq!(restarted.cluster.ledger().experiments()[0].counts(), straight.cluster.ledger().experiments()[0].counts());
    }
}

#[test]
fn an_asynchronous_journal_of_another_order_is_not_taken_for_this_one() {
    let mut cluster = TestCluster::new().submit("s", "each 4 2 0", policy()).worker("a", 1).worker("b", 1);
    cluster.succeed("b");
    let mut ledger = fold(&cluster.journal).unwrap().0;
    let told = Event::Asked { trial: "s.3".parse().unwrap(), parent: None, told: vec![0], payload: Vec::new() };
    ledger.apply(Timestamp::default(), &told).unwrap();
    let error = Cluster::recover(Timestamp::default(), ledger, sweeps(), Options::default()).err().unwrap();
    assert!(error.to_string().contains("sweep asks for another trial s.3"), "trial 0 has not ended: {error}");
}

#[test]
fn what_ran_asynchronously_elsewhere_is_recorded_in_its_own_order() {
    let there = each("each 6 3 0", &[2, 0, 1], false);
    let submission = there.cluster.ledger().experiments()[0].submission.clone();
    let trials = rungs::endings(&there);
    let mut here = TestCluster::new();
    here.on(Input::Record(submission.clone(), trials.clone())).unwrap();
    assert_eq!(payloads(&here), payloads(&there));
    let mut other = trials;
    other[4].told = vec![0, 1];
    assert!(TestCluster::new().on(Input::Record(submission, other)).is_err(), "an order it does not come to");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_was_pruned_asynchronously_elsewhere_is_recorded_whatever_the_order(
        order in prop::collection::vec(0u8..3, 1..12), rungs in 1u32..4
    ) {
        let there = each(&format!("each 9 3 {rungs}"), &order, false);
        let submission = there.cluster.ledger().experiments()[0].submission.clone();
        let mut here = TestCluster::new();
        let recorded = here.on(Input::Record(submission, rungs::endings(&there)));
        prop_assert!(recorded.is_ok(), "{recorded:?}");
        let ends = |cluster: &TestCluster| {
            let trials = &cluster.cluster.ledger().experiments()[0].trials;
            trials.iter().map(|trial| (trial.state.name(), trial.arrivals.clone())).collect::<Vec<_>>()
        };
        prop_assert_eq!((payloads(&here), ends(&here)), (payloads(&there), ends(&there)));
    }
}

#[test]
fn a_family_that_ran_elsewhere_is_recorded_with_its_children() {
    let (expected, _) = generations(1, false);
    let mut there = TestCluster::new().submit("s", "family 4 3", policy()).worker("a", 1);
    while let Some(granted) = there.at("a").map(|_| there.granted[&worker("a")].clone()) {
        let word =
            Digest::of(&[granted.payload.as_slice(), &[granted.rung.map_or(9, |rung| rung.index as u8)]].concat());
        match granted.rung {
            Some(_) => drop(there.pause("a", f64::from(word.as_bytes()[0])).unwrap()),
            None => there.succeed("a"),
        }
    }
    let submission = there.cluster.ledger().experiments()[0].submission.clone();
    let mut here = TestCluster::new();
    here.on(Input::Record(submission, rungs::endings(&there))).unwrap();
    assert_eq!(payloads(&here), expected);
}
