//! Trials that go on from another's checkpoint: with all that one had learned, and settings of their own.

use serde_json::{Value, json};
use spec::{Parent, Share, TaskSpec, TrialSpec};

use crate::fixtures::{self, Recorder, assert_same, bars, finished};
use crate::{CheckpointError, Start, TrainError, Trained, TrainingData, prepare, train};

/// A trial of `task`, and the checkpoint that its training kept at or after its half.
struct Begun {
    spec: TrialSpec,
    data: TrainingData,
    whole: Trained,
    step: u64,
    checkpoint: Vec<u8>,
}

impl Begun {
    fn new(task: Value, action: &str) -> Self {
        let data = fixtures::dataset(bars(300, 0.9, 1));
        let task: TaskSpec = serde_json::from_value(task).unwrap();
        let model = match task {
            TaskSpec::Supervised(_) => fixtures::cnn_lstm(0.2),
            TaskSpec::Rl(_) => serde_json::from_value(json!({ "mlp": { "hidden": [8] } })).unwrap(),
        };
        let mut spec = fixtures::trial(&data, task, model);
        spec.env.episode_bars = 20;
        spec.env.action = serde_json::from_value(json!(action)).unwrap();
        let data = prepare(&spec, &data).unwrap();
        let mut sink = Recorder::default();
        let whole = finished(train(&spec, &data, Start::Anew, &mut sink));
        let half = sink.checkpoints.last().unwrap().0 / 2;
        let (step, checkpoint) = sink.checkpoints.into_iter().find(|(step, _)| *step >= half).unwrap();
        Self { spec, data, whole, step, checkpoint }
    }

    /// A child whose setting at `path` is `value`.
    fn child(&self, path: &str, value: Value) -> TrialSpec {
        let mut spec = serde_json::to_value(&self.spec).unwrap();
        *spec.pointer_mut(path).unwrap_or_else(|| panic!("no {path} in {}", self.spec.trial)) = value;
        let parent = Parent {
            trial: self.spec.trial.clone(),
            spec: self.spec.identity(),
            share: Share::of(0.5),
            checkpoint: None,
        };
        TrialSpec { trial: "test-1.1".parse().unwrap(), parent: Some(parent), ..serde_json::from_value(spec).unwrap() }
    }

    fn branch(&self, child: &TrialSpec, sink: &mut Recorder) -> Trained {
        finished(train(child, &self.data, Start::Branch(&self.checkpoint), sink))
    }

    /// The child that differs in nothing goes on as its parent does.
    fn unchanged(&self) -> Trained {
        let twin = self.branch(&self.child("/seed", json!(7)), &mut Recorder::default());
        assert_same(&twin, &self.whole, "a child with its parent's settings");
        twin
    }

    /// Each of these settings, changed, makes another training of the same beginning.
    fn matter(&self, under: &str, settings: Value) {
        let last = |trained: &Trained| serde_json::to_string(&trained.curve.last().unwrap()).unwrap();
        let unchanged = self.unchanged();
        for (field, value) in settings.as_object().unwrap() {
            let child = self.child(&format!("{under}/{field}"), value.clone());
            let trained = self.branch(&child, &mut Recorder::default());
            assert_ne!(last(&trained), last(&unchanged), "{under}/{field} changes nothing on the way");
        }
    }
}

fn forecaster() -> Begun {
    let task = json!({ "supervised": {
        "window": 6, "horizon": 1, "flat_band": 0.1, "epochs": 4, "batch": 32, "learning_rate": 0.01 } });
    Begun::new(task, "discrete")
}

fn agent(algorithm: Value, action: &str) -> Begun {
    let task = json!({ "rl": {
        "window": 3, "steps": 800, "algorithm": algorithm, "normalise": "both", "evaluation": { "times": 4 } } });
    Begun::new(task, action)
}

#[test]
fn a_child_goes_on_with_what_its_parent_had_learned_and_settings_of_its_own() {
    let begun = forecaster();
    begun.unchanged();
    let child = begun.child("/task/supervised/learning_rate", json!(0.001));
    let mut sink = Recorder::default();
    let trained = begun.branch(&child, &mut sink);
    let shared = sink.progress.first().map_or(0, |first| first.step as usize - 1);
    assert!(shared > 0 && shared < begun.whole.curve.len(), "it begins on the way: {}", begun.step);
    assert_eq!(
        trained.curve[..shared],
        begun.whole.curve[..shared],
        "the curve of its parent is the beginning of its own"
    );
    assert_ne!(trained.curve[shared..], begun.whole.curve[shared..]);
    for (step, bytes) in &sink.checkpoints {
        let again = finished(train(&child, &begun.data, Start::Resume(bytes), &mut Recorder::default()));
        assert_same(&again, &trained, &format!("a child killed after step {step}"));
    }
}

