//! Cross-validation: folds and what is measured on them come together, and nothing is decided before all folds are judged.

use crate::check::sweep::named;
use crate::problem::Finding;
use crate::{ExperimentSpec, Objective, Pruner, TaskSpec};

const KEY: &str = "task.supervised.cross_validation";

/// What is wrong between the folds of a task and its sweep.
pub(super) fn findings(spec: &ExperimentSpec) -> Vec<Finding> {
    let folds = match &spec.task {
        TaskSpec::Supervised(task) => task.cross_validation,
        TaskSpec::Rl(_) => None,
    };
    let mut of_folds = named(&spec.sweep).filter(|(_, objective)| objective.is_of_folds()).peekable();
    if folds.is_none() {
        let hint = match &spec.task {
            TaskSpec::Supervised(_) => format!("add `{KEY}`, or name an objective of the validation split"),
            TaskSpec::Rl(_) => "use `validation_sharpe` or `validation_return`".to_owned(),
        };
        let homeless = |(path, objective): (String, Objective)| {
            let what = format!("`{}` without folds", objective.as_str());
            Finding::new(path, what, "no trial would measure it", hint.clone())
        };
        return of_folds.map(homeless).collect();
    }
    let mut findings = Vec::new();
    if of_folds.peek().is_none() {
        let why = "each is a training, and no objective asks for what they measure";
        let hint = "name `cross_validation_loss` as the objective or under `also`, or leave the folds out";
        findings.push(Finding::new(KEY, "folds that nothing reads", why, hint).at_key());
    }
    if spec.sweep.pruner != Pruner::None {
        let why = "rungs lie on one training, and a trial with folds begins anew for each";
        let hint = format!("use `pruner: none`, or leave `{KEY}` out");
        findings.push(Finding::new("sweep.pruner", "a pruner of trials with folds", why, hint));
    }
    for path in spec.sweep.space.keys().filter(|path| path.starts_with(KEY)) {
        let why = "trials with other folds have other figures, and could not be compared";
        let what = format!("`{path}` cannot be swept");
        findings.push(Finding::new(format!("sweep.space.{path}"), what, why, "write it into the task").at_key());
    }
    // Blocks are cut of the bars with a full window, and how many have one hangs on these.
    let shifts = |path: &&String| path.as_str() == "task.supervised.window" || path.starts_with("features");
    for path in spec.sweep.space.keys().filter(shifts) {
        let why = "it moves the first bar that is decided on, and so every fold: trials could not be compared";
        let what = format!("`{path}` beside folds");
        findings.push(Finding::new(format!("sweep.space.{path}"), what, why, "write it into the task").at_key());
    }
    findings
}
