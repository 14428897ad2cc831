//! Ranges of the learning algorithms.

use super::Ranges;
use crate::forecast::is_default;
use crate::{
    Algorithm, DqnSpec, Exploration, ModelSpec, PpoSpec, ReplaySpec, RlSpec, SacSpec, TargetUpdate, Td3Spec,
    Temperature,
};

impl Ranges {
    pub(super) fn rl(&mut self, task: &RlSpec) {
        self.within("task.rl.window", task.window, 1..=512);
        self.within("task.rl.steps", task.steps, 1..=10_000_000_000);
        self.within("task.rl.evaluation.times", task.evaluation.times, 0..=10_000);
        self.within("task.rl.evaluation.episodes", task.evaluation.episodes, 1..=10_000);
        if let Some(patience) = task.evaluation.patience {
            self.within("task.rl.evaluation.patience", patience, 1..=10_000);
        }
        match &task.algorithm {
            Algorithm::Ppo(ppo) => self.ppo(ppo),
            Algorithm::Dqn(dqn) => self.dqn(dqn),
            Algorithm::Td3(td3) => self.td3(td3),
            Algorithm::Sac(sac) => self.sac(sac),
        }
    }

    /// What only agents ask of a network.
    pub(super) fn agent_model(&mut self, task: &RlSpec, model: &ModelSpec) {
        let ModelSpec::CnnLstm { dropout, burn_in, dilations, normalisation, shortcut, directions, .. } = model else {
            return;
        };
        if *dropout != 0.0 {
            let why = "an agent must act as it was judged";
            self.refuse("model.cnn_lstm.dropout", format!("dropout {dropout} in an agent"), why, "use `dropout: 0`");
        }
        let choices = [
            ("dilations", dilations.as_slice() == [1, 1]),
            ("normalisation", is_default(normalisation)),
            ("shortcut", is_default(shortcut)),
            ("directions", is_default(directions)),
        ];
        for (name, plain) in choices {
            if !plain {
                let (what, why) =
                    (format!("`{name}` in an agent"), "agents have two plain convolutions and go forward");
                self.refuse(format!("model.cnn_lstm.{name}"), what, why, "leave it out, or train a forecaster");
            }
        }
        if *burn_in > 0 && *burn_in >= task.window {
            let what = format!("burn_in {burn_in} of a window of {}", task.window);
            self.refuse("model.cnn_lstm.burn_in", what, "no step is left to learn from", "use less than `window`");
        }
    }

    fn ppo(&mut self, ppo: &PpoSpec) {
        let at = |field: &str| format!("task.rl.algorithm.ppo.{field}");
        self.within(at("envs"), ppo.envs, 1..=65_536);
        self.within(at("rollout"), ppo.rollout, 2..=65_536);
        self.within(at("epochs"), ppo.epochs, 1..=1_000);
        self.within(at("minibatches"), ppo.minibatches, 1..=65_536);
        let steps = u64::from(ppo.envs) * u64::from(ppo.rollout);
        if u64::from(ppo.minibatches) > steps {
            let what = format!("{} mini-batches", ppo.minibatches);
            let hint = format!("use at most {steps}, `envs` times `rollout`");
            self.refuse(at("minibatches"), what, "some would hold no step", hint);
        }
        self.within(at("gamma"), ppo.gamma, 0.0..=1.0);
        self.within(at("lambda"), ppo.lambda, 0.0..=1.0);
        if !(ppo.clip > 0.0 && ppo.clip < 1.0) {
            self.outside(at("clip"), ppo.clip, "use a number above 0 and below 1".to_owned());
        }
        self.within(at("entropy"), ppo.entropy, 0.0..=1.0);
        self.within(at("value"), ppo.value, 0.0..=100.0);
        self.above(at("learning_rate"), ppo.learning_rate, 0.0, 1.0);
        self.above(at("gradient_norm_max"), ppo.gradient_norm_max, 0.0, f64::INFINITY);
        self.within(at("log_deviation"), ppo.log_deviation, -5.0..=2.0);
        for (field, value) in [("target_kl", ppo.target_kl), ("value_clip", ppo.value_clip)] {
            if let Some(value) = value {
                self.above(at(field), value, 0.0, f64::INFINITY);
            }
        }
    }

