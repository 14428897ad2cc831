//! Ranges of tasks and networks.

use super::Ranges;
use crate::{
    CrossValidationSpec, FOLDS_MAX, FoldWindow, Imbalance, LabelSpec, ModelSpec, Normalisation, Precision,
    RateSchedule, SupervisedSpec, TaskSpec,
};

impl Ranges {
    pub(super) fn task(&mut self, task: &TaskSpec) {
        match task {
            TaskSpec::Supervised(task) => self.supervised(task),
            TaskSpec::Rl(task) => self.rl(task),
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
        match task.labels {
            LabelSpec::Horizon => {}
            LabelSpec::TripleBarrier { width, bars } => {
                self.above(at("labels.triple_barrier.width"), width, 0.0, 10.0);
                self.within(at("labels.triple_barrier.bars"), bars, 2..=1_000);
            }
        }
        match task.imbalance {
            Imbalance::Off | Imbalance::Balanced => {}
            Imbalance::Focal { gamma } => self.above(at("imbalance.focal.gamma"), gamma, 0.0, 10.0),
        }
        match task.schedule {
            RateSchedule::Constant => {}
            RateSchedule::WarmUpCosine { warm_up, floor } => {
                self.within(at("schedule.warm_up_cosine.warm_up"), warm_up, 0.0..=1.0);
                self.within(at("schedule.warm_up_cosine.floor"), floor, 0.0..=1.0);
            }
        }
        self.within(at("accumulate"), task.accumulate, 1..=1_024);
        if let Some(calibration) = &task.calibration {
            self.within(at("calibration.coverage"), calibration.coverage, 0.5..=0.99);
            self.within(at("calibration.rate"), calibration.rate, 0.0..=0.5);
            self.within(at("calibration.passes"), calibration.passes, 2..=256);
        }
        if let Some(folds) = &task.cross_validation {
            self.cross_validation(folds);
        }
    }

    fn cross_validation(&mut self, spec: &CrossValidationSpec) {
        let at = |field: &str| format!("task.supervised.cross_validation.{field}");
        match *spec {
            CrossValidationSpec::WalkForward { folds, window } => {
                self.within(at("walk_forward.folds"), folds, 2..=FOLDS_MAX);
                match window {
                    FoldWindow::Expanding => {}
                    FoldWindow::Rolling { rows } => {
                        self.within(at("walk_forward.window.rolling.rows"), rows, 16..=10_000_000);
                    }
                }
            }
            CrossValidationSpec::Blocks { folds } => self.within(at("blocks.folds"), folds, 2..=FOLDS_MAX),
            CrossValidationSpec::Combinatorial { groups, tested } => {
                self.within(at("combinatorial.groups"), groups, 3..=FOLDS_MAX);
                self.within(at("combinatorial.tested"), tested, 1..=groups.saturating_sub(1).max(1));
                if spec.folds() > FOLDS_MAX {
                    let what = format!("choices of {tested} of {groups} groups");
                    let why = format!("they are more than {FOLDS_MAX}, and each is a training");
                    self.refuse(at("combinatorial.groups"), what, &why, "use fewer groups, or test fewer at a time");
                }
            }
        }
    }

    /// What a forecaster's task asks of its network.
    pub(super) fn forecaster_model(&mut self, task: &SupervisedSpec, model: &ModelSpec) {
        match (task.precision, model) {
            (Precision::Single, _) | (Precision::Mixed, ModelSpec::CnnLstm { .. }) => {}
            (Precision::Mixed, ModelSpec::Mlp { .. }) => {
                let (what, why) = ("mixed precision without an LSTM layer", "only those learn in it");
                self.refuse("task.supervised.precision", what.to_owned(), why, "leave it out, or use `cnn_lstm`");
            }
        }
    }

    pub(super) fn model(&mut self, model: &ModelSpec) {
        match model {
            ModelSpec::CnnLstm { channels, kernel, hidden, layers, dropout, dilations, normalisation, .. } => {
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
                if !(1..=8).contains(&dilations.len()) {
                    let what = format!("{} convolutions", dilations.len());
                    self.refuse(at("dilations"), what, "that is out of range", "list the dilations of 1 to 8");
                }
                for (index, dilation) in dilations.iter().enumerate() {
                    self.within(format!("model.cnn_lstm.dilations.{index}"), *dilation, 1..=128);
                }
                match *normalisation {
                    Normalisation::Off | Normalisation::Layer => {}
                    Normalisation::Group { groups } => {
                        if groups == 0 || !channels.is_multiple_of(groups) {
                            let what = format!("{groups} groups of {channels} channels");
                            let hint = "use a number that divides `channels`";
                            self.refuse(at("normalisation.group.groups"), what, "groups are equally wide", hint);
                        }
                    }
                }
            }
            ModelSpec::Mlp { hidden, .. } => {
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
