//! What an ended sweep says of its space: which dimensions mattered, and which trials no other beats in every objective.

use std::collections::BTreeMap;

use protocol::ExperimentDetail;
use search::{History, Observation, Outcome, importance, pareto_front};
use serde::{Deserialize, Serialize};
use spec::{Digest, Objective, SweepSpec};

use super::port::minimised;
use super::space::Dimensions;
use crate::question::Question;
use crate::trials::{self, Trial};

/// With fewer points a forest says little more than where they lie.
const POINTS_MIN: usize = 8;

/// What a sweep found out about itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Insight {
    /// Which dimensions mattered; absent with fewer than eight points, or where all measured the same.
    pub importance: Option<Importance>,
    /// Indices of the trials that no other beats in every objective, ascending; empty with one objective.
    pub front: Vec<u32>,
}

/// How much of the variance of the objective over the whole space each dimension explains (Hutter et al. 2014).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Importance {
    /// Points that it is taken from.
    pub points: usize,
    /// Each dimension by its path, what explains most first.
    pub dimensions: Vec<Weight>,
    /// What dimensions explain only together.
    pub together: Share,
}

/// What a dimension explains by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weight {
    /// Its path.
    pub path: String,
    /// How much.
    pub share: Share,
}

/// A share of the variance, and how far luck with the tried points moves it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// Of all trials.
    pub value: f64,
    /// Where the middle 80 % of twenty draws of as many trials, with replacement, begin.
    pub low: f64,
    /// Where they end.
    pub high: f64,
}

impl From<search::Spread> for Share {
    fn from(spread: search::Spread) -> Self {
        Self { value: spread.value, low: spread.low, high: spread.high }
    }
}

impl Insight {
    /// What `trials` say; `key` decides which trees are grown. A trial that went on from another's checkpoint is left out of
    /// the importance, because its end is no doing of its point alone.
    #[must_use]
    pub fn of(sweep: &SweepSpec, key: Digest, trials: &[Trial]) -> Self {
        Self { importance: weigh(sweep, key, trials), front: front(sweep, trials) }
    }
}

/// What an experiment's trials say, as a scheduler keeps them; `None` where they are not of this build.
#[must_use]
pub fn insight(detail: &ExperimentDetail) -> Option<Insight> {
    let question: Question = serde_json::from_slice(&detail.payload).ok()?;
    let trials = trials::read(detail.trials.clone()).ok()?;
    Some(Insight::of(&question.spec.sweep, question.sampling_key(), &trials))
}

fn weigh(sweep: &SweepSpec, key: Digest, trials: &[Trial]) -> Option<Importance> {
    let dimensions = Dimensions::new(sweep).ok()?;
    // By point, in a form that compares: the mean over its seeds.
    let mut points: BTreeMap<String, (search::Point, Vec<f64>)> = BTreeMap::new();
    for trial in trials.iter().filter(|trial| trial.spec.parent.is_none()) {
        if let Some(value) = trial.objective(sweep.objective)
            && let Some(point) = dimensions.point(&trial.spec.params)
        {
            let name = serde_json::to_string(&trial.spec.params).unwrap_or_default();
            points.entry(name).or_insert((point, Vec::new())).1.push(minimised(sweep.objective, value));
        }
    }
    if points.len() < POINTS_MIN {
        return None;
    }
    let observation = |(index, (point, values)): (u32, (search::Point, Vec<f64>))| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        Observation { index, point, outcome: Outcome::Measured(vec![mean]) }
    };
    let observations: Vec<Observation> = (0..).zip(points.into_values()).map(observation).collect();
    let count = observations.len();
    let history = History::new(&dimensions.space, observations).ok()?;
    let found = importance(&dimensions.space, &history, key.as_bytes())?;
    let weight =
        |(axis, spread): (&search::Axis, &search::Spread)| Weight { path: axis.name.clone(), share: (*spread).into() };
    let mut weights: Vec<Weight> = dimensions.space.axes().iter().zip(&found.shares).map(weight).collect();
    weights.sort_by(|one, other| other.share.value.total_cmp(&one.share.value).then(one.path.cmp(&other.path)));
    Some(Importance { points: count, dimensions: weights, together: found.interactions.into() })
}