    fn dqn(&mut self, dqn: &DqnSpec) {
        let at = |field: &str| format!("task.rl.algorithm.dqn.{field}");
        self.within(at("envs"), dqn.envs, 1..=65_536);
        self.replay(&at("replay"), &dqn.replay);
        self.within(at("gamma"), dqn.gamma, 0.0..=1.0);
        self.above(at("learning_rate"), dqn.learning_rate, 0.0, 1.0);
        self.above(at("gradient_norm_max"), dqn.gradient_norm_max, 0.0, f64::INFINITY);
        match dqn.target {
            TargetUpdate::Every(steps) => self.within(at("target.every"), steps, 1..=1_000_000_000),
            TargetUpdate::Polyak(tau) => self.above(at("target.polyak"), tau, 0.0, 1.0),
        }
        self.within(at("epsilon.start"), dqn.epsilon.start, 0.0..=1.0);
        self.within(at("epsilon.end"), dqn.epsilon.end, 0.0..=1.0);
        self.within(at("epsilon.fraction"), dqn.epsilon.fraction, 0.0..=1.0);
    }

    fn td3(&mut self, td3: &Td3Spec) {
        let at = |field: &str| format!("task.rl.algorithm.td3.{field}");
        self.within(at("envs"), td3.envs, 1..=65_536);
        self.replay(&at("replay"), &td3.replay);
        self.within(at("gamma"), td3.gamma, 0.0..=1.0);
        self.above(at("learning_rate"), td3.learning_rate, 0.0, 1.0);
        self.above(at("tau"), td3.tau, 0.0, 1.0);
        self.within(at("policy_delay"), td3.policy_delay, 1..=100);
        self.within(at("target_noise"), td3.target_noise, 0.0..=10.0);
        self.within(at("target_noise_max"), td3.target_noise_max, 0.0..=10.0);
        self.exploration(&at("exploration"), td3.exploration);
    }

    fn sac(&mut self, sac: &SacSpec) {
        let at = |field: &str| format!("task.rl.algorithm.sac.{field}");
        self.within(at("envs"), sac.envs, 1..=65_536);
        self.replay(&at("replay"), &sac.replay);
        self.within(at("gamma"), sac.gamma, 0.0..=1.0);
        self.above(at("learning_rate"), sac.learning_rate, 0.0, 1.0);
        self.above(at("tau"), sac.tau, 0.0, 1.0);
        match sac.temperature {
            Temperature::Fixed(alpha) => self.above(at("temperature.fixed"), alpha, 0.0, 100.0),
            Temperature::Automatic { initial, target_entropy } => {
                self.above(at("temperature.automatic.initial"), initial, 0.0, 100.0);
                if let Some(target) = target_entropy {
                    self.within(at("temperature.automatic.target_entropy"), target, -1_000.0..=1_000.0);
                }
            }
        }
        if let Some(exploration) = sac.exploration {
            self.exploration(&at("exploration"), exploration);
        }
    }

    fn replay(&mut self, path: &str, replay: &ReplaySpec) {
        let at = |field: &str| format!("{path}.{field}");
        self.within(at("capacity"), replay.capacity, 1..=100_000_000);
        self.within(at("batch"), replay.batch, 1..=65_536);
        if replay.batch > replay.capacity {
            let what = format!("a batch of {} from {} transitions", replay.batch, replay.capacity);
            self.refuse(at("batch"), what, "there are never that many", "use at most `capacity`");
        }
        self.within(at("every"), replay.every, 1..=1_000_000);
        self.within(at("updates"), replay.updates, 1..=1_000_000);
        self.within(at("n_step"), replay.n_step, 1..=64);
        if let Some(priority) = &replay.prioritised {
            self.within(at("prioritised.alpha"), priority.alpha, 0.0..=1.0);
            self.within(at("prioritised.beta"), priority.beta, 0.0..=1.0);
        }
    }

    fn exploration(&mut self, path: &str, exploration: Exploration) {
        match exploration {
            Exploration::Gaussian { deviation } => {
                self.within(format!("{path}.gaussian.deviation"), deviation, 0.0..=10.0);
            }
            Exploration::OrnsteinUhlenbeck { deviation, reversion } => {
                self.within(format!("{path}.ornstein_uhlenbeck.deviation"), deviation, 0.0..=10.0);
                self.within(format!("{path}.ornstein_uhlenbeck.reversion"), reversion, 0.0..=1.0);
            }
            Exploration::StateDependent { deviation, every } => {
                self.within(format!("{path}.state_dependent.deviation"), deviation, 0.0..=10.0);
                self.within(format!("{path}.state_dependent.every"), every, 1..=1_000_000);
            }
        }
    }
}
