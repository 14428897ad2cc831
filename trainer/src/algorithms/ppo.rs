//! Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347), clipped surrogate, discrete actions.
//!
//! Follows the 13 core details of Huang et al. 2022: vector environments, orthogonal first weights, Adam with ε = 1e-5,
//! learning rate annealed to zero, GAE, every sample once per pass in shuffled mini-batches, advantages normalised per
//! mini-batch, an entropy bonus, one norm clip over all gradients. The value loss is not clipped. Where the reference code
//! treats a truncated episode as ended, this bootstraps from its final observation. Dropout is off: it would make the
//! probability ratio of an unchanged policy differ from 1.

use std::collections::BTreeMap;
use std::sync::Arc;

use envs::{Actions, Buffers, History, TradingEnv, VectorEnv};
use market::Instrument;
use models::weights::{self, Named};
use models::{ActorCritic, Initial, Mode, Network, NetworkKind, NetworkSpec, Predictor};
use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};
use spec::{Algorithm, BundleId, Digest, Metric, Output, PpoSpec, Progress, ProgressUnit, RlSpec, TrialSpec};
use tch::nn::VarStore;
use tch::{Device, Kind, Reduction, Tensor};

use crate::checkpoint::{self, CheckpointError};
use crate::optimiser::{Adam, AdamOptions, AdamSteps};
use crate::rollout::{Collector, Episodes, Rollout};
use crate::seeds::{self, Stream};
use crate::{Ended, Sink, TrainError, Trained, TrainingData};

/// Updates between checkpoints: about two seconds of a small network's work.
const CHECKPOINT_UPDATES: u64 = 8;

/// Updates between evaluations on validation: each costs a pass over the split.
const EVALUATION_UPDATES: u64 = 10;

const EPSILON: f64 = 1e-5;

type Metrics = BTreeMap<Metric, f64>;

/// Where training stands, tensors apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// Updates done.
    update: u64,
    steps: AdamSteps,
    episodes: Episodes,
    /// The environment's own state.
    #[serde(with = "hex::serde")]
    env: Vec<u8>,
    curve: Vec<(u64, Metrics)>,
}

/// The policy's part of the loss, and how far the policy moved.
struct Surrogate {
    /// Mean of −min(rA, clip(r, 1 ± ε)A): eq. 7.
    loss: Tensor,
    /// Mean of (r − 1) − ln r: an estimator of the KL divergence that is never negative (Schulman 2020).
    kl: Tensor,
}

/// `log_ratio` = ln of new over old probability of the action taken; both `[batch]`.
fn surrogate(log_ratio: &Tensor, advantages: &Tensor, clip: f64) -> Surrogate {
    let ratio = log_ratio.exp();
    let clipped = ratio.clamp(1.0 - clip, 1.0 + clip);
    let loss = -(&ratio * advantages).minimum(&(clipped * advantages)).mean(Kind::Float);
    let kl = tch::no_grad(|| (ratio - 1.0 - log_ratio).mean(Kind::Float));
    Surrogate { loss, kl }
}

/// Half the mean squared error.
fn value_loss(values: &Tensor, returns: &Tensor) -> Tensor {
    values.mse_loss(returns, Reduction::Mean) * 0.5
}

/// Mean entropy in nats of the distributions `[batch, actions]`.
fn entropy(log_probabilities: &Tensor) -> Tensor {
    -(log_probabilities.exp() * log_probabilities).sum_dim_intlist(1, false, Kind::Float).mean(Kind::Float)
}

/// (A − mean) / (deviation + 1e-8), the deviation with n − 1.
fn normalised(advantages: &Tensor) -> Tensor {
    (advantages - advantages.mean(Kind::Float)) / (advantages.std(true) + 1e-8)
}

/// What is learned, and where.
struct Problem<'a> {
    trial: &'a TrialSpec,
    ppo: &'a PpoSpec,
    /// Environment steps to train for.
    steps: u64,
    spec: NetworkSpec,
    env: Box<dyn VectorEnv>,
    /// One episode of it is one pass over the validation split.
    validation: Option<Box<dyn VectorEnv>>,
}

/// Learns to trade.
pub(crate) fn train(
    (trial, task): (&TrialSpec, &RlSpec),
    data: &TrainingData,
    resume: Option<&[u8]>,
    sink: &mut dyn Sink,
) -> Result<Ended, TrainError> {
    let Algorithm::Ppo(ppo) = &task.algorithm;
    let problem = trading(trial, (task, ppo), data)?;
    let mut run = Run::start(problem)?;
    if let Some(bytes) = resume {
        run.restore(bytes)?;
    }
    if learn(&mut run, sink)? == Done::Stopped {
        return Ok(Ended::Stopped);
    }
    Ok(Ended::Finished(Box::new(Trained {
        weights: weights::to_bytes(&run.store),
        metrics: run.state.curve.last().map(|(_, metrics)| metrics.clone()).unwrap_or_default(),
        network: run.problem.spec,
        curve: run.state.curve,
        feature_state: data.feature_state.clone(),
    })))
}