fn front(sweep: &SweepSpec, trials: &[Trial]) -> Vec<u32> {
    if sweep.also.is_empty() {
        return Vec::new();
    }
    let objectives: Vec<Objective> = std::iter::once(sweep.objective).chain(sweep.also.iter().copied()).collect();
    let measured = |trial: &Trial| {
        let value = |objective: &Objective| Some(minimised(*objective, trial.objective(*objective)?));
        Some((trial.view.trial.index, objectives.iter().map(value).collect::<Option<Vec<f64>>>()?))
    };
    let (indices, values): (Vec<u32>, Vec<Vec<f64>>) = trials.iter().filter_map(measured).unzip();
    let mut front: Vec<u32> = pareto_front(&values).into_iter().map(|place| indices[place]).collect();
    front.sort_unstable();
    front
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use spec::{Metric, ParamValue};

    use super::*;
    use crate::fixture;
    use crate::sweep::ExperimentSweep;
    use crate::trials::read;

    /// Random points of the fixture; the rate decides nearly all, the units a little.
    fn trials(count: u32) -> (SweepSpec, Vec<Trial>) {
        let mut sweep = fixture::random_sweep();
        (sweep["trials"], sweep["also"]) = (json!(count), json!(["validation_drawdown"]));
        let question = fixture::question(sweep);
        let (spec, sweep) = (question.spec.sweep.clone(), ExperimentSweep::new(question).unwrap());
        let view = |index: u32| {
            let trial = sweep.trial(index).unwrap();
            let ParamValue::Real(rate) = trial.params["task.supervised.learning_rate"] else {
                panic!("a rate is real")
            };
            let ParamValue::Integer(units) = trial.params["model.cnn_lstm.hidden"] else { panic!("units are whole") };
            fixture::view(&trial, Some(rate.ln() + 0.01 * units as f64))
        };
        let mut trials = read((0..2 * count).map(view).collect()).unwrap();
        for trial in &mut trials {
            let sharpe = trial.objective(Objective::ValidationSharpe).unwrap();
            let drawdown = -(sharpe + 7.0).abs();
            trial.outcome.as_mut().unwrap().metrics.insert(Metric::ValidationDrawdown, drawdown);
        }
        (spec, trials)
    }

    #[test]
    fn the_dimension_that_decides_stands_first_with_its_spread() {
        let (sweep, trials) = trials(30);
        let found = Insight::of(&sweep, Digest::of(b"key"), &trials).importance.unwrap();
        assert_eq!(found.points, 30, "two seeds of a point are one");
        let first = &found.dimensions[0];
        assert_eq!(first.path, "task.supervised.learning_rate");
        assert!(first.share.value > 0.8 && first.share.low > 0.6, "{found:?}");
        assert_eq!(Insight::of(&sweep, Digest::of(b"key"), &trials).importance, Some(found));
    }

    #[test]
    fn few_points_and_children_say_nothing() {
        let (sweep, mut trials) = trials(8);
        assert!(Insight::of(&sweep, Digest::of(b"key"), &trials).importance.is_some());
        for trial in trials.iter_mut().take(2) {
            trial.spec.parent = Some(spec::Parent {
                trial: trial.spec.trial.clone(),
                spec: Digest::of(b"parent"),
                share: spec::Share::of(0.5),
                checkpoint: None,
            });
        }
        assert_eq!(Insight::of(&sweep, Digest::of(b"key"), &trials).importance, None, "seven are left");
    }

    #[test]
    fn a_front_holds_who_is_beaten_by_nobody_in_everything() {
        let (mut sweep, trials) = trials(12);
        let front = Insight::of(&sweep, Digest::of(b"key"), &trials).front;
        let both = |trial: &Trial| {
            [Objective::ValidationSharpe, Objective::ValidationDrawdown].map(|o| trial.objective(o).unwrap())
        };
        for trial in &trials {
            let [sharpe, drawdown] = both(trial);
            let beaten =
                trials.iter().map(both).any(|[s, d]| s >= sharpe && d >= drawdown && (s > sharpe || d > drawdown));
            assert_eq!(front.contains(&trial.view.trial.index), !beaten, "{sharpe} {drawdown}");
        }
        assert!(!front.is_empty() && front.len() < trials.len());
        sweep.also.clear();
        assert_eq!(
            Insight::of(&sweep, Digest::of(b"key"), &trials).front,
            [] as [u32; 0],
            "one objective has no front"
        );
    }
}
