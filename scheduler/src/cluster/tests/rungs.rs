//! Trials at rungs, and experiments that ran elsewhere.

use super::*;

#[test]
fn trials_hold_at_a_rung_until_their_batch_is_there_and_the_better_half_goes_on_from_its_checkpoint() {
    let mut cluster = TestCluster::new().submit("s", "6 4 2", policy()).worker("a", 1).worker("b", 1);
    assert_eq!(cluster.granted[&worker("a")].rung, Some(Rung { index: 0, share: Share(250_000) }));
    cluster.pause("a", 0.4).unwrap();
    cluster.pause("b", 0.1).unwrap();
    cluster.pause("a", 0.3).unwrap();
    expect![[r#"
        s running
          0 paused rung=0 (attempts 0, losses 0)
          1 paused rung=0 (attempts 0, losses 0)
          2 paused rung=0 (attempts 0, losses 0)
          3 leased attempt=4 b (attempts 1, losses 0)
    "#]]
    .assert_eq(&cluster.render());
    assert_eq!(cluster.explain("s.0"), "s.0 holds at rung 0 until its batch is there.");
    cluster.pause("b", 0.2).unwrap();
    expect![[r#"
        s running
          0 pruned (attempts 0, losses 0)
          1 leased attempt=5 a (attempts 1, losses 0)
          2 pruned (attempts 0, losses 0)
          3 leased attempt=6 b (attempts 1, losses 0)
    "#]]
    .assert_eq(&cluster.render());
    let granted = &cluster.granted[&worker("a")];
    assert_eq!(granted.checkpoints, [checkpoint(1_000)]);
    assert_eq!(granted.rung, Some(Rung { index: 1, share: Share(500_000) }));
    cluster.pause("a", 0.9).unwrap();
    cluster.restart(Recovery::Readopt);
    cluster.join("b", 1);
    cluster.pause("b", 0.8).unwrap();
    cluster.join("b", 1);
    assert_eq!(cluster.granted[&worker("b")].rung, None, "no rung is left: it runs to its end");
    cluster.succeed("b");
    let next = String::from_utf8_lossy(&cluster.granted[&worker("b")].payload).into_owned();
    let told = "batch 2 after [rung 0 keeps [1, 3];rung 1 keeps [3];0 pruned;1 pruned;2 pruned;3 ok;]";
    assert_eq!(next, told);
}

#[test]
fn a_trial_that_fails_below_its_rung_does_not_keep_the_others_waiting() {
    let mut cluster = TestCluster::new().submit("s", "2 2 1", policy()).worker("a", 1).worker("b", 1);
    cluster.pause("a", 0.4).unwrap();
    cluster.fail("b", FailureClass::Data);
    expect![[r#"
        s running
          0 leased attempt=3 a (attempts 1, losses 0)
          1 failed data: it broke (attempts 1, losses 0)
    "#]]
    .assert_eq(&cluster.render());
}

#[test]
fn a_rung_out_of_turn_is_refused_and_the_attempt_goes_on() {
    let mut cluster = TestCluster::new().submit("s", "2 2 1", policy()).worker("a", 1).worker("b", 1);
    let held = |rung| Report::Paused { rung, checkpoint: checkpoint(1), value: None };
    let refused = cluster.finish("a", held(1)).unwrap_err();
    assert_eq!(refused.to_string(), "trial s.0 is not to hold at rung 1: it reached 0 so far");
    cluster.beat("a").unwrap();
    cluster.finish("a", held(0)).unwrap();
    let mut without = TestCluster::new().submit("s", "1 1", policy()).worker("a", 1);
    assert!(without.finish("a", held(0)).is_err(), "a sweep without rungs holds nowhere");
}

/// What a cluster's trials came to, as it would tell another.
pub(super) fn endings(cluster: &TestCluster) -> Vec<Ending> {
    let ending = |trial: &crate::trial::Trial| Ending {
        payload: trial.payload.clone(),
        rungs: trial.rungs.clone(),
        arrivals: trial.arrivals.clone(),
        told: trial.told.clone(),
        end: match &trial.state {
            TrialState::Succeeded { .. } => End::Succeeded(trial.outcome.clone().unwrap()),
            TrialState::Failed { class, message } => End::Failed { class: *class, message: message.clone() },
            TrialState::Pruned => End::Pruned,
            TrialState::Waiting { .. }
            | TrialState::Queued { .. }
            | TrialState::Leased { .. }
            | TrialState::Running { .. }
            | TrialState::Paused { .. }
            | TrialState::Cancelled => panic!("{} is no end of this story", trial.state.name()),
        },
    };
    cluster.cluster.ledger().experiments()[0].trials.iter().map(ending).collect()
}

/// Two batches of three with a rung, of which one trial fails.
fn ran_elsewhere() -> (Submission, Vec<Ending>) {
    let mut there = TestCluster::new().submit("s", "6 3 1", policy()).worker("a", 1);
    for value in [0.3, 0.1] {
        there.pause("a", value).unwrap();
    }
    there.fail("a", FailureClass::Data);
    there.succeed("a");
    for value in [0.3, 0.1, 0.2] {
        there.pause("a", value).unwrap();
    }
    there.succeed("a");
    there.succeed("a");
    let experiment = there.cluster.ledger().experiments()[0];
    assert_eq!(experiment.state, ExperimentState::Succeeded, "{}", there.render());
    (experiment.submission.clone(), endings(&there))
}

#[test]
fn what_ran_elsewhere_is_recorded_once_with_the_same_ends() {
    let (submission, trials) = ran_elsewhere();
    let mut here = TestCluster::new().submit("other", "1 1", policy()).worker("b", 1);
    here.on(Input::Record(submission.clone(), trials.clone())).unwrap();
    let recorded = here.render();
    expect![[r#"
        other running
          0 leased attempt=1 b (attempts 1, losses 0)
        s succeeded
          0 pruned (attempts 0, losses 0)
          1 succeeded attempt=5 (attempts 1, losses 0)
          2 failed data: it broke (attempts 1, losses 0)
          3 pruned (attempts 0, losses 0)
          4 succeeded attempt=9 (attempts 1, losses 0)
          5 succeeded attempt=10 (attempts 1, losses 0)
    "#]]
    .assert_eq(&recorded);
    here.on(Input::Record(submission, trials)).unwrap();
    assert_eq!(here.render(), recorded, "told twice, recorded once");
    here.succeed("b");
    here.restart(Recovery::Readopt);
    assert!(here.render().starts_with("other succeeded"));
}

#[test]
fn a_record_that_its_sweep_does_not_come_to_is_refused_whole() {
    let (submission, trials) = ran_elsewhere();
    let mut here = TestCluster::new();
    let mut refused = |trials: Vec<Ending>| here.on(Input::Record(submission.clone(), trials)).unwrap_err().to_string();
    let mut other = trials.clone();
    other[3].payload = b"another".to_vec();
    assert!(refused(other).contains("its sweep asks for another trial 3 here"));
    assert!(refused(trials[..5].to_vec()).contains("another trial 5 here"));
    let mut swapped = trials.clone();
    swapped[0].rungs = vec![Finite::new(0.05)];
    assert!(refused(swapped).contains("cannot be recorded"));
    let mut lying = trials;
    lying[4].end = End::Pruned;
    assert!(refused(lying).contains("trial 4 goes on here"));
    assert_eq!(here.render(), "");
}