/// The trading environments of a trial: random episodes of the training split, one pass over validation.
fn trading<'a>(
    trial: &'a TrialSpec,
    (task, ppo): (&RlSpec, &'a PpoSpec),
    data: &TrainingData,
) -> Result<Problem<'a>, TrainError> {
    let failed = |error: envs::EnvError| TrainError::Env { why: chain(&error) };
    let dataset = &data.dataset;
    let instrument = Instrument::share(dataset.symbol.clone());
    let history = History::new(instrument, dataset.interval, &dataset.bars, data.rows.clone()).map_err(failed)?;
    let history = Arc::new(history);
    let ready = |range: &std::ops::Range<usize>| range.start.max(data.first_window())..range.end;
    let episodes = envs::Episodes::Random { envs: ppo.envs as usize };
    let env = TradingEnv::new(Arc::clone(&history), &trial.env, ready(&data.split.train), episodes).map_err(failed)?;
    let pass = envs::Episodes::OnePass;
    let validation = TradingEnv::new(history, &trial.env, ready(&data.split.validation), pass).map_err(failed)?;
    let spec = NetworkSpec {
        kind: NetworkKind::Policy {
            actions: env.action_space().actions().expect("its actions are discrete"),
            observation_width: env.observation_width(),
        },
        model: trial.model.clone(),
        window: data.rows.window,
        width: data.rows.width,
    };
    let validation: Option<Box<dyn VectorEnv>> = Some(Box::new(validation));
    Ok(Problem { trial, ppo, steps: task.steps, spec, env: Box::new(env), validation })
}

/// An error with its sources, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Finished,
    Stopped,
}

/// Rollout, update, again.
fn learn(run: &mut Run<'_>, sink: &mut dyn Sink) -> Result<Done, TrainError> {
    let updates = run.updates();
    while run.state.update < updates {
        let rollout = run.collect();
        let mut metrics = run.update(&rollout)?;
        run.state.update += 1;
        let last = run.state.update == updates;
        if last || run.state.update.is_multiple_of(EVALUATION_UPDATES) {
            metrics.extend(run.evaluate()?.map(|value| (Metric::ValidationReturn, value)));
        }
        metrics.extend(run.state.episodes.mean_return().map(|mean| (Metric::EpisodeReturn, mean)));
        let (step, steps) = (run.state.update * run.steps_per_update(), updates * run.steps_per_update());
        run.state.curve.push((step, metrics.clone()));
        sink.progress(Progress { step, steps, unit: ProgressUnit::EnvStep, rate: 0.0, metrics });
        let stop = sink.should_stop() && !last;
        if stop || last || run.state.update.is_multiple_of(CHECKPOINT_UPDATES) {
            run.hand_over(step, sink)?;
        }
        if stop {
            return Ok(Done::Stopped);
        }
    }
    Ok(Done::Finished)
}

struct Run<'a> {
    problem: Problem<'a>,
    network: ActorCritic,
    store: VarStore,
    adam: Adam,
    buffers: Buffers,
    state: State,
}

impl<'a> Run<'a> {
    fn start(mut problem: Problem<'a>) -> Result<Self, TrainError> {
        let seed = problem.trial.seed;
        let store = VarStore::new(Device::Cpu);
        seeds::seed_torch(seed, Stream::Weights, 0);
        let Network::Policy(network) = Network::build(&problem.spec, &store.root(), Initial::Drawn)? else {
            return Err(TrainError::Env { why: "its network is no policy".to_owned() });
        };
        let adam = Adam::new(&store, AdamOptions { epsilon: EPSILON, weight_decay: 0.0 });
        let mut buffers = Buffers::new(&*problem.env);
        problem.env.reset(seeds::derive(seed, Stream::Episodes, 0), &mut buffers.observations);
        let state = State {
            update: 0,
            steps: AdamSteps::default(),
            episodes: Episodes::new(problem.env.envs()),
            env: Vec::new(),
            curve: Vec::new(),
        };
        Ok(Self { problem, network, store, adam, buffers, state })
    }

    fn steps_per_update(&self) -> u64 {
        u64::from(self.problem.ppo.rollout) * self.problem.env.envs() as u64
    }

    fn updates(&self) -> u64 {
        self.problem.steps.div_ceil(self.steps_per_update())
    }

    fn collect(&mut self) -> Rollout {
        let ppo = self.problem.ppo;
        let collector = Collector {
            network: &self.network,
            seed: self.problem.trial.seed,
            steps: ppo.rollout as usize,
            taken: self.state.update * u64::from(ppo.rollout),
        };
        let decay = (ppo.gamma, ppo.lambda);
        collector.collect(&mut *self.problem.env, &mut self.buffers, &mut self.state.episodes, decay)
    }

