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
fn an_attempt_that_ends_its_worker_before_the_first_heartbeat_counts_as_lost_in_the_end() {
    let mut cluster = TestCluster::new().submit("s", "1 1", policy()).worker("a", 1);
    // A supervisor starts the worker again, under the same id.
    for _ in 0..2 {
        cluster.join("a", 1);
        assert_eq!(cluster.attempt("a"), AttemptId(1), "a grant may have got lost");
    }
    cluster.join("a", 1);
    expect![[r#"
        s running
          0 leased attempt=2 a (attempts 1, losses 1)
    "#]]
    .assert_eq(&cluster.render());
    // Another attempt is counted anew.
    cluster.join("a", 1);
    assert_eq!(cluster.attempt("a"), AttemptId(2));
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
fn the_time_a_scheduler_was_away_counts_against_no_attempt() {
    let mut cluster = TestCluster::new().submit("s", "2 2", policy()).worker("a", 1).worker("b", 1);
    cluster.beat("a").unwrap();
    cluster.beat("b").unwrap();
    cluster.now += 500.0;
    cluster.restart(Recovery::Readopt);
    cluster.advance(1.0);
    // One ended meanwhile and could not say so; the other goes on and has its whole limit from here.
    cluster.finish("a", Report::Succeeded(b"result".to_vec())).unwrap();
    for _ in 0..24 {
        cluster.beat("b").unwrap();
        cluster.advance(4.0);
    }
    expect![[r#"
        s running
          0 succeeded attempt=1 (attempts 1, losses 0)
          1 running attempt=2 b (attempts 1, losses 0)
    "#]]
    .assert_eq(&cluster.render());
    cluster.beat("b").unwrap();
    cluster.advance(5.0);
    assert_eq!(cluster.beat("b"), Ok(Reply::Directive(Directive::Stop(StopCause::Fenced))));
}

#[test]
fn a_checkpoint_that_comes_late_does_not_take_the_place_of_a_newer_one() {
    let mut cluster = TestCluster::new().submit("s", "1 1", policy()).worker("a", 1);
    let attempt = cluster.attempt("a");
    let hand_in = |cluster: &mut TestCluster, step| {
        let Ok(Reply::Kept(kept)) = cluster.on(Input::Checkpoint(worker("a"), attempt, checkpoint(step))) else {
            panic!("the checkpoint is refused");
        };
        kept.iter().map(|kept| kept.step).collect::<Vec<_>>()
    };
    for (step, kept) in [(10, vec![10]), (20, vec![20, 10]), (10, vec![20, 10]), (20, vec![20, 10]), (30, vec![30, 20])]
    {
        assert_eq!(hand_in(&mut cluster, step), kept, "after step {step}");
    }
    // The next attempt may begin further back: what it hands in is newer all the same.
    cluster.on(Input::WorkerGone(worker("a"))).unwrap();
    cluster.join("b", 1);
    let attempt = cluster.attempt("b");
    let Ok(Reply::Kept(kept)) = cluster.on(Input::Checkpoint(worker("b"), attempt, checkpoint(5))) else {
        panic!("the checkpoint is refused");
    };
    assert_eq!(kept, [checkpoint(5), checkpoint(30)]);
}
