//! How experiments wait, end and go on.

use super::*;

fn after(others: &[&str]) -> Policy {
    Policy { after: others.iter().map(|other| other.parse().unwrap()).collect(), ..policy() }
}

fn refused(cluster: &mut TestCluster, submission: Submission) -> String {
    cluster.on(Input::Submit(submission)).unwrap_err().to_string()
}

#[test]
fn an_experiment_waits_until_those_before_it_succeeded() {
    let mut cluster = TestCluster::new()
        .submit("train", "1 1", policy())
        .submit("ensemble", "1 1", after(&["train"]))
        .submit("evaluate", "1 1", after(&["ensemble", "train"]))
        .worker("a", 1)
        .worker("b", 1);
    assert_eq!([cluster.at("a").as_deref(), cluster.at("b").as_deref()], [Some("train.0"), None]);
    expect!["evaluate.0 waits until ensemble and train succeeded."].assert_eq(&cluster.explain("evaluate.0"));
    cluster.succeed("a");
    let at = |cluster: &TestCluster| ["a", "b"].into_iter().find_map(|name| Some((name, cluster.at(name)?)));
    let (name, trial) = at(&cluster).unwrap();
    assert_eq!(trial, "ensemble.0");
    cluster.restart(Recovery::Readopt);
    expect!["evaluate.0 waits until ensemble succeeded."].assert_eq(&cluster.explain("evaluate.0"));
    cluster.succeed_after_restart(name);
    cluster.join("c", 1);
    assert_eq!(cluster.at("c").as_deref(), Some("evaluate.0"));
}