#[test]
fn a_child_takes_no_checkpoint_but_its_parents_and_never_begins_anew() {
    let begun = forecaster();
    let child = begun.child("/task/supervised/learning_rate", json!(0.001));
    let refused =
        |spec: &TrialSpec, start: Start<'_>| train(spec, &begun.data, start, &mut Recorder::default()).unwrap_err();
    let other = |error: TrainError| matches!(error, TrainError::Checkpoint(CheckpointError::OtherTrial { .. }));
    assert!(other(refused(&child, Start::Resume(&begun.checkpoint))), "an ordinary resume takes its own alone");
    let mut sink = Recorder::default();
    begun.branch(&child, &mut sink);
    let own = &sink.checkpoints.last().unwrap().1;
    assert!(other(refused(&child, Start::Branch(own))) && other(refused(&begun.spec, Start::Resume(own))));
    let error = refused(&child, Start::Anew);
    let told = "trial test-1.1 goes on from test-1.0, and no checkpoint of that one was given: train test-1.0 again";
    assert_eq!((error.to_string().as_str(), error.class()), (told, spec::FailureClass::Data));
    let error = refused(&begun.spec, Start::Branch(&begun.checkpoint));
    assert!(matches!(error, TrainError::Checkpoint(CheckpointError::NoParent { .. })));
}

#[test]
fn what_a_forecaster_may_change_on_the_way_matters_there() {
    forecaster().matter(
        "/task/supervised",
        json!({
            "batch": 16, "gradient_norm_max": 0.01, "learning_rate": 0.003, "return_weight": 2.0,
            "weight_decay": 0.5
        }),
    );
    forecaster().matter("/model/cnn_lstm", json!({ "dropout": 0.5 }));
}

#[test]
fn what_ppo_may_change_on_the_way_matters_there() {
    let ppo =
        json!({ "ppo": { "envs": 4, "rollout": 16, "learning_rate": 0.01, "value_clip": 0.5, "target_kl": 10.0 } });
    agent(ppo, "discrete").matter("/task/rl/algorithm/ppo", json!({
        "clip": 0.01, "clip_schedule": "linear", "entropy": 0.5, "epochs": 2, "gradient_norm_max": 0.01, "lambda": 0.5,
        "learning_rate": 0.001, "minibatches": 2, "schedule": "constant", "target_kl": 1e-6, "value": 5.0, "value_clip": 0.001
    }));
}

#[test]
fn what_dqn_may_change_on_the_way_matters_there() {
    let dqn = json!({ "dqn": {
        "learning_rate": 0.003, "replay": { "starts": 64, "batch": 16, "capacity": 1000 }, "target": { "polyak": 0.05 },
        "epsilon": { "fraction": 1.0 } } });
    let begun = agent(dqn, "discrete");
    begun.matter(
        "/task/rl/algorithm/dqn",
        json!({
            "bootstrap": "max", "gradient_norm_max": 0.001, "learning_rate": 0.0003, "schedule": "linear",
            "target": { "polyak": 0.5 }
        }),
    );
    begun.matter("/task/rl/algorithm/dqn/epsilon", json!({ "start": 0.2, "end": 0.9, "fraction": 0.3 }));
    begun.matter("/task/rl/algorithm/dqn/replay", json!({ "batch": 8, "every": 4, "updates": 2 }));
}

#[test]
fn what_td3_and_sac_may_change_on_the_way_matters_there() {
    let replay = json!({ "starts": 64, "batch": 16, "capacity": 1000 });
    let noise = json!({ "ornstein_uhlenbeck": { "deviation": 0.2 } });
    let td3 = agent(json!({ "td3": { "learning_rate": 0.003, "replay": replay, "exploration": noise } }), "continuous");
    td3.matter("/task/rl/algorithm/td3", json!({
        "learning_rate": 0.0003, "policy_delay": 4, "schedule": "linear", "target_noise": 0.0, "target_noise_max": 0.01,
        "tau": 0.5
    }));
    td3.matter("/task/rl/algorithm/td3/exploration/ornstein_uhlenbeck", json!({ "deviation": 0.8, "reversion": 0.9 }));
    let noise = json!({ "gaussian": { "deviation": 0.2 } });
    let sac = agent(json!({ "sac": { "learning_rate": 0.003, "replay": replay, "exploration": noise } }), "continuous");
    sac.matter("/task/rl/algorithm/sac", json!({ "learning_rate": 0.0003, "schedule": "linear", "tau": 0.5 }));
    sac.matter("/task/rl/algorithm/sac/exploration/gaussian", json!({ "deviation": 0.8 }));
    sac.matter("/task/rl/algorithm/sac/temperature/automatic", json!({ "target_entropy": -3.0 }));
    sac.matter("/task/rl/algorithm/sac/replay", json!({ "batch": 8, "every": 4, "updates": 2 }));
}