    /// Several passes over a rollout.
    fn update(&mut self, rollout: &Rollout) -> Result<Metrics, TrainError> {
        let ppo = self.problem.ppo;
        let learning_rate = ppo.learning_rate * (1.0 - self.state.update as f64 / self.updates() as f64);
        let mut order: Vec<i64> = (0..rollout.actions.size()[0]).collect();
        // A deviation needs two samples.
        let parts = (ppo.minibatches as usize).clamp(1, (order.len() / 2).max(1));
        let first = self.state.update * u64::from(ppo.epochs);
        let mut metrics = Metrics::new();
        for pass in 0..u64::from(ppo.epochs) {
            order.shuffle(&mut seeds::generator(self.problem.trial.seed, Stream::Order, first + pass));
            metrics.clear();
            for part in 0..parts {
                let rows = &order[part * order.len() / parts..(part + 1) * order.len() / parts];
                for (metric, value) in self.step(rollout, rows, learning_rate)? {
                    *metrics.entry(metric).or_insert(0.0) += value / parts as f64;
                }
            }
            if ppo.target_kl.is_some_and(|target| metrics[&Metric::Kl] > target) {
                break;
            }
        }
        Ok(metrics)
    }

    /// One mini-batch.
    fn step(&mut self, rollout: &Rollout, rows: &[i64], learning_rate: f64) -> Result<Metrics, TrainError> {
        let (ppo, step) = (self.problem.ppo, self.state.steps.0);
        let rows = Tensor::from_slice(rows);
        let pick = |column: &Tensor| column.index_select(0, &rows);
        self.adam.zero_gradient();
        let judged = self.network.forward(&pick(&rollout.observations), Mode::Inference);
        let log_probabilities = judged.logits.log_softmax(1, Kind::Float);
        let taken = log_probabilities.gather(1, &pick(&rollout.actions).unsqueeze(1), false).squeeze_dim(1);
        let log_ratio = taken - pick(&rollout.log_probabilities);
        let Surrogate { loss: policy, kl } = surrogate(&log_ratio, &normalised(&pick(&rollout.advantages)), ppo.clip);
        let value = value_loss(&judged.values, &pick(&rollout.returns));
        let entropy = entropy(&log_probabilities);
        let loss = &policy - &entropy * ppo.entropy + &value * ppo.value;
        loss.backward();
        let measured = Tensor::stack(&[policy, value, entropy, kl], 0).detach();
        let measured: Vec<f32> = Vec::try_from(measured).map_err(TrainError::Torch)?;
        if measured.iter().any(|value| !value.is_finite()) {
            return Err(TrainError::NotFinite { what: "the loss", step });
        }
        self.adam.clip(ppo.gradient_norm_max).map_err(|_| TrainError::NotFinite { what: "the gradient", step })?;
        self.state.steps = self.adam.step(learning_rate);
        let names = [Metric::PolicyLoss, Metric::ValueLoss, Metric::Entropy, Metric::Kl];
        Ok(names.into_iter().zip(measured.into_iter().map(f64::from)).collect())
    }

    /// Total return of the most probable actions over validation, as they would be served.
    fn evaluate(&mut self) -> Result<Option<f64>, TrainError> {
        let Some(env) = &mut self.problem.validation else { return Ok(None) };
        let bytes = weights::to_bytes(&self.store);
        let predictor = Predictor::from_parts(&self.problem.spec, &bytes, BundleId(Digest::of(&bytes)))?;
        let mut buffers = Buffers::new(&**env);
        env.reset(0, &mut buffers.observations);
        let mut log_return = 0.0;
        loop {
            let action = match predictor.predict(&[&buffers.observations])?.first() {
                Some(Output::Policy { action, .. }) => *action,
                Some(Output::Forecast { .. }) | None => return Ok(None),
            };
            env.step(Actions::Discrete(&[action]), buffers.lend());
            log_return += f64::from(buffers.rewards[0]);
            if buffers.outcomes[0].is_end() {
                return Ok(Some(log_return.exp_m1()));
            }
        }
    }

    fn hand_over(&mut self, step: u64, sink: &mut dyn Sink) -> Result<(), TrainError> {
        self.state.env = self.problem.env.state();
        let mut tensors = Named::new();
        checkpoint::put(&mut tensors, "weights", weights::named(&self.store));
        checkpoint::put(&mut tensors, "adam", self.adam.state().1);
        let bytes = checkpoint::write(self.problem.trial, &self.state, &tensors);
        sink.checkpoint(step, bytes).map_err(|source| TrainError::Sink { step, source })
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), TrainError> {
        let (state, tensors): (State, Named) = checkpoint::read(self.problem.trial, bytes)?;
        let content = |why: String| CheckpointError::Content { why };
        weights::assign(&mut self.store, checkpoint::under(&tensors, "weights"))
            .map_err(|error| content(error.to_string()))?;
        self.adam.restore(state.steps, &checkpoint::under(&tensors, "adam"))?;
        self.problem.env.restore(&state.env).map_err(|error| content(chain(&error)))?;
        self.problem.env.observe(&mut self.buffers.observations);
        self.state = state;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
