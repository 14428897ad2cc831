//! One story each, told by a rendering of the cluster.

use super::*;

#[test]
fn a_batch_is_decided_only_when_the_batch_before_has_ended() {
    let mut cluster = TestCluster::new().submit("s", "3 2", policy()).worker("a", 1).worker("b", 1);
    cluster.beat("a").unwrap();
    cluster.succeed("b");
    expect![[r#"
        s running
          0 running attempt=1 a (attempts 1, losses 0)
          1 succeeded attempt=2 (attempts 1, losses 0)
    "#]]
    .assert_eq(&cluster.render());
    cluster.succeed("a");
    expect![[r#"
        s running
          0 succeeded attempt=1 (attempts 1, losses 0)
          1 succeeded attempt=2 (attempts 1, losses 0)
          2 leased attempt=3 b (attempts 1, losses 0)
    "#]]
    .assert_eq(&cluster.render());
    assert_eq!(cluster.granted[&worker("b")].payload, b"batch 2 after [0 ok;1 ok;]");
    cluster.succeed("b");
    assert!(cluster.render().starts_with("s succeeded\n"));
}

#[test]
fn a_failed_trial_is_tried_again_after_its_back_off_until_the_budget_is_spent() {
    let mut cluster = TestCluster::new().submit("s", "1 1", policy()).worker("a", 1);
    cluster.fail("a", FailureClass::Nan);
    expect![[r#"
        s running
          0 queued not_before=+2s (attempts 1, losses 0)
    "#]]
    .assert_eq(&cluster.render());
    cluster.advance(1.9);
    assert!(cluster.render().contains("queued"));
    cluster.advance(0.4);
    cluster.fail("a", FailureClass::Nan);
    expect![[r#"
        s failed
          0 failed nan: it broke (attempts 2, losses 0)
    "#]]
    .assert_eq(&cluster.render());
}

#[test]
fn a_failure_of_the_data_is_final_at_once() {
    let mut cluster = TestCluster::new().submit("s", "1 1", policy()).worker("a", 1);
    cluster.fail("a", FailureClass::Data);
    expect![[r#"
        s failed
          0 failed data: it broke (attempts 1, losses 0)
    "#]]
    .assert_eq(&cluster.render());
}

#[test]
fn memory_that_runs_out_degrades_the_next_attempt() {
    let mut cluster = TestCluster::new().submit("s", "1 1", policy()).worker("a", 1);
    assert_eq!(cluster.granted[&worker("a")].degrade, 0);
    cluster.fail("a", FailureClass::Oom);
    cluster.advance(3.0);
    assert_eq!(cluster.granted[&worker("a")].degrade, 1);
}

#[test]
fn a_silent_worker_loses_its_trial_which_goes_on_from_its_checkpoint_and_pays_nothing() {
    let mut cluster = TestCluster::new().submit("s", "1 1", policy()).worker("a", 1);
    let attempt = cluster.attempt("a");
    cluster.on(Input::Checkpoint(worker("a"), attempt, checkpoint(40))).unwrap();
    cluster.advance(9.0);
    cluster.beat("a").unwrap();
    cluster.advance(9.9);
    assert!(cluster.render().contains("running"));
    cluster.advance(0.2);
    expect![[r#"
        s running
          0 queued not_before=+19s from=40 (attempts 0, losses 1)
    "#]]
    .assert_eq(&cluster.render());
    cluster.join("b", 1);
    assert_eq!(cluster.granted[&worker("b")].checkpoints, [checkpoint(40)]);
}

#[test]
fn what_a_zombie_says_is_counted_and_dropped() {
    let mut cluster = TestCluster::new().submit("s", "1 1", policy()).worker("a", 1);
    cluster.beat("a").unwrap();
    cluster.advance(11.0);
    cluster.join("b", 1);
    let before = cluster.render();
    assert_eq!(cluster.beat("a"), Ok(Reply::Directive(Directive::Stop(StopCause::Fenced))));
    assert_eq!(cluster.finish("a", Report::Succeeded(b"late".to_vec())), Err(Refusal::Fenced));
    let attempt = cluster.attempt("a");
    assert_eq!(cluster.on(Input::Checkpoint(worker("a"), attempt, checkpoint(9))), Err(Refusal::Fenced));
    // A token is its worker's: nobody else's word counts with it.
    let of_b = cluster.attempt("b");
    assert_eq!(cluster.on(Input::Finish(worker("a"), of_b, Report::Stopped)), Err(Refusal::Fenced));
    assert_eq!(cluster.render(), before);
    assert_eq!(cluster.cluster.stale(), 4);
}

#[test]
fn an_attempt_past_its_time_limit_fails_although_its_worker_lives() {
    let mut cluster = TestCluster::new().submit("s", "1 1", policy()).worker("a", 1);
    for _ in 0..20 {
        cluster.beat("a").unwrap();
        cluster.advance(5.0);
    }
    expect![[r#"
        s running
          0 queued not_before=+102s (attempts 1, losses 0)
    "#]]
    .assert_eq(&cluster.render());
    assert_eq!(cluster.beat("a"), Ok(Reply::Directive(Directive::Stop(StopCause::Fenced))));
}

#[test]
fn a_worker_the_engine_saw_die_is_replaced_without_waiting_for_the_lease() {
    let mut cluster = TestCluster::new().submit("s", "1 1", policy()).worker("a", 1).worker("b", 1);
    cluster.on(Input::WorkerGone(worker("a"))).unwrap();
    expect![[r#"
        s running
          0 leased attempt=2 b (attempts 1, losses 1)
    "#]]
    .assert_eq(&cluster.render());
}

#[test]
fn a_grant_that_got_lost_is_sent_again_with_the_same_token() {
    let mut cluster = TestCluster::new().submit("s", "1 1", policy()).worker("a", 1);
    cluster.granted.clear();
    cluster.on(Input::Lease(worker("a"))).unwrap();
    assert_eq!(cluster.attempt("a"), AttemptId(1));
    assert!(cluster.render().contains("losses 0"));
}

#[test]
fn higher_priority_goes_first_and_a_parallel_limit_holds() {
    let narrow = Policy { parallel: Some(1), priority: 5, ..policy() };
    let cluster = TestCluster::new()
        .submit("wide", "2 2", policy())
        .submit("narrow", "2 2", narrow)
        .worker("a", 1)
        .worker("b", 1);
    expect![[r#"
        wide running
          0 leased attempt=2 b (attempts 1, losses 0)
          1 queued not_before=+0s (attempts 0, losses 0)
        narrow running
          0 leased attempt=1 a (attempts 1, losses 0)
          1 queued not_before=+0s (attempts 0, losses 0)
    "#]]
    .assert_eq(&cluster.render());
    expect!["narrow.1 waits because 1 trials of its experiment run, as many as sweep.parallel allows."]
        .assert_eq(&cluster.explain("narrow.1"));
    expect!["wide.1 waits for one of 2 workers, with 1 trials ahead of it."].assert_eq(&cluster.explain("wide.1"));
}

#[test]
fn every_place_a_trial_can_be_is_explained() {
    let large = Policy { cpus: 4, ..policy() };
    let mut cluster = TestCluster::new().submit("s", "2 2", policy()).submit("large", "1 1", large);
    expect!["s.0 waits because no worker is connected: start one with `tradewind worker`."]
        .assert_eq(&cluster.explain("s.0"));
    cluster.join("a", 1);
    cluster.beat("a").unwrap();
    cluster.advance(1.0);
    expect!["s.0 is running on a for 1.0 s, its lease ends in 9.0 s."].assert_eq(&cluster.explain("s.0"));
    expect!["large.0 waits because it needs 4 CPU cores and the largest worker has 1."]
        .assert_eq(&cluster.explain("large.0"));
    cluster.fail("a", FailureClass::Nan);
    cluster.advance(0.0);
    expect!["s.0 is tried again in 2.2 s because it failed (nan)."].assert_eq(&cluster.explain("s.0"));
    cluster.fail("a", FailureClass::Data);
    expect!["s.1 failed (data): it broke."].assert_eq(&cluster.explain("s.1"));
    cluster.on(Input::Cancel(experiment("large"))).unwrap();
    expect!["large.0 has been cancelled."].assert_eq(&cluster.explain("large.0"));
    cluster.advance(3.0);
    cluster.succeed("a");
    expect!["s.0 has succeeded."].assert_eq(&cluster.explain("s.0"));
    assert!(cluster.cluster.explain(Timestamp::default(), &"s.9".parse().unwrap()).is_err());
}

#[test]
fn cancelling_ends_every_open_trial_and_fences_its_attempts() {
    let mut cluster = TestCluster::new().submit("s", "2 2", policy()).worker("a", 1);
    cluster.on(Input::Cancel(experiment("s"))).unwrap();
    expect![[r#"
        s cancelled
          0 cancelled (attempts 0, losses 0)
          1 cancelled (attempts 0, losses 0)
    "#]]
    .assert_eq(&cluster.render());
    assert_eq!(cluster.beat("a"), Ok(Reply::Directive(Directive::Stop(StopCause::Fenced))));
}

#[test]
fn draining_hands_attempts_back_at_no_cost_and_gives_none_out() {
    let mut cluster = TestCluster::new().submit("s", "2 2", policy()).worker("a", 1);
    cluster.on(Input::Drain).unwrap();
    assert_eq!(cluster.beat("a"), Ok(Reply::Directive(Directive::Stop(StopCause::Draining))));
    let attempt = cluster.attempt("a");
    cluster.on(Input::Checkpoint(worker("a"), attempt, checkpoint(3))).unwrap();
    cluster.finish("a", Report::Stopped).unwrap();
    cluster.on(Input::Lease(worker("a"))).unwrap();
    assert!(cluster.cluster.is_idle());
    expect![[r#"
        s running
          0 queued not_before=+0s from=3 (attempts 0, losses 0)
          1 queued not_before=+0s (attempts 0, losses 0)
    "#]]
    .assert_eq(&cluster.render());
}

#[test]
fn a_restart_that_requeues_goes_on_from_the_checkpoint() {
    let mut cluster = TestCluster::new().submit("s", "3 2", policy()).worker("a", 1).worker("b", 1);
    let attempt = cluster.attempt("a");
    cluster.on(Input::Checkpoint(worker("a"), attempt, checkpoint(7))).unwrap();
    cluster.succeed("b");
    cluster.restart(Recovery::Requeue);
    expect![[r#"
        s running
          0 queued not_before=+0s from=7 (attempts 0, losses 1)
          1 succeeded attempt=2 (attempts 1, losses 0)
    "#]]
    .assert_eq(&cluster.render());
    cluster.join("c", 1);
    assert_eq!(cluster.attempt("c"), AttemptId(3));
    cluster.succeed("c");
    assert_eq!(cluster.granted[&worker("c")].payload, b"batch 2 after [0 ok;1 ok;]");
}

#[test]
fn a_restart_that_readopts_lets_a_worker_go_on_with_its_token() {
    let mut cluster = TestCluster::new().submit("s", "2 2", policy()).worker("a", 1).worker("b", 1);
    cluster.restart(Recovery::Readopt);
    assert_eq!(cluster.beat("a"), Ok(Reply::Directive(Directive::Continue)));
    assert_eq!(cluster.on(Input::Lease(worker("b"))), Err(Refusal::NotRegistered));
    for _ in 0..4 {
        cluster.advance(8.0);
        cluster.beat("a").unwrap();
    }
    // b never came back.
    expect![[r#"
        s running
          0 running attempt=1 a (attempts 1, losses 0)
          1 queued not_before=+32s (attempts 0, losses 1)
    "#]]
    .assert_eq(&cluster.render());
    assert_eq!(cluster.finish("a", Report::Succeeded(Vec::new())), Ok(Reply::Done));
}

#[test]
fn a_sweep_that_comes_back_different_is_refused_by_name() {
    let cluster = TestCluster::new().submit("s", "2 2", policy());
    let ledger = fold(&cluster.journal).unwrap().0;
    let other = |_: &Submission| -> Result<Box<dyn Sweep>, OpenError> {
        Ok(Box::new(Batches { left: 1, size: 1, seen: "else".to_owned(), open: 0, batch: 0, rungs: 0 }))
    };
    let error = Cluster::recover(Timestamp::default(), ledger, Box::new(other), Options::default()).err().unwrap();
    expect!["experiment s cannot go on: sweep asks for another trial s.0 than the journal holds: it was recorded by another version, continue it with that one or submit it under a new name"]
        .assert_eq(&error.to_string());
}

#[test]
fn a_scheduler_of_one_experiment_leaves_others_as_they_are() {
    let options = Options { scope: Scope::Only(experiment("mine")), ..Options::default() };
    let cluster =
        TestCluster::with(options).submit("other", "1 1", policy()).submit("mine", "1 1", policy()).worker("a", 1);
    expect![[r#"
        other queued
        mine running
          0 leased attempt=1 a (attempts 1, losses 0)
    "#]]
    .assert_eq(&cluster.render());
}

#[test]
fn submitting_twice_is_once_and_another_spec_under_the_same_id_is_refused() {
    let mut cluster = TestCluster::new().submit("s", "1 1", policy()).submit("s", "1 1", policy());
    let again = |payload: &[u8]| Submission {
        experiment: experiment("s"),
        name: "s".parse().unwrap(),
        payload: payload.to_vec(),
        policy: policy(),
    };
    assert!(matches!(cluster.on(Input::Submit(again(b"2 1"))), Err(Refusal::Conflict(_))));
    let unreadable = Submission { experiment: experiment("t"), ..again(b"nonsense") };
    assert_eq!(cluster.on(Input::Submit(unreadable)), Err(Refusal::Invalid("`nonsense` is not a sweep".to_owned())));
    assert_eq!(cluster.cluster.ledger().list().len(), 1);
}

#[test]
fn progress_reaches_watchers_and_changes_nothing_that_lasts() {
    let mut cluster = TestCluster::new().submit("s", "1 1", policy()).worker("a", 1);
    cluster.beat("a").unwrap();
    let before = cluster.cluster.ledger().clone();
    let progress = Progress { step: 3, steps: 9, unit: ProgressUnit::Epoch, rate: 1.5, metrics: BTreeMap::new() };
    let attempt = cluster.attempt("a");
    cluster.on(Input::Heartbeat(worker("a"), attempt, Some(progress.clone()))).unwrap();
    assert_eq!(cluster.cluster.ledger(), &before);
    assert_eq!(cluster.cluster.show(&experiment("s")).unwrap().trials[0].progress, Some(progress));
}

#[test]
fn a_long_message_is_cut_before_it_is_journalled() {
    let mut cluster = TestCluster::new().submit("s", "1 1", policy()).worker("a", 1);
    let message = "é".repeat(5_000);
    cluster.finish("a", Report::Failed { class: FailureClass::Data, message }).unwrap();
    let trial = cluster.cluster.show(&experiment("s")).unwrap().trials.remove(0);
    assert_eq!(trial.status, TrialState::Failed { class: FailureClass::Data, message: "é".repeat(2_000) });
}

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
fn endings(cluster: &TestCluster) -> Vec<Ending> {
    let ending = |trial: &crate::trial::Trial| Ending {
        payload: trial.payload.clone(),
        rungs: trial.rungs.clone(),
        end: match &trial.state {
            TrialState::Succeeded { .. } => End::Succeeded(trial.outcome.clone().unwrap()),
            TrialState::Failed { class, message } => End::Failed { class: *class, message: message.clone() },
            TrialState::Pruned => End::Pruned,
            other => panic!("{other:?} is no end"),
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
