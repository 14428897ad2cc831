//! The loop around every agent: learn, evaluate, keep the best, report, hand over checkpoints.

use std::collections::BTreeMap;

use envs::{Buffers, VectorEnv};
use models::NetworkSpec;
use models::weights::Named;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spec::{Algorithm, Digest, Keep, Metric, ModelSpec, Progress, ProgressUnit, RlSpec};
use tch::Tensor;

use crate::agent::{Agent, Window, network_spec};
use crate::algorithms::{dqn::Dqn, ppo::Ppo, sac::Sac, td3::Td3};
use crate::checkpoint::{self, CheckpointError, Saved};
use crate::off_policy::OffPolicy;
use crate::seeds::{self, Stream};
use crate::world::{Memory, World, play};
use crate::{Kept, LastGood, Sink, TrainError};

/// Reports in a training; a report is where training can be stopped.
const REPORTS: u64 = 200;

/// Steps between reports, at most: seconds of work of the slowest agent.
const REPORT_STEPS_MAX: u64 = 1_000;

/// Reports between checkpoints.
const CHECKPOINT_REPORTS: u64 = 4;

pub(crate) type Metrics = BTreeMap<Metric, f64>;

/// What is to be learned, and where.
pub struct Problem {
    /// Algorithm, steps and evaluation.
    pub task: RlSpec,
    /// The network.
    pub model: ModelSpec,
    /// What a network with a torso sees.
    pub window: Window,
    /// All draws follow from it.
    pub seed: u64,
    /// To learn in.
    pub env: Box<dyn VectorEnv>,
    /// To be judged in: each copy plays one episode; none, never.
    pub evaluation: Option<Box<dyn VectorEnv>>,
    /// Of all that decides the result: a checkpoint belongs to it.
    pub identity: Digest,
}

/// A policy that was learned.
#[derive(Clone, Debug)]
pub struct Learned {
    /// The network's shape.
    pub network: NetworkSpec,
    /// The weights after all steps, as safetensors.
    pub last: Vec<u8>,
    /// The weights of the best evaluation and its mean return; `None` where nothing was evaluated.
    pub best: Option<(Vec<u8>, f64)>,
    /// Learning curve.
    pub curve: Vec<(u64, Metrics)>,
    /// Steps taken.
    pub steps: u64,
    /// Updates of the weights.
    pub updates: u64,
    /// SHA-256 of all that a learner holds at the end: weights, optimiser, memory.
    pub state: Digest,
    /// Actions outside the space that the environment clamped.
    pub clamped: u64,
}

impl Learned {
    /// The weights that the task asks for.
    #[must_use]
    pub fn kept(&self, keep: Keep) -> &[u8] {
        match (keep, &self.best) {
            (Keep::Best, Some((best, _))) => best,
            (Keep::Best | Keep::Last, _) => &self.last,
        }
    }
}

/// An algorithm at work.
pub(crate) trait Learner {
    /// Takes some steps and learns from them.
    fn advance(&mut self, world: &mut World) -> Result<Metrics, TrainError>;

    fn agent(&mut self) -> &mut Agent;

    /// Updates of the weights so far.
    fn updates(&self) -> u64;

    /// All that is needed to go on, beside the world.
    fn save(&self, tensors: &mut Named) -> Value;

    fn restore(&mut self, tensors: &Named, state: Value) -> Result<(), CheckpointError>;
}

/// Where training stands, tensors apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    world: Memory,
    learner: Value,
    reports: u64,
    evaluations: u64,
    /// Evaluations since the best.
    stale: u32,
    best: Option<f64>,
    curve: Vec<(u64, Metrics)>,
}

struct Run<'a> {
    problem: &'a RlSpec,
    identity: Digest,
    evaluation: Option<Box<dyn VectorEnv>>,
    world: World,
    learner: Box<dyn Learner + 'a>,
    state: State,
    best: Option<Vec<u8>>,
    kept: LastGood,
}

/// Learns a policy, from the start or from a checkpoint; `None` when the sink asked to stop.
///
/// # Errors
/// [`TrainError`], as [`crate::train`].
pub fn learn(problem: Problem, resume: Option<&[u8]>, sink: &mut dyn Sink) -> Result<Option<Learned>, TrainError> {
    let of = problem.identity;
    learn_from(problem, resume.map(|bytes| Saved { bytes, of }), sink)
}

/// The same from a checkpoint that may be another's.
pub(crate) fn learn_from(
    problem: Problem,
    resume: Option<Saved<'_>>,
    sink: &mut dyn Sink,
) -> Result<Option<Learned>, TrainError> {
    let task = problem.task.clone();
    let mut run = Run::start(&task, problem)?;
    if let Some(saved) = resume {
        run.restore(saved)?;
    }
    let ended = run.go(sink);
    Ok(ended.map_err(|error| error.after(run.kept))?.then(|| run.finish()))
}

