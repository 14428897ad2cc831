//! Ranges of tasks, algorithms and networks.

use super::Ranges;
use crate::{Algorithm, ModelSpec, PpoSpec, SupervisedSpec, TaskSpec};

impl Ranges {
    pub(super) fn task(&mut self, task: &TaskSpec) {
        match task {
            TaskSpec::Supervised(task) => self.supervised(task),
            TaskSpec::Rl(task) => {
                self.within("task.rl.window", task.window, 1..=512);
                self.within("task.rl.steps", task.steps, 1..=10_000_000_000);
                let Algorithm::Ppo(ppo) = &task.algorithm;
                self.ppo(ppo);
            }
        }
    }

    fn supervised(&mut self, task: &SupervisedSpec) {
        let at = |field: &str| format!("task.supervised.{field}");
        self.within(at("window"), task.window, 2..=512);
        self.within(at("horizon"), task.horizon, 1..=256);
        self.within(at("flat_band"), task.flat_band, 0.0..=3.0);
        self.within(at("epochs"), task.epochs, 1..=10_000);
        self.within(at("batch"), task.batch, 2..=65_536);
        self.above(at("learning_rate"), task.learning_rate, 0.0, 1.0);
        self.within(at("weight_decay"), task.weight_decay, 0.0..=1.0);
        self.within(at("return_weight"), task.return_weight, 0.0..=100.0);
        self.above(at("gradient_norm_max"), task.gradient_norm_max, 0.0, f64::INFINITY);
        self.within(at("patience"), task.patience, 1..=10_000);
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
        if let Some(target) = ppo.target_kl {
            self.above(at("target_kl"), target, 0.0, f64::INFINITY);
        }
    }

    pub(super) fn model(&mut self, model: &ModelSpec) {
        match model {
            ModelSpec::CnnLstm { channels, kernel, hidden, layers, dropout } => {
                let at = |field: &str| format!("model.cnn_lstm.{field}");
                self.within(at("channels"), *channels, 1..=1_024);
                self.within(at("kernel"), *kernel, 1..=63);
                if kernel % 2 == 0 {
                    let why = "an even kernel has no middle bar";
                    self.refuse(at("kernel"), format!("kernel {kernel} is even"), why, "use an odd width, such as 3");
                }
                self.within(at("hidden"), *hidden, 1..=1_024);
                self.within(at("layers"), *layers, 1..=3);
                self.below(at("dropout"), *dropout, 0.0, 1.0);
            }
            ModelSpec::Mlp { hidden } => {
                if !(1..=8).contains(&hidden.len()) {
                    let hint = "list the units of 1 to 8 layers".to_owned();
                    self.refuse("model.mlp.hidden", format!("{} layers", hidden.len()), "that is out of range", hint);
                }
                for (index, units) in hidden.iter().enumerate() {
                    self.within(format!("model.mlp.hidden.{index}"), *units, 1..=4_096);
                }
            }
        }
    }
}
