//! What holds whatever happens. Replay is compared with the state after every step by [`TestCluster::take`].

use super::*;

/// Something that happens to one of three workers, or to the scheduler.
#[derive(Clone, Debug)]
enum Act {
    Join(u8),
    Ask(u8),
    Beat(u8),
    Store(u8, u64),
    Succeed(u8),
    Fail(u8, FailureClass),
    Release(u8),
    /// Holds at a rung, its own or, for a second value above 0, another.
    Hold(u8, u8),
    Die(u8),
    /// Says something with a token that was never, or is no longer, its own.
    Lie(u8, u64),
    Wait(u8),
    Restart(Recovery),
    /// An operator closes or opens a worker.
    Close(u8, protocol::Cordon),
    Open(u8),
    Requeue(u8),
    /// Somebody else's trial, of higher priority.
    Intrude,
    Cancel,
}

fn act() -> impl Strategy<Value = Act> {
    let who = 0..3_u8;
    prop_oneof![
        3 => who.clone().prop_map(Act::Join),
        6 => who.clone().prop_map(Act::Ask),
        4 => who.clone().prop_map(Act::Beat),
        2 => (who.clone(), 0..50_u64).prop_map(|(who, step)| Act::Store(who, step)),
        5 => who.clone().prop_map(Act::Succeed),
        4 => (who.clone(), proptest::sample::select(FailureClass::ALL)).prop_map(|(who, class)| Act::Fail(who, class)),
        1 => who.clone().prop_map(Act::Release),
        3 => (who.clone(), 0..9_u8).prop_map(|(who, value)| Act::Hold(who, value)),
        1 => who.clone().prop_map(Act::Die),
        3 => (who.clone(), 0..40_u64).prop_map(|(who, token)| Act::Lie(who, token)),
        4 => (0..15_u8).prop_map(Act::Wait),
        1 => prop_oneof![Just(Recovery::Requeue), Just(Recovery::Readopt)].prop_map(Act::Restart),
        1 => (who.clone(), proptest::sample::select(vec![protocol::Cordon::Finish, protocol::Cordon::Drain]))
            .prop_map(|(who, cordon)| Act::Close(who, cordon)),
        1 => who.prop_map(Act::Open),
        1 => (0..5_u8).prop_map(Act::Requeue),
        1 => Just(Act::Intrude),
        1 => (0..20_u8).prop_map(|die| if die == 0 { Act::Cancel } else { Act::Wait(1) }),
    ]
}

impl TestCluster {
    fn act(&mut self, act: &Act) {
        let name = |who: &u8| ["a", "b", "c"][usize::from(*who)];
        let token = |cluster: &Self, who: &u8| cluster.granted.get(&worker(name(who))).map(|granted| granted.attempt);
        // Refusals are part of the game: what matters is what they leave behind.
        let _ = match act {
            Act::Join(who) => {
                let registration = Registration::of(worker(name(who)), 1);
                self.on(Input::Register(registration))
            }
            Act::Ask(who) => self.on(Input::Lease(worker(name(who)))),
            Act::Beat(who) => match token(self, who) {
                Some(token) => self.on(Input::Heartbeat(worker(name(who)), token, None)),
                None => Ok(Reply::Done),
            },
            Act::Store(who, step) => match token(self, who) {
                Some(token) => self.on(Input::Checkpoint(worker(name(who)), token, checkpoint(*step))),
                None => Ok(Reply::Done),
            },
            Act::Succeed(who) => self.end(name(who), Report::Succeeded(b"result".to_vec())),
            Act::Fail(who, class) => self.end(name(who), Report::Failed { class: *class, message: String::new() }),
            Act::Release(who) => self.end(name(who), Report::Stopped),
            Act::Hold(who, value) => {
                let granted = self.granted.get(&worker(name(who))).cloned();
                let rung =
                    granted.and_then(|granted| granted.rung).map_or(0, |rung| rung.index) + u32::from(*value / 8);
                let value = Finite::new(f64::from(*value));
                self.end(name(who), Report::Paused { rung, checkpoint: checkpoint(rung.into()), value })
            }
            Act::Die(who) => self.on(Input::WorkerGone(worker(name(who)))),
            Act::Lie(who, token) => self.lie(&worker(name(who)), AttemptId(*token)),
            Act::Wait(seconds) => {
                self.now += f64::from(*seconds);
                self.on(Input::Tick)
            }
            Act::Restart(recovery) => {
                self.restart(*recovery);
                Ok(Reply::Done)
            }
            Act::Close(who, cordon) => self.on(Input::Cordon(Target::Worker(worker(name(who))), *cordon)),
            Act::Open(who) => self.on(Input::Uncordon(Target::Worker(worker(name(who))))),
            Act::Requeue(index) => self.on(Input::Requeue(format!("s.{index}").parse().unwrap())),
            Act::Intrude => {
                let name = format!("x{}", self.cluster.ledger().experiments().len());
                let submission = self.submission(&name, "1 1", Policy { priority: 1, ..policy() });
                self.on(Input::Submit(submission))
            }
            Act::Cancel => self.on(Input::Cancel(experiment("s"))),
        };
    }

    fn end(&mut self, name: &str, report: Report) -> Result<Reply, Refusal> {
        match self.granted.get(&worker(name)).map(|granted| granted.attempt) {
            Some(attempt) => self.on(Input::Finish(worker(name), attempt, report)),
            None => Ok(Reply::Done),
        }
    }