impl<'a> Run<'a> {
    fn start(task: &'a RlSpec, problem: Problem) -> Result<Self, TrainError> {
        let Problem { model, window, seed, env, evaluation, identity, .. } = problem;
        let spec = network_spec(&task.algorithm, (&model, window, task.normalise), &*env)?;
        let mut world = World::new(env, (seed, task.steps), (task.normalise, task.algorithm.gamma()));
        let agent = Agent::new(spec)?;
        let mut learner: Box<dyn Learner + 'a> = match &task.algorithm {
            Algorithm::Ppo(ppo) => Box::new(Ppo::new(ppo, agent, &world)),
            Algorithm::Dqn(dqn) => Box::new(OffPolicy::new(&dqn.replay, Dqn::new(dqn, agent, &world), &world)?),
            Algorithm::Td3(td3) => Box::new(OffPolicy::new(&td3.replay, Td3::new(td3, agent, &world), &world)?),
            Algorithm::Sac(sac) => Box::new(OffPolicy::new(&sac.replay, Sac::new(sac, agent, &world), &world)?),
        };
        world.inform(learner.agent());
        let state = State {
            world: world.saved().clone(),
            learner: Value::Null,
            reports: 0,
            evaluations: 0,
            stale: 0,
            best: None,
            curve: Vec::new(),
        };
        Ok(Self { problem: task, identity, evaluation, world, learner, state, best: None, kept: LastGood::Start })
    }

    /// True when all is learned, false when the sink asked to stop.
    fn go(&mut self, sink: &mut dyn Sink) -> Result<bool, TrainError> {
        let steps = self.problem.steps;
        let report_every = (steps / REPORTS).clamp(1, REPORT_STEPS_MAX);
        while self.world.memory.steps < steps && !self.is_stale() {
            let mut metrics = self.learner.advance(&mut self.world)?;
            let step = self.world.memory.steps;
            let evaluated = self.evaluate_if_due(&mut metrics)?;
            let last = step >= steps;
            if step < (self.state.reports + 1) * report_every && !evaluated && !last {
                continue;
            }
            self.state.reports = step / report_every;
            metrics.extend(self.world.mean_return().map(|mean| (Metric::EpisodeReturn, mean)));
            let clamped = self.world.clamped();
            if clamped > 0 {
                metrics.insert(Metric::ClampedActions, clamped as f64);
            }
            self.state.curve.push((step, metrics.clone()));
            sink.progress(Progress { step, steps, unit: ProgressUnit::EnvStep, rate: 0.0, metrics });
            let stop = sink.should_stop() && !last;
            let due = stop || last || self.state.reports.is_multiple_of(CHECKPOINT_REPORTS);
            if due && sink.keeps_checkpoints() {
                self.hand_over(step, sink)?;
            }
            if stop {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_stale(&self) -> bool {
        self.problem.evaluation.patience.is_some_and(|patience| self.state.stale >= patience)
    }

    fn evaluate_if_due(&mut self, metrics: &mut Metrics) -> Result<bool, TrainError> {
        let times = u64::from(self.problem.evaluation.times);
        let due = (self.world.memory.steps.min(self.problem.steps) * times) / self.problem.steps;
        let Some(env) = self.evaluation.as_mut().filter(|_| due > self.state.evaluations) else { return Ok(false) };
        self.state.evaluations = due;
        let agent = self.learner.agent();
        self.world.inform(agent);
        let mut buffers = Buffers::new(&**env);
        // The same episodes each time: policies are compared pairwise, and luck with a start decides nothing.
        env.reset(seeds::derive(self.world.seed, Stream::Evaluation, 0), &mut buffers.observations);
        let returns = play(&mut **env, &mut buffers, agent);
        let score = returns.iter().sum::<f64>() / returns.len() as f64;
        if !score.is_finite() {
            return Err(TrainError::broken("the return of an evaluation", self.world.memory.steps));
        }
        metrics.insert(Metric::EvaluationReturn, score);
        // A later one of equal score has seen more.
        if self.state.best.is_none_or(|best| score >= best) {
            (self.state.best, self.state.stale) = (Some(score), 0);
            self.best = Some(agent.to_bytes());
        } else {
            self.state.stale += 1;
        }
        Ok(true)
    }

    fn checkpoint(&mut self) -> Vec<u8> {
        let mut tensors = Named::new();
        self.state.learner = self.learner.save(&mut tensors);
        self.state.world = self.world.saved().clone();
        if let Some(best) = &self.best {
            let named = models::weights::unpack(best).expect("these bytes were packed here");
            checkpoint::put(&mut tensors, "best", named);
        }
        checkpoint::write(self.identity, &self.state, &tensors)
    }

    fn hand_over(&mut self, step: u64, sink: &mut dyn Sink) -> Result<(), TrainError> {
        if !self.learner.agent().weights.iter().all(|weight| weight.is_finite()) {
            return Err(TrainError::not_finite("a weight", self.learner.updates()));
        }
        let bytes = self.checkpoint();
        if sink.checkpoint(step, bytes).map_err(|source| TrainError::Sink { step, source })? == Kept::Durably {
            self.kept = LastGood::Step(step);
        }
        Ok(())
    }

    fn restore(&mut self, saved: Saved<'_>) -> Result<(), TrainError> {
        let (state, tensors): (State, Named) = checkpoint::read(saved)?;
        self.learner.restore(&tensors, state.learner.clone())?;
        self.world.restore(state.world.clone())?;
        let best = checkpoint::under(&tensors, "best");
        self.best = state.best.is_some().then(|| models::weights::pack(&best));
        self.state = state;
        self.kept = LastGood::Step(self.world.memory.steps);
        Ok(())
    }

    fn finish(mut self) -> Learned {
        let state = Digest::of(&self.checkpoint());
        let agent = self.learner.agent();
        self.world.inform(agent);
        Learned {
            network: agent.spec.clone(),
            last: agent.to_bytes(),
            best: self.best.zip(self.state.best),
            curve: self.state.curve,
            steps: self.world.memory.steps,
            updates: self.learner.updates(),
            state,
            clamped: self.world.clamped(),
        }
    }
}

/// Puts a flat buffer among the tensors of a checkpoint.
pub(crate) fn put(tensors: &mut Named, name: &str, values: &[f32]) {
    tensors.insert(name.to_owned(), Tensor::from_slice(values));
}

/// Takes a flat buffer out of the tensors of a checkpoint, of any length.
pub(crate) fn take(tensors: &Named, name: &str) -> Result<Vec<f32>, CheckpointError> {
    let content = |why: String| CheckpointError::Content { why };
    let tensor = tensors.get(name).ok_or_else(|| content(format!("{name} is missing")))?;
    Vec::try_from(tensor.contiguous().view(-1)).map_err(|error: tch::TchError| content(error.to_string()))
}

/// Fills a flat buffer from the tensors of a checkpoint.
pub(crate) fn fill(tensors: &Named, name: &str, values: &mut [f32]) -> Result<(), CheckpointError> {
    let saved = take(tensors, name)?;
    if saved.len() != values.len() {
        return Err(CheckpointError::Content { why: format!("{name} belongs to another network") });
    }
    values.copy_from_slice(&saved);
    Ok(())
}

/// An optimiser's state.
pub(crate) fn put_adam(tensors: &mut Named, name: &str, adam: &neural::Adam) -> u64 {
    put(tensors, &format!("{name}.first"), &adam.first);
    put(tensors, &format!("{name}.second"), &adam.second);
    adam.steps
}

pub(crate) fn take_adam(
    tensors: &Named,
    name: &str,
    (adam, steps): (&mut neural::Adam, u64),
) -> Result<(), CheckpointError> {
    fill(tensors, &format!("{name}.first"), &mut adam.first)?;
    fill(tensors, &format!("{name}.second"), &mut adam.second)?;
    adam.steps = steps;
    Ok(())
}

#[cfg(test)]
mod tests {
    use envs::probe::{Kind, Probe};

    use super::*;
    use crate::fixtures::Recorder;

    #[test]
    fn the_weights_of_the_best_evaluation_are_kept_and_patience_ends_training() {
        let text = r#"{"window": 1, "steps": 100, "algorithm": {"ppo": {"learning_rate": 0.01}},
            "evaluation": {"times": 5, "patience": 2}}"#;
        let task: RlSpec = serde_json::from_str(text).unwrap();
        let problem = Problem {
            task: task.clone(),
            model: ModelSpec::Mlp { hidden: vec![4], activation: None },
            window: Window { steps: 1, width: 1 },
            seed: 3,
            env: Box::new(Probe::new(Kind::TargetAction, 8)),
            evaluation: Some(Box::new(Probe::new(Kind::TargetAction, 2))),
            identity: Digest::of(b"probe"),
        };
        let (mut run, mut kept) = (Run::start(&task, problem).unwrap(), Vec::new());
        // The policy's last bias is its action a, and −(a − 0.5)² the return.
        for (steps, action) in [(20, 0.25), (40, 0.5), (60, 0.375), (80, 0.0)] {
            assert!(!run.is_stale(), "at step {steps}");
            let agent = run.learner.agent();
            agent.weights.fill(0.0);
            let last = agent.layout.places().iter().find(|place| place.name == "actor.layer1.bias").unwrap();
            agent.weights[last.range.clone()].fill(action);
            if action == 0.5 {
                kept = agent.to_bytes();
            }
            run.world.memory.steps = steps;
            assert!(run.evaluate_if_due(&mut Metrics::new()).unwrap());
        }
        assert!(run.go(&mut Recorder::default()).unwrap());
        assert_eq!(run.world.memory.steps, 80, "no step is taken once patience is over");
        assert!(run.finish().best == Some((kept, 0.0)), "the second is the best");
    }
}
