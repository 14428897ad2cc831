//! A trial's agent: it learns on random episodes of the training split and is judged by one pass over validation.

use std::sync::Arc;

use envs::{Episodes, History, TradingEnv};
use market::Instrument;
use spec::{Metric, RlSpec, TrialSpec};

use crate::agent::Window;
use crate::checkpoint::Saved;
use crate::learn::{Problem, learn_from};
use crate::{Ended, Sink, TrainError, Trained, TrainingData, chain};

/// Learns to trade.
pub(crate) fn train(
    (trial, task): (&TrialSpec, &RlSpec),
    data: &TrainingData,
    resume: Option<Saved<'_>>,
    sink: &mut dyn Sink,
) -> Result<Ended, TrainError> {
    let problem = problem(trial, task, data)?;
    let Some(learned) = learn_from(problem, resume, sink)? else { return Ok(Ended::Stopped) };
    let mut metrics = learned.curve.last().map(|(_, metrics)| metrics.clone()).unwrap_or_default();
    if let Some((_, score)) = &learned.best {
        metrics.insert(Metric::EvaluationReturn, *score);
    }
    Ok(Ended::Finished(Box::new(Trained {
        weights: learned.kept(task.evaluation.keep).to_vec(),
        network: learned.network,
        metrics,
        curve: learned.curve,
        folds: Vec::new(),
        feature_state: data.feature_state.clone(),
    })))
}

/// The trading environments of a trial.
fn problem(trial: &TrialSpec, task: &RlSpec, data: &TrainingData) -> Result<Problem, TrainError> {
    let failed = |error: envs::EnvError| TrainError::Env { why: chain(&error) };
    let dataset = &data.dataset;
    let instrument = Instrument::share(dataset.symbol.clone());
    let history = History::new(instrument, dataset.interval, &dataset.bars, data.rows.clone()).map_err(failed)?;
    let history = Arc::new(history);
    let ready = |range: &std::ops::Range<usize>| range.start.max(data.first_window())..range.end;
    let episodes = Episodes::Random { envs: task.algorithm.envs() as usize };
    let env = TradingEnv::new(Arc::clone(&history), &trial.env, ready(&data.split.train), episodes).map_err(failed)?;
    let range = ready(&data.split.validation);
    let evaluation = TradingEnv::new(history, &trial.env, range, Episodes::OnePass).map_err(failed)?;
    Ok(Problem {
        task: task.clone(),
        model: trial.model.clone(),
        window: Window { steps: data.rows.window, width: data.rows.width },
        seed: trial.seed,
        env: Box::new(env),
        evaluation: Some(Box::new(evaluation)),
        identity: trial.identity(),
    })
}
