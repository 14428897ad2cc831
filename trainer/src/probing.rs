//! Agents on probes: what tests of the algorithms share.

use std::fmt;

use envs::probe::{Kind, Probe};
use envs::{ActionSpace, Actions, Autoreset, StateError, StepBuffers, VectorEnv};
use spec::{Algorithm, Digest, EvaluationSpec, FailureClass, Keep, ModelSpec, Normalise, Progress, RlSpec};

use crate::agent::Window;
use crate::fixtures::Recorder;
use crate::learn::{Learned, Problem, learn};
use crate::{Kept, LastGood, Sink, SinkError, TrainError};

fn problem(algorithm: Algorithm, probe: Kind, steps: u64) -> Problem {
    let envs = algorithm.envs();
    Problem {
        task: RlSpec {
            window: 1,
            steps,
            algorithm,
            normalise: Normalise::None,
            evaluation: EvaluationSpec { times: 5, episodes: 64, keep: Keep::Best, patience: None },
        },
        model: ModelSpec::Mlp { hidden: vec![32, 32], activation: None },
        window: Window { steps: 1, width: 1 },
        seed: 3,
        env: Box::new(Probe::new(probe, envs as usize)),
        evaluation: Some(Box::new(Probe::new(probe, 64))),
        identity: Digest::of(b"probe"),
    }
}

/// Learns a probe; the score is the mean return of greedy episodes.
pub(crate) fn learned(algorithm: Algorithm, probe: Kind, steps: u64) -> Learned {
    learn(problem(algorithm, probe, steps), None, &mut Recorder::default()).unwrap().unwrap()
}

/// Asserts that training twice gives the same bits, and so does going on from any checkpoint or stop.
pub(crate) fn resumes_exactly(algorithm: Algorithm, probe: Kind) {
    let steps = 600;
    let mut whole = Recorder::default();
    let go = |resume: Option<&[u8]>, sink: &mut Recorder| {
        let mut problem = problem(algorithm.clone(), probe, steps);
        problem.task.normalise = Normalise::Both;
        learn(problem, resume, sink).unwrap()
    };
    let expected = go(None, &mut whole).unwrap();
    assert_eq!(go(None, &mut Recorder::default()).unwrap().state, expected.state, "one seed, one result");
    assert!(whole.checkpoints.len() >= 3, "there must be something to resume from");
    for (step, bytes) in &whole.checkpoints {
        let actual = go(Some(bytes), &mut Recorder::default()).unwrap();
        assert_eq!(actual.state, expected.state, "resumed after step {step}");
        assert_eq!((&actual.last, &actual.best), (&expected.last, &expected.best), "resumed after step {step}");
    }
    let mut stopped = Recorder { stop_at: Some(7), ..Recorder::default() };
    assert!(go(None, &mut stopped).is_none(), "it was asked to stop");
    let (_, bytes) = stopped.checkpoints.last().unwrap();
    assert_eq!(go(Some(bytes), &mut Recorder::default()).unwrap().state, expected.state, "stopped and resumed");
}

/// Which output of an environment turns into NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoiled {
    Reward,
    Observation,
}

/// A probe whose first copy puts out NaN from some step on.
struct Broken {
    env: Probe,
    what: Spoiled,
    left: u32,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broken {}", self.env)
    }
}

impl VectorEnv for Broken {
    fn envs(&self) -> usize {
        self.env.envs()
    }

    fn observation_width(&self) -> usize {
        self.env.observation_width()
    }

    fn action_space(&self) -> &ActionSpace {
        self.env.action_space()
    }

    fn autoreset(&self) -> Autoreset {
        self.env.autoreset()
    }

    fn reset(&mut self, seed: u64, observations: &mut [f32]) {
        self.env.reset(seed, observations);
    }

    fn step(&mut self, actions: Actions<'_>, out: StepBuffers<'_>) {
        let StepBuffers { observations, rewards, outcomes, final_observations } = out;
        let lent =
            StepBuffers { observations: &mut *observations, rewards: &mut *rewards, outcomes, final_observations };
        self.env.step(actions, lent);
        self.left = self.left.saturating_sub(1);
        match self.what {
            _ if self.left > 0 => {}
            Spoiled::Reward => rewards[0] = f32::NAN,
            Spoiled::Observation => observations[0] = f32::INFINITY,
        }
    }

    fn observe(&self, observations: &mut [f32]) {
        self.env.observe(observations);
    }

