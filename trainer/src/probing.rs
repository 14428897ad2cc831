//! Agents on probes: what tests of the algorithms share.

use envs::probe::{Kind, Probe};
use spec::{Algorithm, Digest, EvaluationSpec, Keep, ModelSpec, Normalise, RlSpec};

use crate::agent::Window;
use crate::fixtures::Recorder;
use crate::learn::{Learned, Problem, learn};

fn problem(algorithm: Algorithm, probe: Kind, steps: u64) -> Problem {
    let envs = match &algorithm {
        Algorithm::Ppo(ppo) => ppo.envs,
        Algorithm::Dqn(dqn) => dqn.envs,
        Algorithm::Td3(td3) => td3.envs,
        Algorithm::Sac(sac) => sac.envs,
    };
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
        learn(problem(algorithm.clone(), probe, steps), resume, sink).unwrap()
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