#[test]
fn whoever_waits_for_one_that_did_not_succeed_ends_with_it_and_says_why() {
    let mut cluster = TestCluster::new()
        .submit("train", "1 1", policy())
        .submit("ensemble", "1 1", after(&["train"]))
        .submit("evaluate", "1 1", after(&["ensemble"]))
        .worker("a", 1);
    cluster.fail("a", FailureClass::Data);
    expect![[r#"
        train failed
          0 failed data: it broke (attempts 1, losses 0)
        ensemble cancelled
          0 cancelled (attempts 0, losses 0)
        evaluate cancelled
          0 cancelled (attempts 0, losses 0)
    "#]]
    .assert_eq(&cluster.render());
    expect!["ensemble.0 has been cancelled: it waited for train, which failed."]
        .assert_eq(&cluster.explain("ensemble.0"));
    expect!["evaluate.0 has been cancelled: it waited for ensemble, which was cancelled."]
        .assert_eq(&cluster.explain("evaluate.0"));
    let late = cluster.submission("late", "1 1", after(&["train"]));
    expect!["experiment late waits for train, which failed: nothing follows"].assert_eq(&refused(&mut cluster, late));
}

#[test]
fn a_journal_that_kept_only_the_first_of_their_ends_tells_the_others_too() {
    let mut cluster = TestCluster::new()
        .submit("train", "1 1", policy())
        .submit("ensemble", "1 1", after(&["train"]))
        .submit("evaluate", "1 1", after(&["ensemble"]))
        .worker("a", 1);
    cluster.fail("a", FailureClass::Data);
    let whole = cluster.render();
    let (records, first) = until_first_end(&cluster);
    cluster.journal = MemoryJournal::default();
    cluster.journal.append(&records[..=first]).unwrap();
    cluster.restart(Recovery::Readopt);
    assert_eq!(cluster.render(), whole);
    expect!["ensemble.0 has been cancelled: it waited for train, which failed."]
        .assert_eq(&cluster.explain("ensemble.0"));
}

/// What the journal of a cluster holds, and the place in it of the first end of an experiment.
fn until_first_end(cluster: &TestCluster) -> (Vec<Record>, usize) {
    let mut records = Vec::new();
    let read = cluster.journal.replay(&mut |record| {
        records.push(record);
        Ok(())
    });
    read.unwrap();
    let first = records.iter().position(|record| matches!(record.event, Event::Ended { .. })).unwrap();
    (records, first)
}

#[test]
fn a_journal_that_kept_none_of_their_ends_is_gone_on_from_and_nothing_is_asked_for_those_that_waited() {
    // Its sweep has a second batch to ask for: asked again after its end, it would.
    let mut cluster =
        TestCluster::new().submit("train", "1 1", policy()).submit("ensemble", "2 1", after(&["train"])).worker("a", 1);
    cluster.fail("a", FailureClass::Data);
    let whole = cluster.render();
    let (records, first) = until_first_end(&cluster);
    let last = &records[first - 1].event;
    assert!(matches!(last, Event::Trial { change: Change::Fail { .. }, .. }), "before the end comes {last:?}");
    cluster.journal = MemoryJournal::default();
    cluster.journal.append(&records[..first]).unwrap();
    cluster.restart(Recovery::Readopt);
    assert_eq!(cluster.render(), whole);
    expect!["ensemble.0 has been cancelled: it waited for train, which failed."]
        .assert_eq(&cluster.explain("ensemble.0"));
}

#[test]
fn circles_and_strangers_are_refused_and_a_name_means_its_newest() {
    let mut cluster = TestCluster::new();
    let itself = cluster.submission("s", "1 1", after(&["s"]));
    expect!["experiment s waits for itself: name another in `after`"].assert_eq(&refused(&mut cluster, itself));
    let stranger = cluster.submission("s", "1 1", after(&["nobody"]));
    expect!["experiment s waits for nobody, which does not exist: submit that first"]
        .assert_eq(&refused(&mut cluster, stranger));
    for id in ["train-1", "train-2"] {
        let submission = Submission { name: "train".parse().unwrap(), ..cluster.submission(id, "1 1", policy()) };
        cluster.on(Input::Submit(submission)).unwrap();
    }
    cluster = cluster.submit("next", "1 1", after(&["train"]));
    expect!["next.0 waits until train-2 succeeded."].assert_eq(&cluster.explain("next.0"));
}

#[test]
fn a_deadline_ends_what_is_open_and_one_that_has_passed_is_refused() {
    let by = |seconds: f64| Policy { deadline: Some(Timestamp::default().plus_seconds(seconds)), ..policy() };
    let mut cluster = TestCluster::new().submit("s", "2 2", by(30.0)).worker("a", 1);
    cluster.live(20, &["a"]);
    cluster.succeed("a");
    cluster.live(9, &["a"]);
    assert!(cluster.render().starts_with("s running"));
    // It holds over a restart.
    cluster.restart(Recovery::Readopt);
    cluster.advance(1.0);
    expect![[r#"
        s cancelled
          0 succeeded attempt=1 (attempts 1, losses 0)
          1 cancelled (attempts 0, losses 0)
    "#]]
    .assert_eq(&cluster.render());
    assert_eq!(cluster.beat("a"), Ok(Reply::Directive(Directive::Stop(StopCause::Fenced))));
    expect!["s.1 has been cancelled: its deadline 1970-01-01T00:00:30Z has passed."].assert_eq(&cluster.explain("s.1"));
    let late = cluster.submission("late", "1 1", by(29.0));
    expect!["deadline 1970-01-01T00:00:29Z of late has passed: choose a later one"]
        .assert_eq(&refused(&mut cluster, late));
}

#[test]
fn nothing_starts_after_a_deadline_though_no_tick_has_come_since() {
    let by = Policy { deadline: Some(Timestamp::default().plus_seconds(30.0)), ..policy() };
    let mut cluster = TestCluster::new().submit("s", "1 1", by).submit("t", "1 1", policy());
    // As after a scheduler stood still: what waited in its inbox comes first.
    cluster.now = 30.0;
    cluster.join("a", 1);
    assert_eq!(cluster.at("a"), None, "its time is over");
    cluster.advance(0.0);
    assert_eq!(cluster.at("a").as_deref(), Some("t.0"));
    assert!(cluster.render().starts_with("s cancelled"));
}

#[test]
fn an_experiment_that_ends_in_time_does_not_meet_its_deadline() {
    let by = Policy { deadline: Some(Timestamp::default().plus_seconds(30.0)), ..policy() };
    let mut cluster = TestCluster::new().submit("s", "1 1", by).worker("a", 1);
    cluster.succeed("a");
    cluster.advance(60.0);
    assert!(cluster.render().starts_with("s succeeded"));
}

#[test]
fn a_failed_trial_is_requeued_while_its_batch_is_open() {
    let mut cluster = TestCluster::new().submit("s", "4 2", policy()).worker("a", 1).worker("b", 1);
    cluster.fail("a", FailureClass::Data);
    cluster.live(1, &["b"]);
    let trial = |text: &str| Input::Requeue(text.parse().unwrap());
    assert!(matches!(cluster.on(trial("s.0")), Ok(Reply::Trial(view)) if view.attempts == 1));
    assert_eq!(cluster.at("a").as_deref(), Some("s.0"), "it runs again");
    expect!["trial s.1 cannot be requeued: it is running, only a failed one can"]
        .assert_eq(&cluster.on(trial("s.1")).unwrap_err().to_string());
    cluster.succeed("b");
    cluster.restart(Recovery::Readopt);
    cluster.succeed_after_restart("a");
    let asked = |cluster: &TestCluster| {
        let experiment = cluster.cluster.ledger().experiments()[0];
        experiment.trials.last().map(|trial| String::from_utf8_lossy(&trial.payload).into_owned())
    };
    assert_eq!(asked(&cluster).as_deref(), Some("batch 2 after [0 ok;1 ok;]"), "the sweep hears of the second life");
}

#[test]
fn an_experiment_that_a_requeue_opens_again_meets_its_deadline() {
    let by = Policy { deadline: Some(Timestamp::default().plus_seconds(30.0)), ..policy() };
    let mut cluster = TestCluster::new().submit("s", "1 1", by).worker("a", 1);
    cluster.fail("a", FailureClass::Data);
    assert!(cluster.render().starts_with("s failed"));
    cluster.on(Input::Requeue("s.0".parse().unwrap())).unwrap();
    cluster.live(29, &["a"]);
    assert!(cluster.render().starts_with("s running"));
    cluster.live(1, &["a"]);
    assert!(cluster.render().starts_with("s cancelled"), "{}", cluster.render());
}

#[test]
fn a_trial_that_its_sweep_was_told_of_is_not_requeued() {
    let mut cluster = TestCluster::new().submit("s", "2 1", policy()).worker("a", 1);
    cluster.fail("a", FailureClass::Data);
    let requeue = || Input::Requeue("s.0".parse().unwrap());
    expect!["trial s.0 cannot be requeued: its sweep was told that it failed and went on"]
        .assert_eq(&cluster.on(requeue()).unwrap_err().to_string());
    cluster.succeed("a");
    expect!["trial s.0 cannot be requeued: its experiment succeeded, submit it under a new name"]
        .assert_eq(&cluster.on(requeue()).unwrap_err().to_string());
    let unknown = cluster.on(Input::Requeue("s.9".parse().unwrap())).unwrap_err();
    assert_eq!(unknown, Refusal::NotFound("trial s.9 does not exist".to_owned()));
}

#[test]
fn a_trial_that_its_batch_was_judged_without_is_not_requeued() {
    let requeue = || Input::Requeue("s.0".parse().unwrap());
    let begin = || {
        let mut cluster = TestCluster::new().submit("s", "2 2 1", policy()).worker("a", 1).worker("b", 1);
        cluster.fail("a", FailureClass::Data);
        cluster
    };
    let mut judged = begin();
    judged.pause("b", 0.5).unwrap();
    expect!["trial s.0 cannot be requeued: its sweep was told that it failed and went on"]
        .assert_eq(&judged.on(requeue()).unwrap_err().to_string());
    let mut open = begin();
    open.on(requeue()).unwrap();
    open.pause("b", 0.5).unwrap();
    assert!(open.render().contains("1 paused rung=0"), "the rung waits for it: {}", open.render());
}

#[test]
fn an_experiment_that_failed_is_opened_again_for_a_trial_of_its_last_batch() {
    let mut cluster = TestCluster::new().submit("s", "2 2", policy()).worker("a", 1).worker("b", 1);
    cluster.fail("a", FailureClass::Data);
    cluster.fail("b", FailureClass::Data);
    assert!(cluster.render().starts_with("s failed"));
    cluster.on(Input::Requeue("s.1".parse().unwrap())).unwrap();
    expect![[r#"
        s running
          0 failed data: it broke (attempts 1, losses 0)
          1 leased attempt=3 a (attempts 1, losses 0)
    "#]]
    .assert_eq(&cluster.render());
    cluster.restart(Recovery::Readopt);
    cluster.succeed_after_restart("a");
    assert!(cluster.render().starts_with("s succeeded"));
}

#[test]
fn memory_that_runs_out_leads_down_the_steps_there_are_and_no_further() {
    let ladder =
        Policy { degrade_max: Some(2), retry: RetrySpec { attempts: 50, backoff: Span::from_millis(1) }, ..policy() };
    let mut cluster = TestCluster::new().submit("s", "1 1", ladder).worker("a", 1);
    for step in 0..2 {
        assert_eq!(cluster.granted[&worker("a")].degrade, step);
        cluster.fail("a", FailureClass::Oom);
        cluster.advance(1.0);
    }
    assert_eq!(cluster.granted[&worker("a")].degrade, 2);
    cluster.fail("a", FailureClass::Oom);
    expect![[r#"
        s failed
          0 failed oom: out of memory after all 2 steps of `degrade`, add a smaller one: it broke (attempts 3, losses 0)
    "#]]
    .assert_eq(&cluster.render());
}

#[test]
fn a_sweep_of_nothing_or_of_too_much_is_refused_before_it_leaves_a_trace() {
    let mut cluster = TestCluster::new();
    for (sweep, said) in [
        ("0 1", "experiment s asks for no trial: ask for 1 at least"),
        ("1000001 1000001", "experiment s cannot start: sweep asks for more than 1000000 trials: narrow its space"),
    ] {
        let submission = cluster.submission("s", sweep, policy());
        assert_eq!(refused(&mut cluster, submission), said);
    }
    assert!(cluster.cluster.ledger().list().is_empty());
}

#[test]
fn a_clock_behind_the_journal_loses_nothing() {
    let mut cluster = TestCluster::new().submit("s", "1 1", policy()).worker("a", 1);
    cluster.advance(5.0);
    cluster.beat("a").unwrap();
    // A machine whose clock was set back: what was leased in its future is still leased.
    cluster.now = -3_600.0;
    cluster.restart(Recovery::Readopt);
    assert_eq!(cluster.beat("a"), Ok(Reply::Directive(Directive::Continue)));
    cluster.succeed_after_restart("a");
    assert!(cluster.render().starts_with("s succeeded"));
}