    fn clamped(&self) -> u64 {
        self.env.clamped()
    }

    fn state(&self) -> Vec<u8> {
        self.env.state()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), StateError> {
        self.env.restore(state)
    }
}

/// What is said of a training in an environment that breaks at its 400th step.
pub(crate) fn breaks(algorithm: Algorithm, probe: Kind, what: Spoiled) -> TrainError {
    let mut problem = problem(algorithm, probe, 600);
    let env = Probe::new(probe, problem.task.algorithm.envs() as usize);
    problem.env = Box::new(Broken { env, what, left: 400 / problem.task.algorithm.envs() });
    learn(problem, None, &mut Recorder::default()).unwrap_err()
}

/// Each algorithm, on a probe that it can act in.
fn every() -> [(Algorithm, Kind); 4] {
    let replay = serde_json::json!({ "capacity": 600, "batch": 16, "starts": 50 });
    let read = |name: &str, own: serde_json::Value| {
        let mut spec = serde_json::json!({ "learning_rate": 0.001 });
        spec.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        serde_json::from_value(serde_json::json!({ name: spec })).unwrap()
    };
    let memory = || serde_json::json!({ "replay": replay });
    [
        (read("ppo", serde_json::json!({ "envs": 4, "rollout": 8 })), Kind::EndlessReward),
        (read("dqn", memory()), Kind::EndlessReward),
        (read("td3", memory()), Kind::TargetAction),
        (read("sac", memory()), Kind::TargetAction),
    ]
}

#[test]
fn what_is_not_finite_ends_the_attempt_with_its_name_its_step_and_the_last_good_checkpoint() {
    for (algorithm, probe) in every() {
        for (what, named) in [(Spoiled::Reward, "a reward"), (Spoiled::Observation, "an observation")] {
            let error = breaks(algorithm.clone(), probe, what);
            assert_eq!(error.class(), FailureClass::Nan);
            let TrainError::Broken { what, step, last_good: LastGood::Step(kept) } = error else { panic!("{error}") };
            assert_eq!(what, named);
            assert!((390..=400).contains(&step) && kept < step && kept > 200, "{step}, {kept}");
        }
    }
}

#[test]
fn a_loss_that_is_not_finite_ends_the_attempt_of_every_algorithm() {
    for (algorithm, probe) in every() {
        let mut problem = problem(algorithm, probe, 600);
        match &mut problem.task.algorithm {
            Algorithm::Ppo(ppo) => ppo.learning_rate = f64::INFINITY,
            Algorithm::Dqn(dqn) => dqn.learning_rate = f64::INFINITY,
            Algorithm::Td3(td3) => td3.learning_rate = f64::INFINITY,
            Algorithm::Sac(sac) => sac.learning_rate = f64::INFINITY,
        }
        let error = learn(problem, None, &mut Recorder::default()).unwrap_err();
        assert_eq!(error.class(), FailureClass::Nan, "{error}");
        assert!(matches!(error, TrainError::NotFinite { .. }), "{error}");
    }
}

/// Passes every checkpoint over.
struct Forgetful;

impl Sink for Forgetful {
    fn progress(&mut self, _progress: Progress) {}

    fn checkpoint(&mut self, _step: u64, _bytes: Vec<u8>) -> Result<Kept, SinkError> {
        Ok(Kept::Not)
    }

    fn should_stop(&self) -> bool {
        false
    }
}

#[test]
fn a_checkpoint_that_was_passed_over_is_not_called_good() {
    let (algorithm, probe) = every()[1].clone();
    let mut problem = problem(algorithm, probe, 600);
    problem.env = Box::new(Broken { env: Probe::new(probe, 1), what: Spoiled::Reward, left: 400 });
    let error = learn(problem, None, &mut Forgetful).unwrap_err();
    assert!(matches!(error, TrainError::Broken { last_good: LastGood::Start, .. }), "{error}");
}

#[test]
fn continuous_actions_outside_their_range_are_counted() {
    let read = |log_deviation: f64| {
        let ppo = serde_json::json!({ "learning_rate": 0.001, "rollout": 8, "log_deviation": log_deviation });
        serde_json::from_value(serde_json::json!({ "ppo": ppo })).unwrap()
    };
    assert!(learned(read(1.0), Kind::TargetAction, 400).clamped > 100);
    assert_eq!(learned(read(-4.0), Kind::TargetAction, 400).clamped, 0);
}