    /// A stale or stolen token changes nothing.
    fn lie(&mut self, who: &WorkerId, token: AttemptId) -> Result<Reply, Refusal> {
        let ledger = self.cluster.ledger();
        let its_own = ledger.held(token).map(|held| &held.worker) == Some(who);
        if its_own {
            return Ok(Reply::Done);
        }
        let before = ledger.clone();
        let stale = self.cluster.stale();
        let _ = self.on(Input::Finish(who.clone(), token, Report::Succeeded(b"forged".to_vec())));
        let _ = self.on(Input::Checkpoint(who.clone(), token, checkpoint(1)));
        let _ = self.on(Input::Heartbeat(who.clone(), token, None));
        assert_eq!(self.cluster.ledger(), &before, "a stale token changed something");
        assert_eq!(self.cluster.stale(), stale + 3, "a stale token was not counted");
        Ok(Reply::Done)
    }

    /// What is true at any time.
    fn check(&self, before: &Ledger) {
        let ledger = self.cluster.ledger();
        let mut holders = Vec::new();
        let all = ledger.experiments();
        let trials =
            all.iter().flat_map(|experiment| (0..).zip(&experiment.trials).map(move |trial| (experiment, trial)));
        for (experiment, (index, trial)) in trials {
            let id = TrialId { experiment: experiment.submission.experiment.clone(), index };
            assert!(trial.attempts() <= experiment.submission.policy.retry.attempts, "{id} is over its budget");
            assert!(trial.checkpoints.len() <= 2);
            assert_eq!(trial.outcome.is_some(), matches!(trial.state, TrialState::Succeeded { .. }));
            assert_ne!(trial.outcome.as_deref(), Some(&b"forged"[..]));
            if let Some(attempt) = trial.state.live_attempt() {
                assert_eq!(ledger.trial_of(attempt), Some(&id), "the token of {id} leads elsewhere");
                holders.push(ledger.held(attempt).map(|held| held.worker.clone()));
                assert!(self.cluster.leases.contains_key(&attempt), "{id} runs without a lease");
            }
            if let Some(past) = before.trial(&id) {
                // A failed one may be requeued, and then has a new budget.
                let requeued = matches!(past.state, TrialState::Failed { .. }) && !trial.state.is_final();
                if requeued {
                    continue;
                }
                if past.state.is_final() {
                    assert_eq!(past.state, trial.state, "{id} left a final state");
                }
                // A lost worker costs no attempt: whoever lost one has no more failures than before.
                if trial.losses > past.losses {
                    assert_eq!(trial.failures, past.failures);
                }
                assert!(trial.losses >= past.losses && trial.failures >= past.failures);
            }
        }
        let live = holders.len();
        holders.sort();
        holders.dedup();
        assert_eq!(holders.len(), live, "a worker holds two attempts");
        assert_eq!(self.cluster.leases.len(), live, "a lease is left over");
    }

    /// A reliable worker after all that: every trial ends.
    fn run_to_the_end(&mut self) {
        for who in ["a", "b", "c"] {
            self.on(Input::Uncordon(Target::Worker(worker(who)))).unwrap();
        }
        for _ in 0..2_000 {
            if self.cluster.ledger().open().next().is_none() {
                return;
            }
            self.join("z", 1);
            self.end("z", Report::Succeeded(b"result".to_vec())).ok();
            self.advance(20.0);
        }
        panic!("it never ended:\n{}", self.render());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_no_trial_is_lost_doubled_or_over_its_budget(
        acts in proptest::collection::vec(act(), 1..120), rungs in 0..3_u8
    ) {
        let mut cluster = TestCluster::new().submit("s", &format!("5 2 {rungs}"), policy());
        for act in &acts {
            let before = cluster.cluster.ledger().clone();
            cluster.act(act);
            cluster.check(&before);
        }
        cluster.run_to_the_end();
        let experiment = cluster.cluster.ledger().experiments()[0];
        prop_assert!(experiment.state.is_final());
        prop_assert!(experiment.trials.iter().all(|trial| trial.state.is_final()));
        if experiment.state != ExperimentState::Cancelled {
            prop_assert_eq!(experiment.trials.len(), 5);
        }
    }

    #[test]
    fn the_jitter_and_the_order_of_ends_do_not_change_what_a_sweep_asks(seed: u64, ends in proptest::collection::vec(0..3_u8, 60)) {
        let options = Options { jitter_seed: seed, ..Options::default() };
        let mut cluster = TestCluster::with(options).submit("s", "9 3", policy());
        for name in ["a", "b", "c"] {
            cluster.join(name, 1);
        }
        for who in ends {
            let name = ["a", "b", "c"][usize::from(who)];
            cluster.end(name, Report::Succeeded(b"result".to_vec())).ok();
            cluster.on(Input::Lease(worker(name))).unwrap();
        }
        cluster.run_to_the_end();
        let experiment = cluster.cluster.ledger().experiments()[0];
        let asked: Vec<_> = experiment.trials.iter().map(|trial| String::from_utf8_lossy(&trial.payload)).collect();
        prop_assert_eq!(asked[0].as_ref(), "batch 1 after []");
        prop_assert_eq!(asked[5].as_ref(), "batch 2 after [0 ok;1 ok;2 ok;]");
        prop_assert_eq!(asked[8].as_ref(), "batch 3 after [3 ok;4 ok;5 ok;]");
    }
}
